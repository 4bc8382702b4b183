"""`unihm data`: what is refused, in one line, before anything is read or written."""

from __future__ import annotations

import json

import pytest
from dataset_builders import make_episode
from retargeting_builders import WristOnly

from unihm.cli import main
from unihm.datasets import hand_retargeting
from unihm.datasets.episode_store import write_episodes
from unihm.datasets.manifest import hands_in


@pytest.fixture
def store(tmp_path):
    write_episodes(tmp_path / "store", [make_episode(n) for n in range(3)])
    return tmp_path / "store"


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--hands", "pandas"], "Did you mean 'panda'?"),
        (["--hands", "panda,ability_left"], "'ability_left' is a left one"),
        (["--preset", "vectors"], "--preset 'vectors' not found. Did you mean 'vector'?"),
        (["--engine", "threads"], "Engine 'threads' not found"),
        (["--workers", "0"], "workers is 0"),
    ],
    ids=["hand", "side", "preset", "engine", "workers"],
)
@pytest.mark.parametrize("command", ["retarget", "import"])
def test_bad_options(capsys, store, tmp_path, command, options, words):
    target = [store] if command == "retarget" else ["dexycb", tmp_path, tmp_path / "out"]
    status, out, err = run(capsys, "data", command, *target, *options)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert not (tmp_path / "out").exists()
    assert hands_in(store) == ()


def test_a_folder_that_is_no_store(capsys, tmp_path):
    status, _, err = run(capsys, "data", "retarget", tmp_path, "--hands", "panda")
    assert status == 2
    assert "is not a unihm data set" in err
    assert list(tmp_path.iterdir()) == []


def test_retarget_prints_what_it_did(capsys, store, monkeypatch):
    monkeypatch.setattr(hand_retargeting, "HandRetargeting", lambda config: WristOnly())
    status, out, _ = run(capsys, "data", "retarget", store, "--hands", "panda,leap", "--workers", "1", "--json")
    facts = json.loads(out)
    assert status == 0
    assert [(row["hand"], row["kept"], row["episodes"]) for row in facts["hands"]] == [
        ("panda", False, 3),
        ("leap", False, 3),
    ]
    assert hands_in(store) == ("leap", "panda")
    status, out, _ = run(capsys, "data", "retarget", store, "--hands", "panda", "--workers", "1")
    assert "panda: 3 episodes, 60 frames, complete before" in out
    status, out, _ = run(capsys, "data", "info", store, "--json")
    assert json.loads(out)["motions"]["panda"]["hand"] == "wool"


def test_without_names_all_right_hands_are_meant(capsys, store, monkeypatch):
    monkeypatch.setattr(hand_retargeting, "HandRetargeting", lambda config: WristOnly())
    run(capsys, "data", "retarget", store, "--workers", "1")
    assert {"shadow", "allegro", "panda", "human"} <= set(hands_in(store))
    assert not [name for name in hands_in(store) if name.endswith("_left")]
