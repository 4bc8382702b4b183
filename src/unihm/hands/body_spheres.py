"""A hand's body as spheres fixed to its links, for keeping it out of things."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from unihm.geometry import solids
from unihm.hands.description import Primitive

_OVERLAP = 1.5  # spheres stand this many radii apart, which leaves dents of a third of a radius between them
_SMALL = 3e-3  # m, radius of the spheres that reach into edges
_SPACING = 8e-3  # m between them
_LEAST_STEP = 0.02  # m


def solid_spheres(
    geometry: Sequence[Primitive], least_step: float = _LEAST_STEP
) -> tuple[list[int], list[Float[np.ndarray, " 3"]], list[float]]:
    """Spheres inside solids.

    A cylinder holds a row of spheres of its own radius, a box a grid of spheres as thick as its thinnest side.

    Args:
        geometry: The solids.
        least_step: Least distance of neighbours, m: thin plates are covered more coarsely, not by hundreds of them.

    Returns:
        Link of each sphere, its centre in the link (m) and its radius (m).
    """
    links: list[int] = []
    centres: list[np.ndarray] = []
    radii: list[float] = []
    for shape in geometry:
        if shape.kind == "sphere":
            radius, extent = shape.size[0], np.zeros(3)
        elif shape.kind == "cylinder":
            radius, length = shape.size
            extent = np.array([0.0, 0.0, length])
        else:
            radius, extent = min(shape.size) / 2, np.array(shape.size)
        for centre in _grid(radius, extent, least_step):
            links.append(shape.link)
            centres.append(shape.T_link_shape[:3, :3] @ centre + shape.T_link_shape[:3, 3])
            radii.append(radius)
    return links, centres, radii


@lru_cache(maxsize=1024)
def covering_spheres(kind: str, size: tuple[float, ...]) -> Float[np.ndarray, "n 4"]:
    """Spheres within a solid that reach to its edges: centres in its frame and radii, m.

    A box holds those of `solid_spheres` and small ones over its surface: what is flat or round is kept out of all of
    it, what is sharp may reach a few millimetres between them.

    Args:
        kind: ``sphere``, ``cylinder`` or ``box``.
        size: See `Primitive.size`.
    """
    if kind == "sphere":
        return np.array([[0.0, 0.0, 0.0, size[0]]])
    if kind == "cylinder":
        radius, length = size
        half = max(length / 2 - radius, 0.0)
        count = 1 + math.ceil(2 * half / radius)
        z = np.linspace(-half, half, count) if count > 1 else np.zeros(1)
        inner = np.column_stack([np.zeros((count, 2)), z, np.full(count, radius)])
        # the rim, where nothing rounds the end: links are cylinders that end in spheres, so that few spheres do
        ring = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        rim = min(_SMALL, radius, length / 2)
        circle = (radius - rim) * np.column_stack([np.cos(ring), np.sin(ring)])
        ends = [np.column_stack([circle, np.full(8, side * (length / 2 - rim))]) for side in (-1, 1)]
        return np.concatenate([inner, np.column_stack([np.concatenate(ends), np.full(16, rim)])])
    thin = min(size) / 2
    inner = _grid(thin, np.array(size))
    small = min(_SMALL, thin)
    shell = solids.surface_points("box", tuple(max(s - 2 * small, 0.0) for s in size), _SPACING)
    return np.concatenate(
        [np.column_stack([inner, np.full(len(inner), thin)]), np.column_stack([shell, np.full(len(shell), small)])]
    )


def _grid(radius: float, extent: np.ndarray, least_step: float = _LEAST_STEP) -> np.ndarray:
    """Centres (m, 3) whose spheres reach to the faces of a box of this extent."""
    axes = []
    for length in extent:
        half = max(length / 2 - radius, 0.0)
        number = 1 + math.ceil(2 * half / max(_OVERLAP * radius, least_step) - 1e-9)
        axes.append(np.linspace(-half, half, number) if number > 1 else np.zeros(1))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
