"""Motions and an untrained model, small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from unihm.schema.motion import HandMotion
from unihm.tokenizer.features import HandFeatures
from unihm.tokenizer.predictive import CodecConfig
from unihm.tokenizer.unified import UnifiedConfig, UnifiedTokenizer
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig

JOINTS = {"left_claw": ("a", "b", "c"), "tongs": ("gap",)}


@pytest.fixture
def hand_features() -> dict[str, HandFeatures]:
    """Two invented hands: the tokenizer knows hands only by their joints and limits."""
    return {
        name: HandFeatures(
            hand=name,
            joint_names=joints,
            lower=tuple(-0.5 - 0.1 * i for i in range(len(joints))),
            upper=tuple(1.0 + 0.2 * i for i in range(len(joints))),
        )
        for name, joints in JOINTS.items()
    }


@pytest.fixture
def make_motion():
    """A motion of random smooth poses beside an object that is lifted."""

    def make(hand: str = "left_claw", frames: int = 30, seed: int = 0, with_object: bool = True) -> HandMotion:
        rng = np.random.default_rng(seed)
        t = np.linspace(0, 1, frames)[:, None]
        wave = np.sin(2 * t * rng.uniform(0.5, 2, 6) + rng.uniform(0, 6, 6))
        T_world_palm = np.tile(np.eye(4), (frames, 1, 1))
        T_world_palm[:, :3, 3] = [0.3, -0.4, 0.2] + 0.1 * wave[:, :3]
        T_world_palm[:, :3, :3] = Rotation.from_rotvec(wave[:, 3:]).as_matrix()
        T_world_object = np.tile(np.eye(4), (frames, 1, 1))
        T_world_object[:, :3, 3] = [0.5, 0.1, 0.05] + 0.2 * t * [0, 0, 1]
        joints = JOINTS[hand]
        qpos = 0.2 + 0.5 * np.sin(3 * t + rng.uniform(0, 6, len(joints)))
        return HandMotion(
            hand=hand,
            fps=30.0,
            joint_names=joints,
            qpos=qpos,
            T_world_palm=T_world_palm,
            T_world_object=T_world_object if with_object else None,
            object_points=rng.uniform(-0.04, 0.04, (50, 3)) if with_object else None,
            instruction="lift it",
            source="test",
        )

    return make


@pytest.fixture
def model(hand_features) -> SharedVQVAE:
    """Random networks around a random codebook of 3 levels with 16 codes."""
    config = TokenizerConfig(
        reference_hand="left_claw", latent=8, width=16, encoder_blocks=1, decoder_blocks=1, levels=3, codes=16
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = SharedVQVAE(config, hand_features.values())
        for parameter in made.parameters():  # the residual branches start at zero; here they shall take part
            torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


@pytest.fixture
def unified(hand_features) -> UnifiedTokenizer:
    """Random charts around random codes, small enough that nothing drifts away: two stages, of 2 and 3 levels."""
    codec = CodecConfig(latent=4, stages=(2, 3), codes=16)
    config = UnifiedConfig(reference_hand="left_claw", width=8, couplings=2, codec=codec)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = UnifiedTokenizer(config, hand_features.values())
        for parameter in made.charts.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        for chart in made.charts.values():
            if hasattr(chart, "gain"):
                chart.gain.data += torch.eye(4)
        made.codec.metric.copy_(torch.diag(torch.tensor([1000.0] * 3 + [60.0] * 3 + [20.0] * 4)))
        for code in (*made.codec.opening, *made.codec.following):
            code.basis.copy_(torch.linalg.qr(torch.randn(40, 40))[0][:, : code.basis.shape[1]])
            code.codebook.normal_(std=10)
            code.guess.normal_(std=0.01)
    return made.eval()
