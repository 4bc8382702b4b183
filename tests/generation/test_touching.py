"""Fingertips of a made-up hand that has five sticks for fingers, about a ball."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unihm.generation.conditions import lift_phase
from unihm.generation.motion_prior import KNOTS, PALM, poses_of, told
from unihm.generation.plan_codes import PlanCodes
from unihm.generation.touching import Asked, Touch, _outside, touching
from unihm.tokenizer.hand_chart import LatentPose

FRAMES, LIFT, LATENT, RADIUS = 32, 12, 5, 0.035
STICKS = torch.nn.functional.normalize(
    torch.tensor([[-0.5, 0.0, -1.0], [0.3, 0.4, -1.0], [0.5, 0.1, -1.0], [0.5, -0.2, -1.0], [0.2, -0.5, -1.0]]), dim=-1
)
TOUCH = Touch(closing_share=0.0)


def tips_of(pose: LatentPose) -> torch.Tensor:
    length = 0.06 + 0.02 * pose.fingers
    return pose.t[..., None, :] + (length[..., None] * STICKS) @ pose.R.mT


def over_the_ball(height: float) -> LatentPose:
    """A palm that comes down to a height over the ball's centre and stays there."""
    share = (torch.arange(FRAMES) / LIFT).clamp(max=1)[:, None]
    t = torch.tensor([0.0, 0.0, height]) + (1 - share) * torch.tensor([0.1, 0.0, 0.1])
    return LatentPose(R=torch.eye(3).expand(1, FRAMES, 3, 3), t=t[None], fingers=torch.zeros(1, FRAMES, LATENT))


@pytest.fixture(scope="module")
def plan() -> PlanCodes:
    """What guesses miss: places by two centimetres, finger lengths by one."""
    rng = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 1, KNOTS)[:, None]
    missed = torch.zeros(300, KNOTS, PALM + LATENT)
    missed[..., :3] = 0.02 * torch.randn(300, 1, 3, generator=rng) * ramp
    missed[..., PALM:] = 0.5 * torch.randn(300, 1, LATENT, generator=rng) * ramp
    plan = PlanCodes(LATENT)
    plan.fit(missed, 20 * torch.eye(LATENT))
    return plan


@pytest.fixture(scope="module")
def ball() -> torch.Tensor:
    points = torch.randn(1, 1500, 3, generator=torch.Generator().manual_seed(1))
    return RADIUS * points / points.norm(dim=-1, keepdim=True)


def guess(height: float) -> tuple[torch.Tensor, LatentPose, torch.Tensor]:
    motion, lengths = over_the_ball(height), torch.tensor([FRAMES])
    phase = lift_phase(lengths, torch.tensor([LIFT]), FRAMES)
    return told(motion, phase, lengths), motion[:, 0], phase


def distances(y, start, ball, phase) -> torch.Tensor:
    """(frames while carried, fingers)."""
    tips = tips_of(poses_of(y, start, phase))[0, LIFT + 3 :]
    return torch.cdist(tips, ball.expand(len(tips), -1, -1)).amin(-1)


def run(y, start, ball, plan, touch=TOUCH, carried=True, drawn=False):
    rows = torch.full((len(y),), carried)
    return touching(y, start, ball.expand(len(y), -1, -1), rows, plan, tips_of, touch, drawn=drawn)


def test_tips_that_are_near_come_to_the_object(plan, ball):
    y, start, phase = guess(0.12)
    far = TOUCH.reach + 3 * TOUCH.sigma
    assert distances(y, start, ball, phase).max() > far
    moved = run(y, start, ball, plan)
    found = distances(moved, start, ball, phase)
    assert found.max() < far
    assert found[-1].max() < TOUCH.reach + TOUCH.sigma
    assert (moved[:, 0] - y[:, 0]).abs().max() < 1e-5  # the start is given


def test_a_drawn_plan_is_held_more(plan, ball):
    y, start, phase = guess(0.12)
    here, drawn, opened = (distances(x, start, ball, phase).mean() for x in (
        y, run(y, start, ball, plan, drawn=True), run(y, start, ball, plan)
    ))  # fmt: skip
    assert opened < drawn < here


@pytest.mark.parametrize("drawn", [False, True])
def test_the_plan_is_the_likeliest_given_the_touch(plan, ball, drawn):
    """No random step from the solution lowers the cost of the docstring, which is written out here again."""
    y, start, _ = guess(0.115)
    touch = replace(TOUCH, iterations=20, drawn=0.4)
    tau = 0.4 if drawn else 1.0
    moved = run(y, start, ball, plan, touch, drawn=drawn)
    axes = (plan.centres.std(dim=1)[:, None] * plan.axes[1]).unflatten(1, y.shape[1:])
    known = plan.centres.std(dim=1) > 1e-3
    z = torch.linalg.lstsq(axes[known].flatten(1).T, (moved - y).flatten(1).T).solution[:, 0]

    def cost(z):
        x = y + torch.tensordot(z, axes[known], 1)
        pose = poses_of(x, start, torch.tensor([[1.15, 1.4, 1.7, 2.0]]))
        d = torch.cdist(tips_of(pose)[0], ball.expand(4, -1, -1)).amin(-1)
        d = (d - touch.reach).clamp(min=0)
        kept = 1 + (d / touch.lets_go).square()
        weighted = torch.tensor(touch.fingers) * (d / touch.sigma).square() / kept
        return (z / tau).square().sum() / 2 + weighted.sum(-1).mean() / 2

    best, rng = cost(z), torch.Generator().manual_seed(0)
    assert best < 0.7 * cost(0 * z)
    assert all(cost(z + 0.15 * tau * torch.randn(z.shape, generator=rng)) > best for _ in range(40))


def test_what_is_not_carried_or_not_weighted_stays_as_it_is(plan, ball):
    y, start, _ = guess(0.12)
    two, starts = y.expand(2, -1, -1).clone(), start.map(lambda part: part.expand(2, *part.shape[1:]))
    moved = touching(
        two, starts, ball.expand(2, -1, -1), torch.tensor([False, True]), plan, tips_of, TOUCH, drawn=False
    )
    assert torch.equal(moved[0], two[0])
    torch.testing.assert_close(moved[1], run(y, start, ball, plan)[0], atol=1e-6, rtol=1e-5)
    assert not torch.equal(moved[1], two[1])
    assert torch.equal(run(y, start, ball, plan, carried=False), y)
    assert torch.equal(run(y, start, ball, plan, Touch(weight=0.0)), y)
    assert torch.equal(run(y, start, ball, PlanCodes(LATENT)), y)  # without a plan nothing is known to be possible


def test_what_touches_already_stays(plan, ball):
    y, start, phase = guess(0.079)
    assert distances(y, start, ball, phase).max() < TOUCH.reach
    torch.testing.assert_close(run(y, start, ball, plan), y, atol=1e-6, rtol=0)


def test_fingers_close_where_the_palm_stands(plan, ball):
    y, start, phase = guess(0.12)
    first, closed = run(y, start, ball, plan), run(y, start, ball, plan, Touch())
    assert torch.equal(closed[..., :PALM], first[..., :PALM])
    before, after = (distances(x, start, ball, phase)[-1].max() for x in (first, closed))
    assert after < before - 1e-3


def test_a_finger_far_away_is_let_go(plan, ball):
    """The fifth finger points the other way: it does not drag the hand with it."""

    def odd(pose: LatentPose) -> torch.Tensor:
        tips = tips_of(pose).clone()
        tips[..., 4, :] += torch.tensor([0.0, 0.25, 0.1])
        return tips

    y, start, phase = guess(0.12)
    carried = torch.tensor([True])
    alone = touching(y, start, ball, carried, plan, odd, TOUCH, drawn=False)
    dragged = touching(y, start, ball, carried, plan, odd, replace(TOUCH, lets_go=1e3), drawn=False)
    without = touching(
        y, start, ball, carried, plan, odd, replace(TOUCH, fingers=(1.0, 0.8, 0.7, 0.5, 0.0)), drawn=False
    )
    assert distances(alone, start, ball, phase)[:, :4].max() < TOUCH.reach + 3 * TOUCH.sigma
    away, let_go = ((x - without)[0, -1, :3].norm() for x in (dragged, alone))
    assert let_go < 0.2 * away


def test_how_far_a_wrist_is_outside_of_what_is_asked():
    """Sectors of 90 degrees about a horizontal direction below 60 degrees of height; above that it is "above"."""
    wrists = torch.tensor([[0.2, 0.0, 0.0], [0.2, 0.19, 0.0], [0.1, 0.3, 0.0], [-0.2, 0.0, 0.0], [0.1, 0.0, 0.3]])
    reach = wrists[None, None]
    found = _outside(reach, torch.tensor([[0.9, 0.0, 0.0]]), 0.0)[0, 0]
    expected = torch.tensor([[0, 0, 0], [0, 0, 0], [0, 0.2, 0], [0.2, 0.2, 0.2 * 3**0.5], [0, 0, 0.3 - 0.1 * 3**0.5]])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    above = _outside(reach, torch.tensor([[0.0, 0.0, 0.8]]), 0.0)[0, 0]
    assert (above[:4, 0] > 0.3).all()
    assert not above[4].any()
    assert not above[:, 1:].any()
    torch.testing.assert_close(_outside(reach, torch.tensor([[0.9, 0.0, 0.0]]), 0.1)[0, 0, 1, 1], torch.tensor(0.09))


@pytest.mark.parametrize(
    "side",
    [
        (0.9, 0.0, 0.0),
        (0.0, 0.9, 0.0),
        (0.0, -0.9, 0.0),
        (-0.9, 0.0, 0.0),
    ],
)
def test_the_hand_comes_from_the_side_that_is_asked_for(plan, ball, side):
    """The wrist is a centimetre beside the middle; words that are sure take it to another side, as far as is likely."""
    y, start, phase = guess(0.1)
    wrist, touch = torch.tensor([0.01, 0.0, -0.1]), Touch()

    def found(side: torch.Tensor) -> torch.Tensor:
        there = touching(
            y, start, ball, torch.tensor([True]), plan, tips_of, touch, drawn=False,
            asked=Asked(side=side, wrist_palm=wrist),
        )  # fmt: skip
        pose = poses_of(there, start, phase)
        return (pose.t + pose.R @ wrist)[:, None, LIFT : LIFT + 1] - ball.mean(dim=1)

    silent, asked = found(torch.zeros(1, 3)), torch.tensor([side])
    torch.testing.assert_close(found(0.4 * asked), silent)  # unsure words are not heard
    before, after = (_outside(reach, asked, touch.side_margin).sum() for reach in (silent, found(asked)))
    assert after < max(0.7 * before, touch.side_sigma)
