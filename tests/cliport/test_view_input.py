"""What the view network sees of an image whose surfaces are known by a formula."""

from __future__ import annotations

import numpy as np
from cliport_builders import GREY, RED, box_image, looking
from scipy.ndimage import binary_dilation

from unihm.cliport.view_input import CELLS, COLOUR_CHANNELS, VIEW_CHANNELS, cells_of, nearest_pixels, view_input

PITCH = 0.7
CAMERA = looking([0.05, 0.0, 0.5], PITCH)
CHANNEL = {name: i for i, name in enumerate(VIEW_CHANNELS)}


def _view(height: int = 480, width: int = 640, camera=CAMERA):
    image = box_image(camera, height, width, focal=600.0)
    given = {k: v for k, v in image.given().items() if k != "masks"}
    return image, view_input(**given)


def test_an_image_has_320_columns_of_cells_of_its_own_shape():
    assert cells_of(480, 640) == (240, 320)
    assert cells_of(720, 1280) == (180, CELLS)
    assert cells_of(240, 320) == (240, 320)
    assert _view(360, 640)[1].shape == (len(VIEW_CHANNELS), 180, 320)


def test_cells_take_the_pixel_in_their_middle_and_pixels_their_cell():
    assert nearest_pixels(8, 4).tolist() == [1, 3, 5, 7]
    assert nearest_pixels(4, 8).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert nearest_pixels(6, 4).tolist() == [0, 2, 3, 5]


def test_colours_are_means_over_four_pixels():
    image, view = _view()
    mean = image.colour.reshape(240, 2, 320, 2, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(view[:COLOUR_CHANNELS], np.moveaxis(mean, -1, 0), atol=0.6 / 255)
    assert {tuple(np.round(255 * c)) for c in view[:3].reshape(3, -1).T} >= {RED, GREY}


def test_geometry_is_that_of_table_and_box_in_the_view_axes():
    image, view = _view()
    points = image.points_world[1::2, 1::2]
    inside = np.zeros((240, 320), bool)
    inside[3:-3, 3:-3] = True
    table = inside & ~binary_dilation(image.mask[1::2, 1::2], iterations=4)
    top = inside & (np.abs(points[..., 2] - 0.08) < 1e-6)
    for where, height in ((table, 0.0), (top, 0.08)):
        np.testing.assert_allclose(view[CHANNEL["height"]][where], height, atol=1e-6)
    up = view[[CHANNEL[f"normal_{name}"] for name in ("right", "away", "up")]]
    np.testing.assert_allclose(up[:, table].T, np.tile([0, 0, 1], (table.sum(), 1)), atol=1e-3)
    depth = (points - CAMERA[:3, 3]) @ CAMERA[:3, 2]
    np.testing.assert_allclose(view[CHANNEL["nearness"]][top], 1 / depth[top], rtol=1e-5)


def test_a_camera_from_another_side_sees_the_same_geometry():
    image, view = _view()
    turn = np.eye(4)
    c, s = np.cos(2.0), np.sin(2.0)
    turn[:2, :2] = [[c, -s], [s, c]]
    turned = view_input(
        colour=image.colour,
        points_world=image.points_world @ turn[:3, :3].T,
        valid=image.valid,
        T_world_camera=turn @ CAMERA,
    )
    np.testing.assert_allclose(turned, view, atol=2e-3)


def test_cells_without_depth_are_zero_but_for_their_colour():
    image, _ = _view()
    valid = image.valid.copy()
    valid[100:200, 100:200] = False
    view = view_input(
        colour=image.colour, points_world=image.points_world, valid=valid, T_world_camera=image.T_world_camera
    )
    hole = view[:, 50:100, 50:100]
    assert (hole[COLOUR_CHANNELS:] == 0).all()
    assert (hole[:COLOUR_CHANNELS] > 0).any()
    assert np.isfinite(view).all()
