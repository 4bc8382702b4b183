"""One composed episode: retarget it to each hand, refine what comes, and try it in simulation."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from unihm import __version__
from unihm.composing.base import COMPOSERS, PASSED, Composer, Source, Trial, true_object
from unihm.datasets.episode_rows import episode_from_row, table_from_episodes
from unihm.datasets.hand_retargeting import HandRetargeting
from unihm.datasets.motion_rows import Checked, as_stored
from unihm.datasets.motion_store import attach
from unihm.datasets.recordings import Recordings
from unihm.geometry.pose import vector_to_pose
from unihm.hands.description import HandDescription, describe_hand
from unihm.physical_data.checking import digest_of, seed_of
from unihm.refinement import RefinementConfig, refinements
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.simulation.candidates import CandidateSigma, candidates
from unihm.simulation.constants import FRICTION
from unihm.simulation.tasks import Outcome, run
from unihm.simulation.trying import GRASPS

HANDS = ("shadow", "allegro", "leap")
"""Hands that composed episodes are tried with."""
_CRITERION = "full"
_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = ("composing", "planning", "retargeting", "refinement", "simulation", "kinematics", "hands")


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What a worker is handed."""

    id: str
    """Of the episode that shall be composed."""
    name: str
    """Key of `COMPOSERS`."""
    source: Episode | None
    """The recording whose grasp is taken over; None for handles."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HandTry:
    """What came of it with one hand."""

    reason: str
    """Empty where it succeeds, else why not: one of `simulation.tasks.REASONS`, or what refused the motion."""
    motion: HandMotion | None = None
    """Refined, the best that was found; None where there is none."""
    checked: Checked | None = None
    """What the simulation said of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tried:
    """What a worker sends back."""

    id: str
    """Of the order."""
    episode: Episode | None = None
    """The composed episode, with the hands that passed; None where the grasp does not suit the task."""
    refused: str = ""
    """Why there is none."""
    hands: Mapping[str, HandTry] = field(default_factory=dict)
    """Hand to what came of it."""
    seconds: float = 0.0
    """Processor time."""

    @property
    def passed(self) -> tuple[str, ...]:
        """Hands that did it."""
        return tuple(hand for hand, one in self.hands.items() if not one.reason)


@runtime_checkable
class Composing(Protocol):
    """How orders become tried episodes; picklable, since each worker has its own."""

    def describe(self) -> dict[str, Any]:
        """How they are made, as JSON values; raises ValueError where a hand is unfit."""
        ...

    def __call__(self, order: Order) -> Tried:
        """Compose and try one."""
        ...


class TriedComposing:
    """Retargeting, refinement and simulation of this package."""

    def __init__(
        self, models: str | Path, hands: Sequence[str] = HANDS, *, candidates: int = GRASPS, seed: int = 0
    ):  # fmt: skip
        """How to make them.

        Args:
            models: Folder of the true objects, see `simulation.ycb.load_ycb`.
            hands: Names or folders.
            candidates: Motions tried at most for each hand: the refined ones, then variations of them.
            seed: Of all that is drawn; every episode draws its own.

        Raises:
            ValueError: There is no hand or no candidate.
        """
        if not hands:
            raise ValueError("No hand is named that the episodes shall be tried with.")
        if candidates < 1:
            raise ValueError(f"candidates is {candidates}, expected at least 1.")
        self.models, self.hands, self.candidates, self.seed = Path(models), tuple(hands), candidates, seed
        self.config = RefinementConfig()
        self._retargeting = HandRetargeting()

    def describe(self) -> dict[str, Any]:
        """See `Composing.describe`."""
        hands = {}
        for hand in self.hands:
            name, facts = self._retargeting.describe(hand)
            folder = describe_hand(hand).folder
            hands[name] = digest_of(
                [json.dumps(facts, sort_keys=True).encode()]
                + [path.read_bytes() for path in sorted([*folder.glob("*.urdf"), *folder.glob("hand.yaml")])]
            )
        facts = {
            "unihm": __version__,
            "code": _code(),
            "hands": hands,
            "candidates": self.candidates,
            "seed": self.seed,
            "criterion": _CRITERION,
            "sigma": asdict(CandidateSigma()),
            "refinement": {name: "inf" if value == math.inf else value for name, value in asdict(self.config).items()},
        }
        return json.loads(json.dumps(facts))

    def __call__(self, order: Order) -> Tried:
        """See `Composing`; what is refused is no error, but counted."""
        start = time.process_time()
        composer: Composer = COMPOSERS[order.name]()
        seed = seed_of(order.id, self.seed)
        try:
            episode = composer.compose(self._source(order), order.id, np.random.default_rng(seed))
        except ValueError as error:
            return Tried(id=order.id, refused=str(error), seconds=time.process_time() - start)
        # What is tried is what will be read, so that retargeting it again gives the same motions.
        episode = episode_as_stored(episode)
        trial = composer.trial(episode, self.models)
        found = {}
        for hand in self.hands:
            description = describe_hand(hand)
            found[description.name] = self._try(hand, description, episode, trial, seed)
        passed = ",".join(name for name, one in found.items() if not one.reason)
        episode = replace(episode, attributes={**episode.attributes, PASSED: passed})
        return Tried(id=order.id, episode=episode, hands=found, seconds=time.process_time() - start)

    def _source(self, order: Order) -> Source | None:
        if order.source is None:
            return None
        episode = order.source
        return Source(episode=episode, object=true_object(self.models, episode.object_name, episode.mirrored))

    def _try(self, hand: str, description: HandDescription, episode: Episode, trial: Trial, seed: int) -> HandTry:
        try:
            motion = attach(self._retargeted(hand, description, episode), episode)
            motion = motion.replace(instruction=episode.instructions[0])
            refined = refinements(motion, description, min(self.candidates, GRASPS), config=self.config)
            variants = candidates([one for one, _ in refined], self.candidates, seed, hand=description)
            best, chosen, tried, outcome = None, 0, 0, None
            for number, variant in enumerate(variants):
                one = as_stored(variant)
                other = _tried(one, description, trial)
                tried = number + 1
                if outcome is None or other.rank > outcome.rank:
                    best, chosen, outcome = one, number, other
                if other.success:
                    break
        except ValueError as error:
            return HandTry(reason=f"refused: {error}")
        assert outcome is not None
        checked = Checked(
            recording=episode.recording,
            success=outcome.success,
            reason=outcome.reason,
            criterion=_CRITERION,
            candidate=chosen,
            tried=tried,
            friction_margin=FRICTION if outcome.success else None,
            mass_margin=1.0 if outcome.success else None,
            seed=seed,
        )
        return HandTry(reason=outcome.reason, motion=best, checked=checked)

    def _retargeted(self, hand: str, description: HandDescription, episode: Episode) -> HandMotion:
        solved = self._retargeting(
            Recordings(
                hand=hand,
                lengths=(len(episode),),
                fps=(episode.fps,),
                keypoints_world=episode.keypoints_world.astype(np.float32),
            )
        )
        return HandMotion(
            hand=description.name,
            fps=episode.fps,
            joint_names=solved.joint_names,
            qpos=solved.qpos.astype(np.float64),
            T_world_palm=vector_to_pose(solved.T_world_palm.astype(np.float64)),
        )


def episode_as_stored(episode: Episode) -> Episode:
    """The episode with the numbers that it will have when it is read again."""
    return episode_from_row(Path(), table_from_episodes([episode]), 0)


def _tried(motion: HandMotion, hand: HandDescription, trial: Trial) -> Outcome:
    return run(trial.task, motion, hand=hand, criterion=_CRITERION, **trial.setting)[0]


@cache
def _code() -> str:
    """Of the sources that decide the results."""
    paths = [path for part in _SOURCES for path in sorted((_PACKAGE / part).rglob("*.py"))]
    return digest_of(path.read_bytes() for path in paths)
