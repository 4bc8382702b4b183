"""The compiled objective: its value against the formula, its derivatives against finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from objective_frame import Frame
from retargeting_cases import model_of, overlaps, plain_cost, representative_hands
from scipy.spatial.transform import Rotation

from unihm.retargeting.config import PRESETS, RetargetingConfig
from unihm.retargeting.newton import turn

HANDS = representative_hands()
DEFAULT = RetargetingConfig()
ALL_TERMS = RetargetingConfig(vector_sigma=0.01, keypoint_weights={"index_tip": 0.3, "wrist": 2.0})
TOUCHING = replace(ALL_TERMS, self_collision_sigma=0.002)


CASES = {
    "all joints": (HANDS["largest"], ALL_TERMS),
    "all joints, palm held": (HANDS["largest"], replace(ALL_TERMS, fixed_palm=True)),
    "mimic": (HANDS["mimic"], ALL_TERMS),
    "mimic, palm held": (HANDS["mimic"], replace(ALL_TERMS, fixed_palm=True)),
    "sliding mimic": (HANDS["gripper"], ALL_TERMS),
    "sliding mimic, palm held": (HANDS["gripper"], replace(ALL_TERMS, fixed_palm=True)),
    "four fingers": (HANDS["four fingers"], DEFAULT),
    "vector": (HANDS["largest"], PRESETS["vector"]),
    "human": ("human", replace(ALL_TERMS, huber=10.0)),
    "human, axes": ("human", replace(ALL_TERMS, huber=10.0, huber_per_axis=True)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_gradient_and_hessian_are_those_of_the_cost(case, seed):
    frame = Frame(*CASES[case], seed=seed)
    frame.goal.u[:] = 0.0, 50.0 * frame.problem.free_palm  # the turn's block is rounded; see below
    rng = np.random.default_rng(seed)
    frame.goal.c[:] = rng.uniform(-1, 1, len(frame.q))
    g, H = frame.derivatives(np.zeros(frame.n))
    g_expected = frame.differences(frame.cost, 1e-6)
    np.testing.assert_allclose(g, g_expected, atol=2e-6 * np.abs(g).max() + 1e-9, rtol=0)
    # A derivative along turns that do not commute is symmetric only up to their commutator.
    H_expected = frame.differences(lambda d: frame.derivatives(d)[0], 1e-6)
    H_expected = (H_expected + H_expected.T) / 2
    np.testing.assert_allclose(H, H_expected, atol=2e-6 * np.abs(H).max(), rtol=0)


@pytest.mark.parametrize("axes", [False, True])
@pytest.mark.parametrize("name", [HANDS["largest"], HANDS["mimic"], HANDS["gripper"]])
def test_beyond_hubers_width_the_hessian_lies_above(name, axes):
    """The gradient is exact; the matrix is that of squares that touch the loss from above, so it is no smaller."""
    config = replace(ALL_TERMS, huber=0.01, huber_per_axis=axes)
    for seed in range(3):
        frame = Frame(name, config, seed=seed)
        frame.goal.u[0] = 0.0
        e = frame.work.p[frame.problem.row_a] - frame.goal.target
        assert (np.abs(e) > 0.01).any()
        g, H = frame.derivatives(np.zeros(frame.n))
        g_expected = frame.differences(frame.cost, 1e-7)
        np.testing.assert_allclose(g, g_expected, atol=1e-5 * np.abs(g).max(), rtol=0)
        H_true = frame.differences(lambda d, frame=frame: frame.derivatives(d)[0], 1e-7)
        above = np.linalg.eigvalsh(H - (H_true + H_true.T) / 2)
        assert above.min() > -1e-5 * np.abs(H).max()
        assert above.max() > 1e-3 * np.abs(H).max()


@pytest.mark.parametrize("name", [HANDS["largest"], HANDS["gripper"]])
def test_the_palms_own_turn(name):
    """Its gradient is exact, also about a mean of turns that is none; its Hessian is exact where the palm is there."""
    frame = Frame(name, ALL_TERMS, tilt=1.0)
    frame.goal.weight[:] = 0.0
    frame.goal.R[:] = (frame.goal.R + Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix() @ frame.goal.R) / 2
    frame.goal.u[0] = 7.0
    g = frame.derivatives(np.zeros(frame.n))[0]
    np.testing.assert_allclose(g, frame.differences(frame.cost, 1e-6), atol=1e-7)
    assert np.abs(g[-3:]).max() > 0.1
    frame.goal.R[:] = frame.R
    g, H = frame.derivatives(np.zeros(frame.n))
    np.testing.assert_allclose(g[-3:], 0, atol=1e-12)
    H_expected = frame.differences(lambda d: frame.derivatives(d)[0], 1e-6)
    np.testing.assert_allclose(H, (H_expected + H_expected.T) / 2, atol=1e-6 * np.abs(H).max())


def test_a_small_turn_costs_half_its_square():
    frame = Frame(HANDS["largest"], DEFAULT, tilt=0.0)
    frame.goal.weight[:], frame.goal.v[:], frame.goal.u[:] = 0.0, 0.0, (3.0, 0.0)
    d = np.zeros(frame.n)
    d[-3:] = 0.01, -0.02, 0.02
    assert frame.cost(d) == pytest.approx(3.0 * 0.03**2 / 2, rel=1e-4)


@pytest.mark.parametrize("fixed_palm", [False, True])
@pytest.mark.parametrize("name", [HANDS["largest"], HANDS["mimic"]])
def test_fingers_in_each_other(name, fixed_palm):
    """The gradient is exact; the Hessian gains exactly the square of each depth's derivative (Gauss-Newton)."""
    config = replace(TOUCHING, fixed_palm=fixed_palm)
    frame = next(f for f in (Frame(name, config, seed) for seed in range(100)) if overlaps(model_of(name), f.q).any())
    frame.goal.u[0] = 0.0
    g, H = frame.derivatives(np.zeros(frame.n))
    np.testing.assert_allclose(g, frame.differences(frame.cost, 1e-6), atol=2e-6 * np.abs(g).max())
    problem = frame.problem
    assert problem.sphere_weight == pytest.approx(1 / 0.002**2)
    frame.problem = problem._replace(sphere_weight=0.0)
    g_without, H_without = frame.derivatives(np.zeros(frame.n))
    frame.problem = problem
    assert np.abs(g - g_without).max() > 1e-3 * np.abs(g).max()

    def depths(d: np.ndarray) -> np.ndarray:
        return overlaps(model_of(name), frame.moved(d)[2])

    J = frame.differences(depths, 1e-6)
    np.testing.assert_allclose(H - H_without, J @ J.T / 0.002**2, atol=1e-5 * np.abs(H).max())
    np.testing.assert_allclose(g - g_without, J @ depths(np.zeros(frame.n)) / 0.002**2, atol=1e-5 * np.abs(g).max())


CONFIGS = {
    "default": DEFAULT,
    "position": PRESETS["position"],
    "vector": PRESETS["vector"],
    "all terms": TOUCHING,
    "hand scaling": replace(ALL_TERMS, link_scaling="hand", huber=0.02),
    "no scaling": replace(ALL_TERMS, link_scaling="none", huber=0.02, huber_per_axis=True, fixed_palm=True),
}


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", sorted({*HANDS.values(), "human"}))
def test_the_cost_is_equation_b1(name, config):
    """Written down again from the options' descriptions, with the torch kinematics."""
    for seed in range(4):
        frame = Frame(name, CONFIGS[config], seed=seed)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = frame.R, frame.t
        expected = plain_cost(model_of(name), CONFIGS[config], frame.keypoints, frame.q, T)
        assert frame.cost(np.zeros(frame.n)) == pytest.approx(expected, rel=1e-9)


def test_turns_are_turns():
    rng = np.random.default_rng(0)
    out = np.zeros((3, 3))
    for size in (0.0, 1e-12, 1e-8, 1e-3, 1.0, 3.0, 10.0):
        R, omega = Rotation.random(random_state=rng).as_matrix(), size * rng.normal(size=3)
        turn(R, *omega, out)
        np.testing.assert_allclose(out, Rotation.from_rotvec(omega).as_matrix() @ R, atol=1e-14)
