"""How far the solids of our hands lie from the official collision geometry, both ways.

    python benchmarks/hand_solids.py --data ../shared/data [--hands svh leap_left] [--ball 4] [--json FILE] [--table]

Measured over whole links, with nothing picked out: ``palm`` is the body that carries the fingers, ``pads`` the two most
distal links of every finger, back and sides included, and ``other`` all the rest (no bound is promised there). The
surface of a link is what a ball of 4 mm radius coming from outside can touch (``tools/hand_surfaces.py``), both for the
official geometry and for the union of our solids; what lies inside another part does not count. Distances are those
of samples, 10 per mm^2, each way, pooled over the links of a group; "worst link" gives the larger direction's mean and
95th percentile of the link where that is largest. Identical surfaces read as 0.16 mm, the distance between samples.
``--table`` writes docs/hand_solids.md. The bound is 2 mm mean and 5 mm 95th percentile for pads and palm.

The second table has the contact points of ``hand.yaml``, which are the fingertip keypoints too: how far each lies from
the nearest official collision triangle of its fingertip, and from the surface of our solids there (inside: negative).
The bound is 0.2 mm.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools"))

from contact_points import contact_distances  # noqa: E402 # pyright: ignore[reportMissingImports]
from hand_surfaces import BALL, OFFICIAL, Surface, distances_both_ways, link_groups, read_urdf  # noqa: E402 # pyright: ignore[reportMissingImports]

from unihm.assets import HANDS  # noqa: E402

GROUPS = ("palm", "pads", "other")
COLUMNS = ("official to ours", "ours to official")


def measure(name: str, official: Path, ball: float) -> dict[str, dict]:
    """Per group: pooled figures each way, the worst link and the number of our solids; mm.

    Raises:
        ValueError: One of our links has no solids, or a mesh.
    """
    theirs = read_urdf(official / OFFICIAL[name])
    ours = read_urdf(next((HANDS / name).glob("*.urdf"))).links
    seen: list[tuple] = []  # many links of a hand are alike
    pooled: dict[str, list] = {group: [] for group in GROUPS}
    for link, group in link_groups(name, theirs).items():
        if link not in ours or ours[link].solids is None:
            raise ValueError(f"hand '{name}', link '{link}': expected boxes, cylinders or spheres for collision.")
        solids, triangles = list(ours[link].solids), theirs.links[link].mesh.triangles
        both = next(
            (b for t, s, b in seen if s == solids and t.shape == triangles.shape and (t == triangles).all()), None
        )
        if both is None:
            both = distances_both_ways(Surface(theirs.links[link].mesh, ball=ball), solids, ball=ball)
            seen.append((triangles, solids, both))
        pooled[group].append((link, len(solids), both))
    return {group: _figures(rows) for group, rows in pooled.items() if rows}


def _figures(rows: list[tuple]) -> dict:
    def mean_p95(values: np.ndarray) -> list[float]:
        return [round(float(v) * 1e3, 2) for v in (values.mean(), np.percentile(values, 95))]

    each_way = {column: mean_p95(np.concatenate([b[i] for _, _, b in rows])) for i, column in enumerate(COLUMNS)}
    links = {link: [max(values) for values in zip(*map(mean_p95, both), strict=True)] for link, _, both in rows}
    worst = max(links, key=lambda link: links[link][1])
    return {**each_way, "worst link": [worst, *links[worst]], "solids": sum(number for _, number, _ in rows)}


def contact_table(found: dict[str, dict[str, tuple[float, float]]]) -> str:
    """Markdown, one row per hand."""
    lines = ["| hand | from the official surface, mm | from our solids, mm |", "|---|---|---|"]
    for name, fingers in found.items():
        columns = [
            ", ".join(f"{finger} {round(1e3 * row[i], 2) + 0.0:.2f}" for finger, row in fingers.items())
            for i in range(2)
        ]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def table(found: dict[str, dict]) -> str:
    """Markdown, one row per hand and group."""
    lines = [
        "| hand | links | solids | official to ours, mean / 95 % mm | ours to official, mean / 95 % mm | worst link |",
        "|---|---|---|---|---|---|",
    ]
    for name, groups in found.items():
        for group, row in groups.items():
            ways = " | ".join("{:.2f} / {:.2f}".format(*row[column]) for column in COLUMNS)
            link, mean, p95 = row["worst link"]
            lines.append(f"| {name} | {group} | {row['solids']} | {ways} | {link}: {mean:.2f} / {p95:.2f} |")
        lines.append(f"| {name} | all | {sum(row['solids'] for row in groups.values())} | | | |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with hands_official/")
    parser.add_argument("--hands", nargs="+", choices=list(OFFICIAL), default=list(OFFICIAL), metavar="HAND")
    parser.add_argument(
        "--ball", type=float, default=BALL * 1e3, help="radius of the ball that defines the surface, mm"
    )
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--table", action="store_true", help="write docs/hand_solids.md")
    args = parser.parse_args()
    found = {name: measure(name, args.data / "hands_official", args.ball / 1e3) for name in args.hands}
    pads = {name: contact_distances(name, args.data / "hands_official") for name in args.hands}
    print(f"{table(found)}\n\n{contact_table(pads)}")
    if args.json:
        args.json.write_text(
            json.dumps({"solids_mm": found, "contact_points_m": pads}, indent=1) + "\n", encoding="utf-8"
        )
    if args.table:
        command = "Printed by `python benchmarks/hand_solids.py --data ../shared/data --table`."
        paragraphs = [text.strip().replace("``", "`") for text in (__doc__ or "").split("\n\n")[2:]]
        solids = f"# Solids of the hands\n\n{command} {paragraphs[0]}\n\n{table(found)}\n"
        page = f"{solids}\n# Contact points\n\n{paragraphs[1]}\n\n{contact_table(pads)}\n"
        (REPOSITORY / "docs" / "hand_solids.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
