"""Masks of things from the maps of the view network.

Every cell that shows a thing votes for the place that its offset leads to. The votes of one thing pile up at its
centre; the hills of their density are the instances. Two summits are one hill where the saddle between them is high
against the lower of them (clusters by persistence, Chazal et al. 2013), so the spread votes of a large thing stay
together and the sharp ones of two small neighbours stay apart. Free things and moving parts vote apart, so that a mug
in front of a drawer is not taken for a part of it.

Letters: K = `view_network.VIEW_CLASSES`, h and w cells, H and W of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image
from scipy.ndimage import gaussian_filter

from unihm.cliport.view_input import nearest_pixels

THING, PART = "thing", "part"
"""Kinds of instances: a free thing, or a moving part of a fixture with its handle."""

_PANEL, _HANDLE = 2, 3  # of the classes; 0 is the surroundings, 1 a thing
_BIN = 2.0  # cells; of the map of votes
_BLUR = 1.0  # bins; about the error of the offsets of small things
_SADDLE = 0.5  # of the lower summit, from which on two are one hill
_LEAST = 16  # cells; at a metre about 1 cm^2
_ROOM = 16  # cells around the view that votes may fall into
_NEIGHBOURS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Instances:
    """What an image consists of besides its surroundings."""

    labels: Int[np.ndarray, "H W"]
    """Number of the instance, -1 elsewhere."""
    kinds: tuple[str, ...]
    """`THING` or `PART` of each instance."""
    handles: Bool[np.ndarray, "H W"]
    """Pixels of handles; they belong to moving parts."""

    def __len__(self) -> int:
        return len(self.kinds)

    def mask(self, number: int) -> Bool[np.ndarray, "H W"]:
        """Pixels of an instance."""
        return self.labels == number

    def only(self, kept: Sequence[int]) -> Instances:
        """Some of them, in the given order."""
        number = np.full(len(self) + 1, -1)
        number[list(kept)] = np.arange(len(kept))
        return Instances(labels=number[self.labels], kinds=tuple(self.kinds[i] for i in kept), handles=self.handles)

    def handle(self, number: int) -> Bool[np.ndarray, "H W"]:
        """Those of them that are its handle; none of a free thing."""
        return self.handles & (self.labels == number)


def instances(
    classes: Float[np.ndarray, "K h w"], offsets: Float[np.ndarray, "2 h w"], height: int, width: int
) -> Instances:
    """Instances in the image.

    Args:
        classes: Logits of `view_network.VIEW_CLASSES`.
        offsets: From each cell to the centre of its instance, right and down, cells.
        height: Of the image, pixels.
        width: Of the image, pixels.
    """
    # The log of the sum of their exponentials, so that cells between two classes are not lost to the surroundings.
    part = np.logaddexp(classes[_PANEL], classes[_HANDLE])
    shown = np.logaddexp(part, classes[1]) - classes[0]
    is_part = part > classes[1]
    labels = np.full(shown.shape, -1)
    kinds: list[str] = []
    for kind, cells in ((THING, (shown > 0) & ~is_part), (PART, (shown > 0) & is_part)):
        found = _hills(cells, offsets)
        labels[cells] = np.where(found >= 0, found + len(kinds), -1)
        kinds += [kind] * (found.max(initial=-1) + 1)
    row, column = (
        nearest_pixels(cells, pixels) for cells, pixels in zip(classes.shape[1:], (height, width), strict=True)
    )
    # One cell wider, because the finer outline reaches over the cells'.
    full = _widened(labels)[row[:, None], column]
    full[_enlarged(shown, height, width) <= 0] = -1
    handle = classes[_HANDLE] - np.logaddexp(classes[1], classes[_PANEL])
    on_part = np.array([*(kind == PART for kind in kinds), False])[full]
    return Instances(labels=full, kinds=tuple(kinds), handles=on_part & (_enlarged(handle, height, width) > 0))


def _hills(cells: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The hill that each of the cells votes for, numbered from 0; -1 for votes that too few agree with."""
    row, column = np.nonzero(cells)
    if not len(row):
        return np.zeros(0, dtype=np.int64)
    shape = [int(np.ceil((n + 2 * _ROOM) / _BIN)) for n in cells.shape]
    down, right = offsets[1, row, column] + row, offsets[0, row, column] + column
    bins = [
        ((place + _ROOM) / _BIN).astype(np.int64).clip(0, n - 1) for place, n in zip((down, right), shape, strict=True)
    ]
    at = bins[0] * shape[1] + bins[1]
    votes = np.bincount(at, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float32)
    density = gaussian_filter(votes, _BLUR, mode="constant", truncate=3)
    hill = _climb(density)
    hill = _joined(hill, density)[at]
    size = np.bincount(hill)
    number = np.full(len(size), -1)
    kept = np.flatnonzero(size >= _LEAST)
    number[kept] = np.arange(len(kept))
    return number[hill]


def _climb(density: np.ndarray) -> np.ndarray:
    """For every bin the flat index of the summit that the steepest way leads to."""
    rows, columns = density.shape
    padded = np.pad(density, 1, constant_values=-1)
    around = np.stack([padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in _NEIGHBOURS])
    around[len(_NEIGHBOURS) // 2] *= 1 + 1e-6  # of equals the bin itself, so that no way leads in circles
    best = around.argmax(axis=0)
    step = np.array([i * columns + j for i, j in _NEIGHBOURS])
    upward = (np.arange(rows * columns).reshape(rows, columns) + step[best]).ravel()
    while True:
        further = upward[upward]
        if (further == upward).all():
            return upward.reshape(rows, columns)
        upward = further


def _joined(hill: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Hills with a high saddle between them become one, highest saddles first; flat."""
    pairs, saddles = [], []
    for i, j in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, hill.shape[0] - i), slice(max(-j, 0), hill.shape[1] - max(j, 0)))
        there = (slice(i, None), slice(max(j, 0), hill.shape[1] + min(j, 0)))
        border = (hill[here] != hill[there]) & (np.minimum(density[here], density[there]) > 0)
        pairs.append(np.column_stack([hill[here][border], hill[there][border]]))
        saddles.append(np.minimum(density[here], density[there])[border])
    saddle = np.concatenate(saddles)
    pair = np.concatenate(pairs)
    height = density.ravel()
    # The lower summit of a joined hill is at least as high, so what fails here fails for good.
    hopeful = saddle >= _SADDLE * height[pair].min(axis=1)
    pair, saddle = pair[hopeful], saddle[hopeful]
    into = np.arange(hill.size)
    for k in np.argsort(-saddle, kind="stable"):
        low, high = sorted((_root(into, pair[k, 0]), _root(into, pair[k, 1])), key=lambda summit: height[summit])
        if low != high and saddle[k] >= _SADDLE * height[low]:
            into[low] = high
    while (into[into] != into).any():
        into = into[into]
    return into[hill.ravel()]


def _root(into: np.ndarray, summit: np.intp) -> np.intp:
    while into[summit] != summit:
        summit = into[summit]
    return summit


def _widened(labels: np.ndarray) -> np.ndarray:
    """Labels, and where there are none those of a neighbour."""
    rows, columns = labels.shape
    padded = np.pad(labels, 1, constant_values=-1)
    wide = labels.copy()
    for i, j in _NEIGHBOURS:
        beside = padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns]
        np.copyto(wide, beside, where=(wide < 0) & (beside >= 0))
    return wide


def _enlarged(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """A map over the cells as one over the pixels, linear in between."""
    image = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)
