"""Surface clouds with outward normals from meshes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from unihm.geometry.point_cloud import farthest_point_indices

_OVERSAMPLING = 4  # candidates a kept point; more makes the spacing more even


def load_surface(
    path: str | Path, count: int, seed: int = 0
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """Evenly spaced points on a mesh and the normals of the faces that they lie on.

    Args:
        path: Wavefront ``.obj`` or ``.ply`` whose faces wind counter-clockwise seen from outside.
        count: Number of points.
        seed: Seeds the sampling.

    Returns:
        Points, m in the mesh's frame, and outward unit normals.

    Raises:
        ValueError: The file is missing, holds no triangles, or is turned inside out.
    """
    vertices, faces = load_mesh(path)
    return sample_surface(vertices, faces, count, seed)


def sample_surface(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], count: int, seed: int = 0
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """Uniform samples of a triangle mesh, thinned by farthest-point sampling, with face normals."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    rng = np.random.default_rng(seed)
    face = rng.choice(len(faces), size=_OVERSAMPLING * count, p=area / area.sum())
    # Square root: uniform over the triangle instead of crowded at the first corner.
    r, s = np.sqrt(rng.random(len(face))), rng.random(len(face))
    weights = np.stack([1 - r, r * (1 - s), r * s], axis=-1)
    points = np.einsum("nc,ncd->nd", weights, corners[face])
    kept = farthest_point_indices(points, count, seed=seed)
    return points[kept], (cross[face] / area[face, None])[kept]


def load_mesh(path: str | Path) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "f 3"]]:
    """Vertices, m, and triangles of an ``.obj`` or ``.ply``; polygons are cut up, texture and material ignored."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Object mesh '{path}' does not exist.")
    v, f = _read_ply(path) if path.suffix.lower() == ".ply" else _read_obj(path)
    if not len(f) or f.max() >= len(v) or f.min() < 0 or not np.isfinite(v).all():
        raise ValueError(f"'{path}' holds no valid triangles.")
    a, b, c = (v[f[:, k]] for k in range(3))
    f = f[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 0]
    a, b, c = (v[f[:, k]] - v.mean(axis=0) for k in range(3))
    if np.einsum("fd,fd->", a, np.cross(b, c)) <= 0:  # six times the enclosed volume
        raise ValueError(f"'{path}' is turned inside out or encloses no volume.")
    return v, f


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if words[:1] == ["v"]:
                vertices.append([float(word) for word in words[1:4]])
            elif words[:1] == ["f"]:
                ring = [int(word.split("/")[0]) for word in words[1:]]
                # Indices count from 1, or from the end where negative.
                ring = [i - 1 if i > 0 else len(vertices) + i for i in ring]
                faces += [(ring[0], ring[k], ring[k + 1]) for k in range(1, len(ring) - 1)]
        return np.array(vertices, dtype=np.float64).reshape(-1, 3), np.array(faces, dtype=np.int64).reshape(-1, 3)
    except (ValueError, IndexError) as error:
        raise ValueError(f"'{path}' is not a readable .obj mesh: {error}") from error


def _read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import trimesh

    try:
        mesh = trimesh.load(path, force="mesh", process=False)
    except Exception as error:  # trimesh raises many kinds for a damaged file
        raise ValueError(f"'{path}' is not a readable .ply mesh: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh):
        raise ValueError(f"'{path}' holds no valid triangles.")
    return np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3)
