"""Retarget a human grasp to every right hand (Eq. B1).

    python examples/01_retarget.py

The human motion is made here with the skeleton hand: it closes from a flat to a grasping posture while the
wrist moves. Recorded keypoints, shape (frames, 21, 3) in metres, go in the same way.
"""

import numpy as np
import torch

from unihm.hands.hand import list_hands, load_hand
from unihm.retargeting import retarget_with_report


def closing_hand(frames: int) -> np.ndarray:
    """World keypoints (frames, 21, 3), m: the fingers bend while the hand moves 10 cm forwards."""
    skeleton = load_hand("human")
    closing = torch.linspace(0, 1, frames, dtype=torch.float64)[:, None]
    bends = torch.tensor(["flexion" in name for name in skeleton.joint_names])
    grasp = torch.where(bends, 0.45 * skeleton.upper, 0.0)
    keypoints_palm = skeleton.keypoints(closing * grasp)
    forwards = torch.tensor([0.10, 0.0, 0.0], dtype=torch.float64)
    return (keypoints_palm + closing[..., None] * forwards).numpy()


def main() -> None:
    """Print how well each hand follows."""
    keypoints_world = closing_hand(frames=45)
    for name in list_hands():
        hand = load_hand(name)
        if hand.side != "right":
            continue
        motions, report = retarget_with_report([keypoints_world], hand)
        step = np.abs(np.diff(motions[0].qpos, axis=0)) / (hand.upper - hand.lower).numpy()
        print(
            f"{name:8s} {len(hand.joint_names):2d} joints   fingertips {report.fingertip_mm:5.2f} mm from the human's "
            f"(95 %: {report.fingertip_p95_mm:.2f})   largest step {step.max():.1%} of a joint's range   "
            f"{report.status['CONVERGED']} of {report.frames} frames converged"
        )


if __name__ == "__main__":
    main()
