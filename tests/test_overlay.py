"""What the pictures and pages of a plan show, on a hand-made scene whose pixels can be worked out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import viser
from PIL import Image

from unihm.geometry.camera import Camera
from unihm.schema.plan import Plan
from unihm.schema.scene import ObjectCloud, PerceivedScene, Scene
from unihm.viewer import overlay as drawing
from unihm.viewer import write_overlay, write_plan_html
from unihm.viewer.framing import GUESSED, OBJECT, PATH, seen_points

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
# Straight down from 1 m above the table: x to the right, the image's v against the world's y.
T_WORLD_CAMERA = np.array([[1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, -1.0, 1.0], [0, 0, 0, 1]])
CAMERA = Camera(fx=FOCAL, fy=FOCAL, cx=159.5, cy=119.5, width=WIDTH, height=HEIGHT, depth_scale=1000.0)
TOP, FLOOR = 0.1, 0.0  # m; heights of the block
CENTRE = np.array([-0.15, 0.02, 0.05])  # of a block of 0.1 m
GREEN = np.array([40, 160, 60])


def at(x: float, y: float, z: float) -> np.ndarray:
    """The pixel (u, v) of a world point, by hand."""
    return np.array([FOCAL * x / (1 - z) + 159.5, -FOCAL * y / (1 - z) + 119.5])


def block(x: float, y: float) -> ObjectCloud:
    """The seen top of a block of 0.1 m: whole pixels, their points and the guessed bottom."""
    (left, upper), (right, lower) = at(x - 0.05, y + 0.05, TOP), at(x + 0.05, y - 0.05, TOP)
    u, v = np.meshgrid(np.arange(np.ceil(left), right), np.arange(np.ceil(upper), lower))
    pixels = np.column_stack([u.ravel(), v.ravel()]).astype(int)
    seen = np.column_stack([(pixels - [159.5, 119.5]) * [1, -1] * (1 - TOP) / FOCAL, np.full(len(pixels), TOP)])
    bottom = seen * [1, 1, 0] + [0, 0, FLOOR]
    normals = np.repeat([[0.0, 0, 1], [0.0, 0, -1]], len(seen), axis=0)
    return ObjectCloud(
        points_world=seen,
        colors=np.tile(GREEN.astype(np.uint8), (len(pixels), 1)),
        pixels=pixels,
        completed_points_world=np.concatenate([seen, bottom]),
        completed_normals_world=normals,
    )


@pytest.fixture(scope="module")
def scene() -> Scene:
    color = np.full((HEIGHT, WIDTH, 3), 120, dtype=np.uint8)
    for thing in (block(*CENTRE[:2]), block(0.2, -0.15)):
        color[thing.pixels[:, 1], thing.pixels[:, 0]] = GREEN
    return Scene(color=color, depth=np.ones((HEIGHT, WIDTH)), camera=CAMERA)


@pytest.fixture(scope="module")
def perceived() -> PerceivedScene:
    things = (block(0.2, -0.15), block(*CENTRE[:2]))
    points = np.concatenate([thing.points_world for thing in things])
    return PerceivedScene(
        T_world_camera=T_WORLD_CAMERA,
        points_world=points,
        colors=np.full((len(points), 3), 90, dtype=np.uint8),
        objects=things,
        target=1,
    )


def plan_of(perceived: PerceivedScene, way: np.ndarray, words: str = "push it <right> $5$") -> Plan:
    T = np.tile(np.eye(4), (31, 1, 1))
    T[:, :3, 3] = CENTRE + np.linspace(0, 1, 31)[:, None] * way
    thing = perceived.target_object
    return Plan(
        instruction=words,
        task="push",
        fps=30.0,
        T_world_object=T,
        object_points=thing.completed_points_world - CENTRE,
        object_normals=thing.completed_normals_world,
        rest_frames=0,
        T_world_camera=T_WORLD_CAMERA,
    )


@pytest.fixture(scope="module")
def plan(perceived) -> Plan:
    return plan_of(perceived, np.array([0.25, 0.0, 0.0]))


@pytest.fixture(scope="module")
def picture(scene, perceived, plan) -> np.ndarray:
    return drawing.overlay(scene, perceived, plan).astype(int)


def patch(picture: np.ndarray, uv: np.ndarray, half: int = 0) -> np.ndarray:
    """Colours (n, 3) around a pixel of the scene in the left panel: 720 pixels high, 45 below the upper edge."""
    u, v = np.round((np.asarray(uv) + 0.5) * 720 / HEIGHT - 0.5).astype(int)
    v += 45
    return picture[v - half : v + half + 1, u - half : u + half + 1].reshape(-1, 3)


def near(colors: np.ndarray, wanted, tolerance: float = 25) -> int:
    return int((np.abs(colors - np.asarray(wanted)).max(axis=1) < tolerance).sum())


def test_the_target_is_tinted_and_everything_else_paled(picture):
    # Right of the start of the path, off the arrow.
    np.testing.assert_allclose(patch(picture, at(-0.13, 0.05, TOP)), [0.6 * GREEN + 0.4 * np.array(OBJECT)], atol=2)
    other = patch(picture, at(0.22, -0.17, TOP))[0]
    grey = GREEN.mean()
    np.testing.assert_allclose(other, 0.55 * GREEN + 0.45 * (0.6 * grey + 0.4 * 255), atol=2)


def test_the_target_has_an_outline_in_its_colour_and_the_other_a_dark_one(picture):
    left = at(CENTRE[0] - 0.05, 0.05, TOP)
    assert near(patch(picture, left, 5), OBJECT) >= 5
    right = patch(picture, at(0.2 + 0.05, -0.13, TOP), 5)
    assert near(right, OBJECT) == 0
    assert near(right, (75, 75, 75), 45) >= 5  # neither the block's green nor what is around it, which is lighter


def test_the_path_is_drawn_where_it_projects_and_ends_in_an_arrow(picture):
    for share in (0.0, 0.3, 0.6, 0.97):
        assert near(patch(picture, at(CENTRE[0] + 0.25 * share, 0.02, 0.05), 1), PATH) >= 6
    wide = [near(patch(picture, at(CENTRE[0] + x, 0.02, 0.05), 5), PATH) for x in (0.25 - 0.012, 0.1)]
    assert wide[0] > 1.3 * wide[1]  # the head
    assert near(patch(picture, at(CENTRE[0] + 0.25 + 0.02, 0.02, 0.05), 3), PATH) == 0


def test_the_moved_block_is_outlined_at_the_end(picture):
    end = CENTRE[0] + 0.25
    for x, y in ((end + 0.05, 0.05), (end, 0.07), (end, -0.03)):
        # The top of the block is its widest part in the image.
        assert near(patch(picture, at(x, y, TOP), 5), PATH, 40) >= 5
    assert near(patch(picture, at(end, 0.10, TOP), 5), PATH, 40) == 0


def test_guessed_points_are_known_and_drawn_apart(scene, perceived, plan, picture):
    seen = seen_points(plan, perceived)
    np.testing.assert_array_equal(seen, plan.object_points[:, 2] > 0)
    zoom = picture[45:765, -720:].reshape(-1, 3)
    assert near(zoom, GUESSED, 40) > 500
    assert near(picture[45:765, :-740].reshape(-1, 3), GUESSED, 15) == 0
    top = replace(plan, object_points=plan.object_points[seen], object_normals=plan.object_normals[seen])
    without = drawing.overlay(scene, perceived, top).astype(int)[45:765, -720:]
    assert near(without.reshape(-1, 3), GUESSED, 40) == 0


def test_the_view_grows_to_where_the_path_leads(scene, perceived):
    inside = drawing.overlay(scene, perceived, plan_of(perceived, np.array([0.05, 0.0, 0.0])))
    out = drawing.overlay(scene, perceived, plan_of(perceived, np.array([-0.5, 0.0, 0.0])))
    assert out.shape[0] == inside.shape[0]
    assert out.shape[1] > inside.shape[1] + 100


def test_a_path_toward_and_past_the_camera_is_drawn_as_far_as_it_is_seen(scene, perceived):
    past = drawing.overlay(scene, perceived, plan_of(perceived, np.array([0.1, 0.0, 1.5])))
    assert near(past.astype(int).reshape(-1, 3), PATH) > 200


def test_a_thing_that_turns_on_the_spot(scene, perceived):
    still = plan_of(perceived, np.zeros(3))
    picture = drawing.overlay(scene, perceived, still)
    assert near(patch(picture.astype(int), at(*CENTRE), 2), PATH) >= 5


def test_files(scene, perceived, plan, tmp_path, monkeypatch):
    write_overlay(tmp_path / "overlay.png", scene, perceived, plan)
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "overlay.png")), drawing.overlay(scene, perceived, plan)
    )
    clouds = {}
    original = viser.SceneApi.add_point_cloud
    monkeypatch.setattr(
        viser.SceneApi,
        "add_point_cloud",
        lambda self, name, points, colors, **options: (
            clouds.update({name: (points, colors)}),
            original(self, name, points, colors, **options),
        )[1],
    )
    write_plan_html(tmp_path / "plan.html", perceived, plan)
    page = (tmp_path / "plan.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert "push it &lt;right&gt; $5$" in page
    assert set(clouds) == {"/scene", "/target", "/object/cloud"}
    assert len(clouds["/scene"][0]) == len(perceived.points_world)
    np.testing.assert_array_equal(clouds["/target"][0], perceived.objects[1].points_world)
    points, colors = clouds["/object/cloud"]
    np.testing.assert_array_equal(points, plan.object_points)
    red = colors[:, 0].astype(int)
    seen = plan.object_points[:, 2] > 0
    assert red[seen].min() > 150 > 100 > red[~seen].max()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["overlay.png", "plan.html"]
