from __future__ import annotations

import numpy as np
import pytest
from cliport_builders import GREY, HIGH, LOW, RED, box_image, looking
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.cliport.crops import CHANNELS, MEASURES, crop
from unihm.cliport.rasters import CELL, GRID, heightmap

FRONT = looking((0.05, 0.0, 0.35), np.radians(30))


def given_to_heightmap(image) -> dict:
    return {name: value for name, value in image.given().items() if name != "masks"}


def test_a_box_keeps_its_size_and_turns_up_right_and_away():
    image = box_image(FRONT, height=480, width=640, focal=600)
    seen = heightmap(**given_to_heightmap(image))
    assert seen.valid.shape == GRID
    mask = seen.seen_from_above(image.mask)
    rows, columns = np.nonzero(mask & (seen.points_world[..., 2] > 0.079))
    for cells, axis in ((columns, 0), (rows, 1)):
        # A filled corner beside the box is no row of it.
        assert (np.bincount(cells) > 5).sum() * CELL == pytest.approx(HIGH[axis] - LOW[axis], abs=2 * CELL)
    # Right of a column and away of a row grow as a camera sees them, one cell at a time. A filled cell shares the point
    # of the one beside it.
    _, index, count = np.unique(seen.source[rows, columns], return_index=True, return_counts=True)
    own = index[count == 1]
    points = seen.points_world[rows, columns][own]
    assert len(own) > 500
    for at, value, sign in ((columns[own], points[:, 0], 1), (rows[own], points[:, 1], -1)):
        assert np.ptp(value - sign * at * CELL) < 1.001 * CELL
    assert (seen.colour[mask] == RED).all()
    assert (seen.colour[seen.valid & ~mask] == GREY).all()
    assert (seen.colour[~seen.valid] == 0).all()


def test_the_highest_point_over_a_cell_stays():
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.1, 0.4, 0.01], [0.1, 0.6, 0.2], (60, 80, 3))
    seen = heightmap(
        points_world=points,
        colour=np.zeros((60, 80, 3), dtype=np.uint8),
        valid=np.ones((60, 80), dtype=bool),
        T_world_camera=FRONT,
    )
    flat = points.reshape(-1, 3)
    low, high = np.percentile(flat[:, :2], (1, 99), axis=0)  # their middle is the middle of the map
    left, far = (low + high) / 2 + np.array([-1, 1]) * np.array(GRID[::-1]) * CELL / 2
    highest: dict[tuple[int, int], float] = {}
    for x, y, z in flat:
        cell = (int((far - y) // CELL), int((x - left) // CELL))
        highest[cell] = max(highest.get(cell, 0.0), z)
    assert len(highest) < len(flat)  # some cells have several
    for cell, height in highest.items():
        assert seen.points_world[cell][2] == height


@settings(max_examples=6, deadline=None)
@given(yaw=st.floats(-np.pi, np.pi))
def test_the_map_turns_with_the_camera(yaw):
    image = box_image(FRONT)
    plain = heightmap(**given_to_heightmap(image))
    T = np.eye(4)
    T[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    image.points_world = image.points_world @ T[:3, :3].T
    image.T_world_camera = T @ image.T_world_camera
    turned = heightmap(**given_to_heightmap(image))
    # Rounding moves points that lie on the edge of a cell.
    assert (turned.source == plain.source).mean() > 0.99


def test_the_same_crops_work_on_it():
    image = box_image(FRONT, height=480, width=640, focal=600)
    seen = heightmap(**given_to_heightmap(image))
    crops = crop(
        colour=seen.colour,
        points_world=seen.points_world,
        valid=seen.valid,
        T_world_camera=FRONT,
        masks=seen.seen_from_above(image.mask)[None],
        view="top",
    )
    told = dict(zip(MEASURES, crops.measures[0].tolist(), strict=True))
    assert told["top"] == 1
    assert told["long"] == pytest.approx(0.96 * 0.12, abs=0.004)
    assert told["right"] == pytest.approx(0.08 - 0.05, abs=0.01)  # the camera stands at x = 0.05
    image_of = {name: crops.images[0, i].astype(np.float64) for i, name in enumerate(CHANNELS)}
    top = (image_of["mask"] == 1) & (image_of["height"] > 0.079)
    assert np.median(image_of["normal_up"][top]) == pytest.approx(1, abs=0.01)


def test_what_lies_far_apart_makes_it_larger_and_nothing_is_refused():
    image = box_image(FRONT)
    given = given_to_heightmap(image)
    assert heightmap(**given, grid=(10, 20)).valid.shape == (10, 20)
    moved = {**given, "points_world": image.points_world * [4.0, 4.0, 1.0]}
    assert heightmap(**moved).valid.shape[0] > GRID[0]
    with pytest.raises(ValueError, match="heightmap is empty"):
        heightmap(**{**given, "points_world": image.points_world - [0, 0, 1.0]})
