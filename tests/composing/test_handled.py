from pathlib import Path

import numpy as np
import pytest
import torch

from unihm.composing.base import COMPOSERS, FREE, TASK, Composer
from unihm.composing.handle_grasps import draw_grasp, draw_start
from unihm.composing.handle_worlds import draw_world, fixture_of, fixture_text, plan_of
from unihm.composing.handled import FIXTURE, KIND
from unihm.composing.trying import Order, TriedComposing
from unihm.hands.hand import load_hand
from unihm.kinematics.keypoints import THUMB_TIP, TIPS
from unihm.planning.pace import HUMAN
from unihm.scenes import asking_forms as forms
from unihm.scenes.furniture import WORDS, joint_of
from unihm.simulation.fixture import handle_bars
from unihm.simulation.tasks import run
from unihm.sources.checks import check_keypoints

NAMES = tuple(name for name in COMPOSERS if name not in FREE)
KINDS = {name: name.split("-")[::-1] for name in NAMES}


def composed(name, number=0):
    return COMPOSERS[name]().compose(None, f"composed/{name}/{number:05d}", np.random.default_rng([3, number]))


@pytest.fixture(scope="module")
def episodes():
    return {name: composed(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_says_what_it_is(episodes, name):
    episode, (kind, task) = episodes[name], KINDS[name]
    assert isinstance(COMPOSERS[name](), Composer)
    assert episode.id == episode.recording == f"composed/{name}/00000"
    assert (episode.dataset, episode.subject, episode.object_name) == ("unihm", "solver", f"{kind} handle")
    assert (episode.attributes[TASK], episode.attributes[KIND]) == (task, kind)
    assert episode.attributes["part"] in ("train", "validation")
    assert len(set(episode.instructions)) >= 5
    check_keypoints(episode.keypoints_world, "right", name)
    assert 0 < episode.contact_frame <= episode.lift_frame < len(episode) - 10
    assert 0.25 < np.linalg.norm(episode.keypoints_world[0, 9] - episode.T_world_object[0, :3, 3]) < 0.75


@pytest.mark.parametrize("name", NAMES)
def test_the_handle_goes_as_its_joint_lets_it(episodes, name):
    episode = episodes[name]
    part = fixture_of(episode.attributes[FIXTURE])
    T_handle_object = np.linalg.inv(part.T_world_handle) @ episode.T_world_object[0]
    joint, start = joint_of(part), episode.T_world_object[0]
    moved = episode.T_world_object @ np.linalg.inv(start)
    if joint.kind == "slide":
        way = (episode.T_world_object[:, :3, 3] - start[:3, 3]) @ joint.axis_world
    else:
        axis = joint.axis_world
        K = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        way = np.arctan2(
            -np.einsum("tij,ji->t", moved[:, :3, :3], K) / 2, (np.trace(moved[:, :3, :3], axis1=1, axis2=2) - 1) / 2
        )
    expected = part.handle_at(part.position0 + way) @ T_handle_object
    np.testing.assert_allclose(episode.T_world_object, expected, atol=1e-9)
    assert np.abs(way[: episode.lift_frame]).max() < 1e-12
    end = part.position0 + way[-1]
    assert (
        end > 0.9 * {"slide": 0.135, "hinge": np.radians(68)}[joint.kind]
        if name[0] in "o" or "pull" in name
        else end < 1e-6
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_hand_holds_the_bar_from_both_sides_and_keeps_off_the_panel(episodes, name):
    episode = episodes[name]
    part, panel = fixture_of(episode.attributes[FIXTURE]), episode.panel_object
    assert panel is not None
    f = episode.lift_frame
    T = np.linalg.inv(episode.T_world_object[f])
    points = episode.keypoints_world[f] @ T[:3, :3].T + T[:3, 3]
    assert (points @ panel[:3] > panel[3]).all()  # joints and tips
    T = episode.T_world_object[f] @ np.linalg.inv(episode.T_world_object[0]) @ part.T_world_handle
    across = ((episode.keypoints_world[f, list(TIPS)] - T[:3, 3]) @ T[:3, :3])[:, [0, 2]]  # off the middle of the bar
    near = np.linalg.norm(across, axis=1) < handle_bars(part)[0][2] + 0.01
    assert near[0]
    away = across / np.linalg.norm(across, axis=1, keepdims=True)
    assert (away[1:][near[1:]] @ away[0]).min() < -0.4
    R, t = episode.T_world_object[f:, :3, :3], episode.T_world_object[f:, :3, 3]
    held = np.einsum("tji,tj->ti", R, episode.keypoints_world[f:, THUMB_TIP] - t)
    assert np.linalg.norm(held - held[0], axis=1).max() < 2e-3  # nothing slips


def test_keypoints_are_those_of_the_human_model(episodes):
    """Their bones are as long in every frame as the model's."""
    hand = load_hand("human")
    palm = hand.keypoints(torch.zeros(len(hand.joint_names), dtype=torch.float64)).numpy()
    bones = [(5, 6), (6, 7), (7, 8), (0, 5), (0, 9), (0, 17), (1, 2), (2, 3), (3, 4)]
    for episode in episodes.values():
        for a, b in bones:
            length = np.linalg.norm(episode.keypoints_world[:, b] - episode.keypoints_world[:, a], axis=1)
            np.testing.assert_allclose(length, np.linalg.norm(palm[b] - palm[a]), atol=1e-9)


def test_the_same_seed_gives_the_same_episode_and_another_one_another(episodes):
    again, other = composed("open-door"), composed("open-door", 1)
    first = episodes["open-door"]
    np.testing.assert_array_equal(again.keypoints_world, first.keypoints_world)
    np.testing.assert_array_equal(again.T_world_object, first.T_world_object)
    assert (again.instructions, again.attributes) == (first.instructions, first.attributes)
    assert len(other) != len(first) or (other.keypoints_world != first.keypoints_world).any()
    assert other.attributes[FIXTURE] != first.attributes[FIXTURE]


@pytest.mark.parametrize("kind", ["drawer", "door", "lid"])
def test_a_fixture_is_written_down_to_the_last_digit(kind):
    for seed in range(4):
        part = draw_world(kind, "push" if kind == "drawer" else "close", np.random.default_rng(seed)).part
        again = fixture_of(fixture_text(part))
        assert type(again) is type(part)
        assert again.design == part.design
        np.testing.assert_array_equal(again.T_world_handle, part.T_world_handle)
        assert fixture_text(again) == fixture_text(part)


def test_words_are_those_of_training(episodes):
    unheard = {word for names in WORDS.values() for word in names[1]}
    clauses = [clause.split("{object}") for form in forms.HELD_OUT_CLAUSES.values() for clause in form]
    for episode in episodes.values():
        for text in episode.instructions:
            assert any(name in text.lower() for name in WORDS[episode.attributes[KIND]][0])
            assert not any(word in text for word in unheard)
            assert not any(len(parts[0]) > 5 and parts[0] in text.lower() for parts in clauses if parts[-1] == "")


def test_grasps_and_starts_vary_before_the_camera():
    world = draw_world("drawer", "pull", np.random.default_rng(0))
    plan, hand = plan_of(world, HUMAN, np.random.default_rng(0)), load_hand("human")
    rng = np.random.default_rng(1)
    grasps = np.array([draw_grasp(hand, world.part, rng).T_handle_palm for _ in range(30)])
    turns = np.degrees(
        np.arccos(np.clip((np.einsum("nij,ij->n", grasps[:, :3, :3], grasps[0, :3, :3]) - 1) / 2, -1, 1))
    )
    assert turns.max() > 25
    starts = np.array([draw_start(plan, rng) for _ in range(30)])
    distance = np.linalg.norm(starts[:, :3, 3] - plan.T_world_object[0, :3, 3], axis=1)
    assert 0.3 < distance.min() < distance.max() < 0.75
    assert np.ptp(distance) > 0.1
    panel = plan.panel_object
    assert panel is not None
    before = (starts[:, :3, 3] - plan.T_world_object[0, :3, 3]) @ panel[:3] - panel[3]
    assert (before > 0.05).all()
    ahead = world.T_world_camera[:3, 2]
    assert ((starts[:, :3, 3] - plan.T_world_object[0, :3, 3]) @ ahead < 0.2).all()  # not behind the furniture


def test_the_shadow_hand_pulls_a_composed_drawer(tmp_path):
    """As a worker does it, by what is stored alone."""
    tried = TriedComposing(tmp_path, ["shadow"])(
        Order(id="composed/pull-drawer/00000", name="pull-drawer", source=None)
    )
    assert tried.passed == ("shadow",), tried.hands
    assert tried.episode is not None
    trial = COMPOSERS["pull-drawer"]().trial(tried.episode, Path("nowhere"))
    motion = tried.hands["shadow"].motion
    panel = tried.episode.panel_object
    assert motion is not None
    assert motion.panel_object is not None
    assert panel is not None
    np.testing.assert_allclose(motion.panel_object, panel, atol=1e-8)
    assert motion.T_world_object is not None
    speed = motion.fps * np.linalg.norm(np.diff(motion.T_world_object[:, :3, 3], axis=0), axis=1)
    assert speed.max() < 0.16  # fingers hold it by friction
    outcome, _ = run(trial.task, motion, **trial.setting)
    assert outcome.success, (outcome.reason, outcome.measures)
