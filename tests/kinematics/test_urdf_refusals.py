"""What the URDF reader refuses: always by a ValueError of one line that names the file and the fault."""

from __future__ import annotations

import copy
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import parse_urdf

LIMIT = '<limit lower="-1" upper="2"/>'
LINKS = "".join(f'<link name="{name}"/>' for name in "abcd")


def joint(name: str, parent: str, child: str, kind: str = "revolute", extra: str = LIMIT) -> str:
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{extra}</joint>'


def one(extra: str, kind: str = "revolute") -> str:
    return '<link name="a"/><link name="b"/>' + joint("j", "a", "b", kind, extra)


def solid(geometry: str) -> str:
    return f'<link name="a"><collision><geometry>{geometry}</geometry></collision></link>'


CHAIN = LINKS + joint("j1", "a", "b") + joint("j2", "b", "c") + joint("j3", "c", "d")
ZERO = '<limit lower="0" upper="0"/>'

REFUSED = [
    # no tree
    ("", "there is no <link>"),
    ('<link name="a"/><link name="a"/>', "link name a is used more than once"),
    (CHAIN + '<link name="e"/>' + joint("j3", "a", "e"), "joint name j3 is used more than once"),
    (LINKS, "4 root links (a, b, c, d); expected one"),
    ("".join(f'<link name="l{i}"/>' for i in range(3000)), "l17, ..., l2999); expected one"),
    (CHAIN + joint("loop", "a", "d"), "link 'd' has two parents (joints 'j3' and 'loop' close a loop)"),
    (LINKS + joint("j1", "a", "b") + joint("j2", "c", "d") + joint("j3", "d", "c"), "links c -> d -> c are a loop"),
    (CHAIN + joint("j4", "d", "a"), "links a -> b -> c -> d -> a are a loop"),
    (CHAIN + joint("j4", "d", "d"), "link 'd' has two parents"),
    ('<link name="a"/>' + joint("j", "a", "a"), "links a -> a are a loop"),
    (CHAIN + joint("j4", "d", "e"), "joint 'j4': link 'e' not found. Available: a, b, c, d"),
    ('<link name=""/>', "a <link> has no attribute 'name'"),
    # joints
    (one(""), "is revolute but has no <limit lower upper>. A joint without end is of type continuous"),
    (one('<limit effort="1" velocity="1"/>', "prismatic"), "is prismatic but has no <limit lower upper>"),
    (one('<limit lower="1" upper="0"/>'), "lower limit 1.0 exceeds upper 0.0; swap them"),
    (one('<limit lower="1"/>'), "lower limit 1.0 exceeds upper 0.0"),
    (one('<limit lower="inf" upper="inf"/>'), "lower limit inf exceeds upper inf"),
    (one('<limit lower="x" upper="0"/>'), "'lower' is 'x', expected a number"),
    (one('<limit lower="nan" upper="0"/>'), "'lower' is 'nan', expected a number"),
    (one('<limit lower="-0,5" upper="0"/>'), "'lower' is '-0,5', expected a number. Write decimal points"),
    (one('<limit lower="-1_0" upper="0"/>'), "'lower' is '-1_0'"),
    (one(LIMIT + LIMIT), "joint 'j' has 2 <limit>, expected one"),
    (one(ZERO), "no joint can move: j has lower = upper; fill in the limits"),
    (one('<axis xyz="0 0 0"/>' + LIMIT), "zero axis"),
    (one("<axis/>" + LIMIT), "joint 'j', <axis> has no attribute 'xyz'"),
    (one("", "floating"), "has type 'floating'; expected one of revolute, continuous, prismatic, fixed. A hand floats"),
    (one("", "planar"), "has type 'planar'; expected one of"),
    (one('<origin xyz="1 2"/>' + LIMIT), "joint 'j', <origin>: 'xyz' is '1 2', expected 3 finite numbers"),
    (one('<origin xyz="1,2,3"/>' + LIMIT), "separate numbers by spaces"),
    (one('<origin xyz="${x} 0 0"/>' + LIMIT), "Expand the file first: xacro"),
    (one('<origin xyz="1e300 0 0"/>' + LIMIT), "expected 3 finite numbers"),
    (one('<origin xyz="inf 0 0"/>' + LIMIT), "expected 3 finite numbers"),
    (one('<origin rotation="0 0 1"/>' + LIMIT), "has the attribute 'rotation', expected xyz, rpy or quat_xyzw"),
    (one('<origin quat_xyzw="0 0 0 2"/>' + LIMIT), "quat_xyzw has length 2.0000"),
    (one('<origin quat_xyzw="0 0 0 1" rpy="0 0 0"/>' + LIMIT), "both rpy and quat_xyzw"),
    ('<link name="a"/><joint name="j" type="fixed"><parent link="a"/></joint>', "joint 'j' has no <child>"),
    ('<link name="a"/><joint name="j"/>', "joint 'j' has no attribute 'type'"),
    # mimic
    (CHAIN.replace(LIMIT, LIMIT + '<mimic joint="k"/>', 1), "joint 'j1', <mimic>: joint 'k' not found"),
    (CHAIN.replace(LIMIT, LIMIT + '<mimic joint="j1"/>', 1), "joint 'j1' mimics itself"),
    (CHAIN.replace(LIMIT, LIMIT + "<mimic/>", 1), "joint 'j1', <mimic> has no attribute 'joint'"),
    (CHAIN.replace(LIMIT, LIMIT + '<mimic joint="j2" offset="x"/>', 1), "<mimic>: 'offset' is 'x'"),
    # solids
    (solid('<capsule radius="1"/>'), "link 'a', <capsule> has no attribute 'length'"),
    (solid('<capsule radius="0" length="1"/>'), "sizes must be positive, found radius = '0'"),
    (solid('<sphere radius="0"/>'), "link 'a', <sphere>: sizes must be positive"),
    (
        solid('<ellipsoid size="1 2 3"/>'),
        "<ellipsoid> is no shape that we know; expected box, cylinder, sphere, capsule",
    ),
    (solid('<box size="1 2"/>'), "link 'a', <box>: 'size' is '1 2', expected 3 finite numbers"),
    (solid(""), "link 'a': a <collision> needs one <geometry> with one shape"),
    (solid("<mesh/>"), "link 'a', <mesh> has no attribute 'filename'"),
    (solid('<mesh filename="a.stl" scale="0 0 0"/>'), "scale is '0 0 0', expected factors other than 0"),
    ('<material name="m"><color rgba="1"/></material><link name="a"/>', "material 'm': 'rgba' is '1', expected 4"),
    # text
    ("<link name=", "is not readable XML"),
    ("<xacro:macro/>", "is not readable XML: unbound prefix"),
    ('<xacro:include xmlns:xacro="http://ros.org/wiki/xacro"/>', "has a <xacro:include>; expand it first"),
    (one(LIMIT.replace('"-1"', '"a&#10;b"')), "'lower' is 'a b'"),
]


def refusal(path) -> str:
    with pytest.raises(ValueError, match="URDF file") as error:
        parse_urdf(path)
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_refusals_name_file_and_fault(tmp_path, body, message):
    path = tmp_path / "robot.urdf"
    path.write_text(f'<robot name="r">{body}</robot>', encoding="utf-8")
    assert message in refusal(path)


LAUGHS = (
    '<!DOCTYPE robot [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {y} "{f"&{x};" * 10}">' for x, y in zip("abcdefgh", "bcdefghi", strict=True))
    + ']><robot name="&i;"/>'
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (LAUGHS.encode(), "declares a document type"),
        (LAUGHS.encode("utf-16"), "declares a document type"),
        (b'<!DOCTYPE robot SYSTEM "file:///etc/passwd"><robot/>', "declares a document type"),
        (b"<html/>", "outermost element is <html>, expected <robot>"),
        (b'<sdf version="1.7"/>', "outermost element is <sdf>, expected <robot>"),
        (b"<robot/><robot/>", "is not readable XML: junk after document element"),
        (b'<?xml version="1.0" encoding="klingon"?><robot/>', "names the encoding 'klingon', which does not exist"),
        (b'<?xml version="1.0" encoding="rot13"?><robot/>', "names the encoding 'rot13'"),
        ('<robot name="Zeigefinger ü"/>'.encode("latin-1"), "is not in the encoding utf-8"),
        (b"<robot \0/>", "is not readable XML"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not in the encoding utf-8"),
        (b"<a>" * 20000, "is not readable XML"),
        (b"<a>" * 20000 + b"</a>" * 20000, "outermost element is <a>"),
    ],
)
def test_files_that_are_no_urdf(tmp_path, data, message):
    path = tmp_path / "robot.urdf"
    path.write_bytes(data)
    assert message in refusal(path)


def test_missing_folder_and_huge(tmp_path):
    assert "no.urdf' does not exist" in refusal(tmp_path / "no.urdf")
    assert "is a folder" in refusal(tmp_path)
    path = tmp_path / "huge.urdf"
    with path.open("wb") as file:
        file.truncate(10**9)  # sparse: takes no room on disk
    assert "has 1000000000 bytes" in refusal(path)


JUNK = [
    "",
    " ",
    "0",
    "-1",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "0 0 0",
    "1 2 3",
    "0,5",
    "x",
    "a\nb",
    "palm",
    "fixed",
    "${x}",
    "ü",
]


ORIGINAL = f"""<robot name="everything"><material name="red"><color rgba="1 0 0 1"/></material>{LINKS}
  <link name="e"><inertial><mass value="1"/></inertial>
    <visual><origin xyz="0 0 1"/><geometry><cylinder radius="1" length="2"/></geometry><material name="red"/></visual>
    <collision><origin quat_xyzw="0 0 0 1"/><geometry><capsule radius="0.1" length="1"/></geometry></collision>
    <collision><geometry><box size="1 2 3"/></geometry></collision>
    <visual><geometry><mesh filename="no.stl" scale="1 1 -1"/></geometry></visual></link>
  {joint("j1", "a", "b", extra='<origin xyz="1 2 3" rpy="0 1 2"/><axis xyz="1 1 0"/>' + LIMIT)}
  {joint("j2", "b", "c", "prismatic", '<limit upper="0.1" effort="1" velocity="2"/>')}
  {joint("j3", "c", "d", extra=LIMIT + '<mimic joint="j4" multiplier="2"/>')}
  {joint("j4", "b", "e", "continuous", '<axis xyz="0 0 1"/><mimic joint="j1" offset="-0.1"/>')}</robot>"""


@st.composite
def mutated(draw) -> bytes:
    """The file above with one to three faults: something removed, doubled, renamed, copied or overwritten."""
    robot = ET.fromstring(ORIGINAL)
    for _ in range(draw(st.integers(1, 3))):
        parents = [element for element in robot.iter() if len(element)]
        parent = draw(st.sampled_from(parents))
        child = draw(st.sampled_from(list(parent)))
        action = draw(st.sampled_from(["overwrite", "drop attribute", "remove", "double", "rename", "copy"]))
        if action == "remove":
            parent.remove(child)
            if not len(robot):
                break
        elif action in ("double", "copy"):
            (parent if action == "double" else draw(st.sampled_from(parents))).append(copy.deepcopy(child))
        elif action == "rename":
            child.tag = draw(st.sampled_from(["link", "joint", "origin", "limit", "capsule", "mesh", "nonsense"]))
        elif child.attrib:
            key = draw(st.sampled_from(sorted(child.attrib)))
            value = child.attrib.pop(key)
            if action == "overwrite":
                child.set(key, draw(st.sampled_from([*JUNK, value[:-1]])))
    return ET.tostring(robot)


@settings(derandomize=True, database=None, deadline=None, max_examples=120)
@given(mutated())
def test_a_faulty_file_is_read_or_refused_but_never_breaks(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "mutated.urdf"
    path.write_bytes(data)
    try:
        urdf = parse_urdf(path)
    except ValueError:
        refusal(path)
        return
    tree = KinematicTree.from_urdf(urdf)
    q = torch.zeros(len(tree.joint_names), dtype=torch.float64).clamp(tree.lower, tree.upper)
    assert math.isfinite(float(tree.forward_kinematics(q).abs().sum()))
    for shape in (shape for link in urdf.links for shape in (*link.collisions, *link.visuals)):
        assert min(shape.size) > 0
        assert np.isfinite(shape.T_link_shape).all()
