"""Tasks in processes of which some may die: what killed one is found and counted, the others go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from unihm.processes import spread

Task = TypeVar("Task")
Result = TypeVar("Result")


def surviving(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    alone: Callable[[Task, Callable[[Task], Result | None]], Result],
) -> Iterator[tuple[Task, Result]]:
    """Map tasks to ``(task, result)`` in their order, although a process may die of one (of memory, of a fault in C).

    The tasks that were under way when that happened are repeated one by one, each in a process of its own.

    Args:
        function: What is done; it, tasks and results must be picklable.
        tasks: Read as they are wanted.
        workers: Processes; 1 works in this one, which dies of what a worker would die of.
        alone: Called with each task that is repeated and a function that does a task in another process, None if that
            dies; answers with a result in any case.
    """
    source, waiting = iter(tasks), deque[Task]()

    def handed_out() -> Iterator[Task]:
        for task in source:
            waiting.append(task)
            yield task

    while True:
        try:
            with spread(function, workers) as run:
                for task, result in run(handed_out()):
                    waiting.popleft()
                    yield task, result
                return
        except BrokenProcessPool:
            suspects = list(waiting)
            waiting.clear()
        process = _Process(function)
        for task in suspects:
            yield task, alone(task, process)
        process.close()


class _Process:
    """A function in another process, which is replaced when it dies."""

    def __init__(self, function: Callable):
        self._function, self._pool = function, None

    def __call__(self, task):
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"))
        try:
            return self._pool.submit(self._function, task).result()
        except BrokenProcessPool:
            self.close()
            return None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None
