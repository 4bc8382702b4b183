"""Human keypoints become motions of a robot hand (Eq. B1).

For every frame the palm pose T and the independent joints q minimise

    sum_k ||p_k(T, q) - target_k||^2 / sigma_k^2      fingertips where the human's are, other keypoints behind them
      + pinch    thumb-to-finger vectors, the more the closer the human fingertips are
      + distance(R, R_human)^2 / sigma_R^2            palm orientation
      + ||q - q_rest||^2 / sigma_rest^2               chooses one posture where the keypoints leave freedom
      + ||x - x_near||^2 / sigma_step^2               smoothness

within joint limits. ``phi_dev`` of Eq. B1, which scales link lengths, is here: fingertips keep their place in the
world, because objects do not scale, and from each tip backwards the human bone directions are laid out with
the robot's lengths.

Two passes give one answer per pose. First every frame is solved by itself, from a start that depends on nothing
else; then again with the smoothness term, where x_near is the mean of the neighbours' first answers. A frame thus
depends on the four frames about it and not on where the recording starts, and all frames are solved at once.

Differs from the paper: Eq. B1 has no palm, rest or pinch term, and its smoothness term pulls to the previous
frame's final answer, which makes results depend on where the recording starts (``docs/lab_notes.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unihm.geometry.lie import se3_exp, transform_points
from unihm.hands.hand import HandModel
from unihm.kinematics.keypoints import MIDDLE_MCP, TIPS, WRIST, palm_frame
from unihm.optimization.levenberg_marquardt import Status, minimize
from unihm.schema.motion import HandMotion

# A grown hand measures 0.15 to 0.23 m from wrist to middle fingertip (anthropometric tables); a child's 0.1.
_HAND_LENGTH_M = (0.1, 0.4)
_WINDOW = {1: 4.0, 2: 1.0}  # weights of the neighbours one and two frames away, of the binomial filter 1 4 6 4 1
_CHUNK = 256  # frames solved at once: larger batches leave the cache


@dataclass(frozen=True, kw_only=True)
class RetargetingConfig:
    """Standard deviations of the terms of Eq. B1, each in its own unit."""

    fingertip_sigma: float = 0.004
    """Fingertips, m. The accuracy of hand annotations in DexYCB."""
    keypoint_sigma: float = 0.02
    """Other finger keypoints, m. About a finger's width: they shape the finger but do not pull the tip away."""
    wrist_sigma: float = 0.05
    """The wrist, m: robot palms are shaped otherwise."""
    pinch_sigma: float = 0.004
    """Vector from a fingertip to the thumb tip, m."""
    pinch_distance: float = 0.04
    """Human distance at which the pinch term has faded to 1/e, m; about an object held between two fingers."""
    palm_orientation_sigma: float = 0.35
    """Palm orientation, rad: how far robot palms lean for the same grasp (20 degrees)."""
    rest_sigma: float = 0.3
    """Distance from the rest posture as a share of each joint's range. Chosen on 463 DexYCB frames
    with a five-fingered robot hand: at 1.0 a neighbour's answer was a better start for 0.4 % of them and
    one step in a hundred exceeded 31 degrees; at 0.3 it never was, steps fell to 14
    degrees, and fingertips moved 0.6 mm away."""
    joint_step_sigma: float = 0.1
    """Distance of a joint from its neighbours' mean as a share of its range; halves the mean joint acceleration."""
    palm_step_sigma: float = 0.01
    """Distance of the palm from its neighbours' mean, m."""
    palm_turn_sigma: float = 0.05
    """Turn of the palm from its neighbours' mean, rad."""
    fixed_palm: bool = False
    """Hold the palm at the human palm frame; only the fingers move."""
    cost_tolerance: float = 1e-6
    """A step that lowers the cost by less than this share ends the search."""
    max_iterations: int = 100
    """Most solver iterations a frame."""
    fps: float = 30.0
    """Frame rate of the keypoints."""


@dataclass(frozen=True, kw_only=True)
class RetargetingReport:
    """How the search went, over all frames of all sequences."""

    frames: int
    """Number of frames."""
    status: dict[str, int] = field(default_factory=dict)
    """Frames per solver status; all but CONVERGED deserve a look."""
    fingertip_mm: float = 0.0
    """Mean distance of robot from human fingertips, mm."""
    fingertip_p95_mm: float = 0.0
    """Its 95th percentile."""


def retarget(
    keypoints_world: Sequence[np.ndarray],
    hand: HandModel,
    config: RetargetingConfig = RetargetingConfig(),
) -> list[HandMotion]:
    """Retarget sequences of human keypoints (each (T_i, 21, 3), m) to a hand; see `retarget_with_report`."""
    return retarget_with_report(keypoints_world, hand, config)[0]


def retarget_with_report(
    keypoints_world: Sequence[np.ndarray],
    hand: HandModel,
    config: RetargetingConfig = RetargetingConfig(),
) -> tuple[list[HandMotion], RetargetingReport]:
    """Retarget sequences of human keypoints to a hand, all frames at once.

    Args:
        keypoints_world: Sequences of human keypoints, each (T_i, 21, 3), m, of a hand on the same side as `hand`.
        hand: The target.
        config: Weights and limits of the search.

    Returns:
        One motion per sequence, and how the search went. Joints are always within their limits.

    Raises:
        ValueError: A sequence has a wrong shape, no frame, values that are not finite, or is not in metres.
    """
    for number, keypoints in enumerate(keypoints_world):
        _check_keypoints(keypoints, f"Sequence {number}: " if len(keypoints_world) > 1 else "")
    if not keypoints_world:
        return [], RetargetingReport(frames=0)
    lengths = [len(keypoints) for keypoints in keypoints_world]
    starts = np.cumsum([0, *lengths[:-1]])
    targets = _targets(np.concatenate(list(keypoints_world)).astype(np.float64), hand, config)

    start = _start(targets, hand, config)
    x, _, status = _minimize(targets, start, hand, config)
    if max(lengths) > 1:
        x, _, status = _minimize(targets, x, hand, config, anchor=_neighbours(x, starts, lengths))
    T, q = x[:, :16].reshape(-1, 4, 4), x[:, 16:]
    tips = transform_points(T, hand.keypoints(q)[:, hand.fingertip_slots])
    error = (tips - targets.points[:, hand.fingertip_slots]).norm(dim=-1).numpy()
    report = RetargetingReport(
        frames=len(x),
        status={s.name: int((status == s).sum()) for s in Status},
        fingertip_mm=float(error.mean() * 1e3),
        fingertip_p95_mm=float(np.percentile(error, 95) * 1e3),
    )
    motions = [
        HandMotion(
            hand=hand.name,
            fps=config.fps,
            joint_names=hand.joint_names,
            qpos=q[start : start + length].numpy().copy(),
            T_world_palm=T[start : start + length].numpy().copy(),
        )
        for start, length in zip(starts, lengths, strict=True)
    ]
    return motions, report


def _check_keypoints(keypoints: np.ndarray, where: str) -> None:
    shape = np.shape(keypoints)
    if len(shape) != 3 or shape[1:] != (21, 3):
        raise ValueError(f"{where}keypoints have shape {tuple(shape)}, expected (T, 21, 3).")
    if shape[0] < 1:
        raise ValueError(f"{where}there is no frame; expected at least one.")
    bad = np.logical_not(np.isfinite(keypoints).all(axis=(1, 2))).reshape(-1)
    if bad.any():
        raise ValueError(
            f"{where}{bad.sum()} of {len(bad)} frames hold NaN or infinite values, first frame {bad.argmax()}."
        )
    chain = keypoints[:, [WRIST, MIDDLE_MCP, MIDDLE_MCP + 1, MIDDLE_MCP + 2, MIDDLE_MCP + 3]]
    length = float(np.median(np.linalg.norm(np.diff(chain, axis=1), axis=-1).sum(-1)))
    low, high = _HAND_LENGTH_M
    if not low <= length <= high:
        unit = " The keypoints look like millimetres; divide by 1000." if 100 <= length <= 400 else ""
        raise ValueError(
            f"{where}the hand is {length:.4g} m long from wrist to middle fingertip, expected {low} to {high} m.{unit}"
        )


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """What n frames ask of the hand; each row is a function of its frame alone."""

    points: Float[Tensor, "n k 3"]
    """Where the hand's keypoints shall be in the world, m."""
    T_world_palm: Float[Tensor, "n 4 4"]
    """The human palm."""
    pinch_weight: Float[Tensor, "n p"]
    """For each finger but the thumb: 1 where it touches the thumb, 0 where it is far away; p = 0 without a thumb."""

    def __getitem__(self, index: Tensor) -> _Targets:
        return _Targets(
            points=self.points[index], T_world_palm=self.T_world_palm[index], pinch_weight=self.pinch_weight[index]
        )


def _targets(keypoints: Float[np.ndarray, "n 21 3"], hand: HandModel, config: RetargetingConfig) -> _Targets:
    """phi_dev of Eq. B1: the human bone directions with the robot's bone lengths, laid out from each fingertip."""
    indices = hand.keypoint_indices.tolist()
    slot = {index: i for i, index in enumerate(indices)}
    robot = hand.keypoints(hand.rest_qpos).numpy()
    points = np.array(keypoints)

    def lay_out(base: int, end: int) -> None:
        bone = keypoints[:, base] - keypoints[:, end]
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        robot_length = np.linalg.norm(robot[slot[base]] - robot[slot[end]])
        points[:, base] = points[:, end] + robot_length * bone / np.maximum(length, 1e-6)

    for tip in TIPS:
        chain = [index for index in range(tip, tip - 4, -1) if index in slot]
        for end, base in pairwise(chain):
            lay_out(base, end)
    if WRIST in slot and MIDDLE_MCP in slot:
        lay_out(WRIST, MIDDLE_MCP)

    tips = keypoints[:, [indices[i] for i in hand.fingertip_slots.tolist()]]
    gap = np.linalg.norm(tips[:, 1:] - tips[:, :1], axis=-1) if _has_thumb(hand) else np.zeros((len(points), 0))
    return _Targets(
        points=torch.from_numpy(points[:, indices]),
        T_world_palm=torch.from_numpy(palm_frame(keypoints)),
        pinch_weight=torch.from_numpy(np.exp(-((gap / config.pinch_distance) ** 2))),
    )


def _has_thumb(hand: HandModel) -> bool:
    return hand.fingers[0] == "thumb"


class _Objective:
    """Residuals of Eq. B1 and their Jacobian for n frames; the state is ``[T_world_palm row by row | q]``.

    The tangent is ``(v, omega, dq)`` with ``T exp(v, omega)``: the palm moves in its own axes. All targets, points
    and directions alike, are brought into the palm frame and compared there, since the robot's side then does not
    depend on the palm pose: a point y moves by ``-v - omega × y``, a direction by ``-omega × y``. Rest posture
    and smoothness both pull each joint towards a value; the two are one term about their weighted mean.
    """

    def __init__(self, targets: _Targets, hand: HandModel, config: RetargetingConfig, anchor: Tensor | None = None):
        self.targets, self.hand, self.config, self.anchor = targets, hand, config, anchor
        n, nq = len(targets.points), len(hand.joint_names)
        self.points, self.weight = targets.points, _point_weights(hand, config)
        # Three axes at an angle have the distance sqrt(2) * 2 sin(angle / 2).
        self.axes, self.axes_weight = targets.T_world_palm[:, :3, :3], _axes_weight(config.palm_orientation_sigma)
        span = _span(hand)
        pull, self.q_pull = 1 / (config.rest_sigma * span) ** 2, hand.rest_qpos.expand(n, nq)
        if anchor is not None:
            near = 1 / (config.joint_step_sigma * span) ** 2
            self.q_pull = (pull * hand.rest_qpos + near * anchor[:, 16:]) / (pull + near)
            pull = pull + near
            T = anchor[:, :16].reshape(-1, 4, 4)
            self.points = torch.cat([self.points, T[:, None, :3, 3]], dim=1)
            self.weight = torch.cat([self.weight, torch.full((1, 1), 1 / config.palm_step_sigma)])
            self.axes = torch.cat([self.axes, T[:, :3, :3]], dim=2)
            self.axes_weight = torch.cat([self.axes_weight, _axes_weight(config.palm_turn_sigma)])
        self.q_weight = pull.sqrt()
        self.pinch_weight = targets.pinch_weight[..., None] * (config.fingertip_sigma / config.pinch_sigma)

        # One buffer for all evaluations: most of the Jacobian never changes. Rows: points, pinch, axes, joints.
        sizes = (3 * self.points.shape[1], 3 * self.pinch_weight.shape[1], 3 * self.axes.shape[2], nq)
        self.buffer = torch.zeros(n, sum(sizes), 6 + nq, dtype=torch.float64)
        J_points, self.J_pinch, J_axes, J_rest = self.buffer.split(sizes, dim=1)
        self.J_points = J_points.unflatten(1, (-1, 3))
        self.J_axes = J_axes.unflatten(1, (-1, 3))
        self.J_points[..., :3] = torch.eye(3, dtype=torch.float64) * self.weight[..., None]
        J_rest[..., 6:] = torch.diag(self.q_weight)

    def __call__(self, x: Tensor) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m t"]]:
        """Residuals and Jacobian; the latter is overwritten by the next call."""
        hand, tips, k = self.hand, self.hand.fingertip_slots, len(self.hand.keypoint_indices)
        T, q = x[:, :16].reshape(-1, 4, 4), x[:, 16:]
        R, t = T[:, :3, :3], T[:, None, :3, 3]

        p, J_q = hand.keypoints_and_jacobian(q)
        target = (self.points - t) @ R
        gap = -target  # the palm's own origin has p = 0
        gap[:, :k] += p
        gap = gap * self.weight
        self.J_points[..., 3:6] = _minus_hat(target * self.weight)
        torch.mul(J_q, self.weight[:k, :, None], out=self.J_points[:, :k, :, 6:])
        rows = [gap.flatten(1)]
        if self.pinch_weight.shape[1]:
            rows.append(((gap[:, tips[1:]] - gap[:, tips[:1]]) * self.pinch_weight).flatten(1))
            J_tips = self.J_points[:, tips]
            self.J_pinch.copy_(((J_tips[:, 1:] - J_tips[:, :1]) * self.pinch_weight[..., None]).flatten(1, 2))
        axes = self.axes.transpose(1, 2) @ R
        own = torch.eye(3, dtype=x.dtype).repeat(axes.shape[1] // 3, 1)
        rows.append(((own - axes) * self.axes_weight).flatten(1))
        self.J_axes[..., 3:6] = _minus_hat(axes * self.axes_weight)
        rows.append((q - self.q_pull) * self.q_weight)
        return torch.cat(rows, dim=1), self.buffer[..., 6:] if self.config.fixed_palm else self.buffer

    def retract(self, x: Tensor, delta: Tensor) -> Tensor:
        """Move states by tangent steps; rounding never carries a joint across its limit."""
        step = delta if self.config.fixed_palm else delta[:, 6:]
        q = torch.clamp(x[:, 16:] + step, self.hand.lower, self.hand.upper)
        if self.config.fixed_palm:
            return torch.cat([x[:, :16], q], dim=1)
        T = x[:, :16].reshape(-1, 4, 4) @ se3_exp(delta[:, :6])
        return torch.cat([T.flatten(1), q], dim=1)

    def room(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Steps that stay within joint limits; the palm is free."""
        lower, upper = self.hand.lower - x[:, 16:], self.hand.upper - x[:, 16:]
        if self.config.fixed_palm:
            return lower, upper
        free = torch.full((len(x), 6), torch.inf, dtype=x.dtype)
        return torch.cat([-free, lower], dim=1), torch.cat([free, upper], dim=1)


def _minimize(
    targets: _Targets, start: Tensor, hand: HandModel, config: RetargetingConfig, anchor: Tensor | None = None
) -> tuple[Float[Tensor, "n s"], Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Minima from given starts, their costs and their `Status`, in batches.

    A few frames need many iterations; they are finished among themselves instead of holding up all others.
    """
    x, cost = start.clone(), torch.full((len(start),), torch.inf, dtype=torch.float64)
    status = torch.full((len(start),), int(Status.MAX_ITERATIONS))
    # Answers of the first pass only start the second one.
    tolerance = config.cost_tolerance if anchor is not None else 100 * config.cost_tolerance
    todo, done, rounds = torch.arange(len(start)), 0, (6, 10, 20, config.max_iterations)
    for limit in rounds:
        limit = min(limit, config.max_iterations)
        if limit <= done or not len(todo):
            break
        for index in todo.split(_CHUNK):
            near = None if anchor is None else anchor[index]
            objective = _Objective(targets[index], hand, config, near)
            solution = minimize(
                objective,
                x[index],
                retract=objective.retract,
                room=objective.room,
                max_iterations=limit - done,
                cost_tolerance=tolerance,
                step_tolerance=1e-6,
            )
            x[index], cost[index], status[index] = solution.x, solution.cost, solution.status
        todo, done = (status == Status.MAX_ITERATIONS).nonzero()[:, 0], limit
    return x, cost, status


def _start(targets: _Targets, hand: HandModel, config: RetargetingConfig) -> Float[Tensor, "n s"]:
    """Each frame's start: the rest posture at the palm pose that is best for it.

    With the joints at rest the point and orientation terms have a closed minimum (Kabsch 1976), which is found from
    any distance; a local search from the human palm would end with a gripper's jaws crossed.
    """
    T = targets.T_world_palm.clone()
    if not config.fixed_palm:
        p = hand.keypoints(hand.rest_qpos)
        weight = _point_weights(hand, config) ** 2
        p_mean = (weight * p).sum(0) / weight.sum()
        mean = (weight * targets.points).sum(1) / weight.sum()
        spread = (targets.points - mean[:, None]).transpose(1, 2) @ (weight * (p - p_mean))
        R = _nearest_rotation(spread + T[:, :3, :3] / (2 * config.palm_orientation_sigma**2))
        T[:, :3, :3], T[:, :3, 3] = R, mean - R @ p_mean
    return torch.cat([T.flatten(1), hand.rest_qpos.expand(len(T), -1)], dim=1)


def _point_weights(hand: HandModel, config: RetargetingConfig) -> Float[Tensor, "k 1"]:
    """One over the standard deviation of each keypoint, 1/m."""
    sigma = torch.full((len(hand.keypoint_indices), 1), config.keypoint_sigma, dtype=torch.float64)
    sigma[hand.keypoint_indices == WRIST] = config.wrist_sigma
    sigma[hand.fingertip_slots] = config.fingertip_sigma
    return 1 / sigma


def _nearest_rotation(M: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 3 3"]:
    """The rotations R with the largest trace of ``R^T M``."""
    U, _, Vt = torch.linalg.svd(M)
    sign = torch.ones(len(M), 3, dtype=M.dtype)
    sign[:, 2] = torch.linalg.det(U @ Vt)
    return (U * sign[:, None]) @ Vt


def _neighbours(x: Float[Tensor, "n s"], starts: np.ndarray, lengths: Sequence[int]) -> Float[Tensor, "n s"]:
    """The weighted mean of each frame's neighbours, without itself and within its own sequence."""
    total, weights = torch.zeros_like(x), torch.zeros(len(x), 1, dtype=x.dtype)
    for start, length in zip(starts, lengths, strict=True):
        for offset, weight in _WINDOW.items():
            if length > offset:
                early, late = slice(start, start + length - offset), slice(start + offset, start + length)
                total[late] += weight * x[early]
                total[early] += weight * x[late]
                weights[late] += weight
                weights[early] += weight
    # A sequence of one frame has no neighbour and keeps its own answer.
    mean = torch.where(weights > 0, total / weights.clamp(min=1e-9), x)
    T = mean[:, :16].reshape(-1, 4, 4)
    T[:, :3, :3] = _nearest_rotation(T[:, :3, :3])
    return mean


def _span(hand: HandModel) -> Float[Tensor, " nq"]:
    """Range of each joint, rad or m; a full turn for joints without limits."""
    span = hand.upper - hand.lower
    return torch.where(span.isfinite(), span, 2 * torch.pi)


def _axes_weight(sigma: float) -> Float[Tensor, "3 1"]:
    return torch.full((3, 1), 1 / (2**0.5 * sigma), dtype=torch.float64)


_MINUS_HAT = torch.tensor(
    [[0, 0, 0, 0, 0, 1, 0, -1, 0], [0, 0, -1, 0, 0, 0, 1, 0, 0], [0, 1, 0, -1, 0, 0, 0, 0, 0]], dtype=torch.float64
)


def _minus_hat(y: Float[Tensor, "n k 3"]) -> Float[Tensor, "n k 3 3"]:
    """The matrices of ``omega -> omega × y``, in one product."""
    return (y @ _MINUS_HAT).unflatten(-1, (3, 3))
