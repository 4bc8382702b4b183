"""Keypoints as they come, for following a hand live: a webcam, a video, or a keypoint file played back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.sources.base import DEFAULTS, SourceOptions, read_source, source_kind


def follow(
    source: str | Path, *, options: SourceOptions = DEFAULTS, **changes: Any
) -> Iterator[Float[np.ndarray, "21 3"] | None]:
    """Keypoints frame by frame, m; None where no hand is seen, for the caller to hold or to stop.

    Nothing is bridged: a gap cannot be bridged before it ends. Leaving the loop closes camera or file.

    Args:
        source: As for `read_source`.
        options: As for `read_source`; depth cannot be used, since the hand's size is found from a whole recording.
        **changes: Fields of `SourceOptions`.

    Raises:
        ValueError: As `read_source`, before the first frame.
    """
    options = replace(options, **changes)
    if source_kind(source) == "keypoints":
        sequence = read_source(source, options=options)
        complete: np.ndarray = np.all(np.isfinite(sequence.keypoints), axis=(1, 2))
        return (points if seen else None for points, seen in zip(sequence.keypoints, complete, strict=True))
    if options.depth is not None:
        raise ValueError(f"'{source}': depth is used for whole recordings; a hand is followed live without it.")
    from unihm.sources.video import HandVideo

    return HandVideo(str(source), options).keypoints()
