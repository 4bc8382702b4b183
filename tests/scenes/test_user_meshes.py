"""A user's meshes: found by name, in metres, and standing in scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from unihm.datasets.object_names import OBJECT_NAMES
from unihm.scenes.composer import draw_scene, draw_scenes
from unihm.scenes.user_meshes import find_meshes, mesh_object
from unihm.simulation.ycb import MASSES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    box = trimesh.creation.box((0.06, 0.08, 0.1))
    box.export(tmp_path / "blue_box.stl")
    for name, file in (
        ("025_mug", "textured_simple.obj"),
        ("011_banana", "mesh_simplified.obj"),
        ("empty", "notes.txt"),
    ):
        (tmp_path / name).mkdir()
        if file.endswith(".obj"):
            box.export(tmp_path / name / file)
        else:
            (tmp_path / name / file).write_text("nothing")
    (tmp_path / "readme.txt").write_text("meshes")
    return tmp_path


def test_names_come_from_folders_and_files(folder: Path):
    assert dict(find_meshes(folder)) == {
        "banana": folder / "011_banana" / "mesh_simplified.obj",
        "blue box": folder / "blue_box.stl",
        "mug": folder / "025_mug" / "textured_simple.obj",
    }


def test_a_mesh_keeps_its_frame_and_size(folder: Path):
    thing = mesh_object("blue box", folder / "blue_box.stl", np.random.default_rng(0))
    assert thing.dimensions_m == pytest.approx((0.06, 0.08, 0.1), abs=1e-6)
    assert thing.vertices.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert thing.mass_kg == pytest.approx(400 * 0.06 * 0.08 * 0.1, rel=1e-4)
    assert thing.names == ("blue box",)
    corners = thing.vertices[thing.faces]
    assert np.linalg.det(corners).sum() / 6 == pytest.approx(0.06 * 0.08 * 0.1, rel=1e-4)  # outwards


def test_scenes_have_them_on_the_table(folder: Path):
    example = draw_scene(1, meshes=folder, size=(80, 60))
    own = [thing for thing in example.things if thing.family in ("banana", "blue box", "mug") and len(thing.names) == 1]
    assert own
    for thing in own:
        assert thing.points_world[:, 2].min() == pytest.approx(0, abs=1e-3)
        assert not thing.held_out
        assert thing.attributes["colour"]


def test_ycb_models_stand_in_scenes(shared_data: Path):
    models = shared_data / "ycb_models"
    if not models.is_dir():
        pytest.skip("the YCB models are not here")
    assert len(find_meshes(models)) == 20  # one has points only
    drawn = draw_scenes(0, views=1, meshes=models, without=("025_mug",), size=(80, 60)).examples[0]
    known = {file.parent.name for _, file in find_meshes(models)}
    of_ycb = [thing for thing in drawn.things if thing.family in known]
    assert of_ycb
    for thing in of_ycb:  # with published masses, and words for them
        assert thing.mass_kg == MASSES[thing.family]
        assert thing.names[0] == OBJECT_NAMES[thing.family].name
        assert thing.family != "025_mug"


def test_what_cannot_be_used_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="does not exist"):
        find_meshes(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="No meshes"):
        find_meshes(tmp_path)
    trimesh.creation.box((60, 80, 100)).export(tmp_path / "in_millimetres.stl")
    with pytest.raises(ValueError, match="expected metres"):
        mesh_object("box", tmp_path / "in_millimetres.stl", np.random.default_rng(0))
    (tmp_path / "broken.ply").write_text("ply\nnothing")
    with pytest.raises(ValueError, match=r"broken\.ply"):
        mesh_object("broken", tmp_path / "broken.ply", np.random.default_rng(0))
