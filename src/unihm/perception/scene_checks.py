"""Whether an RGB-D image can be what its ``camera.json`` says: the unit of its depth, and its intrinsics.

Both are looked at before anything is recognised, because a wrong one shows up later as a table that is not found, or
not at all. Only what no table-top camera does is refused; an error of a few percent is not noticed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera

_NEAR, _FAR = 0.2, 4.0  # m of the median depth; depth cameras see from 0.25 m, and tables in reach are nearer than 2 m
_USUAL = 0.8  # m; the likely scale is the one that puts the median closest to it
_SCALES = {
    1.0: "metres",
    1000.0: "millimetres",
    4000.0: "quarters of a millimetre",
    5000.0: "fifths of a millimetre, as in TUM RGB-D",
    10000.0: "tenths of a millimetre",
}
"""Usual values of ``depth_scale``: what the stored values then count."""
_SQUARE = 0.7  # least ratio of the focal lengths; resizing 16:9 to 4:3 makes 0.75
_FIELD = (10.0, 150.0)  # degrees; a telephoto lens, and what no lens without distortion exceeds
_RESIZED = 1.25  # principal points off the middle by this factor, in u and v alike, are of another image size
_ALIKE = 1.06  # how far the two factors may differ


def check_depth_unit(depth: Float[np.ndarray, "H W"], scale: float) -> None:
    """Refuse depths that no camera over a table has, and name the scale that would make them right.

    Args:
        depth: As read with the scale, m; 0 where the sensor saw nothing.
        scale: The ``depth_scale`` they were read with.

    Raises:
        ValueError: Their median is out of range.
    """
    seen = depth[depth > 0]
    median = float(np.median(seen)) if len(seen) else _USUAL
    if _NEAR <= median <= _FAR:
        return
    stored = median * scale
    likely = sorted(
        (s for s in _SCALES if _NEAR <= stored / s <= _FAR), key=lambda s: abs(float(np.log(stored / s / _USUAL)))
    )
    usual = ", ".join(f"{s:g} ({unit})" for s, unit in _SCALES.items())
    advice = f"none of the usual scales fits: {usual}."
    if likely:
        first = likely[0]
        advice = f"it is probably {first:g} ({_SCALES[first]}), which makes it {stored / first:.2f} m"
        advice += f"; {' or '.join(f'{s:g}' for s in likely[1:])} would fit, too." if likely[1:] else "."
    raise ValueError(
        f"With depth_scale {scale:g} the median depth is {median:.3g} m, expected {_NEAR:g} to {_FAR:g} m; {advice}"
    )


def check_intrinsics(camera: Camera) -> None:
    """Refuse intrinsics that cannot belong to the image.

    Args:
        camera: With the size of the image.

    Raises:
        ValueError: The field of view or the ratio of the focal lengths is impossible, or the principal point is of an
            image of another size, which is named, or outside.
    """
    given = f"fx {camera.fx:g}, fy {camera.fy:g}, cx {camera.cx:g}, cy {camera.cy:g}"
    size = f"{camera.width}x{camera.height}"
    ratios = 2 * camera.cx / camera.width, 2 * camera.cy / camera.height
    resized = float(np.sqrt(ratios[0] * ratios[1])) if min(ratios) > 0 else 1.0
    alike = min(ratios) > 0 and max(ratios) < _ALIKE * min(ratios)
    if alike and not 1 / _RESIZED < resized < _RESIZED:
        other = f"{camera.width * resized:.0f}x{camera.height * resized:.0f}"
        raise ValueError(
            f"The intrinsics ({given}) are those of an image of about {other} pixels, not {size}; "
            f"divide all four by {resized:.3g}."
        )
    for name, length, focal in (("wide", camera.width, camera.fx), ("high", camera.height, camera.fy)):
        degrees = float(2 * np.degrees(np.arctan(length / 2 / focal)))
        if not _FIELD[0] <= degrees <= _FIELD[1]:
            raise ValueError(
                f"The view would be {degrees:.1f} degrees {name} ({given} of {size} pixels), expected "
                f"{_FIELD[0]:g} to {_FIELD[1]:g}; focal lengths are in pixels of this image."
            )
    ratio = camera.fx / camera.fy
    if not _SQUARE <= ratio <= 1 / _SQUARE:
        raise ValueError(
            f"fx is {ratio:.2f} times fy ({given}), expected {_SQUARE:g} to {1 / _SQUARE:.2g} times: pixels are square."
        )
    if not (0 <= camera.cx < camera.width and 0 <= camera.cy < camera.height):
        raise ValueError(f"The principal point {camera.cx:g},{camera.cy:g} lies outside of the image of {size} pixels.")
