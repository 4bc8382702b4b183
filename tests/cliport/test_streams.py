from __future__ import annotations

import pytest
import torch

from unihm.cliport.streams import Encoder, FullResolution, SemanticDecoder, SpatialStream, pooled

WIDTHS = (8, 16, 24)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_pyramids_halve_and_meet():
    encoded, decoded = SpatialStream(11, WIDTHS)(torch.randn(2, 11, 64, 64))
    shapes = [(2, 8, 32, 32), (2, 16, 16, 16), (2, 24, 8, 8)]
    assert [tuple(m.shape) for m in encoded] == [tuple(m.shape) for m in decoded] == shapes
    assert decoded[-1] is encoded[-1]
    semantic = Encoder(4, WIDTHS)(torch.randn(2, 4, 64, 64))
    fused = SemanticDecoder(WIDTHS, 10)(semantic, decoded, torch.randn(2, 10))
    assert fused.shape == (2, 8, 32, 32)
    assert FullResolution(8, 11, 3)(fused, torch.randn(2, 11, 64, 64)).shape == (2, 3, 64, 64)


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("stream", ["semantic", "spatial"])
def test_every_level_of_both_streams_reaches_the_end(stream, level):
    pyramids = {
        name: [torch.randn(1, w, s, s, requires_grad=True) for w, s in zip(WIDTHS, (32, 16, 8), strict=True)]
        for name in ("semantic", "spatial")
    }
    fused = SemanticDecoder(WIDTHS, 10)(pyramids["semantic"], pyramids["spatial"], torch.randn(1, 10))
    fused.square().mean().backward()
    gradient = pyramids[stream][level].grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_the_sentence_multiplies_the_coarsest_map():
    decoder = SemanticDecoder((8,), 4)
    x, spatial, sentence = torch.randn(1, 8, 8, 8), torch.zeros(1, 8, 8, 8), torch.randn(1, 4)
    factor = 1 + decoder.language[0](sentence)
    lateral = decoder.lateral[0]
    by_hand = torch.einsum("oc,bchw->bohw", lateral.weight[:, :8, 0, 0], x * factor[..., None, None])
    assert torch.allclose(decoder([x], [spatial], sentence), by_hand + lateral.bias[:, None, None], atol=1e-5)


def test_a_cell_of_the_head_sees_its_own_surroundings_alone():
    head = FullResolution(8, 2, 1)
    maps, crops = torch.randn(1, 8, 32, 32), torch.randn(1, 2, 64, 64)
    other = crops.clone()
    other[..., 20, 40] += 1
    changed = (head(maps, other) - head(maps, crops)).abs()[0, 0] > 0
    rows, columns = changed.nonzero().T
    # A block of 2 x 2 cells and the blocks beside it.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (18, 23, 38, 43)


def test_pooling_over_a_proposal_by_hand():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    mask = torch.zeros(1, 8, 8)
    mask[0, :2, :2] = 1  # all of the first cell
    mask[0, 2, 0] = 1  # a quarter of the fifth
    assert torch.allclose(pooled(maps, mask), torch.tensor([[(0 + 0.25 * 4) / 1.25, 4.0]]))
    assert torch.allclose(pooled(maps, torch.zeros(1, 8, 8)), torch.tensor([[7.5, 15.0]]))
