"""A rigid thing that a hand takes: its surface, its mass, the convex parts it is touched by, and its body in MuJoCo."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float, Int

from unihm.geometry.pose import pose_to_vector
from unihm.registry import unknown_name
from unihm.simulation.constants import (
    ASSUMED_DENSITY,
    CONTACT_DIMENSIONS,
    CONTACT_SOLREF,
    FRICTION,
    ROLLING,
    TORSION,
)
from unihm.simulation.decomposition import convex_parts
from unihm.simulation.mass_properties import MassProperties, convex_hull, of_parts, of_surface
from unihm.simulation.object_surface import Surface, is_closed, read_surface, repaired
from unihm.simulation.things import Part, Thing

CONVEX = ("coacd", "hull")
_COLOR = (0.62, 0.66, 0.72)
_CONVEX_ALREADY = 0.999  # share of its hull that a shape fills
_SIDES = 48  # of a cylinder
_VISIBLE, _TOUCHED = 2, 3  # MuJoCo's usual groups of geoms for looks and for contact


@dataclass(frozen=True, kw_only=True, eq=False)
class SolidObject:
    """A rigid thing of uniform density, in its own frame."""

    name: str
    """Unique in a world."""
    mass: float
    """kg."""
    vertices: Float[np.ndarray, "v 3"]
    """Of its surface, m."""
    faces: Int[np.ndarray, "f 3"]
    """Triangles, counter-clockwise seen from outside."""
    parts: tuple[Float[np.ndarray, "_ 3"], ...]
    """Corners of the convex parts by which it is touched, m."""
    color: tuple[float, float, float] = _COLOR
    """RGB, 0 to 1."""
    repairs: tuple[str, ...] = ()
    """What had to be repaired or assumed, one sentence each."""
    closed: bool | None = None
    """Whether the surface encloses the body, once; None: looked up. Else volume and inertia are those of the parts."""

    def __post_init__(self) -> None:
        """Check what a simulation could not."""
        if not (np.isfinite(self.mass) and self.mass > 0):
            raise ValueError(f"Object '{self.name}' needs a mass above zero, got {self.mass} kg.")
        if not self.parts:
            raise ValueError(f"Object '{self.name}' has no parts to be touched by.")

    @property
    def volume(self) -> float:
        """m^3."""
        return self._properties.volume

    @property
    def centre_of_mass(self) -> Float[np.ndarray, " 3"]:
        """m."""
        return self._properties.centre_of_mass

    @property
    def inertia(self) -> Float[np.ndarray, "3 3"]:
        """kg m^2 about the centre of mass, along the axes of the object's frame."""
        return self._properties.inertia * (self.mass / self._properties.volume)

    @cached_property
    def _properties(self) -> MassProperties:
        if self.closed if self.closed is not None else is_closed(self.faces):
            properties = of_surface(self.vertices, self.faces)
            if properties.possible:  # not where walls run through each other
                return properties
        return of_parts(self.parts)

    def lowest(self, T_world_object: Float[np.ndarray, "4 4"]) -> float:
        """Height of the lowest point by which it is touched, m: where a table must be for the object to rest so."""
        return min(float((part @ T_world_object[2, :3]).min()) for part in self.parts) + float(T_world_object[2, 3])


def load_object(
    path: str | Path,
    *,
    name: str | None = None,
    mass: float | None = None,
    convex: str = "coacd",
    scale: float = 1.0,
    color: tuple[float, float, float] = _COLOR,
) -> SolidObject:
    """An object from a mesh or a list of points.

    Args:
        path: ``.obj``, ``.stl``, ``.ply``, ``.off``, ``.glb`` or a list of points (``.xyz``, ``.txt``, ``.ply``).
        name: By default the file's.
        mass: kg; by default a density is assumed, which `repairs` says.
        convex: ``coacd`` (parts that follow hollows; needs the extra ``simulation``) or ``hull``.
        scale: Factor from the file's unit to metres.
        color: RGB, 0 to 1.

    Raises:
        ValueError: The file is missing, unreadable, flat, not in metres, or holds NaN.
    """
    surface = read_surface(path, scale)
    return _object_of_surface(surface, name or Path(path).stem, mass, convex, color)


def object_of_mesh(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"],
    *,
    name: str,
    mass: float | None,
    convex: str = "coacd",
    color: tuple[float, float, float] = _COLOR,
) -> SolidObject:
    """An object from a triangle mesh in metres; without faces from the hull of its points.

    Args:
        vertices: m.
        faces: Triangles.
        name: Unique in a world.
        mass: kg; None: from an assumed density, which `repairs` says.
        convex: ``coacd`` or ``hull``.
        color: RGB, 0 to 1.

    Raises:
        ValueError: It is flat, not in metres, or holds NaN.
    """
    return _object_of_surface(repaired(vertices, faces, f"Object '{name}'"), name, mass, convex, color)


def object_of_thing(thing: Thing, mass: float) -> SolidObject:
    """An object of primitives, in the thing's frame (origin at the middle of its foot, z up).

    Round primitives become polyhedra of the same volume, half a per cent from the true surface.
    """
    hulls = [convex_hull(_corners(part)) for part in thing.parts]
    starts = np.cumsum([0] + [len(corners) for corners, _ in hulls])
    return SolidObject(
        name=thing.name,
        mass=mass,
        vertices=np.concatenate([corners for corners, _ in hulls]),
        faces=np.concatenate([faces + start for (_, faces), start in zip(hulls, starts[:-1], strict=True)]),
        parts=tuple(corners for corners, _ in hulls),
        color=thing.color,
        closed=len(hulls) == 1,  # the surfaces of several overlap
    )


def add_object(
    spec: mujoco.MjSpec,
    object: SolidObject,
    T_world_object: Float[np.ndarray, "4 4"],
    *,
    free: bool = True,
    friction: float = FRICTION,
    surface: bool = False,
) -> str:
    """Put an object into a model.

    Args:
        spec: The model.
        object: The object.
        T_world_object: Its pose, m in the world.
        free: Whether it can move (a free joint ``<name>/free``).
        friction: Sliding friction.
        surface: Whether its true surface is there to be seen as well (``<name>/surface``, which touches nothing, in
            group 2; the parts then lie in group 3).

    Returns:
        Name of the body; its parts are the geoms ``<name>/0``, ``<name>/1``, ...
    """
    pose = pose_to_vector(T_world_object)
    body = spec.worldbody.add_body(name=object.name, pos=pose[:3].tolist(), quat=pose[3:].tolist())
    if free:
        body.add_freejoint(name=f"{object.name}/free")
    body.explicitinertial = True
    body.mass = object.mass
    body.ipos = object.centre_of_mass
    xx, yy, zz = np.diagonal(object.inertia)
    body.fullinertia = [xx, yy, zz, object.inertia[0, 1], object.inertia[0, 2], object.inertia[1, 2]]
    for i, part in enumerate(object.parts):
        mesh = spec.add_mesh(name=f"{object.name}/{i}", uservert=np.ravel(part).tolist())
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
        body.add_geom(
            name=f"{object.name}/{i}",
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=mesh.name,
            mass=0.0,
            friction=[friction, TORSION, ROLLING],
            condim=CONTACT_DIMENSIONS,
            solref=list(CONTACT_SOLREF),
            rgba=[*object.color, 1.0],
            group=_TOUCHED if surface else 0,
        )
    if surface:
        name = f"{object.name}/surface"
        mesh = spec.add_mesh(
            name=name, uservert=np.ravel(object.vertices).tolist(), userface=np.ravel(object.faces).tolist()
        )
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # asks nothing of the surface
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=name,
            mass=0.0,
            contype=0,
            conaffinity=0,
            rgba=[*object.color, 1.0],
            group=_VISIBLE,
        )
    return object.name


def _object_of_surface(
    surface: Surface, name: str, mass: float | None, convex: str, color: tuple[float, float, float]
) -> SolidObject:
    if convex not in CONVEX:
        raise unknown_name("Way to a convex shape", convex, CONVEX)
    corners, triangles = convex_hull(surface.vertices)
    parts = (corners,)
    filled = of_surface(surface.vertices, surface.faces).volume / of_surface(corners, triangles).volume
    if convex == "coacd" and not (surface.closed and filled > _CONVEX_ALREADY):
        parts = convex_parts(surface.vertices, surface.faces)
    repairs = surface.repairs
    if mass is None:
        volume = of_surface(surface.vertices, surface.faces).volume if surface.closed else of_parts(parts).volume
        mass = ASSUMED_DENSITY * volume
        repairs += (f"No mass was given: {mass:.3g} kg, assuming {ASSUMED_DENSITY:g} kg/m^3.",)
    return SolidObject(
        name=name,
        mass=mass,
        vertices=surface.vertices,
        faces=surface.faces,
        parts=parts,
        color=color,
        repairs=repairs,
        closed=surface.closed,
    )


def _corners(part: Part) -> np.ndarray:
    """Of a polyhedron with the primitive's volume, in the thing's frame."""
    x, y, z = part.size
    if part.kind == "box":
        unit = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, -1).T
    elif part.kind == "cylinder":
        angle = 2 * np.pi * np.arange(_SIDES) / _SIDES
        ring = np.sqrt(2 * np.pi / (_SIDES * np.sin(2 * np.pi / _SIDES))) * np.stack([np.cos(angle), np.sin(angle)], 1)
        unit = np.concatenate([np.column_stack([ring, np.full(_SIDES, level)]) for level in (-1.0, 1.0)])
    else:
        import trimesh

        ball = trimesh.creation.icosphere(subdivisions=3)
        unit = np.asarray(ball.vertices) * (4 * np.pi / 3 / ball.volume) ** (1 / 3)
    return unit * [x, y, z] + part.position
