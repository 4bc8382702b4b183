"""A hand's body as compiled loops see it: moving bodies, and points on them that touch or must not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unihm.compiled import compiled
from unihm.hands.body_spheres import solid_spheres
from unihm.hands.description import HandDescription
from unihm.kinematics.compiled_chain import U, chain_arrays, forward, moving_bodies, unsigned

PALM = 6
"""Unknowns of a correction that move the palm: its shift, then its turn; the joints follow."""


class Body(NamedTuple):
    """The hand; moving body 0 is the palm. The fields up to `point_xyz` are those that `forward` reads."""

    parent: np.ndarray  # (nb,)
    basis: np.ndarray  # (nb, 3, 9)
    origin: np.ndarray  # (nb, 3)
    axis: np.ndarray  # (nb, 3)
    prismatic: np.ndarray  # (nb,)
    place: np.ndarray  # (nb,)
    multiplier: np.ndarray  # (nb,)
    offset: np.ndarray  # (nb,)
    point_body: np.ndarray  # (k,) fingertips' contact points first, then spheres of the body
    point_xyz: np.ndarray  # (k, 3)
    radius: np.ndarray  # (k,) m
    margin: np.ndarray  # (k,) m kept from the object
    tips: int  # number of fingertips
    chain_start: np.ndarray  # (k + 1,) of chain
    chain: np.ndarray  # bodies that move each point, root first
    pair_a: np.ndarray  # (s,) points that shall keep apart
    pair_b: np.ndarray  # (s,)


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


def make_pose(body: Body) -> Pose:
    """Scratch memory for a body."""
    nb, k = len(body.parent), len(body.point_body)
    nq = int(body.place.max()) + 1
    n = PALM + nq
    return Pose(
        X=np.zeros((nb, 12)), a=np.zeros((nb, 3)), p=np.zeros((k, 3)), R=np.zeros((3, 3)), t=np.zeros(3),
        axes=np.zeros((3, 6)), q=np.zeros(nq), row=np.zeros(n), index=np.zeros(n, dtype=np.uint32),
        near=np.zeros((4, 2)), found=np.zeros(6),
    )  # fmt: skip


def make_body(hand: HandDescription, clearance: float) -> Body:
    """The arrays of a hand.

    Args:
        hand: The hand.
        clearance: Distance that links without a fingertip keep from the object, m.
    """
    chain = hand.chain
    points, radius, margin = [], [], []
    tip_links = [tip.link for tip in hand.fingertips]
    for tip in hand.fingertips:
        points.append(chain.point(tip.link, np.array(tip.xyz)))
        radius.append(tip.radius)
        margin.append(0.0)
    for link, centre, r in zip(*solid_spheres(hand.geometry), strict=True):
        points.append(chain.point(hand.link_names[link], centre))
        radius.append(float(r))
        margin.append(0.0 if hand.link_names[link] in tip_links else clearance)  # fingertips shall touch
    carried = moving_bodies(chain, points)
    finger = np.array([bodies[0] if bodies else -1 for bodies in carried])
    pairs = _pairs(hand, points, np.array(radius), finger)

    return Body(
        **chain_arrays(chain, points),
        radius=np.array(radius),
        margin=np.array(margin),
        tips=len(hand.fingertips),
        pair_a=unsigned([a for a, _ in pairs]),
        pair_b=unsigned([b for _, b in pairs]),
    )


def _pairs(
    hand: HandDescription, points: list[tuple[int, np.ndarray]], radius: np.ndarray, finger: np.ndarray
) -> list[tuple[int, int]]:
    """Spheres of different fingers that are apart at rest."""
    T = np.concatenate([np.eye(4)[None], hand.chain.forward_kinematics(hand.rest_qpos)])
    rest = [T[body + 1, :3, :3] @ xyz + T[body + 1, :3, 3] for body, xyz in points]
    pairs = []
    for a in range(len(hand.fingertips), len(points)):
        for b in range(len(hand.fingertips), a):
            apart = np.linalg.norm(rest[a] - rest[b]) > radius[a] + radius[b] + 1e-3
            if apart and finger[a] >= 0 and finger[b] >= 0 and finger[a] != finger[b]:
                pairs.append((a, b))
    return pairs


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
