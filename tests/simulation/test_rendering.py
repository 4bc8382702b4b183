"""Images of a model: three backends against each other, and cameras of any intrinsics."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import subprocess
import sys

import mujoco
import numpy as np
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from unihm.geometry.camera import Camera
from unihm.geometry.pose import yaw_pose
from unihm.simulation import opengl, ray_casting
from unihm.simulation.fixtures import Door, add_fixture
from unihm.simulation.opengl import missing
from unihm.simulation.ray_casting import Lamp, cast
from unihm.simulation.rendering import BACKENDS, BACKGROUND, ModelRenderer, choose_backend, render_model
from unihm.simulation.tabletop import DEMO, build, look_at

CAMERA = Camera(
    fx=190.0,
    fy=230.0,
    cx=88.3,
    cy=77.6,
    width=200,
    height=150,
    depth_scale=4000.0,
    T_world_camera=look_at(0.6, 0.7, 0.2),
)


@pytest.fixture(scope="module")
def scene():
    """Primitives of all kinds, a mesh, and a ball in a group that is not seen."""
    spec = build(DEMO)
    body = spec.worldbody.add_body(name="more", pos=[0.0, -0.15, 0.05])
    body.add_freejoint()
    body.add_geom(name="capsule", type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[0.02, 0.03, 0], pos=[0.1, 0, 0])
    corners = 0.04 * np.random.default_rng(0).normal(size=(60, 3))
    spec.add_mesh(name="blob", uservert=corners.ravel().tolist())
    body.add_geom(name="blob", type=mujoco.mjtGeom.mjGEOM_MESH, meshname="blob", rgba=[0.1, 0.7, 0.2, 1])
    body.add_geom(name="hidden", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0, 0], group=3)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "rays"])
def test_opengl_agrees_with_rays(scene, backend):
    if missing(backend):
        pytest.skip(missing(backend))
    theirs = render_model(*scene, CAMERA, backend=backend)
    ours = render_model(*scene, CAMERA, backend="rays")
    assert (theirs.backend, ours.backend) == (backend, "rays")
    assert (theirs.segmentation == ours.segmentation).mean() > 0.99
    seg = ours.segmentation
    inner = (maximum_filter(seg, 5) == seg) & (minimum_filter(seg, 5) == seg) & (ours.depth > 0)
    assert inner.mean() > 0.7
    assert np.abs(theirs.depth - ours.depth)[inner].max() < 1e-3
    # Colours: much the same light, a lamp instead of the sun; the table has its pattern in the rays' images alone.
    plain = inner & (seg != scene[0].geom("table").id)
    difference = np.abs(theirs.color.astype(float) - ours.color)[plain]
    assert difference.mean() < 15
    assert np.median(difference) <= 8


def test_lamps_are_told_apart_by_their_colours(scene):
    """Red is diffuse with shadows, green without, blue the highlights: as the ray backend has them."""
    if missing("egl"):
        pytest.skip(missing("egl"))
    lamps = (
        Lamp(color=(1.0, 0.0, 0.0), highlight=(0.0, 0.0, 1.0)),
        Lamp(to_light=(0.5, 0.2, 0.4), color=(0.0, 1.0, 0.0), shadow=False),
    )
    model, data = scene
    before = model.geom_rgba.copy()
    model.geom_rgba[:] = 1
    try:
        pictures = []
        for backend in ("egl", "rays"):
            with ModelRenderer(model, CAMERA, backend=backend, lamps=lamps, smooth=False) as renderer:
                pictures.append(renderer.render(data).color.astype(float))
    finally:
        model.geom_rgba[:] = before
    theirs, ours = pictures
    seg = render_model(model, data, CAMERA, backend="rays").segmentation
    tops = seg == model.geom("table").id  # which rays paint as wood
    others = np.isin(seg, [model.geom(name).id for name in ("blob", "capsule")])
    facing = 255 * 0.4 / np.linalg.norm([0.5, 0.2, 0.4])
    assert np.median(theirs[tops, 1]) == pytest.approx(facing, abs=2)  # Lambert's law on a level table
    for channel in range(3):
        assert np.median(np.abs(theirs - ours)[others, channel]) < 10
        assert np.corrcoef(theirs[others, channel], ours[others, channel])[0, 1] > 0.93
    assert min(theirs[others, 2].max(), ours[others, 2].max()) > 60


def test_no_ray_goes_through_a_cabinet_that_is_turned():
    """mj_multiRay alone misses some boards of bodies that are turned; mj_ray is right."""
    rng = np.random.default_rng(0)
    seen, hit = np.array([1, 1, 1, 0, 0, 0], dtype=np.uint8), np.zeros(1, dtype=np.int32)
    for _ in range(20):
        spec = mujoco.MjSpec()
        add_fixture(spec, Door(T_world_fixture=yaw_pose(rng.uniform(-3, 3), (rng.uniform(-0.1, 0.1),))))
        model = spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        eye = rng.uniform([-1, -1, 0.5], [1, 1, 1.4])
        way = rng.uniform([-0.2, -0.2, 0], [0.2, 0.2, 0.35], (300, 3)) - eye
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        single = []
        for ray in way:
            mujoco.mj_ray(model, data, eye, ray, seen, 1, -1, hit)
            single.append(int(hit[0]))
        assert cast(model, data, eye, way)[1].tolist() == single


def test_intrinsics_and_pose(scene):
    """A small ball appears where the camera's own projection puts it, as large as it should."""
    spec = mujoco.MjSpec()
    at, radius = np.array([0.05, -0.04, 0.1]), 0.01
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[radius, 0, 0], pos=at)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for backend in BACKENDS:
        if missing(backend):
            continue
        seen = render_model(model, data, CAMERA, backend=backend)
        local = np.linalg.inv(CAMERA.T_world_camera) @ [*at, 1]
        v, u = np.nonzero(seen.segmentation == 0)
        assert np.abs(CAMERA.project(local[:3]) - [u.mean(), v.mean()]).max() < 0.3
        assert (np.ptp(u) + 1) / (np.ptp(v) + 1) == pytest.approx(CAMERA.fx / CAMERA.fy, rel=0.15)
        assert seen.depth[seen.segmentation == 0].min() == pytest.approx(local[2] - radius, abs=3e-4)
        assert (seen.depth[seen.segmentation < 0] == 0).all()
        assert (seen.color[seen.segmentation < 0] == np.round(255 * np.array(BACKGROUND))).all()


def test_mesh_is_seen_as_the_primitive():
    depth = []
    for mesh in (False, True):
        spec = mujoco.MjSpec()
        if mesh:
            corners = np.array(np.meshgrid([-0.1, 0.1], [-0.05, 0.05], [-0.03, 0.03])).reshape(3, -1).T
            spec.add_mesh(name="box", uservert=corners.ravel().tolist())
            spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="box")
        else:
            spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.1, 0.05, 0.03])
        model = spec.compile()
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        depth.append(render_model(model, data, CAMERA, backend="rays").depth)
    assert (depth[0] > 0).sum() > 1000
    assert ((depth[0] > 0) == (depth[1] > 0)).mean() > 0.999
    both = (depth[0] > 0) & (depth[1] > 0)
    assert np.abs(depth[0] - depth[1])[both].max() < 1e-6


def test_groups_and_motion(scene):
    model, _ = scene
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    hidden, blob = model.geom("hidden").id, model.geom("blob").id
    assert hidden in render_model(model, data, CAMERA, backend="rays", groups=(0, 3)).segmentation
    with ModelRenderer(model, CAMERA, backend="rays") as renderer:
        before = renderer.render(data)
        assert hidden not in before.segmentation
        assert blob in before.segmentation
        data.qpos[model.jnt_qposadr[-1]] += 5.0
        mujoco.mj_kinematics(model, data)
        assert blob not in renderer.render(data).segmentation
        with pytest.raises(ValueError, match="100x150 pixels, this renderer was made for 200x150"):
            renderer.render(data, Camera(**{**CAMERA.__dict__, "width": 100}))


def test_materials_color_what_has_no_color():
    spec = mujoco.MjSpec()
    spec.add_material(name="red", rgba=[1, 0, 0, 1])
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.1, 0.1, 0.1], material="red")
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    seen = render_model(model, data, CAMERA, backend="rays")
    color = seen.color[seen.segmentation == 0]
    assert (color[:, 0] > 100).all()
    assert (color[:, 1:] == 0).all()


def test_threads_change_nothing(scene, monkeypatch):
    directions = np.array([0, 2, -1]) + np.random.default_rng(0).normal(size=(30000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    eye = CAMERA.T_world_camera[:3, 3]
    monkeypatch.setattr(ray_casting, "_THREADS", 3)
    several = cast(*scene, eye, directions)
    monkeypatch.setattr(ray_casting, "_THREADS", 1)
    for a, b in zip(several, cast(*scene, eye, directions), strict=True):
        assert np.array_equal(a, b)
    assert (several[1] >= 0).sum() > 3000


def test_auto_says_what_it_took(scene, monkeypatch):
    first = next(name for name in BACKENDS if not missing(name))
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert choose_backend() == first
    assert render_model(*scene, CAMERA).backend == first
    monkeypatch.setenv("MUJOCO_GL", "off")
    assert choose_backend() == "rays"


def test_backend_that_does_not_work(scene, monkeypatch):
    monkeypatch.setattr(opengl, "_PROBE", "raise ImportError('no lib for {backend}')")
    opengl._missing_library.cache_clear()
    monkeypatch.delenv("PYOPENGL_PLATFORM", raising=False)
    with pytest.raises(ValueError, match=r"'osmesa' needs libOSMesa .* ImportError: no lib for osmesa.* 'rays'"):
        render_model(*scene, CAMERA, backend="osmesa")
    with pytest.raises(ValueError, match=r"'egl' needs libEGL .* no lib for egl"):
        choose_backend("egl")
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert choose_backend() == "rays"
    monkeypatch.setattr(opengl, "_PROBE", "import time; time.sleep(9)")
    monkeypatch.setattr(opengl, "_PROBE_TIME", 0.3)
    opengl._missing_library.cache_clear()
    assert "no answer within 0.3 s" in missing("egl")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")
    assert "cannot be used: this process has OpenGL by PYOPENGL_PLATFORM=osmesa" in missing("egl")
    opengl._missing_library.cache_clear()


def test_import_needs_no_opengl():
    code = "import sys, unihm.simulation.rendering; sys.exit('OpenGL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_wrong_input(scene):
    with pytest.raises(ValueError, match=r"backend 'vulkan' not found. Available: auto, egl, osmesa, rays"):
        render_model(*scene, CAMERA, backend="vulkan")
    with pytest.raises(ValueError, match="T_world_camera"):
        render_model(*scene, Camera(**{**CAMERA.__dict__, "T_world_camera": None}))
