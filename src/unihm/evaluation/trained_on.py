"""What weights say of their training, asked before they are evaluated."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unihm.datasets.made_with import not_the_motions

_log = logging.getLogger(__name__)

Cards = Mapping[str, Mapping[str, Any]]
"""Name of each part that touches the result to its weights' card."""


def refuse_trained_on(tested: set[str], cards: Cards) -> None:
    """Check that no test recording was seen in training or used to choose a model.

    Args:
        tested: Test recordings.
        cards: What each part that touches the result says of itself. Every list under a key that ends in
            ``recordings`` counts.

    Raises:
        ValueError: One was, or a card lists no recordings, so that nobody can know.
    """
    for part, card in cards.items():
        seen = {name for key, names in card.items() if key.endswith("recordings") for name in names}
        if not seen:
            raise ValueError(f"The {part}'s card lists no training recordings; its result cannot be trusted.")
        both = sorted(tested & seen)
        if both:
            raise ValueError(
                f"The {part} was trained on {len(both)} of {len(tested)} test recordings, among them {both[0]}; "
                "evaluate another split or other weights."
            )


def warn_of_other_motions(data: str | Path, hands: Iterable[str], cards: Cards) -> None:
    """Say in one line for each part that it learned other motions than those that it will be measured by.

    Args:
        data: The episode store.
        hands: Hands that are evaluated.
        cards: As for `refuse_trained_on`.
    """
    for part, card in cards.items():
        if others := not_the_motions(card, data, hands):
            _log.warning("The %s %s.", part, others)
