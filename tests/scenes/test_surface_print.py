"""Prints leave things their colour, stay where they are in the thing's frame, and lie around it rightly."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.scenes.household import draw_object
from unihm.scenes.outer_surface import outer_surface
from unihm.scenes.scene_prints import has_letters, object_text
from unihm.scenes.styles import STYLES
from unihm.scenes.surface_print import TABLES, Noise, Wrapping, floor_print, mottled, table_print, text_print

PACKAGES = ("food can", "cereal box", "pill bottle", "juice box", "chocolate bar", "shampoo bottle", "book", "tea box")
GREY = np.array([0.5, 0.5, 0.5])


def plane(count: int = 2000, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(-0.4, 0.4, (count, 3))
    points[:, 2] = 0
    return points


@pytest.mark.parametrize("family", PACKAGES)
def test_letters_and_panels_leave_two_thirds_of_the_surface(family: str):
    marked = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        thing = draw_object(rng, family)
        points, _ = outer_surface(thing.parts, 2000, rng)
        own = np.tile(GREY, (len(points), 1))
        printed = object_text(thing, rng)(points, own)
        share = (printed != own).any(axis=1).mean()
        assert share < 0.35
        assert (own == GREY).all()  # what was given stays as it was
        marked.append(share)
    assert max(marked) > 0.02


@pytest.mark.parametrize(("style", "share"), [("standard", 0.75), ("plain", 0.4)])
def test_a_style_says_how_many_packages_have_letters(style: str, share: float):
    rng = np.random.default_rng(0)
    box, mug = draw_object(rng, "cereal box"), draw_object(rng, "mug")
    assert np.mean([has_letters(box, STYLES[style], rng) for _ in range(400)]) == pytest.approx(share, abs=0.08)
    assert not any(has_letters(mug, STYLES[style], rng) for _ in range(50))


def test_letters_cover_far_less_than_a_panel():
    box = Wrapping(round=False, axis=2, low=np.array([-0.05, -0.03, 0.0]), high=np.array([0.05, 0.03, 0.15]))
    rng = np.random.default_rng(0)
    y, z = np.meshgrid(np.linspace(-0.03, 0.03, 200), np.linspace(0, 0.15, 300))
    side = np.column_stack([np.full(y.size, 0.05), y.ravel(), z.ravel()])
    shares = {True: [], False: []}
    for panel in shares:
        for _ in range(20):
            own = np.tile(GREY, (len(side), 1))
            shares[panel].append((text_print(box, np.ones(3), rng, panel)(side, own) != own).any(axis=1).mean())
    assert 0 < np.mean(shares[False]) < np.mean(shares[True]) < 0.35


def test_wrapping_around_a_can_is_its_circumference():
    can = Wrapping(round=True, axis=2, low=np.array([-0.03, -0.03, 0.0]), high=np.array([0.03, 0.03, 0.1]))
    angle = np.array([0.0, np.pi / 2, -np.pi / 2])
    points = np.column_stack([0.03 * np.cos(angle), 0.03 * np.sin(angle), [0.05, 0.08, 0.02]])
    across, along, face = can(points)
    assert across == pytest.approx([0, 0.03 * np.pi / 2, -0.03 * np.pi / 2])
    assert along == pytest.approx([0, 0.03, -0.03])
    assert set(face) == {0}


def test_wrapping_on_a_box_tells_its_faces():
    box = Wrapping(round=False, axis=2, low=np.array([-0.05, -0.03, 0.0]), high=np.array([0.05, 0.03, 0.2]))
    faces = np.array([[0.05, 0.01, 0.1], [-0.05, 0.01, 0.1], [0.01, 0.03, 0.1], [0.01, -0.03, 0.1], [0.01, 0, 0.2]])
    across, along, face = box(faces)
    assert len(set(face)) == 5
    assert across[0] == pytest.approx(0.01)
    assert across[1] == pytest.approx(-0.01)  # mirrored, so that letters read from outside
    assert along[:4] == pytest.approx(0)


@pytest.mark.parametrize("kind", TABLES)
def test_tables_have_colours_and_repeat(kind: str):
    points, own = plane(), np.tile(GREY, (2000, 1))
    one = table_print(kind, np.random.default_rng(4))(points, own)
    assert one.shape == (2000, 3)
    assert np.isfinite(one).all()
    assert one.min() >= 0
    assert one.max() <= 1
    assert one.std(axis=0).max() > 0.003
    assert (table_print(kind, np.random.default_rng(4))(points, own) == one).all()
    assert (table_print(kind, np.random.default_rng(5))(points, own) != one).any()


def test_a_checker_board_has_two_colours_in_equal_shares():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        printed = table_print("checker", rng)(plane(4000), np.tile(GREY, (4000, 1)))
        bright = printed.mean(axis=1)
        middle = (bright.min() + bright.max()) / 2
        if (bright > middle).mean() == pytest.approx(0.5, abs=0.1):
            return
    pytest.fail("no board without sheets in half light and half dark squares")


def test_noise_is_smooth_from_zero_to_one_and_fits_its_lattice():
    noise = Noise(np.random.default_rng(0))
    points = np.random.default_rng(1).uniform(-50, 50, (5000, 3))
    values = noise(points)
    assert 0 <= values.min() < 0.1
    assert 0.9 < values.max() <= 1
    assert np.abs(noise(points + 1e-3) - values).max() < 0.01
    assert noise(points + 32) == pytest.approx(values, abs=1e-4)


def test_mottles_change_brightness_only_and_as_much_as_asked():
    points = np.random.default_rng(0).uniform(-1, 1, (5000, 3))
    own = np.tile([0.6, 0.3, 0.1], (5000, 1))
    ratio = mottled(np.random.default_rng(0), 0.1, (0.02, 0.02, 0.02))(points, own) / own
    assert np.ptp(ratio, axis=1).max() < 1e-6
    assert 0.9 <= ratio.min() < 0.93
    assert 1.07 < ratio.max() <= 1.1


def test_floors_of_all_kinds():
    for seed in range(10):
        printed = floor_print(np.random.default_rng(seed))(plane(), np.tile(GREY, (2000, 1)))
        assert 0 <= printed.min() <= printed.max() <= 1


def test_an_unknown_table_is_named():
    with pytest.raises(ValueError, match="marble"):
        table_print("marbel", np.random.default_rng(0))
