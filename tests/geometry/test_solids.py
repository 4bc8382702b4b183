"""Solids: distances and surfaces against SciPy's minimiser and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from unihm.geometry import solids

CASES = [("sphere", (0.011,)), ("cylinder", (0.008, 0.03)), ("cylinder", (0.03, 0.006)), ("box", (0.02, 0.03, 0.008))]


@pytest.mark.parametrize(("kind", "size"), CASES)
def test_distance_and_nearest_point_agree(kind, size):
    x = np.random.default_rng(0).uniform(-0.03, 0.03, size=(4000, 3))
    x[:3] = [[0, 0, 0], [0, 0, 0.001], [0.001, 0, 0]]
    d, near = solids.signed_distance(kind, size, x), solids.to_surface(kind, size, x)
    assert np.abs(solids.signed_distance(kind, size, near)).max() < 1e-15
    assert np.linalg.norm(near - x, axis=1) == pytest.approx(np.abs(d), abs=1e-12)
    assert (d < 0).any()
    assert np.linalg.norm(solids.surface_points(kind, size, 1e-3), axis=1).max() == pytest.approx(
        solids.bounding_radius(kind, size), rel=1e-9
    )
    R = Rotation.from_rotvec([0.3, 0.5, -0.8]).as_matrix()
    turned = solids.surface_points(kind, size, 2e-4) @ R.T
    assert solids.half_extent(kind, size, R) == pytest.approx(np.abs(turned).max(axis=0), rel=1e-3)
    assert solids.to_surface(kind, size, x.reshape(40, 100, 3)).reshape(-1, 3) == pytest.approx(near)


def test_distance_outside_a_cylinder_is_that_of_a_minimiser():
    size = (0.01, 0.03)
    for x in np.random.default_rng(1).uniform(-0.04, 0.04, size=(6, 3)):
        disc = {"type": "ineq", "fun": lambda p: 1 - (p[0] ** 2 + p[1] ** 2) / size[0] ** 2}
        ends = {"type": "ineq", "fun": lambda p: 1 - (2 * p[2] / size[1]) ** 2}
        start = np.zeros(3)
        found = minimize(lambda p, x=x: ((p - x) ** 2).sum() * 1e4, start, constraints=[disc, ends], tol=1e-12)
        d = float(solids.signed_distance("cylinder", size, x[None])[0])
        assert max(d, 0) == pytest.approx(np.sqrt(found.fun / 1e4), abs=1e-5)


@pytest.mark.parametrize(("kind", "size"), CASES)
def test_points_cover_the_whole_surface(kind, size):
    points = solids.surface_points(kind, size, 2e-3)
    assert np.abs(solids.signed_distance(kind, size, points)).max() < 1e-12
    assert len(np.unique(points.round(9), axis=0)) == len(points)
    dense = solids.to_surface(kind, size, np.random.default_rng(0).uniform(-0.04, 0.04, size=(20000, 3)))
    assert KDTree(points).query(dense)[0].max() < 2e-3


def test_unknown_solids_are_refused():
    with pytest.raises(ValueError, match="Available: box, cylinder, sphere"):
        solids.signed_distance("cone", (1.0,), np.zeros((1, 3)))
