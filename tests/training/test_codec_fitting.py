"""The metric of the codes against what hands really do, and the fit against the past that the decoder has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.geometry.lie import so3_exp
from unihm.hands.hand import load_hand
from unihm.tokenizer.features import hand_features
from unihm.tokenizer.hand_chart import LatentPose, ReferenceChart
from unihm.tokenizer.predictive import CodecConfig, PredictiveCodec
from unihm.training.codec_fitting import Poses, decoded, fit_stage, pulled_back_metric, set_start
from unihm.training.presets import CodecFitting


@pytest.fixture
def walks() -> Poses:
    """Smooth random motions of a latent hand with 4 fingers: (B, N, C) poses."""
    rng = torch.Generator().manual_seed(0)
    motions, chunks = 300, 6
    steps = torch.randn(motions, chunks * 4, 10, generator=rng).cumsum(1).cumsum(1) * 0.002
    omega, t, fingers = steps[..., :3] * 3, steps[..., 3:6], steps[..., 6:]
    poses = LatentPose(R=so3_exp(omega), t=t, fingers=fingers).map(lambda part: part.unflatten(1, (chunks, 4)))
    lengths = torch.randint(2, chunks + 1, (motions,), generator=rng)
    return Poses(poses=poses, mask=torch.arange(chunks)[None] < lengths[:, None])


def test_the_metric_says_how_far_keypoints_move():
    hand = load_hand("allegro")
    features = hand_features(hand)
    chart = ReferenceChart(16, 16)
    rng = np.random.default_rng(0)
    share = torch.from_numpy(rng.uniform(-0.9, 0.9, (40, 16)))
    poses = LatentPose(R=torch.eye(3).double().expand(40, 3, 3), t=torch.zeros(40, 3).double(), fingers=share)
    config = CodecFitting(palm_weight=0.0, metre_of_a_radian=0.0, least_metric=0.0)
    metric = pulled_back_metric(
        {"allegro": chart}, {"allegro": features}, {"allegro": hand}, {"allegro": poses}, config
    )

    def keypoints(pose: LatentPose) -> torch.Tensor:
        qpos, T = features.unpack(chart.decode(pose))
        return hand.keypoints(qpos) @ T[:, :3, :3].transpose(1, 2) + T[:, None, :3, 3]

    for _ in range(5):
        step = torch.from_numpy(rng.normal(size=22)) * 1e-5
        moved = LatentPose(R=poses.R @ so3_exp(step[3:6]), t=poses.t + step[:3], fingers=poses.fingers + step[6:])
        distance = (keypoints(moved) - keypoints(poses)).square().sum(-1).mean().sqrt() * 1e3
        assert float((metric.double() @ step).norm()) == pytest.approx(float(distance), rel=1e-2)


def test_the_fit_is_finer_than_standing_still_and_learns_from_its_own_past(walks):
    codec = PredictiveCodec(CodecConfig(latent=4, stages=(3, 4), codes=64))
    codec.metric.copy_(torch.diag(torch.tensor([1000.0] * 3 + [100.0] * 3 + [100.0] * 4)))
    set_start(codec, [walks])
    assert float(torch.det(codec.start_R)) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(codec.start_t, walks.poses.t[:, 0, 0].mean(0))
    below, errors = None, []
    for stage in range(2):
        ticks: list[dict] = []
        config = CodecFitting(rounds=3, points=2000)
        below = fit_stage(codec, stage, [walks], below, config, seed=0, progress=ticks.append)
        assert [(tick["stage"], tick["round"]) for tick in ticks] == [(stage, n) for n in range(3)]
        assert all(tick["left_mm"] > 0 for tick in ticks)
        errors.append(float((below[0].t - walks.poses.t)[walks.mask].norm(dim=-1).mean()))
    still = float((walks.poses.t[:, :, 0] - walks.poses.t[:, :, 3])[walks.mask].norm(dim=-1).mean())
    assert errors[1] < 0.6 * errors[0] < 0.6 * still
    codes = codec.encode(walks.poses, 7)
    torch.testing.assert_close(codec.decode(codes).t[walks.mask], below[0].t[walks.mask], atol=1e-4, rtol=0)


def test_fitting_is_repeatable(walks):
    found = []
    for _ in range(2):
        codec = PredictiveCodec(CodecConfig(latent=4, stages=(2,), codes=16))
        set_start(codec, [walks])
        fit_stage(codec, 0, [walks], None, CodecFitting(rounds=2, points=500), seed=1)
        found.append(codec.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    (again,) = decoded(codec, 0, [walks], None)
    assert torch.isfinite(again.t).all()
