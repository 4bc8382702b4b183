"""What a URDF says about the shape of a body, as a cloud of points whose convex hull is the body's.

Meshes are read where their files are there, beside the URDF or behind a ``package://`` address.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.kinematics.urdf import MeshReference, Shape, Urdf

_LARGEST = 1.0  # m: a fingertip that is larger is stated in other units
_MOST_POINTS = 20_000


class Solids:
    """The shapes of a URDF's links; mesh files are read when they are asked for."""

    def __init__(self, path: Path, urdf: Urdf):
        self.folder = path.resolve().parent
        self.links = {link.name: link for link in urdf.links}
        self.missing: set[str] = set()

    def bodies(self, link: str) -> list[Float[np.ndarray, "_ 3"]]:
        """Points of each of a link's solids for contact, or of what it draws where it has none, m, in the link."""
        item = self.links[link]
        for role, shapes in (("collision", item.collisions), ("visual", item.visuals)):
            clouds = [_shape_points(shape) for shape in shapes]
            for mesh in item.mesh_references:
                if mesh.role == role and (cloud := self._mesh_points(mesh)) is not None:
                    clouds.append(cloud)
            if clouds:
                return clouds
        return []

    def points(self, link: str) -> Float[np.ndarray, "n 3"]:
        """All points of `bodies`."""
        return np.concatenate([np.zeros((0, 3)), *self.bodies(link)])

    def _mesh_points(self, mesh: MeshReference) -> Float[np.ndarray, "n 3"] | None:
        import trimesh

        path = self._find(mesh.filename)
        if path is None:
            self.missing.add(mesh.filename)
            return None
        try:
            loaded = trimesh.load(str(path), force="mesh", process=False, skip_materials=True)
            vertices = np.asarray(getattr(loaded, "vertices", np.zeros((0, 3))), dtype=np.float64)
        except Exception:  # trimesh raises whatever its readers raise; the file is then reported as not readable
            vertices = np.zeros((0, 3))
        vertices = vertices * np.array(mesh.scale)
        if not len(vertices) or not np.isfinite(vertices).all() or np.ptp(vertices, axis=0).max() > _LARGEST:
            self.missing.add(mesh.filename)
            return None
        vertices = vertices[:: 1 + len(vertices) // _MOST_POINTS]
        return vertices @ mesh.T_link_mesh[:3, :3].T + mesh.T_link_mesh[:3, 3]

    def _find(self, name: str) -> Path | None:
        """The file behind a mesh's address: relative to the URDF, or to one of the folders above it."""
        plain = name.removeprefix("file://")
        parts = Path(plain.split("://", 1)[1]).parts[1:] if plain.startswith(("package://", "model://")) else None
        if parts is None:
            path = Path(plain)
            path = path if path.is_absolute() else self.folder / path
            return path if path.is_file() else None
        for folder in (self.folder, *self.folder.parents[:4]):
            if (folder / Path(*parts)).is_file():
                return folder / Path(*parts)
        return None


def _shape_points(shape: Shape) -> Float[np.ndarray, "n 3"]:
    """Points on a primitive: the corners of a box, rings of a cylinder, an even cover of a sphere."""
    if shape.kind == "box":
        corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
        points = corners * np.array(shape.size)
    elif shape.kind == "cylinder":
        angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * shape.size[0]
        half = np.array([0, 0, shape.size[1] / 2])
        points = np.concatenate([ring + half, ring - half])
    else:
        points = shape.size[0] * sphere_points(240)
    return points @ shape.T_link_shape[:3, :3].T + shape.T_link_shape[:3, 3]


def sphere_points(count: int) -> Float[np.ndarray, "n 3"]:
    """Unit vectors that cover the sphere evenly: steps of the golden angle, in slices of one height."""
    number = np.arange(count)
    z = 1 - (2 * number + 1) / count
    angle = number * np.pi * (3 - 5**0.5)
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=1)
