"""The retargeting bench as text, Markdown, JSON and a chart."""

from __future__ import annotations

import math
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
_LEGEND = {
    "ms_per_frame_median": "ms: one frame after another in one thread; whole recordings: a recording's time over its "
    "frames.",
    "objective_median": "objective: mean over coordinates of the smooth L1 loss of the target links' errors, width "
    "20 mm, m.",
    "at_least_as_good": "as good as converged: share of frames whose objective is at most 1 % above that of "
    "dex_retargeting converged; within limits: the same with its limits exact.",
    "bend_deg": "bend: mean second difference of the joints a frame, the smoothness; step p99: their first difference; "
    "mm where joints slide.",
    "limit_violations": "outside limits: frames with a joint more than 1e-6 rad or m beyond its limits.",
    "failures": "failures: frames that were given up, or not converged.",
    "restart_deg": "restart: how far the same frames differ when the recording starts 10 or 20 frames later; "
    "left out for dex_retargeting converged, which takes long.",
    "batch_ms_per_frame": "batch of 256: so many recordings of up to 32 frames at once in one thread, ms a frame; "
    "dex_retargeting takes one at a time, which costs it its ms per frame.",
}
_COLOURS = {
    "unihm": "#d07a2d",
    "unihm, whole recordings": "#e8b98c",
    "unihm without rest posture": "#b3541e",
    "unihm, its own objective": "#7d5a3c",
    "dex_retargeting": "#8fa3b5",
    "dex_retargeting converged": "#5b7389",
    "dex_retargeting converged, exact limits": "#3d5064",
}


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Aligned columns, one table a data set, and what the columns mean."""
    tables = []
    for data in dict.fromkeys(row["data"] for row in rows):
        chosen = [row for row in rows if row["data"] == data]
        shown = [{title: _value(row, name) for name, title in _COLUMNS.items()} for row in chosen]
        tables.append(f"{data} ({chosen[0]['frames']} frames)\n{text_table(shown, decimals=None)}")
    return "\n\n".join([*tables, "\n".join(_legend(rows))])


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same as Markdown."""
    lines = []
    for data in dict.fromkeys(row["data"] for row in rows):
        chosen = [row for row in rows if row["data"] == data]
        names = [name for name in _COLUMNS if any(_value(row, name) is not None for row in chosen)]
        lines += [f"**{data}** ({chosen[0]['frames']} frames)", ""]
        lines.append("| " + " | ".join(_COLUMNS[name] for name in names) + " |")
        lines.append("|" + "---|" * len(names))
        for row in chosen:
            values = [_value(row, name) for name in names]
            lines.append("| " + " | ".join("" if value is None else str(value) for value in values) + " |")
        lines.append("")
    return "\n".join([*lines, *(f"- {line}" for line in _legend(rows)), ""])


def _value(row: Mapping[str, Any], name: str) -> Any:
    """Of a column; what is in degrees for joints that turn is in millimetres for those that slide."""
    value = row.get(name)
    slid = row.get(name.removesuffix("_deg") + "_mm") if name.endswith("_deg") else None
    if slid is None:
        return value
    return f"{slid} mm" if value is None else f"{value}, {slid} mm"


def _legend(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [line for name, line in _LEGEND.items() if any(_value(row, name) is not None for row in rows)]


def write_tables(facts: Mapping[str, Any], folder: str | Path) -> None:
    """Write ``table.txt``, ``table.md``, ``table.json`` and ``chart.png``, each atomically."""
    folder = Path(folder)
    write_json(folder / "table.json", dict(facts))
    heads = [f"{name}: {value}" for name, value in facts.items() if name != "rows"]
    write_text(folder / "table.txt", "\n".join([*heads, "", text(facts["rows"]), ""]))
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
                heights = [row.get(key, math.nan) for row in found]
                axis.bar(places, heights, width, label=system, color=_COLOURS.get(system, "#999999"))
            axis.set_yscale("log")
            axis.set_xticks(range(len(hands)), hands)
            axis.set_title(f"{data}: {title}", fontsize=10)
    shown = {}
    for axis in axes[:, 0]:
        for bars, label in zip(*axis.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, bars)
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
