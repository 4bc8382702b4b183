"""The compiled descent: a damped Newton method within box limits.

Each step solves the quadratic model over the unknowns that are free to move; those that would pass a limit are taken
to it and the others are solved for again (Bertsekas 1982). A step is taken only if the cost falls, else the damping
grows.
"""

from __future__ import annotations

import math

from unihm.compiled import compiled, inlined
from unihm.kinematics.compiled_chain import U, forward
from unihm.retargeting.derivatives import assemble
from unihm.retargeting.objective import cost_of
from unihm.retargeting.quadratic_model import AT_LIMIT, DAMP_MOST, FREE, TO_LIMIT, gain, given_steps, solve

CONVERGED, MAX_ITERATIONS, STALLED, NOT_FINITE, PRUNED = 0, 1, 2, 3, 4
_DAMP_FIRST, _DAMP_MORE, _DAMP_SMALL = 3e-2, 8.0, 1e-3
SAME = 0.05  # rad or m: nearer than this two searches are in the same valley
_MODEL_HOLDS = 1e-2  # share of the cost: near enough to a minimum for that
_HOPE = 3.0  # a search that is further than this many predicted gains from the bound will not reach it


@inlined
def turn(R, w0, w1, w2, out):
    """``out = exp(omega) R`` through a unit quaternion."""
    angle = math.sqrt(w0 * w0 + w1 * w1 + w2 * w2)
    if angle < 1e-9:
        a, s = 1.0, 0.5
    else:
        a, s = math.cos(0.5 * angle), math.sin(0.5 * angle) / angle
    b, c, d = s * w0, s * w1, s * w2
    norm = 1.0 / math.sqrt(a * a + b * b + c * c + d * d)
    a, b, c, d = a * norm, b * norm, c * norm, d * norm
    m00, m01, m02 = 1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)
    m10, m11, m12 = 2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)
    m20, m21, m22 = 2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)
    for k in range(3):
        r0, r1, r2 = R[0, k], R[1, k], R[2, k]
        out[0, k] = m00 * r0 + m01 * r1 + m02 * r2
        out[1, k] = m10 * r0 + m11 * r1 + m12 * r2
        out[2, k] = m20 * r0 + m21 * r1 + m22 * r2


@inlined
def copy_state(q, R, t, to_q, to_R, to_t):
    """Copy a state; loops, because whole-array assignment takes numba seconds to compile."""
    for j in range(len(q)):
        to_q[j] = q[j]
    for i in range(3):
        to_t[i] = t[i]
        for k in range(3):
            to_R[i, k] = R[i, k]


@inlined
def alike(q, R, known_q, known_R, limit):
    """Whether no joint, and not the palm's direction, differs by more than a limit, rad or m."""
    for j in range(len(q)):
        if abs(q[j] - known_q[j]) > limit:
            return False
    gap = 3.0  # 3 - trace = 4 sin(angle / 2)^2
    for i in range(3):
        for k in range(3):
            gap -= R[i, k] * known_R[i, k]
    return gap <= limit * limit


@compiled
def search(P, W, G, R, t, q, max_iterations, tolerance, bound, known_q, known_R, within):
    """Descend from (R, t, q), which are overwritten with the answer.

    Args:
        max_iterations: Most steps.
        tolerance: A step that lowers the cost by less than this share ends the search.
        bound: Cost of a known answer; a search that will not get below it is given up (PRUNED).
        known_q: Joints of that answer.
        known_R: Its palm's rotation.
        within: A search that comes so close to it, rad or m, is given up too; 0: none is.

    Returns:
        Cost, status, and number of iterations.
    """
    nq = U(len(q))
    C, d, held, trial, lower, upper = W.C, W.d, W.held, W.q, G.lower, G.upper
    forward(P, W, R, t, q)
    cost = cost_of(P, W, G, R, t, q)
    if not math.isfinite(cost):
        return cost, NOT_FINITE, 0
    damping, fresh, passed = 0.0, True, False
    for iteration in range(max_iterations):
        if fresh:
            assemble(P, W, G, R, t, q)
        for j in range(nq):
            stuck = (q[j] <= lower[j] and C[j, 6] >= 0.0) or (q[j] >= upper[j] and C[j, 6] <= 0.0)
            held[j] = AT_LIMIT if stuck else FREE
            d[j] = 0.0
        for _ in range(2):
            given_steps(W, P.first)
            lacking = solve(P, W, damping)
            while lacking > 0.0:
                damping = max(damping + 1.2 * lacking, 1.3 * damping, _DAMP_FIRST)
                if damping > DAMP_MOST:
                    return cost, STALLED, iteration
                lacking = solve(P, W, damping)
            passed = False
            for j in range(nq):
                x = q[j] + d[j]
                if held[j] == FREE and (x < lower[j] or x > upper[j]):
                    d[j], held[j], passed = min(max(x, lower[j]), upper[j]) - q[j], TO_LIMIT, True
            if not passed:
                break
        expected = gain(W, P.first)
        if cost - _HOPE * abs(expected) > bound:
            return cost, PRUNED, iteration
        for j in range(nq):
            trial[j] = min(max(q[j] + d[j], lower[j]), upper[j])
        if P.free_palm:
            turn(R, d[nq + 3], d[nq + 4], d[nq + 5], W.R)
            for i in range(3):
                W.t[i] = t[i] + d[nq + i]
        else:
            copy_state(trial, R, t, trial, W.R, W.t)
        forward(P, W, W.R, W.t, trial)
        new = cost_of(P, W, G, W.R, W.t, trial)
        if new < cost:
            ratio = (cost - new) / expected if expected > 0.0 else 1.0
            small = cost - new <= tolerance * cost and expected <= 4.0 * tolerance * cost
            if damping == 0.0 and not passed and cost - new <= _MODEL_HOLDS * cost:
                # where the model foretold the gain that well, the next step would gain about what it missed
                small = small or (cost - new) * abs(1.0 - ratio) <= 0.1 * tolerance * cost
            small = small and damping <= _DAMP_SMALL  # a heavily damped step is small wherever it is
            cost, fresh = new, True
            copy_state(W.q, W.R, W.t, q, R, t)
            if small:
                return cost, CONVERGED, iteration + 1
            if within > 0.0 and alike(q, R, known_q, known_R, within):
                return cost, PRUNED, iteration + 1
            if ratio > 0.5:
                damping = damping * 0.1 if damping > 1e-7 else 0.0
            elif ratio < 0.1:
                damping = max(damping * 4.0, _DAMP_FIRST)
        else:
            if abs(expected) <= tolerance * cost:
                return cost, CONVERGED, iteration + 1
            fresh = False
            damping = max(damping * _DAMP_MORE, _DAMP_FIRST)
            if damping > DAMP_MOST:
                return cost, STALLED, iteration + 1
    return cost, MAX_ITERATIONS, max_iterations
