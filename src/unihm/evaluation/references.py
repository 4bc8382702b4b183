"""What a generator has to beat: three references that see exactly what it sees.

A reference is given the initial pose of the hand, the object's cloud and the object's path, and answers with a
`Track`. All but the first learn from training recordings only, in the moving canonical object frame
(`geometry.object_frame`), where the same grasp from another side of the table is the same motion.

Two sequences are laid over each other by their *lift phase*: 0 at the start, 1 in the frame in which the object
leaves its rest, 2 at the end, linear in between. The object's path is given, hence the lift is too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unihm.evaluation.motion_metrics import Track, mpjpe_mm
from unihm.geometry.interpolation import smoothstep
from unihm.geometry.object_frame import canonical_object_frame

_STATE_PHASES = np.linspace(0, 2, 33)  # finer grids change nothing: motions are 25 to 76 smooth frames
_PATH_PHASES = np.linspace(0, 2, 9)[1:]  # phase 0 is the identity by construction
_PENALTIES = np.geomspace(1e-1, 1e5, 25)


@dataclass(frozen=True, kw_only=True)
class Given:
    """All that a generator or a reference may know of a test sequence."""

    keypoints0_world: Float[np.ndarray, "k 3"]
    """Keypoints in the first frame, m."""
    T_world_palm0: Float[np.ndarray, "4 4"]
    """Palm pose in the first frame, m."""
    wrist0_world: Float[np.ndarray, " 3"]
    """Wrist in the first frame, m."""
    T_world_object: Float[np.ndarray, "T 4 4"]
    """Object path, m."""
    object_points: Float[np.ndarray, "n 3"]
    """Object cloud in the object's frame, m."""
    lift_frame: int
    """First frame in which the object has left its rest, T where it never does; follows from the path."""
    fps: float
    """Frames per second."""

    def __len__(self) -> int:
        return len(self.T_world_object)

    @cached_property
    def T_world_canonical(self) -> Float[np.ndarray, "T 4 4"]:
        """Path of the canonical object frame, m."""
        return self.T_world_object @ canonical_object_frame(
            self.T_world_object[0], self.object_points, self.T_world_palm0[:3, 3]
        )


def without_path(given: Given) -> Given:
    """The same with the object's path left out: it stays where it was, and the time of the lift is not known."""
    still = np.repeat(given.T_world_object[:1], len(given), axis=0)
    return replace(given, T_world_object=still, lift_frame=len(given) // 2)


@runtime_checkable
class Reference(Protocol):
    """One row of the table that is not ours."""

    def predict(self, given: Given) -> Track:
        """The motion that the reference answers with."""
        ...


class ConstantPose:
    """The initial pose, held still in the world."""

    def predict(self, given: Given) -> Track:
        """See `Reference`."""
        T = len(given)
        return Track(
            keypoints_world=np.repeat(given.keypoints0_world[None], T, axis=0),
            T_world_palm=np.repeat(given.T_world_palm0[None], T, axis=0),
            wrist_world=np.repeat(given.wrist0_world[None], T, axis=0),
            fps=given.fps,
        )


class NearestNeighbour:
    """The training motion whose start, object and path are most alike, replayed around the object.

    It is warped in time so that the lifts coincide; the difference to the given initial pose is added and
    fades out until the lift.
    """

    def __init__(self, training: Sequence[tuple[Given, Track]]):
        """Remembers the training motions.

        Args:
            training: What was given and what was recorded, for every training sequence.
        """
        self._blocks = [_blocks(given) for given, _ in training]
        # A block (palm position, palm axes, extents, path) counts as one; its spread over the training set is its unit.
        self._scales = [
            np.stack(block).std(axis=0).clip(1e-6) * np.sqrt(block[0].size) for block in zip(*self._blocks, strict=True)
        ]
        self._states = np.stack([_states_at(given, track, _STATE_PHASES) for given, track in training])

    def predict(self, given: Given) -> Track:
        """See `Reference`."""
        own = _blocks(given)
        distances = [
            sum(float((((a - b) / scale) ** 2).sum()) for a, b, scale in zip(own, other, self._scales, strict=True))
            for other in self._blocks
        ]
        states = self._states[int(np.argmin(distances))]
        phases = _lift_phase(len(given), given.lift_frame)
        replay = _interpolate(phases, _STATE_PHASES, states)
        fade = smoothstep(np.clip(1 - phases, 0, 1))
        return track_of_states(given, replay + fade[:, None] * (_initial_state(given) - replay[0]))


class RidgeRegression:
    """One linear map from start, object and path to the whole motion, least squares with a penalty.

    The penalty is the one with the smallest MPJPE on the model-selection recordings.
    """

    penalty: float
    """The chosen weight of the squared coefficients, on standardised inputs."""

    def __init__(self, training: Sequence[tuple[Given, Track]], selection: Sequence[tuple[Given, Track]]):
        """Fits the map.

        Args:
            training: What was given and what was recorded, for every training sequence.
            selection: The same of the model-selection recordings; they choose the penalty and nothing else.
        """
        x = np.stack([_features(given) for given, _ in training])
        y = np.stack([_states_at(given, track, _STATE_PHASES).ravel() for given, track in training])
        self._x_mean, self._x_scale = x.mean(axis=0), x.std(axis=0).clip(1e-6)
        self._y_mean = y.mean(axis=0)
        u, s, vt = np.linalg.svd((x - self._x_mean) / self._x_scale, full_matrices=False)
        uty = u.T @ (y - self._y_mean)
        x_selection = np.stack([_features(given) for given, _ in selection])
        inputs = (x_selection - self._x_mean) / self._x_scale @ vt.T
        best = np.inf
        for penalty in _PENALTIES:
            shrunk = (s / (s**2 + penalty))[:, None] * uty
            error = np.mean(
                [
                    mpjpe_mm(_points(given, self._states(given, output))[:, :-2], track.keypoints_world)
                    for (given, track), output in zip(selection, inputs @ shrunk, strict=True)
                ]
            )
            if error < best:
                best, self.penalty, self._coefficients = error, float(penalty), vt.T @ shrunk

    def _states(self, given: Given, output: np.ndarray) -> np.ndarray:
        """The regression's output, states at fixed phases, at the frames of a motion."""
        states = (self._y_mean + output).reshape(len(_STATE_PHASES), -1)
        return _interpolate(_lift_phase(len(given), given.lift_frame), _STATE_PHASES, states)

    def predict(self, given: Given) -> Track:
        """See `Reference`."""
        x = (_features(given) - self._x_mean) / self._x_scale
        return track_of_states(given, self._states(given, x @ self._coefficients))


def _lift_phase(num_frames: int, lift_frame: int) -> np.ndarray:
    """Phase of every frame, (T,): 0 to 1 until the lift, 1 to 2 after it."""
    lift_frame = min(lift_frame, num_frames - 1)
    frames = np.arange(num_frames)
    approach = frames / max(lift_frame, 1)
    carry = 1 + (frames - lift_frame) / max(num_frames - 1 - lift_frame, 1)
    return np.where(frames < lift_frame, approach, carry)


def _frame_at(phases: np.ndarray, num_frames: int, lift_frame: int) -> np.ndarray:
    """The (fractional) frame at each phase, the inverse of `_lift_phase`."""
    last = num_frames - 1
    lift_frame = min(lift_frame, last)
    return np.where(phases < 1, phases * lift_frame, lift_frame + (phases - 1) * (last - lift_frame))


def _interpolate(at: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Linear interpolation of (K, d) values at (m,) places."""
    upper = np.clip(np.searchsorted(knots, at, side="right"), 1, len(knots) - 1)
    weight = ((at - knots[upper - 1]) / (knots[upper] - knots[upper - 1]))[:, None]
    return (1 - weight) * values[upper - 1] + weight * values[upper]


def _state(
    T_canonical_world: np.ndarray, keypoints: np.ndarray, wrist: np.ndarray, T_world_palm: np.ndarray
) -> np.ndarray:
    """Keypoints, wrist, palm position and palm axes in the canonical frame as rows (T, 3 k + 15)."""
    points = np.concatenate([keypoints, wrist[:, None], T_world_palm[:, None, :3, 3]], axis=1)
    points = points @ T_canonical_world[:, :3, :3].swapaxes(1, 2) + T_canonical_world[:, None, :3, 3]
    axes = T_canonical_world[:, :3, :3] @ T_world_palm[:, :3, :3]
    return np.concatenate([points.reshape(len(points), -1), axes.reshape(len(axes), 9)], axis=1)


def canonical_states(given: Given, track: Track) -> Float[np.ndarray, "T s"]:
    """Keypoints, wrist, palm position and axes of a track's frames in the moving canonical frame, as rows."""
    T_canonical_world = np.linalg.inv(given.T_world_canonical[: len(track)])
    return _state(T_canonical_world, track.keypoints_world, track.wrist_world, track.T_world_palm)


def _initial_state(given: Given) -> np.ndarray:
    """The state in the first frame, (3 k + 15,)."""
    T_canonical_world = np.linalg.inv(given.T_world_canonical[:1])
    return _state(T_canonical_world, given.keypoints0_world[None], given.wrist0_world[None], given.T_world_palm0[None])[
        0
    ]


def _states_at(given: Given, track: Track, phases: np.ndarray) -> np.ndarray:
    """A recorded motion as states at the given lift phases, (len(phases), 3 k + 15)."""
    states = canonical_states(given, track)
    frames = np.arange(len(states), dtype=float)
    if len(states) == 1:
        return np.repeat(states, len(phases), axis=0)
    return _interpolate(_frame_at(phases, len(states), given.lift_frame), frames, states)


def _points(given: Given, states: np.ndarray) -> np.ndarray:
    """World points of states in the moving canonical frame, (T, k + 2, 3): keypoints, wrist, palm origin."""
    T_world_canonical = given.T_world_canonical
    points = states[:, :-9].reshape(len(states), -1, 3)
    return points @ T_world_canonical[:, :3, :3].swapaxes(1, 2) + T_world_canonical[:, None, :3, 3]


def track_of_states(given: Given, states: np.ndarray) -> Track:
    """States in the moving canonical frame as a track in the world."""
    points = _points(given, states)
    # Axes were averaged as plain numbers; the nearest rotation is U diag(1, 1, det(U V^T)) V^T.
    u, _, vt = np.linalg.svd(states[:, -9:].reshape(-1, 3, 3))
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    T_world_palm = np.tile(np.eye(4), (len(states), 1, 1))
    T_world_palm[:, :3, :3] = given.T_world_canonical[:, :3, :3] @ u @ vt
    T_world_palm[:, :3, 3] = points[:, -1]
    return Track(keypoints_world=points[:, :-2], wrist_world=points[:, -2], T_world_palm=T_world_palm, fps=given.fps)


def _blocks(given: Given) -> tuple[np.ndarray, ...]:
    """Palm position, palm axes, object extents, path and timing: what makes two situations alike."""
    T_world_canonical = given.T_world_canonical
    T_canonical_world = np.linalg.inv(T_world_canonical[0])
    palm = T_canonical_world @ given.T_world_palm0
    T_canonical_object = T_canonical_world @ given.T_world_object[0]
    cloud = given.object_points @ T_canonical_object[:3, :3].T
    extents = cloud.max(axis=0) - cloud.min(axis=0)
    moved = T_canonical_world @ T_world_canonical
    frames = _frame_at(_PATH_PHASES, len(given), given.lift_frame).round().astype(int)
    path = moved[frames][:, :3].ravel()
    timing = np.array([given.lift_frame, len(given)]) / given.fps
    return palm[:3, 3], palm[:3, :3].ravel(), extents, np.concatenate([path, timing])


def _features(given: Given) -> np.ndarray:
    """Everything that is given, as one row: the initial keypoints too."""
    return np.concatenate([*_blocks(given), _initial_state(given)])
