"""Point-SAM (Zhou et al. 2024): which points belong to the thing that was clicked on, in a coloured cloud.

The cloud is cut into patches around farthest points; each patch becomes a token that a transformer relates to all
others (`PointSAM.encode`, slow, once a cloud). Clicks on the object or beside it are tokens too, and a small two-way
transformer turns both into masks (`PointSAM.decode`, fast, once a click). A first click can mean a part or the whole,
so it gives three masks and how well each is expected to fit; further clicks refine one of them.

The network and its names are those of the published weights (ViT-L, 512 patches of 64 points), which `load_point_sam`
reads from a local file. It needs no extension: `point_ops` finds the patches.

Differs from the paper: a cloud with fewer points than patches has as many patches as points; the published code stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unihm.perception.point_ops import farthest_points, gather, nearest
from unihm.perception.point_sam_parts import ClickEncoder, CloudEncoder, MaskDecoder, MaskEncoder, group, interpolation
from unihm.perception.published import read_published
from unihm.schema.weights import assign

# The published file holds a whole image transformer. These parts of it meet pixels or classes, never points.
_OF_IMAGES = frozenset(
    f"pc_encoder.transformer.{name}"
    for name in (
        "cls_token",
        "pos_embed",
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "head.weight",
        "head.bias",
    )
)
_ROUNDING = 1e-4  # unit ball radii by which a prompt may lie outside


@dataclass(frozen=True, kw_only=True)
class PointSAMConfig:
    """Sizes of the network; the defaults are the published large one."""

    patches: int = 512
    """Patches of a cloud; no weight depends on it (2048 is advised for more than 100 000 points)."""
    patch_size: int = 64
    """Points of a patch; no weight depends on it (256 is advised for more than 100 000 points)."""
    patch_hidden: tuple[int, int] = (128, 512)
    """Hidden widths of the PointNets of a patch."""
    patch_width: int = 512
    """Features of a patch before the transformer."""
    width: int = 1024
    """Features in the transformer (EVA-02 large)."""
    depth: int = 24
    """Its blocks."""
    heads: int = 16
    """Its attention heads."""
    mlp: int = 2730
    """Hidden width of its feed-forward parts: 8/3 of its width, rounded down."""
    tokens: int = 256
    """Features of the tokens that the decoder sees."""
    decoder_depth: int = 2
    """Rounds of the two-way transformer."""
    decoder_heads: int = 8
    """Its attention heads."""
    decoder_mlp: int = 2048
    """Hidden width of its feed-forward parts."""
    iou_width: int = 256
    """Hidden width of the head that predicts the overlap."""
    guesses: int = 3
    """Masks for a first click."""


@dataclass(frozen=True, kw_only=True)
class EncodedCloud:
    """What `PointSAM.encode` finds out about clouds before anyone clicks."""

    points: Float[Tensor, "B n 3"]
    """The points, in the unit ball."""
    centres: Float[Tensor, "B L 3"]
    """Centres of the patches, which are points of the cloud."""
    members: Int[Tensor, "B L K"]
    """Points of each patch."""
    tokens: Float[Tensor, "B L d"]
    """Features of each patch."""
    index: Int[Tensor, "B n 3"]
    """The three patches between which each point lies."""
    weights: Float[Tensor, "B n 3"]
    """Their shares in it; they sum to 1."""


class PointSAM(nn.Module):
    """Clicks on a coloured cloud -> masks and how well they are expected to fit."""

    def __init__(self, config: PointSAMConfig):
        """Build the network with random weights."""
        super().__init__()
        self.config = c = config
        self.pc_encoder = CloudEncoder(c.patch_hidden, c.patch_width, c.width, c.depth, c.heads, c.mlp, c.tokens)
        self.point_encoder = ClickEncoder(c.tokens)
        self.mask_encoder = MaskEncoder(c.tokens, c.patch_hidden)
        self.mask_decoder = MaskDecoder(
            c.tokens, c.decoder_depth, c.decoder_heads, c.decoder_mlp, c.guesses, c.iou_width
        )

    def forward(
        self,
        points: Float[Tensor, "B n 3"],
        colours: Float[Tensor, "B n 3"],
        prompts: Float[Tensor, "B p 3"],
        labels: Int[Tensor, "B p"] | Bool[Tensor, "B p"],
    ) -> tuple[Float[Tensor, "B m n"], Float[Tensor, "B m"]]:
        """Guesses at what first clicks mean: `encode`, then `decode`."""
        return self.decode(self.encode(points, colours), prompts, labels)

    def encode(self, points: Float[Tensor, "B n 3"], colours: Float[Tensor, "B n 3"]) -> EncodedCloud:
        """Everything that does not depend on the clicks.

        Args:
            points: In the unit ball: less their mean, over the largest distance from it.
            colours: Red, green and blue from -1 to 1, that is ``2 rgb - 1`` of rgb from 0 to 1.

        Raises:
            ValueError: A cloud has fewer than three points.
        """
        n = points.shape[1]
        if n < 3:
            raise ValueError(f"Point-SAM needs at least 3 points, the cloud has {n}.")
        centres = gather(points, farthest_points(points, min(self.config.patches, n)))
        _, members = nearest(centres, points, min(self.config.patch_size, n))
        index, weights = interpolation(points, centres)
        return EncodedCloud(
            points=points,
            centres=centres,
            members=members,
            tokens=self.pc_encoder(group(points, colours, centres, members), centres),
            index=index,
            weights=weights,
        )

    def decode(
        self,
        cloud: EncodedCloud,
        prompts: Float[Tensor, "B p 3"],
        labels: Int[Tensor, "B p"] | Bool[Tensor, "B p"],
        previous: Float[Tensor, "B n"] | None = None,
    ) -> tuple[Float[Tensor, "B m n"], Float[Tensor, "B m"]]:
        """Masks for clicks.

        Args:
            cloud: From `encode`.
            prompts: All clicks so far, in the unit ball of their cloud.
            labels: 1 for a click on the object, 0 for one on the background.
            previous: Logits of the mask that the last click is to refine. It was learned so: without a mask after the
                first click, with the best or the last mask after every further one.

        Returns:
            Mask logits, positive on the object, and the predicted overlap (IoU) of each mask with the truth. There
            are `guesses` masks without a previous one and one mask with it.
        """
        old = None
        if previous is not None:
            old = group(cloud.points, previous.detach()[..., None], cloud.centres, cloud.members)
        return self.mask_decoder(
            cloud.tokens + self.mask_encoder(old),
            self.point_encoder.pe_layer(cloud.centres),
            self.point_encoder(prompts, labels),
            cloud.index,
            cloud.weights,
            refine=previous is not None,
        )


def load_point_sam(path: str | Path, config: PointSAMConfig = PointSAMConfig()) -> PointSAM:
    """A network with the weights of a local file, on the CPU, ready for use.

    Args:
        path: The published ``model.safetensors``, or the same tensors by name in a file of torch's. Parts of it that
            belong to images are left out.
        config: Sizes of the network.

    Raises:
        ValueError: The file is missing or damaged, or names are missing or unexpected, or shapes differ.
    """
    tensors = {name: tensor for name, tensor in read_published(path).items() if name not in _OF_IMAGES}
    model = PointSAM(config)
    assign(model, tensors, path)
    return model.eval()


def segment(
    model: PointSAM,
    points: Float[np.ndarray, "n 3"],
    colours: Float[np.ndarray, "n 3"],
    prompts: Float[np.ndarray, "p 3"],
    labels: Int[np.ndarray, " p"] | Bool[np.ndarray, " p"],
) -> Bool[np.ndarray, " n"]:
    """The thing that was clicked on.

    The first click gives several masks, of which the one with the best predicted overlap is kept; each further click
    refines it, in the order of the clicks. Where the cloud is and how large it is do not matter.

    Args:
        model: The network; its device and type are used.
        points: Any frame, m.
        colours: Red, green and blue from 0 to 1.
        prompts: Clicks, in the frame of the points, m.
        labels: 1 for a click on the object, 0 for one on the background; the first is on the object.

    Returns:
        Which points belong to it.

    Raises:
        ValueError: There is no cloud or no click on the object to begin with, a number is out of range, or a click
            lies outside of the cloud.
    """
    _check(points, colours, prompts, labels)
    points, prompts = points.astype(np.float64), prompts.astype(np.float64)  # far from 0 single precision is coarse
    centre = points.mean(axis=0)
    radius = np.linalg.norm(points - centre, axis=1).max()
    if radius == 0:
        raise ValueError("All points of the cloud are the same.")
    prompts = (prompts - centre) / radius
    outside = np.linalg.norm(prompts, axis=1) > 1 + _ROUNDING
    if outside.any():
        raise ValueError(f"Prompt {np.argmax(outside)} lies outside of the cloud.")

    like = model.point_encoder.pe_layer.positional_encoding_gaussian_matrix
    clicks = torch.as_tensor(prompts).to(like)[None]
    kinds = torch.as_tensor(labels, device=like.device)[None]
    with torch.no_grad():
        cloud = model.encode(
            torch.as_tensor((points - centre) / radius).to(like)[None], torch.as_tensor(2 * colours - 1).to(like)[None]
        )
        masks, iou = model.decode(cloud, clicks[:, :1], kinds[:, :1])
        mask = masks[:, iou[0].argmax()]
        for count in range(2, len(prompts) + 1):
            mask = model.decode(cloud, clicks[:, :count], kinds[:, :count], previous=mask)[0][:, 0]
    return (mask[0] > 0).cpu().numpy()


def _check(points: np.ndarray, colours: np.ndarray, prompts: np.ndarray, labels: np.ndarray) -> None:
    if len(points) == 0 or len(prompts) == 0:
        raise ValueError(f"Expected points and at least one prompt, got {len(points)} and {len(prompts)}.")
    for name, values in (("Points", points), ("Prompts", prompts)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} are not finite.")
    if not ((colours >= 0) & (colours <= 1)).all():
        raise ValueError("Colours must lie between 0 and 1.")
    if not np.isin(labels, (0, 1)).all() or not labels[0]:
        raise ValueError("Labels must be 1 (object) or 0 (background), and the first prompt must be on the object.")
