"""The tasks that can be asked for, and their four families (the columns of the paper's Table 3)."""

from __future__ import annotations

from collections.abc import Mapping

FAMILY: Mapping[str, str] = {
    "grab": "grab",
    "place": "pick and place",
    "push": "pull and push",
    "pull": "pull and push",
    "open": "open and close",
    "close": "open and close",
}
"""Task -> its family."""

TASKS = tuple(FAMILY)
"""All tasks: grab lifts, place carries, push and pull slide over the table or move a drawer, open and close turn a door
or a lid."""

DIRECTIONS = ("up", "left", "right", "away", "toward")
"""Relations without a reference."""

BY_REFERENCE = ("left of", "right of", "behind", "in front of", "next to", "on", "in")
"""Relations to another thing."""

GOES: Mapping[str, tuple[str, ...]] = {
    "grab": ("", "up"),
    "place": ("", *DIRECTIONS[1:], *BY_REFERENCE),
    "push": ("", *DIRECTIONS[1:]),
    "pull": ("", *DIRECTIONS[1:]),
}
"""Task of a free object -> the relations that say where it goes; the empty one leaves it to the task."""
