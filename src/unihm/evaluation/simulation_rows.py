"""Rows of the simulation table from single trials: success rates of groups, and paired differences.

A rate has two intervals: Wilson's (``ci_low``, ``ci_high``), and the same for trials that resemble each other by object
(``cluster_low``, ``cluster_high``; null for a single object). A paired difference is between two ways of doing the same
trials, ``variant: "A - B"`` and ``group: "paired"``: success of A less that of B, where B is listed first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from unihm.evaluation.cases import part_label
from unihm.evaluation.intervals import clustered_wilson, paired_difference, wilson
from unihm.evaluation.trials import CRASHED, REFUSED, TrialName, TrialResult
from unihm.simulation.tasks import REASONS
from unihm.simulation.ycb import HARD

ALL, EASY, DIFFICULT, GRASPABLE, PAIRED = GROUPS = ("all", "easy", "hard", "graspable", "paired")
"""Values of ``group`` beside the names of objects. ``hard`` objects are those of `ycb.HARD`; ``graspable`` are those
that a hand of two fingers spans as they stand."""
ALL_HANDS = "all hands"
"""Value of ``hand`` in paired differences over the trials of all of them."""
MEASURES = ("slip_mm_per_frame", "drift_mm", "drift_deg", "depth_max_mm", "force_max_n", "perceived_success")
"""Columns that are means over those trials in which they exist."""

Row = dict[str, Any]


def success_rows(
    results: Sequence[TrialResult],
    split: str,
    task: str,
    *,
    skipped: Mapping[tuple[str, str], int],
    spanned: Collection[tuple[str, str]],
) -> list[Row]:
    """One row for every part of the split, hand, variant, setting, criterion and group that has trials.

    Where there are several parts, rows of the whole split follow, without those of single objects.

    Args:
        results: All trials.
        split: Name of the split.
        task: Name of the task.
        skipped: Part and hand to the number of recordings without a motion, or without this task.
        spanned: Episode and hand of each pair in which two fingers span the object.
    """
    rows = []
    for label, parts in _labels(results, split).items():
        grouped: dict[TrialName, dict[str, list[TrialResult]]] = defaultdict(lambda: defaultdict(list))
        for result in results:
            if result.name.part in parts:
                shared = result.name._replace(part=label, episode="", repeat=0)
                for group in _groups(result, spanned):
                    grouped[shared][group].append(result)
        for name, groups in grouped.items():
            left_out = sum(skipped.get((part, name.hand), 0) for part in parts)
            for group in sorted(groups, key=lambda g: (GROUPS.index(g) if g in GROUPS else len(GROUPS), g)):
                if group in GROUPS or len(parts) == 1:
                    row = {**_first(label, name, task, group), **_summary(groups[group])}
                    rows.append({**row, "skipped": left_out if group == ALL else None})
    return rows


def paired_rows(results: Sequence[TrialResult], split: str, task: str, *, seed: int = 0) -> list[Row]:
    """Differences between variants, frictions, noises of the cloud, and solids, over the same trials.

    Each is compared with the one that is listed first, the others at their first values, except that frictions, noises
    and solids are compared for every variant.

    Args:
        results: All trials.
        split: Name of the split.
        task: Name of the task.
        seed: Of the drawing of objects.
    """
    rows = []
    for label, parts in _labels(results, split).items():
        arms: dict[TrialName, dict[tuple[str, str, str, int], TrialResult]] = defaultdict(dict)
        for result in results:
            name = result.name
            if name.part in parts:
                for hand in (name.hand, ALL_HANDS):
                    shared = name._replace(part=label, episode="", repeat=0, hand=hand)
                    arms[shared][name.part, name.hand, name.episode, name.repeat] = result
        several = len({name.hand for name in arms}) > 2
        for first, second, words in _pairs(sorted(arms, key=lambda arm: arm.hand == ALL_HANDS)):
            both = [key for key in arms[first] if key in arms[second]]
            if not both or (first.hand == ALL_HANDS and not several):
                continue
            before, after = ([arms[arm][key].success for key in both] for arm in (first, second))
            objects = [arms[first][key].object for key in both]
            plain = paired_difference(np.array(before), np.array(after))
            row = {**_first(label, second, task, PAIRED), "variant": words, "n": len(both)}
            row |= {"success": plain.estimate, "ci_low": plain.low, "ci_high": plain.high}
            if second.friction != first.friction:
                row["friction"] = None
            if len(set(objects)) > 1:
                drawn = paired_difference(np.array(before), np.array(after), objects, seed=seed)
                row |= {"cluster_low": drawn.low, "cluster_high": drawn.high}
            rows.append({**row, "gained": plain.gained, "lost": plain.lost, "p_value": plain.p_value})
    return rows


def _labels(results: Sequence[TrialResult], split: str) -> dict[str, set[str]]:
    """What is said under ``split``, and the parts that it stands for."""
    parts = dict.fromkeys(result.name.part for result in results)
    labels = {part_label(split, part): {part} for part in parts}
    return labels if len(parts) < 2 else {**labels, split: set(parts)}


def _groups(result: TrialResult, spanned: Collection[tuple[str, str]]) -> tuple[str, ...]:
    of_hand = (GRASPABLE,) if (result.name.episode, result.name.hand) in spanned else ()
    return (ALL, DIFFICULT if result.object in HARD else EASY, *of_hand, result.object)


def _first(label: str, name: TrialName, task: str, group: str) -> Row:
    """The columns that every row begins with; rates are filled in later."""
    row: Row = {"split": label, "hand": name.hand, "task": task, "variant": name.variant}
    row |= dict.fromkeys(("n", "success", "ci_low", "ci_high"))
    row |= {"criterion": name.criterion, "friction": name.friction, "group": group}
    row |= {"cluster_low": None, "cluster_high": None}
    return {**row, "cloud_noise_mm": name.cloud_noise, "solids": name.solids}


def _summary(members: Sequence[TrialResult]) -> Row:
    outcomes = np.array([result.success for result in members])
    rate = wilson(int(outcomes.sum()), len(outcomes))
    row: Row = {"n": len(members), "success": rate.estimate, "ci_low": rate.low, "ci_high": rate.high}
    objects = [result.object for result in members]
    if len(set(objects)) > 1:
        row |= dict(zip(("cluster_low", "cluster_high"), clustered_wilson(outcomes, objects)[1:], strict=True))
    counts = Counter(result.reason for result in members if not result.success)
    usual = (*REASONS, REFUSED, CRASHED)
    row["reasons"] = {reason: counts[reason] for reason in (*usual, *sorted({*counts} - {*usual})) if counts[reason]}
    for measure in MEASURES:
        values = [result.measures[measure] for result in members if measure in result.measures]
        row[measure] = float(np.mean(values)) if values else None
    return row


def _pairs(arms: Sequence[TrialName]) -> Iterator[tuple[TrialName, TrialName, str]]:
    """First and second of each pair, and their difference in words."""
    known = set(arms)
    usual = arms[0]
    for arm in arms:
        plain = arm.solids == usual.solids and arm.friction == usual.friction
        clouds = [other.cloud_noise for other in arms if other.variant == arm.variant]
        of_first = [other.cloud_noise for other in arms if other.variant == usual.variant]
        pairs = []
        if plain and arm.cloud_noise == clouds[0] and arm.variant != usual.variant:
            other = arm._replace(variant=usual.variant, cloud_noise=of_first[0])
            pairs.append((other, f"{arm.variant} - {usual.variant}"))
        if arm.solids == usual.solids and arm.cloud_noise == clouds[0] and arm.friction != usual.friction:
            other = arm._replace(friction=usual.friction)
            pairs.append((other, f"{arm.variant}: friction {arm.friction:g} - {usual.friction:g}"))
        if plain and arm.cloud_noise != clouds[0]:
            other = arm._replace(cloud_noise=clouds[0])
            pairs.append((other, f"{arm.variant}: cloud noise {arm.cloud_noise:g} mm - {clouds[0]:g} mm"))
        if arm.friction == usual.friction and arm.cloud_noise == clouds[0] and arm.solids != usual.solids:
            other = arm._replace(solids=usual.solids)
            pairs.append((other, f"{arm.variant}: {arm.solids} - {usual.solids} solids"))
        for other, words in pairs:
            if other in known:
                yield other, arm, words
