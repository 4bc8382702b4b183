"""The tasks as Gymnasium environments: Gymnasium's own checker, seeds, and the same physics as rollouts."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from scripted_motions import OPEN, SQUEEZE, box_grab, handle_motion, smooth
from unihm.hands.description import describe_hand
from unihm.simulation.command import Command
from unihm.simulation.fixtures import Drawer
from unihm.simulation.recorder import Recorder
from unihm.simulation.rollout import simulate
from unihm.simulation.solid_object import object_of_mesh
from unihm.simulation.tasks import REASONS
from unihm.simulation.world import build_world

gymnasium = pytest.importorskip("gymnasium", reason="the extra gym is not installed")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from unihm.simulation.environments import CONTROL_HZ, ENVIRONMENTS  # noqa: E402


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
def test_gymnasiums_checker(name):
    options = {"hand": "panda", "render_mode": "rgb_array", "backend": "rays"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make(name, **options)
        check_env(env.unwrapped, skip_render_check=True)
    env.close()


def test_seeds_and_spaces():
    env = gymnasium.make("unihm/Grab-v0", hand="leap")
    assert env.action_space.shape == (6 + 16,)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (5, 22)).astype(np.float32)

    def episode(seed):
        observation, _ = env.reset(seed=seed)
        seen = [observation["object"]]
        for action in actions:
            observation, reward, *_, info = env.step(action)
            seen += [observation["qpos"], observation["palm"], observation["object"]]
        assert info["reason"] in REASONS
        assert isinstance(reward, float)
        return np.concatenate(seen)

    first = episode(1)
    np.testing.assert_array_equal(first, episode(1))
    assert np.abs(first[:2] - episode(2)[:2]).max() > 1e-3
    assert np.abs(first[:2]).max() <= 0.02  # FACTS 5: 2 cm
    env.close()


def test_a_perceived_object_is_seen_once_and_never_told():
    env = gymnasium.make("unihm/Grab-v0", hand="panda", observation="cloud")
    observation, _ = env.reset(seed=3)
    assert set(observation) == {"qpos", "palm", "goal", "cloud"}
    assert observation["cloud"].shape == (256, 3)
    after = env.step(env.action_space.sample())[0]["cloud"]
    np.testing.assert_array_equal(observation["cloud"], after)
    env.close()


def test_a_picture():
    env = gymnasium.make("unihm/Pull-v0", hand="panda", render_mode="rgb_array", backend="rays")
    env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (240, 320, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    env.close()


def _policy(env, palms, fingers, last):
    """Follow palm poses (n, 4, 4) by increments, with given finger targets in [-1, 1]; what came of it."""
    from scipy.spatial.transform import Rotation

    base, total, info = env.unwrapped, 0.0, {}
    for k in range(10_000):
        want = palms[min(k, len(palms) - 1)]
        off = np.linalg.inv(base._sent) @ want
        turn = Rotation.from_matrix(off[:3, :3]).as_rotvec()
        increment = np.concatenate([off[:3, 3] * CONTROL_HZ / 0.25, turn * CONTROL_HZ / 1.5])
        action = np.concatenate([np.clip(increment, -1, 1), [fingers[min(k, len(palms) - 1)]]])
        _, reward, terminated, truncated, info = env.step(action.astype(np.float32))
        total += reward
        assert not truncated
        if terminated or k == last:
            break
    return total, info


def test_a_scripted_policy_pulls_the_drawer_open():
    env = gymnasium.make("unihm/Pull-v0", hand="panda", noise=0.0)
    env.reset(seed=0)
    motion = handle_motion(Drawer(), 0.14)
    rows = np.round(np.arange(0, len(motion) - 1, 30 / CONTROL_HZ)).astype(int)
    approach = [motion.T_world_palm[0]] * 20  # from where the environment puts the hand
    palms = np.concatenate([approach, motion.T_world_palm[rows]])
    target = motion.qpos_target[:, 0]  # pyright: ignore[reportOptionalSubscript]
    fingers = np.concatenate([np.ones(20), target[rows] / OPEN * 2 - 1])
    total, info = _policy(env, palms, fingers, 400)
    assert info["success"], info
    assert info["reason"] == ""
    assert total == pytest.approx(1.0)  # the rewards of a success add up to 1
    env.close()


def test_an_episode_ends_with_a_reason():
    env = gymnasium.make("unihm/Push-v0", hand="panda", noise=0.0)
    env.reset(seed=0)
    still = np.zeros(7, dtype=np.float32)
    steps = 0
    terminated = False
    info = {}
    while not terminated:
        _, _, terminated, _, info = env.step(still)
        steps += 1
    assert steps == round(7.0 * CONTROL_HZ)  # 6 s, 0.5 s to come to rest, 0.5 s that it must hold
    assert info["reason"] == "missed"
    env.close()


def test_piece_by_piece_is_the_same_physics_as_at_once():
    """A recorder that is advanced every 40 ms, against a rollout of the command with the same corners."""
    hand, motion = describe_hand("panda"), box_grab()
    points = motion.object_points
    assert points is not None
    assert motion.T_world_object is not None
    box = object_of_mesh(points, np.zeros((0, 3), dtype=np.int64), name="box", mass=0.1, convex="hull")
    times = np.arange(41) / CONTROL_HZ
    palms = np.tile(motion.T_world_palm[0], (41, 1, 1))
    palms[:, 2, 3] -= 0.1 * smooth(times, 0.1, 0.7)
    fingers = (OPEN + (SQUEEZE - OPEN) * smooth(times, 0.8, 1.2))[:, None]
    world = build_world(hand, palms[0], object=box, T_world_object=motion.T_world_object[0])

    def push(t):
        return np.array([0.0, 0.3, 0.0]) if t > 0.5 else None

    whole = simulate(world, Command(times=times, T_world_palm=palms, qpos=fingers), seconds=1.6, disturbance=push)
    recorder = Recorder(world, palms[0], fingers[0])
    for T, q in zip(palms[1:], fingers[1:], strict=True):
        recorder.advance(T, q, 1 / CONTROL_HZ, push)
    pieces = recorder.rollout()
    assert len(pieces.times) == len(whole.times) - 1
    np.testing.assert_allclose(pieces.times, whole.times[:-1])
    np.testing.assert_allclose(pieces.configuration, whole.configuration[:-1], atol=1e-7)
    np.testing.assert_array_equal(pieces.touching, whole.touching[:-1])
    assert pieces.opposing[-1]


def test_bad_input():
    from unihm.simulation.environments import TaskEnvironment

    with pytest.raises(ValueError, match="Did you mean 'grab'"):
        TaskEnvironment("grap")
    with pytest.raises(ValueError, match="Observation 'image' not found"):
        TaskEnvironment(observation="image")
    with pytest.raises(ValueError, match="Fixture 'window' not found"):
        TaskEnvironment("open", fixture="window")
    env = TaskEnvironment("grab", hand="panda")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="NaN"):
        env.step(np.full(7, np.nan))
