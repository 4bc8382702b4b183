"""SnowflakeNet: a partial cloud becomes the whole one, each point splitting into several (Xiang et al., ICCV 2021).

Three parts:

1. *Encoder.* Two set abstractions with attention among neighbours and a last one over all points: one feature f.
2. *Seed.* f becomes a coarse cloud, which is thinned together with the input, so that seen points stay.
3. *Snowflake point deconvolutions.* Each point p splits into children ``p + tanh(delta) / radius^i`` at step i.
   Attention from one step's displacement features K to the next (the skip-transformer) lets splits agree.

Parameters carry the names and shapes of the authors' published checkpoints, so these load strictly. Their clouds have
about unit size: see `normalised`. With equal weights the clouds agree with the authors' network to rounding, but for
one thing: their CUDA sampling never picks points within 0.03 of the origin, `farthest_points` does.

Letters: B batch, n points, k neighbours, C channels, F channels of the cloud's one feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unihm.perception.point_ops import chamfer, farthest_points, gather, mean_nearest, nearest
from unihm.perception.published import read_published
from unihm.schema.weights import assign

_WRAPPED = "module."  # what DataParallel, in which the authors trained, puts before every name


@dataclass(frozen=True, kw_only=True)
class SnowflakeConfig:
    """Sizes of the network; the defaults are the official ones for PCN (2048 points in, 16384 out)."""

    width: int = 128
    """Channels of a point in the decoder; every hidden size is a multiple of a quarter of it."""
    feature: int = 512
    """Channels of the one feature of the whole cloud."""
    seed_points: int = 256
    """Points made from the feature alone."""
    coarse_points: int = 512
    """Points kept of the seed and the input together, from which the splitting starts."""
    up_factors: tuple[int, ...] = (1, 4, 8)
    """Children of a point at each step; (1, 2, 2) for the official Completion3D weights."""
    radius: float = 1.0
    """Displacements at step i stay below ``radius^-i`` in each coordinate."""
    groups: tuple[int, int] = (512, 128)
    """Points kept by the two set abstractions; the input needs at least as many as the first."""
    neighbours: int = 16
    """Neighbours grouped and attended to, the point itself included."""

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4:
            raise ValueError(f"SnowflakeNet needs a width that is a multiple of 4, got {self.width}.")


class SnowflakeNet(nn.Module):
    """``partial -> seed, P1, P2, ...``, each cloud finer than the one before."""

    def __init__(self, config: SnowflakeConfig):
        """Build the network with random weights."""
        super().__init__()
        self.config = config
        self.feat_extractor = _Encoder(config)
        self.decoder = _Decoder(config)

    def forward(self, partial: Float[Tensor, "B n 3"]) -> list[Float[Tensor, "B _ 3"]]:
        """Completions of a batch of clouds.

        Args:
            partial: Seen points, at least ``groups[0]``, of about unit size. Their order matters only through the
                first, at which farthest point sampling starts.

        Returns:
            The seed cloud (`seed_points`), then one cloud a step (`coarse_points` times the up factors so far).
        """
        return self.decoder(self.feat_extractor(partial), partial)


def load_official(path: str | Path, config: SnowflakeConfig) -> SnowflakeNet:
    """The network with weights from an official checkpoint, strictly, in evaluation mode on the CPU.

    Args:
        path: A safetensors file of the weights, or a PyTorch file that holds them, by name or under ``model``.
        config: The sizes they were trained with.

    Raises:
        ValueError: The file cannot be read, or names or shapes are not those of the network.
    """
    weights = read_published(path, under="model")
    if all(name.startswith(_WRAPPED) for name in weights):
        weights = {name.removeprefix(_WRAPPED): tensor for name, tensor in weights.items()}
    network = SnowflakeNet(config)
    assign(network, weights, path)
    return network.eval()


def normalised(
    cloud: Float[Tensor, "B n 3"],
) -> tuple[Float[Tensor, "B n 3"], Float[Tensor, "B 3"], Float[Tensor, " B"]]:
    """The cloud with its bounding box centred at the origin and of diagonal 1; `restored` is the inverse.

    Differs from the paper: there the complete shape sets centre and scale, which nobody knows who sees only a part.

    Args:
        cloud: Points, m.

    Returns:
        The unit cloud, the centre in metres, and the diagonal in metres.
    """
    low, high = cloud.amin(dim=1), cloud.amax(dim=1)
    centre, scale = (low + high) / 2, torch.linalg.vector_norm(high - low, dim=-1)
    if not bool((scale > 0).all()):
        raise ValueError("A cloud whose points all coincide has no scale.")
    return (cloud - centre[:, None]) / scale[:, None, None], centre, scale


def restored(
    unit: Float[Tensor, "B m 3"], centre: Float[Tensor, "B 3"], scale: Float[Tensor, " B"]
) -> Float[Tensor, "B m 3"]:
    """A cloud in the unit frame of `normalised`, for example a completion, back in metres."""
    return unit * scale[:, None, None] + centre[:, None]


def completion_loss(
    clouds: list[Float[Tensor, "B _ 3"]], truth: Float[Tensor, "B m 3"], partial: Float[Tensor, "B n 3"]
) -> Float[Tensor, ""]:
    """Chamfer distance (L1) at every level, and how far the seen points are from the finest cloud.

    ``sum_l (d(P_l, T_l) + d(T_l, P_l)) / 2 + d(partial, P_last)``, mean over the batch. T_l is the truth thinned by
    farthest points to the size of P_l; the finest level meets the whole truth.

    Args:
        clouds: What the network returned, coarse to fine.
        truth: Points of the complete shape in the same frame.
        partial: What the network was given.
    """
    return mean_nearest(partial, clouds[-1]).mean() + level_losses(clouds, truth).mean(dim=0).sum()


def level_losses(clouds: list[Float[Tensor, "B _ 3"]], truth: Float[Tensor, "B m 3"]) -> Float[Tensor, "B levels"]:
    """``(d(P_l, T_l) + d(T_l, P_l)) / 2`` of each level; see `completion_loss`."""
    sizes = [cloud.shape[1] for cloud in clouds[:-1]]
    # The first farthest points are the farthest points of fewer, so one sampling serves all levels.
    spread = gather(truth, farthest_points(truth, min(max(sizes, default=0), truth.shape[1])))
    targets = [*(spread[:, :size] for size in sizes), truth]
    losses = [torch.stack(chamfer(cloud, target)).mean(dim=0) for cloud, target in zip(clouds, targets, strict=True)]
    return torch.stack(losses, dim=1)


class _Encoder(nn.Module):
    """The one feature of a cloud."""

    def __init__(self, config: SnowflakeConfig):
        super().__init__()
        self.config = config
        width, k = config.width, config.neighbours
        self.sa_module_1 = _SetAbstraction(3 + 3, width // 2, width)
        self.transformer_1 = _Transformer(width, width // 2, k)
        self.sa_module_2 = _SetAbstraction(3 + width, width, 2 * width)
        self.transformer_2 = _Transformer(2 * width, width // 2, k)
        self.sa_module_3 = _SetAbstraction(3 + 2 * width, 4 * width, config.feature)

    def forward(self, points: Float[Tensor, "B n 3"]) -> Float[Tensor, "B F"]:
        values = points  # the first layer sees a point's place as well as its place in its group
        for count, abstraction, transformer in zip(
            self.config.groups,
            (self.sa_module_1, self.sa_module_2),
            (self.transformer_1, self.transformer_2),
            strict=True,
        ):
            centres = gather(points, farthest_points(points, count))
            _, near = nearest(centres, points, self.config.neighbours)
            offsets = gather(points, near) - centres[:, :, None]
            values = abstraction(torch.cat([offsets, gather(values, near)], dim=-1))
            values, points = transformer(centres, values), centres
        return self.sa_module_3(torch.cat([points, values], dim=-1))


class _Decoder(nn.Module):
    """Feature and seen points to clouds, coarse to fine."""

    def __init__(self, config: SnowflakeConfig):
        super().__init__()
        self.config = config
        self.decoder_coarse = _Seed(config)
        self.uppers = nn.ModuleList(_Deconvolution(config, i) for i in range(len(config.up_factors)))

    def forward(self, feature: Float[Tensor, "B F"], partial: Float[Tensor, "B n 3"]) -> list[Float[Tensor, "B _ 3"]]:
        seed = self.decoder_coarse(feature)
        points = torch.cat([seed, partial], dim=1)
        points = gather(points, farthest_points(points, self.config.coarse_points))
        clouds, displacement = [seed], None
        for upper in self.uppers:
            points, displacement = upper(points, feature, displacement)
            clouds.append(points)
        return clouds


class _Seed(nn.Module):
    """The seed cloud from the feature alone."""

    def __init__(self, config: SnowflakeConfig):
        super().__init__()
        width, feature = config.width, config.feature
        self.ps = nn.ConvTranspose1d(feature, width, config.seed_points)
        self.mlp_1 = _Residual(feature + width, width, width)
        self.mlp_2 = _Residual(width, width // 2, width)
        self.mlp_3 = _Residual(feature + width, width, width)
        self.mlp_4 = _mlp(width, width // 2, 3)

    def forward(self, feature: Float[Tensor, "B F"]) -> Float[Tensor, "B n 3"]:
        x = self.ps(feature[..., None]).mT
        x = self.mlp_2(self.mlp_1(x, feature))
        return self.mlp_4(self.mlp_3(x, feature))


class _Deconvolution(nn.Module):
    """Snowflake point deconvolution: every point splits into `factor` children."""

    def __init__(self, config: SnowflakeConfig, step: int):
        super().__init__()
        width, self.factor = config.width, config.up_factors[step]
        self.bound = config.radius**-step
        self.mlp_1 = _Mlp(3, width // 2, width)
        self.mlp_2 = _Mlp(2 * width + config.feature, 2 * width, width)
        self.skip_transformer = _SkipTransformer(width, width // 2, config.neighbours)
        self.mlp_ps = _Mlp(width, width // 2, width // 4)
        self.ps = nn.ConvTranspose1d(width // 4, width, self.factor, self.factor, bias=False)
        self.mlp_delta_feature = _Residual(2 * width, width, width)
        self.mlp_delta = _Mlp(width, width // 2, 3)

    def forward(
        self, points: Float[Tensor, "B n 3"], feature: Float[Tensor, "B F"], previous: Float[Tensor, "B n C"] | None
    ) -> tuple[Float[Tensor, "B m 3"], Float[Tensor, "B m C"]]:
        """Children, and their displacement features for the next step; siblings follow each other."""
        own = self.mlp_1(points)
        query = self.mlp_2(own, torch.cat([own.amax(dim=1), feature], dim=-1))
        shape = self.skip_transformer(points, query if previous is None else previous, query)
        split = self.ps(self.mlp_ps(shape).mT).mT
        parent = shape.repeat_interleave(self.factor, dim=1)
        displacement = self.mlp_delta_feature(torch.cat([split, parent], dim=-1))
        delta = self.bound * self.mlp_delta(displacement.relu()).tanh()
        return points.repeat_interleave(self.factor, dim=1) + delta, displacement


class _VectorAttention(nn.Module):
    """Attention of each point to its nearest, with a weight of its own for every channel.

    ``y_i = sum_j softmax_j(attn(q_i - k_j + e_ij)) (v_i + e_ij)`` with ``e_ij = pos(p_i - p_j)``. The value is the
    point's own, not its neighbour's: the published weights were trained so.
    """

    def __init__(self, inputs: int, width: int, neighbours: int):
        super().__init__()
        self.neighbours = neighbours
        self.conv_key = _Shared(inputs, width)
        self.conv_query = _Shared(inputs, width)
        self.conv_value = _Shared(inputs, width)
        self.pos_mlp = _normed_mlp(3, width, width)
        self.attn_mlp = _normed_mlp(width, 4 * width, width)

    def attend(self, points: Tensor, key: Tensor, query: Tensor, value: Tensor) -> Tensor:
        _, near = nearest(points, points, self.neighbours)
        place = self.pos_mlp(points[:, :, None] - gather(points, near))  # (B, n, k, C)
        unlike = self.conv_query(query)[:, :, None] - gather(self.conv_key(key), near)
        weight = self.attn_mlp(unlike + place).softmax(dim=2)
        return (weight * (self.conv_value(value)[:, :, None] + place)).sum(dim=2)


class _Transformer(_VectorAttention):
    """Self-attention with a residual."""

    def __init__(self, channels: int, width: int, neighbours: int):
        super().__init__(width, width, neighbours)
        self.linear_start = _Shared(channels, width)
        self.linear_end = _Shared(width, channels)

    def forward(self, points: Float[Tensor, "B n 3"], values: Float[Tensor, "B n C"]) -> Float[Tensor, "B n C"]:
        x = self.linear_start(values)
        return values + self.linear_end(self.attend(points, x, x, x))


class _SkipTransformer(_VectorAttention):
    """Attention from this step's features (query) to the last step's displacements (key)."""

    def __init__(self, channels: int, width: int, neighbours: int):
        super().__init__(channels, width, neighbours)
        self.mlp_v = _Residual(2 * channels, channels, channels)
        self.conv_end = _Shared(width, channels)

    def forward(
        self, points: Float[Tensor, "B n 3"], key: Float[Tensor, "B n C"], query: Float[Tensor, "B n C"]
    ) -> Float[Tensor, "B n C"]:
        value = self.mlp_v(torch.cat([key, query], dim=-1))
        return value + self.conv_end(self.attend(points, key, query, value))


class _SetAbstraction(nn.Module):
    """A small network on every member of a group, and the maximum over the group."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.mlp_conv = nn.ModuleList([_Layer(inputs, hidden), _Layer(hidden, outputs)])

    def forward(self, grouped: Float[Tensor, "*groups k C"]) -> Float[Tensor, "*groups D"]:
        first, second = self.mlp_conv
        return second(first(grouped).relu()).amax(dim=-2)


class _Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = _Shared(inputs, outputs, axes=2)
        self.bn = _UnusedNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _UnusedNorm(nn.Module):
    """Entries the published checkpoints have and never use; buffers, so that no optimiser meets them."""

    def __init__(self, channels: int):
        super().__init__()
        for name, start in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), start))
        self.register_buffer("num_batches_tracked", torch.tensor(0))


class _Residual(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.conv_1 = _Shared(inputs, hidden)
        self.conv_2 = _Shared(hidden, outputs)
        self.conv_shortcut = _Shared(inputs, outputs)

    def forward(self, x: Float[Tensor, "B n C"], whole: Float[Tensor, "B D"] | None = None) -> Tensor:
        return self.conv_2(self.conv_1(x, whole).relu()) + self.conv_shortcut(x, whole)


class _Mlp(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.mlp = _mlp(inputs, hidden, outputs)

    def forward(self, x: Float[Tensor, "B n C"], whole: Float[Tensor, "B D"] | None = None) -> Tensor:
        first, activation, last = self.mlp
        return last(activation(first(x, whole)))


class _Shared(nn.Linear):
    """One linear map for every point, on the last axis; stored as the convolution of size 1 it is officially."""

    def __init__(self, inputs: int, outputs: int, axes: int = 1):
        super().__init__(inputs, outputs)
        self.weight = nn.Parameter(self.weight.detach()[(..., *[None] * axes)])

    def forward(self, input: Tensor, whole: Float[Tensor, "B D"] | None = None) -> Tensor:
        weight = self.weight.flatten(1)
        if whole is None:
            return F.linear(input, weight, self.bias)
        # What all points of a cloud have in common is multiplied once, not beside each point: a fifth of all the work.
        own, common = weight.split([input.shape[-1], whole.shape[-1]], dim=1)
        return F.linear(input, own) + F.linear(whole, common, self.bias)[:, None]


class _Norm(nn.BatchNorm1d):
    """Batch normalisation of the last axis over all others."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(0, -2)).reshape(input.shape)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_Shared(inputs, hidden), nn.ReLU(), _Shared(hidden, outputs))


def _normed_mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_Shared(inputs, hidden, axes=2), _Norm(hidden), nn.ReLU(), _Shared(hidden, outputs, axes=2))
