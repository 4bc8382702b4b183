"""The families of household objects: words, dimensions, masses, looks, and where a hand takes them.

Dimensions are those of the resting thing: length (x), width (y; None: as the length, the thing is round), height (z;
None: as the length). Where they and the masses come from stands beside them. "YCB" is Calli et al., "The YCB object and
model set" (2015), table of objects; "USDA" the portions of FoodData Central, weights there without peel or stone, to
which these are added; "common sizes" our own judgement of ordinary goods.

`held_out` words never occur in training: neither here nor in `datasets.object_names`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from unihm.scenes import goods, produce, tools, utensils, vessels
from unihm.scenes.appearance import COLOUR_NAMES
from unihm.scenes.family_nouns import MORE_NOUNS
from unihm.scenes.shapes import Parts, Size

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Family:
    """Things of one kind."""

    synonyms: tuple[str, ...]
    """Nouns for it in training, besides its name; no other family has them."""
    held_out: tuple[str, ...]
    """Nouns that do not occur in training."""
    class_words: tuple[str, ...]
    """Nouns that it shares with other families."""
    size: tuple[Range, Range | None, Range | None]
    """Length, width and height at rest, m, least and largest; None: as the length."""
    mass: Range
    """kg."""
    shape: Callable[[Size, np.random.Generator], Parts]
    """Makes its parts; the first one is the main part, which its colour and pattern are about."""
    colours: tuple[str, ...]
    """Plausible ones of `appearance.COLOUR_NAMES`."""
    patterns: tuple[str, ...] = ("plain",)
    """Plausible ones of `appearance.PATTERNS`."""
    accents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Part -> its colours, where these do not follow the main one."""
    rest: str = "stands"
    """``stands`` (main axis z), ``lies`` (main axis x) or ``rolls`` (main axis z, moves when touched)."""
    grasp: str = "body"
    """Where a hand takes it: body, handle, rim, neck or edge."""


_PAINT = tuple(name for name in COLOUR_NAMES if name not in ("dark brown", "light brown", "dark grey", "light grey"))
_BRIGHT = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")
_WARES = ("white", "black", "grey", "red", "blue", "green", "yellow", "turquoise", "light blue", "dark blue", "brown")
_WOOD = ("brown", "light brown", "dark brown")
_STEEL = ("grey", "light grey")
_CLEAR = ("white", "light blue", "light green")
_PRINTED = ("plain", "stripes", "label", "two-tone")
_GLAZED = ("plain", "stripes", "bars", "dots", "two-tone")

_CAN, _BOTTLE, _JAR = ("can", "container"), ("bottle", "container"), ("jar", "container")
_BOX, _CUP, _DISH = ("box", "package"), ("cup", "dish"), ("dish",)
_FRUIT, _VEGETABLE, _BALL, _TOOL = ("fruit", "piece of fruit"), ("vegetable",), ("ball",), ("tool",)
_KITCHEN, _CUTLERY, _OFFICE, _TOY = ("kitchen utensil",), ("piece of cutlery",), ("office supply",), ("toy",)
_BLOCK = ("block", "toy")

_FAMILIES: dict[str, Family] = {
    # --- cans, bottles, jars
    "soda can": Family(
        synonyms=("drink can", "can of soda", "soft drink can", "cola can"),
        held_out=("pop can", "fizzy drink tin"),
        class_words=_CAN,
        size=((0.058, 0.066), None, (0.115, 0.145)),
        mass=(0.26, 0.36),  # 330 ml: standard 66 x 115 mm, sleek 58 x 145 mm; with 13 g of aluminium
        shape=vessels.drink_can,
        colours=("red", "blue", "green", "orange", "white", "black", "purple", "grey"),
        patterns=_PRINTED,
        accents={"rim": _STEEL},
    ),
    "food can": Family(
        synonyms=("tin can", "can of beans", "bean can", "can of food"),
        held_out=("tinned food", "tin of beans", "preserve tin"),
        class_words=_CAN,
        size=((0.066, 0.075), None, (0.1, 0.112)),
        mass=(0.33, 0.47),  # YCB soup can 66 x 101 mm, 349 g; 400 g cans 73 x 110 mm
        shape=vessels.can,
        colours=("red", "white", "green", "yellow", "blue", "orange", "grey"),
        patterns=_PRINTED,
        accents={"rim": _STEEL},
    ),
    "fish can": Family(
        synonyms=("can of fish", "sardine can", "can of sardines"),
        held_out=("sardine tin", "tin of sardines"),
        class_words=_CAN,
        size=((0.08, 0.088), None, (0.033, 0.045)),
        mass=(0.16, 0.23),  # YCB tuna can 85 x 33 mm, 171 g
        shape=vessels.can,
        colours=("blue", "red", "yellow", "white", "grey", "green"),
        patterns=("plain", "two-tone", "label"),
        accents={"rim": _STEEL},
    ),
    "ground coffee can": Family(
        synonyms=("can of instant coffee", "coffee powder can"),
        held_out=("coffee caddy", "caddy of coffee"),
        class_words=_CAN,
        size=((0.098, 0.106), None, (0.13, 0.17)),
        mass=(0.38, 0.6),  # YCB coffee can 102 x 139 mm, 414 g
        shape=vessels.lidded_can,
        colours=("blue", "red", "green", "brown", "black"),
        patterns=("plain", "label", "lid", "stripes"),
        accents={"lid": ("white", "black", "grey")},
    ),
    "spray can": Family(
        synonyms=("aerosol can", "spray paint can"),
        held_out=("atomiser", "pressurised tin"),
        class_words=_CAN,
        size=((0.053, 0.066), None, (0.15, 0.21)),
        mass=(0.18, 0.45),  # aerosol cans of 53 to 66 mm; masses: common sizes
        shape=vessels.spray_can,
        colours=_WARES,
        patterns=("plain", "label", "lid", "two-tone"),
        accents={"cap": ("white", "black", "red")},
    ),
    "water bottle": Family(
        synonyms=("plastic bottle", "bottle of water", "drink bottle"),
        held_out=("flask of water", "mineral water flask"),
        class_words=_BOTTLE,
        size=((0.062, 0.068), None, (0.2, 0.235)),
        mass=(0.35, 0.53),  # 500 ml PET, part to quite full: common sizes
        shape=partial(vessels.bottle, shoulder=0.62, neck=0.42),
        colours=("light blue", "white", "turquoise", "light green", "blue"),
        patterns=("plain", "label", "lid"),
        accents={"cap": ("white", "blue", "red", "green")},
    ),
    "wine bottle": Family(
        synonyms=("bottle of wine", "glass bottle"),
        held_out=("flagon", "flagon of wine"),
        class_words=_BOTTLE,
        size=((0.073, 0.077), None, (0.29, 0.32)),
        mass=(1.15, 1.4),  # 750 ml of wine and 400 to 600 g of glass: common sizes
        shape=partial(vessels.bottle, shoulder=0.58, neck=0.4),
        colours=("dark green", "green", "black", "dark brown"),
        patterns=("plain", "label", "lid"),
        accents={"cap": ("black", "red", "dark red")},
        grasp="neck",
    ),
    "shampoo bottle": Family(
        synonyms=("bottle of shampoo", "shampoo", "body wash bottle"),
        held_out=("hair wash flask", "bathing gel bottle"),
        class_words=_BOTTLE,
        size=((0.065, 0.085), (0.038, 0.05), (0.17, 0.22)),
        mass=(0.22, 0.45),  # 250 to 400 ml: common sizes
        shape=partial(vessels.flat_bottle, neck=0.55),
        colours=_WARES,
        patterns=("plain", "label", "lid", "two-tone"),
        accents={"cap": ("white", "black")},
    ),
    "ketchup bottle": Family(
        synonyms=("bottle of ketchup", "ketchup", "sauce bottle"),
        held_out=("sauce squeezer", "tomato sauce flask"),
        class_words=_BOTTLE,
        size=((0.085, 0.098), (0.055, 0.062), (0.17, 0.2)),
        mass=(0.4, 0.65),  # as YCB's mustard bottle, 58 x 95 x 190 mm, 603 g
        shape=partial(vessels.flat_bottle, neck=0.45, nozzle=True),
        colours=("red", "dark red"),
        patterns=("plain", "label", "lid"),
        accents={"cap": ("white", "red")},
    ),
    "detergent bottle": Family(
        synonyms=("bottle of detergent", "cleaner bottle", "bottle of cleaner"),
        held_out=("washing liquid flask", "jug of cleaner"),
        class_words=_BOTTLE,
        size=((0.09, 0.1), (0.06, 0.068), (0.23, 0.26)),
        mass=(0.8, 1.15),  # YCB bleach cleanser 65 x 98 x 250 mm, 1131 g
        shape=partial(vessels.flat_bottle, neck=0.42),
        colours=("white", "blue", "green", "yellow", "orange", "purple"),
        patterns=("plain", "label", "lid"),
        accents={"cap": ("blue", "red", "white", "green")},
    ),
    "soap dispenser": Family(
        synonyms=("soap pump", "hand soap", "pump bottle"),
        held_out=("lotion pump", "liquid soap flask"),
        class_words=_BOTTLE,
        size=((0.06, 0.075), None, (0.15, 0.2)),
        mass=(0.22, 0.5),  # 250 to 400 ml: common sizes
        shape=vessels.pump_bottle,
        colours=_WARES,
        patterns=("plain", "label", "lid"),
        accents={"cap": ("white", "black", "grey")},
    ),
    "pill bottle": Family(
        synonyms=("medicine bottle", "vitamin bottle", "bottle of pills"),
        held_out=("tablet pot", "tablet vial"),
        class_words=_BOTTLE,
        size=((0.038, 0.055), None, (0.065, 0.1)),
        mass=(0.025, 0.12),  # common sizes
        shape=vessels.lidded_can,
        colours=("orange", "white", "brown", "blue", "green"),
        patterns=("plain", "label", "lid"),
        accents={"lid": ("white",)},
    ),
    "jam jar": Family(
        synonyms=("jar of jam", "glass jar", "honey jar"),
        held_out=("preserve pot", "marmalade pot"),
        class_words=_JAR,
        size=((0.065, 0.085), None, (0.085, 0.13)),
        mass=(0.3, 0.65),  # 250 to 450 g of jam: common sizes
        shape=vessels.jar,
        colours=("red", "dark red", "orange", "purple", "yellow", "brown"),
        patterns=("plain", "label", "lid"),
        accents={"lid": ("white", "red", "black", "yellow")},
    ),
    "spice jar": Family(
        synonyms=("jar of spice", "spice bottle", "herb jar"),
        held_out=("seasoning pot", "condiment phial"),
        class_words=_JAR,
        size=((0.042, 0.052), None, (0.095, 0.12)),
        mass=(0.09, 0.16),  # 100 ml of glass: common sizes
        shape=vessels.jar,
        colours=("brown", "red", "green", "orange", "yellow", "black"),
        patterns=("plain", "label", "lid"),
        accents={"lid": ("black", "white", "red")},
    ),
    "salt shaker": Family(
        synonyms=("pepper shaker", "salt cellar"),
        held_out=("cruet", "seasoning pourer"),
        class_words=("shaker", "container"),
        size=((0.038, 0.05), None, (0.07, 0.1)),
        mass=(0.07, 0.16),  # common sizes
        shape=vessels.shaker,
        colours=("white", "black", "red", "light blue", "brown"),
        patterns=("plain", "stripes"),
        accents={"cap": ("grey", "light grey")},
    ),
    # --- packages
    "cereal box": Family(
        synonyms=("box of cereal", "cornflakes box", "box of cornflakes"),
        held_out=("muesli carton", "breakfast flakes carton"),
        class_words=_BOX,
        size=((0.19, 0.2), (0.055, 0.075), (0.27, 0.31)),
        mass=(0.35, 0.6),  # 375 to 500 g: common sizes
        shape=goods.box,
        colours=_PAINT,
        patterns=_PRINTED,
        grasp="edge",
    ),
    "tea box": Family(
        synonyms=("box of tea", "box of tea bags", "teabag box"),
        held_out=("tea carton", "infusion packet"),
        class_words=_BOX,
        size=((0.12, 0.15), (0.06, 0.08), (0.07, 0.13)),
        mass=(0.05, 0.13),  # 20 to 50 bags of 2 g: common sizes
        shape=goods.box,
        colours=_WARES,
        patterns=_PRINTED,
        grasp="edge",
    ),
    "pasta box": Family(
        synonyms=("box of pasta", "noodle box", "macaroni box"),
        held_out=("spaghetti carton", "pasta packet"),
        class_words=_BOX,
        size=((0.08, 0.1), (0.04, 0.055), (0.16, 0.19)),
        mass=(0.4, 0.55),  # a pound or 500 g: common sizes
        shape=goods.box,
        colours=("blue", "red", "green", "yellow", "dark blue", "orange"),
        patterns=_PRINTED,
    ),
    "cake mix box": Family(
        synonyms=("box of cake mix", "baking mix box"),
        held_out=("baking powder carton", "cake mixture carton"),
        class_words=_BOX,
        size=((0.085, 0.11), (0.028, 0.04), (0.073, 0.09)),
        mass=(0.097, 0.2),  # YCB gelatin box 28 x 85 x 73 mm, 97 g; pudding box 35 x 110 x 89 mm, 187 g
        shape=goods.box,
        colours=_BRIGHT,
        patterns=_PRINTED,
    ),
    "chocolate bar": Family(
        synonyms=("bar of chocolate", "candy bar"),
        held_out=("cocoa slab", "confectionery slab"),
        class_words=("sweet", "package"),
        size=((0.15, 0.17), (0.07, 0.08), (0.008, 0.011)),
        mass=(0.09, 0.11),  # 100 g bars: common sizes
        shape=partial(goods.box, lying=True),
        colours=("brown", "dark brown", "purple", "red", "blue"),
        patterns=("plain", "label", "two-tone"),
        rest="lies",
        grasp="edge",
    ),
    "milk carton": Family(
        synonyms=("carton of milk", "milk"),
        held_out=("pack of milk", "dairy package"),
        class_words=("carton", "package"),
        size=((0.068, 0.073), (0.067, 0.072), (0.22, 0.245)),
        mass=(1.03, 1.08),  # 1 l with a gable, base 70 x 70 mm: common sizes
        shape=vessels.carton,
        colours=("white", "light blue", "light green", "blue"),
        patterns=_PRINTED,
    ),
    "juice box": Family(
        synonyms=("box of juice", "juice carton", "apple juice box"),
        held_out=("nectar pack", "juice brick"),
        class_words=("carton", "package"),
        size=((0.045, 0.055), (0.036, 0.042), (0.105, 0.125)),
        mass=(0.2, 0.26),  # 200 ml bricks: common sizes
        shape=goods.box,
        colours=_BRIGHT,
        patterns=_PRINTED,
    ),
    "luncheon meat can": Family(
        synonyms=("rectangular can", "ham can", "corned beef can"),
        held_out=("ham tin", "corned beef tin"),
        class_words=_CAN,
        size=((0.094, 0.1), (0.048, 0.055), (0.08, 0.088)),
        mass=(0.34, 0.4),  # YCB potted meat can 50 x 97 x 82 mm, 370 g
        shape=goods.meat_can,
        colours=("blue", "red", "yellow", "grey"),
        patterns=("plain", "label", "two-tone"),
        accents={"rim": _STEEL},
    ),
    "tissue box": Family(
        synonyms=("box of tissues", "tissues", "kleenex box"),
        held_out=("paper handkerchief box", "hankie box"),
        class_words=_BOX,
        size=((0.11, 0.23), (0.105, 0.12), (0.1, 0.15)),
        mass=(0.12, 0.3),  # cube and flat boxes: common sizes
        shape=goods.tissue_box,
        colours=("light blue", "pink", "white", "green", "purple", "yellow"),
        patterns=("plain", "two-tone", "stripes"),
        accents={"tissue": ("white",)},
    ),
    "egg": Family(
        synonyms=("chicken egg", "hen's egg"),
        held_out=("ovum", "breakfast egg"),
        class_words=("food",),
        size=((0.054, 0.06), (0.042, 0.046), (0.042, 0.046)),
        mass=(0.053, 0.073),  # EU classes M and L, 53 to 73 g; ovals of about 57 x 44 mm
        shape=produce.egg,
        colours=("white", "light brown"),
        rest="lies",
    ),
    # --- dishes
    "mug": Family(
        synonyms=("coffee mug", "coffee cup", "cup with a handle"),
        held_out=("tankard", "hot chocolate mug"),
        class_words=_CUP,
        size=((0.11, 0.13), (0.078, 0.09), (0.082, 0.105)),
        mass=(0.118, 0.38),  # YCB mug 80 x 82 mm, 118 g; stoneware of 300 ml: common sizes
        shape=vessels.mug,
        colours=_WARES,
        patterns=_GLAZED,
        grasp="handle",
    ),
    "teacup": Family(
        synonyms=("tea cup", "espresso cup"),
        held_out=("china cup", "demitasse"),
        class_words=_CUP,
        size=((0.08, 0.115), (0.06, 0.09), (0.052, 0.068)),
        mass=(0.09, 0.19),  # 60 to 200 ml: common sizes
        shape=partial(vessels.mug, taper=0.62),
        colours=_WARES,
        patterns=_GLAZED,
        grasp="handle",
    ),
    "paper cup": Family(
        synonyms=("disposable cup", "coffee to go cup", "plastic cup"),
        held_out=("takeaway beaker", "throwaway cup"),
        class_words=_CUP,
        size=((0.075, 0.09), None, (0.09, 0.115)),
        mass=(0.011, 0.025),  # 200 to 350 ml, empty; light ones would blow away: common sizes
        shape=vessels.cup,
        colours=("white", "red", "blue", "brown", "green", "light brown"),
        patterns=("plain", "stripes", "label", "dots", "two-tone"),
    ),
    "drinking glass": Family(
        synonyms=("water glass", "tumbler", "juice glass"),
        held_out=("highball", "glass beaker"),
        class_words=("glass", "dish"),
        size=((0.065, 0.085), None, (0.09, 0.15)),
        mass=(0.18, 0.38),  # 200 to 400 ml: common sizes
        shape=partial(vessels.cup, wall=0.003, taper=0.85),
        colours=_CLEAR,
    ),
    "wine glass": Family(
        synonyms=("stemmed glass", "glass with a stem"),
        held_out=("goblet", "stemware"),
        class_words=("glass", "dish"),
        size=((0.075, 0.09), None, (0.18, 0.22)),
        mass=(0.12, 0.2),  # common sizes
        shape=vessels.wine_glass,
        colours=_CLEAR,
        grasp="neck",
    ),
    "cereal bowl": Family(
        synonyms=("salad bowl", "soup bowl"),
        held_out=("porridge basin", "deep dish"),
        class_words=("bowl", "dish"),
        size=((0.12, 0.165), None, (0.05, 0.075)),
        mass=(0.147, 0.5),  # YCB bowl 159 x 53 mm, 147 g; stoneware: common sizes
        shape=vessels.bowl,
        colours=_WARES,
        patterns=_GLAZED,
        grasp="rim",
    ),
    "plate": Family(
        synonyms=("dinner plate", "dessert plate"),
        held_out=("platter", "piece of flat crockery"),
        class_words=_DISH,
        size=((0.18, 0.26), None, (0.02, 0.027)),
        mass=(0.25, 0.65),  # YCB plate 258 x 24 mm, 279 g; stoneware: common sizes
        shape=vessels.plate,
        colours=_WARES,
        patterns=("plain", "two-tone"),
        grasp="rim",
    ),
    "water pitcher": Family(
        synonyms=("milk jug", "plastic pitcher"),
        held_out=("ewer", "decanter"),
        class_words=("jug", "container"),
        size=((0.15, 0.18), (0.105, 0.12), (0.2, 0.24)),
        mass=(0.17, 0.4),  # YCB pitcher 108 x 235 mm, 178 g
        shape=vessels.jug,
        colours=_WARES,
        patterns=("plain", "stripes", "two-tone"),
        grasp="handle",
    ),
    "teapot": Family(
        synonyms=("tea pot", "pot of tea"),
        held_out=("tea kettle", "brewing pot"),
        class_words=_DISH,
        size=((0.2, 0.24), (0.12, 0.14), (0.12, 0.15)),
        mass=(0.4, 0.8),  # 1 l stoneware: common sizes
        shape=vessels.teapot,
        colours=_WARES,
        patterns=("plain", "stripes", "dots", "lid"),
        grasp="handle",
    ),
    "frying pan": Family(
        synonyms=("skillet", "saute pan"),
        held_out=("frypan", "egg pan"),
        class_words=("pan", "cookware"),
        size=((0.36, 0.45), (0.2, 0.25), (0.055, 0.075)),
        mass=(0.6, 1.1),  # 20 to 25 cm pans; YCB skillet 950 g
        shape=partial(vessels.pan, flare=0.8, rise=0.35),
        colours=("black", "dark grey", "red", "grey"),
        patterns=("plain",),
        accents={"handle": ("black", "dark grey", "brown")},
        grasp="handle",
    ),
    "saucepan": Family(
        synonyms=("cooking pot", "sauce pan"),
        held_out=("milk pan", "stew pot"),
        class_words=("pan", "cookware"),
        size=((0.3, 0.36), (0.16, 0.2), (0.095, 0.125)),
        mass=(0.6, 1.1),  # 16 to 20 cm, 1.5 to 3 l: common sizes
        shape=partial(vessels.pan, flare=0.97, rise=0.05),
        colours=("grey", "light grey", "red", "blue", "white", "black"),
        patterns=("plain", "two-tone"),
        accents={"handle": ("black", "grey")},
        grasp="handle",
    ),
    "vase": Family(
        synonyms=("flower vase", "ceramic vase"),
        held_out=("amphora", "urn"),
        class_words=("container",),
        size=((0.08, 0.12), None, (0.15, 0.25)),
        mass=(0.35, 1.0),  # common sizes
        shape=vessels.vase,
        colours=_WARES,
        patterns=_GLAZED,
        grasp="neck",
    ),
    "flower pot": Family(
        synonyms=("plant pot", "flowerpot"),
        held_out=("planter", "terracotta pot"),
        class_words=("container",),
        size=((0.09, 0.14), None, (0.085, 0.13)),
        mass=(0.18, 0.8),  # 9 to 14 cm pots: common sizes
        shape=vessels.flower_pot,
        colours=("orange", "brown", "light brown", "white", "green", "blue"),
        patterns=("plain", "two-tone", "stripes"),
        grasp="rim",
    ),
    # --- cutlery and kitchen
    "tablespoon": Family(
        synonyms=("dessert spoon", "soup spoon", "metal spoon"),
        held_out=("eating spoon", "spoon for soup"),
        class_words=("spoon", "piece of cutlery"),
        size=((0.17, 0.21), (0.036, 0.045), (0.018, 0.026)),
        mass=(0.03, 0.07),  # common sizes
        shape=utensils.spoon,
        colours=_STEEL,
        rest="lies",
        grasp="handle",
    ),
    "fork": Family(
        synonyms=("dinner fork", "table fork"),
        held_out=("pronged utensil", "four-pronged utensil"),
        class_words=_CUTLERY,
        size=((0.18, 0.21), (0.023, 0.028), (0.018, 0.026)),
        mass=(0.03, 0.065),  # common sizes
        shape=utensils.fork,
        colours=_STEEL,
        rest="lies",
        grasp="handle",
    ),
    "table knife": Family(
        synonyms=("butter knife", "dinner knife"),
        held_out=("bread spreader", "blunt blade"),
        class_words=("knife", "piece of cutlery"),
        size=((0.2, 0.24), (0.018, 0.024), (0.006, 0.01)),
        mass=(0.03, 0.09),  # common sizes; YCB knife 31 g
        shape=utensils.table_knife,
        colours=("grey", "black", "red", "blue", "light grey"),
        accents={"blade": ("light grey",)},
        rest="lies",
        grasp="handle",
    ),
    "spatula": Family(
        synonyms=("turner", "pancake turner"),
        held_out=("fish slice", "egg flipper"),
        class_words=_KITCHEN,
        size=((0.28, 0.35), (0.07, 0.09), (0.035, 0.055)),
        mass=(0.05, 0.13),  # YCB spatula 52 g; lengths: common sizes
        shape=utensils.spatula,
        colours=("black", "red", "blue", "green", "grey"),
        accents={"head": ("black", "grey", "dark grey")},
        rest="lies",
        grasp="handle",
    ),
    "ladle": Family(
        synonyms=("soup ladle", "serving ladle"),
        held_out=("dipper", "punch scoop"),
        class_words=_KITCHEN,
        size=((0.27, 0.32), (0.085, 0.1), (0.09, 0.12)),
        mass=(0.09, 0.18),  # common sizes
        shape=utensils.ladle,
        colours=("grey", "black", "red", "light grey"),
        rest="lies",
        grasp="handle",
    ),
    "whisk": Family(
        synonyms=("egg whisk", "wire whisk"),
        held_out=("balloon beater", "egg beater"),
        class_words=_KITCHEN,
        size=((0.24, 0.3), (0.055, 0.07), (0.055, 0.07)),
        mass=(0.07, 0.15),  # common sizes
        shape=utensils.whisk,
        colours=("grey", "black", "red", "white", "blue", "green"),
        accents={"head": ("light grey",)},
        rest="lies",
        grasp="handle",
    ),
    "wooden spoon": Family(
        synonyms=("cooking spoon", "mixing spoon"),
        held_out=("timber stirrer", "stirring paddle"),
        class_words=("spoon", "kitchen utensil"),
        size=((0.25, 0.32), (0.045, 0.06), (0.022, 0.03)),
        mass=(0.03, 0.06),  # common sizes
        shape=partial(utensils.spoon, bowl=0.26, wall=0.006),
        colours=_WOOD,
        rest="lies",
        grasp="handle",
    ),
    "rolling pin": Family(
        synonyms=("baking pin", "pastry roller"),
        held_out=("dough roller", "dough cylinder"),
        class_words=_KITCHEN,
        size=((0.38, 0.45), (0.05, 0.06), (0.05, 0.06)),
        mass=(0.4, 0.8),  # wood: common sizes
        shape=utensils.rolling_pin,
        colours=_WOOD,
        rest="lies",
    ),
    "sponge": Family(
        synonyms=("kitchen sponge", "scrub sponge", "dish sponge"),
        held_out=("scrubbing pad", "scourer"),
        class_words=("cleaning item",),
        size=((0.09, 0.12), (0.06, 0.075), (0.02, 0.04)),
        mass=(0.006, 0.02),  # YCB sponge 72 x 114 x 14 mm, 6 g; thicker ones: common sizes
        shape=partial(goods.box, edge=0.004, lying=True),
        colours=("yellow", "green", "blue", "pink", "orange"),
        patterns=("plain", "two-tone"),
        rest="lies",
    ),
    # --- tools
    "hammer": Family(
        synonyms=("claw hammer", "carpenter's hammer"),
        held_out=("nail driver", "nailing tool"),
        class_words=_TOOL,
        size=((0.28, 0.34), (0.11, 0.135), (0.027, 0.033)),
        mass=(0.5, 0.75),  # YCB hammer 665 g; 16 oz (454 g) heads, lengths: common sizes
        shape=tools.hammer,
        colours=("brown", "red", "blue", "black", "yellow", "orange"),
        patterns=("plain", "two-tone"),
        accents={"head": ("dark grey", "grey", "black")},
        rest="lies",
        grasp="handle",
    ),
    "mallet": Family(
        synonyms=("rubber mallet", "wooden mallet"),
        held_out=("rubber beetle", "soft-faced striker"),
        class_words=_TOOL,
        size=((0.26, 0.33), (0.09, 0.12), (0.055, 0.065)),
        mass=(0.4, 0.7),  # common sizes
        shape=tools.mallet,
        colours=("brown", "light brown", "black"),
        patterns=("plain",),
        accents={"head": ("black", "brown", "white", "red")},
        rest="lies",
        grasp="handle",
    ),
    "screwdriver": Family(
        synonyms=("flat screwdriver", "phillips screwdriver"),
        held_out=("screw turner", "turnscrew"),
        class_words=_TOOL,
        size=((0.18, 0.25), (0.028, 0.035), (0.028, 0.035)),
        mass=(0.07, 0.13),  # YCB screwdrivers 31 x 215 mm, 98 g
        shape=tools.screwdriver,
        colours=(*_BRIGHT, "black"),
        patterns=("plain", "bars", "two-tone"),
        accents={"shaft": _STEEL},
        rest="lies",
        grasp="handle",
    ),
    "wrench": Family(
        synonyms=("adjustable wrench", "spanner"),
        held_out=("monkey spanner", "nut turner"),
        class_words=_TOOL,
        size=((0.2, 0.255), (0.055, 0.07), (0.012, 0.016)),
        mass=(0.25, 0.45),  # YCB wrench 5 x 55 x 205 mm, 252 g; 8 and 10 inch: common sizes
        shape=tools.wrench,
        colours=("grey", "light grey", "dark grey", "red", "black"),
        rest="lies",
        grasp="handle",
    ),
    "pliers": Family(
        synonyms=("pair of pliers", "combination pliers"),
        held_out=("pincers", "pair of pincers"),
        class_words=_TOOL,
        size=((0.15, 0.2), (0.048, 0.06), (0.012, 0.018)),
        mass=(0.14, 0.32),  # 6 to 8 inch: common sizes
        shape=tools.pliers,
        colours=("red", "blue", "yellow", "orange", "black", "green"),
        accents={"head": ("grey", "dark grey")},
        rest="lies",
        grasp="handle",
    ),
    "kitchen scissors": Family(
        synonyms=("household scissors", "pair of household scissors"),
        held_out=("snips", "kitchen shears"),
        class_words=_TOOL,
        size=((0.17, 0.22), (0.07, 0.09), (0.01, 0.016)),
        mass=(0.06, 0.12),  # YCB scissors 87 x 200 x 14 mm, 82 g
        shape=tools.scissors,
        colours=("red", "orange", "blue", "black", "green", "purple"),
        accents={"blade": _STEEL},
        rest="lies",
        grasp="handle",
    ),
    "clip clamp": Family(
        synonyms=("clamp clip", "hand clamp", "woodworking clamp"),
        held_out=("pinch clip", "joiner's clip"),
        class_words=_TOOL,
        size=((0.115, 0.21), (0.09, 0.165), (0.027, 0.037)),
        mass=(0.059, 0.202),  # YCB clamps: 90 x 115 x 27 mm, 59 g, to 165 x 213 x 37 mm, 202 g
        shape=tools.spring_clamp,
        colours=("black", "blue", "red", "orange", "green"),
        accents={"pad": ("orange", "black", "grey"), "spring": _STEEL},
        rest="lies",
        grasp="handle",
    ),
    "electric drill": Family(
        synonyms=("battery drill", "electric screwdriver"),
        held_out=("battery borer", "drilling machine"),
        class_words=_TOOL,
        size=((0.18, 0.2), (0.175, 0.2), (0.055, 0.065)),
        mass=(0.85, 1.3),  # YCB power drill 184 mm long, 895 g; 12 and 18 V: common sizes
        shape=tools.drill,
        colours=("yellow", "blue", "red", "green", "orange", "turquoise"),
        accents={"handle": ("black", "dark grey"), "battery": ("black",), "chuck": ("black", "dark grey")},
        rest="lies",
        grasp="handle",
    ),
    "flashlight": Family(
        synonyms=("torch", "pocket lamp"),
        held_out=("hand lantern", "beam lamp"),
        class_words=_TOOL,
        size=((0.11, 0.2), (0.03, 0.045), (0.03, 0.045)),
        mass=(0.07, 0.28),  # common sizes
        shape=tools.flashlight,
        colours=("black", "grey", "red", "blue", "yellow"),
        patterns=("plain", "stripes"),
        accents={"lens": ("white", "light blue")},
        rest="lies",
    ),
    "tape measure": Family(
        synonyms=("measuring tape", "tape rule"),
        held_out=("roll-up ruler", "retractable ruler"),
        class_words=_TOOL,
        size=((0.07, 0.085), (0.03, 0.042), (0.06, 0.075)),
        mass=(0.14, 0.35),  # 3 to 8 m tapes: common sizes
        shape=tools.tape_measure,
        colours=("yellow", "black", "red", "orange", "blue"),
        patterns=("plain",),
        accents={"tongue": ("yellow", "light grey")},
    ),
    "padlock": Family(
        synonyms=("lock", "pad lock"),
        held_out=("hasp fastener", "locker fastener"),
        class_words=("hardware",),
        size=((0.065, 0.09), (0.04, 0.055), (0.016, 0.025)),
        mass=(0.1, 0.3),  # 40 to 55 mm wide; YCB padlock 208 g
        shape=tools.padlock,
        colours=("yellow", "black", "grey", "blue", "red"),
        accents={"shackle": ("light grey",)},
        rest="lies",
    ),
    "paint brush": Family(
        synonyms=("paintbrush", "decorator's brush"),
        held_out=("varnish brush", "bristle applicator"),
        class_words=_TOOL,
        size=((0.2, 0.27), (0.04, 0.065), (0.012, 0.018)),
        mass=(0.04, 0.1),  # 1.5 to 2.5 inch: common sizes
        shape=tools.brush,
        colours=("brown", "light brown", "red", "blue", "black"),
        accents={"ferrule": ("light grey",), "bristles": ("black", "white", "dark brown")},
        rest="lies",
        grasp="handle",
    ),
    "light bulb": Family(
        synonyms=("bulb", "lightbulb", "lamp bulb"),
        held_out=("electric globe", "LED lamp"),
        class_words=("hardware",),
        size=((0.105, 0.115), (0.06, 0.06), (0.06, 0.06)),
        mass=(0.03, 0.08),  # A60: 60 mm wide, about 110 mm long
        shape=goods.light_bulb,
        colours=("white", "yellow", "light yellow"),
        accents={"base": _STEEL},
        rest="lies",
    ),
    "tape roll": Family(
        synonyms=("roll of tape", "adhesive tape", "packing tape"),
        held_out=("sticky tape", "reel of tape"),
        class_words=("household item",),
        size=((0.075, 0.115), None, (0.019, 0.05)),
        mass=(0.04, 0.22),  # 19 to 50 mm tape on 76 mm (3 inch) and smaller cores
        shape=goods.tape_roll,
        colours=("light brown", "grey", "black", "red", "blue", "yellow", "green", "white"),
        accents={"core": ("light brown", "white")},
        grasp="rim",
    ),
    # --- stationery and devices
    "felt marker": Family(
        synonyms=("highlighter", "permanent marker", "board marker"),
        held_out=("fibre-tip", "fibre-tip stick"),
        class_words=("pen", "office supply"),
        size=((0.12, 0.14), (0.016, 0.02), (0.016, 0.02)),
        mass=(0.012, 0.022),  # YCB large marker 18 x 121 mm, 15.8 g
        shape=utensils.marker,
        colours=("black", "red", "blue", "green", "yellow", "orange", "pink", "purple", "white", "grey"),
        patterns=("plain", "lid", "label"),
        rest="lies",
    ),
    "pencil": Family(
        synonyms=("lead pencil", "coloured pencil"),
        held_out=("graphite stick", "drawing stick"),
        class_words=_OFFICE,
        size=((0.14, 0.19), (0.007, 0.0075), (0.0065, 0.0065)),
        mass=(0.0035, 0.006),  # new ones 175 to 190 mm; 7 mm across
        shape=utensils.pencil,
        colours=("yellow", "red", "green", "blue", "black", "orange"),
        patterns=("plain", "two-tone"),
        accents={"wood": ("light brown",), "lead": ("black",)},
        rest="lies",
    ),
    "ball-point pen": Family(
        synonyms=("biro", "ballpoint"),
        held_out=("ink stick", "writing stylus"),
        class_words=("pen", "office supply"),
        size=((0.135, 0.15), (0.009, 0.012), (0.009, 0.012)),
        mass=(0.006, 0.016),  # common sizes
        shape=utensils.pen,
        colours=("blue", "black", "red", "white", "green", "grey"),
        patterns=("plain", "two-tone"),
        accents={"tip": ("light grey", "black")},
        rest="lies",
    ),
    "glue stick": Family(
        synonyms=("stick of glue", "paper glue"),
        held_out=("adhesive stick", "paste stick"),
        class_words=_OFFICE,
        size=((0.02, 0.03), None, (0.08, 0.105)),
        mass=(0.018, 0.06),  # 8 to 40 g of glue: common sizes
        shape=vessels.lidded_can,
        colours=("yellow", "red", "white", "purple", "blue"),
        patterns=("plain", "label", "lid"),
        accents={"lid": ("white", "red", "black", "yellow")},
    ),
    "stapler": Family(
        synonyms=("desk stapler", "office stapler"),
        held_out=("paper fastener", "stapling machine"),
        class_words=_OFFICE,
        size=((0.12, 0.16), (0.032, 0.04), (0.05, 0.065)),
        mass=(0.12, 0.35),  # common sizes
        shape=goods.stapler,
        colours=("black", "red", "blue", "grey", "green"),
        accents={"base": ("black", "dark grey")},
        rest="lies",
    ),
    "book": Family(
        synonyms=("paperback", "novel", "hardcover book"),
        held_out=("volume", "bound volume"),
        class_words=_OFFICE,
        size=((0.175, 0.24), (0.107, 0.17), (0.015, 0.04)),
        mass=(0.15, 0.75),  # paperback 107 x 175 mm to large octavo: common sizes
        shape=goods.book,
        colours=_PAINT,
        patterns=("plain", "label", "two-tone", "stripes"),
        accents={"pages": ("white", "light yellow")},
        rest="lies",
        grasp="edge",
    ),
    "eraser": Family(
        synonyms=("rubber eraser", "pencil eraser"),
        held_out=("india rubber", "rubber for pencils"),
        class_words=_OFFICE,
        size=((0.04, 0.065), (0.017, 0.025), (0.01, 0.014)),
        mass=(0.009, 0.03),  # common sizes
        shape=partial(goods.box, edge=0.002, lying=True),
        colours=("white", "pink", "blue", "green", "yellow"),
        patterns=("plain", "two-tone", "label"),
        rest="lies",
    ),
    "smartphone": Family(
        synonyms=("phone", "mobile phone", "cell phone"),
        held_out=("telephone handset", "handset"),
        class_words=("device",),
        size=((0.138, 0.163), (0.067, 0.078), (0.007, 0.009)),
        mass=(0.14, 0.24),  # 138 x 67 x 7 mm to 163 x 78 x 9 mm, 140 to 240 g: makers' data of current models
        shape=goods.slab,
        colours=("black", "white", "grey", "red", "blue", "pink"),
        accents={"screen": ("black",)},
        rest="lies",
        grasp="edge",
    ),
    "remote control": Family(
        synonyms=("TV remote", "remote"),
        held_out=("channel changer", "television controller"),
        class_words=("device",),
        size=((0.15, 0.22), (0.042, 0.054), (0.017, 0.027)),
        mass=(0.07, 0.16),  # with two AAA cells (23 g): common sizes
        shape=partial(goods.slab, inset="buttons"),
        colours=("black", "grey", "white", "dark grey"),
        accents={"buttons": ("white", "light grey", "red")},
        rest="lies",
    ),
    "computer mouse": Family(
        synonyms=("wireless mouse", "pc mouse"),
        held_out=("pointing device", "cursor device"),
        class_words=("device",),
        size=((0.1, 0.125), (0.058, 0.068), (0.034, 0.042)),
        mass=(0.065, 0.13),  # common sizes
        shape=goods.mouse,
        colours=("black", "white", "grey", "red", "blue"),
        accents={"wheel": ("dark grey", "black")},
    ),
    # --- bathroom and home
    "toothpaste tube": Family(
        synonyms=("toothpaste", "tube of toothpaste"),
        held_out=("dental cream", "tube of dental cream"),
        class_words=("toiletry",),
        size=((0.13, 0.185), (0.045, 0.058), (0.03, 0.04)),
        mass=(0.07, 0.16),  # 50 to 125 ml: common sizes
        shape=goods.paste_tube,
        colours=("white", "red", "blue", "green", "turquoise"),
        patterns=("plain", "stripes", "label", "lid"),
        accents={"cap": ("white", "blue", "red")},
        rest="lies",
    ),
    "toothbrush": Family(
        synonyms=("manual toothbrush", "brush for teeth"),
        held_out=("dental brush", "oral brush"),
        class_words=("toiletry",),
        size=((0.17, 0.2), (0.012, 0.016), (0.015, 0.02)),
        mass=(0.012, 0.025),  # common sizes
        shape=utensils.toothbrush,
        colours=(*_BRIGHT, "white"),
        patterns=("plain", "two-tone"),
        accents={"bristles": ("white",)},
        rest="lies",
        grasp="handle",
    ),
    "bar of soap": Family(
        synonyms=("soap bar", "soap"),
        held_out=("cake of soap", "cleansing bar"),
        class_words=("toiletry",),
        size=((0.075, 0.095), (0.05, 0.065), (0.023, 0.035)),
        mass=(0.075, 0.15),  # 90 to 150 g: common sizes
        shape=partial(goods.box, edge=0.011, lying=True),
        colours=("white", "pink", "light green", "light blue", "light yellow", "light purple", "light brown"),
        rest="lies",
    ),
    "toilet roll": Family(
        synonyms=("toilet paper", "roll of toilet paper"),
        held_out=("bathroom tissue", "loo roll"),
        class_words=("household item",),
        size=((0.1, 0.125), None, (0.09, 0.1)),
        mass=(0.08, 0.18),  # sheets 90 to 100 mm wide on 40 to 45 mm cores: common sizes
        shape=partial(goods.tape_roll, hole=0.38),
        colours=("white", "pink", "light blue"),
        accents={"core": ("light brown",)},
    ),
    "candle": Family(
        synonyms=("pillar candle", "wax candle"),
        held_out=("taper light", "wax light"),
        class_words=("household item",),
        size=((0.05, 0.075), None, (0.08, 0.15)),
        mass=(0.13, 0.55),  # paraffin, 0.9 kg/l: common sizes
        shape=goods.candle,
        colours=("white", "red", "light yellow", "purple", "green", "orange"),
        patterns=("plain", "stripes", "two-tone"),
        accents={"wick": ("black",)},
    ),
    # --- balls and toys
    "tennis ball": Family(
        synonyms=("tennis practice ball", "ball for tennis"),
        held_out=("court ball", "felt sphere"),
        class_words=_BALL,
        size=((0.0654, 0.0686), None, None),
        mass=(0.056, 0.0594),  # ITF rules: 65.4 to 68.6 mm, 56.0 to 59.4 g
        shape=goods.ball,
        colours=("yellow",),
        rest="rolls",
    ),
    "baseball": Family(
        synonyms=("base ball", "hardball"),
        held_out=("pitcher's ball", "leather sphere"),
        class_words=_BALL,
        size=((0.0728, 0.0748), None, None),
        mass=(0.1417, 0.1488),  # MLB rules: 9 to 9 1/4 inches around, 5 to 5 1/4 oz
        shape=goods.ball,
        colours=("white",),
        rest="rolls",
    ),
    "golf ball": Family(
        synonyms=("ball for golf", "practice golf ball"),
        held_out=("tee ball", "fairway ball"),
        class_words=_BALL,
        size=((0.0427, 0.043), None, None),
        mass=(0.045, 0.0459),  # R&A rules: at least 42.67 mm, at most 45.93 g
        shape=goods.ball,
        colours=("white", "yellow", "orange", "pink"),
        rest="rolls",
    ),
    "table tennis ball": Family(
        synonyms=("ping pong ball", "ping-pong ball"),
        held_out=("celluloid ball", "bat and ball sphere"),
        class_words=_BALL,
        size=((0.04, 0.0406), None, None),
        mass=(0.00267, 0.00277),  # ITTF rules: 40.0 to 40.6 mm, 2.67 to 2.77 g
        shape=goods.ball,
        colours=("white", "orange"),
        rest="rolls",
    ),
    "rubber ball": Family(
        synonyms=("bouncy ball", "toy ball", "play ball"),
        held_out=("bouncing sphere", "gum ball"),
        class_words=("ball", "toy"),
        size=((0.05, 0.1), None, None),
        mass=(0.05, 0.2),  # hollow to soft solid: common sizes
        shape=goods.ball,
        colours=_BRIGHT,
        patterns=("plain", "stripes", "bars", "dots", "two-tone"),
        rest="rolls",
    ),
    "mini soccer ball": Family(
        synonyms=("small football", "soccer ball"),
        held_out=("kicking ball", "miniature football"),
        class_words=_BALL,
        size=((0.135, 0.15), None, None),
        mass=(0.11, 0.17),  # YCB mini soccer ball 140 mm, 123 g
        shape=goods.ball,
        colours=("white", "yellow", "red", "blue"),
        patterns=("dots", "bars", "plain"),
        rest="rolls",
    ),
    "toy block": Family(
        synonyms=("building block", "wooden cube", "toy cube"),
        held_out=("play brick", "stacking cube"),
        class_words=_BLOCK,
        size=((0.03, 0.055), None, None),
        mass=(0.016, 0.11),  # beech, 0.6 to 0.7 kg/l: common sizes
        shape=goods.box,
        colours=_PAINT,
        patterns=("plain", "two-tone"),
    ),
    "wood brick": Family(
        synonyms=("wooden brick", "wooden beam", "wood beam"),
        held_out=("plank offcut", "lumber piece"),
        class_words=_BLOCK,
        size=((0.08, 0.09), (0.08, 0.09), (0.19, 0.21)),
        mass=(0.65, 0.85),  # YCB wood block 85 x 85 x 200 mm, 729 g
        shape=goods.box,
        colours=_WOOD,
    ),
    "toy car": Family(
        synonyms=("model car", "little car"),
        held_out=("miniature automobile", "play vehicle"),
        class_words=_TOY,
        size=((0.07, 0.12), (0.032, 0.055), (0.024, 0.045)),
        mass=(0.03, 0.14),  # 1:64 die-cast 70 mm, about 35 g; larger: common sizes
        shape=goods.toy_car,
        colours=(*_BRIGHT, "black", "white"),
        patterns=("plain", "two-tone"),
        accents={"wheels": ("black",), "cabin": ("light blue", "white", "dark grey")},
        rest="lies",
    ),
    # --- fruit and vegetables
    "apple": Family(
        synonyms=("eating apple", "fresh apple"),
        held_out=("pome", "orchard fruit"),
        class_words=_FRUIT,
        size=((0.07, 0.085), None, (0.068, 0.088)),
        mass=(0.15, 0.25),  # USDA: 70 mm 149 g, 76 mm 182 g, 83 mm 223 g
        shape=produce.apple,
        colours=("red", "green", "yellow", "dark red"),
        accents={"stem": ("dark brown",)},
        rest="rolls",
    ),
    "orange": Family(
        synonyms=("navel orange", "whole orange"),
        held_out=("citrus globe", "sweet citrus"),
        class_words=_FRUIT,
        size=((0.06, 0.08), None, None),
        mass=(0.13, 0.26),  # USDA: 60 mm 96 g, 67 mm 131 g, 78 mm 184 g without peel (27 %)
        shape=partial(produce.lump, bumps=0.008),
        colours=("orange",),
        rest="rolls",
    ),
    "lemon": Family(
        synonyms=("whole lemon", "sour lemon"),
        held_out=("sour citrus", "yellow citrus"),
        class_words=_FRUIT,
        size=((0.075, 0.1), (0.054, 0.065), (0.054, 0.065)),
        mass=(0.085, 0.16),  # USDA: 54 to 60 mm across; lengths and masses with peel: common sizes
        shape=produce.lemon,
        colours=("yellow",),
        rest="lies",
    ),
    "lime": Family(
        synonyms=("whole lime", "key lime"),
        held_out=("green citrus", "sour green citrus"),
        class_words=_FRUIT,
        size=((0.053, 0.066), (0.046, 0.052), (0.046, 0.052)),
        mass=(0.06, 0.095),  # USDA: 51 mm across, 67 g without peel
        shape=produce.lemon,
        colours=("green",),
        rest="lies",
    ),
    "banana": Family(
        synonyms=("single banana", "whole banana"),
        held_out=("plantain", "curved snack"),
        class_words=_FRUIT,
        size=((0.16, 0.205), (0.05, 0.066), (0.032, 0.038)),
        mass=(0.14, 0.22),  # USDA: 7 to 8 inches along the curve, 118 to 136 g without peel (36 %)
        shape=produce.banana,
        colours=("yellow", "green"),
        accents={"tip": ("dark brown",)},
        rest="lies",
    ),
    "pear": Family(
        synonyms=("williams pear", "ripe pear"),
        held_out=("bartlett", "bell-shaped fruit"),
        class_words=_FRUIT,
        size=((0.062, 0.078), None, (0.09, 0.12)),
        mass=(0.148, 0.24),  # USDA: 148 to 230 g
        shape=produce.pear,
        colours=("green", "light green", "yellow", "brown"),
        accents={"stem": ("dark brown",)},
    ),
    "peach": Family(
        synonyms=("nectarine", "ripe peach"),
        held_out=("stone fruit", "fuzzy fruit"),
        class_words=_FRUIT,
        size=((0.063, 0.071), None, (0.06, 0.07)),
        mass=(0.135, 0.19),  # USDA: 64 mm 130 g, 70 mm 175 g without stone
        shape=partial(produce.apple, dimple=0.1, stem=0.01),
        colours=("orange", "pink", "red"),
        accents={"stem": ("dark brown",)},
        rest="rolls",
    ),
    "plum": Family(
        synonyms=("damson", "ripe plum"),
        held_out=("prune fruit", "drupe"),
        class_words=_FRUIT,
        size=((0.045, 0.058), (0.042, 0.054), (0.042, 0.054)),
        mass=(0.055, 0.09),  # USDA: 54 mm across, 66 g without stone
        shape=partial(produce.egg, point=0.04),
        colours=("dark purple", "purple", "dark red"),
        rest="lies",
    ),
    "strawberry": Family(
        synonyms=("ripe strawberry", "garden strawberry"),
        held_out=("red berry", "summer berry"),
        class_words=_FRUIT,
        size=((0.035, 0.05), (0.032, 0.041), (0.032, 0.041)),
        mass=(0.012, 0.029),  # USDA: 32 mm 12 g, 35 mm 18 g, 41 mm 27 g
        shape=produce.strawberry,
        colours=("red",),
        accents={"leaf": ("green",)},
        rest="lies",
    ),
    "kiwi": Family(
        synonyms=("kiwi fruit", "kiwifruit"),
        held_out=("chinese gooseberry", "hairy fruit"),
        class_words=_FRUIT,
        size=((0.06, 0.072), (0.048, 0.055), (0.048, 0.055)),
        mass=(0.075, 0.115),  # USDA: 51 mm across, 69 g without skin
        shape=partial(produce.egg, point=0.02),
        colours=("brown",),
        rest="lies",
    ),
    "avocado": Family(
        synonyms=("ripe avocado", "hass avocado"),
        held_out=("alligator pear", "guacamole fruit"),
        class_words=_VEGETABLE,
        size=((0.09, 0.12), (0.062, 0.075), (0.062, 0.075)),
        mass=(0.17, 0.3),  # USDA: 136 to 201 g without skin and stone (26 to 33 %)
        shape=partial(produce.egg, point=0.22),
        colours=("dark green", "green"),
        rest="lies",
    ),
    "tomato": Family(
        synonyms=("ripe tomato", "salad tomato"),
        held_out=("love apple", "beefsteak"),
        class_words=_VEGETABLE,
        size=((0.061, 0.078), None, (0.054, 0.07)),
        mass=(0.091, 0.19),  # USDA: 61 mm 91 g, 66 mm 123 g, 76 mm 182 g
        shape=partial(produce.apple, dimple=0.1, stem=0.06),
        colours=("red", "orange", "yellow"),
        accents={"stem": ("green", "dark green")},
        rest="rolls",
    ),
    "potato": Family(
        synonyms=("raw potato", "baking potato"),
        held_out=("spud", "tuber"),
        class_words=_VEGETABLE,
        size=((0.075, 0.12), (0.055, 0.075), (0.045, 0.065)),
        mass=(0.12, 0.35),  # USDA: 170 to 369 g, 44 to 108 mm across
        shape=produce.lump,
        colours=("light brown", "brown"),
        rest="lies",
    ),
    "onion": Family(
        synonyms=("cooking onion", "raw onion"),
        held_out=("pungent bulb", "shallot"),
        class_words=_VEGETABLE,
        size=((0.055, 0.085), None, (0.06, 0.09)),
        mass=(0.08, 0.25),  # USDA: 70, 110 and 150 g; 64 mm for the medium one
        shape=produce.onion,
        colours=("brown", "light brown", "white", "purple"),
        rest="rolls",
    ),
    "carrot": Family(
        synonyms=("fresh carrot", "raw carrot"),
        held_out=("orange root", "taproot"),
        class_words=_VEGETABLE,
        size=((0.15, 0.21), (0.028, 0.038), (0.025, 0.034)),
        mass=(0.05, 0.11),  # USDA: medium 61 g, large (184 to 216 mm) 72 g
        shape=partial(produce.root, taper=0.15),
        colours=("orange",),
        accents={"leaf": ("green",)},
        rest="lies",
    ),
    "cucumber": Family(
        synonyms=("salad cucumber", "fresh cucumber"),
        held_out=("green gourd", "gherkin"),
        class_words=_VEGETABLE,
        size=((0.18, 0.22), (0.046, 0.058), (0.042, 0.05)),
        mass=(0.2, 0.33),  # USDA: 8 1/4 inches, 301 g
        shape=partial(produce.root, taper=0.8),
        colours=("green", "dark green"),
        accents={"leaf": ("dark green",)},
        rest="lies",
    ),
    "bell pepper": Family(
        synonyms=("sweet pepper", "pepper"),
        held_out=("capsicum", "paprika"),
        class_words=_VEGETABLE,
        size=((0.063, 0.08), None, (0.08, 0.115)),
        mass=(0.119, 0.2),  # USDA: 70 x 64 mm 119 g, 95 x 76 mm 164 g, without stem
        shape=partial(produce.apple, dimple=0.14, stem=0.15, lobes=4),
        colours=("red", "yellow", "green", "orange"),
        accents={"stem": ("green", "dark green")},
    ),
    "eggplant": Family(
        synonyms=("egg plant", "whole eggplant"),
        held_out=("aubergine", "brinjal"),
        class_words=_VEGETABLE,
        size=((0.16, 0.22), (0.075, 0.092), (0.07, 0.085)),
        mass=(0.25, 0.5),  # common sizes; USDA: 548 g for a large one
        shape=partial(produce.root, taper=0.55),
        colours=("dark purple", "purple"),
        accents={"leaf": ("green", "dark green")},
        rest="lies",
    ),
}

FAMILIES: dict[str, Family] = {
    name: replace(family, synonyms=(*family.synonyms, *MORE_NOUNS.get(name, ()))) for name, family in _FAMILIES.items()
}
"""Name -> family; the name is the usual noun."""

HELD_OUT = frozenset({
    "spray can", "milk carton", "teapot", "wine glass", "ladle", "pliers", "stapler", "golf ball", "pear",
    "bell pepper", "toy car",
})  # fmt: skip
"""Families that training never sees, from every class."""

TRAINING = tuple(sorted(set(FAMILIES) - HELD_OUT))
"""The others."""
