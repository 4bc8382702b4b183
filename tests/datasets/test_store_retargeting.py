"""A store is retargeted completely or not at all, whatever happens in between, and never silently in two ways."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dataset_builders import make_episode
from retargeting_builders import WristOnly

from unihm.datasets import store_retargeting
from unihm.datasets.episode_store import write_episodes
from unihm.datasets.manifest import hands_in
from unihm.datasets.motion_parts import parts_folder
from unihm.datasets.motion_store import motion_header, read_motions, write_motions
from unihm.datasets.store_retargeting import retarget_store
from unihm.datasets.summary import info

LENGTHS = tuple(range(20, 29))  # every recording has its own, so that it can be told by it


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(store_retargeting, "_CHUNK", 60)  # frames: three recordings a chunk
    episodes = [make_episode(n, num_frames=T, fps=30.0 if n % 2 else 25.0) for n, T in enumerate(LENGTHS)]
    write_episodes(tmp_path / "store", episodes, shard_size=4)
    return tmp_path / "store"


def run(store: Path, retargeting: WristOnly, hands=("mitten",), **options):
    return retarget_store(store, list(hands), retargeting, **{"workers": 1, **options})


def recordings(retargeting: WristOnly) -> list[int]:
    return [length for call in retargeting.lengths for length in call]


def test_every_episode_gets_its_motion(store):
    here = WristOnly()
    rows = run(store, here, ["mitten", "glove"])
    assert recordings(here) == [*LENGTHS, *LENGTHS]
    assert [(row.hand, row.kept, row.episodes, row.frames, row.unconverged, row.seconds) for row in rows] == [
        (hand, False, 9, sum(LENGTHS), 3, 1.5) for hand in ("mitten", "glove")
    ]
    motions = read_motions(store, "glove")
    assert [len(motion) for motion in motions.values()] == list(LENGTHS)
    for number, (name, motion) in enumerate(motions.items()):
        keypoints = make_episode(number, num_frames=LENGTHS[number]).keypoints_world
        np.testing.assert_allclose(motion.T_world_palm[:, :3, 3], keypoints[:, 0], atol=1e-6)
        assert motion.fps == (30.0 if number % 2 else 25.0)
        assert motion.source == name
    assert not list((store / "motions").glob(".*.parts"))


def test_what_is_complete_is_not_made_again(store):
    run(store, WristOnly())
    again = WristOnly()
    assert [row.kept for row in run(store, again, ["mitten", "glove"])] == [True, False]
    assert recordings(again) == list(LENGTHS)


def test_an_interrupted_run_goes_on_where_it_stopped(store):
    whole = store.with_name("whole")
    write_episodes(whole, [make_episode(n, num_frames=T, fps=30.0 if n % 2 else 25.0) for n, T in enumerate(LENGTHS)])
    run(whole, WristOnly())
    with pytest.raises(KeyboardInterrupt):
        run(store, WristOnly(stop_at=3))
    assert hands_in(store) == ()
    assert info(store)["hands"] == {}
    rest = WristOnly()
    run(store, rest)
    assert recordings(rest) == list(LENGTHS[6:])
    assert motion_header(store, "mitten")["digest"] == motion_header(whole, "mitten")["digest"]
    assert motion_header(store, "mitten")["unconverged"] == 3  # those of the first run count


def test_chunks_may_be_cut_otherwise_the_next_time(store, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run(store, WristOnly(stop_at=2))
    monkeypatch.setattr(store_retargeting, "_CHUNK", 1)
    rest = WristOnly()
    run(store, rest)
    assert rest.lengths == [(length,) for length in LENGTHS[3:]]
    assert [len(motion) for motion in read_motions(store, "mitten").values()] == list(LENGTHS)


def test_a_run_that_ended_before_the_parts_were_put_together(store, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("unihm.datasets.motion_parts.write_motion_table", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(store, WristOnly())
    assert hands_in(store) == ()
    rest = WristOnly()
    run(store, rest)
    assert recordings(rest) == []
    assert len(read_motions(store, "mitten")) == 9


@pytest.mark.parametrize("change", ["scale", "code", "episodes", "damage"])
def test_parts_that_were_made_otherwise_are_made_again(store, caplog, change):
    with pytest.raises(KeyboardInterrupt):
        run(store, WristOnly(stop_at=3))
    lost = LENGTHS
    if change == "episodes":
        write_episodes(store, [make_episode(n, num_frames=T) for n, T in enumerate(LENGTHS)])
    elif change == "damage":
        first = parts_folder(store, "mitten") / "00000.parquet"
        first.write_bytes(first.read_bytes()[:100])
        lost = LENGTHS[:3] + LENGTHS[6:]
    rest = WristOnly(2.0 if change == "scale" else 1.0, code="2" if change == "code" else "1")
    with caplog.at_level(logging.WARNING):
        run(store, rest)
    assert recordings(rest) == list(lost)
    assert f"mitten: {1 if change == 'damage' else 2} parts" in caplog.text
    assert len(read_motions(store, "mitten")) == 9


def test_complete_motions_are_never_replaced_silently(store, caplog):
    run(store, WristOnly())
    before = (store / "motions" / "mitten.parquet").read_bytes()
    with pytest.raises(ValueError, match=r"'mitten'.*made with another scale \(was 1.0, is 2.0\).*--force"):
        run(store, WristOnly(2.0))
    with caplog.at_level(logging.WARNING):
        assert run(store, WristOnly(code="2"))[0].kept  # other code need not mean other motions, but is told
    assert "made by other code" in caplog.text
    assert (store / "motions" / "mitten.parquet").read_bytes() == before

    with pytest.raises(KeyboardInterrupt):
        run(store, WristOnly(2.0, stop_at=2), force=True)
    assert (store / "motions" / "mitten.parquet").read_bytes() == before  # until the new ones are complete
    rest = WristOnly(2.0)
    run(store, rest, force=True)
    assert recordings(rest) == list(LENGTHS[3:])
    assert motion_header(store, "mitten")["made_with"]["config"] == {"scale": 2.0}


def test_motions_that_do_not_say_how_they_were_made_are_not_taken_for_ours(store):
    run(store, WristOnly())
    write_motions(store, "mitten", read_motions(store, "mitten"))
    with pytest.raises(ValueError, match="do not say how they were made"):
        run(store, WristOnly())
    some = dict(list(read_motions(store, "mitten").items())[:4])
    write_motions(store, "mitten", some, made_with=WristOnly().describe("mitten")[1])
    with pytest.raises(ValueError, match="of some of the episodes only"):
        run(store, WristOnly())
    assert not run(store, WristOnly(), force=True)[0].kept
    assert len(read_motions(store, "mitten")) == 9


def test_bad_input_is_refused_before_any_work(store, tmp_path):
    here = WristOnly()
    with pytest.raises(ValueError, match="too stiff"):
        run(store, here, ["mitten", "glove of iron"])
    with pytest.raises(ValueError, match="is not a unihm data set"):
        run(tmp_path, here)
    far = np.full((20, 21, 3), 1e6)
    write_episodes(tmp_path / "far", [make_episode(0), make_episode(1, keypoints_world=far)])
    with pytest.raises(ValueError, match=r"^Episode 'made/001': the hand is far away\.$"):
        run(tmp_path / "far", here)
    with pytest.raises(ValueError, match="Engine 'fork' not found"):
        run(store, here, engine="fork")
    assert recordings(here) == []


def test_two_runs_at_once_are_refused(store):
    class Nested(WristOnly):
        def __call__(self, task):
            return run(store, WristOnly())

    with pytest.raises(ValueError, match="Another run is retargeting"):
        run(store, Nested())


def test_a_worker_that_dies_loses_only_its_chunk(store):
    with pytest.raises(ChildProcessError, match="was killed by signal 9"):
        run(store, WristOnly(die_at=2), workers=2)
    assert hands_in(store) == ()
    rest = WristOnly()
    run(store, rest)
    assert set(recordings(rest)) < set(LENGTHS)
    assert len(read_motions(store, "mitten")) == 9


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_keeps_what_was_finished(store, tmp_path, blow):
    code = (
        "import signal, sys; sys.path.insert(0, sys.argv[1])\n"
        # Whoever runs the tests in the background of a shell has them ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from retargeting_builders import WristOnly\n"
        "from unihm.datasets import store_retargeting\n"
        "store_retargeting._CHUNK = 1\n"
        "store_retargeting.retarget_store(\n"
        "    sys.argv[2], ['mitten'], WristOnly(pause=0.3, log=sys.argv[3]), workers=2)\n"
    )
    arguments = [str(Path(__file__).resolve().parent), str(store), str(tmp_path / "log")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 30
    while not list(parts_folder(store, "mitten").glob("[!.]*.parquet")) and time.monotonic() < end:
        time.sleep(0.02)
    if blow == signal.SIGINT:
        os.killpg(process.pid, blow)  # as a terminal does, which means the workers, too
    else:
        process.send_signal(blow)
    _, errors = process.communicate(timeout=10)
    assert process.returncode != 0
    assert errors.count("Traceback") == (blow == signal.SIGINT)  # the workers end without a word
    assert hands_in(store) == ()
    kept = len(list(parts_folder(store, "mitten").glob("[!.]*.parquet")))
    assert 1 <= kept < 9
    rest = WristOnly()
    run(store, rest)
    assert len(recordings(rest)) == 9 - kept
    assert len(read_motions(store, "mitten")) == 9
