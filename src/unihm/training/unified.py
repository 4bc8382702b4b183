"""The stages of training one stream for all hands: each hand's chart, then the codes that all share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from unihm.hands.hand import HandModel, load_hand
from unihm.processes import spread
from unihm.schema.motion import HandMotion
from unihm.schema.weights import assign, fingerprint, read_tensors, write_tensors
from unihm.tokenizer.features import hand_features
from unihm.tokenizer.hand_chart import HandChart, LatentPose, join
from unihm.tokenizer.unified import UnifiedTokenizer
from unihm.training.codec_fitting import Poses, decoded, fit_stage, pulled_back_metric, set_start
from unihm.training.distributed import rank, wait, world
from unihm.training.hand_charts import moments, train_chart
from unihm.training.presets import UnifiedTraining
from unihm.training.tokenizer_data import PairedMotions

Motions = Mapping[str, Mapping[str, HandMotion]]
"""hand -> episode id -> motion with its object."""

_CHART = "chart.safetensors"
_METRIC_FRAMES = 200  # of each hand, at which the metric is taken
_UNSEEN_OBJECT = 0.2  # share of motions whose object is hidden: users' motions may have none


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread: layers this small gain nothing from more, lose much on a busy machine, and the order of sums,
    hence the trained weights, would depend on the number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, kw_only=True)
class ChartTask:
    """One hand's chart, as a process of its own may train it."""

    hand: str
    reference: str
    motions: Motions
    """Training motions of the hand and of the reference hand."""
    validation: Motions
    config: UnifiedTraining
    folder: Path
    resume: bool
    source: Path | None = None
    """The hand's folder, where its name alone does not find it."""


def train_charts(
    model: UnifiedTokenizer, motions: Motions, validation: Motions, config: UnifiedTraining, out: Path,
    *, resume: bool = False, workers: int = 1,
) -> None:  # fmt: skip
    """Train the charts of all hands but the reference hand, each in a folder of its own.

    Args:
        model: Receives the charts.
        motions: Training motions.
        validation: On which figures are logged.
        config: How to train.
        out: Folder of the run.
        resume: Go on from checkpoints; finished charts are not trained again.
        workers: Charts that are trained at once, a process each.
    """
    reference = config.tokenizer.reference_hand
    tasks = [
        ChartTask(
            hand=hand, reference=reference, config=config, folder=out / f"1-{hand}", resume=resume,
            motions={name: motions[name] for name in (reference, hand)},
            validation={name: validation[name] for name in (reference, hand)},
        )
        for hand in model.hands if hand != reference
    ]  # fmt: skip
    if workers > 1 and world() > 1:
        raise ValueError("Under torchrun every hand is learned by all processes; --workers must be 1.")
    with spread(train_one, workers) as run:
        for task, path in run(tasks):
            tensors, _ = read_tensors(path)
            assign(model.charts[task.hand], tensors, path)


def train_one(task: ChartTask) -> Path:
    """Train one chart; returns where its weights are."""
    hand, reference = load_hand(task.source or task.hand), load_hand(task.reference)
    features = {name: hand_features(model) for name, model in ((task.hand, hand), (task.reference, reference))}
    latent = task.config.tokenizer.codec.latent
    parts = [
        moments(part[task.reference], part[task.hand], features, reference, latent) if part[task.hand] else None
        for part in (task.motions, task.validation)
    ]
    train, validation = parts
    if train is None:
        raise ValueError(f"There are no motions of '{task.hand}' to train on.")
    chart = new_chart(len(hand.joint_names), task.config)
    with one_thread():
        train_chart(chart, train, validation, hand, reference, task.config.chart, task.folder, resume=task.resume)
    path = task.folder / _CHART
    if rank() == 0:
        write_tensors(path, chart.state_dict(), {"kind": "chart", "hand": task.hand})
    wait()
    return path


def new_chart(joints: int, config: UnifiedTraining) -> HandChart:
    """An untrained chart; the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(config.chart.loop.seed)
        sizes = config.tokenizer
        return HandChart(joints, sizes.codec.latent, width=sizes.width, couplings=sizes.couplings)


@torch.no_grad()
def fit_codec(
    model: UnifiedTokenizer,
    motions: Motions,
    hands: Mapping[str, HandModel],
    config: UnifiedTraining,
    out: Path,
    *,
    resume: bool = False,
) -> None:
    """Fit the shared codes to the motions of all hands, as their charts see them.

    Args:
        model: Its charts are trained; receives the codes.
        motions: Training motions.
        hands: Kinematics of all hands.
        config: How to fit.
        out: Folder of the run; each stage leaves a file there.
        resume: Finished stages are read, not fitted again.

    Raises:
        ValueError: Finished stages were fitted with other settings or charts.
    """
    codec, seed = model.codec, config.chart.loop.seed
    folder = out / "2-codec"
    whole, openings = _poses(model, motions, config)
    samples = {hand: _sample(part) for hand, part in whole.items()}
    charts = {hand: model.chart(hand) for hand in model.hands}
    codec.metric.copy_(pulled_back_metric(charts, model.hands, hands, samples, config.codec))
    set_start(codec, openings.values())
    parts_of = [_together(whole.values()), _together(openings.values())]
    below: list[LatentPose] | None = None
    stages = len(codec.config.stages)
    log = folder / "log.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    known = {"codec": asdict(config.codec), "sizes": asdict(codec.config), "hands": list(hands)}
    seen_by = fingerprint({name: t for name, t in model.state_dict().items() if name.startswith("charts.")})
    setup = json.loads(json.dumps({**known, "charts": seen_by}))
    finished = _finished(folder, stages, setup) if resume else 0
    lines = log.read_text(encoding="utf-8").splitlines() if finished and log.is_file() else []
    kept = [line for line in lines if line.endswith("}") and json.loads(line)["stage"] < finished]
    log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def progress(figures: dict[str, int | float]) -> None:
        bar.update()
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")

    with tqdm(total=stages * config.codec.rounds, desc="codes", unit="round", disable=None, delay=2) as bar:
        for stage in range(stages):
            path = folder / f"stage-{stage}.safetensors"
            parts = torch.nn.ModuleList([codec.opening[stage], codec.following[stage]])
            if stage < finished:
                tensors, _ = read_tensors(path)
                assign(parts, tensors, path)
                below = decoded(codec, stage, parts_of, below)
                bar.update(config.codec.rounds)
            else:
                below = fit_stage(codec, stage, parts_of, below, config.codec, seed=seed, progress=progress)
                write_tensors(path, parts.state_dict(), {"kind": "codes", "stage": stage, "setup": setup})


def _finished(folder: Path, stages: int, setup: dict[str, Any]) -> int:
    """How many stages a run has fitted.

    Raises:
        ValueError: It fitted them with other settings, hands or charts.
    """
    for stage in range(stages):
        path = folder / f"stage-{stage}.safetensors"
        if not path.is_file():
            return stage
        _, header = read_tensors(path)
        if header.get("setup") != setup:
            raise ValueError(
                f"Cannot resume '{path}' with other settings, hands or charts; remove '{folder}' to fit anew."
            )
    return stages


def _poses(
    model: UnifiedTokenizer, motions: Motions, config: UnifiedTraining
) -> tuple[dict[str, Poses], dict[str, Poses]]:
    """Varied copies of all motions as latent poses of each hand; and more copies of their first chunks alone."""
    reference, size = config.tokenizer.reference_hand, config.tokenizer.frames_per_chunk
    rng = torch.Generator().manual_seed(config.chart.loop.seed)
    paired = PairedMotions(motions, model.hands, reference_hand=reference, max_frames=config.max_frames)
    hidden = {hand: {i: m.replace(T_world_object=None) for i, m in of.items()} for hand, of in motions.items()}
    without = PairedMotions(hidden, model.hands, reference_hand=reference, max_frames=config.max_frames)
    found: tuple[dict[str, list[Poses]], ...] = ({hand: [] for hand in motions}, {hand: [] for hand in motions})
    passes = config.codec.passes
    for number in range(passes + config.codec.opening_passes):
        for source, share in ((paired, 1.0), (without, _UNSEEN_OBJECT)):
            for batch in source.batches(tuple(motions), 256, size, rng, augmentation=config.augmentation):
                rows = torch.arange(max(1, round(share * len(batch.num_frames))))
                chunks = batch.mask.shape[1] if number < passes else 1
                for hand, x in batch.features.items():
                    part = Poses(poses=model.poses(hand, x[rows, : chunks * size]), mask=batch.mask[rows, :chunks])
                    found[number >= passes][hand].append(part)
    whole, openings = ({hand: _together(parts) for hand, parts in kind.items()} for kind in found)
    return whole, openings


def _together(parts: Iterable[Poses]) -> Poses:
    """All motions in one record, as long as the longest."""
    parts = list(parts)
    longest = max(part.mask.shape[1] for part in parts)
    padded = [_padded(part, longest) for part in parts]
    return Poses(poses=join(torch.cat, [p.poses for p in padded]), mask=torch.cat([p.mask for p in padded]))


def _padded(part: Poses, chunks: int) -> Poses:
    """The same with so many chunks: the last one stands still."""
    chosen = torch.arange(chunks).clamp(max=part.mask.shape[1] - 1)
    exists = part.mask[:, chosen] & (torch.arange(chunks) < part.mask.shape[1])
    return Poses(poses=part.poses[:, chosen], mask=exists)


def _sample(part: Poses) -> LatentPose:
    """Some frames, evenly chosen."""
    poses = part.poses[part.mask].map(lambda x: x.flatten(0, 1))
    return poses[torch.linspace(0, len(poses.t) - 1, _METRIC_FRAMES).long()]


def seeded(config: UnifiedTraining, seed: int) -> UnifiedTraining:
    """The settings with the seed."""
    return replace(config, chart=replace(config.chart, loop=replace(config.chart.loop, seed=seed)))
