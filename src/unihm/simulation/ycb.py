"""The YCB objects of DexYCB as bodies: published masses, which are hard to hold, and recordings that lean on something.

Masses: Calli et al., "Benchmarking in manipulation research: using the Yale-CMU-Berkeley object and model set", IEEE
Robotics & Automation Magazine 22(3), 2015, the table of objects (of the pitcher without its lid).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.geometry.width import width
from unihm.registry import unknown_name
from unihm.simulation.solid_object import SolidObject, load_object

MASSES = {
    "002_master_chef_can": 0.414,
    "003_cracker_box": 0.411,
    "004_sugar_box": 0.514,
    "005_tomato_soup_can": 0.349,
    "006_mustard_bottle": 0.603,
    "007_tuna_fish_can": 0.171,
    "008_pudding_box": 0.187,
    "009_gelatin_box": 0.097,
    "010_potted_meat_can": 0.370,
    "011_banana": 0.066,
    "019_pitcher_base": 0.178,
    "021_bleach_cleanser": 1.131,
    "024_bowl": 0.147,
    "025_mug": 0.118,
    "035_power_drill": 0.895,
    "036_wood_block": 0.729,
    "037_scissors": 0.082,
    "040_large_marker": 0.0158,
    "051_large_clamp": 0.125,
    "052_extra_large_clamp": 0.202,
    "061_foam_brick": 0.028,
}
"""kg."""

HARD = frozenset({"011_banana", "024_bowl", "037_scissors", "040_large_marker", "052_extra_large_clamp"})
"""Objects that replayed human grasps mostly drop (FACTS 8); the others are the easy ones."""

LEANING = {
    "dexycb/20200709-subject-01/20200709_153148": "052_extra_large_clamp",
    "dexycb/20200813-subject-02/20200813_153911": "025_mug",
    "dexycb/20200813-subject-02/20200813_155314": "040_large_marker",
    "dexycb/20200820-subject-03/20200820_144414": "037_scissors",
    "dexycb/20200908-subject-05/20200908_145818": "011_banana",
}
"""Episodes that start tilted, leaning on something that was not recorded, and what they hold: alone they fall over, so
they are excluded from physics by name (FACTS 8: entries 46, 85, 94, 143 and 225 of the right-hand index)."""

_MIRROR = np.array([1.0, -1.0, 1.0])  # what DexYCB's left hands, and the objects in them, are reflected by
GRIPPER_OPENING = 0.08  # m between the pads of a Panda gripper


def ycb_mesh(models_folder: str | Path, object_name: str) -> Path:
    """The file of an object's surface: its simplified mesh, or its list of points where there is no mesh.

    051_large_clamp has points only; `load_object` closes them to their convex hull and says so.

    Raises:
        ValueError: The object is unknown, or its files are missing.
    """
    if object_name not in MASSES:
        raise unknown_name("YCB object", object_name, MASSES)
    folder = Path(models_folder) / object_name
    for path in (folder / "mesh_simplified.obj", folder / "points.xyz"):
        if path.is_file():
            return path
    raise ValueError(f"'{folder}' holds neither mesh_simplified.obj nor points.xyz.")


def load_ycb(
    models_folder: str | Path, object_name: str, *, convex: str = "coacd", mirrored: bool = False
) -> SolidObject:
    """A YCB object with its published mass.

    Args:
        models_folder: With a folder of every object.
        object_name: For example ``025_mug``.
        convex: ``coacd`` or ``hull``.
        mirrored: The object as episodes hold it that were mirrored from a left hand's recording.

    Raises:
        ValueError: The object is unknown, or its files are missing or damaged.
    """
    path = ycb_mesh(models_folder, object_name)
    solid = load_object(path, name=object_name, mass=MASSES[object_name], convex=convex)
    if not mirrored:
        return solid
    return replace(
        solid,
        vertices=solid.vertices * _MIRROR,
        faces=solid.faces[:, ::-1],  # outward again
        parts=tuple(part * _MIRROR for part in solid.parts),
    )


def graspable(object: SolidObject, up: Float[np.ndarray, " 3"] | None = None, opening: float = GRIPPER_OPENING) -> bool:
    """Whether two parallel pads span the whole object. Rims and handles of wider ones are not looked for."""
    return width(object.vertices, up) < opening
