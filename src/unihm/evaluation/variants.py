"""The names of compared motions: where they come from, how they are refined, among how many the best is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from unihm.registry import unknown_name

REFINEMENTS: Mapping[str, Mapping[str, Any]] = {"causal": {"mode": "causal"}, "joint": {"mode": "joint"}}
"""Ways to refine, and the options of `refinement.refine` that they are."""

HUMAN, RETARGETED, GENERATED = "human", "retargeted", "generated"
_BEST = re.compile(r"best of (\d+)")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A motion that a hand can execute, such as ``retargeted + joint + best of 4``."""

    base: str
    """``retargeted`` or ``generated``."""
    refinement: str = ""
    """A key of `REFINEMENTS`, or empty."""
    candidates: int = 0
    """The best of so many, tried on the perceived object, is executed; 0: there is one, and nothing is perceived."""

    @property
    def name(self) -> str:
        """As it is written."""
        best = f"best of {self.candidates}" if self.candidates else ""
        return " + ".join(word for word in (self.base, self.refinement, best) if word)


def spelled(names: Iterable[str]) -> tuple[str, ...]:
    """Names of variants with even spaces, each once, in their order."""
    return tuple(dict.fromkeys(" + ".join(" ".join(word.split()) for word in name.split("+")) for name in names))


def executable(name: str) -> Variant:
    """The variant of a name; hyphens may stand for its spaces.

    Raises:
        ValueError: There is no such variant, or it is a person.
    """
    words = [" ".join(word.replace("-", " ").split()) for word in name.split("+")]
    if words[0] == HUMAN:
        raise ValueError(
            f"Variant '{name}' is the recorded person, whom no controller can execute; expected {RETARGETED} or "
            f"{GENERATED}."
        )
    best = _BEST.fullmatch(words[-1])
    base, *ways = (words[:-1] if best else words) or [""]
    known = [" + ".join([b, *w]) for b in (RETARGETED, GENERATED) for w in ([], *([r] for r in REFINEMENTS))]
    if " + ".join([base, *ways]) not in known or (best and int(best[1]) < 1):
        raise unknown_name("Variant", name, [*known, *(f"{one} + best of N" for one in known)])
    return Variant(base=base, refinement=ways[0] if ways else "", candidates=int(best[1]) if best else 0)
