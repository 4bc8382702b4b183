"""``unihm train generator``: motions of a store become a generator with its card (Sec. 3.3, C.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.instructions import episode_facts, instructions, names_of
from unihm.datasets.made_with import not_the_motions
from unihm.datasets.manifest import hands_in, read_manifest
from unihm.datasets.splits import split as split_ids
from unihm.generation.committee import Committee
from unihm.generation.conditions import Conditions
from unihm.generation.decoding import Sampling, write_codes
from unihm.generation.generator import SHIPPED, Qwen3Generator, Reader, load_generator, new_network, person_of
from unihm.generation.language import OwnWords, config_of, load_language_generator, load_qwen3, save_words
from unihm.generation.mask_schedule import MaskSchedule, draw_given
from unihm.generation.motion_prior import PALM, told
from unihm.generation.plan_codes import RANGES
from unihm.generation.prior_features import blocks
from unihm.generation.qwen3 import WITHOUT, GeneratorConfig, Guess, MotionQwen3, phases
from unihm.generation.text_encoder import load_text_encoder
from unihm.generation.touching import Touch
from unihm.geometry.lie import geodesic_angle
from unihm.hands.hand import HandModel, load_hand
from unihm.registry import unknown_name
from unihm.schema.storage import write_json
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.tokenizer import Tokenizer, load_tokenizer
from unihm.training.calibration import Guessed, calibrate
from unihm.training.committee import CommitteeTraining, Shown, train_committee
from unihm.training.generator_data import Batch, ConditionedMotions, Variation
from unihm.training.loop import LoopConfig, fit
from unihm.training.lora import adapted, merged
from unihm.training.presets import choose
from unihm.training.prior_fitting import PriorExamples, PriorFitting, fit_prior
from unihm.training.reading import ReadingTraining, train_reader
from unihm.training.teacher import code_entropy, teacher_codes
from unihm.training.tokenizer import LICENCE, begin_with_motions, load_motions

_log = logging.getLogger(__name__)
_READ = 64  # sentences that are read together
_PER_NUMBER = 30.0  # numbers of a frame: makes the distance one of keypoints, root mean square


@dataclass(frozen=True, kw_only=True)
class GeneratorTraining:
    """Everything that decides how a generator is trained."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Sizes."""
    loop: LoopConfig
    """Length and rates."""
    reading: ReadingTraining = field(default_factory=ReadingTraining)
    """Of the part that reads what is asked for."""
    committee: CommitteeTraining = field(default_factory=CommitteeTraining)
    """Of the second opinion to the closed-form guess."""
    prior: PriorFitting | None = field(default_factory=PriorFitting)
    """Of the closed-form guess; None is no fit."""
    without: tuple[str, ...] = ()
    """What the generator is trained without, of `ABLATIONS`."""
    masking: MaskSchedule | None = None
    """The curriculum of C.4; None shows a motion wholly or not at all from the first epoch on, see `masked`."""
    masked: float = 0.5
    """Without a curriculum: share of motions of which nothing is shown, as at the start of generation. Of the others
    every chunk before the one that is asked for is shown, as an autoregressive decoder sees them."""
    hands: tuple[str, ...] = ("human", "shadow", "xhand", "allegro", "leap")
    """Whose motions are learned from, drawn batch by batch; the stream of codes is the same for all."""
    human_share: float = 0.5
    """Share of batches with the first of these hands."""
    wordings: int = 12
    """Sentences that the offline annotator adds to an episode's own instructions."""
    batch_size: int = 16
    """Motions in a batch, all of one hand."""
    softness: float = 1.0
    """Width of the softened targets, see `code_head.soft_targets`; 0 is plain cross-entropy."""
    open_plan: float = 0.5
    """Share of motions whose plan is left open: what the generator names where none is drawn."""
    plan_weight: float = 1.0
    """Weight of the cross-entropy of the plan's codes."""
    plan_smoothing: float = 0.0
    """Share of it that asks for all codes alike."""
    motion_weight: float = 0.1
    """Weight of the distance, in mm of keypoints, from the pose that the head points at to the true one."""
    last_weight: float = 4.0
    """How often the last frame counts in that distance."""
    drop_words: float = 0.1
    """Share of motions without their instruction."""
    drop_cloud: float = 0.1
    """Share of motions without their cloud."""
    variation: Variation = field(default_factory=Variation)
    """How motions are varied."""
    max_frames: int = 80
    """Longer motions are cut."""
    validate_epochs: int = 2
    """Every so many epochs the model-selection recordings are generated."""
    sampling: Sampling = field(default_factory=Sampling)
    """How the trained generator draws codes by default."""


ABLATIONS = (*WITHOUT, "masking", "prior", "touching")
"""What can be left out: inputs; masked training (every chunk always sees those before it, and the motion is written one
chunk after the other); the closed-form guess; and that fingers must touch."""


def ablated(config: GeneratorTraining) -> GeneratorTraining:
    """The settings with what `without` names left out.

    Raises:
        ValueError: There is no such ablation.
    """
    for name in config.without:
        if name not in ABLATIONS:
            raise unknown_name("--without", name, ABLATIONS)
    inputs = tuple(name for name in config.without if name in WITHOUT)
    config = replace(config, generator=replace(config.generator, without=inputs))
    if "masking" in config.without:
        sampling = replace(config.sampling, way="autoregressive")
        config = replace(config, masking=None, masked=0.0, sampling=sampling)
    if "prior" in config.without:
        config = replace(config, prior=None)
    if "touching" in config.without:
        config = replace(config, sampling=replace(config.sampling, touch=Touch(weight=0.0)))
    return config


GENERATOR: Mapping[str, GeneratorTraining] = {
    "tiny": GeneratorTraining(
        generator=GeneratorConfig(hidden=64, layers=2, heads=2, kv_heads=1, feedforward=128),
        loop=LoopConfig(epochs=10, learning_rate=2e-3, warmup_steps=20, weight_decay=0.05, best="mpjpe_mm"),
        reading=ReadingTraining(sentences=256, epochs=2),
        prior=PriorFitting(steps=20, copies=1),
        wordings=2,
    ),
    "base": GeneratorTraining(
        loop=LoopConfig(epochs=16, learning_rate=3e-4, warmup_steps=40, weight_decay=0.05, best="mpjpe_mm"),
    ),
    # What C.4 states: 100 epochs of AdamW at 1e-4, the masking curriculum, hard targets, no auxiliary loss, no prior.
    "paper": GeneratorTraining(
        loop=LoopConfig(epochs=100, learning_rate=1e-4, schedule="constant"),
        prior=None,
        masking=MaskSchedule(),
        softness=0.0,
        motion_weight=0.0,
    ),
}
"""Presets of ``unihm train generator``."""


def train_generator(
    data: str | Path,
    out: str | Path,
    *,
    preset: str | GeneratorTraining = "base",
    split: str = "release",
    seed: int = 0,
    resume: bool = False,
    tokenizer: str | Path | Tokenizer | None = None,
    language: str | Path | None = None,
    without: Sequence[str] = (),
    lora: int | None = None,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Train on the train part of a split; the validation part chooses the epoch that is kept.

    Args:
        data: Episode store with motions of every hand of the tokenizer.
        out: Folder for logs, checkpoints and ``generator.safetensors`` with its card.
        preset: Name in `GENERATOR`, or settings.
        split: Name of a split.
        seed: Seed of everything random.
        resume: Go on from the checkpoint in `out`.
        tokenizer: Weights whose codes are learned; None is the shipped ones.
        language: Folder or hub id of a pretrained Qwen3 to train with its own words (`qwen3-0.6b`); None trains
            the sizes of the preset from random weights.
        without: What is left out, of `ABLATIONS`.
        lora: Rank of adapters on the pretrained Qwen3, whose own weights then stay as they are; None trains them.
        stop_after: Stop after so many steps in all and leave a checkpoint to resume from.

    Returns:
        Where the weights are, their fingerprint, and the figures on the validation part.

    Raises:
        ValueError: Preset, split or a motion do not exist, the store is unfit, a checkpoint does not fit, or the run
            began with other motions than the store now holds.
    """
    name = preset if isinstance(preset, str) else "custom"
    config = choose(GENERATOR, preset) if isinstance(preset, str) else preset
    config = ablated(replace(config, loop=replace(config.loop, seed=seed), without=tuple(without) or config.without))
    tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else load_tokenizer(tokenizer)
    data, out = Path(data), Path(out)
    records = episode_table(data)
    parts = {part: split_ids(split, part, records) for part in ("train", "validation")}
    sets = {part: _load(data, tokenizer, ids, config) for part, ids in parts.items() if ids}
    if "train" not in sets:
        raise ValueError(f"Split '{split}' has no training episodes in '{data}'.")
    hands = sets["train"].hands
    made = begin_with_motions(data, hands, out, resume=resume)
    if others := not_the_motions(tokenizer.card, data, hands):
        _log.warning("The tokenizer %s.", others)
    body, reader = (None, load_text_encoder()) if language is None else load_qwen3(language)
    if body is not None:
        config = replace(config, generator=replace(config_of(body), without=config.generator.without))
    if config.prior is not None:
        remembered = config.prior.copies * len(sets["train"])
        members = config.committee.members
        sizes = replace(config.generator, memory=remembered, memory_without_path=remembered, members=members)
        config = replace(config, generator=sizes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = new_network(config.generator, tokenizer, body)
    if lora is not None and language is None:
        raise ValueError("--lora adapts a pretrained language model; it goes with --language.")
    tuner = None if lora is None else adapted(network.body, lora)
    train_reader(network.reader, reader, config.reading, seed)
    task = GeneratorTask(tokenizer, reader, sets["train"], config)
    task.fit_priors(network)
    task.calibrate(network)
    progress = fit(
        network,
        task.loss,
        task.batches,
        config.loop,
        out,
        steps_per_epoch=task.steps_per_epoch,
        resume=resume,
        on_epoch_end=validation(sets.get("validation"), tokenizer, reader, config),
        title="generator",
        stop_after=stop_after,
    )
    if tuner is not None:
        network.body = merged(tuner)
    recordings = {record.id: record.recording for record in records}
    card = {
        "licence": LICENCE,
        "preset": name,
        "training": asdict(config),
        "split": split,
        "seed": seed,
        "kept_epoch": progress.best_epoch or progress.epoch,
        "command": " ".join(
            [
                f"unihm train generator --data DATA --preset {name} --split {split} --seed {seed}",
                *(["--without", *config.without] if config.without else []),
            ]
        ),
        "data_fingerprint": read_manifest(data)["fingerprint"],
        "motions": made,
        "training_episodes": len(parts["train"]),
        "training_recordings": sorted({recordings[i] for i in parts["train"]}),
        "selection_recordings": sorted({recordings[i] for i in parts["validation"]}),
    }
    path = out / SHIPPED
    fingerprint = Qwen3Generator(network, tokenizer, reader, sampling=config.sampling).save(path, card)
    if isinstance(reader, OwnWords):
        save_words(path, reader)
    load = load_generator if language is None else load_language_generator
    stored = load(path, tokenizer=tokenizer)
    figures: Mapping[str, float] = {}
    if "validation" in sets:
        figures = motion_errors(stored.network, sets["validation"], tokenizer, reader, sampling=config.sampling)
    write_json(path.with_suffix(".json"), {**stored.card, "figures": {"part": "validation", **figures}})
    return {"weights": str(path), "fingerprint": fingerprint, "figures": dict(figures)}


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
        count = len(self.motions)
        inputs, told_of = self._copies(network, fitting.copies, self.config.variation, rng, with_path=with_path)
        episodes = self.motions.episodes
        examples = PriorExamples(
            blocks={name: inputs[name] for name in prior.blocks},
            told=told_of,
            recording=torch.arange(count).repeat(fitting.copies),
            first=torch.arange(count),
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
        inputs, told_of = self._copies(network, config.copies, config.variation, rng, with_path=with_path)
        shown = Shown(x=prior.inputs(inputs), told=told_of, recording=torch.arange(count).repeat(config.copies))
        elsewhere = train_committee(
            committee, shown, known, by_kernel, metric, config, self.config.loop.seed,
            title=f"committee of the {title}",
        )  # fmt: skip
        plan.fit(known.told - elsewhere(known.x, by_kernel, known.recording), metric)
        return lambda x, rows: elsewhere(x, left_out(x, rows, latent), rows)

    def _copies(
        self, network: MotionQwen3, copies: int, variation: Variation, rng: torch.Generator, *, with_path: bool
    ) -> tuple[Mapping[str, Tensor], Tensor]:
        """Inputs of a prior by block, and motions as it tells them; the first copy of each recording is unvaried."""
        told_of, inputs = [], []
        for copy in range(copies):
            for rows in torch.arange(len(self.motions)).split(64):
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
    """The instructions of each episode, and so many more in other words."""
    texts = []
    for episode in motions.episodes:
        facts = episode_facts(episode, names_of(episode))
        more = instructions(facts, seed=seed + 1, count=count) if count else ()
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


def validation(
    motions: ConditionedMotions | None, tokenizer: Tokenizer, reader: Reader, config: GeneratorTraining
) -> Callable[[MotionQwen3, int, torch.Generator], Mapping[str, float] | None]:
    """A callback that generates the validation motions every few epochs and after the last."""

    def measure(network: MotionQwen3, epoch: int, rng: torch.Generator) -> Mapping[str, float] | None:
        due = epoch % config.validate_epochs == 0 or epoch == config.loop.epochs
        if not due or motions is None:
            return None
        return motion_errors(network, motions, tokenizer, reader, sampling=config.sampling)

    return measure


@torch.no_grad()
def motion_errors(
    network: MotionQwen3,
    motions: ConditionedMotions,
    tokenizer: Tokenizer,
    reader: Reader,
    *,
    hand: str | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    with_path: bool = True,
) -> dict[str, float]:
    """How far generated motions are from recorded ones, as the hand's model shows both.

    Args:
        network: In evaluation mode.
        motions: What is generated again.
        tokenizer: Decodes.
        reader: Reads the first instruction of each episode.
        hand: Of which hand; None takes the first.
        sampling: How codes are drawn; None is the likeliest.
        seed: Of the sampling.
        with_path: Whether the object's path is given.

    Returns:
        ``mpjpe_mm`` over keypoints and frames (Eq. F1), ``fpl_mm`` and ``fol_deg`` of the palm in the last frame
        (Eqs. F3 and F4), means over motions.
    """
    name = hand or motions.hands[0]
    model, person = load_hand(name), person_of(tokenizer)
    codec, how = tokenizer.unified.codec, sampling or Sampling()
    rng = torch.Generator().manual_seed(seed)
    rows = []
    for part in torch.arange(len(motions)).split(64):
        batch = motions.batch(part, name, None, rng, with_path=with_path)
        texts = [motions.episodes[int(i)].instructions[0] for i in part]
        conditions = conditions_of(batch, texts, tokenizer, reader)
        _, poses = write_codes(network, codec, conditions, how, rng, person)
        decoded = tokenizer.unified.chart(name).decode(poses.map(lambda part: part.flatten(1, 2)))
        rows.append(_errors(decoded, batch, model, tokenizer))
    mpjpe, fpl, fol = torch.cat(rows).mean(dim=0).tolist()
    return {"mpjpe_mm": 1e3 * mpjpe, "fpl_mm": 1e3 * fpl, "fol_deg": fol}


def _errors(
    decoded: Float[Tensor, "B T F"], batch: Batch, hand: HandModel, tokenizer: Tokenizer
) -> Float[Tensor, "B 3"]:
    """Mean keypoint distance, m, and the palm's final distance, m, and angle, degrees."""
    features = tokenizer.features(hand.name)
    points, palms = [], []
    for x in (decoded, batch.features):
        qpos, T_canonical_palm = features.unpack(x.double())
        lower, upper = features.limits(qpos)
        keypoints = hand.keypoints(torch.clamp(qpos, lower, upper))
        R, t = T_canonical_palm[..., :3, :3], T_canonical_palm[..., None, :3, 3]
        points.append(keypoints @ R.mT + t)
        palms.append(T_canonical_palm[torch.arange(len(x)), batch.lengths - 1])
    distance = (points[0] - points[1]).norm(dim=-1).mean(dim=-1)
    real = torch.arange(distance.shape[1]) < batch.lengths[:, None]
    mpjpe = (distance * real).sum(dim=1) / real.sum(dim=1)
    fpl = (palms[0][:, :3, 3] - palms[1][:, :3, 3]).norm(dim=-1)
    fol = geodesic_angle(palms[0][:, :3, :3], palms[1][:, :3, :3]).rad2deg()
    return torch.stack([mpjpe, fpl, fol], dim=-1)


def _load(data: Path, tokenizer: Tokenizer, ids: list[str], config: GeneratorTraining) -> ConditionedMotions:
    """The episodes of a part with the motions of the hands that are learned from."""
    known = tuple(hand for hand in config.hands if hand in tokenizer.hands and hand in hands_in(data))
    if not known:
        raise ValueError(f"'{data}' holds motions of none of {', '.join(config.hands)} that the tokenizer knows.")
    motions = load_motions(data, known, ids)
    complete = list(motions[known[0]])
    return ConditionedMotions(
        read_episodes(data, complete),
        motions,
        {hand: tokenizer.features(hand) for hand in known},
        reference_hand=known[0],
        frames_per_chunk=tokenizer.frames_per_chunk,
        max_frames=config.max_frames,
    )


def _choose(texts: tuple[str, ...], rng: torch.Generator) -> str:
    return texts[int(torch.randint(len(texts), (), generator=rng))]
