"""A view cut into things without words: CLIPort's two streams over the whole image.

The spatial stream sees colour and geometry, the semantic one colour alone; at every level of the decoders the spatial
features are handed over to the semantic ones, as in `streams`, but for the words. Every cell is told what it shows and
where the centre of its instance lies (the idea of Panoptic-DeepLab, Cheng et al. 2020); `instances` makes masks of it.

Letters: N views, h and w cells, C channels, K = `VIEW_CLASSES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unihm.cliport.streams import Encoder, FullResolution, Pyramid, SpatialStream
from unihm.cliport.view_input import CELLS, COLOUR_CHANNELS, VIEW_CHANNELS
from unihm.schema.weights import assign, read_weights, write_weights

KIND = "view"
VIEW_CLASSES = ("surroundings", "thing", "panel", "handle")
"""What a cell may show: table, room and the bodies of fixtures; a free thing; of a moving part its panel and handle."""
OFFSET_CELLS = 32.0
"""Offsets are told in units of so many cells."""

_SCALE = {"height": 10.0}  # 0.1 m becomes 1; the other channels are of order one
_OFFSETS = 2


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Sizes of the network."""

    widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    """Channels of the maps at a half, a quarter, ... of the cells' resolution."""
    cells: int = CELLS
    """Along the width of the views that it is trained for."""
    rgb_only: bool = False
    """Whether everything that needs depth is left out: the ablation of Table 4."""


@dataclass(frozen=True, kw_only=True)
class ViewMaps:
    """What the network says of every cell."""

    classes: Float[Tensor, "N K h w"]
    """Logits of `VIEW_CLASSES`."""
    offsets: Float[Tensor, "N 2 h w"]
    """From the cell to the centre of its instance, right and down, in units of `OFFSET_CELLS`."""


class ViewNetwork(nn.Module):
    """Both streams and the head."""

    def __init__(self, config: ViewConfig):
        """Random weights."""
        super().__init__()
        self.config = config
        channels = COLOUR_CHANNELS if config.rgb_only else len(VIEW_CHANNELS)
        # Norms of the batch: of groups they take as long as the convolutions on a CPU.
        self.spatial = SpatialStream(channels, config.widths, nn.BatchNorm2d)
        self.semantic = SpatialStream(COLOUR_CHANNELS, config.widths, nn.BatchNorm2d)
        self.lateral = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in reversed(config.widths))
        self.head = FullResolution(config.widths[0], channels, len(VIEW_CLASSES) + _OFFSETS)
        # A buffer, so that it follows to another device; not in the file, because it is no weight.
        self.scale: Tensor
        scale = torch.tensor([_SCALE.get(name, 1.0) for name in VIEW_CHANNELS])
        self.register_buffer("scale", scale[:channels, None, None], persistent=False)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # faster on a CPU

    def forward(self, views: Float[Tensor, "N C h w"]) -> ViewMaps:
        """Maps of every view.

        Args:
            views: Of `view_input.view_input`.
        """
        height, width = views.shape[2:]
        step = 2 ** len(self.config.widths)
        scaled = views[:, : len(self.scale)] * self.scale
        x = F.pad(scaled, (0, -width % step, 0, -height % step)).contiguous(memory_format=torch.channels_last)
        shapes, seen = _encoded(self.spatial.encoder, x), _encoded(self.semantic.encoder, x[:, :COLOUR_CHANNELS])
        shape, y = shapes[-1], seen[-1]
        for level, lateral in enumerate(self.lateral):
            if level:
                shape = self.spatial.up[level - 1](shape, shapes[-1 - level])
                y = self.semantic.up[level - 1](y, seen[-1 - level])
            y = lateral(torch.cat([y, shape], dim=1))
        mixed = F.relu(self.head.mix(torch.cat([y, F.pixel_unshuffle(x, 2)], dim=1)))
        maps = F.pixel_shuffle(self.head.logits(mixed), 2)[:, :, :height, :width].float()
        return ViewMaps(classes=maps[:, : len(VIEW_CLASSES)], offsets=maps[:, len(VIEW_CLASSES) :])

    @torch.inference_mode()
    def maps(self, view: Float[np.ndarray, "C h w"]) -> tuple[Float[np.ndarray, "K h w"], Float[np.ndarray, "2 h w"]]:
        """Logits of `VIEW_CLASSES` and offsets of one view, in as few bits as this machine is fast with."""
        device = self.scale.device
        with half_where_fast(device):
            found = self(torch.from_numpy(view)[None].to(device))
        return found.classes[0].cpu().numpy(), found.offsets[0].cpu().numpy()

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write weights and card; returns the fingerprint.

        Args:
            path: The ``.safetensors`` file.
            card: Training facts; what the network reads and writes is added here.
        """
        return write_weights(path, self.state_dict(), {**self._interface(), **card}, kind=KIND)

    def _interface(self) -> dict[str, Any]:
        """Everything that weights depend on, by name."""
        return {
            "config": {**asdict(self.config), "widths": list(self.config.widths)},
            "channels": list(VIEW_CHANNELS),
            "classes": list(VIEW_CLASSES),
            "offset_cells": OFFSET_CELLS,
        }


def load_view_network(path: str | Path) -> tuple[ViewNetwork, dict[str, Any]]:
    """A trained network in evaluation mode, and its card.

    Raises:
        ValueError: A file is missing or damaged, the weights do not fit their card, or they were made for other inputs
            or outputs than this version has.
    """
    tensors, card = read_weights(path, kind=KIND)
    try:
        stored = card["config"]
        network = ViewNetwork(ViewConfig(**{**stored, "widths": tuple(stored["widths"])}))
    except (TypeError, KeyError) as error:
        raise ValueError(f"Weights card of '{path}' is damaged: {error}.") from error
    for name, own in network._interface().items():
        if name != "config" and card.get(name) != own:
            raise ValueError(f"View network '{path}' was trained with {name} {card.get(name)}, here they are {own}.")
    assign(network, tensors, path)
    return network.eval(), card


def without_depth(network: ViewNetwork) -> ViewNetwork:
    """The same weights less those of the inputs that need depth, for the ablation to begin with."""
    small = ViewNetwork(replace(network.config, rgb_only=True))
    full = network.state_dict()
    for name, own in small.state_dict().items():
        # What needs depth comes last among the inputs.
        own.copy_(full[name][:, : own.shape[1]] if own.ndim > 1 else full[name])
    return small.train(network.training)


def _encoded(encoder: Encoder, x: Tensor) -> Pyramid:
    """As `Encoder` does with crops, which are square, but of any shape; fine to coarse."""
    maps = []
    for down, block in zip(encoder.down, encoder.blocks, strict=True):
        x = block(down(x))
        maps.append(x)
    return maps


def half_where_fast(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 on GPUs and on CPUs that multiply it; on others it would be slower than float32."""
    # Torch tells of processors by these names alone in its older versions.
    fast = device.type != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)
