"""Where to grasp: two fingertips on opposed places of the object, in the frame in which it is lifted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.geometry.antipodal import nearest_pairs, opposing_pairs
from unihm.geometry.point_cloud import farthest_point_indices
from unihm.optimization import residuals
from unihm.refinement.config import Effort
from unihm.refinement.problem import Anchors, RefinementProblem, minimize_in_box

_SURFACE_POINTS = 300  # of the cloud among which opposed places are searched
_LOWEST = 0.01  # m above the table: lower places cannot be reached by fingers that are about as thick
_EFFORT = Effort(outer_iterations=6, inner_iterations=4, cost_tolerance=1e-3)  # the start is far from the end
_SIGMA_PLACE = 2e-3  # m, while fingertips are first brought to their places
# Cosines of the cones in which opposed places see each other. The nearest places lie at the edge of their cones, so
# that the normals are then 2 x 20 degrees off; the wider cones are for objects on which nothing opposes as well.
_CONES = (0.94, 0.8)
_FREEDOM = (1.0, 3.0)  # factors on the sigma of the grasp: where the generated pose is far off, it binds less
# What counts as holding: largest gap of the two tips, m, and cosine between their contact normals. The second row
# is for hands whose pads cannot face each other on this object; some other part of the fingertip touches then.
_HOLDS = ((5e-3, -0.7), (12e-3, -0.55))


@dataclass(frozen=True, kw_only=True)
class Grasp:
    """How the hand must be corrected in the lift frame, and where two of its fingers then hold."""

    correction: Float[np.ndarray, " n"]
    """Correction of the lift frame; zero where nothing is grasped."""
    anchors: Anchors | None
    """The two fingers (batch of one); None where fingers oppose nowhere or are not asked to."""


def find_grasp(problem: RefinementProblem) -> Grasp:
    """The cheapest grasp with two opposed fingertips.

    Candidates are opposed pairs of places on the cloud, those near the generated fingertips first, for the thumb
    and every other finger. All are tried in one batch: first the two tips are brought to their places, then
    everything that counts in a frame is minimised. The least energy wins among those whose tips touch with
    opposed normals; without one, the motion keeps its own grasp and only nearest points attract.
    """
    n = problem.lower.shape[-1]
    none = Grasp(correction=np.zeros(n), anchors=None)
    if not problem.config.opposing or problem.tips < 2 or problem.phase.max() <= 0:
        return none
    candidates = _candidates(problem)
    if candidates is None:
        return none
    for freedom in _FREEDOM:
        grasp = _best(problem, candidates, freedom)
        if grasp is not None:
            return grasp
    return none


def _best(problem: RefinementProblem, candidates: Anchors, freedom: float) -> Grasp | None:
    """The cheapest candidate that holds, where the generated pose binds `freedom` times less; None if none does."""
    frames = np.full(len(candidates.fingers), problem.lift)
    sigma = freedom * problem.sigma(problem.config.grasp)
    c = _bring(problem, frames, candidates, sigma)
    selected = np.arange(len(problem.radius))
    c, solution, _ = problem.minimize(frames, c, (np.zeros_like(c), sigma), selected, candidates, effort=_EFFORT)

    row = np.arange(len(c))[:, None]
    tips = problem.points(frames, c, np.arange(problem.tips))[row, candidates.fingers]
    gap, _, _ = problem.gaps(tips)
    _, _, normal = problem.distance.query(tips)
    gap = np.abs(gap - problem.radius[candidates.fingers]).max(-1)
    cosine = (normal[:, 0] * normal[:, 1]).sum(-1)
    for most, opposed in _HOLDS:
        holds = (gap < most) & (cosine < opposed)
        if holds.any():
            best = int(np.where(holds, solution.cost.numpy(), np.inf).argmin())
            anchors = Anchors(
                fingers=candidates.fingers[best, None], points=tips[best, None], normals=normal[best, None]
            )
            return Grasp(correction=c[best], anchors=anchors)
    return None


def _candidates(problem: RefinementProblem) -> Anchors | None:
    frames = np.array([problem.lift])
    n = problem.lower.shape[-1]
    tips = problem.points(frames, np.zeros((1, n)), np.arange(problem.tips))[0]
    points, normals = problem.distance.points, problem.distance.normals
    height = problem.heights(frames, points[None])[0][0]
    # Of thin objects, the upper part is what fingers reach.
    reachable = np.flatnonzero(height > min(_LOWEST, height.min() + 0.5 * np.ptp(height)))
    index = reachable[farthest_point_indices(points[reachable], min(_SURFACE_POINTS, len(reachable)))]
    points, normals = points[index], normals[index]

    fingers = problem.hand.fingers
    count = range(len(fingers))
    pairs = [(a, b) for a in count for b in count if a < b]
    if "thumb" in fingers:
        thumb = fingers.index("thumb")
        pairs = [(thumb, b) for b in count if b != thumb]
    opposed = opposing_pairs(points, normals, _CONES[0])
    if len(opposed) == 0:
        opposed = opposing_pairs(points, normals, _CONES[1])
    each = math.ceil(problem.config.candidates / len(pairs))
    chosen_fingers, chosen_places = [], []
    for a, b in pairs:
        for place in nearest_pairs(points, opposed, tips[a], tips[b], each):
            chosen_fingers.append((a, b))
            chosen_places.append(place)
    if not chosen_fingers:
        return None
    places = np.array(chosen_places)
    return Anchors(fingers=np.array(chosen_fingers), points=points[places], normals=normals[places])


def _bring(
    problem: RefinementProblem, frames: np.ndarray, anchors: Anchors, sigma: np.ndarray
) -> Float[np.ndarray, "B n"]:
    """Corrections that bring the two fingertips to their places, through the object if need be."""
    row = np.arange(len(frames))[:, None]
    tips = np.arange(problem.tips)
    targets = anchors.points + problem.radius[anchors.fingers][..., None] * anchors.normals
    start = np.zeros_like(problem.lower[frames])

    def residual(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points, J = problem.points_and_jacobian(frames, c, tips)
        place = residuals.position_residual(
            points[row, anchors.fingers], J[row, anchors.fingers], targets, _SIGMA_PLACE
        )
        return residuals.stack(place, residuals.prior_residual(c, start, sigma))

    lower, upper = problem.lower[frames], problem.upper[frames]
    return minimize_in_box(residual, start, lower, upper, max_iterations=15, cost_tolerance=1e-3).x.numpy()
