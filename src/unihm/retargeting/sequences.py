"""Whole recordings of keypoints to motions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from unihm.hands.description import HandDescription
from unihm.retargeting.config import RetargetingConfig
from unihm.retargeting.newton import CONVERGED, MAX_ITERATIONS, NOT_FINITE, STALLED
from unihm.retargeting.problem import points_at
from unihm.retargeting.recording import PASSES
from unihm.retargeting.solver import Solver
from unihm.schema.motion import HandMotion
from unihm.sources.checks import check_keypoints

if TYPE_CHECKING:  # retargeting starts without torch
    from unihm.hands.hand import HandModel

_DEFAULT = RetargetingConfig()
_GLANCE = 0.1  # s between looks at how far the search is
_STATUS = {CONVERGED: "CONVERGED", MAX_ITERATIONS: "MAX_ITERATIONS", STALLED: "STALLED", NOT_FINITE: "NOT_FINITE"}


@dataclass(frozen=True, kw_only=True)
class RetargetingReport:
    """How the search went, over all frames of all sequences."""

    frames: int
    """Number of frames."""
    status: dict[str, int] = field(default_factory=dict)
    """Frames per solver status; all but CONVERGED deserve a look."""
    fingertip_mm: float = 0.0
    """Mean distance of robot from human fingertips, mm."""
    fingertip_p95_mm: float = 0.0
    """Its 95th percentile."""


def retarget(
    keypoints_world: Sequence[np.ndarray],
    hand: HandDescription | HandModel,
    config: RetargetingConfig = _DEFAULT,
    threads: int = 1,
) -> list[HandMotion]:
    """Retarget sequences of human keypoints (each (T_i, 21, 3), m) to a hand; see `retarget_with_report`."""
    return retarget_with_report(keypoints_world, hand, config, threads)[0]


def retarget_with_report(
    keypoints_world: Sequence[np.ndarray],
    hand: HandDescription | HandModel,
    config: RetargetingConfig = _DEFAULT,
    threads: int = 1,
    progress: Callable[[float], object] | None = None,
) -> tuple[list[HandMotion], RetargetingReport]:
    """Retarget sequences of human keypoints to a hand.

    Args:
        keypoints_world: Sequences of human keypoints, each (T_i, 21, 3), m, of a hand on the same side as `hand`.
        hand: The target.
        config: Weights and limits of the search.
        threads: Sequences solved side by side; results do not depend on it. 0: one a core.
        progress: Called every now and then with the share that is done, 0 to 1.

    Returns:
        One motion per sequence, and how the search went. Joints are always within their limits.

    Raises:
        ValueError: A sequence has a wrong shape, no frame, values that are not finite, is not in metres or is of the
            other side's hand.
    """
    description = hand if isinstance(hand, HandDescription) else hand.description
    for number, keypoints in enumerate(keypoints_world):
        check_keypoints(keypoints, description.side, f"Sequence {number}: " if len(keypoints_world) > 1 else "")
    if not keypoints_world:
        return [], RetargetingReport(frames=0)
    number = min(threads or os.cpu_count() or 1, len(keypoints_world))
    solvers = [Solver(description, config) for _ in range(number)]
    results: list = [None] * len(keypoints_world)
    done = np.zeros((number, 1), dtype=np.int64)
    passes = PASSES * sum(len(keypoints) for keypoints in keypoints_world)

    failures: list[Exception] = []

    def work(lane: int) -> None:
        try:
            for index in range(lane, len(keypoints_world), number):
                results[index] = solvers[lane].solve(keypoints_world[index], done[lane])
        except Exception as error:  # to be raised where the caller sees it
            failures.append(error)

    # The compiled search runs without the interpreter's lock, and cannot be interrupted: the main thread stays free to
    # be, and what it leaves behind ends with the process.
    lanes = [threading.Thread(target=work, args=(lane,), daemon=True) for lane in range(number)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        while thread.is_alive():
            thread.join(_GLANCE)
            if progress is not None:
                progress(min(float(done.sum()) / passes, 1.0))
    if failures:
        raise failures[0]
    motions = [
        HandMotion(hand=description.name, fps=config.fps, joint_names=description.joint_names, qpos=q, T_world_palm=T)
        for q, T, _ in results
    ]
    return motions, _report(description, keypoints_world, results)


def _report(hand: HandDescription, keypoints: Sequence[np.ndarray], results: list) -> RetargetingReport:
    tips = [hand.keypoints[slot] for slot in hand.fingertip_slots]
    points = [hand.chain.point(tip.link, np.array(tip.xyz)) for tip in tips]
    indices = hand.keypoint_indices[hand.fingertip_slots]
    error, status = [], []
    for human, (q, T, state) in zip(keypoints, results, strict=True):
        tips_palm = points_at(hand.chain, q, points)
        tips_world = np.einsum("tij,tkj->tki", T[:, :3, :3], tips_palm) + T[:, None, :3, 3]
        error.append(np.linalg.norm(tips_world - human[:, indices], axis=-1).ravel())
        status.append(state)
    error, status = np.concatenate(error), np.concatenate(status)
    return RetargetingReport(
        frames=len(status),
        status={name: int((status == value).sum()) for value, name in _STATUS.items()},
        fingertip_mm=float(error.mean() * 1e3),
        fingertip_p95_mm=float(np.percentile(error, 95) * 1e3),
    )
