"""Candidates: variations of a motion, and the choice among them on the perceived object alone."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scripted_motions import BOX, FPS, box_grab
from unihm.hands.description import describe_hand
from unihm.simulation import candidates as module
from unihm.simulation.candidates import WORLDS, Attempt, CandidateSigma, World, best_of, candidates, most_robust
from unihm.simulation.perceived import Perceived, perceive
from unihm.simulation.solid_object import SolidObject, object_of_mesh
from unihm.simulation.tabletop import tabletop_camera
from unihm.simulation.tasks import Outcome, prepare

ALONE = {"turn": 0.0, "shift": 0.0, "closing": 0.0, "squeeze": 0.0, "timing": 0.0}


@pytest.fixture(scope="module")
def true_box() -> SolidObject:
    points = box_grab().object_points
    assert points is not None
    return object_of_mesh(points, np.zeros((0, 3), dtype=np.int64), name="box", mass=0.1, convex="hull")


@pytest.fixture(scope="module")
def perceived(true_box) -> Perceived:
    T = np.eye(4)
    T[2, 3] = BOX / 2
    return perceive(true_box, T, tabletop_camera(), shape="hull", seed=3)


def only(**sigma) -> CandidateSigma:
    return CandidateSigma(**{**ALONE, **sigma})


def test_the_first_is_the_motion_and_all_repeat():
    motion = box_grab()
    four, two = candidates([motion], 4, seed=7), candidates([motion], 2, seed=7)
    assert four[0] is motion
    assert len(four) == 4
    np.testing.assert_array_equal(four[1].T_world_palm, two[1].T_world_palm)
    np.testing.assert_array_equal(four[1].qpos_target, two[1].qpos_target)
    assert np.abs(four[1].T_world_palm - four[2].T_world_palm).max() > 1e-4
    assert np.abs(candidates([motion], 2, seed=8)[1].T_world_palm - two[1].T_world_palm).max() > 1e-4
    with pytest.raises(ValueError, match="at least one candidate"):
        candidates([motion], 0)


def test_several_motions_come_first_and_are_varied_in_turn():
    a, b = box_grab(), box_grab(aside=0.05)
    made = candidates([a, b], 6, seed=7)
    assert made[0] is a
    assert made[1] is b
    assert len(made) == 6
    for k, candidate in enumerate(made):
        away = [np.linalg.norm(candidate.T_world_palm[-1, :3, 3] - m.T_world_palm[-1, :3, 3]) for m in (a, b)]
        assert int(np.argmin(away)) == k % 2
    assert candidates([a, b], 1) == (a,)
    with pytest.raises(ValueError, match="at least one candidate"):
        candidates([], 3)


def test_joints_stay_within_their_limits():
    chain = describe_hand("panda").chain
    for candidate in candidates([box_grab()], 20, sigma=CandidateSigma(closing=1.0, squeeze=1.0)):
        for joints in (candidate.qpos, candidate.qpos_target):
            assert joints is not None
            assert (joints >= chain.lower).all()
            assert (joints <= chain.upper).all()


def test_the_palm_strays_by_as_much_as_is_declared_and_only_in_contact():
    motion = box_grab()
    shifts, angles = [], []
    for candidate in candidates([motion], 120, sigma=only(shift=0.006, turn=4.0))[1:]:
        off = np.linalg.inv(motion.T_world_palm) @ candidate.T_world_palm
        np.testing.assert_allclose(off[0], np.eye(4), atol=1e-12)  # the approach begins as it did
        np.testing.assert_allclose(off[-1], off[-20], atol=1e-12)  # constant in the palm while it holds
        shifts.append(off[-1, :3, 3])
        angles.append(Rotation.from_matrix(off[-1, :3, :3]).as_rotvec(degrees=True))
        np.testing.assert_array_equal(candidate.qpos, motion.qpos)
    # Standard deviations of 360 numbers scatter by 4 %.
    assert np.std(shifts) == pytest.approx(0.006, rel=0.1)
    assert np.std(angles) == pytest.approx(4.0, rel=0.1)


def test_closing_squeeze_and_timing_each_by_itself():
    motion = box_grab()
    assert motion.qpos_target is not None
    for candidate in candidates([motion], 5, sigma=only(closing=0.1))[1:]:
        np.testing.assert_array_equal(candidate.T_world_palm, motion.T_world_palm)
        more = (candidate.qpos[-1] - motion.qpos[-1]) / (motion.qpos[-1] - motion.qpos[0])
        assert 0.001 < abs(float(more[0])) < 0.4
        np.testing.assert_allclose(candidate.qpos_target - candidate.qpos, motion.qpos_target - motion.qpos, atol=1e-12)
    for candidate in candidates([motion], 5, sigma=only(squeeze=0.3))[1:]:
        np.testing.assert_array_equal(candidate.qpos, motion.qpos)
        factor = (candidate.qpos_target - candidate.qpos)[-1] / (motion.qpos_target - motion.qpos)[-1]
        assert 0.3 < float(factor[0]) < 3.0
    for candidate in candidates([motion], 5, sigma=only(timing=0.06))[1:]:
        middle = (motion.qpos[0] + motion.qpos[-1])[0] / 2
        crossed = [np.interp(-middle, -m.qpos[:, 0], np.arange(len(m)) / FPS) for m in (motion, candidate)]
        assert 0.001 < abs(crossed[0] - crossed[1]) < 0.25


def test_the_best_is_kept(perceived):
    aside, good, none = box_grab(aside=0.1), box_grab(), box_grab(squeeze=0.025, lift=0.0)
    best, attempts = best_of([aside, good, none], perceived, "grab", criterion="light")
    assert best == 1
    assert [attempt.outcome.success for attempt in attempts] == [False, True, False]
    assert attempts[0].outcome.reason == "missed"


def outcome(success: bool, progress: float = 1.0) -> Outcome:
    return Outcome(success=success, reason="" if success else "slipped", measures={}, progress=progress, margin=0.0)


def attempt(held: int, progress: float = 1.0) -> Attempt:
    return Attempt(outcome=outcome(held > 0, progress), held=held / 3)


def test_what_holds_in_more_worlds_is_preferred_then_what_came_farther_then_the_first():
    assert most_robust([attempt(1), attempt(3), attempt(2), attempt(3)]) == 1
    assert most_robust([attempt(0, 0.2), attempt(0, 0.9), attempt(0, 0.9)]) == 1
    assert most_robust([attempt(1), attempt(0, 0.99)]) == 0


def test_a_grasp_whose_variations_hold_is_preferred():
    """Two grasps and two variations of each: the second always holds, the first by chance."""
    attempts = [attempt(3), attempt(3), attempt(0), attempt(3), attempt(1), attempt(2)]
    assert most_robust(attempts, families=2) == 1
    assert most_robust(attempts) == 0
    assert most_robust(attempts[:2], families=2) == 0  # no variation is known of either


def test_every_world_is_asked_and_none_after_a_stage_failed(monkeypatch, perceived):
    told = []
    given = perceived.object

    def run(task, motion, *, object, T_world_object, friction, **options):
        size = float(np.ptp(object.vertices[:, 2]) / np.ptp(given.vertices[:, 2]))
        shift = T_world_object[:2, 3] - perceived.T_world_object[:2, 3]
        density = object.mass / given.mass / size**3
        assert object.lowest(T_world_object) == pytest.approx(given.lowest(perceived.T_world_object))
        told.append(World(mass=density, friction=friction / 0.8, shift=tuple(shift), size=size))
        return outcome(rule[0](told[-1])), None

    def numbers(worlds):
        return [(one.mass, one.friction, *one.shift, one.size) for one in worlds]

    monkeypatch.setattr(module, "run", run)
    rule = [lambda world: world.size < 1.05]
    _, attempts = best_of([box_grab()], perceived, "grab")
    np.testing.assert_allclose(numbers(told), numbers(WORLDS), atol=1e-9)
    assert attempts[0].held == pytest.approx(8 / 9)
    for rule[0], count in ((lambda world: world.friction > 0.7, 3), (lambda world: False, 1)):
        told.clear()
        _, attempts = best_of([box_grab()], perceived, "grab")
        assert len(told) == count
        assert attempts[0].held == pytest.approx(max(count - 1, 0) / 9)


def test_worlds_are_physics(perceived):
    """Pads with 75 N at a friction of 0.05 carry 0.26 kg at 1.3 g, but neither twice that nor at 0.03."""
    heavy = replace(perceived, object=replace(perceived.object, mass=0.26))
    held = [
        best_of([box_grab(squeeze=0.0005)], heavy, "grab", criterion="light", friction=mu)[1][0].held
        for mu in (0.05, 0.8)
    ]
    assert held == pytest.approx([1 / 9, 1])


def test_nothing_of_the_true_object_reaches_the_choice(monkeypatch, true_box, perceived):
    """The signature cannot take it, worlds hold the perceived one, what the motion carries of it changes nothing."""
    parameters = inspect.signature(best_of).parameters
    assert set(parameters) == {
        "motions", "perceived", "task", "families", "criterion", "friction", "table_height", "hand", "enough",
        "workers", "progress",
    }  # fmt: skip
    assert parameters["perceived"].annotation == "Perceived | PerceivedPart"
    with pytest.raises(Exception, match="perceived"):
        best_of([box_grab()], true_box, "grab")

    built = []
    from unihm.simulation.tasks import base

    original = base.build_world

    def watched(hand, T, *, object, T_world_object, **rest):
        built.append((object, T_world_object))
        return original(hand, T, object=object, T_world_object=T_world_object, **rest)

    monkeypatch.setattr(base, "build_world", watched)
    motion = box_grab()
    first = best_of([motion], perceived, "grab", criterion="light")[1][0]
    for k, (object, _) in enumerate(built):
        np.testing.assert_allclose(object.vertices, WORLDS[k].size * perceived.object.vertices)
    np.testing.assert_array_equal(built[0][1], perceived.T_world_object)

    # Another cloud, and a path of another frame of the same body, 30 cm off: the same movement of what is perceived.
    T = np.eye(4)
    T[:3, 3] = [0.3, -0.2, 0.1]
    assert motion.object_points is not None
    assert motion.T_world_object is not None
    other = motion.replace(object_points=7 * motion.object_points, T_world_object=motion.T_world_object @ T)
    assert best_of([other], perceived, "grab", criterion="light")[1][0] == first


def test_bad_input(perceived):
    with pytest.raises(ValueError, match="at least one candidate"):
        best_of([], perceived, "grab")
    with pytest.raises(ValueError, match="at least one worker"):
        best_of([box_grab()], perceived, "grab", workers=0)


def test_workers_change_nothing(perceived):
    motions = candidates([box_grab(aside=0.018)], 3, seed=2)
    alone = best_of(motions, perceived, "grab", criterion="light")
    assert best_of(motions, perceived, "grab", criterion="light", workers=2) == alone


def test_motions_are_made_as_they_are_wanted_until_one_holds_in_every_world(perceived):
    """Four at a time; the fifth is never made, and what succeeds after the first is not tried in other worlds."""
    made = []

    def motions():
        for motion in (box_grab(aside=0.1), box_grab(), box_grab(), box_grab(), box_grab()):
            made.append(motion)
            yield motion

    best, attempts = best_of(motions(), perceived, "grab", criterion="light", enough=1)
    assert len(made) == 4
    assert best == 1
    assert [round(9 * one.held) for one in attempts] == [0, 9, 1, 1]
    _, all_of_them = best_of(made, perceived, "grab", criterion="light")
    assert [round(9 * one.held) for one in all_of_them] == [0, 9, 9, 9]


def test_what_was_left_behind_is_not_simulated_to_the_end(perceived):
    setting = {"object": perceived.object, "T_world_object": perceived.T_world_object, "criterion": "light"}
    outcomes = {}
    for aside in (0.1, 0.0):
        trial = prepare("grab", box_grab(aside=aside), **setting)
        (early, short), (late, long) = trial.run(early=True), trial.run()
        outcomes[aside] = late.success
        assert (early.success, early.reason) == (late.success, late.reason)
        assert (len(short.times) < 0.7 * len(long.times)) == (not late.success)
        np.testing.assert_array_equal(short.qpos, long.qpos[: len(short.qpos)])
    assert outcomes == {0.1: False, 0.0: True}
