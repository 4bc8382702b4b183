"""How long does a whole data set take to every hand, and how well is it followed?

    python benchmarks/retargeting_dexycb.py data/dexycb

Copies the episodes of a store to a temporary folder, runs there what ``unihm data retarget`` runs (reading, solving on
all cores, writing), reads the motions back and measures them:

- ``seconds``, ``ms_per_frame``: processor time of the search, all workers together; the last line has the wall time.
- ``fingertip_mm``, ``p95``: distance of the robot's fingertip keypoints from the human's.
- ``limit_violations``: frames with a joint outside its limits by more than float32 rounds.
- ``unconverged``: frames whose search ended before it converged.

Caches are warm from the second run on; the first one also compiles, and makes an atlas for each hand. ``--quick`` takes
every 25th episode.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from unihm.datasets.episode_store import episode_table, read_episodes, read_keypoints, write_episodes
from unihm.datasets.hand_retargeting import HandRetargeting
from unihm.datasets.manifest import read_manifest
from unihm.datasets.motion_store import read_motions
from unihm.datasets.store_retargeting import RetargetedHand, retarget_store
from unihm.datasets.worker import cores
from unihm.datasets.workers import ENGINES
from unihm.hands.description import describe_hand
from unihm.retargeting.config import PRESETS
from unihm.retargeting.problem import points_at

ROBOTS = ("shadow", "allegro", "svh", "leap", "ability", "panda", "inspire", "xhand")
QUICK = 25
_FLOAT32 = 1e-6  # rad or m: joint positions are stored in single precision


def copy_episodes(store: Path, folder: Path, quick: bool) -> None:
    """The episodes of a store without its motions; a part of them where `quick`."""
    manifest = read_manifest(store)
    if quick:
        ids = [record.id for record in episode_table(store)][::QUICK]
        write_episodes(folder, read_episodes(store, ids), options={**manifest["options"], "every": QUICK})
        return
    for shard in manifest["shards"]:
        (folder / shard["file"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store / shard["file"], folder / shard["file"])
    shutil.copy(store / "manifest.json", folder / "manifest.json")


def measure(folder: Path, done: RetargetedHand, keypoints: dict[str, tuple[float, np.ndarray]]) -> dict[str, Any]:
    """One row."""
    hand = describe_hand(done.hand)
    tips = [hand.keypoints[slot] for slot in hand.fingertip_slots]
    points = [hand.chain.point(tip.link, np.array(tip.xyz)) for tip in tips]
    human = hand.keypoint_indices[hand.fingertip_slots]
    errors, outside = [], 0
    for name, motion in read_motions(folder, done.hand).items():
        T = motion.T_world_palm
        tips_palm = points_at(hand.chain, motion.qpos, points)
        tips_world = np.einsum("tij,tkj->tki", T[:, :3, :3], tips_palm) + T[:, None, :3, 3]
        errors.append(np.linalg.norm(tips_world - keypoints[name][1][:, human], axis=-1).ravel())
        beyond = np.maximum(hand.chain.lower - motion.qpos, motion.qpos - hand.chain.upper)
        outside += int((beyond > _FLOAT32).any(axis=-1).sum())
    error = np.concatenate(errors) * 1e3
    assert done.seconds is not None  # nothing was there before
    return {
        "hand": done.hand,
        "episodes": done.episodes,
        "frames": done.frames,
        "seconds": round(done.seconds, 2),
        "ms_per_frame": round(done.seconds / done.frames * 1e3, 4),
        "fingertip_mm": round(float(error.mean()), 3),
        "p95": round(float(np.percentile(error, 95)), 3),
        "limit_violations": outside,
        "unconverged": done.unconverged,
    }


def main() -> None:
    """Print one row a hand, and the wall time of all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--hands", nargs="+", default=list(ROBOTS))
    parser.add_argument("--preset", default="default", choices=sorted(PRESETS))
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--engine", default="process", choices=ENGINES)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_episodes(arguments.store, folder, arguments.quick)
        start = time.perf_counter()
        retargeting = HandRetargeting(PRESETS[arguments.preset])
        done = retarget_store(folder, arguments.hands, retargeting, workers=arguments.workers, engine=arguments.engine)
        wall = time.perf_counter() - start
        keypoints = read_keypoints(folder)
        rows = [measure(folder, hand, keypoints) for hand in done]
    facts = {
        "command": f"retargeting_dexycb --preset {arguments.preset}" + (" --quick" if arguments.quick else ""),
        "commit": _commit(),
        "seed": 0,
        "data": arguments.store.name,
        "engine": arguments.engine,
        "workers": arguments.workers or cores(),
        "wall_seconds": round(wall, 2),
        "load": round(os.getloadavg()[0], 2),
        "rows": rows,
    }
    if arguments.json:
        print(json.dumps(facts))
        return
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    label = f" (quick: every {QUICK}th episode)" if arguments.quick else ""
    print(f"{wall:.1f} s wall with {facts['workers']} workers, load {facts['load']} at the end{label}")


def _commit() -> str | None:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


if __name__ == "__main__":
    main()
