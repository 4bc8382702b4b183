"""Pinhole cameras with OpenCV axes: x right, y down, z forward; integer pixels are pixel centres."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

_FIELDS = ("fx", "fy", "cx", "cy", "width", "height", "depth_scale")


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """Intrinsics without distortion, the unit of the depth image, and the pose where it is known."""

    fx: float
    """Focal length along u, pixels."""
    fy: float
    """Focal length along v, pixels."""
    cx: float
    """Principal point, u, pixels."""
    cy: float
    """Principal point, v, pixels."""
    width: int
    """Image width, pixels."""
    height: int
    """Image height, pixels."""
    depth_scale: float
    """Metres are the stored depth value divided by this."""
    T_world_camera: Float[np.ndarray, "4 4"] | None = None
    """Camera pose in the z-up world whose table is z = 0; None where the table in the image defines it."""

    @classmethod
    def load(cls, path: str | Path) -> Camera:
        """Read a ``camera.json``.

        Raises:
            ValueError: The file is missing or no JSON object, a field is missing or not a number, a size,
                focal length or depth scale is not positive, or the pose is not a rigid 4x4 matrix.
        """
        path = Path(path)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"Cannot read camera file '{path}': {error.strerror or error}.") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"'{path}' is not JSON: {error}.") from error
        if not isinstance(values, dict):
            raise ValueError(f"'{path}' must hold a JSON object with {', '.join(_FIELDS)}.")
        missing = [name for name in _FIELDS if name not in values]
        if missing:
            raise ValueError(f"'{path}' lacks {', '.join(missing)}; expected {', '.join(_FIELDS)}.")
        numbers = {name: _number(path, name, values[name]) for name in _FIELDS}
        for name in ("fx", "fy", "width", "height", "depth_scale"):
            if numbers[name] <= 0:
                raise ValueError(f"'{path}': {name} is {values[name]}, expected a positive number.")
        for name in ("width", "height"):
            if not numbers[name].is_integer():
                raise ValueError(f"'{path}': {name} is {values[name]}, expected a whole number of pixels.")
        pose = values.get("T_world_camera")
        return cls(
            **{name: numbers[name] for name in ("fx", "fy", "cx", "cy", "depth_scale")},
            width=int(numbers["width"]),
            height=int(numbers["height"]),
            T_world_camera=None if pose is None else _rigid_pose(path, pose),
        )

    def save(self, path: str | Path) -> None:
        """Write a ``camera.json`` that `load` reads back exactly."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        if self.T_world_camera is not None:
            values["T_world_camera"] = self.T_world_camera.tolist()
        # Written by hand, not through schema.storage: the ground floor imports nothing above it.
        temporary = Path(path).with_name(f".{Path(path).name}.part")
        try:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise ValueError(f"Cannot write '{path}': {error.strerror or error}.") from error
        finally:
            temporary.unlink(missing_ok=True)

    def unproject(self, depth: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
        """Points in the camera's frame, m; pixels without depth (0) become the origin.

        Raises:
            ValueError: The depth image does not have the camera's size.
        """
        if depth.shape != (self.height, self.width):
            height, width = depth.shape
            raise ValueError(f"Depth image is {width}x{height}, the camera {self.width}x{self.height} pixels.")
        u, v = np.meshgrid(np.arange(self.width), np.arange(self.height))
        return np.stack([(u - self.cx) / self.fx * depth, (v - self.cy) / self.fy * depth, depth], axis=-1)

    def project(self, points_camera: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 2"]:
        """Pixel coordinates (u, v) of points in the camera's frame; NaN at or behind the camera."""
        z = np.where(points_camera[..., 2] > 0, points_camera[..., 2], np.nan)
        u = self.fx * points_camera[..., 0] / z + self.cx
        v = self.fy * points_camera[..., 1] / z + self.cy
        return np.stack([u, v], axis=-1)


def _number(path: Path, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(f"'{path}': {name} is {value!r}, expected a number.")
    return float(value)


def _rigid_pose(path: Path, value: Any) -> np.ndarray:
    try:
        T = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        T = np.empty(0)
    if T.shape != (4, 4):
        raise ValueError(f"'{path}': T_world_camera must be a 4x4 matrix of numbers, as a list of four rows.")
    R = T[:3, :3]
    # 1e-3 admits matrices typed with four digits; what is not a rotation misses it by far.
    rigid = np.isfinite(T).all() and np.abs(R @ R.T - np.eye(3)).max() < 1e-3 and np.linalg.det(R) > 0
    if not rigid or np.abs(T[3] - [0, 0, 0, 1]).max() > 1e-9:
        raise ValueError(f"'{path}': T_world_camera is not a rigid pose (orthonormal, right-handed, last row 0 0 0 1).")
    return T
