"""What a person might have said to ask for a recorded motion, from facts of the episode put into words.

Section 3.1 of the paper lets a vision-language model look at keyframes and return five instructions, as
`unihm.annotation` does. Differs from the paper: here the facts (from where the hand comes, which fingers hold, where
the object goes, how high, how fast) are measured, and `sentence_forms` and `phrases` put them into words. This costs
nothing and gives as many wordings as a training wants.

Directions are those of somebody who looks through the camera: left and right of the image, toward the
camera and away from it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from unihm.datasets import phrases
from unihm.datasets.oakink_names import category_names
from unihm.datasets.object_names import OBJECT_NAMES, ObjectNames, is_plural, object_names
from unihm.datasets.sentence_forms import forms, slots, stated
from unihm.kinematics.keypoints import FINGERS, TIPS, WRIST
from unihm.registry import unknown_name
from unihm.schema.episode import Episode

VERSION = "sentences-2"
"""Changes with the words and with how facts are measured; annotations state it."""
COUNT = 6
_NEAR, _FAR = 0.018, 0.028  # m; in DexYCB the tips that hold an object are 2 to 16 mm from its cloud, median 8 mm
_HOLD_FRAMES = 9  # looked at for the fingers that hold
_ON_TABLE = 0.015  # m; fitted tables and annotated objects agree to 5 mm (95 %), stacked objects start at 44 mm
_LIFTED = 0.03  # m; an object that is only moved along the table rises less, tilting included
_ABOVE = np.deg2rad(60)  # elevation of the wrist over the object from which a hand comes "from above"
_STEEP = np.deg2rad(70)  # elevation of the object's path from which it goes "straight up"
_SPEEDS = {"slow": 0.23, "middle": 0.30, "fast": np.inf}  # m/s below which a speed is one; terciles of DexYCB's means
_HEIGHTS = {"low": 0.08, "middle": 0.18, "high": 0.30, "top": np.inf}  # m, likewise for the rise

VALUES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "approach": {side: {"approach": side} for side in phrases.APPROACH[0]},
    "travel": {way: {"travel": way} for way in phrases.TRAVEL[0]} | {"up": {"travel": "up", "height": 0.24}},
    "height": {"low": {"height": 0.05}, "middle": {"height": 0.13}, "high": {"height": 0.24}, "top": {"height": 0.4}},
    "speed": {"slow": {"speed": 0.15}, "middle": {"speed": 0.26}, "fast": {"speed": 0.45}},
    "grip": {str(k): {"fingers": FINGERS[:k]} for k in range(2, 6)},
}
"""What can be asked for (`asking`): slot, value, and the facts that it stands for."""


@dataclass(frozen=True, kw_only=True)
class EpisodeFacts:
    """What the words may say of an episode."""

    id: str
    """The episode; with the seed it decides which words are chosen."""
    names: ObjectNames
    """Words for the object."""
    approach: str
    """From where the hand reaches: ``front``, ``behind``, ``left``, ``right``, ``above``."""
    travel: str
    """Where the object goes: ``up``, ``closer``, ``away``, ``left``, ``right``."""
    height: float
    """Largest rise of the object, m."""
    speed: float
    """Mean speed of the object after the lift, m/s."""
    fingers: tuple[str, ...]
    """Names of the fingers whose tips hold the object, in the order of `FINGERS`; empty where that is not clear."""
    on_table: bool
    """Whether the object lies on the table at the start, and not on something else."""


def speed_of(facts: EpisodeFacts) -> str:
    """What the object's speed is called: ``slow``, ``middle`` or ``fast``."""
    return next(name for name, limit in _SPEEDS.items() if facts.speed < limit)


def names_of(episode: Episode) -> ObjectNames:
    """What people call the object of an episode: by its own name, else by the category that the reader states."""
    category = episode.attributes.get("category")
    if category is not None and episode.object_name not in OBJECT_NAMES:
        return category_names(category)
    return object_names(episode.object_name)


def is_lift(episode: Episode) -> bool:
    """Whether the sentences here can be true of it: they tell lifts; composed episodes of other tasks have theirs."""
    return episode.attributes.get("task", "grab") == "grab"


def episode_facts(episode: Episode, names: ObjectNames) -> EpisodeFacts:
    """Measure what can be said of an episode."""
    lift = min(episode.lift_frame, len(episode) - 1)
    T, position = episode.T_world_object, episode.T_world_object[:, :3, 3]
    centre = episode.object_points.mean(axis=0) @ T[lift, :3, :3].T + position[lift]
    reach = episode.keypoints_world[min(episode.contact_frame, lift), WRIST] - centre
    lowest = (episode.object_points @ T[0, :3, :3].T + position[0])[:, 2].min()
    steps = np.linalg.norm(np.diff(position[lift:], axis=0), axis=1)
    return EpisodeFacts(
        id=episode.id,
        names=names,
        approach=_side(episode, reach, _ABOVE, ("above", "front", "behind", "left", "right")),
        travel=_side(episode, position[-1] - position[lift], _STEEP, ("up", "closer", "away", "left", "right")),
        height=float(position[lift:, 2].max() - position[0, 2]),
        speed=float(steps.mean() * episode.fps) if len(steps) else 0.0,
        fingers=_fingers(episode, lift),
        on_table=bool(lowest < _ON_TABLE),
    )


def instructions(
    facts: EpisodeFacts,
    seed: int = 0,
    *,
    count: int = COUNT,
    held_out: bool = False,
    stating: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Distinct sentences that ask for the motion that `facts` describe; cheap enough to draw new ones in each epoch.

    Args:
        facts: What may be said.
        seed: Same seed and episode, same sentences.
        count: How many.
        held_out: Use forms, phrases and object words that never occur in training.
        stating: Every sentence states these slots of `VALUES` and no other; by default they state what they like.

    Raises:
        ValueError: There are not that many sentences, or `stating` names what there is not.
    """
    for slot in stating or ():
        if slot not in VALUES:
            raise unknown_name("Slot", slot, VALUES)
    filling = _filling(facts, held_out)
    wanted = None if stating is None else frozenset(stating)
    usable = _usable(held_out, facts.height >= _LIFTED, facts.on_table, frozenset(filling), wanted)
    names = facts.names.held_out if held_out else (facts.names.name, *facts.names.synonyms)
    rng = random.Random(f"{seed}/{facts.id}")
    first = rng.randrange(len(names))
    turns = [_Turns(form, names, filling) for form in rng.sample(usable, len(usable))]
    found: dict[str, None] = {}  # a set that keeps its order
    while turns and len(found) < count:
        for turn in turns:  # each form once before any comes again
            sentence = turn.next(rng, first + len(found))
            if sentence is not None:
                found[sentence] = None
            if len(found) >= count:
                break
        turns = [turn for turn in turns if turn.left]
    if len(found) < count:
        what = f"stating {', '.join(stating) or 'nothing'} of" if stating is not None else "for"
        raise ValueError(f"{count} instructions are wanted, there are {len(found)} {what} '{facts.id}'.")
    return tuple(found)


def asking(
    facts: EpisodeFacts, slot: str, value: str, seed: int = 0, *, count: int = COUNT, held_out: bool = False
) -> tuple[str, ...]:
    """Sentences that all ask for one thing, which need not be what happened: tests whether a generator follows.

    For ``approach`` and ``speed``, sentences of the same seed differ between values in the phrase alone.

    Args:
        facts: Of the episode; only the object's words and the slot are used.
        slot: What is asked for, a name in `VALUES`.
        value: Which one, a name in ``VALUES[slot]``.
        seed: Same seed and episode, same sentences.
        count: How many.
        held_out: Use forms, phrases and object words that never occur in training.

    Raises:
        ValueError: There is no such slot or value, or there are not that many sentences.
    """
    if slot not in VALUES:
        raise unknown_name("Slot", slot, VALUES)
    if value not in VALUES[slot]:
        raise unknown_name(f"Value of {slot}", value, VALUES[slot])
    asked = replace(facts, **VALUES[slot][value])
    return instructions(asked, seed, count=count, held_out=held_out, stating=(slot,))


class _Turns:
    """All ways to fill one form, each given once, in a random order."""

    def __init__(self, form: str, names: Sequence[str], filling: Mapping[str, Sequence[str]]):
        self.form, self.names = form, names
        self.choices = [(slot, filling[slot]) for slot in sorted(slots(form))]
        self.left: list[int] | range = range(len(names) * prod(len(words) for _, words in self.choices))

    def next(self, rng: random.Random, turn: int) -> str | None:
        """A sentence that this form has not made yet; the first time with the name whose turn it is."""
        if isinstance(self.left, range):
            size = len(self.left) // len(self.names)
            number = turn % len(self.names) * size + rng.randrange(size)
            self.left = [k for k in rng.sample(self.left, len(self.left)) if k != number]
        else:
            number = self.left.pop()
        values = {}
        for slot, words in self.choices:
            number, index = divmod(number, len(words))
            values[slot] = words[index]
        return _sentence(self.form, self.names[number], values)


def _sentence(form: str, name: str, values: Mapping[str, str]) -> str:
    plural = is_plural(name)
    words = {"object": name, "it": "them" if plural else "it", "it_is": "they are" if plural else "it is"}
    sentence = form.format(**{slot: phrase.format(**words) for slot, phrase in values.items()}, **words)
    return sentence[0].upper() + sentence[1:]


@cache
def _usable(
    held_out: bool, lifted: bool, on_table: bool, known: frozenset[str], wanted: frozenset[str] | None
) -> tuple[str, ...]:
    """Forms that say nothing untrue and need no phrase that there is not."""
    return tuple(
        form
        for form in forms(held_out=held_out, lifted=lifted)
        if slots(form) <= known and (on_table or "table" not in form) and (wanted is None or stated(form) == wanted)
    )


def _filling(facts: EpisodeFacts, held_out: bool) -> dict[str, tuple[str, ...]]:
    """Phrases that are true of the episode, by the slot of a form that they may fill."""
    height = phrases.HEIGHT[held_out][next(name for name, limit in _HEIGHTS.items() if facts.height < limit)]
    speed = phrases.SPEED[held_out][speed_of(facts)]
    filling = {
        "approach": phrases.APPROACH[held_out][facts.approach],
        "travel": phrases.TRAVEL[held_out][facts.travel],
        "height": tuple(phrase for phrase in height if facts.on_table or "table" not in phrase),
        "speed": speed,
        "adverb": phrases.adverbs(speed),
        "aside": phrases.TRAVEL[held_out][facts.travel] if facts.travel != "up" else (),
        "grip": phrases.grip(facts.fingers, held_out),
    }
    return {slot: words for slot, words in filling.items() if words}


def _fingers(episode: Episode, lift: int) -> tuple[str, ...]:
    """Fingers whose tips stay at the object while it is held; none where one is neither at it nor away from it."""
    frames = np.unique(np.linspace(lift, len(episode) - 1, _HOLD_FRAMES).round().astype(int))
    T = episode.T_world_object[frames]
    tips = episode.keypoints_world[frames][:, list(TIPS)] - T[:, None, :3, 3]
    tips_object = np.einsum("tij,tki->tkj", T[:, :3, :3], tips)  # R^T of the object, applied to rows
    distance = np.median(KDTree(episode.object_points).query(tips_object)[0], axis=0)
    if ((distance >= _NEAR) & (distance <= _FAR)).any():
        return ()
    return tuple(finger for finger, d in zip(FINGERS, distance, strict=True) if d < _NEAR)


def _side(episode: Episode, direction: np.ndarray, steep: float, words: tuple[str, ...]) -> str:
    """Which of (up, toward the camera, away, left, right) a world direction is, as seen by the camera."""
    up, closer, away, left, right = words
    if np.arctan2(direction[2], np.linalg.norm(direction[:2])) > steep:
        return up
    view = episode.T_world_camera[:2, 2] / np.linalg.norm(episode.T_world_camera[:2, 2])
    forward = direction[:2] @ view
    leftward = direction[:2] @ np.array([-view[1], view[0]])
    if abs(forward) >= abs(leftward):
        return away if forward > 0 else closer
    return left if leftward > 0 else right
