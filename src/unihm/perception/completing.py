"""What every way of completing does: the seen points of one thing become points of its whole surface."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera
from unihm.geometry.point_cloud import main_parts
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

COMPLETION = "snowflake"
"""The one in use, and what reports call it."""


def complete(
    points_world: Float[np.ndarray, "n 3"],
    depth: Float[np.ndarray, "H W"],
    camera: Camera,
    T_world_camera: Float[np.ndarray, "4 4"],
    count: int = 1024,
    *,
    way: str = COMPLETION,
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """See `Completion`; the seen points may have strays, which are left out.

    Args:
        points_world: As there.
        depth: As there.
        camera: As there.
        T_world_camera: As there.
        count: As there.
        way: Key of `COMPLETIONS`.
    """
    kept = main_parts(points_world)
    return COMPLETIONS[way](points_world[kept], depth, camera, T_world_camera, count)
