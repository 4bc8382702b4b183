"""Parametric things to put on a table: cans, boxes, bottles, balls and mugs made of MuJoCo primitives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from unihm.geometry.pose import yaw_pose
from unihm.registry import unknown_name


@dataclass(frozen=True, kw_only=True)
class Part:
    """One primitive in the thing's frame, axes parallel to it."""

    kind: str
    """``cylinder`` (about z), ``box`` or ``ellipsoid``."""
    size: tuple[float, float, float]
    """Half extents along x, y, z, m; of a cylinder x = y is the radius."""
    position: tuple[float, float, float]
    """Centre in the thing's frame, m."""
    color: tuple[float, float, float]
    """RGB, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing that stands on the table z = 0. Its frame has its origin at the middle of its foot and z up."""

    name: str
    """Unique in a scene."""
    kind: str
    """Key of `KINDS`."""
    size: tuple[float, float, float]
    """Width, depth and height of the body, m; round things use the width as their diameter."""
    color: tuple[float, float, float]
    """RGB of the body, 0 to 1."""
    position: tuple[float, float]
    """Where it stands, m in the world."""
    yaw: float = 0.0
    """Turn about the vertical, rad."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The primitives it consists of."""
        if self.kind not in KINDS:
            raise unknown_name("Kind of thing", self.kind, KINDS)
        return KINDS[self.kind](self.size, self.color)

    @property
    def T_world_thing(self) -> Float[np.ndarray, "4 4"]:
        """Pose in the world, m."""
        return yaw_pose(self.yaw, self.position)


def surface_points(thing: Thing, count: int, seed: int = 0) -> Float[np.ndarray, "count 3"]:
    """Points spread evenly over the outer surface, in the world, m; the truth that perception is measured against."""
    rng = np.random.default_rng(seed)
    parts = thing.parts
    drawn = []
    for part in parts:
        # Far more than needed: those inside another part and those over-dense on an ellipsoid are thrown away.
        points = _sample(part, max(64, int(4 * count * _area(part) / sum(map(_area, parts)))), rng)
        outside = np.ones(len(points), dtype=bool)
        for other in parts:
            if other is not part:
                outside &= ~_inside(other, points)
        drawn.append(points[outside])
    points = np.concatenate(drawn)
    points = points[rng.choice(len(points), count, replace=len(points) < count)]
    T = thing.T_world_thing
    return points @ T[:3, :3].T + T[:3, 3]


def _can(size, color) -> tuple[Part, ...]:
    w, _, h = size
    rim = Part(
        kind="cylinder", size=(0.47 * w, 0.47 * w, 0.002), position=(0.0, 0.0, h - 0.002), color=(0.75, 0.75, 0.75)
    )
    return Part(
        kind="cylinder", size=(w / 2, w / 2, h / 2 - 0.002), position=(0.0, 0.0, h / 2 - 0.002), color=color
    ), rim


def _box(size, color) -> tuple[Part, ...]:
    w, d, h = size
    return (Part(kind="box", size=(w / 2, d / 2, h / 2), position=(0.0, 0.0, h / 2), color=color),)


def _ball(size, color) -> tuple[Part, ...]:
    r = size[0] / 2
    return (Part(kind="ellipsoid", size=(r, r, r), position=(0.0, 0.0, r), color=color),)


def _bottle(size, color) -> tuple[Part, ...]:
    w, _, h = size
    r, cap = w / 2, tuple(0.55 * np.array(color) + [0.35, 0.0, 0.0])
    return (
        Part(kind="cylinder", size=(r, r, 0.34 * h), position=(0.0, 0.0, 0.34 * h), color=color),
        Part(kind="ellipsoid", size=(r, r, 0.17 * h), position=(0.0, 0.0, 0.68 * h), color=color),
        Part(kind="cylinder", size=(0.36 * r, 0.36 * r, 0.1 * h), position=(0.0, 0.0, 0.84 * h), color=color),
        Part(kind="cylinder", size=(0.44 * r, 0.44 * r, 0.055 * h), position=(0.0, 0.0, 0.945 * h), color=cap),
    )


def _mug(size, color) -> tuple[Part, ...]:
    w, _, h = size
    r, bar = w / 2, 0.08 * w
    inside = tuple(0.35 * np.array(color))
    return (
        Part(kind="cylinder", size=(r, r, h / 2), position=(0.0, 0.0, h / 2), color=color),
        Part(kind="cylinder", size=(0.88 * r, 0.88 * r, 0.001), position=(0.0, 0.0, h), color=inside),
        Part(kind="box", size=(0.25 * r, bar, bar), position=(1.2 * r, 0.0, 0.8 * h), color=color),
        Part(kind="box", size=(0.25 * r, bar, bar), position=(1.2 * r, 0.0, 0.32 * h), color=color),
        Part(kind="box", size=(bar, bar, 0.24 * h + bar), position=(1.45 * r, 0.0, 0.56 * h), color=color),
    )


KINDS: dict[str, Callable[[tuple[float, float, float], tuple[float, float, float]], tuple[Part, ...]]] = {
    "can": _can,
    "box": _box,
    "ball": _ball,
    "bottle": _bottle,
    "mug": _mug,
}
"""Kind of thing -> (size, colour) -> parts. A mug is full to the brim: primitives cannot be hollow."""


def _area(part: Part) -> float:
    """Surface of the primitive, m^2; of an ellipsoid approximately."""
    a, b, c = part.size
    if part.kind == "box":
        return 8 * (a * b + b * c + a * c)
    if part.kind == "cylinder":
        return 2 * np.pi * a * (a + 2 * c)
    return 4 * np.pi * (((a * b) ** 1.6 + (a * c) ** 1.6 + (b * c) ** 1.6) / 3) ** (1 / 1.6)


def _sample(part: Part, count: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Uniform points on a primitive's surface, in the thing's frame."""
    half = np.array(part.size)
    if part.kind == "box":
        areas = np.array([half[1] * half[2], half[0] * half[2], half[0] * half[1]])
        points = rng.uniform(-1, 1, (count, 3))
        points[np.arange(count), rng.choice(3, count, p=areas / areas.sum())] = rng.choice([-1.0, 1.0], count)
    elif part.kind == "cylinder":
        angle, points = rng.uniform(0, 2 * np.pi, count), np.empty((count, 3))
        side = rng.random(count) < 2 * half[2] / (2 * half[2] + half[0])
        radius = np.where(side, 1.0, np.sqrt(rng.random(count)))
        points[:, 0], points[:, 1] = radius * np.cos(angle), radius * np.sin(angle)
        points[:, 2] = np.where(side, rng.uniform(-1, 1, count), rng.choice([-1.0, 1.0], count))
    else:
        points = rng.normal(size=(count, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        # A sphere's points stretch with the area they stand for; rejection makes them even again.
        stretch = half.prod() * np.linalg.norm(points / half, axis=1)
        points = points[rng.random(count) < stretch / stretch.max()]
    return points * half + part.position


def _inside(part: Part, points: np.ndarray) -> Bool[np.ndarray, " n"]:
    scaled = (points - part.position) / part.size
    if part.kind == "box":
        return np.all(np.abs(scaled) < 1, axis=1)
    if part.kind == "cylinder":
        return np.logical_and(np.hypot(scaled[:, 0], scaled[:, 1]) < 1, np.abs(scaled[:, 2]) < 1)
    return np.less(np.square(scaled).sum(axis=1), 1)
