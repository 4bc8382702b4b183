"""One picture of every family of household objects, to look at.

Run: ``python benchmarks/household_sheet.py --out FILE.png [--seed 0]``

Each object is rendered alone by the rays of `simulation.rendering`, from a camera that looks 35 degrees down and has it
fill the picture, so sizes do not compare; beside its name stand its largest edge and its mass. Held-out families are
marked with a star.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

import argparse
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from unihm.geometry.camera import Camera
from unihm.scenes.families import FAMILIES, HELD_OUT
from unihm.scenes.household import HouseholdObject, draw_object
from unihm.simulation.rendering import render_model
from unihm.simulation.tabletop import look_at

_WIDTH, _HEIGHT, _FOCAL = 200, 170, 330.0  # pixels
_COLUMNS = 11


def picture(thing: HouseholdObject) -> UInt8[np.ndarray, "H W 3"]:
    """The object on a white table."""
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[3, 3, 0.1], rgba=[0.8, 0.8, 0.78, 1])
    for k, colour in enumerate(np.unique(thing.face_colours, axis=0)):
        faces = thing.faces[(thing.face_colours == colour).all(axis=1)]
        used, faces = np.unique(faces, return_inverse=True)
        mesh = spec.add_mesh(name=str(k), inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
        mesh.uservert, mesh.userface = thing.vertices[used].ravel(), faces.ravel()
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=str(k), rgba=[*(colour / 255.0), 1])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    size = np.array(thing.dimensions_m)
    pose = look_at(
        float(2.05 * np.linalg.norm(size)), np.radians(35), yaw=np.radians(25), target=(0, 0, float(0.45 * size[2]))
    )
    camera = Camera(
        fx=_FOCAL, fy=_FOCAL, cx=_WIDTH / 2 - 0.5, cy=_HEIGHT / 2 - 0.5, width=_WIDTH, height=_HEIGHT,
        depth_scale=4000.0, T_world_camera=pose,
    )  # fmt: skip
    return render_model(model, data, camera, backend="rays").color


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the PNG file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = -(-len(FAMILIES) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _WIDTH, rows * (_HEIGHT + 30)), "white")
    pen = ImageDraw.Draw(sheet)
    for k, family in enumerate(FAMILIES):
        thing = draw_object(np.random.default_rng([options.seed, k]), family, held_out=True)
        x, y = k % _COLUMNS * _WIDTH, k // _COLUMNS * (_HEIGHT + 30)
        sheet.paste(Image.fromarray(picture(thing)), (x, y))
        star = " *" if family in HELD_OUT else ""
        pen.text((x + 4, y + _HEIGHT), f"{family}{star}", fill="black")
        what = f"{thing.colour}, {thing.pattern}, {100 * max(thing.dimensions_m):.0f} cm, {1000 * thing.mass_kg:.0f} g"
        pen.text((x + 4, y + _HEIGHT + 13), what, fill="grey")
    sheet.save(options.out)


if __name__ == "__main__":
    main()
