"""The human hand as a robot: a mean skeleton with rods and balls for flesh."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from .robot import Joint, Link, Robot, Solid, between, rod

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
    drive: dict[str, Any] = {"effort": 2, "velocity": 10}
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


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The rotation closest to a matrix of rounded numbers."""
    U, _, Vt = np.linalg.svd(matrix)
    return U @ Vt
