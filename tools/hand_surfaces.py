"""Surfaces of collision geometry, official or ours, and how far they lie apart, both ways.

What counts as the surface of a link: every point of its collision geometry (meshes and primitives together) that a
ball of radius `BALL` coming from far away can touch. Screw holes, slots narrower than the ball, cavities behind them
and everything inside (inner walls, hidden parts, a part sunk in another) are no surface; no other part of the link is
left out. The surface of our solids is the boundary of their union, by the same rule.

Both are held as dense samples, `DENSITY` points per square metre, so a distance read from them is too large by at
most 0.2 mm. Distances from a point outside our solids are exact.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from scipy import ndimage
from scipy.spatial import KDTree
from solid import DENSITY, Solid, pose, sample, union_surface

BALL = 4e-3  # m: no fingertip (7 mm and more) and hardly a thing worth grasping gets into a slot of 8 mm
# Official descriptions, below hands_official.
OFFICIAL = {
    "shadow": "shadow/shadow_hand_right.urdf",
    "allegro": "allegro/allegro_hand_right.urdf",
    "svh": "svh/schunk_svh_hand_right.urdf",
    "leap": "leap/leap_hand_right.urdf",
    "ability": "ability/ability_hand_right.urdf",
    "panda": "panda/panda_gripper_glb.urdf",
    "inspire": "inspire/inspire_hand_right.urdf",
    "xhand": "xhand/xhand_right.urdf",
}
OFFICIAL |= {f"{name}_left": file.replace("_right", "_left") for name, file in OFFICIAL.items() if name != "panda"}
# The bodies that carry the fingers; a left hand's own names are added where they differ.
PALMS = {
    "shadow": ("palm",),
    "allegro": ("base_link",),
    "svh": ("right_hand_e1", "right_hand_e2"),
    "leap": ("palm_lower",),
    "ability": ("thumb_base",),
    "panda": ("panda_hand",),
    "inspire": ("hand_base_link",),
    "xhand": ("right_hand_link",),
    "svh_left": ("left_hand_e1", "left_hand_e2"),
    "leap_left": ("palm_lower_left",),
    "xhand_left": ("left_hand_link",),
}


@dataclass(frozen=True)
class Geometry:
    """A link's collision geometry as the URDF has it."""

    mesh: trimesh.Trimesh
    """All parts together, in the link's frame, m."""
    solids: tuple[Solid, ...] | None
    """The parts where all are primitives, else None."""


@dataclass(frozen=True)
class Description:
    """What a URDF says about collision."""

    links: dict[str, Geometry]
    """Links that have any, in the order of the file."""
    fingers: tuple[tuple[str, ...], ...]
    """Per finger, the links of its chain that have geometry, from the palm outwards."""


def read_urdf(path: Path) -> Description:
    """Collision geometry and fingers of a URDF; meshes are read beside it.

    A finger is a chain that ends in a link without children and begins after the last link that carries several
    chains; chains without geometry (frames) are none.
    """
    root = ET.parse(path).getroot()
    links: dict[str, Geometry] = {}
    for link in root.findall("link"):
        parts = [_part(item, path.parent) for item in link.findall("collision")]
        if parts:
            solids = tuple(s for s in parts if isinstance(s, Solid))
            mesh = together([s.mesh() if isinstance(s, Solid) else s for s in parts])
            links[link.get("name", "")] = Geometry(mesh, solids if len(solids) == len(parts) else None)
    ends = [[joint.find(end) for end in ("child", "parent")] for joint in root.findall("joint")]
    parent = {c.get("link", ""): p.get("link", "") for c, p in ends if c is not None and p is not None}
    bearing: dict[str, int] = {}  # chains per link
    chains = []
    for leaf in [name for link in root.findall("link") if (name := link.get("name", "")) not in parent.values()]:
        chain = [leaf]
        while chain[-1] in parent:
            chain.append(parent[chain[-1]])
        chains.append(chain)
        for name in chain:
            bearing[name] = bearing.get(name, 0) + 1
    fingers = [tuple(n for n in reversed(chain) if bearing[n] == 1 and n in links) for chain in chains]
    return Description(links, tuple(finger for finger in fingers if finger))


def _part(item: ET.Element, folder: Path) -> Solid | trimesh.Trimesh:
    shape, origin = item.findall("geometry/*")[0], item.find("origin")
    where = {} if origin is None else origin.attrib
    xyz, rpy = (_numbers(where.get(key, "0 0 0")) for key in ("xyz", "rpy"))
    if shape.tag == "mesh":
        mesh = together([trimesh.load(folder / shape.get("filename", ""), force="mesh")])
        mesh.apply_scale(_numbers(shape.get("scale", "1 1 1")))
        return mesh.apply_transform(pose(xyz, rpy))
    keys = {"box": ("size",), "cylinder": ("radius", "length"), "sphere": ("radius",)}
    if shape.tag not in keys:
        raise ValueError(f"<{shape.tag}> is no geometry of a URDF; expected mesh, box, cylinder or sphere.")
    return Solid(shape.tag, sum((_numbers(shape.get(key, "")) for key in keys[shape.tag]), ()), xyz, rpy)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split())


def together(meshes: list) -> trimesh.Trimesh:
    """One mesh of several."""
    mesh = trimesh.util.concatenate(meshes)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


class Surface:
    """The outer surface of a link's geometry: dense samples, and which places lie inside."""

    def __init__(
        self,
        mesh: trimesh.Trimesh,
        points: np.ndarray | None = None,
        *,
        ball: float = BALL,
        density: float = DENSITY,
        step: float | None = None,
    ):
        """Sample the mesh, or take samples of it, and keep what the ball can touch.

        Args:
            mesh: All parts together, m.
            points: Samples (n, 3) of its surface; by default they are drawn here.
            ball: Radius of the ball, m.
            density: Of the samples, 1/m^2.
            step: Of the grid on which the ball moves, m; by default a 120th of the length within 0.25 to 0.6 mm, or a
                200th where that is more.
        """
        points = sample(mesh, density, seed=0) if points is None else points
        length = float(np.ptp(points, axis=0).max())
        h = step or max(min(max(length / 120, 0.25e-3), 0.6e-3), length / 200)
        border = int(np.ceil((ball + 2 * h) / h)) + 1
        self._origin, self._step = points.min(axis=0) - border * h, h
        shape = np.ceil(np.ptp(points, axis=0) / h).astype(int) + 2 * border + 1
        # Walls must hold the ball back, so they are sampled again where a voxel is smaller than the sample distance.
        walls = sample(mesh, 4 / h**2, seed=1)
        wall = np.zeros(shape, dtype=bool)
        wall[tuple(np.rint((walls - self._origin) / h).astype(int).T)] = True
        clear = np.asarray(ndimage.distance_transform_edt(~wall)) * h
        labels = np.empty(shape, dtype=np.int32)
        ndimage.label(clear > ball, output=labels)  # places where the ball's centre fits, by connection
        reach = (
            np.asarray(ndimage.distance_transform_edt(labels != labels[0, 0, 0])) * h
        )  # to the nearest it can come to
        index = (points - self._origin) / h
        # Fewer than 1.8 steps lose walls that lie badly in the grid; that inner sides of thin walls stay does no harm.
        self.points = points[ndimage.map_coordinates(reach, index.T, order=1) <= ball + 1.8 * h]
        """Samples (n, 3) of the outer surface, m."""
        self.tree = KDTree(self.points)
        self._inside = reach > ball + 0.5 * h
        self.volume = float(self._inside.sum()) * h**3
        """Enclosed volume, m^3."""

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Whether points (n, 3) lie inside, to the step of the grid."""
        index = np.rint((points - self._origin) / self._step).astype(int)
        within = np.all((index >= 0) & (index < self._inside.shape), axis=1)
        inside = np.zeros(len(points), dtype=bool)
        inside[within] = self._inside[tuple(index[within].T)]
        return inside

    def signed_distance(self, points: np.ndarray) -> np.ndarray:
        """Distance (n,) of points (n, 3) from the surface, m, negative inside."""
        return np.where(self.contains(points), -1.0, 1.0) * self.tree.query(points)[0]

    def inside_points(self) -> np.ndarray:
        """Grid points (n, 3) that lie inside, m."""
        return self._origin + self._step * np.argwhere(self._inside)


def distances_both_ways(
    surface: Surface, solids: list[Solid], *, density: float = DENSITY, rough: bool = False, **options: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of a link's surface and its solids.

    Args:
        surface: The official surface.
        solids: Ours.
        density: Of the samples of the union's surface, 1/m^2.
        rough: Count slots between solids as surface, however narrow they are, which saves most of the time.
        **options: ``ball`` and ``step`` as for the official surface.

    Returns:
        From each sample of the link's surface to the surface of the union, and from each sample of the union's
        surface to the link's surface; m.
    """
    ours = union_surface(solids, density)
    if not rough:
        ours = Surface(together([solid.mesh() for solid in solids]), ours, **options).points
    signed = np.min([solid.signed_distance(surface.points) for solid in solids], axis=0)
    to_union = np.maximum(signed, 0.0)
    inner = signed < 0  # the true distance there is to the outer boundary, not to the nearest face of one solid
    to_union[inner] = KDTree(ours).query(surface.points[inner])[0]
    return to_union, surface.tree.query(ours)[0]


def link_groups(name: str, description: Description) -> dict[str, str]:
    """Group of every link with geometry: ``pads``, ``palm`` or ``other``.

    Pads are the two most distal links of each finger, whole. Markers of a frame (no edge over 6 mm) are left out.
    """
    palm = PALMS.get(name) or PALMS[name.removesuffix("_left")]
    links = [link for link, geometry in description.links.items() if max(geometry.mesh.extents) > 6e-3]
    pads = {link for finger in description.fingers for link in [f for f in finger if f in links][-2:]}
    return {link: "palm" if link in palm else "pads" if link in pads else "other" for link in links}
