"""Pick and place: the object ends where the path ends, at rest, with the hand away from it (FACTS 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.hands.description import HandDescription, describe_hand
from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.records import Rollout
from unihm.simulation.tasks import clearance, measuring
from unihm.simulation.tasks.measuring import EPSILON
from unihm.simulation.tasks.outcome import Outcome
from unihm.simulation.tasks.setting import Setting

DISTANCES = {"full": constants.PLACE_DISTANCE, "strict": constants.PLACE_DISTANCE_STRICT}
"""Criterion -> largest distance from the goal, m."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Judges one attempt to put the object where it belongs.

    All is judged when the rollout ends, except drops: whenever nothing touches the object, neither hand nor table, it
    must not fall by more than 5 cm. Whether it was lifted on the way is measured and not asked for.
    """

    hand: HandDescription
    """Whose body must be clear of the object."""
    surface: Float[np.ndarray, "n 3"]
    """Points of the object's surface in its own frame, m."""
    centre: Float[np.ndarray, " 3"]
    """Centre of mass in the object's frame, m."""
    T_world_goal: Float[np.ndarray, "4 4"]
    """Where the object shall end."""
    motion_seconds: float
    """When the hand's path ends, s; it then stays."""
    distance: float = constants.PLACE_DISTANCE
    """Largest distance from the goal, m."""

    name = "place"

    @classmethod
    def of_motion(cls, motion: HandMotion, setting: Setting) -> Place:
        """See `Task.of_motion`; criterion: full (30 mm), or strict (15 mm). The goal is where the object path ends."""
        if setting.criterion not in DISTANCES:
            raise unknown_name("Criterion", setting.criterion, DISTANCES)
        object, path = setting.object, measuring.planned_path(motion, setting.T_world_object)
        if object is None or path is None:
            raise ValueError("To place needs an object, and a motion with an object path that says where it shall end.")
        return cls(
            hand=describe_hand(motion.hand) if setting.hand is None else setting.hand,
            surface=clearance.surface_samples(object.vertices, object.faces),
            centre=object.centre_of_mass,
            T_world_goal=path[-1],
            motion_seconds=(len(motion) - 1) / motion.fps,
            distance=DISTANCES[setting.criterion],
        )

    @property
    def seconds(self) -> float:
        """Length of the rollout, s: the path, time to come to rest, and the rest."""
        return self.motion_seconds + constants.SETTLE + constants.PLACE_REST

    def disturbance(self, t: float) -> Float[np.ndarray, " 3"] | None:
        """Nothing pushes."""
        return None

    def judge(self, rollout: Rollout) -> Outcome:
        """See `Task.judge`."""
        measures = measuring.common(rollout)
        if reason := measuring.spoiled(rollout):
            return Outcome.failed(reason, measures, 0.0)
        T = measuring.objects_path(rollout)
        centre = measuring.place_of(T, self.centre)
        goal = measuring.place_of(self.T_world_goal[None], self.centre)[0]
        distance = np.linalg.norm(centre - goal, axis=1)
        turned = measuring.angle(T[:, :3, :3], self.T_world_goal[:3, :3])
        near = (distance <= self.distance + EPSILON) & (turned <= constants.PLACE_ANGLE + EPSILON)
        last = self.surface @ T[-1, :3, :3].T + T[-1, :3, 3]
        clear = clearance.hand_distance(self.hand, rollout.T_world_palm[-1], rollout.qpos[-1], last)
        rest = self._rest(rollout.times, T, centre)
        fall = self._fall(rollout, centre[:, 2])
        measures |= {
            "distance_mm": 1e3 * float(distance[-1]),
            "angle_deg": float(turned[-1]),
            "rest_s": rest,
            "clear_mm": 1e3 * clear,
            "fall_mm": 1e3 * fall,
            "height_mm": 1e3 * float((centre[:, 2] - centre[0, 2]).max()),
        }
        stages = [
            float(rollout.touching.any()),
            1 - min(float(distance[-1]) / max(float(distance[0]), self.distance), 1.0),
            float(near[-1]),
            float(near[-1]) * min(rest / constants.PLACE_REST, 1.0),
            float(near[-1]) * min(max(clear, 0.0) / constants.PLACE_CLEAR, 1.0),
        ]
        progress = float(np.dot([0.1, 0.4, 0.2, 0.1, 0.2], stages))
        margin = 1 - max(float(distance[-1]) / self.distance, float(turned[-1]) / constants.PLACE_ANGLE)
        reason = self._reason(rollout, near, centre, measures)
        if reason:
            return Outcome.failed(reason, measures, progress, margin)
        return Outcome(success=True, reason="", measures=measures, progress=1.0, margin=margin)

    @staticmethod
    def _rest(times: np.ndarray, T: np.ndarray, centre: np.ndarray) -> float:
        """How long the object has stayed where it is at the end, s."""
        still = np.linalg.norm(centre - centre[-1], axis=1) <= constants.REST + EPSILON
        still &= measuring.angle(T[:, :3, :3], T[-1, :3, :3]) <= constants.REST_ANGLE + EPSILON
        return measuring.lasting(times, still)

    @staticmethod
    def _fall(rollout: Rollout, height: np.ndarray) -> float:
        """The deepest fall with neither hand nor table touching, m; the record in which it lands belongs to it."""
        free = ~rollout.touching.any(axis=1) & ~rollout.on_table
        falls = [height[a] - height[a : b + 2].min() for a, b in measuring.spans(free)]
        return max((float(fall) for fall in falls), default=0.0)

    def _reason(self, rollout: Rollout, near: np.ndarray, centre: np.ndarray, measures: dict[str, float]) -> str:
        touched = np.flatnonzero(rollout.touching.any(axis=1))
        if len(touched) == 0:
            return "missed"
        if measures["fall_mm"] > 1e3 * (constants.PLACE_DROP + EPSILON):
            return "slipped"
        clear = measures["clear_mm"] >= 1e3 * (constants.PLACE_CLEAR - EPSILON)
        if not near[-1]:
            if not rollout.opposing.any():
                moved = np.linalg.norm(centre - centre[0], axis=1).max()
                return "knocked" if moved > constants.KNOCKED else "missed"
            if not clear and rollout.opposing[-1]:
                return "timed out"  # still in the hand
            # Lost on the way, or pushed off again after it had been put down well.
            return "knocked" if near.any() and near[np.flatnonzero(rollout.opposing)[-1]] else "slipped"
        if not clear or measures["rest_s"] < constants.PLACE_REST - EPSILON:
            return "timed out"
        return ""
