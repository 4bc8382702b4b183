import dataclasses
import re

import numpy as np
import pytest
from dataset_builders import make_episode
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.datasets import instructions as module
from unihm.datasets.instructions import EpisodeFacts, episode_facts, instructions
from unihm.datasets.object_names import OBJECT_NAMES, PLURALS, ObjectNames
from unihm.kinematics.keypoints import TIPS, WRIST

FACTS = EpisodeFacts(
    id="made/1",
    names=ObjectNames("mug", ("cup", "red mug"), ("beaker", "tea mug")),
    approach="left",
    travel="closer",
    height=0.25,
    speed=0.2,
    fingertips=3,
    on_table=True,
)
any_facts = st.builds(
    EpisodeFacts,
    id=st.text(max_size=8),
    names=st.sampled_from(list(OBJECT_NAMES.values())),
    approach=st.sampled_from(["front", "behind", "left", "right", "above"]),
    travel=st.sampled_from(["up", "closer", "away", "left", "right"]),
    height=st.floats(0, 0.6),
    speed=st.floats(0, 2),
    fingertips=st.integers(0, 5),
    on_table=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 10**6))
def test_sentences_are_whole_distinct_and_repeatable(facts, seed):
    sentences = instructions(facts, seed)
    assert len(set(sentences)) == len(sentences) == 6
    assert instructions(facts, seed) == sentences
    for sentence in sentences:
        assert re.fullmatch(r"[A-Z][A-Za-z' ,;-]+[.?]", sentence), sentence
        assert "  " not in sentence
    words = {facts.names.name, *facts.names.synonyms}
    assert all(any(f"the {word}" in sentence for word in words) for sentence in sentences)


@settings(max_examples=20, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 100))
def test_held_out_sentences_use_other_words_and_templates(facts, seed):
    held_out = instructions(facts, seed, count=3, held_out=True)
    assert all(any(f"he {word}" in sentence for word in facts.names.held_out) for sentence in held_out)
    assert not set(held_out) & set(instructions(facts, seed))


def test_held_out_names_and_templates_never_occur_in_training():
    training = {word for names in OBJECT_NAMES.values() for word in (names.name, *names.synonyms)}
    held_out = [word for names in OBJECT_NAMES.values() for word in names.held_out]
    assert not training & set(held_out)
    assert not set(module._TEMPLATES) & set(module._HELD_OUT_TEMPLATES)
    assert all(len(names.held_out) == 2 and names.synonyms for names in OBJECT_NAMES.values())
    # A word means one object.
    every = [word for names in OBJECT_NAMES.values() for word in (names.name, *names.synonyms, *names.held_out)]
    assert len(every) == len(set(every))


def test_sentences_say_what_was_measured():
    sentences = " ".join(instructions(FACTS, 0, count=15))
    assert "from the left" in sentences
    assert "camera" in sentences
    assert "with three fingers" in sentences
    assert "slowly" in sentences or "gently" in sentences
    assert "clear of the table" in sentences or "well above the table" in sentences
    assert "straight up" not in sentences


def test_nothing_untrue_is_said():
    stacked = " ".join(instructions(dataclasses.replace(FACTS, on_table=False), 0, count=8))
    assert "off the table" not in stacked
    hardly_held = " ".join(instructions(dataclasses.replace(FACTS, fingertips=1), 0, count=12))
    assert "finger" not in hardly_held


def test_scissors_are_plural():
    names = ObjectNames("scissors", (), ("shears",))
    for held_out in (False, True):
        sentences = instructions(dataclasses.replace(FACTS, names=names), 0, count=9, held_out=held_out)
        assert not re.search(r"\b(it|it is)\b", " ".join(sentences))
    assert "scissors" in PLURALS


def test_too_many_are_refused():
    with pytest.raises(ValueError, match="50 instructions are wanted"):
        instructions(FACTS, 0, count=50)


def moving_episode(path, reach):
    """An object that goes along `path` after frame 10, its hand at `reach` from it, seen by a camera along x."""
    num_frames = 40
    s = np.clip((np.arange(num_frames) - 10) / 25, 0, 1)[:, None]
    T = np.tile(np.eye(4), (num_frames, 1, 1))
    T[:, :3, 3] = [0.7, 0.1, 0.1] + s * np.array(path)
    keypoints = np.repeat(T[:, None, :3, 3], 21, axis=1) + 0.2
    keypoints[:, WRIST] = T[:, :3, 3] + np.array(reach)
    keypoints[:, TIPS[:3]] = T[:, None, :3, 3]
    camera = np.eye(4)
    camera[:3, :3] = [[0, -0.6, 0.8], [-1, 0, 0], [0, -0.8, -0.6]]
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (500, 3))
    return make_episode(
        num_frames=num_frames,
        keypoints_world=keypoints,
        T_world_object=T,
        object_points=points,
        object_normals=points / np.linalg.norm(points, axis=1, keepdims=True),
        T_world_camera=camera,
        contact_frame=8,
        lift_frame=11,
    )


@pytest.mark.parametrize(
    ("path", "travel"),
    [
        ([0, 0, 0.3], "up"),
        ([0.3, 0, 0.2], "away"),
        ([-0.3, 0.1, 0.2], "closer"),
        ([0, 0.3, 0.2], "left"),
        ([0.1, -0.3, 0.2], "right"),
    ],
)
@pytest.mark.parametrize(
    ("reach", "approach"),
    [
        ([0, 0, 0.2], "above"),
        ([-0.2, 0, 0.1], "front"),
        ([0.2, 0.1, 0], "behind"),
        ([0, 0.2, 0], "left"),
        ([0.1, -0.2, 0], "right"),
    ],
)
def test_facts_are_measured_as_the_camera_sees_them(path, travel, reach, approach):
    facts = episode_facts(moving_episode(path, reach), OBJECT_NAMES["025_mug"])
    assert (facts.travel, facts.approach, facts.fingertips) == (travel, approach, 3)
    assert facts.height == pytest.approx(path[2])
    assert facts.on_table
    # From frame 11 to 35 the object goes 24 of 25 parts of the path, then rests until frame 39.
    assert facts.speed == pytest.approx(np.linalg.norm(path) * 24 / 25 / 28 * 30)
