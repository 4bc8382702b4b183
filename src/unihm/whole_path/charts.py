"""Curves as inline SVG and stacked bars as HTML, in colours that the page sets for light and dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from unihm.evaluation.trials import CRASHED, REFUSED
from unihm.simulation.tasks import REASONS
from unihm.whole_path.layout import PALETTE
from unihm.whole_path.trials import NO_PATH, WRONG

REASON_COLOURS: Mapping[str, str] = dict(
    zip(
        (*REASONS, WRONG, NO_PATH, REFUSED, CRASHED),
        ("#c0504d", "#d98c3f", "#d9b93f", "#8f5fa8", "#6f87b8", "#b86f95", "#4f9f9a", "#7f8f3f", "#8a8a8a", "#5a5a5a"),
        strict=True,
    )
)
"""Reason -> colour; others are grey."""
_WIDTH, _HEIGHT = 320, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 10, 8, 34  # of the plotted area, in units of the picture
_DODGE = 3.0  # apart are whiskers of two curves at one place


class Point(NamedTuple):
    """A success rate and its interval."""

    x: float
    """Where, as a share of the axis."""
    y: float
    """Success rate."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    said: str
    """What is said of it when it is pointed at."""


class Curve(NamedTuple):
    """Success rates of one way."""

    name: str
    """Of what."""
    colour: int
    """Number in `PALETTE`."""
    points: Sequence[Point]
    """From left to right."""


def chart(curves: Sequence[Curve], ticks: Mapping[float, str], label: str, *, diagonal: bool = False) -> str:
    """Success in percent against something.

    Args:
        curves: What is drawn.
        ticks: Share of the axis to what is written there.
        label: What the axis is.
        diagonal: Draw where both axes are equal.
    """
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="success against {escape(label)}">']
    for percent in (0, 25, 50, 75, 100):
        y = _y(percent / 100)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3.5}" text-anchor="end">{percent}</text>')
    for place, words in ticks.items():
        parts.append(f'<text x="{_x(place)}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{escape(words)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(label)}</text>')
    if diagonal:
        parts.append(f'<line class="even" x1="{_x(0.0)}" y1="{_y(0.0)}" x2="{_x(1.0)}" y2="{_y(1.0)}"/>')
    for number, curve in enumerate(curves):
        parts += _drawn(curve, _DODGE * (number - (len(curves) - 1) / 2))
    return "".join([*parts, "</svg>"])


def legend(names: Mapping[str, str]) -> str:
    """Colours and what they mean.

    Args:
        names: Name to colour, as CSS says it.
    """
    items = (
        f'<span class="key"><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in names.items()
    )
    return f'<p class="legend">{"".join(items)}</p>'


def colour_of(number: int) -> str:
    """Colour of the number-th way."""
    return PALETTE[number % len(PALETTE)]


def stacked(n: int, reasons: Mapping[str, int]) -> str:
    """A bar of n trials: successes first, then reasons of failure; and the counts in words."""
    succeeded = n - sum(reasons.values())
    counts = {"succeeded": succeeded, **reasons}
    said = " · ".join(f"{name} {count}" for name, count in counts.items() if count)
    spans = "".join(
        f'<span title="{escape(name)} {count}" style="flex-grow:{count};background:{reason_colour(name)}"></span>'
        for name, count in counts.items()
        if count
    )
    return f'<div class="bar">{spans}</div><div class="said">{escape(said)}</div>'


def reason_colour(name: str) -> str:
    """Colour of a reason, or of success, as CSS says it."""
    return "var(--good)" if name == "succeeded" else REASON_COLOURS.get(name, "#aaaaaa")


def _drawn(curve: Curve, aside: float) -> list[str]:
    colour = colour_of(curve.colour)
    places = [(round(_x(point.x) + aside, 2), _y(point.y)) for point in curve.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>']
    for point, (x, y) in zip(curve.points, places, strict=True):
        whisker = f'<line x1="{x}" y1="{_y(point.low)}" x2="{x}" y2="{_y(point.high)}" stroke="{colour}" opacity=".6"/>'
        dot = f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'
        parts.append(f"<g><title>{escape(f'{curve.name}: {point.said}')}</title>{whisker}{dot}</g>")
    return parts


def _x(share: float) -> float:
    return round(_LEFT + 10 + share * (_WIDTH - _LEFT - _RIGHT - 20), 2)


def _y(share: float) -> float:
    return round(_TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM), 2)
