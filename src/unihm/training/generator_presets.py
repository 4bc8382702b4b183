"""Settings of ``unihm train generator``, its presets and its ablations (C.4, Table 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from unihm.generation.decoding import Sampling
from unihm.generation.mask_schedule import MaskSchedule
from unihm.generation.qwen3 import WITHOUT, GeneratorConfig
from unihm.generation.touching import Touch
from unihm.registry import unknown_name
from unihm.training.committee import CommitteeTraining
from unihm.training.generator_data import Variation
from unihm.training.loop import LoopConfig
from unihm.training.prior_fitting import PriorFitting
from unihm.training.reading import ReadingTraining


@dataclass(frozen=True, kw_only=True)
class GeneratorTraining:
    """Everything that decides how a generator is trained."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Sizes."""
    loop: LoopConfig
    """Length and rates."""
    reading: ReadingTraining = field(default_factory=ReadingTraining)
    """Of the part that reads what is asked for."""
    committee: CommitteeTraining = field(default_factory=CommitteeTraining)
    """Of the second opinion to the closed-form guess."""
    prior: PriorFitting | None = field(default_factory=PriorFitting)
    """Of the closed-form guess; None is no fit."""
    without: tuple[str, ...] = ()
    """What the generator is trained without, of `ABLATIONS`."""
    masking: MaskSchedule | None = None
    """The curriculum of C.4; None shows a motion wholly or not at all from the first epoch on, see `masked`."""
    masked: float = 0.5
    """Without a curriculum: share of motions of which nothing is shown, as at the start of generation. Of the others
    every chunk before the one that is asked for is shown, as an autoregressive decoder sees them."""
    hands: tuple[str, ...] = ("human", "shadow", "xhand", "allegro", "leap")
    """Whose motions are learned from, drawn batch by batch; the stream of codes is the same for all."""
    human_share: float = 0.5
    """Share of batches with the first of these hands."""
    wordings: int = 12
    """Sentences that the offline annotator adds to an episode's own instructions."""
    batch_size: int = 16
    """Motions in a batch, all of one hand."""
    softness: float = 1.0
    """Width of the softened targets, see `code_head.soft_targets`; 0 is plain cross-entropy."""
    open_plan: float = 0.5
    """Share of motions whose plan is left open: what the generator names where none is drawn."""
    plan_weight: float = 1.0
    """Weight of the cross-entropy of the plan's codes."""
    plan_smoothing: float = 0.0
    """Share of it that asks for all codes alike."""
    motion_weight: float = 0.1
    """Weight of the distance, in mm of keypoints, from the pose that the head points at to the true one."""
    last_weight: float = 4.0
    """How often the last frame counts in that distance."""
    drop_words: float = 0.1
    """Share of motions without their instruction."""
    drop_cloud: float = 0.1
    """Share of motions without their cloud."""
    variation: Variation = field(default_factory=Variation)
    """How motions are varied."""
    max_frames: int = 160
    """Longer motions are cut."""
    validate_epochs: int = 2
    """Every so many epochs the model-selection recordings are generated."""
    sampling: Sampling = field(default_factory=Sampling)
    """How the trained generator draws codes by default."""


ABLATIONS = (*WITHOUT, "masking", "prior", "touching")
"""What can be left out: inputs; masked training (every chunk always sees those before it, and the motion is written one
chunk after the other); the closed-form guess; and that fingers must touch."""


def ablated(config: GeneratorTraining) -> GeneratorTraining:
    """The settings with what `without` names left out.

    Raises:
        ValueError: There is no such ablation.
    """
    for name in config.without:
        if name not in ABLATIONS:
            raise unknown_name("--without", name, ABLATIONS)
    inputs = tuple(name for name in config.without if name in WITHOUT)
    config = replace(config, generator=replace(config.generator, without=inputs))
    if "masking" in config.without:
        sampling = replace(config.sampling, way="autoregressive")
        config = replace(config, masking=None, masked=0.0, sampling=sampling)
    if "prior" in config.without:
        config = replace(config, prior=None)
    if "touching" in config.without:
        config = replace(config, sampling=replace(config.sampling, touch=Touch(weight=0.0)))
    return config


GENERATOR: Mapping[str, GeneratorTraining] = {
    "tiny": GeneratorTraining(
        generator=GeneratorConfig(hidden=64, layers=2, heads=2, kv_heads=1, feedforward=128),
        loop=LoopConfig(epochs=10, learning_rate=2e-3, warmup_steps=20, weight_decay=0.05, best="mpjpe_mm"),
        reading=ReadingTraining(sentences=256, epochs=2),
        prior=PriorFitting(steps=20, copies=1),
        wordings=2,
    ),
    "base": GeneratorTraining(
        loop=LoopConfig(epochs=16, learning_rate=3e-4, warmup_steps=40, weight_decay=0.05, best="mpjpe_mm"),
    ),
    # What C.4 states: 100 epochs of AdamW at 1e-4, the masking curriculum, hard targets, no auxiliary loss, no prior.
    "paper": GeneratorTraining(
        loop=LoopConfig(epochs=100, learning_rate=1e-4, schedule="constant"),
        prior=None,
        masking=MaskSchedule(),
        softness=0.0,
        motion_weight=0.0,
    ),
}
"""Presets of ``unihm train generator``."""
