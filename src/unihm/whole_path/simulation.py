"""From words and an image to success: the simulated counterpart of the paper's Table 3.

Trials are made world by world (`worlds`, `trials`), spread over processes, kept as they end, and counted
(`simulation_rows`). Columns are the paper's; rows tell parts (seen, unseen), hands and ways apart, with Wilson's
interval and the same for trials that are alike by object.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from tqdm import tqdm

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.manifest import read_manifest
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.simulation import SimulationTable
from unihm.evaluation.simulation_rows import ALL_HANDS, GROUPS, paired_rows, success_rows
from unihm.evaluation.surviving import surviving
from unihm.evaluation.trial_log import TrialLog, code_digest
from unihm.evaluation.trials import TrialResult
from unihm.hands.description import describe_hand
from unihm.registry import unknown_name
from unihm.schema.episode import Episode
from unihm.simulation.constants import FRICTION
from unihm.simulation.ycb import LEANING, load_ycb
from unihm.whole_path.films import write_films
from unihm.whole_path.trials import (
    BEST,
    REFERENCES,
    SETTINGS,
    AskedBatch,
    AskedSettings,
    crashed,
    names_of,
    run_batch,
)
from unihm.whole_path.worlds import COLUMNS, FURNITURE, PARTS

SPLIT = "release"
"""What is seen and unseen."""
PAPER = {
    "seen": {"grab": 0.65, "place": 0.50, "pull-push": 0.60, "open-close": 0.55},
    "unseen": {"grab": 0.60, "place": 0.35, "pull-push": 0.55, "open-close": 0.45},
}
"""The paper's Table 3, on a real robot: part -> column -> success."""
_QUICK = 1  # worlds a cell


@dataclass(frozen=True, kw_only=True)
class AskedOptions:
    """What is tried."""

    ways: tuple[str, ...] = SETTINGS
    """Settings and references of `trials`."""
    columns: tuple[str, ...] = tuple(COLUMNS)
    """Keys of `COLUMNS`."""
    parts: tuple[str, ...] = PARTS
    """Of `PARTS`."""
    frictions: tuple[float, ...] = (FRICTION,)
    """Sliding friction of every pair; every motion is tried at each."""
    worlds: int = 200
    """Worlds of each part and column; every hand is tried in each."""
    seed: int = 0
    """Of worlds, tokens, candidates and intervals."""

    def __post_init__(self):
        """Refuse what does not exist."""
        for name in self.ways:
            if name not in (*SETTINGS, *REFERENCES) and not (name.startswith(BEST) and _count(name)):
                raise unknown_name("Setting", name, (*SETTINGS, *REFERENCES))
        for name in self.columns:
            if name not in COLUMNS:
                raise unknown_name("Column", name, COLUMNS)
        for name in self.parts:
            if name not in PARTS:
                raise unknown_name("Part", name, PARTS)
        if not (self.ways and self.columns and self.parts):
            raise ValueError("There is nothing to try: give at least one setting, column and part.")
        if self.worlds < 1:
            raise ValueError(f"The number of worlds is {self.worlds}, expected at least 1.")
        if not self.frictions or not all(np.isfinite(mu) and mu > 0 for mu in self.frictions):
            raise ValueError(f"Frictions are {self.frictions}, expected at least one, all more than 0.")


def evaluate_asked(
    data: str | Path,
    models: str | Path,
    hands: Sequence[str],
    options: AskedOptions,
    *,
    tokenizer: Path | None = None,
    generator: Path | None = None,
    out: Path | None = None,
    videos: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> SimulationTable:
    """The table.

    Args:
        data: Episode store; its recordings say how objects rest, and references learn from its training part.
        models: Folder of the true objects.
        hands: Names of hands.
        options: What is tried.
        tokenizer: Weights; by default the shipped ones.
        generator: Weights; by default the shipped ones.
        out: Folder that keeps single trials, so that an interrupted run goes on, and films.
        videos: Film a success and a failure of every column and hand.
        workers: Processes; None is one a core. 1 works in this process, which then dies of what a worker would die of.
        progress: Show a progress bar on a terminal.

    Raises:
        ValueError: A name does not exist, a part has no recordings, an object's file is missing, or `out` holds trials
            of other settings.
    """
    if videos and (out is None or importlib.util.find_spec("av") is None):
        missing = "a folder to be written to (--out)" if out is None else "PyAV: pip install 'unihm[simulation]'"
        raise ValueError(f"Videos need {missing}.")
    hands = tuple(dict.fromkeys(describe_hand(hand).name for hand in hands))
    settings = AskedSettings(
        models=Path(models), data=Path(data), seed=options.seed, tokenizer=tokenizer, generator=generator
    )
    episodes = {part: held_out_objects(data, part, options.worlds) for part in options.parts}
    for name in {episode.object_name for some in episodes.values() for episode in some}:
        load_ycb(models, name)  # a shape that is new is cut into convex parts once, not by each worker
    batches = [
        AskedBatch(
            part=part,
            column=column,
            number=number,
            episodes=episodes[part],
            names=names_of(part, column, number, hands, options.ways, options.frictions),
            settings=settings,
        )
        for number in range(options.worlds)
        for part in options.parts
        for column in options.columns
    ]
    log = TrialLog(
        out,
        {
            "code": code_digest(),
            "mujoco": mujoco.__version__,
            "episodes": read_manifest(data)["fingerprint"],
            "weights": {name: _digest(path) for name, path in (("tokenizer", tokenizer), ("generator", generator))},
            "hands": hands,
            **{name: value for name, value in asdict(options).items() if name != "worlds"},
        },
    )
    kept = len(log.results)
    todo = [replace(batch, names=tuple(n for n in batch.names if n not in log.results)) for batch in batches]
    todo = [batch for batch in todo if batch.names]
    with tqdm(
        desc="worlds",
        total=len(batches),
        initial=len(batches) - len(todo),
        unit="world",
        disable=None if progress else True,
    ) as bar:
        for _, found in surviving(run_batch, todo, workers or os.cpu_count() or 1, _alone):
            bar.update()
            log.add(found)
    results = [log.results[name] for batch in batches for name in batch.names]
    facts: dict[str, Any] = {
        "date": date.today().isoformat(),
        "worlds": options.worlds,
        "ways": list(options.ways),
        "frictions": list(options.frictions),
        "paper": PAPER,
        "trials": len(results),
        "trials_of_an_earlier_run": kept,
        "confidence": confidence_rows(results),
    }
    if videos and out is not None:
        batch_of = {name: batch for batch in batches for name in batch.names}
        facts["videos"] = write_films(
            results, options.frictions[0], lambda name: replace(batch_of[name], names=(name,)), out
        )
    return SimulationTable(rows=asked_rows(results, options.seed), facts=facts)


def asked_rows(results: Sequence[TrialResult], seed: int = 0) -> list[dict[str, Any]]:
    """Rows of `simulation_rows`, whose ``task`` is the column; of several hands there are rows of all trials as well.

    Furniture is another in every world: there trials are alike by world, not by being drawers.
    """
    rows = []
    for column in dict.fromkeys(column_of(result) for result in results):
        chosen = [result for result in results if column_of(result) == column]
        pooled = [replace(result, name=result.name._replace(hand=ALL_HANDS)) for result in chosen]
        several = len({result.name.hand for result in chosen}) > 1
        for some in (chosen, pooled) if several else (chosen,):
            counted, by_kind = (
                success_rows(trials, "words", column, skipped={}, spanned=()) for trials in (_alike(some), some)
            )
            rows += [row for row in counted if row["group"] in GROUPS]
            rows += [row for row in by_kind if row["group"] not in GROUPS]
        rows += paired_rows(_alike(chosen), "words", column, seed=seed)
    return rows


def _alike(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Trials whose object is what makes them alike."""
    return [
        replace(r, object=f"{r.name.part}/{r.name.episode}") if COLUMNS[column_of(r)][0] in FURNITURE else r
        for r in results
    ]


def column_of(result: TrialResult) -> str:
    """Column of the table in which a trial counts."""
    return result.name.episode.split("/")[0]


def confidence_rows(results: Sequence[TrialResult]) -> list[dict[str, Any]]:
    """How often motions succeed of which so many candidates succeeded on what was perceived: is confidence honest?"""
    rows = []
    for way in dict.fromkeys(result.name.variant for result in results):
        told = [(r.measures["confidence"], r.success) for r in results
                if r.name.variant == way and "confidence" in r.measures]  # fmt: skip
        if way.startswith(BEST):
            for low, high in ((-1.0, 0.0), (0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
                outcomes = [success for confidence, success in told if low < confidence <= high]
                if outcomes:
                    rows.append({"variant": way, "above": max(low, 0.0), "to": high, "n": len(outcomes),
                                 "success": float(np.mean(outcomes))})  # fmt: skip
    return rows


def held_out_objects(data: str | Path, part: str, count: int) -> tuple[Episode, ...]:
    """Recordings whose resting objects are asked about, `count` at most, object after object in turn.

    Raises:
        ValueError: The part has none.
    """
    records = {record.id: record for record in episode_table(data)}
    of_object: dict[str, list[str]] = {}
    for name in split_ids(SPLIT, part, records.values()):
        if name not in LEANING:
            of_object.setdefault(records[name].object_name, []).append(name)
    if not of_object:
        raise ValueError(f"'{data}' holds no recording of part '{part}' of split '{SPLIT}'.")
    ids = [name for turn in zip_longest(*of_object.values()) for name in turn if name is not None][:count]
    episodes = {episode.id: episode for episode in read_episodes(data, ids)}
    return tuple(episodes[name] for name in ids)


def _alone(batch: AskedBatch, run) -> list[TrialResult]:
    """A batch during which a process died, once more; then it is a failure."""
    found = run(batch)
    return crashed(batch) if found is None else found


def _digest(path: Path | None) -> str | None:
    return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def _count(way: str) -> int:
    text = way.removeprefix(BEST)
    return int(text) if text.isdigit() else 0


def spelled(way: str) -> str:
    """A setting as it is named in tables; on the command line hyphens may stand for spaces: perceived+best-of-16."""
    words = " + ".join(" ".join(word.replace("-", " ").split()) for word in way.split("+"))
    return words
