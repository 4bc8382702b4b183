"""What every way of completing does: the seen points of one thing become points of its whole surface."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera
from unihm.registry import Registry


@runtime_checkable
class Completion(Protocol):
    """From the seen points of a thing to P_obj of Eq. 8, at its true size and with normals for Eq. 11."""

    def __call__(
        self,
        points_world: Float[np.ndarray, "n 3"],
        depth: Float[np.ndarray, "H W"],
        camera: Camera,
        T_world_camera: Float[np.ndarray, "4 4"],
        count: int = 1024,
        seed: int = 0,
    ) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
        """The seen points and the guessed rest, evenly spread, with outward normals.

        Args:
            points_world: Seen points of one thing on the table z = 0, m.
            depth: The image, or the part of it around the thing, m; it says what is known to be empty.
            camera: Its intrinsics.
            T_world_camera: Camera pose in the z-up world.
            count: Points wanted.
            seed: Of what is drawn.

        Returns:
            Points in the world, m, and unit normals.
        """
        ...


COMPLETIONS = Registry(
    "Completion",
    {
        "symmetry": "unihm.perception.completion:complete",
        "snowflake": "unihm.perception.learned_completion:complete",
    },
)

COMPLETION = "symmetry"
"""The one in use, and what reports call it. On 276 views of known families and 276 of unknown ones `snowflake` is
better: its Chamfer error is 3.1 and 3.4 mm (means; symmetry: 4.8 and 6.9, seen points alone: 6.9 and 6.5). It takes
over once the grasps that are made and tried on its clouds have been measured, too."""
