"""A box on a table, seen by a camera: every pixel by the formula of a ray, without a renderer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LOW, HIGH = np.array([0.02, 0.55, 0.0]), np.array([0.14, 0.65, 0.08])
"""Corners of the box, m."""
RED, GREY = (200, 20, 20), (90, 90, 90)


@dataclass
class BoxImage:
    """What `unihm.cliport.crops.crop` takes."""

    colour: np.ndarray
    points_world: np.ndarray
    valid: np.ndarray
    T_world_camera: np.ndarray
    mask: np.ndarray

    def given(self) -> dict:
        """Arguments of `crop`."""
        names = ("colour", "points_world", "valid", "T_world_camera")
        return {**{name: getattr(self, name) for name in names}, "masks": self.mask[None]}


def looking(eye, pitch: float) -> np.ndarray:
    """T_world_camera of a camera that looks along +y, `pitch` rad below the horizon; +x is right."""
    c, s = np.cos(pitch), np.sin(pitch)
    T = np.eye(4)
    T[:3, :3] = np.column_stack([[1.0, 0, 0], [0, -s, -c], [0, c, -s]])
    T[:3, 3] = eye
    return T


def box_image(T_world_camera: np.ndarray, height: int = 240, width: int = 320, focal: float = 300.0) -> BoxImage:
    """The nearest of table and box along every pixel's ray."""
    u, v = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    rays = np.stack([u / focal, v / focal, np.ones_like(u)], axis=-1) @ T_world_camera[:3, :3].T
    eye = T_world_camera[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        table = np.where(rays[..., 2] < 0, -eye[2] / rays[..., 2], np.inf)
        ends = np.stack([(LOW - eye) / rays, (HIGH - eye) / rays])
    enter, leave = ends.min(axis=0).max(axis=-1), ends.max(axis=0).min(axis=-1)
    hit = (enter < leave) & (enter > 0)
    depth = np.where(hit, enter, table)
    valid = np.isfinite(depth) & (depth < 5)
    points = np.where(valid[..., None], eye + np.where(valid, depth, 0)[..., None] * rays, 0.0)
    colour = np.where(hit[..., None], RED, GREY).astype(np.uint8)
    return BoxImage(colour, points, valid, T_world_camera, hit)
