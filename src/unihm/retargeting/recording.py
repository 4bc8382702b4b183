"""A whole recording, compiled: every frame's best minimum, then smoothness.

Forward through the recording each frame is solved as in `frame.step`; backward, each frame also tries the answer of
the frame after it, so that a minimum found late serves the frames before. Then every frame is solved once more, drawn
to the mean of its neighbours' first answers. A frame thus depends on the two frames on either side of it, and beyond
them only through which of two minima is found.
"""

from __future__ import annotations

from unihm.compiled import compiled
from unihm.retargeting.frame import NEAREST, step
from unihm.retargeting.newton import NOT_FINITE, PRUNED, SAME, copy_state, search
from unihm.retargeting.smoothing import mean_of_neighbours, smooth
from unihm.retargeting.targets import prepare

PASSES = 3  # at most: forward, backward, and with smoothness


@compiled
def solve_recording(
    problem, work, layout, atlas, goal, memory, smoothing, keypoints, q, R, t, status,
    done, cost, first, tries, smooths, limits_speed, max_iterations, tolerance,
):  # fmt: skip
    """Solve (T, 21, 3) keypoints into q (T, nq), R (T, 3, 3), t (T, 3) and status (T,).

    Scratch memory: cost (T,), and first, arrays like q, R and t. ``done[0]`` counts frames, up to `PASSES` times each.
    """
    n, nq = len(keypoints), q.shape[1]
    for f in range(n):
        cost[f], status[f], _ = step(
            problem, work, layout, atlas, goal, memory, keypoints[f], f > 0 and status[f - 1] != NOT_FINITE,
            NEAREST if f == 0 else tries, 1, max_iterations, tolerance,
        )  # fmt: skip
        done[0] += 1
        copy_state(memory.q, memory.R, memory.t, q[f], R[f], t[f])
    if tries > 0 and problem.free_palm:
        for f in range(n - 2, -1, -1):
            prepare(layout, keypoints[f], goal, memory)
            copy_state(q[f + 1], R[f + 1], t[f + 1], memory.q, memory.R, memory.t)
            for j in range(nq):
                memory.q_try[j] = min(max(memory.q[j], goal.lower[j]), goal.upper[j])
            done[0] += 1
            new, new_status, _ = search(
                problem, work, goal, memory.R, memory.t, memory.q_try, max_iterations, tolerance, cost[f],
                q[f], R[f], SAME,
            )  # fmt: skip
            if new < cost[f] and new_status != PRUNED:
                cost[f], status[f] = new, new_status
                copy_state(memory.q_try, memory.R, memory.t, q[f], R[f], t[f])
    if not ((smooths and n > 1) or limits_speed):
        return
    first_q, first_R, first_t = first
    for f in range(n):
        copy_state(q[f], R[f], t[f], first_q[f], first_R[f], first_t[f])
    for f in range(n):
        prepare(layout, keypoints[f], goal, memory)
        copy_state(first_q[f], first_R[f], first_t[f], memory.q, memory.R, memory.t)
        mean_of_neighbours(smoothing, first_q, first_R, first_t, f)
        done[0] += 1
        _, status[f], _ = smooth(
            problem, work, goal, smoothing, memory, q[max(f - 1, 0)], f > 0, max_iterations, tolerance
        )
        copy_state(memory.q, memory.R, memory.t, q[f], R[f], t[f])
