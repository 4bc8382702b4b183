"""Rotations and rigid motions as matrices, with exponential and logarithm, batched over leading axes.

Tangents of SE(3) are ``(v, omega)``, quaternions are ``wxyz``. Every function keeps the dtype and the device
of what it is given, and is differentiable, at the identity too.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_SMALL = 1e-2  # square of the angle (0.1 rad) below which the power series loses less than the closed forms


def hat(omega: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The matrix of the cross product: ``hat(a) @ b == cross(a, b)``."""
    x, y, z = omega.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))


def _series(squared: Tensor, first: int) -> Tensor:
    """``sum_i (-1)^i angle^(2i) / (2i + first)!``, exact to rounding for angles below 0.1 rad."""
    value = squared * (-1 / math.factorial(6 + first)) + 1 / math.factorial(4 + first)
    for i in (1, 0):
        value = value * squared + (-1) ** i / math.factorial(2 * i + first)
    return value


def _exp_coefficients(omega: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``sin(a)/a, (1 - cos(a))/a^2, (a - sin(a))/a^3`` for a = ||omega||, shaped to scale matrices."""
    squared = (omega * omega).sum(-1)[..., None, None]
    small = squared < _SMALL
    # The closed forms are never evaluated at zero, so that their gradient stays finite there.
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.sin(angle)
    return (
        torch.where(small, _series(squared, 1), sine / angle),
        torch.where(small, _series(squared, 2), 2 * torch.sin(angle / 2) ** 2 / safe),
        torch.where(small, _series(squared, 3), (angle - sine) / (safe * angle)),
    )


def so3_exp(omega: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by ``||omega||`` rad about ``omega`` (Rodrigues)."""
    a, b, _ = _exp_coefficients(omega)
    W = hat(omega)
    return torch.eye(3, dtype=omega.dtype, device=omega.device) + a * W + b * (W @ W)


def so3_log(R: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Rotation vector of length at most pi, accurate from the identity to half a turn.

    It goes through the quaternion: the trace alone loses half of the digits near 0 and near pi.
    """
    quaternion = quaternion_from_matrix(R)
    w, v = quaternion[..., :1], quaternion[..., 1:]
    squared = (v * v).sum(-1, keepdim=True)
    small = squared < 1e-12
    length = torch.where(small, torch.ones_like(squared), squared).sqrt()
    # angle / sin(angle / 2); near zero 2 / w (1 - |v|^2 / (3 w^2)), where w is close to 1.
    near = 2 / torch.where(small, w, torch.ones_like(w)) * (1 - squared / 3)
    return torch.where(small, near, 2 * torch.atan2(length, w) / length) * v


def so3_exp_and_left_jacobian(
    omega: Float[Tensor, "*batch 3"],
) -> tuple[Float[Tensor, "*batch 3 3"], Float[Tensor, "*batch 3 3"]]:
    """``R = exp(omega)`` and V with ``exp(omega + d) = exp(V d) R`` to first order in d."""
    a, b, c = _exp_coefficients(omega)
    W = hat(omega)
    WW = W @ W
    eye = torch.eye(3, dtype=omega.dtype, device=omega.device)
    return eye + a * W + b * WW, eye + b * W + c * WW


def se3_exp(xi: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 4 4"]:
    """Rigid motion of a twist ``(v, omega)``: rotation ``exp(omega)``, translation ``V(omega) v``."""
    R, V = so3_exp_and_left_jacobian(xi[..., 3:])
    return make_transform(R, (V @ xi[..., :3, None])[..., 0])


def se3_log(T: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 6"]:
    """Twist ``(v, omega)`` with ``se3_exp(xi) == T``, rotation angle at most pi."""
    omega = so3_log(T[..., :3, :3])
    squared = (omega * omega).sum(-1)[..., None, None]
    small = squared < _SMALL
    safe = torch.where(small, torch.ones_like(squared), squared)
    half = safe.sqrt() / 2
    # (1 - a/2 cot(a/2)) / a^2 and its power series, whose terms are Bernoulli numbers over factorials.
    series = ((squared / 1209600 + 1 / 30240) * squared + 1 / 720) * squared + 1 / 12
    d = torch.where(small, series, (1 - half * torch.cos(half) / torch.sin(half)) / safe)
    W = hat(omega)
    t = T[..., :3, 3:]
    v = t - W @ t / 2 + d * (W @ (W @ t))
    return torch.cat([v[..., 0], omega], -1)


def make_transform(R: Float[Tensor, "*batch 3 3"], t: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 4 4"]:
    """4x4 pose of a rotation and a translation."""
    T = torch.zeros(*R.shape[:-2], 4, 4, dtype=R.dtype, device=R.device)
    T[..., :3, :3] = R
    T[..., :3, 3] = t
    T[..., 3, 3] = 1
    return T


def inverse(T: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 4 4"]:
    """Inverse of rigid poses: ``T_b_a`` of ``T_a_b``."""
    Rt = T[..., :3, :3].transpose(-1, -2)
    return make_transform(Rt, -(Rt @ T[..., :3, 3:])[..., 0])


def transform_points(
    T: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*batch n 3"]
) -> Float[Tensor, "*batch n 3"]:
    """``p_a = T_a_b p_b`` for n points per pose."""
    return points @ T[..., :3, :3].transpose(-1, -2) + T[..., None, :3, 3]


def quaternion_from_matrix(R: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit quaternion ``wxyz`` with w >= 0.

    ``4 q q^T`` is linear in R; the column with the largest diagonal entry has no cancellation.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in R.unbind(-2))
    columns = torch.stack(
        [
            torch.stack([1 + a + e + i, h - f, c - g, d - b], -1),
            torch.stack([h - f, 1 + a - e - i, b + d, c + g], -1),
            torch.stack([c - g, b + d, 1 - a + e - i, f + h], -1),
            torch.stack([d - b, c + g, f + h, 1 - a - e + i], -1),
        ],
        -2,
    )
    best = columns.diagonal(dim1=-2, dim2=-1).argmax(-1)
    column = columns.gather(-2, best[..., None, None].expand(*best.shape, 1, 4))[..., 0, :]
    quaternion = column / column.norm(dim=-1, keepdim=True)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def matrix_from_quaternion(quaternion: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation of a quaternion ``wxyz`` of any length but zero."""
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def rotation_6d(R: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """The first two columns of R one after the other: a continuous representation for networks."""
    return torch.cat([R[..., 0], R[..., 1]], -1)


def matrix_from_6d(x: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation whose first two columns are nearest to `x` in the sense of Gram-Schmidt."""
    first = torch.nn.functional.normalize(x[..., :3], dim=-1)
    second = x[..., 3:] - (first * x[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def geodesic_angle(R_a: Float[Tensor, "*batch 3 3"], R_b: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Angle of the rotation between two orientations, rad, in [0, pi]."""
    return so3_log(R_a.transpose(-1, -2) @ R_b).norm(dim=-1)
