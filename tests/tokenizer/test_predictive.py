"""The predictive code: its numbers against SciPy, its bits against a worked example, encoder and decoder in step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import (
    ChunkCode,
    CodecConfig,
    PredictiveCodec,
    deal,
    nearest_of_each,
    water_filling,
)


def poses(*shape: int, latent: int = 4, seed: int = 0, turn: float = 0.3) -> LatentPose:
    rng = np.random.default_rng(seed)
    R = Rotation.from_rotvec(turn * rng.normal(size=(int(np.prod(shape)), 3))).as_matrix().reshape(*shape, 3, 3)
    return LatentPose(
        R=torch.from_numpy(R),
        t=torch.from_numpy(0.1 * rng.normal(size=(*shape, 3))),
        fingers=torch.from_numpy(rng.normal(size=(*shape, latent))),
    )


def codec(latent: int = 4) -> PredictiveCodec:
    made = PredictiveCodec(CodecConfig(latent=latent, stages=(2, 3), codes=16)).double()
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(6 + latent, 6 + latent, generator=rng, dtype=torch.float64)
    made.metric.copy_(10 * (root @ root.T + torch.eye(6 + latent)))
    return made


def test_values_are_displacement_and_rotation_vector_in_the_base_palm():
    made, chunk, base = codec(), poses(3, 4, seed=1), poses(3, seed=2)
    plain = made.relative(chunk, base).reshape(3, 4, -1) @ torch.linalg.inv(made.metric)
    for i in range(3):
        R = Rotation.from_matrix(base.R[i].numpy())
        for f in range(4):
            np.testing.assert_allclose(plain[i, f, :3], R.inv().apply((chunk.t[i, f] - base.t[i]).numpy()), atol=1e-9)
            turned = (R.inv() * Rotation.from_matrix(chunk.R[i, f].numpy())).as_rotvec()
            np.testing.assert_allclose(plain[i, f, 3:6], turned, atol=1e-9)
    torch.testing.assert_close(plain[..., 6:], chunk.fingers - base.fingers[:, None])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_absolute_undoes_relative(seed):
    made, chunk, base = codec(), poses(2, 4, seed=seed), poses(2, seed=seed + 1)
    again = made.absolute(made.relative(chunk, base), base)
    for part in ("R", "t", "fingers"):
        torch.testing.assert_close(getattr(again, part), getattr(chunk, part))


def test_water_filling_by_hand():
    # 4 bits for variances 64, 4 and 1/16: the level 1/2 gives 3.5 and 1.5 bits, too many; at 1 the first has 3, the
    # second 1 bit, the third none.
    bits = water_filling(torch.tensor([64.0, 4.0, 1 / 16]).double(), 4.0)
    np.testing.assert_allclose(bits, [3, 1, 0], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 40), levels=st.integers(1, 6), axes=st.integers(1, 8), seed=st.integers(0, 99))
def test_components_are_dealt_once_each_and_evenly(count, levels, axes, seed):
    bits = torch.sort(torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 5, descending=True).values
    chosen = deal(bits, levels, axes)
    flat = sorted(c for level in chosen for c in level)
    assert flat == list(range(min(count, levels * axes)))
    assert max(map(len, chosen)) <= axes
    if axes * levels >= 2 * count:  # nothing is squeezed: no level has more than the largest component above another
        load = [float(bits[level].sum()) if level else 0.0 for level in chosen]
        assert max(load) - min(load) <= float(bits[0]) + 1e-6


def test_nearest_codes_of_each_level():
    rng = torch.Generator().manual_seed(0)
    points, book = torch.randn(50, 3, 2, generator=rng), torch.randn(3, 7, 2, generator=rng)
    expected = torch.stack([torch.cdist(points[:, i], book[i]).argmin(-1) for i in range(3)], 1)
    assert torch.equal(nearest_of_each(points, book), expected)


def test_a_fitted_code_misses_what_gaussian_theory_says():
    # Three independent components of equal spread, one level of 512 codes: 3 bits each. A Gaussian of 3 dimensions
    # cannot be coded with less than 2^-6 of its variance, and k-means of 512 codes comes within a factor of 2.
    rng = torch.Generator().manual_seed(0)
    context = torch.randn(20_000, 4, generator=rng)
    values = context @ torch.randn(4, 3, generator=rng) + torch.randn(20_000, 3, generator=rng)
    code = ChunkCode(context=4, values=3, levels=1, codes=512, axes=3)
    code.fit(context, values, rng, points=20_000)
    _, coded = code.quantize(context, values)
    left = float((values - coded).square().mean())
    assert 2**-6 < left < 2 * 2**-6
    assert int(code.usage.sum()) == 20_000


def test_codes_and_decoded_values_agree():
    code = ChunkCode(context=5, values=6, levels=2, codes=8, axes=3)
    rng = torch.Generator().manual_seed(0)
    code.guess.normal_(generator=rng)
    code.codebook.normal_(generator=rng)
    code.basis.copy_(torch.linalg.qr(torch.randn(6, 6, generator=rng))[0])
    context, values = torch.randn(9, 5, generator=rng), torch.randn(9, 6, generator=rng)
    codes, coded = code.quantize(context, values)
    torch.testing.assert_close(code.embed(context, codes), coded)
    effects = torch.stack([sum(code.effect(level, int(row[level])) for level in range(2)) for row in codes])
    torch.testing.assert_close(context @ code.guess + effects, coded)


def test_the_decoder_is_in_step_with_the_encoder(unified):
    made = unified.codec
    motion = poses(3, 6, 4, seed=3, turn=0.2).map(torch.Tensor.float)
    codes = made.encode(motion, 5)
    assert codes.shape == (3, 6, 5)
    known = made.begin(3, 2)
    for n in range(6):
        _, known = made.encode_chunk(known, motion[:, n])
    decoded = made.decode(codes)
    for part in ("R", "t", "fingers"):
        torch.testing.assert_close(getattr(decoded, part)[:, -1], getattr(known.chunks[-1], part), atol=1e-4, rtol=1e-4)


def test_the_first_stage_is_a_stream_of_its_own(unified):
    motion = poses(2, 5, 4, seed=4).map(torch.Tensor.float)
    assert unified.codec.rates == (2, 5)
    assert torch.equal(unified.codec.encode(motion, 5)[..., :2], unified.codec.encode(motion, 2))
    with pytest.raises(ValueError, match="A row has 3 codes, expected 2, 5"):
        unified.codec.encode(motion, 3)
