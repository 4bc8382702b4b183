from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.generation.motion_prior import KNOTS, PALM
from unihm.generation.plan_codes import AXES, RANGES, PlanCodes, keypoint_weights

LATENT, COUNT = 4, 400
METRIC = torch.diag(torch.tensor([30.0, 20.0, 40.0, 10.0]))


@pytest.fixture(scope="module")
def missed() -> torch.Tensor:
    """Smooth misses of some thirty kinds, each smaller than the one before."""
    rng = torch.Generator().manual_seed(0)
    kinds = torch.randn(30, KNOTS, PALM + LATENT, generator=rng).cumsum(1) / KNOTS**0.5
    weight = torch.randn(COUNT, 30, generator=rng) * 0.8 ** torch.arange(30)
    return 0.05 * torch.tensordot(weight, kinds, 1)


@pytest.fixture(scope="module")
def plan(missed) -> PlanCodes:
    plan = PlanCodes(LATENT)
    plan.fit(missed, METRIC)
    return plan


def test_what_codes_stand_for_has_these_codes(plan):
    codes = torch.randint(RANGES, (200, AXES), generator=torch.Generator().manual_seed(1))
    assert torch.equal(plan.encode(plan.decode(codes)), codes)
    first = codes[:, :3]  # the first axes alone
    found, whole = (plan.coordinates(plan.decode(c)) for c in (first, codes))
    torch.testing.assert_close(found, torch.nn.functional.pad(whole[:, :3], (0, AXES - 3)), atol=1e-3, rtol=0)


def test_each_range_holds_equally_many(plan, missed):
    codes = plan.encode(missed)
    for axis in range(AXES):
        found = torch.bincount(codes[:, axis], minlength=RANGES)
        assert (found - COUNT / RANGES).abs().max() <= 1


def test_blind_plans_are_spread_as_the_examples(plan, missed):
    """All codes equally likely: the variance that ranges keep, along each axis and of the whole."""
    codes = torch.randint(RANGES, (4000, AXES), generator=torch.Generator().manual_seed(2))
    drawn, fitted = plan.coordinates(plan.decode(codes)), plan.coordinates(missed)
    torch.testing.assert_close(drawn.var(0), fitted.var(0), rtol=0.15, atol=0)
    torch.testing.assert_close(drawn.mean(0), fitted.mean(0), atol=float(0.1 * fitted.std(0).max()), rtol=0)


def test_axes_are_the_principal_ones_in_keypoint_distance(plan, missed):
    seen = (missed.double() @ keypoint_weights(METRIC)).flatten(1).numpy()
    _, size, axes = np.linalg.svd(seen, full_matrices=False)
    np.testing.assert_allclose(
        np.abs(plan.coordinates(missed).numpy()), np.abs(seen @ axes[:AXES].T), atol=0.05, rtol=1e-3
    )
    # What a plan adds explains as much as so many axes can, up to the width of the ranges.
    left = missed - plan.decode(plan.encode(missed))
    left = ((left.double() @ keypoint_weights(METRIC)) ** 2).sum()
    assert left < (size[AXES:] ** 2).sum() + 0.12 * (size**2).sum()


def test_the_weights_say_how_far_keypoints_are():
    """A centimetre of the palm is ten; an axis that turns by an angle moves what is 70 mm away."""
    weights = keypoint_weights(METRIC)
    told = torch.zeros(PALM + LATENT, dtype=torch.float64)
    told[:3] = torch.tensor([0.006, 0.008, 0.0])
    assert (told @ weights).norm().item() == pytest.approx(10)
    angle = 0.01
    turned = torch.eye(3).double()
    turned[:2, :2] = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    told = torch.zeros(PALM + LATENT, dtype=torch.float64)
    told[3:PALM] = (turned - torch.eye(3)).flatten()
    assert (told @ weights).norm().item() == pytest.approx(70 * angle, rel=1e-3)


def test_an_unfitted_plan_adds_nothing():
    plan = PlanCodes(LATENT)
    codes = torch.randint(RANGES, (5, AXES), generator=torch.Generator().manual_seed(1))
    assert not plan.decode(codes).any()
    assert not plan.encode(torch.randn(5, KNOTS, PALM + LATENT)).any()


def test_few_examples_leave_axes_without_meaning(missed):
    plan = PlanCodes(LATENT)
    plan.fit(missed[:5], METRIC)
    codes = torch.full((1, AXES), RANGES - 1)
    assert plan.decode(codes).isfinite().all()
    assert not plan.axes[:, 5:].any()
    torch.testing.assert_close(plan.decode(plan.encode(missed[:5])), missed[:5], atol=1e-4, rtol=1e-3)


def test_plans_that_stand_for_all_are_nearer_to_each_than_drawn_ones(missed):
    """Against as many plans that are drawn blindly, and against what k-means of another library finds."""
    plan = PlanCodes(LATENT, memory=COUNT)
    plan.fit(missed, METRIC)
    recorded = plan.coordinates(plan.decode(plan.encode(missed)))

    def nearest(codes: torch.Tensor) -> float:
        return float(torch.cdist(recorded, plan.coordinates(plan.decode(codes))).square().amin(1).mean())

    found = plan.spread(10)
    assert found.shape == (10, AXES)
    assert int(found.max()) < RANGES
    blind = torch.randint(RANGES, (20, 10, AXES), generator=torch.Generator().manual_seed(3))
    assert nearest(found) < 0.75 * min(nearest(codes) for codes in blind)
    cluster = pytest.importorskip("sklearn.cluster")
    other = cluster.KMeans(10, n_init=10, random_state=0).fit(recorded.double().numpy())
    assert nearest(found) < 1.1 * other.inertia_ / COUNT
    sizes = torch.cdist(recorded, plan.coordinates(plan.decode(found))).argmin(1).bincount(minlength=10)
    assert sizes[0] > sizes[-1]
    assert torch.equal(found, plan.spread(10))


def test_more_plans_than_were_recorded_repeat_some_and_none_recorded_are_all_the_same(missed):
    plan = PlanCodes(LATENT, memory=3)
    plan.fit(missed, METRIC)
    found = plan.spread(7)
    assert len(found) == 7
    assert len(found.unique(dim=0)) == 3
    assert len(PlanCodes(LATENT).spread(4).unique(dim=0)) == 1
