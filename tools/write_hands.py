"""Writes the URDF files of the hand folders from compact tables of kinematic numbers.

    python tools/write_hands.py [--out src/unihm/assets/hands]

The tables hold facts: link and joint names, joint origins, axes, limits, efforts, speeds and masses of each hand
(their sources stand in the README of each hand folder), and solids of our own that cover its collision shapes.
Inertias are those of the solids at uniform density. Only boxes, cylinders and spheres are written: capsules
are no URDF and some tools drop or refuse them.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from scipy.spatial.transform import Rotation

HALF_PI = math.pi / 2
INF = math.inf


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
    """A body; without a mass it must not move on its own."""

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


def numbers(values) -> str:
    """Twelve digits: far below a micrometre, and steps like 0.1 stay readable."""
    return " ".join(f"{value + 0.0:.12g}" for value in values)


def urdf(robot: Robot) -> str:
    """The URDF text."""
    lines = ['<?xml version="1.0"?>', "<!-- Written by tools/write_hands.py; sources of the numbers: README.md. -->"]
    lines.append(f"<robot name={quoteattr(robot.name)}>")
    for name, rgba in robot.colors.items():
        lines.append(f'  <material name="{name}"><color rgba="{rgba}"/></material>')
    for link in robot.links:
        lines += link_lines(link)
    for joint in robot.joints:
        lines += joint_lines(joint)
    return "\n".join([*lines, "</robot>", ""])


def link_lines(link: Link) -> list[str]:
    """One <link>."""
    if not link.solids and not link.mass:
        return [f'  <link name="{link.name}"/>']
    lines = [f'  <link name="{link.name}">']
    if link.mass:
        center, inertia = inertial(link)
        names = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
        values = inertia[np.triu_indices(3)]
        moments = " ".join(f'{n}="{v + 0.0:.6g}"' for n, v in zip(names, values, strict=True))
        lines.append(
            f'    <inertial><origin xyz="{numbers(center.round(7))}"/><mass value="{link.mass:.6g}"/>'
            f"<inertia {moments}/></inertial>"
        )
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


def inertial(link: Link) -> tuple[np.ndarray, np.ndarray]:
    """Centre of mass and inertia about it, from the solids at uniform density."""
    solids = link.solids or [Solid("sphere", (0.005,))]
    parts = [(*solid.volume_and_inertia(), np.array(solid.xyz)) for solid in solids]
    total = sum(volume for volume, _, _ in parts)
    center = sum(volume * xyz for volume, _, xyz in parts) / total
    inertia = np.zeros((3, 3))
    for volume, own, xyz in parts:
        d = xyz - center
        inertia += own + volume * (d @ d * np.eye(3) - np.outer(d, d))
    return center, inertia * link.mass / total


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
        return Solid("cylinder", (radius, length), (middle, 0, 0), (0, HALF_PI, 0))
    return Solid("cylinder", (radius, length), (0, 0, middle))


def shadow() -> Robot:
    """Shadow Dexterous Hand, right, with its two wrist joints."""
    box, ball = (lambda *a: Solid("box", *a)), (lambda r, *a: Solid("sphere", (r,), *a))
    links = [
        Link("world"),
        Link(
            "forearm",
            3.0,
            [rod(0.0745, 0, 0.1828), box((0.07, 0.07, 0.07), (0, -0.01, 0.165), (0, 0.785395, 0))],
            "dark",
        ),
        Link(
            "wrist",
            0.1,
            [
                Solid("cylinder", (0.0135, 0.030), (0, 0, 0), (HALF_PI, HALF_PI, 0)),
                Solid("cylinder", (0.011, 0.010), (-0.026, 0, 0.034), (0, HALF_PI, 0)),
                Solid("cylinder", (0.011, 0.010), (0.031, 0, 0.034), (0, HALF_PI, 0)),
                box((0.027, 0.018, 0.010), (-0.021, 0, 0.011), (0, 0.7854, 0)),
                box((0.027, 0.018, 0.010), (0.026, 0, 0.010), (0, -0.7854, 0)),
            ],
            "dark",
        ),
        Link(
            "palm",
            0.3,
            [
                box((0.062, 0.007, 0.090), (0.011, 0.0085, 0.042)),
                box((0.036, 0.017, 0.090), (-0.002, -0.0035, 0.042)),
                box((0.026, 0.017, 0.010), (0.029, -0.0035, 0.082)),
                box((0.026, 0.014, 0.018), (0.0265, -0.001, 0.070), (0.2, 0, 0.25)),
                box((0.021, 0.027, 0.016), (0.0315, -0.0085, 0.005)),
                box((0.022, 0.005, 0.032), (0.0125, -0.015, 0.013), (0, 0, -0.48)),
                box((0.018, 0.024, 0.004), (0.011, 0, 0.089)),
                box((0.020, 0.024, 0.032), (-0.03, 0, 0.013)),
            ],
            "dark",
        ),
        Link("ee_link"),
        Link("imu"),
    ]
    joints = [
        Joint("world_joint", "world", "forearm", rpy=(0, 0, 1.57079)),
        Joint(
            "WRJ2", "forearm", "wrist", (0, -0.010, 0.21301), axis=(0, 1, 0),
            limits=(-0.523598775598, 0.174532925199), effort=10, velocity=2,
        ),
        Joint(
            "WRJ1", "wrist", "palm", (0, 0, 0.034), axis=(1, 0, 0),
            limits=(-0.698131700798, 0.488692190558), effort=30, velocity=2,
        ),
        Joint("ee_fixed_joint", "palm", "ee_link", rpy=(0, 0, -1.57079)),
        Joint("palm_to_imu", "palm", "imu", (0.01785, 0.00765, 0.049125), (-1.5707963, 3.141592, 0)),
    ]  # fmt: skip

    def finger(f: str, parent: str, xyz, spread: int, rpy=(0, 0, 0)):
        F = f.upper()
        links.extend(
            [
                Link(f"{f}knuckle", 0.008, [rod(0.008, -0.006, 0.006, along="x")], "dark"),
                Link(f"{f}proximal", 0.030, [rod(0.007, 0.005, 0.045)]),
                Link(f"{f}middle", 0.017, [rod(0.007, 0, 0.025), ball(0.007), ball(0.007, (0, 0, 0.025))]),
                Link(f"{f}distal", 0.012, [rod(0.007, 0.0047, 0.025), ball(0.007, (0, 0, 0.025))], "pad"),
                Link(f"{f}tip"),
            ]
        )
        common = {"effort": 2, "velocity": 2}
        bend = {"axis": (1, 0, 0), **common}
        side = {"axis": (0, spread, 0), "limits": (-0.349065850399, 0.349065850399), **common}
        joints.extend(
            [
                Joint(f"{F}J4", parent, f"{f}knuckle", xyz, rpy, **side),
                Joint(f"{F}J3", f"{f}knuckle", f"{f}proximal", limits=(-0.261799387799, HALF_PI), **bend),
                Joint(f"{F}J2", f"{f}proximal", f"{f}middle", (0, 0, 0.045), limits=(0, HALF_PI), **bend),
                Joint(f"{F}J1", f"{f}middle", f"{f}distal", (0, 0, 0.025), limits=(0, HALF_PI), **bend),
                Joint(f"{F}tip", f"{f}distal", f"{f}tip", (0, 0, 0.026)),
            ]
        )

    finger("ff", "palm", (0.033, 0, 0.095), -1)
    finger("mf", "palm", (0.011, 0, 0.099), -1)
    finger("rf", "palm", (-0.011, 0, 0.095), 1)
    links.append(
        Link("lfmetacarpal", 0.030, [box((0.018, 0.024, 0.040), (0.026986375, 0, 0.019), (0, 0.9599, 0))], "dark")
    )
    joints.append(
        Joint(
            "LFJ5", "palm", "lfmetacarpal", (-0.033, 0, 0.02071), (0, -0.9599, 0), (1, 0, 0),
            (0, 0.785398163397), 2, 2,
        )
    )  # fmt: skip
    finger("lf", "lfmetacarpal", (0.05397275, 0, 0.03779463), 1, (0, 0.9599, 0))
    links += [
        Link("thbase", 0.010, [ball(0.011)], "dark"),
        Link("thproximal", 0.040, [rod(0.0125, -0.005, 0.030)]),
        Link("thhub", 0.005, [ball(0.010)], "dark"),
        Link("thmiddle", 0.020, [rod(0.010, 0.009, 0.032), ball(0.010, (0, 0, 0.032))]),
        Link("thdistal", 0.016, [rod(0.009, 0.0033, 0.026), ball(0.009, (0, 0, 0.026))], "pad"),
        Link("thtip"),
    ]
    joints += [
        Joint(
            "THJ5", "palm", "thbase", (0.034, -0.00858, 0.029), (-0.785398163397, 0, -HALF_PI), (0, 0, -1),
            (-1.0471975512, 1.0471975512), 5, 4,
        ),
        Joint("THJ4", "thbase", "thproximal", axis=(0, 1, 0), limits=(0, 1.2217304764), effort=3, velocity=4),
        Joint(
            "THJ3", "thproximal", "thhub", (0, 0, 0.038), axis=(0, 1, 0),
            limits=(-0.209439510239, 0.209439510239), effort=2, velocity=4,
        ),
        Joint(
            "THJ2", "thhub", "thmiddle", axis=(1, 0, 0),
            limits=(-0.698131700798, 0.698131700798), effort=2, velocity=2,
        ),
        Joint(
            "THJ1", "thmiddle", "thdistal", (0, 0, 0.032), axis=(1, 0, 0),
            limits=(-0.261799387799, HALF_PI), effort=1, velocity=4,
        ),
        Joint("THtip", "thdistal", "thtip", (0, 0, 0.0275)),
    ]  # fmt: skip
    colors = {"body": "0.78 0.78 0.8 1", "dark": "0.25 0.25 0.28 1", "pad": "0.45 0.5 0.55 1"}
    return Robot("shadow_right", colors, links, joints)


def allegro() -> Robot:
    """Wonik Allegro Hand, right."""
    box = lambda *a: Solid("box", *a)  # noqa: E731  (three uses in one table)
    links = [
        Link(
            "base_link",
            0.4154,
            [
                box((0.0414, 0.112, 0.0448), (-0.009, 0, -0.023)),
                box((0.0414, 0.0538, 0.0428), (-0.009, -0.0253, -0.0667)),
                box((0.0414, 0.0720, 0.013), (-0.0093, -0.00557, -0.08874)),
            ],
        ),
        Link("palm"),
        Link("wrist"),
    ]
    joints = [
        Joint("palm_joint", "base_link", "palm", (0, 0, -0.065)),
        Joint("wrist_joint", "palm", "wrist", (0, 0, -0.03)),
    ]
    drive = {"effort": 10, "velocity": 3.14}
    tip = [Solid("sphere", (0.012,), (0, 0, -0.012))]
    bases = [((0, 0.0435, -0.001542), -0.08726646255), ((0, 0, 0.0007), 0.0), ((0, -0.0435, -0.001542), 0.08726646255)]
    for first, (xyz, roll) in zip((0, 4, 8), bases, strict=True):
        a, b, c, d = (f"{first + i}.0" for i in range(4))
        links += [
            Link(f"link_{a}", 0.0119, [box((0.0196, 0.0275, 0.0164), (0, 0, 0.0082))]),
            Link(f"link_{b}", 0.065, [box((0.0196, 0.0275, 0.054), (0, 0, 0.027))]),
            Link(f"link_{c}", 0.0355, [box((0.0196, 0.0275, 0.0384), (0, 0, 0.0192))]),
            Link(f"link_{d}", 0.02, [box((0.0196, 0.0269, 0.022), (0, 0, 0.0047))]),
            Link(f"link_{d}_tip", 0.0168, tip, "pad"),
        ]
        y = {"axis": (0, 1, 0), **drive}
        joints += [
            Joint(f"joint_{a}", "base_link", f"link_{a}", xyz, (roll, 0, 0), (0, 0, 1), (-0.47, 0.47), **drive),
            Joint(f"joint_{b}", f"link_{a}", f"link_{b}", (0, 0, 0.0164), limits=(-0.196, 1.61), **y),
            Joint(f"joint_{c}", f"link_{b}", f"link_{c}", (0, 0, 0.054), limits=(-0.174, 1.709), **y),
            Joint(f"joint_{d}", f"link_{c}", f"link_{d}", (0, 0, 0.0384), limits=(-0.227, 1.618), **y),
            Joint(f"joint_{d}_tip", f"link_{d}", f"link_{d}_tip", (0, 0, 0.0387)),
        ]
    links += [
        Link("link_12.0", 0.0176, [box((0.0358, 0.034, 0.0455), (-0.0179, 0.009, 0.0145))]),
        Link("link_13.0", 0.0119, [box((0.0196, 0.0275, 0.0177), (0, 0, 0.00885))]),
        Link("link_14.0", 0.038, [box((0.0196, 0.0275, 0.0514), (0, 0, 0.0257))]),
        Link("link_15.0", 0.0388, [box((0.0196, 0.0269, 0.04), (0, 0, 0.01125))]),
        Link("link_15.0_tip", 0.0168, tip, "pad"),
    ]
    joints += [
        Joint(
            "joint_12.0", "base_link", "link_12.0", (-0.0182, 0.019333, -0.045987),
            (0, -1.65806278845, -1.5707963259), (-1, 0, 0), (0.263, 1.396), **drive,
        ),
        Joint("joint_13.0", "link_12.0", "link_13.0", (-0.027, 0.005, 0.0399), limits=(-0.105, 1.163), **drive),
        Joint(
            "joint_14.0", "link_13.0", "link_14.0", (0, 0, 0.0177), axis=(0, 1, 0), limits=(-0.189, 1.644), **drive
        ),
        Joint(
            "joint_15.0", "link_14.0", "link_15.0", (0, 0, 0.0514), axis=(0, 1, 0), limits=(-0.162, 1.719), **drive
        ),
        Joint("joint_15.0_tip", "link_15.0", "link_15.0_tip", (0, 0, 0.0543)),
    ]  # fmt: skip
    return Robot("allegro_right", {"body": "0.16 0.17 0.2 1", "pad": "0.85 0.85 0.85 1"}, links, joints)


def panda() -> Robot:
    """Franka Emika Panda gripper: one independent joint."""
    box = lambda *a: Solid("box", *a)  # noqa: E731  (a table)
    links = [
        Link(
            "panda_hand",
            0.73,
            [
                box((0.036, 0.08, 0.2), (0, 0, 0.02617), (1.570795, 0, 0)),
                Solid("cylinder", (0.03, 0.0077), (0, 0, 0.0003)),
            ],
        ),
        Link("panda_hand_tcp"),
    ]
    joints = [Joint("panda_hand_tcp_joint", "panda_hand", "panda_hand_tcp", (0, 0, 0.1034))]
    slide = {"limits": (0.0, 0.04), "effort": 100, "velocity": 0.2, "kind": "prismatic"}
    for side, y, number, mimic in (("left", 1, 1, None), ("right", -1, 2, ("panda_finger_joint1", 1.0, 0.0))):
        solids = [
            box((0.022, 0.015, 0.020), (0, y * 0.0185, 0.011)),
            box((0.022, 0.0088, 0.0038), (0, y * 0.0068, 0.0022)),
            box((0.0175, 0.007, 0.0235), (0, y * 0.0159, 0.02835), (y * math.pi / 6, 0, 0)),
            box((0.0175, 0.0152, 0.0185), (0, y * 0.0076, 0.04525)),
        ]
        finger = f"panda_{side}finger"
        links.append(Link(finger, 0.015, solids, "pad"))
        joints.append(
            Joint(
                f"panda_finger_joint{number}", "panda_hand", finger, (0, 0, 0.0584), axis=(0, y, 0), mimic=mimic,
                **slide,
            )
        )  # fmt: skip
    return Robot("panda_right", {"body": "0.9 0.9 0.9 1", "pad": "0.3 0.3 0.33 1"}, links, joints)


# Human hand, mean over the recordings named in its README. Root and palm frame coincide: x along the fingers,
# y to the little finger, z out of the palm. Columns: base (m), bone lengths (m), mean splay (rad), bending axes of the
# middle and the end joint in the frame of the bone before, radius of the finger (m), splay limits (deg).
HUMAN_WRIST = (-0.0968, 0.0, 0.0)
HUMAN_FINGERS = {
    "index": ((-0.00731, -0.02372, 0.00558), (0.03420, 0.02304, 0.02417), 0.0645, 16.9, -30.5, 0.0080, 30),
    "middle": ((0.0, 0.0, 0.0), (0.03285, 0.02410, 0.02708), 0.2472, 6.6, -0.4, 0.0080, 30),
    "ring": ((-0.01246, 0.02396, 0.00080), (0.03016, 0.02592, 0.02471), 0.0946, 2.8, -20.0, 0.0075, 35),
    "pinky": ((-0.02496, 0.04149, 0.00558), (0.02166, 0.01964, 0.02095), 0.2370, -13.7, -20.0, 0.0065, 40),
}
HUMAN_THUMB_BASE = (-0.07245, -0.02536, 0.01716)
HUMAN_THUMB_LENGTHS = (0.03158, 0.02787, 0.03607)
HUMAN_THUMB_FRAME = np.array([[0.73145, 0.55657, 0.39397], [-0.257, -0.31013, 0.9153], [0.63161, -0.77075, -0.08381]])
HUMAN_THUMB_IP_AXIS = (0.0, -0.5643, -0.8256)
HUMAN_DENSITY = 1100.0  # kg/m^3, soft tissue and bone together


def human() -> Robot:
    """A 21-keypoint skeleton: rigid palm, four fingers with 4 joints each, a thumb with 5."""
    links: list[Link] = []
    joints: list[Joint] = []
    drive = {"effort": 2, "velocity": 10}
    bend = (0, -1, 0)

    def bone(name: str, radius: float, length: float, *, tip: bool = False) -> Link:
        # Joints lie inside the flesh and the tip keypoint on the skin: the last ball ends at it.
        end = length - radius if tip else length
        solids = [rod(radius, 0, end, along="x"), Solid("sphere", (radius,), (end, 0, 0))]
        volume = sum(solid.volume_and_inertia()[0] for solid in solids)
        return Link(name, round(volume * HUMAN_DENSITY, 5), solids, "nail" if tip else "skin")

    def limits(lower: float, upper: float) -> tuple[float, float]:
        return math.radians(lower), math.radians(upper)

    def tilted(degrees: float) -> tuple[float, float, float]:
        """The bending axis, turned about the bone."""
        return (0.0, -math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))

    palm = [Solid("sphere", (0.017,), (-0.0868, 0, -0.002))]
    wrist = np.array(HUMAN_WRIST)
    for base, _, _, _, _, radius, _ in HUMAN_FINGERS.values():
        palm += [
            between(wrist + np.array([0.012, 0.2 * base[1], 0]), base, 0.010),
            Solid("sphere", (radius + 0.001,), base),
        ]
    palm.append(between(wrist + np.array([0.012, -0.008, 0]), HUMAN_THUMB_BASE, 0.011))
    bases = [finger[0] for finger in HUMAN_FINGERS.values()]
    palm += [between(a, b, 0.0085) for a, b in pairwise(bases)]
    links.append(Link("palm", 0.40, palm, "skin"))

    roll, pitch, yaw = Rotation.from_matrix(nearest_rotation(HUMAN_THUMB_FRAME)).as_euler("xyz")
    l1, l2, l3 = HUMAN_THUMB_LENGTHS
    links += [
        Link("thumb_saddle", 0.01, [Solid("sphere", (0.011,))], "skin"),
        bone("thumb_metacarpal", 0.0105, l1),
        Link("thumb_knuckle", 0.005, [Solid("sphere", (0.0095,))], "skin"),
        bone("thumb_proximal", 0.0095, l2),
        bone("thumb_distal", 0.009, l3, tip=True),
    ]
    thumb = [
        ("cmc_abduction", "palm", "saddle", HUMAN_THUMB_BASE, (roll, pitch, yaw), (0, 0, 1), (-40, 40)),
        ("cmc_flexion", "thumb_saddle", "metacarpal", (0, 0, 0), (0, 0, 0), bend, (-45, 45)),
        ("mcp_abduction", "thumb_metacarpal", "knuckle", (l1, 0, 0), (0, 0, 0), (0, 0, 1), (-20, 35)),
        ("mcp_flexion", "thumb_knuckle", "proximal", (0, 0, 0), (0, 0, 0), bend, (-20, 60)),
        ("ip_flexion", "thumb_proximal", "distal", (l2, 0, 0), (0, 0, 0), HUMAN_THUMB_IP_AXIS, (-15, 80)),
    ]
    for name, parent, child, xyz, rpy, axis, span in thumb:
        joints.append(Joint(f"thumb_{name}", parent, f"thumb_{child}", xyz, rpy, axis, limits(*span), **drive))
    for f, (base, lengths, splay, pip, dip, radius, span) in HUMAN_FINGERS.items():
        links += [
            Link(f"{f}_knuckle", 0.005, [Solid("sphere", (radius,))], "skin"),
            bone(f"{f}_proximal", radius, lengths[0]),
            bone(f"{f}_middle", radius - 0.0005, lengths[1]),
            bone(f"{f}_distal", radius - 0.001, lengths[2], tip=True),
        ]
        joints += [
            Joint(
                f"{f}_mcp_abduction", "palm", f"{f}_knuckle", base, (0, 0, splay), (0, 0, 1),
                limits(-span, span), **drive,
            ),
            Joint(
                f"{f}_mcp_flexion", f"{f}_knuckle", f"{f}_proximal", axis=bend, limits=limits(-30, 90), **drive
            ),
            Joint(
                f"{f}_pip_flexion", f"{f}_proximal", f"{f}_middle", (lengths[0], 0, 0), axis=tilted(pip),
                limits=limits(0, 110), **drive,
            ),
            Joint(
                f"{f}_dip_flexion", f"{f}_middle", f"{f}_distal", (lengths[1], 0, 0), axis=tilted(dip),
                limits=limits(-15, 80), **drive,
            ),
        ]  # fmt: skip
    return Robot("human_right", {"skin": "0.87 0.67 0.55 1", "nail": "0.93 0.76 0.68 1"}, links, joints)


def between(a, b, radius: float) -> Solid:
    """A cylinder from point a to point b."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    d = b - a
    length = float(np.linalg.norm(d))
    pitch, yaw = math.acos(d[2] / length), math.atan2(d[1], d[0])
    middle = tuple(((a + b) / 2).round(6).tolist())
    return Solid("cylinder", (radius, round(length, 6)), middle, (0.0, round(pitch, 6), round(yaw, 6)))


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The rotation closest to a matrix of rounded numbers."""
    U, _, Vt = np.linalg.svd(matrix)
    return U @ Vt


HANDS = {"shadow": shadow, "allegro": allegro, "panda": panda, "human": human}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parent.parent / "src" / "unihm" / "assets" / "hands"
    parser.add_argument("--out", type=Path, default=default, help="folder of the hand folders")
    out = parser.parse_args().out
    for name, make in HANDS.items():
        path = out / name / f"{name}_right.urdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(urdf(make()), encoding="utf-8")
        print(path)
