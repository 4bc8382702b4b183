"""What the generator learns: priors in closed form first, then the network's batches and their loss (Sec. 3.3, C.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from unihm.datasets.instructions import episode_facts, instructions, is_lift, names_of
from unihm.generation.committee import Committee
from unihm.generation.conditions import Conditions
from unihm.generation.generator import Reader
from unihm.generation.mask_schedule import draw_given
from unihm.generation.motion_prior import PALM, told
from unihm.generation.plan_codes import RANGES
from unihm.generation.prior_features import blocks
from unihm.generation.qwen3 import Guess, MotionQwen3, phases
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.training.calibration import Guessed, calibrate
from unihm.training.committee import Shown, train_committee
from unihm.training.generator_data import Batch, ConditionedMotions, Variation
from unihm.training.generator_presets import GeneratorTraining
from unihm.training.prior_fitting import PriorExamples, fit_prior
from unihm.training.teacher import code_entropy, teacher_codes

_READ = 64  # sentences that are read together
_PER_NUMBER = 30.0  # numbers of a frame: makes the distance one of keypoints, root mean square


class GeneratorTask:
    """The objective: batches and their loss."""

    def __init__(self, tokenizer: Tokenizer, reader: Reader, motions: ConditionedMotions, config: GeneratorTraining):
        """Join data and frozen parts.

        Args:
            tokenizer: Frozen; its charts and codec write the targets.
            reader: Frozen; reads the instructions.
            motions: What is learned from.
            config: Settings.
        """
        self.tokenizer = tokenizer
        self.codec = tokenizer.unified.codec
        self.reader = reader
        self.motions = motions
        self.config = config
        self.steps_per_epoch = -(-len(motions) // config.batch_size)
        self.texts = wordings(motions, config.wordings, config.loop.seed)
        # Read once, always in the same batches: states depend on the batch in the last digit, and a resumed run reads
        # in another order.
        every = [text for texts in self.texts for text in texts]
        for part in range(0, len(every), _READ):
            reader(every[part : part + _READ])
        self._ratio = 1.0
        self._left_out: Mapping[bool, Callable[[Tensor, Tensor], Tensor]] | None = None
        tokenizer.model.requires_grad_(False)

    def fit_priors(self, network: MotionQwen3) -> None:
        """Fit the guesses with and without the path on the recorded hand; a resumed run does the same again."""
        if self.config.prior is None:
            return
        self._left_out = {with_path: self._fit_prior(network, with_path=with_path) for with_path in (True, False)}

    @torch.no_grad()
    def _fit_prior(self, network: MotionQwen3, *, with_path: bool) -> Callable[[Tensor, Tensor], Tensor]:
        """Fit a prior, its committee and its plan; returns its guess for inputs, not knowing their recordings."""
        prior, committee = network.priors[not with_path], network.committees[not with_path]
        plan = network.plan if with_path else network.plan_without_path
        assert isinstance(committee, Committee)
        fitting = self.config.prior
        assert fitting is not None
        rng = torch.Generator().manual_seed(self.config.loop.seed)
        chosen = torch.arange(len(self.motions)) if with_path else self.motions.recorded
        inputs, told_of = self._copies(network, chosen, fitting.copies, self.config.variation, rng, with_path=with_path)
        episodes = [self.motions.episodes[int(i)] for i in chosen]
        # What is composed of a recording knows its grasp.
        recording = _numbers([e.recording for e in episodes])
        examples = PriorExamples(
            blocks={name: inputs[name] for name in prior.blocks},
            told=told_of,
            recording=recording.repeat(fitting.copies),
            first=torch.arange(len(chosen)),
            left_out_together=[_numbers([e.object_name for e in episodes]), _numbers([e.subject for e in episodes])],
        )
        title = "prior" if with_path else "prior without path"
        metric = self.codec.metric[6:, 6:]
        with torch.enable_grad():
            left_out = fit_prior(prior, examples, metric, fitting, title=title)
        latent = examples.told.shape[-1] - PALM
        known = Shown(x=prior.inputs(examples.blocks), told=examples.told, recording=examples.recording)
        by_kernel = left_out(known.x, known.recording, latent)
        config = self.config.committee
        inputs, told_of = self._copies(network, chosen, config.copies, config.variation, rng, with_path=with_path)
        shown = Shown(x=prior.inputs(inputs), told=told_of, recording=recording.repeat(config.copies))
        elsewhere = train_committee(
            committee, shown, known, by_kernel, metric, config, self.config.loop.seed,
            title=f"committee of the {title}",
        )  # fmt: skip
        plan.fit(known.told - elsewhere(known.x, by_kernel, known.recording), metric)
        number = torch.zeros(len(self.motions), dtype=torch.long)  # of others nobody asks
        number[chosen] = recording
        return lambda x, rows: elsewhere(x, left_out(x, number[rows], latent), number[rows])

    def _copies(
        self,
        network: MotionQwen3,
        chosen: Tensor,
        copies: int,
        variation: Variation,
        rng: torch.Generator,
        *,
        with_path: bool,
    ) -> tuple[Mapping[str, Tensor], Tensor]:
        """Inputs of a prior by block, and motions as it tells them; the first copy of each recording is unvaried."""
        told_of, inputs = [], []
        for copy in range(copies):
            for rows in chosen.split(64):
                varied = variation if copy else None
                batch = self.motions.batch(rows, self.motions.hands[0], varied, rng, with_path=with_path)
                texts = [_choose(self.texts[int(i)], rng) for i in rows]
                conditions = network.seen(conditions_of(batch, texts, self.tokenizer, self.reader))
                asked = network.reader(conditions.words, conditions.words_mask)
                told_of.append(told_truth(conditions, poses_of_batch(batch, self.tokenizer)))
                inputs.append(blocks(conditions, asked))
        return {name: torch.cat([part[name] for part in inputs]) for name in inputs[0]}, torch.cat(told_of)

    @torch.no_grad()
    def calibrate(self, network: MotionQwen3) -> None:
        """Start the head from how far the guesses are off."""
        rng = torch.Generator().manual_seed(self.config.loop.seed)
        guessed = []
        for rows in torch.arange(len(self.motions)).split(64):
            batch = self.motions.batch(rows, self.motions.hands[0], self.config.variation, rng)
            texts = [_choose(self.texts[int(i)], rng) for i in rows]
            conditions = conditions_of(batch, texts, self.tokenizer, self.reader)
            truth = poses_of_batch(batch, self.tokenizer)
            guess = self._guess(network, conditions, rows)
            guessed.append(
                Guessed(
                    origin=network.origin(conditions, guess),
                    truth=truth,
                    written=teacher_codes(self.codec, truth),
                    exists=network.exists(conditions),
                )
            )
        calibrate(network.head, self.codec, guessed)

    def batches(self, epoch: int, rng: torch.Generator) -> Iterator[Batch]:
        """All motions once, each on a hand drawn for its batch; the mask ratio is that of the epoch."""
        config, hands = self.config, self.motions.hands
        self._ratio = 1.0 if config.masking is None else config.masking.ratio(epoch / config.loop.epochs)
        for rows in torch.randperm(len(self.motions), generator=rng).split(config.batch_size):
            human = len(hands) == 1 or float(torch.rand((), generator=rng)) < config.human_share
            hand = hands[0] if human else hands[1 + int(torch.randint(len(hands) - 1, (), generator=rng))]
            yield self.motions.batch(rows, hand, config.variation, rng)

    def loss(self, network: MotionQwen3, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy of the codes, and the distance of the poses that the head points at."""
        config = self.config
        with torch.no_grad():
            texts = [_choose(self.texts[int(i)], rng) for i in batch.rows]
            conditions = conditions_of(batch, texts, self.tokenizer, self.reader)
            keep = torch.rand(len(texts), 1, generator=rng) >= config.drop_words
            conditions = replace(
                conditions,
                words_mask=conditions.words_mask & keep,
                cloud_given=torch.rand(len(texts), generator=rng) >= config.drop_cloud,
            )
            truth = poses_of_batch(batch, self.tokenizer)
            guess = self._guess(network, conditions, batch.rows)
            plan = plan_of(network, conditions, guess, truth)
            open_ = torch.rand(len(texts), generator=rng) < config.open_plan
            planned = network.planned(conditions, guess, plan).told
            told_here = torch.where(open_[:, None, None], guess.told, planned)
            origin = network.origin(conditions, replace(guess, told=told_here))
            shown_plan = torch.where(open_[:, None], RANGES, plan)
            written = teacher_codes(self.codec, truth)
        exists = network.exists(conditions)
        if config.masking is None:
            given = exists & (torch.rand(len(texts), 1, generator=rng) >= config.masked)
        else:
            given = draw_given(exists, self._ratio, rng)
        logits, pointed = network(conditions, guess, shown_plan, origin, written.poses, given)
        plan_entropy = torch.zeros(())
        if not open_.all():
            plan_entropy = torch.nn.functional.cross_entropy(
                logits[~open_].flatten(0, 1), plan[~open_].flatten(), label_smoothing=config.plan_smoothing
            )
        counted = exists if network.config.attention == "causal" else exists & ~given
        if not counted.any():  # the curriculum's first fifth hides nothing: what is shown is said again
            counted = exists
        entropy = code_entropy(network.head, self.codec, pointed, written, counted, config.softness)
        off = network.head.missed(pointed.pose, truth).square().sum(-1)
        distance = (off / len(network.head.metric) * _PER_NUMBER + 0.25).sqrt()
        weight = (
            _frame_weights(conditions, config.last_weight).unflatten(1, (-1, distance.shape[-1])) * counted[..., None]
        )
        distance = (distance * weight).sum() / weight.sum()
        figures = {
            "entropy": entropy.item(),
            "plan_entropy": plan_entropy.item(),
            "distance_mm": distance.item(),
            "masked": 1 - (given & exists).sum().item() / exists.sum().item(),
        }
        return entropy + config.plan_weight * plan_entropy + config.motion_weight * distance, figures

    @torch.no_grad()
    def _guess(self, network: MotionQwen3, c: Conditions, rows: Tensor) -> Guess:
        """The guess as it would be without the recording itself: what the network will meet on new motions."""
        guess = network.guess_of(c)
        if self._left_out is None:
            return guess
        told_by = [self._left_out[with_path](x, rows) for with_path, x in zip((True, False), guess.inputs, strict=True)]
        return replace(guess, told=torch.where(c.path_given[:, None, None], *told_by))


@torch.no_grad()
def told_truth(c: Conditions, truth: LatentPose) -> Tensor:
    """Recorded motions (B, N, C) as a prior tells them."""
    return told(truth.map(lambda part: part.flatten(1, 2)), phases(c), c.lengths)


@torch.no_grad()
def plan_of(network: MotionQwen3, c: Conditions, guess: Guess, truth: LatentPose) -> Tensor:
    """(B, A) the plan's codes of recorded motions (B, N, C)."""
    missed = told_truth(c, truth) - guess.told
    return torch.where(c.path_given[:, None], network.plan.encode(missed), network.plan_without_path.encode(missed))


def wordings(motions: ConditionedMotions, count: int, seed: int) -> list[tuple[str, ...]]:
    """The instructions of each episode, and of lifts so many more in other words."""
    texts = []
    for episode in motions.episodes:
        more: tuple[str, ...] = ()
        if count and is_lift(episode):
            more = instructions(episode_facts(episode, names_of(episode)), seed=seed + 1, count=count)
        texts.append((*episode.instructions, *more))
    return texts


def conditions_of(batch: Batch, texts: list[str], tokenizer: Tokenizer, reader: Reader) -> Conditions:
    """A batch of recorded motions as the network reads it, nothing dropped."""
    words, words_mask = reader(texts)
    return Conditions(
        words=words,
        words_mask=words_mask,
        points=batch.points,
        cloud_given=torch.ones(len(texts), dtype=torch.bool),
        T_world_canonical=batch.T_world_canonical,
        path_given=batch.path_given,
        lengths=batch.lengths,
        lift=batch.lift,
        view=batch.view,
        start=tokenizer.unified.chart(batch.hand).encode(batch.features[:, 0]),
    )


def poses_of_batch(batch: Batch, tokenizer: Tokenizer) -> LatentPose:
    """Latent poses (B, N, C) of a batch."""
    return tokenizer.unified.poses(batch.hand, batch.features)


def _numbers(names: Sequence[str]) -> Tensor:
    """Equal names, equal numbers, from 0."""
    known = sorted(set(names))
    return torch.tensor([known.index(name) for name in names])


def _frame_weights(c: Conditions, last: float) -> Tensor:
    """(B, T): 1 for real frames, more for the last, 0 behind it."""
    frame = torch.arange(c.T_world_canonical.shape[1])[None]
    end = c.lengths[:, None] - 1
    return (frame < end).float() + last * (frame == end)


def _choose(texts: tuple[str, ...], rng: torch.Generator) -> str:
    return texts[int(torch.randint(len(texts), (), generator=rng))]
