"""Batched point operations against SciPy, a naive loop and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from unihm.perception import point_ops
from unihm.perception.point_ops import chamfer, farthest_points, gather, nearest


def _clouds(batch: int, n: int, seed: int, dtype=torch.float64):
    return torch.randn(batch, n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def _farthest_by_hand(points: np.ndarray, count: int, first: int) -> list[int]:
    chosen = [first]
    while len(chosen) < count:
        apart = [min(np.linalg.norm(p - points[c]) for c in chosen) for p in points]
        chosen.append(int(np.argmax(apart)))
    return chosen


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 24), st.data(), st.integers(0, 2**31))
def test_farthest_points_equal_the_naive_loop(batch, n, data, seed):
    count, first = data.draw(st.integers(1, n)), data.draw(st.integers(0, n - 1))
    points = _clouds(batch, n, seed)
    chosen = farthest_points(points, count, first)
    for cloud, indices in zip(points.numpy(), chosen.tolist(), strict=True):
        assert indices == _farthest_by_hand(cloud, count, first)


def test_fewer_farthest_points_are_the_first_of_more():
    points = _clouds(2, 60, 0)
    chosen = farthest_points(points, 40)
    assert torch.equal(farthest_points(points, 10), chosen[:, :10])
    # Hence choosing again among the chosen changes nothing, which lets one call serve every level of a loss.
    assert torch.equal(farthest_points(gather(points, chosen), 10), torch.arange(10).expand(2, 10))


def test_every_duplicate_is_chosen_once():
    points = torch.zeros(1, 6, 3)
    points[0, 4] = 1.0
    chosen = farthest_points(points, 6)[0].tolist()
    assert chosen[:2] == [0, 4]
    assert sorted(chosen) == list(range(6))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 20), st.integers(1, 30), st.data(), st.integers(0, 2**31))
def test_nearest_equals_scipy(batch, m, n, data, seed):
    k = data.draw(st.integers(1, n))
    query, points = _clouds(batch, m, seed), _clouds(batch, n, seed + 1)
    distance, index = nearest(query, points, k)
    for b in range(batch):
        expected, neighbours = cKDTree(points[b].numpy()).query(query[b].numpy(), k=[*range(1, k + 1)])
        np.testing.assert_allclose(distance[b].numpy(), expected, atol=1e-12)
        np.testing.assert_array_equal(index[b].numpy(), neighbours)


def test_nearest_is_the_same_in_chunks(monkeypatch):
    query, points = _clouds(2, 37, 0), _clouds(2, 50, 1)
    whole = nearest(query, points, 4)
    monkeypatch.setattr(point_ops, "_PAIRS", 300)
    for part, expected in zip(nearest(query, points, 4), whole, strict=True):
        assert torch.equal(part, expected)


def test_small_distances_far_from_the_origin_keep_their_digits():
    """Single precision at 1 m: neighbours 1 mm apart; a dot-product distance would be wrong by its whole value."""
    points = torch.tensor([1.0, 1.0, 1.0]) + torch.arange(5)[:, None] * torch.tensor([1e-3, 0.0, 0.0])
    distance, _ = nearest(points[None], points[None], 2)
    torch.testing.assert_close(distance[0, :, 1], torch.full((5,), 1e-3), rtol=1e-3, atol=0)


def test_too_few_points_are_said():
    points = _clouds(1, 5, 0)
    with pytest.raises(ValueError, match="6 farthest points from a cloud of 5"):
        farthest_points(points, 6)
    with pytest.raises(ValueError, match="Start point 5"):
        farthest_points(points, 2, first=5)
    with pytest.raises(ValueError, match="6 nearest points in a cloud of 5"):
        nearest(points, points, 6)


@pytest.mark.parametrize("which", [(), (4,), (4, 2)])
@pytest.mark.parametrize("rest", [(), (3,), (2, 5)])
def test_gather_takes_each_batch_elements_own_values(which, rest):
    rng = torch.Generator().manual_seed(0)
    values = torch.rand(3, 7, *rest, generator=rng)
    index = torch.randint(7, (3, *which), generator=rng)
    taken = gather(values, index)
    assert taken.shape == (3, *which, *rest)
    for b in range(3):
        assert torch.equal(taken[b], values[b][index[b]])


def test_chamfer_equals_scipy():
    a, b = _clouds(3, 40, 0), _clouds(3, 25, 1)
    forth, back = chamfer(a, b)
    for i in range(3):
        x, y = a[i].numpy(), b[i].numpy()
        assert forth[i].item() == pytest.approx(cKDTree(y).query(x)[0].mean())
        assert back[i].item() == pytest.approx(cKDTree(x).query(y)[0].mean())


def test_chamfer_gradient_equals_finite_differences():
    a, b = _clouds(2, 6, 2).requires_grad_(), _clouds(2, 5, 3).requires_grad_()
    assert torch.autograd.gradcheck(chamfer, (a, b), eps=1e-6, atol=1e-6)


def test_chamfer_of_equal_clouds_has_a_finite_gradient():
    a = _clouds(1, 8, 4).requires_grad_()
    sum(chamfer(a, a.detach().clone())).sum().backward()
    assert a.grad is not None
    assert torch.equal(a.grad, torch.zeros_like(a))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_agrees_with_the_cpu():
    a, b = _clouds(2, 300, 0), _clouds(2, 200, 1)
    assert torch.equal(farthest_points(a.cuda(), 100).cpu(), farthest_points(a, 100))
    for ours, theirs in zip(nearest(a.cuda(), b.cuda(), 5), nearest(a, b, 5), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs)
    for ours, theirs in zip(chamfer(a.cuda(), b.cuda()), chamfer(a, b), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs)
