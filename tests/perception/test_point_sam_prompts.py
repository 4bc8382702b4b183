"""Point-SAM from the command line: the mask is what the network says of the click, and nothing takes its place."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from safetensors.torch import save_file
from scipy.spatial.distance import cdist
from test_point_sam import TINY, checkpoint

from unihm.assets import scene_folder
from unihm.cli import main
from unihm.geometry.camera import Camera
from unihm.perception import point_sam_prompts
from unihm.perception.base import PERCEPTIONS
from unihm.perception.point_sam import PointSAM, load_point_sam
from unihm.perception.scene_files import CAMERA, COLOR, DEPTH, load_scene
from unihm.perception.segmentation import deepest_pixel
from unihm.schema.scene import PerceivedScene, Scene

DEMO = scene_folder("demo")
BOTTLE = (160, 110)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small random network in the published format; of this seed's masks some are neither empty nor everything."""
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(checkpoint(PointSAM(TINY)), path)
    return path


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """The command reads the published size; here it is the small one, as strictly."""
    monkeypatch.setattr(point_sam_prompts, "load_point_sam", partial(load_point_sam, config=TINY))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Every second pixel of the demo, which is quicker."""
    folder = tmp_path_factory.mktemp("scene")
    for name in (COLOR, DEPTH):
        Image.fromarray(np.asarray(Image.open(DEMO / name))[::2, ::2]).save(folder / name)
    c = Camera.load(DEMO / CAMERA)
    size = {"width": c.width // 2, "height": c.height // 2}
    replace(c, fx=c.fx / 2, fy=c.fy / 2, cx=c.cx / 2, cy=c.cy / 2, **size).save(folder / CAMERA)
    return folder


@pytest.fixture(scope="module")
def scene(folder) -> Scene:
    return load_scene(folder)


def perceived_point(perceived: PerceivedScene, scene: Scene, pixel: tuple[int, int]) -> np.ndarray:
    v, u = np.nonzero(scene.depth > 0)
    return perceived.points_world[(u == pixel[0]) & (v == pixel[1])][0]


def by_network(
    weights, scene: Scene, perceived: PerceivedScene, click: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels around a click and whether the network's best mask holds them, worked out without `segment` or trees."""
    model = load_point_sam(weights, TINY)
    v, u = np.nonzero(scene.depth > 0)
    points, colors = perceived.points_world, perceived.colors.astype(float) / 255
    here = perceived_point(perceived, scene, click)
    near = np.linalg.norm(points - here, axis=1) < 0.3
    points, colors, pixels = points[near], colors[near], np.column_stack([u, v])[near]
    # The first point of each voxel, the click before all others.
    order = np.argsort(~(pixels == click).all(axis=1), kind="stable")
    voxels, kept = set(), []
    for i in order:
        cell = tuple(np.floor(points[i] / 0.004).astype(int))
        if cell not in voxels:
            voxels.add(cell)
            kept.append(i)
    thin = points[kept]
    centre = thin.mean(axis=0)
    radius = np.linalg.norm(thin - centre, axis=1).max()
    tensors = [(thin - centre) / radius, 2 * colors[kept] - 1, (here - centre)[None] / radius]
    with torch.no_grad():
        masks, iou = model(*(torch.as_tensor(x).float()[None] for x in tensors), torch.tensor([[1]]))
    chosen = masks[0, iou[0].argmax()].numpy() > 0
    assert 0.05 < chosen.mean() < 0.95  # the network tells points apart
    return pixels[::29], chosen[cdist(points[::29], thin).argmin(axis=1)]


def test_a_pixel_asks_the_network_and_its_mask_is_the_target(weights, scene):
    perceived = PERCEPTIONS["point_sam"](weights).perceive(scene, "lift it", BOTTLE)
    thing = perceived.target_object
    u, v = thing.pixels.T
    mask = np.zeros(scene.depth.shape, dtype=bool)
    mask[v, u] = True
    pixels, expected = by_network(weights, scene, perceived, BOTTLE)
    assert len(expected) > 500
    assert (mask[pixels[:, 1], pixels[:, 0]] == expected).mean() > 0.995  # single precision decides a few
    beyond = np.linalg.norm(thing.points_world - perceived_point(perceived, scene, BOTTLE), axis=1)
    assert beyond.max() < 0.3
    np.testing.assert_array_equal(thing.colors, scene.color[v, u])
    assert len(thing.completed_points_world) == 1024
    sizes = [len(thing.pixels) for thing in perceived.objects]
    assert sizes == sorted(sizes, reverse=True)
    # No pixel belongs to two things.
    together = np.concatenate([thing.pixels for thing in perceived.objects])
    assert len(np.unique(together, axis=0)) == len(together)


def test_words_or_a_box_choose_a_thing_and_its_deepest_pixel_is_the_click(weights, scene):
    perception = PERCEPTIONS["point_sam"](weights)
    by_words = perception.perceive(scene, "lift the yellow bottle")
    geometric = PERCEPTIONS["tabletop"]().perceive(scene, "lift the yellow bottle").target_object
    mask = np.zeros(scene.depth.shape, dtype=bool)
    mask[geometric.pixels[:, 1], geometric.pixels[:, 0]] = True
    by_pixel = perception.perceive(scene, "lift it", deepest_pixel(mask))
    np.testing.assert_array_equal(by_words.target_object.pixels, by_pixel.target_object.pixels)
    assert by_words.target == by_pixel.target
    (u0, v0), (u1, v1) = geometric.pixels.min(axis=0).tolist(), geometric.pixels.max(axis=0).tolist()
    by_box = perception.perceive(scene, "lift it", box=(u0, v0, u1, v1))
    np.testing.assert_array_equal(by_box.target_object.pixels, by_pixel.target_object.pixels)


@given(arrays(bool, (7, 9)).filter(np.any), st.data())
def test_the_deepest_pixel_is_the_farthest_from_all_that_is_outside(mask, data):
    u, v = deepest_pixel(mask)
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    inside = np.argwhere(mask)
    depth = cdist(inside, outside).min(axis=1)
    assert mask[v, u]
    assert cdist([[v, u]], outside).min() == pytest.approx(depth.max())


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_plan_with_point_sam(capsys, tmp_path, weights, folder):
    out = tmp_path / "out"
    status, text, _ = run(
        capsys, "plan", folder, "lift the yellow bottle", "--perception", "point_sam",
        "--perception-weights", weights, "--out", out, "--json",
    )  # fmt: skip
    facts = json.loads(text)
    assert status == 0
    assert facts["parts"] == {"perception": "point_sam", "completion": "snowflake", "planner": "verbs"}
    assert sorted(path.name for path in out.iterdir()) == ["overlay.png", "plan.html", "plan.npz"]


def test_nothing_stands_in_for_missing_weights(capsys, tmp_path, weights):
    def refused(*arguments) -> str:
        status, out, err = run(capsys, "plan", DEMO, "lift the yellow bottle", "--out", tmp_path / "o", *arguments)
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert status == 2
        assert out == ""
        assert len(lines) == 1
        assert not (tmp_path / "o").exists()
        return lines[0]

    point_sam = ("--perception", "point_sam", "--perception-weights")
    assert "--perception-weights" in refused("--perception", "point_sam")
    assert "does not exist" in refused(*point_sam, tmp_path / "none.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"no weights")
    assert "is damaged" in refused(*point_sam, tmp_path / "other.safetensors")
    tensors = checkpoint(PointSAM(TINY))
    tensors.pop("mask_decoder.iou_token.weight")
    save_file(tensors, tmp_path / "less.safetensors")
    assert "missing mask_decoder.iou_token.weight" in refused(*point_sam, tmp_path / "less.safetensors")
    assert "has no use for weights" in refused("--perception", "tabletop", "--perception-weights", weights)
    assert "Did you mean 'point_sam'" in refused("--perception", "pointsam")


def test_clicks_that_say_nothing_are_refused(weights, scene, monkeypatch):
    perception = PERCEPTIONS["point_sam"](weights)
    with pytest.raises(ValueError, match="outside the image"):
        perception.perceive(scene, "lift it", (9000, 10))
    v, u = np.argwhere(scene.depth == 0)[0] if (scene.depth == 0).any() else (0, 0)
    depth = scene.depth.copy()
    depth[v, u] = 0.0
    hole = Scene(color=scene.color, depth=depth, camera=scene.camera)
    with pytest.raises(ValueError, match=f"Point {u},{v} has no depth"):
        perception.perceive(hole, "lift it", (int(u), int(v)))
    with pytest.raises(ValueError, match="instruction is empty"):
        perception.perceive(scene, " ", BOTTLE)
    # A network that finds nothing is told, not replaced by geometry.
    monkeypatch.setattr(point_sam_prompts, "segment", lambda model, points, *_: np.zeros(len(points), dtype=bool))
    with pytest.raises(ValueError, match="a mask of 0 pixels, fewer than 50"):
        perception.perceive(scene, "lift it", BOTTLE)


def test_neighbours_lose_what_the_mask_takes_and_go_where_it_takes_most():
    labels = np.repeat([[0, 1, 2, -1]], 10, axis=0)
    mask = np.zeros_like(labels, dtype=bool)
    mask[:6, 0] = mask[:4, 1] = mask[:1, 2] = mask[:, 3] = True
    (left,) = point_sam_prompts._others(labels, mask, own=2)
    np.testing.assert_array_equal(np.argwhere(left), [[row, 1] for row in range(4, 10)])
    assert len(point_sam_prompts._others(labels, mask, own=-1)) == 2  # a click beside all things replaces none
