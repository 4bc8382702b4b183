"""`unihm eval wording --scenes`: answers that are known are counted right."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from unihm.cli import main
from unihm.cliport.instances import PART, THING, Instances
from unihm.evaluation.scene_wording import (
    Answer,
    Judged,
    draw_rows,
    examples_of,
    judge_image,
    rows_of,
    text,
    why_other,
)
from unihm.evaluation.scene_wording_cases import (
    BOTH,
    CANONICAL,
    HELD_OUT,
    HELD_OUT_FORM,
    HELD_OUT_NAME,
    OTHER_FORM,
    PAIR_WORDS,
    TRAINING,
    WORDINGS,
    Meaning,
    draw_cases,
)
from unihm.scene_data.store import read_scenes
from unihm.schema.asked import Asked

LIFT = Meaning(thing=0, task="grab", relation="up")
LEFT = Meaning(thing=0, task="pick and place", relation="left")
RIGHT = Meaning(thing=0, task="pick and place", relation="right")


@pytest.fixture(scope="module")
def examples(made_scenes):
    return list(read_scenes(made_scenes))


def answer(asked: Meaning, meaning: Meaning | None, words: str = "Lift the mug.") -> Answer:
    return Answer(words=words, asked=asked, meaning=meaning)


def judged(*meanings: Meaning | None, held_out: tuple[Meaning | None, Meaning | None] = (LEFT, RIGHT)) -> Judged:
    """A case about lifting, answered so in each wording, and left and right, whose held-out words may fail."""
    good = (answer(LEFT, LEFT, "Move it left."), answer(RIGHT, RIGHT, "Move it right."))
    bad = (answer(LEFT, held_out[0], "Move it left."), answer(RIGHT, held_out[1], "Move it right."))
    return Judged(
        wordings={name: answer(LIFT, meaning) for name, meaning in zip(WORDINGS, meanings, strict=True)},
        pair="move left / right",
        opposites={words: bad if words == HELD_OUT else good for words in PAIR_WORDS},
    )


def row(rows, **wanted):
    (found,) = [r for r in rows if all(r.get(name) == value for name, value in wanted.items())]
    return found


def test_what_a_task_means_is_told_by_what_happens():
    assert Meaning.of(2, False, "grab") == Meaning.of(2, False, "grab", "up")
    assert Meaning.of(2, False, "push", "left") == Meaning.of(2, False, "pull", "left")
    assert Meaning.of(2, False, "push") != Meaning.of(2, False, "pull")
    assert Meaning.of(2, True, "pull") == Meaning.of(2, True, "open") != Meaning.of(2, True, "push")


def test_the_first_reason_is_told():
    def other(**changes) -> Answer:
        return answer(LIFT, Meaning(**{**vars(LIFT), **changes}))

    one = answer(LIFT, LIFT)
    assert why_other(one, one) == ""
    assert why_other(one, answer(LIFT, None)) == why_other(answer(LIFT, None), one) == "asked back"
    assert why_other(answer(LIFT, None), answer(LIFT, None)) == "asked back"
    assert why_other(one, other(thing=1, task="open")) == "other object"
    assert why_other(one, other(task="open", relation="")) == "other task"
    assert why_other(one, other(relation="left")) == "other relation"
    assert why_other(one, other(reference=2)) == "other reference"


def test_shares_of_four_cases_worked_out_by_hand():
    other = Meaning(thing=1, task="grab", relation="up")
    rows = rows_of(
        [
            judged(LIFT, LIFT, LIFT, LIFT, LIFT),
            judged(LIFT, LIFT, other, None, LEFT),
            judged(other, other, other, other, LIFT),  # the same, and wrong
            judged(None, LIFT, LIFT, None, LIFT),  # asked back of the canonical wording already
        ]
    )
    canonical = row(rows, wording=CANONICAL)
    assert canonical["n"] == 4
    assert canonical["right"] == 0.5
    assert canonical["asked_back"] == 0.25
    assert "same" not in canonical
    same = {name: row(rows, wording=name)["same"] for name in WORDINGS[1:]}
    assert same == {OTHER_FORM: 0.75, HELD_OUT_FORM: 0.5, HELD_OUT_NAME: 0.5, BOTH: 0.25}
    assert row(rows, wording=OTHER_FORM)["of_answered"] == 1.0
    assert row(rows, wording=HELD_OUT_FORM)["of_answered"] == pytest.approx(2 / 3)
    assert row(rows, wording=HELD_OUT_NAME)["asked_back"] == 0.5
    assert row(rows, wording=BOTH)["other_object"] == 0.25
    low, high = row(rows, wording=BOTH)["same_ci"]
    assert 0 < low < 0.25 < high < 1


def test_opposites_are_confused_where_the_other_one_is_answered():
    one = judged(*[LIFT] * 5)
    two = judged(*[LIFT] * 5, held_out=(RIGHT, RIGHT))
    three = judged(*[LIFT] * 5, held_out=(None, LIFT))
    rows = rows_of([one, two, three])
    assert row(rows, opposites="all", words=TRAINING)["confused"] == 0.0
    held_out = row(rows, opposites="move left / right", words=HELD_OUT)
    assert held_out["n"] == 6
    assert held_out["confused"] == pytest.approx(1 / 6)
    assert held_out["asked_back"] == pytest.approx(1 / 6)
    assert held_out["right"] == pytest.approx(3 / 6)
    (confused,) = [e for e in examples_of([one, two, three]) if e["why"] == "confused"]
    assert confused == {"wording": HELD_OUT, "why": "confused", "canonical": "Move it right.", "words": "Move it left."}


def test_wordings_of_a_case_differ_in_what_they_shall(examples):
    cases = [
        case
        for number, example in enumerate(examples)
        for case in draw_cases(example.things, example.scene.camera.T_world_camera, np.random.default_rng(number), 6)
    ]
    assert len(cases) > 10
    for case in cases:
        assert set(case.words) == set(WORDINGS)
        assert case.words[HELD_OUT_NAME] != case.words[CANONICAL]
        one, other = case.pair.meanings
        assert one.thing == other.thing == case.meaning.thing
        assert (one.task, one.relation) != (other.task, other.relation)
        for words in case.pair.words.values():
            assert words[0] != words[1]
        for words in (*case.words.values(), *(w for pair in case.pair.words.values() for w in pair)):
            assert "{" not in words
            assert words[0].isupper()


def test_the_same_cases_are_drawn_again(examples):
    example = examples[0]
    T_world_camera = example.scene.camera.T_world_camera
    one, two = (draw_cases(example.things, T_world_camera, np.random.default_rng(3), 4) for _ in range(2))
    assert one == two


class Knows:
    """Sees the true instances and understands what it was told of; asks back of the rest."""

    def __init__(self, example):
        self.example, self.known = example, {}

    def see(self, scene):
        kinds = tuple(THING if thing.joint is None else PART for thing in self.example.things)
        labels = self.example.instances.astype(np.int64) - 1
        return SimpleNamespace(found=Instances(labels=labels, kinds=kinds, handles=self.example.handles))

    def meant(self, seen, instruction):
        if instruction not in self.known:
            raise ValueError("Which one?")
        return self.known[instruction]


def test_an_image_is_judged_by_what_is_answered(examples):
    tasks = {"pull and push": "push", "pick and place": "place"}
    for example in examples:
        seen = [k for k in range(len(example.things)) if np.count_nonzero(example.instances == k + 1) >= 80]
        T_world_camera = example.scene.camera.T_world_camera
        cases = draw_cases(example.things, T_world_camera, np.random.default_rng(0), 3, seen)
        stub = Knows(example)
        for case in cases:
            meaning = case.meaning
            task = tasks.get(meaning.task, meaning.task)
            asked = Asked(task=task, relation=meaning.relation, reference=meaning.reference)
            stub.known |= {case.words[name]: (meaning.thing, asked) for name in (CANONICAL, HELD_OUT_FORM)}
        found = judge_image(example, stub, np.random.default_rng(0), 3)
        assert len(found) == len(cases)
        rows = rows_of(found)
        assert [j.wordings[CANONICAL].meaning for j in found] == [case.meaning for case in cases]
        assert row(rows, wording=CANONICAL)["right"] == 1.0
        assert row(rows, wording=HELD_OUT_FORM)["same"] == 1.0
        assert row(rows, wording=HELD_OUT_NAME)["asked_back"] == 1.0


def test_tables_and_pictures_of_rows(tmp_path):
    cases = [judged(LIFT, LIFT, None, LIFT, LIFT, held_out=(RIGHT, RIGHT))]
    rows = rows_of(cases)
    shown = text(rows, examples_of(cases))
    assert "held-out form, asked back:" in shown
    assert "held-out words, confused:" in shown
    draw_rows(rows, tmp_path / "table.png")
    assert Image.open(tmp_path / "table.png").width > 300


def test_the_command_needs_recordings_or_a_number(capsys):
    assert main(["eval", "wording"]) != 0
    assert "--scenes" in capsys.readouterr().err
    assert main(["eval", "wording", "--scenes", "0"]) != 0
    assert "expected at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_both_kinds_of_rows(tiny_planner, capsys, tmp_path):
    options = ["--scenes", "3", "--quick", "--perception-weights", str(tiny_planner), "--out", str(tmp_path), "--json"]
    assert main(["eval", "wording", *options]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["quick"]
    assert facts["seed"] == 107
    assert [r["wording"] for r in facts["rows"] if "wording" in r] == list(WORDINGS)
    assert {r["words"] for r in facts["rows"] if "opposites" in r} == set(PAIR_WORDS)
    assert (tmp_path / "table.csv").is_file()
    assert (tmp_path / "table.png").is_file()
