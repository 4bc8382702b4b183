"""Retargeting frame by frame, for teleoperation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numba import boolean, float64, int64, typeof
from numba.core import types
from numba.experimental import structref

from unihm.compiled import compiled, counted
from unihm.hands.description import HandDescription, describe_hand
from unihm.retargeting.config import RetargetingConfig
from unihm.retargeting.frame import step
from unihm.retargeting.newton import CONVERGED, NOT_FINITE, copy_state
from unihm.retargeting.smoothing import smooth
from unihm.retargeting.solver import Solver

if TYPE_CHECKING:  # retargeting starts without torch
    from unihm.hands.hand import HandModel

# What a try costs grows with the joints; these keep a frame below 50 microseconds for every hand of ours.
_TRIED_JOINTS, _MOST_TRIES = 20, 3  # joints of all tries of a frame together
_MANY_JOINTS, _MANY_JOINTS_EVERY = 20, 2
_SETTLE, _SETTLE_TRIES = 5, 6  # so many frames after a reset try more


class Retargeter:
    """Human keypoints in, joints out, one frame a call.

    Nothing is allocated after the first call. An answer depends on the frame and, for smoothness, on the first
    answers of the two frames before it; on frames long past only through which of two minima was found (see
    `retargeting.frame`). The first use of a hand with a config takes some seconds (see `retargeting.atlas`).
    """

    def __init__(self, hand: str | Path | HandDescription | HandModel, config: RetargetingConfig | None = None):
        if isinstance(hand, (str, Path)):
            hand = describe_hand(hand)
        self.hand = hand if isinstance(hand, HandDescription) else hand.description
        self.config = config or RetargetingConfig()
        solver = Solver(self.hand, self.config)
        nq = len(self.hand.joint_names)
        self._keypoints = np.zeros((21, 3))
        self._q = np.zeros(nq)
        self._T = np.eye(4)
        self._recent = (np.zeros((2, nq)), np.zeros((2, 3, 3)), np.zeros((2, 3)))
        # one reference to all arrays: handing them over one by one would cost more than solving the frame
        self._bundle = _bundle(
            (solver.problem, solver.work, solver.layout, solver.atlas, solver.goal, solver.memory, solver.smoothing),
            (self._keypoints, *self._recent, self._q, self._T),
        )
        # looking up the machine code for these types takes longer than two of the search's steps: once is enough
        signature = (typeof(self._bundle), int64, int64, int64, boolean, int64, float64)
        _stream_step.compile(signature)
        self._solve_frame = _stream_step.get_overload(signature)
        self._tries = self.config.stream_tries or min(max(_TRIED_JOINTS // nq, 1), _MOST_TRIES)
        self._every = self.config.try_every or (_MANY_JOINTS_EVERY if nq > _MANY_JOINTS else 1)
        self._smooths = solver.smooths or solver.limits_speed
        self.reset()

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The order of qpos."""
        return self.hand.joint_names

    @property
    def T_world_palm(self) -> Float[np.ndarray, "4 4"]:
        """The palm of the last answer; overwritten by the next step."""
        return self._T

    def reset(self) -> None:
        """Forget all frames."""
        self._frame = 0
        self.missing = 0
        """Frames since the reset that held NaN or infinite values, so that the last answer was held."""
        self.unconverged = 0
        """Frames since the reset whose search ended before it converged."""
        self._q[:] = self.hand.rest_qpos
        self._T[:] = np.eye(4)

    def step(self, keypoints: np.ndarray) -> Float[np.ndarray, " nq"]:
        """Solve one frame.

        Args:
            keypoints: Human keypoints (21, 3), m, of a hand on the same side; any real type and layout. A frame with
                NaN or infinite values is not solved: the last answer (after a reset, the rest posture) is held and
                the frame counted in `missing`.

        Returns:
            Joint positions within their limits, rad or m; overwritten by the next step.

        Raises:
            ValueError: The keypoints have another shape, or are no real numbers.
        """
        keypoints = np.asarray(keypoints)
        if keypoints.shape != (21, 3) or keypoints.dtype.kind not in "fiu":
            raise ValueError(
                f"keypoints of one frame have shape {keypoints.shape} and type {keypoints.dtype}, expected (21, 3) and "
                "real numbers."
            )
        self._keypoints[:] = keypoints  # for another type or layout the search would be compiled anew
        config = self.config
        status = self._solve_frame(
            self._bundle, self._frame, self._tries, self._every, self._smooths,
            config.max_iterations, config.tolerance,
        )  # fmt: skip
        if status == NOT_FINITE:
            self.missing += 1
        else:
            self._frame += 1
            self.unconverged += status != CONVERGED
        return self._q


@structref.register
class _BundleType(types.StructRef):
    def preprocess_fields(self, fields: Any) -> Any:
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class _Bundle(structref.StructRefProxy):
    def __new__(cls, solver, state):
        return structref.StructRefProxy.__new__(cls, solver, state)


structref.define_proxy(_Bundle, _BundleType, ["solver", "state"])


@counted
def _bundle(solver, state):
    return _Bundle(solver, state)


@counted
def _stream_step(bundle, frame, tries, every, smooths, max_iterations, tolerance):
    """One frame; returns its status."""
    return _advance(bundle.solver, bundle.state, frame, tries, every, smooths, max_iterations, tolerance)


@compiled
def _advance(solver, state, frame, tries, every, smooths, max_iterations, tolerance):
    problem, work, layout, atlas, goal, memory, smoothing = solver
    keypoints, recent_q, recent_R, recent_t, q, T = state
    for i in range(21):
        for k in range(3):
            if not np.isfinite(keypoints[i, k]):
                return NOT_FINITE
    nq = len(q)
    if frame > 0:
        copy_state(recent_q[0], recent_R[0], recent_t[0], memory.q, memory.R, memory.t)
    if frame < _SETTLE:
        tries, every = max(_SETTLE_TRIES, tries), 1
    _, status, _ = step(
        problem, work, layout, atlas, goal, memory, keypoints, frame > 0, tries, every,
        max_iterations, tolerance,
    )  # fmt: skip
    if status == NOT_FINITE:
        return status
    if smooths:
        # the mean of the last two first answers, weighted as in a whole recording
        older = 1 if frame > 1 else 0
        for j in range(nq):
            smoothing.near_q[j] = 0.8 * recent_q[0, j] + 0.2 * recent_q[older, j]
        for i in range(3):
            smoothing.near_t[i] = 0.8 * recent_t[0, i] + 0.2 * recent_t[older, i]
            for k in range(3):
                smoothing.near_R[i, k] = 0.8 * recent_R[0, i, k] + 0.2 * recent_R[older, i, k]
    copy_state(recent_q[0], recent_R[0], recent_t[0], recent_q[1], recent_R[1], recent_t[1])
    copy_state(memory.q, memory.R, memory.t, recent_q[0], recent_R[0], recent_t[0])
    if smooths and frame > 0:
        _, status, _ = smooth(problem, work, goal, smoothing, memory, q, frame > 0, max_iterations, tolerance)
    for j in range(nq):
        q[j] = memory.q[j]
    for i in range(3):
        T[i, 3] = memory.t[i]
        for k in range(3):
            T[i, k] = memory.R[i, k]
    return status
