"""The whole segment at once: one grasp for the hold, a way to it, a squeeze, and the time that they need; and where the
object is set down, the same backwards.

Beyond the paper, and each to be switched off: forces that hold the object go into `qpos_target` (`squeeze`), frames are
stretched and paused (`timing`), and the hand keeps off the table and out of itself. In the hold the hand does not move
in the object's frame, so that nothing slips there by construction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.geometry.interpolation import poses_at, rows_at, smoothstep
from unihm.refinement.approach import Approach, approach, clear
from unihm.refinement.forces import sliding_joints, squeezing_target
from unihm.refinement.grasp import Grasp, find_grasps
from unihm.refinement.segment import Segment
from unihm.refinement.timing import stretched_times

_ALTERNATIVES = 4  # grasps whose ways are planned where those of better ones pierce the object
_PIERCING = 1.6  # of the score, for each doubling and more of a millimetre that the way pierces (docs/lab_notes.md)
_AWAY = 0.2  # m of the palm from where it let go
_OFF = 3e-4  # m off the planes at which fingertips are shown
_BLEND = 0.3  # s in which the resting object's pose passes into that of the path


@dataclass(frozen=True, kw_only=True, eq=False)
class Refined:
    """Frames of a refined motion; palm in the object's frame."""

    T_object_palm: Float[np.ndarray, "m 4 4"]
    qpos: Float[np.ndarray, "m nq"]
    qpos_target: Float[np.ndarray, "m nq"]
    T_world_object: Float[np.ndarray, "m 4 4"]
    phase: Float[np.ndarray, " m"]
    frame_of: Float[np.ndarray, " m"]
    """Frame of the given motion that each stands for."""
    grasp: Grasp | None = None
    tried: int = 0
    merit: float | None = None
    """Log-odds of the hold, as the choice among grasps and ways sees them."""


def refine_joint(segment: Segment, count: int = 1) -> list[Refined]:
    """Refine all frames, with each of the best grasps.

    Args:
        segment: The motion.
        count: Most of them. Where no grasp is found, there is one motion, which is only kept out of object and table.
    """
    grasps = find_grasps(segment, max(count, _ALTERNATIVES)) if segment.phase.max() > 0 else []
    if not grasps:
        return [_cleared(segment)]
    reached: list[tuple[float, Grasp, Approach]] = []
    for grasp in grasps[: max(count, _ALTERNATIVES)]:
        if len(reached) >= count and sorted(merit for merit, _, _ in reached)[-count] >= grasp.score:
            break  # no way can make this one better
        way = approach(segment, grasp)
        reached.append((grasp.score - _PIERCING * math.log1p(1e3 * way.depth), grasp, way))
    reached.sort(key=lambda item: -item[0])
    return [replace(with_grasp(segment, grasp, way, len(grasps)), merit=merit) for merit, grasp, way in reached[:count]]


def with_grasp(segment: Segment, grasp: Grasp, way: Approach | None = None, tried: int = 1) -> Refined:
    """All frames, the object being held as is said and reached by a way, by default `approach`; `tried` is reported."""
    config, fps, chain = segment.config, segment.motion.fps, segment.hand.chain
    way = approach(segment, grasp) if way is None else way
    target = squeezing_target(segment.hand, grasp.qpos, grasp.J, grasp.force, config.stiffness)
    drawn = _drawn(segment, grasp)
    if config.squeeze == 0:
        target = drawn = grasp.qpos
    shown = np.clip(way.qpos + way.phase[:, None] * (drawn - grasp.qpos), chain.lower, chain.upper)
    growing = max(round(config.squeeze_time * fps), 1) if config.squeeze else 0
    end = len(segment) if segment.release is None else max(segment.release, way.arrive + 1) + 1
    carried = _from_rest(segment.T_rest, segment.T_world_object[way.arrive + 1 : end], fps)
    held = growing + len(carried)
    share = np.concatenate([np.arange(1, growing + 1) / max(growing, 1), np.ones(len(carried))])[:, None]
    m = len(way.qpos)
    # without more time, the squeeze must grow before the hand has arrived
    before = way.frame_of if growing == 0 else way.frame_of * (m / (m + growing))
    before = np.where(way.phase > 0, np.maximum(before, way.frame_of[way.phase <= 0].max(initial=0.0)), way.frame_of)
    last = before[-1] if m else 0.0
    refined = Refined(
        T_object_palm=np.concatenate([way.T_object_palm, np.tile(grasp.T_object_palm, (held, 1, 1))]),
        qpos=np.concatenate([shown, np.tile(drawn, (held, 1))]),
        qpos_target=np.concatenate([way.qpos, grasp.qpos + share * (target - grasp.qpos)]),
        T_world_object=np.concatenate([np.tile(segment.T_rest, (m + growing, 1, 1)), carried]),
        phase=np.concatenate([way.phase, np.ones(held)]),
        frame_of=np.concatenate(
            [before, last + (way.arrive - last) * share[:growing, 0], np.arange(way.arrive + 1, end)]
        ),
        grasp=grasp,
        tried=tried,
    )
    if segment.release is not None:
        refined = _let_go(refined, m + growing, len(segment) - 1)
    if config.timing:
        return _stretched(segment, refined)
    order = np.arange(len(refined.qpos))
    return _at(refined, np.interp(np.arange(len(segment)), refined.frame_of + 1e-9 * order, order))


def _let_go(refined: Refined, count: int, last: int) -> Refined:
    """What led to the grasp once more backwards, where the object has been set down: the squeeze ceases, the fingers
    open, and the hand leaves as it came, until it is well away.

    Args:
        refined: Up to the end of the hold.
        count: Frames at its beginning, of the approach and the growing squeeze.
        last: Frame of the given motion that the end stands for.
    """
    way = np.linalg.norm(refined.T_object_palm[:count, :3, 3] - refined.T_object_palm[count - 1, :3, 3], axis=1)
    away = np.flatnonzero((way >= _AWAY) & (refined.phase[:count] <= 0))
    back = np.arange(int(away[-1]) if len(away) else 0, count)[::-1]
    count = len(back)
    goal = refined.T_world_object[-1]
    frames = refined.frame_of[-1] + (last - refined.frame_of[-1]) * (np.arange(count) + 1) / count
    return replace(
        refined,
        **{name: np.concatenate([value, value[back]]) for name, value in _beside_object(refined).items()},
        T_world_object=np.concatenate([refined.T_world_object, np.tile(goal, (count, 1, 1))]),
        frame_of=np.concatenate([refined.frame_of, frames]),
    )


def _beside_object(refined: Refined) -> dict[str, np.ndarray]:
    """What does not depend on where the object is."""
    return {name: getattr(refined, name) for name in ("T_object_palm", "qpos", "qpos_target", "phase")}


def _drawn(segment: Segment, grasp: Grasp) -> Float[np.ndarray, " nq"]:
    """Joints as they are shown: fingertips a little off the cloud's tangent planes, which lie inside what is round.

    What is sent is counted from where the fingertips meet the planes, as the forces are: nothing moves differently.
    """
    across = np.einsum("kiq,ki->kq", grasp.J, grasp.normals)
    step = across.T @ np.linalg.solve(across @ across.T + 1e-6 * np.eye(len(across)), np.full(len(across), _OFF))
    return np.clip(grasp.qpos + step, segment.hand.chain.lower, segment.hand.chain.upper)


def _from_rest(T_rest: np.ndarray, carried: np.ndarray, fps: float) -> np.ndarray:
    """The path, begun where the object rests: the hand arrives when it may have moved a little."""
    if not len(carried):
        return carried
    share = smoothstep(np.clip((np.arange(len(carried)) + 1) / (_BLEND * fps), 0, 1))
    found = carried.copy()
    found[:, :3, 3] = T_rest[:3, 3] + share[:, None] * (carried[:, :3, 3] - T_rest[:3, 3])
    rest = Rotation.from_matrix(T_rest[:3, :3])
    turn = (rest.inv() * Rotation.from_matrix(carried[:, :3, :3])).as_rotvec()
    found[:, :3, :3] = (rest * Rotation.from_rotvec(share[:, None] * turn)).as_matrix()
    return found


def _cleared(segment: Segment) -> Refined:
    """Every frame kept out of object and table."""
    T = segment.T_world_object
    scene = segment.scene(segment.T_object_palm, segment.untangled, *segment.floor(T))
    c = clear(segment, scene)
    placed = [segment.placed(scene, t, c[t]) for t in range(len(segment))]
    qpos = np.array([q for _, q in placed])
    return Refined(
        T_object_palm=np.array([T for T, _ in placed]), qpos=qpos, qpos_target=qpos, T_world_object=T,
        phase=segment.phase, frame_of=np.arange(len(segment), dtype=float),
    )  # fmt: skip


def _stretched(segment: Segment, refined: Refined) -> Refined:
    """As many frames as limits and grasp need."""
    config, fps = segment.config, segment.motion.fps
    carry = config.carry_speed, config.carry_acceleration
    if segment.motion.panel_object is not None:
        carry = min(carry[0], config.handle_speed), min(carry[1], config.handle_acceleration)
    times = stretched_times(
        refined.T_world_object,
        refined.T_world_object @ refined.T_object_palm,
        refined.qpos_target,
        fps,
        carry=(*carry, config.jerk),
        palm=(config.reach_speed, config.reach_acceleration, config.jerk),
        joint_speed=np.where(sliding_joints(segment.hand), np.inf, config.finger_speed).clip(
            max=segment.hand.chain.velocity
        ),
    )
    count = max(round(times[-1] * fps), 1) + 1
    return _at(refined, np.interp(np.linspace(0, times[-1], count), times, np.arange(len(times))))


def _at(refined: Refined, wanted: Float[np.ndarray, " m"]) -> Refined:
    """The same at fractional frames."""
    order = np.arange(len(refined.qpos))
    T_world_palm = poses_at(refined.T_world_object @ refined.T_object_palm, wanted)
    T_world_object = poses_at(refined.T_world_object, wanted)
    return replace(
        refined,
        T_object_palm=np.linalg.inv(T_world_object) @ T_world_palm,
        qpos=rows_at(refined.qpos, wanted),
        qpos_target=rows_at(refined.qpos_target, wanted),
        T_world_object=T_world_object,
        phase=np.interp(wanted, order, refined.phase),
        frame_of=np.interp(wanted, order, refined.frame_of),
    )
