"""Gaps between spheres and boxes, compiled.

The separation of two boxes is the largest, over the fifteen axes that can separate them, of the gap between their
shadows on that axis (Gottschalk, Lin and Manocha, SIGGRAPH 1996): negative where they overlap, by the least shift that
frees them, and never more than their distance. A row of `box` is a rotation by rows and a centre.
"""

from __future__ import annotations

import math

from unihm.compiled import compiled, inlined

_EDGES = 1e-4  # m by which an axis across two edges must be better than one along a face, which has no jumps
_PARALLEL = 1e-3  # of edges: their cross product is no axis


@inlined
def ball_in(X, u, inner, y, p, k):
    """Put the point k at a sphere's centre."""
    for i in range(3):
        p[k, i] = (
            X[u, 9 + i] + X[u, 3 * i] * inner[y, 0] + X[u, 3 * i + 1] * inner[y, 1] + X[u, 3 * i + 2] * inner[y, 2]
        )


@inlined
def between(found, p, a, b):
    """Distance of two points, and the direction from b to a."""
    e0, e1, e2 = p[a, 0] - p[b, 0], p[a, 1] - p[b, 1], p[a, 2] - p[b, 2]
    length = math.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
    scale = 1.0 / max(length, 1e-9)
    found[0], found[1], found[2] = scale * e0, scale * e1, scale * e2
    return length


@compiled
def from_box(box, half, o, found, p, a, b):
    """Signed distance of the point a from a box, and the outward direction; the point b is put where a is.

    The plane or edge that is nearest moves with the box: what counts is how its material moves at a.
    """
    e0, e1, e2 = p[a, 0] - box[o, 9], p[a, 1] - box[o, 10], p[a, 2] - box[o, 11]
    square, most, axis, side = 0.0, -math.inf, 0, 1.0
    for j in range(3):
        found[j] = 0.0
        p[b, j] = p[a, j]
    for j in range(3):
        x = e0 * box[o, j] + e1 * box[o, 3 + j] + e2 * box[o, 6 + j]
        out = abs(x) - half[o, j]
        sign = 1.0 if x >= 0.0 else -1.0
        if out > 0.0:
            square += out * out
            for i in range(3):
                found[i] += sign * out * box[o, 3 * i + j]
        if out > most:
            most, axis, side = out, j, sign
    if square > 0.0:
        length = math.sqrt(square)
        for i in range(3):
            found[i] /= length
        return length
    for i in range(3):
        found[i] = side * box[o, 3 * i + axis]
    return most


@compiled
def separation(box, half, s, o, worth, found, p, a, b):
    """Separation of the boxes s and o, m, negative where they overlap; from `worth` on, any gap that is above it.

    Into `found` goes the axis, from o to s; into the points a and b what of s and of o decides: the corner that is
    nearest and the plane's material there, or the nearest places of two edges.
    """
    t0, t1, t2 = box[s, 9] - box[o, 9], box[s, 10] - box[o, 10], box[s, 11] - box[o, 11]
    best, kind, first, second = -math.inf, 0, 0, 0
    for face in range(2):  # faces of s, then of o
        own, other = (s, o) if face == 0 else (o, s)
        for i in range(3):
            n0, n1, n2 = box[own, i], box[own, 3 + i], box[own, 6 + i]
            gap = abs(n0 * t0 + n1 * t1 + n2 * t2) - half[own, i] - _shadow(box, half, other, n0, n1, n2)
            if gap > best:
                best, kind, first = gap, face, i
                if best > worth:
                    return best
    c0, c1, c2 = 0.0, 0.0, 0.0
    for i in range(3):
        a0, a1, a2 = box[s, i], box[s, 3 + i], box[s, 6 + i]
        for j in range(3):
            b0, b1, b2 = box[o, j], box[o, 3 + j], box[o, 6 + j]
            n0, n1, n2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
            length = math.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
            if length < _PARALLEL:
                continue
            n0, n1, n2 = n0 / length, n1 / length, n2 / length
            gap = abs(n0 * t0 + n1 * t1 + n2 * t2)
            gap -= _shadow(box, half, s, n0, n1, n2) + _shadow(box, half, o, n0, n1, n2)
            if gap > best + _EDGES:
                best, kind, first, second = gap, 2, i, j
                c0, c1, c2 = n0, n1, n2
                if best > worth:
                    return best
    if kind < 2:
        own, other = (s, o) if kind == 0 else (o, s)  # whose face it is, and whose corner
        n0, n1, n2 = box[own, first], box[own, 3 + first], box[own, 6 + first]
        if (n0 * t0 + n1 * t1 + n2 * t2 < 0.0) == (kind == 1):
            n0, n1, n2 = -n0, -n1, -n2  # from own to other
        _corner(box, half, other, -n0, -n1, -n2, 3, p, a)
        for i in range(3):
            p[b, i] = p[a, i]
        sign = -1.0 if kind == 0 else 1.0
        found[0], found[1], found[2] = sign * n0, sign * n1, sign * n2
        return best
    if c0 * t0 + c1 * t1 + c2 * t2 < 0.0:
        c0, c1, c2 = -c0, -c1, -c2
    found[0], found[1], found[2] = c0, c1, c2
    _corner(box, half, s, -c0, -c1, -c2, first, p, a)
    _corner(box, half, o, c0, c1, c2, second, p, b)
    # the nearest places of the two edges
    e0, e1, e2 = p[b, 0] - p[a, 0], p[b, 1] - p[a, 1], p[b, 2] - p[a, 2]
    along, d, f = 0.0, 0.0, 0.0
    for i in range(3):
        x, y = box[s, 3 * i + first], box[o, 3 * i + second]
        e = e0 if i == 0 else (e1 if i == 1 else e2)
        along += x * y
        d += x * e
        f += y * e
    scale = 1.0 / max(1.0 - along * along, 1e-9)
    x = min(max((d - along * f) * scale, -half[s, first]), half[s, first])
    y = min(max((along * d - f) * scale, -half[o, second]), half[o, second])
    for i in range(3):
        p[a, i] += x * box[s, 3 * i + first]
        p[b, i] += y * box[o, 3 * i + second]
    return best


@inlined
def _shadow(box, half, s, n0, n1, n2):
    """Half the length of a box's shadow on an axis."""
    return (
        half[s, 0] * abs(n0 * box[s, 0] + n1 * box[s, 3] + n2 * box[s, 6])
        + half[s, 1] * abs(n0 * box[s, 1] + n1 * box[s, 4] + n2 * box[s, 7])
        + half[s, 2] * abs(n0 * box[s, 2] + n1 * box[s, 5] + n2 * box[s, 8])
    )


@inlined
def _corner(box, half, s, n0, n1, n2, skipped, p, k):
    """Put the point k at a box's farthest corner along n, or at the middle of its edge along the axis `skipped`."""
    for i in range(3):
        p[k, i] = box[s, 9 + i]
    for j in range(3):
        if j != skipped:
            cosine = n0 * box[s, j] + n1 * box[s, 3 + j] + n2 * box[s, 6 + j]
            share = half[s, j] if cosine > 0.0 else -half[s, j]
            for i in range(3):
                p[k, i] += share * box[s, 3 * i + j]
