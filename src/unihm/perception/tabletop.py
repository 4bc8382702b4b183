"""Perception of a table with things on it, by geometry alone: no learned part, no names of things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from unihm.perception.completing import COMPLETION, complete
from unihm.perception.prompts import at_box, at_pixel, check_request
from unihm.perception.segmentation import segment
from unihm.perception.table import find_table, world_from_table
from unihm.perception.target import choose, describe
from unihm.schema.scene import ObjectCloud, PerceivedScene, Scene

_ABOVE = (0.01, 0.4)  # m; heights of what counts as things when the world's origin is placed
TARGET_POINTS, OTHER_POINTS = 1024, 256  # of the completed clouds; of the others only size and place are of use
_BORDER, _CUT = 2, 5  # pixels; what has so many of them within this of where the depth ends goes on beyond it


class Tabletop:
    """Plane, clusters, words: see `table`, `segmentation`, `target` and `completion`."""

    completion = COMPLETION

    def __init__(self, weights: Path | None = None):
        """Nothing is loaded; weights are refused, because nothing would use them."""
        if weights is not None:
            raise ValueError(f"Perception 'tabletop' is geometry alone and has no use for weights, got '{weights}'.")

    def perceive(
        self,
        scene: Scene,
        instruction: str,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> PerceivedScene:
        """See `unihm.perception.base.Perception.perceive`."""
        check_request(scene, instruction, point)
        valid = scene.depth > 0
        T_world_camera, points_world, labels = look(scene, point)
        # Words compare whole things with each other; a pixel or a box needs the far side of its own thing alone.
        count = OTHER_POINTS if point is None and box is None else 0
        objects = [
            object_cloud(scene, labels == i, points_world, T_world_camera, count) for i in range(labels.max() + 1)
        ]
        if point is not None:
            target = at_pixel(point, labels, points_world, scene)
        elif box is not None:
            target = at_box(box, labels)
        else:
            things = [describe(o.completed_points_world, o.colors, T_world_camera) for o in objects]
            target = choose(instruction, things)
        objects[target] = object_cloud(scene, labels == target, points_world, T_world_camera, TARGET_POINTS)
        return PerceivedScene(
            T_world_camera=T_world_camera,
            points_world=points_world[valid],
            colors=scene.color[valid],
            objects=tuple(objects),
            target=target,
        )


def look(
    scene: Scene, point: tuple[int, int] | None = None
) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "H W 3"], Int[np.ndarray, "H W"]]:
    """Table and things, before anyone says which; see `world`.

    Returns:
        T_world_camera and points as `world` gives them, and the labels of `segmentation.segment`.
    """
    T_world_camera, points_world = world(scene, point)
    return T_world_camera, points_world, segment(points_world, scene.depth > 0, T_world_camera[:3, 3])


def world(
    scene: Scene, point: tuple[int, int] | None = None
) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "H W 3"]]:
    """The z-up world with the table at z = 0.

    Args:
        scene: The image.
        point: Pixel (u, v) on the thing that is meant, if one is known: of two tables, it stands on the right one.

    Returns:
        T_world_camera, and the point of every pixel in the world, m (of pixels without depth the camera's position).

    Raises:
        ValueError: There is no table, or it is not where the camera's pose puts it.
    """
    valid = scene.depth > 0
    points_camera = scene.camera.unproject(scene.depth)
    on_it = points_camera[point[1], point[0]] if point is not None and valid[point[1], point[0]] else None
    T_world_camera = _world(points_camera[valid], scene.camera.T_world_camera, on_it)
    return T_world_camera, points_camera @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]


def object_cloud(
    scene: Scene,
    mask: Bool[np.ndarray, "H W"],
    points_world: Float[np.ndarray, "H W 3"],
    T_world_camera: Float[np.ndarray, "4 4"],
    count: int,
) -> ObjectCloud:
    """The thing under a mask, where it has a depth, with `count` completed points; 0 completes nothing."""
    v, u = np.nonzero(mask & (scene.depth > 0))
    completed = normals = np.zeros((0, 3))
    rows, columns = (np.flatnonzero((scene.depth > 0).any(axis=axis)) for axis in (1, 0))
    beside = np.minimum(v - rows[0], rows[-1] - v) < _BORDER
    at_border = beside | (np.minimum(u - columns[0], columns[-1] - u) < _BORDER)
    if count:
        completed, normals = complete(points_world[v, u], scene.depth, scene.camera, T_world_camera, count)
    return ObjectCloud(
        points_world=points_world[v, u],
        colors=scene.color[v, u],
        pixels=np.column_stack([u, v]),
        completed_points_world=completed,
        completed_normals_world=normals,
        cut_off=bool(at_border.sum() >= _CUT),
    )


def _world(points_camera: np.ndarray, T_world_camera: np.ndarray | None, on_it: np.ndarray | None) -> np.ndarray:
    table = find_table(points_camera, T_world_camera, on_it=on_it)
    if T_world_camera is not None:
        return T_world_camera
    height = table.distance(points_camera)
    above = points_camera[(height > _ABOVE[0]) & (height < _ABOVE[1])]
    return world_from_table(table, above if len(above) else points_camera)
