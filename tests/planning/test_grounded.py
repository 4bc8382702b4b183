"""Plans from what was asked for: hand-worked goals, and joints against MuJoCo's own kinematics by `planning.goals`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scene_builders import CAMERA, box_points, hinge, moved, pose, runner
from unihm.planning.base import planner_for
from unihm.planning.grounded import Grounded, free_amount, joint_amount, obstacles
from unihm.planning.pace import GENH2R
from unihm.schema.asked import Asked
from unihm.schema.scene import ObjectCloud, PerceivedScene

NOTHING = np.zeros((0, 3))


def cloud(points: np.ndarray) -> ObjectCloud:
    normals = np.tile([0.0, 0.0, 1.0], (len(points), 1))
    return ObjectCloud(
        points_world=points,
        colors=np.zeros((len(points), 3), dtype=np.uint8),
        pixels=np.zeros((len(points), 2), dtype=np.int64),
        completed_points_world=points,
        completed_normals_world=normals,
    )


def scene(asked: Asked | None, *things: np.ndarray) -> PerceivedScene:
    points = np.concatenate(things)
    return PerceivedScene(
        T_world_camera=CAMERA,
        points_world=points,
        colors=np.zeros((len(points), 3), dtype=np.uint8),
        objects=tuple(map(cloud, things)),
        target=0,
        asked=asked,
    )


BOX = moved(box_points((0.04, 0.04, 0.1)), 0.2, 0.0, 0.0)
OTHER = moved(box_points((0.1, 0.2, 0.06)), -0.1, 0.1, 0.0)


@pytest.mark.parametrize(
    ("asked", "words", "expected"),
    [
        (Asked(task="grab"), "Lift it", (0, 0, 0.25)),
        (Asked(task="grab"), "Lift it 12 cm", (0, 0, 0.12)),
        (Asked(task="grab", relation="up", how_far="little"), "Lift it a smidge", (0, 0, 0.08)),
        (Asked(task="place", relation="left"), "Move it 10 cm to the left", (-0.1, 0, 0)),
        (Asked(task="push", relation="away", how_far="far"), "Shove it well away", (0, 0.25, 0)),
        (Asked(task="place", relation="left of", reference=1), "Put it left of the box", (-0.42, 0.1, 0)),
        (Asked(task="place", relation="on", reference=1), "Put it on the box", (-0.3, 0.1, 0.06)),
    ],
)
def test_the_path_ends_where_the_words_say(asked, words, expected):
    plan = Grounded().plan(scene(asked, BOX, OTHER), words)
    assert plan.task == asked.task
    moved_by = plan.T_world_object[-1, :3, 3] - plan.T_world_object[0, :3, 3]
    assert moved_by == pytest.approx(expected, abs=2e-3)
    assert plan.T_world_object[: plan.rest_frames] == pytest.approx(np.tile(plan.T_world_object[0], (22, 1, 1)))


def test_a_turn_is_made_about_the_vertical():
    plan = Grounded().plan(scene(Asked(task="place"), BOX), "Turn it by 90 degrees clockwise")
    R = plan.T_world_object[-1, :3, :3] @ plan.T_world_object[0, :3, :3].T
    assert Rotation.from_matrix(R).as_rotvec() == pytest.approx([0, 0, -np.pi / 2], abs=1e-6)


def test_a_door_takes_its_handle_around_the_hinge():
    joint, T_world_handle = hinge((0.0, -0.2, 0.0)), pose(0.0, -0.2)
    bar = moved(box_points((0.01, 0.01, 0.1)), 0.0, -0.2, 0.0)
    asked = Asked(task="open", joint=joint, T_world_handle=T_world_handle)
    plan = Grounded().plan(scene(asked, bar), "Open the door to 60 degrees")
    R = plan.T_world_object[-1, :3, :3] @ plan.T_world_object[0, :3, :3].T
    assert np.degrees(Rotation.from_matrix(R).magnitude()) == pytest.approx(60 - np.degrees(joint.position), abs=0.1)
    # The middle of the bar keeps its distance from the axis.
    axis, start, end = joint.axis_world, plan.T_world_object[0, :3, 3], plan.T_world_object[-1, :3, 3]
    arms = [np.linalg.norm(np.cross(axis, p - joint.origin_world)) for p in (start, end)]
    assert arms[0] == pytest.approx(arms[1], abs=1e-6)


def test_opening_a_drawer_pulls_it_whatever_the_verb():
    joint = runner((0.0, 0.0, 0.0))
    asked = Asked(task="open", joint=joint, T_world_handle=pose(0.0, 0.0))
    plan = Grounded().plan(scene(asked, BOX), "Open the drawer")
    way = plan.T_world_object[-1, :3, 3] - plan.T_world_object[0, :3, 3]
    assert way @ joint.axis_world == pytest.approx(min(0.15, joint.upper - joint.position), abs=1e-6)


def test_another_thing_on_the_goal_is_refused():
    blocker = moved(box_points((0.05, 0.05, 0.05)), 0.1, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"occupied|blocked|No path"):
        Grounded().plan(scene(Asked(task="place", relation="left"), BOX, blocker), "Move it 10 cm to the left")


def test_the_object_is_no_obstacle_to_itself():
    assert len(obstacles(scene(Asked(task="grab"), BOX))) == 0
    # Of other things the points count, of the table those that are not on it.
    assert len(obstacles(scene(Asked(task="grab"), BOX, OTHER))) >= len(OTHER)


def test_what_hangs_straight_over_the_object_is_smear():
    rng = np.random.default_rng(0)
    over = np.column_stack([rng.uniform(0.19, 0.21, 60), rng.uniform(-0.01, 0.01, 60), rng.uniform(0.12, 0.3, 60)])
    column = replace(cloud(over), completed_points_world=NOTHING, completed_normals_world=NOTHING)
    perceived = scene(Asked(task="place", relation="left"), BOX)
    perceived = replace(perceived, objects=(*perceived.objects, column))
    assert len(obstacles(perceived)) == 0
    Grounded().plan(perceived, "Move it 10 cm to the left")
    beside = replace(column, points_world=over + np.array([0.05, 0.0, 0.0]))
    assert len(obstacles(replace(perceived, objects=(perceived.objects[0], beside)))) > 10


def test_at_the_speeds_of_genh2r_the_same_end_comes_later():
    perceived = scene(Asked(task="grab"), BOX)
    slow, fast = Grounded(GENH2R).plan(perceived, "Lift it"), Grounded().plan(perceived, "Lift it")
    assert len(slow) > len(fast)
    assert slow.T_world_object[-1] == pytest.approx(fast.T_world_object[-1], abs=1e-9)
    step = np.linalg.norm(np.diff(slow.T_world_object[:, :3, 3], axis=0), axis=1)
    assert step.max() * slow.fps <= GENH2R.speed + 1e-6


def test_scenes_that_nobody_read_the_words_of_are_planned_by_verbs():
    assert planner_for(scene(None, BOX)) == "verbs"
    assert planner_for(scene(Asked(task="push"), BOX)) == "grounded"
    with pytest.raises(ValueError, match="verbs"):
        Grounded().plan(scene(None, BOX), "Lift it 10 cm")


def test_amounts():
    joint = runner((0.0, 0.0, 0.0), position=0.02)
    drawer = Asked(task="pull", joint=joint, how_far="half")
    left = joint.upper - joint.position
    assert joint_amount(drawer, "Pull it halfway") == pytest.approx(0.5 * joint.upper - joint.position)
    assert joint_amount(drawer, "Pull it 50 cm") == pytest.approx(left)
    assert joint_amount(replace(drawer, how_far="none"), "Pull it") is None
    assert free_amount(Asked(task="push", how_far="little"), "Nudge it") == 0.05
    assert free_amount(Asked(task="push"), "Push it 7 cm") == pytest.approx(0.07)
