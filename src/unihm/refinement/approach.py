"""From the generated approach to the grasp: the way there, and the fingers closing on the object.

The palm follows the generated path until it is near, then a curve that enters along a direction from which the open
hand comes past nothing; the fingertips close on straight lines along the surface normals (a straight line of joints
would jam thumbs). What pierces is then moved out, all frames at once: with the correction c_t of every frame,
block-banded Gauss-Newton steps minimise

    sum_t E_t(c_t)  +  1/2 |c_t|^2 / sigma_gen^2  +  1/2 |c_t+1 - 2 c_t + c_t-1|^2 / sigma_acc^2

with the energies E_t of a single frame (Eqs. 13 to 16) and the temporal prior of Eq. 15 in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, solveh_banded
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.spatial.transform import Rotation, Slerp

from unihm.geometry.interpolation import smoothstep
from unihm.refinement.body import PALM
from unihm.refinement.frame import Scene, energies
from unihm.refinement.grasp import Grasp
from unihm.refinement.segment import Segment

_DEPART = 0.1  # m between palm and grasp at which the generated path is left
_EARLIEST = 13  # frames before the lift: contact phases begin there
_RETREAT = 0.06  # m of straight way to the grasp
_STILL = 0.015  # m that the object may have moved when the hand arrives
_TURNED, _OPENED = 0.7, 0.5  # shares of the way in which the palm has turned and the fingers have opened
_SIGMA_LINE = 2e-3  # m, of fingertips on their lines
_ENOUGH = 1e-3  # relative fall of all frames that ends them
_STEPS = 6  # most steps for all frames
_FREE = (0.008, 0.1)  # m, rad: bounds of corrections where the generated path is followed
_WIDE = 6e-3  # m kept from the object on the way
_NOTHING = 1e-6  # m or rad
_HARMLESS = 20.0  # energy of a frame that corrections within their bounds take care of
_LEAST_CLOSING = 0.15  # s
_RISE, _HIGHEST = 5e-3, 0.3  # m: steps by which a hand is raised out of the table, and most


@dataclass(frozen=True, kw_only=True, eq=False)
class Approach:
    """The way to a grasp, in the resting object's frame; m frames, the last one is the grasp."""

    T_object_palm: Float[np.ndarray, "m 4 4"]
    qpos: Float[np.ndarray, "m nq"]
    frame_of: Float[np.ndarray, " m"]
    """Frame of the generated motion that each stands for."""
    phase: Float[np.ndarray, " m"]
    """0 on the generated path, then growing to 1."""
    arrive: int
    """Frame of the generated motion at which the hand has arrived, and the hold begins."""
    depth: float
    """How deep the hand comes into the object, m."""


def approach(segment: Segment, grasp: Grasp) -> Approach:
    """Plan the approach; its corrections keep the generated path within 8 mm and 6 degrees."""
    config, fps = segment.config, segment.motion.fps
    closing = _closing_path(segment, grasp)
    P = np.linalg.inv(segment.T_rest) @ segment.T_world_object @ segment.T_object_palm  # beside the resting object
    start, arrive = _leave_and_arrive(segment, grasp, P)
    P = _above_table(segment, P, start)
    start = _before_collision(segment, P[: start + 1])
    before = _before(segment, grasp, closing[0], P[start])
    way = np.linalg.norm(P[start, :3, 3] - before[:3, 3]) + _RETREAT
    n = max(arrive - start, round(fps * way / config.palm_speed), 4)
    u = np.arange(1, n + 1) / n
    T, q = _curve(
        P[start], before, grasp.T_object_palm, segment.untangled[start], closing[0], 0.5 * (u + smoothstep(u))
    )
    T = np.concatenate([P[: start + 1], T])
    q = np.concatenate([segment.untangled[: start + 1], q])
    scene = segment.at_rest(T, q)
    bound = np.repeat(_FREE, 3)
    scene.low[: start + 1, :PALM], scene.high[: start + 1, :PALM] = -bound, bound
    # a wrist lags behind fast motions by millimetres; at the end it is slow, and the fingers are open
    scene.extra[start + 1 :] = _WIDE * np.clip(3 * (1 - u), 0, 1)
    c = clear(segment, scene, _outward(segment, scene))
    cleared = [segment.placed(scene, t, c[t]) for t in range(len(q))]
    hold = np.tile(grasp.T_object_palm, (len(closing) - 1, 1, 1))
    m, total = len(q), n + len(closing) - 1
    k = np.maximum(np.arange(m + len(closing) - 1) - start, 0)
    T = np.concatenate([np.array([T for T, _ in cleared]), hold])
    q = np.concatenate([np.array([q for _, q in cleared]), closing[1:]])
    return Approach(
        T_object_palm=T,
        qpos=q,
        frame_of=np.where(k > 0, start + (arrive - start) * k / total, np.minimum(np.arange(len(k)), start)),
        phase=smoothstep(k / total),
        arrive=arrive,
        depth=float(segment.depths(segment.at_rest(T, q)).max()),
    )


def _outward(segment: Segment, scene: Scene) -> Float[np.ndarray, "T n"]:
    """Corrections that keep the hand out of things, each frame searched from the one after it.

    The last frame is free. What stands in the way further out is then passed on one side; frames that are cleared each
    for itself may come out on different sides of a thin thing, and the hand would run into it between two of them.
    """
    config, terms = segment.config, segment.terms()
    precision, zero = segment.sigma(config.generated) ** -2, np.zeros(segment.n)
    c = np.zeros((len(scene.q), segment.n))
    if not any(segment.energy(scene, t, zero, terms) for t in range(len(c))):
        return c
    for t in reversed(range(len(c))):
        if t + 1 < len(c) and c[t + 1].any():
            T, q = segment.placed(scene, t + 1, c[t + 1])
            R = scene.R[t].T
            c[t] = np.concatenate(
                [R @ (T[:3, 3] - scene.t[t]), Rotation.from_matrix(R @ T[:3, :3]).as_rotvec(), q - scene.q[t]]
            )
        segment.minimize(scene, t, c[t], zero, precision, terms, config.iterations, 1e-2)
        if np.abs(c[t]).max() < _NOTHING:
            c[t] = 0.0
    return c


def clear(segment: Segment, scene: Scene, start: np.ndarray | None = None) -> Float[np.ndarray, "T n"]:
    """Least corrections of all frames at once that keep the hand out of what it must not touch."""
    config, T, n = segment.config, len(scene.q), segment.n
    terms = segment.terms()
    precision = segment.sigma(config.generated) ** -2
    bend = segment.sigma(config.acceleration) ** -2
    c = np.zeros((T, n)) if start is None else start.copy()
    H, g = np.zeros((T, n, n)), np.zeros((T, n))

    def total(c: np.ndarray, derive: bool) -> float:
        value = energies(segment.body, segment.pose, segment.grid, terms, scene, c, precision, derive, H, g)
        return value + 0.5 * float((bend * np.diff(c, n=2, axis=0) ** 2).sum())

    cost, damping = total(c, True), 0.0
    for _ in range(_STEPS):
        if cost < 1e-9:
            break
        second = np.diff(c, n=2, axis=0) if T > 2 else np.zeros((0, n))
        slope = g.copy()
        for offset, weight in ((0, 1.0), (1, -2.0), (2, 1.0)):
            slope[offset : offset + len(second)] += weight * bend * second
        stuck = ((c <= scene.low) & (slope > 0)) | ((c >= scene.high) & (slope < 0))
        step = _step(H, slope, bend, stuck, damping)
        tried = np.clip(c + step, scene.low, scene.high)
        value = total(tried, False)
        if value < cost:
            fall, c = cost - value, tried
            cost, damping = total(c, True), damping * 0.1
            if fall < _ENOUGH * cost:
                break
        else:
            damping = max(10 * damping, 1e-2)
    return c


def _step(H: np.ndarray, slope: np.ndarray, bend: np.ndarray, stuck: np.ndarray, damping: float) -> np.ndarray:
    """Solve ``(H + D^T W D) d = -slope``, D being second differences: banded, as frames only see two neighbours."""
    T, n = slope.shape
    band = np.zeros((2 * n + 1, T * n))
    i, k = np.tril_indices(n)  # of each frame: row i, column k
    band.reshape(2 * n + 1, T, n)[i - k, :, k] = H[:, i, k].T
    band[0] *= 1 + damping
    count = np.zeros((3, T))  # of second differences at each frame, with itself, the next, and the one after
    for t in range(T - 2):
        count[0, t : t + 3] += (1, 4, 1)
        count[1, t : t + 2] += (-2, -2)
        count[2, t] += 1
    for distance in range(3):
        band[distance * n] += (count[distance][:, None] * bend).ravel()
    held = stuck.ravel()
    if held.any():  # an unknown at its bound: its row and column become those of the unit matrix
        columns = np.flatnonzero(held)
        for offset in range(2 * n + 1):
            band[offset, columns] = 0.0
            rows = columns - offset
            band[offset, rows[rows >= 0]] = 0.0
        band[0, columns] = 1.0
    try:
        d = solveh_banded(band, -np.where(held, 0.0, slope.ravel()), lower=True, check_finite=False)
    except LinAlgError:
        return -np.where(stuck, 0.0, slope) / (H[:, range(n), range(n)] + bend)
    return d.reshape(T, n)


def _leave_and_arrive(segment: Segment, grasp: Grasp, P: np.ndarray) -> tuple[int, int]:
    """Frame after which the generated path is left, and the frame at which the generated hand is nearest to the grasp
    while the object still rests.
    """
    away = np.linalg.norm(P[:, :3, 3] - grasp.T_object_palm[:3, 3], axis=1)
    moved = np.linalg.norm(segment.T_world_object[:, :3, 3] - segment.T_rest[:3, 3], axis=1)
    first = max(segment.lift - 3, 1)
    possible = [t for t in range(first, max(segment.grasp_frame, first) + 1) if t < len(P) and moved[t] < _STILL]
    arrive = min(possible or [min(first, len(P) - 1)], key=lambda t: away[t])
    far = np.flatnonzero(away[: arrive + 1] > _DEPART)
    start = int(far[-1]) if len(far) else 0
    return int(np.clip(start, max(segment.lift - _EARLIEST, 0), max(arrive - 4, 0))), arrive


def _above_table(segment: Segment, P: np.ndarray, start: int) -> Float[np.ndarray, "T 4 4"]:
    """The generated path, raised up to `start` where the hand is in the table: people's hands come from beyond its edge
    and below its top, where a table without an edge has none.
    """
    terms, zero = segment.terms(clearance=0.0, contact=0.0, apart=0.0), np.zeros(segment.n)
    risen = np.zeros(len(P))
    if terms.table > 0:
        scene = segment.at_rest(P[: start + 1], segment.untangled[: start + 1])
        for t in range(start + 1):
            while risen[t] < _HIGHEST and segment.energy(scene, t, zero, terms) > _HARMLESS:
                risen[t] += _RISE
                scene.t[t] += _RISE * segment.off_floor
    if not risen.any():
        return P
    risen = gaussian_filter1d(maximum_filter1d(risen, 5, mode="nearest"), 1.5, mode="nearest")
    raised = P.copy()
    raised[: start + 1, :3, 3] += risen[: start + 1, None] * segment.off_floor
    return raised


def _before_collision(segment: Segment, P: np.ndarray) -> int:
    """The last of some generated frames up to which the hand stays out of object and table."""
    scene = segment.at_rest(P, segment.untangled[: len(P)])
    scene.extra[:] = _WIDE
    terms, zero = segment.terms(apart=0.0), np.zeros(segment.n)
    free = np.array([segment.energy(scene, t, zero, terms) < _HARMLESS for t in range(len(P))])
    return int(np.argmin(free)) - 1 if not free.all() and free[0] else len(P) - 1


def _before(segment: Segment, grasp: Grasp, q_open: np.ndarray, P_start: np.ndarray) -> Float[np.ndarray, "4 4"]:
    """Palm pose from which a straight way leads to the grasp past nothing, best where the palm comes from."""
    T = grasp.T_object_palm
    out = T[:3, 3] - grasp.places.mean(axis=0)
    out /= max(np.linalg.norm(out), 1e-9)
    off = segment.off_floor
    towards = [out, -T[:3, 0], -T[:3, 2], out + off, -T[:3, 0] - T[:3, 2], off, P_start[:3, 3] - T[:3, 3]]
    steps = _RETREAT * np.linspace(0.25, 1, 4)
    best, least = T, np.inf
    for direction in towards:
        direction = direction / max(np.linalg.norm(direction), 1e-9)
        poses = np.tile(T, (len(steps), 1, 1))
        poses[:, :3, 3] += steps[:, None] * direction
        scene = segment.at_rest(poses, np.tile(q_open, (len(steps), 1)))
        cost = sum(segment.energy(scene, k, np.zeros(segment.n), segment.terms()) for k in range(len(steps)))
        cost += 20 * float(np.linalg.norm(poses[-1, :3, 3] - P_start[:3, 3]))  # of equals, the one on the way
        if cost < least:
            best, least = poses[-1], cost
    return best


def _curve(
    T_start: np.ndarray, T_before: np.ndarray, T_end: np.ndarray, q_start: np.ndarray, q_end: np.ndarray, u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A quadratic Bezier curve of palms, with the turn and the opening done before its end."""
    T = np.tile(np.eye(4), (len(u), 1, 1))
    weights = np.stack([(1 - u) ** 2, 2 * u * (1 - u), u**2], axis=1)
    T[:, :3, 3] = weights @ np.stack([T_start[:3, 3], T_before[:3, 3], T_end[:3, 3]])
    turn = Slerp([0, 1], Rotation.from_matrix(np.stack([T_start[:3, :3], T_end[:3, :3]])))
    T[:, :3, :3] = turn(smoothstep(np.clip(u / _TURNED, 0, 1))).as_matrix()
    share = smoothstep(np.clip(u / _OPENED, 0, 1))[:, None]
    return T, (1 - share) * q_start + share * q_end


def _closing_path(segment: Segment, grasp: Grasp) -> Float[np.ndarray, "k nq"]:
    """Joints from open to closed, the palm held: fingertips on straight lines along the normals of the surface."""
    config, fps = segment.config, segment.motion.fps
    steps = max(round(config.closing_time * fps), round(_LEAST_CLOSING * fps), 2)
    scene = segment.at_rest(grasp.T_object_palm[None], grasp.qpos[None])
    scene.low[:, :PALM] = scene.high[:, :PALM] = 0.0
    c = np.zeros(segment.n)
    segment.placed(scene, 0, c)
    pads = segment.pose.p[: segment.body.tips].copy()
    nearest = ((segment.points[None] - pads[:, None]) ** 2).sum(axis=2).argmin(axis=1)
    away = segment.normals[nearest].copy()
    away[grasp.tips] = grasp.normals
    precision = 0.1 * segment.sigma(config.grasp) ** -2
    terms = segment.terms(slip=_SIGMA_LINE**-2, contact=0.0)
    scene.anchored[:] = 1.0
    path = [grasp.qpos]
    for s in range(1, steps + 1):
        scene.anchor[0] = pads + config.opening * s / steps * away
        segment.minimize(scene, 0, c, c.copy(), precision, terms, 10, 1e-2, coarsely=True)
        path.append(segment.placed(scene, 0, c)[1])
    return np.array(path[::-1])
