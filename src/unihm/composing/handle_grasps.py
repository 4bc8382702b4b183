"""A human hand comes to a bar and takes hold of it: a template, not yet touching, which refinement completes.

The palm's x axis points along the fingers, its z axis out of the palm, so a hand that bends its fingers does so in the
plane of both. There the template has two directions: `a`, the way in which the hand comes to the panel, at an angle
``tilt`` from the fingers (0: they point at the panel, 90 degrees: the palm faces it), and `p`, across the bar from the
thumb to the fingers. The fingers end beyond the bar, bent around it by ``hook``, the thumb opposite to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation, Slerp

from unihm.contact_phases import contact_phase
from unihm.geometry.interpolation import smoothstep
from unihm.hands.hand import HandModel
from unihm.kinematics.keypoints import FINGERS, INDEX_TIP, MIDDLE_TIP, THUMB_TIP
from unihm.planning.pregrasp import pregrasp
from unihm.planning.verbs import minimum_jerk
from unihm.schema.motion import HandMotion
from unihm.schema.plan import Plan
from unihm.simulation.fixture import Fixture, handle_bars

_SIDE = {"drawer": 1.0, "lid": 1.0, "door": -1.0}
"""Of the bar, along the handle's z axis, where the fingers are: over a drawer's, behind a lid's, and to the right of a
door's, where the thumb of a right hand is up."""
_TILT = {"drawer": (0.0, 80.0), "lid": (25.0, 70.0), "door": (25.0, 65.0)}  # degrees
_LOWEST, _ARM, _RANGE = 0.07, 0.13, 45.0  # m of the wrist over the table; m from wrist to bar; degrees
_HOOK, _LEAST_BEND = (20.0, 65.0), 45.0  # degrees
_ROLL = 15.0  # degrees, of the hand about the way in which it comes
_BEYOND = (0.006, 0.02)  # m that fingertips reach beyond the middle of the bar
_BENDS = np.array([0.45, 0.37, 0.18])  # shares of knuckle, middle and end joint of how far a finger is bent
_PAD = 0.008  # m from the end of a finger to where it would touch, half its thickness
_SPAN = 0.025  # m that two fingertips need on a bar
_OPEN = 0.6  # share of the bend that fingers have while they come
_TURNED = 0.8  # share of the way on which the palm turns
_RETREAT = 0.1  # m before the bar, from where the hand comes straight
_START = (0.75, 1.25)  # of the usual distance of the start: 0.34 to 0.57 m
_START_TURN, _START_SPREAD = np.radians(20), np.radians(30)  # of its orientation and of its direction
_FREE = 0.1  # m of the palm before the panel at the start
_START_TRIES = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class BarGrasp:
    """A hand at a bar."""

    T_handle_palm: Float[np.ndarray, "4 4"]
    """Palm in the frame of the handle (`simulation.fixture`), m."""
    qpos: Float[np.ndarray, " nq"]
    """Joints, rad."""


def draw_grasp(hand: HandModel, part: Fixture, rng: np.random.Generator) -> BarGrasp:
    """A hand about the bar of a part.

    Args:
        hand: The human one, or one whose joints have its names.
        part: With its handle.
        rng: Draws tilt, hook, roll, how far the fingers reach and the place on the bar.
    """
    tilt = np.radians(rng.uniform(*_tilts(part)))
    bend = max(tilt + np.radians(rng.uniform(*_HOOK)), np.radians(_LEAST_BEND))
    a, p = np.array([np.cos(tilt), 0, np.sin(tilt)]), np.array([np.sin(tilt), 0, -np.cos(tilt)])
    radius = handle_bars(part)[0][2]
    qpos = _bent(hand, bend)
    tips = _keypoints(hand, qpos)[[INDEX_TIP, MIDDLE_TIP]].mean(axis=0)
    bar = tips - (radius + _PAD) * p - rng.uniform(*_BEYOND) * a
    qpos = _thumb_at(hand, qpos, bar - (radius + _PAD) * p + rng.uniform(-0.004, 0.006) * a)
    side = _SIDE[part.kind]
    axes_palm = np.column_stack([a, p, np.cross(a, p)])
    R = np.column_stack([[-1, 0, 0], [0, 0, side], [0, side, 0]]) @ axes_palm.T
    R = Rotation.from_euler("x", rng.normal(0, _ROLL), degrees=True).as_matrix() @ R
    free = max(part.handle_length / 2 - _SPAN, 0.0)
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = np.array([0.0, rng.uniform(-free, free), 0.0]) - R @ bar
    return BarGrasp(T_handle_palm=T, qpos=qpos)


def draw_start(plan: Plan, rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    """T_world_palm at frame 0: like recorded ones (`planning.pregrasp`), scattered about the usual, before the panel.

    Args:
        plan: Of the handle.
        rng: Draws it.
    """
    assert plan.panel_object is not None
    usual, centre = pregrasp(plan), plan.T_world_object[0, :3, 3]
    outward, height = plan.panel_object[:3], plan.panel_object[3]
    best, farthest = usual, -np.inf
    for k in range(_START_TRIES):
        spread = _START_SPREAD * (1 + k / 10)  # what stands open to the side is reached from there
        turn = Rotation.from_euler("z", rng.normal(0, spread))
        T = usual.copy()
        arm = rng.uniform(*_START) * (usual[:3, 3] - centre)
        arm[2] += rng.uniform(0, 0.1 + 0.01 * k)
        T[:3, 3] = centre + turn.apply(arm)
        shake = Rotation.from_rotvec(_START_TURN / np.sqrt(3) * rng.standard_normal(3))
        T[:3, :3] = (turn * Rotation.from_matrix(usual[:3, :3]) * shake).as_matrix()
        free = float((T[:3, 3] - centre) @ outward - height)
        if free > farthest:
            best, farthest = T, free
        if free >= _FREE:
            break
    return best


def reaching(
    hand: HandModel, plan: Plan, grasp: BarGrasp, T_world_handle: Float[np.ndarray, "4 4"], start: np.ndarray
) -> HandMotion:
    """The hand comes from a start to the bar with fingers half open, closes, and moves with the bar.

    Args:
        hand: The hand.
        plan: Path of the handle.
        grasp: Where it holds the bar.
        T_world_handle: The handle at rest.
        start: T_world_palm at frame 0.
    """
    rest, phase = plan.rest_frames, contact_phase(len(plan), plan.rest_frames)
    held = T_world_handle @ grasp.T_handle_palm
    palms = plan.T_world_object @ np.linalg.inv(plan.T_world_object[0]) @ held
    u = minimum_jerk(np.arange(rest) / rest)
    weights = np.stack([(1 - u) ** 2, 2 * u * (1 - u), u**2], axis=1)
    before = held[:3, 3] + _RETREAT * T_world_handle[:3, 0]
    palms[:rest, :3, 3] = weights @ np.stack([start[:3, 3], before, held[:3, 3]])
    turned = smoothstep(np.clip(u / _TURNED, 0, 1))
    turn = Slerp([0, 1], Rotation.from_matrix(np.stack([start[:3, :3], held[:3, :3]])))
    palms[:rest, :3, :3] = turn(turned).as_matrix()
    opened = grasp.qpos * [1.0 if name.startswith("thumb") else _OPEN for name in hand.joint_names]
    share = np.ones((len(plan), 1))
    share[:rest, 0] = turned
    qpos = hand.rest_qpos.numpy() + share * (opened - hand.rest_qpos.numpy())
    return HandMotion(
        hand=hand.name,
        fps=plan.fps,
        joint_names=tuple(hand.joint_names),
        qpos=qpos + phase[:, None] * (grasp.qpos - qpos),
        T_world_palm=palms,
        T_world_object=plan.T_world_object,
        object_points=plan.object_points,
        object_normals=plan.object_normals,
        panel_object=plan.panel_object,
        contact_phase=phase,
    )


def _tilts(part: Fixture) -> tuple[float, float]:
    """Least and largest tilt, degrees; where fingers over a bar point up, the wrist is below it, over the table."""
    low, high = _TILT[part.kind]
    T = part.T_world_handle
    up = _SIDE[part.kind] * T[2, 2]
    if up > 0.5:
        high = min(high, float(np.degrees(np.arcsin(np.clip((T[2, 3] - _LOWEST) / _ARM, -1, 1)))))
    elif up < -0.5:  # an open lid, which the hand reaches over from above
        low, high = 55.0, 95.0
    return min(low, high - _RANGE), high


def _keypoints(hand: HandModel, qpos: np.ndarray) -> Float[np.ndarray, "21 3"]:
    return hand.keypoints(torch.as_tensor(qpos)).numpy()


def _bent(hand: HandModel, bend: float) -> Float[np.ndarray, " nq"]:
    """Fingers bent by an angle in all, as near as their limits allow; the thumb at rest."""
    qpos = hand.rest_qpos.numpy().copy()
    for finger in FINGERS[1:]:
        for joint, share in zip(("mcp", "pip", "dip"), _BENDS, strict=True):
            qpos[hand.joint_names.index(f"{finger}_{joint}_flexion")] = share * bend
    return np.clip(qpos, hand.lower.numpy(), hand.upper.numpy())


def _thumb_at(hand: HandModel, qpos: np.ndarray, place: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " nq"]:
    """The same with the thumb's tip as near to a place in the palm frame as it comes without strain."""
    thumb = [k for k, name in enumerate(hand.joint_names) if name.startswith("thumb")]
    rest, low, high = (value.numpy()[thumb] for value in (hand.rest_qpos, hand.lower, hand.upper))

    def posed(x: np.ndarray) -> np.ndarray:
        whole = qpos.copy()
        whole[thumb] = x
        return whole

    def residual(x: np.ndarray) -> np.ndarray:
        return np.concatenate([(_keypoints(hand, posed(x))[THUMB_TIP] - place) / 0.005, (x - rest) / 1.0])

    return posed(least_squares(residual, rest, bounds=(low - 1e-6, high + 1e-6)).x.clip(low, high))
