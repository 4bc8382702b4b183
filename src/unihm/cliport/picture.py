"""What crops are taken from: the camera's image as it is, or its top-down heightmap.

Letters: H and W of the camera's image, h and w of the picture, P proposals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from unihm.cliport.crops import Crops, crop
from unihm.cliport.rasters import Heightmap, heightmap


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """One image as the planner's network looks at it."""

    colour: UInt8[np.ndarray, "h w 3"]
    """RGB."""
    points_world: Float[np.ndarray, "h w 3"]
    """What every pixel shows, in the z-up world with the table at z = 0, m."""
    valid: Bool[np.ndarray, "h w"]
    """Pixels with a depth."""
    T_world_camera: Float[np.ndarray, "4 4"]
    """Pose of the camera."""
    above: Heightmap | None
    """The heightmap, where it is one."""

    def shown(self, values: Shaped[np.ndarray, "H W"]) -> Shaped[np.ndarray, "h w"]:
        """A map over the camera's image, for example a mask, as one over the picture; 0 where nothing was seen."""
        return values if self.above is None else self.above.seen_from_above(values)

    def crop(self, masks: Bool[np.ndarray, "P h w"]) -> Crops:
        """See `crops.crop`; masks are those of the picture."""
        return crop(
            colour=self.colour,
            points_world=self.points_world,
            valid=self.valid,
            T_world_camera=self.T_world_camera,
            masks=masks,
            view="camera" if self.above is None else "top",
        )


def picture(
    view: Literal["camera", "top"],
    *,
    colour: UInt8[np.ndarray, "H W 3"],
    points_world: Float[np.ndarray, "H W 3"],
    valid: Bool[np.ndarray, "H W"],
    T_world_camera: Float[np.ndarray, "4 4"],
) -> Picture:
    """What crops of an image are taken from.

    Args:
        view: See `network.PlannerConfig.view`.
        colour: RGB.
        points_world: What every pixel shows, in the z-up world with the table at z = 0, m.
        valid: Pixels with a depth.
        T_world_camera: Pose of the camera.

    Raises:
        ValueError: A heightmap is wanted and no point lies on the table or above it.
    """
    image: dict[str, Any] = {"colour": colour, "points_world": points_world, "valid": valid}
    if view == "top":
        above = heightmap(**image, T_world_camera=T_world_camera)
        image = {name: getattr(above, name) for name in image}
    else:
        above = None
    return Picture(**image, T_world_camera=T_world_camera, above=above)
