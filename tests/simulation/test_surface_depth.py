"""The z-buffer against MuJoCo's ray casting."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest
import trimesh

from unihm.geometry.camera import Camera
from unihm.simulation.ray_casting import cast
from unihm.simulation.surface_depth import surface_depth
from unihm.simulation.tabletop import look_at

CAMERA = Camera(
    fx=300.0,
    fy=260.0,
    cx=150.2,
    cy=90.7,
    width=320,
    height=240,
    depth_scale=4000.0,
    T_world_camera=look_at(0.5, 0.6, 0.4),
)


def test_against_rays():
    mesh = trimesh.creation.torus(0.06, 0.02, major_sections=40, minor_sections=16)
    vertices, faces = np.array([0.01, 0.02, 0.05]) + mesh.vertices, np.array(mesh.faces)
    depth, cosine = surface_depth(vertices, faces, CAMERA)

    spec = mujoco.MjSpec()
    spec.add_mesh(name="torus", uservert=vertices.ravel().tolist(), userface=faces.ravel().tolist())
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="torus")
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    T = CAMERA.T_world_camera
    rays = CAMERA.unproject(np.ones((240, 320))).reshape(-1, 3) @ T[:3, :3].T
    length = np.linalg.norm(rays, axis=1)
    distance, geom, normal = cast(model, data, T[:3, 3], rays / length[:, None])
    hit = (geom >= 0).reshape(240, 320)
    assert hit.sum() > 3000
    assert (hit == np.isfinite(depth)).mean() > 0.9995
    both = hit & np.isfinite(depth)
    assert np.abs(depth - (distance / length).reshape(240, 320))[both].max() < 1e-5
    expected = np.abs((normal * rays / length[:, None]).sum(axis=1)).reshape(240, 320)
    assert np.median(np.abs(cosine - expected)[both]) < 1e-6
    assert (cosine[~np.isfinite(depth)] == 0).all()


def test_order_of_faces_and_corners_changes_nothing():
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.07)
    vertices, faces = np.array(mesh.vertices), np.array(mesh.faces)
    first = surface_depth(vertices, faces, CAMERA)[0]
    shuffled = np.random.default_rng(0).permutation(faces)
    assert np.allclose(first, surface_depth(vertices, np.roll(shuffled, 1, axis=1), CAMERA)[0], rtol=0, atol=1e-14)


def test_many_triangles_go_in_several_rounds(monkeypatch):
    from unihm.simulation import surface_depth as module

    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.07)
    vertices, faces = np.array(mesh.vertices), np.array(mesh.faces)
    once = surface_depth(vertices, faces, CAMERA)
    monkeypatch.setattr(module, "_PAIRS", 1000)
    assert np.array_equal(once[0], surface_depth(vertices, faces, CAMERA)[0])


def test_nothing_in_view():
    vertices = np.array([[0.0, -9.0, 0.0], [0.1, -9.0, 0.0], [0.0, -9.0, 0.1]])
    depth, _ = surface_depth(vertices, np.array([[0, 1, 2]]), CAMERA)
    assert np.isinf(depth).all()
    with pytest.raises(ValueError, match="T_world_camera"):
        surface_depth(vertices, np.array([[0, 1, 2]]), Camera(**{**CAMERA.__dict__, "T_world_camera": None}))
