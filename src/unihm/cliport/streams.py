"""CLIPort's two streams on crops: a spatial one that knows shapes, a semantic one that knows colours and words.

Both are U-Nets of residual blocks. At every level of the decoders the spatial features are handed over to the semantic
ones (lateral fusion), and the semantic ones are multiplied by a projection of the sentence (LingUNet). The spatial
stream and the semantic encoder do not see the words, so their work on a crop serves all instructions.

Differs from the paper: crops of 64 x 64 cells around proposals instead of one heightmap, and own encoders of 0.3 M
parameters, because neither ImageNet's nor CLIP's weights come with the package; `clip_resnet` is the original encoder.

Letters: N crops, s = 64 cells, C channels; a pyramid is a list of maps from fine (32 x 32) to coarse (8 x 8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Pyramid = list[Tensor]
Norm = Callable[[int], nn.Module]
"""Makes the normalisation of so many channels."""
_GROUPS = 8  # of the group norms; every width is a multiple
_MIXED = 64  # channels of a block of 2 x 2 cells


def group_norm(width: int) -> nn.Module:
    """Crops of a batch come from few images, so each is normalised for itself."""
    return nn.GroupNorm(_GROUPS, width)


class Encoder(nn.Module):
    """Maps of a crop at a half, a quarter, an eighth, ... of its resolution."""

    def __init__(self, inputs: int, widths: Sequence[int], norm: Norm = group_norm):
        """An untrained encoder.

        Args:
            inputs: Channels of the crop.
            widths: Channels of the maps, fine to coarse.
            norm: Of every block.
        """
        super().__init__()
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip((inputs, *widths[:-1]), widths, strict=True)
        )
        self.blocks = nn.ModuleList(_Residual(width, norm) for width in widths)

    def forward(self, x: Float[Tensor, "N C s s"]) -> Pyramid:
        """Fine to coarse."""
        maps = []
        for down, block in zip(self.down, self.blocks, strict=True):
            x = block(down(x))
            maps.append(x)
        return maps


class SpatialStream(nn.Module):
    """Where shapes are: an encoder and a decoder without words."""

    def __init__(self, inputs: int, widths: Sequence[int], norm: Norm = group_norm):
        """An untrained stream; see `Encoder`."""
        super().__init__()
        self.encoder = Encoder(inputs, widths, norm)
        self.up = nn.ModuleList(_Up(c, f, norm) for c, f in zip(widths[:0:-1], widths[-2::-1], strict=True))

    def forward(self, x: Float[Tensor, "N C s s"]) -> tuple[Pyramid, Pyramid]:
        """The encoder's pyramid and the decoder's, both fine to coarse."""
        encoded = self.encoder(x)
        decoded = [encoded[-1]]
        for up, skip in zip(self.up, encoded[-2::-1], strict=True):
            decoded.insert(0, up(decoded[0], skip))
        return encoded, decoded


class SemanticDecoder(nn.Module):
    """What the words mean: the semantic encoder's maps, shape from the spatial stream, and the sentence."""

    def __init__(self, widths: Sequence[int], text_width: int):
        """An untrained decoder.

        Args:
            widths: Channels of both pyramids, fine to coarse.
            text_width: Dimensions of the sentence vector.
        """
        super().__init__()
        self.up = nn.ModuleList(_Up(c, f) for c, f in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.lateral = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in reversed(widths))
        self.language = nn.ModuleList(nn.Linear(text_width, width) for width in reversed(widths))

    def forward(
        self, semantic: Pyramid, spatial: Pyramid, sentence: Float[Tensor, "N w"]
    ) -> Float[Tensor, "N C half half"]:
        """The finest map.

        Args:
            semantic: The semantic encoder's pyramid.
            spatial: The spatial decoder's pyramid.
            sentence: A vector for each crop.
        """
        x = semantic[-1]
        for level, (lateral, language) in enumerate(zip(self.lateral, self.language, strict=True)):
            if level:
                x = self.up[level - 1](x, semantic[-1 - level])
            # About 1, so that an untrained projection hides nothing.
            x = x * (1 + language(sentence))[..., None, None]
            x = lateral(torch.cat([x, spatial[-1 - level]], dim=1))
        return x


class FullResolution(nn.Module):
    """Logits of every cell, from maps at half the resolution and the crop itself.

    It works on blocks of 2 x 2 cells, told and answered as channels, which on a CPU takes a third of the time of thin
    maps at full resolution.
    """

    def __init__(self, channels: int, inputs: int, outputs: int):
        """An untrained head.

        Args:
            channels: Of the maps.
            inputs: Channels of the crop.
            outputs: Logits of a cell.
        """
        super().__init__()
        self.mix = nn.Conv2d(channels + 4 * inputs, _MIXED, 1)
        self.logits = nn.Conv2d(_MIXED, 4 * outputs, 3, padding=1)

    def forward(
        self, maps: Float[Tensor, "N C half half"], crops: Float[Tensor, "N D s s"]
    ) -> Float[Tensor, "N outputs s s"]:
        """One value a cell and output."""
        mixed = F.relu(self.mix(torch.cat([maps, F.pixel_unshuffle(crops, 2)], dim=1)))
        return F.pixel_shuffle(self.logits(mixed), 2)


def pooled(maps: Float[Tensor, "N C h h"], mask: Float[Tensor, "N s s"]) -> Float[Tensor, "N CC"]:
    """Mean and maximum over a proposal's cells.

    Args:
        maps: Of the crops, at any resolution that divides theirs.
        mask: 1 where the proposal is; where it is nowhere, as by thinness it can be, all cells count.
    """
    share = F.avg_pool2d(mask[:, None], mask.shape[-1] // maps.shape[-1])
    share = torch.where(share.amax(dim=(2, 3), keepdim=True) > 0, share, torch.ones_like(share))
    mean = (maps * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3))
    return torch.cat([mean, maps.masked_fill(share == 0, -torch.inf).amax(dim=(2, 3))], dim=1)


class _Residual(nn.Module):
    def __init__(self, width: int, norm: Norm = group_norm):
        super().__init__()
        self.norms = nn.ModuleList(norm(width) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            y = convolution(F.relu(norm(y)))
        return x + y


class _Up(nn.Module):
    """The next finer map: the coarse one twice as large, and what the encoder saw there."""

    def __init__(self, coarse: int, fine: int, norm: Norm = group_norm):
        super().__init__()
        self.project = nn.Conv2d(coarse, fine, 1)
        self.block = _Residual(fine, norm)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        # Projected first, on a quarter of the cells.
        return self.block(F.interpolate(self.project(coarse), scale_factor=2.0, mode="bilinear") + skip)
