"""An image cut into things and moving parts by the view network: what is seen before anybody has said anything."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from unihm.cliport.instances import Instances, instances
from unihm.cliport.view_input import view_input
from unihm.cliport.view_network import OFFSET_CELLS, ViewNetwork

_LEAST_PIXELS = 60  # with a depth, of an instance


def cut(
    network: ViewNetwork,
    *,
    colour: UInt8[np.ndarray, "H W 3"],
    points_world: Float[np.ndarray, "H W 3"],
    valid: Bool[np.ndarray, "H W"],
    T_world_camera: Float[np.ndarray, "4 4"],
) -> Instances:
    """Things and moving parts, largest first; there may be none.

    Args:
        network: Trained.
        colour: RGB.
        points_world: What every pixel shows, in the z-up world with the table at z = 0, m.
        valid: Pixels with a depth.
        T_world_camera: Pose of the camera.
    """
    view = view_input(
        colour=colour,
        points_world=points_world,
        valid=valid,
        T_world_camera=T_world_camera,
        cells=network.config.cells,
    )
    classes, offsets = network.maps(view)
    found = instances(classes, OFFSET_CELLS * offsets, *valid.shape)
    size = np.bincount(found.labels[valid & (found.labels >= 0)], minlength=len(found))
    kept = [int(i) for i in np.argsort(-size, kind="stable") if size[i] >= _LEAST_PIXELS]
    return found.only(kept)
