"""The simulation table as text, CSV, JSON and a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.evaluation import tables
from unihm.evaluation.simulation_rows import ALL, GROUPS, PAIRED
from unihm.evaluation.tables import text_table
from unihm.schema.storage import atomic_path

_HELD = ("task", "criterion", "friction", "solids", "cloud_noise_mm")  # said once where they are the same in all rows
_TITLES = {"cloud_noise_mm": "cloud noise mm"}
_MEASURES = {
    "slip_mm_per_frame": ("slip mm/frame", 2),
    "drift_mm": ("drift mm", 1),
    "depth_max_mm": ("pierced mm", 1),
    "perceived_success": ("on perceived", 2),
}
_LEGEND = (
    "success: share of trials, [95 % interval of Wilson], {the same for trials that are alike by object}.",
    "slip, drift: of the object in the palm while it is held. pierced: deepest contact, at most, mean over trials.",
    "on perceived: success of the chosen candidate on the perceived object.",
    "objects: successes of trials, at the first friction and by the last criterion.",
    "A - B: paired difference, success of A less that of B over the same trials; p: McNemar's exact test.",
)
_COLOURS = ("#5b7389", "#d07a2d", "#b3541e", "#8fa3b5", "#c9b458", "#e8b98c", "#7d5a3c", "#999999")

Row = Mapping[str, Any]


def text(rows: Sequence[Row], facts: Mapping[str, Any] | None = None) -> str:
    """Aligned columns: success by group, paired differences, and success by object; then what was left out.

    Args:
        rows: Of `simulation_rows`.
        facts: Of `SimulationTable`.
    """
    if not rows:
        return "no rows"
    held = {name: rows[0][name] for name in _HELD if len({row[name] for row in rows if row["group"] != PAIRED}) == 1}
    parts = [", ".join(f"{_TITLES.get(name, name)} {_plain(value)}" for name, value in held.items())]
    for split in dict.fromkeys(row["split"] for row in rows):
        chosen = [row for row in rows if row["split"] == split]
        parts.append(f"{split}\n{text_table(_successes(chosen, held))}")
        if pairs := [_pair(row, held) for row in chosen if row["group"] == PAIRED]:
            parts.append(f"{split}, paired\n{text_table(pairs)}")
        if objects := _objects([row for row in chosen if row["group"] not in GROUPS]):
            parts.append(f"{split}, objects\n{text_table(objects)}")
    return "\n\n".join([*parts, "\n".join([*_LEGEND, *_remarks(facts or {})])])


def write_tables(facts: Mapping[str, Any], folder: str | Path) -> None:
    """See `tables.write_tables`."""
    tables.write_tables(facts, folder, text=lambda rows: text(rows, facts), draw=write_chart)


def write_chart(rows: Sequence[Row], path: Path) -> None:
    """Bars with Wilson's intervals: a line of panels for each part and friction, a panel for each criterion."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in rows if row["group"] == ALL]
    lines = list(dict.fromkeys((row["split"], row["friction"]) for row in rows))
    criteria = list(dict.fromkeys(row["criterion"] for row in rows))
    hands = list(dict.fromkeys(row["hand"] for row in rows))
    variants = list(dict.fromkeys(_words(row) for row in rows))
    colour = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(variants)}
    size = (max(6.0, 1.3 * len(hands) + 2) * len(criteria), 3.0 * len(lines) + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(lines), len(criteria), squeeze=False, sharey=True)
    shown: dict[str, Any] = {}
    for (split, friction), line in zip(lines, panels, strict=True):
        for criterion, axis in zip(criteria, line, strict=True):
            for row in rows:
                if (row["split"], row["friction"], row["criterion"]) != (split, friction, criterion):
                    continue
                width = 0.85 / len(variants)
                x = hands.index(row["hand"]) + (variants.index(_words(row)) - (len(variants) - 1) / 2) * width
                bar = axis.bar(x, 100 * row["success"], width, color=colour[_words(row)])
                shown.setdefault(_words(row), bar)
                axis.plot([x, x], [100 * row["ci_low"], 100 * row["ci_high"]], color="#333333", linewidth=1)
            axis.set_xticks(range(len(hands)), hands)
            axis.set_title(f"{split}: success %, {criterion}, friction {friction:g}", fontsize=10)
            axis.set_ylim(0, 100)
            axis.spines[["top", "right"]].set_visible(False)
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=4, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _successes(rows: Sequence[Row], held: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A line a hand, variant and setting; groups of objects in columns."""
    lines = []
    for row in rows:
        if row["group"] == ALL:
            line = {"hand": row["hand"], "variant": row["variant"], **_settings(row, held)}
            line |= {"n": row["n"], "success": _rate(row)}
            line |= dict.fromkeys(name for name in GROUPS if name not in (ALL, PAIRED))
            line["why not"] = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items()) or None
            for name, (title, decimals) in _MEASURES.items():
                line[title] = None if row[name] is None else f"{row[name]:.{decimals}f}"
            lines.append({**line, "left out": row["skipped"] or None})
        elif row["group"] in GROUPS and row["group"] != PAIRED:  # follows the row of all
            lines[-1][row["group"]] = f"{100 * row['success']:.0f} % of {row['n']}"
    return lines


def _pair(row: Row, held: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"hand": row["hand"], "difference": row["variant"], **_settings(row, held), "n": row["n"]}
    shown |= {"success": _rate(row, sign="+"), "gained": row["gained"], "lost": row["lost"]}
    return {**shown, "p": f"{row['p_value']:.3f}"}


def _objects(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Successes by object, a column a hand, at the first friction and solids and by the last criterion."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        usual = row["friction"] == rows[0]["friction"] and row["solids"] == rows[0]["solids"]
        if usual and row["criterion"] == rows[-1]["criterion"]:
            line = lines.setdefault((_words(row), row["group"]), {"variant": _words(row), "object": row["group"]})
            line[row["hand"]] = f"{round(row['success'] * row['n'])}/{row['n']}"
    variants = list(dict.fromkeys(variant for variant, _ in lines))
    return [lines[key] for key in sorted(lines, key=lambda key: (variants.index(key[0]), key[1]))]


def _settings(row: Row, held: Mapping[str, Any]) -> dict[str, Any]:
    return {_TITLES.get(name, name): _plain(row[name]) for name in _HELD if name not in held}


def _rate(row: Row, sign: str = "") -> str:
    def spelled(value: float) -> str:
        return f"{100 * value:{sign}.0f}"

    low, high = row["cluster_low"], row["cluster_high"]
    cluster = "" if low is None else f" {{{spelled(low)}, {spelled(high)}}}"
    return f"{spelled(row['success'])} % [{spelled(row['ci_low'])}, {spelled(row['ci_high'])}]{cluster}"


def _plain(value: Any) -> Any:
    return f"{value:g}" if isinstance(value, float) else value


def _words(row: Row) -> str:
    """A variant with what else tells it from others."""
    noise = f", cloud noise {row['cloud_noise_mm']:g} mm" if row["cloud_noise_mm"] else ""
    return f"{row['variant']}{noise}{'' if row['solids'] == 'own' else ', official solids'}"


def _remarks(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    if "excluded" in facts:
        names = ", ".join(f"{name} ({thing})" for name, thing in facts["excluded"].items())
        lines.append(f"Left out, since they lean on something unrecorded: {names or 'none of these parts'}.")
    for name, reason in facts.get("unsuited", {}).items():
        lines.append(f"Left out: {name}: {reason}")
    if facts.get("pose_noise"):
        moves = "follows" if facts["motion_follows_object"] else "does not follow"
        lines.append(f"Objects displaced by up to {facts['pose_noise']:g} of 2 cm and 10°; the motion {moves} them.")
    for shown in facts.get("videos", ()):
        what = f"{shown['variant']}, {shown['object']}" if shown["file"] else "there was none"
        lines.append(f"{shown['hand']} {shown['kind']}: {shown['file'] or '-'} ({what})")
    return lines
