"""The same rows as text, CSV, JSON and picture."""

from __future__ import annotations

import csv
import json

import pytest
from PIL import Image

from unihm.evaluation.tables import text_table, write_tables

_ROWS = [
    {
        "split": "release/seen",
        "hand": "toy",
        "method": method,
        "given": "path",
        "n": 3,
        **{name: value for name in ("mpjpe_mm", "mpjpe_wrist_mm", "fpl_mm", "fol_deg")},
        "mpjpe_mm_ci": [value - 2, value + 2],
        "fid": None,
    }
    for method, value in (("constant", 437.04), ("nearest neighbour", 63.25), ("generated", 41.5))
]


def test_text_has_labels_intervals_and_no_empty_column():
    text = text_table(_ROWS)
    assert "437.0 [435, 439]" in text
    assert "MPJPE mm" in text
    assert "fid" not in text
    assert "_ci" not in text
    lines = text.splitlines()
    assert len(lines) == 6
    assert lines[-1] == "given: path"
    assert len({line.index("toy") for line in lines[2:5]}) == 1  # aligned
    assert text_table([]) == "no rows"


def test_files_agree(tmp_path):
    facts = {"command": "unihm eval generation", "seed": 0, "rows": _ROWS}
    write_tables(facts, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "table.csv",
        "table.json",
        "table.png",
        "table.txt",
    ]
    assert json.loads((tmp_path / "out" / "table.json").read_text()) == facts
    lines = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [float(line["mpjpe_mm"]) for line in lines] == [437.04, 63.25, 41.5]
    assert float(lines[0]["mpjpe_mm_ci_low"]) == pytest.approx(435.04)
    assert lines[0]["fid"] == ""
    assert text_table(_ROWS) in (tmp_path / "out" / "table.txt").read_text()
    assert min(Image.open(tmp_path / "out" / "table.png").size) > 100


def test_nothing_to_write_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        write_tables({"rows": []}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
