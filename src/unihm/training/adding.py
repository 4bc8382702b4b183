"""``unihm train tokenizer --add-hand``: a further hand joins the shared codes; nothing else changes, bit by bit."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.manifest import hands_in
from unihm.datasets.motion_store import attach, read_motions
from unihm.datasets.splits import split as split_ids
from unihm.hands.hand import HandModel, load_hand
from unihm.retargeting import retarget_with_report
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.schema.storage import write_json
from unihm.schema.weights import assign, read_tensors
from unihm.tokenizer.features import hand_features
from unihm.tokenizer.figures import cross_rows, own_rows
from unihm.tokenizer.tokenizer import SHIPPED, Tokenizer, load_tokenizer
from unihm.tokenizer.unified import UnifiedTokenizer
from unihm.training.presets import TOKENIZER, UnifiedTraining, choose
from unihm.training.unified import ChartTask, train_one

_log = logging.getLogger(__name__)


def add_hand(
    folder: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    weights: str | Path | None = None,
    frames: int | None = None,
    preset: str = "base",
    split: str = "release",
    seed: int = 0,
    resume: bool = False,
) -> dict[str, Any]:
    """Train the chart of a new hand and write a tokenizer that knows it, too.

    Its motions are the store's, where it has them, else recordings of the store's train part are retargeted to it.

    Args:
        folder: The hand's folder, or the name of a hand.
        data: Episode store with motions of the reference hand.
        out: Folder for log, checkpoint and ``tokenizer.safetensors``.
        weights: Tokenizer to add to; None is the shipped one.
        frames: Learn from so many frames, whole recordings drawn at random; None takes all.
        preset: Length of the training, a name in `presets.TOKENIZER`.
        split: Whose train part is learned from, and whose validation part is measured on.
        seed: Seed of everything random.
        resume: Go on from the checkpoint in `out`.

    Returns:
        Where the weights are, frames and seconds of the training, and rows of figures on the validation part.

    Raises:
        ValueError: The tokenizer is a VQ-VAE or knows the hand, the hand has too many joints, or the store is unfit.
    """
    data, out = Path(data), Path(out)
    tokenizer, hand = load_tokenizer(weights), load_hand(folder)
    model, config = tokenizer.model, choose(TOKENIZER, preset)
    if not isinstance(model, UnifiedTokenizer) or not isinstance(config, UnifiedTraining):
        raise ValueError("A hand is added to one stream for all hands; these weights or this preset are of a VQ-VAE.")
    if hand.name in tokenizer.hands:
        raise ValueError(f"The tokenizer knows '{hand.name}' already. It knows: {', '.join(tokenizer.hands)}.")
    config = _sized(config, model, seed)
    reference = load_hand(tokenizer.config.reference_hand)
    records = episode_table(data)
    lengths = {name: len(motion) for name, motion in read_motions(data, reference.name).items()}
    train = _drawn(lengths, split_ids(split, "train", records), frames, seed)
    parts = {"train": train, "validation": split_ids(split, "validation", records)}
    motions = {name: _motions(data, hand, reference, ids) for name, ids in parts.items()}
    start = time.perf_counter()
    task = ChartTask(
        hand=hand.name, reference=reference.name, motions=motions["train"], validation=motions["validation"],
        config=config, folder=out / f"1-{hand.name}", resume=resume, source=hand.folder,
    )  # fmt: skip
    tensors, _ = read_tensors(path := train_one(task))
    seconds = time.perf_counter() - start
    extended = _extended(model, hand)
    assign(extended.charts[hand.name], tensors, path)
    recordings = {r.id: r.recording for r in records}
    learned = {
        "hand": hand.name, "frames": sum(len(m) for m in motions["train"][hand.name].values()), "split": split,
        "seed": seed, "recordings": sorted({recordings[i] for i in train}),
    }  # fmt: skip
    own = ("format", "kind", "fingerprint", "codes", "model", "config", "hands", "figures")
    card = {key: value for key, value in tokenizer.card.items() if key not in own}
    card["added"] = [*card.get("added", ()), learned]
    card["training_recordings"] = sorted({*card.get("training_recordings", ()), *learned["recordings"]})
    Tokenizer(extended).save(out / SHIPPED, card)
    stored = load_tokenizer(out / SHIPPED)
    models = {hand.name: hand, reference.name: reference}
    rows = [{"source": "own", **row} for row in own_rows(stored, {hand.name: motions["validation"][hand.name]}, models)]
    rows += cross_rows(stored, motions["validation"], models, reference.name, [hand.name])
    write_json((out / SHIPPED).with_suffix(".json"), {**stored.card, "figures": {"part": "validation", "rows": rows}})
    return {"weights": str(out / SHIPPED), "fingerprint": stored.fingerprint, "frames": learned["frames"],
            "seconds": round(seconds, 1), "rows": rows}  # fmt: skip


def _sized(config: UnifiedTraining, model: UnifiedTokenizer, seed: int) -> UnifiedTraining:
    """The settings with the tokenizer's own sizes and the seed."""
    loop = replace(config.chart.loop, seed=seed)
    return replace(config, tokenizer=model.config, chart=replace(config.chart, loop=loop))


def _extended(model: UnifiedTokenizer, hand: HandModel) -> UnifiedTokenizer:
    """The same networks with an untrained chart more."""
    extended = UnifiedTokenizer(model.config, [*model.hands.values(), hand_features(hand)])
    known = model.state_dict()
    new = {name: value for name, value in extended.state_dict().items() if name.startswith(f"charts.{hand.name}.")}
    assign(extended, known | new, "the tokenizer")
    return extended


def _drawn(lengths: Mapping[str, int], ids: Sequence[str], frames: int | None, seed: int) -> list[str]:
    """Recordings with about so many frames together, at least one; all without a number."""
    if frames is None:
        return list(ids)
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected at least 1.")
    order: list[int] = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen: list[str] = []
    total = 0
    for number in order:
        if chosen and total + lengths[ids[number]] / 2 > frames:
            break
        chosen.append(ids[number])
        total += lengths[ids[number]]
    return chosen


def _motions(data: Path, hand: HandModel, reference: HandModel, ids: Sequence[str]) -> dict[str, dict[str, HandMotion]]:
    """Motions of the reference hand and of the new one."""
    episodes = read_episodes(data, ids)
    known = read_motions(data, reference.name, ids)
    found = {reference.name: {e.id: attach(known[e.id], e) for e in episodes}}
    if hand.name in hands_in(data):
        own = read_motions(data, hand.name, ids)
    else:
        _log.info("'%s' has no motions of '%s'; %d recordings are retargeted", data, hand.name, len(ids))
        own = _retargeted(episodes, hand)
    found[hand.name] = {e.id: attach(own[e.id], e) for e in episodes}
    return found


def _retargeted(episodes: Sequence[Episode], hand: HandModel) -> dict[str, HandMotion]:
    if not episodes:
        return {}
    motions, _ = retarget_with_report([e.keypoints_world for e in episodes], hand.description)
    return {e.id: motion.replace(fps=e.fps) for e, motion in zip(episodes, motions, strict=True)}
