"""Whole scenes: the same for the same seed, and masks, depth, points and joints that agree with each other."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import binary_dilation
from scipy.spatial import ConvexHull

from unihm.scenes.composer import LEAST_VISIBLE, draw_scene, draw_scenes
from unihm.scenes.families import HELD_OUT
from unihm.scenes.records import SceneExample, Thing
from unihm.scenes.styles import STYLES

SEEDS = (0, 3, 10)
SIZE = (320, 240)


@cache
def made(seed: int, style: str = "standard") -> list[SceneExample]:
    return draw_scenes(seed, style, views=2, size=SIZE).examples


EXAMPLES = [(0, "standard", 0), (3, "standard", 1), (10, "standard", 0), (10, "standard", 1), (17, "shifted", 0)]


@pytest.fixture(params=EXAMPLES, ids=lambda key: "-".join(map(str, key)))
def example(request) -> SceneExample:
    seed, style, view = request.param
    return made(seed, style)[view]


def in_camera(example: SceneExample, points_world: np.ndarray) -> np.ndarray:
    T = example.scene.camera.T_world_camera
    assert T is not None
    return (points_world - T[:3, 3]) @ T[:3, :3]


def facing(example: SceneExample, thing: Thing) -> np.ndarray:
    """Points of a thing that are turned well to the camera, world."""
    T = example.scene.camera.T_world_camera
    assert T is not None
    way = T[:3, 3] - thing.points_world
    normals = thing.normals_object @ thing.T_world_object[:3, :3].T
    return thing.points_world[np.einsum("ni,ni->n", way, normals) > 0.3 * np.linalg.norm(way, axis=1)]


def test_the_seeds_hold_fixtures_and_free_objects():
    things = [thing for seed in SEEDS for thing in made(seed)[0].things]
    assert {"drawer", "lid"} & {thing.family for thing in things}
    assert sum(thing.joint is None for thing in things) > len(SEEDS)


def test_the_same_seed_makes_the_same_bytes():
    again = draw_scenes(3, views=2, size=SIZE).examples
    for one, other in zip(made(3), again, strict=True):
        for name in ("color", "depth"):
            assert getattr(one.scene, name).tobytes() == getattr(other.scene, name).tobytes()
        assert one.instances.tobytes() == other.instances.tobytes()
        assert [thing.surface_object.tobytes() for thing in one.things] == [
            thing.surface_object.tobytes() for thing in other.things
        ]
    assert made(3)[0].scene.color.tobytes() != made(0)[0].scene.color.tobytes()


def test_a_view_shows_every_thing(example: SceneExample):
    style = STYLES[example.style]
    free = sum(thing.joint is None for thing in example.things)
    assert (1 if free < len(example.things) else style.objects[0]) <= free <= style.objects[1]
    assert set(np.unique(example.instances)) == set(range(len(example.things) + 1))
    assert example.instances.dtype == np.uint8
    for index, thing in enumerate(example.things):
        handles = example.handles & (example.instances == index + 1)
        assert handles.any() == (thing.joint is not None)
        assert (thing.fixture >= 0) == (thing.joint is not None)
    assert not (example.handles & (example.instances == 0)).any()


def test_points_project_into_the_mask(example: SceneExample):
    for index, thing in enumerate(example.things):
        mask = example.instances == index + 1
        if thing.joint is not None:
            mask &= example.handles
        points = in_camera(example, facing(example, thing))
        uv = np.round(example.scene.camera.project(points)).astype(int)
        inside = ((uv >= 0) & (uv < SIZE)).all(axis=1)
        u, v = uv[inside].T
        if thing.joint is None:  # handles are seen past what they are in front of
            others = (example.instances != index + 1)[v, u] & (example.instances != 0)[v, u]
            hidden = (~inside).sum() + others.sum()
        else:
            hidden = (~inside).sum() + (example.instances[v, u] == 0).sum()
        near = binary_dilation(mask, iterations=2)[v, u].sum()
        assert near > LEAST_VISIBLE * 0.8 * len(points), thing.family
        # What is not hidden by another thing, by itself or by furniture is in the mask.
        if not any(other.joint is not None for other in example.things):
            assert near + hidden > 0.93 * len(points), thing.family
        # And the mask is where the points are, but for pixels between them.
        drawn = np.zeros_like(mask)
        everything = np.round(example.scene.camera.project(in_camera(example, thing.points_world))).astype(int)
        everything = everything[((everything >= 0) & (everything < SIZE)).all(axis=1)]
        drawn[everything[:, 1], everything[:, 0]] = True
        assert binary_dilation(drawn, iterations=4)[mask].mean() > 0.97, thing.family


def test_depth_is_where_the_things_are(example: SceneExample):
    T = example.scene.camera.T_world_camera
    assert T is not None
    depth = example.scene.depth
    points = example.scene.camera.unproject(depth) @ T[:3, :3].T + T[:3, 3]
    for index, thing in enumerate(example.things):
        mask = (example.instances == index + 1) & (depth > 0)
        if thing.joint is not None:
            mask &= example.handles
        if mask.sum() < 60:  # a black or thin thing may be lost altogether
            continue
        low, high = thing.points_world.min(axis=0) - 0.03, thing.points_world.max(axis=0) + 0.03
        assert ((points[mask] > low) & (points[mask] < high)).all(axis=1).mean() > 0.8, thing.family


def test_depth_of_the_table_is_zero_height():
    for seed in SEEDS:
        example = made(seed)[0]
        T = example.scene.camera.T_world_camera
        assert T is not None
        free = [thing for thing in example.things if thing.joint is None]
        points = example.scene.camera.unproject(example.scene.depth) @ T[:3, :3].T + T[:3, 3]
        middle = np.mean([thing.T_world_object[:2, 3] for thing in free], axis=0)
        near = (np.linalg.norm(points[..., :2] - middle, axis=-1) < 0.25) & (points[..., 2] < 0.02)
        table = points[near & (example.scene.depth > 0) & (example.instances == 0) & (points[..., 2] > -0.1), 2]
        assert len(table) > 500
        assert abs(np.median(table)) < 0.002


def test_things_stand_on_the_table_and_in_nothing_else(example: SceneExample):
    free = [thing for thing in example.things if thing.joint is None]
    for thing in free:
        assert -1e-6 < thing.points_world[:, 2].min() < 0.006
        assert np.linalg.norm(thing.normals_object, axis=1) == pytest.approx(1)
        assert len(thing.surface_object) == 2048
        R = thing.T_world_object[:3, :3]
        assert np.abs(R @ R.T - np.eye(3)).max() < 1e-9
    for a in free:
        hull = ConvexHull(a.points_world)
        for b in free:
            if a is not b:
                depth = -(b.points_world @ hull.equations[:, :3].T + hull.equations[:, 3]).max(axis=1)
                assert depth.max() < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_held_out_families_occur_only_when_asked_for(seed: int):
    assert not any(thing.held_out or thing.family in HELD_OUT for thing in made(SEEDS[seed])[0].things)
    strange = draw_scene(seed, held_out=True, size=(80, 60))
    assert any(thing.held_out for thing in strange.things)
    assert all(thing.held_out == (thing.family in HELD_OUT) for thing in strange.things)


def test_rays_draw_the_same_scene():
    one = draw_scene(0, size=(120, 90), backend="rays")
    other = draw_scene(0, size=(120, 90))
    assert (one.instances == other.instances).mean() > 0.98
    assert np.abs(one.scene.color.astype(float) - other.scene.color).mean() < 12
    both = (one.scene.depth > 0) & (other.scene.depth > 0)
    assert np.median(np.abs(one.scene.depth - other.scene.depth)[both]) < 0.002


def test_a_shifted_scene_is_seen_from_higher_and_darker():
    def elevation(example: SceneExample) -> float:
        T = example.scene.camera.T_world_camera
        assert T is not None
        return float(np.degrees(np.arcsin(-T[2, 2])))

    standard = [view for seed in SEEDS for view in made(seed)]
    shifted = [view for seed in (17, 18) for view in made(seed, "shifted")]
    assert max(map(elevation, standard)) < 64
    assert min(map(elevation, shifted)) > 60
    assert np.mean([view.scene.color.mean() for view in shifted]) < np.mean([v.scene.color.mean() for v in standard])


def test_an_unknown_style_is_named():
    with pytest.raises(ValueError, match=r"'standrd' not found.*standard"):
        draw_scene(0, "standrd")
