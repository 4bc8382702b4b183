"""Fits boxes, cylinders and spheres to the collision geometry of a hand's official URDF, link by link.

    python tools/fit_solids.py svh shadow --data ../shared/data/hands_official [--out tools/solids]

Per link: one solid that matches the extents of the inside, then one more at the place of the largest error, in
several kinds and places, as long as the wanted bound is missed and the budget lasts. Every candidate is refined as a
whole: Adam on positions, rotations and sizes of all solids against samples of the surface (union distance 0), of the
inside (covered) and of the outside (kept free). Where the official link has primitives only, they are taken; outside
the palm, where every gap is one that a thing can be held in, they are dropped one by one while the bound holds. Solids
must not bury a pad's contact point (``hand.yaml``): with the space before it counted again and again they are refined
once more, one solid richer if need be. What counts as the surface stands in ``hand_surfaces.py``. Left hands take the
right ones' solids, reflected (``solids_of`` in ``tools/hands/*_left.yaml``).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from contact_points import contact_links
from hand_surfaces import OFFICIAL, Geometry, Surface, distances_both_ways, link_groups, read_urdf
from solid import DENSITY, Solid
from solid_optimizer import KINDS, around, refine, samples, trim

# Wanted: (mean, 95th percentile) in m and the largest number of solids, by group. Half the promised 2 mm and 5 mm
# where contact happens; elsewhere fewer solids count more.
WANTED = {"pads": (1.0e-3, 3.0e-3, 6), "palm": (1.2e-3, 3.5e-3, 16), "other": (1.7e-3, 4.5e-3, 3)}

# m: how deep under our solids a contact point may lie; a ball in the hand's table closes what is open above them.
BURIED = 0.3e-3


def figures(surface: Surface, solids: list[Solid], *, rough: bool = False) -> tuple[float, float]:
    """The worse direction's mean and 95th percentile, m."""
    both = distances_both_ways(surface, solids, density=DENSITY / (4 if rough else 1), rough=rough)
    return max(float(d.mean()) for d in both), max(float(np.percentile(d, 95)) for d in both)


def excess(found: tuple[float, float], group: str) -> float:
    """How far figures miss what is wanted; at most 1 if they do not."""
    return max(found[0] / WANTED[group][0], found[1] / WANTED[group][1])


def places(surface: Surface, solids: list[Solid], rng: np.random.Generator) -> list[np.ndarray]:
    """Where another solid could help: bare inside regions, and halves of solids that cover too much."""
    inside = surface.inside_points()
    inside = inside[rng.integers(len(inside), size=20000)]
    depth = np.stack([s.signed_distance(inside) for s in solids])
    found = []
    is_bare = depth.min(axis=0) > 0.3e-3
    if is_bare.sum() > 20:
        bare = inside[is_bare]
        seeds = [np.argmax(depth.min(axis=0)[is_bare]), *rng.integers(len(bare), size=2)]
        found += [bare[np.linalg.norm(bare - bare[i], axis=1) < 12e-3] for i in seeds]
    owner = depth.argmin(axis=0)
    largest = inside[owner == np.bincount(owner).argmax()]
    centred = largest - largest.mean(axis=0)
    side = centred @ np.linalg.svd(centred[:: max(1, len(centred) // 3000)], full_matrices=False)[2][0]
    found += [largest[side > 0], largest[side < 0]]
    return [p for p in found if len(p) > 10]


def fit(surface: Surface, group: str, rng: np.random.Generator) -> list[Solid]:
    """Solids for a surface, as few as reach what is wanted."""
    target = samples(surface, rng)
    grid = surface.inside_points()
    grid = grid if len(grid) > 10 else surface.points
    starts = [[around(grid, "box")], [around(grid, "sphere")], *([around(grid, "cylinder", a)] for a in range(3))]
    best: list[Solid] = []
    score = np.inf
    while True:
        rough = (target[0][::3], target[1][::3])
        tried = sorted((refine(start, rough, 60) for start in starts), key=lambda pair: pair[1])[:2]
        for solids, _ in tried:
            solids, _ = refine(trim(surface, refine(trim(surface, solids), target, 160)[0]), target, 100)
            new = excess(figures(surface, solids, rough=True), group)
            if new < score:
                best, score = solids, new
        if score <= 1 or len(tried[0][0]) >= WANTED[group][2]:
            return best
        base = best if len(best) == len(tried[0][0]) else tried[0][0]
        starts = [[*base, around(points, kind)] for points, kind in product(places(surface, base, rng), KINDS)]


def prune(surface: Surface, solids: list[Solid], group: str) -> list[Solid]:
    """Drop solids, the least missed first, while what is wanted is met or nothing is lost."""
    allowed = max(1.0, excess(figures(surface, solids), group))
    while len(solids) > 1:
        rest = [solids[:i] + solids[i + 1 :] for i in range(len(solids))]
        scores = [excess(figures(surface, r, rough=True), group) for r in rest]
        best = rest[int(np.argmin(scores))]
        # The rough figures count narrow slots between solids as surface; the full ones have the last word.
        if min(scores) > 1 and excess(figures(surface, best), group) > allowed:
            break
        solids = best
    return solids


def uncovered(
    surface: Surface, solids: list[Solid], group: str, contact: np.ndarray, rng: np.random.Generator
) -> list[Solid]:
    """The solids, changed if they bury the contact point (3,) of a pad."""
    on, target = contact + np.zeros((1, 3)), samples(surface, rng)
    near = contact + rng.normal(0, 2.5e-3, (len(target[0]), 3))
    distance = surface.signed_distance(near)
    free = (distance > 0) & (np.linalg.norm(near - contact, axis=1) < 5e-3)
    weighed = (np.concatenate([target[0], *[near[free]] * 3]), np.concatenate([target[1], *[distance[free]] * 3]))

    def score(tried: list[Solid]) -> float:
        buried = -min(float(solid.signed_distance(on)[0]) for solid in tried)
        return max(excess(figures(surface, tried, rough=True), group), buried / BURIED)

    while score(solids) > 1:
        tried = refine(trim(surface, solids), weighed, 200)[0]
        if score(tried) <= 1 or len(solids) >= WANTED[group][2]:
            return tried
        more = [[*solids, around(points, kind)] for points, kind in product(places(surface, solids, rng), KINDS)]
        solids = min((refine(start, weighed, 100)[0] for start in more), key=score)
    return solids


@dataclass(frozen=True)
class Fitted:
    """A link with its solids."""

    group: str
    geometry: Geometry
    surface: Surface
    solids: list[Solid]
    figures: tuple[float, float]
    """Mean and 95th percentile, m."""


def fit_link(geometry: Geometry, group: str, known: list[Fitted]) -> Fitted:
    """A link's solids: those of a known link of the same shape or its mirror image, else the fewest that serve."""
    surface = Surface(geometry.mesh)
    if group == "palm" and geometry.solids and len(geometry.solids) <= WANTED[group][2]:
        return Fitted(group, geometry, surface, list(geometry.solids), figures(surface, list(geometry.solids)))
    for other in known:
        solids = image(geometry, surface, other) if other.group == group else None
        found = figures(surface, solids) if solids else (np.inf, np.inf)
        if solids and excess(found, group) <= max(1.0, 1.05 * excess(other.figures, group)):
            return Fitted(group, geometry, surface, solids, found)
    solids = prune(surface, list(geometry.solids), group) if geometry.solids else []
    if not 1 <= len(solids) <= WANTED["other"][2]:
        own = prune(surface, fit(surface, group, np.random.default_rng(0)), group)
        if not solids or (len(own) < len(solids) and excess(figures(surface, own), group) <= 1):
            solids = own
    return Fitted(group, geometry, surface, solids, figures(surface, solids))


def image(geometry: Geometry, surface: Surface, known: Fitted) -> list[Solid] | None:
    """A known link's solids, moved and mirrored on one axis at most; None where the shapes differ."""
    if np.abs(geometry.mesh.extents - known.geometry.mesh.extents).max() > 0.3e-3:
        return None
    middle, middle_known = geometry.mesh.bounds.mean(axis=0), known.geometry.mesh.bounds.mean(axis=0)
    points = surface.points[:: max(1, len(surface.points) // 3000)]
    for flip in np.array([(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]):
        shift = middle - flip * middle_known
        apart = known.surface.tree.query((points - shift) * flip)[0]
        if apart.mean() < 0.3e-3 and np.percentile(apart, 99) < 1e-3:
            return [solid.flipped(flip, np.where(np.abs(shift) < 0.1e-3, 0, shift)) for solid in known.solids]
    return None


def same(a: Geometry, b: Geometry) -> bool:
    """Whether two links have the same triangles."""
    return a.mesh.triangles.shape == b.mesh.triangles.shape and np.allclose(
        a.mesh.triangles, b.mesh.triangles, atol=1e-6
    )


def fit_hand(name: str, data: Path) -> dict:
    """What a JSON file holds: solids per link, and the figures they reach."""
    description = read_urdf(data / OFFICIAL[name])
    contacts = dict(contact_links(name, data).values())
    known: list[Fitted] = []
    links, rows = {}, {}
    for link, group in link_groups(name, description).items():
        geometry = description.links[link]
        fitted = next((k for k in known if k.group == group and same(k.geometry, geometry)), None)
        if fitted is None:
            fitted = fit_link(geometry, group, known)
            if link in contacts:
                rng = np.random.default_rng(0)
                solids = uncovered(fitted.surface, fitted.solids, group, contacts[link], rng)
                fitted = replace(fitted, solids=solids, figures=figures(fitted.surface, solids))
            known.append(fitted)
        mean, p95 = (round(value * 1e3, 2) for value in fitted.figures)
        rows[link] = {"group": group, "mean_mm": mean, "p95_mm": p95}
        links[link] = [solid.to_json() for solid in fitted.solids]
        print(f"  {link}: {rows[link]}, {', '.join(solid.kind for solid in fitted.solids)}", flush=True)
    return {"links": links, "figures": {"solids": sum(map(len, links.values())), "links": rows}}


def main() -> None:
    """Write one JSON file per hand named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    right = [name for name in OFFICIAL if not name.endswith("_left")]
    parser.add_argument("hands", nargs="+", choices=right, metavar="HAND")
    parser.add_argument("--data", type=Path, required=True, help="folder of official descriptions")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "solids")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.hands:
        start = time.perf_counter()
        content = fit_hand(name, args.data)
        (args.out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: {content['figures']['solids']} solids, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
