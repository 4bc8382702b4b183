"""Forward kinematics as compiled loops: a `BodyChain` as arrays, and points on its bodies.

`unihm.kinematics.body_chain` has the same in NumPy; tests hold them equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unihm.compiled import inlined
from unihm.kinematics.body_chain import BodyChain
from unihm.kinematics.urdf import cross_matrix

U = np.uint64  # unsigned indices skip the test for negative ones, which would keep loops from being vectorised


def chain_arrays(chain: BodyChain, points: Sequence[tuple[int, np.ndarray]]) -> dict[str, np.ndarray]:
    """What `forward` reads, and which bodies move each point; moving body 0 is the base.

    Args:
        chain: The bodies.
        points: Body (-1: the base) and place in it, m.
    """
    nb = len(chain.parent) + 1
    basis = np.zeros((nb, 3, 9))
    basis[0, 0] = np.eye(3).ravel()
    for j, T in enumerate(chain.T_parent_body):
        R, K = T[:3, :3], cross_matrix(chain.axis[j])
        if chain.prismatic[j]:
            basis[j + 1, 0] = R.ravel()
        else:  # Rodrigues' formula
            basis[j + 1] = [(R @ (np.eye(3) + K @ K)).ravel(), (R @ K).ravel(), (-R @ K @ K).ravel()]
    chains = moving_bodies(chain, points)

    def front(values: np.ndarray, shape: tuple[int, ...] = ()) -> np.ndarray:
        return np.concatenate([np.zeros((1, *shape), dtype=values.dtype), values])

    return {
        "parent": unsigned(front(chain.parent + 1)),
        "basis": basis,
        "origin": front(chain.T_parent_body[:, :3, 3], (3,)),
        "axis": front(chain.axis, (3,)),
        "prismatic": front(chain.prismatic),
        "place": unsigned(front(chain.column)),
        "multiplier": front(chain.multiplier),
        "offset": front(chain.offset),
        "point_body": unsigned([body + 1 for body, _ in points]),
        "point_xyz": np.array([xyz for _, xyz in points]).reshape(-1, 3),
        "chain_start": unsigned(np.cumsum([0, *map(len, chains)])),
        "chain": unsigned([body for item in chains for body in item]),
    }


def moving_bodies(chain: BodyChain, points: Sequence[tuple[int, np.ndarray]]) -> list[list[int]]:
    """The moving bodies that carry each point, root first, counted from 1."""
    return [[body + 1 for body in chain.ancestors(body)] for body, _ in points]


def unsigned(values) -> np.ndarray:
    """Unsigned: compiled code then does not test for negative indices."""
    return np.asarray(values, dtype=np.uint32)


@inlined
def forward(P, W, R, t, q):
    """Poses of bodies, joint axes and points in the world, into `W`."""
    X, a, p = W.X, W.a, W.p
    parent, basis, origin, axis, place = P.parent, P.basis, P.origin, P.axis, P.place
    multiplier, offset, prismatic = P.multiplier, P.offset, P.prismatic
    for i in range(3):
        X[0, 3 * i], X[0, 3 * i + 1], X[0, 3 * i + 2], X[0, 9 + i] = R[i, 0], R[i, 1], R[i, 2], t[i]
    for j in range(U(1), U(len(parent))):
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
        for i in range(U(3)):
            r0, r1, r2 = X[u, 3 * i], X[u, 3 * i + 1], X[u, 3 * i + 2]
            m0 = r0 * l00 + r1 * l10 + r2 * l20
            m1 = r0 * l01 + r1 * l11 + r2 * l21
            m2 = r0 * l02 + r1 * l12 + r2 * l22
            world = m0 * a0 + m1 * a1 + m2 * a2
            X[j, 3 * i], X[j, 3 * i + 1], X[j, 3 * i + 2] = m0, m1, m2
            X[j, 9 + i] = X[u, 9 + i] + r0 * o0 + r1 * o1 + r2 * o2 + slide * world
            a[j, i] = world
    body, xyz = P.point_body, P.point_xyz
    for k in range(U(len(body))):
        u = body[k]
        x0, x1, x2 = xyz[k, 0], xyz[k, 1], xyz[k, 2]
        for i in range(3):
            p[k, i] = X[u, 9 + i] + X[u, 3 * i] * x0 + X[u, 3 * i + 1] * x1 + X[u, 3 * i + 2] * x2
