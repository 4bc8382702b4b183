"""One picture of several made scenes, to look at: colour, depth, and which thing every pixel belongs to.

Run: ``python benchmarks/scene_sheet.py --out FILE.png [--style standard] [--seed 0] [--count 6] [--held-out]``

Depth is dark where it is near; holes are red. Handles are white among the things.
"""

from __future__ import annotations

import argparse
import colorsys
import time
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from unihm.scenes.composer import draw_scenes
from unihm.scenes.records import SceneExample
from unihm.scenes.styles import STYLES


def picture(example: SceneExample) -> UInt8[np.ndarray, "H W 3"]:
    """Colour, depth and things beside each other."""
    depth = example.scene.depth
    known = depth > 0
    near, far = np.percentile(depth[known], [1, 99]) if known.any() else (0.0, 1.0)
    grey = (255 * ((depth - near) / (far - near)).clip(0, 1)).astype(np.uint8)
    depth_image = np.where(known[..., None], grey[..., None], np.array([200, 30, 30], dtype=np.uint8))
    palette = [(0.2, 0.2, 0.2)] + [colorsys.hsv_to_rgb(k * 0.381 % 1, 0.8, 0.9) for k in range(len(example.things))]
    things = (255 * np.array(palette)).astype(np.uint8)[example.instances]
    things[example.handles] = 255
    return np.concatenate([example.scene.color, depth_image.astype(np.uint8), things], axis=1)


def main() -> None:
    """Draw the sheet and say how long a scene takes and what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the PNG file")
    parser.add_argument("--style", default="standard", choices=sorted(STYLES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=6, help="how many scenes")
    parser.add_argument("--views", type=int, default=1, help="of each scene")
    parser.add_argument("--held-out", action="store_true", help="with objects of held-out families")
    options = parser.parse_args()
    rows = []
    for seed in range(options.seed, options.seed + options.count):
        start = time.perf_counter()
        examples = draw_scenes(seed, options.style, views=options.views, held_out=options.held_out).examples
        seconds = time.perf_counter() - start
        print(f"{seed}: {seconds:.2f} s, {', '.join(thing.names[0] for thing in examples[0].things)}")
        rows += [picture(example) for example in examples]
    Image.fromarray(np.concatenate(rows)).save(options.out)


if __name__ == "__main__":
    main()
