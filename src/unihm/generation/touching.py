"""Where the fingers must touch: the guess and its plan, moved as little as need be until the tips are at the object.

What the guess misses is spread along the plan's axes as recorded motions are (`plan_codes`). That a hand which carries
an object touches it is one more thing known of the motion, so the plan z is the likeliest given that (Gauss-Newton):

    min_z  |z - z_0|^2 / (2 tau^2) + sum_{i, k} w_i rho((|tip_i(z, t_k) - P_obj| - d)_+ / sigma)

over moments t_k in which the object is carried, with rho a cost that lets a finger go which is far from the object
anyway. The tips are those of the person's hand whose pose the codes tell; other hands show the same pose. Distances are
to the cloud's points alone, without a sign: what is pierced is the refinement's to mend (Sec. 3.4).

Differs from the paper, whose generator knows nothing of contact; `Touch(weight=0)` is its way.

Letters: B batch, A axes, K moments, i fingertips, n points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unihm.generation.motion_prior import poses_of
from unihm.generation.plan_codes import PlanCodes
from unihm.tokenizer.hand_chart import LatentPose

TipsOf = Callable[[LatentPose], Float[Tensor, "*batch 5 3"]]
"""Fingertips of the person's hand in the canonical frame, m."""

_MOMENTS = (1.15, 1.4, 1.7, 2.0)  # phases
_STEP = 0.02  # of the differences, in standard deviations of an axis


@dataclass(frozen=True, kw_only=True)
class Touch:
    """How much touching counts."""

    weight: float = 1.0
    """Of the whole; 0 leaves motions as they are."""
    sigma: float = 0.007
    """m; how far from the object a tip that touches may be, beyond `reach`."""
    reach: float = 0.008
    """m; recorded tips that hold are so far from the cloud, in the median."""
    lets_go: float = 0.03
    """m; a finger that is farther than this is let go more and more."""
    fingers: tuple[float, ...] = (1.0, 0.8, 0.7, 0.5, 0.3)
    """Weights w: the thumb always holds, the little finger in half of the recordings."""
    iterations: int = 5
    """Gauss-Newton steps."""
    drawn: float = 0.5
    """tau where the plan is drawn; 1 where it is open."""


@torch.no_grad()
def touching(
    told: Float[Tensor, "B K v"],
    start: LatentPose,
    points: Float[Tensor, "B n 3"],
    carried: Bool[Tensor, " B"],
    plan: PlanCodes,
    tips_of: TipsOf,
    touch: Touch,
    *,
    drawn: bool,
) -> Float[Tensor, "B K v"]:
    """What is told, moved along the plan's axes so that the fingers touch.

    Args:
        told: The guess with its plan.
        start: Initial poses.
        points: Object clouds in the canonical frame, m.
        carried: Motions in which the object is carried; the others stay as they are.
        plan: Its axes.
        tips_of: The person's hand.
        touch: Settings.
        drawn: Whether `told` has a drawn plan in it.
    """
    rows = torch.nonzero(carried).flatten()
    if touch.weight == 0 or not len(rows):
        return told
    y, start, points = told[rows], start[rows], points[rows]
    spread = plan.centres.std(dim=1)
    axes = (spread[:, None] * plan.axes[1]).unflatten(1, told.shape[1:])
    phase = torch.tensor(_MOMENTS).to(told)
    weight = torch.tensor(touch.fingers).to(told).sqrt() * touch.weight**0.5 / touch.sigma
    tau = touch.drawn if drawn else 1.0
    z = y.new_zeros(len(y), len(axes))

    def far(z_BCA: Float[Tensor, "B C A"]) -> Float[Tensor, "B C r"]:
        """How far tips are beyond reach, m, for several plans of each motion."""
        many = z_BCA.shape[1]
        moved = y[:, None] + torch.tensordot(z_BCA, axes, 1)
        first = start.map(lambda part: part.repeat_interleave(many, dim=0))
        pose = poses_of(moved.flatten(0, 1), first, phase.expand(len(y) * many, -1))
        tips = tips_of(pose).unflatten(0, (len(y), many))
        distance = torch.cdist(tips.flatten(1, 3), points).amin(-1).unflatten(1, tips.shape[1:4])
        return (distance - touch.reach).clamp(min=0).flatten(2)

    steps = torch.cat([torch.zeros(1, len(axes)), _STEP * torch.eye(len(axes))]).to(told)
    weights = weight.repeat(len(_MOMENTS)) / len(_MOMENTS) ** 0.5
    for _ in range(touch.iterations):
        d = far(z[:, None] + steps)
        here, J = d[:, 0], ((d[:, 1:] - d[:, :1]) / _STEP).mT
        # Geman and McClure: the square divided by (1 + square), as a weight on the square.
        let_go = weights / (1 + (here / touch.lets_go).square())
        J, r = J * let_go[..., None], here * let_go
        H = J.mT @ J + torch.eye(len(axes)).to(told) / tau**2
        z = z - torch.linalg.solve(H, (J.mT @ r[..., None])[..., 0] + z / tau**2)
    moved = told.clone()
    moved[rows] = y + torch.tensordot(z, axes, 1)
    return moved
