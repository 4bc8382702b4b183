"""What the URDF reader accepts, resolves and refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.kinematics.urdf import joint_pose, lock_joints, parse_urdf

LIMIT = '<limit lower="-1" upper="2"/>'


def joint(name: str, parent: str, child: str, kind: str = "revolute", extra: str = LIMIT) -> str:
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{extra}</joint>'


def write(tmp_path, body: str, header: str = ""):
    path = tmp_path / "robot.urdf"
    path.write_text(f'{header}<robot name="r">{body}</robot>', encoding="utf-8")
    return path


LINKS = "".join(f'<link name="{name}"/>' for name in "abcd")
CHAIN = LINKS + joint("j1", "a", "b") + joint("j2", "b", "c") + joint("j3", "c", "d")


def test_encoding_header_and_origin(tmp_path):
    extra = '<origin xyz="1 2 3" rpy="0.1 0.2 0.3"/><axis xyz="0 0 2"/>' + LIMIT
    body = '<link name="a"/><link name="b"/>' + joint("j", "a", "b", extra=extra)
    urdf = parse_urdf(write(tmp_path, body, '<?xml version="1.0" encoding="utf-8"?>'))
    T = urdf.joints[0].T_parent_child
    np.testing.assert_allclose(T[:3, :3], Rotation.from_euler("xyz", [0.1, 0.2, 0.3]).as_matrix(), atol=1e-15)
    np.testing.assert_array_equal(T[:3, 3], [1, 2, 3])
    np.testing.assert_array_equal(urdf.joints[0].axis, [0, 0, 1])
    assert (urdf.root, urdf.joints[0].lower, urdf.joints[0].upper) == ("a", -1, 2)


def test_chained_mimic_becomes_one_relation(tmp_path):
    body = (
        LINKS
        + joint("j1", "a", "b")
        + joint("j2", "b", "c", extra=LIMIT + '<mimic joint="j1" multiplier="2" offset="0.5"/>')
        + joint("j3", "c", "d", extra=LIMIT + '<mimic joint="j2" multiplier="-3" offset="1"/>')
    )
    mimic = parse_urdf(write(tmp_path, body)).joints[2].mimic
    # q3 = -3 (2 q1 + 0.5) + 1
    assert (mimic.source, mimic.multiplier, mimic.offset) == ("j1", -6, -0.5)


def test_geometry(tmp_path):
    solid = '<collision><origin xyz="0 0 1"/><geometry>{}</geometry></collision>'
    shapes = '<box size="1 2 3"/>', '<cylinder radius="1" length="2"/>', '<sphere radius="3"/>'
    body = f'<link name="a">{"".join(map(solid.format, shapes))}</link>'
    found = parse_urdf(write(tmp_path, body)).links[0].collisions
    assert [(s.kind, s.size) for s in found] == [("box", (1, 2, 3)), ("cylinder", (1, 2)), ("sphere", (3,))]
    assert all(s.T_link_shape[2, 3] == 1 for s in found)


def test_meshes_are_listed_not_read(tmp_path):
    body = '<link name="a"><visual><geometry><mesh filename="no/such.obj"/></geometry></visual></link>'
    assert parse_urdf(write(tmp_path, body)).links[0].meshes == ("no/such.obj",)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<link name=", "not readable XML"),
        ("", "there is no <link>"),
        ('<link name="a"/><link name="a"/>', "link name a is used more than once"),
        (LINKS, "4 root links"),
        (CHAIN + joint("j4", "a", "d"), "two parents"),
        (LINKS + joint("j1", "a", "b") + joint("j2", "c", "d") + joint("j3", "d", "c"), "loop"),
        (CHAIN + joint("j4", "d", "e"), "names link 'e', which does not exist"),
        (LINKS + joint("j1", "a", "b", extra=""), "has no <limit"),
        (LINKS + joint("j1", "a", "b", extra='<limit lower="1" upper="0"/>'), "lower limit 1.0 exceeds"),
        (LINKS + joint("j1", "a", "b", extra='<limit lower="x" upper="0"/>'), "'lower' is 'x', expected 1 finite"),
        (LINKS + joint("j1", "a", "b", extra='<axis xyz="0 0 0"/>' + LIMIT), "zero axis"),
        (LINKS + joint("j1", "a", "b", kind="floating"), "has type 'floating'; expected one of"),
        (LINKS + joint("j1", "a", "b", extra='<origin xyz="1 2"/>' + LIMIT), "'xyz' is '1 2', expected 3"),
        (CHAIN.replace(LIMIT, LIMIT + '<mimic joint="k"/>', 1), "mimics 'k', which is no movable joint"),
        (CHAIN.replace(LIMIT, LIMIT + '<mimic joint="j1"/>', 1), "mimics"),
        ('<link name="a"><collision><geometry><capsule radius="1"/></geometry></collision></link>', "two spheres"),
        ('<link name="a"><collision><geometry><sphere radius="0"/></geometry></collision></link>', "positive"),
    ],
)
def test_refusals_name_file_and_fault(tmp_path, body, message):
    path = write(tmp_path, body)
    with pytest.raises(ValueError, match=r"robot\.urdf") as error:
        parse_urdf(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file_and_wrong_root(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        parse_urdf(tmp_path / "no.urdf")
    path = tmp_path / "page.urdf"
    path.write_text("<html/>")
    with pytest.raises(ValueError, match="expected <robot>"):
        parse_urdf(path)


def test_locked_joints_take_their_followers_along(tmp_path):
    body = CHAIN.replace(joint("j3", "c", "d"), joint("j3", "c", "d", extra=LIMIT + '<mimic joint="j1" offset="0.1"/>'))
    urdf = parse_urdf(write(tmp_path, body))
    locked = lock_joints(urdf, {"j1": 0.4})
    assert [j.kind for j in locked.joints] == ["fixed", "revolute", "fixed"]
    np.testing.assert_allclose(locked.joints[2].T_parent_child, joint_pose(urdf.joints[2], 0.5))
    with pytest.raises(ValueError, match=r"limits are \[-1.0, 2.0\]"):
        lock_joints(urdf, {"j1": math.pi})
    with pytest.raises(ValueError, match="Available: j1, j2"):
        lock_joints(urdf, {"j3": 0.0})
