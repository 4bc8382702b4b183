"""Which camera a scene is seen by: one that shows every thing well enough, as rays tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera
from unihm.scenes.camera_view import look_at
from unihm.scenes.records import Thing
from unihm.scenes.scene_model import SceneModel
from unihm.scenes.styles import Style
from unihm.simulation.ray_casting import cast

_POINTS = 120  # of each thing that rays go to
_CENTRE, _ASPECT = 8.0, 0.004  # pixels; how far principal points are off, and by how much fy departs from fx
_AIM = 0.03  # m; how far from the middle of the things a camera looks
_TURN = float(np.radians(60))  # largest turn of further views of a scene against the first camera
_TRIES = 12


def draw_camera(
    things: Sequence[Thing], style: Style, azimuth: float, size: tuple[int, int], rng: np.random.Generator
) -> Camera:
    """A camera that looks at the things from an azimuth (rad), about as far away as it takes to see all of them."""
    points = np.concatenate([thing.points_world[::16] for thing in things])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    width, height = size
    scale = width / 640
    fx = scale * rng.uniform(*style.focal[rng.integers(len(style.focal))])
    rise = np.radians(rng.uniform(*style.elevation_deg))
    toward = np.array([np.cos(rise) * np.cos(azimuth), np.cos(rise) * np.sin(azimuth), np.sin(rise)])
    turn = look_at(middle + toward, middle, np.radians(rng.uniform(-1, 1) * style.roll_deg))[:3, :3]
    x, y, z = np.abs((points - middle) @ turn).T * [[1], [1], [0]] + ((points - middle) @ turn).T * [[0], [0], [1]]
    fitting = float((np.maximum(x / width, y / height) * 2 * fx - z).max())
    distance = np.clip(fitting * rng.uniform(*style.filled), *style.distance)
    T = np.eye(4)
    T[:3, :3] = turn
    T[:3, 3] = middle + distance * toward + rng.uniform(-_AIM, _AIM, 3)
    off = scale * rng.uniform(-_CENTRE, _CENTRE, 2)
    return Camera(
        fx=fx, fy=fx * (1 + rng.uniform(-_ASPECT, _ASPECT)), cx=(width - 1) / 2 + off[0],
        cy=(height - 1) / 2 + off[1], width=width, height=height, depth_scale=1000.0, T_world_camera=T,
    )  # fmt: skip


def visible_shares(scene: SceneModel, things: Sequence[Thing], camera: Camera) -> Float[np.ndarray, " n"]:
    """Share of what each thing turns to the camera that is inside the image and not behind something else.

    Of moving parts, whose points are those of their handles, the share of the handle.
    """
    assert camera.T_world_camera is not None
    R, eye = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
    near, owner = [], []
    for index, thing in enumerate(things):
        points, normals = thing.points_world, thing.normals_object @ thing.T_world_object[:3, :3].T
        near.append(points[np.einsum("ni,ni->n", normals, eye - points) > 0][:_POINTS])
        owner += [index] * len(near[-1])
    way = np.concatenate(near) - eye
    u, v = camera.project(way @ R).T
    inside = (u >= 0) & (v >= 0) & (u <= camera.width - 1) & (v <= camera.height - 1)
    geom = cast(scene.model, scene.data, eye, way / np.linalg.norm(way, axis=1, keepdims=True))[1]
    own = inside & (geom >= 0) & (scene.thing[geom] == owner)
    movable = np.array([thing.joint is not None for thing in things])[owner]
    own &= ~movable | scene.handle[geom]
    return np.bincount(owner, own, len(things)) / np.maximum(np.bincount(owner, minlength=len(things)), 1)


def draw_view(
    scene: SceneModel,
    things: Sequence[Thing],
    style: Style,
    azimuth: float,
    size: tuple[int, int],
    rng: np.random.Generator,
    least: float,
    turned: bool = False,
) -> tuple[Camera, Float[np.ndarray, " n"]]:
    """A camera from which every thing shows at least a share, or the best of some that were tried, and the shares.

    Args:
        scene: With all things in it.
        things: In the order of `SceneModel.thing`.
        style: Ranges of the camera.
        azimuth: Of the camera around the vertical, rad.
        size: Of the image, pixels.
        rng: Draws it.
        least: Visible share that is enough.
        turned: Whether this is a further view, from about there.
    """
    best: tuple[Camera, np.ndarray] | None = None
    for _ in range(_TRIES):
        turn = rng.uniform(-_TURN, _TURN) if turned else 0.0
        camera = draw_camera(things, style, azimuth + turn, size, rng)
        shares = visible_shares(scene, things, camera)
        if best is None or (shares >= least).sum() > (best[1] >= least).sum():
            best = camera, shares
        if (shares >= least).all():
            break
    assert best is not None
    return best
