"""Which plane is the table, where several could be: made clouds of a table, a shelf, and boxes on both."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from unihm.perception.table import find_table

HEIGHT = 0.8  # m of the camera over the table
DOWN = np.radians(40)
# Camera axes in a world with y ahead and z up.
R = np.column_stack([[1.0, 0, 0], [0, -np.sin(DOWN), -np.cos(DOWN)], [0, np.cos(DOWN), -np.sin(DOWN)]])


def camera_frame(points_world: np.ndarray) -> np.ndarray:
    return (points_world - [0.0, 0.0, HEIGHT]) @ R


def sheet(rng: np.random.Generator, low: tuple, high: tuple, z: float, count: int) -> np.ndarray:
    xy = rng.uniform(low, high, (count, 2))
    return np.column_stack([xy, z + 0.001 * rng.normal(size=count)])


def block(rng: np.random.Generator, x: float, y: float, z: float, count: int = 600) -> np.ndarray:
    """The front and the top of a box of 10 cm."""
    front = np.column_stack([rng.uniform(x, x + 0.1, count), np.full(count, y), rng.uniform(z, z + 0.1, count)])
    return np.concatenate([front, sheet(rng, (x, y), (x + 0.1, y + 0.1), z + 0.1, count)])


def two_levels(shelf: int = 6000, things_on_shelf: bool = True) -> np.ndarray:
    """A table at 0 and a shelf 25 cm over it, as far from the camera, in its frame."""
    rng = np.random.default_rng(0)
    parts = [
        sheet(rng, (-0.6, 0.7), (-0.02, 1.1), 0.0, 6000),
        sheet(rng, (0.02, 1.0), (0.6, 1.4), 0.25, shelf),
        block(rng, -0.3, 0.9, 0.0),
    ]
    if things_on_shelf:
        parts.append(block(rng, 0.3, 1.2, 0.25))
    return camera_frame(np.concatenate(parts))


def height_of(plane) -> float:
    """Of the plane in the world, m."""
    return HEIGHT + plane.offset


def test_one_table_says_nothing(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        assert height_of(find_table(two_levels(shelf=1500))) == pytest.approx(0, abs=0.003)
        # A shelf that is as large but empty is none.
        assert height_of(find_table(two_levels(things_on_shelf=False))) == pytest.approx(0, abs=0.003)
    assert not caplog.records


def test_of_two_alike_a_point_decides_and_the_choice_is_told(caplog: pytest.LogCaptureFixture):
    cloud = two_levels()
    on_shelf, on_table = (camera_frame(np.array([p]))[0] for p in ([0.35, 1.2, 0.33], [-0.25, 0.9, 0.06]))
    with caplog.at_level(logging.WARNING):
        chosen = height_of(find_table(cloud))
    (record,) = caplog.records
    assert "More than one plane could be the table" in record.message
    assert f"25 cm {'above' if chosen < 0.1 else 'below'} it" in record.message
    assert height_of(find_table(cloud, on_it=on_shelf)) == pytest.approx(0.25, abs=0.004)
    assert height_of(find_table(cloud, on_it=on_table)) == pytest.approx(0.0, abs=0.004)


@pytest.mark.parametrize("zero", [0.0, 0.25])
def test_of_two_alike_a_known_pose_decides(zero: float):
    T = np.eye(4)
    T[:3, :3] = R
    T[2, 3] = HEIGHT - zero
    assert height_of(find_table(two_levels(), T)) == pytest.approx(zero, abs=0.004)


@pytest.mark.parametrize("zero", [0.0, 0.25])
def test_the_table_of_a_known_pose_may_show_less_than_the_top_of_a_chest(zero: float):
    T = np.eye(4)
    T[:3, :3] = R
    T[2, 3] = HEIGHT - zero
    cloud = two_levels(shelf=18000 if zero == 0 else 2000)
    assert abs(height_of(find_table(cloud)) - zero) > 0.2
    assert height_of(find_table(cloud, T)) == pytest.approx(zero, abs=0.004)


def corner_of_table(tilt: float) -> np.ndarray:
    """A strip of a table 6 cm wide, which a bowl of points that slopes by an angle goes on with, in its frame."""
    rng = np.random.default_rng(0)
    strip = sheet(rng, (-0.5, 0.9), (0.5, 0.96), 0.0, 2500)
    beside = sheet(rng, (-0.5, 0.96), (0.5, 1.0), 0.0, 900)
    beside[:, 2] += np.tan(tilt) * (beside[:, 1] - 0.96)
    return camera_frame(np.concatenate([strip, beside]))


def stated(tilt: float) -> np.ndarray:
    """A camera pose that is wrong by an angle about the line in the middle of the strip."""
    T = np.eye(4)
    T[:3, :3] = R
    T[2, 3] = HEIGHT
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    middle = np.eye(4)
    middle[1, 3] = 0.95
    return middle @ turn @ np.linalg.inv(middle) @ T


def test_where_little_of_the_table_is_seen_the_pose_says_how_it_slopes():
    cloud = corner_of_table(0.1)
    small = stated(np.radians(6))  # 6 cm of table, which slope by 3 mm at most
    table = find_table(cloud, small)
    np.testing.assert_allclose(table.normal, small[2, :3], atol=1e-9)
    wide = two_levels(shelf=100)
    with pytest.raises(ValueError, match=r"tilts it by \d"):
        find_table(wide, stated(np.radians(12)))


def test_no_plane_is_refused_in_a_line():
    wall = np.random.default_rng(0).uniform([-1, -1, 1], [1, 1, 1.001], (5000, 3))
    with pytest.raises(ValueError, match=r"No table found.*Look down at a table") as error:
        find_table(wall)
    assert "\n" not in str(error.value)
