"""A Qwen3 that reads words, object and path and writes the codes of a hand motion (Sec. 3.3, Eqs. 9 and 10).

The sequence is: token states of the instruction | object cloud tokens | object path tokens | initial hand pose | plan |
one position per chunk of frames. The plan is written first, code after code (`plan_codes`), or left open. A hand
position holds what is given of the motion, and one learnable token where that is masked (Eq. 10): with causal attention
the chunk before its own, which is what an autoregressive decoder has; with bidirectional attention its own chunk. The
path token of its chunk and the prior's guess are added, so it knows its place.

Letters: B batch, L words, n points, T frames, N chunks, C frames of a chunk, d hidden size, S sequence length, v values
of a frame (palm 6, fingers m).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache
from transformers.models.qwen3.configuration_qwen3 import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer, Qwen3Model

from unihm.generation.asked import SIZE, InstructionReader, direction
from unihm.generation.code_head import CodeHead, Pointed
from unihm.generation.committee import Committee
from unihm.generation.conditions import Conditions, lift_phase
from unihm.generation.motion_prior import MotionPrior, held, poses_of
from unihm.generation.plan_codes import AXES, RANGES, PlanCodes
from unihm.generation.point_encoder import METRE, PointNet
from unihm.generation.prior_features import WITH_PATH, WITHOUT_PATH, blocks, sizes
from unihm.generation.trajectory_encoder import TrajectoryEncoder
from unihm.geometry.lie import rotation_6d
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import PredictiveCodec

_CACHE = "cache" if "cache" in signature(Qwen3Model.forward).parameters else "past_key_values"
"""What this transformers calls the keys and values of the past."""
_WORDS = 64
"""Rotary positions kept for the words, so that the rest of the sequence stands still when they are padded."""


WITHOUT = ("words", "cloud")
"""Inputs that a network may be trained without."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """Sizes of the generator; the defaults are `qwen3-tiny`."""

    hidden: int = 192
    """Size of the hidden states."""
    layers: int = 4
    """Transformer layers."""
    heads: int = 6
    """Query heads."""
    kv_heads: int = 3
    """Key and value heads (grouped-query attention)."""
    head_size: int = 32
    """Dimensions of a head."""
    feedforward: int = 768
    """Hidden layer of the gated MLP."""
    word_tokens: int | None = 4
    """Tokens that the words are gathered into by attention, which shortens the sequence; None keeps every word."""
    cloud_tokens: int = 4
    """Tokens that the object cloud becomes."""
    text_width: int = 384
    """Dimensions of a token state of the instruction."""
    attention: Literal["bidirectional", "causal"] = "causal"
    """Whether a position sees those behind it."""
    memory: int = 0
    """Motions that the prior with the path remembers; 0 is no prior."""
    memory_without_path: int = 0
    """Those of the prior without it."""
    members: int = 2
    """Networks in each prior's committee, see `committee`."""
    rope_theta: float = 1e6
    """Base of the rotary positions (Qwen3: 1e6)."""
    norm_eps: float = 1e-6
    """Of the RMS norms."""
    without: tuple[str, ...] = ()
    """What the network never sees, of `WITHOUT`: the ablations of Table 4."""
    dropout: float = 0.1
    """On the inputs and after each attention and MLP block."""
    input_dropout: float = 0.3
    """On the numbers that the priors see, where the network reads them too."""

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
    """The network: conditions and partly masked motions in, points of the chunks out."""

    def __init__(self, config: GeneratorConfig, codec: PredictiveCodec, *, body: Qwen3Model | None = None):
        """Random weights, or a given transformer with random weights around it.

        Args:
            config: Sizes.
            codec: Whose codes are written.
            body: A transformer of the sizes in `config`.
        """
        super().__init__()
        self.config = config
        self.frames_per_chunk = codec.config.frames_per_chunk
        d, m, size = config.hidden, codec.config.latent, len(codec.metric)
        self.body = body or Qwen3Model(config.body())
        self.body.embed_tokens = None  # type: ignore[assignment]  # nothing enters as an index
        if config.word_tokens is None:
            self.words = nn.Sequential(nn.LayerNorm(config.text_width), nn.Linear(config.text_width, d))
        else:
            self.words = WordGatherer(config.text_width, d, config.word_tokens, config.heads)
        self.reader = InstructionReader(config.text_width)
        self.prior = MotionPrior(sizes(WITH_PATH, m), memory=config.memory, latent=m)
        self.prior_without_path = MotionPrior(sizes(WITHOUT_PATH, m), memory=config.memory_without_path, latent=m)
        self.committees = nn.ModuleList(
            Committee(sum(prior.sizes.values()), m, config.members if prior.fitted else 0) for prior in self.priors
        )
        self.plan = PlanCodes(m, config.memory)
        self.plan_without_path = PlanCodes(m, config.memory_without_path)
        self.plan_token = nn.Embedding(AXES * (RANGES + 1), d)  # the last of each axis: left open
        self.plan_head = nn.Parameter(torch.zeros(AXES, d, RANGES))
        self.cloud = PointNet(d, config.cloud_tokens)
        self.path = TrajectoryEncoder(d, self.frames_per_chunk)
        self.start = nn.Sequential(nn.Linear(9 + m + SIZE + 2 + 3 + 3, d), nn.GELU(), nn.Linear(d, d))
        self.motion = nn.Linear(self.frames_per_chunk * size, d)
        self.guess = nn.Linear(9 + m, d)
        self.told = nn.ModuleList(
            nn.Sequential(nn.Dropout(config.input_dropout), nn.Linear(sum(prior.sizes.values()), d))
            for prior in (self.prior, self.prior_without_path)
        )
        self.segment = nn.Embedding(6, d)
        self.no_path = nn.Parameter(torch.zeros(d))
        self.mask_token = nn.Parameter(torch.zeros(d))
        self.head = CodeHead(d, codec)
        for embedding in (self.segment.weight, self.plan_token.weight, self.mask_token, self.no_path):
            nn.init.normal_(embedding, std=0.02)
        self.dropout = nn.Dropout(config.dropout)
        for layer in self.body.layers:
            assert isinstance(layer, Qwen3DecoderLayer)
            # Qwen3 has dropout on attention weights only; a hook adds the usual one without renaming any weight.
            layer.self_attn.o_proj.register_forward_hook(self._drop)
            layer.mlp.down_proj.register_forward_hook(self._drop)

    def _drop(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return self.dropout(output)

    def train(self, mode: bool = True) -> MotionQwen3:
        """Training mode, but for the parts that are trained before: they say the same each time."""
        super().train(mode)
        for part in (self.reader, self.committees):
            part.eval()
        return self

    def chunks(self, conditions: Conditions) -> int:
        """N, chunks of the longest motion."""
        return conditions.T_world_canonical.shape[1] // self.frames_per_chunk

    def exists(self, conditions: Conditions) -> Bool[Tensor, "B N"]:
        """Which chunks hold real frames."""
        first = torch.arange(self.chunks(conditions), device=conditions.lengths.device) * self.frames_per_chunk
        return first < conditions.lengths[:, None]

    def seen(self, conditions: Conditions) -> Conditions:
        """The conditions less what this network is without."""
        c = conditions
        if "words" in self.config.without:
            c = replace(c, words_mask=torch.zeros_like(c.words_mask))
        if "cloud" in self.config.without:
            # A single point where the object is: no size, no shape.
            c = replace(c, points=torch.zeros_like(c.points), cloud_given=torch.zeros_like(c.cloud_given))
        return c

    @torch.no_grad()
    def guess_of(self, conditions: Conditions) -> Guess:
        """What the priors say."""
        c = self.seen(conditions)
        asked = self.reader(c.words, c.words_mask)
        told = blocks(c, asked)
        latent = c.start.fingers.shape[-1]
        inputs = self.prior.inputs(told), self.prior_without_path.inputs(told)
        told_by = [
            committee(x, prior.told(x, latent)) if prior.fitted else held(c.start)
            for prior, committee, x in zip(self.priors, self.committees, inputs, strict=True)
        ]
        return Guess(asked=asked, inputs=inputs, told=torch.where(c.path_given[:, None, None], *told_by))

    @property
    def priors(self) -> tuple[MotionPrior, MotionPrior]:
        """With the path, and without it."""
        return self.prior, self.prior_without_path

    def planned(self, conditions: Conditions, guess: Guess, plan: Int[Tensor, "B A"], share: float = 1.0) -> Guess:
        """The guess with its plan, or with a share of what the plan adds."""
        given = conditions.path_given[:, None, None]
        added = torch.where(given, self.plan.decode(plan), self.plan_without_path.decode(plan))
        return replace(guess, told=guess.told + share * added)

    def origin(self, conditions: Conditions, guess: Guess) -> LatentPose:
        """The guess as poses (B, N, C), from which the head points on."""
        poses = poses_of(guess.told, conditions.start, phases(conditions))
        return poses.map(lambda part: part.unflatten(1, (-1, self.frames_per_chunk)))

    def forward(
        self,
        conditions: Conditions,
        guess: Guess,
        plan: Int[Tensor, "B A"],
        origin: LatentPose,
        motion: LatentPose,
        given: Bool[Tensor, "B N"],
    ) -> tuple[Float[Tensor, "B A Q"], Pointed]:
        """Logits of the plan's codes, each given those before, and what the head says of all chunks.

        Args:
            conditions: What to generate from.
            guess: From `guess_of`.
            plan: Its codes; `RANGES` where one is left open.
            origin: From `origin`, of the guess with the same plan.
            motion: (B, N, C) the motion as far as it is known.
            given: M of Eq. 10: which chunks of `motion` are shown.
        """
        prefix = self._prefix(conditions, guess)
        planned = self._plan_positions(plan)
        off = self.head.missed(motion, origin) * given[..., None, None]
        shown, before, past = self._shown(off, given)
        x = torch.cat([prefix.x, planned, self._hand_positions(prefix, origin, off, shown)], dim=1)
        exists = self.exists(conditions)
        first = x.shape[1] - exists.shape[1]
        seen = torch.cat([prefix.visible, exists.new_ones(planned.shape[:2]), exists], dim=1)[:, None, None, :]
        # What comes before the hand is read in order; among themselves chunks may see ahead.
        order = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        if self.config.attention == "bidirectional":
            order[first:] = True
        # A padded word at the very start would see nothing at all, and softmax would give NaN.
        seen = (seen & order) | torch.eye(len(order), dtype=torch.bool, device=x.device)
        places = torch.cat([prefix.places, prefix.plan, prefix.moments])
        states = self.body(
            inputs_embeds=self.dropout(x),
            attention_mask={"full_attention": seen},
            position_ids=places[None].expand(len(x), -1),
            use_cache=False,
        ).last_hidden_state
        before_plan = first - planned.shape[1] - 1
        logits = torch.einsum("bad,adq->baq", states[:, before_plan : first - 1], self.plan_head)
        return logits, self.head(self.dropout(states[:, first:]), origin, before, past)

    def steps(self, conditions: Conditions, guess: Guess) -> Steps:
        """The same code by code and chunk by chunk; the keys and values of the past are kept."""
        return Steps(self, conditions, guess)

    def _plan_positions(self, plan: Int[Tensor, "B a"], first: int = 0) -> Float[Tensor, "B a d"]:
        axis = first + torch.arange(plan.shape[1], device=plan.device)
        return self.plan_token(axis * (RANGES + 1) + plan) + self.segment.weight[5]

    def _shown(
        self, off: Float[Tensor, "B N C v"], given: Bool[Tensor, "B N"]
    ) -> tuple[Bool[Tensor, "B N"], Float[Tensor, "B N v"], Bool[Tensor, "B N"]]:
        """Where positions show something; how far the guess missed the frame before a chunk; where that is known."""
        past = torch.zeros_like(given)
        past[:, 1:] = given[:, :-1]
        before = torch.zeros_like(off[:, :, -1])
        before[:, 1:] = off[:, :-1, -1]
        return (past if self.config.attention == "causal" else given), before, past

    def _hand_positions(
        self, prefix: Prefix, origin: LatentPose, off: Float[Tensor, "B N C v"], shown: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B N d"]:
        if self.config.attention == "causal":
            off = torch.nn.functional.pad(off, (0, 0, 0, 0, 1, 0))[:, :-1]
        content = torch.where(shown[..., None], self.motion(off.flatten(2) / 10), self.mask_token)
        last = origin[:, :, -1]
        guess = torch.cat([METRE * last.t, rotation_6d(last.R), last.fingers], dim=-1)
        return content + prefix.path + prefix.start + self.guess(guess) + self.segment.weight[4]

    def _prefix(self, c: Conditions, guess: Guess) -> Prefix:
        """Everything before the hand."""
        c = self.seen(c)
        if isinstance(self.words, WordGatherer):
            words = self.words(c.words, c.words_mask)
            words_mask = c.words_mask.any(dim=1, keepdim=True).expand(-1, words.shape[1])
        else:
            words, words_mask = self.words(c.words), c.words_mask
        asked = guess.asked
        to = [direction(asked, slot, c.view) for slot in ("approach", "travel")]
        pose = [METRE * c.start.t, rotation_6d(c.start.R), c.start.fingers]
        start = self.start(torch.cat([*pose, asked, c.view, *to], dim=-1))
        seen = [read(x) for read, x in zip(self.told, guess.inputs, strict=True)]
        start = (start + torch.where(c.path_given[:, None], *seen))[:, None]
        path = self.path(c.T_world_canonical, c.lengths) + ~c.path_given[:, None, None] * self.no_path
        segments = [words, self.cloud(c.points, c.start.t), path, start]
        exists = self.exists(c)
        masks = [words_mask, c.cloud_given[:, None].expand(-1, self.cloud.tokens), exists, exists[:, :1]]
        device = c.lengths.device
        # A chunk's path token and its hand position share one rotary position: they are the same moment.
        moments = torch.arange(path.shape[1], device=device) + _WORDS + 2 + AXES
        places = [
            torch.arange(words.shape[1], device=device),
            torch.full((self.cloud.tokens,), _WORDS, device=device),
            moments,
            torch.full((1,), _WORDS + 1, device=device),
        ]
        return Prefix(
            x=torch.cat([x + self.segment.weight[i] for i, x in enumerate(segments)], dim=1),
            visible=torch.cat(masks, dim=1),
            places=torch.cat(places),
            plan=torch.arange(AXES, device=device) + _WORDS + 2,
            moments=moments,
            path=path,
            start=start,
        )


def phases(c: Conditions) -> Float[Tensor, "B T"]:
    """Phase of every frame; without a path there is no lift to tell the time by, and it runs evenly."""
    lift = torch.where(c.path_given, c.lift, c.lengths // 2)
    return lift_phase(c.lengths, lift, c.T_world_canonical.shape[1])


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What is asked for and what the priors say of it, before the network is asked."""

    asked: Float[Tensor, "B s"]
    """From `asked.InstructionReader`."""
    inputs: tuple[Float[Tensor, "B X"], Float[Tensor, "B Y"]]
    """What the two priors see."""
    told: Float[Tensor, "B K v"]
    """The motion as they tell it, see `motion_prior.told`: with the path where it is given."""


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """Everything before the hand positions."""

    x: Float[Tensor, "B P d"]
    """Inputs."""
    visible: Bool[Tensor, "B P"]
    """Which of them are real."""
    places: Tensor
    """Their rotary positions."""
    plan: Tensor
    """Those of the plan."""
    moments: Tensor
    """Those of the hand positions."""
    path: Float[Tensor, "B N d"]
    """Path tokens, for the hand positions of the same moments."""
    start: Float[Tensor, "B 1 d"]
    """Token of the initial pose."""


class Steps:
    """Autoregressive use: one code of the plan, then one chunk at a time, in evaluation mode."""

    def __init__(self, network: MotionQwen3, conditions: Conditions, guess: Guess):
        """Read the conditions."""
        self._network, self._conditions, self._guess = network, conditions, guess
        self._prefix = network._prefix(conditions, guess)
        self._cache = DynamicCache(config=network.body.config)
        x, self._visible = self._prefix.x, self._prefix.visible
        square = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device)
        seen = (self._visible[:, None, None] & square.tril()) | torch.eye(
            len(square), dtype=torch.bool, device=x.device
        )
        self._state = self._run(x, seen, self._prefix.places)[:, -1:]
        self._axis = 0
        self._n = 0

    def plan_logits(self) -> Float[Tensor, "B Q"]:
        """Logits of the next code of the plan."""
        return (self._state @ self._network.plan_head[self._axis])[:, 0]

    def plan(self, code: Int[Tensor, " B"]) -> None:
        """Write the next code of the plan; `RANGES` leaves it open."""
        axis = self._axis
        self._axis += 1
        x = self._network._plan_positions(code[:, None], axis)
        self._state = self._one(x, self._prefix.plan[axis : axis + 1])

    def begin(self, origin: LatentPose) -> None:
        """The plan is written; the motion begins.

        Args:
            origin: (B, N, C) from `MotionQwen3.origin`, with the plan in it.

        Raises:
            ValueError: The network sees ahead; it can only be asked for all chunks at once.
        """
        if self._network.config.attention != "causal":
            raise ValueError(
                "A network with bidirectional attention has no past; use the decoders single or unmasking."
            )
        self._origin = origin

    def next(self, before: LatentPose | None) -> Pointed:
        """What the head says of the next chunk, (B, C).

        Args:
            before: (B, C) the chunk before it as it was decoded; None where it is not shown, as for the first.
        """
        network, n = self._network, self._n
        here = self._origin[:, n : n + 1]
        batch = len(self._conditions)
        if before is None or n == 0:
            off = here.t.new_zeros(batch, 1, network.frames_per_chunk, len(network.head.metric))
            shown = torch.zeros(batch, 1, dtype=torch.bool, device=here.t.device)
        else:
            off = network.head.missed(before, self._origin[:, n - 1])[:, None]
            shown = torch.ones(batch, 1, dtype=torch.bool, device=here.t.device)
        prefix = replace(self._prefix, path=self._prefix.path[:, n : n + 1])
        # `_hand_positions` looks one chunk back, so the chunk before stands in front of this one.
        both = here.map(lambda part: torch.cat([part, part], dim=1))
        x = network._hand_positions(prefix, both, torch.cat([off, off], dim=1), shown.expand(-1, 2))[:, 1:]
        hidden = self._one(x, self._prefix.moments[n : n + 1])
        self._n += 1
        return network.head(hidden, here, off[:, :, -1], shown, n).chunk(0)

    def _one(self, x: Float[Tensor, "B 1 d"], place: Tensor) -> Float[Tensor, "B 1 d"]:
        self._visible = torch.nn.functional.pad(self._visible, (0, 1), value=True)
        return self._run(x, self._visible[:, None, None], place)

    @torch.no_grad()
    def _run(self, x: Tensor, seen: Tensor, places: Tensor) -> Tensor:
        options: dict[str, Any] = {_CACHE: self._cache, "use_cache": True}
        return self._network.body(
            inputs_embeds=x,
            attention_mask={"full_attention": seen},
            position_ids=places[None].expand(len(x), -1),
            **options,
        ).last_hidden_state
