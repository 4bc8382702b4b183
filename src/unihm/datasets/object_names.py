"""What people call objects: the YCB objects under the names of their model folders, and others by their own names.

`held_out` words never occur in training instructions: tests of paraphrases use them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectNames:
    """Words for one object, each to be read after "the"."""

    name: str
    """The usual one."""
    synonyms: tuple[str, ...]
    """Others that occur in training."""
    held_out: tuple[str, ...]
    """Others that do not."""


PLURALS = frozenset(
    {"scissors", "shears", "pliers", "tongs", "tweezers", "glasses", "binoculars", "clippers", "pincers"}
)
"""Words that are spoken of as "them"."""

OBJECT_NAMES = {
    "002_master_chef_can": ObjectNames(
        "coffee can",
        ("blue can", "can of coffee", "large can"),
        ("coffee tin", "can of ground coffee", "coffee canister"),
    ),
    "003_cracker_box": ObjectNames(
        "cracker box",
        ("box of crackers", "red box", "large box"),
        ("crackers carton", "biscuit box", "pack of biscuits"),
    ),
    "004_sugar_box": ObjectNames(
        "sugar box", ("box of sugar", "yellow box", "sugar"), ("sugar carton", "packet of sugar", "sweetener package")
    ),
    "005_tomato_soup_can": ObjectNames(
        "tomato soup can",
        ("soup can", "can of tomato soup", "can of soup"),
        ("soup tin", "tin of tomato soup", "tinned soup"),
    ),
    "006_mustard_bottle": ObjectNames(
        "mustard bottle",
        ("bottle of mustard", "yellow bottle", "mustard"),
        ("mustard squeezer", "mustard dispenser", "condiment bottle"),
    ),
    "007_tuna_fish_can": ObjectNames(
        "tuna can", ("can of tuna", "flat can", "tuna fish can"), ("tin of tuna", "fish tin", "tinned tuna")
    ),
    "008_pudding_box": ObjectNames(
        "pudding box",
        ("box of pudding", "pudding mix box", "box of pudding mix"),
        ("pudding carton", "dessert box", "dessert packet"),
    ),
    "009_gelatin_box": ObjectNames(
        "gelatin box",
        ("box of gelatin", "jello box", "small box"),
        ("gelatin packet", "jelly carton", "package of gelatin"),
    ),
    "010_potted_meat_can": ObjectNames(
        "potted meat can",
        ("meat can", "can of meat", "can of potted meat"),
        ("tin of meat", "luncheon meat tin", "tinned meat"),
    ),
    "011_banana": ObjectNames(
        "banana", ("yellow banana", "piece of fruit", "fruit"), ("ripe banana", "tropical fruit", "yellow snack")
    ),
    "019_pitcher_base": ObjectNames(
        "pitcher", ("blue pitcher", "jug", "water jug"), ("carafe", "water ewer", "pouring vessel")
    ),
    "021_bleach_cleanser": ObjectNames(
        "bleach bottle",
        ("bottle of bleach", "white bottle", "bleach"),
        ("cleanser flask", "detergent container", "cleaning agent"),
    ),
    "024_bowl": ObjectNames(
        "bowl", ("red bowl", "dish", "round bowl"), ("cereal basin", "soup basin", "hollow vessel")
    ),
    "025_mug": ObjectNames("mug", ("red mug", "cup", "red cup"), ("beaker", "tea mug", "drinking vessel")),
    "035_power_drill": ObjectNames(
        "power drill", ("drill", "cordless drill", "hand drill"), ("electric borer", "power tool", "boring machine")
    ),
    "036_wood_block": ObjectNames(
        "wooden block", ("block of wood", "wood block", "block"), ("timber piece", "wooden cuboid", "chunk of timber")
    ),
    "037_scissors": ObjectNames(
        "scissors", ("pair of scissors", "office scissors"), ("shears", "cutting tool", "pair of shears")
    ),
    "040_large_marker": ObjectNames(
        "marker", ("marker pen", "large marker", "thick pen"), ("felt-tip pen", "whiteboard pen", "felt-tip")
    ),
    "052_extra_large_clamp": ObjectNames(
        "clamp",
        ("spring clamp", "black clamp", "large clamp"),
        ("gripping clip", "oversized clip", "carpenter's clip"),
    ),
    "061_foam_brick": ObjectNames(
        "foam brick", ("foam block", "red brick", "brick"), ("sponge cuboid", "soft brick", "spongy cuboid")
    ),
}
"""The twenty objects that are grasped in DexYCB, in its order."""


def object_names(name: str) -> ObjectNames:
    """Words for an object of any data set: those of `OBJECT_NAMES`, else its own name in words.

    Args:
        name: As the data set calls it, for example ``025_mug`` or ``Kitchen_Tongs``.
    """
    if name in OBJECT_NAMES:
        return OBJECT_NAMES[name]
    words = re.sub(r"[^A-Za-z' ]+", " ", name.replace("_", " ")).lower()
    return ObjectNames(" ".join(words.split()) or "object", (), ("item", "item in view"))


def is_plural(name: str) -> bool:
    """Whether one speaks of "them": of the kitchen scissors, but not of the pair of scissors."""
    return name.split(" of ")[0].rpartition(" ")[2] in PLURALS
