"""A hand as MuJoCo bodies: a floating wrist at the palm, one body a joint, position actuators within stated efforts.

- The base body's frame is the palm frame. It moves by three slides and three hinges (`unihm.simulation.wrist`) with
  capped forces, as an arm would move it. Links behind fixed joints are part of the body that carries them, as in
  `BodyChain`, whose frames and order these bodies have.
- Mimic joints are driven and coupled as groups (`hand_drives`).
- Every body is gravity-compensated: a real hand's controller does the same.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import pose_to_vector
from unihm.hands.description import HandDescription
from unihm.kinematics.urdf import MOVABLE, Joint
from unihm.simulation import constants as c
from unihm.simulation.hand_drives import PREFIX, add_drive, add_joint, add_wrist
from unihm.simulation.hand_inertia import Inertial, body_inertials
from unihm.simulation.hand_solids import HandSolid, hand_solids
from unihm.simulation.wrist import WRIST_JOINTS

_KINDS = {
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "hull": mujoco.mjtGeom.mjGEOM_MESH,
}


@dataclass(frozen=True, kw_only=True)
class HandBody:
    """The names of what was added to a model."""

    base: str
    """Body of the palm; its frame is the palm frame."""
    bodies: tuple[str, ...]
    """Moving bodies, the order of `hand.chain`."""
    joints: tuple[str, ...]
    """Their joints, followers included."""
    wrist_joints: tuple[str, ...]
    """The six of `WRIST_JOINTS`."""
    wrist_actuators: tuple[str, ...]
    """Their actuators."""
    finger_actuators: tuple[str, ...]
    """One an independent joint, the order of `hand.joint_names`."""
    geom_link: dict[str, int]
    """Index into `hand.link_names` by geom name."""
    notes: tuple[str, ...]
    """What the hand's files do not say and was assumed, one sentence each."""


def add_hand(
    spec: mujoco.MjSpec,
    hand: HandDescription,
    T_world_reference: Float[np.ndarray, "4 4"],
    *,
    meshes: Path | None = None,
    friction: float = c.FRICTION,
    exclude: bool = True,
) -> HandBody:
    """Add a hand to a model.

    Args:
        spec: The model.
        hand: The hand.
        T_world_reference: Palm pose at which the wrist's coordinates are zero, m.
        meshes: A URDF whose collision meshes replace our primitives (`hand_solids`).
        friction: Sliding friction of its surface.
        exclude: Whether pairs of links that cannot come apart pass through each other (`excluded_pairs`).

    Raises:
        ValueError: The hand has no collision geometry, or `meshes` does not fit it.
    """
    from unihm.simulation.self_collision import excluded_bodies  # which adds a hand itself, to see what overlaps

    solids = hand_solids(hand, meshes)
    inertials, notes = body_inertials(hand)
    joints = _chain_joints(hand)
    base_name = f"{PREFIX}{hand.urdf.root}"
    base = spec.worldbody.add_body(name=base_name, **_placed(T_world_reference))
    add_wrist(spec, base)
    _set_inertial(base, inertials[-1])

    bodies = []
    for i, joint in enumerate(joints):
        u = int(hand.chain.parent[i])
        body = (bodies[u] if u >= 0 else base).add_body(
            name=f"{PREFIX}{joint.child}", **_placed(hand.chain.T_parent_body[i])
        )
        add_joint(body, joint, degrees=bool(spec.compiler.degree))
        _set_inertial(body, inertials[i])
        bodies.append(body)
    for name in hand.joint_names:
        driver = next(joint for joint in joints if joint.name == name)
        followers = [joint for joint in joints if joint.mimic is not None and joint.mimic.source == name]
        add_drive(spec, driver, followers)
        if not 0 < driver.effort < math.inf:
            notes += (f"joint '{name}' states no effort: its force is not limited",)

    geom_link = {}
    mesh_names: dict[int, str] = {}
    for number, solid in enumerate(solids):
        link = hand.link_names[solid.link]
        i = hand.chain.body_of_link[link]
        name = f"{PREFIX}{link}/{number}"
        _add_solid(spec, bodies[i] if i >= 0 else base, solid, hand.chain.T_body_link[link], name, friction, mesh_names)
        geom_link[name] = solid.link
    if exclude:
        for first, second in excluded_bodies(hand, meshes):
            spec.add_exclude(bodyname1=first, bodyname2=second)
    wrist = tuple(f"{PREFIX}wrist/{axis}" for axis in WRIST_JOINTS)
    return HandBody(
        base=base_name,
        bodies=tuple(body.name for body in bodies),
        joints=tuple(f"{PREFIX}{joint.name}" for joint in joints),
        wrist_joints=wrist,
        wrist_actuators=wrist,
        finger_actuators=tuple(f"{PREFIX}{name}" for name in hand.joint_names),
        geom_link=geom_link,
        notes=notes,
    )


def _chain_joints(hand: HandDescription) -> list[Joint]:
    """The joint of every moving body."""
    joints = {hand.chain.body_of_link[j.child]: j for j in hand.urdf.joints if j.kind in MOVABLE}
    return [joints[i] for i in range(len(hand.chain.parent))]


def _placed(T: np.ndarray) -> dict[str, list[float]]:
    vector = pose_to_vector(T)
    return {"pos": vector[:3].tolist(), "quat": vector[3:].tolist()}


def _set_inertial(body, inertial: Inertial) -> None:
    I = inertial.inertia
    body.explicitinertial = True
    body.mass, body.ipos = inertial.mass, inertial.centre
    body.fullinertia = [I[0, 0], I[1, 1], I[2, 2], I[0, 1], I[0, 2], I[1, 2]]
    body.gravcomp = 1.0


def _add_solid(spec, body, solid: HandSolid, T_body_link, name: str, friction: float, mesh_names: dict) -> None:
    size: list[float] = []
    if solid.kind == "cylinder":
        size = [solid.size[0], solid.size[1] / 2, 0.0]  # MuJoCo takes half lengths
    elif solid.kind == "box":
        size = [edge / 2 for edge in solid.size]
    elif solid.kind == "sphere":
        size = [solid.size[0], 0.0, 0.0]
    options = {"size": size} if size else {}
    if solid.vertices is not None:
        key = id(solid.vertices)
        if key not in mesh_names:
            mesh_names[key] = f"{PREFIX}hull/{len(mesh_names)}"
            spec.add_mesh(name=mesh_names[key], uservert=solid.vertices.ravel().tolist())
        options = {"meshname": mesh_names[key]}
    body.add_geom(
        name=name,
        type=_KINDS[solid.kind],
        rgba=list(solid.color),
        condim=c.CONTACT_DIMENSIONS,
        friction=[friction, c.TORSION, c.ROLLING],
        solref=list(c.CONTACT_SOLREF),
        **_placed(T_body_link @ solid.T_link_solid),
        **options,
    )
