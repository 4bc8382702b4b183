"""The parts of Point-SAM: patches of points, a transformer over them, click prompts and the two-way mask decoder.

Modules and parameters bear the names of the published checkpoint, so that it loads strictly; `point_sam` puts the
parts together. Where torch's layers are used as they are, their defaults are the published ones too.

Shape letters: B clouds, n points, L patches, K points of a patch, p prompts, t tokens, m masks, d features.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention, silu

from unihm.perception.point_ops import gather, nearest

_EPS = 1e-6  # of the layer norms in the large transformer; all others have torch's 1e-5
_CLOSEST = 1e-8  # unit ball radii squared; keeps the weight of a patch centre finite at the centre itself
_POSITION_WIDTH = 128  # between the coordinates of a patch and the width of the large transformer


def group(
    points: Float[Tensor, "B n 3"],
    values: Float[Tensor, "B n c"],
    centres: Float[Tensor, "B L 3"],
    members: Int[Tensor, "B L K"],
) -> Float[Tensor, "B L K 3+c"]:
    """What each patch holds: the offsets of its points from its centre, then their values."""
    return torch.cat([gather(points, members) - centres[:, :, None], gather(values, members)], dim=-1)


def interpolation(
    points: Float[Tensor, "B n 3"], centres: Float[Tensor, "B L 3"]
) -> tuple[Int[Tensor, "B n 3"], Float[Tensor, "B n 3"]]:
    """The three patch centres nearest to each point and their weights ``w_i ~ 1 / d_i^2``, which sum to 1."""
    distances, index = nearest(points, centres, 3)
    weights = 1 / distances.square().clamp(min=_CLOSEST)
    return index, weights / weights.sum(dim=-1, keepdim=True)


def interpolate(
    values: Float[Tensor, "B L d"], index: Int[Tensor, "B n 3"], weights: Float[Tensor, "B n 3"]
) -> Float[Tensor, "B n d"]:
    """Values of the patches at the points, as `interpolation` weighs them."""
    # One neighbour after the other: the three together would take three times the memory of the result.
    result = gather(values, index[..., 0]) * weights[..., 0, None]
    for i in (1, 2):
        result = result + gather(values, index[..., i]) * weights[..., i, None]
    return result


class PatchEncoder(nn.Module):
    """A PointNet that looks back once: ``max_k g([max_j h(x_j), h(x_k)])`` over the points x of a patch."""

    def __init__(self, inputs: int, outputs: int, hidden: tuple[int, int]):
        """Build the encoder.

        Args:
            inputs: Values of a point, its offset from the centre included.
            outputs: Features of a patch.
            hidden: Widths of h and of the hidden layer of g.
        """
        super().__init__()
        self.conv1 = _two_layers(inputs, hidden[0], hidden[0])
        self.conv2 = _two_layers(2 * hidden[0], hidden[1], outputs)

    def forward(self, patches: Float[Tensor, "B L K c"]) -> Float[Tensor, "B L d"]:
        """Features of each patch, whatever the order of its points."""
        each = self.conv1(patches)
        whole = each.amax(dim=-2, keepdim=True).expand_as(each)
        return self.conv2(torch.cat([whole, each], dim=-1)).amax(dim=-2)


def _two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Linear(hidden, outputs))


class _Attention(nn.Module):
    """Multi-head self-attention whose keys have no bias (EVA-02)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B t d"]) -> Float[Tensor, "B t d"]:
        return self.proj(_attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads))


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)


class _GatedMLP(nn.Module):
    """``W2 norm(silu(Wg x) * Wx x)``, the feed-forward part of EVA-02."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1_g = nn.Linear(width, hidden)
        self.fc1_x = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden, eps=_EPS)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "B t d"]) -> Float[Tensor, "B t d"]:
        return self.fc2(self.norm(silu(self.fc1_g(x)) * self.fc1_x(x)))


class _Block(nn.Module):
    """Attention and feed-forward part, each added to what it reads normalised."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=_EPS)
        self.attn = _Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=_EPS)
        self.mlp = _GatedMLP(width, hidden)

    def forward(self, x: Float[Tensor, "B t d"]) -> Float[Tensor, "B t d"]:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _Transformer(nn.Module):
    """EVA-02 without what belongs to images: no class token, no rotary positions, no head."""

    def __init__(self, width: int, depth: int, heads: int, hidden: int):
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, heads, hidden) for _ in range(depth))
        self.fc_norm = nn.LayerNorm(width, eps=_EPS)

    def forward(self, x: Float[Tensor, "B t d"]) -> Float[Tensor, "B t d"]:
        for block in self.blocks:
            x = block(x)
        return self.fc_norm(x)


class CloudEncoder(nn.Module):
    """Patches of a coloured cloud -> tokens, one per patch, that have seen all others."""

    def __init__(
        self, patch_hidden: tuple[int, int], patch_width: int, width: int, depth: int, heads: int, mlp: int, tokens: int
    ):
        """Build the encoder.

        Args:
            patch_hidden: Hidden widths of the PointNet of a patch.
            patch_width: Features it gives.
            width: Features in the transformer.
            depth: Its blocks.
            heads: Its attention heads.
            mlp: Hidden width of its feed-forward parts.
            tokens: Features of a token.
        """
        super().__init__()
        self.patch_embed = nn.ModuleDict({"patch_encoder": PatchEncoder(6, patch_width, patch_hidden)})
        self.patch_proj = nn.Linear(patch_width, width)
        self.pos_embed = nn.Sequential(nn.Linear(3, _POSITION_WIDTH), nn.GELU(), nn.Linear(_POSITION_WIDTH, width))
        self.transformer = _Transformer(width, depth, heads, mlp)
        self.out_proj = nn.Linear(width, tokens)

    def forward(self, patches: Float[Tensor, "B L K 6"], centres: Float[Tensor, "B L 3"]) -> Float[Tensor, "B L d"]:
        """Tokens of patches that hold offsets and colours."""
        features = self.patch_proj(self.patch_embed["patch_encoder"](patches))
        return self.out_proj(self.transformer(features + self.pos_embed(centres)))


class _FourierPositions(nn.Module):
    """``[sin(2 pi x F), cos(2 pi x F)]`` with random frequencies F, which are stored and not learned."""

    def __init__(self, width: int):
        super().__init__()
        self.positional_encoding_gaussian_matrix: Tensor
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, width // 2))

    def forward(self, points: Float[Tensor, "B p 3"]) -> Float[Tensor, "B p d"]:
        phase = 2 * math.pi * points @ self.positional_encoding_gaussian_matrix
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


class ClickEncoder(nn.Module):
    """A click: where it is, plus one learned vector for the background (0) or the object (1)."""

    def __init__(self, width: int):
        """Build the encoder for tokens with `width` features."""
        super().__init__()
        self.pe_layer = _FourierPositions(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(2))

    def forward(
        self, prompts: Float[Tensor, "B p 3"], labels: Int[Tensor, "B p"] | Bool[Tensor, "B p"]
    ) -> Float[Tensor, "B p d"]:
        """One token per click."""
        kinds = torch.cat(list(self.point_embeddings.parameters()))
        return self.pe_layer(prompts) + kinds[labels.long()]


class MaskEncoder(nn.Module):
    """A mask that is to be refined, or the lack of one, as features of the patches."""

    def __init__(self, width: int, hidden: tuple[int, int]):
        """Build the encoder for tokens with `width` features; `hidden` as in `PatchEncoder`."""
        super().__init__()
        self.patch_encoder = PatchEncoder(4, width, hidden)
        self.no_mask_embed = nn.Embedding(1, width)

    def forward(self, patches: Float[Tensor, "B L K 4"] | None) -> Float[Tensor, "#B #L d"]:
        """Features of patches that hold offsets and mask logits; one vector for all where there is no mask."""
        return self.no_mask_embed.weight[None] if patches is None else self.patch_encoder(patches)


class _NarrowAttention(nn.Module):
    """Multi-head attention between two sets of tokens, over `inner` features."""

    def __init__(self, width: int, inner: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def forward(
        self, q: Float[Tensor, "B t d"], k: Float[Tensor, "B s d"], v: Float[Tensor, "B s d"]
    ) -> Float[Tensor, "B t d"]:
        return self.out_proj(_attend(self.q_proj(q), self.k_proj(k), self.v_proj(v), self.heads))


class _TwoWayBlock(nn.Module):
    """The queries look at each other and at the cloud, then the cloud looks back at them."""

    def __init__(self, width: int, heads: int, hidden: int, first: bool):
        super().__init__()
        self.first = first
        self.self_attn = _NarrowAttention(width, width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = _NarrowAttention(width, width // 2, heads)
        self.norm2 = nn.LayerNorm(width)
        layers = {"lin1": nn.Linear(width, hidden), "act": nn.ReLU(), "lin2": nn.Linear(hidden, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.norm3 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = _NarrowAttention(width, width // 2, heads)
        self.norm4 = nn.LayerNorm(width)

    def forward(
        self,
        queries: Float[Tensor, "B t d"],
        cloud: Float[Tensor, "B L d"],
        names: Float[Tensor, "B t d"],
        positions: Float[Tensor, "B L d"],
    ) -> tuple[Float[Tensor, "B t d"], Float[Tensor, "B L d"]]:
        """One round; `names` are the queries as they were before the first, which tell them apart."""
        if self.first:
            # The queries still are their names, so neither names nor a residual are added.
            queries = self.norm1(self.self_attn(queries, queries, queries))
        else:
            named = queries + names
            queries = self.norm1(queries + self.self_attn(named, named, queries))
        placed = cloud + positions
        queries = self.norm2(queries + self.cross_attn_token_to_image(queries + names, placed, cloud))
        queries = self.norm3(queries + self.mlp(queries))
        cloud = self.norm4(cloud + self.cross_attn_image_to_token(placed, queries + names, queries))
        return queries, cloud


class _TwoWayTransformer(nn.Module):
    """Rounds of `_TwoWayBlock`, and a last look of the queries at the cloud."""

    def __init__(self, width: int, depth: int, heads: int, hidden: int):
        super().__init__()
        self.layers = nn.ModuleList(_TwoWayBlock(width, heads, hidden, first=i == 0) for i in range(depth))
        self.final_attn_token_to_image = _NarrowAttention(width, width // 2, heads)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(
        self, names: Float[Tensor, "B t d"], cloud: Float[Tensor, "B L d"], positions: Float[Tensor, "B L d"]
    ) -> tuple[Float[Tensor, "B t d"], Float[Tensor, "B L d"]]:
        queries = names
        for layer in self.layers:
            queries, cloud = layer(queries, cloud, names, positions)
        seen = self.final_attn_token_to_image(queries + names, cloud + positions, cloud)
        return self.norm_final_attn(queries + seen), cloud


class _ReluMLP(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, width: int, hidden: int, outputs: int):
        super().__init__()
        sizes = [width, hidden, hidden, outputs]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Float[Tensor, "B a"]) -> Float[Tensor, "B b"]:
        for layer in self.layers[:-1]:
            x = relu(layer(x))
        return self.layers[-1](x)


class MaskDecoder(nn.Module):
    """Tokens of a cloud and of clicks -> masks, ``logit_m(x) = <h_m, f(x)>``, and how good each is.

    f(x) are the features of point x, interpolated between the patches; h_m comes from one query per mask. Mask 0 is
    the single one that refines a mask, the others are guesses at what a first click means.
    """

    def __init__(self, width: int, depth: int, heads: int, mlp: int, guesses: int, iou_width: int):
        """Build the decoder.

        Args:
            width: Features of a token.
            depth: Rounds of the two-way transformer.
            heads: Its attention heads.
            mlp: Hidden width of its feed-forward parts.
            guesses: Masks for a first click.
            iou_width: Hidden width of the head that predicts the quality.
        """
        super().__init__()
        self.transformer = _TwoWayTransformer(width, depth, heads, mlp)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(1 + guesses, width)
        self.output_hypernetworks_mlps = nn.ModuleList(_ReluMLP(width, width, width) for _ in range(1 + guesses))
        self.output_upscaling = nn.Sequential(*_two_layers(width, width, width), nn.GELU())
        self.iou_prediction_head = _ReluMLP(width, iou_width, 1 + guesses)

    def forward(
        self,
        cloud: Float[Tensor, "B L d"],
        positions: Float[Tensor, "B L d"],
        clicks: Float[Tensor, "B p d"],
        index: Int[Tensor, "B n 3"],
        weights: Float[Tensor, "B n 3"],
        refine: bool,
    ) -> tuple[Float[Tensor, "B m n"], Float[Tensor, "B m"]]:
        """Masks at the points.

        Args:
            cloud: Tokens of the patches, with the mask to be refined in them.
            positions: Where the patches are.
            clicks: Tokens of the clicks.
            index: Patches between which each point lies, from `interpolation`.
            weights: Their weights.
            refine: Whether to give mask 0 or all others.

        Returns:
            Logits of the masks, and the predicted overlap (IoU) of each with the truth.
        """
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        queries = torch.cat([own.expand(len(clicks), -1, -1), clicks], dim=1)
        queries, cloud = self.transformer(queries, cloud, positions)
        wanted = range(1) if refine else range(1, self.mask_tokens.num_embeddings)
        kernels = torch.stack([self.output_hypernetworks_mlps[i](queries[:, 1 + i]) for i in wanted], dim=1)
        features = self.output_upscaling(interpolate(cloud, index, weights))
        iou = self.iou_prediction_head(queries[:, 0])
        return kernels @ features.mT, iou[:, wanted.start : wanted.stop]
