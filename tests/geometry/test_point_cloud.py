"""Point clouds on shapes whose normals, planes and clusters are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.geometry import point_cloud


def _sphere(n=800, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_normals_of_a_sphere_point_outward():
    x = _sphere()
    normals = point_cloud.estimate_normals(0.05 * x + [1.0, 2.0, 3.0])
    assert np.einsum("ni,ni->n", normals, x).min() > 0.95


def test_normals_of_two_separate_spheres_point_outward():
    x = _sphere(400)
    normals = point_cloud.estimate_normals(np.concatenate([0.05 * x, 0.03 * x + [0.5, 0, 0]]))
    assert np.einsum("ni,ni->n", normals, np.concatenate([x, x])).min() > 0.9


def test_normals_of_a_torus_point_outward_where_the_centre_would_mislead():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 2 * np.pi, (2, 3000))
    ring = np.stack([np.cos(a), np.sin(a), 0 * a], 1)
    outward = ring * np.cos(b)[:, None] + np.array([0, 0, 1.0]) * np.sin(b)[:, None]
    normals = point_cloud.estimate_normals(0.1 * ring + 0.03 * outward)
    assert (np.einsum("ni,ni->n", normals, outward) > 0.8).mean() > 0.999


def test_normals_face_a_viewpoint():
    x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    plane = np.column_stack([x, np.zeros(200)])
    normals = point_cloud.estimate_normals(plane, viewpoint=np.array([0.0, 0.0, -2.0]))
    np.testing.assert_allclose(normals, np.tile([0.0, 0.0, -1.0], (200, 1)), atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_plane_is_found_among_outliers(seed):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    flat = rng.uniform(-1, 1, (600, 3))
    flat += np.outer(-(flat @ normal) - 0.8, normal) + np.outer(rng.normal(0, 1e-3, 600), normal)
    points = np.concatenate([flat, rng.uniform(-1, 1, (400, 3))])
    plane, inliers = point_cloud.fit_plane(points, 5e-3, seed=seed)
    assert abs(plane.normal @ normal) > 0.9999
    assert plane.offset == pytest.approx(-0.8, abs=1e-3)  # the normal points to the side of the origin
    assert inliers[:600].all()
    again, _ = point_cloud.fit_plane(points, 5e-3, seed=seed)
    np.testing.assert_array_equal(again.normal, plane.normal)


def test_no_plane_through_a_line():
    with pytest.raises(ValueError, match="lie on a line"):
        point_cloud.fit_plane(np.outer(np.arange(10.0), [1, 2, 3]), 0.01)
    with pytest.raises(ValueError, match="at least three points"):
        point_cloud.fit_plane(np.zeros((2, 3)), 0.01)


def test_farthest_points_spread_and_repeat_with_the_seed():
    points = np.concatenate([_sphere(500), 0.01 * _sphere(500)])
    index = point_cloud.farthest_point_indices(points, 40)
    assert len(set(index.tolist())) == 40
    assert (np.linalg.norm(points[index], axis=1) > 0.9).sum() >= 38
    np.testing.assert_array_equal(index, point_cloud.farthest_point_indices(points, 40))
    with pytest.raises(ValueError, match="Cannot choose 6 of 5"):
        point_cloud.farthest_point_indices(np.zeros((5, 3)), 6)


def sphere(count: int, radius: float = 0.04, seed: int = 0):
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return radius * normals, normals


def box(half: np.ndarray, count: int, seed: int = 0):
    """Points of a box's faces by area, their outward normals."""
    rng = np.random.default_rng(seed)
    area = np.repeat(half.prod() / half, 2)
    face = rng.choice(6, size=count, p=area / area.sum())
    axis, sign = face // 2, 2.0 * (face % 2) - 1
    points, normals = rng.uniform(-1, 1, (count, 3)) * half, np.zeros((count, 3))
    points[np.arange(count), axis], normals[np.arange(count), axis] = sign * half[axis], sign
    return points, normals


@pytest.mark.parametrize("noise", [1e-3, 3e-3])
def test_noise_is_told_and_taken_out_without_shrinking(noise):
    points, normals = sphere(2000)
    assert point_cloud.noise_of(points, normals) < 0.1e-3
    noisy = points + noise * np.random.default_rng(1).normal(size=points.shape)
    found = point_cloud.noise_of(noisy, normals)
    assert 0.6 * noise < found < 1.2 * noise
    off = np.linalg.norm(point_cloud.smoothed(noisy, normals, 2.5 * found), axis=1) - 0.04
    assert np.abs(off).mean() < 0.35 * noise
    assert abs(off.mean()) < 0.12 * noise


def test_smoothing_keeps_a_boxs_edges():
    half = np.array([0.03, 0.045, 0.06])
    points, normals = box(half, 1500)
    noisy = points + 4e-3 * np.random.default_rng(1).normal(size=points.shape)
    smooth = point_cloud.smoothed(noisy, normals, 0.01)

    def out(x: np.ndarray) -> np.ndarray:  # beyond the box
        return np.linalg.norm(np.maximum(np.abs(x) - half, 0), axis=1)

    assert np.percentile(out(smooth), 95) < 0.4 * np.percentile(out(noisy), 95)
    edge = np.abs(smooth[normals[:, 2] == 1][:, :2]).max(axis=0)
    assert (edge > half[:2] - 4e-3).all()  # and it has not become smaller


def test_noise_of_what_has_no_neighbours_is_none():
    points, normals = np.eye(3), np.eye(3)
    assert point_cloud.noise_of(points, normals) == 0.0
    np.testing.assert_array_equal(point_cloud.smoothed(points, normals, 0.01), points)


def test_one_point_per_voxel():
    points = np.array([[0.1, 0.1, 0.1], [0.2, 0.3, 0.4], [1.5, 0, 0], [-0.5, 0, 0], [1.1, 0.2, 0.9]])
    np.testing.assert_array_equal(point_cloud.voxel_indices(points, 1.0), [0, 2, 3])


def test_clusters_are_numbered_by_size():
    points = np.concatenate([np.zeros((3, 3)), np.ones((7, 3)), np.full((1, 3), 5.0)])
    np.testing.assert_array_equal(point_cloud.connected_components(points, 0.1), [1] * 3 + [0] * 7 + [2])


@pytest.mark.parametrize("n", [1, 20, 64, 500])
def test_resample_returns_the_count_that_was_asked_for(n):
    points = _sphere(n)
    sampled, normals = point_cloud.resample(points, points, 64, seed=1)
    assert sampled.shape == (64, 3)
    np.testing.assert_array_equal(sampled, normals)
    if n <= 64:
        assert {tuple(p) for p in sampled} == {tuple(p) for p in points}


def test_strays_do_not_hang_together_with_a_thing_but_its_halves_do():
    rng = np.random.default_rng(0)
    thing = rng.uniform(0, 0.05, (3000, 3))
    half = thing[:1000] + np.array([0.2, 0, 0])
    strays = rng.uniform(-1, 1, (40, 3)) + np.array([0, 0, 3])
    kept = point_cloud.main_parts(np.concatenate([thing, half, strays]), 0.008, 0.1)
    assert kept[:4000].all()
    assert not kept[4000:].any()
    assert len(point_cloud.main_parts(np.zeros((0, 3)), 0.01, 0.1)) == 0


@settings(max_examples=20, deadline=None)
@given(scale=st.sampled_from([0.25, 0.5, 2.0, 4.0]), seed=st.integers(0, 99))
def test_what_hangs_together_does_not_depend_on_the_unit(scale, seed):
    points = np.random.default_rng(seed).uniform(0, 0.1, (200, 3))
    kept = point_cloud.main_parts(points, 0.01, 0.2)
    np.testing.assert_array_equal(point_cloud.main_parts(scale * points, scale * 0.01, 0.2), kept)
