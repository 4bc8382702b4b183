"""URDF files as plain records: links with primitive shapes, joints, and mimic relations resolved once.

Only what a hand needs is read: revolute, continuous, prismatic and fixed joints; boxes, cylinders and
spheres. Meshes are listed by name and never opened, since kinematics do not depend on them. What other tools
read differently (capsules, missing limits) is refused instead of guessed.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

MOVABLE = ("revolute", "continuous", "prismatic")
JOINT_TYPES = (*MOVABLE, "fixed")
_GREY = (0.7, 0.7, 0.7, 1.0)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A primitive solid fixed to a link."""

    kind: str
    """``sphere``, ``cylinder`` (along its own z) or ``box``."""
    size: tuple[float, ...]
    """Sphere: (radius,); cylinder: (radius, length); box: (x, y, z) edge lengths; m."""
    T_link_shape: Float[np.ndarray, "4 4"]
    """Pose of the shape's centre in the link."""
    color: tuple[float, ...] = _GREY
    """RGBA in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A rigid body."""

    name: str
    """Unique in the file."""
    collisions: tuple[Shape, ...] = ()
    """Solids for contact."""
    visuals: tuple[Shape, ...] = ()
    """Solids for drawing."""
    meshes: tuple[str, ...] = ()
    """File names of meshes that the link mentions; not read."""
    mass: float = 0.0
    """kg; 0 where no inertial is stated."""


@dataclass(frozen=True, kw_only=True)
class Mimic:
    """``q = multiplier * q_source + offset`` with an independent source."""

    source: str
    """Name of the independent joint."""
    multiplier: float
    """rad/rad, m/m or mixed."""
    offset: float
    """rad or m."""


@dataclass(frozen=True, kw_only=True)
class Joint:
    """What connects a link to its parent."""

    name: str
    """Unique in the file."""
    kind: str
    """One of `JOINT_TYPES`."""
    parent: str
    """Parent link."""
    child: str
    """Child link."""
    T_parent_child: Float[np.ndarray, "4 4"]
    """Pose of the child link in its parent at q = 0."""
    axis: Float[np.ndarray, " 3"]
    """Unit axis in the child's frame."""
    lower: float = -math.inf
    """Lower limit, rad or m; infinite for continuous joints."""
    upper: float = math.inf
    """Upper limit, rad or m."""
    effort: float = math.inf
    """Largest torque or force, N m or N."""
    velocity: float = math.inf
    """Largest speed, rad/s or m/s."""
    mimic: Mimic | None = None
    """Set where the joint follows another one."""


@dataclass(frozen=True, kw_only=True)
class Urdf:
    """A robot description; links and joints in the order of the file."""

    name: str
    """The robot's name."""
    links: tuple[Link, ...]
    """All bodies."""
    joints: tuple[Joint, ...]
    """All connections; one fewer than links."""
    root: str
    """The one link without a parent."""


def parse_urdf(path: str | Path) -> Urdf:
    """Read a URDF file.

    Args:
        path: The file.

    Raises:
        ValueError: The file is missing or not XML, is not a tree with one root, or holds something that has no
            single meaning (capsules, joints without limits, mimic of an unknown joint).
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"URDF file '{path}' does not exist.")
    try:
        # From bytes, so that the encoding named in the XML header is honoured.
        robot = ET.fromstring(path.read_bytes())
    except (ET.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"'{path}' is not readable XML: {error}.") from error
    if robot.tag != "robot":
        raise ValueError(f"'{path}' is not a URDF: its outermost element is <{robot.tag}>, expected <robot>.")
    try:
        materials = {m.get("name"): color for m in robot.findall("material") if (color := _rgba(m))}
        links = tuple(_link(element, materials) for element in robot.findall("link"))
        joints = tuple(_joint(element) for element in robot.findall("joint"))
        root = _check_tree(links, joints)
        joints = _resolve_mimic(joints, _mimic_elements(robot))
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error
    return Urdf(name=robot.get("name", path.stem), links=links, joints=joints, root=root)


def lock_joints(urdf: Urdf, values: Mapping[str, float]) -> Urdf:
    """The same robot with some joints, and whatever mimics them, fixed at given values.

    Args:
        urdf: The robot.
        values: Joint name to position, rad or m.

    Raises:
        ValueError: A name is no movable, independent joint, or a value lies outside its limits.
    """
    by_name = {joint.name: joint for joint in urdf.joints}
    for name, value in values.items():
        joint = by_name.get(name)
        if joint is None or joint.kind not in MOVABLE or joint.mimic is not None:
            known = [j.name for j in urdf.joints if j.kind in MOVABLE and j.mimic is None]
            raise ValueError(f"cannot lock '{name}': not an independent joint. Available: {', '.join(known)}.")
        if not joint.lower <= value <= joint.upper:
            raise ValueError(f"cannot lock '{name}' at {value}: its limits are [{joint.lower}, {joint.upper}].")
    positions = dict(values)
    for joint in urdf.joints:
        if joint.mimic and joint.mimic.source in values:
            positions[joint.name] = joint.mimic.multiplier * values[joint.mimic.source] + joint.mimic.offset
    joints = tuple(
        replace(joint, kind="fixed", T_parent_child=joint_pose(joint, positions[joint.name]), mimic=None)
        if joint.name in positions
        else joint
        for joint in urdf.joints
    )
    return replace(urdf, joints=joints)


def joint_pose(joint: Joint, position: float) -> Float[np.ndarray, "4 4"]:
    """T_parent_child of a joint at a position (rad or m)."""
    motion = np.eye(4)
    if joint.kind == "prismatic":
        motion[:3, 3] = joint.axis * position
    elif joint.kind != "fixed":
        K = cross_matrix(joint.axis)
        motion[:3, :3] += math.sin(position) * K + (1 - math.cos(position)) * K @ K
    return joint.T_parent_child @ motion


def cross_matrix(a: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """The matrix of ``a ×``."""
    return np.array([[0.0, -a[2], a[1]], [a[2], 0.0, -a[0]], [-a[1], a[0], 0.0]])


def _link(element: ET.Element, materials: Mapping[str | None, tuple[float, ...]]) -> Link:
    name = _attribute(element, "name", "a <link>")
    collisions, visuals, meshes = [], [], []
    for tag, shapes in (("collision", collisions), ("visual", visuals)):
        for item in element.findall(tag):
            solid = item.find("geometry")
            if solid is None or len(solid) != 1:
                raise ValueError(f"link '{name}': a <{tag}> needs one <geometry> with one shape.")
            if solid[0].tag == "mesh":
                meshes.append(solid[0].get("filename", ""))
                continue
            kind, size = _solid(solid[0], name)
            material = item.find("material")
            color = _GREY
            if material is not None:
                color = _rgba(material) or materials.get(material.get("name"), _GREY)
            shapes.append(Shape(kind=kind, size=size, T_link_shape=_origin(item, f"link '{name}'"), color=color))
    mass = element.find("inertial/mass")
    return Link(
        name=name,
        collisions=tuple(collisions),
        visuals=tuple(visuals),
        meshes=tuple(meshes),
        mass=0.0 if mass is None else _numbers(mass, "value", 1, f"link '{name}'")[0],
    )


def _solid(element: ET.Element, link: str) -> tuple[str, tuple[float, ...]]:
    where = f"link '{link}', <{element.tag}>"
    if element.tag == "sphere":
        size = _numbers(element, "radius", 1, where)
    elif element.tag == "cylinder":
        size = _numbers(element, "radius", 1, where) + _numbers(element, "length", 1, where)
    elif element.tag == "box":
        size = _numbers(element, "size", 3, where)
    else:
        # Capsules are no URDF: some parsers drop them silently, others fail.
        hint = " Write a cylinder and two spheres." if element.tag == "capsule" else ""
        raise ValueError(f"link '{link}' has a <{element.tag}>; expected box, cylinder, sphere or mesh.{hint}")
    if min(size) <= 0:
        raise ValueError(f"{where}: sizes must be positive, found {size}.")
    return element.tag, size


def _joint(element: ET.Element) -> Joint:
    name = _attribute(element, "name", "a <joint>")
    where = f"joint '{name}'"
    kind = _attribute(element, "type", where)
    if kind not in JOINT_TYPES:
        raise ValueError(f"{where} has type '{kind}'; expected one of {', '.join(JOINT_TYPES)}.")
    ends = {}
    for tag in ("parent", "child"):
        end = element.find(tag)
        if end is None:
            raise ValueError(f"{where} has no <{tag}>.")
        ends[tag] = _attribute(end, "link", f"{where}, <{tag}>")
    axis_element = element.find("axis")
    axis = np.array([1.0, 0.0, 0.0])  # the URDF default
    if axis_element is not None:
        axis = np.array(_numbers(axis_element, "xyz", 3, f"{where}, <axis>"))
    norm = float(np.linalg.norm(axis))
    if kind in MOVABLE and norm < 1e-9:
        raise ValueError(f"{where} has a zero axis.")
    limits: dict[str, float] = {}
    limit = element.find("limit")
    if kind in ("revolute", "prismatic"):
        if limit is None:
            raise ValueError(f"{where} is {kind} but has no <limit lower upper>.")
        for key in ("lower", "upper"):
            limits[key] = _numbers(limit, key, 1, f"{where}, <limit>")[0]
        if limits["lower"] > limits["upper"]:
            raise ValueError(f"{where}: lower limit {limits['lower']} exceeds upper {limits['upper']}.")
    for key in ("effort", "velocity"):
        if limit is not None and limit.get(key) is not None:
            limits[key] = _numbers(limit, key, 1, f"{where}, <limit>")[0]
    return Joint(
        name=name,
        kind=kind,
        parent=ends["parent"],
        child=ends["child"],
        T_parent_child=_origin(element, where),
        axis=axis / norm if norm >= 1e-9 else axis,
        lower=limits.get("lower", -math.inf),
        upper=limits.get("upper", math.inf),
        effort=limits.get("effort", math.inf),
        velocity=limits.get("velocity", math.inf),
    )


def _check_tree(links: tuple[Link, ...], joints: tuple[Joint, ...]) -> str:
    """The root's name, after checking that the joints make one tree of the links."""
    if not links:
        raise ValueError("there is no <link>.")
    for kind, names in (("link", [x.name for x in links]), ("joint", [x.name for x in joints])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{kind} name {', '.join(twice)} is used more than once.")
    parent_of: dict[str, str] = {}
    known = {link.name for link in links}
    for joint in joints:
        for end in (joint.parent, joint.child):
            if end not in known:
                raise ValueError(f"joint '{joint.name}' names link '{end}', which does not exist.")
        if joint.child in parent_of:
            raise ValueError(f"link '{joint.child}' has two parents (a loop); a tree was expected.")
        parent_of[joint.child] = joint.parent
    roots = [link.name for link in links if link.name not in parent_of]
    if len(roots) > 1:
        raise ValueError(f"there are {len(roots)} root links ({', '.join(roots)}); expected one.")
    for link in links:
        seen, name = {link.name}, link.name
        while name in parent_of:
            name = parent_of[name]
            if name in seen:
                raise ValueError(f"link '{name}' is part of a loop; a tree was expected.")
            seen.add(name)
    return roots[0]


def _mimic_elements(robot: ET.Element) -> dict[str, Mimic]:
    """The relations as written, before chains are resolved."""
    relations = {}
    for element in robot.findall("joint"):
        mimic = element.find("mimic")
        if mimic is not None:
            where = f"joint '{element.get('name')}', <mimic>"
            relations[element.get("name", "")] = Mimic(
                source=_attribute(mimic, "joint", where),
                multiplier=_numbers(mimic, "multiplier", 1, where)[0] if "multiplier" in mimic.attrib else 1.0,
                offset=_numbers(mimic, "offset", 1, where)[0] if "offset" in mimic.attrib else 0.0,
            )
    return relations


def _resolve_mimic(joints: tuple[Joint, ...], relations: Mapping[str, Mimic]) -> tuple[Joint, ...]:
    """Follow chains of mimic joints to an independent source."""
    movable = {joint.name for joint in joints if joint.kind in MOVABLE}
    resolved = []
    for joint in joints:
        mimic = relations.get(joint.name)
        if mimic is None or joint.name not in movable:
            resolved.append(joint)
            continue
        visited = {joint.name}
        while True:
            if mimic.source not in movable:
                raise ValueError(
                    f"joint '{joint.name}' mimics '{mimic.source}', which is no movable joint. "
                    f"Available: {', '.join(sorted(movable))}."
                )
            if mimic.source in visited:
                raise ValueError(f"joint '{joint.name}' mimics itself through {', '.join(sorted(visited))}.")
            visited.add(mimic.source)
            upper = relations.get(mimic.source)
            if upper is None:
                break
            # q = m (m' q' + o') + o
            mimic = Mimic(
                source=upper.source,
                multiplier=mimic.multiplier * upper.multiplier,
                offset=mimic.multiplier * upper.offset + mimic.offset,
            )
        resolved.append(replace(joint, mimic=mimic))
    return tuple(resolved)


def _origin(element: ET.Element, where: str) -> Float[np.ndarray, "4 4"]:
    """The <origin> of an element; roll, pitch, yaw about fixed axes."""
    T = np.eye(4)
    origin = element.find("origin")
    if origin is None:
        return T
    if origin.get("xyz") is not None:
        T[:3, 3] = _numbers(origin, "xyz", 3, f"{where}, <origin>")
    if origin.get("rpy") is not None:
        roll, pitch, yaw = _numbers(origin, "rpy", 3, f"{where}, <origin>")
        cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
        cy, sy = math.cos(yaw), math.sin(yaw)
        T[:3, :3] = [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    return T


def _rgba(material: ET.Element) -> tuple[float, ...] | None:
    color = material.find("color")
    return None if color is None else _numbers(color, "rgba", 4, f"material '{material.get('name')}'")


def _attribute(element: ET.Element, key: str, where: str) -> str:
    value = element.get(key)
    if not value:
        raise ValueError(f"{where} has no attribute '{key}'.")
    return value


def _numbers(element: ET.Element, key: str, count: int, where: str) -> tuple[float, ...]:
    """`count` finite numbers of an attribute."""
    text = _attribute(element, key, where)
    try:
        values = tuple(float(word) for word in text.split())
    except ValueError:
        values = ()
    if len(values) != count or not all(math.isfinite(v) for v in values):
        raise ValueError(f"{where}: '{key}' is '{text}', expected {count} finite number{'s'[: count > 1]}.")
    return values
