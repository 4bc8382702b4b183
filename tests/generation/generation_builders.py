"""Conditions, requests and small networks whose every part says something."""

from __future__ import annotations

import numpy as np
import torch

from unified_builders import REFERENCE, small_codec
from unihm.generation.base import GenerationRequest
from unihm.generation.conditions import Conditions
from unihm.generation.motion_prior import KNOTS, PALM, GroupKernel
from unihm.generation.qwen3 import GeneratorConfig, MotionQwen3
from unihm.geometry.lie import so3_exp
from unihm.hands.hand import list_hands, load_hand
from unihm.tokenizer.hand_chart import LatentPose

SMALL = GeneratorConfig(
    hidden=32, layers=2, heads=2, kv_heads=1, head_size=16, feedforward=48, text_width=24, memory=6,
    memory_without_path=5, members=1,
)  # fmt: skip
LATENT = 4


def build_conditions(batch: int = 2, frames: int = 12, latent: int = LATENT, seed: int = 0) -> Conditions:
    """Objects that are lifted and turned after a third of the time."""
    rng = torch.Generator().manual_seed(seed)
    lift = frames // 3
    moving = (torch.arange(frames) - lift).clamp(min=0) / frames
    path = torch.eye(4).repeat(batch, frames, 1, 1)
    turn = torch.randn(batch, 1, 3, generator=rng)
    path[..., :3, :3] = so3_exp(moving[:, None] * turn)
    path[..., :3, 3] = torch.tensor([0.4, -0.2, 0.05]) + 0.2 * moving[:, None] * (turn.abs() + 0.2)
    view = torch.nn.functional.normalize(torch.randn(batch, 2, generator=rng), dim=-1)
    return Conditions(
        words=torch.randn(batch, 5, 24, generator=rng),
        words_mask=torch.ones(batch, 5, dtype=torch.bool),
        points=0.05 * torch.randn(batch, 30, 3, generator=rng),
        cloud_given=torch.ones(batch, dtype=torch.bool),
        T_world_canonical=path,
        path_given=torch.ones(batch, dtype=torch.bool),
        lengths=torch.full((batch,), frames),
        lift=torch.full((batch,), lift),
        view=view,
        start=LatentPose(
            R=so3_exp(torch.randn(batch, 3, generator=rng)),
            t=0.1 * torch.randn(batch, 3, generator=rng),
            fingers=0.5 * torch.randn(batch, latent, generator=rng),
        ),
    )


def speak(network: MotionQwen3, seed: int = 0) -> None:
    """Give priors, committees, plans and head something to say: untrained, they say nothing."""
    rng = torch.Generator().manual_seed(seed)

    def noise(like: torch.Tensor, size: float) -> torch.Tensor:
        return size * torch.randn(like.shape, generator=rng)

    with torch.no_grad():
        for prior, committee, plan in zip(
            network.priors, network.committees, (network.plan, network.plan_without_path), strict=True
        ):
            prior.memory.copy_(noise(prior.memory, 0.3))
            prior.reach.fill_(3.0)
            for group in prior.groups:
                kernel = prior.kernels[group.name]
                assert isinstance(kernel, GroupKernel)
                kernel.length.fill_(0.02)
                kernel.linear.fill_(0.01)
                kernel.scale.copy_(torch.tensor([1.0, 0.1]))
                kernel.weight.copy_(noise(kernel.weight, 0.5))
                kernel.direction.copy_(noise(kernel.direction, 0.01))
                if group.name.startswith("axes"):
                    kernel.offset.copy_(torch.eye(3).flatten().repeat(group.knots.stop - group.knots.start))
            latent = plan.axes.shape[-1] // KNOTS - PALM
            committee.share.fill_(0.3)
            for member in committee.members:
                member.directions.copy_(noise(member.directions, 0.01))
                member.out.weight.copy_(noise(member.out.weight, 0.1))
            plan.fit(0.02 * torch.randn(64, KNOTS, PALM + latent, generator=rng), 30 * torch.eye(latent))
        head = network.head
        for parameter, size in ((head.correction, 0.1), (head.gate, 0.3), (head.log_spread, 0.1)):
            parameter.weight.copy_(noise(parameter.weight, size))
        network.plan_head.copy_(noise(network.plan_head, 0.3))


def build_network(config: GeneratorConfig = SMALL, seed: int = 0) -> MotionQwen3:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MotionQwen3(config, small_codec()).eval()
    speak(network)
    return network


def build_request(frames: int = 10, **changes) -> GenerationRequest:
    hand = changes.get("hand", REFERENCE)
    hand = hand if hand in list_hands() else REFERENCE  # a wrong name is somebody's test
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
        "hand": hand,
        "qpos0": load_hand(hand).rest_qpos.numpy(),
        "lift_frame": frames // 3,
    }
    return GenerationRequest(**(fields | changes))
