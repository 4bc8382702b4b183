"""URDF files as plain records: links with primitive shapes, joints, and mimic relations resolved once.

Only what a hand needs is read: revolute, continuous, prismatic and fixed joints; boxes, cylinders, spheres and
capsules (as a cylinder and two spheres). Meshes are listed and never opened, since kinematics do not depend on them.
Extensions (gazebo, transmission, drake) have no effect. What has no single meaning is refused instead of guessed:

==============================================  ======================================================================
in the file                                     treatment
==============================================  ======================================================================
closed loop, cycle, several roots               refused: a URDF is a tree; cut loops and let a <mimic> follow
missing meshes                                  fine
capsule                                         cylinder of its length and two spheres
encoding header, UTF-16, byte order mark        decoded; a byte order mark outranks the header
<!DOCTYPE>, unexpanded xacro                    refused
continuous joint, infinite limits               no limits: every q is allowed
one limit missing                               0, the format's default
both limits missing, exchanged limits           refused; on a mimic joint they may be missing
lower = upper                                   fixed at that position (`frozen_joints` names them); refused if it
                                                leaves nothing movable: an exporter's limits were not filled in
velocity 0 or less                              not stated
mimic of a mimic                                one relation to the independent joint; cycles are refused
mimic beyond its own limits                     the independent joint's limits rule; `mimic.mimic_overshoot` reports
planar, floating and other joint types          refused
==============================================  ======================================================================
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.kinematics.mimic import resolve_mimic
from unihm.kinematics.urdf_reader import read_joints, read_links, read_mimics
from unihm.kinematics.urdf_records import JOINT_TYPES, MOVABLE, Joint, Link, MeshReference, Mimic, Shape, Urdf
from unihm.kinematics.urdf_xml import read_robot
from unihm.registry import unknown_name

__all__ = [
    "JOINT_TYPES",
    "MOVABLE",
    "Joint",
    "Link",
    "MeshReference",
    "Mimic",
    "Shape",
    "Urdf",
    "cross_matrix",
    "frozen_joints",
    "joint_pose",
    "lock_joints",
    "parse_urdf",
]


def parse_urdf(path: str | Path) -> Urdf:
    """Read a URDF file.

    Args:
        path: The file.

    Raises:
        ValueError: The file is missing or not XML, is not a tree with one root, or holds something that has no
            single meaning. One line that starts with the file's name.
    """
    path = Path(path)
    try:
        robot = read_robot(path)
    except ValueError as error:
        raise ValueError(f"URDF file '{path}' {_one_line(error)}") from error
    try:
        links, joints = read_links(robot), read_joints(robot)
        root = _check_tree(links, joints)
        joints = resolve_mimic(joints, read_mimics(robot))
        urdf = Urdf(name=robot.get("name") or path.stem, links=links, joints=joints, root=root)
        return _freeze_joints_without_room(urdf)
    except ValueError as error:
        raise ValueError(f"URDF file '{path}': {_one_line(error)}") from error


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
        if not (joint.lower <= value <= joint.upper and math.isfinite(value)):
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


def frozen_joints(urdf: Urdf) -> dict[str, float]:
    """Joints that the file calls movable but gives no room (lower = upper), and where they stand, rad or m."""
    return {joint.name: joint.lower for joint in urdf.joints if joint.lower == joint.upper and joint.mimic is None}


def _one_line(error: ValueError) -> str:
    """The message without line breaks, which names in a file may hold."""
    return " ".join(str(error).split())


def _freeze_joints_without_room(urdf: Urdf) -> Urdf:
    """Fix joints with lower = upper: as state they would be constants that scalings by the range divide by."""
    frozen = frozen_joints(urdf)
    if frozen and not any(j.kind in MOVABLE and j.mimic is None and j.name not in frozen for j in urdf.joints):
        raise ValueError(
            f"no joint can move: {_some(list(frozen))} ha{'s' if len(frozen) == 1 else 've'} lower = upper; "
            "fill in the limits that the exporter left out."
        )
    return lock_joints(urdf, frozen)


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


def _check_tree(links: tuple[Link, ...], joints: tuple[Joint, ...]) -> str:
    """The root's name, after checking that the joints make one tree of the links."""
    if not links:
        raise ValueError("there is no <link>.")
    for kind, names in (("link", [x.name for x in links]), ("joint", [x.name for x in joints])):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{kind} name {_some(twice)} is used more than once.")
    names = [link.name for link in links]
    known = set(names)
    above: dict[str, Joint] = {}
    for joint in joints:
        for end in (joint.parent, joint.child):
            if end not in known:
                raise unknown_name(f"joint '{joint.name}': link", end, names)
        if joint.child in above:
            raise ValueError(
                f"link '{joint.child}' has two parents (joints '{above[joint.child].name}' and '{joint.name}' close a "
                "loop); a tree was expected. Cut the loop at one joint and let another <mimic> what drives it."
            )
        above[joint.child] = joint
    reached = set()
    for name in names:
        path = {}  # ordered
        while name not in reached and name in above:
            if name in path:
                cycle = [*list(path)[list(path).index(name) :], name]
                raise ValueError(f"links {_some(cycle[::-1], ' -> ')} are a loop; a tree was expected.")
            path[name] = None
            name = above[name].parent
        reached.update(path)
    roots = [name for name in names if name not in above]
    if len(roots) > 1:
        raise ValueError(f"there are {len(roots)} root links ({_some(roots)}); expected one: join them by joints.")
    return roots[0]


def _some(names: list[str], separator: str = ", ") -> str:
    """Names for a message of readable length."""
    return separator.join(names if len(names) <= 20 else [*names[:18], "...", names[-1]])
