"""Made scenes as the planner's network learns from them, and its training."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from scene_store_builders import MAKING
from unihm.assets import WEIGHTS
from unihm.cliport.crops import CHANNELS
from unihm.cliport.grounding import AMOUNTS
from unihm.cliport.network import PARTS, PlannerNetwork, load_planner
from unihm.cliport.view_network import load_view_network
from unihm.cliport.windows import SIZE
from unihm.generation.text_encoder import load_text_encoder
from unihm.scene_data import read_scenes
from unihm.scenes.records import Asking
from unihm.schema.task import TASKS
from unihm.training.grounding import GROUNDING, _listen, train_grounding
from unihm.training.grounding_data import amount_said, batch_of, found_proposals, prepare, proposals
from unihm.training.grounding_task import GroundingTask, figures
from unihm.training.listening import encode_once
from unihm.training.planner import train_planner
from unihm.training.view import VIEW


@pytest.fixture(scope="module")
def examples(made_scenes, tmp_path_factory):
    return prepare(made_scenes, tmp_path_factory.mktemp("prepared"))


def test_proposals_show_what_they_say(made_scenes):
    rng = np.random.default_rng(0)
    pieces = 0
    for example in read_scenes(made_scenes):
        masks, labels = proposals(example, rng)
        for mask, (thing, whole) in zip(masks, labels, strict=True):
            if thing < 0:
                continue
            true = example.instances == thing + 1
            overlap = (mask & true).sum() / (mask | true).sum()
            if whole:
                assert overlap > 0.4
            else:
                pieces += 1
                assert overlap < 0.95
    assert pieces > 0


def test_what_the_view_network_finds_is_told_from_pieces_and_from_the_room(made_scenes):
    seeing, _ = load_view_network(WEIGHTS / "view.safetensors")
    whole = 0
    for example in read_scenes(made_scenes):
        T = example.scene.camera.T_world_camera
        points = example.scene.camera.unproject(example.scene.depth) @ T[:3, :3].T + T[:3, 3]
        masks, labels = found_proposals(example, seeing, points)
        assert len({thing for thing, is_whole in labels if is_whole}) == sum(is_whole for _, is_whole in labels)
        for mask, (thing, is_whole) in zip(masks, labels, strict=True):
            overlaps = [
                (mask & (example.instances == k + 1)).sum() / (mask | (example.instances == k + 1)).sum()
                for k in range(len(example.things))
            ]
            assert is_whole == (max(overlaps) > 0.5)
            if thing >= 0:
                assert thing == int(np.argmax(overlaps))
            whole += is_whole
    assert whole > 0


def test_what_was_prepared_without_a_view_network_is_prepared_anew_with_one(made_scenes, tiny_planner, tmp_path):
    assert len(prepare(made_scenes, tmp_path, view=tiny_planner / "view.safetensors")) > 0
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["prepared"]["view"] == load_view_network(tiny_planner / "view.safetensors")[1]["fingerprint"]
    prepare(made_scenes, tmp_path)
    assert json.loads((tmp_path / "facts.json").read_text())["prepared"]["view"] == ""


def test_every_instruction_finds_its_target_among_its_proposals(examples):
    images = sorted({one.image for one in examples.said})
    batch = batch_of(examples, images, examples.said)
    assert batch.images.shape[1:] == (len(CHANNELS), SIZE, SIZE)
    for b, one in enumerate(batch.said):
        assert int(batch.target[b].sum()) == len(one.targets)
        assert int(batch.reference[b].sum()) == (one.reference >= 0)
        rows = batch.rows[b][batch.target[b]]
        assert batch.thing[rows].tolist() == sorted(one.targets)
        # No proposal of another image is among them.
        own = batch.rows[b][batch.rows[b] >= 0]
        assert len(own) == len(examples.rows_of[one.image])


def test_part_maps_lie_on_the_mask(examples):
    batch = batch_of(examples, range(len(examples)), [])
    mask = batch.images[:, CHANNELS.index("mask")] > 0.5
    for row in (batch.whole == 1).nonzero().flatten().tolist():
        thing = batch.parts[row] > 0
        assert float((thing & mask[row]).sum() / (thing | mask[row]).sum()) > 0.4
        assert not (batch.picks[row] & ~thing).any()
        free = int(batch.kind[row]) == 0
        assert bool((batch.parts[row] == PARTS.index("panel")).any()) != free


def test_prepared_files_are_taken_again_and_made_anew_where_the_scenes_changed(made_scenes, tmp_path):
    prepare(made_scenes, tmp_path)
    before = (tmp_path / "images.bin").stat().st_mtime_ns
    prepare(made_scenes, tmp_path)
    assert (tmp_path / "images.bin").stat().st_mtime_ns == before
    facts = json.loads((tmp_path / "facts.json").read_text())
    facts["prepared"]["data"] = "other"
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    prepare(made_scenes, tmp_path)
    assert (tmp_path / "images.bin").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("task", "text", "amount", "said"),
    [
        ("grab", "Lift the mug.", None, "none"),
        ("grab", "Lift the mug 20 cm.", 0.2, "stated"),
        ("place", "Move the mug a little to the left", 0.08, "little"),
        ("push", "Push it far away", 0.25, "far"),
        ("open", "Open the door halfway", 0.96, "half"),
        ("open", "Open the door by 40 degrees", 0.7, "stated"),
        ("pull", "Pull the drawer all the way out", 0.15, "full"),
    ],
)
def test_how_far_is_read_from_the_words(task, text, amount, said):
    asking = Asking(instruction=text, held_out_wording=False, refers_by="name", task=task, targets=(0,), amount=amount)
    assert amount_said(asking) == said
    assert said in AMOUNTS


def test_a_few_steps_make_the_loss_smaller(examples):
    torch.manual_seed(0)
    config = GROUNDING["tiny"]
    network = PlannerNetwork(config.network)
    task = GroundingTask(
        examples=examples, reader=load_text_encoder(), images=range(len(examples)), batch_images=2, batch_said=12
    )
    (batch,) = [next(iter(task.batches(0, torch.Generator().manual_seed(0))))]
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        value, found = task.loss(network, batch, torch.Generator().manual_seed(1))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(float(value))
    assert losses[-1] < 0.8 * losses[0]
    assert {"target", "task", "relation", "amount", "parts", "name"} <= set(found)


def test_figures_are_shares(examples, tiny_planner):
    network, card = load_planner(tiny_planner / "planner.safetensors")
    found = figures(network, examples, load_text_encoder(), range(len(examples)))
    assert all(0 <= value <= 1 for value in found.values())
    assert {"target", "task", "wrong"} <= set(found)
    assert card["scenes"]["made_with"]["seed"] == MAKING.seed
    assert "mug" not in card["nouns"] or card["nouns"] == sorted(card["nouns"])
    assert card["tasks"] == list(TASKS)


def test_an_interrupted_training_gives_the_same_weights(made_scenes, tmp_path):
    whole = train_grounding(made_scenes, tmp_path / "whole", preset="tiny")
    train_grounding(made_scenes, tmp_path / "cut", preset="tiny", stop_after=1)
    cut = train_grounding(made_scenes, tmp_path / "cut", preset="tiny", resume=True)
    one, other = load_file(whole["weights"]), load_file(cut["weights"])
    # Not to the last bit: sentences are read in other company after the break, and some processors round accordingly.
    assert all(torch.allclose(one[name], other[name], rtol=0, atol=2e-4) for name in one)


def test_fine_tuning_begins_with_the_given_weights(made_scenes, tiny_planner, tmp_path):
    result = train_grounding(
        made_scenes, tmp_path, preset="tiny", finetune=tiny_planner / "planner.safetensors", stop_after=0
    )
    one, other = load_file(tiny_planner / "planner.safetensors"), load_file(result["weights"])
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_ablation_may_begin_with_weights_that_had_depth(made_scenes, tiny_planner, tmp_path):
    start = tiny_planner / "planner.safetensors"
    result = train_grounding(made_scenes, tmp_path, preset="tiny", finetune=start, rgb_only=True, stop_after=0)
    network, card = load_planner(result["weights"])
    assert network.config.rgb_only
    assert "--rgb-only" in card["command"]


def test_a_missing_file_of_clip_is_refused_before_anything_is_trained(made_scenes, tmp_path):
    with pytest.raises(ValueError, match=r"none\.pt' does not exist"):
        train_planner(made_scenes, tmp_path / "out", preset="tiny", clip=tmp_path / "none.pt")
    assert not (tmp_path / "out").exists()


def test_both_networks_know_the_same_presets():
    assert set(VIEW) == set(GROUNDING)


def test_listening_changes_nothing_but_the_attention(made_scenes, tmp_path, tiny_planner):
    examples = prepare(made_scenes, tmp_path / "prepared")
    network, _ = load_planner(tiny_planner / "planner.safetensors")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    config = GROUNDING["tiny"].listening
    task = GroundingTask(
        examples=examples,
        reader=load_text_encoder(),
        images=range(len(examples)),
        batch_images=2,
        batch_said=12,
    )
    _listen(network, config, task, tmp_path / "run", False, lambda *_: {"wrong": 1.0})
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("grounder.") for name in changed)
    assert all(p.requires_grad for p in network.parameters())


def test_crops_that_were_encoded_once_mean_the_same(made_scenes, tmp_path, tiny_planner):
    examples = prepare(made_scenes, tmp_path / "prepared")
    network, _ = load_planner(tiny_planner / "planner.safetensors")
    images = range(len(examples))
    batch = batch_of(examples, images, examples.said)
    words, mask = load_text_encoder()([one.text for one in batch.said])
    known = encode_once(network, examples)
    with torch.no_grad():
        plain = network.ground(network.encode(batch.images, batch.measures), batch.rows, words, mask)
        again = network.ground(known.take(batch.proposals), batch.rows, words, mask)
    assert torch.allclose(plain.target, again.target, atol=1e-4)
    assert torch.allclose(plain.task, again.task, atol=1e-4)


def test_further_instructions_are_many_and_about_what_is_there(examples):
    assert len(examples.more) > 2 * len(examples.said)
    for one in examples.more:
        things = set(examples.thing[examples.rows_of[one.image]].tolist())
        assert set(one.targets) <= things


def test_blended_weights_lie_between_those_before_and_after(made_scenes, tiny_planner, tmp_path):
    from unihm.training.planner import blend

    before, after = tiny_planner / "planner.safetensors", tmp_path / "after"
    result = train_grounding(made_scenes, after, preset="tiny", finetune=before, seed=3)
    blend(before, result["weights"], 0.25, tmp_path / "blended.safetensors", "--only-words --keep 0.25")
    old, new, mixed = (load_file(path) for path in (before, result["weights"], tmp_path / "blended.safetensors"))
    changed = [name for name in old if not torch.equal(old[name], new[name])]
    assert changed
    for name in changed:
        if old[name].is_floating_point():
            torch.testing.assert_close(mixed[name], 0.25 * old[name] + 0.75 * new[name])
    _, card = load_planner(tmp_path / "blended.safetensors")
    assert card["command"].endswith("--only-words --keep 0.25")
    assert card["kept_of_before"] == 0.25
    with pytest.raises(ValueError, match="same sizes"):
        blend(WEIGHTS / "planner.safetensors", result["weights"], 0.5, tmp_path / "none.safetensors")
