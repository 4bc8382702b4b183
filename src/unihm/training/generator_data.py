"""Batches for the generator: recorded motions with their object, cut, timed and placed anew in each epoch.

Letters: E episodes of the set, B of a batch, T frames, n points, F features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unihm.generation.conditions import values_at
from unihm.geometry.lie import inverse, make_transform, matrix_from_6d, rotation_6d, transform_points
from unihm.geometry.object_frame import canonical_object_frame
from unihm.schema.episode import COMPOSED, Episode
from unihm.schema.motion import HandMotion
from unihm.tokenizer.features import HandFeatures

STORED_POINTS = 512
"""Points kept of each cloud."""
_GRASP = (0.045, 0.0, 0.035)
"""m, in the palm's frame: between the tips of a hand that holds something."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How recorded motions are varied in training."""

    crop: float = 0.3
    """Share of motions that start later than recorded, so that there are more initial poses than recordings."""
    crop_share: float = 0.2
    """At most this share of a motion is cut off at its start."""
    speed: float = 1.1
    """Motions run up to so much faster or slower."""
    yaw_deg: float = 4.0
    """Standard deviation of a turn of the canonical frame about the vertical."""
    shift: float = 0.006
    """m; standard deviation of a displacement of the canonical frame: a perceived cloud is not the true one."""
    scale: float = 1.06
    """Objects, paths and reaches are up to so much larger or smaller, as hands of other people are."""
    points: int = 256
    """Points drawn from the cloud."""
    partial: float = 0.2
    """Share of clouds that lose the part behind a random plane, as seen from one side."""
    point_noise: float = 0.002
    """m; standard deviation of the noise on each point."""
    without_path: float = 0.1
    """Share of motions whose path is left out: they are told relative to where the object was at first."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Motions of one hand with everything but the words; tensors are float32."""

    rows: Int[Tensor, " B"]
    """Numbers of the episodes."""
    hand: str
    """The hand that moves."""
    features: Float[Tensor, "B T F"]
    """What the tokenizer's encoder reads; after its end a motion stays at its last frame."""
    T_world_canonical: Float[Tensor, "B T 4 4"]
    """Path of the canonical object frame, m."""
    path_given: Bool[Tensor, " B"]
    """False where the path is left out; the frame then stands still."""
    lift: Int[Tensor, " B"]
    """First frame in which the object has left its rest."""
    view: Float[Tensor, "B 2"]
    """Horizontal direction in which the camera looks, in the canonical frame."""
    points: Float[Tensor, "B n 3"]
    """Clouds in the canonical frame, m."""
    lengths: Int[Tensor, " B"]
    """Frames that count."""


class ConditionedMotions:
    """Motions of several hands with the object paths and clouds that they belong to."""

    def __init__(
        self,
        episodes: Sequence[Episode],
        motions: Mapping[str, Mapping[str, HandMotion]],
        hands: Mapping[str, HandFeatures],
        *,
        reference_hand: str,
        frames_per_chunk: int,
        max_frames: int,
    ):
        """Pack motions into arrays.

        Args:
            episodes: Objects, paths and instructions.
            motions: hand -> episode id -> motion.
            hands: How the tokenizer scales each hand's joints.
            reference_hand: The hand whose palm fixes the canonical frames.
            frames_per_chunk: Motions are padded to whole chunks.
            max_frames: Longer motions are cut.

        Raises:
            ValueError: There are no episodes, or a hand lacks a motion or has one of another length.
        """
        if not episodes:
            raise ValueError("There are no episodes to train on.")
        self.ids = tuple(e.id for e in episodes)
        self.episodes = tuple(episodes)
        self.hands = tuple(motions)
        self.frames_per_chunk = frames_per_chunk
        # Until it is let go: that is refinement's part.
        self.lengths = torch.tensor([min(e.release_frame or len(e), max_frames) for e in episodes])
        self.lifts = torch.tensor([e.lift_frame for e in episodes])
        composed = torch.tensor([COMPOSED in e.attributes for e in episodes])
        self.recorded = torch.arange(len(episodes)) if composed.all() else torch.nonzero(~composed).flatten()
        """Numbers of the episodes whose path may be left out: of those recorded, if there are any."""
        self.view = torch.from_numpy(np.stack([e.T_world_camera[:2, 2] for e in episodes])).float()
        frames = -(-int(self.lengths.max()) // frames_per_chunk) * frames_per_chunk
        self._hands = dict(hands)
        paths, clouds = [], []
        for episode in episodes:
            palm = _motion(motions, reference_hand, episode).T_world_palm[0, :3, 3]
            T_object_canonical = canonical_object_frame(episode.T_world_object[0], episode.object_points, palm)
            paths.append(_padded(episode.T_world_object @ T_object_canonical, frames))
            T_canonical_object = np.linalg.inv(T_object_canonical)
            choice = np.linspace(0, len(episode.object_points) - 1, STORED_POINTS).round().astype(int)
            points = episode.object_points[choice]
            clouds.append(points @ T_canonical_object[:3, :3].T + T_canonical_object[:3, 3])
        self.path = torch.from_numpy(np.stack(paths)).float()
        self.cloud = torch.from_numpy(np.stack(clouds)).float()
        self.palm, self.qpos = {}, {}
        for hand, features in self._hands.items():
            items = [_motion(motions, hand, episode) for episode in episodes]
            palms = np.stack([_padded(m.T_world_palm, frames) for m in items])
            qpos = np.stack([_padded(features.ordered_qpos(m), frames) for m in items])
            self.palm[hand] = inverse(self.path) @ torch.from_numpy(palms).float()
            self.qpos[hand] = torch.from_numpy(qpos).float()

    def __len__(self) -> int:
        return len(self.ids)

    def batch(
        self,
        rows: Int[Tensor, " B"],
        hand: str,
        variation: Variation | None,
        rng: torch.Generator,
        *,
        with_path: bool | None = None,
    ) -> Batch:
        """Some motions of one hand.

        Args:
            rows: Numbers of the episodes.
            hand: One of `hands`.
            variation: How they are varied; None gives them as recorded.
            rng: Draws the variation.
            with_path: Whether the path is given; None draws it, see `Variation.without_path`. That of composed episodes
                is always given: words without a path are those of lifts.
        """
        time, lengths, lift = self._times(rows, variation, rng)
        T_world_canonical = poses_at(self.path[rows], time)
        T_canonical_palm = poses_at(self.palm[hand][rows], time)
        qpos = values_at(self.qpos[hand][rows], time)
        points = self.cloud[rows]
        if variation is not None:
            moved = self._new_frame(T_world_canonical[:, 0], T_canonical_palm[:, 0], variation, rng)
            back = inverse(moved)
            T_world_canonical = T_world_canonical @ moved[:, None]
            T_canonical_palm = back[:, None] @ T_canonical_palm
            points = _vary_points(transform_points(back, points), variation, rng)
            scale = variation.scale ** (2 * torch.rand(len(rows), generator=rng) - 1)
            T_world_canonical, T_canonical_palm = _scaled(T_world_canonical, T_canonical_palm, scale)
            points = scale[:, None, None] * points
        if with_path is None:
            share = 0.0 if variation is None else variation.without_path
            given = (torch.rand(len(rows), generator=rng) >= share) | ~torch.isin(rows, self.recorded)
        else:
            given = torch.full((len(rows),), with_path)
        still = T_world_canonical[:, :1].expand_as(T_world_canonical)
        path = torch.where(given[:, None, None, None], T_world_canonical, still)
        T_canonical_palm = inverse(path) @ T_world_canonical @ T_canonical_palm
        T_world_canonical = path
        view = (T_world_canonical[:, 0, :2, :2].mT @ self.view[rows, :, None])[..., 0]
        return Batch(
            rows=rows,
            hand=hand,
            features=self._hands[hand].pack(qpos, T_canonical_palm),
            T_world_canonical=T_world_canonical,
            path_given=given,
            lift=lift,
            view=torch.nn.functional.normalize(view, dim=-1),
            points=points,
            lengths=lengths,
        )

    def _times(
        self, rows: Tensor, variation: Variation | None, rng: torch.Generator
    ) -> tuple[Float[Tensor, "B T"], Int[Tensor, " B"], Int[Tensor, " B"]]:
        """At which recorded time, in frames, each frame is taken; how many frames count; and the frame of the lift."""
        length, longest = self.lengths[rows], self.path.shape[1]
        start, rate = torch.zeros(len(rows)), torch.ones(len(rows))
        if variation is not None:
            cut = torch.rand(len(rows), generator=rng) < variation.crop
            share = variation.crop_share * torch.rand(len(rows), generator=rng)
            # What is cut off lies before the lift: a motion begins with a hand that comes.
            start = (cut * share * length).floor().minimum((self.lifts[rows] - 4.0).clamp(min=0))
            rate = variation.speed ** (2 * torch.rand(len(rows), generator=rng) - 1)
        lengths = (((length - 1 - start) / rate).floor().long() + 1).clamp(max=longest)
        frames = -(-int(lengths.max()) // self.frames_per_chunk) * self.frames_per_chunk
        step = torch.minimum(torch.arange(frames)[None], lengths[:, None] - 1)
        lift = ((self.lifts[rows] - start) / rate).ceil().long().minimum(lengths)
        return start[:, None] + rate[:, None] * step, lengths, lift

    def _new_frame(
        self,
        T_world_canonical: Float[Tensor, "B 4 4"],
        T_canonical_palm: Float[Tensor, "B 4 4"],
        variation: Variation,
        rng: torch.Generator,
    ) -> Float[Tensor, "B 4 4"]:
        """The canonical frame of the motion's new first frame, a little off, in the old canonical frame."""
        count = len(T_world_canonical)
        centre = T_world_canonical[:, :3, 3]
        palm = (T_world_canonical @ T_canonical_palm)[:, :3, 3] - centre
        yaw = torch.atan2(palm[:, 1], palm[:, 0])
        yaw = yaw + np.deg2rad(variation.yaw_deg) * torch.randn(count, generator=rng)
        shift = variation.shift * torch.randn(count, 3, generator=rng)
        return inverse(T_world_canonical) @ about_z(yaw, centre + shift)


def _scaled(
    T_world_canonical: Float[Tensor, "B T 4 4"], T_canonical_palm: Float[Tensor, "B T 4 4"], scale: Float[Tensor, " B"]
) -> tuple[Float[Tensor, "B T 4 4"], Float[Tensor, "B T 4 4"]]:
    """The same motion of a larger or smaller hand, shown by a hand of the old size: what is grasped stays in its grasp.

    Args:
        T_world_canonical: Paths.
        T_canonical_palm: Palms.
        scale: Of all lengths.
    """
    larger = scale[:, None, None]
    grasp = T_canonical_palm[..., :3, :3] @ torch.tensor(_GRASP)
    palm = larger * (T_canonical_palm[..., :3, 3] + grasp) - grasp
    path = larger * T_world_canonical[..., :3, 3]
    return make_transform(T_world_canonical[..., :3, :3], path), make_transform(T_canonical_palm[..., :3, :3], palm)


def _vary_points(points: Float[Tensor, "B n 3"], variation: Variation, rng: torch.Generator) -> Float[Tensor, "B m 3"]:
    """A random subset of each cloud, some seen from one side only, with noise."""
    batch, count = points.shape[:2]
    direction = torch.nn.functional.normalize(torch.randn(batch, 3, generator=rng), dim=-1)
    depth = (points * direction[:, None]).sum(-1)
    middle = depth.median(dim=1, keepdim=True).values
    partial = torch.rand(batch, 1, generator=rng) < variation.partial
    # Hidden points are the last to be drawn: half of a cloud still has enough of them.
    order = torch.rand(batch, count, generator=rng) + 2.0 * (partial & (depth < middle))
    chosen = order.argsort(dim=1)[:, : min(variation.points, count // 2)]
    drawn = points.gather(1, chosen[..., None].expand(-1, -1, 3))
    return drawn + variation.point_noise * torch.randn(drawn.shape, generator=rng)


def about_z(yaw: Float[Tensor, " B"], shift: Float[Tensor, "B 3"]) -> Float[Tensor, "B 4 4"]:
    """Turns about the vertical, rad, with displacements, m."""
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    rows = [yaw.cos(), -yaw.sin(), zero, yaw.sin(), yaw.cos(), zero, zero, zero, one]
    return make_transform(torch.stack(rows, dim=-1).unflatten(-1, (3, 3)), shift)


def poses_at(T: Float[Tensor, "B S 4 4"], time: Float[Tensor, "B T"]) -> Float[Tensor, "B T 4 4"]:
    """Poses between frames; neighbouring frames are close, so mixed columns made proper again will do."""
    mixed = values_at(T, time)
    return make_transform(matrix_from_6d(rotation_6d(mixed[..., :3, :3])), mixed[..., :3, 3])


def _motion(motions: Mapping[str, Mapping[str, HandMotion]], hand: str, episode: Episode) -> HandMotion:
    motion = motions.get(hand, {}).get(episode.id)
    if motion is None:
        raise ValueError(f"There is no motion of '{hand}' for episode '{episode.id}'.")
    if len(motion) != len(episode):
        raise ValueError(f"The motion of '{hand}' has {len(motion)} frames, episode '{episode.id}' {len(episode)}.")
    return motion


def _padded(x: np.ndarray, frames: int) -> np.ndarray:
    """The first `frames` rows; a shorter array stays at its last row."""
    return x[np.arange(frames).clip(max=len(x) - 1)]
