"""Motions written by hand from a hand's kinematics: a gripper from above, and a hook on a handle."""

from __future__ import annotations

import numpy as np

from unihm.hands.description import HandDescription, describe_hand
from unihm.schema.motion import HandMotion
from unihm.simulation.fixtures import Fixture

FPS = 30.0
BOX = 0.05  # m, edge
OPEN, TOUCH, SQUEEZE = 0.04, 0.025, 0.015  # m, of the gripper's joint; the box's half is 25 mm
TOOL = 0.1034  # m from the gripper's frame to between its pads, along its z
# Gripper upright, fingers down: its z is the world's -z, its pads close along the world's y.
DOWN = np.diag([1.0, -1.0, -1.0])


def smooth(times: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 before start, 1 after end, between them with zero speed and acceleration at both."""
    s = np.clip((times - start) / (end - start), 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


def gripper_poses(hand: HandDescription, tools: np.ndarray, R: np.ndarray = DOWN) -> np.ndarray:
    """T_world_palm (n, 4, 4) that bring the place between the pads to given points (n, 3), at one orientation."""
    T = np.tile(np.eye(4), (len(tools), 1, 1))
    T[:, :3, :3] = R
    T[:, :3, 3] = tools - TOOL * R[:, 2]
    return T @ hand.T_root_palm


def box_grab(*, lift=0.15, squeeze=SQUEEZE, aside=0.0, carry=0.0, release=False, low=0.0) -> HandMotion:
    """Down on a 5 cm box at the origin, close, lift, and (if asked for) carry along x, put down and let go."""
    hand = describe_hand("panda")
    times = np.arange(round((4.0 if release else 2.4) * FPS) + 1) / FPS
    above = 0.1 * (1 - smooth(times, 0.2, 0.8)) + low
    up = lift * (smooth(times, 1.3, 2.1) - (smooth(times, 2.5, 3.1) if release else 0.0))
    over = carry * smooth(times, 1.9, 2.6)
    away = 0.12 * smooth(times, 3.4, 3.9) if release else 0.0
    tools = np.stack([over, aside + 0 * times, 0.03 + above + up + away], axis=1)
    closing = smooth(times, 0.8, 1.1) - (smooth(times, 3.1, 3.4) if release else 0.0)
    T_world_object = np.tile(np.eye(4), (len(times), 1, 1))
    T_world_object[:, :3, 3] = np.stack([over, 0 * times, BOX / 2 + up], axis=1)
    return HandMotion(
        hand="panda",
        fps=FPS,
        joint_names=hand.joint_names,
        qpos=(OPEN + (TOUCH - OPEN) * closing)[:, None],
        qpos_target=(OPEN + (squeeze - OPEN) * closing)[:, None],
        T_world_palm=gripper_poses(hand, tools),
        T_world_object=T_world_object,
        object_points=_box_points(),
        source="scripted",
    )


def _box_points(count: int = 9) -> np.ndarray:
    line = np.linspace(-BOX / 2, BOX / 2, count)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[(np.abs(grid) > BOX / 2 - 1e-9).any(axis=1)]


# Gripper in the handle's frame (x away from the panel, y along the bar): fingers to the panel, pads above and below.
ON_HANDLE = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def handle_motion(fixture: Fixture, end: float, *, grip=True, aside=0.0) -> HandMotion:
    """Reach for the handle from 8 cm away, close around the bar, and go with it to a joint position (m or rad)."""
    hand = describe_hand("panda")
    times = np.arange(round(3.0 * FPS) + 1) / FPS
    position = fixture.position0 + (end - fixture.position0) * smooth(times, 1.2, 2.8)
    T_handle_gripper = np.tile(np.eye(4), (len(times), 1, 1))
    T_handle_gripper[:, :3, :3] = ON_HANDLE
    T_handle_gripper[:, :3, 3] = [TOOL, aside, 0.0]
    T_handle_gripper[:, 0, 3] += 0.08 * (1 - smooth(times, 0.1, 0.7))
    closing = smooth(times, 0.7, 1.1) if grip else 0.0 * times
    return HandMotion(
        hand="panda",
        fps=FPS,
        joint_names=hand.joint_names,
        qpos=(OPEN + (fixture.handle_radius - OPEN) * closing)[:, None],
        qpos_target=(OPEN - OPEN * closing)[:, None],
        T_world_palm=fixture.handle_at(position) @ T_handle_gripper @ hand.T_root_palm,
        source="scripted",
    )


def box_push(*, way=0.12, aside=0.0, commanded=None) -> HandMotion:
    """A closed gripper from above pushes the box along x; the box path goes as far as `commanded`."""
    hand = describe_hand("panda")
    times = np.arange(round(2.5 * FPS) + 1) / FPS
    gone = smooth(times, 1.0, 2.2)
    start = -BOX / 2 - 0.011 - 0.005  # half a finger and 5 mm before the box
    x = start - 0.04 * (1 - smooth(times, 0.1, 0.9)) + (way + 0.005) * gone
    T_world_object = np.tile(np.eye(4), (len(times), 1, 1))
    T_world_object[:, :3, 3] = np.stack([(commanded or way) * gone, 0 * times, BOX / 2 + 0 * times], axis=1)
    return HandMotion(
        hand="panda",
        fps=FPS,
        joint_names=hand.joint_names,
        qpos=np.zeros((len(times), 1)),
        T_world_palm=gripper_poses(hand, np.stack([x, aside + 0 * times, 0.03 + 0 * times], axis=1)),
        T_world_object=T_world_object,
        object_points=_box_points(),
        source="scripted",
    )
