"""``unihm train generator``: motions of a store become a generator with its card (Sec. 3.3, C.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.made_with import not_the_motions
from unihm.datasets.manifest import read_manifest
from unihm.datasets.splits import split as split_ids
from unihm.generation.decoding import write_codes
from unihm.generation.generator import (
    SHIPPED,
    Qwen3Generator,
    Reader,
    load_generator,
    new_network,
    start_latent,
)
from unihm.generation.language import OwnWords, config_of, load_language_generator, load_qwen3, save_words
from unihm.generation.mask_schedule import MaskSchedule, draw_given
from unihm.generation.qwen3 import Conditions, GeneratorConfig, MotionQwen3
from unihm.generation.text_encoder import load_text_encoder
from unihm.geometry.lie import geodesic_angle
from unihm.hands.hand import HandModel, load_hand
from unihm.schema.storage import write_json
from unihm.tokenizer.features import PALM_SIZE
from unihm.tokenizer.tokenizer import FOR_GENERATOR, Tokenizer, load_tokenizer
from unihm.tokenizer.vqvae import chunk_mask
from unihm.training.generator_data import Batch, ConditionedMotions, Variation
from unihm.training.loop import LoopConfig, fit
from unihm.training.presets import choose
from unihm.training.tokenizer import LICENCE, begin_with_motions, load_motions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GeneratorTraining:
    """Everything that decides how a generator is trained."""

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Sizes."""
    loop: LoopConfig
    """Length and rates."""
    masking: MaskSchedule = field(default_factory=MaskSchedule)
    """The curriculum of C.4."""
    always_masked: float = 0.0
    """Share of motions that are wholly masked from the first epoch on, as they are at generation."""
    batch_size: int = 16
    """Motions in a batch, all of one hand."""
    softness: float = 1.0
    """Width of the softened targets, see `CodeHead.cross_entropy`; 0 is plain cross-entropy."""
    level_decay: float = 0.7
    """Weight of each level's cross-entropy relative to the level before it: coarse codes move the hand."""
    motion_weight: float = 1.0
    """Weight of the error, in units of 10 cm, of the motion decoded at the point that the head names."""
    prior_strength: float | None = 3e-4
    """Ridge penalty of the prior for each motion (see `generation.motion_prior`); None is no fit."""
    prior_draws: int = 3
    """How often each training motion, varied anew, enters the fit of the prior."""
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


GENERATOR: Mapping[str, GeneratorTraining] = {
    "tiny": GeneratorTraining(
        generator=GeneratorConfig(hidden=64, layers=2, heads=2, kv_heads=1, feedforward=128),
        loop=LoopConfig(epochs=10, learning_rate=2e-3, warmup_steps=20, weight_decay=0.05, best="mpjpe_mm"),
    ),
    "base": GeneratorTraining(
        loop=LoopConfig(epochs=10, learning_rate=1e-3, warmup_steps=40, weight_decay=0.05, best="mpjpe_mm"),
        motion_weight=20.0,
        # Differs from the paper: its curriculum shows a wholly masked motion, the only kind there is at generation,
        # in the last fifth alone, which seemed too late for ten epochs. The two were not compared.
        always_masked=0.8,
    ),
    # What C.4 states: 100 epochs of AdamW at 1e-4, hard targets, no auxiliary loss, no prior.
    "paper": GeneratorTraining(
        loop=LoopConfig(epochs=100, learning_rate=1e-4, schedule="constant"),
        softness=0.0,
        level_decay=1.0,
        motion_weight=0.0,
        prior_strength=None,
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

    Returns:
        Where the weights are, their fingerprint, and the figures on the validation part.

    Raises:
        ValueError: Preset, split or a motion do not exist, the store is unfit, a checkpoint does not fit, or the run
            began with other motions than the store now holds.
    """
    name = preset if isinstance(preset, str) else "custom"
    config = choose(GENERATOR, preset) if isinstance(preset, str) else preset
    config = replace(config, loop=replace(config.loop, seed=seed))
    tokenizer = tokenizer if isinstance(tokenizer, Tokenizer) else load_tokenizer(tokenizer, shipped=FOR_GENERATOR)
    data, out = Path(data), Path(out)
    records = episode_table(data)
    parts = {part: split_ids(split, part, records) for part in ("train", "validation")}
    sets = {part: _load(data, tokenizer, ids, config) for part, ids in parts.items() if ids}
    if "train" not in sets:
        raise ValueError(f"Split '{split}' has no training episodes in '{data}'.")
    made = begin_with_motions(data, tokenizer.hands, out, resume=resume)
    if others := not_the_motions(tokenizer.card, data, tokenizer.hands):
        _log.warning("The tokenizer %s.", others)
    body, reader = (None, load_text_encoder()) if language is None else load_qwen3(language)
    if body is not None:
        config = replace(config, generator=config_of(body))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = new_network(config.generator, tokenizer, body)
    task = GeneratorTask(tokenizer, reader, sets["train"], config)
    task.fit_prior(network)
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
    )
    recordings = {record.id: record.recording for record in records}
    card = {
        "licence": LICENCE,
        "preset": name,
        "training": asdict(config),
        "split": split,
        "seed": seed,
        "kept_epoch": progress.best_epoch or progress.epoch,
        "command": f"unihm train generator --data DATA --preset {name} --split {split} --seed {seed}",
        "data_fingerprint": read_manifest(data)["fingerprint"],
        "motions": made,
        "training_episodes": len(parts["train"]),
        "training_recordings": sorted({recordings[i] for i in parts["train"]}),
        "selection_recordings": sorted({recordings[i] for i in parts["validation"]}),
    }
    path = out / SHIPPED
    fingerprint = Qwen3Generator(network, tokenizer, reader).save(path, card)
    if isinstance(reader, OwnWords):
        save_words(path, reader)
    load = load_generator if language is None else load_language_generator
    stored = load(path, tokenizer=tokenizer)
    figures: Mapping[str, float] = {}
    if "validation" in sets:
        figures = motion_errors(stored.network, sets["validation"], tokenizer, reader)
    write_json(path.with_suffix(".json"), {**stored.card, "figures": {"part": "validation", **figures}})
    return {"weights": str(path), "fingerprint": fingerprint, "figures": dict(figures)}


class GeneratorTask:
    """The objective: batches and their loss."""

    def __init__(self, tokenizer: Tokenizer, reader: Reader, motions: ConditionedMotions, config: GeneratorTraining):
        """Join data and frozen parts.

        Args:
            tokenizer: Frozen; its encoders write the targets.
            reader: Frozen; reads the instructions.
            motions: What is learned from.
            config: Settings.
        """
        self.tokenizer = tokenizer
        self.reader = reader
        self.motions = motions
        self.config = config
        self.steps_per_epoch = -(-len(motions) // config.batch_size)
        self._ratio = 0.0
        tokenizer.vqvae.requires_grad_(False)

    def fit_prior(self, network: MotionQwen3) -> None:
        """Solve the prior on varied motions of all hands; a resumed run overwrites it with the same."""
        if self.config.prior_strength is None:
            return
        rng = torch.Generator().manual_seed(self.config.loop.seed)
        chunks = -(-self.config.max_frames // self.tokenizer.frames_per_chunk)
        rows = []
        for hand in self.motions.hands:
            for part in torch.arange(len(self.motions)).repeat(self.config.prior_draws).split(64):
                batch = self.motions.batch(part, hand, self.config.variation, rng)
                exists = _exists(batch, self.tokenizer)
                with torch.no_grad():
                    start = start_latent(self.tokenizer, hand, batch.features[:, 0]) / network.head.scale
                    latent = self.tokenizer.vqvae.encode(hand, batch.features, exists) / network.head.scale
                features = network.prior.features(
                    batch.T_world_canonical, batch.lengths, batch.T_canonical_palm0, start, batch.points
                )
                padding = (0, 0, 0, chunks - latent.shape[1])
                latent = torch.nn.functional.pad(latent, padding)
                rows.append((features, start, latent, torch.nn.functional.pad(exists, padding[2:])))
        features, start, latent, exists = (torch.cat(column) for column in zip(*rows, strict=True))
        network.prior.fit(
            features, start, latent, exists, strength=self.config.prior_strength, seed=self.config.loop.seed
        )

    def batches(self, epoch: int, rng: torch.Generator) -> Iterator[Batch]:
        """All motions once, each on a hand drawn for its batch; the mask ratio is that of the epoch."""
        self._ratio = self.config.masking.ratio(epoch / self.config.loop.epochs)
        for rows in torch.randperm(len(self.motions), generator=rng).split(self.config.batch_size):
            hand = self.motions.hands[int(torch.randint(len(self.motions.hands), (), generator=rng))]
            yield self.motions.batch(rows, hand, self.config.variation, rng)

    def loss(self, network: MotionQwen3, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy of the codes, and the error of the motion at the point that the head names."""
        config = self.config
        exists = _exists(batch, self.tokenizer)
        with torch.no_grad():
            latent = self.tokenizer.vqvae.encode(batch.hand, batch.features, exists)
            quantised = self.tokenizer.vqvae.quantiser.quantize(latent)
            motion = self.tokenizer.vqvae.quantiser.embed(quantised.codes)
            texts = [_choose(self.motions.instructions[int(i)], rng) for i in batch.rows]
            conditions = conditions_of(batch, texts, self.tokenizer, self.reader)
        conditions = replace(
            conditions,
            words_mask=conditions.words_mask & (torch.rand(len(texts), 1, generator=rng) >= config.drop_words),
            cloud_given=torch.rand(len(texts), generator=rng) >= config.drop_cloud,
        )
        given = draw_given(exists, self._ratio, rng)
        given &= torch.rand(len(texts), 1, generator=rng) >= config.always_masked
        origin = network.origin(conditions)
        hidden = network(conditions, origin, motion, given)
        # Only real chunks count; taking them out first also saves their share of the work.
        entropy = network.head.cross_entropy(
            hidden[exists], origin[exists], latent[exists], quantised.codes[exists], config.softness
        ).mean(dim=0)
        weights = config.level_decay ** torch.arange(len(entropy), dtype=torch.float32)
        loss = (entropy * weights).sum() / weights.sum()
        decoded = self.tokenizer.vqvae.decode(batch.hand, network.head.point(hidden, origin), exists)
        error = _feature_distance(decoded, batch.features)
        real = torch.arange(error.shape[1]) < batch.lengths[:, None]
        error = (error * real).sum() / real.sum()
        figures = {
            "entropy_first": entropy[0].item(),
            "entropy_last": entropy[-1].item(),
            "motion_error": error.item(),
            "masked": self._ratio,
        }
        return loss + config.motion_weight * error, figures


def conditions_of(batch: Batch, texts: list[str], tokenizer: Tokenizer, reader: Reader) -> Conditions:
    """A batch of recorded motions as the network reads it, nothing dropped."""
    words, words_mask = reader(texts)
    count = len(texts)
    return Conditions(
        words=words,
        words_mask=words_mask,
        points=batch.points,
        cloud_given=torch.ones(count, dtype=torch.bool),
        T_world_canonical=batch.T_world_canonical,
        lengths=batch.lengths,
        T_canonical_palm0=batch.T_canonical_palm0,
        start=start_latent(tokenizer, batch.hand, batch.features[:, 0]),
        hand=torch.full((count,), tokenizer.hands.index(batch.hand)),
    )


def validation(
    motions: ConditionedMotions | None, tokenizer: Tokenizer, reader: Reader, config: GeneratorTraining
) -> Callable[[MotionQwen3, int, torch.Generator], Mapping[str, float] | None]:
    """A callback that generates the validation motions every few epochs and after the last."""

    def measure(network: MotionQwen3, epoch: int, rng: torch.Generator) -> Mapping[str, float] | None:
        due = epoch % config.validate_epochs == 0 or epoch == config.loop.epochs
        return motion_errors(network, motions, tokenizer, reader) if due and motions is not None else None

    return measure


@torch.no_grad()
def motion_errors(
    network: MotionQwen3,
    motions: ConditionedMotions,
    tokenizer: Tokenizer,
    reader: Reader,
    *,
    hands: tuple[str, ...] | None = None,
    steps: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
) -> dict[str, float]:
    """How far generated motions are from the recorded ones, with true object path and initial pose.

    Args:
        network: In evaluation mode.
        motions: What is generated again.
        tokenizer: Decodes.
        reader: Reads the first instruction of each episode.
        hands: Of which hands; None takes those with the most keypoints.
        steps: Decoding rounds.
        temperature: Of the sampling.
        seed: Of the sampling.

    Returns:
        ``mpjpe_mm`` over keypoints and frames (Eq. F1), ``fpl_mm`` and ``fol_deg`` of the palm in the last frame
        (Eqs. F3 and F4), means over motions.
    """
    models = {name: load_hand(name) for name in motions.hands}
    most = max(len(model.keypoint_indices) for model in models.values())
    chosen = hands or tuple(name for name, model in models.items() if len(model.keypoint_indices) == most)
    rng = torch.Generator().manual_seed(seed)
    rows = []
    for hand in chosen:
        for part in torch.arange(len(motions)).split(32):
            batch = motions.batch(part, hand, None, rng)
            texts = [motions.instructions[int(i)][0] for i in part]
            conditions = conditions_of(batch, texts, tokenizer, reader)
            codes = write_codes(network, conditions, steps=steps, temperature=temperature, rng=rng)
            latent = tokenizer.vqvae.quantiser.embed(codes)
            decoded = tokenizer.vqvae.decode(hand, latent, _exists(batch, tokenizer))
            rows.append(_errors(decoded, batch, models[hand], tokenizer))
    mpjpe, fpl, fol = torch.cat(rows).mean(dim=0).tolist()
    return {"mpjpe_mm": 1e3 * mpjpe, "fpl_mm": 1e3 * fpl, "fol_deg": fol}


def _errors(
    decoded: Float[Tensor, "B T F"], batch: Batch, hand: HandModel, tokenizer: Tokenizer
) -> Float[Tensor, "B 3"]:
    """Mean keypoint distance, m, and the palm's final distance, m, and angle, degrees."""
    features = tokenizer.vqvae.hands[hand.name]
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
    """The episodes of a part with the motions of all hands of the tokenizer."""
    motions = load_motions(data, tokenizer.hands, ids)
    complete = list(motions[tokenizer.hands[0]])
    return ConditionedMotions(
        read_episodes(data, complete),
        motions,
        tokenizer.vqvae.hands,
        reference_hand=tokenizer.config.reference_hand,
        frames_per_chunk=tokenizer.frames_per_chunk,
        max_frames=config.max_frames,
    )


def _exists(batch: Batch, tokenizer: Tokenizer) -> Tensor:
    chunks = batch.features.shape[1] // tokenizer.frames_per_chunk
    return chunk_mask(batch.lengths, chunks, tokenizer.frames_per_chunk)


def _choose(texts: tuple[str, ...], rng: torch.Generator) -> str:
    return texts[int(torch.randint(len(texts), (), generator=rng))]


_LEVER = 0.7  # 7 cm, about the distance of the fingers' middles from the palm's origin, in units of 10 cm
_FINGERS = 0.3  # a joint at half its range moves what follows it by about 3 cm


def _feature_distance(a: Float[Tensor, "B T F"], b: Float[Tensor, "B T F"]) -> Float[Tensor, "B T"]:
    """Roughly how far keypoints are apart, in units of 10 cm, told from the features alone."""
    square = (a - b).square()
    position = square[..., :3].sum(-1)
    rotation = _LEVER**2 * square[..., 3:PALM_SIZE].sum(-1) / 2
    joints = _FINGERS**2 * square[..., PALM_SIZE:].mean(-1)
    return (position + rotation + joints + 1e-4).sqrt()
