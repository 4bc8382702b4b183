from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from generation_builders import LATENT, SMALL, build_conditions, build_network

from unihm.generation.conditions import Conditions
from unihm.generation.plan_codes import AXES, RANGES
from unihm.generation.qwen3 import GeneratorConfig, MotionQwen3, phases
from unihm.geometry.lie import so3_exp
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import CodecConfig, PredictiveCodec

BIDIRECTIONAL = replace(SMALL, attention="bidirectional")
ALL = [SMALL, replace(SMALL, word_tokens=None), replace(BIDIRECTIONAL, word_tokens=None)]


def a_motion(network: MotionQwen3, c: Conditions, seed: int = 3) -> LatentPose:
    """Some motion beside the guess."""
    rng = torch.Generator().manual_seed(seed)
    here = network.origin(c, network.guess_of(c))
    return LatentPose(
        R=here.R @ so3_exp(0.3 * torch.randn(*here.t.shape, generator=rng)),
        t=here.t + 0.02 * torch.randn(here.t.shape, generator=rng),
        fingers=here.fingers + 0.2 * torch.randn(here.fingers.shape, generator=rng),
    )


def a_plan(batch: int, seed: int = 4) -> torch.Tensor:
    """Codes, some of them left open."""
    return torch.randint(RANGES + 1, (batch, AXES), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def said(network: MotionQwen3, c: Conditions, given=None, motion=None, plan=None) -> dict[str, torch.Tensor]:
    """Everything the network says, by name."""
    guess = network.guess_of(c)
    origin = network.origin(c, guess)
    motion = origin if motion is None else motion
    given = torch.zeros_like(network.exists(c)) if given is None else given
    plan = torch.full((len(c), AXES), RANGES) if plan is None else plan
    logits, pointed = network(c, guess, plan, origin, motion, given)
    return {"plan": logits, "t": pointed.pose.t, "R": pointed.pose.R, "fingers": pointed.pose.fingers,
            "spread": pointed.log_spread}  # fmt: skip


def same(found: dict, expected: dict, chunks: int | None = None, tolerance: float = 1e-4) -> None:
    for name, value in expected.items():
        here = found[name] if chunks is None or name == "plan" else found[name][:, :chunks]
        torch.testing.assert_close(here, value, atol=tolerance, rtol=tolerance, msg=name)


def differ(found: dict, expected: dict, chunks: slice = slice(None)) -> bool:
    return any((found[n][:, chunks] - v[:, chunks]).abs().max() > 1e-4 for n, v in expected.items() if n != "plan")


def test_the_default_has_about_five_million_parameters():
    network = MotionQwen3(GeneratorConfig(), PredictiveCodec(CodecConfig()))
    assert 3e6 < sum(p.numel() for p in network.parameters()) < 6e6


@pytest.mark.parametrize("config", ALL)
def test_padding_and_batch_mates_change_nothing(config):
    network, c = build_network(config), build_conditions(batch=3)
    c = replace(c, path_given=torch.tensor([True, False, True]))
    expected = said(network, c)
    padded = replace(
        c,
        words=torch.cat([c.words, torch.ones(3, 3, 24)], dim=1),
        words_mask=torch.cat([c.words_mask, torch.zeros(3, 3, dtype=torch.bool)], dim=1),
        T_world_canonical=torch.cat([c.T_world_canonical, c.T_world_canonical[:, -1:].expand(-1, 8, -1, -1)], dim=1),
    )
    same(said(network, padded), expected, chunks=3)
    for row in range(3):
        same(said(network, c.take(torch.tensor([row]))), {n: v[row : row + 1] for n, v in expected.items()})


@pytest.mark.parametrize("config", [SMALL, BIDIRECTIONAL])
def test_what_lies_behind_the_end_is_not_seen(config):
    """A shorter motion in a longer batch: padding chunks may hold anything."""
    network, c = build_network(config), build_conditions(frames=16)
    c = replace(c, lengths=torch.tensor([16, 7]), lift=torch.tensor([5, 3]))
    path = c.T_world_canonical.clone()
    path[1, 7:] = path[1, 6]
    c = replace(c, T_world_canonical=path)
    motion, given = a_motion(network, c), torch.ones(2, 4, dtype=torch.bool)
    short = replace(c, T_world_canonical=path[:, :8]).take(torch.tensor([1]))
    expected = said(network, short, given[:1, :2], motion[1:, :2])
    found = said(network, c, given, motion)
    same({name: value[1:] for name, value in found.items()}, expected, chunks=2)
    other = motion.map(torch.Tensor.clone)
    other.t[1, 2:] += 0.1
    same(
        {n: v[1:] if n == "plan" else v[1:, :2] for n, v in said(network, c, given, other).items()},
        {n: v[1:] if n == "plan" else v[1:, :2] for n, v in found.items()},
    )


@pytest.mark.parametrize("name", ["words", "points", "T_world_canonical", "start", "view", "lift", "path_given"])
def test_every_condition_reaches_the_motion(name):
    network, c = build_network(), build_conditions()
    value = getattr(c, name)
    if name == "start":
        changed = LatentPose(R=value.R, t=value.t + 0.05, fingers=value.fingers)
    elif name == "path_given":
        changed = ~value
    elif name == "view":
        changed = -value
    elif name == "lift":
        changed = value + 2
    elif name == "T_world_canonical":
        changed = value.clone()
        changed[:, -1, 2, 3] += 0.1
    else:
        changed = value + torch.randn(value.shape, generator=torch.Generator().manual_seed(7))
    assert differ(said(network, replace(c, **{name: changed})), said(network, c))


def test_dropped_words_and_clouds_are_not_seen_by_the_transformer():
    network, c = build_network(), build_conditions()
    c = replace(c, words_mask=torch.zeros_like(c.words_mask))
    result = said(network, c)
    assert all(value.isfinite().all() for value in result.values())
    same(said(network, replace(c, words=-c.words)), result)
    # The cloud still reaches the priors, which know its box; the tokens are hidden.
    with torch.no_grad():
        guess = network.guess_of(c)
        origin, plan = network.origin(c, guess), torch.full((2, AXES), RANGES)
        given = torch.zeros(2, 3, dtype=torch.bool)
        hidden = replace(c, cloud_given=torch.zeros(2, dtype=torch.bool))
        a, b = (network(x, guess, plan, origin, origin, given)[1].pose.t
                for x in (hidden, replace(hidden, points=-2 * c.points)))  # fmt: skip
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("config", [SMALL, BIDIRECTIONAL])
def test_masked_chunks_are_not_seen_and_given_ones_are(config):
    network, c = build_network(config), build_conditions()
    given = torch.tensor([[True, False, False], [True, False, False]])
    motion = a_motion(network, c)
    base = said(network, c, given, motion)
    hidden, shown = motion.map(torch.Tensor.clone), motion.map(torch.Tensor.clone)
    hidden.t[:, 1:] += 0.1
    shown.t[:, 0] += 0.1
    same(said(network, c, given, hidden), base)
    assert differ(said(network, c, given, shown), base, slice(2, 3))


def test_causal_positions_do_not_see_what_follows():
    network, c = build_network(), build_conditions(frames=16)
    given = torch.ones(2, 4, dtype=torch.bool)
    motion = a_motion(network, c)
    base = said(network, c, given, motion)
    for n in range(1, 4):
        later = motion.map(torch.Tensor.clone)
        later.t[:, n:] += 0.1
        later.fingers[:, n:] += 0.5
        found = said(network, c, given, later)
        # A position holds the chunk before its own, hence the own chunk is not seen either.
        same({k: v if k == "plan" else v[:, : n + 1] for k, v in found.items()},
             {k: v if k == "plan" else v[:, : n + 1] for k, v in base.items()}, tolerance=1e-6)  # fmt: skip
        if n < 3:
            assert differ(found, base, slice(n + 1, n + 2))


def test_bidirectional_positions_see_what_follows():
    network, c = build_network(BIDIRECTIONAL), build_conditions()
    given = torch.ones(2, 3, dtype=torch.bool)
    motion = a_motion(network, c)
    later = motion.map(torch.Tensor.clone)
    later.t[:, 2] += 0.1
    assert differ(said(network, c, given, later), said(network, c, given, motion), slice(0, 1))


def test_codes_of_the_plan_depend_on_those_before_and_on_no_later_ones():
    network, c = build_network(), build_conditions()
    plan = a_plan(2)
    other = plan.clone()
    other[:, 10] = (other[:, 10] + 1) % RANGES
    a, b = said(network, c, plan=plan)["plan"], said(network, c, plan=other)["plan"]
    assert a.shape == (2, AXES, RANGES)
    torch.testing.assert_close(a[:, :11], b[:, :11], atol=1e-6, rtol=1e-6)
    assert (a[:, 11] - b[:, 11]).abs().max() > 1e-4
    assert differ(said(network, c, plan=plan), said(network, c, plan=other))


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("config", ALL[:2])
@torch.no_grad()
def test_steps_with_a_cache_say_what_one_pass_says(config, shown):
    """Code by code and chunk by chunk with keys and values kept, against the whole given sequence at once."""
    network, c = build_network(config), build_conditions(batch=3, frames=16)
    mask = c.words_mask.clone()
    mask[1, 2:] = False
    c = replace(c, words_mask=mask, path_given=torch.tensor([True, True, False]))
    guess, plan = network.guess_of(c), a_plan(3)
    origin = network.origin(c, network.planned(c, guess, plan.clamp(max=RANGES - 1)))
    motion = a_motion(network, c)
    given = torch.full((3, 4), shown)
    logits, pointed = network(c, guess, plan, origin, motion, given)
    steps = network.steps(c, guess)
    for axis in range(AXES):
        torch.testing.assert_close(steps.plan_logits(), logits[:, axis], atol=1e-4, rtol=1e-4)
        steps.plan(plan[:, axis])
    steps.begin(origin)
    for n in range(4):
        found = steps.next(motion[:, n - 1] if shown and n else None)
        expected = pointed.chunk(n)
        torch.testing.assert_close(found.log_spread, expected.log_spread, atol=1e-4, rtol=1e-4)
        for part in ("t", "R", "fingers"):
            torch.testing.assert_close(getattr(found.pose, part), getattr(expected.pose, part), atol=1e-4, rtol=1e-4)


def test_a_bidirectional_network_has_no_past():
    network, c = build_network(BIDIRECTIONAL), build_conditions()
    guess = network.guess_of(c)
    with pytest.raises(ValueError, match="bidirectional attention has no past"):
        network.steps(c, guess).begin(network.origin(c, guess))


def test_each_motion_has_the_guess_of_its_kind():
    """With the path one prior speaks, without it the other; a plan adds what its codes say."""
    network, c = build_network(), build_conditions()
    mixed = network.guess_of(replace(c, path_given=torch.tensor([True, False])))
    both = [network.guess_of(replace(c, path_given=torch.full((2,), given))) for given in (True, False)]
    torch.testing.assert_close(mixed.told[0], both[0].told[0])
    torch.testing.assert_close(mixed.told[1], both[1].told[1])
    assert (both[0].told - both[1].told).abs().max() > 1e-3
    codes = a_plan(2).clamp(max=RANGES - 1)
    planned = network.planned(replace(c, path_given=torch.tensor([True, False])), mixed, codes)
    torch.testing.assert_close(planned.told[0] - mixed.told[0], network.plan.decode(codes)[0], atol=1e-6, rtol=1e-5)
    expected = network.plan_without_path.decode(codes)[1]
    torch.testing.assert_close(planned.told[1] - mixed.told[1], expected, atol=1e-6, rtol=1e-5)
    half = network.planned(c, both[0], codes, 0.5)
    torch.testing.assert_close(half.told - both[0].told, 0.5 * network.plan.decode(codes), atol=1e-6, rtol=1e-5)


def test_time_runs_evenly_without_a_path():
    c = replace(build_conditions(frames=12), path_given=torch.tensor([True, False]))
    found = phases(c)
    assert found[0, 4] == 1  # the lift
    torch.testing.assert_close(found[1, :6], torch.arange(6) / 6)
    assert found[1, 6] == 1
    assert (found[:, -1] == 2).all()


def test_origins_are_proper_poses_of_whole_chunks():
    network, c = build_network(), build_conditions(frames=16)
    origin = network.origin(c, network.guess_of(c))
    assert origin.t.shape == (2, 4, 4, 3)
    assert origin.fingers.shape == (2, 4, 4, LATENT)
    torch.testing.assert_close(origin.R @ origin.R.mT, torch.eye(3).expand(2, 4, 4, 3, 3), atol=1e-5, rtol=0)
