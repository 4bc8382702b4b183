"""Packages, stationery, toys and other compact things, each as its parts, at rest.

Every function takes the size of the whole (`shapes.Size`) and a generator for what varies besides.
"""

from __future__ import annotations

import numpy as np
import trimesh

from unihm.scenes.shapes import (
    Parts,
    Size,
    arc,
    cylinder,
    ellipsoid,
    joined,
    laid,
    loft,
    moved,
    revolved,
    rounded_box,
    stretched,
    tube,
)


def box(size: Size, rng: np.random.Generator, edge: float = 0.0015, lying: bool = False) -> Parts:
    """A box with slightly round edges of radius `edge`, m; `lying`: its patterns go along x."""
    return {"body": rounded_box(size, edge, along=0 if lying else 2, rings=26)}


def meat_can(size: Size, rng: np.random.Generator) -> Parts:
    """A can of rectangular section with round corners, and rims."""
    l, w, h = size
    corner = 0.35 * w
    rims = [moved(rounded_box((l, w, 0.003), 0.001, corner=corner), z=z) for z in (0.0015, h - 0.0015)]
    body = moved(rounded_box((l - 0.002, w - 0.002, h - 0.001), 0.001, corner=corner, rings=20), z=h / 2)
    return {"body": body, "rim": joined(*rims)}


def tissue_box(size: Size, rng: np.random.Generator) -> Parts:
    """A box with a tissue that looks out."""
    l, w, h = size
    high = h * rng.uniform(0.72, 0.8)
    tissue = revolved(
        [(0, -0.01), (0.1 * l, -0.01), (0.18 * l, h - high), (0, h - high - 0.01)], steps=8, lobes=5, depth=0.25
    )
    return {
        "body": moved(rounded_box((l, w, high), 0.0015, rings=24), z=high / 2),
        "tissue": moved(stretched(tissue, (1.0, 0.5, 1.0)), z=high),
    }


def book(size: Size, rng: np.random.Generator) -> Parts:
    """A closed book: two covers, a spine along x, and the pages between."""
    l, w, h = size
    cover = 0.0015 + 0.03 * h
    boards = [moved(rounded_box((l, w, cover), 0.0004, along=0, rings=6), z=z) for z in (cover / 2, h - cover / 2)]
    spine = moved(rounded_box((l, cover, h), 0.0004, along=0), y=-w / 2 + cover / 2, z=h / 2)
    pages = moved(rounded_box((l - 0.006, w - 0.005, h - 1.5 * cover), 0.0004, along=0), z=h / 2)
    return {"body": joined(*boards, spine), "pages": pages}


def slab(size: Size, rng: np.random.Generator, inset: str = "screen", share: float = 0.94) -> Parts:
    """A flat device with a screen or buttons on top.

    Args:
        size: Of the whole.
        rng: Varies the rounding.
        inset: What is on top, ``screen`` or ``buttons``.
        share: How much of the top a screen covers, along both sides.
    """
    l, w, h = size
    corner = w * rng.uniform(0.06, 0.14)
    if inset == "screen":
        top = moved(rounded_box((share * l, share * w, 0.001), 0.0003, corner=0.9 * corner), z=h - 0.0005)
        return {"body": moved(rounded_box((l, w, h - 0.0003), 0.35 * h, corner=corner), z=h / 2), "screen": top}
    keys = [
        moved(cylinder(0.09 * w, 0.006, 0.001, sides=12, steps=3), x=x, y=y, z=h - 0.006)
        for x in np.linspace(-0.3, 0.36, 6) * l
        for y in (-0.27 * w, 0.0, 0.27 * w)
    ]
    return {"body": moved(rounded_box((l, w, h - 0.002), 0.25 * h, along=0, corner=0.3 * h), z=h / 2 - 0.001),
            "buttons": joined(*keys)}  # fmt: skip


def mouse(size: Size, rng: np.random.Generator) -> Parts:
    """A computer mouse: a flat foot and an arched back, with a wheel."""
    l, w, h = size
    full = np.array(ellipsoid((1.0, 1.0, 2.0)).vertices)
    full[:, 2] = np.where(full[:, 2] > 0, full[:, 2] ** 1.0, full[:, 2] * 0.02)
    r = np.linalg.norm(full[:, :2], axis=1, keepdims=True)
    full[:, :2] *= np.where(r > 0, np.maximum(2 * r, 1e-9) ** -0.35, 1.0)  # fuller than an ellipse
    full[:, 2] *= 1 + 0.25 * full[:, 0]  # highest towards the palm
    body = trimesh.Trimesh(full * [l, w, h], ellipsoid((1.0, 1.0, 2.0)).faces, process=False)
    wheel = moved(cylinder(0.11 * l, 0.1 * w, 0.001, sides=24), x=-0.3 * l, y=0.05 * w, z=0.66 * h, turn=("x", 90))
    return {"body": body, "wheel": wheel}


def stapler(size: Size, rng: np.random.Generator) -> Parts:
    """A base, and an arm that rises from its hinge at the rear."""
    l, w, h = size
    base = moved(rounded_box((l, w, 0.18 * h), 0.003, along=0), z=0.09 * h)
    rise = np.degrees(np.arcsin(min(0.9, 0.3 * h / l)))
    arm = moved(rounded_box((0.96 * l, 0.75 * w, 0.42 * h), 0.2 * h, along=0), z=0.63 * h, turn=("y", -rise))
    hinge = moved(rounded_box((0.2 * l, 0.7 * w, 0.55 * h), 0.003, along=0), x=-0.38 * l, z=0.36 * h)
    rail = moved(rounded_box((0.85 * l, 0.4 * w, 0.12 * h), 0.002, along=0), x=0.02 * l, z=0.4 * h, turn=("y", -rise))
    return {"body": arm, "base": joined(base, hinge, rail)}


def tape_roll(size: Size, rng: np.random.Generator, hole: float = 0.7) -> Parts:
    """A ring with flat sides; `hole` is the radius of its hole as a share of its own."""
    r, h = size[0] / 2, size[2]
    core = r * (hole + rng.uniform(-0.04, 0.04))
    inner = core - 0.002
    tape = revolved([(core, 0), (r, 0), (r, h), (core, h)], closed=True)
    return {"body": tape, "core": revolved([(inner, 0), (core + 1e-4, 0), (core + 1e-4, h), (inner, h)], closed=True)}


def light_bulb(size: Size, rng: np.random.Generator) -> Parts:
    """A bulb on its side, with a screw base."""
    l, w, _ = size
    r, base = w / 2, 0.25 * l
    globe = arc((0.0, l - r), (r, r), -38, 90, steps=14)[:, [0, 2]]
    globe[-1, 0] = 0
    neck = [(0, base - 0.002), (0.42 * r, base - 0.002), (0.45 * r, base)]
    screw = revolved(
        [(0, 0), (0.15 * r, 0), (0.2 * r, 0.004), (0.42 * r, 0.007), (0.42 * r, base), (0, base)], steps=10
    )
    return {"body": laid(revolved([*neck, *globe], steps=18)), "base": laid(screw)}


def candle(size: Size, rng: np.random.Generator) -> Parts:
    """A pillar of wax with a wick."""
    r, h = size[0] / 2, size[2]
    return {
        "body": cylinder(r, h - 0.01, 0.003, steps=24),
        "wick": tube([(0, 0, h - 0.012), (0, 0, h - 0.001)], 0.001, sides=8),
    }


def paste_tube(size: Size, rng: np.random.Generator) -> Parts:
    """A tube of paste: flat at its end, round at its cap."""
    l, w, h = size
    cap, share = 0.12 * l, np.linspace(0, 1, 18)
    angle = 2 * np.pi * np.arange(36) / 36
    a, b = w / 2 * (1 - 0.25 * share), np.maximum(0.002, h / 2 * np.sin(share * np.pi / 2))
    x = np.broadcast_to(share[:, None] * (l - 1.15 * cap), (18, 36))
    body = loft(np.stack([x, a[:, None] * np.cos(angle), b[:, None] * np.sin(angle)], axis=-1))
    r = min(h / 2, 0.36 * w)
    neck = laid(revolved([(0, 0), (0.95 * r, 0), (0.5 * r, 0.2 * cap), (0, 0.2 * cap)]))
    lid = laid(cylinder(0.8 * r, cap, 0.001, lobes=16, depth=0.02))
    return {"body": joined(body, moved(neck, x=l - 1.16 * cap)), "cap": moved(lid, x=l - cap)}


def toy_car(size: Size, rng: np.random.Generator) -> Parts:
    """A body, a cabin and four wheels."""
    l, w, h = size
    wheel = 0.2 * h
    body = moved(rounded_box((l, 0.92 * w, 0.42 * h), 0.12 * h, along=0), z=0.4 * h)
    cabin = moved(
        rounded_box((0.5 * l, 0.8 * w, 0.5 * h), 0.2 * h, along=0), x=rng.uniform(-0.06, 0.02) * l, z=0.75 * h
    )
    tyre = cylinder(wheel, 0.16 * w, 0.001, sides=20, steps=4)
    wheels = [
        moved(tyre, x=x * l, y=y * w, z=wheel, turn=("x", 90)) for x in (-0.3, 0.3) for y in (-0.34, 0.5)
    ]  # an axle's end is at y, the tyre towards -y
    return {"body": body, "cabin": cabin, "wheels": joined(*wheels)}


def ball(size: Size, rng: np.random.Generator) -> Parts:
    """A ball."""
    return {"body": ellipsoid(size, steps=32)}
