from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from unihm.generation.decoding import gumbel_noise, sample_codes, write_codes
from unihm.generation.qwen3 import Conditions, GeneratorConfig, MotionQwen3

SMALL = GeneratorConfig(hidden=32, layers=2, heads=2, kv_heads=1, head_size=16, feedforward=48, text_width=24)


def conditions(batch: int = 2, frames: int = 12, latent: int = 8, seed: int = 0) -> Conditions:
    rng = torch.Generator().manual_seed(seed)
    path = torch.eye(4).repeat(batch, frames, 1, 1)
    path[:, :, 2, 3] = torch.linspace(0.05, 0.2, frames)
    palm = torch.eye(4).repeat(batch, 1, 1)
    palm[:, 0, 3] = 0.15
    return Conditions(
        words=torch.randn(batch, 5, 24, generator=rng),
        words_mask=torch.ones(batch, 5, dtype=torch.bool),
        points=0.05 * torch.randn(batch, 30, 3, generator=rng),
        cloud_given=torch.ones(batch, dtype=torch.bool),
        T_world_canonical=path,
        lengths=torch.full((batch,), frames),
        T_canonical_palm0=palm,
        start=torch.randn(batch, latent, generator=rng),
        hand=torch.zeros(batch, dtype=torch.long),
    )


def build(config: GeneratorConfig = SMALL) -> MotionQwen3:
    torch.manual_seed(0)
    book = torch.randn(3, 16, 8) * 0.5 ** torch.arange(3)[:, None, None]
    network = MotionQwen3(config, book, hands=2, frames_per_chunk=4).eval()
    torch.nn.init.normal_(network.head.mu.weight, std=0.3)  # zero at first: nothing would reach the codes
    return network


def states(network, c, given=None, motion=None):
    chunks = c.T_world_canonical.shape[1] // 4
    given = torch.zeros(len(c.lengths), chunks, dtype=torch.bool) if given is None else given
    motion = torch.zeros(len(c.lengths), chunks, 8) if motion is None else motion
    return network(c, network.origin(c), motion, given)


def test_the_default_has_about_five_million_parameters():
    network = MotionQwen3(GeneratorConfig(), torch.randn(6, 1024, 64), hands=4, frames_per_chunk=4)
    assert 4.5e6 < sum(p.numel() for p in network.parameters()) < 5.5e6
    assert 2 * sum(t.numel() for t in network.state_dict().values()) < 12e6  # bytes in half precision


@pytest.mark.parametrize(
    "config", [SMALL, replace(SMALL, word_tokens=None), replace(SMALL, attention="causal", word_tokens=None)]
)
def test_padding_and_batch_mates_change_nothing(config):
    network, c = build(config), conditions()
    expected = states(network, c)
    padded = replace(
        c,
        words=torch.cat([c.words, torch.ones(2, 3, 24)], dim=1),
        words_mask=torch.cat([c.words_mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1),
        T_world_canonical=torch.cat([c.T_world_canonical, c.T_world_canonical[:, -1:].expand(-1, 8, -1, -1)], dim=1),
    )
    torch.testing.assert_close(states(network, padded)[:, :3], expected, atol=1e-5, rtol=1e-4)
    alone = Conditions(**{f.name: getattr(c, f.name)[1:] for f in fields(c)})
    torch.testing.assert_close(states(network, alone), expected[1:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["words", "points", "T_world_canonical", "T_canonical_palm0", "start", "hand"])
def test_every_condition_reaches_the_motion(name):
    network, c = build(), conditions()
    value = getattr(c, name).clone()
    if name == "hand":
        value += 1
    elif name == "T_world_canonical":
        value[:, -1, 2, 3] += 0.1
    elif name == "T_canonical_palm0":
        value[:, 1, 3] += 0.05
    else:
        value += torch.randn(value.shape, generator=torch.Generator().manual_seed(7))
    assert (states(network, replace(c, **{name: value})) - states(network, c)).abs().max() > 1e-4


def test_dropped_words_and_clouds_are_not_seen():
    network, c = build(), conditions()
    c = replace(c, words_mask=torch.zeros_like(c.words_mask), cloud_given=torch.zeros(2, dtype=torch.bool))
    changed = replace(c, words=-c.words)
    result = states(network, c)
    assert result.isfinite().all()
    torch.testing.assert_close(states(network, changed), result)


def test_masked_latents_are_not_seen_and_given_ones_are():
    network, c = build(), conditions()
    given = torch.tensor([[True, False, False], [True, False, False]])
    motion = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(3))
    base = states(network, c, given, motion)
    hidden, shown = motion.clone(), motion.clone()
    hidden[:, 1:] += 1
    shown[:, 0] += 1
    torch.testing.assert_close(states(network, c, given, hidden), base)
    assert (states(network, c, given, shown)[:, 2] - base[:, 2]).abs().max() > 1e-4


def test_causal_positions_do_not_see_what_follows():
    network, c = build(replace(SMALL, attention="causal")), conditions()
    given = torch.ones(2, 3, dtype=torch.bool)
    motion = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(3))
    later = motion.clone()
    later[:, 2] += 1
    a, b = states(network, c, given, motion), states(network, c, given, later)
    torch.testing.assert_close(a[:, :2], b[:, :2])
    assert (a[:, 2] - b[:, 2]).abs().max() > 1e-4


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_same_seed_same_codes(steps, temperature):
    network, c = build(), conditions()

    def draw(seed):
        rng = torch.Generator().manual_seed(seed)
        return write_codes(network, c, steps=steps, temperature=temperature, rng=rng)

    codes = draw(0)
    assert codes.shape == (2, 3, 3)
    assert codes.min() >= 0
    assert codes.max() < 16
    assert torch.equal(draw(0), codes)
    assert torch.equal(draw(1), codes) == (temperature == 0)


def test_samples_are_distributed_as_the_softmax_says():
    head = build().head
    rng = torch.Generator().manual_seed(0)
    hidden, origin = torch.randn(1, 1, 32, generator=rng), 0.3 * torch.randn(1, 1, 8, generator=rng)
    count = 20_000
    noise = gumbel_noise((count, 3, 16), rng)
    codes, _ = sample_codes(head, hidden.expand(count, 1, -1), origin.expand(count, 1, -1), noise, temperature=1.0)
    expected = head.logits(hidden[0, 0], origin[0, 0], torch.zeros(8), 0).softmax(dim=-1)
    found = torch.bincount(codes[:, 0, 0], minlength=16) / count
    assert (found - expected).abs().max() < 4 * 0.5 / count**0.5


def test_top_k_of_one_is_the_most_likely_code():
    network, c = build(), conditions()

    def draw(**options):
        return write_codes(network, c, rng=torch.Generator().manual_seed(0), **options)

    assert torch.equal(draw(temperature=2.0, top_k=1), draw(temperature=0.0))
