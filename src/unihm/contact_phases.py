"""When the hand touches the object and when the object leaves its rest, and the contact phase that follows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from unihm.geometry.interpolation import smoothstep
from unihm.kinematics.keypoints import TIPS
from unihm.schema.plan import Plan

# Annotated poses of a resting object wander by 1 to 5 mm in DexYCB; a hand that pushes it in passing moves it about
# as far. What goes on beyond MOVED has been carried.
_MOVED = 0.02  # m
_LEAST, _MOST = 5e-4, 5e-3  # m, bounds of the displacement that still counts as rest
_ARM = 0.05  # m, half the size of a usual object: turns a rotation into the displacement of its surface
_TOUCH = 0.01  # m; MANO's fingertips lie on the skin, so this leaves 1 cm for the errors of both annotations


def lift_frame(T_world_object: Float[np.ndarray, "T 4 4"]) -> int:
    """First frame in which the object has left its rest.

    It is searched back from the first lasting displacement of 2 cm to the last frame that cannot be told from
    rest. The rest is the median of the first third of a second; what counts as rest follows from the noise of
    the frames before, between 0.5 and 5 mm.

    Args:
        T_world_object: Object pose, m.

    Returns:
        The frame; the number of frames if the object never leaves its rest.
    """
    displacement = _displacement(T_world_object)
    far = displacement > _MOVED
    lasting = np.flatnonzero(np.logical_and.accumulate(far[::-1])[::-1])
    # Most objects are held to the end; one that is set down again counts from its first long absence.
    runs = np.flatnonzero(np.convolve(far, np.ones(5), "valid") == 5)
    first = min([*lasting[:1], *runs[:1]], default=len(far))
    if first == len(far):
        return len(far)
    rest = displacement[: max(first - 10, 1)]
    threshold = np.clip(1.5 * np.percentile(rest, 95), _LEAST, _MOST)
    resting = np.flatnonzero(displacement[:first] <= threshold)
    return int(resting[-1] + 1) if len(resting) else 0


def contact_frame(
    keypoints_world: Float[np.ndarray, "T 21 3"],
    T_world_object: Float[np.ndarray, "T 4 4"],
    object_points: Float[np.ndarray, "n 3"],
) -> int:
    """First frame in which a fingertip comes within 1 cm of the object, at the latest the lift.

    Args:
        keypoints_world: Human keypoints, m; frames without a hand hold NaN.
        T_world_object: Object pose, m.
        object_points: Object cloud in the object's frame, m.
    """
    tips = keypoints_world[:, TIPS, :] - T_world_object[:, None, :3, 3]
    tips_object = np.einsum("tij,tki->tkj", T_world_object[:, :3, :3], tips)  # R^T of the object, applied to rows
    seen = np.isfinite(tips_object).all(axis=-1)
    distance = np.full(seen.shape, np.inf)
    distance[seen] = KDTree(object_points).query(tips_object[seen])[0]
    touching = np.flatnonzero(distance.min(axis=1) <= _TOUCH)
    lift = lift_frame(T_world_object)
    return min(int(touching[0]), lift) if len(touching) else lift


def release_frame(T_world_object: Float[np.ndarray, "T 4 4"]) -> int:
    """First frame from which the object stays as it is in the last one; the number of frames where nothing follows it.

    Args:
        T_world_object: A planned path, m; recorded ones tremble to the end.
    """
    moving = np.flatnonzero((T_world_object != T_world_object[-1]).any(axis=(1, 2)))
    first = int(moving[-1]) + 1 if len(moving) else 0
    return first if first < len(T_world_object) - 1 else len(T_world_object)


def release_of(plan: Plan) -> int | None:
    """First frame in which what is planned is let go; None where it is held to the end."""
    return release_frame(plan.T_world_object) if plan.task == "place" else None


def contact_phase(
    num_frames: int,
    lift_frame: int,
    ramp_frames: int = 10,
    settle_frames: int = 3,
    release_frame: int | None = None,
) -> Float[np.ndarray, " T"]:
    """How much the hand holds the object: 0 while it approaches, 1 from shortly before the lift on.

    Args:
        num_frames: T.
        lift_frame: First frame in which the object has left its rest.
        ramp_frames: Length of the rise, a cubic with zero slope at both ends; 10 frames are the third of a
            second in which people close their fingers.
        settle_frames: The phase is 1 this many frames before the lift, so that nothing is lifted half held.
        release_frame: Where the object is set down: first frame in which it is let go; the phase falls to 0 as it rose.
    """
    if num_frames < 1 or ramp_frames < 1:
        raise ValueError(f"Expected at least one frame and a ramp of one, got {num_frames} and {ramp_frames}.")
    frames = np.arange(num_frames)
    rise = np.clip((frames - (lift_frame - settle_frames)) / ramp_frames + 1, 0, 1)
    fall = 1.0 if release_frame is None else np.clip(1 - (frames - release_frame) / ramp_frames, 0, 1)
    return smoothstep(np.minimum(rise, fall))


def _displacement(T_world_object: np.ndarray) -> Float[np.ndarray, " T"]:
    """Distance from rest, m: of the origin, and of a point 5 cm from it by rotation."""
    early = T_world_object[: min(10, len(T_world_object))]
    position = np.median(early[:, :3, 3], axis=0)
    rotation = Rotation.from_matrix(T_world_object[:, :3, :3])
    rest = rotation[: len(early)].mean()
    moved = np.linalg.norm(T_world_object[:, :3, 3] - position, axis=1)
    return moved + _ARM * (rest.inv() * rotation).magnitude()
