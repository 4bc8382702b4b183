"""What is wanted of a free object where nothing else stands, and sentences that ask for it.

The forms are those of instructions about scenes (`scenes.asking_forms`), training ones alone: held-out forms, phrases
and names stay unheard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unihm.datasets import phrases
from unihm.datasets.instructions import EpisodeFacts, speed_of
from unihm.datasets.object_names import ObjectNames, is_plural
from unihm.planning.amounts import DISTANCES
from unihm.scenes import asking_forms as forms
from unihm.scenes.asked_amounts import angle_words, distance_words
from unihm.scenes.drawing import one_of
from unihm.schema.task import DIRECTIONS

COUNT = 6
"""Sentences of an episode."""
_LIMITS: Mapping[str, tuple[float, float]] = {"place": (0.05, 0.3), "push": (0.1, 0.3), "pull": (0.1, 0.3)}  # m
_VAGUE = {"place": "little", "push": "far", "pull": "far"}  # a slide of less than 8 cm is not judged
_OPPOSITE = {"push": "toward", "pull": "away"}  # nobody pushes something here or pulls it away
_TURNED, _AND_TURNED, _PLAIN, _COUNTED = 0.1, 0.2, 0.35, 0.85  # shares, the last two one upon the other
_SAID, _WHOLE, _MANNER = 0.7, 0.15, 0.3  # shares of sentences that say how far, are whole, and say how
_TRIES = 60


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is wanted of a free object."""

    task: str
    """``place``, ``push`` or ``pull``."""
    form: str
    """Key of the clauses in `scenes.asking_forms` that ask for it without saying how far."""
    relation: str
    """Where to, see `planning.goals.RELATIONS`."""
    amount: float | None = None
    """How far, m; None for the usual."""
    vague: str = ""
    """``little`` or ``far`` where that is how far."""
    turn: float = 0.0
    """About the vertical, rad."""
    turn_words: str = ""
    """The same in words."""


def draw_wish(task: str, rng: np.random.Generator, *, round: bool) -> Wish:
    """Something wanted.

    Args:
        task: ``place``, ``push`` or ``pull``.
        rng: Draws it.
        round: Whether nobody would see the object turned.
    """
    if task == "place" and not round and rng.random() < _TURNED:
        words, turn = angle_words(rng)
        return Wish(task=task, form="turn", relation="", turn=turn, turn_words=words)
    relation = one_of(rng, [name for name in DIRECTIONS[1:] if name != _OPPOSITE.get(task)])
    form = "place toward" if task == "place" else task
    drawn = rng.random()
    amount, vague = None, ""
    if drawn >= _COUNTED:
        vague = _VAGUE[task]
        amount = getattr(DISTANCES[task], vague)
    elif drawn >= _PLAIN:
        amount = distance_words(rng, _LIMITS[task])[1]
    if task == "place" and not round and not vague and rng.random() < _AND_TURNED:
        words, turn = angle_words(rng)
        return Wish(
            task=task, form="place and turn", relation=relation, amount=amount, turn=turn, turn_words=words
        )  # fmt: skip
    return Wish(task=task, form=form, relation=relation, amount=amount, vague=vague)


def sentences(
    wish: Wish, names: ObjectNames, facts: EpisodeFacts, rng: np.random.Generator, count: int = COUNT
) -> tuple[str, ...]:
    """Distinct sentences that ask for it, the first one saying all of it.

    Args:
        wish: What is wanted.
        names: Of the object.
        facts: From where the hand comes and how fast the object goes; some sentences say it.
        rng: Draws them.
        count: How many.
    """
    words = (names.name, *names.synonyms)
    first = int(rng.integers(len(words)))
    found: dict[str, None] = {}
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        said = not found or rng.random() < _SAID
        found[_sentence(wish, words[(first + len(found)) % len(words)], facts, rng, said)] = None
    assert len(found) == count, f"'{wish.form}' has too few forms"
    return tuple(found)


def _sentence(wish: Wish, name: str, facts: EpisodeFacts, rng: np.random.Generator, said: bool) -> str:
    plural = is_plural(name)
    slots = {"object": f"the {name}", "it": "them" if plural else "it", "turn": wish.turn_words}
    form = wish.form
    if wish.relation:
        slots["where"] = one_of(rng, forms.WHERE[wish.relation][0])
    if said and wish.vague:
        form, slots["vague"] = f"{form} vague", one_of(rng, forms.VAGUE[wish.vague][0])
        if wish.vague == "far":
            slots["where"] = forms.WHERE[wish.relation][0][0]  # nobody says "far farther away"
    elif said and wish.amount is not None:
        far, _ = distance_words(rng, (wish.amount - 1e-9, wish.amount + 1e-9))
        if form == "place and turn":
            slots["where"] = f"{far} {slots['where']}"
        else:
            form, slots["far"] = f"{form} far", far
    whole = [s for s in forms.SENTENCES.get(form, ()) if not plural or not forms.singular(s)]
    if whole and rng.random() < _WHOLE:
        text = one_of(rng, whole).format(**slots)
    else:
        clause = one_of(rng, [c for c in forms.CLAUSES[form] if not plural or not forms.singular(c)]).format(**slots)
        if rng.random() < _MANNER:
            clause = _with_manner(clause, facts, rng)
        frames = [f for f in forms.FRAMES if " for me" not in f or " me" not in clause]
        text = one_of(rng, frames).format(do=clause)
    return text[0].upper() + text[1:]


def _with_manner(clause: str, facts: EpisodeFacts, rng: np.random.Generator) -> str:
    """With from where the hand comes, or how fast the object goes."""
    if rng.random() < 0.5:
        return f"reach {one_of(rng, phrases.APPROACH[0][facts.approach])} and {clause}"
    return f"{clause} {one_of(rng, phrases.SPEED[0][speed_of(facts)])}"
