"""What is given, as blocks of numbers in which a smooth map can tell one motion from another.

The object's path says much about the grasp that made it: an object tilts about the hand that lifts it, and is carried
as wrists turn. So the path enters as positions and axes at moments of the lift, and, beside that, the initial palm as
seen from the object at these moments: how it would be held if the hand only moved along.

Letters: B batch, n points, K moments, s numbers in which an instruction is told (`asked.SIZE`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unihm.generation.asked import SLOTS, direction, place
from unihm.generation.conditions import Conditions, frame_at
from unihm.geometry.lie import inverse, so3_log

WITH_PATH = (
    "palm", "axes", "fingers", "box", "silhouette", "height", "side", "grip", "timing", "path", "turn",
    "palm_axes_seen", "palm_seen", "first_steps", "first_turns", "pivots", "rises",
)  # fmt: skip
"""Blocks that are used where the object's path is given."""
WITHOUT_PATH = (
    "palm", "axes", "fingers", "box", "silhouette", "height", "side", "grip", "length", "travel", "rise", "speed",
)  # fmt: skip
"""Blocks that are used where it is left out; the words then say where the object goes."""

_MOMENTS = torch.linspace(0, 2, 17)[1:]  # phase 0 is the identity by construction
_CARRY = torch.tensor([1.1, 1.25, 1.5, 1.75, 2.0])
_AFTER = torch.tensor([-4, 0, 2, 4, 6, 8, 12, 16, 20, 26, 32])  # frames from the lift on: how the object comes off
_CARRIED = torch.linspace(1, 2, 17)
_UP = 0.05  # m; what rises by more is being lifted
_WINDOWS = ((0, 7), (3, 13), (0, 17))  # of these moments
_STILL, _STEADY = 0.036, 0.064  # against paths without a turn, whose pivot is anywhere
_DIRECTIONS = 64


def sizes(names: Sequence[str], latent: int) -> Mapping[str, int]:
    """How many numbers each of these blocks has; `latent` is m, the number of latent fingers."""
    after, carry, moments = len(_AFTER), len(_CARRY), len(_MOMENTS)
    known = {
        "palm": 3, "axes": 9, "fingers": latent, "box": 6, "silhouette": _DIRECTIONS, "height": 2, "side": 3,
        "grip": len(SLOTS["grip"]), "timing": 3, "path": 3 * moments, "turn": 6 * moments, "palm_axes_seen": 9 * carry,
        "palm_seen": 3 * carry, "first_steps": 3 * after, "first_turns": 3 * after, "pivots": 6 * len(_WINDOWS),
        "rises": 2, "length": 1, "travel": 3,
        "rise": len(SLOTS["height"]), "speed": len(SLOTS["speed"]),
    }  # fmt: skip
    return {name: known[name] for name in names}


def blocks(c: Conditions, asked: Float[Tensor, "B s"]) -> Mapping[str, Float[Tensor, "B _"]]:
    """All blocks by name: m, rad, s, and columns of rotations.

    Args:
        c: What is given.
        asked: From `asked.InstructionReader`.
    """
    path = inverse(c.T_world_canonical[:, :1]) @ c.T_world_canonical
    knots = _poses(path, frame_at(_MOMENTS, c.lengths, c.lift).round().long())
    carry = _poses(path, frame_at(_CARRY, c.lengths, c.lift).round().long())
    last = (c.lengths - 1)[:, None]
    lift = torch.minimum(c.lift[:, None], last)
    first = _poses(path, torch.minimum((lift + _AFTER).clamp(min=0), last))
    back = carry[..., :3, :3].mT
    seen = back @ (c.start.t[:, None] - carry[..., :3, 3])[..., None]
    low = c.points.amin(dim=1)
    ground = c.T_world_canonical[:, 0, 2, 3:]
    seconds = torch.cat([lift, last, last - lift], dim=1) / 30
    return {
        "palm": c.start.t,
        "axes": c.start.R.flatten(1),
        "fingers": c.start.fingers,
        "box": torch.cat([c.points.amax(dim=1), low], dim=1),
        "silhouette": (c.points @ _sphere(_DIRECTIONS).T).amax(dim=1),
        "height": torch.cat([ground, ground + low[:, 2:]], dim=1),
        "side": direction(asked, "approach", c.view),
        "grip": asked[:, place("grip")],
        "timing": seconds,
        "path": knots[..., :3, 3].flatten(1),
        "turn": knots[..., :3, :2].flatten(1),
        "palm_axes_seen": (back @ c.start.R[:, None]).flatten(1),
        "palm_seen": seen.flatten(1),
        "first_steps": first[..., :3, 3].flatten(1),
        "first_turns": so3_log(first[..., :3, :3]).flatten(1),
        "pivots": _pivots(_poses(path, frame_at(_CARRIED, c.lengths, c.lift).round().long())),
        "rises": _rises(path[..., 2, 3], last),
        "length": seconds[:, 1:2],
        "travel": direction(asked, "travel", c.view),
        "rise": asked[:, place("height")],
        "speed": asked[:, place("speed")],
    }


def _poses(path: Float[Tensor, "B T 4 4"], frames: Int[Tensor, "B K"]) -> Float[Tensor, "B K 4 4"]:
    return path[torch.arange(len(path))[:, None], frames]


def _rises(z: Float[Tensor, "B T"], last: Int[Tensor, "B 1"]) -> Float[Tensor, "B 2"]:
    """Whether the object leaves what it stands on, and whether it ends above it: lifts, placings and slides differ."""
    shown = z.gather(1, torch.minimum(torch.arange(z.shape[1], device=z.device), last))
    return torch.tanh(torch.stack([shown.amax(dim=1), shown[:, -1]], dim=1) / _UP)


def _pivots(path: Float[Tensor, "B K 4 4"]) -> Float[Tensor, "B p"]:
    """Points of the object that move least, and that are accelerated least, over parts of the path: near the wrist.

    The point p of the object is at ``R_k p + t_k``; the sum of its squared steps is least at
    ``p = -(sum dR' dR + s I)^-1 sum dR' dt``.
    """
    found = []
    for first, last in _WINDOWS:
        part = path[:, first:last]
        for order, small in ((1, _STILL), (2, _STEADY)):
            step = torch.diff(part, n=order, dim=1)
            dR, dt = step[..., :3, :3].flatten(1, 2), step[..., :3, 3].flatten(1)
            square = dR.mT @ dR + small * torch.eye(3, device=dR.device)
            found.append(-torch.linalg.solve(square, (dR.mT @ dt[..., None])[..., 0]))
    return torch.cat(found, dim=1)


def _sphere(count: int) -> Float[Tensor, "n 3"]:
    """Directions evenly over the sphere (a Fibonacci lattice)."""
    i = torch.arange(count) + 0.5
    z = 1 - 2 * i / count
    turn = math.pi * (1 + 5**0.5) * i
    return torch.stack([turn.cos() * (1 - z * z).sqrt(), turn.sin() * (1 - z * z).sqrt(), z], dim=1)
