"""A tokenizer with random networks: what the generator learns from it is arbitrary, but the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.generation.base import GenerationRequest
from unihm.tokenizer.features import HandFeatures
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig

JOINTS = {"claw": 3, "grip": 1}


def build_tokenizer(fingerprint: str = "random", seed: int = 0, **sizes) -> Tokenizer:
    config = TokenizerConfig(reference_hand="claw", **({"latent": 8, "width": 16, "levels": 3, "codes": 32} | sizes))
    hands = [
        HandFeatures(hand=name, joint_names=tuple(f"j{i}" for i in range(n)), lower=(-1.0,) * n, upper=(1.0,) * n)
        for name, n in JOINTS.items()
    ]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SharedVQVAE(config, hands)
        scale = 0.5 ** torch.arange(config.levels)[:, None, None]
        model.quantiser.codebook.data = scale * torch.randn(config.levels, config.codes, config.latent)
    return Tokenizer(model, fingerprint=fingerprint)


def build_request(frames: int = 10, **changes) -> GenerationRequest:
    rng = np.random.default_rng(0)
    path = np.tile(np.eye(4), (frames, 1, 1))
    path[:, :3, 3] = [0.3, -0.2, 0.05]
    path[:, 2, 3] += np.linspace(0, 0.2, frames)
    palm = np.eye(4)
    palm[:3, 3] = [0.15, 0.0, 0.1]
    fields = {
        "instruction": "pick up the box",
        "object_points_canonical": rng.uniform(-0.04, 0.04, (80, 3)),
        "T_world_canonical": path,
        "T_canonical_palm0": palm,
        "hand": "claw",
        "qpos0": np.zeros(3),
    }
    return GenerationRequest(**(fields | changes))


@pytest.fixture(scope="session")
def make_tokenizer():
    return build_tokenizer


@pytest.fixture(scope="session")
def make_request():
    return build_request


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return build_tokenizer()
