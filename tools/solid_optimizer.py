"""Makes a union of solids agree with a surface: least error over samples, with exact gradients."""

from __future__ import annotations

import numba
import numpy as np
from hand_surfaces import Surface
from scipy.spatial.transform import Rotation
from solid import Solid, rpy_of

KINDS = ("box", "cylinder", "sphere")
_WHOLE = {"box": 2.0, "cylinder": np.array([1.0, 2.0]), "sphere": 1.0}  # size over half size
THINNEST = 1.0e-3  # m: half the thickness of a plate or the radius of a rod, at least


def samples(surface: Surface, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) near a link and their signed distances, m: on the surface, within 8 mm of it, deep inside.

    A quarter more than a thousand of each for a phalanx, several times as many for a palm.
    """
    count = int(np.clip(len(surface.points) / 50, 1250, 5000))
    on = surface.points[rng.integers(len(surface.points), size=count)]
    near = surface.points[rng.integers(len(surface.points), size=count)] + rng.normal(0, 2.5e-3, (count, 3))
    far = rng.uniform(on.min(axis=0) - 8e-3, on.max(axis=0) + 8e-3, (count, 3))
    points = np.concatenate([near, far])
    distance = surface.signed_distance(points)
    kept = distance < 8e-3
    return np.concatenate([on, points[kept]]), np.concatenate([np.zeros(count), distance[kept]])


@numba.njit
def cost_and_gradient(points, wanted, kinds, centre, R, half):
    """Cost of a union of solids and its gradient (k, 9) by centre, small turn in the solid's axes, and half sizes.

    The error of a sample is how far the union misses it: |d| on the surface; what lies bare inside (deeper than 1 mm
    counts as 1 mm, since the nearest face of one solid tells nothing about the depth in a union); what is covered
    outside. Its square is added, in units of 2 mm, because the 95th percentile counts too.

    Args:
        points: Samples (n, 3), m.
        wanted: Their signed distances (n,), m.
        kinds: Index into `KINDS` (k,).
        centre: (k, 3), m.
        R: R_link_solid (k, 3, 3).
        half: Half edges of a box, radius and half length of a cylinder, radius of a sphere (k, 3), m.
    """
    cost, gradient = 0.0, np.zeros((len(kinds), 9))
    q, n, local, best_n, best_p, best_h = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for i in range(len(points)):
        d, which = np.inf, 0
        for k in range(len(kinds)):
            x, y, z = points[i, 0] - centre[k, 0], points[i, 1] - centre[k, 1], points[i, 2] - centre[k, 2]
            for j in range(3):
                local[j] = x * R[k, 0, j] + y * R[k, 1, j] + z * R[k, 2, j]
            radial = np.sqrt(local[0] ** 2 + local[1] ** 2 + (local[2] ** 2 if kinds[k] == 2 else 0.0)) + 1e-12
            if kinds[k] == 0:
                for j in range(3):
                    q[j] = abs(local[j]) - half[k, j]
            else:  # a sphere is a cylinder of which only the radial part counts
                q[0], q[1], q[2] = radial - half[k, 0], abs(local[2]) - half[k, 1] if kinds[k] == 1 else -1.0, -1.0
            out = np.sqrt(max(q[0], 0.0) ** 2 + max(q[1], 0.0) ** 2 + max(q[2], 0.0) ** 2)
            value = out if out > 0 else max(q[0], q[1], q[2])
            if value >= d:
                continue
            d, which = value, k
            for j in range(3):  # gradient by q, which is also minus the gradient by half
                n[j] = max(q[j], 0.0) / out if out > 0 else 1.0 if q[j] == value else 0.0
                best_h[j], best_p[j] = -n[j], local[j]
            if kinds[k] == 0:
                for j in range(3):
                    best_n[j] = n[j] * np.sign(local[j])
            else:
                best_n[0], best_n[1] = n[0] * local[0] / radial, n[0] * local[1] / radial
                best_n[2] = n[1] * np.sign(local[2]) if kinds[k] == 1 else n[0] * local[2] / radial
        if wanted[i] == 0:
            error, slope = abs(d), np.sign(d)
        elif wanted[i] < 0:
            error = max(d + min(-wanted[i], 1e-3), 0.0)
            slope = 1.0
        else:
            error = max(wanted[i] - d, 0.0)
            slope = -1.0
        if error <= 0:
            continue
        cost += error + error**2 / 2e-3
        slope *= 1 + error / 1e-3
        for j in range(3):
            gradient[which, j] -= slope * (
                R[which, j, 0] * best_n[0] + R[which, j, 1] * best_n[1] + R[which, j, 2] * best_n[2]
            )
            gradient[which, 6 + j] += slope * best_h[j]
        gradient[which, 3] += slope * (best_n[1] * best_p[2] - best_n[2] * best_p[1])
        gradient[which, 4] += slope * (best_n[2] * best_p[0] - best_n[0] * best_p[2])
        gradient[which, 5] += slope * (best_n[0] * best_p[1] - best_n[1] * best_p[0])
    return cost / len(points), gradient / len(points)


def refine(solids: list[Solid], target: tuple[np.ndarray, np.ndarray], steps: int) -> tuple[list[Solid], float]:
    """Improve all solids together with Adam; their cost beside them.

    Steps start at 0.3 mm and 0.03 rad and fall to a tenth.
    """
    kinds = np.array([KINDS.index(s.kind) for s in solids])
    centre = np.array([s.xyz for s in solids], dtype=float)
    turn = Rotation.from_euler("xyz", [s.rpy for s in solids])
    half = np.array(
        [np.pad(np.array(s.size) / _WHOLE[s.kind], (0, 3 - len(s.size)), constant_values=1.0) for s in solids]
    )
    first, second, cost = np.zeros((len(solids), 9)), np.zeros((len(solids), 9)), np.inf
    unit = np.array([3e-4] * 3 + [3e-2] * 3 + [3e-4] * 3)
    for step in range(1, steps + 1):
        cost, gradient = cost_and_gradient(*target, kinds, centre, turn.as_matrix(), half)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        rate = unit * (1 - 0.9 * step / steps)
        move = -rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-9)
        centre = centre + move[:, :3]
        turn = turn * Rotation.from_rotvec(move[:, 3:6])
        half = np.maximum(half + move[:, 6:], THINNEST)
    euler = [rpy_of(R) for R in turn.as_matrix()]
    result = []
    for solid, c, h, rpy in zip(solids, centre, half, euler, strict=True):
        size = h[: len(solid.size)] * _WHOLE[solid.kind]
        rpy = rpy if solid.kind != "sphere" else np.zeros(3)
        result.append(Solid(solid.kind, *(tuple(np.round(v, d).tolist()) for v, d in ((size, 4), (c, 4), (rpy, 3)))))
    return result, cost


def around(points: np.ndarray, kind: str, axis: int = 0) -> Solid:
    """A solid of the extents of points; a cylinder along their principal axis of that number."""
    centre = points.mean(axis=0)
    _, _, rows = np.linalg.svd(points - centre, full_matrices=False)
    local = (points - centre) @ rows.T
    low, high = np.percentile(local, 3, axis=0), np.percentile(local, 97, axis=0)
    extent = np.maximum(high - low, 2.5 * THINNEST)
    centre = centre + (low + high) / 2 @ rows
    order = np.roll([0, 1, 2], 2 - axis)  # that axis becomes z
    R = rows[order].T
    R[:, 0] *= np.sign(np.linalg.det(R))
    edge = extent[order]
    size = {"box": edge, "cylinder": (edge[:2].mean() / 2, edge[2]), "sphere": (extent.mean() / 2,)}[kind]
    return Solid(kind, tuple(size), tuple(centre), tuple(rpy_of(R)))


def trim(surface: Surface, solids: list[Solid]) -> list[Solid]:
    """Cut off ends of boxes and cylinders that hold little of the inside.

    A point that is wrongly covered pushes the nearest face away, so a long end gets thin instead of short.
    """
    result = []
    for solid in solids:
        if solid.kind == "sphere":
            result.append(solid)
            continue
        round_ = solid.kind == "cylinder"
        edges = np.array((2 * solid.size[0], 2 * solid.size[0], solid.size[1]) if round_ else solid.size)
        axes = [(np.arange(16) + 0.5) / 16 - 0.5] * 3
        local = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) * edges
        R = Rotation.from_euler("xyz", solid.rpy).as_matrix()
        inside = surface.contains((local @ R.T).reshape(-1, 3) + solid.xyz).reshape(16, 16, 16)
        low, high = -edges / 2, edges / 2
        for axis in (2,) if round_ else range(3):
            share = inside.mean(axis=tuple(a for a in range(3) if a != axis))
            full = np.flatnonzero(share > 0.4 * (0.8 if round_ else 1.0))
            if len(full):
                low[axis] = (full[0] / 16 - 0.5) * edges[axis]
                high[axis] = ((full[-1] + 1) / 16 - 0.5) * edges[axis]
        edges = np.maximum(high - low, 2 * THINNEST)
        size = (solid.size[0], edges[2]) if round_ else tuple(edges)
        result.append(Solid(solid.kind, size, tuple(solid.xyz + R @ (low + high) / 2), solid.rpy))
    return result
