"""The refinement table as text, CSV, JSON and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.evaluation import tables
from unihm.evaluation.tables import text_table
from unihm.schema.storage import atomic_path

_COLUMNS = {
    "hand": ("hand", 0),
    "variant": ("variant", 0),
    "n": ("n", 0),
    "skipped": ("no motion", 0),
    "penetration_mean_mm": ("pierced mm", 2),
    "penetration_max_mm": ("at most mm", 1),
    "penetration_volume_cm3": ("pierced cm³", 3),
    "contact_ratio": ("contact", 2),
    "slip_mm_per_frame": ("slip mm/frame", 2),
    "self_penetration_mm": ("self mm", 2),
    "limit_violations": ("outside limits %", 1),
    "jerk": ("jerk m/s³", 0),
    "motion_change_mm": ("moved mm", 1),
    "motion_change_max_mm": ("at most mm ", 1),
    "motion_change_deg": ("turned °", 1),
    "motion_change_max_deg": ("at most °", 1),
    "ms_per_frame": ("ms/frame", 2),
}
_WITH_INTERVAL = ("penetration_mean_mm", "contact_ratio", "slip_mm_per_frame")
_LEGEND = (
    "pierced: depth of the hand's deepest point in the true object, mean over all frames, and the largest of all; "
    "volume that both share.",
    "contact: share of frames with the object more than 3 cm up in which two opposing pads are within 2 mm of it.",
    "slip: movement of pads in contact along the surface. self: deepest overlap of the hand's own links.",
    "moved, turned: palm, by refinement, before contact. Numbers are means over recordings; intervals 95 %, by object.",
)
_PANELS = {
    "penetration_mean_mm": "penetration, mean, mm (lower: better)",
    "contact_ratio": "contact ratio (higher: better)",
    "slip_mm_per_frame": "slip, mm per frame (lower: better)",
}
_COLOURS = ("#5b7389", "#8fa3b5", "#d07a2d", "#b3541e", "#c9b458", "#e8b98c", "#7d5a3c", "#999999")

Row = Mapping[str, Any]


def text(rows: Sequence[Row]) -> str:
    """Aligned columns, one table a part of the split, and what the columns mean."""
    if not rows:
        return "no rows"
    parts = []
    for split in dict.fromkeys(row["split"] for row in rows):
        shown = [
            {title: _cell(row, name, decimals) for name, (title, decimals) in _COLUMNS.items()}
            for row in rows
            if row["split"] == split
        ]
        if all(row["no motion"] == 0 for row in shown):
            shown = [{title: value for title, value in row.items() if title != "no motion"} for row in shown]
        parts.append(f"{split}\n{text_table(shown)}")
    return "\n\n".join([*parts, "\n".join(_LEGEND)])


def write_tables(facts: Mapping[str, Any], folder: str | Path) -> None:
    """See `tables.write_tables`."""
    tables.write_tables(facts, folder, text=text, draw=write_chart)


def write_chart(rows: Sequence[Row], path: Path) -> None:
    """Bars with intervals: a line of panels for each part of the split, a group for each hand."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    splits = list(dict.fromkeys(row["split"] for row in rows))
    figure = Figure(figsize=(15, 3.6 * len(splits) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(splits), len(_PANELS), squeeze=False)
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    colour = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(variants)}
    shown: dict[str, Any] = {}
    for line, split in zip(panels, splits, strict=True):
        chosen = [row for row in rows if row["split"] == split]
        hands = list(dict.fromkeys(row["hand"] for row in chosen))
        for axis, (name, title) in zip(line, _PANELS.items(), strict=True):
            for place, hand in enumerate(hands):
                members = [row for row in chosen if row["hand"] == hand]
                width = 0.85 / max(len(members), 1)
                for i, row in enumerate(members):
                    if row[name] is None:
                        continue
                    x = place + (i - (len(members) - 1) / 2) * width
                    bar = axis.bar(x, row[name], width, color=colour[row["variant"]])
                    shown.setdefault(row["variant"], bar)
                    if row.get(f"{name}_ci") is not None:
                        axis.plot([x, x], row[f"{name}_ci"], color="#333333", linewidth=1)
            axis.set_xticks(range(len(hands)), hands)
            axis.set_title(f"{split}: {title}", fontsize=10)
            axis.spines[["top", "right"]].set_visible(False)
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=5, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _cell(row: Row, name: str, decimals: int) -> Any:
    value, interval = row.get(name), row.get(f"{name}_ci")
    if not isinstance(value, float):
        return value
    if name not in _WITH_INTERVAL or interval is None:
        return f"{value:.{decimals}f}"
    return f"{value:.{decimals}f} [{interval[0]:.{decimals}f}, {interval[1]:.{decimals}f}]"
