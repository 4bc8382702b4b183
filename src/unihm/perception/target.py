"""Which of the things on the table is meant: by words for colour, size and place, or because there is only one.

Nouns are not understood: a "cup" and a "can" are the same to this module. Words that do not decide lead to a question
that lists what is there, never to a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from unihm.cliport.color_names import COLORS, color_shares

_COLOR_WORDS = {name: name for name in COLORS} | {"gray": "grey", "violet": "purple", "golden": "yellow"}
_COLOR_SHARE = 0.3  # of a thing's pixels; labels and prints cover the rest
_ANYTHING = r"\b(?:thing|object|item|one)s?\b"
_ANOTHER = (
    r"\b(?:onto|on top of|into|inside|in front of|behind|next to|beside|(?:(?:to|on) the )?(?:left|right) of|in|on) "
    r"(?:the|an?|my|that|this) (?!(?:left|right|middle|front|back|rear|far|near|table)\b).*"
)
_CLEARLY = 1.15  # one size must exceed the next by this factor to be "the tall one"


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """What words can refer to in one thing."""

    color_shares: dict[str, float]
    """Share of its pixels that a person would call red, blue, ..."""
    size: Float[np.ndarray, " 3"]
    """Length, width (horizontal, length >= width) and height, m."""
    right: float
    """Position of its middle to the right as the camera sees it, m."""
    away: float
    """Position of its middle away from the camera, m."""
    up: float
    """Height of its middle above the table, m."""

    @property
    def color(self) -> str:
        """The most frequent colour."""
        return max(self.color_shares, key=lambda name: self.color_shares[name])

    def __str__(self) -> str:
        return f"{self.color}, {100 * self.size[2]:.0f} cm high, {100 * self.size[0]:.0f} cm long"


def describe(
    points_world: Float[np.ndarray, "n 3"],
    colors: UInt8[np.ndarray, "k 3"],
    T_world_camera: Float[np.ndarray, "4 4"],
) -> Appearance:
    """What a thing looks like from its (completed) cloud and its seen colours."""
    away = T_world_camera[:2, 2] - T_world_camera[:2, 1]  # along the optical axis and up in the image
    away = away / np.linalg.norm(away)
    right = np.array([away[1], -away[0]])
    xy = points_world[:, :2]
    spread = np.linalg.eigh(np.cov((xy - xy.mean(axis=0)).T))[1]
    lengths = np.sort(np.ptp(xy @ spread, axis=0))[::-1]
    middle = (xy.min(axis=0) + xy.max(axis=0)) / 2
    return Appearance(
        color_shares=color_shares(colors),
        size=np.array([*lengths, points_world[:, 2].max()]),
        right=float(middle @ right),
        away=float(middle @ away),
        up=float(points_world[:, 2].min() + points_world[:, 2].max()) / 2,
    )


def choose(instruction: str, things: Sequence[Appearance]) -> int:
    """Index of the thing that the words mean.

    Raises:
        ValueError: Nothing stands on the table, or the words do not decide; the message lists what is there.
    """
    if not things:
        raise ValueError("There is nothing on the table, or nothing that the depth camera sees.")
    if len(things) == 1:
        return 0
    left, used = fitting(instruction, things)
    if not left:
        raise ValueError(f"Nothing on the table is {' and '.join(used)}. {_list(things)}")
    if len(left) == 1:
        return left[0]
    said = f"'{', '.join(used)}' fits {len(left)} of them" if used else "the words do not say which"
    raise ValueError(f"{_list(things)} {said[0].upper()}{said[1:]}.")


def fitting(
    instruction: str, things: Sequence[Appearance], likely: Sequence[int] | None = None
) -> tuple[list[int], list[str]]:
    """Which of the things fit all words for colour, size and place, and which words these are.

    Nothing fits where no thing has the colours; without any such word everything does.

    Args:
        instruction: Free text.
        things: What they look like.
        likely: Those that the noun may mean: "the taller mug" compares mugs. None, or a noun like "thing", compares
            all.
    """
    text = about_the_object(instruction)
    left = list(range(len(things)))
    used: list[str] = []
    for word in dict.fromkeys(_COLOR_WORDS[w] for w in text.split() if w in _COLOR_WORDS):
        used.append(word)
        left = [i for i in left if things[i].color_shares[word] >= _COLOR_SHARE]
    compared, colors = left, len(used)
    if likely is not None and not re.search(_ANYTHING, text):
        compared = [i for i in left if i in likely]
    for pattern, name, value in _RELATIVE:
        if len(compared) > 1 and re.search(pattern, text):
            used.append(name)
            compared = _extreme(compared, [value(things[i]) for i in compared], ratio=name not in _PLACES)
    if len(compared) > 1 and re.search(r"\b(middle|centre|center|central)\b", text):
        used.append("middle")
        # Drawers stand above each other.
        ways = [np.array([value(things[i]) for i in compared]) for value in (lambda a: a.right, lambda a: a.up)]
        at = max(ways, key=np.ptp)
        compared = _extreme(compared, (-abs(at - np.median(at))).tolist(), ratio=False)
    return compared if len(used) > colors else left, used


def about_the_object(instruction: str) -> str:
    """The instruction in small letters, less the words that say how or where to move."""
    text = re.sub(r"[^a-z' ]+", " ", instruction.lower())
    text = re.sub(r"\bfrom (?:the )?(?:left|right|front|near|far|back|top|above|behind)(?: side)?\b", " ", text)
    text = re.sub(
        r"\b(?:a )?(?:little|small|tiny) (?:bit|way|distance)\b|\b(?:short|long) (?:way|distance)\b", " ", text
    )
    # What follows these words is another thing, or where to.
    text = re.sub(_ANOTHER, " ", re.sub(r"\btowards? (?:the|my|your) (?:left|right)\b", " ", text))
    # "Put it on the left" says where to; "lift the one on the left" says which.
    return re.sub(r"\b(put|place|set)\b(.*?) on (?:the|my|your) (?:left|right)\b", r"\1\2", text)


def _extreme(indices: list[int], values: list[float], ratio: bool) -> list[int]:
    """The one with the largest value, or all that come close to it."""
    top = max(values)
    # Sizes compare by ratio (values are logarithms), places by 1 cm.
    margin = np.log(_CLEARLY) if ratio else 0.01
    return [i for i, value in zip(indices, values, strict=True) if value > top - margin]


_PLACES = ("left", "right", "front", "back", "upper", "lower")
# "The left one", "leftmost" and "on the left" choose a thing; "to the left" and "left" alone are directions.
_SIDE = (
    r"\bthe (?:\w+ )?{0}(?! (?:hand|of|side of))\b(?<!to the {0})|\b{0}most\b|\bon (?:the|my|your) {0}\b|"
    r"\b(?:farthest|furthest) (?:to|on) (?:the|my|your) {0}\b"
)
# "The nearer mug", but not "the mug nearer to me".
_MORE = r"\bthe (?:\w+ )?(?:{0}) (?!(?:to|towards?|by|away|from|off|back|up|down|and|please|in|out|than)\b)\w+"
# "Lower the mug" and "by the top edge" choose nothing.
_ROW = r"\bthe (?:\w+ )?(?:{0}) (?!of\b|edge\b|rim\b|side\b|end\b|half\b|part\b|and\b)\w+"
_RELATIVE: tuple[tuple[str, str, Callable[[Appearance], float]], ...] = (
    (r"\b(big|bigger|biggest|large|larger|largest)\b", "big", lambda a: float(np.log(a.size).sum())),
    (
        r"(?<!a )\b(small|smaller|smallest|little|littlest|tiny|tiniest)\b",
        "small",
        lambda a: -float(np.log(a.size).sum()),
    ),
    (r"\b(tall|taller|tallest)\b", "tall", lambda a: float(np.log(a.size[2]))),
    (r"\b(short|shorter|shortest|flat|flatter|flattest|lowest)\b", "flat", lambda a: -float(np.log(a.size[2]))),
    (r"\b(long|longer|longest)\b", "long", lambda a: float(np.log(max(a.size)))),
    (r"\b(wide|wider|widest|thick|thickest)\b", "wide", lambda a: float(np.log(a.size[1]))),
    (r"\b(narrow|narrower|narrowest|thin|thinner|thinnest|slim)\b", "thin", lambda a: -float(np.log(a.size[1]))),
    (_SIDE.format("left"), "left", lambda a: -a.right),
    (_SIDE.format("right"), "right", lambda a: a.right),
    (
        r"\b(nearest|closest|frontmost)\b|\b(in|at) (the )?front\b|\bthe front (?!of)\w+|"
        + _MORE.format("nearer|closer"),
        "front",
        lambda a: -a.away,
    ),
    (
        r"\b(farthest|furthest|rearmost)\b(?! (?:to|on) (?:the|my|your) (?:left|right)\b)|\b(in|at) the back\b|"
        r"\bthe (back|rear) (?!of)\w+|" + _MORE.format("farther|further"),
        "back",
        lambda a: a.away,
    ),
    (r"\buppermost\b|\btopmost\b|" + _ROW.format("upper|top"), "upper", lambda a: a.up),
    (r"\blowermost\b|\bbottommost\b|" + _ROW.format("lower|bottom"), "lower", lambda a: -a.up),
)


def _list(things: Sequence[Appearance]) -> str:
    order = sorted(range(len(things)), key=lambda i: things[i].right)
    text = "; ".join(str(things[i]) for i in order)
    return (
        f"{len(things)} objects on the table, from left to right: {text}. "
        "Say which by colour, size or place, or give --point u,v."
    )
