"""Colours by name, patterns of two colours, and the words for both.

A colour is a box in hue, saturation and value. The boxes of two names are apart, so that a drawn colour has one right
name. But for turquoise and the light and dark ends they lie within what the planner (`perception.target`) calls so.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from unihm.registry import unknown_name

_HUE_SLACK, _SLACK = 3.0, 0.02  # degrees and shares that rounding to bytes may take a colour out of its region
_GREY_SLACK = 0.06  # of the saturation of dark colours, whose bytes are few


@dataclass(frozen=True)
class Region:
    """A box of colours."""

    hue: tuple[float, float]
    """Degrees from red towards yellow; may begin below 0."""
    saturation: tuple[float, float]
    """0 to 1."""
    value: tuple[float, float]
    """0 to 1."""


COLOURS: dict[str, dict[str, Region]] = {
    "red": {
        "": Region((-6.0, 6.0), (0.78, 0.95), (0.66, 0.9)),
        "dark": Region((-6.0, 6.0), (0.75, 0.95), (0.36, 0.48)),
    },
    "orange": {"": Region((20.0, 31.0), (0.8, 0.97), (0.86, 0.98))},
    "yellow": {
        "": Region((48.0, 58.0), (0.72, 0.95), (0.84, 0.97)),
        "light": Region((50.0, 58.0), (0.34, 0.48), (0.9, 0.98)),
    },
    "green": {
        "": Region((95.0, 142.0), (0.55, 0.85), (0.45, 0.7)),
        "light": Region((85.0, 120.0), (0.36, 0.5), (0.78, 0.92)),
        "dark": Region((100.0, 145.0), (0.55, 0.8), (0.22, 0.35)),
    },
    "turquoise": {"": Region((172.0, 184.0), (0.6, 0.9), (0.6, 0.8))},
    "blue": {
        "": Region((208.0, 234.0), (0.62, 0.9), (0.55, 0.85)),
        "light": Region((200.0, 216.0), (0.32, 0.46), (0.84, 0.96)),
        "dark": Region((212.0, 236.0), (0.6, 0.85), (0.26, 0.4)),
    },
    "purple": {
        "": Region((268.0, 290.0), (0.5, 0.78), (0.48, 0.7)),
        "light": Region((268.0, 288.0), (0.28, 0.4), (0.76, 0.9)),
        "dark": Region((268.0, 292.0), (0.45, 0.7), (0.24, 0.36)),
    },
    "pink": {"": Region((322.0, 337.0), (0.36, 0.6), (0.86, 0.98))},
    "brown": {
        "": Region((18.0, 30.0), (0.52, 0.75), (0.38, 0.5)),
        "dark": Region((18.0, 30.0), (0.5, 0.75), (0.2, 0.28)),
        "light": Region((24.0, 35.0), (0.38, 0.5), (0.6, 0.74)),
    },
    "black": {"": Region((0.0, 360.0), (0.0, 0.15), (0.06, 0.13))},
    "white": {"": Region((0.0, 360.0), (0.0, 0.04), (0.93, 1.0))},
    "grey": {
        "": Region((0.0, 360.0), (0.0, 0.06), (0.44, 0.58)),
        "light": Region((0.0, 360.0), (0.0, 0.05), (0.7, 0.8)),
        "dark": Region((0.0, 360.0), (0.0, 0.08), (0.26, 0.34)),
    },
}
"""Basic word -> tone (``light``, ``dark`` or nothing) -> what is called so."""

COLOUR_NAMES = tuple(f"{tone} {name}".strip() for name, tones in COLOURS.items() for tone in tones)
"""All names, for example ``red`` and ``dark red``."""

PATTERNS: dict[str, str] = {
    "plain": "one colour all over",
    "stripes": "several bands across the main axis",
    "bars": "stripes along the main axis",
    "label": "one wide band across the main axis",
    "dots": "round spots",
    "two-tone": "one end in the other colour",
    "lid": "a lid or cap of the other colour",
}
"""Pattern -> what it looks like."""

LIDS = ("lid", "cap")
"""Parts that the pattern ``lid`` paints."""

_AROUND = {"stripes": 5, "bars": 6, "dots": 6}  # stripes along, stripes around, columns of dots around
_SECOND = ("white", "black", "yellow", "red", "blue", "green")  # colours that stand out against others
_PALE, _DEEP = ("white", "yellow", "light"), ("black", "dark", "brown", "purple", "blue")


def draw_colour(rng: np.random.Generator, name: str) -> UInt8[np.ndarray, " 3"]:
    """An RGB colour that is called so.

    Args:
        rng: Draws it.
        name: One of `COLOUR_NAMES`.
    """
    region = _region(name)
    hue, saturation, value = (rng.uniform(*limits) for limits in (region.hue, region.saturation, region.value))
    return np.round(255 * np.array(colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value))).astype(np.uint8)


def colour_name(rgb: UInt8[np.ndarray, " 3"]) -> str | None:
    """The name of a colour; None for one between the named ones."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(np.asarray(rgb) / 255.0).tolist())
    for name in COLOUR_NAMES:
        region = _region(name)
        middle, half = sum(region.hue) / 2, (region.hue[1] - region.hue[0]) / 2
        slack = _GREY_SLACK if region.value[1] < 0.5 else _SLACK
        if (
            abs((360 * hue - middle + 180) % 360 - 180) <= half + _HUE_SLACK
            and region.saturation[0] - slack <= saturation <= region.saturation[1] + slack
            and region.value[0] - _SLACK <= value <= region.value[1] + _SLACK
        ):
            return name
    return None


def colour_words(name: str) -> tuple[str, ...]:
    """The adjectives that fit: dark green is green."""
    return tuple(dict.fromkeys((name, name.split()[-1])))


def second_colour(rng: np.random.Generator, first: str) -> str:
    """The name of a colour that stands out against the first one."""

    def side(name: str) -> int:
        words = name.split()
        return 1 if any(word in _PALE for word in words) else -1 if any(word in _DEEP for word in words) else 0

    fitting = [
        name for name in _SECOND if name != first.split()[-1] and not (side(name) == side(first) and side(first) != 0)
    ]
    return str(rng.choice(fitting))


def second_faces(
    pattern: str, centres: Float[np.ndarray, "f 3"], axis: int, rng: np.random.Generator
) -> Bool[np.ndarray, " f"]:
    """The faces of the main part that take the second colour.

    Args:
        pattern: One of `PATTERNS`; with ``plain`` and ``lid`` there are none.
        centres: Of the faces, m; see `face_centres`.
        axis: The main axis, 0 or 2.
        rng: Varies where bands lie.
    """
    if pattern not in PATTERNS:
        raise unknown_name("Pattern", pattern, PATTERNS)
    low, extent = centres.min(axis=0), np.maximum(np.ptp(centres, axis=0), 1e-6)
    share = (centres - low) / extent
    along = share[:, axis]
    others = [k for k in range(3) if k != axis]
    around = np.arctan2(*(share[:, others] - 0.5).T[::-1]) / (2 * np.pi)  # turns
    if pattern == "stripes":
        return (along * _AROUND["stripes"] + 0.2) % 1 > 0.62
    if pattern == "bars":
        return (around * _AROUND["bars"] + 0.31) % 1 > 0.62
    if pattern == "label":
        middle, half = rng.uniform(0.42, 0.55), rng.uniform(0.13, 0.18)
        return np.abs(along - middle) < half
    if pattern == "two-tone":
        return along > rng.uniform(0.58, 0.66)
    if pattern == "dots":
        return _dots(along, around, float(extent[axis] / (np.pi * extent[others].mean())))
    return np.zeros(len(centres), dtype=bool)


def face_centres(vertices: Float[np.ndarray, "v 3"], faces) -> Float[np.ndarray, "f 3"]:
    """The point by which a face is painted, m: the middle of its longest edge.

    The two triangles of a quadrangle share it, so that bands end along rings instead of in a saw.
    """
    corners = vertices[faces]
    following = np.roll(corners, -1, axis=1)
    longest = np.linalg.norm(following - corners, axis=2).argmax(axis=1)
    row = np.arange(len(corners))
    return (corners[row, longest] + following[row, longest]) / 2


def pattern_words(pattern: str, first: str, second: str, lid: str = "lid") -> tuple[str, ...]:
    """What one says of it: adjectives, and phrases that stand behind the noun and begin with "with".

    Args:
        pattern: One of `PATTERNS`.
        first: Name of the main colour.
        second: Name of the other.
        lid: What the part is called that ``lid`` paints.
    """
    both = f"{first} and {second}"
    article = "an" if second[0] in "aeiou" else "a"
    return {
        "plain": ("plain",),
        "stripes": ("striped", both, f"with {second} stripes"),
        "bars": ("striped", both, f"with {second} stripes"),
        "label": (f"with {article} {second} band", f"with {article} {second} label"),
        "dots": ("spotted", "dotted", f"with {second} dots"),
        "two-tone": ("two-tone", "two-coloured", both),
        "lid": (f"with {article} {second} {lid}",),
    }[pattern]


def _dots(along: Float[np.ndarray, " f"], around: Float[np.ndarray, " f"], tallness: float) -> Bool[np.ndarray, " f"]:
    """Spots in rows that are shifted against each other.

    Args:
        along: Place along the axis, 0 to 1.
        around: Place around it, turns.
        tallness: Height over circumference.
    """
    columns = _AROUND["dots"]
    rows = max(2, round(columns * tallness))
    row = np.floor(along * rows)
    down = along * rows - row - 0.5
    across = (around * columns + 0.5 * (row % 2)) % 1 - 0.5
    return np.hypot(across, down) < 0.31


def _region(name: str) -> Region:
    if name not in COLOUR_NAMES:
        raise unknown_name("Colour", name, COLOUR_NAMES)
    tone, _, word = name.rpartition(" ")
    return COLOURS[word][tone]
