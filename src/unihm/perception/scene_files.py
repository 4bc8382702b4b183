"""Reading a scene folder: ``color.png``, ``depth.png`` and ``camera.json``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from unihm.geometry.camera import Camera
from unihm.perception.scene_checks import check_depth_unit, check_intrinsics
from unihm.schema.scene import Scene

COLOR, DEPTH, CAMERA = "color.png", "depth.png", "camera.json"
_MIN_VALID = 0.01  # a hundredth of the image is less than one small object; a dark frame has none


def load_scene(folder: str | Path) -> Scene:
    """Read one RGB-D image; ``depth.png`` holds 16-bit values, metres times the camera's ``depth_scale``.

    Raises:
        ValueError: The folder or a file is missing, a file is no such image, the sizes of colour, depth and camera
            differ, hardly any pixel has a depth, ``camera.json`` is wrong, or it does not fit the image: see
            `scene_checks`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"Scene folder '{folder}' does not exist; expected {COLOR}, {DEPTH} and {CAMERA} in it.")
    missing = [name for name in (COLOR, DEPTH, CAMERA) if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"Scene folder '{folder}' lacks {', '.join(missing)}.")
    camera = Camera.load(folder / CAMERA)
    color = _read_color(folder / COLOR)
    depth = _read_depth(folder / DEPTH, camera.depth_scale)
    for name, image in ((COLOR, color), (DEPTH, depth)):
        height, width = image.shape[:2]
        if (width, height) != (camera.width, camera.height):
            raise ValueError(
                f"'{folder / name}' is {width}x{height} pixels, {CAMERA} says {camera.width}x{camera.height}."
            )
    valid = float((depth > 0).mean())
    if valid < _MIN_VALID:
        raise ValueError(
            f"'{folder / DEPTH}' has a depth at {100 * valid:.1f} % of its pixels; "
            f"at least {100 * _MIN_VALID:g} % are needed (0 means that the sensor saw nothing)."
        )
    try:
        check_intrinsics(camera)
        check_depth_unit(depth, camera.depth_scale)
    except ValueError as error:
        raise ValueError(f"'{folder / CAMERA}' does not fit the image: {error}") from None
    return Scene(color=color, depth=depth, camera=camera, name=folder.resolve().name)


def _read_color(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    with _open(path) as image:
        if image.mode not in ("RGB", "RGBA", "P"):
            raise ValueError(f"'{path}' has pixel format {image.mode}, expected an 8-bit RGB image.")
        return np.asarray(_pixels(image, path).convert("RGB"))


def _read_depth(path: Path, scale: float) -> Float[np.ndarray, "H W"]:
    with _open(path) as image:
        values = np.asarray(_pixels(image, path))
    # Pillow opens 16-bit grey as I;16 or, in older versions, as 32-bit I.
    if values.ndim != 2 or values.dtype not in (np.dtype(np.uint16), np.dtype(np.int32)):
        raise ValueError(
            f"'{path}' holds {values.dtype} of shape {values.shape}, expected one channel of 16-bit values, "
            "metres times depth_scale."
        )
    return values.astype(np.float64) / scale


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"'{path}' is not an image that can be read: {error}.") from error


def _pixels(image: Image.Image, path: Path) -> Image.Image:
    """Decode now, so that a file cut short is reported with its name."""
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"'{path}' is damaged: {error}.") from error
    return image
