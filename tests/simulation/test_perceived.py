"""What planning is told: nothing that the image does not show, and shapes near the truth."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull, KDTree

from unihm.geometry.camera import Camera
from unihm.simulation.constants import ASSUMED_DENSITY
from unihm.simulation.guessed_shape import DepthView, table_depth
from unihm.simulation.mass_properties import convex_hull, of_surface
from unihm.simulation.object_surface import is_closed
from unihm.simulation.perceived import SHAPES, Perceived, perceive, perceived_of_view
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.surface_depth import surface_depth
from unihm.simulation.tabletop import look_at, tabletop_camera

CAMERA = tabletop_camera()


def solid(mesh: trimesh.Trimesh, name: str = "thing", mass: float = 0.3) -> SolidObject:
    vertices, faces = np.array(mesh.vertices, dtype=np.float64), np.array(mesh.faces, dtype=np.int64)
    return SolidObject(name=name, mass=mass, vertices=vertices, faces=faces, parts=(convex_hull(vertices)[0],))


def pose(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    T = trimesh.transformations.rotation_matrix(yaw, [0, 0, 1])
    T[:3, 3] = x, y, z
    return T


def box(*size: float) -> trimesh.Trimesh:
    return trimesh.creation.box(size)


def numbers(perceived: Perceived) -> list[bytes]:
    """Everything in it, to the last bit."""
    thing = perceived.object
    seen = (perceived.points, perceived.normals, perceived.seen, perceived.T_world_object)
    told = (thing.name, thing.mass, thing.color, thing.repairs, thing.closed)
    return [
        *(np.ascontiguousarray(array).tobytes() for array in (*seen, thing.vertices, thing.faces, *thing.parts)),
        repr(told).encode(),
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_not_seen_changes_nothing(shape):
    mesh = trimesh.creation.box((0.08, 0.06, 0.14)).subdivide()
    T = pose(0.02, 0.01, 0.07, yaw=0.5)
    told = numbers(perceive(solid(mesh), T, CAMERA, shape=shape, seed=3))

    # Another mass, name, colour and convex parts.
    other = solid(mesh, name="another", mass=9.0)
    other = SolidObject(**{**other.__dict__, "parts": (other.parts[0] * 0.5,), "color": (1.0, 0.0, 0.0)})
    assert numbers(perceive(other, T, CAMERA, shape=shape, seed=3)) == told

    # Another hidden side: vertices of unseen faces alone are moved, and a body is put into the object.
    world = mesh.vertices @ T[:3, :3].T + T[:3, 3]
    normals = np.cross(*(world[mesh.faces[:, i]] - world[mesh.faces[:, 0]] for i in (1, 2)))
    seen = ((CAMERA.T_world_camera[:3, 3] - world[mesh.faces[:, 0]]) * normals).sum(axis=1) > 0
    unseen = np.setdiff1d(np.arange(len(world)), mesh.faces[seen])
    assert len(unseen) >= 3
    moved = mesh.copy()
    moved.vertices[unseen] *= [0.7, 0.7, 0.8]
    inner = trimesh.creation.icosphere(subdivisions=2, radius=0.02)
    hidden = solid(trimesh.util.concatenate([inner, moved]))
    assert abs(hidden.volume / solid(mesh).volume - 1) > 0.05
    assert numbers(perceive(hidden, T, CAMERA, shape=shape, seed=3)) == told

    # What is seen does change it.
    moved.vertices[np.unique(mesh.faces[seen])] *= 0.97
    assert numbers(perceive(solid(moved), T, CAMERA, shape=shape, seed=3)) != told


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pose_that_looks_the_same_is_the_same(shape):
    """A prism turned by one of its sides, or put upside down, is the same picture."""
    mesh = trimesh.creation.cylinder(radius=0.035, height=0.12, sections=24)
    told = numbers(perceive(solid(mesh), pose(z=0.06, yaw=0.1), CAMERA, shape=shape))
    turned = pose(z=0.06, yaw=0.1 + 7 * 2 * np.pi / 24)
    assert numbers(perceive(solid(mesh), turned, CAMERA, shape=shape)) == told
    over = pose(z=0.06, yaw=0.1) @ trimesh.transformations.rotation_matrix(np.pi, [1, 0, 0])
    assert numbers(perceive(solid(mesh), over, CAMERA, shape=shape)) == told


def test_noise_is_seeded():
    mesh, T = box(0.08, 0.06, 0.14), pose(z=0.07, yaw=0.5)
    first = numbers(perceive(solid(mesh), T, CAMERA, seed=1))
    assert numbers(perceive(solid(mesh), T, CAMERA, seed=1)) == first
    assert numbers(perceive(solid(mesh), T, CAMERA, seed=2))[2] != first[2]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("noise", "table_height"), [(0.0, 0.0), (0.002, -0.013), (0.005, 0.0)])
def test_a_box_is_found_whole(shape, noise, table_height):
    """Two sides and the top are seen, so both ways of closing must find the box by formula."""
    T = pose(0.05, 0.03, 0.06 + table_height, yaw=0.7)
    seen = perceive(solid(box(0.07, 0.09, 0.12)), T, CAMERA, shape=shape, noise=noise, table_height=table_height)
    assert seen.object.volume == pytest.approx(0.07 * 0.09 * 0.12, rel=0.06 + 20 * noise)
    assert seen.object.mass == pytest.approx(ASSUMED_DENSITY * seen.object.volume)
    assert seen.T_world_object[:3, 3] == pytest.approx(T[:3, 3], abs=0.003 + noise)
    # Distance to the box's faces; 1.5 mm are the pixels of its outline.
    local = np.abs((seen.points - T[:3, 3]) @ T[:3, :3]) - [0.035, 0.045, 0.06]
    assert np.quantile(np.abs(local.max(axis=1)), 0.95) < 0.0035 + noise
    outward = ((seen.points - T[:3, 3]) * seen.normals).sum(axis=1)
    assert (outward > 0).mean() > 0.97
    assert np.linalg.norm(seen.normals, axis=1) == pytest.approx(np.ones(1024))
    lowest = seen.object.lowest(seen.T_world_object)
    assert lowest == pytest.approx(table_height, abs=0.002)


@pytest.mark.parametrize("shape", SHAPES)
def test_surface_and_parts_agree(shape):
    mesh = trimesh.creation.cylinder(radius=0.04, height=0.1, sections=40)
    thing = perceive(solid(mesh), pose(z=0.05), CAMERA, shape=shape).object
    assert is_closed(thing.faces)
    assert of_surface(thing.vertices, thing.faces).volume == pytest.approx(thing.volume)
    total = sum(ConvexHull(part).volume for part in thing.parts)
    assert total == pytest.approx(thing.volume, rel=0.1)


def test_mirrored_shapes_of_a_bowl_and_a_ball():
    """The far wall of a bowl is where symmetry says, and its middle is empty; a ball's back is round."""
    radius = np.array([0, 50, 75, 80, 76, 71, 47, 0]) / 1000
    height = np.array([0, 5, 30, 60, 60, 33, 9, 4]) / 1000
    bowl = trimesh.creation.revolve(np.column_stack([radius, height]), sections=64)
    told = perceive(solid(bowl), pose(0.03, 0.0), CAMERA).object
    hull = perceive(solid(bowl), pose(0.03, 0.0), CAMERA, shape="hull").object
    assert told.volume < 0.35 * hull.volume
    middle = np.array([0.0, 0.0, 0.0])  # of the bounding box: in the hollow
    inside = [(ConvexHull(part).equations @ [*middle, 1] < 0).all() for part in told.parts]
    assert not any(inside)
    assert 4 <= len(told.parts) <= 16

    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.04)
    told = perceive(solid(ball), pose(z=0.04), CAMERA)
    # Beneath it nobody sees: that is filled down to the table.
    upper = told.points[told.points[:, 2] > 0.04]
    assert np.abs(np.linalg.norm(upper - [0, 0, 0.04], axis=1) - 0.04).mean() < 0.0025


def test_real_objects_are_nearer_mirrored_than_seen(shared_data):
    from unihm.geometry.surface import load_surface
    from unihm.simulation.object_surface import read_surface

    for name in ("021_bleach_cleanser", "025_mug"):
        path = shared_data / "ycb_models" / name / "mesh_simplified.obj"
        surface = read_surface(path)
        thing = SolidObject(
            name=name, mass=0.1, vertices=surface.vertices, faces=surface.faces, parts=(surface.vertices,), closed=False
        )
        T = pose(z=-surface.vertices[:, 2].min(), yaw=2.0)
        truth = load_surface(path, 4000)[0] @ T[:3, :3].T + T[:3, 3]
        told = perceive(thing, T, CAMERA)
        missing = [KDTree(points).query(truth)[0].mean() for points in (told.points, told.seen)]
        assert missing[0] < 0.6 * missing[1]


def test_what_is_hidden_by_another_thing_is_not_seen_to_be_empty():
    """Of a box only the upper half is seen over a wall before it: it still reaches down to the table."""
    T_world_camera = CAMERA.T_world_camera
    toward = T_world_camera[:2, 3] / np.linalg.norm(T_world_camera[:2, 3])
    thing, wall = solid(box(0.07, 0.07, 0.16)), solid(box(0.01, 0.5, 0.12))
    at = pose(0.05 * toward[0], 0.05 * toward[1], 0.06, yaw=np.arctan2(toward[1], toward[0]))
    depth, hidden = (
        surface_depth(one.vertices @ T[:3, :3].T + T[:3, 3], one.faces, CAMERA)[0]
        for one, T in ((thing, pose(0, 0, 0.08)), (wall, at))
    )
    mask = (depth < hidden) & (depth < table_depth(CAMERA, 0.0))
    assert 0.2 < mask.sum() / (depth < table_depth(CAMERA, 0.0)).sum() < 0.9

    def volume(seen_depth: np.ndarray) -> float:
        view = DepthView(depth=seen_depth, mask=mask, camera=CAMERA, table_height=0.0)
        return perceived_of_view(view).object.volume / thing.volume

    told = np.minimum(depth, hidden)
    told[~np.isfinite(told)] = 0.0
    assert volume(told) == pytest.approx(1.0, abs=0.15)
    assert volume(np.where(mask, depth, 0.0)) < 0.8  # without the wall in the image what it hides would be the table


def test_samples_are_lost_at_grazing_angles():
    from unihm.simulation.perceived import _look

    thing, T = solid(box(0.1, 0.1, 0.1)), pose(z=0.05)
    low = look_at(0.85, np.radians(8))  # the top is seen at 82 degrees
    flat = Camera(**{**CAMERA.__dict__, "T_world_camera": low})
    view = _look(thing, T, flat, 0.002, 0, 0.0)
    depth, cosine = surface_depth(thing.vertices + T[:3, 3], thing.faces, flat)
    lost = view.mask & (view.depth == 0)
    top, front = view.mask & (cosine < np.cos(np.radians(70))), view.mask & (cosine > np.cos(np.radians(50)))
    assert lost[top].mean() > 0.6
    assert not lost[front].any()
    error = (view.depth - depth)[front]
    assert error.std() == pytest.approx(0.002, rel=0.05)
    assert np.abs(error.mean()) < 1e-4
    stored = view.depth * flat.depth_scale
    assert np.abs(stored - np.round(stored)).max() < 1e-9


def test_wrong_input():
    thing, T = solid(box(0.08, 0.06, 0.14)), pose(z=0.07)
    with pytest.raises(ValueError, match="T_world_camera"):
        perceive(thing, T, Camera(**{**CAMERA.__dict__, "T_world_camera": None}))
    with pytest.raises(ValueError, match="sees 0 pixels of the object"):
        perceive(thing, pose(x=5.0), CAMERA)
    with pytest.raises(ValueError, match=r"'mirored' not found. Did you mean 'mirrored'\?"):
        perceive(thing, T, CAMERA, shape="mirored")
    with pytest.raises(ValueError, match="Depth noise"):
        perceive(thing, T, CAMERA, noise=-1.0)
