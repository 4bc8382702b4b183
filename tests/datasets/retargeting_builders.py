"""A retargeting without anything to solve, for the tests of stores; importable by worker processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from unihm.datasets.recordings import Recordings, Solved


class WristOnly:
    """A hand of one joint, whose palm follows the wrist."""

    def __init__(
        self,
        scale: float = 1.0,
        *,
        code: str = "1",
        die_at: int = -1,
        stop_at: int = -1,
        pause: float = 0,
        log: str = "",
    ):
        """Which fate awaits it.

        Args:
            scale: Of the wrist's path, so that results differ.
            code: What it says of its code.
            die_at: The process is killed in this call, counted from 1.
            stop_at: Ctrl-C is pressed in this call.
            pause: Time of a call, s.
            log: File to which each call adds a line with the lengths of its recordings.
        """
        self.scale, self.code, self.die_at, self.stop_at = scale, code, die_at, stop_at
        self.pause, self.log = pause, log
        self.lengths: list[tuple[int, ...]] = []
        """Of the recordings of each call in this process; their lengths tell the tests' recordings apart."""

    def describe(self, hand: str) -> tuple[str, dict[str, Any]]:
        """Only mittens fit everybody."""
        if hand == "glove of iron":
            raise ValueError("Hand 'glove of iron' is too stiff.")
        return hand, {"unihm": "0", "code": self.code, "hand": "wool", "config": {"scale": self.scale}}

    def check(self, keypoints_world: np.ndarray, where: str) -> None:
        """Everything is fine but a hand far away."""
        if np.abs(keypoints_world).max() > 1e3:
            raise ValueError(f"{where}the hand is far away.")

    def __call__(self, task: Recordings) -> Solved:
        """Copy the wrist's path."""
        frames = sum(task.lengths)
        if frames > 1:  # not the single frame on which workers warm up
            self.lengths.append(task.lengths)
            if len(self.lengths) == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if len(self.lengths) == self.stop_at:
                raise KeyboardInterrupt
            if self.log:
                with Path(self.log).open("a") as file:
                    file.write(" ".join(str(length) for length in task.lengths) + "\n")
            time.sleep(self.pause)
        palm = np.tile(np.eye(7, dtype=np.float32)[3], (frames, 1))
        palm[:, :3] = self.scale * task.keypoints_world[:, 0]
        return Solved(
            joint_names=("grip",), qpos=task.keypoints_world[:, 0, :1], T_world_palm=palm, unconverged=1, seconds=0.5
        )
