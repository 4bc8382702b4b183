"""Reading an object's surface from a file, and making it fit for physics.

Nothing is guessed silently: what is repaired is said in one sentence each, what cannot be repaired is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from unihm.geometry.surface import MESH_SUFFIXES, POINT_SUFFIXES
from unihm.simulation.mass_properties import convex_hull, of_surface

MAX_FACES = 20_000  # of a surface; on a mug these are 2 mm wide, below what contact needs
LONGEST, SHORTEST = 2.0, 0.002  # m: extents of things that one hand takes
_MILLIMETRES = 1000 * LONGEST
_FLAT = 1e-5  # m: thinner is a sheet, which encloses nothing
_EMPTY = 1e-4  # share of the hull's volume below which a surface encloses nothing
_THIN = 0.05  # the same, below which its volume is not trusted: the YCB bowl (0.04) is 0.9 mm thick in its scan, and
# its centre of mass 3 mm off the axis; the mug (0.26) and the clamp (0.20) are sound


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """A triangle mesh that physics can use."""

    vertices: Float[np.ndarray, "v 3"]
    """m."""
    faces: Int[np.ndarray, "f 3"]
    """Counter-clockwise seen from outside."""
    closed: bool
    """Whether the triangles enclose a volume that can be trusted."""
    repairs: tuple[str, ...] = ()
    """What was done to it, one sentence each."""


def read_surface(path: str | Path, scale: float = 1.0) -> Surface:
    """The repaired surface in a mesh file, or the convex hull of a list of points.

    Args:
        path: ``.obj``, ``.stl``, ``.ply``, ``.off``, ``.glb``; ``.xyz``, ``.txt``, or a ``.ply`` without faces.
        scale: Factor from the file's unit to metres.

    Raises:
        ValueError: The file is missing or unreadable, or `repaired` refuses what it holds.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Object file '{path}' does not exist.")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"A scale is a factor above zero, got {scale}.")
    if path.suffix.lower() in POINT_SUFFIXES:
        vertices, faces = _read_points(path), np.zeros((0, 3), dtype=np.int64)
    elif path.suffix.lower() in MESH_SUFFIXES:
        vertices, faces = _read_mesh(path)
    else:
        known = ", ".join(MESH_SUFFIXES + POINT_SUFFIXES)
        raise ValueError(f"'{path}': unknown kind of object file '{path.suffix}'. Available: {known}.")
    return repaired(vertices * scale, faces, f"'{path}'")


def repaired(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], what: str = "The object") -> Surface:
    """A surface that physics can use: of a sensible size, not flat, oriented outward, of at most `MAX_FACES` faces.

    Args:
        vertices: m.
        faces: Triangles; none for a cloud of points, which is closed to its convex hull.
        what: Name for messages.

    Raises:
        ValueError: It holds NaN, no volume, triangles of vertices that do not exist, or is not in metres.
    """
    vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"{what} needs vertices (v, 3) and faces (f, 3), got {vertices.shape} and {faces.shape}.")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError(f"{what} has {len(vertices)} vertices, but faces name others.")
    broken = int((~np.isfinite(vertices)).any(axis=1).sum())
    if broken:
        raise ValueError(f"{what} has {broken} vertices that are NaN or infinite.")
    repairs: list[str] = []
    if len(faces):
        vertices, faces = _used(vertices, faces)
    _check_size(vertices, what)
    if not len(faces):
        corners, triangles = convex_hull(vertices)
        note = f"{len(vertices)} points without faces were closed to their convex hull."
        return Surface(vertices=corners, faces=triangles, closed=True, repairs=(note,))

    if len(faces) > MAX_FACES:
        before, (vertices, faces, cell) = len(faces), _clustered(vertices, faces)
        repairs.append(
            f"{before} faces were simplified to {len(faces)} (at most {MAX_FACES}): vertices {1000 * cell:.1f} mm apart"
            " became one."
        )
    vertices, faces = _merged(vertices, faces)
    if not len(faces):
        raise ValueError(f"{what} has no faces of any area.")
    faces, turned = _oriented(vertices, faces)
    if turned:
        repairs.append(f"{turned} of {len(faces)} faces were turned inside out; they face outward now.")
    closed = is_closed(faces)
    if not closed:
        repairs.append("The surface is not closed: volume and inertia are those of the convex parts.")
    else:
        filled = of_surface(vertices, faces).volume / of_surface(*convex_hull(vertices)).volume
        if filled < _EMPTY:
            raise ValueError(f"{what} encloses no volume: its faces lie on each other.")
        if filled < _THIN:
            closed = False
            repairs.append(
                f"Its walls are so thin ({100 * filled:.1f} % of the hull) that small errors of the surface decide on "
                "volume and inertia: they are those of the convex parts."
            )
    area = np.linalg.norm(_crosses(vertices, faces), axis=1)
    vertices, faces = _used(vertices, faces[area > 0])
    return Surface(vertices=vertices, faces=faces, closed=closed, repairs=tuple(repairs))


def is_closed(faces: Int[np.ndarray, "f 3"]) -> bool:
    """Whether every edge is run through as often in one direction as in the other, as on a surface without holes."""
    if not len(faces):
        return False
    edge, way, _ = _edges(faces)
    return not np.bincount(edge, weights=way).any()


def _check_size(vertices: np.ndarray, what: str) -> None:
    if len(vertices) < 4:
        raise ValueError(f"{what} has {len(vertices)} points; a body needs at least 4 that are not in one plane.")
    extent = float(np.ptp(vertices, axis=0).max())
    if LONGEST < extent < _MILLIMETRES:
        raise ValueError(f"{what} is {extent:.4g} m long. If it is in millimetres, give a scale of 0.001.")
    if not SHORTEST <= extent < _MILLIMETRES:
        raise ValueError(f"{what} is {extent:.3g} m long; expected {SHORTEST} to {LONGEST} m. Is the scale right?")
    centred = vertices - vertices.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1]
    thickness = float(np.ptp(centred @ axes, axis=0).min())
    if thickness < _FLAT:
        raise ValueError(f"{what} is flat ({1000 * thickness:.3f} mm thick): it encloses no volume.")


def _read_points(path: Path) -> np.ndarray:
    try:
        points = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise ValueError(f"'{path}' is not a list of points: {error}.") from error
    if points.shape[1] < 3:
        raise ValueError(f"'{path}' needs three coordinates a line, got {points.shape[1]}.")
    return points[:, :3]


def _read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import trimesh

    try:
        loaded = trimesh.load(path, process=False)
        if isinstance(loaded, trimesh.Scene):
            loaded = loaded.to_mesh()
    except Exception as error:  # trimesh raises many kinds for a damaged file
        raise ValueError(f"'{path}' is not a readable mesh: {error}") from error
    vertices = np.asarray(getattr(loaded, "vertices", ()), dtype=np.float64)
    faces = np.asarray(getattr(loaded, "faces", ()), dtype=np.int64)
    if not vertices.size:
        raise ValueError(f"'{path}' holds no faces and no points.")
    return vertices.reshape(-1, 3), faces.reshape(-1, 3)


def _used(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = np.zeros(len(vertices), dtype=bool)
    used[faces] = True
    return vertices[used], (np.cumsum(used) - 1)[faces]


def _merged(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices at one place made one (seams of a texture part them), less faces that then have two equal corners."""
    vertices, inverse = np.unique(vertices, axis=0, return_inverse=True)
    return _without_collapsed(vertices, inverse.ravel()[faces])


def _clustered(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """All vertices in one cell of a grid become their mean; returned with the cell's width, m.

    A closed surface stays closed: every edge either keeps its partners or vanishes together with them.
    """
    area = np.linalg.norm(_crosses(vertices, faces), axis=1).sum() / 2
    cell = np.sqrt(2 * area / MAX_FACES)
    while True:
        index = np.floor((vertices - vertices.min(axis=0)) / cell).astype(np.int64)
        size = index.max(axis=0) + 1
        _, inverse, count = np.unique(
            (index[:, 0] * size[1] + index[:, 1]) * size[2] + index[:, 2], return_inverse=True, return_counts=True
        )
        means = np.stack([np.bincount(inverse, weights=vertices[:, k]) / count for k in range(3)], axis=-1)
        means, fewer = _without_collapsed(means, inverse[faces])
        if len(fewer) <= MAX_FACES:
            return means, fewer, float(cell)
        cell *= 1.02 * np.sqrt(len(fewer) / MAX_FACES)


def _without_collapsed(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = faces.T
    return _used(vertices, faces[(a != b) & (b != c) & (c != a)])


def _edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every corner of every face the edge that begins there: its number, its direction (1 or -1) and its face."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, edge = np.unique(low * (faces.max() + 1) + high, return_inverse=True)
    return edge, np.where(start < end, 1, -1), np.repeat(np.arange(len(faces)), 3)


def _oriented(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Faces that agree with their neighbours and face outward, and how many were turned for that."""
    edge, way, face = _edges(faces)
    order = np.argsort(edge, kind="stable")
    times = np.bincount(edge)
    first = np.cumsum(times)[times == 2] - 2  # of edges between exactly two faces
    one, two = face[order[first]], face[order[first + 1]]
    agree = way[order[first]] != way[order[first + 1]]
    graph = coo_array((np.ones(len(one)), (one, two)), shape=(len(faces), len(faces))).tocsr()
    count, piece = connected_components(graph, directed=False)
    sign = np.ones(len(faces))
    relation = {(a, b): 1.0 if same else -1.0 for a, b, same in zip(one.tolist(), two.tolist(), agree, strict=True)}
    for number in np.unique(piece[one[~agree]]):
        members = np.flatnonzero(piece == number)
        order, before = breadth_first_order(graph, members[0], directed=False)
        for current in order[1:].tolist():
            previous = int(before[current])
            same = relation[previous, current] if (previous, current) in relation else relation[current, previous]
            sign[current] = sign[previous] * same
        if sign[members].sum() < 0:  # the majority is right
            sign[members] *= -1
    sign *= _outward(vertices, faces, sign, piece, count)
    turned = sign < 0
    result = faces.copy()
    result[turned] = result[turned][:, ::-1]
    return result, int(turned.sum())


def _outward(vertices: np.ndarray, faces: np.ndarray, sign: np.ndarray, piece: np.ndarray, count: int) -> np.ndarray:
    """Sign of every face that makes its piece face outward.

    A piece within another one may be a cavity, which faces into itself: it is turned where the one around it is.
    """
    corners = vertices[faces]
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, piece, corners.min(axis=1))
    np.maximum.at(high, piece, corners.max(axis=1))
    a, b, c = np.moveaxis(corners - ((low + high) / 2)[piece][:, None], 1, 0)
    volume = np.bincount(piece, weights=sign * np.einsum("fi,fi->f", a, np.cross(b, c)), minlength=count)
    flip = volume < 0
    for number in np.argsort(-np.prod(high - low, axis=1)) if count > 1 else ():  # the large ones first
        around = np.flatnonzero((low < low[number]).all(axis=1) & (high > high[number]).all(axis=1))
        if len(around):
            flip[number] = flip[around[np.argmax(np.prod(high - low, axis=1)[around])]]
    return np.where(flip[piece], -1.0, 1.0)


def _crosses(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)
