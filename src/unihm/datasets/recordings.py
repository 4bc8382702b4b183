"""Recordings as workers are handed them, the motions that they send back, and the function between the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class Recordings:
    """Some recordings, and the hand that shall follow them."""

    hand: str
    """As the caller named it."""
    lengths: tuple[int, ...]
    """Frames of each recording."""
    fps: tuple[float, ...]
    """Frames per second of each recording."""
    keypoints_world: Float[np.ndarray, "F 21 3"]
    """All frames, one recording after another, m."""


@dataclass(frozen=True, kw_only=True)
class Solved:
    """Motions of `Recordings`."""

    joint_names: tuple[str, ...]
    """The order of qpos."""
    qpos: Float[np.ndarray, "F nq"]
    """Joint positions, rad or m."""
    T_world_palm: Float[np.ndarray, "F 7"]
    """Palm poses, xyz + quaternion wxyz."""
    unconverged: int = 0
    """Frames whose search ended before it converged."""
    seconds: float = 0.0
    """Processor time that the search took."""


@runtime_checkable
class Retargeting(Protocol):
    """How recordings become motions; picklable, since each worker has its own."""

    def describe(self, hand: str) -> tuple[str, dict[str, Any]]:
        """The hand's own name, and how its motions are made, as JSON values; raises ValueError if it is unfit."""
        ...

    def check(self, keypoints_world: np.ndarray, where: str) -> None:
        """Raises ValueError, starting with `where`, for keypoints (T, 21, 3) that no hand can follow."""
        ...

    def __call__(self, task: Recordings) -> Solved:
        """Retarget some recordings; raises ValueError where a frame has no answer."""
        ...
