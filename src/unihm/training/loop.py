"""The training loop, the same for every trained part: AdamW, a schedule, clipping, a log, checkpoints.

A run lives in a folder: ``log.jsonl`` (a line for each logged step or epoch), ``checkpoint.safetensors`` and,
where a figure is watched, ``best.safetensors``. A run that was killed and resumed gives the same numbers, bit
by bit on a CPU, as one that was not. Under `torchrun` every process takes its share of a batch (`distributed`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from unihm.schema.weights import assign, read_tensors, write_tensors
from unihm.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from unihm.training.distributed import average_gradients, rank, share, wait

Figures = Mapping[str, float]
LossFunction = Callable[[Any, Any, torch.Generator], tuple[Tensor, Figures]]
"""(module, batch, rng) -> (scalar loss, figures to log). Moves the batch to the module's device itself."""
Batches = Callable[[int, torch.Generator], Iterable[Any]]
"""(epoch, rng) -> the batches of that epoch. `rng` is seeded anew for each epoch; draw from it only."""
EpochEnd = Callable[[Any, int, torch.Generator], Figures | None]
"""(module, epoch, rng) -> figures to log, or None; called after each epoch, may change the module."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long and how fast to train."""

    epochs: int = 100
    """Passes over the batches."""
    learning_rate: float = 1e-4
    """Peak rate of AdamW (paper: 1e-4)."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Course of the rate after the warm-up."""
    final_rate: float = 0.05
    """Where the cosine ends, as a share of the peak rate."""
    warmup_steps: int = 50
    """Steps in which the rate rises linearly from zero."""
    weight_decay: float = 0.01
    """Decoupled decay of weights with two or more axes, but for those with the attribute `no_decay`."""
    betas: tuple[float, float] = (0.9, 0.99)
    """AdamW's decay rates of the moments."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    seed: int = 0
    """Seed of the batches and the losses."""
    checkpoint_steps: int = 500
    """Steps between two checkpoints; one is also written at the end."""
    log_steps: int = 20
    """Steps between two log lines."""
    best: str | None = None
    """Figure of `on_epoch_end` whose smallest value decides which weights are kept; None keeps the last."""


# Settings that may change on resume, because the curve does not depend on them.
_FREE = ("checkpoint_steps", "log_steps")


def learning_rate(config: LoopConfig, step: int, total: int) -> float:
    """The rate of step `step` (from 0) of `total`."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    wave = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * (config.final_rate + (1 - config.final_rate) * wave)


def fit(
    module: nn.Module,
    loss: LossFunction,
    batches: Batches,
    config: LoopConfig,
    folder: str | Path,
    *,
    steps_per_epoch: int,
    resume: bool = False,
    on_epoch_end: EpochEnd | None = None,
    title: str = "train",
    stop_after: int | None = None,
) -> Progress:
    """Train the parameters of `module` that require a gradient; the module ends with the kept weights.

    Args:
        module: What is trained, on the device where it shall be trained.
        loss: The objective of one batch.
        batches: Gives the batches of an epoch.
        config: Length, rates, seed.
        folder: Where the log and the checkpoints go.
        steps_per_epoch: Batches taken from each epoch's iterator.
        resume: Continue from the folder's checkpoint; without one, start.
        on_epoch_end: Validation, or changes that happen between epochs; runs in `eval` mode, no gradients.
        title: Name on the progress bar.
        stop_after: Stop after this many steps in all and leave a checkpoint, as a cut-off run would.

    Raises:
        ValueError: The checkpoint does not fit, an epoch has too few batches, or the loss is not finite.
    """
    folder = Path(folder)
    checkpoint = folder / "checkpoint.safetensors"
    parameters = [p for p in module.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.ndim >= 2 and not getattr(p, "no_decay", False)]
    others = [p for p in parameters if p.ndim < 2 or getattr(p, "no_decay", False)]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)
    total = config.epochs * steps_per_epoch
    setup = {k: v for k, v in asdict(config).items() if k not in _FREE} | {"steps_per_epoch": steps_per_epoch}
    setup = json.loads(json.dumps(setup))  # as it will read when it comes back from a file
    rng = torch.Generator().manual_seed(config.seed)
    # Dropout draws from the global generator: seeded here, and given back as it was.
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        progress = Progress(setup=setup)
        if resume and checkpoint.is_file():
            progress = load_checkpoint(checkpoint, module, optimizer, rng, setup)
        log = _Log(folder / "log.jsonl", progress.step)
        bar = tqdm(
            total=total, initial=progress.step, desc=title, unit="step", mininterval=2.0, leave=False,
            disable=rank() > 0,
        )  # fmt: skip
        module.train()
        while progress.epoch < config.epochs and not _reached(stop_after, progress):
            epoch = progress.epoch
            draw = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
            done = progress.step - epoch * steps_per_epoch
            for batch in islice(batches(epoch, draw), done, steps_per_epoch):
                figures = _step(module, loss, share(batch), rng, optimizer, parameters, config, progress, total)
                bar.update()
                if progress.step % config.log_steps == 0:
                    log.write({"step": progress.step, "epoch": epoch, **figures})
                    bar.set_postfix(loss=f"{figures['loss']:.4g}")
                if progress.step == (epoch + 1) * steps_per_epoch:
                    break  # the checkpoint of the last step is written after `on_epoch_end`
                if progress.step % config.checkpoint_steps == 0 or _reached(stop_after, progress):
                    _save(checkpoint, module, optimizer, rng, progress)
                if _reached(stop_after, progress):
                    bar.close()
                    return progress
            if progress.step != (epoch + 1) * steps_per_epoch:
                raise ValueError(f"Epoch {epoch} gave fewer than {steps_per_epoch} batches.")
            progress.epoch += 1
            if on_epoch_end is not None:
                _end_epoch(module, on_epoch_end, rng, config, progress, folder, log)
            finished = progress.epoch == config.epochs or _reached(stop_after, progress)
            if finished or progress.step % config.checkpoint_steps < steps_per_epoch:
                _save(checkpoint, module, optimizer, rng, progress)
        bar.close()
    if progress.epoch == config.epochs and progress.best is not None:
        tensors, _ = read_tensors(folder / "best.safetensors")
        assign(module, tensors, folder / "best.safetensors")
    module.eval()
    return progress


def _step(module, loss, batch, rng, optimizer, parameters, config, progress, total) -> dict[str, float]:
    """One update; returns the figures of the batch."""
    rate = learning_rate(config, progress.step, total)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    value, figures = loss(module, batch, rng)
    if not torch.isfinite(value):
        raise ValueError(f"The loss is {value.item()} at step {progress.step}; the last checkpoint is intact.")
    value.backward()
    average_gradients(parameters)
    norm = nn.utils.clip_grad_norm_(parameters, config.clip_norm)
    optimizer.step()
    progress.step += 1
    return {"loss": value.item(), "rate": rate, "gradient": norm.item(), **figures}


def _end_epoch(module, on_epoch_end, rng, config, progress, folder, log) -> None:
    """Run the callback, log its figures, keep the weights where the watched figure is the best so far."""
    module.eval()
    with torch.no_grad():
        figures = on_epoch_end(module, progress.epoch, rng)
    module.train()
    if figures is None:
        return
    log.write({"step": progress.step, "epoch": progress.epoch, **figures})
    if config.best is None or config.best not in figures:
        return
    if not math.isfinite(figures[config.best]):
        raise ValueError(f"{config.best} is {figures[config.best]} after epoch {progress.epoch}.")
    if progress.best is None or figures[config.best] < progress.best:
        progress.best, progress.best_epoch = float(figures[config.best]), progress.epoch
        if rank() == 0:
            write_tensors(folder / "best.safetensors", module.state_dict(), {"epoch": progress.epoch})
        wait()


def _save(path: Path, module, optimizer, rng, progress: Progress) -> None:
    """One checkpoint for all processes: they hold the same numbers."""
    if rank() == 0:
        save_checkpoint(path, module, optimizer, rng, progress)
    wait()


def _reached(stop_after: int | None, progress: Progress) -> bool:
    return stop_after is not None and progress.step >= stop_after


class _Log:
    """JSON lines; on resume, lines of steps that will be repeated are dropped."""

    def __init__(self, path: Path, step: int):
        self._path = path
        self._writes = rank() == 0
        self._start = time.monotonic()
        if not self._writes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        kept: list[str] = []
        if step and path.is_file():
            # A cut-off run may leave half a line at the end, hence the test for the closing brace.
            lines = [x for x in path.read_text(encoding="utf-8").splitlines() if x.endswith("}")]
            kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

    def write(self, line: dict[str, Any]) -> None:
        if not self._writes:
            return
        line["seconds"] = round(time.monotonic() - self._start, 2)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
