"""All recordings of a store, on all cores or a cluster: ``refined/<hand>.parquet``; an interrupted run goes on.

A hand's file grows: what it holds was made with the same settings, and a later run adds the recordings that it still
lacks. Files that were made with other settings are refused unless they are to be replaced.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from unihm.datasets.episode_rows import EpisodeRecord
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.made_with import differences
from unihm.datasets.manifest import REFINED, alone, hands_in
from unihm.datasets.motion_parts import MotionParts, remove_parts
from unihm.datasets.motion_rows import Checked, checked_table
from unihm.datasets.motion_store import attach, motion_header, motion_ids, motion_rows, read_checks, read_motions
from unihm.datasets.workers import open_workers
from unihm.physical_data.checking import CheckedMotion, Recording, Refining, digest_of
from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.ycb import LEANING, load_ycb, ycb_mesh

_BATCH = 8  # recordings a part: what a killed process loses at most
_DELAY = 2  # s until a progress bar is worth its line
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RefinedHand:
    """What the store holds of one hand, of the recordings that were asked for."""

    hand: str
    """Its name."""
    kept: bool
    """All of them were there before."""
    episodes: int
    """How many motions, successes and failures."""
    success: int
    """How many of them succeed."""
    success_first: int
    """How many succeed as they were refined, without variation."""
    reasons: Mapping[str, int]
    """Why the others fail."""
    leaning: int
    """Recordings left out by name, since they start leaning on something unrecorded."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Why other recordings gave no motion, and how many."""
    seconds: float
    """Processor time of this run, of all workers."""


def refine_store(
    folder: str | Path,
    hands: Sequence[str],
    refining: Refining,
    models: str | Path,
    *,
    ids: Collection[str] | None = None,
    workers: int | None = None,
    engine: str = "process",
    force: bool = False,
) -> list[RefinedHand]:
    """Refine and check the retargeted motions of a store; what is finished there is kept.

    Args:
        folder: The store, with motions of the hands.
        hands: Names or folders of hands, as `refining` understands them.
        refining: How.
        models: Folder of the true objects, see `simulation.ycb.load_ycb`.
        ids: Only these episodes.
        workers: See `open_workers`; default: all cores.
        engine: See `open_workers`.
        force: Replace what is there, also what was made otherwise.

    Raises:
        ValueError: The store lacks motions of a hand or is damaged, an episode or an object is unknown, an object's
            model is missing, a hand's refined motions were made otherwise, or no recording gave a motion.
        ChildProcessError: A worker died; what was finished is kept.
    """
    folder, records = Path(folder), episode_table(folder)
    known = {record.id for record in records}
    for name in ids or ():
        if name not in known:
            raise unknown_name("Episode", name, known)
    asked = [record for record in records if ids is None or record.id in ids]
    wanted = [record for record in asked if record.id not in LEANING]
    for name in sorted({record.object_name for record in wanted}):
        ycb_mesh(models, name)
    objects = _models_digest(models, {record.object_name for record in records})
    rows = []
    with alone(folder):
        work = [_HandWork(folder, hand, refining, objects, wanted, force) for hand in hands]
        if any(hand.todo for hand in work):
            _refine(folder, work, refining, models, workers, engine)
        for hand in work:
            rows.append(hand.finish(len(asked) - len(wanted)))
    for row in rows:
        if row.skipped and not row.episodes:
            reason, count = max(row.skipped.items(), key=lambda item: item[1])
            raise ValueError(f"No recording of '{row.hand}' gave a motion; of {count} it was said: {reason}")
    return rows


class _HandWork:
    """What is there of one hand, and what is to be done."""

    def __init__(
        self,
        folder: Path,
        hand: str,
        refining: Refining,
        objects: str,
        wanted: Sequence[EpisodeRecord],
        force: bool,
    ):
        self.folder, self.as_named = folder, hand
        self.name, settings = refining.describe(hand)
        source = motion_header(folder, self.name)
        self.joint_names: list[str] = source["joint_names"]
        self.made_with = {**settings, "retargeted": source["digest"], "models": objects}
        self.before: tuple[Mapping[str, Any], pa.Table] | None = None
        other_code = False
        if not force and self.name in hands_in(folder, REFINED):
            header = motion_header(folder, self.name, kind=REFINED)
            other_code = self._check(header)
            self.before = header, motion_rows(folder, self.name, kind=REFINED)
        self.parts = MotionParts(folder, self.name, self.made_with, kind=REFINED)
        there = set(motion_ids(folder, self.name))
        self.wanted = [record.id for record in wanted if record.id in there]
        done = set(self.parts.ids)
        if self.before is not None:
            done |= {*self.before[1]["id"].to_pylist(), *self.before[0].get("skipped", {})}
        self.todo = [name for name in self.wanted if name not in done]
        if self.before is not None and self.todo and other_code:
            raise ValueError(
                f"Refined motions of '{self.name}' in '{self.folder}' were made by other code than this, and lack "
                f"{len(self.todo)} of the recordings; added to, they would be of two kinds. 'unihm data refine "
                "--force' makes them anew."
            )
        self.seconds = 0.0
        self._batch: list[CheckedMotion] = []

    def _check(self, header: Mapping[str, Any]) -> bool:
        """Whether what is there was made by other code; raises ValueError where it was made with other settings."""
        old = header["made_with"]
        different = differences(old, self.made_with)
        if different:
            raise ValueError(
                f"Refined motions of '{self.name}' in '{self.folder}' were made with another {different}; 'unihm data "
                "refine --force' replaces them. Weights that were trained on them should then be trained again."
            )
        other_code = old.get("code") != self.made_with.get("code")
        if other_code:
            _log.warning("%s: kept, but made by other code (unihm %s); --force makes it anew", self.name, old["unihm"])
        return other_code

    def add(self, result: CheckedMotion) -> None:
        """Keep a result, at the latest with the next ones."""
        self._batch.append(result)
        if len(self._batch) >= _BATCH:
            self.keep()

    def keep(self) -> None:
        """Write what has come in."""
        if not self._batch:
            return
        motions: dict[str, HandMotion] = {r.id: r.motion for r in self._batch if r.motion is not None}
        checked: dict[str, Checked] = {r.id: r.checked for r in self._batch if r.checked is not None}
        facts = {
            "joint_names": self.joint_names,
            "seconds": sum(r.seconds for r in self._batch),
            "skipped": {r.id: r.skipped for r in self._batch if r.motion is None},
        }
        self.parts.add(checked_table(motions, checked, len(self.joint_names)), facts)
        self.seconds += facts["seconds"]
        self._batch = []

    def finish(self, leaning: int) -> RefinedHand:
        """Put the hand's file together and say what it holds of what was asked for."""
        kept = not self.parts.ids
        skipped: Mapping[str, str] = self.parts.skipped
        if kept or (self.before is None and self.parts.ids == set(skipped)):
            remove_parts(self.folder, self.name, REFINED)  # where all failed, something is wrong that may be mended
        else:
            self.parts.merge(self.before)
        checks: dict[str, Checked] = {}
        if self.name in hands_in(self.folder, REFINED):
            checks = read_checks(self.folder, self.name)
            skipped = {**skipped, **motion_header(self.folder, self.name, kind=REFINED).get("skipped", {})}
        found = [checks[name] for name in self.wanted if name in checks]
        return RefinedHand(
            hand=self.name,
            kept=kept,
            episodes=len(found),
            success=sum(one.success for one in found),
            success_first=sum(one.success and one.candidate == 0 for one in found),
            reasons=dict(sorted(Counter(one.reason for one in found if not one.success).items())),
            leaning=leaning,
            skipped=dict(sorted(Counter(skipped[name] for name in self.wanted if name in skipped).items())),
            seconds=round(self.seconds, 3),
        )


def _refine(
    folder: Path,
    work: Sequence[_HandWork],
    refining: Refining,
    models: str | Path,
    workers: int | None,
    engine: str,
) -> None:
    """Work off what is to be done, and keep what comes in, also when it is interrupted."""
    order = [(hand, name) for hand in work for name in hand.todo]
    done = sum(len(hand.wanted) - len(hand.todo) for hand in work)
    tried = good = 0
    with (
        tqdm(total=done + len(order), initial=done, desc="refine", unit="motion", disable=None, delay=_DELAY) as bar,
        open_workers(refining, workers=workers, engine=engine, most=len(order)) as run,
    ):
        tasks = _tasks(folder, work, models)
        try:
            # The first one alone: on first use it compiles what the other workers then find.
            for start, some in ((0, islice(tasks, 1)), (1, tasks)):
                for index, result in run(some):
                    hand, _ = order[start + index]
                    hand.add(result)
                    tried, good = tried + 1, good + (result.checked is not None and result.checked.success)
                    bar.set_postfix_str(f"{hand.name}, {good} of {tried} succeed", refresh=False)
                    bar.update()
        finally:
            for hand in work:
                hand.keep()


def _tasks(folder: Path, work: Sequence[_HandWork], models: str | Path) -> Iterator[Recording]:
    """Hand after hand in the order of `_HandWork.todo`; objects are read once, and sent along."""

    @lru_cache
    def true_object(name: str, mirrored: bool) -> SolidObject:
        solid = load_ycb(models, name, mirrored=mirrored)
        _ = solid.inertia  # computed here once, not by every worker for every recording
        return solid

    episodes = {e.id: e for e in read_episodes(folder, sorted({name for hand in work for name in hand.todo}))}
    for hand in work:
        motions = read_motions(folder, hand.name, hand.todo) if hand.todo else {}
        for name, motion in motions.items():
            episode = episodes[name]
            yield Recording(
                id=name,
                recording=episode.recording,
                hand=hand.as_named,
                motion=attach(motion, episode),
                object=true_object(episode.object_name, episode.mirrored),
            )


def _models_digest(models: str | Path, objects: Collection[str]) -> str:
    """Of the models of all objects of the store, whichever are asked for; a missing one counts as such."""
    contents = []
    for name in sorted(objects):
        try:
            contents.append(ycb_mesh(models, name).read_bytes())
        except ValueError:
            contents.append(b"none")
    return digest_of(contents)
