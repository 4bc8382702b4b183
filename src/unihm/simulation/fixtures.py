"""Things that stand on the table and have one joint: a drawer, a cabinet door, a box with a lid, each with a handle.

See `fixture` for their frames and for what they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unihm.simulation.constants import (
    DOOR_DAMPING,
    DOOR_FRICTION,
    DOOR_MASS,
    DRAWER_MASS,
    DRAWER_TRAVEL,
    LID_DAMPING,
    LID_FRICTION,
    LID_MASS,
    RUNNER_DAMPING,
    RUNNER_FRICTION,
)
from unihm.simulation.fixture import Board, Design, Fixture, Vector, add_fixture

__all__ = ["FIXTURES", "Door", "Drawer", "Fixture", "Lid", "add_fixture"]

_GAP = 0.003  # m between what moves and what does not


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawer(Fixture):
    """A drawer in the upper half of a small cabinet."""

    kind: ClassVar[str] = "drawer"
    size: Vector = (0.28, 0.32, 0.26)
    """Depth, width and height of the cabinet, m."""
    front: float = 0.12
    """Height of the drawer's front, m."""
    board: float = 0.012
    """Thickness of all boards, m."""
    travel: float = DRAWER_TRAVEL
    """m."""

    @property
    def design(self) -> Design:
        """What it consists of."""
        (d, w, h), t = self.size, self.board
        x, y = d / 2, w / 2
        low, high = h - t - _GAP - self.front, h - t - _GAP  # of the front
        inner = y - t - _GAP
        return Design(
            frame=(
                Board(low=(-x, -y, 0.0), high=(x, -y + t, h)),
                Board(low=(-x, y - t, 0.0), high=(x, y, h)),
                Board(low=(-x, -y, h - t), high=(x, y, h)),
                Board(low=(-x, -y, 0.0), high=(-x + t, y, h)),
                Board(low=(-x, -y, 0.0), high=(x, y, low - _GAP)),  # the lower half is not hollow
            ),
            panels=(
                Board(low=(x - t, -inner, low), high=(x, inner, high)),
                Board(low=(-x + 2 * t, -inner, low), high=(x, inner, low + t)),
                Board(low=(-x + 2 * t, -inner, low), high=(x, -inner + t, low + 0.75 * self.front)),
                Board(low=(-x + 2 * t, inner - t, low), high=(x, inner, low + 0.75 * self.front)),
                Board(low=(-x + 2 * t, -inner, low), high=(-x + 3 * t, inner, low + 0.75 * self.front)),
            ),
            slides=True,
            axis=(1.0, 0.0, 0.0),
            anchor=(0.0, 0.0, 0.0),
            upper=self.travel,
            mass=DRAWER_MASS,
            dry_friction=RUNNER_FRICTION,
            damping=RUNNER_DAMPING,
            handle=(x, 0.0, (low + high) / 2),
            outward=(1.0, 0.0, 0.0),
            along=(0.0, 1.0, 0.0),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Door(Fixture):
    """A cabinet whose whole front is a door that turns about a vertical edge."""

    kind: ClassVar[str] = "door"
    size: Vector = (0.22, 0.3, 0.34)
    """Depth, width and height, m."""
    board: float = 0.012
    """Thickness of all boards, m."""
    hinge_on_right: bool = False
    """Seen from the front."""
    travel: float = np.radians(110)
    """rad."""

    @property
    def design(self) -> Design:
        """What it consists of."""
        (d, w, h), t = self.size, self.board
        x, y = d / 2, w / 2
        back = x - t - _GAP  # where the cabinet ends behind the door
        side = 1.0 if self.hinge_on_right else -1.0  # who looks at the front has y to the right
        return Design(
            frame=(
                Board(low=(-x, -y, 0.0), high=(back, -y + t, h)),
                Board(low=(-x, y - t, 0.0), high=(back, y, h)),
                Board(low=(-x, -y, h - t), high=(back, y, h)),
                Board(low=(-x, -y, 0.0), high=(back, y, t)),
                Board(low=(-x, -y, 0.0), high=(-x + t, y, h)),
            ),
            panels=(Board(low=(x - t, -y, _GAP), high=(x, y, h)),),
            slides=False,
            axis=(0.0, 0.0, side),
            anchor=(x, side * y, 0.0),
            upper=self.travel,
            mass=DOOR_MASS,
            dry_friction=DOOR_FRICTION,
            damping=DOOR_DAMPING,
            handle=(x, -side * (y - 0.04), h / 2),
            outward=(1.0, 0.0, 0.0),
            along=(0.0, 0.0, 1.0),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Lid(Fixture):
    """A box with a lid that turns about its rear edge, and a bar on the lid along its front rim."""

    kind: ClassVar[str] = "lid"
    size: Vector = (0.2, 0.24, 0.12)
    """Depth, width and height of the box, m."""
    board: float = 0.01
    """Thickness of all boards, m."""
    travel: float = np.radians(110)
    """rad."""

    @property
    def design(self) -> Design:
        """What it consists of."""
        (d, w, h), t = self.size, self.board
        x, y = d / 2, w / 2
        return Design(
            frame=(
                Board(low=(-x, -y, 0.0), high=(x, -y + t, h)),
                Board(low=(-x, y - t, 0.0), high=(x, y, h)),
                Board(low=(-x, -y, 0.0), high=(-x + t, y, h)),
                Board(low=(x - t, -y, 0.0), high=(x, y, h)),
                Board(low=(-x, -y, 0.0), high=(x, y, t)),
            ),
            panels=(Board(low=(-x, -y, h + _GAP), high=(x, y, h + _GAP + t)),),
            slides=False,
            axis=(0.0, -1.0, 0.0),
            anchor=(-x, 0.0, h + _GAP),
            upper=self.travel,
            mass=LID_MASS,
            dry_friction=LID_FRICTION,
            damping=LID_DAMPING,
            handle=(x - 0.03, 0.0, h + _GAP + t),
            outward=(0.0, 0.0, 1.0),
            along=(0.0, 1.0, 0.0),
        )


FIXTURES: dict[str, type[Fixture]] = {fixture.kind: fixture for fixture in (Drawer, Door, Lid)}
"""Kind of fixture -> its class."""
