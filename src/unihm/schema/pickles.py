"""Other people's pickles, opened without running what they ask for.

A pickle is a program: it may name any function and call it. This reader knows the few names that arrays, tensors
and ordered dictionaries are made of, and refuses every other name before it is looked up. Tensors come back as
arrays.
"""

from __future__ import annotations

import io
import math
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np


def load_pickle(path: str | Path) -> Any:
    """What a pickle of arrays, tensors, numbers, strings and plain containers holds.

    Returns:
        Arrays, numbers, strings and bytes in dictionaries, lists and tuples.

    Raises:
        ValueError: The file is missing or damaged, or names anything else.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"File '{path}' does not exist.") from error
    except OSError as error:
        raise ValueError(f"Cannot read '{path}': {error.strerror or error}.") from error
    try:
        return _Plain(io.BytesIO(data)).load()
    except _Refused as error:
        raise ValueError(
            f"'{path}' is refused: it asks for '{error}'; only arrays and plain values are read."
        ) from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to spell
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"'{path}' is damaged or not a pickle: {reason}") from error


class _Refused(Exception):
    """Says which name was asked for."""


class _Plain(pickle.Unpickler):
    """Looks names up in a table instead of importing them."""

    def find_class(self, module: str, name: str) -> Any:
        """The object that a name of the table stands for."""
        if (module, name) not in _KNOWN:
            raise _Refused(f"{module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> NoReturn:
        """Nothing lies outside of the file."""
        raise _Refused(f"something outside of it, {pid!r}")


def _bytes_of(text: str, encoding: str) -> bytes:
    """How old protocols write bytes."""
    if encoding != "latin1":
        raise _Refused(f"encoding {encoding}")
    return text.encode("latin1")


def _array(buffer: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    """How the newest protocol writes arrays."""
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _storage(data: bytes) -> np.ndarray:
    """The numbers behind a tensor, flat; torch's own reader of weights calls nothing either."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this kind of storage is deprecated, but it is what lies in such files
        storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return torch.tensor([], dtype=storage.dtype).set_(storage.untyped()).numpy()


def _tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    """The array that a tensor shows of its storage."""
    if len(size) != len(stride) or offset < 0 or min((0, *size, *stride)) < 0:
        raise ValueError("a tensor has an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if max(math.prod(size), last + 1 if 0 not in size else 0) > len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    steps = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False).copy()


def _empty(*_: Any) -> np.ndarray:
    """What NumPy makes first; the numbers follow as its state. Whatever size and kind a file asks for is not made."""
    return np.zeros(0, dtype=np.int8)


_CORES = ("numpy.core", "numpy._core")  # the name before and since NumPy 2
_KNOWN = {
    **{(f"{core}.multiarray", "_reconstruct"): _empty for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): np.float64(0).__reduce__()[0] for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _array for core in _CORES},
    ("numpy", "ndarray"): "ndarray",  # an argument of `_empty`; called by itself it could show memory
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _bytes_of,
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _storage,
}
"""Names that may occur, and what they stand for here."""
