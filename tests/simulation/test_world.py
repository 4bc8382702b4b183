"""The physical scene against mechanics: falling, friction, forces that are capped, a table that holds."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from simulation_builders import EDGE, EFFORT, box, gripper, moving, placed, still

from unihm.hands.description import describe_hand
from unihm.simulation import constants as c
from unihm.simulation.command import controls
from unihm.simulation.fixtures import Drawer
from unihm.simulation.rollout import initial_state, simulate
from unihm.simulation.world import TABLE, build_world

HIGH = 0.5  # m
GAP = EDGE / 2 - 0.0001  # m: half the gap between pads that hold the box, a tenth of a millimetre in it


def test_a_free_object_falls_as_galilei_says(tmp_path: Path):
    hand = gripper(tmp_path)
    world = build_world(hand, placed(x=-0.5, z=HIGH), object=box(), T_world_object=placed(z=HIGH))
    rollout = simulate(world, still(placed(x=-0.5, z=HIGH), np.zeros(2)), seconds=0.25, settle=0.0)
    assert rollout.T_world_object is not None
    t, z = rollout.times, rollout.T_world_object[:, 2, 3]
    # The integrator's own closed form: velocity first, then position.
    assert z == pytest.approx(HIGH - c.GRAVITY * t * (t + c.TIMESTEP) / 2, abs=1e-9)
    assert z == pytest.approx(HIGH - c.GRAVITY * t**2 / 2, abs=c.GRAVITY * c.TIMESTEP * 0.25)
    assert not rollout.on_table.any()
    assert not rollout.touching.any()


def test_a_box_rests_on_the_table_at_its_height(tmp_path: Path):
    hand = gripper(tmp_path)
    T = placed(x=-0.5, z=HIGH)
    world = build_world(
        hand, T, object=box(), T_world_object=placed(z=0.012 + EDGE / 2), table_height=0.012, friction=0.5
    )
    rollout = simulate(world, still(T, np.zeros(2)), seconds=0.2)
    assert rollout.T_world_object is not None
    assert rollout.T_world_object[-1, 2, 3] == pytest.approx(0.012 + EDGE / 2, abs=5e-4)
    assert rollout.on_table.all()
    assert (world.model.geom_friction[:, 0] == 0.5).all()  # of every pair, whoever added the geom


@pytest.mark.parametrize(("share", "holds"), [(0.88, False), (1.12, True)])
def test_friction_holds_what_it_can_and_no_more(tmp_path: Path, share: float, holds: bool):
    """Two pads of `EFFORT` N each carry at most 2 mu N."""
    hand = gripper(tmp_path)
    mass = 0.35
    friction = share * mass * c.GRAVITY / (2 * EFFORT)
    T, q = placed(z=HIGH), np.full(2, 0.05 - GAP)
    world = build_world(hand, T, object=box(mass), T_world_object=placed(x=0.01, z=HIGH), friction=friction)
    rollout = simulate(world, moving([0.0, 0.01], [T, T], [q, np.full(2, 0.05)]), seconds=1.0, settle=0.0)
    assert rollout.T_world_object is not None
    # 12 per cent too little lets it fall with 12 per cent of g: half a metre in a second.
    fallen = HIGH - rollout.T_world_object[:, 2, 3]
    if holds:
        assert fallen.max() < 3e-3
        assert rollout.force[20:] == pytest.approx(2 * EFFORT, rel=0.02)
        assert rollout.opposing[5:].all()
        assert rollout.touching[5:].all(axis=0).tolist() == [False, True, True]  # base, thumb, index
        assert 0 < rollout.depth.max() < 1e-3
    else:
        assert fallen[-1] > 0.03


def test_a_grip_of_coupled_fingers_has_the_drivers_effort_in_all(tmp_path: Path):
    """Half on each side: by virtual work, one effort moves both fingers."""
    hand = gripper(tmp_path, coupled=True)
    T = placed(z=HIGH)
    world = build_world(hand, T, object=box(0.1), T_world_object=placed(x=0.01, z=HIGH))
    rollout = simulate(
        world, moving([0.0, 0.01], [T, T], [np.full(1, 0.05 - GAP), np.full(1, 0.05)]), seconds=0.5, settle=0.0
    )
    assert rollout.force[-10:] == pytest.approx(EFFORT, rel=0.02)


def _table_force(world, command, seconds: float) -> tuple[float, float]:
    """Mean force between table and hand in the last tenth of a second, N, and how deep the hand got, m."""
    model, control = world.model, controls(command, world, seconds)
    data = initial_state(world, np.concatenate([np.zeros(6), command.qpos[0]]))
    total, deepest, row = [], 0.0, np.zeros(6)
    for i, values in enumerate(control):
        data.ctrl[:] = values
        mujoco.mj_step(model, data)
        force = 0.0
        for j in range(data.ncon):
            if world.table_geom in data.contact.geom[j]:
                mujoco.mj_contactForce(model, data, j, row)
                force += row[0]
                deepest = max(deepest, -data.contact.dist[j])
        if i >= len(control) - 50:
            total.append(force)
    return float(np.mean(total)), deepest


@pytest.mark.parametrize("name", ["shadow", "panda"])
def test_the_wrist_pushes_with_its_cap_and_not_through_the_table(name: str):
    hand = describe_hand(name)
    T = placed(z=0.12)
    T[:3, :3] = [[1, 0, 0], [0, -1, 0], [0, 0, -1]]  # the palm down
    down = T.copy()
    down[2, 3] = -0.2
    world = build_world(hand, T)
    force, deepest = _table_force(world, moving([0.0, 0.5], [T, down], [hand.rest_qpos, hand.rest_qpos]), 1.5)
    assert force == pytest.approx(c.WRIST_CAP[0], rel=0.05)
    assert deepest < 5e-3


def test_whose_geom_is_whose(tmp_path: Path):
    hand = gripper(tmp_path)
    drawer = Drawer(T_world_fixture=placed(x=0.4))
    world = build_world(hand, placed(z=HIGH), object=box(), T_world_object=placed(z=0.02), fixture=drawer)
    names = [world.model.geom(i).name for i in range(world.model.ngeom)]
    assert names[world.table_geom] == TABLE
    assert [names[i] for i in np.flatnonzero(world.geom_object)] == ["box/0"]
    assert [hand.link_names[i] for i in world.geom_link[world.geom_link >= 0]] == ["base", "thumb", "index"]
    assert all(names[i].startswith("fixture") for i in np.flatnonzero(world.geom_fixture))
    groups = world.geom_object.astype(int) + world.geom_fixture + (world.geom_link >= 0)
    assert groups.sum() == world.model.ngeom - 1  # all but the table
    assert groups.max() == 1
    assert world.model.body(world.object_body).name == "box"
    assert world.model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    rollout = simulate(world, still(placed(z=HIGH), np.zeros(2)), seconds=0.1)
    assert rollout.fixture is not None
    assert np.abs(rollout.fixture).max() < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"object": None}, "object and T_world_object go together"),
        ({"T_world_object": None}, "object and T_world_object go together"),
        ({"friction": -0.1}, "friction is -0.1, expected more than 0"),
        ({"T_world_object": np.full((4, 4), np.nan)}, "T_world_object holds NaN"),
    ],
)
def test_wrong_worlds_are_refused(tmp_path: Path, change: dict, message: str):
    options = {"object": box(), "T_world_object": placed(z=0.1), **change}
    with pytest.raises(ValueError, match=message):
        build_world(gripper(tmp_path), np.eye(4), **options)
