"""Images of a MuJoCo model by one ray per pixel, shaded here: the backend of `rendering` that needs nothing."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import contextlib
import copy
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

from unihm.geometry.camera import Camera

GROUPS = (0, 1, 2)
"""The geom groups that MuJoCo's own viewer shows."""
LIGHT_FROM = np.array([-0.35, -0.45, 0.82])
"""Direction to the light, world."""
AMBIENT = 0.45
"""Share of the light that comes from everywhere."""
Vector = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Lamp:
    """A light far away."""

    to_light: Vector = (float(LIGHT_FROM[0]), float(LIGHT_FROM[1]), float(LIGHT_FROM[2]))
    """Direction to it, world, of any length."""
    color: Vector = (0.0, 0.0, 0.0)
    """RGB, 0 to 1, that it gives to a white surface seen head on."""
    ambient: Vector = (0.0, 0.0, 0.0)
    """RGB that it gives to every white surface."""
    highlight: Vector = (0.0, 0.0, 0.0)
    """RGB of its mirror image where a surface shines."""
    shadow: bool = True
    """Whether things cast shadows in its light; in its shadow nothing of this lamp is left."""


LAMPS = (
    Lamp(ambient=(AMBIENT, AMBIENT, AMBIENT), shadow=False),
    Lamp(color=(1 - AMBIENT, 1 - AMBIENT, 1 - AMBIENT)),
)
"""The light of all pictures that do not ask for another."""
WOOD = np.array([[0.42, 0.29, 0.19], [0.52, 0.38, 0.26]])
"""The two colours of a table top."""
_SQUARE = 0.07  # m; of the table's pattern
_THREADS = min(2, os.cpu_count() or 1)
_RAYS_WORTH_A_THREAD = 10000


class RayCaster:
    """Colour, depth and segmentation by rays."""

    def __init__(self, model: mujoco.MjModel, groups: tuple[int, ...], lamps: tuple[Lamp, ...] = LAMPS):
        self.model, self._groups, self._lamps = model, groups, lamps

    def render(
        self, data: mujoco.MjData, camera: Camera
    ) -> tuple[Float[np.ndarray, "H W 3"], Float[np.ndarray, "H W"], Int[np.ndarray, "H W"]]:
        """RGB (0 to 1), planar depth (m, 0 for nothing) and geom (-1 for nothing) of every pixel."""
        assert camera.T_world_camera is not None
        pixels = camera.unproject(np.ones((camera.height, camera.width)))  # z = 1, so distances along rays are depths
        R, eye = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
        rays = pixels.reshape(-1, 3) @ R.T
        length = np.linalg.norm(rays, axis=1)
        distance, geom, normals = cast(self.model, data, eye, rays / length[:, None], self._groups)
        hit = geom >= 0
        points = eye + rays / length[:, None] * np.where(hit, distance, 0.0)[:, None]
        color = np.zeros((len(rays), 3))
        toward_eye = -rays[hit] / length[hit, None]
        color[hit] = self._shade(data, points[hit], normals[hit], geom[hit], toward_eye)
        depth = np.where(hit, distance / length, 0.0).reshape(camera.height, camera.width)
        return color.reshape(*depth.shape, 3), depth, geom.reshape(depth.shape)

    def close(self) -> None:
        """There is nothing to give back."""

    def _shade(
        self, data: mujoco.MjData, points: np.ndarray, normals: np.ndarray, geom: np.ndarray, toward_eye: np.ndarray
    ) -> Float[np.ndarray, "n 3"]:
        """Lambert's law with distant lights and hard shadows, and Blinn's highlights."""
        model = self.model
        albedo = _colors(model)[geom]
        on_table = _tables(model)[geom]
        squares = np.floor(points[on_table, :2] / _SQUARE).astype(np.int64).sum(axis=1) % 2
        albedo[on_table] = WOOD[squares]
        light, shine = np.zeros((len(points), 3)), np.zeros((len(points), 3))
        for lamp in self._lamps:
            to_light = np.array(lamp.to_light) / np.linalg.norm(lamp.to_light)
            facing = np.clip(normals @ to_light, 0, 1)
            lit = self._lit(data, points, facing, to_light) if lamp.shadow else np.ones(len(points), dtype=bool)
            light += lit[:, None] * (np.array(lamp.ambient) + facing[:, None] * lamp.color)
            if any(lamp.highlight):
                half = to_light + toward_eye
                half /= np.linalg.norm(half, axis=1, keepdims=True)
                specular, exponent = _gloss(model)[geom].T
                mirrored = specular * np.einsum("ni,ni->n", normals, half).clip(0, 1) ** exponent
                shine += (lit & (facing > 0))[:, None] * mirrored[:, None] * lamp.highlight
        return albedo * light + shine

    def _lit(
        self, data: mujoco.MjData, points: np.ndarray, facing: np.ndarray, to_light: np.ndarray
    ) -> Bool[np.ndarray, " n"]:
        """Which points a far light reaches."""
        # Rays start at one point in mj_multiRay, so shadows are cast the other way: from the light to the points.
        light = 50 * to_light
        bright = np.flatnonzero(facing > 0)
        way = points[bright] - light
        distance = np.linalg.norm(way, axis=1)
        first, _, _ = cast(self.model, data, light, way / distance[:, None], self._groups)
        lit = np.zeros(len(points), dtype=bool)
        lit[bright] = first > distance - 1e-4
        return lit


def cast(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    eye: Float[np.ndarray, " 3"],
    directions: Float[np.ndarray, "n 3"],
    groups: tuple[int, ...] = GROUPS,
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Distance (m, -1 for none), geom (-1) and surface normal of the first thing each unit ray from `eye` meets."""
    n = len(directions)
    geom, distance, normal = np.full(n, -1, dtype=np.int32), np.full(n, -1.0), np.zeros((n, 3))
    directions = np.ascontiguousarray(directions, dtype=np.float64)
    seen = np.isin(np.arange(mujoco.mjNGROUP), groups).astype(np.uint8)
    # mj_multiRay skips bodies by a sphere about their bounding boxes and forgets to turn its middle with the body
    # (MuJoCo 3.17; 1 of 1000 rays at a cabinet that is turned goes through it). Without these boxes it skips none.
    model = copy.copy(model)
    model.body_bvhadr[:] = -1

    def part(state: mujoco.MjData, rows: slice) -> None:
        mujoco.mj_multiRay(
            model,
            state,
            pnt=np.ascontiguousarray(eye, dtype=np.float64),
            vec=directions[rows].ravel(),
            geomgroup=seen,
            flg_static=True,
            bodyexclude=-1,
            geomid=geom[rows],
            dist=distance[rows],
            normal=normal[rows].reshape(-1),
            nray=len(geom[rows]),
            cutoff=mujoco.mjMAXVAL,
        )

    threads = max(1, min(_THREADS, n // _RAYS_WORTH_A_THREAD))
    ends = np.linspace(0, n, threads + 1).astype(int)
    # Each thread needs a state of its own: mj_multiRay keeps its notes on the state's stack.
    states = [data, *(copy.copy(data) for _ in range(threads - 1))]
    with ThreadPoolExecutor(threads) if threads > 1 else contextlib.nullcontext() as pool:
        run = pool.map if pool is not None else map
        list(run(part, states, map(slice, ends[:-1], ends[1:])))
    return distance, geom, normal


def _tables(model) -> Bool[np.ndarray, " ngeom"]:
    """Which geoms get the table's pattern: those named so."""
    return np.array([model.geom(i).name == "table" for i in range(model.ngeom)], dtype=bool)


def _colors(model) -> Float[np.ndarray, "ngeom 3"]:
    """RGB of every geom; as in MuJoCo, a geom's own colour counts before its material's once it is set."""
    rgba = model.geom_rgba.astype(np.float64)
    material = model.geom_matid
    unset = (material >= 0) & (rgba == [0.5, 0.5, 0.5, 1.0]).all(axis=1)
    rgba[unset] = model.mat_rgba[material[unset]]
    return rgba[:, :3]


def _gloss(model) -> Float[np.ndarray, "ngeom 2"]:
    """Strength and exponent of every geom's highlights; MuJoCo gives those without a material 1/2 of either."""
    found = np.full((model.ngeom, 2), 0.5)
    known = model.geom_matid >= 0
    found[known, 0] = model.mat_specular[model.geom_matid[known]]
    found[known, 1] = model.mat_shininess[model.geom_matid[known]]
    return found * [1.0, 128.0]  # OpenGL's exponents end at 128
