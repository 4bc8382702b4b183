"""Draws household objects: shape, size, mass and colours from their family's table, and the words that fit them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float, Int, UInt8
from scipy.spatial import ConvexHull

from unihm.registry import unknown_name
from unihm.scenes.appearance import (
    LIDS,
    colour_words,
    draw_colour,
    face_centres,
    pattern_words,
    second_colour,
    second_faces,
)
from unihm.scenes.families import FAMILIES, HELD_OUT, TRAINING, Family
from unihm.scenes.shapes import Parts, fitted

_OWN = 0.15  # by how much a dimension or the mass departs from the object's place in its family
_NOTICED = 1.15  # the largest of a family must exceed the smallest by this, or nobody calls one of them small
_TALL, _FLAT, _LONG = 1.6, 0.35, 3.0  # ratios of edges of the box
_AS_ROUND, _AS_LONG = 0.04, 0.05  # how near a footprint is to a circle: in area, in its two lengths


@dataclass(frozen=True, kw_only=True, eq=False)
class HouseholdObject:
    """A thing at rest on z = 0, centred in x and y."""

    family: str
    """Key of `families.FAMILIES`."""
    vertices: Float[np.ndarray, "v 3"]
    """m. The parts are closed surfaces that may overlap."""
    faces: Int[np.ndarray, "f 3"]
    """Triangles, counter-clockwise seen from outside."""
    face_colours: UInt8[np.ndarray, "f 3"]
    """RGB; a handful of different ones, so that the faces of one colour can be one geom."""
    face_parts: Int[np.ndarray, " f"]
    """Index in `part_names`."""
    part_names: tuple[str, ...]
    """For example body, handle, lid."""
    mass_kg: float
    """kg."""
    dimensions_m: tuple[float, float, float]
    """Edges of its box along x, y and z, m."""
    colour: str
    """Of its main part, one of `appearance.COLOUR_NAMES`."""
    second_colour: str
    """Of its pattern."""
    pattern: str
    """One of `appearance.PATTERNS`."""
    names: tuple[str, ...]
    """Nouns for it, the usual one first; for a held-out family none of them occurs in training."""
    held_out_names: tuple[str, ...]
    """Nouns that never occur in training."""
    class_words: tuple[str, ...]
    """Nouns that fit other families, too."""
    wooden: bool = False
    """Whether a grain shows on it."""

    @property
    def parts(self) -> Parts:
        """Its parts by name, m."""
        parts = {}
        for k, name in enumerate(self.part_names):
            used, faces = np.unique(self.faces[self.face_parts == k], return_inverse=True)
            # unprocessed: surfaces that touch at a vertex stay apart
            parts[name] = trimesh.Trimesh(self.vertices[used], faces.reshape(-1, 3), process=False)
        return parts


def draw_object(rng: np.random.Generator, family: str | None = None, held_out: bool = False) -> HouseholdObject:
    """One object, the same for the same state of the generator.

    Args:
        rng: Draws it.
        family: Key of `families.FAMILIES`; any one by default.
        held_out: Draw from the families that training never sees. A named family may then be any.

    Raises:
        ValueError: There is no such family, or it is held out and this is training.
    """
    if family is None:
        family = str(rng.choice(sorted(HELD_OUT) if held_out else TRAINING))
    if family not in FAMILIES:
        raise unknown_name("Family of objects", family, FAMILIES)
    if family in HELD_OUT and not held_out:
        raise ValueError(f"Family '{family}' is held out from training; ask for it with held_out=True.")
    kind = FAMILIES[family]
    place = rng.random()
    size = _draw_size(kind, place, rng)
    parts = fitted(kind.shape(size, rng), size)
    vertices, faces, face_parts = _one_mesh(parts)
    pattern = str(rng.choice([p for p in kind.patterns if p != "lid" or set(LIDS) & set(parts)]))
    colour = str(rng.choice(kind.colours))
    second = second_colour(rng, colour)
    low, high = kind.mass
    return HouseholdObject(
        family=family,
        vertices=vertices,
        faces=faces,
        face_colours=_paint(kind, parts, pattern, (colour, second), rng),
        face_parts=face_parts,
        part_names=tuple(parts),
        mass_kg=low + (high - low) * _near(place, rng),
        dimensions_m=size,
        colour=colour,
        second_colour=second,
        pattern=pattern,
        names=(family, *kind.synonyms),
        held_out_names=kind.held_out,
        class_words=kind.class_words,
        wooden=all(name.endswith("brown") for name in kind.colours),
    )


def attributes(thing: HouseholdObject) -> dict[str, tuple[str, ...]]:
    """The words that describe an object, by what they are about: colour, pattern, size, shape.

    Adjectives go before the noun, phrases that begin with "with" behind it. ``size`` compares with its family and is
    empty in the middle third.
    """
    lid = next((part for part in LIDS if part in thing.part_names), "lid")
    return {
        "colour": colour_words(thing.colour),
        "pattern": pattern_words(thing.pattern, thing.colour, thing.second_colour, lid),
        "size": _size_words(FAMILIES[thing.family], thing.dimensions_m),
        "shape": _shape_words(thing),
    }


def _draw_size(kind: Family, place: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Edges of the box, m: all near the same place in their ranges, so that large ones are large all round."""
    drawn: list[float] = []
    for limits in kind.size:
        drawn.append(drawn[0] if limits is None else limits[0] + (limits[1] - limits[0]) * _near(place, rng))
    return drawn[0], drawn[1], drawn[2]


def _near(place: float, rng: np.random.Generator) -> float:
    return float(np.clip(place + rng.uniform(-_OWN, _OWN), 0, 1))


def _one_mesh(parts: Parts):
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in parts.values())])
    return (
        np.concatenate([np.asarray(mesh.vertices) for mesh in parts.values()]),
        np.concatenate([np.asarray(mesh.faces) + a for mesh, a in zip(parts.values(), starts, strict=False)]),
        np.repeat(np.arange(len(parts)), [len(mesh.faces) for mesh in parts.values()]),
    )


def _paint(
    kind: Family, parts: Parts, pattern: str, colours: tuple[str, str], rng: np.random.Generator
) -> UInt8[np.ndarray, "f 3"]:
    """RGB of every face, the parts in their order."""
    first, second = (draw_colour(rng, name) for name in colours)
    painted = []
    for name, mesh in parts.items():
        if name in LIDS and pattern == "lid":
            painted.append(np.tile(second, (len(mesh.faces), 1)))
        elif name in kind.accents:
            painted.append(np.tile(draw_colour(rng, str(rng.choice(kind.accents[name]))), (len(mesh.faces), 1)))
        elif name == next(iter(parts)):
            centres = face_centres(np.asarray(mesh.vertices), np.asarray(mesh.faces))
            other = second_faces(pattern, centres, 0 if kind.rest == "lies" else 2, rng)
            painted.append(np.where(other[:, None], second, first))
        else:
            painted.append(np.tile(first, (len(mesh.faces), 1)))
    return np.concatenate(painted)


def _size_words(kind: Family, size: tuple[float, float, float]) -> tuple[str, ...]:
    ranges = [(limits, edge) for limits, edge in zip(kind.size, size, strict=True) if limits is not None]
    if np.mean([limits[1] / limits[0] for limits, _ in ranges]) < _NOTICED:
        return ()
    place = np.mean([(edge - low) / (high - low) for (low, high), edge in ranges if high > low])
    return ("small", "little") if place < 1 / 3 else ("large", "big") if place > 2 / 3 else ()


def _shape_words(thing: HouseholdObject) -> tuple[str, ...]:
    length, width, height = thing.dimensions_m
    long, short = max(length, width), min(length, width)
    footprint = ConvexHull(thing.vertices[:, :2]).volume / (length * width)  # in the plane the volume is the area
    words = []
    if long < (1 + _AS_LONG) * short and abs(footprint - np.pi / 4) < _AS_ROUND:
        words.append("round")
    if height > _TALL * long:
        words.append("tall")
    if height < _FLAT * short:
        words.append("flat")
    if long > _LONG * max(short, height):
        words.append("long")
    return tuple(words)
