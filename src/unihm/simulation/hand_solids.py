"""What of a hand can touch: the solids of its own files, or the collision meshes of the manufacturer's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.hands.description import HandDescription
from unihm.hands.hand_file import HAND_FILE, read_hand_file
from unihm.kinematics.urdf import MeshReference, Shape, Urdf, parse_urdf
from unihm.registry import unknown_name

_SAME = 1e-5  # m and entries of rotations: how far the two files' joint frames may differ


@dataclass(frozen=True, kw_only=True)
class HandSolid:
    """One convex solid of a hand."""

    link: int
    """Index into `hand.link_names`."""
    T_link_solid: Float[np.ndarray, "4 4"]
    """Pose of its centre, or of its vertices' frame, in the link, m."""
    kind: str
    """``sphere``, ``cylinder``, ``box``, or ``hull``."""
    size: tuple[float, ...] = ()
    """As of a URDF shape; of a hull nothing."""
    vertices: Float[np.ndarray, "n 3"] | None = None
    """Of a hull, m."""
    color: tuple[float, ...] = (0.7, 0.7, 0.7, 1.0)
    """RGBA in [0, 1]."""


def hand_solids(hand: HandDescription, meshes: Path | None = None) -> list[HandSolid]:
    """The solids of a hand.

    Args:
        hand: The hand.
        meshes: A URDF of the same hand whose collision geometry is taken instead: of every mesh its convex hull, and
            the primitives as they are. Kinematics, masses and limits stay the hand's own.

    Raises:
        ValueError: There is nothing to touch with; or `meshes` is of another hand, or one of its files cannot be read.
    """
    solids = _own(hand) if meshes is None else _official(hand, Path(meshes))
    if not solids:
        where = f"Hand '{hand.name}'" if meshes is None else f"URDF file '{meshes}'"
        raise ValueError(
            f"{where} has no collision geometry: expected <collision> elements with boxes, cylinders or spheres"
            + ("; or give a URDF with collision meshes." if meshes is None else " or meshes.")
        )
    return solids


def _own(hand: HandDescription) -> list[HandSolid]:
    return [
        HandSolid(link=p.link, T_link_solid=p.T_link_shape, kind=p.kind, size=p.size, color=p.color)
        for p in hand.geometry
    ]


def _official(hand: HandDescription, path: Path) -> list[HandSolid]:
    other = parse_urdf(path)
    _check_same_frames(hand, other, path)
    index = {name: i for i, name in enumerate(hand.link_names)}
    hulls: dict[tuple, np.ndarray] = {}  # fingers often share files
    solids = []
    for link in other.links:
        references = [reference for reference in link.mesh_references if reference.role == "collision"]
        if not references and not link.collisions:
            continue
        if link.name not in index:
            raise unknown_name(f"URDF file '{path}': link", link.name, index)
        for reference in references:
            key = (reference.filename, reference.scale)
            if key not in hulls:
                hulls[key] = _hull(reference, path)
            solids.append(
                HandSolid(link=index[link.name], T_link_solid=reference.T_link_mesh, kind="hull", vertices=hulls[key])
            )
        solids += [_of_shape(index[link.name], shape) for shape in link.collisions]
    return solids


def _of_shape(link: int, shape: Shape) -> HandSolid:
    return HandSolid(link=link, T_link_solid=shape.T_link_shape, kind=shape.kind, size=shape.size, color=shape.color)


def _check_same_frames(hand: HandDescription, other: Urdf, path: Path) -> None:
    """The meshes are placed by link frames, so both files must place these alike: every joint stands where it does."""
    own = parse_urdf(hand.folder / read_hand_file(hand.folder / HAND_FILE).urdf)  # as written, nothing locked
    joints = {joint.name: joint for joint in other.joints}
    for joint in own.joints:
        if joint.name not in joints:
            raise ValueError(
                f"URDF file '{path}' has no joint '{joint.name}': it does not describe hand '{hand.name}'."
            )
        away = float(np.abs(joints[joint.name].T_parent_child - joint.T_parent_child).max())
        if joints[joint.name].child != joint.child or not away < _SAME:
            raise ValueError(
                f"URDF file '{path}': joint '{joint.name}' stands elsewhere ({away:.1e}) than in hand '{hand.name}', "
                f"expected the same link frames to {_SAME:g} m."
            )


def _hull(reference: MeshReference, path: Path) -> Float[np.ndarray, "n 3"]:
    """Vertices of a mesh's convex hull, scaled, in the mesh's own frame."""
    import trimesh

    file = path.parent / reference.filename.removeprefix("package://")
    if not file.is_file():
        raise ValueError(f"URDF file '{path}' mentions the mesh '{reference.filename}', which is not there.")
    try:
        mesh = trimesh.load(file, force="mesh")
        if not isinstance(mesh, trimesh.Trimesh):
            raise ValueError("it holds no mesh.")
        vertices = np.asarray(mesh.convex_hull.vertices, dtype=np.float64) * reference.scale
    except Exception as error:  # readers of a dozen formats raise what they like
        raise ValueError(f"Mesh '{file}' cannot be read: {' '.join(str(error).split())}") from error
    if not len(vertices) or not math.isfinite(float(np.abs(vertices).max())):
        raise ValueError(f"Mesh '{file}' has no vertices, or some that are not finite.")
    return vertices
