"""The free objects of a scene: which ones, and what is known about each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unihm.datasets.object_names import OBJECT_NAMES
from unihm.scenes.appearance import colour_words
from unihm.scenes.families import FAMILIES, HELD_OUT
from unihm.scenes.household import HouseholdObject, attributes, draw_object
from unihm.scenes.layout import Placed
from unihm.scenes.outer_surface import outer_surface
from unihm.scenes.records import Thing
from unihm.scenes.styles import Style
from unihm.scenes.user_meshes import find_meshes, mesh_object
from unihm.scenes.ycb_things import ycb_thing

POINTS = 2048
"""Of each thing's surface."""
_STRANGERS = 0.4  # share of held-out families where there is at least one
_OWN = 0.6  # share of a user's meshes where some are given


def draw_objects(
    style: Style,
    count: int,
    held_out: bool,
    meshes: Path | None,
    rng: np.random.Generator,
    without: tuple[str, ...] = (),
) -> tuple[HouseholdObject, ...]:
    """Some objects.

    Args:
        style: How often two are of one family.
        count: How many.
        held_out: Whether the first one and a share of the others are of held-out families.
        meshes: Folder of a user's meshes; a share of the others are from there, and the first one unless held out.
        rng: Draws them.
        without: Folders of the user's meshes that are left out.
    """
    own = [mesh for mesh in find_meshes(meshes) if mesh[1].parent.name not in without] if meshes else []
    objects: list[HouseholdObject] = []
    twins = count > 1 and rng.random() < style.twin_share
    for k in range(count):
        strange = held_out and (k == 0 or rng.random() < _STRANGERS)
        family = objects[rng.integers(k)].family if twins and k == count - 1 else None
        if own and not (strange and k == 0) and (k == 0 or rng.random() < _OWN):
            objects.append(_own(*own[rng.integers(len(own))], rng))
        elif family in FAMILIES:
            objects.append(draw_object(rng, family, held_out=family in HELD_OUT))
        else:
            objects.append(draw_object(rng, held_out=strange))
    return tuple(objects)


def _own(name: str, file: Path, rng: np.random.Generator) -> HouseholdObject:
    """A user's mesh; YCB's are known by their words and colours."""
    if file.parent.name in OBJECT_NAMES:
        return ycb_thing(file.parent.parent, file.parent.name, rng)
    return mesh_object(name, file, rng)


def thing_of(placed: Placed, rng: np.random.Generator) -> Thing:
    """What is known about an object on the table."""
    thing = placed.object
    surface, normals = outer_surface(thing.parts, POINTS, rng)
    words = attributes(thing) if thing.family in FAMILIES else _mesh_words(thing)
    if placed.lying:  # what lies is not tall any more
        words["shape"] = tuple(word for word in words["shape"] if word != "tall")
    return Thing(
        family=thing.family,
        held_out=thing.family in HELD_OUT,
        names=thing.names,
        held_out_names=thing.held_out_names,
        class_words=thing.class_words,
        attributes=words,
        T_world_object=placed.T_world_object,
        dimensions_m=thing.dimensions_m,
        mass_kg=thing.mass_kg,
        surface_object=surface,
        normals_object=normals,
    )


def _mesh_words(thing: HouseholdObject) -> dict[str, tuple[str, ...]]:
    """The words for a user's mesh, of which little is known."""
    return {"colour": colour_words(thing.colour), "pattern": (), "size": (), "shape": ()}
