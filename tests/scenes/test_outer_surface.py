"""Points on what is seen of overlapping parts, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.scenes.household import draw_object
from unihm.scenes.outer_surface import outer_surface
from unihm.scenes.shapes import ellipsoid, moved

RADIUS, APART = 0.05, 0.06


def test_two_balls_show_their_caps():
    ball = ellipsoid((2 * RADIUS,) * 3, 64, 48)
    parts = {"left": moved(ball, x=-APART / 2), "right": moved(ball, x=APART / 2)}
    points, normals = outer_surface(parts, 4000, np.random.default_rng(0))
    left = np.linalg.norm(points - [-APART / 2, 0, 0], axis=1)
    right = np.linalg.norm(points - [APART / 2, 0, 0], axis=1)
    assert np.minimum(left, right) == pytest.approx(RADIUS, abs=2e-4)
    assert np.maximum(left, right).min() > RADIUS - 2e-4
    centre = np.where((left < right)[:, None], [-APART / 2, 0, 0], [APART / 2, 0, 0])
    assert np.einsum("ni,ni->n", normals, (points - centre) / RADIUS).min() > 0.99
    # A zone of a sphere has an area in proportion to its height (Archimedes).
    zone = (points[:, 0] > APART / 2) & (points[:, 0] < APART / 2 + RADIUS / 2)
    share = (RADIUS / 2) / (2 * (RADIUS + APART / 2))
    assert zone.mean() == pytest.approx(share, abs=0.015)


def test_an_open_cup_is_seen_from_inside():
    thing = draw_object(np.random.default_rng(0), "paper cup")
    points, normals = outer_surface(thing.parts, 2048, np.random.default_rng(1))
    radial = np.einsum("ni,ni->n", points[:, :2], normals[:, :2])
    wall = np.abs(normals[:, 2]) < 0.5
    assert 0.4 < (radial[wall] < 0).mean() < 0.55


def test_the_same_generator_gives_the_same_points_and_exactly_so_many():
    parts = draw_object(np.random.default_rng(3), "mug").parts
    one = outer_surface(parts, 500, np.random.default_rng(0))
    other = outer_surface(parts, 500, np.random.default_rng(0))
    assert len(one[0]) == 500
    assert one[0].tobytes() == other[0].tobytes()
    assert np.linalg.norm(one[1], axis=1) == pytest.approx(1)


def test_a_part_inside_another_shows_nothing():
    parts = {"small": ellipsoid((0.04,) * 3), "large": ellipsoid((0.1,) * 3)}
    points, _ = outer_surface(parts, 300, np.random.default_rng(0))
    assert np.linalg.norm(points, axis=1).min() > 0.049
