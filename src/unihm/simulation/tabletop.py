"""Our own table with things on it, built with MuJoCo and seen by a simulated depth camera.

Images are made by the ray backend of `rendering`, not by OpenGL: this needs no display, no graphics driver and no GPU,
takes under a second, and gives the same image on every machine. Depth is exact.

    python -m unihm.simulation.tabletop FOLDER     writes the built-in scene
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from unihm.geometry.camera import Camera
from unihm.schema.scene import Scene
from unihm.schema.storage import atomic_path
from unihm.simulation.ray_casting import LIGHT_FROM, WOOD
from unihm.simulation.rendering import render_model
from unihm.simulation.things import Thing

TABLE = (1.1, 0.8, 0.04)  # m; length, width and thickness
_FLOOR = 0.72  # m below the table top
_GROUND = np.array([0.33, 0.34, 0.36])

DEMO = (
    Thing(name="bottle", kind="bottle", size=(0.066, 0.066, 0.17), color=(0.93, 0.75, 0.1), position=(0.0, 0.0)),
    Thing(name="can", kind="can", size=(0.068, 0.068, 0.1), color=(0.78, 0.12, 0.12), position=(-0.19, 0.09)),
    Thing(name="box", kind="box", size=(0.09, 0.05, 0.13), color=(0.16, 0.33, 0.72), position=(0.2, 0.12), yaw=0.5),
)
"""The built-in scene."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A scene as seen, and what is true of it."""

    scene: Scene
    """Colour, depth and camera (with its pose)."""
    segmentation: Int[np.ndarray, "H W"]
    """Index of the thing at each pixel, -1 for table and floor."""


def look_at(
    distance: float, pitch: float, yaw: float = 0.0, target: tuple[float, float, float] = (0.0, 0.0, 0.05)
) -> Float[np.ndarray, "4 4"]:
    """T_world_camera of a camera that looks at a point.

    Args:
        distance: From the point, m.
        pitch: How far it looks down, rad.
        yaw: Turn about the vertical; 0 looks along +y, so that x is to the right.
        target: The point, m.
    """
    c, s = np.cos(yaw), np.sin(yaw)
    forward = np.array([-s * np.cos(pitch), c * np.cos(pitch), -np.sin(pitch)])
    right = np.array([c, s, 0.0])
    T = np.eye(4)
    T[:3, :3] = np.column_stack([right, np.cross(forward, right), forward])
    T[:3, 3] = np.array(target) - distance * forward
    return T


def tabletop_camera(T_world_camera: Float[np.ndarray, "4 4"] | None = None) -> Camera:
    """A 640x480 depth camera; by default where DexYCB's are, 0.85 m away and looking 45 degrees down."""
    if T_world_camera is None:
        T_world_camera = look_at(0.85, np.radians(45))
    return Camera(
        fx=615.0, fy=615.0, cx=319.5, cy=239.5, width=640, height=480, depth_scale=4000.0, T_world_camera=T_world_camera
    )


def build(things: tuple[Thing, ...]) -> mujoco.MjSpec:
    """The model: floor, table top at z = 0, and a free body per thing."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_light(pos=list(2 * LIGHT_FROM), dir=list(-LIGHT_FROM))
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[3, 3, 0.1], pos=[0, 0, -_FLOOR], rgba=[*_GROUND, 1]
    )
    half = np.array(TABLE) / 2
    spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=list(half), pos=[0, 0, -half[2]], rgba=[*WOOD[0], 1]
    )
    for thing in things:
        body = spec.worldbody.add_body(
            name=thing.name,
            pos=[*thing.position, 0.0],
            quat=[np.cos(thing.yaw / 2), 0, 0, np.sin(thing.yaw / 2)],
        )
        body.add_freejoint()
        for i, part in enumerate(thing.parts):
            # MuJoCo's cylinder takes radius and half height, the other kinds three half extents.
            size = [part.size[0], part.size[2], 0.0] if part.kind == "cylinder" else list(part.size)
            body.add_geom(
                name=f"{thing.name}/{i}",
                type=getattr(mujoco.mjtGeom, f"mjGEOM_{part.kind.upper()}"),
                size=size,
                pos=list(part.position),
                rgba=[*part.color, 1.0],
            )
    return spec


def render(things: tuple[Thing, ...], camera: Camera | None = None, name: str = "tabletop") -> Rendered:
    """What a camera sees of a table with things on it.

    Args:
        things: What stands there.
        camera: Intrinsics and pose; by default `tabletop_camera`.
        name: Of the scene.

    Raises:
        ValueError: The camera has no pose, or two things have one name.
    """
    camera = camera or tabletop_camera()
    if camera.T_world_camera is None:
        raise ValueError("The camera needs a T_world_camera to render a scene.")
    if len({thing.name for thing in things}) < len(things):
        raise ValueError("Two things have the same name.")
    model = build(things).compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)

    seen = render_model(model, data, camera, backend="rays", background=(0.0, 0.0, 0.0))
    body = np.append(model.geom_bodyid, 0)[seen.segmentation]
    names = {thing.name: i for i, thing in enumerate(things)}
    index = np.array([names.get(model.body(i).name, -1) for i in range(model.nbody)])
    scene = Scene(color=seen.color, depth=seen.depth, camera=camera, name=name)
    return Rendered(scene=scene, segmentation=index[body])


def write_scene(folder: str | Path, scene: Scene) -> None:
    """Write ``color.png``, ``depth.png`` and ``camera.json``; each file appears complete or not at all.

    Raises:
        ValueError: A depth does not fit 16 bits at the camera's depth scale, or the folder cannot be written.
    """
    folder = Path(folder)
    stored = np.round(scene.depth * scene.camera.depth_scale)
    if stored.max(initial=0) > 65535:
        raise ValueError(f"A depth of {scene.depth.max():.2f} m does not fit 16 bits; use a smaller depth_scale.")
    for name, pixels in (("color.png", scene.color), ("depth.png", stored.astype(np.uint16))):
        with atomic_path(folder / name) as path:
            Image.fromarray(pixels).save(path, format="PNG", optimize=True)
    scene.camera.save(folder / "camera.json")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m unihm.simulation.tabletop FOLDER")
    write_scene(sys.argv[1], render(DEMO, name="demo").scene)
