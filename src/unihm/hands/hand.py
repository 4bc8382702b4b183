"""A hand: its kinematics in the shared palm frame, its fingertips, and its counterparts of the human keypoints.

A hand is a folder with a URDF and a ``hand.yaml`` (see ``docs/architecture.md``); nothing about a particular
hand is written in Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unihm.hands.hand_file import HAND_FILE, PointOnLink, read_hand_file
from unihm.kinematics.keypoints import INDEX
from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import Shape, Urdf, lock_joints, parse_urdf
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
class HandModel:
    """One hand, ready to compute with: tensors are float64, points are in the palm frame."""

    name: str
    """Name of the hand."""
    side: str
    """``right`` or ``left``."""
    folder: Path
    """Where its files lie."""
    urdf: Urdf
    """The URDF with locked joints fixed."""
    tree: KinematicTree
    """Kinematics; its forward kinematics are relative to the URDF's root."""
    T_root_palm: Float[np.ndarray, "4 4"]
    """Pose of the palm frame in the URDF's root link."""
    rest_qpos: Float[Tensor, " nq"]
    """A relaxed, half-open posture, rad or m."""
    fingers: tuple[str, ...]
    """Names of the fingers, the order of fingertips."""
    keypoint_indices: Int[Tensor, " k"]
    """Which of the 21 human keypoints this hand has a counterpart for, ascending."""
    fingertip_slots: Int[Tensor, " f"]
    """Where the fingers' tips stand in `keypoint_indices`."""
    fingertip_radius: Float[Tensor, " f"]
    """Distance of each pad's contact point from the hand's surface, m; 0 where it lies on it."""
    geometry: tuple[Primitive, ...]
    """The body of the hand."""
    keypoint_links: Int[Tensor, " k"]
    """Link that carries each keypoint."""
    keypoint_points: Float[Tensor, "k 3"]
    """Keypoints in their links, m."""
    fingertip_links: Int[Tensor, " f"]
    """Link that carries each pad's contact point."""
    fingertip_points: Float[Tensor, "f 3"]
    """Contact points of the pads in their links, m."""
    palm_tree: KinematicTree
    """The same kinematics as `tree`, relative to the palm frame."""

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Independent joints, the order of q."""
        return self.tree.joint_names

    @property
    def lower(self) -> Float[Tensor, " nq"]:
        """Lower joint limits, rad or m."""
        return self.tree.lower

    @property
    def upper(self) -> Float[Tensor, " nq"]:
        """Upper joint limits, rad or m."""
        return self.tree.upper

    @property
    def link_names(self) -> tuple[str, ...]:
        """All links."""
        return self.tree.link_names

    @property
    def fingertips(self) -> tuple[str, ...]:
        """Names of the links that carry the pads, one a finger."""
        return tuple(self.link_names[i] for i in self.fingertip_links.tolist())

    def forward_kinematics(self, q: Float[Tensor, "*batch nq"]) -> Float[Tensor, "*batch nl 4 4"]:
        """T_palm_link of every link; differentiable."""
        return self.palm_tree.forward_kinematics(q)

    def keypoints(self, q: Float[Tensor, "*batch nq"]) -> Float[Tensor, "*batch k 3"]:
        """Keypoints in the palm frame, m; differentiable."""
        T = self.forward_kinematics(q).index_select(-3, self.keypoint_links)
        return torch.matmul(T[..., :3, :3], self.keypoint_points[:, :, None])[..., 0] + T[..., :3, 3]

    def keypoints_and_jacobian(
        self, q: Float[Tensor, "*batch nq"]
    ) -> tuple[Float[Tensor, "*batch k 3"], Float[Tensor, "*batch k 3 nq"]]:
        """Keypoints in the palm frame, m, and their Jacobian, m/rad."""
        return self.palm_tree.point_jacobian(self.forward_kinematics(q), self.keypoint_links, self.keypoint_points)

    def fingertips_and_jacobian(
        self, q: Float[Tensor, "*batch nq"]
    ) -> tuple[Float[Tensor, "*batch f 3"], Float[Tensor, "*batch f 3 nq"]]:
        """Contact points of the pads in the palm frame, m, and their Jacobian, m/rad."""
        return self.palm_tree.point_jacobian(self.forward_kinematics(q), self.fingertip_links, self.fingertip_points)


def list_hands() -> list[str]:
    """Names of the hands that come with the package."""
    return sorted(path.parent.name for path in HANDS_FOLDER.glob(f"*/{HAND_FILE}"))


def load_hand(name_or_folder: str | Path) -> HandModel:
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
        tree = KinematicTree.from_urdf(urdf)
        T_root_palm = _rigid_pose(urdf, file.palm_link) @ file.T_link_palm
        keypoints = sorted(file.keypoints.items(), key=lambda item: INDEX[item[0]])
        names = [name for name, _ in keypoints]
        tips = [file.fingertips[finger] for finger in file.fingers]
        keypoint_links, keypoint_points = _points(tree, [point for _, point in keypoints], "keypoints")
        fingertip_links, fingertip_points = _points(tree, tips, "fingertips")
        rest_qpos = _rest(tree, file.rest_qpos)
    except ValueError as error:
        raise ValueError(f"'{folder / HAND_FILE}': {error}") from error
    return HandModel(
        name=file.name,
        side=file.side,
        folder=folder,
        urdf=urdf,
        tree=tree,
        T_root_palm=T_root_palm,
        rest_qpos=rest_qpos,
        fingers=file.fingers,
        keypoint_indices=torch.tensor([INDEX[name] for name in names]),
        fingertip_slots=torch.tensor([names.index(f"{finger}_tip") for finger in file.fingers]),
        fingertip_radius=torch.tensor([tip.radius for tip in tips], dtype=torch.float64),
        geometry=tuple(_geometry(urdf)),
        keypoint_links=keypoint_links,
        keypoint_points=keypoint_points,
        fingertip_links=fingertip_links,
        fingertip_points=fingertip_points,
        palm_tree=KinematicTree.from_urdf(urdf, T_base_root=np.linalg.inv(T_root_palm)),
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


def _points(
    tree: KinematicTree, points: list[PointOnLink], where: str
) -> tuple[Int[Tensor, " k"], Float[Tensor, "k 3"]]:
    for point in points:
        if point.link not in tree.link_names:
            raise unknown_name(f"{where}: link", point.link, tree.link_names)
    links = [tree.link_names.index(point.link) for point in points]
    return torch.tensor(links), torch.tensor([point.xyz for point in points], dtype=torch.float64)


def _rest(tree: KinematicTree, values: dict[str, float]) -> Float[Tensor, " nq"]:
    """The rest posture: joints that are not named stand at 0, or at the limit nearest to it."""
    rest = torch.zeros(len(tree.joint_names), dtype=torch.float64).clamp(tree.lower, tree.upper)
    for name, value in values.items():
        if name not in tree.joint_names:
            raise unknown_name("rest_qpos: joint", name, tree.joint_names)
        i = tree.joint_names.index(name)
        low, high = float(tree.lower[i]), float(tree.upper[i])
        if not low <= value <= high:
            raise ValueError(f"rest_qpos: {name} = {value} lies outside its limits [{low}, {high}].")
        rest[i] = value
    return rest


def _geometry(urdf: Urdf) -> list[Primitive]:
    """Collision solids where a link has some, else what it draws; in the colour that the link is drawn in."""

    def primitive(index: int, shape: Shape, color: tuple[float, ...]) -> Primitive:
        return Primitive(link=index, T_link_shape=shape.T_link_shape, kind=shape.kind, size=shape.size, color=color)

    return [
        primitive(index, shape, (link.visuals or link.collisions)[0].color)
        for index, link in enumerate(urdf.links)
        for shape in link.collisions or link.visuals
    ]
