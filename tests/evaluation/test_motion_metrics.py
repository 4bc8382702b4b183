"""Metrics against numbers worked out by hand, and against SciPy's rotations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.evaluation import motion_metrics as metrics


def _track(keypoints, T_world_palm=None, fps=30.0):
    T_world_palm = np.tile(np.eye(4), (len(keypoints), 1, 1)) if T_world_palm is None else T_world_palm
    return metrics.Track(keypoints_world=keypoints, T_world_palm=T_world_palm, wrist_world=keypoints[:, 0], fps=fps)


def test_mpjpe_by_hand():
    """Two frames of two points; errors 0, 5, 0 and 3 mm average to 2 mm."""
    truth = np.zeros((2, 2, 3))
    predicted = truth.copy()
    predicted[0, 1] = (0.003, 0.004, 0)
    predicted[1, 1] = (0, 0, 0.003)
    assert metrics.mpjpe_mm(predicted, truth) == pytest.approx(2.0)


def test_wrist_relative_ignores_translation_but_not_shape():
    truth = np.random.default_rng(0).normal(size=(4, 3, 3))
    moved = truth + np.array([0.1, -0.2, 0.3])
    assert metrics.mpjpe_mm(moved, truth) == pytest.approx(1e3 * np.sqrt(0.14))
    assert metrics.mpjpe_wrist_mm(moved, truth, moved[:, 0], truth[:, 0]) == pytest.approx(0, abs=1e-9)
    moved[:, 2, 0] += 0.006  # one of three points 6 mm off: 2 mm on average
    assert metrics.mpjpe_wrist_mm(moved, truth, moved[:, 0], truth[:, 0]) == pytest.approx(2.0)


def test_final_errors_look_at_the_last_frame_alone():
    truth = np.tile(np.eye(4), (3, 1, 1))
    predicted = truth.copy()
    predicted[:2, :3, 3] = 9.0
    predicted[2, :3, 3] = (0.03, 0, 0.04)
    predicted[2, :3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    assert metrics.fpl_mm(predicted, truth) == pytest.approx(50.0)
    assert metrics.fol_deg(predicted, truth) == pytest.approx(90.0)


@given(st.floats(1e-6, np.pi), st.integers(0, 2**31 - 1))
def test_orientation_error_is_the_angle_turned(angle, seed):
    generator = np.random.default_rng(seed)
    axis = generator.normal(size=3)
    base = Rotation.random(rng=generator)
    turned = base * Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    T = np.tile(np.eye(4), (2, 1, 1, 1))
    T[0, :, :3, :3], T[1, :, :3, :3] = base.as_matrix(), turned.as_matrix()
    assert metrics.fol_deg(T[1], T[0]) == pytest.approx(np.degrees(angle), rel=1e-6, abs=1e-7)


def test_jerk_of_a_cubic():
    """p = t³ on one axis has the third derivative 6 m/s³ everywhere; a parabola has none."""
    t = np.arange(10) / 30
    points = np.zeros((10, 2, 3))
    points[:, :, 0] = t[:, None] ** 3
    assert metrics.jerk(points, 30.0) == pytest.approx(6.0)
    points[:, :, 0] = t[:, None] ** 2
    assert metrics.jerk(points, 30.0) == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(metrics.jerk(points[:3], 30.0))


def test_interval_holds_the_mean_and_shrinks():
    values = np.random.default_rng(1).normal(50, 10, size=400)
    mean, low, high = metrics.mean_and_interval(values)
    assert low < mean < high
    # The normal approximation of the interval, 1.96 s / sqrt(n), within a tenth.
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert metrics.mean_and_interval(values) == (mean, low, high)
    assert metrics.mean_and_interval(np.array([3.0, np.nan])) == (3.0, 3.0, 3.0)


def test_score_and_summary():
    keypoints = np.random.default_rng(0).normal(size=(6, 4, 3))
    perfect = metrics.score(_track(keypoints), _track(keypoints))
    assert set(perfect) == set(metrics.METRICS)
    assert [perfect[m] for m in metrics.METRICS[:4]] == [0, 0, 0, 0]
    worse = metrics.score(_track(keypoints + 0.01), _track(keypoints))
    summary = metrics.summarise([perfect, worse])
    assert summary["mpjpe_mm"] == pytest.approx(1e3 * np.sqrt(3e-4) / 2)
    interval = summary["mpjpe_mm_ci"]
    assert isinstance(interval, list)
    low, high = interval
    assert low == pytest.approx(0)
    assert high == pytest.approx(1e3 * np.sqrt(3e-4))


def test_failed_predictions_are_refused():
    keypoints = np.zeros((3, 2, 3))
    broken = keypoints.copy()
    broken[1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        metrics.score(_track(broken), _track(keypoints))
    with pytest.raises(ValueError, match="shape"):
        metrics.score(_track(keypoints[:2]), _track(keypoints))
