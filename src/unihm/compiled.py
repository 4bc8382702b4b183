"""How loops are compiled and where the machine code is kept.

numba looks only at the file of a function to decide whether its cached code is still good, not at the functions that it
calls. So the code of a package (retargeting, refinement) lies in a folder named by a digest of all its sources and of
what both build on: a change anywhere makes a new one.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

from unihm.cache import CACHE_VARIABLE, cache_folder

_SHARED = (Path(__file__), Path(__file__).parent / "kinematics" / "compiled_chain.py")


def compiled(function: Callable[..., Any], *, is_part: bool = False, counts: bool = False) -> Any:
    """Compile a function of numbers and arrays, without Python's checks and without the interpreter's lock.

    Args:
        function: To be compiled.
        is_part: Make it part of its callers: a `NamedTuple` of arrays is handed over field by field, which for the
            small functions of a search costs as much as what they do.
        counts: Count references to arrays, as functions need that make arrays or objects. The others work in memory
            that their caller holds; counting there would take longer than solving a frame.
    """
    function = inspect.unwrap(function)  # where shapes are checked at run time, that check wraps every function
    folder = _code_folder(Path(function.__code__.co_filename).parent)
    before = numba_config.CACHE_DIR  # pyright: ignore[reportAttributeAccessIssue]
    numba_config.CACHE_DIR = str(folder)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        return numba.njit(  # pyright: ignore[reportCallIssue]
            cache=_can_cache(folder),
            nogil=True,
            forceinline=is_part,
            _nrt=counts,
            error_model="numpy",
            fastmath={"contract", "reassoc", "nsz", "arcp"},  # NaN and infinity keep their meaning
        )(function)
    finally:
        numba_config.CACHE_DIR = before  # pyright: ignore[reportAttributeAccessIssue]


def inlined(function: Callable[..., Any]) -> Any:
    """`compiled`, as a part of its callers."""
    return compiled(function, is_part=True)


def counted(function: Callable[..., Any]) -> Any:
    """`compiled`, with references to arrays counted."""
    return compiled(function, counts=True)


def tell_of_compiling(package: Path) -> None:
    """Say on standard error that a package's loops are compiled first, where this machine has no code of them yet."""
    folder = _code_folder(package)
    if _can_cache(folder) and next(folder.rglob("*.nbc"), None) is None:
        print(f"Compiling {package.name} for this machine, once; about half a minute.", file=sys.stderr, flush=True)


@functools.cache
def _code_folder(package: Path) -> Path:
    digest = hashlib.sha256()
    for path in sorted({*package.glob("*.py"), *_SHARED}):
        digest.update(path.read_bytes())
    return cache_folder() / f"code-{digest.hexdigest()[:12]}"


@functools.cache
def _can_cache(folder: Path) -> bool:
    """Whether machine code can be kept; numba would look for another place, and refuse to import without one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        warnings.warn(
            f"'{cache_folder()}' cannot be written ({error.strerror or error}): loops are compiled anew in every "
            f"process, which takes about a minute. Name another folder in {CACHE_VARIABLE}.",
            stacklevel=2,
        )
        return False
