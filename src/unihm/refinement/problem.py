"""One motion as a least-squares problem over corrections, in the object's frame (Eqs. 11-16)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unihm.contact_phases import contact_phase, lift_frame
from unihm.geometry.signed_distance import CloudDistance
from unihm.hands.body_spheres import body_spheres
from unihm.hands.hand import HandModel
from unihm.optimization import residuals
from unihm.optimization.levenberg_marquardt import Solution, minimize
from unihm.refinement.config import FAR, PLANES, Effort, RefinementConfig, StateSigma
from unihm.schema.motion import HandMotion

_FADE = 6  # power of the contact phase that gates contacts; the contact's precision is hundreds of times the priors',
# so that with the phase itself as gate, tips would be on the surface as soon as the ramp begins
_ACTIVE = 0.01  # m: less than one search moves a point
_NEAR = 0.025  # m: points of the hand farther than this from object and table are left out of a frame


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchors:
    """Two fingertips and the opposed places of the object that they go to, for a batch of B tries."""

    fingers: Int[np.ndarray, "B 2"]
    """Indices of the fingers."""
    points: Float[np.ndarray, "B 2 3"]
    """The places in the object's frame, m."""
    normals: Float[np.ndarray, "B 2 3"]
    """Outward normals there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frozen:
    """What is held while the solver takes its steps (Algorithm 1, lines 5 and 6)."""

    selected: Int[np.ndarray, " k"]
    """Points of the hand that take part: fingertips first."""
    nearest: Float[np.ndarray, "B k 3"]
    """Their nearest points on the object, m."""
    normal: Float[np.ndarray, "B k 3"]
    """Directions away from the object."""
    gate: Float[np.ndarray, "B f"]
    """Weights of the fingertips' contacts."""


class RefinementProblem:
    """A motion, its hand and its object, made ready.

    Points of the hand are the f fingertips' pads followed by the spheres of its body. A correction is
    ``c = (v, omega, dq)`` with ``T_palm = T_gen [exp(omega), v]`` and ``q = q_gen + dq``.
    """

    def __init__(self, motion: HandMotion, hand: HandModel, config: RefinementConfig):
        """Check the motion and place everything in the object's frame."""
        _check(motion, hand)
        assert motion.T_world_object is not None
        assert motion.object_points is not None
        assert motion.object_normals is not None
        self.hand, self.config = hand, config
        self.distance = CloudDistance(motion.object_points, motion.object_normals)
        self.T_world_object = motion.T_world_object.astype(np.float64)
        self.T_world_palm = motion.T_world_palm.astype(np.float64)
        self.T_object_palm = np.linalg.inv(self.T_world_object) @ self.T_world_palm
        lower, upper = hand.lower.numpy(), hand.upper.numpy()
        # Decoded joints may overshoot a limit by rounding or worse; the correction starts from inside.
        self.qpos = np.clip(motion.qpos.astype(np.float64), lower, upper)
        self.lift = min(lift_frame(motion.T_world_object), len(motion) - 1)
        given = motion.contact_phase
        self.phase = contact_phase(len(motion), self.lift) if given is None else given.astype(np.float64)

        self.tips = len(hand.fingertip_links)
        self._links, self._points, self.radius = hand.fingertip_links, hand.fingertip_points, hand.fingertip_radius
        if config.keep_out:
            links, centres, radii = body_spheres(hand)
            self._links = torch.cat([self._links, links])
            self._points = torch.cat([self._points, centres])
            self.radius = torch.cat([self.radius, radii])
        self.radius = self.radius.numpy()
        self.margin = np.full_like(self.radius, config.clearance)
        self.margin[torch.isin(self._links, hand.fingertip_links).numpy()] = 0.0  # they shall touch

        palm = np.repeat([config.largest_shift, config.largest_turn], 3)
        palm = np.broadcast_to(palm, (len(motion), 6))
        self.lower = np.concatenate([-palm, lower - self.qpos], -1)
        self.upper = np.concatenate([palm, upper - self.qpos], -1)

    def __len__(self) -> int:
        return len(self.qpos)

    def sigma(self, sigma: StateSigma) -> Float[np.ndarray, " n"]:
        """Standard deviations of a correction's entries."""
        span = (self.hand.upper - self.hand.lower).numpy()
        span = np.where(np.isfinite(span), span, 2 * math.pi)
        return np.concatenate([np.repeat([sigma.palm, sigma.turn], 3), sigma.joint * span])

    def points(
        self, frames: Int[np.ndarray, " B"], c: Float[np.ndarray, "B n"], selected: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, "B k 3"]:
        """Points of the hand in the object's frame, m."""
        T_palm_link = self.hand.forward_kinematics(torch.from_numpy(self.qpos[frames] + c[:, 6:]))
        T = self.palm(frames, c)[:, None] @ T_palm_link[:, self._links[selected]].numpy()
        return (T[..., :3, :3] @ self._points[selected, :, None].numpy())[..., 0] + T[..., :3, 3]

    def palm(self, frames: Int[np.ndarray, " B"], c: Float[np.ndarray, "B n"]) -> Float[np.ndarray, "B 4 4"]:
        """Corrected palm in the object's frame."""
        T = np.zeros((len(c), 4, 4))
        T[:, :3, :3], _ = _exp_and_left_jacobian(c[:, 3:6])
        T[:, :3, 3] = c[:, :3]
        T[:, 3, 3] = 1
        return self.T_object_palm[frames] @ T

    def points_and_jacobian(
        self, frames: Int[np.ndarray, " B"], c: Float[np.ndarray, "B n"], selected: Int[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, "B k 3"], Float[np.ndarray, "B k 3 n"]]:
        """Points of the hand in the object's frame (m) and their derivative by the correction.

        With y = exp(omega) p in the generated palm frame, ``d y / d omega = -hat(y) V(omega)``, V being the
        left Jacobian of SO(3).
        """
        T_palm_link = self.hand.forward_kinematics(torch.from_numpy(self.qpos[frames] + c[:, 6:]))
        p, J_q = self.hand.palm_tree.point_jacobian(T_palm_link, self._links[selected], self._points[selected])
        R, V = _exp_and_left_jacobian(c[:, 3:6])
        y = p.numpy() @ R.swapaxes(-1, -2)
        R_object_palm, t = self.T_object_palm[frames, :3, :3], self.T_object_palm[frames, :3, 3]
        J = np.empty((*y.shape, c.shape[-1]))
        J[..., :3] = R_object_palm[:, None]
        J[..., 3:6] = R_object_palm[:, None] @ -_hat(y) @ V[:, None]
        J[..., 6:] = (R_object_palm @ R)[:, None] @ J_q.numpy()
        return (y + c[:, None, :3]) @ R_object_palm.swapaxes(-1, -2) + t[:, None], J

    def gaps(
        self, points: Float[np.ndarray, "B k 3"]
    ) -> tuple[Float[np.ndarray, "B k"], Float[np.ndarray, "B k 3"], Float[np.ndarray, "B k 3"]]:
        """Signed distance of points from the object (m), the nearest point and the direction away from it.

        Differs from the paper: a point beside the object may lie on the tangent plane of the nearest point, so
        that Eq. 11 calls it touching. Farther outside than the spacing of the cloud, distance and direction
        are those to the nearest point itself.
        """
        d, nearest, normal = self.distance.query(points, k=PLANES)
        offset = points - nearest
        length = np.sqrt((offset * offset).sum(-1))
        far = (length > FAR) & (d > 0)
        normal = np.where(far[..., None], offset / np.maximum(length, 1e-12)[..., None], normal)
        return np.where(far, length, d), nearest, normal

    def heights(
        self, frames: Int[np.ndarray, " B"], points: Float[np.ndarray, "B k 3"]
    ) -> tuple[Float[np.ndarray, "B k"], Float[np.ndarray, "B 3"]]:
        """Height of points above the table (m), and the world's up in the object's frame."""
        up = self.T_world_object[frames, 2, :3]
        return (points @ up[..., None])[..., 0] + self.T_world_object[frames, 2, 3][:, None], up

    def near(self, corrections: Float[np.ndarray, "T n"]) -> Bool[np.ndarray, "T k"]:
        """Which points of the hand come near object or table, frame by frame; tips that shall touch do."""
        frames = np.arange(len(self))
        points = self.points(frames, corrections, np.arange(len(self.radius)))
        d, _, _ = self.gaps(points)
        height, _ = self.heights(frames, points)
        near = np.minimum(d, height) - self.radius < _NEAR
        near[:, : self.tips] |= self.phase[:, None] > 0
        return near

    def minimize(
        self,
        frames: Int[np.ndarray, " B"],
        start: Float[np.ndarray, "B n"],
        prior: tuple[Float[np.ndarray, "#B n"], Float[np.ndarray, " n"]],
        selected: Int[np.ndarray, " k"],
        anchors: Anchors | None,
        *,
        effort: Effort | None = None,
    ) -> tuple[Float[np.ndarray, "B n"], Solution, int]:
        """The loop of Algorithm 1 for a batch of frames: nearest points are frozen, the solver runs, and again.

        Args:
            frames: Which frame each element belongs to.
            start: First corrections.
            prior: Mean and sigma of all priors together.
            selected: Points of the hand that take part.
            anchors: Places to which two fingertips are bound, per element.
            effort: How long to search; the configuration's if not given.

        Returns:
            The corrections, the last solution, and the number of solver steps.
        """
        effort = effort or Effort(
            outer_iterations=self.config.outer_iterations,
            inner_iterations=self.config.inner_iterations,
            cost_tolerance=self.config.cost_tolerance,
        )
        c, steps = start, 0
        for _ in range(effort.outer_iterations):
            frozen = self._freeze(frames, c, selected, anchors)
            solution = minimize_in_box(
                lambda x, frozen=frozen: self._residual(frames, x, prior, anchors, frozen),
                c,
                self.lower[frames],
                self.upper[frames],
                max_iterations=effort.inner_iterations,
                cost_tolerance=effort.cost_tolerance,
            )
            steps += int(solution.iterations.max())
            x = solution.x.numpy()
            moved = np.abs((x - c) / prior[1]).max()
            c = x
            if moved < self.config.step_tolerance:
                break
        return c, solution, steps

    def _freeze(self, frames: np.ndarray, c: np.ndarray, selected: np.ndarray, anchors: Anchors | None) -> _Frozen:
        points = self.points(frames, c, selected)
        d, nearest, normal = self.gaps(points)
        tips = selected[selected < self.tips]
        touching = d[:, : len(tips)] < self.config.reach
        if anchors is not None:
            touching |= (tips == anchors.fingers[..., None]).any(1)
        # What stays clear during the next few steps has no residual; leaving it out is most of the speed.
        height, _ = self.heights(frames, points)
        active = np.any(np.minimum(d, height) - self.radius[selected] < _ACTIVE, axis=0)
        active[: len(tips)] = True
        return _Frozen(
            selected=selected[active],
            nearest=nearest[:, active],
            normal=normal[:, active],
            gate=touching * self._gate(frames),
        )

    def _gate(self, frames: np.ndarray) -> Float[np.ndarray, "B 1"]:
        return self.phase[frames, None] ** _FADE

    def _residual(
        self,
        frames: np.ndarray,
        c: np.ndarray,
        prior: tuple[np.ndarray, np.ndarray],
        anchors: Anchors | None,
        frozen: _Frozen,
    ) -> tuple[np.ndarray, np.ndarray]:
        config, selected, normal, gate = self.config, frozen.selected, frozen.normal, frozen.gate
        points, J = self.points_and_jacobian(frames, c, selected)
        radius, margin = self.radius[selected], self.margin[selected]
        d = ((points - frozen.nearest) * normal).sum(-1) - radius
        J_d = (normal[..., None, :] @ J)[..., 0, :]
        height, up = self.heights(frames, points)
        J_height = (up[:, None, None] @ J)[..., 0, :]
        k = gate.shape[-1]
        blocks = [
            residuals.prior_residual(c, *prior),
            residuals.contact_residual(d[:, :k], J_d[:, :k], gate, config.sigma_contact, 1 / config.inside_scale),
            residuals.clearance_residual(d - margin, J_d, config.sigma_clearance),
            residuals.clearance_residual(height - radius - margin, J_height, config.sigma_clearance),
        ]
        if anchors is not None:
            blocks.append(self._slip(frames, points, J, anchors))
        return residuals.stack(*blocks)

    def _slip(
        self, frames: np.ndarray, points: np.ndarray, J: np.ndarray, anchors: Anchors
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sliding of the anchored tips along the surface: the offset without its normal part."""
        row = np.arange(len(points))[:, None]
        n = anchors.normals
        along = np.eye(3) - n[..., :, None] * n[..., None, :]
        along = along * (np.sqrt(self._gate(frames)) / self.config.sigma_slip)[..., None, None]
        offset = points[row, anchors.fingers] - anchors.points
        r = (along @ offset[..., None])[..., 0]
        J = along @ J[row, anchors.fingers]
        return r.reshape(len(r), -1), J.reshape(len(r), r[0].size, -1)


def minimize_in_box(
    residual_and_jacobian: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: Float[np.ndarray, "B n"],
    lower: Float[np.ndarray, "B n"],
    upper: Float[np.ndarray, "B n"],
    **options: Any,
) -> Solution:
    """The solver for vectors between bounds, with NumPy residuals."""
    low, high = torch.from_numpy(lower), torch.from_numpy(upper)

    def function(x: Tensor) -> tuple[Tensor, Tensor]:
        r, J = residual_and_jacobian(x.numpy())
        return torch.from_numpy(r), torch.from_numpy(J)

    return minimize(
        function,
        torch.from_numpy(start),
        retract=lambda x, delta: torch.clamp(x + delta, low, high),
        room=lambda x: (low - x, high - x),
        **options,
    )


def _exp_and_left_jacobian(
    omega: Float[np.ndarray, "B 3"],
) -> tuple[Float[np.ndarray, "B 3 3"], Float[np.ndarray, "B 3 3"]]:
    """``R = exp(omega)`` and V with ``exp(omega + d) = exp(V d) R``; `geometry.lie` in NumPy, for speed."""
    angle = np.sqrt((omega * omega).sum(-1))[:, None, None]
    a = np.sinc(angle / np.pi)
    b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    small = angle < 0.03
    squared = np.where(small, 1.0, angle) ** 2
    c = np.where(small, 1 / 6 - angle**2 / 120, (1 - a) / squared)
    W = _hat(omega)
    WW = W @ W
    return np.eye(3) + a * W + b * WW, np.eye(3) + b * W + c * WW


def _hat(omega: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    W = np.zeros((*omega.shape, 3))
    x, y, z = omega[..., 0], omega[..., 1], omega[..., 2]
    W[..., 0, 1], W[..., 0, 2], W[..., 1, 2] = -z, y, -x
    W[..., 1, 0], W[..., 2, 0], W[..., 2, 1] = z, -y, x
    return W


def _check(motion: HandMotion, hand: HandModel) -> None:
    if motion.hand != hand.name or motion.joint_names != hand.joint_names:
        raise ValueError(f"The motion is one of the hand '{motion.hand}', expected '{hand.name}' and its joints.")
    if motion.T_world_object is None or motion.object_points is None or motion.object_normals is None:
        raise ValueError("The motion has no object path or no object cloud; refinement needs both.")
    if len(motion) == 0:
        raise ValueError("The motion has no frames.")
    for name in ("qpos", "T_world_palm", "T_world_object", "object_points", "object_normals", "contact_phase"):
        value = getattr(motion, name)
        if value is not None and not np.isfinite(value).all():
            raise ValueError(f"The motion's {name} holds NaN or infinite values.")
