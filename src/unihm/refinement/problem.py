"""One motion as a least-squares problem over corrections, in the object's frame (Eqs. 11-16)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unihm.contact_phases import contact_phase, lift_frame
from unihm.geometry.lie import hat, inverse, make_transform, so3_exp, so3_exp_and_left_jacobian
from unihm.geometry.signed_distance import CloudDistance
from unihm.hands.body_spheres import body_spheres
from unihm.hands.hand import HandModel
from unihm.optimization import residuals
from unihm.optimization.levenberg_marquardt import Solution, minimize
from unihm.refinement.config import RefinementConfig, StateSigma
from unihm.schema.motion import HandMotion

_FAR = 5e-3  # m: about the spacing of 1000 points on a hand-sized object; nearer, tangent planes are the finer
_PLANES = 4  # tangent planes that decide which side of the surface a point is on
_FADE = 6  # power of the contact phase that gates contacts; the contact's precision is hundreds of times the priors',
# so that with the phase itself as gate, tips would be on the surface as soon as the ramp begins
_ACTIVE = 0.01  # m: less than one search moves a point
_NEAR = 0.04  # m: points of the hand farther than this from object and table are left out of a frame


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchors:
    """Two fingertips and the opposed places of the object that they go to, for a batch of B tries."""

    fingers: Int[Tensor, "B 2"]
    """Indices of the fingers."""
    points: Float[Tensor, "B 2 3"]
    """The places in the object's frame, m."""
    normals: Float[Tensor, "B 2 3"]
    """Outward normals there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frozen:
    """What is held while the solver takes its steps (Algorithm 1, lines 5 and 6)."""

    selected: Int[Tensor, " k"]
    """Points of the hand that take part: fingertips first."""
    nearest: Float[Tensor, "B k 3"]
    """Their nearest points on the object, m."""
    normal: Float[Tensor, "B k 3"]
    """Directions away from the object."""
    gate: Float[Tensor, "B f"]
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
        self.T_world_object = torch.as_tensor(motion.T_world_object, dtype=torch.float64)
        self.T_world_palm = torch.as_tensor(motion.T_world_palm, dtype=torch.float64)
        self.T_object_palm = inverse(self.T_world_object) @ self.T_world_palm
        # Decoded joints may overshoot a limit by rounding or worse; the correction starts from inside.
        self.qpos = torch.as_tensor(motion.qpos, dtype=torch.float64).clamp(hand.lower, hand.upper)
        self.lift = min(lift_frame(motion.T_world_object), len(motion) - 1)
        given = motion.contact_phase
        self.phase = contact_phase(len(motion), self.lift) if given is None else np.asarray(given, dtype=float)

        links, centres, radii = body_spheres(hand)
        self.tips = len(hand.fingertip_links)
        if not config.keep_out:
            links, centres, radii = links[:0], centres[:0], radii[:0]
        self._links = torch.cat([hand.fingertip_links, links])
        self._points = torch.cat([hand.fingertip_points, centres])
        self.radius = torch.cat([hand.fingertip_radius, radii])
        self.margin = torch.full_like(self.radius, config.clearance)
        self.margin[: self.tips] = 0.0

        palm = torch.tensor([config.largest_shift] * 3 + [config.largest_turn] * 3, dtype=torch.float64)
        palm = palm.expand(len(motion), 6)
        self.lower = torch.cat([-palm, hand.lower - self.qpos], -1)
        self.upper = torch.cat([palm, hand.upper - self.qpos], -1)

    def sigma(self, sigma: StateSigma) -> Float[Tensor, " n"]:
        """Standard deviations of a correction's entries."""
        span = self.hand.upper - self.hand.lower
        span = torch.where(torch.isfinite(span), span, 2 * math.pi)
        palm = torch.tensor([sigma.palm] * 3 + [sigma.turn] * 3, dtype=torch.float64)
        return torch.cat([palm, sigma.joint * span])

    def points(
        self, frames: Int[Tensor, " B"], c: Float[Tensor, "B n"], selected: Int[Tensor, " k"] | None = None
    ) -> Float[Tensor, "B k 3"]:
        """Points of the hand in the object's frame, m."""
        T = self.hand.forward_kinematics(self.qpos[frames] + c[:, 6:])
        links = self._links if selected is None else self._links[selected]
        points = self._points if selected is None else self._points[selected]
        T = self.palm(frames, c)[:, None] @ T[:, links]
        return (T[..., :3, :3] @ points[:, :, None])[..., 0] + T[..., :3, 3]

    def palm(self, frames: Int[Tensor, " B"], c: Float[Tensor, "B n"]) -> Float[Tensor, "B 4 4"]:
        """Corrected palm in the object's frame."""
        return self.T_object_palm[frames] @ make_transform(so3_exp(c[:, 3:6]), c[:, :3])

    def points_and_jacobian(
        self, frames: Int[Tensor, " B"], c: Float[Tensor, "B n"], selected: Int[Tensor, " k"]
    ) -> tuple[Float[Tensor, "B k 3"], Float[Tensor, "B k 3 n"]]:
        """Points of the hand in the object's frame (m) and their derivative by the correction.

        With y = exp(omega) p in the generated palm frame, ``d y / d omega = -hat(y) V(omega)``, V being the
        left Jacobian of SO(3).
        """
        tree = self.hand.palm_tree
        T_palm_link = self.hand.forward_kinematics(self.qpos[frames] + c[:, 6:])
        p, J_q = tree.point_jacobian(T_palm_link, self._links[selected], self._points[selected])
        R, V = so3_exp_and_left_jacobian(c[:, 3:6])
        y = p @ R.transpose(-1, -2)
        R_object_palm, t = self.T_object_palm[frames, :3, :3], self.T_object_palm[frames, :3, 3]
        J_turn = -hat(y) @ V[:, None]
        J_shift = torch.eye(3, dtype=c.dtype).expand_as(J_turn)
        J = torch.cat([J_shift, J_turn, R[:, None] @ J_q], -1)
        points = (y + c[:, None, :3]) @ R_object_palm.transpose(-1, -2) + t[:, None]
        return points, R_object_palm[:, None] @ J

    def gaps(
        self, points: Float[Tensor, "B k 3"]
    ) -> tuple[Float[Tensor, "B k"], Float[Tensor, "B k 3"], Float[Tensor, "B k 3"]]:
        """Signed distance of points from the object (m), the nearest point and the direction away from it.

        Differs from the paper: a point beside the object may lie on the tangent plane of the nearest point, so
        that Eq. 11 calls it touching. Farther outside than the spacing of the cloud, distance and direction
        are those to the nearest point itself.
        """
        x = points.numpy()
        d, nearest, normal = self.distance.query(x, k=_PLANES)
        offset = x - nearest
        length = np.linalg.norm(offset, axis=-1)
        far = (length > _FAR) & (d > 0)
        normal = np.where(far[..., None], offset / np.maximum(length, 1e-12)[..., None], normal)
        d = np.where(far, length, d)
        return torch.from_numpy(d), torch.from_numpy(nearest), torch.from_numpy(normal)

    def heights(
        self, frames: Int[Tensor, " B"], points: Float[Tensor, "B k 3"]
    ) -> tuple[Float[Tensor, "B k"], Float[Tensor, "B 3"]]:
        """Height of points above the table (m), and the world's up in the object's frame."""
        up = self.T_world_object[frames, 2, :3]
        return (points @ up[..., None])[..., 0] + self.T_world_object[frames, 2, 3][:, None], up

    def near(self, corrections: Float[Tensor, "T n"]) -> Bool[np.ndarray, "T k"]:
        """Which points of the hand come near object or table, frame by frame; tips that shall touch do."""
        frames = torch.arange(len(corrections))
        points = self.points(frames, corrections)
        d, _, _ = self.gaps(points)
        height, _ = self.heights(frames, points)
        near = (torch.minimum(d, height) - self.radius < _NEAR).numpy()
        near[:, : self.tips] |= self.phase[:, None] > 0
        return near

    def minimize(
        self,
        frames: Int[Tensor, " B"],
        start: Float[Tensor, "B n"],
        prior: tuple[Float[Tensor, "B n"], Float[Tensor, " n"]],
        selected: Int[Tensor, " k"],
        anchors: Anchors | None,
        *,
        outer_iterations: int | None = None,
    ) -> tuple[Float[Tensor, "B n"], Solution, int]:
        """The loop of Algorithm 1 for a batch of frames: nearest points are frozen, the solver runs, and again.

        Args:
            frames: Which frame each element belongs to.
            start: First corrections.
            prior: Mean and sigma of all priors together.
            selected: Points of the hand that take part.
            anchors: Places to which two fingertips are bound, per element.
            outer_iterations: Most searches for nearest points; the configuration's if not given.

        Returns:
            The corrections, the last solution, and the number of solver steps.
        """
        c, steps = start, 0
        lower, upper = self.lower[frames], self.upper[frames]
        for _ in range(outer_iterations or self.config.outer_iterations):
            frozen = self._freeze(frames, c, selected, anchors)
            solution = minimize(
                lambda x, frozen=frozen: self._residual(frames, x, prior, anchors, frozen),
                c,
                retract=lambda x, delta: torch.clamp(x + delta, lower, upper),
                room=lambda x: (lower - x, upper - x),
                max_iterations=self.config.inner_iterations,
                cost_tolerance=1e-4,
                step_tolerance=self.config.step_tolerance,
            )
            steps += int(solution.iterations.max())
            moved = float((solution.x - c).abs().max())
            c = solution.x
            if moved < self.config.step_tolerance:
                break
        return c, solution, steps

    def _freeze(self, frames: Tensor, c: Tensor, selected: Tensor, anchors: Anchors | None) -> _Frozen:
        points = self.points(frames, c, selected)
        d, nearest, normal = self.gaps(points)
        tips = selected[selected < self.tips]
        touching = d[:, : len(tips)] < self.config.reach
        if anchors is not None:
            touching |= (tips == anchors.fingers[..., None]).any(1)
        # What stays clear during the next few steps has no residual; leaving it out is most of the speed.
        height, _ = self.heights(frames, points)
        active = ((torch.minimum(d, height) - self.radius[selected]) < _ACTIVE).any(0)
        active[: len(tips)] = True
        return _Frozen(
            selected=selected[active],
            nearest=nearest[:, active],
            normal=normal[:, active],
            gate=touching * self._gate(frames),
        )

    def _gate(self, frames: Tensor) -> Float[Tensor, "B 1"]:
        return torch.from_numpy(self.phase[frames.numpy()] ** _FADE)[:, None]

    def _residual(
        self,
        frames: Tensor,
        c: Tensor,
        prior: tuple[Tensor, Tensor],
        anchors: Anchors | None,
        frozen: _Frozen,
    ) -> tuple[Tensor, Tensor]:
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

    def _slip(self, frames: Tensor, points: Tensor, J: Tensor, anchors: Anchors) -> tuple[Tensor, Tensor]:
        """Sliding of the anchored tips along the surface: the offset without its normal part."""
        row = torch.arange(len(points))[:, None]
        n = anchors.normals
        along = torch.eye(3, dtype=n.dtype) - n[..., :, None] * n[..., None, :]
        along = along * (self._gate(frames).sqrt() / self.config.sigma_slip)[..., None, None]
        offset = points[row, anchors.fingers] - anchors.points
        r = (along @ offset[..., None])[..., 0]
        return r.flatten(-2), (along @ J[row, anchors.fingers]).flatten(-3, -2)


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
