"""Distances between sets of motions, as features: FID, KID, R-precision, matching distance, diversity, multimodality.

All functions take arrays of features, one row a motion or a text, and know nothing of what made them; the published
features are those of `motion_text.encoder`. FID and KID see the few coordinates along the encoder's principal axes, the
others the whole space.

Few samples bias FID upward: the distance of two sets from the same source is not zero but `floor`. A method is
compared with other recordings' truth, as the floor is, so that a perfect method reaches the floor and none goes below.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

POOL = 32
"""Texts among which a motion's own has to be found (Guo et al. 2022)."""
TOP = (1, 2, 3)
"""Ranks that count as found."""

Distance = Callable[[np.ndarray, np.ndarray], float]


def fid(real: Float[np.ndarray, "n d"], other: Float[np.ndarray, "m d"]) -> float:
    """Fréchet distance of the normal distributions with the sets' means and covariances.

    ``|mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1^(1/2) S_2 S_1^(1/2))^(1/2))`` (Dowson and Landau 1982; Heusel et al.,
    NeurIPS 2017). Both roots are of symmetric matrices, hence by eigenvalues: singular covariances do no harm, and no
    imaginary part has to be thrown away, as after a root of ``S_1 S_2``. Covariances divide by n - 1.

    Raises:
        ValueError: A set has fewer than two rows, they have different widths, or a number is not finite.
    """
    _check(real, other, least=2)
    difference = real.mean(axis=0) - other.mean(axis=0)
    first, second = _covariance(real), _covariance(other)
    root = _root(first)
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(min=0)).sum()
    return max(0.0, float(difference @ difference + np.trace(first) + np.trace(second) - 2 * cross))


def mmd2(real: Float[np.ndarray, "n d"], other: Float[np.ndarray, "m d"]) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel ``k(x, y) = (x^T y / d + 1)^3``.

    ``mean_(i != j) k(x_i, x_j) + mean_(i != j) k(y_i, y_j) - 2 mean_(i, j) k(x_i, y_j)`` (Gretton et al. 2012; kernel
    of Bińkowski et al. 2018). May be negative; zero in the mean for two sets of one source.

    Raises:
        ValueError: As for `fid`.
    """
    _check(real, other, least=2)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        k = kernel(x, x)
        return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))

    return float(within(real) + within(other) - 2 * kernel(real, other).mean())


def kid(
    real: Float[np.ndarray, "n d"],
    other: Float[np.ndarray, "m d"],
    rng: np.random.Generator,
    *,
    subsets: int = 50,
    size: int = 50,
) -> tuple[float, float]:
    """Kernel distance (Bińkowski et al., ICLR 2018): mean and standard deviation of `mmd2` over random subsets.

    Args:
        real: Features of one set.
        other: Of the other.
        rng: Draws the subsets, without replacement.
        subsets: How many.
        size: Rows of a subset; fewer where a set is smaller.

    Raises:
        ValueError: As for `fid`.
    """
    _check(real, other, least=2)
    size = min(size, len(real), len(other))
    if size == len(real) == len(other):
        return mmd2(real, other), 0.0
    found = [
        mmd2(real[rng.choice(len(real), size, replace=False)], other[rng.choice(len(other), size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(found)), float(np.std(found))


def r_precision(
    motions: Float[np.ndarray, "n d"],
    texts: Float[np.ndarray, "n d"],
    rng: np.random.Generator,
    *,
    pools: int = 10,
    pool: int = POOL,
) -> Float[np.ndarray, " 3"]:
    """How often a motion's own text is the nearest, among the nearest two, among the nearest three of a pool.

    Each motion is compared with its own text and with those of ``pool - 1`` others (Euclidean distance; Guo et al.,
    CVPR 2022). Texts that are exactly as near as the own one, such as the same sentence about another recording, come
    in random order, of which the expected value is taken: g texts at one distance behind r nearer ones are among the
    nearest k with probability ``min(1, max(0, k - r) / g)``. Features that are all alike thus find k of 32.

    Args:
        motions: Features of motions.
        texts: Features of their texts, row by row.
        rng: Draws the pools.
        pools: Random orders in which all motions are cut into pools; a rest that fills no pool waits for the next.
        pool: Texts in a pool.

    Raises:
        ValueError: There are fewer than `pool` rows, or as for `fid`.
    """
    _check(motions, texts, least=pool)
    if len(motions) != len(texts):
        raise ValueError(f"There are {len(motions)} motions for {len(texts)} texts.")
    found, number = np.zeros(len(TOP)), 0
    for _ in range(pools):
        order = rng.permutation(len(motions))
        for rows in order[: len(order) - len(order) % pool].reshape(-1, pool):
            found += _found(motions[rows], texts[rows])
            number += pool
    return found / number


def matching_distance(motions: Float[np.ndarray, "n d"], texts: Float[np.ndarray, "n d"]) -> float:
    """Mean Euclidean distance of motions from their own texts (Guo et al. 2022: MM-Dist).

    Raises:
        ValueError: As for `fid`, or not as many texts as motions.
    """
    _check(motions, texts, least=1)
    if len(motions) != len(texts):
        raise ValueError(f"There are {len(motions)} motions for {len(texts)} texts.")
    return float(np.linalg.norm(motions - texts, axis=1).mean())


def diversity(features: Float[np.ndarray, "n d"], rng: np.random.Generator, *, pairs: int = 300) -> float:
    """Mean distance of random pairs of different motions (Guo et al. 2020: of two random subsets, row by row).

    As good as that of the truth is best: more is noise, less is a collapse to the mean.

    Args:
        features: One row a motion.
        rng: Draws the pairs.
        pairs: How many.

    Raises:
        ValueError: There are fewer than two motions, or a number is not finite.
    """
    _check(features, features, least=2)
    first = rng.integers(len(features), size=pairs)
    second = (first + rng.integers(1, len(features), size=pairs)) % len(features)
    return float(np.linalg.norm(features[first] - features[second], axis=1).mean())


def multimodality(features: Float[np.ndarray, "c s d"], rng: np.random.Generator, *, pairs: int = 10) -> float:
    """Mean distance of two motions that the same condition gave, over conditions (Guo et al. 2020).

    Args:
        features: Samples of each condition.
        rng: Draws pairs of different samples.
        pairs: Of each condition.

    Raises:
        ValueError: There are fewer than two samples, no condition, or a number is not finite.
    """
    conditions, samples = features.shape[:2]
    if samples < 2 or conditions < 1:
        raise ValueError(f"{samples} samples of {conditions} conditions: expected at least two of one.")
    _check(features.reshape(conditions * samples, -1), features.reshape(conditions * samples, -1), least=2)
    first = rng.integers(samples, size=(conditions, pairs))
    second = (first + rng.integers(1, samples, size=(conditions, pairs))) % samples
    row = np.arange(conditions)[:, None]
    return float(np.linalg.norm(features[row, first] - features[row, second], axis=-1).mean())


def halves(count: int, rng: np.random.Generator) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"]]:
    """Two random disjoint halves of `count` rows, of one size: of an odd number one is left out."""
    order = rng.permutation(count)
    half = count // 2
    return order[:half], order[half : 2 * half]


def floor(
    real: Float[np.ndarray, "n d"], distance: Distance, rng: np.random.Generator, *, repeats: int = 20
) -> tuple[float, Float[np.ndarray, " repeats"]]:
    """What a distance says of two random halves of the truth: nothing real is nearer than this.

    Args:
        real: Features of recorded motions.
        distance: `fid`, `mmd2` or another of two sets.
        rng: Draws the halves.
        repeats: How often.

    Returns:
        The mean, and all of them.
    """
    found = np.empty(repeats)
    for repeat in range(repeats):
        first, second = halves(len(real), rng)
        found[repeat] = distance(real[first], real[second])
    return float(found.mean()), found


def _found(motions: Float[np.ndarray, "p d"], texts: Float[np.ndarray, "p d"]) -> Float[np.ndarray, " 3"]:
    """Expected number of motions whose text is among the nearest 1, 2 and 3."""
    distance = np.linalg.norm(motions[:, None] - texts[None], axis=-1)
    own = np.diag(distance)[:, None]
    nearer, alike = (distance < own).sum(axis=1), (distance == own).sum(axis=1)
    return np.array([((top - nearer).clip(min=0) / alike).clip(max=1).sum() for top in TOP])


def _covariance(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d d"]:
    centred = x - x.mean(axis=0)
    return centred.T @ centred / (len(x) - 1)


def _root(matrix: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """The symmetric root of a symmetric matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T


def _check(first: np.ndarray, second: np.ndarray, *, least: int) -> None:
    """Two sets of finite rows of one width, of at least so many rows each."""
    if first.shape[1] != second.shape[1] or min(len(first), len(second)) < least:
        raise ValueError(
            f"Sets of features of shape {first.shape} and {second.shape}: expected at least {least} rows of one width."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("Features hold NaN or infinite values.")
