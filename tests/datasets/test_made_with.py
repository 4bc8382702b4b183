"""Motions are told apart by their numbers, and a difference is explained by how they were made."""

from __future__ import annotations

import pytest
from dataset_builders import make_episode, make_motion

from unihm.datasets.episode_store import write_episodes
from unihm.datasets.made_with import changed_motions, differences, motions_of, not_the_motions
from unihm.datasets.motion_store import write_motions

MADE = {"unihm": "1", "code": "a", "hand": "wool", "preset": "default", "config": {"rest_sigma": 0.3, "huber": "inf"}}


@pytest.fixture
def store(tmp_path):
    episodes = [make_episode(number) for number in range(2)]
    write_episodes(tmp_path, episodes)

    def write(name: str, qpos: float = 0.0, /, **changes) -> None:
        motions = {e.id: make_motion(e, hand=name) for e in episodes}
        motions = {i: motion.replace(qpos=motion.qpos + qpos) for i, motion in motions.items()}
        write_motions(tmp_path, name, motions, made_with={**MADE, **changes})

    write("mitten")
    write("glove")
    return tmp_path, write


def test_settings_that_differ_are_named():
    assert differences(MADE, {**MADE, "unihm": "2", "code": "b", "preset": "custom"}) == ""
    assert (
        differences(MADE, {**MADE, "config": {"rest_sigma": 0.1}})
        == "huber (was inf, is None), rest_sigma (was 0.3, is 0.1)"
    )
    many = {**MADE, "hand": "silk", "config": dict.fromkeys("abcd", 1)}
    assert differences(MADE, many).endswith("c (was None, is 1) and 4 more")


def test_the_same_motions_are_not_a_change(store):
    folder, write = store
    known = motions_of(folder, ["mitten", "glove"])
    assert known["mitten"]["made_with"] == MADE
    write("mitten", code="b")  # made again by other code: the same numbers
    assert changed_motions(known, folder) == ""
    assert not_the_motions({"motions": known}, folder, ["mitten"]) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": {**MADE["config"], "rest_sigma": 0.1}}, "rest_sigma (was 0.3, is 0.1)"),
        ({"hand": "silk"}, "hand (was wool, is silk)"),
        ({"code": "b"}, "made by other code"),
        ({}, "of other episodes, or made on another machine"),
    ],
)
def test_other_motions_are_named_with_the_reason(store, changes, reason):
    folder, write = store
    known = motions_of(folder, ["mitten", "glove"])
    write("glove", 0.1, **changes)
    assert changed_motions(known, folder) == f"glove: {reason}"
    assert not_the_motions({"motions": known}, folder, ["mitten"]) == ""  # what is not evaluated does not matter
    assert f"(glove: {reason})" in not_the_motions({"motions": known}, folder, ["glove", "mitten", "glove", "scarf"])


def test_motions_that_are_gone_or_of_unknown_making(store):
    folder, _ = store
    known = {**motions_of(folder, ["mitten"]), "scarf": {"digest": "0", "made_with": None}}
    assert changed_motions(known, folder) == "scarf: there are none"
    known["mitten"] = {"digest": "0", "made_with": None}
    assert changed_motions(known, folder).startswith("mitten: not recorded how they were made; scarf")
    assert not_the_motions({"licence": "none"}, folder, ["mitten"]).startswith("does not record the motions")
