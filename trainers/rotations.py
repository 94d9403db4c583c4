"""Rotations in torch, with gradients that are right or zero and never NaN: the twin of `formats.rotations`.

Quaternions are wxyz. Nothing here branches on values or leaves the device, so all of it fits into a CUDA graph. What is
bilinear or linear in components is one product with a small constant table: few kernels, and fast on a CPU when components
come first, [C, N].
"""

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from formats.rotations import matrix_entries

POLAR_STEPS = 12
"""Newton steps of `polar_rotation`: singular values that differ by a factor of 1000 still converge to 1e-7."""


def cross(a: Tensor, b: Tensor, dim: int = -1) -> Tensor:
    """Return the cross product over the axis `dim` of length 3."""
    if a.is_cuda:
        return torch.linalg.cross(a, b, dim=dim)
    # Several times as fast as torch's on a CPU.
    ax, ay, az = a.unbind(dim)
    bx, by, bz = b.unbind(dim)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], dim)


def normalize(v: Tensor, dim: int = -1, floor: float = 1e-15) -> Tensor:
    """Return `v` at unit length over the axis `dim`; what is shorter than `floor` is left as it is."""
    square = (v * v).sum(dim, keepdim=True)
    return v / square.masked_fill(square <= floor * floor, 1).sqrt()


def axis_angle_to_matrix(r: Tensor) -> Tensor:
    """Return rotation matrices [..., 3, 3] of axis-angle vectors [..., 3], radians (Rodrigues).

    R = I + a [r] + b [r]^2 with a = sin t / t, b = (1 - cos t) / t^2, t = |r|; series below 0.3 rad, so that the gradient
    at zero is the generators. The gradient comes from dR = [J dr] R with J = I + b [r] + c [r]^2, c = (1 - a) / t^2.
    """
    return _AxisAngleToMatrix.apply(r.reshape(-1, 3)).view(*r.shape, 3)


def axis_angle_to_quat(r: Tensor, dim: int = -1) -> Tensor:
    """Return unit quaternions of rotation vectors over the axis `dim`: of length 3, then of length 4."""
    angle = (r.square().sum(dim=dim, keepdim=True) + 1e-12).sqrt()
    return torch.cat([torch.cos(angle / 2), r * (torch.sin(angle / 2) / angle)], dim)


def quat_to_axis_angle(q: Tensor) -> Tensor:
    """Return rotation vectors [N, 3] of quaternions [N, 4], not unit, the shorter way round."""
    q = functional.normalize(q, dim=1)
    q = torch.where(q[:, :1] < 0, -q, q)
    sine = q[:, 1:].norm(dim=1, keepdim=True)
    angle = 2 * torch.atan2(sine, q[:, :1])
    return q[:, 1:] * torch.where(sine > 1e-6, angle / sine.clamp_min(1e-6), torch.full_like(sine, 2.0))


def quat_multiply(a: Tensor, b: Tensor, dim: int = -1) -> Tensor:
    """Return the Hamilton product a b over the axis `dim` of length 4, of tensors of one shape: first turn by b, then a."""
    return _QuatMultiply.apply(a, b, dim)


def quat_conjugate(q: Tensor, dim: int = -1) -> Tensor:
    """Return the inverse of unit quaternions."""
    w, x, y, z = q.unbind(dim)
    return torch.stack([w, -x, -y, -z], dim)


def quat_to_matrix(q: Tensor) -> Tensor:
    """Return rotation matrices [N, 3, 3] of unit quaternions [N, 4]."""
    w, x, y, z = q.unbind(dim=1)
    return torch.stack(matrix_entries(w, x, y, z), dim=1).view(-1, 3, 3)


def matrix_to_quat(m: Tensor) -> Tensor:
    """Return unit quaternions [..., 4] with w >= 0 of rotation matrices [..., 3, 3].

    The gradient is the one along rotations: what would leave them is left out.
    """
    columns = m.reshape(-1, 3, 3).permute(2, 1, 0)
    return columns_to_quat(columns).t().reshape(*m.shape[:-2], 4)


def columns_to_quat(columns: Tensor) -> Tensor:
    """Return `matrix_to_quat` of matrices stored as [column, component, N], as [4, N]."""
    return _ColumnsToQuat.apply(columns)


def shepperd_candidates(columns: Tensor) -> Tensor:
    """Return the four candidates [4, 4, N] for the quaternion of matrices stored as [column, component, N].

    Candidate i is 4 q_i q, linear in the matrix but for the 1 added to its own component 4 q_i^2.
    """
    table = _shepperd_table(columns.device, columns.dtype)
    return (table[:, :9] @ columns.reshape(9, -1)).add_(table[:, 9:]).view(4, 4, -1)


def shepperd(columns: Tensor) -> Tensor:
    """Return `columns_to_quat` without a gradient: of Shepperd's four candidates the one with the largest component."""
    candidates = shepperd_candidates(columns)
    w, x, y, z = (candidates[i, i] for i in range(4))
    # Interpolated by 0 or 1: on a CPU where takes a third longer in all, argmax and gather four times as long.
    pairs, xs, zs = ((low >= high).to(w.dtype) for low, high in
                     ((torch.maximum(w, x), torch.maximum(y, z)), (w, x), (y, z)))
    q = torch.lerp(torch.lerp(candidates[3], candidates[2], zs), torch.lerp(candidates[1], candidates[0], xs), pairs)
    length = (q * q).sum(0).sqrt()
    return q / torch.where(q[0] < 0, -length, length)


def torque_of(q: Tensor, gradient: Tensor) -> Tensor:
    """Return t [3, N] such that a turn w of unit quaternions [4, N] changes a loss of that gradient by t.w.

    dq = (0, w) q / 2, so t is half the vector part of gradient conj(q).
    """
    return (q[:1] * gradient[1:] - gradient[:1] * q[1:] - cross(gradient[1:], q[1:], 0)) / 2


def polar_rotation(m: Tensor) -> Tensor:
    """Return the rotation R of the polar decomposition m = R S, [N, 3, 3]; for matrices of positive determinant.

    Newton's iteration with determinant scaling (Higham, "Computing the polar decomposition", 1986); no singular value
    decomposition, which waits for the device. The gradient follows from R^T dm - dm^T R = [(tr(S) I - S) w] with
    dR = R [w].
    """
    return _PolarRotation.apply(m)


def inverse_and_determinant(m: Tensor) -> tuple[Tensor, Tensor]:
    """Return inverses [N, 3, 3], by cofactors, and determinants [N] of matrices [N, 3, 3]; large, never infinite."""
    a, b, c = m.unbind(-2)
    rows = torch.stack([cross(b, c), cross(c, a), cross(a, b)], -1)
    determinant = (a * rows[..., 0]).sum(-1)
    determinant = determinant.masked_fill(determinant.abs() <= 1e-12, 1e-12)
    return rows / determinant[..., None, None], determinant


def swap(x: Tensor) -> Tensor:
    """Return the transpose of [N, C], or [C, N], in memory of its own, as its gradient is too.

    Views would leave every later step on a CPU to stride through memory.
    """
    return _Swap.apply(x)


class _Swap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.t().contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].t().contiguous()


class _AxisAngleToMatrix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, r: Tensor) -> Tensor:
        square = (r * r).sum(1)[:, None, None]
        a, b, c = _rodrigues(square)
        skew = (r @ _skew_table(r.device, r.dtype)).view(-1, 3, 3)
        twice = skew @ skew
        eye = torch.eye(3, dtype=r.dtype, device=r.device)
        matrix = eye + a * skew + b * twice
        ctx.save_for_backward(matrix, eye - b * skew + c * twice)
        return matrix

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        matrix, transposed = ctx.saved_tensors
        torque = (grads[0] @ matrix.transpose(1, 2)).flatten(1) @ _skew_table(matrix.device, matrix.dtype).t()
        return (transposed @ torque[:, :, None])[:, :, 0]


def _rodrigues(square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a, b and c of `axis_angle_to_matrix` at squared angles."""
    if square.is_cuda:
        return _rodrigues_by_sinc(square)
    small = square < 0.09
    angle = square.masked_fill(small, 1).sqrt()
    half = torch.sin(angle / 2) / angle
    a = torch.where(small, 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72))),
                    torch.sin(angle) / angle)
    b = torch.where(small, 0.5 - square / 24 * (1 - square / 30 * (1 - square / 56 * (1 - square / 90))), 2 * half * half)
    c = torch.where(small, 1 / 6 - square / 120 * (1 - square / 42 * (1 - square / 72 * (1 - square / 110))),
                    (1 - a) / square)
    return a, b, c


def _rodrigues_by_sinc(square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`_rodrigues` in a quarter of the kernels. c is what is left of a difference; at small angles a square makes up for it."""
    angle = square.sqrt()
    a = torch.sinc(angle / math.pi)
    return a, torch.sinc(angle / (2 * math.pi)).square() / 2, (1 - a) / square.clamp_min(1e-12)


@functools.cache
def _skew_table(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return [3, 9]: the matrices [e_k], row by row."""
    table = np.zeros((3, 3, 3))
    for axis, (row, column) in enumerate(((2, 1), (0, 2), (1, 0))):
        table[axis, row, column], table[axis, column, row] = 1, -1
    return _constant(table.reshape(3, 9), device, dtype)


class _QuatMultiply(torch.autograd.Function):
    # By hand: with g the gradient of a b, a gets g conj(b) and b gets conj(a) g; autograd would keep sixteen products.
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.dim = dim
        return _product(a, b, dim)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        a, b = ctx.saved_tensors
        (g,), dim = grads, ctx.dim
        return (_product(g, b, dim, "right") if ctx.needs_input_grad[0] else None,
                _product(a, g, dim, "left") if ctx.needs_input_grad[1] else None, None)


def _product(a: Tensor, b: Tensor, dim: int, conjugate: str = "") -> Tensor:
    """Return a b, a conj(b) (`right`) or conj(a) b (`left`)."""
    a, b = a.movedim(dim, 0), b.movedim(dim, 0)
    pairs = (a[:, None] * b[None]).reshape(16, -1)
    return (_hamilton_table(conjugate, a.device, a.dtype) @ pairs).view(a.shape).movedim(0, dim)


@functools.cache
def _hamilton_table(conjugate: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return [4, 16]: how the products of two quaternions' components, a's slowest, add up to their product."""
    # Row: component of the product. Column: of a. Entry: of b, 1 to 4 for wxyz, with its sign.
    entries = np.array([[1, -2, -3, -4], [2, 1, 4, -3], [3, -4, 1, 2], [4, 3, -2, 1]])
    table = np.sign(entries)[..., None] * (np.abs(entries)[..., None] == np.arange(1, 5))
    conjugation = np.array([1, -1, -1, -1])
    if conjugate:
        table = table * (conjugation if conjugate == "right" else conjugation[:, None])
    return _constant(table.reshape(4, 16), device, dtype)


@functools.cache
def _shepperd_table(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return [16, 10]: 4 q_i q_j of a rotation matrix's nine entries (columns first), and of 1."""
    table = np.zeros((4, 4, 10))
    for i, signs in enumerate(((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))):
        table[i, i, [0, 4, 8]], table[i, i, 9] = signs, 1
    for i, (row, column) in enumerate(((2, 1), (0, 2), (1, 0)), 1):
        table[0, i, [row + 3 * column, column + 3 * row]] = 1, -1
        first, second = sorted((row, column))
        table[first + 1, second + 1, [row + 3 * column, column + 3 * row]] = 1
    upper = np.triu(np.ones((4, 4)), 1)[..., None] * table
    return _constant((table * np.eye(4)[..., None] + upper + upper.transpose(1, 0, 2)).reshape(16, 10), device, dtype)


def _constant(table: np.ndarray, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # kept for training, whoever asks first
        return torch.tensor(table, dtype=dtype, device=device)


class _ColumnsToQuat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, columns: Tensor) -> Tensor:
        q = shepperd(columns)
        ctx.save_for_backward(columns, q)
        return q

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # The gradient along rotations, as one of matrices: half [torque] R.
        columns, q = ctx.saved_tensors
        return cross((torque_of(q, grads[0]) / 2).expand_as(columns), columns, 1)


class _PolarRotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, m: Tensor) -> Tensor:
        rotation = m
        for _ in range(POLAR_STEPS):
            inverse, determinant = inverse_and_determinant(rotation)
            scale = determinant.abs().pow(-1 / 3)[:, None, None]
            rotation = (rotation * scale + inverse.transpose(1, 2) / scale) / 2
        ctx.save_for_backward(m, rotation)
        return rotation

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        m, rotation = ctx.saved_tensors
        a = rotation.transpose(1, 2) @ grads[0]
        torque = torch.stack([a[:, 2, 1] - a[:, 1, 2], a[:, 0, 2] - a[:, 2, 0], a[:, 1, 0] - a[:, 0, 1]], 1)
        stretch = rotation.transpose(1, 2) @ m
        trace = stretch.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        eye = torch.eye(3, dtype=m.dtype, device=m.device)
        turn = (inverse_and_determinant(trace * eye - stretch)[0] @ torque[:, :, None])[:, :, 0]
        # Row i of cross(turn, rows of I) is turn x e_i, which is column i of [turn].
        skew = cross(turn[:, None].expand(-1, 3, 3), eye.expand(len(m), 3, 3)).transpose(1, 2)
        return rotation @ skew
