"""Opposed places on a sphere and on a box."""

from __future__ import annotations

import numpy as np

from unihm.geometry.antipodal import nearest_pairs, opposing_pairs


def _sphere(n=300):
    x = np.random.default_rng(0).normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_pairs_on_a_sphere_are_opposite():
    n = _sphere()
    pairs = opposing_pairs(0.05 * n, n, cosine=0.9)
    assert len(pairs)
    assert np.einsum("ki,ki->k", n[pairs[:, 0]], n[pairs[:, 1]]).max() < -0.6  # both cones: up to 2 * 26 degrees off
    assert {tuple(p) for p in pairs} == {tuple(p[::-1]) for p in pairs}


def test_points_of_one_face_never_oppose():
    x = np.random.default_rng(0).uniform(-1, 1, (100, 3)) * [1, 1, 0]
    assert len(opposing_pairs(x, np.tile([0.0, 0, 1], (100, 1)))) == 0


def test_nearest_pairs_start_at_the_fingertips_and_differ():
    n = _sphere()
    points = 0.05 * n
    pairs = opposing_pairs(points, n)
    tip_a, tip_b = np.array([0.07, 0, 0]), np.array([-0.06, 0.0, 0.01])
    chosen = nearest_pairs(points, pairs, tip_a, tip_b, 5, separation=0.02)
    cost = ((points - tip_a) ** 2).sum(1)[pairs[:, 0]] + ((points - tip_b) ** 2).sum(1)[pairs[:, 1]]
    np.testing.assert_array_equal(chosen[0], pairs[cost.argmin()])
    assert len(chosen) == 5
    for i in range(5):
        for j in range(i):
            assert np.linalg.norm(points[chosen[i]] - points[chosen[j]], axis=1).max() >= 0.02
