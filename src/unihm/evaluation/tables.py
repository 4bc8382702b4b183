"""Rows of an evaluation as text, CSV, JSON and a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.schema.storage import atomic_path, write_json, write_text

_CI = "_ci"
_LABELS = {
    "mpjpe_mm": "MPJPE mm",
    "mpjpe_wrist_mm": "wrist-rel. mm",
    "fpl_mm": "FPL mm",
    "fol_deg": "FOL deg",
    "jerk": "jerk m/s3",
    "grasp_share": "grasp",
    "diversity": "div.",
    "multimodality": "multim.",
    "r_precision_1": "R@1",
    "r_precision_2": "R@2",
    "r_precision_3": "R@3",
    "matching_distance": "match",
}
_BELOW = ("given", "samples", "skipped")  # too wide or too alike for a column
_DRAWN = ("mpjpe_mm", "mpjpe_wrist_mm", "fpl_mm", "fol_deg")
_LONGEST = 200  # characters of a fact above a table; the whole of it is in table.json
_OURS, _OTHERS = "#d07a2d", "#8fa3b5"

Row = Mapping[str, Any]


def text_table(rows: Sequence[Row], decimals: int | None = 1) -> str:
    """Aligned columns; an interval stands behind its mean, and what the methods were given below the table.

    Numbers have so many decimals; None: as many as they come with.
    """
    if not rows:
        return "no rows"
    columns = [name for name in _columns(rows) if name not in _BELOW]
    cells = [[_LABELS.get(c, c) for c in columns], *([_cell(row, c, decimals) for c in columns] for row in rows)]
    numeric = [any(isinstance(row.get(c), (int, float)) for row in rows) for c in columns]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = [
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    for name in _BELOW:
        methods: dict[str, dict[str, None]] = {}
        for row in rows:
            if row.get(name) is not None:
                methods.setdefault(str(row[name]), {})[str(row["method"])] = None
        if len(methods) == 1:
            lines.append(f"{name}: {next(iter(methods))}")
        else:
            lines += [f"{name}: {value} ({', '.join(found)})" for value, found in methods.items()]
    return "\n".join(lines)


def write_tables(
    facts: Mapping[str, Any],
    folder: str | Path,
    *,
    text: Callable[[Sequence[Row]], str] | None = None,
    draw: Callable[[Sequence[Row], Path], None] | None = None,
) -> None:
    """Write ``table.txt``, ``table.csv``, ``table.json`` and ``table.png``, each atomically.

    Args:
        facts: Command, commit, seed, data and ``rows``, as the command prints them.
        folder: Where to; made if missing.
        text: Rows as text; by default `text_table`.
        draw: Rows as a picture; by default bars of the generation metrics.

    Raises:
        ValueError: There are no rows, or the folder cannot be written.
    """
    folder, rows = Path(folder), facts["rows"]
    if not rows:
        raise ValueError("There are no rows to write.")
    told = {name: value for name, value in facts.items() if isinstance(value, str) or len(str(value)) <= _LONGEST}
    heads = [f"{name}: {value}" for name, value in told.items() if name != "rows"]
    write_text(folder / "table.txt", "\n".join([*heads, "", (text or text_table)(rows), ""]))
    write_text(folder / "table.csv", _csv(rows))
    write_json(folder / "table.json", dict(facts))
    (draw or _draw)(rows, folder / "table.png")


def _columns(rows: Sequence[Row]) -> list[str]:
    """All columns with a value somewhere, in the order of their first appearance, without the intervals."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [n for n in names if not n.endswith(_CI) and any(row.get(n) is not None for row in rows)]


def _cell(row: Row, column: str, decimals: int | None) -> str:
    value = row.get(column)
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    if decimals is None:
        return repr(value)
    interval = row.get(column + _CI)
    if interval is None:
        return f"{value:.{decimals}f}"
    low, high = interval
    if 0 < high - low < 1:
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"
    return f"{value:.1f} [{low:.0f}, {high:.0f}]"


def _csv(rows: Sequence[Row]) -> str:
    """One line a row; an interval becomes the columns ``*_ci_low`` and ``*_ci_high``, counts one column each."""
    flat = []
    for row in rows:
        line: dict[str, Any] = {}
        for name, value in row.items():
            if name.endswith(_CI):
                line[f"{name}_low"], line[f"{name}_high"] = value or (None, None)
            elif isinstance(value, Mapping):
                line |= {f"{name}_{key}".replace(" ", "_"): item for key, item in value.items()}
            else:
                line[name] = value
        flat.append(line)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in flat for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _draw(rows: Sequence[Row], path: Path) -> None:
    """Bars with intervals: a line of panels for each split and hand, a panel for each metric."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["split"], row["hand"]), []).append(row)
    drawn = [name for name in _DRAWN if any(row.get(name) is not None for row in rows)]
    methods = max(map(len, groups.values()))
    figure = Figure(figsize=(3.2 * len(drawn) + 2, (0.32 * methods + 0.9) * len(groups)), dpi=120, layout="constrained")
    panels = figure.subplots(len(groups), len(drawn), squeeze=False)
    for number, ((split, hand), members) in enumerate(groups.items()):
        line = panels[number]
        for axes, name in zip(line, drawn, strict=True):
            _bars(axes, members, name)
            axes.set_title(_LABELS[name] if number == 0 else "", fontsize=10)
        line[0].set_yticks(range(len(members)), [str(row["method"]) for row in members], fontsize=8)
        line[0].set_ylabel(f"{split}\n{hand}, n {members[0]['n']}", fontsize=9)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def _bars(axes: Any, rows: Sequence[Row], name: str) -> None:
    means = [float(row[name]) for row in rows]
    # A method that is off by a multiple of the others (a hand that never moves) would squeeze them to nothing.
    limit = min(1.25 * max(means), 3.5 * sorted(means)[len(means) // 2])
    for place, (row, mean) in enumerate(zip(rows, means, strict=True)):
        ours = str(row["method"]).startswith("generated")
        axes.barh(place, min(mean, limit), color=_OURS if ours else _OTHERS, height=0.7)
        interval = row.get(name + _CI)
        if interval is not None and mean < limit:
            axes.plot(interval, [place, place], color="#333", linewidth=1.2)
        end = min(mean if interval is None else float(interval[1]), 0.86 * limit)
        axes.text(end + 0.015 * limit, place, f"{mean:.0f}", va="center", fontsize=7.5)
    axes.set(xlim=(0, limit), yticks=[])
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7.5)
