"""Fruit, vegetables and eggs, each as its parts, at rest.

Every function takes the size of the whole (`shapes.Size`) and a generator for what varies besides.
"""

from __future__ import annotations

import numpy as np
import trimesh

from unihm.scenes.shapes import (
    Parts,
    Size,
    arc,
    ellipsoid,
    joined,
    laid,
    revolved,
    stretched,
    tube,
)


def lump(size: Size, rng: np.random.Generator, bumps: float = 0.08) -> Parts:
    """An uneven ellipsoid; its radius varies by about `bumps`."""
    mesh = ellipsoid((1.0, 1.0, 1.0), 36, 28)
    waves = rng.normal(size=(5, 3)) * 4
    shift = np.cos(mesh.vertices @ waves.T + rng.uniform(0, 2 * np.pi, 5)).mean(axis=1)
    return {"body": trimesh.Trimesh(mesh.vertices * (1 + bumps * shift[:, None]) * size, mesh.faces, process=False)}


def apple(size: Size, rng: np.random.Generator, dimple: float = 0.16, stem: float = 0.1, lobes: int = 0) -> Parts:
    """A round fruit with a dimple and a stem.

    Args:
        size: Of the whole, stem included.
        rng: Varies the proportions.
        dimple: Its depth, as a share of the height.
        stem: How far the stem stands out, as a share of the height.
        lobes: Bulges around, as of a pepper.
    """
    r, h = size[0] / 2, size[2] * (1 - stem)
    turn = np.linspace(-np.pi / 2, np.pi / 2, 25)
    x = np.cos(turn)
    z = (
        0.5
        + 0.5 * np.sin(turn)
        - np.sign(turn) * dimple * np.maximum(0, 1 - x / 0.55) ** 2 * np.where(turn > 0, 1, 0.6)
    )
    x = r * x * (1 + rng.uniform(0.02, 0.07) * np.sin(turn))
    x[[0, -1]] = 0
    profile = np.stack([x, h * z], axis=-1)
    foot = h * z[-1]
    stalk = tube([(0, 0, foot - 0.003), (0, 0, (foot + size[2]) / 2), (0.05 * r, 0, size[2] - 0.002)], 0.0025, sides=10)
    return {"body": revolved(profile, lobes=lobes, depth=0.07 if lobes else 0.0), "stem": stalk}


def pear(size: Size, rng: np.random.Generator) -> Parts:
    """A pear or, with its thick end down, an avocado: a belly and a narrower neck."""
    r, h = size[0] / 2, 0.92 * size[2]
    t = np.linspace(0, np.pi, 28)
    z = 0.5 - 0.5 * np.cos(t)
    slim = rng.uniform(0.42, 0.55)
    x = np.sin(t) ** 0.85 * np.interp(z, [0, 0.33, 0.75, 1], [1, 1, slim, slim + 0.1])
    x = np.convolve(np.pad(x, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    x[[0, -1]] = 0
    stalk = tube([(0, 0, h - 0.004), (0.002, 0, size[2] - 0.003)], 0.002, sides=10)
    return {"body": revolved(np.stack([r * x / x.max(), h * z], axis=-1)), "stem": stalk}


def egg(size: Size, rng: np.random.Generator, point: float = 0.14) -> Parts:
    """An egg or an avocado on its side; `point` says how much slimmer one half is."""
    t = np.linspace(0, np.pi, 30)
    x = np.sin(t) * (1 + point * np.cos(t))
    x[[0, -1]] = 0
    return {"body": stretched(laid(revolved(np.stack([x, -np.cos(t)], axis=-1))), _halves(size))}


def lemon(size: Size, rng: np.random.Generator) -> Parts:
    """An ellipsoid on its side with a nipple at each end."""
    t = np.linspace(0, np.pi, 34)
    z = -np.cos(t) * (1 + 0.1 * np.abs(np.cos(t)) ** 6)
    x = np.sin(t) * (1 - 0.12 * np.abs(np.cos(t)) ** 4)
    x[[0, -1]] = 0
    return {"body": stretched(laid(revolved(np.stack([x, z], axis=-1))), _halves(size))}


def banana(size: Size, rng: np.random.Generator) -> Parts:
    """A banana on its side: a bent tube with five blunt edges, a stalk and a dark tip."""
    l, w, h = size
    half = np.degrees(2 * np.arctan(2 * (w - h) / l)) + 4
    radius = l / 2 / np.sin(np.radians(half))
    path = arc((0, -radius), (radius, radius), 90 + half, 90 - half, steps=30, plane=(0, 1))
    share = np.linspace(0, 1, 31)
    thick = h / 2 * np.interp(share, [0, 0.1, 0.2, 0.5, 0.85, 0.95, 1], [0.3, 0.32, 0.72, 1, 0.85, 0.5, 0.28])
    body = tube(path, thick, normal="z", sides=20)
    tips = [
        tube(path[:2], 0.36 * h / 2, normal="z", sides=14),
        tube(path[-2:], 0.4 * h / 2, normal="z", sides=14),
    ]
    return {"body": body, "tip": joined(*tips)}


def root(size: Size, rng: np.random.Generator, taper: float = 0.25, top: str = "leaf") -> Parts:
    """A carrot, a cucumber or an aubergine, lying along x.

    Args:
        size: Of the whole.
        rng: Varies the bend.
        taper: Radius of the far end as a share of the thickest.
        top: Name of the part at its thick end.
    """
    l, w, h = size
    # the round ends stand out by their radius
    x = np.linspace(0.2 * h, l - 0.3 * taper * h, 26)
    share = np.linspace(0, 1, 26)
    bend = (w - h) * np.sin(np.pi * share) * rng.choice([-1.0, 1.0])
    thick = (
        h
        / 2
        * np.interp(share, [0, 0.04, 0.12, 0.35, 0.9, 1], [0.4, 0.75, 0.95, 1, 0.35 * (1 - taper) + taper, 0.6 * taper])
    )
    body = tube(np.stack([x, bend, 0 * x], axis=-1), thick, normal="z")
    stalk = tube([(0.08 * h, 0, 0), (0.25 * h, 0, 0)], 0.15 * h, normal="z", sides=12)
    return {"body": body, top: stalk}


def strawberry(size: Size, rng: np.random.Generator) -> Parts:
    """A cone with round edges on its side, its leaves at the thick end."""
    l, w, _ = size
    r = w / 2
    t = np.linspace(0, np.pi, 24)
    z = 0.5 - 0.5 * np.cos(t)
    x = np.sin(t) ** 0.8 * (1.15 - 0.75 * z)
    x[[0, -1]] = 0
    profile = np.stack([r * x / x.max(), l * z], axis=-1)
    leaves = revolved(
        [(0, -0.04 * l), (0.3 * r, -0.05 * l), (0.75 * r, 0.0), (0.3 * r, 0.03 * l), (0, 0.03 * l)],
        lobes=6,
        depth=0.3,
        steps=8,
    )
    return {"body": laid(revolved(profile)), "leaf": laid(leaves)}


def onion(size: Size, rng: np.random.Generator) -> Parts:
    """A flattened ball that runs out into a neck."""
    r, h = size[0] / 2, size[2]
    t = np.linspace(0, np.pi, 30)
    z = 0.5 - 0.5 * np.cos(t)
    x = np.sin(t) ** 0.9 * (1 - 0.2 * z)
    # the neck: from where the ball is as slim it goes straight up
    x, z = np.maximum(x, 0.13 * (z > 0.8)), z + 0.25 * np.clip((z - 0.85) / 0.15, 0, 1) ** 2
    x[[0, -1]] = 0
    return {"body": revolved(np.stack([r * x / x.max(), h * z / z[-1]], axis=-1))}


def _halves(size: Size) -> Size:
    return size[0] / 2, size[1] / 2, size[2] / 2
