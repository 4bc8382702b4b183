"""Whether other words mean the same in made scenes of several things, and whether opposites are told apart.

Every case (`scene_wording_cases`) is one thing to do in one image, said in several wordings. *Same* is an answer that
is about the same thing and asks for the same of it as the answer to the canonical wording: task, where to, beside what.
Asking back is never the same. *Right* is compared with the truth. An opposite is *confused* where the answer is what
the other sentence of its pair asks for.

Answers are the perception's, before shapes are completed: the planner takes over from it the thing, the task and the
relation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from tqdm import tqdm

from unihm.cliport.instances import PART, Instances
from unihm.evaluation.intervals import wilson
from unihm.evaluation.scene_wording_cases import (
    CANONICAL,
    HELD_OUT,
    PAIR_WORDS,
    WORDINGS,
    Case,
    Meaning,
    draw_cases,
)
from unihm.evaluation.tables import Row, text_table
from unihm.perception.base import without_warnings
from unihm.scenes.composer import draw_scenes
from unihm.scenes.records import SceneExample
from unihm.schema.asked import Asked
from unihm.schema.scene import Scene
from unihm.schema.storage import atomic_path

SEED = 107
"""Of scenes that nothing was trained (1, 2), tuned (106) or evaluated (101 to 105) on."""
REASONS = ("asked back", "other object", "other task", "other relation", "other reference")
"""Why an answer is not the same; the first that holds."""

_CASES = 4  # of one image
_LEAST_PIXELS = 80  # of a thing that anybody would name
_EXAMPLES = 3  # for each wording and reason in the text
_COLOUR = "#d07a2d"


@runtime_checkable
class SeesScene(Protocol):
    """What an image shows."""

    @property
    def found(self) -> Instances:
        """Things and moving parts."""
        ...


@runtime_checkable
class Understands(Protocol):
    """What is judged: `perception.cliport.Cliport`, or all that looks at an image once and then hears many words."""

    def see(self, scene: Scene) -> Any:
        """A `SeesScene`; raises ValueError where there is no table or thing."""
        ...

    def meant(self, seen: Any, instruction: str) -> tuple[int, Asked]:
        """Number of the instance that is meant and what shall be done; raises ValueError where it has to ask."""
        ...


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one sentence was understood as."""

    words: str
    """The sentence."""
    asked: Meaning
    """What it asks for; things are those of the scene."""
    meaning: Meaning | None
    """What was understood, None where it was asked back. Things are those of the scene; what the view network found and
    is none of them has numbers from the number of things on."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One case and the answers to it."""

    wordings: dict[str, Answer]
    """One of `scene_wording_cases.WORDINGS` -> the answer."""
    pair: str
    """Name of the opposites."""
    opposites: dict[str, tuple[Answer, Answer]]
    """One of `scene_wording_cases.PAIR_WORDS` -> the answers to both sentences."""


def evaluate_scene_wording(perception: Understands, count: int, seed: int = SEED) -> list[Judged]:
    """So many cases, four of each image, of scenes as `unihm data synthesize --seed` draws them.

    Args:
        perception: What is judged.
        count: Cases.
        seed: Of scenes and words; one that nothing was trained on.

    Raises:
        ValueError: There shall be no case.
    """
    if count < 1:
        raise ValueError(f"--scenes is {count}, expected at least 1.")
    judged: list[Judged] = []
    with tqdm(desc="cases", total=count, disable=None, delay=2) as bar:
        for example, rng in _images(seed):
            new = judge_image(example, perception, rng, min(_CASES, count - len(judged)))
            judged += new
            bar.update(len(new))
            if len(judged) == count:
                return judged
    raise AssertionError("images never end")


def judge_image(example: SceneExample, perception: Understands, rng: np.random.Generator, count: int) -> list[Judged]:
    """Cases about one image; none where nothing is seen in it.

    Args:
        example: The image and the truth.
        perception: What is judged.
        rng: Draws the cases.
        count: How many; there may be fewer.
    """
    things, T_world_camera = example.things, example.scene.camera.T_world_camera
    assert T_world_camera is not None
    seen_of = np.bincount(example.instances.ravel(), minlength=len(things) + 1)[1:]
    visible = [k for k in range(len(things)) if seen_of[k] >= _LEAST_PIXELS]
    cases = draw_cases(things, T_world_camera, rng, count, visible)
    try:
        seen = perception.see(example.scene)
    except ValueError:
        return []
    numbers = _things_of(seen, example)

    def answer(words: str, asked: Meaning) -> Answer:
        try:
            with without_warnings():
                target, found = perception.meant(seen, words)
        except ValueError:
            return Answer(words=words, asked=asked, meaning=None)
        part = seen.found.kinds[target] == PART
        reference = -1 if found.reference < 0 else numbers[found.reference]
        understood = Meaning.of(numbers[target], part, found.task, found.relation, reference)
        return Answer(words=words, asked=asked, meaning=understood)

    return [_judged(case, answer) for case in cases]


def rows_of(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Rows ``wording, n, same, of_answered, right`` with intervals and a share for each reason, then ``opposites,
    words, n, confused, right`` with intervals and ``asked_back``.

    ``of_answered`` leaves out what the canonical wording itself was asked back for. Of opposites there are two
    sentences a case.
    """
    rows = [_same(name, [(j.wordings[CANONICAL], j.wordings[name]) for j in judged]) for name in WORDINGS]
    names = sorted({j.pair for j in judged})
    for words in PAIR_WORDS:
        for name in ("all", *names):
            pairs = [j.opposites[words] for j in judged if name in ("all", j.pair)]
            rows.append({"opposites": name, "words": words, **_opposites(pairs)})
    return rows


def why_other(canonical: Answer, other: Answer) -> str:
    """One of `REASONS`; empty where both mean the same."""
    one, two = canonical.meaning, other.meaning
    if one is None or two is None:
        return "asked back"
    if one.thing != two.thing:
        return "other object"
    if one.task != two.task:
        return "other task"
    if one.relation != two.relation:
        return "other relation"
    return "other reference" if one.reference != two.reference else ""


def examples_of(judged: Sequence[Judged]) -> list[dict[str, str]]:
    """All that was not understood the same or was confused: ``wording, why, canonical, words``."""
    found = [
        {"wording": name, "why": why, "canonical": j.wordings[CANONICAL].words, "words": j.wordings[name].words}
        for name in WORDINGS[1:]
        for j in judged
        if (why := why_other(j.wordings[CANONICAL], j.wordings[name]))
    ]
    return found + [
        {"wording": words, "why": "confused", "canonical": pair[1 - i].words, "words": pair[i].words}
        for words in PAIR_WORDS
        for j in judged
        for pair in (j.opposites[words],)
        for i in (0, 1)
        if _confused(pair[i], pair[1 - i])
    ]


def text(rows: Sequence[Row], examples: Sequence[dict[str, str]] = ()) -> str:
    """Both tables, and a few examples of each reason."""
    parts = [text_table([r for r in rows if name in r], 2) for name in ("wording", "opposites")]
    shown: dict[tuple[str, str], list[str]] = {}
    for one in examples:
        line = f"  {one['words']}  ({'not' if one['why'] == 'confused' else 'as'}: {one['canonical']})"
        shown.setdefault((one["wording"], one["why"]), []).append(line)
    parts += ["\n".join([f"{name}, {why}:", *lines[:_EXAMPLES]]) for (name, why), lines in shown.items()]
    return "\n\n".join(parts)


def draw_rows(rows: Sequence[Row], path: Path) -> None:
    """What is the same and what is confused, a bar each with its interval; written as PNG, atomically."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {
        "same": [(r["wording"], r) for r in rows if r.get("wording", CANONICAL) != CANONICAL],
        "confused": [(r["opposites"], r) for r in rows if r.get("words") == HELD_OUT],
    }
    titles = ("the same in other words", f"opposites confused, {HELD_OUT}")
    figure = Figure(figsize=(11, 0.34 * max(map(len, panels.values())) + 1), dpi=120, layout="constrained")
    for axes, title, (name, bars) in zip(figure.subplots(1, 2), titles, panels.items(), strict=True):
        for place, (_, row) in enumerate(bars):
            axes.barh(place, row[name], color=_COLOUR, height=0.7)
            axes.plot(row[f"{name}_ci"], [place, place], color="#333", linewidth=1.2)
        axes.set_yticks(range(len(bars)), [f"{label}, n {row['n']}" for label, row in bars], fontsize=8)
        axes.axvline({"same": 0.95, "confused": 0.01}[name], color="#333", linewidth=0.8, linestyle=":")
        axes.set_title(title, fontsize=9)
        axes.set_xlim(0, 1 if name == "same" else None)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7.5)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def _images(seed: int) -> Iterator[tuple[SceneExample, np.random.Generator]]:
    """Images without end, those of `scene_data.synthesis` with the same seed, and what draws their words."""
    number = 0
    while True:
        for_scene, for_words = np.random.SeedSequence([seed, number]).spawn(2)
        rng = np.random.default_rng(for_words)
        for example in draw_scenes(int(for_scene.generate_state(1)[0])).examples:
            yield example, rng
        number += 1


def _things_of(seen: SeesScene, example: SceneExample) -> list[int]:
    """Of each instance the thing that it is: what covers most of it, and at least half."""
    count = len(example.things)
    numbers = []
    for i in range(len(seen.found)):
        hit = np.bincount(example.instances[seen.found.mask(i)], minlength=count + 1)
        best = int(hit[1:].argmax())
        numbers.append(best if hit[best + 1] >= max(0.5 * hit.sum(), 1) else count + i)
    return numbers


def _judged(case: Case, answer: Callable[[str, Meaning], Answer]) -> Judged:
    one, other = case.pair.meanings
    return Judged(
        wordings={name: answer(words, case.meaning) for name, words in case.words.items()},
        pair=case.pair.name,
        opposites={name: (answer(a, one), answer(b, other)) for name, (a, b) in case.pair.words.items()},
    )


def _same(name: str, answers: Sequence[tuple[Answer, Answer]]) -> dict[str, Any]:
    reasons = [why_other(canonical, other) for canonical, other in answers]
    answered = [why for why, (canonical, _) in zip(reasons, answers, strict=True) if canonical.meaning is not None]
    row: dict[str, Any] = {"wording": name, "n": len(answers)}
    if name != CANONICAL:
        row |= _share("same", reasons.count(""), len(reasons))
        row |= _share("of_answered", answered.count(""), len(answered)) if answered else {}
    row |= _share("right", sum(other.meaning == other.asked for _, other in answers), len(answers))
    for why in REASONS[: None if name != CANONICAL else 1]:
        row[why.replace(" ", "_")] = reasons.count(why) / len(reasons)
    return row


def _opposites(pairs: Sequence[tuple[Answer, Answer]]) -> dict[str, Any]:
    sentences = [(pair[i], pair[1 - i]) for pair in pairs for i in (0, 1)]
    return {
        "n": len(sentences),
        **_share("confused", sum(_confused(one, other) for one, other in sentences), len(sentences)),
        **_share("right", sum(one.meaning == one.asked for one, _ in sentences), len(sentences)),
        "asked_back": sum(one.meaning is None for one, _ in sentences) / len(sentences),
    }


def _confused(one: Answer, other: Answer) -> bool:
    """Whether it asks for what its opposite says, of whatever thing."""
    found = one.meaning
    return found is not None and (found.task, found.relation) == (other.asked.task, other.asked.relation)


def _share(name: str, hits: int, count: int) -> dict[str, Any]:
    found = wilson(hits, count)
    return {name: found.estimate, f"{name}_ci": [found.low, found.high]}
