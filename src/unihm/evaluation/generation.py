"""Generated motions against held-out recordings, beside what a simpler answer would reach.

Every method is given the same: the initial pose of the hand, the object's cloud and its path (the generator also
reads the words), and nothing else of the recording. For hands of robots the truth is the retargeted recording;
for the hand whose motion was recorded it is the recorded keypoints themselves, not a model fitted to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from unihm.datasets.episode_rows import recordings_of
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import read_motions
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import (
    RECORDED_HAND,
    TEST_PARTS,
    Case,
    CodeWriter,
    case_of,
    evenly,
    generate_motions,
    hand_of_process,
    track_of,
)
from unihm.evaluation.distribution_figures import COLUMNS, FLOORS, distribution_figures, recorded
from unihm.evaluation.grasps import grasp_share
from unihm.evaluation.motion_metrics import METRICS, Track, score, summarise
from unihm.evaluation.motion_text.encoder import MetricEncoder
from unihm.evaluation.official_metrics import OfficialSequence, official_metrics
from unihm.evaluation.references import ConstantPose, NearestNeighbour, Reference, RidgeRegression, without_path
from unihm.evaluation.refinement import true_object
from unihm.evaluation.regression_transformer import RegressionTransformer
from unihm.evaluation.trained_on import refuse_trained_on, warn_of_other_motions
from unihm.hands.hand import HandModel, load_hand
from unihm.processes import spread
from unihm.refinement import RefinementConfig, refine
from unihm.schema.motion import HandMotion
from unihm.simulation.ycb import ycb_mesh
from unihm.tokenizer.tokenizer import Tokenizer

GRASP = "grasp_share"
"""Column of `grasps.grasp_share`."""
_LEAST = 4  # sequences of which halves can be made

_QUICK = 4  # sequences of each part; with two hands and two parts under 40 s
_POSE_CLOUD = "initial pose and object cloud"
_GIVEN = f"{_POSE_CLOUD}, object path"
_WORDS = f"words, {_GIVEN}"
_WORDS_NO_PATH = f"words, {_POSE_CLOUD}"


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """What is measured, beside which."""

    samples: int = 10
    """Motions for each recording: drawn ones at temperature 1, and as many that together stand for all."""
    seed: int = 0
    """Of the sampling, of what is drawn in the metrics, and of the bootstrap."""
    quick: bool = False
    """Only some recordings of each part, chosen evenly, few samples, no transformer."""
    selection: bool = False
    """Measure on the model-selection recordings, not on those held out."""
    models: Path | None = None
    """Folder of the objects' true meshes; None leaves the column of grasps empty."""
    references: Path | None = None
    """Folder in which trained references are kept; None trains them anew."""
    refined: bool = True
    """Also a row of refined motions, which takes most of the time."""
    workers: int | None = None
    """Processes that refine; None is one a core."""
    progress: bool = True
    """Show a progress bar on a terminal."""


def evaluate_generation(
    data: str | Path,
    split: str,
    hands: Sequence[str],
    generator: CodeWriter,
    tokenizer: Tokenizer,
    encoder: MetricEncoder,
    options: GenerationOptions | None = None,
    ablations: Mapping[str, CodeWriter] | None = None,
) -> list[dict[str, Any]]:
    """The generation table: rows for every test part, hand and method.

    A row holds split, hand, method, given, n (sequences), samples, skipped, the metrics of `motion_metrics`, the share
    of `grasps`, the columns of `distribution_figures`, all with 95 % intervals (``*_ci``), and for motions of a hand's
    joints the legacy ``official_*``. A row of several samples has the mean over them; ``best of`` takes the smallest of
    each metric, which only the truth can tell.

    Args:
        data: Episode store with motions of `hands`.
        split: A key of `datasets.splits.SPLITS`.
        hands: Names of hands.
        generator: What is tested.
        tokenizer: Decodes its codes.
        encoder: In which FID and its like are taken; of the same split.
        options: What is measured.
        ablations: Generators that were trained without something, by what that is: rows of Table 4.

    Raises:
        ValueError: A test recording was trained on, a card does not say what was trained on, the store lacks the
            hand's motions, or a name does not exist.
    """
    options = options or GenerationOptions()
    if options.samples < 1:
        raise ValueError(f"samples is {options.samples}, expected at least 1.")
    records = episode_table(data)
    names = ("validation",) if options.selection else TEST_PARTS.get(split, ("test",))
    parts = {part: split_ids(split, part, records) for part in names}
    if not options.selection:
        tested = recordings_of(records, chain(*parts.values()))
        cards = {"tokenizer": tokenizer.card, "generator": _card(generator), "metric encoder": encoder.card}
        cards |= {f"generator without {name}": _card(other) for name, other in (ablations or {}).items()}
        refuse_trained_on(tested, cards)
        warn_of_other_motions(data, hands, {name: cards[name] for name in ("tokenizer", "generator")})
    if options.quick:
        options = replace(options, samples=min(options.samples, 2))
        parts = {part: evenly(ids, _QUICK) for part, ids in parts.items()}
    learning = {part: split_ids(split, part, records) for part in ("train", "validation")}
    wanted = sorted({name for ids in (*parts.values(), *learning.values()) for name in ids})
    episodes = {episode.id: episode for episode in read_episodes(data, wanted)}

    rows = []
    total = len(hands) * sum(len(ids) for ids in parts.values())
    bar = tqdm(total=total, unit="seq", disable=None if options.progress else True)
    with _refiner(options.workers if options.refined else 1) as refined, bar:
        for name in hands:
            hand = load_hand(name)
            motions = read_motions(data, name)

            def cases(ids: Iterable[str], hand: HandModel = hand, motions: Mapping = motions) -> list[Case]:
                return [case_of(episodes[i], motions[i], hand) for i in ids if i in motions]

            bar.set_description(f"references of {name}")
            references = _references(cases(learning["train"]), cases(learning["validation"]), split, name, options)
            for part, ids in parts.items():
                bar.set_description(f"{split}/{part} {name}")
                label = split if part == "test" else f"{split}/{part}"
                test = cases(ids)
                if not test:
                    raise ValueError(f"'{data}' holds no motion of '{name}' for {label}.")
                table = _Table(label, hand, test, len(ids) - len(test), encoder, options)
                for method, (reference, given) in references.items():
                    know = without_path if given == _POSE_CLOUD else (lambda known: known)
                    table.add(method, given, [[reference.predict(know(c.given))] for c in test])
                _add_bounds(table, tokenizer)
                for what, other in (ablations or {}).items():
                    table.add(
                        f"without {what}", _WORDS, _tracks(table, _motions(table, other, tokenizer, seed=options.seed))
                    )
                _add_generated(table, generator, tokenizer, options, refined, bar.update)
                rows += table.rows
    return rows


class _Table:
    """Rows of one test part and hand."""

    def __init__(
        self,
        split: str,
        hand: HandModel,
        test: Sequence[Case],
        skipped: int,
        encoder: MetricEncoder,
        options: GenerationOptions,
    ):
        self.rows: list[dict[str, Any]] = []
        self.split, self.hand, self.test, self.skipped, self.seed = split, hand, test, skipped, options.seed
        self._encoder, self._models = encoder, options.models
        self._slots = hand.keypoint_indices.tolist()
        self._recorded = recorded(
            encoder,
            [c.truth for c in test],
            [c.given for c in test],
            [c.episode.instructions for c in test],
            self._slots,
        )

    def add(
        self,
        method: str,
        given: str,
        samples: Sequence[Sequence[Track]],
        *,
        reads_words: bool = False,
        motions: Sequence[HandMotion] = (),
        best: bool = False,
    ) -> None:
        """One row from the samples of all sequences; with `best` a second one of the best of them."""
        scores = [[self._score(t, c) for t in tracks] for tracks, c in zip(samples, self.test, strict=True)]
        row = {
            "split": self.split,
            "hand": self.hand.name,
            "method": method,
            "given": given,
            "n": len(samples),
            "samples": len(samples[0]),
            "skipped": self.skipped,
        }
        figures = {} if len(self.test) < _LEAST else distribution_figures(
            self._encoder, self._recorded, samples, reads_words=reads_words, seed=self.seed
        )  # fmt: skip
        self.rows.append(
            {
                **row,
                **summarise([_over(of_one, np.nanmean) for of_one in scores], self.seed, (*METRICS, GRASP)),
                **dict.fromkeys((*COLUMNS, *FLOORS)),
                **figures,
                **(self._official(motions) if motions else {}),
            }
        )
        if best:
            self.rows.append(
                {
                    **row,
                    "method": f"{method}, best of {len(samples[0])}",
                    "given": f"{given}, the truth to choose by",
                    **summarise([_over(of_one, np.nanmin) for of_one in scores], self.seed),
                }
            )

    def _score(self, track: Track, case: Case) -> dict[str, float]:
        share = float("nan")
        if self._models is not None:
            mesh = true_object(ycb_mesh(self._models, case.episode.object_name), case.episode.mirrored)
            share = grasp_share(track, case.given, self._slots, mesh)
        return {**score(track, case.truth), GRASP: share}

    def _official(self, motions: Sequence[HandMotion]) -> dict[str, float]:
        return official_metrics([_raw(m) for m in motions], [_raw(c.motion) for c in self.test])


def _over(scores: Sequence[Mapping[str, float]], how: Callable) -> dict[str, float]:
    """Each metric over the samples of one sequence; NaN where none has it."""
    values = {name: np.array([s[name] for s in scores]) for name in scores[0]}
    return {name: float("nan") if np.isnan(v).all() else float(how(v)) for name, v in values.items()}


def _raw(motion: HandMotion) -> OfficialSequence:
    rotation = Rotation.from_matrix(motion.T_world_palm[:, :3, :3]).as_rotvec()
    return OfficialSequence(qpos=motion.qpos, position=motion.T_world_palm[:, :3, 3], rotation=rotation)


def _references(
    training: Sequence[Case], selection: Sequence[Case], split: str, hand: str, options: GenerationOptions
) -> dict[str, tuple[Reference, str]]:
    """Fitted on the training part; the selection part chooses the ridge penalty and the transformer's epoch."""
    train = [(case.given, case.truth) for case in training]
    select = [(case.given, case.truth) for case in selection]
    if not train or not select:
        raise ValueError("The references need training and validation motions of the hand; the store has none.")
    blind = [[(without_path(given), truth) for given, truth in part] for part in (train, select)]
    found: dict[str, tuple[Reference, str]] = {
        "constant initial pose": (ConstantPose(), _GIVEN),
        "nearest neighbour": (NearestNeighbour(train), _GIVEN),
        "ridge regression": (RidgeRegression(train, select), _GIVEN),
        "ridge regression without path": (RidgeRegression(*blind), _POSE_CLOUD),
    }
    if not options.quick:
        file = None if options.references is None else options.references / f"{split}-{hand}.safetensors"
        transformer = RegressionTransformer(train, select, seed=options.seed, file=file, title=f"transformer of {hand}")
        found["regression transformer"] = (transformer, _GIVEN)
    return found


def _add_bounds(table: _Table, tokenizer: Tokenizer) -> None:
    """What no generator over these tokens can beat: the truth through the tokenizer."""
    test, hand = table.test, table.hand
    if hand.name == RECORDED_HAND:
        table.add("hand model fitted to truth", "truth", [[track_of(c.motion, hand)] for c in test])
        table.add("truth", "truth", [[c.truth] for c in test])
    coded = tokenizer.decode_all(tokenizer.encode_all([c.motion for c in test]), hand.name)
    table.add("decode(encode(truth))", "truth", [[track_of(m, hand)] for m in coded], motions=coded)


def _add_generated(
    table: _Table,
    generator: CodeWriter,
    tokenizer: Tokenizer,
    options: GenerationOptions,
    refined: Callable[[Sequence[HandMotion]], Iterable[HandMotion]],
    advance: Callable[[int], Any],
) -> None:
    """Our rows: one motion with the plan left open, drawn ones, spread ones, without the path, and refined."""
    test, seed = table.test, options.seed
    one = _motions(table, generator, tokenizer, seed=seed)
    table.add("generated", _WORDS, _tracks(table, one), reads_words=True, motions=one)
    numbers = range(options.samples)
    ways: dict[str, Callable[[int], dict[str, Any]]] = {
        "generated, drawn": lambda number: {"temperature": 1.0},
        "generated, spread": lambda number: {"one_of": (number, options.samples)},
    }
    for name, how in ways.items():
        many = [_tracks(table, _motions(table, generator, tokenizer, seed=seed, sample=n, **how(n))) for n in numbers]
        of_each = [[track for (track,) in of_one] for of_one in zip(*many, strict=True)]
        table.add(name, _WORDS, of_each, reads_words=True, best=True)
    blind = _motions(table, generator, tokenizer, seed=seed, with_path=False)
    table.add("generated without path", _WORDS_NO_PATH, _tracks(table, blind), reads_words=True, motions=blind)
    if not options.refined:
        advance(len(test))
        return
    done = []
    for motion in refined(one):
        done.append(motion)
        advance(1)
    table.add("generated + refined", _WORDS, _tracks(table, done), reads_words=True, motions=done)


def _motions(
    table: _Table,
    generator: CodeWriter,
    tokenizer: Tokenizer,
    *,
    seed: int,
    sample: int = 0,
    temperature: float = 0.0,
    one_of: tuple[int, int] | None = None,
    with_path: bool = True,
) -> list[HandMotion]:
    """A motion for each sequence of the table; sample after sample by another of its instructions."""
    texts = [c.episode.instructions[sample % len(c.episode.instructions)] for c in table.test]
    return generate_motions(
        table.test, generator, tokenizer, instructions=texts, seed=seed + sample, temperature=temperature,
        one_of=one_of, with_path=with_path,
    )  # fmt: skip


def _tracks(table: _Table, motions: Iterable[HandMotion]) -> list[list[Track]]:
    return [[track_of(m, table.hand)] for m in motions]


@contextmanager
def _refiner(workers: int | None) -> Iterator[Callable[[Iterable[HandMotion]], Iterable[HandMotion]]]:
    """Refinement of many motions, in order, spread over processes."""
    count = workers or os.cpu_count() or 1
    with spread(_refined, count, initializer=torch.set_num_threads, initargs=(1,)) as done:
        yield lambda motions: (refined for _, refined in done(motions))


def _refined(motion: HandMotion) -> HandMotion:
    # The truth has the recording's frames: a refinement that takes its time could not be compared with it.
    return refine(motion, hand_of_process(motion.hand).description, config=RefinementConfig(timing=False))[0]


def _card(generator: CodeWriter) -> Mapping[str, Any]:
    card = getattr(generator, "card", None)
    if not isinstance(card, Mapping):
        raise ValueError(f"The generator {type(generator).__name__} has no card that says what it was trained on.")
    return card
