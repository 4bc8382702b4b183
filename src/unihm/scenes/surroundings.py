"""The table that things stand on, and what is behind it: a floor, walls, and furniture that is nobody's business."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import mujoco
import numpy as np

from unihm.geometry.pose import pose_to_vector, yaw_pose
from unihm.scenes.appearance import draw_colour
from unihm.scenes.layout import TableTop
from unihm.scenes.styles import Style

_LENGTH, _WIDTH = (0.6, 1.4), (0.5, 0.9)  # m; of table tops
_THICK = (0.018, 0.045)  # m
_ROUND = 0.15  # share of round tops
_OFF = 0.3  # how far the things are from the middle of the table, as a share of its half size
_FLOOR = (-0.76, -0.68)  # m; tables are 68 to 76 cm high
_BEHIND = float(np.radians(75))  # rad; of the direction away from the camera, in which there are walls and furniture
_CLUTTER = (2, 9)
_WALLS = ("white", "light grey", "grey", "light brown", "light blue", "dark grey")
_GOODS = ("black", "black", "dark grey", "dark brown", "brown", "grey", "white", "dark blue", "light brown", "dark red")
_WALL = (1.3, 4.0)  # m from the table's middle


def draw_table(style: Style, rng: np.random.Generator) -> TableTop:
    """A table top under the world's origin."""
    half = rng.uniform(*_LENGTH) / 2, rng.uniform(*_WIDTH) / 2
    if disc := rng.random() < _ROUND:
        half = half[0], half[0]
    T = yaw_pose(rng.uniform(-np.pi, np.pi))
    T[:2, 3] = T[:2, :2] @ (rng.uniform(-_OFF, _OFF, 2) * half)
    return TableTop(T_world_table=T, half=half, round=disc)


def add_surroundings(spec: mujoco.MjSpec, table: TableTop, azimuth: float, rng: np.random.Generator) -> None:
    """Put a table, ``table/0``, a floor, ``floor``, and what is behind, ``behind/*``, into a model.

    Args:
        spec: The model.
        table: Where its top is.
        azimuth: Of the camera around the vertical, rad; nothing is put between it and the table.
        rng: Draws it.
    """
    thick = rng.uniform(*_THICK)
    pose = pose_to_vector(table.T_world_table)
    kind = mujoco.mjtGeom.mjGEOM_CYLINDER if table.round else mujoco.mjtGeom.mjGEOM_BOX
    size = [table.half[0], thick / 2, 0.0] if table.round else [*table.half, thick / 2]
    _add(spec, "table/0", kind, size, [*pose[:2], -thick / 2], pose[3:])
    floor = rng.uniform(*_FLOOR)
    _add(spec, "floor", mujoco.mjtGeom.mjGEOM_PLANE, [6.0, 6.0, 0.1], [0, 0, floor])
    for i in range(2):
        turn, far = azimuth + np.pi + rng.uniform(-_BEHIND, _BEHIND), rng.uniform(*_WALL)
        yaw = yaw_pose(turn, (far * np.cos(turn), far * np.sin(turn), floor + 1.5))
        pose = pose_to_vector(yaw)
        _add(
            spec,
            f"behind/wall{i}",
            mujoco.mjtGeom.mjGEOM_BOX,
            [0.02, 2.5, 1.5],
            pose[:3],
            pose[3:],
            colour=_colour(rng, _WALLS),
        )
    reach = float(np.hypot(*table.half) + np.hypot(*table.T_world_table[:2, 3]))
    for i in range(rng.integers(*_CLUTTER, endpoint=True)):
        turn = azimuth + np.pi + rng.uniform(-_BEHIND, _BEHIND)
        half = rng.uniform([0.03, 0.03, 0.1], [0.25, 0.25, 0.55])
        far = reach + float(np.hypot(*half[:2])) + rng.exponential(0.35) + 0.05
        up = floor + half[2] + (rng.uniform(0, 0.5) if rng.random() < 0.3 else 0.0)
        kind = mujoco.mjtGeom.mjGEOM_CYLINDER if rng.random() < 0.25 else mujoco.mjtGeom.mjGEOM_BOX
        size = [half[0], half[2], 0.0] if kind == mujoco.mjtGeom.mjGEOM_CYLINDER else half
        yaw = pose_to_vector(yaw_pose(rng.uniform(-np.pi, np.pi)))[3:]
        _add(
            spec,
            f"behind/{i}",
            kind,
            size,
            [far * np.cos(turn), far * np.sin(turn), up],
            yaw,
            colour=_colour(rng, _GOODS),
        )


def _colour(rng: np.random.Generator, names: tuple[str, ...]):
    return draw_colour(rng, str(rng.choice(names))) / 255.0


def _add(
    spec: mujoco.MjSpec, name: str, kind, size, position, quaternion=(1.0, 0.0, 0.0, 0.0), colour=(0.5, 0.5, 0.5)
) -> None:
    spec.worldbody.add_geom(
        name=name,
        type=kind,
        size=np.array(size, dtype=np.float64),
        pos=np.array(position, dtype=np.float64),
        quat=np.array(quaternion, dtype=np.float64),
        rgba=[*colour, 1.0],
        contype=0,
        conaffinity=0,
    )
