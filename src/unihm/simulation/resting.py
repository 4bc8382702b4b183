"""Where an object comes to rest, and a motion that meets it there.

Recorded poses of a resting object are off by millimetres and degrees: it hovers, tilts, or leans on an edge. Put into
the simulated world it settles, and a hand that goes where the record says meets it 1 to 25 mm from there (DexYCB, 51
recordings: a median of 2.5 mm and 2.7 degrees). Who plans a motion sees the object where it is; so a recorded one is
moved with the object before it is refined or executed.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import vector_to_pose
from unihm.schema.motion import HandMotion
from unihm.simulation import constants as c
from unihm.simulation.solid_object import SolidObject, add_object
from unihm.simulation.tasks.measuring import planned_path
from unihm.simulation.world import add_table, empty_world, same_contacts

_CHECKED = 25  # steps between looks at the speed


def resting_pose(
    object: SolidObject,
    T_world_object: Float[np.ndarray, "4 4"],
    *,
    table_height: float | None = None,
    friction: float = c.FRICTION,
) -> Float[np.ndarray, "4 4"]:
    """Pose in which an object comes to rest on the table, with nothing else there.

    Args:
        object: The object.
        T_world_object: Where it is put, m.
        table_height: m; by default the object's lowest point.
        friction: Sliding friction.

    Returns:
        Its pose once it has hardly moved for a quarter of a second, at the latest after `constants.REST_LONGEST`.
    """
    spec = empty_world()
    add_table(spec, T_world_object[:2, 3], object.lowest(T_world_object) if table_height is None else table_height)
    add_object(spec, object, T_world_object, friction=friction)
    same_contacts(spec, friction)
    model = spec.compile()
    data = mujoco.MjData(model)
    quiet = 0.0
    while quiet < c.REST_QUIET and data.time < c.REST_LONGEST:
        mujoco.mj_step(model, data, _CHECKED)
        speed, turn = np.linalg.norm(data.qvel[:3]), np.linalg.norm(data.qvel[3:])
        still = speed < c.REST_SPEED and turn < c.REST_TURN
        quiet = quiet + _CHECKED * c.TIMESTEP if still else 0.0
    return vector_to_pose(data.qpos[:7].copy())


def moved_to(motion: HandMotion, T_world_object: Float[np.ndarray, "4 4"]) -> HandMotion:
    """A motion whose object begins at another pose, and whose hand stays where it was beside the object.

    The object's path keeps its own directions: what was lifted straight up still is, however the object was turned.

    Args:
        motion: A motion with an object path.
        T_world_object: Where the object stands, m.

    Raises:
        ValueError: The motion has no object path.
    """
    path = planned_path(motion, T_world_object)
    if path is None or motion.T_world_object is None:
        raise ValueError("The motion has no object path that could begin elsewhere.")
    palm = path @ np.linalg.inv(motion.T_world_object) @ motion.T_world_palm
    return motion.replace(T_world_object=path, T_world_palm=palm)


def at_rest(motion: HandMotion, object: SolidObject) -> HandMotion:
    """A motion moved to where its object comes to rest.

    Args:
        motion: A motion with an object path.
        object: The object.

    Raises:
        ValueError: The motion has no object path.
    """
    if motion.T_world_object is None:
        raise ValueError("The motion has no object path that says where the object is put.")
    return moved_to(motion, resting_pose(object, motion.T_world_object[0]))
