"""Fifteen cases on real pictures: five table scenes, three robot hands, the object picked by a pixel.

For each case: how far the best pair of opposing fingertips is from the picked object's cloud at the moment of lift,
how far from the points the camera really saw, and the warm time of every stage from files to refined motion. A case
counts when two opposing tips lie within 15 mm of the cloud.

    python benchmarks/real_scenes.py --data ../shared/data/rgbd_ycbvideo --out out/real_scenes [--json] [--words]

With ``--words`` words alone say which object. Whether they found it is told by whether the object holds the pixel; what
they did not decide is told with the answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import numpy as np

from unihm import viewer
from unihm.hands.hand import load_hand
from unihm.perception.scene_files import load_scene
from unihm.pipeline import Pipeline, Stopwatch, contact_at
from unihm.schema.storage import write_json

HANDS = ("shadow", "allegro", "panda")
LIMIT_MM = 15.0
# One graspable object a scene, as a pixel (u, v) on it, and words that do not name it.
CASES: dict[str, tuple[tuple[int, int], str]] = {
    "scene1": ((360, 330), "Lift this."),  # mustard bottle, upright
    "scene2": ((250, 350), "Pick this up."),  # sugar box, lying: 4 cm high, 9 cm wide
    "scene3": ((225, 390), "Raise this slowly."),  # tomato soup can
    "scene4": ((390, 380), "Grab this and lift it."),  # mustard bottle, upright
    "scene5": ((165, 230), "Lift this high."),  # bleach bottle, upright
}

WORDS = {
    "scene1": "Lift the mustard bottle.",
    "scene2": "Lift the yellow box.",
    "scene3": "Lift the nearest thing.",
    "scene4": "Lift the yellow thing.",
    "scene5": "Grab the tall white thing.",
}
"""Of the same objects, for ``--words``."""


def run(data: Path, out: Path, hands: tuple[str, ...], seed: int, by_words: bool) -> list[dict]:
    """Every scene with every hand; one warm-up run first, so that the times are those of a running program."""
    pipeline = Pipeline()
    rows = []
    first = next(iter(CASES))
    pipeline.generate(load_scene(data / first), CASES[first][1], load_hand(hands[0]), point=CASES[first][0])
    for name, (pixel, plain) in CASES.items():
        point, words = (None, WORDS[name]) if by_words else (pixel, plain)
        for hand_name in hands:
            hand = load_hand(hand_name)
            watch = Stopwatch()
            with watch("read"):
                scene = load_scene(data / name)
            try:
                result = pipeline.generate(scene, words, hand, point=point, seed=seed)
            except ValueError as error:
                print(f"{name} {hand_name}: {error}")
                continue
            viewer.write_overlay(out / f"{name}-{hand_name}" / "overlay.png", scene, result.perceived, result.plan)
            lift = result.report["lift_frame"]
            seen_world = result.perceived.target_object.points_world
            T_object_world = np.linalg.inv(result.plan.T_world_object[0])
            seen = result.motion.replace(
                object_points=seen_world @ T_object_world[:3, :3].T + T_object_world[:3, 3],
                object_normals=np.zeros_like(seen_world),
            )
            nearest_seen = sorted(abs(d) for d in contact_at(seen, hand, lift)["distances_mm"].values())[:2]
            seconds = {**watch.seconds, **result.report["seconds"]}
            folder = out / f"{name}-{hand_name}"
            result.motion.save(folder / "motion.npz")
            viewer.write_frames_png(result.motion, folder / "motion.png")
            rows.append(
                {
                    "scene": name,
                    "hand": hand_name,
                    "right": list(pixel) in result.perceived.target_object.pixels.tolist(),
                    "opposing_tips_mm": result.report["contact_at_lift"]["opposing_tips_mm"],
                    "before_refinement_mm": result.report["contact_at_lift_before_refinement"]["opposing_tips_mm"],
                    "two_nearest_tips_to_seen_points_mm": nearest_seen,
                    "seconds": seconds,
                    "total_s": round(sum(seconds.values()), 3),
                }
            )
    return rows


def main() -> None:
    """Run, print, write rows.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/rgbd_ycbvideo"))
    parser.add_argument("--out", type=Path, default=Path("out/real_scenes"))
    parser.add_argument("--hands", nargs="+", default=list(HANDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--words", action="store_true", help="words alone say which object")
    arguments = parser.parse_args()
    rows = run(arguments.data, arguments.out, tuple(arguments.hands), arguments.seed, arguments.words)
    write_json(arguments.out / "rows.json", rows)
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"{'scene':8s} {'hand':8s} {'opposing mm':>11s} {'before mm':>10s} {'seen points mm':>15s} {'total s':>8s}")
    for row in rows:
        mm, before = row["opposing_tips_mm"], row["before_refinement_mm"]
        print(
            f"{row['scene']:8s} {row['hand']:8s} {'none' if mm is None else f'{mm:.1f}':>11s} "
            f"{'none' if before is None else f'{before:.1f}':>10s} "
            f"{' '.join(f'{d:.1f}' for d in row['two_nearest_tips_to_seen_points_mm']):>15s} {row['total_s']:8.2f}"
        )
    print(f"{sum(row['right'] for row in rows)} of {len(rows)} motions are about the right object")
    good = sum(row["opposing_tips_mm"] is not None and row["opposing_tips_mm"] <= LIMIT_MM for row in rows)
    stages = {stage: statistics.median(row["seconds"][stage] for row in rows) for stage in rows[0]["seconds"]}
    print(f"{good} of {len(rows)} cases have two opposing tips within {LIMIT_MM:.0f} mm of the picked cloud")
    print("median seconds warm: " + ", ".join(f"{stage} {s:.2f}" for stage, s in stages.items()), end="; ")
    print(
        f"total median {statistics.median(r['total_s'] for r in rows):.2f}, max {max(r['total_s'] for r in rows):.2f}"
    )


if __name__ == "__main__":
    main()
