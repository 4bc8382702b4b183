"""The contract of a task, the table of tasks, and how a motion is tried at one.

    outcome, rollout = run("grab", motion, object=mug)

builds the world in which the motion's object stands where the motion has it first, sends the motion to the hand's
position controllers, holds its end, and lets the task judge what was recorded. Nothing but the motion acts on the hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import yaw_pose
from unihm.hands.description import HandDescription, describe_hand
from unihm.registry import Registry
from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.command import Command, command_of
from unihm.simulation.fixtures import Fixture
from unihm.simulation.rollout import Hopeless, Rollout, simulate
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.tasks.outcome import REASONS, Outcome
from unihm.simulation.tasks.setting import Setting
from unihm.simulation.world import World, build_world
from unihm.simulation.wrist import reference_pose

_SHOULD, _HAS = 0.06, 0.01  # m that it should have gone, and that it has gone at least
__all__ = ["REASONS", "TASKS", "Outcome", "Task", "Trial", "prepare", "run", "scatter"]


@runtime_checkable
class Task(Protocol):
    """What is asked of one motion. It holds nothing but numbers, and its judge is a pure function."""

    name: ClassVar[str]

    @classmethod
    def of_motion(cls, motion: HandMotion, setting: Setting) -> Task:
        """The task that a motion sets itself.

        Args:
            motion: Its object path says how far and where to.
            setting: What is handled, where, and how strictly it is judged.

        Raises:
            ValueError: Something that the task needs is missing, or the criterion is unknown.
        """
        ...

    @property
    def seconds(self) -> float:
        """Length of the rollout, s."""
        ...

    def disturbance(self, t: float) -> Float[np.ndarray, " 3"] | None:
        """Acceleration (m/s^2, world) that acts on the object at a time, or None."""
        ...

    def judge(self, rollout: Rollout) -> Outcome:
        """What came of it.

        Args:
            rollout: The record, whole or so far.

        Raises:
            ValueError: The record lacks what the task is about.
        """
        ...


TASKS = Registry(
    "Task",
    {
        "grab": "unihm.simulation.tasks.grab:Grab",
        "place": "unihm.simulation.tasks.place:Place",
        "slide": "unihm.simulation.tasks.slide:Slide",
        "pull": "unihm.simulation.tasks.drawer:Pull",
        "push": "unihm.simulation.tasks.drawer:Push",
        "open": "unihm.simulation.tasks.hinge:Open",
        "close": "unihm.simulation.tasks.hinge:Close",
    },
)
"""Name -> class. ``pull`` and ``push`` move a drawer; ``slide`` is the planar pull or push of an object."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One motion at one task, ready to be simulated."""

    task: Task
    """What is asked for."""
    motion: HandMotion
    """The motion as it is sent; moved with the object where it follows it."""
    world: World
    """The world at the beginning."""
    command: Command
    """What the position controllers are sent."""
    T_world_object: Float[np.ndarray, "4 4"] | None
    """Where the object stands at the beginning."""
    fixture: Fixture | None
    """The fixture, where it stands at the beginning."""

    def run(
        self, *, record_hz: float = 100.0, early: bool = False, dump_folder: Path | None = None, seed: int = 0
    ) -> tuple[Outcome, Rollout]:
        """Simulate and judge.

        Args:
            record_hz: Records a second.
            early: Stop when what is handled was left behind: only how near a failure came may then be told otherwise.
            dump_folder: Where the last states before an instability are written.
            seed: Written beside them.
        """
        rollout = simulate(
            self.world,
            self.command,
            seconds=self.task.seconds,
            disturbance=None if self.world.object is None else self.task.disturbance,
            record_hz=record_hz,
            hopeless=self._left_behind() if early else None,
            dump_folder=dump_folder,
            seed=seed,
        )
        return self.task.judge(rollout), rollout

    def _left_behind(self) -> Hopeless | None:
        """Whether object or handle are where they were although they should have gone far, or be high."""
        path, object, fixture = self.motion.T_world_object, self.world.object, self.world.fixture
        if path is None:
            return None
        if object is not None and self.T_world_object is not None:
            start = self.T_world_object[:3, :3] @ object.centre_of_mass + self.T_world_object[:3, 3]
        elif fixture is not None:
            start = fixture.T_world_handle[:3, 3]
        else:
            return None
        moved = path @ np.linalg.inv(path[0])
        planned = moved[:, :3, :3] @ start + moved[:, :3, 3] - start
        distance, height = np.linalg.norm(planned, axis=1), planned[:, 2]
        body, address, model = self.world.object_body, self.world.fixture_qpos, self.world.model

        def hopeless(t: float, data: Any) -> bool:
            frame = min(int(t * self.motion.fps), len(path) - 1)
            if distance[frame] < _SHOULD:
                return False
            if body is not None:
                now = data.xpos[body] + data.xmat[body].reshape(3, 3) @ model.body_ipos[body]
            else:
                assert fixture is not None
                now = fixture.handle_at(data.qpos[address])[:3, 3]
            way = now - start
            return bool(np.linalg.norm(way) < _HAS) or bool(height[frame] > _SHOULD and way[2] < _HAS)

        return hopeless

    def of_other(self, motion: HandMotion) -> Trial:
        """The same trial, world, goal and length included, with another motion of the same hand."""
        return replace(self, motion=motion, command=command_of(motion, self.world.hand))


def prepare(
    task: str,
    motion: HandMotion,
    *,
    object: SolidObject | None = None,
    T_world_object: Float[np.ndarray, "4 4"] | None = None,
    fixture: Fixture | None = None,
    hand: HandDescription | None = None,
    criterion: str = "full",
    noise: float = 0.0,
    follow: bool = False,
    friction: float = constants.FRICTION,
    table_height: float | None = None,
    hand_meshes: Path | None = None,
    seed: int = 0,
) -> Trial:
    """Reset: the world in which a motion is tried at a task.

    Args:
        task: Key of `TASKS`.
        motion: What the hand does.
        object: What stands on the table.
        T_world_object: Where; by default where the motion has its object first. A perceived object has a frame of its
            own: its pose is then given here, and the motion's path is understood as a movement from it.
        fixture: What stands there to be pulled, pushed, opened or closed.
        hand: The hand; by default the one that the motion names.
        criterion: See the task.
        noise: How far object or fixture are displaced from there, as a share of FACTS 5's range (1 means up to 2 cm
            along each axis of the table and up to 10 degrees of yaw, drawn evenly). The displaced world is the world:
            it is what `Trial.world` renders and what is to be perceived.
        follow: Move the motion with the displaced object, as if it had been planned for the pose where the object is.
            Without it a recorded motion meets an object that is not where it was.
        friction: Sliding friction of every pair.
        table_height: m; by default the object's lowest point, or where the fixture stands.
        hand_meshes: Folder with official collision meshes, in place of our primitives.
        seed: Of the displacement.

    Raises:
        ValueError: The task is unknown, or something that it needs is missing or wrong.
    """
    hand = describe_hand(motion.hand) if hand is None else hand
    if noise < 0 or not np.isfinite(noise):
        raise ValueError(f"The noise is a share of ±2 cm and ±10 degrees, expected at least 0, got {noise}.")
    if motion.T_world_object is not None and not np.isfinite(motion.T_world_object).all():
        raise ValueError("The motion's T_world_object holds NaN or infinite values.")
    if object is not None and T_world_object is None:
        if motion.T_world_object is None:
            raise ValueError("The motion has no object path that says where the object stands; give T_world_object.")
        T_world_object = motion.T_world_object[0]
    pivot = np.zeros(3)
    if T_world_object is not None and object is not None:
        pivot = T_world_object[:3, :3] @ object.centre_of_mass + T_world_object[:3, 3]
    elif fixture is not None:
        pivot = fixture.T_world_fixture[:3, 3]
    shift = scatter(noise, seed, pivot)
    if follow:
        moved = {name: getattr(motion, name) for name in ("T_world_palm", "T_world_object")}
        motion = motion.replace(**{name: shift @ T for name, T in moved.items() if T is not None})
    setting = Setting(
        object=object,
        T_world_object=T_world_object if T_world_object is None or not follow else shift @ T_world_object,
        fixture=fixture,
        hand=hand,
        criterion=criterion,
    )
    judge = TASKS[task].of_motion(motion, setting)
    if T_world_object is not None:
        T_world_object = shift @ T_world_object
    if fixture is not None:
        fixture = replace(fixture, T_world_fixture=shift @ fixture.T_world_fixture)
    if table_height is None and object is not None and T_world_object is not None:
        table_height = object.lowest(T_world_object)
    elif table_height is None:
        table_height = 0.0 if fixture is None else float(fixture.T_world_fixture[2, 3])
    command = command_of(motion, hand)
    world = build_world(
        hand,
        reference_pose(command.T_world_palm),
        object=object,
        T_world_object=T_world_object,
        fixture=fixture,
        table_height=table_height,
        friction=friction,
        hand_meshes=hand_meshes,
    )
    return Trial(
        task=judge, motion=motion, world=world, command=command, T_world_object=T_world_object, fixture=fixture
    )


def run(
    task: str,
    motion: HandMotion,
    *,
    record_hz: float = 100.0,
    early: bool = False,
    dump_folder: Path | None = None,
    seed: int = 0,
    **setting,
) -> tuple[Outcome, Rollout]:
    """Try a motion at a task: `prepare`, simulate, judge.

    Args:
        task: Key of `TASKS`.
        motion: What the hand does.
        record_hz: Records a second.
        early: See `Trial.run`.
        dump_folder: Where the last states before an instability are written.
        seed: Of the displacement.
        **setting: As for `prepare`.
    """
    return prepare(task, motion, seed=seed, **setting).run(
        record_hz=record_hz, early=early, dump_folder=dump_folder, seed=seed
    )


def scatter(noise: float, seed: int, pivot: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "4 4"]:
    """A displacement over the table: T such that ``T @ T_world_object`` is the displaced pose.

    Args:
        noise: Share of 2 cm along x and y and of 10 degrees about the vertical.
        seed: The same seed draws the same displacement, whatever the noise's share.
        pivot: Point about which the yaw turns, m.
    """
    x, y, yaw = noise * np.random.default_rng(seed).uniform(-1, 1, 3)
    yaw = np.radians(constants.YAW_NOISE) * yaw
    T = yaw_pose(yaw)
    T[:3, 3] = pivot - T[:3, :3] @ pivot + constants.POSITION_NOISE * np.array([x, y, 0.0])
    return T
