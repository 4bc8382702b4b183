"""The episodes of a store become motions of hands, on all cores or a cluster; an interrupted run goes on.

Recordings are handed to workers in chunks of some thousand frames as one float32 array; what comes back is kept part
by part (`motion_parts`), and a hand's file appears when it is complete. Which worker solves what, and in which chunks,
does not change the results.

Motions record how they were made. Complete motions that were made with other settings, for another shape of the hand,
or before this was recorded are never replaced or mixed with new ones without being told so (``force``).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unihm.datasets.episode_store import episode_table, read_keypoints
from unihm.datasets.made_with import differences
from unihm.datasets.manifest import alone, hands_in, read_manifest
from unihm.datasets.motion_parts import MotionParts, remove_parts
from unihm.datasets.motion_rows import motion_table
from unihm.datasets.motion_store import motion_header, motion_ids
from unihm.datasets.recordings import Recordings, Retargeting
from unihm.datasets.workers import Run, open_workers

_CHUNK = 2048  # frames a task: about half a second of work, which is what an interruption loses a worker
_DELAY = 2  # s until a progress bar is worth its line

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RetargetedHand:
    """One hand's motions in the store."""

    hand: str
    """Its name."""
    kept: bool
    """They were complete before."""
    episodes: int
    """How many motions."""
    frames: int
    """Their frames."""
    unconverged: int | None
    """Frames whose search ended before it converged; None where that was not recorded."""
    seconds: float | None
    """Processor time that the search took, of all workers; None where they were complete before."""


def retarget_store(
    folder: str | Path,
    hands: Sequence[str],
    retargeting: Retargeting,
    *,
    workers: int | None = None,
    engine: str = "process",
    force: bool = False,
) -> list[RetargetedHand]:
    """Retarget every episode of a store to hands; what is finished there is kept.

    Args:
        folder: The store.
        hands: Names or folders of hands, as `retargeting` understands them.
        retargeting: How.
        workers: See `open_workers`; default: all cores.
        engine: See `open_workers`.
        force: Make complete motions anew, too.

    Raises:
        ValueError: The store is damaged, a hand is unfit, keypoints are, or a hand's motions were made otherwise.
        ChildProcessError: A worker died; what was finished is kept.
    """
    folder = Path(folder)
    described = {hand: retargeting.describe(hand) for hand in hands}
    read_manifest(folder)
    with alone(folder):
        todo = {}
        for hand, (name, made_with) in described.items():
            if force or not _complete(folder, name, made_with):
                todo[hand] = MotionParts(folder, name, made_with)
            else:
                remove_parts(folder, name)
        seconds = _retarget(folder, todo, retargeting, workers, engine) if todo else {}
    return [_summary(folder, name, seconds.get(name)) for name, _ in described.values()]


def _complete(folder: Path, hand: str, made_with: Mapping[str, Any]) -> bool:
    """Whether the hand's motions are there; raises ValueError where they were made otherwise."""
    if hand not in hands_in(folder):
        return False
    old = motion_header(folder, hand)["made_with"]
    if motion_ids(folder, hand) != [record.id for record in episode_table(folder)]:
        reason = "are of some of the episodes only"
    elif old is None:
        reason = "do not say how they were made (by an earlier unihm, or other software)"
    else:
        different = differences(old, made_with)
        if not different:
            if old.get("code") != made_with.get("code"):
                _log.warning("%s: kept, but made by other code (unihm %s); --force makes it anew", hand, old["unihm"])
            return True
        reason = f"were made with another {different}"
    raise ValueError(
        f"Motions of '{hand}' in '{folder}' {reason}; 'unihm data retarget --force' replaces them. Weights that were "
        "trained on them should then be trained again."
    )


def _retarget(
    folder: Path, todo: Mapping[str, MotionParts], retargeting: Retargeting, workers: int | None, engine: str
) -> dict[str, float]:
    """Solve what is missing, keep it, and write each hand when it is complete; returns the time that each took."""
    recordings = read_keypoints(folder)
    for name, (_, keypoints) in recordings.items():
        retargeting.check(keypoints, f"Episode '{name}': ")
    chunks = [
        (hand, ids)
        for hand, parts in todo.items()
        for ids in _chunks({name: len(k) for name, (_, k) in recordings.items() if name not in parts.ids})
    ]
    seconds: dict[str, float] = {}
    left = {hand: sum(1 for other, _ in chunks if other == hand) for hand in todo}
    done = sum(len(parts.ids) for parts in todo.values())
    with tqdm(
        total=len(recordings) * len(todo), initial=done, desc="retarget", unit="episode", disable=None, delay=_DELAY
    ) as bar:
        for hand in [hand for hand, count in left.items() if count == 0]:  # ended just before they were put together
            seconds[todo[hand].hand] = todo[hand].merge()
        if not chunks:
            return seconds
        with open_workers(retargeting, workers=workers, engine=engine, most=len(chunks)) as run:
            bar.set_postfix_str("preparing hands, which takes long on first use", refresh=False)
            shown = threading.Timer(_DELAY, bar.refresh)
            shown.start()
            try:
                _warm_up(run, [hand for hand, count in left.items() if count], recordings)
            finally:
                shown.cancel()
            for index, solved in run(_task(hand, ids, recordings) for hand, ids in chunks):
                hand, ids = chunks[index]
                cuts = np.cumsum([len(recordings[name][1]) for name in ids])[:-1]
                table = motion_table(
                    ids,
                    [recordings[name][0] for name in ids],
                    np.split(solved.qpos, cuts),
                    np.split(solved.T_world_palm, cuts),
                )
                facts = {"unconverged": solved.unconverged, "seconds": solved.seconds}
                todo[hand].add(table, {"joint_names": list(solved.joint_names), **facts})
                left[hand] -= 1
                bar.set_postfix_str(todo[hand].hand, refresh=False)
                bar.update(len(ids))
                if not left[hand]:
                    seconds[todo[hand].hand] = todo[hand].merge()
    return seconds


def _chunks(lengths: Mapping[str, int]) -> Iterator[list[str]]:
    """Recordings in a row with at least `_CHUNK` frames together, the last ones with less."""
    chunk, frames = [], 0
    for name, length in lengths.items():
        chunk.append(name)
        frames += length
        if frames >= _CHUNK:
            yield chunk
            chunk, frames = [], 0
    if chunk:
        yield chunk


def _task(hand: str, ids: Sequence[str], recordings: Mapping[str, tuple[float, np.ndarray]]) -> Recordings:
    return Recordings(
        hand=hand,
        lengths=tuple(len(recordings[name][1]) for name in ids),
        fps=tuple(recordings[name][0] for name in ids),
        keypoints_world=np.concatenate([recordings[name][1] for name in ids]),
    )


def _warm_up(run: Run, hands: Sequence[str], recordings: Mapping[str, tuple[float, np.ndarray]]) -> None:
    """Let one worker compile, then one a hand prepare it, before all do the same at once; what they leave is cached."""
    fps, keypoints = next(iter(recordings.values()))
    tasks = [Recordings(hand=h, lengths=(1,), fps=(fps,), keypoints_world=keypoints[:1]) for h in hands]
    for some in (tasks[:1], tasks[1:]):
        for _ in run(some):
            pass


def _summary(folder: Path, hand: str, seconds: float | None) -> RetargetedHand:
    records = episode_table(folder)
    return RetargetedHand(
        hand=hand,
        kept=seconds is None,
        episodes=len(records),
        frames=sum(record.num_frames for record in records),
        unconverged=motion_header(folder, hand).get("unconverged"),
        seconds=None if seconds is None else round(seconds, 3),
    )
