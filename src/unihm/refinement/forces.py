"""Forces of the fingertips that hold an object between them, and what joints must be sent to exert them.

A fingertip pushes along its friction cone, here the cone of eight edges within the round one. Non-negative least
squares finds the forces nearest to equal ones whose sum and whose moment vanish: internal forces, which press and move
nothing. What is left of sum and moment says how far the contacts are from force closure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls

from unihm.compiled import compiled
from unihm.hands.description import HandDescription
from unihm.refinement.body import Body, Pose

_EDGES = 8  # of a friction cone
_WANTED = 0.1  # weight of equal forces against balance: balance decides, equality chooses among balanced ones
_EASED = 0.05  # weight of a motor's share, in units of the wanted force, against balance
_TURNS = np.array([[math.cos(2 * math.pi * k / _EDGES), math.sin(2 * math.pi * k / _EDGES)] for k in range(_EDGES)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Balance:
    """Forces of k contacts."""

    force: Float[np.ndarray, "k 3"]
    """On the object, in its frame, N."""
    imbalance: float
    """Norm of what is left of their sum and moment (in units of the object's size), as a share of all normal forces."""


def balanced_forces(
    places: Float[np.ndarray, "k 3"],
    normals: Float[np.ndarray, "k 3"],
    wanted: Float[np.ndarray, " k"],
    *,
    friction: float,
    size: float,
    load: Float[np.ndarray, " 6"] | None = None,
    strain: Float[np.ndarray, "k 3 nq"] | None = None,
) -> Balance:
    """Balanced forces near wanted ones, which motors can exert.

    Where a motor would have to give more than it can, forces are sought once more that ask less of the motors, and what
    is still too much weakens all of them alike, which keeps them balanced.

    Args:
        places: Contacts on the object, relative to the point about which moments are taken, m.
        normals: The object's outward unit normals there.
        wanted: Normal force of each, N.
        friction: Coefficient that is relied on.
        size: Length by which moments are divided, m: about the object's radius.
        load: Force (N) and moment (Nm) that act on the object; the contacts' sum is their opposite. None: nothing acts.
        strain: What a newton at each contact asks of each joint, as a share of its motor's effort.
    """
    across = _cross(normals, np.where(np.abs(normals[:, :1]) < 0.7, [[1.0, 0, 0]], [[0, 1.0, 0]]))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    tangents = np.stack([across, _cross(normals, across)], axis=1)
    edges = -normals[:, None] + friction * np.einsum("ej,kji->kei", _TURNS, tangents)  # (k, e, 3), normal force 1
    k = len(places)
    wrench = np.concatenate([edges, _cross(places[:, None], edges) / size], axis=2).reshape(-1, 6).T
    normal = np.repeat(np.eye(k), _EDGES, axis=1)
    A = np.concatenate([wrench, _WANTED * normal])
    against = np.zeros(6) if load is None else -load / np.repeat([1.0, size], 3)
    b = np.concatenate([against, _WANTED * wanted])
    x, _ = nnls(A, b)
    weaker = 1.0
    if strain is not None:
        asked = np.einsum("kiq,kei->qke", strain, edges).reshape(strain.shape[-1], -1)
        if np.abs(asked @ x).max() > 1:
            eased = _EASED * float(wanted.mean()) * asked
            x, _ = nnls(np.concatenate([A, eased]), np.concatenate([b, np.zeros(len(eased))]))
            weaker = 1 / max(float(np.abs(asked @ x).max()), 1.0)
    left = wrench @ x - against
    return Balance(
        force=weaker * np.einsum("ke,kei->ki", x.reshape(k, _EDGES), edges),
        imbalance=float(np.linalg.norm(left) / max(x.sum(), 1e-9)),
    )


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As `numpy.cross`, which takes longer to sort its axes than to multiply."""
    return a[..., [1, 2, 0]] * b[..., [2, 0, 1]] - a[..., [2, 0, 1]] * b[..., [1, 2, 0]]


def contact_jacobian(
    body: Body, pose: Pose, points: Int[np.ndarray, " k"], places: Float[np.ndarray, "k 3"]
) -> Float[np.ndarray, "k 3 nq"]:
    """Movement of contacts by the joints, palm held; m/rad or 1.

    Args:
        body: The hand.
        pose: Its pose, as `place` leaves it.
        points: Which of its points carry the contacts.
        places: Where these are, in the frame of the pose, m.
    """
    J = np.zeros((len(points), 3, len(pose.q)))
    for i, (k, x) in enumerate(zip(points, places, strict=True)):
        _add_movement(body, pose, k, x, J[i])
    return J


@compiled
def _add_movement(body, pose, k, x, J):
    """Add the movement of a place x that moves as the point k does; joints that mimic one another share a column."""
    for s in range(body.chain_start[k], body.chain_start[k + 1]):
        j = body.chain[s]
        u, scale = body.place[j], body.multiplier[j]
        a0, a1, a2 = pose.a[j, 0], pose.a[j, 1], pose.a[j, 2]
        if body.prismatic[j]:
            J[0, u] += scale * a0
            J[1, u] += scale * a1
            J[2, u] += scale * a2
        else:
            z0, z1, z2 = x[0] - pose.X[j, 9], x[1] - pose.X[j, 10], x[2] - pose.X[j, 11]
            J[0, u] += scale * (a1 * z2 - a2 * z1)
            J[1, u] += scale * (a2 * z0 - a0 * z2)
            J[2, u] += scale * (a0 * z1 - a1 * z0)


def joint_compliance(hand: HandDescription, stiffness: tuple[float, float]) -> Float[np.ndarray, " nq"]:
    """Of the position controllers, rad/Nm of turning and m/N of sliding joints.

    Args:
        hand: The hand.
        stiffness: Nm/rad and N/m.
    """
    return 1 / np.where(sliding_joints(hand), stiffness[1], stiffness[0])


def sliding_joints(hand: HandDescription) -> Bool[np.ndarray, " nq"]:
    """Which joints slide.

    Args:
        hand: The hand.
    """
    slides = np.zeros(len(hand.joint_names), dtype=bool)
    slides[hand.chain.column[hand.chain.prismatic.astype(bool)]] = True
    return slides


def joint_effort(hand: HandDescription) -> Float[np.ndarray, " nq"]:
    """What each motor can give, Nm or N; infinity where its URDF does not say.

    Args:
        hand: The hand.
    """
    efforts = {joint.name: joint.effort for joint in hand.urdf.joints}
    effort = np.array([efforts[name] for name in hand.joint_names])
    return np.where((effort > 0) & np.isfinite(effort), effort, np.inf)


def squeezing_target(
    hand: HandDescription,
    qpos: Float[np.ndarray, " nq"],
    J: Float[np.ndarray, "k 3 nq"],
    force: Float[np.ndarray, "k 3"],
    stiffness: tuple[float, float],
) -> Float[np.ndarray, " nq"]:
    """Joint targets whose position controllers exert forces: ``q + J^T f / kp``.

    Where a motor cannot give its torque, all are weakened alike, so that the forces stay balanced; a target beyond a
    joint's limit is the limit.

    Args:
        hand: The hand.
        qpos: Where the fingers are, rad or m.
        J: Movement of the contacts by the joints, in the frame of the forces.
        force: That they exert, N.
        stiffness: Of turning (Nm/rad) and sliding joints (N/m).
    """
    torque = np.einsum("kiq,ki->q", J, force)
    weaker = min(1.0, float((joint_effort(hand) / np.maximum(np.abs(torque), 1e-9)).min()))
    target = qpos + weaker * torque * joint_compliance(hand, stiffness)
    return np.clip(target, hand.chain.lower, hand.chain.upper)
