"""Training of the learned parts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unihm.commands.console import report


def train_tokenizer(
    *,
    data: Path,
    out: Path = Path("runs/tokenizer"),
    preset: Literal["tiny", "base", "paper"] = "base",
    split: str = "release",
    seed: int = 0,
    resume: bool = False,
    json: bool = False,
):
    """Train the shared codebook: the reference hand first, the others by distillation (Sec. 3.2).

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        out: Folder for log, checkpoints and weights.
        preset: Size and length of the training.
        split: Which recordings to train on.
        seed: Seed of everything random.
        resume: Go on from the last checkpoint in OUT.
        json: Print the figures as JSON.
    """
    from unihm.training.tokenizer import train_tokenizer as train

    report(train(data, out, preset=preset, split=split, seed=seed, resume=resume), json)


def train_generator(
    *,
    data: Path,
    out: Path = Path("runs/generator"),
    preset: Literal["tiny", "base", "paper"] = "base",
    split: str = "release",
    tokenizer: Path | None = None,
    seed: int = 0,
    resume: bool = False,
    json: bool = False,
):
    """Train the language model that writes motion tokens (Sec. 3.3).

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        out: Folder for log, checkpoints and weights.
        preset: Size and length of the training.
        split: Which recordings to train on.
        tokenizer: Tokenizer weights; default: the shipped ones.
        seed: Seed of everything random.
        resume: Go on from the last checkpoint in OUT.
        json: Print the figures as JSON.
    """
    from unihm.training.generator import train_generator as train

    report(train(data, out, preset=preset, split=split, tokenizer=tokenizer, seed=seed, resume=resume), json)
