"""One function on many tasks: in this process, in processes of this machine, or on a Ray cluster.

    with open_workers(function, workers=4) as run:
        for index, result in run(tasks):  # in the order in which they end
            ...

Each worker keeps its own copy of `function`, so a callable object may hold what is costly to make. A worker works on
one task at a time; what tasks and results hold travels through a pipe or Ray's object store.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Protocol, runtime_checkable

from unihm.registry import unknown_name

ENGINES = ("process", "ray")
"""Names on the command line (``--engine``)."""

Run = Callable[[Iterable[Any]], Iterator[tuple[int, Any]]]
"""Tasks -> (position of the task, its result), in the order in which tasks end."""

_Answer = tuple[bool, Any]  # (True, result), or (False, (whether a ValueError, text))


@runtime_checkable
class _Worker(Protocol):
    def call(self, task: Any) -> _Answer: ...

    def stop(self) -> None: ...


def cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def check_workers(workers: int | None, engine: str) -> None:
    """Refuse with a ValueError what `open_workers` cannot start here."""
    if engine not in ENGINES:
        raise unknown_name("Engine", engine, ENGINES)
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1.")
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise ValueError("The engine 'ray' needs Ray: pip install 'unihm[ray]'.")


@contextmanager
def open_workers(
    function: Callable[[Any], Any], *, workers: int | None = None, engine: str = "process", most: int | None = None
) -> Iterator[Run]:
    """Start workers that call a function on tasks; they end with the block, however it ends.

    Args:
        function: Called once a task; picklable, and importable where the workers are. One worker of the ``process``
            engine is this process itself.
        workers: How many; None: as many as there are processors here, or in the Ray cluster.
        engine: ``process``, or ``ray``: the cluster that Ray is connected to or that $RAY_ADDRESS names, else a local
            one, started here.
        most: No more workers than this are started, for where there are few tasks.

    Yields:
        `Run`; may be called more than once, one call at a time.

    Raises:
        ValueError: There is no such engine, Ray is not installed or has too few processors, or `function` raised one.
        ChildProcessError: A worker died.
        RuntimeError: `function` raised another error; the text is the worker's traceback.
    """
    check_workers(workers, engine)
    if engine == "ray":
        with _ray_workers(function, workers, most) as crew:
            yield lambda tasks: _run(crew, tasks)
        return
    count = workers or cores()
    count = min(count, most or count)
    if count == 1:
        yield lambda tasks: ((index, function(task)) for index, task in enumerate(tasks))
        return
    crew = []
    try:
        with _without_ctrl_c():
            for number in range(count):
                crew.append(_ProcessWorker(function, f"Worker {number + 1} of {count}"))
        yield lambda tasks: _run(crew, tasks)
    finally:
        for worker in crew:
            worker.stop()


def _run(crew: list[Any], tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """A thread for each worker hands it the next task as soon as the last is done, however busy the caller is."""
    waiting, taking, done = iter(enumerate(tasks)), threading.Lock(), queue.SimpleQueue()

    def feed(worker: _Worker) -> None:
        try:
            while True:
                with taking:
                    index, task = next(waiting, (None, None))
                if index is None:
                    break
                done.put((index, worker.call(task), None))
            done.put(None)
        except BaseException as error:  # handed to the caller's thread, which raises it
            done.put((None, None, error))

    for worker in crew:
        threading.Thread(target=feed, args=(worker,), daemon=True).start()
    busy = len(crew)
    while busy:
        item = done.get()
        if item is None:
            busy -= 1
            continue
        index, answer, error = item
        if error is not None:
            raise error
        good, value = answer
        if not good:
            is_value_error, text = value
            raise ValueError(text) if is_value_error else RuntimeError(text)
        yield index, value


def _answer(function: Callable[[Any], Any], task: Any) -> _Answer:
    """The result or the error, as something that can always be sent."""
    try:
        return True, function(task)
    except ValueError as error:
        return False, (True, str(error))
    except Exception:
        return False, (False, f"A worker failed:\n{traceback.format_exc()}")


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes that start now never see Ctrl-C, which reaches all of them: their owner decides what it means."""
    if hasattr(signal, "pthread_sigmask"):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        yield


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """The life of a worker process: until the other end of the pipe is closed, or its owner is no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with connection:
        while True:
            try:
                connection.send(_answer(function, connection.recv()))
            except (EOFError, ConnectionError):
                return


class _ProcessWorker:
    """A process of this machine."""

    def __init__(self, function: Callable[[Any], Any], name: str):
        # Forked children would inherit the locks of other libraries' thread pools.
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, task: Any) -> _Answer:
        try:
            self._connection.send(task)
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(10)
            raise ChildProcessError(f"{self.name} {_death(self._process.exitcode)}") from None

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()
        self._connection.close()


def _death(code: int | None) -> str:
    """Why a process ended."""
    if code is not None and code < 0:
        reason = f"was killed by signal {-code}"
        return f"{reason}; perhaps memory ran out: try fewer workers." if -code == signal.SIGKILL else f"{reason}."
    return f"ended by itself with exit status {code}; what it printed says why."


@contextmanager
def _ray_workers(function: Callable[[Any], Any], workers: int | None, most: int | None) -> Iterator[list[Any]]:
    """Actors in the Ray cluster."""
    joined = bool(os.environ.get("RAY_ADDRESS"))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use over the network
    if not joined:
        # Read when ray is first imported, on every system: without it a local Ray listens on all network interfaces.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    ours = not ray.is_initialized()
    if ours:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        local = {"address": "local", "num_cpus": workers or cores(), "include_dashboard": False}
        ray.init(**quiet, **({} if joined else local))
    crew = []
    try:
        available = int(ray.cluster_resources().get("CPU", 0))
        count = workers or available
        if count > available:
            raise ValueError(f"{count} workers are wanted, the Ray cluster has {available} processors.")
        count = min(count, most or count)
        actor = ray.remote(num_cpus=1)(_RayServer)
        shared = ray.put(function)
        crew = [_RayWorker(actor.remote(shared), f"Ray worker {number + 1} of {count}") for number in range(count)]
        yield crew
    finally:
        for worker in crew:
            worker.stop()
        if ours:
            ray.shutdown()


class _RayServer:
    """What lives in a Ray worker."""

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function

    def call(self, task: Any) -> _Answer:
        return _answer(self.function, task)


class _RayWorker:
    """The handle of a Ray actor."""

    def __init__(self, actor: Any, name: str):
        self.name, self._actor = name, actor

    def call(self, task: Any) -> _Answer:
        import ray
        from ray.exceptions import RayError

        try:
            return ray.get(self._actor.call.remote(task))
        except RayError as error:
            lines = str(error).strip().splitlines()  # the first says what ended, the last of a traceback why
            reason = lines[0] + (f" {lines[-1]}" if "Error: " in lines[-1] else "")
            raise ChildProcessError(f"{self.name} died. {reason}") from None

    def stop(self) -> None:
        import ray

        ray.kill(self._actor)
