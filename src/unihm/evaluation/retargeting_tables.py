"""The retargeting bench as text, Markdown, JSON and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.evaluation.tables import text_table
from unihm.schema.storage import atomic_path, write_json, write_text

_COLUMNS = {
    "hand": "hand",
    "system": "system",
    "ms_per_frame_median": "ms median",
    "ms_per_frame_p99": "ms p99",
    "objective_median": "objective median",
    "objective_mean": "objective mean",
    "at_least_as_good": "as good as converged",
    "at_least_as_good_exact": "… within limits",
    "fingertip_mm": "fingertip mm",
    "bend_deg": "bend °",
    "step_p99_deg": "step p99 °",
    "limit_violations": "outside limits",
    "failures": "failures",
    "restart_deg": "restart °",
    "restart_p99_deg": "restart p99 °",
    "batch_ms_per_frame": "ms, batch of 256",
}
_COLOURS = ("#d07a2d", "#e8b98c", "#b3541e", "#7d5a3c", "#8fa3b5", "#5b7389", "#3d5064")


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Aligned columns, one table a data set."""
    tables = []
    for data in dict.fromkeys(row["data"] for row in rows):
        chosen = [row for row in rows if row["data"] == data]
        shown = [{title: row.get(name) for name, title in _COLUMNS.items()} for row in chosen]
        tables.append(f"{data} ({chosen[0]['frames']} frames)\n{text_table(shown, decimals=None)}")
    return "\n\n".join(tables)


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same as Markdown."""
    lines = []
    for data in dict.fromkeys(row["data"] for row in rows):
        chosen = [row for row in rows if row["data"] == data]
        lines += [f"**{data}** ({chosen[0]['frames']} frames)", ""]
        lines.append("| " + " | ".join(_COLUMNS.values()) + " |")
        lines.append("|" + "---|" * len(_COLUMNS))
        for row in chosen:
            cells = ["" if row.get(name) is None else str(row[name]) for name in _COLUMNS]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def write_tables(facts: Mapping[str, Any], folder: str | Path) -> None:
    """Write ``table.txt``, ``table.md``, ``table.json`` and ``chart.png``, each atomically."""
    folder = Path(folder)
    write_json(folder / "table.json", dict(facts))
    write_text(folder / "table.txt", text(facts["rows"]) + "\n")
    write_text(folder / "table.md", markdown(facts["rows"]))
    write_chart(facts["rows"], folder / "chart.png")


def write_chart(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Time and objective of every system and hand, both on a logarithmic scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sets = list(dict.fromkeys(row["data"] for row in rows))
    figure = Figure(figsize=(13, 4.2 * len(sets)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(sets), 2, squeeze=False)
    for line, data in zip(axes, sets, strict=True):
        chosen = [row for row in rows if row["data"] == data]
        hands, systems = (list(dict.fromkeys(row[key] for row in chosen)) for key in ("hand", "system"))
        width = 0.85 / len(systems)
        quantities = (
            ("ms_per_frame_median", "ms per frame, median"),
            ("objective_mean", "objective, mean (lower: better)"),
        )
        for axis, (key, title) in zip(line, quantities, strict=True):
            for i, system in enumerate(systems):
                found = [row for row in chosen if row["system"] == system]
                places = [hands.index(row["hand"]) + (i - (len(systems) - 1) / 2) * width for row in found]
                colour = _COLOURS[i % len(_COLOURS)]
                axis.bar(places, [row[key] for row in found], width, label=system, color=colour)
            axis.set_yscale("log")
            axis.set_xticks(range(len(hands)), hands)
            axis.set_title(f"{data}: {title}", fontsize=10)
        line[0].legend(fontsize=7)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
