"""Constants behind the labels, measured again on the training recordings of a split: right hands, none mirrored.

    python benchmarks/retargeting_constants.py --data ../shared/data --split release --out out/constants
    python benchmarks/retargeting_constants.py --data ../shared/data --split release --part validation --sigmas 0.3

1. The human skeleton's mean sizes (``tools/hands/human.py``) and the gripper's palm frame
   (``assets/hands/panda/hand.yaml``), beside how far single people are from the mean. Over all right hands, which is
   what they were first measured on, this script gives the constants as they are, to their last digit.
2. ``RetargetingConfig.rest_sigma``, how weak the pull to the rest posture is, on every ``--every``-th recording:
   fingertip error; the same where keypoints drift by 4 mm, the accuracy of the annotations, against the keypoints
   without drift (``noisy_mm``), and how far that moves joints (``noise_deg``); joint acceleration; fastest joints; how
   far the same frames differ when a recording starts 10 and 20 frames later, after five frames; share of joints at a
   limit. The rule: restarts within 0.3 degrees (mean) and 2 (p99), ``noisy_mm`` at most 5 % above the least of all
   values, both for every hand; of these, the least acceleration.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.hands import human

from unihm.datasets.base import DATASETS
from unihm.datasets.episode_rows import records_from_table, table_from_episodes
from unihm.datasets.splits import split
from unihm.hands.description import HandDescription, describe_hand
from unihm.kinematics.keypoints import FINGERS, INDEX_TIP, THUMB_TIP, WRIST, palm_frame
from unihm.retargeting.config import RetargetingConfig
from unihm.retargeting.newton import CONVERGED
from unihm.retargeting.problem import points_at
from unihm.retargeting.solver import Solver
from unihm.schema.episode import Episode

HANDS = ("shadow", "allegro", "leap", "svh")
SIGMAS = (0.1, 0.2, 0.3, 0.5, 1.0)
SHIFTS, SETTLED = (10, 20), 5  # frames
AT_LIMIT = 1e-3  # of a joint's range
NOISE_M = 0.004  # accuracy of DexYCB's annotations, as `RetargetingConfig.fingertip_sigma`
RESTART_DEG, RESTART_P99_DEG, LOSS = 0.3, 2.0, 1.05

Row = dict[str, Any]


def recordings_of(data: Path, name: str, part: str) -> list[Episode]:
    """Right-hand recordings of one part of a split."""
    episodes = {episode.id: episode for episode in DATASETS["dexycb"]().episodes(data / "dexycb")}
    records = records_from_table(table_from_episodes(list(episodes.values())))
    return [episodes[i] for i in split(name, part, records) if not episodes[i].mirrored]


def in_palm(keypoints: Float[np.ndarray, "n 21 3"]) -> Float[np.ndarray, "n 21 3"]:
    """Keypoints in their own palm frame, m."""
    T = palm_frame(keypoints)
    return np.einsum("nji,nkj->nki", T[:, :3, :3], keypoints - T[:, None, :3, 3])


def constants() -> dict[str, tuple[str, np.ndarray]]:
    """Name to unit and value of every constant: positions and lengths in mm, angles in degrees, directions as axes."""
    found = {
        "wrist": ("mm", 1e3 * np.array(human.HUMAN_WRIST)),
        "thumb base": ("mm", 1e3 * np.array(human.HUMAN_THUMB_BASE)),
    }
    found["thumb first bone"] = "axis", human.HUMAN_THUMB_FRAME[:, 0]
    lengths = {"thumb": human.HUMAN_THUMB_LENGTHS}
    for finger, (base, lengths[finger], splay, middle, *_) in human.HUMAN_FINGERS.items():
        found[f"{finger} base"] = "mm", 1e3 * np.array(base)
        found[f"{finger} splay"] = "deg", np.degrees([splay])
        found[f"{finger} middle joint"] = "deg", np.array([middle])
    for finger, bones in lengths.items():
        found[f"{finger} bones"] = "mm", 1e3 * np.array(bones)
    hand = describe_hand("panda")
    pads = [hand.chain.point(tip.link, np.array(tip.xyz)) for tip in hand.fingertips]  # thumb, index
    pads_palm = points_at(hand.chain, hand.rest_qpos[None], pads)[0]
    found["gripper pads"] = "mm", 1e3 * pads_palm.mean(axis=0)
    found["gripper jaw"] = "axis", _unit(pads_palm[0] - pads_palm[1])
    found["gripper approach"] = "axis", np.linalg.inv(hand.T_root_palm)[:3, 2]
    return found


def measure(points: Float[np.ndarray, "n 21 3"]) -> dict[str, np.ndarray]:
    """The same from keypoints in their palm frames; over all right hands it gives the constants."""
    thumb, index = points[:, THUMB_TIP], points[:, INDEX_TIP]
    between, jaw = (thumb + index) / 2, _mean_direction(thumb - index)
    reach = (between - points[:, WRIST]).mean(axis=0)
    found = {
        "wrist": 1e3 * points[:, WRIST].mean(axis=0),
        "gripper pads": 1e3 * between.mean(axis=0),
        "gripper jaw": jaw,
        "gripper approach": _unit(reach - (reach @ jaw) * jaw),
    }
    for number, finger in enumerate(FINGERS):
        chain = points[:, 1 + 4 * number : 5 + 4 * number]
        bones = np.diff(chain, axis=1)
        first = _mean_direction(bones[:, 0])
        found[f"{finger} base"] = 1e3 * chain[:, 0].mean(axis=0)
        found[f"{finger} bones"] = 1e3 * np.linalg.norm(bones, axis=-1).mean(axis=0)
        found[f"{finger} first bone"] = first
        found[f"{finger} splay"] = np.degrees([np.arctan2(first[1], first[0])])
        found[f"{finger} middle joint"] = np.array([_bend_axis(bones)])
    return found


def measured_rows(recordings: Sequence[Episode]) -> list[Row]:
    """Each constant beside its value here, how far it is off, and how far people are from their mean (RMS)."""
    people: dict[str, list[np.ndarray]] = {}
    for episode in recordings:
        people.setdefault(episode.subject, []).append(in_palm(episode.keypoints_world.astype(np.float64)))
    here = measure(np.concatenate([part for parts in people.values() for part in parts]))
    each = [measure(np.concatenate(parts)) for parts in people.values()]
    rows = []
    for what, (unit, constant) in constants().items():
        spread = np.sqrt(np.mean(np.square([_off(unit, one[what], here[what]).max() for one in each])))
        off = _off(unit, here[what], constant)
        rows.append({"what": what, "unit": unit, "constant": constant.tolist(), "here": here[what].tolist(),
                     "off": off.tolist(), "people": float(spread)})  # fmt: skip
    return rows


def _off(unit: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differences: of axes their angle in degrees."""
    return np.degrees(np.atleast_1d(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))) if unit == "axis" else a - b


def _mean_direction(v: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " 3"]:
    return _unit(np.mean(v / np.linalg.norm(v, axis=-1, keepdims=True), axis=0))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def _bend_axis(bones: Float[np.ndarray, "n 3 3"]) -> float:
    """How far a finger's middle joint is turned about its first bone from bending straight up, degrees.

    The axis is the direction nearest to the normals of both bones, in a frame with x along the first and y in the
    palm's plane.
    """
    x, then = (bones[:, i] / np.linalg.norm(bones[:, i], axis=-1, keepdims=True) for i in (0, 1))
    y = np.stack([-x[:, 1], x[:, 0], np.zeros(len(x))], axis=-1)
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    normal = np.cross(x, then)
    normal = np.stack([(normal * axis).sum(axis=-1) for axis in (x, y, np.cross(x, y))], axis=-1)
    axis = np.linalg.eigh(normal.T @ normal)[1][:, -1]
    return float(np.degrees(np.arctan2(axis[2], -axis[1]) if axis[1] < 0 else np.arctan2(-axis[2], axis[1])))


def sweep(recordings: Sequence[Episode], name: str, sigma: float, bar: tqdm) -> Row:
    """Figures of one hand with one `rest_sigma`."""
    hand = describe_hand(name)
    config = replace(RetargetingConfig(), rest_sigma=sigma)
    solvers = {fps: Solver(hand, replace(config, fps=fps)) for fps in sorted({e.fps for e in recordings})}
    span = hand.chain.upper - hand.chain.lower
    tips, noisy, moved, bends, steps, limits, restarts, unconverged, frames = [], [], [], [], [], [], [], 0, 0
    for episode in recordings:
        keypoints, solver = episode.keypoints_world.astype(np.float64), solvers[episode.fps]
        q, T, status = solver.solve(keypoints)
        q_noisy, T_noisy, _ = solver.solve(keypoints + drift(len(keypoints)))
        human_tips = keypoints[:, hand.keypoint_indices[hand.fingertip_slots]]
        tips.append(np.linalg.norm(tips_world(hand, q, T) - human_tips, axis=-1).ravel())
        noisy.append(np.linalg.norm(tips_world(hand, q_noisy, T_noisy) - human_tips, axis=-1).ravel())
        moved.append(np.abs(q_noisy - q).ravel())
        bends.append(np.abs(np.diff(q, 2, axis=0)).ravel() * episode.fps**2)
        steps.append(np.abs(np.diff(q, axis=0)).ravel() * episode.fps)
        limits.append((np.minimum(q - hand.chain.lower, hand.chain.upper - q) < AT_LIMIT * span).ravel())
        unconverged, frames = unconverged + int((status != CONVERGED).sum()), frames + len(q)
        for shift in SHIFTS:
            if len(q) > shift + SETTLED:
                again = solver.solve(keypoints[shift:])[0]
                restarts.append(np.abs(again - q[shift:])[SETTLED:].ravel())
        bar.update()
    tip, bend, step, limit, restart = (np.concatenate(arrays) for arrays in (tips, bends, steps, limits, restarts))
    return {
        "hand": name,
        "rest_sigma": sigma,
        "frames": frames,
        "fingertip_mm": 1e3 * tip.mean(),
        "fingertip_p95_mm": 1e3 * np.percentile(tip, 95),
        "noisy_mm": 1e3 * np.concatenate(noisy).mean(),
        "noise_deg": np.degrees(np.concatenate(moved).mean()),
        "accel_deg_s2": np.degrees(bend.mean()),
        "speed_p999_deg_s": np.degrees(np.percentile(step, 99.9)),
        "restart_deg": np.degrees(restart.mean()),
        "restart_p99_deg": np.degrees(np.percentile(restart, 99)),
        "at_limit_%": 100 * limit.mean(),
        "unconverged": unconverged,
    }


def drift(frames: int) -> Float[np.ndarray, "T 21 3"]:
    """Errors as annotations have them, m: 4 mm (RMS) a keypoint, slow beside the frame rate."""
    noise = np.random.default_rng(frames).normal(size=(frames + 60, 21, 3))
    slow = gaussian_filter1d(noise, 5.0, axis=0)[30:-30]
    return slow * NOISE_M / (np.sqrt(3) * slow.std())


def tips_world(
    hand: HandDescription, q: Float[np.ndarray, "T nq"], T_world_palm: Float[np.ndarray, "T 4 4"]
) -> Float[np.ndarray, "T f 3"]:
    """Fingertip keypoints of a motion, m."""
    points = [hand.keypoints[slot] for slot in hand.fingertip_slots]
    in_hand = points_at(hand.chain, q, [hand.chain.point(p.link, np.array(p.xyz)) for p in points])
    return np.einsum("tij,tfj->tfi", T_world_palm[:, :3, :3], in_hand) + T_world_palm[:, None, :3, 3]


def judge(rows: Sequence[Row]) -> dict[float, bool]:
    """Which values meet the rule for every hand; the caller names the smoothest of them."""
    least = {row["hand"]: min(r["noisy_mm"] for r in rows if r["hand"] == row["hand"]) for row in rows}
    fits: dict[float, bool] = {}
    for row in rows:
        good = row["restart_deg"] <= RESTART_DEG and row["restart_p99_deg"] <= RESTART_P99_DEG
        good = good and row["noisy_mm"] <= LOSS * least[row["hand"]]
        fits[row["rest_sigma"]] = fits.get(row["rest_sigma"], True) and good
    return fits


def _table(rows: Sequence[Row]) -> str:
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join(lines + ["| " + " | ".join(_cell(value) for value in row.values()) + " |" for row in rows])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{item:.2f}" for item in value)
    return f"{value:.3f}" if isinstance(value, float) and value not in SIGMAS else str(value)


def draw(measured: Sequence[Row], swept: Sequence[Row], path: Path) -> None:
    """Differences of the measured constants, and the figures of the sweep against `rest_sigma`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.2), layout="constrained")
    first, *others = figure.subplots(1, 5, width_ratios=[1.6, 1, 1, 1, 1])
    first.barh([f"{row['what']} ({row['unit']})" for row in measured], [np.abs(row["off"]).max() for row in measured])
    first.invert_yaxis()
    first.tick_params(axis="y", labelsize=6)
    first.set_title("difference to the constants")
    for axis, key in zip(others, ("fingertip_mm", "noisy_mm", "noise_deg", "accel_deg_s2"), strict=True):
        for name in dict.fromkeys(row["hand"] for row in swept):
            mine = [row for row in swept if row["hand"] == name]
            axis.plot([row["rest_sigma"] for row in mine], [row[key] for row in mine], marker="o", label=name)
        axis.set(xscale="log", xlabel="rest_sigma", title=key)
        axis.axvline(RetargetingConfig().rest_sigma, color="0.7", zorder=0)
    others[0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the reference data folder, with dexycb/")
    parser.add_argument("--split", default="release")
    parser.add_argument("--part", default="train", choices=("train", "validation"))
    parser.add_argument("--hands", nargs="+", default=list(HANDS))
    parser.add_argument("--sigmas", nargs="+", type=float, default=list(SIGMAS))
    parser.add_argument("--every", type=int, default=6, help="of the recordings that the sweep takes")
    parser.add_argument("--out", type=Path, default=Path("out/retargeting_constants"))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    recordings = recordings_of(given.data, given.split, given.part)
    measured = measured_rows(recordings)
    some = recordings[:: given.every]
    with tqdm(total=len(given.hands) * len(given.sigmas) * len(some), unit="recording", disable=None) as bar:
        swept = [sweep(some, name, sigma, bar) for name in given.hands for sigma in given.sigmas]
    fits = judge(swept)
    effort = {sigma: np.mean([row["accel_deg_s2"] for row in swept if row["rest_sigma"] == sigma]) for sigma in fits}
    chosen = min((sigma for sigma in fits if fits[sigma]), key=lambda sigma: effort[sigma], default=None)
    draw(measured, swept, given.out / f"{given.split}-{given.part}.png")
    facts = {
        "split": given.split,
        "part": given.part,
        "recordings": len(recordings),
        "frames": sum(map(len, recordings)),
    }
    if given.json:
        print(json.dumps({**facts, "measured": measured, "swept": swept, "chosen": chosen}))
        return
    print(f"{facts['recordings']} right-hand recordings of {given.split}/{given.part}, {facts['frames']} frames\n")
    print(_table(measured) + f"\n\nsweep: {len(some)} recordings\n\n" + _table(swept))
    print(f"\nvalues that fit: {[s for s in fits if fits[s]]}, smoothest: {chosen}")


if __name__ == "__main__":
    main()
