"""One function over many tasks, in order, in this process or spread over several."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
_AHEAD = 4  # tasks a process that are handed out early: neither side waits, and memory does not fill


@contextmanager
def spread(
    function: Callable[[Task], Result],
    workers: int,
    *,
    initializer: Callable[..., Any] | None = None,
    initargs: tuple = (),
) -> Iterator[Callable[[Iterable[Task]], Iterator[tuple[Task, Result]]]]:
    """A map of tasks to ``(task, function(task))``, in the order of the tasks.

    Args:
        function: What is done; with more than one worker it, tasks and results must be picklable.
        workers: Processes; 1 works in this one.
        initializer: Called in each process when it starts; not where there is but this one.
        initargs: Its arguments.
    """
    if workers == 1:
        yield lambda tasks: ((task, function(task)) for task in tasks)
        return
    # Not forked: a fork inherits the locks of other libraries' threads, and may wait for one for ever.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=initializer, initargs=initargs) as pool:
        for _ in range(workers):
            pool.submit(os.getpid)  # processes start now, beside the reading of the data, not at the first task

        def run(tasks: Iterable[Task]) -> Iterator[tuple[Task, Result]]:
            waiting: deque = deque()
            for task in tasks:
                waiting.append((task, pool.submit(function, task)))
                while len(waiting) > _AHEAD * workers:
                    first, result = waiting.popleft()
                    yield first, result.result()
            while waiting:
                first, result = waiting.popleft()
                yield first, result.result()

        yield run
