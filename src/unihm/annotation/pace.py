"""When the next request may be sent: so many a minute from all threads, and none while the server says to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Pace:
    """Gives all threads their turns."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] | None = None,
    ):
        """Start with a first request at once.

        Args:
            rate: Requests a minute.
            clock: Seconds that only grow.
            sleep: Waits some seconds; by default until `stop` at most.
        """
        self._gap = 60.0 / rate
        self._clock, self._sleep = clock, sleep or self._wait
        self._lock = threading.Lock()
        self._next = clock()
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._stopped.is_set()

    def turn(self) -> None:
        """Wait until it is this thread's turn to send."""
        while not self.stopped:
            with self._lock:
                now = self._clock()
                left = self._next - now
                if left <= 0:
                    self._next = now + self._gap
                    return
            self._sleep(left)  # others wait for the same moment; one of them will have it

    def hold(self, seconds: float) -> None:
        """Let nobody send for a while."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def rest(self, seconds: float) -> None:
        """Wait, this thread alone."""
        if seconds > 0 and not self.stopped:
            self._sleep(seconds)

    def stop(self) -> None:
        """End all waits."""
        self._stopped.set()

    def _wait(self, seconds: float) -> None:
        self._stopped.wait(seconds)
