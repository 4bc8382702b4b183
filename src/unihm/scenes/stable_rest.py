"""How a thing can lie on a table: on a facet of its convex hull that the centre of mass is above."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull

from unihm.geometry.support import supports

_FLAT = 1e-4  # 1 - cosine of the angle between triangles of one facet: 0.8 degrees
_SIDE = 0.3  # sine of the largest slope of what counts as a side
_MARGIN = 0.02  # by how much of the height the centre must be inside the facet: less falls over at a touch


def draw_rest(
    vertices: Float[np.ndarray, "v 3"], rng: np.random.Generator, sideways: bool = False
) -> Float[np.ndarray, "3 3"] | None:
    """Rotation of a thing into a stable rest, facets of larger area more often; None where there is none.

    Its yaw and height remain to be chosen. The mass is taken to fill the convex hull evenly. Round things have their
    facets all around, which say nothing about rolling.

    Args:
        vertices: m.
        rng: Draws the facet.
        sideways: Only facets that are upright in the thing's own frame, so that what stands comes to lie.
    """
    hull = ConvexHull(vertices)
    corners = vertices[hull.simplices]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    normals, facet = hull.equations[:, :3], _facets(hull)
    total = np.bincount(facet, area)
    order = _weighted_order(total, rng)
    centre = _centroid(vertices, hull)
    for k in order:
        members = facet == k
        normal = (area[members, None] * normals[members]).sum(axis=0)
        length = np.linalg.norm(normal)
        if length == 0 or (sideways and abs(normal[2]) > _SIDE * length):
            continue
        R = _downwards(normal / length)
        turned = vertices @ R.T
        height = float((R @ centre)[2] - turned[:, 2].min())
        if supports(turned[np.unique(hull.simplices[members])][:, :2], (R @ centre)[:2], _MARGIN * height):
            return R
    return None


def _downwards(normal: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """A rotation that makes a unit vector point down."""
    z = -normal
    x = np.cross(np.eye(3)[np.abs(z).argmin()], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def _weighted_order(weight: Float[np.ndarray, " k"], rng: np.random.Generator) -> Int[np.ndarray, " k"]:
    """All indices, drawn one after the other in proportion to their weights."""
    return np.argsort(rng.exponential(size=len(weight)) / np.maximum(weight, 1e-12))


def _facets(hull: ConvexHull) -> Int[np.ndarray, " f"]:
    """Number of the flat facet that each triangle of a hull belongs to."""
    normals = hull.equations[:, :3]
    one = np.repeat(np.arange(len(normals)), 3)
    other = hull.neighbors.ravel()
    flat = np.einsum("ni,ni->n", normals[one], normals[other]) > 1 - _FLAT
    graph = coo_array((np.ones(flat.sum()), (one[flat], other[flat])), shape=(len(normals), len(normals)))
    return connected_components(graph, directed=False)[1]


def _centroid(vertices: Float[np.ndarray, "v 3"], hull: ConvexHull) -> Float[np.ndarray, " 3"]:
    """Of the hull's volume."""
    corners, inside = vertices[hull.simplices], vertices[hull.vertices].mean(axis=0)
    volume = np.abs(np.linalg.det(corners - inside))
    return ((corners.sum(axis=1) + inside) / 4 * volume[:, None]).sum(axis=0) / volume.sum()
