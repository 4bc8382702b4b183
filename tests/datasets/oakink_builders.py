"""A small data set of our own in the layout of OakInk-Image, made in the world that the reader shall find again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import trimesh
from dataset_builders import BOX, write_box
from scipy.spatial.transform import Rotation

HEIGHT, PITCH = 0.7, 0.6  # m over the table and rad downward, of every camera
BOARD_OVER_TABLE = 0.005  # m
SHIFT = np.array([0.1, -0.2, 0.3])  # m, of the boxes in their files
YAW = 0.4  # rad, of the boxes on the table
LIFT = "A01001_0003_0002/2021-09-26-20-02-08"
HANDOVER = "C90001_0004_0001_0003/2021-10-09-13-20-12"


@dataclass
class Scene:
    """What happens, in the world of camera 0: x ahead of it, y to its left, z up, the table at 0."""

    position: np.ndarray
    """Centre of the box, T x 3."""
    hands: list[np.ndarray]
    """Keypoints of each hand, T x 21 x 3."""
    frames: list[int]
    """Numbers of the images."""

    @property
    def T_world_object(self) -> np.ndarray:
        """Poses of the box, T x 4 x 4."""
        T = np.tile(np.eye(4), (len(self.position), 1, 1))
        T[:, :3, :3] = Rotation.from_euler("z", YAW).as_matrix()
        T[:, :3, 3] = self.position
        return T


def open_hand(wrist: np.ndarray) -> np.ndarray:
    """Keypoints (T, 21, 3) of a right hand whose fingers point along x, its palm to the left of its wrist's path."""
    points = np.zeros((21, 3))
    for finger, (y, z) in enumerate(((0.02, 0.035), (0.0, 0.025), (0.0, 0.005), (0.0, -0.015), (0.0, -0.035))):
        for joint in range(4):
            points[1 + 4 * finger + joint] = [(0.03 if finger == 0 else 0.09) + 0.025 * joint, y, z]
    return wrist[:, None] + points


def lift_scene(first: int = 16) -> Scene:
    """A hand comes from the right and lifts a box by 25 cm; annotated in every image."""
    t = np.arange(40)
    s = np.clip((t - 20) / 15, 0, 1)
    position = np.stack([0.6 + 0.1 * s, -0.02 * s, BOX[2] + 0.25 * s], axis=-1)
    away = np.clip((12 - t) / 12, 0, 1)[:, None] * [-0.2, -0.2, 0.1]
    return Scene(position, [open_hand(position + np.array([-0.15, -0.06, 0.0]) + away)], list(range(first, first + 40)))


def handover_scene() -> Scene:
    """The same box; the first hand draws back after image 82, the second comes from beyond; every second image."""
    scene = lift_scene()
    t = np.arange(40)
    back = np.clip(t - 36, 0, None)[:, None] * [-0.1, 0.0, 0.0]
    near = np.clip((36 - t) / 10, 0, 1)[:, None] * [0.4, 0.0, 0.0]
    wrist = scene.position + np.array([0.15, 0.06, 0.0]) + near
    other = open_hand(np.zeros((40, 3))) * [-1, -1, 1] + wrist[:, None]
    return Scene(scene.position, [scene.hands[0] + back[:, None], other], list(range(10, 90, 2)))


def camera_poses() -> list[np.ndarray]:
    """T_world_camera of the four cameras: one at the origin's zenith, the others around the box."""
    level = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # x right, y down, z ahead
    first = np.eye(4)
    first[:3, :3] = level @ Rotation.from_euler("x", -PITCH).as_matrix()
    first[2, 3] = HEIGHT
    turns = [np.eye(4) for _ in range(4)]
    for k, turn in enumerate(turns):
        turn[:3, :3] = Rotation.from_euler("z", k * np.pi / 2).as_matrix()
        turn[:3, 3] = np.array([0.6, 0, 0]) - turn[:3, :3] @ [0.6, 0, 0]
    return [turn @ first for turn in turns]


def board_pose(down: bool) -> np.ndarray:
    """T_world_board of the calibration board, whose z points up, or down as OpenCV counts corners."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", 0.3).as_matrix() @ np.diag([1.0, -1.0, -1.0] if down else [1.0, 1.0, 1.0])
    T[:3, 3] = [0.5, 0.1, BOARD_OVER_TABLE]
    return T


@dataclass
class OakInkFiles:
    """Writes scenes under one root, and remembers what it wrote."""

    root: Path
    board_down: bool = True
    samples: list[list] = field(default_factory=list)

    @property
    def anno(self) -> Path:
        """Folder of the annotations."""
        return self.root / "image" / "anno"

    def path(self, kind: str, sequence: str, hand: int, frame: int, camera: int = 0) -> Path:
        """Of one annotation."""
        return self.anno / kind / f"{sequence.replace('/', '__')}__{hand}__{frame}__{camera}.pkl"

    def add(self, sequence: str, scene: Scene) -> None:
        """All hands and images of a scene, seen by four cameras."""
        T_world_board = board_pose(self.board_down)
        poses = scene.T_world_object
        for camera, T_world_camera in enumerate(camera_poses()):
            T_camera_world = np.linalg.inv(T_world_camera)
            for hand, keypoints in enumerate(scene.hands):
                for t, frame in enumerate(scene.frames):
                    joints = keypoints[t] @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
                    info = {
                        "cam_extr": torch.tensor(T_camera_world @ T_world_board, dtype=torch.float32),
                        "obj_anno": torch.tensor(np.linalg.inv(T_world_board) @ poses[t], dtype=torch.float32),
                        "hand_anno": {"hand_shape": torch.zeros(10)},
                    }
                    name = (sequence, hand, frame, camera)
                    self.dump("hand_j", name, joints.astype(np.float32))
                    self.dump("obj_transf", name, (T_camera_world @ poses[t]).astype(np.float32))
                    if frame in (scene.frames[0], scene.frames[-1]):  # slow to write, and the rest is not read
                        self.dump("general_info", name, info)
                    self.samples.append([sequence, hand, frame, camera])

    def dump(self, kind: str, name: tuple[str, int, int, int], value: object) -> None:
        """One pickle."""
        path = self.path(kind, *name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(value, protocol=4))

    def change(self, kind: str, name: tuple[str, int, int, int], change: Callable) -> Path:
        """Rewrite one pickle; returns its path."""
        path = self.path(kind, *name)
        path.write_bytes(pickle.dumps(change(pickle.loads(path.read_bytes())), protocol=4))
        return path

    def write(self) -> Path:
        """The list of samples, metadata and meshes, an ``.obj`` and a ``.ply``; returns the root."""
        (self.anno / "seq_all.json").write_text(json.dumps(self.samples))
        models = self.root / "image" / "obj"
        write_box(models / "box.obj")
        box = trimesh.load(models / "box.obj", force="mesh", process=False)
        assert isinstance(box, trimesh.Trimesh)
        (models / "box.obj").unlink()
        box.vertices += SHIFT
        box.export(models / "C90001.ply")
        faces = [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in box.faces]
        lines = [f"v {x} {y} {z}" for x, y, z in box.vertices] + faces
        for name in {sample[0].split("_")[0] for sample in self.samples} - {"C90001"}:
            (models / f"{name}.obj").write_text("\n".join(lines) + "\n")
        meta = self.root / "shape" / "metaV2" / "object_id.json"
        meta.parent.mkdir(parents=True, exist_ok=True)
        objects = {name: {"name": "a_mug", "attr": ["tableware", "mug"]} for name in {s[0][:6] for s in self.samples}}
        meta.write_text(json.dumps(objects | {"C90001": {"name": "glasses", "attr": ["eyeglasses"]}}))
        return self.root
