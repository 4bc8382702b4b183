"""The same instruction in plainer words; none of these was taken from the held-out forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unihm.cliport.instances import THING
from unihm.perception.cliport import Cliport
from unihm.perception.plain_verbs import VERBS
from unihm.perception.plain_words import about, check_wish, contained, noun_in, plainly, ruled_out
from unihm.scene_data.store import read_scenes
from unihm.scenes.asking_forms import CLAUSES
from unihm.schema.task import TASKS


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("Could you please hoist the red mug by 10 cm?", "Lift the red mug by 10 cm?"),
        ("Seize the whisk", "Pick up the whisk"),
        ("I need you to situate the fork on the far side of the mug.", "Put the fork behind the mug."),
        ("Shove the can over to the left, please.", "Push the can to the left."),
        ("The drawer should be tugged open.", "The drawer should be pulled open."),
        ("Draw the drawer out halfway, thanks.", "Pull the drawer out halfway."),
        ("Slam the door!", "Close the door!"),
        ("Give the mug a nudge.", "Give the mug a push."),
        ("Move the mug leftwards by 5 cm", "Move the mug to the left by 5 cm"),
        ("Robot, haul the can closer.", "Pull the can towards me."),
        ("Deposit the fork within the bowl", "Put the fork inside the bowl"),
    ],
)
def test_other_words_become_plain_ones(said, plain):
    assert plainly(said) == plain


@pytest.mark.parametrize(
    "said",
    [
        "Pick up the mug.",
        "Put the can to the left of the box.",
        "See the mug? Pick it up.",
        "I want the mug in your hand.",
        "The red mug needs lifting.",
        "Lift the mug on the left.",
        "Hold the mug 5 cm above the table",
        "Grab the mug by the handle.",
        "Lift the whisk farther away from me.",
        "Move the red lock to the right.",
        "Open the drawer",
        "Turn the fork 30 degrees clockwise.",
        "Set the can down into the box.",
        "Gather the can up.",
        "Pop the lid open.",
        "",
    ],
)
def test_plain_words_stay(said):
    assert plainly(said) == said


def test_verbs_that_training_has_stay():
    said = {word for clauses in CLAUSES.values() for clause in clauses for word in clause.split()}
    assert not said & {other for others in VERBS.values() for other in others}


def test_names_of_things_stay():
    assert plainly("Push the can and draw the roll of tape closer", ["roll of tape"]) == (
        "Push the can and pull the roll of tape towards me"
    )
    assert plainly("Lift the can, tap handle and all", ["tap handle"]) == "Lift the can, tap handle and all"
    assert plainly("Lift the can, tap it") == "Lift the can, push it"


@pytest.mark.parametrize(("one", "other"), [("leftwards", "rightwards"), ("closer", "farther off")])
def test_opposites_stay_opposites(one, other):
    assert plainly(f"Shift the mug {one}.") != plainly(f"Shift the mug {other}.")


def test_what_is_plain_is_not_made_plainer():
    for said in ("Kindly shunt the mug past the can", "Would you heave the box up by 5 cm for me?"):
        assert plainly(plainly(said)) == plainly(said)


@pytest.mark.parametrize(
    ("said", "thing"),
    [
        ("Pick up the mug on the left.", "the mug on the left"),
        ("Lift the mug that is next to the can by ten cm.", "the mug that is next to the can"),
        ("Put the can of beans to the left of the box", "the can of beans"),
        ("Push the left mug a bit to the right.", "the left mug"),
        ("Move the mug on the left to the right", "the mug on the left"),
        ("Pull the drawer of the cabinet out 5 cm", "the drawer of the cabinet"),
        ("Open the top drawer halfway", "the top drawer"),
        ("Push the drawer in", "the drawer"),
        ("Take the whisk and place it in the bowl", "the whisk"),
        ("Give the mug a push", "the mug"),
        ("Hoist the red mug 5 cm", "the red mug"),
        ("The mug on the left should go away.", "the mug on the left"),
        ("I want the can on the plate.", "the can"),
        ("Bang the orange lid shut.", "the orange lid"),
        ("Throw open the door of the cabinet", "the door of the cabinet"),
        ("Ease the door on the left open", "the door on the left"),
        ("Give the black one at the back a thrust", "the black one at the back"),
        ("Lift the red and dark blue ball and turn it", "the red and dark blue ball"),
        ("Lift the mug one inch", "the mug"),
    ],
)
def test_the_words_for_the_thing_are_found(said, thing):
    assert about(plainly(said)) == thing


@pytest.mark.parametrize("said", ["", "Lift it", "See the mug? Pick it up."])
def test_where_the_thing_is_not_certain_nothing_is_said_of_it(said):
    assert about(plainly(said)) == ""


@pytest.mark.parametrize(
    ("said", "never"),
    [
        ("Xyz the mug to the left.", {"right", "right of"}),
        ("Xyz the right mug left", {"right", "right of"}),
        ("Push the right mug left", {"right", "right of", "open", "pull"}),
        ("Put the left mug to the right of the can.", {"left", "left of"}),
        ("Put the mug behind the can", {"in front of"}),
        ("Move the mug away", {"toward"}),
        ("Xyz the can closer.", {"away"}),
        ("Xyz the drawer open.", {"push", "close"}),
        ("Pull the drawer", {"push", "close"}),
        ("Xyz the door shut", {"pull", "open"}),
        ("Push the open drawer in 5 cm.", {"pull", "open"}),
        ("The lid should not stand open; close it.", {"pull", "open"}),
        ("Don't leave the drawer open.", set()),
        ("Pick up the left mug", set()),
        ("Move the mug to the left, then to the right", set()),
        ("Xyz the fork in the bowl", set()),
    ],
)
def test_plain_words_rule_out_their_opposites(said, never):
    assert ruled_out(said) == never


@pytest.mark.parametrize("said", ["Don't lift the mug.", "Please do not push the can!", "Never open the door"])
def test_what_shall_not_be_done_is_refused(said):
    with pytest.raises(ValueError, match="says what not to do"):
        check_wish(said)
    assert plainly(said) == said


@pytest.mark.parametrize(
    "said", ["Lift the mug.", "Don't leave the drawer open.", "The lid should not stand open; close it.", "Not the can"]
)
def test_a_wish_with_a_not_in_it_is_none_of_these(said):
    check_wish(said)


def test_perception_understands_other_words_as_the_plain_ones(tiny_planner, made_scenes):
    perception = Cliport(tiny_planner)
    scene = next(iter(read_scenes(made_scenes))).scene
    seen = perception.see(scene)
    v, u = np.argwhere(seen.found.mask(0) & (scene.depth > 0))[0]
    point = (int(u), int(v))
    plain = perception.meant(seen, "Push the mug to the left.", point)
    other = perception.meant(seen, "Could you shunt the mug leftwards, please", point)
    assert plain[0] == other[0] == 0
    assert vars(plain[1]) == vars(other[1])
    with pytest.raises(ValueError, match="says what not to do"):
        perception.meant(seen, "Don't push the mug.", point)


def test_the_network_is_not_believed_where_plain_words_rule_it_out(tiny_planner, made_scenes, monkeypatch):
    perception = Cliport(tiny_planner)
    scene = next(iter(read_scenes(made_scenes))).scene
    seen = perception.see(scene)
    kinds = (THING,) * len(seen.found)
    seen = replace(seen, found=replace(seen.found, kinds=kinds))
    ground = perception.network.ground

    def to_the_right(*inputs):
        found = ground(*inputs)
        relation, task = torch.zeros_like(found.relation), torch.zeros_like(found.task)
        relation[:, perception.relations.index("right")] = 9.0
        relation[:, perception.relations.index("left")] = 3.0
        task[:, TASKS.index("push")] = 9.0
        return replace(found, relation=relation, task=task)

    monkeypatch.setattr(perception.network, "ground", to_the_right)
    v, u = np.argwhere(seen.found.mask(0) & (scene.depth > 0))[0]
    relations = {way: perception.meant(seen, f"Push it {way}", (int(u), int(v)))[1].relation for way in ("left", "on")}
    assert relations == {"left": "left", "on": "right"}


def test_a_colour_is_no_noun_where_there_is_another():
    nouns = ["orange", "lid", "box lid"]
    assert noun_in("Bang the orange lid shut", nouns) == "lid"
    assert noun_in("Close the orange box lid", nouns) == "box lid"
    assert noun_in("Lift the orange", nouns) == "orange"


@pytest.mark.parametrize(
    ("thing", "named"),
    [
        ("the bleach", "the bleach bottle"),
        ("the white bleach on the left", "the white bleach bottle on the left"),
        ("the vitamins", "the bottle of vitamins"),
        ("the bleach bottle", "the bleach bottle"),
        ("the bleach holder", "the bleach holder"),
        ("the mug", "the mug"),
        ("the red one", "the red one"),
    ],
)
def test_what_is_in_a_container_stands_for_it(thing, named):
    nouns = ["mug", "bleach", "bleach bottle", "bottle of bleach", "vitamins", "bottle of vitamins"]
    assert contained(thing, nouns) == named


def test_a_container_is_found_by_what_is_in_it(tiny_planner, made_scenes, monkeypatch):
    perception = Cliport(tiny_planner)
    monkeypatch.setitem(perception.card, "nouns", ["bleach", "bleach bottle"])
    seen = perception.see(next(iter(read_scenes(made_scenes))).scene)
    with torch.inference_mode():
        fits = {
            said: perception.grounded(seen, plainly(said)).target.tolist()
            for said in ("Lift the bleach by 10 cm.", "Lift the bleach bottle by 10 cm.", "Lift the mug by 10 cm.")
        }
    content, container, other = fits.values()
    assert content == container != other
