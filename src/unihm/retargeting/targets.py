"""What one frame of human keypoints asks of a hand: phi_dev of Eq. B1, compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unihm.compiled import compiled
from unihm.kinematics.keypoints import INDEX_MCP, INDEX_TIP, MIDDLE_MCP, PINKY_MCP, THUMB_TIP, WRIST

POSITION, VECTOR, PINCH = 0, 1, 2


class Layout(NamedTuple):
    """How targets come from keypoints; see `compile_layout`."""

    kind: np.ndarray  # (m,) POSITION, VECTOR or PINCH
    human_a: np.ndarray  # (m,) keypoint of each row
    human_b: np.ndarray  # (m,) the vector's origin; -1 for positions
    scale: np.ndarray  # (m,) of vectors; of positions, about the palm
    weight: np.ndarray  # (m,) 1/m^2
    bone_row: np.ndarray  # (b,) rows whose target is laid out from another row's
    bone_from: np.ndarray  # (b,)
    bone_human: np.ndarray  # (b, 2) the human bone: from, to
    bone_length: np.ndarray  # (b,) the robot's length, m
    pinch_distance: float  # m
    aperture: np.ndarray  # (4,) joint position = 0 + 1 * thumb-index distance, within 2 and 3; empty: not used
    side: float  # 1 right, -1 left


@compiled
def prepare(layout, keypoints, goal, memory):
    """Write a frame's targets, weights and palm into `goal`, and its palm and feature into `memory`."""
    human, feature = memory.human, memory.feature
    k = keypoints
    x0, x1, x2 = k[MIDDLE_MCP, 0] - k[WRIST, 0], k[MIDDLE_MCP, 1] - k[WRIST, 1], k[MIDDLE_MCP, 2] - k[WRIST, 2]
    c0, c1, c2 = (
        k[PINKY_MCP, 0] - k[INDEX_MCP, 0],
        k[PINKY_MCP, 1] - k[INDEX_MCP, 1],
        k[PINKY_MCP, 2] - k[INDEX_MCP, 2],
    )
    length = math.sqrt(x0 * x0 + x1 * x1 + x2 * x2)
    x0, x1, x2 = x0 / length, x1 / length, x2 / length
    z0, z1, z2 = x1 * c2 - x2 * c1, x2 * c0 - x0 * c2, x0 * c1 - x1 * c0
    norm = layout.side / math.sqrt(z0 * z0 + z1 * z1 + z2 * z2)
    z0, z1, z2 = z0 * norm, z1 * norm, z2 * norm
    y0, y1, y2 = z1 * x2 - z2 * x1, z2 * x0 - z0 * x2, z0 * x1 - z1 * x0
    human[0], human[1], human[2] = x0, y0, z0
    human[3], human[4], human[5] = x1, y1, z1
    human[6], human[7], human[8] = x2, y2, z2
    o0, o1, o2 = k[MIDDLE_MCP, 0], k[MIDDLE_MCP, 1], k[MIDDLE_MCP, 2]
    human[9], human[10], human[11], human[12] = o0, o1, o2, length
    for i in range(3):
        for j in range(3):
            goal.R[i, j] = human[3 * i + j]
        goal.t[i] = human[9 + i]
    # the shape of the hand, whatever its pose and size: where the fingertips are
    for finger in range(5):
        p, f = 4 * finger + 4, 3 * finger
        e0, e1, e2 = (k[p, 0] - o0) / length, (k[p, 1] - o1) / length, (k[p, 2] - o2) / length
        feature[f] = e0 * x0 + e1 * x1 + e2 * x2
        feature[f + 1] = e0 * y0 + e1 * y1 + e2 * y2
        feature[f + 2] = e0 * z0 + e1 * z1 + e2 * z2
    target, weight = goal.target, goal.weight
    for r in range(len(layout.kind)):
        a, b, s = layout.human_a[r], layout.human_b[r], layout.scale[r]
        weight[r] = layout.weight[r]
        if layout.kind[r] == POSITION:
            target[r, 0], target[r, 1], target[r, 2] = (
                o0 + s * (k[a, 0] - o0),
                o1 + s * (k[a, 1] - o1),
                o2 + s * (k[a, 2] - o2),
            )
        else:
            gap = 0.0
            for i in range(3):
                e = k[a, i] - k[b, i]
                target[r, i] = s * e
                gap += e * e
            if layout.kind[r] == PINCH:
                weight[r] *= math.exp(-2.0 * gap / layout.pinch_distance**2)
    for b in range(len(layout.bone_row)):
        r, source = layout.bone_row[b], layout.bone_from[b]
        h0, h1 = layout.bone_human[b, 0], layout.bone_human[b, 1]
        e0, e1, e2 = k[h1, 0] - k[h0, 0], k[h1, 1] - k[h0, 1], k[h1, 2] - k[h0, 2]
        scale = layout.bone_length[b] / max(math.sqrt(e0 * e0 + e1 * e1 + e2 * e2), 1e-6)
        target[r, 0] = target[source, 0] + scale * e0
        target[r, 1] = target[source, 1] + scale * e1
        target[r, 2] = target[source, 2] + scale * e2
    if len(layout.aperture):
        e0, e1, e2 = (
            k[THUMB_TIP, 0] - k[INDEX_TIP, 0],
            k[THUMB_TIP, 1] - k[INDEX_TIP, 1],
            k[THUMB_TIP, 2] - k[INDEX_TIP, 2],
        )
        opening = layout.aperture[0] + layout.aperture[1] * math.sqrt(e0 * e0 + e1 * e1 + e2 * e2)
        goal.lower[0] = goal.upper[0] = min(max(opening, layout.aperture[2]), layout.aperture[3])
