"""The unseen side of a thing by SnowflakeNet, as `unihm train completion` has taught it.

The network sees the cloud in its own frame (`completion_frame`) and draws the whole thing. What it draws in front of
what the camera has seen is taken out again, what falls under the table is put on it, and the seen points are added as
they are: they come first and win their voxels. Then all is thinned to evenly spread points, with normals that look
outward (`outward`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree

from unihm.assets import WEIGHTS
from unihm.geometry.camera import Camera
from unihm.geometry.point_cloud import resample, voxel_indices
from unihm.perception.completion import SPACING, in_seen_space
from unihm.perception.completion_frame import chosen, completion_frame
from unihm.perception.outward import outward_normals
from unihm.perception.snowflake import SnowflakeConfig, SnowflakeNet
from unihm.schema.weights import assign, read_weights, write_weights

KIND = "completion"
SHIPPED = WEIGHTS / "completion.safetensors"
# Of what is drawn: neighbours asked, and how much farther than usual they are from a stray. On validation views this
# takes the error of the box from 18 to 12 mm (mean of the worst side) and costs 0.04 mm of Chamfer distance.
_AROUND, _STRAY = 4, 6.0


class SnowflakeCompletion:
    """A trained network; calling it is the `Completion` of `completing`."""

    def __init__(self, network: SnowflakeNet, points: int, card: Mapping[str, Any] | None = None):
        """Take a network.

        Args:
            network: On the CPU; used as it is, in evaluation mode.
            points: How many points it reads.
            card: What is known about its weights.
        """
        self.network, self.points, self.card = network.eval(), points, dict(card or {})

    def __call__(
        self,
        points_world: Float[np.ndarray, "n 3"],
        depth: Float[np.ndarray, "H W"],
        camera: Camera,
        T_world_camera: Float[np.ndarray, "4 4"],
        count: int = 1024,
        seed: int = 0,
    ) -> tuple[Float[np.ndarray, "{count} 3"], Float[np.ndarray, "{count} 3"]]:
        """See `unihm.perception.completing.Completion`."""
        eye = T_world_camera[:3, 3]
        seen = points_world[voxel_indices(points_world, SPACING)]
        drawn = _without_strays(self.draw(points_world, eye, seed))
        drawn[:, 2] = np.maximum(drawn[:, 2], 0.0)
        R = T_world_camera[:3, :3]
        drawn = drawn[~in_seen_space((drawn - eye) @ R, depth, camera)]
        points = np.concatenate([seen, drawn])
        kept = voxel_indices(points, SPACING / 2)  # small things keep more of what is drawn
        normals = outward_normals(points[kept], kept < len(seen), eye)
        return resample(points[kept], normals, count, seed)

    def draw(
        self, points_world: Float[np.ndarray, "n 3"], eye: Float[np.ndarray, " 3"], seed: int = 0
    ) -> Float[np.ndarray, "m 3"]:
        """The whole thing as the network draws it, m."""
        frame = completion_frame(points_world, eye)
        part = frame.into(points_world[chosen(len(points_world), self.points, np.random.default_rng(seed))])
        with torch.inference_mode():
            drawn = self.network(torch.from_numpy(part)[None].float())[-1][0]
        return frame.back(drawn.double().numpy())

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write ``NAME.safetensors`` and its card; returns the fingerprint."""
        sizes = {"network": asdict(self.network.config), "points": self.points}
        return write_weights(path, self.network.state_dict(), {**card, **sizes}, kind=KIND)


def load_completion(path: str | Path | None = None) -> SnowflakeCompletion:
    """Trained weights; None is the shipped ones, which are read once.

    Raises:
        ValueError: A file is missing, damaged, or does not fit its card.
    """
    return _load(SHIPPED) if path is None else _read(Path(path))


def complete(*args: Any, **kwargs: Any) -> tuple[Float[np.ndarray, "count 3"], Float[np.ndarray, "count 3"]]:
    """With the shipped weights; see `unihm.perception.completing.Completion`."""
    return load_completion()(*args, **kwargs)


def _without_strays(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """Points that are not far from their nearest: a few strays are a millimetre of no mean, but centimetres of size."""
    away = np.asarray(KDTree(points).query(points, k=_AROUND + 1)[0])[:, 1:].mean(axis=1)
    return points[away <= _STRAY * np.median(away)]


def _read(path: Path) -> SnowflakeCompletion:
    tensors, card = read_weights(path, kind=KIND)
    try:
        sizes: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in card["network"].items()}
        network, points = SnowflakeNet(SnowflakeConfig(**sizes)), int(card["points"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"The card of '{path}' does not say what the network is: {error}.") from error
    assign(network, tensors, path)
    return SnowflakeCompletion(network, points, card)


_load = cache(_read)
