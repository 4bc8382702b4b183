"""Interpolation against SciPy's splines and a turn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.spatial.transform import Rotation

from unihm.geometry.interpolation import poses_at, rows_at, smoothstep


@given(st.lists(st.floats(-2, 8), min_size=1, max_size=5), st.integers(0, 100))
def test_rows_are_those_of_scipy(frames: list[float], seed: int):
    values = np.random.default_rng(seed).normal(size=(6, 3))
    expected = interp1d(np.arange(6), values, axis=0)(np.clip(frames, 0, 5))
    np.testing.assert_allclose(rows_at(values, np.array(frames)), expected, atol=1e-12)


def test_poses_turn_evenly_and_stay_at_the_ends():
    T = np.tile(np.eye(4), (2, 1, 1))
    T[1, :3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    T[1, :3, 3] = (1, 2, 3)
    found = poses_at(T, np.array([-1.0, 0.5, 7.0]))
    np.testing.assert_allclose(found[[0, 2]], T, atol=1e-12)
    np.testing.assert_allclose(found[1, :3, :3], Rotation.from_euler("z", 45, degrees=True).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(found[1, :3, 3], (0.5, 1, 1.5))
    np.testing.assert_allclose(poses_at(T[1:], np.array([3.0])), T[1:])


def test_smoothstep_starts_and_ends_at_rest():
    s = np.array([0.0, 1e-6, 0.5, 1 - 1e-6, 1.0])
    found = smoothstep(s)
    assert found[[0, 2, 4]] == pytest.approx([0, 0.5, 1])
    np.testing.assert_allclose(np.diff(found)[[0, 3]], 0, atol=1e-11)
