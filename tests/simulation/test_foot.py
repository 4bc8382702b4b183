"""A guessed shape stands as it was seen: on analytic shapes, and in MuJoCo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from unihm.geometry.support import supports
from unihm.simulation.foot import foot
from unihm.simulation.perceived import perceived_of_cloud
from unihm.simulation.resting import resting_pose


def box(size: tuple[float, float, float]) -> np.ndarray:
    """Corners of a box on z = 0."""
    half = np.array(size) / 2
    signs = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    return half * signs + [0, 0, half[2]]


def test_what_stands_by_itself_gets_none():
    assert foot([box((0.05, 0.03, 0.1))], np.array([0, 0, 0.05])) is None


def test_an_uneven_bottom_gets_a_flat_one():
    corners = box((0.03, 0.08, 0.07))
    corners[(corners[:, 2] < 0.01) & (corners[:, 0] > 0), 2] = 0.004  # it would tip towards +x
    part = foot([corners], np.array([0.0, 0.0, 0.035]))
    assert part is not None
    on_table = part[part[:, 2] == 0.0]
    assert supports(on_table[:, :2], np.zeros(2), 0.001)
    assert part[:, 2].max() == pytest.approx(0.004)
    assert ConvexHull(part).volume > 0
    # Nothing is wider than what was there.
    assert (np.abs(part[:, :2]).max(axis=0) <= [0.015, 0.04]).all()


def test_what_leans_is_left_to_lean():
    corners = box((0.03, 0.03, 0.1))
    assert foot([corners], np.array([0.04, 0.0, 0.05])) is None


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_with_its_foot_every_shape_is_supported(seed: int):
    rng = np.random.default_rng(seed)
    corners = box((0.06, 0.05, 0.08)) + rng.uniform(-0.004, 0.004, (8, 3))
    centre = corners.mean(axis=0)
    part = foot([corners], centre)
    standing = corners if part is None else part
    low = corners[:, 2].min()
    assert standing[:, 2].min() == low
    assert supports(standing[standing[:, 2] <= low + 5e-4][:, :2], centre[:2])


def test_a_thin_box_whose_edge_is_guessed_unevenly_does_not_fall():
    rng = np.random.default_rng(0)
    n = 1500
    axis, sign = rng.choice(3, n, p=[0.44, 0.16, 0.4]), rng.choice([-1.0, 1.0], n)
    half = np.array([0.014, 0.042, 0.036])
    normals = np.eye(3)[axis] * sign[:, None]
    points = rng.uniform(-1, 1, (n, 3)) * half
    points[np.arange(n), axis] = sign * half[axis]
    points[:, 2] += 0.15 * points[:, 0] * (points[:, 2] < 0)  # the underside slopes by 2 mm
    T = np.eye(4)
    T[2, 3] = half[2]
    perceived = perceived_of_cloud(points, normals, T)
    rested = resting_pose(perceived.object, perceived.T_world_object)
    turn = perceived.T_world_object[:3, :3].T @ rested[:3, :3]
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 3
