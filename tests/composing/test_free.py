"""Composed episodes of free objects against scipy and the meaning of their words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from composing_builders import EDGE, OBJECT, lifted, write_models
from scipy.spatial.transform import Rotation

from unihm.composing.base import COMPOSERS, FREE, TASK, Source, composed, true_object
from unihm.composing.trying import episode_as_stored
from unihm.contact_phases import release_frame
from unihm.datasets.episode_store import read_episodes, write_episodes
from unihm.datasets.motion_store import attach
from unihm.datasets.object_names import OBJECT_NAMES
from unihm.pipeline import plan_of_episode
from unihm.scenes import asking_forms as forms
from unihm.schema.motion import HandMotion

# The camera of the builders looks along x: away is +x, left is +y.
WAYS = {"left": (0, 1), "right": (0, -1), "away": (1, 0), "toward": (-1, 0), "": (0, 0)}
SEEDS = range(12)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def source(models):
    return Source(episode=lifted(), object=true_object(models, OBJECT, False))


@pytest.fixture(scope="module")
def episodes(source):
    return {
        (task, seed): COMPOSERS[task]().compose(source, f"{task}-{seed}", np.random.default_rng(seed))
        for task in FREE
        for seed in SEEDS
    }


def in_object(episode):
    """Keypoints in the object's frame, by scipy."""
    R = Rotation.from_matrix(episode.T_world_object[:, :3, :3])
    points = episode.keypoints_world - episode.T_world_object[:, None, :3, 3]
    return np.stack([R.inv().apply(points[:, k]) for k in range(21)], axis=1)


def held(episode):
    return slice(episode.lift_frame, (episode.release_frame or len(episode) - 1) + 1)


def test_the_hand_is_rigid_on_what_it_moves(episodes):
    for episode in episodes.values():
        keypoints = in_object(episode)[held(episode)]
        assert len(keypoints) > 15
        np.testing.assert_allclose(keypoints, np.broadcast_to(keypoints[:1], keypoints.shape), atol=1e-9)


def test_the_object_rests_on_the_table_until_the_first_frame_that_moves(episodes, source):
    for episode in episodes.values():
        T, lift = episode.T_world_object, episode.lift_frame
        assert source.object.lowest(T[0]) == pytest.approx(0, abs=1e-9)
        assert (T[:lift] == T[0]).all()
        assert (T[lift] != T[0]).any()
        assert episode.contact_frame <= lift
        # as recorded, but for the noise of poses, and how the object settles
        assert np.linalg.norm(T[0, :3, 3] - source.episode.T_world_object[0, :3, 3]) < 5e-3


def test_paths_end_where_the_words_say(episodes):
    for (task, _), episode in episodes.items():
        facts = episode.attributes
        start, end = episode.T_world_object[[0, -1]]
        assert facts[TASK] == task
        usual = {"place": 0.2, "push": 0.12, "pull": 0.12}[task]
        amount = float(facts.get("amount_m", usual))
        assert 0.05 <= amount <= 0.3
        step = np.append(amount * np.array(WAYS[facts["relation"]]), 0.0)
        np.testing.assert_allclose(end[:3, 3] - start[:3, 3], step, atol=2e-3)  # the cloud's centre turns, not ours
        turned = Rotation.from_matrix(end[:3, :3]) * Rotation.from_matrix(start[:3, :3]).inv()
        np.testing.assert_allclose(turned.as_rotvec(), [0, 0, float(facts.get("turn_rad", 0))], atol=1e-5)
        if task != "place":
            np.testing.assert_allclose(episode.T_world_object[:, 2], np.tile(start[2], (len(episode), 1)), atol=1e-9)
        else:
            assert episode.T_world_object[:, 2, 3].max() > start[2, 3] + 0.04
    assert {e.attributes["relation"] for e in episodes.values()} >= {"left", "right", "away", "toward"}


def test_what_is_set_down_is_let_go_as_it_was_grasped(episodes):
    for (task, _), episode in episodes.items():
        if task != "place":
            assert episode.release_frame is None
            continue
        release = episode.release_frame
        assert release == release_frame(episode.T_world_object)
        stored = episode_as_stored(episode)
        assert release == release_frame(stored.T_world_object)
        keypoints = in_object(episode)
        leaving = keypoints[release + 4 :]
        came = keypoints[: episode.lift_frame - 1][::-1][: len(leaving)]
        np.testing.assert_allclose(leaving, came, atol=1e-9)
        assert np.linalg.norm(leaving[-1, 0] - keypoints[release, 0]) >= 0.2
        speed = np.linalg.norm(np.diff(episode.keypoints_world[release - 2 :], axis=0), axis=-1).max()
        assert speed < 1.2 * np.linalg.norm(np.diff(lifted().keypoints_world, axis=0), axis=-1).max()


def test_sentences_say_task_object_and_where_to(episodes):
    names = OBJECT_NAMES[OBJECT]
    held_out = {phrase for _, others in forms.WHERE.values() for phrase in others} | set(names.held_out)
    held_out |= {phrase for _, others in (*forms.VAGUE.values(),) for phrase in others}
    said = {"left": "left", "right": "right", "away": "away", "toward": "me"}
    for episode in episodes.values():
        sentences = episode.instructions
        assert len(set(sentences)) == len(sentences) >= 5
        for sentence in sentences:
            assert any(name in sentence.lower() for name in (names.name, *names.synonyms)), sentence
            assert not any(phrase in sentence.lower() for phrase in held_out), sentence
            relation = episode.attributes["relation"]
            assert not relation or said[relation] in sentence, sentence
        if "turn_rad" in episode.attributes:
            assert all("turn" in s or "rotat" in s or "pivot" in s for s in sentences if episode.attributes["relation"])
    words = {word for e in episodes.values() for s in e.instructions for word in s.lower().split()}
    assert {"push", "pull"} <= words


def test_everything_else_is_that_of_the_source(episodes, source):
    recorded = source.episode
    for episode in episodes.values():
        for name in ("recording", "dataset", "subject", "object_name", "mirrored", "fps"):
            assert getattr(episode, name) == getattr(recorded, name)
        assert episode.attributes.items() >= recorded.attributes.items()
        assert len(episode) == len(episode.T_world_object) > episode.lift_frame
        assert (episode.T_world_camera == recorded.T_world_camera).all()


def test_the_same_draw_gives_the_same_episode(episodes, source):
    again = COMPOSERS["place"]().compose(source, "place-3", np.random.default_rng(3))
    other = episodes["place", 3]
    assert (again.keypoints_world == other.keypoints_world).all()
    assert again.instructions == other.instructions
    assert again.attributes == other.attributes


def test_the_grasp_is_that_of_3_cm(source):
    from unihm.composing.grasp import recorded_grasp

    grasp = recorded_grasp(source)
    frame = len(grasp.keypoints_object) - 1
    height = source.episode.T_world_object[:, 2, 3]
    assert height[frame] - height[20] >= 0.03 > height[frame - 1] - height[20]
    np.testing.assert_allclose(grasp.keypoints_object[-1], in_object(source.episode)[frame], atol=1e-9)


def test_grasps_that_do_not_suit_are_refused_with_a_reason(source):
    recorded = source.episode

    def refused(message: str, **changes) -> None:
        other = replace(source, episode=replace(recorded, **changes))
        with pytest.raises(ValueError, match=message):
            COMPOSERS["place"]().compose(other, "x", np.random.default_rng(0))

    refused("never lifted", lift_frame=len(recorded))
    up = recorded.T_world_object.copy()
    up[:, 2, 3] += 0.05
    refused("does not lie on the table", T_world_object=up)
    leaning = recorded.T_world_object.copy()
    leaning[:, :3, :3] = Rotation.from_rotvec([0.5, 0, 0]).as_matrix()
    leaning[:, 2, 3] += EDGE / 2 * (np.sin(0.5) + np.cos(0.5) - 1)
    refused("does not stand by itself", T_world_object=leaning)
    low = recorded.keypoints_world - [0, 0, 0.08]
    refused("in the table", keypoints_world=low)


def test_readers_understand_the_task(episodes, tmp_path):
    episode = episodes["place", 0]
    handle = composed(
        lifted(1),
        "made/handle",
        "open-door",
        "open",
        keypoints_world=lifted(1).keypoints_world,
        T_world_object=lifted(1).T_world_object,
        instructions=lifted(1).instructions,
        contact_frame=3,
        lift_frame=5,
        panel_object=np.array([1.0, 0.0, 0.0, 0.02]),
    )
    write_episodes(tmp_path, [episode, handle, lifted(2)])
    read = read_episodes(tmp_path)
    plans = [plan_of_episode(one, "") for one in read]
    assert [plan.task for plan in plans] == ["place", "open", "grab"]
    assert plans[0].rest_frames == episode.lift_frame
    assert plans[0].panel_object is plans[2].panel_object is None
    for panel in (plans[1].panel_object, read[1].panel_object):
        assert panel is not None
        np.testing.assert_allclose(panel, [1, 0, 0, 0.02])


def test_the_contact_phase_ends_with_the_release(episodes):
    for task, falls in (("place", True), ("push", False)):
        episode = episodes[task, 1]
        motion = HandMotion(
            hand="mitten",
            fps=30.0,
            joint_names=("a",),
            qpos=np.zeros((len(episode), 1)),
            T_world_palm=episode.T_world_object,
        )
        phase = attach(motion, episode).contact_phase
        assert phase is not None
        assert phase[0] == 0
        assert (phase[held(episode)] == 1).all()
        assert (phase[-1] == 0) == falls


def test_nobody_tells_a_lift_of_what_is_set_down(episodes, source):
    from unihm.annotation.offline import OfflineAnnotator
    from unihm.training.metrics_data import _sentences

    placed = episodes["place", 0]
    assert OfflineAnnotator().write(placed).instructions == placed.instructions
    assert _sentences(placed, 3) == tuple(dict.fromkeys(placed.instructions))
    lifted = OfflineAnnotator().write(source.episode).instructions
    assert lifted != source.episode.instructions
