"""URDFs of hands that exist nowhere, whose palm frame and finger order are known because they were built from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation


@dataclass
class Builder:
    """Collects links and joints; poses are given in the palm frame at zero, whatever the frame of the file."""

    T_root_palm: np.ndarray = field(default_factory=lambda: np.eye(4))
    """Where the palm frame stands in the file's root."""
    text: list[str] = field(default_factory=lambda: ['<link name="base"/>'])
    frames: dict[str, np.ndarray] = field(default_factory=lambda: {"base": np.eye(4)})
    flip: bool = False
    """Turn every axis round and mirror its limits: the same robot, written with negative flexion."""

    def link(self, name: str, sphere: float | None = None, at: ArrayLike | None = None) -> None:
        """A link, with a ball at a place of the palm frame if a radius is given; its frame must be known."""
        solid = ""
        if sphere is not None and at is not None:
            place = np.linalg.inv(self.frames[name]) @ self.T_root_palm @ np.array([*np.asarray(at), 1.0])
            solid = (
                f'<collision><origin xyz="{place[0]} {place[1]} {place[2]}"/>'
                f'<geometry><sphere radius="{sphere}"/></geometry></collision>'
            )
        inertia = '<inertia ixx="1e-5" iyy="1e-5" izz="1e-5" ixy="0" ixz="0" iyz="0"/>'
        mass = f'<inertial><mass value="0.05"/>{inertia}</inertial>'
        self.text.append(f'<link name="{name}">{mass}{solid}</link>')

    def joint(
        self,
        name: str,
        parent: str,
        child: str,
        at: ArrayLike,
        axis: ArrayLike | None = None,
        limits: tuple[float, float] = (0.0, 1.6),
        kind: str = "revolute",
        mimic: tuple[str, float, float] | None = None,
    ) -> None:
        """A joint whose child's origin lies at a place of the palm frame; the child's axes are those of the root."""
        place = self.T_root_palm @ np.array([*np.asarray(at), 1.0])
        T = np.eye(4)
        T[:3, 3] = place[:3]
        self.frames[child] = T
        xyz = (np.linalg.inv(self.frames[parent]) @ T)[:3, 3]
        body = f'<parent link="{parent}"/><child link="{child}"/><origin xyz="{xyz[0]} {xyz[1]} {xyz[2]}"/>'
        if axis is None:
            self.text.append(f'<joint name="{name}" type="fixed">{body}</joint>')
            return
        turned = self.T_root_palm[:3, :3] @ np.array(axis, dtype=float)
        low, high = limits
        if self.flip:
            turned, (low, high) = -turned, (-high, -low)
        body += f'<axis xyz="{turned[0]} {turned[1]} {turned[2]}"/>'
        body += f'<limit lower="{low}" upper="{high}" effort="1" velocity="3"/>'
        if mimic is not None:
            body += f'<mimic joint="{mimic[0]}" multiplier="{mimic[1]}" offset="{mimic[2]}"/>'
        self.text.append(f'<joint name="{name}" type="{kind}">{body}</joint>')

    def write(self, path: Path, name: str = "device") -> Path:
        """The file."""
        path.write_text(f'<robot name="{name}">\n' + "\n".join(self.text) + "\n</robot>\n", encoding="utf-8")
        return path


def posed(seed: int | None) -> np.ndarray:
    """A palm pose in the root: none, or any."""
    T = np.eye(4)
    if seed is not None:
        T[:3, :3] = Rotation.from_rotvec(1.5 * np.random.default_rng(seed).normal(size=3)).as_matrix()
        T[:3, 3] = [0.03, -0.05, 0.11]
    return T


def finger(
    b: Builder,
    name: str,
    parent: str,
    base: ArrayLike,
    along: ArrayLike,
    closing: ArrayLike,
    bones: tuple[float, ...],
    *,
    spread: tuple[float, float] | None = None,
    coupled: bool = False,
    tip: str = "solid",
    beside: float = 0.0,
) -> None:
    """A finger that points `along` and bends to `closing`, with one flexion joint a bone.

    Args:
        b: The robot.
        name: Start of the names of its links and joints.
        parent: The link that carries it.
        base: Its knuckle.
        along: Its direction.
        closing: Where bending moves it.
        bones: Their lengths, m.
        spread: Limits of a joint before the knuckle that moves it sideways.
        coupled: The outer joints mimic the first one.
        tip: ``solid`` for a ball at the end, ``frame`` for a link that marks it, ``none`` for neither.
        beside: How far joint origins lie beside the finger's middle, m.
    """
    direction, side = (np.asarray(v) / np.linalg.norm(v) for v in (along, closing))
    axis = np.cross(direction, side)
    place = np.array(base, dtype=float)
    if spread is not None:
        b.joint(f"{name}_s", parent, f"{name}_l0", place, side, spread)
        b.link(f"{name}_l0")
        parent = f"{name}_l0"
    for number, bone in enumerate(bones):
        link = f"{name}_l{number + 1}"
        mimic = (f"{name}_j1", 0.9, 0.0) if coupled and number else None
        b.joint(f"{name}_j{number + 1}", parent, link, place + beside * axis, axis, mimic=mimic)
        place = place + bone * direction
        last = number == len(bones) - 1
        b.link(link, 0.008 if tip == "solid" and last else None, place - 0.008 * direction)
        parent = link
    if tip == "frame":
        b.joint(f"{name}_e", parent, f"{name}_end", place)
        b.link(f"{name}_end")


FIVE = {"index": (-0.03, 0.0), "middle": (0.0, 0.0), "ring": (0.021, -0.004), "pinky": (0.04, -0.015)}


def five_fingers(
    path: Path,
    *,
    side: str = "right",
    seed: int | None = None,
    flip: bool = False,
    arm: int = 0,
    names: dict[str, str] | None = None,
    coupled: bool = False,
    tip: str = "solid",
    beside: float = 0.0,
) -> Path:
    """A hand like a human one; `names` says how each finger is called in the file."""
    names = names or {"thumb": "f3", "index": "f0", "middle": "f4", "ring": "f1", "pinky": "f2"}
    b = Builder(T_root_palm=posed(seed), flip=flip)
    s = 1.0 if side == "right" else -1.0
    parent = "base"
    for number in range(arm):
        axis = np.eye(3)[number % 3]
        b.joint(f"arm{number}", parent, f"arm_link{number}", [-0.9 + 0.13 * number, 0.0, 0.0], axis, (-2.0, 2.0))
        b.link(f"arm_link{number}")
        parent = f"arm_link{number}"
    b.joint("mount", parent, "plate", [-0.09, 0.0, 0.0])
    b.link("plate")
    b.joint("sensor", "plate", "imu", [-0.05, 0.01, -0.01])
    b.link("imu")
    for name in sorted(names, key=names.__getitem__):
        if name == "thumb":
            base = np.array([-0.07, -0.03 * s, 0.01])
            b.joint("t_turn", "plate", "t_root", base - [0.01, 0, 0], [-s, 0.0, 0.0], (-0.3, 1.2))
            b.link("t_root")
            finger(
                b,
                names[name],
                "t_root",
                base,
                [0.7, -0.7 * s, 0.0],
                [0.3, 0.3 * s, 0.9],
                (0.042, 0.033, 0.028),
                tip=tip,
            )
            continue
        y, x = FIVE[name]
        spread = None if coupled else (-0.3, 0.3)
        bones = (0.045, 0.027, 0.023) if not coupled else (0.045, 0.05)
        finger(
            b,
            names[name],
            "plate",
            np.array([x, s * y, 0.0]),
            [1.0, 0.0, 0.0],
            [0.0, 0.0, 1.0],
            bones,
            spread=spread,
            coupled=coupled,
            tip=tip,
            beside=beside,
        )
    return b.write(path)


def three_fingers(path: Path, seed: int | None = None) -> Path:
    """Two fingers side by side with a coupled spread, and one opposite them; z is the approach."""
    b = Builder(T_root_palm=posed(seed))
    b.joint("mount", "base", "hub", [0.0, 0.0, 0.0])
    b.link("hub")
    for number, (y, turn) in enumerate(((0.025, 1.0), (-0.025, -1.0))):
        mimic = None if number == 0 else ("spread_0", 1.0, 0.0)
        b.joint(f"spread_{number}", "hub", f"root_{number}", [0.03, y, 0.05], [0, 0, turn], (0.0, 1.5), mimic=mimic)
        b.link(f"root_{number}")
        finger(b, f"d{number}", f"root_{number}", [0.05, y, 0.06], [0, 0, 1], [-1, 0, 0], (0.07, 0.056))
    finger(b, "d2", "hub", [-0.05, 0.0, 0.06], [0, 0, 1], [1, 0, 0], (0.07, 0.056))
    return b.write(path, "three")


def two_fingers(path: Path, seed: int | None = None) -> Path:
    """A gripper with turning fingers, the second one coupled, and the bar of a linkage beside each."""
    b = Builder(T_root_palm=posed(seed))
    b.joint("mount", "base", "body", [0.0, 0.0, 0.0])
    b.link("body")
    for number, x in enumerate((0.03, -0.03)):
        mimic = None if number == 0 else ("k0", 1.0, 0.0)
        sign = -1.0 if number == 0 else 1.0
        axis = [0.0, sign, 0.0]  # about y: turns z to x; -y turns z to -x
        b.joint(f"k{number}", "body", f"knuckle{number}", [x, 0.0, 0.05], axis, (0.0, 0.7), mimic=mimic)
        b.link(f"knuckle{number}")
        # Keeps the pad upright: turns back by as much.
        b.joint(
            f"p{number}",
            f"knuckle{number}",
            f"pad{number}",
            [2 * x, 0.0, 0.09],
            axis,
            (-0.7, 0.0),
            mimic=("k0", -1.0, 0.0),
        )
        b.link(f"pad{number}", 0.01, np.array([2 * x, 0.0, 0.12]))
        b.joint(f"b{number}", "body", f"bar{number}", [0.5 * x, 0.0, 0.06], axis, (0.0, 0.7), mimic=("k0", 1.0, 0.0))
        b.link(f"bar{number}")
    return b.write(path, "gripper")
