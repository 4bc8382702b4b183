"""A hand's body as compiled loops see it: moving bodies, and points on them that touch or must not."""

from __future__ import annotations

import itertools
from collections.abc import Sequence, Sized
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unihm.compiled import compiled
from unihm.geometry import solids
from unihm.hands.body_spheres import covering_spheres, solid_spheres
from unihm.hands.description import HandDescription
from unihm.kinematics.body_chain import BodyChain
from unihm.kinematics.compiled_chain import U, chain_arrays, forward, unsigned
from unihm.refinement.config import PLANES
from unihm.refinement.separation import ball_in, between, from_box, separation

PALM = 6
"""Unknowns of a correction that move the palm: its shift, then its turn; the joints follow."""

KEPT = 1.5e-3  # m between parts of the hand: what a cylinder's end reaches beyond its spheres, and controllers err by
_REST_GAP = 1e-3  # m between parts that are apart at rest
_INNER_STEP, _COARSE_STEP = 0.008, 0.02  # m between spheres inside thin solids
_PAD = 0.012  # m from a fingertip's contact point: what is nearer to it is the pad


class Body(NamedTuple):
    """The hand; moving body 0 is the palm. The fields up to `point_xyz` are those that `forward` reads.

    Its points are, in this order: the pads of the fingertips; the centres of its solids, whose places are overwritten
    with those of their spheres; and once more the pads, overwritten with the part that is nearest to the object.
    """

    parent: np.ndarray  # (nb,)
    basis: np.ndarray  # (nb, 3, 9)
    origin: np.ndarray  # (nb, 3)
    axis: np.ndarray  # (nb, 3)
    prismatic: np.ndarray  # (nb,)
    place: np.ndarray  # (nb,)
    multiplier: np.ndarray  # (nb,)
    offset: np.ndarray  # (nb,)
    point_body: np.ndarray  # (k,)
    point_xyz: np.ndarray  # (k, 3) m
    chain_start: np.ndarray  # (k + 1,) of chain
    chain: np.ndarray  # bodies that move each point, root first
    tips: int  # number of fingertips
    bound: np.ndarray  # (s,) m, radius about each solid
    margin: np.ndarray  # (s,) m that each solid keeps from the object
    cover_start: np.ndarray  # (s + 1,) of cover: spheres that cover each solid
    cover: np.ndarray  # (c, 4) centre in the moving body, and radius, m
    pad_start: np.ndarray  # (tips + 1,) of pad: those of them that are a fingertip's pad
    pad: np.ndarray  # (d, 4)
    inner_start: np.ndarray  # (s + 1,) of inner: spheres inside what is no box, to keep parts of the hand apart
    inner: np.ndarray  # (i, 4)
    turn: np.ndarray  # (s, 9) rotation of each solid in its moving body, by rows
    half: np.ndarray  # (s, 3) half the edges of a box, m; 0 for what is none
    ball: np.ndarray  # (nb, 4) about the solids of each moving body: centre in it, and radius, m
    pair_u: np.ndarray  # (m,) moving bodies that shall keep apart
    pair_v: np.ndarray  # (m,)
    pair_start: np.ndarray  # (m + 1,) of the groups
    group_a: np.ndarray  # (l,) solids of these that shall keep apart
    group_b: np.ndarray  # (l,)


class Pose(NamedTuple):
    """Scratch memory of one pose; the fields up to `p` are those that `forward` writes, here in the object's frame."""

    X: np.ndarray  # (nb, 12)
    a: np.ndarray  # (nb, 3)
    p: np.ndarray  # (k, 3)
    R: np.ndarray  # (3, 3) corrected palm
    t: np.ndarray  # (3,)
    axes: np.ndarray  # (3, 6) directions in which the palm's unknowns shift, and about which they turn
    q: np.ndarray  # (nq,)
    row: np.ndarray  # (n,) of a Jacobian
    index: np.ndarray  # (n,) unknowns of that row
    near: np.ndarray  # scratch memory of `signed_distance`
    found: np.ndarray  # (6,) what it answers
    zero: np.ndarray  # (n,)
    box: np.ndarray  # (s, 12) rotation by rows and centre of each solid
    touch: np.ndarray  # (tips, 7) of each fingertip: gap (m), outward normal and place of the object
    nearest: np.ndarray  # (tips,) which sphere of its pad that was


def make_pose(body: Body) -> Pose:
    """Scratch memory for a body."""
    nb, k = len(body.parent), len(body.point_body)
    nq = int(body.place.max()) + 1
    n = PALM + nq
    return Pose(
        X=np.zeros((nb, 12)), a=np.zeros((nb, 3)), p=np.zeros((k, 3)), R=np.zeros((3, 3)), t=np.zeros(3),
        axes=np.zeros((3, 6)), q=np.zeros(nq), row=np.zeros(n), index=np.zeros(n, dtype=np.uint32),
        near=np.zeros((PLANES, 2)), found=np.zeros(6), zero=np.zeros(n), box=np.zeros((len(body.bound), 12)),
        touch=np.zeros((body.tips, 7)), nearest=np.zeros(body.tips, dtype=np.uint32),
    )  # fmt: skip


@lru_cache(maxsize=32)
def make_body(hand: HandDescription, clearance: float) -> Body:
    """The arrays of a hand.

    Args:
        hand: The hand.
        clearance: Distance that links without a fingertip keep from the object, m.
    """
    chain = hand.chain
    pads = [chain.point(tip.link, np.array(tip.xyz)) for tip in hand.fingertips]
    tip_links = [tip.link for tip in hand.fingertips]
    centres, bound, margin, cover, turn = [], [], [], [], []
    for shape in hand.geometry:
        link, T = hand.link_names[shape.link], shape.T_link_shape
        centres.append(chain.point(link, T[:3, 3]))
        turn.append(chain.T_body_link[link][:3, :3] @ T[:3, :3])
        bound.append(solids.bounding_radius(shape.kind, shape.size))
        margin.append(0.0 if link in tip_links else clearance)  # fingertips shall touch
        spheres = covering_spheres(shape.kind, shape.size)
        placed = [chain.point(link, T[:3, :3] @ xyz + T[:3, 3])[1] for xyz in spheres[:, :3]]
        cover.append(np.column_stack([placed, spheres[:, 3]]))
    bodies = np.array([body for body, _ in centres])
    pad = []
    for body, xyz in pads:
        own = np.concatenate([c for c, b in zip(cover, bodies, strict=True) if b == body] or [np.zeros((0, 4))])
        away = np.linalg.norm(own[:, :3] - xyz, axis=1) - own[:, 3] < _PAD
        pad.append(own[away] if away.any() else np.append(xyz, 0.0)[None])
    inner = [
        np.zeros((0, 4)) if shape.kind == "box" else spheres
        for shape, spheres in zip(hand.geometry, _inside(hand, _INNER_STEP), strict=True)
    ]
    body = Body(
        **chain_arrays(chain, [*pads, *centres, *pads]),
        tips=len(pads),
        bound=np.array(bound),
        margin=np.array(margin),
        cover_start=_starts(cover),
        cover=np.concatenate(cover) if cover else np.zeros((0, 4)),
        pad_start=_starts(pad),
        pad=np.concatenate(pad),
        inner_start=_starts(inner),
        inner=np.concatenate(inner) if inner else np.zeros((0, 4)),
        turn=np.array(turn).reshape(-1, 9),
        half=np.array(
            [np.array(shape.size) / 2 if shape.kind == "box" else np.zeros(3) for shape in hand.geometry]
        ).reshape(-1, 3),
        ball=_balls(len(chain.parent) + 1, bodies + 1, np.array([xyz for _, xyz in centres]).reshape(-1, 3), bound),
        **_grouped(_unrelated(chain, bodies), bodies + 1),
    )
    return body._replace(**_grouped(_apart_at_rest(hand, body), bodies + 1))


@lru_cache(maxsize=32)
def coarse_body(hand: HandDescription, clearance: float) -> Body:
    """`make_body` with a tenth of the spheres: links are covered by those inside them, edges by none."""
    cover = _inside(hand, _COARSE_STEP)
    body = make_body(hand, clearance)
    return body._replace(cover_start=_starts(cover), cover=np.concatenate(cover or [np.zeros((0, 4))]))


def _inside(hand: HandDescription, least_step: float) -> list[np.ndarray]:
    """Spheres inside each solid: centre in its moving body and radius, m."""
    found = []
    for shape in hand.geometry:
        _, centres, radii = solid_spheres([shape], least_step)
        placed = [hand.chain.point(hand.link_names[shape.link], xyz)[1] for xyz in centres]
        found.append(np.column_stack([np.array(placed).reshape(-1, 3), radii]))
    return found


def _starts(parts: Sequence[Sized]) -> np.ndarray:
    return unsigned(np.cumsum([0, *map(len, parts)]))


def _balls(count: int, body_of: np.ndarray, centres: np.ndarray, bound: list[float]) -> Float[np.ndarray, "nb 4"]:
    """A ball about the solids of each moving body; of radius 0 where there are none."""
    ball, radius = np.zeros((count, 4)), np.array(bound)
    for u in set(body_of.tolist()):
        own = body_of == u
        ball[u, :3] = 0.5 * (
            (centres[own] - radius[own, None]).min(axis=0) + (centres[own] + radius[own, None]).max(axis=0)
        )
        ball[u, 3] = (np.linalg.norm(centres[own] - ball[u, :3], axis=1) + radius[own]).max()
    return ball


def _unrelated(chain: BodyChain, bodies: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of solids of bodies that are no neighbours."""
    parent = chain.parent
    found = []
    for a, b in itertools.combinations(range(len(bodies)), 2):
        u, v = int(bodies[a]), int(bodies[b])
        if not (u == v or (u >= 0 and parent[u] == v) or (v >= 0 and parent[v] == u)):
            found.append((a, b))
    return found


def _grouped(pairs: list[tuple[int, int]], body_of: np.ndarray) -> dict[str, np.ndarray]:
    """Pairs of solids by the pairs of their bodies."""
    of_bodies: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b in pairs:
        a, b = (a, b) if body_of[a] < body_of[b] else (b, a)
        of_bodies.setdefault((int(body_of[a]), int(body_of[b])), []).append((a, b))
    flat = [pair for group in of_bodies.values() for pair in group]
    return {
        "pair_u": unsigned([u for u, _ in of_bodies]),
        "pair_v": unsigned([v for _, v in of_bodies]),
        "pair_start": _starts(list(of_bodies.values())),
        "group_a": unsigned([a for a, _ in flat]),
        "group_b": unsigned([b for _, b in flat]),
    }


def _apart_at_rest(hand: HandDescription, body: Body) -> list[tuple[int, int]]:
    """Those pairs of the body's solids that do not touch when the hand is at rest."""
    pose, q = make_pose(body), hand.rest_qpos.astype(np.float64)
    place(body, pose, np.eye(3), np.zeros(3), q, np.zeros(PALM + len(q)), q, q)
    place_boxes(body, pose)
    pairs = zip(body.group_a.tolist(), body.group_b.tolist(), strict=True)
    return [(a, b) for a, b in pairs if _gap(body, pose, a, b) > _REST_GAP]


def _gap(body: Body, pose: Pose, s: int, o: int) -> float:
    """Between two solids, m."""
    a, b = body.tips + s, body.tips + o
    box_a, box_b = (bool(body.half[k, 0] > 0) for k in (s, o))
    if box_a and box_b:
        return separation(pose.box, body.half, s, o, _REST_GAP, pose.found, pose.p, a, b)
    if box_a:
        s, o, a, b, box_b = o, s, b, a, True
    gaps = []
    for y in range(body.inner_start[s], body.inner_start[s + 1]):
        ball_in(pose.X, body.point_body[a], body.inner, y, pose.p, a)
        if box_b:
            gaps.append(from_box(pose.box, body.half, o, pose.found, pose.p, a, b) - body.inner[y, 3])
            continue
        for z in range(body.inner_start[o], body.inner_start[o + 1]):
            ball_in(pose.X, body.point_body[b], body.inner, z, pose.p, b)
            gaps.append(between(pose.found, pose.p, a, b) - body.inner[y, 3] - body.inner[z, 3])
    return min(gaps)


@compiled
def place(body, pose, R_palm, t_palm, q_given, c, lower, upper):
    """Put the hand where a correction takes it; points, axes and origins are then in the frame of the given palm.

    ``T_palm = T_given [exp(omega), v]``, ``q = q_given + dq`` within its limits. The turn's axes are the columns of the
    left Jacobian of SO(3): ``exp(omega + d) = exp(V d) exp(omega)``.
    """
    w0, w1, w2 = c[3], c[4], c[5]
    angle2 = w0 * w0 + w1 * w1 + w2 * w2
    angle = np.sqrt(angle2)
    if angle < 1e-4:
        s, k, m = 1.0 - angle2 / 6.0, 0.5 - angle2 / 24.0, 1.0 / 6.0 - angle2 / 120.0
    else:
        s, k, m = np.sin(angle) / angle, (1.0 - np.cos(angle)) / angle2, (1.0 - np.sin(angle) / angle) / angle2
    # exp = I + s W + k W^2, V = I + k W + m W^2, with W^2 = w w^T - angle^2 I
    R, t, axes = pose.R, pose.t, pose.axes
    for i in range(3):
        r0, r1, r2 = R_palm[i, 0], R_palm[i, 1], R_palm[i, 2]
        along = r0 * w0 + r1 * w1 + r2 * w2
        x0, x1, x2 = r1 * w2 - r2 * w1, r2 * w0 - r0 * w2, r0 * w1 - r1 * w0  # row of R_palm W
        a, b = 1.0 - k * angle2, 1.0 - m * angle2
        R[i, 0], R[i, 1], R[i, 2] = (
            a * r0 + s * x0 + k * along * w0,
            a * r1 + s * x1 + k * along * w1,
            a * r2 + s * x2 + k * along * w2,
        )
        axes[i, 0], axes[i, 1], axes[i, 2] = r0, r1, r2
        axes[i, 3], axes[i, 4], axes[i, 5] = (
            b * r0 + k * x0 + m * along * w0,
            b * r1 + k * x1 + m * along * w1,
            b * r2 + k * x2 + m * along * w2,
        )
        t[i] = t_palm[i] + r0 * c[0] + r1 * c[1] + r2 * c[2]
    for j in range(len(pose.q)):
        pose.q[j] = min(max(q_given[j] + c[PALM + j], lower[j]), upper[j])
    forward(body, pose, R, t, pose.q)


@compiled
def place_boxes(body, pose):
    """Where all solids are and how they stand: rotation by rows and centre, in the frame of the pose."""
    X, box, turn = pose.X, pose.box, body.turn
    for s in range(U(len(body.bound))):
        k = U(body.tips) + s
        u = body.point_body[k]
        for i in range(3):
            r0, r1, r2 = X[u, 3 * i], X[u, 3 * i + 1], X[u, 3 * i + 2]
            for j in range(3):
                box[s, 3 * i + j] = r0 * turn[s, j] + r1 * turn[s, 3 + j] + r2 * turn[s, 6 + j]
            x0, x1, x2 = body.point_xyz[k, 0], body.point_xyz[k, 1], body.point_xyz[k, 2]
            box[s, 9 + i] = X[u, 9 + i] + r0 * x0 + r1 * x1 + r2 * x2


@compiled
def row_of(body, pose, k, n0, n1, n2, scale):
    """Row of the Jacobian of ``scale n . x_k``, into ``pose.row`` and ``pose.index``; returns its number of entries."""
    row, index, axes, p = pose.row, pose.index, pose.axes, pose.p
    n0, n1, n2 = scale * n0, scale * n1, scale * n2
    x0, x1, x2 = p[k, 0], p[k, 1], p[k, 2]
    z0, z1, z2 = x0 - pose.t[0], x1 - pose.t[1], x2 - pose.t[2]
    m0, m1, m2 = z1 * n2 - z2 * n1, z2 * n0 - z0 * n2, z0 * n1 - z1 * n0  # n . (u x z) = u . (z x n)
    for i in range(3):
        row[i] = n0 * axes[0, i] + n1 * axes[1, i] + n2 * axes[2, i]
        row[3 + i] = m0 * axes[0, 3 + i] + m1 * axes[1, 3 + i] + m2 * axes[2, 3 + i]
        index[i], index[3 + i] = i, 3 + i
    return add_joints(body, pose, k, n0, n1, n2, PALM, PALM)


@compiled
def add_joints(body, pose, k, n0, n1, n2, first, count):
    """Add the joints' part of ``n . x_k`` to the row; entries from `first` on are joints. Returns the new count."""
    row, index, X, a, p = pose.row, pose.index, pose.X, pose.a, pose.p
    x0, x1, x2 = p[k, 0], p[k, 1], p[k, 2]
    for s in range(body.chain_start[k], body.chain_start[k + 1]):
        j = body.chain[s]
        u = PALM + body.place[j]
        if body.prismatic[j]:
            value = n0 * a[j, 0] + n1 * a[j, 1] + n2 * a[j, 2]
        else:
            z0, z1, z2 = x0 - X[j, 9], x1 - X[j, 10], x2 - X[j, 11]
            value = a[j, 0] * (z1 * n2 - z2 * n1) + a[j, 1] * (z2 * n0 - z0 * n2) + a[j, 2] * (z0 * n1 - z1 * n0)
        value *= body.multiplier[j]
        e = first
        while e < count and index[e] != u:  # mimic joints share an unknown
            e += 1
        if e < count:
            row[e] += value
        else:
            row[count], index[count] = value, u
            count += 1
    return count


@compiled
def add_row(pose, count, residual, weight, H, g):
    """Add ``weight residual^2 / 2`` with the row just made to the lower triangle of H and to g."""
    row, index = pose.row, pose.index
    for i in range(U(count)):
        u, value = index[i], weight * row[i]
        g[u] += value * residual
        for k in range(U(i + U(1))):
            H[max(u, index[k]), min(u, index[k])] += value * row[k]
