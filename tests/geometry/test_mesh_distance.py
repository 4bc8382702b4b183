"""Signed distance to meshes: against trimesh on every triangle, by hand, and with holes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from unihm.datasets.object_model import load_mesh
from unihm.geometry.mesh_distance import MeshDistance
from unihm.geometry.winding import winding_number


def brute_force(vertices, faces, x):
    """Distance and nearest point over all triangles, by trimesh, which uses no tree here."""
    d, nearest = np.full(len(x), np.inf), np.zeros_like(x)
    for corners in vertices[faces]:
        found = trimesh.triangles.closest_point(np.broadcast_to(corners, (len(x), 3, 3)), x)
        distance = np.linalg.norm(found - x, axis=1)
        nearer = distance < d
        d[nearer], nearest[nearer] = distance[nearer], found[nearer]
    return d, nearest


def box(half):
    mesh = trimesh.creation.box(2 * np.asarray(half))
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


@pytest.mark.parametrize("name", ["025_mug", "003_cracker_box", "037_scissors", "024_bowl"])
def test_real_objects_agree_with_trimesh_on_every_triangle(shared_data, name):
    vertices, faces = load_mesh(shared_data / "ycb_models" / name / "mesh_simplified.obj")
    mesh = MeshDistance(vertices, faces)
    assert mesh.closed  # once corners at the same place are one
    rng = np.random.default_rng(0)
    low, high = mesh.bounds
    x = rng.uniform(low - 0.02, high + 0.02, size=(150, 3))
    surface = np.asarray(trimesh.sample.sample_surface(trimesh.Trimesh(vertices, faces, process=False), 150, seed=1)[0])
    x = np.concatenate([x, surface + rng.normal(scale=1e-3, size=surface.shape)])
    d, nearest, outward = mesh.query(x)
    reference, _ = brute_force(vertices, faces, x)
    assert np.abs(np.abs(d) - reference).max() < 1e-12
    assert np.abs(np.linalg.norm(x - nearest, axis=1) - reference).max() < 1e-12
    inside = winding_number(x, vertices[faces]) > 0.5
    assert ((d < 0) == inside).all()
    assert 20 < inside.sum() < len(x) - 20
    assert np.abs(nearest + outward * d[:, None] - x).max() < 1e-12  # the direction is the gradient's
    # A reach cuts off and changes nothing else; no answer depends on what was asked before or beside it.
    short = MeshDistance(vertices, faces).query(x[::-1], reach=4e-3)[0][::-1]
    assert np.abs(short - np.clip(d, -4e-3, 4e-3)).max() < 1e-15
    assert (mesh.query(x[17:18])[0] == d[17]).all()


def test_a_box_by_hand():
    mesh = MeshDistance(*box([0.02, 0.03, 0.05]))
    x = np.array([[0.0, 0.0, 0.047], [0.025, 0.0, 0.01], [0.023, 0.034, 0.0], [0.0, 0.0, 0.0], [0.5, 0.03, 0.05]])
    d, nearest, outward = mesh.query(x[None])
    assert d[0] == pytest.approx([-0.003, 0.005, 0.005, -0.02, 0.48])
    assert nearest[0, 0] == pytest.approx([0.0, 0.0, 0.05])
    assert outward[0, 0] == pytest.approx([0.0, 0.0, 1.0])
    assert outward[0, 2] == pytest.approx([0.6, 0.8, 0.0])
    on_face = mesh.query(np.array([[0.02, 0.01, 0.01]]))
    assert on_face[0] == pytest.approx([0.0], abs=1e-15)
    assert on_face[2][0] == pytest.approx([1.0, 0.0, 0.0])
    assert mesh.volume == pytest.approx(8 * 0.02 * 0.03 * 0.05)
    d, nearest, _ = mesh.query(x, reach=0.004)
    assert d == pytest.approx([-0.003, 0.004, 0.004, -0.004, 0.004])
    assert np.isnan(nearest[1:]).all()


def test_rays_through_corners_and_edges_count_once():
    sphere = trimesh.creation.icosphere(subdivisions=2, radius=0.03)
    mesh = MeshDistance(np.asarray(sphere.vertices), np.asarray(sphere.faces))
    turn = mesh._inside._turn  # rays run along its last row
    corners = mesh.vertices[mesh.faces]
    for places in (mesh.vertices, corners.mean(axis=1), (corners[:, 0] + corners[:, 1]) / 2):
        for length in (-0.01, -0.004, 0.004, 0.01):
            x = places + length * turn[2]
            assert ((mesh.query(x)[0] < 0) == (winding_number(x, corners) > 0.5)).all()


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_holes_do_not_turn_the_inside_out(share):
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    rng = np.random.default_rng(4)
    vertices = np.asarray(sphere.vertices)
    faces = np.asarray(sphere.faces)[rng.random(len(sphere.faces)) > share]
    mesh = MeshDistance(vertices, faces)
    assert not mesh.closed
    x = rng.uniform(-0.06, 0.06, size=(1000, 3))
    d = mesh.query(x)[0]
    assert ((d < 0) == (winding_number(x, vertices[faces]) > 0.5)).all()
    r = np.linalg.norm(x, axis=1)
    assert (d[r < 0.04] < 0).all()
    assert (d[r > 0.053] > 0).all()


def test_an_open_cup_is_closed_at_its_rim():
    lathe = np.array([[0.0, 0.0], [0.04, 0.0], [0.04, 0.08]])  # one wall without thickness
    cup = trimesh.creation.revolve(lathe, sections=48)
    mesh = MeshDistance(np.asarray(cup.vertices), np.asarray(cup.faces))
    assert not mesh.closed
    assert mesh.volume == pytest.approx(np.pi * 0.04**2 * 0.08, rel=0.01)
    deep, high, above = np.array([0.0, 0.0, 0.03]), np.array([0.0, 0.0, 0.07]), np.array([0.0, 0.0, 0.081])
    assert mesh.query(np.stack([deep, high, above]))[0] == pytest.approx([-0.03, -0.0399, 0.0399], abs=2e-4)
    # Seen from the middle of the lid's disc, the cup fills half the sphere: there, inside begins.
    assert mesh.inside(np.array([[0.0, 0.0, 0.0799], [0.0, 0.0, 0.0801]])).tolist() == [True, False]


def test_overlapping_bodies_are_all_inside():
    parts = [box([0.02, 0.02, 0.02]), box([0.02, 0.02, 0.02])]
    vertices = np.concatenate([parts[0][0], parts[1][0] + [0.03, 0.0, 0.0]])
    mesh = MeshDistance(vertices, np.concatenate([parts[0][1], parts[1][1] + 8]))
    assert mesh.inside(np.array([[0.0, 0, 0], [0.015, 0, 0], [0.03, 0, 0], [0.06, 0, 0]])).tolist() == [True] * 3 + [
        False
    ]


def test_occupancy_is_the_volume():
    mesh = MeshDistance(*box([0.0105, 0.02, 0.0313]))
    first, share = mesh.occupancy(2e-3)
    assert share.sum() * 8e-9 == pytest.approx(mesh.volume, rel=0.02)
    assert mesh.query(first[None])[0] > 0
    assert mesh.occupancy(2e-3)[1] is share
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=0.03)
    mesh = MeshDistance(np.asarray(sphere.vertices), np.asarray(sphere.faces))
    assert mesh.occupancy(2e-3)[1].sum() * 8e-9 == pytest.approx(mesh.volume, rel=6e-3)


def test_bad_meshes_are_refused():
    vertices, faces = box([0.02, 0.02, 0.02])
    with pytest.raises(ValueError, match="inside out, or flat"):
        MeshDistance(vertices, faces[:, ::-1])
    with pytest.raises(ValueError, match="no triangle with an area"):
        MeshDistance(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="inside out, or flat"):
        MeshDistance(np.eye(3), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="NaN"):
        MeshDistance(np.full((8, 3), np.nan), faces)
    with pytest.raises(ValueError, match="do not exist; there are 8"):
        MeshDistance(vertices, faces + 1)
    mesh = MeshDistance(vertices, faces)
    for x in (np.nan, np.inf, 5e4):
        with pytest.raises(ValueError, match="another unit"):
            mesh.query(np.array([[x, 0.0, 0.0]]))
    assert mesh.query(np.zeros((0, 3)))[0].shape == (0,)
