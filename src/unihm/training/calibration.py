"""What the head starts from: how far the prior's guess is off, with nothing shown and with the past shown.

Both are plain statistics of the training motions, found at once; gradient descent would spend its first epochs on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from unihm.generation.code_head import CodeHead, moved, rest_of
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import PredictiveCodec
from unihm.training.teacher import Written


@dataclass(frozen=True, kw_only=True)
class Guessed:
    """Recorded motions beside the prior's guess without them."""

    origin: LatentPose
    """(B, N, C) the guess."""
    truth: LatentPose
    """(B, N, C) recorded."""
    written: Written
    """The codec's."""
    exists: Bool[Tensor, "B N"]
    """Which chunks are real."""


@torch.no_grad()
def calibrate(head: CodeHead, codec: PredictiveCodec, batches: Iterable[Guessed]) -> None:
    """Set how much of the past's miss is carried on, and the usual spreads.

    Args:
        head: Changed in place.
        codec: Whose codes.
        batches: Examples; read twice.
    """
    batches = list(batches)
    cross = square = torch.zeros(len(head.metric))
    for b in batches:
        off = head.missed(b.truth, b.origin)
        before = head.missed(b.written.poses, b.origin)[:, :-1, -1]
        now = off[:, 1:].mean(dim=2)
        real = b.exists[:, 1:, None]
        cross = cross + (before * now * real).sum((0, 1))
        square = square + (before * before * real).sum((0, 1))
    share = (cross / square.clamp(min=1e-6)).clamp(0.02, 0.98)
    head.gate.bias.copy_(torch.logit(share))
    total = torch.zeros_like(head.usual_spread)
    number = torch.zeros(2, 2, 1, 1)
    for b in batches:
        before = head.missed(b.written.poses, b.origin)[:, :, -1]
        for n in range(b.exists.shape[1]):
            use = b.exists[:, n]
            for shown in (False, True):
                pose = b.origin[:, n]
                if shown and n:
                    pose = moved(pose, (share * before[:, n - 1])[:, None].expand(-1, head.frames, -1), head.metric)
                missed = rest_of(codec, b.written.known[n], pose, n == 0) - b.written.rest[:, n]
                total[int(n > 0), int(shown)] += missed[use].square().sum(0)
                number[int(n > 0), int(shown)] += use.sum()
    deviation = (total / number.clamp(min=1)).sqrt().clamp(min=1e-3)
    head.usual_spread.copy_((deviation / head.spread[:, None]).log().clamp(-4, 5))
