"""A hand's motion as the numbers that its encoder reads and its decoder writes.

One frame is: palm position in the canonical object frame (in units of 10 cm), palm orientation there (first two
columns of the rotation, one after the other), and the joint positions, -1 at their lower and +1 at their upper
limit. See `geometry.object_frame` for the canonical frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unihm.geometry.lie import make_transform, matrix_from_6d, rotation_6d
from unihm.geometry.object_frame import canonical_object_frame
from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion

PALM_SIZE = 9
"""Palm features of a frame: 3 for the position, 6 for the orientation."""
POSITION_SCALE = 0.1
"""m; a palm at a grasp is about one such unit from the object's centre."""


def canonical_path(motion: HandMotion) -> Float[np.ndarray, "T 4 4"]:
    """T_world_canonical of every frame: the canonical object frame, moving with the object.

    A motion without an object has a frame that stays where it is: its origin is the first position of the palm,
    z is up, and x points back along the fingers, as it would from an object in front of them. This is another
    kind of frame, and the trained codes fit it less well.

    Raises:
        ValueError: The motion has an object path but no object cloud.
    """
    palm = motion.T_world_palm[0]
    if motion.T_world_object is not None:
        if motion.object_points is None:
            raise ValueError("The motion has an object path but no object cloud; the object frame needs both.")
        T_object_canonical = canonical_object_frame(motion.T_world_object[0], motion.object_points, palm[:3, 3])
        return motion.T_world_object @ T_object_canonical
    # Fingers that point straight up or down have no horizontal direction; the palm's own normal then has one.
    back = -palm[:2, 0] if np.linalg.norm(palm[:2, 0]) > 0.1 else -palm[:2, 2]
    yaw = np.arctan2(back[1], back[0])
    T_world_canonical = np.eye(4)
    T_world_canonical[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    T_world_canonical[:3, 3] = palm[:3, 3]
    return np.broadcast_to(T_world_canonical, (len(motion), 4, 4)).copy()


@dataclass(frozen=True, kw_only=True)
class HandFeatures:
    """How one hand's joints are scaled; part of the trained weights, so that codes keep their meaning."""

    hand: str
    """Name of the hand folder."""
    joint_names: tuple[str, ...]
    """Independent joints, the order of qpos."""
    lower: tuple[float, ...]
    """Lower limits, rad or m."""
    upper: tuple[float, ...]
    """Upper limits, rad or m."""

    def __post_init__(self):
        nq = len(self.joint_names)
        if len(self.lower) != nq or len(self.upper) != nq:
            raise ValueError(f"Hand '{self.hand}' has {nq} joints but other numbers of limits.")
        if not (np.isfinite([*self.lower, *self.upper]).all() and np.less(self.lower, self.upper).all()):
            raise ValueError(f"Hand '{self.hand}' has a joint without a finite range.")

    @property
    def size(self) -> int:
        """F, features of a frame."""
        return PALM_SIZE + len(self.joint_names)

    def limits(self, like: Tensor) -> tuple[Float[Tensor, " nq"], Float[Tensor, " nq"]]:
        """Joint limits in the type and on the device of another tensor."""
        return like.new_tensor(self.lower), like.new_tensor(self.upper)

    def pack(
        self, qpos: Float[Tensor, "*batch nq"], T_canonical_palm: Float[Tensor, "*batch 4 4"]
    ) -> Float[Tensor, "*batch F"]:
        """Features of joint positions and palm poses."""
        lower, upper = self.limits(qpos)
        joints = 2 * (qpos - lower) / (upper - lower) - 1
        position = T_canonical_palm[..., :3, 3] / POSITION_SCALE
        return torch.cat([position, rotation_6d(T_canonical_palm[..., :3, :3]), joints], -1)

    def unpack(
        self, features: Float[Tensor, "*batch F"]
    ) -> tuple[Float[Tensor, "*batch nq"], Float[Tensor, "*batch 4 4"]]:
        """Joint positions, which may lie outside of the limits, and palm poses with proper rotations."""
        lower, upper = self.limits(features)
        qpos = lower + (features[..., PALM_SIZE:] + 1) * (upper - lower) / 2
        position = features[..., :3] * POSITION_SCALE
        return qpos, make_transform(matrix_from_6d(features[..., 3:PALM_SIZE]), position)

    def ordered_qpos(self, motion: HandMotion) -> Float[np.ndarray, "T nq"]:
        """The motion's joint positions in this order.

        Raises:
            ValueError: The motion has other joints.
        """
        if motion.joint_names == self.joint_names:
            return motion.qpos
        if set(motion.joint_names) != set(self.joint_names) or motion.hand != self.hand:
            raise ValueError(
                f"The motion of '{motion.hand}' has joints {', '.join(motion.joint_names[:4])}...; the tokenizer's "
                f"'{self.hand}' has {', '.join(self.joint_names[:4])}... ({len(self.joint_names)} in all)."
            )
        return motion.qpos[:, [motion.joint_names.index(name) for name in self.joint_names]]

    def of_motion(self, motion: HandMotion, T_world_canonical: Float[np.ndarray, "T 4 4"]) -> Float[Tensor, "T F"]:
        """Features of a motion's frames, in double precision.

        Args:
            motion: Of this hand.
            T_world_canonical: Path of the canonical object frame.

        Raises:
            ValueError: The motion has other joints.
        """
        qpos = torch.from_numpy(np.ascontiguousarray(self.ordered_qpos(motion), dtype=np.float64))
        return self.pack(qpos, torch.from_numpy(np.linalg.inv(T_world_canonical) @ motion.T_world_palm))


def hand_features(hand: HandModel) -> HandFeatures:
    """How a hand's joints are scaled: by its limits."""
    return HandFeatures(
        hand=hand.name,
        joint_names=tuple(hand.joint_names),
        lower=tuple(hand.lower.tolist()),
        upper=tuple(hand.upper.tolist()),
    )
