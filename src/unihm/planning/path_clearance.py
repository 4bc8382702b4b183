"""How near an object comes to the scene on its path, and the same path raised until it is far enough."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation, RotationSpline

from unihm.planning.pace import SPEED
from unihm.planning.verbs import FPS

MARGIN = 0.01  # m; clouds are sampled every few millimetres, and surfaces between their points are nearer by about 1 mm
HEIGHTS = (0.0, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3)  # m, tried one after the other


def clearance(
    path: Float[np.ndarray, "T 4 4"],
    object_points: Float[np.ndarray, "n 3"],
    scene_points: Float[np.ndarray, "m 3"],
    within: float = np.inf,
) -> Float[np.ndarray, " T"]:
    """Smallest distance from the object's points to the scene's in each frame, m.

    Clouds have no inside: a point deep in a body is as far as the body's surface. Who goes into a body crosses its
    surface in some frame, so the smallest value over a path still tells.

    Args:
        path: T_world_object, m.
        object_points: In the object's frame, m.
        scene_points: In the world, without the object itself, m; where there are none, the distance is infinite.
        within: Distances of this and more are said to be infinite, which takes much less time, m.
    """
    return _distances(path, object_points, _tree(path, object_points, scene_points), within)


def raised(
    path: Float[np.ndarray, "T 4 4"],
    object_points: Float[np.ndarray, "n 3"],
    scene_points: Float[np.ndarray, "m 3"],
    *,
    margin: float = MARGIN,
    slack: float = 0.0,
    heights: tuple[float, ...] = HEIGHTS,
    speed: float = SPEED,
    fps: float = FPS,
) -> Float[np.ndarray, "T2 4 4"]:
    """The path with its middle lifted by the first of a few heights with which it keeps its distance from the scene.

    With a in [0, 1] the part of the way that is behind, z grows by ``height (1 - (2 a - 1)^4)``: steep at both ends,
    flat in between. The ends stay, and with them the start and stop without speed and acceleration. A path that
    becomes faster than `speed` is stretched in time, so it can get more frames.

    Frames in which the object is less than two margins away from its first or last pose are not judged: there it
    stands on what carries it. For the same reason this is not for objects that slide or hang in a joint.

    Args:
        path: T_world_object, m; the world is z-up.
        object_points: In the object's frame, m.
        scene_points: In the world, without the object itself, m.
        margin: Distance to keep, m.
        slack: By how much clouds may be nearer than that, m: 0 of true ones.
        heights: To try, from low to high, m; with 0 the path itself is tried.
        speed: Of the object's origin, m/s.
        fps: Frames per second of the path.

    Raises:
        ValueError: No height is enough; says how near the best of them comes, and in which frame.
    """
    for name, value in (("margin", margin), ("margin less slack", margin - slack), ("speed", speed), ("fps", fps)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}; expected a finite number above 0.")
    if not heights or not np.isfinite(heights).all() or min(heights) < 0:
        raise ValueError(f"The heights to try are {heights}; expected at least one, none negative.")
    tree = _tree(path, object_points, scene_points)
    tried = []
    for height in heights:
        higher = _slowed(_lifted(path, object_points, height), speed, fps) if height else path
        away = np.minimum(*(_displacement(higher, higher[end], object_points) for end in (0, -1)))
        judged = np.flatnonzero(away >= 2 * margin)
        distance = _distances(higher[judged], object_points, tree, 2 * margin)
        if (distance >= margin - slack).all():
            return higher
        tried.append((distance.min(), height, judged[distance.argmin()]))
    nearest, height, frame = max(tried)
    raise ValueError(
        f"No path keeps {1000 * (margin - slack):g} mm from the scene: the best, raised by {height:g} m, "
        f"comes within {1000 * nearest:.1f} mm at frame {frame}."
    )


def _tree(path: np.ndarray, object_points: np.ndarray, scene_points: np.ndarray) -> KDTree:
    if not len(path) or not len(object_points):
        raise ValueError(f"Expected frames and points of the object, got {len(path)} and {len(object_points)}.")
    for name, values in (("path", path), ("object's cloud", object_points), ("scene's cloud", scene_points)):
        if not np.isfinite(values).all():
            raise ValueError(f"The {name} holds NaN or infinity.")
    return KDTree(scene_points)


def _distances(path: np.ndarray, object_points: np.ndarray, tree: KDTree, within: float) -> Float[np.ndarray, " T"]:
    distance = np.full(len(path), np.inf)
    if not tree.n or not len(path):
        return distance
    moving = np.flatnonzero(np.append(True, (np.diff(path, axis=0) != 0).any(axis=(1, 2))))
    # Distances are the same in the object's frame, so only what of the scene comes near its bounding ball is looked at.
    middle = (object_points.min(axis=0) + object_points.max(axis=0)) / 2
    radius = np.linalg.norm(object_points - middle, axis=1).max()
    centres = path[moving, :3, :3] @ middle + path[moving, :3, 3]
    own = KDTree(object_points)
    near = tree.query_ball_point(centres, radius + within) if np.isfinite(within) else [slice(None)] * len(moving)
    for k, some in zip(moving, near, strict=True):
        points = (tree.data[some] - path[k, :3, 3]) @ path[k, :3, :3]
        if len(points):
            distance[k] = own.query(points, distance_upper_bound=within)[0].min()
    return distance[moving[np.searchsorted(moving, np.arange(len(path)), side="right") - 1]]


def _displacement(T_a: np.ndarray, T_b: np.ndarray, points: np.ndarray) -> Float[np.ndarray, " T"]:
    """Root mean square of how far points are apart in two poses, m: a smooth measure of moving and turning alike."""
    # From mean and covariance, sum over all points at once: |A x + b|^2 with A = R_a - R_b.
    A, b = T_a[..., :3, :3] - T_b[..., :3, :3], T_a[..., :3, 3] - T_b[..., :3, 3]
    second = points.T @ points / len(points)
    square = np.einsum("...ij,jk,...ik->...", A, second, A) + (b * b).sum(axis=-1)
    square = square + 2 * ((A @ points.mean(axis=0)) * b).sum(axis=-1)
    return np.sqrt(np.maximum(square, 0.0))


def _lifted(path: np.ndarray, object_points: np.ndarray, height: float) -> np.ndarray:
    way = np.concatenate([[0.0], np.cumsum(_displacement(path[1:], path[:-1], object_points))])
    if way[-1] == 0:
        return path
    lifted = path.copy()
    lifted[:, 2, 3] += height * (1 - (2 * way / way[-1] - 1) ** 4)
    return lifted


def _slowed(path: np.ndarray, speed: float, fps: float) -> np.ndarray:
    """The moving part over so many frames that the origin keeps below a speed, m/s."""
    step = np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1)
    moving = np.flatnonzero((np.diff(path, axis=0) != 0).any(axis=(1, 2)))
    if not len(moving) or step.max() * fps <= speed:
        return path
    first, last = moving[0], moving[-1] + 1  # rest up to the first, hold from the last
    known = np.arange(first, last + 1)
    frames = np.linspace(first, last, int(np.ceil((last - first) * step.max() * fps / speed)) + 1)
    slow = np.tile(np.eye(4), (len(frames), 1, 1))
    # Splines, because a jerk would be left at each old frame where values between two frames were linear.
    slow[:, :3, 3] = CubicSpline(known, path[known, :3, 3], bc_type="clamped")(frames)
    slow[:, :3, :3] = RotationSpline(known, Rotation.from_matrix(path[known, :3, :3]))(frames).as_matrix()
    slow[0], slow[-1] = path[first], path[last]  # free of the splines' rounding: the object rests in them
    return np.concatenate([path[:first], slow, path[last + 1 :]])
