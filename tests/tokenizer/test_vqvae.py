"""Networks: a motion's latents and frames do not depend on its neighbours in the batch or on padding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unihm.tokenizer.vqvae import SharedVQVAE, chunk_mask


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("hand", ["left_claw", "tongs"])
def test_padding_changes_nothing(model, hand):
    size = model.hands[hand].size
    x = torch.randn(1, 12, size, generator=seeded())
    padded = torch.cat([x, torch.randn(1, 20, size, generator=seeded(1))], 1)
    batch = torch.cat([padded, torch.randn(1, 32, size, generator=seeded(2))])
    mask = chunk_mask(torch.tensor([12, 32]), 8, 4)
    z = model.encode(hand, x, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(model.encode(hand, batch, mask)[:1, :3], z, atol=1e-5, rtol=1e-5)
    both = torch.cat([torch.nn.functional.pad(z, (0, 0, 0, 5)), torch.randn(1, 8, 8, generator=seeded(3))])
    alone = model.decode(hand, z, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(model.decode(hand, both, mask)[:1, :12], alone, atol=1e-5, rtol=1e-5)


def test_conv_sees_neighbours_and_mlp_does_not(model):
    x = torch.randn(1, 32, 12, generator=seeded())
    mask = torch.ones(1, 8, dtype=torch.bool)
    changed = x.clone()
    changed[:, 12:16] += 1.0
    for backbone, chunks in (("conv", [2, 3, 4]), ("mlp", [3])):
        made = SharedVQVAE(replace(model.config, backbone=backbone), model.hands.values())
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=seeded(5))
        different = (made.encode("left_claw", x, mask) != made.encode("left_claw", changed, mask)).any(-1)
        assert different[0].nonzero()[:, 0].tolist() == chunks


def test_chunk_mask_counts_begun_chunks():
    mask = chunk_mask(torch.tensor([1, 4, 5, 9]), 3, 4)
    assert mask.sum(1).tolist() == [1, 1, 2, 3]


def test_train_only_frees_only_what_is_named(model):
    model.train_only(model.encoders["tongs"])
    free = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert free == {name for name, _ in model.named_parameters() if name.startswith("encoders.tongs.")}
