"""From what was asked for in a scene to the object's path: key poses by `goals`, the way by `object_path` (Eq. 7)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from unihm.geometry.point_cloud import main_parts, voxel_indices
from unihm.planning.amounts import DISTANCES, SHARES, read_angle, read_distance
from unihm.planning.goals import goal_pose, task_path
from unihm.planning.pace import HUMAN, Pace
from unihm.schema.asked import Asked
from unihm.schema.plan import Plan
from unihm.schema.scene import ObjectCloud, PerceivedScene
from unihm.schema.task import DIRECTIONS

_ABOVE_TABLE = 0.012  # m; the table itself is no obstacle
_AWAY = 0.03  # m from the object's own points, within which what belongs to no thing may be the object's smear
_SMEAR = 0.01  # m, within which also what was taken for another thing may be
_COLUMN = 0.006  # m beside a point of the object, within which other points are over it
_CELL = 0.008  # m between points of the scene
_SLACK = 0.003  # m by which perceived and completed things swell


class Grounded:
    """The planner for scenes whose perception says what is asked for."""

    def __init__(self, pace: Pace = HUMAN):
        """Plan at a pace; the generator has learned from people's."""
        self.pace = pace

    def plan(self, perceived: PerceivedScene, instruction: str) -> Plan:
        """See `unihm.planning.base.Planner.plan`."""
        asked = perceived.asked
        if asked is None:
            raise ValueError("The planner 'grounded' needs a perception that reads the words; here 'verbs' reads them.")
        thing = perceived.target_object
        points = thing.completed_points_world
        centre = (points.min(axis=0) + points.max(axis=0)) / 2
        T_world_object = np.eye(4)
        T_world_object[:3, 3] = centre
        panel = None
        if asked.joint is not None:
            assert asked.T_world_handle is not None
            how_far = joint_amount(asked, instruction)
            handle, rest = task_path(
                asked.joint.task_for(asked.task),
                asked.T_world_handle,
                points,
                (asked.joint, how_far),
                np.zeros((0, 3)),
                self.pace,
            )
            path = handle @ np.linalg.inv(handle[0]) @ T_world_object
            if asked.panel_world is not None and len(asked.panel_world):
                outward = asked.T_world_handle[:3, 0]
                panel = np.append(outward, np.median((asked.panel_world - centre) @ outward))
        else:
            reference = None if asked.reference < 0 else _cloud(perceived.objects[asked.reference])
            turn = read_angle(instruction) or 0.0
            goal = goal_pose(
                asked.task,
                asked.relation,
                free_amount(asked, instruction),
                turn,
                T_world_object,
                points,
                reference,
                perceived.T_world_camera,
            )
            path, rest = task_path(
                asked.task, T_world_object, points, goal, obstacles(perceived), self.pace, slack=_SLACK
            )
        return Plan(
            instruction=instruction,
            task=asked.task,
            fps=self.pace.fps,
            T_world_object=path,
            object_points=points - centre,
            object_normals=thing.completed_normals_world,
            rest_frames=rest,
            panel_object=panel,
            T_world_camera=perceived.T_world_camera,
        )


def free_amount(asked: Asked, instruction: str) -> float | None:
    """m that the words ask for; the number itself is read from them, whether there is one says `asked`."""
    stated = read_distance(instruction)
    if isinstance(stated, float):
        return stated
    if asked.how_far in ("little", "far") and asked.relation in (*DIRECTIONS, ""):
        return getattr(DISTANCES[asked.task], asked.how_far)
    return None


def joint_amount(asked: Asked, instruction: str) -> float | None:
    """What `goals.task_path` takes for a joint: m from where a drawer is, or the end position of a hinge, rad."""
    joint = asked.joint
    assert joint is not None
    if joint.kind == "slide":
        stated = read_distance(instruction)
        if isinstance(stated, float):
            way = joint.upper - joint.position if asked.task == "pull" else joint.position
            return min(stated, way)
        if asked.how_far in SHARES and asked.task == "pull":
            return SHARES[asked.how_far] * joint.upper - joint.position
        return None
    angle = read_angle(instruction)
    if angle is not None:
        return min(abs(angle), joint.upper)
    return SHARES[asked.how_far] * joint.upper if asked.how_far in SHARES and asked.task == "open" else None


def obstacles(perceived: PerceivedScene) -> Float[np.ndarray, "m 3"]:
    """What the object must not hit: the other things, and all else that is seen above the table, m.

    A depth camera smears outlines: points in the air beside and behind the object are no things. So what belongs to no
    thing only counts where it is dense and well away from the object, and what hangs straight over the object does not.
    """
    own = np.concatenate([perceived.target_object.completed_points_world, perceived.target_object.points_world])
    tree = KDTree(own)
    others = [o for i, o in enumerate(perceived.objects) if i != perceived.target and len(o.points_world)]
    things = [o.points_world[main_parts(o.points_world)] for o in others]
    things = [points[voxel_indices(points, _CELL)] for points in things]
    beside = [points[np.asarray(tree.query(points)[0]) > _SMEAR] for points in things]
    seen = perceived.points_world[perceived.points_world[:, 2] > _ABOVE_TABLE]
    seen = seen[voxel_indices(seen, _CELL)]
    dense = np.array([len(n) for n in KDTree(seen).query_ball_point(seen, 2.5 * _CELL)]) >= 4
    apart = np.asarray(tree.query(seen)[0]) > _AWAY
    found = np.concatenate([seen[dense & apart], *beside])
    found = found[~_over(perceived.target_object.completed_points_world, found)]
    return np.concatenate([found, *(o.completed_points_world for o in others)])


def _over(own: Float[np.ndarray, "n 3"], points: Float[np.ndarray, "m 3"]) -> Bool[np.ndarray, " m"]:
    """Which points are straight over an object, or in it."""
    if not len(points):
        return np.zeros(0, dtype=bool)
    under = KDTree(own[:, :2]).query_ball_point(points[:, :2], _COLUMN)
    return np.array([bool(near) and own[near, 2].min() < z for near, z in zip(under, points[:, 2], strict=True)])


def _cloud(thing: ObjectCloud) -> np.ndarray:
    return thing.completed_points_world if len(thing.completed_points_world) else thing.points_world
