"""A hand comes down on a can, half closed and two centimetres off; refinement makes it grasp.

Runs on a synthetic object, without downloads:  python examples/02_refine.py [hand] [motion.npz]
"""

import sys

import numpy as np

from unihm.hands.hand import load_hand
from unihm.refinement import refine
from unihm.schema.motion import HandMotion

hand = load_hand(sys.argv[1] if len(sys.argv) > 1 else "shadow")
frames, lift, radius, height = 70, 50, 0.033, 0.1

# The can: points and outward normals of its side and its lid, in a frame at its centre.
rng = np.random.default_rng(0)
angle = rng.uniform(0, 2 * np.pi, 1000)
normals = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
points = radius * normals
points[:, 2] = rng.uniform(-height / 2, height / 2, 1000)
lid = slice(0, 200)
points[lid] *= np.sqrt(rng.uniform(size=(200, 1)))
points[lid, 2], normals[lid] = height / 2, [0, 0, 1]

# It stands on the table until frame 50 and is then raised by 10 cm.
time = np.arange(frames)
s = np.clip((time - lift + 1) / 20, 0, 1)
T_world_object = np.tile(np.eye(4), (frames, 1, 1))
T_world_object[:, 2, 3] = height / 2 + 0.1 * s**2 * (3 - 2 * s)

# The hand: palm facing down and forward, its relaxed fingers about the can but for an error of 2 cm.
x, z = np.array([0.83, 0, -0.56]), np.array([-0.56, 0, -0.83])
x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
T_world_palm = np.tile(np.eye(4), (frames, 1, 1))
T_world_palm[:, :3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
tips_palm = hand.fingertips_and_jacobian(hand.rest_qpos)[0].numpy()
grip_palm = (tips_palm[0] + tips_palm[1:].mean(axis=0)) / 2
error = np.array([0.01, 0.015, 0.01])
approach = 0.12 * np.clip(1 - time / (lift - 8), 0, 1)[:, None] * -z
T_world_palm[:, :3, 3] = T_world_object[:, :3, 3] - T_world_palm[0, :3, :3] @ grip_palm + error + approach

generated = HandMotion(
    hand=hand.name,
    fps=30.0,
    joint_names=hand.joint_names,
    qpos=np.tile(hand.rest_qpos.numpy(), (frames, 1)),
    T_world_palm=T_world_palm,
    T_world_object=T_world_object,
    object_points=points,
    object_normals=normals,
)
refined, report = refine(generated, hand.description)

print(f"{hand.name}: {', '.join(report.grasp_fingers)} hold; {len(refined)} frames from {frames}")
print(f"{'phase':10} {'contact mm':>20} {'penetration mm':>20}")
for phase, before in report.contact_mm_before.items():
    contact = f"{before:.1f} -> {report.contact_mm_after[phase]:.1f}"
    depth = f"{report.penetration_mm_before[phase]:.1f} -> {report.penetration_mm_after[phase]:.1f}"
    print(f"{phase:10} {contact:>20} {depth:>20}")
print(f"{report.ms_per_frame:.1f} ms a frame, {report.grasps_tried} grasps judged")

if len(sys.argv) > 2:
    refined.save(sys.argv[2])
