"""Residual blocks that know nothing of hands: each returns r (B, m) and its Jacobian J (B, m, n).

Residuals are divided by standard deviations in their own unit, so that metres and radians add honestly: an error
of one sigma costs 1/2, whatever it is an error of. Blocks are stacked with `stack`. They are NumPy, because the
refinement evaluates them frame by frame, where an operation of torch costs five times as much.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

Block = tuple[Float[np.ndarray, "B m"], Float[np.ndarray, "B m n"]]
"""A residual and its Jacobian."""

STEEPEST = 30.0  # k |d| beyond which the inside branch of Eq. 12 goes on as a straight line: e^30 is enough


def stack(*blocks: tuple[Float[np.ndarray, "B _"], Float[np.ndarray, "B _ n"]]) -> Block:
    """One block out of several."""
    return np.concatenate([r for r, _ in blocks], -1), np.concatenate([J for _, J in blocks], -2)


def position_residual(
    points: Float[np.ndarray, "B k 3"],
    J_points: Float[np.ndarray, "B k 3 n"],
    targets: Float[np.ndarray, "B k 3"],
    sigma: float | Float[np.ndarray, "#B #k"],
) -> Block:
    """Points at wanted places: ``(p - p*) / sigma``.

    Args:
        points: Where the points are, m.
        J_points: Their Jacobian.
        targets: Where they should be, m.
        sigma: Standard deviation, m; per point if wanted. Infinity switches a point off.
    """
    scale = np.broadcast_to(1 / np.asarray(sigma), points.shape[:2])[..., None]
    B, k, _, n = J_points.shape
    return ((points - targets) * scale).reshape(B, 3 * k), (J_points * scale[..., None]).reshape(B, 3 * k, n)


def prior_residual(
    x: Float[np.ndarray, "B n"], mean: Float[np.ndarray, "#B n"], sigma: float | Float[np.ndarray, " n"]
) -> Block:
    """A Gaussian prior on the state itself, such as a rest pose or a generated pose (Eq. 14): ``(x - m) / sigma``."""
    B, n = x.shape
    scale = np.broadcast_to(1 / np.asarray(sigma), n)
    return (x - mean) * scale, np.broadcast_to(np.diag(scale), (B, n, n))


def smoothness_residual(
    x: Float[np.ndarray, "B n"],
    previous: Float[np.ndarray, "#B n"],
    before: Float[np.ndarray, "#B n"] | None,
    sigma_velocity: float | Float[np.ndarray, " n"],
    sigma_acceleration: float | Float[np.ndarray, " n"] = math.inf,
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
    *priors: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Several Gaussian priors (mean, sigma) on one state as one: precision-weighted mean and joint sigma.

    The sum of their squares differs from the single one by a constant only, so Eqs. 14 and 15 together need n
    rows instead of 3 n.
    """
    means, sigmas = (np.stack(values) for values in zip(*priors, strict=True))
    precision = sigmas**-2
    total = precision.sum(0)
    return (precision * means).sum(0) / total, total**-0.5


def contact_root(
    d: Float[np.ndarray, "*batch"], k: float
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
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
    u = np.clip(-k * d, 0, STEEPEST)
    small = u < 1e-2
    w = np.where(small, 1.0, u)
    grown = np.expm1(w)
    inside = np.where(small, u * (1 + u / 6 + u * u / 36), np.sqrt(2 * (grown - w)))  # k times the root
    slope = np.where(small, 1 + u / 3 + u * u / 12, grown / np.maximum(inside, 1e-12))
    beyond = np.maximum(-k * d - u, 0)  # zero unless the clip above cut
    return np.where(d > 0, d, -(inside + slope * beyond) / k), slope


def contact_residual(
    d: Float[np.ndarray, "B k"],
    J_d: Float[np.ndarray, "B k n"],
    gate: Float[np.ndarray, "B k"],
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
    scale = np.sqrt(gate) / sigma
    return root * scale, J_d * (slope * scale)[..., None]


def clearance_residual(gap: Float[np.ndarray, "B k"], J_gap: Float[np.ndarray, "B k n"], sigma: float) -> Block:
    """One-sided: ``min(gap, 0) / sigma``, for what must not pierce (gap in m, negative inside)."""
    scale = (gap < 0) / sigma
    return gap * scale, J_gap * scale[..., None]
