"""Named settings: ``tiny`` trains in a minute or two on a CPU, ``base`` made what is shipped, ``paper``.

The tokenizer has two kinds: one stream by charts and a predictive codec (`UnifiedTraining`), and the paper's VQ-VAE
(`TokenizerTraining`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from unihm.registry import unknown_name
from unihm.tokenizer.predictive import CodecConfig
from unihm.tokenizer.unified import UnifiedConfig
from unihm.tokenizer.vqvae import TokenizerConfig
from unihm.training.loop import LoopConfig

T = TypeVar("T")


def choose(presets: Mapping[str, T], name: str) -> T:
    """The preset of that name.

    Raises:
        ValueError: There is none; the message names the nearest and lists all.
    """
    if name not in presets:
        raise unknown_name("Preset", name, presets)
    return presets[name]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training motions are varied; the same draw for all hands, so that pairs stay pairs."""

    shift_frames: int = 8
    """Up to so many frames are cut at the start and at the end, so that chunks fall differently."""
    speed: float = 1.25
    """Motions run up to so much faster or slower."""
    yaw_deg: float = 5.0
    """Standard deviation of a turn of the canonical frame about the vertical: a perceived frame is noisy."""
    tilt_deg: float = 2.0
    """Standard deviation of a turn about each horizontal axis."""
    shift: float = 0.01
    """m; standard deviation of a displacement of the canonical frame along each axis."""


@dataclass(frozen=True, kw_only=True)
class ChartTraining:
    """How the chart of one hand is trained (`hand_charts`)."""

    loop: LoopConfig
    """Epochs are passes over all frames."""
    batch_size: int = 1024
    """Frames in a batch."""
    least_steps: int = 0
    """With few frames there are more passes, up to so many steps."""
    contact_weight: float = 2.0
    """How much more a fingertip that touches the object counts than another keypoint."""
    pinch_weight: float = 0.5
    """Weight of the vectors between fingertips that pinch."""
    distillation_weight: float = 1.0
    """Weight of the encoder's distance to the reference hand's fingers (Eqs. 3, B13)."""


@dataclass(frozen=True, kw_only=True)
class CodecFitting:
    """How the shared codes are fitted (`codec_fitting`)."""

    passes: int = 3
    """Varied copies of all motions of all hands that the codes are fitted to."""
    opening_passes: int = 10
    """Further varied copies of the first chunks alone: there is but one in a motion."""
    rounds: int = 3
    """Of a stage."""
    points: int = 60_000
    """Examples that k-means sees."""
    palm_weight: float = 0.7
    """What the ends of the palm's axes, 10 cm long, count beside the mean of the keypoints."""
    metre_of_a_radian: float = 0.06
    """What an error of all joints counts beside keypoints, m per rad."""
    least_metric: float = 1e-3
    """m per unit; no latent direction counts less."""


@dataclass(frozen=True, kw_only=True)
class UnifiedTraining:
    """Everything that decides how one stream for all hands is trained."""

    tokenizer: UnifiedConfig = field(default_factory=UnifiedConfig)
    """Sizes."""
    chart: ChartTraining
    """Each hand's chart."""
    codec: CodecFitting = field(default_factory=CodecFitting)
    """The codes."""
    max_frames: int = 96
    """Motions are cut to so many frames, a whole number of chunks."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How motions are varied for the codes."""


@dataclass(frozen=True, kw_only=True)
class TokenizerTraining:
    """Everything that decides how a VQ-VAE with an encoder and a decoder for each hand is trained."""

    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    """Sizes."""
    reference: LoopConfig
    """Stage 1: the reference hand and the codebook."""
    alignment: LoopConfig
    """Stage 2: each other hand."""
    warmup_epochs: int
    """Epochs of stage 1 without quantisation; the codebook then starts as the k-means of the latents."""
    refresh_epochs: int
    """Every so many epochs the cold codes are replaced, in the first 80 % of stage 1 (paper: 50)."""
    distillation_epochs: int
    """Epochs of stage 2 in which the encoder only follows the reference encoder (Eq. 3)."""
    distillation_weight: float = 0.1
    """lambda_distill of Eq. B14 (paper: 0.1)."""
    cold_threshold: int = 1
    """tau_c of Eq. B10 (paper: 1)."""
    random_depth: float = 0.25
    """Share of motions that are decoded from a random number of levels, so that codes run coarse to fine."""
    batch_size: int = 32
    """Motions in a batch."""
    max_frames: int = 80
    """Motions are cut to so many frames, a whole number of chunks."""
    palm_weight: float = 4.0
    """Weight of the palm's mean squared feature error (its units: 10 cm, and sines of angles)."""
    joint_weight: float = 1.0
    """Weight of the joints' mean squared feature error (half ranges)."""
    keypoint_weight: float = 1.0
    """Weight of the mean error of keypoints and palm axes, in centimetres."""
    velocity_weight: float = 0.5
    """Weight of the mean error of their displacements between frames, in centimetres."""
    keypoint_pairs: int = 4
    """Pairs of neighbouring frames of each motion, drawn anew for each batch, at which keypoints are compared."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """How training motions are varied."""


def _paper(backbone: Literal["conv", "mlp"]) -> TokenizerTraining:
    """What Appendix B.2 states: one code of 8192 for a chunk, beta 0.25, rate 1e-4, a refresh every 50 epochs, the loss
    of Eqs. B7 and B8 alone. Its sizes, chunk length and number of epochs are not stated.
    """
    return TokenizerTraining(
        tokenizer=TokenizerConfig(width=256, quantiser="vq", levels=1, codes=8192, backbone=backbone),
        reference=LoopConfig(epochs=200, learning_rate=1e-4, schedule="constant"),
        alignment=LoopConfig(epochs=100, learning_rate=1e-4, schedule="constant"),
        warmup_epochs=1,
        refresh_epochs=50,
        distillation_epochs=20,
        random_depth=0.0,
        palm_weight=1.0,
        keypoint_weight=0.0,
        velocity_weight=0.0,
    )


TOKENIZER: Mapping[str, TokenizerTraining | UnifiedTraining] = {
    "tiny": UnifiedTraining(
        tokenizer=UnifiedConfig(width=48, couplings=4, codec=CodecConfig(stages=(5, 11), codes=256)),
        chart=ChartTraining(loop=LoopConfig(epochs=6, learning_rate=4e-3, warmup_steps=20)),
        codec=CodecFitting(passes=1, opening_passes=3, rounds=2, points=10_000),
    ),
    "base": UnifiedTraining(
        chart=ChartTraining(
            loop=LoopConfig(epochs=80, learning_rate=2e-3, warmup_steps=200, final_rate=0.01), least_steps=2000
        ),
    ),
    # Residual codes between conv networks, of a hand each: the codes that the shipped generator writes.
    "residual": TokenizerTraining(
        reference=LoopConfig(epochs=110, learning_rate=1.5e-3, warmup_steps=100),
        alignment=LoopConfig(epochs=60, learning_rate=1.5e-3, warmup_steps=100),
        warmup_epochs=10,
        refresh_epochs=5,
        distillation_epochs=10,
    ),
    "paper": _paper("conv"),
    "paper-mlp": _paper("mlp"),
}
"""Presets of ``unihm train tokenizer``."""
