"""Whole recordings: exact recovery, limits, mirror images, one answer per pose, threads, the report."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from retargeting_cases import (
    FLIP,
    description_of,
    human_motion,
    human_tips,
    keypoints_world,
    model_of,
    representative_hands,
    tips_world,
)
from scipy.spatial.transform import Rotation

from unihm.hands.description import list_hands
from unihm.kinematics.keypoints import palm_frame
from unihm.retargeting import PRESETS, RetargetingConfig, retarget, retarget_with_report

HANDS = representative_hands()
# Nothing but keypoints, as they are: what pulls to rest, palm and smoothness is as good as left out.
PLAIN = RetargetingConfig(
    link_scaling="none", palm_orientation_sigma=np.inf, rest_sigma=1e4, joint_step_sigma=np.inf, palm_step_sigma=np.inf,
    palm_turn_sigma=np.inf, tolerance=1e-9,
)  # fmt: skip


@pytest.mark.parametrize("name", [name for name in list_hands() if len(description_of(name).keypoint_indices) == 21])
def test_a_hands_own_motion_is_recovered(small_atlas, name):
    """A hand with all 21 keypoints moves within its limits; its keypoints lead back to its joints and its palm."""
    model = model_of(name)
    rng = np.random.default_rng(1)
    s = np.linspace(0, 1, 10)[:, None]
    lower, upper, rest = model.lower.numpy(), model.upper.numpy(), model.rest_qpos.numpy()
    q = rest + 0.5 * s * (rng.uniform(lower, upper) - rest)
    T = np.tile(np.eye(4), (10, 1, 1))
    T[:, :3, :3] = Rotation.from_rotvec(s * rng.normal(0, 1, 3)).as_matrix()
    T[:, :3, 3] = [0.3, -0.1, 0.2] + s * rng.normal(0, 0.2, 3)
    keypoints = keypoints_world(model, q, T)
    motion, report = retarget_with_report([keypoints], model, PLAIN)
    assert (
        np.linalg.norm(keypoints_world(model, motion[0].qpos, motion[0].T_world_palm) - keypoints, axis=-1).max() < 1e-6
    )
    np.testing.assert_allclose(motion[0].qpos, q, atol=1e-3)
    np.testing.assert_allclose(motion[0].T_world_palm, T, atol=1e-4)
    assert report.fingertip_mm < 1e-3


@pytest.mark.parametrize("name", list_hands())
def test_every_hand_keeps_its_limits_and_reaches_the_tips(small_atlas, name):
    model = model_of(name)
    keypoints = [human_motion(frames, seed, model.side) for seed, frames in enumerate((20, 1, 8))]
    motions, report = retarget_with_report(keypoints, model)
    assert [len(motion) for motion in motions] == [20, 1, 8]
    assert report.frames == 29
    assert report.status == {"CONVERGED": 29, "MAX_ITERATIONS": 0, "STALLED": 0, "NOT_FINITE": 0}
    for motion in motions:
        assert motion.hand == name
        assert motion.joint_names == model.joint_names
        assert ((motion.qpos >= model.lower.numpy()) & (motion.qpos <= model.upper.numpy())).all()
        R = motion.T_world_palm[:, :3, :3]
        np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (len(R), 1, 1)), atol=1e-9)
    if len(model.joint_names) > 15:  # fewer joints do not reach every posture
        assert report.fingertip_mm < 4


def exact_mirror(name: str) -> bool:
    left, right = model_of(f"{name}_left"), model_of(name)
    q = right.rest_qpos
    same = left.joint_names == right.joint_names and bool((left.lower == right.lower).all())
    return same and np.allclose(left.keypoints(q).numpy(), right.keypoints(q).numpy() @ FLIP, atol=1e-9)


MIRRORED = [name for name in list_hands() if f"{name}_left" in list_hands() and exact_mirror(name)]


@pytest.mark.parametrize("name", MIRRORED)
@pytest.mark.parametrize("config", [RetargetingConfig(), PRESETS["vector"]], ids=["default", "vector"])
def test_the_mirrored_hand_moves_as_the_mirror_image(small_atlas, name, config):
    keypoints = human_motion(30, 5)
    right = retarget([keypoints], model_of(name), config)[0]
    left = retarget([keypoints @ FLIP], model_of(f"{name}_left"), config)[0]
    np.testing.assert_allclose(left.qpos, right.qpos, atol=1e-5)
    # Both palm frames have y = z × x, and the mirror turns that about: y points to the thumb on a left hand.
    flip = np.diag([1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(left.T_world_palm, flip @ right.T_world_palm @ flip, atol=1e-5)


def test_some_hand_is_an_exact_mirror():
    assert {"human", HANDS["largest"]} <= set(MIRRORED)


def test_a_sequence_does_not_depend_on_its_company(small_atlas):
    """In one call or alone, whatever the order, in one thread or several: the same bytes."""
    model = model_of(HANDS["four fingers"])
    a, b, c = (human_motion(frames, seed) for frames, seed in ((9, 1), (15, 2), (4, 3)))
    alone = [retarget([k], model)[0] for k in (a, b, c)]
    for threads in (1, 2, 3, 0):
        motions, report = retarget_with_report([a, b, c], model, threads=threads)
        assert report == retarget_with_report([a, b, c], model)[1]
        for motion, expected in zip(motions, alone, strict=True):
            assert motion.qpos.tobytes() == expected.qpos.tobytes()
            assert motion.T_world_palm.tobytes() == expected.T_world_palm.tobytes()
    for motion, expected in zip(retarget([c, b, a], model, threads=2), alone[::-1], strict=True):
        assert motion.qpos.tobytes() == expected.qpos.tobytes()


def test_moving_the_world_moves_the_palm_only(small_atlas):
    model = model_of(HANDS["largest"])
    keypoints = human_motion(6)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec([0.5, -2, 1]).as_matrix(), [1, -2, 0.5]
    here = retarget([keypoints], model)[0]
    there = retarget([keypoints @ T[:3, :3].T + T[:3, 3]], model)[0]
    np.testing.assert_allclose(there.qpos, here.qpos, atol=1e-3)
    np.testing.assert_allclose(there.T_world_palm, T @ here.T_world_palm, atol=1e-3)


def test_the_input_stays_as_it_is_and_may_have_any_layout(small_atlas):
    model = model_of(HANDS["mimic"])
    keypoints = human_motion(6).astype(np.float32)
    kept = keypoints.copy()
    expected = retarget([keypoints.astype(float)], model)[0].qpos
    np.testing.assert_array_equal(retarget([keypoints], model)[0].qpos, expected)
    np.testing.assert_array_equal(retarget([np.asfortranarray(keypoints)], model)[0].qpos, expected)
    np.testing.assert_array_equal(retarget([np.repeat(keypoints, 2, axis=0)[::2]], model)[0].qpos, expected)
    np.testing.assert_array_equal(keypoints, kept)


def test_nothing_in_nothing_out():
    motions, report = retarget_with_report([], model_of("human"))
    assert motions == []
    assert report.frames == 0


def test_the_report_is_what_the_motions_say(small_atlas):
    model = model_of(HANDS["mimic"])
    keypoints = [human_motion(10, 1), human_motion(3, 2) + 0.5]
    motions, report = retarget_with_report(keypoints, model)
    error = np.concatenate(
        [
            np.linalg.norm(tips_world(model, motion.qpos, motion.T_world_palm) - human_tips(model, human), axis=-1)
            for motion, human in zip(motions, keypoints, strict=True)
        ]
    )
    assert error.shape == (13, len(model.fingers))
    assert report.fingertip_mm == pytest.approx(1e3 * error.mean(), rel=1e-9)
    assert report.fingertip_p95_mm == pytest.approx(1e3 * np.percentile(error, 95), rel=1e-9)
    assert json.loads(json.dumps(vars(report)))["frames"] == 13


def test_a_search_that_is_cut_short_is_reported(small_atlas):
    model = model_of(HANDS["largest"])
    motions, report = retarget_with_report([human_motion(5)], model, RetargetingConfig(max_iterations=1))
    assert report.status["MAX_ITERATIONS"] == 5
    assert ((motions[0].qpos >= model.lower.numpy()) & (motions[0].qpos <= model.upper.numpy())).all()


def test_a_still_hand_has_a_still_answer(small_atlas):
    """The same frame over and over, which a search from the past could drift along."""
    model = model_of(HANDS["largest"])
    for config in (RetargetingConfig(), PRESETS["position"]):
        motion = retarget([np.tile(human_motion(8)[-1:], (40, 1, 1))], model, config)[0]
        assert np.degrees(np.ptp(motion.qpos, axis=0)).max() < 0.05
        alone = retarget([human_motion(8)[-1:]], model, replace(config, joint_step_sigma=np.inf))[0]
        assert np.degrees(np.abs(motion.qpos[20] - alone.qpos[0])).max() < 0.05


def test_the_palm_that_is_held_is_the_humans(small_atlas):
    keypoints = human_motion(5)
    motion = retarget([keypoints], model_of(HANDS["largest"]), RetargetingConfig(fixed_palm=True))[0]
    np.testing.assert_allclose(motion.T_world_palm, palm_frame(keypoints), atol=1e-12)
