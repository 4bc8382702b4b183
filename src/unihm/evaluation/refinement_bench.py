"""Refinement beside the way of the paper's own code: derivatives by finite differences, one frame after the other.

The peer minimises the same energy of a frame, from the same start with the same priors and bounds, by SciPy's L-BFGS-B
with a gradient of forward differences. It shows what analytic derivatives and the second-order step are worth; the
energy itself is compiled for both. FACTS 3 counts 331 pose updates a Shadow frame of the code of the paper.

``fingertips`` is `causal` without the body of the hand: the contact energy and the priors of the paper alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from tqdm import tqdm

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import attach, read_motions
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import evenly
from unihm.evaluation.physical_metrics import physical_metrics
from unihm.evaluation.refinement import true_object
from unihm.evaluation.tables import Row, text_table
from unihm.hands.description import HandDescription, describe_hand
from unihm.refinement import CausalRefinement, RefinementConfig, refine
from unihm.refinement.frame import CONVERGED, MAX_ITERATIONS, Scene, Terms, energy
from unihm.refinement.segment import Segment
from unihm.refinement.workspace import Workspace
from unihm.schema.motion import HandMotion
from unihm.schema.storage import atomic_path
from unihm.simulation.ycb import LEANING, ycb_mesh

FINGERTIPS = RefinementConfig(keep_out=False, keep_off_table=False, keep_apart=False)
METRICS = ("penetration_mean_mm", "penetration_max_mm", "contact_ratio", "slip_mm_per_frame", "jerk")
_QUICK = 2  # recordings


class Differences(Workspace):
    """Hand and object whose frames are searched with derivatives by forward differences."""

    evaluations = 0
    """Of the energy, so far: one pose update each."""

    def minimize(
        self,
        scene: Scene,
        frame: int,
        c: Float[np.ndarray, " n"],
        mean: Float[np.ndarray, " n"],
        precision: Float[np.ndarray, " n"],
        terms: Terms,
        iterations: int,
        tolerance: float = 1e-3,
        *,
        coarsely: bool = False,
    ) -> tuple[float, int, int]:
        """As `Workspace.minimize`, with the same meaning of everything."""
        body, H, g = self.coarse if coarsely else self.body, self.system.H, self.system.g

        def value(x: np.ndarray) -> float:
            return energy(body, self.pose, self.grid, terms, scene, frame, x, mean, precision, False, H, g)

        found = minimize(
            value,
            np.clip(c, scene.low[frame], scene.high[frame]),
            method="L-BFGS-B",
            bounds=np.stack([scene.low[frame], scene.high[frame]], axis=1),
            options={"maxiter": iterations, "ftol": tolerance * 1e-3},
        )
        self.evaluations += int(found.nfev)
        c[:] = found.x
        return float(found.fun), CONVERGED if found.success else MAX_ITERATIONS, int(found.nit)


def refine_by_differences(
    motion: HandMotion, hand: HandDescription, config: RefinementConfig | None = None
) -> tuple[HandMotion, float]:
    """Algorithm 1 with derivatives by finite differences.

    Returns:
        The refined motion, and evaluations of the energy a frame.
    """
    segment = Segment(motion, hand, config or RefinementConfig())
    stream = CausalRefinement(hand, segment.points, segment.normals, table=segment.table, config=segment.config)
    space = stream.workspace = Differences(hand, segment.points, segment.normals, segment.config)
    T_world_palm, qpos = stream.run(segment)
    refined = motion.replace(
        joint_names=hand.joint_names, T_world_palm=T_world_palm, qpos=qpos, contact_phase=segment.phase
    )
    return refined, space.evaluations / len(motion)


def bench_refinements(
    data: str | Path,
    models: str | Path,
    hands: Sequence[str],
    *,
    split: str = "release",
    part: str = "validation",
    count: int = 20,
    quick: bool = False,
    after_hand: Callable[[list[dict[str, Any]]], None] | None = None,
) -> list[dict[str, Any]]:
    """Metrics and times of the ways to refine retargeted motions, in this process and on one thread.

    A row holds hand, variant, n, means of `METRICS`, the median and 99th percentile over recordings of ms_per_frame,
    and evaluations_per_frame where they are counted.

    Args:
        data: Episode store with motions of the hands.
        models: Folder of the true objects.
        hands: Names of hands.
        split: A key of `datasets.splits.SPLITS`.
        part: Of the split.
        count: Recordings, evenly spread.
        quick: Only two recordings.
        after_hand: Given the rows so far whenever a hand is done.

    Raises:
        ValueError: There is nothing to bench, or a name does not exist.
    """
    known = split_ids(split, part, episode_table(data))
    wanted = evenly([name for name in known if name not in LEANING], _QUICK if quick else count)
    if not wanted:
        raise ValueError(f"'{data}' holds no recording of part '{part}' of split '{split}'.")
    episodes = {episode.id: episode for episode in read_episodes(data, wanted)}
    rows: list[dict[str, Any]] = []
    with tqdm(total=len(hands) * len(wanted), unit="seq", disable=None) as bar:
        for name in hands:
            hand, motions = describe_hand(name), read_motions(data, name, wanted)
            measured: dict[str, list[dict[str, float]]] = {}
            for i, motion in motions.items():
                bar.set_description(name)
                bar.update()
                whole = attach(motion, episodes[i])
                if not measured:
                    _variants(whole, hand)  # compiles, and prepares the hand
                mesh = true_object(ycb_mesh(models, episodes[i].object_name), episodes[i].mirrored)
                for variant, (refined, extra) in _variants(whole, hand).items():
                    metrics = physical_metrics(refined, hand, mesh, given_path=refined.T_world_object)
                    measured.setdefault(variant, []).append({**metrics, **extra})
            rows += [_row(name, variant, found) for variant, found in measured.items()]
            if after_hand is not None:
                after_hand(rows)
    return rows


def _variants(motion: HandMotion, hand: HandDescription) -> Mapping[str, tuple[HandMotion, dict[str, float]]]:
    """A motion, and what every way to refine makes of it, with its time."""
    found: dict[str, tuple[HandMotion, dict[str, float]]] = {"retargeted": (motion, {})}
    ways = (("fingertips", "causal", FINGERTIPS), ("causal", "causal", None), ("joint", "joint", None))
    for variant, mode, config in ways:
        refined, report = refine(motion, hand, mode=mode, config=config)
        found[variant] = refined, {"ms_per_frame": report.ms_per_frame}
    for variant, config in (("fingertips by differences", FINGERTIPS), ("causal by differences", None)):
        begin = time.perf_counter()
        refined, evaluations = refine_by_differences(motion, hand, config)
        ms = 1e3 * (time.perf_counter() - begin) / len(motion)
        found[variant] = refined, {"ms_per_frame": ms, "evaluations_per_frame": evaluations}
    return found


def _row(hand: str, variant: str, found: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"hand": hand, "variant": variant, "n": len(found)}
    for name in METRICS:
        values = np.array([one[name] for one in found], dtype=float)
        known = values[np.isfinite(values)]
        row[name] = None if not len(known) else float(known.max() if name.endswith("max_mm") else known.mean())
    times = [one["ms_per_frame"] for one in found if "ms_per_frame" in one]
    row["ms_per_frame"] = float(np.median(times)) if times else None
    row["ms_per_frame_p99"] = float(np.percentile(times, 99)) if times else None
    counts = [one["evaluations_per_frame"] for one in found if "evaluations_per_frame" in one]
    row["evaluations_per_frame"] = float(np.mean(counts)) if counts else None
    return row


def text(rows: Sequence[Row]) -> str:
    """Rows as aligned columns."""
    return text_table(rows, 3)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Time and deepest piercing of every way and hand, as bars."""
    from matplotlib.figure import Figure

    hands = list(dict.fromkeys(row["hand"] for row in rows))
    ways = list(dict.fromkeys(row["variant"] for row in rows))
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, (name, title) in zip(
        axes,
        (("ms_per_frame", "ms a frame (logarithmic)"), ("penetration_mean_mm", "mean penetration, mm")),
        strict=True,
    ):
        for k, way in enumerate(ways):
            of_hand = {row["hand"]: row[name] for row in rows if row["variant"] == way and row[name] is not None}
            at = [hands.index(hand) + (k - (len(ways) - 1) / 2) * 0.8 / len(ways) for hand in of_hand]
            axis.bar(at, list(of_hand.values()), 0.8 / len(ways), color=f"C{k}", label=way if axis is axes[1] else None)
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(hands)), hands)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yscale("log")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
