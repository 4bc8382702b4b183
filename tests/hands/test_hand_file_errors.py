"""A wrong ``hand.yaml`` is refused by one line that says what was wrong and what exists, whatever is wrong with it."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.hands.hand import HANDS_FOLDER, HandModel, list_hands, load_hand
from unihm.hands.hand_file import HAND_FILE, read_hand_file

CONTENTS = {name: yaml.safe_load((HANDS_FOLDER / name / HAND_FILE).read_text()) for name in list_hands()}
LOADED = [name for name in CONTENTS if name in ("panda", "allegro")]
"""Mutations of these are loaded whole: few solids, so that many examples take little time."""


def put(folder: Path, name: str, contents: Any) -> Path:
    """A hand folder with that ``hand.yaml`` beside the files of a shipped hand."""
    shutil.copytree(HANDS_FOLDER / name, folder, dirs_exist_ok=True)
    (folder / HAND_FILE).write_text(yaml.safe_dump(contents, allow_unicode=True), encoding="utf-8")
    return folder


def refusal(call: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(ValueError, match=r"hand|URDF") as error:
        call(path)
    message = str(error.value)
    assert "\n" not in message
    assert path.name in message
    return message


def tip(data: dict[str, Any], finger: str) -> dict[str, Any]:
    return data["fingertips"][finger]


EDITS = {
    "keypoint on no link": (
        lambda d: d["keypoints"]["thumb_tip"].update(link="thumb"),
        "keypoints: link 'thumb' not found. Available: ",
    ),
    "fingertip on no link": (
        lambda d: tip(d, "index").update(link="link_3.0_tp"),
        "fingertips: link 'link_3.0_tp' not found. Did you mean 'link_3.0_tip'? Available: ",
    ),
    "palm on no link": (lambda d: d["root_to_palm"].update(link="hand"), "link 'hand' not found. Available: "),
    "palm behind a movable joint": (
        lambda d: d["root_to_palm"].update(link="link_1.0"),
        "moves the palm; give its value under locked_joints",
    ),
    "unknown finger": (lambda d: d.update(fingers=["thumb", "indx"]), "finger 'indx' not found. Did you mean 'index'?"),
    "finger twice": (lambda d: d.update(fingers=["thumb", "thumb"]), "expected a list of different fingers"),
    "finger without fingertip": (lambda d: d["fingertips"].pop("ring"), "fingertips: 'ring' is missing"),
    "fingertip of no finger": (
        lambda d: d["fingertips"].update(pinky=tip(d, "ring")),
        "fingertips: name 'pinky' not found. Available: index, middle, ring, thumb",
    ),
    "finger without tip keypoint": (
        lambda d: d["keypoints"].pop("ring_tip"),
        "keypoints: 'ring_tip' is missing; every finger needs its tip",
    ),
    "unknown keypoint": (
        lambda d: d["keypoints"].update(index_top=tip(d, "index")),
        "keypoints: name 'index_top' not found. Did you mean 'index_tip'? Available: ",
    ),
    "rest of no joint": (lambda d: d["rest_qpos"].update(j=0.0), "rest_qpos: joint 'j' not found. "),
    "rest outside the limits": (
        lambda d: d["rest_qpos"].update({"joint_0.0": 3.0}),
        "rest_qpos: joint_0.0 = 3.0 lies outside its limits [-0.47",
    ),
    "locked joint that does not exist": (
        lambda d: d.update(locked_joints={"j": 0.0}),
        "cannot lock 'j': not an independent joint. Available: joint_0.0",
    ),
    "locked outside the limits": (lambda d: d.update(locked_joints={"joint_0.0": 9}), "its limits are [-0.47"),
    "unknown key": (lambda d: d.update(finger=[]), "key 'finger' not found. Did you mean 'fingers'? Available: "),
    "unknown key of the palm": (
        lambda d: d["root_to_palm"].update(rpy=[0, 0, 0]),
        "root_to_palm: key 'rpy' not found. ",
    ),
    "unknown key of a fingertip": (
        lambda d: tip(d, "index").update(radios=0.1),
        "fingertips: index: key 'radios' not found. Did you mean 'radius'?",
    ),
    "known difference of no joint": (
        lambda d: d.update(known_differences={"j": "why"}),
        "known_differences: joint 'j' not found. Available: ",
    ),
    "missing key": (lambda d: d.pop("keypoints"), "key keypoints missing. Required: name, side, urdf"),
    "unknown side": (lambda d: d.update(side="rigth"), "side is 'rigth', expected 'right' or 'left'"),
    "number as text": (lambda d: tip(d, "index").update(radius="2 mm"), "is '2 mm', expected a finite number"),
    "point of two numbers": (lambda d: tip(d, "index").update(xyz=[0, 0]), "xyz is [0, 0], expected 3 numbers"),
    "no unit quaternion": (lambda d: d["root_to_palm"].update(wxyz=[1, 1, 0, 0]), "wxyz has length 1.4142"),
    "URDF of another folder": (lambda d: d.update(urdf="no.urdf"), "no.urdf' does not exist"),
    "URDF that is a folder": (lambda d: d.update(urdf="."), "is a folder, expected a URDF file"),
}


@pytest.mark.parametrize("name", EDITS)
def test_each_fault_is_named_with_what_exists(tmp_path, name):
    edit, message = EDITS[name]
    data = copy.deepcopy(CONTENTS["allegro"])
    edit(data)
    assert message in refusal(load_hand, put(tmp_path / "mine", "allegro", data))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hand",
        "- 1\n- 2",
        "name: [",
        "a: b: c",
        "1: 2",
        "\t",
        "&a [*a]",
        "!!python/object:os.system {}",
        "[" * 1000,
        "name: 2024-99-99",
        "x: " + "1" * 9999,
    ],
)
def test_files_that_are_no_table_of_keys(tmp_path, text):
    (tmp_path / HAND_FILE).write_text(text)
    refusal(read_hand_file, tmp_path / HAND_FILE)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("side: left", "key 'side' is there twice, in lines "),
        ("rest_qpos: {joint_1.0: 0.1, joint_2.0: 0.2, joint_1.0: 0.3}", "key 'joint_1.0' is there twice, in lines 2 "),
        ("locked_joints: {'0': 0, '0': 1}", "key '0' is there twice"),
    ],
)
def test_a_key_that_stands_twice_is_named(tmp_path, line, message):
    path = tmp_path / HAND_FILE
    path.write_text("side: right\n" + line + "\n")
    assert message in refusal(read_hand_file, path)


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / HAND_FILE
    path.write_bytes(b"name: \xff\xfe")
    refusal(read_hand_file, path)
    path.unlink()
    path.mkdir()
    refusal(read_hand_file, path)


JUNK = [
    *(None, True, 0, -1, 1e400, float("nan"), 10**400, "", "x", "a\nb", "1e3", "palm", "../hand.yaml", "/", "\0"),
    *([], [1], ["x"], [[1, 2, 3]], [None] * 3, {}, {"x": 1}, {1: 2}, {"link": "x", "xyz": [0, 0, 0]}),
]


@st.composite
def mutated(draw, names: list[str]) -> tuple[str, Any]:
    """A hand's name, and its ``hand.yaml`` with one to three things deleted, renamed, moved, doubled or retyped."""
    name = draw(st.sampled_from(names))
    data = copy.deepcopy(CONTENTS[name])
    for _ in range(draw(st.integers(1, 3))):
        places = list(containers(data))
        if not places:
            break
        place = draw(st.sampled_from(places))
        key = draw(st.sampled_from(sorted(place, key=str) if isinstance(place, dict) else range(len(place))))
        action = draw(st.sampled_from(["retype", "delete", "rename", "swap", "scale"]))
        if action == "retype":
            place[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
        elif action == "delete":
            del place[key]
        elif action == "rename" and isinstance(place, dict):
            place[draw(st.sampled_from([*map(str, place), "x", "", 7, None]))] = place.pop(key)
        elif action == "swap":
            other = draw(st.sampled_from(places))
            place[key] = copy.deepcopy(next(iter(other.values() if isinstance(other, dict) else other)))
        elif isinstance(place[key], float):
            place[key] *= 1000
    return name, data


def containers(value: Any):
    """Every table and list in the file that holds something."""
    if isinstance(value, (dict, list)) and value:
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


property_test = settings(derandomize=True, database=None, deadline=None, max_examples=50)


@property_test
@given(mutated(list(CONTENTS)))
def test_any_mutation_is_read_or_refused_by_one_line(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / HAND_FILE
    path.write_text(yaml.safe_dump(data[1], allow_unicode=True), encoding="utf-8")
    try:
        read_hand_file(path)
    except ValueError:
        refusal(read_hand_file, path)


@property_test
@given(mutated(LOADED))
def test_any_mutation_loads_as_a_sound_hand_or_is_refused_by_one_line(tmp_path_factory, data):
    folder = put(tmp_path_factory.getbasetemp() / "mutated", *data)
    try:
        hand = load_hand(folder)
    except ValueError:
        refusal(load_hand, folder)
        return
    check(hand)


def check(hand: HandModel) -> None:
    """What every caller relies on."""
    assert os.fspath(hand.folder)
    assert ((hand.rest_qpos >= hand.lower) & (hand.rest_qpos <= hand.upper)).all()
    points = hand.keypoints(hand.rest_qpos)
    assert torch.isfinite(points).all()
    assert len(points) == len(hand.keypoint_indices) >= len(hand.fingers) == len(hand.fingertips)
    assert hand.side in ("right", "left")
