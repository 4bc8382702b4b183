"""A Qwen3 that reads words, object and path and writes the codes of a hand motion (Sec. 3.3, Eqs. 9 and 10).

The sequence is: token states of the instruction | object cloud tokens | object path tokens | initial hand pose |
one position per chunk of frames. A hand position holds the latent of its chunk where that is given, and one
learnable token where it is masked; the path token of its chunk and the prior's guess are added, so it
knows its place.

Letters: B batch, L words, n points, T frames, N chunks, d hidden size, D latent size, S sequence length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3Model

from unihm.generation.code_head import CodeHead
from unihm.generation.motion_prior import MotionPrior
from unihm.generation.point_encoder import METRE, PointNet
from unihm.generation.trajectory_encoder import TrajectoryEncoder
from unihm.geometry.lie import rotation_6d
from unihm.tokenizer.vqvae import chunk_mask

_WORDS = 64
"""Rotary positions kept for the words, so that the rest of the sequence stands still when they are padded."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Sizes of the generator; the defaults are `qwen3-tiny`."""

    hidden: int = 256
    """Size of the hidden states."""
    layers: int = 4
    """Transformer layers."""
    heads: int = 8
    """Query heads."""
    kv_heads: int = 4
    """Key and value heads (grouped-query attention)."""
    head_size: int = 32
    """Dimensions of a head."""
    feedforward: int = 1024
    """Hidden layer of the gated MLP."""
    word_tokens: int | None = 4
    """Tokens that the words are gathered into by attention, which shortens the sequence; None keeps every word."""
    cloud_tokens: int = 4
    """Tokens that the object cloud becomes."""
    text_width: int = 384
    """Dimensions of a token state of the instruction."""
    attention: Literal["bidirectional", "causal"] = "bidirectional"
    """Whether a position sees those behind it. All positions are masked at once, so nothing leaks."""
    rope_theta: float = 1e6
    """Base of the rotary positions (Qwen3: 1e6)."""
    norm_eps: float = 1e-6
    """Of the RMS norms."""
    dropout: float = 0.1
    """On the inputs and after each attention and MLP block."""

    def body(self) -> Qwen3Config:
        """The same in the words of transformers."""
        return Qwen3Config(
            vocab_size=1,  # positions enter as embeddings, codes leave through `CodeHead`
            hidden_size=self.hidden,
            intermediate_size=self.feedforward,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            head_dim=self.head_size,
            rope_parameters={"rope_type": "default", "rope_theta": self.rope_theta},
            rms_norm_eps=self.norm_eps,
            tie_word_embeddings=False,
            use_cache=False,
        )


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a batch of motions is generated from."""

    words: Float[Tensor, "B L w"]
    """Token states of the instructions."""
    words_mask: Bool[Tensor, "B L"]
    """Which of them are real; none, where the instruction is dropped in training."""
    points: Float[Tensor, "B n 3"]
    """Object clouds in the canonical object frame, m."""
    cloud_given: Bool[Tensor, " B"]
    """False where the cloud is dropped in training."""
    T_world_canonical: Float[Tensor, "B T 4 4"]
    """Paths of the canonical object frame, m; T is a whole number of chunks, filled with the last pose."""
    lengths: Int[Tensor, " B"]
    """Real frames."""
    T_canonical_palm0: Float[Tensor, "B 4 4"]
    """Initial palm poses, m."""
    start: Float[Tensor, "B D"]
    """Initial hand poses as the tokenizer's encoder of that hand sees them, E_j(Qpos_0) of Eq. 9."""
    hand: Int[Tensor, " B"]
    """Numbers of the hands, in the tokenizer's order."""


class WordGatherer(nn.Module):
    """Token states of any number of words, gathered into a few tokens by learned queries."""

    def __init__(self, text_width: int, width: int, tokens: int, heads: int):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(tokens, width) / width**0.5)
        self.norm = nn.LayerNorm(text_width)
        self.attention = nn.MultiheadAttention(width, heads, kdim=text_width, vdim=text_width, batch_first=True)

    def forward(self, words: Float[Tensor, "B L w"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B k d"]:
        """Gathered tokens; without any real word the result means nothing and is to be masked."""
        words = self.norm(words)
        # Attention over nothing is NaN: where all words are dropped, the first one stands in unseen.
        hidden = ~mask
        hidden[:, 0] &= mask.any(dim=1)
        queries = self.queries.expand(len(words), -1, -1)
        return self.attention(queries, words, words, key_padding_mask=hidden, need_weights=False)[0]


class MotionQwen3(nn.Module):
    """The network: conditions and partly masked latents in, hidden states of the chunks out."""

    def __init__(
        self,
        config: GeneratorConfig,
        codebook: Float[Tensor, "L K D"],
        *,
        hands: int,
        frames_per_chunk: int,
        body: Qwen3Model | None = None,
    ):
        """Random weights, or a given transformer with random weights around it.

        Args:
            config: Sizes.
            codebook: Code vectors of the tokenizer.
            hands: Number of hands that the tokenizer knows.
            frames_per_chunk: Frames that one hand position stands for.
            body: A transformer of the sizes in `config`.
        """
        super().__init__()
        self.config = config
        self.frames_per_chunk = frames_per_chunk
        d, latent = config.hidden, codebook.shape[-1]
        self.body = body or Qwen3Model(config.body())
        self.body.embed_tokens = None  # type: ignore[assignment]  # nothing enters as an index
        if config.word_tokens is None:
            self.words = nn.Sequential(nn.LayerNorm(config.text_width), nn.Linear(config.text_width, d))
        else:
            self.words = WordGatherer(config.text_width, d, config.word_tokens, config.heads)
        self.cloud = PointNet(d, config.cloud_tokens)
        self.path = TrajectoryEncoder(d, frames_per_chunk)
        self.start = nn.Sequential(nn.Linear(9 + latent, d), nn.GELU(), nn.Linear(d, d))
        self.hand = nn.Embedding(hands, d)
        self.motion = nn.Linear(latent, d)
        self.prior = MotionPrior(latent)
        self.guess = nn.Linear(latent, d)
        self.segment = nn.Embedding(5, d)
        self.mask_token = nn.Parameter(torch.zeros(d))
        self.head = CodeHead(d, codebook)
        for embedding in (self.hand.weight, self.segment.weight, self.mask_token):
            nn.init.normal_(embedding, std=0.02)
        self.dropout = nn.Dropout(config.dropout)
        for layer in self.body.layers:
            assert isinstance(layer, Qwen3DecoderLayer)
            # Qwen3 has dropout on attention weights only; a hook adds the usual one without renaming any weight.
            layer.self_attn.o_proj.register_forward_hook(self._drop)
            layer.mlp.down_proj.register_forward_hook(self._drop)

    def _drop(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return self.dropout(output)

    def _read(self, c: Conditions) -> tuple[Tensor, Tensor]:
        """Word tokens and which of them are real."""
        if isinstance(self.words, WordGatherer):
            words = self.words(c.words, c.words_mask)
            return words, c.words_mask.any(dim=1, keepdim=True).expand(-1, words.shape[1])
        return self.words(c.words), c.words_mask

    def origin(self, conditions: Conditions) -> Float[Tensor, "B N D"]:
        """The prior's guess of the latents, from which the head points on."""
        c = conditions
        start = c.start / self.head.scale
        features = self.prior.features(c.T_world_canonical, c.lengths, c.T_canonical_palm0, start, c.points)
        chunks = c.T_world_canonical.shape[1] // self.frames_per_chunk
        exists = chunk_mask(c.lengths, chunks, self.frames_per_chunk)
        return self.prior(features, start, exists) * self.head.scale

    def forward(
        self,
        conditions: Conditions,
        origin: Float[Tensor, "B N D"],
        motion: Float[Tensor, "B N D"],
        given: Bool[Tensor, "B N"],
    ) -> Float[Tensor, "B N d"]:
        """Hidden states of the chunks.

        Args:
            conditions: What to generate from.
            origin: From `origin`.
            motion: Latents z_q of the chunks.
            given: M of Eq. 10: where `motion` is shown; elsewhere stands the mask token.
        """
        c = conditions
        batch, device = len(c.lengths), c.lengths.device
        path = self.path(c.T_world_canonical, c.lengths)
        chunks = path.shape[1]
        palm = c.T_canonical_palm0
        pose = torch.cat([METRE * palm[:, :3, 3], rotation_6d(palm[:, :3, :3]), c.start / self.head.scale], dim=-1)
        start = (self.start(pose) + self.hand(c.hand))[:, None]
        shown = torch.where(given[..., None], self.motion(motion / self.head.scale), self.mask_token)
        words, words_mask = self._read(c)
        segments = [
            words,
            self.cloud(c.points, palm[:, :3, 3]),
            path,
            start,
            shown + path + start + self.guess(origin / self.head.scale),
        ]
        exists = chunk_mask(c.lengths, chunks, self.frames_per_chunk)
        masks = [
            words_mask,
            c.cloud_given[:, None].expand(-1, self.cloud.tokens),
            exists,
            exists[:, :1],
            exists,
        ]
        # A chunk's path token and its hand position share one rotary position: they are the same moment.
        moments = torch.arange(chunks, device=device) + _WORDS + 2
        places = [
            torch.arange(words.shape[1], device=device),
            torch.full((self.cloud.tokens,), _WORDS, device=device),
            moments,
            torch.full((1,), _WORDS + 1, device=device),
            moments,
        ]
        x_BSd = torch.cat([x + self.segment.weight[i] for i, x in enumerate(segments)], dim=1)
        visible = torch.cat(masks, dim=1)[:, None, None, :]
        if self.config.attention == "causal":
            length = x_BSd.shape[1]
            visible = visible & torch.ones(length, length, dtype=torch.bool, device=device).tril()
            # A padded word at the very start would see nothing at all, and softmax would give NaN.
            visible = visible | torch.eye(length, dtype=torch.bool, device=device)
        else:
            visible = visible.expand(-1, 1, x_BSd.shape[1], -1)
        states = self.body(
            inputs_embeds=self.dropout(x_BSd),
            attention_mask={"full_attention": visible},
            position_ids=torch.cat(places)[None].expand(batch, -1),
            use_cache=False,
        ).last_hidden_state
        return self.dropout(states[:, -chunks:])
