from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from generation_builders import SMALL, build_conditions, build_network

from unified_builders import small_codec
from unihm.generation.decoding import Sampling, write_codes
from unihm.generation.plan_codes import AXES, RANGES
from unihm.generation.touching import Person

WAYS = ["single", "autoregressive", "unmasking"]


@pytest.fixture(scope="module")
def network():
    return build_network()


@pytest.fixture(scope="module")
def codec():
    return small_codec()


def sticks(pose):
    """Fingertips around the palm's front, for hands without a model."""
    tips = torch.tensor(
        [[0.05, -0.03, 0.02], [0.08, 0.03, 0.0], [0.08, 0.01, 0.0], [0.08, -0.01, 0.0], [0.07, -0.03, 0.0]]
    )
    return pose.t[..., None, :] + tips @ pose.R.mT


PERSON = Person(tips=sticks, wrist_palm=torch.tensor([-0.06, 0.0, 0.0]))


def write(network, codec, c, sampling, seed=0, person=None):
    return write_codes(network, codec, c, sampling, torch.Generator().manual_seed(seed), person)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("code_temperature", [0.0, 1.0])
def test_codes_stand_for_the_poses_and_seeds_decide(network, codec, way, temperature, code_temperature):
    c = build_conditions(batch=3, frames=16)
    sampling = Sampling(way=way, temperature=temperature, code_temperature=code_temperature)
    codes, poses = write(network, codec, c, sampling)
    assert codes.shape == (3, 4, 2)
    assert codes.min() >= 0
    assert codes.max() < 16
    decoded = codec.decode(codes)
    for part in ("t", "R", "fingers"):
        assert torch.equal(getattr(decoded, part), getattr(poses, part))
    assert torch.equal(write(network, codec, c, sampling)[0], codes)
    other = write(network, codec, c, sampling, seed=1)[0]
    assert torch.equal(other, codes) == (temperature == 0 and code_temperature == 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_gives_what_motions_give_alone(network, codec, way):
    c = build_conditions(batch=3, frames=16)
    c = replace(
        c, lengths=torch.tensor([16, 11, 5]), lift=torch.tensor([4, 4, 2]), path_given=torch.tensor([True, False, True])
    )
    codes, _ = write(network, codec, c, Sampling(way=way), person=PERSON)
    for row, length in enumerate([16, 11, 5]):
        size = -(-length // 4)
        alone = c.take(torch.tensor([row]))
        alone = replace(alone, T_world_canonical=alone.T_world_canonical[:, : 4 * size])
        found, _ = write(network, codec, alone, Sampling(way=way), person=PERSON)
        assert torch.equal(found[0], codes[row, :size]), row


@pytest.mark.parametrize("way", WAYS)
def test_without_temperature_codes_are_the_nearest_to_what_the_head_names(codec, way):
    """Pointing exactly at the guess, the codes are those of the guess: what the codec writes for it."""
    network = build_network()
    with torch.no_grad():
        for layer in (network.head.correction, network.head.gate):
            layer.weight.zero_()
            layer.bias.fill_(-100.0 if layer is network.head.gate else 0.0)
    c = build_conditions(frames=16)
    expected = codec.encode(network.origin(c, network.guess_of(c)), 2)
    assert torch.equal(write(network, codec, c, Sampling(way=way))[0], expected)


def test_a_hidden_past_gives_the_same_autoregressively_and_at_once(network, codec, monkeypatch):
    """An autoregressive network that is shown nothing says what a single pass says."""
    c = build_conditions(frames=16)
    steps = type(network.steps(c, network.guess_of(c)))
    shown = steps.next
    expected = write(network, codec, c, Sampling(way="single"))[0]
    assert not torch.equal(write(network, codec, c, Sampling(way="autoregressive"))[0], expected)
    monkeypatch.setattr(steps, "next", lambda self, before: shown(self, None))
    assert torch.equal(write(network, codec, c, Sampling(way="autoregressive"))[0], expected)


def test_one_round_of_unmasking_is_a_single_pass_and_more_are_not(network, codec):
    c = build_conditions(batch=4, frames=16)
    single = write(network, codec, c, Sampling(way="single"))[0]
    assert torch.equal(write(network, codec, c, Sampling(way="unmasking", rounds=1))[0], single)
    assert not torch.equal(write(network, codec, c, Sampling(way="unmasking", rounds=4))[0], single)


def test_the_drawn_plan_is_distributed_as_the_network_says(network, codec, monkeypatch):
    """The first axis of the plans of many equal motions."""
    drawn = []
    planned = network.planned
    monkeypatch.setattr(
        network, "planned", lambda c, guess, plan, *size: drawn.append(plan) or planned(c, guess, plan, *size)
    )
    one = build_conditions(batch=1, frames=4)
    c = one.take(torch.zeros(2000, dtype=torch.long))
    write(network, codec, c, Sampling(temperature=1.0))
    expected = network.steps(one, network.guess_of(one)).plan_logits()[0].softmax(-1)
    found = torch.bincount(drawn[0][:, 0], minlength=RANGES) / 2000
    assert drawn[0].shape == (2000, AXES)
    assert drawn[0].max() < RANGES
    assert (found - expected).abs().max() < 4 * 0.5 / 2000**0.5
    write(network, codec, one, Sampling(temperature=1.0, top_k=1))
    likeliest = []
    steps = network.steps(one, network.guess_of(one))
    for _ in range(AXES):
        likeliest.append(steps.plan_logits().argmax(-1))
        steps.plan(likeliest[-1])
    assert torch.equal(drawn[1], torch.stack(likeliest, dim=1))


def test_drawn_plans_give_spread_motions_open_ones_the_middle(network, codec):
    one = build_conditions(batch=1, frames=12)
    c = one.take(torch.zeros(30, dtype=torch.long))
    still = write(network, codec, c, Sampling())[1]
    spread = write(network, codec, c, Sampling(temperature=1.0))[1]
    assert still.t.std(0).max() < 1e-5
    assert spread.t.std(0).max() > 1e-3


def test_plans_that_stand_for_all_are_taken_as_they_are(network, codec):
    """No noise, another motion for each of them, and the same whatever the temperature."""
    c = build_conditions(batch=2, frames=12)
    first = write(network, codec, c, Sampling(one_of=(1, 3)))[0]
    assert torch.equal(write(network, codec, c, Sampling(one_of=(1, 3), temperature=1.0), seed=1)[0], first)
    assert not torch.equal(write(network, codec, c, Sampling(one_of=(2, 3)))[0], first)
    steps = write(network, codec, c, Sampling(one_of=(1, 3), way="autoregressive"))[0]
    assert steps.shape == first.shape


def test_a_bidirectional_network_is_refused_autoregressively(codec):
    network, c = build_network(replace(SMALL, attention="bidirectional")), build_conditions()
    with pytest.raises(ValueError, match="bidirectional attention has no past"):
        write(network, codec, c, Sampling(way="autoregressive"))
    for way in ("single", "unmasking"):
        assert write(network, codec, c, Sampling(way=way))[0].shape == (2, 3, 2)


def test_touching_moves_carried_motions_alone(network, codec, monkeypatch):
    seen = []

    def listen(told, start, points, carried, plan, tips_of, touch, *, drawn, asked):
        assert asked.side.shape == (4, 3)
        seen.append((carried.tolist(), drawn))
        return told

    monkeypatch.setattr("unihm.generation.decoding.touching", listen)
    c = build_conditions(batch=4)
    c = replace(
        c,
        lift=torch.tensor([4, 4, 12, 4]),
        path_given=torch.tensor([True, False, True, True]),
        cloud_given=torch.tensor([True, True, True, False]),
    )
    expected = write(network, codec, c, Sampling())[0]
    assert not seen  # without a person nothing is done
    assert torch.equal(write(network, codec, c, Sampling(), person=PERSON)[0], expected)
    write(network, codec, c, Sampling(temperature=1.0), person=PERSON)
    assert seen == [([True, False, False, False], False), ([True, False, False, False], True)]
