"""What refinement does to motions of held-out recordings, measured against the true objects.

A row says for one part of a split, one hand and one variant of its motions how deep they pierce, how often they hold,
how much they slip (`physical_metrics`). The recorded person stands beside the hands. A variant is where a motion comes
from, alone or with a way to refine it: ``retargeted``, ``retargeted + joint``. New ways are one line in
`variants.REFINEMENTS`. The object in the file is what is measured; refinement sees the motion's cloud only. Refinement
may stretch a motion in time: the path that it was given is then stretched with it, and each frame is compared with the
one that it came from.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from unihm.datasets.motion_store import attach, read_motions
from unihm.evaluation.cases import (
    RECORDED_HAND,
    TEST_PARTS,
    CodeWriter,
    generated_for,
    hand_of_process,
    held_out,
    part_label,
)
from unihm.evaluation.intervals import clustered_mean
from unihm.evaluation.physical_metrics import METRICS, human_metrics, motion_change, physical_metrics
from unihm.evaluation.variants import GENERATED, HUMAN, REFINEMENTS, RETARGETED, spelled
from unihm.geometry.interpolation import poses_at, rows_at
from unihm.geometry.mesh_distance import MeshDistance
from unihm.hands.hand import load_hand
from unihm.processes import spread
from unihm.refinement import refine
from unihm.registry import unknown_name
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.simulation.object_surface import read_surface
from unihm.simulation.ycb import LEANING, ycb_mesh
from unihm.tokenizer.tokenizer import Tokenizer

VARIANTS = (HUMAN, *(base + way for base in (RETARGETED, GENERATED) for way in ("", *(f" + {r}" for r in REFINEMENTS))))
"""All variants. ``human`` is the recorded person, who is measured once, not for every hand."""
DEFAULT_VARIANTS = tuple(name for name in VARIANTS if not name.startswith(GENERATED))

_CHANGES = ("motion_change_mm", "motion_change_max_mm", "motion_change_deg", "motion_change_max_deg")
_LARGEST = ("penetration_max_mm", "motion_change_max_mm", "motion_change_max_deg")  # of all, not their mean
_QUICK, _QUICK_HANDS = 2, 2  # recordings of each part, and hands; under 40 s
_MIRROR = np.array([1.0, -1.0, 1.0])  # what a left hand's recording and its object are reflected by
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """Motions of one hand for one recording."""

    part: str
    episode: Episode
    mesh: Path
    hand: str
    motions: Mapping[str, HandMotion]
    """Where it comes from to the motion; none for the recorded person."""
    variants: tuple[str, ...]


Measured = list[tuple[str, dict[str, float]]]
"""Variant to metrics, for one recording and hand."""


def evaluate_refinement(
    data: str | Path,
    models: str | Path,
    split: str,
    hands: Sequence[str],
    *,
    variants: Sequence[str] = DEFAULT_VARIANTS,
    parts: Sequence[str] | None = None,
    generator: CodeWriter | None = None,
    tokenizer: Tokenizer | None = None,
    excluded: Collection[str] = frozenset(LEANING),
    seed: int = 0,
    quick: bool = False,
    progress: bool = True,
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """The refinement table: one row for every part of the split, hand and variant.

    A row holds split, hand, variant, n (recordings), skipped (recordings without a motion), every key of
    `physical_metrics.METRICS` and of `motion_change` as the mean over recordings (what is called largest: as the
    largest of all) with 95 % intervals of whole objects drawn (``*_ci``), and ms_per_frame of refinement; null where
    nothing could be measured.

    Args:
        data: Episode store with motions of `hands`.
        models: Folder of the true objects, ``<object>/mesh_simplified.obj``.
        split: A key of `datasets.splits.SPLITS`.
        hands: Names of hands.
        variants: Some of `VARIANTS`.
        parts: Parts of the split; its test parts if not given.
        generator: For generated variants.
        tokenizer: Decodes its codes.
        excluded: Episodes that are left out: by default those that lean on something unrecorded.
        seed: Of generation and of the bootstrap.
        quick: Only some recordings of each part, chosen evenly, and the first hands.
        progress: Show a progress bar on a terminal.
        workers: Processes; None is one a core. Times are those of a processor that all of them share: ask for 1, which
            measures in this process, where they matter.

    Raises:
        ValueError: A name does not exist, a part is empty, an object's file is missing, or a generated variant is
            asked for without a generator or of recordings that it was trained on.
    """
    variants = spelled(variants)
    for name in variants:
        if name not in VARIANTS:
            raise unknown_name("Variant", name, VARIANTS)
    generates = any(name.startswith(GENERATED) for name in variants)
    hands = hands[:_QUICK_HANDS] if quick else hands
    held = held_out(
        data,
        split,
        parts or TEST_PARTS.get(split, ("test",)),
        hands,
        excluded=excluded,
        count=_QUICK if quick else None,
        generates=generates,
        generator=generator,
        tokenizer=tokenizer,
    )
    of_part, episodes = held.of_part, held.episodes
    meshes = {e.object_name: ycb_mesh(models, e.object_name) for e in episodes.values()}

    def task(part: str, i: str, hand: str, motions: Mapping[str, HandMotion], which: Sequence[str]) -> _Task:
        mesh = meshes[episodes[i].object_name]
        return _Task(part=part, episode=episodes[i], mesh=mesh, hand=hand, motions=motions, variants=tuple(which))

    def tasks() -> Iterator[_Task]:
        if HUMAN in variants:
            yield from (task(part, i, RECORDED_HAND, {}, [HUMAN]) for part, ids in of_part.items() for i in ids)
        of_hands = [name for name in variants if name != HUMAN]
        for name in hands if of_hands else ():
            motions = read_motions(data, name)
            model = load_hand(name)
            for part, ids in of_part.items():
                for i in ids:
                    if i not in motions:
                        skipped[part, name] += 1
                        continue
                    found = {RETARGETED: attach(motions[i], episodes[i])}
                    if generates and generator is not None and tokenizer is not None:
                        found[GENERATED] = generated_for(
                            episodes[i], found[RETARGETED], model, generator, tokenizer, seed
                        )
                    yield task(part, i, name, found, of_hands)

    skipped: dict[tuple[str, str], int] = defaultdict(int)
    table: dict[tuple[str, str, str], list[tuple[str, dict[str, float]]]] = defaultdict(list)
    total = (len(hands) + (HUMAN in variants)) * sum(map(len, of_part.values()))
    # torch's own threads would only hinder those of the others
    pool = spread(_measure, workers or os.cpu_count() or 1, initializer=torch.set_num_threads, initargs=(1,))
    with pool as measured, tqdm(total=total, unit="seq", disable=None if progress else True) as bar:
        for done, found in measured(tasks()):
            bar.set_description(f"{split}/{done.part} {done.hand}")
            bar.update()
            for variant, values in found:
                table[done.part, done.hand, variant].append((done.episode.object_name, values))
    rows = []
    for part in of_part:
        for (of, hand, variant), members in table.items():
            if of == part:
                first = {"split": part_label(split, part), "hand": hand, "variant": variant, "n": len(members)}
                rows.append({**first, "skipped": skipped[part, hand], **_summary(members, seed)})
    return rows


def _measure(task: _Task) -> Measured:
    """All variants of one recording and hand."""
    mesh = true_object(task.mesh, task.episode.mirrored)
    if task.variants == (HUMAN,):
        episode, human = task.episode, hand_of_process(RECORDED_HAND).description
        return [(HUMAN, human_metrics(episode.keypoints_world, episode.T_world_object, mesh, human, episode.fps))]
    hand, found = hand_of_process(task.hand).description, []
    for variant in task.variants:
        base, _, way = variant.partition(" + ")
        motion = task.motions[base]
        path = task.episode.T_world_object
        extra: dict[str, float] = {}
        if way:
            refined, report = refine(motion, hand, **REFINEMENTS[way])
            before = at_frames(motion, np.array(report.frame_of))
            extra = {**motion_change(before, refined), "ms_per_frame": report.ms_per_frame}
            motion = refined
            if len(motion) != len(path):
                assert motion.T_world_object is not None
                path = motion.T_world_object
        found.append((variant, {**physical_metrics(motion, hand, mesh, given_path=path), **extra}))
    return found


def at_frames(motion: HandMotion, frames: Float[np.ndarray, " n"]) -> HandMotion:
    """A motion between its frames: positions linearly, orientations along the shortest arc.

    Args:
        motion: The motion.
        frames: Where it is wanted, counted in its own frames; beyond the ends the first or last.
    """

    def poses(T: np.ndarray | None) -> np.ndarray | None:
        return None if T is None else poses_at(T, frames)

    def rows(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else rows_at(values, frames)

    phase = motion.contact_phase
    return motion.replace(
        qpos=rows_at(motion.qpos, frames),
        qpos_target=rows(motion.qpos_target),
        T_world_palm=poses_at(motion.T_world_palm, frames),
        T_world_object=poses(motion.T_world_object),
        contact_phase=None if phase is None else np.interp(frames, np.arange(len(phase)), phase),
    )


def _summary(members: Sequence[tuple[str, Mapping[str, float]]], seed: int) -> dict[str, Any]:
    """Means over recordings with their intervals, clustered by object."""
    objects = [name for name, _ in members]
    summary: dict[str, Any] = {}
    for metric in (*METRICS, *_CHANGES, "ms_per_frame"):
        values = np.array([found.get(metric, np.nan) for _, found in members], dtype=float)
        if np.isnan(values).all():
            summary[metric] = None
        elif metric in _LARGEST:
            summary[metric] = float(np.nanmax(values))
        else:
            mean, low, high = clustered_mean(values, objects, seed=seed)
            summary[metric], summary[f"{metric}_ci"] = mean, [low, high]
    return summary


@lru_cache
def true_object(path: Path, mirrored: bool) -> MeshDistance:
    """A true object, prepared once in each process; `mirrored` as a left hand's recording is.

    Args:
        path: Its surface.
        mirrored: Whether to reflect it.
    """
    surface = read_surface(path)
    for repair in surface.repairs:
        _log.warning("'%s': %s", path, repair)
    if mirrored:
        return MeshDistance(surface.vertices * _MIRROR, surface.faces[:, ::-1])
    return MeshDistance(surface.vertices, surface.faces)
