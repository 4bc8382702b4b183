"""How far a hand is from an object: its collision primitives against points of the object's surface."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.geometry.solids import signed_distance
from unihm.hands.description import HandDescription

_POINTS = 3000  # of the surface: 2 mm apart on an object of 10 cm, which at 2 cm is an error of 0.03 mm


def surface_samples(
    vertices: Float[np.ndarray, "v 3"], faces: np.ndarray, count: int = _POINTS, seed: int = 0
) -> Float[np.ndarray, "n 3"]:
    """The corners of a surface and points spread evenly over its faces, m."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    rng = np.random.default_rng(seed)
    face = rng.choice(len(faces), count, p=area / area.sum())
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = corners[face, 0], corners[face, 1], corners[face, 2]
    return np.concatenate([vertices, a + u[:, None] * (b - a) + v[:, None] * (c - a)])


def hand_distance(
    hand: HandDescription,
    T_world_palm: Float[np.ndarray, "4 4"],
    qpos: Float[np.ndarray, " nq"],
    points_world: Float[np.ndarray, "n 3"],
) -> float:
    """Distance from the hand's body to the nearest of some points, m; negative where one lies inside."""
    T_palm_body = hand.chain.forward_kinematics(np.asarray(qpos, dtype=np.float64))
    nearest = np.inf
    for shape in hand.geometry:
        link = hand.link_names[shape.link]
        body = hand.chain.body_of_link[link]
        T_palm_link = hand.chain.T_body_link[link]
        if body >= 0:
            T_palm_link = T_palm_body[body] @ T_palm_link
        T = T_world_palm @ T_palm_link @ shape.T_link_shape
        points = (points_world - T[:3, 3]) @ T[:3, :3]
        nearest = min(nearest, float(signed_distance(shape.kind, shape.size, points).min()))
    if not np.isfinite(nearest):
        raise ValueError(f"Hand '{hand.name}' has no collision geometry; its distance to an object is unknown.")
    return nearest
