"""One rollout for several criteria, where one tells as much as several.

Criteria differ in how long they look and in how they push. Nothing in a rollout depends on what comes later, so a
shorter criterion that does not push is judged on the beginning of a longer rollout (a test holds that equal to a
rollout of its own). Two that push differently part when the pushes begin: an object that is no longer held by then is
lost by both, and is not pushed again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from unihm.simulation import constants
from unihm.simulation.constants import TIMESTEP
from unihm.simulation.records import Rollout
from unihm.simulation.tasks import Outcome, Task, Trial, measuring
from unihm.simulation.tasks.grab import Grab

_EVERY = 5  # steps a record: 100 Hz


def judge_by(
    trial: Trial, tasks: Mapping[str, Task], *, dump_folder: Path | None = None, seed: int = 0
) -> dict[str, tuple[Outcome, Rollout]]:
    """What came of a trial by several criteria.

    Args:
        trial: The trial; its own task is not looked at.
        tasks: By the name of the criterion.
        dump_folder: Where the last states before an instability are written.
        seed: Written beside them.

    Returns:
        By the name of the criterion, in the order of `tasks`.
    """
    found: dict[str, tuple[Outcome, Rollout]] = {}
    simulated: list[tuple[Task, Rollout]] = []
    for name, task in sorted(tasks.items(), key=lambda item: -item[1].seconds):
        rollout = next((known for other, whole in simulated if (known := _known(task, other, whole)) is not None), None)
        if rollout is None:
            outcome, rollout = replace(trial, task=task).run(
                record_hz=1 / (_EVERY * TIMESTEP), dump_folder=dump_folder, seed=seed
            )
            simulated.append((task, rollout))
        else:
            outcome = task.judge(rollout)
        found[name] = outcome, rollout
    return {name: found[name] for name in tasks}


def until(rollout: Rollout, seconds: float) -> Rollout:
    """The beginning of a rollout, as if it had been simulated for so long (s)."""
    count = math.ceil(seconds / (_EVERY * TIMESTEP) - 1e-9) + 1
    n = len(rollout.times)
    if n < count or (n == count and not rollout.failure):
        return rollout
    values = {field.name: getattr(rollout, field.name) for field in fields(rollout)}
    cut = {name: value[:count] for name, value in values.items() if isinstance(value, np.ndarray)}
    return replace(rollout, **cut, failure="", dump=None)


def _known(task: Task, other: Task, rollout: Rollout) -> Rollout | None:
    """What decides about a task in the rollout of another one, if it is there."""
    same = min(_calm(task), _calm(other))
    if task.seconds <= same:
        return until(rollout, task.seconds)
    begun = until(rollout, same)
    lost = bool(begun.failure) or (isinstance(task, Grab) and not _held(begun, task))
    return begun if lost else None


def _calm(task: Task) -> float:
    """When the task begins to push, s; infinite if it never does."""
    times = TIMESTEP * np.arange(0, math.ceil(task.seconds / TIMESTEP), _EVERY)
    return next((t for t in times.tolist() if task.disturbance(t) is not None), math.inf)


def _held(rollout: Rollout, task: Grab) -> bool:
    """Whether the object is up at the end, as `Grab` counts it: without that no grab succeeds after the pushes."""
    height = measuring.place_of(measuring.objects_path(rollout)[[0, -1]], task.centre)[:, 2]
    return bool(not rollout.on_table[-1] and height[1] - height[0] >= constants.LIFTED - measuring.EPSILON)
