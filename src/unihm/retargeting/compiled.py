"""How this package's loops are compiled and where the machine code is kept.

numba looks only at the file of a function to decide whether its cached code is still good, not at the functions that it
calls. So the code lies in a folder named by a digest of all sources of this package: a change anywhere makes a new one.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config

CACHE_VARIABLE = "UNIHM_CACHE"


def cache_folder() -> Path:
    """Where caches of this package lie: $UNIHM_CACHE, or ``unihm`` in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unihm"


def compiled(function: Callable[..., Any], *, is_part: bool = False, counts: bool = False) -> Any:
    """Compile a function of numbers and arrays, without Python's checks and without the interpreter's lock.

    Args:
        function: To be compiled.
        is_part: Make it part of its callers: a `NamedTuple` of arrays is handed over field by field, which for the
            small functions of a search costs as much as what they do.
        counts: Count references to arrays, as functions need that make arrays or objects. The others work in memory
            that their caller holds; counting there would take longer than solving a frame.
    """
    before = numba_config.CACHE_DIR  # pyright: ignore[reportAttributeAccessIssue]
    numba_config.CACHE_DIR = _CODE_FOLDER  # pyright: ignore[reportAttributeAccessIssue]
    try:
        return numba.njit(  # pyright: ignore[reportCallIssue]
            cache=_CAN_CACHE,
            nogil=True,
            forceinline=is_part,
            _nrt=counts,
            error_model="numpy",
            fastmath={"contract", "reassoc", "nsz", "arcp"},  # NaN and infinity keep their meaning
        )(inspect.unwrap(function))  # where shapes are checked at run time, that check wraps every function
    finally:
        numba_config.CACHE_DIR = before  # pyright: ignore[reportAttributeAccessIssue]


def inlined(function: Callable[..., Any]) -> Any:
    """`compiled`, as a part of its callers."""
    return compiled(function, is_part=True)


def counted(function: Callable[..., Any]) -> Any:
    """`compiled`, with references to arrays counted."""
    return compiled(function, counts=True)


def _code_folder() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return str(cache_folder() / f"code-{digest.hexdigest()[:12]}")


def _can_cache() -> bool:
    """Whether machine code can be kept; numba would look for another place, and refuse to import without one."""
    try:
        Path(_CODE_FOLDER).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=_CODE_FOLDER):
            return True
    except OSError as error:
        warnings.warn(
            f"'{cache_folder()}' cannot be written ({error.strerror or error}): retargeting is compiled anew in every "
            f"process, which takes about a minute. Name another folder in {CACHE_VARIABLE}.",
            stacklevel=2,
        )
        return False


_CODE_FOLDER = _code_folder()
_CAN_CACHE = _can_cache()
