"""Generated motions against held-out recordings, beside what a simpler answer would reach.

Every method is given the same: the initial pose of the hand, the object's cloud and its path (the generator also
reads the words), and nothing else of the recording. For hands of robots the truth is the retargeted recording;
for the hand whose motion was recorded it is the recorded keypoints themselves, not a model fitted to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import read_motions
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import (
    RECORDED_HAND,
    Case,
    CodeWriter,
    case_of,
    evenly,
    generate_motion,
    hand_of_process,
    track_of,
)
from unihm.evaluation.motion_metrics import METRICS, score, summarise
from unihm.evaluation.references import ConstantPose, NearestNeighbour, Reference, RidgeRegression
from unihm.evaluation.trained_on import refuse_trained_on, warn_of_other_motions
from unihm.hands.hand import HandModel, load_hand
from unihm.processes import spread
from unihm.refinement import RefinementConfig, refine
from unihm.schema.motion import HandMotion
from unihm.tokenizer.tokenizer import Tokenizer

TEST_PARTS = {"release": ("seen", "unseen")}
"""Parts of a split that are reported one by one; other splits have one, ``test``."""

LATER = ("fid", "kid", "diversity", "multimodality")
"""Columns of the table that need the metric encoder, which does not exist yet; they are null."""

_QUICK = 4  # sequences of each part; with two hands and two parts under 40 s
_GIVEN = "initial pose, object cloud and path"
_GIVEN_WORDS = f"words, {_GIVEN}"


def evaluate_generation(
    data: str | Path,
    split: str,
    hands: Sequence[str],
    generator: CodeWriter,
    tokenizer: Tokenizer,
    *,
    seed: int = 0,
    samples: int = 3,
    quick: bool = False,
    progress: bool = True,
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """The generation table: one row for every test part, hand and method.

    A row holds split, hand, method, given, n (sequences), samples, the metrics of `motion_metrics` with their 95 %
    intervals (``*_ci``), and null for the columns in `LATER`. A generated sequence's score is the mean over its
    samples; instruction and seed change from sample to sample. Refinement costs many times what generation does,
    so only the first sample of each sequence is refined.

    Args:
        data: Episode store with motions of `hands`.
        split: A key of `datasets.splits.SPLITS`.
        hands: Names of hands.
        generator: What is tested.
        tokenizer: Decodes its codes.
        seed: The first sample's seed; also seeds the bootstrap.
        samples: Motions generated for each recording.
        quick: Only some recordings of each part, chosen evenly, and one sample.
        progress: Show a progress bar on a terminal.
        workers: Processes that refine; None is one a core, 1 refines in this process.

    Raises:
        ValueError: A test recording was trained on, a card does not say what was trained on, the store lacks the
            hand's motions, or a name does not exist.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}, expected at least 1.")
    records = episode_table(data)
    parts = {part: split_ids(split, part, records) for part in TEST_PARTS.get(split, ("test",))}
    recordings = {record.id: record.recording for record in records}
    tested = {recordings[name] for ids in parts.values() for name in ids}
    cards = {"tokenizer": tokenizer.card, "generator": _card(generator)}
    refuse_trained_on(tested, cards)
    warn_of_other_motions(data, hands, cards)
    if quick:
        samples = 1
        parts = {part: evenly(ids, _QUICK) for part, ids in parts.items()}
    learning = {part: split_ids(split, part, records) for part in ("train", "validation")}
    wanted = sorted({name for ids in (*parts.values(), *learning.values()) for name in ids})
    episodes = {episode.id: episode for episode in read_episodes(data, wanted)}

    rows = []
    total = len(hands) * sum(len(ids) for ids in parts.values())
    with _refiner(workers) as refined, tqdm(total=total, unit="seq", disable=None if progress else True) as bar:
        for name in hands:
            hand = load_hand(name)
            motions = read_motions(data, name)

            def cases(ids: Iterable[str], hand: HandModel = hand, motions: Mapping = motions) -> list[Case]:
                return [case_of(episodes[i], motions[i], hand) for i in ids if i in motions]

            references = _references(cases(learning["train"]), cases(learning["validation"]))
            for part, ids in parts.items():
                bar.set_description(f"{split}/{part} {name}")
                label = split if part == "test" else f"{split}/{part}"
                test = cases(ids)
                if not test:
                    raise ValueError(f"'{data}' holds no motion of '{name}' for {label}.")
                table = _Table(split=label, hand=name, skipped=len(ids) - len(test), seed=seed)
                for method, reference in references.items():
                    table.add(method, _GIVEN, [score(reference.predict(c.given), c.truth) for c in test])
                _add_bounds(table, test, hand, tokenizer)
                _add_generated(table, test, hand, generator, tokenizer, seed, samples, refined, bar.update)
                rows += table.rows
    return rows


@dataclass(kw_only=True)
class _Table:
    """Rows of one test part and hand."""

    split: str
    hand: str
    skipped: int
    seed: int

    def __post_init__(self):
        self.rows: list[dict[str, Any]] = []

    def add(self, method: str, given: str, scores: Sequence[dict[str, float]], samples: int = 1) -> None:
        """One row from the scores of all sequences."""
        self.rows.append(
            {
                "split": self.split,
                "hand": self.hand,
                "method": method,
                "given": given,
                "n": len(scores),
                "samples": samples,
                "skipped": self.skipped,
                **summarise(scores, self.seed),
                **dict.fromkeys(LATER),
            }
        )


def _references(training: Sequence[Case], selection: Sequence[Case]) -> dict[str, Reference]:
    """Fitted on the training part; the selection part chooses the ridge penalty."""
    train = [(case.given, case.truth) for case in training]
    select = [(case.given, case.truth) for case in selection]
    if not train or not select:
        raise ValueError("The references need training and validation motions of the hand; the store has none.")
    return {
        "constant initial pose": ConstantPose(),
        "nearest neighbour": NearestNeighbour(train),
        "ridge regression": RidgeRegression(train, select),
    }


def _add_bounds(table: _Table, test: Sequence[Case], hand: HandModel, tokenizer: Tokenizer) -> None:
    """What no generator over these tokens can beat: the truth through the tokenizer."""
    if hand.name == RECORDED_HAND:
        fitted = [score(track_of(c.motion, hand), c.truth) for c in test]
        table.add("hand model fitted to truth", "truth", fitted)
    coded = [tokenizer.decode(tokenizer.encode(c.motion), hand.name) for c in test]
    scores = [score(track_of(m, hand), c.truth) for m, c in zip(coded, test, strict=True)]
    table.add("decode(encode(truth))", "truth", scores)


def _add_generated(
    table: _Table,
    test: Sequence[Case],
    hand: HandModel,
    generator: CodeWriter,
    tokenizer: Tokenizer,
    seed: int,
    samples: int,
    refined: Callable[[Sequence[HandMotion]], Iterable[HandMotion]],
    advance: Callable[[], Any],
) -> None:
    """Our rows: as sampled, and after refinement."""
    first, scores = [], []
    for case in test:
        words, of_samples = case.episode.instructions, []
        for sample in range(samples):
            motion = generate_motion(
                case, generator, tokenizer, instruction=words[sample % len(words)], seed=seed + sample
            )
            of_samples.append(score(track_of(motion, hand), case.truth))
            if sample == 0:
                first.append(motion)
        scores.append(_mean(of_samples))
    table.add("generated", _GIVEN_WORDS, scores, samples)
    scores = []
    for case, motion in zip(test, refined(first), strict=True):
        scores.append(score(track_of(motion, hand), case.truth))
        advance()
    table.add("generated + refined", _GIVEN_WORDS, scores)


@contextmanager
def _refiner(workers: int | None) -> Iterator[Callable[[Iterable[HandMotion]], Iterable[HandMotion]]]:
    """Refinement of many motions, in order, spread over processes."""
    count = workers or os.cpu_count() or 1
    with spread(_refined, count, initializer=torch.set_num_threads, initargs=(1,)) as done:
        yield lambda motions: (refined for _, refined in done(motions))


def _refined(motion: HandMotion) -> HandMotion:
    # The truth has the recording's frames: a refinement that takes its time could not be compared with it.
    return refine(motion, hand_of_process(motion.hand).description, config=RefinementConfig(timing=False))[0]


def _mean(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([s[name] for s in scores])) for name in METRICS}


def _card(generator: CodeWriter) -> Mapping[str, Any]:
    card = getattr(generator, "card", None)
    if not isinstance(card, Mapping):
        raise ValueError(f"The generator {type(generator).__name__} has no card that says what it was trained on.")
    return card
