"""Does the geometry of an episode store hold together? Tables, hands and objects in millimetres.

Run: ``python benchmarks/data_overview.py STORE [--json]`` on a folder made by ``unihm data import``.

- `object_lowest`: lowest object point in the first frame (0 on the table).
- `hand_lowest`: lowest keypoint from the lift on.
- `tip_1`, `tip_2`: distance of the nearest and second nearest fingertip keypoint to the object's cloud, at the
  lift, 3 and 6 frames later, and half way between the lift and the end.
- `palm_bend`: how far the finger tips lie on the palmar side of the knuckles by the right-hand rule; negative
  for a left hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from unihm.datasets.episode_store import read_episodes
from unihm.kinematics.keypoints import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, TIPS, WRIST
from unihm.schema.episode import Episode

PERCENTILES = (5, 25, 50, 75, 95)


def measure(episode: Episode) -> dict[str, float]:
    """Figures of one episode, mm."""
    T, keypoints, lift = episode.T_world_object, episode.keypoints_world, episode.lift_frame
    tree = KDTree(episode.object_points)
    figures = {
        "object_lowest": (episode.object_points @ T[0, :3, :3].T + T[0, :3, 3])[:, 2].min(),
        "hand_lowest": keypoints[lift:, :, 2].min(),
    }
    for name, frame in (
        ("lift", lift),
        ("lift+3", lift + 3),
        ("lift+6", lift + 6),
        ("held", (lift + len(episode)) // 2),
    ):
        frame = min(frame, len(episode) - 1)
        tips_object = (keypoints[frame, list(TIPS)] - T[frame, :3, 3]) @ T[frame, :3, :3]
        nearest = np.sort(tree.query(tips_object)[0])
        figures |= {f"tip_1 at {name}": nearest[0], f"tip_2 at {name}": nearest[1]}
    wrist = keypoints[lift:, WRIST]
    normal = np.cross(keypoints[lift:, MIDDLE_MCP] - wrist, keypoints[lift:, PINKY_MCP] - keypoints[lift:, INDEX_MCP])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    bend = keypoints[lift:, list(TIPS[1:])].mean(axis=1) - keypoints[lift:, MIDDLE_MCP]
    figures["palm_bend"] = float(np.einsum("td,td->t", normal, bend).mean())
    return {name: 1000 * float(value) for name, value in figures.items()}


def main() -> None:
    """Print one row a figure, for right hands and for reflected left hands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    episodes = read_episodes(arguments.store)
    for hands, mirrored in (("right", False), ("mirrored left", True)):
        measured = [measure(episode) for episode in episodes if episode.mirrored == mirrored]
        for name in measured[0] if measured else ():
            values = np.percentile([m[name] for m in measured], PERCENTILES).round(1)
            percentiles = {f"p{p}": float(v) for p, v in zip(PERCENTILES, values, strict=True)}
            rows.append({"hands": hands, "n": len(measured), "mm": name, **percentiles})
    if arguments.json:
        print(json.dumps({"command": "data_overview", "data": arguments.store.name, "rows": rows}))
        return
    print(f"{'hands':14} {'n':>4}  {'mm':16}" + "".join(f"{f'p{p}':>8}" for p in PERCENTILES))
    for row in rows:
        print(f"{row['hands']:14} {row['n']:4}  {row['mm']:16}" + "".join(f"{row[f'p{p}']:8.1f}" for p in PERCENTILES))


if __name__ == "__main__":
    main()
