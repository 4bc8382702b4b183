"""The files of OakInk-Image: which frames were annotated, and what is said of each.

Read under the folder that the toolkit calls ``OAKINK_DIR``:

    image/anno/seq_all.json                [["<object>_<intent>_<subjects>/<time>", subject, frame, camera], ...]
    image/anno/hand_j/<sample>.pkl         21 x 3, m, in the camera's frame
    image/anno/obj_transf/<sample>.pkl     4 x 4, the object in the camera's frame
    image/anno/general_info/<sample>.pkl   {"cam_extr": 4 x 4, the world in the camera's frame, "obj_anno": 4 x 4, the
                                           object in the world, ...}, as tensors; only of the first and the last frame
    image/obj/<object>.obj or .ply         m
    shape/metaV2/object_id.json            {"<object>": {"name": ..., "attr": ["<category>", ...], ...}, ...}

A sample is ``<object>_<intent>_<subjects>__<time>__<subject>__<frame>__<camera>``. Intents are 0001 use, 0002 hold,
0003 liftup, 0004 handover; a handover names two subjects, the giver first, and its samples count them from 0.

Read in ``docs/datasets.md`` and ``oikit/oi_image/oi_image.py`` of the repository oakink/OakInk; that ``attr`` begins
with the category is what others who have the file write of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.schema.pickles import load_pickle

CAMERAS = ("north_east", "south_east", "north_west", "south_west")
INTENTS = {"0001": "use", "0002": "hold", "0003": "liftup", "0004": "handover"}
_SEQUENCE = re.compile(r"([A-Za-z0-9]+)_(\d{4})_(\d{4}(?:_\d{4})?)/([\w-]+)")
_ANGLE = np.deg2rad(1)  # between two statements of one rotation; they differ by rounding


@dataclass(frozen=True, kw_only=True)
class Track:
    """The annotated frames of one hand in one recording, as one camera saw them."""

    sequence: str
    """``<object>_<intent>_<subjects>/<time>``."""
    object_id: str
    """For example ``A01001``."""
    intent: str
    """One of `INTENTS`."""
    subjects: tuple[str, ...]
    """Who takes part."""
    hand: int
    """Whose hand it is: a position in `subjects`."""
    camera: int
    """A position in `CAMERAS`."""
    frames: tuple[int, ...]
    """Numbers of the annotated images, increasing; there are 30 a second, and some may lack."""


def tracks(root: Path, camera: int) -> list[Track]:
    """All hands of all recordings, in the order of their names.

    Args:
        root: ``OAKINK_DIR``.
        camera: Taken where it has annotations, else the first that has.

    Raises:
        ValueError: The list of samples is missing or damaged.
    """
    path = root / "image" / "anno" / "seq_all.json"
    entries = load_json(path)
    if not isinstance(entries, list):
        raise ValueError(f"'{path}' is damaged: expected a list of samples.")
    found: dict[tuple[str, int], dict[int, set[int]]] = {}
    for entry in entries:
        if not (isinstance(entry, list) and [type(part) for part in entry] == [str, int, int, int]):
            raise ValueError(f"'{path}' is damaged: {entry!r} is not [sequence, subject, frame, camera].")
        sequence, hand, frame, seen_by = entry
        found.setdefault((sequence, hand), {}).setdefault(seen_by, set()).add(frame)
    return [_track(path, *key, by_camera, camera) for key, by_camera in sorted(found.items())]


def _track(path: Path, sequence: str, hand: int, by_camera: Mapping[int, set[int]], camera: int) -> Track:
    match = _SEQUENCE.fullmatch(sequence)
    if match is None or match[2] not in INTENTS:
        raise ValueError(f"'{path}': sequence '{sequence}' is not named like 'A01001_0001_0000/2021-09-26-19-59-58'.")
    subjects = tuple(match[3].split("_"))
    if not 0 <= hand < len(subjects):
        raise ValueError(f"'{path}': sequence '{sequence}' has {len(subjects)} subject(s), but one numbered {hand}.")
    chosen = camera if camera in by_camera else min(by_camera)
    if not 0 <= chosen < len(CAMERAS):
        raise ValueError(f"'{path}': sequence '{sequence}' was seen by camera {chosen}, there are {len(CAMERAS)}.")
    return Track(
        sequence=sequence,
        object_id=match[1],
        intent=INTENTS[match[2]],
        subjects=subjects,
        hand=hand,
        camera=chosen,
        frames=tuple(sorted(by_camera[chosen])),
    )


def read_track(root: Path, track: Track) -> tuple[Float[np.ndarray, "n 21 3"], Float[np.ndarray, "n 4 4"]]:
    """Hand joints, m, and object poses in the camera's frame, one an annotated frame."""
    joints = [_array(sample_path(root, "hand_j", track, frame), (21, 3)) for frame in track.frames]
    poses = [_pose(sample_path(root, "obj_transf", track, frame)) for frame in track.frames]
    return np.stack(joints), np.stack(poses)


def read_camera(root: Path, track: Track, frame: int) -> Float[np.ndarray, "4 4"]:
    """T_camera_board, as one sample states it, once it is sure that it is not its inverse.

    Raises:
        ValueError: The file is missing or damaged, or the object's turn in the camera's frame is not that in the world
            seen by this camera.
    """
    path = sample_path(root, "general_info", track, frame)
    T_camera_board, T_board_object = _pose(path, "cam_extr"), _pose(path, "obj_anno")
    seen = _pose(sample_path(root, "obj_transf", track, frame))
    turn = seen[:3, :3].T @ T_camera_board[:3, :3] @ T_board_object[:3, :3]
    if np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)) > _ANGLE:
        raise ValueError(f"'{path}': cam_extr and obj_anno do not turn the object as obj_transf does.")
    return T_camera_board


def sample_path(root: Path, kind: str, track: Track, frame: int) -> Path:
    """Where one kind of annotation of one frame lies."""
    name = f"{track.sequence.replace('/', '__')}__{track.hand}__{frame}__{track.camera}.pkl"
    return root / "image" / "anno" / kind / name


def mesh_path(folder: Path, object_id: str) -> Path:
    """The mesh of an object: ``.ply`` where there is no ``.obj``."""
    other = folder / f"{object_id}.ply"
    return other if other.is_file() else folder / f"{object_id}.obj"


def read_categories(root: Path) -> dict[str, tuple[str, ...]]:
    """What the metadata calls each object, the words of ``attr``; objects without any are left out."""
    path = root / "shape" / "metaV2" / "object_id.json"
    objects = load_json(path)
    if not isinstance(objects, dict) or not all(isinstance(entry, dict) for entry in objects.values()):
        raise ValueError(f"'{path}' is damaged: expected an entry for each object.")
    words = {name: entry.get("attr") for name, entry in objects.items()}
    return {name: tuple(attr) for name, attr in words.items() if isinstance(attr, list) and attr and _texts(attr)}


def _texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _pose(path: Path, key: str | None = None) -> Float[np.ndarray, "4 4"]:
    T = _array(path, (4, 4), key)
    R = T[:3, :3]
    if not (np.allclose(R @ R.T, np.eye(3), atol=1e-3) and np.linalg.det(R) > 0 and np.allclose(T[3], [0, 0, 0, 1])):
        raise ValueError(f"'{path}' holds no pose{f' {key}' if key else ''}: its rotation is not one.")
    return T


def _array(path: Path, shape: tuple[int, ...], key: str | None = None) -> np.ndarray:
    value = load_pickle(path)
    if key is not None:
        if not isinstance(value, dict) or key not in value:
            raise ValueError(f"'{path}' lacks '{key}'.")
        value = value[key]
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind not in "fiu":
        found = value.shape if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"'{path}' holds {found}, expected {key or 'numbers'} of shape {shape}.")
    if not np.isfinite(value).all():
        raise ValueError(f"'{path}' holds NaN.")
    return value.astype(np.float64)


def load_json(path: Path) -> Any:
    """What a JSON file holds; ValueError where it is missing or is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"File '{path}' does not exist.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
