"""Distribution metrics against SciPy, closed forms, and examples worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from scipy.spatial.distance import pdist

from unihm.evaluation.distribution_metrics import (
    diversity,
    fid,
    floor,
    halves,
    kid,
    matching_distance,
    mmd2,
    multimodality,
    r_precision,
)


def normal(seed: int, rows: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def textbook_fid(x: np.ndarray, y: np.ndarray) -> float:
    """As everybody writes it: with the root of the product, of which the real part is kept."""
    a, b = np.cov(x.T), np.cov(y.T)
    root = np.asarray(sqrtm(a @ b)).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root))


@pytest.mark.parametrize("seed", range(4))
def test_fid_is_the_textbooks(seed):
    x, y = normal(seed, 60, 8), normal(seed + 10, 45, 8)
    assert fid(x, y) == pytest.approx(textbook_fid(x, y), rel=1e-8)


def test_fid_of_normal_distributions_with_known_distance():
    """Along one axis: (mu_1 - mu_2)^2 + (sigma_1 - sigma_2)^2, exact for samples with exactly these moments."""
    x = np.array([-1.0, 1.0])[:, None] * np.sqrt(0.5)  # variance 1, divided by n - 1
    y = 5 + 3 * x
    assert fid(x, y) == pytest.approx(25 + 4)
    rng = np.random.default_rng(0)
    scales, shift = np.array([1.0, 2.0, 0.5]), np.array([0.3, 0.0, -1.0])
    many = rng.normal(size=(200_000, 3))
    expected = (shift**2).sum() + ((scales - 1) ** 2).sum()
    assert fid(many[:100_000], many[100_000:] * scales + shift) == pytest.approx(expected, rel=0.02)


def test_fid_bears_singular_covariances():
    """Five motions in sixteen dimensions, and sets that vary along different axes."""
    x = normal(0, 5, 16)
    assert fid(x, x) == pytest.approx(0, abs=1e-9)
    line = np.zeros((4, 16))
    line[:, 0] = [0, 1, 2, 3]
    other = np.zeros((4, 16))
    other[:, 1] = [0, 2, 4, 6]
    # Means 1.5 and 3 along different axes, variances 5/3 and 20/3 that share nothing.
    assert fid(line, other) == pytest.approx(1.5**2 + 3**2 + 5 / 3 + 20 / 3)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 20), others=st.integers(2, 20), width=st.integers(1, 8))
def test_fid_and_mmd_are_symmetric_and_know_no_order(seed, rows, others, width):
    x, y = normal(seed, rows, width), normal(seed + 1, others, width)
    order = np.random.default_rng(seed).permutation(rows)
    for distance in (fid, mmd2):
        value = distance(x, y)
        scale = 1e-6 * (1 + abs(value) + (x**2).sum() + (y**2).sum())
        assert distance(y, x) == pytest.approx(value, abs=scale)
        assert distance(x[order], y) == pytest.approx(value, abs=scale)
    assert fid(x, x) == pytest.approx(0, abs=1e-6 * (1 + (x**2).sum()))
    assert fid(x, y) >= 0


def test_mmd_by_hand():
    """x = {0, 1}, y = {2, 3} on a line: k(a, b) = (ab + 1)^3."""
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    within_x, within_y = 1.0, 7.0**3
    between = (1 + 1 + 27 + 64) / 4
    assert mmd2(x, y) == pytest.approx(within_x + within_y - 2 * between)


def test_mmd_is_unbiased_and_kid_averages_it():
    rng = np.random.default_rng(1)
    same = [mmd2(rng.normal(size=(20, 4)), rng.normal(size=(20, 4))) for _ in range(2000)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 2000**0.5
    x, y = rng.normal(size=(200, 4)), rng.normal(size=(200, 4)) + 1
    mean, deviation = kid(x, y, rng, subsets=100, size=60)
    assert mean == pytest.approx(mmd2(x, y), rel=0.15)
    assert 0 < deviation < mean
    assert kid(x[:30], y[:30], rng) == (mmd2(x[:30], y[:30]), 0.0)  # the subset is everything


def test_r_precision_of_texts_that_match_and_of_chance():
    rng = np.random.default_rng(0)
    texts = rng.normal(size=(70, 16))
    assert r_precision(texts + 1e-3, texts, rng).tolist() == [1, 1, 1]
    # Features that say nothing find k of 32, exactly: all texts are equally near.
    assert r_precision(np.zeros((64, 3)), np.ones((64, 3)), rng) == pytest.approx([1 / 32, 2 / 32, 3 / 32])
    found = r_precision(rng.normal(size=(320, 16)), rng.normal(size=(320, 16)), rng, pools=100)
    assert found == pytest.approx([1 / 32, 2 / 32, 3 / 32], abs=0.012)


def test_r_precision_by_hand():
    """Four on a line, each motion beside the text of a neighbour."""
    texts = np.array([[0.0], [10.0], [20.0], [30.0]])
    motions = np.array([[9.0], [11.0], [29.0], [31.0]])
    # Own texts are second (9 -> 10, then 0), first, second (29 -> 30, then 20), first.
    assert r_precision(motions, texts, np.random.default_rng(0), pool=4).tolist() == [0.5, 1, 1]
    # The same sentence twice: either may come first.
    texts[0] = 10.0
    motions[0] = 10.0
    assert r_precision(motions, texts, np.random.default_rng(0), pool=4).tolist() == [0.5, 1, 1]


def test_distances_by_hand():
    motions = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert matching_distance(motions, np.array([[0.0, 1.0], [3.0, 4.0]])) == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    assert diversity(motions, rng) == pytest.approx(5)
    assert multimodality(np.array([[[0.0], [1.0]], [[0.0], [3.0]]]), rng) == pytest.approx(2)
    many = normal(3, 40, 5)
    # Random pairs estimate the mean over all pairs (Eq. F9).
    assert diversity(many, rng, pairs=200_000) == pytest.approx(pdist(many).mean(), rel=0.01)
    assert multimodality(many[None], rng, pairs=200_000) == pytest.approx(pdist(many).mean(), rel=0.01)


def test_halves_are_disjoint_and_the_floor_is_their_distance():
    a, b = halves(11, np.random.default_rng(0))
    assert len(a) == len(b) == 5
    assert len({*a.tolist(), *b.tolist()}) == 10
    real = normal(5, 40, 3)
    mean, found = floor(real, fid, np.random.default_rng(0), repeats=7)
    a, b = halves(40, np.random.default_rng(0))
    assert found[0] == fid(real[a], real[b])
    assert mean == pytest.approx(found.mean())
    assert len(found) == 7


def test_what_cannot_be_compared_is_refused():
    rng = np.random.default_rng(0)
    x = normal(0, 10, 3)
    with pytest.raises(ValueError, match="at least 2 rows"):
        fid(x[:1], x)
    with pytest.raises(ValueError, match="NaN"):
        fid(x, np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match="at least 32 rows"):
        r_precision(x, x, rng)
    with pytest.raises(ValueError, match="at least two"):
        multimodality(x[:, None], rng)
