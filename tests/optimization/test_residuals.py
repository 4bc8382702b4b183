"""Residual blocks: the contact kernel against Eq. 12 as printed, Jacobians against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.optimization import residuals

K = 200.0


def test_contact_energy_is_equation_12():
    d = np.array([0.03, 0.004, 0.0, -1e-6, -1e-4, -0.004, -0.02])
    root, _ = residuals.contact_root(d, K)
    inside = (np.exp(-K * d) + K * d - 1) / K**2
    np.testing.assert_allclose(0.5 * root**2, np.where(d >= 0, 0.5 * d * d, inside), rtol=1e-4, atol=1e-17)
    np.testing.assert_array_equal(np.sign(root), np.sign(d))


def test_inside_costs_more_than_outside_at_the_declared_scale():
    outside, inside = residuals.contact_root(np.array([0.005, -0.005]), K)[0] ** 2
    assert inside / outside == pytest.approx(2 * (np.e - 2), rel=1e-6)  # k d = 1: (e - 2) against 1 / 2
    metres = residuals.contact_root(np.array([0.005, -0.005]), 1.0)[0] ** 2
    assert metres[1] / metres[0] == pytest.approx(1.0017, abs=2e-4)  # the unit trap of k = 1 in metres


def test_contact_root_is_smooth_at_its_seams():
    for seam in (0.0, -1e-2 / K, -30 / K):
        d = seam + np.array([-1e-9, 1e-9])
        root, slope = residuals.contact_root(d, K)
        assert abs(np.diff(root).item()) < 1e-2 * (1 if seam < -0.1 else 1e-3)
        np.testing.assert_allclose(slope[0], slope[1], rtol=1e-4)
    d = np.linspace(-0.2, 0.05, 5001)
    root, slope = residuals.contact_root(d, K)
    assert np.isfinite(root).all()
    assert (np.diff(root) > 0).all()
    np.testing.assert_allclose(slope[1:-1], (root[2:] - root[:-2]) / (d[2:] - d[:-2]), rtol=2e-3)


def _check(block, x):
    """Jacobian of `block(x) -> (r, J)` against central differences, every element of the batch at once."""
    r, J = block(x)
    assert r.shape == J.shape[:2]
    for i in range(x.shape[1]):
        h = np.zeros_like(x)
        h[:, i] = 1e-6
        np.testing.assert_allclose(J[..., i], (block(x + h)[0] - block(x - h)[0]) / 2e-6, rtol=1e-5, atol=1e-4)


def test_jacobians():
    rng = np.random.default_rng(0)
    x, A = rng.normal(size=(4, 6)), rng.normal(size=(4, 5, 3, 6))
    target, previous, before = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    sigma, gate = rng.uniform(0.5, 2, 5), rng.uniform(0, 1, (4, 5))

    def points(x):
        return np.einsum("bkin,bn->bki", A, x)

    _check(lambda x: residuals.position_residual(points(x), A, target, sigma[None]), x)
    _check(lambda x: residuals.prior_residual(x, previous, rng.uniform(1, 1, 6)), x)
    _check(lambda x: residuals.smoothness_residual(x, previous, before, 0.3, 0.7), x)
    d, J_d = 0.01 * A[:, :, 0], 0.01 * A[:, :, 0]
    _check(lambda x: residuals.contact_residual(np.einsum("bkn,bn->bk", d, x), J_d, gate, 0.01, K), x)
    _check(lambda x: residuals.clearance_residual(np.einsum("bkn,bn->bk", d, x), J_d, 0.01), x)


def test_merged_priors_have_the_same_differences():
    rng = np.random.default_rng(0)
    priors = [(rng.normal(size=6), rng.uniform(0.5, 2, 6)) for _ in range(3)]
    mean, sigma = residuals.merge_priors(*priors)
    x, y = rng.normal(size=(2, 6))

    def energy(x, priors):
        return sum((((x - m) / s) ** 2).sum() for m, s in priors)

    assert energy(x, priors) - energy(y, priors) == pytest.approx(
        energy(x, [(mean, sigma)]) - energy(y, [(mean, sigma)])
    )


def test_one_sided_and_gated_terms_vanish_where_they_should():
    r, J = residuals.clearance_residual(np.array([[0.0, 1e-3, -2e-3]]), np.ones((1, 3, 2)), 1e-3)
    np.testing.assert_allclose(r, [[0, 0, -2]])
    np.testing.assert_array_equal(J[0, :2], 0)
    r, J = residuals.contact_residual(np.array([[0.01, 0.01]]), np.ones((1, 2, 2)), np.array([[0.0, 0.25]]), 1e-3, K)
    np.testing.assert_allclose(r, [[0, 5]])
    np.testing.assert_array_equal(J[0, 0], 0)
