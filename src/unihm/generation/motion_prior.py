"""A first guess of the motion, solved in closed form before the network is trained.

With some hundred recordings, kernel regression from what is given to the whole motion is hard to beat by a network that
has to find the same map by gradient descent first. Here it is found at once,

    y(x) = m + sum_i k(x, x_i) a_i,   k(x, x') = s exp(-sum_b l_b |x_b - x'_b|^2) + sum_b w_b x_b . x'_b

with blocks b of inputs (`prior_features`) whose weights l and w are those with the smallest error on recordings that
are left out (`training.prior_fitting`). Groups of outputs, the palm before the lift and after it, its axes and the
fingers, have weights of their own. The transformer learns what this cannot say, and the head points from here; what
leaves the generator are codes.

The motion is told at `KNOTS` phases of the lift: palm position, palm axes as plain numbers, fingers. On the approach it
is told relative to the initial pose, which fades out until the lift.

Differs from the paper, which has no such part; without a fit the guess is the initial pose, held.

Letters: B batch, T frames, K knots, X inputs, M remembered motions, m latent fingers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unihm.generation.conditions import values_at
from unihm.tokenizer.hand_chart import LatentPose

KNOTS = 33
"""Moments at which a motion is told, evenly over the phases 0 to 2; finer grids change nothing."""
PARTS = (slice(0, 7), slice(7, 14), slice(14, 24), slice(24, KNOTS))
"""Parts of a motion with weights of their own; a hand closes shortly before the object leaves its rest (knot 16)."""
PALM = 3 + 9
_FARTHEST = 4.0  # standard deviations to which inputs are cut: a linear part must not run off along an odd path


@dataclass(frozen=True)
class Group:
    """Outputs that share a kernel."""

    name: str
    knots: slice
    values: slice


def groups(latent: int) -> tuple[Group, ...]:
    """Palm and axes in each part of the motion, and the fingers."""
    parts = [
        Group(f"{name}_{number}", knots, values)
        for number, knots in enumerate(PARTS)
        for name, values in (("palm", slice(0, 3)), ("axes", slice(3, PALM)))
    ]
    return (*parts, Group("fingers", slice(0, KNOTS), slice(PALM, PALM + latent)))


class GroupKernel(nn.Module):
    """The regression of one group of outputs."""

    length: Tensor
    linear: Tensor
    scale: Tensor
    weight: Tensor
    direction: Tensor
    offset: Tensor

    def __init__(self, blocks: int, memory: int, rank: int, size: int):
        """An empty one.

        Args:
            blocks: Number of input blocks.
            memory: M.
            rank: Directions in which outputs differ that are kept.
            size: Outputs.
        """
        super().__init__()
        self.register_buffer("length", torch.zeros(blocks))
        self.register_buffer("linear", torch.zeros(blocks))
        self.register_buffer("scale", torch.zeros(2))  # s, and the variance of the noise
        self.register_buffer("weight", torch.zeros(memory, rank))
        self.register_buffer("direction", torch.zeros(rank, size))
        self.register_buffer("offset", torch.zeros(size))

    def kernel(
        self, x: Float[Tensor, "B X"], memory: Float[Tensor, "M X"], of_block: Int[Tensor, " X"]
    ) -> Float[Tensor, "B M"]:
        """k of all pairs."""
        return kernel(x, memory, self.length[of_block], self.linear[of_block], self.scale[0])

    def forward(self, k: Float[Tensor, "B M"]) -> Float[Tensor, "B size"]:
        """Outputs."""
        return k @ self.weight @ self.direction + self.offset


def kernel(x: Tensor, y: Tensor, length: Tensor, linear: Tensor, scale: Tensor) -> Tensor:
    """``scale exp(-sum_i length_i (x_i - y_i)^2) + sum_i linear_i x_i y_i`` of all pairs of rows."""
    return scale * torch.exp(-_squared_distances(x * length.sqrt(), y * length.sqrt())) + (x * linear) @ y.T


class MotionPrior(nn.Module):
    """A whole motion as a function of what is given."""

    mean: Tensor
    deviation: Tensor
    reach: Tensor
    memory: Tensor
    of_block: Tensor

    def __init__(self, sizes: Mapping[str, int], *, memory: int, latent: int, rank: int = 48):
        """A prior that is not fitted yet.

        Args:
            sizes: Input blocks and their sizes, in order.
            memory: M; 0 is a prior that holds the initial pose.
            latent: m.
            rank: Directions in which a group's outputs differ that are kept.
        """
        super().__init__()
        self.sizes = dict(sizes)
        self.blocks = tuple(sizes)
        self.groups = groups(latent)
        total = sum(sizes.values())
        self.register_buffer("mean", torch.zeros(total))
        self.register_buffer("deviation", torch.ones(total))
        self.register_buffer("reach", torch.ones(total))
        self.register_buffer("memory", torch.zeros(memory, total))
        index = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(list(sizes.values())))
        self.register_buffer("of_block", index, persistent=False)
        self.kernels = nn.ModuleDict()
        for group in self.groups:
            size = (group.knots.stop - group.knots.start) * (group.values.stop - group.values.start)
            self.kernels[group.name] = GroupKernel(len(sizes), memory, min(rank, size, max(memory, 1)), size)

    @property
    def fitted(self) -> bool:
        """Whether it says more than the initial pose."""
        return len(self.memory) > 0

    def inputs(self, blocks: Mapping[str, Float[Tensor, "B _"]]) -> Float[Tensor, "B X"]:
        """Blocks side by side, as they are remembered: of zero mean, each block of a total variance of one."""
        x = torch.cat([blocks[name] for name in self.blocks], dim=1)
        return torch.clamp((x - self.mean) / self.deviation, -self.reach, self.reach)

    @torch.no_grad()
    def standardise(self, blocks: Mapping[str, Float[Tensor, "M _"]]) -> Float[Tensor, "M X"]:
        """Set the scales of the inputs from examples, and return these as `inputs` does."""
        x = torch.cat([blocks[name] for name in self.blocks], dim=1)
        self.mean.copy_(x.mean(dim=0))
        variance = x.var(dim=0)
        of_block = torch.zeros(len(self.blocks), dtype=x.dtype).index_add(0, self.of_block, variance)
        # A block that never varies (one object, one path) must not be blown up by a division.
        self.deviation.copy_((of_block.sqrt() + 1e-4)[self.of_block])
        self.reach.copy_(_FARTHEST * variance.sqrt() / self.deviation)
        return self.inputs(blocks)

    def kernel_rows(self, x: Float[Tensor, "B X"]) -> Mapping[str, Float[Tensor, "B M"]]:
        """k(x, x_i) of every group."""
        return {g.name: self._kernel_of(g.name).kernel(x, self.memory, self.of_block) for g in self.groups}

    def assemble(self, outputs: Mapping[str, Float[Tensor, "B _"]], latent: int) -> Float[Tensor, "B K v"]:
        """Outputs of all groups in their places."""
        batch = next(iter(outputs.values()))
        y = batch.new_zeros(len(batch), KNOTS, PALM + latent)
        for group in self.groups:
            shape = (group.knots.stop - group.knots.start, group.values.stop - group.values.start)
            y[:, group.knots, group.values] = outputs[group.name].unflatten(1, shape)
        return y

    def told(self, x: Float[Tensor, "B X"], latent: int) -> Float[Tensor, "B K v"]:
        """The motion that goes with inputs, as `told` tells it; only of a fitted prior.

        Args:
            x: From `inputs`.
            latent: m.
        """
        return self.assemble({name: self._kernel_of(name)(k) for name, k in self.kernel_rows(x).items()}, latent)

    def _kernel_of(self, name: str) -> GroupKernel:
        found = self.kernels[name]
        assert isinstance(found, GroupKernel)
        return found


def told(poses: LatentPose, phase: Float[Tensor, "B T"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B K v"]:
    """Motions (B, T) as a prior tells them.

    Args:
        poses: Recorded ones.
        phase: Of every frame, rising until the end.
        lengths: Real frames.
    """
    values = torch.cat([poses.t, poses.R.flatten(-2), poses.fingers], dim=-1)
    knots = torch.linspace(0, 2, KNOTS).to(values)
    place = _inverse(phase, knots, lengths)
    return values_at(values, place) - _fading(values[:, 0], knots.expand(len(values), -1))


def held(start: LatentPose) -> Float[Tensor, "B K v"]:
    """The initial pose (B,), held, as a prior tells it."""
    first = torch.cat([start.t, start.R.flatten(-2), start.fingers], dim=-1)
    knots = torch.linspace(0, 2, KNOTS).to(first).expand(len(first), -1)
    return first[:, None] - _fading(first, knots)


def poses_of(y: Float[Tensor, "B K v"], start: LatentPose, phase: Float[Tensor, "B T"]) -> LatentPose:
    """Poses (B, T) of what a prior tells: the inverse of `told` at the given phases."""
    first = torch.cat([start.t, start.R.flatten(-2), start.fingers], dim=-1)
    values = values_at(y, phase * ((KNOTS - 1) / 2)) + _fading(first, phase)
    return LatentPose(
        R=nearest_rotation(values[..., 3:PALM].unflatten(-1, (3, 3))), t=values[..., :3], fingers=values[..., PALM:]
    )


def nearest_rotation(A: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The rotation with the smallest Frobenius distance, ``U diag(1, 1, det(U V')) V'``."""
    u, _, vt = torch.linalg.svd(A)
    sign = torch.ones_like(A[..., 0])
    sign[..., 2] = torch.linalg.det(u @ vt)
    return (u * sign[..., None, :]) @ vt


def _fading(first: Float[Tensor, "B v"], phase: Float[Tensor, "B T"]) -> Float[Tensor, "B T v"]:
    """The initial pose's part: all of it at the start, nothing from the lift on."""
    s = phase.clamp(max=1)
    return (1 - s * s * (3 - 2 * s))[..., None] * first[:, None]


def _inverse(
    phase: Float[Tensor, "B T"], knots: Float[Tensor, " K"], lengths: Int[Tensor, " B"]
) -> Float[Tensor, "B K"]:
    """The fractional frame at which a motion's phase is that of each knot."""
    high = torch.searchsorted(phase.contiguous(), knots.expand(len(phase), -1).contiguous())
    high = torch.minimum(high, (lengths - 1)[:, None])
    low = (high - 1).clamp(min=0)
    a, b = phase.gather(1, low), phase.gather(1, high)
    share = ((knots - a) / (b - a).clamp(min=1e-9)).clamp(0, 1)
    return low + share * (high - low)


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    square = x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.T
    return square.clamp(min=0)
