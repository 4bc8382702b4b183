"""The tokenizer's table: what codes keep of held-out motions, on the hand itself and from hand to hand.

Only codes travel here; the object's path is given, as it is everywhere. A method ``mean_pose`` with no codes at
all stands beside the tokenizer: the mean of the training motions in the canonical frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.manifest import hands_in
from unihm.datasets.motion_store import attach, read_motions
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import RECORDED_HAND, TEST_PARTS
from unihm.evaluation.linear_codes import baseline_rows
from unihm.evaluation.polished import polished_rows
from unihm.evaluation.trained_on import refuse_trained_on, warn_of_other_motions
from unihm.hands.hand import load_hand
from unihm.schema.motion import HandMotion
from unihm.tokenizer.figures import cross_rows, mean_pose_errors, own_rows
from unihm.tokenizer.tokenizer import Tokenizer

_QUICK = 12  # sequences of each part


def evaluate_tokenizer(
    data: str | Path,
    split: str,
    tokenizer: Tokenizer,
    *,
    hands: Sequence[str] = (),
    sources: Sequence[str] = (),
    others: Mapping[str, Tokenizer] | None = None,
    polish: int = 0,
    selection: bool = False,
    baselines: bool = False,
    quick: bool = False,
) -> list[dict[str, Any]]:
    """Rows with split, hand, quantiser, n (sequences) and the figures of `tokenizer.figures`.

    Args:
        data: Episode store with motions of the hands.
        split: A key of `datasets.splits.SPLITS`.
        tokenizer: What is measured.
        hands: Hands to measure; empty takes all of the tokenizer. The reference hand is always read. Linear codes can
            be measured on hands that the tokenizer does not know, too.
        sources: Hands whose motions the others decode; the hand that was recorded is always read for them, if it is in
            the store.
        others: Further tokenizers by the name of their rows; of each the hands that it knows are measured.
        polish: Also measure the person's motions after so many solver steps (`polished`).
        selection: Measure on the recordings kept for choosing between models instead of the test parts.
        baselines: Measure linear codes of several rates and plain k-means as well (`linear_codes`).
        quick: Only some recordings of each part, chosen evenly.

    Raises:
        ValueError: A test recording was trained on, a part is empty, or a name does not exist.
    """
    reference = tokenizer.config.reference_hand
    names = tuple(hands) or tokenizer.hands
    person = RECORDED_HAND if sources and RECORDED_HAND in hands_in(data) else None
    read: tuple[str, ...] = (*names, *sources, reference, *([] if person is None else [person]))
    read = tuple(dict.fromkeys(read))
    records = episode_table(data)
    parts = ("validation",) if selection else TEST_PARTS.get(split, ("test",))
    ids = {part: split_ids(split, part, records) for part in (*parts, "train")}
    if not selection:
        recordings = {record.id: record.recording for record in records}
        tested = {recordings[name] for part in parts for name in ids[part]}
        refuse_trained_on(tested, {"tokenizer": tokenizer.card, **{n: o.card for n, o in (others or {}).items()}})
    warn_of_other_motions(data, read, {"tokenizer": tokenizer.card})
    models = {name: load_hand(name) for name in read}
    training = {name: motions_of(data, name, ids["train"]) for name in read}
    rows = []
    for part in parts:
        chosen = ids[part][:: max(1, len(ids[part]) // _QUICK)] if quick else ids[part]
        if not chosen:
            raise ValueError(f"'{data}' holds no recording of part '{part}' of split '{split}'.")
        label = split if part == "test" else f"{split}/{part}"
        motions = {name: motions_of(data, name, chosen) for name in read}
        common = {"split": label, "n": len(chosen)}
        known = {name: motions[name] for name in names if name in tokenizer.hands or not baselines}
        quantiser = tokenizer.config.quantiser
        rows += [
            {**common, "quantiser": quantiser, "source": "own", **row} for row in own_rows(tokenizer, known, models)
        ]
        for label_of, other in (others or {}).items():
            theirs = {name: motions[name] for name in names if name in other.hands}
            rows += [
                {**common, "quantiser": label_of, "source": "own", **row} for row in own_rows(other, theirs, models)
            ]
        for source in sources:
            targets = [name for name in known if name != source]
            rows += [
                {**common, "quantiser": quantiser, **row}
                for row in cross_rows(tokenizer, motions, models, source, targets, person)
            ]
        if polish and person is not None:
            targets = [name for name in known if name != person]
            steps = polished_rows(tokenizer, motions, models, person, targets, polish)
            rows += [{**common, "quantiser": quantiser, **row} for row in steps]
        for name in names:
            none = mean_pose_errors(motions[name], training[name], models[name])
            rows.append({**common, "hand": name, "quantiser": "mean_pose", "bits_per_frame": 0.0, **none})
        if baselines:
            measured = {name: models[name] for name in names}
            rows += [{**common, **row} for row in baseline_rows(measured, training, motions, reference)]
    return rows


def motions_of(data: str | Path, hand: str, ids: list[str]) -> dict[str, HandMotion]:
    """Motions of a hand with their objects, in the order of the ids."""
    found = read_motions(data, hand, ids)
    return {e.id: attach(found[e.id], e) for e in read_episodes(data, ids)}


def rounded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with three digits of every number, for people."""
    return [{k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in row.items()} for row in rows]
