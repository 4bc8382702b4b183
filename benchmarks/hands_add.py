"""Is a hand that `unihm hands add` proposes usable as it is?

    python benchmarks/hands_add.py --data ../shared/data

Each official description is taken as unknown: a folder is proposed from its URDF alone, the 621-frame human motion is
retargeted with the proposed folder and with the hand-made one, and both motions are scored at the hand-made folder's
fingertip keypoints against the human fingertips. Usable means: at most 20 % farther. The column ``own`` scores the
proposed motion at the proposal's own fingertips, ``pad`` is the distance of the proposed from the hand-made contact
points, ``tilt`` the angle between both palm frames.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from unihm.hands.hand import HANDS_FOLDER, HandModel, load_hand
from unihm.hands.proposing.propose import propose_hand
from unihm.hands.proposing.writing import write_folder
from unihm.kinematics.keypoints import INDEX
from unihm.retargeting import retarget_with_report
from unihm.schema.motion import HandMotion

OFFICIAL = {
    "shadow": "shadow/shadow_hand_{side}.urdf",
    "allegro": "allegro/allegro_hand_{side}.urdf",
    "svh": "svh/schunk_svh_hand_{side}.urdf",
    "leap": "leap/leap_hand_{side}.urdf",
    "ability": "ability/ability_hand_{side}.urdf",
    "panda": "panda/panda_gripper_glb.urdf",
    "inspire": "inspire/inspire_hand_{side}.urdf",
    "xhand": "xhand/xhand_{side}.urdf",
}
_MARGIN = 1.2


def tips_world(made: HandModel, motion: HandMotion, hand: HandModel) -> np.ndarray:
    """Fingertip keypoints of the hand-made folder (T, f, 3) in a motion of a hand that shares its URDF's root, m."""
    q = made.rest_qpos.numpy()[None].repeat(len(motion.qpos), axis=0)
    for column, joint in enumerate(made.joint_names):
        q[:, column] = motion.qpos[:, motion.joint_names.index(joint)]
    T = motion.T_world_palm @ np.linalg.inv(np.asarray(hand.T_root_palm)) @ np.asarray(made.T_root_palm)
    points = np.asarray(made.keypoints(torch.from_numpy(q)))[:, np.asarray(made.fingertip_slots)]
    return np.einsum("tij,tfj->tfi", T[:, :3, :3], points) + T[:, None, :3, 3]


def row(name: str, side: str, data: Path, keypoints: np.ndarray, folder: Path) -> dict[str, object]:
    """Figures of one hand."""
    made_name = name if side == "right" else f"{name}_left"
    proposal = propose_hand(data / "hands_official" / OFFICIAL[name].format(side=side), name="proposed")
    write_folder(proposal, folder)
    proposed = load_hand(folder)
    result: dict[str, object] = {
        "hand": made_name,
        "side": proposed.side,
        "fingers": len(proposed.fingers),
        "unsure": len(proposal.doubts),
    }
    if not (HANDS_FOLDER / made_name / "hand.yaml").is_file():
        return result | {"usable": None}
    made = load_hand(made_name)
    targets = keypoints[:, [INDEX[f"{finger}_tip"] for finger in made.fingers]]
    (made_motion,), _ = retarget_with_report([keypoints], made)
    (motion,), report = retarget_with_report([keypoints], proposed)
    errors = [
        float(np.linalg.norm(tips_world(made, m, h) - targets, axis=-1).mean() * 1e3)
        for m, h in ((made_motion, made), (motion, proposed))
    ]
    rotation = np.asarray(made.T_root_palm)[:3, :3].T @ np.asarray(proposed.T_root_palm)[:3, :3]
    return result | {
        "hand_made_mm": errors[0],
        "proposed_mm": errors[1],
        "ratio": errors[1] / errors[0],
        "own_mm": report.fingertip_mm,
        "pad_mm": _pad_distance(made, proposed),
        "tilt_deg": float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))),
        "usable": bool(errors[1] <= _MARGIN * errors[0] and set(proposed.fingers) == set(made.fingers)),
    }


def _pad_distance(made: HandModel, proposed: HandModel) -> float:
    """Mean distance of the contact points of fingers that both have, in the hand-made rest posture, mm."""
    rest = dict(zip(made.joint_names, made.rest_qpos.tolist(), strict=True))
    found = []
    for hand in (made, proposed):
        q = torch.tensor([[rest.get(joint, 0.0) for joint in hand.joint_names]], dtype=torch.float64)
        points = np.asarray(hand.keypoints(q))[0, np.asarray(hand.fingertip_slots)]
        T = np.asarray(hand.T_root_palm)
        found.append(dict(zip(hand.fingers, points @ T[:3, :3].T + T[:3, 3], strict=True)))
    shared = [finger for finger in found[0] if finger in found[1]]
    return float(np.mean([np.linalg.norm(found[0][finger] - found[1][finger]) for finger in shared]) * 1e3)


def main() -> None:
    """Print one row per hand."""
    parser = argparse.ArgumentParser(description="Is a hand that `unihm hands add` proposes usable as it is?")
    parser.add_argument("--data", type=Path, required=True, help="folder with hands_official/")
    parser.add_argument("--side", choices=("right", "left"), default="right")
    parser.add_argument("--hands", nargs="*", default=list(OFFICIAL), choices=list(OFFICIAL))
    parser.add_argument("--quick", action="store_true", help="the first 60 frames only; labelled as such")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keypoints = np.load(options.data / "hands_official" / "human_joint_right.npy").astype(np.float64)
    if options.side == "left":
        keypoints = keypoints * [1.0, -1.0, 1.0]
    if options.quick:
        keypoints = keypoints[:60]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.hands:
            if options.side == "left" and "{side}" not in OFFICIAL[name]:
                continue
            rows.append(row(name, options.side, options.data, keypoints, Path(folder) / name))
    usable = sum(r["usable"] is True for r in rows)
    if options.json:
        print(json.dumps({"command": "hands_add", "quick": options.quick, "frames": len(keypoints), "rows": rows}))
        return
    print(f"{len(keypoints)} frames" + (" (quick: the first frames)" if options.quick else ""))
    print("| hand | hand-made mm | proposed mm | ratio | own mm | pad mm | tilt deg | fingers | unsure | usable |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        if r["usable"] is None:
            print(f"| {r['hand']} | no hand-made folder here | | | | | | {r['fingers']} | {r['unsure']} | |")
            continue
        numbers = [f"{r[key]:.2f}" for key in ("hand_made_mm", "proposed_mm", "ratio", "own_mm", "pad_mm")]
        print(
            f"| {r['hand']} | {' | '.join(numbers)} | {r['tilt_deg']:.1f} | {r['fingers']} | {r['unsure']} "
            f"| {'yes' if r['usable'] else 'no'} |"
        )
    print(f"usable without an edit: {usable} of {sum(r['usable'] is not None for r in rows)}")


if __name__ == "__main__":
    main()
