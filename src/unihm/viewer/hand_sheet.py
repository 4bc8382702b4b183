"""A robot hand beside the human hand, both at rest in their palm frames, with matching keypoints in one colour.

The picture that tells whether a ``hand.yaml`` is right: the same fingers must have the same colours, point the same way
and bend to the same side. Bodies are drawn as the convex hulls of their solids and meshes.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from unihm.hands.hand import HandModel, load_hand
from unihm.hands.proposing.solids import Solids, sphere_points
from unihm.kinematics.keypoints import BONES, FINGERS, NAMES
from unihm.schema.storage import atomic_path, write_text

COLORS = {
    "wrist": (70, 70, 70),
    "thumb": (206, 49, 49),
    "index": (230, 145, 20),
    "middle": (56, 150, 60),
    "ring": (38, 110, 200),
    "pinky": (142, 68, 173),
}
_UNMATCHED = (190, 190, 190)
_BODY = (206, 208, 214)
_GAP = 0.06  # m between both hands
_DIRECTIONS = sphere_points(200)
# Fingers up, the palm to the viewer, who looks along +y of the world.
_R_WORLD_PALM = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drawn:
    """One hand, placed: everything in the world, m."""

    title: str
    points: dict[int, Float[np.ndarray, " 3"]]
    """Keypoint index to place."""
    matched: set[int]
    triangles: list[tuple[Float[np.ndarray, "_ 3"], Int[np.ndarray, "_ 3"]]]
    """Vertices and faces of each body."""

    def color(self, index: int) -> tuple[int, int, int]:
        return COLORS[NAMES[index].split("_")[0]] if index in self.matched else _UNMATCHED

    def moved(self, offset: Float[np.ndarray, " 3"]) -> _Drawn:
        return _Drawn(
            title=self.title,
            points={index: point + offset for index, point in self.points.items()},
            matched=self.matched,
            triangles=[(vertices + offset, faces) for vertices, faces in self.triangles],
        )

    def bones(self) -> list[tuple[int, int]]:
        """Pairs of keypoints that are there and follow each other, bridging those that are not."""
        parent = {child: above for above, child in BONES}
        pairs = []
        for index in self.points:
            above = parent.get(index)
            while above is not None and above not in self.points:
                above = parent.get(above)
            if above is not None:
                pairs.append((above, index))
        return pairs


def write_sheet_png(hand: HandModel, path: str | Path, urdf_path: str | Path | None = None) -> None:
    """Draw the hand beside the human one, seen from the palm's side and from the thumb's.

    Args:
        hand: The hand.
        path: The PNG file; replaced atomically.
        urdf_path: The URDF beside which its mesh files lie, if not the one in the hand's folder.

    Raises:
        ValueError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pair = _pair(hand, urdf_path)
    figure = Figure(figsize=(11, 6.2), dpi=110, facecolor="white")
    front = np.array([0.0, 1.0, 0.0])
    # From the thumb's side and a little from the front: thumb and palm are both seen.
    turn = np.radians(60 if hand.side == "right" else -60)
    side = np.array([-np.sin(turn), np.cos(turn), 0.0])
    for row, (words, forward) in enumerate((("from the palm's side", front), ("from the thumb's side", side))):
        for column, drawn in enumerate(pair):
            axes = figure.add_axes((0.02 + 0.24 * (2 * row + column), 0.08, 0.24, 0.8))
            _paint(axes, drawn, forward)
            axes.set_title(drawn.title if row == 0 else f"{drawn.title}\n{words}", fontsize=9)
            if row == 0:
                axes.set_title(f"{drawn.title}\n{words}", fontsize=9)
    used = [name for name in COLORS if name == "wrist" or name in FINGERS]
    for number, name in enumerate(used):
        figure.text(0.1 + 0.13 * number, 0.04, "● " + name, color=np.array(COLORS[name]) / 255, fontsize=10)
    figure.text(0.88, 0.04, "● no counterpart", color=np.array(_UNMATCHED) / 255, fontsize=9)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def write_sheet_html(hand: HandModel, path: str | Path, urdf_path: str | Path | None = None) -> None:
    """The same as one offline HTML file that can be turned around.

    Args:
        hand: The hand.
        path: The HTML file; replaced atomically.
        urdf_path: The URDF beside which its mesh files lie, if not the one in the hand's folder.

    Raises:
        ValueError: The file cannot be written.
    """
    from unihm.viewer.player import scene_server

    pair = _pair(hand, urdf_path)
    everything = np.concatenate([np.stack(list(drawn.points.values())) for drawn in pair])
    centre, size = everything.mean(axis=0), float(np.ptp(everything, axis=0).max())
    with scene_server("127.0.0.1", 0, quiet=True) as server:
        for drawn in pair:
            for number, (vertices, faces) in enumerate(drawn.triangles):
                server.scene.add_mesh_simple(
                    f"/{drawn.title}/body/{number}", vertices, faces, color=_BODY, opacity=0.35, flat_shading=True
                )
            for index, point in drawn.points.items():
                server.scene.add_icosphere(
                    f"/{drawn.title}/{NAMES[index]}", radius=0.022 * size, color=drawn.color(index), position=point
                )
            bones = drawn.bones()
            lines = np.array([[drawn.points[a], drawn.points[b]] for a, b in bones]).reshape(-1, 2, 3)
            colors = np.array([[drawn.color(b)] * 2 for _, b in bones], dtype=np.uint8).reshape(-1, 2, 3)
            server.scene.add_line_segments(
                f"/{drawn.title}/bones", lines, colors, thickness=3, thickness_units="screen"
            )
        server.initial_camera.position = tuple(centre + np.array([0.0, -1.15, 0.15]) * size)
        server.initial_camera.look_at = tuple(centre)
        page = server.get_scene_serializer().as_html()
    caption = ", ".join(f'<span style="color:rgb{color}">&#9679; {name}</span>' for name, color in COLORS.items())
    title = html.escape(f"{hand.name} ({hand.side}) beside the human hand")
    start, end = page.index("<title>"), page.index("</title>")
    page = page[:start] + f"<title>{title}" + page[end:]
    close = page.rindex("</body>")
    banner = (
        '<div style="position:fixed;left:0;right:0;top:12px;text-align:center;z-index:5;pointer-events:none;'
        f'font:15px/1.5 system-ui,sans-serif;color:#333"><b>{title}</b><br>{caption}; grey: no counterpart</div>'
    )
    write_text(path, page[:close] + banner + page[close:])


def _pair(hand: HandModel, urdf_path: str | Path | None) -> tuple[_Drawn, _Drawn]:
    """The human hand of the same side on the left, the robot's on its right."""
    human = load_hand("human" if hand.side == "right" else "human_left")
    shared = set(np.asarray(hand.keypoint_indices).tolist())
    left = _placed(human, None, shared, "human")
    right = _placed(hand, urdf_path, shared, hand.name)
    edges = max(p[0] for p in left.points.values()), min(p[0] for p in right.points.values())
    return left, right.moved(np.array([max(edges[0], 0.0) - min(edges[1], 0.0) + _GAP, 0.0, 0.0]))


def _placed(hand: HandModel, urdf_path: str | Path | None, matched: set[int], title: str) -> _Drawn:
    q = torch.as_tensor(hand.rest_qpos)
    T = np.asarray(hand.forward_kinematics(q))
    points = np.asarray(hand.keypoints(q)) @ _R_WORLD_PALM.T
    solids = Solids(Path(urdf_path) if urdf_path else hand.folder / "hand.urdf", hand.urdf)
    triangles = []
    for link, name in enumerate(hand.link_names):
        for cloud in solids.bodies(name):
            if (body := _hull(cloud)) is not None:
                vertices = body[0] @ T[link, :3, :3].T + T[link, :3, 3]
                triangles.append((vertices @ _R_WORLD_PALM.T, body[1]))
    indices = np.asarray(hand.keypoint_indices).tolist()
    return _Drawn(title=title, points=dict(zip(indices, points, strict=True)), matched=matched, triangles=triangles)


def _hull(cloud: Float[np.ndarray, "n 3"]) -> tuple[Float[np.ndarray, "m 3"], Int[np.ndarray, "f 3"]] | None:
    """Vertices and outward faces of a convex hull; None for flat clouds."""
    from scipy.spatial import ConvexHull, QhullError

    if len(cloud) < 4:
        return None
    if len(cloud) > len(_DIRECTIONS):  # the outermost points in all directions are all that is seen
        cloud = cloud[np.unique((cloud @ _DIRECTIONS.T).argmax(axis=0))]
    try:
        hull = ConvexHull(cloud)
    except QhullError:
        return None
    number = {vertex: i for i, vertex in enumerate(hull.vertices.tolist())}
    faces = np.array([[number[v] for v in simplex] for simplex in hull.simplices.tolist()], dtype=np.int64)
    vertices = cloud[hull.vertices]
    normal = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    inward = np.einsum("ij,ij->i", normal, hull.equations[:, :3]) < 0
    faces[inward] = faces[inward][:, ::-1]
    return vertices, faces


def _paint(axes: Any, drawn: _Drawn, forward: Float[np.ndarray, " 3"]) -> None:
    """One hand without perspective: bodies from far to near, then bones and keypoints over them."""
    from matplotlib.collections import PolyCollection

    right = np.cross(forward, [0.0, 0.0, 1.0])
    view = np.stack([right, [0.0, 0.0, 1.0]])
    if drawn.triangles:
        facets = np.concatenate([vertices[faces] for vertices, faces in drawn.triangles])
        normal = np.cross(facets[:, 1] - facets[:, 0], facets[:, 2] - facets[:, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-15)
        facing = -normal @ forward
        facets, facing = facets[facing > 0], facing[facing > 0]
        order = np.argsort(-(facets.mean(axis=1) @ forward))
        shade = (0.72 + 0.28 * facing[order])[:, None] * np.array(_BODY) / 255
        axes.add_collection(PolyCollection(list(facets[order] @ view.T), facecolors=shade, edgecolors="none"))
    for a, b in drawn.bones():
        ends = np.stack([drawn.points[a], drawn.points[b]]) @ view.T
        axes.plot(ends[:, 0], ends[:, 1], "-", color=np.array(drawn.color(b)) / 255, linewidth=2, alpha=0.9)
    for index, point in drawn.points.items():
        axes.plot(*(view @ point), "o", color=np.array(drawn.color(index)) / 255, markersize=5.5)
    axes.set_aspect("equal")
    axes.margins(0.05)
    axes.autoscale_view()
    axes.set_axis_off()
