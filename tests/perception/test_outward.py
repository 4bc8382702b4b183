"""Normals look outward on shapes whose normals are known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from unihm.geometry.point_cloud import farthest_point_indices
from unihm.perception.outward import outward_normals

EYE = np.array([-0.6, 0.0, 0.4])
SHAPES = {
    "sphere": trimesh.creation.icosphere(3, 0.04),
    "box": trimesh.creation.box((0.12, 0.06, 0.04)),
    "flat box": trimesh.creation.box((0.16, 0.12, 0.02)),
    "cylinder": trimesh.creation.cylinder(0.035, 0.12),
    "dumbbell": trimesh.util.concatenate(
        [trimesh.creation.icosphere(3, 0.03).apply_translation((s * 0.04, 0, 0)) for s in (-1.0, 1.0)]
    ),
}


def cloud(mesh: trimesh.Trimesh, count: int = 800, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    points, faces = trimesh.sample.sample_surface(mesh, 6 * count, seed=0)[:2]
    index = farthest_point_indices(np.asarray(points), count)
    rng = np.random.default_rng(0)
    return np.asarray(points)[index] + noise * rng.normal(size=(count, 3)), np.asarray(mesh.face_normals)[faces[index]]


@pytest.mark.parametrize("noise", [0.0, 0.0007])
@pytest.mark.parametrize("name", SHAPES)
def test_outward_without_any_seen_point(name, noise):
    points, true = cloud(SHAPES[name], noise=noise)
    normals = outward_normals(points, np.zeros(len(points), dtype=bool), EYE)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    cosine = (normals * true).sum(axis=1)
    assert (cosine > 0).mean() > 0.97
    assert (cosine > 0.5).mean() > 0.93


def test_seen_points_look_to_the_camera():
    points, true = cloud(SHAPES["box"])
    seen = ((EYE - points) * true).sum(axis=1) > 0.1
    normals = outward_normals(points, seen, EYE)
    assert (((EYE - points) * normals).sum(axis=1)[seen] >= 0).mean() > 0.98
    assert ((normals * true).sum(axis=1)[seen] > 0).mean() > 0.98


def test_inside_of_a_thick_bowl():
    """Points in a hollow look into it: away from the wall, not away from the middle of the cloud."""
    outside, inside = trimesh.creation.icosphere(4, 0.08), trimesh.creation.icosphere(4, 0.06)
    shells = []
    for mesh, sign in ((outside, 1.0), (inside, -1.0)):
        p, n = cloud(mesh, 1500)
        half = p[:, 2] < 0
        shells.append((p[half], sign * n[half]))
    points, true = (np.concatenate(part) for part in zip(*shells, strict=True))
    normals = outward_normals(points, np.zeros(len(points), dtype=bool), EYE)
    assert ((normals * true).sum(axis=1) > 0).mean() > 0.95
