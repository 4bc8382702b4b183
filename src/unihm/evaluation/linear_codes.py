"""What linear codes keep at a given rate, to judge a tokenizer by: PCA with scalar quantisers, and plain k-means.

A code sees the features of `tokenizer.features`, some frames at a time, each weighted by how far it moves the hand's
keypoints (FACTS 9). Bits go one by one to the component with the largest error left, ``variance / 4^bits``, which is
reverse water-filling; each component is cut where k-means in one dimension cuts it (Lloyd and Max), or evenly where it
has more cells than training can fill. ``pca shared`` is one code for the motions of all hands together: a hand's own
encoder is the linear regression of the code's components on that hand's features, its decoder its rows of the basis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from unihm.evaluation.cases import RECORDED_HAND
from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion
from unihm.tokenizer.features import HandFeatures, canonical_path, hand_features
from unihm.tokenizer.figures import motion_errors, summary
from unihm.tokenizer.kmeans import kmeans, nearest

RATES = (13.0, 40.0, 80.0, 160.0, 320.0)
"""Bits per frame of the rows."""
FRAMES = 4
"""Frames that one word of the code stands for."""
KMEANS_CODES = 8192
"""Of the plain k-means on single frames: 13 bits, the paper's codebook (K)."""
_FINEST = 12  # bits of a component
_EVEN = 6  # bits from which on a component is cut evenly
_ROUNDS = 20  # of Lloyd's iteration
_STEP = 1e-4  # of the finite differences of the features
_SAMPLED = 200  # frames at which they are taken
_RIDGE = 1e-6  # of the encoders, as a share of the mean variance


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearCode:
    """A basis with a scalar quantiser for each of its components."""

    mean: Float[np.ndarray, " d"]
    basis: Float[np.ndarray, "d k"]
    """Orthonormal; of the components that have bits."""
    cells: tuple[Float[np.ndarray, " _"], ...]
    """Sorted values that each component can take."""

    @property
    def bits(self) -> float:
        """Length of a word when every cell costs alike."""
        return float(sum(np.log2(len(values)) for values in self.cells))

    def components(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Before they are cut."""
        return (x - self.mean) @ self.basis

    def cut(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """The nearest values that the components can take."""
        found = np.empty_like(y)
        for k, values in enumerate(self.cells):
            found[:, k] = values[np.searchsorted(0.5 * (values[1:] + values[:-1]), y[:, k])]
        return found

    def decode(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Vectors of components."""
        return self.mean + y @ self.basis.T


def fit_linear_code(x: Float[np.ndarray, "n d"], bits: int) -> LinearCode:
    """The code of vectors in which every coordinate counts alike.

    Args:
        x: Training vectors.
        bits: Of a word.

    Raises:
        ValueError: There are no vectors, or bits is negative.
    """
    if len(x) == 0 or bits < 0:
        raise ValueError(f"Expected vectors and at least 0 bits, got {len(x)} and {bits}.")
    mean = x.mean(axis=0)
    variance, vectors = np.linalg.eigh(np.cov(x - mean, rowvar=False, bias=True).reshape(x.shape[1], -1))
    left, given = np.maximum(variance, 0.0), np.zeros(len(variance), dtype=int)
    for _ in range(bits):
        k = int(np.argmax(left))
        if left[k] <= 0:
            break
        given[k] += 1
        left[k] = left[k] / 4 if given[k] < _FINEST else 0.0
    chosen = np.flatnonzero(given)[::-1]
    y = (x - mean) @ vectors[:, chosen]
    cells = tuple(_cells(y[:, k], int(given[c])) for k, c in enumerate(chosen))
    return LinearCode(mean=mean, basis=vectors[:, chosen], cells=cells)


def _cells(values: Float[np.ndarray, " n"], bits: int) -> Float[np.ndarray, " m"]:
    """Values that stand for a component."""
    if bits > _EVEN:
        low, high = values.min(), values.max()
        edge = 0.05 * (high - low)  # what is held out reaches a little further
        return np.linspace(low - edge, high + edge, 2**bits)
    centres = np.quantile(values, (np.arange(2**bits) + 0.5) / 2**bits)
    for _ in range(_ROUNDS):
        label = np.searchsorted(0.5 * (centres[1:] + centres[:-1]), values)
        count = np.bincount(label, minlength=len(centres))
        total = np.bincount(label, values, minlength=len(centres))
        centres = np.sort(np.where(count > 0, total / np.maximum(count, 1), centres))
    return centres


class Vectors:
    """Motions of a hand as weighted vectors of some frames, in given canonical frames."""

    def __init__(
        self, hand: HandModel, training: Mapping[str, HandMotion], paths: Mapping[str, Float[np.ndarray, "_ 4 4"]]
    ):
        """Learn how much each feature counts.

        Args:
            hand: The hand.
            training: Its training motions.
            paths: Their canonical frames.
        """
        self.features = hand_features(hand)
        x = np.concatenate([self.features.of_motion(motion, paths[name]).numpy() for name, motion in training.items()])
        self.weight = _sensitivity(self.features, hand, x)

    def of(self, motion: HandMotion, path: Float[np.ndarray, "T 4 4"], frames: int) -> Float[np.ndarray, "n d"]:
        """Vectors of so many frames of a motion; the last one is filled with the last frame."""
        x = self.features.of_motion(motion, path).numpy() * self.weight
        rows = np.minimum(np.arange(-(-len(x) // frames) * frames), len(x) - 1)
        return x[rows].reshape(-1, frames * x.shape[1])

    def motion(
        self, vectors: Float[np.ndarray, "n d"], path: Float[np.ndarray, "T 4 4"], like: HandMotion
    ) -> HandMotion:
        """The motion that vectors stand for, within the hand's limits."""
        x = vectors.reshape(-1, len(self.weight))[: len(path)] / self.weight
        qpos, T = self.features.unpack(torch.from_numpy(x))
        lower, upper = self.features.limits(qpos)
        return like.replace(
            joint_names=self.features.joint_names,
            qpos=torch.clamp(qpos, lower, upper).numpy(),
            T_world_palm=path @ T.numpy(),
        )


def _sensitivity(features: HandFeatures, hand: HandModel, x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, " F"]:
    """By how much each feature moves the keypoints, m per unit, root mean square over frames and keypoints."""
    rows = torch.from_numpy(x[np.unique(np.linspace(0, len(x) - 1, _SAMPLED).astype(int))])

    def keypoints(rows: torch.Tensor) -> torch.Tensor:
        qpos, T = features.unpack(rows)
        return torch.einsum("tij,tkj->tki", T[:, :3, :3], hand.keypoints(qpos)) + T[:, None, :3, 3]

    found = np.empty(x.shape[1])
    for f in range(x.shape[1]):
        step = torch.zeros(x.shape[1], dtype=rows.dtype)
        step[f] = _STEP
        moved = (keypoints(rows + step) - keypoints(rows - step)) / (2 * _STEP)
        found[f] = float(moved.square().sum(-1).mean().sqrt())
    return np.maximum(found, 1e-4)  # a feature that moves nothing must still be divided by its weight


def baseline_rows(
    hands: Mapping[str, HandModel],
    training: Mapping[str, Mapping[str, HandMotion]],
    tested: Mapping[str, Mapping[str, HandMotion]],
    reference: str,
    *,
    rates: Sequence[float] = RATES,
    codes: int = KMEANS_CODES,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Rows with hand, quantiser, source, bits_per_frame and the figures of `tokenizer.figures`.

    Args:
        hands: The hands to measure.
        training: hand -> episode id -> motion with its object, the reference hand among them.
        tested: The same of held-out recordings.
        reference: The hand whose palm fixes the canonical frames, as in training the tokenizer.
        rates: Bits per frame of the linear codes.
        codes: Of k-means.
        seed: Of k-means.
    """
    paths = {name: canonical_path(motion) for name, motion in tested[reference].items()}
    learned = {name: canonical_path(motion) for name, motion in training[reference].items()}
    of_hand = {name: Vectors(hand, training[name], learned) for name, hand in hands.items()}
    train = {
        name: np.concatenate([vectors.of(training[name][i], learned[i], FRAMES) for i in learned])
        for name, vectors in of_hand.items()
    }
    test = {
        name: {i: vectors.of(tested[name][i], paths[i], FRAMES) for i in paths} for name, vectors in of_hand.items()
    }

    def figures(name: str, decoded: Mapping[str, np.ndarray]) -> dict[str, Any]:
        motions = {i: of_hand[name].motion(decoded[i], paths[i], tested[name][i]) for i in paths}
        return summary(motion_errors(motions[i], tested[name][i], hands[name]) for i in paths)

    together = np.concatenate([train[name] for name in hands], axis=1)
    start = np.cumsum([0, *(train[name].shape[1] for name in hands)])
    slices = {name: slice(a, b) for name, a, b in zip(hands, start[:-1], start[1:], strict=True)}
    for rate in rates:
        for name in hands:
            code = fit_linear_code(train[name], int(rate * FRAMES))
            decoded = {i: code.decode(code.cut(code.components(x))) for i, x in test[name].items()}
            yield {"hand": name, "quantiser": "pca", "source": "own", "bits_per_frame": code.bits / FRAMES,
                   **figures(name, decoded)}  # fmt: skip
        code = fit_linear_code(together, int(rate * FRAMES))
        wanted = code.components(together)
        words = {}
        for name in hands:
            mean = train[name].mean(axis=0)
            gram = (train[name] - mean).T @ (train[name] - mean)
            gram += _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
            encoder = np.linalg.solve(gram, (train[name] - mean).T @ wanted)  # components have mean 0
            words[name] = {i: code.cut((x - mean) @ encoder) for i, x in test[name].items()}
        pairs = [(name, name) for name in hands]
        if RECORDED_HAND in hands:
            pairs += [(RECORDED_HAND, name) for name in hands if name != RECORDED_HAND]
        for source, name in pairs:
            decoded = {i: code.decode(y)[:, slices[name]] for i, y in words[source].items()}
            yield {"hand": name, "quantiser": "pca shared", "source": "own" if source == name else source,
                   "bits_per_frame": code.bits / FRAMES, **figures(name, decoded)}  # fmt: skip
    for name, vectors in of_hand.items():
        frames = np.concatenate([vectors.of(training[name][i], learned[i], 1) for i in learned])
        points = torch.from_numpy(frames).float()
        centroids = kmeans(points, codes, torch.Generator().manual_seed(seed))
        decoded = {}
        for i in paths:
            x = torch.from_numpy(vectors.of(tested[name][i], paths[i], 1)).float()
            decoded[i] = centroids[nearest(x, centroids)].double().numpy()
        yield {"hand": name, "quantiser": f"k-means {len(centroids)}", "source": "own",
               "bits_per_frame": float(np.log2(len(centroids))), **figures(name, decoded)}  # fmt: skip
