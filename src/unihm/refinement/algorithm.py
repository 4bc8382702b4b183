"""Refinement behind one function: frame by frame, or the whole segment at once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from unihm.compiled import tell_of_compiling
from unihm.hands.description import HandDescription
from unihm.refinement.causal import CausalRefinement
from unihm.refinement.config import RefinementConfig, RefinementReport
from unihm.refinement.joint import Refined, refine_joint
from unihm.refinement.segment import Segment
from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion

MODES = ("causal", "joint")
"""``causal``: Algorithm 1 of the paper, frame by frame; ``joint``: grasp, way, squeeze and timing together."""


def refine(
    motion: HandMotion, hand: HandDescription, *, mode: str = "joint", config: RefinementConfig | None = None
) -> tuple[HandMotion, RefinementReport]:
    """Make a motion touch the object while it holds it, and pierce neither object nor table.

    Args:
        motion: A motion of `hand` with object path and cloud. Without a contact phase, it follows from the lift.
        hand: The hand.
        mode: One of `MODES`.
        config: Strength of the terms.

    Returns:
        The refined motion, joint limits kept exactly, and the report. In joint mode its hold squeezes (`qpos_target`),
        and it may have more frames than were given (`RefinementReport.frame_of`).

    Raises:
        ValueError: The motion is another hand's, has no object, or holds numbers that are not finite; or there is no
            such mode.
    """
    return refinements(motion, hand, 1, mode=mode, config=config)[0]


def refinements(
    motion: HandMotion,
    hand: HandDescription,
    count: int,
    *,
    mode: str = "joint",
    config: RefinementConfig | None = None,
) -> tuple[tuple[HandMotion, RefinementReport], ...]:
    """`refine` with each of the best grasps, for who can try them.

    Args:
        motion: As for `refine`.
        hand: The hand.
        count: Most motions, the best by what is expected of its grasp first; frame by frame there is one.
        mode: One of `MODES`.
        config: Strength of the terms.

    Returns:
        Motions and reports; the times are of all together.

    Raises:
        ValueError: See `refine`.
    """
    begin = time.perf_counter()
    if mode not in MODES:
        raise unknown_name("Mode", mode, MODES)
    tell_of_compiling(Path(__file__).parent)
    segment = Segment(motion, hand, config or RefinementConfig())
    found = [_causal(segment)] if mode == "causal" else refine_joint(segment, count)
    seconds = time.perf_counter() - begin
    return tuple((motion_of(segment, one), _report(segment, one, mode, seconds)) for one in found)


def motion_of(segment: Segment, refined: Refined) -> HandMotion:
    """The given motion with refined frames."""
    return segment.motion.replace(
        joint_names=segment.hand.joint_names,
        qpos=refined.qpos,
        qpos_target=None if refined.grasp is None else refined.qpos_target,
        T_world_palm=refined.T_world_object @ refined.T_object_palm,
        T_world_object=refined.T_world_object,
        contact_phase=refined.phase,
    )


def _report(segment: Segment, refined: Refined, mode: str, seconds: float) -> RefinementReport:
    before = Refined(
        T_object_palm=segment.T_object_palm, qpos=segment.qpos, qpos_target=segment.qpos,
        T_world_object=segment.T_world_object, phase=segment.phase, frame_of=np.arange(len(segment), dtype=float),
    )  # fmt: skip
    grasp = refined.grasp
    tips = np.arange(segment.body.tips) if grasp is None else grasp.tips
    contact_before, depth_before = _measured(segment, before, tips)
    contact_after, depth_after = _measured(segment, refined, tips)
    return RefinementReport(
        mode=mode,
        frames=len(refined.qpos),
        frame_of=tuple(round(float(frame), 3) for frame in refined.frame_of),
        grasp_fingers=() if grasp is None else tuple(segment.hand.fingers[k] for k in grasp.tips),
        grasps_tried=refined.tried,
        merit=None if refined.merit is None else round(refined.merit, 3),
        imbalance=None if grasp is None else round(grasp.imbalance, 4),
        cloud_noise_mm=round(1e3 * segment.noise, 2),
        contact_mm_before=contact_before,
        contact_mm_after=contact_after,
        penetration_mm_before=depth_before,
        penetration_mm_after=depth_after,
        ms_per_frame=round(1e3 * seconds / len(segment), 3),
    )


def _causal(segment: Segment) -> Refined:
    stream = CausalRefinement.of_segment(segment)
    T_world_palm, qpos = stream.run(segment)
    return Refined(
        T_object_palm=np.linalg.inv(segment.T_world_object) @ T_world_palm,
        qpos=qpos, qpos_target=qpos, T_world_object=segment.T_world_object, phase=segment.phase,
        frame_of=np.arange(len(segment), dtype=float),
    )  # fmt: skip


def _measured(
    segment: Segment, refined: Refined, tips: Int[np.ndarray, " k"]
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean distance of fingertips within reach from the surface, and mean depth of the deepest sphere, mm, by phase."""
    T = refined.T_world_object
    scene = segment.scene(refined.T_object_palm, refined.qpos, *segment.floor(T))
    scene.gate[:] = 1.0
    terms = segment.terms(clearance=0.0, table=0.0, apart=0.0)
    gap = np.zeros((len(refined.qpos), segment.body.tips))
    for t in range(len(gap)):
        segment.energy(scene, t, np.zeros(segment.n), terms)
        gap[t] = segment.pose.touch[:, 0]
    gap = gap[:, tips]
    touching = gap < segment.config.reach
    contact = np.where(touching, np.abs(gap), 0).sum(axis=1) / np.maximum(touching.sum(axis=1), 1)
    depth = segment.depths(scene)
    parts = {"approach": refined.phase <= 0, "closing": (refined.phase > 0) & (refined.phase < 1),
             "hold": refined.phase >= 1}  # fmt: skip

    def means(values: Float[np.ndarray, " T"]) -> dict[str, float]:
        return {name: round(1e3 * float(values[part].mean()), 3) for name, part in parts.items() if part.any()}

    return means(contact), means(depth)
