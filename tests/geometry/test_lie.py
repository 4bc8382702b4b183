"""Lie groups against SciPy and against their axioms, over batch shapes and dtypes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from unihm.geometry import lie

SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
SEEDS = st.integers(0, 2**31)
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}


def _vectors(shape, n, seed, scale=1.0, dtype=torch.float64):
    return scale * torch.randn(*shape, n, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("angle", [0, 1e-12, 1e-8, 1e-4, 0.05, 0.0999, 0.1001, 1, 3, math.pi - 1e-6, math.pi - 1e-10])
def test_so3_and_se3_agree_with_scipy_at_every_angle(angle):
    omega = _vectors((20,), 3, 0)
    omega = omega / omega.norm(dim=-1, keepdim=True) * angle
    xi = torch.cat([_vectors((20,), 3, 1), omega], -1)
    twist = np.zeros((20, 4, 4))
    twist[:, :3, :3], twist[:, :3, 3] = lie.hat(omega).numpy(), xi[:, :3].numpy()
    np.testing.assert_allclose(lie.so3_exp(omega).numpy(), Rotation.from_rotvec(omega.numpy()).as_matrix(), atol=1e-14)
    np.testing.assert_allclose(lie.se3_exp(xi).numpy(), np.stack([expm(m) for m in twist]), atol=2e-14)
    torch.testing.assert_close(lie.so3_log(lie.so3_exp(omega)), omega, atol=1e-13, rtol=0)
    torch.testing.assert_close(lie.se3_log(lie.se3_exp(xi)), xi, atol=1e-13, rtol=0)


def test_half_turns_have_a_logarithm_of_length_pi():
    R = torch.from_numpy(Rotation.from_rotvec(np.pi * np.eye(3)).as_matrix())
    omega = lie.so3_log(R)
    torch.testing.assert_close(omega.norm(dim=-1), torch.full((3,), math.pi, dtype=torch.float64))
    torch.testing.assert_close(lie.so3_exp(omega), R, atol=1e-14, rtol=0)


@settings(max_examples=30, deadline=None)
@given(SHAPES, SEEDS, st.sampled_from([torch.float32, torch.float64]))
def test_group_axioms(shape, seed, dtype):
    tolerance = TOLERANCE[dtype]
    A, B, C = (lie.se3_exp(_vectors(shape, 6, seed + i, dtype=dtype)) for i in range(3))
    assert A.shape == (*shape, 4, 4)
    assert A.dtype == dtype
    eye = torch.eye(4, dtype=dtype).expand(*shape, 4, 4)
    torch.testing.assert_close((A @ B) @ C, A @ (B @ C), atol=10 * tolerance, rtol=tolerance)
    torch.testing.assert_close(A @ lie.inverse(A), eye, atol=10 * tolerance, rtol=0)
    torch.testing.assert_close(lie.se3_exp(lie.se3_log(A)), A, atol=10 * tolerance, rtol=0)
    points = _vectors((*shape, 5), 3, seed, dtype=dtype)
    there = lie.transform_points(A, lie.transform_points(B, points))
    torch.testing.assert_close(lie.transform_points(A @ B, points), there, atol=10 * tolerance, rtol=tolerance)


@settings(max_examples=30, deadline=None)
@given(SHAPES, SEEDS)
def test_other_rotation_forms_return_the_rotation(shape, seed):
    R = lie.so3_exp(_vectors(shape, 3, seed, 3.0))
    torch.testing.assert_close(lie.matrix_from_quaternion(lie.quaternion_from_matrix(R)), R, atol=1e-12, rtol=0)
    torch.testing.assert_close(lie.matrix_from_6d(lie.rotation_6d(R)), R, atol=1e-12, rtol=0)
    torch.testing.assert_close(lie.geodesic_angle(R, R), torch.zeros(shape, dtype=R.dtype), atol=1e-7, rtol=0)


def test_quaternions_agree_with_scipy():
    R = lie.so3_exp(_vectors((200,), 3, 3, 3.0))
    expected = Rotation.from_matrix(R.numpy()).as_quat(canonical=True)[:, [3, 0, 1, 2]]
    np.testing.assert_allclose(lie.quaternion_from_matrix(R).numpy(), expected, atol=1e-12)


def test_geodesic_angle_of_a_known_turn():
    R = lie.so3_exp(torch.tensor([[0.0, 0.0, 0.7]]))
    assert lie.geodesic_angle(torch.eye(3)[None], R).item() == pytest.approx(0.7, abs=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.09, 1.0])
def test_gradients_agree_with_finite_differences(scale):
    xi = (scale * _vectors((4,), 6, 5)).requires_grad_()
    assert torch.autograd.gradcheck(lie.se3_exp, xi)
    assert torch.autograd.gradcheck(lambda x: lie.se3_log(lie.se3_exp(x)), xi)


def test_left_jacobian_is_the_derivative_of_the_exponential():
    omega = _vectors((10,), 3, 7)
    delta = 1e-6 * _vectors((10,), 3, 8)
    R, V = lie.so3_exp_and_left_jacobian(omega)
    moved = lie.so3_exp((V @ delta[..., None])[..., 0]) @ R
    torch.testing.assert_close(lie.so3_exp(omega + delta), moved, atol=1e-11, rtol=0)
