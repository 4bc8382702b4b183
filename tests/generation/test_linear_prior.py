from __future__ import annotations

import numpy as np
import torch

from unihm.generation.linear_prior import KNOTS, LinearPrior


def motions(count: int = 40, chunks: int = 7, latent: int = 3, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    path = torch.eye(4).repeat(count, 4 * chunks, 1, 1)
    path[:, :, :3, 3] = torch.randn(count, 1, 3, generator=rng) * torch.linspace(0, 0.3, 4 * chunks)[:, None]
    palm = torch.eye(4).repeat(count, 1, 1)
    palm[:, :3, 3] = 0.2 * torch.randn(count, 3, generator=rng)
    start = torch.randn(count, latent, generator=rng)
    points = 0.1 * torch.rand(count, 20, 3, generator=rng)
    lengths = torch.full((count,), 4 * chunks)
    exists = torch.ones(count, chunks, dtype=torch.bool)
    prior = LinearPrior(latent)
    return prior, prior.features(path, lengths, palm, start, points), start, exists


def test_without_a_fit_it_holds_the_initial_pose():
    prior, features, start, exists = motions()
    torch.testing.assert_close(prior(features, start, exists), start[:, None].expand(-1, 7, -1))


def test_weights_are_the_ridge_solution():
    prior, features, start, exists = motions()
    latents = torch.randn(40, 7, 3, generator=torch.Generator().manual_seed(5))
    prior.fit(features, start, latents, exists, strength=0.3)
    x = features.double().numpy()
    x = (x - x.mean(0)) / (features.std(0).double().numpy() + 1e-2)
    knots = np.linspace(0, 6, KNOTS)
    target = np.stack(
        [[np.interp(knots, np.arange(7), z[:, d]) for d in range(3)] for z in latents.double().numpy()]
    ).transpose(0, 2, 1)
    y = (target - start.double().numpy()[:, None]).reshape(40, -1)
    # Ridge as ordinary least squares on data with one extra row for each penalised weight.
    rows = np.sqrt(0.3 * 40) * np.eye(x.shape[1])
    weight, *_ = np.linalg.lstsq(np.vstack([x, rows]), np.vstack([y - y.mean(0), np.zeros((len(rows), y.shape[1]))]))
    np.testing.assert_allclose(prior.weight.numpy(), weight, atol=2e-4)


def test_an_affine_motion_is_learned_exactly():
    prior, features, start, exists = motions(count=400)
    slope = torch.linspace(-1, 1, 7)[:, None]
    latents = start[:, None] + slope * features[:, 144:147, None].mean(dim=1, keepdim=True) + 0.5
    prior.fit(features, start, latents, exists, strength=1e-9)
    torch.testing.assert_close(prior(features, start, exists), latents, atol=1e-3, rtol=0)


def test_padding_chunks_repeat_the_last():
    prior, features, start, exists = motions()
    prior.fit(features, start, torch.randn(40, 7, 3), exists, strength=0.3)
    longer = torch.cat([exists, torch.zeros(40, 2, dtype=torch.bool)], dim=1)
    z = prior(features, start, longer)
    torch.testing.assert_close(z[:, :7], prior(features, start, exists))
    torch.testing.assert_close(z[:, 7:], z[:, 6:7].expand(-1, 2, -1))
