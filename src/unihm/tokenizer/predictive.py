"""A motion of latent poses as codes: each chunk of frames is guessed from the last, what the guess misses is coded.

The frames of a chunk are written relative to the last decoded frame: displacement and rotation vector of the palm in
its own frame, and change of the fingers, in a metric in which a unit is a millimetre of keypoints. Every stage of the
code guesses these numbers linearly from what the decoder knows, and codes the rest in its principal axes: each level
holds some axes and chooses one of K vectors for them, ``y = guess(context) + basis codebook[c]`` (a product code).

Stage after stage the motion becomes finer. A stage knows its own past and the present of the stage below, never what
is above it; the codes of the first stages are therefore a stream of their own, of a lower rate. The encoder runs the
decoder (a closed loop), hence errors do not add up. The first chunk of a motion has nothing before it: it is relative
to the mean first pose of training, with codes of its own.

Letters: B motions, N chunks, C frames of a chunk, m latent fingers, L levels, K codes, g axes of a level, d values of a
chunk: ``C (6 + m)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unihm.geometry.lie import so3_exp, so3_log
from unihm.tokenizer.hand_chart import LatentPose, join
from unihm.tokenizer.kmeans import kmeans, nearest

_AXES_PER_BIT = 0.7  # of a stage and those below; 50 bits: the 35 largest of 120 axes, to others no bits would go
_WIDENED, _WIDER = 1 / 3, 2.0  # share of examples added at twice their size: what is held out reaches farther
_RIDGE = 1e-5  # of the guess, as a share of the inputs' mean square
_BLOCK = 1 << 19  # distances computed at once: as many as stay in the cache
_CONTEXT_SCALE = 100.0  # of the palm's place in the canonical frame (m) and its axes among inputs of some 10 mm


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """Sizes of the code."""

    frames_per_chunk: int = 4
    """C, frames that one row of codes stands for."""
    latent: int = 24
    """m, latent fingers."""
    stages: tuple[int, ...] = (5, 11, 16, 32)
    """Levels of each stage."""
    codes: int = 1024
    """K, codes to choose from at each level."""

    def bits(self, stage: int) -> float:
        """Length of a row of this stage and those below."""
        return sum(self.stages[: stage + 1]) * log2(self.codes)

    @property
    def values(self) -> int:
        """d, numbers of a chunk."""
        return self.frames_per_chunk * (6 + self.latent)

    @property
    def context(self) -> int:
        """Inputs of the first stage's guess: past frames, fingers, palm axes and place, one."""
        return (self.frames_per_chunk - 1) * (6 + self.latent) + self.latent + 6 + 3 + 1


class ChunkCode(nn.Module):
    """A linear guess and a product code of what it misses."""

    guess: Tensor
    basis: Tensor
    codebook: Tensor
    usage: Tensor

    def __init__(self, *, context: int, values: int, levels: int, codes: int, axes: int):
        """An empty code.

        Args:
            context: Inputs of the guess.
            values: d.
            levels: L.
            codes: K.
            axes: g.
        """
        super().__init__()
        self.register_buffer("guess", torch.zeros(context, values))
        self.register_buffer("basis", torch.zeros(values, levels * axes))
        self.register_buffer("codebook", torch.zeros(levels, codes, axes))
        # How often training chose each code.
        self.register_buffer("usage", torch.zeros(levels, codes, dtype=torch.int32))

    def quantize(
        self, context: Float[Tensor, "n c"], values: Float[Tensor, "n d"]
    ) -> tuple[Int[Tensor, "n L"], Float[Tensor, "n d"]]:
        """Nearest codes, and the values that they stand for."""
        guess = context @ self.guess
        levels, _, axes = self.codebook.shape
        rest = ((values - guess) @ self.basis).reshape(len(values), levels, axes)
        codes = nearest_of_each(rest, self.codebook)
        return codes, guess + self._missed(codes)

    def embed(self, context: Float[Tensor, "n c"], codes: Int[Tensor, "n L"]) -> Float[Tensor, "n d"]:
        """The values that codes stand for."""
        return context @ self.guess + self._missed(codes)

    def effect(self, level: int, code: int) -> Float[Tensor, " d"]:
        """What one code adds to a chunk's values."""
        axes = self.codebook.shape[2]
        return self.basis[:, level * axes : (level + 1) * axes] @ self.codebook[level, code]

    def _missed(self, codes: Int[Tensor, "n L"]) -> Float[Tensor, "n d"]:
        level = torch.arange(codes.shape[1], device=codes.device)
        return self.codebook[level, codes].flatten(1) @ self.basis.T

    @torch.no_grad()
    def fit(
        self,
        context: Float[Tensor, "n c"],
        values: Float[Tensor, "n d"],
        rng: torch.Generator,
        *,
        points: int,
        rounds: int = 8,
    ) -> None:
        """Learn guess, axes and codebook from examples.

        The guess is a ridge regression. Axes are the principal ones of what it misses, dealt out so that every level
        has to carry about as many bits (reverse water-filling); each level's codes are k-means centroids.

        Args:
            context: What the decoder knows.
            values: What it should say.
            rng: Generator of k-means.
            points: Examples used for k-means, drawn at random.
            rounds: Of k-means.
        """
        levels, codes, axes = self.codebook.shape
        gram = (context.T @ context).double()
        ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        self.guess.copy_(torch.linalg.solve(gram + ridge, (context.T @ values).double()))
        rest = values - context @ self.guess
        variance, vectors = torch.linalg.eigh((rest.T @ rest / len(rest)).double())
        order = torch.argsort(variance, descending=True)
        bits = water_filling(variance[order], levels * log2(codes))
        self.basis.zero_()
        for level, chosen in enumerate(deal(bits, levels, axes)):
            columns = vectors[:, order[torch.tensor(chosen, dtype=torch.long)]].to(self.basis)
            self.basis[:, level * axes : level * axes + len(chosen)] = columns
        sample = rest[torch.randperm(len(rest), generator=rng)[:points]] @ self.basis
        for level in range(levels):
            points_of = sample[:, level * axes : (level + 1) * axes]
            wide = torch.cat([points_of, _WIDER * points_of[:: round(1 / _WIDENED)]])
            found = kmeans(wide, codes, rng, iterations=rounds)
            self.codebook[level] = 0.0
            self.codebook[level, : len(found)] = found
            self.usage[level] = torch.bincount(nearest(points_of, self.codebook[level]), minlength=codes).int()


def water_filling(variance: Float[Tensor, " k"], bits: float) -> Float[Tensor, " k"]:
    """Bits for each component of a Gaussian so that the squared error is least, ``max(0, log2(v / level) / 2)``."""
    variance = variance.clamp(min=1e-16)
    low, high = torch.zeros_like(variance[0]) + 1e-18, variance.max()
    for _ in range(100):
        level = (low * high).sqrt()
        if float(0.5 * torch.log2((variance / level).clamp(min=1)).sum()) > bits:
            low = level
        else:
            high = level
    return 0.5 * torch.log2((variance / high).clamp(min=1))


def deal(bits: Float[Tensor, " k"], levels: int, axes: int) -> list[list[int]]:
    """Which components each level takes: at most `axes`, and together about as many bits as the others'.

    Args:
        bits: Of the components, descending.
        levels: Hands to deal to.
        axes: Components of a level.
    """
    chosen: list[list[int]] = [[] for _ in range(levels)]
    load = [0.0] * levels
    for component in range(min(len(bits), levels * axes)):
        level = min((i for i in range(levels) if len(chosen[i]) < axes), key=lambda i: (load[i], len(chosen[i])))
        chosen[level].append(component)
        load[level] += float(bits[component])
    return chosen


def nearest_of_each(points: Float[Tensor, "n L g"], codebook: Float[Tensor, "L K g"]) -> Int[Tensor, "n L"]:
    """Index of the nearest code at each level, the lowest on a tie (Eqs. 1, B4)."""
    half = 0.5 * codebook.square().sum(-1)[:, None]
    rows = max(1, _BLOCK // (codebook.shape[0] * codebook.shape[1]))
    found = [
        torch.baddbmm(half, block.transpose(0, 1), codebook.transpose(1, 2), alpha=-1).argmin(-1).T
        for block in points.split(rows)
    ]
    return torch.cat(found) if found else torch.zeros(0, len(codebook), dtype=torch.long)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What the decoder knows after some chunks: the last chunk of each stage."""

    chunks: tuple[LatentPose, ...]
    """(B, C) poses of each stage."""
    first: bool
    """Whether nothing was decoded yet: the chunks are then the mean first pose, standing still."""


class PredictiveCodec(nn.Module):
    """Codes of latent poses, the same for every hand."""

    metric: Tensor
    start_R: Tensor
    start_t: Tensor
    start_fingers: Tensor

    def __init__(self, config: CodecConfig):
        """An empty codec; `training.codec_fitting` fills it."""
        super().__init__()
        self.config = config
        size = 6 + config.latent
        self.register_buffer("metric", torch.eye(size))
        self.register_buffer("start_R", torch.eye(3))
        self.register_buffer("start_t", torch.zeros(3))
        self.register_buffer("start_fingers", torch.zeros(config.latent))
        self.opening, self.following = nn.ModuleList(), nn.ModuleList()
        for number, levels in enumerate(config.stages):
            context = config.context + (config.values if number else 0)
            axes = -(-min(config.values, round(_AXES_PER_BIT * config.bits(number))) // levels)
            for part in (self.opening, self.following):
                part.append(
                    ChunkCode(context=context, values=config.values, levels=levels, codes=config.codes, axes=axes)
                )

    @property
    def rates(self) -> tuple[int, ...]:
        """Numbers of levels, from the first on, at which a stream may end."""
        return tuple(sum(self.config.stages[: i + 1]) for i in range(len(self.config.stages)))

    def stages_of(self, levels: int) -> int:
        """How many stages so many levels are.

        Raises:
            ValueError: No stage ends there.
        """
        if levels not in self.rates:
            raise ValueError(f"A row has {levels} codes, expected {', '.join(map(str, self.rates))}.")
        return self.rates.index(levels) + 1

    def codes_of(self, levels: int) -> list[ChunkCode]:
        """The stages' codes of chunks that follow another."""
        return [self.stage_code(stage, False) for stage in range(self.stages_of(levels))]

    def begin(self, motions: int, stages: int) -> Decoded:
        """Before the first chunk."""
        shape = (motions, self.config.frames_per_chunk)
        still = LatentPose(
            R=self.start_R.expand(*shape, 3, 3),
            t=self.start_t.expand(*shape, 3),
            fingers=self.start_fingers.expand(*shape, -1),
        )
        return Decoded(chunks=(still,) * stages, first=True)

    def encode_chunk(self, known: Decoded, chunk: LatentPose) -> tuple[Int[Tensor, "B L"], Decoded]:
        """Codes of the next chunk, (B, C) poses, and what the decoder knows after it."""
        codes, decoded, below = [], [], None
        for number, past in enumerate(known.chunks):
            base = past[:, -1]
            code = self.stage_code(number, known.first)
            found, values = code.quantize(self.context(past, below), self.relative(chunk, base))
            below = self.absolute(values, base)
            codes.append(found)
            decoded.append(below)
        return torch.cat(codes, -1), Decoded(chunks=tuple(decoded), first=False)

    def decode_chunk(self, known: Decoded, codes: Int[Tensor, "B L"]) -> Decoded:
        """What the decoder knows after the codes of the next chunk; the last stage's poses are its best."""
        decoded, below, first_level = [], None, 0
        for number, past in enumerate(known.chunks):
            base = past[:, -1]
            levels = self.config.stages[number]
            here = codes[:, first_level : first_level + levels]
            first_level += levels
            below = self.absolute(self.stage_code(number, known.first).embed(self.context(past, below), here), base)
            decoded.append(below)
        return Decoded(chunks=tuple(decoded), first=False)

    def encode(self, poses: LatentPose, levels: int) -> Int[Tensor, "B N L"]:
        """Codes of motions, (B, N, C) poses."""
        known, codes = self.begin(poses.t.shape[0], self.stages_of(levels)), []
        for chunk in range(poses.t.shape[1]):
            found, known = self.encode_chunk(known, poses[:, chunk])
            codes.append(found)
        return torch.stack(codes, 1)

    def decode(self, codes: Int[Tensor, "B N L"]) -> LatentPose:
        """Motions, (B, N, C) poses, of codes."""
        known, chunks = self.begin(len(codes), self.stages_of(codes.shape[-1])), []
        for chunk in range(codes.shape[1]):
            known = self.decode_chunk(known, codes[:, chunk])
            chunks.append(known.chunks[-1])
        return join(lambda parts: torch.stack(parts, 1), chunks)

    def relative(self, chunk: LatentPose, base: LatentPose) -> Float[Tensor, "B d"]:
        """Poses (B, C) as the values that are coded, seen from the pose `base` (B,)."""
        R_base_canonical = base.R.transpose(-1, -2)[:, None]
        step = (R_base_canonical @ (chunk.t - base.t[:, None])[..., None])[..., 0]
        turn = so3_log(R_base_canonical @ chunk.R)
        values = torch.cat([step, turn, chunk.fingers - base.fingers[:, None]], -1)
        return (values @ self.metric).flatten(1)

    def absolute(self, values: Float[Tensor, "B d"], base: LatentPose) -> LatentPose:
        """Poses (B, C) of values: the inverse of `relative`."""
        frames = values.reshape(len(values), -1, len(self.metric))
        plain = torch.linalg.solve(self.metric, frames, left=False)
        return LatentPose(
            R=base.R[:, None] @ so3_exp(plain[..., 3:6]),
            t=base.t[:, None] + (base.R[:, None] @ plain[..., :3, None])[..., 0],
            fingers=base.fingers[:, None] + plain[..., 6:],
        )

    def context(self, past: LatentPose, below: LatentPose | None) -> Float[Tensor, "B c"]:
        """Inputs of the guess.

        Args:
            past: The last chunk of the stage, (B, C).
            below: The same chunk at the stage below, where there is one.
        """
        base = past[:, -1]
        parts = [
            self.relative(past[:, :-1], base),
            base.fingers @ self.metric[6:, 6:],
            _CONTEXT_SCALE * base.R[:, :, :2].flatten(1),
            _CONTEXT_SCALE * base.t,
            torch.full_like(base.t[:, :1], _CONTEXT_SCALE),
        ]
        if below is not None:
            parts.append(self.relative(below, base))
        return torch.cat(parts, -1)

    def stage_code(self, stage: int, first: bool) -> ChunkCode:
        """The code of a stage, for a motion's first chunk or for those that follow."""
        code = (self.opening if first else self.following)[stage]
        assert isinstance(code, ChunkCode)
        return code
