"""Tables of names: a name on the command line becomes an object, imported only when it is chosen."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name that does not exist: what was wrong, the nearest name, and what exists.

    Args:
        kind: What was looked up, as the start of a sentence ("Hand", "Split").
        name: The name that was given.
        known: All names that exist.
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ValueError(f"{kind} '{name}' not found.{hint} Available: {', '.join(known) or 'none'}.")


class Registry(Mapping[str, Any]):
    """Names to objects, each given as ``"module:attribute"`` and imported on first access."""

    def __init__(self, kind: str, entries: Mapping[str, str]):
        self._kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        if name not in self._entries:
            raise unknown_name(self._kind, name, self._entries)
        module, attribute = self._entries[name].split(":")
        return getattr(importlib.import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
