"""How to grasp: the pose of the hand at the object that all frames of the hold share.

Grasps are sought around the generated one: from itself, from two fingertips on opposed places of the object, from the
hand over the object's middle, and from random poses nearby. Each start is taken to the least of the frame's energy,
where fingertips touch and nothing pierces. Its forces, and what it does under the object's weight, then decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from unihm.geometry.antipodal import nearest_pairs, opposing_pairs
from unihm.geometry.point_cloud import farthest_point_indices
from unihm.refinement.forces import balanced_forces, contact_jacobian, joint_compliance, joint_effort
from unihm.refinement.frame import Scene
from unihm.refinement.segment import GRAVITY, Segment
from unihm.refinement.stability import Stability, stability

_TOUCH = 1.5e-3  # m
_SKETCH, _SEARCH = 8, 24  # iterations of all starts, and more of the best half
_POLISHED = 6  # of the best, with all spheres
_SURFACE_POINTS = 300  # of the cloud among which opposed places are searched
_LOWEST = 0.01  # m above the table: lower places cannot be reached by fingers that are about as thick
_CONES = (0.94, 0.8)  # cosines of the cones in which opposed places see each other
_SIGMA_PLACE = 2e-3  # m, while fingertips are first brought to their places
_SIGMA_STAY = 6e-3  # m, once everything else counts as well
_SHIFT, _TURN = 0.012, 0.17  # m, rad, standard deviations of random starts
_GRIPPER = 6  # times the usual number of opposed places
_USUAL, _MOST = 0.25, 2.0  # kg that the wanted squeeze is for, and most of it for others
_EXPECTED_FRICTION = 0.8
_CARRIES = 0.15  # of the strongest force: contacts with less are not missed
_FACING = -0.1  # cosine of the largest angle between normals of one contact: a thin plate's other side is another one
_SAME = (0.006, 0.1)  # m, rad between palms: about what a wrist and a camera err by


Anchors = tuple[tuple[int, np.ndarray], ...]
"""Fingertips and the places of the object at which they shall touch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grasp:
    """The hand on the object; all in the object's frame."""

    T_object_palm: Float[np.ndarray, "4 4"]
    """Palm, m."""
    qpos: Float[np.ndarray, " nq"]
    """Joints, rad or m."""
    tips: Int[np.ndarray, " k"]
    """Fingertips that touch."""
    places: Float[np.ndarray, "k 3"]
    """Where, m."""
    normals: Float[np.ndarray, "k 3"]
    """The object's outward normals there."""
    force: Float[np.ndarray, "k 3"]
    """With which they press on the object, N."""
    J: Float[np.ndarray, "k 3 nq"]
    """Movement of the contacts by the joints, m/rad or 1."""
    imbalance: float
    """See `Balance.imbalance`."""
    energy: float
    """Of the frame: how far from the generated pose, and what is violated."""
    stability: Stability
    """Under the object's weight."""
    start: str
    """Where the search began."""
    score: float
    """See `score`; higher is better."""


def find_grasps(segment: Segment, count: int = 1) -> list[Grasp]:
    """Grasps around the generated one, the best first; empty where no two fingertips come to touch.

    Args:
        segment: The motion.
        count: How many different ones are wanted; there may be fewer, or more.
    """
    g = segment.grasp_frame
    scene = segment.at_rest(
        segment.T_object_palm[g : g + 1], segment.untangled[g : g + 1], joint_margin=segment.config.joint_margin
    )
    scene.gate[:] = 1.0
    precision, zero = segment.sigma(segment.config.grasp) ** -2, np.zeros(segment.n)
    terms = segment.terms(slip=_SIGMA_STAY**-2)
    sketches = []
    for name, c, anchors in _starts(segment, scene):
        _anchor(scene, anchors)
        energy, _, _ = segment.minimize(scene, 0, c, zero, precision, terms, _SKETCH, 1e-2, coarsely=True)
        sketches.append((energy, name, c, anchors))
    sketches.sort(key=lambda item: item[0])
    found = []
    for _, name, c, anchors in sketches[: max(len(sketches) // 2, _POLISHED)]:
        _anchor(scene, anchors)
        energy, _, _ = segment.minimize(scene, 0, c, zero, precision, terms, _SEARCH, 2e-3, coarsely=True)
        grasp = _judged(segment, scene, c, energy, name)
        if grasp is not None:
            found.append((grasp, c, anchors))
    found.sort(key=lambda item: -item[0].score)
    different: list[int] = []
    for k, (grasp, _, _) in enumerate(found):
        if count == 1 or not any(_alike(grasp, found[other][0]) for other in different):
            different.append(k)
    polished = []
    for grasp, c, anchors in [found[k] for k in different[: max(_POLISHED, count)]]:
        _anchor(scene, anchors)
        energy, _, _ = segment.minimize(scene, 0, c, zero, precision, terms, _SEARCH, 2e-3)
        polished.append(_judged(segment, scene, c, energy, grasp.start))
    return sorted((grasp for grasp in polished if grasp is not None), key=lambda grasp: -grasp.score)


def _alike(a: Grasp, b: Grasp) -> bool:
    """Whether two grasps are the same one, as far as it can be executed."""
    away = np.linalg.norm(a.T_object_palm[:3, 3] - b.T_object_palm[:3, 3])
    turn = 0.5 * (np.trace(a.T_object_palm[:3, :3].T @ b.T_object_palm[:3, :3]) - 1)
    return bool(away < _SAME[0] and turn > math.cos(_SAME[1]))


def _anchor(scene: Scene, anchors: Anchors) -> None:
    """Hold fingertips at places."""
    scene.anchored[:] = 0.0
    for tip, place in anchors:
        scene.anchored[0, tip], scene.anchor[0, tip] = 1.0, place


def _judged(segment: Segment, scene: Scene, c: np.ndarray, energy: float, start: str) -> Grasp | None:
    """The grasp of a correction; None where fewer than two fingertips touch."""
    config, hand = segment.config, segment.hand
    segment.energy(scene, 0, c, segment.terms(clearance=0.0, table=0.0, apart=0.0, pad=0.0))  # to see what touches
    touch = segment.pose.touch
    tips = np.flatnonzero(np.abs(touch[:, 0]) < _TOUCH)
    if len(tips) < 2:
        return None
    places, normals = touch[tips, 4:7].copy(), touch[tips, 1:4].copy()
    T, qpos = segment.placed(scene, 0, c)
    arms = places - segment.centre
    weight = np.concatenate([-GRAVITY * segment.mass * segment.up, np.zeros(3)])
    wanted = np.full(len(tips), config.squeeze * _share_of_squeeze(segment.mass))
    J = contact_jacobian(segment.body, segment.pose, tips, places)
    balance = balanced_forces(
        arms, normals, wanted, friction=config.friction, size=segment.size, load=weight if config.squeeze else None,
        strain=J / joint_effort(hand),
    )  # fmt: skip
    most = float(-(balance.force * normals).sum(axis=1).min())
    force = balance.force * min(1.0, config.largest_force / max(most, 1e-9))
    held = stability(
        J, arms, normals, force, joint_compliance(hand, config.stiffness), segment.loads,
        friction=_EXPECTED_FRICTION, size=segment.size,
    )  # fmt: skip
    grasp = Grasp(
        T_object_palm=T, qpos=qpos, tips=tips, places=places, normals=normals, force=force, J=J,
        imbalance=balance.imbalance, energy=energy, stability=held, start=start, score=0.0,
    )  # fmt: skip
    return replace(grasp, score=score(segment, grasp))


def _share_of_squeeze(mass: float) -> float:
    """What of the wanted squeeze suits an object: a light one is turned over by what a heavy one needs.

    Weight and pushes grow with the mass, so less is enough for less. Forces near the motors' limits cost more than they
    hold.
    """
    share = mass / _USUAL
    return min(share, math.sqrt(share), _MOST)


def features(segment: Segment, grasp: Grasp) -> dict[str, float]:
    """What `score` looks at."""
    held = grasp.stability
    strength, around = np.linalg.norm(grasp.force, axis=1), segment.around(grasp.places)
    grip = (grasp.places * strength[:, None]).sum(axis=0) / max(strength.sum(), 1e-9) - segment.centre
    return {
        "opposed": float((grasp.normals @ grasp.normals.T).min()),
        "offset": float(np.linalg.norm(grip)) / segment.size,
        "energy": math.log(grasp.energy + 1),
        "pull": float(np.clip(held.pull, -4, 6)),
        "total": math.log(strength.sum() + 1),
        "stiffness": float(np.clip(held.stiffness, -200, 800)) / 100,
        "imbalance": min(grasp.imbalance, 1.0),
        "edge": float((strength * (1.0 - _flatness(around))).sum() / max(strength.sum(), 1e-9)),
        "slant": _slant(grasp, strength, around),
    }


def _flatness(around: list[Float[np.ndarray, "_ 3"]]) -> Float[np.ndarray, " k"]:
    """Length of the mean normal around each contact: 1 on a face, less at edges and corners."""
    return np.array([np.linalg.norm(normals.mean(axis=0)) if len(normals) else 1.0 for normals in around])


def _slant(grasp: Grasp, strength: Float[np.ndarray, " k"], around: list[Float[np.ndarray, "_ 3"]]) -> float:
    """Least cosine between a force and the normals that its contact may have.

    At an edge a millimetre decides whether a fingertip touches one face or the other.
    """
    least = 1.0
    for i in np.flatnonzero(strength > _CARRIES * strength.max(initial=0.0)):
        normals = np.concatenate([grasp.normals[i : i + 1], around[i]])
        facing = normals[normals @ grasp.normals[i] > _FACING]
        least = min(least, float((-(facing @ grasp.force[i])).min() / max(strength[i], 1e-9)))
    return least


WEIGHTS = {
    "opposed": -3.4, "offset": -0.23, "energy": -0.64, "pull": 0.17, "total": 0.48, "stiffness": 0.2,
    "imbalance": -2.4, "edge": -1.0, "slant": 1.35,
}  # fmt: skip
"""Logistic regression of success in simulation; see docs/lab_notes.md for data and fit."""


def score(segment: Segment, grasp: Grasp) -> float:
    """Logit, up to a constant, of the grasp's success."""
    return sum(WEIGHTS[name] * value for name, value in features(segment, grasp).items())


def _starts(segment: Segment, scene: Scene) -> Iterator[tuple[str, Float[np.ndarray, " n"], Anchors]]:
    """Corrections at which the search begins, and the places that it begins at."""
    config, n = segment.config, segment.n
    yield "generated", np.zeros(n), ()
    yield from _at_opposed_places(segment, scene)
    # the same hand over the middle of the object: what is held far from it turns in the hand
    segment.placed(scene, 0, np.zeros(n))
    pads, fingers = segment.pose.p[: segment.body.tips], segment.hand.fingers
    thumb = fingers.index("thumb") if "thumb" in fingers else 0
    middle = 0.5 * (pads[thumb] + np.delete(pads, thumb, axis=0).mean(axis=0)) if len(pads) > 1 else pads[0]
    for share in (0.5, 1.0):
        c = np.zeros(n)
        c[:3] = scene.R[0].T @ (share * (segment.centre - middle))
        yield f"{share:.0%} to the middle", c, ()
    rng = np.random.default_rng(config.seed)
    for k in range(config.seeds):
        c = np.zeros(n)
        c[:3], c[3:6] = _SHIFT * rng.standard_normal(3), _TURN * rng.standard_normal(3)
        yield f"nearby {k}", c, ()


def _at_opposed_places(segment: Segment, scene: Scene) -> Iterator[tuple[str, Float[np.ndarray, " n"], Anchors]]:
    """Corrections that bring the thumb and another fingertip to opposed places, through the object if need be."""
    segment.placed(scene, 0, np.zeros(segment.n))
    pads = segment.pose.p[: segment.body.tips].copy()
    height = segment.points @ scene.up[0] + scene.height[0]
    # Of thin objects, the upper part is what fingers reach.
    reachable = np.flatnonzero(height > min(_LOWEST, height.min() + 0.5 * np.ptp(height)))
    flat = reachable[segment.flat(reachable)]
    reachable = flat if len(flat) > 0.2 * len(reachable) else reachable  # edges and corners are hard to press on
    chosen = reachable[farthest_point_indices(segment.points[reachable], min(_SURFACE_POINTS, len(reachable)))]
    points, normals = segment.points[chosen], segment.normals[chosen]
    opposed = next((found for cone in _CONES if len(found := opposing_pairs(points, normals, cone))), np.zeros((0, 2)))
    fingers = segment.hand.fingers
    pairs = [(a, b) for a in range(len(fingers)) for b in range(len(fingers)) if a < b]
    if "thumb" in fingers:
        thumb = fingers.index("thumb")
        pairs = [(thumb, b) for b in range(len(fingers)) if b != thumb]
    if len(opposed) == 0 or not pairs or not segment.config.seeds:
        return
    there = scene._replace(anchor=scene.anchor.copy(), anchored=scene.anchored.copy(), gate=np.zeros_like(scene.gate))
    terms = segment.terms(slip=_SIGMA_PLACE**-2, clearance=0.0, contact=0.0, apart=0.0)
    precision, zero = segment.sigma(segment.config.grasp) ** -2, np.zeros(segment.n)
    # A gripper's two fingers hold nothing but what they meet exactly opposed: it needs more tries.
    each = math.ceil(segment.config.seeds * (_GRIPPER if len(fingers) == 2 else 1) / (2 * len(pairs)))
    for a, b in pairs:
        over = segment.centre - 0.5 * (pads[a] + pads[b])  # what is held far from its middle turns in the hand
        near = nearest_pairs(points, opposed, pads[a], pads[b], each)
        middle = nearest_pairs(points, opposed, pads[a] + over, pads[b] + over, each)
        for i, k in np.unique(np.concatenate([near, middle]), axis=0):
            _anchor(there, ((a, points[i]), (b, points[k])))
            c = zero.copy()
            segment.minimize(there, 0, c, zero, precision, terms, 10, 1e-2, coarsely=True)
            yield f"{fingers[a]} and {fingers[b]}", c, ((a, points[i]), (b, points[k]))
