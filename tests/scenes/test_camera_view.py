"""Views of a table: proper rotations, a level horizon, and everything within its range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.geometry.camera import Camera
from unihm.scenes.camera_view import AIM, DISTANCE, ELEVATION, FOCAL, ROLL, drawn_view, look_at

PAIRS = [
    ([0.5, -0.6, 0.7], [0.1, 0.0, 0.05]),
    ([-0.4, 0.3, 0.2], [0.0, 0.0, 0.3]),  # upwards
    ([0.2, 0.1, 1.0], [0.2, 0.1, 0.0]),  # straight down
]


def camera(T: np.ndarray) -> Camera:
    return Camera(fx=600.0, fy=600.0, cx=320.0, cy=240.0, width=640, height=480, depth_scale=1000.0, T_world_camera=T)


def seen(camera: Camera, point_world: np.ndarray) -> tuple[np.ndarray, float]:
    """Pixel and depth of a point."""
    assert camera.T_world_camera is not None
    point_camera = np.linalg.solve(camera.T_world_camera, np.append(point_world, 1.0))[:3]
    return camera.project(point_camera), float(point_camera[2])


@pytest.mark.parametrize(("eye", "target"), PAIRS)
@pytest.mark.parametrize("roll", [0.0, 0.3])
def test_look_at_is_a_pose_that_sees_the_target_in_the_middle(eye, target, roll):
    eye, target = np.array(eye), np.array(target)
    T = look_at(eye, target, roll)
    R = T[:3, :3]
    assert np.abs(R @ R.T - np.eye(3)).max() < 1e-12
    assert np.linalg.det(R) == pytest.approx(1)
    assert T[:3, 3] == pytest.approx(eye)
    pixel, depth = seen(camera(T), target)
    assert pixel == pytest.approx([320, 240])
    assert depth == pytest.approx(np.linalg.norm(target - eye))


@pytest.mark.parametrize(("eye", "target"), PAIRS[:2])
def test_the_horizon_is_level_and_up_is_up(eye, target):
    eye, target = np.array(eye), np.array(target)
    straight = camera(look_at(eye, target))
    higher = target + np.array([0, 0, 0.01])
    above, _ = seen(straight, higher)
    assert above[0] == pytest.approx(320)
    assert above[1] < 240
    # Two far points at the height of the eye lie on the horizon.
    ahead = (target - eye) * [1, 1, 0]
    side = np.array([-ahead[1], ahead[0], 0])
    (left, _), (right, _) = (seen(straight, eye + 100 * (ahead + k * side)) for k in (0.3, -0.3))
    assert left[1] == pytest.approx(right[1])
    assert left[0] < right[0]
    # A camera that turns clockwise sees the world turn the other way: what was above goes left.
    assert seen(camera(look_at(eye, target, 0.2)), higher)[0][0] < 320


def test_straight_down_the_worlds_y_is_up_in_the_image():
    T = look_at(np.array([0.2, 0.1, 1.0]), np.array([0.2, 0.1, 0.0]))
    assert T[:3, :3] == pytest.approx(np.diag([1.0, -1.0, -1.0]))


def test_look_at_batches():
    eyes, targets = (np.array(points) for points in zip(*PAIRS, strict=True))
    poses = look_at(eyes, targets)
    assert poses.shape == (3, 4, 4)
    for pose, eye, target in zip(poses, eyes, targets, strict=True):
        assert np.array_equal(pose, look_at(eye, target))


def test_a_camera_does_not_look_at_itself():
    with pytest.raises(ValueError, match="cannot look at the point where it is"):
        look_at(np.ones(3), np.ones(3))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0, 0.2)))
def test_any_view_is_of_the_table(seed: int, target: tuple[float, float, float]):
    point = np.array(target)
    view = drawn_view(np.random.default_rng(seed), point)
    T = view.T_world_camera
    assert T is not None
    away = T[:3, 3] - point
    distance = np.linalg.norm(away)
    assert T[2, 3] > 0.1
    assert DISTANCE[0] - 1e-9 <= distance <= DISTANCE[1] + 1e-9
    assert ELEVATION[0] - 1e-9 <= np.arcsin(away[2] / distance) <= ELEVATION[1] + 1e-9
    assert abs(T[2, 0]) <= np.sin(ROLL) + 1e-9
    assert T[2, 1] < 0  # the image's down is down
    assert FOCAL[0] <= view.fx <= FOCAL[1]
    assert view.fy == pytest.approx(view.fx, rel=0.005)
    pixel, _ = seen(view, point)
    miss = np.arctan(np.hypot(*((pixel - [view.cx, view.cy]) / [view.fx, view.fy])))
    assert miss <= np.arcsin(np.sqrt(3) * AIM / distance) + 1e-9
    assert (np.abs(pixel - [319.5, 239.5]) < [240, 240]).all()


def test_views_are_spread_and_repeatable():
    views = [drawn_view(np.random.default_rng(seed), np.zeros(3)) for seed in range(200)]
    poses = np.stack([view.T_world_camera for view in views if view.T_world_camera is not None])
    azimuth = np.arctan2(poses[:, 1, 3], poses[:, 0, 3])
    assert (np.histogram(azimuth, bins=8, range=(-np.pi, np.pi))[0] > 8).all()
    again = drawn_view(np.random.default_rng(7), np.zeros(3))
    assert again.T_world_camera is not None
    assert np.array_equal(again.T_world_camera, poses[7])
    assert again.fx == views[7].fx


def test_intrinsics_scale_with_the_image():
    small = drawn_view(np.random.default_rng(1), np.zeros(3), width=320, height=240)
    large = drawn_view(np.random.default_rng(1), np.zeros(3))
    assert 2 * small.fx == pytest.approx(large.fx)
    assert abs(small.cx - 159.5) < 5
