"""What a task is set with, beside the motion that it is done with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.hands.description import HandDescription
from unihm.simulation.fixtures import Fixture
from unihm.simulation.solid_object import SolidObject


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What is handled, where, and how strictly it is judged."""

    object: SolidObject | None = None
    """What is handled."""
    T_world_object: Float[np.ndarray, "4 4"] | None = None
    """Where the object is when the motion's path has it at its first pose, if the object's frame is not the path's (a
    perceived object has its own)."""
    fixture: Fixture | None = None
    """What is pulled, pushed, opened or closed."""
    hand: HandDescription | None = None
    """The hand; by default the one that the motion names."""
    criterion: str = "full"
    """Name of a stricter or lighter reading."""
