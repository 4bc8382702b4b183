"""The table of `whole_path.simulation` as text, CSV, JSON, a chart and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.evaluation import tables
from unihm.evaluation.tables import text_table
from unihm.schema.storage import atomic_path, write_text
from unihm.whole_path.layout import NOT_TRIED, PALETTE, Layout, columns, interval, rate, share_words
from unihm.whole_path.page import page

_LEGEND = (
    "success: share of trials, [95 % interval of Wilson], {the same for trials that are alike by object; furniture is",
    "another object in every world}, number of trials. Hands are tried in the same worlds: of all hands go by {}.",
    "A - B: paired difference, success of A less that of B over the same trials, [95 % interval], p of McNemar's test.",
    "paper: the paper's Table 3, of a real robot; its worlds and ours are not the same.",
)

Row = Mapping[str, Any]


def text(rows: Sequence[Row], facts: Mapping[str, Any] | None = None) -> str:
    """Success as in the paper's Table 3, then at other frictions, differences, reasons of failure and confidence.

    Args:
        rows: Of `asked_rows`.
        facts: Of `evaluate_asked`.
    """
    if not rows:
        return "no rows"
    layout, facts = Layout(rows), facts or {}
    usual, *others = layout.frictions
    blocks = [(f"{part}, friction {usual:g}", _successes(layout, part, usual, facts)) for part in layout.parts]
    blocks += [
        (f"{part}, friction {friction:g}, {layout.pooled}", _compact(layout, part, friction))
        for friction in others
        for part in layout.parts
    ]
    blocks += [
        (f"paired differences, {layout.pooled}, {layout.whole}", _differences(layout)),
        (f"reasons of failure, {layout.pooled}, {layout.whole}, friction {usual:g}", _reasons(layout)),
        ("is confidence honest? all hands, parts and frictions", _confidence(facts)),
    ]
    written = [f"{title}\n{text_table(lines)}" for title, lines in blocks if lines]
    return "\n\n".join([*written, "\n".join([*_LEGEND, *_remarks(facts)])])


def write_tables(facts: Mapping[str, Any], folder: str | Path) -> None:
    """See `tables.write_tables`; and ``index.html``."""
    tables.write_tables(
        facts,
        folder,
        text=lambda rows: text(rows, facts),
        draw=lambda rows, path: write_chart(rows, path, facts.get("paper", {})),
    )
    write_text(Path(folder) / "index.html", page(facts["rows"], facts))


def write_chart(rows: Sequence[Row], path: Path, paper: Mapping[str, Mapping[str, float]]) -> None:
    """Bars of all hands at the first friction: a panel a part, a bar a way, whiskers of Wilson, the paper as a dash."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layout = Layout(rows)
    width = 0.84 / len(layout.ways)
    figure = Figure(figsize=(6.5 * len(layout.parts), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    shown: dict[str, Any] = {}
    panels = figure.subplots(1, len(layout.parts), squeeze=False, sharey=True)[0]
    for part, axis in zip(layout.parts, panels, strict=True):
        for place, column in enumerate(columns()):
            for number, way in enumerate(layout.ways):
                row = layout.row(part, column, way, layout.pooled, layout.frictions[0])
                if row is None:
                    continue
                x = place + (number - (len(layout.ways) - 1) / 2) * width
                bar = axis.bar(x, 100 * row["success"], 0.92 * width, color=PALETTE[number % len(PALETTE)])
                shown.setdefault(way, bar)
                axis.plot([x, x], [100 * row["ci_low"], 100 * row["ci_high"]], color="#555555", linewidth=1)
            if column in paper.get(part, {}):
                (dash,) = axis.plot([place - 0.45, place + 0.45], 2 * [100 * paper[part][column]], "k--", linewidth=1.6)
                shown.setdefault("paper, real robot", dash)
        axis.set_xticks(range(len(columns())), columns())
        axis.set_title(f"{part}: success %, {layout.pooled}, friction {layout.frictions[0]:g}", fontsize=10)
        axis.set_ylim(0, 100)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _successes(layout: Layout, part: str, friction: float, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line a way and hand; then the paper's."""
    lines = []
    for way in layout.ways:
        for hand in layout.hands:
            rows = {column: layout.row(part, column, way, hand, friction) for column in columns()}
            lines.append({"way": way, "hand": hand, **{name: _success(row) for name, row in rows.items()}})
    paper = facts.get("paper", {}).get(part)
    if paper:
        shown = {name: f"{100 * paper[name]:.0f} %" if name in paper else None for name in columns()}
        lines.append({"way": "paper, real robot", "hand": None, **shown})
    return lines


def _success(row: Row | None) -> str:
    if row is None:
        return NOT_TRIED
    alike = interval(row, "cluster")
    return f"{rate(row)} [{interval(row)}]{f' {{{alike}}}' if alike else ''} n {row['n']}"


def _compact(layout: Layout, part: str, friction: float) -> list[dict[str, Any]]:
    """A line a way, over all hands."""
    lines = []
    for way in layout.ways:
        rows = {column: layout.row(part, column, way, layout.pooled, friction) for column in columns()}
        cells = {name: f"{rate(row)} [{interval(row)}]" if row else NOT_TRIED for name, row in rows.items()}
        lines.append({"way": way, **cells})
    return lines


def _differences(layout: Layout) -> list[dict[str, Any]]:
    """Between ways, then between frictions."""
    found = layout.paired(layout.whole, layout.pooled)
    return [
        {"difference": words, **{name: _difference(found[words].get(name)) for name in columns()}}
        for words in sorted(found, key=lambda words: ": friction" in words)
    ]


def _difference(row: Row | None) -> str:
    if row is None:
        return NOT_TRIED
    which = "ci" if row["cluster_low"] is None else "cluster"
    return f"{rate(row, '+')} [{interval(row, which, '+')}] p {row['p_value']:.3f}"


def _reasons(layout: Layout) -> list[dict[str, Any]]:
    lines = []
    for column in columns():
        for way in layout.ways:
            row = layout.row(layout.whole, column, way, layout.pooled, layout.frictions[0])
            if row is not None:
                why = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
                failed = sum(row["reasons"].values())
                lines.append({"column": column, "way": way, "n": row["n"], "failed": failed, "why": why or None})
    return lines


def _confidence(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "way": row["variant"],
            "candidates that succeeded on what was perceived": share_words(row),
            "n": row["n"],
            "then in truth": rate(row),
        }
        for row in facts.get("confidence", ())
    ]


def _remarks(facts: Mapping[str, Any]) -> list[str]:
    """What was filmed."""
    lines = []
    for shown in facts.get("videos", ()):
        what = f"{shown['variant']}, {shown['part']} {shown['object']}" if shown["file"] else "there was none"
        lines.append(f"{shown['column']} {shown['hand']} {shown['kind']}: {shown['file'] or '-'} ({what})")
    return lines
