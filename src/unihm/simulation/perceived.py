"""The only door from the true object to planning: one noisy depth image, and a shape guessed from it.

A planner gets a `Perceived` and nothing else. What is known is the camera, the table's height, and which pixels show
the object (the mask is the renderer's, as if segmentation never erred). True mesh, pose and mass are read by `_look`
alone, which makes the image; `guessed_shape` sees the image alone. A test holds that what it does not show changes
no bit of the result.

Where there is no truth to hide, planning starts at the same record: `perceived_of_view` from a real image,
`perceived_of_cloud` from a cloud that somebody else completed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from unihm.geometry.camera import Camera
from unihm.geometry.point_cloud import farthest_point_indices
from unihm.registry import unknown_name
from unihm.simulation.closed_cloud import closed_cloud
from unihm.simulation.constants import ASSUMED_DENSITY, DEPTH_NOISE
from unihm.simulation.foot import foot
from unihm.simulation.guessed_shape import SHAPES, DepthView, guess_shape, table_depth
from unihm.simulation.mass_properties import of_surface
from unihm.simulation.object_surface import repaired
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.surface_depth import surface_depth

GRAZING = np.radians([60.0, 85.0])
"""rad between ray and normal at which depth cameras begin to lose samples, and at which all are lost."""
CLOUD_SHAPES = ("surface", "hull")
"""How a cloud is closed: where its normals say, hollows kept; or to its convex hull, which needs no normals."""
_SURPLUS = 4  # random points per point that is kept
_AROUND = 12  # of these random points have a say in a normal


@dataclass(frozen=True, kw_only=True, eq=False)
class Perceived:
    """An object as planning knows it."""

    points: Float[np.ndarray, "n 3"]
    """Evenly spread over the closed shape, in the world, m."""
    normals: Float[np.ndarray, "n 3"]
    """Outward unit normals."""
    seen: Float[np.ndarray, "m 3"]
    """What the camera saw, smoothed, in the world, m; of a given cloud, all of it."""
    object: SolidObject
    """The closed shape, with the mass of an assumed density."""
    T_world_object: Float[np.ndarray, "4 4"]
    """Its frame: the middle of the shape's bounding box, axes of the world; m."""


def perceive(
    object: SolidObject,
    T_world_object: Float[np.ndarray, "4 4"],
    camera: Camera,
    *,
    noise: float = DEPTH_NOISE,
    shape: str = "mirrored",
    seed: int = 0,
    table_height: float = 0.0,
    count: int = 1024,
) -> Perceived:
    """What one look at an object on the table tells about it.

    Args:
        object: The true object.
        T_world_object: Its true pose, m.
        camera: From where; needs a pose.
        noise: Standard deviation of one depth sample, m.
        shape: One of `SHAPES`: how the unseen rest is guessed.
        seed: Of noise and lost samples.
        table_height: z of the table, which is known, m.
        count: Points wanted.

    Raises:
        ValueError: The camera has no pose or sees too little of the object, `shape` is unknown, or a number is wrong.
    """
    if shape not in SHAPES:
        raise unknown_name("Way to close a shape", shape, SHAPES)
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"Depth noise is a standard deviation in metres, got {noise}.")
    view = _look(object, T_world_object, camera, noise, seed, table_height)
    return perceived_of_view(view, shape=shape, count=count, seed=seed)


def perceived_of_view(view: DepthView, *, shape: str = "mirrored", count: int = 1024, seed: int = 0) -> Perceived:
    """What one depth image tells about an object.

    Args:
        view: The image, its camera with a pose, and which pixels show the object.
        shape: One of `SHAPES`: how the unseen rest is guessed.
        count: Points wanted.
        seed: Of the points' choice.

    Raises:
        ValueError: The camera has no pose or sees too little of the object, or `shape` is unknown.
    """
    if shape not in SHAPES:
        raise unknown_name("Way to close a shape", shape, SHAPES)
    if view.camera.T_world_camera is None:
        raise ValueError("The camera has no pose T_world_camera; a shape is guessed in the world.")
    guess = guess_shape(view, shape)
    note = f"Seen from one side; the rest is guessed ({shape}), at {ASSUMED_DENSITY:g} kg/m^3."
    return _perceived(guess.seen, guess.vertices, guess.faces, guess.parts, note, count, seed)


def perceived_of_cloud(
    points: Float[np.ndarray, "n 3"],
    normals: Float[np.ndarray, "n 3"] | None,
    T_world_object: Float[np.ndarray, "4 4"],
    *,
    shape: str | None = None,
    count: int = 1024,
    seed: int = 0,
) -> Perceived:
    """What a completed cloud tells about an object.

    Args:
        points: All round the object, in its own frame, m.
        normals: Outward unit normals.
        T_world_object: Where it stands, m.
        shape: One of `CLOUD_SHAPES`; by default ``surface`` where there are normals, else ``hull``. The result's
            `SolidObject.repairs` says which.
        count: Points wanted.
        seed: Of the points' choice.

    Raises:
        ValueError: The cloud holds NaN, is not in metres or encloses no volume, `shape` is unknown or needs normals.
    """
    shape = shape or ("hull" if normals is None else "surface")
    if shape not in CLOUD_SHAPES:
        raise unknown_name("Way to close a cloud", shape, CLOUD_SHAPES)
    hull = repaired(points, np.zeros((0, 3), dtype=np.int64), "The object cloud")
    T, density = T_world_object, f"at {ASSUMED_DENSITY:g} kg/m^3"
    seen = points @ T[:3, :3].T + T[:3, 3]
    if shape == "hull":
        vertices, faces = hull.vertices @ T[:3, :3].T + T[:3, 3], hull.faces
        note = f"The cloud is closed to its convex hull, hollows filled, {density}."
        return _perceived(seen, vertices, faces, (vertices,), note, count, seed)
    if normals is None:
        raise ValueError("The object cloud has no normals; without them it can only be closed to its hull.")
    if normals.shape != points.shape or not np.isfinite(normals).all():
        raise ValueError(f"The object cloud needs a finite normal for each of its {len(points)} points.")
    vertices, faces, parts = closed_cloud(seen, normals @ T[:3, :3].T)
    note = f"The cloud is closed where its normals say, {density}."
    return _perceived(seen, vertices, faces, parts, note, count, seed)


def _look(
    object: SolidObject,
    T_world_object: np.ndarray,
    camera: Camera,
    noise: float,
    seed: int,
    table_height: float,
) -> DepthView:
    """The image: nothing else reads the truth."""
    vertices = object.vertices @ T_world_object[:3, :3].T + T_world_object[:3, 3]
    depth, cosine = surface_depth(vertices, object.faces, camera)
    mask = depth < table_depth(camera, table_height)
    rng = np.random.default_rng(seed)
    # Drawn for the whole image, so that what one pixel gets does not depend on the others.
    error, luck = rng.normal(size=depth.shape), rng.random(depth.shape)
    graze = (np.arccos(np.clip(cosine, 0, 1)) - GRAZING[0]) / (GRAZING[1] - GRAZING[0])
    measured = np.where(mask, depth, 0.0) + noise * error
    kept = mask & (luck >= graze) & (measured > 0)
    # Cameras give whole units. That also ends what arithmetic leaves in the last bits of numbers.
    measured = np.round(measured * camera.depth_scale) / camera.depth_scale
    return DepthView(depth=np.where(kept, measured, 0.0), mask=mask, camera=camera, table_height=table_height)


def _perceived(
    seen: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    parts: tuple[np.ndarray, ...],
    note: str,
    count: int,
    seed: int,
) -> Perceived:
    """A closed shape in the world as an object with a frame of its own."""
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    T = np.eye(4)
    T[:3, 3] = middle
    properties = of_surface(vertices, faces)
    standing = foot(parts, properties.centre_of_mass)
    parts = parts if standing is None else (*parts, standing)
    points, normals = _sampled(vertices, faces, count, seed)
    solid = SolidObject(
        name="perceived",
        mass=ASSUMED_DENSITY * properties.volume,
        vertices=vertices - middle,
        faces=faces,
        parts=tuple(part - middle for part in parts),
        repairs=(note,),
        closed=True,
    )
    return Perceived(points=points, normals=normals, seen=seen, object=solid, T_world_object=T)


def _sampled(
    vertices: np.ndarray, faces: np.ndarray, count: int, seed: int
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Points evenly spread over a surface, and its normals there."""
    rng = np.random.default_rng(seed)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    face = rng.choice(len(faces), _SURPLUS * count, p=area / area.sum())
    s, t = rng.random((2, len(face), 1))
    s, t = np.where(s + t > 1, 1 - s, s), np.where(s + t > 1, 1 - t, t)
    points = a[face] + s * (b - a)[face] + t * (c - a)[face]
    normals = (cross / np.maximum(area, 1e-30)[:, None])[face]
    chosen = farthest_point_indices(points, count, seed)
    # Noise tilts single triangles. Of the points around, those on the other side of a thin wall do not count.
    around = normals[np.asarray(KDTree(points).query(points[chosen], k=_AROUND)[1])]
    same = (around * normals[chosen][:, None]).sum(axis=-1) > 0
    mean = (around * same[..., None]).sum(axis=1)
    return points[chosen], mean / np.linalg.norm(mean, axis=1, keepdims=True)
