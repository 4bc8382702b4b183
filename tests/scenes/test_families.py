"""The table of families: words that do not meet, ranges that make sense."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from unihm.datasets.object_names import OBJECT_NAMES
from unihm.scenes.appearance import COLOUR_NAMES, PATTERNS
from unihm.scenes.families import FAMILIES, HELD_OUT, TRAINING

TRAINED = {word for name in TRAINING for word in (name, *FAMILIES[name].synonyms, *FAMILIES[name].class_words)}
NEVER_TRAINED = {word for family in FAMILIES.values() for word in family.held_out}


def test_there_are_enough():
    assert len(FAMILIES) >= 44
    assert 8 <= len(HELD_OUT) <= 12
    assert set(FAMILIES) >= HELD_OUT
    assert set(TRAINING) == set(FAMILIES) - HELD_OUT


def test_held_out_families_come_from_many_classes_that_training_knows():
    classes = {word for name in TRAINING for word in FAMILIES[name].class_words}
    assert len({FAMILIES[name].class_words for name in HELD_OUT}) >= 8
    assert all(set(FAMILIES[name].class_words) & classes for name in HELD_OUT)


def test_no_name_belongs_to_two_families():
    count = Counter(word for name, f in FAMILIES.items() for word in (name, *f.synonyms, *f.held_out))
    assert [word for word, times in count.items() if times > 1] == []


def test_class_words_are_nobodys_own_name():
    own = {word for name, family in FAMILIES.items() for word in (name, *family.synonyms, *family.held_out)}
    assert not own & {word for family in FAMILIES.values() for word in family.class_words}


def test_held_out_words_never_occur_in_training():
    assert not TRAINED & NEVER_TRAINED
    of_models = {word for names in OBJECT_NAMES.values() for word in names.held_out}
    assert not TRAINED & of_models
    taught = {word for names in OBJECT_NAMES.values() for word in (names.name, *names.synonyms)}
    assert not NEVER_TRAINED & taught


def test_held_out_words_are_not_part_of_training_names_or_the_other_way_round():
    """Nobody has heard a held-out family's name as a piece of another one's."""
    for name in HELD_OUT:
        assert not [word for word in TRAINED if re.search(rf"\b{name}\b", word)], name


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_complete(name: str):
    family = FAMILIES[name]
    assert len(family.synonyms) >= 2
    assert len(family.held_out) >= 2
    assert family.class_words
    words = [name, *family.synonyms, *family.held_out]
    assert all(word == word.strip() and not word.startswith(("the ", "a ", "an ")) for word in words)
    assert set(family.colours) <= set(COLOUR_NAMES)
    assert all(set(colours) <= set(COLOUR_NAMES) for colours in family.accents.values())
    assert set(family.patterns) <= set(PATTERNS)
    assert family.rest in ("stands", "lies", "rolls")
    assert family.grasp in ("body", "handle", "rim", "neck", "edge")
    assert all(0.005 < low <= high < 0.5 for low, high in (limits for limits in family.size if limits))
    assert 0.001 < family.mass[0] <= family.mass[1] < 2.0
