"""Pieces of things put back together: the words' network knows whole things from pieces of them.

The view network may cut what it has seldom seen, such as a pitcher with its handle, into several. A piece and a
neighbour are one thing where what both show together is whole, more surely than the neighbour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.ndimage import binary_dilation

from unihm.cliport.instances import PART, Instances
from unihm.cliport.network import Encoded, PlannerNetwork
from unihm.cliport.picture import Picture

_PIECE = -1.0  # logit of being whole below which an instance is a piece
_WHOLE = 0.0  # least logit of what is put together
_GAIN, _CLEARLY = 0.5, -4.0  # by so much it exceeds the neighbour's alone, but for what is clearly a piece
_REACH, _TOUCHING = 4, 10  # pixels between two that touch, and how many must be so near
_GAP = 0.015  # m between them there


@dataclass(frozen=True, kw_only=True, eq=False)
class Mended:
    """Instances with their pieces put together."""

    found: Instances
    """Largest first."""
    encoded: Encoded
    """Their crops."""
    held_by: Mapping[int, int]
    """Moving parts with a handle that may as well be pieces of free things, such as the handle of a pitcher, and of
    which thing: who wants to open something means the part, who wants to move the thing means both."""


@torch.inference_mode()
def mended(network: PlannerNetwork, picture: Picture, found: Instances, encoded: Encoded) -> Mended:
    """Put pieces together.

    Args:
        network: Trained.
        picture: What it looks at, from the camera.
        found: Instances of the image.
        encoded: Their crops.
    """
    whole = network.describe(encoded).whole.tolist()

    @cache
    def wide(number: int) -> np.ndarray:
        """An instance and what is about it; a dilation of the whole image is dear."""
        return np.asarray(binary_dilation(found.mask(number), iterations=_REACH), dtype=bool)

    has_handle = [found.handle(i).any() for i in range(len(found))]
    pieces = [i for i in range(len(found)) if whole[i] < _PIECE]
    pairs = [
        (i, j)
        for i in pieces
        for j in _neighbours(picture, found, wide, i)
        if not (has_handle[i] and found.kinds[j] == PART)  # the next door
    ]
    if not pairs:
        return Mended(found=found, encoded=encoded, held_by={})
    both = picture.crop(np.stack([found.mask(i) | found.mask(j) for i, j in pairs]))
    union = network.describe(network.encode_crops(both)).whole.tolist()
    into = list(range(len(found)))
    for i in sorted(pieces, key=lambda piece: whole[piece]):
        gain = 0.0 if whole[i] < _CLEARLY else _GAIN
        able = [
            (together, j)
            for (a, j), together in zip(pairs, union, strict=True)
            if a == i and together > max(_WHOLE, whole[j] + gain) and _root(into, j) != i
        ]
        if able:
            into[i] = _root(into, max(able)[1])
    root = [_root(into, i) for i in range(len(found))]
    loose = [i for i in pieces if has_handle[i] and found.kinds[root[i]] != PART]
    own = np.array([i if i in loose else root[i] for i in range(len(found))])
    joined = Instances(labels=np.append(own, -1)[found.labels], kinds=found.kinds, handles=found.handles)
    size = np.bincount(joined.labels[picture.valid & (joined.labels >= 0)], minlength=len(found))
    kept = [int(i) for i in np.argsort(-size, kind="stable") if own[i] == i]
    number = {i: k for k, i in enumerate(kept)}
    changed = [i for i in kept if np.count_nonzero(own == i) > 1]
    row = {i: len(found) + k for k, i in enumerate(changed)}
    if changed:
        crops = picture.crop(np.stack([joined.mask(i) for i in changed]))
        encoded = encoded.followed_by(network.encode_crops(crops))
    return Mended(
        found=joined.only(kept),
        encoded=encoded.take(torch.tensor([row.get(i, i) for i in kept])),
        held_by={number[i]: number[root[i]] for i in loose},
    )


def _neighbours(picture: Picture, found: Instances, wide: Callable[[int], np.ndarray], number: int) -> list[int]:
    """Instances that touch one in the image and in space."""
    around = wide(number) & ~found.mask(number) & picture.valid
    count = np.bincount(found.labels[around & (found.labels >= 0)], minlength=len(found))
    touching = [int(j) for j in np.flatnonzero(count >= _TOUCHING)]
    return [j for j in touching if _gap(picture, found, wide, number, j) < _GAP]


def _gap(picture: Picture, found: Instances, wide: Callable[[int], np.ndarray], a: int, b: int) -> float:
    """Least distance of two instances where they touch in the image, m."""
    border = [picture.points_world[found.mask(one) & picture.valid & wide(other)] for one, other in ((a, b), (b, a))]
    if not all(map(len, border)):
        return np.inf
    return float(np.linalg.norm(border[0][:, None] - border[1][None], axis=-1).min())


def _root(into: list[int], number: int) -> int:
    while into[number] != number:
        number = into[number]
    return number
