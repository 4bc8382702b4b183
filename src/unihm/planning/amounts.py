"""How far, by what angle, by what share: reading it from words, and what is meant where the words leave it open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LONGEST = 0.6  # m; about what an arm does without a step
CLEARANCE = 0.1  # m under an object that is carried
PULLED = 0.15  # m that a drawer is pulled where nothing is said; FACTS.md section 5 judges by it
OPENED = np.pi / 2  # rad to which a door or a lid is opened where nothing is said


@dataclass(frozen=True, kw_only=True)
class Distances:
    """What a task means by words without a number, m."""

    default: float
    """Where nothing is said."""
    little: float
    """"A little", "slightly"."""
    far: float
    """"Far", "a lot"."""


DISTANCES: Mapping[str, Distances] = {
    "grab": Distances(default=0.25, little=0.08, far=0.4),  # people in DexYCB lift by 0.29 m (median)
    "place": Distances(default=0.2, little=0.08, far=0.35),
    "push": Distances(default=0.12, little=0.05, far=0.25),
    "pull": Distances(default=0.12, little=0.05, far=0.25),
}
"""Of free objects: how high one is lifted, how far it is carried along a direction, pushed or pulled over the table."""

SHARES: Mapping[str, float] = {"little": 0.25, "half": 0.5, "full": 1.0}
"""Of the whole way of a joint."""

_UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "in": 0.0254}
_UNIT = r"(?P<mm>mm|millimet(?:er|re)s?)|(?P<cm>cm|cms|centimet(?:er|re)s?)|(?P<m>m|met(?:er|re)s?)|(?P<in>inch|inches)"
_TENS = {"twenty": 20.0, "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "ninety": 90.0}
_NUMBERS = {
    **dict(zip(("one", "two", "three", "four", "five", "six", "seven", "eight"), range(1, 9), strict=True)),
    **dict(zip(("nine", "ten", "eleven", "twelve"), range(9, 13), strict=True)),
    "fifteen": 15.0,
    **_TENS,
    **{f"{word} five": value + 5 for word, value in _TENS.items()},
    "a hundred and eighty": 180.0,
    "half a": 0.5,
    "a": 1.0,
    "an": 1.0,
}
# The longest number word wins: "half a metre" is not "a metre".
_NUMBER = r"(?P<number>\d+(?:[.,]\d+)?|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"
_SHORT = r"a little(?: bit)?|a bit|slightly|a tad|barely"
_FAR = r"far|a lot|high|way|as (?:far|high) as possible"
_CRACK = rf"{_SHORT}|a crack|ajar"
_HALF = r"half ?way|half open|halfway open"
_FULL = r"all the way|fully|completely|wide|as far as (?:it goes|possible)"
_TURNS = {
    r"(?:a )?quarter (?:of a )?turn": np.pi / 2,
    r"half (?:of )?a turn|(?:a )?half turn|turn(?:ed)? around": np.pi,
}


def read_distance(text: str) -> float | str | None:
    """The distance that words state.

    Args:
        text: A clause; a number with a unit, in digits or as a word.

    Returns:
        m; ``little`` or ``far`` where there is no number; None where nothing is said.

    Raises:
        ValueError: Two distances ("5 cm to 10 cm"), or one out of reach.
    """
    text = _plain(text)
    found = list(re.finditer(rf"\b{_NUMBER} ?(?:{_UNIT})\b", text))
    if len(found) > 1:
        raise ValueError(f"'{text.strip()}' states {len(found)} distances; state one per direction.")
    if found:
        match = found[0]
        value = _value(match["number"]) * next(scale for unit, scale in _UNITS.items() if match[unit])
        if not 0 < value <= LONGEST:
            raise ValueError(
                f"'{match.group()}' is out of reach; expected more than 0 and at most {100 * LONGEST:g} cm."
            )
        return value
    if re.search(rf"\b(?:{_SHORT})\b", text):
        return "little"
    if re.search(rf"\b(?:{_FAR})\b", text):
        return "far"
    return None


def read_angle(text: str) -> float | None:
    """The angle that words state: "30 degrees", "ninety degrees clockwise", "a quarter turn".

    Args:
        text: A clause.

    Returns:
        rad, negative where it is clockwise; None where nothing is said.

    Raises:
        ValueError: Two angles, or one that is not above 0 and at most 360 degrees.
    """
    text = _plain(text)
    found = [np.radians(_value(m["number"])) for m in re.finditer(rf"\b{_NUMBER} ?(?:degrees?\b|deg\b|°)", text)]
    for words, value in _TURNS.items():
        found += [value] * len(re.findall(rf"\b(?:{words})\b", text))
    if len(found) > 1:
        raise ValueError(f"'{text.strip()}' states {len(found)} angles; state one.")
    if not found:
        return None
    if not 0 < found[0] <= 2 * np.pi:
        raise ValueError(
            f"'{text.strip()}' states {np.degrees(found[0]):g} degrees; expected more than 0, at most 360."
        )
    clockwise = re.search(r"(?<!counter )(?<!counter)(?<!anti )(?<!anti)clockwise", text)
    return float(-found[0] if clockwise else found[0])


def read_share(text: str) -> float | None:
    """The share of a joint's whole way that words state: "halfway", "all the way", "a crack"; None without."""
    text = _plain(text)
    for share, words in (("half", _HALF), ("full", _FULL), ("little", _CRACK)):
        if re.search(rf"\b(?:{words})\b", text):
            return SHARES[share]
    return None


def _plain(text: str) -> str:
    return text.lower().replace("-", " ")


def _value(number: str) -> float:
    return float(_NUMBERS[number] if number in _NUMBERS else number.replace(",", "."))
