"""Gaps in recorded keypoints: short ones are bridged and counted, long ones refused or cut out.

Between the complete frames a and b on both sides of a gap, the wrist moves on a straight line, the palm turns at a
constant rate (slerp), and each bone turns in the palm frame from its direction in a to that in b, with its length
between theirs: bones do not shrink, as they would if points moved on straight lines. Before the first and after the
last complete frame, the nearest one is held. Where only some points of a frame are missing, those that were seen
stay, and the others follow from the same bones, laid out from the palm that was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from unihm.kinematics.keypoints import BONES, FINGERS, INDEX_MCP, MIDDLE_MCP, NAMES, PINKY_MCP, RING_MCP, WRIST
from unihm.kinematics.keypoints import palm_frame as _palm_frame
from unihm.sources.base import KeypointSequence

_CHUNK = 1 << 14  # bridged frames at a time: memory stays bounded
_PALM = [WRIST, INDEX_MCP, MIDDLE_MCP, RING_MCP, PINKY_MCP]  # points that move rigidly with the palm
_PARENT, _CHILD = (np.array(ends) for ends in zip(*BONES, strict=True))


@dataclass(frozen=True, kw_only=True)
class GapConfig:
    """What may be bridged."""

    max_gap_s: float = 0.5
    """Longest gap that is bridged, s. A reach takes about a second; in half of it, a hand seldom turns back."""


@dataclass(frozen=True, kw_only=True)
class GapReport:
    """What was missing, and what was done about it; frames of the recording as it came."""

    frames: int
    """All frames."""
    missing: int
    """Frames without a hand, or without enough of the palm to place one."""
    partial: int
    """Frames in which the palm was seen, but not all points."""
    bridged: int
    """Frames of these two that were filled in."""
    dropped: int
    """Frames of these two that were cut out, within gaps longer than the limit."""
    gaps: int
    """Number of gaps."""
    longest_gap: int
    """Frames of the longest gap."""
    longest_gap_s: float
    """The same in seconds."""


def bridge(sequence: KeypointSequence, config: GapConfig = GapConfig()) -> tuple[KeypointSequence, GapReport]:
    """Fill all gaps; nothing is copied where there is none.

    Returns:
        The sequence with finite keypoints, and what was missing. `KeypointSequence.valid` still says which frames
        were measured.

    Raises:
        ValueError: No frame is complete, a finger is missing throughout, or a gap is longer than the limit.
    """
    known, runs = _gaps(sequence)
    limit = _limit(sequence, config)
    for start, end in runs:
        if end - start > limit:
            raise ValueError(_too_long(sequence, known, start, end, config))
    filled = sequence.replace(keypoints=_fill(sequence.keypoints, known, runs))
    return filled, _report(sequence, known, runs, runs)


def split(sequence: KeypointSequence, config: GapConfig = GapConfig()) -> tuple[list[KeypointSequence], GapReport]:
    """Cut the sequence at gaps longer than the limit and bridge the others.

    Returns:
        The pieces, each with the number of its first frame, and what was missing in all of them together.

    Raises:
        ValueError: No frame is complete, or a finger is missing throughout.
    """
    known, runs = _gaps(sequence)
    limit = _limit(sequence, config)
    short = [run for run in runs if run[1] - run[0] <= limit]
    points = _fill(sequence.keypoints, known, short)
    cuts = [(0, 0), *(run for run in runs if run[1] - run[0] > limit), (len(sequence), len(sequence))]
    pieces = [
        sequence.replace(
            keypoints=points[start:end], valid=sequence.valid[start:end], start_frame=sequence.start_frame + start
        )
        for (_, start), (end, _) in pairwise(cuts)
        if end > start
    ]
    return pieces, _report(sequence, known, runs, short)


def _limit(sequence: KeypointSequence, config: GapConfig) -> int:
    """Longest gap in frames."""
    if not config.max_gap_s >= 0:
        raise ValueError(f"The longest gap to bridge is {config.max_gap_s:g} s, expected zero or more.")
    return int(min(np.floor(config.max_gap_s * sequence.fps + 1e-9), len(sequence)))


def _gaps(sequence: KeypointSequence) -> tuple[Bool[np.ndarray, "T 21"], list[tuple[int, int]]]:
    """Which points are known, and the runs [start, end) of frames that are not complete."""
    if not len(sequence):
        raise ValueError(f"{_where(sequence)}there is no frame; expected at least one.")
    known: np.ndarray = np.all(np.isfinite(sequence.keypoints), axis=-1)
    complete = np.all(known, axis=1)
    if not complete.any():
        raise ValueError(_never(sequence, known))
    edges = np.flatnonzero(np.diff(np.concatenate([[True], complete, [True]])))
    return known, [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _fill(
    keypoints: Float[np.ndarray, "T 21 3"], known: Bool[np.ndarray, "T 21"], runs: Sequence[tuple[int, int]]
) -> Float[np.ndarray, "T 21 3"]:
    """The keypoints with these runs filled."""
    if not runs:
        return keypoints
    points = np.array(keypoints, dtype=np.float64)
    frames = np.concatenate([np.arange(start, end) for start, end in runs])
    before = np.concatenate([np.full(end - start, start - 1) for start, end in runs])
    after = np.concatenate([np.full(end - start, end) for start, end in runs])
    before, after = np.where(before < 0, after, before), np.where(after >= len(points), before, after)
    weight = (frames - before) / np.maximum(after - before, 1)
    seen = _palm_seen(known[frames])
    for start in range(0, len(frames), _CHUNK):
        part = slice(start, start + _CHUNK)
        f = frames[part]
        R, wrist, bones = _between(points[before[part]], points[after[part]], weight[part])
        R, wrist = _place(R, wrist, bones, points[f], known[f], seen[part])
        points[f] = _lay_out(R, wrist, bones, points[f], known[f] & seen[part, None])
    return points


def _palm_seen(known: Bool[np.ndarray, "n 21"]) -> Bool[np.ndarray, " n"]:
    """Frames in which the palm's pose follows from its points: the wrist and two finger bases or more."""
    return known[:, WRIST] & (known[:, _PALM[1:]].sum(axis=1) >= 2)


def _between(
    a: Float[np.ndarray, "n 21 3"], b: Float[np.ndarray, "n 21 3"], weight: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"], Float[np.ndarray, "n 20 3"]]:
    """Palm rotation, wrist, and bones in the palm frame (m), on the way from a (0) to b (1)."""
    from scipy.spatial.transform import Rotation  # only recordings with gaps pay for its import

    R_a, R_b = _palm_frame(a)[:, :3, :3], _palm_frame(b)[:, :3, :3]
    turn = Rotation.from_matrix(R_a.swapaxes(1, 2) @ R_b).as_rotvec()
    R = R_a @ Rotation.from_rotvec(weight[:, None] * turn).as_matrix()
    bones_a, bones_b = ((p[:, _CHILD] - p[:, _PARENT]) @ T for p, T in ((a, R_a), (b, R_b)))
    wrist = a[:, WRIST] + weight[:, None] * (b[:, WRIST] - a[:, WRIST])
    return R, wrist, _turn_bones(bones_a, bones_b, weight[:, None, None])


def _turn_bones(
    a: Float[np.ndarray, "n m 3"], b: Float[np.ndarray, "n m 3"], weight: Float[np.ndarray, "n 1 1"]
) -> Float[np.ndarray, "n m 3"]:
    """Directions by slerp, lengths linearly."""
    length_a, length_b = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    unit_a, unit_b = a / np.maximum(length_a, 1e-12), b / np.maximum(length_b, 1e-12)
    angle = np.arccos(np.clip((unit_a * unit_b).sum(-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    plain = sine < 1e-6  # the same direction; opposite ones do not occur in a hand, and a stays for them
    sine = np.where(plain, 1, sine)
    share_a = np.where(plain, 1, np.sin((1 - weight) * angle) / sine)
    share_b = np.where(plain, 0, np.sin(weight * angle) / sine)
    return (share_a * unit_a + share_b * unit_b) * ((1 - weight) * length_a + weight * length_b)


def _place(
    R: Float[np.ndarray, "n 3 3"],
    wrist: Float[np.ndarray, "n 3"],
    bones: Float[np.ndarray, "n 20 3"],
    observed: Float[np.ndarray, "n 21 3"],
    known: Bool[np.ndarray, "n 21"],
    seen: Bool[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 3"]]:
    """Where the palm was seen, its own pose: the rotation about the seen wrist that fits best (Kabsch 1976)."""
    if not seen.any():
        return R, wrist
    R, wrist = R.copy(), wrist.copy()
    observed, known = observed[seen], known[seen][:, _PALM[1:]]
    bases = [BONES.index((WRIST, base)) for base in _PALM[1:]]
    offset = np.where(known[..., None], observed[:, _PALM[1:]] - observed[:, :1], 0)
    U, _, Vt = np.linalg.svd(offset.swapaxes(1, 2) @ bones[seen][:, bases])
    U[:, :, 2] *= np.linalg.det(U @ Vt)[:, None]
    R[seen], wrist[seen] = U @ Vt, observed[:, WRIST]
    return R, wrist


def _lay_out(
    R: Float[np.ndarray, "n 3 3"],
    wrist: Float[np.ndarray, "n 3"],
    bones: Float[np.ndarray, "n 20 3"],
    observed: Float[np.ndarray, "n 21 3"],
    keep: Bool[np.ndarray, "n 21"],
) -> Float[np.ndarray, "n 21 3"]:
    """From the wrist outwards: points that were seen stay, each other one is its parent plus its bone."""
    points = np.where(keep[..., None], observed, 0)
    points[:, WRIST] = wrist
    world = bones @ R.swapaxes(1, 2)
    for bone, (parent, child) in enumerate(BONES):
        laid = points[:, parent] + world[:, bone]
        points[:, child] = np.where(keep[:, child, None], points[:, child], laid)
    return points


def _report(
    sequence: KeypointSequence,
    known: Bool[np.ndarray, "T 21"],
    runs: Sequence[tuple[int, int]],
    filled: Sequence[tuple[int, int]],
) -> GapReport:
    total, bridged = (sum(end - start for start, end in some) for some in (runs, filled))
    longest = max((end - start for start, end in runs), default=0)
    partial = sum(int(_palm_seen(known[start:end]).sum()) for start, end in runs)
    return GapReport(
        frames=len(sequence),
        missing=total - partial,
        partial=partial,
        bridged=bridged,
        dropped=total - bridged,
        gaps=len(runs),
        longest_gap=longest,
        longest_gap_s=longest / sequence.fps,
    )


def _where(sequence: KeypointSequence) -> str:
    return f"'{sequence.source}': " if sequence.source else ""


def _fingers(points: Bool[np.ndarray, " 21"]) -> str:
    """Names for missing points: a finger where all four are, else the points themselves."""
    names = ["wrist"] if points[WRIST] else []
    for number, finger in enumerate(FINGERS):
        four = slice(1 + 4 * number, 5 + 4 * number)
        names += (
            [f"the {finger}"]
            if points[four].all()
            else [n for n, p in zip(NAMES[four], points[four], strict=True) if p]
        )
    return ", ".join(names)


def _never(sequence: KeypointSequence, known: Bool[np.ndarray, "T 21"]) -> str:
    """Why no frame is complete."""
    seen = known.any(axis=1)
    if not seen.any():
        return f"{_where(sequence)}no hand in any of the {len(known)} frames (all NaN or zeros)."
    never: np.ndarray = ~np.any(known, axis=0)
    if never.any():
        return (
            f"{_where(sequence)}missing (NaN or zeros) in all {len(known)} frames: {_fingers(never)}. All 21 keypoints "
            "are needed; what was never seen cannot be bridged."
        )
    rarest = int(known.sum(axis=0).argmin())
    return (
        f"{_where(sequence)}in none of the {len(known)} frames are all 21 keypoints known (not NaN); {NAMES[rarest]} "
        f"is missing most often, in {int((~known[:, rarest]).sum())}."
    )


def _too_long(
    sequence: KeypointSequence, known: Bool[np.ndarray, "T 21"], start: int, end: int, config: GapConfig
) -> str:
    never: np.ndarray = ~np.any(known[start:end], axis=0)
    what = "no hand" if never.all() else f"missing {_fingers(never)}" if never.any() else "no complete hand"
    first, last = sequence.start_frame + start, sequence.start_frame + end - 1
    return (
        f"{_where(sequence)}{what} (NaN) from frame {first} to {last}, {(end - start) / sequence.fps:.2f} s; gaps of "
        f"up to {config.max_gap_s:g} s are bridged. Raise that limit, or cut the recording there."
    )
