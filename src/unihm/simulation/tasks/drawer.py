"""Pull and push a drawer: 80 % of its travel open, or at most 10 % left open, for half a second (FACTS 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float

from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.records import Rollout
from unihm.simulation.tasks import measuring
from unihm.simulation.tasks.measuring import EPSILON
from unihm.simulation.tasks.outcome import Outcome
from unihm.simulation.tasks.setting import Setting


@dataclass(frozen=True, kw_only=True, eq=False)
class JointTask:
    """Judges one attempt to bring the joint of a fixture to one side of a threshold.

    It must stay there for the last half second of the rollout. The hand must have touched the fixture before; nothing
    else can, for in these worlds there is nothing else. A lid that falls by itself before is missed.
    """

    motion_seconds: float
    """When the hand's path ends, s; it then stays."""

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    """Fixtures that this can be done to."""
    unit: ClassVar[tuple[str, float]]
    """Unit of the measures and how many of it one joint unit has."""
    opening: ClassVar[bool]
    """Whether the joint shall end at or above the threshold, else at or below."""
    threshold: ClassVar[float]
    """Joint position, m or rad."""

    @classmethod
    def of_motion(cls, motion: HandMotion, setting: Setting) -> JointTask:
        """See `Task.of_motion`."""
        if setting.criterion != "full":
            raise unknown_name("Criterion", setting.criterion, ["full"])
        fixture = setting.fixture
        if fixture is None:
            raise ValueError(f"To {cls.name} needs a fixture: {' or '.join(cls.kinds)}.")
        if fixture.kind not in cls.kinds:
            raise ValueError(f"To {cls.name} needs a fixture of kind {' or '.join(cls.kinds)}, got '{fixture.kind}'.")
        task = cls(motion_seconds=(len(motion) - 1) / motion.fps)
        if task.reached(np.array([fixture.position0])).any():
            state = "open" if cls.opening else "shut"
            raise ValueError(
                f"The {fixture.kind} is {state} already (position {fixture.position0:g}); nothing to {cls.name}."
            )
        return task

    @property
    def seconds(self) -> float:
        """Length of the rollout, s: the path, time to come to rest, and the half second."""
        return self.motion_seconds + constants.SETTLE + constants.HELD

    def disturbance(self, t: float) -> Float[np.ndarray, " 3"] | None:
        """Nothing pushes."""
        return None

    def reached(self, position: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Where the joint is on the side that is asked for."""
        return position >= self.threshold - EPSILON if self.opening else position <= self.threshold + EPSILON

    def judge(self, rollout: Rollout) -> Outcome:
        """See `Task.judge`."""
        measures = measuring.common(rollout)
        if reason := measuring.spoiled(rollout):
            return Outcome.failed(reason, measures, 0.0)
        position = rollout.fixture
        if position is None:
            raise ValueError(f"To {self.name} needs a fixture in the world, and the rollout has none.")
        unit, scale = self.unit
        reached = self.reached(position)
        held = measuring.lasting(rollout.times, reached)
        measures |= {
            f"start_{unit}": scale * float(position[0]),
            f"end_{unit}": scale * float(position[-1]),
            f"farthest_{unit}": scale * float(position.max() if self.opening else position.min()),
            "held_s": held,
            "touched_s": float(rollout.hand_on_fixture.mean() * rollout.times[-1]),
        }
        way = self.threshold - float(position[0])
        done = 1.0 if reached[-1] or abs(way) < EPSILON else float(np.clip((position[-1] - position[0]) / way, 0, 1))
        first = int(rollout.hand_on_fixture.argmax())
        touched = bool(rollout.hand_on_fixture[first]) and not reached[first]  # else it came there by itself
        progress = touched * (0.1 + 0.7 * done + 0.2 * min(held / constants.HELD, 1.0))
        beyond = float(position[-1] - self.threshold) * (1 if self.opening else -1)
        margin = beyond / max(abs(way), EPSILON)
        if not touched:
            reason = "missed"
        elif held >= constants.HELD - EPSILON:
            reason = ""
        else:
            reason = self._reason(rollout, position, reached)
        if reason:
            return Outcome.failed(reason, measures, progress, margin)
        return Outcome(success=True, reason="", measures=measures, progress=1.0, margin=margin)

    def _reason(self, rollout: Rollout, position: np.ndarray, reached: np.ndarray) -> str:
        if reached[-1]:
            return "timed out"  # there, but not for long enough
        if reached.any():
            return "slipped"  # it was there and came back
        wrong = position[0] - position[-1] if self.opening else position[-1] - position[0]
        if wrong > abs(self.threshold - position[0]) / 2:
            return "knocked"
        end = rollout.times >= rollout.times[-1] - constants.CONTACT_GAP
        return "timed out" if rollout.hand_on_fixture[end].any() else "slipped"


class Pull(JointTask):
    """Pull the drawer open."""

    name, kinds, unit = "pull", ("drawer",), ("mm", 1e3)
    opening, threshold = True, constants.DRAWER_OPEN * constants.DRAWER_TRAVEL


class Push(JointTask):
    """Push the drawer shut."""

    name, kinds, unit = "push", ("drawer",), ("mm", 1e3)
    opening, threshold = False, constants.DRAWER_SHUT * constants.DRAWER_TRAVEL
