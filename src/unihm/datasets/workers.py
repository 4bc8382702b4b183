"""One function on many tasks: in this process, in processes of this machine, or on a Ray cluster.

    with open_workers(function, workers=4) as run:
        for index, result in run(tasks):  # in the order in which they end
            ...

Each worker keeps its own copy of `function`, so a callable object may hold what is costly to make. A worker works on
one task at a time; what tasks and results hold travels through a pipe or Ray's object store.
"""

from __future__ import annotations

import importlib.util
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from unihm.datasets.process_workers import process_workers
from unihm.datasets.ray_workers import ray_workers
from unihm.datasets.worker import Worker, cores
from unihm.registry import unknown_name

ENGINES = ("process", "ray")
"""Names on the command line (``--engine``)."""

Run = Callable[[Iterable[Any]], Iterator[tuple[int, Any]]]
"""Tasks -> (position of the task, its result), in the order in which tasks end."""


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
        with ray_workers(function, workers, most) as crew:
            yield lambda tasks: _run(crew, tasks)
        return
    count = workers or cores()
    count = min(count, most or count)
    if count == 1:
        yield lambda tasks: ((index, function(task)) for index, task in enumerate(tasks))
        return
    with process_workers(function, count) as crew:
        yield lambda tasks: _run(crew, tasks)


def _run(crew: Sequence[Worker], tasks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """A thread for each worker hands it the next task as soon as the last is done, however busy the caller is."""
    waiting, taking, done = iter(enumerate(tasks)), threading.Lock(), queue.SimpleQueue()

    def feed(worker: Worker) -> None:
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
