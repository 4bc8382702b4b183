"""Images of a MuJoCo model by OpenGL without a display, from cameras of any intrinsics."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from unihm.geometry.camera import Camera
from unihm.simulation.ray_casting import LAMPS, Lamp

_NEAR, _FAR = 0.01, 20.0  # m; what is seen
_SAMPLES, _SHADOW_MAP = 4, 2048  # per pixel; pixels along each side
_LAMP = 4.0  # m; distance of the light
_PROBE_TIME = 30.0  # s that OpenGL may take to answer
_SYSTEM_LIBRARY = {
    "egl": "libEGL with a driver for headless rendering (Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri)",
    "osmesa": "libOSMesa (Debian and Ubuntu: apt install libosmesa6)",
}
_PROBE = """
import mujoco
from mujoco.{backend} import GLContext
context = GLContext(64, 64)
context.make_current()
drawing = mujoco.MjrContext(mujoco.MjSpec().compile(), mujoco.mjtFontScale.mjFONTSCALE_100)
drawing.free()
context.free()
print("works")
"""


def missing(backend: str) -> str:
    """What keeps a backend from being used here and now, in one line; empty where it works."""
    if backend == "rays":
        return ""
    taken = os.environ.get("PYOPENGL_PLATFORM", backend)  # set by the first kind of OpenGL that a process uses
    if taken != backend:
        return f"Rendering backend '{backend}' cannot be used: this process has OpenGL by PYOPENGL_PLATFORM={taken}."
    return _missing_library(backend)


@functools.cache
def _missing_library(backend: str) -> str:
    code = _PROBE.format(backend=backend)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_PROBE_TIME, check=False
        )
    except subprocess.TimeoutExpired:
        return f"Rendering backend '{backend}' gave no answer within {_PROBE_TIME:g} s. Use backend 'rays'."
    if "works" in done.stdout:
        return ""
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    return f"Rendering backend '{backend}' needs {_SYSTEM_LIBRARY[backend]}. It says: {lines[-1]}. Use backend 'rays'."


class OpenGl:
    """MuJoCo's OpenGL renderer with a camera of any intrinsics."""

    def __init__(
        self,
        model: mujoco.MjModel,
        camera: Camera,
        backend: str,
        groups: tuple[int, ...],
        lamps: tuple[Lamp, ...] = LAMPS,
        smooth: bool = True,
    ):
        self.model, self.size, self._lamps = model, (camera.width, camera.height), lamps
        # Not through mujoco.Renderer: its kind of context is fixed when mujoco is imported.
        self._context = importlib.import_module(f"mujoco.{backend}").GLContext(*self.size)
        self._context.make_current()
        self._drawing = _context(model, _SAMPLES if smooth else 0)
        mujoco.mjr_resizeOffscreen(*self.size, self._drawing)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._drawing)
        self._drawing.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 1000)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = np.isin(np.arange(mujoco.mjNGROUP), groups)
        for decoration in (self._option.sitegroup, self._option.tendongroup, self._option.actuatorgroup):
            decoration[:] = 0

    def render(
        self, data: mujoco.MjData, camera: Camera
    ) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"], Int[np.ndarray, "H W"]]:
        """RGB (0 to 1), planar depth (m, 0 for nothing) and geom (-1 for nothing) of every pixel."""
        self._context.make_current()
        scene = self._scene
        mujoco.mjv_updateScene(
            self.model, data, self._option, None, mujoco.MjvCamera(), mujoco.mjtCatBit.mjCAT_ALL, scene
        )
        self._aim(camera)
        self._light()
        color, _ = self._draw(segments=False)
        number, nearness = self._draw(segments=True)
        number = number.astype(np.int64) @ [1, 1 << 8, 1 << 16]
        ids = np.full(scene.ngeom + 1, -1)
        for geom in scene.geoms[: scene.ngeom]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                ids[geom.segid + 1] = geom.objid
        geom = ids[number]
        depth = _NEAR * _FAR / (_NEAR + nearness.astype(np.float64) * (_FAR - _NEAR))
        return color / 255.0, np.where(geom >= 0, depth, 0.0), geom

    def _draw(self, segments: bool) -> tuple[np.ndarray, np.ndarray]:
        width, height = self.size
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            self._scene.flags[flag] = segments
        rectangle = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(rectangle, self._scene, self._drawing)
        pixels, depth = np.empty((height, width, 3), dtype=np.uint8), np.empty((height, width), dtype=np.float32)
        mujoco.mjr_readPixels(pixels, depth, rectangle, self._drawing)
        return pixels[::-1], depth[::-1]

    def _aim(self, camera: Camera) -> None:
        """The frustum of the camera's intrinsics; pixel centres are integers, so the image begins at -0.5."""
        assert camera.T_world_camera is not None
        R, eye = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
        left, right = (np.array([-0.5, camera.width - 0.5]) - camera.cx) / camera.fx * _NEAR
        top, bottom = (camera.cy - np.array([-0.5, camera.height - 0.5])) / camera.fy * _NEAR
        for view in self._scene.camera:  # MuJoCo draws from the mean of two eyes
            view.pos, view.forward, view.up = eye, R[:, 2], -R[:, 1]
            view.frustum_near, view.frustum_far = _NEAR, _FAR
            view.frustum_center, view.frustum_width = (left + right) / 2, (right - left) / 2
            view.frustum_bottom, view.frustum_top = bottom, top
            view.orthographic = 0

    def _light(self) -> None:
        """The same lamps as the ray backend's instead of the model's own."""
        scene = self._scene
        # In a shadow MuJoCo takes a light's ambient part away too. What casts shadows is a lamp far away, because the
        # shadows of MuJoCo's directional lights speckle planes.
        scene.nlight = len(self._lamps)
        for light, lamp in zip(scene.lights, self._lamps, strict=False):
            to_light = np.array(lamp.to_light) / np.linalg.norm(lamp.to_light)
            kind = mujoco.mjtLightType.mjLIGHT_SPOT if lamp.shadow else mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
            light.type, light.headlight, light.castshadow = kind, 0, lamp.shadow
            light.pos, light.dir = self.model.stat.center + _LAMP * to_light, -to_light
            light.ambient[:], light.diffuse[:], light.specular[:] = lamp.ambient, lamp.color, lamp.highlight
            light.cutoff, light.exponent, light.attenuation[:] = 45.0, 0.0, (1.0, 0.0, 0.0)

    def close(self) -> None:
        """Give the context back."""
        if self._context is not None:
            self._context.make_current()
            self._drawing.free()
            self._context.free()
            self._context: Any = None


def _context(model, samples: int) -> mujoco.MjrContext:
    """What OpenGL holds of a model, at a quality that a processor draws fast enough; the model stays as it is."""
    quality = model.vis.quality
    before = quality.offsamples, quality.shadowsize
    quality.offsamples, quality.shadowsize = samples, _SHADOW_MAP
    try:
        return mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    finally:
        quality.offsamples, quality.shadowsize = before
