"""The licence of the shipped weights, said once per user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

NOTICE = (
    "The shipped weights were trained on DexYCB annotations and are CC BY-NC 4.0 (non-commercial, with attribution); "
    "the code is Apache-2.0. Train your own with `unihm train`."
)


def print_licence_notice_once() -> None:
    """Print the notice on a user's first use; a mark in the user's cache folder remembers it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unihm"
    mark = cache / "weights-licence-shown"
    if mark.exists():
        return
    print(NOTICE, file=sys.stderr)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        return  # a home that cannot be written only means that the notice comes again
