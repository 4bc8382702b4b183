"""Grab: lift the object, hold it, and still have it after six pushes (FACTS 5; the lighter criterion is of FACTS 8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.constants import GrabCriterion
from unihm.simulation.records import Rollout
from unihm.simulation.tasks import measuring
from unihm.simulation.tasks.measuring import EPSILON
from unihm.simulation.tasks.outcome import Outcome
from unihm.simulation.tasks.setting import Setting

_PUSHES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grab:
    """Judges one attempt to grab.

    The object counts as lifted from the record on in which its centre of mass is 3 cm above where it rested and nothing
    of it touches the table; drift is measured in the palm's frame from that record, until the end of the hold, and of
    the pushes where there are some. The hold is the first stretch, begun within `GrabCriterion.within`, in which the
    object is uninterruptedly as high as asked for.
    """

    criterion: GrabCriterion
    """What is asked for."""
    motion_seconds: float
    """When the hand's path ends, s; it then stays."""
    human_lift: float | None = None
    """Largest height that the recorded object gained, m, for criteria that ask for no more than the human did."""
    centre: Float[np.ndarray, " 3"]
    """Centre of mass in the object's frame, m."""

    name = "grab"

    @classmethod
    def of_motion(cls, motion: HandMotion, setting: Setting) -> Grab:
        """See `Task.of_motion`; criterion: full, hard, or light."""
        if setting.criterion not in constants.GRAB:
            raise unknown_name("Criterion", setting.criterion, constants.GRAB)
        object = setting.object
        if object is None:
            raise ValueError("To grab needs an object; give its mesh, or a motion with an object cloud.")
        lift = None
        path = measuring.planned_path(motion, setting.T_world_object)
        if path is not None:
            height = measuring.place_of(path, object.centre_of_mass)[:, 2]
            lift = float((height - height[0]).max())
        return cls(
            criterion=constants.GRAB[setting.criterion],
            motion_seconds=(len(motion) - 1) / motion.fps,
            human_lift=lift,
            centre=object.centre_of_mass,
        )

    @property
    def lift(self) -> float:
        """Height that must be gained, m: never less than what counts as lifted."""
        asked = self.criterion.lift
        if self.criterion.human_height and self.human_lift is not None:
            asked = min(asked, self.human_lift - constants.HUMAN_MARGIN)
        return max(asked, constants.LIFTED)

    @property
    def push_start(self) -> float:
        """When the pushes begin, s: the path has ended, the hand has come to rest, and the hold is over."""
        return self.motion_seconds + constants.SETTLE + self.criterion.hold

    @property
    def seconds(self) -> float:
        """Length of the rollout, s."""
        return self.push_start + (len(_PUSHES) * self.criterion.shake_time if self.criterion.shake > 0 else 0.0)

    def disturbance(self, t: float) -> Float[np.ndarray, " 3"] | None:
        """Acceleration that pushes the object, m/s^2: along +x, -x, +y, -y, +z, -z of the world, one after another."""
        if self.criterion.shake <= 0 or t < self.push_start:
            return None
        index = int((t - self.push_start) / self.criterion.shake_time)
        return self.criterion.shake * _PUSHES[index] if index < len(_PUSHES) else None

    def judge(self, rollout: Rollout) -> Outcome:
        """See `Task.judge`."""
        measures = measuring.common(rollout)
        if reason := measuring.spoiled(rollout):
            return Outcome.failed(reason, measures, 0.0)
        times = rollout.times
        gain = measuring.place_of(measuring.objects_path(rollout), self.centre)[:, 2]
        gain = np.where(rollout.on_table, np.minimum(gain - gain[0], 0.0), gain - gain[0])
        held = gain >= constants.LIFTED - EPSILON
        measures |= {"height_mm": 1e3 * max(float(gain.max()), 0.0), "held_s": 0.0}
        hold = self._hold(times, gain >= self.lift - EPSILON)
        if hold is not None:
            measures |= {"reached_s": float(times[hold[0]]), "held_s": float(times[hold[1]] - times[hold[0]])}
        stages = [
            float(rollout.touching.any()),
            float(rollout.opposing.any()),
            min(max(float(gain.max()), 0.0) / self.lift, 1.0),
            min(measures["held_s"] / self.criterion.hold, 1.0),
        ]
        progress = float(np.dot([0.1, 0.15, 0.35, 0.35], stages))
        margin = self._drift(rollout, held, hold, measures)
        reason = self._reason(rollout, held, hold, measures)
        if reason:
            return Outcome.failed(reason, measures, progress, margin)
        return Outcome(success=True, reason="", measures=measures, progress=1.0, margin=margin)

    def _hold(self, times: np.ndarray, high: np.ndarray) -> tuple[int, int] | None:
        """The stretch that counts: the first that is long enough, else the longest; None if none began in time."""
        begun = [(a, b) for a, b in measuring.spans(high) if times[a] <= self.criterion.within + EPSILON]
        enough = [(a, b) for a, b in begun if times[b] - times[a] >= self.criterion.hold - EPSILON]
        return enough[0] if enough else max(begun, key=lambda span: times[span[1]] - times[span[0]], default=None)

    def _drift(self, rollout: Rollout, held: np.ndarray, hold: tuple[int, int] | None, measures: dict) -> float:
        """Adds drift and slip to the measures; returns how far from the limits they stay, 1 for no drift at all."""
        spans = measuring.spans(held)
        if hold is not None:
            spans = [(a, b) for a, b in spans if a <= hold[0] <= b]
        if not spans:
            return 0.0
        since, until = spans[0]
        if hold is not None:
            until = len(held) - 1 if self.criterion.shake > 0 else self._hold_end(rollout.times, hold)
        moved, turned = measuring.drift(rollout, since, self.centre)
        moved, turned = moved[: until - since + 1], turned[: until - since + 1]
        measures |= {"drift_mm": 1e3 * float(moved.max()), "drift_deg": float(turned.max())}
        palm = np.linalg.inv(rollout.T_world_palm[since : until + 1])
        centre = measuring.place_of(palm @ measuring.objects_path(rollout)[since : until + 1], self.centre)
        if until > since:
            path = float(np.linalg.norm(np.diff(centre, axis=0), axis=1).sum())
            frames = float(rollout.times[until] - rollout.times[since]) * constants.FRAME_RATE
            measures["slip_mm_per_frame"] = 1e3 * path / frames
        worst = max(float(moved.max()) / self.criterion.drift, float(turned.max()) / self.criterion.drift_angle)
        return 1.0 - worst

    def _hold_end(self, times: np.ndarray, hold: tuple[int, int]) -> int:
        """The record in which the hold has been long enough, or broke off."""
        end = times[hold[0]] + self.criterion.hold
        return min(int(np.searchsorted(times, end - EPSILON)), hold[1])

    def _reason(self, rollout: Rollout, held: np.ndarray, hold: tuple[int, int] | None, measures: dict) -> str:
        """Why it failed, in the order in which things go wrong; empty if it did not."""
        times, criterion = rollout.times, self.criterion
        if not rollout.touching.any():
            return "missed"
        if not held.any():
            # What was pushed away had perhaps been between two links for a moment; that is no grasp.
            if self._displaced(rollout) and measuring.longest(times, rollout.opposing) < constants.CONTACT_GAP:
                return "knocked"
            return "slipped" if rollout.opposing.any() else "missed"
        if measures["drift_mm"] > 1e3 * (criterion.drift + EPSILON):
            return "slipped"
        if measures["drift_deg"] > criterion.drift_angle + EPSILON:
            return "slipped"
        if hold is None or measures["held_s"] < criterion.hold - EPSILON:
            return "timed out" if held[-1] else "slipped"  # up, but too low, too late or too briefly; or gone
        grip = slice(hold[0], self._hold_end(times, hold) + 1)
        if criterion.opposed and not measuring.steady(times[grip], rollout.opposing[grip]):
            return "slipped" if rollout.opposing[grip].any() else "missed"
        if criterion.shake > 0:
            if times[-1] < self.seconds - constants.CONTACT_GAP:
                return "timed out" if held[-1] else "slipped"  # the rollout was cut before the pushes were over
            pushed = times >= self.push_start - EPSILON
            if not held[pushed].all() or not rollout.touching[-1].any():
                return "slipped"
        return ""

    def _displaced(self, rollout: Rollout) -> bool:
        T = measuring.objects_path(rollout)
        centre = measuring.place_of(T, self.centre)
        moved = np.linalg.norm(centre - centre[0], axis=1).max()
        turned = measuring.angle(T[:, :3, :3], T[0, :3, :3]).max()
        return bool(moved > constants.KNOCKED or turned > constants.KNOCKED_ANGLE)
