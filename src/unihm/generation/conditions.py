"""What a batch of motions is generated from, as tensors.

Letters: B batch, L words, n points, T frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unihm.tokenizer.hand_chart import LatentPose


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Words, object, path and start of B motions; geometry is in the canonical frame of `geometry.object_frame`."""

    words: Float[Tensor, "B L w"]
    """Token states of the instructions."""
    words_mask: Bool[Tensor, "B L"]
    """Which of them are real; none, where the instruction is dropped."""
    points: Float[Tensor, "B n 3"]
    """Object clouds in the canonical object frame, m."""
    cloud_given: Bool[Tensor, " B"]
    """False where the cloud is dropped."""
    T_world_canonical: Float[Tensor, "B T 4 4"]
    """Paths of the canonical object frame, m; T is a whole number of chunks, filled with the last pose. Where the path
    is not given the frame stands still: the hand is then told relative to where the object was."""
    path_given: Bool[Tensor, " B"]
    """False where the path is left out."""
    lengths: Int[Tensor, " B"]
    """Real frames."""
    lift: Int[Tensor, " B"]
    """First frame in which the object has left its rest; means nothing where the path is left out."""
    view: Float[Tensor, "B 2"]
    """Horizontal direction in which the speaker looks, a unit vector in the canonical frame: what "from the left"
    means. Zero where it is not known."""
    start: LatentPose
    """(B,) initial poses as every hand's chart reads them, E_j(Qpos_0) of Eq. 9."""

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Tensor) -> Conditions:
        """Some of the motions, in the given order; a motion may be taken more than once."""
        return Conditions(**{name: value[rows] for name, value in vars(self).items()})


def lift_phase(lengths: Int[Tensor, " B"], lift: Int[Tensor, " B"], frames: int) -> Float[Tensor, "B T"]:
    """Phase of every frame: 0 to 1 until the object leaves its rest, 1 to 2 after it; 2 behind the end."""
    lift = torch.minimum(lift, lengths - 1).clamp(min=0)[:, None]
    frame = torch.arange(frames, device=lengths.device)[None]
    last = lengths[:, None] - 1
    approach = frame / lift.clamp(min=1)
    carry = 1 + (frame - lift) / (last - lift).clamp(min=1)
    return torch.where(frame < lift, approach, carry).clamp(max=2)


def frame_at(phases: Float[Tensor, " K"], lengths: Int[Tensor, " B"], lift: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
    """The (fractional) frame at each phase, the inverse of `lift_phase`."""
    last = (lengths - 1)[:, None]
    lift = torch.minimum(lift, lengths - 1).clamp(min=0)[:, None]
    return torch.where(phases < 1, phases * lift, lift + (phases - 1) * (last - lift))


def values_at(x: Float[Tensor, "B S *rest"], time: Float[Tensor, "B T"]) -> Float[Tensor, "B T *rest"]:
    """Rows between rows, linearly; before the first and after the last they stay."""
    low = time.floor().long().clamp(0, x.shape[1] - 1)
    high = (low + 1).clamp(max=x.shape[1] - 1)
    weight = (time - low).clamp(0, 1).reshape(*time.shape, *[1] * (x.ndim - 2))
    row = torch.arange(len(x), device=x.device)[:, None]
    return (1 - weight) * x[row, low] + weight * x[row, high]
