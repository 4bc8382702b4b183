"""The hands that are installed, and yours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from unihm.commands.console import report, say


def hands_list(*, json: bool = False):
    """Every hand that is installed.

    Args:
        json: Print as JSON.
    """
    from unihm.hands.description import describe_hand, list_hands

    rows = []
    for name in list_hands():
        hand = describe_hand(name)
        rows.append({"name": name, "side": hand.side, "joints": len(hand.joint_names), "fingers": len(hand.fingers)})
    lines = "\n".join(f"{r['name']:13s} {r['side']:6s} {r['joints']:3d} joints {r['fingers']} fingers" for r in rows)
    report({"hands": rows}, json, lines)


def hands_show(name: str, *, json: bool = False):
    """Joints, limits, fingertips and keypoints of one hand.

    Args:
        name: Name of an installed hand, or a folder with hand.yaml.
        json: Print as JSON.
    """
    from unihm.hands.description import describe_hand
    from unihm.kinematics.keypoints import NAMES

    hand = describe_hand(name)
    limits = (hand.joint_names, hand.chain.lower, hand.chain.upper, hand.rest_qpos)
    joints = [
        {"name": joint, "lower": round(float(low), 6), "upper": round(float(high), 6), "rest": round(float(rest), 6)}
        for joint, low, high, rest in zip(*limits, strict=True)
    ]
    facts = {
        "name": hand.name,
        "side": hand.side,
        "folder": str(hand.folder),
        "links": len(hand.link_names),
        "joints": joints,
        "mimic_joints": len(hand.chain.parent) - len(hand.joint_names),
        "fingertips": [tip.link for tip in hand.fingertips],
        "keypoints": [NAMES[int(index)] for index in hand.keypoint_indices],
    }
    lines = [f"{hand.name} ({hand.side}), {len(joints)} independent joints, {facts['mimic_joints']} mimic"]
    lines += [f"  {j['name']:28s} [{j['lower']:8.4f}, {j['upper']:8.4f}]  rest {j['rest']:8.4f}" for j in joints]
    lines += [f"fingertips: {', '.join(facts['fingertips'])}", f"keypoints: {', '.join(facts['keypoints'])}"]
    report(facts, json, "\n".join(lines))


def hands_check(
    folder: str, *, urdf: Path | None = None, poses: int = 1000, tolerance: float = 1e-6, json: bool = False
):
    """Check a hand's folder in itself, or beside a URDF that you trust.

    The exit status is 0 only if nothing is wrong. Differences that hand.yaml lists under known_differences count
    as known, not as wrong.

    Args:
        folder: Folder with hand.yaml, or the name of an installed hand.
        urdf: The description to compare with: names, limits, mimic relations and every link's frame.
        poses: Random poses in which frames are compared.
        tolerance: Largest difference of frames and numbers that is none, m and rad.
        json: Print as JSON.
    """
    if urdf is None:
        from unihm.hands.checking import check_folder

        found = check_folder(folder)
    else:
        from unihm.hands.comparing import compare_with_urdf

        found = compare_with_urdf(folder, urdf, poses=poses, tolerance=tolerance)
    counts = {status: sum(f.status == status for f in found) for status in ("ok", "known", "warning", "error")}
    value = {
        "folder": folder,
        "urdf": None if urdf is None else str(urdf),
        "poses": poses if urdf is not None else 0,
        "tolerance": tolerance,
        "counts": counts,
        "findings": [vars(f) for f in found],
    }
    report(value, json, "\n".join(f"{f.status:8s} {f.what:15s} {f.text}" for f in found))
    if counts["error"]:
        against = "" if urdf is None else f" beside '{urdf}'"
        raise ValueError(f"{counts['error']} of {len(found)} findings about '{folder}'{against} are errors.")


def hands_add(
    urdf: Path,
    *,
    name: str | None = None,
    side: Literal["right", "left"] | None = None,
    palm: str | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    json: bool = False,
):
    """Describe a hand of your own from its URDF, and draw it beside the human hand.

    Palm frame, fingers, fingertips and keypoints are told from the kinematic tree; what is not clear is said. Look at
    the drawing and edit hand.yaml where it is wrong.

    Args:
        urdf: The URDF; mesh files beside it are read to find the fingertips.
        name: Name of the hand; the file's name if not given.
        side: Which hand it is, where its shape does not tell.
        palm: The palm's link, where the file holds several hands.
        out: The hand's folder; ./NAME if not given.
        overwrite: Replace the files of a folder that is there.
        json: Print as JSON.
    """
    from unihm.hands.hand import list_hands, load_hand
    from unihm.hands.proposing.propose import propose_hand
    from unihm.hands.proposing.writing import write_folder

    name = re.sub(r"[^A-Za-z0-9_-]+", "_", urdf.stem) if name is None else name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"--name '{name}' is no name; expected letters, digits, - and _.")
    if name in list_hands():
        raise ValueError(f"'{name}' is the name of an installed hand; choose another one with --name.")
    folder = Path(name) if out is None else out
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise ValueError(f"folder '{folder}' is not empty; choose another one with --out, or --overwrite.")
    proposal = propose_hand(urdf, name=name, side=side, palm=palm)
    write_folder(proposal, folder)
    hand = load_hand(folder)
    say(f"wrote {folder}, drawing it")
    from unihm.viewer.hand_sheet import write_sheet_html, write_sheet_png

    write_sheet_png(hand, folder / "hand.png", urdf)
    write_sheet_html(hand, folder / "hand.html", urdf)
    value = {
        "name": hand.name,
        "side": hand.side,
        "folder": str(folder),
        "palm_link": proposal.file.palm_link,
        "fingers": {finger: proposal.file.fingertips[finger].link for finger in proposal.file.fingers},
        "joints": list(hand.joint_names),
        "locked_joints": proposal.file.locked_joints,
        "keypoints": {keypoint: point.link for keypoint, point in proposal.file.keypoints.items()},
        "drawings": [str(folder / "hand.png"), str(folder / "hand.html")],
        "unsure": list(proposal.doubts),
    }
    lines = [
        f"{hand.name} ({hand.side}): {len(hand.fingers)} fingers, {len(hand.joint_names)} independent joints, "
        f"palm '{proposal.file.palm_link}'",
        *(f"  {finger:8s} ends at {link}" for finger, link in value["fingers"].items()),
        *(f"unsure: {doubt}" for doubt in proposal.doubts),
        f"wrote {folder}; look at {folder / 'hand.html'} or hand.png, then: unihm retarget KEYPOINTS --hand {folder}",
    ]
    report(value, json, "\n".join(lines))
