"""The codes of recorded motions, the objective, and what the head starts from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.generation.code_head import CodeHead, moved, rest_of
from unihm.geometry.lie import so3_exp
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import CodecConfig, PredictiveCodec
from unihm.training.calibration import Guessed, calibrate
from unihm.training.codec_fitting import Poses, fit_stage, set_start
from unihm.training.presets import CodecFitting
from unihm.training.teacher import code_entropy, teacher_codes

LATENT, MOTIONS, CHUNKS = 4, 60, 5


def walks(seed: int = 0, motions: int = MOTIONS) -> LatentPose:
    rng = torch.Generator().manual_seed(seed)
    steps = torch.randn(motions, CHUNKS * 4, 6 + LATENT, generator=rng).cumsum(1).cumsum(1) * 1e-3
    first = torch.randn(motions, 1, 6 + LATENT, generator=rng)
    poses = LatentPose(
        R=so3_exp(first[..., :3]) @ so3_exp(3 * steps[..., :3]),
        t=0.1 * first[..., 3:6] + 0.3 * steps[..., 3:6],
        fingers=0.3 * first[..., 6:] + 3 * steps[..., 6:],
    )
    return poses.map(lambda part: part.unflatten(1, (CHUNKS, 4)))


@pytest.fixture(scope="module")
def codec() -> PredictiveCodec:
    """Fitted to such walks: what it decodes is about what it read."""
    codec = PredictiveCodec(CodecConfig(latent=LATENT, stages=(4,), codes=64))
    codec.metric.copy_(torch.diag(torch.tensor([1000.0] * 3 + [70.0] * 3 + [30.0] * LATENT)))
    motions = [Poses(poses=walks(5, 400), mask=torch.ones(400, CHUNKS, dtype=torch.bool))]
    set_start(codec, motions)
    fit_stage(codec, 0, motions, None, CodecFitting(passes=2, opening_passes=2, rounds=2, points=2000), seed=0)
    return codec.eval()


def test_what_is_written_is_what_the_codec_writes(codec):
    truth = walks()
    written = teacher_codes(codec, truth)
    codes = codec.encode(truth, codec.rates[0])
    decoded = codec.decode(codes)
    torch.testing.assert_close(written.poses.t, decoded.t)
    torch.testing.assert_close(written.poses.R, decoded.R)
    for n in range(CHUNKS):
        book = codec.stage_code(0, n == 0).codebook
        nearest = (written.rest[:, n, :, None] - book).square().sum(-1).argmin(-1)
        assert torch.equal(nearest, codes[:, n])
        rest = rest_of(codec, written.known[n], truth[:, n], n == 0)
        torch.testing.assert_close(rest, written.rest[:, n])


def test_hard_entropy_is_pytorchs_over_chunks_that_count(codec):
    torch.manual_seed(0)
    head = CodeHead(12, codec)
    truth, origin = walks(), walks(seed=1)
    written, codes = teacher_codes(codec, truth), codec.encode(truth, codec.rates[0])
    shown = torch.zeros(MOTIONS, CHUNKS, dtype=torch.bool)
    pointed = head(torch.randn(MOTIONS, CHUNKS, 12), origin, torch.zeros(MOTIONS, CHUNKS, 6 + LATENT), shown)
    counted = torch.rand(MOTIONS, CHUNKS, generator=torch.Generator().manual_seed(1)) < 0.6
    losses = []
    for n in range(CHUNKS):
        rest = rest_of(codec, written.known[n], origin[:, n], n == 0)
        logits = head.logits(rest, pointed.log_spread[:, n], n == 0)[counted[:, n]]
        expected = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), codes[:, n][counted[:, n]].flatten(), reduction="none"
        )
        losses.append(expected)
    found = code_entropy(head, codec, pointed, written, counted, 0.0)
    torch.testing.assert_close(found, torch.cat(losses).mean(), rtol=1e-4, atol=1e-4)
    # What does not count is not counted, whatever it is.
    other = LatentPose(R=origin.R, t=origin.t + 0.1 * ~counted[..., None, None], fingers=origin.fingers)
    changed = head(torch.randn(MOTIONS, CHUNKS, 12), other, torch.zeros(MOTIONS, CHUNKS, 6 + LATENT), shown)
    torch.testing.assert_close(code_entropy(head, codec, changed, written, counted, 0.0), found)


def test_pointing_at_the_truth_costs_less_than_beside_it(codec):
    torch.manual_seed(0)
    head = CodeHead(12, codec)
    truth = walks()
    written = teacher_codes(codec, truth)
    counted, off = torch.ones(MOTIONS, CHUNKS, dtype=torch.bool), torch.zeros(MOTIONS, CHUNKS, 6 + LATENT)

    @torch.no_grad()
    def entropy(origin):
        pointed = head(torch.zeros(MOTIONS, CHUNKS, 12), origin, off, torch.zeros_like(counted))
        return float(code_entropy(head, codec, pointed, written, counted, 1.0))

    beside = LatentPose(R=truth.R, t=truth.t + 0.02, fingers=truth.fingers)
    assert entropy(truth) < entropy(beside) - 0.1


def guessed(codec, head, share: float, noise: float) -> Guessed:
    """Guesses that miss by a walk: what the last frame missed, times a share, and something new."""
    truth = walks()
    rng = torch.Generator().manual_seed(2)
    off, change = torch.zeros(MOTIONS, 6 + LATENT), []
    written = teacher_codes(codec, truth)
    for _ in range(CHUNKS):
        off = share * off + noise * torch.randn(off.shape, generator=rng)
        change.append(off[:, None].expand(-1, 4, -1))
    origin = moved(truth, torch.stack(change, dim=1), head.metric)
    exists = torch.ones(MOTIONS, CHUNKS, dtype=torch.bool)
    exists[::3, 3:] = False
    return Guessed(origin=origin, truth=truth, written=written, exists=exists)


def test_calibration_is_regression_and_standard_deviation(codec):
    """Both against NumPy on the same numbers, chunk by chunk; what does not exist does not count."""
    torch.manual_seed(0)
    head = CodeHead(12, codec)
    parts = guessed(codec, head, 0.8, 20.0)
    halves = [
        Guessed(
            origin=parts.origin[rows], truth=parts.truth[rows], exists=parts.exists[rows],
            written=teacher_codes(codec, parts.truth[rows]),
        )
        for rows in (slice(0, 25), slice(25, None))
    ]  # fmt: skip
    calibrate(head, codec, iter(halves))
    real = parts.exists.numpy()
    off = head.missed(parts.truth, parts.origin).numpy().mean(2)
    before = head.missed(parts.written.poses, parts.origin).numpy()[:, :, -1]
    share = head.gate.bias.detach().sigmoid().numpy()
    for value in range(6 + LATENT):
        a, b = before[:, :-1, value][real[:, 1:]], off[:, 1:, value][real[:, 1:]]
        slope = np.linalg.lstsq(a[:, None], b, rcond=None)[0][0]
        assert share[value] == pytest.approx(np.clip(slope, 0.02, 0.98), abs=2e-3)
    usual = head.usual_spread.detach().exp() * head.spread[:, None]
    first = rest_of(codec, parts.written.known[0], parts.origin[:, 0], True) - parts.written.rest[:, 0]
    torch.testing.assert_close(usual[0, 0], first.square().mean(0).sqrt(), rtol=1e-3, atol=1e-3)
    later = [
        (rest_of(codec, parts.written.known[n], parts.origin[:, n], False) - parts.written.rest[:, n])[real[:, n]]
        for n in range(1, CHUNKS)
    ]
    later = torch.cat(later)
    torch.testing.assert_close(usual[1, 0], later.square().mean(0).sqrt(), rtol=1e-3, atol=1e-3)
    assert usual[1, 1].norm() < 0.9 * usual[1, 0].norm()  # the past tells


def test_a_miss_that_lasts_is_carried_on_and_one_that_does_not_is_not(codec):
    torch.manual_seed(0)
    head = CodeHead(12, codec)
    shares = []
    for share in (0.0, 1.0):
        # The truth is what the codec decodes, so that nothing else is missed.
        parts = guessed(codec, head, share, 10.0)
        calibrate(head, codec, [parts])
        shares.append(head.gate.bias.sigmoid().mean())
    assert shares[1] > shares[0] + 0.1
