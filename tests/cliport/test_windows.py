from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.cliport.windows import SIZE, area_in_window, in_image, in_window, pixel_of_cell, windows_around


def test_the_window_of_a_rectangle_by_hand():
    masks = np.zeros((2, 40, 50), dtype=bool)
    masks[0, 10:20, 5:13] = True  # 10 rows, 8 columns; centre row 14.5, column 8.5
    masks[1, 39, 49] = True
    windows = windows_around(masks)
    assert windows[0] == pytest.approx([8.5 - 6.75, 14.5 - 6.75, 13.5])
    assert windows[1] == pytest.approx([49 - 0.675, 39 - 0.675, 1.35])


def test_an_empty_proposal_is_refused():
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, 1, 1] = True
    with pytest.raises(ValueError, match="Proposal 1 of 2 has no pixel"):
        windows_around(masks)


@settings(max_examples=40, deadline=None)
@given(left=st.integers(-60, 60), top=st.integers(-60, 60), cell=st.integers(1, 24), seed=st.integers(0, 9))
def test_areas_against_a_finely_repeated_image(left, top, cell, seed):
    fine = 8  # parts of a pixel; edges of cells lie on them
    image = np.random.default_rng(seed).integers(0, 255, (11, 17, 3)).astype(np.uint8)
    window = np.array([left / fine - 0.5, top / fine - 0.5, cell * SIZE / fine])
    room = 80 + cell * SIZE
    repeated = np.pad(image.repeat(fine, 0).repeat(fine, 1), ((room, room), (room, room), (0, 0)))
    part = repeated[room + top :, room + left :][: cell * SIZE, : cell * SIZE].astype(np.float64)
    expected = part.reshape(SIZE, cell, SIZE, cell, 3).mean(axis=(1, 3))
    assert np.abs(area_in_window(image, window) - expected).max() < 1e-3


def test_the_nearest_pixel_of_every_cell():
    image = np.arange(30 * 40).reshape(30, 40)
    window = np.array([-5.0, 3.0, 50.0])
    cells = in_window(image, window, outside=-1)
    for row, column in ((0, 0), (0, 7), (10, 20), (20, 63), (63, 63), (33, 40)):
        u, v = pixel_of_cell(window, row, column)
        inside = -0.5 < u < 39.5 and -0.5 < v < 29.5
        assert cells[row, column] == (image[round(v), round(u)] if inside else -1)


@settings(max_examples=30, deadline=None)
@given(left=st.floats(-30, 60), top=st.floats(-30, 40), side=st.floats(2, 63))
def test_to_the_window_and_back_keeps_every_pixel_that_has_its_own_cell(left, top, side):
    image = np.random.default_rng(0).integers(1, 99, (40, 60))
    window = np.array([left, top, side])
    back = in_image(in_window(image, window), window, 40, 60)
    v, u = np.mgrid[:40, :60]
    deep = (u > left + 1) & (u < left + side - 1) & (v > top + 1) & (v < top + side - 1)
    assert (back[deep] == image[deep]).all()
    slack = 1e-9  # a pixel on the border may be on either side of it
    outside = (u < left - slack) | (u >= left + side + slack) | (v < top - slack) | (v >= top + side + slack)
    assert (back[outside] == 0).all()
