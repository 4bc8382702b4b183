"""Still pictures of a motion, drawn without GPU, display or browser.

Every shape becomes small facets, which are projected by a pinhole camera, sorted by depth and painted from far to
near (the painter's algorithm), with a shadow on the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.hands.hand import load_hand
from unihm.schema.motion import HandMotion
from unihm.schema.storage import atomic_path
from unihm.viewer.framing import (
    AMBIENT,
    FIELD_OF_VIEW,
    LIGHT,
    PATH,
    TABLE,
    camera,
    link_poses,
    object_path,
    point_size,
    shaded,
)

_ROUND = 20  # facets around a cylinder or a sphere
_SHADOW = 0.86  # of the table's brightness


def write_frames_png(motion: HandMotion, path: str | Path, times: Sequence[float] | None = None) -> None:
    """Draw the motion at some times side by side, all from one camera.

    Args:
        motion: What to show.
        path: The PNG file; replaced atomically.
        times: Seconds from the start; by default the start, the moment the contact is made (the middle where the
            motion states no contact phase) and the end.

    Raises:
        ValueError: A time lies outside the motion, or the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    frames = _frames(motion, times)
    shapes = load_hand(motion.hand).geometry
    poses = link_poses(motion, load_hand(motion.hand))
    view = _View(motion)
    figure = Figure(figsize=(5 * len(frames), 4.4), dpi=110, facecolor="white")
    for column, frame in enumerate(frames):
        axes = figure.add_axes((column / len(frames), 0, 1 / len(frames), 1))
        _paint(axes, view, motion, shapes, poses[frame], frame)
        axes.text(0.04, 0.95, f"{frame / motion.fps:.2f} s", transform=axes.transAxes, color="#555", va="top")
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def _frames(motion: HandMotion, times: Sequence[float] | None) -> list[int]:
    last = len(motion) - 1
    if times is None:
        middle = last // 2
        if motion.contact_phase is not None and (motion.contact_phase >= 0.5).any():
            middle = int(np.argmax(motion.contact_phase >= 0.5))
        return [0, middle, last]
    for time in times:
        if not 0 <= time <= last / motion.fps + 1e-6:
            raise ValueError(f"Time {time} s lies outside the motion, which ends at {last / motion.fps:.2f} s.")
    return [round(time * motion.fps) for time in times]


class _View:
    """A pinhole camera that frames the whole motion."""

    def __init__(self, motion: HandMotion):
        self.position, self.target = camera(motion)
        forward = self.target - self.position
        self.distance = float(np.linalg.norm(forward))
        forward /= self.distance
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        self.axes = np.stack([right, np.cross(right, forward), forward])

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Image coordinates (..., 2), 1 at the upper edge, and depth (...), m."""
        seen = (points - self.position) @ self.axes.T
        return seen[..., :2] / (seen[..., 2:] * np.tan(FIELD_OF_VIEW / 2)), seen[..., 2]


def _paint(axes: Any, view: _View, motion: HandMotion, shapes: Any, poses: np.ndarray, frame: int) -> None:
    from matplotlib.collections import LineCollection, PolyCollection

    facets, colors = hand_facets(shapes, poses)
    if motion.object_points is not None and motion.T_world_object is not None:
        T = motion.T_world_object[frame]
        points = motion.object_points @ T[:3, :3].T + T[:3, 3]
        right, up = point_size(points) / 2 * view.axes[:2]
        squares = points[:, None] + np.stack([-right - up, right - up, right + up, up - right])
        facets = np.concatenate([facets, squares])
        colors = np.concatenate([colors, shaded(motion) / 255])

    angles = np.linspace(0, 2 * np.pi, 96)
    # A round table, about as wide as the picture.
    disc = 0.5 * view.distance * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    disc[:, :2] += view.target[:2]
    table = np.array(TABLE) / 255
    axes.add_collection(PolyCollection([view(disc)[0]], facecolors=[table]))
    shadows = facets * [1, 1, 0]  # straight down: it tells how high hand and object are
    axes.add_collection(PolyCollection(list(view(shadows)[0]), facecolors=[_SHADOW * table], edgecolors="face"))

    image, depth = view(facets)
    order = np.argsort(-depth.mean(axis=1))
    axes.add_collection(
        PolyCollection(
            list(image[order]),
            facecolors=colors[order],
            edgecolors="face",
            linewidths=0.3,  # no seams
        )
    )
    if motion.object_points is not None and motion.T_world_object is not None:
        line, _ = view(object_path(motion))
        axes.add_collection(LineCollection([line], colors=[np.array(PATH) / 255], linewidths=1.6, alpha=0.8))
        axes.plot(*line[-1], "o", color=np.array(PATH) / 255, markersize=5)
    width = 5 / 4.4
    axes.set(xlim=(-width, width), ylim=(-1, 1))
    axes.set_axis_off()


def hand_facets(shapes: Any, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All facets of the hand as quadrilaterals (m, 4, 3) in the world, and their lit colours (m, 3)."""
    facets, colors = [], []
    for shape in shapes:
        T = poses[shape.link] @ shape.T_link_shape
        quads = _quads(shape.kind, shape.size) @ T[:3, :3].T + T[:3, 3]
        # Diagonals, because an edge at a sphere's pole has no length.
        normals = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
        light = AMBIENT + (1 - AMBIENT) * normals @ LIGHT
        facets.append(quads)
        colors.append(np.clip(light[:, None] * np.array(shape.color[:3]), 0, 1))
    return np.concatenate(facets), np.concatenate(colors)


def _quads(kind: str, size: Sequence[float]) -> Float[np.ndarray, "m 4 3"]:
    """A primitive's surface as quadrilaterals, counter-clockwise from outside."""
    if kind == "box":
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        faces = []
        for axis in range(3):
            for side in (-1, 1):
                face = np.empty((4, 3))
                face[:, axis] = side
                face[:, (axis + 1) % 3], face[:, (axis + 2) % 3] = signs[::side].T
                faces.append(face)
        return np.array(faces) * np.array(size) / 2
    if kind == "sphere":
        latitude = np.linspace(-np.pi / 2, np.pi / 2, _ROUND // 2 + 1)
        radii, heights = size[0] * np.cos(latitude), size[0] * np.sin(latitude)
    else:
        radius, half = size[0], size[1] / 2
        radii, heights = np.array([0, radius, radius, 0]), np.array([-half, -half, half, half])
    turn = np.linspace(0, 2 * np.pi, _ROUND + 1)
    rings = np.empty((len(radii), _ROUND + 1, 3))
    rings[..., 0], rings[..., 1] = radii[:, None] * np.cos(turn), radii[:, None] * np.sin(turn)
    rings[..., 2] = heights[:, None]
    quads = np.stack([rings[:-1, :-1], rings[:-1, 1:], rings[1:, 1:], rings[1:, :-1]], axis=2)
    return quads.reshape(-1, 4, 3)
