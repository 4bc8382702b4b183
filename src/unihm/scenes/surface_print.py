"""What is printed on surfaces, computed for points: wood, stone and cloth of tables, text and panels on packages.

A print is a function of the place on the thing, in its frame, so it needs neither texture nor unwrapping and sticks to
what it is on. It takes the surface's own colour and gives the printed one, sRGB from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from unihm.registry import unknown_name
from unihm.scenes.appearance import draw_colour

_CELLS = 32  # of the noise's lattice along each axis, a power of two
_GLYPH = (3, 5)  # dots of a letter
Print = Callable[[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]], Float[np.ndarray, "n 3"]]
"""Points in the thing's frame (m) and their own colours -> printed colours."""
_Mix = Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]]

_WOODS = (("light brown", "brown"), ("brown", "dark brown"), ("light brown", "light brown"), ("dark brown", "black"))
_PLAINS = ("white", "grey", "light grey", "dark grey", "black", "brown", "light brown", "dark brown", "light blue",
           "dark green", "dark blue")  # fmt: skip
_BOARDS = (("white", "dark brown"), ("white", "black"), ("light brown", "dark brown"), ("white", "grey"),
           ("light yellow", "brown"), ("white", "dark red"))  # fmt: skip
_STONES = (("white", "grey"), ("light grey", "dark grey"), ("dark grey", "light grey"), ("black", "grey"))
_CLOTHS = ("white", "light grey", "light blue", "dark blue", "dark red", "dark green", "light brown", "light yellow")
_FLOORS = (("light brown", "dark brown"), ("grey", "dark grey"), ("light grey", "grey"), ("brown", "black"),
           ("dark grey", "black"), ("brown", "dark brown"))  # fmt: skip
TABLES = ("wood", "plain", "checker", "marble", "weave", "speckle")
"""Prints of table tops."""


@dataclass(frozen=True, kw_only=True)
class Wrapping:
    """How flat print lies around a thing."""

    round: bool
    """Around the axis, or on the six faces of a box."""
    axis: int
    """The main axis, 0 or 2."""
    low: Float[np.ndarray, " 3"]
    """Least corner of the thing's box in its frame, m."""
    high: Float[np.ndarray, " 3"]
    """Greatest corner."""

    def __call__(self, points: Float[np.ndarray, "n 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Across (m from the middle of a face), along the axis (m from the middle), and the number of the face."""
        p = points - (self.low + self.high) / 2
        a = self.axis
        b, c = (1, 2) if a == 0 else (0, 1)
        if self.round:
            radius = (self.high - self.low)[[b, c]].max() / 2
            return np.arctan2(p[:, c], p[:, b]) * radius, p[:, a], np.zeros(len(p), dtype=np.int64)
        share = p / ((self.high - self.low) / 2)
        face = np.abs(share).argmax(axis=1)
        side = np.take_along_axis(share, face[:, None], axis=1)[:, 0] > 0
        across = np.where(face == b, p[:, c], p[:, b])
        along = np.where(face == a, p[:, c], p[:, a])
        return across * np.where(side, 1, -1), along, 2 * face + side


class Noise:
    """Smooth noise from 0 to 1 whose features have the size 1."""

    def __init__(self, rng: np.random.Generator):
        """Draw the values on the lattice."""
        self._values = rng.random(_CELLS**3, dtype=np.float32)

    def __call__(self, p: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """At points of one to three coordinates."""
        p = p.astype(np.float32)
        cell = np.floor(p)
        share = p - cell
        share = share * share * (3 - 2 * share)
        cell = cell.astype(np.int32)
        total = np.zeros(len(p), dtype=np.float32)
        for corner in product((0, 1), repeat=p.shape[1]):
            index, weight = np.zeros(len(p), dtype=np.int32), np.ones(len(p), dtype=np.float32)
            for k, step in enumerate(corner):
                index = index * _CELLS + ((cell[:, k] + step) & (_CELLS - 1))
                weight = weight * (share[:, k] if step else 1 - share[:, k])
            total += weight * self._values[index]
        return total


def table_print(kind: str, rng: np.random.Generator) -> Print:
    """A table top, whatever its own colour.

    Args:
        kind: One of `TABLES`.
        rng: Draws its colours and scale.
    """
    if kind not in TABLES:
        raise unknown_name("Print of tables", kind, TABLES)
    base = _table(kind, rng, Noise(rng))
    sheets = _sheets(rng) if rng.random() < _SHEETS else ()
    return lambda points, own: _with_sheets(base(points, own), points, sheets)


def floor_print(rng: np.random.Generator) -> Print:
    """A carpet, tiles or boards."""
    noise, colours = Noise(rng), _pair(rng, _FLOORS)
    kind = rng.choice(("carpet", "tiles", "boards"))
    if kind == "boards":
        return _mixed(colours, _wood(noise, 0.15))
    if kind == "tiles":
        side = rng.uniform(0.2, 0.5)
        return _mixed(colours, lambda p: ((p[:, :2] / side % 1) < 0.03).any(axis=1) + 0.3 * noise(p[:, :2] / 0.05))
    size = rng.uniform(0.008, 0.025, 2)
    return _mixed(colours, lambda p: 1.6 * (noise(p[:, :2] / size) - 0.5) + 0.5)


def mottled(rng: np.random.Generator, strength: float, size: tuple[float, float, float]) -> Print:
    """The own colour, lighter and darker by a share `strength` in features of a size (m, along each axis)."""
    noise, scale = Noise(rng), np.array(size, dtype=np.float32)
    return lambda points, own: own * (1 + strength * (2 * noise(points / scale) - 1))[:, None]


def text_print(
    wrapping: Wrapping, ink: Float[np.ndarray, " 3"], rng: np.random.Generator, panel: bool = False
) -> Print:
    """Lines of letter-like marks, on the own colour or on a panel of the other one.

    Panels cover at most a third of what is printed on, lines far less.

    Args:
        wrapping: How print lies around the thing.
        ink: The other colour, sRGB from 0 to 1.
        rng: Draws size and place of the lines, and the letters.
        panel: Whether there is a panel.
    """
    length = float((wrapping.high - wrapping.low)[wrapping.axis])
    width = float(np.delete(wrapping.high - wrapping.low, wrapping.axis).max())
    dots = rng.random((16, 16, *_GLYPH)) < 0.6
    dots[rng.random((16, 16)) < 0.2] = False  # gaps between words
    middle, half = rng.uniform(-0.12, 0.12) * length, rng.uniform(0.18, 0.24) * length
    reach = (np.pi / 3 if wrapping.round else rng.uniform(0.3, 0.38)) * width / 2 * (1 if wrapping.round else 2)
    line = half / rng.integers(1, 4)
    faces = rng.permutation(6)[:4]

    def printed(points, own):
        across, along, face = wrapping(points)
        inside = (np.abs(across) < reach) & (np.abs(along - middle) < half)
        if not wrapping.round:
            inside &= np.isin(face, faces)
        marks = inside & _marks(across + reach, along - middle + half, 2 * line, dots)
        result = own.copy()
        if panel:
            result[inside & ~marks] = ink
        else:
            result[marks] = ink
        return result

    return printed


_SHEETS = 0.3  # share of tables on which sheets of paper lie


def _table(kind: str, rng: np.random.Generator, noise: Noise) -> Print:
    if kind == "wood":
        return _mixed(_pair(rng, _WOODS), _wood(noise, rng.uniform(0.02, 0.06)))
    if kind == "plain":
        colour = draw_colour(rng, str(rng.choice(_PLAINS))) / 255.0
        return _mixed((colour, 0.9 * colour), lambda p: noise(p[:, :2] / 0.06))
    if kind == "checker":
        side, grain = rng.uniform(0.025, 0.07), _wood(noise, 0.03)
        light, dark = _pair(rng, _BOARDS)
        first, second = _mixed((light, 0.93 * light), grain), _mixed((dark, 0.75 * dark), grain)

        def board(points, own):
            odd = np.floor(points[:, :2] / side).astype(np.int64).sum(axis=1) % 2 == 1
            return np.where(odd[:, None], first(points, own), second(points, own))

        return board
    if kind == "marble":
        size = rng.uniform(0.08, 0.25)

        def veins(p):
            bent = noise(p[:, :2] / size) + 0.5 * noise(p[:, :2] / (0.4 * size)) + 0.25 * noise(p[:, :2] / (0.1 * size))
            return (1 - np.abs(2 * (bent % 1) - 1)) ** 4

        return _mixed(_pair(rng, _STONES), veins)
    if kind == "weave":
        colour, thread = draw_colour(rng, str(rng.choice(_CLOTHS))) / 255.0, rng.uniform(0.002, 0.005)
        band = rng.uniform(0.02, 0.06) if rng.random() < 0.4 else np.inf
        dark = rng.uniform(0.75, 0.9) * colour

        def threads(p):
            over = np.sin(2 * np.pi * p[:, 0] / thread) * np.sin(2 * np.pi * p[:, 1] / thread)
            return 0.3 + 0.3 * over + 0.6 * ((p[:, :2] / band % 1) > 0.6).mean(axis=1)

        return _mixed((colour, dark), threads)
    size = rng.uniform(0.002, 0.006)
    return _mixed(_pair(rng, _STONES), lambda p: 3 * (noise(p[:, :2] / size) - 0.62) + 0.3 * noise(p[:, :2] / 0.1))


def _wood(noise: Noise, spacing: float) -> _Mix:
    """Grain along x, whose rings are about `spacing` (m) apart."""

    def grain(p):
        x, y = p[:, 0], p[:, 1]
        slow = noise(np.column_stack([x / 0.3, y / 0.08]))
        rings = (y / spacing + 2.5 * slow) % 1
        fine = noise(np.column_stack([x / 0.06, y / 0.0025]))
        return 0.25 + 0.4 * rings * (1 - rings**6) + 0.5 * (fine - 0.5)

    return grain


def _mixed(colours: tuple[np.ndarray, np.ndarray], mix: _Mix) -> Print:
    one, other = (np.asarray(colour, dtype=np.float32) for colour in colours)

    def printed(points, own):
        share = np.asarray(mix(points), dtype=np.float32).clip(0, 1)[:, None]
        return one + share * (other - one)

    return printed


def _pair(rng: np.random.Generator, pairs) -> tuple[np.ndarray, np.ndarray]:
    one, other = pairs[rng.integers(len(pairs))]
    first, second = draw_colour(rng, one) / 255.0, draw_colour(rng, other) / 255.0
    return (first, 0.75 * first) if one == other else (first, second)


def _sheets(rng: np.random.Generator):
    """Middle, half size, yaw and colour of sheets on a table."""
    return tuple(
        (
            rng.uniform(-0.35, 0.35, 2),
            rng.uniform([0.04, 0.06], [0.11, 0.15]),
            rng.uniform(-np.pi, np.pi),
            draw_colour(rng, str(rng.choice(("white", "white", "light yellow", "light blue", "pink", "dark grey"))))
            / 255.0,
        )
        for _ in range(rng.integers(1, 4))
    )


def _with_sheets(colours: np.ndarray, points: np.ndarray, sheets) -> np.ndarray:
    for middle, half, yaw, colour in sheets:
        c, s = np.cos(yaw), np.sin(yaw)
        local = (points[:, :2] - middle) @ np.array([[c, -s], [s, c]])
        colours[(np.abs(local) < half).all(axis=1)] = colour
    return colours


def _marks(across: np.ndarray, along: np.ndarray, line: float, dots: Bool[np.ndarray, "16 16 3 5"]) -> np.ndarray:
    """Where lines of letters are inked; lines are `line` (m) high with the space between them."""
    high, wide = 0.62 * line, 0.42 * line  # of a letter
    row, column = np.floor(along / line).astype(np.int64), np.floor(across / (1.35 * wide)).astype(np.int64)
    y = np.floor((along / line % 1) * line / high * _GLYPH[1]).astype(np.int64)
    x = np.floor((across / (1.35 * wide) % 1) * 1.35 * _GLYPH[0]).astype(np.int64)
    letter = (x < _GLYPH[0]) & (y < _GLYPH[1])
    marks = dots[row % 16, column % 16, x.clip(0, _GLYPH[0] - 1), y.clip(0, _GLYPH[1] - 1)]
    return letter & marks
