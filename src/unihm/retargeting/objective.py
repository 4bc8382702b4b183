"""The objective of one frame (Eq. B1), compiled: its arrays and its value.

Over the palm pose (R, t) and the independent joints q it is

    sum_r w_r rho(p_a(r) - p_b(r) - target_r)         points (b = -1) or vectors between points, rho is Huber's
      + 1/2 sum_j v_j (q_j - c_j)^2                   rest posture and smoothness, one weighted mean per joint
      + 1/4 u_R ||R - R_c||^2 + 1/2 u_t ||t - t_c||^2     the palm's own (the first is u_R angle^2 / 2 for small angles)
      + 1/2 w_s sum max(0, reach_s - ||x_a - x_b||)^2     spheres of different fingers kept apart

This file has its value; `retargeting.derivatives` has the rest.

Everything a frame needs lies in arrays that are made once (`Problem`, `Workspace`); nothing is allocated here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unihm.compiled import inlined
from unihm.kinematics.compiled_chain import U


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
    first: np.ndarray  # (nq,) first joint that each row of the Hessian reaches
    sphere_a: np.ndarray  # (s,) points: centres of spheres that shall keep apart
    sphere_b: np.ndarray  # (s,)
    sphere_reach: np.ndarray  # (s,) least distance of the centres, m
    sphere_weight: float  # 1/m^2; 0: spheres are ignored
    delta: float  # Huber's width, m; infinite: squares
    per_axis: int  # Huber for each coordinate (as dex_retargeting does) or for the distance
    free_palm: int


class Workspace(NamedTuple):
    """Scratch memory of one search. The unknowns are the joints, then the palm's shift along and turn about world axes.

    Columns 0 to 5 of `C` are the palm's part of the Hessian, 6 is the gradient, 7 the search's own right side.
    """

    X: np.ndarray  # (nb, 12) rotation row by row, origin
    a: np.ndarray  # (nb, 3) axes in the world
    p: np.ndarray  # (k, 3)
    twist: np.ndarray  # (nb, 6) what a joint's unknown does: turn, and velocity at the palm's origin
    I: np.ndarray  # (nb, 28) gathered stiffness of each body, see `assemble`
    J: np.ndarray  # (nq, 3)
    A: np.ndarray  # (nq, nq) the joints' part of the Hessian, lower triangle within its envelope
    C: np.ndarray  # (nq + 6, 8) for each unknown; see above
    L: np.ndarray  # (nq, nq) the factor of A
    Y: np.ndarray  # (nq, 8) L^-1 C
    S: np.ndarray  # (6, 8) the palm's part without the joints
    d: np.ndarray  # (nq + 6,) step
    held: np.ndarray  # (nq,) 0 free, 1 at a limit, 2 on its way to one
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
    nb, k, nq = len(problem.parent), len(problem.point_body), len(problem.first)
    n = nq + 6
    shapes = (
        (nb, 12), (nb, 3), (k, 3), (nb, 6), (nb, 28), (nq, 3), (nq, nq), (n, 8), (nq, nq), (nq, 8), (6, 8),
        n, nq, nq, (3, 3), 3,
    )  # fmt: skip
    return Workspace(*(np.zeros(shape) for shape in shapes))


@inlined
def cost_of(P, W, G, R, t, q):
    """The objective at the state of the last `forward`."""
    p, target, weight, c, v, R_c, t_c, u_R, u_t = W.p, G.target, G.weight, G.c, G.v, G.R, G.t, G.u[0], G.u[1]
    row_a, row_b, delta, per_axis = P.row_a, P.row_b, P.delta, P.per_axis
    total = 0.0
    for r in range(U(len(row_a))):
        w = weight[r]
        a, b = row_a[r], row_b[r]
        e0, e1, e2 = p[a, 0] - target[r, 0], p[a, 1] - target[r, 1], p[a, 2] - target[r, 2]
        if b >= 0:
            e0, e1, e2 = e0 - p[b, 0], e1 - p[b, 1], e2 - p[b, 2]
        if per_axis:  # with m = min(|e|, delta) both branches of Huber's loss are m (|e| - m / 2)
            e0, e1, e2 = abs(e0), abs(e1), abs(e2)
            m0, m1, m2 = min(e0, delta), min(e1, delta), min(e2, delta)
            loss = m0 * (e0 - 0.5 * m0) + m1 * (e1 - 0.5 * m1) + m2 * (e2 - 0.5 * m2)
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
