"""Chests of drawers, cabinets and boxes with a lid: sizes, colours, handles, how far each part is open, and its words.

A piece with several parts that move is several fixtures of the simulation in one place, of which the first has the
frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from unihm.scenes.appearance import COLOUR_NAMES, colour_words, draw_colour
from unihm.scenes.layout import Polygon, footprint
from unihm.scenes.records import Thing
from unihm.schema.joint import Joint
from unihm.simulation.fixture import Board, Design, Fixture, handle_bars
from unihm.simulation.fixtures import Door, Drawer, Lid

_GAP = 0.003  # m between fronts
_BODIES = ("light brown", "brown", "dark brown", "white", "light grey", "grey", "black")
_SAME_COLOUR, _ALL_ALIKE = 0.4, 0.7  # shares: of fronts in the frame's colour, of pieces whose fronts are alike
_METALS = ("grey", "light grey", "dark grey", "black", "white", "light brown")
_SHUT, _OPEN = 0.5, 0.15  # shares of parts that are shut and nearly open
_GRIDS = ((1, 1), (2, 1), (2, 1), (3, 1), (1, 2))  # rows and columns of drawers
_ROWS = {1: ((),), 2: (("top", "upper"), ("bottom", "lower")), 3: (("top", "upper"), ("middle",), ("bottom", "lower"))}
_SIDES = (("left", "left-hand"), ("right", "right-hand"))
_STEP = 0.01  # m between points on boards
_SWEPT = 7  # positions of a joint whose footprints stay free

WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "drawer": (("drawer", "sliding drawer"), ("pull-out tray", "sliding compartment"), ("compartment",)),
    "door": (("door", "cabinet door", "cupboard door"), ("hatch", "hinged front"), ("panel",)),
    "lid": (("lid", "box lid", "top of the box"), ("hinged cover", "flap"), ("cover",)),
}
"""Kind of part -> its nouns, those that never occur in training, and nouns of other kinds, too."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChestDrawer(Drawer):
    """One of the drawers of a chest."""

    grid: tuple[int, int] = (1, 1)
    """Rows and columns of drawers."""
    slot: tuple[int, int] = (0, 0)
    """Row from the top, and column from the left of who looks at the front."""
    alone: bool = False
    """Whether no other part of its chest is in the world: it then has the chest, and the other fronts stand still."""

    @property
    def design(self) -> Design:
        """What it consists of; the first one has the chest."""
        (d, w, h), t = self.size, self.board
        x, y = d / 2, w / 2
        left, right, low, high = self._front(self.slot)
        side = low + 0.75 * (high - low)
        shell = (
            Board(low=(-x, -y, 0.0), high=(x, -y + t, h)),
            Board(low=(-x, y - t, 0.0), high=(x, y, h)),
            Board(low=(-x, -y, h - t), high=(x, y, h)),
            Board(low=(-x, -y, 0.0), high=(-x + t, y, h)),
            Board(low=(-x, -y, 0.0), high=(x, y, t)),
        )
        slots = [(row, column) for row in range(self.grid[0]) for column in range(self.grid[1])]
        others = [self._front(slot) for slot in slots if slot != self.slot]
        fronts = (Board(low=(x - t, left, low), high=(x, right, high)) for left, right, low, high in others)
        return replace(
            super().design,
            frame=(*shell, *fronts) if self.alone else shell if self.slot == (0, 0) else (),
            panels=(
                Board(low=(x - t, left, low), high=(x, right, high)),
                Board(low=(-x + 2 * t, left, low), high=(x, right, low + t)),
                Board(low=(-x + 2 * t, left, low), high=(x, left + t, side)),
                Board(low=(-x + 2 * t, right - t, low), high=(x, right, side)),
                Board(low=(-x + 2 * t, left, low), high=(-x + 3 * t, right, side)),
            ),
            handle=(x, (left + right) / 2, (low + high) / 2),
        )

    def _front(self, slot: tuple[int, int]) -> tuple[float, float, float, float]:
        """Left, right, lower and upper edge of the front in a slot, m."""
        (_, w, h), t, (rows, columns), (row, column) = self.size, self.board, self.grid, slot
        high = h - t - row * (h - 2 * t) / rows - _GAP
        left = -w / 2 + t + column * (w - 2 * t) / columns + _GAP
        return left, left + (w - 2 * t) / columns - 2 * _GAP, high - (h - 2 * t) / rows + _GAP, high


@dataclass(frozen=True, kw_only=True, eq=False)
class CabinetDoor(Door):
    """One of two doors of a cabinet: the right one hangs on the right, the left one, which has the cabinet, left."""

    @property
    def design(self) -> Design:
        """What it consists of."""
        whole = super().design
        x, y, h = self.size[0] / 2, self.size[1] / 2, self.size[2]
        low, high = (_GAP / 2, y) if self.hinge_on_right else (-y, -_GAP / 2)
        at = low + 0.04 if self.hinge_on_right else high - 0.04
        return replace(
            whole,
            frame=() if self.hinge_on_right else whole.frame,
            panels=(Board(low=(x - self.board, low, _GAP), high=(x, high, h)),),
            handle=(x, at, h / 2),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Furniture:
    """A chest, a cabinet or a box."""

    parts: tuple[Fixture, ...]
    """One for each part that moves, all at one place."""
    colours: tuple[str, ...]
    """Of these parts, each one of `appearance.COLOUR_NAMES`."""
    places: tuple[tuple[str, ...], ...]
    """Where each is among the others, as words; nothing where it is the only one."""

    def standing_at(self, T_world_fixture: Float[np.ndarray, "4 4"]) -> Furniture:
        """The same somewhere else."""
        return replace(self, parts=tuple(replace(part, T_world_fixture=T_world_fixture) for part in self.parts))

    @property
    def outline(self) -> Polygon:
        """Footprint of the frame."""
        corners = np.concatenate([_corners(part.design.frame) for part in self.parts if part.design.frame])
        return footprint(_transformed(self.parts[0].T_world_fixture, corners))

    @property
    def swept(self) -> tuple[Polygon, ...]:
        """Footprint of each part in all its positions."""
        return tuple(_swept(part) for part in self.parts)

    @property
    def surface_world(self) -> Float[np.ndarray, "n 3"]:
        """Points all over its boards as they stand, those of the parts that move as well, m."""
        points = []
        for part in self.parts:
            moved = part.T_world_handle @ np.linalg.inv(part.handle_at(np.array(0.0))) @ part.T_world_fixture
            for T, boards in ((part.T_world_fixture, part.design.frame), (moved, part.design.panels)):
                points += [_transformed(T, _covered(board)) for board in boards]
        return np.concatenate(points)


def _covered(board: Board) -> Float[np.ndarray, "n 3"]:
    """Points on all faces of a board, closer than `_STEP`."""
    low, high = np.array(board.low), np.array(board.high)
    steps = [np.linspace(a, b, int(np.ceil((b - a) / _STEP)) + 1) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[((grid == low) | (grid == high)).any(axis=1)]


def draw_furniture(rng: np.random.Generator, kind: str | None = None, *, held_out: bool = False) -> Furniture:
    """A piece of furniture for a table, its front along x, at the origin.

    Args:
        rng: Draws it.
        kind: chest, cabinet or lid; any by default.
        held_out: With sizes and a handle beyond what training has drawn.
    """
    frame = draw_colour(rng, body := str(rng.choice(_BODIES)))
    metal = draw_colour(rng, str(rng.choice(_METALS)))
    common = str(rng.choice(COLOUR_NAMES))
    alike, same = rng.random() < _ALL_ALIKE, rng.random() < _SAME_COLOUR
    kind = kind or str(rng.choice(("chest", "chest", "cabinet", "lid")))
    drawn = _Beyond(rng.bit_generator) if held_out else rng
    parts, places = {"chest": _chest, "cabinet": _cabinet, "lid": _box}[kind](drawn)
    painted, colours = [], []
    for index, part in enumerate(parts):
        colour = body if same else common if alike else str(rng.choice(COLOUR_NAMES))
        panel = frame if same else draw_colour(rng, colour)
        painted.append(
            replace(
                part,
                name=f"fixture{index}",
                position0=_position(part.upper, rng),
                colors=tuple(tuple((rgb / 255.0).tolist()) for rgb in (frame, panel, metal)),
            )
        )
        colours.append(colour)
    return Furniture(parts=tuple(painted), colours=tuple(colours), places=places)


class _Beyond(np.random.Generator):
    """Draws sizes just above their ranges, and all else as it is drawn for training."""

    def uniform(self, low=0.0, high=1.0, size=None):
        """Up to a third of the range above it."""
        return super().uniform(high, np.add(high, np.subtract(high, low) / 3), size)


def part_thing(furniture: Furniture, index: int, count: int, rng: np.random.Generator) -> Thing:
    """What is known about one of the parts that move.

    Args:
        furniture: Where it stands.
        index: Of the part.
        count: Points on its handle.
        rng: Draws these.
    """
    part = furniture.parts[index]
    names, held_out_names, class_words = WORDS[part.kind]
    surface, normals = handle_surface(part, count, rng)
    colours = colour_words(furniture.colours[index])
    return Thing(
        family=part.kind,
        held_out=False,
        names=names,
        held_out_names=held_out_names,
        class_words=class_words,
        attributes={"colour": colours, "pattern": (), "size": (), "shape": (), "place": furniture.places[index]},
        T_world_object=part.T_world_handle,
        dimensions_m=tuple(np.ptp(surface, axis=0).tolist()),
        mass_kg=part.design.mass,
        surface_object=surface,
        normals_object=normals,
        joint=joint_of(part),
        fixture=0,
    )


def joint_of(part: Fixture) -> Joint:
    """The joint of a part where it stands."""
    design, T = part.design, part.T_world_fixture
    shut = part.handle_at(np.array(0.0))[:3, 3]
    return Joint(
        kind="slide" if design.slides else "hinge",
        axis_world=T[:3, :3] @ np.array(design.axis),
        origin_world=shut if design.slides else _transformed(T, np.array(design.anchor)),
        position=part.position0,
        upper=part.upper,
    )


def handle_surface(
    part: Fixture, count: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """Points on a part's handle and their normals, in the handle's frame; none inside its bars or behind the panel."""
    T = np.linalg.inv(part.T_world_fixture) @ part.handle_at(np.array(0.0))
    bars = [(_into(T, start), _into(T, end), radius) for start, end, radius in handle_bars(part)]
    area = np.array([2 * np.pi * r * (np.linalg.norm(b - a) + 2 * r) for a, b, r in bars])
    points, normals = np.empty((0, 3)), np.empty((0, 3))
    while len(points) < count:
        which = rng.choice(len(bars), 2 * count, p=area / area.sum())
        drawn = [_on_capsule(*bar, int((which == k).sum()), rng) for k, bar in enumerate(bars)]
        p, n = (np.concatenate(rows) for rows in zip(*drawn, strict=True))
        owner = np.sort(which)
        outside = p[:, 0] > -part.handle_distance
        for k, (a, b, r) in enumerate(bars):
            outside &= (owner == k) | (_from_segment(p, a, b) >= r)
        points, normals = np.concatenate([points, p[outside]]), np.concatenate([normals, n[outside]])
    chosen = rng.permutation(len(points))[:count]
    return points[chosen], normals[chosen]


def _chest(rng: np.random.Generator):
    rows, columns = grid = _GRIDS[rng.integers(len(_GRIDS))]
    depth = rng.uniform(0.18, 0.3)
    size = depth, rng.uniform(0.18, 0.3) * (1.3 if columns == 2 else 1.0), rows * rng.uniform(0.075, 0.11) + 0.025
    narrow = size[1] / columns
    options = _handle(rng, 0.6 * narrow)
    board, travel = rng.uniform(0.008, 0.014), depth * rng.uniform(0.5, 0.75)
    slots = [(row, column) for row in range(rows) for column in range(columns)]
    parts = [ChestDrawer(size=size, board=board, travel=travel, grid=grid, slot=slot, **options) for slot in slots]
    return parts, tuple(_SIDES[column] if columns == 2 else _ROWS[rows][row] for row, column in slots)


def _cabinet(rng: np.random.Generator):
    size, board = (rng.uniform(0.14, 0.24), rng.uniform(0.18, 0.3), rng.uniform(0.2, 0.36)), rng.uniform(0.008, 0.014)
    options = {"size": size, "board": board, "travel": np.radians(rng.uniform(95, 115)), **_handle(rng, 0.4 * size[2])}
    if rng.random() < 0.35:
        pair = [CabinetDoor(hinge_on_right=right, **options) for right in (False, True)]
        return pair, _SIDES
    return [Door(hinge_on_right=bool(rng.random() < 0.5), **options)], ((),)


def _box(rng: np.random.Generator):
    size, board = rng.uniform([0.14, 0.16, 0.06], [0.24, 0.3, 0.16]), rng.uniform(0.006, 0.012)
    options = {"travel": np.radians(rng.uniform(95, 115)), **_handle(rng, 0.5 * size[1])}
    return [Lid(size=tuple(size.tolist()), board=board, **options)], ((),)


def _handle(rng: np.random.Generator, longest: float) -> dict:
    """A bar or a knob."""
    if rng.random() < 0.3:
        return {"knob": True, "handle_length": rng.uniform(0.024, 0.036), "handle_distance": rng.uniform(0.025, 0.035)}
    return {
        "handle_length": min(rng.uniform(0.06, 0.14), longest),
        "handle_radius": rng.uniform(0.004, 0.007),
        "handle_distance": rng.uniform(0.03, 0.045),
    }


def _position(upper: float, rng: np.random.Generator) -> float:
    kind = rng.random()
    low, high = (0.0, 0.0) if kind < _SHUT else (0.75, 0.9) if kind < _SHUT + _OPEN else (0.05, 0.75)
    return upper * rng.uniform(low, high)


def _swept(part: Fixture) -> Polygon:
    corners, shut = _corners(part.design.panels), part.handle_at(np.array(0.0))
    handle = np.concatenate([[start, end] for start, end, _ in handle_bars(part)])
    corners = _transformed(part.T_world_fixture, np.concatenate([corners, handle]))
    positions = part.handle_at(np.linspace(0, part.upper, _SWEPT)) @ np.linalg.inv(shut)
    return footprint(np.concatenate([_transformed(T, corners) for T in positions]))


def _corners(boards: tuple[Board, ...]) -> Float[np.ndarray, "n 3"]:
    return np.concatenate([np.array(np.meshgrid(*zip(b.low, b.high, strict=True))).reshape(3, -1).T for b in boards])


def _transformed(T: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return points @ T[:3, :3].T + T[:3, 3]


def _into(T: Float[np.ndarray, "4 4"], point: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    return (point - T[:3, 3]) @ T[:3, :3]


def _on_capsule(a: np.ndarray, b: np.ndarray, radius: float, count: int, rng: np.random.Generator):
    """Even points on a capsule, and their normals: a sphere's, whose halves are drawn apart by the length."""
    length = float(np.linalg.norm(b - a))
    axis = (b - a) / length
    along = rng.uniform(-radius, length + radius, count)  # area goes with the height, on spheres as on cylinders
    cap = along - along.clip(0, length)
    across = np.linalg.svd(axis[None])[2][1:]
    turn = rng.uniform(0, 2 * np.pi, count)
    ring = np.sqrt(np.maximum(radius**2 - cap**2, 0))[:, None] * (np.stack([np.cos(turn), np.sin(turn)], 1) @ across)
    offset = ring + cap[:, None] * axis
    return a + along.clip(0, length)[:, None] * axis + offset, offset / radius


def _from_segment(p: Float[np.ndarray, "n 3"], a: np.ndarray, b: np.ndarray) -> Float[np.ndarray, " n"]:
    share = ((p - a) @ (b - a) / ((b - a) @ (b - a))).clip(0, 1)[:, None]
    return np.linalg.norm(p - a - share * (b - a), axis=1)
