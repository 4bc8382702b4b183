"""What workers are given in the tests of workers; a module of its own, which worker processes import quickly."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def double(task: int) -> int:
    """Twice a number; some numbers have their own fate."""
    if task == -1:
        raise ValueError("a negative number")
    if task == -2:
        raise KeyError("a bug")
    if task == -3:
        os._exit(3)
    if task == -4:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * task


class Memory:
    """Counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, task: int) -> int:
        self.calls += 1
        return self.calls


class Logging:
    """Writes its process id to a file, and takes its time."""

    def __init__(self, log: str):
        self.log = log

    def __call__(self, task: int) -> None:
        with Path(self.log).open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.2)
