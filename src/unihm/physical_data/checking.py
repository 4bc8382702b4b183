"""One recording: refine its motion, vary it until one variant holds the true object, and see how much it would bear."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from unihm import __version__
from unihm.datasets.motion_rows import Checked, as_stored
from unihm.hands.description import HandDescription, describe_hand
from unihm.refinement import MODES, RefinementConfig, refinements
from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.simulation.candidates import CandidateSigma, candidates
from unihm.simulation.constants import FRICTION, GRAB
from unihm.simulation.resting import at_rest
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.tasks import Outcome, run
from unihm.simulation.trying import GRASPS

FRICTIONS = (FRICTION, 0.65, 0.5, 0.4, 0.3)
"""Tried one after another, until one is too slippery; the first decides on success."""
MASSES = (1.0, 1.5, 2.0)
"""Factors on the object's published mass, likewise."""
TASK = "grab"
"""What DexYCB's people do."""
_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = ("refinement", "simulation", "physical_data", "kinematics", "hands")  # what decides the results


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a worker is handed."""

    id: str
    """The episode's."""
    recording: str
    """The recording that the episode was cut or mirrored from."""
    hand: str
    """Name or folder, as the caller gave it."""
    motion: HandMotion
    """Retargeted, with the object's path and cloud."""
    object: SolidObject
    """The true object."""


@dataclass(frozen=True, kw_only=True)
class CheckedMotion:
    """What a worker sends back."""

    id: str
    """The episode's."""
    motion: HandMotion | None
    """The motion to be stored; None where there is none."""
    checked: Checked | None
    """What came of it."""
    skipped: str = ""
    """Why there is none."""
    seconds: float = 0.0
    """Processor time."""


@runtime_checkable
class Refining(Protocol):
    """How recordings become checked motions; picklable, since each worker has its own."""

    def describe(self, hand: str) -> tuple[str, dict[str, Any]]:
        """The hand's own name, and how its motions are made, as JSON values; raises ValueError if it is unfit."""
        ...

    def __call__(self, task: Recording) -> CheckedMotion:
        """Refine and check one recording."""
        ...


class PhysicalRefining:
    """Refinement of this package, then the first of some variants that succeeds, then its margins."""

    def __init__(
        self,
        *,
        candidates: int = 16,
        criterion: str = "light",
        mode: str = "joint",
        config: RefinementConfig | None = None,
        seed: int = 0,
    ):
        """How to make them.

        Args:
            candidates: Motions tried at most: the refined one and variations of it (`simulation.candidates`).
            criterion: Of the task ``grab``, see `simulation.constants.GRAB`.
            mode: Of refinement, one of its `MODES`.
            config: Of refinement.
            seed: Of the variations; every recording draws its own.

        Raises:
            ValueError: A name is unknown, or there is no candidate.
        """
        if candidates < 1:
            raise ValueError(f"candidates is {candidates}, expected at least 1.")
        if criterion not in GRAB:
            raise unknown_name("Criterion", criterion, GRAB)
        if mode not in MODES:
            raise unknown_name("Mode of refinement", mode, MODES)
        self.candidates, self.criterion, self.mode, self.seed = candidates, criterion, mode, seed
        self.config = config or RefinementConfig()

    def describe(self, hand: str) -> tuple[str, dict[str, Any]]:
        """See `Refining.describe`."""
        description = describe_hand(hand)
        if description.side != "right":
            raise ValueError(f"Episodes show right hands, '{description.name}' is a left one.")
        search = {
            "candidates": self.candidates,
            "criterion": self.criterion,
            "seed": self.seed,
            "sigma": asdict(CandidateSigma()),
            "frictions": FRICTIONS,
            "masses": MASSES,
        }
        facts = {
            "unihm": __version__,
            "code": _code(),
            "hand": _hand_digest(description),
            "refinement": {"mode": self.mode, **_plain(asdict(self.config))},
            "search": search,
        }
        return description.name, json.loads(json.dumps(facts))  # tuples become lists, as when it is read again

    def __call__(self, task: Recording) -> CheckedMotion:
        """See `Refining`; a recording whose refinement or simulation is refused gives no motion, but the reason."""
        start, hand = time.process_time(), describe_hand(task.hand)
        try:
            motion, checked = self._checked(task, hand)
        except ValueError as error:
            return CheckedMotion(
                id=task.id, motion=None, checked=None, skipped=str(error), seconds=time.process_time() - start
            )
        return CheckedMotion(id=task.id, motion=motion, checked=checked, seconds=time.process_time() - start)

    def _checked(self, task: Recording, hand: HandDescription) -> tuple[HandMotion, Checked]:
        motion = task.motion
        if motion.T_world_object is not None:
            motion = at_rest(motion, task.object)
        refined = refinements(motion, hand, min(self.candidates, GRASPS), mode=self.mode, config=self.config)
        seed = seed_of(task.id, self.seed)
        variants = candidates([one for one, _ in refined], self.candidates, seed, hand=hand)
        # What is simulated is what will be read: a grasp at its limit may not survive the rounding of its numbers.
        best, outcome = as_stored(variants[0]), _tried(as_stored(variants[0]), task, hand, self.criterion)
        chosen, tried = 0, 1
        while not outcome.success and tried < len(variants):
            motion = as_stored(variants[tried])
            other = _tried(motion, task, hand, self.criterion)
            if other.rank > outcome.rank:
                best, outcome, chosen = motion, other, tried
            tried += 1
        friction = mass = None
        if outcome.success:
            friction, mass = FRICTIONS[0], MASSES[0]
            for value in FRICTIONS[1:]:
                if not _tried(best, task, hand, self.criterion, friction=value).success:
                    break
                friction = value
            for factor in MASSES[1:]:
                if not _tried(best, task, hand, self.criterion, factor=factor).success:
                    break
                mass = factor
        return best, Checked(
            recording=task.recording,
            success=outcome.success,
            reason=outcome.reason,
            criterion=self.criterion,
            candidate=chosen,
            tried=tried,
            friction_margin=friction,
            mass_margin=mass,
            seed=seed,
        )


def seed_of(name: str, seed: int) -> int:
    """A recording's own seed, which depends on nothing else in the store; 31 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "little") >> 1


def _tried(
    motion: HandMotion,
    task: Recording,
    hand: HandDescription,
    criterion: str,
    *,
    friction: float = FRICTIONS[0],
    factor: float = MASSES[0],
) -> Outcome:
    solid = task.object if factor == 1 else replace(task.object, mass=factor * task.object.mass)
    outcome, _ = run(TASK, motion, object=solid, hand=hand, criterion=criterion, friction=friction)
    return outcome


def _plain(value: Any) -> Any:
    """JSON values; infinity, which JSON has not, as a word."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return "inf" if isinstance(value, float) and math.isinf(value) else value


@cache
def _code() -> str:
    """Of the sources that decide the results."""
    paths = [path for part in _SOURCES for path in sorted((_PACKAGE / part).rglob("*.py"))]
    return digest_of(path.read_bytes() for path in paths)


def _hand_digest(hand: HandDescription) -> str:
    """Of the hand's files: in physics, masses, efforts and solids count."""
    paths = sorted([*hand.folder.glob("*.urdf"), *hand.folder.glob("hand.yaml")])
    return digest_of(path.read_bytes() for path in paths)


def digest_of(contents: Iterable[bytes]) -> str:
    """Twelve hexadecimal digits that say whether contents are the same."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:12]
