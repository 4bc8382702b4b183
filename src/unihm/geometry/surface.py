"""An object's surface from a file: a mesh that is sampled evenly, or a list of points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.geometry.point_cloud import estimate_normals

POINT_SUFFIXES = (".xyz", ".txt")
MESH_SUFFIXES = (".obj", ".stl", ".ply", ".off", ".glb")


def load_surface(
    path: str | Path, count: int = 2048, seed: int = 0
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Surface points and outward unit normals of an object, in the file's own frame.

    Args:
        path: A mesh, or text with three coordinates a line; metres.
        count: Points drawn from a mesh; a list of points is kept as it is.
        seed: Of the drawing.

    Raises:
        ValueError: The file is missing, of an unknown kind, empty or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Object file '{path}' does not exist.")
    if path.suffix.lower() in POINT_SUFFIXES:
        try:
            points = np.loadtxt(path, ndmin=2)
        except ValueError as error:
            raise ValueError(f"'{path}' is not a list of points: {error}.") from error
        if points.shape[1] < 3 or len(points) < 16 or not np.isfinite(points).all():
            raise ValueError(f"'{path}' needs at least 16 lines of three finite coordinates, got {points.shape}.")
        return points[:, :3], estimate_normals(points[:, :3])
    if path.suffix.lower() not in MESH_SUFFIXES:
        known = ", ".join(MESH_SUFFIXES + POINT_SUFFIXES)
        raise ValueError(f"'{path}': unknown kind of object file '{path.suffix}'. Available: {known}.")
    import trimesh

    try:
        mesh = trimesh.load(path, force="mesh")
    except Exception as error:  # trimesh raises many kinds for a damaged file
        raise ValueError(f"'{path}' is damaged: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
        raise ValueError(f"'{path}' holds no faces.")
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)[:2]
    return np.asarray(points), np.asarray(mesh.face_normals)[np.asarray(faces)]
