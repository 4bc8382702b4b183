"""Depth as a sensor gives it: noise as published, steps, shadows where geometry puts them, and nothing from nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unihm.scenes.depth_sensor import STEREO, STRUCTURED_LIGHT, DepthSensor

FOCAL = 580.0
K = np.array([[FOCAL, 0, 159.5], [0, FOCAL, 119.5], [0, 0, 1]])
SIZE = (240, 320)
SENSORS = pytest.mark.parametrize("sensor", [STRUCTURED_LIGHT, STEREO], ids=["structured light", "stereo"])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def clean(sensor: DepthSensor) -> DepthSensor:
    """Without the edges' accidents, so that the shadow is alone."""
    return replace(sensor, edge_loss=0.0, flying=0.0, lateral_px=0.0)


def box(near: float = 0.6, far: float = 0.9) -> np.ndarray:
    """A box before a wall: rows 80 to 160, columns 120 to 220."""
    depth = np.full(SIZE, far)
    depth[80:160, 120:220] = near
    return depth


def tilted(degrees: float, distance: float = 0.8) -> np.ndarray:
    """A plane that leans back by so much from head on."""
    v = (np.arange(SIZE[0]) - K[1, 2])[:, None] / FOCAL
    return np.broadcast_to(distance / (1 + v * np.tan(np.radians(degrees))), SIZE).copy()


@SENSORS
@pytest.mark.parametrize("distance", [0.5, 0.83, 1.2, 2.0])
def test_a_wall_has_the_stated_noise_and_no_bias(sensor: DepthSensor, distance: float):
    wall = np.full(SIZE, distance)
    error = np.concatenate([sensor.observed(wall, K, rng(seed)) - wall for seed in range(3)])
    sigma = sensor.noise(np.array(distance), FOCAL)
    step = sensor.step_px * distance**2 / (FOCAL * sensor.baseline)
    # Seen from the middle of the image the corners of a wall are 20 degrees off, hardly more noisy.
    assert error.std() == pytest.approx(sigma, rel=0.08)
    assert abs(error.mean()) < 0.1 * step + 0.02 * sigma


def test_noise_of_structured_light_as_published():
    """Khoshelham and Elberink 2012: 1.425e-5 cm^-1 z^2, about 4 cm at 5 m, where a step is about 7 cm."""
    depth = np.array([1.0, 5.0])
    assert STRUCTURED_LIGHT.noise(depth, 585.0) == pytest.approx(1.425e-3 * depth**2, rel=0.02)


@SENSORS
def test_twice_the_distance_is_four_times_the_noise(sensor: DepthSensor):
    near, far = (
        np.std([sensor.observed(np.full(SIZE, z), K, rng(seed)) - z for seed in range(3)]) for z in (0.61, 1.22)
    )
    assert far / near == pytest.approx(4, rel=0.1)
    assert sensor.noise(np.array(1.6), FOCAL) == pytest.approx(4 * sensor.noise(np.array(0.8), FOCAL))


@SENSORS
def test_a_leaning_plane_is_noisier_and_then_lost(sensor: DepthSensor):
    sensor = replace(sensor, jump_px=2.0)  # the plane alone
    rows = slice(100, 140)
    spread, lost = [], []
    for degrees in (0, 60, 80):
        plane = tilted(degrees)
        seen = sensor.observed(plane, K, rng())[rows]
        spread.append(np.std((seen - plane[rows])[seen > 0]))
        lost.append((seen == 0).mean())
    assert spread[0] < spread[1] < spread[2]
    assert lost[0] == lost[1] == 0
    assert 0.3 < lost[2] < 0.8  # (80 - 70) / (88 - 70) = 0.56
    # Nguyen et al. 2012 for 60 degrees: 1e-4 / sqrt(0.8) * 2^2 m more.
    extra = sensor.noise(np.array(0.8), FOCAL, np.radians(60)) - sensor.noise(np.array(0.8), FOCAL)
    assert extra == pytest.approx(4.47e-4, rel=0.01)
    assert spread[1] == pytest.approx(sensor.noise(np.array(0.8), FOCAL) + extra, rel=0.15)


@SENSORS
@pytest.mark.parametrize("side", [1, -1])
def test_the_shadow_has_its_width_at_its_side_and_nowhere_else(sensor: DepthSensor, side: int):
    sensor = replace(clean(sensor), baseline=side * sensor.baseline)
    holes = sensor.observed(box(), K, rng()) == 0
    width = sensor.shadow_px(0.6, 0.9, FOCAL)
    assert width == pytest.approx(FOCAL * abs(sensor.baseline) * (1 / 0.6 - 1 / 0.9))
    beside = slice(90, 120) if side > 0 else slice(220, 250)
    assert np.abs(holes[80:160, beside].sum(axis=1) - width).max() <= 1.5
    # Next to the box, without a gap; elsewhere nothing.
    column = 119 if side > 0 else 220
    assert holes[80:160, column].all()
    holes[80:160, beside] = False
    assert not holes.any()


def test_behind_something_thin_the_second_eye_sees_past_it():
    """A pole 4 pixels wide hides 4 pixels of the wall, not all the 24 between its two images."""
    depth = np.full(SIZE, 0.9)
    depth[:, 200:204] = 0.6
    holes = clean(STRUCTURED_LIGHT).observed(depth, K, rng()) == 0
    assert np.abs(holes.sum(axis=1) - 4).max() <= 1.5
    shift = STRUCTURED_LIGHT.shadow_px(0.6, 0.9, FOCAL)
    assert np.nonzero(holes)[1].mean() == pytest.approx(201.5 - shift, abs=1)


@SENSORS
def test_nothing_comes_from_nothing(sensor: DepthSensor):
    depth = box()
    depth[:, 170:] = np.where(depth[:, 170:] > 0.8, 0, depth[:, 170:])  # half of the wall is missing
    seen = sensor.observed(depth, K, rng())
    assert (seen[depth == 0] == 0).all()
    # What hangs between front and back is at an edge between two real depths, one pixel from it at most.
    margin = 6 * sensor.noise(np.array(0.9), FOCAL)
    flying = (seen > 0) & (np.abs(seen - 0.6) > margin) & (np.abs(seen - 0.9) > margin)
    at_edge = np.zeros(SIZE, dtype=bool)
    at_edge[79:161, 119:171] = True
    at_edge[81:159, 121:] = False
    assert flying.sum() > 3
    assert not (flying & ~at_edge).any()
    assert (seen[seen > 0] > 0.6 - margin).all()
    assert (seen < 0.9 + margin).all()


@SENSORS
def test_edges_move_by_about_a_pixel(sensor: DepthSensor):
    sensor = replace(sensor, edge_loss=0.0, flying=0.0)
    seen = sensor.observed(box(), K, rng())
    right = np.abs(seen[85:155, 215:225] - 0.6) < 0.1  # this side has no shadow
    assert right[:, :4].all()
    assert not right[:, 6:].any()
    assert 0.1 < right[:, 5].mean() < 0.6
    assert 0.1 < 1 - right[:, 4].mean() < 0.6


@SENSORS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_depths_lie_on_the_grid_of_disparities(sensor: DepthSensor, dtype):
    seen = sensor.observed(tilted(40).astype(dtype), K, rng())
    assert seen.dtype == dtype
    steps = FOCAL * sensor.baseline / seen[seen > 0] / sensor.step_px
    assert np.abs(steps - np.round(steps)).max() < 1e-3
    assert len(np.unique(np.round(steps))) > 20


@SENSORS
def test_what_is_out_of_range_is_lost(sensor: DepthSensor):
    for distance, seen in ((sensor.min_range - 0.03, False), (sensor.min_range + 0.05, True), (5.0, False)):
        assert (sensor.observed(np.full(SIZE, distance), K, rng()) > 0).all() == seen
        assert (sensor.observed(np.full(SIZE, distance), K, rng()) > 0).any() == seen
    assert not sensor.observed(np.zeros(SIZE), K, rng()).any()


@SENSORS
def test_black_is_lost_and_white_is_not(sensor: DepthSensor):
    wall, colour = np.full(SIZE, 0.8), np.full((*SIZE, 3), 255, dtype=np.uint8)
    colour[:120] = 0
    seen = sensor.observed(wall, K, rng(), colour)
    assert (seen[:120] == 0).mean() == pytest.approx(sensor.dark_loss, abs=0.04)
    assert (seen[120:] > 0).all()


@SENSORS
def test_the_same_seed_gives_the_same_image(sensor: DepthSensor):
    depth = box()
    first = sensor.observed(depth, K, rng(3))
    assert np.array_equal(first, sensor.observed(depth, K, rng(3)))
    assert not np.array_equal(first, sensor.observed(depth, K, rng(4)))
    assert np.array_equal(depth, box())  # what was given is left as it was


def test_less_noise_than_rounding_makes_is_refused():
    with pytest.raises(ValueError, match=r"steps of 0\.5 pixels alone make 0\.144"):
        replace(STEREO, step_px=0.5)
