"""One stream of codes for every hand: charts of the hands around a predictive codec (Eqs. 1, 2 and 6).

``codes = C(E_h(x))`` and ``x = D_h(C^-1(codes))``: the chart of a hand (`hand_chart`) makes its motion one of the
reference hand, the codec (`predictive`) writes and reads that. Codes know nothing of hands, so a further hand is a
further chart and changes nothing for the others.

Letters: B motions, T frames, N chunks, L levels, F features of a frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unihm.tokenizer.features import HandFeatures
from unihm.tokenizer.hand_chart import Chart, HandChart, LatentPose, ReferenceChart
from unihm.tokenizer.predictive import CodecConfig, PredictiveCodec


@dataclass(frozen=True, kw_only=True)
class UnifiedConfig:
    """Sizes of the charts and of the code."""

    reference_hand: str = "human"
    """The hand whose poses are the latent ones."""
    fps: float = 30.0
    """Frame rate of the motions, so that a chunk always lasts as long."""
    width: int = 128
    """Of the charts' hidden layers."""
    couplings: int = 6
    """Of a chart."""
    codec: CodecConfig = field(default_factory=CodecConfig)
    """Sizes of the code."""

    @property
    def frames_per_chunk(self) -> int:
        """Frames that one row of codes stands for."""
        return self.codec.frames_per_chunk

    @property
    def codes(self) -> int:
        """K, codes to choose from at each level."""
        return self.codec.codes

    @property
    def quantiser(self) -> str:
        """Name in tables."""
        return "predictive"


class UnifiedTokenizer(nn.Module):
    """Charts and codec; satisfies `tokenizer.TokenModel`."""

    looks_ahead = False

    def __init__(self, config: UnifiedConfig, hands: Iterable[HandFeatures]):
        """Charts that are not trained yet around an empty codec.

        Args:
            config: Sizes.
            hands: How each hand's joints are scaled; the reference hand's must be among them.
        """
        super().__init__()
        self.config = config
        self.hands = {features.hand: features for features in hands}
        self.codec = PredictiveCodec(config.codec)
        self.charts = nn.ModuleDict()
        for name, features in self.hands.items():
            self.charts[name] = self.new_chart(features)

    def new_chart(self, features: HandFeatures) -> nn.Module:
        """An untrained chart of a hand."""
        joints, latent = len(features.joint_names), self.config.codec.latent
        if features.hand == self.config.reference_hand:
            return ReferenceChart(joints, latent)
        return HandChart(joints, latent, width=self.config.width, couplings=self.config.couplings)

    def chart(self, hand: str) -> Chart:
        """The chart of a hand."""
        chart = self.charts[hand]
        assert isinstance(chart, HandChart | ReferenceChart)
        return chart

    @property
    def rates(self) -> tuple[int, ...]:
        """Numbers of levels at which a stream may end."""
        return self.codec.rates

    def poses(self, hand: str, x_BTF: Float[Tensor, "B T F"]) -> LatentPose:
        """Latent poses (B, N, C) of features; T is a whole number of chunks."""
        size = self.config.frames_per_chunk
        return self.chart(hand).encode(x_BTF).map(lambda part: part.unflatten(1, (-1, size)))

    def write(self, hand: str, x_BTF: Float[Tensor, "B T F"], levels: int) -> Int[Tensor, "B N L"]:
        """Codes of a hand's features."""
        return self.codec.encode(self.poses(hand, x_BTF), levels)

    def read(self, hand: str, codes_BNL: Int[Tensor, "B N L"]) -> Float[Tensor, "B T F"]:
        """Features of a hand that codes stand for."""
        poses = self.codec.decode(codes_BNL).map(lambda part: part.flatten(1, 2))
        return self.chart(hand).decode(poses)

    @torch.no_grad()
    def effect(self, hand: str, level: int, code: int, start: LatentPose) -> Float[Tensor, "2 F"]:
        """A hand that stands still, and where one code of the first stage takes it within a chunk.

        Args:
            hand: Which hand shows it.
            level: Of the code.
            code: Its number.
            start: (1,) the latent pose that it starts from.
        """
        stage = self.codec.codes_of(self.rates[0])[0]
        moved = self.codec.absolute(stage.effect(level, code)[None], start)[:, -1]
        return torch.cat([self.chart(hand).decode(pose) for pose in (start, moved)])

    def finger_share(self, levels: int) -> float:
        """Which share of a row's bits says what the fingers do; the rest says where the palm is.

        An axis has the bits by which its spread exceeds that of the finest one of its level's stage, and they belong
        to the fingers as far as the axis does (squared weights).
        """
        size = 6 + self.config.codec.latent
        fingers = torch.arange(self.config.codec.values) % size >= 6
        total, share = 0.0, 0.0
        for code in self.codec.codes_of(levels):
            spread = code.codebook.var(1).flatten().clamp(min=1e-12)
            bits = 0.5 * torch.log2(spread / spread[spread > 1e-9].min()).clamp(min=0)
            weight = code.basis.square()
            total += float((bits * weight.sum(0)).sum())
            share += float((bits * weight[fingers].sum(0)).sum())
        return share / total
