"""Perception of a table with things on it, by geometry alone: no learned part, no names of things."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull, Delaunay, QhullError

from unihm.perception.completion import complete
from unihm.perception.segmentation import segment
from unihm.perception.table import find_table, world_from_table
from unihm.perception.target import choose, describe
from unihm.schema.scene import ObjectCloud, PerceivedScene, Scene

_ABOVE = (0.01, 0.4)  # m; heights of what counts as things when the world's origin is placed
_TARGET_POINTS, _OTHER_POINTS = 1024, 256  # of the completed clouds; of the others only size and place are of use
_MISS = 5.0  # pixels; a depth camera draws outlines this wide around things


class Tabletop:
    """Plane, clusters, words: see `table`, `segmentation`, `target` and `completion`."""

    def perceive(self, scene: Scene, instruction: str, point: tuple[int, int] | None = None) -> PerceivedScene:
        """See `unihm.perception.base.Perception.perceive`."""
        if not instruction.strip():
            raise ValueError('The instruction is empty; say what to do, for example "lift the red can".')
        valid = scene.depth > 0
        if point is not None:
            _check_pixel(point, scene)
        points_camera = scene.camera.unproject(scene.depth)
        T_world_camera = _world(points_camera[valid], scene.camera.T_world_camera)
        points_world = points_camera @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
        labels = segment(points_world, valid, T_world_camera[:3, 3])
        # Words compare whole things with each other; a pixel needs the far side of its own thing alone.
        count = _OTHER_POINTS if point is None else 0
        objects = [
            self._object(scene, labels == i, points_world, T_world_camera, count) for i in range(labels.max() + 1)
        ]
        if point is not None:
            target = _at_pixel(point, labels, points_world, scene)
        else:
            things = [describe(o.completed_points_world, o.colors, T_world_camera) for o in objects]
            target = choose(instruction, things)
        objects[target] = self._object(scene, labels == target, points_world, T_world_camera, _TARGET_POINTS)
        return PerceivedScene(
            T_world_camera=T_world_camera,
            points_world=points_world[valid],
            colors=scene.color[valid],
            objects=tuple(objects),
            target=target,
        )

    def _object(
        self,
        scene: Scene,
        mask: np.ndarray,
        points_world: np.ndarray,
        T_world_camera: np.ndarray,
        count: int,
    ) -> ObjectCloud:
        v, u = np.nonzero(mask)
        completed = normals = np.zeros((0, 3))
        if count:
            completed, normals = complete(points_world[v, u], scene.depth, scene.camera, T_world_camera, count)
        return ObjectCloud(
            points_world=points_world[v, u],
            colors=scene.color[v, u],
            pixels=np.column_stack([u, v]),
            completed_points_world=completed,
            completed_normals_world=normals,
        )


def _world(points_camera: np.ndarray, T_world_camera: np.ndarray | None) -> np.ndarray:
    table = find_table(points_camera, T_world_camera)
    if T_world_camera is not None:
        return T_world_camera
    height = table.distance(points_camera)
    above = points_camera[(height > _ABOVE[0]) & (height < _ABOVE[1])]
    return world_from_table(table, above if len(above) else points_camera)


def _check_pixel(point: tuple[int, int], scene: Scene) -> None:
    u, v = point
    height, width = scene.depth.shape
    if not (0 <= u < width and 0 <= v < height):
        raise ValueError(
            f"Point {u},{v} lies outside the image; expected u in 0..{width - 1} and v in 0..{height - 1}."
        )


def _at_pixel(point: tuple[int, int], labels: np.ndarray, points_world: np.ndarray, scene: Scene) -> int:
    """The thing at a pixel, within the dark outline of things, or around the pixel (the bottom of a bowl)."""
    u, v = point
    if labels.max() < 0:
        raise ValueError("There is nothing on the table, or nothing that the depth camera sees.")
    pixels = np.argwhere(labels >= 0)
    distance = np.linalg.norm(pixels - [v, u], axis=1)
    nearest = int(np.argmin(distance))
    if distance[nearest] <= _MISS:
        return int(labels[tuple(pixels[nearest])])
    if scene.depth[v, u] <= 0:
        raise ValueError(f"Point {u},{v} has no depth and lies on no object; choose a pixel inside an object.")
    for label in range(labels.max() + 1):
        pixels = np.argwhere(labels == label)
        if _encloses(pixels, np.array([v, u])) and _encloses(
            points_world[labels == label][:, :2], points_world[v, u, :2]
        ):
            return label
    where = "the table" if abs(points_world[v, u, 2]) < _ABOVE[0] else "no object on the table"
    raise ValueError(f"Point {u},{v} lies on {where}; choose a pixel on one of the {labels.max() + 1} objects.")


def _encloses(points: np.ndarray, query: np.ndarray) -> bool:
    try:
        hull = ConvexHull(points)
    except QhullError:
        return False
    return bool(Delaunay(points[hull.vertices]).find_simplex(query[None].astype(np.float64))[0] >= 0)
