"""The step of the quadratic model that `retargeting.derivatives` makes: a linear system, compiled."""

from __future__ import annotations

from unihm.compiled import inlined
from unihm.kinematics.compiled_chain import U

FREE, AT_LIMIT, TO_LIMIT = 0.0, 1.0, 2.0
DAMP_MOST = 1e8
_POSITIVE = 1e-12  # least pivot, as a share of the diagonal


@inlined
def given_steps(W, first):
    """Right side ``C[:, 7]``: the gradient after the steps of the joints that go to a limit."""
    A, C, d, held = W.A, W.C, W.d, W.held
    nq = U(len(held))
    for i in range(nq + U(6)):
        C[i, 7] = C[i, 6]
    for i in range(nq):
        if held[i] != TO_LIMIT:
            continue
        for k in range(U(first[i]), i):
            C[k, 7] += A[i, k] * d[i]
        C[i, 7] += A[i, i] * d[i]
        for k in range(i + U(1), nq):
            if U(first[k]) <= i:
                C[k, 7] += A[k, i] * d[i]
        for k in range(6):
            C[nq + U(k), 7] += C[i, k] * d[i]


@inlined
def solve(P, W, damping):
    """``d = -(H + damping diag H)^-1 g`` over the unknowns that are not held.

    Fingers meet only in the palm, so A is factored within its envelope (George & Liu 1981), and the palm's six unknowns
    are solved for on what is left of them, its Schur complement S. Rows of C, Y and S are eight wide: one or two
    vectors of the processor, and no inner loop. A = L D L^T: `W.L` has 1 / D on its diagonal, L^T above and L D below.

    Returns:
        0, or where the matrix is not positive how much damping its first negative pivot lacks.
    """
    A, C, L, Y, S, d, held, first = W.A, W.C, W.L, W.Y, W.S, W.d, W.held, P.first
    nq = U(len(held))
    for i in range(nq):
        m = 1.0 if held[i] == FREE else 0.0
        y0, y1, y2, y3 = m * C[i, 0], m * C[i, 1], m * C[i, 2], m * C[i, 3]
        y4, y5, y6, y7 = m * C[i, 4], m * C[i, 5], 0.0, m * C[i, 7]
        lo = U(first[i])
        size = abs(A[i, i])
        pivot = A[i, i] + damping * size
        for k in range(lo, i):
            s = m * A[i, k]
            for l in range(max(lo, U(first[k])), k):
                s -= L[i, l] * L[l, k]
            x = s * L[k, k]
            L[i, k], L[k, i] = s, x
            pivot -= s * x
            y0, y1, y2, y3 = y0 - x * Y[k, 0], y1 - x * Y[k, 1], y2 - x * Y[k, 2], y3 - x * Y[k, 3]
            y4, y5, y6, y7 = y4 - x * Y[k, 4], y5 - x * Y[k, 5], y6 - x * Y[k, 6], y7 - x * Y[k, 7]
        if m != 0.0 and not pivot > _POSITIVE * size:
            return _lacking(pivot, size)
        L[i, i] = m / pivot
        Y[i, 0], Y[i, 1], Y[i, 2], Y[i, 3] = y0, y1, y2, y3
        Y[i, 4], Y[i, 5], Y[i, 6], Y[i, 7] = y4, y5, y6, y7
    x0 = x1 = x2 = x3 = x4 = x5 = 0.0
    if P.free_palm:
        lacking = _solve_palm(W, damping)
        if lacking > 0.0:
            return lacking
        x0, x1, x2, x3, x4, x5 = S[0, 7], S[1, 7], S[2, 7], S[3, 7], S[4, 7], S[5, 7]
    for i in range(nq):
        y7 = Y[i, 7] + Y[i, 0] * x0 + Y[i, 1] * x1 + Y[i, 2] * x2 + Y[i, 3] * x3 + Y[i, 4] * x4 + Y[i, 5] * x5
        Y[i, 7] = L[i, i] * y7
    for back in range(U(1), nq + U(1)):
        i = nq - back
        value = Y[i, 7]
        for k in range(U(first[i]), i):
            Y[k, 7] -= L[k, i] * value
        if held[i] == FREE:
            d[i] = -value
    d[nq], d[nq + U(1)], d[nq + U(2)], d[nq + U(3)], d[nq + U(4)], d[nq + U(5)] = x0, x1, x2, x3, x4, x5
    return 0.0


@inlined
def _lacking(pivot, size):
    """Damping that would make a pivot positive; without curvature at all (or with NaN) there is none."""
    return 2 * _POSITIVE - pivot / size if pivot <= _POSITIVE * size and size > 0.0 else DAMP_MOST


@inlined
def _solve_palm(W, damping):
    """The palm's step, into ``S[:, 7]``; returns as `solve`."""
    C, L, Y, S = W.C, W.L, W.Y, W.S
    nq = U(len(W.held))
    for r in range(U(6)):
        for c in range(8):
            S[r, c] = C[nq + r, c]
        S[r, r] += damping * abs(S[r, r])
    for i in range(nq):
        y0, y1, y2, y3 = Y[i, 0], Y[i, 1], Y[i, 2], Y[i, 3]
        y4, y5, y6, y7 = Y[i, 4], Y[i, 5], Y[i, 6], Y[i, 7]
        for r in range(6):
            s = L[i, i] * Y[i, r]
            S[r, 0], S[r, 1], S[r, 2], S[r, 3] = S[r, 0] - s * y0, S[r, 1] - s * y1, S[r, 2] - s * y2, S[r, 3] - s * y3
            S[r, 4], S[r, 5], S[r, 6], S[r, 7] = S[r, 4] - s * y4, S[r, 5] - s * y5, S[r, 6] - s * y6, S[r, 7] - s * y7
    for i in range(U(6)):
        pivot = S[i, i]
        for k in range(i):
            s = S[i, k]
            for l in range(k):
                s -= S[i, l] * S[l, k]
            x = s * S[k, k]
            S[i, k], S[k, i] = s, x
            pivot -= s * x
            S[i, 7] -= x * S[k, 7]
        size = abs(C[nq + i, i])
        if not pivot > _POSITIVE * size:
            return _lacking(pivot, size)
        S[i, i] = 1.0 / pivot
    for i in range(U(6)):
        S[i, 7] *= -S[i, i]
    for back in range(U(1), U(7)):
        i = U(6) - back
        for k in range(i):
            S[k, 7] -= S[k, i] * S[i, 7]
    return 0.0


@inlined
def gain(W, first):
    """What the quadratic model expects of the step: ``-(g d + d H d / 2)``."""
    A, C, d = W.A, W.C, W.d
    nq = U(len(first))
    d0, d1, d2, d3, d4, d5 = d[nq], d[nq + U(1)], d[nq + U(2)], d[nq + U(3)], d[nq + U(4)], d[nq + U(5)]
    total = 0.0
    for i in range(nq):
        s = C[i, 6] + C[i, 0] * d0 + C[i, 1] * d1 + C[i, 2] * d2 + C[i, 3] * d3 + C[i, 4] * d4 + C[i, 5] * d5
        s += 0.5 * A[i, i] * d[i]
        for k in range(U(first[i]), i):
            s += A[i, k] * d[k]
        total -= d[i] * s
    for i in range(U(6)):
        s = C[nq + i, 6] + 0.5 * C[nq + i, i] * d[nq + i]
        for k in range(i):
            s += C[nq + i, k] * d[nq + k]
        total -= d[nq + i] * s
    return total
