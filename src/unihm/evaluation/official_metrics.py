"""Legacy: the figures of the public UniHM evaluation script under their names, to stand beside published ones.

They do not measure what the paper's appendix F defines; our own metrics are those of `motion_metrics` and
`distribution_metrics`. Rebuilt from a description of what the script computes, not from its code:

- ``official_mpjpe`` sums |dq| over the finger joints, rad, and multiplies by 180/6.28: half of degrees, and a sum;
- ``official_fol`` and ``official_fpl`` are L1 averages over all frames, not errors of the last one;
- ``official_fid`` is taken on raw joint vectors, sequence by sequence, and scaled by 28.66, which is 180/6.28 again;
- ``official_diversity`` is a sum over the last 16 files, not a mean;
- a failed prediction counts as zero error.

What that leaves open is assumed: sums over joints are averaged over frames, then over sequences, failed ones among
them; an L1 average is one over the numbers of a frame too (3 of the position, m; 3 of the rotation vector, rad); a
sequence's FID is that of its predicted frames and its true ones; a file's diversity is the mean distance of two of its
frames' joint vectors, in the form of Eq. F9, and a failed file has none. Sequences of different lengths are compared
over the shorter one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import pdist

from unihm.evaluation.distribution_metrics import fid

SCALE = 180 / 6.28
"""Written as degrees of radians, with a full turn in the place of half a turn: 28.66."""
LAST_FILES = 16
"""Files whose diversities are summed."""


@dataclass(frozen=True, kw_only=True)
class OfficialSequence:
    """One sequence as the script sees it: raw joint values, no kinematics."""

    qpos: Float[np.ndarray, "T nq"]
    """Finger joints, rad."""
    position: Float[np.ndarray, "T 3"]
    """Hand root, m."""
    rotation: Float[np.ndarray, "T 3"]
    """Its orientation as a rotation vector, rad."""


def official_metrics(
    predictions: Sequence[OfficialSequence | None], truths: Sequence[OfficialSequence]
) -> dict[str, float]:
    """All ``official_*`` figures of a list of sequences, in the order of their files.

    Args:
        predictions: None where a prediction failed.
        truths: What was recorded.

    Raises:
        ValueError: There are no sequences, not as many predictions as truths, or the joints differ in number.
    """
    if not truths or len(predictions) != len(truths):
        raise ValueError(f"There are {len(predictions)} predictions for {len(truths)} recorded sequences.")
    names = ("official_mpjpe", "official_fol", "official_fpl", "official_fid")
    sums, diversities = dict.fromkeys(names, 0.0), []
    for predicted, truth in zip(predictions, truths, strict=True):
        if predicted is None:
            diversities.append(0.0)
            continue
        if predicted.qpos.shape[1] != truth.qpos.shape[1]:
            raise ValueError(f"A prediction has {predicted.qpos.shape[1]} joints, the truth {truth.qpos.shape[1]}.")
        T = min(len(predicted.qpos), len(truth.qpos))
        sums["official_mpjpe"] += SCALE * float(np.abs(predicted.qpos[:T] - truth.qpos[:T]).sum(axis=1).mean())
        sums["official_fol"] += float(np.abs(predicted.rotation[:T] - truth.rotation[:T]).mean())
        sums["official_fpl"] += float(np.abs(predicted.position[:T] - truth.position[:T]).mean())
        sums["official_fid"] += SCALE * fid(truth.qpos[:T], predicted.qpos[:T])
        diversities.append(float(pdist(predicted.qpos).mean()))
    figures = {name: total / len(truths) for name, total in sums.items()}
    return figures | {"official_diversity": sum(diversities[-LAST_FILES:])}
