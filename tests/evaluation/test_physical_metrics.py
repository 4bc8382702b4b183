"""Physical metrics of motions whose depth, slip, volume and contacts are known by hand, and against MuJoCo."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from unihm.evaluation.moving_solids import overlap, solids_of_motion
from unihm.evaluation.physical_metrics import METRICS, _deepest, human_metrics, motion_change, physical_metrics
from unihm.geometry import solids
from unihm.geometry.mesh_distance import MeshDistance
from unihm.hands.description import HandDescription, describe_hand
from unihm.retargeting.problem import points_at
from unihm.schema.motion import HandMotion

RADIUS = 0.01  # m, of the ball at the end of each finger
HALF = np.array([0.02, 0.03, 0.05])  # m, of the box that is held


def pincer(folder: Path, tips: dict[str, str], palm: str = "") -> HandDescription:
    """Two fingers that slide along +y and -y; `tips` has the solid of each, `palm` that of the base."""
    folder.mkdir(exist_ok=True)

    def link(name: str, solid: str) -> str:
        body = f"<collision>{solid}</collision>" if solid else ""
        inertia = '<inertia ixx="1e-5" iyy="1e-5" izz="1e-5" ixy="0" ixz="0" iyz="0"/>'
        return f'<link name="{name}"><inertial><mass value="0.1"/>{inertia}</inertial>{body}</link>'

    def joint(name: str, sign: int) -> str:
        return (
            f'<joint name="slide_{name}" type="prismatic"><parent link="base"/><child link="{name}"/>'
            f'<axis xyz="0 {sign} 0"/><limit lower="-0.1" upper="0.1" effort="20" velocity="1"/></joint>'
        )

    (folder / "pincer.urdf").write_text(
        f'<robot name="pincer">{link("base", palm)}{link("thumb", tips["thumb"])}{link("index", tips["index"])}'
        f"{joint('thumb', -1)}{joint('index', 1)}</robot>"
    )
    tip = "{link: %s, xyz: [0, 0, 0]}"
    (folder / "hand.yaml").write_text(
        "name: pincer\nside: right\nurdf: pincer.urdf\n"
        "root_to_palm: {link: base, xyz: [0, 0, 0], wxyz: [1, 0, 0, 0]}\nfingers: [thumb, index]\n"
        f"rest_qpos: {{slide_thumb: 0.05, slide_index: 0.05}}\n"
        f"fingertips:\n  thumb: {tip % 'thumb'}\n  index: {tip % 'index'}\n"
        f"keypoints:\n  thumb_tip: {tip % 'thumb'}\n  index_tip: {tip % 'index'}\n"
    )
    return describe_hand(folder)


BALL = f'<geometry><sphere radius="{RADIUS}"/></geometry>'


@pytest.fixture(scope="module")
def balls(tmp_path_factory) -> HandDescription:
    return pincer(tmp_path_factory.mktemp("balls") / "pincer", {"thumb": BALL, "index": BALL})


@pytest.fixture(scope="module")
def block() -> MeshDistance:
    mesh = trimesh.creation.box(2 * HALF)
    return MeshDistance(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def moving(hand: HandDescription, thumb, index, shift=(0.0, 0.0, 0.0), height=None) -> HandMotion:
    """A motion whose finger joints are given frame by frame; the palm follows the box, but for a shift a frame."""
    thumb, index = np.atleast_1d(thumb), np.atleast_1d(index)
    frames = max(len(thumb), len(index))
    T_world_object = np.tile(np.eye(4), (frames, 1, 1))
    T_world_object[:, :3, :3] = Rotation.from_rotvec([0.3, -0.5, 1.1]).as_matrix()
    T_world_object[:, 2, 3] = 0.0 if height is None else height
    T_object_palm = np.tile(np.eye(4), (frames, 1, 1))
    T_object_palm[:, :3, 3] = np.arange(frames)[:, None] * np.asarray(shift)
    return HandMotion(
        hand=hand.name,
        fps=30.0,
        joint_names=hand.joint_names,
        qpos=np.stack([np.broadcast_to(thumb, frames), np.broadcast_to(index, frames)], axis=-1).astype(float),
        T_world_palm=T_world_object @ T_object_palm,
        T_world_object=T_world_object,
    )


def path(motion: HandMotion) -> np.ndarray:
    """Of the object."""
    assert motion.T_world_object is not None
    return motion.T_world_object


def at(gap):
    """Joint position at which a ball's surface is so far from the box."""
    return HALF[1] + RADIUS + np.asarray(gap)


def test_a_ball_three_millimetres_in_the_box_reads_three_millimetres(balls, block):
    found = physical_metrics(
        moving(balls, at([-0.003, -0.001, 0.02, 0.02]), at([0.02, -0.002, 0.02, 0.02])), balls, block
    )
    assert set(found) == set(METRICS)
    assert found["penetration_max_mm"] == pytest.approx(3.0, abs=2e-3)
    assert found["penetration_mean_mm"] == pytest.approx((3.0 + 2.0) / 4, abs=2e-3)
    # A cap of height h of a ball has the volume pi h^2 (3 r - h) / 3.
    cap = [np.pi * h**2 * (3 * RADIUS - h) / 3 for h in (0.003, 0.001, 0.002)]
    assert found["penetration_volume_cm3"] == pytest.approx(1e6 * sum(cap) / 4, rel=0.1)
    assert found["self_penetration_mm"] == found["limit_violations"] == 0


def test_contact_ratio_counts_opposing_pads_while_the_object_is_up(balls, block):
    height = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.029, 0.031, 0.06, 0.1, 0.1])
    gap = [0.0] * 7 + [0.0019, 0.0021, -0.001, 0.0]
    found = physical_metrics(moving(balls, at(gap), at(0.0), height=height), balls, block)
    assert found["contact_ratio"] == pytest.approx(3 / 4)
    # Both pads on one side press, and nothing opposes them.
    same_side = moving(balls, -at([0.0] * 11), at(0.0), height=height)
    assert physical_metrics(same_side, balls, block)["contact_ratio"] == 0
    # The given path may be another one than that of the object.
    given = moving(balls, at(gap), at(0.0), height=0 * height).T_world_object
    motion = moving(balls, at(gap), at(0.0), height=height)
    assert np.isnan(physical_metrics(motion, balls, block, given_path=given)["contact_ratio"])


def test_slip_is_how_far_pads_slide_a_frame(balls, block):
    still = moving(balls, at([-0.001] * 6), at([0.001] * 6))
    assert physical_metrics(still, balls, block)["slip_mm_per_frame"] == pytest.approx(0, abs=1e-9)
    slides = moving(balls, at([-0.001] * 6), at([0.001] * 6), shift=[0.0, 0.0, 0.0007])
    assert physical_metrics(slides, balls, block)["slip_mm_per_frame"] == pytest.approx(0.7, abs=1e-6)
    # Pressing deeper is not sliding; one pad leaves after two frames and then counts no more.
    presses = moving(balls, at(-0.0005 * np.arange(6)), at([0.0, 0.0, 0.01, 0.01, 0.01, 0.01]))
    assert physical_metrics(presses, balls, block)["slip_mm_per_frame"] == pytest.approx(0, abs=1e-9)
    apart = moving(balls, at([0.01] * 4), at([0.01] * 4), shift=[0.0, 0.0, 0.001])
    assert np.isnan(physical_metrics(apart, balls, block)["slip_mm_per_frame"])


def test_rolling_is_not_slipping(balls, block):
    # The palm turns about x while it moves along z, so that the index ball rolls on the box without sliding.
    turn = 0.02 * np.arange(6)  # rad
    motion = moving(balls, at([0.05] * 6), at([0.0] * 6))
    T = np.tile(np.eye(4), (6, 1, 1))
    T[:, :3, :3] = Rotation.from_rotvec(turn[:, None] * [1.0, 0.0, 0.0]).as_matrix()
    ball = at(0.0) * np.stack([np.zeros(6), np.cos(turn), np.sin(turn)], axis=-1)
    centre = np.stack([np.zeros(6), np.full(6, at(0.0)), RADIUS * turn], axis=-1)  # arc length rolled along z
    T[:, :3, 3] = centre - ball
    motion = motion.replace(T_world_palm=path(motion) @ T)
    slid = physical_metrics(motion, balls, block)["slip_mm_per_frame"]
    # A material point near the contact moves by second order only: r a^2 / 2 normal to the surface, r a^3 / 6 along it.
    assert slid == pytest.approx(1e3 * RADIUS * 0.02**3 / 6, rel=0.5)
    T[:, 2, 3] *= -1
    backwards = motion.replace(T_world_palm=path(motion) @ T)
    assert physical_metrics(backwards, balls, block)["slip_mm_per_frame"] > 0.2


def test_shared_volume_counts_once(tmp_path, block):
    slab = '<geometry><box size="0.02 0.01 0.02"/></geometry>'
    twice = f'{slab}</collision><collision><origin xyz="0.005 0 0"/>{slab}'
    hand = pincer(tmp_path / "slabs", {"thumb": slab, "index": twice})
    # 4 mm of the thumb's slab, 20 x 20 mm; 2 mm of the index finger's two, 25 x 20 mm together.
    motion = moving(hand, [HALF[1] + 0.001], [HALF[1] + 0.003])
    found = physical_metrics(motion, hand, block)
    assert found["penetration_volume_cm3"] == pytest.approx(1.6 + 1.0, rel=0.03)
    assert found["penetration_max_mm"] == pytest.approx(4.0, abs=1e-6)


def test_self_penetration_limits_and_jerk(tmp_path, block):
    palm = '<origin xyz="0 0 0.2"/><geometry><sphere radius="0.01"/></geometry>'
    hand = pincer(tmp_path / "balls", {"thumb": BALL, "index": BALL}, palm)
    # Balls of 10 mm with centres 18 mm apart overlap by 2 mm; in the last two frames they are clear of each other.
    motion = moving(hand, [0.009, 0.009, 0.05, 0.1005], [0.009, 0.009, 0.05, 0.05], shift=[1.0, 0.0, 0.0])
    found = physical_metrics(motion, hand, block)
    assert found["self_penetration_mm"] == pytest.approx(2.0 * 2 / 4, abs=1e-6)
    assert found["limit_violations"] == 25
    # A ball of 10 mm about the middle of a plate of 4 mm: the plate's surface is 8 mm deep in it.
    plate = '<geometry><box size="0.06 0.004 0.06"/></geometry>'
    thin = pincer(tmp_path / "plate", {"thumb": BALL, "index": plate}, palm)
    found = physical_metrics(moving(thin, [0.02], [-0.02], shift=[1.0, 0.0, 0.0]), thin, block)
    assert found["self_penetration_mm"] == pytest.approx(8.0, abs=0.2)
    # Both keypoints follow x = 7 t^3 along the box's z: their third derivative is 42 m/s^3.
    seconds = np.arange(8) / 30
    motion = moving(hand, at([0.02] * 8), at([0.02] * 8))
    T_object_palm = np.linalg.inv(path(motion)) @ motion.T_world_palm
    T_object_palm[:, 2, 3] = 7 * seconds**3
    motion = motion.replace(T_world_palm=path(motion) @ T_object_palm)
    assert physical_metrics(motion, hand, block)["jerk"] == pytest.approx(42)


def mujoco_of(parts, others: str = ""):
    """Solids as geoms that can be put anywhere, after others."""
    kinds = {"sphere": lambda s: f"{s[0]}", "cylinder": lambda s: f"{s[0]} {s[1] / 2}"}
    kinds["box"] = lambda s: " ".join(str(v / 2) for v in s)
    geoms = "".join(f'<body mocap="true"><geom type="{s.kind}" size="{kinds[s.kind](s.size)}"/></body>' for s in parts)
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{others}{geoms}</worldbody></mujoco>")
    return model, mujoco.MjData(model)


def place_solids(model, data, poses) -> None:
    """Put them there."""
    data.mocap_pos[:] = poses[:, :3, 3]
    data.mocap_quat[:] = Rotation.from_matrix(poses[:, :3, :3]).as_quat(scalar_first=True)
    mujoco.mj_kinematics(model, data)


def test_overlaps_of_a_hand_with_itself_are_those_of_mujoco():
    hand = describe_hand("allegro")
    unit = np.random.default_rng(0).uniform(0.1, 0.9, size=(40, len(hand.joint_names)))
    n = len(unit)
    motion = HandMotion(
        hand="allegro",
        fps=30.0,
        joint_names=hand.joint_names,
        qpos=hand.chain.lower + unit * (hand.chain.upper - hand.chain.lower),
        T_world_palm=np.tile(np.eye(4), (n, 1, 1)),
    )
    bodies = solids_of_motion(motion, hand, np.tile(np.eye(4), (n, 1, 1)))
    apart = ~bodies.neighbours[np.ix_(bodies.body_of_solid, bodies.body_of_solid)]
    depth = overlap(bodies.T_object_solid, bodies.solids, apart, 3e-3)
    model, data = mujoco_of(bodies.solids)
    expected = np.zeros(n)
    for t in range(n):
        place_solids(model, data, bodies.T_object_solid[t])
        pairs = np.argwhere(np.triu(apart, 1))
        distance = [mujoco.mj_geomDistance(model, data, int(a), int(b), 0.01, None) for a, b in pairs]
        expected[t] = max(0.0, -min(distance))
    assert ((depth > 0) == (expected > 0)).all()
    shallow = (expected > 0) & (expected < 6e-3)
    assert shallow.sum() >= 5
    assert np.abs(depth - expected)[shallow].max() < 2e-4
    # Past the middle of a solid, MuJoCo's way out becomes longer, and points are no deeper.
    assert (depth <= expected + 1e-9).all()


def test_distances_to_the_box_are_those_of_mujoco(block):
    """Every solid of a real hand near the box, in random poses, against MuJoCo's distance of two geoms."""
    hand = describe_hand("shadow")
    rng = np.random.default_rng(3)
    n = 12
    T = np.tile(np.eye(4), (n, 1, 1))
    T[:, :3, :3] = Rotation.random(n, rng=rng).as_matrix()
    T[:, :3, 3] = rng.uniform(-0.09, 0.09, size=(n, 3))
    motion = HandMotion(
        hand="shadow",
        fps=30.0,
        joint_names=hand.joint_names,
        qpos=np.tile(hand.rest_qpos, (n, 1)),
        T_world_palm=T,
    )
    bodies = solids_of_motion(motion, hand, np.tile(np.eye(4), (n, 1, 1)))
    gap, place, _ = _deepest(bodies, block)
    size = " ".join(map(str, HALF))
    model, data = mujoco_of(bodies.solids, f'<geom type="box" size="{size}"/>')
    checked = []
    for t in range(n):
        poses = bodies.T_object_solid[t]
        place_solids(model, data, poses)
        for s, solid in enumerate(bodies.solids):
            d = mujoco.mj_geomDistance(model, data, 0, s + 1, 1.0, None)
            if d > 0.002:
                assert gap[t, s] > 0.002
            elif d > 0:
                checked.append(gap[t, s] - d)
            if gap[t, s] <= 0.002:
                on_solid = np.linalg.inv(poses[s]) @ np.append(place[t, s], 1.0)
                assert solids.signed_distance(solid.kind, solid.size, on_solid[None, :3]) == pytest.approx(0, abs=1e-9)
    assert len(checked) >= 5
    assert np.abs(checked).max() < 5e-5  # m


def test_the_recorded_person_has_capsules_for_fingers():
    post = trimesh.creation.box([0.008, 0.008, 0.1])
    block = MeshDistance(np.asarray(post.vertices), np.asarray(post.faces))
    human = describe_hand("human")
    chain = human.chain
    points = [chain.point(item.link, np.array(item.xyz)) for item in human.keypoints]
    keypoints = np.tile(points_at(chain, human.rest_qpos, points), (12, 1, 1))
    away = np.tile(np.eye(4), (12, 1, 1))
    away[:, :3, 3] = [0.0, 0.0, 1.0]
    away[6:, 2, 3] += 0.1
    none = human_metrics(keypoints, away, block, human, 30.0)
    assert none["penetration_max_mm"] == 0
    assert none["contact_ratio"] == 0
    assert np.isnan(none["limit_violations"])
    # A post before one fingertip, whose end lies 1 mm under the skin on which the keypoint is.
    tip, dip = keypoints[0, 8], keypoints[0, 7]
    along = (tip - dip) / np.linalg.norm(tip - dip)
    R = Rotation.align_vectors([along], [[0.0, 0.0, 1.0]])[0].as_matrix()
    before = np.tile(np.eye(4), (12, 1, 1))
    before[:, :3, :3] = R
    before[:, :3, 3] = tip - along * 0.001 + along * 0.05
    assert human_metrics(keypoints, before, block, human, 30.0)["penetration_max_mm"] == pytest.approx(1.0, abs=0.02)


def test_motion_change_looks_at_what_comes_before_contact(balls):
    before = moving(balls, at([0.01] * 4), at([0.01] * 4)).replace(contact_phase=np.array([0.0, 0.0, 0.3, 1.0]))
    T = before.T_world_palm.copy()
    T[1:, :3, 3] += [0.003, 0.004, 0.0]
    T[1, :3, :3] = T[1, :3, :3] @ Rotation.from_rotvec([0.0, np.radians(6), 0.0]).as_matrix()
    found = motion_change(before, before.replace(T_world_palm=T))
    assert found["motion_change_mm"] == pytest.approx(2.5)
    assert found["motion_change_max_mm"] == pytest.approx(5.0)
    assert found["motion_change_max_deg"] == pytest.approx(6.0)
    with pytest.raises(ValueError, match="when contact begins"):
        motion_change(moving(balls, [0.1], [0.1]), moving(balls, [0.1], [0.1]))


def test_bad_input_is_refused(balls, block, tmp_path):
    motion = moving(balls, at([0.0] * 3), at([0.0] * 3))
    with pytest.raises(ValueError, match="'other', expected 'pincer'"):
        physical_metrics(motion.replace(hand="other"), balls, block)
    with pytest.raises(ValueError, match="no object path"):
        physical_metrics(motion.replace(T_world_object=None), balls, block)
    with pytest.raises(ValueError, match="qpos holds NaN"):
        physical_metrics(motion.replace(qpos=motion.qpos * np.nan), balls, block)
    with pytest.raises(ValueError, match="2 frames, the motion 3"):
        physical_metrics(motion, balls, block, T_world_object=motion.T_world_palm[:2])
    bare = pincer(tmp_path / "bare", {"thumb": "", "index": ""})
    with pytest.raises(ValueError, match="no collision solids"):
        physical_metrics(motion, bare, block)
