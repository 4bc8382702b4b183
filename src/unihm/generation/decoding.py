"""Codes from the generator's network: the plan code by code, then the chunks of the motion.

A plan is drawn (temperature above 0) or left open (0). The codes of a chunk are told from what is decoded before it
(`tokenizer.predictive`), so in every way they are written from left to right; the ways differ in what the network knows
of the motion when it points:

- `single`: nothing. One pass for all chunks.
- `autoregressive`: all chunks before, as they were decoded.
- `unmasking`: some rounds; after each the surest chunks of the motion as it was decoded are shown to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from unihm.generation.asked import direction
from unihm.generation.code_head import Pointed, draw, rest_of
from unihm.generation.conditions import Conditions
from unihm.generation.plan_codes import AXES, RANGES
from unihm.generation.qwen3 import MotionQwen3
from unihm.generation.touching import Asked, Person, Touch, touching
from unihm.tokenizer.hand_chart import LatentPose, join
from unihm.tokenizer.predictive import Decoded, PredictiveCodec

Way = Literal["single", "autoregressive", "unmasking"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How codes are drawn."""

    way: Way = "single"
    """What the network knows of the motion when it points."""
    temperature: float = 0.0
    """Of the plan: 1 draws it as learned, 0 leaves it open, which gives the motion in the middle. Between them the
    likelier codes are drawn more often, and the plan counts by so much."""
    code_temperature: float = 0.0
    """Of the motion's codes: 0 takes those of the motion that the head names, 1 draws as learned."""
    top_k: int | None = None
    """Only the k likeliest codes compete."""
    top_p: float | None = None
    """Only the likeliest codes compete that together have this probability."""
    one_of: tuple[int, int] | None = None
    """(k, n): the plan is the k-th, from 0, of n that together stand for all (`PlanCodes.spread`); nothing is drawn."""
    rounds: int = 4
    """Of unmasking."""
    touch: Touch = field(default_factory=Touch)
    """How much it counts that fingers touch what is carried."""


@torch.no_grad()
def write_codes(
    network: MotionQwen3,
    codec: PredictiveCodec,
    conditions: Conditions,
    sampling: Sampling,
    rng: torch.Generator,
    person: Person | None = None,
) -> tuple[Int[Tensor, "B N L"], LatentPose]:
    """Codes of a batch of motions, and the poses (B, N, C) that they stand for.

    Args:
        network: In evaluation mode.
        codec: Whose codes it writes.
        conditions: What to generate from.
        sampling: How.
        rng: Source of the noise.
        person: The hand whose poses the codes tell; without it nothing is done for touching and for the asked side.
    """
    guess = network.guess_of(conditions)
    steps = None
    plan = torch.full((len(conditions), AXES), RANGES, device=conditions.lengths.device)
    drawn = sampling.one_of is None and sampling.temperature > 0
    if sampling.one_of is not None:
        number, count = sampling.one_of
        with_path, without = (codes.spread(count)[number] for codes in (network.plan, network.plan_without_path))
        plan = torch.where(conditions.path_given[:, None], with_path, without)
    if drawn or sampling.way == "autoregressive":
        steps = network.steps(conditions, guess)
        for axis in range(AXES):
            if drawn:
                logits = steps.plan_logits()
                plan[:, axis] = draw(logits, sampling.temperature, sampling.top_k, sampling.top_p, rng)
            if sampling.way == "autoregressive" or axis < AXES - 1:
                steps.plan(plan[:, axis])
    writing = _Writing(network, codec, len(conditions), sampling, rng)
    planned = drawn or sampling.one_of is not None
    here = network.planned(conditions, guess, plan, sampling.temperature if drawn else 1.0) if planned else guess
    if person is not None:
        c = network.seen(conditions)
        carried = c.path_given & c.cloud_given & (c.lift < c.lengths)
        told = touching(
            here.told, c.start, c.points, carried, network.plan, person.tips, sampling.touch, drawn=planned,
            asked=Asked(side=direction(guess.asked, "approach", c.view), wrist_palm=person.wrist_palm),
        )  # fmt: skip
        here = replace(here, told=told)
    origin = network.origin(conditions, here)
    if sampling.way == "autoregressive":
        assert steps is not None
        steps.begin(origin)
        for _ in range(network.chunks(conditions)):
            writing.write(steps.next(writing.last))
        return writing.codes, writing.poses
    exists = network.exists(conditions)
    given = torch.zeros_like(exists)
    motion, rounds = origin, sampling.rounds if sampling.way == "unmasking" else 1
    for number in range(rounds):
        _, pointed = network(conditions, guess, plan, origin, motion, given)
        writing = _Writing(network, codec, len(conditions), sampling, rng)
        for n in range(exists.shape[1]):
            writing.write(pointed.chunk(n))
        motion = writing.poses
        given = _surest(pointed, exists, (number + 1) / rounds)
    return writing.codes, writing.poses


class _Writing:
    """Codes from left to right, as far as they are written."""

    def __init__(
        self, network: MotionQwen3, codec: PredictiveCodec, motions: int, sampling: Sampling, rng: torch.Generator
    ):
        self._head, self._codec, self._sampling, self._rng = network.head, codec, sampling, rng
        self._known: Decoded = codec.begin(motions, 1)
        self._codes: list[Tensor] = []
        self._chunks: list[LatentPose] = []

    def write(self, pointed: Pointed) -> None:
        """Choose the codes of the next chunk."""
        opening, s = self._known.first, self._sampling
        rest = rest_of(self._codec, self._known, pointed.pose, opening)
        if s.code_temperature == 0:
            codes = self._head.nearest(rest, opening)
        else:
            logits = self._head.logits(rest, pointed.log_spread, opening)
            codes = draw(logits, s.code_temperature, s.top_k, s.top_p, self._rng)
        self._known = self._codec.decode_chunk(self._known, codes)
        self._codes.append(codes)
        self._chunks.append(self._known.chunks[0])

    @property
    def last(self) -> LatentPose | None:
        """The last chunk as decoded."""
        return self._chunks[-1] if self._chunks else None

    @property
    def codes(self) -> Int[Tensor, "B N L"]:
        return torch.stack(self._codes, dim=1)

    @property
    def poses(self) -> LatentPose:
        return join(lambda parts: torch.stack(parts, dim=1), self._chunks)


def _surest(pointed: Pointed, exists: Bool[Tensor, "B N"], share: float) -> Bool[Tensor, "B N"]:
    """The share of each motion's chunks of which the head is surest."""
    spread = pointed.log_spread.mean(dim=(-1, -2)).masked_fill(~exists, torch.inf)
    keep = (share * exists.sum(dim=1, keepdim=True)).floor()
    return (spread.argsort(dim=1).argsort(dim=1) < keep) & exists
