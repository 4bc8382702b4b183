"""Drawer, door and lid in MuJoCo: limits, friction, and the way of the handle."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.simulation.fixtures import FIXTURES, Door, Drawer, Fixture, Lid, add_fixture


def placed(kind: str, **options) -> Fixture:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", 0.6).as_matrix()
    T[:3, 3] = [0.3, -0.1, 0.02]
    return FIXTURES[kind](name=kind, T_world_fixture=T, **options)


def model_of(fixture: Fixture):
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.002
    spec.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 0.1], pos=[0, 0, 0.02])
    name = add_fixture(spec, fixture)
    model = spec.compile()
    return model, mujoco.MjData(model), name


def pull(model, data, fixture: Fixture, force: float, seconds: float) -> float:
    """Pull at the handle along its x axis for a while; where the joint is then."""
    body = model.body(f"{fixture.name}/moving").id
    for _ in range(round(seconds / model.opt.timestep / 10)):
        T = fixture.handle_at(np.array(data.qpos[0]))
        data.qfrc_applied[:] = 0
        mujoco.mj_applyFT(model, data, force * T[:3, 0], np.zeros(3), T[:3, 3], body, data.qfrc_applied)
        mujoco.mj_step(model, data, 10)
    return float(data.qpos[0])


@pytest.mark.parametrize("kind", sorted(FIXTURES))
def test_shut_is_zero_and_the_range_is_its_own(kind: str):
    fixture = placed(kind)
    assert fixture.kind == kind
    model, data, name = model_of(fixture)
    assert name == f"{kind}/joint"
    assert model.nq == 1
    assert model.joint(name).range == pytest.approx([0, fixture.upper])
    mujoco.mj_step(model, data, 250)  # nothing moves by itself, and nothing collides
    assert data.qpos[0] == pytest.approx(0, abs=1e-3)
    assert data.ncon == 0 or kind == "lid"
    assert (
        data.geom("table").xpos[2]
        <= min(
            data.geom(i).xpos[2] - model.geom_size[i, 2] for i in range(model.ngeom) if "/frame/" in model.geom(i).name
        )
        + 1e-9
    )
    assert model.body(f"{kind}/moving").mass[0] == pytest.approx(fixture.design.mass)


@pytest.mark.parametrize("kind", sorted(FIXTURES))
def test_the_handle_goes_where_the_model_takes_it(kind: str):
    fixture = placed(kind, position0=0.1)
    model, data, _ = model_of(fixture)
    positions = np.linspace(0, fixture.upper, 7)
    path = fixture.handle_at(positions)
    assert path.shape == (7, 4, 4)
    for position, T in zip(positions, path, strict=True):
        data.qpos[0] = position
        mujoco.mj_kinematics(model, data)
        bar = data.geom(f"{kind}/handle/0")
        assert T[:3, 3] == pytest.approx(bar.xpos, abs=1e-9)
        assert abs(T[:3, 1] @ bar.xmat.reshape(3, 3)[:, 2]) == pytest.approx(1)  # a capsule lies along its z axis
        assert T[:3, :3] @ T[:3, :3].T == pytest.approx(np.eye(3))
        assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    assert fixture.T_world_handle == pytest.approx(fixture.handle_at(np.array(0.1)))


def test_a_drawer_starts_between_two_and_five_newtons():
    fixture = placed("drawer")
    model, data, _ = model_of(fixture)
    assert pull(model, data, fixture, 2.0, 1.0) < 1e-3
    assert pull(model, data, fixture, 5.0, 2.0) == pytest.approx(0.15, abs=2e-3)
    assert pull(model, data, fixture, -5.0, 2.0) == pytest.approx(0.0, abs=2e-3)


@pytest.mark.parametrize("kind", ["door", "lid"])
def test_hinges_open_by_their_handle_and_stop_at_their_ends(kind: str):
    fixture = placed(kind)
    model, data, _ = model_of(fixture)
    assert pull(model, data, fixture, 3.0, 3.0) == pytest.approx(fixture.upper, abs=0.02)
    assert pull(model, data, fixture, -3.0, 3.0) == pytest.approx(0.0, abs=0.02)


def test_a_lid_falls_shut_and_a_door_stays():
    for kind, end in (("lid", 0.0), ("door", 1.0)):
        model, data, _ = model_of(placed(kind))
        data.qpos[0] = 1.0
        mujoco.mj_step(model, data, 1000)
        assert data.qpos[0] == pytest.approx(end, abs=0.01)


def test_a_lid_needs_half_its_weight_at_the_rim():
    fixture = Lid()
    model, data, _ = model_of(fixture)
    # moments about the rear edge: the weight acts near the middle of the lid, the pull at the handle
    com = data.model.body("fixture/moving").ipos[0] + 0.1
    reach = fixture.handle_at(np.array(0.0))[0, 3] + 0.1
    needed = (0.3 * 9.81 * com + fixture.design.dry_friction) / reach
    assert pull(model, data, fixture, 0.9 * needed, 0.5) < 0.02
    assert pull(model, data, fixture, 1.1 * needed, 1.0) > 0.1


def test_doors_open_to_either_side():
    for right, sign in ((False, 1.0), (True, -1.0)):
        door = Door(hinge_on_right=right)
        shut, half = door.handle_at(np.array([0.0, np.pi / 2]))
        assert np.sign(shut[1, 3]) == sign  # seen from the front, y is to the right; the handle is opposite the hinge
        assert half[0, 3] > shut[0, 3] + 0.15


def test_sizes_are_ours_to_choose_and_starts_are_checked():
    drawer = Drawer(size=(0.2, 0.25, 0.2), travel=0.1, front=0.08)
    model, _, name = model_of(drawer)
    assert model.joint(name).range[1] == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"starts at 0\.2, outside of its range 0 to 0\.15"):
        Drawer(position0=0.2)
    assert list(FIXTURES) == ["drawer", "door", "lid"]


def test_a_knob_is_as_wide_as_it_says_and_colours_are_its_own():
    colors = ((0.1, 0.2, 0.3), (0.9, 0.8, 0.7), (0.5, 0.1, 0.1))
    drawer = placed("drawer", knob=True, handle_length=0.03, handle_distance=0.03, colors=colors)
    model, _, _ = model_of(drawer)
    knob, post = model.geom("drawer/handle/0"), model.geom("drawer/handle/1")
    assert 2 * (knob.size[0] + knob.size[1]) == pytest.approx(0.03)
    assert post.size[:2] == pytest.approx([drawer.handle_radius, 0.015])
    for name, color in zip(("frame/0", "moving/0", "handle/0"), colors, strict=True):
        assert model.geom(f"drawer/{name}").rgba[:3] == pytest.approx(color)
    assert model.body("drawer/moving").mass[0] == pytest.approx(drawer.design.mass)
