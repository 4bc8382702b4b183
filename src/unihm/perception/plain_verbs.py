"""Verbs for what can be done with a thing: the plainest of each meaning, and others of the same.

Common English words, written down from general knowledge; the held-out forms of `scenes.asking_forms` were not
consulted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

VERBS: Mapping[str, tuple[str, ...]] = {
    "lift": ("hoist", "elevate", "heave", "uplift", "heft", "upraise", "jack up", "heighten", "levitate", "lever up"),
    "pick up": (
        "clutch", "clasp", "seize", "fetch", "retrieve", "collect", "nab", "clench", "pinch", "acquire", "obtain",
        "take up", "remove", "grapple", "catch", "capture", "snag", "hook", "claim", "procure",
    ),
    "move": (
        "shift", "transfer", "transport", "relocate", "reposition", "displace", "transpose", "budge", "haul over",
        "take over", "pass", "dislocate",
    ),
    "put": (
        "position", "deposit", "situate", "park", "arrange", "install", "locate", "pose", "settle", "mount", "lodge",
        "plop", "plonk", "dump", "station", "store", "slot", "tuck", "perch", "prop", "insert", "stick", "return",
        "land", "load", "add", "sit", "seat", "balance", "nest", "stack",
    ),
    "push": (
        "shove", "nudge", "scoot", "shunt", "jostle", "ram", "drive", "butt", "elbow", "skid", "sweep", "force",
        "knock", "impel", "advance", "kick", "barge", "bulldoze", "jab", "hustle", "tap", "flick", "slip", "glide",
        "scooch", "skim", "swipe",
    ),
    "pull": ("tug", "yank", "haul", "draw", "reel", "wrench", "hale", "winch", "retract", "rake"),
    "turn": ("spin", "swivel", "twist", "whirl", "gyrate", "orient", "roll"),
    "open": (
        "uncover", "unseal", "unlock", "unfasten", "unclose", "unshut", "undo", "unbolt", "uncap", "pry open",
        "swing open", "crack open",
    ),
    "close": (
        "slam", "lock", "bolt", "cover", "reclose", "swing shut", "close up", "close off", "shut off", "shut down",
        "clap shut", "click shut",
    ),
    "pull out": ("extend", "extract", "withdraw", "draw out", "roll out", "take out"),
    "push in": ("slide in", "roll in", "slot in", "reinsert", "slide back", "push back", "put back in"),
}  # fmt: skip
"""Plain verb -> others of the same meaning."""

KNOWN = (
    "pick", "lift", "grab", "take", "grasp", "raise", "get", "hold", "snatch", "grip", "scoop", "pluck", "gather",
    "boost", "bring", "put", "place", "set", "move", "carry", "drop", "lay", "rest", "stand", "plant", "deliver",
    "stow", "convey", "ferry", "turn", "rotate", "pivot", "revolve", "reorient", "twirl", "push", "slide", "press",
    "thrust", "propel", "prod", "poke", "bump", "give", "pull", "drag", "tow", "lug", "jerk", "trail", "open", "ease",
    "run", "close", "shut", "unlatch", "throw", "prise", "pop", "flip", "seal", "fasten", "bang", "latch",
)  # fmt: skip
"""Verbs that the networks have read in training."""

MOVES = (
    "put", "place", "set", "move", "bring", "carry", "drop", "lay", "rest", "stand", "plant", "deliver", "stow",
    "convey", "ferry", "push", "slide", "press", "thrust", "propel", "prod", "poke", "bump", "pull", "drag", "tow",
    "lug", "jerk", "trail", "ease", "run", "throw", "prise", "pop", "flip", "bang",
)  # fmt: skip
"""Verbs after which a place is where to, not which."""

STAYS = (
    "pick up", "pick", "lift up", "lift", "grab", "take hold of", "get hold of", "take", "grasp", "raise", "get",
    "snatch", "grip", "scoop up", "gather", "pluck", "hold", "boost", "open up", "open", "close", "shut", "unlatch",
    "latch", "seal", "fasten", "pull open", "pull out", "push in", "slide out", "press in", "turn", "rotate", "pivot",
    "revolve", "reorient", "twirl", "give", "ease open", "throw open", "prise open", "pop open", "flip open",
)  # fmt: skip
"""Verbs after which a place says which thing."""


def _inflected(verb: str) -> tuple[str, str, str, str]:
    """Verb, with s, with ed, with ing; of two words the first changes."""
    first, _, rest = verb.partition(" ")
    stem = first.removesuffix("e")
    doubled = first + first[-1] if first in _DOUBLED else stem
    third = f"{first}es" if re.search(r"(?:s|sh|ch|x)$", first) else f"{first}s"
    past = _PAST.get(first, f"{doubled}ed")
    forms = (first, third, past, f"{doubled}ing")
    one, two, three, four = (f"{form} {rest}".strip() for form in forms)
    return one, two, three, four


_DOUBLED = frozenset(
    {
        "tug", "ram", "put", "nab", "snag", "plop", "slot", "spin", "prop", "skid", "shut", "jab", "slip",
        "skim", "sit", "slam", "tap",
    }
)  # fmt: skip
_PAST = {
    "put": "put", "set": "set", "spin": "spun", "draw": "drawn", "drive": "driven", "take": "taken", "shut": "shut",
    "sweep": "swept", "swing": "swung", "catch": "caught", "leave": "left", "stick": "stuck", "sit": "sat",
    "withdraw": "withdrawn", "lay": "laid", "undo": "undone", "heave": "heaved",
}  # fmt: skip
FORMS = {
    form: plain_form
    for plain, others in VERBS.items()
    for other in others
    for form, plain_form in zip(_inflected(other), _inflected(plain), strict=True)
}
"""Verb in any form -> the plain one in the same form."""
