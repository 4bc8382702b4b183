"""Follow a human hand live with a robot hand, in the browser.

    python examples/05_follow_video.py [SOURCE] [--hand allegro] [--html]

SOURCE: a video or webcam (pip install 'unihm[video]'), or keypoints (T, 21, 3) in metres; a motion made here if none.
"""

import argparse
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import viser

from unihm.geometry.pose import pose_to_vector
from unihm.hands.hand import load_hand
from unihm.retargeting import Retargeter
from unihm.sources.live import follow

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", nargs="?", help="video, webcam, or keypoint file")
parser.add_argument("--hand", default="shadow", help="a left one follows left hands")
parser.add_argument("--html", action="store_true", help="no browser: write one page")
parser.add_argument("--frames", type=int, default=90, help="most frames to follow with --html")
args = parser.parse_args()
hand, out = load_hand(args.hand), Path("out/05_follow_video")
out.mkdir(parents=True, exist_ok=True)
if args.source is None:  # a right hand that closes, by the skeleton hand; a file as a recorder would write it
    skeleton = load_hand("human")
    bends = torch.tensor(["flexion" in name for name in skeleton.joint_names])
    close = torch.sin(torch.linspace(0, 2 * torch.pi, 60, dtype=torch.float64))[:, None] ** 2
    np.save(out / "keypoints.npy", skeleton.keypoints(close * torch.where(bends, 0.45 * skeleton.upper, 0.0)).numpy())
    args.source, args.html = out / "keypoints.npy", True
try:
    stream = follow(args.source, side=hand.side)
except ValueError as error:
    raise SystemExit(f"error: {error}") from None
server = viser.ViserServer(host="127.0.0.1", port=0 if args.html else 8080, verbose=False)  # this machine only
server.initial_camera.position, server.initial_camera.look_at = (0.0, -0.35, 0.2), (0.0, 0.0, 0.08)
links = {}
for number, shape in enumerate(hand.geometry):
    name = f"/hand/{hand.tree.link_names[shape.link]}"
    if shape.link not in links:
        links[shape.link] = server.scene.add_frame(name, show_axes=False)
    at, color = pose_to_vector(shape.T_link_shape), tuple(round(255 * c) for c in shape.color[:3])
    look = {"color": color, "position": at[:3], "wxyz": at[3:]}
    if shape.kind == "box":
        server.scene.add_box(f"{name}/{number}", dimensions=np.array(shape.size), **look)
    elif shape.kind == "cylinder":
        server.scene.add_cylinder(f"{name}/{number}", radius=shape.size[0], height=shape.size[1], **look)
    else:
        server.scene.add_icosphere(f"{name}/{number}", radius=shape.size[0], **look)
page = server.get_scene_serializer() if args.html else None
while page is None and not server.get_clients():
    time.sleep(0.1)  # the motion starts when somebody looks
retargeter, milliseconds, unseen, due = Retargeter(hand), [], 0, time.perf_counter()
for keypoints in islice(stream, args.frames if args.html else None):
    if keypoints is None:
        unseen += 1  # the hand holds its pose until the human's is seen again
        continue
    start = time.perf_counter()
    qpos = retargeter.step(keypoints)  # joint angles, rad; the palm goes to retargeter.T_world_palm
    milliseconds.append(1e3 * (time.perf_counter() - start))
    T_world_link = retargeter.T_world_palm @ hand.forward_kinematics(torch.from_numpy(qpos)).numpy()
    with server.atomic():
        for link, handle in links.items():
            pose = pose_to_vector(T_world_link[link])
            handle.position, handle.wxyz = pose[:3], pose[3:]
    if page is not None:
        page.insert_sleep(1 / 30)
    elif not str(args.source).startswith("webcam"):
        due = max(due + 1 / 30, time.perf_counter() - 1 / 30)  # in step with 30 Hz, or as fast as hands are found
        time.sleep(max(0.0, due - time.perf_counter()))
if page is not None:
    print("page:", out / "live.html", (out / "live.html").write_text(page.as_html(), encoding="utf-8"), "bytes")
print(f"{len(milliseconds)} frames of {hand.name}, {np.median(milliseconds):.3f} ms a step, {unseen} without a hand")
server.stop()
