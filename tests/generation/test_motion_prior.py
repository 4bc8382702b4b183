from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from unihm.generation.motion_prior import KNOTS, MotionPrior

CHUNKS, LATENT = 7, 3


def motions(count: int, seed: int = 0):
    """Conditions of random lifts, and latents that depend on them smoothly."""
    rng = torch.Generator().manual_seed(seed)
    path = torch.eye(4).repeat(count, 4 * CHUNKS, 1, 1)
    goal = torch.randn(count, 1, 3, generator=rng)
    path[:, :, :3, 3] = 0.1 * goal * torch.linspace(0, 1, 4 * CHUNKS)[:, None]
    palm = torch.eye(4).repeat(count, 1, 1)
    palm[:, :3, 3] = 0.1 * torch.randn(count, 3, generator=rng)
    start = torch.randn(count, LATENT, generator=rng)
    points = 0.1 * torch.rand(count, 20, 3, generator=rng)
    exists = torch.ones(count, CHUNKS, dtype=torch.bool)
    features = MotionPrior(LATENT).features(path, torch.full((count,), 4 * CHUNKS), palm, start, points)
    wave = torch.sin(goal + 10 * palm[:, None, :3, 3])
    latents = start[:, None] + torch.linspace(0, 1, CHUNKS)[:, None] * wave
    return features, start, latents, exists


def fitted(count: int, strength: float) -> MotionPrior:
    prior = MotionPrior(LATENT)
    prior.fit(*motions(count), strength=strength)
    return prior


def test_without_a_fit_it_holds_the_initial_pose():
    features, start, _, exists = motions(5)
    torch.testing.assert_close(MotionPrior(LATENT)(features, start, exists), start[:, None].expand(-1, CHUNKS, -1))


def test_it_stands_for_kernel_ridge_regression():
    """The random features approximate the exact solution with the Gaussian kernel, here from NumPy and SciPy."""
    features, start, latents, _ = motions(150)
    new, new_start, _, new_exists = motions(30, seed=1)
    prior = fitted(150, strength=1e-2)
    scale = features.std(dim=0) + 1e-2
    x, y = ((f - features.mean(dim=0)).div(scale).double().numpy() for f in (features, new))
    pairs = cdist(x, x, "sqeuclidean")
    width = np.median(pairs[np.triu_indices(150, 1)])
    target = (latents - start[:, None]).double().numpy().reshape(150, -1)
    weight = np.linalg.solve(np.exp(-pairs / width) + 1e-2 * 150 * np.eye(150), target - target.mean(0))
    exact = target.mean(0) + np.exp(-cdist(y, x, "sqeuclidean") / width) @ weight
    found = (prior(new, new_start, new_exists) - new_start[:, None]).double().numpy().reshape(30, -1)
    explained = 1 - ((found - exact) ** 2).sum() / ((exact - target.mean(0)) ** 2).sum()
    assert explained > 0.9


def test_new_motions_are_guessed_better_than_by_holding_or_by_the_mean():
    prior = fitted(600, strength=1e-4)
    features, start, latents, exists = motions(100, seed=2)
    error = (prior(features, start, exists) - latents).norm(dim=-1).mean()
    held = (start[:, None] - latents).norm(dim=-1).mean()
    mean = (start[:, None] + (latents - start[:, None]).mean(dim=0) - latents).norm(dim=-1).mean()
    assert error < 0.6 * min(held, mean)


def test_far_from_everything_the_guess_stays_bounded():
    prior = fitted(200, strength=1e-4)
    features, start, latents, exists = motions(20, seed=3)
    away = prior(features + 100, start, exists) - start[:, None]
    assert away.abs().max() < 5 * (latents - start[:, None]).abs().max()


def test_padding_chunks_repeat_the_last():
    prior = fitted(60, strength=1e-3)
    features, start, _, exists = motions(10, seed=4)
    longer = torch.cat([exists, torch.zeros(10, 2, dtype=torch.bool)], dim=1)
    z = prior(features, start, longer)
    torch.testing.assert_close(z[:, :CHUNKS], prior(features, start, exists))
    torch.testing.assert_close(z[:, CHUNKS:], z[:, CHUNKS - 1 : CHUNKS].expand(-1, 2, -1))


@pytest.mark.parametrize("chunks", [1, 2])
def test_short_motions_are_finite(chunks):
    prior = fitted(60, strength=1e-3)
    features, start, _, _ = motions(3, seed=4)
    assert prior(features, start, torch.ones(3, chunks, dtype=torch.bool)).isfinite().all()
    assert KNOTS > 2
