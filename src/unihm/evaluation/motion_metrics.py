"""How far a generated motion is from the recorded one: MPJPE, FPL, FOL (Eqs. F1 to F4) and jerk.

Every function scores one sequence; `score` collects them, `mean_and_interval` averages over sequences (Eq. F2)
with a 95 % bootstrap interval. Sequences are compared frame by frame at their own rate, never resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

METRICS = ("mpjpe_mm", "mpjpe_wrist_mm", "fpl_mm", "fol_deg", "jerk")


@dataclass(frozen=True, kw_only=True)
class Track:
    """Where a hand is over T frames: what the metrics compare."""

    keypoints_world: Float[np.ndarray, "T k 3"]
    """Keypoints of the hand, m. Two tracks can be compared where they list the same keypoints."""
    T_world_palm: Float[np.ndarray, "T 4 4"]
    """Palm pose, m: the hand root of Eqs. F3 and F4."""
    wrist_world: Float[np.ndarray, "T 3"]
    """What `mpjpe_wrist_mm` subtracts, m: the wrist keypoint where the hand has one, else the palm's origin."""
    fps: float
    """Frames per second."""

    def __len__(self) -> int:
        return len(self.keypoints_world)


def mpjpe_mm(predicted: Float[np.ndarray, "T k 3"], truth: Float[np.ndarray, "T k 3"]) -> float:
    """Mean per-joint position error of one sequence, mm: ``1/(T J) sum_t sum_j |p_tj - g_tj|`` (Eq. F1)."""
    return 1e3 * float(np.linalg.norm(predicted - truth, axis=-1).mean())


def mpjpe_wrist_mm(
    predicted: Float[np.ndarray, "T k 3"],
    truth: Float[np.ndarray, "T k 3"],
    predicted_wrist: Float[np.ndarray, "T 3"],
    true_wrist: Float[np.ndarray, "T 3"],
) -> float:
    """`mpjpe_mm` after each side's wrist position is subtracted in every frame; orientation stays in it.

    The wrist itself, where it is among the keypoints, counts with its error of zero, as J counts it in Eq. F1.
    """
    return mpjpe_mm(predicted - predicted_wrist[:, None], truth - true_wrist[:, None])


def fpl_mm(predicted: Float[np.ndarray, "T 4 4"], truth: Float[np.ndarray, "T 4 4"]) -> float:
    """Final position location error, mm: distance of the palm origins in the last frame (Eq. F3)."""
    return 1e3 * float(np.linalg.norm(predicted[-1, :3, 3] - truth[-1, :3, 3]))


def fol_deg(predicted: Float[np.ndarray, "T 4 4"], truth: Float[np.ndarray, "T 4 4"]) -> float:
    """Final orientation location error, degrees: geodesic angle of the palms in the last frame (Eq. F4).

    Differs from the paper: ``2 asin(|R - R'|_F / sqrt(8))``, which is the same angle as
    ``acos((tr(R^T R') - 1) / 2)`` but keeps its digits near zero, where the arc cosine loses half of them.
    """
    chord = np.linalg.norm(predicted[-1, :3, :3] - truth[-1, :3, :3])
    return float(np.degrees(2 * np.arcsin(np.clip(chord / np.sqrt(8), 0, 1))))


def jerk(keypoints_world: Float[np.ndarray, "T k 3"], fps: float) -> float:
    """Mean norm of the third time derivative of the keypoints, m/s³; NaN for fewer than four frames.

    A property of one motion, not an error: compare it with the ground truth's own.
    """
    if len(keypoints_world) < 4:
        return float("nan")
    return float(np.linalg.norm(np.diff(keypoints_world, n=3, axis=0), axis=-1).mean() * fps**3)


def score(predicted: Track, truth: Track) -> dict[str, float]:
    """All metrics of one sequence by name (see `METRICS`).

    Raises:
        ValueError: The two have different lengths or keypoints, or the prediction is not finite. A failed
            prediction must never count as a small error.
    """
    if predicted.keypoints_world.shape != truth.keypoints_world.shape:
        raise ValueError(
            f"Cannot compare keypoints of shape {predicted.keypoints_world.shape} with {truth.keypoints_world.shape}."
        )
    if not (np.isfinite(predicted.keypoints_world).all() and np.isfinite(predicted.T_world_palm).all()):
        raise ValueError("The predicted motion holds NaN or infinite values.")
    return {
        "mpjpe_mm": mpjpe_mm(predicted.keypoints_world, truth.keypoints_world),
        "mpjpe_wrist_mm": mpjpe_wrist_mm(
            predicted.keypoints_world, truth.keypoints_world, predicted.wrist_world, truth.wrist_world
        ),
        "fpl_mm": fpl_mm(predicted.T_world_palm, truth.T_world_palm),
        "fol_deg": fol_deg(predicted.T_world_palm, truth.T_world_palm),
        "jerk": jerk(predicted.keypoints_world, predicted.fps),
    }


def mean_and_interval(
    values: Float[np.ndarray, " n"], seed: int = 0, resamples: int = 2000
) -> tuple[float, float, float]:
    """Mean over sequences (Eq. F2) and its 95 % percentile-bootstrap interval, resampling sequences.

    Values that are NaN (a jerk of a very short motion) are left out of the mean.
    """
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return float("nan"), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def summarise(
    scores: Sequence[Mapping[str, float]], seed: int = 0, names: Sequence[str] = METRICS
) -> dict[str, float | list[float] | None]:
    """Mean and interval of every metric: ``{"mpjpe_mm": 46.1, "mpjpe_mm_ci": [42.0, 50.3], ...}``.

    Both are None where no sequence has the metric.
    """
    summary: dict[str, float | list[float] | None] = {}
    for name in names:
        mean, low, high = mean_and_interval(np.array([s[name] for s in scores], dtype=float), seed)
        none = np.isnan(mean)
        summary[name], summary[f"{name}_ci"] = (None, None) if none else (mean, [low, high])
    return summary
