"""What the judges read off a rollout: spans of time, drift in the hand, depth at the start."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.records import Rollout

EPSILON = 1e-9  # so that a threshold that is met exactly in decimals is met in binary numbers too


def spans(mask: Bool[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """First and last index of every run of True."""
    edges = np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True))


def longest(times: Float[np.ndarray, " n"], mask: Bool[np.ndarray, " n"]) -> float:
    """Length of the longest run of True, s; 0 without one, and for a single record."""
    return max((float(times[b] - times[a]) for a, b in spans(mask)), default=0.0)


def lasting(times: Float[np.ndarray, " n"], mask: Bool[np.ndarray, " n"]) -> float:
    """How long the mask has been True without a break when the rollout ends, s."""
    false = np.flatnonzero(~mask)
    first = int(false[-1]) + 1 if len(false) else 0
    return float(times[-1] - times[first]) if first < len(times) else 0.0


def steady(times: Float[np.ndarray, " n"], mask: Bool[np.ndarray, " n"]) -> bool:
    """Whether the mask is True but for gaps that a chattering contact makes (`constants.CONTACT_GAP`)."""
    return bool(mask.any()) and longest(times, ~mask) <= constants.CONTACT_GAP + EPSILON


def angle(R_a: Float[np.ndarray, "*batch 3 3"], R_b: Float[np.ndarray, "*#batch 3 3"]) -> Float[np.ndarray, "*batch"]:
    """Angle between two orientations, degrees: ``2 asin(|R_a - R_b|_F / sqrt(8))``, exact near zero too."""
    chord = np.linalg.norm(R_a - R_b, axis=(-2, -1))
    return np.degrees(2 * np.arcsin(np.clip(chord / np.sqrt(8), 0, 1)))


def place_of(T_world_object: Float[np.ndarray, "n 4 4"], point_object: Float[np.ndarray, " 3"]) -> np.ndarray:
    """Where a point of the object is in the world, (n, 3), m."""
    return T_world_object[:, :3, :3] @ point_object + T_world_object[:, :3, 3]


def planned_path(
    motion: HandMotion, T_world_object: Float[np.ndarray, "4 4"] | None
) -> Float[np.ndarray, "T 4 4"] | None:
    """The motion's object path for an object that stands at a pose when the path begins; None without a path.

    The object's frame need not be the path's: ``T_t inv(T_0)`` moves any frame that is fixed to the same body.
    """
    if motion.T_world_object is None or T_world_object is None:
        return motion.T_world_object
    return motion.T_world_object @ np.linalg.inv(motion.T_world_object[0]) @ T_world_object


def objects_path(rollout: Rollout) -> Float[np.ndarray, "n 4 4"]:
    """The object's poses; raises ValueError where the world had none."""
    if rollout.T_world_object is None:
        raise ValueError("This task needs an object in the world, and the rollout has none.")
    return rollout.T_world_object


def drift(
    rollout: Rollout, since: int, point_object: Float[np.ndarray, " 3"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """How far the object has moved (m) and turned (degrees) in the palm's frame since a record, from it on."""
    T_world_object = objects_path(rollout)[since:]
    T_palm_object = np.linalg.inv(rollout.T_world_palm[since:]) @ T_world_object
    centre = place_of(T_palm_object, point_object)
    moved = np.linalg.norm(centre - centre[0], axis=1)
    return moved, angle(T_palm_object[:, :3, :3], T_palm_object[0, :3, :3])


def common(rollout: Rollout) -> dict[str, float]:
    """Measures that every task reports."""
    return {
        "seconds": float(rollout.times[-1]) if len(rollout.times) else 0.0,
        "depth_start_mm": 1e3 * rollout.start_depth,
        "depth_max_mm": 1e3 * float(rollout.depth.max(initial=0.0)),
        "force_max_n": float(rollout.force.max(initial=0.0)),
    }


def spoiled(rollout: Rollout) -> str:
    """Why a rollout cannot count at all, whatever the task: unstable, pierced, or empty if it can."""
    if rollout.failure or len(rollout.times) == 0:
        return "unstable"
    return "pierced" if rollout.start_depth > constants.PIERCED + EPSILON else ""
