"""Meshes of a user as objects for scenes: a folder of files, or of folders with one mesh each as YCB has them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import ConvexHull

from unihm.geometry.surface import MESH_SUFFIXES
from unihm.scenes.appearance import COLOUR_NAMES, draw_colour, second_colour
from unihm.scenes.household import HouseholdObject

_FILES = ("textured*.obj", "mesh*.obj")  # in a folder that is named as the object; the first that is there
_DENSITY = 400.0  # kg/m^3 of the convex hull; YCB's things have 100 (cereal box) to 1000 (full can)
_LARGEST = 1.0  # m; a mesh in millimetres is larger by far


@cache
def find_meshes(folder: Path) -> tuple[tuple[str, Path], ...]:
    """Names and files of the meshes in a folder, by name.

    ``<name>/textured*.obj`` or ``<name>/mesh*.obj``, or ``<name>.obj``, ``.ply``, ``.stl`` and so on; of ``025_mug``
    the name is "mug".

    Raises:
        ValueError: There is no such folder, or no mesh in it.
    """
    if not folder.is_dir():
        raise ValueError(f"Folder of meshes '{folder}' does not exist.")
    found: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()):
        files = [file for pattern in _FILES for file in sorted(entry.glob(pattern))] if entry.is_dir() else [entry]
        if files and files[0].suffix.lower() in MESH_SUFFIXES:
            found.setdefault(_words(entry.stem if entry.is_file() else entry.name), files[0])
    if not found:
        raise ValueError(
            f"No meshes in '{folder}'; expected <name>/textured*.obj, <name>/mesh*.obj or "
            f"<name>{', <name>'.join(MESH_SUFFIXES)}."
        )
    return tuple(sorted(found.items()))


def mesh_object(name: str, file: Path, rng: np.random.Generator, colour: str | None = None) -> HouseholdObject:
    """A mesh in one colour, in its own frame.

    Args:
        name: What it is called.
        file: The mesh, m.
        rng: Draws the colour, and its shade.
        colour: One of `appearance.COLOUR_NAMES`; any by default.

    Raises:
        ValueError: The file holds no mesh, or one that is too large for metres.
    """
    vertices, faces = _load(file)
    colour = colour or str(rng.choice(COLOUR_NAMES))
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return HouseholdObject(
        family=name,
        vertices=vertices,
        faces=faces,
        face_colours=np.tile(draw_colour(rng, colour), (len(faces), 1)),
        face_parts=np.zeros(len(faces), dtype=np.int64),
        part_names=("body",),
        mass_kg=_DENSITY * float(ConvexHull(vertices).volume),
        dimensions_m=tuple((high - low).tolist()),
        colour=colour,
        second_colour=second_colour(rng, colour),
        pattern="plain",
        names=(name,),
        held_out_names=(),
        class_words=(),
    )


@cache
def _load(file: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        mesh = trimesh.load(file, force="mesh", process=False)
    except Exception as error:  # trimesh raises many kinds for a damaged file
        raise ValueError(f"'{file}' is damaged: {error}") from error
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
        raise ValueError(f"'{file}' holds no faces.")
    size = float(mesh.extents.max())
    if not size <= _LARGEST:
        raise ValueError(f"'{file}' is {size:.3g} m long; expected metres, and at most {_LARGEST:g} m.")
    faces = np.asarray(mesh.faces, dtype=np.int64)
    return np.array(mesh.vertices, dtype=np.float64), faces if mesh.volume >= 0 else faces[:, ::-1]


def _words(name: str) -> str:
    return re.sub(r"^[\d\s]+", "", re.sub(r"[_\-\s]+", " ", name)).strip().lower() or name
