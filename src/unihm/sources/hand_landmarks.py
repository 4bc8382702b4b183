"""Hands in pictures, found by mediapipe 0.10.14, whose wheel carries its model.

Mediapipe gives two things for a hand: where its 21 points are in the picture, and their shape in metres about the
hand's centre. The shape comes from the hand's cut-out alone, hence in the axes of a camera that looks straight at the
hand (x right, y down, z away), and in the size of an average hand.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from unihm.sources.video_frames import import_video_extra

# Mediapipe names the hand as it is in a mirrored picture (selfie); pictures here are not mirrored.
_SIDE = {"Left": "right", "Right": "left"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Sighting:
    """One hand in one picture."""

    side: str
    """Which hand it is, 'right' or 'left'."""
    score: float
    """How sure the detector is of the side, 0.5 to 1."""
    shape: Float[np.ndarray, "21 3"]
    """Keypoints about the hand's centre, m, in the axes of a camera that looks straight at the hand."""
    pixels: Float[np.ndarray, "21 2"]
    """Where they are in the picture, (u, v)."""


class HandDetector:
    """Finds hands in the frames of one video; each frame starts from where the hand was in the last."""

    def __init__(self, *, side: str, two_hands: bool = False):
        """Load the model.

        Args:
            side: The hand to follow.
            two_hands: Both hands are in view.
        """
        self.side = side
        self.other_side = 0
        """Frames in which only the other hand was seen."""
        _, mediapipe = import_video_extra()
        warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype", category=UserWarning)
        with _quiet():
            self._hands: Any = mediapipe.solutions.hands.Hands(
                static_image_mode=False,
                max_num_hands=2 if two_hands else 1,
                min_detection_confidence=0.5,
                min_tracking_confidence=0.5,
            )
            self._hands.process(np.zeros((64, 64, 3), dtype=np.uint8))  # loads the models now, not at the first frame
        self._last: np.ndarray | None = None  # pixels of the hand's centre

    def find(self, picture: UInt8[np.ndarray, "H W 3"]) -> Sighting | None:
        """The hand of the wanted side, or None. Of two, the one nearest to where it was."""
        found = self._hands.process(picture)
        hands = found.multi_hand_world_landmarks or []
        height, width = picture.shape[:2]
        seen = [
            Sighting(
                side=_SIDE[found.multi_handedness[i].classification[0].label],
                score=float(found.multi_handedness[i].classification[0].score),
                shape=np.array([[p.x, p.y, p.z] for p in hands[i].landmark], dtype=np.float64),
                # Landmarks run from 0 to 1 over the picture's edges; whole numbers here are pixel centres.
                pixels=np.array(
                    [[p.x * width - 0.5, p.y * height - 0.5] for p in found.multi_hand_landmarks[i].landmark]
                ),
            )
            for i in range(len(hands))
        ]
        mine = [sighting for sighting in seen if sighting.side == self.side]
        if not mine:
            self.other_side += bool(seen)
            return None
        last = self._last
        if last is None:
            best = max(mine, key=lambda sighting: sighting.score)
        else:
            best = min(mine, key=lambda sighting: float(np.linalg.norm(sighting.pixels.mean(0) - last)))
        self._last = best.pixels.mean(0)
        return best

    def close(self) -> None:
        """Free the model; closing twice is fine."""
        if self._hands is not None:
            self._hands.close()
            self._hands = None


@contextmanager
def _quiet() -> Iterator[None]:
    """Mediapipe's C++ side reports to stderr what it loads, past Python; there the user's own errors belong."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
