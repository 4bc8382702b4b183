"""Slim things for the kitchen, the bathroom and the desk, each as its parts, lying along x.

Every function takes the size of the whole (`shapes.Size`) and a generator for what varies besides.
"""

from __future__ import annotations

import numpy as np

from unihm.scenes.shapes import (
    Parts,
    Size,
    arc,
    cylinder,
    joined,
    laid,
    moved,
    prism,
    revolved,
    rounded_box,
    stretched,
    tube,
    walled,
)


def spoon(size: Size, rng: np.random.Generator, bowl: float = 0.3, wall: float = 0.0015) -> Parts:
    """A spoon that rests on its bowl; `bowl` is the bowl's share of the length."""
    l, w, h = size
    hollow = 0.5 * h
    side = arc((0.0, hollow), (0.5, hollow), -90, 0, steps=8)[:, [0, 2]]
    side[0, 0] = 0
    cup = stretched(revolved(walled(side, wall, steps=10), steps=24), (bowl * l, w, 1.0))
    # the walls were stretched with the rest: across they are as thick as the whole is wide
    stem = _stem((1 - 0.97 * bowl) * l, hollow - wall, h, 0.09 * w, 0.2 * w, 0.0018 + wall / 4)
    return {"body": joined(moved(cup, x=(1 - bowl / 2) * l), stem)}


def fork(size: Size, rng: np.random.Generator) -> Parts:
    """A fork with its tines upwards."""
    l, w, h = size
    palm, tines = 0.72 * l, rng.integers(3, 5)
    x = np.linspace(palm, l - 0.001, 9)
    bend = 0.45 * h * (1 - np.sin(np.pi * np.linspace(0.15, 0.85, 9)))
    r = 0.05 * w + 0.0004
    parts = [
        tube(np.stack([x + 0.006, np.full(9, y), bend], axis=-1), np.linspace(1.4 * r, 0.7 * r, 9), sides=10)
        for y in np.linspace(-0.5, 0.5, tines) * (w - 2.8 * r)
    ]
    plate = moved(
        rounded_box((0.12 * l, w, 0.003), 0.0012, along=2, corner=0.4 * w), x=palm - 0.02 * l, z=bend[0] - 0.001
    )
    return {"body": joined(*parts, plate, _stem(0.68 * l, bend[0], h, 0.13 * w, 0.3 * w, 0.0021))}


def table_knife(size: Size, rng: np.random.Generator) -> Parts:
    """A blade with a round tip, and a thicker handle."""
    l, w, h = size
    grip = l * rng.uniform(0.4, 0.48)
    tip = arc((l - 0.7 * w, -0.3 * w), (0.7 * w, 0.8 * w), 0, 90, steps=6)[:, [0, 2]]
    outline = [(grip - 0.01, -0.3 * w), (0.6 * l, -0.3 * w), *tip, (0.6 * l, 0.48 * w), (grip - 0.01, 0.3 * w)]
    blade = moved(prism(outline, 0.35 * h), z=-0.17 * h)
    return {"handle": moved(rounded_box((grip, 0.75 * w, h), 0.4 * h, along=0), x=grip / 2), "blade": blade}


def spatula(size: Size, rng: np.random.Generator) -> Parts:
    """A kitchen turner: a flat blade and a handle that rises behind it."""
    l, w, h = size
    blade = l * rng.uniform(0.26, 0.33)
    plate = moved(rounded_box((blade, w, 0.003), 0.0012, along=0, corner=0.0014), x=l - blade / 2, z=0.0015)
    neck = l - blade
    path = [
        (0.01, 0, h - 0.012),
        (0.4 * neck, 0, h - 0.014),
        (0.75 * neck, 0, 0.5 * h),
        (neck, 0, 0.006),
        (neck + 0.02, 0, 0.003),
    ]
    grip, stem = np.array(path[:2]), np.array(path[1:])
    return {
        "handle": tube([*grip[:1], grip.mean(axis=0), *grip[1:]], [0.008, 0.009, 0.007], thickness=1.5),
        "head": joined(plate, tube(stem, [0.004, 0.004, 0.003, 0.002], thickness=2.0)),
    }


def ladle(size: Size, rng: np.random.Generator) -> Parts:
    """A deep round bowl and a long handle that rises from its rim."""
    l, w, h = size
    deep = 0.55 * w if 0.55 * w < 0.85 * h else 0.85 * h
    side = arc((0.0, deep), (w / 2, deep), -90, 0, steps=10)[:, [0, 2]]
    side[0, 0] = 0
    cup = moved(revolved(walled(side, 0.002, steps=12), steps=20), x=l - w / 2)
    return {"body": joined(cup, _stem(l - w + 0.003, deep - 0.004, h, 0.005, 0.011, 0.003))}


def whisk(size: Size, rng: np.random.Generator) -> Parts:
    """A handle and loops of wire."""
    l, w, h = size
    grip = l * rng.uniform(0.4, 0.46)
    loop = (l - grip + 0.01) / 2
    wire = 0.0013
    wires = []
    for k in range(4):
        bow = arc((0.0, 0.0), (loop - wire, h / 2 - wire), 0, 348, steps=29)
        # drop-shaped: narrow towards the handle
        bow[:, 2] *= 0.55 + 0.45 * np.clip(bow[:, 0] / loop + 0.6, 0, 1)
        wires.append(moved(tube(bow, wire, closed=True, sides=8), x=grip - 0.01 + loop, turn=("x", 45 * k)))
    handle = laid(revolved([(0, 0), (0.14 * w, 0.002), (0.2 * w, 0.3 * grip), (0.15 * w, grip), (0, grip)], sides=24))
    return {"handle": handle, "head": joined(*wires)}


def rolling_pin(size: Size, rng: np.random.Generator) -> Parts:
    """A thick roller between two slim handles."""
    l, w, _ = size
    r, grip, k = w / 2, l * rng.uniform(0.18, 0.24), 0.22 * w
    end = [(0, 0), (0.8 * k, 0.001), (1.15 * k, 0.2 * grip), (k, grip)]
    profile = [*end, (r - 0.003, grip), (r, grip + 0.003)]
    return {"body": laid(revolved([*profile, *((x, l - z) for x, z in reversed(profile))], steps=44))}


def toothbrush(size: Size, rng: np.random.Generator) -> Parts:
    """A slim handle, and bristles upwards at its end."""
    l, w, h = size
    x = np.linspace(0.006, l - 0.006, 12)
    slim = 0.5 * w * np.interp(x / l, [0, 0.3, 0.6, 0.78, 0.86, 1], [0.75, 1, 0.8, 0.45, 0.8, 0.8])
    handle = tube(np.stack([x, 0 * x, 0 * x], axis=-1), slim, normal="z", thickness=0.5)
    bristles = moved(rounded_box((0.14 * l, 0.7 * w, 0.75 * h), 0.001), x=0.91 * l, z=0.37 * h)
    return {"handle": handle, "bristles": bristles}


def marker(size: Size, rng: np.random.Generator) -> Parts:
    """A thick pen with its cap on."""
    l, w, _ = size
    r, cap = w / 2, l * rng.uniform(0.28, 0.36)
    return {
        "body": laid(cylinder(0.93 * r, l - cap + 0.002, 0.001, steps=22)),
        "cap": moved(laid(revolved([(0, 0), (r, 0), (r, 0.85 * cap), (0.75 * r, cap), (0, cap)])), x=l - cap),
    }


def pencil(size: Size, rng: np.random.Generator) -> Parts:
    """Six sides, a sharpened end."""
    l, w, _ = size
    r, tip = w / np.sqrt(3), 0.02
    body = revolved([(0, 0), (r, 0), (r, l - tip), (0, l - tip)], sides=6)
    cone = [(0.96 * r, -0.001), (0.18 * r, 0.85 * tip), (0, 0.85 * tip)]
    lead = [(0.2 * r, 0.8 * tip), (0.03 * r, tip), (0, tip)]
    turned = {"body": body, "wood": moved(revolved([(0, -0.001), *cone], sides=6), z=l - tip)}
    turned["lead"] = moved(revolved([(0, 0.8 * tip), *lead], sides=12), z=l - tip)
    return {name: laid(moved(mesh, turn=("z", 30))) for name, mesh in turned.items()}


def pen(size: Size, rng: np.random.Generator) -> Parts:
    """A ball-point pen: barrel, tip and push button."""
    l, w, _ = size
    r = w / 2
    barrel = revolved(
        [(0, 0.05 * l), (0.9 * r, 0.05 * l), (r, 0.4 * l), (r, 0.88 * l), (0.7 * r, 0.9 * l), (0, 0.9 * l)], sides=24
    )
    tip = revolved([(0, 0.89 * l), (0.72 * r, 0.89 * l), (0.15 * r, l), (0, l)], sides=24)
    button = cylinder(0.5 * r, 0.06 * l, 0.0005, sides=20)
    return {"body": laid(barrel), "tip": joined(laid(tip), laid(button))}


def _stem(length: float, low: float, high: float, neck: float, end: float, half: float):
    """A flat handle that begins at x = 0 and height `high`, and sinks to `low`; half widths `end`, `neck`, m."""
    share = np.linspace(0, 1, 12)
    x = end + (length - end) * share
    z = low + (high - low - 2 * half) * (1 - share**1.5) + half
    width = np.interp(share, [0, 0.15, 0.6, 1], [0.9 * end, end, neck, neck])
    # swept in the xz plane with the section's height as radius; the width follows from a stretch per ring
    mesh = tube(np.stack([x, 0 * x, z], axis=-1), half)
    vertices = np.array(mesh.vertices)
    vertices[:, 1] *= np.interp(vertices[:, 0], x, width) / half
    return type(mesh)(vertices, mesh.faces, process=False)
