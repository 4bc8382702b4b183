"""Every option of retargeting does what it says, measured on the motion; wrong values are refused."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from retargeting_cases import (
    description_of,
    human_motion,
    human_tips,
    keypoints_world,
    model_of,
    open_and_close,
    overlaps,
    representative_hands,
    tips_world,
)
from scipy.spatial.transform import Rotation

from unihm.hands.description import HandDescription
from unihm.kinematics.keypoints import FINGERS, palm_frame
from unihm.retargeting import Retargeter, RetargetingConfig, retarget
from unihm.retargeting.atlas import human_postures
from unihm.retargeting.config import PRESETS
from unihm.retargeting.problem import compile_problem
from unihm.schema.motion import HandMotion

pytestmark = pytest.mark.usefixtures("small_atlas")
HANDS = representative_hands()
LARGEST = model_of(HANDS["largest"])
DEFAULT = RetargetingConfig()
STILL = RetargetingConfig(joint_step_sigma=math.inf, palm_step_sigma=math.inf, palm_turn_sigma=math.inf)


def grasp(frames: int = 8) -> np.ndarray:
    """Keypoints of a hand that closes, of another size than any robot's: what a robot cannot meet in all points."""
    return 1.15 * human_motion(frames, 7)


def noisy(frames: int = 30) -> np.ndarray:
    return human_motion(frames, 2) + np.random.default_rng(0).normal(0, 2e-3, (frames, 21, 3))


def point_error(motion: HandMotion, keypoints: np.ndarray, which) -> float:
    """Mean distance of the robot's keypoints from the human's, m, of those whose human number `which` accepts."""
    chosen = [slot for slot, i in enumerate(LARGEST.keypoint_indices.tolist()) if which(i)]
    p = keypoints_world(LARGEST, motion.qpos, motion.T_world_palm)
    distance = np.linalg.norm(p - keypoints[:, LARGEST.keypoint_indices.numpy()], axis=-1)
    return float(distance[:, chosen].mean())


def tip_error(motion: HandMotion, keypoints: np.ndarray) -> float:
    return point_error(motion, keypoints, lambda i: i > 0 and i % 4 == 0)


def bone_error(motion: HandMotion, keypoints: np.ndarray) -> float:
    return point_error(motion, keypoints, lambda i: i % 4 != 0)


def wrist_error(motion: HandMotion, keypoints: np.ndarray) -> float:
    return point_error(motion, keypoints, lambda i: i == 0)


def vector_error(motion: HandMotion, keypoints: np.ndarray) -> float:
    """Of the vectors from the palm's origin to the fingertips, m."""
    robot = tips_world(LARGEST, motion.qpos, motion.T_world_palm) - motion.T_world_palm[:, None, :3, 3]
    human = human_tips(LARGEST, keypoints) - palm_frame(keypoints)[:, None, :3, 3]
    return float(np.linalg.norm(robot - human, axis=-1).mean())


def palm_turn(motion: HandMotion, keypoints: np.ndarray) -> float:
    R = motion.T_world_palm[:, :3, :3].swapaxes(1, 2) @ palm_frame(keypoints)[:, :3, :3]
    return float(Rotation.from_matrix(R).magnitude().mean())


def rest_distance(motion: HandMotion, keypoints: np.ndarray) -> float:
    return float(np.abs(motion.qpos - LARGEST.rest_qpos.numpy()).mean())


def joint_jerkiness(motion: HandMotion, keypoints: np.ndarray) -> float:
    return float(np.abs(np.diff(motion.qpos, 2, axis=0)).mean())


def palm_jerkiness(motion: HandMotion, keypoints: np.ndarray) -> float:
    return float(np.abs(np.diff(motion.T_world_palm[:, :3, 3], 2, axis=0)).mean())


def turn_jerkiness(motion: HandMotion, keypoints: np.ndarray) -> float:
    return float(np.abs(np.diff(motion.T_world_palm[:, :3, :3], 2, axis=0)).mean())


@pytest.mark.parametrize(
    ("field", "narrow", "wide", "measure", "base"),
    [
        ("fingertip_sigma", 1e-3, 0.02, tip_error, DEFAULT),
        ("keypoint_sigma", 4e-3, math.inf, bone_error, replace(DEFAULT, link_scaling="none")),
        ("wrist_sigma", 5e-3, math.inf, wrist_error, replace(DEFAULT, link_scaling="none")),
        ("vector_sigma", 2e-3, math.inf, vector_error, RetargetingConfig(fixed_palm=True, fingertip_sigma=0.05)),
        ("palm_orientation_sigma", 0.02, 3.0, palm_turn, DEFAULT),
        ("rest_sigma", 0.03, 1.0, rest_distance, DEFAULT),
        ("joint_step_sigma", 0.01, math.inf, joint_jerkiness, DEFAULT),
        ("palm_step_sigma", 1e-4, math.inf, palm_jerkiness, DEFAULT),
        ("palm_turn_sigma", 1e-3, math.inf, turn_jerkiness, DEFAULT),
    ],
)  # fmt: skip
def test_a_narrow_sigma_holds_its_term_and_an_infinite_one_leaves_it_out(field, narrow, wide, measure, base):
    keypoints = noisy() if field.endswith(("step_sigma", "turn_sigma")) else grasp()
    found = {}
    for value in (narrow, wide):
        motion = retarget([keypoints], LARGEST, replace(base, **{field: value}))[0]
        found[value] = measure(motion, keypoints)
    assert found[narrow] < 0.9 * found[wide]


def test_weights_of_single_keypoints():
    keypoints = grasp()

    def errors(weights: dict[str, float]) -> np.ndarray:
        motion = retarget([keypoints], LARGEST, replace(STILL, link_scaling="none", keypoint_weights=weights))[0]
        p = keypoints_world(LARGEST, motion.qpos, motion.T_world_palm)
        return np.linalg.norm(p - keypoints[:, LARGEST.keypoint_indices.numpy()], axis=-1).mean(axis=0)

    plain = errors({})
    assert errors({"wrist": 100.0})[0] < 0.5 * plain[0]
    assert errors({"index_pip": 100.0})[6] < 0.5 * plain[6]
    without = errors({"pinky_tip": 0.0, "pinky_dip": 0.0, "pinky_pip": 0.0, "pinky_mcp": 0.0})
    assert without[20] > 2 * plain[20]
    np.testing.assert_array_equal(errors({"pinky_tip": 1.0}), plain)
    # A keypoint that the hand has no counterpart for is known, and has nothing to weigh.
    gripper = model_of(HANDS["gripper"])
    a, b = (retarget([keypoints], gripper, RetargetingConfig(keypoint_weights=w))[0] for w in ({}, {"ring_dip": 5.0}))
    np.testing.assert_array_equal(a.qpos, b.qpos)


def pinches() -> np.ndarray:
    """Frames in which thumb and index tip are nearest to each other, of many human postures, each by itself."""
    postures = human_postures("right", 400)
    gap = np.linalg.norm(postures[:, 4] - postures[:, 8], axis=-1)
    return postures[np.argsort(gap)[:6]]


def gap_error(motions: list[HandMotion], keypoints: np.ndarray) -> float:
    error = []
    for motion, human in zip(motions, keypoints, strict=True):
        robot = tips_world(LARGEST, motion.qpos, motion.T_world_palm)[0]
        error.append(np.linalg.norm((robot[1] - robot[0]) - (human[8] - human[4])))
    return float(np.mean(error))


def test_pinches_are_kept():
    keypoints = pinches()
    assert np.linalg.norm(keypoints[:, 4] - keypoints[:, 8], axis=-1).max() < 0.03
    hand = [frame[None] for frame in keypoints]
    loose = replace(STILL, fixed_palm=True, fingertip_sigma=0.02)  # where tips cannot be met, pinches still can
    without = gap_error(retarget(hand, LARGEST, replace(loose, pinch_sigma=math.inf)), keypoints)
    tight = gap_error(retarget(hand, LARGEST, loose), keypoints)
    assert tight < 0.5 * without
    # Where the term has faded long before the nearest of these pinches, nothing is left of it.
    near = float(np.linalg.norm(keypoints[:, 4] - keypoints[:, 8], axis=-1).min())
    faded = gap_error(retarget(hand, LARGEST, replace(loose, pinch_distance=near / 3)), keypoints)
    assert faded == pytest.approx(without, rel=1e-3)


@pytest.mark.parametrize("per_axis", [False, True])
def test_hubers_loss_listens_less_to_an_outlier(per_axis):
    keypoints = grasp(5)
    spoiled = keypoints.copy()
    spoiled[:, 12] += [0.03, 0.03, 0.06]  # the middle fingertip, 7 cm off
    rest = [0, 1, 3, 4]  # the other fingers

    def error(config: RetargetingConfig) -> float:
        motion = retarget([spoiled], LARGEST, replace(config, pinch_sigma=math.inf))[0]
        tips = tips_world(LARGEST, motion.qpos, motion.T_world_palm)
        return float(np.linalg.norm(tips - human_tips(LARGEST, keypoints), axis=-1)[:, rest].mean())

    robust = replace(STILL, huber=2e-3, huber_per_axis=per_axis)
    assert error(robust) < 0.6 * error(STILL)
    # Beyond all distances it is squares again.
    motions = [
        retarget([spoiled], LARGEST, replace(STILL, huber=h, huber_per_axis=per_axis))[0] for h in (9.0, math.inf)
    ]
    np.testing.assert_allclose(motions[0].qpos, motions[1].qpos, atol=1e-9)


def test_hubers_loss_of_coordinates_is_not_that_of_the_distance():
    keypoints = grasp(5)
    axes, distance = (
        retarget([keypoints], LARGEST, replace(STILL, huber=2e-3, huber_per_axis=each))[0] for each in (True, False)
    )
    assert np.abs(axes.qpos - distance.qpos).max() > 1e-3


def test_tips_stay_where_links_have_other_lengths():
    keypoints = 1.3 * open_and_close(8)
    bones, none = (
        retarget([keypoints], LARGEST, replace(STILL, link_scaling=scaling))[0] for scaling in ("bones", "none")
    )
    assert tip_error(bones, keypoints) < 0.95 * tip_error(none, keypoints)
    assert bone_error(bones, keypoints) > bone_error(none, keypoints)


def test_a_hand_of_another_size_takes_the_same_posture_where_hands_are_scaled():
    """A giant with the human hand's shape: scaled, every keypoint can be met; as they are, they cannot."""
    human = model_of("human")
    s = np.linspace(0, 0.6, 8)[:, None]
    q = (1 - s) * human.rest_qpos.numpy() + s * 0.8 * human.upper.numpy()
    keypoints = keypoints_world(human, q, np.tile(np.eye(4), (8, 1, 1)))
    giant = grown(dict.fromkeys(FINGERS, 1.3), palm=1.3)
    config = replace(STILL, rest_sigma=1e4, palm_orientation_sigma=math.inf, wrist_sigma=math.inf, tolerance=1e-9)
    same = retarget([keypoints], giant, replace(config, link_scaling="hand"))[0]
    np.testing.assert_allclose(same.qpos, q, atol=2e-3)
    for scaling in ("bones", "none"):
        other = retarget([keypoints], giant, replace(config, link_scaling=scaling))[0]
        assert np.abs(other.qpos - q).mean() > 0.05


def scales_of(hand: HandDescription) -> dict[str, float]:
    layout = compile_problem(hand, replace(DEFAULT, link_scaling="hand"))[1]
    found = {}
    for human, kind, scale in zip(layout.human_a, layout.kind, layout.scale, strict=True):
        if kind == 0 and human > 0:
            found.setdefault(FINGERS[(human - 1) // 4], set()).add(round(float(scale), 6))
    assert all(len(values) == 1 for values in found.values())
    return {finger: values.pop() for finger, values in found.items()}


def grown(factors: dict[str, float], palm: float = 1.0) -> HandDescription:
    """The human hand with each finger's bones, and the palm, longer by a factor."""
    hand = description_of("human")
    chain = hand.chain

    def factor(body: int) -> float:
        if body < 0:
            return palm
        name = chain.joint_names[chain.column[body]]
        return next(value for finger, value in factors.items() if name.startswith(finger))

    def longer(T: np.ndarray, by: float) -> np.ndarray:
        return np.block([[T[:3, :3], by * T[:3, 3:]], [T[3:]]])

    joints = [
        longer(T, palm if parent < 0 else factor(body))
        for body, (T, parent) in enumerate(zip(chain.T_parent_body, chain.parent, strict=True))
    ]
    links = {link: longer(T, factor(chain.body_of_link[link])) for link, T in chain.T_body_link.items()}
    points = tuple(
        replace(point, xyz=tuple((np.array(point.xyz) * factor(chain.body_of_link[point.link])).tolist()))
        for point in hand.keypoints
    )
    return replace(hand, chain=replace(chain, T_parent_body=np.array(joints), T_body_link=links), keypoints=points)


def test_scales_of_hands_and_of_unusual_fingers():
    same = dict.fromkeys(FINGERS, 1.0)
    assert scales_of(description_of("human")) == same
    assert scales_of(grown(dict.fromkeys(FINGERS, 1.3))) == dict.fromkeys(FINGERS, 1.3)
    # Within 15 % of the others a finger has their scale, the median; beyond, its own.
    assert scales_of(grown({**same, "pinky": 1.1})) == same
    assert scales_of(grown({**same, "pinky": 0.8})) == {**same, "pinky": 0.8}
    assert scales_of(grown({**same, "thumb": 1.5, "pinky": 1.1})) == {**same, "thumb": 1.5}


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("name", [HANDS["largest"], HANDS["mimic"]])
def test_speeds_keep_their_limit(name, share):
    model = model_of(name)
    config = RetargetingConfig(velocity_limit=share, fps=30.0)
    limit = share * model.description.chain.velocity / 30 * (1 + 1e-9)
    keypoints = np.concatenate([open_and_close(6, 0.9), open_and_close(6, 0.2)])  # closes fast, and is open at once
    free = retarget([keypoints], model, replace(config, velocity_limit=math.inf))[0].qpos
    assert (np.abs(np.diff(free, axis=0)) > limit).any()
    motion = retarget([keypoints], model, config)[0].qpos
    assert (np.abs(np.diff(motion, axis=0)) <= limit).all()
    assert ((motion >= model.lower.numpy()) & (motion <= model.upper.numpy())).all()
    stream = Retargeter(name, config)
    followed = np.array([stream.step(frame).copy() for frame in keypoints])
    assert (np.abs(np.diff(followed, axis=0)) <= limit).all()
    assert (np.abs(np.diff(followed, axis=0)) > 0.9 * limit).any()  # and it goes as fast as it may
    # Twice the frames a second, half the way a frame.
    fast = retarget([keypoints], model, replace(config, fps=60.0))[0]
    assert (np.abs(np.diff(fast.qpos, axis=0)) <= limit / 2).all()
    assert fast.fps == 60.0


def test_speed_without_smoothness():
    config = replace(PRESETS["position"], velocity_limit=0.1)
    limit = 0.1 * LARGEST.description.chain.velocity / 30 * (1 + 1e-9)
    keypoints = open_and_close(8)
    stream = Retargeter(LARGEST.name, config)
    for qpos in (retarget([keypoints], LARGEST, config)[0].qpos, np.array([stream.step(k).copy() for k in keypoints])):
        assert (np.abs(np.diff(qpos, axis=0)) <= limit).all()


def test_fingers_keep_out_of_each_other():
    postures = human_postures("right", 40)
    loose = retarget([k[None] for k in postures], LARGEST, STILL)
    depth = np.array([overlaps(LARGEST, motion.qpos[0]).sum() for motion in loose])
    worst = np.argsort(depth)[-5:]
    assert depth[worst].min() > 1e-3
    apart = retarget([postures[i][None] for i in worst], LARGEST, replace(STILL, self_collision_sigma=5e-4))
    kept = np.array([overlaps(LARGEST, motion.qpos[0]).sum() for motion in apart])
    assert kept.sum() < 0.3 * depth[worst].sum()
    assert (kept < depth[worst]).all()


# --- grippers


def apertures(frames: int = 12) -> np.ndarray:
    """A human hand whose index tip goes away from the thumb tip, from touching to 16 cm."""
    keypoints = np.repeat(open_and_close(3)[1:2], frames, axis=0)
    away = keypoints[0, 8] - keypoints[0, 4]
    gap = np.linspace(0, 0.16, frames)[:, None]
    keypoints[:, 8] = keypoints[:, 4] + gap * away / np.linalg.norm(away)
    return keypoints


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_aperture_opens_a_gripper(scale):
    """Scaled, and clamped at both ends; straight from the distance, without any search."""
    model = model_of(HANDS["gripper"])
    keypoints = apertures()
    config = replace(STILL, gripper="aperture", aperture_scale=scale)
    motion = retarget([keypoints], model, config)[0]
    tips = tips_world(model, motion.qpos, motion.T_world_palm)
    widest = np.linalg.norm(np.subtract(*model.keypoints(model.upper).numpy()))
    human = np.linalg.norm(keypoints[:, 4] - keypoints[:, 8], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(tips[:, 0] - tips[:, 1], axis=-1), (scale * human).clip(0, widest), atol=1e-9
    )
    assert (scale * human > widest).any() or scale < 1
    stream = Retargeter(model.name, config)
    np.testing.assert_array_equal([stream.step(frame).copy() for frame in keypoints], motion.qpos)


def test_a_gripper_follows_thumb_and_index():
    """The opening is the thumb-index distance, clamped, and the jaws lie along the line between the two tips."""
    model = model_of(HANDS["gripper"])
    keypoints = human_motion(10, seed=3)
    motion = retarget([keypoints], model)[0]
    human = keypoints[:, 4] - keypoints[:, 8]
    tips = tips_world(model, motion.qpos, motion.T_world_palm)
    robot = tips[:, 0] - tips[:, 1]
    aperture = np.linalg.norm(robot, axis=-1)
    np.testing.assert_allclose(aperture, np.linalg.norm(human, axis=-1).clip(0, 0.08), atol=0.004)
    cosine = (robot * human).sum(-1) / aperture / np.linalg.norm(human, axis=-1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).max() < 20


def test_the_aperture_is_for_grippers():
    with pytest.raises(ValueError, match=r"for hands with one joint and two fingers; .* has 22 joints and 5 fingers"):
        retarget([grasp()], LARGEST, RetargetingConfig(gripper="aperture"))


def test_a_gripper_led_by_the_aperture_keeps_its_speed():
    model = model_of(HANDS["gripper"])
    config = RetargetingConfig(gripper="aperture", velocity_limit=0.3)
    keypoints = np.concatenate([apertures(4), apertures(4)[::-1]])
    qpos = retarget([keypoints], model, config)[0].qpos
    assert (np.abs(np.diff(qpos, axis=0)) <= 0.3 * model.description.chain.velocity / 30 * (1 + 1e-9)).all()


# --- the search


def test_more_tries_find_no_worse_answers_and_a_loose_tolerance_no_better():
    keypoints = human_motion(12, 3)

    def solve(**changes) -> HandMotion:
        return retarget([keypoints], LARGEST, replace(PRESETS["position"], **changes))[0]

    def error(motion: HandMotion) -> float:
        return point_error(motion, keypoints, lambda i: True)

    assert error(solve(tries=8)) <= error(solve(tries=1)) + 1e-5
    tight, loose = solve(tolerance=1e-6), solve(tolerance=0.5)
    assert error(tight) <= error(loose) + 1e-5
    assert np.abs(tight.qpos - loose.qpos).max() > 1e-4


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingertip_sigma": 0.0}, "fingertip_sigma is 0.0, expected a positive number; inf leaves the term out"),
        ({"rest_sigma": -1.0}, "rest_sigma is -1.0"),
        ({"palm_turn_sigma": math.nan}, "palm_turn_sigma is nan"),
        ({"self_collision_sigma": 0.0}, "self_collision_sigma is 0.0"),
        ({"keypoint_weights": {"index_tp": 1.0}}, "keypoint_weights: keypoint 'index_tp' not found. Did you mean"),
        ({"link_scaling": "bone"}, "link_scaling 'bone' not found. Did you mean 'bones'?"),
        ({"gripper": "apertur"}, "gripper 'apertur' not found. Did you mean 'aperture'?"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": 1.0}, "tolerance"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"tries": 0}, "tries"),
        ({"stream_tries": 0}, "stream_tries"),
        ({"try_every": 0}, "try_every"),
        ({"fps": 0.0}, "fps"),
        ({"velocity_limit": 0.0}, "velocity_limit"),
        ({"huber": 0.0}, "huber"),
        ({"huber": math.nan}, "huber"),
        ({"pinch_distance": 0.0}, "pinch_distance"),
    ],
    ids=str,
)
def test_bad_values_are_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        RetargetingConfig(**changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"keypoint_weights": {"index_tip": -1.0}},
        {"keypoint_weights": {"index_tip": math.nan}},
        {"keypoint_weights": {"index_tip": math.inf}},
        {"aperture_scale": -1.0},
        {"aperture_scale": math.nan},
        {"fps": math.inf},
    ],
    ids=str,
)
def test_more_bad_values_are_refused_in_one_line(changes):
    with pytest.raises(ValueError, match=r"expected|must be"):
        RetargetingConfig(**changes)


def test_terms_that_keypoints_enter_are_needed():
    config = RetargetingConfig(fingertip_sigma=math.inf, keypoint_sigma=math.inf, wrist_sigma=math.inf)
    with pytest.raises(ValueError, match="leaves no term that a keypoint enters"):
        retarget([grasp()], LARGEST, replace(config, pinch_sigma=math.inf))


def test_a_free_palm_needs_a_term_that_places_it():
    config = replace(PRESETS["vector"], fixed_palm=False)
    keypoints = human_motion(30) + np.linspace(0, 1, 30)[:, None, None]
    try:
        motion = retarget([keypoints], LARGEST, config)[0]
    except ValueError:
        return
    assert np.linalg.norm(motion.T_world_palm[:, :3, 3] - palm_frame(keypoints)[:, :3, 3], axis=-1).max() < 0.1


def test_every_option_is_tested_here():
    """A new field needs a test of its effect; this list is the reminder."""
    tested = {
        "fingertip_sigma", "keypoint_sigma", "wrist_sigma", "keypoint_weights", "vector_sigma", "pinch_sigma",
        "pinch_distance", "huber", "huber_per_axis", "link_scaling", "palm_orientation_sigma", "rest_sigma",
        "joint_step_sigma", "palm_step_sigma", "palm_turn_sigma", "velocity_limit", "self_collision_sigma", "gripper",
        "aperture_scale", "fixed_palm", "tries", "stream_tries", "try_every", "tolerance", "max_iterations", "fps",
    }  # fmt: skip
    assert {field.name for field in fields(RetargetingConfig)} == tested
