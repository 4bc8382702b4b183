"""Ours and dex_retargeting on the same frames with the same objective, one after the other in one thread.

Each system runs as a stream: frame by frame, every frame timed. What its answers are worth is computed afterwards, by
our kinematics and its, which are the same to a micrometre.

Joints that turn are scored in degrees and joints that slide in millimetres, in keys of their own. Only ours takes many
recordings at once; what 256 of them cost the peer is 256 of its streams.
"""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from unihm.evaluation.dex_peer import Peer, load_peer, objective, shared_targets, target_points
from unihm.hands.description import HandDescription, describe_hand
from unihm.retargeting import PRESETS, Retargeter
from unihm.retargeting.newton import CONVERGED as SUCCESS
from unihm.retargeting.solver import Solver

OURS, WHOLE = "unihm", "unihm, whole recordings"
NO_REST, DEFAULT = "unihm without rest posture", "unihm, its own objective"
PEER, CONVERGED, EXACT = "dex_retargeting", "dex_retargeting converged", "dex_retargeting converged, exact limits"
_AS_GOOD = 1.01  # within one per cent
_TINY = 1e-8  # m: an objective below this (errors of 20 micrometres) is no worse than another below it
_LIMIT = 1e-6  # rad or m beyond a limit that counts
_SHIFTS, _SETTLE = (10, 20), 5  # restarted so many frames later; compared from so many frames after that
_BATCH, _BATCH_FRAMES = 256, 32
_WARM = 30  # frames solved before any is timed: code is loaded or compiled in the first


@dataclass
class Answers:
    """What a system answered to one recording."""

    points: Float[np.ndarray, "T k 3"]
    q: Float[np.ndarray, "T nq"]
    seconds: Float[np.ndarray, " T"]
    failed: int


System = Callable[[np.ndarray], Answers]


def evaluate_retargeting(
    recordings: Sequence[Float[np.ndarray, "_ 21 3"]],
    restarts: Sequence[Float[np.ndarray, "_ 21 3"]],
    hands: Sequence[str],
    *,
    data: str,
    peer: bool = True,
    after_hand: Callable[[list[dict[str, Any]]], object] = lambda rows: None,
) -> list[dict[str, Any]]:
    """Rows of the table: one a hand and system.

    Args:
        recordings: Right hands' keypoints, m, that are timed and scored.
        restarts: Recordings that are restarted 10 and 20 frames later.
        hands: Names of the hands.
        data: What the recordings are, for the rows.
        peer: Whether dex_retargeting runs beside ours; its target links are then ours, too. Without it our own
            keypoints are, so that objectives of the two tables do not compare.
        after_hand: Called with all rows so far when a hand is done, which takes minutes.

    Raises:
        ValueError: There is no frame or a point is missing, a hand is unknown or a left one, or dex_retargeting is not
            installed.
    """
    _check(recordings, restarts, hands)
    if peer:
        load_peer()
    rows = []
    bar = tqdm(total=len(hands) * (7 if peer else 4), desc="bench", unit="system", disable=None, delay=2)
    for name in hands:
        hand = shared_targets(describe_hand(name)) if peer else describe_hand(name)
        systems: dict[str, System] = {}
        if peer:
            systems[CONVERGED] = _peer(describe_hand(name), converged=True)
            systems[EXACT] = _peer(describe_hand(name), converged=True, exact_limits=True)
            systems[PEER] = _peer(describe_hand(name), converged=False)
        config = PRESETS["position"]
        systems[OURS] = _ours(hand, config)
        systems[WHOLE] = _ours_whole(hand, config)
        systems[NO_REST] = _ours(hand, replace(config, rest_sigma=math.inf))
        systems[DEFAULT] = _ours(hand, PRESETS["default"])
        references: dict[str, np.ndarray] = {}
        for label, system in systems.items():
            system(np.concatenate(recordings)[:_WARM])
            found = [system(keypoints) for keypoints in recordings]
            values = np.concatenate(
                [objective(a.points, k[:, hand.keypoint_indices]) for a, k in zip(found, recordings, strict=True)]
            )
            if label in (CONVERGED, EXACT):
                references[label] = values
            row = {"hand": name, "system": label, "mode": "position", "data": data, "frames": len(values)}
            row |= _scores(hand, found, recordings, values, references)
            # the converged peer takes too long for it; what it depends on is the same as in its default
            row |= _restart(hand, system, [] if label in (CONVERGED, EXACT) else restarts)
            if label == WHOLE:
                row["batch_ms_per_frame"] = _batch(hand, config, recordings)
            rows.append(row)
            bar.update(1)
        after_hand(rows)
    bar.close()
    return rows


def _check(recordings: Sequence[np.ndarray], restarts: Sequence[np.ndarray], hands: Sequence[str]) -> None:
    """At once, instead of after an hour of other hands."""
    if not sum(map(len, recordings)):
        raise ValueError("There is no frame to bench on.")
    if not hands:
        raise ValueError("There is no hand to bench.")
    for part in (recordings, restarts):
        if missing := sum(int((~np.isfinite(keypoints)).any(axis=(1, 2)).sum()) for keypoints in part):
            raise ValueError(f"Points are missing in {missing} frames; the bench needs recordings without gaps.")
    for name in hands:
        if describe_hand(name).side != "right":
            raise ValueError(f"Hand '{name}' is a left hand; the bench follows right hands.")


def _ours(hand: HandDescription, config: Any) -> System:
    retargeter = Retargeter(hand, config)

    def run(keypoints: np.ndarray) -> Answers:
        retargeter.reset()
        q, T, seconds = np.zeros((len(keypoints), len(hand.joint_names))), np.zeros((len(keypoints), 4, 4)), []
        for i, frame in enumerate(keypoints):
            start = time.perf_counter()
            answer = retargeter.step(frame)
            seconds.append(time.perf_counter() - start)
            q[i], T[i] = answer, retargeter.T_world_palm
        failed = retargeter.unconverged + retargeter.missing
        return Answers(points=target_points(hand, q, T), q=q, seconds=np.array(seconds), failed=failed)

    return run


def _ours_whole(hand: HandDescription, config: Any) -> System:
    solver = Solver(hand, config)

    def run(keypoints: np.ndarray) -> Answers:
        start = time.perf_counter()
        q, T, status = solver.solve(keypoints)
        seconds = np.full(len(keypoints), (time.perf_counter() - start) / len(keypoints))
        return Answers(points=target_points(hand, q, T), q=q, seconds=seconds, failed=int((status != SUCCESS).sum()))

    return run


def _peer(hand: HandDescription, **options: bool) -> System:
    peer = Peer(hand, **options)

    def run(keypoints: np.ndarray) -> Answers:
        peer.reset()
        answers, seconds = [], []
        for frame in keypoints:
            said = io.StringIO()  # a failed solve is printed, and the last pose returned
            with contextlib.redirect_stdout(said):
                start = time.perf_counter()
                full = peer.solve(frame)
                seconds.append(time.perf_counter() - start)
            answers.append(peer.answer(full, said.getvalue()))
        return Answers(
            points=np.stack([a.points for a in answers]),
            q=np.stack([a.q for a in answers]),
            seconds=np.array(seconds),
            failed=sum(a.failed for a in answers),
        )

    return run


def _scores(
    hand: HandDescription,
    found: Sequence[Answers],
    recordings: Sequence[np.ndarray],
    values: Float[np.ndarray, " n"],
    references: dict[str, Float[np.ndarray, " n"]],
) -> dict[str, Any]:
    seconds = np.concatenate([a.seconds for a in found])
    indices, tips = hand.keypoint_indices, hand.fingertip_slots
    error = np.concatenate(
        [
            np.linalg.norm(a.points[:, tips] - k[:, indices[tips]], axis=-1)
            for a, k in zip(found, recordings, strict=True)
        ]
    )
    q = np.concatenate([a.q for a in found])
    outside = np.maximum(hand.chain.lower - q, q - hand.chain.upper).max(axis=1) > _LIMIT
    bends = [np.abs(np.diff(a.q, 2, axis=0)) for a in found if len(a.q) > 2]
    steps = [np.abs(np.diff(a.q, axis=0)) for a in found if len(a.q) > 1]
    share = {
        f"at_least_as_good{suffix}": round(float(np.mean(values <= np.maximum(_AS_GOOD * references[key], _TINY))), 4)
        for key, suffix in ((CONVERGED, ""), (EXACT, "_exact"))
        if key in references
    }
    return {
        "ms_per_frame_median": round(float(np.median(seconds)) * 1e3, 4),
        "ms_per_frame_p99": round(float(np.percentile(seconds, 99)) * 1e3, 4),
        "ms_per_frame_mean": round(float(np.mean(seconds)) * 1e3, 4),
        "objective_median": round(float(np.median(values)), 7),
        "objective_mean": round(float(np.mean(values)), 7),
        **share,
        "fingertip_mm": round(float(error.mean()) * 1e3, 3),
        **_of_joints(hand, bends, "bend", np.mean),
        **_of_joints(hand, steps, "step_p99", _p99),
        "limit_violations": int(outside.sum()),
        "failures": sum(a.failed for a in found),
    }


def _p99(values: np.ndarray) -> float:
    return float(np.percentile(values, 99))


def _of_joints(
    hand: HandDescription, found: Sequence[np.ndarray], name: str, of: Callable[[np.ndarray], Any]
) -> dict[str, Any]:
    """``name_deg`` of the joints that turn and ``name_mm`` of those that slide, as far as the hand has them."""
    slides = np.isin(np.arange(len(hand.joint_names)), hand.chain.column[hand.chain.prismatic == 1])
    kinds = (("deg", 180 / math.pi, ~slides), ("mm", 1e3, slides))
    return {
        f"{name}_{unit}": round(float(of(np.concatenate(found)[:, joints])) * scale, 3) if found else None
        for unit, scale, joints in kinds
        if joints.any()
    }


def _restart(hand: HandDescription, system: System, recordings: Sequence[np.ndarray]) -> dict[str, Any]:
    """How much the same frames differ when the recording starts later."""
    differences = []
    for keypoints in recordings:
        whole = system(keypoints).q
        for shift in _SHIFTS:
            if len(keypoints) > shift + _SETTLE:
                differences.append(np.abs(system(keypoints[shift:]).q - whole[shift:])[_SETTLE:])
    return _of_joints(hand, differences, "restart", np.mean) | _of_joints(hand, differences, "restart_p99", _p99)


def _batch(hand: HandDescription, config: Any, recordings: Sequence[np.ndarray]) -> float:
    """ms a frame for 256 recordings at once, in one thread."""
    frames = np.concatenate(list(recordings))
    starts = np.linspace(0, max(len(frames) - _BATCH_FRAMES, 0), _BATCH).astype(int)
    batch = [np.ascontiguousarray(frames[s : s + _BATCH_FRAMES]) for s in starts]
    solver = Solver(hand, config)
    solver.solve(batch[0])
    start = time.perf_counter()
    total = sum(len(solver.solve(keypoints)[0]) for keypoints in batch)
    return round((time.perf_counter() - start) / total * 1e3, 4)
