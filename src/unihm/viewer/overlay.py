"""A plan drawn over the picture it was made from: what is meant, what else is there, and where the object shall go.

Two panels: the whole picture with the target's mask, the outlines of the other things and the path; and the target
enlarged, with the completed cloud, seen and guessed points apart. Colours differ in lightness as well as in hue, and
lines have white borders, so that they can be told apart on any picture and by any eye.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import binary_closing, binary_fill_holes, distance_transform_edt, gaussian_filter
from scipy.spatial import KDTree

from unihm.geometry.camera import Camera
from unihm.perception.segmentation import deepest_pixel
from unihm.perception.target import color_shares
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene, Scene
from unihm.schema.storage import atomic_path
from unihm.viewer.framing import GUESSED, OBJECT, PATH, moved_cloud, seen_points

_PALE = 0.45  # share of white and grey that is mixed into everything but the target
_TINT = 0.4  # share of the target's colour in its mask
_GHOSTS = (0.4, 0.7, 1.0)  # of the way at which the moved object is outlined
_MARGIN = 0.4  # of the picture's size by which the view may grow to show where the path leads
_ZOOM = 1.35  # the enlarged part, times the larger side of the target
_NEAREST = 0.05  # m; what comes nearer to the camera is not drawn
_DISC = 2.0  # of the distance between neighbours: radius of the discs that make a silhouette of a cloud
_INCH = 100  # pixels of the result an inch
_HEIGHT = 7.2  # inches of the panels
_TOP, _BOTTOM = 0.45, 0.4  # inches of title and legend
_CENTRED = {"ha": "center", "va": "center"}
_LETTERS = 110  # of the title


def overlay(scene: Scene, perceived: PerceivedScene, plan: Plan) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with the plan on it.

    Args:
        scene: The picture.
        perceived: What was seen in it.
        plan: What was made of it.

    Returns:
        RGB, larger than the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    camera = scene.camera
    mask = _mask_of(perceived.target_object.pixels, scene.color.shape[:2])
    left, right, top, bottom = _view(plan, camera)
    width = _HEIGHT * (right - left) / (bottom - top)
    height = _HEIGHT + _TOP + _BOTTOM
    figure = Figure(figsize=(width + _HEIGHT + 0.1, height), dpi=_INCH, facecolor="white")
    panel = (_BOTTOM / height, _HEIGHT / height)
    whole = figure.add_axes((0, panel[0], width / figure.get_figwidth(), panel[1]))
    zoom = figure.add_axes((1 - _HEIGHT / figure.get_figwidth(), panel[0], _HEIGHT / figure.get_figwidth(), panel[1]))

    whole.imshow(_tinted(scene.color, mask))
    whole.set(xlim=(left, right), ylim=(bottom, top), facecolor="#f2f2f2")
    _draw_things(whole, perceived, mask)
    _draw_path(whole, plan, camera)
    zoom.imshow(_paled(scene.color))
    _draw_cloud(zoom, perceived, plan, camera)
    _outline(zoom, mask, OBJECT, 2.0)
    (u, v), half = _middle(mask)
    zoom.set(xlim=(u - half, u + half), ylim=(v + half, v - half), facecolor="#f2f2f2")
    for axes in (whole, zoom):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#999")
    words = textwrap.shorten(plan.instruction, _LETTERS, placeholder=" ...")
    figure.text(0.008, 1 - _TOP / 2 / height, f"“{words}”", va="center", fontsize=15, parse_math=False)
    _legend(figure, height)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_overlay(path: str | Path, scene: Scene, perceived: PerceivedScene, plan: Plan) -> None:
    """Write `overlay` as a PNG, atomically."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(overlay(scene, perceived, plan)).save(temporary, format="PNG")


def _mask_of(pixels: np.ndarray, shape: tuple[int, ...]) -> Bool[np.ndarray, "H W"]:
    """The mask of pixels (n, 2), each (u, v)."""
    mask = np.zeros(shape[:2], dtype=bool)
    mask[pixels[:, 1], pixels[:, 0]] = True
    return mask


def _paled(color: np.ndarray) -> np.ndarray:
    grey = color.mean(axis=2, keepdims=True)
    return ((1 - _PALE) * color + _PALE * (0.6 * grey + 0.4 * 255)).astype(np.uint8)


def _tinted(color: np.ndarray, mask: np.ndarray) -> np.ndarray:
    result = _paled(color)
    result[mask] = (1 - _TINT) * color[mask] + _TINT * np.array(OBJECT)
    return result


def _project(points_world: np.ndarray, T_world_camera: np.ndarray, camera: Camera) -> np.ndarray:
    T = np.linalg.inv(T_world_camera)
    return camera.project(points_world @ T[:3, :3].T + T[:3, 3])


def _trace(plan: Plan, camera: Camera) -> Float[np.ndarray, "m 2"]:
    """The object's centre in the image over the path, as far as it is in front of the camera."""
    trace = _project(plan.T_world_object[:, :3, 3], plan.T_world_camera, camera)
    return trace[np.isfinite(trace).all(axis=1)]


def _ghost_frames(plan: Plan) -> list[int]:
    """Frames at which the moved object is outlined, by the way that its centre has gone."""
    step = np.linalg.norm(np.diff(plan.T_world_object[:, :3, 3], axis=0), axis=1)
    gone = np.concatenate([[0.0], np.cumsum(step)])
    if gone[-1] == 0:
        return [len(plan) - 1]  # it turns on the spot
    return [int(np.searchsorted(gone, share * gone[-1] * (1 - 1e-9))) for share in _GHOSTS]


def _view(plan: Plan, camera: Camera) -> tuple[float, float, float, float]:
    """Left, right, upper and lower edge of the view: the picture, and as much around it as the path needs."""
    uv = [_project(moved_cloud(plan, frame), plan.T_world_camera, camera) for frame in _ghost_frames(plan)]
    uv = np.concatenate([*uv, _trace(plan, camera)])
    uv = uv[np.isfinite(uv).all(axis=1)]
    size = np.array([camera.width, camera.height])
    uv = np.clip(uv, -_MARGIN * size, (1 + _MARGIN) * size)
    low, high = np.minimum(uv.min(axis=0) - 8, -0.5), np.maximum(uv.max(axis=0) + 8, size - 0.5)
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def _middle(mask: np.ndarray) -> tuple[tuple[float, float], float]:
    """Where to enlarge: the middle of a mask and half the side of the square around it."""
    v, u = np.nonzero(mask)
    half = _ZOOM * max(np.ptp(u), np.ptp(v), 20) / 2
    return ((u.min() + u.max()) / 2, (v.min() + v.max()) / 2), half


def _rgb(color: tuple[int, int, int]) -> tuple[float, float, float]:
    return color[0] / 255, color[1] / 255, color[2] / 255


def _bordered(width: float) -> list[Any]:
    """Path effects: a white border around a line or a text."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]


def _outline(
    axes: Any,
    mask: np.ndarray,
    color: tuple[int, int, int],
    width: float,
    style: str = "solid",
    corner: tuple[int, int] = (0, 0),
) -> None:
    """The border of a mask, whose first pixel is (u, v) = `corner`, as a line with a white border."""
    if not mask.any():
        return
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Half a pixel of smoothing rounds the steps; the rim closes lines where a mask ends at the picture's edge.
    smooth = gaussian_filter(np.pad(part, 3).astype(float), 0.7)
    v = np.arange(len(smooth)) + rows[0] - 3 + corner[1]
    u = np.arange(len(smooth[0])) + columns[0] - 3 + corner[0]
    lines = axes.contour(u, v, smooth, [0.5], colors=[_rgb(color)], linewidths=width, linestyles=style)
    lines.set_path_effects(_bordered(width + 1.6))


def _draw_things(axes: Any, perceived: PerceivedScene, target: np.ndarray) -> None:
    """Outlines of everything; the others thin and grey, each with its number and its commonest colour."""
    for number, thing in enumerate(perceived.objects):
        if number == perceived.target:
            continue
        mask = binary_closing(np.pad(_mask_of(thing.pixels, target.shape), 3), iterations=2)[3:-3, 3:-3]
        _outline(axes, mask, (50, 50, 50), 1.2)
        shares = color_shares(thing.colors)
        label = f"{number} {max(shares, key=shares.__getitem__)}"
        axes.text(*deepest_pixel(mask), label, fontsize=9, color="#333", path_effects=_bordered(2.5), **_CENTRED)
    _outline(axes, target, OBJECT, 2.6)


def _draw_path(axes: Any, plan: Plan, camera: Camera) -> None:
    """The trace of the centre with an arrow at its end, and the outline of the moved cloud at some places."""
    from matplotlib.patches import FancyArrowPatch

    frames = _ghost_frames(plan)
    for frame in frames:
        last = frame == frames[-1]
        silhouette, corner = _silhouette(moved_cloud(plan, frame), plan.T_world_camera, camera)
        _outline(axes, silhouette, PATH, 2.2 if last else 1.0, "solid" if last else "dashed", corner)
    trace = _trace(plan, camera)
    axes.plot(*trace.T, color=_rgb(PATH), linewidth=2.6, path_effects=_bordered(5.0))
    axes.plot(*trace[0], "o", color=_rgb(PATH), markersize=8, markeredgecolor="white", markeredgewidth=1.5)
    far = np.linalg.norm(trace - trace[-1], axis=1) > 4  # pixels; the head needs a direction
    if far.any():
        head = FancyArrowPatch(
            tuple(trace[np.flatnonzero(far)[-1]]), tuple(trace[-1]), arrowstyle="-|>,head_width=6,head_length=11",
            mutation_scale=1, shrinkA=0, shrinkB=0, color=_rgb(PATH), path_effects=_bordered(3.0), zorder=4,
        )  # fmt: skip
        axes.add_patch(head)


def _silhouette(
    points_world: np.ndarray, T_world_camera: np.ndarray, camera: Camera
) -> tuple[Bool[np.ndarray, "h w"], tuple[int, int]]:
    """What a cloud covers of the image plane, also beyond the picture, and the first pixel (u, v) of that mask.

    Discs wide enough to close the gaps between points are drawn, and their width is taken off the outline again.
    """
    from PIL import Image, ImageDraw

    T = np.linalg.inv(T_world_camera)
    points = points_world @ T[:3, :3].T + T[:3, 3]
    points = points[points[:, 2] > _NEAREST]
    uv = camera.project(points)
    size = np.array([camera.width, camera.height])
    points = points[((uv > -_MARGIN * size) & (uv < (1 + _MARGIN) * size)).all(axis=1)]
    if len(points) < 2:
        return np.zeros((1, 1), dtype=bool), (0, 0)
    apart = np.median(KDTree(points).query(points, k=2)[0][:, 1])
    uv, radius = camera.project(points), _DISC * apart * camera.fx / points[:, 2]
    rim = int(np.ceil(radius.max())) + 4
    low, high = np.floor(uv.min(axis=0)).astype(int) - rim, np.ceil(uv.max(axis=0)).astype(int) + rim
    image = Image.new("1", (int(high[0] - low[0]), int(high[1] - low[1])))
    pen = ImageDraw.Draw(image)
    for (u, v), r in zip(uv - low, radius, strict=True):
        pen.ellipse((u - r, v - r, u + r, v + r), fill=1)
    inside = np.asarray(distance_transform_edt(binary_fill_holes(np.asarray(image)))) > 0.8 * np.median(radius)
    return gaussian_filter(inside.astype(float), 2) > 0.5, (int(low[0]), int(low[1]))


def _draw_cloud(axes: Any, perceived: PerceivedScene, plan: Plan, camera: Camera) -> None:
    """The completed cloud where the object stands: guessed points as crosses, seen ones as dots over them."""
    uv, seen = _project(moved_cloud(plan, 0), plan.T_world_camera, camera), seen_points(plan, perceived)
    axes.plot(*uv[~seen].T, "x", color=_rgb(GUESSED), markersize=4.5, markeredgewidth=1.1)
    axes.plot(*uv[seen].T, "o", color=_rgb(OBJECT), markersize=3.8, markeredgecolor="#333", markeredgewidth=0.3)


def _legend(figure: Any, height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries = [
        Patch(facecolor=(*_rgb(OBJECT), 0.5), edgecolor=_rgb(OBJECT), linewidth=2, label="what is meant"),
        Patch(facecolor="none", edgecolor="#323232", label="other things"),
        Line2D([], [], color=_rgb(PATH), linewidth=2.6, marker="o", markevery=[0], label="path of its centre"),
        Line2D([], [], color=_rgb(PATH), linewidth=1, linestyle="dashed", label="on the way"),
        Patch(facecolor="none", edgecolor=_rgb(PATH), linewidth=2, label="end"),
        Line2D([], [], color=_rgb(OBJECT), marker="o", linestyle="", markersize=5, label="cloud, seen"),
        Line2D([], [], color=_rgb(GUESSED), marker="x", linestyle="", markersize=5, label="cloud, guessed"),
    ]
    figure.legend(handles=entries, loc="center", bbox_to_anchor=(0.5, _BOTTOM / 2 / height), ncols=len(entries),
                  frameon=False, fontsize=10, columnspacing=1.6)  # fmt: skip
