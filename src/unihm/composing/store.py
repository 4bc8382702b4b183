"""All recordings of a store become a store of composed episodes, on all cores or a cluster; a run goes on.

    manifest.json, episodes/   what at least one hand could do, see `datasets.episode_store`
    refined/<hand>.parquet     the motions that were tried, with what came of them, see `datasets.motion_store`
    composing.json             how many of what was tried passed, by task and hand

What an interrupted run finished lies in `parts` until all is there.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from unihm.composing.base import COMPOSERS, FREE
from unihm.composing.parts import Came, ComposedParts
from unihm.composing.trying import Composing, Order, Tried
from unihm.datasets.episode_rows import EpisodeRecord
from unihm.datasets.episode_store import episode_table, read_episodes, write_episodes
from unihm.datasets.made_with import differences
from unihm.datasets.manifest import MANIFEST, REFINED, alone, read_manifest
from unihm.datasets.motion_store import write_motion_table
from unihm.datasets.splits import split
from unihm.datasets.workers import open_workers
from unihm.physical_data.checking import digest_of
from unihm.registry import unknown_name
from unihm.schema.episode import COMPOSED
from unihm.schema.storage import write_json
from unihm.simulation.ycb import LEANING, MASSES, ycb_mesh

REPORT = "composing.json"
PARTS = ("train", "validation")
"""Of the split ``release``, which recordings of these parts are composed of."""
_BATCH = 8  # orders a part: what a killed process loses at most
_DELAY = 2  # s until a progress bar is worth its line
_ANY = "any"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ComposedTask:
    """What came of one task with one hand."""

    task: str
    """Key of `COMPOSERS`."""
    hand: str
    """Its name; ``any`` counts what at least one hand did, which is kept."""
    orders: int
    """Episodes that were asked for."""
    composed: int
    """How many could be composed, and were tried."""
    passed: int
    """How many of these the hand did."""
    reasons: Mapping[str, int]
    """Why it did not the others; of ``any``, why nothing was composed."""


def sources(records: Sequence[EpisodeRecord]) -> list[str]:
    """Ids of the recordings that may be composed of: of YCB objects, never a test one, none that starts leaning.

    Raises:
        ValueError: The episodes lack what the split ``release`` is defined by, or there is none.
    """
    recorded = [r for r in records if COMPOSED not in r.attributes and r.object_name in MASSES]
    wanted = {name for part in PARTS for name in split("release", part, recorded)} - set(LEANING)
    if not wanted:
        raise ValueError("The store holds no recording of the training or validation part of split 'release'.")
    return [record.id for record in recorded if record.id in wanted]


def compose_store(
    data: str | Path,
    out: str | Path,
    names: Sequence[str],
    composing: Composing,
    models: str | Path,
    *,
    ids: Collection[str] | None = None,
    count: int = 1,
    workers: int | None = None,
    engine: str = "process",
) -> list[ComposedTask]:
    """Compose episodes of the recordings of a store, try them, and write those that a hand could do as a store.

    Args:
        data: The store of recordings.
        out: Folder of the new store; what an interrupted run finished is kept.
        names: Keys of `COMPOSERS`.
        composing: How.
        models: Folder of the true objects, see `simulation.ycb.load_ycb`.
        ids: Only of these recordings, of `sources`.
        count: Episodes of each task and recording. Of tasks without recordings there are as many.
        workers: See `open_workers`; default: all cores.
        engine: See `open_workers`.

    Returns:
        For each task a row of ``any`` and one of each hand.

    Raises:
        ValueError: A store is missing or damaged, a task or an object's model is, `out` holds something else, or no
            hand could do anything.
        ChildProcessError: A worker died; what was finished is kept.
    """
    data, out = Path(data), Path(out)
    for name in names:
        if name not in COMPOSERS:
            raise unknown_name("Task", name, COMPOSERS)
    if not names or count < 1:
        raise ValueError(f"{count} episodes of {len(names)} tasks are wanted, expected at least one of each.")
    records = episode_table(data)
    allowed = sources(records)
    wanted = [name for name in allowed if ids is None or name in ids]
    if not wanted:
        raise ValueError(f"None of the {len(ids or ())} recordings may be composed of: they are test ones, or lean.")
    objects: set[str] = set()
    if set(names) & set(FREE):
        asked = set(wanted)
        objects = {record.object_name for record in records if record.id in asked}
    options = {
        "format": "composed",
        "source": read_manifest(data)["fingerprint"],
        "tasks": list(names),
        "recordings": digest_of([name.encode() for name in wanted]),
        "count": count,
        "models": digest_of(ycb_mesh(models, name).read_bytes() for name in sorted(objects)),
        **composing.describe(),
    }
    orders = _orders(names, wanted, count)
    if (out / MANIFEST).exists():
        _check_same(out, options)
    with alone(out):
        parts = ComposedParts(out, options)
        if not (out / MANIFEST).exists() or parts.there:
            _compose(data, parts, orders, composing, workers, engine)
            _put_together(out, parts, list(orders), options)
    return [ComposedTask(**row) for row in json.loads((out / REPORT).read_text(encoding="utf-8"))["rows"]]


def _orders(names: Sequence[str], wanted: Sequence[str], count: int) -> dict[str, tuple[str, str | None]]:
    """Id of the new episode -> key of its composer, and id of its source."""
    orders: dict[str, tuple[str, str | None]] = {}
    for place, source in enumerate(wanted):
        for name in names:
            for number in range(count):
                if name in FREE:
                    orders[f"{source}/{name}-{number}"] = name, source
                else:
                    orders[f"composed/{name}/{place * count + number:05d}"] = name, None
    return orders


def _check_same(out: Path, options: Mapping[str, Any]) -> None:
    old = read_manifest(out)["options"]
    different = differences(old, options)
    if different:
        raise ValueError(f"'{out}' was made otherwise ({different}); choose another folder or remove it.")
    if old.get("code") != options.get("code"):
        _log.warning("'%s': kept, but made by other code (unihm %s)", out, old.get("unihm"))


def _compose(
    data: Path,
    parts: ComposedParts,
    orders: Mapping[str, tuple[str, str | None]],
    composing: Composing,
    workers: int | None,
    engine: str,
) -> None:
    """Work off what is to be done, and keep what comes in, also when it is interrupted."""
    todo = [name for name in orders if name not in parts.came]
    if not todo:
        return
    batch: list[Tried] = []
    kept = sum(came.kept for came in parts.came.values())

    def keep() -> None:
        if batch:
            parts.add(batch)
            batch.clear()

    done = len(orders) - len(todo)
    with (
        tqdm(total=len(orders), initial=done, desc="compose", unit="episode", disable=None, delay=_DELAY) as bar,
        open_workers(composing, workers=workers, engine=engine, most=len(todo)) as run,
    ):
        tasks = _tasks(data, todo, orders)
        try:
            # The first one alone: on first use it compiles what the other workers then find.
            for some in (islice(tasks, 1), tasks):
                for _, result in run(some):
                    batch.append(result)
                    kept += bool(result.passed)
                    if len(batch) >= _BATCH:
                        keep()
                    bar.set_postfix_str(f"{kept} kept", refresh=False)
                    bar.update()
        finally:
            keep()


def _tasks(data: Path, todo: Sequence[str], orders: Mapping[str, tuple[str, str | None]]) -> Iterator[Order]:
    named = dict.fromkeys(source for name in todo if (source := orders[name][1]) is not None)
    episodes = {episode.id: episode for episode in read_episodes(data, list(named))}
    for name in todo:
        composer, source = orders[name]
        yield Order(id=name, name=composer, source=None if source is None else episodes[source])


def _put_together(out: Path, parts: ComposedParts, ids: list[str], options: dict[str, Any]) -> None:
    """Write the store of what is kept; the parts go when all of it is there."""
    rows = _rows(parts.came, options["tasks"])
    kept = [name for name in ids if parts.came[name].kept]
    if not kept:
        parts.remove()  # something is wrong that may be mended
        reasons = Counter(reason for row in rows for reason, count in row.reasons.items() for _ in range(count))
        raise ValueError(f"None of {len(ids)} episodes passed; most often: {reasons.most_common(1)[0][0]}.")
    skipped: dict[str, list[str]] = {}
    for name in ids:
        came = parts.came[name]
        if not came.kept:
            skipped.setdefault(came.refused or "no hand did it", []).append(name)
    write_episodes(out, parts.episodes(kept), options=options, skipped=skipped)
    for hand in options["hands"]:
        found = parts.motions(hand, kept)
        if found is not None:
            joint_names, table = found
            failed = {name: why for name in kept if (why := parts.came[name].reasons[hand])}
            there = set(table["id"].to_pylist())
            header = {
                "joint_names": joint_names,
                "made_with": options,
                "skipped": {name: why for name, why in failed.items() if name not in there},
            }
            write_motion_table(out, hand, table, header, kind=REFINED)
    write_json(out / REPORT, {"rows": [asdict(row) for row in rows]})
    parts.remove()


def _rows(came: Mapping[str, Came], tasks: Sequence[str]) -> list[ComposedTask]:
    rows = []
    for task in tasks:
        some = [one for name, one in sorted(came.items()) if _task_of(name) == task]
        tried = [one for one in some if not one.refused]
        refused = Counter(one.refused for one in some if one.refused)
        rows.append(_row(task, _ANY, some, sum(one.kept for one in tried), refused))
        for hand in dict.fromkeys(hand for one in tried for hand in one.reasons):
            failed = Counter(one.reasons[hand] for one in tried if one.reasons[hand])
            rows.append(_row(task, hand, some, len(tried) - sum(failed.values()), failed))
    return rows


def _row(task: str, hand: str, some: Sequence[Came], passed: int, reasons: Counter[str]) -> ComposedTask:
    composed = sum(not one.refused for one in some)
    return ComposedTask(
        task=task, hand=hand, orders=len(some), composed=composed, passed=passed, reasons=dict(sorted(reasons.items()))
    )


def _task_of(name: str) -> str:
    """The task in an order's id, see `_orders`."""
    head, _, tail = name.rpartition("/")
    return head.rpartition("/")[2] if head.startswith("composed/") else tail.rpartition("-")[0]
