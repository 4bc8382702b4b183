"""Planar pull and push: the object moves over the table along a commanded direction, upright (FACTS 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.records import Rollout
from unihm.simulation.tasks import measuring
from unihm.simulation.tasks.measuring import EPSILON
from unihm.simulation.tasks.outcome import Outcome
from unihm.simulation.tasks.setting import Setting


@dataclass(frozen=True, kw_only=True, eq=False)
class Slide:
    """Judges one planar pull or push: the same for both, for the commanded direction tells them apart.

    Way, lateral deviation and yaw are those between the beginning and the end of the rollout; toppled is what was ever
    tilted by more than 45 degrees.
    """

    direction: Float[np.ndarray, " 2"]
    """Commanded direction over the table, of unit length."""
    distance: float
    """Commanded way, m; measured against, not asked for: the criterion asks for 8 cm."""
    centre: Float[np.ndarray, " 3"]
    """Centre of mass in the object's frame, m."""
    motion_seconds: float
    """When the hand's path ends, s; it then stays."""

    name = "slide"

    @classmethod
    def of_motion(cls, motion: HandMotion, setting: Setting) -> Slide:
        """See `Task.of_motion`; the command is the horizontal way from the object path's first pose to its last."""
        if setting.criterion != "full":
            raise unknown_name("Criterion", setting.criterion, ["full"])
        object, path = setting.object, measuring.planned_path(motion, setting.T_world_object)
        if object is None or path is None:
            raise ValueError("To pull or push needs an object, and a motion with an object path that says where to.")
        way = measuring.place_of(path[[0, -1]], object.centre_of_mass)
        step = (way[1] - way[0])[:2]
        distance = float(np.linalg.norm(step))
        if distance < constants.SLIDE_ALONG - EPSILON:
            raise ValueError(
                f"The object path goes {100 * distance:.1f} cm over the table, expected at least "
                f"{100 * constants.SLIDE_ALONG:g} cm: a shorter pull or push cannot be judged."
            )
        return cls(
            direction=step / distance,
            distance=distance,
            centre=object.centre_of_mass,
            motion_seconds=(len(motion) - 1) / motion.fps,
        )

    @property
    def seconds(self) -> float:
        """Length of the rollout, s: the path and time to come to rest."""
        return self.motion_seconds + constants.SETTLE

    def disturbance(self, t: float) -> Float[np.ndarray, " 3"] | None:
        """Nothing else pushes."""
        return None

    def judge(self, rollout: Rollout) -> Outcome:
        """See `Task.judge`."""
        measures = measuring.common(rollout)
        if reason := measuring.spoiled(rollout):
            return Outcome.failed(reason, measures, 0.0)
        T = measuring.objects_path(rollout)
        centre = measuring.place_of(T, self.centre)
        step = (centre[-1] - centre[0])[:2]
        along = float(step @ self.direction)
        across = abs(float(self.direction[0] * step[1] - self.direction[1] * step[0]))
        R = T[:, :3, :3] @ T[0, :3, :3].T
        yaw = abs(float(np.degrees(np.arctan2(R[-1, 1, 0] - R[-1, 0, 1], R[-1, 0, 0] + R[-1, 1, 1]))))
        tilt = float(np.degrees(np.arccos(np.clip(R[:, 2, 2], -1, 1))).max())
        measures |= {
            "along_mm": 1e3 * along,
            "across_mm": 1e3 * across,
            "yaw_deg": yaw,
            "tilt_deg": tilt,
            "command_mm": 1e3 * self.distance,
        }
        progress = 0.1 * float(rollout.touching.any()) + 0.8 * min(max(along, 0.0) / constants.SLIDE_ALONG, 1.0)
        margin = 1 - max(across / constants.SLIDE_ACROSS, yaw / constants.SLIDE_YAW)
        reason = ""
        if not rollout.touching.any():
            reason = "missed"
        elif tilt > constants.TOPPLED or margin < -EPSILON:
            reason = "knocked"
        elif along < constants.SLIDE_ALONG - EPSILON:
            end = rollout.times >= rollout.times[-1] - constants.CONTACT_GAP
            reason = "timed out" if rollout.touching[end].any() else "slipped"
        if reason:
            return Outcome.failed(reason, measures, progress, margin)
        return Outcome(success=True, reason="", measures=measures, progress=1.0, margin=margin)
