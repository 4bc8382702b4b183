"""Commands: what is refused, how they are interpolated, and the wrist's six coordinates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp
from simulation_builders import SPEED, gripper, moving, placed, still

from unihm.hands.description import describe_hand
from unihm.schema.motion import HandMotion
from unihm.simulation import constants as c
from unihm.simulation.command import Command, command_of, controls, targets
from unihm.simulation.rollout import simulate
from unihm.simulation.world import build_world
from unihm.simulation.wrist import reference_pose, wrist_coordinates, wrist_poses


def _path(seed: int, count: int, spread: float) -> np.ndarray:
    """Random poses about a random one, `spread` rad apart at most."""
    rng = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (count, 1, 1))
    base = Rotation.from_quat(rng.normal(size=4))
    T[:, :3, :3] = (base * Rotation.from_rotvec(spread * rng.uniform(-1, 1, (count, 3)))).as_matrix()
    T[:, :3, 3] = rng.uniform(-1, 1, (count, 3))
    return T


def _motion(description, frames: int = 4, /, **changes) -> HandMotion:
    fields = {
        "hand": description.name,
        "fps": 10.0,
        "joint_names": description.joint_names,
        "qpos": np.tile(description.rest_qpos, (frames, 1)),
        "T_world_palm": np.tile(placed(z=0.3), (frames, 1, 1)),
    }
    return HandMotion(**(fields | changes))


def test_wrist_coordinates_there_and_back():
    reference = _path(5, 1, 0.0)[0]
    T = reference @ np.tile(np.eye(4), (200, 1, 1))
    rng = np.random.default_rng(0)
    angles = np.column_stack([rng.uniform(-3, 3, 200), rng.uniform(-1.45, 1.45, 200), rng.uniform(-3, 3, 200)])
    T[:, :3, :3] = reference[:3, :3] @ Rotation.from_euler("XYZ", angles).as_matrix()  # intrinsic, as hinges turn
    T[:, :3, 3] = rng.uniform(-1, 1, (200, 3))
    coordinates = wrist_coordinates(T, reference)
    assert np.abs(wrist_poses(coordinates, reference) - T).max() < 1e-12
    assert np.abs((coordinates[:, 3:] - angles + np.pi) % (2 * np.pi) - np.pi).max() < 1e-9
    turning = np.tile(np.eye(4), (100, 1, 1))
    turning[:, :3, :3] = Rotation.from_euler("Z", np.linspace(0, 4 * np.pi, 100)[:, None]).as_matrix()
    assert wrist_coordinates(turning, np.eye(4))[-1, 5] == pytest.approx(4 * np.pi)  # without a jump


@pytest.mark.parametrize("seed", range(6))
def test_a_reference_that_keeps_away_from_the_singularity(seed: int):
    T = _path(seed, 60, 1.2)
    reference = reference_pose(T)
    assert reference[:3, :3] @ reference[:3, :3].T == pytest.approx(np.eye(3), abs=1e-12)
    worst = np.abs(T[:, :3, 2] @ reference[:3, 0]).max()  # the sine of the middle angle
    assert np.abs(np.sin(wrist_coordinates(T, reference)[:, 4])).max() == pytest.approx(worst)
    # No axis among many is better.
    axes = np.random.default_rng(0).normal(size=(20000, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    best = np.abs(axes @ T[:, :3, 2].T).max(axis=1).min()
    assert np.degrees(np.arcsin(worst)) < np.degrees(np.arcsin(best)) + 1e-3


def test_a_full_turn_of_the_palm_has_a_reference():
    """About any one axis: the reference's x axis can stand perpendicular to all palm normals."""
    T = np.tile(np.eye(4), (50, 1, 1))
    T[:, :3, :3] = Rotation.from_euler("X", np.linspace(0, 2 * np.pi, 50)[:, None]).as_matrix()
    assert np.abs(wrist_coordinates(T, reference_pose(T))[:, 4]).max() < 1e-6


def test_a_motion_too_near_the_singularity_is_refused(tmp_path: Path):
    world = build_world(gripper(tmp_path), np.eye(4))
    T = placed()
    T[:3, :3] = Rotation.from_euler("Y", 86, degrees=True).as_matrix()
    with pytest.raises(ValueError, match=r"turns 86\.0 degrees about the wrist's middle hinge, expected at most 85"):
        controls(still(T, np.zeros(2)), world, 0.1)


def test_interpolation_against_scipy(tmp_path: Path):
    world = build_world(gripper(tmp_path), (path := _path(3, 5, 0.4))[0])
    times = np.array([0.0, 0.1, 0.25, 0.3, 0.5])
    command = Command(times=times, T_world_palm=path, qpos=np.linspace(0, 0.02, 5)[:, None] * [1.0, 0.5])
    wanted = targets(command, world, 0.7)
    t = np.minimum(np.arange(350) * c.TIMESTEP, 0.5)
    T = wrist_poses(wanted[:, :6], world.T_world_reference)
    assert T[:, :3, :3] == pytest.approx(Slerp(times, Rotation.from_matrix(path[:, :3, :3]))(t).as_matrix(), abs=1e-9)
    for axis in range(3):
        assert T[:, axis, 3] == pytest.approx(np.interp(t, times, path[:, axis, 3]), abs=1e-12)
    assert wanted[:, 6] == pytest.approx(np.interp(t, times, command.qpos[:, 0]), abs=1e-12)


def test_fingers_are_told_to_move_no_faster_than_they_can(tmp_path: Path):
    hand = gripper(tmp_path)
    world = build_world(hand, np.eye(4))
    jump = moving([0.0, 0.01], [np.eye(4)] * 2, [np.zeros(2), np.array([0.05, 0.001])])
    wanted = targets(jump, world, 0.3)
    speed = np.diff(wanted[:, 6:], axis=0) / c.TIMESTEP
    assert speed.max() == pytest.approx(SPEED)
    assert wanted[-1, 6:] == pytest.approx([0.05, 0.001])  # it arrives, later
    assert np.flatnonzero(wanted[:, 6] >= 0.05 - 1e-12)[0] == round(0.05 / SPEED / c.TIMESTEP)
    assert wanted[5, 7] == pytest.approx(0.001)  # the slower one is not held up


def test_controls_lead_by_what_damping_costs(tmp_path: Path):
    """At a constant speed, the wrist follows its target without lag; without the lead it lags by kv / kp."""
    hand = gripper(tmp_path)
    world = build_world(hand, placed(z=0.5))
    ends = [placed(z=0.5), placed(x=0.3, z=0.5)]
    command = moving([0.0, 1.0], ends, [np.zeros(2)] * 2)  # 0.3 m/s
    lead = controls(command, world, 1.0)[:, world.wrist_actuators[0]] - targets(command, world, 1.0)[:, 0]
    assert lead[100] == pytest.approx(0.3 * c.WRIST_KV[0] / c.WRIST_KP[0])
    rollout = simulate(world, command, seconds=1.0, settle=0.0)
    late = 0.3 * rollout.times - rollout.T_world_palm[:, 0, 3]
    assert np.abs(late[60:-1]).max() < 1e-3
    assert controls(command, world, 1.2).shape == (600, world.model.nu)


def test_motion_to_command(tmp_path: Path):
    hand = gripper(tmp_path)
    motion = _motion(hand, qpos_target=np.tile([0.03, 0.02], (4, 1)), joint_names=hand.joint_names[::-1])
    command = command_of(motion, hand, T_world_shift=placed(x=0.1))
    assert command.times == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert command.qpos[0].tolist() == [0.02, 0.03]  # by name, and what is commanded, not what is drawn
    assert command.T_world_palm[0, :3, 3] == pytest.approx([0.1, 0.0, 0.3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hand": "shadow"}, "is of hand 'shadow', expected 'gripper'"),
        ({"joint_names": ("a", "b")}, r"joints \(a, b\) are not those of hand 'gripper'"),
        (
            {"qpos": np.array([[0.0, 0.0], [0.0, np.nan]])},
            "motion's qpos holds NaN or infinite values, first in frame 1",
        ),
        ({"T_world_palm": np.full((2, 4, 4), np.inf)}, "motion's T_world_palm holds NaN or infinite values"),
        (
            {"qpos_target": np.array([[0.0, 0.0], [0.0, 0.06]])},
            r"qpos_target at frame 1 has index_slide = 0\.0600, outside its limits \[0\.0000, 0\.0500\]",
        ),
        ({"fps": 0.0}, "has 0.0 frames per second"),
        ({"qpos": np.zeros((0, 2)), "T_world_palm": np.zeros((0, 4, 4))}, "has no frames"),
    ],
)
def test_motions_that_cannot_be_executed_are_refused(tmp_path: Path, changes: dict, message: str):
    hand = gripper(tmp_path)
    with pytest.raises(ValueError, match=message):
        command_of(_motion(hand, 2, **changes), hand)


def test_a_command_of_another_hand_is_refused(tmp_path: Path):
    world = build_world(gripper(tmp_path), np.eye(4))
    with pytest.raises(ValueError, match="The command has 16 joints, hand 'gripper' has 2"):
        simulate(world, still(np.eye(4), describe_hand("allegro").rest_qpos), seconds=0.1)
    with pytest.raises(ValueError, match="times must begin at 0 and ascend"):
        moving([0.1, 0.1], [np.eye(4)] * 2, [np.zeros(2)] * 2)
    with pytest.raises(ValueError, match="seconds is nan"):
        simulate(world, still(np.eye(4), np.zeros(2)), seconds=float("nan"))
