"""Algorithm 1: frame by frame, the least correction that touches what shall be touched and pierces nothing.

With c the correction of frame t and c', c'' those of the two frames before, Levenberg-Marquardt minimises

    sum_i gate_i f(d_i) / sigma_contact^2  +  1/2 |c - c_grasp|^2 / sigma_gen^2  +  1/2 |c - c'|^2 / sigma_vel^2
      + 1/2 |c - 2 c' + c''|^2 / sigma_acc^2  +  one-sided terms: nothing pierces the object or the table

(Eqs. 13 to 16). ``c = (v, omega, dq)`` moves the palm in its own generated frame, ``T_palm = T_gen [exp(omega), v]``,
and the joints, ``q = q_gen + dq``. Being a plain vector, its priors merge into as many rows as it has entries.

Differs from the paper:

- The contact term is gated by the contact phase: pulling every fingertip in every frame spoils the approach.
- Temporal priors act on the correction; on the motion itself they drag the hand behind where it should be.
  ``temporal="motion"`` is the paper's way.
- Where to grasp is decided first, in the lift frame (`grasp`); the correction found there, faded in by the contact
  phase, is the mean of the generative prior. The nearest points of a half-closed hand may all lie on one side.
- The body of the hand is kept out of the object and off the table, not its fingertips alone.
"""

from __future__ import annotations

import time

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.hands.hand import HandModel
from unihm.optimization import residuals
from unihm.optimization.levenberg_marquardt import Status
from unihm.refinement.config import Effort, RefinementConfig, RefinementReport
from unihm.refinement.grasp import Grasp, find_grasp
from unihm.refinement.problem import RefinementProblem
from unihm.schema.motion import HandMotion

# Once the hand holds, a frame's correction is nearly that of the frame before: a short search follows it.
_SETTLING = 6  # frames
_STEADY = Effort(outer_iterations=2, inner_iterations=3, cost_tolerance=1e-2)


def refine(
    motion: HandMotion, hand: HandModel, config: RefinementConfig | None = None
) -> tuple[HandMotion, RefinementReport]:
    """Make a motion touch the object while it holds it, and pierce neither object nor table.

    Args:
        motion: A motion of `hand` with object path and cloud. Without a contact phase, it follows from the lift.
        hand: The hand.
        config: Strength of the terms.

    Returns:
        The refined motion, joint limits kept exactly, and the report.

    Raises:
        ValueError: The motion is another hand's, has no object, or holds numbers that are not finite.
    """
    begin = time.perf_counter()
    problem = RefinementProblem(motion, hand, config or RefinementConfig())
    grasp = find_grasp(problem)
    wanted = np.clip(problem.phase[:, None] * grasp.correction, problem.lower, problem.upper)
    corrections, counts, iterations = _frame_by_frame(problem, grasp, wanted)

    T_world_palm = problem.T_world_object @ problem.palm(np.arange(len(motion)), corrections)
    # Adding and subtracting the generated joints may miss a limit by one rounding.
    qpos = np.clip(problem.qpos + corrections[:, 6:], hand.lower.numpy(), hand.upper.numpy())
    refined = motion.replace(qpos=qpos, qpos_target=None, T_world_palm=T_world_palm, contact_phase=problem.phase)
    holding = _holding_tips(problem, corrections)
    contact_before, depth_before = _measure(problem, np.zeros_like(corrections), holding)
    contact_after, depth_after = _measure(problem, corrections, holding)
    report = RefinementReport(
        frames=len(motion),
        iterations=iterations,
        status=counts,
        grasp_fingers=() if grasp.anchors is None else tuple(hand.fingers[i] for i in grasp.anchors.fingers[0]),
        contact_mm_before=contact_before,
        contact_mm_after=contact_after,
        penetration_mm_before=depth_before,
        penetration_mm_after=depth_after,
        ms_per_frame=round((time.perf_counter() - begin) * 1e3 / len(motion), 3),
    )
    return refined, report


def _frame_by_frame(
    problem: RefinementProblem, grasp: Grasp, wanted: Float[np.ndarray, "T n"]
) -> tuple[Float[np.ndarray, "T n"], dict[str, int], int]:
    """Corrections of all frames, how each frame's search ended, and the solver steps of all."""
    config = problem.config
    s_gen, s_vel, s_acc = (problem.sigma(s) for s in (config.generated, config.velocity, config.acceleration))
    near = problem.near(wanted)
    done = [np.zeros_like(wanted[0])] * 2  # q_-2 = q_-1 = q_0 of the generated motion (Eq. 15)
    counts = {"untouched": 0, **{status.name.lower(): 0 for status in Status}}
    iterations = 0
    for t in range(len(wanted)):
        previous, before = done[-1], done[-2]
        extrapolated = 2 * previous - before
        if config.temporal == "motion":
            previous, extrapolated = _history(problem, done, t)
        mean, sigma = residuals.merge_priors((wanted[t], s_gen), (previous, s_vel), (extrapolated, s_acc))
        c = np.clip(mean, problem.lower[t], problem.upper[t])[None]
        selected = np.flatnonzero(near[t])
        if len(selected):
            anchors = grasp.anchors if problem.phase[t] > 0 else None
            effort = _STEADY if problem.phase[max(t - _SETTLING, 0)] >= 1 else None
            c, solution, steps = problem.minimize(
                np.array([t]), c, (mean[None], sigma), selected, anchors, effort=effort
            )
            counts[Status(int(solution.status[0])).name.lower()] += 1
            iterations += steps
        else:
            counts["untouched"] += 1
        done.append(c[0])
    return np.stack(done[2:]), counts, iterations


def _history(problem: RefinementProblem, done: list[np.ndarray], t: int) -> tuple[np.ndarray, np.ndarray]:
    """The pose of the frame before and the one extrapolated from two, as corrections of frame t."""
    frames = np.array([max(t - 2, 0), max(t - 1, 0)])
    c = np.stack(done[-2:])
    T_world_palm = problem.T_world_object[frames] @ problem.palm(frames, c)
    T_world_palm = np.stack([T_world_palm[1], T_world_palm[1] @ np.linalg.inv(T_world_palm[0]) @ T_world_palm[1]])
    q = problem.qpos[frames] + c[:, 6:]
    q = np.stack([q[1], 2 * q[1] - q[0]])
    T_gen_palm = np.linalg.inv(problem.T_world_palm[t]) @ T_world_palm
    turn = Rotation.from_matrix(T_gen_palm[:, :3, :3]).as_rotvec()
    as_correction = np.concatenate([T_gen_palm[:, :3, 3], turn, q - problem.qpos[t]], -1)
    return as_correction[0], as_correction[1]


def _holding_tips(problem: RefinementProblem, corrections: np.ndarray) -> np.ndarray:
    """Fingertips within reach of the object in the lift frame, by index; all if there is none."""
    frames, tips = np.array([problem.lift]), np.arange(problem.tips)
    gap, _, _ = problem.gaps(problem.points(frames, corrections[frames], tips))
    holding = tips[(gap[0] < problem.config.reach)]
    return holding if len(holding) else tips


def _measure(
    problem: RefinementProblem, corrections: np.ndarray, holding: np.ndarray
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean distance of the holding tips from the surface and mean depth of the deepest point, mm, by phase."""
    points = problem.points(np.arange(len(corrections)), corrections, np.arange(len(problem.radius)))
    gap = problem.gaps(points)[0] - problem.radius
    contact = np.abs(gap[:, holding]).mean(axis=1) * 1e3
    depth = np.maximum(-gap.min(axis=1), 0) * 1e3
    phase = problem.phase
    parts = {"approach": phase <= 0, "closing": (phase > 0) & (phase < 1), "hold": phase >= 1}
    return (
        {name: round(float(contact[part].mean()), 3) for name, part in parts.items() if part.any()},
        {name: round(float(depth[part].mean()), 3) for name, part in parts.items() if part.any()},
    )
