"""A world that is commanded and recorded piece by piece, for policies that see before they act.

`rollout.simulate` executes a command that is known from the beginning; here each piece is known when it begins.
Physics, records and their times are the same: the same targets give the same rollout (a test holds them together).
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import fields, replace

import mujoco
import numpy as np
from jaxtyping import Float

from unihm.simulation.command import leading
from unihm.simulation.constants import SETTLE, TIMESTEP
from unihm.simulation.instability import silent_warnings
from unihm.simulation.records import Records, Rollout
from unihm.simulation.rollout import Disturbance, initial_state, push, step_through
from unihm.simulation.world import World
from unihm.simulation.wrist import wrist_coordinates, wrist_poses

_EVERY = 5  # steps a record: 100 Hz


class Recorder:
    """A world in motion, and what has happened in it so far."""

    def __init__(self, world: World, T_world_palm: Float[np.ndarray, "4 4"], qpos: Float[np.ndarray, " nq"]):
        """Put the hand there and let everything come to rest.

        Args:
            world: The world.
            T_world_palm: Where the hand begins, m.
            qpos: Its independent joints, rad or m.
        """
        self.world = world
        self._wanted = np.concatenate([wrist_coordinates(T_world_palm[None], world.T_world_reference)[0], qpos])
        self.data = initial_state(world, self._wanted)
        mujoco.mj_fwdPosition(world.model, self.data)
        records = Records(world, _EVERY * TIMESTEP)
        records.start(self.data)
        self._rollout, self._count = records.rollout(), 0  # how everything was put, until something has happened
        waiting = np.repeat(leading(self._wanted[None], world), _EVERY, axis=0)
        with silent_warnings():
            for _ in range(round(SETTLE / TIMESTEP / _EVERY)):
                if problem := step_through(world, self.data, waiting):
                    self._rollout = replace(self._rollout, failure=f"unstable while settling: {problem}")
                    break

    def advance(
        self,
        T_world_palm: Float[np.ndarray, "4 4"],
        qpos: Float[np.ndarray, " nq"],
        seconds: float,
        disturbance: Disturbance | None = None,
    ) -> None:
        """Move the hand's targets evenly to new ones, fingers no faster than the URDF allows.

        Args:
            T_world_palm: Where the palm shall be at the end, m.
            qpos: Where the independent joints shall be, rad or m.
            seconds: How long it takes, a multiple of 10 ms.
            disturbance: See `rollout.simulate`.
        """
        if self._rollout.failure:
            return
        world, failure = self.world, ""
        steps = round(seconds / (_EVERY * TIMESTEP)) * _EVERY
        end = np.concatenate([wrist_coordinates(T_world_palm[None], world.T_world_reference)[0], qpos])
        # Each hinge's angle is the one that continues the last; the coordinates themselves jump at half a turn.
        end[3:6] += 2 * np.pi * np.round((self._wanted[3:6] - end[3:6]) / (2 * np.pi))
        most = world.hand.chain.velocity * steps * TIMESTEP
        end[6:] = self._wanted[6:] + np.clip(end[6:] - self._wanted[6:], -most, most)
        share = np.arange(steps + 1)[:, None] / steps
        control = leading(self._wanted + share * (end - self._wanted), world)[:-1]
        self._wanted = end
        records = Records(world, _EVERY * TIMESTEP)
        records.start(self.data)
        with silent_warnings():
            for first in range(0, steps, _EVERY):
                t = (self._count + len(records)) * _EVERY * TIMESTEP
                push(world, self.data, None if disturbance is None else disturbance(t))
                block = control[first : first + _EVERY]
                if problem := step_through(world, self.data, block, records=records):
                    records.drop_last()
                    failure = f"unstable at t = {t:.2f} s: {problem}"
                    break
        if len(records):
            piece = records.rollout()
            self._rollout = _joined(self._rollout, piece) if self._count else _begun(self._rollout, piece)
            self._count += len(records)
        self._rollout = replace(self._rollout, failure=failure)

    def __len__(self) -> int:
        return self._count

    def rollout(self) -> Rollout:
        """What has happened so far; the last record is 10 ms old. Before the first step, how everything was put."""
        return self._rollout

    @property
    def T_world_palm(self) -> Float[np.ndarray, "4 4"]:
        """Where the palm is now, m."""
        return wrist_poses(self.data.qpos[None, self.world.wrist_qpos], self.world.T_world_reference)[0]

    @property
    def qpos(self) -> Float[np.ndarray, " nq"]:
        """Where the independent joints are now, rad or m."""
        return self.data.qpos[self.world.finger_qpos]

    @property
    def object_pose(self) -> Float[np.ndarray, " 7"] | None:
        """Where the object is now: xyz, m, and quaternion wxyz."""
        address = self.world.object_qpos
        return None if address is None else self.data.qpos[address : address + 7].copy()

    @property
    def fixture(self) -> float | None:
        """Where the fixture's joint is now, m or rad."""
        address = self.world.fixture_qpos
        return None if address is None else float(self.data.qpos[address])


def _begun(start: Rollout, piece: Rollout) -> Rollout:
    """The first piece, with how deep the hand began in something."""
    return replace(piece, start_depth=start.start_depth)


def _joined(so_far: Rollout, piece: Rollout) -> Rollout:
    """One rollout after another: contacts of earlier pieces need not be worked out again with every piece."""
    piece = replace(piece, times=piece.times + len(so_far.times) * _EVERY * TIMESTEP)
    both = {field.name: (getattr(so_far, field.name), getattr(piece, field.name)) for field in fields(Rollout)}
    joined = {name: np.concatenate(pair) for name, pair in both.items() if isinstance(pair[0], np.ndarray)}
    return replace(so_far, **joined)
