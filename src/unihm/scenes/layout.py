"""Where things stand on a table: at any yaw, some on a side, some nearly touching, none inside another.

Things are kept apart by the convex hulls of their footprints: two convex polygons are as far apart as the widest strip
between them (separating axes; between two corners a little farther).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull

from unihm.geometry.pose import yaw_pose
from unihm.scenes.household import HouseholdObject
from unihm.scenes.stable_rest import draw_rest
from unihm.scenes.styles import Style

TOUCHING = 0.002
"""Least gap between footprints, m."""
_CLOSE, _FAR = 0.02, 0.1  # m; gaps of close ones, and of the others
_LAID = {"can", "bottle", "jar", "box", "package", "carton", "container", "block", "cup"}  # class words: may lie
_FLAT = {"box", "block"}  # class words of what lies more often, by this share, where it is twice as high as thin
_FLAT_LIE = 0.3
_TRIES = 60  # for a place, before an object is left out
_FALL = 0.3  # m; farther off than two footprints in a line can be
_AT_REST = 1e-6  # m; how far the lowest point of what rests on z = 0 is from there
Polygon = Float[np.ndarray, "_ 2"]


@dataclass(frozen=True, kw_only=True)
class TableTop:
    """A rectangle or disc at z = 0."""

    T_world_table: Float[np.ndarray, "4 4"]
    """Its middle; x and y along its edges."""
    half: tuple[float, float]
    """Half its length and width, m."""
    round: bool = False
    """Whether it is a disc."""

    def holds(self, polygon: Polygon, margin: float = 0.01) -> bool:
        """Whether a footprint (world, m) is on it, by a margin from the edge (m)."""
        R, t = self.T_world_table[:2, :2], self.T_world_table[:2, 3]
        share = (polygon - t) @ R / (np.array(self.half) - margin)
        return bool((np.hypot(*share.T) if self.round else np.abs(share).max(axis=1)).max() <= 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Placed:
    """A free object on the table."""

    object: HouseholdObject
    """What it is."""
    T_world_object: Float[np.ndarray, "4 4"]
    """Where it is, m."""
    lying: bool
    """Whether it lies on a side instead of standing."""

    @property
    def vertices_world(self) -> Float[np.ndarray, "v 3"]:
        """m."""
        return self.object.vertices @ self.T_world_object[:3, :3].T + self.T_world_object[:3, 3]


def footprint(points: Float[np.ndarray, "n d"]) -> Polygon:
    """Convex polygon around points as seen from above, counter-clockwise."""
    flat = points[:, :2]
    return flat[ConvexHull(flat).vertices]


def separation(a: Polygon, b: Polygon) -> float:
    """Width of the widest strip between two convex polygons, m; below 0 where they overlap."""
    widest = -np.inf
    for one, other in ((a, b), (b, a)):
        edge = np.roll(one, -1, axis=0) - one
        normal = np.column_stack([edge[:, 1], -edge[:, 0]]) / np.linalg.norm(edge, axis=1, keepdims=True)
        out = np.einsum("ki,ki->k", normal, one)  # of a counter-clockwise polygon, outwards
        widest = max(widest, float(((normal @ other.T).min(axis=1) - out).max()))
    return widest


def lay_out(
    objects: Sequence[HouseholdObject],
    table: TableTop,
    style: Style,
    rng: np.random.Generator,
    taken: Sequence[Polygon] = (),
) -> tuple[Placed, ...]:
    """Put objects on a table, as many as find a place.

    Args:
        objects: In the order in which they are put.
        table: Where.
        style: How many lie, and how many stand close together.
        rng: Draws it.
        taken: Footprints (world, m) that are to stay free, beside which the first objects go.
    """
    polygons, placed = list(taken), []
    reach = style.reach[1] if taken else rng.uniform(*style.reach)  # beside furniture there is room farther out only
    for thing in objects:
        R, lying = _rest(thing, style, rng)
        for _ in range(_TRIES):
            T = yaw_pose(rng.uniform(-np.pi, np.pi))
            T[:3, :3] = T[:3, :3] @ R
            turned = thing.vertices @ T[:3, :3].T
            T[2, 3] = -turned[:, 2].min()
            outline = footprint(turned)
            outline_at = _place(outline, polygons, style, rng)
            if outline_at is None:
                continue
            T[:2, 3] = outline_at
            polygon = outline + outline_at
            if table.holds(polygon) and np.linalg.norm(polygon.mean(axis=0)) < reach:
                polygons.append(polygon)
                placed.append(Placed(object=thing, T_world_object=T, lying=lying))
                break
    return tuple(placed)


def _rest(thing: HouseholdObject, style: Style, rng: np.random.Generator) -> tuple[Float[np.ndarray, "3 3"], bool]:
    """How it rests before it is turned about the vertical, and whether that is on a side."""
    if abs(thing.vertices[:, 2].min()) > _AT_REST:  # a user's mesh in a frame of its own
        R = draw_rest(thing.vertices, rng)
        return (np.eye(3) if R is None else R), False
    length, width, height = thing.dimensions_m
    words = set(thing.class_words)
    flat = bool(words & _FLAT) and height > 2 * min(length, width)
    if rng.random() < style.lying_share + flat * _FLAT_LIE and words & _LAID:
        R = draw_rest(thing.vertices, rng, sideways=True)
        if R is not None:
            return R, True
    return np.eye(3), False


def _place(
    outline: Polygon, polygons: list[Polygon], style: Style, rng: np.random.Generator
) -> Float[np.ndarray, " 2"] | None:
    """Where to move an outline so that it has a gap to one of the others, and no less than that to any."""
    if not polygons:
        return rng.uniform(-0.06, 0.06, 2) - outline.mean(axis=0)
    gap = rng.uniform(TOUCHING, _CLOSE) if rng.random() < style.close_share else rng.uniform(_CLOSE, _FAR)
    other = polygons[rng.integers(len(polygons))]
    angle = rng.uniform(-np.pi, np.pi)
    way = np.array([np.cos(angle), np.sin(angle)])
    start = other.mean(axis=0) - outline.mean(axis=0)
    low, high = 0.0, _FALL + np.ptp(other, axis=0).max() + np.ptp(outline, axis=0).max()
    for _ in range(22):  # to a tenth of a micrometre
        middle = (low + high) / 2
        low, high = (low, middle) if separation(outline + start + middle * way, other) >= gap else (middle, high)
    place = start + high * way
    if all(separation(outline + place, polygon) >= TOUCHING for polygon in polygons):
        return place
    return None
