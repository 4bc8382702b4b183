"""How fast an object goes along its path: from rest to rest, never above GenH2R's speeds.

A path is measured in the seconds that it takes at full speed, ``ds^2 = (|dp| / speed)^2 + (|dR| / turn_speed)^2``, and
run through along a minimum-jerk profile of s. So neither speed is exceeded, and both change without a jump.

Differs from the paper: C.5 takes over GenH2R's paths; here its speeds are the peak, so the mean is about half of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.geometry.bezier import PoseCurves
from unihm.planning.verbs import FPS, HOLD_FRAMES, REST_FRAMES, minimum_jerk

# GenH2R (Wang et al., CVPR 2024) moves objects at 0.1 to 0.2 m/s and turns them at 0.5 to 1 rad/s about a random axis.
SPEEDS, TURN_SPEEDS = (0.1, 0.2), (0.5, 1.0)  # m/s, rad/s
SPEED, TURN_SPEED = SPEEDS[1], TURN_SPEEDS[1]
_BEND_ACCELERATION = 1.5  # m/s^2 across a bend: the peak of 0.3 m in 32 frames, the median lift in DexYCB (verbs.py)
_PEAK = 15 / 8  # of the speed of a minimum-jerk profile over its mean
_CELLS = 1000  # per curve where its length is summed; leaves 0.2 % of the speed


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast an object goes, and how long it rests before and after."""

    speed: float = SPEED
    """Of the origin of the object's frame, never exceeded, m/s."""
    turn_speed: float = TURN_SPEED
    """Never exceeded, rad/s."""
    fps: float = FPS
    """Frames per second."""
    rest_frames: int = REST_FRAMES
    """Frames at the start in which the object rests; the next one is the first that moves."""
    hold_frames: int = HOLD_FRAMES
    """Frames at the end in which the object rests again."""

    def __post_init__(self) -> None:
        """Check what would give no path."""
        for name in ("speed", "turn_speed", "fps"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a finite number above 0.")
        if self.rest_frames < 1 or self.hold_frames < 0:
            raise ValueError(
                f"{self.rest_frames} rest and {self.hold_frames} hold frames; expected at least 1 (the start) and 0."
            )


GENH2R = Pace()
"""GenH2R's highest speeds, and the rest and hold of `verbs`."""

HUMAN = Pace(speed=0.5, turn_speed=2.5)
"""About as fast as people in DexYCB: 0.3 m in 32 frames (`verbs`) peak at 0.53 m/s. The generator knows this tempo."""


def run(chains: list[PoseCurves], pace: Pace) -> Float[np.ndarray, "T 4 4"]:
    """The poses along chains, each from rest to rest, after the rest and before the hold.

    Args:
        chains: At least one; each starts where the one before ends.
        pace: Speeds and rests.
    """
    measures = [_measure(chain, pace) for chain in chains]
    along = progress([seconds for _, seconds in measures], pace)
    running = np.minimum(along.astype(int), len(chains) - 1)
    path = np.empty((len(along), 4, 4))
    for k, (chain, (length, _)) in enumerate(zip(chains, measures, strict=True)):
        s = (along[running == k] - k) * length[-1]
        path[running == k] = chain.at(np.interp(s, length, np.linspace(0, len(chain), len(length))))
    return path


def progress(seconds: list[float], pace: Pace) -> Float[np.ndarray, " T"]:
    """How far an object is: 0 in the rest, between k and k + 1 on part k of its way, the number of parts in the hold.

    Args:
        seconds: Length of each part, s at full speed; at a minimum-jerk profile it takes 15 / 8 of that.
        pace: Speeds and rests.
    """
    frames = [max(int(np.ceil(_PEAK * time * pace.fps)), 1) for time in seconds]
    moving = [k + minimum_jerk(np.arange(1, n + 1) / n) for k, n in enumerate(frames)]
    hold = np.full(pace.hold_frames, float(len(frames)))
    return np.concatenate([np.zeros(pace.rest_frames), *moving, hold])


def _measure(chain: PoseCurves, pace: Pace) -> tuple[np.ndarray, float]:
    """Length up to each of a fine row of x, and the least time that the chain takes at a steady speed, both s."""
    # At the middle of each cell, because the derivative by x jumps from curve to curve.
    v, omega = chain.derivative((np.arange(len(chain) * _CELLS) + 0.5) / _CELLS)
    rate = np.sqrt((v * v).sum(axis=1) / pace.speed**2 + (omega * omega).sum(axis=1) / pace.turn_speed**2)
    length = np.concatenate([[0.0], np.cumsum(rate) / _CELLS])
    # A tight bend slows the whole chain, so that the speed keeps its plain profile.
    velocity = v / rate[:, None]
    bend = np.linalg.norm(np.diff(velocity, axis=0), axis=1) / ((length[2:] - length[:-2]) / 2)
    return length, float(length[-1] * np.sqrt(max(1.0, bend.max() / _BEND_ACCELERATION)))
