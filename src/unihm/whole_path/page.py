"""The table of `whole_path.simulation` as one page that needs nothing from elsewhere but the films beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from math import log2
from typing import Any

from unihm.evaluation.intervals import wilson
from unihm.whole_path.charts import (
    REASON_COLOURS,
    Curve,
    Point,
    chart,
    colour_of,
    legend,
    reason_colour,
    stacked,
)
from unihm.whole_path.films import best_way
from unihm.whole_path.layout import NOT_TRIED, Layout, columns, interval, rate, share_words
from unihm.whole_path.style import STYLE
from unihm.whole_path.worlds import COLUMNS, PARTS

_INTRODUCTION = (
    "A made image of a table and an instruction go in; a hand's motion comes out and is executed in simulation, where "
    "it succeeds or not. Columns are those of the paper's Table 3, whose figures are of a real robot."
)
_HOW_TO_READ = (
    "Success is the share of trials. [95 % interval of Wilson]; {the same for trials that are alike by object, where "
    "furniture is another object in every world}; n trials. Hands are tried in the same worlds: of all hands go by {}."
)
_NOT_MEASURED = (
    "Real robots: nothing here ran on one. The paper's figures are of one, in worlds other than these.",
    "Real cameras: the images are made, not taken.",
    "Collisions with what stands around: it is in the image and in the way of planning, but not in the simulated "
    "world.",
)
_FOOT = ("command", "commit", "data", "seed", "date", "worlds", "trials", "trials_of_an_earlier_run")

Row = Mapping[str, Any]


def page(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """The whole page; the same for the same arguments.

    Args:
        rows: Of `asked_rows`, at least one.
        facts: Of `evaluate_asked`, with command, commit, data and seed.
    """
    layout = Layout(rows)
    sections = [
        ("Success", _tables(layout, facts)),
        ("Curves", _curves(layout, facts)),
        ("Reasons of failure", _reasons(layout)),
        ("Films", _gallery(facts)),
        ("What is not measured", _not_measured(layout, facts)),
        ("This run", _foot(facts)),
    ]
    quick = '<p class="warning">A quick run, to see that all works: its figures say nothing.</p>'
    body = "".join(f"<section><h2>{title}</h2>{inner}</section>" for title, inner in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>unihm: from words to success</title><style>{STYLE}</style></head>\n<body><main>"
        f"<h1>From words to success</h1><p>{_INTRODUCTION}</p>{quick if facts.get('quick') else ''}"
        f"{_tiles(layout, facts)}{body}</main></body></html>\n"
    )


def _tiles(layout: Layout, facts: Mapping[str, Any]) -> str:
    """The way among the most candidates, at a glance."""
    way, friction = best_way(layout.ways), layout.frictions[0]
    tiles = []
    for column in columns():
        lines = []
        for part in PARTS:
            row = layout.row(part, column, way, layout.pooled, friction)
            paper = facts.get("paper", {}).get(part, {}).get(column)
            beside = "" if paper is None else f" <small>paper {100 * paper:.0f} %</small>"
            lines.append(f"<div>{part} <b>{rate(row) if row else NOT_TRIED}</b>{beside}</div>")
        tiles.append(f'<div class="tile"><h3>{column}</h3>{"".join(lines)}</div>')
    held = f"{way}, {layout.pooled}, friction {friction:g}"
    return f'<div class="tiles">{"".join(tiles)}</div><p class="said">{escape(held)}</p>'


def _tables(layout: Layout, facts: Mapping[str, Any]) -> str:
    """All hands at the usual friction; folded away beneath, single hands and other frictions."""
    usual, *others = layout.frictions
    single = [hand for hand in layout.hands if hand != layout.pooled]
    shown = "".join(_table(layout, part, [layout.pooled], usual, facts) for part in layout.parts)
    folded = _folded("single hands", layout, single, usual) if single else ""
    folded += "".join(_folded(f"friction {mu:g}", layout, [layout.pooled, *single], mu) for mu in others)
    return f"{shown}{folded}<p class='said'>{_HOW_TO_READ}</p>"


def _folded(title: str, layout: Layout, hands: Sequence[str], friction: float) -> str:
    tables = "".join(_table(layout, part, hands, friction, {}) for part in layout.parts)
    return f"<details><summary>{title}</summary>{tables}</details>"


def _table(layout: Layout, part: str, hands: Sequence[str], friction: float, facts: Mapping[str, Any]) -> str:
    """Lines a way and hand; then the paper's."""
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns())
    bodies = []
    for number, way in enumerate(layout.ways):
        lines = []
        for hand in hands:
            cells = "".join(f"<td>{_cell(layout.row(part, c, way, hand, friction))}</td>" for c in columns())
            name = f'<i style="background:{colour_of(number)}"></i>{escape(way)}' if hand == hands[0] else ""
            whose = f"<span>{escape(hand)}</span>" if len(hands) > 1 else ""
            lines.append(f'<tr><th scope="row">{name}{whose}</th>{cells}</tr>')
        bodies.append(f"<tbody>{''.join(lines)}</tbody>")
    paper = facts.get("paper", {}).get(part)
    if paper:
        cells = "".join(f"<td>{f'<b>{100 * paper[c]:.0f} %</b>' if c in paper else '-'}</td>" for c in columns())
        bodies.append(f'<tbody class="paper"><tr><th scope="row">paper, real robot</th>{cells}</tr></tbody>')
    whose = f", {escape(hands[0])}" if len(hands) == 1 else ""
    return (
        f'<div class="wide"><table><caption>{escape(part)}, friction {friction:g}{whose}</caption>'
        f"<thead><tr><th></th>{heads}</tr></thead>{''.join(bodies)}</table></div>"
    )


def _cell(row: Row | None) -> str:
    if row is None:
        return f'<span class="none">{NOT_TRIED}</span>'
    alike = interval(row, "cluster")
    return f"<b>{rate(row)}</b> <small>[{interval(row)}]{f' {{{alike}}}' if alike else ''} n {row['n']}</small>"


def _curves(layout: Layout, facts: Mapping[str, Any]) -> str:
    shown = ["<h3>Success against friction</h3>"]
    if len(layout.frictions) > 1:
        ways = {way: colour_of(number) for number, way in enumerate(layout.ways)}
        shown.append(f"{legend(ways)}{_grid(_against_friction(layout))}")
    else:
        shown.append(f"<p>Other frictions than {layout.frictions[0]:g}: {NOT_TRIED}.</p>")
    shown.append("<h3>Success against the number of candidates</h3>")
    parts = {part: colour_of(number) for number, part in enumerate(layout.parts)}
    several = len(layout.candidates) > 1
    shown.append(f"{legend(parts)}{_grid(_against_candidates(layout))}" if several else f"<p>{NOT_TRIED}.</p>")
    shown.append("<h3>Is the confidence honest?</h3>")
    told = facts.get("confidence")
    shown.append(_reliability(told, layout) if told else f"<p>{NOT_TRIED}.</p>")
    return "".join(shown)


def _grid(charts: Mapping[str, str]) -> str:
    figures = (f"<figure>{svg}<figcaption>{escape(title)}</figcaption></figure>" for title, svg in charts.items())
    return f'<div class="grid">{"".join(figures)}</div>'


def _against_friction(layout: Layout) -> dict[str, str]:
    frictions = sorted(layout.frictions)
    places = {mu: (mu - frictions[0]) / (frictions[-1] - frictions[0]) for mu in frictions}
    charts = {}
    for part in layout.parts:
        for column in columns():
            curves = []
            for number, way in enumerate(layout.ways):
                rows = {mu: layout.row(part, column, way, layout.pooled, mu) for mu in frictions}
                points = [_point(places[mu], row, f"friction {mu:g}") for mu, row in rows.items() if row]
                curves += [Curve(way, number, points)] if points else []
            if curves:
                ticks = {places[mu]: f"{mu:g}" for mu in frictions}
                charts[f"{column}, {part}, {layout.pooled}"] = chart(curves, ticks, "friction")
    return charts


def _against_candidates(layout: Layout) -> dict[str, str]:
    counts, friction = layout.candidates, layout.frictions[0]
    places = {count: log2(count / min(counts)) / log2(max(counts) / min(counts)) for count in counts}
    charts = {}
    for column in columns():
        curves = []
        for number, part in enumerate(layout.parts):
            rows = {count: layout.row(part, column, way, layout.pooled, friction) for count, way in counts.items()}
            points = [_point(places[count], row, f"{count} candidates") for count, row in rows.items() if row]
            curves += [Curve(part, number, points)] if points else []
        if curves:
            ticks = {places[count]: str(count) for count in counts}
            charts[f"{column}, {layout.pooled}, friction {friction:g}"] = chart(curves, ticks, "candidates")
    return charts


def _point(place: float, row: Row, what: str) -> Point:
    said = f"{what}, {rate(row)} [{interval(row)}], n {row['n']}"
    return Point(place, row["success"], row["ci_low"], row["ci_high"], said)


def _reliability(told: Sequence[Row], layout: Layout) -> str:
    """Success in truth against the share of candidates that succeeded on what was perceived."""
    curves = []
    for way, members in groupby(told, lambda row: row["variant"]):
        points = []
        for row in members:
            found = wilson(round(row["success"] * row["n"]), row["n"])
            said = f"{share_words(row)} of the candidates, then {rate(row)}, n {row['n']}"
            points.append(Point((row["above"] + row["to"]) / 2, row["success"], found.low, found.high, said))
        curves.append(Curve(way, layout.ways.index(way) if way in layout.ways else 0, points))
    ticks = {share / 4: f"{25 * share}" for share in range(5)}
    svg = chart(curves, ticks, "% of candidates that succeed on what is perceived", diagonal=True)
    counts = "".join(f"<li>{escape(f'{curve.name}: {p.said}')}</li>" for curve in curves for p in curve.points)
    figure = _grid({"success in truth; dashed: as often as promised; all hands, parts and frictions": svg})
    return f"{legend({c.name: colour_of(c.colour) for c in curves})}{figure}<ul class='said'>{counts}</ul>"


def _reasons(layout: Layout) -> str:
    friction, met, blocks = layout.frictions[0], dict.fromkeys(["succeeded"]), []
    for column in columns():
        lines = []
        for way in layout.ways:
            row = layout.row(layout.whole, column, way, layout.pooled, friction)
            if row is not None:
                met |= dict.fromkeys(row["reasons"])
                lines.append(f"<dt>{escape(way)}</dt><dd>{stacked(row['n'], row['reasons'])}</dd>")
        inner = f'<dl class="bars">{"".join(lines)}</dl>' if lines else f"<p>{NOT_TRIED}</p>"
        blocks.append(f"<div><h3>{column}</h3>{inner}</div>")
    order = ["succeeded", *REASON_COLOURS]
    names = {name: reason_colour(name) for name in sorted(met, key=lambda n: order.index(n) if n in order else 99)}
    held = escape(f"{layout.whole}, {layout.pooled}, friction {friction:g}")
    return f'{legend(names)}<div class="two">{"".join(blocks)}</div><p class="said">{held}</p>'


def _gallery(facts: Mapping[str, Any]) -> str:
    films = facts.get("videos")
    if not films:
        return "<p>None were made; --videos makes them.</p>"
    blocks = []
    for column in [column for column in columns() if any(film["column"] == column for film in films)]:
        cards = "".join(_card(film) for film in films if film["column"] == column)
        blocks.append(f'<h3>{column}</h3><div class="cards">{cards}</div>')
    return "".join(blocks)


def _card(film: Mapping[str, Any]) -> str:
    head = f'<b class="{film["kind"]}">{film["kind"]}</b> {escape(film["hand"])}'
    if film["file"] is None:
        return f'<figure class="card"><figcaption>{head}: there was none to show.</figcaption></figure>'
    file, poster, image = (escape(film[name]) for name in ("file", "poster", "image"))
    about = f"{film['part']} {film['object']}, {film['variant']}, friction {film['friction']:g}"
    reason = f": {escape(film['reason'])}" if film["reason"] else ""
    return (
        '<figure class="card"><div class="pair">'
        f'<video controls loop muted playsinline preload="none" poster="{poster}" src="{file}"></video>'
        f'<img loading="lazy" src="{image}" alt="the image it began with"></div>'
        f"<figcaption>{head}{reason}<q>{escape(film['instruction'])}</q>"
        f"<small>{escape(about)}</small></figcaption></figure>"
    )


def _not_measured(layout: Layout, facts: Mapping[str, Any]) -> str:
    tried = {(cell.part, cell.column) for cell in layout.cells}
    missing = [f"{column} ({part})" for part in PARTS for column in COLUMNS if (part, column) not in tried]
    lines: list[str] = [*_NOT_MEASURED]
    if missing:
        lines.append(f"Columns {NOT_TRIED}: {', '.join(missing)}.")
    if len(layout.frictions) < 2:
        lines.append(f"Frictions other than {layout.frictions[0]:g}: {NOT_TRIED}.")
    if not facts.get("confidence"):
        lines.append(f"Whether confidence is honest: {NOT_TRIED}.")
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _foot(facts: Mapping[str, Any]) -> str:
    lines = []
    for name in _FOOT:
        value = "not recorded" if facts.get(name) is None else str(facts[name])
        lines.append(f"<dt>{name.replace('_', ' ')}</dt><dd><code>{escape(value)}</code></dd>")
    return f'<dl class="facts">{"".join(lines)}</dl>'
