"""How sure a success rate is: Wilson intervals, intervals clustered by object, and paired differences.

Trials with one object resemble each other: 200 trials with three objects say less than 200 with a hundred. The
clustered interval finds out by how much from the outcomes themselves, as survey statistics do.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A number and the interval that holds the true one with the stated confidence."""

    estimate: float
    """What was found."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


class PairedDifference(NamedTuple):
    """How two ways of doing the same trials differ."""

    estimate: float
    """Success rate of the second less that of the first."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end."""
    gained: int
    """Trials that only the second one passed."""
    lost: int
    """Trials that only the first one passed."""
    p_value: float
    """Of McNemar's exact test: how often chance alone would split the trials that differ at least so unevenly."""


def wilson(successes: float | int, trials: float | int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a success rate.

    ``(p + z^2/2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2/n)``. Unlike the usual p +- 2 sigma it stays within
    0 and 1 and is right near them.

    Args:
        successes: k; may be a fraction where an effective number of trials is meant.
        trials: n.
        confidence: Of the interval, two-sided.

    Raises:
        ValueError: There are no trials, or not 0 <= k <= n.
    """
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(f"{successes} successes of {trials} trials: expected 0 <= successes <= trials, trials > 0.")
    z = float(stats.norm.ppf((1 + confidence) / 2))
    p = successes / trials
    middle = p + z**2 / (2 * trials)
    half = z * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    low, high = ((middle + sign * half) / (1 + z**2 / trials) for sign in (-1, 1))
    # At 0 and n the ends are exact, which rounding would miss.
    return Interval(p, 0.0 if successes == 0 else float(low), 1.0 if successes == trials else float(high))


def clustered_wilson(
    outcomes: Bool[np.ndarray, " n"], clusters: Sequence[Hashable], confidence: float = CONFIDENCE
) -> Interval:
    """Wilson's interval for the number of independent trials that clustered ones are worth.

    With c clusters of m_i trials, of which y_i succeed, the variance of p = sum y / sum m is
    ``c / (c - 1) sum (y_i - p m_i)^2 / n^2``; divided by p (1 - p) / n it is the design effect, which lowers n. That it
    comes from few clusters lowers n further, by (t_(n-1) / t_(c-1))^2 (Korn and Graubard 1998). More clusters than
    trials are never assumed (the design effect counts as 1 where it is less). Where all trials succeed, or all fail,
    nothing is known of it, and every cluster counts as one trial.

    Args:
        outcomes: True for a success.
        clusters: What each trial belongs to, for example its object.
        confidence: Of the interval, two-sided.

    Raises:
        ValueError: There are no trials, or the two have different lengths.
    """
    outcomes, which = _clustered(outcomes, clusters)
    n, c = len(outcomes), int(which.max()) + 1
    p = float(outcomes.mean())
    if c == 1 or p in (0.0, 1.0):
        return Interval(p, *wilson(p * c, c, confidence)[1:])
    size, passed = np.bincount(which), np.bincount(which, outcomes)
    variance = c / (c - 1) * float(((passed - p * size) ** 2).sum()) / n**2
    design_effect = max(variance / (p * (1 - p) / n), 1.0)
    few = float(stats.t.ppf((1 + confidence) / 2, n - 1) / stats.t.ppf((1 + confidence) / 2, c - 1)) if n > c else 1.0
    effective = n / design_effect * few**2
    return Interval(p, *wilson(p * effective, effective, confidence)[1:])


def clustered_mean(
    values: Float[np.ndarray, " n"],
    clusters: Sequence[Hashable],
    confidence: float = CONFIDENCE,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Mean of any values with its cluster bootstrap: whole clusters are drawn, with all their values.

    NaN are left out. The percentile interval of few clusters is too narrow; three of them are too few to tell.

    Args:
        values: One a trial.
        clusters: What each trial belongs to.
        confidence: Of the interval, two-sided.
        seed: Of the drawing.
        resamples: How often clusters are drawn.

    Raises:
        ValueError: There are no values, or the two have different lengths.
    """
    values, which = _clustered(values, clusters)
    kept = ~np.isnan(values)
    if not kept.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    which = np.unique(which[kept], return_inverse=True)[1].reshape(-1)
    number, total = np.bincount(which), np.bincount(which, values[kept])
    drawn = np.random.default_rng(seed).integers(len(number), size=(resamples, len(number)))
    means = total[drawn].sum(axis=1) / number[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values[kept].mean()), float(low), float(high))


def paired_difference(
    first: Bool[np.ndarray, " n"],
    second: Bool[np.ndarray, " _"],
    clusters: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> PairedDifference:
    """Difference of two success rates over the same trials.

    Interval: Bonett and Price's (2012), ``d +- z sqrt((q + r - d^2) / (n + 2))`` with q = (gained + 1) / (n + 2),
    r = (lost + 1) / (n + 2), d = q - r; with clusters, their bootstrap. The test does not know of clusters.

    Args:
        first: Successes of one way.
        second: Successes of the other, trial by trial.
        clusters: What each trial belongs to.
        confidence: Of the interval, two-sided.
        seed: Of the bootstrap.

    Raises:
        ValueError: There are no trials, or lengths differ.
    """
    first, second = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if len(first) != len(second) or not len(first):
        raise ValueError(f"Paired trials: {len(first)} of the first and {len(second)} of the second.")
    n = len(first)
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    p_value = float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    estimate = (gained - lost) / n
    if clusters is not None:
        found = clustered_mean(second.astype(float) - first, clusters, confidence, seed)
        return PairedDifference(estimate, found.low, found.high, gained, lost, p_value)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    q, r = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = z * float(np.sqrt((q + r - (q - r) ** 2) / (n + 2)))
    low, high = max(q - r - half, -1.0), min(q - r + half, 1.0)
    return PairedDifference(estimate, low, high, gained, lost, p_value)


def _clustered(values: np.ndarray, clusters: Sequence[Hashable]) -> tuple[np.ndarray, Int[np.ndarray, " n"]]:
    """Values as numbers, and clusters counted from 0 in the order of their first trial."""
    if len(values) != len(clusters) or not len(values):
        raise ValueError(f"There are {len(values)} trials and {len(clusters)} names of clusters.")
    number: dict[Hashable, int] = {}
    which = np.array([number.setdefault(name, len(number)) for name in clusters])
    return np.asarray(values, dtype=np.float64), which
