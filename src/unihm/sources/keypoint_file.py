"""Keypoints from NumPy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unihm.kinematics.keypoints import FINGERS
from unihm.schema.storage import HEADER, load_arrays
from unihm.sources.base import KeypointSequence, SourceOptions
from unihm.sources.checks import check_keypoints

_CHUNK = 1 << 15  # frames at a time
_DEFAULT_FPS = 30.0  # the frame rate of unihm's worlds


class KeypointFile:
    """``.npy`` or ``.npz`` with (T, 21, 3) in metres, or what `KeypointSequence.save` wrote.

    An ``.npz`` holds the points under ``keypoints`` or as its only array; ``fps`` beside them is the frame rate.
    Points that are not finite, and fingers or hands without extent (many recorders write zeros), count as not seen.
    """

    def read(self, source: str, options: SourceOptions) -> KeypointSequence:
        """See `KeypointSource.read`."""
        for name in ("camera", "depth", "mirrored", "two_hands", "seconds"):
            if getattr(options, name):
                raise ValueError(f"'{source}': option {name} is for videos, this is a keypoint file.")
        path = Path(source)
        arrays = load_arrays(path)
        if HEADER in arrays:
            saved = KeypointSequence.load(path)
            if saved.side != options.side:
                raise ValueError(f"'{path}' holds a {saved.side} hand, expected a {options.side} hand.")
            keypoints, fps, frame = saved.keypoints, options.fps or saved.fps, saved.frame
            valid, start = saved.valid, saved.start_frame
        else:
            keypoints, frame, start = _points(path, arrays), "world", 0
            fps, valid = options.fps or _fps(path, arrays), None
        if options.scale != 1 and np.asarray(keypoints).dtype.kind in "fiu":
            keypoints = keypoints * np.float64(options.scale)
        keypoints = _open(keypoints)
        check_keypoints(keypoints, options.side, f"'{path}': ", allow_missing=True)
        complete: np.ndarray = np.all(np.isfinite(keypoints), axis=(1, 2))
        return KeypointSequence(
            keypoints=keypoints,
            valid=complete if valid is None else valid & complete,
            fps=float(fps),
            frame=frame,
            side=options.side,
            source=source,
            start_frame=start,
        )


def _points(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    if "keypoints" in arrays:
        return arrays["keypoints"]
    if len(arrays) != 1:
        names = ", ".join(sorted(arrays)) or "nothing"
        raise ValueError(f"'{path}' holds {names}; expected one array or one named keypoints.")
    return next(iter(arrays.values()))


def _fps(path: Path, arrays: dict[str, np.ndarray]) -> float:
    """The file's frame rate, which may be given beside an array named keypoints."""
    if "fps" not in arrays or "keypoints" not in arrays:
        return _DEFAULT_FPS
    value = arrays["fps"]
    if value.size != 1 or value.dtype.kind not in "fiu" or not 0 < float(value.item()) < np.inf:
        raise ValueError(f"'{path}': fps must be one positive number.")
    return float(value.item())


def _open(keypoints: np.ndarray) -> np.ndarray:
    """Infinite points, and hands and fingers without extent, become NaN; wrong shapes pass for `check_keypoints`."""
    if keypoints.ndim != 3 or keypoints.shape[1:] != (21, 3) or keypoints.dtype.kind not in "fiu":
        return keypoints
    points = keypoints.astype(np.float64)
    for start in range(0, len(points), _CHUNK):
        part = points[start : start + _CHUNK]
        part[~np.isfinite(part).all(axis=-1)] = np.nan
        part[(part == part[:, :1]).all(axis=(1, 2))] = np.nan
        fingers = part[:, 1:].reshape(len(part), len(FINGERS), -1, 3)
        points_alike = (fingers == fingers[:, :, :1]).all(axis=(2, 3)).repeat(fingers.shape[2], axis=1)
        part[:, 1:][points_alike] = np.nan
    return points
