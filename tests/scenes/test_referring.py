"""Phrases against an independent reading of them, and words about which people would not agree."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from scene_builders import CAMERA, part, runner, thing
from unihm.scenes.families import FAMILIES, TRAINING
from unihm.scenes.fitting_words import fits_colour, fits_noun, fits_pattern
from unihm.scenes.records import Thing
from unihm.scenes.referring import absent, referrings
from unihm.scenes.seen import MAYBE, NO, YES

# Kinds whose words overlap as little as their class words let them.
KINDS = {
    "zib": (("zib", "tufted zib"), ("gadget",)),
    "wug": (("wug",), ("gadget",)),
    "dax": (("dax", "pair of daxes"), ("trinket",)),
}
COLOURS = (("red",), ("dark green", "green"), ("white",), ("light blue", "blue"))
PATTERNS = (("plain",), ("spotted", "with black dots"), ("striped", "with black stripes"))


@st.composite
def layouts(draw):
    """Up to six boxes in a loose grid, as arguments of `built`, and whether a chest of three drawers stands behind."""
    cells = draw(st.permutations([(x, y) for x in (-0.3, -0.1, 0.1, 0.3) for y in (-0.15, 0.05, 0.25)]))
    return [
        (
            draw(st.sampled_from(sorted(KINDS))),
            tuple(middle + draw(st.floats(-0.04, 0.04)) for middle in cells[k]),
            draw(st.sampled_from([0.04, 0.06, 0.1])),
            draw(st.sampled_from([0.5, 1.0, 1.7])),
            draw(st.sampled_from(COLOURS)),
            draw(st.sampled_from(PATTERNS)),
        )
        for k in range(draw(st.integers(1, 6)))
    ], draw(st.booleans())


def built(layout) -> tuple[Thing, ...]:
    boxes, chest = layout
    things = [
        thing(
            KINDS[kind][0],
            at,
            (edge, edge, edge * height),
            classes=KINDS[kind][1],
            held_out_names=(f"unheard {kind}",),
            colour=colour,
            pattern=pattern,
        )
        for kind, at, edge, height, colour, pattern in boxes
    ]
    for place, z in (("top", 0.3), ("middle", 0.2), ("bottom", 0.1)) if chest else ():
        things.append(part("drawer", (0.0, 0.5, z), runner((0.0, 0.5, z)), place=(place,)))
    return tuple(things)


class Reader:
    """Reads a phrase word by word, without margins: what is taller, what is more to the left, ..."""

    def __init__(self, things):
        self.things = things
        clouds = [t.points_world for t in things]
        self.middle = np.array([(c.min(axis=0) + c.max(axis=0)) / 2 for c in clouds])
        self.height = np.array([np.ptp(c[:, 2]) for c in clouds])
        self.size = np.array([np.prod(t.dimensions_m) for t in things])
        self.length = np.array([max(t.dimensions_m) for t in things])
        self.gap = np.array([[cdist(a[::7], b[::7]).min() for b in clouds] for a in clouds])
        self.nouns = {w for t in things for w in (*t.names, *t.held_out_names, *t.class_words)}

    def read(self, phrase: str) -> set[int]:
        words = re.sub(r"^the ", "", phrase).removesuffix(" of the cabinet")
        relation = re.fullmatch(
            r"(.*?) ((?:to the |on the )?(?:left|right)(?:-hand side)? of|behind|to the rear of|in front of|"
            r"on the viewer's side of|next to|beside|adjacent to) (the .*)",
            words,
        )
        if relation:
            (other,) = self.read(relation[3])
            return {k for k in self.read(relation[1]) if k != other and self._stands(k, relation[2], other)}
        best = []
        for pattern, key in self._superlatives():
            if found := re.search(pattern, words):
                best.append(key)
                words = re.sub(r"\s+", " ", words.replace(found[0], " ")).strip()
        fits = set(range(len(self.things)))
        if found := re.search(r" with [a-z ]+$", words):
            fits = {k for k in fits if found[0].strip() in self.things[k].attributes["pattern"]}
            words = words.replace(found[0], "")
        noun = max(
            (n for n in (*self.nouns, "thing", "object", "item", "one") if f" {words}".endswith(f" {n}")), key=len
        )
        if noun in ("thing", "object", "item", "one"):
            fits = {k for k in fits if self.things[k].joint is None}
        else:
            fits = {k for k in fits if noun in self._words(k)}
        for adjective in self._adjectives(words.removesuffix(noun).strip()):
            fits = {k for k in fits if any(adjective in said for said in self.things[k].attributes.values())}
        for key in best:
            fits = {min(fits, key=lambda k: key(k, fits))}
        return fits

    def _words(self, k: int):
        return (*self.things[k].names, *self.things[k].held_out_names, *self.things[k].class_words)

    def _adjectives(self, words: str) -> list[str]:
        toned = re.findall(r"(?:light|dark) \w+", words)
        for two in toned:
            words = words.replace(two, "")
        held_out = {"topmost": "top", "bottommost": "bottom"}
        return toned + [held_out.get(word, word) for word in words.split()]

    def _stands(self, k: int, relation: str, other: int) -> bool:
        x, y, _ = self.middle[k] - self.middle[other]
        if "left" in relation or "right" in relation:
            return abs(y) < abs(x) < 0.4 and (x < 0) == ("left" in relation)
        if "behind" in relation or "rear" in relation or "front" in relation or "viewer" in relation:
            return abs(x) < abs(y) < 0.4 and (y > 0) == ("behind" in relation or "rear" in relation)
        return bool(self.gap[k, other] < 0.1)

    def _superlatives(self):
        def distance(k):
            return np.linalg.norm(self.middle[k] - CAMERA[:3, 3])

        def rank(k, fits):
            return abs(sorted(self.middle[list(fits), 0]).index(self.middle[k, 0]) - len(fits) // 2)

        parts = any(t.joint is not None for t in self.things)
        return (
            (r"\b(?:bigger|larger|biggest|largest|bulkiest|big|large|sizeable)\b", lambda k, _: -self.size[k]),
            (r"\b(?:smaller|smallest|littlest|tiniest|small|little|tiny)\b", lambda k, _: self.size[k]),
            (r"\b(?:taller|tallest|loftiest)\b", lambda k, _: -self.height[k]),
            (r"\b(?:shorter|shortest)\b|of least height", lambda k, _: self.height[k]),
            (r"\b(?:longer|longest|lengthiest)\b", lambda k, _: -self.length[k]),
            (r"leftmost|left-hand|farthest to the left|(?:on|at) the (?:extreme )?left|\bleft\b",
             lambda k, _: self.middle[k, 0]),
            (r"rightmost|right-hand|farthest to the right|(?:on|at) the (?:extreme )?right|\bright\b",
             lambda k, _: -self.middle[k, 0]),
            (r"nearer|nearest|closest to me|at the front|\bfront\b|at the viewer's edge", lambda k, _: distance(k)),
            (r"farthest away from me|farthest|at the back|\bback\b|rearmost", lambda k, _: -distance(k)),
            *(() if parts else ((r"in the middle|\bmiddle\b|central", rank),)),
        )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(layouts())
def test_every_phrase_fits_what_an_independent_reading_says(layout):
    things = built(layout)
    reader = Reader(things)
    found = referrings(things, CAMERA, held_out_wording=True)
    assert len(found) >= len(things)
    for said in found:
        if re.search(r"\b(?:middle|central|in the middle)\b", said.phrase) and any(t.joint for t in things):
            continue  # both a place and a drawer: read in the test of drawers
        assert reader.read(said.phrase) == set(said.fits), said.phrase


def test_drawers_by_their_place():
    things = [
        part("drawer", (0.0, 0.5, z), runner((0.0, 0.5, z)), place=place)
        for place, z in ((("top", "upper"), 0.3), (("middle",), 0.2), (("bottom", "lower"), 0.1))
    ]
    fits = {said.phrase: said.fits for said in referrings(things, CAMERA)}
    assert fits["the top drawer"] == fits["the upper drawer"] == (0,)
    assert fits["the middle drawer"] == (1,)
    assert fits["the lower drawer"] == (2,)
    assert fits["the drawer"] == fits["the drawer of the cabinet"] == (0, 1, 2)
    assert "the drawer at the front" not in fits


def test_what_only_maybe_fits_is_not_said():
    orange = thing("zib", (-0.2, 0), colour=("orange",), pattern=("plain",))
    red = thing("wug", (0.2, 0), colour=("red",), pattern=("plain",))
    said = {r.phrase for r in referrings((orange, red), CAMERA)}
    assert "the red wug" in said
    assert "the red thing" not in said
    assert "the red thing" in {r.phrase for r in referrings((red, thing("zib", (-0.2, 0), colour=("blue",))), CAMERA)}
    almost = thing("zib", (-0.2, 0), (0.06, 0.06, 0.109), colour=("blue",))
    assert not [r for r in referrings((almost, red), CAMERA) if "tall" in r.phrase]


@pytest.mark.parametrize(
    ("word", "colour", "expected"),
    [
        ("green", ("dark green", "green"), YES),
        ("dark green", ("green",), MAYBE),
        ("red", ("orange",), MAYBE),
        ("white", ("light blue", "blue"), MAYBE),
        ("black", ("dark brown", "brown"), MAYBE),
        ("red", ("blue",), NO),
        ("red", (), MAYBE),
    ],
)
def test_colours_near_each_other(word, colour, expected):
    assert fits_colour(word, thing("zib", (0, 0), colour=colour)) == expected


def test_the_second_colour_of_a_pattern_is_no_clear_colour():
    striped = thing("zib", (0, 0), colour=("red",), pattern=("striped", "red and white", "with white stripes"))
    assert fits_colour("white", striped) == MAYBE
    assert fits_colour("blue", striped) == NO
    assert fits_pattern("with white stripes", striped) == YES
    assert fits_pattern("with black stripes", striped) == NO
    assert fits_pattern("two-tone", striped) == MAYBE
    assert fits_pattern("plain", striped) == NO


@pytest.mark.parametrize(
    ("noun", "name", "classes", "expected"),
    [
        ("box", "juice box", ("carton", "package"), MAYBE),
        ("can", "soda can", ("can", "container"), YES),
        ("container", "mug", ("cup", "dish"), MAYBE),
        ("screwdriver", "electric screwdriver", ("tool",), MAYBE),
        ("glass bottle", "ketchup bottle", ("bottle", "container"), MAYBE),
        ("mug", "apple", ("fruit",), NO),
        ("thing", "apple", ("fruit",), YES),
    ],
)
def test_nouns(noun, name, classes, expected):
    assert fits_noun(noun, thing(name, (0, 0), classes=classes)) == expected


def test_no_word_of_another_family_fits_without_doubt_unless_they_share_it():
    for name, family in FAMILIES.items():
        own = thing((name, *family.synonyms), (0, 0), classes=family.class_words)
        for other, kind in FAMILIES.items():
            for noun in (other, *kind.synonyms) if other != name else ():
                assert fits_noun(noun, own) != YES, (noun, name)


@settings(max_examples=15, deadline=None)
@given(layouts(), st.integers(0, 1000), st.booleans())
def test_absent_phrases_fit_nothing(layout, seed, held_out):
    things = built(layout)
    said = absent(things, np.random.default_rng(seed), held_out_wording=held_out)
    reader = Reader(things)
    assert said.fits == ()
    words = said.phrase.removeprefix("the ")
    assert not any(re.search(rf"\b{noun}$", words) for noun in reader.nouns) or reader.read(said.phrase) == set()
    held = {noun for name in FAMILIES for noun in FAMILIES[name].held_out} | {f"unheard {k}" for k in KINDS}
    held |= {"pull-out tray", "sliding compartment"}
    assert held_out == any(words == noun or words.endswith(f" {noun}") for noun in held)


def test_absent_parts_and_families_of_training_only():
    rng = np.random.default_rng(0)
    drawers = [part("drawer", (0.0, 0.5, 0.2), runner((0.0, 0.5, 0.2)))]
    said = {absent(drawers, rng, parts=("door", "lid")).phrase for _ in range(40)}
    assert said <= {"the door", "the cabinet door", "the cupboard door", "the lid", "the box lid", "the top of the box"}
    free = {absent(drawers, rng).phrase.removeprefix("the ") for _ in range(60)}
    assert free <= {noun for name in TRAINING for noun in (name, *FAMILIES[name].synonyms)}


def test_held_out_words_are_marked():
    things = (
        thing("zib", (-0.2, 0), held_out_names=("quux",), colour=("red",)),
        thing("zib", (0.2, 0), (0.1, 0.1, 0.2), colour=("blue",)),
    )
    usual = {said.phrase for said in referrings(things, CAMERA)}
    every = referrings(things, CAMERA, held_out_wording=True)
    assert usual == {said.phrase for said in every if not said.held_out}
    unusual = {said.phrase for said in every if said.held_out}
    assert {"the quux", "the loftiest zib", "the zib at the extreme left"} <= unusual


def test_pliers_are_spoken_of_as_them():
    pronouns = {said.phrase: said.pronoun for said in referrings([thing(("pliers", "pair of pliers"), (0, 0))], CAMERA)}
    assert pronouns == {"the pliers": "them", "the pair of pliers": "it"}


def test_moved_to_the_other_side_the_words_follow():
    one, other = (thing("zib", (x, 0), colour=("red",)) for x in (-0.2, 0.2))
    fits = {said.phrase: said.fits for said in referrings((one, other), CAMERA)}
    assert fits["the left zib"] == (0,)
    swapped = (replace(one, T_world_object=other.T_world_object), replace(other, T_world_object=one.T_world_object))
    fits = {said.phrase: said.fits for said in referrings(swapped, CAMERA)}
    assert fits["the left zib"] == (1,)
