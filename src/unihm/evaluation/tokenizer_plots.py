"""Rate against distortion: how much of a motion so many bits keep, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unihm.evaluation.cases import RECORDED_HAND
from unihm.schema.storage import atomic_path

_PANELS = (("keypoint_mm", "keypoints, mm"), ("joint_deg", "finger joints, °"), ("wrist_mm", "wrist, mm"))
_OURS = "#d07a2d"
_COLOURS = (  # one a quantiser or a source
    "#4f6d8a", "#7a9a62", "#b05a7a", "#555555", "#8a6bb0", "#c2a83e", "#3aa0a8", "#9c6b4a", "#e08a8a",
)  # fmt: skip


def draw_rates(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Lines of every method, a line of panels for each part; means over the robot hands with turning joints.

    Args:
        rows: As from `evaluation.tokenizer`.
        path: The PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    splits = list(dict.fromkeys(row["split"] for row in rows))
    figure = Figure(figsize=(4.2 * len(_PANELS), 3.2 * len(splits) + 0.4), dpi=120, layout="constrained")
    panels = figure.subplots(len(splits), len(_PANELS), squeeze=False)
    for number, split in enumerate(splits):
        curves = mean_curves([row for row in rows if row["split"] == split])
        colours = {
            method: _COLOURS[i % len(_COLOURS)] for i, method in enumerate(m for m in curves if m != "predictive")
        }
        for axes, (name, label) in zip(panels[number], _PANELS, strict=True):
            for method, points in curves.items():
                ours = method.startswith("predictive")
                axes.plot(
                    [bits for bits, _ in points], [figures[name] for _, figures in points], label=method,
                    color=_OURS if method == "predictive" else colours[method], marker="o", markersize=3.5,
                    linestyle="--" if "from" in method else "-", linewidth=2.2 if ours else 1.2,
                )  # fmt: skip
            axes.set(xscale="log", yscale="log", xlabel="bits a frame", ylabel=label)
            axes.set_xticks([13, 40, 80, 160, 320], ["13", "40", "80", "160", "320"])
            axes.minorticks_off()
            axes.grid(alpha=0.3, which="both")
            axes.spines[["top", "right"]].set_visible(False)
        panels[number][0].set_title(split, loc="left", fontsize=10)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def mean_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, dict[str, float]]]]:
    """method -> (bits a frame, figures) in ascending order; means over robot hands that have finger joints."""
    found: dict[str, dict[float, list[Mapping[str, Any]]]] = {}
    for row in rows:
        bits = float(row["bits_per_frame"])
        if row["hand"] == RECORDED_HAND or row.get("joint_deg") is None or bits == 0:
            continue
        source = row.get("source", "own")
        method = row["quantiser"] + ("" if source == "own" else f", from {source}")
        # Codes of several hands can differ by a cell or two; they belong to one point.
        found.setdefault(method, {}).setdefault(round(bits), []).append(row)
    return {
        method: [
            (
                float(np.mean([row["bits_per_frame"] for row in points])),
                {name: float(np.mean([row[name] for row in points])) for name, _ in _PANELS},
            )
            for _, points in sorted(rates.items())
            if len(points) == max(map(len, rates.values()))  # a code that has no use for more bits ends before others
        ]
        for method, rates in found.items()
    }
