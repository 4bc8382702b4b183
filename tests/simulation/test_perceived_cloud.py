"""Clouds and real images as planning takes them: shapes near the truth, and what cannot be closed is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull

from scripted_motions import BOX, box_grab
from unihm.assets import scene_folder
from unihm.perception.base import PERCEPTIONS
from unihm.perception.scene_files import load_scene
from unihm.simulation.candidates import Attempt
from unihm.simulation.choice import check_choice, choose, perceived_of_motion, perceived_of_scene, why
from unihm.simulation.constants import ASSUMED_DENSITY
from unihm.simulation.object_surface import is_closed
from unihm.simulation.perceived import CLOUD_SHAPES, perceived_of_cloud
from unihm.simulation.tasks import Outcome

POSE = trimesh.transformations.euler_matrix(0.2, -0.1, 1.0)
POSE[:3, 3] = 0.3, -0.2, 0.1


def cloud(mesh: trimesh.Trimesh, count: int = 1024, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Even samples of a mesh and their normals."""
    points, face = trimesh.sample.sample_surface_even(mesh, 2 * count, seed=0)
    points, face = points[:count], face[:count]
    return points + noise * np.random.default_rng(0).normal(size=points.shape), np.array(mesh.face_normals[face])


@pytest.mark.parametrize("shape", CLOUD_SHAPES)
@pytest.mark.parametrize("noise", [0.0, 0.003])
def test_a_box_and_a_ball_come_back(shape, noise):
    box, half = trimesh.creation.box((0.07, 0.09, 0.12)), np.array([0.035, 0.045, 0.06])
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.04)
    for mesh, distance in (
        (box, lambda x: (np.abs(x) - half).max(axis=1)),
        (ball, lambda x: np.linalg.norm(x, axis=1) - 0.04),
    ):
        points, normals = cloud(mesh, noise=noise)
        told = perceived_of_cloud(points, normals, POSE, shape=shape)
        # Noise pushes the hull outward by about two of its deviations: 6 mm around a ball of 4 cm are half its volume.
        assert told.object.volume == pytest.approx(mesh.volume, rel=0.06 + (60 if shape == "surface" else 180) * noise)
        assert told.object.mass == pytest.approx(ASSUMED_DENSITY * told.object.volume)
        np.testing.assert_allclose(told.T_world_object[:3, 3], POSE[:3, 3], atol=0.003 + 2 * noise)
        np.testing.assert_array_equal(told.T_world_object[:3, :3], np.eye(3))
        local = (told.points - POSE[:3, 3]) @ POSE[:3, :3]
        assert np.abs(distance(local)).mean() < 0.002 + 2 * noise
        assert ((told.points - POSE[:3, 3]) * told.normals).sum(axis=1).mean() > 0
        assert is_closed(told.object.faces)


def test_a_cup_stays_hollow_and_thin_walls_get_thick_enough():
    """A cup with walls of 1 mm, less than the grid's cells: by formula 22 cm^3 of wall around 245 cm^3."""
    r, R, h = 0.039, 0.04, 0.05
    profile = np.array([[0, 0], [R, 0], [R, h], [r, h], [r, 0.001], [0, 0.001]])
    cup = trimesh.creation.revolve(profile, sections=64)
    points, normals = cloud(cup, 1500)
    told, hull = (perceived_of_cloud(points, normals, np.eye(4), shape=shape).object for shape in CLOUD_SHAPES)
    assert hull.volume == pytest.approx(np.pi * R**2 * h, rel=0.03)
    assert cup.volume < told.volume < 0.35 * hull.volume
    assert "hollows filled" in hull.repairs[0]
    middle = np.array([0.0, 0.0, 0.0, 1.0])  # of the bounding box
    assert not any((ConvexHull(part).equations @ middle < 0).all() for part in told.parts)


def test_without_normals_it_is_the_hull():
    points, _ = cloud(trimesh.creation.box((0.05, 0.05, 0.05)))
    told = perceived_of_cloud(points, None, np.eye(4))
    assert told.object.volume == pytest.approx(ConvexHull(points).volume)
    np.testing.assert_array_equal(told.seen, points)
    with pytest.raises(ValueError, match="can only be closed to its hull"):
        perceived_of_cloud(points, None, np.eye(4), shape="surface")


def test_wrong_clouds():
    points, normals = cloud(trimesh.creation.box((0.05, 0.06, 0.07)))
    with pytest.raises(
        ValueError, match="The object cloud has 3 points; a body needs at least 4 that are not in one plane"
    ):
        perceived_of_cloud(points[:3], normals[:3], np.eye(4))
    with pytest.raises(ValueError, match="The object cloud has 1 vertices that are NaN"):
        perceived_of_cloud(np.where(np.arange(len(points))[:, None] == 5, np.nan, points), normals, np.eye(4))
    with pytest.raises(ValueError, match="The object cloud"):
        perceived_of_cloud(1000 * points, normals, np.eye(4))
    with pytest.raises(ValueError, match="they must point outward"):
        perceived_of_cloud(points, -normals, np.eye(4))
    with pytest.raises(ValueError, match=r"finite normal for each of its 1024 points"):
        perceived_of_cloud(points, normals * np.nan, np.eye(4))
    with pytest.raises(ValueError, match=r"'hul' not found. Did you mean 'hull'\?"):
        perceived_of_cloud(points, normals, np.eye(4), shape="hul")


def test_the_bottle_of_the_built_in_scene():
    """Its shape from a real image's pixels agrees with the cloud that perception completed."""
    scene = load_scene(scene_folder("demo"))
    seen = PERCEPTIONS["tabletop"]().perceive(scene, "lift the yellow bottle")
    told, thing = perceived_of_scene(scene, seen), seen.target_object
    completed = perceived_of_cloud(thing.completed_points_world, thing.completed_normals_world, np.eye(4))
    assert told.object.volume == pytest.approx(completed.object.volume, rel=0.25)
    np.testing.assert_allclose(told.T_world_object, completed.T_world_object, atol=0.012)
    assert told.object.lowest(told.T_world_object) == pytest.approx(0, abs=0.004)
    few = replace(thing, points_world=thing.points_world[:20], colors=thing.colors[:20], pixels=thing.pixels[:20])
    objects = tuple(few if i == seen.target else o for i, o in enumerate(seen.objects))
    with pytest.raises(ValueError, match="sees 20 pixels of the object"):
        perceived_of_scene(scene, replace(seen, objects=objects))


def test_the_motions_own_cloud_is_what_candidates_are_tried_on():
    motion = box_grab()
    told = perceived_of_motion(motion)
    assert told.object.volume == pytest.approx(BOX**3)
    best, facts = choose([box_grab(aside=0.1), motion], told, "grab", criterion="light")
    assert best == facts["chosen"] == 1
    assert facts["why"] == "Of 2 it alone succeeded on the perceived object."
    assert (facts["success"], facts["successes"], facts["candidates"]) == (True, 1, 2)
    assert [one["reason"] for one in facts["outcomes"]] == ["missed", ""]
    assert facts["mass_kg"] == pytest.approx(ASSUMED_DENSITY * BOX**3, abs=1e-4)
    with pytest.raises(ValueError, match="give the object's mesh with --object"):
        perceived_of_motion(motion.replace(object_points=None))
    with pytest.raises(ValueError, match="no object path"):
        perceived_of_motion(motion.replace(T_world_object=None))
    with pytest.raises(ValueError, match="Criterion 'soft' not found"):
        check_choice(motion, told, "grab", "soft")


def test_the_reason_of_a_choice():
    def attempt(progress: float, held: float = 0.0) -> Attempt:
        reason = "" if held else "slipped"
        return Attempt(
            outcome=Outcome(success=held > 0, reason=reason, measures={}, progress=progress, margin=0.0), held=held
        )

    assert why(0, [attempt(0.4)]) == "There was no other."
    assert why(1, [attempt(0.4), attempt(0.7)]) == (
        "None of 2 succeeded on the perceived object; this one came nearest (70 %, slipped)."
    )
    assert why(1, [attempt(0.4), attempt(1.0, 1 / 3)]) == "Of 2 it alone succeeded on the perceived object."
    assert why(1, [attempt(1.0, 1 / 3), attempt(1.0, 2 / 3), attempt(0.2)]) == (
        "2 of 3 succeeded on the perceived object; this one held in 67 % of the worlds that were assumed "
        "(other masses, frictions, places and sizes)."
    )
