"""A drawer, a door or a lid as planning knows it: the seen panel and bar, on the joint that was read from them.

What was not seen is guessed: boards are as thick as those of `fixtures`, masses and frictions are theirs, and behind a
panel that swings stands a block, since fingers cannot go where the cabinet or the box is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.schema.joint import Joint
from unihm.simulation.constants import (
    DOOR_DAMPING,
    DOOR_FRICTION,
    DOOR_MASS,
    DRAWER_MASS,
    LID_DAMPING,
    LID_FRICTION,
    LID_MASS,
    RUNNER_DAMPING,
    RUNNER_FRICTION,
)
from unihm.simulation.fixture import Board, Design, Fixture, Vector

_BOARD, _GAP = 0.012, 0.003  # m
_DEPTH = 0.15  # m, of the block behind a panel that swings
_ENDS = (1.0, 99.0)  # percentiles; flying pixels lie beyond
_BAR = (0.004, 0.012)  # m, radius
_OFF = (0.015, 0.08)  # m from the panel to the middle of the bar
_FLAT = 0.02  # m from the panel's plane; walls beside it and what lies on it are farther off
_LEAST = 0.02  # m, half the height and width of a panel of which little is seen
_UPRIGHT = 0.7  # of a hinge's axis, which then is a door's


@dataclass(frozen=True, kw_only=True, eq=False)
class PerceivedPart(Fixture):
    """What is common to the three; the fixture's frame is that of the shut handle, its origin on the panel."""

    axis: Vector
    """See `Design.axis`."""
    anchor: Vector = (0.0, 0.0, 0.0)
    """See `Design.anchor`."""
    travel: float
    """Where it is fully open, m or rad."""
    panel: Board
    """Its front."""
    heaviness: float = 1.0
    """Factor on the assumed mass and friction."""
    weighs: ClassVar[float] = 0.0
    """kg."""
    resists: ClassVar[tuple[float, float]] = (0.0, 0.0)
    """Dry friction and damping of the joint."""
    swings: ClassVar[bool] = True
    """Whether it turns about a hinge."""

    @property
    def design(self) -> Design:
        """What it consists of."""
        (_, *low), (_, *high) = self.panel.low, self.panel.high
        back = -_BOARD - _GAP
        block = Board(low=(back - _DEPTH, low[0], low[1]), high=(back, high[0], high[1]))
        return Design(
            frame=(block,) if self.swings else (),
            panels=(self.panel,),
            slides=not self.swings,
            axis=self.axis,
            anchor=self.anchor,
            upper=self.travel,
            mass=self.heaviness * self.weighs,
            dry_friction=self.heaviness * self.resists[0],
            damping=self.heaviness * self.resists[1],
            handle=(0.0, 0.0, 0.0),
            outward=(1.0, 0.0, 0.0),
            along=(0.0, 1.0, 0.0),
        )


class PerceivedDrawer(PerceivedPart):
    """Slides."""

    kind, weighs, resists, swings = "drawer", DRAWER_MASS, (RUNNER_FRICTION, RUNNER_DAMPING), False


class PerceivedDoor(PerceivedPart):
    """Swings about an upright edge."""

    kind, weighs, resists = "door", DOOR_MASS, (DOOR_FRICTION, DOOR_DAMPING)


class PerceivedLid(PerceivedPart):
    """Swings about a level edge."""

    kind, weighs, resists = "lid", LID_MASS, (LID_FRICTION, LID_DAMPING)


def perceived_part(
    joint: Joint,
    T_world_handle: Float[np.ndarray, "4 4"],
    panel_world: Float[np.ndarray, "n 3"],
    handle_world: Float[np.ndarray, "m 3"],
) -> PerceivedPart:
    """The part where it stands.

    Args:
        joint: How it moves, and where it is now.
        T_world_handle: Its handle now: in the middle of the bar, x away from the panel, y along the bar, m.
        panel_world: Points seen of what moves, m.
        handle_world: Points seen of its handle, m.

    Raises:
        ValueError: Nothing is seen of the panel or the handle.
    """
    if not len(panel_world) or not len(handle_world):
        raise ValueError("A part that moves is known by its panel and its handle; one of them is out of view.")
    shut = _moved(joint, -joint.position)
    T_world_fixture = shut @ T_world_handle
    bar = (handle_world - T_world_handle[:3, 3]) @ T_world_handle[:3, :3]
    front = (panel_world - T_world_handle[:3, 3]) @ T_world_handle[:3, :3]
    off = float(np.clip(-np.median(front[:, 0]), *_OFF))
    T_world_fixture[:3, 3] -= off * T_world_fixture[:3, 0]
    flat = front[np.abs(front[:, 0] + off) < _FLAT]
    low, high = np.percentile((flat if len(flat) else front)[:, 1:], _ENDS, axis=0)
    along = np.percentile(bar[:, 1], _ENDS)
    thick = float(np.clip(np.ptp(np.percentile(bar[:, 2], _ENDS)) / 2, *_BAR))
    T = np.linalg.inv(T_world_fixture)
    axis = T[:3, :3] @ joint.axis_world
    kind = PerceivedDrawer if joint.kind == "slide" else PerceivedLid
    if joint.kind == "hinge" and abs(joint.axis_world[2]) > _UPRIGHT:
        kind = PerceivedDoor
    anchor = T[:3, :3] @ joint.origin_world + T[:3, 3]
    if joint.kind == "hinge":  # a panel ends where it hangs
        side = 1 if abs(axis[1]) > abs(axis[2]) else 0
        end = anchor[1 + side]
        low[side], high[side] = (low[side], min(high[side], end)) if end > 0 else (max(low[side], end), high[side])
    low, high = np.minimum(low, -_LEAST), np.maximum(high, _LEAST)
    return kind(
        T_world_fixture=T_world_fixture,
        position0=float(np.clip(joint.position, 0.0, joint.upper)),
        handle_length=float(max(np.ptp(along), 4 * thick)),
        handle_radius=thick,
        handle_distance=off,
        axis=_vector(axis / np.linalg.norm(axis)),
        anchor=_vector(anchor),
        travel=joint.upper,
        panel=Board(low=(-_BOARD, float(low[0]), float(low[1])), high=(0.0, float(high[0]), float(high[1]))),
    )


def _moved(joint: Joint, by: float) -> Float[np.ndarray, "4 4"]:
    """What the joint does to points of its part."""
    T = np.eye(4)
    if joint.kind == "slide":
        T[:3, 3] = by * joint.axis_world
        return T
    T[:3, :3] = Rotation.from_rotvec(by * joint.axis_world).as_matrix()
    T[:3, 3] = joint.origin_world - T[:3, :3] @ joint.origin_world
    return T


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
