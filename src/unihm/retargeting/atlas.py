"""An atlas of answers: for many human hand postures, the best minimum that a wide search finds.

A frame that starts from the answer to a similar posture finds the best minimum nearly always, and finds the same one
however the recording began. The postures are those of the human hand model (`assets/hands/human`), spread over
its joint ranges with the fingers' curls in part together; no recording enters. Making an atlas takes seconds, once for
a hand and a config; it is kept on disk, and made again when anything that it depends on changes.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.cache import cache_folder
from unihm.compiled import compiled
from unihm.hands.description import HANDS_FOLDER, HandDescription, describe_hand
from unihm.retargeting.frame import FAR, FEATURE, NEAREST, Atlas, Memory, from_atlas, look_up
from unihm.retargeting.newton import PRUNED, alike, copy_state, search, turn
from unihm.retargeting.objective import Goal, Problem, Workspace
from unihm.retargeting.problem import points_at
from unihm.retargeting.targets import Layout, prepare
from unihm.schema.storage import atomic_path, load_arrays

_ENTRIES = 512
_STARTS = 64  # random starts an entry
_ROUNDS = 3  # times that entries try their neighbours' answers
_STEPS = 60  # most steps of a search
_VERSION = 8


def make_memory(nq: int, entries: int = _ENTRIES) -> Memory:
    """Memory for steps of a hand with `nq` joints and an atlas of so many entries."""
    return Memory(
        R=np.eye(3),
        t=np.zeros(3),
        q=np.zeros(nq),
        R_human=np.eye(3),
        R_try=np.eye(3),
        t_try=np.zeros(3),
        q_try=np.zeros(nq),
        feature=np.zeros(FEATURE, dtype=np.float32),
        near=np.zeros(NEAREST, dtype=np.int64),
        near_distance=np.zeros(NEAREST, dtype=np.float32),
        distance=np.zeros(entries, dtype=np.float32),
        tried=np.zeros(2 * NEAREST, dtype=np.int64),
        human=np.zeros(13),
    )


def load_atlas(hand: HandDescription, problem: Problem, layout: Layout, goal: Goal, work: Workspace) -> Atlas:
    """The atlas of a problem, from the cache or made now."""
    path = cache_folder() / f"atlas-{hand.name}-{_digest(hand.side, problem, layout, goal)}.npz"
    if path.is_file():
        with suppress(ValueError, KeyError):  # a damaged one: a cache holds nothing that cannot be made again
            arrays = load_arrays(path)
            return Atlas(*(arrays[name] for name in Atlas._fields))
    atlas = make_atlas(hand, problem, layout, goal, work)
    _save(path, atlas)
    return atlas


def make_atlas(
    hand: HandDescription,
    problem: Problem,
    layout: Layout,
    goal: Goal,
    work: Workspace,
    entries: int = _ENTRIES,
    seed: int = 0,
) -> Atlas:
    """Search widely for the answers to `entries` human postures."""
    keypoints = human_postures(hand.side, entries, seed)
    rng = np.random.default_rng(seed)
    nq = len(hand.joint_names)
    low = np.where(np.isfinite(hand.chain.lower), hand.chain.lower, -np.pi)
    high = np.where(np.isfinite(hand.chain.upper), hand.chain.upper, np.pi)
    starts = np.concatenate([hand.rest_qpos[None], rng.uniform(low, high, (_STARTS, nq))])
    tilts = np.concatenate([np.zeros((1, 3)), rng.normal(0.0, 0.4, (_STARTS, 3))])
    atlas = Atlas(
        features=np.zeros((FEATURE, entries), dtype=np.float32),
        q=np.zeros((2 * entries, nq)),
        R=np.tile(np.eye(3), (2 * entries, 1, 1)),
    )
    one = Atlas(features=np.zeros((FEATURE, 1), dtype=np.float32), q=np.zeros((1, nq)), R=np.eye(3)[None])
    cost = np.full(2 * entries, math.inf)
    _fill(
        problem, work, layout, atlas, one, goal, make_memory(nq, entries), keypoints, starts, tilts, cost, np.eye(3),
        _ROUNDS, _STEPS,
    )  # fmt: skip
    return atlas


def human_postures(side: str, count: int, seed: int = 0) -> Float[np.ndarray, "count 21 3"]:
    """Keypoints of a human hand in random postures all over its joint ranges, palm frame, m."""
    human = describe_hand(_human(side))
    names, lower, upper = human.joint_names, human.chain.lower, human.chain.upper
    sample = np.random.default_rng(seed).random((count, len(names) + 1))
    # fingers mostly curl together, the thumb goes its own way
    share = np.where([name.startswith("thumb") for name in names], 1.0, 0.5)
    sample = share * sample[:, :-1] + (1 - share) * sample[:, -1:]
    points = [human.chain.point(item.link, np.array(item.xyz)) for item in human.keypoints]
    return points_at(human.chain, lower + sample * (upper - lower), points)


@compiled
def _fill(
    problem, work, layout, atlas, one, goal, memory, keypoints, starts, tilts, cost, upright, rounds, steps
):  # fmt: skip
    """The two best minima from all starts for every entry, then from the neighbours' answers, round after round."""
    n = len(keypoints)
    for around in range(1 + rounds):
        for e in range(n):
            prepare(layout, keypoints[e], goal, memory)
            if around == 0:
                for i in range(len(memory.feature)):
                    atlas.features[i, e] = memory.feature[i]
                count = len(starts)
            else:
                look_up(atlas, memory)
                count = 2 * len(memory.near)
            for s in range(count):
                if around == 0:
                    for j in range(starts.shape[1]):
                        one.q[0, j] = starts[s, j]
                    turn(upright, tilts[s, 0], tilts[s, 1], tilts[s, 2], one.R[0])
                    from_atlas(problem, work, one, around, goal, memory)
                else:
                    source = 2 * memory.near[s // 2] + s % 2
                    if source < 0 or cost[source] == math.inf:
                        continue
                    from_atlas(problem, work, atlas, source, goal, memory)
                new, status, _ = search(
                    problem, work, goal, memory.R_try, memory.t_try, memory.q_try, steps, 1e-6, cost[2 * e + 1],
                    memory.q, memory.R, 0.0,
                )  # fmt: skip
                if status != PRUNED:
                    _rank(atlas, cost, e, new, memory)


@compiled
def _rank(atlas, cost, e, new, memory):
    """Put the trial state in its place among an entry's two minima, its palm relative to the human's."""
    best, other = 2 * e, 2 * e + 1
    human, R = memory.human, memory.R_try
    for i in range(3):
        for k in range(3):
            memory.R_human[i, k] = human[i] * R[0, k] + human[3 + i] * R[1, k] + human[6 + i] * R[2, k]
    same = alike(memory.q_try, memory.R_human, atlas.q[best], atlas.R[best], FAR)
    if new < cost[best]:
        if cost[best] < math.inf and not same:
            cost[other] = cost[best]
            copy_state(atlas.q[best], atlas.R[best], memory.t, atlas.q[other], atlas.R[other], memory.t)
        place = best
    elif new < cost[other] and not same:
        place = other
    else:
        return
    cost[place] = new
    copy_state(memory.q_try, memory.R_human, memory.t, atlas.q[place], atlas.R[place], memory.t)
    if cost[other] == math.inf:  # no other minimum yet: the same one twice
        copy_state(atlas.q[best], atlas.R[best], memory.t, atlas.q[other], atlas.R[other], memory.t)


def _human(side: str) -> str:
    return "human" if side == "right" else "human_left"


def _digest(side: str, problem: Problem, layout: Layout, goal: Goal) -> str:
    """What an atlas depends on."""
    digest = hashlib.sha256(f"{_VERSION} {_ENTRIES} {_STARTS} {_ROUNDS}".encode())
    for value in (*problem, *layout, goal.c, goal.v, goal.u, goal.lower, goal.upper):
        digest.update(np.ascontiguousarray(value).tobytes())
    for path in sorted((HANDS_FOLDER / _human(side)).iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _save(path: Path, atlas: Atlas) -> None:
    """Write the cache; where no cache can be written the atlas is made anew each time."""
    with suppress(OSError, ValueError), atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **atlas._asdict())
