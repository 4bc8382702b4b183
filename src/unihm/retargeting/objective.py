"""The objective of one frame (Eq. B1), compiled: its value, gradient and Hessian.

Over the palm pose (R, t) and the independent joints q it is

    sum_r w_r rho(p_a(r) - p_b(r) - target_r)         points (b = -1) or vectors between points, rho is Huber's
      + 1/2 sum_j v_j (q_j - c_j)^2                   rest posture and smoothness, one weighted mean per joint
      + 1/4 u_R ||R - R_c||^2 + 1/2 u_t ||t - t_c||^2     the palm's own (the first is u_R angle^2 / 2 for small angles)
      + 1/2 w_s sum max(0, reach_s - ||x_a - x_b||)^2     spheres of different fingers kept apart

The Hessian is built as rigid-body dynamics builds a mass matrix (composite bodies; Featherstone 2008, section 6.2):
each body gathers the stiffness of all points beyond it as seen by a twist about the palm's origin, and one product with
the joint's twist gives its column. The second derivative of a point, ``a_i x (a_j x (p - o_j))`` for joint i above
joint j, fits the same pattern, so the exact Hessian costs little more than the Gauss-Newton matrix.

Everything a frame needs lies in arrays that are made once (`Problem`, `Workspace`); nothing is allocated here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unihm.retargeting.compiled import compiled


class Problem(NamedTuple):
    """What stays the same from frame to frame; see `compile_problem`. Body 0 is the palm."""

    parent: np.ndarray  # (nb,) a body's parent stands before it
    basis: np.ndarray  # (nb, 3, 9) rotation in the parent = basis[0] + sin basis[1] + cos basis[2], row by row
    origin: np.ndarray  # (nb, 3) origin in the parent, m
    axis: np.ndarray  # (nb, 3) joint axis in the body
    prismatic: np.ndarray  # (nb,)
    place: np.ndarray  # (nb,) unknown that drives the body
    multiplier: np.ndarray  # (nb,)
    offset: np.ndarray  # (nb,)
    point_body: np.ndarray  # (k,)
    point_xyz: np.ndarray  # (k, 3)
    row_a: np.ndarray  # (m,) points of each row; rows without b come first
    row_b: np.ndarray  # (m,) -1: none
    single: int  # number of rows without b
    chain_start: np.ndarray  # (k + 1,) of chain
    chain: np.ndarray  # bodies that move each point, root first
    unknown_start: np.ndarray  # (m + s + 1,) of unknowns
    unknowns: np.ndarray  # unknowns that move each row, then each pair of spheres, ascending
    first: np.ndarray  # (n,) first unknown that each row of the matrix reaches
    sphere_a: np.ndarray  # (s,) points: centres of spheres that shall keep apart
    sphere_b: np.ndarray  # (s,)
    sphere_reach: np.ndarray  # (s,) least distance of the centres, m
    sphere_weight: float  # 1/m^2; 0: spheres are ignored
    delta: float  # Huber's width, m; infinite: squares
    per_axis: int  # Huber for each coordinate (as dex_retargeting does) or for the distance
    free_palm: int
    curvature: int  # exact second derivatives, or Gauss-Newton


class Workspace(NamedTuple):
    """Scratch memory of one search."""

    X: np.ndarray  # (nb, 12) rotation row by row, origin
    a: np.ndarray  # (nb, 3) axes in the world
    p: np.ndarray  # (k, 3)
    I: np.ndarray  # (nb, 30) gathered stiffness of each body, see `_assemble`
    J: np.ndarray  # (n, 3)
    H: np.ndarray  # (n, n)
    L: np.ndarray  # (n, n)
    g: np.ndarray  # (n,)
    d: np.ndarray  # (n,)
    y: np.ndarray  # (n,)
    fixed: np.ndarray  # (n,)
    q: np.ndarray  # (nq,) trial state
    R: np.ndarray  # (3, 3)
    t: np.ndarray  # (3,)


class Goal(NamedTuple):
    """What one frame asks for."""

    target: np.ndarray  # (m, 3) m
    weight: np.ndarray  # (m,) 1/m^2
    c: np.ndarray  # (nq,) where joints are drawn to
    v: np.ndarray  # (nq,) how strongly, 1/rad^2
    R: np.ndarray  # (3, 3) where the palm is drawn to
    t: np.ndarray  # (3,)
    u: np.ndarray  # (2,) how strongly: turn 1/rad^2, shift 1/m^2
    lower: np.ndarray  # (nq,) limits of this frame
    upper: np.ndarray  # (nq,)


def make_workspace(problem: Problem) -> Workspace:
    """Scratch memory for a problem."""
    nb, k, n = len(problem.parent), len(problem.point_body), len(problem.first)
    nq = n - 6 * problem.free_palm
    shapes = ((nb, 12), (nb, 3), (k, 3), (nb, 30), (n, 3), (n, n), (n, n), n, n, n, n, nq, (3, 3), 3)
    return Workspace(*(np.zeros(shape) for shape in shapes))


@compiled
def forward(P, W, R, t, q):
    """Poses of bodies, joint axes and points in the world, into `W`."""
    X, a, p = W.X, W.a, W.p
    parent, basis, origin, axis, place = P.parent, P.basis, P.origin, P.axis, P.place
    multiplier, offset, prismatic = P.multiplier, P.offset, P.prismatic
    for i in range(3):
        X[0, 3 * i], X[0, 3 * i + 1], X[0, 3 * i + 2], X[0, 9 + i] = R[i, 0], R[i, 1], R[i, 2], t[i]
    for j in range(1, len(parent)):
        u = parent[j]
        x = multiplier[j] * q[place[j]] + offset[j]
        s, c, slide = 0.0, 1.0, x
        if prismatic[j] == 0:
            s, c, slide = math.sin(x), math.cos(x), 0.0
        l00 = basis[j, 0, 0] + s * basis[j, 1, 0] + c * basis[j, 2, 0]
        l01 = basis[j, 0, 1] + s * basis[j, 1, 1] + c * basis[j, 2, 1]
        l02 = basis[j, 0, 2] + s * basis[j, 1, 2] + c * basis[j, 2, 2]
        l10 = basis[j, 0, 3] + s * basis[j, 1, 3] + c * basis[j, 2, 3]
        l11 = basis[j, 0, 4] + s * basis[j, 1, 4] + c * basis[j, 2, 4]
        l12 = basis[j, 0, 5] + s * basis[j, 1, 5] + c * basis[j, 2, 5]
        l20 = basis[j, 0, 6] + s * basis[j, 1, 6] + c * basis[j, 2, 6]
        l21 = basis[j, 0, 7] + s * basis[j, 1, 7] + c * basis[j, 2, 7]
        l22 = basis[j, 0, 8] + s * basis[j, 1, 8] + c * basis[j, 2, 8]
        o0, o1, o2 = origin[j, 0], origin[j, 1], origin[j, 2]
        a0, a1, a2 = axis[j, 0], axis[j, 1], axis[j, 2]
        for i in range(3):
            r0, r1, r2 = X[u, 3 * i], X[u, 3 * i + 1], X[u, 3 * i + 2]
            m0 = r0 * l00 + r1 * l10 + r2 * l20
            m1 = r0 * l01 + r1 * l11 + r2 * l21
            m2 = r0 * l02 + r1 * l12 + r2 * l22
            world = m0 * a0 + m1 * a1 + m2 * a2
            X[j, 3 * i], X[j, 3 * i + 1], X[j, 3 * i + 2] = m0, m1, m2
            X[j, 9 + i] = X[u, 9 + i] + r0 * o0 + r1 * o1 + r2 * o2 + slide * world
            a[j, i] = world
    body, xyz = P.point_body, P.point_xyz
    for k in range(len(body)):
        u = body[k]
        x0, x1, x2 = xyz[k, 0], xyz[k, 1], xyz[k, 2]
        for i in range(3):
            p[k, i] = X[u, 9 + i] + X[u, 3 * i] * x0 + X[u, 3 * i + 1] * x1 + X[u, 3 * i + 2] * x2


@compiled
def cost_of(P, W, G, R, t, q):
    """The objective at the state of the last `forward`."""
    p, target, weight, c, v, R_c, t_c, u_R, u_t = W.p, G.target, G.weight, G.c, G.v, G.R, G.t, G.u[0], G.u[1]
    row_a, row_b, delta, per_axis = P.row_a, P.row_b, P.delta, P.per_axis
    total = 0.0
    for r in range(len(row_a)):
        w = weight[r]
        a, b = row_a[r], row_b[r]
        e0, e1, e2 = p[a, 0] - target[r, 0], p[a, 1] - target[r, 1], p[a, 2] - target[r, 2]
        if b >= 0:
            e0, e1, e2 = e0 - p[b, 0], e1 - p[b, 1], e2 - p[b, 2]
        if per_axis:
            e0, e1, e2 = abs(e0), abs(e1), abs(e2)
            loss = 0.5 * e0 * e0 if e0 <= delta else delta * (e0 - 0.5 * delta)
            loss += 0.5 * e1 * e1 if e1 <= delta else delta * (e1 - 0.5 * delta)
            loss += 0.5 * e2 * e2 if e2 <= delta else delta * (e2 - 0.5 * delta)
        else:
            loss = e0 * e0 + e1 * e1 + e2 * e2
            loss = 0.5 * loss if loss <= delta * delta else delta * (math.sqrt(loss) - 0.5 * delta)
        total += w * loss
    for j in range(len(q)):
        e = q[j] - c[j]
        total += 0.5 * v[j] * e * e
    if P.free_palm:
        for i in range(3):
            e = t[i] - t_c[i]
            total += 0.5 * u_t * e * e
            for k in range(3):
                e = R[i, k] - R_c[i, k]
                total += 0.25 * u_R * e * e
    if P.sphere_weight > 0.0:
        for s in range(len(P.sphere_a)):
            a, b, reach = P.sphere_a[s], P.sphere_b[s], P.sphere_reach[s]
            e0, e1, e2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
            square = e0 * e0 + e1 * e1 + e2 * e2
            if square < reach * reach:
                e0 = reach - math.sqrt(square)
                total += 0.5 * P.sphere_weight * e0 * e0
    return total


@compiled
def _huber(P, e0, e1, e2, w):
    """Stiffness of each coordinate; beyond delta the majoriser's ``delta / |e|``."""
    k0 = k1 = k2 = w
    delta = P.delta
    if P.per_axis:
        if abs(e0) > delta:
            k0 = w * delta / abs(e0)
        if abs(e1) > delta:
            k1 = w * delta / abs(e1)
        if abs(e2) > delta:
            k2 = w * delta / abs(e2)
    else:
        norm = math.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
        if norm > delta:
            k0 = k1 = k2 = w * delta / norm
    return k0, k1, k2


@compiled
def _pair_row(P, W, r, target, w):
    """Add a vector between two points to gradient and Hessian; only joints and the palm's turn see it."""
    H, g, J, p, X, ax = W.H, W.g, W.J, W.p, W.X, W.a
    chain, place, multiplier, prismatic, unknowns = P.chain, P.place, P.multiplier, P.prismatic, P.unknowns
    y = len(W.q) + 3
    a, b = P.row_a[r], P.row_b[r]
    z0, z1, z2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
    e0, e1, e2 = z0 - target[r, 0], z1 - target[r, 1], z2 - target[r, 2]
    k0, k1, k2 = _huber(P, e0, e1, e2, w)
    f0, f1, f2 = k0 * e0, k1 * e1, k2 * e2
    lo, hi = P.unknown_start[r], P.unknown_start[r + 1]
    for s in range(lo, hi):
        i = unknowns[s]
        J[i, 0] = J[i, 1] = J[i, 2] = 0.0
    for side in range(2):
        pt, sign = (a, 1.0) if side == 0 else (b, -1.0)
        c0, c1 = P.chain_start[pt], P.chain_start[pt + 1]
        for s in range(c0, c1):
            j = chain[s]
            i = place[j]
            m = sign * multiplier[j]
            j0, j1, j2 = m * ax[j, 0], m * ax[j, 1], m * ax[j, 2]
            if prismatic[j] == 0:
                x0, x1, x2 = p[pt, 0] - X[j, 9], p[pt, 1] - X[j, 10], p[pt, 2] - X[j, 11]
                j0, j1, j2 = j1 * x2 - j2 * x1, j2 * x0 - j0 * x2, j0 * x1 - j1 * x0
            J[i, 0] += j0
            J[i, 1] += j1
            J[i, 2] += j2
            if P.curvature:
                # f . (a_above x J) = a_above . (J x f) for every turning joint above, itself included
                h0, h1, h2 = j1 * f2 - j2 * f1, j2 * f0 - j0 * f2, j0 * f1 - j1 * f0
                for s2 in range(c0, s + 1):
                    h = chain[s2]
                    if prismatic[h]:
                        continue
                    value = multiplier[h] * (ax[h, 0] * h0 + ax[h, 1] * h1 + ax[h, 2] * h2)
                    l = place[h]
                    if l == i:
                        H[i, i] += value if s2 == s else 2.0 * value
                    else:
                        H[max(i, l), min(i, l)] += value
                if P.free_palm:
                    H[y, i] += h0
                    H[y + 1, i] += h1
                    H[y + 2, i] += h2
    for s in range(lo, hi):
        i = unknowns[s]
        j0, j1, j2 = k0 * J[i, 0], k1 * J[i, 1], k2 * J[i, 2]
        g[i] += e0 * j0 + e1 * j1 + e2 * j2
        for s2 in range(lo, s + 1):
            l = unknowns[s2]
            H[i, l] += j0 * J[l, 0] + j1 * J[l, 1] + j2 * J[l, 2]
        if P.free_palm:
            H[y, i] += z1 * j2 - z2 * j1
            H[y + 1, i] += z2 * j0 - z0 * j2
            H[y + 2, i] += z0 * j1 - z1 * j0
    if not P.free_palm:
        return
    g[y] += z1 * f2 - z2 * f1
    g[y + 1] += z2 * f0 - z0 * f2
    g[y + 2] += z0 * f1 - z1 * f0
    _turn_block(H, y, k0, k1, k2, z0, z1, z2)
    if P.curvature:  # the second derivative of exp(omega) z is the symmetric part of omega omega^T z
        fz = f0 * z0 + f1 * z1 + f2 * z2
        H[y, y] += f0 * z0 - fz
        H[y + 1, y] += 0.5 * (f0 * z1 + f1 * z0)
        H[y + 1, y + 1] += f1 * z1 - fz
        H[y + 2, y] += 0.5 * (f0 * z2 + f2 * z0)
        H[y + 2, y + 1] += 0.5 * (f1 * z2 + f2 * z1)
        H[y + 2, y + 2] += f2 * z2 - fz


@compiled
def _sphere_row(P, W, s):
    """Push two spheres apart along the line of their centres; the palm's motion does not change their distance."""
    H, g, J, p, X, ax = W.H, W.g, W.J, W.p, W.X, W.a
    a, b, reach = P.sphere_a[s], P.sphere_b[s], P.sphere_reach[s]
    e0, e1, e2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
    square = e0 * e0 + e1 * e1 + e2 * e2
    if square >= reach * reach or square < 1e-12:
        return
    distance = math.sqrt(square)
    e0, e1, e2 = e0 / distance, e1 / distance, e2 / distance
    lo, hi = P.unknown_start[len(P.row_a) + s], P.unknown_start[len(P.row_a) + s + 1]
    for k in range(lo, hi):
        J[P.unknowns[k], 0] = 0.0
    for side in range(2):
        pt, sign = (a, 1.0) if side == 0 else (b, -1.0)
        for k in range(P.chain_start[pt], P.chain_start[pt + 1]):
            j = P.chain[k]
            m = sign * P.multiplier[j]
            j0, j1, j2 = m * ax[j, 0], m * ax[j, 1], m * ax[j, 2]
            if P.prismatic[j] == 0:
                x0, x1, x2 = p[pt, 0] - X[j, 9], p[pt, 1] - X[j, 10], p[pt, 2] - X[j, 11]
                j0, j1, j2 = j1 * x2 - j2 * x1, j2 * x0 - j0 * x2, j0 * x1 - j1 * x0
            J[P.place[j], 0] += e0 * j0 + e1 * j1 + e2 * j2
    w = P.sphere_weight
    for k in range(lo, hi):
        i = P.unknowns[k]
        g[i] -= w * (reach - distance) * J[i, 0]
        for k2 in range(lo, k + 1):
            l = P.unknowns[k2]
            H[i, l] += w * J[i, 0] * J[l, 0]


@compiled
def _turn_block(H, y, k0, k1, k2, z0, z1, z2):
    """``hat(z)^T K hat(z)``, lower triangle."""
    H[y, y] += k1 * z2 * z2 + k2 * z1 * z1
    H[y + 1, y] -= k2 * z0 * z1
    H[y + 1, y + 1] += k0 * z2 * z2 + k2 * z0 * z0
    H[y + 2, y] -= k1 * z0 * z2
    H[y + 2, y + 1] -= k0 * z1 * z2
    H[y + 2, y + 2] += k0 * z1 * z1 + k1 * z0 * z0


@compiled
def assemble(P, W, G, R, t, q):
    """Gradient and Hessian (lower triangle within its envelope) at the state of the last `forward`.

    With z a point's place relative to the palm's origin, K its stiffness and f its force, a body gathers

        A = sum hat(z)^T K hat(z)  (6 numbers: 00 10 11 20 21 22)      how a twist (omega, v) about the palm's origin
        B = sum hat(z) K           (9, row by row)                     is resisted: torque = A omega + B v,
        C = sum K                  (3, diagonal)                       force = B^T omega + C v
        S = sum f z^T              (9)
        F = sum f                  (3)
    """
    H, g, p, X, ax, I = W.H, W.g, W.p, W.X, W.a, W.I
    target, weight, c, v, R_c, t_c, u_R, u_t = G.target, G.weight, G.c, G.v, G.R, G.t, G.u[0], G.u[1]
    first, parent, place, multiplier, prismatic = P.first, P.parent, P.place, P.multiplier, P.prismatic
    row_a, point_body = P.row_a, P.point_body
    n, nq, nb = len(first), len(q), len(parent)
    for i in range(n):
        g[i] = 0.0
        for k in range(first[i], i + 1):
            H[i, k] = 0.0
    for j in range(nq):
        g[j] = v[j] * (q[j] - c[j])
        H[j, j] = v[j]
    for j in range(nb):
        for i in range(30):
            I[j, i] = 0.0
    t0, t1, t2 = t[0], t[1], t[2]
    for r in range(P.single):
        w = weight[r]
        if w == 0.0:
            continue
        a = row_a[r]
        e0, e1, e2 = p[a, 0] - target[r, 0], p[a, 1] - target[r, 1], p[a, 2] - target[r, 2]
        k0, k1, k2 = _huber(P, e0, e1, e2, w)
        f0, f1, f2 = k0 * e0, k1 * e1, k2 * e2
        z0, z1, z2 = p[a, 0] - t0, p[a, 1] - t1, p[a, 2] - t2
        u = point_body[a]
        I[u, 0] += k1 * z2 * z2 + k2 * z1 * z1
        I[u, 1] -= k2 * z0 * z1
        I[u, 2] += k0 * z2 * z2 + k2 * z0 * z0
        I[u, 3] -= k1 * z0 * z2
        I[u, 4] -= k0 * z1 * z2
        I[u, 5] += k0 * z1 * z1 + k1 * z0 * z0
        I[u, 7] -= k1 * z2
        I[u, 8] += k2 * z1
        I[u, 9] += k0 * z2
        I[u, 11] -= k2 * z0
        I[u, 12] -= k0 * z1
        I[u, 13] += k1 * z0
        I[u, 15] += k0
        I[u, 16] += k1
        I[u, 17] += k2
        I[u, 18] += f0 * z0
        I[u, 19] += f0 * z1
        I[u, 20] += f0 * z2
        I[u, 21] += f1 * z0
        I[u, 22] += f1 * z1
        I[u, 23] += f1 * z2
        I[u, 24] += f2 * z0
        I[u, 25] += f2 * z1
        I[u, 26] += f2 * z2
        I[u, 27] += f0
        I[u, 28] += f1
        I[u, 29] += f2
    x, y = nq, nq + 3  # the palm's unknowns: shift along world axes, then turn about them through the palm's origin
    for j in range(nb - 1, 0, -1):
        u = parent[j]
        for i in range(30):
            I[u, i] += I[j, i]
        i, m = place[j], multiplier[j]
        w0, w1, w2 = m * ax[j, 0], m * ax[j, 1], m * ax[j, 2]
        F0, F1, F2 = I[j, 27], I[j, 28], I[j, 29]
        if prismatic[j]:
            v0, v1, v2 = w0, w1, w2
            w0 = w1 = w2 = 0.0
            u0 = u1 = u2 = 0.0
            if P.curvature:  # a turn above sweeps the slide: f . (a x s) = a . (s x f)
                u0, u1, u2 = v1 * F2 - v2 * F1, v2 * F0 - v0 * F2, v0 * F1 - v1 * F0
            own = 0.0
        else:
            o0, o1, o2 = X[j, 9] - t0, X[j, 10] - t1, X[j, 11] - t2
            v0, v1, v2 = o1 * w2 - o2 * w1, o2 * w0 - o0 * w2, o0 * w1 - o1 * w0
            u0 = u1 = u2 = 0.0
            own = 0.0
            if P.curvature:
                # sum f . (a x (w x (z - o))) = a . (S^T w - w tr S), with S about the joint's origin
                s00, s01, s02 = I[j, 18] - F0 * o0, I[j, 19] - F0 * o1, I[j, 20] - F0 * o2
                s10, s11, s12 = I[j, 21] - F1 * o0, I[j, 22] - F1 * o1, I[j, 23] - F1 * o2
                s20, s21, s22 = I[j, 24] - F2 * o0, I[j, 25] - F2 * o1, I[j, 26] - F2 * o2
                trace = s00 + s11 + s22
                u0 = s00 * w0 + s10 * w1 + s20 * w2 - w0 * trace
                u1 = s01 * w0 + s11 * w1 + s21 * w2 - w1 * trace
                u2 = s02 * w0 + s12 * w1 + s22 * w2 - w2 * trace
                own = w0 * u0 + w1 * u1 + w2 * u2
        A00, A10, A11, A20, A21, A22 = I[j, 0], I[j, 1], I[j, 2], I[j, 3], I[j, 4], I[j, 5]
        B01, B02, B10, B12, B20, B21 = I[j, 7], I[j, 8], I[j, 9], I[j, 11], I[j, 12], I[j, 13]
        # force and torque that answer the joint's twist; the torque about the palm's origin
        h0 = A00 * w0 + A10 * w1 + A20 * w2 + B01 * v1 + B02 * v2
        h1 = A10 * w0 + A11 * w1 + A21 * w2 + B10 * v0 + B12 * v2
        h2 = A20 * w0 + A21 * w1 + A22 * w2 + B20 * v0 + B21 * v1
        l0 = B10 * w1 + B20 * w2 + I[j, 15] * v0
        l1 = B01 * w0 + B21 * w2 + I[j, 16] * v1
        l2 = B02 * w0 + B12 * w1 + I[j, 17] * v2
        # f . (w x z) = w . (z x f), and z x f is what S has beside its symmetric part
        g[i] += w0 * (I[j, 25] - I[j, 23]) + w1 * (I[j, 20] - I[j, 24]) + w2 * (I[j, 21] - I[j, 19])
        g[i] += v0 * F0 + v1 * F1 + v2 * F2
        H[i, i] += w0 * h0 + w1 * h1 + w2 * h2 + v0 * l0 + v1 * l1 + v2 * l2 + own
        h0 += u0
        h1 += u1
        h2 += u2
        if P.free_palm:
            H[x, i] += l0
            H[x + 1, i] += l1
            H[x + 2, i] += l2
            H[y, i] += h0
            H[y + 1, i] += h1
            H[y + 2, i] += h2
        while u > 0:
            k, m = place[u], multiplier[u]
            b0, b1, b2 = m * ax[u, 0], m * ax[u, 1], m * ax[u, 2]
            if prismatic[u]:
                value = b0 * l0 + b1 * l1 + b2 * l2
            else:
                # moved to the joint's own origin the torque loses o x force
                o0, o1, o2 = X[u, 9] - t0, X[u, 10] - t1, X[u, 11] - t2
                value = b0 * (h0 - o1 * l2 + o2 * l1) + b1 * (h1 - o2 * l0 + o0 * l2) + b2 * (h2 - o0 * l1 + o1 * l0)
            if k == i:
                H[i, i] += 2.0 * value
            else:
                H[max(i, k), min(i, k)] += value
            u = parent[u]
    if P.free_palm:
        F0, F1, F2 = I[0, 27], I[0, 28], I[0, 29]
        g[x] += F0
        g[x + 1] += F1
        g[x + 2] += F2
        g[y] += I[0, 25] - I[0, 23]
        g[y + 1] += I[0, 20] - I[0, 24]
        g[y + 2] += I[0, 21] - I[0, 19]
        H[x, x] += I[0, 15]
        H[x + 1, x + 1] += I[0, 16]
        H[x + 2, x + 2] += I[0, 17]
        for i in range(3):
            for k in range(3):
                H[y + i, x + k] += I[0, 6 + 3 * i + k]
        H[y, y] += I[0, 0]
        H[y + 1, y] += I[0, 1]
        H[y + 1, y + 1] += I[0, 2]
        H[y + 2, y] += I[0, 3]
        H[y + 2, y + 1] += I[0, 4]
        H[y + 2, y + 2] += I[0, 5]
        if P.curvature:  # the second derivative of exp(omega) z is the symmetric part of omega omega^T z
            trace = I[0, 18] + I[0, 22] + I[0, 26]
            H[y, y] += I[0, 18] - trace
            H[y + 1, y] += 0.5 * (I[0, 19] + I[0, 21])
            H[y + 1, y + 1] += I[0, 22] - trace
            H[y + 2, y] += 0.5 * (I[0, 20] + I[0, 24])
            H[y + 2, y + 1] += 0.5 * (I[0, 23] + I[0, 25])
            H[y + 2, y + 2] += I[0, 26] - trace
        for i in range(3):
            g[x + i] += u_t * (t[i] - t_c[i])
            H[x + i, x + i] += u_t
            # ||R - R_c||^2 / 4 = sum over columns of (1 - r . r_c) / 2: gradient -1/2 sum r x r_c
            a0, a1, a2 = R[0, i], R[1, i], R[2, i]
            b0, b1, b2 = R_c[0, i], R_c[1, i], R_c[2, i]
            g[y] -= 0.5 * u_R * (a1 * b2 - a2 * b1)
            g[y + 1] -= 0.5 * u_R * (a2 * b0 - a0 * b2)
            g[y + 2] -= 0.5 * u_R * (a0 * b1 - a1 * b0)
            H[y + i, y + i] += u_R
    for r in range(P.single, len(row_a)):
        if weight[r] != 0.0:
            _pair_row(P, W, r, target, weight[r])
    if P.sphere_weight > 0.0:
        for s in range(len(P.sphere_a)):
            a, b, reach = P.sphere_a[s], P.sphere_b[s], P.sphere_reach[s]
            e0, e1, e2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
            if e0 * e0 + e1 * e1 + e2 * e2 < reach * reach:  # few do, and the call alone costs more than this test
                _sphere_row(P, W, s)
