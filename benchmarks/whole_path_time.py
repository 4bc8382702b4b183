"""How long does the whole path take, warm: image and words to a refined motion, without and with candidates?

    python benchmarks/whole_path_time.py --data DATA --models PATH/ycb_models --hands shadow allegro leap --worlds 6

Made images of `unihm eval simulation --setting`, four of each column; what is refused is left out and counted.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np

from unihm.hands.hand import load_hand
from unihm.pipeline import Pipeline, Trying
from unihm.whole_path.simulation import held_out_objects
from unihm.whole_path.worlds import COLUMNS, draw_world


def main() -> None:
    """Run and print medians and the slowest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--hands", nargs="+", default=["shadow", "allegro", "leap"])
    parser.add_argument("--worlds", type=int, default=4, help="of each column")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    episodes = held_out_objects(options.data, "seen", options.worlds)
    pipeline = Pipeline()
    hands = {name: load_hand(name) for name in options.hands}
    ways = {"one motion": None, f"{options.candidates} candidates": Trying(candidates=options.candidates,
            workers=options.workers)}  # fmt: skip
    taken: dict[str, list[float]] = {name: [] for name in ways}
    tried, refused, first = [], 0, True
    for column in COLUMNS:
        for number in range(options.worlds):
            world = draw_world("seen", column, number, episodes=episodes, models=options.models, seed=2)
            scene, words = world.example.scene, world.asking.instruction
            for hand in hands.values():
                try:
                    if first:  # compiles and loads
                        for trying in ways.values():
                            pipeline.generate(scene, words, hand, trying=trying)
                        first = False
                    for name, trying in ways.items():
                        start = time.perf_counter()
                        result = pipeline.generate(scene, words, hand, trying=trying)
                        taken[name].append(time.perf_counter() - start)
                    tried.append(result.report["simulation"]["candidates"])
                except ValueError:
                    refused += 1
    for name, seconds in taken.items():
        low, median, high = np.percentile(seconds, [10, 50, 90])
        spread = f"10 % {low:.2f}, 90 % {high:.2f}, most {max(seconds):.2f}"
        print(f"{name:14s} n {len(seconds)}  median {median:.2f} s  ({spread})")
    print(f"candidates simulated: median {np.median(tried):.0f}, mean {np.mean(tried):.1f}; refused {refused}")


if __name__ == "__main__":
    main()
