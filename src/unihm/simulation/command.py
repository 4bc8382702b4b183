"""What the hand is told to do, and the actuator values that tell it, computed for all physics steps before the first.

A position actuator with ``force = kp (ctrl - q) - kv dq/dt`` lags a moving target by ``kv / kp`` seconds times its
speed; the control therefore leads the target y by as much, ``ctrl = y + (kv / kp) dy/dt``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import pose_to_vector, vector_to_pose
from unihm.hands.description import HandDescription
from unihm.schema.motion import HandMotion
from unihm.simulation.constants import LIMIT_TOLERANCE, TIMESTEP
from unihm.simulation.world import World
from unihm.simulation.wrist import wrist_coordinates


@dataclass(frozen=True, kw_only=True, eq=False)
class Command:
    """Targets of palm and fingers over time, interpolated between entries; after the last the last is held."""

    times: Float[np.ndarray, " n"]
    """Ascending, s; the first is 0."""
    T_world_palm: Float[np.ndarray, "n 4 4"]
    """Palm poses, m."""
    qpos: Float[np.ndarray, "n nq"]
    """Independent joints, rad or m; the order of the hand's `joint_names`."""

    def __post_init__(self):
        n = len(self.times)
        if n < 1 or len(self.T_world_palm) != n or len(self.qpos) != n:
            raise ValueError(
                f"A command has {n} times, {len(self.T_world_palm)} palm poses and {len(self.qpos)} joint vectors, "
                "expected equally many and at least one."
            )
        for name in ("times", "T_world_palm", "qpos"):
            _finite(getattr(self, name), f"the command's {name}")
        if self.times[0] != 0 or (np.diff(self.times) <= 0).any():
            raise ValueError("A command's times must begin at 0 and ascend.")


def command_of(
    motion: HandMotion, hand: HandDescription, *, T_world_shift: Float[np.ndarray, "4 4"] | None = None
) -> Command:
    """What executes a motion: `qpos_target` where it has one, else `qpos`.

    Args:
        motion: The motion.
        hand: Its hand.
        T_world_shift: Applied to the palm poses from the left, where the motion is to be executed elsewhere.

    Raises:
        ValueError: The motion is empty, belongs to another hand, holds NaN, or leaves the joints' limits.
    """
    if motion.hand != hand.name:
        raise ValueError(f"The motion is of hand '{motion.hand}', expected '{hand.name}'.")
    if set(motion.joint_names) != set(hand.joint_names):
        raise ValueError(
            f"The motion's joints ({', '.join(motion.joint_names)}) are not those of hand '{hand.name}' "
            f"({', '.join(hand.joint_names)})."
        )
    if not len(motion):
        raise ValueError("The motion has no frames.")
    if not (np.isfinite(motion.fps) and motion.fps > 0):
        raise ValueError(f"The motion has {motion.fps} frames per second, expected more than 0.")
    columns = [motion.joint_names.index(name) for name in hand.joint_names]
    name = "qpos" if motion.qpos_target is None else "qpos_target"
    qpos = np.asarray(motion.qpos if motion.qpos_target is None else motion.qpos_target, dtype=np.float64)[:, columns]
    T_world_palm = np.asarray(motion.T_world_palm, dtype=np.float64)
    _finite(qpos, f"the motion's {name}")
    _finite(T_world_palm, "the motion's T_world_palm")
    over = np.maximum(hand.chain.lower - qpos, qpos - hand.chain.upper)
    if over.max() > LIMIT_TOLERANCE:
        t, j = np.unravel_index(int(over.argmax()), over.shape)
        raise ValueError(
            f"The motion's {name} at frame {t} has {hand.joint_names[j]} = {qpos[t, j]:.4f}, outside its limits "
            f"[{hand.chain.lower[j]:.4f}, {hand.chain.upper[j]:.4f}]."
        )
    if T_world_shift is not None:
        T_world_palm = T_world_shift @ T_world_palm
    return Command(
        times=np.arange(len(motion)) / motion.fps,
        T_world_palm=T_world_palm,
        qpos=np.clip(qpos, hand.chain.lower, hand.chain.upper),
    )


def targets(command: Command, world: World, seconds: float) -> Float[np.ndarray, "steps n"]:
    """Where wrist and fingers shall be at each physics step: six coordinates, then the independent joints; m, rad.

    Positions are interpolated linearly, rotations along the shortest arc, fingers no faster than the URDF allows.

    Args:
        command: The command.
        world: The world.
        seconds: Length, s.

    Raises:
        ValueError: The command is of another hand, or turns the palm too near to the wrist's singularity.
    """
    nq = len(world.hand.joint_names)
    if command.qpos.shape[1] != nq:
        raise ValueError(f"The command has {command.qpos.shape[1]} joints, hand '{world.hand.name}' has {nq}.")
    if not (np.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds is {seconds}, expected more than 0.")
    steps = max(1, round(seconds / TIMESTEP))
    after, share = _between(command.times, np.arange(steps) * TIMESTEP)
    poses = _interpolated(command.T_world_palm, after, share)
    fingers = command.qpos[after - 1] + share[:, None] * (command.qpos[after] - command.qpos[after - 1])
    fingers = _limited(fingers, world.hand.chain.velocity * TIMESTEP)
    return np.column_stack([wrist_coordinates(poses, world.T_world_reference), fingers])


def controls(command: Command, world: World, seconds: float) -> Float[np.ndarray, "steps nu"]:
    """The control of every actuator at each physics step, leading the `targets` by what damping makes them lag.

    Args:
        command: The command.
        world: The world.
        seconds: Length, s; beyond the command's last time its last entry is held.

    Raises:
        ValueError: As for `targets`.
    """
    return leading(targets(command, world, seconds), world)


def leading(wanted: Float[np.ndarray, "steps n"], world: World) -> Float[np.ndarray, "steps nu"]:
    """`controls` from `targets`."""
    actuators = np.concatenate([world.wrist_actuators, world.finger_actuators])
    kp, kv = world.model.actuator_gainprm[actuators, 0], -world.model.actuator_biasprm[actuators, 2]
    rate = np.zeros_like(wanted)
    rate[:-1] = np.diff(wanted, axis=0) / TIMESTEP
    control = np.zeros((len(wanted), world.model.nu))
    control[:, actuators] = wanted + kv / kp * rate
    return control


def _finite(values: np.ndarray, what: str) -> None:
    if not np.isfinite(values).all():
        frame = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ValueError(f"{what[0].upper()}{what[1:]} holds NaN or infinite values, first in frame {frame}.")


def _between(times: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry after each wanted time, at least 1 (or 0 of a single one), and how far the time is on the way to it."""
    if len(times) == 1:
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted))
    after = np.clip(np.searchsorted(times, wanted, side="right"), 1, len(times) - 1)
    return after, np.clip((wanted - times[after - 1]) / (times[after] - times[after - 1]), 0.0, 1.0)


def _interpolated(T: np.ndarray, after: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Poses between poses: positions linearly, rotations by spherical interpolation of quaternions."""
    vectors = pose_to_vector(T)
    a, b = vectors[after - 1], vectors[after]
    b[:, 3:] *= np.where((a[:, 3:] * b[:, 3:]).sum(axis=1, keepdims=True) < 0, -1, 1)  # the shorter way
    chord = np.linalg.norm(a[:, 3:] - b[:, 3:], axis=1)
    angle = 2 * np.arcsin(np.clip(chord / 2, 0, 1))
    small = angle < 1e-6  # where the formula is 0 / 0 and the straight line is the arc
    sine = np.sin(np.where(small, 1.0, angle))
    weights = [np.where(small, linear, np.sin(linear * angle) / sine)[:, None] for linear in (1 - share, share)]
    mixed = (1 - share[:, None]) * a + share[:, None] * b
    mixed[:, 3:] = weights[0] * a[:, 3:] + weights[1] * b[:, 3:]
    return vector_to_pose(mixed)


def _limited(wanted: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The same path followed with at most `step` per row: where it runs faster, it is caught up with later."""
    if len(wanted) < 2 or (np.abs(np.diff(wanted, axis=0)) <= step * (1 + 1e-9)).all():
        return wanted
    followed = wanted.copy()
    for i in range(1, len(wanted)):
        followed[i] = followed[i - 1] + np.clip(wanted[i] - followed[i - 1], -step, step)
    return followed
