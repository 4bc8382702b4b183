"""Intervals against SciPy's, against numbers worked out by hand, and by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t

from unihm.evaluation.intervals import clustered_mean, clustered_wilson, paired_difference, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 7), (7, 7), (13, 20), (199, 200), (1, 1), (3, 400)])
def test_wilson_is_that_of_scipy(k, n):
    for confidence in (0.95, 0.8):
        expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
        found = wilson(k, n, confidence)
        assert found == pytest.approx((k / n, expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand():
    # 8 of 10, z = 1.96: (0.8 + 0.19208 +- 1.96 sqrt(0.016 + 0.009604)) / 1.38416
    found = wilson(8, 10)
    assert found.low == pytest.approx((0.8 + 0.19208 - 1.96 * np.sqrt(0.025604)) / 1.38416, abs=1e-4)
    assert found.high == pytest.approx((0.8 + 0.19208 + 1.96 * np.sqrt(0.025604)) / 1.38416, abs=1e-4)
    assert wilson(0, 30).low == 0
    assert wilson(30, 30).high == 1


def test_clusters_that_agree_within_themselves_count_as_one_trial_each():
    # Four objects with 50 trials each, of which two always succeed: four trials' worth, and t of 3 for t of 199.
    outcomes = np.repeat([True, False, True, False], 50)
    found = clustered_wilson(outcomes, np.repeat(list("abcd"), 50).tolist())
    # variance 4/3 * 4 * 25^2 / 200^2 = 1/12, design effect (1/12) / (1/4 / 200) = 200/3, n / deff = 3
    effective = float(3 * (t.ppf(0.975, 199) / t.ppf(0.975, 3)) ** 2)
    assert found == pytest.approx(tuple(wilson(effective / 2, effective)))
    assert found.high - found.low > 3 * (wilson(100, 200).high - wilson(100, 200).low)


def test_clusters_of_one_trial_are_plain_trials():
    outcomes = np.arange(40) % 4 != 0
    assert clustered_wilson(outcomes, list(range(40))) == pytest.approx(tuple(wilson(30, 40)), abs=5e-3)
    # Where nothing failed, clusters are all that is known to be different.
    assert clustered_wilson(np.ones(200, bool), (np.arange(200) % 5).tolist()).low == pytest.approx(wilson(5, 5).low)
    assert clustered_wilson(np.arange(6) > 2, ["mug"] * 6).low < 0.1


def test_clustered_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    objects, each = 20, 10
    held, plain, boot = 0, 0, 0
    for _ in range(300):
        rate = rng.beta(3, 1, size=objects)  # of each object; 0.75 on average
        outcomes = (rng.random((objects, each)) < rate[:, None]).ravel()
        names = np.repeat(np.arange(objects), each).tolist()
        found, simple = clustered_wilson(outcomes, names), wilson(int(outcomes.sum()), outcomes.size)
        means = clustered_mean(outcomes.astype(float), names, resamples=300)
        held += found.low <= 0.75 <= found.high
        plain += simple.low <= 0.75 <= simple.high
        boot += means.low <= 0.75 <= means.high
    assert held / 300 > 0.92
    assert boot / 300 > 0.88
    assert plain / 300 < held / 300 - 0.04  # what ignoring objects costs


def test_clustered_mean():
    values = np.array([1.0, 1.0, 3.0, 3.0, np.nan])
    found = clustered_mean(values, ["a", "a", "b", "b", "c"])
    assert found == pytest.approx((2.0, 1.0, 3.0))  # draws are (a, a), (b, b) and mixed ones
    assert clustered_mean(values, ["a", "a", "b", "b", "c"]) == found
    assert np.isnan(clustered_mean(np.array([np.nan]), ["a"])).all()
    # As many clusters as values: the mean's own standard error.
    values = np.random.default_rng(0).normal(size=400)
    low, high = clustered_mean(values, list(range(400)))[1:]
    assert (high - low) / 2 == pytest.approx(norm.ppf(0.975) * values.std() / 20, rel=0.1)


def test_paired_difference_by_hand():
    first = np.array([True] * 60 + [False] * 40)
    second = np.array([True] * 55 + [False] * 5 + [True] * 20 + [False] * 20)
    found = paired_difference(first, second)
    assert (found.gained, found.lost) == (20, 5)
    assert found.estimate == pytest.approx(0.15)
    # Two-sided binomial of 5 or fewer of 25 heads: 2 * (1 + 25 + 300 + 2300 + 12650 + 53130) / 2^25
    assert found.p_value == pytest.approx(2 * 68406 / 2**25)
    q, r = 21 / 102, 6 / 102
    half = 1.959964 * np.sqrt((q + r - (q - r) ** 2) / 102)
    assert (found.low, found.high) == pytest.approx((q - r - half, q - r + half))
    assert paired_difference(first, first)[:3] == pytest.approx((0.0, -half_of_none(100), half_of_none(100)))
    assert paired_difference(first, first).p_value == 1
    clustered = paired_difference(first, second, clusters=[i % 10 for i in range(100)])
    assert clustered.estimate == found.estimate
    assert clustered.low < 0.15 < clustered.high


def half_of_none(n: int) -> float:
    """Of the interval where no trial differs."""
    return float(1.959964 * np.sqrt(2 / (n + 2) / (n + 2)))


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="5 successes of 4 trials"):
        wilson(5, 4)
    with pytest.raises(ValueError, match="0 successes of 0 trials"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="3 trials and 2 names"):
        clustered_wilson(np.ones(3, bool), ["a", "b"])
    with pytest.raises(ValueError, match="3 of the first and 2"):
        paired_difference(np.ones(3, bool), np.ones(2, bool))
