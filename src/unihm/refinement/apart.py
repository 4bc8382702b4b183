"""The energy of parts of a hand that overlap, compiled: boxes as they are, cylinders as the spheres inside them."""

from __future__ import annotations

from unihm.compiled import compiled, inlined
from unihm.kinematics.compiled_chain import U
from unihm.refinement.body import KEPT, add_joints, add_row, place_boxes
from unihm.refinement.separation import ball_in, between, from_box, separation


@compiled
def apart(body, pose, terms, derive, H, g):
    """Energy of parts of the hand that are nearer than they shall be; adds to H and g with `derive`."""
    X, total = pose.X, 0.0
    ball, box, half, inner = body.ball, pose.box, body.half, body.inner
    tips, placed = U(body.tips), False
    for m in range(U(len(body.pair_u))):
        u, v = body.pair_u[m], body.pair_v[m]
        square, reach = 0.0, ball[u, 3] + ball[v, 3] + KEPT
        for i in range(3):
            e = X[u, 9 + i] - X[v, 9 + i]
            for j in range(3):
                e += X[u, 3 * i + j] * ball[u, j] - X[v, 3 * i + j] * ball[v, j]
            square += e * e
        if square > reach * reach:
            continue
        if not placed:
            place_boxes(body, pose)
            placed = True
        for x in range(body.pair_start[m], body.pair_start[m + U(1)]):
            s, o = body.group_a[x], body.group_b[x]
            e0, e1, e2 = box[s, 9] - box[o, 9], box[s, 10] - box[o, 10], box[s, 11] - box[o, 11]
            reach = body.bound[s] + body.bound[o] + KEPT
            if e0 * e0 + e1 * e1 + e2 * e2 > reach * reach:
                continue
            if half[s, 0] > 0.0 and half[o, 0] > 0.0:
                gap = separation(box, half, s, o, KEPT, pose.found, pose.p, tips + s, tips + o) - KEPT
                if gap < 0.0:
                    total += 0.5 * terms.apart * gap * gap
                    if derive:
                        _add(body, pose, tips + s, tips + o, gap, terms.apart, H, g)
                continue
            if half[s, 0] > 0.0:
                s, o = o, s  # o may be a box, s is none
            for y in range(body.inner_start[s], body.inner_start[s + U(1)]):
                ball_in(X, body.point_body[tips + s], inner, y, pose.p, tips + s)
                if half[o, 0] > 0.0:
                    gap = from_box(box, half, o, pose.found, pose.p, tips + s, tips + o) - inner[y, 3] - KEPT
                    if gap < 0.0:
                        total += 0.5 * terms.apart * gap * gap
                        if derive:
                            _add(body, pose, tips + s, tips + o, gap, terms.apart, H, g)
                    continue
                for z in range(body.inner_start[o], body.inner_start[o + U(1)]):
                    ball_in(X, body.point_body[tips + o], inner, z, pose.p, tips + o)
                    gap = between(pose.found, pose.p, tips + s, tips + o) - inner[y, 3] - inner[z, 3] - KEPT
                    if gap < 0.0:
                        total += 0.5 * terms.apart * gap * gap
                        if derive:
                            _add(body, pose, tips + s, tips + o, gap, terms.apart, H, g)
    return total


@inlined
def _add(body, pose, a, b, gap, weight, H, g):
    """The row of a gap whose direction, from b to a, is in `found`; the palm moves both alike: only joints count."""
    n0, n1, n2 = pose.found[0], pose.found[1], pose.found[2]
    count = add_joints(body, pose, a, n0, n1, n2, 0, 0)
    count = add_joints(body, pose, b, -n0, -n1, -n2, 0, count)
    add_row(pose, count, gap, weight, H, g)
