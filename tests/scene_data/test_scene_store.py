"""Made scenes on disk: nothing is lost, an interrupted run goes on, and other scenes are not mixed in."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from scene_store_builders import MAKING
from unihm.scene_data import SceneStore, read_scenes, synthesize
from unihm.scene_data.rows import example_of, row_of, table_of


def test_a_row_keeps_everything(made_scenes):
    for example in read_scenes(made_scenes):
        again = example_of(table_of([row_of(example, "x")]), 0)
        assert np.array_equal(again.instances, example.instances)
        assert np.array_equal(again.handles, example.handles)
        assert again.scene.depth == pytest.approx(example.scene.depth, abs=1e-3)
        # JPEG changes colours a little each time.
        assert np.abs(again.scene.color.astype(int) - example.scene.color).mean() < 4
        assert again.scene.camera.fx == example.scene.camera.fx
        assert again.scene.camera.T_world_camera == pytest.approx(example.scene.camera.T_world_camera, abs=1e-9)
        assert [t.names for t in again.things] == [t.names for t in example.things]
        for one, other in zip(again.things, example.things, strict=True):
            assert one.points_world == pytest.approx(other.points_world, abs=1e-5)
            assert one.attributes == other.attributes
            assert (one.joint is None) == (other.joint is None)
        assert [a.instruction for a in again.askings] == [a.instruction for a in example.askings]
        for one, other in zip(again.askings, example.askings, strict=True):
            assert one.targets == other.targets
            assert (one.T_world_object is None) == (other.T_world_object is None)
            if one.T_world_object is not None and other.T_world_object is not None:
                assert one.T_world_object == pytest.approx(other.T_world_object, abs=1e-5)


def test_paths_begin_where_the_things_are(made_scenes):
    counted = 0
    for example in read_scenes(made_scenes):
        for asking in example.askings:
            if asking.T_world_object is not None:
                (target,) = asking.targets
                start = example.things[target].T_world_object
                assert asking.T_world_object[0] == pytest.approx(start, abs=1e-5)
                counted += 1
    assert counted > 5


def test_an_interrupted_run_goes_on_and_gives_the_same(made_scenes, tmp_path):
    synthesize(tmp_path, 1, MAKING, workers=1)
    synthesize(tmp_path, 3, MAKING, workers=1)
    for one, other in zip(read_scenes(tmp_path), read_scenes(made_scenes), strict=True):
        assert one.scene.name == other.scene.name
        assert np.array_equal(one.scene.color, other.scene.color)
        assert [a.instruction for a in one.askings] == [a.instruction for a in other.askings]


def test_finished_parts_are_kept(made_scenes, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made_scenes, folder)
    before = SceneStore(folder).part(0).stat().st_mtime_ns
    synthesize(folder, 3, MAKING, workers=1)
    assert SceneStore(folder).part(0).stat().st_mtime_ns == before


def test_scenes_that_are_made_otherwise_are_refused(made_scenes):
    with pytest.raises(ValueError, match=rf"another seed \(was {MAKING.seed}, is 6\)"):
        synthesize(made_scenes, 3, replace(MAKING, seed=6), workers=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "standart"}, "Did you mean 'standard'"),
        ({"families": "all"}, "Available: seen, unseen"),
        ({"wordings": "unseen"}, "--wordings"),
        ({"views": 0}, "--views is 0"),
    ],
)
def test_wrong_options_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(MAKING, **change)


def test_a_folder_without_scenes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no made scenes"):
        SceneStore(tmp_path)
    SceneStore.begin(tmp_path, {"seed": 1})
    with pytest.raises(ValueError, match="holds no finished scene"):
        list(read_scenes(tmp_path))


def test_a_damaged_part_is_refused_by_name(made_scenes, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made_scenes, folder)
    path = SceneStore(folder).part(0)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"00000\.parquet"):
        list(read_scenes(folder))
