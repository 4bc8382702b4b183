"""What a worker is, wherever it lives: see `workers`."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

Answer = tuple[bool, Any]
"""(True, result), or (False, (whether a ValueError, text))."""


@runtime_checkable
class Worker(Protocol):
    """Calls its function on one task at a time."""

    def call(self, task: Any) -> Answer:
        """The function's result or error; raises ChildProcessError where the worker died."""
        ...

    def stop(self) -> None:
        """End it, whatever it is doing."""
        ...


def cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def answer(function: Callable[[Any], Any], task: Any) -> Answer:
    """The result or the error, as something that can always be sent."""
    try:
        return True, function(task)
    except ValueError as error:
        return False, (True, str(error))
    except Exception:
        return False, (False, f"A worker failed:\n{traceback.format_exc()}")
