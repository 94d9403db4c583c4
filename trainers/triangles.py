"""Frames on a mesh in torch: the twin of `formats.deform`'s triangle frames, vertex normals and rotations.

Inside, components come first, [3, N]: on a CPU a row of one component is added and multiplied four times as fast as rows
of three. Nothing branches on values or leaves the device.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainers.rotations import (
    cross,
    normalize,
    polar_rotation,
    quat_conjugate,
    quat_multiply,
    shepperd,
    shepperd_candidates,
    swap,
    torque_of,
)

DEGENERATE = 1e-12
"""Metres. Edges and heights below it take a spare axis, as in `formats.deform`."""

STILL = 1e-7
"""Metres. Axes of triangles thinner than this carry no gradient: it would be noise, magnified ten million times."""


def corners_of(vertices: Tensor, corner_index: Tensor) -> Tensor:
    """Return corners of N triangles as [component, corner, N], of vertices [V, 3] and indices [3 N], first corners first."""
    return swap(vertices).index_select(1, corner_index).view(3, 3, -1)


def frames(corners: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return axes [axis, component, N], first edge [N] and height over it [N] of triangles [component, corner, N].

    Axes are unit first edge a0, unit normal a1, and a2 = a0 x a1. The size of `formats.deform.triangle_frames` is (edge +
    height) / 2 and the double area their product.
    """
    axes, _, edge, height = _Frames.apply(corners, False)
    return axes, edge, height


def turned_frames(corners: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return axes, their quaternions [4, N] with w >= 0, first edge and height, as `frames`."""
    return _Frames.apply(corners, True)


def triangle_frames(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the axes [F, 3, 3] (columns), size [F] and double area [F] of triangles; see `formats.deform`.

    Args:
        vertices: Metres, [V, 3].
        faces: [F, 3], int64.
    """
    axes, edge, height = frames(corners_of(vertices, faces.t().reshape(-1)))
    return axes.permute(2, 1, 0), (edge + height) / 2, edge * height


def vertex_normals(vertices: Tensor, faces: Tensor, floor: float = 0) -> Tensor:
    """Return unit vertex normals [V, 3] weighted by area, shorter where the sum's length is below `floor`, square metres;
    zero for vertices without area around them."""
    index = faces.t().reshape(-1)
    corners = corners_of(vertices, index)
    normal = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], 0)
    return _unit_or_less(_gather_to_vertices(normal, index, len(vertices)), floor).t()


def _unit_or_less(sums: Tensor, floor: float) -> Tensor:
    square = (sums * sums).sum(0)
    return sums / square.clamp_min(floor * floor).masked_fill(square <= 1e-30, 1).sqrt()


def vertex_rotations(canonical: Tensor, posed: Tensor, faces: Tensor, floor: float = 0) -> Tensor:
    """Return quaternions [V, 4] turning each vertex's surroundings from the canonical to the posed mesh, both [V, 3];
    shorter where the canonical area around a vertex is below `floor`, square metres."""
    index = faces.t().reshape(-1)
    _, there, edge, height = turned_frames(corners_of(canonical, index))
    _, here, _, _ = turned_frames(corners_of(posed, index))
    q = quat_multiply(here, quat_conjugate(there, 0), 0)
    q = torch.where(q[:1] < 0, -q, q) * (edge * height / 2)
    return _unit_or_less(_gather_to_vertices(q, index, len(canonical)), floor).t()


def corner_quats(to_first: Tensor, to_second: Tensor) -> Tensor:
    """Return quaternions [4, N], not unit, as `formats.deform.corner_quats` of directions [3, N] to the first two corners.

    Where the best of the four conversions changes, the value jumps: no gradient runs through the choice.
    """
    normal = normalize(cross(to_first, to_second, 0), 0)
    columns = torch.stack([to_first, cross(normal, to_first, 0), normal])
    candidates = shepperd_candidates(columns)
    own = torch.stack([candidates[i, i] for i in range(4)])
    best = own.argmax(0, keepdim=True)
    chosen = candidates.gather(0, best[:, None].expand(1, 4, -1))[0]
    return chosen / (2 * own.gather(0, best).clamp_min(1e-2).sqrt())


def surface_rotations(canonical: Tensor, posed: Tensor, faces: Tensor) -> Tensor:
    """Return the rotation [V, 3, 3] of each vertex's one-ring from the canonical to the posed mesh, both [V, 3].

    The polar factor that `formats.deform.surface_rotations` describes; a vertex without faces keeps the identity.
    """
    index = faces.t().reshape(-1)
    sums, square = 0, 0
    there, here = corners_of(canonical, index), corners_of(posed, index)
    for step in (1, 2):
        a, b = there.roll(-step, 1) - there, here.roll(-step, 1) - here
        sums = sums + (b[:, None] * a[None]).reshape(9, -1)
        square = square + (a * a).sum(0).reshape(1, -1)
    gathered = _gather_to_vertices(torch.cat([sums, square]), index, len(canonical), corners=1)
    square = gathered[9:]
    outer = (vertex_normals(posed, faces)[:, :, None] * vertex_normals(canonical, faces)[:, None]).reshape(-1, 9)
    spread = gathered[:9] + 0.5 * square * outer.t()
    eye = torch.eye(3, dtype=posed.dtype, device=posed.device).reshape(9, 1)
    # Unit size, so that float32 carries the determinant.
    spread = torch.where(square > 0, spread / square.masked_fill(square <= 0, 1), eye)
    return polar_rotation(spread.t().reshape(-1, 3, 3))


def _gather_to_vertices(values: Tensor, index: Tensor, count: int, corners: int = 3) -> Tensor:
    """Return sums [C, V] of values [C, F] of faces, or [C, 3 F] of corners when `corners` is 1, at each vertex."""
    return values.new_zeros(len(values), count).index_add(1, index, values.repeat(1, corners))


class _Frames(torch.autograd.Function):
    # The gradient by hand. With e = l a0 and s = x a0 - h a2, a turn w of the frame and the changes of l and h are
    #   w2 = a1.de / l,  w1 = -a2.de / l,  w0 = (a1.ds - x w2) / h,  dl = a0.de,  dh = -a2.ds - x w1,
    # which has no difference of large numbers and shows where to stop: where l or h is too small to divide by.
    @staticmethod
    def forward(ctx: Any, corners: Tensor, with_quats: bool) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        v0, v1, v2 = corners.unbind(1)
        edge, side = v1 - v0, v2 - v0
        axis = torch.eye(3, dtype=edge.dtype, device=edge.device)[:, :, None]
        length = (edge * edge).sum(0).sqrt()
        a0 = torch.where(length > DEGENERATE, edge / length.clamp(min=DEGENERATE), axis[0])
        normal = cross(a0, side, 0)
        height = (normal * normal).sum(0).sqrt()
        upright = a0[1].abs() < 0.9
        spare = torch.where(upright, axis[1], axis[2]) - a0 * torch.where(upright, a0[1], a0[2])
        spare = spare * (spare * spare).sum(0).rsqrt()
        a1 = torch.where(height > DEGENERATE, normal / height.clamp(min=DEGENERATE), spare)
        axes = torch.stack([a0, a1, cross(a0, a1, 0)])
        quats = shepperd(axes) if with_quats else None
        ctx.save_for_backward(axes, quats, side, length, height)
        ctx.set_materialize_grads(False)
        return axes, quats, length, height

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, None]:
        axes, quats, side, length, height = ctx.saved_tensors
        g_axes, g_quats, g_length, g_height = grads
        a0, a1, a2 = axes.unbind(0)
        still = length.clamp(min=STILL).reciprocal().masked_fill(length <= STILL, 0)
        g_edge, g_side = torch.zeros_like(side), torch.zeros_like(side)
        x = (a0 * side).sum(0) * still
        torque = None if g_axes is None else cross(axes, g_axes, 1).sum(0)
        if g_quats is not None:
            torque = torque_of(quats, g_quats) + (0 if torque is None else torque)
        if torque is not None:
            t0, t1, t2 = (axes * torque).sum(1).unbind(0)
            t0 = t0 * height.clamp(min=STILL).reciprocal().masked_fill(height <= STILL, 0)
            g_side = a1 * t0
            g_edge = a1 * (t2 * still - t0 * x) - a2 * (t1 * still)
        if g_length is not None:
            g_edge = g_edge + a0 * g_length
        if g_height is not None:
            g_side = g_side - a2 * g_height
            g_edge = g_edge + a2 * (g_height * x)
        return torch.stack([-(g_edge + g_side), g_edge, g_side], 1), None
