"""The columns fid, kid, diversity, multimodality and r_precision of a table's row, over repeats, with intervals.

Every repeat draws one sample of each recording, cuts the recordings into two random halves, and compares the samples
of one half with the truth of the other, both ways round. Truth against truth over the same halves is the floor,
`fid_floor` and `kid_floor`: what a perfect method reaches. Comparing samples with the truth of their own recordings
instead would reward those that share the given object path with it, whatever the hand does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.evaluation.distribution_metrics import (
    POOL,
    TOP,
    diversity,
    fid,
    halves,
    matching_distance,
    mmd2,
    multimodality,
    r_precision,
)
from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.motion_text.encoder import AXES, MetricEncoder
from unihm.evaluation.references import Given

COLUMNS = ("fid", "kid", "diversity", "multimodality", *(f"r_precision_{top}" for top in TOP), "matching_distance")
"""Of a row; each has an interval ``*_ci``."""
FLOORS = ("fid_floor", "kid_floor")
"""Further columns: the truth against itself."""
REPEATS = 20
"""As in Guo et al. 2022."""

Figures = dict[str, float | list[float] | None]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the samples of one table part and hand are measured by."""

    given: tuple[Given, ...]
    """Of each recording."""
    slots: tuple[int, ...]
    """Human keypoints that the hand's are."""
    truth: Float[np.ndarray, "n d"]
    """Features of the recorded motions."""
    texts: tuple[Float[np.ndarray, "_ d"], ...]
    """Features of each recording's instructions."""

    def __len__(self) -> int:
        return len(self.given)


def recorded(
    encoder: MetricEncoder,
    truths: Sequence[Track],
    given: Sequence[Given],
    instructions: Sequence[Sequence[str]],
    slots: Sequence[int],
) -> Recorded:
    """The truth in features, once for all methods.

    Args:
        encoder: Makes features.
        truths: Recorded motions of one hand.
        given: What is known of each.
        instructions: Sentences of each, as many as one likes.
        slots: `HandModel.keypoint_indices` as a list.

    Raises:
        ValueError: Not as many of one as of another, or as for `MetricEncoder.motion_features`.
    """
    if not len(truths) == len(given) == len(instructions):
        raise ValueError(f"There are {len(truths)} motions, {len(given)} given, {len(instructions)} instructed.")
    flat = encoder.text_features([text for texts in instructions for text in texts])
    ends = np.cumsum([len(texts) for texts in instructions])[:-1]
    return Recorded(
        given=tuple(given),
        slots=tuple(slots),
        truth=encoder.motion_features(truths, given, slots),
        texts=tuple(np.split(flat, ends)),
    )


def distribution_figures(
    encoder: MetricEncoder,
    of: Recorded,
    samples: Sequence[Sequence[Track]],
    *,
    reads_words: bool = True,
    seed: int = 0,
    repeats: int = REPEATS,
) -> Figures:
    """All columns of one row.

    Args:
        encoder: The one that `of` was made with.
        of: What is measured by.
        samples: Motions that a method gave for each recording, equally many for all. Sample s was asked for by
            instruction s, counted round.
        reads_words: Whether the method read the instruction. Otherwise a motion is compared with any of the
            recording's, drawn anew in each repeat.
        seed: Of everything drawn.
        repeats: How often.

    Returns:
        Each of `COLUMNS` and `FLOORS` as the mean over repeats, and ``<name>_ci``: mean -+ 1.96 standard deviations /
        sqrt(repeats), as is usual for these metrics; it tells the chance of the drawing, not that of which recordings
        there are. None where it cannot be told: fid of fewer than 2 x 17 recordings (16 axes), R-precision of
        fewer than 32, multimodality of one sample.

    Raises:
        ValueError: The samples are not as many for all recordings, there are fewer than four recordings, or as for
            `MetricEncoder.motion_features`.
    """
    count = len(samples[0]) if samples else 0
    if len(samples) != len(of) or count < 1 or any(len(of_one) != count for of_one in samples):
        raise ValueError(f"Samples of {len(samples)} recordings, expected equally many of each of {len(of)}.")
    if len(of) < 4:
        raise ValueError(f"{len(of)} recordings are too few for two halves; expected at least 4.")
    tracks = [track for of_one in samples for track in of_one]
    given = [known for known in of.given for _ in range(count)]
    features = encoder.motion_features(tracks, given, of.slots).reshape(len(of), count, -1)
    rng = np.random.default_rng(seed)
    found = [_once(encoder, of, features, reads_words, rng) for _ in range(repeats)]
    figures: Figures = {}
    for name in (*COLUMNS, *FLOORS):
        values = [once[name] for once in found if name in once]
        figures[name], figures[f"{name}_ci"] = _mean_and_interval(values)
    return figures


def _once(
    encoder: MetricEncoder, of: Recorded, features: Float[np.ndarray, "n s d"], reads_words: bool, rng
) -> Mapping[str, float]:
    """One repeat; columns that cannot be told are missing."""
    n, count = features.shape[:2]
    chosen = rng.integers(count, size=n)
    motions = features[np.arange(n), chosen]
    which = [s % len(t) if reads_words else rng.integers(len(t)) for s, t in zip(chosen, of.texts, strict=True)]
    texts = np.stack([of_one[i] for of_one, i in zip(of.texts, which, strict=True)])
    x, real = encoder.coordinates(motions), encoder.coordinates(of.truth)
    a, b = halves(n, rng)
    found = {
        "kid": (mmd2(real[b], x[a]) + mmd2(real[a], x[b])) / 2,
        "kid_floor": mmd2(real[a], real[b]),
        "diversity": diversity(motions, rng),
        "matching_distance": matching_distance(motions, texts),
    }
    if len(a) > AXES:
        found["fid"] = (fid(real[b], x[a]) + fid(real[a], x[b])) / 2
        found["fid_floor"] = fid(real[a], real[b])
    if n >= POOL:
        rates = r_precision(motions, texts, rng, pools=1)
        found |= {f"r_precision_{top}": float(rate) for top, rate in zip(TOP, rates, strict=True)}
    if count > 1:
        found["multimodality"] = multimodality(features, rng)
    return found


def _mean_and_interval(values: Sequence[float]) -> tuple[float | None, list[float] | None]:
    if not values:
        return None, None
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return mean, [mean - half, mean + half]
