"""Where this package keeps what it can make again: compiled code, atlases, convex parts."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "UNIHM_CACHE"


def cache_folder() -> Path:
    """Where caches of this package lie: $UNIHM_CACHE, or ``unihm`` in the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unihm"
