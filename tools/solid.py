"""Boxes, cylinders and spheres, their union, and samples of surfaces. Metres and radians throughout."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

DENSITY = 10e6  # 1/m^2: 10 per mm^2, so the nearest sample is 0.16 mm away on average


@dataclass(frozen=True)
class Solid:
    """A box (x, y, z), cylinder (radius, length along its z) or sphere (radius,) at a pose in its link, m and rad."""

    kind: str
    size: tuple[float, ...]
    xyz: tuple[float, ...] = (0.0, 0.0, 0.0)
    rpy: tuple[float, ...] = (0.0, 0.0, 0.0)

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Distance (n,) of points (n, 3) from the surface, m, negative inside."""
        p = (points - self.xyz) @ Rotation.from_euler("xyz", self.rpy).as_matrix()
        if self.kind == "sphere":
            return np.linalg.norm(p, axis=1) - self.size[0]
        if self.kind == "box":
            q = np.abs(p) - np.array(self.size) / 2
        else:
            q = np.stack([np.hypot(p[:, 0], p[:, 1]) - self.size[0], np.abs(p[:, 2]) - self.size[1] / 2], axis=1)
        return np.linalg.norm(np.maximum(q, 0.0), axis=1) + np.minimum(q.max(axis=1), 0.0)

    def mesh(self) -> trimesh.Trimesh:
        """The surface as triangles in the link's frame."""
        if self.kind == "sphere":
            mesh = trimesh.creation.icosphere(subdivisions=4, radius=self.size[0])
        elif self.kind == "box":
            mesh = trimesh.creation.box(self.size)
        else:
            mesh = trimesh.creation.cylinder(self.size[0], self.size[1], sections=96)
        return mesh.apply_transform(pose(self.xyz, self.rpy))

    def flipped(self, flip: np.ndarray, shift: np.ndarray) -> Solid:
        """The solid's image under p -> flip * p + shift, `flip` being signs (3,) of the axes."""
        R = Rotation.from_euler("xyz", self.rpy).as_matrix() * flip[:, None]
        if np.linalg.det(R) < 0:
            R[:, 0] *= -1  # all kinds look alike in a mirror through their own middle
        xyz = np.round(flip * self.xyz + shift, 5)
        return Solid(self.kind, self.size, tuple(xyz.tolist()), tuple(np.round(rpy_of(R), 4).tolist()))

    def to_json(self) -> dict:
        """Plain values."""
        return {"kind": self.kind, "size": list(self.size), "xyz": list(self.xyz), "rpy": list(self.rpy)}


def pose(xyz: tuple[float, ...], rpy: tuple[float, ...]) -> np.ndarray:
    """T (4, 4) of a URDF origin: rpy turns about fixed x, y, z."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("xyz", rpy).as_matrix(), xyz
    return T


def rpy_of(R: np.ndarray) -> np.ndarray:
    """Fixed-axis angles; at gimbal lock, where only a sum of two is told, the last one is zero, which serves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Rotation.from_matrix(R).as_euler("xyz")


def sample(mesh: trimesh.Trimesh, density: float, seed: int) -> np.ndarray:
    """Points (n, 3) spread evenly at random over all triangles, `density` per m^2."""
    rng = np.random.default_rng(seed)
    corners, areas = mesh.triangles, mesh.area_faces
    face = np.repeat(np.arange(len(areas)), rng.poisson(areas * density))
    u, v = rng.random((2, len(face), 1))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    a, b, c = (corners[face, i] for i in range(3))
    return a + u * (b - a) + v * (c - a)


def union_surface(solids: list[Solid], density: float = DENSITY, seed: int = 1000) -> np.ndarray:
    """Samples (n, 3) of the boundary of the union of solids: those that lie in no other solid."""
    kept = []
    for i, solid in enumerate(solids):
        points = sample(solid.mesh(), density, seed + i)
        for j, other in enumerate(solids):
            if i != j:  # where two faces coincide, one of them is kept
                points = points[other.signed_distance(points) > (1e-7 if j < i else -1e-7)]
        kept.append(points)
    return np.concatenate(kept)
