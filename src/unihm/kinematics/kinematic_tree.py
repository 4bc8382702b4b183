"""A kinematic tree as arrays: batched forward kinematics and the geometric Jacobian of points.

The state `q` holds independent joints; all movable joints follow by ``q_full = M q + o``, and nothing else in the
package knows of mimic joints. Each link's pose in its parent is linear in (1, sin, cos, position),

    T_parent_link(q) = A + B sin q + C cos q + D q,

with constant 4x4 matrices, so all local poses are a few tensor operations; they are then chained level by level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unihm.kinematics.urdf import MOVABLE, Joint, Urdf, cross_matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class KinematicTree:
    """A robot's kinematics in float64; make one with `from_urdf`."""

    link_names: tuple[str, ...]
    """All links, in the order of the file."""
    joint_names: tuple[str, ...]
    """Independent joints, the order of q."""
    full_joint_names: tuple[str, ...]
    """All movable joints, mimic ones included, in the order of the file."""
    lower: Float[Tensor, " nq"]
    """Lower limits, rad or m; minus infinity for continuous joints."""
    upper: Float[Tensor, " nq"]
    """Upper limits, rad or m."""
    M: Float[Tensor, "nfull nq"]
    """``q_full = M q + o``."""
    o: Float[Tensor, " nfull"]
    """Offsets of mimic joints."""

    _level_sizes: tuple[int, ...]
    """Links are chained in level order; the first level is every link that no joint moves."""
    _level_parents: tuple[Int[Tensor, " _"], ...]
    """For each level after the first, positions of the parents in the level above."""
    _link_position: Int[Tensor, " nl"]
    """Position of each link in level order."""
    _q_map: Float[Tensor, "nq nl"]
    """q to the joint position of every link (level order): ``q @ _q_map + _q_offset``."""
    _q_offset: Float[Tensor, " nl"]
    """Mimic offsets in level order."""
    _basis: Float[Tensor, "4 nl 4 4"]
    """A, B, C, D above, in level order."""
    _joint_link: Int[Tensor, " nfull"]
    """Child link of each movable joint."""
    _axis_and_origin: Float[Tensor, "nfull 4 2"]
    """Homogeneous joint axis and joint origin in the child's frame."""
    _prismatic: Float[Tensor, " nfull"]
    """1 for sliding joints, else 0."""
    _moves: Float[Tensor, "nl nfull"]
    """1 where a joint lies between the root and a link."""
    _has_prismatic: bool
    _plain: bool
    """True where M is the identity, so that multiplying by it can be skipped."""

    @classmethod
    def from_urdf(cls, urdf: Urdf, T_base_root: Float[np.ndarray, "4 4"] | None = None) -> KinematicTree:
        """Build the arrays.

        Args:
            urdf: The robot.
            T_base_root: Pose of the root link in the frame in which results are wanted; identity if not given.
        """
        joint_of = {joint.child: joint for joint in urdf.joints}
        levels = _levels(urdf, joint_of)
        order = [name for level in levels for name in level]
        link_names = tuple(link.name for link in urdf.links)
        movable = [joint for joint in urdf.joints if joint.kind in MOVABLE]
        independent = [joint for joint in movable if joint.mimic is None]
        column = {joint.name: i for i, joint in enumerate(independent)}

        M, o = np.zeros((len(movable), len(independent))), np.zeros(len(movable))
        for row, joint in enumerate(movable):
            if joint.mimic is None:
                M[row, column[joint.name]] = 1.0
            else:
                M[row, column[joint.mimic.source]] = joint.mimic.multiplier
                o[row] = joint.mimic.offset

        basis = np.zeros((4, len(order), 4, 4))
        q_map, q_offset = np.zeros((len(independent), len(order))), np.zeros(len(order))
        row_of = {joint.child: row for row, joint in enumerate(movable)}
        for i, name in enumerate(order):
            if i < len(levels[0]):
                basis[0, i] = _static_pose(name, joint_of, np.eye(4) if T_base_root is None else T_base_root)
            else:
                basis[:, i] = _joint_basis(joint_of[name])
            if name in row_of:
                q_map[:, i], q_offset[i] = M[row_of[name]], o[row_of[name]]

        moves = np.zeros((len(link_names), len(movable)))
        for i, name in enumerate(link_names):
            while name != urdf.root:
                if name in row_of:
                    moves[i, row_of[name]] = 1.0
                name = joint_of[name].parent

        axis_and_origin = np.zeros((len(movable), 4, 2))
        axis_and_origin[:, :3, 0] = np.array([joint.axis for joint in movable]).reshape(-1, 3)
        axis_and_origin[:, 3, 1] = 1.0

        above = [{name: i for i, name in enumerate(level)} for level in levels]
        parents = [
            torch.tensor([above[depth][joint_of[name].parent] for name in level])
            for depth, level in enumerate(levels[1:])
        ]
        return cls(
            link_names=link_names,
            joint_names=tuple(joint.name for joint in independent),
            full_joint_names=tuple(joint.name for joint in movable),
            lower=torch.tensor([joint.lower for joint in independent], dtype=torch.float64),
            upper=torch.tensor([joint.upper for joint in independent], dtype=torch.float64),
            M=torch.from_numpy(M),
            o=torch.from_numpy(o),
            _level_sizes=tuple(len(level) for level in levels),
            _level_parents=tuple(parents),
            _link_position=torch.tensor([order.index(name) for name in link_names]),
            _q_map=torch.from_numpy(q_map),
            _q_offset=torch.from_numpy(q_offset),
            _basis=torch.from_numpy(basis),
            _joint_link=torch.tensor([link_names.index(joint.child) for joint in movable], dtype=torch.long),
            _axis_and_origin=torch.from_numpy(axis_and_origin),
            _prismatic=torch.tensor([float(joint.kind == "prismatic") for joint in movable], dtype=torch.float64),
            _moves=torch.from_numpy(moves),
            _has_prismatic=any(joint.kind == "prismatic" for joint in movable),
            _plain=len(movable) == len(independent),
        )

    def forward_kinematics(self, q: Float[Tensor, "*batch nq"]) -> Float[Tensor, "*batch nl 4 4"]:
        """T_root_link of every link; differentiable.

        Args:
            q: Independent joint positions, rad or m. Limits are not enforced.
        """
        angle = torch.matmul(q.to(self._q_map.dtype), self._q_map) + self._q_offset
        angle = angle[..., None, None]
        A, B, C, D = self._basis.unbind()
        local = torch.addcmul(torch.addcmul(A, torch.sin(angle), B), torch.cos(angle), C)
        if self._has_prismatic:
            local = torch.addcmul(local, angle, D)
        levels = list(local.split(self._level_sizes, dim=-3))
        for depth, parents in enumerate(self._level_parents):
            levels[depth + 1] = levels[depth].index_select(-3, parents) @ levels[depth + 1]
        return torch.cat(levels, dim=-3).index_select(-3, self._link_position)

    def point_jacobian(
        self, T_root_link: Float[Tensor, "*batch nl 4 4"], link: Int[Tensor, " k"], points_link: Float[Tensor, "k 3"]
    ) -> tuple[Float[Tensor, "*batch k 3"], Float[Tensor, "*batch k 3 nq"]]:
        """Points fixed to links, and how they move with q.

        Column j is ``a_j × (p - o_j)`` for a turning joint with axis a_j through o_j, and ``a_j`` for a sliding one.

        Args:
            T_root_link: Link poses from `forward_kinematics`. Any other frame in place of the root is as good:
                results are in that frame.
            link: Link index of each point.
            points_link: The points in their links, m.

        Returns:
            The points in the root frame, m, and their Jacobian, m/rad or m/m.
        """
        T_point = T_root_link.index_select(-3, link)
        p = torch.matmul(T_point[..., :3, :3], points_link[:, :, None])[..., 0] + T_point[..., :3, 3]
        # Columns of the product: the axis as a direction (0 below it) and the joint's origin as a point (1 below it).
        joint = torch.matmul(T_root_link.index_select(-3, self._joint_link)[..., :3, :], self._axis_and_origin)
        # Only the joints between the root and a point move it: a seventh of all pairs in a hand of five fingers.
        point, mover = self._moves[link].nonzero().unbind(1)
        axis = joint[..., 0].index_select(-2, mover)
        column = torch.linalg.cross(axis, p.index_select(-2, point) - joint[..., 1].index_select(-2, mover))
        if self._has_prismatic:
            column = torch.lerp(column, axis, self._prismatic[mover, None])
        full = len(self._prismatic)
        J = column.new_zeros(*p.shape[:-1], full, 3).flatten(-3, -2)
        J = J.index_copy(-2, point * full + mover, column).unflatten(-2, (len(link), full)).transpose(-1, -2)
        return p, J if self._plain else J @ self.M


def _levels(urdf: Urdf, joint_of: dict[str, Joint]) -> list[list[str]]:
    """Link names by their distance from the links that no joint moves, each level in the order of the file."""
    depth_of = {urdf.root: 0}
    for link in urdf.links:
        # up to the first link whose depth is known, then down again; a loop, since chains may be longer than the stack
        path = [link.name]
        while path[-1] not in depth_of:
            path.append(joint_of[path[-1]].parent)
        above = depth_of[path.pop()]
        for name in reversed(path):
            above = 0 if above == 0 and joint_of[name].kind == "fixed" else above + 1
            depth_of[name] = above
    depths = [depth_of[link.name] for link in urdf.links]
    levels: list[list[str]] = [[] for _ in range(max(depths) + 1)]
    for link, level in zip(urdf.links, depths, strict=True):
        levels[level].append(link.name)
    return levels


def _static_pose(name: str, joint_of: dict[str, Joint], T_base_root: np.ndarray) -> Float[np.ndarray, "4 4"]:
    """T_base_link of a link that no joint moves."""
    T = np.eye(4)
    while name in joint_of:
        T = joint_of[name].T_parent_child @ T
        name = joint_of[name].parent
    return T_base_root @ T


def _joint_basis(joint: Joint) -> Float[np.ndarray, "4 4 4"]:
    """A, B, C, D of ``T_parent_child(q) = A + B sin q + C cos q + D q`` (Rodrigues' formula)."""
    A, B, C, D = np.eye(4), np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 4))
    if joint.kind == "prismatic":
        D[:3, 3] = joint.axis
    elif joint.kind != "fixed":
        K = cross_matrix(joint.axis)
        A[:3, :3] += K @ K
        B[:3, :3] = K
        C[:3, :3] = -K @ K
    return joint.T_parent_child @ np.stack([A, B, C, D])
