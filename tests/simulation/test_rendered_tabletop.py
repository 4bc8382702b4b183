"""Our rendered scenes: depth by formula, segmentation, and the built-in scene made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import unihm
from unihm.perception.scene_files import load_scene
from unihm.simulation.tabletop import DEMO, look_at, render, tabletop_camera, write_scene
from unihm.simulation.things import KINDS, Thing, surface_points

FOLDER = Path(unihm.__file__).parent / "assets" / "scenes" / "demo"
RED = (0.8, 0.1, 0.1)


def test_built_in_scene_is_what_the_code_renders(tmp_path):
    write_scene(tmp_path, render(DEMO, name="demo").scene)
    ours, stored = load_scene(tmp_path), load_scene(FOLDER)
    assert np.array_equal(ours.camera.T_world_camera, stored.camera.T_world_camera)
    # Other processors may round the last bit of a pixel otherwise.
    assert (ours.color != stored.color).mean() < 1e-3
    assert np.abs(ours.color.astype(int) - stored.color).max() <= 1 or (ours.color == stored.color).mean() > 0.9999
    assert np.abs(ours.depth - stored.depth).max() < 1e-3
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 100_000


def test_depth_of_a_ball_by_formula():
    ball = Thing(name="ball", kind="ball", size=(0.08, 0.08, 0.08), color=RED, position=(0.03, -0.02))
    rendered = render((ball,))
    camera = rendered.scene.camera
    centre_world = np.array([0.03, -0.02, 0.04])
    T = np.linalg.inv(camera.T_world_camera)
    centre = T[:3, :3] @ centre_world + T[:3, 3]
    rays = camera.unproject(np.ones((camera.height, camera.width)))[rendered.segmentation == 0]
    # |t r - c| = radius, nearer root
    a, b, c = (rays**2).sum(axis=1), rays @ centre, centre @ centre - 0.04**2
    expected = (b - np.sqrt(b**2 - a * c)) / a
    assert len(rays) > 1000
    assert np.allclose(rendered.scene.depth[rendered.segmentation == 0], expected, atol=1e-9)


def test_table_and_floor_depth():
    rendered = render(())
    camera = rendered.scene.camera
    points = camera.unproject(rendered.scene.depth) @ camera.T_world_camera[:3, :3].T + camera.T_world_camera[:3, 3]
    heights = points[rendered.scene.depth > 0][:, 2]
    on_table, on_floor = np.abs(heights) < 1e-9, np.abs(heights + 0.72) < 1e-9
    assert on_table.mean() > 0.5
    assert on_floor.mean() > 0.05
    assert (on_table | on_floor).mean() > 0.99  # the rest is the table's edge
    assert (rendered.segmentation == -1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_surface_points_are_what_the_camera_sees(kind):
    from scipy.spatial import KDTree

    thing = Thing(name="x", kind=kind, size=(0.08, 0.06, 0.12), color=RED, position=(0.05, 0.1), yaw=0.6)
    rendered = render((thing,), tabletop_camera(look_at(0.7, 0.7, 0.2)))
    camera = rendered.scene.camera
    seen = camera.unproject(rendered.scene.depth)[rendered.segmentation == 0]
    seen = seen @ camera.T_world_camera[:3, :3].T + camera.T_world_camera[:3, 3]
    truth = surface_points(thing, 20000)
    assert truth.shape == (20000, 3)
    distance = KDTree(truth).query(seen)[0]
    assert distance.max() < 0.006
    assert np.median(distance) < 0.0015


def test_wrong_input(tmp_path):
    with pytest.raises(ValueError, match=r"Kind of thing 'cann' not found. Did you mean 'can'\?"):
        render((Thing(name="x", kind="cann", size=(0.1, 0.1, 0.1), color=RED, position=(0.0, 0.0)),))
    can = Thing(name="x", kind="can", size=(0.1, 0.1, 0.1), color=RED, position=(0.0, 0.0))
    with pytest.raises(ValueError, match="same name"):
        render((can, can))
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Cannot write"):
        write_scene(tmp_path / "file" / "scene", render(()).scene)
