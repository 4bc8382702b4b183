"""Execute a command in a world and record what happens.

All controls are computed before the first step; between records (every fifth step by default) Python does nothing but
call MuJoCo's step. Nothing in it is random: the same world and command give the same bits.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float

from unihm.simulation.command import Command, leading, targets
from unihm.simulation.constants import SETTLE, TIMESTEP
from unihm.simulation.instability import LastStates, instability, silent_warnings
from unihm.simulation.records import Records, Rollout
from unihm.simulation.world import World

_ASKED = 0.1  # s between questions whether there is hope
__all__ = ["Disturbance", "Rollout", "initial_state", "push", "simulate", "step_through"]

Disturbance = Callable[[float], "np.ndarray | None"]
"""Time since the end of the settling, s, to an acceleration (3,) of the object, m/s^2, or None."""

Hopeless = Callable[[float, Any], bool]
"""Time as for `Disturbance`, and MuJoCo's data, to whether nothing that comes can matter any more."""


def simulate(
    world: World,
    command: Command,
    *,
    seconds: float,
    settle: float = SETTLE,
    disturbance: Disturbance | None = None,
    record_hz: float = 100.0,
    hopeless: Hopeless | None = None,
    dump_folder: Path | None = None,
    seed: int = 0,
) -> Rollout:
    """Execute a command.

    Args:
        world: The world; not changed.
        command: What the hand is told. It waits at the first entry while the object comes to rest.
        seconds: How long, from the end of the settling, rounded up to whole records; the last entry is held.
        settle: How long the object may come to rest before, s.
        disturbance: Acceleration that pushes the object (a force of mass times it at its centre); asked once a record.
        record_hz: Records per second; rounded so that a record is a whole number of steps.
        hopeless: Asked ten times a second; the rollout ends where it says so.
        dump_folder: Where the states before an instability are written; nowhere if not given.
        seed: Of whatever made the command; it is written beside those states. The simulation draws nothing.

    Returns:
        The records, or those before an instability, with `failure` set.

    Raises:
        ValueError: The command does not fit the world (`targets`), or a number is out of range.
    """
    if not (0 < record_hz <= 1 / TIMESTEP):
        raise ValueError(f"record_hz is {record_hz}, expected more than 0 and at most {1 / TIMESTEP:g}.")
    if not (0 < seconds < np.inf and 0 <= settle < np.inf):
        raise ValueError(f"seconds is {seconds} and settle {settle}, expected more than 0, and 0 or more.")
    if disturbance is not None and world.object_body is None:
        raise ValueError("A disturbance pushes the object, and this world has none.")
    started = time.perf_counter()
    every = max(1, round(1 / (record_hz * TIMESTEP)))
    asked = every * max(1, round(_ASKED / (every * TIMESTEP)))
    blocks = math.ceil(seconds / (every * TIMESTEP) - 1e-9)
    wanted = targets(command, world, blocks * every * TIMESTEP)
    waiting = np.repeat(leading(wanted[:1], world), round(settle / TIMESTEP), axis=0)
    control = leading(wanted, world)

    data = initial_state(world, wanted[0])
    mujoco.mj_fwdPosition(world.model, data)
    records = Records(world, every * TIMESTEP)
    records.start(data)
    last = LastStates(world, every, seed)
    failure = ""
    with silent_warnings():
        for first in range(0, len(waiting), every):
            if problem := step_through(world, data, waiting[first : first + every], last):
                failure = f"unstable at t = {first * TIMESTEP - settle:.2f} s: {problem}"
                break
        for first in range(0, 0 if failure else len(control), every):
            t = first * TIMESTEP
            if hopeless is not None and first % asked == 0 and hopeless(t, data):
                break
            push(world, data, None if disturbance is None else disturbance(t))
            if problem := step_through(world, data, control[first : first + every], last, records):
                failure = f"unstable at t = {t:.2f} s: {problem}"
                records.drop_last()
                break
        if not failure:
            mujoco.mj_forward(world.model, data)
            records.add(data.qpos.copy(), data)
    return records.rollout(
        failure=failure,
        dump=last.write(dump_folder, failure) if failure and dump_folder is not None else None,
        seconds_wall=time.perf_counter() - started,
    )


def initial_state(world: World, wanted: Float[np.ndarray, " n"]) -> Any:
    """MuJoCo's data with the hand at rest at the first of the `targets` and everything else where it was put.

    Args:
        world: The world.
        wanted: Six wrist coordinates, then the independent joints; m, rad.
    """
    data = mujoco.MjData(world.model)
    data.qpos[world.wrist_qpos] = wanted[:6]
    data.qpos[world.joint_qpos] = world.body_positions(wanted[6:])
    if world.fixture is not None and world.fixture_qpos is not None:
        data.qpos[world.fixture_qpos] = world.fixture.position0
    return data


def step_through(
    world: World, data: Any, control: np.ndarray, last: LastStates | None = None, records: Records | None = None
) -> str:
    """Make the steps of a block and record the state at its start.

    Args:
        world: The world.
        data: Its ``mujoco.MjData``; moved on.
        control: One row a step (steps, nu).
        last: Keeps the block.
        records: Gets the record.

    Returns:
        What is wrong at the end of the block, or nothing.
    """
    model, ctrl, step = world.model, data.ctrl, mujoco.mj_step
    if last is not None:
        last.keep(data, control)
    configuration = data.qpos.copy()
    ctrl[:] = control[0]
    step(model, data)
    if records is not None:
        records.add(configuration, data)  # contacts after a step are those of the state before it
    for row in control[1:]:
        ctrl[:] = row
        step(model, data)
    return instability(world, data)


def push(world: World, data: Any, acceleration: np.ndarray | None) -> None:
    """Push the object from now on, or no longer.

    Args:
        world: The world.
        data: Its ``mujoco.MjData``.
        acceleration: That the push alone would give it (3,), m/s^2.
    """
    if world.object_body is not None:
        body = world.object_body
        data.xfrc_applied[body, :3] = 0.0 if acceleration is None else world.model.body_mass[body] * acceleration
