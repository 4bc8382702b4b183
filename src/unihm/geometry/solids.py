"""Spheres, cylinders and boxes: signed distance, points all over the surface, and the nearest surface point.

A solid stands in its own frame, centred at the origin: a sphere (radius,), a cylinder (radius, length) along z, a box
(x, y, z) of edge lengths; m.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from unihm.registry import unknown_name

KINDS = ("sphere", "cylinder", "box")
Size = tuple[float, ...]


def signed_distance(kind: str, size: Size, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
    """Exact signed distance of points to a solid, m; negative inside."""
    if kind == "sphere":
        return np.sqrt((x * x).sum(axis=-1)) - size[0]
    if kind == "cylinder":
        out = np.stack([np.hypot(x[..., 0], x[..., 1]) - size[0], np.abs(x[..., 2]) - size[1] / 2], axis=-1)
    elif kind == "box":
        out = np.abs(x) - np.asarray(size) / 2
    else:
        raise unknown_name("Solid", kind, KINDS)
    beyond = np.maximum(out, 0)
    return np.sqrt((beyond * beyond).sum(axis=-1)) + np.minimum(out.max(axis=-1), 0)


def bounding_radius(kind: str, size: Size) -> float:
    """Distance of the farthest point from the centre, m."""
    if kind == "sphere":
        return size[0]
    return math.hypot(size[0], size[1] / 2) if kind == "cylinder" else math.hypot(*size) / 2


def thickness(kind: str, size: Size) -> float:
    """Distance of the nearest two parallel planes with the solid between them, m."""
    return min(size) if kind == "box" else min((2 * size[0], *size[1:]))


def half_extent(kind: str, size: Size, R: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """Half the edges of the axis-parallel box about a turned solid, m."""
    if kind == "sphere":
        return np.full(3, size[0])
    if kind == "cylinder":
        return size[0] * np.sqrt(np.maximum(1 - R[:, 2] ** 2, 0)) + size[1] / 2 * np.abs(R[:, 2])
    return np.abs(R) @ (np.asarray(size) / 2)


def to_surface(kind: str, size: Size, x: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """The nearest surface point of points outside or inside a solid, m."""
    if kind == "sphere":
        length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
        return np.where(length > 0, x, [0.0, 0.0, 1.0]) * (size[0] / np.where(length > 0, length, 1.0))
    half = np.asarray(size) / 2 if kind == "box" else np.array([size[0], size[1] / 2])
    radius = np.hypot(x[..., 0], x[..., 1])
    flat = x if kind == "box" else np.stack([radius, x[..., 2]], axis=-1)
    found = np.clip(flat, -half, half)
    inside = (np.abs(flat) < half).all(axis=-1)
    face = np.argmin(half - np.abs(flat), axis=-1)  # the face that is nearest from within
    row = np.flatnonzero(inside.ravel())
    side = np.sign(flat.reshape(-1, len(half))[row, face.ravel()[row]])
    found.reshape(-1, len(half))[row, face.ravel()[row]] = np.where(side == 0, 1.0, side) * half[face.ravel()[row]]
    if kind == "box":
        return found
    along = np.where(radius[..., None] > 0, x[..., :2], [1.0, 0.0]) / np.where(radius > 0, radius, 1.0)[..., None]
    return np.concatenate([along * found[..., :1], found[..., 1:]], axis=-1)


@lru_cache(maxsize=1024)
def surface_points(kind: str, size: Size, spacing: float) -> Float[np.ndarray, "n 3"]:
    """Points on the surface of a solid, no place of which is farther than `spacing` from one; edges are among them.

    They are remembered, and not to be written to.
    """
    points = _surface_points(kind, size, spacing)
    points.flags.writeable = False
    return points


def _surface_points(kind: str, size: Size, spacing: float) -> np.ndarray:
    if kind == "sphere":
        return size[0] * _spiral(max(12, math.ceil(4 * math.pi * size[0] ** 2 / spacing**2)))
    if kind == "cylinder":
        radius, length = size
        turn = 2 * np.pi * np.arange(max(8, math.ceil(2 * math.pi * radius / spacing)))
        turn = turn / len(turn)
        rim = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        side = _line(length, spacing)
        wall = np.concatenate([np.tile(radius * rim, (len(side), 1)), np.repeat(side, len(turn))[:, None]], axis=1)
        rings = radius * np.arange(1, n := max(1, math.ceil(radius / spacing))) / n
        disc = [np.zeros((1, 2))]
        for r in rings:
            around = 2 * np.pi * np.arange(k := max(6, math.ceil(2 * math.pi * r / spacing))) / k
            disc.append(r * np.stack([np.cos(around), np.sin(around)], axis=-1))
        cap = np.concatenate(disc)
        ends = [np.column_stack([cap, np.full(len(cap), z)]) for z in (-length / 2, length / 2)]
        return np.concatenate([wall, *ends])
    if kind != "box":
        raise unknown_name("Solid", kind, KINDS)
    lines = [_line(edge, spacing) for edge in size]
    grid = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[(np.abs(grid) >= np.asarray(size) / 2 * (1 - 1e-12)).any(axis=1)]


def _line(length: float, spacing: float) -> Float[np.ndarray, " n"]:
    return np.linspace(-length / 2, length / 2, max(2, math.ceil(length / spacing) + 1))


def _spiral(count: int) -> Float[np.ndarray, "n 3"]:
    """Unit vectors spread evenly by the golden angle."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - math.sqrt(5)) * np.arange(count)
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=-1)
