"""The joint of a drawer, a door or a lid from one view of it, by the planes of its parts.

What moves is a panel with a bar as its handle:

- a *drawer* slides along the horizontal normal of its front, and is open by as much as the front stands off the
  front of the body, the plane of most of what faces the same way;
- a *door* turns about its vertical edge farther from the handle, and is open by the angle between its outside and the
  face of the body's box that it covers when it is shut;
- a *lid* turns about its horizontal edge farther from the handle, and is open by its tilt.

Which face of the body a door covers follows from where the body lies: behind it, and on the handle's side of the hinge.
A door that shows its inside is open, and where it stands square to the front, the wall in its plane is not the door.
The hinge also lies at an edge of the body's box, which counts the more, the less of the panel's own edge is seen. A
drawer or a door of whose body nothing is seen is taken for shut.

Measured on rendered fixtures of many sizes, 0 to 80 % open, from 20 to 60 degrees above and within 50 degrees of their
front, 320 x 240 pixels with the noise of depth cameras, wherever the handle is in view: see
`tests/perception/test_articulation.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

from unihm.geometry.point_cloud import estimate_normals, fit_plane, voxel_indices
from unihm.perception.panel import BOARD, Panel, covers, ends, find_panel, grown
from unihm.schema.joint import Joint

TRAVEL = 0.15
"""How far a drawer comes out, m: runners of a small cabinet."""
SWING = float(np.radians(110))
"""How far a door or a lid opens, rad: a plain cup hinge."""
_UP = np.array([0.0, 0.0, 1.0])
_SPACING, _MIN_BODY = 0.004, 40  # m, points of a body thinned to it; of fewer nothing is concluded
_SPARE = 2  # points of a strip of the body that may hang in the air: flying pixels
_WALL = 0.008  # m of a wall's inliers
_FRONT = 0.016  # m beyond shut and open in which the front is looked for
_FLUSH = 0.004  # m; a drawer that stands off less is shut
_BEYOND = np.radians(10)  # by how much noise may take a hinge over its end
_FLAT = np.radians(15)  # tilt below which the bar says more of a lid's hinge than the slope
_AJAR = np.radians(20)  # a door whose inside is seen is open by more
_SQUARE = np.radians(45)  # angle between a door and a front, from which on it stands off it
_MOSTLY = 90  # % of a body that its front bounds; strays, and rims of an open door, are before it
_LONG = 2.0  # ratio between the spreads along and across a bar; knobs are about round
_PLANE_ERROR, _BOX_ERROR = 0.002, 0.006  # m; of a fitted plane, and of where a body ends
Line = tuple[Float[np.ndarray, " 3"], float, float]  # a plane that a hinge lies in: normal, offset and error, m


def find_joint(
    panel_world: Float[np.ndarray, "n 3"],
    handle_world: Float[np.ndarray, "m 3"],
    body_world: Float[np.ndarray, "k 3"],
    kind: str,
    camera_position: Float[np.ndarray, " 3"],
) -> tuple[Joint, Float[np.ndarray, "4 4"]]:
    """How a panel moves, and where its handle is.

    Args:
        panel_world: Points of what moves, in a z-up world, m; the inside of a drawer may be among them.
        handle_world: Points of its handle, m; some may be the panel's.
        body_world: Points of what stands still, m; none where it is out of view.
        kind: drawer, door or lid.
        camera_position: Where it is seen from, m.

    Returns:
        The joint, its position from 0 to upper; and T_world_handle: in the middle of the bar, x away from the panel,
        y along the bar. An upright bar has y up; of others z points up, or on a lid to the hinge.

    Raises:
        ValueError: The kind is unknown, the handle or the panel is out of view, or no plane lies behind the handle.
    """
    joints = {"drawer": _drawer, "door": _door, "lid": _lid}
    if kind not in joints:
        raise ValueError(f"No joint is known for a '{kind}'. Available: {', '.join(joints)}.")
    panel = find_panel(panel_world, handle_world, camera_position, kind, upright=kind != "lid")
    body = body_world[voxel_indices(body_world, _SPACING)] if len(body_world) else body_world
    if kind == "lid" and panel.plane.normal[2] > np.cos(_FLAT):
        panel = grown(panel, body)  # it covers its box, so that nothing beside it is flush with it
    if kind != "drawer":  # the front of a chest is flush with a shut drawer
        body = body[~covers(panel, body)]
    if len(body) < _MIN_BODY:
        return joints[kind](panel, body[:0], body[:0])
    return joints[kind](panel, body, estimate_normals(body, 24, camera_position))


def _drawer(panel: Panel, body: np.ndarray, normals: np.ndarray) -> tuple[Joint, np.ndarray]:
    axis = panel.plane.normal
    stands_off = 0.0
    if len(body):
        behind = -panel.plane.distance(body)
        near = behind > -_FRONT  # what stands before the drawer is not what it comes out of
        front = near & (behind < TRAVEL + _FRONT) & (np.abs(normals @ axis) > 0.9)
        if front.sum() >= _MIN_BODY // 2:
            stands_off = _densest(behind[front])
        elif near.sum() >= _MIN_BODY:
            stands_off = float(np.percentile(behind[near], 5))
    position = min(stands_off, TRAVEL) if stands_off > _FLUSH else 0.0
    origin = panel.middle - position * axis
    joint = Joint(kind="slide", axis_world=axis, origin_world=origin, position=position, upper=TRAVEL)
    return joint, panel.handle_frame(_UP)


def _densest(values: np.ndarray) -> float:
    """Middle of the span of the width of a wall's inliers that holds most of the values."""
    ordered = np.sort(values)
    count = np.searchsorted(ordered, ordered + _WALL, side="right") - np.arange(len(ordered))
    first = int(count.argmax())
    return float(np.median(ordered[first : first + count[first]]))


def _door(panel: Panel, body: np.ndarray, normals: np.ndarray) -> tuple[Joint, np.ndarray]:
    normal = panel.plane.normal
    whole = _hung(panel, panel.face)
    best, turned, found, sides = whole, 0.0, -1.0, (normal, whole.toward)
    if len(body):
        # The four faces of the box; of those that the door may have come from, the one that it would cover.
        for angle in _box_angle(body, normals) + np.arange(4) * np.pi / 2:
            front = np.array([np.cos(angle), np.sin(angle), 0.0])
            for hung in (whole, *(_hung(panel, face) for face in _before(panel, body, front))):
                turn = hung.axis[2] * (np.arctan2(normal[1], normal[0]) - angle)
                turn = (turn + np.pi / 4) % (2 * np.pi) - np.pi / 4
                if turn > SWING + _BEYOND or (panel.inside and turn < _AJAR):
                    continue
                toward = Rotation.from_rotvec(-turn * hung.axis).apply(hung.toward)
                fits = _lies_behind(body - hung.hinge, front, toward)
                if fits > found:
                    found, best, turned, sides = fits, hung, float(turn), (front, toward)
    hinge = best.hinge
    if found >= 0.0:
        front, aside = sides[0], -sides[1]
        lines = [
            *best.lines,
            (aside, ends(body, front, aside, _SPARE)[1], _BOX_ERROR),
            (front, ends(body, aside, front, _SPARE)[1] + BOARD, _BOX_ERROR),
        ]
        hinge = _meeting(lines, best.axis, hinge)
    position = float(np.clip(turned, 0.0, SWING))
    joint = Joint(kind="hinge", axis_world=best.axis, origin_world=hinge, position=position, upper=SWING)
    return joint, panel.handle_frame(_UP)


@dataclass(frozen=True, kw_only=True)
class _Hung:
    """A door with its hinge at the vertical edge of its face farther from the handle."""

    axis: np.ndarray  # turning about it takes the handle off the body
    toward: np.ndarray  # from the hinge to the handle
    lines: list[Line]  # the panel's
    hinge: np.ndarray


def _hung(panel: Panel, face: np.ndarray) -> _Hung:
    across = np.cross(_UP, panel.plane.normal)
    low, high = ends(face, _UP, across)
    middle = float(panel.middle @ across)
    on_high = high - middle > middle - low
    lines: list[Line] = [
        (panel.plane.normal, panel.plane.offset, _PLANE_ERROR),
        (across, high if on_high else low, panel.edge_error),
    ]
    axis = _UP if on_high else -_UP
    return _Hung(
        axis=axis, toward=-across if on_high else across, lines=lines, hinge=_meeting(lines, axis, panel.middle)
    )


def _before(panel: Panel, body: np.ndarray, front: np.ndarray) -> Iterator[np.ndarray]:
    """The face of a door less what lies behind a front of its body, if the door stands square to it and is open.

    Who sees the inside of such a door sees that of the wall in its plane, too.
    """
    if panel.inside and abs(panel.plane.normal @ front) < np.cos(_SQUARE):
        before = panel.face[panel.face @ front > np.percentile(body @ front, _MOSTLY) - BOARD]
        if len(before) > _MIN_BODY:
            yield before


def _lid(panel: Panel, body: np.ndarray, normals: np.ndarray) -> tuple[Joint, np.ndarray]:
    normal = panel.plane.normal
    level = np.cross(normal, _UP)
    slope = float(np.linalg.norm(level))
    # On a slope the hinge is the level direction, and the lower edge.
    along = level / slope if slope > np.sin(_FLAT) else _flat_hinge(panel, body, normals)
    across = np.cross(normal, along)
    across /= np.linalg.norm(across)
    low, high = ends(panel.face, along, across)
    middle = float(panel.middle @ across)
    on_high = across[2] < 0 if slope > np.sin(_FLAT) else high - middle > middle - low
    toward = -across if on_high else across  # from the hinge to the handle
    axis = along if np.cross(along, toward) @ normal > 0 else -along  # turning about it lifts the handle
    lines: list[Line] = [
        # A lid turns about its inside.
        (normal, panel.plane.offset - BOARD, _PLANE_ERROR + BOARD / 3),
        (across, high if on_high else low, panel.edge_error),
    ]
    hinge = _meeting(lines, axis, panel.middle)
    if len(body):
        rear = np.cross(axis, _UP)
        lines += [
            (rear, ends(body, axis, rear, _SPARE)[1], _BOX_ERROR),
            (_UP, ends(body, axis, _UP, _SPARE)[1], _BOX_ERROR),
        ]
        hinge = _meeting(lines, axis, hinge)
    tilt = float(np.arctan2(np.cross(_UP, normal) @ axis, normal[2]))
    position = float(np.clip(tilt, 0.0, SWING))
    joint = Joint(kind="hinge", axis_world=axis, origin_world=hinge, position=position, upper=SWING)
    return joint, panel.handle_frame(-toward)


def _flat_hinge(panel: Panel, body: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Direction of the hinge of a flat lid: that side of the box which the bar lies along; of a knob, is next to."""
    angle = _box_angle(body, normals) if len(body) else _rectangle_angle(panel.face[:, :2])
    sides = [np.array([np.cos(a), np.sin(a), 0.0]) for a in (angle, angle + np.pi / 2)]
    one, two = ((panel.bar @ side).std() for side in sides)
    if max(one, two) > _LONG * min(one, two):
        return sides[0] if one > two else sides[1]
    reach = [np.array(ends(panel.face, sides[1 - i], side)) - panel.middle @ side for i, side in enumerate(sides)]
    return sides[1] if np.abs(reach[0]).min() < np.abs(reach[1]).min() else sides[0]


def _meeting(lines: list[Line], axis: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Where planes meet, weighted by their errors; on the level of `start` along the axis.

    The first two are the panel's; those of the body that contradict them are of a body that is partly hidden.
    """
    likely = [one for one in lines[2:] if abs(one[0] @ start - one[1]) < 2 * (one[2] + lines[1][2])]
    kept = lines[:2] + likely
    A = np.array([(normal - (normal @ axis) * axis) / error for normal, _, error in kept])
    b = np.array([(offset - normal @ start) / error for normal, offset, error in kept])
    return start + np.linalg.lstsq(A, b, rcond=1e-6)[0]


def _lies_behind(from_hinge: np.ndarray, front: np.ndarray, toward: np.ndarray) -> float:
    """Share of a body that lies behind its front and on the handle's side of the hinge."""
    return float(((from_hinge @ front < 2 * BOARD) & (from_hinge @ toward > -2 * BOARD)).mean())


def _box_angle(body: np.ndarray, normals: np.ndarray) -> float:
    """Direction of a side of a box seen from above, rad; quarter turns of it are as good."""
    sides = np.abs(normals[:, 2]) < 0.5
    if sides.sum() < _MIN_BODY:
        return _rectangle_angle(body[:, :2])
    four = np.exp(4j * np.arctan2(normals[sides, 1], normals[sides, 0]))
    angle = float(np.angle(four.sum()) / 4)
    # Normals near edges lean; the points of a wall tell its direction better, the more, the longer it is.
    total = 0j
    for quarter in (0.0, np.pi / 2):
        out = np.array([np.cos(angle + quarter), np.sin(angle + quarter), 0.0])
        wall = body[sides & (np.abs(normals @ out) > 0.85)]
        if len(wall) < _MIN_BODY:
            continue
        wall = wall[fit_plane(wall, _WALL)[1]][:, :2]
        spread, directions = np.linalg.eigh(np.cov(wall.T))
        found = complex(*directions[:, 0])  # along the wall's normal, one way or the other
        if abs(np.angle((found / np.exp(1j * (angle + quarter))) ** 2)) < 2 * _BEYOND:
            total += len(wall) * spread[1] * found**4
    return float(np.angle(total) / 4) if total else angle


def _rectangle_angle(xy: np.ndarray) -> float:
    """Direction of a side of the smallest rectangle about points, rad; one of its sides lies on their hull."""
    try:
        hull = xy[ConvexHull(xy).vertices]
    except QhullError:  # all on one line
        return float(np.arctan2(*np.linalg.eigh(np.cov(xy.T))[1][::-1, 1]))
    edges = np.roll(hull, -1, axis=0) - hull
    angles = np.arctan2(edges[:, 1], edges[:, 0])
    c, s = np.cos(angles), np.sin(angles)
    turned = np.einsum("eij,nj->eni", np.stack([c, s, -s, c], axis=-1).reshape(-1, 2, 2), hull)
    return float(angles[np.argmin(np.ptp(turned, axis=1).prod(axis=1))])
