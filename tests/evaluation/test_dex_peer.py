"""dex_retargeting beside us: what we compute for it is what it computes, and what it does silently is noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from unihm.evaluation import retargeting
from unihm.evaluation.dex_peer import Peer, load_peer, objective, shared_targets, target_points
from unihm.hands.description import describe_hand

pytest.importorskip("dex_retargeting", reason="dex_retargeting is not here (pip install 'unihm[dev]')")

HANDS = ("allegro", "panda", "ability")  # plain joints; one that slides and one that follows; followers with an offset
SETTINGS = {"allegro": "allegro_hand_right", "panda": "panda_gripper", "ability": "ability_hand_right"}


@pytest.fixture(scope="module")
def peers() -> dict[tuple[str, bool], Peer]:
    """By hand and whether its limits are exact."""
    return {
        (name, exact): Peer(describe_hand(name), converged=False, exact_limits=exact)
        for name, exact in [*((name, False) for name in HANDS), ("panda", True)]
    }


@pytest.fixture(scope="module")
def frames(shared_data) -> np.ndarray:
    return np.load(shared_data / "hands_official" / "human_joint_right.npy").astype(np.float64)[:20]


def random_pose(peer: Peer, hand, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What its optimizer chooses, our joints, and where it puts our palm by its own forward kinematics."""
    optimizer = peer._retargeting.optimizer
    low, high = np.clip(peer._retargeting.joint_limits, -1, 2).T
    x = rng.uniform(low, high)
    full = np.zeros(optimizer.robot.dof)
    full[optimizer.idx_pin2target] = x
    if optimizer.adaptor is not None:
        full = optimizer.adaptor.forward_qpos(full)
    optimizer.robot.compute_forward_kinematics(full)
    T_world_root = optimizer.robot.get_link_pose(optimizer.robot.get_link_index(hand.urdf.root))
    return x, full[peer._columns], T_world_root @ hand.T_root_palm


def test_objective_by_hand():
    targets = np.array([[[0.1, 0.2, 0.3], [0.0, 0.0, 0.0]]])
    points = targets + np.array([[[0.01, 0.0, 0.0], [0.0, -0.05, 0.03]]])
    # 10 mm lie in the square part: 0.01^2 / 2 / 0.02; 50 and 30 mm in the straight one: less 10 mm.
    assert objective(points, targets) == pytest.approx([(0.0025 + 0.04 + 0.02) / 6])
    assert objective(np.zeros((3, 2, 3)), np.zeros((3, 2, 3))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", HANDS)
def test_points_and_objective_are_the_peers_own(name, peers, frames):
    peer, hand = peers[name, False], describe_hand(name)
    shared, rng = shared_targets(hand), np.random.default_rng(0)
    optimizer = peer._retargeting.optimizer
    for frame in frames[:5]:
        x, q, T = random_pose(peer, hand, rng)
        points = target_points(shared, q[None], T[None])
        theirs = [optimizer.robot.get_link_pose(link)[:3, 3] for link in optimizer.target_link_indices]
        np.testing.assert_allclose(points[0], theirs, atol=1e-6)  # pinocchio's

        targets = frame[shared.keypoint_indices]
        last = peer._retargeting.last_qpos
        value = optimizer.get_objective_function(targets, np.array([]), last)(x, np.array([]))
        assert objective(points, targets[None])[0] == pytest.approx(value, rel=1e-5)


def test_its_gradient_has_a_term_that_its_value_lacks(peers, frames):
    """The reason for the long tail of its converged times; if this fails, the module's docstring is out of date."""
    peer = peers["panda", False]
    optimizer, last = peer._retargeting.optimizer, peer._retargeting.last_qpos.astype(np.float64)
    function = optimizer.get_objective_function(frames[0][peer._indices], np.array([]), last)
    x = last + 0.01
    grad, nothing = np.zeros_like(x), np.array([])
    function(x, grad)
    steps = 1e-6 * np.eye(len(x))
    slope = np.array([(function(x + step, nothing) - function(x - step, nothing)) / 2e-6 for step in steps])
    np.testing.assert_allclose(grad - slope, 2 * optimizer.norm_delta * (x - last), atol=1e-7)
    assert optimizer.norm_delta > 0


@pytest.mark.parametrize("name", HANDS)
def test_targets_are_those_of_its_settings(name):
    file = Path(load_peer().__file__).parent / "configs" / "offline" / f"{SETTINGS[name]}.yml"
    settings = yaml.safe_load(file.read_text())["retargeting"]
    links = np.ravel(settings["target_link_names"]).tolist()
    expected = dict(zip(np.ravel(settings["target_link_human_indices"]).tolist(), links, strict=True))
    shared = shared_targets(describe_hand(name))
    assert dict(zip(shared.keypoint_indices.tolist(), (p.link for p in shared.keypoints), strict=True)) == expected
    assert all(p.xyz == (0, 0, 0) for p in shared.keypoints)


def test_targets_by_hand():
    panda = shared_targets(describe_hand("panda"))
    assert [p.link for p in panda.keypoints] == ["panda_leftfinger", "panda_rightfinger"]
    assert panda.keypoint_indices.tolist() == [4, 8]
    assert panda.fingers == ("thumb", "index")
    allegro = shared_targets(describe_hand("allegro"))
    assert allegro.keypoint_indices.tolist() == [2, 4, 6, 8, 10, 12, 14, 16]
    assert allegro.keypoint_indices[allegro.fingertip_slots].tolist() == [4, 8, 12, 16]
    assert allegro.fingers == ("thumb", "index", "middle", "ring")


def test_a_hand_without_settings_has_our_fingertips_as_targets():
    hand = describe_hand("xhand")
    shared = shared_targets(hand)
    assert [p.link for p in shared.keypoints] == [hand.keypoints[slot].link for slot in hand.fingertip_slots]
    assert shared.keypoint_indices.tolist() == [4, 8, 12, 16, 20]


def test_limits_as_it_comes_and_exact(peers, frames):
    chain, beyond = describe_hand("panda").chain, {}
    for exact in (False, True):
        peer = peers["panda", exact]
        peer.reset()
        q = np.stack([peer.answer(peer.solve(frame), "").q for frame in frames])
        beyond[exact] = np.maximum(chain.lower - q, q - chain.upper).max()
    assert 5e-4 < beyond[False] <= 1e-3 + 1e-6  # the hand is open wider than the gripper can
    assert beyond[True] <= 1e-6


@pytest.mark.parametrize("kind", ["RuntimeError", "RoundoffLimited"])
def test_a_silent_failure_is_counted(kind, peers, frames, monkeypatch, capsys):
    """It prints and returns the last pose; of nlopt's errors it lets one through."""
    nlopt = pytest.importorskip("nlopt")
    peer = peers["panda", False]
    optimizer, calls = peer._retargeting.optimizer, []
    whole = optimizer.opt

    class Failing:
        def __getattr__(self, name):
            return getattr(whole, name)

        def optimize(self, x):
            calls.append(x)
            if len(calls) in (3, 4):
                raise {"RuntimeError": RuntimeError, "RoundoffLimited": nlopt.RoundoffLimited}[kind]("nlopt failure")
            return whole.optimize(x)

    monkeypatch.setattr(optimizer, "opt", Failing())
    monkeypatch.setattr(retargeting, "Peer", lambda hand, **options: peer)
    answers = retargeting._peer(describe_hand("panda"))(frames[:6])
    assert len(calls) == 6
    assert answers.failed == 2
    # The last pose, brought back within the limits it had passed by 1e-3.
    np.testing.assert_allclose(answers.points[2], answers.points[1], atol=2e-3)
    np.testing.assert_allclose(answers.points[3], answers.points[2], atol=1e-6)
    assert np.abs(answers.points[4] - answers.points[3]).max() > 1e-5
    assert capsys.readouterr().out == ""


def test_a_recording_starts_afresh(peers, frames, monkeypatch):
    monkeypatch.setattr(retargeting, "Peer", lambda hand, **options: peers["panda", False])
    run = retargeting._peer(describe_hand("panda"))
    first, second = run(frames[:5]), run(frames[:5])
    assert np.array_equal(first.points, second.points)
    assert first.failed == 0


def test_it_is_asked_for_by_its_extra_when_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "dex_retargeting.retargeting_config", None)
    with pytest.raises(ValueError, match=r"pip install 'unihm\[dev\]'"):
        load_peer()
