from __future__ import annotations

import pytest
import torch

from unihm.generation.code_head import CodeHead


@pytest.fixture(scope="module")
def head() -> CodeHead:
    rng = torch.Generator().manual_seed(0)
    scale = 0.5 ** torch.arange(3)[:, None, None]
    return CodeHead(12, scale * torch.randn(3, 16, 6, generator=rng))


def test_an_untrained_head_takes_the_nearest_codes_of_the_origin(head):
    rng = torch.Generator().manual_seed(1)
    origin, hidden = torch.randn(20, 6, generator=rng), torch.randn(20, 12, generator=rng)
    before = torch.zeros(20, 6)
    for level in range(3):
        chosen = head.logits(hidden, origin, before, level).argmax(dim=-1)
        nearest = torch.cdist(origin - before, head.codebook[level]).argmin(dim=-1)
        assert torch.equal(chosen, nearest)
        before = before + head.codebook[level][chosen]


def test_embed_is_the_sum_of_the_first_levels(head):
    codes = torch.tensor([[3, 5, 7]])
    book = head.codebook
    torch.testing.assert_close(head.embed(codes)[0], book[0, 3] + book[1, 5] + book[2, 7])
    torch.testing.assert_close(head.embed(codes[:, :1])[0], book[0, 3])
    assert (head.embed(codes[:, :0]) == 0).all()


def test_hard_targets_are_pytorchs_cross_entropy(head):
    rng = torch.Generator().manual_seed(2)
    hidden, origin = torch.randn(5, 12, generator=rng), torch.randn(5, 6, generator=rng)
    codes = torch.randint(16, (5, 3), generator=rng)
    loss = head.cross_entropy(hidden, origin, origin, codes, softness=0.0)
    for level in range(3):
        logits = head.logits(hidden, origin, head.embed(codes[:, :level]), level)
        expected = torch.nn.functional.cross_entropy(logits, codes[:, level], reduction="none")
        torch.testing.assert_close(loss[:, level], expected)


def test_narrow_soft_targets_become_hard_ones(head):
    rng = torch.Generator().manual_seed(3)
    hidden, origin = torch.randn(5, 12, generator=rng), torch.randn(5, 6, generator=rng)
    latent = torch.randn(5, 6, generator=rng)
    before, codes = torch.zeros(5, 6), []
    for level in range(3):
        codes.append(torch.cdist(latent - before, head.codebook[level]).argmin(dim=-1))
        before = before + head.codebook[level][codes[-1]]
    codes = torch.stack(codes, dim=-1)
    soft = head.cross_entropy(hidden, origin, latent, codes, softness=1e-4)
    torch.testing.assert_close(soft, head.cross_entropy(hidden, origin, latent, codes, softness=0.0))


def test_the_codebook_is_not_a_weight(head):
    assert "codebook" not in head.state_dict()
    assert all(p.shape != head.codebook.shape for p in head.parameters())
