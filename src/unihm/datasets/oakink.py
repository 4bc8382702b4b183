"""OakInk-Image: people use, hold, lift and hand over a hundred household objects before four cameras.

Yang et al., "OakInk: A large-scale knowledge repository for understanding hand-object interaction", CVPR 2022. The
layout is that of `oakink_files`. What it means was read in these places (the data itself was not at hand):

- Folders, sample names, shapes, frames, intents and the order giver, receiver: ``docs/datasets.md`` of the
  repository oakink/OakInk. Joints are in the order of OpenPose, which is ours. All hands are right ones.
- Pixels are K x for a joint x of ``hand_j``, so cameras look along +z (OpenCV); an object's own frame has its origin
  in the middle of its mesh's bounding box, whatever the file's is: ``oikit/oi_image`` there.
- The world is the checkerboard on the desk by which the four cameras were calibrated: issue 15 there.
- Images have 30 frames a second, and motion capture was thinned out to them: issue 11 there.

World: that of DexYCB's reader, with the chosen camera. Up is the normal of the checkerboard on the camera's side. The
board may lie a little higher than the table, so the table is put under the lowest point of the object at its rest. An
object further than 5 cm from the board's plane does not lie on the table, and its recording is left out.

One episode is one hand in one recording. A hand that is not at the object when it leaves its rest does not pick it up
(it receives it from the other one) and is left out; a hand that hands the object over is followed until it lets go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from unihm.contact_phases import contact_frame, lift_frame
from unihm.datasets.base import Skipped
from unihm.datasets.dexycb import camera_over_table
from unihm.datasets.instructions import episode_facts, instructions
from unihm.datasets.oakink_files import (
    CAMERAS,
    Track,
    mesh_path,
    read_camera,
    read_categories,
    read_track,
    sample_path,
    tracks,
)
from unihm.datasets.oakink_names import category_names, category_of
from unihm.datasets.object_model import load_mesh, sample_surface
from unihm.geometry.interpolation import poses_at, rows_at
from unihm.kinematics.keypoints import TIPS
from unihm.schema.episode import Episode

FPS = 30.0
_REST = 10  # frames, the third of a second that `lift_frame` takes for rest
_BOARD = 0.05  # m; a calibration board is thinner, and a hand that holds an object is higher
_AT_OBJECT = (
    0.05  # m from a fingertip; one that holds is within 2.5 cm, a hand that waits is further than a hand's length
)
_ABOVE = 0.1  # m over the board, the least of a camera that looks at what lies there
_STILL = 2e-3  # largest difference between extrinsics of one camera, m and radians


class _Unusable(Exception):
    """Why a recording gives no episode."""


@dataclass(frozen=True)
class _Object:
    vertices: Float[np.ndarray, "v 3"]
    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]


@dataclass(frozen=True)
class OakInkReader:
    """Hands that pick an object up from the table."""

    models: str | Path | None = None
    """Folder of the object meshes (``<object>.obj`` or ``.ply``); None: ``image/obj`` under the root."""
    points: int = 1024
    """Points of an object cloud."""
    min_frames: int = 16
    """Shorter recordings are left out; half a second."""
    max_gap: int = 3
    """Largest step between annotated images that is filled by interpolation: a tenth of a second."""
    camera: int = 0
    """Whose annotations are read (`oakink_files.CAMERAS`), where it has any."""
    seed: int = 0
    """Seeds the object clouds and the choice of instructions."""

    def __post_init__(self) -> None:
        """There are four cameras."""
        if not 0 <= self.camera < len(CAMERAS):
            raise ValueError(f"camera is {self.camera}, expected 0 to {len(CAMERAS) - 1}.")

    @property
    def options(self) -> Mapping[str, str | int | float | bool]:
        """What decides the content of the episodes."""
        names = ("points", "min_frames", "max_gap", "camera", "seed")
        return {name: getattr(self, name) for name in names}

    def episodes(self, root: str | Path, on_skip: Callable[[Skipped], None] | None = None) -> Iterator[Episode]:
        """All hands that pick an object up, in the order of their names.

        Args:
            root: ``OAKINK_DIR``, the folder with ``image`` and ``shape``.
            on_skip: Called for each hand that is left out.
        """
        root = Path(root)
        models = Path(self.models) if self.models is not None else root / "image" / "obj"
        categories = read_categories(root)
        objects: dict[str, _Object] = {}
        for track in tracks(root, self.camera):
            try:
                if track.object_id not in categories:
                    raise _Unusable("object has no category in object_id.json")
                self._check_frames(track)
                if track.object_id not in objects:
                    objects[track.object_id] = self._object(mesh_path(models, track.object_id))
                category = category_of(categories[track.object_id])
                yield self._episode(root, track, objects[track.object_id], category)
            except _Unusable as reason:
                if on_skip is not None:
                    on_skip(Skipped(_name(track), str(reason)))

    def _check_frames(self, track: Track) -> None:
        steps = np.diff(track.frames)
        if len(steps) and steps.max() > self.max_gap:
            raise _Unusable(f"more than {self.max_gap - 1} frames in a row are not annotated")
        if track.frames[-1] - track.frames[0] + 1 < self.min_frames:
            raise _Unusable(f"fewer than {self.min_frames} frames")

    def _object(self, path: Path) -> _Object:
        vertices, faces = load_mesh(path)
        used = vertices[np.unique(faces)]
        middle = (used.min(axis=0) + used.max(axis=0)) / 2
        return _Object(used - middle, *sample_surface(vertices - middle, faces, self.points, self.seed))

    def _episode(self, root: Path, track: Track, thing: _Object, category: str) -> Episode:
        joints, T_camera_object = _at_30_hz(track.frames, *read_track(root, track))
        T_world_camera, over_board = _world(root, track, T_camera_object, thing.vertices)
        T_world_object = T_world_camera @ T_camera_object
        keypoints = joints @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
        lift = lift_frame(T_world_object)
        near = np.flatnonzero(_tip_distance(keypoints, T_world_object, thing.points) < _AT_OBJECT)
        if lift not in near:
            raise _Unusable("hand is not at the object when it leaves its rest")
        contact = contact_frame(keypoints, T_world_object, thing.points)
        if track.intent == "handover":
            keypoints, T_world_object = keypoints[: near[-1] + 1], T_world_object[: near[-1] + 1]
        if len(keypoints) < self.min_frames:
            raise _Unusable(f"fewer than {self.min_frames} frames")
        seconds = (track.frames[-1] - track.frames[0]) / FPS
        episode = Episode(
            id=_name(track),
            recording=f"oakink/{track.sequence}",
            dataset="oakink",
            subject=track.subjects[track.hand],
            object_name=track.object_id,
            mirrored=False,
            fps=FPS,
            keypoints_world=keypoints,
            T_world_object=T_world_object,
            object_points=thing.points,
            object_normals=thing.normals,
            T_world_camera=T_world_camera,
            instructions=(),
            contact_frame=contact,
            lift_frame=lift,
            attributes={
                "intent": track.intent,
                "category": category,
                "camera": CAMERAS[track.camera],
                "recorded_fps": f"{(len(track.frames) - 1) / seconds:.1f}",
                "table_over_board_mm": f"{1000 * over_board:.1f}",
            },
        )
        facts = episode_facts(episode, category_names(category))
        return replace(episode, instructions=instructions(facts, self.seed))


def _name(track: Track) -> str:
    return f"oakink/{track.sequence}/{track.hand}"


def _at_30_hz(
    frames: tuple[int, ...], joints: Float[np.ndarray, "n 21 3"], T: Float[np.ndarray, "n 4 4"]
) -> tuple[Float[np.ndarray, "T 21 3"], Float[np.ndarray, "T 4 4"]]:
    """Joints and poses at every image between the first and the last that are annotated."""
    at = np.interp(np.arange(frames[0], frames[-1] + 1), frames, np.arange(len(frames)))
    return rows_at(joints.reshape(len(joints), -1), at).reshape(-1, 21, 3), poses_at(T, at)


def _world(
    root: Path, track: Track, T_camera_object: Float[np.ndarray, "T 4 4"], vertices: Float[np.ndarray, "v 3"]
) -> tuple[Float[np.ndarray, "4 4"], float]:
    """T_world_camera, and how far the table is over the checkerboard, m."""
    T_camera_board, last = (read_camera(root, track, frame) for frame in (track.frames[0], track.frames[-1]))
    if np.abs(T_camera_board - last).max() > _STILL:
        raise _Unusable("camera moves")
    up, board = T_camera_board[:3, 2], T_camera_board[:3, 3]
    if up @ board > 0:  # the camera, the origin of its frame, is on the other side of the board's plane
        up = -up
    if up @ board > -_ABOVE:
        path = sample_path(root, "general_info", track, track.frames[0])
        raise ValueError(f"'{path}': the camera is {-1000 * (up @ board):.0f} mm over the table, expected 100 or more.")
    lift = lift_frame(T_camera_object)
    if lift == len(T_camera_object):
        raise _Unusable("object never leaves its rest")
    if lift == 0:
        raise _Unusable("object moves from the start")
    rest = T_camera_object[: min(lift, _REST)]
    lowest = np.median((vertices @ rest[:, :3, :3].transpose(0, 2, 1) @ up).min(axis=1) + rest[:, :3, 3] @ up)
    over_board = float(lowest - up @ board)
    if abs(over_board) > _BOARD:
        raise _Unusable("object does not start on the table")
    return camera_over_table(up, float(lowest)), over_board


def _tip_distance(
    keypoints: Float[np.ndarray, "T 21 3"], T_world_object: Float[np.ndarray, "T 4 4"], points: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " T"]:
    """Distance of the nearest fingertip to the object's cloud in every frame, m."""
    tips = keypoints[:, TIPS, :] - T_world_object[:, None, :3, 3]
    tips_object = np.einsum("tij,tki->tkj", T_world_object[:, :3, :3], tips)  # R^T of the object, applied to rows
    return KDTree(points).query(tips_object)[0].min(axis=1)
