"""Goals by hand-worked numbers, how much noise moves them, and the paths that lead there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scene_builders import CAMERA, box_points, cup_points, hinge, moved, pose, runner
from unihm.planning.goals import RELATIONS, goal_pose, task_path
from unihm.planning.opening import opening
from unihm.planning.pace import GENH2R, HUMAN

NOTHING = np.zeros((0, 3))
# A box of 4 x 4 x 10 cm, and a reference of 10 x 20 x 6 cm.
START, REFERENCE = pose(0.2, 0.0), moved(box_points((0.1, 0.2, 0.06)), -0.1, 0.1, 0.0)
OBJECT = box_points((0.04, 0.04, 0.1))


def at(T: np.ndarray, points: np.ndarray = OBJECT) -> np.ndarray:
    return points @ T[:3, :3].T + T[:3, 3]


def goal(relation: str, amount=None, turn=0.0, task="place", points=None, reference=REFERENCE, T=START):
    return goal_pose(task, relation, amount, turn, T, at(T) if points is None else points, reference, CAMERA)


# The camera looks along +y with x to the right; 5 cm are free beside the reference.
@pytest.mark.parametrize(
    ("relation", "amount", "expected"),
    [
        ("left", None, (0.0, 0.0, 0.0)),
        ("right", 0.1, (0.3, 0.0, 0.0)),
        ("away", 0.1, (0.2, 0.1, 0.0)),
        ("toward", 0.15, (0.2, -0.15, 0.0)),
        ("left of", None, (-0.15 - 0.05 - 0.02, 0.1, 0.0)),
        ("right of", None, (-0.05 + 0.05 + 0.02, 0.1, 0.0)),
        ("right of", 0.1, (-0.05 + 0.1 + 0.02, 0.1, 0.0)),
        ("behind", None, (-0.1, 0.2 + 0.05 + 0.02, 0.0)),
        ("in front of", None, (-0.1, 0.0 - 0.05 - 0.02, 0.0)),
        ("next to", None, (-0.05 + 0.05 + 0.02, 0.1, 0.0)),  # it is on the right already
        ("on", None, (-0.1, 0.1, 0.06)),
    ],
)
def test_goals_by_hand(relation, amount, expected):
    T = goal(relation, amount)
    assert T[:3, 3] == pytest.approx(expected, abs=1e-9)
    assert T[:3, :3] == pytest.approx(np.eye(3))


@pytest.mark.parametrize(
    ("task", "relation", "expected"),
    [
        ("grab", "", (0, 0, 0.25)),
        ("push", "", (0, 0.12, 0)),
        ("pull", "", (0, -0.12, 0)),
        ("push", "left", (-0.12, 0, 0)),
    ],
)
def test_the_task_says_which_way(task, relation, expected):
    assert goal(relation, task=task)[:3, 3] - START[:3, 3] == pytest.approx(expected)


def test_next_to_stays_on_its_side():
    assert goal("next to", T=pose(-0.3, -0.1))[0, 3] == pytest.approx(-0.22)


def test_the_goal_does_not_depend_on_where_the_frame_is():
    T_object_other = pose(0.07, -0.02, 0.4, 0.03)
    other = goal_pose("place", "left of", None, 0.5, START @ T_object_other, at(START), REFERENCE, CAMERA)
    assert other == pytest.approx(goal("left of", turn=0.5) @ T_object_other)


def test_turn_is_about_the_vertical_through_the_centre():
    long = box_points((0.2, 0.04, 0.05))
    T = pose(0.2, 0.1, 0.3)
    turned = goal_pose("place", "", None, np.pi / 2, T, at(T, long), None, CAMERA)
    assert turned[:3, :3] == pytest.approx(Rotation.from_euler("z", 0.3 + np.pi / 2).as_matrix())
    assert turned[:3, 3] == pytest.approx(T[:3, 3], abs=1e-9)
    # Turned by a right angle it is beside the reference with its narrow side: 2 instead of 10 cm from its centre.
    beside = goal_pose("place", "left of", None, np.pi / 2, pose(0.2, 0.1), at(pose(0.2, 0.1), long), REFERENCE, CAMERA)
    assert beside[0, 3] == pytest.approx(-0.15 - 0.05 - 0.02)


def test_in_a_cup():
    cup = moved(cup_points(), 0.3, 0.2, 0.0)
    small = box_points((0.03, 0.03, 0.03))
    T = goal("in", points=at(START, small), reference=cup)
    assert T[:2, 3] == pytest.approx([0.3, 0.2], abs=1e-3)
    radius = np.hypot(0.015, 0.015)
    assert T[2, 3] == pytest.approx(0.1 * (0.15 + 0.6 * (radius / 0.045) ** 2), abs=3e-3)


def test_opening_of_a_cup_with_a_handle_and_a_stray_point():
    handle = moved(box_points((0.04, 0.01, 0.07)), 0.07, 0.0, 0.015)
    centre, radius = opening(np.concatenate([cup_points(), handle, [[0.3, 0.3, 0.3]]]))
    assert centre == pytest.approx([0, 0], abs=1.5e-3)
    assert radius == pytest.approx(0.045, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"relation": "in"}, "not hollow|lie on a circle"),
        ({"relation": "in", "reference": cup_points(), "points": box_points((0.08, 0.08, 0.02))}, "does not fit"),
        ({"relation": "left", "amount": 0.7}, "at most 0.6"),
        ({"relation": "on", "amount": 0.1}, "takes no distance"),
        ({"relation": "on", "reference": None}, "another thing"),
        ({"relation": "on", "reference": moved(REFERENCE, 2.0, 0, 0)}, "cm away"),
        ({"relation": "under"}, "Relation 'under' not found"),
        ({"relation": ""}, "Where to"),
        ({"relation": "left", "task": "grab"}, "does not go 'left'"),
        ({"relation": "on", "task": "push"}, "does not go 'on'"),
        ({"relation": "", "task": "open"}, "has no goal pose"),
        ({"relation": "left", "points": NOTHING}, "needs points"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        goal(**arguments)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    relation=st.sampled_from([name for name in RELATIONS if name not in ("", "up", "next to")]),
    noise=st.floats(1e-4, 4e-3),
    turn=st.sampled_from([0.0, 0.6]),
    seed=st.integers(0, 10_000),
)
def test_noise_moves_a_goal_by_no_more_than_a_few_times_itself(relation, noise, turn, seed):
    rng = np.random.default_rng(seed)
    reference = moved(cup_points(), -0.1, 0.1, 0.0) if relation == "in" else REFERENCE
    points = at(START, box_points((0.03, 0.03, 0.03)))
    clean = goal(relation, points=points, reference=reference, turn=turn)
    noisy = [cloud + rng.uniform(-noise, noise, cloud.shape) for cloud in (points, reference)]
    noisy = [np.concatenate([cloud, rng.uniform(-1, 1, (2, 3))]) for cloud in noisy]  # and two stray points
    other = goal(relation, points=noisy[0], reference=noisy[1], turn=turn)
    assert np.linalg.norm(other[:3, 3] - clean[:3, 3]) < 4 * noise + 1.5e-3
    assert other[:3, :3] == pytest.approx(clean[:3, :3])


def speeds(path: np.ndarray) -> tuple[float, float]:
    turns = Rotation.from_matrix(path[:-1, :3, :3]).inv() * Rotation.from_matrix(path[1:, :3, :3])
    return 30 * np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1).max(), 30 * turns.magnitude().max()


@pytest.mark.parametrize("pace", [GENH2R, HUMAN])
@pytest.mark.parametrize(
    ("task", "relation", "turn"),
    [
        ("grab", "up", 0.0),
        ("place", "left of", 1.0),
        ("place", "on", 0.0),
        ("place", "", 2.0),
        ("push", "", 0.0),
        ("pull", "right", 0.0),
    ],
)
def test_paths_of_free_objects(task, relation, turn, pace):
    end = goal(relation, turn=turn, task=task)
    path, rest = task_path(task, START, at(START), end, REFERENCE, pace)
    assert (path[:rest] == START).all()
    assert (path[rest] != START).any()
    assert path[-1] == pytest.approx(end, abs=1e-6)
    fastest, fastest_turn = speeds(path)
    assert fastest <= pace.speed + 1e-6
    assert fastest_turn <= pace.turn_speed + 1e-6
    if task == "push":
        assert path[:, 2, 3] == pytest.approx(0)
    if task == "place":
        assert path[:, 2, 3].max() > 0.04


def test_a_carried_object_goes_over_what_is_in_between():
    wall = box_points((0.02, 0.3, 0.25))
    path, _ = task_path("place", START, at(START), pose(-0.2, 0.0), wall)
    over = np.abs(path[:, 0, 3]) < 0.02
    assert path[over, 2, 3].min() > 0.25


def test_a_drawer_follows_its_runner():
    handle, joint = pose(0.1, 0.3, z=0.2), runner((0.1, 0.3, 0.2), position=0.08)
    path, _ = task_path("pull", handle, at(handle), (joint, None), NOTHING)
    assert path[-1, :3, 3] == pytest.approx([0.1, 0.3 - 0.12, 0.2])  # the 12 cm that are left of 20
    path, _ = task_path("push", handle, at(handle), (joint, None), NOTHING)
    assert path[-1, :3, 3] == pytest.approx([0.1, 0.38, 0.2])
    path, _ = task_path("push", handle, at(handle), (joint, 0.05), NOTHING)
    assert path[-1, :3, 3] == pytest.approx([0.1, 0.35, 0.2])


@pytest.mark.parametrize(
    ("amount", "position", "end"), [(None, 0.0, 90), (np.radians(60), 0.5, 60), (1.9, 0.0, 108.86)]
)
def test_a_door_opens_to_an_angle(amount, position, end):
    joint = hinge((0.1, 0.3, 0.2), position=position)
    shut = np.array([0.2, 0.0, 0.0])  # from the hinge to the handle
    now, then = (Rotation.from_rotvec([0, 0, -angle]) for angle in (position, np.radians(end)))
    handle = np.eye(4)
    handle[:3, :3], handle[:3, 3] = now.as_matrix(), joint.origin_world + now.apply(shut)
    path, _ = task_path("open", handle, at(handle), (joint, amount), NOTHING)
    assert path[-1, :3, 3] == pytest.approx(joint.origin_world + then.apply(shut), abs=1e-4)
    assert speeds(path)[0] <= GENH2R.speed + 1e-6


@pytest.mark.parametrize(
    ("task", "joint", "amount", "message"),
    [
        ("pull", runner((0, 0, 0), position=0.19), None, "Nothing to pull"),
        ("pull", runner((0, 0, 0), position=0.1), 0.15, "Nothing to pull"),
        ("push", runner((0, 0, 0)), None, "Nothing to push"),
        ("open", hinge((0, 0, 0), position=1.7), None, "Nothing to open"),
        ("close", hinge((0, 0, 0)), None, "Nothing to close"),
        ("open", runner((0, 0, 0)), None, "does not move a part on a slide"),
        ("pull", hinge((0, 0, 0)), None, "does not move a part on a hinge"),
        ("grab", hinge((0, 0, 0)), None, "does not move a part on a hinge"),
        ("pull", runner((0, 0, 0)), -0.1, "above 0"),
        ("shake", runner((0, 0, 0)), None, "Task 'shake' not found"),
    ],
)
def test_joints_that_cannot_are_refused(task, joint, amount, message):
    with pytest.raises(ValueError, match=message):
        task_path(task, START, at(START), (joint, amount), NOTHING)


def test_occupied_goals_and_blocked_ways_are_refused():
    with pytest.raises(ValueError, match="occupied"):
        task_path("place", START, at(START), pose(-0.1, 0.1), REFERENCE)
    with pytest.raises(ValueError, match="blocked"):
        task_path("push", START, at(START), pose(0.2, 0.2), moved(box_points((0.1, 0.02, 0.1)), 0.2, 0.1, 0.0))
    with pytest.raises(ValueError, match="free"):
        task_path("open", START, at(START), pose(0.2, 0.2), NOTHING)


@pytest.mark.parametrize(("task", "end", "gap"), [("push", (0.2, 0.2), 0.004), ("place", (0.2, 0.1), 0.005)])
def test_perceived_clouds_may_be_a_little_too_near(task, end, gap):
    beside = moved(box_points((0.04, 0.04, 0.1)), 0.2 + 0.02 + gap + 0.02, 0.1, 0.0)
    with pytest.raises(ValueError, match=r"blocked|No path keeps 10 mm"):
        task_path(task, START, at(START), pose(*end), beside)
    path, _ = task_path(task, START, at(START), pose(*end), beside, slack=0.003)
    assert path[-1, :2, 3] == pytest.approx(end)


@pytest.mark.parametrize("gap", [0.0, 0.001, -0.008])
def test_where_perceived_clouds_say_occupied_a_goal_a_little_beside_it_is_taken(gap):
    beside = moved(box_points((0.04, 0.04, 0.1)), 0.2 + 0.02 + gap + 0.02, 0.1, 0.0)
    with pytest.raises(ValueError, match="occupied"):
        task_path("place", START, at(START), pose(0.2, 0.1), beside)
    path, _ = task_path("place", START, at(START), pose(0.2, 0.1), beside, slack=0.003)
    assert 0.009 < np.hypot(*(path[-1, :2, 3] - (0.2, 0.1))) < 0.021
    assert path[-1, 0, 3] + 0.02 < beside[:, 0].min()
    assert path[-1, 2, 3] == pytest.approx(0)


def test_a_goal_that_is_deep_in_another_thing_stays_out_of_reach():
    with pytest.raises(ValueError, match=r"occupied|No path"):
        task_path("place", START, at(START), pose(-0.1, 0.1), REFERENCE, slack=0.003)


def test_between_perceived_walls_it_goes_straight_up_and_down():
    walls = [moved(box_points((0.02, 0.1, 0.25)), 0.2 + side * (0.02 + 0.009 + 0.01), 0.0, 0.0) for side in (-1, 1)]
    scene = np.concatenate(walls)
    with pytest.raises(ValueError, match="No path"):
        task_path("place", START, at(START), pose(0.5, 0.0), scene)
    path, _ = task_path("place", START, at(START), pose(0.5, 0.0), scene, slack=0.003)
    low = path[path[:, 2, 3] < 0.1]
    assert np.minimum(np.abs(low[:, 0, 3] - 0.2), np.abs(low[:, 0, 3] - 0.5)).max() < 0.015
    assert path[-1, :3, 3] == pytest.approx((0.5, 0, 0))
