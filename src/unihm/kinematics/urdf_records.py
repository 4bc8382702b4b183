"""What a URDF says, as plain records; `unihm.kinematics.urdf` reads, checks and changes them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

MOVABLE = ("revolute", "continuous", "prismatic")
JOINT_TYPES = (*MOVABLE, "fixed")
GREY = (0.7, 0.7, 0.7, 1.0)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A primitive solid fixed to a link."""

    kind: str
    """``sphere``, ``cylinder`` (along its own z) or ``box``."""
    size: tuple[float, ...]
    """Sphere: (radius,); cylinder: (radius, length); box: (x, y, z) edge lengths; m."""
    T_link_shape: Float[np.ndarray, "4 4"]
    """Pose of the shape's centre in the link."""
    color: tuple[float, ...] = GREY
    """RGBA in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class MeshReference:
    """A mesh that a link mentions; the file is not opened and may be missing."""

    filename: str
    """As written: a path beside the URDF, or ``package://`` and a path."""
    role: str
    """``collision`` or ``visual``."""
    T_link_mesh: Float[np.ndarray, "4 4"]
    """Pose of the mesh's own frame in the link."""
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    """Factors along the mesh's own axes, applied before the pose; negative ones mirror."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A rigid body."""

    name: str
    """Unique in the file."""
    collisions: tuple[Shape, ...] = ()
    """Solids for contact."""
    visuals: tuple[Shape, ...] = ()
    """Solids for drawing."""
    mesh_references: tuple[MeshReference, ...] = ()
    """Meshes that the link mentions, collision ones first, each in the order of the file."""
    mass: float = 0.0
    """kg; 0 where no inertial is stated."""

    @property
    def meshes(self) -> tuple[str, ...]:
        """File names of `mesh_references`."""
        return tuple(reference.filename for reference in self.mesh_references)


@dataclass(frozen=True, kw_only=True)
class Mimic:
    """``q = multiplier * q_source + offset`` with an independent source."""

    source: str
    """Name of the independent joint."""
    multiplier: float
    """rad/rad, m/m or mixed."""
    offset: float
    """rad or m."""


@dataclass(frozen=True, kw_only=True)
class Joint:
    """What connects a link to its parent."""

    name: str
    """Unique in the file."""
    kind: str
    """One of `JOINT_TYPES`."""
    parent: str
    """Parent link."""
    child: str
    """Child link."""
    T_parent_child: Float[np.ndarray, "4 4"]
    """Pose of the child link in its parent at q = 0."""
    axis: Float[np.ndarray, " 3"]
    """Unit axis in the child's frame."""
    lower: float = -math.inf
    """Lower limit, rad or m; infinite for continuous joints, for which every q is allowed and a full turn is the
    same pose."""
    upper: float = math.inf
    """Upper limit, rad or m."""
    effort: float = math.inf
    """Largest torque or force, N m or N."""
    velocity: float = math.inf
    """Largest speed, rad/s or m/s; infinite where none, or none above 0, is stated."""
    mimic: Mimic | None = None
    """Set where the joint follows another one. Its own limits then have no effect: those of the independent joint
    rule (`unihm.kinematics.mimic.mimic_overshoot` says by how much they disagree)."""


@dataclass(frozen=True, kw_only=True)
class Urdf:
    """A robot description; links and joints in the order of the file."""

    name: str
    """The robot's name."""
    links: tuple[Link, ...]
    """All bodies."""
    joints: tuple[Joint, ...]
    """All connections; one fewer than links."""
    root: str
    """The one link without a parent."""
