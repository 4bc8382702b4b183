"""References: laid over each other by the lift, blind to where the table stands, and exact where they can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.evaluation import references
from unihm.evaluation.motion_metrics import Track, score
from unihm.evaluation.references import ConstantPose, Given, NearestNeighbour, RidgeRegression
from unihm.kinematics.keypoints import palm_frame


def _hand() -> np.ndarray:
    """A flat right hand in its palm frame, 21 points."""
    points = [(-0.09, 0, 0)]
    for finger, y in enumerate((-0.04, -0.02, 0.0, 0.02, 0.04)):
        start = -0.05 if finger == 0 else 0.0
        points += [(start + 0.03 * joint, y, 0) for joint in range(4)]
    return np.array(points, dtype=float)


def _example(seed: int, frames: int = 40, lift: int = 18, goal: float = 0.2) -> tuple[Given, Track]:
    """A hand that closes in on a box on the table and lifts it; start, size and goal depend on the seed."""
    generator = np.random.default_rng(seed)
    box = generator.uniform(-0.5, 0.5, size=(200, 3)) * generator.uniform(0.04, 0.12, size=3)
    phase = np.clip(np.arange(frames) / max(lift, 1), 0, 1)[:, None]
    carry = np.clip((np.arange(frames) - lift) / max(frames - 1 - lift, 1), 0, 1)
    T_world_object = np.tile(np.eye(4), (frames, 1, 1))
    T_world_object[:, 2, 3] = 0.06 + goal * carry
    start = np.array([0.3, generator.uniform(-0.2, 0.2), generator.uniform(0.1, 0.3)])
    grasp = np.array([0.06, 0.0, 0.02])
    T_object_palm = np.tile(np.eye(4), (frames, 1, 1))
    T_object_palm[:, :3, :3] = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]])  # fingers to the box, palm down
    T_object_palm[:, :3, 3] = (1 - phase) * start + phase * grasp
    T_world_palm = T_world_object @ T_object_palm
    hand = _hand()
    keypoints = hand @ T_world_palm[:, :3, :3].swapaxes(1, 2) + T_world_palm[:, None, :3, 3]
    track = Track(keypoints_world=keypoints, T_world_palm=T_world_palm, wrist_world=keypoints[:, 0], fps=30.0)
    return _given(track, T_world_object, box, lift), track


def _given(track: Track, T_world_object: np.ndarray, points: np.ndarray, lift: int) -> Given:
    return Given(
        keypoints0_world=track.keypoints_world[0],
        T_world_palm0=track.T_world_palm[0],
        wrist0_world=track.wrist_world[0],
        T_world_object=T_world_object,
        object_points=points,
        lift_frame=lift,
        fps=track.fps,
    )


def _moved(T: np.ndarray, given_: Given, track: Track) -> tuple[Given, Track]:
    """The same scene elsewhere."""
    moved = Track(
        keypoints_world=track.keypoints_world @ T[:3, :3].T + T[:3, 3],
        T_world_palm=T @ track.T_world_palm,
        wrist_world=track.wrist_world @ T[:3, :3].T + T[:3, 3],
        fps=track.fps,
    )
    return _given(moved, T @ given_.T_world_object, given_.object_points, given_.lift_frame), moved


@pytest.fixture(scope="module")
def training():
    return [_example(seed, frames=30 + seed % 20, lift=10 + seed % 12) for seed in range(60)]


@given(st.integers(2, 90), st.integers(0, 100))
def test_lift_phase_and_frame_are_inverse(frames, lift):
    phases = references._lift_phase(frames, lift)
    assert (np.diff(phases) > 0).all()
    assert phases[min(lift, frames - 1)] == 1
    assert phases[-1] == (2 if lift < frames - 1 else 1)
    np.testing.assert_allclose(references._frame_at(phases, frames, lift), np.arange(frames), atol=1e-9)


def test_interpolation_agrees_with_numpy():
    knots, at = np.linspace(0, 2, 9), np.random.default_rng(0).uniform(0, 2, 30)
    values = np.random.default_rng(1).normal(size=(9, 3))
    ours = references._interpolate(at, knots, values)
    for column in range(3):
        np.testing.assert_allclose(ours[:, column], np.interp(at, knots, values[:, column]))


def test_constant_pose_by_hand():
    """A palm that ends 0.2 m higher and 0.24 m nearer: the held pose is off by just that in the last frame."""
    given_, track = _example(0)
    predicted = ConstantPose().predict(given_)
    travelled = np.linalg.norm(track.T_world_palm[-1, :3, 3] - track.T_world_palm[0, :3, 3])
    result = score(predicted, track)
    assert result["fpl_mm"] == pytest.approx(1e3 * travelled)
    assert result["fol_deg"] == pytest.approx(0, abs=1e-6)
    assert result["mpjpe_wrist_mm"] == pytest.approx(0, abs=1e-9)
    assert result["jerk"] == 0


def test_states_and_track_are_inverse():
    given_, track = _example(3)
    phases = references._lift_phase(len(track), given_.lift_frame)
    states = references._states_at(given_, track, phases)
    back = references.track_of_states(given_, states)
    np.testing.assert_allclose(back.keypoints_world, track.keypoints_world, atol=1e-9)
    np.testing.assert_allclose(back.T_world_palm, track.T_world_palm, atol=1e-9)
    np.testing.assert_allclose(back.wrist_world, track.wrist_world, atol=1e-9)


def test_nearest_neighbour_finds_itself_again(training):
    reference = NearestNeighbour(training)
    for given_, track in training[::15]:
        result = score(reference.predict(given_), track)
        assert result["mpjpe_mm"] < 3  # what 33 knots lose of the kink at the lift
        assert result["fol_deg"] < 1e-3


def test_nearest_neighbour_starts_at_the_given_pose_and_keeps_the_grasp(training):
    given_, track = _example(1000, goal=0.2)
    predicted = NearestNeighbour(training).predict(given_)
    np.testing.assert_allclose(predicted.keypoints_world[0], track.keypoints_world[0], atol=1e-9)
    T_object_palm = np.linalg.inv(given_.T_world_object) @ predicted.T_world_palm
    after = T_object_palm[given_.lift_frame :, :3, 3]
    assert np.ptp(after, axis=0).max() < 5e-3  # carried, the palm stands still in the object's frame


@pytest.mark.parametrize("make", [lambda t: NearestNeighbour(t), lambda t: RidgeRegression(t[10:], t[:10])])
def test_references_do_not_see_where_the_table_stands(training, make):
    reference = make(training)
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", 130, degrees=True).as_matrix()
    T[:2, 3] = (1.5, -0.7)
    given_, track = _example(77)
    here = reference.predict(given_)
    there = reference.predict(_moved(T, given_, track)[0])
    np.testing.assert_allclose(there.keypoints_world, here.keypoints_world @ T[:3, :3].T + T[:3, 3], atol=1e-6)


def test_ridge_learns_what_is_linear_and_picks_a_penalty_that_generalises(training):
    reference = RidgeRegression(training[10:], training[:10])
    assert references._PENALTIES[0] <= reference.penalty <= references._PENALTIES[-1]
    errors, constant = [], []
    for seed in range(200, 210):
        given_, track = _example(seed)
        errors.append(score(reference.predict(given_), track)["mpjpe_mm"])
        constant.append(score(ConstantPose().predict(given_), track)["mpjpe_mm"])
    assert np.mean(errors) < 0.15 * np.mean(constant)


def test_ridge_agrees_with_scikit_free_normal_equations(training):
    """The SVD solution is the one of (X^T X + p I) w = X^T y."""
    reference = RidgeRegression(training[10:], training[:10])
    x = np.stack([references._features(g) for g, _ in training[10:]])
    y = np.stack([references._states_at(g, t, references._STATE_PHASES).ravel() for g, t in training[10:]])
    x = (x - x.mean(axis=0)) / x.std(axis=0).clip(1e-6)
    expected = np.linalg.solve(x.T @ x + reference.penalty * np.eye(x.shape[1]), x.T @ (y - y.mean(axis=0)))
    np.testing.assert_allclose(reference._coefficients, expected, atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 50), st.integers(0, 60))
def test_any_length_and_any_lift(frames, lift):
    training = [_example(seed) for seed in range(8)]
    given_, track = _example(5, frames=frames, lift=lift)
    for reference in (ConstantPose(), NearestNeighbour(training), RidgeRegression(training, training[:2])):
        predicted = reference.predict(given_)
        assert predicted.keypoints_world.shape == track.keypoints_world.shape
        assert np.isfinite(predicted.keypoints_world).all()
        R = predicted.T_world_palm[:, :3, :3]
        np.testing.assert_allclose(R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), R.shape), atol=1e-9)
        assert (np.linalg.det(R) > 0).all()


def test_palm_of_the_synthetic_hand_is_the_shared_palm_frame():
    np.testing.assert_allclose(palm_frame(_hand()), np.eye(4), atol=1e-12)
