"""The one least-squares solver: batched Levenberg-Marquardt with box bounds, a status per element.

It minimises ``1/2 ||r(x)||^2`` for every element of a batch at once. Each iteration solves the damped normal
equations (Eq. 17) inside the box of allowed steps and takes the step only where the cost falls:

    minimise over delta   1/2 ||r + J delta||^2 + lambda/2 ||D delta||^2,   lower <= delta <= upper

with D^2 the diagonal of J^T J, and the damping lambda moved by the ratio of actual to predicted decrease
(Nielsen 1999). The state is any tensor with a leading batch axis: the solver knows only how to `retract` a
tangent step onto it, so poses need no special case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

_SMALLEST_DAMPING, _LARGEST_DAMPING = 1e-12, 1e12
_BOUND_ROUNDS = 8  # each round pins the variables whose step would leave the box; more are needed only rarely


class Status(IntEnum):
    """How the search ended for one element."""

    CONVERGED = 0
    """The gradient inside the box, the step or the decrease of the cost fell below its tolerance."""
    MAX_ITERATIONS = 1
    """The cost was still falling when the iterations were used up; the best state is returned."""
    STALLED = 2
    """No step lowers the cost although the gradient is not small: residual and Jacobian disagree."""
    NOT_FINITE = 3
    """Residual or Jacobian is not finite at the start; the start is returned."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The end of the search for B elements."""

    x: Tensor
    """Best state found, like the start."""
    cost: Float[Tensor, " B"]
    """``1/2 ||r(x)||^2``; infinite where the start was not finite."""
    status: Int[Tensor, " B"]
    """A `Status` per element."""
    iterations: Int[Tensor, " B"]
    """Steps tried per element."""


ResidualAndJacobian = Callable[[Tensor], tuple[Tensor, Tensor]]
Room = Callable[[Tensor], tuple[Tensor, Tensor]]


def minimize(
    residual_and_jacobian: ResidualAndJacobian,
    start: Tensor,
    *,
    retract: Callable[[Tensor, Tensor], Tensor] = torch.add,
    room: Room | None = None,
    max_iterations: int = 50,
    cost_tolerance: float = 1e-10,
    step_tolerance: float = 1e-10,
    gradient_tolerance: float = 1e-9,
    damping: float = 1e-4,
) -> Solution:
    """Minimise ``1/2 ||r(x)||^2`` for every element of the batch.

    Args:
        residual_and_jacobian: State to ``r (B, m)`` and ``J (B, m, n)``, the derivative of
            ``r(retract(x, delta))`` at delta = 0. Residuals are divided by their standard deviations.
        start: Initial states, B on the leading axis. With bounds, they must lie inside.
        retract: Moves a state by a tangent step ``delta (B, n)``. Where rounding could carry a state across
            a bound, it must clip.
        room: State to ``(lower (B, n), upper (B, n))``, the allowed steps, ``lower <= 0 <= upper``.
        max_iterations: Most steps tried.
        cost_tolerance: An accepted step that lowers the cost by less than this fraction ends the search.
        step_tolerance: So does an accepted step whose largest entry is below this, in the tangent's unit.
        gradient_tolerance: So does a gradient, zero where a bound blocks it, with all entries below this.
        damping: First lambda.

    Returns:
        The solution; never NaN in `x` unless the start holds one.
    """
    with torch.no_grad():
        return _minimize(
            residual_and_jacobian, start, retract, room, max_iterations,
            cost_tolerance, step_tolerance, gradient_tolerance, damping,
        )  # fmt: skip


def _minimize(
    function: ResidualAndJacobian,
    start: Tensor,
    retract: Callable[[Tensor, Tensor], Tensor],
    room: Room | None,
    max_iterations: int,
    cost_tolerance: float,
    step_tolerance: float,
    gradient_tolerance: float,
    damping: float,
) -> Solution:
    x = start
    cost, g, H = _normal_equations(*function(x))
    lam = torch.full_like(cost, damping)
    growth = torch.full_like(cost, 2.0)
    status = torch.full(cost.shape, Status.MAX_ITERATIONS, dtype=torch.int64, device=cost.device)
    iterations = torch.zeros_like(status)
    finite = torch.isfinite(cost)
    status.masked_fill_(~finite, Status.NOT_FINITE)
    running = finite
    smallest = 4 * torch.finfo(cost.dtype).eps  # relative decreases below this are rounding

    for _ in range(max_iterations):
        lower, upper = room(x) if room is not None else (None, None)
        g_free = g if lower is None or upper is None else _inside(g, lower, upper)
        flat = running & (g_free.abs().amax(-1) <= gradient_tolerance)
        if flat.any():
            status.masked_fill_(flat, Status.CONVERGED)
            running = running & ~flat
        if not running.any():
            break
        delta, solved = _bounded_step(H, g, g_free, lam, lower, upper)
        predicted = -(delta * (g + 0.5 * torch.einsum("bij,bj->bi", H, delta))).sum(-1)
        x_new = retract(x, delta)
        cost_new, g_new, H_new = _normal_equations(*function(x_new))
        # The cost cannot be resolved any finer; asking for a decrease would only end in STALLED.
        exhausted = running & solved & (predicted <= smallest * cost)
        accepted = running & solved & (cost_new < cost)

        decrease = cost - cost_new
        steady = accepted & (lam <= 1)  # a heavily damped step is short, which says nothing about the minimum
        done = steady & ((decrease <= cost_tolerance * cost) | (delta.abs().amax(-1) <= step_tolerance))
        ratio = decrease / predicted.clamp_min(torch.finfo(cost.dtype).tiny)
        shrink = (1 - (2 * ratio - 1) ** 3).clamp(1 / 3, 2)
        lam_next = torch.where(accepted, lam * shrink, lam * growth)
        growth = torch.where(accepted, torch.full_like(growth, 2.0), growth * 2)
        iterations += running

        if accepted.all():
            x, cost, g, H = x_new, cost_new, g_new, H_new
        else:
            x = torch.where(_like(accepted, x), x_new, x)
            cost = torch.where(accepted, cost_new, cost)
            g = torch.where(accepted[:, None], g_new, g)
            H = torch.where(accepted[:, None, None], H_new, H)
        stalled = running & ~accepted & ~exhausted & (lam_next > _LARGEST_DAMPING)
        lam = lam_next.clamp(_SMALLEST_DAMPING, _LARGEST_DAMPING)
        done = done | exhausted
        status.masked_fill_(done, Status.CONVERGED)
        status.masked_fill_(stalled, Status.STALLED)
        running = running & ~done & ~stalled

    return Solution(x=x, cost=cost, status=status, iterations=iterations)


def _normal_equations(r: Tensor, J: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cost, gradient ``J^T r`` and matrix ``J^T J``; cost infinite and the rest zero if not finite."""
    Jt = J.transpose(-1, -2)
    cost = 0.5 * (r * r).sum(-1)
    g = (Jt @ r[..., None])[..., 0]
    H = Jt @ J
    # A NaN or an overflow anywhere in r or J reaches the sum.
    total = cost + g.sum(-1) + H.diagonal(dim1=-2, dim2=-1).sum(-1)
    if not torch.isfinite(total.sum()):
        bad = ~torch.isfinite(total)
        cost = torch.where(bad, torch.inf, cost)
        g = torch.where(bad[:, None], 0.0, g)
        H = torch.where(bad[:, None, None], 0.0, H)
    return cost, g, H


def _inside(g: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The gradient without the entries whose descent a bound blocks."""
    blocked = ((g > 0) & (lower >= 0)) | ((g < 0) & (upper <= 0))
    return torch.where(blocked, 0.0, g)


def _bounded_step(
    H: Tensor, g: Tensor, g_free: Tensor, lam: Tensor, lower: Tensor | None, upper: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Minimiser of the damped quadratic model in the box, by pinning variables that would leave it.

    Returns:
        The step, and where the factorisation succeeded.
    """
    diagonal = H.diagonal(dim1=-2, dim2=-1)
    # The floor lets directions that no residual sees be damped too; without it they would be singular.
    scale = torch.maximum(diagonal, 1e-9 * diagonal.amax(-1, keepdim=True)).clamp_min(1e-30)
    A = H + torch.diag_embed(lam[:, None] * scale)
    if lower is None or upper is None:
        return _solve(A, g)
    pinned = g_free != g
    delta = torch.zeros_like(g)
    solved = torch.ones_like(lam, dtype=torch.bool)
    for _ in range(_BOUND_ROUNDS):
        if pinned.any():
            # Rows and columns of pinned variables become those of the identity, their pull goes to the right.
            fixed = torch.where(pinned, delta, 0.0)
            free = (~pinned).to(A.dtype)
            rhs = torch.where(pinned, -fixed, g + torch.einsum("bij,bj->bi", A, fixed))
            masked = A * (free[:, :, None] * free[:, None, :]) + torch.diag_embed(1 - free)
            step, solved = _solve(masked, rhs)
        else:
            step, solved = _solve(A, g)
        delta = torch.minimum(torch.maximum(step, lower), upper)
        leaving = (delta != step) & ~pinned
        if not leaving.any():
            break
        pinned = pinned | leaving
    return delta, solved


def _solve(A: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    factor, info = torch.linalg.cholesky_ex(A)
    solved = info == 0
    if solved.all():
        return -torch.cholesky_solve(g[..., None], factor)[..., 0], solved
    # A failed factor may hold NaN; its element is refused and its damping grows.
    factor = torch.where(solved[:, None, None], factor, torch.eye(A.shape[-1], dtype=A.dtype, device=A.device))
    step = -torch.cholesky_solve(g[..., None], factor)[..., 0]
    return torch.where(solved[:, None], step, 0.0), solved


def _like(mask: Tensor, x: Tensor) -> Tensor:
    return mask.reshape(-1, *(1,) * (x.ndim - 1))
