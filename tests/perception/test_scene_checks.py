"""Depth in the wrong unit and intrinsics of something else: refused in one line that says what would be right."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from unihm.assets import scene_folder
from unihm.geometry.camera import Camera
from unihm.perception.scene_checks import check_depth_unit, check_intrinsics
from unihm.perception.scene_files import load_scene

CAMERA = Camera(fx=600.0, fy=600.0, cx=319.5, cy=239.5, width=640, height=480, depth_scale=1000.0)


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(scene_folder("demo"), tmp_path / "scene"))


def refused(check, *arguments) -> str:
    with pytest.raises(ValueError, match=r"\S") as error:
        check(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("stored", "scale", "likely"),
    [(900, 1.0, "probably 1000 (millimetres)"), (9000, 1.0, "probably 10000 (tenths"), (900, 1e6, "probably 1000 (")],
)
def test_the_likely_scale_is_named(stored: int, scale: float, likely: str):
    depth = np.full((4, 4), stored / scale)
    depth[0] = 0  # what was not seen says nothing
    message = refused(check_depth_unit, depth, scale)
    assert likely in message
    assert "makes it 0.90 m" in message
    assert f"median depth is {stored / scale:.3g} m" in message


def test_all_scales_that_would_fit_are_named():
    # 4500 stored: 4.5 m as millimetres, 1.1 as quarters, 0.9 as fifths and 0.45 as tenths.
    message = refused(check_depth_unit, np.full((4, 4), 4.5), 1000.0)
    assert "probably 5000 (fifths of a millimetre, as in TUM RGB-D)" in message
    assert "4000 or 10000 would fit, too" in message
    assert "none of the usual scales fits: 1 (metres), 1000" in refused(check_depth_unit, np.full((4, 4), 5e-6), 1000.0)


@given(st.floats(0.25, 3.5), st.sampled_from([1000.0, 4000.0, 5000.0, 10000.0]))
def test_depths_of_a_table_are_taken_and_a_thousandfold_of_them_is_not(depth: float, scale: float):
    check_depth_unit(np.full((3, 3), depth), scale)
    refused(check_depth_unit, np.full((3, 3), 1000 * depth), scale / 1000)
    refused(check_depth_unit, np.full((3, 3), depth / 1000), scale * 1000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fx": 300.0, "fy": 300.0, "cx": 159.5, "cy": 119.5}, "of about 319x239 pixels, not 640x480; divide all four"),
        ({"fx": 1200.0, "fy": 1200.0, "cx": 639.5, "cy": 479.5}, "divide all four by 2"),
        ({"fx": 50.0, "fy": 50.0}, "162.2 degrees wide"),  # 2 atan(320 / 50)
        ({"fx": 6000.0, "fy": 6000.0}, "6.1 degrees wide"),
        ({"fx": 0.94, "fy": 1.25}, "focal lengths are in pixels"),
        ({"fy": 1200.0}, "fx is 0.50 times fy"),
        ({"cx": 700.0}, "The principal point 700,239.5 lies outside of the image of 640x480"),
        ({"cy": -3.0}, "lies outside"),
    ],
)
def test_intrinsics_that_do_not_fit(change: dict, words: str):
    assert words in refused(check_intrinsics, replace(CAMERA, **change))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"cx": 150.0},  # the left part of a wider image
        {"fx": 800.0},  # an image of 4:3 made from 16:9
        {"fx": 1066.8, "fy": 1067.5, "cx": 313.0, "cy": 241.3},  # YCB-Video
        {"cx": 260.0, "cy": 300.0},
    ],
)
def test_unusual_but_possible_intrinsics(change: dict):
    check_intrinsics(replace(CAMERA, **change))


def test_scene_folders_name_the_file(folder: Path):
    path = folder / "camera.json"
    values = json.loads(path.read_text())
    for change, words in (
        ({"depth_scale": 1.0}, "it is probably"),
        ({"fx": values["fx"] / 2, "fy": values["fy"] / 2, "cx": 160.0, "cy": 120.0}, "320x240"),
    ):
        path.write_text(json.dumps(values | change))
        message = refused(load_scene, folder)
        assert "camera.json' does not fit the image" in message
        assert words in message


def test_depth_as_floats_is_no_16_bit_image(folder: Path):
    Image.fromarray(np.ones((480, 640), dtype=np.float32)).save(folder / "depth.tiff")
    (folder / "depth.tiff").rename(folder / "depth.png")
    assert "holds float32" in (message := refused(load_scene, folder))
    assert "16-bit values, metres times depth_scale" in message


@pytest.mark.parametrize("name", [f"scene{i}" for i in range(1, 6)])
def test_real_scenes_pass(shared_data: Path, name: str):
    assert load_scene(shared_data / "rgbd_ycbvideo" / name).depth.max() > 0
