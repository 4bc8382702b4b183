"""Depth of a triangle mesh from a pinhole camera, by a z-buffer over its triangles.

It exists beside `rendering` for one property: a pixel depends on nothing but the triangle that it shows. MuJoCo keeps a
mesh in single precision about its own centre of mass, so that what nobody sees of it moves what is seen by nanometres.
What a planner is told must not do that (`perceived`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from unihm.geometry.camera import Camera

_PAIRS = 2_000_000  # of triangles and pixels that are looked at in one go
_BEHIND = 1e-3  # m; triangles nearer than this to the camera's plane are not drawn


def surface_depth(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], camera: Camera
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """What a camera sees of a mesh; both sides of a triangle are seen, so holes show the inside.

    Args:
        vertices: In the world, m.
        faces: Triangles.
        camera: Intrinsics and pose.

    Returns:
        Planar depth, m (infinite where nothing is), and the cosine between the way to the camera and the surface's
        normal (0 where nothing is).

    Raises:
        ValueError: The camera has no pose.
    """
    if camera.T_world_camera is None:
        raise ValueError("The camera needs a T_world_camera to see an object.")
    R, eye = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
    corners = ((vertices - eye) @ R)[faces]
    corners = corners[(corners[:, :, 2] > _BEHIND).all(axis=1)]
    uv = camera.project(corners)
    size = np.array([camera.width, camera.height])
    low = np.clip(np.ceil(uv.min(axis=1)), 0, size).astype(np.int64)
    high = np.clip(np.floor(uv.max(axis=1)), -1, size - 1).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    count = extent.prod(axis=1)
    corners, uv, low, extent = (values[count > 0] for values in (corners, uv, low, extent))
    count = count[count > 0]

    depth, cosine = np.full(camera.height * camera.width, np.inf), np.zeros(camera.height * camera.width)
    if not len(count):
        return depth.reshape(camera.height, camera.width), cosine.reshape(camera.height, camera.width)
    chunk = np.cumsum(count) // _PAIRS
    for rows in np.split(np.arange(len(count)), np.flatnonzero(np.diff(chunk)) + 1):
        face = np.repeat(rows, count[rows])
        number = np.arange(len(face)) - np.repeat(np.cumsum(count[rows]) - count[rows], count[rows])
        pixel = low[face] + np.column_stack([number % extent[face, 0], number // extent[face, 0]])
        z, facing, hit = _meet(corners, uv, face, pixel, camera)
        index = (pixel[:, 1] * camera.width + pixel[:, 0])[hit]
        order = np.lexsort((facing, z, index))  # where two triangles meet, the order of the faces must not decide
        index, z, facing = index[order], z[order], facing[order]
        first = np.concatenate([[True], np.diff(index) > 0]) if len(index) else np.zeros(0, dtype=bool)
        nearer = first & (z < depth[index])
        depth[index[nearer]], cosine[index[nearer]] = z[nearer], facing[nearer]
    return depth.reshape(camera.height, camera.width), cosine.reshape(camera.height, camera.width)


def _meet(
    corners: np.ndarray, uv: np.ndarray, face: np.ndarray, pixel: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth and cosine of the pixels that lie in their triangle, and which these are."""
    x, y = pixel.T.astype(np.float64)
    u, v = np.moveaxis(uv, -1, 0)
    weights = []
    for i, j in ((1, 2), (2, 0), (0, 1)):  # twice the area over the edge that faces each corner
        a_u, a_v, b_u, b_v = u[face, i], v[face, i], u[face, j], v[face, j]
        weights.append((b_u - a_u) * (y - a_v) - (b_v - a_v) * (x - a_u))
    w = np.stack(weights, axis=1)
    total = w.sum(axis=1)
    hit = ((w >= 0).all(axis=1) | (w <= 0).all(axis=1)) & (total != 0)
    face, w, total = face[hit], w[hit], total[hit]
    z = total / (w / corners[face, :, 2]).sum(axis=1)  # 1 / z is what is linear in the image
    ray = np.column_stack([(x[hit] - camera.cx) / camera.fx, (y[hit] - camera.cy) / camera.fy, np.ones(len(face))])
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
    length = np.linalg.norm(ray, axis=1) * np.maximum(np.linalg.norm(normal, axis=1), 1e-30)
    return z, np.abs((ray * normal).sum(axis=1)) / length, hit
