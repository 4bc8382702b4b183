"""Refinement on analytic objects: it touches, does not pierce, keeps limits and leaves the approach alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from unihm.hands.hand import HandModel, list_hands, load_hand
from unihm.refinement import RefinementConfig, refine
from unihm.refinement.problem import RefinementProblem
from unihm.schema.motion import HandMotion

LIFT, FRAMES = 50, 70


def _cloud(kind):
    rng = np.random.default_rng(0)
    if kind == "sphere":
        n = rng.normal(size=(1200, 3))
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        return 0.035 * n, n, 0.035
    half = np.array([0.03, 0.045, 0.06])
    area = half.prod() / half
    axis = rng.choice(3, 1200, p=area / area.sum())
    sign = rng.choice([-1.0, 1.0], 1200)
    n = np.eye(3)[axis] * sign[:, None]
    points = rng.uniform(-1, 1, (1200, 3)) * half
    points[np.arange(1200), axis] = sign * half[axis]
    return points, n, half[2]


def _motion(hand: HandModel, kind: str, offset=(0.01, 0.015, 0.01)) -> HandMotion:
    """A relaxed hand comes down from above, misses the right pose by 2 cm, and goes up with the object."""
    points, normals, height = _cloud(kind)
    t = np.arange(FRAMES)
    T_world_object = np.tile(np.eye(4), (FRAMES, 1, 1))
    s = np.clip((t - LIFT + 1) / 20, 0, 1)
    T_world_object[:, 2, 3] = height + 0.1 * s * s * (3 - 2 * s)
    z = np.array([-np.sin(0.6), 0, -np.cos(0.6)])  # out of the palm: down and a little forward
    x = np.array([np.cos(0.6), 0, -np.sin(0.6)])
    tips = hand.fingertips_and_jacobian(hand.rest_qpos)[0].numpy()
    between = (tips[0] + tips[1:].mean(axis=0)) / 2
    T_world_palm = np.tile(np.eye(4), (FRAMES, 1, 1))
    T_world_palm[:, :3, :3] = R = np.stack([x, np.cross(z, x), z], axis=1)
    away = 0.12 * np.clip(1 - t / (LIFT - 8), 0, 1)[:, None] * -z
    offset = np.array(offset) * [1, 1 if hand.side == "right" else -1, 1]  # a left hand misses to its other side
    T_world_palm[:, :3, 3] = T_world_object[:, :3, 3] - R @ between + offset + away
    return HandMotion(
        hand=hand.name, fps=30.0, joint_names=hand.joint_names, qpos=np.tile(hand.rest_qpos.numpy(), (FRAMES, 1)),
        T_world_palm=T_world_palm, T_world_object=T_world_object, object_points=points, object_normals=normals,
    )  # fmt: skip


def _representative() -> list[str]:
    """Hands by what sets them apart for a grasp: the largest, each number of fingers, coupled joints, a left hand."""
    hands = [load_hand(name) for name in list_hands()]
    right = [hand for hand in hands if hand.side == "right"]
    chosen = [max(right, key=lambda hand: len(hand.joint_names))]
    for number in sorted({len(hand.fingers) for hand in right}):
        chosen.append(next(hand for hand in right if len(hand.fingers) == number))
    chosen.append(next(hand for hand in right if any(joint.mimic for joint in hand.urdf.joints)))
    chosen.append(
        next(hand for hand in hands if hand.side == "left" and hand.name.removesuffix("_left") != chosen[0].name)
    )
    return list(dict.fromkeys(hand.name for hand in chosen))


_FAST = _representative()
CASES = [
    pytest.param((hand, kind), marks=() if hand in _FAST else pytest.mark.slow)
    for hand in list_hands()
    for kind in ("sphere", "box")
]


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    hand = load_hand(request.param[0])
    motion = _motion(hand, request.param[1])
    return hand, motion, *refine(motion, hand)


def _tips_object(motion: HandMotion, hand: HandModel, frame: int):
    import torch

    T = np.linalg.inv(motion.T_world_object[frame]) @ motion.T_world_palm[frame]
    tips = hand.fingertips_and_jacobian(torch.from_numpy(motion.qpos[frame]))[0].numpy()
    return tips @ T[:3, :3].T + T[:3, 3]


def test_two_opposed_fingertips_are_near_the_object_at_the_lift(case):
    hand, motion, refined, report = case
    assert len(report.grasp_fingers) == 2
    tips = _tips_object(refined, hand, LIFT)
    a, b = (hand.fingers.index(name) for name in report.grasp_fingers)
    cloud = KDTree(motion.object_points)
    distance = cloud.query(tips[[a, b]])[0]
    assert distance.max() < 0.015
    # at an edge a fingertip presses on either of two faces, and chance decides whose sample is nearest
    near = [cloud.query_ball_point(tip, d + 0.004) for tip, d in zip(tips[[a, b]], distance, strict=True)]
    assert (motion.object_normals[near[0]] @ motion.object_normals[near[1]].T).min() < -0.5


def test_contact_and_penetration_fall_while_the_object_is_held(case):
    *_, report = case
    assert report.contact_mm_after["hold"] < max(0.6 * report.contact_mm_before["hold"], 2.0)
    assert report.penetration_mm_after["hold"] < max(0.35 * report.penetration_mm_before["hold"], 3.0)
    assert report.penetration_mm_after["approach"] <= report.penetration_mm_before["approach"] + 0.1


def test_joint_limits_hold_exactly(case):
    hand, _, refined, _ = case
    assert (refined.qpos >= hand.lower.numpy()).all()
    assert (refined.qpos <= hand.upper.numpy()).all()
    np.testing.assert_allclose(np.linalg.det(refined.T_world_palm[:, :3, :3]), 1, atol=1e-9)


def test_the_far_approach_stays_and_the_motion_is_smooth(case):
    hand, motion, refined, _ = case
    np.testing.assert_allclose(refined.qpos[:10], motion.qpos[:10], atol=1e-9)
    np.testing.assert_allclose(refined.T_world_palm[:10], motion.T_world_palm[:10], atol=1e-9)
    correction = refined.T_world_palm[:, :3, 3] - motion.T_world_palm[:, :3, 3]
    assert np.linalg.norm(np.diff(correction, axis=0), axis=1).max() < 0.012
    span = (hand.upper - hand.lower).numpy()
    assert (np.abs(np.diff(refined.qpos, axis=0)) / np.where(np.isfinite(span), span, 6.28)).max() < 0.15


def test_the_report_is_plain_json(case):
    *_, report = case
    assert json.loads(json.dumps(vars(report)))["frames"] == FRAMES
    assert sum(report.status.values()) == FRAMES
    assert report.status["not_finite"] == 0


@pytest.fixture(scope="module")
def small():
    hand = load_hand(list_hands()[0])
    return hand, _motion(hand, "sphere")


def test_jacobian_of_a_frame_agrees_with_finite_differences(small):
    hand, motion = small
    problem = RefinementProblem(motion, hand, RefinementConfig())
    frames, n = np.array([0, 55]), problem.lower.shape[1]
    c = np.random.default_rng(0).normal(0, 0.02, (2, n))
    every = np.arange(len(problem.radius))
    points, J = problem.points_and_jacobian(frames, c, every)
    np.testing.assert_allclose(points, problem.points(frames, c, every), atol=1e-12)
    for i in range(n):
        h = np.zeros_like(c)
        h[:, i] = 1e-6
        numeric = (problem.points(frames, c + h, every) - problem.points(frames, c - h, every)) / 2e-6
        np.testing.assert_allclose(J[..., i], numeric, atol=1e-8)


def test_residual_of_a_frame_agrees_with_finite_differences(small):
    hand, motion = small
    problem = RefinementProblem(motion, hand, RefinementConfig())
    frames, n = np.array([55]), problem.lower.shape[1]
    c = np.random.default_rng(1).normal(0, 0.02, (1, n))
    frozen = problem._freeze(frames, c, np.arange(len(problem.radius)), None)
    prior = (np.zeros((1, n)), problem.sigma(problem.config.generated))
    _, J = problem._residual(frames, c, prior, None, frozen)
    for i in range(n):
        h = np.zeros_like(c)
        h[:, i] = 1e-7
        above, below = (problem._residual(frames, c + s * h, prior, None, frozen)[0] for s in (1, -1))
        np.testing.assert_allclose(J[..., i], (above - below) / 2e-7, rtol=1e-4, atol=1e-3)


def test_without_contact_phase_only_piercing_is_mended(small):
    hand, motion = small
    quiet = motion.replace(contact_phase=np.zeros(FRAMES))
    refined, report = refine(quiet, hand)
    assert report.grasp_fingers == ()
    untouched = np.linalg.norm(refined.T_world_palm[:, :3, 3] - motion.T_world_palm[:, :3, 3], axis=1) < 1e-9
    assert untouched[:20].all()
    assert report.penetration_mm_after["approach"] <= report.penetration_mm_before["approach"] + 0.1


def test_same_input_same_output(small):
    hand, motion = small
    first, second = refine(motion, hand)[0], refine(motion, hand)[0]
    np.testing.assert_array_equal(first.qpos, second.qpos)
    np.testing.assert_array_equal(first.T_world_palm, second.T_world_palm)


def test_the_papers_temporal_prior_runs_and_keeps_the_limits(small):
    hand, motion = small
    refined, report = refine(motion, hand, replace(RefinementConfig(), temporal="motion"))
    assert (refined.qpos <= hand.upper.numpy()).all()
    assert report.status["not_finite"] == 0


def test_one_frame(small):
    hand, motion = small
    fields = ("qpos", "T_world_palm", "T_world_object")
    one = motion.replace(**{name: getattr(motion, name)[60:61] for name in fields})
    assert len(refine(one, hand)[0]) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hand": "somebody"}, "hand 'somebody', expected"),
        ({"T_world_object": None}, "no object path"),
        ({"object_normals": None}, "no object cloud"),
        ({"qpos": "nan"}, "qpos holds NaN"),
    ],
)
def test_bad_motions_say_what_is_wrong(small, changes, message):
    hand, motion = small
    if changes.get("qpos") == "nan":
        changes = {"qpos": np.full_like(motion.qpos, np.nan)}
    with pytest.raises(ValueError, match=message):
        refine(motion.replace(**changes), hand)


def test_an_unknown_temporal_prior_is_refused(small):
    hand, motion = small
    with pytest.raises(ValueError, match="temporal is 'both'"):
        refine(motion, hand, RefinementConfig(temporal="both"))
