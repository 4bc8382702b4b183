"""Named settings: ``tiny`` trains in a minute or two on a CPU, ``base`` made what is shipped, ``paper``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from unihm.registry import unknown_name

T = TypeVar("T")


def choose(presets: Mapping[str, T], name: str) -> T:
    """The preset of that name.

    Raises:
        ValueError: There is none; the message names the nearest and lists all.
    """
    if name not in presets:
        raise unknown_name("Preset", name, presets)
    return presets[name]
