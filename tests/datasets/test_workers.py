"""The same function on the same tasks gives the same results in this process, in others, and on Ray."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dataset_builders import make_episode
from retargeting_builders import WristOnly
from worker_functions import Memory, double

from unihm.datasets.episode_store import write_episodes
from unihm.datasets.motion_store import motion_header
from unihm.datasets.store_retargeting import retarget_store
from unihm.datasets.worker import cores
from unihm.datasets.workers import open_workers

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def local_ray():
    """A Ray of two processors on this machine's loopback, which ends with the tests."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'unihm[ray]'")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # before the import: loopback, see `workers`
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("PYTHONPATH", str(HERE))  # so that Ray's workers find this folder's modules
        import ray

        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield ray
        ray.shutdown()


def test_results_carry_the_position_of_their_task():
    for workers in (1, 2):
        with open_workers(double, workers=workers) as run:
            assert sorted(run(range(7))) == [(i, 2 * i) for i in range(7)]
            assert sorted(run([5])) == [(0, 10)]  # the same workers again
            assert list(run([])) == []


def test_a_worker_keeps_its_function():
    here = Memory()
    with open_workers(here, workers=8, most=1) as run:  # one worker, since there is one task at a time: this process
        assert [result for _, result in run("abc")] == [1, 2, 3]
    assert here.calls == 3


def test_errors_come_back():
    for workers in (1, 2):
        with pytest.raises(ValueError, match=r"^a negative number$"), open_workers(double, workers=workers) as run:
            list(run([1, -1, 2]))
    with (
        pytest.raises(RuntimeError, match=r"(?s)A worker failed.*in double.*KeyError: 'a bug'"),
        open_workers(double, workers=2) as run,
    ):
        list(run([1, -2, 2]))


@pytest.mark.parametrize(
    ("task", "fate"),
    [(-3, r"ended by itself with exit status 3"), (-4, r"was killed by signal 9; perhaps memory ran out")],
)
def test_a_worker_that_dies_is_an_error_and_not_a_hang(task, fate):
    with pytest.raises(ChildProcessError, match=rf"Worker \d of 2 {fate}"), open_workers(double, workers=2) as run:
        list(run([1, task, 2]))


def test_what_cannot_be_started_is_refused(monkeypatch):
    with (
        pytest.raises(ValueError, match=r"Engine 'rai' not found\. Did you mean 'ray'\?"),
        open_workers(len, engine="rai"),
    ):
        pass
    with pytest.raises(ValueError, match="workers is 0, expected at least 1"), open_workers(len, workers=0):
        pass
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs Ray: pip install 'unihm\[ray\]'"), open_workers(len, engine="ray"):
        pass
    assert 1 <= cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
def test_workers_end_when_their_owner_is_killed(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from worker_functions import Logging\n"
        "from unihm.datasets.workers import open_workers\n"
        "with open_workers(Logging(sys.argv[2]), workers=2) as run:\n"
        "    list(run(range(1000)))\n"
    )
    log = tmp_path / "log"
    owner = subprocess.Popen([sys.executable, "-c", code, str(HERE), str(log)])
    try:
        workers = wait_for(lambda: log.exists() and len(pids := set(log.read_text().split())) == 2 and pids)
        assert str(owner.pid) not in workers
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_ray_gives_the_same(local_ray):
    with open_workers(double, engine="ray") as run:  # as many as Ray has
        assert sorted(run(range(7))) == [(i, 2 * i) for i in range(7)]
        with pytest.raises(ValueError, match="a negative number"):
            list(run([1, -1]))
    with (
        pytest.raises(ValueError, match=r"5 workers are wanted, the Ray cluster has 2 processors"),
        open_workers(double, workers=5, engine="ray"),
    ):
        pass
    assert local_ray.is_initialized()  # it was here before


def test_a_ray_worker_that_dies_is_an_error(local_ray):
    with (
        pytest.raises(ChildProcessError, match=r"Ray worker \d of 2 died\."),
        open_workers(double, engine="ray") as run,
    ):
        list(run([1, -3, 2]))


def test_a_store_retargeted_on_ray_is_the_same(local_ray, tmp_path):
    for name, engine in (("here", "process"), ("there", "ray")):
        write_episodes(tmp_path / name, [make_episode(n, num_frames=900 + n) for n in range(6)])
        done = retarget_store(tmp_path / name, ["mitten"], WristOnly(), workers=2, engine=engine)
        assert [(row.hand, row.kept, row.unconverged) for row in done] == [("mitten", False, 2)]
    here, there = ((tmp_path / name / "motions" / "mitten.parquet").read_bytes() for name in ("here", "there"))
    assert here == there
    assert motion_header(tmp_path / "there", "mitten")["made_with"]["config"] == {"scale": 1.0}


def wait_for(condition, seconds: float = 30.0):
    """The first value of a condition that is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return value
