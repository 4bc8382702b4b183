"""Keypoints from a video or a webcam (the ``video`` extra).

In which frame they are depends on what is known:

- without a camera: ``wrist``, the hand's own motion only. Origin in the wrist; x forward (away from the camera),
  y left, z up for an upright camera.
- with a camera: ``camera``, placed by the hand's assumed size, or by depth where depth frames are given
  (``placement``).
- with a camera whose pose is known: ``world``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from unihm.geometry.camera import Camera
from unihm.kinematics.keypoints import WRIST
from unihm.sources.base import DEFAULTS, Frame, KeypointSequence, SourceOptions
from unihm.sources.checks import check_keypoints
from unihm.sources.depth_frames import DepthFrames
from unihm.sources.hand_landmarks import HandDetector, Sighting
from unihm.sources.placement import PALM, place_by_depth, place_by_size
from unihm.sources.video_frames import VideoFrames

# An upright camera's x right, y down, z forward as x forward, y left, z up.
_R_UPRIGHT_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


class HandVideo:
    """One hand in a video or before a webcam, frame by frame; use ``with``, or close it."""

    def __init__(self, device: str, options: SourceOptions = DEFAULTS):
        """Open the video and load the detector.

        Args:
            device: Video file, folder of images, or ``webcam`` / ``webcam:1``.
            options: Side, camera, mirrored or not, one hand or two in view.

        Raises:
            ValueError: The device cannot be opened, ``camera.json`` is damaged, or the video extra is missing.
        """
        if options.scale != 1:
            raise ValueError(f"'{device}': option scale is for keypoint files; a video is measured in metres.")
        self.options = options
        self.camera = None if options.camera is None else Camera.load(options.camera)
        self.frames = VideoFrames(device)
        try:
            self.detector = HandDetector(side=options.side, two_hands=options.two_hands)
        except BaseException:
            self.frames.close()
            raise

    @property
    def fps(self) -> float:
        """Frames per second, as given or as the device states it; 0 where neither is known."""
        return self.options.fps or self.frames.fps

    @property
    def frame(self) -> Frame:
        """The frame of the keypoints; see `base.Frame`."""
        if self.camera is None:
            return "wrist"
        return "camera" if self.camera.T_world_camera is None else "world"

    def sightings(self) -> Iterator[Sighting | None]:
        """The hand in each frame, None where it is not seen; closes the video when it ends or is left."""
        try:
            for number, picture in enumerate(self.frames):
                self._check_size(picture, number)
                # Contiguous, as mediapipe wants it. Mirroring back makes hands what they are.
                yield self.detector.find(np.ascontiguousarray(picture[:, ::-1]) if self.options.mirrored else picture)
        finally:
            self.close()

    def keypoints(self) -> Iterator[Float[np.ndarray, "21 3"] | None]:
        """Keypoints of each frame as it comes, m, in `frame`; None where no hand is seen. Depth is not used."""
        for sighting in self.sightings():
            if sighting is None:
                yield None
            else:
                yield self.place(sighting.shape[None], sighting.pixels[None])[0]

    def place(
        self,
        shape: Float[np.ndarray, "T 21 3"],
        pixels: Float[np.ndarray, "T 21 2"],
        palm_depth: Float[np.ndarray, "T 5"] | None = None,
    ) -> Float[np.ndarray, "T 21 3"]:
        """Keypoints in `frame` from what the detector saw."""
        if self.camera is None:
            return (shape - shape[:, WRIST : WRIST + 1]) @ _R_UPRIGHT_CAMERA.T
        if palm_depth is None:
            points = place_by_size(shape, pixels, self.camera)
        else:
            points, _ = place_by_depth(shape, pixels, palm_depth, self.camera)
        T = self.camera.T_world_camera
        return points if T is None else points @ T[:3, :3].T + T[:3, 3]

    def close(self) -> None:
        """Release device and detector; closing twice is fine."""
        self.frames.close()
        self.detector.close()

    def __enter__(self) -> HandVideo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_size(self, picture: np.ndarray, number: int) -> None:
        height, width = picture.shape[:2]
        if self.camera is not None and (width, height) != (self.camera.width, self.camera.height):
            raise ValueError(
                f"Frame {number} is {width}x{height}, '{self.options.camera}' is for {self.camera.width}x"
                f"{self.camera.height} pixels."
            )


class Video:
    """A video file, or a folder of its images."""

    def read(self, source: str, options: SourceOptions) -> KeypointSequence:
        """See `KeypointSource.read`."""
        if options.seconds is not None:
            raise ValueError(f"'{source}': option seconds is for webcams; a video is read to its end.")
        return _read(source, options)


class Webcam:
    """A camera of this machine, recorded until Ctrl-C or for some seconds."""

    def read(self, source: str, options: SourceOptions) -> KeypointSequence:
        """See `KeypointSource.read`."""
        if options.depth is not None:
            raise ValueError(f"'{source}': option depth is for recorded videos.")
        return _read(source, options)


def _read(source: str, options: SourceOptions) -> KeypointSequence:
    """All frames of a video, or a recording from a webcam."""
    from tqdm import tqdm

    with HandVideo(source, options) as video:
        if not video.fps and not video.frames.live:
            raise ValueError(f"'{source}' does not state its frame rate; give fps.")
        depth = _depth(video, source, options)
        shapes, pixels, depths = [], [], []
        start = now = time.perf_counter()
        with tqdm(
            total=video.frames.count or None, desc="hand", unit="frame", delay=2, disable=not options.progress
        ) as bar:
            try:
                for number, sighting in enumerate(video.sightings()):
                    now = time.perf_counter()
                    shapes.append(np.full((21, 3), np.nan) if sighting is None else sighting.shape)
                    pixels.append(np.full((21, 2), np.nan) if sighting is None else sighting.pixels)
                    if depth is not None:
                        depths.append(np.full(len(PALM), np.nan))
                        if sighting is not None and number < len(depth):
                            depths[-1] = depth.at(number, sighting.pixels[PALM])
                    bar.update()
                    if options.seconds is not None and _elapsed(video, len(shapes), now - start) >= options.seconds:
                        break
            except KeyboardInterrupt:
                if not video.frames.live:  # a recording ends with Ctrl-C, reading a file is given up
                    raise
        _check_seen(source, shapes, video.detector.other_side, options.side)
        if depth is not None and len(depth) != len(shapes):
            raise ValueError(f"'{options.depth}' has {len(depth)} depth frames, '{source}' has {len(shapes)} frames.")
        keypoints = video.place(np.stack(shapes), np.stack(pixels), np.stack(depths) if depths else None)
        fps = options.fps or (len(shapes) - 1) / max(now - start, 1e-9) if video.frames.live else video.fps
        frame = video.frame
    check_keypoints(keypoints, options.side, f"'{source}': ", allow_missing=True)
    return KeypointSequence(
        keypoints=keypoints,
        valid=np.all(np.isfinite(keypoints), axis=(1, 2)),
        fps=fps,
        frame=frame,
        side=options.side,
        source=source,
    )


def _depth(video: HandVideo, source: str, options: SourceOptions) -> DepthFrames | None:
    if options.depth is None:
        return None
    if video.camera is None:
        raise ValueError(f"'{source}': depth places the hand only with its camera; give camera, a camera.json.")
    if options.mirrored:
        raise ValueError(f"'{source}': depth with a mirrored video is ambiguous; mirror both back first.")
    return DepthFrames(options.depth, video.camera)


def _elapsed(video: HandVideo, frames: int, wall_s: float) -> float:
    """Seconds recorded: by the clock from a camera, by the frame rate from a file."""
    return wall_s if video.frames.live else frames / video.fps


def _check_seen(source: str, shapes: list[Any], other: int, side: str) -> None:
    """Something was read, and the hand that was asked for was in it more often than the other alone."""
    if not shapes:
        raise ValueError(f"'{source}' has no frame that can be decoded.")
    seen = sum(bool(np.isfinite(shape[0, 0])) for shape in shapes)
    if other > seen:
        name = "left" if side == "right" else "right"
        raise ValueError(
            f"'{source}': {other} of {len(shapes)} frames show a {name} hand and {seen} a {side} one. Ask for the "
            f"{name} hand; or say that the picture is mirrored, as selfies are, or that two hands are in view."
        )
    if not seen:
        raise ValueError(f"'{source}': no hand in any of the {len(shapes)} frames.")
