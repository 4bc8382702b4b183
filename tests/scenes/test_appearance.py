"""Colours are called rightly by rules written apart from theirs; patterns leave the main colour the larger share."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from unihm.perception.target import color_shares
from unihm.scenes.appearance import (
    COLOUR_NAMES,
    PATTERNS,
    colour_name,
    colour_words,
    draw_colour,
    face_centres,
    pattern_words,
    second_colour,
    second_faces,
)
from unihm.scenes.shapes import rounded_box

# (up to which hue in degrees, name), as one would cut the colour circle by hand
CIRCLE = (
    (13, "red"),
    (42, "orange"),
    (68, "yellow"),
    (160, "green"),
    (192, "turquoise"),
    (255, "blue"),
    (305, "purple"),
    (345, "pink"),
    (361, "red"),
)


def plain_word(rgb: np.ndarray) -> str:
    """The basic word for a colour, by a rule of this test."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(rgb / 255.0).tolist())
    if value < 0.18:
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.85 else "grey"
    word = next(name for limit, name in CIRCLE if 360 * hue < limit)
    return "brown" if word == "orange" and value < 0.8 else word


@pytest.mark.parametrize("name", COLOUR_NAMES)
def test_a_drawn_colour_is_called_by_its_name(name: str):
    rng = np.random.default_rng(0)
    for _ in range(200):
        rgb = draw_colour(rng, name)
        assert plain_word(rgb) == name.split()[-1]
        assert colour_name(rgb) == name


@pytest.mark.parametrize("name", [name for name in COLOUR_NAMES if " " not in name and name != "turquoise"])
def test_the_planner_calls_it_so_too(name: str):
    rng = np.random.default_rng(1)
    colors = np.stack([draw_colour(rng, name) for _ in range(100)])
    assert color_shares(colors)[name] == 1.0


@pytest.mark.parametrize("word", sorted({name.split()[-1] for name in COLOUR_NAMES if " " in name}))
def test_light_is_lighter_and_dark_is_darker(word: str):
    rng = np.random.default_rng(2)

    def brightness(name: str) -> list[float]:
        return [float(draw_colour(rng, name) @ [0.299, 0.587, 0.114]) for _ in range(50)]

    plain = np.mean(brightness(word))
    if f"light {word}" in COLOUR_NAMES:
        assert min(brightness(f"light {word}")) > plain
    if f"dark {word}" in COLOUR_NAMES:
        assert max(brightness(f"dark {word}")) < plain


def test_colours_between_the_named_ones_have_no_name():
    assert colour_name(np.array([255, 200, 0], dtype=np.uint8)) is None


def test_unknown_names_say_what_there_is():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"Colour 'dark greem' not found. Did you mean 'dark green'\?"):
        draw_colour(rng, "dark greem")
    with pytest.raises(ValueError, match=r"Pattern 'stripe' not found. Did you mean 'stripes'\?"):
        second_faces("stripe", np.zeros((1, 3)), 2, rng)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("axis", [0, 2])
def test_a_pattern_leaves_most_of_the_area_in_the_main_colour(pattern: str, axis: int):
    mesh = rounded_box((0.1, 0.1, 0.1), 0.002, along=axis, rings=26)
    centres = face_centres(mesh.vertices, mesh.faces)
    for seed in range(5):
        second = second_faces(pattern, centres, axis, np.random.default_rng(seed))
        share = mesh.area_faces[second].sum() / mesh.area
        assert share == 0 if pattern in ("plain", "lid") else 0.1 < share < 0.5


def test_the_halves_of_a_quadrangle_are_painted_alike():
    mesh = rounded_box((0.1, 0.06, 0.2), 0.002, rings=26)
    sides = len(mesh.faces) - 2 * 36  # without the fans at both ends
    centres = face_centres(mesh.vertices, mesh.faces)[:sides]
    # but for the narrow ones at the round ends, by fractions of a millimetre
    assert np.allclose(centres[0::2], centres[1::2], atol=1e-3)


def test_words():
    assert colour_words("dark green") == ("dark green", "green")
    assert colour_words("red") == ("red",)
    assert pattern_words("lid", "red", "orange", "cap") == ("with an orange cap",)
    assert "red and white" in pattern_words("stripes", "red", "white")
    assert all(pattern_words(pattern, "red", "white") for pattern in PATTERNS)


@pytest.mark.parametrize("name", COLOUR_NAMES)
def test_the_second_colour_is_another(name: str):
    rng = np.random.default_rng(3)
    assert name.split()[-1] not in {second_colour(rng, name) for _ in range(30)}
