"""Judges against rollouts written by hand: one success and every reason of failure, on both sides of each threshold."""

from __future__ import annotations

import numpy as np
import pytest
from task_records import clock, poses, record

from unihm.simulation import constants
from unihm.simulation.tasks import REASONS, TASKS, scatter
from unihm.simulation.tasks.clearance import surface_samples
from unihm.simulation.tasks.grab import Grab
from unihm.simulation.tasks.place import Place
from unihm.simulation.tasks.slide import Slide

TIGHT = 1e-6
CENTRE = np.zeros(3)


def grab(criterion="full", seconds=2.0, **changes) -> Grab:
    return Grab(criterion=constants.GRAB[criterion], motion_seconds=seconds, centre=CENTRE, **changes)


def lifted(times, height=0.15, start=1.0, rise=1.0) -> np.ndarray:
    """Heights of an object that rests until `start` and rises evenly."""
    return height * np.clip((times - start) / rise, 0, 1)


def judged(task: Grab, height, **record_changes):
    times = clock(task.seconds)
    z = height(times) if callable(height) else np.broadcast_to(height, len(times))
    path = np.stack([0 * times, 0 * times, z], axis=1)
    # The palm goes with the object unless told otherwise: what is held does not drift.
    changes = {"palm": poses(path), "object": poses(path), "on_table": z < 1e-3, **record_changes}
    return task.judge(record(times, **{k: v(times) if callable(v) else v for k, v in changes.items()}))


# --- grab --------------------------------------------------------------------------------------------------------


def test_a_grab_that_meets_the_full_criterion():
    task = grab()
    assert task.lift == 0.1
    assert task.push_start == pytest.approx(5.5)  # 2 s of motion, 0.5 s to come to rest, 3 s hold
    assert task.seconds == pytest.approx(8.5)  # and six pushes of half a second
    outcome = judged(task, lifted)
    assert outcome.success
    assert outcome.reason == ""
    assert outcome.progress == 1.0
    measures = outcome.measures
    assert measures["height_mm"] == pytest.approx(150)
    assert measures["reached_s"] == pytest.approx(1.67)  # 10 cm of 15 at two thirds of the rise, next record
    assert measures["held_s"] == pytest.approx(8.5 - 1.67)
    assert measures["drift_mm"] == pytest.approx(0)
    assert measures["slip_mm_per_frame"] == pytest.approx(0)
    assert measures["force_max_n"] == 5.0


def test_the_six_pushes_go_both_ways_along_each_axis():
    task = grab("hard")
    assert task.disturbance(5.4999) is None
    seen = [task.disturbance(5.5 + 0.5 * k + 0.25) for k in range(6)]
    expected = 5.0 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    np.testing.assert_array_equal(np.array(seen), expected)
    assert task.disturbance(8.51) is None
    assert np.abs(grab("full").disturbance(6.0)).max() == 0.5
    assert grab("light").disturbance(100.0) is None


@pytest.mark.parametrize(("height", "ok"), [(0.1, True), (0.1 - TIGHT, False)])
def test_ten_centimetres(height, ok):
    outcome = judged(grab(), lambda t: lifted(t, height))
    assert outcome.reason == ("" if ok else "timed out")


@pytest.mark.parametrize(("reached", "reason"), [(6.0, ""), (6.01, "timed out")])
def test_six_seconds(reached, reason):
    task = grab(seconds=6.0)
    outcome = judged(task, lambda t: 0.15 * (t >= reached - 1e-9))
    assert outcome.reason == reason


@pytest.mark.parametrize(("held", "reason"), [(3.0, ""), (2.99, "slipped")])
def test_three_seconds_of_hold(held, reason):
    """Without pushes, an object that falls after 3 s has been held for 3 s; with them it has not survived."""
    light = constants.GrabCriterion(lift=0.1, within=6.0, hold=3.0)
    task = Grab(criterion=light, motion_seconds=2.0, centre=CENTRE)
    outcome = judged(task, lambda t: 0.15 * ((t >= 1.0) & (t < 1.0 + held + 0.005)))
    assert outcome.reason == reason
    assert outcome.measures["held_s"] == pytest.approx(held)
    assert judged(grab(), lambda t: 0.15 * ((t >= 1.0) & (t < 4.5))).reason == "slipped"


@pytest.mark.parametrize(("moved", "turned", "reason"), [
    (0.02, 15.0, ""), (0.02 + TIGHT, 0.0, "slipped"), (0.0, 15.0 + 1e-3, "slipped"), (0.0, 15.0, ""),
])  # fmt: skip
def test_drift_in_the_palm(moved, turned, reason):
    """After the lift the object slides in the hand, while palm and object go on being high."""

    def object(times):
        late = np.clip((times - 2.5) / 0.5, 0, 1)
        return poses(np.stack([moved * late, 0 * times, lifted(times)], axis=1), turned * late, axis=(0, 1, 0))

    outcome = judged(grab(), lifted, object=object)
    assert outcome.reason == reason
    assert outcome.measures["drift_mm"] == pytest.approx(1e3 * moved)
    assert outcome.measures["drift_deg"] == pytest.approx(turned)
    assert outcome.margin == pytest.approx(1 - max(moved / 0.02, turned / 15))


def test_drift_is_counted_from_three_centimetres_on_and_about_the_centre_of_mass():
    centre = np.array([0.1, 0.0, 0.0])  # the object's frame is 10 cm beside it

    def object(times):
        early = np.clip((times - 1.0) / 0.15, 0, 1)  # settles in the hand by 3 cm before it is 3 cm up (at 1.2 s)
        spin = 10 * np.clip((times - 2.5) / 0.5, 0, 1)  # then turns about its own centre
        T = poses(np.stack([0.03 * early, 0 * times, lifted(times)], axis=1), spin)
        T[:, :3, 3] -= T[:, :3, :3] @ centre
        return T

    task = Grab(criterion=constants.GRAB["full"], motion_seconds=2.0, centre=centre)
    outcome = judged(task, lifted, object=object)
    assert outcome.success
    assert outcome.measures["drift_mm"] == pytest.approx(0, abs=1e-6)
    assert outcome.measures["drift_deg"] == pytest.approx(10)


def test_slip_is_the_way_in_the_palm_per_frame():
    def object(times):
        late = np.clip((times - 2.5) / 0.5, 0, 1)
        return poses(np.stack([0.01 * late, 0 * times, lifted(times)], axis=1))

    outcome = judged(grab(), lifted, object=object)
    # 10 mm between 1.2 s, when the object is 3 cm up, and 8.5 s: 219 frames of 30 Hz.
    assert outcome.measures["slip_mm_per_frame"] == pytest.approx(10 / (7.3 * 30))


@pytest.mark.parametrize(("gap", "reason"), [(0.1, ""), (0.11, "slipped"), (9.0, "slipped")])
def test_two_opposing_links(gap, reason):
    outcome = judged(grab(), lifted, opposing=lambda t: (t < 2.0) | (t > 2.0 + gap + 0.005))
    assert outcome.reason == reason


def test_a_thing_that_lies_on_the_hand_was_never_between_opposing_links():
    assert judged(grab(), lifted, opposing=False).reason == "missed"
    assert judged(grab("light"), lifted, opposing=False).success


def test_reasons_of_a_grab_that_never_lifted():
    still = {"object": lambda t: poses(np.zeros((len(t), 3))), "on_table": True}

    def pushed(t):
        return poses(np.stack([np.clip(t - 1, 0, 1) * 0.021, 0 * t, 0 * t], axis=1))

    def tipped(t):
        return poses(np.zeros((len(t), 3)), 16 * np.clip(t - 1, 0, 1), axis=(1, 0, 0))

    assert judged(grab(), 0.0, touching=False, opposing=False, **still).reason == "missed"
    assert judged(grab(), 0.0, opposing=False, **still).reason == "missed"  # brushed
    assert judged(grab(), 0.0, opposing=False, on_table=True, object=pushed).reason == "knocked"
    assert judged(grab(), 0.0, opposing=False, on_table=True, object=tipped).reason == "knocked"
    assert judged(grab(), 0.0, opposing=lambda t: (t > 1) & (t < 2), **still).reason == "slipped"
    # What stands up on the table has a higher centre and was not lifted.
    assert judged(grab(), lifted, on_table=True, opposing=False).reason == "knocked"


def test_pushes_must_be_survived():
    def falls(times):
        return np.where(times < 7.0, lifted(times), 0.0)

    outcome = judged(grab(), falls, palm=lambda t: poses(np.stack([0 * t, 0 * t, lifted(t)], axis=1)))
    assert outcome.reason == "slipped"
    assert outcome.measures["held_s"] > 3.0
    cut = clock(5.5)
    path = np.stack([0 * cut, 0 * cut, lifted(cut)], axis=1)
    partial = grab().judge(record(cut, palm=poses(path), object=poses(path), on_table=path[:, 2] < 1e-3))
    assert partial.reason == "timed out"  # so far: the pushes are still to come


@pytest.mark.parametrize(("depth", "reason"), [(0.01, ""), (0.01 + TIGHT, "pierced")])
def test_pierced_is_the_depth_at_the_start(depth, reason):
    assert judged(grab(), lifted, start_depth=depth).reason == reason
    assert judged(grab(), lifted, depth=lambda t: 0.02 * (t == 4)).success  # later squeeze is measured only
    assert judged(grab(), lifted, depth=lambda t: 0.02 * (t == 4)).measures["depth_max_mm"] == pytest.approx(20)


@pytest.mark.parametrize("name", ["grab", "slide", "place", "pull", "close"])
def test_what_did_not_stay_finite_is_unstable(name):
    from unihm.simulation.tasks.drawer import Pull
    from unihm.simulation.tasks.hinge import Close

    task = {
        "grab": grab(),
        "slide": slide(),
        "place": place(),
        "pull": Pull(motion_seconds=1.0),
        "close": Close(motion_seconds=1.0),
    }[name]
    times = clock(1.0)
    rollout = record(times, object=poses(np.zeros((len(times), 3))), fixture=0.0, failure="unstable at t = 1 s")
    outcome = task.judge(rollout)
    assert (outcome.success, outcome.reason, outcome.progress) == (False, "unstable", 0.0)


@pytest.mark.parametrize(("human", "needed"), [(0.3, 0.1), (0.12, 0.07), (0.06, 0.03), (None, 0.1)])
def test_the_lighter_criterion_asks_for_the_human_height_less_5_cm(human, needed):
    task = grab("light", human_lift=human)
    assert task.lift == pytest.approx(needed)
    assert task.seconds == pytest.approx(3.5)  # 1 s hold and no pushes
    assert judged(task, lambda t: lifted(t, needed + TIGHT)).success
    assert not judged(task, lambda t: lifted(t, needed - 1e-4)).success


# --- place -------------------------------------------------------------------------------------------------------


def place(distance=constants.PLACE_DISTANCE) -> Place:
    from unihm.hands.description import describe_hand

    corners = np.array([[x, y, z] for x in (-0.02, 0.02) for y in (-0.02, 0.02) for z in (-0.02, 0.02)])
    faces = np.array([[0, 1, 3], [0, 3, 2]])
    return Place(
        hand=describe_hand("panda"),
        surface=surface_samples(corners, faces, count=50),
        centre=CENTRE,
        T_world_goal=poses([[0.2, 0.0, 0.0]])[0],
        motion_seconds=2.0,
        distance=distance,
    )


def placed(task, end=(0.2, 0.0, 0.0), angle=0.0, away=0.5, **changes):
    """Carried from the origin in an arc between 0.5 and 1.5 s, then left."""
    times = clock(task.seconds)
    share = np.clip(times - 0.5, 0, 1)
    path = share[:, None] * np.asarray(end) + 0.1 * np.stack([0 * share, 0 * share, np.sin(np.pi * share)], axis=1)
    held = (times > 0.4) & (times < 1.6)
    palm = poses(path + np.array([0, 0, away]))
    values = {
        "palm": palm, "object": poses(path, angle * share), "touching": held, "opposing": held, "on_table": ~held,
    }  # fmt: skip
    values |= {k: v(times) if callable(v) else v for k, v in changes.items()}
    return task.judge(record(times, **values))


def test_a_placed_object():
    outcome = placed(place())
    assert outcome.success
    assert outcome.measures["distance_mm"] == pytest.approx(0, abs=1e-9)
    assert outcome.measures["rest_s"] >= 0.5
    assert outcome.measures["height_mm"] == pytest.approx(100)
    assert outcome.margin == pytest.approx(1.0)


@pytest.mark.parametrize(("limit", "off", "angle", "reason"), [
    (0.03, 0.03, 0.0, ""), (0.03, 0.03 + TIGHT, 0.0, "slipped"), (0.015, 0.015, 0.0, ""),
    (0.015, 0.02, 0.0, "slipped"), (0.03, 0.0, 15.0, ""), (0.03, 0.0, 15.001, "slipped"),
])  # fmt: skip
def test_distance_and_angle_from_the_goal(limit, off, angle, reason):
    outcome = placed(place(limit), end=(0.2 + off, 0.0, 0.0), angle=angle)
    assert outcome.reason == reason
    assert outcome.measures["distance_mm"] == pytest.approx(1e3 * off, abs=1e-9)


def test_rest_and_clearance_at_the_end():
    def late(times):  # creeps to the goal until 0.1 s before the end
        x = 0.2 + 0.01 * np.clip(2.9 - times, 0, 1)
        return poses(np.stack([np.where(times < 1.0, 0.2 * times, x), 0 * times, 0 * times], axis=1))

    assert placed(place(), object=late).reason == "timed out"
    near = placed(place(), away=0.0)  # the palm stays where the object is
    assert near.measures["clear_mm"] < 20
    assert near.reason == "timed out"


def test_the_clearance_is_that_of_the_hands_body():
    """Distances from the box of the Panda's hand, 36 x 200 x 80 mm about z = 26.17 mm, by hand."""
    from unihm.hands.description import describe_hand
    from unihm.simulation.tasks.clearance import hand_distance

    hand = describe_hand("panda")
    T_world_palm = poses([[0.1, 0.2, 0.3]], 30.0, axis=(0.6, 0.0, 0.8))[0]
    T_world_hand = T_world_palm @ np.linalg.inv(hand.T_root_palm)
    for point, distance in (([0.018 + 0.05, 0.0, 0.05], 0.05), ([0.018 + 0.03, 0.0, 0.06617 + 0.04], 0.05)):
        world = T_world_hand @ [*point, 1.0]
        open_hand = np.array([0.04])
        assert hand_distance(hand, T_world_palm, open_hand, world[None, :3]) == pytest.approx(distance, abs=2e-4)


@pytest.mark.parametrize(("fall", "reason"), [(0.05, ""), (0.051, "slipped")])
def test_drops(fall, reason):
    """The hand lets go above the goal: nothing touches until it lies."""

    def object(times):
        z = np.where(times < 1.0, fall, np.clip(fall * (1 - (times - 1.0) / 0.1), 0, None))
        return poses(np.stack([0.2 + 0 * times, 0 * times, z], axis=1))

    def touching(times):
        return times < 1.0 - 1e-9

    outcome = placed(place(), object=object, touching=touching, opposing=touching, on_table=lambda t: t > 1.095)
    assert outcome.measures["fall_mm"] == pytest.approx(1e3 * fall)
    assert outcome.reason == reason


def test_reasons_of_a_place_that_went_wrong():
    def stays(times):
        return poses(np.zeros((len(times), 3)))

    def pushed(times):
        return poses(np.stack([0.05 * np.clip(times - 1, 0, 1), 0 * times, 0 * times], axis=1))

    def pushed_off(times):  # put down at 1.5 s, pushed off by 10 cm after 2 s
        x = 0.2 * np.clip(times - 0.5, 0, 1) + 0.1 * np.clip((times - 2) / 0.2, 0, 1)
        return poses(np.stack([x, 0 * times, 0 * times], axis=1))

    assert placed(place(), object=stays, touching=False, opposing=False).reason == "missed"
    assert placed(place(), object=stays, opposing=False).reason == "missed"
    assert placed(place(), object=pushed, opposing=False).reason == "knocked"
    assert placed(place(), object=pushed_off).reason == "knocked"
    assert placed(place(), object=pushed, opposing=True, touching=True, away=0.0).reason == "timed out"
    assert placed(place(), start_depth=0.011).reason == "pierced"


# --- slide -------------------------------------------------------------------------------------------------------


def slide() -> Slide:
    return Slide(direction=np.array([0.6, 0.8]), distance=0.12, centre=CENTRE, motion_seconds=2.0)


def slid(along=0.12, across=0.0, yaw=0.0, tilt=0.0, **changes):
    task = slide()
    times = clock(task.seconds)
    share = np.clip(times - 0.5, 0, 1)[:, None]
    path = share * (along * np.array([0.6, 0.8, 0]) + across * np.array([-0.8, 0.6, 0]))
    T = poses(path, yaw * share[:, 0])
    T = T @ poses(np.zeros((len(times), 3)), tilt * share[:, 0], axis=(1, 0, 0))
    return task.judge(record(times, **{"object": T, "on_table": True, "opposing": False, **changes}))


@pytest.mark.parametrize(("way", "reason"), [
    ({}, ""), ({"along": 0.08}, ""), ({"along": 0.08 - TIGHT}, "timed out"), ({"across": 0.03}, ""),
    ({"across": -0.03 - TIGHT}, "knocked"), ({"yaw": 20.0}, ""), ({"yaw": -20.001}, "knocked"),
    ({"tilt": 45.001}, "knocked"), ({"tilt": 44.9}, ""), ({"touching": False}, "missed"),
    ({"start_depth": 0.011}, "pierced"),
])  # fmt: skip
def test_slide(way, reason):
    outcome = slid(**way)
    assert outcome.reason == reason
    assert outcome.success == (reason == "")
    if reason == "pierced":
        return
    assert outcome.measures["along_mm"] == pytest.approx(1e3 * way.get("along", 0.12))
    assert outcome.measures["across_mm"] == pytest.approx(1e3 * abs(way.get("across", 0.0)), abs=1e-6)
    assert outcome.measures["yaw_deg"] == pytest.approx(abs(way.get("yaw", 0.0)), abs=1e-6)


def test_a_hand_that_lost_the_object_while_sliding():
    assert slid(along=0.05, touching=clock(slide().seconds) < 1.0).reason == "slipped"


# --- drawer and hinge --------------------------------------------------------------------------------------------


def jointed(name, path, **changes):
    """`path`: joint position over time, m or degrees."""
    scale = 1.0 if name in ("pull", "push") else np.pi / 180
    task = TASKS[name](motion_seconds=2.0)
    times = clock(task.seconds)
    return task.judge(record(times, fixture=scale * path(times), **{"hand_on_fixture": True, **changes}))


def ramp(start, end, at=1.0, length=0.5):
    return lambda t: start + (end - start) * np.clip((t - at) / length, 0, 1)


@pytest.mark.parametrize(("name", "start", "edge", "beyond"), [
    ("pull", 0.0, 0.12, 0.15), ("push", 0.15, 0.015, 0.0), ("open", 0.0, 60.0, 90.0), ("close", 90.0, 5.0, 0.0),
])  # fmt: skip
def test_drawer_and_hinge(name, start, edge, beyond):
    step = 1e-6 * np.sign(edge - start)
    for end in (edge, beyond):
        outcome = jointed(name, ramp(start, end))
        assert outcome.success, outcome
    short = ramp(start, edge - step)
    assert jointed(name, short).reason == "timed out"  # the hand is still on it
    assert jointed(name, short, hand_on_fixture=clock(3.0) < 1.2).reason == "slipped"
    assert jointed(name, ramp(start, beyond), hand_on_fixture=False).reason == "missed"
    # It swings back within the last half second; or arrives less than half a second before the end.
    assert jointed(name, lambda t: np.where((t > 0.5) & (t < 2.7), beyond, start)).reason == "slipped"
    assert jointed(name, lambda t: np.where(t < 2.5, start, beyond)).success
    assert jointed(name, lambda t: np.where(t < 2.51, start, beyond)).reason == "timed out"
    assert jointed(name, ramp(start, beyond), start_depth=0.011).reason == "pierced"


def test_a_lid_that_fell_shut_before_the_hand_came():
    fell = ramp(80.0, 0.0, at=0.0, length=0.3)
    assert jointed("close", fell, hand_on_fixture=clock(3.0) > 0.5).reason == "missed"
    assert jointed("close", fell, hand_on_fixture=clock(3.0) < 0.1).success  # nudged, then it fell


def test_the_wrong_way():
    assert jointed("push", ramp(0.08, 0.15)).reason == "knocked"
    assert jointed("close", ramp(60.0, 110.0)).reason == "knocked"


def test_measures_have_the_joints_unit():
    assert jointed("pull", ramp(0.0, 0.13)).measures["end_mm"] == pytest.approx(130)
    measures = jointed("open", ramp(0.0, 75.0)).measures
    assert measures["end_deg"] == pytest.approx(75)
    assert measures["held_s"] == pytest.approx(3.0 - 1.4)  # 60 of 75 degrees after 0.4 s of the ramp


# --- the table of tasks, and the displacement --------------------------------------------------------------------


def test_every_task_is_there_and_named_as_in_the_table():
    assert set(TASKS) == {"grab", "place", "slide", "pull", "push", "open", "close"}
    for name, task in TASKS.items():
        assert task.name == name
    assert set(REASONS) == {"missed", "knocked", "slipped", "pierced", "timed out", "unstable"}
    with pytest.raises(ValueError, match="Did you mean 'grab'"):
        TASKS["grap"]


def test_scatter_stays_within_its_range_and_repeats():
    pivot = np.array([0.3, -0.2, 0.05])
    shifts, yaws = [], []
    for seed in range(300):
        T = scatter(1.0, seed, pivot)
        np.testing.assert_array_equal(T, scatter(1.0, seed, pivot))
        shifts.append(T[:3, :3] @ pivot + T[:3, 3] - pivot)
        yaws.append(np.degrees(np.arctan2(T[1, 0], T[0, 0])))
        assert T[2, 2] == 1.0
    shifts = np.array(shifts)
    assert np.abs(shifts[:, 2]).max() == pytest.approx(0, abs=1e-15)
    assert 0.0195 < np.abs(shifts[:, :2]).max() <= 0.02
    assert 9.5 < np.abs(yaws).max() <= 10.0
    assert abs(np.mean(yaws)) < 1.0
    np.testing.assert_array_equal(scatter(0.0, 5, pivot), np.eye(4))
