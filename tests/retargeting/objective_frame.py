"""One frame's objective as a function of a step, for finite differences and for other people's minimisers."""

from __future__ import annotations

import numpy as np
from retargeting_cases import description_of, human_motion
from scipy.spatial.transform import Rotation

from unihm.kinematics.compiled_chain import forward
from unihm.retargeting.atlas import make_memory
from unihm.retargeting.config import RetargetingConfig
from unihm.retargeting.derivatives import assemble
from unihm.retargeting.objective import cost_of, make_workspace
from unihm.retargeting.problem import compile_problem, make_goal
from unihm.retargeting.targets import prepare


class Frame:
    """The objective of one frame, and a state at which to look at it."""

    def __init__(self, name: str, config: RetargetingConfig, seed: int = 0, tilt: float = 0.3):
        self.hand = description_of(name)
        self.problem, self.layout = compile_problem(self.hand, config)
        self.work = make_workspace(self.problem)
        self.goal = make_goal(self.problem, self.hand, config)
        self.keypoints = human_motion(5, seed)[-1]
        prepare(self.layout, self.keypoints, self.goal, make_memory(len(self.hand.joint_names)))
        rng = np.random.default_rng(seed)
        self.q = rng.uniform(self.hand.chain.lower, self.hand.chain.upper)
        self.R, self.t = self.goal.R.copy(), self.goal.t.copy()
        if self.problem.free_palm:
            self.R = Rotation.from_rotvec(rng.normal(0, tilt, 3)).as_matrix() @ self.R
            self.t += rng.normal(0, 0.02, 3)
        self.n = len(self.q) + 6 * self.problem.free_palm

    def moved(self, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The state after a step of all unknowns: joints, shift of the palm, turn about the world's axes."""
        nq = len(self.q)
        if not self.problem.free_palm:
            return self.R, self.t, self.q + d
        return Rotation.from_rotvec(d[nq + 3 :]).as_matrix() @ self.R, self.t + d[nq : nq + 3], self.q + d[:nq]

    def cost(self, d: np.ndarray) -> float:
        state = self.moved(d)
        forward(self.problem, self.work, *state)
        return cost_of(self.problem, self.work, self.goal, *state)

    def derivatives(self, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian as the search sees them."""
        state = self.moved(d)
        forward(self.problem, self.work, *state)
        self.work.A[:] = np.nan  # what lies outside the envelope must not be looked at
        assemble(self.problem, self.work, self.goal, *state)
        nq = len(self.q)
        H = np.zeros((nq + 6, nq + 6))
        H[:nq, :nq] = np.where(np.arange(nq) >= self.problem.first[:, None], self.work.A, 0.0)
        H[nq:] = np.concatenate([self.work.C[:nq, :6].T, self.work.C[nq:, :6]], axis=1)
        H, g = np.tril(H)[: self.n, : self.n], self.work.C[: self.n, 6].copy()
        return g, H + np.tril(H, -1).T

    def differences(self, function, h: float) -> np.ndarray:
        """Central differences of a function of the step, one row an unknown."""
        return np.array([(function(h * e) - function(-h * e)) / (2 * h) for e in np.eye(self.n)])
