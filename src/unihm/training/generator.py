"""``unihm train generator``: motions of a store become a generator with its card (Sec. 3.3, C.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.made_with import not_the_motions
from unihm.datasets.manifest import hands_in
from unihm.datasets.splits import split as split_ids
from unihm.generation.decoding import Sampling, write_codes
from unihm.generation.generator import SHIPPED, Qwen3Generator, Reader, load_generator, new_network, person_of
from unihm.generation.language import OwnWords, config_of, load_language_generator, load_qwen3, save_words
from unihm.generation.qwen3 import MotionQwen3
from unihm.generation.text_encoder import load_text_encoder
from unihm.geometry.lie import geodesic_angle
from unihm.hands.hand import HandModel, load_hand
from unihm.schema.storage import write_json
from unihm.tokenizer.tokenizer import Tokenizer, load_tokenizer
from unihm.training.card import training_card
from unihm.training.distributed import processes, rank, wait
from unihm.training.generator_data import Batch, ConditionedMotions
from unihm.training.generator_presets import GENERATOR, GeneratorTraining, ablated
from unihm.training.generator_task import GeneratorTask, conditions_of
from unihm.training.loop import fit
from unihm.training.lora import adapted, merged
from unihm.training.presets import choose
from unihm.training.reading import train_reader
from unihm.training.tokenizer import begin_with_motions, load_motions

_log = logging.getLogger(__name__)


@processes()
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
        Where the weights are, their fingerprint, and the figures on the validation part; of `torchrun`'s processes but
        the first, only their number.

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
    made = begin_with_motions(data, hands, out, resume=resume) if rank() == 0 else {}
    wait()
    if others := not_the_motions(tokenizer.card, data, hands):
        _log.warning("The tokenizer %s.", others)
    body, reader = (None, load_text_encoder()) if language is None else load_qwen3(language)
    if body is not None:
        config = replace(config, generator=replace(config_of(body), without=config.generator.without))
    if config.prior is not None:
        copies, motions = config.prior.copies, sets["train"]
        sizes = replace(
            config.generator,
            memory=copies * len(motions),
            memory_without_path=copies * len(motions.recorded),
            members=config.committee.members,
        )
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
    if rank() > 0:
        return {"process": rank()}
    if tuner is not None:
        network.body = merged(tuner)
    options = ["--without", *config.without] if config.without else []
    card = training_card(
        "generator", config, preset=name, split=split, seed=seed, options=options, data=data, made=made,
        records=records, parts=parts,
    )  # fmt: skip
    card["kept_epoch"] = progress.best_epoch or progress.epoch
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
