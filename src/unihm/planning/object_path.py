"""The path T_tar of an object for each family of tasks: lift, carry, slide, and the swing and draw of a joint.

A free object follows chained cubic Bézier curves (`geometry.bezier`), what is fixed to a joint follows the joint; both
at the speeds of `pace`. All paths are T_world_object with the world z-up, in m, and begin with the rest of the pace.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from unihm.geometry.bezier import PoseCurves, chained
from unihm.planning.pace import GENH2R, SPEED, SPEEDS, TURN_SPEED, TURN_SPEEDS, Pace, progress, run
from unihm.planning.verbs import FPS, HOLD_FRAMES, REST_FRAMES

_KEY_SIGMA = 0.2  # m, of GenH2R's key point about the midpoint of a way
_MOST_TURN = np.pi / 2  # rad in one chord, so that what is drawn is what the shorter of two turns would be
_DRAWS = 1000
_ROTATION = 1e-3  # farther from orthonormal than this is no rotation that was merely rounded, as in geometry/pose.py
_LEVEL, _UPRIGHT = 1e-3, np.radians(1)  # m and rad by which the goal of a slide may miss the table's plane


def through(
    key_poses: Float[np.ndarray, "m 4 4"],
    *,
    speed: float = SPEED,
    turn_speed: float = TURN_SPEED,
    fps: float = FPS,
    rest_frames: int = REST_FRAMES,
    hold_frames: int = HOLD_FRAMES,
    tension: float = 0.0,
) -> Float[np.ndarray, "T 4 4"]:
    """A smooth path through key poses; position and rotation have continuous first derivatives.

    Two key poses give a straight way and a turn about one axis. The curve goes exactly through the inner key poses, but
    between two frames; where it stops, at the ends and where it turns back, a frame is the key pose.

    Args:
        key_poses: T_world_object, m >= 2, not all the same, m.
        speed: See `Pace`, as all that follow.
        turn_speed: rad/s.
        fps: Frames per second.
        rest_frames: At the start.
        hold_frames: At the end.
        tension: 0 for the round curve, toward 1 for one that follows the chords; less than 1.

    Returns:
        T_world_object, m; the first `rest_frames` frames are the first key pose.

    Raises:
        ValueError: Fewer than two different key poses, one that is no pose, or a speed that is not positive.
    """
    pace = Pace(speed=speed, turn_speed=turn_speed, fps=fps, rest_frames=rest_frames, hold_frames=hold_frames)
    if not 0 <= tension < 1:
        raise ValueError(f"tension is {tension}; expected at least 0 and less than 1.")
    if len(key_poses) < 2:
        raise ValueError(f"A path needs at least two key poses, got {len(key_poses)}.")
    chains = chained(_checked(key_poses), speed / turn_speed, tension)
    if not chains:
        raise ValueError(f"All {len(key_poses)} key poses are the same; nothing moves.")
    return run(chains, pace)


def lift(T_world_object: Float[np.ndarray, "4 4"], height: float, pace: Pace = GENH2R) -> Float[np.ndarray, "T 4 4"]:
    """Straight up.

    Args:
        T_world_object: Where the object stands, m; the world is z-up.
        height: m.
        pace: Speeds and rests.
    """
    if not 0 < height < np.inf:
        raise ValueError(f"The height of a lift is {height} m; expected a finite number above 0.")
    return through(np.stack([T_world_object, _shifted(T_world_object, [0.0, 0.0, height])]), **vars(pace))


def carry(
    T_world_object: Float[np.ndarray, "4 4"],
    T_world_goal: Float[np.ndarray, "4 4"],
    clearance_height: float,
    pace: Pace = GENH2R,
) -> Float[np.ndarray, "T 4 4"]:
    """Up, over and down: two Bézier curves whose inner control points are the corners above start and goal.

    It leaves and arrives vertically, turns in between, and stays between the lower of the two heights and its top.

    Args:
        T_world_object: Where the object stands, m; the world is z-up.
        T_world_goal: Where it shall stand.
        clearance_height: Of the top over the higher of the two, m.
        pace: Speeds and rests.
    """
    if not 0 < clearance_height < np.inf:
        raise ValueError(f"The clearance height is {clearance_height} m; expected a finite number above 0.")
    start, goal = _checked(np.stack([T_world_object, T_world_goal]))
    if np.linalg.norm(goal[:2, 3] - start[:2, 3]) < 1e-3:
        raise ValueError("The goal is right above or below the object or where it is; lift goes up, nothing goes over.")
    top = max(start[2, 3], goal[2, 3]) + clearance_height
    up, down = np.array([0.0, 0.0, top - start[2, 3]]), np.array([0.0, 0.0, goal[2, 3] - top])
    over, still = (goal[:3, 3] - start[:3, 3] - up - down) / 2, np.zeros(3)
    # About one axis: by 0, 1/4 and 1/4 of the angle in the steps of the first curve, mirrored in those of the second.
    w = Rotation.from_matrix(start[:3, :3].T @ goal[:3, :3]).as_rotvec() / 4
    halfway = start[:3, :3] @ Rotation.from_rotvec(2 * w).as_matrix()
    curves = PoseCurves(
        position=np.stack([start[:3, 3], start[:3, 3] + up + over]),
        rotation=np.stack([start[:3, :3], halfway]),
        v=np.array([[up, over], [still, still], [over, down]]),
        w=np.array([[still, w], [w, w], [w, still]]),
    )
    return run([curves], pace)


def slide(
    T_world_object: Float[np.ndarray, "4 4"], T_world_goal: Float[np.ndarray, "4 4"], pace: Pace = GENH2R
) -> Float[np.ndarray, "T 4 4"]:
    """Straight along the table: height and tilt stay exactly, only x, y and yaw change.

    Args:
        T_world_object: Where the object stands, m; the world is z-up.
        T_world_goal: As high as the object, within 1 mm, and turned from it about the vertical, within 1 degree.
        pace: Speeds and rests.
    """
    start, goal = _checked(np.stack([T_world_object, T_world_goal]))
    rise = goal[2, 3] - start[2, 3]
    x, y, z, w = Rotation.from_matrix(goal[:3, :3] @ start[:3, :3].T).as_quat()
    tilt = 2 * np.arcsin(min(np.hypot(x, y), 1.0))
    if abs(rise) > _LEVEL or tilt > _UPRIGHT:
        raise ValueError(
            f"The goal of a slide is {1000 * rise:.1f} mm higher and tilted by {np.degrees(tilt):.1f} degrees; "
            "expected the same plane, within 1 mm and 1 degree."
        )
    goal[2, 3] = start[2, 3]
    goal[:3, :3] = Rotation.from_quat([0.0, 0.0, z, w]).as_matrix() @ start[:3, :3]
    return through(np.stack([start, goal]), **vars(pace))


def swing(
    T_world_object: Float[np.ndarray, "4 4"],
    joint_axis_origin_world: Float[np.ndarray, " 3"],
    joint_axis_world: Float[np.ndarray, " 3"],
    angle: float,
    pace: Pace = GENH2R,
) -> Float[np.ndarray, "T 4 4"]:
    """What is fixed to a hinge, the handle of a door or of a lid, turns about its axis.

    Args:
        T_world_object: Where it is, m.
        joint_axis_origin_world: A point that the axis passes through, m.
        joint_axis_world: Direction of the axis, of any length.
        angle: About the axis by the right hand, rad; any but 0, also beyond half a turn.
        pace: Speeds and rests; the speed is that of the object's origin.
    """
    start = _checked(T_world_object[None])[0]
    axis = _unit(joint_axis_world)
    if not np.isfinite(joint_axis_origin_world).all():
        raise ValueError(f"The joint's axis passes through {joint_axis_origin_world.tolist()}; expected a point.")
    _check_way(angle, "angle of a swing", "rad")
    arm = start[:3, 3] - joint_axis_origin_world
    radius = np.linalg.norm(np.cross(axis, arm))
    seconds = abs(angle) * np.hypot(radius / pace.speed, 1 / pace.turn_speed)
    turns = Rotation.from_rotvec(angle * progress([float(seconds)], pace)[:, None] * axis).as_matrix()
    path = np.tile(np.eye(4), (len(turns), 1, 1))
    path[:, :3, :3] = turns @ start[:3, :3]
    path[:, :3, 3] = joint_axis_origin_world + turns @ arm
    return path


def draw(
    T_world_object: Float[np.ndarray, "4 4"],
    axis_world: Float[np.ndarray, " 3"],
    distance: float,
    pace: Pace = GENH2R,
) -> Float[np.ndarray, "T 4 4"]:
    """What is fixed to a runner, the handle of a drawer, goes straight along its axis.

    Args:
        T_world_object: Where it is, m.
        axis_world: Direction of the joint, of any length.
        distance: Along the axis, m; negative is against it, 0 is refused.
        pace: Speeds and rests.
    """
    axis = _unit(axis_world)
    _check_way(distance, "distance of a draw", "m")
    return through(np.stack([T_world_object, _shifted(T_world_object, distance * axis)]), **vars(pace))


def drawn_path(
    rng: np.random.Generator,
    T_world_object: Float[np.ndarray, "4 4"],
    low: Float[np.ndarray, " 3"],
    high: Float[np.ndarray, " 3"],
    *,
    legs: int = 2,
    fps: float = FPS,
    rest_frames: int = REST_FRAMES,
    hold_frames: int = HOLD_FRAMES,
) -> Float[np.ndarray, "T 4 4"]:
    """A random path of a free object as GenH2R has them, at speeds drawn from its ranges.

    Each leg ends anywhere in the box, uniformly; its key point scatters about its midpoint; over the leg the object
    turns about a random axis as far as the two speeds give for its chords, at most by a right angle per chord.

    Args:
        rng: Source of all that is random; the same state gives the same path.
        T_world_object: Where the object stands, m.
        low: Lowest corner of the box that the object's origin stays in, m.
        high: Its highest corner, m.
        legs: Number of legs, at least 1.
        fps: Frames per second.
        rest_frames: At the start.
        hold_frames: At the end.

    Raises:
        ValueError: The box is empty, the object starts outside of it, or none of 1000 drawn paths stays inside.
    """
    start = T_world_object[:3, 3]
    if legs < 1 or not (low < high).all() or not ((low <= start) & (start <= high)).all():
        raise ValueError(
            f"Expected at least one leg and a start inside of the box, got {legs} and {start.tolist()} in "
            f"{low.tolist()} to {high.tolist()}."
        )
    for _ in range(_DRAWS):
        speed, turn_speed = rng.uniform(*SPEEDS), rng.uniform(*TURN_SPEEDS)
        keys = [T_world_object]
        for _ in range(legs):
            end = rng.uniform(low, high)
            middle = (keys[-1][:3, 3] + end) / 2
            # A normal distribution cut off at the box.
            inside = rng.uniform(ndtr((low - middle) / _KEY_SIGMA), ndtr((high - middle) / _KEY_SIGMA))
            axis = _unit(rng.normal(size=3))
            for point in (middle + _KEY_SIGMA * ndtri(inside), end):
                chord = np.linalg.norm(point - keys[-1][:3, 3])
                turn = Rotation.from_rotvec(min(turn_speed * chord / speed, _MOST_TURN) * axis).as_matrix()
                key = keys[-1].copy()
                key[:3, :3], key[:3, 3] = turn @ key[:3, :3], point
                keys.append(key)
        path = through(
            np.stack(keys),
            speed=speed,
            turn_speed=turn_speed,
            fps=fps,
            rest_frames=rest_frames,
            hold_frames=hold_frames,
        )
        if ((low <= path[:, :3, 3]) & (path[:, :3, 3] <= high)).all():
            return path
    raise ValueError(
        f"None of {_DRAWS} drawn paths stays in the box {low.tolist()} to {high.tolist()}; make it larger."
    )


def _checked(T: np.ndarray) -> Float[np.ndarray, "m 4 4"]:
    """The poses in double precision, their rotations freed of rounding."""
    T = T.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(T).all(axis=(1, 2)))
    if len(bad):
        raise ValueError(f"Pose {bad[0]} holds NaN or infinity.")
    R = T[:, :3, :3]
    error = np.abs(R @ R.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
    bad = np.flatnonzero((error > _ROTATION) | (np.linalg.det(R) < 0))
    if len(bad):
        raise ValueError(
            f"Pose {bad[0]} holds no rotation: R R^T is {error[bad[0]]:.2g} from the identity, or det R is negative."
        )
    T[:, :3, :3] = Rotation.from_matrix(R).as_matrix()
    return T


def _shifted(T: np.ndarray, by: np.ndarray | list[float]) -> np.ndarray:
    shifted = T.astype(np.float64)
    shifted[:3, 3] += by
    return shifted


def _unit(axis: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(axis)
    if not 0 < length < np.inf:
        raise ValueError(f"The axis {axis.tolist()} has no direction; expected a finite vector other than 0.")
    return axis / length


def _check_way(way: float, name: str, unit: str) -> None:
    if way == 0 or not np.isfinite(way):
        raise ValueError(f"The {name} is {way} {unit}; expected a finite number other than 0.")
