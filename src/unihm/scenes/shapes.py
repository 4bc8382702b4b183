"""Closed surfaces of simple solids: revolved profiles, rounded boxes, prisms, bent tubes, rings, and their composition.

Every solid is a loft: rings with the same number of points, each joined to the next by pairs of triangles, the two ends
closed by fans. Its surface is watertight by construction, its faces wind counter-clockwise seen from outside.

A composed thing (mug = cup + handle) keeps its parts apart: closed surfaces that overlap where they meet, by the name
of what they are. There is no boolean union, so volumes of overlaps count twice; walls are far thinner than the things.
Metres, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float

Size = tuple[float, float, float]
"""Length (x), width (y) and height (z) of the resting thing, m."""
Points = Sequence[Any] | np.ndarray
"""Points of a line in two or three dimensions, one a row, m."""
Parts = dict[str, trimesh.Trimesh]
"""What a thing consists of: name of the part -> its closed surface."""

ROUND = 36  # facets around; a multiple of four, so that a circle reaches its full width along x and y
_CORNER, _EDGE = 4, 5  # steps around the corner and along the edge of a rounded rectangle


def loft(
    rings: Float[np.ndarray, "r s 3"],
    *,
    closed: bool = False,
    first: Float[np.ndarray, " 3"] | None = None,
    last: Float[np.ndarray, " 3"] | None = None,
) -> trimesh.Trimesh:
    """The closed surface through rings.

    Args:
        rings: Points around each ring, in the same sense in all.
        closed: The last ring joins the first, and there are no ends.
        first: Where the fan meets that closes the first ring; the ring's middle by default. The ring must be visible
            from there.
        last: The same for the last ring.
    """
    r, s, _ = rings.shape
    k = np.arange(s)
    row = np.arange(r if closed else r - 1)[:, None] * s
    above = (row + s) % (r * s)
    after = (k + 1) % s
    # the two triangles of a quadrangle follow each other
    faces = [np.stack([row + k, row + after, above + after, row + k, above + after, above + k], axis=-1).reshape(-1, 3)]
    vertices = [rings.reshape(-1, 3)]
    if not closed:
        vertices += [
            (rings[0].mean(axis=0) if first is None else first)[None],
            (rings[-1].mean(axis=0) if last is None else last)[None],
        ]
        foot, top = np.full(s, r * s), np.full(s, r * s + 1)
        faces += [np.stack([foot, after, k], axis=-1), np.stack([top, k + (r - 1) * s, after + (r - 1) * s], axis=-1)]
    mesh = trimesh.Trimesh(np.concatenate(vertices), np.concatenate(faces), process=False)
    if mesh.volume < 0:
        mesh.invert()
    return mesh


def finer(line: Float[np.ndarray, "k d"], steps: int) -> Float[np.ndarray, "n d"]:
    """The same polyline with more points, none farther from the next than one of `steps` parts of its length."""
    length = np.linalg.norm(np.diff(line, axis=0), axis=1)
    pieces = [
        a + (b - a) * np.arange(n)[:, None] / n
        for a, b, n in zip(line[:-1], line[1:], np.maximum(1, np.ceil(length / (length.sum() / steps))), strict=True)
    ]
    return np.concatenate([*pieces, line[-1:]])


def revolved(
    profile: Points,
    *,
    closed: bool = False,
    steps: int = 24,
    sides: int = ROUND,
    lobes: int = 0,
    depth: float = 0.0,
) -> trimesh.Trimesh:
    """A profile turned about z.

    Args:
        profile: Distance from the axis and height, m, from the foot on; where it begins or ends at the axis it makes a
            pole. A profile that goes up outside and comes down inside makes a wall.
        closed: The profile is a loop away from the axis (a ring).
        steps: How finely the profile is cut.
        sides: Facets around.
        lobes: Waves around, of the relative `depth`.
        depth: 0.1 makes the radius vary by a tenth.
    """
    line = np.asarray(profile, dtype=np.float64)
    line = finer(np.concatenate([line, line[:1]]), steps)[:-1] if closed else finer(line, steps)
    poles = [None, None] if closed else [np.array([0, 0, end[1]]) if end[0] == 0 else None for end in line[[0, -1]]]
    line = line[line[:, 0] > 0]
    angle = 2 * np.pi * np.arange(sides) / sides
    radius = line[:, :1] * (1 + depth * np.cos(lobes * angle))
    rings = np.stack(
        [radius * np.cos(angle), radius * np.sin(angle), np.broadcast_to(line[:, 1:], radius.shape)], axis=-1
    )
    return loft(rings, closed=closed, first=poles[0], last=poles[1])


def walled(outside: Points, wall: float, steps: int = 18) -> Float[np.ndarray, "n 2"]:
    """Profile of an open vessel: up the given outside, from the axis to the rim, and down inside, m."""
    line = finer(np.asarray(outside, dtype=np.float64), steps)
    way = np.gradient(line, axis=0)
    inward = np.stack([-way[:, 1], way[:, 0]], axis=-1) / np.linalg.norm(way, axis=1, keepdims=True)
    inside = line + wall * inward
    inside[-1, 1] = line[-1, 1]  # a level rim
    inside = inside[1:][inside[1:, 0] > wall / 2]
    return np.concatenate([line, inside[::-1], [[0.0, wall]]])


def rounded_rectangle(length: float, width: float, radius: float) -> Float[np.ndarray, "s 2"]:
    """Outline of a rectangle with round corners, counter-clockwise about the origin, m."""
    radius = min(radius, 0.499 * length, 0.499 * width)
    turn = np.linspace(0, np.pi / 2, _CORNER + 1)
    points = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        angle = turn + k * np.pi / 2
        middle = np.array([sx * (length / 2 - radius), sy * (width / 2 - radius)])
        points.append(middle + radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    points.append(points[0][:1])
    outline = []
    for bend, following in pairwise(points):
        edge = np.arange(1, _EDGE)[:, None] / _EDGE
        outline += [bend, bend[-1] + edge * (following[0] - bend[-1])]
    return np.concatenate(outline)


def rounded_box(
    size: Size, radius: float, *, along: int = 2, corner: float | None = None, rings: int = 4
) -> trimesh.Trimesh:
    """A box about the origin with round edges.

    Args:
        size: Edges, m.
        radius: Of the edges at both ends, m.
        along: The axis from end to end: 0 for things that lie along x, 2 for things that stand.
        corner: Radius of the edges along that axis, m; as the others by default.
        rings: Between the ends; patterns need many.
    """
    others = [(along + 1) % 3, (along + 2) % 3]
    length, (width, breadth) = size[along], (size[k] for k in others)
    corner = radius if corner is None else corner
    radius = min(radius, 0.49 * min(size))
    turn = np.linspace(0, np.pi / 2, _CORNER + 1)
    ends = radius * (1 - np.cos(turn)), radius * (1 - np.sin(turn))  # from the end, and how far inset
    middle = np.linspace(radius, length - radius, rings)[1:-1]
    position = np.concatenate([ends[0], middle, length - ends[0][::-1]])
    inset = np.concatenate([ends[1], np.zeros(len(middle)), ends[1][::-1]])
    points = np.empty((len(position), 4 * (_CORNER + _EDGE), 3))
    for ring, x, i in zip(points, position, inset, strict=True):
        ring[:, others] = rounded_rectangle(width - 2 * i, breadth - 2 * i, max(corner - i, 1e-4))
        ring[:, along] = x - length / 2
    return loft(points)


def prism(outline: Points, height: float) -> trimesh.Trimesh:
    """An outline in x and y, visible from its middle, raised from z = 0 to a height, m."""
    line = np.asarray(outline, dtype=np.float64)
    rings = np.stack([np.column_stack([line, np.full(len(line), z)]) for z in (0.0, height)])
    return loft(rings)


def tube(
    path: Points,
    radius: float | Points,
    *,
    normal: str = "y",
    thickness: float = 1.0,
    closed: bool = False,
    sides: int = 20,
) -> trimesh.Trimesh:
    """An ellipse swept along a curve in a plane; its ends are round.

    Args:
        path: Points of the curve, m.
        radius: Half the extent of the section within the plane of the curve, m, one for all points or one for each.
        normal: Of that plane, x, y or z.
        thickness: Extent of the section across the plane, as a share of that within it.
        closed: The curve returns to its start (its first point not repeated).
        sides: Facets around.
    """
    line, across = np.asarray(path, dtype=np.float64), np.eye(3)["xyz".index(normal)]
    radii = np.broadcast_to(np.asarray(radius, dtype=np.float64), len(line))
    if closed:
        way = np.roll(line, -1, axis=0) - np.roll(line, 1, axis=0)
    else:
        way = np.gradient(line, axis=0)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        turn = np.linspace(0, np.pi / 2, _CORNER + 1)[:-1]
        start = line[0] - way[0] * radii[0] * np.cos(turn)[:, None]
        end = line[-1] + way[-1] * radii[-1] * np.cos(turn)[::-1, None]
        # a ring of no size would be a degenerate end
        share = np.maximum(np.sin(turn), 0.05)
        line = np.concatenate([start, line, end])
        radii = np.concatenate([radii[0] * share, radii, radii[-1] * share[::-1]])
        way = np.concatenate([np.tile(way[0], (len(turn), 1)), way, np.tile(way[-1], (len(turn), 1))])
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    side = np.cross(across, way)
    angle = 2 * np.pi * np.arange(sides) / sides
    section = np.cos(angle)[:, None] * side[:, None] + thickness * np.sin(angle)[:, None] * across
    return loft(line[:, None] + radii[:, None, None] * section, closed=closed)


def arc(
    middle: Points,
    radii: Points,
    start: float | int,
    end: float | int,
    *,
    steps: int = 14,
    plane: tuple[int, int] = (0, 2),
    height: float = 0.0,
) -> Float[np.ndarray, "n 3"]:
    """Points on an arc of an ellipse.

    Args:
        middle: In the plane, m.
        radii: Along its two axes, m.
        start: Angle from the first axis towards the second, degrees.
        end: The same.
        steps: Number of chords.
        plane: Its two axes; x and z by default.
        height: Along the third axis, m.
    """
    angle = np.radians(np.linspace(start, end, steps + 1))
    points = np.full((steps + 1, 3), height)
    points[:, plane[0]] = middle[0] + radii[0] * np.cos(angle)
    points[:, plane[1]] = middle[1] + radii[1] * np.sin(angle)
    return points


def ellipsoid(size: Size, sides: int = ROUND, steps: int = 24) -> trimesh.Trimesh:
    """An ellipsoid about the origin with these axes, m; a ball if they are equal."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, steps + 1)
    profile = np.stack([np.cos(turn), np.sin(turn)], axis=-1) / 2
    profile[[0, -1], 0] = 0
    return stretched(revolved(profile, steps=steps, sides=sides), size)


def cylinder(radius: float, height: float, edge: float = 0.0, steps: int = 8, **options) -> trimesh.Trimesh:
    """An upright cylinder from z = 0 up, its rims cut off by `edge`, m; options of `revolved`."""
    edge = max(edge, 1e-4)
    return revolved(
        [(0, 0), (radius - edge, 0), (radius, edge), (radius, height - edge), (radius - edge, height), (0, height)],
        steps=steps,
        **options,
    )


def stretched(mesh: trimesh.Trimesh, factors: Size) -> trimesh.Trimesh:
    """The same with x, y and z multiplied by positive factors."""
    return trimesh.Trimesh(mesh.vertices * np.asarray(factors), mesh.faces, process=False)


def moved(
    mesh: trimesh.Trimesh,
    x: float = 0.0,
    y: float = 0.0,
    z: float = 0.0,
    *,
    turn: tuple[str, float | int] | None = None,
) -> trimesh.Trimesh:
    """The same, first turned about the origin (axis letter, degrees), then shifted by metres."""
    vertices = mesh.vertices
    if turn is not None:
        angle, k = np.radians(turn[1]), "xyz".index(turn[0])
        a, b = vertices[:, (k + 1) % 3], vertices[:, (k + 2) % 3]
        vertices = vertices.copy()
        vertices[:, (k + 1) % 3] = np.cos(angle) * a - np.sin(angle) * b
        vertices[:, (k + 2) % 3] = np.sin(angle) * a + np.cos(angle) * b
    return trimesh.Trimesh(vertices + np.array([x, y, z]), mesh.faces, process=False)


def laid(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The same lying: what pointed up points along x."""
    return moved(mesh, turn=("y", 90))


def joined(*meshes: trimesh.Trimesh) -> trimesh.Trimesh:
    """Several closed surfaces as one part."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return trimesh.Trimesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]),
        process=False,
    )


def fitted(parts: Parts, size: Size) -> Parts:
    """The thing at rest: exactly as large as stated, its lowest point at z = 0, centred in x and y."""
    points = np.concatenate([mesh.vertices for mesh in parts.values()])
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    shift = low + extent * [0.5, 0.5, 0.0]
    factors = np.asarray(size) / extent
    return {
        name: trimesh.Trimesh((mesh.vertices - shift) * factors, mesh.faces, process=False)
        for name, mesh in parts.items()
    }
