"""The answer to one frame of human keypoints: the compiled step of retargeting.

The objective has several minima in one frame of three (a thumb beside or across the palm, a palm tipped forward or
back), and a search from the last frame's answer keeps to the side on which the recording happened to start. So each
frame also tries answers that do not depend on the past: those of the most similar poses of an atlas
(`retargeting.atlas`), given up as soon as they cannot win.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unihm.compiled import compiled
from unihm.kinematics.compiled_chain import U, forward
from unihm.retargeting.newton import MAX_ITERATIONS, NOT_FINITE, PRUNED, SAME, alike, copy_state, search
from unihm.retargeting.targets import prepare

FEATURE = 15  # numbers that tell a hand's shape: three a fingertip
NEAREST = 16  # atlas entries that are looked up for a frame
_COVERED = 10  # of the entries nearest to it, frames take turns with so many: what one misses, another soon finds
_SCATTER = 1e6  # makes of the hand's shape a number that changes from frame to frame as if by chance
FAR = 0.3  # rad or m: an entry whose joints are all nearer to the present answer than this would lead back to it


class Atlas(NamedTuple):
    """Answers to known poses; see `retargeting.atlas`. Each pose has two, the best minimum and the best other one."""

    features: np.ndarray  # (FEATURE, e) float32
    q: np.ndarray  # (2 e, nq)
    R: np.ndarray  # (2 e, 3, 3) the answer's palm in the human's


class Memory(NamedTuple):
    """What a step keeps and uses."""

    R: np.ndarray  # (3, 3) the answer
    t: np.ndarray  # (3,)
    q: np.ndarray  # (nq,)
    R_human: np.ndarray  # (3, 3) the answer's palm in the human's
    R_try: np.ndarray  # the state of a search
    t_try: np.ndarray
    q_try: np.ndarray
    feature: np.ndarray  # (FEATURE,) float32
    near: np.ndarray  # (NEAREST,) atlas entries, nearest first
    near_distance: np.ndarray  # (NEAREST,)
    distance: np.ndarray  # (e,) of all entries, squared
    tried: np.ndarray  # (2 NEAREST,) atlas entries that were tried
    human: np.ndarray  # (13,) the human palm: rotation row by row, origin, hand length


@compiled
def look_up(atlas, memory):
    """The atlas entries nearest to the frame's feature, nearest first."""
    near, nearest, feature, features, distance = (
        memory.near, memory.near_distance, memory.feature, atlas.features, memory.distance,
    )  # fmt: skip
    for e in range(U(features.shape[1])):
        total = np.float32(0.0)
        for i in range(FEATURE):
            d = feature[i] - features[i, e]
            total += d * d
        distance[e] = total
    # the last frame's entries are mostly this one's too: nothing that is farther than all of them need be sorted in
    bound = np.float32(math.inf)
    if near[0] >= 0:
        bound = np.float32(0.0)
        for i in range(U(len(near))):
            bound = max(bound, distance[near[i]])
    for i in range(U(len(near))):
        nearest[i], near[i] = bound, -1
    last = U(len(near) - 1)
    for e in range(U(features.shape[1])):
        total = distance[e]
        if total <= nearest[last]:
            i = last
            while i > 0 and nearest[i - U(1)] >= total:
                nearest[i], near[i] = nearest[i - U(1)], near[i - U(1)]
                i -= U(1)
            nearest[i], near[i] = total, e


@compiled
def from_atlas(problem, work, atlas, entry, goal, memory):
    """Put an atlas entry, moved to this frame's human palm, into the trial state."""
    human, R, t, q = memory.human, memory.R_try, memory.t_try, memory.q_try
    for j in range(len(q)):
        q[j] = min(max(atlas.q[entry, j], goal.lower[j]), goal.upper[j])
    if problem.free_palm == 0:
        copy_state(q, goal.R, goal.t, q, R, t)
        return
    for i in range(3):
        h0, h1, h2 = human[3 * i], human[3 * i + 1], human[3 * i + 2]
        for k in range(3):
            R[i, k] = h0 * atlas.R[entry, 0, k] + h1 * atlas.R[entry, 1, k] + h2 * atlas.R[entry, 2, k]
        t[i] = human[9 + i]
    # where the points' weighted mean is the targets'
    forward(problem, work, R, t, q)
    total = 0.0
    d0 = d1 = d2 = 0.0
    for r in range(problem.single):
        w, a = goal.weight[r], problem.row_a[r]
        total += w
        d0 += w * (goal.target[r, 0] - work.p[a, 0])
        d1 += w * (goal.target[r, 1] - work.p[a, 1])
        d2 += w * (goal.target[r, 2] - work.p[a, 2])
    if total > 0.0:
        t[0] += d0 / total
        t[1] += d1 / total
        t[2] += d2 / total


@compiled
def step(problem, work, layout, atlas, goal, memory, keypoints, warm, tries, every, max_iterations, tolerance):
    """Solve one frame into `memory` (R, t, q).

    Which frames try atlas entries is decided by the frame itself, so that recordings which begin at different times try
    on the same frames.

    Args:
        keypoints: (21, 3), m.
        warm: Whether `memory` holds the answer of a neighbouring frame to start from.
        tries: Number of atlas entries to try.
        every: Try on one frame of so many.
        max_iterations: Most steps of one search.
        tolerance: See `search`.

    Returns:
        Cost, status, number of iterations of all searches.
    """
    prepare(layout, keypoints, goal, memory)
    R, t, q = memory.R_try, memory.t_try, memory.q_try
    cost, status, iterations, known = math.inf, MAX_ITERATIONS, 0, False
    chance = int(abs(memory.feature[0] - memory.feature[4]) * _SCATTER)
    if chance % every != 0:
        tries = 0
    skipped = chance // every * tries % _COVERED if warm else 0
    if tries > 0:
        look_up(atlas, memory)
    tried = 0
    for attempt in range(-1, 2 * NEAREST):
        if attempt < 0:
            if not warm:
                continue
            for j in range(len(q)):
                q[j] = min(max(memory.q[j], goal.lower[j]), goal.upper[j])
            if problem.free_palm:
                copy_state(q, memory.R, memory.t, q, R, t)
            else:
                copy_state(q, goal.R, goal.t, q, R, t)
        else:
            if tried >= skipped + tries:
                break
            entry = 2 * memory.near[attempt // 2] + attempt % 2
            if known and alike(atlas.q[entry], atlas.R[entry], memory.q, memory.R_human, FAR):
                continue
            fresh = True
            for i in range(tried):
                other = memory.tried[i]
                fresh = fresh and not alike(atlas.q[entry], atlas.R[entry], atlas.q[other], atlas.R[other], FAR)
            if not fresh:
                continue
            memory.tried[tried] = entry
            tried += 1
            if tried <= skipped:
                continue
            from_atlas(problem, work, atlas, entry, goal, memory)
        within = SAME if known else 0.0
        new, new_status, count = search(
            problem, work, goal, R, t, q, max_iterations, tolerance, cost, memory.q, memory.R, within
        )
        iterations += count
        if new_status == NOT_FINITE:
            return new, new_status, iterations
        if new < cost and new_status != PRUNED:
            cost, status, known = new, new_status, True
            copy_state(q, R, t, memory.q, memory.R, memory.t)
            for i in range(3):
                for k in range(3):
                    h = memory.human
                    memory.R_human[i, k] = h[i] * R[0, k] + h[3 + i] * R[1, k] + h[6 + i] * R[2, k]
    return cost, status, iterations
