"""What the camera saw, and what was recognised in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from unihm.geometry.camera import Camera
from unihm.schema.asked import Asked


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One RGB-D image."""

    color: UInt8[np.ndarray, "H W 3"]
    """RGB."""
    depth: Float[np.ndarray, "H W"]
    """Planar depth along the optical axis, m; 0 where the sensor saw nothing."""
    camera: Camera
    """Intrinsics, and the pose in the world where it is known."""
    name: str = ""
    """Folder name or episode id."""


@dataclass(frozen=True, kw_only=True)
class ObjectCloud:
    """One object on the table."""

    points_world: Float[np.ndarray, "n 3"]
    """Seen surface points, m."""
    colors: UInt8[np.ndarray, "n 3"]
    """RGB of the seen points."""
    pixels: Int[np.ndarray, "n 2"]
    """(u, v) of the seen points."""
    completed_points_world: Float[np.ndarray, "m 3"]
    """The seen points and the guessed far side, m; empty for things that nobody asked about."""
    completed_normals_world: Float[np.ndarray, "m 3"]
    """Outward unit normals of the completed points."""
    cut_off: bool = False
    """Whether it goes on beyond the image; it is then completed only as far as it is seen."""


@dataclass(frozen=True, kw_only=True)
class PerceivedScene:
    """A scene understood: the world frame, everything on the table, and the object that was meant."""

    T_world_camera: Float[np.ndarray, "4 4"]
    """Camera pose in the z-up world whose z = 0 is the table."""
    points_world: Float[np.ndarray, "N 3"]
    """All seen points, m."""
    colors: UInt8[np.ndarray, "N 3"]
    """RGB of all seen points."""
    objects: tuple[ObjectCloud, ...]
    """Everything on the table, largest first."""
    target: int
    """Index of the object that the instruction or the pixel means."""
    asked: Asked | None = None
    """What is asked for, where what found the object also read that."""

    @property
    def target_object(self) -> ObjectCloud:
        """The object that is to be handled."""
        return self.objects[self.target]
