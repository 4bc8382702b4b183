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
from unihm.optimization.residuals import STEEPEST
from unihm.refinement.body import add_joints, add_row, place, row_of
from unihm.refinement.surface_grid import signed_distance

CONVERGED, MAX_ITERATIONS, STALLED = 0, 1, 2
_LOOK = 0.012  # m beyond its own radius at which a point of the body looks for the object
_DAMP_MORE, _DAMP_FIRST, _DAMP_MOST = 8.0, 1e-2, 1e8


class Terms(NamedTuple):
    """Weights, 1/m^2 where nothing else is said."""

    contact: float
    inside: float  # k of Eq. 12, 1/m
    clearance: float
    table: float
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
    gate: np.ndarray  # (T,) how much contacts count
    lower: np.ndarray  # (nq,) joint limits
    upper: np.ndarray  # (nq,)
    low: np.ndarray  # (T, n) bounds of corrections
    high: np.ndarray  # (T, n)
    anchor: np.ndarray  # (tips, 3) places at which fingertips stay, m
    anchored: np.ndarray  # (tips,) 0: not at all


class System(NamedTuple):
    """Scratch memory of one search."""

    H: np.ndarray  # (n, n) lower triangle
    L: np.ndarray  # (n, n)
    g: np.ndarray  # (n,)
    d: np.ndarray  # (n,) step
    held: np.ndarray  # (n,) 1: at a bound
    trial: np.ndarray  # (n,)


def make_system(n: int) -> System:
    """Scratch memory for n unknowns."""
    return System(
        H=np.zeros((n, n)), L=np.zeros((n, n)), g=np.zeros(n), d=np.zeros(n), held=np.zeros(n), trial=np.zeros(n)
    )


@inlined
def contact_root(d, k):
    """``sign(d) sqrt(2 f(d))`` of Eq. 12 with alpha = 1 and its slope; see `optimization.residuals.contact_root`."""
    if d > 0.0:
        return d, 1.0
    u = min(-k * d, STEEPEST)
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
    p, radius, margin, found, near = pose.p, body.radius, body.margin, pose.found, pose.near
    up0, up1, up2, height = scene.up[f, 0], scene.up[f, 1], scene.up[f, 2], scene.height[f]
    gate = scene.gate[f]
    for k in range(U(len(p))):
        x0, x1, x2 = p[k, 0], p[k, 1], p[k, 2]
        if terms.table > 0.0:
            gap = x0 * up0 + x1 * up1 + x2 * up2 + height - radius[k] - margin[k]
            if gap < 0.0:
                total += 0.5 * terms.table * gap * gap
                if derive:
                    add_row(pose, row_of(body, pose, k, up0, up1, up2, 1.0), gap, terms.table, H, g)
        if k < U(body.tips):
            weight = gate * terms.contact
            if weight > 0.0:
                d = signed_distance(grid, x0, x1, x2, terms.reach, near, found)
                if d < terms.reach:
                    root, slope = contact_root(d - radius[k], terms.inside)
                    total += 0.5 * weight * root * root
                    if derive:
                        count = row_of(body, pose, k, found[0], found[1], found[2], slope)
                        add_row(pose, count, root, weight, H, g)
            weight = gate * terms.slip * scene.anchored[k]
            if weight > 0.0:
                for i in range(3):
                    e = p[k, i] - scene.anchor[k, i]
                    total += 0.5 * weight * e * e
                    if derive:
                        count = row_of(
                            body, pose, k, 1.0 if i == 0 else 0.0, 1.0 if i == 1 else 0.0, 1.0 if i == 2 else 0.0, 1.0
                        )
                        add_row(pose, count, e, weight, H, g)
        elif terms.clearance > 0.0:
            d = signed_distance(grid, x0, x1, x2, radius[k] + margin[k] + _LOOK, near, found)
            gap = d - radius[k] - margin[k]
            if gap < 0.0:
                total += 0.5 * terms.clearance * gap * gap
                if derive:
                    count = row_of(body, pose, k, found[0], found[1], found[2], 1.0)
                    add_row(pose, count, gap, terms.clearance, H, g)
    if terms.apart > 0.0:
        total += _apart(body, pose, terms, derive, H, g)
    return total


@compiled
def _apart(body, pose, terms, derive, H, g):
    """Spheres of different fingers that overlap."""
    p, radius = pose.p, body.radius
    total = 0.0
    for s in range(U(len(body.pair_a))):
        a, b = body.pair_a[s], body.pair_b[s]
        e0, e1, e2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
        square, reach = e0 * e0 + e1 * e1 + e2 * e2, radius[a] + radius[b]
        if square < reach * reach:
            length = math.sqrt(square)
            gap = length - reach
            total += 0.5 * terms.apart * gap * gap
            if derive and length > 1e-9:
                # the palm moves both alike: the row of their distance has joints only
                n0, n1, n2 = e0 / length, e1 / length, e2 / length
                count = add_joints(body, pose, a, n0, n1, n2, 0, 0)
                count = add_joints(body, pose, b, -n0, -n1, -n2, 0, count)
                add_row(pose, count, gap, terms.apart, H, g)
    return total


@compiled
def solve(system, damping):
    """``d = -(H + damping diag H)^-1 g`` over the unknowns that are not held; False where H is not positive."""
    H, L, g, d, held = system.H, system.L, system.g, system.d, system.held
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
    """Levenberg-Marquardt from c, which is overwritten; returns energy, status and number of iterations."""
    H, g, d, held, trial = system.H, system.g, system.d, system.held, system.trial
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
        while not solve(system, damping):
            damping = max(damping * _DAMP_MORE, _DAMP_FIRST)
            if damping > _DAMP_MOST:
                return cost, STALLED, iteration
        for i in range(n):
            trial[i] = min(max(c[i] + d[i], low[i]), high[i])
        new = energy(body, pose, grid, terms, scene, f, trial, mean, precision, False, H, g)
        if new < cost:
            fall = cost - new
            for i in range(n):
                c[i] = trial[i]
            if fall <= tolerance * new:
                return new, CONVERGED, iteration + 1
            cost = energy(body, pose, grid, terms, scene, f, c, mean, precision, True, H, g)
            damping = damping * 0.1 if damping > 1e-6 else 0.0
        else:
            damping = max(damping * _DAMP_MORE, _DAMP_FIRST)
            if damping > 1e4:
                return cost, STALLED, iteration + 1
    return cost, MAX_ITERATIONS, max_iterations
