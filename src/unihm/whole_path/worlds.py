"""Worlds in which words are put to the test: a made image of a table, an instruction, and the truth about both.

Grab and place are asked of YCB objects as held-out recordings have them: at rest as recorded, displaced by up to 2 cm
and 10 degrees (FACTS 5), among other household things at least 2 cm away, with their published masses. Pull, push, open
and close are asked of drawers, doors and lids of made furniture. ``seen``: objects of `release/seen`, and furniture as
training draws it; ``unseen``: objects of `release/unseen`, and furniture larger than any that training draws, with
larger handles.

What stands around is in the image and in the way of planning, but not in the simulated world; of furniture the part
that is asked for moves, and the others' fronts stand still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.geometry.point_cloud import farthest_point_indices
from unihm.planning.pace import HUMAN
from unihm.scenes.asking import asking_about
from unihm.scenes.composer import Drawn, Staged, draw_scenes
from unihm.scenes.furniture import ChestDrawer, Furniture, draw_furniture
from unihm.scenes.layout import Placed
from unihm.scenes.records import Asking, SceneExample
from unihm.scenes.ycb_things import ycb_thing
from unihm.schema.episode import Episode
from unihm.schema.plan import Plan
from unihm.simulation.constants import DRAWER_TRAVEL
from unihm.simulation.fixture import Fixture
from unihm.simulation.resting import resting_pose
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.tasks import TASKS, scatter
from unihm.simulation.tasks.setting import Setting
from unihm.simulation.ycb import load_ycb

PARTS = ("seen", "unseen")
"""What is asked about."""
FURNITURE: Mapping[str, tuple[str, str]] = {
    "pull": ("chest", "drawer"),
    "push": ("chest", "drawer"),
    "open": ("cabinet", "door"),
    "close": ("cabinet", "door"),
    "open lid": ("lid", "lid"),
    "close lid": ("lid", "lid"),
}
"""What is asked of furniture -> its kind, and the part that moves."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "grab": ("grab",),
    "place": ("place",),
    "pull-push": ("pull", "push"),
    "open-close": ("open", "close", "open lid", "close lid"),
}
"""The paper's Table 3: column -> what is asked, in turn."""
_STYLE = "apart"
_TRIES = 12  # scenes until one has words and a way for what shall be asked
_POINTS = 1024
_LEAST_PIXELS = 60  # of a handle; what is out of view cannot be asked for
_AJAR = 0.15  # of its way: by so much at most is open what shall be pulled or opened
_WIDE = (0.5, 0.95)  # of its way: so far is open what shall be pushed or closed
_UPRIGHT_LID = np.radians([83.0, 87.0])
_SEED = 20261129  # apart from those of made training and evaluation scenes


@dataclass(frozen=True, kw_only=True, eq=False)
class AskedWorld:
    """One image, one instruction, and what is true."""

    example: SceneExample
    """The image and the things in it."""
    asking: Asking
    """The instruction, its target, and the path that fulfils it."""
    target: int
    """Index of the thing that is meant."""
    object_name: str
    """YCB name of an object, else drawer, door or lid."""
    plan: Plan
    """The true cloud, and the path in the pace of people."""
    task: str
    """Key of `simulation.tasks.TASKS`: what judges."""
    object: SolidObject | None = None
    """The true object."""
    T_world_object: Float[np.ndarray, "4 4"] | None = None
    """Where it stands, m."""
    fixture: Fixture | None = None
    """The true drawer, door or lid."""
    episode: Episode | None = None
    """The recording in which a person grasps the object as it rests."""

    @property
    def true_path(self) -> Float[np.ndarray, "K 4 4"]:
        """Where the target shall go: of an object its frame, of a part its handle, m."""
        assert self.asking.T_world_object is not None
        return self.asking.T_world_object

    @property
    def trial(self) -> dict[str, Any]:
        """What `simulation.tasks.prepare` takes."""
        return {"object": self.object, "T_world_object": self.T_world_object, "fixture": self.fixture,
                "table_height": 0.0}  # fmt: skip


def draw_world(
    part: str, column: str, number: int, *, episodes: Sequence[Episode], models: Path, seed: int = 0
) -> AskedWorld:
    """One world, the same for the same arguments.

    Args:
        part: One of `PARTS`.
        column: Key of `COLUMNS`.
        number: Which world.
        episodes: Held-out recordings of this part; world i is about the i-th, and again from the first.
        models: Folder of the true objects.
        seed: Worlds of other seeds have nothing in common.

    Raises:
        ValueError: An object's file is missing, or nothing can be asked in a dozen scenes.
    """
    asked = COLUMNS[column][number % len(COLUMNS[column])]
    numbers = [_SEED, seed, PARTS.index(part), list(COLUMNS).index(column), number]
    reason = ""
    for attempt in range(_TRIES):
        rng = np.random.default_rng([*numbers, attempt])
        try:
            if asked in FURNITURE:
                return _of_furniture(asked, part == "unseen", rng)
            return _of_object(asked, episodes[number % len(episodes)], models, rng)
        except ValueError as error:
            reason = str(error)
    raise ValueError(f"World {part}/{column}/{number}: nothing can be asked: {reason}")


def _of_object(task: str, episode: Episode, models: Path, rng: np.random.Generator) -> AskedWorld:
    solid = load_ycb(models, episode.object_name)
    T = resting_pose(solid, episode.T_world_object[0])
    T = scatter(1.0, int(rng.integers(2**31)), T[:3, :3] @ solid.centre_of_mass + T[:3, 3]) @ T
    T[:2, 3] -= (T[:3, :3] @ solid.centre_of_mass + T[:3, 3])[:2]
    T[2, 3] -= solid.lowest(T)
    thing = ycb_thing(models, episode.object_name, rng)
    placed = Placed(object=thing, T_world_object=T, lying=False)
    drawn = draw_scenes(int(rng.integers(2**31)), _STYLE, views=1, staged=Staged(object=placed))
    world = _asked(task, drawn, 0, episode.object_name, rng)
    world = replace(world, object=solid, T_world_object=T, episode=episode)
    return _judgeable(world, Setting(object=solid, T_world_object=T))


def _of_furniture(asked: str, held_out: bool, rng: np.random.Generator) -> AskedWorld:
    task, (kind, part_kind) = asked.split()[0], FURNITURE[asked]
    furniture = draw_furniture(rng, kind, held_out=held_out)
    free = [k for k, part in enumerate(furniture.parts) if part.kind == part_kind and part.design.frame]
    free = list(range(len(furniture.parts))) if kind == "chest" else free
    chosen = int(rng.choice(free))
    parts: list[Fixture] = [replace(part, position0=0.0) for part in furniture.parts]
    if kind == "chest":  # the drawer that FACTS 5 judges by comes out 15 cm
        parts = [replace(part, travel=DRAWER_TRAVEL) for part in parts if isinstance(part, ChestDrawer)]
        if furniture.outline[:, 0].max() * 2 < DRAWER_TRAVEL / 0.75:
            raise ValueError("the chest is too shallow for its drawers")
    low, high = (0.0, _AJAR) if task in ("pull", "open") else _WIDE
    if asked == "close lid":  # at other angles it does not stay where it is
        low, high = _UPRIGHT_LID / parts[chosen].upper
    shut = asked == "open lid" or (task in ("pull", "open") and rng.random() < 0.5)
    position = 0.0 if shut else rng.uniform(low, high)
    parts[chosen] = replace(parts[chosen], position0=position * parts[chosen].upper)
    staged = Staged(furniture=Furniture(parts=tuple(parts), colours=furniture.colours, places=furniture.places))
    drawn = draw_scenes(int(rng.integers(2**31)), _STYLE, views=1, staged=staged)
    assert drawn.furniture is not None
    example = drawn.examples[0]
    target = len(example.things) - len(parts) + chosen
    if np.count_nonzero(example.handles & (example.instances == target + 1)) < _LEAST_PIXELS:
        raise ValueError("the handle is out of view")
    part = drawn.furniture.parts[chosen]
    part = replace(part, alone=True) if isinstance(part, ChestDrawer) else part
    fixture: Fixture = replace(part, name="fixture")
    world = replace(_asked(task, drawn, target, part_kind, rng, fixture), fixture=fixture)
    return _judgeable(world, Setting(fixture=fixture))


def _asked(
    task: str, drawn: Drawn, target: int, name: str, rng: np.random.Generator, fixture: Fixture | None = None
) -> AskedWorld:
    """Words for it, and the true plan."""
    example = drawn.examples[0]
    T_world_camera = example.scene.camera.T_world_camera
    assert T_world_camera is not None
    asking = asking_about(
        target,
        task,
        example.things,
        T_world_camera,
        rng,
        surroundings_world=drawn.furniture_world,
        table=drawn.table,
        pace=HUMAN,
    )
    if asking.relation in ("on", "in"):
        raise ValueError("what it is put on is not in the simulated world")
    judged = {"grab": "grab", "place": "place"}.get(task, task if fixture is not None else "slide")
    return AskedWorld(
        example=example,
        asking=asking,
        target=target,
        object_name=name,
        plan=_true_plan(example, asking, target, fixture),
        task=judged,
    )


def _true_plan(example: SceneExample, asking: Asking, target: int, fixture: Fixture | None) -> Plan:
    thing, path = example.things[target], asking.T_world_object
    T_world_camera = example.scene.camera.T_world_camera
    assert path is not None
    assert T_world_camera is not None
    kept = farthest_point_indices(thing.surface_object, _POINTS)
    points = thing.points_world[kept]
    T = np.eye(4)
    T[:3, 3] = centre = (points.min(axis=0) + points.max(axis=0)) / 2
    panel = None
    if fixture is not None:
        outward = fixture.T_world_handle[:3, 0]
        on_panel = fixture.T_world_handle[:3, 3] - fixture.handle_distance * outward
        panel = np.append(outward, (on_panel - centre) @ outward)
    return Plan(
        instruction=asking.instruction,
        task=asking.task,
        fps=HUMAN.fps,
        T_world_object=path @ np.linalg.inv(path[0]) @ T,
        object_points=points - centre,
        object_normals=thing.normals_object[kept] @ thing.T_world_object[:3, :3].T,
        rest_frames=asking.rest_frames,
        panel_object=panel,
        T_world_camera=T_world_camera,
    )


def _judgeable(world: AskedWorld, setting: Setting) -> AskedWorld:
    """The world, if what is asked for, done exactly, is a success; else ValueError."""
    path, task = world.true_path, world.task
    if task == "grab" and path[:, 2, 3].max() - path[0, 2, 3] < 0.12:
        raise ValueError("what is lifted by less than 10 cm is no success")
    if world.fixture is not None:
        along = np.linalg.norm(path[:, :3, 3] - world.fixture.handle_at(np.array(0.0))[:3, 3], axis=1)
        swung = np.arccos(np.clip((np.trace(path[-1, :3, :3] @ path[0, :3, :3].T) - 1) / 2, -1, 1))
        sign = 1 if task == "open" else -1
        end = along[-1] if task in ("pull", "push") else world.fixture.position0 + sign * swung
        judge = TASKS[task](motion_seconds=1.0)
        margin = -0.005 if task in ("pull", "push") else -0.03
        if not judge.reached(np.array([end + (margin if judge.opening else -margin)])).all():
            raise ValueError("what is asked for does not go far enough to be judged")
        if judge.reached(np.array([world.fixture.position0])).any():
            raise ValueError("it is there already")
    elif task == "slide" and np.linalg.norm(path[-1, :2, 3] - path[0, :2, 3]) < 0.085:
        raise ValueError("a shorter push cannot be judged")
    return world
