"""From words to success, world by world: make the motions of every way, execute them on the truth, judge.

Ways: ``true``: cloud and path are given; ``perceived``: image and words are all there is; ``perceived + best of N``: N
candidates are simulated on what is perceived, and the best is executed. References, which know the true cloud and path:
``nearest neighbour`` (a training recording replayed), ``ridge + joint`` (ridge regression, refined) and ``recorded +
joint`` (what the recorded person did, carried along the path and refined: the ceiling).

Everything here runs in a worker and depends on nothing but its batch.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from unihm.evaluation.cases import hand_of_process
from unihm.evaluation.trials import CRASHED, OWN, REFUSED, TrialName, TrialResult, failed
from unihm.perception.base import without_warnings
from unihm.pipeline import Pipeline, rest_at
from unihm.planning.pregrasp import other_pregrasps, pregrasp
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene
from unihm.simulation.candidates import Attempt, most_robust
from unihm.simulation.choice import perceived_of_scene
from unihm.simulation.records import Rollout
from unihm.simulation.tasks import Outcome, Trial, prepare
from unihm.simulation.trying import Trying
from unihm.whole_path.references import REFERENCES, References, references_of
from unihm.whole_path.worlds import AskedWorld, draw_world

TRUE, PERCEIVED, BEST = "true", "perceived", "perceived + best of "
SETTINGS = (TRUE, PERCEIVED, f"{BEST}16")
WRONG, NO_PATH = "wrong object", "no path"
"""Reasons for failure of what begins with an image: another thing was taken, or no way was found."""
_FAULTS = (ValueError, mujoco.FatalError)


@dataclass(frozen=True, kw_only=True)
class AskedSettings:
    """What all trials of a run have in common."""

    models: Path
    """Folder of the true objects."""
    data: Path
    """Episode store, from which references learn."""
    seed: int
    """Of worlds, tokens and candidates."""
    tokenizer: Path | None = None
    """Weights; None: the shipped ones."""
    generator: Path | None = None
    """Weights; None: the shipped ones."""


@dataclass(frozen=True, kw_only=True)
class AskedBatch:
    """Trials in one world."""

    part: str
    """See `worlds.draw_world`, and likewise below."""
    column: str
    """Column of the table."""
    number: int
    """Which world."""
    episodes: tuple[Episode, ...]
    """Held-out recordings of the part."""
    names: tuple[TrialName, ...]
    """Which trials: `episode` is ``<column>/<number>``, `variant` the way."""
    settings: AskedSettings
    """How."""


def run_batch(batch: AskedBatch) -> list[TrialResult]:
    """All trials of a batch; motions that cannot be made or sent are counted failures."""
    world = _world(batch)
    results, seen = [], {}
    for hand in dict.fromkeys(name.hand for name in batch.names):
        making = Making(world, hand, batch.settings, _ways(batch, hand), seen)
        for way in _ways(batch, hand):
            names = [name for name in batch.names if (name.hand, name.variant) == (hand, way)]
            try:
                motion, about = making.motion(way)
            except Refusal as refusal:
                results += [failed(name, world.object_name, refusal.reason, refusal) for name in names]
                continue
            for name in names:
                try:
                    outcome, rollout = trial_of(world, motion, hand, name.friction).run()
                except _FAULTS as error:
                    results.append(failed(name, world.object_name, REFUSED, error))
                    continue
                wrong = about.get("wrong") and not outcome.success
                measures = {k: float(f"{v:.6g}") for k, v in {**outcome.measures, **about}.items()}
                results.append(
                    TrialResult(
                        name=name,
                        object=world.object_name,
                        success=outcome.success,
                        reason=WRONG if wrong else outcome.reason,
                        measures=measures,
                        note=rollout.failure or world.asking.instruction,
                    )
                )
    return results


def crashed(batch: AskedBatch) -> list[TrialResult]:
    """All trials of a batch as failures of which a process died."""
    return [failed(name, "", CRASHED, "the process died") for name in batch.names]


def replay(batch: AskedBatch) -> tuple[Trial, Outcome, Rollout, AskedWorld]:
    """The only trial of a batch once more, with all that happened.

    Raises:
        ValueError: It has no motion.
    """
    (name,) = batch.names
    world = _world(batch)
    motion, _ = Making(world, name.hand, batch.settings, (name.variant,)).motion(name.variant)
    trial = trial_of(world, motion, name.hand, name.friction)
    return trial, *trial.run(), world


def trial_of(world: AskedWorld, motion: HandMotion, hand: str, friction: float) -> Trial:
    """A motion on the truth: what is asked for decides, not the path that the motion was planned along."""
    path = world.true_path
    frames = np.linspace(0, len(path) - 1, len(motion)).round().astype(int)
    asked = motion.replace(T_world_object=path[frames], object_points=None, object_normals=None)
    return prepare(world.task, asked, hand=hand_of_process(hand).description, friction=friction, **world.trial)


class Refusal(ValueError):
    """No motion, and which reason counts."""

    def __init__(self, reason: str, error: object):
        super().__init__(str(error))
        self.reason = reason


class Making:
    """The motions of one hand in one world; what several ways share is made once."""

    def __init__(
        self,
        world: AskedWorld,
        hand: str,
        settings: AskedSettings,
        ways: Sequence[str],
        seen: dict[str, Any] | None = None,
    ):
        """Remember what is wanted.

        Args:
            world: Where.
            hand: Name of the hand.
            settings: How.
            ways: All that will be asked for.
            seen: What was perceived of this world for other hands: it is the same for all.
        """
        self.world, self.hand, self.settings = world, hand_of_process(hand), settings
        self.most = max((int(way.removeprefix(BEST)) for way in ways if way.startswith(BEST)), default=0)
        self.pipeline = _pipeline(settings)
        self._made: dict[str, Any] = {}
        self._seen: dict[str, Any] = {} if seen is None else seen

    def motion(self, way: str) -> tuple[HandMotion, dict[str, float]]:
        """The motion of one way, and figures of how it came about.

        Raises:
            Refusal: There is none.
        """
        try:
            if way == TRUE:
                return self._follow(self.world.plan).motion, {}
            if way in REFERENCES:
                return self._references().motion(way, self.world, self.hand), {}
            return self._perceived(way)
        except Refusal:
            raise
        except _FAULTS as error:
            raise Refusal(REFUSED, error) from error

    def _perceived(self, way: str) -> tuple[HandMotion, dict[str, float]]:
        perceived, plan = _kept(self._seen, "plan", self._plan)
        wrong = {"wrong": 1.0} if not hits(self.world, perceived) else {}
        if way == PERCEIVED:
            return _kept(self._made, "single", lambda: self._follow(plan)).motion, wrong
        result = _kept(self._made, "candidates", lambda: self._candidates(perceived, plan))
        facts = result.report["simulation"]
        attempts = [_attempt(outcome) for outcome in facts["outcomes"]]
        count = int(way.removeprefix(BEST))
        best = most_robust(attempts[:count], facts["families"])
        share = float(np.mean([attempt.outcome.success for attempt in attempts[:count]]))
        about = {"perceived_success": float(attempts[best].outcome.success), "perceived_held": attempts[best].held}
        return result.candidates[best], {**about, "confidence": share, "chosen": float(best), **wrong}

    def _plan(self) -> tuple[PerceivedScene, Plan]:
        scene, words = self.world.example.scene, self.world.asking.instruction
        try:
            with without_warnings():
                perceived = self.pipeline.seeing.perceive(scene, words)
        except ValueError as error:
            raise Refusal(REFUSED, error) from error
        try:
            return perceived, self.pipeline.plan_of(perceived, words)
        except ValueError as error:
            raise Refusal(NO_PATH if hits(self.world, perceived) else WRONG, error) from error

    def _candidates(self, perceived: PerceivedScene, plan: Plan):
        thing = _kept(self._seen, "thing", lambda: perceived_of_scene(self.world.example.scene, perceived))
        return self._follow(plan, Trying(candidates=self.most, simulate=True), thing)

    def _follow(self, plan: Plan, trying: Trying | None = None, thing: Any = None):
        start, *others = (rest_at(T, self.hand) for T in (pregrasp(plan), *other_pregrasps(plan)))
        return self.pipeline.follow(
            plan, self.hand, start, other_starts=others, seed=self.settings.seed, trying=trying, thing=thing
        )

    def _references(self) -> References:
        return references_of(str(self.settings.data))


def _kept(known: dict[str, Any], key: str, make: Callable[[], Any]) -> Any:
    """What was made, or why not, once."""
    if key not in known:
        try:
            known[key] = make()
        except Refusal as refusal:
            known[key] = refusal
        except _FAULTS as error:
            known[key] = Refusal(REFUSED, error)
    if isinstance(known[key], Refusal):
        raise known[key]
    return known[key]


def hits(world: AskedWorld, perceived: PerceivedScene) -> bool:
    """Whether most of what was taken for the target is the target."""
    u, v = perceived.target_object.pixels.T
    return bool(np.mean(world.example.instances[v, u] == world.target + 1) >= 0.5)


def _attempt(outcome: Mapping[str, Any]) -> Attempt:
    """What is told of a candidate, as `most_robust` wants it."""
    told = Outcome(
        success=outcome["success"],
        reason=outcome["reason"],
        measures={},
        progress=outcome["progress"],
        margin=outcome["margin"],
    )
    return Attempt(outcome=told, held=outcome["held"])


def _ways(batch: AskedBatch, hand: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.variant for name in batch.names if name.hand == hand))


def _world(batch: AskedBatch) -> AskedWorld:
    settings = batch.settings
    return draw_world(
        batch.part,
        batch.column,
        batch.number,
        episodes=batch.episodes,
        models=settings.models,
        seed=settings.seed,
    )


@lru_cache(maxsize=1)
def _pipeline(settings: AskedSettings) -> Pipeline:
    return Pipeline(tokenizer_path=settings.tokenizer, generator_path=settings.generator)


def names_of(
    part: str, column: str, number: int, hands: Sequence[str], ways: Sequence[str], frictions: Sequence[float]
) -> tuple[TrialName, ...]:
    """All trials in one world."""
    return tuple(
        TrialName(part, f"{column}/{number}", hand, 0, way, 0.0, OWN, friction, "full")
        for hand in hands
        for way in ways
        for friction in frictions
    )
