"""What can be said of things in view: noun phrases, and which things each of them fits.

A phrase is a noun (a name, a class word, or "thing"), perhaps with a colour, and perhaps with one more word or clause:
pattern, shape, a comparison, a place. Each is judged on the true things as no, maybe or yes; a phrase that fits
something only maybe is not offered, so that whoever reads one of these agrees on what it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.scenes.appearance import COLOURS
from unihm.scenes.families import FAMILIES, TRAINING
from unihm.scenes.fitting_words import GENERIC, fits_colour, fits_noun, fits_pattern, fits_place, fits_shape
from unihm.scenes.furniture import WORDS
from unihm.scenes.records import Thing
from unihm.scenes.seen import MAYBE, NO, YES, Seen

PARTS = {"drawer": "cabinet", "door": "cabinet", "lid": "box"}
"""Moving part -> what it is a part of."""

# Phrases around a noun for the one of two, the one of more, and those that never occur in training.
_Phrases = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_SIZE: dict[str, _Phrases] = {
    "biggest": (("bigger {n}", "larger {n}"), ("biggest {n}", "largest {n}"), ("bulkiest {n}",)),
    "smallest": (("smaller {n}",), ("smallest {n}", "littlest {n}"), ("tiniest {n}",)),
    "big": (("big {n}", "large {n}"), (), ("sizeable {n}",)),
    "small": (("small {n}", "little {n}"), (), ("tiny {n}",)),
    "tallest": (("taller {n}",), ("tallest {n}",), ("loftiest {n}",)),
    "shortest": (("shorter {n}",), ("shortest {n}",), ("{n} of least height",)),
    "longest": (("longer {n}",), ("longest {n}",), ("lengthiest {n}",)),
}
# Of two, "the can closer to me" is not offered: in "pull the can closer to me" that is where it shall go.
_PLACE: dict[str, _Phrases] = {
    "leftmost": (
        ("left {n}", "{n} on the left", "left-hand {n}"),
        ("leftmost {n}", "{n} farthest to the left"),
        ("{n} at the extreme left",),
    ),
    "rightmost": (
        ("right {n}", "{n} on the right", "right-hand {n}"),
        ("rightmost {n}", "{n} farthest to the right"),
        ("{n} at the extreme right",),
    ),
    "nearest": (
        ("front {n}", "nearer {n}", "{n} at the front"),
        ("nearest {n}", "{n} closest to me", "{n} at the front"),
        ("{n} at the viewer's edge",),
    ),
    "farthest": (
        ("back {n}", "{n} at the back"),
        ("farthest {n}", "{n} farthest away from me", "{n} at the back"),
        ("rearmost {n}",),
    ),
    "middle": ((), ("middle {n}", "{n} in the middle"), ("central {n}",)),
}
_BESIDE = {kind: _PLACE[kind] for kind in ("leftmost", "rightmost", "middle")}  # what is said of moving parts
_PART = {"top": "topmost", "bottom": "bottommost", "left": "leftward", "right": "rightward"}
"""Where a part is among the others -> the same in words that never occur in training."""
_RELATION: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "left of": (("to the left of", "left of"), ("on the left-hand side of",)),
    "right of": (("to the right of", "right of"), ("on the right-hand side of",)),
    "behind": (("behind",), ("to the rear of",)),
    "in front of": (("in front of",), ("on the viewer's side of",)),
    "next to": (("next to", "beside"), ("adjacent to",)),
}
_JUDGED = {"pattern": fits_pattern, "shape": fits_shape, "place": fits_place}
_PLURAL = frozenset({"pliers", "scissors", "tissues", "pincers", "snips", "shears"})
_TONED = tuple(f"{tone} {name}".strip() for name, tones in COLOURS.items() for tone in tones)


@dataclass(frozen=True, kw_only=True)
class Referring:
    """One noun phrase and what it fits."""

    phrase: str
    """With its article: "the red mug"."""
    refers_by: str
    """What tells: name, class, colour, pattern, shape, size, place, part; two or three joined by "and"."""
    fits: tuple[int, ...]
    """Indices of the things that it fits; none where there is no such thing in view."""
    held_out: bool
    """Whether it holds a word that never occurs in training."""
    pronoun: str
    """Either "it" or "them"."""
    placed_after: bool = False
    """Whether its place is told behind the noun: "the can on the left", where another place must not follow."""


@dataclass(frozen=True)
class _Base:
    """A noun, perhaps with a colour."""

    before: str
    noun: str
    kinds: tuple[str, ...]
    fits: np.ndarray
    held_out: bool

    def said(self, form: str, kind: str, fits: Sequence[int] | np.ndarray, held_out: bool = False) -> Referring:
        kinds = (*self.kinds, *([kind] if kind else []))
        words = form.format(n=f"{self.before}{self.noun}")
        after = kind == "place" and not form.endswith("{n}")
        return _referring(words, self.noun, kinds, fits, self.held_out or held_out, after)


def referrings(
    things: Sequence[Thing], T_world_camera: Float[np.ndarray, "4 4"], *, held_out_wording: bool = False
) -> tuple[Referring, ...]:
    """All phrases that fit one or more things without doubt.

    Args:
        things: What is in view.
        T_world_camera: Pose of the camera, which says what is left and what is near.
        held_out_wording: With those that never occur in training as well.
    """
    view = _View(things, T_world_camera)
    found: dict[str, Referring] = {}
    bases = [base for base in _bases(things, held_out_wording) if (base.fits == YES).any()]
    anchors = _anchors(bases, things)
    for base in bases:
        for new in _phrases(base, view, anchors):
            if held_out_wording or not new.held_out:
                found.setdefault(new.phrase, new)
    return tuple(found.values())


def absent(
    things: Sequence[Thing],
    rng: np.random.Generator,
    *,
    parts: Sequence[str] = (),
    held_out_wording: bool = False,
) -> Referring:
    """A phrase that fits nothing in view, not even maybe: a name, or a colour and a name of which another is in view.

    Args:
        things: What is in view.
        rng: Draws it.
        parts: Kinds of moving parts that it may be about, of `furniture.WORDS`; without, it is about a free object.
        held_out_wording: Only nouns that never occur in training.

    Raises:
        ValueError: Every noun fits something.
    """
    families = FAMILIES if held_out_wording else TRAINING
    known = {name: (FAMILIES[name].held_out, (name, *FAMILIES[name].synonyms)) for name in families}
    if parts:
        known = {kind: (WORDS[kind][1], WORDS[kind][0]) for kind in parts}
    named = [("", noun) for never, usual in known.values() for noun in (never if held_out_wording else usual)]
    coloured = [
        (colour, noun)
        for thing in things
        for noun in (thing.held_out_names if held_out_wording else thing.names)
        for colour in COLOURS
        if (thing.family in parts if parts else thing.joint is None)
    ]
    for pool in (coloured, named) if rng.random() < 0.5 else (named, coloured):
        for k in rng.permutation(len(pool)):
            colour, noun = pool[k]
            if all(NO in (fits_noun(noun, t), fits_colour(colour, t) if colour else MAYBE) for t in things):
                kinds = ("name", "colour") if colour else ("name",)
                return _referring(f"{colour} {noun}".strip(), noun, kinds, (), held_out_wording)
    raise ValueError(f"Every known noun fits one of the {len(things)} things in view.")


class _View:
    """What is asked again and again about the things in view."""

    def __init__(self, things: Sequence[Thing], T_world_camera: Float[np.ndarray, "4 4"]):
        self.free = np.array([thing.joint is None for thing in things], dtype=bool)
        self.fixture = np.array([thing.fixture for thing in things])
        self.seen = Seen(things, T_world_camera)
        self.relations = {kind: self.seen.relation(kind) for kind in _RELATION}
        words = {(kind, word) for thing in things for kind in _JUDGED for word in thing.attributes.get(kind, ())}
        self.described = [(kind, word, _judged(_JUDGED[kind], word, things)) for kind, word in sorted(words)]


def _judged(judge: Callable[[str, Thing], int], word: str, things: Sequence[Thing]) -> np.ndarray:
    return np.array([judge(word, thing) for thing in things], dtype=int)


def _referring(
    words: str,
    noun: str,
    kinds: Sequence[str],
    fits: Sequence[int] | np.ndarray,
    held_out: bool,
    placed_after: bool = False,
) -> Referring:
    plural = noun.split()[-1] in _PLURAL and " of " not in noun
    return Referring(
        phrase=f"the {words}",
        refers_by=" and ".join(kinds),
        fits=tuple(int(k) for k in fits),
        held_out=held_out,
        pronoun="them" if plural else "it",
        placed_after=placed_after,
    )


def _bases(things: Sequence[Thing], held_out_wording: bool) -> Iterator[_Base]:
    nouns: dict[str, tuple[tuple[str, ...], bool]] = {noun: ((), False) for noun in GENERIC}
    for thing in things:
        nouns |= {word: (("class",), False) for word in thing.class_words}
        nouns |= {name: (("name",), False) for name in thing.names}
        if held_out_wording:
            nouns |= {name: (("name",), True) for name in thing.held_out_names}
    colours = {colour: _judged(fits_colour, colour, things) for colour in _TONED}
    for noun, (kinds, held_out) in nouns.items():
        fits = _judged(fits_noun, noun, things)
        yield _Base("", noun, kinds, fits, held_out)
        for colour, coloured in colours.items():
            both = np.minimum(fits, coloured)
            if (both == YES).any() and colour.split()[-1] not in noun.split():
                yield _Base(f"{colour} ", "one" if noun == "item" else noun, (*kinds, "colour"), both, held_out)


def _anchors(bases: Sequence[_Base], things: Sequence[Thing]) -> list[_Base | None]:
    """For each free thing the plainest phrase that fits it alone, by which another one's place is told."""
    found: list[_Base | None] = [None] * len(things)

    def plainness(base: _Base | None) -> tuple[int, bool]:
        return (len(base.kinds), base.kinds[0] != "name") if base else (9, True)

    for base in bases:
        fits = np.flatnonzero(base.fits != NO)
        if len(fits) == 1 and base.kinds and not base.held_out and things[fits[0]].joint is None:
            found[fits[0]] = min(found[fits[0]], base, key=plainness)
    return found


def _phrases(base: _Base, view: _View, anchors: Sequence[_Base | None]) -> Iterator[Referring]:
    yes = np.flatnonzero(base.fits == YES)
    sure = not (base.fits == MAYBE).any()
    said = bool(base.kinds)  # "the thing" alone says nothing
    free = bool(view.free[yes].all())
    if sure and said:
        yield base.said("{n}", "", yes)
        if base.noun in PARTS and not view.free[yes].any():
            yield base.said(f"{{n}} of the {PARTS[base.noun]}", "part", yes)
    one_word = not base.before or base.noun in ("one", *GENERIC)
    if one_word:
        yield from _described(base, view)
    if sure and len(yes) > 1 and (said or view.free.all()):
        yield from _compared(base, view.seen, yes, _SIZE | _PLACE if free else _BESIDE)
    if free and one_word and base.noun != "one":
        yield from _related(base, yes, anchors, view.relations)


def _described(base: _Base, view: _View) -> Iterator[Referring]:
    """With a pattern, a shape, or the place of a part among the others."""
    for kind, word, judged in view.described:
        fits = np.minimum(base.fits, judged)
        yes = np.flatnonzero(fits == YES)
        if not len(yes) or (fits == MAYBE).any():
            continue
        if word == "plain" and len(yes) == np.count_nonzero(base.fits == YES):
            continue  # nobody says so where nothing is patterned
        if kind == "place":
            yield base.said(f"{word} {{n}}", "part", yes)
            if word in _PART:
                yield base.said(f"{_PART[word]} {{n}}", "part", yes, held_out=True)
        elif word.startswith("with "):
            if " with " not in base.noun:
                yield base.said(f"{{n}} {word}", kind, yes)
        elif not base.before or kind == "shape":  # "the striped red mug" sounds as if red were the stripes
            yield base.said(f"{word} {{n}}", kind, yes)


def _compared(base: _Base, seen: Seen, yes: np.ndarray, forms: dict[str, _Phrases]) -> Iterator[Referring]:
    for kind, (of_two, of_more, held_out) in forms.items():
        usual = of_two if len(yes) == 2 else of_more
        found = seen.superlative(kind, yes) if usual else None
        if found is not None:
            about = "size" if kind in _SIZE else "place"
            for form in usual:
                yield base.said(form, about, [found])
            for form in held_out:
                yield base.said(form, about, [found], held_out=True)


def _related(
    base: _Base, yes: np.ndarray, anchors: Sequence[_Base | None], relations: dict[str, np.ndarray]
) -> Iterator[Referring]:
    """By the place beside another thing."""
    for k, anchor in enumerate(anchors):
        if anchor is None or (k in yes and base.kinds):
            continue  # "the can next to the can"
        for kind, (usual, held_out) in _RELATION.items():
            fits = np.minimum(base.fits, relations[kind][:, k])
            if not (fits == YES).any() or (fits == MAYBE).any():
                continue
            for form in (*usual, *held_out):
                words = f"{{n}} {form} the {anchor.before}{anchor.noun}"
                yield base.said(words, "place", np.flatnonzero(fits == YES), form in held_out)
