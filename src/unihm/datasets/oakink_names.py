"""What people call the objects of OakInk, by the category that its metadata gives each of them.

Things that come in twos are called a pair, so that "it" fits all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from unihm.datasets.object_names import ObjectNames, object_names

CATEGORY_NAMES = {
    "apple": ObjectNames("apple", ("fruit",), ("piece of fruit",)),
    "banana": ObjectNames("banana", ("fruit",), ("piece of fruit",)),
    "binoculars": ObjectNames("pair of binoculars", (), ("field glass",)),
    "bottle": ObjectNames("bottle", (), ("flask",)),
    "bowl": ObjectNames("bowl", ("dish",), ("basin",)),
    "cameras": ObjectNames("camera", ("photo camera",), ("picture taker",)),
    "can": ObjectNames("can", ("tin",), ("metal container",)),
    "cup": ObjectNames("cup", (), ("beaker",)),
    "cylinder_bottle": ObjectNames("bottle", ("round bottle",), ("flask",)),
    "donut": ObjectNames("donut", ("doughnut",), ("ring of pastry",)),
    "eyeglasses": ObjectNames("pair of glasses", ("pair of eyeglasses",), ("pair of spectacles",)),
    "flashlight": ObjectNames("flashlight", ("torch",), ("hand lamp",)),
    "fryingpan": ObjectNames("frying pan", ("pan",), ("skillet",)),
    "gamecontroller": ObjectNames("game controller", ("controller",), ("gamepad",)),
    "hammer": ObjectNames("hammer", (), ("mallet",)),
    "headphones": ObjectNames("pair of headphones", ("headset",), ("pair of earphones",)),
    "knife": ObjectNames("knife", (), ("blade",)),
    "lightbulb": ObjectNames("light bulb", ("bulb",), ("lamp",)),
    "lotion_pump": ObjectNames("lotion bottle", ("pump bottle",), ("lotion dispenser",)),
    "mouse": ObjectNames("mouse", ("computer mouse",), ("pointing device",)),
    "mug": ObjectNames("mug", ("cup",), ("beaker",)),
    "pen": ObjectNames("pen", ("marker",), ("writing tool",)),
    "phone": ObjectNames("phone", ("telephone",), ("handset",)),
    "pincer": ObjectNames("pair of pliers", ("pair of pincers",), ("pair of nippers",)),
    "power_drill": ObjectNames("power drill", ("drill",), ("boring machine",)),
    "scissors": ObjectNames("pair of scissors", (), ("pair of shears",)),
    "screwdriver": ObjectNames("screwdriver", (), ("screw tool",)),
    "squeezable": ObjectNames("squeeze tube", ("tube",), ("squeeze bottle",)),
    "stapler": ObjectNames("stapler", (), ("stapling machine",)),
    "teapot": ObjectNames("teapot", ("tea pot",), ("kettle",)),
    "toothbrush": ObjectNames("toothbrush", ("brush",), ("teeth cleaner",)),
    "trigger_sprayer": ObjectNames("spray bottle", ("sprayer",), ("spraying bottle",)),
    "wineglass": ObjectNames("wine glass", ("glass",), ("goblet",)),
    "wrench": ObjectNames("wrench", ("spanner",), ("nut tightener",)),
}
"""The categories of OakInk-Shape, which the recorded objects share."""


def category_of(attributes: Sequence[str]) -> str:
    """The category among the words that the metadata gives an object; the first word where it is none of ours."""
    return next((word for word in attributes if word in CATEGORY_NAMES), attributes[0])


def category_names(category: str) -> ObjectNames:
    """Words for an object of a category; one that is not in the table is called by its own name."""
    return CATEGORY_NAMES.get(category) or object_names(category)
