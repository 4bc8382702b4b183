"""Scenes of two boxes and a drawer before a table, drawn by hand: flat pictures with a depth that fits them."""

from __future__ import annotations

import numpy as np

from unihm.geometry.camera import Camera
from unihm.scenes.records import SceneExample, Thing
from unihm.schema.joint import Joint
from unihm.schema.scene import Scene

HEIGHT, WIDTH = 144, 192
CAMERA_HEIGHT = 0.8  # m; it looks straight down
COLOURS = np.array([[120, 110, 100], [200, 40, 40], [40, 160, 60], [60, 80, 200]])
TOPS = np.array([0.0, 0.06, 0.1, 0.15])  # m


def scene(seed: int, name: int) -> SceneExample:
    """Two things side by side, touching, and a drawer with a handle, at drawn places."""
    rng = np.random.default_rng([seed, name])
    row, column = rng.integers(12, 50), rng.integers(10, 60)
    tall, wide = rng.integers(25, 40), rng.integers(25, 45)
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[row : row + tall, column : column + wide] = 1
    instances[row : row + tall - 8, column + wide : column + 2 * wide - 10] = 2
    low = rng.integers(94, 104)
    instances[low : low + 36, 30:150] = 3
    handles = np.zeros((HEIGHT, WIDTH), bool)
    handles[low + 14 : low + 22, 70:110] = True
    colour = COLOURS[instances] + rng.integers(-12, 12, (HEIGHT, WIDTH, 3))
    colour[handles] = 230
    depth = CAMERA_HEIGHT - TOPS[instances] - 0.02 * handles
    depth[rng.random((HEIGHT, WIDTH)) < 0.02] = 0
    T_world_camera = np.diag([1.0, -1, -1, 1])
    T_world_camera[2, 3] = CAMERA_HEIGHT
    camera = Camera(
        fx=200.0, fy=200.0, cx=(WIDTH - 1) / 2, cy=(HEIGHT - 1) / 2, width=WIDTH, height=HEIGHT, depth_scale=1000.0,
        T_world_camera=T_world_camera,
    )  # fmt: skip
    return SceneExample(
        scene=Scene(color=colour.clip(0, 255).astype(np.uint8), depth=depth, camera=camera),
        instances=instances,
        handles=handles,
        things=tuple(_thing(joint) for joint in (None, None, DRAWER)),
        askings=(),
        seed=seed,
        style="standard",
    )


def scenes(count: int, views: int = 2) -> list[SceneExample]:
    """So many scenes, each from some views."""
    return [scene(seed, view) for seed in range(count) for view in range(views)]


DRAWER = Joint(
    kind="slide", axis_world=np.array([0.0, -1, 0]), origin_world=np.zeros(3), position=0.0, upper=0.2
)  # fmt: skip


def _thing(joint: Joint | None) -> Thing:
    return Thing(
        family="drawer" if joint else "box", held_out=False, names=("box",), held_out_names=(), class_words=(),
        attributes={}, T_world_object=np.eye(4), dimensions_m=(0.1, 0.1, 0.1), mass_kg=0.1,
        surface_object=np.zeros((1, 3)), normals_object=np.array([[0.0, 0, 1]]), joint=joint,
        fixture=0 if joint else -1,
    )  # fmt: skip
