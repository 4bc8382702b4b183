"""What the URDF reader accepts, and what it makes of it (refusals: test_urdf_refusals.py)."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.kinematics.urdf import Urdf, frozen_joints, joint_pose, lock_joints, parse_urdf

LIMIT = '<limit lower="-1" upper="2"/>'
LINKS = "".join(f'<link name="{name}"/>' for name in "abcd")


def joint(name: str, parent: str, child: str, kind: str = "revolute", extra: str = LIMIT) -> str:
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{extra}</joint>'


CHAIN = LINKS + joint("j1", "a", "b") + joint("j2", "b", "c") + joint("j3", "c", "d")


@pytest.fixture
def read(tmp_path):
    """Write a body as a URDF and read it."""

    def read(body: str) -> Urdf:
        path = tmp_path / "robot.urdf"
        path.write_text(f'<robot name="r">{body}</robot>', encoding="utf-8")
        return parse_urdf(path)

    return read


def one_joint(read, extra: str, kind: str = "revolute"):
    return read('<link name="a"/><link name="b"/>' + joint("j", "a", "b", kind, extra)).joints[0]


def test_reading_needs_no_torch():
    code = "import sys, unihm.kinematics.urdf, unihm.kinematics.mimic; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_official_files_are_read(shared_data):
    paths = sorted((shared_data / "hands_official").glob("*/*.urdf"))
    assert len(paths) == 16
    for path in paths:
        urdf = parse_urdf(path)
        assert len(urdf.links) == len(urdf.joints) + 1
        assert not frozen_joints(urdf)
        assert any(link.mesh_references for link in urdf.links)


def test_origin_and_axis(read):
    found = one_joint(read, '<origin xyz="1 2 3" rpy="0.1 0.2 0.3"/><axis xyz="0 0 2"/>' + LIMIT)
    T = found.T_parent_child
    np.testing.assert_allclose(T[:3, :3], Rotation.from_euler("xyz", [0.1, 0.2, 0.3]).as_matrix(), atol=1e-15)
    np.testing.assert_array_equal(T[:3, 3], [1, 2, 3])
    np.testing.assert_array_equal(found.axis, [0, 0, 1])
    assert (found.lower, found.upper) == (-1, 2)
    np.testing.assert_array_equal(one_joint(read, LIMIT).axis, [1, 0, 0])  # the format's default


def test_quaternion_origin_of_urdf_1_1(read):
    xyzw = Rotation.from_euler("xyz", [0.4, -1.2, 2.0]).as_quat()
    T = one_joint(read, f'<origin quat_xyzw="{" ".join(map(str, xyzw))}"/>' + LIMIT).T_parent_child
    np.testing.assert_allclose(T[:3, :3], Rotation.from_quat(xyzw).as_matrix(), atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "extra", "lower", "upper"),
    [
        ("continuous", "", -math.inf, math.inf),
        ("continuous", '<limit lower="0" upper="0" effort="1"/>', -math.inf, math.inf),  # no meaning there
        ("revolute", '<limit lower="-inf" upper="INF"/>', -math.inf, math.inf),
        ("revolute", '<limit upper="1.5"/>', 0, 1.5),  # the format's default for the other one
        ("prismatic", '<limit lower="-0.04" effort="1"/>', -0.04, 0),
        ("revolute", '<limit lower="-1e16" upper="1e16"/>', -1e16, 1e16),
    ],
)
def test_limits(read, kind, extra, lower, upper):
    found = one_joint(read, extra, kind)
    assert (found.kind, found.lower, found.upper) == (kind, lower, upper)


def test_velocity_that_was_not_filled_in(read):
    assert one_joint(read, '<limit lower="0" upper="1" effort="0" velocity="0"/>').velocity == math.inf
    found = one_joint(read, '<limit lower="0" upper="1" effort="3" velocity="2"/>')
    assert (found.effort, found.velocity) == (3, 2)


def test_joint_without_room_is_fixed_and_takes_its_followers_along(read):
    follower = LIMIT + '<mimic joint="j1" multiplier="2" offset="0.1"/>'
    body = LINKS + joint("j1", "a", "b", extra='<limit lower="0.3" upper="0.3"/>') + joint("j2", "b", "c")
    urdf = read(body + joint("j3", "c", "d", extra=follower))
    free = read(CHAIN)
    assert [j.kind for j in urdf.joints] == ["fixed", "revolute", "fixed"]
    assert frozen_joints(urdf) == {"j1": 0.3}
    np.testing.assert_allclose(urdf.joints[0].T_parent_child, joint_pose(free.joints[0], 0.3))
    np.testing.assert_allclose(urdf.joints[2].T_parent_child, joint_pose(free.joints[2], 0.7))


def test_locked_joints_take_their_followers_along(read):
    body = CHAIN.replace(joint("j3", "c", "d"), joint("j3", "c", "d", extra=LIMIT + '<mimic joint="j1" offset="0.1"/>'))
    urdf = read(body)
    locked = lock_joints(urdf, {"j1": 0.4})
    assert [j.kind for j in locked.joints] == ["fixed", "revolute", "fixed"]
    np.testing.assert_allclose(locked.joints[2].T_parent_child, joint_pose(urdf.joints[2], 0.5))
    for value in (math.pi, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"limits are \[-1.0, 2.0\]"):
            lock_joints(urdf, {"j1": value})
    with pytest.raises(ValueError, match="Available: j1, j2"):
        lock_joints(urdf, {"j3": 0.0})


INERTIAL = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
PLACE = "0.1 -0.2 0.3", "0.5 1.1 -0.7"


@pytest.mark.parametrize(
    "shape",
    [
        '<box size="1 2 3"/>',
        '<cylinder radius="0.4" length="2"/>',
        '<sphere radius="3"/>',
        '<capsule radius="0.1" length="0.5"/>',
    ],
)
def test_solids_stand_where_mujoco_puts_them(read, shape):
    item = f'<geometry>{shape}</geometry><origin xyz="{PLACE[0]}" rpy="{PLACE[1]}"/>'
    body = f'<link name="w"/><link name="a">{INERTIAL}<collision>{item}</collision><visual>{item}</visual></link>'
    link = read(body + joint("j", "w", "a")).links[1]
    text = f'<robot name="r">{body + joint("j", "w", "a")}</robot>'
    model = mujoco.MjModel.from_xml_string(text)
    geom = model.geom(model.ngeom - 1)
    R = Rotation.from_quat(geom.quat, scalar_first=True).as_matrix()
    first = link.collisions[0]
    np.testing.assert_allclose(first.T_link_shape[:3, 3], geom.pos, atol=1e-12)
    np.testing.assert_allclose(first.T_link_shape[:3, :3], R, atol=1e-12)
    size = tuple(geom.size)
    if model.geom_type[-1] == mujoco.mjtGeom.mjGEOM_BOX:
        assert first.size == pytest.approx([2 * half for half in size])
    elif model.geom_type[-1] == mujoco.mjtGeom.mjGEOM_SPHERE:
        assert first.size == pytest.approx(size[:1])
    else:
        assert first.size == pytest.approx((size[0], 2 * size[1]))
    caps = link.collisions[1:]
    assert [cap.size for cap in caps] == [(0.1,), (0.1,)] * ("capsule" in shape) or not caps
    for cap, sign in zip(caps, (-1, 1), strict=False):
        np.testing.assert_allclose(cap.T_link_shape[:3, 3], geom.pos + sign * size[1] * R[:, 2], atol=1e-12)
    assert [s.size for s in link.visuals] == [s.size for s in link.collisions]


def test_capsule_without_length_is_a_sphere_and_drake_may_write_it(read):
    solid = '<drake:capsule xmlns:drake="http://drake.mit.edu" radius="0.2" length="0"/>'
    found = read(f'<link name="a"><collision><geometry>{solid}</geometry></collision></link>').links[0].collisions
    assert [(s.kind, s.size) for s in found] == [("sphere", (0.2,))]


def test_meshes_are_listed_not_read(read):
    geometry = '<geometry><mesh filename="{}" {}/></geometry><origin xyz="0 0 1" rpy="0 0 1"/>'
    mirrored = geometry.format("package://hand/meshes/Ü.STL", 'scale="0.001 -0.001 0.001"')
    body = f"<visual>{geometry.format('no/such.obj', '')}</visual><collision>{mirrored}</collision>"
    link = read(f'<link name="a">{body}</link>').links[0]
    assert link.meshes == ("package://hand/meshes/Ü.STL", "no/such.obj")
    collision, visual = link.mesh_references
    assert (collision.role, collision.scale) == ("collision", (0.001, -0.001, 0.001))
    assert (visual.role, visual.scale) == ("visual", (1, 1, 1))
    np.testing.assert_allclose(visual.T_link_mesh[:3, :3], Rotation.from_euler("z", 1).as_matrix(), atol=1e-15)
    assert visual.T_link_mesh[2, 3] == 1
    assert link.collisions == link.visuals == ()


def test_extensions_have_no_effect(read):
    body = (
        '<!-- a comment --><transmission name="t"><joint name="j1"/><actuator name="m"/></transmission>'
        '<gazebo reference="a"><material>Gazebo/Red</material></gazebo><mujoco><compiler meshdir="m"/></mujoco>'
        '<drake:joint xmlns:drake="http://drake.mit.edu" name="ball" type="ball"/>' + CHAIN
    )
    assert [j.name for j in read(body).joints] == ["j1", "j2", "j3"]


@pytest.mark.parametrize(
    ("attributes", "tag"),
    [
        ('xmlns:xacro="http://www.ros.org/wiki/xacro" version="1.0"', "robot"),  # what xacro leaves behind
        ('xmlns="http://www.ros.org"', "robot"),
        ('xmlns:u="http://www.ros.org"', "robot"),
    ],
)
def test_namespaces(tmp_path, attributes, tag):
    path = tmp_path / "robot.urdf"
    path.write_text(f"<{tag} {attributes}>{CHAIN}</{tag}>")
    urdf = parse_urdf(path)
    assert (urdf.name, len(urdf.joints)) == ("robot", 3)  # without a name, the file's


NAMES = "Zeigefinger_ü", "手指"


def encodings() -> list[tuple[str, bytes]]:
    """The same robot in several encodings; the names cannot be read when the encoding is mistaken."""
    text = '<robot name="r">' + CHAIN.replace('"b"', f'"{NAMES[0]}"').replace('"c"', f'"{NAMES[1]}"') + "</robot>"
    header = '<?xml version="1.0" encoding="{}" standalone="no"?>\n'
    return [
        ("no header", text.encode()),
        ("mark only", text.encode("utf-8-sig")),
        ("header", (header.format("utf-8") + text).encode()),
        ("header in single quotes", ("<?xml version='1.0' encoding='UTF-8'?>" + text).encode()),
        ("utf-16", (header.format("utf-16") + text).encode("utf-16")),
        ("utf-16 big-endian", b"\xfe\xff" + (header.format("UTF-16") + text).encode("utf-16-be")),
        ("utf-16 without mark", (header.format("UTF-16LE") + text).encode("utf-16-le")),
        ("mark against header", (header.format("utf-8") + text).encode("utf-16")),
        ("utf-8 called utf-16", (header.format("utf-16") + text).encode()),
        ("gb18030", (header.format("GB18030") + text).encode("gb18030")),
    ]


@pytest.mark.parametrize(("name", "data"), encodings(), ids=[name for name, _ in encodings()])
def test_encodings(tmp_path: Path, name: str, data: bytes):
    path = tmp_path / "robot.urdf"
    path.write_bytes(data)
    assert tuple(link.name for link in parse_urdf(path).links) == ("a", *NAMES, "d")
