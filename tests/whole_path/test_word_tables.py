"""The table of words put to the test, from trials worked out by hand: rows, text, page and films."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unihm.evaluation.intervals import clustered_wilson, wilson
from unihm.evaluation.simulation_rows import ALL_HANDS
from unihm.evaluation.trials import TrialName, TrialResult
from unihm.whole_path import films
from unihm.whole_path.charts import Curve, Point, chart, stacked
from unihm.whole_path.films import best_way, write_films
from unihm.whole_path.layout import BOTH, Layout, candidates_of
from unihm.whole_path.page import page
from unihm.whole_path.simulation import PAPER, AskedOptions, asked_rows, confidence_rows, evaluate_asked
from unihm.whole_path.tables import text, write_tables
from unihm.whole_path.trials import AskedBatch, AskedSettings, names_of

HANDS = ("shadow", "leap")
WAYS = ("perceived", "perceived + best of 16")
FRICTIONS = (0.8, 0.5)
CAN, BRICK = "005_tomato_soup_can", "061_foam_brick"
EVIL = 'lift <script>alert("x")</script> & go'
VOID = {"meta", "img", "line", "circle", "polyline", "input"}


def succeeds(name: TrialName, number: int) -> bool:
    """Seen: perceived 1 of 4 with each hand, best of 16 3 of 4 (shadow) and 2 of 4 (leap).

    Unseen: nothing but 2 of 4 of perceived with leap; at the lower friction nothing at all.
    """
    if name.friction < 0.8:
        return False
    if name.part == "unseen":
        return name.variant == "perceived" and name.hand == "leap" and number < 2
    if name.variant == "perceived":
        return number == 0
    return number < (3 if name.hand == "shadow" else 2)


def trials(columns: tuple[str, ...] = ("grab", "pull-push"), hands: tuple[str, ...] = HANDS) -> list[TrialResult]:
    found = []
    for number in range(4):
        for part in ("seen", "unseen"):
            for column in columns:
                for name in names_of(part, column, number, hands, WAYS, FRICTIONS):
                    good = succeeds(name, number)
                    best = name.variant != "perceived"
                    thing = "drawer" if column == "pull-push" else (CAN, BRICK)[number % 2]
                    reason = "" if good else ("slipped", "wrong object")[number % 2]
                    measures = {"confidence": 0.25 * number, "perceived_success": 1.0} if best else {"drift_mm": 1.0}
                    found.append(
                        TrialResult(name=name, object=thing, success=good, reason=reason, measures=measures, note=EVIL)
                    )
    return found


def facts_of(results: list[TrialResult], **more: Any) -> dict[str, Any]:
    about = {"command": f"unihm eval {EVIL}", "commit": None, "seed": 0, "data": "store", "quick": False}
    return {**about, "date": "2026-01-01", "worlds": 4, "paper": PAPER, "trials": len(results),
            "confidence": confidence_rows(results), **more, "rows": asked_rows(results)}  # fmt: skip


class Page(HTMLParser):
    """Refuses what is not closed, and collects tables, words and where things come from."""

    def __init__(self, source: str):
        super().__init__()
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self.words = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "poster", "xlink:href")]
        if tag == "table":
            self.tables.append([])
        elif tag == "caption":
            self.captions.append("")
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data
        elif "caption" in self.open:
            self.captions[-1] += data


def test_rows_are_counted_by_hand():
    layout = Layout(asked_rows(trials()))
    assert (layout.parts, layout.whole, layout.pooled) == (["seen", "unseen"], BOTH, ALL_HANDS)
    assert (layout.ways, layout.hands, layout.frictions) == (list(WAYS), [*HANDS, ALL_HANDS], list(FRICTIONS))
    assert layout.candidates == {1: WAYS[0], 16: WAYS[1]}
    for column in ("grab", "pull-push"):
        single = layout.row("seen", column, WAYS[1], "shadow", 0.8)
        pooled = layout.row("seen", column, WAYS[1], ALL_HANDS, 0.8)
        assert single is not None
        assert pooled is not None
        assert (single["n"], single["success"]) == (4, 0.75)
        assert (pooled["n"], pooled["success"]) == (8, 5 / 8)
        assert (pooled["ci_low"], pooled["ci_high"]) == wilson(5, 8)[1:]
        assert pooled["reasons"] == {"slipped": 1, "wrong object": 2}
    assert layout.row("seen", "place", WAYS[0], ALL_HANDS, 0.8) is None


def test_trials_are_alike_by_object_and_those_of_furniture_by_world():
    layout = Layout(rows := asked_rows(trials()))
    outcomes = np.array([True, True, True, True, True, False, False, False])  # worlds 0 to 3, shadow and leap in each
    grab = layout.row("seen", "grab", WAYS[1], ALL_HANDS, 0.8)
    pull = layout.row("seen", "pull-push", WAYS[1], ALL_HANDS, 0.8)
    assert grab is not None
    assert pull is not None
    objects = [number // 2 % 2 for number in range(8)]
    assert (grab["cluster_low"], grab["cluster_high"]) == pytest.approx(clustered_wilson(outcomes, objects)[1:])
    worlds = [number // 2 for number in range(8)]
    assert (pull["cluster_low"], pull["cluster_high"]) == pytest.approx(clustered_wilson(outcomes, worlds)[1:])
    groups = {row["group"] for row in rows if row["task"] == "pull-push"}
    assert groups == {"all", "easy", "drawer", "paired"}


def test_of_one_hand_and_part_nothing_is_pooled():
    results = [result for result in trials(hands=("leap",)) if result.name.part == "seen"]
    layout = Layout(asked_rows(results))
    assert (layout.hands, layout.pooled, layout.whole) == (["leap"], "leap", "seen")
    assert "all hands" not in text(layout.rows).replace("of all hands go by", "").replace("all hands, parts", "")
    assert Page(page(layout.rows, {})).tables


def test_text_is_laid_out_as_the_papers_table():
    facts = facts_of(trials())
    said = text(facts["rows"], facts)
    seen = said.split("seen, friction 0.8\n")[1].split("\n\n")[0].splitlines()
    assert seen[0].split() == ["way", "hand", "grab", "place", "pull-push", "open-close"]
    of_shadow = next(line for line in seen if line.startswith("perceived + best of 16  shadow"))
    low, high = (f"{100 * end:.0f}" for end in wilson(3, 4)[1:])
    first, hand, grab, place, pull, close = re.split(r" {2,}", of_shadow)
    assert (first, hand, place, close) == (WAYS[1], "shadow", "not tried", "not tried")
    assert grab.startswith(f"75 % [{low}, {high}] {{")
    apart = clustered_wilson(np.arange(4) < 3, range(4))[1:]  # every world is another drawer
    assert pull == f"75 % [{low}, {high}] {{{100 * apart[0]:.0f}, {100 * apart[1]:.0f}}} n 4"
    assert "62 % [31, 86]" in next(line for line in seen if line.startswith("perceived + best of 16  all hands"))
    assert seen[-1].split() == ["paper,", "real", "robot", "-", "65", "%", "50", "%", "60", "%", "55", "%"]
    lower = said.split("unseen, friction 0.5, all hands\n")[1].split("\n\n")[0].splitlines()
    assert lower[-1].startswith("perceived + best of 16  0 % [0, 32]  not tried  0 % [0, 32]")
    # 5 of 16 less 4 of 16, both parts together, whose worlds have the same numbers
    assert re.search(r"perceived \+ best of 16 - perceived +\+6 % ", said)
    reasons = said.split("reasons of failure, all hands, seen and unseen, friction 0.8\n")[1]
    assert "perceived + best of 16  16      11  slipped 5, wrong object 6" in reasons
    assert "is confidence honest?" in said
    assert "75 to 100 %" not in said
    assert text([]) == "no rows"


def test_confidence_is_compared_with_the_truth():
    facts = facts_of(trials(("grab",)))
    told = [(row["above"], row["to"], row["n"], row["success"]) for row in facts["confidence"]]
    assert told == [(0.0, 0.0, 8, 2 / 8), (0.0, 0.25, 8, 2 / 8), (0.25, 0.5, 8, 1 / 8), (0.5, 0.75, 8, 0.0)]
    words = Page(page(facts["rows"], facts)).words
    for line in ("none of the candidates, then 25 %, n 8", "50 to 75 % of the candidates, then 0 %, n 8"):
        assert f"perceived + best of 16: {line}" in words


def test_page_says_every_cell():
    facts = facts_of(trials())
    read = Page(page(facts["rows"], facts))
    layout = Layout(facts["rows"])
    tables = dict(zip(read.captions, read.tables, strict=True))
    assert list(tables) == [
        "seen, friction 0.8, all hands",
        "unseen, friction 0.8, all hands",
        "seen, friction 0.8",
        "unseen, friction 0.8",
        "seen, friction 0.5",
        "unseen, friction 0.5",
    ]
    for caption, (head, *lines) in tables.items():
        assert head == ["", "grab", "place", "pull-push", "open-close"]
        part, friction = caption.split(", ")[0], float(caption.split("friction ")[1].split(",")[0])
        way, cells = "", 0
        for first, *rest in lines:
            if first == "paper, real robot":
                assert rest == [f"{100 * rate:.0f} %" for rate in PAPER[part].values()]
                continue
            hand = next((name for name in (*HANDS, ALL_HANDS) if first.endswith(name)), ALL_HANDS)
            way = first.removesuffix(hand) or way
            for column, cell in zip(head[1:], rest, strict=True):
                row = layout.row(part, column, way, hand, friction)
                if row is None:
                    assert cell == "not tried"
                    continue
                cells += 1
                assert cell.startswith(f"{100 * row['success']:.0f} % [{100 * row['ci_low']:.0f}, ")
                assert cell.endswith(f" n {row['n']}")
        single = 1 if caption.endswith(ALL_HANDS) else 2 if friction > 0.5 else 3
        assert cells == 2 * 2 * single  # columns, ways, hands
    assert "Columns not tried: place (seen), open-close (seen), place (unseen), open-close (unseen)." in read.words
    assert "A quick run" not in read.words
    assert "A quick run" in Page(page(facts["rows"], {**facts, "quick": True})).words


def test_page_needs_nothing_from_elsewhere_and_runs_nothing():
    films = [
        {"column": "grab", "hand": "leap", "kind": "success", "file": None, "variant": WAYS[1], "friction": 0.8},
        {"column": "grab", "hand": "leap", "kind": "failure", "file": "videos/a.mp4", "variant": WAYS[1],
         "poster": "videos/a.png", "image": "videos/a-image.png", "part": "seen", "world": "grab/0", "object": CAN,
         "instruction": EVIL, "reason": "slipped", "friction": 0.8},
    ]  # fmt: skip
    facts = facts_of(trials(), videos=films)
    source = page(facts["rows"], facts)
    assert source == page(facts["rows"], facts)
    read = Page(source)
    assert "://" not in source
    assert "<script" not in source
    assert read.tags.isdisjoint({"script", "link", "iframe", "object"})
    assert read.sources == ["videos/a.png", "videos/a.mp4", "videos/a-image.png"]
    assert read.words.count(EVIL) == 2  # the instruction and the command
    assert "success leap: there was none to show." in read.words
    assert "failure leap: slipped" in read.words
    assert "commitnot recorded" in read.words
    assert "None were made" in Page(page(facts["rows"], {**facts, "videos": []})).words


def test_what_was_tried_once_has_no_curve():
    results = [r for r in trials() if r.name.friction == 0.8 and r.name.variant == "perceived"]
    facts = facts_of(results)
    source = page(facts["rows"], facts)
    assert "<svg" not in source
    assert "Other frictions than 0.8: not tried." in Page(source).words


def test_curves_and_bars_are_to_scale():
    points = [Point(0.0, 0.0, 0.0, 0.5, "none"), Point(1.0, 1.0, 0.5, 1.0, "<all>")]
    drawn = chart([Curve("a & b", 0, points)], {0.0: "0.5", 1.0: "1"}, "friction", diagonal=True)
    assert '<polyline points="44.0,176.0 300.0,8.0"' in drawn
    assert "a &amp; b: &lt;all&gt;" in drawn
    bar = stacked(10, {"slipped": 3, "other": 1})
    assert [f"flex-grow:{count};" in bar for count in (6, 3, 1)] == [True] * 3
    assert "succeeded 6 · slipped 3 · other 1" in bar


def test_files_are_written(tmp_path):
    facts = facts_of(trials())
    write_tables(facts, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.html",
        "table.csv",
        "table.json",
        "table.png",
        "table.txt",
    ]
    assert json.loads((tmp_path / "table.json").read_text())["rows"] == facts["rows"]
    assert Image.open(tmp_path / "table.png").width > 1000
    with pytest.raises(ValueError, match="no rows"):
        write_tables({**facts, "rows": []}, tmp_path)


def test_films_are_of_the_way_among_the_most_candidates(tmp_path, monkeypatch):
    results = trials()
    by_name = {result.name: result for result in results}
    settings = AskedSettings(models=tmp_path, data=tmp_path, seed=0)

    def batch(name: TrialName) -> AskedBatch:
        column, _, number = name.episode.partition("/")
        return AskedBatch(
            part=name.part, column=column, number=int(number), episodes=(), names=(name,), settings=settings
        )

    def replay(one: AskedBatch) -> tuple[Any, ...]:
        result = by_name[one.names[0]]
        # What a rollout says of itself where the wrong thing was taken.
        reason = "missed" if result.reason == "wrong object" else result.reason
        scene = SimpleNamespace(color=np.zeros((720, 1280, 3), np.uint8))
        world = SimpleNamespace(example=SimpleNamespace(scene=scene), asking=SimpleNamespace(instruction=EVIL))
        return SimpleNamespace(world=None), SimpleNamespace(success=result.success, reason=reason), None, world

    def write(_world: Any, _rollout: Any, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")

    monkeypatch.setattr(films, "replay", replay)
    monkeypatch.setattr(films, "film", write)
    monkeypatch.setattr(films, "contact_sheet", write)
    shown = write_films(results, 0.8, batch, tmp_path)
    assert [(s["column"], s["hand"], s["kind"]) for s in shown] == [
        (column, hand, kind) for column in ("grab", "pull-push") for hand in HANDS for kind in ("success", "failure")
    ]
    assert {(s["variant"], s["friction"]) for s in shown} == {(WAYS[1], 0.8)}
    first = shown[0]
    assert (first["file"], first["part"], first["instruction"]) == ("videos/grab-shadow-success.mp4", "seen", EVIL)
    assert all((tmp_path / s[name]).is_file() for s in shown for name in ("file", "poster", "image"))
    assert Image.open(tmp_path / first["image"]).size == (320, 180)
    facts = facts_of(results, videos=shown)
    assert Page(page(facts["rows"], facts)).words.count(EVIL) == 8 + 1
    assert "grab shadow success: videos/grab-shadow-success.mp4" in text(facts["rows"], facts)

    refused = [replace(r, measures={}) if r.name.hand == "leap" and r.success else r for r in results]
    assert write_films(refused, 0.8, batch, tmp_path)[2]["file"] is None
    by_name |= {name: replace(r, success=not r.success) for name, r in by_name.items()}
    with pytest.raises(ValueError, match="came out otherwise"):
        write_films(results, 0.8, batch, tmp_path)


def test_names_of_ways():
    assert [candidates_of(way) for way in ("perceived", "perceived + best of 4", "true")] == [1, 4, 0]
    assert (
        best_way(["true", "perceived", "perceived + best of 4", "perceived + best of 16"]) == "perceived + best of 16"
    )
    assert best_way(["true", "ridge + joint"]) == "true"


def test_films_need_a_folder(tmp_path):
    with pytest.raises(ValueError, match=r"Videos need a folder to be written to \(--out\)"):
        evaluate_asked(tmp_path, tmp_path, ["leap"], AskedOptions(), videos=True)
