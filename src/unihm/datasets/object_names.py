"""What people call the YCB objects, under the names of their model folders.

`held_out` words never occur in training instructions: tests of paraphrases use them.
"""

from __future__ import annotations

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


PLURALS = frozenset({"scissors", "shears"})
"""Words that are spoken of as "them"."""

OBJECT_NAMES = {
    "002_master_chef_can": ObjectNames(
        "coffee can", ("coffee tin", "blue can"), ("can of ground coffee", "coffee canister")
    ),
    "003_cracker_box": ObjectNames("cracker box", ("box of crackers", "red box"), ("crackers carton", "biscuit box")),
    "004_sugar_box": ObjectNames("sugar box", ("box of sugar", "yellow box"), ("sugar carton", "packet of sugar")),
    "005_tomato_soup_can": ObjectNames(
        "tomato soup can", ("soup can", "can of tomato soup"), ("soup tin", "tin of tomato soup")
    ),
    "006_mustard_bottle": ObjectNames(
        "mustard bottle", ("bottle of mustard", "yellow bottle"), ("mustard squeezer", "mustard dispenser")
    ),
    "007_tuna_fish_can": ObjectNames("tuna can", ("can of tuna", "flat can"), ("tin of tuna", "fish tin")),
    "008_pudding_box": ObjectNames(
        "pudding box", ("box of pudding", "pudding mix box"), ("pudding carton", "dessert box")
    ),
    "009_gelatin_box": ObjectNames("gelatin box", ("box of gelatin", "jello box"), ("gelatin packet", "jelly carton")),
    "010_potted_meat_can": ObjectNames(
        "potted meat can", ("meat can", "can of meat"), ("tin of meat", "luncheon meat tin")
    ),
    "011_banana": ObjectNames("banana", ("yellow banana", "piece of fruit"), ("ripe banana", "tropical fruit")),
    "019_pitcher_base": ObjectNames("pitcher", ("blue pitcher", "jug"), ("carafe", "water ewer")),
    "021_bleach_cleanser": ObjectNames(
        "bleach bottle", ("bottle of bleach", "white bottle"), ("cleanser flask", "detergent container")
    ),
    "024_bowl": ObjectNames("bowl", ("red bowl", "dish"), ("cereal basin", "soup basin")),
    "025_mug": ObjectNames("mug", ("red mug", "cup"), ("beaker", "tea mug")),
    "035_power_drill": ObjectNames(
        "power drill", ("drill", "cordless drill"), ("electric screwdriver", "boring machine")
    ),
    "036_wood_block": ObjectNames("wooden block", ("block of wood", "wood block"), ("timber piece", "wooden cuboid")),
    "037_scissors": ObjectNames("scissors", ("pair of scissors",), ("shears", "cutting tool")),
    "040_large_marker": ObjectNames("marker", ("marker pen", "large marker"), ("felt-tip pen", "whiteboard pen")),
    "052_extra_large_clamp": ObjectNames("clamp", ("spring clamp", "black clamp"), ("gripping clip", "oversized clip")),
    "061_foam_brick": ObjectNames("foam brick", ("foam block", "red brick"), ("sponge cuboid", "soft brick")),
}
"""The twenty objects that are grasped in DexYCB, in its order."""
