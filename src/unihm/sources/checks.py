"""What keypoints must be before a hand can follow them: shape, unit, side, and one hand in every frame.

Everything is vectorised and works on a bounded number of frames at a time, so that a million frames need little
more memory than they already take.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.kinematics.keypoints import FINGERS, INDEX_MCP, MIDDLE_MCP, PINKY_MCP, WRIST

SIDES = ("right", "left")

# A grown hand measures 0.15 to 0.23 m from wrist to middle fingertip (anthropometric tables); a child's 0.1.
_HAND_LENGTH_M = (0.1, 0.4)
_UNITS = {"millimetres": 1000, "centimetres": 100}
_CHAIN = [WRIST, *range(MIDDLE_MCP, MIDDLE_MCP + 4)]
_ONE_HAND = 3.0  # a frame whose hand is this much longer or shorter than the median shows something else
_CHUNK = 1 << 15  # frames at a time

# Summed sine of the two outer bends of a finger, mean of four fingers. Of DexYCB's 63,548 hands 79 to 89 % exceed
# it, and of these at most 0.03 % bend towards the back of the hand.
_CLEARLY_BENT = 0.35
_SURE = 0.8  # share of clearly bent frames that must contradict the side; the worst DexYCB recording reaches 0.18
_ENOUGH = 0.05  # share of frames that must be clearly bent before they decide
_SIDE_FRAMES = 4096  # frames looked at, evenly spread


def check_keypoints(keypoints: Any, side: str = "right", where: str = "", *, allow_missing: bool = False) -> None:
    """Refuse what is not a sequence of hands.

    Args:
        keypoints: What should be keypoints (T, 21, 3), m.
        side: The hand that they should show, 'right' or 'left'.
        where: Start of every message, such as the file's name and a colon.
        allow_missing: Frames may hold NaN or infinite values; only the complete ones are looked at.

    Raises:
        ValueError: The shape or type is wrong, there is no frame, values are not finite, the hand is not as long as
            a hand in metres, one frame is not like the others, a frame's palm is a point or a line, or the fingers
            bend to the back of the hand that was named.
    """
    if side not in SIDES:
        raise ValueError(f"{where}side is '{side}', expected 'right' or 'left'.")
    keypoints = np.asarray(keypoints)
    _check_shape(keypoints, where)
    complete, length, flat = _measure(keypoints)
    if not allow_missing and not complete.all():
        first = int(complete.argmin())
        raise ValueError(
            f"{where}{(~complete).sum()} of {len(complete)} frames hold NaN or infinite values, first frame {first}."
        )
    if not complete.any():
        return
    _check_length(length, where)
    if flat.any():
        raise ValueError(
            f"{where}{flat.sum()} of {len(flat)} frames have no palm, first frame {int(flat.argmax())}: wrist and "
            "finger bases lie in one point or on one line."
        )
    _check_side(keypoints, complete, side, where)


def finger_bend(keypoints: Float[np.ndarray, "n 21 3"]) -> Float[np.ndarray, " n"]:
    """How far the four fingers bend, and to which side of the hand; positive on a right hand that closes.

    The bends at the two outer joints of a finger turn about an axis across the palm. From the thumb's to the little
    finger's side, that axis is y of ``kinematics.keypoints.palm_frame``, and a right hand bends about -y, a left hand
    about +y. The knuckles are left out, since healthy ones bend backwards, too.

    Returns:
        Sum of the sines of both bends, mean of four fingers.
    """
    along = keypoints[:, MIDDLE_MCP] - keypoints[:, WRIST]
    across = keypoints[:, PINKY_MCP] - keypoints[:, INDEX_MCP]
    y = across - along * (np.sum(across * along, -1) / np.sum(along * along, -1))[:, None]
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    fingers = keypoints[:, 5:].reshape(-1, len(FINGERS) - 1, 4, 3)
    bones = np.diff(fingers, axis=2)
    bones /= np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-9)
    bend = np.cross(bones[:, :, :-1], bones[:, :, 1:])
    return -np.einsum("nfba,na->n", bend, y) / bend.shape[1]


def _check_shape(keypoints: np.ndarray, where: str) -> None:
    shape = tuple(keypoints.shape)
    if len(shape) != 3 or shape[1:] != (21, 3):
        hint = ""
        if len(shape) == 3 and shape[0] == 21 and shape[2] == 3:
            hint = " The first two axes are swapped; give numpy.swapaxes(keypoints, 0, 1)."
        elif len(shape) == 3 and shape[1:] == (3, 21):
            hint = " The last two axes are swapped; give numpy.swapaxes(keypoints, 1, 2)."
        elif len(shape) == 3 and shape[1:] == (21, 2):
            hint = " These look like pixels; three coordinates in metres are needed."
        elif len(shape) == 2 and shape[1] == 63:
            hint = " Each row looks like 21 points; give keypoints.reshape(-1, 21, 3)."
        elif shape == (21, 3):
            hint = " This looks like one frame; give keypoints[None]."
        raise ValueError(f"{where}keypoints have shape {shape}, expected (T, 21, 3).{hint}")
    if keypoints.dtype.kind not in "fiu":
        raise ValueError(f"{where}keypoints are of type {keypoints.dtype}, expected real numbers.")
    if shape[0] < 1:
        raise ValueError(f"{where}there is no frame; expected at least one.")


def _measure(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each frame: is it complete, the length from wrist to middle fingertip (m, NaN if not), has it no palm."""
    frames = len(keypoints)
    complete, flat = np.zeros(frames, dtype=bool), np.zeros(frames, dtype=bool)
    length = np.full(frames, np.nan)
    for start in range(0, frames, _CHUNK):
        part = np.asarray(keypoints[start : start + _CHUNK], dtype=np.float64)
        here = np.isfinite(part).all(axis=(1, 2))
        index, part = start + here.nonzero()[0], part[here]
        complete[index] = True
        length[index] = np.linalg.norm(np.diff(part[:, _CHAIN], axis=1), axis=-1).sum(-1)
        along, across = part[:, MIDDLE_MCP] - part[:, WRIST], part[:, PINKY_MCP] - part[:, INDEX_MCP]
        sides = np.linalg.norm(along, axis=-1) * np.linalg.norm(across, axis=-1)
        flat[index] = np.linalg.norm(np.cross(along, across), axis=-1) <= 1e-3 * sides
    return complete, length, flat


def _check_length(length: np.ndarray, where: str) -> None:
    """The hand is as long as hands are, and in all frames about alike."""
    median = float(np.nanmedian(length))
    low, high = _HAND_LENGTH_M
    if median < 1e-9:
        raise ValueError(f"{where}all points of the hand are the same in most frames; expected a hand in metres.")
    if not low <= median <= high:
        hint = "".join(
            f" The keypoints look like {unit}; divide by {factor} (scale {1 / factor:g})."
            for unit, factor in _UNITS.items()
            if low * factor <= median <= high * factor
        )
        raise ValueError(
            f"{where}the hand is {median:.4g} m long from wrist to middle fingertip, expected {low} to {high} m.{hint}"
        )
    with np.errstate(invalid="ignore"):
        odd = (length > _ONE_HAND * median) | (length < median / _ONE_HAND)
    if odd.any():
        first = int(odd.argmax())
        raise ValueError(
            f"{where}{odd.sum()} of {len(odd)} frames show no hand like the others: in frame {first} it is "
            f"{length[first]:.4g} m long from wrist to middle fingertip, the median is {median:.3f} m."
        )


def _check_side(keypoints: np.ndarray, complete: np.ndarray, side: str, where: str) -> None:
    """Fingers bend to the palm; where they bend to the back, it is the other hand."""
    index = complete.nonzero()[0]
    index = index[:: -(-len(index) // _SIDE_FRAMES)]
    bend = finger_bend(np.asarray(keypoints[index], dtype=np.float64)) * (1 if side == "right" else -1)
    bent = np.abs(bend) > _CLEARLY_BENT
    wrong = int((bend[bent] < 0).sum())
    if bent.sum() >= _ENOUGH * len(bent) and wrong > _SURE * bent.sum():
        other = SIDES[1 - SIDES.index(side)]
        raise ValueError(
            f"{where}the fingers bend to the back of a {side} hand in {wrong} of {bent.sum()} frames with bent "
            f"fingers: this looks like a {other} hand. Give {side}-hand keypoints, or choose a {other} hand."
        )
