"""Cubic Bézier curves of rigid poses, and chains of them through key poses.

The rotation has the same form as the position (Kim, Kim and Shin, "A General Construction Scheme for Unit Quaternion
Curves", 1995). With the cumulative Bernstein polynomials ``b1 = 1 - (1 - u)^3``, ``b2 = 3 u^2 - 2 u^3``, ``b3 = u^3``
and three steps (v_k, w_k) from one control pose to the next:

    p(u) = p_0 + b1 v_1 + b2 v_2 + b3 v_3,    R(u) = R_0 exp(b1 w_1) exp(b2 w_2) exp(b3 w_3).

The tangents at both ends are three times the first and the last step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

_TURNS_BACK = np.radians(120)  # by more than this at a key pose there is no curve that is round enough
_SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class PoseCurves:
    """n curves one after the other; their parameter x goes from 0 to n."""

    position: Float[np.ndarray, "n 3"]
    """Where each starts, m."""
    rotation: Float[np.ndarray, "n 3 3"]
    """R_0 of each."""
    v: Float[np.ndarray, "3 n 3"]
    """Steps of the position, m."""
    w: Float[np.ndarray, "3 n 3"]
    """Steps of the rotation, rotation vectors in the moving frame, rad."""

    def __len__(self) -> int:
        return len(self.position)

    def at(self, x: Float[np.ndarray, " k"]) -> Float[np.ndarray, "k 4 4"]:
        """Poses at x."""
        i, u = self._local(x)
        b = 1 - (1 - u) ** 3, u * u * (3 - 2 * u), u**3
        rotation = Rotation.from_matrix(self.rotation[i])
        for k in range(3):
            rotation = rotation * Rotation.from_rotvec(b[k] * self.w[k, i])
        T = np.tile(np.eye(4), (len(x), 1, 1))
        T[:, :3, :3] = rotation.as_matrix()
        T[:, :3, 3] = self.position[i] + sum(b[k] * self.v[k, i] for k in range(3))
        return T

    def derivative(self, x: Float[np.ndarray, " k"]) -> tuple[Float[np.ndarray, "k 3"], Float[np.ndarray, "k 3"]]:
        """Velocity in the frame of the positions, m, and angular velocity in the moving frame, rad, both per x."""
        i, u = self._local(x)
        b, db = (u * u * (3 - 2 * u), u**3), (3 * (1 - u) ** 2, 6 * u * (1 - u), 3 * u * u)
        omega = db[0] * self.w[0, i]
        for k in (1, 2):
            omega = Rotation.from_rotvec(-b[k - 1] * self.w[k, i]).apply(omega) + db[k] * self.w[k, i]
        return np.asarray(sum(db[k] * self.v[k, i] for k in range(3))), omega

    def _local(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i = np.minimum(x.astype(int), len(self) - 1)
        return i, (x - i)[:, None]


def chained(key_poses: Float[np.ndarray, "m 4 4"], turn_radius: float, tension: float = 0.0) -> list[PoseCurves]:
    """Chains through all key poses, each smooth in itself; where the way turns back, one ends and the next begins.

    The tangents are those of Catmull and Rom over centripetal knots (Yuksel, Schaefer and Keyser 2011: no cusps, no
    loops), at the ends of a chain those of the chord. So two key poses give a straight line and a turn about one axis.

    Args:
        key_poses: m >= 2; of repeated ones one is taken, m.
        turn_radius: What a turn by 1 rad counts where lengths are compared, m.
        tension: 0 for the round curve, toward 1 for one that follows the chords; less than 1.

    Returns:
        The chains; none where all key poses are the same.
    """
    position, rotation = key_poses[:, :3, 3], Rotation.from_matrix(key_poses[:, :3, :3])
    v = np.diff(position, axis=0)
    w = (rotation[:-1].inv() * rotation[1:]).as_rotvec()  # the same in the frames of both ends
    moves = np.linalg.norm(np.column_stack([v, turn_radius * w]), axis=1) > _SAME
    start, v, w = key_poses[:-1][moves], v[moves], w[moves]
    way = np.column_stack([v, turn_radius * w])
    length = np.linalg.norm(way, axis=1)
    cosine = np.sum(way[:-1] * way[1:], axis=1) / (length[:-1] * length[1:])
    ends = [0, *(np.flatnonzero(cosine < np.cos(_TURNS_BACK)) + 1).tolist(), len(way)]
    return [
        _chain(start[a:b], v[a:b], w[a:b], np.sqrt(length[a:b])[:, None], tension) for a, b in pairwise(ends) if b > a
    ]


def _chain(start: np.ndarray, v: np.ndarray, w: np.ndarray, knots: np.ndarray, tension: float) -> PoseCurves:
    (v1, v3), (w1, w3) = (_end_steps(chord, knots, tension) for chord in (v, w))
    # exp(w) = exp(w1) exp(w2) exp(w3)
    w2 = Rotation.from_rotvec(-w1) * Rotation.from_rotvec(w) * Rotation.from_rotvec(-w3)
    return PoseCurves(
        position=start[:, :3, 3],
        rotation=start[:, :3, :3],
        v=np.stack([v1, v - v1 - v3, v3]),
        w=np.stack([w1, w2.as_rotvec(), w3]),
    )


def _end_steps(chord: np.ndarray, knots: np.ndarray, tension: float) -> tuple[np.ndarray, np.ndarray]:
    """First and last step of each curve: a third of the tangent there."""
    slope = chord / knots
    inner = (slope[:-1] * knots[1:] + slope[1:] * knots[:-1]) / (knots[:-1] + knots[1:])
    tangent = np.concatenate([slope[:1], (1 - tension) * inner, slope[-1:]])
    return tangent[:-1] * knots / 3, tangent[1:] * knots / 3
