"""Quantisers: nearest codes, Eq. B8 by hand, straight-through gradients, the refresh of cold codes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.tokenizer.codebook import QUANTISERS, Quantiser, ResidualQuantiser, make_quantiser


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quantiser(levels: int = 3, size: int = 16, latent: int = 4, seed: int = 0) -> ResidualQuantiser:
    made = ResidualQuantiser(levels=levels, size=size, latent=latent)
    made.codebook.data.copy_(torch.randn(made.codebook.shape, generator=seeded(seed)))
    return made


@pytest.mark.parametrize("name", sorted(QUANTISERS))
def test_contract(name):
    levels = 1 if name == "vq" else 3
    made = make_quantiser(name, levels=levels, size=8, latent=4, beta=0.25)
    assert isinstance(made, Quantiser)
    made.initialise(torch.randn(50, 4, generator=seeded()), seeded())
    z = torch.randn(2, 5, 4, generator=seeded(1))
    result = made.quantize(z)
    assert result.codes.shape == (2, 5, levels)
    torch.testing.assert_close(made.embed(result.codes), result.z_q)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 30), levels=st.integers(1, 4), size=st.integers(1, 20), seed=st.integers(0, 99))
def test_codes_equal_brute_force(n, levels, size, seed):
    made = quantiser(levels, size, seed=seed)
    z = torch.randn(n, 4, generator=seeded(seed + 1))
    codes = made.quantize(z).codes
    residual = z.clone()
    for level in range(levels):
        distance = ((residual[:, None].double() - made.codebook[level][None].double()) ** 2).sum(-1)
        chosen = distance.gather(1, codes[:, level : level + 1])[:, 0]
        torch.testing.assert_close(chosen, distance.min(1).values, atol=1e-5, rtol=1e-5)
        residual = residual - made.codebook[level][codes[:, level]].detach()


def test_eq_b8_by_hand():
    made = ResidualQuantiser(levels=1, size=2, latent=2, beta=0.25)
    made.codebook.data.copy_(torch.tensor([[[0.0, 0.0], [4.0, 2.0]]]))
    z = torch.tensor([[3.0, 2.0], [0.0, 2.0]], requires_grad=True)
    result = made.quantize(z)
    assert result.codes.tolist() == [[1], [0]]
    # Squared distances 1 and 4, as means over two coordinates 0.5 and 2, mean 1.25; times 1 + beta.
    assert result.loss.item() == pytest.approx(1.25 * 1.25)
    result.loss.backward()
    # d/dz of beta * mean over 4 numbers of (z - e)^2; d/de of the same without beta.
    assert z.grad is not None
    torch.testing.assert_close(z.grad, 0.25 * 2 * torch.tensor([[-1.0, 0.0], [0.0, 2.0]]) / 4)
    torch.testing.assert_close(made.codebook.grad, 2 * torch.tensor([[[0.0, -2.0], [1.0, 0.0]]]) / 4)


def test_gradient_passes_straight_through():
    made = quantiser()
    z = torch.randn(6, 4, generator=seeded(3), requires_grad=True)
    weight = torch.randn(6, 4, generator=seeded(4))
    (made.quantize(z).z_q * weight).sum().backward()
    torch.testing.assert_close(z.grad, weight)
    assert made.codebook.grad is None or not made.codebook.grad.any()


def test_mask_and_depth():
    made = quantiser().train()
    z = torch.randn(2, 3, 4, generator=seeded(5))
    mask = torch.tensor([[True, True, False], [True, False, False]])
    loss = made.quantize(z, mask).loss
    assert made.usage.sum(1).tolist() == [3, 3, 3]
    torch.testing.assert_close(loss, made.quantize(z[mask]).loss)
    depth = torch.tensor([[1, 2, 3], [3, 2, 1]])
    codes = made.quantize(z).codes
    partial = made.quantize(z, depth=depth).z_q
    expected = torch.zeros_like(z)
    for level in range(3):
        expected += (depth > level)[..., None] * made.codebook[level][codes[..., level]].detach()
    torch.testing.assert_close(partial, expected)


def test_refresh_replaces_exactly_the_cold_codes():
    made = quantiser(levels=2, size=12).train()
    latents = torch.randn(200, 4, generator=seeded(6)) * 0.3
    made.usage[0, :7] = 5
    made.usage[1, 4:] = torch.arange(8) + 1
    before = made.codebook.detach().clone()
    replaced = made.refresh_cold_codes(latents, seeded(), threshold=1)
    same = (made.codebook.detach() == before).all(-1)
    assert replaced == [5, 4]
    assert same[0].tolist() == [True] * 7 + [False] * 5
    assert same[1].tolist() == [False] * 4 + [True] * 8
    assert made.refresh_cold_codes(latents, seeded(), threshold=3)[1] == 4 + 2


def test_refresh_gives_cold_codes_work():
    made = quantiser(levels=1, size=32)
    made.codebook.data += 100.0  # far from everything: one code takes all
    latents = torch.randn(500, 4, generator=seeded(8))
    made.train()
    made.quantize(latents)
    assert (made.usage > 0).sum() == 1
    before = made.quantize(latents).loss
    made.refresh_cold_codes(latents, seeded())
    made.start_epoch()
    assert made.quantize(latents).loss < 0.01 * before
    assert (made.usage > 0).sum() >= 30


def test_with_fewer_latents_than_cold_codes_only_as_many_are_replaced():
    made = quantiser(levels=1, size=10)
    before = made.codebook.detach().clone()
    assert made.refresh_cold_codes(torch.randn(3, 4, generator=seeded()), seeded()) == [3]
    assert (made.codebook.detach() != before).any(-1).sum() == 3


def test_a_frozen_codebook_counts_nothing():
    made = quantiser().train().requires_grad_(False)
    made.quantize(torch.randn(9, 4, generator=seeded()))
    assert not made.usage.any()


def test_unknown_quantiser_and_several_codes_for_vq():
    with pytest.raises(ValueError, match="Did you mean 'residual'"):
        make_quantiser("residuals", levels=1, size=2, latent=2, beta=0.25)
    with pytest.raises(ValueError, match="one code for a chunk, not 4"):
        make_quantiser("vq", levels=4, size=2, latent=2, beta=0.25)
