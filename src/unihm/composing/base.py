"""The contract of a task that episodes are composed for, its records, and the table of tasks.

A recorded grasp is taken to where nobody recorded it: the hand comes and closes as it was seen, then moves with the
object along a path of ours. An `Episode` holds all of it. What its fields have no place for stands in its attributes
(`TASK`, `schema.episode.RELEASE` and `PANEL`, and what a composer needs to build the trial again), beside the
attributes of the source, so that every split gives a composed episode the part that its source has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unihm.registry import Registry
from unihm.schema.episode import COMPOSED, PANEL, RELEASE, Episode, panel_text
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.ycb import load_ycb

TASK = "task"
"""Attribute: what is asked for, one of `schema.task.TASKS`; an episode without it is a ``grab``."""
PASSED = "passed"
"""Attribute: names of the hands whose refined motion did it in simulation, with commas between."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """A recording of a grasp."""

    episode: Episode
    """The recording."""
    object: SolidObject
    """What it holds, mirrored where the recording is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """On what a composed episode's motions are tried; `simulation.tasks.run` is called with these."""

    task: str
    """Key of `simulation.tasks.TASKS`, ``slide`` for what is pushed over the table."""
    setting: Mapping[str, Any] = field(default_factory=dict)
    """Its ``object`` or ``fixture``, ``T_world_object``, ..."""


@runtime_checkable
class Composer(Protocol):
    """Composes the episodes of one task. Made without arguments; picklable, since each worker has its own."""

    def compose(self, source: Source | None, id: str, rng: np.random.Generator) -> Episode:
        """An episode with this id.

        Args:
            source: The recording whose grasp it takes over; None for tasks that are not in `FREE`.
            id: Of the new episode.
            rng: Draws everything; the same state gives the same episode.

        Returns:
            The episode; `composed` makes it of the source. Its path ends where the task's does, `lift_frame` is the
            first frame in which the object, or the moving part, moves.

        Raises:
            ValueError: This grasp does not suit the task; the reason is short and names no numbers, for it is counted.
        """
        ...

    def trial(self, episode: Episode, models: Path) -> Trial:
        """What the episode's motions are tried on, from nothing but the episode.

        Args:
            episode: A composed one, also one that was written and read.
            models: Folder of the true objects, see `simulation.ycb.load_ycb`.
        """
        ...


COMPOSERS = Registry(
    "Task",
    {
        "place": "unihm.composing.free:Place",
        "push": "unihm.composing.free:Push",
        "pull": "unihm.composing.free:Pull",
        "push-drawer": "unihm.composing.handled:PushDrawer",
        "pull-drawer": "unihm.composing.handled:PullDrawer",
        "open-door": "unihm.composing.handled:OpenDoor",
        "close-door": "unihm.composing.handled:CloseDoor",
        "open-lid": "unihm.composing.handled:OpenLid",
        "close-lid": "unihm.composing.handled:CloseLid",
    },
)
"""Name on the command line -> `Composer`."""

FREE = ("place", "push", "pull")
"""Those of free objects, which take over the grasp of a recording."""


def composed(
    source: Episode,
    id: str,
    name: str,
    task: str,
    *,
    keypoints_world: Float[np.ndarray, "T 21 3"],
    T_world_object: Float[np.ndarray, "T 4 4"],
    instructions: tuple[str, ...],
    contact_frame: int,
    lift_frame: int,
    release_frame: int | None = None,
    panel_object: Float[np.ndarray, " 4"] | None = None,
    attributes: Mapping[str, str] | None = None,
    **changes: Any,
) -> Episode:
    """An episode that keeps recording, subject, camera, object and attributes of its source.

    Args:
        source: The recording.
        id: Of the new episode.
        name: Key of `COMPOSERS`.
        task: One of `schema.task.TASKS`.
        keypoints_world: The hand, m.
        T_world_object: The path, m.
        instructions: At least five sentences.
        contact_frame: First frame of touch.
        lift_frame: First frame in which the object moves.
        release_frame: First frame in which it is let go.
        panel_object: Of a handle.
        attributes: What else the trial needs.
        **changes: Other fields, for example ``object_name`` and ``object_points`` of a handle.
    """
    facts = {**source.attributes, COMPOSED: name, TASK: task, **(attributes or {})}
    if release_frame is not None:
        facts[RELEASE] = str(release_frame)
    if panel_object is not None:
        facts[PANEL] = panel_text(panel_object)
    fields: dict[str, Any] = {name: getattr(source, name) for name in source.__dataclass_fields__}
    fields |= {
        "id": id,
        "keypoints_world": keypoints_world,
        "T_world_object": T_world_object,
        "instructions": instructions,
        "contact_frame": contact_frame,
        "lift_frame": lift_frame,
        "attributes": facts,
    }
    return Episode(**{**fields, **changes})


@lru_cache
def true_object(models: Path, name: str, mirrored: bool) -> SolidObject:
    """A YCB object as an episode holds it, see `simulation.ycb.load_ycb`; read once."""
    solid = load_ycb(models, name, mirrored=mirrored)
    _ = solid.inertia  # computed once, not for every trial
    return solid
