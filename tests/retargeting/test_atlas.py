"""The atlas of answers: its postures, that it is good, and its file in the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from objective_frame import Frame
from retargeting_cases import FLIP, description_of, representative_hands

from unihm import cache as cache_module
from unihm.kinematics.keypoints import palm_frame
from unihm.retargeting import RetargetingConfig, atlas
from unihm.retargeting.atlas import human_postures, load_atlas, make_atlas, make_memory
from unihm.retargeting.config import POSITION
from unihm.retargeting.frame import Atlas, from_atlas
from unihm.retargeting.newton import search
from unihm.retargeting.targets import prepare
from unihm.sources.checks import check_keypoints

HANDS = representative_hands()


def parts(name: str, config: RetargetingConfig | None = None) -> tuple:
    """What an atlas is made of."""
    frame = Frame(name, config or RetargetingConfig())
    frame.goal.target[:], frame.goal.weight[:], frame.goal.R[:], frame.goal.t[:] = 0.0, 0.0, np.eye(3), 0.0
    return frame.hand, frame.problem, frame.layout, frame.goal, frame.work


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(cache_module.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """Names of the hands whose atlas was made, in turn; atlases are small."""
    names = []

    def make(hand, *rest):
        names.append(hand.name)
        return make_atlas(hand, *rest, entries=12)

    monkeypatch.setattr(atlas, "_STARTS", 4)
    monkeypatch.setattr(atlas, "make_atlas", make)
    return names


def same(a: Atlas, b: Atlas) -> bool:
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def test_the_second_time_it_is_read(cache, made):
    first = load_atlas(*parts(HANDS["mimic"]))
    files = list(cache.glob("atlas-*"))
    assert [path.name.split("-")[1] for path in files] == [HANDS["mimic"]]
    content = files[0].read_bytes()
    second = load_atlas(*parts(HANDS["mimic"]))
    assert made == [HANDS["mimic"]]
    assert same(first, second)
    assert list(cache.iterdir()) == files  # and nothing is left behind
    assert files[0].read_bytes() == content


def test_it_is_the_same_each_time_it_is_made():
    small = partial(make_atlas, entries=12)
    assert same(small(*parts(HANDS["mimic"])), small(*parts(HANDS["mimic"])))
    assert not same(small(*parts(HANDS["mimic"])), small(*parts(HANDS["mimic"]), seed=1))


@pytest.mark.parametrize("damage", ["empty", "garbage", "half", "bits", "others", "folder"])
def test_a_damaged_file_is_made_anew(cache, made, damage):
    first = load_atlas(*parts(HANDS["gripper"]))
    path = next(cache.glob("atlas-*"))
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "others":
        np.savez(path, features=first.features)
    else:
        middle = len(content) // 2
        spoiled = {
            "empty": b"", "garbage": b"no zip file", "half": content[:middle],
            "bits": content[:middle] + bytes(255 - b for b in content[middle : middle + 9]) + content[middle + 9 :],
        }  # fmt: skip
        path.write_bytes(spoiled[damage])
    assert same(load_atlas(*parts(HANDS["gripper"])), first)
    assert len(made) == 2
    if damage != "folder":
        assert same(load_atlas(*parts(HANDS["gripper"])), first)
        assert len(made) == 2


@pytest.mark.parametrize(
    "changes", [{"fingertip_sigma": 0.005}, {"rest_sigma": 0.5}, {"fixed_palm": True}, {"huber": 1.0}]
)
def test_another_objective_has_another_atlas(cache, made, changes):
    load_atlas(*parts(HANDS["gripper"]))
    load_atlas(*parts(HANDS["gripper"], replace(RetargetingConfig(), **changes)))
    assert len(made) == 2
    assert len(list(cache.glob("atlas-*"))) == 2


@pytest.mark.parametrize("changes", [{"tries": 3}, {"fps": 60.0}, {"joint_step_sigma": 0.2}, {"velocity_limit": 0.5}])
def test_what_no_answer_depends_on_keeps_the_atlas(cache, made, changes):
    load_atlas(*parts(HANDS["gripper"]))
    load_atlas(*parts(HANDS["gripper"], replace(RetargetingConfig(), **changes)))
    assert len(made) == 1


def test_a_hand_that_changes_has_another_atlas(cache, made):
    hand = description_of(HANDS["gripper"])
    load_atlas(*parts(hand.name))
    shorter = replace(hand.chain, upper=0.9 * hand.chain.upper)
    _, problem, layout, goal, work = parts(hand.name)
    load_atlas(replace(hand, chain=shorter), problem, layout, goal._replace(upper=shorter.upper), work)
    assert len(made) == 2


def test_other_human_postures_have_another_atlas(cache, made, monkeypatch):
    load_atlas(*parts(HANDS["gripper"]))
    monkeypatch.setattr(atlas, "_human", lambda side: "human_left")
    load_atlas(*parts(HANDS["gripper"]))
    assert len(made) == 2


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch, made):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(cache_module.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    first = load_atlas(*parts(HANDS["gripper"]))
    assert same(load_atlas(*parts(HANDS["gripper"])), first)
    assert len(made) == 2


def test_code_that_cannot_be_kept_is_compiled_each_time(tmp_path):
    """Read-only homes: nothing fails, and the warning says what to do."""
    (tmp_path / "file").write_text("")
    code = "import numpy as np; import unihm.retargeting.newton as n; n.turn(np.eye(3), 0.1, 0.2, 0.3, np.eye(3))"
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True,
        env=os.environ | {cache_module.CACHE_VARIABLE: str(tmp_path / "file" / "cache")},
    )  # fmt: skip
    assert "cannot be written (Not a directory)" in found.stderr
    assert "Name another folder in UNIHM_CACHE" in found.stderr


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv("UNIHM_CACHE", "/somewhere")
    assert cache_module.cache_folder() == Path("/somewhere")
    monkeypatch.delenv("UNIHM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_module.cache_folder() == Path("/caches/unihm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_module.cache_folder() == Path.home() / ".cache" / "unihm"


def test_postures_are_hands_that_fill_the_joint_ranges():
    right, left = human_postures("right", 300), human_postures("left", 300)
    check_keypoints(right, "right")
    check_keypoints(left, "left")
    np.testing.assert_allclose(left, right @ FLIP, atol=1e-12)
    np.testing.assert_allclose(palm_frame(right), np.tile(np.eye(4), (300, 1, 1)), atol=1e-9)
    length = np.linalg.norm(np.diff(right[:, 5:9], axis=1), axis=-1).sum(-1)
    reach = np.linalg.norm(right[:, 8] - right[:, 5], axis=-1) / length
    assert reach.max() > 0.98  # straight
    assert reach.min() < 0.55  # and rolled up
    gap = np.linalg.norm(right[:, 4] - right[:, 8], axis=-1)
    assert gap.min() < 0.02  # pinched
    assert gap.max() > 0.1  # and spread


@pytest.mark.parametrize("config", [RetargetingConfig(), POSITION], ids=["default", "position"])
def test_its_answers_are_hands_and_better_than_one_descent(config):
    """Moved to a posture's palm they are minima of its objective, no worse than those found from the rest pose."""
    name, entries = HANDS["largest"], 40
    hand, problem, layout, goal, work = parts(name, config)
    found = make_atlas(hand, problem, layout, goal, work, entries=entries)
    assert ((found.q >= hand.chain.lower) & (found.q <= hand.chain.upper)).all()
    np.testing.assert_allclose(found.R @ found.R.swapaxes(1, 2), np.tile(np.eye(3), (len(found.R), 1, 1)), atol=1e-9)
    memory = make_memory(len(hand.joint_names))
    best, from_rest = np.zeros(entries), np.zeros(entries)
    for e, keypoints in enumerate(human_postures("right", entries)):
        prepare(layout, keypoints, goal, memory)
        np.testing.assert_array_equal(memory.feature, found.features[:, e])

        def descent(R: np.ndarray, t: np.ndarray, q: np.ndarray) -> float:
            R, t, q = R.copy(), t.copy(), q.copy()
            return search(problem, work, goal, R, t, q, 200, 1e-9, np.inf, q.copy(), R.copy(), 0.0)[0]

        from_atlas(problem, work, found, 2 * e, goal, memory)
        best[e] = descent(memory.R_try, memory.t_try, memory.q_try)
        from_rest[e] = descent(goal.R, goal.t, hand.rest_qpos)
    assert (best <= from_rest * (1 + 1e-3)).all()
    assert (best < 0.999 * from_rest).any() or config != POSITION  # one descent does not always do there
