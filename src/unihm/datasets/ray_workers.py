"""Workers that are actors of a Ray cluster, or of a local Ray that is started here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from unihm.datasets.worker import Answer, Worker, answer, cores


@contextmanager
def ray_workers(function: Callable[[Any], Any], workers: int | None, most: int | None) -> Iterator[Sequence[Worker]]:
    """Actors in the cluster; arguments and errors are those of `workers.open_workers`."""
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

    def call(self, task: Any) -> Answer:
        return answer(self.function, task)


class _RayWorker:
    """The handle of a Ray actor."""

    def __init__(self, actor: Any, name: str):
        self.name, self._actor = name, actor

    def call(self, task: Any) -> Answer:
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
