"""The canonical object frame must not depend on the object's own axes or on the world's yaw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.geometry.object_frame import canonical_object_frame


def _pose(rotation, t):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation.as_matrix(), t
    return T


BOX = np.random.default_rng(0).uniform([-0.05, -0.02, -0.1], [0.05, 0.02, 0.1], (400, 3))
BOX = np.concatenate([BOX, np.array(np.meshgrid([-0.05, 0.05], [-0.02, 0.02], [-0.1, 0.1])).reshape(3, -1).T])


def test_frame_of_a_box_worked_by_hand():
    T_world_object = _pose(Rotation.from_euler("z", 0.4), [0.5, 0.2, 0.1])
    T = T_world_object @ canonical_object_frame(T_world_object, BOX, np.array([0.5, -0.3, 0.4]))
    np.testing.assert_allclose(T[:3, 3], [0.5, 0.2, 0.1], atol=1e-6)
    np.testing.assert_allclose(T[:3, :3], [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 1000))
def test_same_scene_seen_from_another_side_is_the_same(yaw, x, y, seed):
    rng = np.random.default_rng(seed)
    cloud = BOX[rng.choice(400, 60)]  # lopsided
    T_world_object = _pose(Rotation.random(random_state=seed), [0.1, 0.2, 0.3])
    palm = np.array([0.5, -0.3, 0.4])
    turn = _pose(Rotation.from_euler("z", yaw), [x, y, 0.0])
    other_axes = _pose(Rotation.random(random_state=seed + 1), [0.3, 0.0, -0.1])
    T = T_world_object @ canonical_object_frame(T_world_object, cloud, palm)
    moved_object = turn @ T_world_object @ np.linalg.inv(other_axes)
    moved_cloud = cloud @ other_axes[:3, :3].T + other_axes[:3, 3]
    moved = moved_object @ canonical_object_frame(moved_object, moved_cloud, turn[:3, :3] @ palm + turn[:3, 3])
    np.testing.assert_allclose(moved[:3, 3], (turn @ T)[:3, 3], atol=5e-5)
    np.testing.assert_allclose(moved[:3, :3], (turn @ T)[:3, :3], atol=1e-3)


def test_palm_right_above_and_empty_cloud():
    T = canonical_object_frame(np.eye(4), np.array([[0.0, 0, 0]]), np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(T, np.eye(4), atol=1e-12)
    with pytest.raises(ValueError, match="cloud is empty"):
        canonical_object_frame(np.eye(4), np.zeros((0, 3)), np.zeros(3))
