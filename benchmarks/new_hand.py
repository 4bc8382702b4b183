"""How many frames does a new hand need? Each hand in turn joins a tokenizer that was trained without it.

Run: ``python benchmarks/new_hand.py --data STORE --run RUN --out FOLDER [--hand shadow leap xhand]``

RUN is the folder of ``unihm train tokenizer --preset base``; its charts do not depend on each other and are used again,
while the codes are fitted anew without the hand's motions. Then ``--add-hand`` learns from 500, 4500 and all frames of
`release/train`, whole recordings drawn at random. Figures are of `release/validation`: the hand itself, and what it
understands of the recorded person, at every rate; seconds are of the hand's own training on one core.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from unihm.datasets.manifest import hands_in
from unihm.evaluation.tables import text_table
from unihm.evaluation.tokenizer import rounded
from unihm.schema.storage import write_json
from unihm.training.adding import add_hand
from unihm.training.tokenizer import train_tokenizer

FRAMES = (500, 4500, None)
_SHOWN = ("joint_deg", "keypoint_mm", "fingertip_mm", "wrist_mm", "wrist_deg", "p95_mm")


def measure(data: Path, run: Path, out: Path, hand: str, seed: int) -> list[dict[str, Any]]:
    """Rows of one hand."""
    without = out / f"without-{hand}"
    others = [name for name in hands_in(data) if name != hand]
    for name in others:
        if (run / f"1-{name}").is_dir():
            shutil.copytree(run / f"1-{name}", without / f"1-{name}", dirs_exist_ok=True)
    shutil.copy(run / "motions.json", without / "motions.json")
    weights = train_tokenizer(data, without, hands=others, seed=seed, resume=True)["weights"]
    rows = []
    for frames in FRAMES:
        added = add_hand(hand, data, out / f"{hand}-{frames or 'all'}", weights=weights, frames=frames, seed=seed)
        rows += [
            {"hand": hand, "frames": added["frames"], "seconds": added["seconds"], "source": row["source"],
             "bits_per_frame": row["bits_per_frame"], **{name: row[name] for name in _SHOWN}}
            for row in added["rows"]
        ]  # fmt: skip
    return rows


def main() -> None:
    """Print one row for each hand, number of frames, source and rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="episode store")
    parser.add_argument("--run", type=Path, required=True, help="folder of a training of preset base")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and table")
    parser.add_argument("--hand", nargs="+", default=["shadow", "leap", "xhand"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = [row for hand in args.hand for row in measure(args.data, args.run, args.out, hand, args.seed)]
    write_json(args.out / "table.json", {"seed": args.seed, "rows": rows})
    print(json.dumps(rows) if args.json else text_table(rounded(rows), None))


if __name__ == "__main__":
    main()
