"""Completion by the network: its frame, metric size, the seen points, the table, and real things."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from unihm.perception.completing import COMPLETIONS
from unihm.perception.completion_frame import chosen, completion_frame
from unihm.perception.learned_completion import SHIPPED, SnowflakeCompletion, load_completion
from unihm.perception.scene_files import load_scene
from unihm.perception.snowflake import SnowflakeConfig, SnowflakeNet
from unihm.perception.tabletop import Tabletop
from unihm.simulation.tabletop import look_at, render, tabletop_camera
from unihm.simulation.things import Thing

SMALL = SnowflakeConfig(
    width=16, feature=32, seed_points=32, coarse_points=64, up_factors=(1, 2), groups=(48, 16), neighbours=6
)
CAN = Thing(name="a", kind="can", size=(0.07, 0.07, 0.11), color=(0.9, 0.7, 0.1), position=(0.05, 0.02))


@pytest.fixture(scope="module")
def seen_can():
    """Seen points of a can, the depth image, and the camera."""
    scene = render((CAN,), tabletop_camera(look_at(0.8, np.radians(42)))).scene
    return Tabletop().perceive(scene, "lift it").target_object.points_world, scene


@pytest.fixture(scope="module")
def untrained() -> SnowflakeCompletion:
    torch.manual_seed(0)
    return SnowflakeCompletion(SnowflakeNet(SMALL), 96)


@given(st.floats(-3, 3), st.floats(0.2, 3.0), st.floats(-0.3, 0.3), st.integers(0, 5))
def test_frame_moves_turns_and_scales_with_the_world(yaw, scale, shift, seed):
    points = np.random.default_rng(seed).uniform([-0.05, -0.03, 0.0], [0.05, 0.03, 0.12], (200, 3))
    eye = np.array([-0.7, 0.1, 0.5])
    R = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])

    def moved(p):
        return scale * p @ R.T + [shift, -shift, 0]

    frame, other = completion_frame(points, eye), completion_frame(moved(points), moved(eye))
    # Exactly, but for the direction: it is taken to the median of each coordinate, which a turn moves by millimetres.
    assert other.scale == pytest.approx(scale * frame.scale, rel=0.01)
    assert np.abs(other.into(moved(points)) - frame.into(points)).max() < 0.02
    assert np.allclose(other.back(other.into(moved(points))), moved(points))
    unit = frame.into(points)
    assert frame.into(eye[None])[0, 0] < 0  # the camera is on the side of -x
    assert frame.into(np.zeros((1, 3)))[0, 2] == pytest.approx(-np.quantile(unit[:, 2], 0.99))  # the table


def test_frame_of_nothing():
    with pytest.raises(ValueError, match="without points"):
        completion_frame(np.zeros((0, 3)), np.ones(3))
    with pytest.raises(ValueError, match="extend over"):
        completion_frame(np.full((50, 3), 0.001), np.ones(3))


def test_chosen_has_all_of_few():
    index = chosen(5, 12, np.random.default_rng(0))
    assert len(index) == 12
    assert set(index) == set(range(5))
    assert len(set(chosen(50, 12, np.random.default_rng(0)))) == 12


def test_metric_size_is_kept(untrained, seen_can):
    points, scene = seen_can
    eye = scene.camera.T_world_camera[:3, 3]
    drawn = untrained.draw(points, eye)
    assert np.allclose(untrained.draw(1.3 * points, 1.3 * eye), 1.3 * drawn, atol=1e-5)


def test_seen_points_and_table_are_kept(untrained, seen_can):
    points, scene = seen_can
    completed, normals = untrained(points, scene.depth, scene.camera, scene.camera.T_world_camera, 1024)
    assert completed.shape == normals.shape == (1024, 3)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert completed[:, 2].min() >= min(0.0, points[:, 2].min())
    assert KDTree(completed).query(points)[0].max() < 0.012  # thinned, not lost
    again, _ = untrained(points, scene.depth, scene.camera, scene.camera.T_world_camera, 1024)
    assert np.array_equal(completed, again)


def test_weights_are_read_strictly(untrained, tmp_path):
    path = tmp_path / "completion.safetensors"
    untrained.save(path, {})
    assert load_completion(path).points == 96
    other = dataclasses.replace(SMALL, width=20)
    SnowflakeCompletion(SnowflakeNet(other), 96).save(path, {})
    untrained.save(tmp_path / "b.safetensors", {})
    (tmp_path / "b.safetensors").replace(path)
    with pytest.raises(ValueError, match="belongs to other weights"):
        load_completion(path)


@pytest.mark.parametrize("name", COMPLETIONS)
def test_every_completion_of_a_can(name, seen_can):
    """What `Completion` promises; the truth is the can's surface."""
    points, scene = seen_can
    completed, normals = COMPLETIONS[name](points, scene.depth, scene.camera, scene.camera.T_world_camera, 512)
    assert completed.shape == normals.shape == (512, 3)
    assert np.isfinite(completed).all()
    axis = completed[:, :2] - CAN.position
    off = np.abs(np.linalg.norm(axis, axis=1) - CAN.size[0] / 2)
    off = np.minimum(off, np.minimum(np.abs(completed[:, 2]), np.abs(completed[:, 2] - CAN.size[2])))
    assert off.mean() < 0.006
    outward = np.column_stack([axis, completed[:, 2] - CAN.size[2] / 2])
    assert ((outward * normals).sum(axis=1) > 0).mean() > 0.95


# Pixels set by hand on things that stand free; scenes 1 and 2 are for choosing.
@pytest.mark.parametrize(
    ("name", "point"), [("scene1", (360, 330)), ("scene1", (430, 330)), ("scene2", (330, 220)), ("scene2", (250, 350))]
)
def test_real_things(name, point, shared_data):
    folder = shared_data / "rgbd_ycbvideo" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    scene = load_scene(folder)
    perceived = Tabletop().perceive(scene, "lift it", point=point)
    seen, T = perceived.target_object.points_world, perceived.T_world_camera
    completed, normals = load_completion(SHIPPED)(seen, scene.depth, scene.camera, T, 1024)
    assert completed[:, 2].min() >= min(0.0, seen[:, 2].min())
    away = np.array([*np.median(seen, axis=0)[:2] - T[:2, 3], 0.0])
    away /= np.linalg.norm(away)
    # Nothing is guessed between the thing and the camera, and little above or far behind it.
    assert (completed @ away).min() > (seen @ away).min() - 0.01
    assert completed[:, 2].max() < seen[:, 2].max() + 0.01
    assert np.ptp(completed @ away) < 3 * np.ptp(seen, axis=0).max()
    assert np.isfinite(normals).all()
