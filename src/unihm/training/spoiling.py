"""Good motions made bad, by a known strength: what the metric encoder learns to tell besides what words say.

A contrast of motions with sentences alone leaves an encoder blind to the hand: the object, its path and the side from
which the hand starts tell the sentence, and all of these are given to whatever is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from unihm.evaluation.motion_text.frames import Motions, clearance_of
from unihm.geometry.lie import make_transform, matrix_from_6d, rotation_6d, so3_exp, transform_points


@dataclass(frozen=True, kw_only=True)
class Spoiling:
    """The ways, one of which is drawn for each motion, and how far each goes at strength 1.

    A strength u does u squared of that, so that small faults are frequent.
    """

    shift: float = 0.08
    """m; the palm is beside its place, in a direction that stays the same."""
    turn_deg: float = 60.0
    """The palm is turned about an axis that stays the same."""
    blend: float = 0.7
    """Share of another recording of the hand that is mixed in, as in a mean over motions."""
    late: float = 0.4
    """Share of the motion by which the hand is early or late; the object is not."""


def spoiled(
    motions: Motions,
    others: Motions,
    T_canonical_object: Float[np.ndarray, "B 4 4"],
    clouds: Sequence[KDTree],
    spoiling: Spoiling,
    rng: torch.Generator,
) -> tuple[Motions, Float[Tensor, " B"]]:
    """The motions with a fault each, and its strength u in 0 to 1.

    Args:
        motions: Recorded ones.
        others: As many other recordings of the same hands.
        T_canonical_object: Pose of the object in the canonical frame, m.
        clouds: Of the objects, in their own frames, from which distances are taken anew.
        spoiling: How.
        rng: Draws ways and strengths.
    """
    count, frames = motions.T_canonical_palm.shape[:2]
    way = torch.randint(4, (count,), generator=rng)
    strength = torch.rand(count, generator=rng)
    amount = strength**2
    step = torch.arange(frames)[None]
    row = torch.arange(count)[:, None]

    late = torch.where(way == 3, amount, torch.zeros(())) * spoiling.late * motions.lengths
    late = late.round().long() * torch.where(torch.rand(count, generator=rng) < 0.5, -1, 1)
    time = torch.minimum((step - late[:, None]).clamp(min=0), motions.lengths[:, None] - 1)
    palm, keypoints = motions.T_canonical_palm[row, time], motions.keypoints_palm[row, time]

    share = (torch.where(way == 2, amount, torch.zeros(())) * spoiling.blend)[:, None, None]
    # The other motion over the same share of its time.
    pace = (others.lengths - 1) / (motions.lengths - 1).clamp(min=1)
    at = torch.minimum((step * pace[:, None]).round().long(), others.lengths[:, None] - 1)
    palm_other, keypoints_other = others.T_canonical_palm[row, at], others.keypoints_palm[row, at]
    R = matrix_from_6d((1 - share) * rotation_6d(palm[..., :3, :3]) + share * rotation_6d(palm_other[..., :3, :3]))
    t = (1 - share) * palm[..., :3, 3] + share * palm_other[..., :3, 3]
    keypoints = (1 - share[..., None]) * keypoints + share[..., None] * keypoints_other

    t = t + (torch.where(way == 0, amount, torch.zeros(())) * spoiling.shift)[:, None, None] * _direction(count, rng)
    angle = torch.where(way == 1, amount, torch.zeros(())) * np.deg2rad(spoiling.turn_deg)
    R = R @ so3_exp(angle[:, None, None] * _direction(count, rng))
    palm = make_transform(R, t)
    found = replace(motions, T_canonical_palm=palm, keypoints_palm=keypoints)
    return replace(found, clearance=_clearance(found, T_canonical_object, clouds)), strength


def _clearance(
    motions: Motions, T_canonical_object: Float[np.ndarray, "B 4 4"], clouds: Sequence[KDTree]
) -> Float[Tensor, "B T 21"]:
    """Distances of the keypoints from the objects."""
    points = transform_points(motions.T_canonical_palm, motions.keypoints_palm).double().numpy()
    R, t = T_canonical_object[:, None, :3, :3], T_canonical_object[:, None, None, :3, 3]
    points_object = (points - t) @ R
    found = torch.zeros(motions.clearance.shape)
    for row, cloud in enumerate(clouds):
        frames, slots = int(motions.lengths[row]), motions.present[row].nonzero().flatten()
        own = clearance_of(points_object[row, :frames][:, slots], cloud)
        found[row, :frames, slots] = torch.from_numpy(own).float()
        found[row, frames:] = found[row, frames - 1]
    return found


def _direction(count: int, rng: torch.Generator) -> Float[Tensor, "B 1 3"]:
    """Random unit vectors."""
    return torch.nn.functional.normalize(torch.randn(count, 1, 3, generator=rng), dim=-1)
