"""Chains of curves go exactly through their key poses, and their derivatives are those of finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.geometry.bezier import chained


@pytest.fixture
def key_poses() -> np.ndarray:
    rng = np.random.default_rng(0)
    T = np.tile(np.eye(4), (5, 1, 1))
    T[:, :3, 3] = np.column_stack([np.arange(5), rng.normal(size=(5, 2)) / 3]) / 10
    T[:, :3, :3] = Rotation.from_rotvec(rng.normal(size=(5, 3)) / 3).as_matrix()
    return T


def test_a_chain_goes_exactly_through_its_key_poses(key_poses):
    (chain,) = chained(key_poses, 0.1)
    np.testing.assert_allclose(chain.at(np.arange(5.0)), key_poses, atol=1e-12)


def test_derivatives_agree_with_finite_differences(key_poses):
    (chain,) = chained(key_poses, 0.1, tension=0.2)
    x, step = np.linspace(0.01, 3.99, 60), 1e-5
    before, after = chain.at(x - step), chain.at(x + step)
    v, omega = chain.derivative(x)
    np.testing.assert_allclose(v, (after - before)[:, :3, 3] / (2 * step), atol=1e-7)
    turn = Rotation.from_matrix(before[:, :3, :3].swapaxes(1, 2) @ after[:, :3, :3]).as_rotvec()
    np.testing.assert_allclose(omega, turn / (2 * step), atol=1e-5)


def test_position_and_rotation_leave_a_key_pose_as_they_came(key_poses):
    (chain,) = chained(key_poses, 0.1)
    before, after = (np.column_stack(chain.derivative(np.arange(1.0, 4.0) + step)) for step in (-1e-9, 1e-9))
    ratio = np.linalg.norm(after, axis=1, keepdims=True) / np.linalg.norm(before, axis=1, keepdims=True)
    np.testing.assert_allclose(after, ratio * before, atol=1e-6)  # one factor for both: only the parameter jumps


def test_a_chain_ends_where_the_way_turns_back_and_repeats_count_once(key_poses):
    there_and_back = key_poses[[0, 0, 1, 1, 0]]
    assert [len(chain) for chain in chained(there_and_back, 0.1)] == [1, 1]
    assert [len(chain) for chain in chained(key_poses[[0, 0, 1, 2, 2]], 0.1)] == [2]
    assert chained(key_poses[[0, 0]], 0.1) == []
