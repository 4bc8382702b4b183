"""The YCB objects as things of made scenes: their meshes in the colour that each mostly has, and words for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unihm.datasets.object_names import object_names
from unihm.scenes.household import HouseholdObject
from unihm.scenes.user_meshes import mesh_object
from unihm.simulation.ycb import MASSES, ycb_mesh


@dataclass(frozen=True)
class _Looks:
    colour: str
    """One of `appearance.COLOUR_NAMES`."""
    class_words: tuple[str, ...]
    """Nouns that fit other things, too."""
    wooden: bool = False
    """Whether a grain shows on it."""


_LOOKS = {
    "002_master_chef_can": _Looks("blue", ("can",)),
    "003_cracker_box": _Looks("red", ("box", "package")),
    "004_sugar_box": _Looks("yellow", ("box", "package")),
    "005_tomato_soup_can": _Looks("red", ("can",)),
    "006_mustard_bottle": _Looks("yellow", ("bottle",)),
    "007_tuna_fish_can": _Looks("dark blue", ("can",)),
    "008_pudding_box": _Looks("brown", ("box", "package")),
    "009_gelatin_box": _Looks("red", ("box", "package")),
    "010_potted_meat_can": _Looks("blue", ("can",)),
    "011_banana": _Looks("yellow", ("fruit",)),
    "019_pitcher_base": _Looks("blue", ("jug",)),
    "021_bleach_cleanser": _Looks("white", ("bottle",)),
    "024_bowl": _Looks("red", ("dish",)),
    "025_mug": _Looks("red", ("cup",)),
    "035_power_drill": _Looks("orange", ("tool",)),
    "036_wood_block": _Looks("light brown", ("block",), wooden=True),
    "037_scissors": _Looks("blue", ("tool",)),
    "040_large_marker": _Looks("black", ("pen",)),
    "052_extra_large_clamp": _Looks("black", ("tool",)),
    "061_foam_brick": _Looks("red", ("block",)),
}


def ycb_thing(models: str | Path, name: str, rng: np.random.Generator) -> HouseholdObject:
    """A YCB object in its own frame, with its published mass.

    Args:
        models: Folder of the objects' meshes, see `simulation.ycb.ycb_mesh`.
        name: For example ``025_mug``.
        rng: Draws the shade of its colour.

    Raises:
        ValueError: The object is unknown, or its file is missing or damaged.
    """
    looks = _LOOKS.get(name, _Looks("grey", ("tool",)))
    thing = mesh_object(name, ycb_mesh(models, name), rng, looks.colour)
    words = object_names(name)
    # "Yellow bottle" is said by colour and class, where it tells the thing from the others.
    colours = {looks.colour.split()[-1], "small", "large", "flat", "round"}
    names = (words.name, *(one for one in words.synonyms if not colours & set(one.split()[:1])))
    return replace(
        thing,
        names=names,
        held_out_names=words.held_out,
        class_words=looks.class_words,
        mass_kg=MASSES[name],
        wooden=looks.wooden,
    )
