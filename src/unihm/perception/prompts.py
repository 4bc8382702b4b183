"""Which thing a user's pixel or box means, among the things that a label image has found."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_dilation, find_objects, label
from scipy.spatial import ConvexHull, Delaunay, QhullError

from unihm.schema.scene import Scene

_MISS = 5.0  # pixels; a depth camera draws outlines this wide around things
_TABLE = 0.01  # m; lower is the table
_RIVAL = 0.5  # share of the best thing's score from which a box holds another as well
_NOTHING = "There is nothing on the table, or nothing that the depth camera sees."


def check_request(scene: Scene, instruction: str, point: tuple[int, int] | None) -> None:
    """Raise ValueError where an instruction is empty, or a pixel lies outside of the image."""
    if not instruction.strip():
        raise ValueError('The instruction is empty; say what to do, for example "lift the red can".')
    if point is not None:
        check_pixel(point, scene)


def check_pixel(point: tuple[int, int], scene: Scene) -> None:
    """Raise ValueError where a pixel lies outside of the image."""
    u, v = point
    height, width = scene.depth.shape
    if not (0 <= u < width and 0 <= v < height):
        raise ValueError(
            f"Point {u},{v} lies outside the image; expected u in 0..{width - 1} and v in 0..{height - 1}."
        )


def at_pixel(
    point: tuple[int, int], labels: Int[np.ndarray, "H W"], points_world: Float[np.ndarray, "H W 3"], scene: Scene
) -> int:
    """The thing at a pixel, within the dark outline of things, in a hole in them, or around it (a bowl's bottom).

    Args:
        point: (u, v), inside the image.
        labels: Thing of each pixel, -1 for none.
        points_world: Points with the table at z = 0, m.
        scene: The image.

    Raises:
        ValueError: No thing is there.
    """
    u, v = point
    if labels.max() < 0:
        raise ValueError(_NOTHING)
    pixels = np.argwhere(labels >= 0)
    distance = np.linalg.norm(pixels - [v, u], axis=1)
    nearest = int(np.argmin(distance))
    if distance[nearest] <= _MISS:
        return int(labels[tuple(pixels[nearest])])
    count = labels.max() + 1
    valid = scene.depth > 0
    if not valid[v, u]:
        owner = int(cover_holes(labels, valid)[v, u])
        if owner >= 0:
            return owner
        raise ValueError(
            f"Point {u},{v} has no depth (glass, or something glossy or black?) and lies on no object; choose a pixel "
            f"on one of the {count} objects that the depth camera sees, or another view."
        )
    for thing in range(count):
        pixels = np.argwhere(labels == thing)
        around = _encloses(points_world[labels == thing][:, :2], points_world[v, u, :2])
        if around and _encloses(pixels, np.array([v, u])):
            return thing
    where = "the table" if abs(points_world[v, u, 2]) < _TABLE else "no object on the table"
    raise ValueError(f"Point {u},{v} lies on {where}; choose a pixel on one of the {count} objects.")


def at_box(box: tuple[int, int, int, int], labels: Int[np.ndarray, "H W"]) -> int:
    """The thing that a box holds best: the most of it is inside, and the least of others.

    Args:
        box: Its corner pixels (u0, v0, u1, v1), both inside of it; what reaches over the image counts for nothing.
        labels: Thing of each pixel, -1 for none.

    Raises:
        ValueError: It is empty or outside of the image, there is no thing in it, or two fit it alike.
    """
    name = ",".join(map(str, box))
    height, width = labels.shape
    if box[0] >= box[2] or box[1] >= box[3]:
        raise ValueError(f"Box {name} is empty; expected its left upper and its right lower corner, U0,V0,U1,V1.")
    if not (box[0] < width and box[1] < height and box[2] >= 0 and box[3] >= 0):
        raise ValueError(f"Box {name} lies outside the image; expected u in 0..{width - 1} and v in 0..{height - 1}.")
    if labels.max() < 0:
        raise ValueError(_NOTHING)
    u0, v0, u1, v1 = np.maximum(box, 0)
    count = int(labels.max()) + 1
    part = labels[v0 : v1 + 1, u0 : u1 + 1]
    inside = np.bincount(part[part >= 0], minlength=count)
    if not inside.any():
        raise ValueError(f"Box {name} holds none of the {count} objects; draw it around one.")
    score = inside.astype(np.float64) ** 2 / np.bincount(labels[labels >= 0], minlength=count)
    order = np.argsort(-score, kind="stable")
    if count > 1 and score[order[1]] >= _RIVAL * score[order[0]]:
        alike = int((score >= _RIVAL * score[order[0]]).sum())
        raise ValueError(f"Box {name} holds {alike} objects about equally well; draw it around one of them.")
    return int(order[0])


def cover_holes(labels: Int[np.ndarray, "H W"], valid: Bool[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """Labels in which pixels without depth belong to the thing that alone surrounds them: the gloss on a can.

    A hole that touches the table, the image's border or two things stays what it is: that may be glass.
    """
    covered = labels.copy()
    holes = np.zeros(valid.shape, dtype=np.int64)
    label(np.logical_not(valid), output=holes)
    height, width = valid.shape
    for number, where in enumerate(find_objects(holes), start=1):
        (v0, v1), (u0, u1) = ((part.start, part.stop) for part in where)
        if v0 == 0 or u0 == 0 or v1 == height or u1 == width:
            continue
        wider = slice(v0 - 1, v1 + 1), slice(u0 - 1, u1 + 1)
        hole = holes[wider] == number
        rim = labels[wider][np.logical_and(binary_dilation(hole), np.logical_not(hole))]
        if rim[0] >= 0 and (rim == rim[0]).all():
            covered[wider][hole] = rim[0]
    return covered


def _encloses(points: np.ndarray, query: np.ndarray) -> bool:
    try:
        hull = ConvexHull(points)
    except QhullError:
        return False
    return bool(Delaunay(points[hull.vertices]).find_simplex(query[None].astype(np.float64))[0] >= 0)
