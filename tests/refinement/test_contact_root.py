"""The contact kernel against Eq. 12 as printed, and its slope against differences."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.refinement import frame

K = 200.0


def root_and_slope(d, k=K):
    return np.array([frame.contact_root(float(x), k) for x in d]).T


def test_contact_energy_is_equation_12():
    d = np.array([0.03, 0.004, 0.0, -1e-6, -1e-4, -0.004, -0.02])
    root, _ = root_and_slope(d)
    inside = (np.exp(-K * d) + K * d - 1) / K**2
    np.testing.assert_allclose(0.5 * root**2, np.where(d >= 0, 0.5 * d * d, inside), rtol=1e-4, atol=1e-17)
    np.testing.assert_array_equal(np.sign(root), np.sign(d))


def test_inside_costs_more_than_outside_at_the_declared_scale():
    outside, inside = root_and_slope([0.005, -0.005])[0] ** 2
    assert inside / outside == pytest.approx(2 * (np.e - 2), rel=1e-6)  # k d = 1: (e - 2) against 1 / 2
    metres = root_and_slope([0.005, -0.005], 1.0)[0] ** 2
    assert metres[1] / metres[0] == pytest.approx(1.0017, abs=2e-4)  # the unit trap of k = 1 in metres


def test_contact_root_is_smooth_at_its_seams():
    for seam in (0.0, -1e-2 / K, -30 / K):
        root, slope = root_and_slope(seam + np.array([-1e-9, 1e-9]))
        assert abs(np.diff(root).item()) < 1e-2 * (1 if seam < -0.1 else 1e-3)
        np.testing.assert_allclose(slope[0], slope[1], rtol=1e-4)
    d = np.linspace(-0.2, 0.05, 5001)
    root, slope = root_and_slope(d)
    assert np.isfinite(root).all()
    assert (np.diff(root) > 0).all()
    np.testing.assert_allclose(slope[1:-1], (root[2:] - root[:-2]) / (d[2:] - d[:-2]), rtol=2e-3)
