"""Distances agree with all pairs, and a path is raised over what is in its way and no higher."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from unihm.geometry.pose import yaw_pose
from unihm.planning.object_path import SPEED, lift, through
from unihm.planning.path_clearance import HEIGHTS, MARGIN, clearance, raised

SIDE = np.linspace(-0.03, 0.03, 7)
BOX = np.stack(np.meshgrid(SIDE, SIDE, SIDE), axis=-1).reshape(-1, 3)  # m, a cube of 6 cm about its frame
START, GOAL = yaw_pose(0.0, (-0.15, 0.0, 0.03)), yaw_pose(1.0, (0.15, 0.0, 0.03))
GROUND = np.linspace(-0.25, 0.25, 51)
TABLE = np.stack(np.meshgrid(GROUND, GROUND, [0.0]), axis=-1).reshape(-1, 3)


def wall(height: float) -> np.ndarray:
    y, z = np.meshgrid(np.linspace(-0.1, 0.1, 41), np.arange(0, height + 1e-9, 0.005))
    return np.column_stack([np.zeros(y.size), y.ravel(), z.ravel()])


@pytest.fixture(scope="module")
def straight() -> np.ndarray:
    return through(np.stack([START, GOAL]))


def test_clearance_is_the_smallest_of_all_distances():
    rng = np.random.default_rng(0)
    points, scene = rng.normal(size=(30, 3)), 2 * rng.normal(size=(50, 3))
    path = np.tile(np.eye(4), (8, 1, 1))
    path[:, :3, :3] = Rotation.random(8, rng=rng).as_matrix()
    path[:, :3, 3] = rng.normal(size=(8, 3))
    path[4] = path[3]  # a frame at rest
    expected = [cdist(points @ T[:3, :3].T + T[:3, 3], scene).min() for T in path]
    np.testing.assert_allclose(clearance(path, points, scene), expected, atol=1e-12)


def test_a_lift_leaves_the_table_by_as_much_as_it_rises():
    path = lift(START, 0.2)
    np.testing.assert_allclose(clearance(path, BOX, TABLE), path[:, 2, 3] - 0.03, atol=1e-12)


def test_no_scene_is_infinitely_far(straight):
    assert (clearance(straight, BOX, np.empty((0, 3))) == np.inf).all()


def test_a_path_that_is_clear_stays_as_it_is(straight):
    np.testing.assert_array_equal(raised(straight, BOX, TABLE - [0, 0, 0.05]), straight)


@pytest.mark.parametrize("height", [0.01, 0.05, 0.12])
def test_a_path_is_raised_over_a_wall_and_no_higher(straight, height):
    scene = np.concatenate([TABLE, wall(height)])
    path = raised(straight, BOX, scene)
    away = np.minimum(*(np.linalg.norm(path[:, :3, 3] - end[:3, 3], axis=1) for end in (START, GOAL)))
    assert clearance(path, BOX, scene)[away > 0.03].min() >= MARGIN
    np.testing.assert_allclose(path[[0, -1]], straight[[0, -1]], atol=1e-9)
    # The path is nearly flat over the wall, so the lowest of the heights that clears it is known.
    expected = next(h for h in HEIGHTS if h >= height + MARGIN + 2e-3)
    assert path[:, 2, 3].max() - 0.03 == pytest.approx(expected, abs=1e-3)
    with pytest.raises(ValueError, match="No path keeps"):
        raised(straight, BOX, scene, heights=tuple(h for h in HEIGHTS if h < expected))


def test_a_raised_path_keeps_speed_rest_and_smoothness(straight):
    path = raised(straight, BOX, np.concatenate([TABLE, wall(0.12)]))
    assert len(path) > len(straight)
    for end in (0, -1):
        assert (path == path[end]).all(axis=(1, 2)).sum() == (straight == straight[end]).all(axis=(1, 2)).sum()
    v = np.diff(path[:, :3, 3], axis=0) * 30
    assert np.linalg.norm(v, axis=1).max() <= 1.01 * SPEED
    assert np.linalg.norm(np.diff(v, axis=0), axis=1).max() < 0.1 * SPEED
    R = Rotation.from_matrix(path[:, :3, :3])
    omega = (R[:-1].inv() * R[1:]).as_rotvec() * 30
    np.testing.assert_allclose(omega[:, :2], 0, atol=1e-9)  # it still only yaws
    assert np.abs(np.diff(omega[:, 2])).max() < 0.1
    assert omega[:, 2].min() > -1e-9


def test_a_wall_that_is_too_high_is_refused_with_the_frame(straight):
    with pytest.raises(ValueError, match=r"keeps 10 mm .* raised by .* m, comes within .* mm at frame \d+") as refusal:
        raised(straight, BOX, wall(0.6))
    assert "\n" not in str(refusal.value)


def test_a_path_without_motion_is_left_alone():
    still = np.tile(START, (5, 1, 1))
    np.testing.assert_array_equal(raised(still, BOX, TABLE), still)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": 0.0}, r"margin is 0\.0"),
        ({"speed": -1.0}, r"speed is -1\.0"),
        ({"heights": ()}, "heights to try"),
        ({"heights": (0.1, -0.1)}, "heights to try"),
        ({"object_points": np.empty((0, 3))}, "points of the object"),
        ({"object_points": np.full((1, 3), np.nan)}, "object's cloud holds NaN"),
        ({"scene_points": np.full((1, 3), np.inf)}, "scene's cloud holds NaN or infinity"),
        ({"path": np.full((1, 4, 4), np.nan)}, "path holds NaN"),
    ],
)
def test_bad_input_is_refused_in_one_line(straight, change, message):
    with pytest.raises(ValueError, match=message):
        raised(**{"path": straight, "object_points": BOX, "scene_points": TABLE, **change})
