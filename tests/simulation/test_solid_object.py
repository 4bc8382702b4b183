"""Objects: mass properties against closed forms and trimesh, rest and friction in MuJoCo, and every bad input."""

from __future__ import annotations

import json
import time

import mujoco
import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.datasets.object_names import OBJECT_NAMES
from unihm.simulation.mass_properties import convex_hull, of_parts, of_surface
from unihm.simulation.object_surface import MAX_FACES, is_closed, repaired
from unihm.simulation.solid_object import SolidObject, add_object, load_object, object_of_mesh, object_of_thing
from unihm.simulation.things import KINDS, Thing
from unihm.simulation.ycb import HARD, LEANING, MASSES, graspable, load_ycb, width, ycb_mesh

SIZE = (0.08, 0.06, 0.12)


def thing(kind: str, size=SIZE) -> Thing:
    return Thing(name=kind, kind=kind, size=size, color=(0.5, 0.5, 0.5), position=(0.0, 0.0))


def pose(z: float = 0.0, rotation: Rotation | None = None) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = np.eye(3) if rotation is None else rotation.as_matrix()
    T[2, 3] = z
    return T


def on_plane(solid: SolidObject, T: np.ndarray, friction: float = 0.8):
    spec = mujoco.MjSpec()
    spec.option.timestep = 0.002
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 0.1], condim=4, friction=[friction, 0.01, 1e-4]
    )
    add_object(spec, solid, T, friction=friction)
    model = spec.compile()
    return model, mujoco.MjData(model)


def body_pose(data) -> np.ndarray:
    T = np.eye(4)
    T[:3, 3], T[:3, :3] = data.xpos[1], data.xmat[1].reshape(3, 3)
    return T


# --- mass properties ---------------------------------------------------------------------------------------------


def test_box_by_hand():
    solid = object_of_thing(thing("box"), 0.3)
    x, y, z = SIZE
    assert solid.volume == pytest.approx(x * y * z)
    assert solid.centre_of_mass == pytest.approx([0, 0, z / 2], abs=1e-12)
    assert solid.inertia == pytest.approx(0.3 / 12 * np.diag([y * y + z * z, x * x + z * z, x * x + y * y]), abs=1e-12)


def test_ball_and_cylinder_by_hand():
    ball = object_of_thing(thing("ball", (0.07, 0.07, 0.07)), 0.2)
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 0.035**3)
    assert ball.inertia == pytest.approx(0.4 * 0.2 * 0.035**2 * np.eye(3), rel=5e-3, abs=1e-9)
    r, h = 0.03, 0.1
    can = trimesh.creation.cylinder(r, h, sections=256)
    solid = object_of_mesh(can.vertices, can.faces, name="can", mass=0.4)
    across, about = 0.4 * (3 * r * r + h * h) / 12, 0.4 * r * r / 2
    assert solid.inertia == pytest.approx(np.diag([across, across, about]), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("closed", [True, False])
def test_trimesh_agrees_on_a_torus_and_on_a_hollow_ball(closed: bool):
    torus = trimesh.creation.torus(0.05, 0.02)
    torus.apply_transform(trimesh.transformations.rotation_matrix(0.7, [1, 2, 3], [0.1, 0, 0.05]))
    inner = trimesh.creation.icosphere(2, 0.03)
    inner.invert()
    hollow = trimesh.util.concatenate([trimesh.creation.icosphere(3, 0.05), inner])
    for mesh in (torus, hollow):
        ours = of_surface(mesh.vertices, mesh.faces)
        assert ours.volume == pytest.approx(mesh.volume)
        assert ours.centre_of_mass == pytest.approx(mesh.center_mass, abs=1e-12)
        assert ours.inertia == pytest.approx(mesh.moment_inertia, abs=1e-15)
        # the cavity faces into itself, and stays so
        assert repaired(mesh.vertices, mesh.faces).repairs == ()
        solid = object_of_mesh(mesh.vertices, mesh.faces, name="x", mass=2.0, convex="hull")
        assert solid.inertia == pytest.approx(2 / mesh.volume * mesh.moment_inertia)


def test_overlapping_parts_count_once():
    block = trimesh.creation.box(extents=[0.1, 0.1, 0.1]).vertices
    parts = [block, block + np.array([0.05, 0.0, 0.0])]
    both = trimesh.creation.box(extents=[0.15, 0.1, 0.1])
    together = of_parts(parts)
    assert together.volume == pytest.approx(both.volume, rel=0.02)
    assert together.centre_of_mass == pytest.approx([0.025, 0, 0], abs=1e-3)
    assert together.inertia == pytest.approx(both.moment_inertia, rel=0.03, abs=1e-8)
    apart = of_parts([block, block + np.array([0.1, 0.0, 0.0])])  # exact where nothing overlaps
    assert apart.volume == pytest.approx(0.002)


@settings(max_examples=40, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-np.pi, np.pi)] * 3),
    shift=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    seed=st.integers(0, 1000),
)
def test_mass_properties_move_with_the_body(angles, shift, seed):
    points = np.random.default_rng(seed).normal(size=(12, 3)) * [0.05, 0.03, 0.08]
    vertices, faces = convex_hull(points)
    R = Rotation.from_euler("xyz", angles).as_matrix()
    moved = vertices @ R.T + shift
    apart = 0.6  # between two copies, so that they do not overlap
    for before, after in (
        (of_surface(vertices, faces), of_surface(moved, faces)),
        (of_parts([vertices, vertices + apart]), of_parts([moved, (vertices + apart) @ R.T + shift])),
    ):
        assert after.volume == pytest.approx(before.volume, rel=1e-9)
        assert after.centre_of_mass == pytest.approx(R @ before.centre_of_mass + shift, abs=1e-9)
        scale = np.abs(before.inertia).max()
        assert after.inertia / scale == pytest.approx(R @ before.inertia @ R.T / scale, abs=1e-7)


def test_the_model_has_the_objects_inertia():
    wedge = trimesh.creation.extrude_triangulation(np.array([[0, 0], [0.1, 0], [0, 0.05]]), np.array([[0, 1, 2]]), 0.03)
    solid = object_of_mesh(wedge.vertices, wedge.faces, name="wedge", mass=0.25)
    model, data = on_plane(solid, pose(0.2, Rotation.from_euler("xyz", [0.3, 0.2, 0.1])))
    mujoco.mj_forward(model, data)
    assert model.body_mass[1] == pytest.approx(0.25)
    assert model.body_ipos[1] == pytest.approx(solid.centre_of_mass)
    assert np.sort(model.body_inertia[1]) == pytest.approx(np.linalg.eigvalsh(solid.inertia))
    # the part is where the mesh is, although MuJoCo moves meshes into frames of their own
    geom = data.geom("wedge/0")
    mesh = model.mesh_vert @ geom.xmat.reshape(3, 3).T + geom.xpos
    ours = wedge.vertices @ data.xmat[1].reshape(3, 3).T + data.xpos[1]
    assert np.linalg.norm(mesh[:, None] - ours[None], axis=-1).min(axis=1).max() < 1e-6


# --- rest and friction -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_dropped_thing_rests_on_its_lowest_point(kind: str):
    solid = object_of_thing(thing(kind, (0.07, 0.07, 0.07 if kind == "ball" else 0.1)), 0.3)
    model, data = on_plane(solid, pose(0.01))
    mujoco.mj_step(model, data, 500)
    assert abs(solid.lowest(body_pose(data))) < 1e-3
    assert data.xpos[1, :2] == pytest.approx([0, 0], abs=5e-3)
    assert np.abs(data.qvel).max() < 0.02


def test_a_tumbling_mesh_comes_to_rest_on_its_lowest_point():
    mesh = trimesh.creation.box(extents=[0.05, 0.08, 0.05])
    solid = object_of_mesh(mesh.vertices, mesh.faces, name="brick", mass=0.1)
    T = pose(0.0, Rotation.from_euler("xyz", [0.4, 0.3, 0.2]))
    T[2, 3] = 0.005 - solid.lowest(T)
    model, data = on_plane(solid, T)
    mujoco.mj_step(model, data, 750)
    assert abs(solid.lowest(body_pose(data))) < 1e-3
    assert data.xpos[1, 2] == pytest.approx(0.025, abs=1e-3)


@pytest.mark.parametrize(("factor", "slides"), [(0.9, False), (1.1, True)])
def test_a_box_slides_where_the_slope_is_steeper_than_friction(factor: float, slides: bool):
    friction = 0.5
    solid = object_of_thing(thing("box", (0.1, 0.1, 0.03)), 0.2)
    model, data = on_plane(solid, pose(), friction)
    mujoco.mj_step(model, data, 100)
    start, angle = data.xpos[1, 0], np.arctan(factor * friction)
    model.opt.gravity[:] = 9.81 * np.array([np.sin(angle), 0.0, -np.cos(angle)])
    mujoco.mj_step(model, data, 250)
    moved = data.xpos[1, 0] - start
    fallen = 0.5 * 9.81 * (np.sin(angle) - friction * np.cos(angle)) * 0.5**2
    if slides:
        assert moved == pytest.approx(fallen, rel=0.2)
    else:
        assert moved < 2e-3


# --- what files hold ---------------------------------------------------------------------------------------------


def brick(tmp_path, extents=(0.05, 0.08, 0.06), suffix=".obj", change=lambda mesh: None):
    mesh = trimesh.creation.box(extents=extents)
    change(mesh)
    path = tmp_path / f"brick{suffix}"
    mesh.export(path)
    return path


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".off", ".glb"])
def test_every_kind_of_mesh(tmp_path, suffix: str):
    solid = load_object(brick(tmp_path, suffix=suffix), mass=0.2)
    assert (solid.name, solid.repairs, len(solid.parts), solid.closed) == ("brick", (), 1, True)
    assert solid.volume == pytest.approx(0.05 * 0.08 * 0.06, rel=1e-5)


@pytest.mark.parametrize("suffix", [".xyz", ".ply"])
def test_points_are_closed_to_their_hull(tmp_path, suffix: str):
    points = np.random.default_rng(0).normal(size=(300, 3)) * 0.03
    path = tmp_path / f"cloud{suffix}"
    if suffix == ".xyz":
        np.savetxt(path, points)
    else:
        trimesh.PointCloud(points).export(path)
    solid = load_object(path, mass=0.1)
    assert solid.repairs == ("300 points without faces were closed to their convex hull.",)
    assert solid.volume == pytest.approx(trimesh.PointCloud(points).convex_hull.volume, rel=1e-5)
    assert of_surface(solid.vertices, solid.faces).volume > 0


def test_a_missing_mass_is_assumed_and_said(tmp_path):
    solid = load_object(brick(tmp_path))
    assert solid.mass == pytest.approx(500 * 0.05 * 0.08 * 0.06)
    assert solid.repairs == ("No mass was given: 0.12 kg, assuming 500 kg/m^3.",)


def test_inside_out_is_turned_and_said(tmp_path):
    solid = load_object(brick(tmp_path, change=lambda mesh: mesh.invert()), mass=0.2)
    assert solid.repairs == ("12 of 12 faces were turned inside out; they face outward now.",)
    assert of_surface(solid.vertices, solid.faces).volume == pytest.approx(0.05 * 0.08 * 0.06, rel=1e-5)


def test_some_faces_inside_out_are_turned_and_said():
    mesh = trimesh.creation.icosphere(2, 0.05)
    faces = mesh.faces.copy()
    faces[10:25] = faces[10:25, ::-1]
    surface = repaired(mesh.vertices, faces)
    assert surface.repairs == ("15 of 320 faces were turned inside out; they face outward now.",)
    assert surface.closed
    assert of_surface(surface.vertices, surface.faces).volume == pytest.approx(mesh.volume)


def test_a_hollow_ball_inside_out_keeps_its_cavity():
    inner = trimesh.creation.icosphere(2, 0.03)
    inner.invert()
    hollow = trimesh.util.concatenate([trimesh.creation.icosphere(2, 0.05), inner])
    surface = repaired(hollow.vertices, hollow.faces[:, ::-1])
    assert of_surface(surface.vertices, surface.faces).volume == pytest.approx(hollow.volume)


def test_millimetres_are_asked_about_not_guessed(tmp_path):
    path = brick(tmp_path, extents=(50, 80, 60))
    with pytest.raises(ValueError, match=r"is 80 m long\. If it is in millimetres, give a scale of 0\.001"):
        load_object(path, mass=0.2)
    assert load_object(path, mass=0.2, scale=0.001).volume == pytest.approx(0.05 * 0.08 * 0.06)


@pytest.mark.parametrize("extent", [1e-4, 5000.0])
def test_no_such_size(tmp_path, extent: float):
    with pytest.raises(ValueError, match="Is the scale right"):
        load_object(brick(tmp_path, extents=(extent,) * 3))


def test_two_million_faces_are_simplified_and_said():
    n = 1000
    u, v = np.meshgrid(2 * np.pi * np.arange(n) / n, 2 * np.pi * np.arange(n) / n, indexing="ij")
    r = 0.06 + 0.025 * np.cos(v)
    vertices = np.stack([r * np.cos(u), r * np.sin(u), 0.025 * np.sin(v)], axis=-1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    a, b = (i * n + j).ravel(), ((i + 1) % n * n + j).ravel()
    c, d = ((i + 1) % n * n + (j + 1) % n).ravel(), (i * n + (j + 1) % n).ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    start = time.perf_counter()
    surface = repaired(vertices, faces)
    assert time.perf_counter() - start < 20  # about 3 s on an idle machine
    assert MAX_FACES / 2 < len(surface.faces) <= MAX_FACES
    assert surface.closed
    assert surface.repairs[0].startswith(f"2000000 faces were simplified to {len(surface.faces)} (at most 20000)")
    assert of_surface(surface.vertices, surface.faces).volume == pytest.approx(2 * np.pi**2 * 0.06 * 0.025**2, rel=5e-3)


def test_an_open_surface_is_kept_and_said():
    mesh = trimesh.creation.box(extents=[0.1, 0.1, 0.05])
    lidless = mesh.faces[mesh.face_normals[:, 2] < 0.5]
    assert is_closed(mesh.faces)
    assert not is_closed(lidless)
    solid = object_of_mesh(mesh.vertices, lidless, name="tray", mass=0.2, convex="hull")
    assert solid.repairs == ("The surface is not closed: volume and inertia are those of the convex parts.",)
    assert solid.volume == pytest.approx(0.1 * 0.1 * 0.05)
    assert len(solid.faces) == 10


def test_walls_so_thin_that_rounding_decides_count_as_their_parts():
    outer = trimesh.creation.icosphere(3, 0.05)
    inner = trimesh.creation.icosphere(3, 0.0499)
    inner.invert()
    shell = trimesh.util.concatenate([outer, inner])
    solid = object_of_mesh(shell.vertices, shell.faces, name="bubble", mass=0.01, convex="hull")
    assert "thin" in solid.repairs[0]
    assert solid.volume == pytest.approx(outer.volume)


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]]), [], "has 3 points; a body needs at least 4"),
        (np.random.default_rng(0).normal(size=(50, 3)) * [0.1, 0.1, 0], [], r"is flat \(0\.000 mm thick\)"),
        (np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0.1, 0.1, 0]]), [[0, 1, 2], [1, 3, 2]], "is flat"),
        (np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, np.nan]]), [[0, 1, 2]], "has 1 vertices that are NaN"),
        (np.eye(4, 3) * 0.1, [[0, 1, 4]], "faces name others"),
        (np.eye(4, 3) * 0.1, [[0, 0, 1], [2, 2, 3], [1, 1, 1]], "no faces of any area"),
        # a folded sheet, both sides of it
        (np.eye(4, 3) * 0.1, [[0, 1, 3], [1, 2, 3], [0, 3, 1], [1, 3, 2]], "encloses no volume"),
    ],
    ids=["three points", "flat cloud", "flat mesh", "NaN", "wrong index", "no area", "sheet"],
)
def test_what_is_refused(vertices, faces, message: str):
    with pytest.raises(ValueError, match=message):
        object_of_mesh(
            np.asarray(vertices, dtype=np.float64),
            np.array(faces, dtype=np.int64).reshape(-1, 3),
            name="x",
            mass=0.1,
            convex="hull",
        )


def test_files_that_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        load_object(tmp_path / "none.obj")
    for name, text, message in (
        ("a.obj", "not a mesh\n", "no faces and no points|not a readable mesh"),
        ("a.stl", "solid nothing", "no faces and no points|not a readable mesh"),
        ("a.glb", "x", "not a readable mesh"),
        ("a.xyz", "1 2 three\n", "not a list of points"),
        ("b.xyz", "1 2\n3 4\n", "three coordinates a line"),
        ("a.step", "", "unknown kind of object file '.step'"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            load_object(tmp_path / name)
    path = brick(tmp_path)
    with pytest.raises(ValueError, match="mass above zero"):
        load_object(path, mass=0.0)
    with pytest.raises(ValueError, match="scale is a factor above zero"):
        load_object(path, scale=-1.0)
    with pytest.raises(ValueError, match=r"'hulls' not found\. Did you mean 'hull'"):
        load_object(path, convex="hulls")


# --- YCB ---------------------------------------------------------------------------------------------------------


def test_the_leaning_recordings_are_those_of_the_index(shared_data):
    index = json.loads((shared_data / "dexycb" / "dexycb_right_index.json").read_text())
    entries = [index[i] for i in (225, 85, 143, 94, 46)]  # FACTS 8
    assert {f"dexycb/{e['subject']}/{e['sequence']}": e["object"] for e in entries} == LEANING


def test_masses_and_the_hard_ones():
    assert set(OBJECT_NAMES) | {"051_large_clamp"} == set(MASSES)
    assert {OBJECT_NAMES[name].name for name in HARD} == {"banana", "bowl", "scissors", "marker", "clamp"}


def test_ycb_objects(shared_data):
    models = shared_data / "ycb_models"
    can = load_ycb(models, "002_master_chef_can", convex="hull")
    assert (can.mass, can.closed, can.repairs) == (0.414, True, ())
    assert width(can.vertices) == pytest.approx(0.1013, abs=1.5e-3)  # published: 102 mm
    assert not graspable(can)
    clamp = load_ycb(models, "051_large_clamp")  # points only
    assert "closed to their convex hull" in clamp.repairs[0]
    with pytest.raises(ValueError, match="Did you mean '025_mug'"):
        ycb_mesh(models, "025_mugg")


def test_a_gripper_spans_what_published_grasps_span(shared_data):
    grasps = json.loads((shared_data / "ycb_panda_grasps" / "ycb_farthest_100_grasps.json").read_text())
    spanned = {name for name in OBJECT_NAMES if graspable(load_ycb(shared_data / "ycb_models", name, convex="hull"))}
    assert spanned <= set(grasps)
    # the others are too wide, but two of them have a rim and a handle
    assert set(OBJECT_NAMES) - spanned == {"002_master_chef_can", "019_pitcher_base", "025_mug", "036_wood_block"}
    assert set(OBJECT_NAMES) - set(grasps) == {"002_master_chef_can", "036_wood_block"}


def test_width_by_hand():
    x, y, z = 0.05, 0.09, 0.02
    corners = trimesh.creation.box(extents=[x, y, z]).vertices @ Rotation.from_euler("xyz", [0.5, 1, 2]).as_matrix().T
    up = Rotation.from_euler("xyz", [0.5, 1, 2]).as_matrix()[:, 2]
    assert width(corners) == pytest.approx(z)
    assert width(corners, up) == pytest.approx(x)
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.05
    assert width(tetrahedron) == pytest.approx(0.1, rel=2e-2)  # between two opposite edges
