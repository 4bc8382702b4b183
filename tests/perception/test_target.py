"""Which things plain words for colour, size and place fit: worked by hand on things made up."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.cliport.color_names import COLORS
from unihm.perception.target import Appearance, fitting


def thing(
    color: str, size: tuple[float, float, float], right: float = 0.0, away: float = 0.5, up: float = 0.05
) -> Appearance:
    shares = dict.fromkeys(COLORS, 0.0) | {color: 1.0}
    return Appearance(color_shares=shares, size=np.array(size), right=right, away=away, up=up)


TABLE = (
    thing("red", (0.08, 0.08, 0.10), -0.2),  # a mug
    thing("green", (0.09, 0.09, 0.13), 0.0),  # a taller mug
    thing("black", (0.10, 0.08, 0.30), 0.2),  # a bottle
    thing("green", (0.20, 0.15, 0.05), 0.3, 0.8),  # a box
)
MUGS = (0, 1)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Lift the tallest thing", [2]),
        ("Lift the taller mug", [1]),
        ("Lift the right mug", [1]),
        ("Put the mug onto the green box", [0, 1, 2, 3]),  # green is what it goes onto
        ("Put the red mug onto the green box", [0]),
        ("Grab the mug next to the black bottle", [0, 1, 2, 3]),
        ("Put the mug on top of the tallest thing", [0, 1, 2, 3]),
        ("Slide the mug a bit toward the right", [0, 1, 2, 3]),
        ("Lift the green one on the left", [1]),
        ("Take the farthest object into the box", [3]),
        ("Lift the farther green thing", [3]),
        ("Bring the red mug closer to me", [0]),
        ("Lift the thing farthest to the left", [0]),
        ("Lift the thing farthest to the right and put it at the back of the table", [3]),
        ("Lift the nearer object", [0, 1, 2]),  # as near as each other
    ],
)
def test_words_are_about_the_thing_and_compare_what_the_noun_may_mean(words, expected):
    assert fitting(words, TABLE, MUGS)[0] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Open the upper drawer all the way.", [2]),
        ("Pull the bottom drawer out.", [0]),
        ("Slide out the middle drawer", [1]),
        ("Open the grey lower drawer", [0]),
        ("Lower the drawer", [0, 1, 2]),
        ("Grasp the drawer by the top edge", [0, 1, 2]),
        ("Open the left drawer", [0, 1, 2]),  # they are one above the other
    ],
)
def test_drawers_above_each_other(words, expected):
    chest = [thing("grey", (0.3, 0.02, 0.1), 0.002 * row, up=0.05 + 0.1 * row) for row in range(3)]
    assert fitting(words, chest, (0, 1, 2))[0] == expected


def test_without_a_guess_at_the_noun_all_are_compared():
    assert fitting("Lift the taller mug", TABLE)[0] == [2]


def test_words_that_fit_nothing_are_told():
    left, used = fitting("Lift the pink mug", TABLE, MUGS)
    assert left == []
    assert used == ["pink"]
