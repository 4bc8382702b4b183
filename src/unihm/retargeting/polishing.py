"""A few of the solver's steps on a motion that is nearly right, such as a translated one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.compiled import compiled
from unihm.hands.description import HandDescription
from unihm.retargeting.config import RetargetingConfig
from unihm.retargeting.newton import search
from unihm.retargeting.solver import Solver
from unihm.retargeting.targets import prepare
from unihm.schema.motion import HandMotion
from unihm.sources.checks import check_keypoints

_NO_BOUND = 1e300


def polish(
    motion: HandMotion,
    keypoints: Float[np.ndarray, "T 21 3"],
    hand: HandDescription,
    config: RetargetingConfig | None = None,
    *,
    steps: int = 3,
) -> HandMotion:
    """The motion after some steps down the retargeting objective (Eq. B1), every frame alone and from where it is.

    Args:
        motion: Of the hand; its joint order is the hand's.
        keypoints: Human keypoints of the same frames in the world, m.
        hand: The hand.
        config: Of the objective.
        steps: Most steps of the search.

    Raises:
        ValueError: The motion is of another hand or length, or steps is negative.
    """
    if motion.hand != hand.name or motion.joint_names != hand.joint_names:
        raise ValueError(f"The motion is of '{motion.hand}' or has other joints than '{hand.name}'.")
    if len(keypoints) != len(motion):
        raise ValueError(f"There are keypoints of {len(keypoints)} frames, the motion has {len(motion)}.")
    if steps < 0:
        raise ValueError(f"steps is {steps}, expected at least 0.")
    check_keypoints(keypoints, hand.side, "")
    solver = Solver(hand, config or RetargetingConfig())
    q, T = motion.qpos.astype(np.float64), motion.T_world_palm.astype(np.float64)
    R, t = np.ascontiguousarray(T[:, :3, :3]), np.ascontiguousarray(T[:, :3, 3])
    _descend(
        solver.problem, solver.work, solver.layout, solver.goal, solver.memory,
        np.ascontiguousarray(keypoints, dtype=np.float64), q, R, t, steps, solver.config.tolerance,
    )  # fmt: skip
    T[:, :3, :3], T[:, :3, 3] = R, t
    return motion.replace(qpos=q, T_world_palm=T)


@compiled
def _descend(problem, work, layout, goal, memory, keypoints, q, R, t, steps, tolerance):
    for f in range(len(keypoints)):
        prepare(layout, keypoints[f], goal, memory)
        for j in range(q.shape[1]):
            q[f, j] = min(max(q[f, j], goal.lower[j]), goal.upper[j])
        search(problem, work, goal, R[f], t[f], q[f], steps, tolerance, _NO_BOUND, q[f], R[f], 0.0)
