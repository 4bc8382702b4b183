"""Residual blocks that know nothing of hands: each returns r (B, m) and its Jacobian J (B, m, n).

Residuals are divided by standard deviations in their own unit, so that metres and radians add honestly: an error
of one sigma costs 1/2, whatever it is an error of. Blocks are stacked with `stack`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

Block = tuple[Float[Tensor, "B m"], Float[Tensor, "B m n"]]
"""A residual and its Jacobian."""

_STEEPEST = 30.0  # k |d| beyond which the inside branch of Eq. 12 goes on as a straight line: e^30 is enough


def stack(*blocks: Block) -> Block:
    """One block out of several."""
    return torch.cat([r for r, _ in blocks], -1), torch.cat([J for _, J in blocks], -2)


def position_residual(
    points: Float[Tensor, "B k 3"],
    J_points: Float[Tensor, "B k 3 n"],
    targets: Float[Tensor, "B k 3"],
    sigma: float | Float[Tensor, " k"] | Float[Tensor, "B k"],
) -> Block:
    """Points at wanted places: ``(p - p*) / sigma``.

    Args:
        points: Where the points are, m.
        J_points: Their Jacobian.
        targets: Where they should be, m.
        sigma: Standard deviation, m; per point if wanted. Infinity switches a point off.
    """
    scale = 1 / torch.as_tensor(sigma, dtype=points.dtype, device=points.device).expand(points.shape[:2])
    r = (points - targets) * scale[..., None]
    return r.flatten(-2), (J_points * scale[..., None, None]).flatten(-3, -2)


def prior_residual(x: Float[Tensor, "B n"], mean: Float[Tensor, "B n"], sigma: float | Float[Tensor, " n"]) -> Block:
    """A Gaussian prior on the state itself, such as a rest pose or a generated pose (Eq. 14): ``(x - m) / sigma``."""
    scale = 1 / torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(x.shape[-1])
    return (x - mean) * scale, torch.diag(scale).expand(len(x), -1, -1)


def smoothness_residual(
    x: Float[Tensor, "B n"],
    previous: Float[Tensor, "B n"],
    before: Float[Tensor, "B n"] | None,
    sigma_velocity: float | Float[Tensor, " n"],
    sigma_acceleration: float | Float[Tensor, " n"] = math.inf,
) -> Block:
    """First and second differences against the two states before (Eq. 15), in units per frame and per frame^2.

    Args:
        x: State at frame t.
        previous: State at t - 1, fixed.
        before: State at t - 2, fixed; None leaves the second difference out.
        sigma_velocity: Standard deviation of a step.
        sigma_acceleration: Standard deviation of the change of a step.
    """
    velocity = prior_residual(x, previous, sigma_velocity)
    if before is None:
        return velocity
    return stack(velocity, prior_residual(x, 2 * previous - before, sigma_acceleration))


def merge_priors(
    *priors: tuple[Float[Tensor, "*batch n"], Float[Tensor, " n"]],
) -> tuple[Float[Tensor, "*batch n"], Float[Tensor, " n"]]:
    """Several Gaussian priors on one state as one: their precision-weighted mean and joint sigma.

    The sum of the squares differs from the single one by a constant only, so Eqs. 14 and 15 need n rows
    instead of 3 n.
    """
    precision = torch.stack([1 / sigma**2 for _, sigma in priors])
    total = precision.sum(0)
    mean = sum(w * mean for w, (mean, _) in zip(precision, priors, strict=True)) / total
    return torch.as_tensor(mean), total.rsqrt()


def contact_root(d: Float[Tensor, "*batch"], k: float) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """``sign(d) sqrt(2 f(d))`` of Eq. 12 with alpha = 1, and its derivative.

    f is ``d^2 / 2`` outside and ``(e^(-kd) + kd - 1) / k^2`` inside; 1 / k is the depth at which the inside
    becomes markedly steeper than the outside.

    Differs from the paper: the root carries the sign of d. The energy is the same, but ``sqrt(2 f)`` has a kink
    at d = 0, just where the solution lies, which the paper rounds off with an epsilon (Eq. B19); the signed
    root is smooth there, with slope 1.

    Args:
        d: Signed distance, m.
        k: Inverse length scale, 1/m.
    """
    u = (-k * d).clamp(0, _STEEPEST)
    small = u < 1e-2
    w = torch.where(small, 1.0, u)
    grown = torch.expm1(w)
    inside = torch.where(small, u * (1 + u / 6 + u * u / 36), (2 * (grown - w)).sqrt())  # k times the root
    slope = torch.where(small, 1 + u / 3 + u * u / 12, grown / inside.clamp_min(1e-12))
    beyond = (-k * d - u).clamp_min(0)  # zero unless the clamp above cut
    outside = d > 0
    root = torch.where(outside, d, -(inside + slope * beyond) / k)
    return root, torch.where(outside, 1.0, slope)


def contact_residual(
    d: Float[Tensor, "B k"],
    J_d: Float[Tensor, "B k n"],
    gate: Float[Tensor, "B k"],
    sigma: float,
    k: float,
) -> Block:
    """Contact of points with a surface (Eq. 13), faded in by the contact phase.

    ``r = sqrt(gate) sign(d) sqrt(2 f(d)) / sigma``; sigma is ``1 / sqrt(lambda_c alpha)`` of the paper.

    Args:
        d: Signed distances, m.
        J_d: Their Jacobian, ``n^T J_x`` with frozen correspondences (Eq. B19).
        gate: Weight of each point in [0, 1]; 0 switches it off.
        sigma: Standard deviation outside, m.
        k: Inverse length scale of the inside, 1/m.
    """
    root, slope = contact_root(d, k)
    scale = gate.sqrt() / sigma
    return root * scale, J_d * (slope * scale)[..., None]


def clearance_residual(gap: Float[Tensor, "B k"], J_gap: Float[Tensor, "B k n"], sigma: float) -> Block:
    """One-sided: ``min(gap, 0) / sigma``, for what must not pierce (gap in m, negative inside)."""
    pierces = (gap < 0).to(gap.dtype) / sigma
    return gap * pierces, J_gap * pierces[..., None]
