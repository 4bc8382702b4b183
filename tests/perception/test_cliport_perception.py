"""Perception with learned parts: on the networks' own outputs, replaced where a test needs a certain answer."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from unihm.cliport.clip_resnet import CLIP, ClipResNet, copy_clip
from unihm.cliport.crops import MEASURES
from unihm.cliport.grounding import Grounded
from unihm.cliport.instances import PART, THING, Instances
from unihm.cliport.mending import Mended
from unihm.perception.base import PERCEPTIONS, without_warnings
from unihm.perception.cliport import Cliport, _able, _bar, _kinds_said
from unihm.scene_data import read_scenes
from unihm.schema.task import TASKS
from unihm.training.grounding import train_grounding


@pytest.fixture(scope="module")
def scenes(made_scenes):
    return list(read_scenes(made_scenes))


@pytest.fixture
def seeing(tiny_planner, scenes, monkeypatch):
    """The tiny planner with the true instances in place of the view network's, which has seen too little."""
    perception = PERCEPTIONS["cliport"](tiny_planner)

    def as_they_are(network, picture, found, encoded):
        return Mended(found=found, encoded=encoded, held_by={})

    monkeypatch.setattr(perception, "cut", of_truth(scenes))
    monkeypatch.setattr("unihm.perception.cliport.mended", as_they_are)  # it cannot tell pieces from whole things
    return perception


def of_truth(scenes):
    def cut(scene, points_world, T_world_camera):
        (example,) = [e for e in scenes if e.scene is scene]
        labels = example.instances.astype(np.int64) - 1
        kinds = tuple(THING if thing.joint is None else PART for thing in example.things)
        return Instances(labels=labels, kinds=kinds, handles=example.handles)

    return cut


def fitting(perception: Cliport, monkeypatch, *numbers: int):
    """Make the words fit these things."""
    ground = perception.network.ground

    def fixed(encoded, rows, words, mask):
        found = ground(encoded, rows, words, mask)
        target = torch.full_like(found.target, -6.0)
        target[:, list(numbers)] = 4.0
        return type(found)(**{**vars(found), "target": target})

    monkeypatch.setattr(perception.network, "ground", fixed)


def free_thing(example) -> int:
    """The free thing that most is seen of."""
    sizes = [
        int((example.instances == k + 1).sum()) if thing.joint is None else 0 for k, thing in enumerate(example.things)
    ]
    return int(np.argmax(sizes))


def test_the_thing_that_the_words_fit_is_taken_and_completed(seeing, scenes, monkeypatch):
    example = scenes[0]
    number = free_thing(example)
    fitting(seeing, monkeypatch, number)
    perceived = seeing.perceive(example.scene, "Pick it up")
    assert perceived.target == number
    thing = perceived.target_object
    assert set(example.instances[thing.pixels[:, 1], thing.pixels[:, 0]]) == {number + 1}
    assert len(thing.completed_points_world) == 1024
    true = example.things[number].points_world
    low, high = thing.completed_points_world.min(axis=0), thing.completed_points_world.max(axis=0)
    assert np.abs((low + high) / 2 - (true.min(axis=0) + true.max(axis=0)) / 2).max() < 0.03
    assert perceived.asked is not None


def test_words_that_fit_nothing_are_answered_with_what_is_there(seeing, scenes, monkeypatch):
    fitting(seeing, monkeypatch)
    with pytest.raises(ValueError, match=r"^Nothing that fits 'Lift the unicorn' in view.*; I see: .*pixel \d+,\d+"):
        seeing.perceive(scenes[0].scene, "Lift the unicorn")
    noun = seeing.card["nouns"][0]
    with pytest.raises(ValueError, match=rf"^No {re.escape(noun)} in view; I see: "):
        seeing.perceive(scenes[0].scene, f"Lift the {noun}")


def test_what_is_missing_is_not_what_it_shall_stand_beside(seeing, scenes, monkeypatch):
    fitting(seeing, monkeypatch)
    short, long = sorted(seeing.card["nouns"], key=len)[0], sorted(seeing.card["nouns"], key=len)[-1]
    with pytest.raises(ValueError, match=rf"^No {re.escape(short)} in view; I see: "):
        seeing.perceive(scenes[0].scene, f"Put the {short} to the left of the {long}")


def test_the_only_thing_needs_no_name(seeing, scenes, monkeypatch):
    example = scenes[0]
    number = free_thing(example)
    alone = np.where(example.instances == number + 1, 0, -1)
    one = Instances(labels=alone, kinds=(THING,), handles=np.zeros_like(example.handles))
    monkeypatch.setattr(seeing, "cut", lambda *_: one)
    fitting(seeing, monkeypatch)
    assert seeing.perceive(example.scene, "Lift it").target == 0
    with pytest.raises(ValueError, match=r"^No .* in view"):
        seeing.perceive(example.scene, f"Lift the {seeing.card['nouns'][0]}")


def test_the_only_thing_that_looks_like_it_is_meant_by_its_bare_name(seeing, scenes, monkeypatch):
    example = scenes[0]
    number, seen = free_thing(example), seeing.see(example.scene)
    noun = seeing.card["nouns"][0]
    fits = torch.full((len(seen.found),), -6.0)
    fits[number] = -4.0
    looks = ["red pot"] * len(fits)
    monkeypatch.setattr(seeing, "names", lambda _: looks)
    with pytest.raises(ValueError, match=rf"^No {re.escape(noun)} in view"):
        seeing._choose(seen, f"Lift the {noun}", fits)
    looks[number] = f"red big {noun}"
    assert seeing._choose(seen, f"Please lift the {noun}", fits) == number
    for words in (f"Lift the blue {noun}", f"Lift the {noun} on the left"):
        with pytest.raises(ValueError, match=rf"^No {re.escape(noun)} in view"):
            seeing._choose(seen, words, fits)
    kinds = list(seen.found.kinds)
    kinds[number - 1] = PART
    part = replace(seen, found=replace(seen.found, kinds=tuple(kinds)))
    looks[:] = ["red pot"] * len(fits)
    looks[number - 1] = f"red {noun}"
    with pytest.raises(ValueError, match=rf"^No {re.escape(noun)} in view"):
        seeing._choose(seen, f"Open the {noun}", fits)
    assert seeing._choose(part, f"Open the {noun}", fits) == number - 1
    looks[number] = f"red {noun}"
    with pytest.raises(ValueError, match=rf"^No {re.escape(noun)} in view"):
        seeing._choose(seen, f"Lift the {noun}", fits)


def test_another_thing_that_fits_nearly_as_well_is_told(seeing, scenes, caplog):
    seen = seeing.see(scenes[0].scene)
    fits = torch.full((len(seen.found),), -6.0)
    fits[0], fits[1] = 4.0, 0.5
    assert seeing._choose(seen, "Lift it", fits) == 0
    assert not caplog.records
    fits[1] = 2.0
    assert seeing._choose(seen, "Lift it", fits) == 0
    with without_warnings():
        seeing._choose(seen, "Lift it", fits)
    assert len(caplog.records) == 1
    names = seeing.names(seen)
    assert re.search(rf"also mean the {names[1]} \(pixel \d+,\d+\); the {names[0]} \(pixel", caplog.text)


def test_what_is_not_on_the_table_is_taken_last(seeing, scenes):
    example = scenes[0]
    seen = seeing.see(example.scene)
    assert not seen.elsewhere.any()
    number = free_thing(example)
    points = seen.points_world.copy()
    points[seen.found.mask(number), 0] += 3.0
    moved = replace(seen, points_world=points)
    assert np.flatnonzero(moved.elsewhere).tolist() == [number]
    fits = torch.ones(len(seen.found))
    assert int(seeing.judged(moved, "Lift it", fits).argmin()) == number
    assert not seeing.judged(seen, "Lift it", fits).diff().any()


def test_an_open_door_may_stand_out_over_the_edge_of_the_table(seeing, scenes):
    example = scenes[0]
    seen = seeing.see(example.scene)
    number = free_thing(example)
    points = seen.points_world.copy()
    most = seen.found.mask(number)
    most[::4] = False
    points[most, 0] += 3.0
    kinds = tuple(PART if i == number else kind for i, kind in enumerate(seen.found.kinds))
    assert replace(seen, points_world=points).elsewhere[number]
    assert not replace(seen, points_world=points, found=replace(seen.found, kinds=kinds)).elsewhere[number]


def test_flying_pixels_behind_a_thing_do_not_make_it_long_nor_put_it_behind_others(seeing, scenes):
    example = scenes[0]
    seen = seeing.see(example.scene)
    number = free_thing(example)
    smeared = seen.points_world.copy()
    v, u = np.nonzero(seen.found.mask(number))
    behind = np.linspace(0.1, 1.5, len(v[::50]))[:, None] * seen.T_world_camera[:3, 2]
    smeared[v[::50], u[::50]] += behind
    clean, again = (replace(seen, points_world=points).looks[number] for points in (seen.points_world, smeared))
    np.testing.assert_allclose(again.size, clean.size, atol=0.02)
    assert again.away == pytest.approx(clean.away, abs=0.02)


@pytest.mark.parametrize("task", ["open", "close", "grab"])
def test_what_shall_be_opened_or_shut_is_the_part_that_moves_in_it(task):
    labels = np.full((60, 90), -1)
    labels[10:50, 10:50] = 0  # a box, in it a lid, and a thing that nothing moves in
    labels[15:30, 15:45] = 1
    labels[20:40, 60:80] = 2
    found = Instances(labels=labels, kinds=(THING, PART, THING), handles=(labels == 1) & (np.arange(90) > 40))
    grounded = Grounded(
        target=torch.tensor([[2.0, -5.0, 1.0]]),
        reference=torch.zeros(1, 3),
        task=torch.tensor([[9.0 * (name == task) for name in TASKS]]),
        relation=torch.zeros(1, 3),
        amount=torch.zeros(1, 3),
    )
    fits = _able(found, grounded)
    expected = [2.0, -5.0, 1.0] if task == "grab" else [-1.0, 2.0, -2.0]
    assert fits.tolist() == pytest.approx(expected, abs=0.01)
    beside = replace(found, labels=np.where(labels == 0, -1, labels))
    assert _able(beside, grounded)[1] == -5.0
    # "Pull the lid" speaks of no thing either, whatever the verb.
    assert _able(found, grounded, part_said=True).tolist() == pytest.approx([-10.0, 2.0, -11.0], abs=0.01)


def test_which_moving_parts_words_name():
    assert _kinds_said("the grey drawer of the cabinet") == ["drawer"]
    assert _kinds_said("the box lid") == ["lid"]
    assert _kinds_said("the compartment on the right") == ["drawer"]
    assert not _kinds_said("the mug next to the drawer")
    assert not _kinds_said("the solid block in the drawer")


@torch.inference_mode()
def test_a_part_is_of_the_kind_that_the_words_say(seeing, scenes):
    seen = seeing.see(scenes[0].scene)
    for kind in ("drawer", "door", "lid"):
        assert seeing._kind(seen, 0, f"Shut the {kind}, please") == kind
        assert seeing._kind(seen, 0, f"The {kind} of the box needs closing") == kind
    looks = seeing._kind(seen, 0, "Close it")
    assert seeing._kind(seen, 0, "Close the flap") == seeing._kind(seen, 0, "Shut the door or the lid") == looks


def test_a_bar_is_no_longer_than_its_own_points():
    rng = np.random.default_rng(0)
    turn = rng.uniform(0, np.pi, 300)
    bar = np.column_stack([0.006 * np.sin(turn), rng.uniform(-0.05, 0.05, 300), 0.006 * np.cos(turn)])
    behind = np.column_stack([np.full(300, -0.045), rng.uniform(-0.2, 0.05, 300), rng.uniform(-0.05, 0.0, 300)])
    points, _ = _bar(np.concatenate([bar, behind]), np.eye(4))
    assert np.abs(points[:, 1]).max() < 0.055
    assert np.abs(points[:, [0, 2]]).max() < 0.009
    with pytest.raises(ValueError, match="neither a bar nor a knob"):
        _bar(behind, np.eye(4))


def test_words_that_fit_two_things_are_answered_with_both(seeing, scenes, monkeypatch):
    fitting(seeing, monkeypatch, 0, 1)
    with pytest.raises(ValueError, match=r"fit 2 things: the .* and the .*Say which"):
        seeing.perceive(scenes[0].scene, "Lift it")


def test_of_what_is_asked_only_what_makes_sense_is_read(seeing, scenes, monkeypatch):
    ground = seeing.network.ground
    likely = {"task": {"open": 3.0, "place": 2.0, "grab": 1.9}, "relation": {"on": 3.0, "up": 2.0}}

    def fixed(encoded, rows, words, mask):
        found = ground(encoded, rows, words, mask)
        target = torch.full_like(found.target, -6.0)
        target[:, meant] = 4.0
        changes = {"target": target}
        for name, names in (("task", TASKS), ("relation", seeing.relations)):
            changes[name] = torch.tensor([[likely[name].get(one, -5.0) for one in names]])
        return type(found)(**{**vars(found), **changes})

    monkeypatch.setattr(seeing.network, "ground", fixed)
    example, meant = scenes[0], free_thing(scenes[0])
    asked = seeing.perceive(example.scene, "Do it").asked
    assert (asked.task, asked.relation) == ("place", "on")
    assert asked.reference not in (-1, meant)
    seen = seeing.see(example.scene)
    words, mask = seeing.reader(["Do it"])
    with torch.inference_mode():
        grounded = seeing.network.ground(seen.encoded, torch.arange(len(seen.found))[None], words, mask)
    asked = seeing._asked(grounded, meant, PART)
    assert (asked.task, asked.relation, asked.reference) == ("open", "", -1)


def test_a_pixel_overrides_the_words(seeing, scenes, monkeypatch):
    example = scenes[0]
    number = free_thing(example)
    fitting(seeing, monkeypatch)
    v, u = np.argwhere(example.instances == number + 1).mean(axis=0).astype(int)
    nearest = np.argwhere(example.instances == number + 1)
    v, u = nearest[np.abs(nearest - [v, u]).sum(axis=1).argmin()]
    assert seeing.perceive(example.scene, "Lift it", point=(int(u), int(v))).target == number


def test_the_same_image_gives_the_same_result(seeing, scenes, monkeypatch):
    fitting(seeing, monkeypatch, 0)
    one, other = (seeing.perceive(scenes[0].scene, "Lift it") for _ in range(2))
    assert np.array_equal(one.target_object.completed_points_world, other.target_object.completed_points_world)


def test_an_empty_instruction_is_refused(seeing, scenes):
    with pytest.raises(ValueError, match="instruction is empty"):
        seeing.perceive(scenes[0].scene, "  ")


def test_missing_weights_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"planner\.(json|safetensors)"):
        PERCEPTIONS["cliport"](tmp_path)


def test_the_whole_path_runs_on_what_the_view_network_finds(tiny_planner, scenes):
    """Whatever so little training finds: it gives a result or one clear line."""
    perception = PERCEPTIONS["cliport"](tiny_planner)
    said = []
    for example in scenes:
        try:
            said.append(str(perception.perceive(example.scene, "Lift the mug").asked))
        except ValueError as error:
            said.append(str(error))
    assert len(said) == len(scenes)
    assert not any("\n" in line for line in said)


def test_a_planner_that_looks_from_above_is_trained_and_used(made_scenes, scenes, tiny_planner, tmp_path, monkeypatch):
    result = train_grounding(made_scenes, tmp_path, preset="tiny", heightmap=True)
    assert result["figures"] == {}  # too few images to keep some for validation
    for file in tiny_planner.glob("view.*"):
        shutil.copy(file, tmp_path)
    perception = Cliport(tmp_path)
    assert perception.network.config.view == "top"
    found = of_truth(scenes)
    monkeypatch.setattr(perception, "cut", found)
    seen = perception.see(scenes[0].scene)
    assert 0 < len(seen.encoded) == len(seen.found) <= len(scenes[0].things)
    assert seen.encoded.measures[:, list(MEASURES).index("top")].tolist() == [1.0] * len(seen.found)
    fitting(perception, monkeypatch, 0)
    perceived = perception.perceive(scenes[0].scene, "Pick it up")
    pixels = perceived.target_object.pixels
    assert len(set(scenes[0].instances[pixels[:, 1], pixels[:, 0]])) == 1


def test_a_planner_with_clip_finds_its_weights_beside_it(made_scenes, scenes, tiny_planner, tmp_path, monkeypatch):
    torch.manual_seed(0)
    official = {f"visual.{name}": tensor for name, tensor in ClipResNet().state_dict().items()}
    save_file({**official, "token_embedding.weight": torch.zeros(4, 4)}, tmp_path / "RN50.safetensors")
    folder = tmp_path / "planner"
    train_grounding(made_scenes, folder, preset="tiny", clip=tmp_path / "RN50.safetensors", stop_after=0)
    for file in tiny_planner.glob("view.*"):
        shutil.copy(file, folder)
    with pytest.raises(ValueError, match=r"CLIP's ResNet-50, whose weights are missing"):
        Cliport(folder)
    copy_clip(tmp_path / "RN50.safetensors", folder / CLIP)
    perception = Cliport(folder)
    assert perception.network.config.semantic == "clip"
    monkeypatch.setattr(perception, "cut", of_truth(scenes))
    assert len(perception.see(scenes[0].scene).encoded) == len(scenes[0].things)


def test_parts_that_a_thing_may_hold_are_moved_with_it(seeing, scenes, monkeypatch):
    example = scenes[0]
    number = free_thing(example)
    other = next(i for i in range(len(example.things)) if i != number)
    fitting(seeing, monkeypatch, number)
    seen = replace(seeing.see(example.scene), held_by={other: number})
    perceived = seeing.understand(seen, "Pick it up")
    both = np.isin(example.instances, [number + 1, other + 1]) & (example.scene.depth > 0)
    assert len(perceived.target_object.points_world) == both.sum()
    assert len(perceived.objects[other].points_world) == 0
    alone = seeing.understand(replace(seen, held_by={number: other}), "Pick it up")
    assert len(alone.target_object.points_world) < both.sum()
