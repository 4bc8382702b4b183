"""k-means against SciPy and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2, vq

from unihm.tokenizer.kmeans import kmeans, nearest


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), k=st.integers(1, 20), dim=st.integers(1, 5), seed=st.integers(0, 99))
def test_nearest_equals_scipy_and_brute_force(n, k, dim, seed):
    points = torch.randn(n, dim, generator=seeded(seed), dtype=torch.float64)
    centroids = torch.randn(k, dim, generator=seeded(seed + 1), dtype=torch.float64)
    brute = ((points[:, None] - centroids[None]) ** 2).sum(-1).argmin(-1)
    assert torch.equal(nearest(points, centroids), brute)
    assert np.array_equal(vq(points.numpy(), centroids.numpy())[0], brute.numpy())


def test_centroids_equal_scipy_from_the_same_start():
    points = torch.randn(400, 3, generator=seeded(), dtype=torch.float64)
    start = points[torch.randperm(400, generator=seeded(7))[:9]]
    ours = kmeans(points, 9, seeded(7), iterations=10)
    theirs, _ = kmeans2(points.numpy(), start.numpy(), iter=10, minit="matrix")
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-12)


def test_no_centroid_is_empty_and_few_points_are_kept():
    points = torch.cat([torch.zeros(50, 2), torch.tensor([[5.0, 0.0], [0.0, 5.0]])])
    centroids = kmeans(points, 3, seeded())
    found = {tuple(row) for row in centroids.round(decimals=6).tolist()}
    assert found == {(0.0, 0.0), (5.0, 0.0), (0.0, 5.0)}
    few = kmeans(points[-2:], 5, seeded())
    assert {tuple(row) for row in few.tolist()} == {(5.0, 0.0), (0.0, 5.0)}
    with pytest.raises(ValueError, match="at least one point"):
        kmeans(points[:0], 3, seeded())
