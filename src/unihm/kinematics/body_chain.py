"""A kinematic tree as plain NumPy arrays of its moving bodies, for compiled loops.

Links that no joint moves are part of the base, links behind fixed joints are part of the body that carries them: what
remains is one body a movable joint,

    T_base_body = T_base_parent  T_parent_body  M(q_full),    q_full = multiplier * q[column] + offset,

where M turns about, or slides along, the joint's axis. The same kinematics as `KinematicTree`, which is the reference
(and computes with torch, batched); a test holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from unihm.kinematics.urdf import MOVABLE, Urdf, cross_matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class BodyChain:
    """Moving bodies, each after its parent; body -1 is the base."""

    joint_names: tuple[str, ...]
    """Independent joints, the order of q."""
    lower: Float[np.ndarray, " nq"]
    """Lower limits, rad or m; minus infinity for continuous joints."""
    upper: Float[np.ndarray, " nq"]
    """Upper limits, rad or m."""
    velocity: Float[np.ndarray, " nq"]
    """Largest speeds, rad/s or m/s; infinite where the file states none."""
    parent: Int[np.ndarray, " nb"]
    """Parent body, -1 for the base."""
    T_parent_body: Float[np.ndarray, "nb 4 4"]
    """Pose in the parent at joint position 0."""
    axis: Float[np.ndarray, "nb 3"]
    """Unit joint axis in the body."""
    prismatic: Int[np.ndarray, " nb"]
    """1 for sliding joints, else 0."""
    column: Int[np.ndarray, " nb"]
    """The independent joint that drives the body."""
    multiplier: Float[np.ndarray, " nb"]
    """Of the mimic relation; 1 for independent joints."""
    offset: Float[np.ndarray, " nb"]
    """Of the mimic relation; 0 for independent joints."""
    body_of_link: dict[str, int]
    """The body that each link is part of."""
    T_body_link: dict[str, Float[np.ndarray, "4 4"]]
    """Where in that body."""

    @classmethod
    def from_urdf(cls, urdf: Urdf, T_base_root: Float[np.ndarray, "4 4"] | None = None) -> BodyChain:
        """Build the arrays.

        Args:
            urdf: The robot.
            T_base_root: Pose of the root link in the frame in which results are wanted; identity if not given.
        """
        independent = [joint for joint in urdf.joints if joint.kind in MOVABLE and joint.mimic is None]
        column = {joint.name: i for i, joint in enumerate(independent)}
        children: dict[str, list] = {}
        for joint in urdf.joints:
            children.setdefault(joint.parent, []).append(joint)
        body_of_link = {urdf.root: -1}
        T_body_link = {urdf.root: np.eye(4) if T_base_root is None else np.asarray(T_base_root, dtype=np.float64)}
        rows = []
        todo = [urdf.root]
        while todo:
            link = todo.pop()
            for joint in reversed(children.get(link, [])):
                todo.append(joint.child)
            for joint in children.get(link, []):
                T = T_body_link[link] @ joint.T_parent_child
                if joint.kind not in MOVABLE:
                    body_of_link[joint.child], T_body_link[joint.child] = body_of_link[link], T
                    continue
                source, multiplier, offset = joint.name, 1.0, 0.0
                if joint.mimic is not None:
                    source, multiplier, offset = joint.mimic.source, joint.mimic.multiplier, joint.mimic.offset
                rows.append((body_of_link[link], T, joint, column[source], multiplier, offset))
                body_of_link[joint.child], T_body_link[joint.child] = len(rows) - 1, np.eye(4)
        return cls(
            joint_names=tuple(column),
            lower=np.array([joint.lower for joint in independent], dtype=np.float64),
            upper=np.array([joint.upper for joint in independent], dtype=np.float64),
            velocity=np.array([joint.velocity for joint in independent], dtype=np.float64),
            parent=np.array([row[0] for row in rows], dtype=np.int64),
            T_parent_body=np.array([row[1] for row in rows], dtype=np.float64).reshape(-1, 4, 4),
            axis=np.array([row[2].axis for row in rows], dtype=np.float64).reshape(-1, 3),
            prismatic=np.array([row[2].kind == "prismatic" for row in rows], dtype=np.int64),
            column=np.array([row[3] for row in rows], dtype=np.int64),
            multiplier=np.array([row[4] for row in rows], dtype=np.float64),
            offset=np.array([row[5] for row in rows], dtype=np.float64),
            body_of_link=body_of_link,
            T_body_link=T_body_link,
        )

    def point(self, link: str, xyz: Float[np.ndarray, " 3"]) -> tuple[int, Float[np.ndarray, " 3"]]:
        """A point of a link as the body that carries it and its place there, m."""
        T = self.T_body_link[link]
        return int(self.body_of_link[link]), T[:3, :3] @ np.asarray(xyz, dtype=np.float64) + T[:3, 3]

    def forward_kinematics(self, q: Float[np.ndarray, "*batch nq"]) -> Float[np.ndarray, "*batch nb 4 4"]:
        """T_base_body of every body: the plain loop, for what is done once."""
        T = np.zeros((*q.shape[:-1], len(self.parent), 4, 4))
        for j, u in enumerate(self.parent):
            x = (self.multiplier[j] * q[..., self.column[j]] + self.offset[j])[..., None, None]
            motion = np.broadcast_to(np.eye(4), T[..., j, :, :].shape).copy()
            if self.prismatic[j]:
                motion[..., :3, 3] = x[..., 0] * self.axis[j]
            else:
                K = cross_matrix(self.axis[j])
                motion[..., :3, :3] += np.sin(x) * K + (1 - np.cos(x)) * (K @ K)
            local = self.T_parent_body[j] @ motion
            T[..., j, :, :] = T[..., u, :, :] @ local if u >= 0 else local
        return T

    def ancestors(self, body: int) -> list[int]:
        """The bodies whose joints move a body, itself included, root first."""
        chain = []
        while body >= 0:
            chain.append(body)
            body = int(self.parent[body])
        return chain[::-1]
