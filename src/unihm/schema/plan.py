"""What shall happen to the object: its path and the phases of the task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The object's path T_tar of Eq. 7 and the cloud P_obj of Eq. 8, K frames."""

    instruction: str
    """The words that led here."""
    task: str
    """What the verb asks for: ``lift``, ``move`` or ``push``."""
    fps: float
    """Frames per second."""
    T_world_object: Float[np.ndarray, "K 4 4"]
    """Object path, m. The object's frame has its origin at the centre of the object's bounding box and
    the world's axes at frame 0."""
    object_points: Float[np.ndarray, "n 3"]
    """Completed object cloud in the object's frame, m."""
    object_normals: Float[np.ndarray, "n 3"]
    """Outward unit normals of `object_points`."""
    rest_frames: int
    """Frames at the start in which the object rests while the hand approaches; the first moving frame
    is the moment of lift."""
    T_world_camera: Float[np.ndarray, "4 4"]
    """Camera pose; the pre-grasp stands on its side of the table."""
