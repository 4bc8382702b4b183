"""The five keyframes of an episode that Sec. 3.1 shows a vision-language model, drawn from its numbers.

Differs from the paper: the recordings come without images, so the object is drawn from its surface points, the hand as
bones and joints with a palm, on a table with the shadows of both straight below, by which one sees how high they are.
The view is that of the recording's camera, cropped to where something happens; the same for all frames of an episode.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from scipy.spatial import KDTree

from unihm.geometry.camera import Camera
from unihm.kinematics.keypoints import BONES
from unihm.schema.episode import Episode
from unihm.simulation.surface_depth import surface_depth

SIZE = (384, 288)
"""Width and height, pixels; fits into one tile of the models that count tiles."""
BEFORE_CONTACT = 3
"""Frames before the first contact that are shown beside the first and the last."""
COLORS = {"red": (205, 60, 55), "yellow": (232, 196, 40), "green": (70, 160, 80), "blue": (60, 110, 205),
          "purple": (150, 80, 190)}  # fmt: skip
"""Of thumb, index, middle, ring and little finger, in this order."""
_PALM, _OBJECT, _BACKGROUND = (245, 240, 235), (226, 142, 62), (232, 236, 240)
_TABLE = ((176, 160, 138), (192, 176, 152))
_MARGIN = 0.08  # of the picture stays free on each side
_TILE, _TILES = 0.1, 20  # m, and along each side of the table's pattern
_BONE, _JOINT = 0.0075, 0.0095  # m, radii
_ROUND = 10  # facets around a bone
_SHADOW = 0.62  # of the table's brightness
_AMBIENT = 0.35  # share of the light that does not depend on how a surface is turned

Mesh = tuple[Float[np.ndarray, "_ 3"], Int[np.ndarray, "_ 3"]]


def keyframes(episode: Episode) -> tuple[int, ...]:
    """The first frame, the three before the first contact, and the last; a start in contact repeats the first."""
    contact = min(episode.contact_frame, len(episode) - 1)
    return 0, *(max(contact - k, 0) for k in range(BEFORE_CONTACT, 0, -1)), len(episode) - 1


def draw_keyframes(episode: Episode) -> list[UInt8[np.ndarray, "H W 3"]]:
    """Pictures of the keyframes.

    Raises:
        ValueError: The episode's camera does not see the motion.
    """
    frames = keyframes(episode)
    camera = _camera(episode, frames)
    shape = _discs(episode.object_points, episode.object_normals)
    color, depth = _draw_table(episode.T_world_object[0, :2, 3], camera)
    return [_draw(episode, frame, camera, shape, color, depth) for frame in frames]


def png(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", optimize=True)
    return file.getvalue()


def _camera(episode: Episode, frames: tuple[int, ...]) -> Camera:
    """The recording's camera with the focal length and centre that fill the picture; its own are not recorded."""
    T = episode.T_world_object[list(frames)]
    objects = np.einsum("tij,nj->tni", T[:, :3, :3], episode.object_points) + T[:, None, :3, 3]
    points = np.concatenate([objects.reshape(-1, 3), episode.keypoints_world[list(frames)].reshape(-1, 3)])
    R, eye = episode.T_world_camera[:3, :3], episode.T_world_camera[:3, 3]
    seen = (points - eye) @ R
    seen = seen[seen[:, 2] > 0.05]
    if len(seen) < len(points) / 2:
        raise ValueError(f"The camera of episode '{episode.id}' does not see its motion.")
    image = seen[:, :2] / seen[:, 2:]
    low, high = image.min(axis=0), image.max(axis=0)
    focal = float(((1 - 2 * _MARGIN) * np.array(SIZE) / np.maximum(high - low, 0.05)).min())
    cx, cy = (np.array(SIZE) - 1) / 2 - focal * (low + high) / 2
    return Camera(
        fx=focal,
        fy=focal,
        cx=float(cx),
        cy=float(cy),
        width=SIZE[0],
        height=SIZE[1],
        depth_scale=1.0,
        T_world_camera=episode.T_world_camera,
    )


def _draw_table(center: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Colours (0 to 255) and depth (m, infinite where nothing is) of the empty table."""
    color = np.tile(np.array(_BACKGROUND, dtype=np.float64), (camera.height, camera.width, 1))
    nearest = np.full(color.shape[:2], np.inf)
    for tiles, tint in zip(_table(center), _TABLE, strict=True):
        depth, _ = surface_depth(*tiles, camera)
        color[depth < nearest] = tint
        nearest = np.minimum(depth, nearest)
    return color, nearest


def _draw(
    episode: Episode, frame: int, camera: Camera, shape: Mesh, color: np.ndarray, nearest: np.ndarray
) -> UInt8[np.ndarray, "H W 3"]:
    """Hand, object and their shadows on the empty table."""
    T, keypoints = episode.T_world_object[frame], episode.keypoints_world[frame]
    thing = shape[0] @ T[:3, :3].T + T[:3, 3], shape[1]
    hand = [(_palm(keypoints), _PALM)]
    for finger, tint in enumerate(COLORS.values()):
        bones = _tube(keypoints, BONES[4 * finger : 4 * finger + 4])
        hand.append((_joined([bones, *_balls(keypoints, finger)]), tint))
    color = color.copy()
    solids = [(thing, _OBJECT), *hand]
    vertices, faces = _joined([mesh for mesh, _ in solids])
    shadow, _ = surface_depth(vertices * [1, 1, 0], faces, camera)
    color[np.isfinite(shadow) & np.isfinite(nearest)] *= _SHADOW
    for (vertices, faces), tint in solids:
        depth, facing = surface_depth(vertices, faces, camera)
        front = depth < nearest
        color[front] = np.array(tint) * (_AMBIENT + (1 - _AMBIENT) * facing[front, None])
        nearest = np.minimum(depth, nearest)
    return np.round(color).astype(np.uint8)


def _discs(points: np.ndarray, normals: np.ndarray) -> Mesh:
    """A hexagon on each surface point, so large that they close the surface."""
    near = np.asarray(KDTree(points).query(points, k=min(5, len(points)))[0])
    radius = 0.95 * near[:, -1:]  # of each, because the ends of a cloud are thinner than its middle
    aside = np.cross(normals, np.eye(3)[np.abs(normals).argmin(axis=1)])
    aside /= np.linalg.norm(aside, axis=1, keepdims=True).clip(1e-12)
    ring = _ring(points, aside, np.cross(normals, aside), radius, 6)
    n = len(points)
    corner = n + 6 * np.arange(n)[:, None] + np.arange(6)
    fan = np.stack([np.repeat(np.arange(n)[:, None], 6, axis=1), corner, np.roll(corner, -1, axis=1)], axis=-1)
    return np.concatenate([points, ring.reshape(-1, 3)]), fan.reshape(-1, 3)


def _ring(centers: np.ndarray, x: np.ndarray, y: np.ndarray, radius: float | np.ndarray, count: int) -> np.ndarray:
    """`count` points (n, count, 3) on circles in the planes of unit vectors x and y."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    return centers[:, None] + np.asarray(radius).reshape(-1, 1, 1) * (
        np.cos(turn) * x[:, None] + np.sin(turn) * y[:, None]
    )


def _tube(keypoints: np.ndarray, bones: tuple[tuple[int, int], ...]) -> Mesh:
    """Open cylinders around bones."""
    start, end = (keypoints[[bone[k] for bone in bones]] for k in (0, 1))
    along = (end - start) / np.linalg.norm(end - start, axis=1, keepdims=True).clip(1e-9)
    x = np.cross(along, np.eye(3)[np.abs(along).argmin(axis=1)])
    x /= np.linalg.norm(x, axis=1, keepdims=True).clip(1e-9)
    y = np.cross(along, x)
    vertices = np.stack([_ring(start, x, y, _BONE, _ROUND), _ring(end, x, y, _BONE, _ROUND)], axis=1)
    k = np.arange(_ROUND)
    after = (k + 1) % _ROUND
    strip = np.concatenate([np.stack([k, after, after + _ROUND], 1), np.stack([k, after + _ROUND, k + _ROUND], 1)])
    faces = strip + 2 * _ROUND * np.arange(len(bones))[:, None, None]
    return vertices.reshape(-1, 3), faces.reshape(-1, 3)


def _balls(keypoints: np.ndarray, finger: int) -> list[Mesh]:
    """Spheres on the joints of a finger."""
    rings, half = _ROUND, _ROUND // 2
    polar, turn = np.meshgrid(
        np.linspace(0, np.pi, half + 1), np.linspace(0, 2 * np.pi, rings, endpoint=False), indexing="ij"
    )
    unit = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=-1)
    i, k = np.meshgrid(np.arange(half), np.arange(rings), indexing="ij")
    a, b = i * rings + k, i * rings + (k + 1) % rings
    faces = np.concatenate([np.stack([a, b, b + rings], -1), np.stack([a, b + rings, a + rings], -1)]).reshape(-1, 3)
    return [(keypoints[j] + _JOINT * unit.reshape(-1, 3), faces) for j in range(4 * finger + 1, 4 * finger + 5)]


def _palm(keypoints: np.ndarray) -> Mesh:
    """Triangles between the wrist and the fingers' bases."""
    return keypoints, np.array([(0, 1, 5), (0, 5, 9), (0, 9, 13), (0, 13, 17), (1, 2, 5)])


def _table(center: np.ndarray) -> tuple[Mesh, Mesh]:
    """The table's two kinds of squares, small enough that those behind the camera may be left out."""
    i, j = np.meshgrid(*[np.arange(_TILES)] * 2, indexing="ij")
    base = np.round(center / _TILE) - _TILES / 2
    corners = np.stack([i, j, 0 * i], axis=-1)[:, :, None] + np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)])
    corners = (corners + np.array([*base, 0])) * _TILE
    dark = (i + j) % 2 == 0
    meshes = []
    for chosen in (dark, ~dark):
        vertices = corners[chosen].reshape(-1, 3)
        first = 4 * np.arange(int(chosen.sum()))[:, None]
        meshes.append((vertices, np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])))
    return meshes[0], meshes[1]


def _joined(meshes: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    return (
        np.concatenate([vertices for vertices, _ in meshes]),
        np.concatenate([faces + start for (_, faces), start in zip(meshes, starts, strict=False)]),
    )
