"""How fast are tokens? Frames per second in batch, milliseconds for one frame, at every rate.

Run: ``python benchmarks/tokenizer_speed.py --data STORE [--hand shadow] [--threads 2]``

Motions are all of `release/validation`; their canonical frames are given, as where an object is tracked (``paths`` says
what finding them costs). Medians of repeated runs; records and features are included.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unihm.datasets.episode_store import episode_table
from unihm.datasets.splits import split
from unihm.evaluation.tables import text_table
from unihm.evaluation.tokenizer import motions_of, rounded
from unihm.tokenizer.features import canonical_path
from unihm.tokenizer.stream import Translator
from unihm.tokenizer.tokenizer import load_tokenizer

_BATCHES, _FRAMES = 7, 200  # repetitions


def median_seconds(function: Callable[[], Any], times: int) -> float:
    """Of calls after the first."""
    function()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return float(np.median(found))


def measure(data: Path, hand: str) -> list[dict[str, Any]]:
    """A row for each rate."""
    tokenizer = load_tokenizer()
    ids = split("release", "validation", episode_table(data))
    motions = list(motions_of(data, hand, ids).values())
    paths = list(map(canonical_path, motions))
    frames = sum(map(len, motions))
    one, frame = motions[0].replace(
        qpos=motions[0].qpos[:1], T_world_palm=motions[0].T_world_palm[:1], T_world_object=None, contact_phase=None
    ), [paths[0][:1]]  # fmt: skip
    path_rate = frames / median_seconds(lambda: list(map(canonical_path, motions)), 3)
    rows = []
    for levels in tokenizer.rates:
        tokens = tokenizer.encode_all(motions, paths, levels=levels)
        single = tokenizer.encode_all([one], frame, levels=levels)
        translator = Translator(tokenizer, hand, hand, levels=levels)

        def chunk(translator: Translator = translator) -> None:
            for q, T, path in zip(motions[0].qpos[:4], motions[0].T_world_palm[:4], paths[0][:4], strict=True):
                translator.push(q, T, path)

        rows.append({
            "hand": hand, "bits_per_frame": tokenizer.bits(levels), "paths_per_second": path_rate,
            "encode_per_second": frames / median_seconds(
                lambda n=levels: tokenizer.encode_all(motions, paths, levels=n), _BATCHES),
            "decode_per_second": frames / median_seconds(lambda t=tokens: tokenizer.decode_all(t, hand), _BATCHES),
            "encode_one_ms": 1e3 * median_seconds(
                lambda n=levels: tokenizer.encode_all([one], frame, levels=n), _FRAMES),
            "decode_one_ms": 1e3 * median_seconds(lambda t=single: tokenizer.decode_all(t, hand), _FRAMES),
            "stream_chunk_ms": 1e3 * median_seconds(chunk, _FRAMES),
        })  # fmt: skip
    return rows


def main() -> None:
    """Print one row a rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="episode store")
    parser.add_argument("--hand", default="shadow")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = measure(args.data, args.hand)
    print(json.dumps(rows) if args.json else text_table(rounded(rows), None))


if __name__ == "__main__":
    main()
