"""Furniture on the table with one part that a task moves, and the camera that looks at its front.

The world is that of recorded episodes: z up, the table at 0, the camera over the origin, x ahead of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import yaw_pose
from unihm.planning.goals import task_path
from unihm.planning.pace import Pace
from unihm.scenes.camera_view import look_at
from unihm.scenes.furniture import CabinetDoor, ChestDrawer, Furniture, draw_furniture, handle_surface, joint_of
from unihm.schema.plan import Plan
from unihm.simulation.constants import DRAWER_OPEN, DRAWER_TRAVEL, HINGE_OPEN
from unihm.simulation.fixture import Fixture
from unihm.simulation.fixtures import FIXTURES

_CLASSES = {kind.__name__: kind for kind in (*FIXTURES.values(), ChestDrawer, CabinetDoor)}
_POINTS = 1024  # of a handle's cloud, as of recorded objects
_TRIES = 1000
_SHUT = 0.6  # share of the parts to be opened that are shut at first
_PULLED = (DRAWER_OPEN * DRAWER_TRAVEL + 0.015, 0.2)  # m, where a drawer ends: from beyond what the task asks for
_OPENED = (np.radians(HINGE_OPEN + 8), np.radians(95))  # rad, where a door or a lid ends
_AJAR = {"drawer": 0.06, "door": np.radians(30), "lid": 0.0}  # m, rad, largest start of what is to be opened
_STARTS = {"drawer": (0.05, 0.2), "door": (np.radians(30), np.radians(95)), "lid": (np.radians(83), np.radians(87))}
"""m, rad, starts of what is to be shut: the friction of its hinge holds a lid about upright only."""
_AT_STOP = 0.4  # share of lids to be shut that lean on their stop
_YAW, _ASIDE = np.radians(35), 0.1  # of the front from the camera; m of the handle from the middle of the image
_DISTANCE, _ELEVATION, _ROLL = (0.65, 1.1), (np.radians(20), np.radians(55)), np.radians(3)


@dataclass(frozen=True, kw_only=True, eq=False)
class HandleWorld:
    """What a task about a handle is about."""

    task: str
    """``pull``, ``push``, ``open`` or ``close``."""
    furniture: Furniture
    """Where it stands."""
    index: int
    """Of the part that is moved among those of the furniture."""
    end: float
    """Where its joint shall be in the end, m or rad."""
    T_world_camera: Float[np.ndarray, "4 4"]
    """Of the camera, OpenCV axes."""

    @property
    def part(self) -> Fixture:
        """What is moved, as it stands at first; of a chest's drawers it has the chest, for the others stand still."""
        part = self.furniture.parts[self.index]
        return replace(part, alone=True) if isinstance(part, ChestDrawer) else part

    def position_of(self, T_world_handle: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, " T"]:
        """Positions of the joint, m or rad, at which the handle is nearest to some poses."""
        joint, T0 = joint_of(self.part), self.part.T_world_handle
        if joint.kind == "slide":
            return joint.position + (T_world_handle[:, :3, 3] - T0[:3, 3]) @ joint.axis_world
        arm, radius = (T[..., :3, 3] - joint.origin_world for T in (T_world_handle, T0))
        across = np.cross(joint.axis_world, radius)
        return joint.position + np.arctan2(arm @ across, arm @ np.cross(across, joint.axis_world))


def draw_world(kind: str, task: str, rng: np.random.Generator) -> HandleWorld:
    """A piece of furniture with one part open as far as the task needs it, the others shut, and a camera before it.

    Args:
        kind: ``drawer``, ``door`` or ``lid``.
        task: One that moves it.
        rng: Draws everything.
    """
    for _ in range(_TRIES):
        furniture = draw_furniture(rng)
        fitting = [k for k, part in enumerate(furniture.parts) if part.kind == kind]
        if not fitting:
            continue
        index = int(rng.choice(fitting))
        part = furniture.parts[index]
        if task in ("push", "close"):
            start, end = rng.uniform(_STARTS[kind][0], min(_STARTS[kind][1], part.upper)), 0.0
            start = part.upper if kind == "lid" and rng.random() < _AT_STOP else start
        else:
            low, high = _PULLED if task == "pull" else _OPENED
            if part.upper <= low:
                continue
            end = rng.uniform(low, min(high, part.upper))
            start = 0.0 if rng.random() < _SHUT else rng.uniform(0, _AJAR[kind])
        parts = [replace(one, position0=start if k == index else 0.0) for k, one in enumerate(furniture.parts)]
        furniture = replace(furniture, parts=tuple(parts)).standing_at(yaw_pose(np.pi + rng.uniform(-_YAW, _YAW)))
        away, rise = rng.uniform(*_DISTANCE), rng.uniform(*_ELEVATION)
        handle = furniture.parts[index].T_world_handle[:3, 3]
        shift = np.array([away * np.cos(rise), rng.uniform(-_ASIDE, _ASIDE)]) - handle[:2]
        T_world_fixture = furniture.parts[index].T_world_fixture.copy()
        T_world_fixture[:2, 3] += shift
        eye = np.array([0.0, 0.0, handle[2] + away * np.sin(rise)])
        target = np.array([away * np.cos(rise), 0.0, handle[2]])
        return HandleWorld(
            task=task,
            furniture=furniture.standing_at(T_world_fixture),
            index=index,
            end=float(end),
            T_world_camera=look_at(eye, target, rng.uniform(-_ROLL, _ROLL)),
        )
    raise ValueError(f"No furniture has a {kind} to {task}.")


def fixture_text(part: Fixture) -> str:
    """All that a part is, as JSON: what is drawn again in a later version might be another one."""
    values = {field.name: getattr(part, field.name) for field in fields(part)}
    values["T_world_fixture"] = part.T_world_fixture.tolist()
    return json.dumps({"class": type(part).__name__, **values})


def fixture_of(text: str) -> Fixture:
    """The part that `fixture_text` wrote down, to the last digit."""
    values: dict[str, Any] = {name: _tuples(value) for name, value in json.loads(text).items()}
    T_world_fixture = np.array(values.pop("T_world_fixture"))
    return _CLASSES[values.pop("class")](T_world_fixture=T_world_fixture, **values)


def _tuples(value: Any) -> Any:
    """JSON has lists only."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def plan_of(world: HandleWorld, pace: Pace, rng: np.random.Generator) -> Plan:
    """The true handle's cloud, its path and its panel, as `planning.grounded` states what it sees of them.

    Args:
        world: What is moved, and how far.
        pace: Of the path.
        rng: Draws the cloud.
    """
    part, joint = world.part, joint_of(world.part)
    T = part.T_world_handle
    surface, normals = handle_surface(part, _POINTS, rng)
    points = surface @ T[:3, :3].T + T[:3, 3]
    # Of a drawer m from where it is, of a hinge its end; shutting needs no number.
    amount = {"pull": world.end - part.position0, "open": world.end}.get(world.task)
    path, rest = task_path(world.task, T, points, (joint, amount), np.zeros((0, 3)), pace)
    T_world_object = np.eye(4)
    T_world_object[:3, 3] = centre = (points.min(axis=0) + points.max(axis=0)) / 2
    outward = T[:3, 0]
    return Plan(
        instruction="",
        task=world.task,
        fps=pace.fps,
        T_world_object=path @ np.linalg.inv(T) @ T_world_object,
        object_points=points - centre,
        object_normals=normals @ T[:3, :3].T,
        rest_frames=rest,
        T_world_camera=world.T_world_camera,
        panel_object=np.append(outward, (T[:3, 3] - centre) @ outward - part.handle_distance),
    )
