"""Every object of the five real pictures, asked for by pixel, by colour, size, shape or place, and by name.

    python benchmarks/real_objects.py --data ../shared/data/rgbd_ycbvideo --out out/real_objects [--report]

Scenes 1 and 2 may be used to tune and are what is run by default; ``--report`` runs 3 to 5, which are for reporting
only. An object is chosen rightly where the mask holds the pixel that a person put on it; how many other objects' pixels
it holds is counted, too. Whether a mask is well cut is for the eye: each request becomes an overlay, and each scene and
way of asking a sheet of them.

Listed is what stands or lies on the table and a person would pick up: not the furniture, not what lies on other tables
(a mug and a ball in scene 2, packaging in scene 1), nor sheets of paper.
"""

from __future__ import annotations

import argparse
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unihm.perception.base import PERCEPTIONS, Perception
from unihm.perception.scene_files import load_scene
from unihm.planning.base import PLANNERS
from unihm.schema.scene import Scene
from unihm.schema.storage import write_json
from unihm.viewer.overlay import overlay

WAYS = ("pixel", "words", "name")
_TUNING, _REPORT = (1, 2), (3, 4, 5)
_TILE, _CAPTION, _COLUMNS = (845, 402), 40, 2  # pixels


@dataclass(frozen=True, kw_only=True)
class Target:
    """One object of a real picture."""

    pixel: tuple[int, int]
    """(u, v) on it, chosen by eye."""
    noun: str
    """What a person would call it."""
    phrases: tuple[str, ...]
    """What fits it alone in its picture, by colour, size, shape or place."""


TARGETS: dict[int, tuple[Target, ...]] = {
    1: (
        Target(pixel=(440, 200), noun="cracker box", phrases=("Lift the biggest thing.", "Pick up the red box.")),
        Target(
            pixel=(360, 330),
            noun="mustard bottle",
            phrases=("Lift the tall yellow thing.", "Grab the yellow one on the right."),
        ),
        Target(
            pixel=(430, 330),
            noun="soup can",
            phrases=("Pick up the small red and white cylinder.", "Lift the red cylinder."),
        ),
        Target(
            pixel=(130, 300),
            noun="drill",
            phrases=("Pick up the red thing on the left.", "Lift the red and black thing."),
        ),
        Target(
            pixel=(180, 410),
            noun="banana",
            phrases=("Grab the yellow one on the left.", "Take the curved yellow thing."),
        ),
    ),
    2: (
        Target(
            pixel=(250, 180), noun="bleach bottle", phrases=("Lift the white bottle.", "Pick up the tallest thing.")
        ),
        Target(pixel=(335, 215), noun="coffee can", phrases=("Lift the big blue cylinder.", "Take the blue thing.")),
        Target(pixel=(440, 310), noun="soup can", phrases=("Lift the red thing.", "Pick up the small cylinder.")),
        Target(pixel=(265, 370), noun="sugar box", phrases=("Lift the yellow box.", "Pick up the flat yellow thing.")),
        Target(
            pixel=(130, 370),
            noun="scissors",
            phrases=("Lift the grey and orange thing.", "Pick up the orange thing."),
        ),
    ),
    3: (
        Target(
            pixel=(215, 250),
            noun="can of Spam",
            phrases=("Lift the dark blue thing.", "Pick up the rectangular can at the back."),
        ),
        Target(
            pixel=(225, 400),
            noun="soup can",
            phrases=("Take the small red and white cylinder.", "Lift the nearest thing."),
        ),
        Target(
            pixel=(430, 330), noun="bowl", phrases=("Lift the red thing on the right.", "Pick up the widest thing.")
        ),
    ),
    4: (
        Target(pixel=(330, 240), noun="pitcher", phrases=("Lift the biggest thing.", "Pick up the tall blue thing.")),
        Target(
            pixel=(265, 405),
            noun="can of tuna",
            phrases=("Lift the smallest thing.", "Take the flat round thing on the left."),
        ),
        Target(
            pixel=(390, 380),
            noun="mustard bottle",
            phrases=("Lift the yellow thing.", "Pick up the yellow bottle on the right."),
        ),
    ),
    5: (
        Target(
            pixel=(240, 150), noun="cracker box", phrases=("Lift the big red box.", "Pick up the thing at the back.")
        ),
        Target(
            pixel=(170, 240), noun="bleach bottle", phrases=("Lift the white bottle.", "Grab the tall white thing.")
        ),
        Target(
            pixel=(315, 260),
            noun="drill",
            phrases=("Lift the orange thing.", "Pick up the red and black thing in the middle."),
        ),
        Target(pixel=(430, 330), noun="clamp", phrases=("Lift the small black thing.", "Take the thing on the right.")),
        Target(pixel=(270, 370), noun="sugar box", phrases=("Lift the yellow box.", "Pick up the nearest thing.")),
    ),
}


def requests(target: Target, way: str) -> list[tuple[str, tuple[int, int] | None]]:
    """Instructions, each with a pixel where that is what says which object."""
    if way == "pixel":
        return [("Lift this.", target.pixel)]
    return [(words, None) for words in (target.phrases if way == "words" else (f"Lift the {target.noun}.",))]


def ask(
    scene: Scene, number: int, target: Target, words: str, point: tuple[int, int] | None, seeing: Perception
) -> tuple[dict, Image.Image]:
    """What became of one request, and its picture: the overlay, or the bare image where it was refused."""
    row = {"scene": number, "object": target.noun, "words": words, "result": "refused", "chosen": "", "others": 0}
    start = time.perf_counter()
    try:
        perceived = seeing.perceive(scene, words, point)
        row["seconds"] = round(time.perf_counter() - start, 3)
        held = {tuple(pixel) for pixel in perceived.target_object.pixels.tolist()}
        row["result"] = "right" if target.pixel in held else "wrong"
        inside = [t.noun for t in TARGETS[number] if t.pixel in held]
        row["chosen"] = ", ".join(inside) or "another part"
        row["others"] = sum(noun != target.noun for noun in inside)
        # Judged is what was chosen; the path is only drawn, so it is that of words which the planner surely knows.
        plan = replace(PLANNERS["verbs"]().plan(perceived, "Lift this."), instruction=words)
        return row, Image.fromarray(overlay(scene, perceived, plan))
    except ValueError as error:
        row["chosen"] = " ".join(str(error).split())
        return row, Image.fromarray(scene.color)


def sheet(rows: list[dict], pictures: list[Image.Image]) -> Image.Image:
    """Pictures in two columns, each under its words and what became of them."""
    lines = -(-len(pictures) // _COLUMNS)
    page = Image.new("RGB", (_COLUMNS * _TILE[0], lines * (_TILE[1] + _CAPTION)), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default()
    for i, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
        x, y = i % _COLUMNS * _TILE[0], i // _COLUMNS * (_TILE[1] + _CAPTION)
        text = f"{row['object']}: {row['words']}   {row['result'].upper()}   {row['chosen']}"
        pen.text((x + 6, y + 4), "\n".join(textwrap.wrap(text, 130)[:2]), fill="black", font=font)
        picture.thumbnail(_TILE)
        page.paste(picture, (x, y + _CAPTION))
    return page


def main() -> None:
    """Run, print the table and the counts, write rows.json and the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/rgbd_ycbvideo"))
    parser.add_argument("--out", type=Path, default=Path("out/real_objects"))
    parser.add_argument("--scenes", nargs="+", type=int, choices=_TUNING, default=list(_TUNING))
    parser.add_argument("--report", action="store_true", help="scenes 3 to 5 instead")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--perception", default="cliport")
    parser.add_argument("--perception-weights", type=Path)
    options = parser.parse_args()
    seeing = PERCEPTIONS[options.perception](options.perception_weights)
    table, counts = [], {way: Counter() for way in options.ways}
    options.out.mkdir(parents=True, exist_ok=True)
    for number in _REPORT if options.report else options.scenes:
        scene = load_scene(options.data / f"scene{number}")
        for way in options.ways:
            asked = [
                ask(scene, number, target, words, point, seeing)
                for target in TARGETS[number]
                for words, point in requests(target, way)
            ]
            rows = [{"way": way, **row} for row, _ in asked]
            sheet(rows, [picture for _, picture in asked]).save(options.out / f"scene{number}-{way}.png")
            counts[way].update(row["result"] for row in rows)
            table += rows
            for row in rows:
                print(
                    f"{number} {way:5s} {row['object']:15s} {row['result']:7s} {row['words']:45s} {row['chosen'][:120]}"
                )
    write_json(options.out / "rows.json", table)
    for way, count in counts.items():
        total = sum(count.values())
        others = sum(row["others"] > 0 for row in table if row["way"] == way)
        print(
            f"by {way}: {count['right']} of {total} right, {count['wrong']} wrong, {count['refused']} asked back; "
            f"{others} masks hold another object"
        )
    times = [row["seconds"] for row in table if "seconds" in row]
    if times:
        print(f"perception: median {np.median(times):.2f} s, slowest {max(times):.2f} s")


if __name__ == "__main__":
    main()
