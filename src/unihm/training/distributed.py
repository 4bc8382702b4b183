"""Training in several processes at once (`torchrun`): each takes its share of every batch, gradients are averaged.

Every process draws the same batches from the same seeds, so that a run on two processes follows the curve of a run on
one, but for the order of sums. Process 0 alone writes files. Without `torchrun` all of this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

Batch = TypeVar("Batch")


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that `torchrun` has started; they part at the end.

    Raises:
        ValueError: Not as many came together as were announced.
    """
    announced = int(os.environ.get("WORLD_SIZE", "1"))
    if announced == 1:
        yield
        return
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        if world() != announced:
            raise ValueError(f"{world()} processes came together, expected {announced}.")
        yield
    finally:
        distributed.destroy_process_group()


def world() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process; 0 writes files."""
    return distributed.get_rank() if world() > 1 else 0


def wait() -> None:
    """Until all processes have come so far."""
    if world() > 1:
        distributed.barrier()


def share(batch: Batch) -> Batch:
    """This process's rows of a batch: of a tensor, a dictionary, or a dataclass of them.

    Raises:
        ValueError: The batch has fewer rows than there are processes.
    """
    if world() == 1:
        return batch
    return _rows(batch, rank(), world())


def _rows(value: Any, first: int, step: int) -> Any:
    if isinstance(value, Tensor):
        if len(value) < step:
            raise ValueError(f"A batch of {len(value)} rows is too small for {step} processes.")
        return value[first::step]
    if isinstance(value, dict):
        return {name: _rows(item, first, step) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _rows(getattr(value, f.name), first, step) for f in fields(value)})
    return value


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the mean of all processes' gradients."""
    if world() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)
        parameter.grad /= world()


def add_up(tensor: Tensor) -> None:
    """Replace a tensor by the sum over all processes."""
    if world() > 1:
        distributed.all_reduce(tensor)
