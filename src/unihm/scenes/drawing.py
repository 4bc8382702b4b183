"""Drawing one of several things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Any one of at least one, all as likely; unlike ``rng.choice`` it makes no array of them."""
    return choices[int(rng.integers(len(choices)))]
