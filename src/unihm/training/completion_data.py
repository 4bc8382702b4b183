"""Pairs of a partial and a complete cloud: household objects as one depth camera sees them on a table.

An object is drawn, stood on the table (or laid on its side) with any yaw, and looked at by any camera of
`scenes.camera_view` through the noise of a real depth sensor. What is seen of it loses its lowest millimetres, which no
segmentation can tell from the table, and sometimes a side of the image to something that stands in front. The truth is
what can be touched: the surfaces of the parts less what other parts cover.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int

from unihm.geometry.camera import Camera
from unihm.geometry.surface import MESH_SUFFIXES
from unihm.geometry.winding import InsideTest
from unihm.scenes.camera_view import drawn_view
from unihm.scenes.depth_sensor import STEREO, STRUCTURED_LIGHT, DepthSensor
from unihm.scenes.families import FAMILIES
from unihm.scenes.household import draw_object
from unihm.simulation.surface_depth import surface_depth

_WIDTH = 640  # pixels; of the images that the sensors' figures are about
_MARGIN = 0.03  # of the width around the object is looked at, too: there its edges and shadows fall
_LAID = 0.25  # share of standing things that lie on their side
_HIDDEN, _VISIBLE = 0.3, 0.35  # share of views with something in front, and how much of the object stays in view
_CUT = (0.004, 0.012)  # m; lowest height that is told from the table (`perception.segmentation` has 8 mm)
_STRAY = 0.03  # m; what noise takes farther away is no longer joined to the object
_LEAST = 48  # points; less is hardly a thing to any segmentation
_COVERED = 0.5e-3  # m outside a surface: inside another part, nothing can touch it
_LOW, _HIGH = 0.01, 0.5  # m; the largest edge of what a hand handles


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """A thing, upright."""

    family: str
    """What it is."""
    vertices: Float[np.ndarray, "v 3"]
    """m."""
    faces: Int[np.ndarray, "f 3"]
    """Triangles, counter-clockwise seen from outside."""
    points: Float[np.ndarray, "m 3"]
    """Evenly drawn from what can be touched of its surface, m."""
    normals: Float[np.ndarray, "m 3"]
    """Outward, of unit length."""
    may_lie: bool
    """Whether it is also found on its side."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """What one camera sees of a thing, and what there is; z is up and the table at 0."""

    family: str
    """What it is."""
    partial: Float[np.ndarray, "n 3"]
    """Seen points, m."""
    points: Float[np.ndarray, "m 3"]
    """Of the whole surface, m."""
    normals: Float[np.ndarray, "m 3"]
    """Outward unit normals of `points`."""
    depth: Float[np.ndarray, "H W"]
    """The part of the depth image around the thing, m; 0 is a hole."""
    camera: Camera
    """Of that part, with its pose."""


def household_shape(
    rng: np.random.Generator, count: int, family: str | None = None, *, held_out: bool = False
) -> Shape:
    """A household object; see `household.draw_object` for the arguments. `count` points show its surface."""
    thing = draw_object(rng, family, held_out)
    surfaces = [(np.asarray(part.vertices), np.asarray(part.faces)) for part in thing.parts.values()]
    points, normals = surface_points(surfaces, count, rng)
    return Shape(
        family=thing.family,
        vertices=thing.vertices,
        faces=thing.faces,
        points=points,
        normals=normals,
        may_lie=FAMILIES[thing.family].rest == "stands",
    )


def read_meshes(folder: str | Path) -> dict[str, trimesh.Trimesh]:
    """A user's meshes by name: all files in a folder and the folders in it. They stand upright in their files.

    Raises:
        ValueError: There are none, or one is damaged, or too large or too small for a hand.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in MESH_SUFFIXES)
    if not paths:
        raise ValueError(f"'{folder}' holds no meshes; expected files that end with {', '.join(MESH_SUFFIXES)}.")
    return {str(path.relative_to(folder).with_suffix("")): _read_mesh(path) for path in paths}


def mesh_shape(name: str, mesh: trimesh.Trimesh, rng: np.random.Generator, count: int) -> Shape:
    """A user's mesh with `count` points of its surface."""
    vertices, faces = np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces)
    points, normals = surface_points([(vertices, faces)], count, rng)
    return Shape(family=name, vertices=vertices, faces=faces, points=points, normals=normals, may_lie=False)


def _read_mesh(path: Path) -> trimesh.Trimesh:
    try:
        mesh = trimesh.load(path, force="mesh")
    except Exception as error:  # trimesh raises many kinds for a damaged file
        raise ValueError(f"'{path}' is damaged: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
        raise ValueError(f"'{path}' holds no faces.")
    edge = float(np.ptp(mesh.vertices, axis=0).max())
    if not _LOW <= edge <= _HIGH:
        raise ValueError(f"'{path}' is {edge:.3g} m large, expected {_LOW} to {_HIGH} m; meshes are read in metres.")
    return mesh


def surface_points(
    surfaces: Sequence[tuple[Float[np.ndarray, "_ 3"], Int[np.ndarray, "_ 3"]]], count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "{count} 3"], Float[np.ndarray, "{count} 3"]]:
    """Points and normals drawn evenly from closed surfaces that may overlap, less what lies inside another of them.

    Args:
        surfaces: Vertices (m) and triangles of each.
        count: Points wanted.
        rng: Draws them.
    """
    inside = [InsideTest(vertices, faces) for vertices, faces in surfaces] if len(surfaces) > 1 else []
    triangles = np.concatenate([vertices[faces] for vertices, faces in surfaces])
    owner = np.repeat(np.arange(len(surfaces)), [len(faces) for _, faces in surfaces])
    cross = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    area = np.linalg.norm(cross, axis=1)
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    missing = count
    while missing > 0:
        face = rng.choice(len(area), 2 * missing, p=area / area.sum())
        a, b = np.sqrt(rng.random(len(face))), rng.random(len(face))
        weights = np.stack([1 - a, a * (1 - b), a * b], axis=1)
        points, normals = np.einsum("nk,nki->ni", weights, triangles[face]), cross[face] / area[face, None]
        free = np.ones(len(face), dtype=bool)
        for i, test in enumerate(inside):
            other = np.flatnonzero(owner[face] != i)
            free[other] &= ~test(points[other] + _COVERED * normals[other])
        kept.append((points[free][:missing], normals[free][:missing]))
        missing -= len(kept[-1][0])
    return np.concatenate([p for p, _ in kept]), np.concatenate([n for _, n in kept])


def drawn_view_of(shape: Shape, rng: np.random.Generator, width: int = _WIDTH) -> View | None:
    """One view of a thing at rest, turned by any yaw; None where hardly anything of it is seen.

    Args:
        shape: What is looked at.
        rng: Draws pose, camera, sensor and noise.
        width: Of the image, pixels. Fewer than 640 are faster and see the same noise in metres.
    """
    yaw = rng.uniform(-np.pi, np.pi)
    R = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    if shape.may_lie and rng.random() < _LAID:
        R = R @ _quarter_turn(rng)
    vertices = shape.vertices @ R.T
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    foot, middle = np.array([*(low + high)[:2] / 2, low[2]]), np.array([0, 0, (high - low)[2] / 2])
    vertices -= foot
    camera = drawn_view(rng, middle, width=width, height=width * 3 // 4)
    camera = _around(vertices, camera, round(_MARGIN * width))
    assert camera.T_world_camera is not None
    exact, _ = surface_depth(vertices, shape.faces, camera)
    table = _table_depth(camera)
    mine = exact < table
    if not mine.any():
        return None
    mine, front = _with_something_in_front(mine, rng)
    scene = np.where(front, 0.8 * exact[np.isfinite(exact)].min(), np.minimum(exact, table))
    sensor = _at_width(STEREO if rng.random() < 0.5 else STRUCTURED_LIGHT, width)
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    depth = sensor.observed(np.where(np.isfinite(scene), scene, 0.0), K, rng)
    seen = mine & (depth > 0) & (np.abs(depth - scene) < _STRAY)
    T = camera.T_world_camera
    partial = camera.unproject(depth)[seen] @ T[:3, :3].T + T[:3, 3]
    partial = partial[partial[:, 2] > rng.uniform(*_CUT)]
    if len(partial) < _LEAST:
        return None
    return View(
        family=shape.family,
        partial=partial,
        points=shape.points @ R.T - foot,
        normals=shape.normals @ R.T,
        depth=depth,
        camera=camera,
    )


def household_views(
    seed: Sequence[int],
    families: Sequence[str],
    count: int,
    *,
    points: int,
    width: int = _WIDTH,
    held_out: bool = False,
    meshes: Mapping[str, trimesh.Trimesh] | None = None,
    views: int = 1,
) -> Iterator[View]:
    """Views of things, family after family in a random order.

    Args:
        seed: Of everything; the same seed gives the same views.
        families: Keys of `families.FAMILIES`, each as often as the others.
        count: Views wanted.
        points: Of the whole surface.
        width: See `drawn_view_of`.
        held_out: Whether families may be those that training never sees.
        meshes: A user's things, each as often as a family.
        views: Of each thing.
    """
    rng = np.random.default_rng(list(seed))
    meshes = meshes or {}
    kinds = [*families, *meshes]
    order: list[int] = []
    while count:
        order = order or rng.permutation(len(kinds)).tolist()
        kind = kinds[order.pop()]
        if kind in meshes:
            shape = mesh_shape(kind, meshes[kind], rng, points)
        else:
            shape = household_shape(rng, points, kind, held_out=held_out)
        seen = [view for _ in range(views) if (view := drawn_view_of(shape, rng, width)) is not None]
        yield from seen[:count]
        count -= min(count, len(seen))


def _quarter_turn(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Onto one of the four sides."""
    side = rng.integers(4)
    s = 1.0 if side % 2 else -1.0
    if side < 2:
        return np.array([[1.0, 0, 0], [0, 0, -s], [0, s, 0]])
    return np.array([[0, 0, s], [0, 1.0, 0], [-s, 0, 0]])


def _around(vertices: Float[np.ndarray, "v 3"], camera: Camera, margin: int) -> Camera:
    """The part of an image in which a thing is."""
    assert camera.T_world_camera is not None
    T = camera.T_world_camera
    uv = camera.project((vertices - T[:3, 3]) @ T[:3, :3])
    size = np.array([camera.width, camera.height])
    low = np.clip(np.floor(np.nanmin(uv, axis=0)).astype(int) - margin, 0, size - 2)
    high = np.clip(np.ceil(np.nanmax(uv, axis=0)).astype(int) + margin + 1, low + 2, size)
    width, height = (high - low).tolist()
    return replace(camera, cx=camera.cx - float(low[0]), cy=camera.cy - float(low[1]), width=width, height=height)


def _table_depth(camera: Camera) -> Float[np.ndarray, "H W"]:
    """Planar depth of z = 0, m; infinite above the horizon."""
    assert camera.T_world_camera is not None
    rays = camera.unproject(np.ones((camera.height, camera.width))) @ camera.T_world_camera[2, :3]
    height = float(camera.T_world_camera[2, 3])
    return np.divide(-height, rays, out=np.full(rays.shape, np.inf), where=rays < 0)


def _with_something_in_front(
    mine: Bool[np.ndarray, "H W"], rng: np.random.Generator
) -> tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """What stays in view of the pixels, and where something stands in front of them: beyond a line, or a box."""
    nothing = np.zeros_like(mine)
    if rng.random() > _HIDDEN:
        return mine, nothing
    v, u = np.nonzero(mine)
    angle = rng.uniform(-np.pi, np.pi)
    along, across = np.cos(angle) * u + np.sin(angle) * v, -np.sin(angle) * u + np.cos(angle) * v
    grid_v, grid_u = np.indices(mine.shape)
    front = np.cos(angle) * grid_u + np.sin(angle) * grid_v > np.quantile(along, rng.uniform(0.5, 1.0))
    if rng.random() < 0.5:  # a box, open at one end: things in front stand on the table, too
        band = np.quantile(across, np.sort(rng.uniform(0, 1, 2)))
        beside = -np.sin(angle) * grid_u + np.cos(angle) * grid_v
        front &= (beside > band[0]) & (beside < band[1])
    if (mine & ~front).sum() < _VISIBLE * mine.sum():
        return mine, nothing
    return mine & ~front, front


def _at_width(sensor: DepthSensor, width: int) -> DepthSensor:
    """The same sensor where pixels are larger: what it measures in pixels becomes fewer of them."""
    scale = width / _WIDTH
    names = ("step_px", "noise_px", "patch_px", "lateral_px", "jump_px")
    return replace(sensor, **{name: scale * getattr(sensor, name) for name in names})
