"""A whole recording, compiled: every frame's best minimum, then smoothness.

Forward through the recording each frame is solved as in `frame.step`; backward, each frame also tries the answer of the
frame after it, so that a minimum found late serves the frames before. Then every frame is solved once more, drawn to the
mean of its neighbours' first answers. A frame thus depends on the two frames on either side of it, and beyond them only
through which of two minima is found.
"""

from __future__ import annotations

import math

from unihm.retargeting.compiled import compiled
from unihm.retargeting.frame import NEAREST, prepare, smooth, step
from unihm.retargeting.newton import NOT_FINITE, PRUNED, search


@compiled
def solve_recording(
    problem, work, layout, atlas, goal, memory, smoothing, keypoints, q, R, t, status,
    tries, smooths, limits_speed, max_iterations, tolerance,
):  # fmt: skip
    """Solve (T, 21, 3) keypoints into q (T, nq), R (T, 3, 3), t (T, 3) and status (T,). Returns iterations."""
    n, nq = len(keypoints), q.shape[1]
    total = 0
    cost = [0.0 for _ in range(n)]
    for f in range(n):
        cost[f], status[f], count = step(
            problem, work, layout, atlas, goal, memory, keypoints[f], f > 0 and status[f - 1] != NOT_FINITE,
            NEAREST if f == 0 else tries, max_iterations, tolerance,
        )  # fmt: skip
        total += count
        _store(memory, q, R, t, f)
    if tries > 0 and problem.free_palm:
        for f in range(n - 2, -1, -1):
            prepare(layout, keypoints[f], goal, memory)
            _load(memory, q, R, t, f + 1)
            for j in range(nq):
                memory.q_try[j] = min(max(memory.q[j], goal.lower[j]), goal.upper[j])
            new, new_status, count = search(
                problem, work, goal, memory.R, memory.t, memory.q_try, max_iterations, tolerance, cost[f], q[f], True
            )
            total += count
            if new < cost[f] and new_status != PRUNED:
                cost[f], status[f] = new, new_status
                for j in range(nq):
                    memory.q[j] = memory.q_try[j]
                _store(memory, q, R, t, f)
    if not ((smooths and n > 1) or limits_speed):
        return total
    first_q, first_R, first_t = q.copy(), R.copy(), t.copy()
    for f in range(n):
        prepare(layout, keypoints[f], goal, memory)
        _load(memory, first_q, first_R, first_t, f)
        _mean_of_neighbours(smoothing, first_q, first_R, first_t, f)
        _, status[f], count = smooth(
            problem, work, goal, smoothing, memory, q[max(f - 1, 0)], f > 0, max_iterations, tolerance
        )
        total += count
        _store(memory, q, R, t, f)
    return total


@compiled
def _mean_of_neighbours(smoothing, q, R, t, f):
    """The weighted mean of a frame's neighbours without itself, into `smoothing`; a frame alone is its own.

    The weights are those of the binomial filter 1 4 6 4 1. A mean of rotations need not be one: the objective takes any matrix.
    """
    near_q, near_R, near_t = smoothing.near_q, smoothing.near_R, smoothing.near_t
    total = 0.0
    near_q[:] = 0.0
    near_R[:] = 0.0
    near_t[:] = 0.0
    for offset in range(-2, 3):
        g = f + offset
        if g < 0 or g >= len(q) or (offset == 0 and len(q) > 1):
            continue
        w = 4.0 if abs(offset) == 1 else 1.0
        total += w
        near_q += w * q[g]
        near_R += w * R[g]
        near_t += w * t[g]
    near_q /= total
    near_R /= total
    near_t /= total


@compiled
def _store(memory, q, R, t, f):
    for j in range(q.shape[1]):
        q[f, j] = memory.q[j]
    for i in range(3):
        t[f, i] = memory.t[i]
        for k in range(3):
            R[f, i, k] = memory.R[i, k]


@compiled
def _load(memory, q, R, t, f):
    for j in range(q.shape[1]):
        memory.q[j] = q[f, j]
    for i in range(3):
        memory.t[i] = t[f, i]
        for k in range(3):
            memory.R[i, k] = R[f, i, k]
