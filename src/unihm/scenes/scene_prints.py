"""Which print each part of a scene gets: table and floor, letters on packages, grain on wood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from unihm.scenes.appearance import colour_name, draw_colour
from unihm.scenes.furniture import Furniture
from unihm.scenes.household import HouseholdObject
from unihm.scenes.layout import Placed, TableTop
from unihm.scenes.scene_model import Printed, SceneModel
from unihm.scenes.styles import Style
from unihm.scenes.surface_print import Print, Wrapping, floor_print, mottled, table_print, text_print

_PANEL = 0.45  # share of plain packages with letters on which these are on a panel
_PRINTED_ON = {"can", "bottle", "jar", "box", "package", "carton", "container", "book", "sweet"}  # class words
_ROUND = 0.06  # relative difference of the two lengths across the axis up to which print goes around


def scene_prints(
    scene: SceneModel,
    table: TableTop,
    placed: Mapping[int, Placed],
    furniture: Furniture | None,
    style: Style,
    rng: np.random.Generator,
) -> list[Printed]:
    """Prints of everything in a scene.

    Args:
        scene: The model.
        table: Its table.
        placed: The free objects that are seen, by their index in the model.
        furniture: What else stands there.
        style: Which tables there are, and how many packages have letters.
        rng: Draws them.
    """
    kind = str(rng.choice(style.tables))
    prints = [
        Printed(geoms=scene.geoms("table"), T_world_print=table.T_world_table, print=table_print(kind, rng)),
        Printed(geoms=scene.geoms("floor"), T_world_print=np.eye(4), print=floor_print(rng)),
        Printed(geoms=scene.geoms("behind"), T_world_print=np.eye(4), print=mottled(rng, 0.15, (0.1, 0.1, 0.1))),
    ]
    for index, one in placed.items():
        prints += _object_prints(scene, index, one, style, rng)
    if furniture:
        prints.append(
            Printed(
                geoms=scene.geoms("fixture"),
                T_world_print=furniture.parts[0].T_world_fixture,
                print=mottled(rng, rng.uniform(0.02, 0.15), (0.003, 0.06, 0.003)),
            )
        )
    return prints


def _object_prints(
    scene: SceneModel, index: int, placed: Placed, style: Style, rng: np.random.Generator
) -> Iterator[Printed]:
    """Letters on packages, grain on wood, and a little unevenness on everything."""
    thing = placed.object
    size = (0.06, 0.003, 0.003) if thing.wooden else (0.012, 0.012, 0.012)
    uneven = mottled(rng, rng.uniform(0.02, 0.1), size)
    geoms = scene.geoms(f"thing{index}/")
    text = object_text(thing, rng) if has_letters(thing, style, rng) else None
    if text is None:
        yield Printed(geoms=geoms, T_world_print=placed.T_world_object, print=uneven)
        return
    names = [colour_name(np.round(255 * scene.albedo[geom]).astype(np.uint8)) for geom in geoms]
    main = np.array([name == thing.colour for name in names])
    yield Printed(
        geoms=geoms[main],
        T_world_print=placed.T_world_object,
        print=lambda points, own: uneven(points, text(points, own)),
    )
    yield Printed(geoms=geoms[~main], T_world_print=placed.T_world_object, print=uneven)


def has_letters(thing: HouseholdObject, style: Style, rng: np.random.Generator) -> bool:
    """Whether letters are on a thing: on packages, as often as the style says."""
    return bool(_PRINTED_ON & set(thing.class_words)) and bool(rng.random() < style.lettered_share)


def object_text(thing: HouseholdObject, rng: np.random.Generator) -> Print:
    """Letters on a package, sometimes on a panel of its second colour."""
    length, width, height = thing.dimensions_m
    axis = 0 if length > max(width, height) else 2
    across = (width, height) if axis == 0 else (length, width)
    wrapping = Wrapping(
        round=abs(across[0] / across[1] - 1) < _ROUND,
        axis=axis,
        low=thing.vertices.min(axis=0),
        high=thing.vertices.max(axis=0),
    )
    ink = draw_colour(rng, thing.second_colour) / 255.0
    return text_print(wrapping, ink, rng, panel=thing.pattern in ("plain", "lid") and rng.random() < _PANEL)
