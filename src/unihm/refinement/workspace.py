"""A hand beside an object, made ready for the compiled energies, and what a correction of the hand makes of both."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from jaxtyping import Float

from unihm.geometry.point_cloud import noise_of, smoothed
from unihm.hands.description import HandDescription
from unihm.refinement.body import PALM, Body, Pose, coarse_body, make_body, make_pose, place
from unihm.refinement.config import RefinementConfig, StateSigma
from unihm.refinement.frame import Scene, System, Terms, deepest, energy, make_system, minimize
from unihm.refinement.surface_grid import SurfaceGrid, make_grid

_NOISY = 0.6e-3  # m: clouds of meshes, edges and all, are taken to have at most 0.4 mm
_SMOOTH = 2.5  # times the noise is how wide it is smoothed


def smoothed_if_noisy(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 3"], float]:
    """The cloud that is refined on, m, and the noise that the given one has, m."""
    noise = noise_of(points, normals)
    return (smoothed(points, normals, _SMOOTH * noise) if noise > _NOISY else points), noise


class Workspace:
    """A hand beside an object.

    A correction is ``c = (v, omega, dq)`` with ``T_palm = T_given [exp(omega), v]`` and ``q = q_given + dq``. All is in
    the object's frame. Not for several threads: `pose` and `system` are scratch memory.
    """

    def __init__(
        self,
        hand: HandDescription,
        points: Float[np.ndarray, "n 3"],
        normals: Float[np.ndarray, "n 3"],
        config: RefinementConfig,
    ):
        """Sort the cloud and prepare the hand.

        Args:
            hand: The hand.
            points: Of the object's surface, m.
            normals: Outward unit normals.
            config: Strength of the terms.

        Raises:
            ValueError: The cloud is too small, or holds numbers that are not finite.
        """
        self.hand, self.config = hand, config
        self.points, self.normals = points.astype(np.float64), normals.astype(np.float64)
        smooth, self.noise = smoothed_if_noisy(self.points, self.normals)
        if config.smooth:
            self.points = smooth
        self.grid: SurfaceGrid = make_grid(self.points, self.normals, config.grid_reach)
        self.body: Body = make_body(hand, config.clearance)
        self.coarse: Body = coarse_body(hand, config.clearance)
        self.pose: Pose = make_pose(self.body)
        self.system: System = make_system(self.n)

    @property
    def n(self) -> int:
        """Unknowns of a correction."""
        return PALM + len(self.hand.joint_names)

    @cached_property
    def span(self) -> Float[np.ndarray, " nq"]:
        """Range of each joint, rad or m; a turn where it has none."""
        span = self.hand.chain.upper - self.hand.chain.lower
        return np.where(np.isfinite(span), span, 2 * math.pi)

    def sigma(self, sigma: StateSigma) -> Float[np.ndarray, " n"]:
        """Standard deviations of a correction's entries."""
        return np.concatenate([np.repeat([sigma.palm, sigma.turn], 3), sigma.joint * self.span])

    def terms(self, **changes: float) -> Terms:
        """Weights of the config, some of them changed."""
        config = self.config
        clear = config.sigma_clearance**-2
        weights = {
            "contact": config.sigma_contact**-2,
            "inside": 1 / config.inside_scale,
            "pad": config.sigma_pad**-2,
            "clearance": clear if config.keep_out else 0.0,
            "table": clear if config.keep_off_table else 0.0,
            "above": config.table_clearance,
            "apart": clear if config.keep_apart else 0.0,
            "slip": 0.0,
            "reach": config.reach,
        }
        return Terms(**{**weights, **changes})

    def scene(
        self,
        T_object_palm: Float[np.ndarray, "T 4 4"],
        qpos: Float[np.ndarray, "T nq"],
        up: Float[np.ndarray, "T 3"],
        height: Float[np.ndarray, " T"],
        *,
        joint_margin: float = 0.0,
    ) -> Scene:
        """The arrays of some frames, without contacts.

        Args:
            T_object_palm: Palm from which corrections are counted.
            qpos: Joints from which they are counted.
            up: The world's up in the object's frame.
            height: Of the object's origin above the table, m.
            joint_margin: Share of its range by which each joint keeps from its limits, where it is not beyond.
        """
        T = len(qpos)
        lower, upper = (limit.astype(np.float64) for limit in (self.hand.chain.lower, self.hand.chain.upper))
        palm = np.tile(np.repeat([self.config.largest_shift, self.config.largest_turn], 3), (T, 1))
        room = joint_margin * self.span
        return Scene(
            R=np.ascontiguousarray(T_object_palm[:, :3, :3]),
            t=np.ascontiguousarray(T_object_palm[:, :3, 3]),
            q=np.array(qpos, dtype=np.float64),
            up=np.array(up, dtype=np.float64),
            height=np.array(height, dtype=np.float64),
            gate=np.zeros((T, self.body.tips)),
            lower=lower,
            upper=upper,
            low=np.concatenate([-palm, np.minimum(lower + room - qpos, 0.0)], axis=1),
            high=np.concatenate([palm, np.maximum(upper - room - qpos, 0.0)], axis=1),
            anchor=np.zeros((T, self.body.tips, 3)),
            anchored=np.zeros((T, self.body.tips)),
            extra=np.zeros(T),
        )

    def minimize(
        self,
        scene: Scene,
        frame: int,
        c: Float[np.ndarray, " n"],
        mean: Float[np.ndarray, " n"],
        precision: Float[np.ndarray, " n"],
        terms: Terms,
        iterations: int,
        tolerance: float = 1e-3,
        *,
        coarsely: bool = False,
    ) -> tuple[float, int, int]:
        """Search the least energy of a frame from c, which is overwritten; `coarsely` with fewer spheres.

        Returns:
            Energy, status (`frame.CONVERGED` and its like) and number of iterations.
        """
        body, pose, system, grid = self.coarse if coarsely else self.body, self.pose, self.system, self.grid
        return minimize(body, pose, system, grid, terms, scene, frame, c, mean, precision, iterations, tolerance)

    def energy(self, scene: Scene, frame: int, c: Float[np.ndarray, " n"], terms: Terms) -> float:
        """Energy of a frame without priors; `pose` then is that of the hand, with what its fingertips touch."""
        zero = np.zeros(self.n)
        H, g = self.system.H, self.system.g
        return energy(self.body, self.pose, self.grid, terms, scene, frame, c, zero, zero, False, H, g)

    def placed(
        self, scene: Scene, frame: int, c: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, " nq"]]:
        """Corrected palm in the object's frame and joints within their limits; `pose` then is that of the hand."""
        place(self.body, self.pose, scene.R[frame], scene.t[frame], scene.q[frame], c, scene.lower, scene.upper)
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = self.pose.R, self.pose.t
        return T, self.pose.q.copy()

    def depths(self, scene: Scene) -> Float[np.ndarray, " T"]:
        """How deep the hand is in the object in each frame, m."""
        zero = np.zeros(self.n)
        return np.array([deepest(self.body, self.pose, self.grid, scene, t, zero) for t in range(len(scene.q))])
