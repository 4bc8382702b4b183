"""Convex parts: they fill the shape and not its hull, come from the cache, and are never a hull in disguise."""

from __future__ import annotations

import sys

import mujoco
import numpy as np
import pytest
import trimesh

from unihm.cache import CACHE_VARIABLE
from unihm.simulation import decomposition
from unihm.simulation.decomposition import Decomposition, convex_parts
from unihm.simulation.mass_properties import of_parts
from unihm.simulation.solid_object import add_object, object_of_mesh
from unihm.simulation.ycb import load_ycb


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def coacd():
    return pytest.importorskip("coacd", reason="needs the extra 'simulation'")


def bracket() -> trimesh.Trimesh:
    """An L of two boards, 10 x 10 x 3 cm and 3 x 10 x 7 cm."""
    corners = np.array([[0, 0], [0.1, 0], [0.1, 0.03], [0.03, 0.03], [0.03, 0.1], [0, 0.1]])
    triangles = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])
    return trimesh.creation.extrude_triangulation(corners, triangles, 0.1)


def test_a_bracket_is_two_boards(coacd, tmp_path, capfd):
    mesh = bracket()
    parts = convex_parts(mesh.vertices, mesh.faces)
    assert capfd.readouterr() == ("", "")
    assert len(parts) == 2
    assert of_parts(parts).volume == pytest.approx(mesh.volume, rel=0.03)
    assert of_parts(parts).inertia == pytest.approx(mesh.moment_inertia, rel=0.05, abs=1e-8)
    assert mesh.convex_hull.volume > 1.4 * mesh.volume
    kept = list((tmp_path / "cache" / "convex_parts").iterdir())
    assert len(kept) == 1
    assert kept[0].suffix == ".npz"


def test_the_same_again_and_from_the_cache(coacd, tmp_path, monkeypatch):
    mesh = bracket()
    first = convex_parts(mesh.vertices, mesh.faces)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "other"))
    again = convex_parts(mesh.vertices, mesh.faces)
    monkeypatch.setitem(sys.modules, "coacd", None)  # as if it were not installed
    cached = convex_parts(mesh.vertices, mesh.faces)
    for one, two, three in zip(first, again, cached, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)
    with pytest.raises(ValueError, match="simulation"):  # other settings, another digest
        convex_parts(mesh.vertices, mesh.faces, Decomposition(seed=1))


@pytest.mark.parametrize("damage", ["cut", "other numbers", "empty"])
def test_a_damaged_cache_is_made_again(coacd, tmp_path, damage: str):
    mesh = bracket()
    parts = convex_parts(mesh.vertices, mesh.faces)
    path = next((tmp_path / "cache" / "convex_parts").iterdir())
    content = path.read_bytes()
    middle = len(content) // 3
    changed = {"cut": content[:-80], "other numbers": content[:middle] + b"xxxx" + content[middle + 4 :], "empty": b""}
    path.write_bytes(changed[damage])
    with pytest.warns(UserWarning, match="made again"):
        again = convex_parts(mesh.vertices, mesh.faces)
    assert all(np.array_equal(one, two) for one, two in zip(parts, again, strict=True))
    assert path.read_bytes() != b""
    convex_parts(mesh.vertices, mesh.faces)  # whole again: no warning


def test_a_cache_that_cannot_be_written_costs_time_only(coacd, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    mesh = bracket()
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert len(convex_parts(mesh.vertices, mesh.faces)) == 2


def test_without_the_extra_nothing_becomes_a_hull_silently(monkeypatch):
    monkeypatch.setitem(sys.modules, "coacd", None)
    mesh = bracket()
    with pytest.raises(ValueError, match=r"pip install 'unihm\[simulation\]'.*convex=\"hull\""):
        object_of_mesh(mesh.vertices, mesh.faces, name="bracket", mass=0.2)
    hull = object_of_mesh(mesh.vertices, mesh.faces, name="bracket", mass=0.2, convex="hull")
    assert len(hull.parts) == 1
    assert hull.volume == pytest.approx(mesh.volume)  # the mass is still where the mesh is
    box = trimesh.creation.box(extents=[0.1, 0.1, 0.1])
    assert len(object_of_mesh(box.vertices, box.faces, name="box", mass=0.2).parts) == 1  # needs no cutting


def test_an_open_tray_has_a_hollow(coacd, monkeypatch):
    monkeypatch.setattr(decomposition, "_VOXELS", 12)  # the whole search takes 25 s
    monkeypatch.setattr(decomposition, "_SEARCH", {"mcts_iterations": 5, "mcts_nodes": 5, "mcts_max_depth": 1})
    mesh = trimesh.creation.box(extents=[0.2, 0.2, 0.06])
    lidless = mesh.faces[mesh.face_normals[:, 2] < 0.5]
    tray = object_of_mesh(mesh.vertices, lidless, name="tray", mass=0.2)
    assert "not closed" in tray.repairs[0]
    assert tray.volume < 0.5 * 0.2 * 0.2 * 0.06
    # a marble falls into it and not onto its hull
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 0.1], pos=[0, 0, -0.032])
    add_object(spec, tray, np.eye(4), free=False)
    marble = spec.worldbody.add_body(pos=[0.02, 0.02, 0.06])
    marble.add_freejoint()
    marble.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.01, 0, 0], mass=0.01)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 500)
    assert -0.03 < data.qpos[2] < -0.005


@pytest.mark.parametrize(("name", "volume", "hull"), [("037_scissors", 44, 130), ("011_banana", 170, 264)])
def test_parts_of_real_objects_are_the_object_and_not_its_hull(coacd, shared_data, name, volume, hull):
    solid = load_ycb(shared_data / "ycb_models", name)
    assert solid.volume * 1e6 == pytest.approx(volume, rel=0.02)
    assert 1.0 < of_parts(solid.parts).volume / solid.volume < 1.25  # FACTS 8 had 77 of the scissors' 44
    assert len(solid.parts) < 30
    assert of_parts([solid.vertices]).volume * 1e6 == pytest.approx(hull, rel=0.01)
