"""Perception by Point-SAM: one click on what is meant, and the network says which points belong to it.

The click is the user's pixel, or where words or a box chose among the things of `tabletop`, the pixel deepest inside of
the chosen one. The coloured cloud around the click, table and neighbours included, is thinned and given to the network,
which scales it to the unit ball; its mask goes back to the pixels by the nearest point and replaces the geometric one.
Table, world frame and the other things are those of `tabletop`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from unihm.geometry.point_cloud import voxel_indices
from unihm.perception.completing import COMPLETION
from unihm.perception.point_sam import load_point_sam, segment
from unihm.perception.prompts import at_box, check_request
from unihm.perception.segmentation import deepest_pixel
from unihm.perception.tabletop import OTHER_POINTS, TARGET_POINTS, look, object_cloud
from unihm.perception.target import choose, describe
from unihm.schema.scene import PerceivedScene, Scene

_AROUND = 0.3  # m about the click; what one hand takes from a table is no longer
_VOXEL = 0.004  # m; leaves up to 20 000 points, and 512 patches of 64 cover them
_LEAST = 50  # pixels; a thing of fewer is 1 cm^2 at half a metre and cannot be completed
_SWALLOWED = 0.5  # share of its pixels that a thing loses to the mask to count as a part of what is meant


class PointSAMPrompts:
    """Clicks on the image become masks of Point-SAM; its weights are a local file."""

    completion = COMPLETION

    def __init__(self, weights: Path | None = None):
        """Load the network.

        Raises:
            ValueError: No file is named, or it does not hold Point-SAM's weights.
        """
        if weights is None:
            raise ValueError(
                "Perception 'point_sam' needs Point-SAM's weights (model.safetensors, from its authors); "
                "name the file with --perception-weights."
            )
        self.model = load_point_sam(weights)

    def perceive(
        self,
        scene: Scene,
        instruction: str,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> PerceivedScene:
        """See `unihm.perception.base.Perception.perceive`; a pixel needs a depth, but no thing that `tabletop` finds.

        Raises:
            ValueError: Also where the network finds hardly anything at the click.
        """
        check_request(scene, instruction, point)
        if point is not None:
            u, v = point
            if scene.depth[v, u] <= 0:
                raise ValueError(f"Point {u},{v} has no depth; choose another pixel of the object.")
        T_world_camera, points_world, labels = look(scene, point)
        if point is None and box is not None:
            point = deepest_pixel(labels == at_box(box, labels))
        elif point is None:
            objects = [
                object_cloud(scene, labels == i, points_world, T_world_camera, OTHER_POINTS)
                for i in range(labels.max() + 1)
            ]
            things = [describe(o.completed_points_world, o.colors, T_world_camera) for o in objects]
            point = deepest_pixel(labels == choose(instruction, things))
        mask = self._mask(scene, points_world, point)
        if mask.sum() < _LEAST:
            raise ValueError(
                f"Point-SAM gives pixel {point[0]},{point[1]} a mask of {mask.sum()} pixels, fewer than {_LEAST}; "
                "give another pixel of the object with --point U,V."
            )
        others = _others(labels, mask, int(labels[point[1], point[0]]))
        masks = sorted([*others, mask], key=lambda m: -int(m.sum()))
        target = next(i for i, m in enumerate(masks) if m is mask)
        counts = [TARGET_POINTS if i == target else 0 for i in range(len(masks))]
        valid = scene.depth > 0
        return PerceivedScene(
            T_world_camera=T_world_camera,
            points_world=points_world[valid],
            colors=scene.color[valid],
            objects=tuple(
                object_cloud(scene, m, points_world, T_world_camera, count)
                for m, count in zip(masks, counts, strict=True)
            ),
            target=target,
        )

    def _mask(
        self, scene: Scene, points_world: Float[np.ndarray, "H W 3"], point: tuple[int, int]
    ) -> Bool[np.ndarray, "H W"]:
        """The pixels that the network gives to the click."""
        click = points_world[point[1], point[0]]
        near = (scene.depth > 0) & (np.linalg.norm(points_world - click, axis=-1) < _AROUND)
        # The click comes first and so wins its voxel: it is a point of the cloud, never outside of it.
        points = np.concatenate([click[None], points_world[near]])
        colors = np.concatenate([scene.color[point[1], point[0]][None], scene.color[near]])
        kept = voxel_indices(points, _VOXEL)
        chosen = segment(self.model, points[kept], colors[kept] / 255, click[None], np.array([1]))
        mask = np.zeros(scene.depth.shape, dtype=bool)
        mask[near] = chosen[np.asarray(KDTree(points[kept]).query(points_world[near])[1])]
        return mask


def _others(labels: Int[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"], own: int) -> list[Bool[np.ndarray, "H W"]]:
    """The other things, less what the mask takes; `own` is the one that was clicked on, -1 for none."""
    left = []
    for label in range(labels.max() + 1):
        thing = labels == label
        rest = thing & ~mask
        if label != own and rest.sum() > (1 - _SWALLOWED) * thing.sum():
            left.append(rest)
    return left
