"""The table of `evaluation.perception` as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.schema.storage import atomic_path

_SHARES = {"target_accuracy": "right thing", "task_accuracy": "right task", "iou": "mask IoU", "asks": "asks back"}
_LENGTHS = {"pick_mm": "pick, mm", "path_end_mm": "path's end, mm", "chamfer_mm": "Chamfer, mm"}
_COLOUR = "#d07a2d"


def draw_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A panel for each figure, a bar for each row; written as PNG, atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = {
        name: label for name, label in {**_SHARES, **_LENGTHS}.items() if any(row.get(name) is not None for row in rows)
    }
    figure = Figure(figsize=(2.1 * len(names) + 3, 0.3 * len(rows) + 0.9), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axes, (name, label) in zip(panels, names.items(), strict=True):
        values = [row.get(name) for row in rows]
        limit = 1.0 if name in _SHARES else 1.1 * max(value for value in values if value is not None)
        for place, value in enumerate(values):
            if value is None:
                continue
            axes.barh(place, value, color=_COLOUR, height=0.7)
            text = f"{value:.2f}" if name in _SHARES else f"{value:.1f}"
            axes.text(0.02 * limit, place, text, va="center", fontsize=7.5)
        axes.set_title(label, fontsize=9)
        axes.set_xlim(0, limit)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    panels[0].set_yticks(range(len(rows)), [f"{row['set']}: {row['told']}, n {row['n']}" for row in rows], fontsize=8)
    panels[0].invert_yaxis()
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)
