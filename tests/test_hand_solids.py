"""The hands' collision solids: the distance between surfaces by hand, and the bound of the shipped hands."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools"))

from hand_surfaces import OFFICIAL, Surface, distances_both_ways, link_groups, read_urdf  # noqa: E402 # pyright: ignore[reportMissingImports]
from solid import Solid, union_surface  # noqa: E402 # pyright: ignore[reportMissingImports]

from unihm.assets import HANDS  # noqa: E402

MEAN, P95 = 2e-3, 5e-3  # m: what is promised for finger pads and palm
COARSE = {"density": 1e6, "step": 1.2e-3}  # samples 0.5 mm apart read too large, never too small
NAMES = [pytest.param(n, marks=[pytest.mark.slow] if n.endswith("_left") else []) for n in OFFICIAL]


def test_signed_distances_by_hand():
    turned = Solid("box", (0.02, 0.04, 0.06), (0.01, 0.0, 0.0), (0.0, 0.0, np.pi / 2))  # now 40 x 20 x 60 mm
    rod = Solid("cylinder", (0.01, 0.04), (0.0, 0.0, 0.02), (np.pi / 2, 0.0, 0.0))  # now along y
    ball = Solid("sphere", (0.005,), (0.0, 0.0, 0.1))
    points = np.array([[0.04, 0.0, 0.0], [0.01, 0.013, 0.034], [0.01, 0.0, 0.0]])
    assert turned.signed_distance(points) == pytest.approx([0.01, 0.005, -0.01])
    assert rod.signed_distance(np.array([[0.0, 0.024, 0.033], [0.0, 0.0, 0.02]])) == pytest.approx([0.005, -0.01])
    assert ball.signed_distance(np.array([[0.0, 0.003, 0.104]])) == pytest.approx([0.0])
    # The triangles that are sampled are the same bodies.
    for solid in (turned, rod, ball):
        assert np.abs(solid.signed_distance(solid.mesh().vertices)).max() < 1e-9
        assert solid.mesh().volume > 0


def test_a_larger_box_lies_two_millimetres_out():
    official = Surface(trimesh.creation.box((0.03, 0.03, 0.03)), step=0.6e-3)
    to_ours, to_official = distances_both_ways(official, [Solid("box", (0.034, 0.034, 0.034))], step=0.6e-3)
    # Every point of the small box is exactly 2 mm under the large one.
    assert np.abs(to_ours - 2e-3).max() < 0.2e-3
    # Back: 2 mm over the faces' middle 30 x 30 mm of 34 x 34, up to 2 sqrt(3) mm in the corners.
    assert np.median(to_official) == pytest.approx(2e-3, abs=0.1e-3)
    assert to_official.max() == pytest.approx(2e-3 * np.sqrt(3), abs=0.3e-3)
    assert len(to_official) == pytest.approx(6 * 34**2 * 10, rel=0.03)


def test_only_the_outer_surface_counts():
    # Two boxes of 20 mm that overlap by 10 mm are one of 30 x 20 x 20 mm: 4 * 600 + 2 * 400 = 3200 mm^2.
    halves = [Solid("box", (0.02, 0.02, 0.02), (x, 0.0, 0.0)) for x in (-0.005, 0.005)]
    assert len(union_surface(halves)) == pytest.approx(32000, rel=0.03)
    # The official geometry as those two boxes, and a ball hidden in them, against the one box.
    parts = [half.mesh() for half in halves] + [Solid("sphere", (0.003,)).mesh()]
    surface = Surface(trimesh.util.concatenate(parts), step=0.6e-3)
    both = distances_both_ways(surface, [Solid("box", (0.03, 0.02, 0.02))], step=0.6e-3)
    assert max(d.mean() for d in both) < 0.2e-3  # the distance of samples
    assert max(d.max() for d in both) < 1.2e-3  # two grid steps: where parts meet, so much of the inside is kept
    # Three solids side by side: the middle of the union is 10 mm deep, though each face passes near.
    to_ours, _ = distances_both_ways(
        Surface(trimesh.creation.box((0.002, 0.002, 0.002))),
        [Solid("box", (0.01, 0.02, 0.02), (x, 0.0, 0.0)) for x in (-0.01, 0.0, 0.01)],
        step=0.6e-3,
    )
    assert np.abs(to_ours - 9.5e-3).max() < 0.6e-3


def test_slots_narrower_than_the_ball_are_no_surface():
    walls = [Solid("box", (0.02, 0.02, 0.01), (0.0, 0.0, z)) for z in (-0.008, 0.008)]  # a slot of 6 mm
    mesh = trimesh.util.concatenate([wall.mesh() for wall in walls])
    assert np.abs(Surface(mesh, ball=2e-3, step=0.5e-3).points[:, 2]).min() == pytest.approx(3e-3, abs=1e-4)
    closed = Surface(mesh, ball=4e-3, step=0.5e-3)
    deep = np.abs(closed.points[:, :2]).max(axis=1) < 5e-3
    assert np.abs(closed.points[deep, 2]).min() == pytest.approx(13e-3, abs=1e-4)
    assert closed.contains(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.02]])).tolist() == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_hands_keep_the_bound(name: str, shared_data: Path):
    official = read_urdf(shared_data / "hands_official" / OFFICIAL[name])
    ours = read_urdf(next((HANDS / name).glob("*.urdf"))).links
    groups: dict[str, list] = {"pads": [], "palm": []}
    seen = {}
    for link, group in link_groups(name, official).items():
        assert ours[link].solids, f"link '{link}' has collision geometry in the official file, and none here"
        if group in groups:
            geometry = official.links[link]
            key = (len(geometry.mesh.faces), round(geometry.mesh.area, 9), ours[link].solids)
            if key not in seen:
                surface = Surface(geometry.mesh, **COARSE)
                seen[key] = distances_both_ways(surface, list(ours[link].solids), **COARSE)
            groups[group].append(seen[key])
    for rows in groups.values():
        for way in zip(*rows, strict=True):
            pooled = np.concatenate(way)
            assert pooled.mean() < MEAN
            assert np.percentile(pooled, 95) < P95
