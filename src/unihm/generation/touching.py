"""What else is known of the motion: the guess and its plan, moved as little as need be until it is so.

What the guess misses is spread along the plan's axes as recorded motions are (`plan_codes`). That a hand which carries
an object touches it is one more thing known of the motion, so the plan z is the likeliest given that (Gauss-Newton):

    min_z  |z - z_0|^2 / (2 tau^2) + sum_{i, k} w_i rho((|tip_i(z, t_k) - P_obj| - d)_+ / sigma)

over moments t_k in which the object is carried, with rho a cost that lets a finger go which is far from the object
anyway. Then the fingers alone close on what is still open, the palm standing where it is. The tips are those of the
person's hand whose pose the codes tell; other hands show the same pose. Distances are to the cloud's points alone,
without a sign: what is pierced is the refinement's to mend (Sec. 3.4).

Differs from the paper, whose generator knows nothing of contact; `Touch(weight=0)` is its way.

Letters: B batch, A axes, K moments, i fingertips, n points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unihm.generation.motion_prior import PALM, poses_of
from unihm.generation.plan_codes import PlanCodes
from unihm.tokenizer.hand_chart import LatentPose

_STEEP = 3.0**0.5  # tangent of 60 degrees
_ARRIVED = (0.85, 1.0)  # phases; recorded hands touch at 0.85, in the median

TipsOf = Callable[[LatentPose], Float[Tensor, "*batch 5 3"]]
"""Fingertips of the person's hand in the canonical frame, m."""

_MOMENTS = (1.15, 1.4, 1.7, 2.0)  # phases
_STEP = 0.02  # of the differences, in standard deviations of an axis


@dataclass(frozen=True, kw_only=True)
class Touch:
    """How much touching counts."""

    weight: float = 1.0
    """Of the whole; 0 leaves motions as they are."""
    sigma: float = 0.01
    """m; how far from the object a tip that touches may be, beyond `reach`."""
    reach: float = 0.008
    """m; recorded tips that hold are so far from the cloud, in the median."""
    lets_go: float = 0.03
    """m; a finger that is farther than this is let go more and more."""
    fingers: tuple[float, ...] = (1.0, 0.8, 0.7, 0.5, 0.3)
    """Weights w: the thumb always holds, the little finger in half of the recordings."""
    iterations: int = 8
    """Gauss-Newton steps."""
    longest_step: float = 1.5
    """Standard deviations, where the guess comes from another side: longer steps swing about the sector's corners."""
    closing_reach: float = 0.003
    """m; as `reach`, for the fingers alone. A little nearer, so that more touch."""
    closing_sigma: float = 0.007
    """m; as `sigma`, for the fingers alone."""
    closing_share: float = 3.0
    """How much farther fingers go alone than they miss in recorded motions; 0 leaves them where they are."""
    closing_iterations: int = 4
    """Gauss-Newton steps of the fingers alone."""
    drawn: float = 0.8
    """tau where the plan is drawn; 1 where it is open."""
    side_sigma: float = 0.006
    """m; how far the wrist may be outside of the side that the words ask for."""
    side_margin: float = 0.015
    """m; how far inside of it the wrist shall be."""
    other_side_margin: float = 0.03
    """m; the same where the guess comes from another side."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """The hand whose poses the codes tell."""

    tips: TipsOf
    """Its fingertips."""
    wrist_palm: Float[Tensor, " 3"]
    """Its wrist in the palm's frame, m."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """From where the words want the hand to come."""

    side: Float[Tensor, "B 3"]
    """Direction in the canonical frame, as long as it is sure: `asked.direction`."""
    wrist_palm: Float[Tensor, " 3"]
    """The person's wrist in the palm's frame, m."""


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
    asked: Asked | None = None,
) -> Float[Tensor, "B K v"]:
    """What is told, moved along the plan's axes so that the fingers touch and the hand comes from where it is asked to.

    Args:
        told: The guess with its plan.
        start: Initial poses.
        points: Object clouds in the canonical frame, m.
        carried: Motions in which the object is carried; the others stay as they are.
        plan: Its axes.
        tips_of: The person's hand.
        touch: Settings.
        drawn: Whether `told` has a drawn plan in it.
        asked: From where the hand shall come; None leaves that open.
    """
    rows = torch.nonzero(carried).flatten()
    if touch.weight == 0 or not len(rows):
        return told
    spread = plan.centres.std(dim=1)
    axes = (spread[:, None] * plan.axes[1]).unflatten(1, told.shape[1:])
    tau = touch.drawn if drawn else 1.0
    scene = _Scene(start=start[rows], points=points[rows], tips_of=tips_of, touch=touch)
    sector = None
    if asked is not None:
        sector = _Sector(side=asked.side[rows], wrist_palm=asked.wrist_palm)
        outside = scene.far(told[rows, None], touch.reach, sector)[:, 0, -3 * len(_ARRIVED) :].amax(-1) > 0
        margin = torch.where(outside, touch.other_side_margin, touch.side_margin)
        sector = replace(sector, other=outside, margin=margin[:, None, None, None])
    y = scene.nearer(told[rows], tau * axes, touch.reach, touch.sigma, touch.iterations, sector)
    if touch.closing_share > 0:
        fingers = touch.closing_share * tau * axes
        fingers[..., :PALM] = 0
        y = scene.nearer(y, fingers, touch.closing_reach, touch.closing_sigma, touch.closing_iterations, None)
    moved = told.clone()
    moved[rows] = y
    return moved


@dataclass(frozen=True, kw_only=True)
class _Sector:
    """From where hands shall come, whether that is another side than the guess's, and how far inside, m."""

    side: Float[Tensor, "B 3"]
    wrist_palm: Float[Tensor, " 3"]
    other: Bool[Tensor, " B"] | bool = False
    margin: Float[Tensor, "B 1 1 1"] | float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """Hands and objects of a batch."""

    start: LatentPose
    points: Float[Tensor, "B n 3"]
    tips_of: TipsOf
    touch: Touch

    def nearer(
        self,
        y: Float[Tensor, "B K v"],
        axes: Float[Tensor, "A K v"],
        reach: float,
        sigma: float,
        iterations: int,
        sector: _Sector | None,
    ) -> Float[Tensor, "B K v"]:
        """What is told, moved along the axes, each as long as its standard deviation (Gauss-Newton)."""
        touch = self.touch
        touches = len(_MOMENTS)
        weights = torch.tensor(touch.fingers).to(y).sqrt() * touch.weight**0.5 / sigma
        weights = (weights.repeat(touches) / touches**0.5).expand(len(y), -1)
        lets_go = torch.full_like(weights, touch.lets_go)
        longest = torch.full_like(y[:, 0, 0], torch.inf)
        if sector is not None:
            sure = sector.side.norm(dim=-1, keepdim=True)
            sure = torch.where(sure > 0.5, sure / touch.side_sigma, 0.0).expand(-1, 3 * len(_ARRIVED))
            weights = torch.cat([weights, sure], dim=1)
            longest = longest.masked_fill(torch.as_tensor(sector.other), touch.longest_step)
            lets_go = torch.cat([lets_go, torch.full_like(sure, torch.inf)], dim=1)  # what is asked for is not let go
        steps = torch.cat([torch.zeros(1, len(axes)), _STEP * torch.eye(len(axes))]).to(y)
        z = y.new_zeros(len(y), len(axes))
        for _ in range(iterations):
            d = self.far(y[:, None] + torch.tensordot(z[:, None] + steps, axes, 1), reach, sector)
            here, J = d[:, 0], ((d[:, 1:] - d[:, :1]) / _STEP).mT
            # Geman and McClure: the square divided by (1 + square), as a weight on the square.
            let_go = weights / (1 + (here / lets_go).square())
            J, r = J * let_go[..., None], here * let_go
            H = J.mT @ J + torch.eye(len(axes)).to(y)
            step = torch.linalg.solve(H, (J.mT @ r[..., None])[..., 0] + z)
            z = z - step * (longest / step.norm(dim=1).clamp(min=1e-6)).clamp(max=1)[:, None]
        return y + torch.tensordot(z, axes, 1)

    def far(self, y: Float[Tensor, "B C K v"], reach: float, sector: _Sector | None) -> Float[Tensor, "B C r"]:
        """How far tips are beyond reach and the wrist outside of the asked side, m.

        Args:
            y: A plan of each motion, and others that are next to it.
            reach: m.
            sector: None leaves the side open.
        """
        batch, many = y.shape[:2]
        phase = torch.tensor(_MOMENTS + _ARRIVED).to(y)
        touches = len(_MOMENTS)
        first = self.start.map(lambda part: part.repeat_interleave(many, dim=0))
        pose = poses_of(y.flatten(0, 1), first, phase.expand(batch * many, -1))
        tips = self.tips_of(pose[:, :touches]).unflatten(0, (batch, many)).flatten(2, 3)
        # The nearest point of the first plan: its neighbours are too near to have another, but for kinks.
        nearest = torch.cdist(tips[:, 0], self.points).argmin(-1)
        nearest = self.points.gather(1, nearest[..., None].expand(-1, -1, 3))
        beyond = ((tips - nearest[:, None]).norm(dim=-1) - reach).clamp(min=0)
        if sector is None:
            return beyond
        wrist = (pose.t + pose.R @ sector.wrist_palm)[:, touches:].unflatten(0, (batch, many))
        arm = wrist - self.points.mean(dim=1)[:, None, None]
        return torch.cat([beyond, _outside(arm, sector.side, sector.margin).flatten(2)], dim=-1)


def _outside(
    arm: Float[Tensor, "B C k 3"], side: Float[Tensor, "B 3"], margin: Float[Tensor, "B 1 1 1"] | float
) -> Float[Tensor, "B C k 3"]:
    """How far a wrist is outside of the sector that is asked for, m: to either side, and in height.

    Args:
        arm: From the object's middle to the wrist.
        side: Direction that is asked for: horizontal, or up.
        margin: How far inside it shall be.
    """
    up = (side[:, 2] > side[:, :2].norm(dim=-1))[:, None, None]
    way = torch.nn.functional.normalize(side[:, None, None, :2], dim=-1)
    flat, height = arm[..., :2], arm[..., 2]
    along = (flat * way).sum(-1)
    across = flat[..., 0] * way[..., 1] - flat[..., 1] * way[..., 0]
    never = torch.full_like(height, -torch.inf)
    beyond = [
        torch.where(up, _STEEP * flat.norm(dim=-1) - height, across - along),
        # Two rows instead of an absolute value, whose kink the differences would swing about.
        torch.where(up, never, -across - along),
        torch.where(up, never, height - _STEEP * along),
    ]
    return (torch.stack(beyond, dim=-1) + margin).clamp(min=0)
