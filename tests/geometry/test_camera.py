"""Cameras: round trips, a hand-worked projection, and clear errors for bad files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unihm.geometry.camera import Camera

GOOD = {"fx": 100.0, "fy": 110.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48, "depth_scale": 1000.0}


def _write(tmp_path, **changes):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v != "absent"}))
    return path


def test_project_undoes_unproject(tmp_path):
    camera = Camera.load(_write(tmp_path))
    depth = np.random.default_rng(0).uniform(0.3, 2, (48, 64))
    points = camera.unproject(depth)
    u, v = np.meshgrid(np.arange(64), np.arange(48))
    np.testing.assert_allclose(camera.project(points), np.stack([u, v], -1), atol=1e-9)
    np.testing.assert_array_equal(points[..., 2], depth)


def test_projection_worked_by_hand(tmp_path):
    camera = Camera.load(_write(tmp_path))
    np.testing.assert_allclose(camera.project(np.array([0.2, -0.1, 2.0])), [41.5, 18.0])
    assert np.isnan(camera.project(np.array([0.0, 0.0, -1.0]))).all()


def test_save_and_load_agree(tmp_path):
    T = np.eye(4)
    T[:3, 3] = 0.1, 0.2, 0.3
    Camera(**GOOD, T_world_camera=T).save(tmp_path / "saved.json")
    camera = Camera.load(tmp_path / "saved.json")
    assert {name: getattr(camera, name) for name in GOOD} == GOOD
    np.testing.assert_array_equal(camera.T_world_camera, T)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["saved.json"]
    assert Camera.load(_write(tmp_path)).T_world_camera is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fx": "absent", "height": "absent"}, "lacks fx, height"),
        ({"fx": -1}, "fx is -1, expected a positive number"),
        ({"fy": "wide"}, "fy is 'wide', expected a number"),
        ({"depth_scale": 0}, "depth_scale is 0"),
        ({"width": 64.5}, "width is 64.5, expected a whole number"),
        ({"cx": float("nan")}, "cx is nan"),
        ({"T_world_camera": [[1, 0], [0, 1]]}, "must be a 4x4 matrix"),
        ({"T_world_camera": [[1, 0], [0]]}, "must be a 4x4 matrix"),
        ({"T_world_camera": np.diag([2.0, 1, 1, 1]).tolist()}, "not a rigid pose"),
        ({"T_world_camera": np.diag([-1.0, 1, 1, 1]).tolist()}, "not a rigid pose"),
        ({"T_world_camera": np.full((4, 4), np.nan).tolist()}, "not a rigid pose"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        Camera.load(_write(tmp_path, **changes))


def test_missing_damaged_and_foreign_files(tmp_path):
    with pytest.raises(ValueError, match="Cannot read camera file"):
        Camera.load(tmp_path / "none.json")
    for text, message in (("{", "is not JSON"), ("[1]", "must hold a JSON object")):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            Camera.load(tmp_path / "bad.json")


def test_depth_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Depth image is 10x5, the camera 64x48"):
        Camera.load(_write(tmp_path)).unproject(np.ones((5, 10)))


def test_real_camera_files_load(shared_data):
    camera = Camera.load(shared_data / "rgbd_ycbvideo" / "scene1" / "camera.json")
    assert (camera.width, camera.height, camera.depth_scale) == (640, 480, 10000.0)
