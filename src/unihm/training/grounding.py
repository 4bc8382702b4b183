"""The part of ``unihm train planner`` that reads words: which thing is meant, which task, where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from unihm.cliport.clip_resnet import load_clip
from unihm.cliport.network import SHIPPED, PlannerConfig, PlannerNetwork, load_planner, without_depth
from unihm.generation.text_encoder import load_text_encoder
from unihm.scene_data.store import SceneStore
from unihm.training.grounding_data import RELATION_NAMES, prepare
from unihm.training.grounding_task import GroundingTask, LossWeights, Noise, figures
from unihm.training.listening import Listening, ListeningTask, encode_once
from unihm.training.loop import EpochEnd, LoopConfig, fit
from unihm.training.presets import choose
from unihm.training.unified import one_thread

_VALIDATION = 20  # every so many-th image chooses the weights that are kept


@dataclass(frozen=True, kw_only=True)
class GroundingTraining:
    """Everything that decides how the planner is trained."""

    network: PlannerConfig = field(default_factory=lambda: PlannerConfig(relations=RELATION_NAMES))
    """Sizes."""
    loop: LoopConfig
    """Length and rates."""
    weights: LossWeights = field(default_factory=LossWeights)
    """Of the outputs."""
    noise: Noise = field(default_factory=Noise)
    """On the crops."""
    batch_images: int = 12
    """Images in a batch."""
    batch_said: int = 96
    """Instructions in a batch, at most."""
    listening: Listening
    """What follows: more words about the same scenes."""


GROUNDING: Mapping[str, GroundingTraining] = {
    "tiny": GroundingTraining(
        network=PlannerConfig(relations=RELATION_NAMES, widths=(8, 16, 24), embedding=32, width=32, layers=1, heads=2),
        loop=LoopConfig(epochs=2, learning_rate=2e-3, warmup_steps=5, best="wrong"),
        batch_images=2,
        batch_said=16,
        listening=Listening(
            loop=LoopConfig(epochs=1, learning_rate=1e-3, warmup_steps=2, best="wrong"), batch_images=2, batch_said=16
        ),
    ),
    "base": GroundingTraining(
        loop=LoopConfig(epochs=8, learning_rate=1e-3, warmup_steps=100, weight_decay=0.03, best="wrong"),
        listening=Listening(
            loop=LoopConfig(epochs=4, learning_rate=1e-3, warmup_steps=100, weight_decay=0.03, best="wrong")
        ),
    ),
    # For weights that know others of these scenes already.
    "further": GroundingTraining(
        loop=LoopConfig(epochs=5, learning_rate=6e-4, warmup_steps=50, weight_decay=0.03, best="wrong"),
        listening=Listening(
            loop=LoopConfig(epochs=4, learning_rate=6e-4, warmup_steps=50, weight_decay=0.03, best="wrong")
        ),
    ),
    # The planner alone learns from a new workplace; everything else stays as it is.
    "finetune": GroundingTraining(
        loop=LoopConfig(epochs=10, learning_rate=3e-4, warmup_steps=10, weight_decay=0.03),
        listening=Listening(loop=LoopConfig(epochs=8, learning_rate=2e-4, warmup_steps=10, weight_decay=0.03)),
    ),
}
"""Presets; the names of `planner.PRESETS`."""


@one_thread()
def train_grounding(
    data: str | Path,
    out: str | Path,
    *,
    preset: str | GroundingTraining = "base",
    seed: int = 0,
    resume: bool = False,
    finetune: str | Path | None = None,
    rgb_only: bool = False,
    view: str | Path | None = None,
    clip: str | Path | None = None,
    heightmap: bool = False,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Train on made scenes.

    Args:
        data: Scenes from `unihm data synthesize`.
        out: Folder for prepared scenes, log, checkpoints and ``planner.safetensors`` with its card.
        preset: Name in `GROUNDING`, or settings.
        seed: Seed of everything random.
        resume: Go on from the checkpoint in `out`.
        finetune: Weights to begin with.
        rgb_only: Without depth in the network (Table 4).
        view: Weights of the view network, whose finds are then the proposals of most images.
        clip: CLIP's RN50 in a local file, whose frozen encoder then is the semantic stream's.
        heightmap: Whether crops are taken from top-down heightmaps instead of the camera's images.
        stop_after: Stop after so many steps in all and leave a checkpoint to resume from.

    Returns:
        Where the weights are, their fingerprint, and figures on the images that are kept for validation.

    Raises:
        ValueError: The preset does not exist, the store holds no scene, or a checkpoint does not fit.
    """
    name = preset if isinstance(preset, str) else "custom"
    config = choose(GROUNDING, preset) if isinstance(preset, str) else preset
    config = _with_loops(config, seed=seed)
    if finetune is None:
        config = replace(
            config,
            network=replace(
                config.network,
                rgb_only=rgb_only or config.network.rgb_only,
                semantic="own" if clip is None else "clip",
                view="top" if heightmap else "camera",
            ),
        )
    out, store = Path(out), SceneStore(data)
    reader = load_text_encoder()
    before: dict[str, Any] = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if finetune is None:
            network = PlannerNetwork(config.network, clip=None if clip is None else load_clip(clip))
        else:
            network, before = load_planner(finetune, clip=clip)
            if rgb_only and not network.config.rgb_only:
                network = without_depth(network)
            config = replace(config, network=network.config)
    examples = prepare(data, out / "prepared", seed=seed, view=view, taken_from=config.network.view)
    held = range(0, len(examples), _VALIDATION) if len(examples) >= _VALIDATION else range(0)
    task = GroundingTask(
        examples=examples,
        reader=reader,
        images=[i for i in range(len(examples)) if i not in held],
        batch_images=config.batch_images,
        batch_said=config.batch_said,
        weights=config.weights,
        noise=config.noise,
    )
    if not held:
        config = _with_loops(config, best=None)

    def measured(network: PlannerNetwork, epoch: int, rng: torch.Generator) -> Mapping[str, float] | None:
        return figures(network, examples, reader, list(held)) if held else None

    progress = fit(
        network,
        task.loss,
        task.batches,
        config.loop,
        out,
        steps_per_epoch=task.steps_per_epoch,
        resume=resume,
        on_epoch_end=measured,
        title="words",
        stop_after=stop_after,
    )
    if progress.epoch == config.loop.epochs:
        _listen(network, config.listening, task, out / "listening", resume, measured)
    found = figures(network, examples, reader, list(held)) if held else {}
    scenes = "--finetune" if finetune else "--data"
    flags = {"--rgb-only": rgb_only, "--clip RN50": clip is not None, "--heightmap": heightmap}
    options = [flag for flag, given in flags.items() if given]
    card = {
        "licence": store.licence,
        "preset": name,
        "training": asdict(config),
        "seed": seed,
        "command": " ".join([f"unihm train planner {scenes} DATA --preset {name} --seed {seed}", *options]),
        "scenes": {"images": len(examples), "made_with": store.facts},
        "nouns": sorted({*examples.names, *before.get("nouns", [])}),
        "finetuned_from": before.get("fingerprint"),
        "kept_epoch": progress.best_epoch or progress.epoch,
        "figures": {"part": "validation", **found},
    }
    path = out / SHIPPED
    fingerprint = network.save(path, card)
    return {"weights": str(path), "fingerprint": fingerprint, "figures": found}


def _with_loops(config: GroundingTraining, **changes: Any) -> GroundingTraining:
    """The same with changes to the loops of both parts."""
    listening = replace(config.listening, loop=replace(config.listening.loop, **changes))
    return replace(config, loop=replace(config.loop, **changes), listening=listening)


def _listen(
    network: PlannerNetwork,
    config: Listening,
    before: GroundingTask,
    folder: Path,
    resume: bool,
    measured: EpochEnd,
) -> None:
    """The attention alone goes on to learn; everything before it stays as it is."""
    task = ListeningTask(
        examples=before.examples,
        reader=load_text_encoder(),  # an own one, because it reads in half precision where that is fast
        images=list(before.images),
        config=config,
        known=encode_once(network, before.examples),
        weights=before.weights,
    )
    frozen = [p for name, p in network.named_parameters() if not name.startswith("grounder.") and p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    fit(
        network,
        task.loss,
        task.batches,
        config.loop,
        folder,
        steps_per_epoch=task.steps_per_epoch,
        resume=resume,
        on_epoch_end=measured,
        title="listening",
    )
    for parameter in frozen:
        parameter.requires_grad_(True)
