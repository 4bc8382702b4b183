"""The whole path on the built-in scene with the shipped weights: no GPU, no network."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from unihm.assets import scene_folder
from unihm.cli import main
from unihm.geometry.pose import yaw_pose
from unihm.hands.hand import load_hand
from unihm.perception.scene_files import load_scene
from unihm.pipeline import InitialPose, Pipeline, Trying, contact_at, rest_at, warn_if_too_wide
from unihm.planning.goals import task_path
from unihm.planning.pace import HUMAN
from unihm.planning.pregrasp import other_pregrasps, pregrasp
from unihm.scenes.furniture import handle_surface, joint_of
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.schema.plan import Plan
from unihm.simulation.fixtures import Door, Drawer, Lid
from unihm.simulation.tasks import run

INSTRUCTION = "Lift the yellow bottle."


@pytest.fixture(scope="module")
def pipeline():
    return Pipeline()


@pytest.fixture(scope="module")
def results(pipeline):
    scene = load_scene(scene_folder("demo"))
    return {name: pipeline.generate(scene, INSTRUCTION, load_hand(name)) for name in ("shadow", "allegro", "panda")}


@pytest.mark.parametrize("name", ["shadow", "allegro", "panda"])
def test_the_hand_comes_to_the_object_and_follows_it(results, name):
    result, hand = results[name], load_hand(name)
    motion = result.motion
    assert (motion.qpos >= np.asarray(hand.lower) - 1e-9).all()
    assert (motion.qpos <= np.asarray(hand.upper) + 1e-9).all()
    assert np.isfinite(motion.T_world_palm).all()
    lift = result.report["lift_frame"]
    distance = np.linalg.norm(motion.T_world_palm[:, :3, 3] - motion.T_world_object[:, :3, 3], axis=-1)
    assert distance[lift] < 0.2 < distance[0]
    # Once it holds the object, the palm stays where it is on it.
    T_object_palm = np.linalg.inv(motion.T_world_object) @ motion.T_world_palm
    assert np.linalg.norm(T_object_palm[lift + 5 :, :3, 3] - T_object_palm[lift + 5, :3, 3], axis=-1).max() < 0.06
    assert result.report["contact_at_lift"]["opposing_tips_mm"] < 15


def test_hands_that_the_generator_never_saw_are_served(pipeline):
    result = pipeline.generate(load_scene(scene_folder("demo")), INSTRUCTION, load_hand("svh"))
    assert (result.tokens.hand, result.motion.hand) == ("svh", "svh")
    lift = result.report["lift_frame"]
    distance = np.linalg.norm(result.motion.T_world_palm[:, :3, 3] - result.motion.T_world_object[:, :3, 3], axis=-1)
    assert distance[lift] < 0.2 < distance[0]
    assert result.report["contact_at_lift"]["opposing_tips_mm"] < 15
    with pytest.raises(ValueError, match=r"Hand of the tokenizer 'leap_left' not found\. Did you mean 'leap'"):
        pipeline.generate(load_scene(scene_folder("demo")), INSTRUCTION, load_hand("leap_left"))


def test_same_seed_same_motion_other_seed_other_tokens(pipeline, results):
    scene, hand = load_scene(scene_folder("demo")), load_hand("shadow")
    again = pipeline.generate(scene, INSTRUCTION, hand)
    np.testing.assert_array_equal(again.tokens.codes, results["shadow"].tokens.codes)
    np.testing.assert_array_equal(again.motion.qpos, results["shadow"].motion.qpos)
    hot = [pipeline.generate(scene, INSTRUCTION, hand, temperature=1.5, seed=s).tokens.codes for s in (1, 2)]
    assert (hot[0] != hot[1]).any()


def test_the_initial_pose_is_where_the_motion_starts(pipeline, results, tmp_path):
    hand = load_hand("shadow")
    pose = {"xyz": [-0.05, -0.35, 0.25], "wxyz": [0.5, -0.5, 0.5, 0.5], "qpos": {hand.joint_names[3]: 0.3}}
    (tmp_path / "start.json").write_text(json.dumps(pose))
    start = InitialPose.load(tmp_path / "start.json", hand)
    assert start.qpos[3] == 0.3
    moved = pipeline.generate(load_scene(scene_folder("demo")), INSTRUCTION, hand, initial_pose=start)
    assert np.linalg.norm(moved.motion.T_world_palm[0, :3, 3] - pose["xyz"]) < 0.1

    results["shadow"].motion.save(tmp_path / "m.npz")
    assert InitialPose.load(tmp_path / "m.npz", hand).qpos.shape == (len(hand.joint_names),)
    with pytest.raises(ValueError, match="expected 'allegro'"):
        InitialPose.load(tmp_path / "m.npz", load_hand("allegro"))
    for bad in ({"xyz": [0, 0, 0]}, {"xyz": [0, 0, 0], "wxyz": [0, 0, 0, 0]}, {**pose, "qpos": {"elbow": 1}}):
        (tmp_path / "bad.json").write_text(json.dumps(bad))
        with pytest.raises(ValueError, match=r"Initial pose .*bad\.json"):
            InitialPose.load(tmp_path / "bad.json", hand)


def test_contact_is_measured_on_the_object(results):
    """A hand moved away bodily is that much farther from the object."""
    motion, hand = results["shadow"].motion, load_hand("shadow")
    frame = results["shadow"].report["lift_frame"]
    away = motion.T_world_palm.copy()
    away[:, 2, 3] += 1.0
    near = contact_at(motion, hand, frame)["distances_mm"]
    far = contact_at(motion.replace(T_world_palm=away), hand, frame)["distances_mm"]
    assert all(abs(far[name]) > 800 > abs(near[name]) for name in near)


def test_candidates_are_simulated_on_what_is_perceived_and_the_best_is_kept(pipeline, results):
    """At temperature 0 another seed writes the same tokens: candidates are then other grasps, ways and starts."""
    from unihm.simulation.choice import perceived_of_scene
    from unihm.simulation.tasks import run

    scene, hand, counted = load_scene(scene_folder("demo")), load_hand("panda"), []
    trying = Trying(candidates=3, criterion="light", progress=counted.append)
    result = pipeline.generate(scene, INSTRUCTION, hand, trying=trying)
    facts = result.report["simulation"]
    assert counted == [1, 2, 3]
    assert (facts["task"], facts["criterion"], facts["candidates"]) == ("grab", "light", 3)
    assert facts["candidates_are"] == "grasps, other ways, other starts, and variations"
    assert facts["confidence"] == pytest.approx(facts["successes"] / 3, abs=1e-3)
    assert len(result.candidates) == 3
    assert result.candidates[facts["chosen"]] is result.motion
    assert len(facts["outcomes"]) == 3
    ranks = [(one["held"], one["progress"]) for one in facts["outcomes"]]
    assert ranks[facts["chosen"]] == max(ranks)  # three different grasps: each is a family of its own
    assert facts["successes"] == sum(one["success"] for one in facts["outcomes"])
    np.testing.assert_array_equal(result.tokens.codes, results["panda"].tokens.codes)
    thing = perceived_of_scene(scene, result.perceived)
    again, _ = run("grab", result.motion, object=thing.object, T_world_object=thing.T_world_object, criterion="light")
    assert (again.success, again.reason) == (facts["success"], facts["reason"])
    assert again.progress == pytest.approx(facts["outcomes"][facts["chosen"]]["progress"], abs=1e-4)


@pytest.mark.parametrize(
    ("merits", "refined", "chosen"), [((7.5, 9.0), 1, 0), ((3.0, 6.5), 2, 1), ((3.0, 2.0), 2, 0), ((None, -1.0), 2, 1)]
)
def test_where_the_refinement_is_not_sure_another_way_is_made(pipeline, results, monkeypatch, merits, refined, chosen):
    from unihm import pipeline as module

    plan, hand = results["shadow"].plan, load_hand("shadow")
    own, seen = module.refinements, []

    def judged(generated, description, count, *, config):
        found = own(generated, description, count, config=config)
        seen.append(found[0][0])
        return tuple((motion, replace(report, merit=merits[len(seen) - 1])) for motion, report in found)

    monkeypatch.setattr(module, "refinements", judged)
    result = pipeline.follow(plan, hand, rest_at(pregrasp(plan), hand))
    assert len(seen) == refined
    np.testing.assert_array_equal(result.motion.qpos, seen[chosen].qpos)
    assert result.report["refinement"]["merit"] == merits[chosen]
    assert result.report["ways_compared"] == refined


def test_after_the_grasps_come_other_ways_and_other_starts(pipeline):
    hand = load_hand("panda")
    _, plan = pipeline.plan(load_scene(scene_folder("demo")), INSTRUCTION)
    start, *others = (rest_at(T, hand) for T in (pregrasp(plan), *other_pregrasps(plan)))
    trying = Trying(candidates=7, criterion="light", enough=None)
    result = pipeline.follow(plan, hand, start, other_starts=others, trying=trying)
    assert len(result.candidates) == result.report["simulation"]["candidates"] == 7
    grasps = len({motion.T_world_palm[-1].tobytes() for motion in result.candidates[:4]})
    assert grasps >= 2
    another = Pipeline(one_of=(2, 4)).follow(plan, hand, start)
    np.testing.assert_array_equal(result.candidates[4].qpos, another.motion.qpos)
    np.testing.assert_array_equal(result.candidates[6].qpos, pipeline.follow(plan, hand, others[0]).motion.qpos)
    centre = plan.T_world_object[0, :3, 3]
    sides = [np.linalg.norm(one.T_world_palm[:3, 3] - centre) for one in (start, *others)]
    np.testing.assert_allclose(sides, sides[0])


def test_a_thing_wider_than_the_gripper_is_told_in_a_line(pipeline, caplog):
    _, plan = pipeline.plan(load_scene(scene_folder("demo")), INSTRUCTION)
    wide = replace(plan, object_points=3 * plan.object_points)
    warn_if_too_wide(plan, load_hand("panda"))
    assert not caplog.records
    warn_if_too_wide(wide, load_hand("panda"))
    (record,) = caplog.records
    assert "panda opens 8.0 cm: only a rim or a handle can be held." in record.getMessage()


def test_candidates_at_a_temperature_are_samples(pipeline):
    hand = load_hand("panda")
    _, plan = pipeline.plan(load_scene(scene_folder("demo")), INSTRUCTION)
    start = InitialPose(T_world_palm=pregrasp(plan), qpos=hand.rest_qpos.numpy())
    result = pipeline.follow(plan, hand, start, temperature=1.5, seed=7, trying=Trying(candidates=2))
    facts = result.report["simulation"]
    assert facts["candidates_are"] == "samples of the tokens"
    assert "closed where its normals say" in facts["object"]
    alone = pipeline.follow(plan, hand, start, temperature=1.5, seed=7 + facts["chosen"])
    np.testing.assert_array_equal(result.tokens.codes, alone.tokens.codes)
    np.testing.assert_array_equal(result.motion.qpos, alone.motion.qpos)
    assert "simulation" not in alone.report
    assert result.generated.source.endswith(f"seed {7 + facts['chosen']}")


def test_how_many_candidates():
    with pytest.raises(ValueError, match="candidates is 0, expected at least 1"):
        Trying(candidates=0)
    with pytest.raises(ValueError, match="workers is 0, expected at least 1"):
        Trying(workers=0)
    with pytest.raises(ValueError, match="Criterion 'soft' not found"):
        Trying(criterion="soft")
    assert not Trying().wanted
    assert Trying(simulate=True).wanted


def test_demo_writes_what_it_promises(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tokens"] > 0
    assert set(report["seconds"]) == {"read", "perceive_and_plan", "generate", "decode", "refine"}
    motion = HandMotion.load(tmp_path / "demo" / "motion.npz")
    tokens = MotionTokens.load(tmp_path / "demo" / "tokens.npz")
    assert len(motion) == report["frames"] >= tokens.num_frames  # refinement may take its time
    page = (tmp_path / "demo" / "motion.html").read_text(encoding="utf-8")
    assert "<html" in page.lower()
    assert json.loads((tmp_path / "demo" / "report.json").read_text())["hand"] == "shadow"


@pytest.mark.parametrize(
    ("task", "fixture"),
    [
        ("pull", Drawer()),
        ("push", Drawer(position0=0.13)),
        ("open", Door()),
        ("close", Door(position0=1.5)),
        ("open", Lid()),
        ("close", Lid(position0=1.5)),
    ],
)
def test_what_a_handle_is_on_is_moved_in_physics(pipeline, task, fixture, tmp_path):
    """The generator has only seen objects being lifted; refinement knows the bar and the plane behind it."""
    standing = replace(fixture, T_world_fixture=yaw_pose(-np.pi / 2, (0.0, 0.1)))
    joint, T = joint_of(standing), standing.T_world_handle
    surface, normals = handle_surface(standing, 1024, np.random.default_rng(0))
    points = surface @ T[:3, :3].T + T[:3, 3]
    path, rest = task_path(task, T, points, (joint, None), np.zeros((0, 3)), HUMAN)
    T_world_object = np.eye(4)
    T_world_object[:3, 3] = centre = (points.min(axis=0) + points.max(axis=0)) / 2
    outward = T[:3, 0]
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3] = np.column_stack([[1, 0, 0], [0, -0.5, -0.866], [0, 0.866, -0.5]])
    T_world_camera[:3, 3] = [0, -0.8, 0.5]
    plan = Plan(
        instruction=f"{task} it",
        task=task,
        fps=HUMAN.fps,
        T_world_object=path @ np.linalg.inv(path[0]) @ T_world_object,
        object_points=points - centre,
        object_normals=normals @ T[:3, :3].T,
        rest_frames=rest,
        T_world_camera=T_world_camera,
        panel_object=np.append(outward, (T[:3, 3] - centre) @ outward - standing.handle_distance),
    )
    hand = load_hand("shadow")
    start = InitialPose(T_world_palm=pregrasp(plan), qpos=hand.rest_qpos.numpy().copy())
    motion = pipeline.follow(plan, hand, start).motion
    outcome, _ = run(task, motion, fixture=standing)
    assert outcome.success, (outcome.reason, outcome.measures)
    for record in (plan, motion):
        record.save(tmp_path / "record.npz")
        again = type(record).load(tmp_path / "record.npz")
        assert again.panel_object == pytest.approx(plan.panel_object)
