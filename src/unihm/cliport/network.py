"""The planner's network: crops and words to what is meant, where it is, and what shall be done.

Crops are encoded once for an image; every instruction about it then costs a small transformer and, for the thing that
is picked, one decoder.

Letters: N crops, B instructions, P proposals (padded), W words, w dimensions of a word's state, s = 64 cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unihm.cliport.clip_resnet import ClipEncoder, ClipResNet, load_clip
from unihm.cliport.crops import CHANNELS, MEASURES, PICTURE_CHANNELS, PICTURE_MEASURES, Crops
from unihm.cliport.grounding import LIKENESS, Described, Descriptions, Grounded, Grounder, sentence_vector
from unihm.cliport.streams import Encoder, FullResolution, Pyramid, SemanticDecoder, SpatialStream, pooled
from unihm.schema.task import TASKS
from unihm.schema.weights import assign, fingerprint, read_weights, write_weights

KIND = "planner"
SHIPPED = "planner.safetensors"
PARTS = ("other", "thing", "panel", "handle")
"""What a cell may show: something else, the proposal's thing, and of a moving part its panel and its handle. The thing
as a whole is all but the first."""

_COLOURS, _MASK = 3, CHANNELS.index("mask")
_SCALE = {"height": 10.0}  # 0.1 m becomes 1; the other channels are of order one
_CLIP = "semantic.clip."


@dataclass(frozen=True, kw_only=True)
class PlannerConfig:
    """Sizes of the network."""

    relations: tuple[str, ...]
    """Names of the relations ("inside", "left of"), in the order of their logits."""
    widths: tuple[int, int, int] = (24, 48, 96)
    """Channels of the maps at a half, a quarter and an eighth of the crop's resolution; multiples of 8."""
    embedding: int = 128
    """Size of a proposal's embedding."""
    width: int = 128
    """Of the transformer over words and proposals."""
    layers: int = 3
    """Of the transformer."""
    heads: int = 4
    """Of its attention."""
    dropout: float = 0.05
    """In the transformer and on the words."""
    text_width: int = 384
    """Dimensions of a word's state."""
    rgb_only: bool = False
    """Whether everything that needs depth is left out: the ablation of Table 4."""
    semantic: Literal["own", "clip"] = "own"
    """The semantic stream's encoder: a small one that is trained, or CLIP's frozen ResNet-50 from a local file."""
    view: Literal["camera", "top"] = "camera"
    """Where crops are taken from: the camera's image, or a top-down heightmap of it, as in CLIPort."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """N crops, encoded without words."""

    crops: Float[Tensor, "N C s s"]
    """What the network sees of them."""
    measures: Float[Tensor, "N M"]
    """Facts that the network sees, of order one."""
    embedding: Float[Tensor, "N E"]
    """What they are, whatever the words say."""
    semantic: Pyramid
    """The semantic encoder's maps, fine to coarse."""
    spatial: Pyramid
    """The spatial decoder's maps, fine to coarse."""

    def __len__(self) -> int:
        return len(self.embedding)

    def take(self, rows: Int[Tensor, " n"]) -> Encoded:
        """Some of the crops, in the given order; a crop may be taken more than once."""
        return Encoded(
            crops=self.crops[rows],
            measures=self.measures[rows],
            embedding=self.embedding[rows],
            semantic=[level[rows] for level in self.semantic],
            spatial=[level[rows] for level in self.spatial],
        )

    def followed_by(self, other: Encoded) -> Encoded:
        """The crops of both."""
        return Encoded(
            crops=torch.cat([self.crops, other.crops]),
            measures=torch.cat([self.measures, other.measures]),
            embedding=torch.cat([self.embedding, other.embedding]),
            semantic=[torch.cat(pair) for pair in zip(self.semantic, other.semantic, strict=True)],
            spatial=[torch.cat(pair) for pair in zip(self.spatial, other.spatial, strict=True)],
        )


class PlannerNetwork(nn.Module):
    """Both streams, their heads, and the transformer over words and proposals."""

    def __init__(self, config: PlannerConfig, *, clip: ClipResNet | None = None):
        """Random weights.

        Args:
            config: Sizes.
            clip: The frozen encoder where the config wants it.

        Raises:
            ValueError: `clip` is given and not wanted, or wanted and not given.
        """
        super().__init__()
        if (config.semantic == "clip") != (clip is not None):
            state = "given" if clip is not None else "missing"
            raise ValueError(f"CLIP's weights are {state}, but the planner's semantic encoder is '{config.semantic}'.")
        self.config = config
        channels = PICTURE_CHANNELS if config.rgb_only else len(CHANNELS)
        facts = PICTURE_MEASURES if config.rgb_only else len(MEASURES)
        fine, coarse = config.widths[0], config.widths[-1]
        self.spatial = SpatialStream(channels, config.widths)
        # The mask says which of the things in the crop is meant; CLIP has no channel for it.
        self.semantic = Encoder(_COLOURS + 1, config.widths) if clip is None else ClipEncoder(clip, config.widths)
        self.embed = nn.Sequential(
            nn.Linear(4 * coarse + facts, config.embedding),
            nn.GELU(),
            nn.Linear(config.embedding, config.embedding),
            nn.LayerNorm(config.embedding),
        )
        self.part_head = FullResolution(2 * fine, channels, len(PARTS))
        self.decoder = SemanticDecoder(config.widths, config.text_width)
        self.pick_head = FullResolution(fine, channels, 1)
        self.descriptions = Descriptions(config.embedding, config.text_width)
        self.grounder = Grounder(
            embedding=config.embedding,
            measures=facts,
            text_width=config.text_width,
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            tasks=len(TASKS),
            relations=len(config.relations),
            dropout=config.dropout,
        )
        # Buffers, so that they follow to another device; not in the file, because they are no weights.
        self.channel_scale: Tensor
        self.measure_centre: Tensor
        self.measure_scale: Tensor
        scale = torch.tensor([_SCALE.get(name, 1.0) for name in CHANNELS])
        centre_and_scale = torch.tensor(list(MEASURES.values()))[:facts].T.contiguous()
        self.register_buffer("channel_scale", scale[:channels, None, None], persistent=False)
        self.register_buffer("measure_centre", centre_and_scale[0], persistent=False)
        self.register_buffer("measure_scale", centre_and_scale[1], persistent=False)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # a third faster on a CPU

    def encode(self, images: Float[Tensor, "N C s s"], measures: Float[Tensor, "N M"]) -> Encoded:
        """Crops without words.

        Args:
            images: `crops.Crops.images` of any number of images, float16 or float32.
            measures: `crops.Crops.measures`.
        """
        crops = images[:, : len(self.channel_scale)].float() * self.channel_scale
        facts = (measures[:, : len(self.measure_scale)] - self.measure_centre) / self.measure_scale
        encoded, spatial = self.spatial(crops)
        own = self.config.semantic == "own"
        semantic = self.semantic(crops[:, : _COLOURS + 1] if own else crops[:, :_COLOURS])
        mask = crops[:, _MASK]
        seen = [pooled(encoded[-1], mask), pooled(semantic[-1], mask), facts]
        return Encoded(
            crops=crops,
            measures=facts,
            embedding=self.embed(torch.cat(seen, dim=1)),
            semantic=semantic,
            spatial=spatial,
        )

    def encode_crops(self, crops: Crops) -> Encoded:
        """Crops as they are cut out; see `encode`."""
        return self.encode(torch.from_numpy(crops.images), torch.from_numpy(crops.measures))

    def describe(self, encoded: Encoded) -> Described:
        """What each crop shows: one whole thing or not, of which kind, and its name as a vector."""
        return self.descriptions(encoded.embedding)

    def parts(self, encoded: Encoded) -> Float[Tensor, "N parts s s"]:
        """Logits of `PARTS` for every cell."""
        return self.part_head(torch.cat([encoded.spatial[0], encoded.semantic[0]], dim=1), encoded.crops)

    def ground(
        self,
        encoded: Encoded,
        rows: Int[Tensor, "B P"],
        words: Float[Tensor, "B W w"],
        words_mask: Bool[Tensor, "B W"],
    ) -> Grounded:
        """What instructions mean among their proposals.

        Args:
            encoded: Crops of all images.
            rows: Which of them are each instruction's proposals; -1 for padding.
            words: Token states.
            words_mask: False for padding.
        """
        real = rows >= 0
        # Padding takes zeros, not some crop: there may be none.
        known = (encoded.embedding, encoded.measures, self.describe(encoded).name)
        index = torch.where(real, rows, len(encoded))
        embedding, measures, names = (nn.functional.pad(x, (0, 0, 0, 1))[index] for x in known)
        return self.grounder(embedding, measures, names, real, words, words_mask)

    def pick(
        self,
        encoded: Encoded,
        rows: Int[Tensor, " B"],
        words: Float[Tensor, "B W w"],
        words_mask: Bool[Tensor, "B W"],
    ) -> Float[Tensor, "B s s"]:
        """Logits over all cells of where to take a thing (CLIPort's attention: their softmax is over the cells).

        Args:
            encoded: Crops of all images.
            rows: Which of them each instruction is about.
            words: Token states.
            words_mask: False for padding.
        """
        chosen = encoded.take(rows)
        fused = self.decoder(chosen.semantic, chosen.spatial, sentence_vector(words, words_mask))
        return self.pick_head(fused, chosen.crops)[:, 0]

    def trained(self) -> dict[str, Tensor]:
        """Weights by name, without those of CLIP."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(_CLIP)}

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write weights and card; returns the fingerprint.

        Args:
            path: The ``.safetensors`` file.
            card: Training facts; what the network reads and writes is added here.
        """
        return write_weights(path, self.trained(), {**self._interface(), **card}, kind=KIND)

    def _interface(self) -> dict[str, Any]:
        """Everything that weights depend on, by name."""
        clip = self.semantic.clip if isinstance(self.semantic, ClipEncoder) else None
        return {
            "config": {**asdict(self.config), "relations": list(self.config.relations)},
            "clip": None if clip is None else fingerprint(clip.state_dict()),
            "channels": list(CHANNELS),
            "measures": list(MEASURES),
            "tasks": list(TASKS),
            "parts": list(PARTS),
        }


def load_planner(
    path: str | Path | None = None, *, clip: str | Path | None = None
) -> tuple[PlannerNetwork, dict[str, Any]]:
    """A trained network in evaluation mode, and its card.

    Args:
        path: The ``.safetensors`` file, its card beside it; None takes the weights that come with the package.
        clip: CLIP's weights, for a network that was trained with them; see `clip_resnet.load_clip`.

    Raises:
        ValueError: A file is missing or damaged, the weights do not fit their card, they were made for other inputs
            or outputs than this version has, or for other weights of CLIP.
    """
    if path is None:
        with as_file(files("unihm") / "assets" / "weights") as folder:
            return load_planner(Path(folder) / SHIPPED, clip=clip)
    tensors, card = read_weights(path, kind=KIND)
    try:
        stored = card["config"]
        config = PlannerConfig(**{**stored, "relations": tuple(stored["relations"]), "widths": tuple(stored["widths"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"Weights card of '{path}' is damaged: {error}.") from error
    if config.semantic == "clip" and clip is None:
        raise ValueError(f"Planner '{path}' was trained with CLIP's ResNet-50, whose weights are missing.")
    network = PlannerNetwork(config, clip=None if clip is None else load_clip(clip))
    for name, own in network._interface().items():
        if name != "config" and card.get(name) != own:
            raise ValueError(f"Planner '{path}' was trained with {name} {card.get(name)}, here they are {own}.")
    frozen = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(_CLIP)}
    assign(network, tensors | frozen, path)
    return network.eval(), card


def without_depth(network: PlannerNetwork) -> PlannerNetwork:
    """The same weights less those of the inputs that need depth, for the ablation to begin with.

    Raises:
        ValueError: Its semantic encoder is CLIP's, whose weights are elsewhere.
    """
    if network.config.semantic == "clip":
        raise ValueError("A planner with CLIP's encoder has no ablation without depth; train one without CLIP.")
    small = PlannerNetwork(replace(network.config, rgb_only=True))
    full = network.state_dict()
    for name, own in small.state_dict().items():
        # What needs depth comes last among all inputs, but for the measures, which two likenesses follow.
        more = full[name].shape[1] - own.shape[1] if own.ndim > 1 else 0
        if more and name == "grounder.proposal.weight":
            kept = torch.cat([full[name][:, : -LIKENESS - more], full[name][:, -LIKENESS:]], dim=1)
        else:
            kept = full[name][:, : own.shape[1]] if more else full[name]
        own.copy_(kept)
    return small.train(network.training)
