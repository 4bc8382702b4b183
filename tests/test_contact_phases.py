"""Lift and contact frames under annotation noise, and on real recordings."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.contact_phases import contact_frame, contact_phase, lift_frame
from unihm.kinematics.keypoints import INDEX_TIP


def _path(lift, frames=72, noise=0.0, height=0.3, seed=0):
    """A path that rests until `lift`, the first moving frame, and then follows a minimum-jerk rise."""
    rng = np.random.default_rng(seed)
    s = np.clip((np.arange(frames) - lift + 1) / 30, 0, 1)
    T = np.tile(np.eye(4), (frames, 1, 1))
    T[:, 2, 3] = height * (10 * s**3 - 15 * s**4 + 6 * s**5)
    T[:, :3, 3] += np.array([0.3, -0.2, 0.05]) + rng.normal(0, noise, (frames, 3))
    T[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, noise * 10, (frames, 3))).as_matrix()
    return T


@settings(max_examples=40, deadline=None)
@given(st.integers(12, 40), st.floats(0, 1.5e-3), st.integers(0, 1000))
def test_lift_is_found_within_a_few_frames_under_noise(lift, noise, seed):
    assert lift - 1 <= lift_frame(_path(lift, noise=noise, seed=seed)) <= lift + 7


def test_lift_of_a_clean_path_and_of_objects_that_stay():
    assert lift_frame(_path(25)) - 25 in (0, 1, 2)
    assert lift_frame(_path(100)) == 72
    assert lift_frame(_path(100, noise=1e-3)) == 72
    assert lift_frame(_path(1)[:1]) == 1


def test_a_jump_of_one_frame_is_no_lift():
    T = _path(30)
    T[12, 0, 3] += 0.05
    assert 30 <= lift_frame(T) <= 33


def test_contact_is_the_first_touch_and_not_after_the_lift():
    T = _path(40)
    cloud = np.random.default_rng(0).uniform(-0.02, 0.02, (200, 3))
    keypoints = np.full((72, 21, 3), 5.0)
    assert contact_frame(keypoints, T, cloud) == lift_frame(T)
    keypoints[30:, INDEX_TIP] = T[30:, :3, 3] + T[30:, :3, :3] @ cloud[0] + np.array([0, 0, 0.004])
    assert contact_frame(keypoints, T, cloud) == 30
    keypoints[:35] = np.nan
    assert contact_frame(keypoints, T, cloud) == 35


def test_phase_rises_smoothly_and_is_complete_before_the_lift():
    phase = contact_phase(60, 30)
    assert phase.shape == (60,)
    assert (np.diff(phase) >= 0).all()
    assert np.abs(np.diff(phase, n=2)).max() < 0.06
    np.testing.assert_array_equal(phase[:18], 0)
    np.testing.assert_array_equal(phase[27:], 1)
    assert (contact_phase(10, 0) == 1).all()
    with pytest.raises(ValueError, match="at least one frame"):
        contact_phase(0, 0)


def test_real_objects_are_on_the_table_until_the_lift(shared_data):
    """501 DexYCB recordings: height above the first frame, along the fitted table normal."""
    folder = shared_data / "dexycb"
    data = np.load(folder / "dexycb_right.npz")
    table = json.loads((folder / "derived_table_plane.json").read_text())
    quaternion, position = data["obj_quat_xyzw"], data["obj_trans"]
    at_lift, later = [], []
    for entry in json.loads((folder / "dexycb_right_index.json").read_text())[::5]:
        part = slice(entry["start"], entry["start"] + entry["num_frames"])
        T = np.tile(np.eye(4), (entry["num_frames"], 1, 1))
        T[:, :3, :3] = Rotation.from_quat(quaternion[part]).as_matrix()
        T[:, :3, 3] = position[part]
        lift = lift_frame(T)
        if lift == len(T):
            continue
        moved = np.linalg.norm(T[:, :3, 3] - np.median(T[:10, :3, 3], axis=0), axis=1)
        height = position[part] @ np.array(table[entry["subject"]]["up"])
        at_lift.append(abs(height[lift] - height[0]))
        later.append(moved[min(lift + 15, len(T) - 1)])
    assert len(at_lift) > 95
    assert np.percentile(at_lift, 95) < 0.006
    assert np.median(later) > 0.05
