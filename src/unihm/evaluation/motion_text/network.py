"""The networks of the metric encoder: a motion and a sentence become points of one sphere.

Motion: the frames' numbers, three temporal convolutions of stride two, mean and maximum over time, an MLP. Text: token
states of the frozen sentence encoder, a few learned questions that attend to them, an MLP. After TMR (Petrovich et al.,
ICCV 2023) and the evaluation networks of Guo et al. (CVPR 2022), smaller: the data are some hundred recordings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unihm.evaluation.motion_text.frames import FEATURES


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes."""

    dimensions: int = 64
    """Of the space."""
    width: int = 128
    """Channels over time."""
    layers: int = 3
    """Convolutions, each of which halves the number of frames."""
    words: int = 384
    """Width of the sentence encoder's token states."""
    questions: int = 4
    """Weighted means of the token states that the text's MLP reads."""
    dropout: float = 0.35
    """Share of numbers that are dropped in training."""


class MotionTextNetwork(nn.Module):
    """Both encoders and the temperature of their comparison."""

    def __init__(self, config: NetworkConfig):
        """Untrained networks."""
        super().__init__()
        self.config = config
        width, out = config.width, config.dimensions
        self.frame = nn.Sequential(nn.Linear(FEATURES, width), nn.LayerNorm(width), nn.GELU())
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, width, kernel_size=5, stride=2, padding=2) for _ in range(config.layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.to_point = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(2 * width, out)
        )
        self.word = nn.Sequential(nn.Linear(config.words, width), nn.LayerNorm(width), nn.GELU())
        self.question = nn.Linear(config.words, config.questions)
        self.text_to_point = nn.Sequential(
            nn.Linear(config.questions * width, 2 * width), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(2 * width, out),
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(14.0).log())

    def motion(self, frames: Float[Tensor, "B T F"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B d"]:
        """Motions, of any number of frames, as points of the unit sphere."""
        x = self.frame(frames)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = x * _real(x, lengths)
            x = norm(convolution(x.mT).mT)
            x = self.dropout(nn.functional.gelu(x))
            lengths = (lengths + 1) // 2
        real = _real(x, lengths)
        mean = (x * real).sum(dim=1) / lengths[:, None]
        highest = x.masked_fill(~real, -torch.inf).amax(dim=1)
        return nn.functional.normalize(self.to_point(torch.cat([mean, highest], dim=-1)), dim=-1)

    def text(self, states: Float[Tensor, "B L w"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B d"]:
        """Sentences, as token states and which of them are real, as points of the unit sphere."""
        weights = self.question(states).masked_fill(~mask[..., None], -torch.inf).softmax(dim=1)
        answers = weights.mT @ self.dropout(self.word(states))
        return nn.functional.normalize(self.text_to_point(answers.flatten(1)), dim=-1)


def _real(x: Float[Tensor, "B T w"], lengths: Int[Tensor, " B"]) -> Bool[Tensor, "B T 1"]:
    """Frames that are no padding."""
    return (torch.arange(x.shape[1]) < lengths[:, None])[..., None]
