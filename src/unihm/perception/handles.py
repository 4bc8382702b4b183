"""All pixels of the handle of a part that moves, also those that the view network takes for something else.

A handle often ends up in an instance of its own, since its votes gather where it is, or is not seen as one: dark on
dark, or beyond the edge of a lid of which the inside is seen. What stands off the panel by a finger's room, over it, is
its handle:

- other parts of which most does, and what touches the pixels that are known to be the handle's;
- where these are too few, all that is no other thing, on the side where the body is not.

Together they must have the size of a bar or a knob.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, label

from unihm.cliport.instances import PART, Instances
from unihm.perception.panel import MIN_HANDLE, WIDEST_BAR, face_of, spans, stands_off

_MOSTLY = 0.5  # share of a part's pixels that stand off another, from which on it is the other's handle
_LONGEST = 0.2  # m of a bar, with what the noise adds
_FULL = np.ones((3, 3))  # pixels that touch by a corner hang together


def handle_pixels(
    found: Instances,
    target: int,
    points_world: Float[np.ndarray, "H W 3"],
    seen: Bool[np.ndarray, "H W"],
    camera_position: Float[np.ndarray, " 3"],
    kind: str,
) -> Bool[np.ndarray, "H W"]:
    """Pixels with a depth that show the handle; what the view network found where there is no more.

    Args:
        found: Instances of the image.
        target: The part that moves.
        points_world: What every pixel shows, z-up world, m.
        seen: Pixels with a depth near the part, none of the table's.
        camera_position: Where it is seen from, m.
        kind: drawer, door or lid.
    """
    own = found.handle(target) & seen
    panel = found.mask(target) & seen & ~own
    face = face_of(points_world[panel], points_world[own], camera_position, kind)
    if face is None:
        return own
    body = seen & (found.labels < 0)
    if face.has_handle:
        outward = 1.0
    elif body.any():
        outward = -float(np.sign(np.median(face.plane.distance(points_world[body]))))
    else:
        return own
    standing = seen.copy()
    standing[seen] = stands_off(points_world[seen], face, outward)

    def like_a_handle(pixels: np.ndarray) -> bool:
        return _like_a_handle(points_world[pixels & standing], face.plane.normal)

    handle = own
    pieces = [found.mask(i) & seen for i, k in enumerate(found.kinds) if i != target and k == PART]
    pieces = [piece for piece in pieces if standing[piece].sum() > _MOSTLY * piece.sum()]
    numbers = _numbered(standing & (found.labels != target))
    beside = np.asarray(binary_dilation(own & standing, _FULL), dtype=bool)
    touching = set(numbers[beside].tolist()) - {0}
    pieces += [numbers == number for number in touching]
    if (own & standing).sum() < MIN_HANDLE and not any(piece.sum() >= MIN_HANDLE for piece in pieces):
        numbers = _numbered(standing & ((found.labels < 0) | (found.labels == target)))
        pieces = [numbers == number for number in range(1, numbers.max() + 1)]
        pieces = [piece for piece in pieces if piece.sum() >= MIN_HANDLE and like_a_handle(piece)]
    for piece in sorted(pieces, key=np.sum, reverse=True):
        if like_a_handle(handle | piece):
            handle = handle | piece
    return handle


def _numbered(pixels: np.ndarray) -> np.ndarray:
    """What hangs together, numbered from 1; 0 elsewhere."""
    numbers = np.zeros(pixels.shape, dtype=np.int32)
    label(pixels, _FULL, output=numbers)
    return numbers


def _like_a_handle(points: np.ndarray, normal: np.ndarray) -> bool:
    """Whether points have the size of a bar or a knob, across the normal."""
    wide, long = spans(points, normal)
    return long < _LONGEST and wide < WIDEST_BAR
