"""The retargeting bench: its scores by hand, its rows on real frames, its tables, and its command."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unihm.cli import main
from unihm.evaluation import retargeting
from unihm.evaluation.retargeting import (
    CONVERGED,
    DEFAULT,
    EXACT,
    NO_REST,
    OURS,
    PEER,
    WHOLE,
    Answers,
    evaluate_retargeting,
)
from unihm.evaluation.retargeting_tables import markdown, text, write_tables
from unihm.hands.description import describe_hand

needs_peer = pytest.mark.skipif(
    importlib.util.find_spec("dex_retargeting") is None,
    reason="dex_retargeting is not here (pip install 'unihm[dev]')",
)


@pytest.fixture(scope="module")
def frames(shared_data) -> np.ndarray:
    return np.load(shared_data / "hands_official" / "human_joint_right.npy").astype(np.float64)[100:140]


@pytest.fixture(scope="module")
def alone(frames) -> list[dict]:
    return evaluate_retargeting([frames[:30], frames[30:]], [frames], ["panda", "allegro"], data="video", peer=False)


@pytest.fixture(scope="module")
def beside(frames) -> list[dict]:
    return evaluate_retargeting([frames[:20]], [frames[:20]], ["allegro"], data="video", peer=True)


def answers(
    hand, recording: np.ndarray, q: np.ndarray, *, off=(0.0, 0.0, 0.0), ms: Any = 1.0, failed: int = 0
) -> Answers:
    return Answers(
        points=recording[:, hand.keypoint_indices] + np.array(off),
        q=q,
        seconds=np.broadcast_to(np.asarray(ms) / 1e3, len(q)).astype(np.float64),
        failed=failed,
    )


def scores(hand, found, recordings, values, references=None) -> dict:
    return retargeting._scores(hand, found, recordings, np.array(values), references or {})


# --- scores ----------------------------------------------------------------------------------------------------------


def test_scores_of_a_joint_that_slides_by_hand():
    panda, recording = describe_hand("panda"), np.random.default_rng(0).normal(size=(4, 21, 3))
    q = np.array([[0.01], [0.02], [0.04], [0.041]])  # it opens to 0.04 m
    found = [answers(panda, recording, q, off=(0.003, 0.0, 0.004), ms=[1, 2, 3, 10], failed=2)]
    row = scores(panda, found, [recording], [0.001, 0.002, 0.003, 0.006])
    assert row == {
        "ms_per_frame_median": 2.5,
        "ms_per_frame_p99": 9.79,  # 97 % of the way from 3 to 10
        "ms_per_frame_mean": 4.0,
        "objective_median": 0.0025,
        "objective_mean": 0.003,
        "fingertip_mm": 5.0,
        "bend_mm": 14.5,  # second differences 10 and 19
        "step_p99_mm": 19.8,  # first ones 1, 10 and 20
        "limit_violations": 1,
        "failures": 2,
    }


def test_scores_of_joints_that_turn_do_not_cross_recordings():
    hand = describe_hand("allegro")
    recording = np.zeros((40, 21, 3))
    middle = (hand.chain.lower + hand.chain.upper) / 2
    ramp = np.radians(0.5) * np.arange(40)[:, None] * np.eye(16)[3]
    found = [answers(hand, recording, middle + ramp), answers(hand, recording, middle - ramp, failed=1)]
    row = scores(hand, found, [recording, recording], np.zeros(80))
    assert row["bend_deg"] == 0
    assert row["step_p99_deg"] == 0.5  # a sixteenth of the steps is 0.5, the others are 0
    assert row["limit_violations"] == 0
    assert row["failures"] == 1
    assert not [name for name in row if name.endswith("_mm") and name != "fingertip_mm"]


def test_every_system_runs_once_before_it_is_timed(monkeypatch):
    """Code is compiled or loaded in the first call, which for whole recordings would be shared out to their frames."""
    lengths = []

    def system(hand, config):
        def run(keypoints):
            lengths.append(len(keypoints))
            return answers(hand, keypoints, np.zeros((len(keypoints), 1)), ms=1000.0 if len(lengths) % 3 == 1 else 2.0)

        return run

    monkeypatch.setattr(retargeting, "_ours", system)
    monkeypatch.setattr(retargeting, "_ours_whole", system)
    monkeypatch.setattr(retargeting, "_batch", lambda *_: 0.0)
    recordings = [np.zeros((10, 21, 3)), np.zeros((25, 21, 3))]
    rows = evaluate_retargeting(recordings, [], ["panda"], data="video", peer=False)
    assert lengths == [30, 10, 25] * 4
    assert {row["ms_per_frame_p99"] for row in rows} == {row["ms_per_frame_mean"] for row in rows} == {2.0}


def test_the_share_of_frames_at_least_as_good_by_hand():
    panda, recording = describe_hand("panda"), np.zeros((4, 21, 3))
    found = [answers(panda, recording, np.zeros((4, 1)))]
    converged = np.array([1e-3, 1e-3, 1e-3, 0.0])
    values = [1e-3, 1.009e-3, 1.011e-3, 5e-9]  # equal; within 1 %; not; both next to nothing
    row = scores(panda, found, [recording], values, {CONVERGED: converged})
    assert row["at_least_as_good"] == 0.75
    assert "at_least_as_good_exact" not in row
    row = scores(panda, found, [recording], values, {CONVERGED: converged, EXACT: converged * 2})
    assert (row["at_least_as_good"], row["at_least_as_good_exact"]) == (0.75, 1.0)


@pytest.mark.parametrize(("name", "unit", "scale"), [("panda", "mm", 1e3), ("allegro", "deg", 180 / math.pi)])
def test_restarts_by_hand(name, unit, scale):
    hand = describe_hand(name)

    def counting(keypoints: np.ndarray) -> Answers:
        """Its joints say how many frames ago the recording began."""
        return answers(hand, keypoints, 0.001 * np.arange(len(keypoints))[:, None] * np.ones(len(hand.joint_names)))

    def memoryless(keypoints: np.ndarray) -> Answers:
        return answers(hand, keypoints, keypoints[:, 0, :1] * np.ones(len(hand.joint_names)))

    recording = np.random.default_rng(0).normal(size=(40, 21, 3))
    # 10 frames later, 30 - 5 frames differ by 10 thousandths; 20 frames later, 20 - 5 by 20.
    found = retargeting._restart(hand, counting, [recording])
    assert found[f"restart_{unit}"] == pytest.approx((25 * 0.010 + 15 * 0.020) / 40 * scale, abs=1e-3)
    assert found[f"restart_p99_{unit}"] == pytest.approx(0.020 * scale, abs=1e-3)
    assert set(retargeting._restart(hand, memoryless, [recording]).values()) == {0.0}
    assert set(retargeting._restart(hand, counting, [recording[:15]]).values()) == {None}  # too short


@pytest.mark.parametrize(("frames", "each"), [(100, 32), (20, 20)])
def test_a_batch_is_256_recordings_of_32_frames(frames, each, monkeypatch):
    lengths = []

    class Counting:
        def __init__(self, hand, config):
            pass

        def solve(self, keypoints):
            lengths.append(len(keypoints))
            return keypoints, None, None

    monkeypatch.setattr(retargeting, "Solver", Counting)
    recording = np.zeros((frames, 21, 3))
    assert retargeting._batch(describe_hand("panda"), None, [recording[:15], recording[15:]]) >= 0
    assert lengths == [each] * 257  # one to warm up


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_of_ours_alone(alone):
    assert [row["hand"] for row in alone] == ["panda"] * 4 + ["allegro"] * 4
    assert [row["system"] for row in alone[:4]] == [OURS, WHOLE, NO_REST, DEFAULT]
    for row in alone:
        assert (row["frames"], row["data"], row["mode"]) == (40, "video", "position")
        assert row["limit_violations"] == row["failures"] == 0
        assert 0 < row["ms_per_frame_median"] <= row["ms_per_frame_p99"] < 50
        assert 0 < row["objective_mean"] < 0.02
        assert 0 < row["fingertip_mm"] < 40
        assert "at_least_as_good" not in row
        assert ("batch_ms_per_frame" in row) == (row["system"] == WHOLE)
        unit = "mm" if row["hand"] == "panda" else "deg"
        assert row[f"bend_{unit}"] > 0
        assert row[f"restart_p99_{unit}"] is not None
    # One answer a pose, whenever the recording began; the position objective has several minima and promises none.
    assert alone[7]["restart_p99_deg"] < 1
    assert [row["restart_p99_mm"] for row in alone[:4]] == [0, 0, 0, 0]


@needs_peer
def test_rows_beside_the_peer(beside):
    rows = {row["system"]: row for row in beside}
    assert list(rows) == [CONVERGED, EXACT, PEER, OURS, WHOLE, NO_REST, DEFAULT]
    assert {row["frames"] for row in beside} == {20}
    assert rows[CONVERGED]["at_least_as_good"] == rows[EXACT]["at_least_as_good_exact"] == 1
    assert rows[EXACT]["limit_violations"] == 0
    assert rows[PEER]["restart_deg"] > 0
    assert rows[CONVERGED]["restart_deg"] is None  # too slow
    for name in (OURS, WHOLE, NO_REST):
        assert rows[name]["at_least_as_good"] >= 0.9
        assert rows[name]["at_least_as_good_exact"] >= 0.9
        assert rows[name]["objective_mean"] <= 1.01 * rows[CONVERGED]["objective_mean"]
    for name in (OURS, WHOLE, NO_REST, DEFAULT):
        assert rows[name]["limit_violations"] == rows[name]["failures"] == 0
    assert rows[CONVERGED]["objective_mean"] < rows[PEER]["objective_mean"]
    assert rows[PEER]["failures"] == rows[CONVERGED]["failures"] == 0
    assert rows[OURS]["ms_per_frame_median"] < rows[PEER]["ms_per_frame_median"]


@pytest.mark.parametrize(
    ("change", "hands", "words"),
    [
        (lambda k: k[:0], ["panda"], "no frame"),
        (lambda k: np.where(np.arange(len(k))[:, None, None] % 5 == 0, np.nan, k), ["panda"], "missing in 4 frames"),
        (lambda k: k, [], "no hand"),
        (lambda k: k, ["allegro_left"], "'allegro_left' is a left hand"),
        (lambda k: k, ["panda", "alegro"], "Did you mean 'allegro'"),
    ],
    ids=["empty", "gaps", "no hand", "left hand", "unknown hand"],
)
def test_what_cannot_be_benched_is_refused_before_anything_runs(change, hands, words, frames, monkeypatch):
    monkeypatch.setattr(retargeting, "_ours", lambda *_: pytest.fail("it ran"))
    with pytest.raises(ValueError, match=words):
        evaluate_retargeting([change(frames[:20])], [], hands, data="video", peer=False)


# --- tables ----------------------------------------------------------------------------------------------------------

_ROW = {"hand": "allegro", "system": OURS, "mode": "position", "data": "video", "frames": 621}
_FULL = {
    **{"ms_per_frame_median": 0.036, "ms_per_frame_p99": 0.086, "ms_per_frame_mean": 0.04},
    **{"objective_median": 0.0015135, "objective_mean": 0.0015508, "at_least_as_good": 1.0},
    **{"at_least_as_good_exact": 0.995, "fingertip_mm": 8.098, "bend_deg": 2.383, "step_p99_deg": 22.0},
    **{"limit_violations": 0, "failures": 0, "restart_deg": 0.0, "restart_p99_deg": 0.0, "batch_ms_per_frame": 0.063},
}
_SLID = {"bend_deg": None, "bend_mm": 0.93, "step_p99_mm": 11.4, "restart_mm": 0.0, "restart_p99_mm": 0.0}
_ROWS = {
    "with the peer": [
        {**_ROW, **_FULL},
        {**_ROW, **_FULL, "system": CONVERGED, "batch_ms_per_frame": None, "limit_violations": 613},
        {**_ROW, **{n: v for n, v in _FULL.items() if not n.endswith("_deg")}, **_SLID, "hand": "panda"},
        {**_ROW, **_FULL, "data": "dexycb, 60 episodes", "frames": 4321},
    ],
    "ours alone": [{**_ROW, **{n: v for n, v in _FULL.items() if "good" not in n}}],
    "hardly anything": [{**_ROW, "objective_mean": 0.0015508}],
}


@pytest.mark.parametrize("rows", _ROWS.values(), ids=_ROWS)
def test_tables_hold_the_rows(rows, tmp_path):
    facts = {"command": "unihm bench retargeting", "commit": "abc1234", "quick": False, "rows": rows}
    write_tables(facts, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "chart.png",
        "table.json",
        "table.md",
        "table.txt",
    ]
    assert json.loads((tmp_path / "out" / "table.json").read_text()) == facts
    shown = (tmp_path / "out" / "table.txt").read_text()
    assert "commit: abc1234" in shown
    assert text(rows) in shown
    assert (tmp_path / "out" / "table.md").read_text() == markdown(rows)
    with Image.open(tmp_path / "out" / "chart.png") as chart:
        assert min(chart.convert("RGB").size) > 300
        assert len(chart.convert("RGB").getcolors(1 << 20) or []) > 5
    for table in (text(rows), markdown(rows)):
        for row in rows:
            assert f"{row['data']}" in table
            assert f"({row['frames']} frames)" in table
            assert "0.0015508" in table
        assert "None" not in table
        assert "nan" not in table


def test_text_is_aligned_and_says_what_its_columns_mean():
    lines = text(_ROWS["with the peer"]).splitlines()
    assert lines[0] == "video (621 frames)"
    assert len({line.index("unihm") for line in lines[3:6] if "unihm" in line}) == 1
    assert "0.93 mm" in lines[5]
    legend = text(_ROWS["with the peer"]).partition("dexycb, 60 episodes")[2]
    for words in ("at most 1 %", "mm where joints slide", "dex_retargeting takes one at a time", "10 or 20 frames"):
        assert words in legend
    assert "as good as converged" not in text(_ROWS["ours alone"])
    assert "batch" not in text(_ROWS["hardly anything"])


def test_markdown_has_as_many_cells_as_columns():
    lines = [line for line in markdown(_ROWS["with the peer"]).splitlines() if line.startswith("|")]
    tables = [lines[:5], lines[5:]]
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
    assert lines[2].startswith("| allegro | unihm | 0.036 | 0.086 |")
    assert "| 613 |" in lines[3]
    assert lines[3].endswith("| 0.0 | 0.0 |  |")  # no batch


@needs_peer
def test_tables_of_a_real_run(beside, alone, tmp_path):
    write_tables({"rows": [*beside, *alone]}, tmp_path)
    assert json.loads((tmp_path / "table.json").read_text())["rows"] == [*beside, *alone]


# --- the command -----------------------------------------------------------------------------------------------------


def bench(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["bench", "retargeting", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys, *arguments) -> str:
    status, out, err = bench(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture
def file(frames, tmp_path):
    np.save(tmp_path / "video.npy", frames[:12])
    return tmp_path / "video.npy"


@needs_peer
def test_command_with_the_peer(capsys, file, tmp_path):
    out = tmp_path / "out"
    status, shown, _ = bench(capsys, "--quick", "--hand", "panda", "--keypoints", file, "--out", out)
    assert status == 0
    assert shown.startswith("video, quick (12 frames)\n")
    assert {path.name for path in out.iterdir()} == {"chart.png", "table.json", "table.md", "table.txt"}
    facts = json.loads((out / "table.json").read_text())
    assert facts["quick"] is True
    assert {row["system"] for row in facts["rows"]} >= {OURS, WHOLE, PEER, CONVERGED}
    assert {row["hand"] for row in facts["rows"]} == {"panda"}
    for words in ("ms median", "ms p99", "objective median", "as good as converged", "fingertip mm", "bend °"):
        assert words in shown
    assert "ms, batch of 256" in shown


def test_command_alone_as_json(capsys, file):
    status, shown, _ = bench(capsys, "--quick", "--hand", "panda", "--keypoints", file, "--no-peer", "--json")
    rows = json.loads(shown)["rows"]
    assert status == 0
    assert [row["system"] for row in rows] == [OURS, WHOLE, NO_REST, DEFAULT]


def test_command_on_a_store(capsys, tmp_path, frames, monkeypatch):
    """Every episode at most once, evenly spread, the first ones restarted."""
    from unihm.datasets import episode_store

    class Episode:
        def __init__(self, id):
            self.id, self.keypoints_world = id, frames[:5]

    seen, given = [], {}
    monkeypatch.setattr(episode_store, "episode_table", lambda folder: [Episode(f"e{i}") for i in range(7)])
    monkeypatch.setattr(
        episode_store, "read_episodes", lambda folder, ids: seen.append(ids) or [Episode(id) for id in ids]
    )

    def evaluate(recordings, restarts, hand, **facts):
        given.update(recordings=len(recordings), restarts=len(restarts), **facts)
        return []

    monkeypatch.setattr(retargeting, "evaluate_retargeting", evaluate)
    assert bench(capsys, "--data", tmp_path, "--episodes", "20", "--restarts", "2")[0] == 0
    assert seen[-1] == [f"e{i}" for i in range(7)]
    assert (given["recordings"], given["restarts"]) == (7, 2)
    assert bench(capsys, "--data", tmp_path, "--episodes", "3")[0] == 0
    assert seen[-1] == ["e0", "e2", "e4"]
    assert given["data"] == f"{tmp_path.name}, 3 episodes"


def test_command_restarts_pieces_of_the_whole_recording(capsys, tmp_path, frames, monkeypatch):
    np.save(tmp_path / "long.npy", np.tile(frames, (7, 1, 1))[:250])
    lengths = []

    def evaluate(recordings, restarts, hand, **facts):
        lengths.extend([[len(k) for k in recordings], [len(k) for k in restarts]])
        return []

    monkeypatch.setattr(retargeting, "evaluate_retargeting", evaluate)
    assert bench(capsys, "--keypoints", tmp_path / "long.npy")[0] == 0
    assert bench(capsys, "--keypoints", tmp_path / "long.npy", "--quick")[0] == 0
    assert lengths == [[250], [120, 120, 10], [100], [100]]


def test_command_refuses_in_one_line(capsys, file, tmp_path, frames, monkeypatch):
    assert "--data" in refused(capsys, "--hand", "panda")
    assert "Did you mean 'panda'?" in refused(capsys, "--keypoints", file, "--hand", "pandda", "--no-peer")
    assert "left hand" in refused(capsys, "--keypoints", file, "--hand", "shadow_left", "--no-peer")
    assert "does not exist" in refused(capsys, "--keypoints", tmp_path / "none.npy", "--no-peer")
    assert "--episodes is 0" in refused(capsys, "--keypoints", file, "--episodes", "0")
    np.save(tmp_path / "gaps.npy", np.where(np.arange(12)[:, None, None] == 3, np.nan, frames[:12]))
    assert "missing in 1 frames" in refused(capsys, "--keypoints", tmp_path / "gaps.npy", "--hand", "panda")
    (tmp_path / "taken").write_text("")
    assert "Cannot write" in refused(capsys, "--keypoints", file, "--out", tmp_path / "taken" / "out")
    monkeypatch.setitem(sys.modules, "dex_retargeting.retargeting_config", None)
    assert "pip install 'unihm[dev]'" in refused(capsys, "--keypoints", file, "--hand", "panda")
