"""What can be asked for in a made scene, in several wordings of the same and in pairs of opposites.

The wordings of a case differ in the form around the thing's phrase, in its noun, or in both; all else (where to, how
far, what says where) stays. The two sentences of a pair are about the same thing and have the same frame, and where
one clause says both of them ("move X to the left", "... to the right") the same clause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from unihm.scenes import asking_forms as forms
from unihm.scenes.drawing import one_of
from unihm.scenes.records import Thing
from unihm.scenes.referring import Referring, referrings
from unihm.scenes.wanted import Wanted, Wishes
from unihm.schema.task import FAMILY

CANONICAL, OTHER_FORM, HELD_OUT_FORM, HELD_OUT_NAME, BOTH = WORDINGS = (
    "canonical", "other training form", "held-out form", "held-out name", "held-out form and name",
)  # fmt: skip
"""The plainest training form with the usual name, and what is compared with it."""

TRAINING, PLAIN, HELD_OUT = PAIR_WORDS = ("training words", "plainest words", "held-out words")
"""Whose forms the sentences of a pair have; the plainest are those of the canonical wording."""

_TRIES = 25  # for each case
_WHOLE = 0.15  # share of held-out forms that are whole sentences, as in `scenes.asking`
_SIDEWAYS = ("left", "right")
_IMPLIED = {"grab": "up", "push": "away", "pull": "toward"}
_OPENS = {"pull": "open", "open": "open", "grab": "open"}
_OTHERS = {
    usual: others
    for table in (forms.WHERE, forms.VAGUE, forms.VAGUE_UP, forms.SHARE)
    for usuals, others in table.values()
    for usual in usuals
}
"""Words of a slot -> those for the same that never occur in training."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What shall be done with which thing, whatever the words for it."""

    thing: int
    """Its index."""
    task: str
    """Family of the task, as pushing to the left and pulling to the left are one thing to do; of moving parts open or
    close."""
    relation: str = ""
    """Where to; empty of moving parts, and where a thing is only turned."""
    reference: int = -1
    """Index of the thing that says where to, -1 without."""

    @classmethod
    def of(cls, thing: int, part: bool, task: str, relation: str = "", reference: int = -1) -> Meaning:
        """From a task and a relation as `schema.asked.Asked` has them; `part`: whether it is a moving part."""
        if part:
            return cls(thing=thing, task=_OPENS.get(task, "close"))
        return cls(thing=thing, task=FAMILY[task], relation=relation or _IMPLIED.get(task, ""), reference=reference)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two opposite wishes about one thing."""

    name: str
    """Which opposites."""
    meanings: tuple[Meaning, Meaning]
    """What they ask for."""
    words: Mapping[str, tuple[str, str]]
    """One of `PAIR_WORDS` -> a sentence for each."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to do in an image."""

    meaning: Meaning
    """What it is."""
    words: Mapping[str, str]
    """One of `WORDINGS` -> an instruction."""
    pair: Pair
    """Opposites about the same thing."""


@dataclass(frozen=True)
class _Side:
    """One of two opposites: form, relation, task."""

    form: str
    relation: str
    task: str


_FREE = {
    "lift / push away": (_Side("grab", "", "grab"), _Side("push", "away", "push")),
    "pull / push": (_Side("pull toward", "", "pull"), _Side("push away", "", "push")),
    "move left / right": (_Side("place toward", "left", "place"), _Side("place toward", "right", "place")),
    "push left / right": (_Side("push", "left", "push"), _Side("push", "right", "push")),
    "move away / toward": (_Side("place toward", "away", "place"), _Side("place toward", "toward", "place")),
}
_BESIDE = {
    "left of / right of": (_Side("place", "left of", "place"), _Side("place", "right of", "place")),
    "behind / in front of": (_Side("place", "behind", "place"), _Side("place", "in front of", "place")),
}
_PART = {
    "drawer": {"pull / push drawer": (_Side("draw", "", "pull"), _Side("shut", "", "push"))},
    "door": {"open / close": (_Side("open", "", "open"), _Side("close", "", "close"))},
    "lid": {"open / close": (_Side("open lid", "", "open"), _Side("close", "", "close"))},
}


def draw_cases(
    things: Sequence[Thing],
    T_world_camera: Float[np.ndarray, "4 4"],
    rng: np.random.Generator,
    count: int,
    visible: Sequence[int] | None = None,
) -> list[Case]:
    """Different cases about one image; fewer where nothing more can be said in all wordings.

    Args:
        things: What is in view.
        T_world_camera: Pose of the camera.
        rng: Draws everything.
        count: How many.
        visible: Indices of what enough is seen of to be spoken about; default: all.
    """
    drawing = _Drawing(things, T_world_camera, rng, range(len(things)) if visible is None else visible)
    found: dict[str, Case] = {}
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        try:
            case = drawing.case()
        except ValueError:
            continue  # no words for it, or it makes no sense
        found.setdefault(case.words[CANONICAL], case)
    return list(found.values())


class _Drawing:
    """Draws cases about one image."""

    def __init__(
        self, things: Sequence[Thing], T_world_camera: np.ndarray, rng: np.random.Generator, visible: Sequence[int]
    ):
        self.things, self.rng, self.visible = things, rng, visible
        self.wishes = Wishes(things, T_world_camera, rng, False)
        self.phrases = {r.phrase: r for r in referrings(things, T_world_camera, held_out_wording=True)}

    def case(self) -> Case:
        """One of them; raises ValueError where what was drawn cannot be said in all wordings."""
        task = self.wishes.task()
        wanted, target = self.wishes.of_any(task, self.wishes.targets(task))
        if target not in self.visible or (wanted.reference >= 0 and wanted.reference not in self.visible):
            raise ValueError("too little is seen of it")
        name = self._name(target, wanted.relation)
        synonym = self._synonym(name, target)
        slots = self._slots(wanted)
        others = {key: self._held_out(text) for key, text in slots.items()} if self.rng.random() < 0.5 else slots
        form, draw = wanted.form, self.rng.random(3)
        return Case(
            meaning=self._meaning(target, wanted.task, wanted.relation, wanted.reference),
            words={
                CANONICAL: _said(forms.CLAUSES[form], ("{do}.",), name, slots, np.zeros(2)),
                OTHER_FORM: _said(forms.CLAUSES[form], forms.FRAMES, name, slots, draw),
                HELD_OUT_FORM: self._unusual(form, name, others, draw),
                HELD_OUT_NAME: _said(forms.CLAUSES[form], ("{do}.",), synonym, slots, np.zeros(2)),
                BOTH: self._unusual(form, synonym, others, draw),
            },
            pair=self._pair(target),
        )

    def _meaning(self, target: int, task: str, relation: str = "", reference: int = -1) -> Meaning:
        return Meaning.of(target, self.things[target].joint is not None, task, relation, reference)

    def _pair(self, target: int) -> Pair:
        free = [k for k in self.wishes.free if k != target and k in self.visible]
        known = _FREE | (_BESIDE if free else {})
        if self.things[target].joint is not None:
            known = _PART[self.things[target].family]
        title = one_of(self.rng, sorted(known))
        sides = known[title]
        reference = one_of(self.rng, free) if sides[0].relation in _BESIDE_RELATIONS else -1
        name = self._name(target, sides[0].relation or sides[1].relation)
        where = [self._where(side.relation, reference) for side in sides]
        unusual = [self._held_out(text) for text in where] if self.rng.random() < 0.5 else where
        draw = self.rng.random(3)

        def both(words: str) -> tuple[str, str]:
            places = unusual if words == HELD_OUT else where
            one, other = (self._sentence(words, sides[i].form, name, places[i], draw) for i in (0, 1))
            return one, other

        one, other = (self._meaning(target, side.task, side.relation, reference) for side in sides)
        return Pair(name=title, meanings=(one, other), words={words: both(words) for words in PAIR_WORDS})

    def _sentence(self, words: str, form: str, name: Referring, where: str, draw: np.ndarray) -> str:
        slots = {"where": where}
        if words == HELD_OUT:
            return _said(forms.HELD_OUT_CLAUSES[form], forms.HELD_OUT_FRAMES, name, slots, draw)
        if words == PLAIN:
            return _said(forms.CLAUSES[form], ("{do}.",), name, slots, np.zeros(2))
        return _said(forms.CLAUSES[form], forms.FRAMES, name, slots, draw)

    def _unusual(self, form: str, name: Referring, slots: Mapping[str, str], draw: np.ndarray) -> str:
        whole = [s for s in forms.HELD_OUT_SENTENCES.get(form, ()) if name.pronoun == "it" or not forms.singular(s)]
        if whole and draw[2] < _WHOLE:
            return _said(whole, ("{do}",), name, slots, draw)
        return _said(forms.HELD_OUT_CLAUSES[form], forms.HELD_OUT_FRAMES, name, slots, draw)

    def _slots(self, wanted: Wanted) -> dict[str, str]:
        slots = dict(wanted.slots)
        if wanted.reference >= 0:
            slots["where"] = slots["where"].format(r=self._name(wanted.reference, "next to").phrase)
        return slots

    def _where(self, relation: str, reference: int) -> str:
        if not relation:
            return ""
        words = forms.WHERE[relation][0][0]
        return words if reference < 0 else words.format(r=self._name(reference, relation).phrase)

    def _held_out(self, text: str) -> str:
        """The same where, or how far, in words that never occur in training; as it is where there are none."""
        for usual in sorted(_OTHERS, key=len, reverse=True):
            before, found, after = text.partition(usual.replace("{r}", ""))
            if found and _OTHERS[usual] and (not before or before.endswith(" ")):
                return before + one_of(self.rng, _OTHERS[usual]).replace("{r}", "") + after
        return text

    def _name(self, thing: int, relation: str) -> Referring:
        """The plainest phrase with its usual name that tells it from the others."""
        usual, side = self.things[thing].names[0], relation.removesuffix(" of")
        fitting = [
            r
            for r in self.phrases.values()
            if r.fits == (thing,) and not r.held_out and usual in r.phrase and r.refers_by.startswith("name")
            # As in `scenes.asking`: a place behind the noun could be read as where to.
            and not (relation and (r.placed_after or (side in _SIDEWAYS and side in r.phrase)))
        ]  # fmt: skip
        if not fitting:
            raise ValueError("no plain words tell it from the others")
        return min(fitting, key=lambda r: (r.refers_by.count(" and "), len(r.phrase), r.phrase))

    def _synonym(self, name: Referring, thing: int) -> Referring:
        """The same phrase with a noun that never occurs in training, where it fits nothing else."""
        usual = self.things[thing].names[0]
        said = [name.phrase.replace(usual, other) for other in self.things[thing].held_out_names]
        fitting = [self.phrases[phrase] for phrase in said if phrase in self.phrases]
        fitting = [r for r in fitting if r.fits == (thing,)]
        if not fitting:
            raise ValueError("no other noun tells it from the others")
        return one_of(self.rng, fitting)


_BESIDE_RELATIONS = {side.relation for sides in _BESIDE.values() for side in sides}


def _said(
    clauses: Sequence[str], frames: Sequence[str], name: Referring, slots: Mapping[str, str], draw: np.ndarray
) -> str:
    """A clause in a frame; the draws, in [0, 1), say which, so that two sentences can have the same ones."""
    fitting = [c for c in clauses if name.pronoun == "it" or not forms.singular(c)]
    clause = _at(fitting, draw[0]).format(**slots, object=name.phrase, it=name.pronoun)
    frame = _at([f for f in frames if " for me" not in f or " me" not in clause], draw[1])
    text = frame.format(do=clause)
    return text[0].upper() + text[1:]


def _at(items: Sequence[_Item], draw: float) -> _Item:
    return items[int(draw * len(items))]
