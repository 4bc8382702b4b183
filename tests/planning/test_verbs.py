"""What words become: tasks, directions as seen, distances, and paths without a jerk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unihm
from unihm.perception.base import PERCEPTIONS
from unihm.perception.scene_files import load_scene
from unihm.planning.base import PLANNERS
from unihm.planning.pregrasp import pregrasp
from unihm.planning.verbs import HOLD_FRAMES, REST_FRAMES, minimum_jerk, object_path
from unihm.planning.wording import direction_vector, read
from unihm.schema.scene import PerceivedScene
from unihm.simulation.tabletop import look_at

DEMO = Path(unihm.__file__).parent / "assets" / "scenes" / "demo"


@pytest.fixture(scope="module")
def perceived() -> PerceivedScene:
    return PERCEPTIONS["tabletop"]().perceive(load_scene(DEMO), "the yellow one")


@pytest.fixture(scope="module")
def displacement(perceived):
    def measure(words: str) -> np.ndarray:
        path = PLANNERS["verbs"]().plan(perceived, words).T_world_object[:, :3, 3]
        return path[-1] - path[0]

    return measure


# In the demo scene the camera looks along +y with x to the right.
@pytest.mark.parametrize(
    ("words", "task", "expected"),
    [
        ("lift the bottle", "grab", (0, 0, 0.25)),
        ("Pick up the yellow bottle!", "grab", (0, 0, 0.25)),
        ("Could you please grab it and raise it 10 cm?", "grab", (0, 0, 0.10)),
        ("raise it 0.15 m", "grab", (0, 0, 0.15)),
        ("lift it a little", "grab", (0, 0, 0.08)),
        ("lift it as high as possible", "grab", (0, 0, 0.40)),
        ("lift it with your right hand", "grab", (0, 0, 0.25)),
        ("grasp it from the left with two fingers", "grab", (0, 0, 0.25)),
        ("move it up 12 cm", "grab", (0, 0, 0.12)),
        ("move the bottle 10 cm to the left", "place", (-0.10, 0, 0)),
        ("move the bottle to the right by 10cm", "place", (0.10, 0, 0)),
        ("put the bottle on the left", "place", (-0.20, 0, 0)),
        ("put the left bottle 12 cm to the right", "place", (0.12, 0, 0)),
        ("pick up the bottle and place it 20 cm away", "place", (0, 0.20, 0)),
        ("bring it toward me", "place", (0, -0.20, 0)),
        ("hand me the bottle", "place", (0, -0.20, 0)),
        ("hand over the bottle", "place", (0, -0.20, 0)),
        ("move it half a metre to the left", "place", (-0.5, 0, 0)),
        ("move it three inches left", "place", (-0.0762, 0, 0)),
        ("move it 10 cm left and 20 cm forward", "place", (-0.10, 0.20, 0)),
        ("push the bottle", "push", (0, 0.12, 0)),
        ("push it 5 cm backward", "push", (0, -0.05, 0)),
        ("pull it", "push", (0, -0.12, 0)),
        ("slide the bottle 15 centimeters to the right", "push", (0.15, 0, 0)),
        ("nudge it away", "push", (0, 0.05, 0)),
    ],
)
def test_wordings(perceived, displacement, words, task, expected):
    plan = PLANNERS["verbs"]().plan(perceived, words)
    assert plan.task == task
    assert np.allclose(displacement(words), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("one", "other"), [("left", "right"), ("away from me", "toward me"), ("forward", "backward"), ("away", "closer")]
)
@pytest.mark.parametrize(
    "frame", ["move it {}", "push the bottle 9 cm {}", "carry the can {} by 30 cm", "please move it a bit {}"]
)
def test_opposite_words_are_opposite_ways(displacement, one, other, frame):
    forth, back = displacement(frame.format(one)), displacement(frame.format(other))
    assert np.linalg.norm(forth) > 0.04
    assert np.allclose(forth, -back, atol=1e-9)


@given(
    verb=st.sampled_from(["move", "carry", "put", "push", "slide"]),
    thing=st.sampled_from(["it", "the can", "the red can", "the left box", "the big one on the right"]),
    centimetres=st.integers(1, 60),
    unit=st.sampled_from(["cm", " cm", " centimetres"]),
    way=st.sampled_from(["left", "right", "away", "toward"]),
    before=st.booleans(),
)
def test_distance_and_direction_in_any_order(verb, thing, centimetres, unit, way, before):
    where = {"left": "to the left", "right": "to the right", "away": "away", "toward": "toward me"}[way]
    distance = f"{centimetres}{unit}"
    words = f"{verb} {thing} " + (f"{distance} {where}" if before else f"{where} by {distance}")
    wording = read(words)
    assert wording.task == ("push" if verb in ("push", "slide") else "move")
    ((directions, metres),) = wording.steps
    assert directions == (way,)
    assert metres == pytest.approx(centimetres / 100)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("the yellow bottle", "No known verb.*lift.*move.*push"),
        ("rotate the bottle", "rotate.*Known"),
        ("pour the bottle", "pour"),
        ("stack it", "stack"),
        ("do not lift it", "not to do"),
        ("don't move it left", "not to do"),
        ("move it", "Where to"),
        ("move it left and right", "left and right"),
        ("push it toward me and away", "away and toward"),
        ("put it next to the can", "another object"),
        ("put it left of the can", "another object"),
        ("put it into the bowl", "another object"),
        ("put it back", "back"),
        ("lift it 3 m", "out of reach"),
        ("lift it 0 cm", "out of reach"),
        ("move it left 5 cm 10 cm", "2 distances"),
        ("push it up", "not up"),
        ("push it and lift it", "one of them"),
    ],
)
def test_refusals(perceived, words, message):
    with pytest.raises(ValueError, match=message) as error:
        PLANNERS["verbs"]().plan(perceived, words)
    assert "\n" not in str(error.value)


def test_minimum_jerk_boundaries():
    tau = np.linspace(0, 1, 20001)
    s = minimum_jerk(tau)
    velocity = np.gradient(s, tau, edge_order=2)
    acceleration = np.gradient(velocity, tau, edge_order=2)
    assert s[0] == 0
    assert s[-1] == 1
    assert np.abs([velocity[0], velocity[-1]]).max() < 1e-6
    assert np.abs([acceleration[0], acceleration[-1]]).max() < 1e-2
    assert velocity.max() == pytest.approx(1.875, rel=1e-4)  # known peak of the quintic
    # The sixth derivative of the minimiser of squared jerk is zero (Flash and Hogan 1985): a quintic, exactly.
    assert np.allclose(np.polyval([6, -15, 10, 0, 0, 0], tau), s)


@given(x=st.floats(-0.4, 0.4), y=st.floats(-0.4, 0.4), z=st.floats(0, 0.4), clearance=st.sampled_from([0.0, 0.1]))
def test_paths_rest_move_and_hold(x, y, z, clearance):
    goal = np.array([x, y, z])
    path = object_path(goal, clearance)
    assert 64 <= len(path) <= 76
    assert np.array_equal(path[:REST_FRAMES], np.zeros((REST_FRAMES, 3)))
    assert np.allclose(path[-HOLD_FRAMES - 1 :], goal)
    assert path[:, 2].min() > -1e-12
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    if np.linalg.norm(goal) > 1e-3:
        assert step[REST_FRAMES - 1] > 0  # frame REST_FRAMES is the first that moves
    # Neither end jerks: the first and last steps are small beside the largest.
    assert step[REST_FRAMES - 1] <= 0.02 * step.max() + 1e-9


def test_plan_frames(perceived):
    plan = PLANNERS["verbs"]().plan(perceived, "lift it")
    assert np.allclose(plan.object_points.min(axis=0), -plan.object_points.max(axis=0), atol=1e-12)
    world = plan.object_points + plan.T_world_object[0, :3, 3]
    assert np.allclose(world, perceived.target_object.completed_points_world)
    assert np.array_equal(plan.T_world_object[0, :3, :3], np.eye(3))


@pytest.mark.parametrize("yaw", [0.0, 0.7, 2.5, -1.9])
@pytest.mark.parametrize("pitch", [0.1, 0.8, np.pi / 2])
def test_directions_are_those_of_the_camera(yaw, pitch):
    T = look_at(0.9, pitch, yaw)
    right, away = direction_vector("right", T), direction_vector("away", T)
    assert np.allclose(right, T[:3, 0], atol=1e-9)  # the image's x axis is level
    assert np.allclose(away, [-np.sin(yaw), np.cos(yaw), 0], atol=1e-9)
    assert np.allclose(direction_vector("left", T), -right)
    assert np.allclose(direction_vector("toward", T), -away)


@pytest.mark.parametrize("yaw", [0.0, 1.3, -2.2])
def test_pregrasp_stands_on_the_cameras_side_and_faces_the_object(perceived, yaw):
    import dataclasses

    plan = PLANNERS["verbs"]().plan(perceived, "lift it")
    plan = dataclasses.replace(plan, T_world_camera=look_at(0.9, 0.8, yaw))
    T = pregrasp(plan)
    assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    offset = T[:3, 3] - plan.T_world_object[0, :3, 3]
    assert offset @ direction_vector("toward", plan.T_world_camera) > 0.2
    assert offset @ direction_vector("right", plan.T_world_camera) > 0.2
    assert np.linalg.norm(offset[:2]) == pytest.approx(0.453, abs=0.005)
    assert T[2, 3] > 0.1
    assert T[:3, 0] @ offset < 0  # fingers to the object
    assert T[2, 2] < 0  # palm down
    assert np.cross(T[:3, 2], T[:3, 0]) @ T[:3, 1] > 0
