"""Scenes of plain boxes, a cup and moving handles, whose measures are known because they were built from them."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from unihm.scenes.records import Thing
from unihm.schema.joint import Joint

# 1 m from the origin, looking along +y and down by 36.9 degrees, x to the right.
CAMERA = np.array([[1.0, 0, 0, 0], [0, -0.6, 0.8, -0.8], [0, -0.8, -0.6, 0.6], [0, 0, 0, 1]])


def moved(points: np.ndarray, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    return points + np.array([x, y, z])


def box_points(size, step: float = 0.005) -> np.ndarray:
    """A grid on the faces of a box whose bottom is on z = 0 below its middle, m."""
    x, y, z = (np.linspace(-edge / 2, edge / 2, max(3, round(edge / step) + 1)) for edge in size)
    faces = []
    for k, (a, b) in enumerate(((y, z), (x, z), (x, y))):
        grid = np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2)
        for side in (-1, 1):
            faces.append(np.insert(grid, k, side * size[k] / 2, axis=1))
    return moved(np.concatenate(faces), z=size[2] / 2)


def cup_points(radius: float = 0.05, inner: float = 0.045, height: float = 0.1, floor: float = 0.005) -> np.ndarray:
    """Outer and inner wall, rim, floor and bottom of a cup, m."""
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
    parts = [radius * ring + [0, 0, z] for z in np.linspace(0, height, 21)]
    parts += [inner * ring + [0, 0, z] for z in np.linspace(floor, height, 20)]
    for z, end in ((0.0, radius), (floor, inner)):
        parts += [r * ring + [0, 0, z] for r in np.linspace(0.005, end, 8)]
    return np.concatenate(parts)


def pose(x: float, y: float, yaw: float = 0.0, z: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", yaw).as_matrix()
    T[:3, 3] = x, y, z
    return T


def thing(
    names, at, size=(0.06, 0.06, 0.1), *, points=None, yaw=0.0, classes=(), held_out_names=(), joint=None, **words
) -> Thing:
    """A box, or other points, that stands somewhere; `words` are its attributes."""
    names = (names,) if isinstance(names, str) else names
    points = box_points(size) if points is None else points
    normals = np.zeros_like(points)
    normals[:, 2] = np.where(np.isclose(points[:, 2], points[:, 2].max()), 1.0, 0.0)
    return Thing(
        family=names[0],
        held_out=False,
        names=names,
        held_out_names=held_out_names,
        class_words=classes,
        attributes=words,
        T_world_object=pose(*at[:2], yaw, *at[2:]),
        dimensions_m=tuple(np.ptp(points, axis=0).tolist()),
        mass_kg=0.3,
        surface_object=points,
        normals_object=normals,
        joint=joint,
        fixture=-1 if joint is None else 0,
    )


def runner(at, position: float = 0.0, upper: float = 0.2) -> Joint:
    """Of a drawer that opens toward the camera."""
    out = np.array([0.0, -1.0, 0.0])
    return Joint(
        kind="slide", axis_world=out, origin_world=np.array(at) - position * out, position=position, upper=upper
    )


def hinge(at, position: float = 0.0, upper: float = 1.9) -> Joint:
    """Of a door that hangs 0.2 m left of a handle."""
    return Joint(
        kind="hinge",
        axis_world=np.array([0.0, 0.0, -1.0]),
        origin_world=moved(np.array(at), -0.2),
        position=position,
        upper=upper,
    )


def part(kind: str, at, joint: Joint, **words) -> Thing:
    """The handle of a drawer, a door or a lid, a bar of 10 cm."""
    words = {"colour": ("brown",), "pattern": (), **words}
    return thing((kind,), at, points=box_points((0.01, 0.1, 0.01)), joint=joint, yaw=-np.pi / 2, **words)
