"""One recorded manipulation: human keypoints, the object and its path, and what may be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

COMPOSED = "composed"
"""Attribute of an episode that was composed: by which composer; recorded ones have none."""
RELEASE = "release_frame"
"""Attribute of an episode: first frame in which the hand lets go."""
PANEL = "panel_object"
"""Attribute of a handle's episode: four numbers, see `schema.motion.HandMotion.panel_object`."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A right-handed manipulation of one object over T frames in the z-up world, table at z = 0."""

    id: str
    """Unique and stable name, for example ``dexycb/20200709-subject-01/20200709_141754``."""
    recording: str
    """The recording that the episode was cut or mirrored from; splits never cut through one."""
    dataset: str
    """Name of the reader that made it."""
    subject: str
    """Who moved."""
    object_name: str
    """What was moved, the data set's own name."""
    mirrored: bool
    """True for a left hand reflected into a right one (the object is reflected with it)."""
    fps: float
    """Frames per second."""
    keypoints_world: Float[np.ndarray, "T 21 3"]
    """Human keypoints (wrist, then thumb, index, middle, ring, pinky, four each), m."""
    T_world_object: Float[np.ndarray, "T 4 4"]
    """Object pose, m."""
    object_points: Float[np.ndarray, "n 3"]
    """Object surface points in the object's frame, m."""
    object_normals: Float[np.ndarray, "n 3"]
    """Outward unit normals of `object_points`."""
    T_world_camera: Float[np.ndarray, "4 4"]
    """Pose of the recording camera (OpenCV axes)."""
    instructions: tuple[str, ...]
    """Things a person might have said to ask for this motion; at least five."""
    contact_frame: int
    """First frame in which the hand touches the object."""
    lift_frame: int
    """First frame in which the object has left its rest."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Further facts that the reader states, for example what the published splits are defined by."""

    def __len__(self) -> int:
        return len(self.keypoints_world)

    @property
    def release_frame(self) -> int | None:
        """First frame in which the hand lets go; None where it holds to the end."""
        return int(self.attributes[RELEASE]) if RELEASE in self.attributes else None

    @property
    def panel_object(self) -> Float[np.ndarray, " 4"] | None:
        """The plane that a handle stands on, in its frame; None for free objects."""
        return np.array(self.attributes[PANEL].split(), dtype=float) if PANEL in self.attributes else None


def panel_text(panel_object: Float[np.ndarray, " 4"]) -> str:
    """A plane as the attribute `PANEL` holds it."""
    return " ".join(f"{value:.9g}" for value in panel_object)
