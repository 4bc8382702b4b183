"""From the hidden state of a chunk to its L codes, coarse to fine.

The head points at a place mu in the codebook's own space, and the logit of a code falls with its squared distance
from what the levels before it left over of mu:

    logit_k = p_l(h) (2 c.e_k - |e_k|^2),   c = mu(h) - z,   z = sum_{j<l} e_{c_j}

which is -p |c - e_k|^2 but for a constant. Codes that decode to almost the same motion are almost equally likely,
so all codes share what a few hundred motions teach, and p says how sure the head is. A head with a centre and a
bias of its own for each level was tried in one run: its most likely codes were 3 to 4 mm farther from the true
motion than the codes nearest to its own mu.

Letters: B batch, N chunks, L levels, K codes a level, D latent size.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class CodeHead(nn.Module):
    """Depth head over the frozen codebook of a tokenizer."""

    codebook: Tensor
    scale: Tensor
    spread: Tensor

    def __init__(self, hidden: int, codebook: Float[Tensor, "L K D"]):
        """Build the head.

        Args:
            hidden: Size of the hidden states.
            codebook: Code vectors of the tokenizer; kept, but not part of the generator's weights.
        """
        super().__init__()
        levels, _, latent = codebook.shape
        self.levels = levels
        self.register_buffer("codebook", codebook.float().clone(), persistent=False)
        # Both come from the codebook: the typical size of a latent, and of what is left over at each level.
        self.register_buffer("scale", codebook[0].float().square().mean().sqrt().clamp(min=1e-6), persistent=False)
        spread = codebook.float().square().sum(-1).mean(-1).clamp(min=1e-12)
        self.register_buffer("spread", spread, persistent=False)
        self.mu = nn.Linear(hidden, latent)
        self.log_precision = nn.Linear(hidden, levels)
        # At first the head points exactly at the prior's guess.
        for layer in (self.mu, self.log_precision):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def point(self, hidden: Float[Tensor, "*batch d"], origin: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """mu: where in latent space the chunk lies, told from the prior's guess."""
        return origin + self.mu(hidden) * self.scale

    def logits(
        self,
        hidden: Float[Tensor, "*batch d"],
        origin: Float[Tensor, "*batch D"],
        before: Float[Tensor, "*batch D"],
        level: int,
    ) -> Float[Tensor, "*batch K"]:
        """Logits of the codes of one level.

        Args:
            hidden: State of the chunk.
            origin: Where mu is told from, see `point`.
            before: z, the sum of the code vectors of the levels before.
            level: From 0.
        """
        centre = self.point(hidden, origin) - before
        codes = self.codebook[level]
        precision = (self.log_precision(hidden)[..., level : level + 1]).exp() * (4 / self.spread[level])
        return precision * (2 * centre @ codes.mT - codes.square().sum(-1))

    def embed(self, codes: Int[Tensor, "*batch l"]) -> Float[Tensor, "*batch D"]:
        """Sum of the code vectors of the first levels; l may be 0 to L."""
        level = torch.arange(codes.shape[-1], device=codes.device)
        return self.codebook[level, codes].sum(-2)

    def cross_entropy(
        self,
        hidden: Float[Tensor, "*batch d"],
        origin: Float[Tensor, "*batch D"],
        latent: Float[Tensor, "*batch D"],
        codes: Int[Tensor, "*batch L"],
        softness: float,
    ) -> Float[Tensor, "*batch L"]:
        """Cross-entropy of each level, the levels before it given (teacher forcing).

        Args:
            hidden: States of the chunks.
            origin: Where mu is told from, see `point`.
            latent: The encoder's output z_e before quantisation.
            codes: Its codes.
            softness: The target of a level is ``q_k ~ exp(-|r - e_k|^2 / (softness w))`` with r the residual that
                the level quantises and w the batch's mean ``|r - e|^2`` to the nearest code: codes that are nearly
                as good are nearly as right. 0 is the nearest code alone.
        """
        losses = []
        for level in range(self.levels):
            before = self.embed(codes[..., :level])
            log_p = self.logits(hidden, origin, before, level).log_softmax(dim=-1)
            if softness > 0:
                residual = (latent - before)[..., None, :]
                book = self.codebook[level]
                squared = residual.square().sum(-1) - 2 * (residual @ book.mT).squeeze(-2) + book.square().sum(-1)
                width = squared.amin(dim=-1).mean().clamp(min=1e-12)
                target = (-squared / (softness * width)).softmax(dim=-1)
                losses.append(-(target * log_p).sum(-1))
            else:
                losses.append(-log_p.gather(-1, codes[..., level : level + 1]).squeeze(-1))
        return torch.stack(losses, dim=-1)
