"""A scene as a MuJoCo model: which of its geoms is what, their colours, and what is printed on them."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

from unihm.geometry.camera import Camera
from unihm.geometry.pose import pose_to_vector
from unihm.scenes.layout import Placed
from unihm.scenes.surface_print import Print
from unihm.simulation.rendering import Rendering

_AWAY = -50.0  # m; where a body is put that is taken out


@dataclass(frozen=True, kw_only=True, eq=False)
class Printed:
    """Geoms that share a print."""

    geoms: Int[np.ndarray, " k"]
    """Their indices."""
    T_world_print: Float[np.ndarray, "4 4"]
    """The frame in which the print is computed."""
    print: Print
    """The print."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneModel:
    """A compiled scene, all white; its colours are beside it."""

    model: mujoco.MjModel
    """All geoms are white."""
    data: mujoco.MjData
    """With up-to-date positions."""
    thing: Int[np.ndarray, " ngeom"]
    """Index of the thing that a geom belongs to, -1 for others."""
    handle: Bool[np.ndarray, " ngeom"]
    """Which geoms are handles of moving parts."""
    albedo: Float[np.ndarray, "ngeom 3"]
    """Their colours, sRGB from 0 to 1."""
    gloss: Float[np.ndarray, " ngeom"]
    """How much they shine, 0 to 1."""

    def geoms(self, start: str) -> Int[np.ndarray, " k"]:
        """Indices of the geoms whose names begin so."""
        return np.array([i for i in range(self.model.ngeom) if self.model.geom(i).name.startswith(start)], dtype=int)

    def take_out(self, index: int) -> None:
        """Move a free object out of sight."""
        self.model.body_pos[self.model.body(f"thing{index}").id] = (0, 0, _AWAY)
        mujoco.mj_forward(self.model, self.data)


def add_object(spec: mujoco.MjSpec, index: int, placed: Placed) -> None:
    """Put a free object into a model as the body ``thing<index>``, one geom for each of its colours."""
    pose = pose_to_vector(placed.T_world_object)
    body = spec.worldbody.add_body(name=f"thing{index}", pos=pose[:3], quat=pose[3:])
    thing = placed.object
    colours, which = np.unique(thing.face_colours, axis=0, return_inverse=True)
    for k, colour in enumerate(colours):
        used, faces = np.unique(thing.faces[which.reshape(-1) == k], return_inverse=True)
        name = f"thing{index}/{k}"
        mesh = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
        mesh.uservert, mesh.userface = thing.vertices[used].ravel(), faces.ravel()
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=name,
            rgba=[*(colour / 255.0), 1.0],
            contype=0,
            conaffinity=0,
        )


def compiled(spec: mujoco.MjSpec, qpos: dict[str, float], parts: dict[str, int], gloss: dict[str, float]) -> SceneModel:
    """Compile a scene.

    Args:
        spec: With free objects from `add_object` and fixtures from `simulation.fixtures.add_fixture`.
        qpos: Positions of joints by name.
        parts: Name of a fixture -> index of the thing that its moving part is.
        gloss: Beginning of geoms' names -> how much they shine.
    """
    spec.stat.center, spec.stat.extent = np.zeros(3), 2.0  # lamps and shadows are about the table, not the room
    model = spec.compile()
    data = mujoco.MjData(model)
    for name, position in qpos.items():
        data.qpos[model.joint(name).qposadr[0]] = position
    mujoco.mj_forward(model, data)
    thing, handle = np.full(model.ngeom, -1), np.zeros(model.ngeom, dtype=bool)
    shine = np.zeros(model.ngeom)
    for i in range(model.ngeom):
        name = model.geom(i).name
        owner, _, rest = name.partition("/")
        if owner.startswith("thing"):
            thing[i] = int(owner.removeprefix("thing"))
        elif owner in parts and not rest.startswith("frame"):
            thing[i], handle[i] = parts[owner], rest.startswith("handle")
        shine[i] = next((value for start, value in gloss.items() if name.startswith(start)), 0.0)
    albedo = model.geom_rgba[:, :3].astype(np.float64)
    model.geom_rgba[:] = 1.0
    return SceneModel(model=model, data=data, thing=thing, handle=handle, albedo=albedo, gloss=shine)


def painted(
    scene: SceneModel, rendering: Rendering, prints: list[Printed], camera: Camera
) -> Float[np.ndarray, "H W 3"]:
    """Colour of the surface in every pixel, sRGB from 0 to 1; black where nothing is."""
    assert camera.T_world_camera is not None
    geom = rendering.segmentation.ravel()
    albedo = np.where(geom[:, None] >= 0, scene.albedo[geom], 0.0).astype(np.float32)
    member = np.full(scene.model.ngeom + 1, len(prints), dtype=np.uint8)  # the last one is for nothing, index -1
    for k, printed in enumerate(prints):
        member[printed.geoms] = k
    which = member[geom]
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(prints) + 1))
    points = camera.unproject(rendering.depth).reshape(-1, 3).astype(np.float32)
    for printed, pixels in zip(prints, np.split(order, ends[:-1]), strict=False):
        if len(pixels):
            T = (np.linalg.inv(printed.T_world_print) @ camera.T_world_camera).astype(np.float32)
            albedo[pixels] = printed.print(points[pixels] @ T[:3, :3].T + T[:3, 3], albedo[pixels])
    return albedo.clip(0, 1).reshape(*rendering.depth.shape, 3)
