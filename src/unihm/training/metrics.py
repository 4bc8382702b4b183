"""``unihm train metrics``: the encoder in which distribution metrics are taken, and its card (Appendix F)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unihm.datasets.episode_store import episode_table
from unihm.datasets.manifest import hands_in
from unihm.datasets.motion_store import motion_ids
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.distribution_metrics import POOL, TOP, r_precision
from unihm.evaluation.motion_text.encoder import (
    MetricEncoder,
    load_metric_encoder,
    principal_axes,
    weights_name,
)
from unihm.evaluation.motion_text.network import MotionTextNetwork, NetworkConfig
from unihm.generation.generator import Reader
from unihm.generation.text_encoder import load_text_encoder
from unihm.schema.storage import write_json
from unihm.training.card import training_card
from unihm.training.loop import LoopConfig, fit
from unihm.training.metrics_data import DescribedMotions
from unihm.training.metrics_objective import SENTENCES, MetricsModule, MetricsTask, MetricsTraining
from unihm.training.presets import choose
from unihm.training.tokenizer import begin_with_motions
from unihm.training.unified import one_thread

_log = logging.getLogger(__name__)


METRICS: Mapping[str, MetricsTraining] = {
    "tiny": MetricsTraining(
        network=NetworkConfig(dimensions=32, width=64, dropout=0.1),
        loop=LoopConfig(epochs=80, learning_rate=2e-3, warmup_steps=10, weight_decay=0.05, best="validation_loss"),
        fault=3.0,
        fresh=1,
    ),
    "base": MetricsTraining(
        loop=LoopConfig(epochs=320, learning_rate=1e-3, weight_decay=0.05, final_rate=0.02, best="validation_loss"),
    ),
}
"""Presets of ``unihm train metrics``."""


@one_thread()
def train_metrics(
    data: str | Path,
    out: str | Path,
    *,
    preset: str | MetricsTraining = "base",
    split: str = "release",
    seed: int = 0,
    resume: bool = False,
    reader: Reader | None = None,
) -> dict[str, Any]:
    """Train on the train part of a split; the validation part chooses the weights that are kept.

    Args:
        data: Episode store with motions; all its hands are learned from.
        out: Folder for log, checkpoints and ``metrics-<split>.safetensors`` with its card.
        preset: Name in `METRICS`, or settings.
        split: Name of a split.
        seed: Seed of everything random.
        resume: Go on from the checkpoint in `out`.
        reader: The frozen sentence encoder, where one is loaded already.

    Returns:
        Where the weights are, their fingerprint, and figures on the validation part.

    Raises:
        ValueError: Preset or split do not exist, the store is unfit, a checkpoint does not fit, or the run began with
            other motions than the store now holds.
    """
    name = preset if isinstance(preset, str) else "custom"
    config = choose(METRICS, preset) if isinstance(preset, str) else preset
    config = replace(config, loop=replace(config.loop, seed=seed))
    data, out = Path(data), Path(out)
    records, hands = episode_table(data), hands_in(data)
    if not hands:
        raise ValueError(f"'{data}' holds no motions; make them with unihm data retarget.")
    parts = {part: _complete(data, hands, split_ids(split, part, records)) for part in ("train", "validation")}
    if not parts["train"]:
        raise ValueError(f"Split '{split}' has no training episodes in '{data}'.")
    made = begin_with_motions(data, hands, out, resume=resume)
    reader = reader or load_text_encoder()
    sets = {part: DescribedMotions(data, ids, hands, reader, fresh=config.fresh) for part, ids in parts.items() if ids}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = MetricsModule(config.network)
    task = MetricsTask(sets["train"], sets.get("validation"), config)
    progress = fit(
        module, task.loss, task.batches, config.loop, out, steps_per_epoch=task.steps_per_epoch, resume=resume,
        on_epoch_end=task.validate, title="metrics",
    )  # fmt: skip
    card = training_card(
        "metrics", config, preset=name, split=split, seed=seed, data=data, made=made, records=records, parts=parts
    )
    card |= {"kept_epoch": progress.best_epoch or progress.epoch, "hands": list(hands)}
    path = out / weights_name(split)
    encoder = _with_axes(module.network, sets["train"], reader)
    fingerprint = encoder.save(path, card)
    stored = load_metric_encoder(split, path, texts=reader)
    figures = retrieval(stored, sets["validation"], seed) if "validation" in sets else {}
    write_json(path.with_suffix(".json"), {**stored.card, "figures": {"part": "validation", **figures}})
    return {"weights": str(path), "fingerprint": fingerprint, "figures": figures}


def retrieval(encoder: MetricEncoder, motions: DescribedMotions, seed: int) -> dict[str, Any]:
    """R-precision of recorded motions by hand, mean over a few sentences; none where there are too few recordings."""
    pool = min(POOL, len(motions))
    found = {}
    for hand, of_hand in motions.of_hand.items():
        features = encoder.features_of(of_hand).double().numpy()
        rates = []
        for which in SENTENCES:
            texts = encoder.text_features([of_one[which % len(of_one)] for of_one in motions.texts])
            rates.append(r_precision(features, texts, np.random.default_rng(seed), pool=pool))
        found[hand] = [round(float(rate), 3) for rate in np.mean(rates, axis=0)]
    return {"pool": pool, "top": list(TOP), "r_precision": found}


def _with_axes(network: MotionTextNetwork, motions: DescribedMotions, reader: Reader) -> MetricEncoder:
    """The networks as they will be stored, with the principal axes of what they make of the training motions.

    Each hand's mean is taken out first: an axis that only tells hands apart would say nothing within a table's row.
    """
    network = network.half().float().eval()
    untold = MetricEncoder(network, torch.zeros(1, 1), torch.zeros(1), texts=reader)
    features = [untold.features_of(of_hand) for of_hand in motions.of_hand.values()]
    axes, _ = principal_axes(torch.cat([of_hand - of_hand.mean(dim=0) for of_hand in features]))
    return MetricEncoder(network, axes, torch.cat(features).mean(dim=0), texts=reader)


def _complete(data: Path, hands: tuple[str, ...], ids: list[str]) -> list[str]:
    """Episodes that every hand has a motion of; others are left out, and counted."""
    known = [set(motion_ids(data, hand)) for hand in hands]
    kept = [name for name in ids if all(name in of_hand for of_hand in known)]
    if len(kept) < len(ids):
        _log.warning("%d of %d episodes lack a motion of some hand", len(ids) - len(kept), len(ids))
    return kept
