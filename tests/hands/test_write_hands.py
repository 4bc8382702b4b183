"""The shipped URDF files are what the tool writes from its tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from unihm.hands.hand import HANDS_FOLDER, list_hands

TOOL = Path(__file__).resolve().parents[2] / "tools" / "write_hands.py"


def test_tables_give_the_shipped_files(tmp_path):
    subprocess.run([sys.executable, str(TOOL), "--out", str(tmp_path)], check=True, capture_output=True)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.glob("*/*.urdf")}
    assert {path.parent.name for path in written} == set(list_hands())
    for path, content in written.items():
        assert (HANDS_FOLDER / path).read_bytes() == content, f"run tools/write_hands.py: {path} is stale"


def test_every_side_has_its_folder():
    names = set(list_hands())
    right = {name for name in names if not name.endswith("_left")}
    # A gripper has no side.
    assert {f"{name}_left" for name in right - {"panda"}} == names - right
    assert all((HANDS_FOLDER / name / "README.md").is_file() for name in names)
