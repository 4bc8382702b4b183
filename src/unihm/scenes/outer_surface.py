"""Points on what can be seen of a thing from outside, where its parts are closed surfaces that overlap."""

from __future__ import annotations

import numpy as np
import trimesh
from jaxtyping import Float

from unihm.geometry.winding import InsideTest
from unihm.scenes.shapes import Parts

_SPARE = 1.25  # points drawn over those needed, some of which are hidden


def outer_surface(
    parts: Parts, count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """Points evenly on the parts' surfaces where these are not inside another part, and their outward unit normals.

    The inside of an open vessel is a surface like any other.

    Args:
        parts: Closed surfaces by name, m; one alone may be open.
        count: How many points.
        rng: Where the row of points begins, and their order.
    """
    meshes = list(parts.values())
    tests: dict[int, InsideTest] = {}
    points, normals = np.empty((0, 3)), np.empty((0, 3))
    while len(points) < count:  # ends, because the outermost part of a surface is in nothing
        p, n, part = _even(meshes, int(_SPARE * count) if len(meshes) > 1 else count, rng)
        seen = np.ones(len(p), dtype=bool)
        for k, mesh in enumerate(meshes):
            low, high = mesh.bounds
            near = np.flatnonzero((part != k) & ((p > low) & (p < high)).all(axis=1))
            if len(near):
                if k not in tests:
                    tests[k] = InsideTest(*_merged(mesh))
                seen[near] &= ~tests[k](p[near])
        points, normals = np.concatenate([points, p[seen]]), np.concatenate([normals, n[seen]])
    chosen = rng.permutation(len(points))[:count]
    return points[chosen], normals[chosen]


def _even(meshes: list[trimesh.Trimesh], number: int, rng: np.random.Generator):
    """Points at equal steps of area along the row of all triangles, anywhere in their triangle."""
    corners = np.concatenate([mesh.vertices[mesh.faces] for mesh in meshes])
    part = np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes])
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1)
    total = np.cumsum(length)
    # a face of no area at the end of the row has no points
    face = np.searchsorted(total, (np.arange(number) + rng.random()) / number * total[-1], side="right")
    face = np.minimum(face, np.flatnonzero(length > 0)[-1])
    root, share = np.sqrt(rng.random(number))[:, None], rng.random(number)[:, None]
    a, b, c = np.moveaxis(corners[face], 1, 0)
    points = (1 - root) * a + root * (1 - share) * b + root * share * c
    return points, normal[face] / length[face, None], part[face]


def _merged(mesh: trimesh.Trimesh):
    """Vertices, no two at one place, and faces."""
    vertices, index = np.unique(np.round(mesh.vertices, 9), axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    proper = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    return vertices, faces[proper]
