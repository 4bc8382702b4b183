"""Colour frames of a video file, a folder of images or a webcam, one after the other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp")


def import_video_extra() -> tuple[Any, Any]:
    """OpenCV and mediapipe.

    Raises:
        ValueError: The extra is not installed, or its libraries do not load.
    """
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what cannot be opened is said here, in one line
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2  # pyright: ignore[reportMissingImports]
        import mediapipe  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ValueError(f"Videos and webcams need {error.name}: pip install 'unihm[video]'.") from error
    except ImportError as error:  # OpenCV's wheel wants libGL, which servers may lack
        raise ValueError(f"The libraries of 'unihm[video]' do not load: {error}.") from error
    return cv2, mediapipe


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in the order of the numbers in their names.

    Raises:
        ValueError: There is none.
    """
    files = [path for path in folder.iterdir() if path.suffix.lower() in _IMAGES and not path.name.startswith(".")]
    if not files:
        raise ValueError(f"Folder '{folder}' holds no images ({', '.join(_IMAGES)}).")
    # 10.png comes after 9.png.
    return sorted(files, key=lambda path: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", path.name)])


class VideoFrames:
    """Frames as RGB images; iterate once, close in the end (or use ``with``)."""

    fps: float
    """Frames per second as the file or the camera states it; 0 where it does not."""
    count: int
    """Number of frames as the file states it; 0 where it is not known."""
    live: bool
    """Whether frames come as they happen."""

    def __init__(self, source: str):
        """Open a source.

        Args:
            source: Video file, folder of images, or ``webcam`` / ``webcam:1``.

        Raises:
            ValueError: It does not exist or cannot be decoded, or the video extra is missing.
        """
        self._cv2 = cv2 = import_video_extra()[0]
        self._capture: Any = None
        self._files: list[Path] = []
        self.live = source.partition(":")[0] == "webcam" and not Path(source).exists()
        self.fps, self.count = 0.0, 0
        self._source = source
        if self.live:
            self._capture = cv2.VideoCapture(int(source.partition(":")[2] or 0))
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not one that waited
            if not self._capture.isOpened():
                raise ValueError(f"There is no camera '{source}', or another program holds it.")
        elif Path(source).is_dir():
            self._files = image_files(Path(source))
            self.count = len(self._files)
        elif not Path(source).is_file():
            raise ValueError(f"File '{source}' does not exist.")
        else:
            self._capture = cv2.VideoCapture(source)
            if not self._capture.isOpened():
                raise ValueError(f"'{source}' is damaged or no video that OpenCV can decode.")
            self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        if self._capture is not None:
            fps = float(self._capture.get(cv2.CAP_PROP_FPS))
            self.fps = fps if np.isfinite(fps) and 0 < fps <= 1000 else 0.0  # some containers state nonsense

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        cv2 = self._cv2
        if self._capture is None:
            for path in self._files:
                picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
                if picture is None:
                    raise ValueError(f"'{path}' is damaged or no image.")
                yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            return
        while True:
            more, picture = self._capture.read()
            if not more:
                return
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Release file or camera; closing twice is fine."""
        if self._capture is not None:
            self._capture.release()

    def __enter__(self) -> VideoFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
