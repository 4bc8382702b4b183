"""The first part of ``unihm train planner``: a network that cuts views into things learns from made scenes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unihm.cliport.instances import instances
from unihm.cliport.view_network import (
    OFFSET_CELLS,
    ViewConfig,
    ViewNetwork,
    half_where_fast,
    load_view_network,
    without_depth,
)
from unihm.scene_data.store import SceneStore, read_scenes
from unihm.schema.storage import write_json
from unihm.schema.weights import assign
from unihm.training.loop import LoopConfig, fit
from unihm.training.presets import choose
from unihm.training.unified import one_thread
from unihm.training.view_augmentation import ViewAugmentation, view_batch
from unihm.training.view_data import ViewSet, gather_views
from unihm.training.view_objective import best_overlaps, view_loss

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ViewTraining:
    """How the view network is trained."""

    network: ViewConfig = field(default_factory=ViewConfig)
    """Sizes of the network."""
    loop: LoopConfig
    """Epochs are passes over the training images."""
    augmentation: ViewAugmentation | None = field(default_factory=ViewAugmentation)
    """How images are drawn anew; None takes them as they are."""
    batch_size: int = 8
    """Images in a batch, fewer where there are fewer."""
    measured: int = 48
    """Held-out images that are measured after each epoch, evenly among all."""


VIEW: Mapping[str, ViewTraining] = {
    "tiny": ViewTraining(
        network=ViewConfig(widths=(8, 16, 24), cells=96),
        loop=LoopConfig(epochs=2, learning_rate=3e-3, warmup_steps=2, log_steps=1, best="missed"),
        batch_size=2,
        measured=2,
    ),
    "base": ViewTraining(
        loop=LoopConfig(
            epochs=9, learning_rate=2e-3, final_rate=0.01, warmup_steps=100, checkpoint_steps=100, best="missed"
        ),
    ),
    # For weights that know others of these scenes already.
    "further": ViewTraining(
        loop=LoopConfig(
            epochs=4, learning_rate=1e-3, final_rate=0.01, warmup_steps=50, checkpoint_steps=100, best="missed"
        ),
    ),
    # For a new workplace, from weights that know others.
    "finetune": ViewTraining(
        loop=LoopConfig(epochs=16, learning_rate=5e-4, warmup_steps=10, checkpoint_steps=100, best="missed"),
    ),
}
"""Presets of the view network's training."""


class ViewTask:
    """Batches, loss and validation."""

    def __init__(self, views: ViewSet, config: ViewTraining):
        self.views, self.config = views, config
        self.batch_size = min(config.batch_size, len(views.training))
        self.steps_per_epoch = len(views.training) // self.batch_size

    def batches(self, epoch: int, rng: torch.Generator) -> Iterator[Tensor]:
        """Numbers of images; they are read when their turn comes, so that a resumed run skips others at no cost."""
        order = torch.from_numpy(self.views.training)[torch.randperm(len(self.views.training), generator=rng)]
        yield from order[: self.steps_per_epoch * self.batch_size].split(self.batch_size)

    def loss(self, network: ViewNetwork, batch: Tensor, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """See `view_loss`."""
        seed = int(torch.randint(2**31, (1,), generator=rng))
        device = network.scale.device
        drawn = view_batch(self.views, batch.numpy(), self.config.augmentation, seed)
        drawn = type(drawn)(**{name: tensor.to(device) for name, tensor in vars(drawn).items()})
        with half_where_fast(device):
            maps = network(drawn.views)
        return view_loss(maps, drawn)

    def validate(self, network: ViewNetwork, epoch: int, rng: torch.Generator) -> dict[str, float]:
        """See `measured`; ``missed`` is 1 - IoU."""
        held_out = self.views.held_out
        some = np.unique(np.linspace(0, len(held_out) - 1, self.config.measured).astype(int))
        figures = measured(network, self.views, held_out[some])
        _log.info("epoch %d: %s", epoch, figures)
        return {**figures, "missed": 1 - figures["iou"]}


def measured(network: ViewNetwork, views: ViewSet, indices: np.ndarray) -> dict[str, float]:
    """Over the things in held-out images: mean IoU of the instances that fit them best, and shares above bounds."""
    overlaps, extra = [], 0
    for index in indices:
        truth = views.whole(int(index))
        classes, offsets = network.maps(views.inputs(int(index)))
        found = instances(classes, OFFSET_CELLS * offsets, *truth.shape)
        overlaps.append(best_overlaps(found.labels, truth))
        extra += len(found) - len(overlaps[-1])
    every = np.concatenate(overlaps)
    return {
        "iou": float(every.mean()),
        "above_0.5": float((every > 0.5).mean()),
        "above_0.75": float((every > 0.75).mean()),
        "extra": extra / len(indices),
    }


@one_thread()
def train_view(
    data: str | Path,
    out: str | Path,
    *,
    preset: str | ViewTraining = "base",
    seed: int = 0,
    resume: bool = False,
    rgb_only: bool = False,
    start: str | Path | None = None,
) -> dict[str, Any]:
    """Train on the scenes of a store but for the last ones, which choose the weights that are kept.

    Args:
        data: Store of made scenes.
        out: Folder for the images in cells (1 MB each), log, checkpoints and ``view.safetensors`` with its card.
        preset: Name in `VIEW`, or settings.
        seed: Seed of everything random.
        resume: Go on from the checkpoint in `out`, with the images that the run began with.
        rgb_only: Whether the network shall do without depth.
        start: Weights to begin with instead of random ones.

    Returns:
        Where the weights are, their fingerprint, and figures on the held-out images.

    Raises:
        ValueError: The preset does not exist, the store is unfit, or a checkpoint or `start` does not fit.
    """
    name = preset if isinstance(preset, str) else "custom"
    config = choose(VIEW, preset) if isinstance(preset, str) else preset
    config = replace(
        config,
        loop=replace(config.loop, seed=seed),
        network=replace(config.network, rgb_only=rgb_only or config.network.rgb_only),
    )
    out, store = Path(out), SceneStore(data)
    made, count = {"made_with": store.made_with}, len(store)
    views = gather_views(out / "views", read_scenes(data, count), count, made, config.network.cells, resume=resume)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ViewNetwork(config.network)
    before: dict[str, Any] = {}
    if start is not None:
        known, before = load_view_network(start)
        less = config.network.rgb_only and not known.config.rgb_only
        assign(network, (without_depth(known) if less else known).state_dict(), start)
    task = ViewTask(views, config)
    progress = fit(
        network, task.loss, task.batches, config.loop, out, steps_per_epoch=task.steps_per_epoch, resume=resume,
        on_epoch_end=task.validate, title="view",
    )  # fmt: skip
    path = out / "view.safetensors"
    words = [f"--preset {name} --seed {seed}", *(["--rgb-only"] if config.network.rgb_only else [])]
    card = {
        "licence": store.licence,
        "preset": name,
        "training": asdict(config),
        "seed": seed,
        "command": " ".join([f"unihm train planner {'--data' if start is None else '--finetune'} DATA", *words]),
        "scenes": store.facts,
        "training_images": len(views.training),
        "held_out_images": len(views.held_out),
        "finetuned_from": before.get("fingerprint"),
        "kept_epoch": progress.best_epoch or progress.epoch,
    }
    fingerprint = network.save(path, card)
    stored, card = load_view_network(path)
    figures = {"part": "held out", **measured(stored, views, views.held_out)}
    write_json(path.with_suffix(".json"), {**card, "figures": figures})
    return {"weights": str(path), "fingerprint": fingerprint, "figures": figures}
