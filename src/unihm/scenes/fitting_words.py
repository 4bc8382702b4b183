"""Whether a noun or an adjective fits a thing: yes, no, or maybe, where people would not agree."""

from __future__ import annotations

import re

from scipy.spatial import ConvexHull

from unihm.scenes.appearance import COLOURS
from unihm.scenes.records import Thing
from unihm.scenes.seen import MAYBE, NO, YES

GENERIC = ("thing", "object", "item")
"""Nouns that fit every free object."""

# Class word -> other class words, and families, whose things some people would call so too.
_LOOSE: dict[str, frozenset[str]] = {
    "container": frozenset(
        {"bottle", "can", "jar", "cup", "glass", "bowl", "jug", "pan", "box", "package", "carton", "shaker", "dish",
         "drawer", "lid"}
    ),
    "package": frozenset({"box", "carton", "can", "jar", "bottle", "container", "sweet", "food"}),
    "box": frozenset({"carton", "package", "drawer", "door", "lid"}),
    "carton": frozenset({"box", "package"}),
    "dish": frozenset({"bowl", "cup", "glass", "pan", "jug", "container", "cookware"}),
    "cup": frozenset({"glass", "jug"}),
    "glass": frozenset({"cup", "vase"}),
    "jar": frozenset({"jug", "vase", "shaker"}),
    "bottle": frozenset({"shaker", "jar"}),
    "jug": frozenset({"vase", "teapot"}),
    "bowl": frozenset({"plate", "saucepan", "flower pot"}),
    "pan": frozenset({"cookware"}),
    "cookware": frozenset({"dish", "kitchen utensil"}),
    "tool": frozenset({"kitchen utensil", "office supply", "knife", "piece of cutlery", "hardware", "device"}),
    "kitchen utensil": frozenset({"piece of cutlery", "cookware", "kitchen scissors", "dish"}),
    "piece of cutlery": frozenset({"kitchen utensil", "kitchen scissors"}),
    "spoon": frozenset({"ladle"}),
    "food": frozenset({"fruit", "vegetable", "can", "box", "jar", "carton", "sweet", "bottle"}),
    "fruit": frozenset({"tomato", "avocado", "cucumber", "bell pepper", "eggplant"}),
    "piece of fruit": frozenset({"tomato", "avocado", "cucumber", "bell pepper", "eggplant"}),
    "sweet": frozenset({"food", "fruit"}),
    "toy": frozenset({"ball"}),
    "device": frozenset({"tool", "office supply", "hardware"}),
    "office supply": frozenset({"tool", "household item"}),
    "toiletry": frozenset({"household item", "bottle", "cleaning item"}),
    "cleaning item": frozenset({"toiletry", "household item", "bottle", "kitchen utensil"}),
    "pen": frozenset({"pencil"}),
    "door": frozenset({"lid"}),
}  # fmt: skip
_FITS_ALL = frozenset({"household item", "hardware"})  # say too little
# Nouns that name a material or a use rather than a kind -> class words of things that might be called so as well.
_VAGUE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("plastic bottle", "glass bottle", "drink bottle", "pump bottle"), ("bottle",)),
    **dict.fromkeys(("glass jar",), ("jar", "bottle")),
    **dict.fromkeys(("tin can", "rectangular can", "can of food"), ("can",)),
    **dict.fromkeys(("coffee cup", "tea cup", "espresso cup", "plastic cup", "cup with a handle"), ("cup", "glass")),
    **dict.fromkeys(("disposable cup", "coffee to go cup", "china cup", "throwaway cup"), ("cup", "glass")),
    **dict.fromkeys(("water glass", "juice glass", "tumbler", "glass beaker"), ("glass", "cup")),
    **dict.fromkeys(("milk jug", "plastic pitcher"), ("jug",)),
    **dict.fromkeys(("cooking pot", "skillet", "egg pan", "stew pot"), ("pan",)),
    **dict.fromkeys(("metal spoon", "soup spoon", "cooking spoon", "mixing spoon"), ("spoon", "kitchen utensil")),
    **dict.fromkeys(("wooden cube", "toy cube", "building block", "wooden brick", "wood beam"), ("toy",)),
    **dict.fromkeys(("wooden beam", "play brick", "stacking cube"), ("toy",)),
    **dict.fromkeys(("toy ball", "play ball", "bouncy ball", "bouncing sphere", "gum ball"), ("ball",)),
    **dict.fromkeys(("milk", "nectar pack", "juice brick", "dairy package", "pack of milk"), ("carton",)),
    **dict.fromkeys(("container", "dish"), ("container", "dish")),
}
_NEAR = frozenset(
    frozenset(pair)
    for pair in (
        ("red", "orange"), ("red", "pink"), ("red", "brown"), ("orange", "yellow"), ("orange", "brown"),
        ("orange", "pink"), ("yellow", "brown"), ("pink", "purple"), ("purple", "blue"), ("blue", "turquoise"),
        ("turquoise", "green"), ("green", "yellow"), ("grey", "white"), ("grey", "black"), ("brown", "black"),
    )
)  # fmt: skip
_ALIKE = frozenset({"stripes", "band", "both", "lid"})  # patterns that one may take for each other


def fits_noun(noun: str, thing: Thing) -> int:
    """Whether a person would call it so."""
    if noun in GENERIC:
        return YES if thing.joint is None else NO
    own = (*thing.names, *thing.held_out_names, *thing.class_words)
    if noun in thing.class_words and noun in _FITS_ALL:
        return MAYBE
    if noun in own:
        return YES
    kinds = {*thing.class_words, thing.family}
    heads = [re.split(r" (?:of|with|for|to) ", word)[0] for word in own]
    if any(f" {head}".endswith(f" {noun}") or word.endswith(f" {noun}") for head, word in zip(heads, own, strict=True)):
        return MAYBE  # a juice box is a kind of box
    if noun in _FITS_ALL or kinds & _LOOSE.get(noun, frozenset()) or kinds & set(_VAGUE.get(noun, ())):
        return MAYBE
    return NO


def fits_colour(word: str, thing: Thing) -> int:
    """Whether it is of that colour: of its main part yes, near to it or only in its pattern maybe."""
    own = thing.attributes.get("colour", ())
    if not own:
        return MAYBE
    if word in own:
        return YES
    tone, basic = _tone(word)
    own_tone, own_basic = _tone(own[0])
    if basic == own_basic or frozenset((basic, own_basic)) in _NEAR:
        return MAYBE
    for one, other in (((tone, basic), (own_tone, own_basic)), ((own_tone, own_basic), (tone, basic))):
        if (one[0] == "light" and other[1] in ("white", "grey")) or (
            one[0] == "dark" and other[1] in ("black", "grey")
        ):
            return MAYBE
    patterned = _colours(" ".join(thing.attributes.get("pattern", ())))
    return MAYBE if basic in patterned or any(frozenset((basic, found)) in _NEAR for found in patterned) else NO


def fits_pattern(words: str, thing: Thing) -> int:
    """Whether it has that pattern; words as of `appearance.pattern_words`."""
    own = thing.attributes.get("pattern", ())
    if not own:
        return MAYBE
    if words in own:
        return YES
    asked, has = _pattern(words), {_pattern(other) for other in own}
    if "plain" in has or asked == "plain":
        return MAYBE if "lid" in has or asked == "lid" else NO
    if asked in has:
        colours, own_colours = _colours(words), _colours(" ".join(other for other in own if _pattern(other) == asked))
        return MAYBE if not colours or colours == own_colours else NO
    alike = (asked in _ALIKE and has & _ALIKE) or "both" in {asked, *has}
    return MAYBE if alike else NO


def fits_shape(word: str, thing: Thing) -> int:
    """Whether it is round, tall, flat or long; a thing that is nearly so maybe."""
    if word in thing.attributes.get("shape", ()):
        return YES
    length, width, height = thing.dimensions_m
    long, short = max(length, width), min(length, width)
    if word == "tall":
        nearly = height > 1.2 * long
    elif word == "flat":
        nearly = height < 0.5 * short
    elif word == "long":
        nearly = max(thing.dimensions_m) > 2 * sorted(thing.dimensions_m)[1]
    else:
        hull = ConvexHull(thing.surface_object[:, :2]).volume  # in the plane the volume is the area
        nearly = long < 1.6 * short and hull < 0.92 * length * width
    return MAYBE if nearly else NO


def fits_place(word: str, thing: Thing) -> int:
    """Whether a moving part is there among the others of its fixture."""
    return YES if word in thing.attributes.get("place", ()) else NO


def _tone(colour: str) -> tuple[str, str]:
    tone, _, basic = colour.rpartition(" ")
    return tone, basic


def _colours(words: str) -> set[str]:
    """The basic colours in it."""
    return set(words.split()) & set(COLOURS)


def _pattern(words: str) -> str:
    """What kind of pattern words are about."""
    for kind, stems in (
        ("plain", "plain"),
        ("stripes", "strip"),
        ("dots", r"dot|spotted"),
        ("band", r"band|label"),
        ("both", r"two-| and "),
    ):
        if re.search(stems, words):
            return kind
    return "lid"
