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
