"""A hand to compute with: batched, differentiable kinematics in torch of what its files describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unihm.hands.description import HANDS_FOLDER, HandDescription, Primitive, describe_hand, list_hands
from unihm.hands.hand_file import PointOnLink
from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import Urdf

__all__ = ["HANDS_FOLDER", "HandModel", "Primitive", "list_hands", "load_hand"]


@dataclass(frozen=True, kw_only=True, eq=False)
class HandModel:
    """One hand, ready to compute with: tensors are float64, points are in the palm frame."""

    description: HandDescription
    """The same hand in NumPy."""
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


def load_hand(name_or_folder: str | Path) -> HandModel:
    """Read a hand.

    Args:
        name_or_folder: A name from `list_hands`, or a folder that holds a ``hand.yaml``.

    Raises:
        ValueError: There is no such hand, or its files are wrong.
    """
    hand = describe_hand(name_or_folder)
    tree = KinematicTree.from_urdf(hand.urdf)
    keypoint_links, keypoint_points = _points(tree, hand.keypoints)
    fingertip_links, fingertip_points = _points(tree, hand.fingertips)
    return HandModel(
        description=hand,
        name=hand.name,
        side=hand.side,
        folder=hand.folder,
        urdf=hand.urdf,
        tree=tree,
        T_root_palm=hand.T_root_palm,
        rest_qpos=torch.from_numpy(hand.rest_qpos.copy()),
        fingers=hand.fingers,
        keypoint_indices=torch.from_numpy(hand.keypoint_indices),
        fingertip_slots=torch.from_numpy(hand.fingertip_slots),
        fingertip_radius=torch.tensor([tip.radius for tip in hand.fingertips], dtype=torch.float64),
        geometry=hand.geometry,
        keypoint_links=keypoint_links,
        keypoint_points=keypoint_points,
        fingertip_links=fingertip_links,
        fingertip_points=fingertip_points,
        palm_tree=KinematicTree.from_urdf(hand.urdf, T_base_root=np.linalg.inv(hand.T_root_palm)),
    )


def _points(tree: KinematicTree, points: Sequence[PointOnLink]) -> tuple[Int[Tensor, " k"], Float[Tensor, "k 3"]]:
    links = [tree.link_names.index(point.link) for point in points]
    return torch.tensor(links), torch.tensor([point.xyz for point in points], dtype=torch.float64)
