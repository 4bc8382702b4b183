"""Depth frames that belong to the colour frames of a video, one by one.

A folder of 16-bit images, or an ``.npy`` / ``.npz`` (T, H, W). Lossy video files are not accepted: their codecs do not
keep millimetres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera
from unihm.sources.video_frames import image_files

_WINDOW = 3  # pixels to each side: the median of 7 x 7 bridges a sensor's holes and stays on the palm


class DepthFrames:
    """Depth in metres at given pixels of frame after frame."""

    def __init__(self, path: Path, camera: Camera):
        """Open depth frames.

        Raises:
            ValueError: They do not exist, are no depth images, or do not have the camera's size.
        """
        self.camera, self.path = camera, path
        self._files: list[Path] = []
        self._array: np.ndarray | None = None
        if path.is_dir():
            self._files = image_files(path)
        elif path.suffix.lower() in (".npy", ".npz") and path.is_file():
            self._array = _array(path)
        else:
            raise ValueError(f"'{path}': depth comes as a folder of 16-bit images or as .npy / .npz (T, H, W).")

    def __len__(self) -> int:
        return len(self._files) if self._array is None else len(self._array)

    def at(self, frame: int, pixels: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
        """Depth near some pixels of a frame, m: the median of the measured values around each, NaN without any.

        Raises:
            ValueError: The frame's image is damaged or of another size.
        """
        image, camera = self._image(frame), self.camera
        if image.shape != (camera.height, camera.width):
            raise ValueError(
                f"'{self.path}': depth frame {frame} has shape {image.shape}, the camera {camera.width}x{camera.height}"
                " pixels."
            )
        depth = np.full(len(pixels), np.nan)
        for i, (u, v) in enumerate(np.rint(pixels).astype(int)):
            if 0 <= u < camera.width and 0 <= v < camera.height:
                rows = slice(max(v - _WINDOW, 0), v + _WINDOW + 1)
                window = image[rows, max(u - _WINDOW, 0) : u + _WINDOW + 1].astype(np.float64)
                measured = window[np.isfinite(window) & (window > 0)]
                if len(measured):
                    depth[i] = np.median(measured) / camera.depth_scale
        return depth

    def _image(self, frame: int) -> np.ndarray:
        if self._array is not None:
            return self._array[frame]
        from PIL import Image

        path = self._files[frame]
        try:
            with Image.open(path) as picture:
                image = np.asarray(picture)
        except OSError as error:
            raise ValueError(f"'{path}' is damaged or no image: {error}") from error
        if image.ndim != 2 or image.dtype == np.uint8:
            raise ValueError(f"'{path}' is no depth image: expected one channel of 16 bits.")
        return image


def _array(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)  # depth of a minute takes gigabytes
        if not isinstance(loaded, np.ndarray):
            if len(loaded.files) != 1:
                raise ValueError(f"it holds {', '.join(loaded.files)}; expected one array")
            loaded = loaded[loaded.files[0]]
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"'{path}' is no depth recording: {error}.") from error
    if loaded.ndim != 3 or loaded.dtype.kind not in "fiu":
        raise ValueError(
            f"'{path}': depth has shape {loaded.shape} and type {loaded.dtype}, expected numbers (T, H, W)."
        )
    return loaded
