"""Poses on disk against poses in memory."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from unihm.geometry.pose import pose_to_vector, vector_to_pose


def test_round_trip_over_batch_shapes():
    for shape in ((), (5,), (2, 3)):
        T = np.zeros((*shape, 4, 4))
        T[..., :3, :3] = Rotation.random(int(np.prod(shape)), random_state=0).as_matrix().reshape(*shape, 3, 3)
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
