from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import torch
from network_builders import SMALL, build_network, draw_crops, draw_words

from unihm.cliport.clip_resnet import ClipResNet
from unihm.cliport.crops import CHANNELS, MEASURES, PICTURE_CHANNELS, PICTURE_MEASURES
from unihm.cliport.network import PARTS, PlannerConfig, PlannerNetwork, load_planner, without_depth
from unihm.cliport.objectives import choice_loss, name_loss, parts_loss, pick_loss
from unihm.schema.weights import read_weights


def everything(network: PlannerNetwork, images, measures) -> list[torch.Tensor]:
    words, mask = draw_words(1)
    with torch.no_grad():
        encoded = network.encode(images, measures)
        rows = torch.arange(len(images))[None]
        grounded, described = network.ground(encoded, rows, words, mask), network.describe(encoded)
        maps = [network.parts(encoded), network.pick(encoded, rows[0, :1], words, mask)]
    return [*maps, *vars(grounded).values(), *vars(described).values()]


@torch.no_grad()
def rounded(network: PlannerNetwork) -> PlannerNetwork:
    """With the weights that a file keeps, which is in half precision."""
    for weight in network.parameters():
        weight.copy_(weight.half())
    return network


def test_maps_have_the_size_of_the_crop():
    parts, pick, *_ = everything(build_network(), *draw_crops(3))
    assert parts.shape == (3, len(PARTS), 64, 64)
    assert pick.shape == (1, 64, 64)


def test_the_default_network_is_small():
    network = PlannerNetwork(PlannerConfig(relations=("inside",)))
    assert 1.2e6 < sum(p.numel() for p in network.parameters()) < 1.6e6


def test_without_depth_nothing_that_needs_it_is_read():
    network = build_network(replace(SMALL, rgb_only=True))
    images, measures = draw_crops(2)
    blind_images, blind_measures = images.clone(), measures.clone()
    blind_images[:, PICTURE_CHANNELS:] = torch.nan
    blind_measures[:, PICTURE_MEASURES:] = torch.nan
    plain, blind = everything(network, images, measures), everything(network, blind_images, blind_measures)
    assert all(torch.equal(a, b) for a, b in zip(plain, blind, strict=True))
    assert not {"height", "right", "long"} & set(list(MEASURES)[:PICTURE_MEASURES])
    assert CHANNELS[:PICTURE_CHANNELS] == ("red", "green", "blue", "mask")


def test_the_ablation_begins_with_the_weights_of_what_needs_no_depth():
    network = build_network()
    small = without_depth(network)
    assert small.config.rgb_only
    assert not small.training
    images, measures = draw_crops(2)
    images[:, PICTURE_CHANNELS:] = 0
    measures[:, PICTURE_MEASURES:] = network.measure_centre[PICTURE_MEASURES:]
    full, less = everything(network, images, measures), everything(small, images, measures)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(full, less, strict=True))


@pytest.mark.parametrize("channel", range(len(CHANNELS)))
def test_with_depth_every_channel_is_read(channel):
    network = build_network()
    images, measures = draw_crops(1)
    other = images.clone()
    other[:, channel] = 1 - other[:, channel]
    assert (everything(network, images, measures)[0] - everything(network, other, measures)[0]).abs().max() > 1e-4


def test_shape_reaches_the_semantic_output_and_words_never_the_parts():
    network = build_network()
    encoded = network.encode(*draw_crops(2))
    words, mask = draw_words(2)
    network.pick(encoded, torch.tensor([0, 1]), words, mask).square().sum().backward()
    for name, weight in network.spatial.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name
    network.zero_grad()
    network.parts(network.encode(*draw_crops(2))).square().sum().backward()
    assert all(weight.grad is None for weight in network.decoder.parameters())


def test_words_change_where_a_thing_is_taken():
    network = build_network()
    with torch.no_grad():
        encoded = network.encode(*draw_crops(1))
        picks = network.pick(encoded, torch.tensor([0, 0]), *draw_words(2))
    assert (picks[0] - picks[1]).abs().max() > 1e-4


def test_it_learns_colours_in_seconds():
    """Eight crops, each of one colour: which one is meant, its parts, its name, and the half where it is taken."""
    torch.manual_seed(0)
    network = PlannerNetwork(replace(SMALL, dropout=0.0)).train()
    images, measures = draw_crops(8)
    colours = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]).float()
    images[:, PICTURE_CHANNELS:], measures[:] = 0, 0  # colour alone tells them apart
    images[:, :3] = colours[..., None, None]
    inside = images[:, 3] == 1
    rows = torch.arange(8).reshape(2, 4).repeat_interleave(4, dim=0)
    words, mask = draw_words(8)
    fits = torch.eye(4, dtype=torch.bool).repeat(2, 1)
    left = (torch.arange(64) < 32).expand(8, 64, 64)
    cells = inside & torch.where(torch.arange(8)[:, None, None] % 2 == 0, left, ~left)
    optimizer = torch.optim.AdamW(network.parameters(), 1.5e-3)
    for _ in range(35):
        encoded = network.encode(images, measures)
        grounded = network.ground(encoded, rows, words, mask)
        loss = (
            choice_loss(grounded.target, fits, rows >= 0)
            + parts_loss(network.parts(encoded), inside.long())
            + pick_loss(network.pick(encoded, torch.arange(8), words, mask), cells)
            + name_loss(network.describe(encoded).name, words[:, 0], torch.eye(8, dtype=torch.bool))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        encoded = network.encode(images, measures)
        grounded = network.ground(encoded, rows, words, mask)
        parts, pick = network.parts(encoded), network.pick(encoded, torch.arange(8), words, mask)
        names = network.describe(encoded).name
    assert (grounded.target.argmax(dim=1) == torch.arange(4).repeat(2)).all()
    assert ((grounded.target > 0) == fits).all()
    assert ((parts.argmax(dim=1) == 1) == inside).float().mean() > 0.98
    assert cells.flatten(1)[torch.arange(8), pick.flatten(1).argmax(dim=1)].all()
    assert ((names @ words[:, 0].T).argmax(dim=1) == torch.arange(8)).all()


def test_saved_and_loaded_it_says_the_same(tmp_path):
    network = rounded(build_network())
    mark = network.save(tmp_path / "planner.safetensors", {"licence": "none"})
    loaded, card = load_planner(tmp_path / "planner.safetensors")
    assert loaded.config == network.config
    assert not loaded.training
    assert card["licence"] == "none"
    assert card["fingerprint"] == mark
    crops = draw_crops(3)
    pairs = zip(everything(network, *crops), everything(loaded, *crops), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_card_for_other_inputs_is_refused(tmp_path):
    path = tmp_path / "planner.safetensors"
    build_network().save(path, {})
    card = json.loads(path.with_suffix(".json").read_text())
    for change, message in (
        ({"tasks": ["juggle"]}, r"trained with tasks \['juggle'\]"),
        ({"config": {**card["config"], "legs": 4}}, "damaged: .*legs"),
        ({"config": {**card["config"], "widths": [8, 16, 32]}}, "does not fit the model: misshapen"),
        ({"config": {**card["config"], "semantic": "clip"}}, "whose weights are missing"),
    ):
        path.with_suffix(".json").write_text(json.dumps(card | change))
        with pytest.raises(ValueError, match=message):
            load_planner(path)
    with pytest.raises(ValueError, match="does not exist"):
        load_planner(tmp_path / "other.safetensors")


def test_clip_and_the_config_must_agree():
    with pytest.raises(ValueError, match="weights are missing"):
        PlannerNetwork(replace(SMALL, semantic="clip"))


def test_with_clip_its_weights_stay_where_they_are(tmp_path):
    torch.manual_seed(0)
    clip = ClipResNet()
    network = PlannerNetwork(replace(SMALL, semantic="clip"), clip=clip)
    assert not any(p.requires_grad for p in clip.parameters())
    network.train()
    assert not clip.bn1.training
    rounded(network).eval()
    path = tmp_path / "planner.safetensors"
    network.save(path, {})
    assert not [name for name in read_weights(path, kind="planner")[0] if "clip" in name]
    torch.save({f"visual.{k}": v for k, v in clip.state_dict().items()}, tmp_path / "clip.pt")
    loaded, _ = load_planner(path, clip=tmp_path / "clip.pt")
    crops = draw_crops(1)
    pairs = zip(everything(network, *crops), everything(loaded, *crops), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    torch.save({f"visual.{k}": v + 1 for k, v in clip.state_dict().items()}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="trained with clip"):
        load_planner(path, clip=tmp_path / "other.pt")


def test_speed():
    network = PlannerNetwork(PlannerConfig(relations=("inside",))).eval()
    crops = draw_crops(8)
    everything(network, *crops)
    start = time.process_time()
    everything(network, *crops)
    print(f"8 crops and an instruction: {1e3 * (time.process_time() - start):.0f} ms")
