"""Workers that are processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from unihm.datasets.worker import Answer, Worker, answer


@contextmanager
def process_workers(function: Callable[[Any], Any], count: int) -> Iterator[Sequence[Worker]]:
    """So many processes, which end with the block."""
    crew = []
    try:
        with _without_ctrl_c():
            for number in range(count):
                crew.append(_ProcessWorker(function, f"Worker {number + 1} of {count}"))
        yield crew
    finally:
        for worker in crew:
            worker.stop()


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
                connection.send(answer(function, connection.recv()))
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

    def call(self, task: Any) -> Answer:
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
