"""Rollouts: the same bits twice, pushes, the wait before the start, and what happens when a world blows up."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from simulation_builders import EDGE, box, gripper, moving, placed, still

from unihm.hands.description import describe_hand
from unihm.schema.storage import load_record
from unihm.simulation import constants as c
from unihm.simulation.command import Command, controls, targets
from unihm.simulation.contacts import read_contacts
from unihm.simulation.fixtures import Drawer
from unihm.simulation.instability import KIND, VERSION
from unihm.simulation.rollout import Rollout, initial_state, simulate
from unihm.simulation.world import World, build_world


def _grasp() -> tuple[World, Command]:
    """Shadow closes on a box that stands before its palm, and lifts."""
    hand = describe_hand("shadow")
    T = placed(y=-0.055, z=0.085)
    T[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # fingers along x, palm towards y
    up = T.copy()
    up[2, 3] += 0.05
    closed = np.clip(hand.rest_qpos + 0.8 * (np.abs(hand.rest_qpos) > 0.05), hand.chain.lower, hand.chain.upper)
    thing = box(size=(0.06, 0.06, 0.12))
    world = build_world(hand, T, object=thing, T_world_object=placed(z=0.06))
    return world, moving([0.0, 0.5, 0.7], [T, T, up], [hand.rest_qpos, closed, closed])


def test_the_same_bits_twice():
    world, command = _grasp()
    first, second = (simulate(world, command, seconds=0.8, settle=0.1) for _ in range(2))
    assert first.touching.any()
    for field in fields(Rollout):
        if field.name != "seconds_wall":
            a, b = (getattr(rollout, field.name) for rollout in (first, second))
            assert np.array_equal(a, b), field.name
    other, _ = _grasp()  # built anew, too
    assert np.array_equal(simulate(other, command, seconds=0.8, settle=0.1).configuration, first.configuration)


def test_contacts_against_a_plain_loop():
    """Every tenth record of a grasp, its contacts computed again and looked at one by one."""
    world, command = _grasp()
    rollout = simulate(world, command, seconds=0.8, settle=0.1)
    data, names = mujoco.MjData(world.model), world.hand.link_names
    seen = 0
    for i in range(0, len(rollout.times), 10):
        data.qpos[:] = rollout.configuration[i]
        mujoco.mj_fwdPosition(world.model, data)
        links, normals, depth, on_table = [], [], 0.0, False
        for contact in data.contact:
            geoms = [world.model.geom(g).name for g in contact.geom]
            if "box/0" not in geoms:
                continue
            other = geoms[1 - geoms.index("box/0")]
            if other == "table":
                on_table = True
            else:
                links.append(names.index(other.split("/")[1]))
                normals.append(contact.frame[:3] * (1 if geoms[1] == "box/0" else -1))
                depth = max(depth, -contact.dist)
        assert np.flatnonzero(rollout.touching[i]).tolist() == sorted(set(links))
        assert rollout.opposing[i] == any(
            a @ b < 0 and k != l
            for a, k in zip(normals, links, strict=True)
            for b, l in zip(normals, links, strict=True)
        )
        assert rollout.on_table[i] == on_table
        assert rollout.depth[i] == pytest.approx(depth, abs=1e-12)
        seen += len(set(links)) > 2
    assert seen
    assert rollout.opposing.any()
    assert not rollout.opposing.all()


def test_forces_are_those_of_the_contacts():
    world, command = _grasp()
    data = initial_state(world, targets(command, world, 0.1)[0])
    most, row = 0.0, np.zeros(6)
    for control in controls(command, world, 0.6):
        data.ctrl[:] = control
        mujoco.mj_step(world.model, data)
        expected = 0.0
        for j in range(data.ncon):
            pair = data.contact.geom[j]
            if (world.geom_link[pair] >= 0).any() and world.geom_object[pair].any():
                mujoco.mj_contactForce(world.model, data, j, row)
                expected += row[0]
        assert read_contacts(world, data).force == pytest.approx(expected, abs=1e-9)
        most = max(most, expected)
    assert most > 1.0


def test_records_and_their_times(tmp_path: Path):
    hand = gripper(tmp_path)
    world = build_world(hand, placed(z=0.5), object=box(), T_world_object=placed(z=EDGE / 2 + 0.001))
    rollout = simulate(world, still(placed(z=0.5), np.zeros(2)), seconds=0.205, record_hz=50.0)
    assert rollout.times == pytest.approx(np.arange(12) * 0.02)  # rounded up to a whole record
    assert rollout.T_world_palm.shape == (12, 4, 4)
    assert rollout.touching.shape == (12, len(hand.link_names))
    assert rollout.fixture is None
    assert rollout.on_table.all()  # it fell its millimetre in the settling
    assert not simulate(world, still(placed(z=0.5), np.zeros(2)), seconds=0.02, settle=0.0).on_table[0]
    assert (
        simulate(build_world(hand, placed(z=0.5)), still(placed(z=0.5), np.zeros(2)), seconds=0.1).T_world_object
        is None
    )


def test_a_push_is_an_acceleration(tmp_path: Path):
    hand = gripper(tmp_path)
    T = placed(x=-0.5, z=1.0)
    world = build_world(hand, T, object=box(0.2), T_world_object=placed(z=1.0))
    push = lambda t: np.array([3.0, 0.0, c.GRAVITY]) if t < 0.1 - 1e-9 else None  # noqa: E731
    rollout = simulate(world, still(T, np.zeros(2)), seconds=0.2, settle=0.0, disturbance=push)
    assert rollout.T_world_object is not None
    x, z = rollout.T_world_object[:, 0, 3], rollout.T_world_object[:, 2, 3]
    assert x[10] == pytest.approx(3.0 * 0.1 * (0.1 + c.TIMESTEP) / 2)
    assert x[20] - x[10] == pytest.approx(3.0 * 0.1 * 0.1)  # then it only glides
    assert z[:11] == pytest.approx(1.0)
    assert z[20] < 1.0 - 0.04
    with pytest.raises(ValueError, match="this world has none"):
        simulate(build_world(hand, T), still(T, np.zeros(2)), seconds=0.1, disturbance=push)


def test_depth_at_the_start_is_before_the_settling(tmp_path: Path):
    """An object that is put into the palm by 6 mm."""
    hand = gripper(tmp_path)
    world = build_world(hand, placed(z=0.5), object=box(), T_world_object=placed(x=-0.026, z=0.5))
    rollout = simulate(world, still(placed(z=0.5), np.zeros(2)), seconds=0.1)
    assert rollout.start_depth == pytest.approx(0.006, abs=1e-6)
    assert rollout.depth.max() < 0.001  # it was pushed out and fell


def test_a_fixture_begins_where_it_says_and_counts_at_the_start(tmp_path: Path):
    hand, drawer = gripper(tmp_path), Drawer(T_world_fixture=placed(x=0.3), position0=0.1)
    away = placed(x=-0.5, z=0.6)
    world = build_world(hand, away, fixture=drawer)
    rollout = simulate(world, still(away, np.zeros(2)), seconds=0.1)
    assert rollout.fixture == pytest.approx(0.1, abs=2e-3)
    assert rollout.start_depth == 0.0
    handle = drawer.T_world_handle
    inside = simulate(
        world, still(placed(handle[0, 3] + 0.05, handle[1, 3], handle[2, 3]), np.zeros(2)), seconds=0.02, settle=0.0
    )
    assert inside.start_depth > 0.001
    assert inside.hand_on_fixture[0]


def test_an_unstable_world_ends_the_rollout_and_leaves_its_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    hand = gripper(tmp_path / "hand")
    T = placed(z=0.5)
    world = build_world(hand, T, object=box(), T_world_object=placed(z=0.1))
    world.model.actuator_biasprm[world.finger_actuators, 1] = 2e4  # pushes away from where it should pull to
    world.model.actuator_forcelimited[:] = world.model.jnt_limited[:] = 0
    command = moving([0.0, 0.3, 0.32], [T] * 3, [np.zeros(2), np.zeros(2), np.full(2, 0.03)])
    rollout = simulate(world, command, seconds=1.0, settle=0.1, dump_folder=tmp_path / "dumps", seed=7)
    assert rollout.failure.startswith("unstable at t = 0.3")
    assert 0.25 < rollout.times[-1] < 0.4
    assert np.isfinite(rollout.configuration).all()
    assert rollout.dump is not None
    header, arrays = load_record(rollout.dump, kind=KIND, version=VERSION)
    assert header["seed"] == 7
    assert header["failure"] == rollout.failure
    assert header["joints"] == [world.model.joint(i).name for i in range(world.model.njnt)]
    assert len(arrays["time"]) == c.LAST_STATES
    # The states that were computed again for the dump are those that were recorded, bit for bit.
    begin = np.flatnonzero((rollout.configuration == arrays["qpos"][0]).all(axis=1))
    assert len(begin) == 1
    assert np.array_equal(rollout.configuration[begin[0] :], arrays["qpos"][::5][: len(rollout.times) - begin[0]])
    assert np.abs(arrays["qvel"][0]).max() < 10
    assert not np.abs(arrays["qvel"][-1]).max() < c.FASTEST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dumps", "hand"]  # no log of MuJoCo's
    assert simulate(world, command, seconds=1.0, settle=0.1).dump is None


def test_an_instability_in_the_settling_leaves_the_start(tmp_path: Path):
    hand = gripper(tmp_path)
    T = placed(z=0.5)
    world = build_world(hand, T, object=box(), T_world_object=placed(z=0.1))
    world.model.opt.gravity[2] = -1e7
    rollout = simulate(world, still(T, np.zeros(2)), seconds=0.1)
    assert "unstable at t = -0.5" in rollout.failure
    assert len(rollout.times) == 1
    assert rollout.T_world_object is not None
    assert rollout.T_world_object[0, 2, 3] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record_hz": 0.0}, "record_hz is 0.0"),
        ({"record_hz": 1e4}, "at most 500"),
        ({"settle": -1.0}, "settle -1.0"),
        ({"seconds": 0.0}, "seconds is 0.0"),
    ],
)
def test_wrong_numbers_are_refused(tmp_path: Path, options: dict[str, Any], message: str):
    world = build_world(gripper(tmp_path), np.eye(4))
    with pytest.raises(ValueError, match=message):
        simulate(world, still(np.eye(4), np.zeros(2)), **{"seconds": 0.1, **options})
