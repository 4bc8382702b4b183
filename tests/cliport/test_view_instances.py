"""Hand-made maps of classes and offsets, and the instances that must come out of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.cliport.instances import PART, THING, instances
from unihm.cliport.view_network import VIEW_CLASSES

H, W = 120, 160
ROW, COLUMN = np.mgrid[:H, :W]


def _disc(row: float, column: float, radius: float) -> np.ndarray:
    return (ROW - row) ** 2 + (COLUMN - column) ** 2 < radius**2


def _maps(masks, parts=(), handles=None, error: float = 0.0, seed: int = 0):
    """Sure classes, and offsets to the mean of every mask with a normal error; later masks lie over earlier ones."""
    classes = np.zeros((len(VIEW_CLASSES), H, W), np.float32)
    offsets = np.zeros((2, H, W), np.float32)
    classes[0] = 6.0
    owner = np.full((H, W), -1)
    for number, mask in enumerate(masks):
        owner[mask] = number
    for number in range(len(masks)):
        mask = owner == number
        classes[:, mask] = 0
        classes[2 if number in parts else 1, mask] = 6.0
        offsets[0][mask] = COLUMN[mask].mean() - COLUMN[mask]
        offsets[1][mask] = ROW[mask].mean() - ROW[mask]
    if handles is not None:
        classes[:, handles] = 0
        classes[3, handles] = 6.0
    offsets += error * np.random.default_rng(seed).standard_normal(offsets.shape)
    return classes, offsets, owner


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def _whole(owner: np.ndarray, number: int) -> np.ndarray:
    return np.kron(owner == number, np.ones((2, 2), bool))


def _assert_found(found, owner):
    for number in range(owner.max() + 1):
        truth = _whole(owner, number)
        assert max(_overlap(found.mask(i), truth) for i in range(len(found))) > 0.93, number


def test_nothing_is_found_where_nothing_is():
    found = instances(*_maps([])[:2], 2 * H, 2 * W)
    assert len(found) == 0
    assert (found.labels == -1).all()
    assert not found.handles.any()


def test_discs_that_touch_are_two():
    classes, offsets, owner = _maps([_disc(60, 60, 20), _disc(60, 99, 20), _disc(60, 80, 9)], error=1.5)
    found = instances(classes, offsets, 2 * H, 2 * W)
    assert len(found) == 3
    _assert_found(found, owner)


def test_a_long_bar_across_another_stays_whole_on_both_sides():
    bar = np.abs(ROW - 60) < 3
    bar[:, :10] = bar[:, -10:] = False
    post = (np.abs(COLUMN - 80) < 4) & (ROW > 20) & (ROW < 110)
    classes, offsets, owner = _maps([bar, post | (_disc(100, 80, 14))], error=1.0)
    found = instances(classes, offsets, 2 * H, 2 * W)
    assert len(found) == 2
    _assert_found(found, owner)


@pytest.mark.parametrize("error", [0.0, 4.0])
def test_the_spread_votes_of_a_large_thing_are_one_hill(error):
    classes, offsets, owner = _maps([_disc(60, 80, 50)], error=error)
    found = instances(classes, offsets, 2 * H, 2 * W)
    assert len(found) == 1
    _assert_found(found, owner)


def test_two_drawers_have_their_own_handles_and_a_mug_before_them_is_no_part():
    upper = (ROW > 20) & (ROW <= 60) & (COLUMN > 30) & (COLUMN < 130)
    lower = (ROW > 60) & (ROW <= 100) & (COLUMN > 30) & (COLUMN < 130)
    mug = _disc(80, 80, 12)  # before the middle of the lower drawer
    handles = (COLUMN > 60) & (COLUMN < 100) & ((np.abs(ROW - 40) < 3) | (np.abs(ROW - 65) < 3))
    classes, offsets, owner = _maps([upper, lower, mug], parts=(0, 1), handles=handles, error=1.0)
    found = instances(classes, offsets, 2 * H, 2 * W)
    assert sorted(found.kinds) == [PART, PART, THING]
    _assert_found(found, owner)
    for number in range(3):
        fitting = max(range(3), key=lambda i: _overlap(found.mask(i), _whole(owner, number)))
        handle = _whole(np.where(handles, owner, -1), number)
        assert (found.handle(fitting).any()) == (number < 2)
        if number < 2:
            assert _overlap(found.handle(fitting), handle) > 0.85


def test_specks_are_dropped():
    classes, offsets, _ = _maps([_disc(60, 80, 20), _disc(20, 20, 2)])
    assert len(instances(classes, offsets, 2 * H, 2 * W)) == 1


def test_outlines_are_finer_than_cells():
    """Logits that fall linearly across an edge put it between the pixels, not between the cells."""
    edge = 80.25  # cells
    classes, offsets, _ = _maps([COLUMN < 80])
    slope = (edge - (COLUMN + 0.5)).astype(np.float32)
    classes[:] = -20
    classes[1], classes[0] = slope, -slope
    found = instances(classes, offsets, 4 * H, 4 * W)
    row = found.labels[2 * H]
    assert (row >= 0).sum() == round(4 * edge)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=12, unique=True), st.integers(0, 99)
)
def test_every_disc_on_a_grid_is_found_once(places, seed):
    masks = [_disc(15 + 30 * row, 16 + 32 * column, 14.9) for row, column in places]
    classes, offsets, owner = _maps(masks, error=1.5, seed=seed)
    found = instances(classes, offsets, 2 * H, 2 * W)
    assert len(found) == len(places)
    _assert_found(found, owner)
