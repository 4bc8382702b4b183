"""Make a motion by hand, and look at it: an HTML file with a player, and a still picture.

    python examples/04_view.py [HAND]

A can stands on the table. The hand comes from the side, closes, and lifts it. Nothing is learned here; the motion
only shows what a `HandMotion` holds and how one looks at it.
"""

import sys
from pathlib import Path

import numpy as np

from unihm import viewer
from unihm.contact_phases import contact_phase
from unihm.hands.hand import load_hand
from unihm.schema.motion import HandMotion

hand = load_hand(sys.argv[1] if len(sys.argv) > 1 else "shadow")
out = Path("out/04_view")


def ease(s: np.ndarray) -> np.ndarray:
    """From 0 to 1 with rest at both ends."""
    s = np.clip(s, 0, 1)
    return s * s * (3 - 2 * s)


# Time: one second to come, then one second to lift.
fps, frames, lift = 30.0, 61, 30
come = ease(np.arange(frames) / (lift - 8))[:, None]
close = ease((np.arange(frames) - 8) / (lift - 8))[:, None]
rise = ease((np.arange(frames) - lift) / 25)

# The can: points on a cylinder, 6 cm across and 12 cm high, in its own frame.
generator = np.random.default_rng(0)
angle, height = generator.uniform(0, 2 * np.pi, 1500), generator.uniform(-0.06, 0.06, 1500)
normals = np.stack([np.cos(angle), np.sin(angle), np.zeros(1500)], axis=1)
points = 0.03 * normals + height[:, None] * [0, 0, 1]
T_world_object = np.tile(np.eye(4), (frames, 1, 1))
T_world_object[:, 2, 3] = 0.06 + 0.15 * rise

# The palm: fingers (x) forward past the can, palm side (z) to it, hence y = z x x downwards.
T_world_palm = np.tile(np.eye(4), (frames, 1, 1))
T_world_palm[:, :3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
T_world_palm[:, :3, 3] = [-0.03, -0.055, 0.09] + (1 - come) * [-0.15, -0.12, 0.08]
T_world_palm[:, 2, 3] += 0.15 * rise

# The fingers: from the resting posture a third of the way to closed.
rest, closed = hand.rest_qpos.numpy(), hand.upper.numpy()
motion = HandMotion(
    hand=hand.name,
    fps=fps,
    joint_names=hand.joint_names,
    qpos=rest + 0.3 * close * (closed - rest),
    T_world_palm=T_world_palm,
    T_world_object=T_world_object,
    object_points=points,
    object_normals=normals,
    contact_phase=contact_phase(frames, lift),
    instruction="pick up the can",
)

motion.save(out / "motion.npz")
viewer.write_html(motion, out / "motion.html")
viewer.write_frames_png(motion, out / "motion.png", [0.0, 1.0, 2.0])
print(f"{len(motion)} frames of {hand.name}: open {out / 'motion.html'}, or run: unihm view {out / 'motion.npz'}")
