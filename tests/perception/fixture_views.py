"""Drawers, doors and lids as a depth camera sees them, with the truth about their joints."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np

from unihm.geometry.camera import Camera
from unihm.geometry.pose import yaw_pose
from unihm.perception.articulation import find_joint
from unihm.scenes.camera_view import look_at
from unihm.scenes.depth_sensor import STEREO, STRUCTURED_LIGHT
from unihm.schema.joint import Joint
from unihm.simulation.fixtures import FIXTURES, Fixture, add_fixture
from unihm.simulation.rendering import render_model

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
_LEAST_FACING = np.sin(np.radians(10))  # of a panel, so that it is seen


@dataclass(frozen=True, kw_only=True)
class View:
    """What `find_joint` is given, and what is true."""

    fixture: Fixture
    camera: Camera
    panel: np.ndarray
    handle: np.ndarray
    body: np.ndarray
    shown: np.ndarray
    """frame, handle, moving or nothing, for each pixel."""
    points: np.ndarray
    """What each pixel shows, m; (H, W, 3)."""
    valid: np.ndarray
    """Pixels with a depth."""

    @property
    def eye(self) -> np.ndarray:
        assert self.camera.T_world_camera is not None
        return self.camera.T_world_camera[:3, 3]

    def found(self) -> tuple[Joint, np.ndarray]:
        """What `find_joint` makes of it."""
        return find_joint(self.panel, self.handle, self.body, self.fixture.kind, self.eye)

    @property
    def handle_in_view(self) -> bool:
        """Whether the bar is inside the image, and its panel seen from the outside."""
        assert self.camera.T_world_camera is not None
        T = self.fixture.T_world_handle
        bar = T[:3, 3] + np.outer([-0.5, 0.5], self.fixture.handle_length * T[:3, 1])
        T_camera_world = np.linalg.inv(self.camera.T_world_camera)
        uv = self.camera.project(bar @ T_camera_world[:3, :3].T + T_camera_world[:3, 3])
        view = self.eye - T[:3, 3]
        inside = ((uv > 5) & (uv < [WIDTH - 6, HEIGHT - 6])).all()
        return bool(inside and view @ T[:3, 0] > _LEAST_FACING * np.linalg.norm(view))


def drawn(rng: np.random.Generator, kind: str, *, noisy: bool = True) -> View:
    """A fixture of some size, up to 80 % open, seen from 20 to 60 degrees above and within 50 of its front."""
    ranges = {
        "drawer": ((0.22, 0.32), (0.2, 0.36), (0.18, 0.3)),
        "door": ((0.16, 0.3), (0.2, 0.36), (0.22, 0.38)),
        "lid": ((0.15, 0.26), (0.18, 0.32), (0.08, 0.18)),
    }
    size = tuple(rng.uniform(*limits) for limits in ranges[kind])
    options: dict = {"size": size, "handle_length": rng.uniform(0.08, 0.13)}
    if kind == "drawer":
        options["front"] = rng.uniform(0.4, 0.55) * size[2]
    elif kind == "door":
        options["hinge_on_right"] = bool(rng.integers(2))
    shut = FIXTURES[kind](T_world_fixture=yaw_pose(rng.uniform(-3, 3)), **options)
    fixture = replace(shut, position0=rng.uniform(0, 0.8) * shut.upper)
    azimuth, rise = rng.uniform(np.radians([-50, 20]), np.radians([50, 60]))
    return seen(fixture, azimuth, rise, rng.uniform(0.65, 1.0), rng if noisy else None)


def seen(
    fixture: Fixture, azimuth: float, rise: float, distance: float, rng: np.random.Generator | None = None
) -> View:
    """From a direction relative to its front (rad) and a distance (m), exactly or, with `rng`, as a sensor gives it."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1])
    joint = add_fixture(spec, fixture)
    model = spec.compile()
    data = mujoco.MjData(model)
    data.joint(joint).qpos[0] = fixture.position0
    mujoco.mj_kinematics(model, data)
    T_world_fixture = fixture.T_world_fixture
    # Half way between body and handle, so that both are inside the image.
    target = (T_world_fixture[:3, 3] + [0.0, 0.0, 0.6 * fixture.design.handle[2]] + fixture.T_world_handle[:3, 3]) / 2
    ahead = T_world_fixture[:3, :3] @ [np.cos(rise) * np.cos(azimuth), np.cos(rise) * np.sin(azimuth), np.sin(rise)]
    T = look_at(target + distance * ahead, target)
    camera = Camera(
        fx=FOCAL,
        fy=FOCAL,
        cx=(WIDTH - 1) / 2,
        cy=(HEIGHT - 1) / 2,
        width=WIDTH,
        height=HEIGHT,
        depth_scale=1000.0,
        T_world_camera=T,
    )
    image = render_model(model, data, camera, backend="rays")
    depth = image.depth
    if rng is not None:
        K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        depth = (STRUCTURED_LIGHT, STEREO)[rng.integers(2)].observed(depth, K, rng, image.color)
    names = [model.geom(i).name for i in range(model.ngeom)]
    words = np.array([next((w for w in ("frame", "handle", "moving") if f"/{w}" in n), "") for n in [*names, ""]])
    shown = words[image.segmentation]
    points = camera.unproject(depth) @ T[:3, :3].T + T[:3, 3]
    panel, handle, body = (points[(shown == word) & (depth > 0)] for word in ("moving", "handle", "frame"))
    return View(
        fixture=fixture,
        camera=camera,
        panel=panel,
        handle=handle,
        body=body,
        shown=shown,
        points=points,
        valid=depth > 0,
    )
