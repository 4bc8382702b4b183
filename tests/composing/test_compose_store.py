"""Composed stores: what enters, what is kept, how a run goes on; joined stores; the commands."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from composing_builders import JOINTS, OBJECT, Pretend, lifted, write_models, write_store

from unihm.cli import main
from unihm.composing.base import PASSED
from unihm.composing.joining import join_stores
from unihm.composing.store import REPORT, compose_store, sources
from unihm.datasets.episode_store import episode_table, read_episodes, write_episodes
from unihm.datasets.manifest import MANIFEST, REFINED, hands_in
from unihm.datasets.motion_store import (
    attach,
    motion_header,
    motion_ids,
    read_checks,
    read_motions,
    write_motions,
)
from unihm.datasets.splits import SPLITS
from unihm.datasets.summary import info
from unihm.schema.episode import COMPOSED
from unihm.schema.motion import HandMotion
from unihm.simulation.tasks import run
from unihm.simulation.ycb import LEANING


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("data"))


def compose(data, out, composing, models, **options):
    return compose_store(data, out, ["push"], composing, models, **{"workers": 1, **options})


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_what_a_hand_did_is_kept_and_all_is_counted(data, models, tmp_path):
    rows = compose(data, tmp_path, Pretend(), models)
    kept = [f"dexycb/subject/{number:03d}/push-0" for number in (0, 2, 6)]
    assert [record.id for record in episode_table(tmp_path)] == kept
    assert [(row.hand, row.orders, row.composed, row.passed) for row in rows] == [
        ("any", 6, 5, 3),
        ("left_out", 6, 5, 0),
        ("mitten", 6, 5, 3),
    ]
    assert [row.reasons for row in rows] == [{"no grasp": 1}, {"refused: too large": 5}, {"slipped": 2}]
    assert hands_in(tmp_path, REFINED) == ("mitten",)
    assert motion_ids(tmp_path, "mitten", kind=REFINED) == kept
    assert all(check.success for check in read_checks(tmp_path, "mitten").values())
    motion = attach(read_motions(tmp_path, "mitten", kind=REFINED)[kept[1]], read_episodes(tmp_path)[1])
    assert motion.qpos[0, 0] == 2
    assert all(episode.attributes[PASSED] == "mitten" for episode in read_episodes(tmp_path))
    facts = info(tmp_path)
    assert facts["skipped"] == {"no grasp": 1, "no hand did it": 2}
    assert facts["options"]["format"] == "composed"
    assert not (tmp_path / ".composing").exists()


def test_test_recordings_never_enter(data, models, tmp_path):
    """By every split that knows the recording, a composed episode has the part of its source."""
    composing = Pretend()
    compose(data, tmp_path, composing, models)
    of_source = {record.id: record for record in episode_table(data)}
    asked = {name.rpartition("/")[0] for name in composing.ids}
    assert asked == {f"dexycb/subject/{number:03d}" for number in (0, 1, 2, 4, 5, 6)}  # 3 is a test recording, 7 too
    for record in episode_table(tmp_path):
        source = of_source[record.recording]
        for name in ("release", "unihm", "s0", "s1", "s3"):
            assert SPLITS[name].part_of(record) == SPLITS[name].part_of(source)
        assert SPLITS["release"].part_of(record) in ("train", "validation")


def test_sources_leave_out_what_leans_and_what_was_composed(data):
    records = episode_table(data)
    named = sources(records)
    assert named == [f"dexycb/subject/{number:03d}" for number in (0, 1, 2, 4, 5, 6)]
    leans = replace(records[0], id=next(iter(LEANING)))
    made = replace(records[1], id="x", attributes={**records[1].attributes, COMPOSED: "push"})
    other = replace(records[1], id="y", object_name="door handle")
    assert sources([leans, made, other, records[2]]) == [records[2].id]
    with pytest.raises(ValueError, match="no recording of the training or validation part"):
        sources([records[3]])


def test_an_interrupted_run_goes_on_and_is_the_same(data, models, tmp_path):
    whole, cut, side = tmp_path / "whole", tmp_path / "cut", tmp_path / "side"
    compose(data, whole, Pretend(), models, count=2)
    with pytest.raises(KeyboardInterrupt):
        compose(data, cut, Pretend(stop_at=5), models, count=2)
    assert not (cut / MANIFEST).exists()
    rest = Pretend()
    compose(data, cut, rest, models, count=2)
    assert len(rest.ids) == 8  # four of twelve were done
    assert contents(cut) == contents(whole)
    compose(data, side, Pretend(), models, count=2, workers=2)
    assert contents(side) == contents(whole)
    again = Pretend()
    rows = compose(data, whole, again, models, count=2)
    assert again.ids == []
    assert rows[0].passed == 6


def test_an_end_that_was_cut_off_is_made_up_for(data, models, tmp_path, monkeypatch):
    from unihm.composing import store

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_json", stop)
    with pytest.raises(KeyboardInterrupt):
        compose(data, tmp_path, Pretend(), models)
    monkeypatch.undo()
    rest = Pretend()
    assert compose(data, tmp_path, rest, models)[0].passed == 3
    assert rest.ids == []
    assert (tmp_path / REPORT).exists()


def test_other_settings_are_refused_and_other_parts_dropped(data, models, tmp_path, caplog):
    done, cut = tmp_path / "done", tmp_path / "cut"
    compose(data, done, Pretend(), models)
    with pytest.raises(ValueError, match=r"made otherwise \(seed \(was 0, is 1\)\)"):
        compose(data, done, Pretend(1), models)
    with pytest.raises(ValueError, match="made otherwise"):
        compose(data, data, Pretend(), models)  # the recordings themselves
    assert compose(data, done, Pretend(code="2"), models)[0].passed == 3
    assert "made by other code" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        compose(data, cut, Pretend(stop_at=5), models)
    other = Pretend(1)
    compose(data, cut, other, models)
    assert len(other.ids) == 6
    assert "1 parts of an interrupted run were made otherwise" in caplog.text


def test_where_nothing_passes_nothing_is_written(data, models, tmp_path):
    with pytest.raises(ValueError, match="None of the 1 recordings may be composed of"):
        compose(data, tmp_path, Pretend(), models, ids=["dexycb/subject/003"])
    with pytest.raises(ValueError, match="None of 5 episodes passed; most often: refused: too large"):
        compose(data, tmp_path, Pretend(worth=99), models, ids=[f"dexycb/subject/{k:03d}" for k in (1, 2, 4, 5, 6)])
    assert not (tmp_path / MANIFEST).exists()
    assert not (tmp_path / ".composing").exists()


def motion_of(episode, hand="mitten", joints=JOINTS):
    return HandMotion(
        hand=hand,
        fps=30.0,
        joint_names=joints,
        qpos=np.full((len(episode), len(joints)), 0.1),
        T_world_palm=np.tile(np.eye(4), (len(episode), 1, 1)),
    )


def store_of(folder, numbers, hands=("mitten",), joints=JOINTS, **made_with):
    episodes = [lifted(number) for number in numbers]
    write_episodes(folder, episodes)
    for hand in hands:
        write_motions(folder, hand, {e.id: motion_of(e, hand, joints) for e in episodes}, made_with=made_with)
    return folder


def test_joined_stores_hold_all_episodes_and_the_hands_of_all(tmp_path):
    one = store_of(tmp_path / "one", (0, 1), ("glove", "mitten"), preset="a", sigma=1)
    two = store_of(tmp_path / "two", (2, 3), ("mitten",), preset="a", sigma=1)
    out = tmp_path / "out"
    manifest = join_stores(out, [one, two])
    assert manifest["episodes"] == 4
    assert [record.id for record in episode_table(out)] == [e.id for e in (*read_episodes(one), *read_episodes(two))]
    assert hands_in(out) == ("mitten",)
    assert motion_ids(out, "mitten") == [record.id for record in episode_table(out)]
    assert motion_header(out, "mitten")["made_with"] == {"preset": "a", "sigma": 1}
    np.testing.assert_array_equal(read_episodes(out)[3].keypoints_world, read_episodes(two)[1].keypoints_world)
    before = contents(out)
    assert join_stores(out, [one, two]) == manifest
    assert contents(out) == before


def test_what_cannot_be_joined_is_refused(tmp_path):
    one = store_of(tmp_path / "one", (0, 1), sigma=1)
    two = store_of(tmp_path / "two", (2,), sigma=2)
    for other, message in (
        (store_of(tmp_path / "same", (1, 2), sigma=1), r"Episode 'dexycb/subject/001' is in .*one' and in .*same'"),
        (two, r"made with another sigma \(was 1, is 2\)"),
        (store_of(tmp_path / "joints", (4,), joints=("a", "c"), sigma=1), "have other joints"),
        (tmp_path / "nothing", "is not a unihm data set"),
    ):
        with pytest.raises(ValueError, match=message):
            join_stores(tmp_path / "out", [one, other])
    with pytest.raises(ValueError, match="at least two stores"):
        join_stores(tmp_path / "out", [one])
    with pytest.raises(ValueError, match="holds other episodes"):
        join_stores(two, [one, store_of(tmp_path / "three", (3,), sigma=1)])
    assert not (tmp_path / "out").exists()


def command(capsys, *arguments) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_one_line_for_what_is_wrong(capsys, data, models, tmp_path):
    out = tmp_path / "out"

    def refused(*arguments) -> str:
        status, printed, err = command(capsys, "data", *arguments)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert (status, printed, len(lines)) == (2, "", 1), err
        return lines[0]

    assert "--models needs the folder" in refused("compose", data, out)
    assert "is not a unihm data set" in refused("compose", tmp_path, out, "--models", models)
    assert "neither mesh_simplified.obj" in refused("compose", data, out, "--models", tmp_path)
    assert "Task 'plase' not found. Did you mean 'place'?" in refused(
        "compose", data, out, "--models", models, "--tasks", "plase"
    )
    assert "Hand 'shadw' not found. Did you mean 'shadow'" in refused(
        "compose", data, out, "--models", models, "--hands", "shadw"
    )
    assert "is a left one" in refused("compose", data, out, "--models", models, "--hands", "leap_left")
    assert "--limit is 0" in refused("compose", data, out, "--models", models, "--limit", 0)
    assert "candidates is 0" in refused("compose", data, out, "--models", models, "--candidates", 0)
    assert "candidates is 0" in refused("compose", data, out, "--tasks", "open-door", "--candidates", 0)  # no models
    assert "expected at least one of each" in refused("compose", data, out, "--models", models, "--count", 0)
    assert "workers is 0" in refused("compose", data, out, "--models", models, "--workers", 0)
    assert "at least two stores" in refused("join", out, data)
    assert not out.exists()


def test_the_join_command(capsys, tmp_path):
    one, two = store_of(tmp_path / "one", (0,), sigma=1), store_of(tmp_path / "two", (1,), sigma=1)
    status, out, _ = command(capsys, "data", "join", tmp_path / "out", one, two, "--json")
    assert status == 0
    assert json.loads(out)["hands"] == {"mitten": 2}


def test_a_real_recording_is_set_down(capsys, tmp_path, shared_data):
    """From the published annotations to a motion that sets the real box down in MuJoCo; what is stored repeats it."""
    from unihm.datasets.dexycb import DexYcbReader
    from unihm.simulation.ycb import load_ycb

    models = shared_data / "ycb_models"
    fourth = next(islice(DexYcbReader().episodes(shared_data / "dexycb"), 3, None))
    write_episodes(tmp_path / "data", [fourth])
    status, out, err = command(
        capsys,
        *("data", "compose", tmp_path / "data", tmp_path / "out", "--models", models, "--tasks", "place", "--hands"),
        *("allegro", "--workers", 1, "--json"),
    )
    assert status == 0, err
    rows = json.loads(out)["rows"]
    assert [(row["hand"], row["passed"]) for row in rows] == [("any", 1), ("allegro", 1)]
    episode = read_episodes(tmp_path / "out")[0]
    assert episode.id == f"{fourth.id}/place-0"
    assert episode.attributes[PASSED] == "allegro"
    refined = attach(read_motions(tmp_path / "out", "allegro", kind=REFINED)[episode.id], episode)
    outcome, rollout = run("place", refined, object=load_ycb(models, episode.object_name))
    assert outcome.success
    assert rollout.T_world_object is not None
    goal = episode.T_world_object[episode.release_frame, :3, 3]
    assert np.linalg.norm(rollout.T_world_object[-1, :3, 3] - goal) < 0.03
    assert not rollout.touching[-1].any()
    assert motion_ids(tmp_path / "out", "allegro") == [episode.id]
    assert episode.object_name == OBJECT
