"""Things that hold something: cans, bottles, cups, bowls, pots, jugs, each as its parts, standing.

Every function takes the size of the whole (`shapes.Size`) and a generator for what varies besides.
"""

from __future__ import annotations

import numpy as np

from unihm.scenes.shapes import (
    Parts,
    Size,
    arc,
    cylinder,
    ellipsoid,
    joined,
    loft,
    moved,
    revolved,
    rounded_rectangle,
    tube,
    walled,
)


def can(size: Size, rng: np.random.Generator) -> Parts:
    """A tin can: rims stand out at both ends, the lid is sunk in."""
    r, h = size[0] / 2, size[2]
    rim, lip = 0.0015, 0.003
    body = revolved([(0, 0), (r, 0), (r, lip), (r - rim, lip), (r - rim, h - lip), (0, h - lip)])
    return {"body": body, "rim": _hoop(r, 0.004, h, lip + 0.001)}


def drink_can(size: Size, rng: np.random.Generator) -> Parts:
    """A drinks can: narrower at foot and neck."""
    r, h = size[0] / 2, size[2]
    foot, neck = 0.76 * r, rng.uniform(0.79, 0.85) * r
    body = revolved(
        [(0, 0.004), (foot - 0.003, 0), (foot, 0), (r, 0.01), (r, h - 0.016), (neck, h - 0.003), (0, h - 0.003)]
    )
    return {"body": body, "rim": _hoop(neck + 0.0008, 0.003, h, 0.004)}


def lidded_can(size: Size, rng: np.random.Generator) -> Parts:
    """A can or jar whose lid is as wide as its body."""
    r, h = size[0] / 2, size[2]
    lid = h * rng.uniform(0.07, 0.13)
    return {"body": cylinder(r - 0.001, h - lid / 2, 0.002, steps=24), "lid": moved(cylinder(r, lid, 0.001), z=h - lid)}


def jar(size: Size, rng: np.random.Generator) -> Parts:
    """A glass with a rounded shoulder and a screw lid."""
    r, h = size[0] / 2, size[2]
    lid, neck = h * rng.uniform(0.13, 0.2), r * rng.uniform(0.8, 0.92)
    top = h - lid
    body = [(0, 0), (r - 0.004, 0), (r, 0.004), (r, 0.84 * top), (0.97 * r, 0.9 * top), (0.93 * neck, top)]
    return {
        "body": revolved([*body, (0.93 * neck, h - 0.003), (0, h - 0.003)]),
        "lid": moved(cylinder(neck, lid, 0.001, lobes=20, depth=0.01), z=top),
    }


def spray_can(size: Size, rng: np.random.Generator) -> Parts:
    """A can under pressure: a shoulder, and a cap over the nozzle."""
    r, h = size[0] / 2, size[2]
    cap, cap_r = h * rng.uniform(0.2, 0.28), r * rng.uniform(0.8, 0.95)
    top = h - cap
    body = revolved(
        [(0, 0), (r, 0), (r, top - 0.012), (0.97 * r, top - 0.006), (0.7 * r, top + 0.006), (0, top + 0.006)]
    )
    return {"body": body, "cap": moved(cylinder(cap_r, cap, 0.004), z=top)}


def bottle(size: Size, rng: np.random.Generator, shoulder: float = 0.68, neck: float = 0.38) -> Parts:
    """A round bottle.

    Args:
        size: Of the whole.
        rng: Varies the proportions.
        shoulder: Where the body ends, as a share of the height.
        neck: Radius of the neck, as a share of the body's.
    """
    r, h = size[0] / 2, size[2]
    low, n = h * (shoulder + rng.uniform(-0.03, 0.03)), neck * r
    high, cap = low + (0.9 - shoulder) * h * rng.uniform(0.6, 0.8), h * rng.uniform(0.06, 0.09)
    bend = low + (high - low) * np.linspace(0, 1, 7)
    curve = n + (r - n) * (0.5 + 0.5 * np.cos(np.linspace(0, np.pi, 7)))
    body = [(0, 0.003), (0.9 * r, 0), (r, 0.05 * r), *zip(curve, bend, strict=True), (n, h - 0.004), (0, h - 0.004)]
    return {"body": revolved(body, steps=30), "cap": moved(cylinder(1.12 * n, cap, 0.001), z=h - cap)}


def flat_bottle(size: Size, rng: np.random.Generator, neck: float = 0.35, nozzle: bool = False) -> Parts:
    """An oval bottle of soft plastic.

    Args:
        size: Of the whole.
        rng: Varies the proportions.
        neck: Radius of the cap, as a share of half the length.
        nozzle: The cap tapers, for sauce.
    """
    (l, w, h), n = size, neck * size[0] / 2
    low, cap = h * rng.uniform(0.58, 0.7), h * rng.uniform(0.11, 0.16)
    top = h - cap
    rise = np.linspace(0, 1, 8)
    z = np.concatenate([[0, 0.006], np.linspace(0.03 * h, low, 14), low + (top - low) * rise[1:]])
    shrink = np.sqrt(np.maximum(1 - rise[1:] ** 2 * 0.96, 0))
    inset = np.concatenate([[0.9, 0.98], np.ones(14), shrink])
    angle = 2 * np.pi * np.arange(40) / 40
    # a superellipse: flatter sides than an ellipse
    x, y = (np.sign(f(angle)) * np.abs(f(angle)) ** 0.8 for f in (np.cos, np.sin))
    a, b = np.maximum(inset * l / 2, 0.9 * n), np.maximum(inset * w / 2, 0.9 * min(n, w / 2))
    rings = np.stack([a[:, None] * x, b[:, None] * y, np.broadcast_to(z[:, None], (len(z), 40))], axis=-1)
    n = min(n, 0.95 * w / 2)
    tip = 0.35 if nozzle else 0.92
    lid = revolved([(0, top - 0.004), (n, top - 0.004), (n, top + 0.3 * cap), (tip * n, h), (0, h)])
    return {"body": loft(rings), "cap": lid}


def pump_bottle(size: Size, rng: np.random.Generator) -> Parts:
    """A bottle of liquid soap with a pump."""
    r, h = size[0] / 2, size[2]
    top = h * rng.uniform(0.66, 0.74)
    body = revolved(
        [(0, 0), (r - 0.003, 0), (r, 0.003), (r, 0.85 * top), (0.85 * r, 0.95 * top), (0.4 * r, top), (0, top)]
    )
    collar = moved(cylinder(0.42 * r, 0.1 * h, 0.001), z=top - 0.002)
    stem = moved(cylinder(0.12 * r, 0.93 * h - top, 0.0), z=top)
    head = tube([(-0.2 * r, 0, h - 0.008), (0.7 * r, 0, h - 0.008), (0.98 * r, 0, h - 0.014)], 0.008)
    return {"body": body, "cap": joined(collar, stem, head)}


def shaker(size: Size, rng: np.random.Generator) -> Parts:
    """A salt shaker: narrower upwards, with a domed metal top."""
    r, h = size[0] / 2, size[2]
    top, n = 0.72 * h, rng.uniform(0.68, 0.85) * r
    dome = arc((0.0, top), (n * 1.05, h - top), 0, 90, steps=8)[:, [0, 2]]
    dome[-1, 0] = 0
    return {
        "body": cylinder(r, top + 0.002, 0.002, steps=24)
        if rng.random() < 0.3
        else revolved([(0, 0), (r, 0), (n, top), (0, top)]),
        "cap": revolved([(0, top - 0.003), (n * 1.05, top - 0.003), *dome]),
    }


def carton(size: Size, rng: np.random.Generator) -> Parts:
    """A milk carton with a gable top."""
    l, w, h = size
    eave, ridge = h * rng.uniform(0.77, 0.82), h * 0.93
    levels = [*np.linspace(0, eave, 20), *np.linspace(eave, ridge, 5)[1:], h]
    rings = []
    for z in levels:
        share = 1 - np.clip((z - eave) / (ridge - eave), 0, 1)
        outline = rounded_rectangle(l, 0.004 + (w - 0.004) * share, 0.0015)
        rings.append(np.column_stack([outline, np.full(len(outline), z)]))
    return {"body": loft(np.stack(rings))}


def cup(size: Size, rng: np.random.Generator, wall: float = 0.0015, taper: float = 0.7) -> Parts:
    """A cup without a handle, open; `taper` is the foot's radius as a share of the rim's."""
    r, h = size[0] / 2, size[2]
    foot = r * np.clip(taper + rng.uniform(-0.06, 0.06), 0.5, 1.0)
    return {"body": revolved(walled([(0, 0), (foot, 0), (r, h)], wall), steps=30)}


def bowl(size: Size, rng: np.random.Generator, wall: float = 0.004) -> Parts:
    """A bowl with a flat foot."""
    r, h = size[0] / 2, size[2]
    foot = r * rng.uniform(0.35, 0.5)
    side = arc((foot, h), (r - foot, h), -90, 0, steps=9)[:, [0, 2]]
    return {"body": revolved(walled([(0, 0), *side], wall), steps=30)}


def plate(size: Size, rng: np.random.Generator) -> Parts:
    """A plate: a flat well and a rising border."""
    r, h = size[0] / 2, size[2]
    well = r * rng.uniform(0.58, 0.7)
    return {"body": revolved(walled([(0, 0), (well, 0), (well + 0.4 * h, 0.35 * h), (r, h)], 0.004), steps=30)}


def wine_glass(size: Size, rng: np.random.Generator) -> Parts:
    """A foot, a stem and a bowl that narrows to the rim."""
    r, h = size[0] / 2, size[2]
    start, belly, rim = h * rng.uniform(0.42, 0.48), 0.68 * h, r * rng.uniform(0.72, 0.85)
    wall = 0.002
    lower = arc((0.0, belly), (r, belly - start), -82, 0, steps=9)[:, [0, 2]]
    upper = [(r - (r - rim) * t**2, belly + (h - belly) * t) for t in np.linspace(0, 1, 7)[1:]]
    outside = [*lower, *upper]
    inside = [(x - wall, max(z, start + 2 * wall)) for x, z in reversed(outside) if x > 2 * wall]
    foot = [(0, 0), (0.8 * r, 0), (0.8 * r, 0.002), (0.1 * r, 0.03 * h), (0.08 * r, 0.9 * start)]
    # the stem meets the bowl where that is as wide
    outside = [point for point in outside if point[0] > 0.09 * r]
    return {"body": revolved([*foot, *outside, *inside, (0, start + 2 * wall)], steps=30)}


def mug(size: Size, rng: np.random.Generator, taper: float = 1.0) -> Parts:
    """A cup with a handle along x; the width is the cup's diameter."""
    l, w, h = size
    r, wall = w / 2, 0.004
    foot = taper * r * rng.uniform(0.9, 0.98)
    body = revolved(walled([(0, 0), (foot - 0.004, 0), (foot, 0.004), (r, h)], wall), steps=30)
    return {"body": body, "handle": _handle(r - 0.003, l - r, 0.52 * h, h * rng.uniform(0.27, 0.34), 0.0055)}


def jug(size: Size, rng: np.random.Generator) -> Parts:
    """A pitcher: a tall open vessel with a handle along x and a spout against it."""
    l, w, h = size
    r, wall = w / 2, 0.003
    rim = r * rng.uniform(0.85, 0.95)
    body = revolved(walled([(0, 0), (0.85 * r, 0), (r, 0.3 * h), (0.9 * rim, 0.8 * h), (rim, h)], wall), steps=30)
    lip = np.array(body.vertices)
    # the wall is drawn out to a spout near the rim
    pull = np.clip((lip[:, 2] / h - 0.75) / 0.25, 0, 1) * np.clip(-lip[:, 0] / rim, 0, 1) ** 6
    lip[:, 0] -= 0.25 * r * pull
    body = type(body)(lip, body.faces, process=False)
    return {"body": body, "handle": _handle(0.8 * r, l - 1.2 * r, 0.55 * h, 0.3 * h, 0.008)}


def teapot(size: Size, rng: np.random.Generator) -> Parts:
    """A round pot with a lid, a handle and a spout."""
    l, w, h = size
    r, top = w / 2, 0.82 * h
    side = arc((0.0, 0.5 * top), (r, 0.56 * top), -63, 63, steps=16)[:, [0, 2]]
    side[:, 1] -= side[0, 1]
    top = side[-1, 1]
    knob = moved(ellipsoid((0.2 * w, 0.2 * w, 0.14 * h), 20, 8), z=h - 0.07 * h)
    dome = revolved(
        [(0, top - 0.004), (0.43 * r, top - 0.004), (0.43 * r, top + 0.003), (0.2 * r, 0.91 * h), (0, 0.91 * h)],
        steps=8,
    )
    reach = l - w  # shared by the spout and the handle
    spout = tube(
        [(0.7 * r, 0, 0.3 * top), (r + 0.2 * reach, 0, 0.42 * top), (r + 0.35 * reach, 0, 0.75 * top),
         (r + 0.5 * reach, 0, 0.93 * top)],
        [0.24 * r, 0.19 * r, 0.13 * r, 0.11 * r],
    )  # fmt: skip
    handle = moved(_handle(0.9 * r, r + 0.45 * reach, 0.5 * top, 0.33 * top, 0.006), turn=("z", 180))
    return {
        "body": revolved([(0, 0), *side, (0, top)], steps=18),
        "lid": joined(dome, knob),
        "handle": handle,
        "spout": spout,
    }


def pan(size: Size, rng: np.random.Generator, flare: float = 0.82, rise: float = 0.0) -> Parts:
    """A pan or pot with a long handle along x.

    Args:
        size: Of the whole; the width is the rim's diameter.
        rng: Varies the proportions.
        flare: The foot's radius as a share of the rim's.
        rise: How far the handle climbs, as a share of the height.
    """
    l, w, h = size
    r, rim = w / 2, h * (1 - rise)
    body = revolved(walled([(0, 0), (flare * r - 0.006, 0), (flare * r, 0.004), (r, rim)], 0.003), steps=30)
    x = np.linspace(r - 0.002, l - r - 0.012, 10)
    z = 0.85 * rim + (h - 0.008 - 0.85 * rim) * np.linspace(0, 1, 10) ** 0.7
    path = np.stack([x, np.zeros(10), z], axis=-1)
    return {"body": body, "handle": tube(path, np.linspace(0.005, 0.008, 10), thickness=rng.uniform(1.4, 1.8))}


def vase(size: Size, rng: np.random.Generator) -> Parts:
    """A vase with a belly and a neck."""
    r, h = size[0] / 2, size[2]
    belly, neck = rng.uniform(0.35, 0.6), rng.uniform(0.45, 0.6)
    z = np.linspace(0, 1, 18)
    width = np.interp(z, [0, belly, 0.85, 1], [0.6, 1, neck, neck + 0.15])
    smooth = np.convolve(np.pad(width, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    outside = [(0, 0), *zip(r * smooth / smooth.max(), h * z, strict=True)]
    return {"body": revolved(walled(outside, 0.005, steps=16), steps=30)}


def flower_pot(size: Size, rng: np.random.Generator) -> Parts:
    """An open pot with a thick border."""
    r, h = size[0] / 2, size[2]
    foot, border = rng.uniform(0.62, 0.72) * r, 0.2 * h
    outside = [(0, 0), (foot, 0), (0.92 * r, h - border), (r, h - border), (r, h)]
    inside = [(r - 0.008, h), (foot - 0.006, 0.008), (0, 0.008)]
    return {"body": revolved([*outside, *inside], steps=30)}


def _handle(x: float, reach: float, z: float, half: float, radius: float):
    """A bow from (x, z - half) to (x, z + half), as far out as `reach`, m."""
    return tube(arc((x, z), (reach - x - radius, half), -90, 90), radius, thickness=1.5)


def _hoop(radius: float, width: float, top: float, height: float):
    """A rim: a ring of rectangular section below the height `top`, m."""
    low, inner = top - height, radius - width
    return revolved([(inner, low), (radius, low), (radius, top), (inner, top)], closed=True, steps=6)
