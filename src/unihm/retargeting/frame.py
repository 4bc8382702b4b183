"""What one frame of human keypoints asks of a hand, and the answer: the compiled step of retargeting.

`prepare` is phi_dev of Eq. B1: it lays out the targets. `step` finds the answer. The objective has several minima in
one frame of three (a thumb beside or across the palm, a palm tipped forward or back), and a search from the last
frame's answer keeps to the side on which the recording happened to start. So each frame also tries answers that do not
depend on the past: those of the most similar poses of an atlas (`retargeting.atlas`), given up as soon as they cannot
win.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unihm.kinematics.keypoints import INDEX_MCP, INDEX_TIP, MIDDLE_MCP, PINKY_MCP, THUMB_TIP, WRIST
from unihm.retargeting.compiled import compiled
from unihm.retargeting.newton import MAX_ITERATIONS, NOT_FINITE, PRUNED, SAME, alike, copy_state, search
from unihm.retargeting.objective import U, forward

POSITION, VECTOR, PINCH = 0, 1, 2
FEATURE = 15  # numbers that tell a hand's shape: three a fingertip
NEAREST = 16  # atlas entries that are looked up for a frame
_SCATTER = 1e6  # makes of the hand's shape a number that changes from frame to frame as if by chance
FAR = 0.3  # rad or m: an entry whose joints are all nearer to the present answer than this would lead back to it


class Layout(NamedTuple):
    """How targets come from keypoints; see `compile_layout`."""

    kind: np.ndarray  # (m,) POSITION, VECTOR or PINCH
    human_a: np.ndarray  # (m,) keypoint of each row
    human_b: np.ndarray  # (m,) the vector's origin; -1 for positions
    scale: np.ndarray  # (m,) of vectors; of positions, about the palm
    weight: np.ndarray  # (m,) 1/m^2
    bone_row: np.ndarray  # (b,) rows whose target is laid out from another row's
    bone_from: np.ndarray  # (b,)
    bone_human: np.ndarray  # (b, 2) the human bone: from, to
    bone_length: np.ndarray  # (b,) the robot's length, m
    pinch_distance: float  # m
    aperture: np.ndarray  # (4,) joint position = 0 + 1 * thumb-index distance, within 2 and 3; empty: not used
    side: float  # 1 right, -1 left


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
def prepare(layout, keypoints, goal, memory):
    """Write a frame's targets, weights and palm into `goal`, and its palm and feature into `memory`."""
    human, feature = memory.human, memory.feature
    k = keypoints
    x0, x1, x2 = k[MIDDLE_MCP, 0] - k[WRIST, 0], k[MIDDLE_MCP, 1] - k[WRIST, 1], k[MIDDLE_MCP, 2] - k[WRIST, 2]
    c0, c1, c2 = (
        k[PINKY_MCP, 0] - k[INDEX_MCP, 0],
        k[PINKY_MCP, 1] - k[INDEX_MCP, 1],
        k[PINKY_MCP, 2] - k[INDEX_MCP, 2],
    )
    length = math.sqrt(x0 * x0 + x1 * x1 + x2 * x2)
    x0, x1, x2 = x0 / length, x1 / length, x2 / length
    z0, z1, z2 = x1 * c2 - x2 * c1, x2 * c0 - x0 * c2, x0 * c1 - x1 * c0
    norm = layout.side / math.sqrt(z0 * z0 + z1 * z1 + z2 * z2)
    z0, z1, z2 = z0 * norm, z1 * norm, z2 * norm
    y0, y1, y2 = z1 * x2 - z2 * x1, z2 * x0 - z0 * x2, z0 * x1 - z1 * x0
    human[0], human[1], human[2] = x0, y0, z0
    human[3], human[4], human[5] = x1, y1, z1
    human[6], human[7], human[8] = x2, y2, z2
    o0, o1, o2 = k[MIDDLE_MCP, 0], k[MIDDLE_MCP, 1], k[MIDDLE_MCP, 2]
    human[9], human[10], human[11], human[12] = o0, o1, o2, length
    for i in range(3):
        for j in range(3):
            goal.R[i, j] = human[3 * i + j]
        goal.t[i] = human[9 + i]
    # the shape of the hand, whatever its pose and size: where the fingertips are
    for finger in range(5):
        p, f = 4 * finger + 4, 3 * finger
        e0, e1, e2 = (k[p, 0] - o0) / length, (k[p, 1] - o1) / length, (k[p, 2] - o2) / length
        feature[f] = e0 * x0 + e1 * x1 + e2 * x2
        feature[f + 1] = e0 * y0 + e1 * y1 + e2 * y2
        feature[f + 2] = e0 * z0 + e1 * z1 + e2 * z2
    target, weight = goal.target, goal.weight
    for r in range(len(layout.kind)):
        a, b, s = layout.human_a[r], layout.human_b[r], layout.scale[r]
        weight[r] = layout.weight[r]
        if layout.kind[r] == POSITION:
            target[r, 0], target[r, 1], target[r, 2] = (
                o0 + s * (k[a, 0] - o0),
                o1 + s * (k[a, 1] - o1),
                o2 + s * (k[a, 2] - o2),
            )
        else:
            gap = 0.0
            for i in range(3):
                e = k[a, i] - k[b, i]
                target[r, i] = s * e
                gap += e * e
            if layout.kind[r] == PINCH:
                weight[r] *= math.exp(-2.0 * gap / layout.pinch_distance**2)
    for b in range(len(layout.bone_row)):
        r, source = layout.bone_row[b], layout.bone_from[b]
        h0, h1 = layout.bone_human[b, 0], layout.bone_human[b, 1]
        e0, e1, e2 = k[h1, 0] - k[h0, 0], k[h1, 1] - k[h0, 1], k[h1, 2] - k[h0, 2]
        scale = layout.bone_length[b] / max(math.sqrt(e0 * e0 + e1 * e1 + e2 * e2), 1e-6)
        target[r, 0] = target[source, 0] + scale * e0
        target[r, 1] = target[source, 1] + scale * e1
        target[r, 2] = target[source, 2] + scale * e2
    if len(layout.aperture):
        e0, e1, e2 = (
            k[THUMB_TIP, 0] - k[INDEX_TIP, 0],
            k[THUMB_TIP, 1] - k[INDEX_TIP, 1],
            k[THUMB_TIP, 2] - k[INDEX_TIP, 2],
        )
        opening = layout.aperture[0] + layout.aperture[1] * math.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
        goal.lower[0] = goal.upper[0] = min(max(opening, layout.aperture[2]), layout.aperture[3])


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
def step(
    problem, work, layout, atlas, goal, memory, keypoints, warm, tries, every, patience, max_iterations, tolerance
):
    """Solve one frame into `memory` (R, t, q).

    Which frames try atlas entries is decided by the frame itself, so that recordings which begin at different times try
    on the same frames.

    Args:
        keypoints: (21, 3), m.
        warm: Whether `memory` holds the answer of a neighbouring frame to start from.
        tries: Number of atlas entries to try.
        every: Try on one frame of so many.
        patience: See `search`.
        max_iterations: Most steps of one search.
        tolerance: See `search`.

    Returns:
        Cost, status, number of iterations of all searches.
    """
    prepare(layout, keypoints, goal, memory)
    R, t, q = memory.R_try, memory.t_try, memory.q_try
    cost, status, iterations, known = math.inf, MAX_ITERATIONS, 0, False
    if int(abs(memory.feature[0] - memory.feature[4]) * _SCATTER) % every != 0:
        tries = 0
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
            if tried >= tries:
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
            from_atlas(problem, work, atlas, entry, goal, memory)
        within = SAME if known else 0.0
        new, new_status, count = search(
            problem, work, goal, R, t, q, max_iterations, tolerance, cost, patience, memory.q, memory.R, within
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


class Smoothing(NamedTuple):
    """How a frame is drawn to its neighbours' first answers."""

    c: np.ndarray  # (nq,) the goal without neighbours
    v: np.ndarray  # (nq,)
    u: np.ndarray  # (2,)
    lower: np.ndarray  # (nq,) limits without speeds
    upper: np.ndarray  # (nq,)
    weight: np.ndarray  # (nq + 2,) of neighbours: joints 1/rad^2, the palm's turn 1/rad^2 and its place 1/m^2
    reach: np.ndarray  # (nq,) how far a joint may move in a frame
    near_q: np.ndarray  # (nq,) the neighbours' mean
    near_R: np.ndarray  # (3, 3)
    near_t: np.ndarray  # (3,)


@compiled
def smooth(problem, work, goal, smoothing, memory, before, follows, max_iterations, tolerance):
    """Solve the frame that `step` solved once more, now drawn to the mean of its neighbours' first answers.

    Args:
        smoothing: With the mean in it; where all its weights are 0, only speeds are limited.
        memory: The frame's first answer, overwritten.
        before: (nq,) the final joints of the frame before.
        follows: Whether there was one.

    Returns:
        Cost, status, number of iterations.
    """
    nq = len(goal.c)
    for j in range(nq):
        w = smoothing.weight[j]
        goal.v[j] = smoothing.v[j] + w
        if goal.v[j] > 0.0:
            goal.c[j] = (smoothing.v[j] * smoothing.c[j] + w * smoothing.near_q[j]) / goal.v[j]
        if follows and smoothing.reach[j] < math.inf:
            low, high = before[j] - smoothing.reach[j], before[j] + smoothing.reach[j]
            # an aperture may lie out of reach: then the joint goes as far as it can
            goal.lower[j], goal.upper[j] = min(max(goal.lower[j], low), high), max(min(goal.upper[j], high), low)
        memory.q[j] = min(max(memory.q[j], goal.lower[j]), goal.upper[j])
    turn_weight = smoothing.weight[nq]
    goal.u[0] = smoothing.u[0] + turn_weight
    goal.u[1] = smoothing.weight[nq + 1]
    if turn_weight > 0.0:
        for i in range(3):
            for k in range(3):
                human = smoothing.u[0] * memory.human[3 * i + k]
                goal.R[i, k] = (human + turn_weight * smoothing.near_R[i, k]) / goal.u[0]
    for i in range(3):
        goal.t[i] = smoothing.near_t[i]
    result = search(
        problem, work, goal, memory.R, memory.t, memory.q, max_iterations, tolerance, math.inf, max_iterations,
        memory.q, memory.R, 0.0,
    )  # fmt: skip
    for j in range(nq):
        goal.c[j], goal.v[j] = smoothing.c[j], smoothing.v[j]
        goal.lower[j], goal.upper[j] = smoothing.lower[j], smoothing.upper[j]
    goal.u[0], goal.u[1] = smoothing.u[0], smoothing.u[1]
    return result
