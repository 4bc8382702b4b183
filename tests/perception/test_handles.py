"""Handles that the view network did not see as such, in views of rendered fixtures."""

from __future__ import annotations

import numpy as np
import pytest
from fixture_views import View, seen
from scipy.ndimage import binary_dilation

from unihm.cliport.instances import PART, THING, Instances
from unihm.perception.handles import handle_pixels
from unihm.simulation.fixtures import Door, Lid


def found_in(view: View, labels: np.ndarray, kinds: tuple[str, ...], handles: np.ndarray, kind: str) -> np.ndarray:
    found = Instances(labels=labels, kinds=kinds, handles=handles)
    near = view.valid & (view.points[..., 2] > 0.01)
    return handle_pixels(found, 0, view.points, near, view.eye, kind)


def part(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Labels with the panel as number 0, and the pixels of the true handle."""
    return np.where(view.shown == "moving", 0, -1), (view.shown == "handle") & view.valid


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.fixture(scope="module")
def open_door() -> View:
    return seen(Door(position0=np.radians(60), hinge_on_right=True), 0.9, 0.5, 0.8, np.random.default_rng(0))


def test_a_handle_that_is_seen_is_left_as_it_is(open_door):
    labels, handle = part(open_door)
    assert overlap(found_in(open_door, np.where(handle, 0, labels), (PART,), handle, "door"), handle) > 0.8


@pytest.mark.parametrize("marked", [False, True])
def test_a_handle_that_is_a_part_of_its_own_comes_to_its_panel(open_door, marked):
    labels, handle = part(open_door)
    found = found_in(open_door, np.where(handle, 1, labels), (PART, PART), handle & marked, "door")
    assert overlap(found, handle) > 0.8


@pytest.mark.parametrize("label", [-1, 0, 1])
def test_of_a_handle_of_which_an_end_is_seen_the_rest_is_found(open_door, label):
    labels, handle = part(open_door)
    end = handle & (np.arange(len(handle))[:, None] > np.nonzero(handle)[0].mean() + 8)
    assert 15 <= end.sum() < handle.sum() / 2
    labels = np.where(end, 0, np.where(handle, label, labels))
    found = found_in(open_door, labels, (PART, THING), end, "door")
    assert overlap(found, handle) > (0.8 if label else 0.3)


@pytest.mark.parametrize("label", [-1, 0])
def test_a_handle_that_looks_like_its_panel_stands_off_it(label):
    view = seen(Lid(), 0.3, 0.9, 0.8, np.random.default_rng(0))
    labels, handle = part(view)
    found = found_in(view, np.where(handle, label, labels), (PART,), handle & False, "lid")
    assert overlap(found, handle) > 0.5


def test_a_handle_beyond_the_edge_of_an_open_lid_is_found():
    view = seen(Lid(position0=np.radians(85)), 0.0, 0.9, 0.8, np.random.default_rng(0))
    labels, handle = part(view)
    assert handle.sum() > 40
    found = found_in(view, labels, (PART,), handle & False, "lid")
    assert (found & handle).sum() > 0.5 * handle.sum()
    assert (found & ~handle).sum() < 0.5 * found.sum()


def test_where_no_handle_is_none_is_found(open_door):
    labels, handle = part(open_door)
    view = open_door
    gone = binary_dilation(handle, iterations=3)
    view.valid[gone] = False
    assert not found_in(view, labels, (PART,), handle & False, "door").any()


def test_a_thing_before_a_door_is_no_handle():
    view = seen(Door(), 0.2, 0.5, 0.8)
    labels, handle = part(view)
    view.valid[binary_dilation(handle, iterations=3)] = False
    T = view.fixture.T_world_handle
    row, column = np.argwhere(view.shown == "moving").mean(axis=0).astype(int)
    cup = np.zeros_like(handle)
    cup[row - 20 : row + 20, column - 20 : column + 20] = True
    assert not (cup & binary_dilation(handle, iterations=3)).any()
    view.points[cup] += 0.04 * T[:3, 0]
    for label in (-1, 1):  # too wide for a handle, or another thing
        found = found_in(view, np.where(cup, label, labels), (PART, THING), handle & False, "door")
        assert not found.any()
