"""Batches for the tokenizer: the same motion on several hands, varied in the same way for all of them.

Letters: S motions of the set, B motions of a batch, T frames, N chunks, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unihm.geometry.lie import so3_exp
from unihm.schema.motion import HandMotion
from unihm.tokenizer.features import PALM_SIZE, POSITION_SCALE, HandFeatures, canonical_path
from unihm.tokenizer.vqvae import chunk_mask
from unihm.training.presets import Augmentation


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Motions of several hands, frame by frame the same moment."""

    features: dict[str, Float[Tensor, "B T _"]]
    """Features of each hand; after its end a motion stays at its last frame."""
    num_frames: Int[Tensor, " B"]
    """Frames of each motion that count."""
    mask: Bool[Tensor, "B N"]
    """Chunks that hold at least one frame."""
    quantised: bool = True
    """False while the codebook does not exist yet."""


class PairedMotions:
    """Motions of several hands in the canonical object frames of the reference hand."""

    def __init__(
        self,
        motions: Mapping[str, Mapping[str, HandMotion]],
        hands: Mapping[str, HandFeatures],
        *,
        reference_hand: str,
        max_frames: int,
    ):
        """Pack motions into arrays.

        Args:
            motions: hand -> episode id -> motion with its object; every hand has the same ids.
            hands: How each hand's joints are scaled.
            reference_hand: The hand whose palm fixes the canonical frames.
            max_frames: Longer motions are cut.

        Raises:
            ValueError: There are no motions, or hands have motions of other episodes or other lengths.
        """
        reference = motions[reference_hand]
        if not reference:
            raise ValueError("There are no motions to train on.")
        self.ids = tuple(reference)
        self.lengths = torch.tensor([min(len(m), max_frames) for m in reference.values()])
        T = int(self.lengths.max())
        self.features = {}
        paths = {name: canonical_path(motion) for name, motion in reference.items()}
        for hand, of_hand in motions.items():
            different = set(of_hand) ^ set(reference)
            if different:
                raise ValueError(f"Hands '{hand}' and '{reference_hand}' differ in '{min(different)}' and others.")
            rows = []
            for name in self.ids:
                motion = of_hand[name]
                if len(motion) != len(paths[name]):
                    raise ValueError(f"'{name}' has {len(motion)} frames on '{hand}', others {len(paths[name])}.")
                x_TF = hands[hand].of_motion(motion, paths[name]).float()
                rows.append(x_TF[torch.arange(T).clamp(max=len(motion) - 1)])
            self.features[hand] = torch.stack(rows)

    def __len__(self) -> int:
        return len(self.ids)

    def batches(
        self,
        hands: tuple[str, ...],
        size: int,
        frames_per_chunk: int,
        rng: torch.Generator,
        *,
        augmentation: Augmentation | None,
        quantised: bool = True,
        shuffle: bool = True,
    ) -> Iterator[Batch]:
        """All motions once, in batches.

        Args:
            hands: Hands to put into the batches.
            size: Motions in a batch; the last one may be smaller.
            frames_per_chunk: Motions are padded to a whole number of chunks.
            rng: Draws order and variation.
            augmentation: How motions are varied; None leaves them as they are.
            quantised: Passed on to the batches.
            shuffle: False keeps the order.
        """
        order = torch.randperm(len(self), generator=rng) if shuffle else torch.arange(len(self))
        for rows in order.split(size):
            time_BT, num_frames = self._times(rows, frames_per_chunk, augmentation, rng)
            frame = _frame_jitter(len(rows), augmentation, rng)
            features = {hand: _move(_sample(self.features[hand][rows], time_BT), *frame) for hand in hands}
            mask = chunk_mask(num_frames, time_BT.shape[1] // frames_per_chunk, frames_per_chunk)
            yield Batch(features=features, num_frames=num_frames, mask=mask, quantised=quantised)

    def _times(
        self, rows: Tensor, frames_per_chunk: int, augmentation: Augmentation | None, rng: torch.Generator
    ) -> tuple[Float[Tensor, "B T"], Int[Tensor, " B"]]:
        """At which time, in frames, each output frame is sampled; and how many frames count."""
        length = self.lengths[rows].float()
        longest = int(self.lengths.max())
        if augmentation is None:
            start, end, rate = torch.zeros_like(length), length - 1, torch.ones_like(length)
        else:
            # Short motions lose at most an eighth at either end.
            cut = torch.minimum(length / 8, torch.tensor(float(augmentation.shift_frames)))
            start = (torch.rand(len(rows), generator=rng) * (cut + 1)).floor()
            end = length - 1 - (torch.rand(len(rows), generator=rng) * (cut + 1)).floor()
            rate = augmentation.speed ** (2 * torch.rand(len(rows), generator=rng) - 1)
        num_frames = (((end - start) / rate).floor().long() + 1).clamp(max=longest)
        T = -(-int(num_frames.max()) // frames_per_chunk) * frames_per_chunk
        step = torch.minimum(torch.arange(T)[None], num_frames[:, None] - 1)
        return start[:, None] + rate[:, None] * step, num_frames


def _sample(x_BSF: Float[Tensor, "B S F"], time_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T F"]:
    """Features between frames, interpolated linearly (orientations are made proper again when unpacked)."""
    low = time_BT.floor().long().clamp(0, x_BSF.shape[1] - 1)
    high = (low + 1).clamp(max=x_BSF.shape[1] - 1)
    weight = (time_BT - low)[..., None]
    row = torch.arange(len(x_BSF))[:, None]
    return (1 - weight) * x_BSF[row, low] + weight * x_BSF[row, high]


def _frame_jitter(
    count: int, augmentation: Augmentation | None, rng: torch.Generator
) -> tuple[Float[Tensor, "B 3 3"], Float[Tensor, "B 3"]]:
    """Rotation and displacement of the canonical frame, one for each motion."""
    if augmentation is None:
        return torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3)
    tilt, yaw = np.deg2rad(augmentation.tilt_deg), np.deg2rad(augmentation.yaw_deg)
    omega = torch.randn(count, 3, generator=rng) * torch.tensor([tilt, tilt, yaw], dtype=torch.float32)
    return so3_exp(omega), torch.randn(count, 3, generator=rng) * augmentation.shift


def _move(x_BTF: Float[Tensor, "B T F"], R: Float[Tensor, "B 3 3"], t: Float[Tensor, "B 3"]) -> Float[Tensor, "B T F"]:
    """Features in a moved canonical frame: three 3-vectors turn, the first one also shifts."""
    vectors = x_BTF[..., :PALM_SIZE].unflatten(-1, (3, 3))
    turned = torch.einsum("bij,btkj->btki", R, vectors)
    turned = torch.cat([turned[:, :, :1] + t[:, None, None] / POSITION_SCALE, turned[:, :, 1:]], 2)
    return torch.cat([turned.flatten(-2), x_BTF[..., PALM_SIZE:]], -1)
