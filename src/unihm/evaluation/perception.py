"""Perception and planning against made scenes: which thing, its mask, its shape, the task, and where the path ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from unihm.evaluation.intervals import wilson
from unihm.geometry.point_cloud import chamfer
from unihm.perception.base import Perception, SeesOnce, without_warnings
from unihm.planning.base import PLANNERS, planner_for
from unihm.scene_data.store import read_scenes
from unihm.scenes.records import Asking, SceneExample
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene
from unihm.schema.task import FAMILY

_LEAST_PIXELS = 80  # of a thing that anybody would name


@dataclass(frozen=True, kw_only=True)
class Result:
    """One instruction about one image."""

    refers_by: str
    """How the target is told."""
    answer: str
    """``right``, ``wrong``, ``refused`` (where one thing fits); of others ``asks`` or ``acts``."""
    iou: float = np.nan
    """Of the chosen mask with the true one."""
    pick_mm: float = np.nan
    """Between the middles of the perceived and the true thing, or handle."""
    chamfer_mm: float = np.nan
    """Between the completed and the true surface: mean of both directed mean distances."""
    family: bool = False
    """Whether the task's family is right."""
    path_end_mm: float = np.nan
    """Between the ends of planned and true path of the thing's middle."""
    path_end_deg: float = np.nan
    """Between the turns that both paths make."""
    unplanned: str = ""
    """Why the right thing got no path."""
    seconds: float = np.nan
    """From image and words to the plan."""


def evaluate_perception(
    data: str | Path,
    perception: Perception,
    *,
    limit: int | None = None,
) -> list[Result]:
    """All instructions of made scenes.

    Args:
        data: From `unihm data synthesize`, with a seed that nothing was trained on.
        perception: What is judged.
        limit: At most so many images, the first ones.

    Raises:
        ValueError: The store holds no scene, or a file is damaged.
    """
    results: list[Result] = []
    with tqdm(desc="scenes", unit="image", disable=None, delay=2) as bar:
        for example in read_scenes(data, limit):
            results += _image(example, perception)
            bar.update()
    return results


def summary(results: Sequence[Result], head: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table."""
    one = [r for r in results if r.answer in ("right", "wrong", "refused")]
    other = [r for r in results if r.answer in ("asks", "acts")]
    right = [r for r in one if r.answer == "right"]

    def mean(name: str) -> float | None:
        values = np.array([getattr(r, name) for r in right])
        return float(np.nanmean(values)) if np.isfinite(values).any() else None

    def median(name: str) -> float | None:
        values = np.array([getattr(r, name) for r in right])
        return float(np.nanmedian(values)) if np.isfinite(values).any() else None

    row: dict[str, Any] = {**head, "n": len(one)}
    if one:
        row |= {
            "target_accuracy": len(right) / len(one),
            "target_accuracy_ci": list(wilson(len(right), len(one))[1:]),
            "refused": sum(r.answer == "refused" for r in one) / len(one),
        }
    if right:
        planned = [r for r in right if np.isfinite(r.path_end_mm)]
        row |= {
            "iou": mean("iou"),
            "pick_mm": median("pick_mm"),
            "pick_mean_mm": mean("pick_mm"),
            "path_end_mm": median("path_end_mm"),
            "path_end_deg": median("path_end_deg"),
            "path_good": float(np.mean([r.path_end_mm <= 20 and r.path_end_deg <= 10 for r in planned]))
            if planned
            else None,
            "unplanned": sum(bool(r.unplanned) for r in right) / len(right),
            "chamfer_mm": mean("chamfer_mm"),
            "seconds": median("seconds"),
            "task_accuracy": float(np.mean([r.family for r in right])),
        }
    if other:
        row["asks"] = sum(r.answer == "asks" for r in other) / len(other)
    return row


def rows_of(results: Sequence[Result], name: str) -> list[dict[str, Any]]:
    """All instructions, and by how they tell their target."""
    ways: Mapping[str, Callable[[Result], bool]] = {
        "all": lambda r: True,
        "by name": lambda r: r.refers_by == "name",
        "by class": lambda r: r.refers_by == "class",
        "by attributes": lambda r: "name" not in r.refers_by and r.refers_by != "class",
        "by name and more": lambda r: r.refers_by.startswith("name and"),
    }
    rows = [summary([r for r in results if fits(r)], {"set": name, "told": way}) for way, fits in ways.items()]
    return [row for row in rows if row["n"]]


def _image(example: SceneExample, perception: Perception) -> list[Result]:
    seen, start = None, time.perf_counter()
    if isinstance(perception, SeesOnce):
        try:
            seen = perception.see(example.scene)
        except ValueError:
            seen = None
    results, looking = [], time.perf_counter() - start
    for asking in example.askings:
        if any(np.count_nonzero(example.instances == i + 1) < _LEAST_PIXELS for i in asking.targets):
            continue
        start = time.perf_counter()
        try:
            with without_warnings():
                if seen is not None:
                    assert isinstance(perception, SeesOnce)
                    perceived = perception.understand(seen, asking.instruction)
                else:
                    perceived = perception.perceive(example.scene, asking.instruction)
        except ValueError:
            answer = "refused" if len(asking.targets) == 1 else "asks"
            results.append(Result(refers_by=asking.refers_by, answer=answer))
            continue
        if len(asking.targets) != 1:
            results.append(Result(refers_by=asking.refers_by, answer="acts"))
            continue
        perceiving = looking + time.perf_counter() - start
        results.append(_judged(example, asking, perceived, perceiving))
    return results


def _judged(example: SceneExample, asking: Asking, perceived: PerceivedScene, perceiving: float) -> Result:
    thing = example.things[asking.targets[0]]
    u, v = perceived.target_object.pixels.T
    hit = np.bincount(example.instances[v, u], minlength=len(example.things) + 1)
    if hit[1:].argmax() != asking.targets[0] or hit[asking.targets[0] + 1] < 0.5 * hit.sum():
        return Result(refers_by=asking.refers_by, answer="wrong")
    true = example.instances == asking.targets[0] + 1
    if thing.joint is not None:
        true = true & example.handles
    # Pixels without a depth are in no cloud; they count for neither side.
    true &= example.scene.depth > 0
    found = np.zeros_like(true)
    found[v, u] = True
    facts: dict[str, Any] = {"iou": float((true & found).sum() / max((true | found).sum(), 1))}
    cloud, points = perceived.target_object.completed_points_world, thing.points_world
    centre = _middle(points)
    facts["pick_mm"] = 1000 * float(np.linalg.norm(_middle(cloud) - centre))
    if thing.joint is None:
        facts["chamfer_mm"] = 1000 * chamfer(cloud, points)
    asked, start = perceived.asked, time.perf_counter()
    try:
        plan = PLANNERS[planner_for(perceived)]().plan(perceived, asking.instruction)
        facts |= {"seconds": perceiving + time.perf_counter() - start, **_ends(plan, asking, centre)}
        task = plan.task
    except ValueError as error:
        facts["unplanned"] = str(error)
        task = "" if asked is None else asked.task
    facts["family"] = FAMILY.get(task) == FAMILY[asking.task]
    return Result(refers_by=asking.refers_by, answer="right", **facts)


def _ends(plan: Plan, asking: Asking, centre: np.ndarray) -> dict[str, float]:
    path = asking.T_world_object
    assert path is not None
    motion = path[-1] @ np.linalg.inv(path[0])
    end = motion[:3, :3] @ centre + motion[:3, 3]
    made = plan.T_world_object[-1] @ np.linalg.inv(plan.T_world_object[0])
    between = Rotation.from_matrix(made[:3, :3].T @ motion[:3, :3]).magnitude()
    return {
        "path_end_mm": 1000 * float(np.linalg.norm(plan.T_world_object[-1, :3, 3] - end)),
        "path_end_deg": float(np.degrees(between)),
    }


def _middle(points: np.ndarray) -> np.ndarray:
    return (points.min(axis=0) + points.max(axis=0)) / 2
