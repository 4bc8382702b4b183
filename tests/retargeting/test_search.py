"""The descent against SciPy on the same objective from the same start, its limits, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_frame import Frame
from retargeting_cases import description_of, representative_hands
from scipy.optimize import minimize

from unihm.retargeting.config import POSITION, PRESETS, RetargetingConfig
from unihm.retargeting.newton import CONVERGED, MAX_ITERATIONS, NOT_FINITE, PRUNED, search
from unihm.retargeting.solver import Solver

HANDS = representative_hands()
ALL_TERMS = RetargetingConfig(vector_sigma=0.01, self_collision_sigma=0.002)
State = tuple[np.ndarray, np.ndarray, np.ndarray]


def descend(
    frame: Frame, tolerance: float = 1e-12, iterations: int = 500, bound: float = np.inf, known: State | None = None
) -> tuple[float, int, State]:
    """Our answer from the frame's state, which stays as it is."""
    state = frame.R.copy(), frame.t.copy(), frame.q.copy()
    known_R, _, known_q = known or state
    cost, status, _ = search(
        frame.problem, frame.work, frame.goal, *state, iterations, tolerance, bound,
        known_q.copy(), known_R.copy(), 0.0 if known is None else 0.05,
    )  # fmt: skip
    return cost, status, state


def left_jacobian(w: np.ndarray) -> np.ndarray:
    """How a turn vector's change turns the rotation that it makes."""
    angle = np.linalg.norm(w)
    K = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    if angle < 1e-4:
        return np.eye(3) + K / 2 + K @ K / 6
    return np.eye(3) + (1 - np.cos(angle)) / angle**2 * K + (angle - np.sin(angle)) / angle**3 * K @ K


def scipys_answer(frame: Frame, state: State) -> float:
    """Cost that L-BFGS-B comes to from a state, restarted about its own answer until it stands still."""
    here = Frame.__new__(Frame)
    here.__dict__.update(frame.__dict__)
    here.R, here.t, here.q = state
    nq, low, high = len(here.q), frame.hand.chain.lower, frame.hand.chain.upper

    def value(d: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = here.cost(d), here.derivatives(d)[0]
        if here.problem.free_palm:
            gradient[nq + 3 :] = left_jacobian(d[nq + 3 :]).T @ gradient[nq + 3 :]
        return cost, gradient

    for _ in range(20):
        bounds = [*zip(low - here.q, high - here.q, strict=True), *[(None, None)] * (here.n - nq)]
        options = {"maxiter": 3000, "maxfun": 6000, "ftol": 1e-16, "gtol": 1e-9, "maxcor": 30}
        found = minimize(value, np.zeros(here.n), jac=True, bounds=bounds, method="L-BFGS-B", options=options)
        here.R, here.t, here.q = here.moved(found.x)
        here.q = here.q.clip(low, high)
        if found.nit < 3:
            break
    return here.cost(np.zeros(here.n))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (HANDS["largest"], RetargetingConfig()),
        (HANDS["largest"], PRESETS["vector"]),
        (HANDS["mimic"], ALL_TERMS),
        (HANDS["gripper"], RetargetingConfig()),
        (HANDS["four fingers"], RetargetingConfig(link_scaling="hand")),
    ],
)
def test_the_answer_is_as_good_as_scipys(name, config):
    for seed in range(3):
        frame = Frame(name, config, seed=seed)
        start = frame.R, frame.t, frame.q
        cost, status, state = descend(frame)
        assert status == CONVERGED
        assert cost <= scipys_answer(frame, start) * (1 + 1e-6)
        # What is left is nothing that SciPy could still gain, also with the tolerance that is used.
        assert cost <= scipys_answer(frame, state) * (1 + 1e-9)
        assert descend(frame, tolerance=1e-4, iterations=60)[0] <= cost * (1 + 1e-4)


@pytest.mark.parametrize("config", [POSITION, replace(ALL_TERMS, huber=0.01)], ids=["position", "huber"])
def test_where_there_are_several_valleys_the_end_is_a_bottom(config):
    """Two methods may end in two valleys there."""
    for seed in range(3):
        frame = Frame(HANDS["largest"], config, seed=seed)
        cost, status, state = descend(frame)
        assert status == CONVERGED
        assert cost <= scipys_answer(frame, state) * (1 + 1e-9)


def test_the_answers_cost_and_limits():
    for seed in range(5):
        frame = Frame(HANDS["largest"], RetargetingConfig(), seed=seed)
        low, high = frame.goal.lower, frame.goal.upper
        low[:3], high[:3] = frame.q[:3] - 0.01, frame.q[:3] + 0.01  # close limits, as speeds make them
        low[3] = high[3] = frame.q[3]  # and a joint that may not move at all
        cost, status, (R, t, q) = descend(frame)
        assert status == CONVERGED
        assert ((q >= low) & (q <= high)).all()
        assert q[3] == frame.q[3]
        np.testing.assert_allclose(R.T @ R, np.eye(3), atol=1e-12)
        frame.R, frame.t, frame.q = R, t, q
        assert frame.cost(np.zeros(frame.n)) == pytest.approx(cost, rel=1e-12)
        g = frame.derivatives(np.zeros(frame.n))[0]
        nq = len(q)
        # Karush, Kuhn and Tucker: nothing pulls where a joint is free, and only outwards where it is at a limit.
        scale = 1e-5 * max(1.0, np.abs(g).max())
        assert np.abs(g[nq:]).max() < scale
        assert np.abs(g[:nq][(q > low) & (q < high)]).max(initial=0) < scale
        assert (g[:nq][(q <= low) & (low < high)] >= -scale).all()
        assert (g[:nq][(q >= high) & (low < high)] <= scale).all()


def test_how_a_search_ends():
    frame = Frame(HANDS["largest"], RetargetingConfig())
    cost, status, (R, t, q) = descend(frame)
    assert status == CONVERGED
    assert descend(frame, iterations=2)[1] == MAX_ITERATIONS
    # Given up: it cannot get below a known answer's cost, or comes to a known answer.
    assert descend(frame, bound=0.5 * cost)[1] == PRUNED
    assert descend(frame, known=(R, t, q))[1] == PRUNED
    # Not given up when there is something to gain.
    frame.q = (q + 0.02).clip(frame.goal.lower, frame.goal.upper)
    better, status, _ = descend(frame, bound=1.01 * cost)
    assert status == CONVERGED
    assert better < 1.01 * cost
    assert descend(frame, bound=1.01 * cost, known=(R, t, q + 1.0))[1] == CONVERGED
    frame.goal.target[0, 0] = np.nan
    assert descend(frame)[1] == NOT_FINITE


@pytest.fixture(scope="module")
def solvers(small_atlas) -> list[Solver]:
    configs = (RetargetingConfig(), replace(POSITION, velocity_limit=0.5), replace(ALL_TERMS, fixed_palm=True))
    return [Solver(description_of(name), config) for name in HANDS.values() for config in configs]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1e-3, 0.02, 0.1, 0.5, 5.0]),
    flat=st.sampled_from([1.0, 1e-3]),
    frames=st.integers(1, 4),
    which=st.integers(0, 11),
)
def test_whatever_the_keypoints_the_limits_hold(solvers, seed, size, flat, frames, which):
    """Points anywhere, far too small or large, almost in a plane, jumping from frame to frame."""
    solver = solvers[which]
    rng = np.random.default_rng(seed)
    keypoints = rng.normal(0, size, (frames, 21, 3)) * [1, 1, flat] + rng.normal(0, 1, 3)
    q, T, status = solver.solve(keypoints)
    assert ((q >= solver.hand.chain.lower) & (q <= solver.hand.chain.upper)).all()
    np.testing.assert_allclose(
        T[:, :3, :3] @ T[:, :3, :3].swapaxes(1, 2), np.tile(np.eye(3), (frames, 1, 1)), atol=1e-9
    )
    np.testing.assert_allclose(np.linalg.det(T[:, :3, :3]), 1, atol=1e-9)
    assert np.isfinite(T).all()
    assert (T[:, 3] == [0, 0, 0, 1]).all()
    assert not (status == NOT_FINITE).any()
