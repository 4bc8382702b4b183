"""Scene folders: what is read, and one clear line for everything that may be wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unihm
from unihm.perception.scene_files import load_scene

DEMO = Path(unihm.__file__).parent / "assets" / "scenes" / "demo"


@pytest.fixture
def folder(tmp_path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "scene"))


def _fails(folder: Path) -> str:
    with pytest.raises(ValueError, match=r"\S") as error:
        load_scene(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_units_and_channels(folder):
    pixels = np.zeros((480, 640), dtype=np.uint16)
    pixels[10:100, 20:200] = 3000
    Image.fromarray(pixels).save(folder / "depth.png")
    color = np.zeros((480, 640, 3), dtype=np.uint8)
    color[5, 6] = [250, 100, 50]
    Image.fromarray(color).save(folder / "color.png")
    scene = load_scene(folder)
    scale = json.loads((folder / "camera.json").read_text())["depth_scale"]
    assert scene.depth[50, 50] == 3000 / scale
    assert scene.depth[0, 0] == 0
    assert scene.color[5, 6].tolist() == [250, 100, 50]
    assert scene.name == "scene"


def test_missing_folder_and_files(tmp_path, folder):
    assert "does not exist" in _fails(tmp_path / "nowhere")
    (folder / "depth.png").unlink()
    (folder / "camera.json").unlink()
    assert "lacks depth.png, camera.json" in _fails(folder)


@pytest.mark.parametrize("name", ["color.png", "depth.png"])
@pytest.mark.parametrize("content", [b"", b"not an image", "cut"])
def test_damaged_image(folder, name, content):
    path = folder / name
    path.write_bytes(path.read_bytes()[:2000] if content == "cut" else content)
    assert name in _fails(folder)


@pytest.mark.parametrize("name", ["color.png", "depth.png"])
def test_wrong_size(folder, name):
    with Image.open(folder / name) as image:
        image.resize((320, 240)).save(folder / name)
    message = _fails(folder)
    assert name in message
    assert "320x240" in message
    assert "640x480" in message


def test_wrong_pixel_formats(folder):
    shutil.copy(folder / "depth.png", folder / "color.png")
    assert "RGB" in _fails(folder)
    shutil.copy(DEMO / "color.png", folder / "color.png")
    shutil.copy(DEMO / "color.png", folder / "depth.png")
    assert "16-bit" in _fails(folder)


def test_depth_of_zeros(folder):
    Image.fromarray(np.zeros((480, 640), dtype=np.uint16)).save(folder / "depth.png")
    assert "0.0 %" in _fails(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"fx": None},
        {"fx": -1.0},
        {"depth_scale": 0},
        {"width": 12.5},
        {"T_world_camera": [[1, 0], [0, 1]]},
        {"T_world_camera": (2 * np.eye(4)).tolist()},
    ],
)
def test_wrong_camera(folder, change):
    path = folder / "camera.json"
    values = json.loads(path.read_text()) | change
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    assert "camera.json" in _fails(folder)
