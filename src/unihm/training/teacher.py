"""The codes of recorded motions and what the head says of them, every chunk given those before it (teacher forcing).

Letters: B motions, N chunks, C frames of a chunk, L levels, K codes, g axes of a level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unihm.generation.code_head import CodeHead, Pointed, rest_of, soft_targets
from unihm.tokenizer.hand_chart import LatentPose, join
from unihm.tokenizer.predictive import Decoded, PredictiveCodec


@dataclass(frozen=True, kw_only=True)
class Written:
    """Recorded motions as the codec writes them."""

    poses: LatentPose
    """(B, N, C) as decoded."""
    rest: Float[Tensor, "B N L g"]
    """What each level has to say."""
    known: tuple[Decoded, ...]
    """What the decoder knows before each chunk."""


@torch.no_grad()
def teacher_codes(codec: PredictiveCodec, truth: LatentPose) -> Written:
    """Write motions (B, N, C) at the lowest rate.

    Args:
        codec: Whose codes.
        truth: Recorded poses.
    """
    known = codec.begin(len(truth.t), 1)
    before, rest, chunks = [], [], []
    for n in range(truth.t.shape[1]):
        before.append(known)
        rest.append(rest_of(codec, known, truth[:, n], known.first))
        _, known = codec.encode_chunk(known, truth[:, n])
        chunks.append(known.chunks[0])
    poses = join(lambda parts: torch.stack(parts, dim=1), chunks)
    return Written(poses=poses, rest=torch.stack(rest, dim=1), known=tuple(before))


def code_entropy(
    head: CodeHead,
    codec: PredictiveCodec,
    pointed: Pointed,
    written: Written,
    counted: Bool[Tensor, "B N"],
    softness: float,
) -> Tensor:
    """Mean cross-entropy of a code, over all levels of the chunks that count.

    Args:
        head: Gives the logits.
        codec: Whose codes.
        pointed: What the head says.
        written: What it should say.
        counted: Which chunks.
        softness: Of the targets, see `code_head.soft_targets`.
    """
    total, number = pointed.pose.t.new_zeros(()), 0
    # The first chunk has codes of its own; all others are taken at once.
    for opening in (True, False):
        part = slice(0, 1) if opening else slice(1, None)
        use = counted[:, part]
        if not use.any():
            continue
        chunks = range(1) if opening else range(1, counted.shape[1])
        rest = torch.stack([rest_of(codec, written.known[n], pointed.pose[:, n], opening) for n in chunks], dim=1)[use]
        log_p = head.logits(rest, pointed.log_spread[:, part][use], opening).log_softmax(-1)
        target = soft_targets(written.rest[:, part][use], head.codebook[0 if opening else 1], softness)
        total = total - (target * log_p).sum()
        number += int(use.sum()) * head.levels
    return total / number
