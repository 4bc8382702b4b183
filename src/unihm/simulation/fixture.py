"""A thing on the table with one joint and a handle: what all of them have, and how one is put into a model.

Frame of a fixture: on the table below the middle of its body, z up, x out of its front. Frame of a handle: in the
middle of the bar, x away from the panel, y along the bar. The joint's position is 0 where the fixture is shut and grows
as it opens.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import mujoco
import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import pose_to_vector
from unihm.simulation.constants import (
    CONTACT_DIMENSIONS,
    CONTACT_SOLREF,
    FRICTION,
    ROLLING,
    TORSION,
)

_WOOD, _PANEL, _METAL = (0.55, 0.42, 0.3), (0.72, 0.6, 0.46), (0.35, 0.36, 0.38)
_STIFF = [0.99, 0.999, 0.001, 0.5, 2.0]  # impedance of dry friction; at MuJoCo's 0.9 a held drawer creeps 1.4 mm/s
_ROUND = 0.8  # radius of a knob's capsule, as a share of half its length
Vector = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A box in the fixture's frame where the fixture is shut, m."""

    low: Vector
    high: Vector


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a fixture consists of, in its frame, shut."""

    frame: tuple[Board, ...]
    """Stands still."""
    panels: tuple[Board, ...]
    """Moves."""
    slides: bool
    """Whether the joint slides along its axis, or turns about it."""
    axis: Vector
    """Direction of the joint."""
    anchor: Vector
    """A point that the axis of a hinge passes through, m."""
    upper: float
    """Position where it is fully open, m or rad."""
    mass: float
    """Of what moves, kg."""
    dry_friction: float
    """Of the joint, N or Nm."""
    damping: float
    """Of the joint, Ns/m or Nms/rad."""
    handle: Vector
    """Place of the handle on its panel, m."""
    outward: Vector
    """Direction away from the panel."""
    along: Vector
    """Direction of the bar."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fixture:
    """What all fixtures have; `fixtures` has the kinds."""

    kind: ClassVar[str] = ""
    """Its name in `fixtures.FIXTURES`."""
    name: str = "fixture"
    """Unique in a world; its bodies, geoms and joint are named ``<name>/...``."""
    T_world_fixture: Float[np.ndarray, "4 4"] = field(default_factory=lambda: np.eye(4))
    """Where it stands, m."""
    position0: float = 0.0
    """Where the joint is at the start, m or rad; 0 is shut."""
    handle_length: float = 0.12
    """Of the bar between its two posts, m."""
    handle_radius: float = 0.006
    """Of the bar, m."""
    handle_distance: float = 0.045
    """From the panel to the middle of the bar, m: room for a robot's finger of 30 mm."""
    knob: bool = False
    """Whether the handle is a knob, as wide as `handle_length`, on one post instead of a bar on two."""
    colors: tuple[Vector, Vector, Vector] = (_WOOD, _PANEL, _METAL)
    """Of the frame, of what moves, and of the handle, RGB from 0 to 1."""

    def __post_init__(self) -> None:
        """Check what a model could not."""
        if not 0 <= self.position0 <= self.upper:
            raise ValueError(
                f"Fixture '{self.name}' starts at {self.position0}, outside of its range 0 to {self.upper}."
            )

    @property
    def design(self) -> Design:
        """What it consists of."""
        raise NotImplementedError

    @property
    def upper(self) -> float:
        """The joint's position where it is fully open, m or rad."""
        return self.design.upper

    @property
    def T_world_handle(self) -> Float[np.ndarray, "4 4"]:
        """Pose of the handle at the start."""
        return self.handle_at(np.array(self.position0))

    def handle_at(self, position: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch 4 4"]:
        """Pose of the handle in the world where the joint is at a position (m or rad): the way a hand must go."""
        design = self.design
        T_fixture_handle = np.eye(4)
        x, y = np.array(design.outward), np.array(design.along)
        T_fixture_handle[:3, :3] = np.column_stack([x, y, np.cross(x, y)])
        T_fixture_handle[:3, 3] = np.array(design.handle) + self.handle_distance * x
        return self.T_world_fixture @ _moved(design, np.asarray(position, dtype=np.float64)) @ T_fixture_handle


def add_fixture(spec: mujoco.MjSpec, fixture: Fixture, friction: float = FRICTION) -> str:
    """Put a fixture into a model, shut; `Fixture.position0` is for the state that a simulation starts from.

    Args:
        spec: The model.
        fixture: The fixture.
        friction: Sliding friction of its surfaces.

    Returns:
        Name of its joint, ``<name>/joint``; the bodies are ``<name>/frame`` and ``<name>/moving``.
    """
    design = fixture.design
    pose = pose_to_vector(fixture.T_world_fixture)
    frame = spec.worldbody.add_body(name=f"{fixture.name}/frame", pos=pose[:3].tolist(), quat=pose[3:].tolist())
    moving = frame.add_body(name=f"{fixture.name}/moving")
    moving.add_joint(
        name=f"{fixture.name}/joint",
        type=mujoco.mjtJoint.mjJNT_SLIDE if design.slides else mujoco.mjtJoint.mjJNT_HINGE,
        axis=list(design.axis),
        pos=list(design.anchor),
        limited=mujoco.mjtLimited.mjLIMITED_TRUE,
        range=[
            0.0,
            design.upper if design.slides else np.degrees(design.upper) if spec.compiler.degree else design.upper,
        ],
        damping=design.damping,
        frictionloss=design.dry_friction,
        solref_limit=list(CONTACT_SOLREF),
        solimp_friction=_STIFF,
    )
    contact = {
        "friction": [friction, TORSION, ROLLING],
        "condim": CONTACT_DIMENSIONS,
        "solref": list(CONTACT_SOLREF),
    }
    bars, (wood, panel, metal) = handle_bars(fixture), fixture.colors
    volumes = [8 * float(np.prod(_half(board))) for board in design.panels]
    volumes += [np.pi * radius**2 * float(np.linalg.norm(np.subtract(b, a))) for a, b, radius in bars]
    density = design.mass / sum(volumes)
    for i, board in enumerate(design.frame):
        _add_board(frame, f"{fixture.name}/frame/{i}", board, wood, 0.0, contact)
    for i, (board, volume) in enumerate(zip(design.panels, volumes, strict=False)):
        _add_board(moving, f"{fixture.name}/moving/{i}", board, panel, density * volume, contact)
    for i, ((start, end, radius), volume) in enumerate(zip(bars, volumes[len(design.panels) :], strict=True)):
        moving.add_geom(
            name=f"{fixture.name}/handle/{i}",
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[*start, *end],
            size=[radius, 0.0, 0.0],
            mass=density * volume,
            rgba=[*metal, 1.0],
            **contact,
        )
    # The joint is what holds them together and stops them; their boards overlap by rounding only.
    spec.add_exclude(name=f"{fixture.name}/exclude", bodyname1=frame.name, bodyname2=moving.name)
    return f"{fixture.name}/joint"


def handle_bars(fixture: Fixture) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Ends and radii (m) of a handle's capsules in the fixture's frame, shut: first what is held, then its posts."""
    design = fixture.design
    foot, out, along = np.array(design.handle), np.array(design.outward), np.array(design.along)
    half, thin = fixture.handle_length / 2, fixture.handle_radius
    reach = fixture.handle_distance * out
    if fixture.knob:
        middle, short = foot + reach, (1 - _ROUND) * half * along
        return [(middle - short, middle + short, _ROUND * half), (foot, foot + reach, thin)]
    one, two = foot - half * along, foot + half * along
    return [(one + reach, two + reach, thin), (one, one + reach, thin), (two, two + reach, thin)]


def _add_board(body, name: str, board: Board, color: Vector, mass: float, contact: dict) -> None:
    middle = (np.array(board.low) + board.high) / 2
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=middle.tolist(),
        size=_half(board).tolist(),
        mass=mass,
        rgba=[*color, 1.0],
        **contact,
    )


def _half(board: Board) -> np.ndarray:
    return (np.array(board.high) - board.low) / 2


def _moved(design: Design, position: np.ndarray) -> Float[np.ndarray, "*batch 4 4"]:
    """What the joint does to points of the moving part, in the fixture's frame."""
    axis, anchor = np.array(design.axis), np.array(design.anchor)
    T = np.broadcast_to(np.eye(4), (*position.shape, 4, 4)).copy()
    if design.slides:
        T[..., :3, 3] = position[..., None] * axis
        return T
    K = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    s, c = np.sin(position)[..., None, None], np.cos(position)[..., None, None]
    T[..., :3, :3] = np.eye(3) + s * K + (1 - c) * K @ K
    T[..., :3, 3] = anchor - T[..., :3, :3] @ anchor
    return T
