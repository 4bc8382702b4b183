"""When things happen: frames are stretched where what is carried would be thrown about, or a joint could not follow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation

_AHEAD = 4  # frames before and after a fast one that are slowed as well
_SOFT = 3.0  # frames, width over which slowing sets in
_SLOWEST = 4.0  # most that time is stretched
_USED = 0.9  # share of a joint's speed that is used
_ARM = 0.05  # m, half the size of a usual object: turns a rotation into the displacement of its surface


def stretched_times(
    T_world_object: Float[np.ndarray, "T 4 4"],
    T_world_palm: Float[np.ndarray, "T 4 4"],
    qpos: Float[np.ndarray, "T nq"],
    fps: float,
    *,
    carry: tuple[float, float, float],
    palm: tuple[float, float, float],
    joint_speed: Float[np.ndarray, " nq"],
) -> Float[np.ndarray, " T"]:
    """Times at which frames shall be reached, s.

    Every interval lasts as long as the speed limits ask, and so much longer that accelerations and jerks of object and
    palm, which fall with the square and the cube of time, stay within theirs. Infinite limits are none.

    Args:
        T_world_object: Poses of the object, m.
        T_world_palm: Poses of the palm, m.
        qpos: What the joints are sent, rad or m.
        fps: Frames per second of the given motion.
        carry: Most speed (m/s), acceleration (m/s^2) and jerk (m/s^3) of the object.
        palm: The same of the palm.
        joint_speed: Limits, rad/s or m/s.
    """
    if len(qpos) < 2:
        return np.zeros(len(qpos))
    factor = np.maximum(_slower(T_world_object, fps, *carry), _slower(T_world_palm, fps, *palm))
    factor = np.clip(factor, 1.0, _SLOWEST)
    factor = gaussian_filter1d(maximum_filter1d(factor, 2 * _AHEAD + 1, mode="nearest"), _SOFT, mode="nearest")
    joints = (np.abs(np.diff(qpos, axis=0)) * fps / (_USED * joint_speed)).max(axis=1)
    return np.concatenate([[0.0], np.cumsum(np.maximum(factor, joints)) / fps])


def _slower(
    T: Float[np.ndarray, "T 4 4"], fps: float, speed: float, acceleration: float, jerk: float
) -> Float[np.ndarray, " _"]:
    """By what the intervals between poses must be stretched for speed (m/s), acceleration and jerk."""
    rotation = Rotation.from_matrix(T[:, :3, :3])
    # annotated poses tremble; what they are stretched by must not
    step = np.diff(gaussian_filter1d(T[:, :3, 3], 1.5, axis=0, mode="nearest"), axis=0) * fps
    turn = gaussian_filter1d((rotation[:-1].inv() * rotation[1:]).as_rotvec() * fps * _ARM, 1.5, axis=0, mode="nearest")
    v = np.linalg.norm(step, axis=1) + np.linalg.norm(turn, axis=1)
    if len(step) < 2:
        return v / speed
    bend, turning = np.gradient(step, axis=0) * fps, np.gradient(turn, axis=0) * fps
    a = np.linalg.norm(bend, axis=1) + np.linalg.norm(turning, axis=1)
    j = np.linalg.norm(np.gradient(bend, axis=0), axis=1) + np.linalg.norm(np.gradient(turning, axis=0), axis=1)
    return np.maximum.reduce([v / speed, np.sqrt(a / acceleration), np.cbrt(j * fps / jerk)])
