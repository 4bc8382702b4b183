"""Smoothness: a frame is solved once more, drawn to its neighbours' first answers, compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unihm.compiled import compiled
from unihm.retargeting.newton import search


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
        problem, work, goal, memory.R, memory.t, memory.q, max_iterations, tolerance, math.inf,
        memory.q, memory.R, 0.0,
    )  # fmt: skip
    for j in range(nq):
        goal.c[j], goal.v[j] = smoothing.c[j], smoothing.v[j]
        goal.lower[j], goal.upper[j] = smoothing.lower[j], smoothing.upper[j]
    goal.u[0], goal.u[1] = smoothing.u[0], smoothing.u[1]
    return result


@compiled
def mean_of_neighbours(smoothing, q, R, t, f):
    """The weighted mean of a frame's neighbours without itself, into `smoothing`; a frame alone is its own.

    The weights are those of the binomial filter 1 4 6 4 1. A mean of rotations need not be one: the objective takes any
    matrix.
    """
    n, nq = q.shape
    weights = (1.0, 4.0, 0.0 if n > 1 else 1.0, 4.0, 1.0)
    total = 0.0
    for offset in range(5):
        total += weights[offset] if 0 <= f + offset - 2 < n else 0.0
    for j in range(nq):
        smoothing.near_q[j] = 0.0
    for i in range(3):
        smoothing.near_t[i] = 0.0
        for k in range(3):
            smoothing.near_R[i, k] = 0.0
    for offset in range(5):
        g = f + offset - 2
        if g < 0 or g >= n:
            continue
        w = weights[offset] / total
        for j in range(nq):
            smoothing.near_q[j] += w * q[g, j]
        for i in range(3):
            smoothing.near_t[i] += w * t[g, i]
            for k in range(3):
                smoothing.near_R[i, k] += w * R[g, i, k]
