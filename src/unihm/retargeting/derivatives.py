"""Gradient and Hessian of the objective, compiled.

The Hessian is built as rigid-body dynamics builds a mass matrix (composite bodies; Featherstone 2008, section 6.2):
each body gathers the stiffness of all points beyond it as seen by a twist about the palm's origin, and one product with
the joint's twist gives its column. The second derivative of a point, ``a_i x (a_j x (p - o_j))`` for joint i above
joint j, fits the same pattern, so the exact Hessian costs little more than the Gauss-Newton matrix.
"""

from __future__ import annotations

import math

from unihm.compiled import compiled, inlined
from unihm.kinematics.compiled_chain import U


@inlined
def assemble(P, W, G, R, t, q):
    """Gradient and Hessian at the state of the last `forward`, into ``W.A`` and ``W.C``.

    With z a point's place relative to the palm's origin, K its stiffness and f its force, a body gathers

        0   A = sum hat(z)^T K hat(z)  (6 numbers: 00 10 11 20 21 22)      how a twist (omega, v) about the palm's
        6   B = sum hat(z) K           (6: 01 02 10 12 20 21)              origin is resisted: torque = A omega + B v,
        12  C = sum K                  (3, diagonal)                       force = B^T omega + C v
        15  S = sum f z^T              (9)
        24  F = sum f                  (3)
    """
    A, C, X, ax, I, twist = W.A, W.C, W.X, W.a, W.I, W.twist
    c, v, first = G.c, G.v, P.first
    parent, place, multiplier, prismatic = P.parent, P.place, P.multiplier, P.prismatic
    nq, nb = U(len(q)), U(len(parent))
    for i in range(nq + U(6)):
        for k in range(8):
            C[i, k] = 0.0
    for i in range(nq):
        for k in range(U(first[i]), i):
            A[i, k] = 0.0
        A[i, i] = v[i]
        C[i, 6] = v[i] * (q[i] - c[i])
    for j in range(nb):
        for i in range(28):
            I[j, i] = 0.0
    _gather(P, W, G, t)
    t0, t1, t2 = t[0], t[1], t[2]
    for j in range(U(1), nb):
        m = multiplier[j]
        w0, w1, w2 = m * ax[j, 0], m * ax[j, 1], m * ax[j, 2]
        if prismatic[j]:
            twist[j, 0] = twist[j, 1] = twist[j, 2] = 0.0
            twist[j, 3], twist[j, 4], twist[j, 5] = w0, w1, w2
        else:
            o0, o1, o2 = X[j, 9] - t0, X[j, 10] - t1, X[j, 11] - t2
            twist[j, 0], twist[j, 1], twist[j, 2] = w0, w1, w2
            twist[j, 3], twist[j, 4], twist[j, 5] = o1 * w2 - o2 * w1, o2 * w0 - o0 * w2, o0 * w1 - o1 * w0
    for back in range(U(1), nb):
        j = nb - back
        u = parent[j]
        for i in range(28):
            I[u, i] += I[j, i]
        i = place[j]
        w0, w1, w2 = twist[j, 0], twist[j, 1], twist[j, 2]
        v0, v1, v2 = twist[j, 3], twist[j, 4], twist[j, 5]
        F0, F1, F2 = I[j, 24], I[j, 25], I[j, 26]
        if prismatic[j]:  # a turn above sweeps the slide: f . (a x s) = a . (s x f)
            u0, u1, u2 = v1 * F2 - v2 * F1, v2 * F0 - v0 * F2, v0 * F1 - v1 * F0
            own = 0.0
        else:
            # sum f . (a x (w x (z - o))) = a . (S^T w - w tr S) less the same of F o^T, and o x w is v
            trace = I[j, 15] + I[j, 19] + I[j, 23]
            o0, o1, o2 = X[j, 9] - t0, X[j, 10] - t1, X[j, 11] - t2
            along = F0 * w0 + F1 * w1 + F2 * w2
            trace -= F0 * o0 + F1 * o1 + F2 * o2
            u0 = I[j, 15] * w0 + I[j, 18] * w1 + I[j, 21] * w2 - along * o0 - w0 * trace
            u1 = I[j, 16] * w0 + I[j, 19] * w1 + I[j, 22] * w2 - along * o1 - w1 * trace
            u2 = I[j, 17] * w0 + I[j, 20] * w1 + I[j, 23] * w2 - along * o2 - w2 * trace
            own = w0 * u0 + w1 * u1 + w2 * u2
        B01, B02, B10, B12, B20, B21 = I[j, 6], I[j, 7], I[j, 8], I[j, 9], I[j, 10], I[j, 11]
        # force and torque that answer the joint's twist; the torque about the palm's origin
        h0 = I[j, 0] * w0 + I[j, 1] * w1 + I[j, 3] * w2 + B01 * v1 + B02 * v2
        h1 = I[j, 1] * w0 + I[j, 2] * w1 + I[j, 4] * w2 + B10 * v0 + B12 * v2
        h2 = I[j, 3] * w0 + I[j, 4] * w1 + I[j, 5] * w2 + B20 * v0 + B21 * v1
        l0 = B10 * w1 + B20 * w2 + I[j, 12] * v0
        l1 = B01 * w0 + B21 * w2 + I[j, 13] * v1
        l2 = B02 * w0 + B12 * w1 + I[j, 14] * v2
        A[i, i] += w0 * h0 + w1 * h1 + w2 * h2 + v0 * l0 + v1 * l1 + v2 * l2 + own
        h0, h1, h2 = h0 + u0, h1 + u1, h2 + u2
        C[i, 0] += l0
        C[i, 1] += l1
        C[i, 2] += l2
        C[i, 3] += h0
        C[i, 4] += h1
        C[i, 5] += h2
        # f . (w x z) = w . (z x f), and z x f is what S has beside its symmetric part
        turning = w0 * (I[j, 22] - I[j, 20]) + w1 * (I[j, 17] - I[j, 21]) + w2 * (I[j, 18] - I[j, 16])
        C[i, 6] += turning + v0 * F0 + v1 * F1 + v2 * F2
        while u > 0:
            k = place[u]
            value = twist[u, 0] * h0 + twist[u, 1] * h1 + twist[u, 2] * h2
            value += twist[u, 3] * l0 + twist[u, 4] * l1 + twist[u, 5] * l2
            if k == i:
                A[i, i] += 2.0 * value
            else:
                A[max(i, k), min(i, k)] += value
            u = parent[u]
    if P.free_palm:
        _palm(W, G, R, t, nq)
    for r in range(U(P.single), U(len(P.row_a))):
        if G.weight[r] != 0.0:
            _pair_row(P, W, r, G.target, G.weight[r])
    if P.sphere_weight > 0.0:
        p = W.p
        for s in range(U(len(P.sphere_a))):
            a, b, reach = P.sphere_a[s], P.sphere_b[s], P.sphere_reach[s]
            e0, e1, e2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
            if e0 * e0 + e1 * e1 + e2 * e2 < reach * reach:  # few do, and the call alone costs more than this test
                _sphere_row(P, W, s)
    if not P.free_palm:
        for i in range(nq):
            for k in range(6):
                C[i, k] = 0.0


@inlined
def _huber(P, e0, e1, e2, w):
    """Stiffness of each coordinate; beyond delta the majoriser's ``delta / |e|``."""
    delta = P.delta
    if P.per_axis:
        k0, k1, k2 = w * min(1.0, delta / abs(e0)), w * min(1.0, delta / abs(e1)), w * min(1.0, delta / abs(e2))
    else:
        k0 = k1 = k2 = w * min(1.0, delta / math.sqrt(e0 * e0 + e1 * e1 + e2 * e2))
    return k0, k1, k2


@inlined
def _gather(P, W, G, t):
    """Stiffness and force of the points, into their bodies; see `assemble`."""
    p, I, target, weight = W.p, W.I, G.target, G.weight
    t0, t1, t2 = t[0], t[1], t[2]
    for r in range(U(P.single)):
        a = P.row_a[r]
        e0, e1, e2 = p[a, 0] - target[r, 0], p[a, 1] - target[r, 1], p[a, 2] - target[r, 2]
        k0, k1, k2 = _huber(P, e0, e1, e2, weight[r])
        f0, f1, f2 = k0 * e0, k1 * e1, k2 * e2
        z0, z1, z2 = p[a, 0] - t0, p[a, 1] - t1, p[a, 2] - t2
        u = P.point_body[a]
        I[u, 0] += k1 * z2 * z2 + k2 * z1 * z1
        I[u, 1] -= k2 * z0 * z1
        I[u, 2] += k0 * z2 * z2 + k2 * z0 * z0
        I[u, 3] -= k1 * z0 * z2
        I[u, 4] -= k0 * z1 * z2
        I[u, 5] += k0 * z1 * z1 + k1 * z0 * z0
        I[u, 6] -= k1 * z2
        I[u, 7] += k2 * z1
        I[u, 8] += k0 * z2
        I[u, 9] -= k2 * z0
        I[u, 10] -= k0 * z1
        I[u, 11] += k1 * z0
        I[u, 12] += k0
        I[u, 13] += k1
        I[u, 14] += k2
        I[u, 15] += f0 * z0
        I[u, 16] += f0 * z1
        I[u, 17] += f0 * z2
        I[u, 18] += f1 * z0
        I[u, 19] += f1 * z1
        I[u, 20] += f1 * z2
        I[u, 21] += f2 * z0
        I[u, 22] += f2 * z1
        I[u, 23] += f2 * z2
        I[u, 24] += f0
        I[u, 25] += f1
        I[u, 26] += f2


@inlined
def _palm(W, G, R, t, nq):
    """The palm's own block: what all points gathered, and where it is drawn to."""
    C, I, R_c, t_c, u_R, u_t = W.C, W.I, G.R, G.t, G.u[0], G.u[1]
    x, y = nq, nq + U(3)
    for i in range(U(3)):
        C[x + i, 6] += I[0, 24 + i] + u_t * (t[i] - t_c[i])
        C[x + i, i] += I[0, 12 + i] + u_t
    C[y, 1] += I[0, 6]
    C[y, 2] += I[0, 7]
    C[y + U(1), 0] += I[0, 8]
    C[y + U(1), 2] += I[0, 9]
    C[y + U(2), 0] += I[0, 10]
    C[y + U(2), 1] += I[0, 11]
    C[y, 6] += I[0, 22] - I[0, 20]
    C[y + U(1), 6] += I[0, 17] - I[0, 21]
    C[y + U(2), 6] += I[0, 18] - I[0, 16]
    # the second derivative of exp(omega) z is the symmetric part of omega omega^T z
    trace = I[0, 15] + I[0, 19] + I[0, 23]
    C[y, 3] += I[0, 0] + I[0, 15] - trace
    C[y + U(1), 3] += I[0, 1] + 0.5 * (I[0, 16] + I[0, 18])
    C[y + U(1), 4] += I[0, 2] + I[0, 19] - trace
    C[y + U(2), 3] += I[0, 3] + 0.5 * (I[0, 17] + I[0, 21])
    C[y + U(2), 4] += I[0, 4] + 0.5 * (I[0, 20] + I[0, 22])
    C[y + U(2), 5] += I[0, 5] + I[0, 23] - trace
    for i in range(U(3)):
        # ||R - R_c||^2 / 4 = sum over columns of (1 - r . r_c) / 2: gradient -1/2 sum r x r_c
        a0, a1, a2 = R[0, i], R[1, i], R[2, i]
        b0, b1, b2 = R_c[0, i], R_c[1, i], R_c[2, i]
        C[y, 6] -= 0.5 * u_R * (a1 * b2 - a2 * b1)
        C[y + U(1), 6] -= 0.5 * u_R * (a2 * b0 - a0 * b2)
        C[y + U(2), 6] -= 0.5 * u_R * (a0 * b1 - a1 * b0)
        C[y + i, U(3) + i] += u_R


@compiled
def _pair_row(P, W, r, target, w):
    """Add a vector between two points to gradient and Hessian; only joints and the palm's turn see it."""
    A, C, J, p, X, ax = W.A, W.C, W.J, W.p, W.X, W.a
    chain, place, multiplier, prismatic, unknowns = P.chain, P.place, P.multiplier, P.prismatic, P.unknowns
    y = U(len(W.q)) + U(3)
    a, b = P.row_a[r], P.row_b[r]
    z0, z1, z2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
    e0, e1, e2 = z0 - target[r, 0], z1 - target[r, 1], z2 - target[r, 2]
    k0, k1, k2 = _huber(P, e0, e1, e2, w)
    f0, f1, f2 = k0 * e0, k1 * e1, k2 * e2
    lo, hi = P.unknown_start[r], P.unknown_start[r + U(1)]
    for s in range(lo, hi):
        i = unknowns[s]
        J[i, 0] = J[i, 1] = J[i, 2] = 0.0
    for side in range(2):
        pt, sign = (a, 1.0) if side == 0 else (U(b), -1.0)
        c0, c1 = P.chain_start[pt], P.chain_start[pt + U(1)]
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
            # f . (a_above x J) = a_above . (J x f) for every turning joint above, itself included
            h0, h1, h2 = j1 * f2 - j2 * f1, j2 * f0 - j0 * f2, j0 * f1 - j1 * f0
            for s2 in range(c0, s + 1):
                h = chain[s2]
                if prismatic[h]:
                    continue
                value = multiplier[h] * (ax[h, 0] * h0 + ax[h, 1] * h1 + ax[h, 2] * h2)
                k = place[h]
                if k == i:
                    A[i, i] += value if s2 == s else 2.0 * value
                else:
                    A[max(i, k), min(i, k)] += value
            C[i, 3] += h0
            C[i, 4] += h1
            C[i, 5] += h2
    for s in range(lo, hi):
        i = unknowns[s]
        j0, j1, j2 = k0 * J[i, 0], k1 * J[i, 1], k2 * J[i, 2]
        for s2 in range(lo, s + 1):
            k = unknowns[s2]
            A[i, k] += j0 * J[k, 0] + j1 * J[k, 1] + j2 * J[k, 2]
        C[i, 3] += z1 * j2 - z2 * j1
        C[i, 4] += z2 * j0 - z0 * j2
        C[i, 5] += z0 * j1 - z1 * j0
        C[i, 6] += e0 * j0 + e1 * j1 + e2 * j2
    if not P.free_palm:
        return
    C[y, 6] += z1 * f2 - z2 * f1
    C[y + U(1), 6] += z2 * f0 - z0 * f2
    C[y + U(2), 6] += z0 * f1 - z1 * f0
    # hat(z)^T K hat(z), and the second derivative of exp(omega) z as in `_palm`
    fz = f0 * z0 + f1 * z1 + f2 * z2
    C[y, 3] += k1 * z2 * z2 + k2 * z1 * z1 + f0 * z0 - fz
    C[y + U(1), 3] += 0.5 * (f0 * z1 + f1 * z0) - k2 * z0 * z1
    C[y + U(1), 4] += k0 * z2 * z2 + k2 * z0 * z0 + f1 * z1 - fz
    C[y + U(2), 3] += 0.5 * (f0 * z2 + f2 * z0) - k1 * z0 * z2
    C[y + U(2), 4] += 0.5 * (f1 * z2 + f2 * z1) - k0 * z1 * z2
    C[y + U(2), 5] += k0 * z1 * z1 + k1 * z0 * z0 + f2 * z2 - fz


@compiled
def _sphere_row(P, W, s):
    """Push two spheres apart along the line of their centres; the palm's motion does not change their distance."""
    A, C, J, p, X, ax = W.A, W.C, W.J, W.p, W.X, W.a
    a, b, reach = P.sphere_a[s], P.sphere_b[s], P.sphere_reach[s]
    e0, e1, e2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
    square = e0 * e0 + e1 * e1 + e2 * e2
    if square >= reach * reach or square < 1e-12:
        return
    distance = math.sqrt(square)
    e0, e1, e2 = e0 / distance, e1 / distance, e2 / distance
    row = U(len(P.row_a)) + s
    lo, hi = P.unknown_start[row], P.unknown_start[row + U(1)]
    for k in range(lo, hi):
        J[P.unknowns[k], 0] = 0.0
    for side in range(2):
        pt, sign = (a, 1.0) if side == 0 else (b, -1.0)
        for k in range(P.chain_start[pt], P.chain_start[pt + U(1)]):
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
        C[i, 6] -= w * (reach - distance) * J[i, 0]
        for k2 in range(lo, k + 1):
            m = P.unknowns[k2]
            A[i, m] += w * J[i, 0] * J[m, 0]
