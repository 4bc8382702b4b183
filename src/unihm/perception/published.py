"""Weights as others publish them: tensors by name in a safetensors file or a file of torch's."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor


def read_published(path: str | Path, under: str | None = None) -> dict[str, Tensor]:
    """Tensors by name, on the CPU; no code in the file is run.

    Args:
        path: The file.
        under: Where the tensors may lie in a file that holds more; without that name they are all it holds.

    Raises:
        ValueError: The file is missing or damaged, or holds something other than tensors by name.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"File '{path}' does not exist.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged pickle can raise anything, and the messages run over many lines.
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"'{path}' is damaged or no weights file ({type(error).__name__}): {reason}") from error
    tensors = stored.get(under, stored) if isinstance(stored, dict) else None
    if not isinstance(tensors, dict):
        raise ValueError(f"'{path}' holds no weights by name; expected tensors by name, as the state of a network.")
    other = [str(name) for name, tensor in tensors.items() if not isinstance(tensor, Tensor)]
    if other:
        names = ", ".join(other[:4])
        raise ValueError(f"'{path}' holds something other than tensors under {names}; expected tensors by name.")
    return {str(name): tensor for name, tensor in tensors.items()}
