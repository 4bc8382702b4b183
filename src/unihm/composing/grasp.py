"""How a recorded hand comes to an object and grasps it, beside the object where it rests in simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.composing.base import Source
from unihm.geometry.interpolation import smoothstep
from unihm.refinement.segment import LIFTED
from unihm.schema.episode import Episode
from unihm.simulation.resting import resting_pose
from unihm.simulation.tasks.measuring import angle

_BLEND = 10  # frames until the lift, in which the resting object's mean pose passes into that of each frame
_LEAST = 3  # frames before the lift, without which nobody saw where the object rested
_ON_TABLE = 0.015  # m, as in datasets/instructions.py: more is another thing that the object lies on
_DIPS = -0.02  # m over the table that joints and tips of a hand may come to; refinement lifts the hand that far
_LATER = 10  # frames after that of 3 cm, in which a better grasp is looked for
_FALLS, _TILTS = 0.03, 15.0  # m and degrees: an object that settles by more does not stand by itself
AWAY = 0.2  # m of the wrist from where it let go, as in refinement/joint.py


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordedGrasp:
    """The approach, up to the frame whose grasp is kept."""

    keypoints_object: Float[np.ndarray, "G 21 3"]
    """The hand in the object's frame, m; it holds as in the last frame."""
    T_world_rest: Float[np.ndarray, "4 4"]
    """Where the object rests, its lowest point on the table at z = 0, m."""

    @property
    def leaving(self) -> Float[np.ndarray, "L 21 3"]:
        """The approach backwards, until the wrist is well away: how the object is let go, m."""
        away = np.linalg.norm(self.keypoints_object[:, 0] - self.keypoints_object[-1, 0], axis=1) >= AWAY
        far = np.flatnonzero(away)
        return self.keypoints_object[int(far[-1]) if len(far) else 0 : -1][::-1]


def recorded_grasp(source: Source) -> RecordedGrasp:
    """Approach and grasp of a recording.

    The grasp is that of the frame in which the object is 3 cm off its rest, or as far as it comes: the last frame at
    rest catches half-closed hands (FACTS 8). Where the object was tilted by then, so that the hand would be in the
    table beside the resting one, it is the nearest frame where it would not. At first the hand is seen from the mean
    pose of the resting object, since annotated poses tremble by degrees, and from the lift on from the object itself.

    Raises:
        ValueError: The object is never lifted, lies on another thing, or does not stand by itself, or the hand would
            be in the table.
    """
    episode = source.episode
    lift, grasp = episode.lift_frame, grasp_frame(episode)
    T_rest = mean_pose(episode.T_world_object[: min(lift, _BLEND)])
    if abs(source.object.lowest(T_rest)) > _ON_TABLE:
        raise ValueError("the object does not lie on the table")
    T_settled = resting_pose(source.object, T_rest)
    fell = np.linalg.norm(T_settled[:3, 3] - T_rest[:3, 3])
    if fell > _FALLS or angle(T_settled[None, :3, :3], T_rest[:3, :3])[0] > _TILTS:
        raise ValueError("the object does not stand by itself")
    T_settled[2, 3] -= source.object.lowest(T_settled)

    own = smoothstep(np.clip(1 - (lift - np.arange(len(episode))) / _BLEND, 0, 1))
    T_object_world = np.linalg.inv(_between(T_rest, episode.T_world_object, own))
    keypoints = carried(episode.keypoints_world, T_object_world)
    lowest = carried(keypoints, np.tile(T_settled, (len(keypoints), 1, 1)))[..., 2].min(axis=1)
    over = np.minimum.accumulate(lowest) >= _DIPS
    frames = np.flatnonzero(over[lift : grasp + _LATER + 1]) + lift
    if not len(frames):
        raise ValueError("the hand would be in the table")
    grasp = int(frames[np.abs(frames - grasp).argmin()])
    return RecordedGrasp(keypoints_object=keypoints[: grasp + 1], T_world_rest=T_settled)


def grasp_frame(episode: Episode) -> int:
    """The frame in which the object is 3 cm off its rest; raises ValueError where it is never lifted."""
    if not _LEAST <= episode.lift_frame < len(episode) - 1:
        raise ValueError("the object is never lifted, or from the beginning")
    position = episode.T_world_object[:, :3, 3]
    away = np.linalg.norm(position - position[episode.lift_frame - 1], axis=1)
    away[: episode.lift_frame] = 0.0
    far = np.flatnonzero(away >= LIFTED)
    return int(far[0]) if len(far) else int(away.argmax())


def carried(keypoints_object: Float[np.ndarray, "... 21 3"], T_world_object: Float[np.ndarray, "T 4 4"]) -> np.ndarray:
    """Keypoints in the world, (T, 21, 3), m: of a hand that is the same in the object's frame, or of one each frame."""
    turned = np.einsum("tij,tkj->tki", T_world_object[:, :3, :3], np.broadcast_to(
        keypoints_object, (len(T_world_object), *keypoints_object.shape[-2:])
    ))  # fmt: skip
    return turned + T_world_object[:, None, :3, 3]


def mean_pose(T: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "4 4"]:
    """The median of the positions and the mean of the rotations."""
    mean = np.eye(4)
    mean[:3, :3] = Rotation.from_matrix(T[:, :3, :3]).mean().as_matrix()
    mean[:3, 3] = np.median(T[:, :3, 3], axis=0)
    return mean


def _between(T_rest: np.ndarray, T: np.ndarray, share: np.ndarray) -> np.ndarray:
    """From the resting pose to that of each frame, by a share of the way."""
    found = np.tile(np.eye(4), (len(T), 1, 1))
    found[:, :3, 3] = T_rest[:3, 3] + share[:, None] * (T[:, :3, 3] - T_rest[:3, 3])
    rest = Rotation.from_matrix(T_rest[:3, :3])
    turn = (rest.inv() * Rotation.from_matrix(T[:, :3, :3])).as_rotvec()
    found[:, :3, :3] = (rest * Rotation.from_rotvec(share[:, None] * turn)).as_matrix()
    return found
