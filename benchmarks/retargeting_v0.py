"""Retargeting of real human motion: fingertip error, limits, time, and whether a pose has one answer.

    python benchmarks/retargeting_v0.py --data ../shared/data

Two sources: the 621-frame video motion (no object) and every 25th right-hand DexYCB sequence. ``restart`` is the mean
change of the joints when the sequence starts ten frames later, over the frames that both have. One thread; the
time is processor time.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from unihm.hands.hand import list_hands, load_hand
from unihm.retargeting import retarget, retarget_with_report


def sources(data: Path) -> dict[str, list[np.ndarray]]:
    """Keypoint sequences (T, 21, 3) by source name, m."""
    entries = json.loads((data / "dexycb" / "dexycb_right_index.json").read_text())[::25]
    with np.load(data / "dexycb" / "dexycb_right.npz") as arrays:
        joints = arrays["joints"].astype(np.float64)
    ranges = [(e["start"] + e["first_hand_frame"], e["start"] + e["last_hand_frame"] + 1) for e in entries]
    return {
        "video": [np.load(data / "hands_official" / "human_joint_right.npy")],
        "dexycb": [joints[first:end] for first, end in ranges],
    }


def main() -> None:
    """Print one row per hand and source."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with hands_official/ and dexycb/")
    found = sources(parser.parse_args().data)
    torch.set_num_threads(1)
    print("| hand | source | frames | ms/frame | fingertip mm | 95 % mm | converged | over limits | restart deg |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in list_hands():
        hand = load_hand(name)
        lower, upper = hand.lower.numpy(), hand.upper.numpy()
        for source, keypoints in found.items():
            start = time.process_time()
            motions, report = retarget_with_report(keypoints, hand)
            milliseconds = (time.process_time() - start) / report.frames * 1e3
            late = retarget([sequence[10:] for sequence in keypoints], hand)
            restart = [np.abs(a.qpos[10:] - b.qpos).mean() for a, b in zip(motions, late, strict=True)]
            over = sum(int(((m.qpos < lower) | (m.qpos > upper)).sum()) for m in motions)
            print(
                f"| {name} | {source} | {report.frames} | {milliseconds:.2f} | {report.fingertip_mm:.2f} "
                f"| {report.fingertip_p95_mm:.1f} | {report.status['CONVERGED']} | {over} "
                f"| {np.degrees(np.mean(restart)):.3f} |"
            )


if __name__ == "__main__":
    main()
