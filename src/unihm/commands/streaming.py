"""Frames as JSON lines, in and out."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import numpy as np

from unihm.geometry.pose import pose_to_vector, vector_to_pose

if TYPE_CHECKING:
    from unihm.tokenizer.stream import TranslatedChunk
    from unihm.tokenizer.tokenizer import Tokenizer


def translate_lines(tokenizer: Tokenizer, source: str, target: str, levels: int) -> None:
    """Translate frames from standard input to standard output, a chunk at a time.

    A line in is ``{"qpos": [...], "palm": [x, y, z, qw, qx, qy, qz]}``, with ``"object"`` (the pose of the canonical
    object frame) where there is an object. A line out has ``qpos``, ``palm``, and with the first frame of a chunk its
    ``codes``.

    Raises:
        ValueError: A line is no such object; it is named by its number.
    """
    from unihm.tokenizer.stream import Translator

    translator = Translator(tokenizer, source, target, levels=levels)
    for number, line in enumerate(sys.stdin, start=1):
        if not line.strip():
            continue
        try:
            frame = json.loads(line)
            qpos, palm = np.array(frame["qpos"], dtype=np.float64), _pose(frame["palm"])
            chunk = translator.push(qpos, palm, _pose(frame["object"]) if "object" in frame else None)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"Line {number} is no frame with qpos and palm: {error}") from None
        _write(chunk)
    _write(translator.finish())


def _pose(vector: list[float]) -> np.ndarray:
    numbers = np.array(vector, dtype=np.float64)
    if numbers.shape != (7,) or not np.isfinite(numbers).all() or not np.linalg.norm(numbers[3:]) > 0:
        raise ValueError("a pose is x y z and a quaternion w x y z.")
    return vector_to_pose(numbers)


def _write(chunk: TranslatedChunk | None) -> None:
    if chunk is None:
        return
    for number, (qpos, palm) in enumerate(zip(chunk.qpos, chunk.T_world_palm, strict=True)):
        line = {"codes": chunk.codes.tolist()} if number == 0 else {}
        print(json.dumps({**line, "qpos": qpos.tolist(), "palm": pose_to_vector(palm).tolist()}), flush=True)
