"""Records of a hand as a robot: links with solids, joints, and the file text made of them.

Only boxes, cylinders and spheres are written: capsules are no URDF and some tools drop or refuse them. Inertias
are those of the solids at uniform density.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from scipy.spatial.transform import Rotation

DENSITY = 1200.0
"""kg/m^3 of a link whose mass nobody states: between plastic shells and small motors."""


@dataclass
class Solid:
    """A box (x, y, z), cylinder (radius, length) or sphere (radius,) at a pose in its link, m and rad."""

    kind: str
    size: tuple[float, ...]
    xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rpy: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def volume_and_inertia(self) -> tuple[float, np.ndarray]:
        """Volume, m^3, and inertia about the own centre in link axes at density 1."""
        s = self.size
        if self.kind == "sphere":
            volume = 4 / 3 * math.pi * s[0] ** 3
            moments = [0.4 * s[0] ** 2] * 3
        elif self.kind == "cylinder":
            volume = math.pi * s[0] ** 2 * s[1]
            moments = [s[0] ** 2 / 4 + s[1] ** 2 / 12] * 2 + [s[0] ** 2 / 2]
        else:
            volume = s[0] * s[1] * s[2]
            moments = [(s[1] ** 2 + s[2] ** 2) / 12, (s[0] ** 2 + s[2] ** 2) / 12, (s[0] ** 2 + s[1] ** 2) / 12]
        R = Rotation.from_euler("xyz", self.rpy).as_matrix()
        return volume, volume * R @ np.diag(moments) @ R.T


@dataclass
class Link:
    """A body; where no mass is stated, it is that of its solids at `DENSITY`."""

    name: str
    mass: float = 0.0
    solids: list[Solid] = field(default_factory=list)
    color: str = "body"


@dataclass
class Joint:
    """A connection; fixed where it has no limits."""

    name: str
    parent: str
    child: str
    xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rpy: tuple[float, float, float] = (0.0, 0.0, 0.0)
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    limits: tuple[float, float] | None = None
    effort: float = 1.0
    velocity: float = 1.0
    kind: str = "revolute"
    mimic: tuple[str, float, float] | None = None


@dataclass
class Robot:
    """A hand."""

    name: str
    colors: dict[str, str]
    links: list[Link]
    joints: list[Joint]


def widen_mimic_limits(robot: Robot) -> Robot:
    """Let every mimic joint reach what its source can ask of it.

    Several official files state a range that the joint leaves when its source moves through its own. Simulators
    would then fight over it with two contradicting constraints.
    """
    by_name = {joint.name: joint for joint in robot.joints}
    joints = []
    for joint in robot.joints:
        if joint.mimic and joint.limits:
            source, multiplier, offset = joint.mimic
            asked = [multiplier * value + offset for value in by_name[source].limits or ()]
            joint = replace(joint, limits=(min(joint.limits[0], *asked), max(joint.limits[1], *asked)))
        joints.append(joint)
    return replace(robot, joints=joints)


def mirrored(robot: Robot, name: str) -> Robot:
    """The other hand: everything reflected at y = 0 of its own link frame; equal joint values are mirror images.

    A reflection S = diag(1, -1, 1) turns a rotation R into S R S, and the axis a of a turn into -S a; a slide's axis
    into S a.
    """

    def axis(joint: Joint):
        x, y, z = joint.axis
        return (x, -y, z) if joint.kind == "prismatic" else (-x, y, -z)

    links = [replace(link, solids=[reflected(solid, 1) for solid in link.solids]) for link in robot.links]
    joints = [replace(j, axis=axis(j), **reflected_pose(j, 1)) for j in robot.joints]
    return replace(robot, name=name, links=links, joints=joints)


def reflected(solid: Solid, k: int) -> Solid:
    """A solid reflected along axis k of its link; its own shape has every symmetry."""
    return replace(solid, **reflected_pose(solid, k))


def reflected_pose(item: Solid | Joint, k: int) -> dict[str, Any]:
    """`xyz` and `rpy` after reflection along axis k: S p and S Rz(c) Ry(b) Rx(a) S."""
    xyz = tuple(-value if i == k else value for i, value in enumerate(item.xyz))
    # A reflection keeps the sense of a turn about its own axis and reverses the others.
    rpy = tuple(value if i == k else -value for i, value in enumerate(item.rpy))
    return {"xyz": xyz, "rpy": rpy}


def numbers(values) -> str:
    """Twelve digits: far below a micrometre, and steps like 0.1 stay readable."""
    return " ".join(f"{value + 0.0:.12g}" for value in values)


def urdf(robot: Robot) -> str:
    """The URDF text."""
    lines = ['<?xml version="1.0"?>', "<!-- Written by tools/write_hands.py; sources of the numbers: README.md. -->"]
    lines.append(f"<robot name={quoteattr(robot.name)}>")
    for name, rgba in robot.colors.items():
        lines.append(f'  <material name="{name}"><color rgba="{rgba}"/></material>')
    moving = {joint.child for joint in robot.joints if joint.limits}
    for link in robot.links:
        lines += link_lines(link, link.name in moving)
    for joint in robot.joints:
        lines += joint_lines(joint)
    return "\n".join([*lines, "</robot>", ""])


def link_lines(link: Link, moves: bool) -> list[str]:
    """One <link>."""
    if not (link.mass or link.solids or moves):
        return [f'  <link name="{link.name}"/>']
    mass, center, inertia = inertial(link)
    names = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
    values = inertia[np.triu_indices(3)]
    moments = " ".join(f'{n}="{v + 0.0:.6g}"' for n, v in zip(names, values, strict=True))
    lines = [
        f'  <link name="{link.name}">',
        f'    <inertial><origin xyz="{numbers(center.round(7))}"/><mass value="{mass:.6g}"/>'
        f"<inertia {moments}/></inertial>",
    ]
    for solid in link.solids:
        if solid.kind == "box":
            shape = f'<box size="{numbers(solid.size)}"/>'
        elif solid.kind == "cylinder":
            shape = f'<cylinder radius="{solid.size[0]:.12g}" length="{solid.size[1]:.12g}"/>'
        else:
            shape = f'<sphere radius="{solid.size[0]:.12g}"/>'
        rpy = f' rpy="{numbers(solid.rpy)}"' if any(solid.rpy) else ""
        body = f'<origin xyz="{numbers(solid.xyz)}"{rpy}/><geometry>{shape}</geometry>'
        lines.append(f"    <collision>{body}</collision>")
        lines.append(f'    <visual>{body}<material name="{link.color}"/></visual>')
    return [*lines, "  </link>"]


def inertial(link: Link) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre of mass and inertia about it, from the solids at uniform density."""
    # A frame between two joints has no body of its own, but a simulator wants a mass wherever something moves.
    solids = link.solids or [Solid("sphere", (0.005,))]
    parts = [(*solid.volume_and_inertia(), np.array(solid.xyz)) for solid in solids]
    total = sum(volume for volume, _, _ in parts)
    mass = link.mass or total * DENSITY
    center = np.sum([volume * xyz for volume, _, xyz in parts], axis=0) / total
    inertia = np.zeros((3, 3))
    for volume, own, xyz in parts:
        d = xyz - center
        inertia += own + volume * (d @ d * np.eye(3) - np.outer(d, d))
    inertia[np.abs(inertia) < 1e-9 * np.abs(inertia).max()] = 0.0  # rounding of turned solids
    return mass, center, inertia * mass / total


def joint_lines(joint: Joint) -> list[str]:
    """One <joint>."""
    kind = joint.kind if joint.limits else "fixed"
    rpy = f' rpy="{numbers(joint.rpy)}"' if any(joint.rpy) else ""
    lines = [
        f'  <joint name="{joint.name}" type="{kind}">',
        f'    <parent link="{joint.parent}"/><child link="{joint.child}"/>',
        f'    <origin xyz="{numbers(joint.xyz)}"{rpy}/>',
    ]
    if joint.limits:
        lower, upper = joint.limits
        lines.append(
            f'    <axis xyz="{numbers(joint.axis)}"/><limit lower="{lower:.12g}" upper="{upper:.12g}" '
            f'effort="{joint.effort:.12g}" velocity="{joint.velocity:.12g}"/>'
        )
    if joint.mimic:
        source, multiplier, offset = joint.mimic
        lines.append(f'    <mimic joint="{source}" multiplier="{multiplier:.12g}" offset="{offset:.12g}"/>')
    return [*lines, "  </joint>"]


def rod(radius: float, start: float, end: float, *, along: str = "z") -> Solid:
    """A cylinder from `start` to `end` on one axis of its link."""
    middle, length = (start + end) / 2, end - start
    if along == "x":
        return Solid("cylinder", (radius, length), (middle, 0, 0), (0, math.pi / 2, 0))
    return Solid("cylinder", (radius, length), (0, 0, middle))


def between(a, b, radius: float) -> Solid:
    """A cylinder from point a to point b."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    d = b - a
    length = float(np.linalg.norm(d))
    pitch, yaw = math.acos(d[2] / length), math.atan2(d[1], d[0])
    middle = tuple(((a + b) / 2).round(6).tolist())
    return Solid("cylinder", (radius, round(length, 6)), middle, (0.0, round(pitch, 6), round(yaw, 6)))
