"""The kernel regression against brute force: fits without the rows that are left out, written out in NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from tqdm import tqdm

from unihm.generation.motion_prior import KNOTS, PALM, GroupKernel, MotionPrior
from unihm.training.prior_fitting import (
    _START_LENGTH,
    _START_LINEAR,
    _START_NOISE,
    _START_SCALE,
    PriorExamples,
    PriorFitting,
    _choose,
    fit_prior,
)

LATENT = 3
SIZES = {"says": 2, "noise": 4, "linear": 3}


def examples(recordings: int, copies: int, seed: int = 0) -> PriorExamples:
    """Motions that depend on one block in a curve and on another linearly, and on the third not at all."""
    rng = torch.Generator().manual_seed(seed)
    first = {name: torch.randn(recordings, size, generator=rng) for name, size in SIZES.items()}
    blocks = {
        name: torch.cat([x + 0.05 * copy * torch.randn(x.shape, generator=rng) for copy in range(copies)])
        for name, x in first.items()
    }
    x = torch.cat([torch.sin(2 * blocks["says"]), blocks["linear"]], dim=1)
    kinds = torch.randn(x.shape[1], KNOTS, PALM + LATENT, generator=rng)
    kinds[:, 0] = 0  # every motion is told from its start on
    return PriorExamples(
        blocks=blocks,
        told=0.1 * torch.tensordot(x, kinds, 1),
        recording=torch.arange(recordings).repeat(copies),
        first=torch.arange(recordings),
        left_out_together=[torch.arange(recordings) % 4],
    )


def fit(given: PriorExamples, steps: int = 3, **settings: int) -> tuple[MotionPrior, object]:
    prior = MotionPrior(SIZES, memory=len(given.told), latent=LATENT, rank=48)
    copies = len(given.told) // len(given.first)
    fitting = PriorFitting(steps=steps, copies=copies, **settings)
    return prior, fit_prior(prior, given, 30 * torch.eye(LATENT), fitting)


def kernel_matrix(part: GroupKernel, of_block: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    length, linear = part.length.double().numpy()[of_block], part.linear.double().numpy()[of_block]
    near = np.exp(-cdist(x * np.sqrt(length), y * np.sqrt(length), "sqeuclidean"))
    return float(part.scale[0]) * near + (x * linear) @ y.T


def test_weights_are_chosen_on_some_recordings_and_all_are_remembered():
    given = examples(41, 2)
    # a group that holds none of those chosen, one that holds a single one
    given = replace(given, left_out_together=[torch.tensor([9 if i % 2 else i % 4 for i in range(41)])])
    prior, _ = fit(given, steps=100, chosen_on=21)
    alone, _ = fit(
        PriorExamples(
            blocks={name: value[:41:2] for name, value in given.blocks.items()},
            told=given.told[:41:2],
            recording=torch.arange(21),
            first=torch.arange(21),
            left_out_together=[given.left_out_together[0][::2]],
        ),
        steps=100,
    )
    assert len(prior.memory) == 82
    for group in prior.groups:
        weights = [one.kernels[group.name].length + one.kernels[group.name].linear for one in (prior, alone)]
        # inputs are scaled by all that is remembered, so the two are alike, not the same
        np.testing.assert_allclose(weights[0].log(), weights[1].log(), atol=1.0)
    every, _ = fit(given, steps=100)
    assert any(not torch.equal(prior.kernels[g.name].length, every.kernels[g.name].length) for g in prior.groups)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("made_of", [torch.arange(14), torch.tensor([0, 1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 1, 8, 0])])
def test_a_guess_without_a_recording_is_a_fit_without_its_rows(copies, made_of):
    given = replace(examples(14, copies), recording=made_of.repeat(copies))
    prior, left_out = fit(given)
    new = {name: value[:14] + 0.1 for name, value in given.blocks.items()}  # another variation of each recording
    x = prior.inputs(new)
    found = left_out(x, made_of, LATENT)
    memory, of_block = prior.memory.double().numpy(), prior.of_block.numpy()
    for group in prior.groups:
        part = prior.kernels[group.name]
        y = given.told[:, group.knots, group.values].flatten(1).double().numpy()
        noise = copies * float(part.scale[1])
        for row, recording in enumerate(made_of.tolist()):
            kept = given.recording.numpy() != recording
            K = kernel_matrix(part, of_block, memory[kept], memory[kept]) + noise * np.eye(kept.sum())
            k = kernel_matrix(part, of_block, x[row : row + 1].double().numpy(), memory[kept])
            expected = y.mean(0) + k @ np.linalg.solve(K, y[kept] - y.mean(0))
            here = found[row, group.knots, group.values].flatten().numpy()
            np.testing.assert_allclose(here, expected[0], atol=2e-4, rtol=2e-3)
    whole = prior.told(x, LATENT)
    assert (whole - found).abs().max() > 1e-3  # knowing the recording is another thing


def test_the_whole_fit_is_ridge_regression_and_begins_at_the_initial_pose():
    given = examples(20, 1)
    prior, _ = fit(given)
    x = prior.inputs(examples(5, 1, seed=1).blocks)
    memory, of_block = prior.memory.double().numpy(), prior.of_block.numpy()
    found = prior.told(x, LATENT)
    for group in prior.groups:
        part = prior.kernels[group.name]
        y = given.told[:, group.knots, group.values].flatten(1).double().numpy()
        K = kernel_matrix(part, of_block, memory, memory) + float(part.scale[1]) * np.eye(20)
        expected = y.mean(0) + kernel_matrix(part, of_block, x.double().numpy(), memory) @ np.linalg.solve(
            K, y - y.mean(0)
        )
        np.testing.assert_allclose(found[:, group.knots, group.values].flatten(1), expected, atol=2e-4, rtol=2e-3)
    assert found[:, 0].abs().max() < 1e-6


def test_weights_of_blocks_go_where_the_error_on_left_out_groups_falls():
    """One step of Adam goes against the sign of the gradient; that of the error by refitting without each group."""
    rng = np.random.default_rng(0)
    of_block = np.array([0, 0, 1, 1, 1, 2])
    x = rng.normal(size=(12, 6))
    y = np.stack([np.sin(3 * x[:, 0]), x[:, 5] + 0.3 * x[:, 1], x[:, 2] * 0.1], axis=1)
    sets = [np.arange(12), np.arange(12) % 3]
    z = y - y.mean(0)
    z = z / np.sqrt((z**2).sum(1).mean())

    def error(p: np.ndarray) -> float:
        """Mean distance over both ways of leaving out; p: logarithms of lengths, linear weights, scale, noise."""
        length, linear = np.exp(p[:3])[of_block], np.exp(p[3:6])[of_block]
        K = np.exp(p[6]) * np.exp(-cdist(x * np.sqrt(length), x * np.sqrt(length), "sqeuclidean")) + (x * linear) @ x.T
        total = 0.0
        for groups in sets:
            for number in range(groups.max() + 1):
                out = groups == number
                inner = K[~out][:, ~out] + np.exp(p[7]) * np.eye((~out).sum())
                missed = z[out] - K[out][:, ~out] @ np.linalg.solve(inner, z[~out])
                total += np.sqrt((missed**2).sum(1) + 1e-6).sum() / 12 / len(sets)
        return total

    start = np.array([_START_LENGTH] * 3 + [_START_LINEAR] * 3 + [_START_SCALE, _START_NOISE])
    gradient = np.array([(error(start + d) - error(start - d)) / 2e-5 for d in 1e-5 * np.eye(8)])
    tensors = [torch.from_numpy(a) for a in (x, y, of_block)]
    found = _choose(*tensors, [torch.from_numpy(s) for s in sets], 1, tqdm(disable=True))
    step = torch.cat([found["length"], found["linear"], found["scale"]]).numpy() - start
    assert (np.abs(gradient) > 1e-5).all()
    np.testing.assert_allclose(step, -0.1 * np.sign(gradient), atol=1e-3)
    # And many steps lower it.
    more = _choose(*tensors, [torch.from_numpy(s) for s in sets], 60, tqdm(disable=True))
    assert error(torch.cat([more["length"], more["linear"], more["scale"]]).numpy()) < 0.9 * error(start)


def test_what_says_nothing_gets_no_weight():
    prior, _ = fit(examples(60, 1), steps=100)
    for part in prior.kernels.values():
        weight = {name: float(part.length[i] + part.linear[i]) for i, name in enumerate(SIZES)}
        assert weight["noise"] < 0.05 * weight["linear"]
        assert float(part.length[1]) < 0.05 * float(part.length[0])
        assert float(part.linear[2]) > float(part.linear[1])


def test_new_motions_are_guessed_better_than_by_the_mean():
    given = examples(140, 1)
    head = PriorExamples(
        blocks={name: value[:100] for name, value in given.blocks.items()},
        told=given.told[:100],
        recording=torch.arange(100),
        first=torch.arange(100),
        left_out_together=[],
    )
    prior, _ = fit(head, steps=60)
    y = prior.told(prior.inputs({name: value[100:] for name, value in given.blocks.items()}), LATENT)
    error, mean = (y - given.told[100:]).norm(), (given.told[:100].mean(0) - given.told[100:]).norm()
    assert error < 0.5 * mean
