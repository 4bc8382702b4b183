"""The energy of one frame (Eqs. 13 to 16) and its minimum, compiled.

Residuals are divided by standard deviations; each one that a hand or a config does not want has weight 0. Nearest
places are looked up wherever the energy is evaluated: compiled, that costs no more than keeping them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unihm.compiled import compiled, inlined
from unihm.kinematics.compiled_chain import U
from unihm.refinement.apart import apart
from unihm.refinement.body import add_row, place, row_of
from unihm.refinement.surface_grid import is_far, signed_distance

CONVERGED, MAX_ITERATIONS, STALLED = 0, 1, 2
_STEEPEST = 30.0  # k |d| beyond which the inside branch of Eq. 12 goes on as a straight line: e^30 is enough
_LOOK = 0.004  # m beyond its own radius at which a sphere of the body looks for the object
_DAMP_MORE, _DAMP_FIRST, _DAMP_MOST = 8.0, 1e-2, 1e8


class Terms(NamedTuple):
    """Weights, 1/m^2 where nothing else is said."""

    contact: float
    inside: float  # k of Eq. 12, 1/m
    pad: float  # of a fingertip's contact point, which shall be what touches
    clearance: float
    table: float
    above: float  # m kept from the table
    apart: float  # fingers from each other
    slip: float
    reach: float  # m: a fingertip this near touches


class Scene(NamedTuple):
    """A motion beside its object, in the object's frame."""

    R: np.ndarray  # (T, 3, 3) given palm
    t: np.ndarray  # (T, 3)
    q: np.ndarray  # (T, nq)
    up: np.ndarray  # (T, 3) the world's up
    height: np.ndarray  # (T,) of the object's origin above the table, m
    gate: np.ndarray  # (T, tips) how much contacts count
    lower: np.ndarray  # (nq,) joint limits
    upper: np.ndarray  # (nq,)
    low: np.ndarray  # (T, n) bounds of corrections
    high: np.ndarray  # (T, n)
    anchor: np.ndarray  # (T, tips, 3) places at which contact points shall be, m
    anchored: np.ndarray  # (T, tips) how much; 0: not at all
    extra: np.ndarray  # (T,) m kept from the object beyond each solid's own margin


class System(NamedTuple):
    """Scratch memory of one search."""

    H: np.ndarray  # (n, n) lower triangle
    g: np.ndarray  # (n,)
    H_trial: np.ndarray  # (n, n)
    g_trial: np.ndarray  # (n,)
    L: np.ndarray  # (n, n)
    d: np.ndarray  # (n,) step
    held: np.ndarray  # (n,) 1: at a bound
    trial: np.ndarray  # (n,)


def make_system(n: int) -> System:
    """Scratch memory for n unknowns."""
    return System(
        H=np.zeros((n, n)), g=np.zeros(n), H_trial=np.zeros((n, n)), g_trial=np.zeros(n), L=np.zeros((n, n)),
        d=np.zeros(n), held=np.zeros(n), trial=np.zeros(n),
    )  # fmt: skip


@inlined
def contact_root(d, k):
    """``sign(d) sqrt(2 f(d))`` of Eq. 12 with alpha = 1 and its slope, at the signed distance d (m) with k in 1/m.

    f is ``d^2 / 2`` outside and ``(e^(-kd) + kd - 1) / k^2`` inside; 1 / k is the depth at which the inside becomes
    markedly steeper than the outside.

    Differs from the paper: the root carries the sign of d. The energy is the same, but ``sqrt(2 f)`` has a kink at
    d = 0, just where the solution lies, which the paper rounds off with an epsilon (Eq. B19).
    """
    if d > 0.0:
        return d, 1.0
    u = min(-k * d, _STEEPEST)
    if u < 1e-2:
        root, slope = u * (1.0 + u / 6.0 + u * u / 36.0), 1.0 + u / 3.0 + u * u / 12.0
    else:
        grown = math.expm1(u)
        root = math.sqrt(2.0 * (grown - u))
        slope = grown / root
    return -(root + slope * max(-k * d - u, 0.0)) / k, slope


@compiled
def energy(body, pose, grid, terms, scene, f, c, mean, precision, derive, H, g):
    """Energy of frame f at correction c; with `derive` its gradient g and Gauss-Newton matrix H (lower triangle).

    Args:
        mean: (n,) of all priors together (Eqs. 14 and 15).
        precision: (n,) theirs.
    """
    n = U(len(c))
    total = 0.0
    if derive:
        for i in range(n):
            g[i] = precision[i] * (c[i] - mean[i])
            for k in range(i):
                H[i, k] = 0.0
            H[i, i] = precision[i]
    for i in range(n):
        e = c[i] - mean[i]
        total += 0.5 * precision[i] * e * e
    place(body, pose, scene.R[f], scene.t[f], scene.q[f], c, scene.lower, scene.upper)
    p, found, near = pose.p, pose.found, pose.near
    up0, up1, up2, height = scene.up[f, 0], scene.up[f, 1], scene.up[f, 2], scene.height[f]
    tips, solids = U(body.tips), U(len(body.bound))
    for k in range(tips):
        weight = scene.gate[f, k] * terms.contact
        if weight > 0.0:
            total += _touch(body, pose, grid, terms, k, weight, scene.gate[f, k] * terms.pad, derive, H, g)
        weight = scene.anchored[f, k] * terms.slip
        if weight > 0.0:
            for i in range(3):
                e = p[k, i] - scene.anchor[f, k, i]
                total += 0.5 * weight * e * e
                if derive:
                    n0, n1, n2 = 1.0 if i == 0 else 0.0, 1.0 if i == 1 else 0.0, 1.0 if i == 2 else 0.0
                    add_row(pose, row_of(body, pose, k, n0, n1, n2, 1.0), e, weight, H, g)
    for s in range(solids):
        if terms.clearance <= 0.0 and terms.table <= 0.0:
            break
        k = tips + s
        x0, x1, x2 = p[k, 0], p[k, 1], p[k, 2]
        margin = body.margin[s] + scene.extra[f]
        low = x0 * up0 + x1 * up1 + x2 * up2 + height < body.bound[s] + terms.above
        by = not is_far(grid, x0, x1, x2, body.bound[s] + margin)
        if not (low or by):
            continue
        X, u = pose.X, body.point_body[k]
        for c_ in range(body.cover_start[s], body.cover_start[s + U(1)]):
            y0, y1, y2, radius = body.cover[c_, 0], body.cover[c_, 1], body.cover[c_, 2], body.cover[c_, 3]
            for i in range(3):
                p[k, i] = X[u, 9 + i] + X[u, 3 * i] * y0 + X[u, 3 * i + 1] * y1 + X[u, 3 * i + 2] * y2
            if low and terms.table > 0.0:
                gap = p[k, 0] * up0 + p[k, 1] * up1 + p[k, 2] * up2 + height - radius - terms.above
                if gap < 0.0:
                    total += 0.5 * terms.table * gap * gap
                    if derive:
                        add_row(pose, row_of(body, pose, k, up0, up1, up2, 1.0), gap, terms.table, H, g)
            if by and terms.clearance > 0.0:
                gap = signed_distance(
                    grid, p[k, 0], p[k, 1], p[k, 2], radius + margin + _LOOK, radius + margin, near, found
                )
                gap -= radius + margin
                if gap < 0.0:
                    total += 0.5 * terms.clearance * gap * gap
                    if derive:
                        count = row_of(body, pose, k, found[0], found[1], found[2], 1.0)
                        add_row(pose, count, gap, terms.clearance, H, g)
    if terms.apart > 0.0:
        total += apart(body, pose, terms, derive, H, g)
    return total


@compiled
def _touch(body, pose, grid, terms, k, weight, pad_weight, derive, H, g):
    """Contact of a fingertip: the nearest part of its pad touches, best at its contact point."""
    p, X, found, near, touch = pose.p, pose.X, pose.found, pose.near, pose.touch
    k_pad = U(body.tips) + U(len(body.bound)) + k
    u = body.point_body[k]
    least = terms.reach
    first, count = U(body.pad_start[k]), U(body.pad_start[k + U(1)]) - U(body.pad_start[k])
    was = U(pose.nearest[k])  # what touched last is looked at first: that spares looking closely at most of the others
    for i_ in range(count):
        c_ = first + (i_ + was if i_ + was < count else i_ + was - count)
        y0, y1, y2, radius = body.pad[c_, 0], body.pad[c_, 1], body.pad[c_, 2], body.pad[c_, 3]
        x0 = X[u, 9] + X[u, 0] * y0 + X[u, 1] * y1 + X[u, 2] * y2
        x1 = X[u, 10] + X[u, 3] * y0 + X[u, 4] * y1 + X[u, 5] * y2
        x2 = X[u, 11] + X[u, 6] * y0 + X[u, 7] * y1 + X[u, 8] * y2
        d = signed_distance(grid, x0, x1, x2, terms.reach + radius, least + radius, near, found) - radius
        if d < least:
            least = d
            pose.nearest[k] = c_ - first
            p[k_pad, 0], p[k_pad, 1], p[k_pad, 2] = x0, x1, x2
            touch[k, 1], touch[k, 2], touch[k, 3] = found[0], found[1], found[2]
            for i in range(3):
                touch[k, 4 + i] = p[k_pad, i] - radius * found[i]
    touch[k, 0] = least
    if least >= terms.reach:
        return 0.0
    root, slope = contact_root(least, terms.inside)
    total = 0.5 * weight * root * root
    if derive:
        entries = row_of(body, pose, k_pad, touch[k, 1], touch[k, 2], touch[k, 3], slope)
        add_row(pose, entries, root, weight, H, g)
    if pad_weight > 0.0:
        gap = signed_distance(grid, p[k, 0], p[k, 1], p[k, 2], terms.reach, terms.reach, near, found)
        if gap < terms.reach:
            total += 0.5 * pad_weight * gap * gap
            if derive:
                add_row(pose, row_of(body, pose, k, found[0], found[1], found[2], 1.0), gap, pad_weight, H, g)
    return total


@compiled
def solve(H, g, L, d, held, damping):
    """``d = -(H + damping diag H)^-1 g`` over the unknowns that are not held; False where H is not positive."""
    n = U(len(g))
    for i in range(n):
        if held[i] != 0.0:
            for k in range(i):
                L[i, k] = 0.0
            L[i, i], d[i] = 1.0, 0.0
            continue
        value = -g[i]
        for k in range(i):
            s = H[i, k] if held[k] == 0.0 else 0.0
            for l in range(k):
                s -= L[i, l] * L[k, l]
            s /= L[k, k]
            L[i, k] = s
            value -= s * d[k]
        pivot = H[i, i] * (1.0 + damping)
        for k in range(i):
            pivot -= L[i, k] * L[i, k]
        if not pivot > 0.0:
            return False
        pivot = math.sqrt(pivot)
        L[i, i] = pivot
        d[i] = value / pivot
    for back in range(U(1), n + U(1)):
        i = n - back
        if held[i] != 0.0:
            d[i] = 0.0
            continue
        value = d[i]
        for k in range(i + U(1), n):
            value -= L[k, i] * d[k]
        d[i] = value / L[i, i]
    return True


@compiled
def minimize(body, pose, system, grid, terms, scene, f, c, mean, precision, max_iterations, tolerance):
    """Levenberg-Marquardt from c, which is overwritten; returns energy, status and number of iterations.

    Derivatives cost a tenth of what looking up distances does: every trial has them, and most trials are accepted.
    """
    H, g, H_trial, g_trial = system.H, system.g, system.H_trial, system.g_trial
    L, d, held, trial = system.L, system.d, system.held, system.trial
    n = len(c)
    low, high = scene.low[f], scene.high[f]
    for i in range(n):
        c[i] = min(max(c[i], low[i]), high[i])
    cost = energy(body, pose, grid, terms, scene, f, c, mean, precision, True, H, g)
    damping = 0.0
    for iteration in range(max_iterations):
        for i in range(n):
            stuck = (c[i] <= low[i] and g[i] > 0.0) or (c[i] >= high[i] and g[i] < 0.0)
            held[i] = 1.0 if stuck else 0.0
        while not solve(H, g, L, d, held, damping):
            damping = max(damping * _DAMP_MORE, _DAMP_FIRST)
            if damping > _DAMP_MOST:
                return cost, STALLED, iteration
        for i in range(n):
            trial[i] = min(max(c[i] + d[i], low[i]), high[i])
        new = energy(body, pose, grid, terms, scene, f, trial, mean, precision, True, H_trial, g_trial)
        if new < cost:
            fall, cost = cost - new, new
            H, g, H_trial, g_trial = H_trial, g_trial, H, g
            for i in range(n):
                c[i] = trial[i]
            if fall <= tolerance * new:
                return cost, CONVERGED, iteration + 1
            damping = damping * 0.1 if damping > 1e-6 else 0.0
        else:
            damping = max(damping * _DAMP_MORE, _DAMP_FIRST)
            if damping > 1e4:
                return cost, STALLED, iteration + 1
    return cost, MAX_ITERATIONS, max_iterations


@compiled
def energies(body, pose, grid, terms, scene, c, precision, derive, H, g):
    """`energy` of all frames at corrections c (T, n) about no correction; H (T, n, n) and g (T, n) with `derive`."""
    total = 0.0
    mean = pose.zero
    for f in range(len(c)):
        total += energy(body, pose, grid, terms, scene, f, c[f], mean, precision, derive, H[f], g[f])
    return total


@compiled
def deepest(body, pose, grid, scene, f, c):
    """Depth of the deepest sphere of the hand in the object, m; 0 where none is inside."""
    place(body, pose, scene.R[f], scene.t[f], scene.q[f], c, scene.lower, scene.upper)
    depth, X = 0.0, pose.X
    for s in range(U(len(body.bound))):
        k = U(body.tips) + s
        if is_far(grid, pose.p[k, 0], pose.p[k, 1], pose.p[k, 2], body.bound[s]):
            continue
        u = body.point_body[k]
        for c_ in range(body.cover_start[s], body.cover_start[s + U(1)]):
            y0, y1, y2, radius = body.cover[c_, 0], body.cover[c_, 1], body.cover[c_, 2], body.cover[c_, 3]
            x0 = X[u, 9] + X[u, 0] * y0 + X[u, 1] * y1 + X[u, 2] * y2
            x1 = X[u, 10] + X[u, 3] * y0 + X[u, 4] * y1 + X[u, 5] * y2
            x2 = X[u, 11] + X[u, 6] * y0 + X[u, 7] * y1 + X[u, 8] * y2
            depth = max(
                depth, radius - signed_distance(grid, x0, x1, x2, radius + _LOOK, radius, pose.near, pose.found)
            )
    return depth
