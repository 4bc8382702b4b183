"""The hands that are installed."""

from __future__ import annotations

from unihm.commands.console import report


def hands_list(*, json: bool = False):
    """Every hand that is installed.

    Args:
        json: Print as JSON.
    """
    from unihm.hands.hand import list_hands, load_hand

    rows = []
    for name in list_hands():
        hand = load_hand(name)
        rows.append({"name": name, "side": hand.side, "joints": len(hand.joint_names), "fingers": len(hand.fingertips)})
    lines = "\n".join(f"{r['name']:10s} {r['side']:6s} {r['joints']:3d} joints {r['fingers']} fingers" for r in rows)
    report({"hands": rows}, json, lines)


def hands_show(name: str, *, json: bool = False):
    """Joints, limits, fingertips and keypoints of one hand.

    Args:
        name: Name of an installed hand, or a folder with hand.yaml.
        json: Print as JSON.
    """
    from unihm.hands.hand import load_hand

    hand = load_hand(name)
    joints = [
        {"name": joint, "lower": round(float(low), 6), "upper": round(float(high), 6), "rest": round(float(rest), 6)}
        for joint, low, high, rest in zip(hand.joint_names, hand.lower, hand.upper, hand.rest_qpos, strict=True)
    ]
    from unihm.kinematics.keypoints import NAMES

    facts = {
        "name": hand.name,
        "side": hand.side,
        "folder": str(hand.folder),
        "links": len(hand.tree.link_names),
        "joints": joints,
        "mimic_joints": len(hand.tree.full_joint_names) - len(hand.tree.joint_names),
        "fingertips": list(hand.fingertips),
        "keypoints": [NAMES[int(index)] for index in hand.keypoint_indices],
    }
    lines = [f"{hand.name} ({hand.side}), {len(joints)} independent joints, {facts['mimic_joints']} mimic"]
    lines += [f"  {j['name']:28s} [{j['lower']:8.4f}, {j['upper']:8.4f}]  rest {j['rest']:8.4f}" for j in joints]
    lines += [f"fingertips: {', '.join(facts['fingertips'])}", f"keypoints: {', '.join(facts['keypoints'])}"]
    report(facts, json, "\n".join(lines))
