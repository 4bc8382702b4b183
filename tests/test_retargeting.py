"""Retargeting: derivatives, exact recovery of a hand's own motion, limits, one answer per pose, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from unihm import retargeting
from unihm.geometry.lie import transform_points
from unihm.hands.hand import HandModel, list_hands, load_hand
from unihm.kinematics.keypoints import palm_frame
from unihm.retargeting import RetargetingConfig, retarget, retarget_with_report


@pytest.fixture(params=list_hands())
def hand(request) -> HandModel:
    return load_hand(request.param)


@pytest.fixture(scope="module")
def skeleton() -> HandModel:
    return load_hand("human")


def human_motion(skeleton: HandModel, frames: int, seed: int = 0) -> np.ndarray:
    """Smooth keypoints (T, 21, 3) of the skeleton hand: it turns, moves and closes."""
    generator = np.random.default_rng(seed)
    s = np.linspace(0, 1, frames)[:, None]
    rest = skeleton.rest_qpos.numpy()
    goal = rest + 0.4 * generator.uniform(-1, 1, len(rest)) * (skeleton.upper - skeleton.lower).numpy()
    q = np.clip((1 - s) * rest + s * goal, skeleton.lower.numpy(), skeleton.upper.numpy())
    R = Rotation.from_rotvec(s * generator.normal(0, 0.7, 3)).as_matrix()
    p = skeleton.keypoints(torch.from_numpy(q)).numpy()
    return np.einsum("nij,nkj->nki", R, p) + s[:, None] * generator.normal(0, 0.2, 3)


def tips_world(motion, hand: HandModel) -> np.ndarray:
    p = hand.keypoints(torch.from_numpy(motion.qpos))[:, hand.fingertip_slots]
    return transform_points(torch.from_numpy(motion.T_world_palm), p).numpy()


@pytest.mark.parametrize("fixed_palm", [False, True])
@pytest.mark.parametrize("with_anchor", [False, True])
def test_jacobian_is_the_derivative(hand, skeleton, fixed_palm, with_anchor):
    config = RetargetingConfig(fixed_palm=fixed_palm)
    targets = retargeting._targets(human_motion(skeleton, 3), hand, config)
    start = retargeting._start(targets, hand, config)
    objective = retargeting._Objective(targets, hand, config, start.roll(1, 0) if with_anchor else None)
    n = len(hand.joint_names) + (0 if fixed_palm else 6)
    generator = torch.Generator().manual_seed(0)
    x = objective.retract(start, 0.02 * torch.randn(3, n, dtype=torch.float64, generator=generator))
    # Away from the limits, where retract would clip the difference steps.
    middle = 0.5 * (hand.lower + hand.upper)
    x[:, 16:] = middle + 0.9 * (x[:, 16:] - middle)
    J = objective(x)[1].clone()
    for i in range(n):
        step = torch.zeros(3, n, dtype=torch.float64)
        step[:, i] = 1e-6
        plus, minus = objective(objective.retract(x, step))[0], objective(objective.retract(x, -step))[0]
        torch.testing.assert_close(J[..., i], (plus - minus) / 2e-6, atol=1e-5, rtol=1e-6)


def test_the_hands_own_motion_is_recovered(skeleton):
    """Without the terms that pull to rest and smoothness, keypoints come back exactly."""
    keypoints = human_motion(skeleton, 12)
    config = RetargetingConfig(rest_sigma=1e2, joint_step_sigma=1e2, palm_step_sigma=1e1, palm_turn_sigma=1e1)
    motion = retarget([keypoints], skeleton, config)[0]
    p = skeleton.keypoints(torch.from_numpy(motion.qpos))
    found = transform_points(torch.from_numpy(motion.T_world_palm), p).numpy()
    assert np.linalg.norm(found - keypoints, axis=-1).max() < 1e-3


def test_every_hand_keeps_limits_and_reaches_the_tips(hand, skeleton):
    keypoints = [human_motion(skeleton, frames, seed) for seed, frames in enumerate((30, 1, 12))]
    motions, report = retarget_with_report(keypoints, hand)
    assert [len(motion) for motion in motions] == [30, 1, 12]
    assert report.frames == 43
    assert report.status == {"CONVERGED": 43, "MAX_ITERATIONS": 0, "STALLED": 0, "NOT_FINITE": 0}
    lower, upper = hand.lower.numpy(), hand.upper.numpy()
    for motion in motions:
        assert motion.hand == hand.name
        assert motion.joint_names == hand.joint_names
        assert ((motion.qpos >= lower) & (motion.qpos <= upper)).all()
        R = motion.T_world_palm[:, :3, :3]
        np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (len(R), 1, 1)), atol=1e-9)
    if len(hand.joint_names) > 2:  # what a gripper reaches depends on its opening
        assert report.fingertip_mm < 4


def test_a_sequence_does_not_depend_on_its_company(skeleton):
    """In one batch or alone, and whatever the order: the same motion, up to rounding."""
    hand = load_hand("allegro")
    a, b = human_motion(skeleton, 9, 1), human_motion(skeleton, 15, 2)
    together, swapped, alone = retarget([a, b], hand), retarget([b, a], hand), retarget([b], hand)
    np.testing.assert_allclose(together[1].qpos, alone[0].qpos, atol=1e-6)
    np.testing.assert_allclose(together[1].qpos, swapped[0].qpos, atol=1e-6)
    again = retarget([a, b], hand)
    np.testing.assert_array_equal(together[0].qpos, again[0].qpos)


def test_moving_the_world_moves_the_palm_only(skeleton):
    hand = load_hand("shadow")
    keypoints = human_motion(skeleton, 4)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec([0.5, -2, 1]).as_matrix(), [1, -2, 0.5]
    here = retarget([keypoints], hand)[0]
    there = retarget([keypoints @ T[:3, :3].T + T[:3, 3]], hand)[0]
    np.testing.assert_allclose(there.qpos, here.qpos, atol=1e-4)
    np.testing.assert_allclose(there.T_world_palm, T @ here.T_world_palm, atol=1e-4)


def test_fixed_palm_is_the_human_palm(skeleton):
    keypoints = human_motion(skeleton, 3)
    motion = retarget([keypoints], load_hand("shadow"), RetargetingConfig(fixed_palm=True))[0]
    np.testing.assert_allclose(motion.T_world_palm, palm_frame(keypoints), atol=1e-12)


def test_gripper_follows_thumb_and_index(skeleton):
    """The opening is the thumb-index aperture, clamped, and the jaws lie along the line between the two tips."""
    hand = load_hand("panda")
    keypoints = human_motion(skeleton, 10, seed=3)
    motion = retarget([keypoints], hand)[0]
    human = keypoints[:, 4] - keypoints[:, 8]
    tips = tips_world(motion, hand)
    robot = tips[:, 0] - tips[:, 1]
    aperture = np.linalg.norm(robot, axis=-1)
    np.testing.assert_allclose(aperture, np.linalg.norm(human, axis=-1).clip(0, 0.08), atol=0.004)
    cosine = (robot * human).sum(-1) / aperture / np.linalg.norm(human, axis=-1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 20


@pytest.mark.parametrize("name", list_hands())
def test_real_recordings_have_one_answer_per_pose(shared_data, name):
    hand = load_hand(name)
    entries = json.loads((shared_data / "dexycb" / "dexycb_right_index.json").read_text())
    with np.load(shared_data / "dexycb" / "dexycb_right.npz") as data:
        joints = data["joints"]
    ranges = [(e["start"] + e["first_hand_frame"], e["start"] + e["last_hand_frame"] + 1) for e in entries[5:300:200]]
    keypoints = [joints[a:b].astype(float) for a, b in ranges]
    motions, report = retarget_with_report(keypoints, hand)
    assert report.status["CONVERGED"] == report.frames
    for motion, late in zip(motions, retarget([k[10:] for k in keypoints], hand), strict=True):
        assert np.degrees(np.abs(motion.qpos[10:] - late.qpos)).mean() < 0.2
        # Beyond the reach of the smoothness window, the start of the recording is forgotten.
        np.testing.assert_allclose(motion.qpos[16:], late.qpos[6:], atol=1e-4)
        assert ((motion.qpos >= hand.lower.numpy()) & (motion.qpos <= hand.upper.numpy())).all()
    if len(hand.joint_names) > 2:
        assert report.fingertip_mm < 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k[:, :20], r"shape \(5, 20, 3\), expected \(T, 21, 3\)"),
        (lambda k: k[0], r"shape \(21, 3\)"),
        (lambda k: k[:0], "there is no frame"),
        (lambda k: np.where(np.arange(5)[:, None, None] == 2, np.nan, k), "1 of 5 frames .* first frame 2"),
        (lambda k: k * 1000, "look like millimetres; divide by 1000"),
        (lambda k: k * 0.1, "expected 0.1 to 0.4 m"),
    ],
)
def test_bad_input(skeleton, change, message):
    with pytest.raises(ValueError, match=message):
        retarget([change(human_motion(skeleton, 5))], skeleton)


def test_nothing_in_nothing_out(skeleton):
    assert retarget([], skeleton) == []
