from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from unified_builders import small_codec
from unihm.generation.code_head import CodeHead, draw, missed, moved, rest_of, soft_targets
from unihm.geometry.lie import so3_exp
from unihm.tokenizer.hand_chart import LatentPose

LATENT = 4
METRIC = torch.diag(torch.tensor([1000.0] * 3 + [70.0] * 3 + [30.0] * LATENT)).double()
METRIC[6:, 6:] += 3.0  # not diagonal


@pytest.fixture(scope="module")
def codec():
    return small_codec(LATENT)


@pytest.fixture(scope="module")
def head(codec) -> CodeHead:
    torch.manual_seed(0)
    return CodeHead(12, codec)


def poses(shape: tuple[int, ...], seed: int = 0) -> LatentPose:
    rng = torch.Generator().manual_seed(seed)
    return LatentPose(
        R=so3_exp(torch.randn(*shape, 3, generator=rng).double()),
        t=0.1 * torch.randn(*shape, 3, generator=rng).double(),
        fingers=0.5 * torch.randn(*shape, LATENT, generator=rng).double(),
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-60, 60), min_size=6 + LATENT, max_size=6 + LATENT), st.integers(0, 99))
def test_moved_and_missed_are_inverse(change, seed):
    origin, change = poses((1,), seed), torch.tensor([change], dtype=torch.float64)
    there = moved(origin, change, METRIC)
    torch.testing.assert_close(there.R @ there.R.mT, torch.eye(3).double()[None])
    torch.testing.assert_close(missed(there, origin, METRIC), change, atol=1e-8, rtol=1e-8)
    back = moved(origin, missed(poses((1,), seed + 1), origin, METRIC), METRIC)
    torch.testing.assert_close(back.R, poses((1,), seed + 1).R)
    torch.testing.assert_close(back.t, poses((1,), seed + 1).t)


def test_millimetres_of_a_displacement():
    origin = poses((1,))
    there = LatentPose(R=origin.R, t=origin.t + torch.tensor([[0.003, 0.0, 0.004]]), fingers=origin.fingers)
    assert missed(there, origin, METRIC).norm().item() == pytest.approx(5)


def test_the_gradient_of_what_is_missed_is_right():
    origin, there = poses((3,)), poses((3,), 1)

    def off(omega, t, fingers):
        return missed(LatentPose(R=there.R @ so3_exp(omega), t=t, fingers=fingers), origin, METRIC)

    arguments = [(0.1 * torch.ones(3, 3)).double(), there.t, there.fingers]
    assert torch.autograd.gradcheck(off, [a.clone().requires_grad_() for a in arguments])
    # Where nothing is missed, as at the start of training, it is finite too.
    change = torch.zeros(3, 6 + LATENT, dtype=torch.float64, requires_grad=True)
    missed(moved(origin, change, METRIC), origin, METRIC).sum().backward()
    torch.testing.assert_close(change.grad, torch.ones(3, 6 + LATENT).double())


def test_an_untrained_head_points_at_the_guess_moved_by_most_of_the_past_miss(head):
    origin = poses((2, 3, 4)).map(torch.Tensor.float)
    off = torch.randn(2, 3, 6 + LATENT)
    shown = torch.ones(2, 3, dtype=torch.bool)
    with torch.no_grad():
        pointed = head(torch.randn(2, 3, 12), origin, torch.zeros_like(off), ~shown)
        torch.testing.assert_close(pointed.pose.t, origin.t)
        torch.testing.assert_close(pointed.pose.R, origin.R, atol=1e-5, rtol=0)
        assert not pointed.log_spread.any()
        pointed = head(torch.randn(2, 3, 12), origin, off, shown)
        carried = torch.sigmoid(torch.tensor(2.0)) * off[:, :, None].expand(-1, -1, 4, -1)
    torch.testing.assert_close(head.missed(pointed.pose, origin), carried, atol=2e-3, rtol=1e-3)
    assert pointed.chunk(1).pose.t.shape == (2, 4, 3)


@pytest.mark.parametrize("opening", [True, False])
def test_logits_are_a_normal_density_and_a_share_of_the_cell(head, opening):
    rng = torch.Generator().manual_seed(0)
    book = head.codebook[0 if opening else 1]
    rest, log_spread = 10 * torch.randn(5, 2, 3, generator=rng), torch.randn(5, 2, 3, generator=rng)
    sigma = log_spread.exp() * book.std(dim=1)
    density = torch.distributions.Normal(rest[:, :, None], sigma[:, :, None]).log_prob(book).sum(-1)
    cell = head.cell[0 if opening else 1] * head.volume[0 if opening else 1]
    found = head.logits(rest, log_spread, opening).log_softmax(-1)
    torch.testing.assert_close(found, (density + cell).log_softmax(-1), atol=1e-3, rtol=1e-4)


def test_a_cell_among_far_neighbours_is_larger(codec):
    crowded = small_codec(LATENT)
    book = crowded.stage_code(0, True).codebook
    with torch.no_grad():
        book[:, :12] *= 0.1  # a crowd, and four loners
    volume = CodeHead(12, crowded).volume[0]
    assert volume[:, 12:].min() > volume[:, :12].max()
    torch.testing.assert_close(volume.mean(-1), torch.zeros(2), atol=1e-5, rtol=0)


def test_the_nearest_codes_are_those_that_the_codec_writes(head, codec):
    """Pointing at a pose and taking the nearest codes is encoding the pose; and brute force says the same."""
    known = codec.begin(6, 1)
    for opening in (True, False):
        pose = poses((6, 4), 3).map(torch.Tensor.float)
        rest = rest_of(codec, known, pose, opening)
        codes = head.nearest(rest, opening)
        book = codec.stage_code(0, opening).codebook
        distance = (rest[:, :, None] - book).square().sum(-1)
        assert torch.equal(codes, distance.argmin(-1))
        written, known = codec.encode_chunk(known, pose)
        assert torch.equal(codes, written)


def test_soft_targets_are_shares_by_distance():
    rng = torch.Generator().manual_seed(0)
    rest, book = torch.randn(7, 2, 3, generator=rng), torch.randn(2, 16, 3, generator=rng)
    distance = torch.stack([torch.cdist(rest[:, level], book[level]).square() for level in range(2)], dim=1)
    nearest = distance.argmin(-1)
    hard = soft_targets(rest, book, 0.0)
    assert torch.equal(hard, torch.nn.functional.one_hot(nearest, 16).float())
    torch.testing.assert_close(soft_targets(rest, book, 1e-4), hard, atol=1e-4, rtol=0)
    soft = soft_targets(rest, book, 2.0)
    torch.testing.assert_close(soft.sum(-1), torch.ones(7, 2))
    width = distance.amin(-1).mean(0)
    expected = torch.exp(-distance / (2.0 * width[:, None]))
    torch.testing.assert_close(soft, expected / expected.sum(-1, keepdim=True), atol=1e-4, rtol=1e-3)


def chances(logits, **options) -> np.ndarray:
    count = 20_000
    rng = torch.Generator().manual_seed(1)
    options = {"temperature": 1.0, "top_k": None, "top_p": None} | options
    found = draw(logits.expand(count, -1), rng=rng, **options)
    return np.bincount(found.numpy(), minlength=logits.shape[-1])


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_codes_are_drawn_as_the_softmax_says(temperature):
    logits = torch.randn(10, generator=torch.Generator().manual_seed(1))
    expected = (logits / temperature).softmax(-1).double().numpy()
    found = chances(logits, temperature=temperature)
    assert chisquare(found, expected / expected.sum() * found.sum()).pvalue > 0.01


def test_only_the_likeliest_compete():
    chance = torch.tensor([0.4, 0.05, 0.3, 0.15, 0.1])
    for options, allowed in (
        ({"top_k": 1}, [0]),
        ({"top_k": 3}, [0, 2, 3]),
        ({"top_k": 9}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.4}, [0]),
        ({"top_p": 0.5}, [0, 2]),  # the second reaches it
        ({"top_p": 0.84}, [0, 2, 3]),
        ({"top_p": 1e-6}, [0]),
        ({"top_k": 2, "top_p": 0.99}, [0, 2]),
    ):
        found = chances(chance.log(), **options)
        assert np.nonzero(found)[0].tolist() == allowed, options
        expected = chance[allowed].double().numpy()
        if len(allowed) > 1:
            assert chisquare(found[allowed], expected / expected.sum() * found.sum()).pvalue > 0.01


def test_the_codebook_is_not_a_weight(head):
    assert not {"codebook", "spread", "volume", "metric"} & set(head.state_dict())
    assert all(p.shape != head.codebook.shape for p in head.parameters())
