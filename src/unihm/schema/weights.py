"""Network weights on disk: one safetensors file, and a JSON card beside it that says what they are.

No pickle is written or read. The fingerprint of the tensors stands in both files, so a damaged file, or a
card that belongs to other weights, is found when they are opened.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from unihm.schema.storage import atomic_path, write_json

FORMAT = 1
_NAMES_SHOWN = 4


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits that change with any name, shape, type or number."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        # Viewed as bytes because NumPy has no bfloat16; a scalar has no bytes view, hence the reshape.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header as one safetensors file, atomically."""
    # Clones, because safetensors refuses tensors that share memory.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps({**header, "fingerprint": fingerprint(plain)})
    with atomic_path(path) as temporary:
        save_file(plain, temporary, metadata={"unihm": text})


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote: the tensors, on the CPU, and the header.

    Raises:
        ValueError: The file is missing, damaged or not one of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"File '{path}' does not exist.")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["unihm"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ValueError(f"'{path}' is damaged or not a safetensors file: {error}") from error
    except KeyError as error:
        raise ValueError(f"'{path}' is not a unihm weights file: it has no header.") from error
    if header.get("fingerprint") != fingerprint(tensors):
        raise ValueError(f"'{path}' is damaged: its numbers do not match its fingerprint.")
    return tensors, header


def write_weights(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    card: Mapping[str, Any],
    *,
    kind: str,
    dtype: torch.dtype | None = torch.float16,
) -> str:
    """Write weights for use (not for resuming) and their card, ``NAME.safetensors`` and ``NAME.json``.

    Args:
        path: The safetensors file; replaced atomically, then the card.
        tensors: Weights by name, usually a `state_dict`.
        card: What a user should know: config, split, training recordings, seed, command, figures, licence.
        kind: What the weights are, for example ``tokenizer``.
        dtype: Floating-point tensors are stored in this type; None keeps their own.

    Returns:
        The fingerprint of the stored tensors.
    """
    path = Path(path)
    stored = {
        name: tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    lost = [name for name, tensor in stored.items() if not torch.isfinite(tensor).all()]
    if lost:
        raise ValueError(f"Weights hold NaN or infinite numbers: {_some(lost)}.")
    mark = fingerprint(stored)
    write_tensors(path, stored, {"format": FORMAT, "kind": kind})
    write_json(path.with_suffix(".json"), {"format": FORMAT, "kind": kind, "fingerprint": mark, **card})
    return mark


def read_card(path: str | Path, *, kind: str) -> dict[str, Any]:
    """The JSON card beside a weights file.

    Raises:
        ValueError: It is missing, damaged, of another kind or of another format.
    """
    path = Path(path).with_suffix(".json")
    if not path.is_file():
        raise ValueError(f"Weights card '{path}' does not exist.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"'{path}' is damaged: it is not JSON ({error}).") from error
    if not isinstance(card, dict) or card.get("kind") != kind:
        found = card.get("kind") if isinstance(card, dict) else None
        raise ValueError(f"'{path}' describes a {found!r}, expected a {kind!r}.")
    if card.get("format") != FORMAT:
        raise ValueError(f"'{path}' has format version {card.get('format')}, this unihm reads {FORMAT}.")
    return card


def read_weights(path: str | Path, *, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and their card.

    Raises:
        ValueError: A file is missing, damaged, of another kind, or the card belongs to other weights.
    """
    card = read_card(path, kind=kind)
    tensors, header = read_tensors(path)
    if header.get("kind") != kind:
        raise ValueError(f"'{path}' holds a {header.get('kind')!r}, expected a {kind!r}.")
    if card.get("fingerprint") != header["fingerprint"]:
        raise ValueError(f"'{Path(path).with_suffix('.json')}' belongs to other weights than '{path}'.")
    return tensors, card


def assign(module: nn.Module, tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Copy tensors into a module, strictly: every name and every shape must match.

    The module keeps its own floating-point type and device; weights stored in half precision are widened.

    Args:
        module: What receives the weights.
        tensors: Weights by the names of `module.state_dict()`.
        source: Where they come from, for the error message.

    Raises:
        ValueError: Names are missing or unexpected, or shapes differ.
    """
    own = module.state_dict()
    missing = sorted(set(own) - set(tensors))
    unexpected = sorted(set(tensors) - set(own))
    misshapen = sorted(name for name in set(own) & set(tensors) if own[name].shape != tensors[name].shape)
    if missing or unexpected or misshapen:
        shapes = [f"{n} {tuple(tensors[n].shape)} instead of {tuple(own[n].shape)}" for n in misshapen]
        faults = [
            f"{label} {_some(names)}"
            for label, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", shapes))
            if names
        ]
        raise ValueError(f"'{source}' does not fit the model: {'; '.join(faults)}.")
    module.load_state_dict(dict(tensors), strict=True)


def _some(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
