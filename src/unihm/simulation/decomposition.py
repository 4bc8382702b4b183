"""Convex parts of a shape, for contact: CoACD's approximate decomposition, kept on disk.

Physics engines touch convex bodies only. A bowl as its hull is a full disc, so it is cut into parts whose hulls stay
within `Decomposition.concavity` of its surface. CoACD (Wei et al., "Approximate convex decomposition for 3D meshes with
collision-aware concavity and tree search", SIGGRAPH 2022) takes seconds to a minute for that, so the result is kept
under a digest of the shape and the settings.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import ConvexHull

from unihm.cache import cache_folder
from unihm.schema.storage import load_record, save_record
from unihm.simulation.mass_properties import convex_hull, of_surface

_KIND, _VERSION = "convex_parts", 1
_SLIVER = 1e-9  # m^3: parts below a cubic millimetre are left out; MuJoCo refuses flat ones
_LOST = 1e-3  # m: a cut that leaves more of the surface outside is made again
_VOXELS = 30  # along the longest side, where a surface must be remeshed first
# A third of CoACD's own search: on the YCB bowl as many parts, as close, in a third of the time.
_SEARCH: dict[str, Any] = {"mcts_iterations": 30, "mcts_nodes": 10, "mcts_max_depth": 2, "resolution": 1000}


@dataclass(frozen=True, kw_only=True)
class Decomposition:
    """How finely a shape is cut."""

    concavity: float = 0.005
    """How far the parts' hulls may depart from the surface, m (CoACD's measure). Chosen on the YCB bowl, mug and clamp:
    the bowl becomes 52 parts, 95 % of whose surface is within 2.7 mm of the mesh. At 3 mm it is 104 parts, within
    1.4 mm, and rollouts with a hand take up to 1.8 times as long; at 8 mm 26 parts, within 4.2 mm."""
    max_parts: int = 64
    """Parts beyond this are merged, whatever the concavity."""
    seed: int = 0
    """Of the tree search."""


DEFAULT = Decomposition()


def convex_parts(
    vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], settings: Decomposition = DEFAULT
) -> tuple[Float[np.ndarray, "_ 3"], ...]:
    """Corners of convex parts that together fill the shape, from the cache or made now.

    Args:
        vertices: Of the surface, m.
        faces: Its triangles, outward.
        settings: How finely it is cut.

    Raises:
        ValueError: CoACD is not installed, or found no parts.
    """
    path = cache_folder() / "convex_parts" / f"{_digest(vertices, faces, settings)}.npz"
    if path.is_file():
        try:
            return _load(path)
        except ValueError as error:
            warnings.warn(f"A cached convex decomposition is made again: {error}", stacklevel=2)
    parts = _decompose(vertices, faces, settings)
    try:
        _save(path, parts)
    except ValueError as error:  # nothing depends on the cache but time
        warnings.warn(f"A convex decomposition cannot be kept: {error}", stacklevel=2)
    return parts


def _decompose(vertices: np.ndarray, faces: np.ndarray, settings: Decomposition) -> tuple[np.ndarray, ...]:
    try:
        import coacd
    except ImportError as error:
        raise ValueError(
            "Convex parts need CoACD: pip install 'unihm[simulation]'. "
            'Without it, convex="hull" takes the shape\'s convex hull, which fills everything hollow.'
        ) from error
    coacd.set_log_level("off")

    def cut(remesh: bool) -> tuple[np.ndarray, ...]:
        found = coacd.run_coacd(
            coacd.Mesh(vertices, faces.astype(np.int32)),
            threshold=settings.concavity,
            real_metric=True,  # the threshold is in m, not in sizes of the shape
            max_convex_hull=settings.max_parts,
            preprocess_mode="on" if remesh else "off",
            preprocess_resolution=_VOXELS,
            seed=settings.seed,
            **_SEARCH,
        )
        return tuple(part for part in (_corners(points) for points, _ in found) if part is not None)

    # Remeshing makes holes whole, but walls thicker by a voxel and the search many times longer: only where it must be.
    parts = cut(remesh=False) if _is_manifold(faces) else ()
    if not parts or _uncovered(vertices, parts) > _LOST:
        parts = cut(remesh=True)
    if not parts:
        raise ValueError('CoACD found no convex parts of this shape; convex="hull" takes its convex hull.')
    return parts


def _corners(points: np.ndarray) -> np.ndarray | None:
    """Corners of a part's hull; None for a sliver."""
    try:
        corners, triangles = convex_hull(np.asarray(points, dtype=np.float64))
    except ValueError:  # flat
        return None
    return corners if of_surface(corners, triangles).volume > _SLIVER else None


def _is_manifold(faces: np.ndarray) -> bool:
    """Whether every edge lies between exactly two faces, which run through it in opposite directions."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    count = faces.max() + 1
    once = np.unique(start * count + end)
    return len(once) == len(start) and np.array_equal(once, np.unique(end * count + start))


def _uncovered(vertices: np.ndarray, parts: tuple[np.ndarray, ...]) -> float:
    """How far a vertex of the surface is from all parts at most, m."""
    distance = np.full(len(vertices), np.inf)
    for part in parts:
        planes = ConvexHull(part).equations
        distance = np.minimum(distance, (vertices @ planes[:, :3].T + planes[:, 3]).max(axis=1))
    return float(distance.max())


def _digest(vertices: np.ndarray, faces: np.ndarray, settings: Decomposition) -> str:
    digest = hashlib.sha256(f"{_VERSION} {sorted(asdict(settings).items())} {vertices.shape} {faces.shape}".encode())
    digest.update(np.ascontiguousarray(vertices, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(faces, dtype="<i8").tobytes())
    return digest.hexdigest()[:32]


def _save(path: Path, parts: tuple[np.ndarray, ...]) -> None:
    arrays = {"corners": np.concatenate(parts), "counts": np.array([len(part) for part in parts])}
    save_record(path, kind=_KIND, version=_VERSION, header={"digest": _digest_of_arrays(**arrays)}, arrays=arrays)


def _load(path: Path) -> tuple[np.ndarray, ...]:
    """The parts in a file.

    Raises:
        ValueError: It is damaged.
    """
    header, arrays = load_record(path, kind=_KIND, version=_VERSION)
    if set(arrays) != {"corners", "counts"} or header.get("digest") != _digest_of_arrays(**arrays):
        raise ValueError(f"'{path}' is damaged: it does not hold what was written.")
    return tuple(np.split(arrays["corners"], np.cumsum(arrays["counts"])[:-1]))


def _digest_of_arrays(corners: np.ndarray, counts: np.ndarray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(corners, dtype="<f8").tobytes())
    digest.update(np.ascontiguousarray(counts, dtype="<i8").tobytes())
    return digest.hexdigest()
