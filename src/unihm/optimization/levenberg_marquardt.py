"""The one least-squares solver: batched Levenberg-Marquardt with box bounds, a status per element.

It minimises ``1/2 ||r(x)||^2`` for every element of a batch at once. Each iteration solves the damped normal
equations (Eq. 17) inside the box of allowed steps and takes the step only where the cost falls:

    minimise over delta   1/2 ||r + J delta||^2 + lambda/2 ||D delta||^2,   lower <= delta <= upper

with D^2 the diagonal of J^T J, and the damping lambda moved by the ratio of actual to predicted decrease
(Nielsen 1999). The state is any tensor with a leading batch axis: the solver knows only how to `retract` a
tangent step onto it, so poses need no special case.

Residuals, Jacobians and states are torch, on any device. The small systems and the decisions are NumPy: at batch
size 1, where refinement works frame by frame, an operation of torch costs five times as much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

# The smallest damping keeps systems of dependent variables solvable and costs a Newton step one digit in nine.
_SMALLEST_DAMPING, _LARGEST_DAMPING = 1e-9, 1e12
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
    lam, growth = np.full(len(cost), damping), np.full(len(cost), 2.0)
    running = np.isfinite(cost)
    status = np.where(running, Status.MAX_ITERATIONS, Status.NOT_FINITE)
    iterations = np.zeros(len(cost), dtype=np.int64)
    smallest = 4 * torch.finfo(start.dtype).eps  # relative decreases below this are rounding

    for _ in range(max_iterations):
        lower, upper = (_numpy(bound) for bound in room(x)) if room is not None else (-np.inf, np.inf)
        blocked = ((g > 0) & (lower >= 0)) | ((g < 0) & (upper <= 0))
        flat = running & ((np.abs(g) <= gradient_tolerance) | blocked).all(-1)
        status[flat] = Status.CONVERGED
        running = running & ~flat
        if not running.any():
            break
        iterations += running

        delta = _bounded_step(H, g, lam, blocked, lower, upper)
        delta[~running] = 0
        predicted = -((g + 0.5 * (H @ delta[..., None])[..., 0]) * delta).sum(-1)
        x_new = retract(x, torch.from_numpy(delta).to(x))
        cost_new, g_new, H_new = _normal_equations(*function(x_new))

        accepted = running & (cost_new < cost)
        with np.errstate(invalid="ignore"):
            decrease = cost - cost_new
        # The cost cannot be resolved any finer; asking for a decrease would only end in STALLED.
        exhausted = (predicted >= 0) & (predicted <= smallest * cost)
        # A heavily damped step is short, which says nothing about the minimum.
        small = (decrease <= cost_tolerance * cost) | (np.abs(delta).max(-1) <= step_tolerance)
        done = running & (exhausted | (accepted & small & (lam <= 1)))
        ratio = decrease[accepted] / np.maximum(predicted[accepted], np.finfo(np.float64).tiny)
        lam[accepted] *= np.clip(1 - (2 * np.minimum(ratio, 2) - 1) ** 3, 1 / 3, 2)
        refused = running & ~accepted
        lam[refused] *= growth[refused]
        growth[accepted], growth[refused] = 2, 2 * growth[refused]
        stalled = refused & ~done & (lam > _LARGEST_DAMPING)
        np.maximum(lam, _SMALLEST_DAMPING, out=lam)

        if accepted.all():
            x, cost, g, H = x_new, cost_new, g_new, H_new
        elif accepted.any():
            mask = torch.from_numpy(accepted).to(x.device)
            x = torch.where(mask.reshape(-1, *(1,) * (x.ndim - 1)), x_new, x)
            cost = np.where(accepted, cost_new, cost)
            g = np.where(accepted[:, None], g_new, g)
            H = np.where(accepted[:, None, None], H_new, H)
        status[done] = Status.CONVERGED
        status[stalled] = Status.STALLED
        running = running & ~done & ~stalled

    return Solution(
        x=x,
        cost=torch.from_numpy(cost).to(x),
        status=torch.from_numpy(status),
        iterations=torch.from_numpy(iterations),
    )


def _numpy(value: Tensor) -> np.ndarray:
    return value.numpy(force=True).astype(np.float64, copy=False)


def _normal_equations(r: Tensor, J: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cost, gradient ``J^T r`` and matrix ``J^T J``; cost infinite and the rest zero if not finite."""
    Jt = J.transpose(-1, -2)
    cost = 0.5 * _numpy((r * r).sum(-1))
    g = _numpy((Jt @ r[..., None])[..., 0])
    H = _numpy(Jt @ J)
    # A NaN or an overflow anywhere in r or J reaches one of these sums.
    finite = np.isfinite(cost + g.sum(-1) + np.trace(H, axis1=-2, axis2=-1))
    if not finite.all():
        cost = np.where(finite, cost, np.inf)
        g = np.where(finite[:, None], g, 0.0)
        H = np.where(finite[:, None, None], H, 0.0)
    return cost, g, H


def _bounded_step(
    H: np.ndarray,
    g: np.ndarray,
    lam: np.ndarray,
    blocked: np.ndarray,
    lower: np.ndarray | float,
    upper: np.ndarray | float,
) -> np.ndarray:
    """Minimiser (B, n) of the damped quadratic model in the box, by pinning variables that would leave it."""
    diagonal = np.diagonal(H, axis1=-2, axis2=-1)
    # The floor lets directions that no residual sees be damped too; without it they would be singular.
    scale = np.maximum(diagonal, 1e-6 * diagonal.max(-1, keepdims=True) + 1e-30)
    index = np.arange(H.shape[-1])
    A = H.copy()
    A[:, index, index] += lam[:, None] * scale
    delta = np.zeros_like(g)
    pinned = blocked
    for _ in range(_BOUND_ROUNDS):
        system, rhs = A, -g
        if pinned.any():
            # Rows and columns of pinned variables become those of the identity, their pull goes to the right.
            fixed = np.where(pinned, delta, 0.0)
            free = ~pinned
            rhs = np.where(pinned, fixed, rhs - (A @ fixed[..., None])[..., 0])
            system = A * (free[:, :, None] & free[:, None, :])
            system[:, index, index] += pinned
        try:
            step = np.linalg.solve(system, rhs[..., None])[..., 0]
        except np.linalg.LinAlgError:
            return np.zeros_like(g)  # lowers no cost, hence is refused, and the damping grows
        delta = np.clip(step, lower, upper)
        leaving = (delta != step) & ~pinned
        if not leaving.any():
            break
        pinned = pinned | leaving
    return delta
