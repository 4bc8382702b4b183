"""Instructions: their grammar, which words never occur in training, their amounts, and the paths that fulfil them."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scene_builders import CAMERA, box_points, cup_points, hinge, moved, part, runner, thing
from unihm.planning.amounts import DISTANCES, SHARES, read_angle, read_distance, read_share
from unihm.planning.goals import RELATIONS, goal_pose
from unihm.planning.pace import GENH2R
from unihm.scenes import asking, asking_forms
from unihm.scenes.families import FAMILIES
from unihm.scenes.furniture import WORDS
from unihm.scenes.layout import TableTop
from unihm.scenes.records import Thing
from unihm.schema.task import FAMILY, TASKS


def household(name: str, at, size=(0.06, 0.06, 0.1), **arguments) -> Thing:
    family = FAMILIES[name]
    arguments = {"colour": ("red",), "pattern": ("plain",), **arguments}
    return thing(
        (name, *family.synonyms),
        at,
        size,
        classes=family.class_words,
        held_out_names=family.held_out,
        **arguments,
    )


def moving(kind: str, at, joint, **words) -> Thing:
    made = part(kind, at, joint, **words)
    names, held_out, classes = WORDS[kind]
    return Thing(**{**vars(made), "names": names, "held_out_names": held_out, "class_words": classes})


def kitchen() -> tuple[Thing, ...]:
    """Free objects, a vessel, a flat box, two drawers, a door that is ajar and a lid."""
    return (
        household("mug", (-0.3, 0.0), points=cup_points(), colour=("dark blue", "blue")),
        household("lemon", (-0.1, -0.15), (0.05, 0.035, 0.035), colour=("yellow",)),
        household("tea box", (0.1, 0.0), (0.12, 0.1, 0.06), pattern=("striped", "with white stripes")),
        household("pliers", (0.3, -0.15), (0.16, 0.05, 0.02), colour=("black",)),
        household("lemon", (-0.1, 0.2), (0.08, 0.056, 0.056), colour=("light green", "green")),
        moving("drawer", (0.1, 0.5, 0.2), runner((0.1, 0.5, 0.2)), place=("top", "upper")),
        moving("drawer", (0.1, 0.4, 0.1), runner((0.1, 0.4, 0.1), 0.1), place=("bottom", "lower")),
        moving("door", (0.5, 0.5, 0.2), hinge((0.5, 0.5, 0.2), 0.6)),
        moving("lid", (-0.5, 0.5, 0.15), hinge((-0.5, 0.5, 0.15))),
    )


@pytest.fixture(scope="module")
def drawn():
    """Many instructions of the kitchen without paths, which take most of the time; training, held out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "task_path", lambda task, T, *_: (np.stack([T, T]), 1))
        return tuple(
            asking.askings(kitchen(), CAMERA, np.random.default_rng(0), held_out_wording=held_out, count=count)
            for held_out, count in ((False, 2000), (True, 300))
        )


def vocabulary(*texts: str) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z'-]+", re.sub(r"\{\w+\}", " ", text.lower()))}


def all_forms(clauses, sentences, frames=()) -> list[str]:
    return [text for group in (*clauses.values(), *sentences.values(), frames) for text in group]


TRAINING_FORMS = all_forms(asking_forms.CLAUSES, asking_forms.SENTENCES, asking_forms.FRAMES)
PHRASES = (asking_forms.WHERE, asking_forms.VAGUE, asking_forms.VAGUE_UP, asking_forms.SHARE)
USUAL = vocabulary(*TRAINING_FORMS, *(text for phrases in PHRASES for pair in phrases.values() for text in pair[0]))
HELD_OUT_FORMS = all_forms(asking_forms.HELD_OUT_CLAUSES, asking_forms.HELD_OUT_SENTENCES)


# Held-out in no sense: words that stand in names and in phrases for the place of a thing as well.
SHARED = {"it", "its", "i'd", "i'm", "my", "that", "what", "if", "be", "so", "to", "as", "not", "has", "after", "back"}
SHARED |= {"kind", "side", "stick", "left-hand", "right-hand", "nearer"}


def test_there_are_enough_forms_and_no_held_out_form_is_made_of_usual_words():
    assert len(set(TRAINING_FORMS)) >= 100
    assert len(set(HELD_OUT_FORMS)) >= 50
    for form in HELD_OUT_FORMS:
        assert vocabulary(form) - USUAL, form
    for frame in asking_forms.HELD_OUT_FRAMES[1:]:
        assert vocabulary(frame) - vocabulary(*asking_forms.FRAMES), frame
    assert set(asking_forms.CLAUSES) == set(asking_forms.HELD_OUT_CLAUSES)
    assert set(asking_forms.SENTENCES) == set(asking_forms.HELD_OUT_SENTENCES)


def test_held_out_words_never_occur_in_training(drawn):
    never = vocabulary(*HELD_OUT_FORMS, *asking_forms.HELD_OUT_FRAMES) - USUAL
    never |= vocabulary(*(text for phrases in PHRASES for pair in phrases.values() for text in pair[1])) - USUAL
    never -= SHARED
    never |= {"bulkiest", "tiniest", "sizeable", "loftiest", "lengthiest", "extreme", "viewer", "rearmost", "central"}
    assert {"hoist", "fetch", "relocate", "shove", "tug", "swing", "kindly"} <= never
    names = {name for family in FAMILIES.values() for name in family.held_out}
    names |= {name for _, held_out, _ in WORDS.values() for name in held_out}
    never_names = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(names))) + r")\b")
    found, heard = drawn
    assert len(found) == 2000
    for one in found:
        assert not one.held_out_wording
        assert not vocabulary(one.instruction) & never, one.instruction
        assert not never_names.search(one.instruction.lower()), one.instruction
    for one in heard:
        assert one.held_out_wording
        assert vocabulary(one.instruction) & never, one.instruction
    assert sum(bool(never_names.search(one.instruction.lower())) for one in heard) > 50
    assert not {one.instruction for one in heard} & {one.instruction for one in found}


@pytest.mark.parametrize("held_out", [False, True])
def test_grammar(drawn, held_out):
    for one in drawn[held_out]:
        text = one.instruction
        assert text[0].isupper(), text
        assert re.fullmatch(r"[A-Za-z0-9,;:.?!' -]+", text), text
        assert not re.search(r"  | [,.?!;]|\ba [aeiou]|\ban [^aeiou]|\bthe the\b|\b(\w+) \1\b|,\S|[.?!]\w", text), text
        assert re.search(r"[a-z0-9][.?!]?$", text), text
        assert not re.search(r"pliers (?:goes|belongs)", text), text
        if re.search(r"^(?:Grab|Pick|Take|Lift) the (?:combination )?pliers and ", text):
            assert re.search(r"\bthem\b", text), text


def test_families_of_tasks_are_about_as_frequent_and_some_words_fit_none_or_several(drawn):
    found = drawn[0]
    families = Counter(FAMILY[one.task] for one in found)
    assert all(0.17 < families[family] / len(found) < 0.33 for family in FAMILY.values())
    assert {one.task for one in found} == set(TASKS)
    assert 0.03 < np.mean([not one.targets for one in found]) < 0.1
    assert 0.02 < np.mean([len(one.targets) > 1 for one in found]) < 0.1
    assert {one.relation for one in found} == set(RELATIONS)
    kinds = {kind for one in found for kind in one.refers_by.split(" and ")}
    assert kinds >= {"name", "class", "colour", "pattern", "size", "place", "part"}
    for one in found:
        assert (one.T_world_object is not None) == (len(one.targets) == 1)


def test_amounts_are_those_that_the_words_state(drawn):
    things = kitchen()
    seen = Counter()
    for one in drawn[0]:
        joint = things[one.targets[0]].joint if one.targets else None
        if one.task in ("open", "close") or (joint and joint.kind == "slide"):
            share, angle, metres = read_share(one.instruction), read_angle(one.instruction), None
            if share is None and angle is None:
                metres = read_distance(one.instruction)
            if joint is None or len(one.targets) > 1 or one.amount is None:
                continue
            before = joint.position if joint.kind == "slide" else 0.0
            stated = angle if angle is not None else metres if share is None else share * joint.upper - before
            seen["joint"] += 1
        else:
            stated = read_distance(one.instruction)
            if isinstance(stated, str):
                stated = getattr(DISTANCES[one.task], stated)
                seen["vague"] += 1
            turn = read_angle(one.instruction)
            assert one.turn == pytest.approx(turn or 0.0), one.instruction
            seen["turn"] += turn is not None
        assert one.amount == (None if stated is None else pytest.approx(stated)), one.instruction
        seen["number"] += stated is not None
    assert min(seen.values()) > 20
    assert set(SHARES) == {"little", "half", "full"}


def test_paths_start_at_the_object_end_at_the_goal_and_keep_the_pace():
    things = kitchen()
    dropped = Counter()
    found = asking.askings(things, CAMERA, np.random.default_rng(3), count=24, dropped=dropped)
    assert len({one.instruction for one in found}) == 24
    assert sum(dropped.values()) < 24
    for one in found:
        if one.T_world_object is None:
            assert len(one.targets) != 1
            continue
        target, path = things[one.targets[0]], one.T_world_object
        assert path[: one.rest_frames] == pytest.approx(
            np.tile(target.T_world_object, (one.rest_frames, 1, 1)), abs=1e-9
        )
        assert np.linalg.norm(path[one.rest_frames] - path[0]) > 0
        turns = Rotation.from_matrix(path[:-1, :3, :3]).inv() * Rotation.from_matrix(path[1:, :3, :3])
        assert 30 * np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1).max() <= GENH2R.speed + 1e-6
        assert 30 * turns.magnitude().max() <= GENH2R.turn_speed + 1e-6
        if target.joint is None:
            reference = things[one.reference].points_world if one.reference >= 0 else None
            goal = goal_pose(
                one.task,
                one.relation,
                one.amount,
                one.turn,
                target.T_world_object,
                target.points_world,
                reference,
                CAMERA,
            )
            assert path[-1] == pytest.approx(goal, abs=1e-6)
        elif target.joint.kind == "slide":
            way = (path[-1] - path[0])[:3, 3] @ target.joint.axis_world
            assert (way > 0) == (one.task == "pull")
            assert -1e-6 <= target.joint.position + way <= target.joint.upper + 1e-6
        else:
            turned = Rotation.from_matrix(path[-1, :3, :3] @ path[0, :3, :3].T).as_rotvec()
            end = target.joint.position + turned @ target.joint.axis_world
            assert end == pytest.approx(0.0 if one.task == "close" else one.amount or np.pi / 2, abs=1e-6)


def test_the_same_seed_gives_the_same_askings():
    one, other = (asking.askings(kitchen(), CAMERA, np.random.default_rng(5), count=4) for _ in range(2))
    assert [a.instruction for a in one] == [a.instruction for a in other]
    assert all(
        a.T_world_object is b.T_world_object or np.array_equal(a.T_world_object, b.T_world_object)
        for a, b in zip(one, other, strict=True)
    )


def test_what_stands_there_and_the_edge_of_the_table_are_kept_clear_of():
    things = (household("tea box", (0.0, 0.0), (0.08, 0.05, 0.05)),)
    walls = np.concatenate([moved(box_points((0.02, 0.5, 0.4)), x, 0, 0) for x in (-0.1, 0.1)])
    dropped: Counter[str] = Counter()
    found = asking.askings(things, CAMERA, np.random.default_rng(0), count=6, surroundings_world=walls, dropped=dropped)
    assert not [
        a for a in found if a.targets == (0,) and a.task in ("push", "pull") and a.relation in ("left", "right")
    ]
    assert any("blocked" in reason for reason in dropped)
    small = TableTop(T_world_table=np.eye(4), half=(0.1, 0.1))
    dropped.clear()
    found = asking.askings(things, CAMERA, np.random.default_rng(0), count=6, table=small, dropped=dropped)
    assert any("not on the table" in reason for reason in dropped)
    for one in found:
        if one.targets == (0,) and one.T_world_object is not None:
            assert np.abs(things[0].moved_to(one.T_world_object[-1])[:, :2]).max() <= 0.09 + 1e-6


def test_a_scene_in_which_nothing_can_be_asked_for():
    with pytest.raises(ValueError, match="Nothing is in view"):
        asking.askings((), CAMERA, np.random.default_rng(0))
    shut = (moving("door", (0.5, 0.5, 0.2), hinge((0.5, 0.5, 0.2), upper=0.1)),)
    with pytest.raises(ValueError, match="can be moved"):
        asking.askings(shut, CAMERA, np.random.default_rng(0))


def test_a_drawer_alone_is_pulled_and_pushed():
    half = (moving("drawer", (0.1, 0.5, 0.2), runner((0.1, 0.5, 0.2), 0.1)),)
    found = asking.askings(half, CAMERA, np.random.default_rng(0), count=40)
    assert {one.task for one in found if one.targets} == {"pull", "push"}
    for one in found:
        if one.targets and one.task == "push":
            assert not re.search(r"\bopen\b|\bout\b", one.instruction)
