"""The 21 keypoints of a human hand, their order, and the palm frame that they define."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
"""Finger names, in keypoint order."""

NAMES = (
    "wrist",
    *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *(f"{finger}_{joint}" for finger in FINGERS[1:] for joint in ("mcp", "pip", "dip", "tip")),
)
"""Names of the 21 points: the wrist, then four a finger from its base to its tip."""

INDEX = {name: i for i, name in enumerate(NAMES)}
"""Position of each named point."""

WRIST = 0
THUMB_TIP, INDEX_TIP, MIDDLE_TIP, RING_TIP, PINKY_TIP = TIPS = (4, 8, 12, 16, 20)
INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP = (5, 9, 13, 17)

SIDES = ("right", "left")
"""The two hands."""

BONES = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))
"""Pairs (parent, child) of keypoints joined by a bone, for drawing and for measuring lengths."""


def palm_frame(keypoints: Float[np.ndarray, "*batch 21 3"], side: str = "right") -> Float[np.ndarray, "*batch 4 4"]:
    """Pose of the palm of a hand in the frame of its keypoints.

    The origin is the middle finger's base; x points from the wrist to it, along the fingers; z out of the palm; and
    ``y = z × x``, to the little finger on a right hand, to the thumb on a left one (see ``docs/architecture.md``).
    `retargeting.targets.prepare` is the same, compiled.

    Args:
        keypoints: Finite keypoints of hands of one side, m.
        side: 'right' or 'left'.

    Raises:
        ValueError: There is no such side, or wrist, index base, middle base and little finger base lie on one line.
    """
    if side not in SIDES:
        raise ValueError(f"side is '{side}', expected 'right' or 'left'.")
    origin = keypoints[..., MIDDLE_MCP, :]
    along = origin - keypoints[..., WRIST, :]
    across = keypoints[..., PINKY_MCP, :] - keypoints[..., INDEX_MCP, :]
    # from the palmar side, the little finger of a left hand is where the index finger of a right one is
    normal = np.cross(along, across) if side == "right" else np.cross(across, along)
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (along, normal)]
    if min(float(length.min(initial=np.inf)) for length in lengths) < 1e-9:
        raise ValueError("The palm has no direction: its keypoints lie on one line or in one point.")
    x, z = along / lengths[0], normal / lengths[1]
    T = np.zeros((*keypoints.shape[:-2], 4, 4))
    T[..., :3, 0], T[..., :3, 1], T[..., :3, 2], T[..., :3, 3] = x, np.cross(z, x), z, origin
    T[..., 3, 3] = 1.0
    return T
