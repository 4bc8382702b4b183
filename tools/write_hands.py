"""Writes the URDF files of the hand folders from compact tables of kinematic numbers.

    python tools/write_hands.py [--out src/unihm/assets/hands]

The tables (``tools/hands/*.yaml``) hold facts: link and joint names, joint origins, axes, limits, efforts, speeds and
masses of each hand (their sources stand in the README of each hand folder), and solids of our own that cover its
collision shapes, unless these were fitted by a program (``tools/solids/*.json``). The human hand is computed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hands.human import human
from hands.robot import Robot, mirrored, urdf, widen_mimic_limits
from hands.tables import hand_names, read_hand


def robots() -> dict[str, Robot]:
    """Every hand by the name of its folder."""
    made = {name: widen_mimic_limits(read_hand(name)) for name in hand_names()}
    right = human()
    return {**made, "human": right, "human_left": mirrored(right, "human_left")}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path(__file__).resolve().parent.parent / "src" / "unihm" / "assets" / "hands"
    parser.add_argument("--out", type=Path, default=default, help="folder of the hand folders")
    out = parser.parse_args().out
    for name, robot in robots().items():
        file = name if name.endswith("_left") else f"{name}_right"
        path = out / name / f"{file}.urdf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(urdf(robot), encoding="utf-8")
        print(path)
