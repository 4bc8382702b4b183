"""Colour, metric depth and segmentation of a MuJoCo model from any pinhole camera.

Three backends give the same depth and segmentation, and much the same colours:

- ``egl``: OpenGL without a display, on a graphics card or by Mesa on the processor;
- ``osmesa``: OpenGL by Mesa's off-screen library;
- ``rays``: one ray per pixel (``mj_multiRay``), shaded here. Needs neither display, driver nor system package and gives
  the same image on every machine; its depth is exact.

``auto`` takes the one that MUJOCO_GL names, else the first of these that works, and the record says which.
Whether OpenGL works is tried in another process, because a broken driver may end the one that asks.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import os
from dataclasses import dataclass
from types import TracebackType

import mujoco
import numpy as np
from jaxtyping import Float, Int, UInt8

from unihm.geometry.camera import Camera
from unihm.simulation.opengl import OpenGl, missing
from unihm.simulation.ray_casting import GROUPS, LAMPS, Lamp, RayCaster

BACKENDS = ("egl", "osmesa", "rays")
BACKGROUND = (0.88, 0.9, 0.92)


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """What a camera sees of a model."""

    color: UInt8[np.ndarray, "H W 3"]
    """RGB."""
    depth: Float[np.ndarray, "H W"]
    """Planar depth along the optical axis, m; 0 where nothing is."""
    segmentation: Int[np.ndarray, "H W"]
    """Index of the geom, -1 where nothing is."""
    camera: Camera
    """From where."""
    backend: str
    """Which of `BACKENDS` made it."""


def choose_backend(backend: str = "auto") -> str:
    """The backend that will be used.

    Args:
        backend: One of `BACKENDS`, or ``auto``.

    Raises:
        ValueError: The name is unknown, or this backend does not work here; the line says what is missing.
    """
    if backend == "auto":
        wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
        if wanted in ("disable", "disabled", "off", "false", "0"):
            return "rays"
        first = [name for name in BACKENDS if name == wanted]
        return next(name for name in (*first, *BACKENDS) if not missing(name))
    if backend not in BACKENDS:
        raise ValueError(f"Rendering backend '{backend}' not found. Available: auto, {', '.join(BACKENDS)}.")
    if reason := missing(backend):
        raise ValueError(reason)
    return backend


def render_model(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    camera: Camera,
    *,
    backend: str = "auto",
    groups: tuple[int, ...] = GROUPS,
    background: tuple[float, float, float] = BACKGROUND,
) -> Rendering:
    """One image of a model. For many, keep a `ModelRenderer`.

    Args:
        model: Any compiled model.
        data: Its state; positions of geoms must be up to date (``mj_forward`` or ``mj_kinematics``).
        camera: Intrinsics and pose.
        backend: One of `BACKENDS`, or ``auto``.
        groups: Geom groups that are seen.
        background: RGB, 0 to 1, where nothing is.

    Raises:
        ValueError: The camera has no pose, or the backend does not work here.
    """
    with ModelRenderer(model, camera, backend=backend, groups=groups, background=background) as renderer:
        return renderer.render(data)


class ModelRenderer:
    """Images of one model from one size of camera; keeps what OpenGL needs between images."""

    def __init__(
        self,
        model: mujoco.MjModel,
        camera: Camera,
        *,
        backend: str = "auto",
        groups: tuple[int, ...] = GROUPS,
        background: tuple[float, float, float] = BACKGROUND,
        lamps: tuple[Lamp, ...] = LAMPS,
        smooth: bool = True,
    ):
        """See `render_model`.

        Args:
            model: Any compiled model.
            camera: Whose size all images have.
            backend: One of `BACKENDS`, or ``auto``.
            groups: Geom groups that are seen.
            background: RGB, 0 to 1, where nothing is.
            lamps: The lights.
            smooth: Whether OpenGL smooths edges in colour, which takes it twice the time.
        """
        _check(camera)
        self.model, self.camera = model, camera
        self.backend = choose_backend(backend)
        self._groups, self._background = groups, np.array(background)
        if self.backend == "rays":
            self._drawing = RayCaster(model, groups, lamps)
        else:
            self._drawing = OpenGl(model, camera, self.backend, groups, lamps, smooth)

    def render(self, data: mujoco.MjData, camera: Camera | None = None) -> Rendering:
        """One image; `camera` may replace the first one, at the same size."""
        camera = camera or self.camera
        _check(camera)
        if (camera.width, camera.height) != (self.camera.width, self.camera.height):
            raise ValueError(
                f"The camera has {camera.width}x{camera.height} pixels, this renderer was made for "
                f"{self.camera.width}x{self.camera.height}."
            )
        color, depth, geom = self._drawing.render(data, camera)
        color[geom < 0] = self._background
        color = np.round(255 * color.clip(0, 1)).astype(np.uint8)
        return Rendering(color=color, depth=depth, segmentation=geom, camera=camera, backend=self.backend)

    def close(self) -> None:
        """Give back what OpenGL holds."""
        self._drawing.close()

    def __enter__(self) -> ModelRenderer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _check(camera: Camera) -> None:
    if camera.T_world_camera is None:
        raise ValueError("The camera needs a T_world_camera to render a scene.")
