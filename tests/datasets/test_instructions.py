import dataclasses
import itertools
import re
import string

import numpy as np
import pytest
from dataset_builders import make_episode
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.datasets import phrases
from unihm.datasets.instructions import VALUES, EpisodeFacts, asking, episode_facts, instructions
from unihm.datasets.object_names import OBJECT_NAMES, ObjectNames, is_plural, object_names
from unihm.datasets.sentence_forms import forms, slots, stated
from unihm.kinematics.keypoints import FINGERS, TIPS, WRIST
from unihm.planning.wording import read

# The run-time checks of types draw which item of a tuple they look at, and Hypothesis takes that for a fault of ours.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

FACTS = EpisodeFacts(
    id="made/1",
    names=ObjectNames("mug", ("cup", "red mug"), ("beaker", "tea mug")),
    approach="left",
    travel="closer",
    height=0.25,
    speed=0.2,
    fingers=("thumb", "index", "middle"),
    on_table=True,
)
SIDES = ["front", "behind", "left", "right", "above"]
WAYS = ["up", "closer", "away", "left", "right"]
some_fingers = st.sets(st.sampled_from(FINGERS)).map(lambda chosen: tuple(f for f in FINGERS if f in chosen))
any_facts = st.builds(
    EpisodeFacts,
    id=st.text(max_size=8),
    names=st.sampled_from(list(OBJECT_NAMES.values())),
    approach=st.sampled_from(SIDES),
    travel=st.sampled_from(WAYS),
    height=st.floats(0, 0.6),
    speed=st.floats(0, 2),
    fingers=some_fingers,
    on_table=st.booleans(),
)
PHRASES = (phrases.APPROACH, phrases.TRAVEL, phrases.HEIGHT, phrases.SPEED)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z'-]+", text.lower()))


def check_grammar(sentence: str, facts: EpisodeFacts, names: tuple[str, ...]):
    assert re.fullmatch(r"[A-Z][A-Za-z' ,;-]+[.?]", sentence), sentence
    assert not re.search(r"  | [,;.?]|[,;][^ ]", sentence), sentence
    assert not re.search(r"\b(\w+) \1\b", sentence.lower()), sentence  # "the the", "up up"
    assert not re.search(r"\ban? (?:[aeiou]\w*s|the)\b|\ba [aeiou]|\ban [^aeiou]", sentence), sentence
    assert not re.search(r"\b(?:two|three|four|five) (?:finger|digit)\b|\bone fingers\b", sentence), sentence
    assert len(sentence) <= 200
    said = [name for name in names if re.search(rf"\bthe {re.escape(name)}\b", sentence, re.IGNORECASE)]
    assert said, sentence
    spoken = max(said, key=len)  # "coffee tin" in "can of ...", "pair of scissors" before "scissors"
    wrong = r"\b(it|it is)\b(?! is time)" if is_plural(spoken) else r"\b(them|they are)\b"
    assert not re.search(wrong, sentence.replace("It is time", "")), sentence


@settings(max_examples=60, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 10**6), held_out=st.booleans())
def test_sentences_are_grammatical_distinct_and_repeatable(facts, seed, held_out):
    sentences = instructions(facts, seed, count=12, held_out=held_out)
    assert len(set(sentences)) == len(sentences) == 12
    assert instructions(facts, seed, count=12, held_out=held_out) == sentences
    assert instructions(facts, seed, count=5, held_out=held_out) == sentences[:5]
    names = facts.names.held_out if held_out else (facts.names.name, *facts.names.synonyms)
    for sentence in sentences:
        check_grammar(sentence, facts, names)


@settings(max_examples=25, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 100))
def test_there_are_as_many_sentences_as_a_training_wants(facts, seed):
    sentences = instructions(facts, seed, count=32)
    assert len(set(sentences)) == 32
    assert instructions(facts, seed + 1, count=32) != sentences


def test_every_sentence_comes_once_and_then_they_end():
    names = ObjectNames("mug", (), ("beaker",))
    few = dataclasses.replace(FACTS, names=names, height=0.01, travel="up", fingers=())
    with pytest.raises(ValueError, match=r"5000 instructions are wanted, there are \d+ for 'made/1'") as caught:
        instructions(few, 0, count=5000)
    number = int(re.findall(r"there are (\d+)", str(caught.value))[0])
    every = instructions(few, 0, count=number)
    assert len(set(every)) == number > 50
    assert set(instructions(few, 1, count=number)) == set(every)


@settings(max_examples=25, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 100))
def test_held_out_sentences_use_other_words_phrases_and_forms(facts, seed):
    held_out = instructions(facts, seed, count=16, held_out=True)
    training = instructions(facts, seed, count=60)
    assert not set(held_out) & set(training)
    known = {p for slot in PHRASES for some in slot[0].values() for p in some}
    known |= set(phrases.grip(facts.fingers)) | {facts.names.name, *facts.names.synonyms} - set(facts.names.held_out)
    for sentence in held_out:
        said = facts.names.held_out
        rest = min((sentence.replace(name, "_") for name in said if name in sentence), key=len)
        assert not [p for p in known if re.search(rf"\b{p}\b", rest)], sentence


def test_held_out_forms_phrases_and_names_each_have_a_word_that_training_has_not():
    training = set()
    for lifted in (True, False):
        training |= set().union(*(words(form) for form in forms(lifted=lifted)))
    training |= set().union(*(words(p) for slot in PHRASES for some in slot[0].values() for p in some))
    training |= set().union(
        *(words(p) for k in range(6) for f in itertools.combinations(FINGERS, k) for p in phrases.grip(f))
    )
    names = set().union(*(words(w) for names in OBJECT_NAMES.values() for w in (names.name, *names.synonyms)))
    for lifted in (True, False):
        for form in forms(held_out=True, lifted=lifted):
            assert words(form) - training, form
    for slot in PHRASES:
        for phrase in (p for some in slot[1].values() for p in some):
            assert words(phrase) - training - {"it_is"}, phrase
    for fingers in (f for k in range(2, 6) for f in itertools.combinations(FINGERS, k)):
        assert all(words(p) - training for p in phrases.grip(fingers, held_out=True))
    for entry in OBJECT_NAMES.values():
        assert all(words(word) - names for word in entry.held_out), entry


def test_there_are_many_forms_and_names_mean_one_object():
    assert len(forms()) >= 40
    assert len(forms(held_out=True)) >= 20
    assert not set(forms()) & set(forms(held_out=True))
    assert all(len(names.held_out) == 3 and len(names.synonyms) >= 2 for names in OBJECT_NAMES.values())
    every = [word for names in OBJECT_NAMES.values() for word in (names.name, *names.synonyms, *names.held_out)]
    assert len(every) == len(set(every))


def test_forms_have_no_slot_that_nobody_fills():
    known = {"approach", "grip", "travel", "aside", "height", "speed", "adverb"}
    for held_out, lifted in itertools.product((False, True), repeat=2):
        for form in forms(held_out=held_out, lifted=lifted):
            assert slots(form) <= known, form
            assert {name for _, name, _, _ in string.Formatter().parse(form) if name} - slots(form) <= {"object", "it"}
            assert stated(form) <= set(VALUES)
            assert not lifted or "{object}" in form


def test_every_value_of_a_slot_has_as_many_phrases_as_the_others():
    for slot in PHRASES:
        for some in slot:
            assert len({len(values) for values in some.values()}) == 1
    for some in phrases.SPEED:
        assert len({len(phrases.adverbs(values)) for values in some.values()}) == 1
    for some in phrases.HEIGHT:
        assert len({sum("table" not in phrase for phrase in values) for values in some.values()}) == 1


@settings(max_examples=40, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 100))
def test_nothing_untrue_is_said(facts, seed):
    text = " ".join(instructions(facts, seed, count=60)).lower()
    for value, said in phrases.APPROACH[0].items():
        others = {p for other, some in phrases.APPROACH[0].items() if other != value for p in some}
        if value == facts.approach:
            assert not [p for p in others if re.search(rf"\b{p}\b", text)]
            assert any(p in text for p in said)
    if not facts.on_table:
        assert "table" not in text
    if len(facts.fingers) < 2:
        assert "finger" not in text
        assert "whole hand" not in text
    else:
        named = [f for f in (*FINGERS[1:4], "little") if re.search(rf"\b{f}( finger|,| and)", text)]
        assert set(named) <= {"little" if f == "pinky" else f for f in facts.fingers}
    if facts.height < 0.03:
        assert not re.search(r"\b(lift|pick|raise|high|carry)\b", text)
    if facts.travel == "up":
        assert not re.search(r"\b(leftward|rightward|camera|toward)\b", text)
    else:
        assert "straight up" not in text


def test_fingers_are_counted_and_named():
    def said(*fingers, held_out=False):
        return phrases.grip(fingers, held_out)

    assert said("thumb", "index") == (
        "with two fingers", "with your thumb and index finger", "with your thumb and one finger",
    )  # fmt: skip
    assert said("thumb", "middle", "pinky")[1:] == (
        "with your thumb, middle and little fingers", "with your thumb and two fingers",
    )  # fmt: skip
    assert said("index", "middle")[1] == "with your index and middle fingers"
    assert said(*FINGERS) == ("with all five fingers", "with your whole hand", "with your thumb and four fingers")
    assert said("thumb") == said() == ()
    assert said("thumb", "index", held_out=True) == ("using the thumb and index finger", "by means of two digits")


def test_scissors_are_plural_and_a_pair_of_them_is_not():
    assert is_plural("scissors")
    assert is_plural("kitchen scissors")
    assert not is_plural("pair of scissors")
    assert not is_plural("mug")
    names = ObjectNames("scissors", (), ("shears",))
    for held_out in (False, True):
        text = " ".join(instructions(dataclasses.replace(FACTS, names=names), 0, count=40, held_out=held_out))
        assert not re.search(r"\bit\b", text)
        assert "them" in text


def test_objects_that_nobody_has_named_are_called_as_the_data_set_does():
    assert object_names("025_mug") is OBJECT_NAMES["025_mug"]
    assert object_names("Kitchen_Tongs-3").name == "kitchen tongs"
    assert is_plural(object_names("Kitchen_Tongs-3").name)
    assert object_names("0042").name == "object"
    assert len(instructions(dataclasses.replace(FACTS, names=object_names("x_1")), count=32)) == 32


@settings(max_examples=20, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 100), held_out=st.booleans())
@pytest.mark.parametrize("slot", VALUES)
def test_sentences_ask_for_a_given_value_and_nothing_else(slot, facts, seed, held_out):
    found = {value: asking(facts, slot, value, seed, count=8, held_out=held_out) for value in VALUES[slot]}
    tables = {"approach": phrases.APPROACH, "travel": phrases.TRAVEL, "height": phrases.HEIGHT, "speed": phrases.SPEED}
    for value, sentences in found.items():
        assert len(set(sentences)) == 8
        for sentence in sentences:
            for name, table in tables.items():
                says = {
                    v for v, some in table[held_out].items() for p in some
                    if re.search(rf"\b{p.replace('{it_is} ', '(it is|they are) ')}\b", sentence, re.IGNORECASE)
                }  # fmt: skip
                assert says == ({value} if name == slot else set()), (sentence, name, says)
    if slot in ("approach", "speed"):  # nothing but the phrase differs
        one, other = (found[value] for value in list(VALUES[slot])[:2])
        table = tables[slot][held_out]
        a, b = (table[value] for value in list(VALUES[slot])[:2])
        for first, second in zip(one, other, strict=True):
            changed = [re.sub(rf"\b{p}\b", q, first, flags=re.IGNORECASE).lower() for p, q in zip(a, b, strict=True)]
            assert second.lower() in changed


def test_what_cannot_be_asked_for_is_refused():
    with pytest.raises(ValueError, match=r"Slot 'sped' not found\. Did you mean 'speed'"):
        asking(FACTS, "sped", "slow")
    with pytest.raises(ValueError, match="Value of speed 'slowly' not found"):
        asking(FACTS, "speed", "slowly")
    with pytest.raises(ValueError, match="Slot 'colour' not found"):
        instructions(FACTS, stating=["colour"])
    with pytest.raises(ValueError, match=r"999999 instructions are wanted, there are .* stating speed of"):
        instructions(FACTS, count=999999, stating=["speed"])


@settings(max_examples=40, deadline=None)
@given(facts=any_facts, seed=st.integers(0, 1000))
def test_the_planner_understands_training_sentences(facts, seed):
    ways = {"up": "up", "closer": "toward", "away": "away", "left": "left", "right": "right"}
    for sentence in instructions(facts, seed, count=20):
        wording = read(sentence)
        found = {direction for directions, _ in wording.steps for direction in directions}
        assert found <= {"up", ways[facts.travel]}, sentence
        assert wording.task in (("lift", "move") if facts.height >= 0.03 else ("move", "push")), sentence


def moving_episode(path, reach):
    """An object that goes along `path` after frame 10, its hand at `reach` from it, seen by a camera along x."""
    num_frames = 40
    s = np.clip((np.arange(num_frames) - 10) / 25, 0, 1)[:, None]
    T = np.tile(np.eye(4), (num_frames, 1, 1))
    T[:, :3, 3] = [0.7, 0.1, 0.1] + s * np.array(path)
    keypoints = np.repeat(T[:, None, :3, 3], 21, axis=1) + 0.2
    keypoints[:, WRIST] = T[:, :3, 3] + np.array(reach)
    camera = np.eye(4)
    camera[:3, :3] = [[0, -0.6, 0.8], [-1, 0, 0], [0, -0.8, -0.6]]
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (500, 3))
    keypoints[:, TIPS[:3]] = T[:, None, :3, 3] + points[0]
    return make_episode(
        num_frames=num_frames,
        keypoints_world=keypoints,
        T_world_object=T,
        object_points=points,
        object_normals=points / np.linalg.norm(points, axis=1, keepdims=True),
        T_world_camera=camera,
        contact_frame=8,
        lift_frame=11,
    )


@pytest.mark.parametrize(
    ("path", "travel"),
    [
        ([0, 0, 0.3], "up"),
        ([0.3, 0, 0.2], "away"),
        ([-0.3, 0.1, 0.2], "closer"),
        ([0, 0.3, 0.2], "left"),
        ([0.1, -0.3, 0.2], "right"),
    ],
)
@pytest.mark.parametrize(
    ("reach", "approach"),
    [
        ([0, 0, 0.2], "above"),
        ([-0.2, 0, 0.1], "front"),
        ([0.2, 0.1, 0], "behind"),
        ([0, 0.2, 0], "left"),
        ([0.1, -0.2, 0], "right"),
    ],
)
def test_facts_are_measured_as_the_camera_sees_them(path, travel, reach, approach):
    facts = episode_facts(moving_episode(path, reach), OBJECT_NAMES["025_mug"])
    assert (facts.travel, facts.approach, facts.fingers) == (travel, approach, ("thumb", "index", "middle"))
    assert facts.height == pytest.approx(path[2])
    assert facts.on_table
    # From frame 11 to 35 the object goes 24 of 25 parts of the path, then rests until frame 39.
    assert facts.speed == pytest.approx(np.linalg.norm(path) * 24 / 25 / 28 * 30)


@pytest.mark.parametrize(("away", "fingers"), [(0.0, 4), (0.023, 0), (0.1, 3)])
def test_a_finger_that_may_or_may_not_touch_leaves_the_grip_unsaid(away, fingers):
    episode = moving_episode([0, 0, 0.3], [0, 0, 0.2])
    keypoints = episode.keypoints_world.copy()
    outermost = episode.object_points[episode.object_points[:, 0].argmax()]
    keypoints[:, TIPS[3]] = episode.T_world_object[:, :3, 3] + outermost + [away, 0, 0]
    facts = episode_facts(dataclasses.replace(episode, keypoints_world=keypoints), OBJECT_NAMES["025_mug"])
    assert len(facts.fingers) == fingers
