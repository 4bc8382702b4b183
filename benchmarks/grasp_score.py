"""Which grasps hold? Data and fit of `refinement.grasp.score`, and its choice for objects that it was not fitted on.

Run: ``python benchmarks/grasp_score.py --data STORE --models FOLDER --out FOLDER``

Recordings of `release/train` and `release/validation`, evenly many of each object. Of the grasps that are found for a
motion three are executed on the true object (criterion of FACTS 8, one rollout each); what the score looks at and what
came of it go to ``grasps.jsonl``, which an interrupted run continues. Then a logistic regression, once on everything
and once for each object without its trials, chooses one of the three for every motion. The table tells how often what
is chosen holds: by the shipped weights, by the refitted ones, with the object left out, at random, and by an oracle.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from tqdm import tqdm

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import attach, read_motions
from unihm.datasets.splits import split
from unihm.evaluation.cases import evenly
from unihm.evaluation.tables import text_table
from unihm.hands.description import HandDescription, describe_hand
from unihm.processes import spread
from unihm.refinement import RefinementConfig
from unihm.refinement.algorithm import motion_of
from unihm.refinement.grasp import WEIGHTS, features, find_grasps
from unihm.refinement.joint import with_grasp
from unihm.refinement.segment import Segment
from unihm.schema.motion import HandMotion
from unihm.simulation.resting import at_rest
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.tasks import run
from unihm.simulation.ycb import LEANING, load_ycb

HANDS = ("shadow", "allegro", "leap", "panda", "xhand")
_RANKS = (0, 2, 4)  # of a motion's grasps: the best, and some that differ from it
_RIDGE = 3.0  # of the fit, with features of unit variance

Task = tuple[str, str, str, HandMotion, str]  # hand, recording, object, motion, folder of meshes


def recordings(data: Path, each: int) -> list[tuple[str, str]]:
    """Recordings and their objects, `each` of every object."""
    known = episode_table(data)
    chosen = {*split("release", "train", known), *split("release", "validation", known)} - set(LEANING)
    of_object = defaultdict(list)
    for record in known:
        if record.id in chosen and not record.mirrored:
            of_object[record.object_name].append(record.id)
    return [(i, name) for name, ids in sorted(of_object.items()) for i in evenly(sorted(ids), each)]


def tried(task: Task) -> list[dict]:
    """Some grasps of a motion, executed."""
    hand_name, recording, object_name, given, models = task
    hand, object = _hand(hand_name), _object(models, object_name)
    segment = Segment(at_rest(given, object), hand, RefinementConfig())
    grasps, rows = find_grasps(segment), []
    for rank in _RANKS if len(grasps) > max(_RANKS) else range(len(grasps)):
        motion = motion_of(segment, with_grasp(segment, grasps[rank]))
        outcome, _ = run("grab", motion, object=object, criterion="light")
        row = {"hand": hand_name, "recording": recording, "object": object_name, "rank": rank}
        rows.append({**row, "success": outcome.success, "reason": outcome.reason, **features(segment, grasps[rank])})
    return rows


@lru_cache
def _hand(name: str) -> HandDescription:
    return describe_hand(name)


@lru_cache
def _object(models: str, name: str) -> SolidObject:
    return load_ycb(models, name)


def collect(tasks: list[Task], path: Path, workers: int) -> list[dict]:
    """Rows of all tasks; those that the file has are not made again."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["hand"], row["recording"]) for row in rows}
    left = [task for task in tasks if task[:2] not in done]
    with path.open("a") as file, spread(tried, workers) as executed:
        for _, found in tqdm(executed(left), total=len(left), unit="motion", disable=None):
            file.writelines(json.dumps(row) + "\n" for row in found)
            file.flush()
            rows += found
    wanted = {task[:2] for task in tasks}
    return [row for row in rows if (row["hand"], row["recording"]) in wanted]


def fitted(X: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Weights of a logistic regression with a ridge, for features as they are."""
    mean, spread_ = X.mean(axis=0), X.std(axis=0) + 1e-9
    Z = np.column_stack([np.ones(len(X)), (X - mean) / spread_])

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        logit = Z @ w
        ridge = np.append(0.0, _RIDGE * w[1:])
        p = 1 / (1 + np.exp(-logit))
        return float(np.logaddexp(0, logit).sum() - y @ logit + 0.5 * ridge @ w), Z.T @ (p - y) + ridge

    return minimize(loss, np.zeros(Z.shape[1]), jac=True, method="L-BFGS-B").x[1:] / spread_


def table(rows: list[dict]) -> tuple[list[dict], dict[str, float]]:
    """How often the chosen grasp holds, object by object and hand by hand; and the weights fitted on everything."""
    names = list(WEIGHTS)
    X = np.array([[row[name] for name in names] for row in rows])
    y = np.array([row["success"] for row in rows], dtype=float)
    object_of = np.array([row["object"] for row in rows])
    weights = fitted(X, y)
    scores = {"shipped": X @ np.array([WEIGHTS[name] for name in names]), "refitted": X @ weights}
    scores["left out"] = np.empty(len(rows))
    for name in set(object_of):
        own = object_of == name
        scores["left out"][own] = X[own] @ fitted(X[~own], y[~own])
    motions = defaultdict(list)
    for k, row in enumerate(rows):
        motions[row["hand"], row["recording"]].append(k)
    chosen = {name: {key: y[max(ks, key=lambda k: score[k])] for key, ks in motions.items()}
              for name, score in scores.items()}  # fmt: skip
    chosen["at random"] = {key: y[ks].mean() for key, ks in motions.items()}
    chosen["oracle"] = {key: y[ks].max() for key, ks in motions.items()}
    lines = []
    for column in ("object", "hand"):
        of = {key: rows[ks[0]][column] for key, ks in motions.items()}
        for value in sorted(set(of.values())):
            own = [key for key in motions if of[key] == value]
            lines.append(
                {"of": value, "motions": len(own)}
                | {name: 100 * float(np.mean([found[key] for key in own])) for name, found in chosen.items()}
            )
    total = {name: 100 * float(np.mean(list(found.values()))) for name, found in chosen.items()}
    lines.append({"of": "all", "motions": len(motions), **total})
    return lines, dict(zip(names, weights.round(3).tolist(), strict=True))


def main() -> None:
    """Collect, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hands", nargs="+", default=HANDS)
    parser.add_argument("--each", type=int, default=6, help="recordings of every object")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    chosen = recordings(arguments.data, arguments.each)
    episodes = {episode.id: episode for episode in read_episodes(arguments.data, [i for i, _ in chosen])}
    tasks: list[Task] = []
    for hand in arguments.hands:
        motions = read_motions(arguments.data, hand)
        tasks += [(hand, i, name, attach(motions[i], episodes[i]), str(arguments.models)) for i, name in chosen]
    rows = collect(tasks, arguments.out / "grasps.jsonl", arguments.workers)
    lines, weights = table(rows)
    print(text_table(lines, 1))
    print("Percent of motions whose chosen grasp holds. Weights fitted on all:")
    print(json.dumps(weights))


if __name__ == "__main__":
    main()
