"""Would a grasp hold? Contacts as springs: what the fingers' controllers yield, what squeezing takes away from it.

A position controller makes a finger a spring; at the contacts its compliance is ``C = J diag(1 / kp) J^T``. An object
held by them moves under a load w by ``K_o^-1 w``, with

    K_o = G C^-1 G^T + K_g,    K_g = sum_i (r_i . f_i) I - sym(r_i f_i^T)   (rotations only),

G being the grasp matrix and K_g what the squeeze f adds while contacts move with the object and forces do not turn
with it (e.g. Cutkosky and Kao, IEEE T-RA 5(2), 1989). Fingers that push towards each other make it negative: a harder
squeeze resists slipping and invites turning over. Linear and quasi-static: no rolling, no saturated motors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_CONTACT = 5e-5  # m/N, compliance of skin and plate, so that stiff directions stay finite
_TORSION = 0.1  # Nm/rad about the normal of a soft contact
_LEFT = np.array(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]], dtype=float
)
"""Rows of the cross product's matrix, by the entries of the vector on its left."""


@dataclass(frozen=True, kw_only=True)
class Stability:
    """What a grasp does under loads."""

    stiffness: float
    """Least stiffness, N/m (rotations in units of the object's size); not positive: it turns over by itself."""
    sag: float
    """Largest movement under a load, m."""
    slip: float
    """Largest share of the friction coefficient that is used, over contacts and loads; above 1 it slides."""
    pull: float
    """Least normal force over contacts and loads, N; a contact that would have to pull is lost."""


def stability(
    J: Float[np.ndarray, "k 3 nq"],
    places: Float[np.ndarray, "k 3"],
    normals: Float[np.ndarray, "k 3"],
    force: Float[np.ndarray, "k 3"],
    compliance: Float[np.ndarray, " nq"],
    loads: Float[np.ndarray, "m 6"],
    *,
    friction: float,
    size: float,
) -> Stability:
    """Judge contacts.

    Args:
        J: Movement of each contact by the joints, palm held, m/rad or 1.
        places: Contacts, relative to the centre of mass, m.
        normals: Outward unit normals of the object.
        force: On the object, N.
        compliance: Of the joints' controllers, rad/Nm or m/N.
        loads: Forces (N) and moments (Nm) on the object.
        friction: Coefficient that is there.
        size: Length by which moments are divided, m.
    """
    k = len(places)
    stacked = J.reshape(3 * k, -1)
    C = (stacked * compliance) @ stacked.T + _CONTACT * np.eye(3 * k)
    K = np.linalg.inv(C)
    arms = (places @ _LEFT).reshape(k, 3, 3)  # arms[i] @ f is places[i] x f
    G = np.concatenate([np.tile(np.eye(3), k), np.swapaxes(arms, 0, 1).reshape(3, 3 * k) / size])
    K_o = G @ K @ G.T
    moments = places.T @ force
    turning = np.trace(moments) * np.eye(3) - 0.5 * (moments + moments.T) + _TORSION * normals.T @ normals
    K_o[3:, 3:] += turning / size**2
    values, vectors = np.linalg.eigh(K_o)
    least = float(values[0])
    safe = (vectors / np.maximum(values, 10.0)) @ vectors.T
    scaled = loads / np.repeat([1.0, size], 3)
    moved = scaled @ safe  # (m, 6)
    f = force[None] - (moved @ G @ K).reshape(len(loads), k, 3)
    normal = -(f * normals).sum(-1)
    tangent = np.linalg.norm(f + normal[..., None] * normals, axis=-1)
    used = tangent / np.maximum(friction * normal, 1e-3)
    # a contact that carries nothing is not missed
    strong = normal > 0.15 * normal.max(axis=1, keepdims=True)
    return Stability(
        stiffness=least,
        sag=float(np.linalg.norm(moved[:, :3], axis=1).max()),
        slip=float(np.where(strong, used, 0).max()),
        pull=float(normal.min()),
    )
