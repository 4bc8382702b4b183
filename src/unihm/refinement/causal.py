"""Algorithm 1: frame by frame, the least correction that touches what shall be touched and pierces nothing.

With c the correction of frame t and c', c'' those of the two frames before, Levenberg-Marquardt minimises

    sum_i gate f(d_i) / sigma_contact^2  +  1/2 |c|^2 / sigma_gen^2  +  1/2 |c - c'|^2 / sigma_vel^2
      + 1/2 |c - 2 c' + c''|^2 / sigma_acc^2  +  one-sided terms: nothing pierces the object or the table

(Eqs. 11 to 18, B15 to B25). Being a plain vector, c has priors that merge into as many rows as it has entries. No frame
knows of a later one, so that a motion can be refined while it is made (`CausalRefinement`).

Differs from the paper: contacts are gated by the contact phase, as pulling every fingertip in every frame spoils the
approach; temporal priors act on the correction, as on the motion itself they drag the hand behind where it should be;
what touches is the nearest part of the pad, and the body of the hand is kept out of object and table as well.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.hands.description import HandDescription
from unihm.refinement.config import RefinementConfig
from unihm.refinement.segment import Segment
from unihm.refinement.workspace import Workspace

_FADE = 6  # power of the contact phase that gates contacts; the contact's precision is hundreds of times the priors',
# so that with the phase itself as gate, tips would be on the surface as soon as the ramp begins


class CausalRefinement:
    """A stream of frames of one hand with one object.

    stream = CausalRefinement(hand, points, normals, table=0.0)
    for frame in frames:
        T_world_palm, qpos = stream.step(frame.T_world_palm, frame.qpos, frame.T_world_object, frame.phase)
    """

    def __init__(
        self,
        hand: HandDescription,
        points: Float[np.ndarray, "n 3"],
        normals: Float[np.ndarray, "n 3"],
        *,
        table: float = -np.inf,
        config: RefinementConfig | None = None,
    ):
        """Prepare hand and object.

        Args:
            hand: The hand.
            points: Of the object's surface, in its frame, m.
            normals: Outward unit normals.
            table: Height of the table, m; minus infinity: none.
            config: Strength of the terms.

        Raises:
            ValueError: The cloud is empty or holds numbers that are not finite.
        """
        self._begin(Workspace(hand, points, normals, config or RefinementConfig()), table)

    @classmethod
    def of_segment(cls, segment: Segment) -> CausalRefinement:
        """The stream of a motion whose hand and object are prepared already."""
        stream = cls.__new__(cls)
        stream._begin(segment, segment.table)
        return stream

    def _begin(self, workspace: Workspace, table: float) -> None:
        self.workspace, self.table, hand = workspace, table, workspace.hand
        space, config = self.workspace, self.workspace.config
        # The priors of Eqs. 14 and 15 as one: its precision is their sum, its mean theirs, weighted.
        terms = np.stack([space.sigma(s) ** -2 for s in (config.generated, config.velocity, config.acceleration)])
        self._precision = terms.sum(axis=0)
        self._previous, self._extrapolated = terms[1] / self._precision, terms[2] / self._precision
        self._terms = space.terms(**({} if np.isfinite(table) else {"table": 0.0}))
        self._zero = np.zeros(space.n)
        self._poses: list[tuple[np.ndarray, np.ndarray]] = []  # the last two refined ones
        self._last = (self._zero, self._zero)  # q_-2 = q_-1 = q_0 of the generated motion (Eq. 15)
        chain = hand.chain
        self._scene = space.scene(np.eye(4)[None], 0.5 * np.clip(chain.lower + chain.upper, -1, 1)[None],
                                  np.array([[0.0, 0.0, 1.0]]), np.zeros(1))  # fmt: skip
        self.iterations = 0

    def step(
        self,
        T_world_palm: Float[np.ndarray, "4 4"],
        qpos: Float[np.ndarray, " nq"],
        T_world_object: Float[np.ndarray, "4 4"],
        contact_phase: float,
    ) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, " nq"]]:
        """Refine the next frame.

        Args:
            T_world_palm: Generated palm, m.
            qpos: Generated joints, rad or m, in the hand's order.
            T_world_object: The object, m.
            contact_phase: How much the hand holds it, 0 to 1.

        Returns:
            Palm in the world and joints, within their limits.
        """
        space, scene = self.workspace, self._scene
        R, t = T_world_object[:3, :3], T_world_object[:3, 3]
        scene.R[0] = R.T @ T_world_palm[:3, :3]
        scene.t[0] = R.T @ (T_world_palm[:3, 3] - t)
        scene.q[0] = np.minimum(np.maximum(qpos, scene.lower), scene.upper)
        scene.low[0, 6:], scene.high[0, 6:] = scene.lower - scene.q[0], scene.upper - scene.q[0]
        scene.up[0], scene.height[0] = R[2], t[2] - self.table if np.isfinite(self.table) else 0.0
        scene.gate[:] = contact_phase**_FADE
        before, previous = self._last
        extrapolated = 2 * previous - before
        if space.config.temporal == "motion" and self._poses:
            (T0, q0), (T1, q1) = self._poses[0], self._poses[-1]
            previous, extrapolated = (
                _as_correction(T_world_palm, scene.q[0], T, q)
                for T, q in ((T1, q1), (T1 @ np.linalg.inv(T0) @ T1, 2 * q1 - q0))
            )
        mean = self._previous * previous + self._extrapolated * extrapolated
        c = mean.copy()
        config, precision = space.config, self._precision
        _, _, steps = space.minimize(scene, 0, c, mean, precision, self._terms, config.iterations, config.tolerance)
        self.iterations += steps
        self._last = (self._last[1], c)
        T_object_palm, q = space.placed(scene, 0, c)
        refined = T_world_object @ T_object_palm, q
        self._poses = [*self._poses[-1:], refined]
        return refined

    def run(self, segment: Segment) -> tuple[Float[np.ndarray, "T 4 4"], Float[np.ndarray, "T nq"]]:
        """Refine the frames of a segment, one after the other; as `step`, for all."""
        T_world_palm = segment.T_world_object @ segment.T_object_palm
        frames = [
            self.step(T_world_palm[t], segment.qpos[t], segment.T_world_object[t], float(segment.phase[t]))
            for t in range(len(segment))
        ]
        return np.array([T for T, _ in frames]), np.array([q for _, q in frames])


def _as_correction(T_world_palm: np.ndarray, qpos: np.ndarray, T: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The correction that takes a generated pose to another one."""
    T_gen = np.linalg.inv(T_world_palm) @ T
    return np.concatenate([T_gen[:3, 3], Rotation.from_matrix(T_gen[:3, :3]).as_rotvec(), q - qpos])
