"""Motions of a hand: joint positions with a palm path, and the tokens that stand for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from unihm.geometry.pose import pose_to_vector, vector_to_pose
from unihm.schema.storage import load_record, save_record

_POSES = ("T_world_palm", "T_world_object")
_ARRAYS = ("qpos", "qpos_target", "object_points", "object_normals", "panel_object", "contact_phase", *_POSES)


@dataclass(frozen=True, kw_only=True)
class HandMotion:
    """A motion of one hand over T frames, with the object that it handles where there is one."""

    hand: str
    """Name of the hand folder, for example ``shadow``."""
    fps: float
    """Frames per second."""
    joint_names: tuple[str, ...]
    """Names of the independent joints, in the order of `qpos`."""
    qpos: Float[np.ndarray, "T nq"]
    """Drawn and scored joint positions, rad (m for sliding joints)."""
    T_world_palm: Float[np.ndarray, "T 4 4"]
    """Palm pose in the z-up world, m."""
    qpos_target: Float[np.ndarray, "T nq"] | None = None
    """What a position controller is sent where a grasp squeezes; None means `qpos`."""
    T_world_object: Float[np.ndarray, "T 4 4"] | None = None
    """Object path in the world, m."""
    object_points: Float[np.ndarray, "n 3"] | None = None
    """Object cloud in the object's frame, m."""
    object_normals: Float[np.ndarray, "n 3"] | None = None
    """Outward unit normals of `object_points`."""
    panel_object: Float[np.ndarray, " 4"] | None = None
    """Of a handle: the plane that it stands on and moves with, in its frame: outward unit normal, and distance of the
    plane from the origin along it, m."""
    contact_phase: Float[np.ndarray, " T"] | None = None
    """0 while the hand approaches, 1 while it holds the object, between them a ramp."""
    instruction: str = ""
    """What was asked for, where words were given."""
    source: str = ""
    """Where the motion comes from: an episode id, a file, a model."""

    VERSION = 1

    def __post_init__(self):
        T, nq = self.qpos.shape
        if nq != len(self.joint_names):
            raise ValueError(f"qpos has {nq} columns for {len(self.joint_names)} joint names.")
        for name in ("T_world_palm", "T_world_object", "qpos_target", "contact_phase"):
            value = getattr(self, name)
            if value is not None and len(value) != T:
                raise ValueError(f"{name} has {len(value)} frames, qpos has {T}.")

    def __len__(self) -> int:
        return len(self.qpos)

    def replace(self, **changes: Any) -> HandMotion:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def save(self, path: str | Path) -> None:
        """Write the motion as one pickle-free ``.npz``, atomically."""
        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        arrays |= {name: pose_to_vector(arrays[name]) for name in _POSES if name in arrays}
        header = {
            "hand": self.hand,
            "fps": self.fps,
            "joint_names": list(self.joint_names),
            "instruction": self.instruction,
            "source": self.source,
        }
        save_record(path, kind="hand_motion", version=self.VERSION, header=header, arrays=arrays)

    @classmethod
    def load(cls, path: str | Path) -> HandMotion:
        """Read a motion.

        Raises:
            ValueError: The file is missing, damaged, of another kind, or holds non-finite numbers.
        """
        header, arrays = load_record(path, kind="hand_motion", version=cls.VERSION)
        missing = {"qpos", "T_world_palm"} - set(arrays)
        if missing or not {"hand", "fps", "joint_names"} <= set(header):
            raise ValueError(f"'{path}' is damaged: it lacks {', '.join(sorted(missing)) or 'header fields'}.")
        for name, value in arrays.items():
            if not np.isfinite(value).all():
                raise ValueError(f"'{path}': {name} holds NaN or infinite values.")
        arrays |= {name: vector_to_pose(arrays[name]) for name in _POSES if name in arrays}
        fields: dict[str, Any] = {name: arrays[name] for name in _ARRAYS if name in arrays}
        return cls(
            hand=header["hand"],
            fps=float(header["fps"]),
            joint_names=tuple(header["joint_names"]),
            instruction=header.get("instruction", ""),
            source=header.get("source", ""),
            **fields,
        )


@dataclass(frozen=True, kw_only=True)
class MotionTokens:
    """A motion as indices into the shared codebook: N chunks of frames, L codes each.

    Tokens say how the palm and the fingers move in the object's frame; to place them in the world one
    needs the object path, which therefore travels with them.
    """

    codes: Int[np.ndarray, "N L"]
    """Codebook indices, one row a chunk of frames, one column a quantiser level."""
    tokenizer: str
    """Fingerprint of the tokenizer weights that wrote the codes; others refuse to decode them."""
    frames_per_chunk: int
    """Frames that one row stands for."""
    num_frames: int
    """Length T of the motion; the last chunk may be cut."""
    fps: float
    """Frames per second."""
    hand: str
    """The hand that was encoded, or for which the tokens were generated."""
    T_world_canonical: Float[np.ndarray, "T 4 4"]
    """Path of the canonical object frame (see `geometry.object_frame`), m."""
    instruction: str = ""
    """What was asked for, where words were given."""
    source: str = ""
    """Where the motion comes from."""

    VERSION = 1

    def save(self, path: str | Path) -> None:
        """Write the tokens as one pickle-free ``.npz``, atomically."""
        header = {
            name: getattr(self, name)
            for name in ("tokenizer", "frames_per_chunk", "num_frames", "fps", "hand", "instruction", "source")
        }
        arrays = {"codes": self.codes, "T_world_canonical": pose_to_vector(self.T_world_canonical)}
        save_record(path, kind="motion_tokens", version=self.VERSION, header=header, arrays=arrays)

    @classmethod
    def load(cls, path: str | Path) -> MotionTokens:
        """Read tokens; raises ValueError where the file is missing, damaged or of another kind."""
        header, arrays = load_record(path, kind="motion_tokens", version=cls.VERSION)
        fields: dict[str, Any] = {k: v for k, v in header.items() if k not in ("kind", "version")}
        try:
            fields |= {**arrays, "T_world_canonical": vector_to_pose(arrays["T_world_canonical"])}
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"'{path}' is damaged: {error}.") from error

    def as_json(self) -> dict[str, Any]:
        """All fields as JSON values, to be read and edited by people; poses are x y z and quaternion w x y z."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        poses = pose_to_vector(self.T_world_canonical).tolist()
        return {**fields, "codes": self.codes.tolist(), "T_world_canonical": poses}

    @classmethod
    def from_json(cls, path: str | Path) -> MotionTokens:
        """Read what `as_json` gives from a file; other entries are passed over.

        Raises:
            ValueError: The file is missing, no JSON, or lacks a field; codes are no rows of whole numbers.
        """
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            fields: dict[str, Any] = {name: found[name] for name in cls.__dataclass_fields__}
            codes, poses = np.array(fields["codes"]), np.array(fields["T_world_canonical"], dtype=np.float64)
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, TypeError, ValueError) as error:
            raise ValueError(f"'{path}' cannot be read as tokens: {error}.") from error
        except KeyError as error:
            raise ValueError(f"'{path}' cannot be read as tokens: it lacks {error}.") from error
        if codes.ndim != 2 or codes.dtype.kind not in "iu" or poses.ndim != 2 or poses.shape[1] != 7:
            raise ValueError(
                f"'{path}': expected codes as rows of whole numbers of one length, and poses of 7 numbers."
            )
        return cls(**{**fields, "codes": codes, "T_world_canonical": vector_to_pose(poses)})
