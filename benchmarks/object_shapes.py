"""How well convex parts stand for objects in the simulator, and how well one look tells their shape.

Run: ``python benchmarks/object_shapes.py --models FOLDER [--views 4]``

Every YCB object of DexYCB, standing as its mesh does:

- ``parts`` and ``hull``: what touches in simulation, beside one convex hull. How far their surface stands out of the
  true one, and how deep the true surface lies in them (a filled hollow); 95th percentiles over places, mm.
- ``mirrored`` and ``hull seen``: what `perceive` closes one noisy view to, on which candidates are tried. Volume as a
  share of the true one, mean distance between the surfaces in both directions, and how far the centre of mass is off,
  mm; means over views from all around, 45 degrees down.

The mesh of 051_large_clamp is missing: its points are closed to their hull, which is what is compared with there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from unihm.datasets.object_model import sample_surface
from unihm.evaluation.tables import text_table
from unihm.geometry.mesh_distance import MeshDistance
from unihm.simulation.mass_properties import convex_hull
from unihm.simulation.perceived import perceive
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.tabletop import look_at, tabletop_camera
from unihm.simulation.ycb import MASSES, load_ycb

_PLACES = 2000  # on every surface
_CAMERA = (0.85, np.radians(45.0))  # m, down
_SHAPES = {"mirrored": "mirrored", "hull seen": "hull"}


def places_on(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Float[np.ndarray, "n 3"]:
    """Places evenly over a surface, m."""
    return sample_surface(vertices, faces, _PLACES)[0]


def parts_row(name: str, way: str, true: SolidObject, solid: SolidObject) -> dict:
    """How parts differ from the surface that they stand for."""
    hulls = [convex_hull(part) for part in solid.parts]
    mesh = MeshDistance(true.vertices, true.faces)
    parts = [MeshDistance(*hull) for hull in hulls]
    # of all places on the hulls, those that no other hull covers are the surface of the union
    own = []
    for k, hull in enumerate(hulls):
        x = places_on(*hull)
        covered = np.zeros(len(x), dtype=bool)
        for other in [part for i, part in enumerate(parts) if i != k]:
            covered |= other.query(x)[0] < -1e-4
        own.append(x[~covered])
    out = mesh.query(np.concatenate(own))[0]
    surface = places_on(true.vertices, true.faces)
    depth = np.min([part.query(surface)[0] for part in parts], axis=0)
    return {
        "object": name,
        "way": way,
        "parts": len(parts),
        "stands_out_mm": 1e3 * float(np.percentile(np.maximum(out, 0), 95)),
        "filled_mm": 1e3 * float(np.percentile(np.maximum(-depth, 0), 95)),
    }


def seen_row(name: str, way: str, true: SolidObject, views: int) -> dict:
    """How a shape that is guessed from one view differs from the true one."""
    T = np.eye(4)
    T[2, 3] = -true.lowest(np.eye(4))
    surface, mesh = places_on(true.vertices, true.faces), MeshDistance(true.vertices, true.faces)
    centre = true.centre_of_mass + T[:3, 3]
    found = []
    for view in range(views):
        x, y, z = centre.tolist()
        camera = tabletop_camera(look_at(*_CAMERA, yaw=2 * np.pi * view / views, target=(x, y, z)))
        seen = perceive(true, T, camera, shape=_SHAPES[way], seed=view)
        shift = seen.T_world_object[:3, 3] - T[:3, 3]
        closed = MeshDistance(seen.object.vertices + shift, seen.object.faces)
        guess = places_on(seen.object.vertices, seen.object.faces) + shift
        off = seen.object.centre_of_mass + seen.T_world_object[:3, 3] - centre
        found.append(
            {
                "volume": seen.object.volume / true.volume,
                "guessed_off_mm": 1e3 * float(np.abs(mesh.query(guess)[0]).mean()),
                "true_off_mm": 1e3 * float(np.abs(closed.query(surface)[0]).mean()),
                "centre_mm": 1e3 * float(np.linalg.norm(off)),
            }
        )
    return {"object": name, "way": way} | {key: float(np.mean([one[key] for one in found])) for key in found[0]}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--objects", nargs="+", default=sorted(MASSES))
    arguments = parser.parse_args()
    parts, seen = [], []
    for name in arguments.objects:
        true = load_ycb(arguments.models, name)
        parts.append(parts_row(name, "parts", true, true))
        parts.append(parts_row(name, "hull", true, load_ycb(arguments.models, name, convex="hull")))
        seen += [seen_row(name, way, true, arguments.views) for way in _SHAPES]
    for rows in (parts, seen):
        for way in dict.fromkeys(row["way"] for row in rows):
            own = [row for row in rows if row["way"] == way]
            numbers = [key for key, value in own[0].items() if not isinstance(value, str)]
            rows.append(
                {"object": "mean", "way": way} | {key: float(np.mean([r[key] for r in own])) for key in numbers}
            )
        print(text_table(rows, 2), end="\n\n")


if __name__ == "__main__":
    main()
