"""Distances to clouds of shapes whose distance is known."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.geometry.signed_distance import CloudDistance


def _box_face_grid(half=0.05, n=26):
    a = np.linspace(-half, half, n)
    u, v = (w.ravel() for w in np.meshgrid(a, a))
    points, normals = [], []
    for axis in range(3):
        for sign in (-1, 1):
            p = np.insert(np.column_stack([u, v]), axis, sign * half, axis=1)
            points.append(p)
            normals.append(np.tile(sign * np.eye(3)[axis], (len(p), 1)))
    return np.concatenate(points), np.concatenate(normals)


def test_distance_to_a_sphere_inside_and_outside():
    n = np.random.default_rng(0).normal(size=(4000, 3))
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    x = np.random.default_rng(1).normal(size=(5, 40, 3))
    x *= np.random.default_rng(2).uniform(0.03, 0.07, (5, 40, 1)) / np.linalg.norm(x, axis=-1, keepdims=True)
    d, nearest, normal = CloudDistance(0.05 * n, n).query(x)
    assert d.shape == (5, 40)
    np.testing.assert_allclose(d, np.linalg.norm(x, axis=-1) - 0.05, atol=1.5e-3)
    np.testing.assert_allclose(d, ((x - nearest) * normal).sum(-1), atol=1e-15)


def test_several_planes_tell_the_sides_of_an_edge_apart():
    points, normals = _box_face_grid()
    cloud = CloudDistance(points, normals)
    x = np.random.default_rng(0).uniform(-0.06, 0.06, (2000, 3))
    q = np.abs(x) - 0.05
    outside = (q > 1e-4).any(-1)
    wrong_one = ((cloud.query(x)[0] > 0) != outside).mean()
    wrong_four = ((cloud.query(x, k=4)[0] > 0) != outside).mean()
    assert wrong_four < 0.5 * wrong_one
    assert wrong_four < 0.02


def test_empty_and_damaged_clouds_are_refused():
    with pytest.raises(ValueError, match="n >= 1 points"):
        CloudDistance(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="NaN"):
        CloudDistance(np.full((3, 3), np.nan), np.zeros((3, 3)))
