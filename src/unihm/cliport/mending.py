"""Pieces of things put back together: the words' network knows whole things from pieces of them.

The view network may cut what it has seldom seen, such as a pitcher with its handle, into several. A piece and a
neighbour are one thing where what both show together is whole, more surely than the neighbour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
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
    has_handle = [found.handle(i).any() for i in range(len(found))]
    pieces = [i for i in range(len(found)) if whole[i] < _PIECE]
    pairs = [
        (i, j)
        for i in pieces
        for j in _neighbours(picture, found, i)
        if not (has_handle[i] and found.kinds[j] == PART)  # the next door
    ]
    if not pairs:
        return Mended(found=found, encoded=encoded, held_by={})
    union = _whole(network, picture, np.stack([found.mask(i) | found.mask(j) for i, j in pairs]))
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
        encoded = encoded.followed_by(network.encode(torch.from_numpy(crops.images), torch.from_numpy(crops.measures)))
    return Mended(
        found=joined.only(kept),
        encoded=encoded.take(torch.tensor([row.get(i, i) for i in kept])),
        held_by={number[i]: number[root[i]] for i in loose},
    )


def _neighbours(picture: Picture, found: Instances, number: int) -> list[int]:
    """Instances that touch one in the image and in space."""
    mask = found.mask(number)
    around = binary_dilation(mask, iterations=_REACH) & ~mask & picture.valid
    count = np.bincount(found.labels[around & (found.labels >= 0)], minlength=len(found))
    return [int(j) for j in np.flatnonzero(count >= _TOUCHING) if _gap(picture, found, number, int(j)) < _GAP]


def _gap(picture: Picture, found: Instances, a: int, b: int) -> float:
    """Least distance of two instances where they touch in the image, m."""
    border = []
    for one, other in ((a, b), (b, a)):
        near = np.asarray(binary_dilation(found.mask(other), iterations=_REACH), dtype=bool)
        border.append(picture.points_world[found.mask(one) & picture.valid & near])
    if not all(map(len, border)):
        return np.inf
    return float(np.linalg.norm(border[0][:, None] - border[1][None], axis=-1).min())


def _whole(network: PlannerNetwork, picture: Picture, masks: Bool[np.ndarray, "P H W"]) -> list[float]:
    crops = picture.crop(masks)
    encoded = network.encode(torch.from_numpy(crops.images), torch.from_numpy(crops.measures))
    return network.describe(encoded).whole.tolist()


def _root(into: list[int], number: int) -> int:
    while into[number] != number:
        number = into[number]
    return number
