"""What every source gives: human keypoints over time, with what was not seen left open.

Only NumPy is imported here; decoders and detectors are loaded when their source is chosen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from unihm.registry import Registry
from unihm.schema.storage import load_record, save_record

Frame = Literal["world", "camera", "wrist"]
"""In which frame keypoints are given.

``world``: z up, metres; what a keypoint file is taken to be in. ``camera``: OpenCV axes, x right, y down, z forward,
origin in the camera. ``wrist``: origin in the wrist of the same frame, so the motion of the wrist is not known; axes
of an upright camera, x forward (away from it), y left, z up."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
_KIND, _VERSION = "keypoint_sequence", 1


@dataclass(frozen=True, kw_only=True, eq=False)
class KeypointSequence:
    """Keypoints of one human hand at a constant frame rate."""

    keypoints: Float[np.ndarray, "T 21 3"]
    """Position of each keypoint, m, in `frame`; NaN where nothing was seen."""
    valid: Bool[np.ndarray, " T"]
    """Frames in which all 21 points were measured. Bridging fills keypoints and leaves this as it is."""
    fps: float
    """Frames per second."""
    frame: Frame = "world"
    """The frame of the keypoints."""
    side: str = "right"
    """Which hand it is, 'right' or 'left'."""
    source: str = ""
    """Where it comes from: a file, a device."""
    start_frame: int = 0
    """Number of the first frame in the source."""

    def __len__(self) -> int:
        return len(self.keypoints)

    def replace(self, **changes: Any) -> KeypointSequence:
        """A copy with some fields changed."""
        return replace(self, **changes)

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` that `read_source` reads back, with frame rate, frame, side and what was measured."""
        header = {name: getattr(self, name) for name in ("fps", "frame", "side", "source", "start_frame")}
        arrays = {"keypoints": self.keypoints, "valid": self.valid}
        save_record(path, kind=_KIND, version=_VERSION, header=header, arrays=arrays)

    @classmethod
    def load(cls, path: str | Path) -> KeypointSequence:
        """Read what `save` wrote.

        Raises:
            ValueError: The file is missing, damaged or of another kind.
        """
        header, arrays = load_record(path, kind=_KIND, version=_VERSION)
        try:
            values = {name: header[name] for name in ("fps", "frame", "side", "source", "start_frame")}
            values["fps"] = float(values["fps"])
            return cls(keypoints=arrays["keypoints"], valid=arrays["valid"], **values)
        except KeyError as error:
            raise ValueError(f"'{path}' is damaged: it lacks {error}.") from error


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a source is read; each reader names the options that do not apply to it."""

    side: str = "right"
    """The hand to follow, 'right' or 'left'."""
    fps: float | None = None
    """Frames per second; None takes the source's own, and 30 for a plain keypoint file."""
    scale: float = 1.0
    """Keypoint files: factor to metres, 0.001 for millimetres."""
    camera: Path | None = None
    """Videos: ``camera.json`` of the colour images; places the hand before the camera, or in the world where the
    file has ``T_world_camera``."""
    depth: Path | None = None
    """Videos: depth frames that belong to the colour frames one by one, a folder of 16-bit images or an ``.npy`` /
    ``.npz`` (T, H, W); with `camera`, places the hand by measured depth."""
    mirrored: bool = False
    """Videos: the pictures are mirrored, as selfie cameras show them."""
    two_hands: bool = False
    """Videos: both hands are in view. Slower: while only one is found, the detector searches every frame."""
    seconds: float | None = None
    """Webcam: how long to record; None records until Ctrl-C."""
    progress: bool = True
    """Show a progress bar on work longer than two seconds."""


DEFAULTS = SourceOptions()


@runtime_checkable
class KeypointSource(Protocol):
    """Turns one kind of source into keypoints."""

    def read(self, source: str, options: SourceOptions) -> KeypointSequence:
        """All frames of the source; those without a hand are NaN.

        Args:
            source: File, folder or device.
            options: How to read it.

        Raises:
            ValueError: The source cannot be read, an option does not apply, or there is no hand in it.
        """
        ...


SOURCES = Registry(
    "Source",
    {
        "keypoints": "unihm.sources.keypoint_file:KeypointFile",
        "video": "unihm.sources.video:Video",
        "webcam": "unihm.sources.video:Webcam",
    },
)
"""Kind of source to its reader."""


def source_kind(source: str | Path) -> str:
    """The name in `SOURCES` that a source belongs to, by its suffix.

    Raises:
        ValueError: It is none of them.
    """
    name, path = str(source), Path(source)
    if re.fullmatch(r"webcam(:\d+)?", name):
        return "webcam"
    if path.suffix.lower() in (".npy", ".npz"):
        return "keypoints"
    if path.suffix.lower() in VIDEO_SUFFIXES or path.is_dir():
        return "video"
    raise ValueError(
        f"'{source}' is no source of keypoints. Expected keypoints (.npy, .npz), a video "
        f"({', '.join(VIDEO_SUFFIXES)}), a folder of its images, or webcam (webcam:1 for the second one)."
    )


def read_source(source: str | Path, *, options: SourceOptions = DEFAULTS, **changes: Any) -> KeypointSequence:
    """Keypoints from a file, a video or a webcam.

    What was not seen stays NaN; `gaps.bridge` fills short gaps and counts them.

    Args:
        source: ``.npy`` or ``.npz`` with (T, 21, 3); a video file or a folder of its images; ``webcam`` or
            ``webcam:1``.
        options: How to read it.
        **changes: Fields of `SourceOptions`, for short: ``read_source("hand.mp4", side="left")``.

    Raises:
        ValueError: The source does not exist, has the wrong form, or shows no hand, or the other hand.
    """
    options = replace(options, **changes)
    if options.fps is not None and not (np.isfinite(options.fps) and options.fps > 0):
        raise ValueError(f"The frame rate is {options.fps:g}, expected a positive number of frames per second.")
    if not (np.isfinite(options.scale) and options.scale > 0):
        raise ValueError(f"The scale is {options.scale:g}, expected a positive factor to metres.")
    return SOURCES[source_kind(source)]().read(str(source), options)
