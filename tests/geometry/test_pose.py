"""Poses on disk against poses in memory, and both against SciPy."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from unihm.geometry.pose import pose_to_vector, vector_to_pose, yaw_pose

# -0.5, 0 and 0.5 make half turns and equal entries, where the largest entry is no longer unique
_NUMBERS = st.one_of(st.sampled_from([-0.5, 0.0, 0.5, 1.0]), st.floats(-1, 1))


@given(arrays(np.float64, (3, 4), elements=_NUMBERS).filter(lambda q: np.linalg.norm(q, axis=1).min() > 1e-3))
def test_both_ways_as_scipy(quaternion):
    vector = np.concatenate([np.arange(9.0).reshape(3, 3), quaternion], axis=1)
    peer = Rotation.from_quat(quaternion, scalar_first=True)
    T = vector_to_pose(vector)
    np.testing.assert_allclose(T[:, :3, :3], peer.as_matrix(), atol=1e-14)
    back = pose_to_vector(T)
    np.testing.assert_array_equal(back[:, :3], vector[:, :3])
    assert (back[:, 3] >= 0).all()
    same = np.abs((back[:, 3:] * peer.as_quat(scalar_first=True)).sum(1))  # q and -q are the same rotation
    np.testing.assert_allclose(same, 1, atol=1e-14)


def test_round_trip_over_batch_shapes():
    for shape in ((), (0,), (5,), (2, 3)):
        T = np.zeros((*shape, 4, 4))
        T[..., :3, :3] = np.eye(3)
        if T.size:
            R = Rotation.random(int(np.prod(shape)), random_state=0).as_matrix()
            T[..., :3, :3] = R.reshape(*shape, 3, 3)
        T[..., :3, 3] = np.random.default_rng(0).normal(size=(*shape, 3))
        T[..., 3, 3] = 1
        vector = pose_to_vector(T)
        assert vector.shape == (*shape, 7)
        assert (vector[..., 3] >= 0).all()
        np.testing.assert_allclose(vector_to_pose(vector), T, atol=1e-12)


def test_quarter_turn_about_z_worked_by_hand():
    T = np.eye(4)
    T[:2, :2] = [[0, -1], [1, 0]]
    T[:3, 3] = 1, 2, 3
    np.testing.assert_allclose(pose_to_vector(T), [1, 2, 3, np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-12)


@pytest.mark.parametrize("R", [np.diag([1.0, 1.0, -1.0]), 2 * np.eye(3), np.full((3, 3), np.nan)])
def test_what_is_no_rotation_is_refused(R):
    T = np.eye(4)
    T[:3, :3] = R
    with pytest.raises(ValueError, match="no rotation"):
        pose_to_vector(T)


def test_quaternion_of_length_zero_is_refused():
    with pytest.raises(ValueError, match="length zero"):
        vector_to_pose(np.zeros(7))


@given(st.floats(-10, 10))
def test_yaw_as_scipy(yaw):
    T = yaw_pose(yaw, (1.0, 2.0))
    np.testing.assert_allclose(T[:3, :3], Rotation.from_euler("z", yaw).as_matrix(), atol=1e-14)
    np.testing.assert_array_equal(T[:, 3], [1, 2, 0, 1])
