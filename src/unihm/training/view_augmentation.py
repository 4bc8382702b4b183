"""Batches for the view network: other cameras, lights and sensors than those that the images were made with.

Letters: B images, h and w cells, C = `view_input.VIEW_CHANNELS`, K = `view_network.VIEW_CLASSES`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unihm.cliport.view_input import COLOUR_CHANNELS, VIEW_CHANNELS
from unihm.cliport.view_network import OFFSET_CELLS, VIEW_CLASSES
from unihm.training.view_data import ViewSet

_VALID, _HEIGHT, _RIGHT = (VIEW_CHANNELS.index(name) for name in ("valid", "height", "normal_right"))
_COUNTS = 0.3  # share of a cell that a thing covers, from which on the cell votes for its centre


@dataclass(frozen=True, kw_only=True)
class ViewAugmentation:
    """Ranges, drawn evenly unless said otherwise."""

    zoom: float = 1.3
    """Things become up to so many times as large, or as small."""
    gamma: float = 0.35
    """Largest logarithm of the exponent of the colours."""
    gain: float = 0.3
    """Largest logarithm of the factor of all colours, and half of it of each channel."""
    saturation: tuple[float, float] = (0.3, 1.6)
    """Factor of what tells colours from grey."""
    hue: float = 0.35
    """Largest turn of the colours about grey, rad."""
    any_hue: float = 0.25
    """Share of images whose colours are turned by any angle: things are things in any colour."""
    shade: float = 0.3
    """Largest change of the brightness across the image."""
    blur: float = 0.3
    """Share of images that are blurred."""
    noise: float = 0.04
    """Largest standard deviation of the noise; 1 is white."""
    holes: int = 6
    """Largest number of further holes in the depth."""
    hole_cells: float = 25.0
    """Largest radius of a hole, cells."""
    speckle: float = 0.03
    """Largest share of cells that lose their depth alone."""
    no_depth: float = 0.04
    """Share of images without any depth."""
    table_m: float = 0.002
    """Standard deviation of the table's height, m; of its tilt it is twice that across the image."""


@dataclass(frozen=True, kw_only=True)
class ViewBatch:
    """What a step learns from."""

    views: Float[Tensor, "B C h w"]
    """As of `view_input.view_input`."""
    classes: Float[Tensor, "B K h w"]
    """Share of every class in every cell; they sum to 1."""
    things: Int[Tensor, "B h w"]
    """Number of the thing in the cell or beside it + 1, 0 far from all."""
    offsets: Float[Tensor, "B 2 h w"]
    """To the centre of the thing, right and down, in units of `OFFSET_CELLS`; 0 where `votes` is."""
    votes: Float[Tensor, "B h w"]
    """1 where the thing covers enough of the cell."""


def view_batch(
    views: ViewSet, indices: np.ndarray, augmentation: ViewAugmentation | None = None, seed: int = 0
) -> ViewBatch:
    """Some images, each drawn anew, or as they are without an augmentation."""
    rows = []
    for position, index in enumerate(indices):
        inputs, targets = torch.from_numpy(views.inputs(int(index))), views.targets(int(index))
        labels = np.stack([targets.thing, targets.part, targets.coverage / 255]).astype(np.float32)
        row = inputs, torch.from_numpy(labels)
        if augmentation is not None:
            row = augmented(*row, augmentation, np.random.default_rng([seed, position]))
        rows.append(row)
    inputs, labels = (torch.stack(one) for one in zip(*rows, strict=True))
    return with_targets(inputs, labels)


def with_targets(inputs: Float[Tensor, "B C h w"], labels: Float[Tensor, "B 3 h w"]) -> ViewBatch:
    """A batch; `labels` are thing, part and coverage of `ViewTargets`, the last one from 0 to 1."""
    things, parts, coverage = labels[:, 0].long(), labels[:, 1].long(), labels[:, 2]
    coverage = coverage * (things > 0)
    classes = F.one_hot(parts, len(VIEW_CLASSES)).movedim(-1, 1) * coverage[:, None]
    classes[:, 0] = 1 - coverage
    count, (height, width) = int(things.max()) + 1, things.shape[1:]
    where = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")).float()
    number = (things + count * torch.arange(len(things))[:, None, None]).flatten()
    sums = torch.zeros(count * len(things), 3)
    rows = torch.stack([torch.ones_like(where[0]), *where]).flatten(1).T.repeat(len(things), 1)
    sums.index_add_(0, number, rows * coverage.flatten()[:, None])
    centres = (sums[:, 1:] / sums[:, :1].clamp(min=1e-6))[number].unflatten(0, things.shape).movedim(-1, 1)
    votes = (coverage > _COUNTS).float()
    offsets = (centres - where) / OFFSET_CELLS * votes[:, None]
    return ViewBatch(views=inputs, classes=classes, things=things, offsets=offsets, votes=votes)


def augmented(
    inputs: Float[Tensor, "C h w"], labels: Float[Tensor, "3 h w"], how: ViewAugmentation, rng: np.random.Generator
) -> tuple[Float[Tensor, "C h w"], Float[Tensor, "3 h w"]]:
    """One image and its labels, drawn anew."""
    if rng.random() < 0.5:
        inputs, labels = mirrored(inputs, labels)
    inputs, labels = zoomed(inputs, labels, how, rng)
    colour = recoloured(inputs[:COLOUR_CHANNELS], how, rng)
    return torch.cat([colour, _sensed(inputs[COLOUR_CHANNELS:], how, rng)]), labels


def mirrored(
    inputs: Float[Tensor, "C h w"], labels: Float[Tensor, "3 h w"]
) -> tuple[Float[Tensor, "C h w"], Float[Tensor, "3 h w"]]:
    """What a camera sees in a mirror."""
    inputs = inputs.flip(-1)
    inputs[_RIGHT] *= -1
    return inputs, labels.flip(-1)


def zoomed(
    inputs: Float[Tensor, "C h w"], labels: Float[Tensor, "3 h w"], how: ViewAugmentation, rng: np.random.Generator
) -> tuple[Float[Tensor, "C h w"], Float[Tensor, "3 h w"]]:
    """As by another focal length and with another principal point; beyond the image is one colour and no depth."""
    size = np.exp(rng.uniform(-1, 1) * np.log(how.zoom))
    # In the coordinates of grid_sample the image reaches from -1 to 1.
    right, down = rng.uniform(-1, 1, 2) * abs(1 - 1 / size)
    theta = torch.tensor([[1 / size, 0, right], [0, 1 / size, down]], dtype=torch.float32)
    grid = F.affine_grid(theta[None], [1, 1, *inputs.shape[1:]], align_corners=False)
    smooth = F.grid_sample(torch.cat([inputs[:COLOUR_CHANNELS], labels[2:]])[None], grid, align_corners=False)[0]
    rough = torch.cat([inputs[COLOUR_CHANNELS:], labels[:2], torch.ones_like(labels[:1])])
    rough = F.grid_sample(rough[None], grid, mode="nearest", align_corners=False)[0]
    outside = torch.from_numpy(rng.random((3, 1, 1), dtype=np.float32)) * (1 - rough[-1:])
    inputs = torch.cat([smooth[:COLOUR_CHANNELS] + outside, rough[:-3]])
    return inputs, torch.cat([rough[-3:-1], smooth[COLOUR_CHANNELS:]])


def recoloured(
    colour: Float[Tensor, "3 h w"], how: ViewAugmentation, rng: np.random.Generator
) -> Float[Tensor, "3 h w"]:
    """As under another light and by another camera."""
    if rng.random() < how.blur:
        share = float(rng.uniform(0.3, 1))
        colour = torch.lerp(colour, F.avg_pool2d(F.pad(colour, (1, 1, 1, 1), mode="replicate"), 3, stride=1), share)
    gains = np.exp(how.gain * (rng.uniform(-1, 1) + rng.uniform(-0.5, 0.5, 3)))
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < how.any_hue else rng.uniform(-how.hue, how.hue)
    mix = gains[:, None] * (_turn_about_grey(angle, rng.uniform(*how.saturation)))
    colour = torch.einsum("ij,jhw->ihw", torch.from_numpy(mix).float(), colour)
    height, width = colour.shape[1:]
    slopes = rng.uniform(-how.shade, how.shade, 2)
    shade = 1 + slopes[0] * np.linspace(-0.5, 0.5, height)[:, None] + slopes[1] * np.linspace(-0.5, 0.5, width)
    colour = (colour * torch.from_numpy(shade).float()).clamp(0, 1) ** float(np.exp(rng.uniform(-1, 1) * how.gamma))
    noise = rng.standard_normal(colour.shape, dtype=np.float32) * np.float32(rng.uniform(0, how.noise))
    return (colour + torch.from_numpy(noise)).clamp(0, 1)


def _turn_about_grey(angle: float, saturation: float) -> np.ndarray:
    """(3, 3): turns colours about the grey axis and scales their distance from it."""
    grey = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return grey + saturation * (np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * cross)


def _sensed(geometry: Tensor, how: ViewAugmentation, rng: np.random.Generator) -> Tensor:
    """As by a worse depth sensor, and with the table found a little wrong."""
    if rng.random() < how.no_depth:
        return torch.zeros_like(geometry)
    height, width = geometry.shape[1:]
    down, right = np.ogrid[:height, :width]
    lost = rng.random((height, width), dtype=np.float32) < rng.uniform(0, how.speckle)
    for _ in range(rng.integers(how.holes, endpoint=True)):
        row, column = rng.uniform(0, [height, width])
        tall, wide = how.hole_cells * rng.uniform(0.1, 1, 2)
        lost |= ((down - row) / tall) ** 2 + ((right - column) / wide) ** 2 < 1
    tilt = 2 * how.table_m * rng.standard_normal(2)
    lift = how.table_m * rng.standard_normal() + tilt[0] * (down / height - 0.5) + tilt[1] * (right / width - 0.5)
    geometry = geometry.clone()
    geometry[_HEIGHT - COLOUR_CHANNELS] += torch.from_numpy(lift).float()
    valid = geometry[:1] * torch.from_numpy(~lost)
    assert _VALID == COLOUR_CHANNELS
    return geometry * valid
