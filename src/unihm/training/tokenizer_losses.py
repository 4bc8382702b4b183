"""What the tokenizer is trained to keep: features, and keypoints by forward kinematics.

Differs from the paper: its reconstruction (Eqs. 4, B7) compares joint vectors alone. Keypoint errors in
centimetres are added, because a radian at a knuckle, a radian at a fingertip and a step of the palm are not
equally visible.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unihm.geometry.lie import transform_points
from unihm.hands.hand import HandModel
from unihm.tokenizer.features import PALM_SIZE, HandFeatures
from unihm.training.presets import TokenizerTraining

_CENTIMETRE = 0.01  # m; the unit of the keypoint terms
_AXES_LENGTH = 0.1  # m; about the length of a palm


def reconstruction_loss(
    x_hat: Float[Tensor, "B T F"],
    x: Float[Tensor, "B T F"],
    num_frames: Int[Tensor, " B"],
    features: HandFeatures,
    hand: HandModel,
    config: TokenizerTraining,
    rng: torch.Generator,
) -> tuple[Float[Tensor, ""], float]:
    """``w_p mean (dx_palm)^2 + w_j mean (dx_joint)^2 + w_k mean ||e_t|| + w_v mean ||e_{t+1} - e_t||``.

    e are errors, in cm, of keypoints and of the ends of the palm's axes. The squared terms look redundant beside
    them, but have no false minima: with keypoints alone, and few of them, a palm can settle upside down.

    Args:
        x_hat: Decoded features.
        x: True features.
        num_frames: Frames of each motion that count.
        features: The hand's scaling.
        hand: The hand's kinematics.
        config: Weights, and at how many pairs of frames keypoints are compared.
        rng: CPU generator that draws the pairs.

    Returns:
        The loss, and the mean error e in mm; NaN where it has no weight.
    """
    valid = torch.arange(x.shape[1], device=x.device)[None] < num_frames[:, None]
    square = (x_hat - x).square()
    palm, joints = square[..., :PALM_SIZE].mean(-1), square[..., PALM_SIZE:].mean(-1)
    features_term = ((config.palm_weight * palm + config.joint_weight * joints) * valid).sum() / valid.sum()
    if config.keypoint_weight == config.velocity_weight == 0:
        return features_term, float("nan")
    # A few pairs of neighbouring frames of each motion: forward kinematics costs more than the networks.
    choices = (num_frames - 1).clamp(min=1)
    draw = torch.rand(len(x), config.keypoint_pairs, generator=rng).to(x.device)
    first = (draw * choices[:, None]).long()
    second = torch.minimum(first + 1, num_frames[:, None] - 1)
    frames = torch.stack([first, second], -1)
    error = _keypoints(x_hat, frames, features, hand) - _keypoints(x, frames, features, hand).detach()
    distance, velocity = _norm(error), _norm(error[:, :, 1] - error[:, :, 0])
    visible = config.keypoint_weight * distance.mean() + config.velocity_weight * velocity.mean()
    return features_term + visible.to(x.dtype), 10 * distance.mean().item()


def _keypoints(
    x: Float[Tensor, "B T F"], frames: Int[Tensor, "B p 2"], features: HandFeatures, hand: HandModel
) -> Float[Tensor, "B p 2 k 3"]:
    """Keypoints, palm origin and ends of the palm's axes in the canonical frame at some frames, cm."""
    row = torch.arange(len(x), device=x.device)[:, None, None]
    qpos, T_canonical_palm = features.unpack(x[row, frames].double())
    points = hand.keypoints(qpos)
    ends = _AXES_LENGTH * torch.eye(3, dtype=points.dtype, device=points.device).expand(*points.shape[:-2], 3, 3)
    points = torch.cat([points, torch.zeros_like(points[..., :1, :]), ends], -2)
    return transform_points(T_canonical_palm, points) / _CENTIMETRE


def _norm(error: Tensor) -> Tensor:
    return (error.square().sum(-1) + 1e-6).sqrt()  # smooth at zero, where the root has no gradient
