"""How motions were made (``made_with`` in their header), and whether a store still holds those that weights know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unihm.datasets.manifest import hands_in
from unihm.datasets.motion_store import motion_header

_ADVICE = ("unihm", "code", "preset")  # entries that may differ where the results do not
_SHOWN = 3  # differences that a message names

Motions = Mapping[str, Mapping[str, Any]]
"""Hand to ``digest`` and ``made_with`` (None where that is not known) of its motions: a card's ``motions``."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The settings that differ, with both values; the first few. Empty where none does."""
    found = []
    for name in sorted({*old, *new} - set(_ADVICE)):
        a, b = old.get(name), new.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            changed = sorted(key for key in {*a, *b} if a.get(key) != b.get(key))
            found += [f"{key} (was {a.get(key)}, is {b.get(key)})" for key in changed]
        elif a != b:
            found.append(f"{name} (was {a}, is {b})")
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def motions_of(folder: str | Path, hands: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What a card says of the motions in a store; raises ValueError as `motion_store.read_motions` does."""
    headers = {hand: motion_header(folder, hand) for hand in hands}
    return {hand: {name: header[name] for name in ("digest", "made_with")} for hand, header in headers.items()}


def changed_motions(known: Motions, folder: str | Path) -> str:
    """Which hands' motions in a store are not those that are known, and why; empty where all of them are."""
    there = motions_of(folder, [hand for hand in known if hand in hands_in(folder)])
    reasons = {hand: _reason(old, there.get(hand)) for hand, old in known.items()}
    return "; ".join(f"{hand}: {reason}" for hand, reason in reasons.items() if reason)


def not_the_motions(card: Mapping[str, Any], folder: str | Path, hands: Iterable[str]) -> str:
    """How the motions that weights were trained on differ from those in a store, as the end of a sentence; else empty.

    Args:
        card: The weights'.
        folder: The store.
        hands: Those that matter; the card may know more.
    """
    known: Motions | None = card.get("motions")
    if known is None:
        return "does not record the motions that it was trained on; those of the store may be others"
    changed = changed_motions({hand: known[hand] for hand in dict.fromkeys(hands) if hand in known}, folder)
    return f"was trained on other motions than the store's ({changed})" if changed else ""


def _reason(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> str:
    if new is None:
        return "there are none"
    if old["digest"] == new["digest"]:
        return ""
    if old["made_with"] is None or new["made_with"] is None:
        return "not recorded how they were made"
    different = differences(old["made_with"], new["made_with"])
    if different or old["made_with"].get("code") != new["made_with"].get("code"):
        return different or "made by other code"
    return "of other episodes, or made on another machine"
