"""A motion beside its object: when the object leaves its rest, when the hand has it, and what the object weighs."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import ConvexHull, KDTree, QhullError

from unihm.contact_phases import contact_phase, lift_frame
from unihm.hands.description import HandDescription
from unihm.refinement.body import PALM
from unihm.refinement.config import RefinementConfig
from unihm.refinement.frame import Scene
from unihm.refinement.workspace import Workspace
from unihm.schema.motion import HandMotion

GRAVITY = 9.81  # m/s^2
LIFTED = 0.03  # m: there the hand has closed; the last frame at rest catches half-closed ones (FACTS 8)
LEAST_POINTS = 20  # fewer are not a shape
_PAD_RADIUS = 8e-3  # m, of the part of the surface that a pad touches
_OPEN = 0.1  # length of the mean normal, from which on a cloud does not close
_THIN = 0.25  # of the radius: a solid whose surface faces away from its middle by less, on average, is a shell
_FLAT = 0.95  # length of the mean normal there: a can of 7 cm across is flat enough, an edge is not
_PUSH = 3.0  # m/s^2 in every direction that a grasp must bear while it is carried
_COMING, _STEPS = 8, 12  # steps from the rest posture to the first frame, and most iterations of each
_PART = 0.5  # kg whose weight a drawer, a door or a lid resists about as much as
_LIGHTEST, _HEAVIEST = 0.03, 1.0  # kg that are assumed of any object


class Segment(Workspace):
    """A motion of a hand with an object."""

    def __init__(self, motion: HandMotion, hand: HandDescription, config: RefinementConfig):
        """Check the motion.

        Raises:
            ValueError: The motion is another hand's, has no object, holds numbers that are not finite, or its cloud is
                too small to be one.
        """
        check(motion, hand)
        assert motion.T_world_object is not None
        assert motion.object_points is not None
        assert motion.object_normals is not None
        super().__init__(hand, motion.object_points, motion.object_normals, config)
        self.motion = motion
        self.T_world_object = motion.T_world_object.astype(np.float64)
        self.T_object_palm = np.linalg.inv(self.T_world_object) @ motion.T_world_palm.astype(np.float64)
        columns = [motion.joint_names.index(name) for name in hand.joint_names]
        # Decoded joints may overshoot a limit by rounding or worse; the correction starts from inside.
        self.qpos = np.clip(motion.qpos[:, columns].astype(np.float64), hand.chain.lower, hand.chain.upper)
        self.lift = min(lift_frame(self.T_world_object), len(motion) - 1)
        given = motion.contact_phase
        self.phase = contact_phase(len(motion), self.lift) if given is None else given.astype(np.float64)
        self.rest = max(self.lift - 1, 0)
        held = np.flatnonzero(self.phase >= 1)
        last = int(held[-1]) if len(held) else len(motion) - 1
        self.release = last if last < len(motion) - 1 else None
        """Frame after which the hand lets go of the object, where the phase falls again."""
        T = self.T_world_object[self.rest]
        self.table = float((self.points @ T[2, :3] + T[2, 3]).min())

    def __len__(self) -> int:
        return len(self.qpos)

    @property
    def T_rest(self) -> Float[np.ndarray, "4 4"]:
        """The object at rest, in the world."""
        return self.T_world_object[self.rest]

    def floor(
        self, T_world_object: Float[np.ndarray, "T 4 4"]
    ) -> tuple[Float[np.ndarray, "T 3"], Float[np.ndarray, " T"]]:
        """The plane that the hand keeps off while the object is there: its normal in the object's frame, and the height
        of the object's origin over it, m. That is the table, or what a handle is on.
        """
        panel = self.motion.panel_object
        if panel is None:
            return T_world_object[:, 2, :3], T_world_object[:, 2, 3] - self.table
        return np.tile(panel[:3], (len(T_world_object), 1)), np.full(len(T_world_object), -panel[3])

    @property
    def off_floor(self) -> Float[np.ndarray, " 3"]:
        """Normal of that plane while the object rests, in the object's frame."""
        return self.floor(self.T_rest[None])[0][0]

    @property
    def up(self) -> Float[np.ndarray, " 3"]:
        """The world's up in the resting object's frame."""
        return self.T_rest[2, :3]

    def at_rest(
        self, T_object_palm: Float[np.ndarray, "T 4 4"], qpos: Float[np.ndarray, "T nq"], *, joint_margin: float = 0.0
    ) -> Scene:
        """`scene` beside the resting object."""
        up, height = self.floor(np.tile(self.T_rest, (len(qpos), 1, 1)))
        return self.scene(T_object_palm, qpos, up, height, joint_margin=joint_margin)

    @cached_property
    def untangled(self) -> Float[np.ndarray, "T nq"]:
        """The given joints with fingers beside each other that are in each other, in the order that they have at rest.

        Robots' fingers may be twice as thick as human ones and then reach the same places only through one another.
        What is pushed apart just where it is may come out on the wrong side, and bars the way of the others for good.
        So the fingers come from the rest posture, where they are apart, and each frame from the one before.
        """
        if not self.config.keep_apart or not len(self.body.pair_u):
            return self.qpos
        terms = self.terms(contact=0.0, pad=0.0, clearance=0.0, table=0.0)
        scene = self.at_rest(self.T_object_palm, self.qpos)
        scene.low[:, :PALM] = scene.high[:, :PALM] = 0.0
        precision, zero = self.sigma(self.config.untangled) ** -2, np.zeros(self.n)
        if not any(self.energy(scene, t, zero, terms) for t in range(len(self))):
            return self.qpos
        found, q = self.qpos.copy(), np.clip(self.hand.rest_qpos.astype(np.float64), scene.lower, scene.upper)
        for share in np.linspace(0, 1, _COMING + 1)[1:-1]:
            c, mean = zero.copy(), zero.copy()
            c[PALM:], mean[PALM:] = q - self.qpos[0], (1 - share) * (self.hand.rest_qpos - self.qpos[0])
            self.minimize(scene, 0, c, mean, precision, terms, _STEPS, 1e-2)
            q = self.placed(scene, 0, c)[1]
        for t, given in enumerate(self.qpos):
            c = zero.copy()
            c[PALM:] = q - given
            self.minimize(scene, t, c, zero, precision, terms, _STEPS, 1e-2)
            found[t] = q = self.placed(scene, t, c)[1]
        return found

    @cached_property
    def grasp_frame(self) -> int:
        """The frame whose grasp is taken: the object is 3 cm off its rest, or as far as it comes."""
        away = np.linalg.norm(self.T_world_object[:, :3, 3] - self.T_rest[:3, 3], axis=1)
        away[: self.lift] = 0.0
        far = np.flatnonzero(away >= LIFTED)
        return int(far[0]) if len(far) else int(away.argmax())

    @cached_property
    def centre(self) -> Float[np.ndarray, " 3"]:
        """Assumed centre of mass, in the object's frame, m.

        Of a cloud all around, that of the solid it bounds, by the divergence theorem; its points stand for equal areas.
        Of a thin shell, that of its surface; of a cloud that does not close, that of its convex hull.
        """
        hull = self._hull[0]
        x, n = self.points - hull, self.normals
        volume = (x * n).sum() / 3
        if np.linalg.norm(n.mean(axis=0)) > _OPEN or volume <= 0:
            return hull
        if 3 * volume < _THIN * np.sqrt((x * x).sum(axis=1)).sum():
            return self.points.mean(axis=0)
        return hull + np.clip((0.5 * x * x * n).sum(axis=0) / volume, x.min(axis=0), x.max(axis=0))

    @cached_property
    def mass(self) -> float:
        """Assumed mass, kg; of a handle what moves its part."""
        if self.motion.panel_object is not None:
            return _PART
        return float(np.clip(self.config.density * self._hull[1], _LIGHTEST, _HEAVIEST))

    @cached_property
    def loads(self) -> Float[np.ndarray, "m 6"]:
        """Assumed weight as the object is turned on its way, and with pushes while it stands upright; N and Nm."""
        frames = np.linspace(self.lift, len(self) - 1, 4).astype(int)
        weight = -GRAVITY * self.mass * self.T_world_object[frames, 2, :3]
        push = _PUSH * self.mass * np.concatenate([np.eye(3), -np.eye(3)])
        force = np.concatenate([weight, weight[0] + push])
        return np.concatenate([force, np.zeros_like(force)], axis=1)

    @cached_property
    def size(self) -> float:
        """Root of the mean squared distance of the surface from the centre, m."""
        return float(np.sqrt(((self.points - self.centre) ** 2).sum(axis=1).mean()))

    def flat(self, members: Int[np.ndarray, " k"]) -> Bool[np.ndarray, " k"]:
        """Which points of the cloud lie on a face as large as a pad, not at an edge."""
        a, b = self._tree.query_pairs(_PAD_RADIUS, output_type="ndarray").T
        mean = self.normals.copy()  # of each point and those around it
        for axis in range(3):
            mean[:, axis] += np.bincount(a, self.normals[b, axis], len(mean))
            mean[:, axis] += np.bincount(b, self.normals[a, axis], len(mean))
        around = 1 + np.bincount(a, minlength=len(mean)) + np.bincount(b, minlength=len(mean))
        return np.linalg.norm(mean[members], axis=1) / around[members] > _FLAT

    def around(self, places: Float[np.ndarray, "k 3"]) -> list[Float[np.ndarray, "_ 3"]]:
        """Normals of the object within a pad's radius of some places; there may be none."""
        return [self.normals[group] for group in self._tree.query_ball_point(places, _PAD_RADIUS)]

    @cached_property
    def _tree(self) -> KDTree:
        return KDTree(self.points)

    @cached_property
    def _hull(self) -> tuple[np.ndarray, float]:
        """Centre (m) and volume (m^3) of the cloud's hull; a flat cloud has none."""
        try:
            hull = ConvexHull(self.points)
        except QhullError:
            return self.points.mean(axis=0), 0.0
        inside = self.points[hull.vertices].mean(axis=0)
        corners = self.points[hull.simplices] - inside
        volume = np.abs(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6
        return inside + (volume[:, None] * corners.sum(axis=1) / 4).sum(axis=0) / volume.sum(), float(volume.sum())


def check(motion: HandMotion, hand: HandDescription) -> None:
    """Whether a motion can be refined.

    Raises:
        ValueError: The motion is another hand's, has no object, or holds numbers that are not finite.
    """
    if motion.hand != hand.name or sorted(motion.joint_names) != sorted(hand.joint_names):
        raise ValueError(f"The motion is one of the hand '{motion.hand}', expected '{hand.name}' and its joints.")
    if motion.T_world_object is None or motion.object_points is None or motion.object_normals is None:
        raise ValueError("The motion has no object path or no object cloud; refinement needs both.")
    if len(motion) == 0:
        raise ValueError("The motion has no frames.")
    if len(motion.object_points) < LEAST_POINTS:
        raise ValueError(
            f"The object cloud has {len(motion.object_points)} points, expected at least {LEAST_POINTS}: nobody can "
            "say where its surface is."
        )
    for name in (
        "qpos",
        "T_world_palm",
        "T_world_object",
        "object_points",
        "object_normals",
        "panel_object",
        "contact_phase",
    ):
        value = getattr(motion, name)
        if value is not None and not np.isfinite(value).all():
            raise ValueError(f"The motion's {name} holds NaN or infinite values.")
