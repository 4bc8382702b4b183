"""What shall happen to the object: its path and the phases of the task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import pose_to_vector, vector_to_pose
from unihm.schema.storage import load_record, save_record


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The object's path T_tar of Eq. 7 and the cloud P_obj of Eq. 8, K frames."""

    instruction: str
    """The words that led here."""
    task: str
    """What is asked for, one of `schema.task.TASKS`."""
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

    panel_object: Float[np.ndarray, " 4"] | None = None
    """Of a handle: see `schema.motion.HandMotion.panel_object`."""

    VERSION = 1

    def __len__(self) -> int:
        return len(self.T_world_object)

    def save(self, path: str | Path) -> None:
        """Write the plan as one pickle-free ``.npz``, atomically."""
        header = {name: getattr(self, name) for name in ("instruction", "task", "fps", "rest_frames")}
        arrays = {
            "T_world_object": pose_to_vector(self.T_world_object),
            "T_world_camera": pose_to_vector(self.T_world_camera),
            "object_points": self.object_points,
            "object_normals": self.object_normals,
        }
        if self.panel_object is not None:
            arrays["panel_object"] = self.panel_object
        save_record(path, kind="plan", version=self.VERSION, header=header, arrays=arrays)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan; raises ValueError where the file is missing, damaged or of another kind."""
        header, arrays = load_record(path, kind="plan", version=cls.VERSION)
        fields: dict[str, Any] = {k: v for k, v in header.items() if k not in ("kind", "version")}
        try:
            fields |= arrays
            for name in ("T_world_object", "T_world_camera"):
                fields[name] = vector_to_pose(arrays[name])
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"'{path}' is damaged: {error}.") from error
