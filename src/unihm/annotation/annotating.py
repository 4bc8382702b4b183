"""Instructions for the episodes of a store, one by one or several at once; an interrupted run goes on.

Each answer is kept when it comes (`datasets.annotations`). Episodes that failed have none and are what the next run
tries. A run ends early where nothing more would succeed: the endpoint refuses, or one episode after the other fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from unihm.annotation.base import Annotator, Written
from unihm.annotation.endpoint import Refused
from unihm.datasets.annotations import Annotation, Journal, open_journal, pending_annotations
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.schema.episode import Episode

FAILURES_IN_A_ROW = 5
"""After so many failed episodes without a success between them a run gives up."""
_READ = 128  # episodes that are in memory together
_DELAY = 2  # s until a progress bar is worth its line


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """What a run did."""

    episodes: int
    """That were asked for."""
    kept: int
    """Annotated before, by the same writer."""
    written: int
    """Annotated now."""
    failed: Mapping[str, str]
    """Episodes that failed, each with the reason."""
    gave_up: str
    """Why the run ended early; empty where it did not."""
    requests: int
    """Answers of the server that were used or asked for again."""
    tokens_in: int
    """As the server counted, without those of failed episodes."""
    tokens_out: int
    """Likewise."""


def missing(folder: str | Path, annotator: Annotator, ids: Sequence[str] | None, *, force: bool = False) -> list[str]:
    """The episodes that a run would write for, in stored order or that of `ids`.

    Raises:
        ValueError: The store is damaged, an id is not in it, or, without `force`, another writer has annotated it.
    """
    return _missing(folder, annotator, ids, force, pending_annotations(folder))


def annotate_store(
    folder: str | Path,
    annotator: Annotator,
    *,
    ids: Sequence[str] | None = None,
    workers: int = 1,
    force: bool = False,
) -> Annotated:
    """Write instructions for episodes of a store; what the same writer has written before is kept.

    Args:
        folder: The store.
        annotator: Who writes.
        ids: Which episodes; default: all.
        workers: How many are written at once, in threads.
        force: Replace what another model, or another version of the prompt, has written.

    Returns:
        What was done; failures are in it and raise nothing.

    Raises:
        ValueError: See `missing`; or another run annotates the store.
    """
    with open_journal(folder) as journal:
        todo = _missing(folder, annotator, ids, force, journal.annotations)
        asked = len(ids) if ids is not None else len(episode_table(folder))
        writer = annotator.model, annotator.prompt
        done: list[Written] = []
        failed: dict[str, str] = {}
        gave_up, row = "", 0
        with (
            tqdm(
                total=asked, initial=asked - len(todo), desc="annotate", unit="episode", disable=None, delay=_DELAY
            ) as bar,
            ThreadPoolExecutor(workers) as pool,
        ):
            try:
                for name, future in _each(pool, annotator, journal, _episodes(folder, todo), 2 * workers):
                    try:
                        done.append(future.result())
                        row = 0
                    except Refused as error:
                        failed[name], gave_up = str(error), str(error)
                    except ValueError as error:
                        failed[name], row = str(error), row + 1
                        if row == FAILURES_IN_A_ROW:
                            gave_up = f"{row} episodes in a row failed, the last: {error}"
                    bar.update()
                    bar.set_postfix(failed=len(failed), refresh=False)
                    if gave_up:
                        break
            finally:
                annotator.stop()
                pool.shutdown(cancel_futures=True)  # what is under way is finished and kept
        there = {name for name, a in journal.annotations.items() if (a.model, a.prompt) == writer}
    return Annotated(
        episodes=asked,
        kept=asked - len(todo),
        written=len(there.intersection(todo)),
        failed=failed,
        gave_up=gave_up,
        requests=sum(w.requests for w in done),
        tokens_in=sum(w.tokens_in for w in done),
        tokens_out=sum(w.tokens_out for w in done),
    )


def _missing(
    folder: str | Path,
    annotator: Annotator,
    ids: Sequence[str] | None,
    force: bool,
    annotations: Mapping[str, Annotation],
) -> list[str]:
    writer = annotator.model, annotator.prompt
    others = {(a.model, a.prompt) for a in annotations.values()} - {writer}
    if others and not force:
        names = ", ".join(f"{model} ({prompt})" for model, prompt in sorted(others))
        raise ValueError(
            f"'{folder}' holds annotations by {names}, now {writer[0]} ({writer[1]}) is to write; "
            "--force replaces them."
        )
    known = [record.id for record in episode_table(folder)]
    for name in sorted(set(ids or ()) - set(known)):
        raise ValueError(f"Episode '{name}' is not in the data set.")
    kept = {name for name, a in annotations.items() if (a.model, a.prompt) == writer}
    return [name for name in (known if ids is None else ids) if name not in kept]


def _episodes(folder: str | Path, ids: Sequence[str]) -> Iterator[Episode]:
    for start in range(0, len(ids), _READ):
        yield from read_episodes(folder, ids[start : start + _READ])


def _each(
    pool: ThreadPoolExecutor, annotator: Annotator, journal: Journal, episodes: Iterator[Episode], ahead: int
) -> Iterator[tuple[str, Future[Written]]]:
    """Ids and results as they come, with no more than `ahead` episodes handed out."""

    def write(episode: Episode) -> Written:
        written = annotator.write(episode)
        annotation = Annotation(instructions=written.instructions, model=annotator.model, prompt=annotator.prompt)
        journal.add(episode.id, annotation)
        return written

    running: dict[Future[Written], str] = {}
    for episode in episodes:
        running[pool.submit(write, episode)] = episode.id
        if len(running) >= ahead:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: dict[Future[Written], str]) -> Iterator[tuple[str, Future[Written]]]:
    """Wait for at least one result, and take out all that are there."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future
