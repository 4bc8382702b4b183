"""Worlds for words: what they say is true, fits their criteria, and repeats; and what becomes of motions in them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

from unihm.evaluation.trials import REFUSED
from unihm.hands.hand import load_hand
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.schema.scene import ObjectCloud, PerceivedScene
from unihm.simulation.tasks import TASKS
from unihm.simulation.ycb import MASSES
from unihm.whole_path import trials
from unihm.whole_path.simulation import AskedOptions, spelled
from unihm.whole_path.trials import WRONG, AskedBatch, AskedSettings, Making, hits, names_of, run_batch, trial_of
from unihm.whole_path.worlds import COLUMNS, AskedWorld, draw_world

FURNITURE = [(part, column, number) for part in ("seen", "unseen") for column in ("pull-push", "open-close")
             for number in range(len(COLUMNS[column]))]  # fmt: skip


def box_episode() -> Episode:
    """A cracker box that stands, turned by a quarter, as somebody recorded it."""
    T = np.eye(4)
    T[:3, :3] = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    T[:3, 3] = [0.3, 0.1, 0.105]
    path = np.tile(T, (10, 1, 1))
    return Episode(
        id="made/0", recording="made/0", dataset="made", subject="nobody", object_name="003_cracker_box",
        mirrored=False, fps=30.0, keypoints_world=np.zeros((10, 21, 3)), T_world_object=path,
        object_points=np.zeros((4, 3)), object_normals=np.tile([0.0, 0.0, 1.0], (4, 1)), T_world_camera=np.eye(4),
        instructions=("Lift it.",) * 5, contact_frame=5, lift_frame=8,
    )  # fmt: skip


@cache
def furniture_world(part: str, column: str, number: int) -> AskedWorld:
    return draw_world(part, column, number, episodes=(), models=Path("none"), seed=5)


@pytest.fixture(scope="module")
def box_world(shared_data) -> AskedWorld:
    return draw_world("seen", "grab", 0, episodes=(box_episode(),), models=shared_data / "ycb_models", seed=5)


def test_a_scene_that_no_camera_sees_is_drawn_anew(monkeypatch):
    from unihm.scenes import composer

    own, seen = composer._attempt, []

    def attempt(order, rng):
        seen.append(order.seed)
        return None if len(set(seen)) == 1 else own(order, rng)

    monkeypatch.setattr(composer, "_attempt", attempt)
    world = draw_world("seen", "pull-push", 0, episodes=(), models=Path("none"), seed=6)
    assert world.object_name == "drawer"
    assert len(set(seen)) >= 2
    monkeypatch.setattr(composer, "_attempt", lambda order, rng: None)
    with pytest.raises(ValueError, match="nothing can be asked: No camera sees the things of seed"):
        draw_world("seen", "pull-push", 0, episodes=(), models=Path("none"), seed=6)


@pytest.mark.parametrize("key", FURNITURE, ids=lambda key: "-".join(map(str, key)))
def test_what_is_asked_of_furniture_can_be_judged_and_is_not_done_already(key):
    world = furniture_world(*key)
    assert world.fixture is not None
    judge = TASKS[world.task](motion_seconds=1.0)
    assert not judge.reached(np.array([world.fixture.position0])).any()
    # The path of the handle is the fixture's own, and ends where the task is done.
    positions = np.linspace(0, world.fixture.upper, 400)
    handles = world.fixture.handle_at(positions)
    distance, nearest = KDTree(handles[:, :3, 3]).query(world.true_path[:, :3, 3])
    assert distance.max() < 0.002
    assert judge.reached(positions[nearest[-1:]]).all()
    # The handle is in the image, and the plan's cloud is on it.
    handle = world.example.handles & (world.example.instances == world.target + 1)
    assert np.count_nonzero(handle) >= 60
    thing = world.example.things[world.target]
    assert world.plan.panel_object is not None
    normal, offset = world.plan.panel_object[:3], world.plan.panel_object[3]
    assert (world.plan.object_points @ normal > offset - 1e-6).all()
    np.testing.assert_allclose(thing.T_world_object, world.fixture.T_world_handle, atol=1e-9)


def test_unseen_furniture_is_larger_than_any_of_training():
    seen, unseen = ([furniture_world(part, "open-close", n).fixture for n in (0, 1)] for part in ("seen", "unseen"))
    assert max(f.size[2] for f in seen) <= 0.36 < min(f.size[2] for f in unseen)


def test_the_same_numbers_give_the_same_world():
    again = draw_world("seen", "pull-push", 0, episodes=(), models=Path("none"), seed=5)
    known = furniture_world("seen", "pull-push", 0)
    assert again.asking.instruction == known.asking.instruction
    np.testing.assert_array_equal(again.example.scene.color, known.example.scene.color)
    other = draw_world("seen", "pull-push", 0, episodes=(), models=Path("none"), seed=6)
    assert (other.example.scene.color != known.example.scene.color).any()


def test_an_object_stands_as_recorded_among_others_with_room(box_world):
    world = box_world
    assert world.object is not None
    assert world.T_world_object is not None
    assert world.object.mass == MASSES["003_cracker_box"]
    assert world.object.lowest(world.T_world_object) == pytest.approx(0, abs=1e-9)
    yaw = np.degrees(np.arctan2(world.T_world_object[1, 0], world.T_world_object[0, 0]))
    assert abs(yaw - 90) <= 11  # 10 degrees of noise, and how it settles
    own, *others = world.example.things
    assert len(others) >= 2
    gaps = [KDTree(own.points_world).query(other.points_world)[0].min() for other in others]
    assert min(gaps) > 0.015
    assert world.true_path[:, 2, 3].max() - world.true_path[0, 2, 3] >= 0.12
    # The mask is where the object is.
    T = world.example.scene.camera.T_world_camera
    assert T is not None
    v, u = np.nonzero(world.example.instances == 1)
    depth = world.example.scene.depth
    seen = world.example.scene.camera.unproject(depth)[v, u][depth[v, u] > 0] @ T[:3, :3].T + T[:3, 3]
    assert np.median(KDTree(own.points_world).query(seen)[0]) < 0.006


def still(world: AskedWorld, hand: str, frames: int = 40) -> HandMotion:
    """A hand that stays half a metre up."""
    model = load_hand(hand)
    T = np.tile(np.eye(4), (frames, 1, 1))
    T[:, 2, 3] = 0.5
    return HandMotion(
        hand=hand, fps=30.0, joint_names=model.joint_names, qpos=np.tile(model.rest_qpos.numpy(), (frames, 1)),
        T_world_palm=T, T_world_object=np.tile(np.eye(4), (frames, 1, 1)),
    )  # fmt: skip


def test_what_is_asked_for_decides_not_what_the_motion_was_planned_for():
    """A motion whose own path goes nowhere is judged by the drawer that should come out."""
    world = furniture_world("seen", "pull-push", 0)
    outcome, _ = trial_of(world, still(world, "panda"), "panda", 0.8).run()
    assert (outcome.success, outcome.reason) == (False, "missed")


def taken(mask: np.ndarray) -> PerceivedScene:
    """A perception that took these pixels for what is meant."""
    v, u = np.nonzero(mask)
    none = np.zeros((0, 3))
    cloud = ObjectCloud(
        points_world=np.zeros((len(u), 3)), colors=np.zeros((len(u), 3), dtype=np.uint8),
        pixels=np.column_stack([u, v]), completed_points_world=none, completed_normals_world=none,
    )  # fmt: skip
    return PerceivedScene(
        T_world_camera=np.eye(4), points_world=none, colors=np.zeros((0, 3), dtype=np.uint8), objects=(cloud,), target=0
    )


def test_another_thing_is_no_hit():
    world = furniture_world("seen", "pull-push", 2)
    instances = world.example.instances
    assert hits(world, taken(instances == world.target + 1))
    assert not hits(world, taken(instances == (world.target + 2 if world.target == 0 else world.target)))


def test_refusals_and_wrong_things_are_counted_as_such(monkeypatch):
    world = furniture_world("seen", "pull-push", 0)
    settings = AskedSettings(models=Path("none"), data=Path("none"), seed=0)
    names = names_of("seen", "pull-push", 0, ["panda"], ["true", "perceived"], [0.8])
    batch = AskedBatch(part="seen", column="pull-push", number=0, episodes=(), names=names, settings=settings)
    monkeypatch.setattr(trials, "_world", lambda _: world)
    monkeypatch.setattr(trials, "_pipeline", lambda _: None)

    def motion(self: Making, way: str):
        if way == "true":
            raise trials.Refusal(REFUSED, "no\nwords")
        return still(world, "panda"), {"wrong": 1.0}

    monkeypatch.setattr(Making, "motion", motion)
    first, second = run_batch(batch)
    assert (first.success, first.reason, first.note) == (False, REFUSED, "no words")
    assert (second.success, second.reason, second.object) == (False, WRONG, "drawer")


def test_options_name_what_does_not_exist():
    assert spelled("perceived+best-of-16") == "perceived + best of 16"
    assert AskedOptions(ways=("perceived + best of 4",)).ways == ("perceived + best of 4",)
    with pytest.raises(ValueError, match="Did you mean 'perceived'"):
        AskedOptions(ways=("percieved",))
    with pytest.raises(ValueError, match="'perceived \\+ best of 0'"):
        AskedOptions(ways=("perceived + best of 0",))
    with pytest.raises(ValueError, match="Column 'pull&push' not found"):
        AskedOptions(columns=("pull&push",))
    with pytest.raises(ValueError, match="Part 'test'"):
        AskedOptions(parts=("test",))
    with pytest.raises(ValueError, match="worlds is 0"):
        AskedOptions(worlds=0)
    with pytest.raises(ValueError, match="Frictions"):
        replace(AskedOptions(), frictions=(-1.0,))
