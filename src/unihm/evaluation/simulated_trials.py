"""The trials of one hand with one recording: make its motions, plan on what is perceived, judge on what is true.

Everything here runs in a worker and depends on nothing but its batch, so that any trial can be repeated alone.

- The true object is read by the judge, and by `perceive`, which shows planning an image of it.
- ``best of N`` refines on the perceived cloud with several grasps, varies them and tries all N on the perceived object,
  with the hand's own solids (`simulation.candidates.best_of`): the choice is made without knowing the trial.
- Recorded poses of a resting object are millimetres off: every motion is moved with the object to where it comes to
  rest (`simulation.resting`), as if it had been planned for the object that is seen there.
- Noise, perception and candidates are drawn from the recording, the repeat and the run's seed alone: every hand,
  variant and friction meets the same world, which makes trials paired.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import Any, TypeVar

import mujoco
import numpy as np
from jaxtyping import Float

from unihm.evaluation.judging import judge_by
from unihm.evaluation.trials import CRASHED, OFFICIAL, REFUSED, TrialBatch, TrialResult, failed
from unihm.evaluation.variants import REFINEMENTS, Variant, executable
from unihm.hands.description import HandDescription, describe_hand
from unihm.schema.motion import HandMotion
from unihm.simulation.candidates import Attempt, best_of, candidates, most_robust
from unihm.simulation.perceived import Perceived, perceive
from unihm.simulation.resting import moved_to, resting_pose
from unihm.simulation.rollout import Rollout
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.tabletop import look_at, tabletop_camera
from unihm.simulation.tasks import TASKS, Outcome, Trial, measuring, prepare, scatter
from unihm.simulation.tasks.setting import Setting
from unihm.simulation.trying import GRASPS
from unihm.simulation.ycb import load_ycb

_CAMERA = (0.85, 45.0)  # m from the object, degrees down: where DexYCB's cameras are, as for `unihm simulate`
_MM = 1e-3
_FAULTS = (ValueError, mujoco.FatalError)  # of a motion or its world, not of the run


def run_batch(batch: TrialBatch) -> list[TrialResult]:
    """All trials of a batch; motions that cannot be made or sent are counted failures."""
    recording, results = _Recording(batch), []
    for (repeat, variant, cloud), names in _grouped(batch.names, lambda n: (n.repeat, n.variant, n.cloud_noise)):
        try:
            motion, about = recording.motion(repeat, executable(variant), cloud)
        except _FAULTS as error:
            results += [failed(name, batch.episode.object_name, REFUSED, error) for name in names]
            continue
        for (solids, friction), same in _grouped(names, lambda n: (n.solids, n.friction)):
            criteria = [name.criterion for name in same]
            try:
                _, judged = recording.judged(motion, repeat, solids, friction, criteria)
            except _FAULTS as error:
                results += [failed(name, batch.episode.object_name, REFUSED, error) for name in same]
                continue
            for name in same:
                outcome, rollout = judged[name.criterion]
                results.append(
                    TrialResult(
                        name=name,
                        object=batch.episode.object_name,
                        success=outcome.success,
                        reason=outcome.reason,
                        measures={key: float(f"{value:.6g}") for key, value in {**outcome.measures, **about}.items()},
                        note=rollout.failure,
                    )
                )
    return results


def crashed(batch: TrialBatch) -> list[TrialResult]:
    """All trials of a batch as failures of which a process died."""
    return [failed(name, batch.episode.object_name, CRASHED, "the process died") for name in batch.names]


def replay(batch: TrialBatch) -> tuple[Trial, Outcome, Rollout]:
    """The only trial of a batch once more, with all that happened."""
    (name,) = batch.names
    recording = _Recording(batch)
    motion, _ = recording.motion(name.repeat, executable(name.variant), name.cloud_noise)
    trial, judged = recording.judged(motion, name.repeat, name.solids, name.friction, [name.criterion])
    return trial, *judged[name.criterion]


class _Recording:
    """One recording in a worker: its world, what is perceived of it, and what has been tried on that."""

    def __init__(self, batch: TrialBatch):
        episode, self.settings = batch.episode, batch.settings
        self.batch, self.hand = batch, _hand(batch.hand)
        self.object = _object(str(self.settings.models), episode.object_name, episode.mirrored)
        self.T_rest = resting_pose(self.object, episode.T_world_object[0])
        variants = {executable(name.variant) for name in batch.names}
        self._most = {
            (base, way): max(v.candidates for v in variants if (v.base, v.refinement) == (base, way))
            for base, way in {(v.base, v.refinement) for v in variants}
        }
        self._tried: dict[tuple, tuple[tuple[HandMotion, ...], tuple[Attempt, ...], int]] = {}

    def motion(self, repeat: int, variant: Variant, cloud: float) -> tuple[HandMotion, dict[str, float]]:
        """The motion that is executed, and figures of how it came about."""
        if not variant.candidates:
            return self._refined(self._given(repeat, variant.base), variant.refinement, repeat, cloud, 1)[0], {}
        key = repeat, variant.base, variant.refinement, cloud
        if key not in self._tried:
            self._tried[key] = self._try(repeat, variant, cloud)
        motions, attempts, families = self._tried[key]
        chosen = most_robust(attempts[: variant.candidates], families)
        attempt = attempts[chosen]
        return motions[chosen], {
            "chosen": float(chosen),
            "perceived_success": float(attempt.outcome.success),
            "perceived_held": attempt.held,
        }

    def judged(
        self, motion: HandMotion, repeat: int, solids: str, friction: float, criteria: list[str]
    ) -> tuple[Trial, dict[str, tuple[Outcome, Rollout]]]:
        """A motion on the true object, by several criteria."""
        settings, seed = self.settings, self._seed(repeat)
        T_planned = self._T_true(repeat) if settings.follow else self.T_rest
        trial = prepare(
            settings.task,
            motion,
            object=self.object,
            T_world_object=T_planned,
            hand=self.hand,
            criterion=criteria[0],
            noise=0.0 if settings.follow else settings.noise,  # the motion has already been moved along
            friction=friction,
            hand_meshes=settings.hand_meshes[self.hand.name] if solids == OFFICIAL else None,
            seed=seed,
        )
        tasks = {name: self._task(motion, T_planned, name) for name in criteria}
        return trial, judge_by(trial, tasks, dump_folder=settings.dump_folder, seed=seed)

    def _task(self, motion: HandMotion, T_world_object: np.ndarray, criterion: str):
        setting = Setting(object=self.object, T_world_object=T_world_object, hand=self.hand, criterion=criterion)
        return TASKS[self.settings.task].of_motion(motion, setting)

    def _seed(self, repeat: int) -> int:
        text = f"{self.settings.seed}/{self.batch.episode.id}/{repeat}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def _shift(self, repeat: int) -> Float[np.ndarray, "4 4"]:
        T = self.T_rest
        pivot = T[:3, :3] @ self.object.centre_of_mass + T[:3, 3]
        return scatter(self.settings.noise, self._seed(repeat), pivot)

    def _T_true(self, repeat: int) -> Float[np.ndarray, "4 4"]:
        """Where the object stands."""
        return self._shift(repeat) @ self.T_rest

    def _given(self, repeat: int, base: str) -> HandMotion:
        """The motion as it was planned for the resting object, moved with it if it follows it."""
        motion = moved_to(self.batch.motions[base], self.T_rest)
        if not self.settings.follow or not self.settings.noise:
            return motion
        shift = self._shift(repeat)
        assert motion.T_world_object is not None
        return motion.replace(T_world_palm=shift @ motion.T_world_palm, T_world_object=shift @ motion.T_world_object)

    def _refined(self, motion: HandMotion, way: str, repeat: int, cloud: float, count: int) -> list[HandMotion]:
        """The motion with its best grasps, `count` at most."""
        if not way:
            return [motion]
        from unihm.refinement import refinements  # compiled, which what is not refined need not wait for

        assert motion.object_points is not None
        error = np.random.default_rng([self._seed(repeat), 1]).standard_normal(motion.object_points.shape)
        noisy = motion.replace(object_points=motion.object_points + _MM * cloud * error)
        return [refined for refined, _ in refinements(noisy, self.hand, count, **REFINEMENTS[way])]

    def _try(
        self, repeat: int, variant: Variant, cloud: float
    ) -> tuple[tuple[HandMotion, ...], tuple[Attempt, ...], int]:
        """Candidates, how they did on the perceived object, and how many families they are."""
        seen, motion = self._perceived(repeat), self._given(repeat, variant.base)
        T_object_world = np.linalg.inv(seen.T_world_object)
        motion = motion.replace(
            T_world_object=measuring.planned_path(motion, seen.T_world_object),
            object_points=seen.points @ T_object_world[:3, :3].T + T_object_world[:3, 3],
            object_normals=seen.normals @ T_object_world[:3, :3].T,
        )
        count = self._most[variant.base, variant.refinement]
        refined = self._refined(motion, variant.refinement, repeat, cloud, min(count, GRASPS))
        motions = candidates(refined, count, self._seed(repeat), hand=self.hand)
        _, attempts = best_of(
            motions,
            seen,
            self.settings.task,
            families=len(refined),
            criterion=self.settings.chosen_by,
            table_height=self.object.lowest(self._T_true(repeat)),
            hand=self.hand,
        )
        return motions, attempts, len(refined)

    def _perceived(self, repeat: int) -> Perceived:
        episode = self.batch.episode
        pose = tuple(self._T_true(repeat).ravel().tolist())
        return _perceived(str(self.settings.models), episode.object_name, episode.mirrored, pose, self._seed(repeat))


Item = TypeVar("Item")


def _grouped(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[tuple[Any, list[Item]]]:
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.items())


# What a process has learned of a hand, an object and a view of it serves the next batch: they come object by object.


@lru_cache
def _hand(name: str) -> HandDescription:
    return describe_hand(name)


@lru_cache
def _object(models: str, name: str, mirrored: bool) -> SolidObject:
    return load_ycb(models, name, mirrored=mirrored)


@lru_cache(maxsize=16)
def _perceived(models: str, name: str, mirrored: bool, pose: tuple[float, ...], seed: int) -> Perceived:
    object, T = _object(models, name, mirrored), np.array(pose).reshape(4, 4)
    x, y, z = (T[:3, :3] @ object.centre_of_mass + T[:3, 3]).tolist()
    distance, pitch = _CAMERA
    camera = tabletop_camera(look_at(distance, np.radians(pitch), target=(x, y, z)))
    return perceive(object, T, camera, seed=seed, table_height=object.lowest(T))
