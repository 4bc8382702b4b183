"""Rows of the generation evaluation in the layout of the paper's Tables 1 and 4, with what they lack below."""

from __future__ import annotations

from collections.abc import Sequence

from unihm.evaluation.tables import Row, text_table

TABLE_1 = ("mpjpe_mm", "fol_deg", "fpl_mm", "fid", "diversity")
"""Columns of Tables 1 and 4, in their order."""
FURTHER = (
    "mpjpe_wrist_mm", "kid", "multimodality", "r_precision_1", "r_precision_3", "grasp_share", "jerk", "fid_floor",
    "kid_floor",
)  # fmt: skip
"""Columns that the paper does not print."""
OFFICIAL = ("official_mpjpe", "official_fol", "official_fpl", "official_fid", "official_diversity")
"""Figures as the public script computes them, see `official_metrics`; they are not the paper's definitions."""
_HEAD = ("split", "hand", "method", "n")
_SMALL = {"kid": 3, "kid_floor": 3, "fid": 2, "fid_floor": 2, "grasp_share": 2, "diversity": 2, "multimodality": 2,
          "r_precision_1": 2, "r_precision_3": 2, **dict.fromkeys(OFFICIAL, 4)}  # fmt: skip


def layout(rows: Sequence[Row]) -> str:
    """Three tables: the paper's columns with intervals, the further ones, the legacy ones."""
    parts = ["Tables 1 and 4", text_table([_only(row, TABLE_1, intervals=True) for row in rows])]
    parts += ["", "Further", text_table([_only(row, FURTHER) for row in rows], None)]
    if any(row.get(OFFICIAL[0]) is not None for row in rows):
        legacy = [row for row in rows if row.get(OFFICIAL[0]) is not None]
        parts += [
            "",
            "Legacy, as the public script computes them",
            text_table([_only(r, OFFICIAL) for r in legacy], None),
        ]
    given = dict.fromkeys((str(row["given"]), "") for row in rows)
    parts.append("")
    for what, _ in given:
        methods = dict.fromkeys(str(row["method"]) for row in rows if row["given"] == what)
        parts.append(f"given {what}: {', '.join(methods)}")
    return "\n".join(parts)


def _only(row: Row, columns: Sequence[str], *, intervals: bool = False) -> Row:
    """Head and some columns of a row, small numbers with more digits."""
    found = {name: row.get(name) for name in _HEAD}
    for name in columns:
        value = row.get(name)
        found[name] = value if intervals or value is None else round(float(value), _SMALL.get(name, 1))
        if intervals:
            found[f"{name}_ci"] = row.get(f"{name}_ci")
    return found
