"""DexYCB: ten people pick up twenty household objects, with either hand, before a fixed camera.

Chao et al., "DexYCB: A benchmark for capturing hand grasping of objects", CVPR 2021. The reader takes the
hand joints and object poses as NumPy files (``dexycb_{right,left}.npz`` with an index each), one table plane
a subject (``derived_table_plane.json``) and the object meshes.

World: z up, table at z = 0, origin at the foot of the camera on the table, x the camera's viewing direction
along the table (away from the camera), y to the left of the image.

A left hand becomes a right one by reflection at the plane y = 0, S = diag(1, -1, 1): keypoints p -> S p, the
object's pose T -> S T S and its surface, in its own frame, x -> S x. The camera is reflected with its x axis
turned back, so that it stays a rotation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.contact_phases import contact_frame, lift_frame
from unihm.datasets.base import Skipped
from unihm.datasets.instructions import episode_facts, instructions
from unihm.datasets.object_model import load_surface
from unihm.datasets.object_names import OBJECT_NAMES
from unihm.geometry.pose import vector_to_pose
from unihm.registry import unknown_name
from unihm.schema.episode import Episode
from unihm.schema.storage import load_arrays

FPS = 30.0
SIDES = ("right", "left")
REFLECTION = np.diag([1.0, -1.0, 1.0, 1.0])
OBJECT_POSITIONS = {name: position for position, name in enumerate(sorted(OBJECT_NAMES))}
_ARRAYS = {"joints": (21, 3), "obj_quat_xyzw": (4,), "obj_trans": (3,), "hand_valid": ()}


@dataclass(frozen=True)
class DexYcbReader:
    """Right hands as recorded and left hands reflected; frames without a hand at the ends are cut off."""

    models: str | Path | None = None
    """Folder of the object meshes (``<object>/mesh_simplified.obj``); None: ``ycb_models`` beside the root."""
    points: int = 1024
    """Points of an object cloud."""
    min_frames: int = 16
    """Shorter recordings (after trimming) are left out; half a second."""
    seed: int = 0
    """Seeds the object clouds and the choice of instructions."""

    @property
    def options(self) -> Mapping[str, str | int | float | bool]:
        """What decides the content of the episodes."""
        return {"points": self.points, "min_frames": self.min_frames, "seed": self.seed}

    def episodes(self, root: str | Path, on_skip: Callable[[Skipped], None] | None = None) -> Iterator[Episode]:
        """All recordings with a usable hand, the right hands first."""

        def skip(name: str, reason: str) -> None:
            if on_skip is not None:
                on_skip(Skipped(name, reason))

        root = Path(root)
        sides = {side: _load_side(root, side) for side in SIDES}
        planes = _load_planes(root / "derived_table_plane.json")
        trials = _trials([entry for _, index in sides.values() for entry in index])
        clouds = {}
        for side, (arrays, index) in sides.items():
            for entry in index:
                name = f"dexycb/{entry['subject']}/{entry['sequence']}"
                frames = slice(entry["start"], entry["start"] + entry["num_frames"])
                valid = np.flatnonzero(arrays["hand_valid"][frames])
                reason = self._reason_to_skip(valid)
                if reason:
                    skip(name, reason)
                    continue
                if entry["subject"] not in planes:
                    raise ValueError(f"'{root}' states no table plane for subject '{entry['subject']}'.")
                if entry["object"] not in clouds:
                    folder = Path(self.models) if self.models is not None else root.parent / "ycb_models"
                    mesh = folder / entry["object"] / "mesh_simplified.obj"
                    clouds[entry["object"]] = load_surface(mesh, self.points, self.seed)
                sequence = {key: arrays[key][frames][valid] for key in _ARRAYS}
                if not all(np.isfinite(value).all() for value in sequence.values()):
                    raise ValueError(f"'{root}': recording '{name}' holds NaN in frames marked as valid.")
                plane, cloud = planes[entry["subject"]], clouds[entry["object"]]
                episode = self._episode(name, entry, sequence, plane, cloud, side, trials[name])
                if episode.lift_frame == len(episode):
                    skip(name, "object never leaves its rest")
                else:
                    yield self._with_instructions(episode)

    def _reason_to_skip(self, valid: np.ndarray) -> str | None:
        if not len(valid):
            return "no frame with a hand"
        if len(valid) != valid[-1] - valid[0] + 1:
            return "hand lost in the middle"
        if len(valid) < self.min_frames:
            return f"fewer than {self.min_frames} frames with a hand"
        return None

    def _episode(
        self,
        name: str,
        entry: Mapping[str, Any],
        sequence: Mapping[str, np.ndarray],
        T_world_camera: Float[np.ndarray, "4 4"],
        cloud: tuple[np.ndarray, np.ndarray],
        side: str,
        trial: int,
    ) -> Episode:
        xyz, xyzw = sequence["obj_trans"], sequence["obj_quat_xyzw"]
        T_camera_object = vector_to_pose(np.concatenate([xyz, xyzw[:, [3, 0, 1, 2]]], axis=1).astype(np.float64))
        T_world_object = T_world_camera @ T_camera_object
        keypoints = sequence["joints"].astype(np.float64) @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
        points, normals = cloud
        if side == "left":
            S = REFLECTION
            keypoints = keypoints @ S[:3, :3]
            T_world_object = S @ T_world_object @ S
            points, normals = points @ S[:3, :3], normals @ S[:3, :3]
            T_world_camera = S @ T_world_camera @ np.diag([-1.0, 1.0, 1.0, 1.0])
        start = points @ T_world_object[0, :3, :3].T + T_world_object[0, :3, 3]
        return Episode(
            id=name,
            recording=name,
            dataset="dexycb",
            subject=entry["subject"],
            object_name=entry["object"],
            mirrored=side == "left",
            fps=FPS,
            keypoints_world=keypoints,
            T_world_object=T_world_object,
            object_points=points,
            object_normals=normals,
            T_world_camera=T_world_camera,
            instructions=(),
            contact_frame=contact_frame(keypoints, T_world_object, points),
            lift_frame=lift_frame(T_world_object),
            attributes={
                "subject_number": str(int(entry["subject"].rsplit("-", 1)[1])),
                "object_position": str(OBJECT_POSITIONS[entry["object"]]),
                "trial": str(trial),
                "unihm_split": entry.get("unihm_split") or "none",
                # A few objects lie on others, which are not recorded.
                "start_height_mm": f"{1000 * start[:, 2].min():.1f}",
            },
        )

    def _with_instructions(self, episode: Episode) -> Episode:
        facts = episode_facts(episode, OBJECT_NAMES[episode.object_name])
        return replace(episode, instructions=instructions(facts, self.seed))


def _load_side(root: Path, side: str) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Arrays and index of one hand side, with their shapes and the index's entries checked."""
    path, index_path = root / f"dexycb_{side}.npz", root / f"dexycb_{side}_index.json"
    arrays = load_arrays(path)
    for name, shape in _ARRAYS.items():
        if name not in arrays:
            raise ValueError(f"'{path}' lacks the array '{name}'.")
        if arrays[name].shape != (len(arrays["joints"]), *shape):
            raise ValueError(
                f"'{path}': {name} has shape {arrays[name].shape}, expected {(len(arrays['joints']), *shape)}."
            )
    index = _load_json(index_path)
    if not isinstance(index, list):
        raise ValueError(f"'{index_path}' is damaged: expected a list of recordings.")
    for entry in index:
        missing = {"subject", "sequence", "object", "start", "num_frames"} - set(entry)
        if missing:
            raise ValueError(f"'{index_path}' is damaged: an entry lacks {', '.join(sorted(missing))}.")
        if entry["start"] < 0 or entry["start"] + entry["num_frames"] > len(arrays["joints"]):
            raise ValueError(f"'{index_path}': recording '{entry['sequence']}' lies outside of '{path.name}'.")
        if entry["object"] not in OBJECT_POSITIONS:
            raise unknown_name("DexYCB object", entry["object"], OBJECT_POSITIONS)
        if not re.fullmatch(r"\d+-subject-\d+", entry["subject"]):
            raise ValueError(f"'{index_path}': subject '{entry['subject']}' is not named like '20200709-subject-01'.")
    return arrays, index


def _load_planes(path: Path) -> dict[str, np.ndarray]:
    """T_world_camera of every subject, from the table plane ``up . x = height`` in its camera frame."""
    planes = {}
    for subject, plane in _load_json(path).items():
        try:
            up, height = np.array(plane["up"], dtype=np.float64), float(plane["height"])
            planes[subject] = camera_over_table(up / np.linalg.norm(up), height)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"'{path}' is damaged: the plane of '{subject}' is not usable ({error}).") from error
    return planes


def camera_over_table(up_camera: Float[np.ndarray, 3], height: float) -> Float[np.ndarray, "4 4"]:
    """T_world_camera of a camera that sees the plane ``up . x = height``, in the world of this module.

    Args:
        up_camera: Unit normal of the table, upward, in the camera's frame.
        height: m; negative, since the camera is above the table.
    """
    view = np.array([0.0, 0.0, 1.0])
    forward = view - (view @ up_camera) * up_camera
    forward /= np.linalg.norm(forward)
    T = np.eye(4)
    T[:3, :3] = np.stack([forward, np.cross(up_camera, forward), up_camera])
    T[2, 3] = -height
    return T


def _trials(entries: list[dict[str, Any]]) -> dict[str, int]:
    """Position of every recording among all of its subject, either hand, in sorted order; splits use it."""
    by_subject: dict[str, list[str]] = {}
    for entry in entries:
        by_subject.setdefault(entry["subject"], []).append(entry["sequence"])
    return {
        f"dexycb/{subject}/{sequence}": position
        for subject, sequences in by_subject.items()
        for position, sequence in enumerate(sorted(sequences))
    }


def _load_json(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"File '{path}' does not exist.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
