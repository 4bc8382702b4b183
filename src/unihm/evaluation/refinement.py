"""What refinement does to motions of held-out recordings, measured against the true objects.

A row says for one part of a split, one hand and one variant of its motions how deep they pierce, how often they hold,
how much they slip (`physical_metrics`). The recorded person stands beside the hands. A variant is where a motion comes
from, alone or with a way to refine it: ``retargeted``, ``retargeted + refined``. New ways are one line in
`REFINEMENTS`. The object in the file is what is measured; refinement sees the motion's cloud only.
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
from tqdm import tqdm

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import attach, motion_ids, read_motions
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import RECORDED_HAND, CodeWriter, case_of, evenly, generate_motion, hand_of_process
from unihm.evaluation.generation import TEST_PARTS
from unihm.evaluation.intervals import clustered_mean
from unihm.evaluation.physical_metrics import METRICS, human_metrics, motion_change, physical_metrics
from unihm.evaluation.trained_on import refuse_trained_on
from unihm.geometry.mesh_distance import MeshDistance
from unihm.hands.hand import HandModel, load_hand
from unihm.processes import spread
from unihm.refinement import refine
from unihm.registry import unknown_name
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.simulation.object_surface import read_surface
from unihm.simulation.ycb import LEANING, ycb_mesh
from unihm.tokenizer.tokenizer import Tokenizer

REFINEMENTS: Mapping[str, Mapping[str, Any]] = {"refined": {}}
"""Ways to refine, and the options of `refinement.refine` that they are."""

HUMAN, RETARGETED, GENERATED = "human", "retargeted", "generated"
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
    variants = tuple(dict.fromkeys(" + ".join(word.strip() for word in name.split("+")) for name in variants))
    for name in variants:
        if name not in VARIANTS:
            raise unknown_name("Variant", name, VARIANTS)
    records = episode_table(data)
    of_part = {part: split_ids(split, part, records) for part in parts or TEST_PARTS.get(split, ("test",))}
    generates = any(name.startswith(GENERATED) for name in variants)
    if generates:
        if generator is None or tokenizer is None:
            raise ValueError("Generated variants need a generator and a tokenizer.")
        recordings = {record.id: record.recording for record in records}
        tested = {recordings[name] for ids in of_part.values() for name in ids}
        card = getattr(generator, "card", None) or {}
        refuse_trained_on(tested, {"tokenizer": tokenizer.card, "generator": card})
    of_part = {part: [name for name in ids if name not in excluded] for part, ids in of_part.items()}
    if quick:
        of_part = {part: evenly(ids, _QUICK) for part, ids in of_part.items()}
        hands = hands[:_QUICK_HANDS]
    known = {name: set(motion_ids(data, name)) for name in hands}
    for part, ids in of_part.items():
        if not ids:
            raise ValueError(f"'{data}' holds no recording of part '{part}' of split '{split}'.")
        for name, own in known.items():
            if own.isdisjoint(ids):
                raise ValueError(f"'{data}' holds no motion of '{name}' for part '{part}' of split '{split}'.")
    wanted = [name for ids in of_part.values() for name in ids]
    episodes = {episode.id: episode for episode in read_episodes(data, wanted)}
    meshes = {e.object_name: ycb_mesh(models, e.object_name) for e in episodes.values()}

    # Object by object, so that what a process has learned of a mesh serves the next recording.
    of_part = {part: sorted(ids, key=lambda i: (episodes[i].object_name, i)) for part, ids in of_part.items()}

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
                        found[GENERATED] = _generated(episodes[i], found[RETARGETED], model, generator, tokenizer, seed)
                    yield task(part, i, name, found, of_hands)

    skipped: dict[tuple[str, str], int] = defaultdict(int)
    table: dict[tuple[str, str, str], list[tuple[str, dict[str, float]]]] = defaultdict(list)
    total = (len(hands) + (HUMAN in variants)) * len(wanted)
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
        label = split if part == "test" else f"{split}/{part}"
        for (of, hand, variant), members in table.items():
            if of == part:
                first = {"split": label, "hand": hand, "variant": variant, "n": len(members)}
                rows.append({**first, "skipped": skipped[part, hand], **_summary(members, seed)})
    return rows


def _generated(
    episode: Episode,
    motion: HandMotion,
    hand: HandModel,
    generator: CodeWriter,
    tokenizer: Tokenizer,
    seed: int,
) -> HandMotion:
    case = case_of(episode, motion, hand)
    return generate_motion(case, generator, tokenizer, instruction=episode.instructions[0], seed=seed)


def _measure(task: _Task) -> Measured:
    """All variants of one recording and hand."""
    mesh = _mesh(task.mesh, task.episode.mirrored)
    if task.variants == (HUMAN,):
        episode, human = task.episode, hand_of_process(RECORDED_HAND).description
        return [(HUMAN, human_metrics(episode.keypoints_world, episode.T_world_object, mesh, human, episode.fps))]
    hand, found = hand_of_process(task.hand), []
    for variant in task.variants:
        base, _, way = variant.partition(" + ")
        motion = task.motions[base]
        extra: dict[str, float] = {}
        if way:
            refined, report = refine(motion, hand, **REFINEMENTS[way])
            extra = {**motion_change(motion, refined), "ms_per_frame": report.ms_per_frame}
            motion = refined
        path = task.episode.T_world_object
        found.append((variant, {**physical_metrics(motion, hand.description, mesh, given_path=path), **extra}))
    return found


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
def _mesh(path: Path, mirrored: bool) -> MeshDistance:
    """A true object, prepared once in each process."""
    surface = read_surface(path)
    for repair in surface.repairs:
        _log.warning("'%s': %s", path, repair)
    if mirrored:
        return MeshDistance(surface.vertices * _MIRROR, surface.faces[:, ::-1])
    return MeshDistance(surface.vertices, surface.faces)
