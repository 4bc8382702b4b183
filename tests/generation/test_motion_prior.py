from __future__ import annotations

import numpy as np
import pytest
import torch
from generation_builders import LATENT
from scipy.linalg import polar
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation, Slerp

from unihm.generation.conditions import lift_phase
from unihm.generation.motion_prior import (
    KNOTS,
    PALM,
    MotionPrior,
    groups,
    held,
    kernel,
    nearest_rotation,
    poses_of,
    told,
)
from unihm.tokenizer.hand_chart import LatentPose


def motions(lengths: list[int], frames: int, seed: int = 0) -> LatentPose:
    """Smooth ones: palms on arcs, turning up to a radian, fingers in waves; at rest behind their end."""
    rng = np.random.default_rng(seed)
    R, t, fingers = [], [], []
    for length in lengths:
        s = (np.arange(frames).clip(max=length - 1) / max(length - 1, 1))[:, None]
        first, turn = Rotation.from_rotvec(rng.normal(size=3)), Rotation.from_rotvec(rng.uniform(-0.6, 0.6, 3))
        R.append(Slerp([0, 1], Rotation.concatenate([first, first * turn]))(s[:, 0]).as_matrix())
        t.append(0.2 * rng.normal(size=3) + 0.1 * np.sin(2 * s + rng.uniform(0, 6, 3)))
        fingers.append(0.5 * np.sin(3 * s + rng.uniform(0, 6, LATENT)))
    R, t, fingers = (torch.from_numpy(np.stack(part)).float() for part in (R, t, fingers))
    return LatentPose(R=R, t=t, fingers=fingers)


@pytest.mark.parametrize("frames", [80, 40])
def test_a_motion_that_is_told_comes_back(frames):
    lengths, lift = torch.tensor([frames, frames - 9, frames // 2]), torch.tensor([frames // 3, frames // 2, 12])
    poses = motions(lengths.tolist(), frames)
    phase = lift_phase(lengths, lift, frames)
    back = poses_of(told(poses, phase, lengths), poses[:, 0], phase)
    real = torch.arange(frames) < lengths[:, None]
    assert (back.t - poses.t).norm(dim=-1)[real].max() < 1e-3  # m
    assert (back.fingers - poses.fingers)[real].abs().max() < 0.02
    angle = Rotation.from_matrix((back.R.mT @ poses.R)[real].double().numpy()).magnitude()
    assert np.rad2deg(angle).max() < 0.5
    for part in ("t", "fingers", "R"):  # the initial pose is given
        torch.testing.assert_close(getattr(back, part)[:, 0], getattr(poses, part)[:, 0], atol=2e-6, rtol=0)


def test_what_is_told_starts_at_nothing_and_ends_at_the_end():
    lengths, lift = torch.tensor([30, 22]), torch.tensor([10, 11])
    poses = motions([30, 22], 32)
    y = told(poses, lift_phase(lengths, lift, 32), lengths)
    assert y.shape == (2, KNOTS, PALM + LATENT)
    torch.testing.assert_close(y[:, 0], torch.zeros(2, PALM + LATENT), atol=1e-6, rtol=0)
    torch.testing.assert_close(y[:, -1, :3], torch.stack([poses.t[0, 29], poses.t[1, 21]]))
    # A quarter of the way to the lift 27/32 of the initial pose are still there (a smooth step).
    recorded = (poses.t[0, 2] + poses.t[0, 3]) / 2
    torch.testing.assert_close(y[0, 4, :3], recorded - 27 / 32 * poses.t[0, 0])
    half = KNOTS // 2  # the lift, a whole frame
    torch.testing.assert_close(y[:, half, :3], torch.stack([poses.t[0, 10], poses.t[1, 11]]))


@pytest.mark.parametrize(("length", "lift"), [(1, 0), (2, 1), (5, 0), (5, 5), (5, 4)])
def test_odd_lifts_are_finite_and_begin_at_the_start(length, lift):
    lengths, lifts = torch.tensor([length]), torch.tensor([lift])
    poses = motions([length], 8)
    phase = lift_phase(lengths, lifts, 8)
    back = poses_of(told(poses, phase, lengths), poses[:, 0], phase)
    torch.testing.assert_close(back.t[:, :length], poses.t[:, :length], atol=5e-3, rtol=0)
    torch.testing.assert_close(back.R @ back.R.mT, torch.eye(3).expand(1, 8, 3, 3), atol=1e-5, rtol=0)


def test_every_output_belongs_to_one_group():
    seen = torch.zeros(KNOTS, PALM + LATENT)
    for group in groups(LATENT):
        seen[group.knots, group.values] += 1
    assert (seen == 1).all()


def test_the_kernel_is_numpys():
    rng = np.random.default_rng(0)
    x, y, length, linear = rng.normal(size=(7, 5)), rng.normal(size=(4, 5)), rng.uniform(0, 1, 5), rng.uniform(0, 1, 5)
    expected = 1.7 * np.exp(-cdist(x * np.sqrt(length), y * np.sqrt(length), "sqeuclidean")) + (x * linear) @ y.T
    found = kernel(*map(torch.from_numpy, (x, y, length, linear)), torch.tensor(1.7, dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_the_nearest_rotation_is_scipys():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(40, 3, 3))
    found = nearest_rotation(torch.from_numpy(A)).numpy()
    for a, R in zip(A, found, strict=True):
        # The rotation that best takes the axes to the columns of A (Kabsch).
        np.testing.assert_allclose(R, Rotation.align_vectors(a.T, np.eye(3))[0].as_matrix(), atol=1e-7)
        if np.linalg.det(a) > 0:
            np.testing.assert_allclose(R, polar(a)[0], atol=1e-9)
    proper = Rotation.random(5, random_state=0).as_matrix()
    np.testing.assert_allclose(nearest_rotation(torch.from_numpy(0.3 * proper)).numpy(), proper, atol=1e-9)


def prior_of_numpy(count: int = 12) -> tuple[MotionPrior, dict[str, torch.Tensor]]:
    rng = torch.Generator().manual_seed(0)
    prior = MotionPrior({"a": 3, "b": 2}, memory=count, latent=LATENT, rank=5)
    examples = {"a": torch.randn(count, 3, generator=rng) * torch.tensor([1.0, 2.0, 5.0]), "b": torch.zeros(count, 2)}
    prior.memory.copy_(prior.standardise(examples))
    for found in prior.kernels.values():
        for name, size in (("length", 0.1), ("linear", 0.05), ("scale", 1.0)):
            getattr(found, name).fill_(size)
        for name in ("weight", "direction", "offset"):
            getattr(found, name).copy_(torch.randn(getattr(found, name).shape, generator=rng))
    return prior, examples


def test_a_guess_is_the_sum_over_what_is_remembered():
    prior, _ = prior_of_numpy()
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(1)).double().numpy()
    memory = prior.memory.double().numpy()
    k = np.exp(-cdist(x * 0.1**0.5, memory * 0.1**0.5, "sqeuclidean")) + 0.05 * x @ memory.T
    y = prior.told(torch.from_numpy(x).float(), LATENT)
    for group in prior.groups:
        part = prior.kernels[group.name]
        expected = k @ part.weight.double().numpy() @ part.direction.double().numpy() + part.offset.double().numpy()
        np.testing.assert_allclose(y[:, group.knots, group.values].flatten(1), expected, atol=1e-4)


def test_inputs_are_blocks_of_variance_one_and_cut_far_away():
    prior, examples = prior_of_numpy()
    x = prior.inputs(examples)
    torch.testing.assert_close(x.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    assert x[:, :3].var(0).sum().item() == pytest.approx(1, abs=1e-3)
    assert (x[:, 3:] == 0).all()  # a block that never varies
    far = prior.inputs({name: value + 1e4 for name, value in examples.items()})
    torch.testing.assert_close(far[:, :3], 4 * x[:, :3].std(0).expand(12, 3))
    assert prior.told(far, LATENT).isfinite().all()


def test_the_initial_pose_can_be_told_held():
    poses, phase = motions([12], 12)[:, 0], lift_phase(torch.tensor([12]), torch.tensor([4]), 12)
    assert not MotionPrior({"a": 3}, memory=0, latent=LATENT).fitted
    still = poses_of(held(poses), poses, phase)
    torch.testing.assert_close(still.t, poses.t[:, None].expand(1, 12, 3))
