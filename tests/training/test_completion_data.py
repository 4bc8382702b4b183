"""Partial and complete clouds: seeded, held-out families apart, true to the shape and to the table."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree

from unihm.scenes.families import HELD_OUT, TRAINING
from unihm.training.completion import COMPLETION, CompletionTask
from unihm.training.completion_data import (
    drawn_view_of,
    household_shape,
    household_views,
    mesh_shape,
    read_meshes,
    surface_points,
)

FEW = ("soda can", "cereal box", "banana", "mug")


@pytest.fixture(scope="module")
def views():
    return list(household_views((3, 1), FEW, 12, points=3000, width=320, views=3))


def test_same_seed_same_views(views):
    again = list(household_views((3, 1), FEW, 12, points=3000, width=320, views=3))
    other = list(household_views((3, 2), FEW, 12, points=3000, width=320, views=3))
    assert [v.family for v in views] == [v.family for v in again]
    assert all(
        np.array_equal(a.partial, b.partial) and np.array_equal(a.points, b.points)
        for a, b in zip(views, again, strict=True)
    )
    assert not any(
        len(a.partial) == len(b.partial) and np.allclose(a.partial, b.partial)
        for a, b in zip(views, other, strict=True)
    )


def test_each_family_as_often(views):
    assert {f: sum(v.family == f for v in views) for f in FEW} == dict.fromkeys(FEW, 3)


def test_held_out_families_are_for_the_test_alone():
    task = CompletionTask(COMPLETION["base"], 0)
    assert set(task.families) == set(TRAINING)
    assert not set(task.families) & HELD_OUT
    tiny = CompletionTask(COMPLETION["tiny"], 0)
    assert {v.family for v in tiny.test()} <= HELD_OUT
    assert {v.family for v in tiny.validation()} <= set(TRAINING)
    with pytest.raises(ValueError, match="held out"):
        list(household_views((0,), ["teapot"], 1, points=10))


def test_what_is_seen_is_on_the_surface_and_above_the_table(views):
    for view in views:
        assert view.partial[:, 2].min() > 0.004
        assert abs(view.points[:, 2].min()) < 0.004  # it rests on the table
        away = KDTree(view.points).query(view.partial)[0]
        assert np.median(away) < 0.006
        # and it is one side alone: seen from the camera, nothing of the surface is clearly in front of it
        T = view.camera.T_world_camera
        camera_points = (view.points - T[:3, 3]) @ T[:3, :3]
        u, v = np.round(view.camera.project(camera_points)).astype(int).T
        inside = (u >= 0) & (v >= 0) & (u < view.camera.width) & (v < view.camera.height)
        measured = view.depth[v[inside], u[inside]]
        assert ((measured > 0) & (camera_points[inside, 2] < measured - 0.03)).mean() < 0.08  # but where outlines fray


def test_half_the_width_sees_the_same_noise():
    """Of a flat lid, seen head on: the spread about its plane is the sensor's, whatever the width."""
    shape = mesh_shape("plate", trimesh.creation.box((0.12, 0.12, 0.03)), np.random.default_rng(0), 100)
    spread = {}
    for width in (640, 320):
        heights = []
        for seed in range(12):
            view = drawn_view_of(shape, np.random.default_rng(seed), width)
            assert view is not None
            top = view.partial[np.abs(view.partial[:, 2] - 0.03) < 0.006]
            heights.append(top[:, 2].std())
        spread[width] = np.median(heights)
    assert spread[320] == pytest.approx(spread[640], rel=0.35)


def test_surface_points_leave_out_what_other_parts_cover():
    """Two cubes of edge 2 that share a block of 1 x 2 x 2: of 48, 4 of area on each is inside, and two strips of 2."""
    one, two = trimesh.creation.box((2, 2, 2)), trimesh.creation.box((2, 1, 1))
    two.apply_translation((1.5, 0, 0))  # x from 0.5 to 2.5; 0.5 of its length is inside the first
    surfaces = [(np.asarray(m.vertices), np.asarray(m.faces)) for m in (one, two)]
    points, normals = surface_points(surfaces, 40_000, np.random.default_rng(0))
    free_one, free_two = 24 - 1, 1 + 4 * 1.5  # the first lost a square, the second an end and a quarter of its sides
    on_two = points[:, 0] > 1 + 1e-9
    assert on_two.mean() == pytest.approx(free_two / (free_one + free_two), abs=0.01)
    assert not ((np.abs(points) < 0.999).all(axis=1)).any()
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert ((points[~on_two] * normals[~on_two]).sum(axis=1) > 0.99).all()


def test_a_standing_thing_also_lies():
    shape = household_shape(np.random.default_rng(0), 500, "wine bottle")
    rng = np.random.default_rng(0)
    heights = [np.ptp(v.points[:, 2]) for _ in range(20) if (v := drawn_view_of(shape, rng, 160)) is not None]
    assert max(heights) > 2.5 * min(heights)


def test_user_meshes(tmp_path):
    trimesh.creation.cylinder(0.03, 0.1).export(tmp_path / "tin.stl")
    (tmp_path / "more").mkdir()
    trimesh.creation.box((0.05, 0.05, 0.05)).export(tmp_path / "more" / "cube.ply")
    meshes = read_meshes(tmp_path)
    assert sorted(meshes) == ["more/cube", "tin"]
    seen = [v.family for v in household_views((0,), ["apple"], 6, points=50, width=320, meshes=meshes)]
    assert sorted(seen) == ["apple", "apple", "more/cube", "more/cube", "tin", "tin"]


def test_unfit_meshes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no meshes"):
        read_meshes(tmp_path)
    trimesh.creation.box((50, 50, 50)).export(tmp_path / "mm.stl")
    with pytest.raises(ValueError, match=r"50 m large.*metres"):
        read_meshes(tmp_path)
