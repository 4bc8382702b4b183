"""From the hidden state of a chunk to its codes: a point in the space of poses, and how sure it is.

The head names a chunk of latent poses, the prior's guess moved by what it has learned. Seen from what is already
decoded, the point lies at some r in the axes of each level of the code (`tokenizer.predictive`), and the logit of code
k is

    logit_k = - sum_a (e_ka - r_a)^2 / (2 sigma_a^2) + w log v_k

a normal density at the code times a power of the volume v_k of the cell for which it stands. Codes that decode to
almost the same motion are almost equally likely, so all codes share what a few hundred motions teach.

Letters: B batch, N chunks, C frames of a chunk, L levels, K codes a level, g axes of a level, d hidden size, v values
of a frame (palm 6, fingers m).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unihm.geometry.lie import so3_exp, so3_log
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import Decoded, PredictiveCodec, nearest_of_each

_NEIGHBOURS = 8  # from whose distance a cell's volume is told
_UNIT = 10.0  # mm of keypoints, the unit of what the head learns to add
_CELL = 0.1  # at first
_GATE = 2.0  # at first, of what the past was off the guess, the sigmoid of this is carried on


@dataclass(frozen=True, kw_only=True)
class Pointed:
    """What the head says of chunks."""

    pose: LatentPose
    """(B, N, C) where they lie."""
    log_spread: Float[Tensor, "*batch L g"]
    """Logarithm of sigma, in units of the codebook's own spread along each axis."""

    def chunk(self, n: int) -> Pointed:
        """Chunk n alone, (B, C) and (B, L, g)."""
        return Pointed(pose=self.pose[:, n], log_spread=self.log_spread[:, n])


class CodeHead(nn.Module):
    """Points, and logits over the codes of a codec's first stage."""

    codebook: Tensor
    spread: Tensor
    volume: Tensor
    metric: Tensor

    def __init__(self, hidden: int, codec: PredictiveCodec):
        """Build the head.

        Args:
            hidden: Size of the hidden states.
            codec: Whose codes are written; its numbers are kept, but are not part of the generator's weights.
        """
        super().__init__()
        self.frames = codec.config.frames_per_chunk
        size = len(codec.metric)
        codes = [codec.stage_code(0, first) for first in (True, False)]
        codebook = torch.stack([code.codebook for code in codes]).float()
        self.levels = codebook.shape[1]
        self.register_buffer("codebook", codebook.clone(), persistent=False)
        self.register_buffer("spread", codebook.std(dim=2).clamp(min=1e-6), persistent=False)
        self.register_buffer("volume", _log_volume(codebook), persistent=False)
        self.register_buffer("metric", codec.metric.float().clone(), persistent=False)
        self.correction = nn.Linear(hidden, 2 * size)
        self.gate = nn.Linear(hidden, size)
        self.log_spread = nn.Linear(hidden, self.levels * codebook.shape[-1])
        # Of a motion's first chunk or another (0, 1), whose past is hidden or shown (0, 1); see `training.calibration`.
        self.usual_spread = nn.Parameter(torch.zeros(2, 2, *codebook.shape[1::2]))
        # Cells are long in a few axes alone; how much of their volume tells is learned.
        self.cell = nn.Parameter(torch.full((2,), _CELL))
        # At first the head points exactly at the prior's guess.
        for layer in (self.correction, self.gate, self.log_spread):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.gate.bias, _GATE)

    def forward(
        self,
        hidden: Float[Tensor, "B N d"],
        origin: LatentPose,
        missed: Float[Tensor, "B N v"],
        shown: Bool[Tensor, "B N"],
        first: int = 0,
    ) -> Pointed:
        """What the head says of chunks.

        Args:
            hidden: States of the chunks.
            origin: (B, N, C) the prior's guess.
            missed: By how much the guess missed the last frame before each chunk, in the metric, mm; 0 where that frame
                is not known.
            shown: Where that frame is known.
            first: Number of the first of these chunks in the motion.
        """
        ends = self.correction(hidden).unflatten(-1, (2, -1))
        share = torch.linspace(0, 1, self.frames, device=hidden.device)[:, None]
        change = _UNIT * (ends[..., :1, :] * (1 - share) + ends[..., 1:, :] * share)
        change = change + (self.gate(hidden).sigmoid() * missed)[..., None, :]
        following = (first + torch.arange(hidden.shape[1], device=hidden.device) > 0).long()
        usual = self.usual_spread[following.expand(len(hidden), -1), shown.long()]
        return Pointed(
            pose=moved(origin, change, self.metric),
            log_spread=(usual + self.log_spread(hidden).unflatten(-1, (self.levels, -1))).clamp(-4, 5),
        )

    def logits(
        self, rest: Float[Tensor, "*batch L g"], log_spread: Float[Tensor, "*batch L g"], opening: bool
    ) -> Float[Tensor, "*batch L K"]:
        """Logits of all codes of every level.

        Args:
            rest: r, the point in the levels' axes.
            log_spread: See `Pointed`.
            opening: Whether the chunk is a motion's first.
        """
        which = 0 if opening else 1
        precision = (-2 * log_spread).exp() / self.spread[which].square()
        codes = self.codebook[which]
        cross = torch.einsum("...lg,lkg->...lk", rest * precision, codes)
        square = torch.einsum("...lg,lkg->...lk", precision, codes.square())
        return cross - square / 2 + self.cell[which] * self.volume[which]

    def nearest(self, rest: Float[Tensor, "n L g"], opening: bool) -> Int[Tensor, "n L"]:
        """The codes nearest to the point, which at temperature 0 are taken: those of the motion that the head names."""
        return nearest_of_each(rest, self.codebook[0 if opening else 1])

    def missed(self, pose: LatentPose, origin: LatentPose) -> Float[Tensor, "*batch v"]:
        """By how much a guess misses poses, in the metric, mm: `moved` read backwards."""
        return missed(pose, origin, self.metric)


def rest_of(codec: PredictiveCodec, known: Decoded, pose: LatentPose, opening: bool) -> Float[Tensor, "B L g"]:
    """A chunk of poses (B, C) in the axes of the first stage's levels, seen from what is decoded."""
    code = codec.stage_code(0, opening)
    past = known.chunks[0]
    values = codec.relative(pose, past[:, -1])
    return ((values - codec.context(past, None) @ code.guess) @ code.basis).unflatten(-1, (len(code.codebook), -1))


def moved(origin: LatentPose, change: Float[Tensor, "*batch v"], metric: Float[Tensor, "v v"]) -> LatentPose:
    """Poses displaced in their own palm frames by numbers in the metric, mm."""
    plain = torch.linalg.solve(metric, change, left=False)
    return LatentPose(
        R=origin.R @ so3_exp(plain[..., 3:6]),
        t=origin.t + (origin.R @ plain[..., :3, None])[..., 0],
        fingers=origin.fingers + plain[..., 6:],
    )


def missed(pose: LatentPose, origin: LatentPose, metric: Float[Tensor, "v v"]) -> Float[Tensor, "*batch v"]:
    """The numbers with which `moved` takes the origin to a pose."""
    back = origin.R.mT
    step = (back @ (pose.t - origin.t)[..., None])[..., 0]
    return torch.cat([step, so3_log(back @ pose.R), pose.fingers - origin.fingers], dim=-1) @ metric


def soft_targets(
    rest: Float[Tensor, "n L g"], codebook: Float[Tensor, "L K g"], softness: float
) -> Float[Tensor, "n L K"]:
    """What a level should say of the point r: ``q_k ~ exp(-|r - e_k|^2 / (softness w))``.

    w is the mean squared distance to the nearest code: codes that are nearly as good are nearly as right. With a
    softness of 0 the nearest code alone is.
    """
    squared = (
        rest.square().sum(-1)[..., None] - 2 * torch.einsum("nlg,lkg->nlk", rest, codebook) + codebook.square().sum(-1)
    )
    if softness == 0:
        return torch.nn.functional.one_hot(squared.argmin(-1), codebook.shape[1]).to(rest)
    width = squared.amin(dim=-1).mean(dim=0).clamp(min=1e-9)[:, None]
    return (-squared / (softness * width)).softmax(dim=-1)


def _log_volume(codebook: Float[Tensor, "2 L K g"]) -> Float[Tensor, "2 L K"]:
    """Logarithm of the codes' cells, of mean zero: ``g log`` of the distance to a near neighbour."""
    distance = torch.cdist(codebook, codebook)
    near = distance.kthvalue(min(_NEIGHBOURS + 1, codebook.shape[2]), dim=-1).values
    log = codebook.shape[-1] * near.clamp(min=1e-3 * float(near.mean()) + 1e-9).log()
    return log - log.mean(dim=-1, keepdim=True)


def draw(
    logits: Float[Tensor, "*batch K"],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    rng: torch.Generator,
) -> Int[Tensor, "*batch"]:
    """One code, drawn.

    ``argmax_k (logit_k / temperature + g_k)`` with Gumbel noise g is a sample of the softmax.

    Args:
        logits: Of all codes.
        temperature: Above 0; 1 samples as learned.
        top_k: Only the k likeliest compete.
        top_p: Only the likeliest compete that together have this probability.
        rng: Source of the noise.
    """
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k, dim=-1).values[..., -1:], -torch.inf)
    if top_p is not None and top_p < 1:
        order = logits.sort(dim=-1, descending=True)
        chance = order.values.softmax(-1)
        behind = chance.cumsum(-1) - chance >= top_p
        logits = logits.masked_fill(torch.zeros_like(behind).scatter(-1, order.indices, behind), -torch.inf)
    tiny = torch.finfo(torch.float32).tiny
    exponential = -torch.log(torch.rand(logits.shape, generator=rng).clamp(min=tiny))
    return (logits - exponential.clamp(min=tiny).log()).argmax(-1)
