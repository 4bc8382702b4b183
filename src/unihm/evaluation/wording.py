"""Whether other words mean the same, and whether what is asked for is done.

*The same in other words.* Every held-out recording is generated from training wordings, from held-out sentence forms
and phrases, and from held-out names of its object; all are compared with the recording, and with the first.

*Followed.* The recording is asked for from a side, or at a speed, by sentences that say nothing else. What was asked
for is measured on the generated motion as `datasets.instructions` measures it on recorded ones. ``own``: what the
recording did. ``other``: another value that training recordings of the same object hold too; the initial pose and the
path stay those of the recording. Speeds are asked for without a path, which would say how fast the object moves; the
palm's speed in the second half of the motion stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.instructions import asking, episode_facts, instructions, names_of, speed_of
from unihm.datasets.motion_store import read_motions
from unihm.datasets.object_names import ObjectNames
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import Case, CodeWriter, case_of, evenly, generate_motions, track_of
from unihm.evaluation.motion_metrics import mean_and_interval, score
from unihm.hands.hand import HandModel, load_hand
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.tokenizer.tokenizer import Tokenizer

_SPEEDS = ("slow", "fast")


def evaluate_wording(
    data: str | Path,
    split: str,
    parts: Sequence[str],
    generator: CodeWriter,
    tokenizer: Tokenizer,
    *,
    hand: str = "human",
    seed: int = 0,
    count: int | None = None,
) -> list[dict[str, Any]]:
    """Rows ``split, hand, method, n, mpjpe_mm, change_mm, apart_mm, followed`` with intervals.

    Args:
        data: Episode store with motions of `hand`.
        split: A key of `datasets.splits.SPLITS`.
        parts: Parts of it.
        generator: What is tested.
        tokenizer: Decodes its codes.
        hand: Whose motions are generated.
        seed: Of the wordings.
        count: Only so many recordings of each part.

    Raises:
        ValueError: A name does not exist, or a part is empty.
    """
    records = episode_table(data)
    model = load_hand(hand)
    training = read_episodes(data, split_ids(split, "train", records))
    known = _values_of_objects(training)
    rows = []
    for part in parts:
        ids = split_ids(split, part, records)
        ids = ids if count is None else evenly(ids, count)
        if not ids:
            raise ValueError(f"'{data}' holds no recording of part '{part}' of split '{split}'.")
        motions = read_motions(data, hand, ids)
        cases = [case_of(e, motions[e.id], model) for e in read_episodes(data, list(motions))]
        label = split if part == "test" else f"{split}/{part}"
        head = {"split": label, "hand": hand}
        rows += [{**head, **row} for row in _paraphrases(cases, model, generator, tokenizer, seed)]
        rows += [{**head, **row} for row in _followed(cases, known, model, generator, tokenizer, seed)]
    return rows


def _paraphrases(
    cases: Sequence[Case], hand: HandModel, generator: CodeWriter, tokenizer: Tokenizer, seed: int
) -> list[dict[str, Any]]:
    """How far motions are from the truth and from those of the training wording."""
    texts: dict[str, list[str]] = {name: [] for name in ("training wording", "other training wording",
                                                         "held-out wording", "held-out synonym")}  # fmt: skip
    for case in cases:
        facts = episode_facts(case.episode, names_of(case.episode))
        # All say the same of the episode: from which side, so that only the words differ.
        stating = ("approach",)
        first, second = instructions(facts, seed, count=2, stating=stating)
        texts["training wording"].append(first)
        texts["other training wording"].append(second)
        (held_out,) = instructions(facts, seed, count=1, stating=stating, held_out=True)
        texts["held-out wording"].append(held_out)
        names = facts.names
        renamed = replace(facts, names=ObjectNames(names.held_out[0], names.held_out[1:], names.held_out))
        (synonym,) = instructions(renamed, seed, count=1, stating=stating)
        texts["held-out synonym"].append(synonym)
    rows, base = [], None
    for name, words in texts.items():
        made = generate_motions(cases, generator, tokenizer, instructions=words, seed=seed, temperature=0.0)
        tracks = [track_of(m, hand) for m in made]
        errors = np.array([score(t, c.truth)["mpjpe_mm"] for t, c in zip(tracks, cases, strict=True)])
        base = (errors, tracks) if base is None else base
        apart = [score(a, b)["mpjpe_mm"] for a, b in zip(tracks, base[1], strict=True)]
        rows.append(
            {
                "method": name,
                "n": len(cases),
                **_column("mpjpe_mm", errors),
                **_column("change_mm", errors - base[0]),
                **_column("apart_mm", np.array(apart)),
            }
        )
    return rows


def _followed(
    cases: Sequence[Case],
    known: Mapping[str, Mapping[str, frozenset[str]]],
    hand: HandModel,
    generator: CodeWriter,
    tokenizer: Tokenizer,
    seed: int,
) -> list[dict[str, Any]]:
    """Share of the motions that do what was asked for."""
    rows = []
    for held_out in (False, True):
        words = "held-out words" if held_out else "training words"
        for slot in ("approach", "speed"):
            asked: dict[str, list[tuple[Case, str, str]]] = {"own": [], "other": []}
            for case in cases:
                facts = episode_facts(case.episode, names_of(case.episode))
                own = _value(slot, facts)
                values = known[slot].get(case.episode.object_name, frozenset().union(*known[slot].values()))
                for value in sorted(values if slot == "approach" else values & set(_SPEEDS)):
                    if len(values) < 2:
                        continue
                    (text,) = asking(facts, slot, value, seed, count=1, held_out=held_out)
                    asked["own" if value == own else "other"].append((case, value, text))
            for which, wanted in asked.items():
                if not wanted:
                    continue
                chosen = [case for case, _, _ in wanted]
                made = generate_motions(
                    chosen, generator, tokenizer, instructions=[t for _, _, t in wanted], seed=seed, temperature=0.0,
                    with_path=slot == "approach",
                )  # fmt: skip
                done = _done(slot, chosen, made, [v for _, v, _ in wanted], hand)
                row = {"method": f"{slot} asked for, {which}, {words}", "n": len(wanted)}
                rows.append({**row, **_column("followed", np.array(done, dtype=float))})
    return rows


def _done(
    slot: str, cases: Sequence[Case], made: Sequence[HandMotion], values: Sequence[str], hand: HandModel
) -> list[bool]:
    if slot == "approach":
        sides = [_value("approach", episode_facts(_performed(c, m, hand), names_of(c.episode))) for c, m in
                 zip(cases, made, strict=True)]  # fmt: skip
        return [side == value for side, value in zip(sides, values, strict=True)]
    speed = [_carry_speed(m) for m in made]
    middle = float(np.median(speed))
    return [
        (found < middle) if value == "slow" else (found >= middle) for value, found in zip(values, speed, strict=True)
    ]


def _carry_speed(motion: HandMotion) -> float:
    """Mean speed of the palm in the second half, m/s."""
    steps = np.linalg.norm(np.diff(motion.T_world_palm[len(motion) // 2 :, :3, 3], axis=0), axis=1)
    return float(steps.mean() * motion.fps) if len(steps) else 0.0


def _performed(case: Case, motion: HandMotion, hand: HandModel) -> Episode:
    """The recording with the generated hand in it, to be measured as recordings are."""
    keypoints = case.episode.keypoints_world.copy()
    keypoints[:, hand.keypoint_indices.numpy()] = track_of(motion, hand).keypoints_world
    return replace(case.episode, keypoints_world=keypoints)


def _value(slot: str, facts: Any) -> str:
    if slot == "approach":
        return facts.approach
    return speed_of(facts)


def _values_of_objects(episodes: Sequence[Episode]) -> dict[str, dict[str, frozenset[str]]]:
    """Slot to object to the values that recordings hold, each at least twice."""
    found: dict[str, dict[str, list[str]]] = {"approach": {}, "speed": {}}
    for episode in episodes:
        facts = episode_facts(episode, names_of(episode))
        for slot, objects in found.items():
            objects.setdefault(episode.object_name, []).append(_value(slot, facts))
    return {
        slot: {name: frozenset(v for v in values if values.count(v) > 1) for name, values in objects.items()}
        for slot, objects in found.items()
    }


def _column(name: str, values: np.ndarray) -> dict[str, Any]:
    mean, low, high = mean_and_interval(values)
    return {name: mean, f"{name}_ci": [low, high]}
