"""Several attempts at one motion, each simulated on the object as it was perceived, and the best of them kept.

What is executed is chosen before anything is known of how it will go: `best_of` gets a `Perceived` object, whose shape
is closed by a guess and whose mass is assumed, and has no argument that could take the true one. Since all of that is
guessed, what is kept is what goes well in several worlds, and with the hand a little beside its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, pairwise
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.contact_phases import contact_phase, lift_frame
from unihm.geometry.interpolation import rows_at
from unihm.hands.description import HandDescription, describe_hand
from unihm.schema.motion import HandMotion
from unihm.simulation import constants
from unihm.simulation.perceived import Perceived
from unihm.simulation.perceived_part import PerceivedPart
from unihm.simulation.tasks.base import Outcome, run


@dataclass(frozen=True, kw_only=True)
class World:
    """What may be otherwise than it is assumed."""

    mass: float = 1.0
    """Factor on the assumed mass."""
    friction: float = 1.0
    """Factor on the assumed friction."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Along x and y, m."""
    size: float = 1.0
    """Factor on all lengths."""


_SHIFT, _SIZES = 0.005, (0.93, 1.07)  # m; about what a completed shape errs by (docs/benchmarks.md)
WORLDS = (
    World(),
    World(mass=2.0),
    World(friction=0.625),
    *(World(shift=(x * _SHIFT, y * _SHIFT)) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))),
    *(World(size=size) for size in _SIZES),
)
"""In what candidates are tried; the first is as it is assumed.

Full bottles weigh twice the assumed density, and 0.8 becomes the lowest friction that is judged.
"""
_STAGES = (1, 3, 5, 7, len(WORLDS))  # a motion goes on to the next ones where it succeeds in all up to here
_ROUND = 4  # motions that are tried between two looks whether that is enough


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of a candidate on the perceived object."""

    outcome: Outcome
    """In the first of `WORLDS`."""
    held: float
    """Share of `WORLDS` (of parts that move, of the first three) in which it is known to succeed."""


@dataclass(frozen=True, kw_only=True)
class CandidateSigma:
    """How far candidates stray, one standard deviation each.

    The palm's are about what perception errs by (FACTS 8: grasps survive 3 to 6 mm and 3 degrees, so that a candidate
    farther off is another grasp and not the same one again).
    """

    shift: float = 0.006
    """Of the palm along each of its axes, m."""
    turn: float = 4.0
    """Of the palm about each of its axes, degrees."""
    closing: float = 0.08
    """Of how far the fingers close, as a share of the way from the open hand to the grasp."""
    squeeze: float = 0.3
    """Of the commanded squeeze, as a factor's logarithm."""
    timing: float = 0.06
    """Of the fingers' time against the palm's, s: positive closes earlier."""


def candidates(
    motions: Sequence[HandMotion],
    n: int,
    seed: int = 0,
    sigma: CandidateSigma | None = None,
    *,
    hand: HandDescription | None = None,
) -> tuple[HandMotion, ...]:
    """Motions, and variations of them in turn until there are n.

    A variation grasps at another place of the palm (the same shift and turn in the palm's own frame in every frame of
    the contact phase, blended in while the hand approaches), with fingers that close more or less, squeeze more or
    less, earlier or later. Its joints stay within their limits.

    Args:
        motions: Motions of one hand, the most promising first; at least one. With neither `contact_phase` nor an
            object path all of a motion counts as contact.
        n: How many in all.
        seed: Candidate i is the same for every n.
        sigma: How far they stray.
        hand: Its hand; by default the one that it names.

    Raises:
        ValueError: n is below 1, or there is no motion.
    """
    if n < 1 or not motions:
        raise ValueError(f"Expected at least one candidate, got {min(n, len(motions))}.")
    hand = describe_hand(motions[0].hand) if hand is None else hand
    sigma = sigma or CandidateSigma()
    varied = (_varied(motions[i % len(motions)], hand, sigma, seed, i) for i in range(len(motions), n))
    return (*motions[:n], *varied)


def best_of(
    motions: Iterable[HandMotion],
    perceived: Perceived | PerceivedPart,
    task: str,
    *,
    families: int | None = None,
    criterion: str = "full",
    friction: float = constants.FRICTION,
    table_height: float | None = None,
    hand: HandDescription | None = None,
    enough: int | None = None,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> tuple[int, tuple[Attempt, ...]]:
    """Simulate each motion on the perceived object in all of `WORLDS`, and say which went best (`most_robust`).

    Args:
        motions: Candidates, taken as they are wanted; what a motion itself carries of the object (its cloud) is not
            looked at, and its object path only as movement.
        perceived: What is known of the object, or of the drawer, door or lid.
        task: Key of `TASKS`.
        families: See `most_robust`.
        criterion: See the task.
        friction: Sliding friction that is assumed.
        table_height: m; by default the perceived object's lowest point, of parts 0.
        hand: The motions' hand; by default the one that they name.
        enough: Motions are tried four at a time, and those that succeed in the other worlds as well, until so many have
            held in all of them; None tries all. Who fails in one of two is not tried in the next two.
        workers: Threads (a step of MuJoCo leaves the interpreter to others); the result does not depend on it.
        progress: Told how many are done, whenever one is.

    Returns:
        Index of the best, and what became of all that were tried.

    Raises:
        ValueError: There is no motion, or see `unihm.simulation.tasks.prepare`.
    """
    if workers < 1:
        raise ValueError(f"Expected at least one worker, got {workers}.")
    tried_in = partial(
        _tried,
        perceived=perceived,
        task=task,
        criterion=criterion,
        friction=friction,
        table_height=table_height,
        hand=hand,
    )
    stages = _STAGES[:2] if isinstance(perceived, PerceivedPart) else _STAGES
    attempts: list[Attempt] = []
    left = iter(motions)
    with ThreadPoolExecutor(workers) as pool:
        while several := list(islice(left, _ROUND)):
            for motion, outcome in zip(several, pool.map(partial(tried_in, world=0), several), strict=True):
                good = int(outcome.success)
                known = sum(one.held == 1.0 for one in attempts)
                for first, end in pairwise(stages):
                    if good == first and (enough is None or known < enough):
                        others = pool.map(partial(tried_in, motion), range(first, end))
                        good += sum(one.success for one in others)
                attempts.append(Attempt(outcome=outcome, held=good / stages[-1]))
                if progress is not None:
                    progress(len(attempts))
            if enough is not None and sum(one.held == 1.0 for one in attempts) >= enough:
                break
    if not attempts:
        raise ValueError("Expected at least one candidate, got none.")
    return most_robust(attempts, families), tuple(attempts)


def most_robust(attempts: Sequence[Attempt], families: int | None = None) -> int:
    """Index of the attempt that promises most.

    That is the one that held in most worlds, on the mean of itself and its family; then the one that came farthest in
    the first world; among equals the first, which is the most promising of `candidates`.

    Args:
        attempts: One per candidate; at least one.
        families: Attempts i and i + `families` are variations of the same motion; by default each stands alone.
    """
    held = np.array([attempt.held for attempt in attempts])
    count = len(attempts) if families is None else families
    family = np.array([held[i % count :: count].mean() for i in range(len(attempts))])
    merit = (held + family) / 2
    return max(range(len(attempts)), key=lambda i: (round(merit[i], 9), attempts[i].outcome.progress, -i))


def _tried(
    motion: HandMotion,
    world: int,
    perceived: Perceived | PerceivedPart,
    task: str,
    criterion: str,
    friction: float,
    table_height: float | None,
    hand: HandDescription | None,
) -> Outcome:
    """What becomes of a motion in one of `WORLDS`."""
    otherwise = WORLDS[world]
    outcome, _ = run(
        task,
        motion,
        **_changed(perceived, otherwise),
        criterion=criterion,
        friction=otherwise.friction * friction,
        early=True,
        table_height=0.0 if table_height is None and isinstance(perceived, PerceivedPart) else table_height,
        hand=hand,
    )
    return outcome


def _changed(perceived: Perceived | PerceivedPart, world: World) -> dict[str, Any]:
    """What stands in the world."""
    if isinstance(perceived, PerceivedPart):
        return {"fixture": replace(perceived, heaviness=world.mass)}
    solid, T = perceived.object, perceived.T_world_object.copy()
    changed = replace(solid, mass=world.mass * world.size**3 * solid.mass)
    if world.size != 1.0:
        changed = replace(
            changed, vertices=world.size * solid.vertices, parts=tuple(world.size * part for part in solid.parts)
        )
        T[2, 3] += solid.lowest(T) - changed.lowest(T)
    T[:2, 3] += world.shift
    return {"object": changed, "T_world_object": T}


def _varied(motion: HandMotion, hand: HandDescription, sigma: CandidateSigma, seed: int, number: int) -> HandMotion:
    columns = [hand.joint_names.index(name) for name in motion.joint_names]
    limits = hand.chain.lower[columns], hand.chain.upper[columns]
    rng = np.random.default_rng([seed, number])
    shift, turn = sigma.shift * rng.standard_normal(3), np.radians(sigma.turn) * rng.standard_normal(3)
    closing, squeeze, timing = rng.standard_normal(3) * (sigma.closing, sigma.squeeze, sigma.timing)
    phase = _phase(motion)

    delta = np.tile(np.eye(4), (len(motion), 1, 1))
    delta[:, :3, :3] = Rotation.from_rotvec(phase[:, None] * turn).as_matrix()
    delta[:, :3, 3] = phase[:, None] * shift
    T_world_palm = motion.T_world_palm @ delta

    frames = np.arange(len(motion)) + timing * motion.fps
    qpos = rows_at(motion.qpos, frames)
    target = qpos if motion.qpos_target is None else rows_at(motion.qpos_target, frames)
    late = np.interp(frames, np.arange(len(motion)), phase)[:, None]
    more = closing * late * (qpos - motion.qpos[0])  # on the way from the open hand on
    return motion.replace(
        T_world_palm=T_world_palm,
        qpos=np.clip(qpos + more, *limits),
        qpos_target=np.clip(qpos + more + np.exp(squeeze) * (target - qpos), *limits),
    )


def _phase(motion: HandMotion) -> Float[np.ndarray, " T"]:
    """How much the hand holds the object: stated, else from when the object moves, else 1."""
    if motion.contact_phase is not None:
        return np.asarray(motion.contact_phase, dtype=np.float64)
    if motion.T_world_object is None:
        return np.ones(len(motion))
    return contact_phase(len(motion), lift_frame(motion.T_world_object))
