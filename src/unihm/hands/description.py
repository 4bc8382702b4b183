"""A hand as its files describe it: kinematics in the shared palm frame, fingertips, counterparts of human keypoints.

A hand is a folder with a URDF and a ``hand.yaml`` (see ``docs/architecture.md``); nothing about a particular hand is
written in Python. Everything here is NumPy, so that retargeting starts without torch; `unihm.hands.hand.HandModel` is
the same hand with batched, differentiable kinematics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from unihm.hands.hand_file import HAND_FILE, PointOnLink, read_hand_file
from unihm.kinematics.body_chain import BodyChain
from unihm.kinematics.keypoints import INDEX
from unihm.kinematics.urdf import Urdf, lock_joints, parse_urdf
from unihm.registry import unknown_name

HANDS_FOLDER = Path(__file__).resolve().parent.parent / "assets" / "hands"


@dataclass(frozen=True, kw_only=True)
class Primitive:
    """One solid of a hand's body, for drawing and for contact."""

    link: int
    """Index of the link that carries it."""
    T_link_shape: Float[np.ndarray, "4 4"]
    """Pose of its centre in the link."""
    kind: str
    """``sphere``, ``cylinder`` (along its own z) or ``box``."""
    size: tuple[float, ...]
    """Sphere: (radius,); cylinder: (radius, length); box: (x, y, z) edge lengths; m."""
    color: tuple[float, ...]
    """RGBA in [0, 1]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HandDescription:
    """One hand; points are in the palm frame at no joint's motion, or in their links."""

    name: str
    """Name of the hand."""
    side: str
    """``right`` or ``left``."""
    folder: Path
    """Where its files lie."""
    urdf: Urdf
    """The URDF with locked joints fixed."""
    chain: BodyChain
    """Kinematics relative to the palm frame."""
    T_root_palm: Float[np.ndarray, "4 4"]
    """Pose of the palm frame in the URDF's root link."""
    rest_qpos: Float[np.ndarray, " nq"]
    """A relaxed, half-open posture, rad or m."""
    fingers: tuple[str, ...]
    """Names of the fingers, the order of fingertips."""
    keypoint_indices: Int[np.ndarray, " k"]
    """Which of the 21 human keypoints this hand has a counterpart for, ascending."""
    keypoints: tuple[PointOnLink, ...]
    """These counterparts."""
    fingertip_slots: Int[np.ndarray, " f"]
    """Where the fingers' tips stand in `keypoint_indices`."""
    fingertips: tuple[PointOnLink, ...]
    """Contact points of the pads."""
    geometry: tuple[Primitive, ...]
    """The body of the hand."""

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Independent joints, the order of q."""
        return self.chain.joint_names

    @property
    def link_names(self) -> tuple[str, ...]:
        """All links, in the order of the file."""
        return tuple(link.name for link in self.urdf.links)


def list_hands() -> list[str]:
    """Names of the hands that come with the package."""
    return sorted(path.parent.name for path in HANDS_FOLDER.glob(f"*/{HAND_FILE}"))


def describe_hand(name_or_folder: str | Path) -> HandDescription:
    """Read a hand.

    Args:
        name_or_folder: A name from `list_hands`, or a folder that holds a ``hand.yaml``.

    Raises:
        ValueError: There is no such hand, or its files are wrong.
    """
    folder = Path(name_or_folder)
    if str(name_or_folder) in list_hands():
        folder = HANDS_FOLDER / name_or_folder
    elif not (folder / HAND_FILE).is_file():
        if folder.is_dir():
            raise ValueError(f"Folder '{folder}' holds no {HAND_FILE}.")
        raise unknown_name("Hand", str(name_or_folder), list_hands())

    file = read_hand_file(folder / HAND_FILE)
    urdf = parse_urdf(folder / file.urdf)
    try:
        urdf = lock_joints(urdf, file.locked_joints)
        T_root_palm = _rigid_pose(urdf, file.palm_link) @ file.T_link_palm
        chain = BodyChain.from_urdf(urdf, T_base_root=np.linalg.inv(T_root_palm))
        keypoints = sorted(file.keypoints.items(), key=lambda item: INDEX[item[0]])
        names = [name for name, _ in keypoints]
        tips = tuple(file.fingertips[finger] for finger in file.fingers)
        _check_links(chain, [point for _, point in keypoints], "keypoints")
        _check_links(chain, tips, "fingertips")
        rest_qpos = _rest(chain, file.rest_qpos)
        joints = [joint.name for joint in urdf.joints]
        if unknown := [name for name in file.known_differences if name not in joints]:
            raise unknown_name("known_differences: joint", unknown[0], joints)
    except ValueError as error:
        raise ValueError(f"'{folder / HAND_FILE}': {error}") from error
    return HandDescription(
        name=file.name,
        side=file.side,
        folder=folder,
        urdf=urdf,
        chain=chain,
        T_root_palm=T_root_palm,
        rest_qpos=rest_qpos,
        fingers=file.fingers,
        keypoint_indices=np.array([INDEX[name] for name in names]),
        keypoints=tuple(point for _, point in keypoints),
        fingertip_slots=np.array([names.index(f"{finger}_tip") for finger in file.fingers]),
        fingertips=tips,
        geometry=tuple(_geometry(urdf)),
    )


def _rigid_pose(urdf: Urdf, link: str) -> Float[np.ndarray, "4 4"]:
    """T_root_link of a link that no joint moves."""
    joint_of = {joint.child: joint for joint in urdf.joints}
    names = [item.name for item in urdf.links]
    if link not in names:
        raise ValueError(f"root_to_palm: link '{link}' not found. Available: {', '.join(names)}.")
    T = np.eye(4)
    while link in joint_of:
        joint = joint_of[link]
        if joint.kind != "fixed":
            raise ValueError(f"root_to_palm: joint '{joint.name}' moves the palm; give its value under locked_joints.")
        T, link = joint.T_parent_child @ T, joint.parent
    return T


def _check_links(chain: BodyChain, points: Sequence[PointOnLink], where: str) -> None:
    for point in points:
        if point.link not in chain.body_of_link:
            raise unknown_name(f"{where}: link", point.link, chain.body_of_link)


def _rest(chain: BodyChain, values: Mapping[str, float]) -> Float[np.ndarray, " nq"]:
    """The rest posture: joints that are not named stand at 0, or at the limit nearest to it."""
    rest = np.clip(np.zeros(len(chain.joint_names)), chain.lower, chain.upper)
    for name, value in values.items():
        if name not in chain.joint_names:
            raise unknown_name("rest_qpos: joint", name, chain.joint_names)
        i = chain.joint_names.index(name)
        low, high = float(chain.lower[i]), float(chain.upper[i])
        if not low <= value <= high:
            raise ValueError(f"rest_qpos: {name} = {value} lies outside its limits [{low}, {high}].")
        rest[i] = value
    return rest


def _geometry(urdf: Urdf) -> list[Primitive]:
    """Collision solids where a link has some, else what it draws; in the colour that the link is drawn in."""
    return [
        Primitive(
            link=index,
            T_link_shape=shape.T_link_shape,
            kind=shape.kind,
            size=shape.size,
            color=(link.visuals or link.collisions)[0].color,
        )
        for index, link in enumerate(urdf.links)
        for shape in link.collisions or link.visuals
    ]
