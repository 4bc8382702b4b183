"""Where an object shall go: from a relation, a distance and clouds to the goal's pose, and the path that leads there.

One rule serves true and perceived geometry: clouds alone decide. What a cloud measures is read between its 1st and 99th
percentile along a direction, so that stray points do not count and noise of a few mm moves a goal by a few mm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from unihm.planning.amounts import CLEARANCE, DISTANCES, LONGEST, OPENED, PULLED
from unihm.planning.object_path import carry, draw, lift, slide, swing, through
from unihm.planning.opening import opening
from unihm.planning.pace import GENH2R, Pace
from unihm.planning.path_clearance import MARGIN, clearance, raised
from unihm.planning.wording import direction_vector
from unihm.registry import unknown_name
from unihm.schema.joint import Joint
from unihm.schema.task import DIRECTIONS, GOES, TASKS

RELATIONS: Mapping[str, str] = {
    "": "the task says it all: up for grab, away for push, toward for pull; place only turns",
    "up": "upward",
    "left": "to the left as the camera sees it",
    "right": "to the right as the camera sees it",
    "away": "along the table away from the camera",
    "toward": "along the table toward the camera",
    "left of": "on the table, left of the reference",
    "right of": "on the table, right of the reference",
    "behind": "on the table, on the far side of the reference",
    "in front of": "on the table, on the near side of the reference",
    "next to": "left or right of the reference, whichever side the object is on already",
    "on": "on top of the reference",
    "in": "in the opening of the reference",
}
"""Relation -> what it means."""

GAP = 0.05  # m free between two footprints where nothing is said
_SIDES = {"left of": "left", "right of": "right", "behind": "away", "in front of": "toward"}
_IMPLIED = {"grab": "up", "push": "away", "pull": "toward"}
_REACH = 1.5 * LONGEST  # m, as for the planner of verbs
_PERCENTILES = (1.0, 99.0)
_UNDER = 10  # points of a reference below an object that say how high it stands there
_LOW, _WALL, _FREE = 0.15, 0.6, 0.005  # see `_into`; m between an object and the wall around it
_IN_PLACE, _TURN_HEIGHT = 0.005, 0.05  # m: what goes less far is only turned, so high above where it stands
_LEAST_DRAW, _LEAST_SWING = 0.02, np.radians(5)  # m and rad; less than that is not worth a hand
_STEPS, _SIDES_TRIED = (0.01, 0.02), 8  # m beside a goal, in so many directions, where clouds say that it is occupied
_GOALS = 4  # of these that a way is looked for to
_STEEP = (0.15, 0.3)  # m straight up and down again where no flatter way is free
_NEAR, _LIFT = 0.005, 0.012  # m: nearer than that is touching; by so much a goal is lifted off what carries it


def goal_pose(
    task: str,
    relation: str,
    amount: float | None,
    turn: float,
    T_world_object: Float[np.ndarray, "4 4"],
    points_world: Float[np.ndarray, "n 3"],
    reference_points_world: Float[np.ndarray, "m 3"] | None,
    T_world_camera: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "4 4"]:
    """The pose that a free object shall reach.

    Args:
        task: One of `schema.task.TASKS` but open and close; it decides the usual distance.
        relation: One of `RELATIONS`.
        amount: m along a direction, or m free beside the reference; None for the usual.
        turn: About the vertical through the object's centre, counter-clockwise from above, rad.
        T_world_object: Where it is; the world is z-up with the table at z = 0, m.
        points_world: Its points there, m.
        reference_points_world: Those of the other thing, m; None without.
        T_world_camera: Pose of the camera, which says what is left and what is away.

    Raises:
        ValueError: The words do not go together, the goal is out of reach, or the object does not fit in.
    """
    if task not in GOES:
        raise ValueError(f"Task '{task}' has no goal pose; expected one of {', '.join(GOES)}.")
    if relation not in RELATIONS:
        raise unknown_name("Relation", relation, RELATIONS)
    if amount is not None and not 0 < amount <= LONGEST:
        raise ValueError(f"The distance is {amount} m; expected more than 0 and at most {LONGEST:g} m.")
    relation = relation or _IMPLIED.get(task, "")
    if relation not in GOES[task]:
        raise ValueError(f"Task '{task}' does not go '{relation}'; expected one of {', '.join(GOES[task])}.")
    centre = _centre(points_world)
    T_turn = _turned_about(centre, turn)
    points = _moved(T_turn, points_world)
    if not relation:
        if turn == 0:
            raise ValueError("Where to? A place or a turn is missing.")
        shift = np.zeros(3)
    elif relation in DIRECTIONS:
        metres = DISTANCES[task].default if amount is None else amount
        shift = metres * direction_vector(relation, T_world_camera)
    elif reference_points_world is None or not len(reference_points_world):
        raise ValueError(f"'{relation}' needs another thing to refer to.")
    elif relation in ("on", "in"):
        if amount is not None:
            raise ValueError(f"'{relation}' takes no distance, got {amount} m.")
        shift = (_onto if relation == "on" else _into)(points, reference_points_world)
    else:
        side = _SIDES.get(relation)
        if side is None:
            right = direction_vector("right", T_world_camera)
            side = "right" if (centre - _centre(reference_points_world)) @ right > 0 else "left"
        gap = GAP if amount is None else amount
        shift = _beside(points, reference_points_world, direction_vector(side, T_world_camera), gap)
    if np.linalg.norm(shift) > _REACH:
        raise ValueError(f"The goal is {100 * np.linalg.norm(shift):.0f} cm away; at most {100 * _REACH:g} cm.")
    goal = T_turn @ T_world_object
    goal[:3, 3] += shift
    return goal


def task_path(
    task: str,
    T_world_object: Float[np.ndarray, "4 4"],
    points_world: Float[np.ndarray, "n 3"],
    goal: Float[np.ndarray, "4 4"] | tuple[Joint, float | None],
    scene_points_world: Float[np.ndarray, "m 3"],
    pace: Pace = GENH2R,
    slack: float = 0.0,
) -> tuple[Float[np.ndarray, "K 4 4"], int]:
    """The path that fulfils a task, at a distance from the scene.

    Args:
        task: One of `schema.task.TASKS`.
        T_world_object: Where the object is, or the handle of a moving part, m.
        points_world: Its points there, m.
        goal: Pose of a free object; or the joint of a moving part and how far: for pull m from where it is, for open
            the joint's position in the end, rad; None for the usual (`amounts.PULLED`, `amounts.OPENED`, or what is
            left). Push and close shut it, and where m are given, push pushes only so far.
        scene_points_world: Points of all other things, without the table and without what a moving part hangs on, m.
        pace: Speeds and rests.
        slack: By how much clouds may be nearer to each other than the things are, m: 0 of true ones.

    Returns:
        T_world_object at `pace.fps`, m, and the frames at the start in which it rests.

    Raises:
        ValueError: Nothing would move, the joint cannot do it, the goal is occupied or the way blocked.
    """
    if task not in TASKS:
        raise unknown_name("Task", task, TASKS)
    points = (points_world - T_world_object[:3, 3]) @ T_world_object[:3, :3]
    if isinstance(goal, tuple):
        path = _along_joint(task, T_world_object, *goal, pace)
    elif task == "place":
        return _placed(T_world_object, points, goal, scene_points_world, pace, slack), pace.rest_frames
    elif task == "grab":
        path = lift(T_world_object, float(goal[2, 3] - T_world_object[2, 3]), pace)
    elif task in ("push", "pull"):
        path = slide(T_world_object, goal, pace)
    else:
        raise ValueError(f"Task '{task}' moves a door or a lid about its hinge; this object is free.")
    distance = clearance(path, points, scene_points_world, 2 * _NEAR)
    # What stands closer than that to something may still go away from it, as far as its cloud can tell.
    nearer = distance[0] - slack if slack else 0.9 * distance[0]
    blocked = np.flatnonzero(distance < min(_NEAR - slack, nearer))
    if len(blocked):
        raise ValueError(
            f"The way is blocked: {1000 * distance[blocked[0]]:.1f} mm from another thing at frame {blocked[0]}."
        )
    return path, pace.rest_frames


def _placed(
    start: np.ndarray, points: np.ndarray, goal: np.ndarray, scene: np.ndarray, pace: Pace, slack: float
) -> np.ndarray:
    """To the goal; where clouds are not exact, to the freest goals a little beside it before it is given up."""
    goals = goal + _beside_it(slack)
    lifted = _shifted(goals, np.array([0.0, 0.0, _LIFT]))
    near = clearance(lifted, points, scene, 2 * _NEAR)
    by_room = np.argsort(-np.minimum(near, 2 * _NEAR), kind="stable")
    # In a body that is larger than the object clouds may be far apart, but a top or a side of it is in the object then.
    free = (
        k
        for k in sorted(by_room, key=bool)  # the goal itself first
        if near[k] >= _NEAR - slack and (k == 0 or not _within(points, lifted[k], scene, slack))
    )
    reason = ValueError(f"The goal is occupied: the object would be {1000 * near[0]:.1f} mm from another thing.")
    for k in islice(free, _GOALS):
        for way in _ways(start, goals[k], pace, steep=slack > 0):
            try:
                # What is carried and turned passes by with its far side, too, which is a guess.
                return raised(way, points, scene, margin=MARGIN, slack=2 * slack, speed=pace.speed, fps=pace.fps)
            except ValueError as error:
                reason = error
    raise reason


def _within(points: np.ndarray, T: np.ndarray, scene: np.ndarray, slack: float) -> bool:
    """Whether some of the scene is deeper than the slack in the object's convex hull."""
    hull = ConvexHull(points).equations
    local = (scene - T[:3, 3]) @ T[:3, :3]
    return bool(((local @ hull[:, :3].T + hull[:, 3]).max(axis=1) < -slack).any())


def _beside_it(slack: float) -> Float[np.ndarray, "G 4 4"]:
    """What is added to a goal's pose: nothing, and where clouds are not exact, steps around it."""
    if slack == 0:
        return np.zeros((1, 4, 4))
    around = np.arange(_SIDES_TRIED) * 2 * np.pi / _SIDES_TRIED
    steps = np.concatenate([step * np.column_stack([np.cos(around), np.sin(around)]) for step in _STEPS])
    added = np.zeros((1 + len(steps), 4, 4))
    added[1:, :2, 3] = steps
    return added


def _ways(start: np.ndarray, goal: np.ndarray, pace: Pace, steep: bool) -> Iterator[np.ndarray]:
    """Paths to a goal, the best first; steep ones go straight up and down."""
    far = np.linalg.norm(goal[:3, 3] - start[:3, 3]) > _IN_PLACE
    if far:
        yield carry(start, goal, CLEARANCE, pace)
    for height in (*(() if far else (_TURN_HEIGHT,)), *(_STEEP if steep else ())):
        up = np.array([0.0, 0.0, height])
        yield through(np.stack([start, _shifted(start, up), _shifted(goal, up), goal]), **vars(pace))


def _along_joint(task: str, T_world_handle: np.ndarray, joint: Joint, amount: float | None, pace: Pace) -> np.ndarray:
    if amount is not None and not 0 < amount < np.inf:
        raise ValueError(f"A joint shall move by {amount}; expected a finite number above 0.")
    if {"pull": "slide", "push": "slide", "open": "hinge", "close": "hinge"}.get(task) != joint.kind:
        fitting = "pull or push" if joint.kind == "slide" else "open or close"
        raise ValueError(f"Task '{task}' does not move a part on a {joint.kind}; expected {fitting}.")
    left = joint.upper - joint.position
    if task == "pull":
        way, least = min(PULLED, left) if amount is None else amount, _LEAST_DRAW
    elif task == "push":
        way, least = -(joint.position if amount is None else amount), _LEAST_DRAW
    else:
        end = 0.0 if task == "close" else min(OPENED, joint.upper) if amount is None else amount
        way, least = end - joint.position, _LEAST_SWING
    opens = task in ("pull", "open")
    slack = 1e-6  # of a position that was rounded
    if abs(way) < least or opens != (way > 0) or not -joint.position - slack <= way <= left + slack:
        raise ValueError(
            f"Nothing to {task}: the joint is at {joint.position:.3g} of {joint.upper:.3g} and would move by "
            f"{way:.3g}; expected at least {least:.2g} within its range."
        )
    if joint.kind == "slide":
        return draw(T_world_handle, joint.axis_world, way, pace)
    return swing(T_world_handle, joint.origin_world, joint.axis_world, way, pace)


def _beside(points: np.ndarray, reference: np.ndarray, side: np.ndarray, gap: float) -> np.ndarray:
    """Free of the reference by the gap on that side, level with its middle, the lowest point on the table."""
    across = np.array([-side[1], side[0], 0.0])
    shift = (_extent(reference, side)[1] + gap - _extent(points, side)[0]) * side
    shift += (np.mean(_extent(reference, across)) - np.mean(_extent(points, across))) * across
    shift[2] = -_extent(points, _UP)[0]
    return shift


def _onto(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Centred, the lowest point on the highest of what lies below: of a plate that is its middle, not its rim."""
    centre = _centre(reference)
    below = np.linalg.norm(reference[:, :2] - centre[:2], axis=1) <= _radius(points)
    carries = reference[below] if np.count_nonzero(below) >= _UNDER else reference
    return np.append((centre - _centre(points))[:2], _extent(carries, _UP)[1] - _extent(points, _UP)[0])


def _into(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Over the middle of the opening, the lowest point at a share of the vessel's height.

    The share is 0.15, because the floor is thick and seldom seen, and more for a wide object, because the wall of a
    bowl rises with the square of the distance from its middle: 0.15 + 0.6 (r / R)^2, below the rim in any case.
    """
    centre, radius = opening(reference)
    wide = _radius(points)
    if wide > radius - _FREE:
        raise ValueError(
            f"The object is {200 * wide:.0f} cm wide and does not fit into an opening of {200 * radius:.0f} cm."
        )
    low, high = _extent(reference, _UP)
    lowest = low + (high - low) * (_LOW + _WALL * (wide / radius) ** 2)
    return np.append(centre - _centre(points)[:2], lowest - _extent(points, _UP)[0])


_UP = np.array([0.0, 0.0, 1.0])


def _extent(points: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Where a cloud begins and ends along a direction, m, without stray points."""
    if not len(points):
        raise ValueError("A goal needs points of the object; there are none.")
    return np.percentile(points @ direction, _PERCENTILES)


def _centre(points: np.ndarray) -> np.ndarray:
    return np.array([np.mean(_extent(points, axis)) for axis in np.eye(3)])


def _radius(points: np.ndarray) -> float:
    """Of the footprint about its centre, m."""
    return float(np.percentile(np.linalg.norm(points[:, :2] - _centre(points)[:2], axis=1), _PERCENTILES[1]))


def _turned_about(centre: np.ndarray, turn: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_rotvec(turn * _UP).as_matrix()
    T[:3, 3] = centre - T[:3, :3] @ centre
    return T


def _moved(T: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ T[:3, :3].T + T[:3, 3]


def _shifted(T: np.ndarray, by: np.ndarray) -> np.ndarray:
    shifted = T.copy()
    shifted[..., :3, 3] += by
    return shifted
