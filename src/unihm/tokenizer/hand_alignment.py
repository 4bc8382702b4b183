"""How a new hand joins the shared codebook: its encoder learns to say what the reference encoder says.

Distillation goes through the continuous latents, before quantisation, and so has a gradient everywhere.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def distillation_loss(
    z_new: Float[Tensor, "B N D"], z_reference: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]
) -> Float[Tensor, ""]:
    """``||E_new(x_new) - E_ref(x_ref)||^2`` of Eqs. 3 and B13, averaged over chunks and coordinates.

    Differs from the paper: a mean in place of a sum, so that weights do not depend on sizes.

    Args:
        z_new: Latents of the new hand's encoder.
        z_reference: Latents of the reference encoder for the retargeted same motion; receives no gradient.
        mask: Chunks that exist.
    """
    error = (z_new - z_reference.detach()).square().mean(-1)
    return (error * mask).sum() / mask.sum().clamp(min=1)


def total_loss(
    reconstruction: Float[Tensor, ""],
    quantisation: Float[Tensor, ""],
    distillation: Float[Tensor, ""],
    weight: float,
) -> Float[Tensor, ""]:
    """``L_rec + L_vq + lambda_distill L_distill`` of Eq. B14 (paper: lambda 0.1)."""
    return reconstruction + quantisation + weight * distillation
