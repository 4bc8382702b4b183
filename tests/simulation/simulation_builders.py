"""Small things to simulate: a gripper whose forces are known by hand, boxes, and commands that hold still."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unihm.hands.description import HandDescription, describe_hand
from unihm.simulation.command import Command
from unihm.simulation.solid_object import SolidObject, object_of_mesh

EDGE = 0.04  # m, of the box
EFFORT = 4.0  # N, of each of the gripper's two fingers
SPEED = 0.5  # m/s, of them
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
RIGHT_HANDS = ("shadow", "allegro", "svh", "leap", "ability", "panda", "inspire", "xhand")

_LINK = """<link name="{name}"><inertial><mass value="{mass}"/>
<inertia ixx="1e-4" iyy="1e-4" izz="1e-4" ixy="0" ixz="0" iyz="0"/></inertial>{solid}</link>"""
_BOX = '<collision><origin xyz="{at}"/><geometry><box size="{size}"/></geometry></collision>'
_JOINT = """<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/><origin xyz="{at}"/>
<axis xyz="{axis}"/><limit lower="{low}" upper="{high}" effort="{effort}" velocity="{speed}"/>{more}</joint>"""


def box(mass: float = 0.35, name: str = "box", size: tuple[float, float, float] = (EDGE, EDGE, EDGE)) -> SolidObject:
    """A box, by default a cube of 40 mm."""
    faces = np.array([triangle for a, b, c, d in QUADS for triangle in ((a, b, c), (a, c, d))])
    return object_of_mesh(CORNERS * size, faces, name=name, mass=mass, convex="hull")


def placed(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """A pose without a turn."""
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


def gripper(folder: Path, *, solids: bool = True, coupled: bool = False, mass: float = 0.05) -> HandDescription:
    """Two pads that slide along y toward each other; at joint position d the gap between them is 100 mm - 2 d.

    Args:
        folder: Where its files are written.
        solids: Whether it can touch anything.
        coupled: Whether one finger mimics the other.
        mass: Of each finger, kg; 0 states none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_LINK.format(name="base", mass=0.5, solid=_BOX.format(at="-0.05 0 0", size="0.02 0.14 0.02") * solids)]
    for name, side in (("thumb", -1), ("index", 1)):
        solid = _BOX.format(at=f"0.01 {side * 0.005} 0", size="0.04 0.01 0.04") * solids
        parts.append(_LINK.format(name=name, mass=mass, solid=solid))
        mimic = '<mimic joint="thumb_slide" multiplier="1" offset="0"/>' if coupled and name == "index" else ""
        parts.append(
            _JOINT.format(
                name=f"{name}_slide", kind="prismatic", parent="base", child=name, at=f"0 {side * 0.05} 0",
                axis=f"0 {-side} 0", low=0, high=0.05, effort=EFFORT, speed=SPEED, more=mimic,
            )
        )  # fmt: skip
    (folder / "gripper.urdf").write_text('<robot name="gripper">' + "".join(parts) + "</robot>", encoding="utf-8")
    tip = "{link: %s, xyz: [0.01, 0, 0]}"
    (folder / "hand.yaml").write_text(
        "name: gripper\nside: right\nurdf: gripper.urdf\n"
        "root_to_palm: {link: base, xyz: [0, 0, 0], wxyz: [1, 0, 0, 0]}\n"
        "fingers: [thumb, index]\n"
        f"fingertips: {{thumb: {tip % 'thumb'}, index: {tip % 'index'}}}\n"
        f"keypoints: {{thumb_tip: {tip % 'thumb'}, index_tip: {tip % 'index'}}}\n",
        encoding="utf-8",
    )
    return describe_hand(folder)


def still(T_world_palm: np.ndarray, qpos: np.ndarray) -> Command:
    """A command that holds one posture."""
    return Command(times=np.zeros(1), T_world_palm=T_world_palm[None], qpos=qpos[None])


def moving(times: list[float], T_world_palm: list[np.ndarray], qpos: list[np.ndarray]) -> Command:
    """A command through some postures."""
    return Command(times=np.array(times), T_world_palm=np.stack(T_world_palm), qpos=np.stack(qpos))
