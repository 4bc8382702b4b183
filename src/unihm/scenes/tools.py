"""Tools, each as its parts, most of them lying along x.

Every function takes the size of the whole (`shapes.Size`) and a generator for what varies besides. Where a part is thin
the thing lies level all the same: a screwdriver's blade does not droop to the table.
"""

from __future__ import annotations

import numpy as np

from unihm.scenes.shapes import (
    Parts,
    Size,
    arc,
    cylinder,
    ellipsoid,
    finer,
    joined,
    laid,
    moved,
    prism,
    revolved,
    rounded_box,
    tube,
)


def hammer(size: Size, rng: np.random.Generator) -> Parts:
    """A claw hammer on its side: the head along y."""
    l, w, h = size
    face, head_x = h / 2, l - h / 2
    shaft = laid(revolved([(0, 0), (0.45 * h, 0.002), (0.4 * h, 0.12 * l), (0.48 * h, 0.3 * l), (0.32 * h, 0.5 * l),
                           (0.3 * h, head_x), (0, head_x)]))  # fmt: skip
    poll = moved(cylinder(face, 0.4 * w, 0.002), y=-0.1 * w, turn=("x", 90))
    neck = moved(ellipsoid((0.9 * h, 0.6 * w, 0.8 * h), 24, 12), y=-0.05 * w)
    claw = tube([(0, 0.05 * w, 0), (-0.01, 0.25 * w, 0), (-0.03, 0.48 * w, 0)], [0.4 * h, 0.25 * h, 0.06 * h],
                normal="z", thickness=1.2)  # fmt: skip
    return {"handle": shaft, "head": moved(joined(poll, neck, claw), x=head_x)}


def mallet(size: Size, rng: np.random.Generator) -> Parts:
    """A round head across a straight handle."""
    l, w, h = size
    head = moved(cylinder(h / 2, w, 0.003), y=w / 2, turn=("x", 90))
    shaft = laid(cylinder(h * rng.uniform(0.2, 0.26), l - 0.2 * h, 0.003))
    return {"handle": shaft, "head": moved(head, x=l - h / 2)}


def screwdriver(size: Size, rng: np.random.Generator) -> Parts:
    """A fluted handle and a thin blade."""
    l, w, _ = size
    r, grip = w / 2, l * rng.uniform(0.42, 0.5)
    profile = [
        (0, 0),
        (0.75 * r, 0.004),
        (r, 0.015),
        (r, 0.7 * grip),
        (0.65 * r, 0.8 * grip),
        (0.75 * r, grip),
        (0, grip),
    ]
    blade = cylinder(rng.uniform(0.0025, 0.0035), l - grip + 0.01, 0.0005, sides=16)
    return {
        "handle": laid(revolved(profile, lobes=6, depth=0.05, sides=48)),
        "shaft": moved(laid(blade), x=grip - 0.01),
    }


def wrench(size: Size, rng: np.random.Generator) -> Parts:
    """An adjustable spanner."""
    l, w, h = size
    bar = moved(rounded_box((0.82 * l, 0.4 * w, 0.7 * h), 0.35 * h, along=0), x=0.41 * l)
    outline = arc((0.78 * l, 0), (0.5 * w, 0.46 * w), 40, 320, steps=24)[:, [0, 2]]
    head = moved(prism(outline, h), z=-h / 2)
    jaws = [
        moved(rounded_box((0.2 * l, 0.24 * w, h), 0.1 * h, along=0), x=0.9 * l, y=0.36 * w, turn=("z", 8)),
        moved(rounded_box((0.15 * l, 0.22 * w, 0.9 * h), 0.1 * h, along=0), x=0.9 * l, y=-0.2 * w, turn=("z", 8)),
    ]
    return {"handle": joined(bar, head, *jaws)}


def pliers(size: Size, rng: np.random.Generator) -> Parts:
    """Two curved grips and a blunt nose."""
    l, w, h = size
    pivot = 0.66 * l
    x = np.linspace(0.01, pivot, 12)
    spread = 0.4 * w * rng.uniform(0.92, 1.0)
    y = spread * np.sin(np.pi * (0.18 + 0.82 * x / pivot)) ** 0.8 * (1 - 0.25 * x / pivot)
    grips = [
        tube(np.stack([x, s * (y + 0.003), 0 * x], axis=-1), 0.4 * h, normal="z", thickness=1.2, sides=16)
        for s in (1, -1)
    ]
    nose = tube([(pivot - 0.01, 0, 0), (0.8 * l, 0, 0), (l - 0.004, 0, 0)], [0.3 * w, 0.21 * w, 0.09 * w],
                normal="z", thickness=0.48 * h / (0.3 * w))  # fmt: skip
    rivet = moved(cylinder(0.17 * w, 0.95 * h, 0.001), x=pivot, z=-0.475 * h)
    return {"handle": joined(*grips), "head": joined(nose, rivet)}


def scissors(size: Size, rng: np.random.Generator) -> Parts:
    """Two loops, and two blades that cross."""
    l, w, h = size
    loop, cross = l * rng.uniform(0.32, 0.38), 0.52 * l
    loops, blades = [], []
    for s in (1, -1):
        ring = arc((loop / 2, 0), (loop / 2 - 0.28 * h, 0.25 * w - 0.28 * h), 0, 345, steps=23, plane=(0, 1))
        loops.append(moved(tube(ring, 0.28 * h, normal="z", thickness=1.5, closed=True, sides=14), y=s * 0.25 * w))
        neck = [(0.8 * loop, s * 0.2 * w, 0), (0.9 * loop + 0.01, s * 0.12 * w, 0), (cross, 0, 0)]
        loops.append(tube(neck, [0.35 * h, 0.4 * h, 0.45 * h], normal="z", thickness=0.8, sides=14))
        tip = -s * 0.03 * w
        outline = [
            (cross - 0.02, -0.07 * w),
            (l, tip),
            (l - 0.01, tip + 0.03 * w),
            (cross, 0.08 * w),
            (cross - 0.02, 0.07 * w),
        ]
        blades.append(moved(prism(outline, 0.28 * h), z=0.0 if s > 0 else -0.28 * h))
    screw = moved(cylinder(0.05 * w, 0.9 * h, 0.0005, sides=20), x=cross, z=-0.45 * h)
    return {"handle": joined(*loops), "blade": joined(*blades, screw)}


def spring_clamp(size: Size, rng: np.random.Generator) -> Parts:
    """Two levers that cross at a spring: grips at one end, jaws at the other."""
    l, w, h = size
    pivot = l * rng.uniform(0.5, 0.58)
    levers, pads = [], []
    for s in (1, -1):
        grip = arc((0.0, s * 0.12 * w), (pivot, s * 0.36 * w), 88, 8, steps=10, plane=(0, 1))
        jaw = [(pivot + 0.12 * l, s * 0.17 * w, 0), (pivot + 0.28 * l, s * 0.2 * w, 0), (0.94 * l, s * 0.06 * w, 0)]
        levers.append(
            tube([*grip, *jaw], [*np.full(10, 0.06 * w), 0.07 * w, 0.07 * w, 0.06 * w, 0.045 * w], normal="z",
                 thickness=0.45 * h / (0.07 * w), sides=16)
        )  # fmt: skip
        pads.append(moved(rounded_box((0.09 * l, 0.05 * w, 0.8 * h), 0.003, along=0), x=0.955 * l, y=s * 0.045 * w))
    spring = moved(cylinder(0.1 * w, 0.98 * h, 0.001), x=pivot, z=-0.49 * h)
    return {"body": joined(*levers), "pad": joined(*pads), "spring": spring}


def drill(size: Size, rng: np.random.Generator) -> Parts:
    """A cordless drill on its side: the motor along x, the grip along y."""
    l, w, h = size
    r, y = h / 2, w / 2 - h / 2
    motor = moved(
        laid(
            revolved(
                [(0, 0), (0.8 * r, 0.003), (r, 0.02), (r, 0.62 * l), (0.75 * r, 0.72 * l), (0, 0.72 * l)], steps=20
            )
        ),
        y=y,
    )
    grip_x = 0.24 * l
    grip = tube(
        [(grip_x + 0.02, y, 0), (grip_x, 0, 0), (grip_x - 0.005, -0.3 * w, 0)],
        0.34 * h,
        normal="z",
        thickness=0.9,
    )
    battery = moved(rounded_box((0.52 * l, 0.2 * w, 0.95 * h), 0.006, along=0), x=grip_x + 0.04 * l, y=-0.4 * w)
    trigger = moved(ellipsoid((0.02, 0.03, 0.014), 16, 8), x=grip_x + 0.02 + 0.3 * h, y=0.2 * w)
    chuck = laid(
        revolved(
            [(0, 0), (0.7 * r, 0), (0.62 * r, 0.16 * l), (0.3 * r, 0.2 * l), (0.1 * r, 0.29 * l), (0, 0.29 * l)],
            steps=8,
        )
    )
    return {"body": motor, "handle": grip, "battery": joined(battery, trigger), "chuck": moved(chuck, x=0.71 * l, y=y)}


def flashlight(size: Size, rng: np.random.Generator) -> Parts:
    """A torch: a barrel and a wider head with its lens."""
    l, w, _ = size
    r, barrel = w / 2, rng.uniform(0.68, 0.82)
    b, neck = barrel * w / 2, l * rng.uniform(0.66, 0.74)
    body = [
        (0, 0),
        (b - 0.002, 0),
        (b, 0.002),
        (b, neck),
        (r, neck + 0.08 * l),
        (r, l),
        (0.88 * r, l),
        (0.8 * r, l - 0.004),
        (0, l - 0.004),
    ]
    lens = cylinder(0.82 * r, 0.004, 0.0005)
    return {"body": laid(revolved(body)), "lens": moved(laid(lens), x=l - 0.0055)}


def brush(size: Size, rng: np.random.Generator) -> Parts:
    """A flat paint brush."""
    l, w, h = size
    grip, band = l * rng.uniform(0.58, 0.66), 0.16 * l
    x = [0.012, 0.15 * grip, 0.5 * grip, 0.8 * grip, grip]
    handle = tube(
        [(a, 0, 0) for a in x],
        [0.1 * w, 0.17 * w, 0.13 * w, 0.24 * w, 0.42 * w],
        normal="z",
        thickness=0.45 * h / (0.42 * w),
    )
    ferrule = moved(rounded_box((band, w, h), 0.001, along=0, corner=0.3 * h), x=grip + band / 2)
    hair = l - grip - band
    bristles = moved(rounded_box((hair + 0.004, 0.95 * w, 0.8 * h), 0.3 * h, along=0), x=l - hair / 2 - 0.002)
    return {"handle": handle, "ferrule": ferrule, "bristles": bristles}


def tape_measure(size: Size, rng: np.random.Generator) -> Parts:
    """A round-cornered case with a tongue at its foot."""
    l, w, h = size
    outline = finer(
        np.array(
            [
                (-0.5, 0),
                (0.5, 0),
                (0.5, 0.12),
                (0.42, 0.62),
                (0.2, 0.93),
                (-0.1, 1),
                (-0.38, 0.88),
                (-0.5, 0.5),
                (-0.5, 0),
            ]
        ),
        40,
    )[:-1]
    case = prism(outline * [0.92 * l, h], w)
    tongue = moved(rounded_box((0.08 * l + 0.004, 0.45 * w, 0.004), 0.001, along=0), x=0.5 * l, z=0.006)
    return {"body": moved(case, y=w / 2, turn=("x", 90)), "tongue": tongue}


def padlock(size: Size, rng: np.random.Generator) -> Parts:
    """A body, and a shackle along x; lying flat."""
    l, w, h = size
    body, bar = l * rng.uniform(0.52, 0.6), 0.07 * w
    reach = l - body - bar
    bow = arc((body + reach - 0.32 * w, 0), (0.32 * w, 0.32 * w), -90, 90, steps=16, plane=(0, 1))
    path = [(body - 0.004, bow[0, 1], 0), *bow, (body - 0.004, bow[-1, 1], 0)]
    return {
        "body": moved(rounded_box((body, w, h), 0.15 * h, along=0), x=body / 2),
        "shackle": tube(path, bar, normal="z", sides=16),
    }
