"""A motion as the metric encoder sees it: what every hand shares, frame by frame, in numbers of order one.

Letters: B motions, T frames, F numbers of a frame. A frame holds, with lengths in units of 10 cm:

- the palm in the moving canonical object frame (`geometry.object_frame`): position, first two axes;
- the keypoints in the palm's frame, in the 21 slots of the human hand, and how far each is from the object's cloud;
- the canonical frame relative to its own first pose: translation, rotation, and its height above the table;
- the palm and the object's way in the world's axes, since words say left, right, toward and away;
- velocities, 1/s, and the time since the start and until the end, s;
- the same in all frames: which slots the hand has, the size of the object, the yaw of the canonical frame.

The world is that of the episode stores: z up and the table at 0, x away from the camera, y to its left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.references import Given
from unihm.geometry.lie import inverse, rotation_6d, transform_points

SLOTS = 21
"""Keypoints of a human hand."""
FEATURES = 9 + 3 * SLOTS + SLOTS + 9 + 1 + 5 + 8 + 2 + SLOTS + 6 + 2
"""F."""
FAR = 0.05
"""m; farther from the object, a keypoint's distance to it no longer counts."""
_SCALE = 10.0  # 1/m
_OVER_TIME = ("T_world_canonical", "T_canonical_palm", "keypoints_palm", "clearance")


@dataclass(frozen=True, kw_only=True)
class Motions:
    """Motions of any hands, padded to the longest; after its end a motion stays at its last frame."""

    T_world_canonical: Float[Tensor, "B T 4 4"]
    """Path of the canonical object frame, m."""
    T_canonical_palm: Float[Tensor, "B T 4 4"]
    """Palm in it, m."""
    keypoints_palm: Float[Tensor, "B T 21 3"]
    """Keypoints in the palm's frame, m; zero where the hand has none."""
    clearance: Float[Tensor, "B T 21"]
    """Distance of the keypoints from the object's cloud, m, at most `FAR`."""
    present: Bool[Tensor, "B 21"]
    """Slots that the hand has."""
    size: Float[Tensor, "B 6"]
    """Box of the object along the canonical axes, and spread of its cloud along its principal axes, m."""
    lengths: Int[Tensor, " B"]
    """Real frames."""
    fps: Float[Tensor, " B"]
    """Frames per second."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: Tensor | slice) -> Motions:
        """Some of the motions."""
        return Motions(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def join(parts: Sequence[Motions]) -> Motions:
    """Motions of several sets, one set after another; all padded to the longest."""
    longest = max(part.T_world_canonical.shape[1] for part in parts)

    def padded(x: Tensor, name: str) -> Tensor:
        return x[:, torch.arange(longest).clamp(max=x.shape[1] - 1)] if name in _OVER_TIME else x

    return Motions(
        **{f.name: torch.cat([padded(getattr(part, f.name), f.name) for part in parts]) for f in fields(Motions)}
    )


def pack(tracks: Sequence[Track], given: Sequence[Given], slots: Sequence[int] | Sequence[Sequence[int]]) -> Motions:
    """Tracks as the encoder takes them, float32.

    Args:
        tracks: What the hand does.
        given: What is known of each: the object's path and its cloud, the first palm pose that fixes the canonical
            frame. It has as many frames as the track.
        slots: Human keypoints that a track's keypoints are, `HandModel.keypoint_indices`; one list for all or one
            for each track.

    Raises:
        ValueError: There are no tracks, a track is not finite, or lengths or numbers of keypoints disagree.
    """
    if not tracks or len(tracks) != len(given):
        raise ValueError(f"There are {len(tracks)} tracks for {len(given)} recordings.")
    indices = [np.asarray(slots)] * len(tracks) if np.ndim(slots[0]) == 0 else [np.asarray(s) for s in slots]
    if len(indices) != len(tracks):
        raise ValueError(f"There are {len(tracks)} tracks and {len(indices)} lists of keypoints.")
    for track, known, index in zip(tracks, given, indices, strict=True):
        if track.keypoints_world.shape[:2] != (len(known), len(index)):
            raise ValueError(
                f"A track has keypoints of shape {track.keypoints_world.shape}, expected {len(known)} frames of "
                f"{len(index)} keypoints."
            )
        if not (np.isfinite(track.keypoints_world).all() and np.isfinite(track.T_world_palm).all()):
            raise ValueError("A track holds NaN or infinite values.")
    lengths = [len(known) for known in given]
    B, T = len(tracks), max(lengths)
    path, palm = np.empty((B, T, 4, 4)), np.empty((B, T, 4, 4))
    keypoints, clearance = np.zeros((B, T, SLOTS, 3)), np.zeros((B, T, SLOTS))
    present, size = np.zeros((B, SLOTS), dtype=bool), np.empty((B, 6))
    sizes: dict[int, tuple[Given, np.ndarray, KDTree]] = {}  # of recordings that several tracks belong to
    for row, (track, known, index) in enumerate(zip(tracks, given, indices, strict=True)):
        if id(known) not in sizes:
            sizes[id(known)] = known, _size(known), KDTree(known.object_points)
        _, size[row], tree = sizes[id(known)]
        frames = np.arange(T).clip(max=len(known) - 1)
        world_palm = track.T_world_palm
        path[row] = known.T_world_canonical[frames]
        palm[row] = (np.linalg.inv(known.T_world_canonical) @ world_palm)[frames]
        own = (track.keypoints_world - world_palm[:, None, :3, 3]) @ world_palm[:, :3, :3]
        keypoints[row][:, index] = own[frames]
        R, t = known.T_world_object[:, :3, :3], known.T_world_object[:, None, :3, 3]
        clearance[row][:, index] = clearance_of((track.keypoints_world - t) @ R, tree)[frames]
        present[row, index] = True
    numbers = (path, palm, keypoints, clearance, size, np.array([known.fps for known in given]))
    path_, palm_, keypoints_, clearance_, size_, fps = (torch.from_numpy(x).float() for x in numbers)
    return Motions(
        T_world_canonical=path_, T_canonical_palm=palm_, keypoints_palm=keypoints_, clearance=clearance_, size=size_,
        fps=fps, present=torch.from_numpy(present), lengths=torch.tensor(lengths),
    )  # fmt: skip


def clearance_of(keypoints_object: Float[np.ndarray, "*batch 3"], cloud: KDTree) -> Float[np.ndarray, "*batch"]:
    """Distance of points in the object's frame from its cloud, m, at most `FAR`."""
    distance, _ = cloud.query(keypoints_object, distance_upper_bound=FAR)
    return np.minimum(distance, FAR)


def frames_of(motions: Motions) -> Float[Tensor, "B T F"]:
    """What the network reads; see the top of this file. Frames after a motion's end are zero."""
    path, palm = motions.T_world_canonical, motions.T_canonical_palm
    B, T = path.shape[:2]
    rate = motions.fps[:, None, None]
    carried = inverse(path[:, :1]) @ path
    origin = path[..., :3, 3]
    world_palm = transform_points(path, palm[..., None, :3, 3]).squeeze(-2)
    moved = _SCALE * (origin - origin[:, :1])
    reach = _SCALE * palm[..., :3, 3]
    object_velocity, palm_velocity = (_difference(x) * rate / _SCALE for x in (moved, reach))
    step = torch.arange(T)
    last = (motions.lengths - 1)[:, None]
    times = torch.stack([step.expand(B, -1), last - step], dim=-1) / rate
    slots = motions.present.float()
    always = torch.cat([slots, _SCALE * motions.size, path[:, 0, :2, 0]], dim=-1)
    parts = [
        reach,
        rotation_6d(palm[..., :3, :3]),
        _SCALE * motions.keypoints_palm.flatten(-2),
        (1 - motions.clearance / FAR) * slots[:, None],
        _SCALE * carried[..., :3, 3],
        rotation_6d(carried[..., :3, :3] - torch.eye(3)),
        _SCALE * path[..., 2, 3:],
        moved[..., :2],
        _SCALE * (world_palm - origin),
        object_velocity,
        object_velocity.norm(dim=-1, keepdim=True),
        palm_velocity,
        palm_velocity.norm(dim=-1, keepdim=True),
        times,
        always[:, None].expand(-1, T, -1),
    ]
    return torch.cat(parts, dim=-1) * (step <= last)[..., None]


def _difference(x: Float[Tensor, "B T d"]) -> Float[Tensor, "B T d"]:
    """Step from the frame before, zero in the first."""
    return torch.diff(x, dim=1, prepend=x[:, :1])


def _size(given: Given) -> Float[np.ndarray, " 6"]:
    """Box along the canonical axes of frame 0, and standard deviations along the principal axes, m."""
    T_canonical_object = np.linalg.inv(given.T_world_canonical[0]) @ given.T_world_object[0]
    cloud = given.object_points @ T_canonical_object[:3, :3].T
    variances = np.linalg.eigvalsh(np.cov(given.object_points.T)) if len(cloud) > 1 else np.zeros(3)
    return np.concatenate([cloud.max(axis=0) - cloud.min(axis=0), np.sqrt(variances.clip(min=0))])
