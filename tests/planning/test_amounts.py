"""Distances, angles and shares that words state."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.planning.amounts import DISTANCES, read_angle, read_distance, read_share
from unihm.schema.task import TASKS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("push it 10 cm", 0.10),
        ("raise it by 150mm", 0.15),
        ("five inches to the left", 0.127),
        ("twenty-five centimetres", 0.25),
        ("half a metre", 0.5),
        ("Twelve Centimeters up", 0.12),
        ("a little to the left", "little"),
        ("far away", "far"),
        ("to the left", None),
    ],
)
def test_distances(words, expected):
    read = read_distance(words)
    assert read == (pytest.approx(expected) if isinstance(expected, float) else expected)


@pytest.mark.parametrize(
    ("words", "degrees"),
    [
        ("turn it 90 degrees", 90),
        ("turn it by ninety degrees clockwise", -90),
        ("forty-five degrees counter-clockwise", 45),
        ("30 degrees anticlockwise", 30),
        ("30 degrees counterclockwise", 30),
        ("a quarter turn clockwise", -90),
        ("half a turn", 180),
        ("open it to 60°", 60),
        ("push it 90 cm", None),
        ("turn it", None),
    ],
)
def test_angles(words, degrees):
    read = read_angle(words)
    assert read == (None if degrees is None else pytest.approx(np.radians(degrees)))


@pytest.mark.parametrize(
    ("words", "share"),
    [
        ("halfway", 0.5),
        ("half-way", 0.5),
        ("all the way", 1.0),
        ("a crack", 0.25),
        ("slightly", 0.25),
        ("open it", None),
    ],
)
def test_shares(words, share):
    assert read_share(words) == share


@pytest.mark.parametrize(
    ("read", "words", "message"),
    [
        (read_distance, "5 cm to 10 cm", "states 2 distances"),
        (read_distance, "2 metres", "out of reach"),
        (read_angle, "10 degrees and 20 degrees", "states 2 angles"),
        (read_angle, "400 degrees", "at most 360"),
    ],
)
def test_what_cannot_be_meant_is_refused(read, words, message):
    with pytest.raises(ValueError, match=message):
        read(words)


def test_distances_belong_to_tasks_and_grow():
    assert set(DISTANCES) < set(TASKS)
    for known in DISTANCES.values():
        assert 0 < known.little < known.default < known.far <= 0.6
