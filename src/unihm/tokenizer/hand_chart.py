"""One hand's configurations as those of the reference hand: a smooth map that can be inverted exactly.

A configuration is a palm pose in the canonical frame and joint positions between their limits (-1 to +1). The latent
pose is the reference hand's: its palm, and its joints with some spare coordinates behind them. A chart takes latent
poses to a hand's and back,

    joints, unseen = g(fingers)                 g: an invertible network (affine couplings)
    T_canonical_palm = T_reference exp(offset(fingers))

where ``unseen`` is what the hand cannot show of the latent fingers. The encoder is the decoder read backwards, with the
unseen coordinates guessed from the joints: ``fingers = g^-1(joints, guess(joints))``. Whatever the networks have
learned, a hand that is encoded and decoded comes back as it was; what they learn is to say the same as the other hands
(Eqs. 3, B13) and to understand them (Eq. 6). Palm poses turn and move with the frame, so nothing of them is learned.

Differs from the paper: E_h and D_h are one network and its inverse, not two networks.

Letters: n configurations, m latent fingers, q joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unihm.geometry.lie import inverse, matrix_from_6d, rotation_6d, se3_exp
from unihm.tokenizer.features import PALM_SIZE, POSITION_SCALE

_OFFSET_SCALE = 0.1  # of the palm offset's network: its outputs are of order one
_LARGEST_LOG_SCALE = 0.7  # of a coupling: each stretches by at most 2
_SMALLEST_GAIN = 0.15  # of the affine start in any direction, so that its inverse stays tame


@dataclass(frozen=True, kw_only=True)
class LatentPose:
    """What all hands share: the reference hand's palm and fingers."""

    R: Float[Tensor, "*batch 3 3"]
    """Palm orientation in the canonical frame."""
    t: Float[Tensor, "*batch 3"]
    """Palm position there, m."""
    fingers: Float[Tensor, "*batch m"]
    """Finger coordinates: the reference hand's joints, -1 to +1 within its limits, and spare ones."""

    def map(self, function) -> LatentPose:
        """The same function applied to each part."""
        return LatentPose(R=function(self.R), t=function(self.t), fingers=function(self.fingers))

    def __getitem__(self, index) -> LatentPose:
        return self.map(lambda part: part[index])


def join(function, poses) -> LatentPose:
    """`torch.cat` or `torch.stack` of several latent poses."""
    return LatentPose(
        R=function([p.R for p in poses]), t=function([p.t for p in poses]), fingers=function([p.fingers for p in poses])
    )


@runtime_checkable
class Chart(Protocol):
    """What the shared codec asks of a hand."""

    def encode(self, x: Float[Tensor, "*batch F"]) -> LatentPose:
        """Latent poses of a hand's features (see `tokenizer.features`)."""
        ...

    def decode(self, pose: LatentPose) -> Float[Tensor, "*batch F"]:
        """Features of latent poses."""
        ...


class ReferenceChart(nn.Module):
    """The reference hand's own: its joints are the latent fingers, the spare ones are zero."""

    def __init__(self, joints: int, latent: int):
        """A chart without parameters.

        Raises:
            ValueError: The hand has more joints than there are latent fingers.
        """
        super().__init__()
        if joints > latent:
            raise ValueError(f"A hand with {joints} joints does not fit into {latent} latent fingers.")
        self.joints, self.latent = joints, latent

    def encode(self, x: Float[Tensor, "*batch F"]) -> LatentPose:
        """Latent poses of features."""
        fingers = nn.functional.pad(x[..., PALM_SIZE:], (0, self.latent - self.joints))
        return LatentPose(R=matrix_from_6d(x[..., 3:PALM_SIZE]), t=x[..., :3] * POSITION_SCALE, fingers=fingers)

    def decode(self, pose: LatentPose) -> Float[Tensor, "*batch F"]:
        """Features of latent poses."""
        return torch.cat([pose.t / POSITION_SCALE, rotation_6d(pose.R), pose.fingers[..., : self.joints]], -1)


class HandChart(nn.Module):
    """A learned chart of another hand."""

    mixing: Tensor

    def __init__(self, joints: int, latent: int, *, width: int = 128, couplings: int = 6):
        """A chart that is affine to begin with.

        Args:
            joints: q of the hand.
            latent: m, an even number that is at least q.
            width: Of the networks' hidden layers.
            couplings: Number of coupling layers.

        Raises:
            ValueError: The hand has more joints than there are latent fingers, or m is odd.
        """
        super().__init__()
        if joints > latent or latent % 2:
            raise ValueError(f"A hand with {joints} joints needs at least as many latent fingers, an even number; "
                             f"got {latent}.")  # fmt: skip
        self.joints, self.latent = joints, latent
        self.gain = nn.Parameter(torch.eye(latent))
        self.bias = nn.Parameter(torch.zeros(latent))
        self.couplings = nn.ModuleList(_mlp(latent // 2, latent, width) for _ in range(couplings))
        # Fixed rotations between the couplings, so that each splits the fingers another way.
        rng = torch.Generator().manual_seed(0)
        mixing = torch.stack([torch.linalg.qr(torch.randn(latent, latent, generator=rng))[0] for _ in range(couplings)])
        self.register_buffer("mixing", mixing, persistent=False)
        self.guess = _mlp(joints, latent - joints, width) if joints < latent else None
        self.offset = _mlp(latent, 6, width)

    def encode(self, x: Float[Tensor, "*batch F"]) -> LatentPose:
        """Latent poses of features: the decoder, read backwards."""
        batch = x.shape[:-1]
        flat = x.reshape(-1, x.shape[-1])
        fingers = self.fingers_of(flat[:, PALM_SIZE:])
        R, t = matrix_from_6d(flat[:, 3:PALM_SIZE]), flat[:, :3] * POSITION_SCALE
        T_palm_reference = inverse(self.T_reference_palm(fingers))
        pose = LatentPose(
            R=R @ T_palm_reference[:, :3, :3],
            t=t + (R @ T_palm_reference[:, :3, 3:])[..., 0],
            fingers=fingers,
        )
        return pose.map(lambda part: part.reshape(*batch, *part.shape[1:]))

    def decode(self, pose: LatentPose) -> Float[Tensor, "*batch F"]:
        """Features of latent poses."""
        batch = pose.fingers.shape[:-1]
        fingers = pose.fingers.reshape(-1, self.latent)
        R, t = pose.R.reshape(-1, 3, 3), pose.t.reshape(-1, 3)
        T_reference_palm = self.T_reference_palm(fingers)
        position = t + (R @ T_reference_palm[:, :3, 3:])[..., 0]
        rotation = R @ T_reference_palm[:, :3, :3]
        x = torch.cat([position / POSITION_SCALE, rotation_6d(rotation), self.joints_of(fingers)], -1)
        return x.reshape(*batch, -1)

    @torch.no_grad()
    def start_from(
        self, fingers: Float[Tensor, "n m"], joints: Float[Tensor, "n q"], offset: Float[Tensor, "n 6"]
    ) -> None:
        """Begin as the affine regression of joints on latent fingers, with the mean palm offset.

        Directions that the joints hardly follow get a small gain all the same: an inverse needs one.

        Args:
            fingers: Of the reference hand.
            joints: Of this hand in the same moments, -1 to +1.
            offset: Logarithms of this hand's palm in the reference hand's.
        """
        mean, mean_joints = fingers.mean(0), joints.mean(0)
        X = fingers - mean
        scale = 0.05 * len(X) * 1e-3 * torch.eye(self.latent)
        slope = torch.linalg.solve(X.T @ X + scale, X.T @ (joints - mean_joints)).T
        rest = torch.linalg.svd(slope, full_matrices=True)[2][self.joints :]
        U, size, Vt = torch.linalg.svd(torch.cat([slope, rest]))
        gain = U @ torch.diag(size.clamp(min=_SMALLEST_GAIN)) @ Vt
        self.gain.copy_(gain)
        self.bias.copy_(nn.functional.pad(mean_joints, (0, self.latent - self.joints)) - gain @ mean)
        _last(self.offset).bias.copy_(offset.mean(0) / _OFFSET_SCALE)

    def T_reference_palm(self, fingers: Float[Tensor, "n m"]) -> Float[Tensor, "n 4 4"]:
        """This hand's palm in the reference hand's."""
        return se3_exp(_OFFSET_SCALE * self.offset(fingers))

    def joints_of(self, fingers: Float[Tensor, "n m"]) -> Float[Tensor, "n q"]:
        """What the hand shows of latent fingers, -1 to +1 within its limits; not clamped."""
        x = fingers
        for number, network in enumerate(self.couplings):
            kept, moved = self._split(x @ self.mixing[number])
            log_scale, shift = self._coupling(network, kept)
            x = torch.cat([kept, moved * log_scale.exp() + shift], -1) @ self.mixing[number].T
        return (x @ self.gain.T + self.bias)[:, : self.joints]

    def fingers_of(self, joints: Float[Tensor, "n q"]) -> Float[Tensor, "n m"]:
        """Latent fingers that show as these joints."""
        y = joints if self.guess is None else torch.cat([joints, self.guess(joints)], -1)
        x = torch.linalg.solve(self.gain, (y - self.bias).T).T
        for number in reversed(range(len(self.couplings))):
            kept, moved = self._split(x @ self.mixing[number])
            log_scale, shift = self._coupling(self.couplings[number], kept)
            x = torch.cat([kept, (moved - shift) * (-log_scale).exp()], -1) @ self.mixing[number].T
        return x

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, : self.latent // 2], x[:, self.latent // 2 :]

    @staticmethod
    def _coupling(network: nn.Module, kept: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = network(kept).chunk(2, -1)
        return _LARGEST_LOG_SCALE * torch.tanh(log_scale), shift


def _mlp(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """Two hidden layers; says zero to begin with."""
    last = nn.Linear(width, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)


def _last(network: nn.Module) -> nn.Linear:
    layer = list(network.children())[-1]
    assert isinstance(layer, nn.Linear)
    return layer
