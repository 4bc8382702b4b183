"""One hand under one config, ready to solve: the compiled problem, its memory and its atlas."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from unihm.hands.description import HandDescription
from unihm.retargeting.atlas import load_atlas, make_memory
from unihm.retargeting.config import RetargetingConfig
from unihm.retargeting.objective import make_workspace
from unihm.retargeting.problem import compile_problem, joint_span, make_goal
from unihm.retargeting.recording import solve_recording
from unihm.retargeting.smoothing import Smoothing


class Solver:
    """Solves frames for a hand; one a thread, since it works in its own memory."""

    def __init__(self, hand: HandDescription, config: RetargetingConfig):
        self.hand, self.config = hand, config
        self.problem, self.layout = compile_problem(hand, config)
        self.work = make_workspace(self.problem)
        self.goal = make_goal(self.problem, hand, config)
        self.atlas = load_atlas(hand, self.problem, self.layout, self.goal, self.work)
        nq = len(hand.joint_names)
        self.memory = make_memory(nq, self.atlas.features.shape[1])
        steps = (config.palm_turn_sigma, config.palm_step_sigma)
        weight = np.concatenate([1 / (config.joint_step_sigma * joint_span(hand)) ** 2, 1 / np.square(steps)])
        self.smoothing = Smoothing(
            c=self.goal.c.copy(),
            v=self.goal.v.copy(),
            u=self.goal.u.copy(),
            lower=self.goal.lower.copy(),
            upper=self.goal.upper.copy(),
            weight=weight,
            reach=config.velocity_limit * hand.chain.velocity / config.fps,
            near_q=np.zeros(nq),
            near_R=np.zeros((3, 3)),
            near_t=np.zeros(3),
        )
        self.smooths = bool((weight > 0).any())
        self.limits_speed = bool(np.isfinite(self.smoothing.reach).any())

    def solve(
        self, keypoints: Float[np.ndarray, "T 21 3"], done: Int[np.ndarray, " 1"] | None = None
    ) -> tuple[Float[np.ndarray, "T nq"], Float[np.ndarray, "T 4 4"], Int[np.ndarray, " T"]]:
        """Joints, T_world_palm and solver status of every frame of one recording.

        `done` counts frames while they are solved, `recording.PASSES` times each.
        """
        n = len(keypoints)
        q, R, t = np.zeros((n, len(self.hand.joint_names))), np.zeros((n, 3, 3)), np.zeros((n, 3))
        status = np.zeros(n, dtype=np.int64)
        done = np.zeros(1, dtype=np.int64) if done is None else done
        solve_recording(
            self.problem, self.work, self.layout, self.atlas, self.goal, self.memory, self.smoothing,
            np.ascontiguousarray(keypoints, dtype=np.float64), q, R, t, status,
            done, np.zeros(n), (np.zeros_like(q), np.zeros_like(R), np.zeros_like(t)), self.config.tries, self.smooths,
            self.limits_speed, self.config.max_iterations, self.config.tolerance,
        )  # fmt: skip
        T = np.zeros((n, 4, 4))
        T[:, :3, :3], T[:, :3, 3], T[:, 3, 3] = R, t, 1.0
        return q, T, status
