"""Checkpoints from which training goes on as if it had never stopped.

A checkpoint is one safetensors file, replaced atomically: weights, optimizer moments, random-number states
(as bytes) and, in its header, the counters. Weights for use are another thing: see `unihm.schema.weights`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unihm.schema.weights import assign, read_tensors, write_tensors

KIND = "checkpoint"
FORMAT = 1


@dataclass(kw_only=True)
class Progress:
    """How far training has come."""

    epoch: int = 0
    """Epochs that are complete."""
    step: int = 0
    """Optimizer steps in all."""
    best: float | None = None
    """Best value so far of the watched figure (smaller is better)."""
    best_epoch: int | None = None
    """Epoch after which `best` was measured."""
    setup: dict[str, Any] = field(default_factory=dict)
    """The settings that must be the same for a resumed run to continue the same curve."""


def save_checkpoint(
    path: str | Path, module: nn.Module, optimizer: Optimizer, rng: torch.Generator, progress: Progress
) -> None:
    """Write everything that the next step depends on.

    Args:
        path: The ``.safetensors`` file.
        module: What is trained; its whole `state_dict` is kept, buffers too.
        optimizer: Its moments are kept by parameter number; rates come from the schedule, not from the file.
        rng: Generator of the losses. PyTorch's global state (dropout) is kept beside it.
        progress: Counters and settings.
    """
    tensors = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in moments.items()}
    tensors |= {"rng.loss": rng.get_state(), "rng.global": torch.get_rng_state()}
    if torch.cuda.is_available() and _on_cuda(module):
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    write_tensors(path, tensors, {"kind": KIND, "format": FORMAT, "progress": asdict(progress)})


def load_checkpoint(
    path: str | Path, module: nn.Module, optimizer: Optimizer, rng: torch.Generator, setup: dict[str, Any]
) -> Progress:
    """Put module, optimizer and random states back to where `save_checkpoint` found them.

    Args:
        path: The ``.safetensors`` file.
        module: Built from the same config; receives the weights.
        optimizer: Over the same parameters; receives the moments.
        rng: Generator of the losses.
        setup: This run's settings; they must equal those of the run that wrote the file.

    Raises:
        ValueError: The file is missing, damaged, does not fit, or was written with other settings.
    """
    tensors, header = read_tensors(path)
    if header.get("kind") != KIND or header.get("format") != FORMAT:
        raise ValueError(f"'{path}' is not a training checkpoint of format {FORMAT}.")
    try:
        progress = Progress(**header["progress"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is damaged: its counters are incomplete ({error}).") from error
    different = sorted(k for k in setup | progress.setup if setup.get(k) != progress.setup.get(k))
    if different:
        changes = ", ".join(f"{k} was {progress.setup.get(k)}, is {setup.get(k)}" for k in different)
        raise ValueError(f"Cannot resume '{path}' with other settings: {changes}.")
    assign(module, _under("module.", tensors), path)
    _load_moments(optimizer, _under("optimizer.", tensors), path)
    states = _under("rng.", tensors)
    if not {"loss", "global"} <= set(states):
        raise ValueError(f"'{path}' is damaged: it lacks the random-number states.")
    rng.set_state(states["loss"])
    torch.set_rng_state(states["global"])
    if "cuda" in states and _on_cuda(module):
        torch.cuda.set_rng_state(states["cuda"])
    return progress


def _load_moments(optimizer: Optimizer, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Give the optimizer its moments by parameter number; shapes must match the parameters."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, moment = name.partition(".")
        if not number.isdigit() or int(number) >= len(parameters):
            raise ValueError(f"'{path}' does not fit the model: unexpected optimizer.{name}.")
        if tensor.ndim and tensor.shape != parameters[int(number)].shape:
            raise ValueError(f"'{path}' does not fit the model: misshapen optimizer.{name}.")
        state.setdefault(int(number), {})[moment] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _on_cuda(module: nn.Module) -> bool:
    return any(parameter.is_cuda for parameter in module.parameters())
