"""Distances and angles as people say them, with their values."""

from __future__ import annotations

import numpy as np

_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 8: "eight", 10: "ten", 12: "twelve", 15: "fifteen",
          20: "twenty", 25: "twenty-five", 30: "thirty", 40: "forty", 45: "forty-five", 60: "sixty",
          90: "ninety"}  # fmt: skip
_CENTIMETRES = (5, 6, 8, 10, 12, 14, 15, 16, 18, 20, 22, 25, 28, 30, 35, 40)
_UNITS: tuple[tuple[float, tuple[int, ...], tuple[str, ...]], ...] = (
    (
        0.01,
        _CENTIMETRES,
        ("{n} cm", "{n}cm", "{n} centimetres", "{n} centimeters", "{w} centimetres", "{w} centimeters"),
    ),
    (0.001, tuple(10 * n for n in _CENTIMETRES), ("{n} mm", "{n} millimetres", "{n} millimeters")),
    (0.0254, (2, 3, 4, 5, 6, 8, 10, 12), ("{n} inches", "{w} inches")),
)
_LIKELY = (0.7, 0.12, 0.18)
_ANGLES = (30, 45, 60, 90)
_WAYS = {1: ("counterclockwise", "counter-clockwise", "anticlockwise"), -1: ("clockwise",)}


def distance_words(rng: np.random.Generator, limits: tuple[float, float]) -> tuple[str, float]:
    """A distance within limits, and its value, m.

    Args:
        rng: Draws it.
        limits: m.

    Raises:
        ValueError: No distance that people would say lies within.
    """
    fitting = [
        (scale, [n for n in numbers if limits[0] <= n * scale <= limits[1]], said) for scale, numbers, said in _UNITS
    ]
    likely = np.array([p if numbers else 0.0 for p, (_, numbers, _) in zip(_LIKELY, fitting, strict=True)])
    if not likely.any():
        raise ValueError(f"no usual distance lies between {limits[0]:.3g} and {limits[1]:.3g} m")
    scale, numbers, said = fitting[rng.choice(len(fitting), p=likely / likely.sum())]
    number = int(rng.choice(numbers))
    words = str(rng.choice([form for form in said if "{w}" not in form or number in _WORDS]))
    return words.format(n=number, w=_WORDS.get(number, "")), number * scale


def angle_words(rng: np.random.Generator, limits: tuple[float, float] | None = None) -> tuple[str, float]:
    """An angle, and its value, rad.

    Args:
        rng: Draws it.
        limits: rad, of a hinge; without, a turn about the vertical, positive counter-clockwise from above.

    Raises:
        ValueError: No angle that people would say lies within the limits.
    """
    if limits is not None:
        fitting = [n for n in _ANGLES if limits[0] <= np.radians(n) <= limits[1]]
        if not fitting:
            raise ValueError(
                f"no usual angle lies between {np.degrees(limits[0]):.0f} and {np.degrees(limits[1]):.0f}°"
            )
        number = int(rng.choice(fitting))
        return _degrees(rng, number), float(np.radians(number))
    if rng.random() < 0.2:
        return str(rng.choice(["180 degrees", "half a turn"])), np.pi
    sign = int(rng.choice([1, -1]))
    number = int(rng.choice(_ANGLES))
    words = "a quarter turn" if number == 90 and rng.random() < 0.4 else _degrees(rng, number)
    return f"{words} {rng.choice(_WAYS[sign])}", float(sign * np.radians(number))


def _degrees(rng: np.random.Generator, number: int) -> str:
    return f"{_WORDS[number] if rng.random() < 0.3 else number} degrees"
