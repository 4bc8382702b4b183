"""Where things are and how large, as who looks through the camera would say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from unihm.planning.wording import direction_vector
from unihm.scenes.records import Thing

NO, MAYBE, YES = 0, 1, 2
"""Whether words fit a thing; MAYBE is where people would not agree. The smaller of two is "and"."""

CLEARLY = 1.2  # one size over the next, or nobody calls it the largest
SMALL = 1.4  # of two things of one kind, to call one small and the other big
_LEFT, _LEFT_SEEN = 0.03, 0.03  # m on the table and as a share of the distance in the image, to call one the leftmost
_NEAR = 0.04  # m, to call one the nearest
_BESIDE, _APART = 0.06, 0.15  # m between surfaces: next to each other; not next to each other
_FAR_FROM = 0.4  # m between centres; what is farther away is not "left of" it
_POINTS = 200  # of a cloud, for distances between things
_LYING = 0.8  # height over the longest edge; what is higher does not lie


class Seen:
    """Measures of all things in view, one row a thing.

    Args:
        things: What is in view.
        T_world_camera: Pose of the camera.
    """

    def __init__(self, things: Sequence[Thing], T_world_camera: Float[np.ndarray, "4 4"]):
        clouds = [thing.points_world for thing in things]
        axes = np.stack([direction_vector(name, T_world_camera) for name in ("right", "away", "up")])
        spans = [cloud @ axes.T for cloud in clouds]
        self.low = np.array([span.min(axis=0) for span in spans]).reshape(-1, 3)
        """Where each begins to the right, away and up, m."""
        self.high = np.array([span.max(axis=0) for span in spans]).reshape(-1, 3)
        """Where it ends."""
        self.centre = (self.low + self.high) / 2
        """The middle, m."""
        camera = (self.centre @ axes - T_world_camera[:3, 3]) @ T_world_camera[:3, :3]
        self.image_x = camera[:, 0] / camera[:, 2]
        """To the right in the image, as a share of the distance."""
        self.distance = np.linalg.norm(camera, axis=1)
        """From the camera, m."""
        edges = np.array([thing.dimensions_m for thing in things]).reshape(-1, 3)
        self.size = np.cbrt(edges.prod(axis=1))
        """Edge of a cube of the same volume as the box around it, m."""
        self.longest = edges.max(axis=1)
        """Longest edge of that box, m."""
        self.height = self.high[:, 2] - self.low[:, 2]
        """m."""
        self._clouds = [cloud[:: max(1, len(cloud) // _POINTS)] for cloud in clouds]

    def superlative(self, kind: str, among: Int[np.ndarray, " k"]) -> int | None:
        """The one of several things that is clearly the biggest, the leftmost, ...; None where none is.

        Args:
            kind: One of `SUPERLATIVES`.
            among: Indices, at least two.
        """
        return SUPERLATIVES[kind](self, among)

    def relation(self, kind: str) -> Int[np.ndarray, "n n"]:
        """NO, MAYBE or YES: whether the thing of a row is left of, behind, next to, ... the thing of a column."""
        n = len(self.centre)
        if kind == "next to":
            gap = np.array([[self._gap(i, j) for j in range(n)] for i in range(n)]).reshape(n, n)
            fits = np.where(gap < _BESIDE, YES, np.where(gap < _APART, MAYBE, NO))
        else:
            axis, sign = {"left of": (0, -1), "right of": (0, 1), "behind": (1, 1), "in front of": (1, -1)}[kind]
            way = sign * (self.centre[:, None] - self.centre[None])[..., axis]
            aside = np.abs((self.centre[:, None] - self.centre[None])[..., 1 - axis])
            ends = (self.low, self.high) if sign > 0 else (-self.high, -self.low)
            free = ends[0][:, None, axis] - ends[1][None, :, axis]  # between the footprints, below 0 where they overlap
            fits = np.where((free > 0) & (aside < way / 2) & (way < _FAR_FROM), YES, np.where(way > 0, MAYBE, NO))
        np.fill_diagonal(fits, NO)
        return fits

    def _gap(self, i: int, j: int) -> float:
        return float(KDTree(self._clouds[i]).query(self._clouds[j])[0].min())


def _first(values: np.ndarray, among: np.ndarray, margin: float) -> int | None:
    """The thing with the least value, if the next one is more than a margin behind."""
    order = among[np.argsort(values[among])]
    return int(order[0]) if values[order[1]] - values[order[0]] > margin else None


def _both(one: int | None, other: int | None) -> int | None:
    return one if one == other else None


def _leftmost(seen: Seen, among: np.ndarray, sign: float = 1.0) -> int | None:
    return _both(_first(sign * seen.centre[:, 0], among, _LEFT), _first(sign * seen.image_x, among, _LEFT_SEEN))


def _nearest(seen: Seen, among: np.ndarray, sign: float = 1.0) -> int | None:
    return _both(_first(sign * seen.centre[:, 1], among, _NEAR), _first(sign * seen.distance, among, _NEAR))


def _middle(seen: Seen, among: np.ndarray) -> int | None:
    """Of an odd number in a row, the one with as many on its left as on its right."""
    if len(among) % 2 == 0:
        return None
    order = among[np.argsort(seen.centre[among, 0])]
    k = len(order) // 2
    left, right = (
        min(np.diff(values)[k - 1 : k + 1] / margin)
        for values, margin in ((seen.centre[order, 0], _LEFT), (seen.image_x[order], _LEFT_SEEN))
    )
    return int(order[k]) if min(left, right) > 1 else None


def _sized(seen: Seen, among: np.ndarray, sign: float, clearly: float = CLEARLY) -> int | None:
    return _both(
        _first(-sign * np.log(seen.size), among, np.log(clearly)), _first(-sign * np.log(seen.longest), among, 0.0)
    )


def _longest(seen: Seen, among: np.ndarray) -> int | None:
    found = _first(-np.log(seen.longest), among, np.log(CLEARLY))
    return found if found is not None and seen.height[found] < _LYING * seen.longest[found] else None


SUPERLATIVES: dict[str, Callable[[Seen, np.ndarray], int | None]] = {
    "biggest": lambda seen, among: _sized(seen, among, 1.0),
    "smallest": lambda seen, among: _sized(seen, among, -1.0),
    "big": lambda seen, among: _sized(seen, among, 1.0, SMALL),
    "small": lambda seen, among: _sized(seen, among, -1.0, SMALL),
    "tallest": lambda seen, among: _first(-np.log(seen.height), among, np.log(CLEARLY)),
    "shortest": lambda seen, among: _both(
        _first(np.log(seen.height), among, np.log(CLEARLY)), _first(seen.longest, among, 0.0)
    ),
    "longest": _longest,
    "leftmost": _leftmost,
    "rightmost": lambda seen, among: _leftmost(seen, among, -1.0),
    "nearest": _nearest,
    "farthest": lambda seen, among: _nearest(seen, among, -1.0),
    "middle": _middle,
    "top": lambda seen, among: _first(-seen.centre[:, 2], among, _NEAR),
    "bottom": lambda seen, among: _first(seen.centre[:, 2], among, _NEAR),
}
"""Kind -> the one of several that is it, or None."""
