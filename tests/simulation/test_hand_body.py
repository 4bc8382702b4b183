"""Hands as MuJoCo bodies: where their links are, what holds them, what they weigh, and who passes through whom."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from simulation_builders import RIGHT_HANDS, gripper, moving, placed, still

from unihm.hands.description import HandDescription, describe_hand, list_hands
from unihm.hands.hand_file import HAND_FILE, read_hand_file
from unihm.kinematics.urdf import parse_urdf
from unihm.simulation import constants as c
from unihm.simulation.hand_body import add_hand
from unihm.simulation.hand_drives import PREFIX
from unihm.simulation.hand_inertia import body_inertials
from unihm.simulation.hand_solids import hand_solids
from unihm.simulation.rollout import initial_state, simulate
from unihm.simulation.self_collision import excluded_pairs
from unihm.simulation.world import World, build_world

OFFICIAL = {
    "allegro": "allegro/allegro_hand_right.urdf",
    "panda": "panda/panda_gripper_glb.urdf",
    "svh": "svh/schunk_svh_hand_right.urdf",
}


def _model(hand: HandDescription) -> tuple[mujoco.MjModel, mujoco.MjData, tuple[str, ...]]:
    spec = mujoco.MjSpec()
    body = add_hand(spec, hand, np.eye(4), exclude=False)
    model = spec.compile()
    return model, mujoco.MjData(model), body.joints


def _random(hand: HandDescription, count: int) -> np.ndarray:
    low, high = np.clip(hand.chain.lower, -3, 3), np.clip(hand.chain.upper, -3, 3)
    return np.random.default_rng(1).uniform(low, high, (count, len(low)))


def _pose(data: mujoco.MjData, body: int) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = data.xmat[body].reshape(3, 3), data.xpos[body]
    return T


@pytest.mark.parametrize("name", list_hands())
def test_bodies_are_where_our_kinematics_say(name: str):
    hand = describe_hand(name)
    model, data, joints = _model(hand)
    address = [model.joint(joint).qposadr[0] for joint in joints]
    for q in _random(hand, 20):
        data.qpos[address] = hand.chain.multiplier * q[hand.chain.column] + hand.chain.offset
        mujoco.mj_kinematics(model, data)
        T = hand.chain.forward_kinematics(q)
        for link, body in hand.chain.body_of_link.items():
            if body < 0 or not np.array_equal(hand.chain.T_body_link[link], np.eye(4)):
                continue
            assert np.abs(_pose(data, model.body(PREFIX + link).id) - T[body]).max() < 1e-9


@pytest.mark.parametrize("name", ["shadow", "svh", "ability", "panda"])
def test_links_are_where_mujocos_own_import_of_the_urdf_puts_them(name: str):
    hand = describe_hand(name)
    file = read_hand_file(hand.folder / HAND_FILE)
    spec = mujoco.MjSpec.from_file(str(hand.folder / file.urdf))
    spec.compiler.fusestatic, spec.compiler.balanceinertia = False, True
    theirs = spec.compile()
    other = mujoco.MjData(theirs)
    model, data, joints = _model(hand)
    palm = theirs.body(file.palm_link).id
    for q in _random(hand, 10):
        full = hand.chain.multiplier * q[hand.chain.column] + hand.chain.offset
        for joint, value in zip(joints, full, strict=True):
            data.qpos[model.joint(joint).qposadr[0]] = value
            other.qpos[theirs.joint(joint.removeprefix(PREFIX)).qposadr[0]] = value
        for joint, value in file.locked_joints.items():
            other.qpos[theirs.joint(joint).qposadr[0]] = value
        mujoco.mj_kinematics(model, data)
        mujoco.mj_kinematics(theirs, other)
        T_palm_world = np.linalg.inv(_pose(other, palm) @ file.T_link_palm)
        for link, body in hand.chain.body_of_link.items():
            if link == hand.urdf.root:
                continue
            base = np.eye(4) if body < 0 else _pose(data, model.body(_carrier(hand, body)).id)
            expected = T_palm_world @ _pose(other, theirs.body(link).id)
            assert np.abs(base @ hand.chain.T_body_link[link] - expected).max() < 1e-9


def _carrier(hand: HandDescription, body: int) -> str:
    chain = hand.chain
    return PREFIX + next(
        l for l, b in chain.body_of_link.items() if b == body and (chain.T_body_link[l] == np.eye(4)).all()
    )


def test_masses_are_those_of_the_urdf():
    """Against MuJoCo's own import, which adds links behind fixed joints up as well."""
    hand = describe_hand("shadow")
    file = read_hand_file(hand.folder / HAND_FILE)
    theirs = mujoco.MjSpec.from_file(str(hand.folder / file.urdf)).compile()
    model, _, _ = _model(hand)
    found, notes = body_inertials(hand)
    assert notes == ()
    assert sum(part.mass for part in found) == pytest.approx(model.body_mass.sum())
    assert model.body_mass.sum() == pytest.approx(sum(link.mass for link in hand.urdf.links))
    for body in range(1, theirs.nbody):
        name = theirs.body(body).name
        if name in ("ffproximal", "thdistal", "lfmetacarpal"):
            mine = model.body(PREFIX + name).id
            assert model.body_mass[mine] == pytest.approx(theirs.body_mass[body])
            assert model.body_ipos[mine] == pytest.approx(theirs.body_ipos[body], abs=1e-12)
            assert np.sort(model.body_inertia[mine]) == pytest.approx(np.sort(theirs.body_inertia[body]), rel=1e-3)


def test_what_states_no_mass_is_weighed_by_its_solids_and_said(tmp_path: Path):
    hand = gripper(tmp_path, mass=0.0)
    found, notes = body_inertials(hand)
    assert found[0].mass == pytest.approx(c.HAND_DENSITY * 0.04 * 0.01 * 0.04)
    assert found[0].centre == pytest.approx([0.01, -0.005, 0.0])
    assert np.diag(found[0].inertia) == pytest.approx(
        found[0].mass / 12 * np.array([0.01**2 + 0.04**2, 0.04**2 + 0.04**2, 0.04**2 + 0.01**2])
    )
    assert len(notes) == 2
    assert "'thumb' states no mass: 0.0160 kg" in notes[0]
    assert build_world(hand, np.eye(4)).notes == notes


def test_joints_without_an_effort_are_named(tmp_path: Path):
    hand = gripper(tmp_path)
    assert build_world(hand, np.eye(4)).notes == ()
    text = (tmp_path / "gripper.urdf").read_text(encoding="utf-8")
    (tmp_path / "gripper.urdf").write_text(text.replace('effort="4.0"', "", 1), encoding="utf-8")
    world = build_world(describe_hand(tmp_path), np.eye(4))
    assert world.notes == ("joint 'thumb_slide' states no effort: its force is not limited",)
    assert world.model.actuator_forcelimited[world.finger_actuators].tolist() == [0, 1]


@pytest.mark.parametrize("name", RIGHT_HANDS)
def test_every_hand_holds_its_pose(name: str):
    hand = describe_hand(name)
    T = placed(z=0.3)
    T[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]  # fingers down
    world = build_world(hand, T)
    rollout = simulate(world, still(T, hand.rest_qpos), seconds=1.0, settle=0.0)
    assert rollout.failure == ""
    assert np.abs(rollout.qpos - hand.rest_qpos).max() < np.radians(1)
    assert np.linalg.norm(rollout.T_world_palm[:, :3, 3] - T[:3, 3], axis=1).max() < 1e-3


@pytest.mark.parametrize(("name", "load"), [("svh", 1.0), ("ability", 1.0), ("inspire", 1.0), ("panda", 20.0)])
def test_followers_stay_with_their_drivers_under_load(name: str, load: float):
    """A force (Nm or N) on every follower, against the motion, for half a second, then released."""
    hand = describe_hand(name)
    world = build_world(hand, placed(z=0.5))
    followers = [i for i, joint in enumerate(world.joint_qpos) if joint not in world.finger_qpos]
    assert followers
    dof = world.model.jnt_dofadr[[world.model.jnt_qposadr.tolist().index(world.joint_qpos[i]) for i in followers]]
    data = initial_state(world, np.concatenate([np.zeros(6), hand.rest_qpos]))
    data.ctrl[world.finger_actuators] = hand.rest_qpos
    worst = moved = 0.0
    for step in range(500):
        data.qfrc_applied[dof] = load * (step < 250) * np.where(step % 100 < 50, 1.0, -1.0)
        mujoco.mj_step(world.model, data)
        error = data.qpos[world.joint_qpos] - world.body_positions(data.qpos[world.finger_qpos])
        worst = max(worst, float(np.abs(error).max()))
        moved = max(moved, float(np.abs(data.qpos[world.finger_qpos] - hand.rest_qpos).max()))
    assert moved > (1e-3 if name == "panda" else 0.02)  # the load did something
    assert worst < (np.radians(0.05) if name != "panda" else 1e-4)


def test_efforts_limits_and_gains_are_the_models():
    hand = describe_hand("shadow")
    world = build_world(hand, placed(z=0.3))
    model, joints = world.model, {joint.name: joint for joint in hand.urdf.joints}
    for i, name in enumerate(hand.joint_names):
        assert model.actuator_forcerange[world.finger_actuators[i]].tolist() == [
            -joints[name].effort,
            joints[name].effort,
        ]
        assert model.joint(PREFIX + name).range == pytest.approx([joints[name].lower, joints[name].upper])
        assert model.joint(PREFIX + name).armature[0] == c.FINGER_ARMATURE
    assert model.actuator_forcerange[world.wrist_actuators, 1].tolist() == [c.WRIST_CAP[0]] * 3 + [c.WRIST_CAP[1]] * 3


def test_joint_limits_hold():
    hand = describe_hand("allegro")
    world = build_world(hand, placed(z=0.5))
    data = initial_state(world, np.concatenate([np.zeros(6), hand.rest_qpos]))
    data.ctrl[world.finger_actuators] = hand.chain.upper + 0.5  # as no motion may ask
    for _ in range(500):
        mujoco.mj_step(world.model, data)
    free = [
        i for i, name in enumerate(hand.joint_names) if data.qpos[world.finger_qpos[i]] > hand.chain.upper[i] - 0.05
    ]
    assert len(free) >= 8  # the others met another finger first
    assert (data.qpos[world.finger_qpos] - hand.chain.upper).max() < np.radians(1)


def test_only_links_that_cannot_come_apart_pass_through_each_other():
    hand = describe_hand("shadow")
    pairs = {frozenset(pair) for pair in excluded_pairs(hand)}
    assert frozenset(("ffproximal", "ffmiddle")) in pairs
    assert frozenset(("ffdistal", "thdistal")) not in pairs
    assert frozenset(("ffproximal", "mfproximal")) not in pairs
    # With all joints commanded shut, fingers meet each other and the palm, and stay out of them.
    T = placed(z=0.5)
    world = build_world(hand, T)
    shut = moving([0.0, 0.4], [T, T], [hand.rest_qpos, hand.chain.upper])
    deepest = _deepest_self_contact(world, simulate(world, shut, seconds=0.8, settle=0.0).configuration)
    assert 0 < deepest < 2e-3


def _deepest_self_contact(world: World, configurations: np.ndarray) -> float:
    data, deepest = mujoco.MjData(world.model), 0.0
    for configuration in configurations:
        data.qpos[:] = configuration
        mujoco.mj_fwdPosition(world.model, data)
        own = (world.geom_link[data.contact.geom] >= 0).all(axis=1)
        deepest = max(deepest, -float(data.contact.dist[own].min(initial=0.0)))
    return deepest


def test_a_hand_without_solids_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="Hand 'gripper' has no collision geometry: expected <collision>"):
        build_world(gripper(tmp_path, solids=False), np.eye(4))


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_meshes_take_the_place_of_our_solids(name: str, shared_data: Path):
    hand, path = describe_hand(name), shared_data / "hands_official" / OFFICIAL[name]
    official = parse_urdf(path)
    expected = sum(
        len(link.collisions) + sum(reference.role == "collision" for reference in link.mesh_references)
        for link in official.links
    )
    solids = hand_solids(hand, path)
    assert len(solids) == expected
    ours, theirs = build_world(hand, placed(z=0.4)), build_world(hand, placed(z=0.4), hand_meshes=path)
    assert (theirs.geom_link >= 0).sum() == expected
    # The same hand: at rest every link that both sides have is about as large, and in the same place.
    q = np.concatenate([np.zeros(6), hand.rest_qpos])
    boxes = [_link_boxes(world, initial_state(world, q)) for world in (ours, theirs)]
    shared = set(boxes[0]) & set(boxes[1])
    assert len(shared) > 0.8 * len(boxes[1])
    for link in shared:
        assert np.abs(boxes[0][link] - boxes[1][link]).max() < 0.012
    rollout = simulate(theirs, still(placed(z=0.4), hand.rest_qpos), seconds=0.2, settle=0.0)
    assert np.abs(rollout.qpos - hand.rest_qpos).max() < np.radians(1)


def _link_boxes(world: World, data: mujoco.MjData) -> dict[str, np.ndarray]:
    """Lower and upper corner (2, 3) of each link's geoms in the world, m."""
    mujoco.mj_kinematics(world.model, data)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    boxes: dict[str, np.ndarray] = {}
    for geom in np.flatnonzero(world.geom_link >= 0):
        centre, half = world.model.geom_aabb[geom].reshape(2, 3)
        R = data.geom_xmat[geom].reshape(3, 3)
        if world.model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
            start = world.model.mesh_vertadr[mesh := world.model.geom_dataid[geom]]
            points = world.model.mesh_vert[start : start + world.model.mesh_vertnum[mesh]]
        else:
            points = centre + corners * half
        points = points @ R.T + data.geom_xpos[geom]
        link = world.hand.link_names[world.geom_link[geom]]
        low, high = boxes.get(link, np.array([[np.inf] * 3, [-np.inf] * 3]))
        boxes[link] = np.array([np.minimum(low, points.min(axis=0)), np.maximum(high, points.max(axis=0))])
    return boxes


def test_meshes_of_another_hand_are_refused(shared_data: Path):
    path = shared_data / "hands_official" / OFFICIAL["allegro"]
    with pytest.raises(ValueError, match="does not describe hand 'svh'"):
        build_world(describe_hand("svh"), np.eye(4), hand_meshes=path)
