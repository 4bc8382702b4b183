"""The object path as tokens: a two-layer MLP on the poses of each chunk of frames (Eq. C3).

Poses are those of the canonical object frame relative to its own frame 0, so a path means the same wherever on
the table and whichever way round it is recorded.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unihm.generation.point_encoder import METRE
from unihm.geometry.lie import inverse

HIDDEN = 512
"""Hidden layer of the MLP (paper, C.3)."""
FEATURES = 17
"""Numbers a frame is described by."""
_SECOND = 30.0  # frames; the unit of every time feature
_MOVED = 0.01  # m; a displacement that annotation noise (1 to 3 mm at rest) does not reach


def path_features(T_world_canonical: Float[Tensor, "B T 4 4"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B T 17"]:
    """Each frame of a path in numbers of order one.

    Args:
        T_world_canonical: Path of the canonical object frame, m; frames from `lengths` on are padding.
        lengths: Number of real frames.

    Returns:
        Per frame: translation (3) and rotation (first two columns, less the identity, 6) relative to frame 0,
        velocity (3, 0.1 m per 4 frames), height of the frame's origin above the table (1), and four times in
        seconds or shares: since the start, until the end, the share of the path, since the object first moved.
    """
    T0 = T_world_canonical[:, :1]
    T = inverse(T0) @ T_world_canonical
    frames = T.shape[1]
    translation = METRE * T[..., :3, 3]
    rotation = (T[..., :3, :2] - torch.eye(3, 2, dtype=T.dtype, device=T.device)).flatten(-2)
    step = torch.diff(translation, dim=1, prepend=translation[:, :1])
    height = METRE * T_world_canonical[..., 2, 3:]
    time = torch.arange(frames, device=T.device).expand(len(T), -1)
    last = (lengths - 1)[:, None]
    moved = translation.norm(dim=-1) > METRE * _MOVED
    onset = torch.where(moved.any(dim=1), moved.int().argmax(dim=1), lengths)[:, None]
    times = torch.stack(
        [time / _SECOND, (last - time) / _SECOND, time / last.clamp(min=1), (time - onset) / _SECOND], dim=-1
    ).to(T.dtype)
    features = torch.cat([translation, rotation, 4 * step, height, times], dim=-1)
    return features * (time <= last)[..., None]


class TrajectoryEncoder(nn.Module):
    """``z = s2(W2 s1(W1 p + b1) + b2)`` on the frames of one chunk."""

    def __init__(self, width: int, frames_per_chunk: int):
        """Build the encoder for tokens of `width` dimensions."""
        super().__init__()
        self.frames_per_chunk = frames_per_chunk
        self.mlp = nn.Sequential(
            nn.Linear(frames_per_chunk * FEATURES, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, width), nn.GELU()
        )

    def forward(
        self, T_world_canonical: Float[Tensor, "B T 4 4"], lengths: Int[Tensor, " B"]
    ) -> Float[Tensor, "B N d"]:
        """One token a chunk; T must be a multiple of the chunk length, padded by repeating the last frame."""
        features = path_features(T_world_canonical, lengths)
        return self.mlp(features.unflatten(1, (-1, self.frames_per_chunk)).flatten(-2))
