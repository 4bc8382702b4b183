"""How long the generator takes, warm: from words, cloud and path to the decoded motion of a hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import read_motions
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import Case, CodeWriter, case_of, evenly, generate_motions
from unihm.hands.hand import load_hand
from unihm.tokenizer.tokenizer import Tokenizer

_SINGLE, _BATCHES, _WARM = 20, 3, 2  # runs that are timed, and that are not


def bench_generation(
    data: str | Path,
    generator: CodeWriter,
    tokenizer: Tokenizer,
    hands: Sequence[str],
    *,
    frames: int = 72,
    batch: int = 64,
    quick: bool = False,
) -> list[dict[str, Any]]:
    """Rows ``hand, way, motions, seconds_median, seconds_max``: one motion, and many at once, in the middle and drawn.

    Args:
        data: Episode store; recordings of part ``validation`` of ``release``, each as long as asked.
        generator: What is timed.
        tokenizer: Decodes.
        hands: Names of hands.
        frames: Of each motion; shorter recordings stay at their end.
        batch: Motions at once.
        quick: Fewer runs.

    Raises:
        ValueError: A name does not exist, or the store has no such recordings.
    """
    records = episode_table(data)
    ids = evenly(split_ids("release", "validation", records), batch)
    if not ids:
        raise ValueError(f"'{data}' holds no recording of part 'validation' of split 'release'.")
    single, batches = (5, 1) if quick else (_SINGLE, _BATCHES)
    rows = []
    for name in hands:
        hand, motions = load_hand(name), read_motions(data, name, ids)
        cases = [_long(case_of(e, motions[e.id], hand), frames) for e in read_episodes(data, list(motions))]
        cases = [cases[i % len(cases)] for i in range(batch)]
        for way, temperature in (("plan left open", 0.0), ("plan drawn", 1.0)):
            for count, runs in ((1, single), (batch, batches)):
                seconds = []
                for run in range(runs + _WARM):
                    chosen = [cases[(run + i) % batch] for i in range(count)]
                    texts = [f"{c.episode.instructions[0]} {run} {way}" for c in chosen]  # words nobody has read yet
                    start = time.perf_counter()
                    generate_motions(
                        chosen, generator, tokenizer, instructions=texts, seed=run, temperature=temperature
                    )
                    seconds.append(time.perf_counter() - start)
                timed = seconds[_WARM:]
                rows.append(
                    {
                        "hand": name,
                        "method": way,
                        "motions": count,
                        "frames": frames,
                        "seconds_median": float(np.median(timed)),
                        "seconds_max": max(timed),
                    }
                )
    return rows


def _long(case: Case, frames: int) -> Case:
    """The same recording, cut or held to so many frames."""
    index = np.arange(frames).clip(max=len(case.given) - 1)
    given = replace(case.given, T_world_object=case.given.T_world_object[index])
    return replace(case, given=given)
