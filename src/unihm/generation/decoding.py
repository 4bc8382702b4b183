"""Codes from the generator's network: all at once, or in a few rounds that fix the surest chunks first."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unihm.generation.code_head import CodeHead
from unihm.generation.qwen3 import Conditions, MotionQwen3
from unihm.tokenizer.vqvae import chunk_mask


def sample_codes(
    head: CodeHead,
    hidden: Float[Tensor, "B N d"],
    origin: Float[Tensor, "B N D"],
    noise: Float[Tensor, "B L K"],
    temperature: float,
    top_k: int | None = None,
) -> tuple[Int[Tensor, "B N L"], Float[Tensor, "B N"]]:
    """Draw the codes of every chunk level by level, each level given the ones before.

    ``argmax_k (logit_k / temperature + g_k)`` with Gumbel noise g is a sample of the softmax. The chunks of one
    motion share their noise: each chunk alone is distributed as learned, but neighbours, whose distributions are
    alike, take the same or neighbouring codes instead of jumping between them.

    Args:
        head: Gives the logits.
        hidden: States of the chunks.
        origin: The prior's guess.
        noise: Gumbel noise, one draw per motion, level and code.
        temperature: 0 takes the most likely code.
        top_k: Only the k most likely codes compete; None is all.

    Returns:
        Codes, and the log-probability of each chunk's first code, which says how sure the choice is.
    """
    codes = hidden.new_zeros((*hidden.shape[:2], 0), dtype=torch.long)
    sure = hidden.new_zeros(hidden.shape[:2])
    for level in range(head.levels):
        logits = head.logits(hidden, origin, head.embed(codes), level)
        score = logits if temperature == 0 else logits / temperature + noise[:, None, level]
        if top_k is not None and top_k < logits.shape[-1]:
            bound = logits.topk(top_k, dim=-1).values[..., -1:]
            score = score.masked_fill(logits < bound, -torch.inf)
        chosen = score.argmax(dim=-1, keepdim=True)
        if level == 0:
            sure = logits.log_softmax(dim=-1).gather(-1, chosen).squeeze(-1)
        codes = torch.cat([codes, chosen], dim=-1)
    return codes, sure


def gumbel_noise(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Standard Gumbel noise, float32."""
    tiny = torch.finfo(torch.float32).tiny
    exponential = -torch.log(torch.rand(shape, generator=rng).clamp(min=tiny))
    return -torch.log(exponential.clamp(min=tiny))


@torch.no_grad()
def write_codes(
    network: MotionQwen3,
    conditions: Conditions,
    *,
    steps: int = 1,
    temperature: float = 0.0,
    top_k: int | None = None,
    rng: torch.Generator,
) -> Int[Tensor, "B N L"]:
    """Generate the codes of a batch of motions, every hand pose masked at first.

    Args:
        network: In evaluation mode.
        conditions: What to generate from.
        steps: 1 draws all chunks at once. With more, each round draws the chunks that are still masked and
            keeps the surest share of them, which the next round sees.
        temperature: Of the sampling; 0 is deterministic.
        top_k: Of the sampling.
        rng: Source of the noise.
    """
    chunks = conditions.T_world_canonical.shape[1] // network.frames_per_chunk
    batch = len(conditions.lengths)
    levels, size, latent = network.head.codebook.shape
    noise = gumbel_noise((batch, levels, size), rng)
    codes = torch.zeros(batch, chunks, levels, dtype=torch.long)
    given: Bool[Tensor, "B N"] = torch.zeros(batch, chunks, dtype=torch.bool)
    exists = chunk_mask(conditions.lengths, chunks, network.frames_per_chunk)
    motion = torch.zeros(batch, chunks, latent)
    origin = network.origin(conditions)
    for step in range(steps):
        hidden = network(conditions, origin, motion, given)
        drawn, sure = sample_codes(network.head, hidden, origin, noise, temperature, top_k)
        codes = torch.where(given[..., None], codes, drawn)
        keep = (exists.sum(dim=1, keepdim=True) * (step + 1)) // steps
        rank = sure.masked_fill(given, torch.inf).masked_fill(~exists, -torch.inf)
        given = rank.argsort(dim=1, descending=True).argsort(dim=1) < keep
        motion = network.head.embed(codes)
    return codes
