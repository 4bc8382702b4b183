"""A small tokenizer of real hands around random codes: what it says is arbitrary, but the same each time."""

from __future__ import annotations

import torch

from unihm.hands.hand import load_hand
from unihm.tokenizer.features import hand_features
from unihm.tokenizer.predictive import CodecConfig, PredictiveCodec
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.tokenizer.unified import UnifiedConfig, UnifiedTokenizer

REFERENCE, OTHER = "human", "panda"


def fill_codec(codec: PredictiveCodec, seed: int = 0) -> None:
    """Random codes, small enough that nothing drifts away; every pose is about a grasp of something small."""
    rng = torch.Generator().manual_seed(seed)
    latent, values = codec.config.latent, codec.config.values
    with torch.no_grad():
        codec.metric.copy_(torch.diag(torch.tensor([1000.0] * 3 + [70.0] * 3 + [30.0] * latent)))
        codec.start_t.copy_(torch.tensor([0.12, 0.0, 0.08]))
        for codes, size in ((codec.opening, 30.0), (codec.following, 8.0)):
            for code in codes:
                axes = code.basis.shape[1]
                code.basis.copy_(torch.linalg.qr(torch.randn(values, values, generator=rng))[0][:, :axes])
                code.codebook.copy_(size * torch.randn(code.codebook.shape, generator=rng))
                code.guess.copy_(0.002 * torch.randn(code.guess.shape, generator=rng))


def small_codec(latent: int = 4, seed: int = 0) -> PredictiveCodec:
    """Two stages, of 2 and 3 levels with 16 codes."""
    codec = PredictiveCodec(CodecConfig(latent=latent, stages=(2, 3), codes=16))
    fill_codec(codec, seed)
    return codec.eval()


def small_tokenizer(fingerprint: str = "random", seed: int = 0) -> Tokenizer:
    """The person's hand, whose fingertips the generator asks for, and another."""
    codec = CodecConfig(stages=(2, 3), codes=16)
    config = UnifiedConfig(reference_hand=REFERENCE, width=8, couplings=2, codec=codec)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = UnifiedTokenizer(config, [hand_features(load_hand(name)) for name in (REFERENCE, OTHER)])
        for parameter in model.charts.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        for chart in model.charts.values():
            if hasattr(chart, "gain"):
                chart.gain.data += torch.eye(codec.latent)  # type: ignore[union-attr]
    fill_codec(model.codec, seed)
    return Tokenizer(model, fingerprint=fingerprint)
