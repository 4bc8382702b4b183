"""Does the metric encoder measure something? Features of true, disturbed and simply predicted motions.

Run: ``python benchmarks/metric_encoder.py --data STORE [--hand human shadow] [--weights FILE] [--out FOLDER]``

On `release/validation`, the recordings that choices are made on; nothing is measured on test parts. One row a hand and
kind of motion: fid and kid of one half of the recordings against the truth of the other half (their floor is the row
``recorded``), R-precision among 32, distance from the own sentence, diversity. The palm noise is one random
displacement for each motion, held over its frames; the approach from a wrong side turns the hand's whole motion by half
a turn about the vertical through the object's frame; spoiled fingers are those of the next recording.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from unihm.commands.evaluate import evaluation_facts
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import read_motions
from unihm.datasets.splits import split
from unihm.evaluation.cases import Case, case_of
from unihm.evaluation.distribution_figures import distribution_figures, recorded
from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.motion_text.encoder import load_metric_encoder
from unihm.evaluation.references import ConstantPose, NearestNeighbour, RidgeRegression
from unihm.evaluation.tables import text_table
from unihm.hands.hand import load_hand
from unihm.schema.storage import write_json, write_text

_NOISE_MM = (2, 5, 10, 20, 50)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="episode store with retargeted motions")
    parser.add_argument("--hand", nargs="+", default=["human", "shadow"])
    parser.add_argument("--weights", type=Path, help="default: those that come with unihm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for table.txt and table.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    facts = evaluation_facts(arguments.data, arguments.seed, quick=False)
    encoder = load_metric_encoder("release", arguments.weights)
    records = episode_table(arguments.data)
    ids = {part: split("release", part, records) for part in ("train", "validation")}
    episodes = {e.id: e for e in read_episodes(arguments.data, [i for part in ids.values() for i in part])}
    rows: list[dict[str, Any]] = []
    for name in arguments.hand:
        hand, motions = load_hand(name), read_motions(arguments.data, name)
        train, test = ([case_of(episodes[i], motions[i], hand) for i in ids[part]] for part in ("train", "validation"))
        of = recorded(
            encoder,
            [case.truth for case in test],
            [case.given for case in test],
            [case.episode.instructions for case in test],
            hand.keypoint_indices.tolist(),
        )
        for kind, tracks in kinds(train, test, arguments.seed).items():
            found = distribution_figures(encoder, of, [[t] for t in tracks], reads_words=False, seed=arguments.seed)
            shown = {key: round(value, 3) for key, value in found.items() if isinstance(value, float)}
            rows.append({"split": "release/validation", "hand": name, "method": kind, "n": len(test), **shown})
    table = text_table(rows, 3)
    print(table)
    if arguments.out is not None:
        write_text(arguments.out / "table.txt", table + "\n")
        write_json(arguments.out / "table.json", {**facts, "weights": encoder.card["fingerprint"], "rows": rows})


def kinds(train: Sequence[Case], test: Sequence[Case], seed: int) -> dict[str, list[Track]]:
    """What is measured, by its name in the table."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(len(test), 3))
    found = {"recorded": [case.truth for case in test]}
    for noise in _NOISE_MM:
        found[f"palm noise {noise} mm"] = [
            moved(case.truth, 1e-3 * noise * d) for case, d in zip(test, directions, strict=True)
        ]
    found["fingers of another"] = [
        with_fingers(case.truth, other.truth) for case, other in zip(test, [*test[1:], test[0]], strict=True)
    ]
    found["from a wrong side"] = [turned(case) for case in test]
    learned, selected = ([(case.given, case.truth) for case in part] for part in (train, test))
    for name, reference in {
        "nearest neighbour": NearestNeighbour(learned),
        "ridge regression": RidgeRegression(learned, selected),
        "constant initial pose": ConstantPose(),
    }.items():
        found[name] = [reference.predict(case.given) for case in test]
    return found


def moved(track: Track, by: Float[np.ndarray, " 3"]) -> Track:
    """The hand beside its place in all frames, m."""
    T = track.T_world_palm.copy()
    T[:, :3, 3] += by
    return replace(
        track, keypoints_world=track.keypoints_world + by, T_world_palm=T, wrist_world=track.wrist_world + by
    )


def turned(case: Case) -> Track:
    """The hand's motion half a turn further about the z axis of the moving canonical frame."""
    T_world_canonical = case.given.T_world_canonical
    turn = T_world_canonical @ np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.linalg.inv(T_world_canonical)
    R, t = turn[:, :3, :3], turn[:, :3, 3]
    track = case.truth
    return replace(
        track,
        keypoints_world=track.keypoints_world @ R.swapaxes(1, 2) + t[:, None],
        T_world_palm=turn @ track.T_world_palm,
        wrist_world=(R @ track.wrist_world[..., None])[..., 0] + t,
    )


def with_fingers(track: Track, other: Track) -> Track:
    """The hand with the fingers of another recording, over the same share of its time."""
    frames = np.linspace(0, len(other) - 1, len(track)).round().astype(int)
    source, T = other.T_world_palm[frames], track.T_world_palm
    palm = (other.keypoints_world[frames] - source[:, None, :3, 3]) @ source[:, :3, :3]
    return replace(track, keypoints_world=palm @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3])


if __name__ == "__main__":
    main()
