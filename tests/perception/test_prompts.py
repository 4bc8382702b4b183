"""Pixels and boxes of users, holes in the depth, and things that the image cuts off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unihm.assets import scene_folder
from unihm.perception.prompts import at_box, at_pixel, cover_holes
from unihm.perception.scene_files import load_scene
from unihm.perception.tabletop import Tabletop
from unihm.schema.scene import Scene
from unihm.simulation.tabletop import look_at, render, tabletop_camera
from unihm.simulation.things import Thing


@pytest.fixture(scope="module")
def demo() -> Scene:
    return load_scene(scene_folder("demo"))


@pytest.fixture
def labels() -> np.ndarray:
    """Two things of 100 and 50 pixels."""
    found = np.full((40, 60), -1)
    found[10:20, 10:20] = 0
    found[10:20, 30:35] = 1
    return found


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((8, 8, 22, 22), 0),
        ((28, 8, 40, 22), 1),
        ((12, 12, 14, 14), 0),  # inside of it
        ((10, 10, 31, 19), 0),  # all of one, and two columns of the other
        ((-5, -5, 19, 19), 0),
    ],
)
def test_the_thing_that_a_box_holds_best(labels: np.ndarray, box, expected: int):
    assert at_box(box, labels) == expected


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((8, 8, 40, 22), r"Box 8,8,40,22 holds 2 objects about equally well"),
        ((45, 30, 50, 35), r"holds none of the 2 objects"),
        ((20, 8, 8, 22), r"is empty; expected its left upper"),
        ((60, 8, 70, 22), r"lies outside the image; expected u in 0\.\.59 and v in 0\.\.39"),
    ],
)
def test_boxes_that_do_not_decide(labels: np.ndarray, box, words: str):
    with pytest.raises(ValueError, match=words):
        at_box(box, labels)
    with pytest.raises(ValueError, match="nothing on the table"):
        at_box((0, 0, 5, 5), np.full_like(labels, -1))


def test_a_hole_belongs_to_what_alone_surrounds_it(labels: np.ndarray):
    valid = np.ones(labels.shape, dtype=bool)
    valid[13:17, 13:17] = False  # inside of thing 0
    valid[12:14, 33:38] = False  # at the edge of thing 1
    valid[30:34, 5:9] = False  # on the table
    valid[0:3, 50:60] = False  # at the image's border
    labels = np.where(valid, labels, -1)
    covered = cover_holes(labels, valid)
    assert (covered[13:17, 13:17] == 0).all()
    assert (covered == 0).sum() == 100
    changed = covered != labels
    assert changed.sum() == 16
    labels[13, 12] = 1  # two things about it
    assert (cover_holes(labels, valid)[13:17, 13:17] == -1).all()


def test_a_pixel_in_the_gloss_of_a_thing_means_it_and_in_glass_nothing(demo: Scene):
    perceived = Tabletop().perceive(demo, "lift the yellow bottle")
    u, v = (int(x) for x in np.median(perceived.target_object.pixels, axis=0))
    glossy = demo.depth.copy()
    glossy[v - 8 : v + 9, u - 8 : u + 9] = 0  # farther from the rim than the outline that is forgiven
    again = Tabletop().perceive(replace(demo, depth=glossy), "lift it", point=(u, v))
    assert again.target == perceived.target
    assert (again.points_world[:, 2] > -1).all()
    glass = demo.depth.copy()
    glass[380:420, 300:340] = 0
    with pytest.raises(ValueError, match=r"Point 320,400 has no depth \(glass, or something glossy.*3 objects"):
        Tabletop().perceive(replace(demo, depth=glass), "lift it", point=(320, 400))


def test_a_point_beside_everything_is_on_the_table(labels: np.ndarray, demo: Scene):
    scene = Scene(color=np.zeros((40, 60, 3), dtype=np.uint8), depth=np.ones((40, 60)), camera=demo.camera)
    points = np.zeros((40, 60, 3))
    assert at_pixel((22, 15), labels, points, scene) == 0  # three pixels beside it
    with pytest.raises(ValueError, match=r"Point 50,35 lies on the table; choose a pixel on one of the 2 objects"):
        at_pixel((50, 35), labels, points, scene)


def test_boxes_choose_as_pixels_do(demo: Scene):
    seeing = Tabletop()
    found = seeing.perceive(demo, "lift the red can").target_object
    (u0, v0), (u1, v1) = found.pixels.min(axis=0) - 4, found.pixels.max(axis=0) + 4
    boxed = seeing.perceive(demo, "lift it", box=(int(u0), int(v0), int(u1), int(v1))).target_object
    assert np.array_equal(boxed.pixels, found.pixels)
    with pytest.raises(ValueError, match=r"Box 0,0,639,479 holds \d objects"):
        seeing.perceive(demo, "lift it", box=(0, 0, 639, 479))


def test_what_the_image_cuts_off_says_so():
    can = Thing(name="can", kind="can", size=(0.07, 0.07, 0.1), color=(0.8, 0.1, 0.1), position=(0.0, 0.0))
    whole = Tabletop().perceive(render((can,)).scene, "lift it").target_object
    assert not whole.cut_off
    aside = tabletop_camera(look_at(0.85, np.radians(45), target=(0.45, 0.0, 0.05)))
    part = Tabletop().perceive(render((can,), aside).scene, "lift it").target_object
    assert part.pixels[:, 0].min() == 0
    assert part.cut_off
    assert len(part.completed_points_world) == 1024
