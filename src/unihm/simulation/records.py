"""What is recorded of a simulation, and how it is collected."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from unihm.geometry.pose import vector_to_pose
from unihm.simulation.contacts import CopiedContacts, copy_contacts, summarise
from unihm.simulation.world import World
from unihm.simulation.wrist import wrist_poses


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollout:
    """What happened; one row a record. Times count from the end of the settling."""

    times: Float[np.ndarray, " n"]
    """s, the first is 0."""
    T_world_palm: Float[np.ndarray, "n 4 4"]
    """Where the palm was, m."""
    qpos: Float[np.ndarray, "n nq"]
    """Where the independent joints were, rad or m."""
    T_world_object: Float[np.ndarray, "n 4 4"] | None
    """Where the object was, m."""
    fixture: Float[np.ndarray, " n"] | None
    """Position of drawer, door or lid, m or rad."""
    touching: Bool[np.ndarray, "n nl"]
    """Which of the hand's links touch the object; the order of `hand.link_names`."""
    opposing: Bool[np.ndarray, " n"]
    """Whether two links press the object against each other: normals more than 90 degrees apart."""
    on_table: Bool[np.ndarray, " n"]
    """Whether the object touches the table."""
    hand_on_fixture: Bool[np.ndarray, " n"]
    """Whether the hand touches the fixture."""
    depth: Float[np.ndarray, " n"]
    """The deepest contact of hand and object, m; 0 without one."""
    force: Float[np.ndarray, " n"]
    """Sum of the normal forces between hand and object, N."""
    configuration: Float[np.ndarray, "n nc"]
    """MuJoCo's whole qpos, to show a record again."""
    start_depth: float
    """The deepest contact of the hand with object or fixture as they were put, before the settling moved them apart,
    m."""
    failure: str = ""
    """Empty, or what went wrong: ``unstable at t = ...``; the records then end before."""
    dump: Path | None = None
    """The states before an instability, where a folder was given."""
    seconds_wall: float = 0.0
    """How long it took to compute, s."""


class Records:
    """Collects configurations and contacts while a simulation runs."""

    def __init__(self, world: World, interval: float):
        """Begin without records.

        Args:
            world: The world.
            interval: Time between records, s.
        """
        self._world, self._interval = world, interval
        self._rows: list[tuple[np.ndarray, CopiedContacts]] = []
        self._start: tuple[np.ndarray, CopiedContacts] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def start(self, data: Any) -> None:
        """Keep how everything was put, before any step.

        Args:
            data: The ``mujoco.MjData``, with positions and contacts computed.
        """
        self._start = data.qpos.copy(), copy_contacts(data)

    def add(self, configuration: Float[np.ndarray, " nc"], data: Any) -> None:
        """Add a record.

        Args:
            configuration: MuJoCo's qpos, no longer changed by anyone.
            data: The ``mujoco.MjData`` with the contacts of that configuration.
        """
        self._rows.append((configuration, copy_contacts(data)))

    def drop_last(self) -> None:
        """Forget the last record."""
        self._rows.pop()

    def rollout(self, **fields: Any) -> Rollout:
        """All records; where there are none, how everything was put.

        Args:
            **fields: The rollout's `failure`, `dump` and `seconds_wall`.
        """
        assert self._start is not None
        world, rows = self._world, self._rows or [self._start]
        configuration = np.array([row[0] for row in rows])
        contacts = summarise(world, [self._start[1], *(row[1] for row in rows)])
        of_object = world.object_qpos
        return Rollout(
            times=self._interval * np.arange(len(rows)),
            T_world_palm=wrist_poses(configuration[:, world.wrist_qpos], world.T_world_reference),
            qpos=configuration[:, world.finger_qpos],
            T_world_object=None if of_object is None else vector_to_pose(configuration[:, of_object : of_object + 7]),
            fixture=None if world.fixture_qpos is None else configuration[:, world.fixture_qpos],
            touching=contacts.touching[1:],
            opposing=contacts.opposing[1:],
            on_table=contacts.on_table[1:],
            hand_on_fixture=contacts.hand_on_fixture[1:],
            depth=contacts.depth[1:],
            force=contacts.force[1:],
            configuration=configuration,
            start_depth=float(max(contacts.depth[0], contacts.fixture_depth[0])),
            **fields,
        )
