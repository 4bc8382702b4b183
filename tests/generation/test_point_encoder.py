from __future__ import annotations

import pytest
import torch

from unihm.generation.point_encoder import PointNet


@pytest.fixture(scope="module")
def encoder() -> PointNet:
    torch.manual_seed(0)
    return PointNet(width=32, tokens=4).eval()


@pytest.fixture(scope="module")
def cloud():
    rng = torch.Generator().manual_seed(1)
    return 0.1 * torch.rand(2, 100, 3, generator=rng) - 0.05, torch.tensor([[0.2, 0.0, 0.1], [0.1, 0.1, 0.1]])


def test_order_does_not_matter(encoder, cloud):
    points, palm = cloud
    order = torch.randperm(100, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(encoder(points[:, order], palm), encoder(points, palm))


def test_repeated_points_do_not_matter(encoder, cloud):
    points, palm = cloud
    torch.testing.assert_close(encoder(torch.cat([points, points[:, :30]], dim=1), palm), encoder(points, palm))


def test_tokens_differ_and_batches_do_not_mix(encoder, cloud):
    points, palm = cloud
    tokens = encoder(points, palm)
    assert tokens.shape == (2, 4, 32)
    assert torch.pdist(tokens[0]).min() > 1e-3
    torch.testing.assert_close(encoder(points[1:], palm[1:]), tokens[1:])


@pytest.mark.parametrize("change", ["size", "place", "palm"])
def test_metric_size_position_and_palm_are_seen(encoder, cloud, change):
    points, palm = cloud
    moved = {
        "size": (1.1 * points, palm),
        "place": (points + torch.tensor([0.02, 0.0, 0.0]), palm),
        "palm": (points, palm + torch.tensor([0.02, 0.0, 0.0])),
    }[change]
    assert (encoder(*moved) - encoder(points, palm)).abs().max() > 1e-3
