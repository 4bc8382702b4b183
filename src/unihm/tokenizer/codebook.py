"""The shared codebook: nearest codes with a straight-through gradient, and the refresh of cold codes.

``vq`` is the paper's quantiser, one code for a chunk. ``residual`` writes L codes for a chunk: each level
quantises what the levels before it left over, so the codes run from coarse to fine. ``vq`` is the case L = 1.

Letters: B batch, N chunks, D latent size, L levels, K codes a level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unihm.registry import unknown_name
from unihm.tokenizer.kmeans import kmeans, nearest


@dataclass(frozen=True, kw_only=True)
class Quantised:
    """Latents after quantisation."""

    codes: Int[Tensor, "*batch L"]
    """Codebook indices."""
    z_q: Float[Tensor, "*batch D"]
    """Quantised latents; the gradient passes straight through to the encoder."""
    loss: Float[Tensor, ""]
    """Codebook and commitment terms, Eq. B8, averaged over chunks and coordinates."""


@runtime_checkable
class Quantiser(Protocol):
    """What the tokenizer asks of a quantiser."""

    levels: int
    """L, codes for a chunk."""
    size: int
    """K, codes to choose from at each level."""

    def quantize(self, z: Float[Tensor, "*batch D"], mask: Bool[Tensor, "*batch"] | None = None) -> Quantised:
        """Nearest codes of latents; only those under the mask count in the loss."""
        ...

    def embed(self, codes: Int[Tensor, "*batch L"]) -> Float[Tensor, "*batch D"]:
        """Latents that codes stand for."""
        ...


class ResidualQuantiser(nn.Module):
    """L codebooks of K vectors, each for the residual of the levels before it."""

    codebook: Tensor
    usage: Tensor

    def __init__(self, *, levels: int, size: int, latent: int, beta: float = 0.25):
        """Make an empty codebook.

        Args:
            levels: L.
            size: K.
            latent: D.
            beta: Weight of the commitment term in Eq. B8 (paper: 0.25).
        """
        super().__init__()
        self.levels, self.size, self.beta = levels, size, beta
        codebook = nn.Parameter(torch.zeros(levels, size, latent))
        codebook.no_decay = True  # type: ignore[attr-defined]  # read by the training loop: codes are no weights
        self.codebook = codebook
        # How often each code was chosen since the last `start_epoch` (Eq. B9); part of a checkpoint.
        self.register_buffer("usage", torch.zeros(levels, size, dtype=torch.long))

    def quantize(
        self,
        z: Float[Tensor, "*batch D"],
        mask: Bool[Tensor, "*batch"] | None = None,
        depth: Int[Tensor, "*batch"] | None = None,
    ) -> Quantised:
        """Nearest codes, level by level.

        Args:
            z: Encoder outputs z_e.
            mask: Chunks that exist; None is all. Others do not count in the loss or the usage.
            depth: How many levels to use for each chunk, 1 to L; None is all. Training with random depths
                makes the first levels carry as much as they can. The codes are written for all levels.
        """
        flat = z.reshape(-1, z.shape[-1])
        weight = torch.ones_like(flat[:, 0]) if mask is None else mask.reshape(-1).to(flat.dtype)
        residual, z_q = flat, torch.zeros_like(flat)
        codes, loss = [], flat.new_zeros(())
        for level in range(self.levels):
            index = nearest(residual.detach(), self.codebook[level].detach())
            chosen = self.codebook[level][index]
            used = weight if depth is None else weight * (depth.reshape(-1) > level)
            codebook_term = (residual.detach() - chosen).square().mean(-1)
            commitment = (residual - chosen.detach()).square().mean(-1)
            total = weight.sum().clamp(min=1)
            loss = loss + (used * (codebook_term + self.beta * commitment)).sum() / total
            if self.training and self.codebook.requires_grad:  # a frozen codebook stays untouched, counts too
                self.usage[level] += torch.bincount(index[used > 0], minlength=self.size)
            z_q = z_q + (chosen if depth is None else chosen * (depth.reshape(-1, 1) > level))
            residual = residual - chosen.detach()
            codes.append(index)
        z_q = flat + (z_q - flat).detach()  # straight-through: the decoder's gradient reaches the encoder
        shape = z.shape[:-1]
        return Quantised(codes=torch.stack(codes, -1).reshape(*shape, self.levels), z_q=z_q.reshape(z.shape), loss=loss)

    def embed(self, codes: Int[Tensor, "*batch L"]) -> Float[Tensor, "*batch D"]:
        """Sum of the levels' vectors, ``z_q = sum_l e_{c_l}`` (Eq. B5)."""
        level = torch.arange(self.levels, device=codes.device)
        return self.codebook[level, codes].sum(-2)

    @torch.no_grad()
    def initialise(self, latents: Float[Tensor, "n D"], rng: torch.Generator) -> None:
        """Set every level to the k-means centroids of its residuals.

        With fewer latents than codes the remaining codes stay at zero, cold, until a refresh.
        """
        residual = latents
        for level in range(self.levels):
            centroids = kmeans(residual, self.size, rng)
            self.codebook[level] = 0.0
            self.codebook[level, : len(centroids)] = centroids
            residual = residual - self.codebook[level][nearest(residual, self.codebook[level])]

    @torch.no_grad()
    def refresh_cold_codes(self, latents: Float[Tensor, "n D"], rng: torch.Generator, threshold: int = 1) -> list[int]:
        """Replace exactly the codes that were used less than `threshold` times (Eqs. B9 to B11).

        Level by level, the cold codes become k-means centroids of the level's own residuals; where there are
        fewer residuals than cold codes, only as many are replaced.

        Differs from the paper: the buffer holds the encoder's outputs of now, not those since the last refresh;
        those of earlier epochs come from an encoder that no longer exists.

        Args:
            latents: Encoder outputs over the training set.
            rng: Generator of the k-means start.
            threshold: τ_c (paper: 1).

        Returns:
            Number of codes replaced at each level.
        """
        residual, replaced = latents, []
        for level in range(self.levels):
            cold = (self.usage[level] < threshold).nonzero()[:, 0]
            if len(cold):
                centroids = kmeans(residual, len(cold), rng)
                cold = cold[: len(centroids)]
                self.codebook[level, cold] = centroids
            replaced.append(len(cold))
            residual = residual - self.codebook[level][nearest(residual, self.codebook[level])]
        return replaced

    def start_epoch(self) -> None:
        """Forget the usage counts."""
        self.usage.zero_()


def _vq(*, levels: int, size: int, latent: int, beta: float) -> ResidualQuantiser:
    if levels != 1:
        raise ValueError(f"Quantiser 'vq' writes one code for a chunk, not {levels}; 'residual' writes several.")
    return ResidualQuantiser(levels=1, size=size, latent=latent, beta=beta)


QUANTISERS: Mapping[str, Callable[..., ResidualQuantiser]] = {"vq": _vq, "residual": ResidualQuantiser}
"""Name -> ``(*, levels, size, latent, beta) -> Quantiser``."""


def make_quantiser(name: str, *, levels: int, size: int, latent: int, beta: float) -> ResidualQuantiser:
    """The quantiser of that name.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in QUANTISERS:
        raise unknown_name("Quantiser", name, QUANTISERS)
    return QUANTISERS[name](levels=levels, size=size, latent=latent, beta=beta)
