"""Verbs to paths: lift, move and push, along a minimum-jerk profile, after a rest in which the hand approaches."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from unihm.planning.amounts import CLEARANCE, DISTANCES, LONGEST
from unihm.planning.wording import Wording, direction_vector, read
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene

FPS = 30.0
# Medians over the 342 right-hand DexYCB recordings of the release training half: the object has moved by 1 cm 25 frames
# after the hand appears, has covered 95 % of its way 22 frames later, and the hand is seen for 63 frames in all.
REST_FRAMES = 22
MOVE_FRAMES = 32
HOLD_FRAMES = 10
_LONG_WAY, _MAX_MOVE_FRAMES = (
    0.3,
    44,
)  # m in MOVE_FRAMES; longer ways take proportionally longer, up to 76 frames in all

_TASKS = {"lift": "grab", "move": "place", "push": "push"}  # names of this planner -> of `schema.task`


class Verbs:
    """The planner that knows three verbs and their synonyms; see `wording` for what is understood."""

    def plan(self, perceived: PerceivedScene, instruction: str) -> Plan:
        """See `unihm.planning.base.Planner.plan`."""
        wording = read(instruction)
        T_world_camera = perceived.T_world_camera
        displacement, clearance = _displacement(wording, T_world_camera)
        thing = perceived.target_object
        points = thing.completed_points_world
        centre = (points.min(axis=0) + points.max(axis=0)) / 2
        path = object_path(displacement, clearance)
        T_world_object = np.tile(np.eye(4), (len(path), 1, 1))
        T_world_object[:, :3, 3] = centre + path
        return Plan(
            instruction=instruction,
            task=_TASKS[wording.task],
            fps=FPS,
            T_world_object=T_world_object,
            object_points=points - centre,
            object_normals=thing.completed_normals_world,
            rest_frames=REST_FRAMES,
            T_world_camera=T_world_camera,
        )


def minimum_jerk(tau: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Position 0 to 1 over time 0 to 1 with the least integral of squared jerk: 10 tau^3 - 15 tau^4 + 6 tau^5."""
    return tau**3 * (10 - 15 * tau + 6 * tau**2)


def object_path(displacement: Float[np.ndarray, " 3"], clearance: float) -> Float[np.ndarray, "K 3"]:
    """Displacement of the object over time, m: rest, a minimum-jerk way, hold.

    Args:
        displacement: Where the object ends, relative to where it starts, m.
        clearance: Height of an arc over the way, m; it starts and ends without speed and acceleration.
    """
    length = float(np.linalg.norm(displacement))
    moving = int(np.clip(round(MOVE_FRAMES * length / _LONG_WAY), MOVE_FRAMES, _MAX_MOVE_FRAMES))
    frames = np.arange(REST_FRAMES + moving + HOLD_FRAMES)
    tau = np.clip((frames - (REST_FRAMES - 1)) / moving, 0.0, 1.0)  # frame REST_FRAMES is the first that moves
    path = minimum_jerk(tau)[:, None] * displacement
    path[:, 2] += clearance * 64 * (tau * (1 - tau)) ** 3
    return path


def _displacement(wording: Wording, T_world_camera: np.ndarray) -> tuple[np.ndarray, float]:
    total, clearance = np.zeros(3), CLEARANCE if wording.task == "move" else 0.0
    task = wording.task
    known = DISTANCES[_TASKS[task]]
    default = known.little if wording.nudges else known.default
    far = {None: default, "little": known.little, "far": known.far}
    vertical = False
    for directions, distance in wording.steps:
        metres = distance if isinstance(distance, float) else far[distance]
        if "up" in directions and task == "push":
            raise ValueError("A push goes along the table, not up; ask to lift instead.")
        if task == "move" and directions in ((), ("up",)):
            # "Lift it 15 cm and move it left": the height of the arc.
            clearance = metres if distance is not None else clearance
            continue
        ways = directions or (_DEFAULT_WAY[task] if not wording.pulls else ("toward",))
        vertical = vertical or "up" in ways
        unit = np.sum([direction_vector(way, T_world_camera) for way in ways], axis=0)
        total += metres * unit / np.linalg.norm(unit)
    if task == "move" and not total.any():
        raise ValueError("Where to? Say a direction (left, right, away, toward me) and, if it matters, a distance.")
    if task == "push" and not total.any():
        total = default * direction_vector("toward" if wording.pulls else "away", T_world_camera)
    if task == "lift" and not vertical:
        total[2] += default  # "grab it and ... 10 cm left" still takes the object off the table
    if np.linalg.norm(total) > LONGEST * 1.5:
        raise ValueError(f"The whole way is {100 * np.linalg.norm(total):.0f} cm long; at most {150 * LONGEST:g} cm.")
    return total, clearance


_DEFAULT_WAY = {"lift": ("up",), "push": ("away",)}
