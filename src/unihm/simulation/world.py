"""The physical scene: a table, a hand that floats over it, and what it handles, as one MuJoCo model.

How it is solved (FACTS 8 and measurement): 2 ms steps, ``implicitfast``, so that the actuators' damping is integrated
implicitly; elliptic friction cones with a high ratio of friction to normal impedance, or grasped things creep; several
contact points where flat meets flat. The table is a plane: nothing can be pushed through it or roll off its edge.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

from unihm.hands.description import HandDescription
from unihm.simulation import constants as c
from unihm.simulation.fixtures import Fixture, add_fixture
from unihm.simulation.hand_body import add_hand
from unihm.simulation.solid_object import SolidObject, add_object

TABLE = "table"
"""Name of the table's geom."""
_DRAWN = (0.55, 0.4, 0.01)  # m: half lengths of the part of the table's plane that is drawn, and its grid


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """A compiled model and where everything is in it; it holds no state, so rollouts can share it."""

    model: Any
    """The ``mujoco.MjModel``."""
    hand: HandDescription
    """The hand."""
    T_world_reference: Float[np.ndarray, "4 4"]
    """Palm pose at which the wrist's coordinates are zero, m."""
    wrist_qpos: Int[np.ndarray, " 6"]
    """Addresses of the wrist's coordinates in MuJoCo's qpos; the order of `wrist.WRIST_JOINTS`."""
    wrist_actuators: Int[np.ndarray, " 6"]
    """Their actuators."""
    finger_qpos: Int[np.ndarray, " nq"]
    """Addresses of the independent joints in MuJoCo's qpos; the order of `hand.joint_names`."""
    finger_actuators: Int[np.ndarray, " nq"]
    """Their actuators."""
    joint_qpos: Int[np.ndarray, " nb"]
    """Addresses of all the hand's joints, followers included; the order of `hand.chain`."""
    geom_link: Int[np.ndarray, " ngeom"]
    """Index into `hand.link_names` of each geom, -1 for what is not the hand."""
    geom_object: Bool[np.ndarray, " ngeom"]
    """Which geoms are the object."""
    geom_fixture: Bool[np.ndarray, " ngeom"]
    """Which geoms are the drawer, door or box."""
    table_geom: int
    """The table."""
    object: SolidObject | None = None
    """What is handled."""
    object_qpos: int | None = None
    """Address of its seven numbers (x, y, z, qw, qx, qy, qz) in MuJoCo's qpos."""
    object_body: int | None = None
    """Its body."""
    T_world_object: Float[np.ndarray, "4 4"] | None = None
    """Where it was put, m."""
    fixture: Fixture | None = None
    """Drawer, door or box."""
    fixture_qpos: int | None = None
    """Address of the fixture's joint in MuJoCo's qpos, m or rad."""
    table_height: float = 0.0
    """z of the table's top, m."""
    notes: tuple[str, ...] = ()
    """What the files do not say and was assumed, one sentence each."""

    def body_positions(self, q: Float[np.ndarray, "*batch nq"]) -> Float[np.ndarray, "*batch nb"]:
        """Positions of all the hand's joints, followers included, at independent joints q; rad or m."""
        chain = self.hand.chain
        return chain.multiplier * q[..., chain.column] + chain.offset


def build_world(
    hand: HandDescription,
    T_world_reference: Float[np.ndarray, "4 4"],
    *,
    object: SolidObject | None = None,
    T_world_object: Float[np.ndarray, "4 4"] | None = None,
    fixture: Fixture | None = None,
    table_height: float = 0.0,
    friction: float = c.FRICTION,
    hand_meshes: Path | None = None,
) -> World:
    """Build a world.

    Args:
        hand: The hand.
        T_world_reference: Palm pose at which the wrist's coordinates are zero, m; see `wrist.reference_pose`.
        object: What is handled.
        T_world_object: Where it lies, m.
        fixture: Drawer, door or box.
        table_height: z of the table's top, m; recorded objects rest some millimetres off 0, so give their lowest point.
        friction: Sliding friction of every pair.
        hand_meshes: A URDF whose collision meshes replace the hand's own solids (`hand_solids`).

    Raises:
        ValueError: The hand has no collision geometry, an object has no pose or a pose no object, or a number is wrong.
    """
    if (object is None) != (T_world_object is None):
        raise ValueError("object and T_world_object go together: one of them is missing.")
    if not 0 < friction < np.inf:
        raise ValueError(f"friction is {friction}, expected more than 0.")
    for name, T in (("T_world_reference", T_world_reference), ("T_world_object", T_world_object)):
        if T is not None and not np.isfinite(T).all():
            raise ValueError(f"{name} holds NaN or infinite values.")
    spec = empty_world()
    add_table(spec, (T_world_reference if T_world_object is None else T_world_object)[:2, 3], table_height)
    body = add_hand(spec, hand, T_world_reference, meshes=hand_meshes, friction=friction)
    before = _name_geoms(spec, "hand")
    object_name = None
    if object is not None and T_world_object is not None:
        object_name = add_object(spec, object, T_world_object, friction=friction)
    with_object = _name_geoms(spec, "object")
    fixture_joint = add_fixture(spec, fixture, friction) if fixture is not None else None
    with_fixture = _name_geoms(spec, "fixture")
    same_contacts(spec, friction)
    model = _compile(spec)

    names = [model.geom(i).name for i in range(model.ngeom)]
    body_id = None if object_name is None else model.body(object_name).id
    return World(
        model=model,
        hand=hand,
        T_world_reference=np.array(T_world_reference, dtype=np.float64),
        wrist_qpos=_addresses(model, body.wrist_joints),
        wrist_actuators=np.array([model.actuator(name).id for name in body.wrist_actuators]),
        finger_qpos=_addresses(model, body.finger_actuators),  # an actuator bears its joint's name
        finger_actuators=np.array([model.actuator(name).id for name in body.finger_actuators]),
        joint_qpos=_addresses(model, body.joints),
        geom_link=np.array([body.geom_link.get(name, -1) for name in names]),
        geom_object=np.array([name in with_object - before for name in names]),
        geom_fixture=np.array([name in with_fixture - with_object for name in names]),
        table_geom=names.index(TABLE),
        object=object,
        object_qpos=None if body_id is None else int(model.jnt_qposadr[model.body_jntadr[body_id]]),
        object_body=body_id,
        T_world_object=None if T_world_object is None else np.array(T_world_object, dtype=np.float64),
        fixture=fixture,
        fixture_qpos=None if fixture_joint is None else int(model.joint(fixture_joint).qposadr[0]),
        table_height=table_height,
        notes=body.notes,
    )


def empty_world() -> mujoco.MjSpec:
    """A model without anything in it but how it is solved."""
    spec = mujoco.MjSpec()
    option = spec.option
    option.timestep, option.gravity = c.TIMESTEP, [0.0, 0.0, -c.GRAVITY]
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone, option.impratio = mujoco.mjtCone.mjCONE_ELLIPTIC, c.FRICTION_IMPEDANCE
    # An unstable world must be seen, not be put back to its start in silence.
    option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    # Flat on flat touches at up to four points a pair, or boxes chatter between pads and slide at twice the friction
    # that holds them. In newer versions this is so by default.
    option.enableflags |= int(getattr(mujoco.mjtEnableBit, "mjENBL_MULTICCD", 0))
    return spec


def add_table(spec: mujoco.MjSpec, place: Float[np.ndarray, " 2"], height: float) -> None:
    """A table whose top is a plane.

    Args:
        spec: The model.
        place: x and y around which it is drawn, m.
        height: z of its top, m.
    """
    spec.worldbody.add_geom(
        name=TABLE,
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=_DRAWN,
        pos=[float(place[0]), float(place[1]), height],
        rgba=[0.47, 0.34, 0.24, 1],
    )


def same_contacts(spec: mujoco.MjSpec, friction: float) -> None:
    """One physics for every pair, whoever added it; `friction` is the sliding one."""
    for geom in spec.geoms:
        geom.condim, geom.solref = c.CONTACT_DIMENSIONS, list(c.CONTACT_SOLREF)
        geom.friction = [friction, c.TORSION, c.ROLLING]


def _name_geoms(spec: mujoco.MjSpec, what: str) -> set[str]:
    """Names of all geoms so far; those without one are given one."""
    for number, geom in enumerate(spec.geoms):
        geom.name = geom.name or f"{what}/geom/{number}"
    return {geom.name for geom in spec.geoms}


def _compile(spec: mujoco.MjSpec):
    try:
        return spec.compile()
    except ValueError as error:
        raise ValueError(f"MuJoCo cannot build this world: {' '.join(str(error).split())}") from error


def _addresses(model, joints: tuple[str, ...]) -> Int[np.ndarray, " n"]:
    return np.array([int(model.joint(name).qposadr[0]) for name in joints])
