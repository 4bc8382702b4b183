"""What moves a hand: the floating wrist, joints within their limits, and position actuators within stated efforts.

Mimic joints are joints that a constraint holds at ``m_i q + o_i``. What drives a group of them pulls on all at once,
through a tendon of length ``sum m_i q_i / sum m_j^2`` (the independent joint counts with m = 1). While the coupling
holds, that is the independent joint's position but for a constant, so effort, stiffness and damping are those of that
joint. The pull has the direction in which the coupled joints can move, and nothing is left for the constraint to
transmit but the load: followers keep to their place 10 to 4000 times better than with an actuator on the independent
joint alone, whose damping the implicit integrator lets act on that joint only.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np

from unihm.kinematics.urdf import Joint
from unihm.simulation import constants as c
from unihm.simulation.wrist import WRIST_JOINTS

PREFIX = "hand/"
"""Starts the name of everything that belongs to the hand, so that no object's name can clash with it."""


def add_wrist(spec: mujoco.MjSpec, base: Any) -> None:
    """Give the base body three slides, then three hinges, and an actuator of capped force each.

    Args:
        spec: The model.
        base: The body, where the wrist's coordinates are zero.
    """
    for k, name in enumerate(WRIST_JOINTS):
        turns = k // 3
        base.add_joint(
            name=f"{PREFIX}wrist/{name}",
            type=mujoco.mjtJoint.mjJNT_HINGE if turns else mujoco.mjtJoint.mjJNT_SLIDE,
            axis=np.eye(3)[k % 3],
            armature=c.WRIST_ARMATURE[turns],
        )
        _add_servo(spec, f"{PREFIX}wrist/{name}", c.WRIST_KP[turns], c.WRIST_KV[turns], c.WRIST_CAP[turns])


def add_joint(body: Any, joint: Joint, *, degrees: bool) -> None:
    """Give a body its joint.

    Args:
        body: The body.
        joint: As in the URDF.
        degrees: Whether the model states angles in degrees, as MuJoCo's files do.
    """
    slides = joint.kind == "prismatic"
    unit = 180 / math.pi if degrees and not slides else 1.0  # in which this model states angles
    # A follower's own limits have no effect: those of the joint that drives it rule (`Joint.mimic`).
    limited = joint.mimic is None and (math.isfinite(joint.lower) or math.isfinite(joint.upper))
    body.add_joint(
        name=f"{PREFIX}{joint.name}",
        type=mujoco.mjtJoint.mjJNT_SLIDE if slides else mujoco.mjtJoint.mjJNT_HINGE,
        axis=joint.axis,
        armature=c.FINGER_ARMATURE,
        damping=c.FINGER_DAMPING,
        limited=mujoco.mjtLimited.mjLIMITED_TRUE if limited else mujoco.mjtLimited.mjLIMITED_FALSE,
        range=unit * np.clip([joint.lower, joint.upper], -1e6, 1e6) if limited else [0.0, 0.0],
        solref_limit=list(c.CONTACT_SOLREF),
    )


def add_drive(spec: mujoco.MjSpec, driver: Joint, followers: list[Joint]) -> None:
    """Add what moves an independent joint and those that mimic it; the actuator bears the joint's name.

    Args:
        spec: The model, which has the joints.
        driver: The independent joint.
        followers: Those that mimic it.
    """
    kp, kv = (c.SLIDER_KP, c.SLIDER_KV) if driver.kind == "prismatic" else (c.FINGER_KP, c.FINGER_KV)
    name = f"{PREFIX}{driver.name}"
    actuator = _add_servo(spec, name, kp, kv, driver.effort)
    if not followers:
        return
    actuator.trntype = mujoco.mjtTrn.mjTRN_TENDON
    tendon = spec.add_tendon(name=name)
    squares = 1.0 + sum(joint.mimic.multiplier**2 for joint in followers if joint.mimic)
    tendon.wrap_joint(name, 1 / squares)
    for joint in followers:
        assert joint.mimic is not None
        equality = spec.add_equality(
            type=mujoco.mjtEq.mjEQ_JOINT,
            name1=f"{PREFIX}{joint.name}",
            name2=name,
            objtype=mujoco.mjtObj.mjOBJ_JOINT,
            solref=list(c.COUPLING_SOLREF),
            solimp=list(c.COUPLING_IMPEDANCE),
        )
        equality.data[:] = 0.0
        equality.data[:2] = joint.mimic.offset, joint.mimic.multiplier
        tendon.wrap_joint(f"{PREFIX}{joint.name}", joint.mimic.multiplier / squares)
        actuator.biasprm[0] += kp * joint.mimic.offset * joint.mimic.multiplier / squares


def _add_servo(spec, joint: str, kp: float, kv: float, cap: float) -> Any:
    """A position actuator, ``force = kp (ctrl - q) - kv dq/dt`` within plus or minus `cap`; an effort of 0 is none."""
    capped = 0 < cap < math.inf
    actuator = spec.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE if capped else mujoco.mjtLimited.mjLIMITED_FALSE,
        forcerange=[-cap, cap] if capped else [0.0, 0.0],
        ctrllimited=mujoco.mjtLimited.mjLIMITED_FALSE,
    )
    # The lengths of these arrays are MuJoCo's own and change between versions.
    actuator.gainprm[0] = kp
    actuator.biasprm[:3] = 0.0, -kp, -kv
    return actuator
