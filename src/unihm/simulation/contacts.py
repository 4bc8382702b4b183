"""Who touches what in the states of a world, and how hard.

While a rollout runs, contacts are only copied; what they mean is worked out afterwards, for all records at once.
"""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from unihm.simulation.world import World


class CopiedContacts(NamedTuple):
    """The contacts of one state as MuJoCo has them."""

    geoms: Int[np.ndarray, "k 2"]
    """The two geoms."""
    distance: Float[np.ndarray, " k"]
    """m, negative where they overlap."""
    normal: Float[np.ndarray, "k 3"]
    """Unit vector from the first to the second, in the world."""
    force: Float[np.ndarray, " k"]
    """Along the normal, N; 0 where it was not computed."""


class Contacts(NamedTuple):
    """What the contacts of n states, or of one, mean; as `Rollout` records them."""

    touching: Bool[np.ndarray, "*n nl"]
    """Which links of the hand touch the object."""
    opposing: Bool[np.ndarray, "*n"]
    """Whether two of them press it against each other."""
    on_table: Bool[np.ndarray, "*n"]
    """Whether the object touches the table."""
    hand_on_fixture: Bool[np.ndarray, "*n"]
    """Whether the hand touches the fixture."""
    depth: Float[np.ndarray, "*n"]
    """The deepest contact of hand and object, m; 0 without one."""
    force: Float[np.ndarray, "*n"]
    """Sum of normal forces between hand and object, N."""
    fixture_depth: Float[np.ndarray, "*n"]
    """The deepest contact of hand and fixture, m; 0 without one."""


def copy_contacts(data: Any) -> CopiedContacts:
    """The contacts of the last step, that is of the state before it.

    Args:
        data: A ``mujoco.MjData``.
    """
    contact = data.contact
    address = contact.efc_address  # -1 of contacts without forces
    # The first row of a contact in an elliptic cone is its normal force.
    force = np.where(address >= 0, data.efc_force[address], 0.0) if data.nefc else np.zeros(len(address))
    return CopiedContacts(contact.geom.copy(), contact.dist.copy(), contact.frame[:, :3].copy(), force)


def summarise(world: World, copies: list[CopiedContacts]) -> Contacts:
    """What the contacts of some states mean.

    Args:
        world: The world.
        copies: Of each state.
    """
    n = len(copies)
    state = np.repeat(np.arange(n), [len(copy.geoms) for copy in copies])
    geoms, distance, normal, force = (np.concatenate(parts) for parts in zip(*copies, strict=True))
    link, is_object, is_fixture = world.geom_link[geoms], world.geom_object[geoms], world.geom_fixture[geoms]
    is_hand = link >= 0

    on_table, hand_on_fixture = np.zeros((2, n), dtype=bool)
    on_table[state[(is_object[:, ::-1] & (geoms == world.table_geom)).any(axis=1)]] = True
    pushed = (is_hand & is_fixture[:, ::-1]).any(axis=1)
    hand_on_fixture[state[pushed]] = True
    held = (is_hand & is_object[:, ::-1]).any(axis=1)
    state_held, links = state[held], link[held].max(axis=1)  # the object's own is -1
    touching = np.zeros((n, len(world.hand.link_names)), dtype=bool)
    touching[state_held, links] = True
    depth, fixture_depth, total = np.zeros((3, n))
    np.maximum.at(depth, state_held, -distance[held])
    np.maximum.at(fixture_depth, state[pushed], -distance[pushed])
    np.add.at(total, state_held, force[held])
    # MuJoCo's normals point from the first geom to the second; here all point into the object.
    inward = normal[held] * np.where(is_object[held, 1], 1.0, -1.0)[:, None]
    return Contacts(
        touching, _opposing(n, state_held, links, inward), on_table, hand_on_fixture, depth, total, fixture_depth
    )


def read_contacts(world: World, data: Any) -> Contacts:
    """What the contacts of the last step mean, without a leading axis.

    Args:
        world: The world.
        data: Its ``mujoco.MjData``.
    """
    return Contacts(*(values[0] for values in summarise(world, [copy_contacts(data)])))


def _opposing(n: int, state: np.ndarray, links: np.ndarray, inward: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Which states have contacts of two links with normals more than 90 degrees apart; `state` ascends."""
    found = np.zeros(n, dtype=bool)
    count = np.bincount(state, minlength=n)
    first = np.cumsum(count) - count
    for apart in range(1, int(count.max(initial=0))):  # each contact with the one so many places after it
        a = np.flatnonzero(np.arange(len(state)) - first[state] + apart < count[state])
        b = a + apart
        against = ((inward[a] * inward[b]).sum(axis=1) < 0) & (links[a] != links[b])
        found[state[a[against]]] = True
    return found
