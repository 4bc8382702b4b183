"""The solver against SciPy on problems with known minima."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares, lsq_linear

from unihm.geometry import lie
from unihm.optimization.levenberg_marquardt import Status, minimize

torch64 = torch.float64


def _box(lower, upper):
    return {"retract": lambda x, d: (x + d).clamp(lower, upper), "room": lambda x: (lower - x, upper - x)}


def _rosenbrock(x):
    a, b = x.unbind(-1)
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    r = torch.stack([10 * (b - a * a), 1 - a], -1)
    J = torch.stack([torch.stack([-20 * a, 10 * one], -1), torch.stack([-one, zero], -1)], -2)
    return r, J


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 12), st.integers(0, 12))
def test_linear_problems_with_bounds_agree_with_lsq_linear(seed, batch, n, extra):
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(batch, n + extra, n, generator=g, dtype=torch64)
    b = 3 * torch.randn(batch, n + extra, generator=g, dtype=torch64)
    lower, upper = torch.full((n,), -0.3, dtype=torch64), torch.full((n,), 0.2, dtype=torch64)
    start = torch.zeros(batch, n, dtype=torch64)
    solution = minimize(lambda x: ((A @ x[..., None])[..., 0] - b, A), start, **_box(lower, upper), max_iterations=200)
    for i in range(batch):
        expected = lsq_linear(A[i].numpy(), b[i].numpy(), (-0.3, 0.2), method="bvls", tol=1e-14)
        assert solution.cost[i].item() == pytest.approx(expected.cost, rel=1e-8, abs=1e-12)
        assert solution.status[i] == Status.CONVERGED
    assert (solution.x >= lower).all()
    assert (solution.x <= upper).all()


@pytest.mark.parametrize("upper", [[3.0, 3.0], [0.5, 3.0], [3.0, 0.2], [-0.5, 0.1]])
def test_rosenbrock_with_bounds_agrees_with_scipy(upper):
    upper = torch.tensor(upper, dtype=torch64)
    lower = torch.full((2,), -2.0, dtype=torch64)
    start = torch.tensor([[-1.2, 0.05], [-1.0, -1.0]], dtype=torch64)
    solution = minimize(_rosenbrock, start, **_box(lower, upper), max_iterations=300)
    expected = least_squares(
        lambda x: _rosenbrock(torch.tensor(x)[None])[0][0].numpy(),
        start[0].numpy(), bounds=(lower.numpy(), upper.numpy()), xtol=1e-15, ftol=1e-15, gtol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(solution.x.numpy(), np.tile(expected.x, (2, 1)), atol=1e-5)
    assert (solution.status == Status.CONVERGED).all()


def test_elements_of_a_batch_do_not_influence_each_other():
    start = torch.tensor([[-1.2, 1.0], [5.0, -3.0], [1.0, 1.0]], dtype=torch64)
    together = minimize(_rosenbrock, start)
    for i in range(3):
        alone = minimize(_rosenbrock, start[i : i + 1])
        torch.testing.assert_close(alone.x[0], together.x[i], atol=1e-12, rtol=0)
        assert alone.iterations[0] == together.iterations[i]


def test_the_cost_never_rises():
    costs = []

    def recorded(x):
        r, J = _rosenbrock(x)
        costs.append(0.5 * (r * r).sum().item())
        return r, J

    solution = minimize(recorded, torch.tensor([[-1.2, 1.0]], dtype=torch64))
    assert solution.cost.item() == min(costs)
    for limit in range(1, 8):
        shorter = minimize(_rosenbrock, torch.tensor([[-1.2, 1.0]], dtype=torch64), max_iterations=limit)
        assert shorter.cost.item() <= costs[0]
        assert shorter.status.item() == Status.MAX_ITERATIONS


def test_statuses():
    nan = torch.tensor([[float("nan"), 1.0], [1.0, 0.5]], dtype=torch64)
    solution = minimize(_rosenbrock, nan)
    assert solution.status.tolist() == [Status.NOT_FINITE, Status.CONVERGED]
    assert solution.iterations[0] == 0
    wrong_sign = minimize(
        lambda x: (x, -torch.eye(2, dtype=torch64)[None]), torch.ones(1, 2, dtype=torch64), max_iterations=99
    )
    assert wrong_sign.status.item() == Status.STALLED
    torch.testing.assert_close(wrong_sign.x, torch.ones(1, 2, dtype=torch64))


def test_steps_into_nan_are_refused():
    def root(x):  # sqrt is NaN below zero, and the first full step goes there
        return torch.sqrt(x) - 0.01, (0.5 / torch.sqrt(x))[..., None]

    solution = minimize(root, torch.tensor([[1.0], [9.0]], dtype=torch64))
    torch.testing.assert_close(solution.x, torch.full((2, 1), 1e-4, dtype=torch64), atol=1e-9, rtol=0)


def test_directions_without_residual_stay():
    J = torch.tensor([[[1.0, 1.0, 0.0]]], dtype=torch64)
    solution = minimize(lambda x: ((J @ x[..., None])[..., 0] - 2, J), torch.zeros(1, 3, dtype=torch64))
    torch.testing.assert_close(solution.x, torch.tensor([[1.0, 1.0, 0.0]], dtype=torch64), atol=1e-6, rtol=0)


def test_states_that_are_no_vectors():
    """Rotations, moved by their tangents, to the rotation nearest to three others."""
    g = torch.Generator().manual_seed(0)
    targets = lie.so3_exp(0.3 * torch.randn(4, 3, 3, generator=g, dtype=torch64))

    def residual(R):
        d = lie.so3_log(targets.transpose(-1, -2) @ R[:, None])
        step = 1e-6 * torch.eye(3, dtype=torch64)
        moved = R[:, None] @ lie.so3_exp(step)
        J = (lie.so3_log(targets[:, :, None].transpose(-1, -2) @ moved[:, None]) - d[:, :, None]) / 1e-6
        return d.flatten(1), J.transpose(-1, -2).flatten(1, 2)

    solution = minimize(residual, torch.eye(3, dtype=torch64).repeat(4, 1, 1), retract=lambda R, d: R @ lie.so3_exp(d))
    gradient = torch.einsum("bij,bi->bj", residual(solution.x)[1], residual(solution.x)[0])
    assert gradient.abs().max() < 1e-4
    assert (solution.status == Status.CONVERGED).all()
