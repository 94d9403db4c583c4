"""Places on a mesh: where they are on its Phong surface, how they walk over it, and which one is near a point.

Shao et al., "SplattingAvatar", CVPR 2024, sections 3.1 and 3.3; what the paper leaves open follows the released walker.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainers.rotations import inverse_and_determinant, normalize
from trainers.triangles import corners_of, vertex_normals

INSIDE = 1e-3
"""How far below 0 a barycentric weight may be and still count as inside."""
TIRED = 0.9
"""What is left of a step's remainder after each edge."""
HOPS = 16
"""Edges that one walk may cross."""
FAR = 2.0
"""Barycentric weights that a place moves by at most before it looks where it is."""
NORMAL_FLOOR = 1e-6
"""Square units below which the sum of a vertex's normals is not made unit."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Which triangle lies beyond each edge of a mesh."""

    face: Tensor
    """int64 [F, 3]: across the edge that faces corner j; -1 at a border."""
    corner: Tensor
    """int64 [F, 3]: the corner of that triangle that faces the edge."""

    @classmethod
    def of(cls, faces: Tensor) -> "Neighbours":
        """Return those of a mesh [F, 3]: by directed edges, so that a triangle that is wound the other way is none."""
        f = faces.cpu().numpy().astype(np.int64)
        count = int(f.max()) + 1 if f.size else 0
        start, end = np.roll(f, -1, axis=1), np.roll(f, -2, axis=1)
        keys, wanted = (start * count + end).ravel(), (end * count + start).ravel()
        order = np.argsort(keys, kind="stable")
        place = np.minimum(np.searchsorted(keys, wanted, sorter=order), max(len(keys) - 1, 0))
        found = order[place]
        there = keys[found] == wanted
        face = np.where(there, found // 3, -1).reshape(f.shape)
        corner = np.where(there, found % 3, 0).reshape(f.shape)
        return cls(torch.from_numpy(face).to(faces.device), torch.from_numpy(corner).to(faces.device))


def walk(neighbours: Neighbours, face: Tensor, weights: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return where places end up after a step over the mesh: triangles [N], weights [N, 3], and edges that were crossed [N].

    A step that leaves a triangle goes to its edge and on in the neighbour, as if both lay in one plane and were half a
    parallelogram each: with the edge's two coordinates exchanged and the step's sign turned. Each edge takes a tenth of
    what is left. A border ends it.

    Args:
        neighbours: Of the mesh.
        face: Triangles, int64 [N].
        weights: Barycentric, [N, 3].
        step: Added to the weights, [N, 3], rows sum to 0.
    """
    crossed = torch.zeros_like(face)
    for _ in range(HOPS):
        target = weights + step
        outside = target.amin(dim=1) < -INSIDE
        if not bool(outside.any()):  # asks the device, once in a hundred steps
            break
        # The first weight to become 0 on the way; those that fall from 0 do so at once.
        time = torch.where(target < 0, weights / (weights - target).clamp_min(1e-12), torch.full_like(target, torch.inf))
        first, edge = time.clamp_min(0).min(dim=1)
        share = torch.where(outside, first.clamp(max=1), torch.ones_like(first))[:, None]
        at = weights + share * step
        rest = TIRED * (1 - share) * step
        row = edge[:, None]
        beyond = neighbours.face[face].gather(1, row)[:, 0]
        corner = neighbours.corner[face].gather(1, row)[:, 0]
        hops = outside & (beyond >= 0)
        one, two, opposite = ((edge + 1) % 3)[:, None], ((edge + 2) % 3)[:, None], corner[:, None]
        # The neighbour runs along the edge the other way: after its own far corner comes our second one.
        after, last = (opposite + 1) % 3, (opposite + 2) % 3
        zero = torch.zeros_like(at[:, :1])
        there = torch.zeros_like(at).scatter(1, after, at.gather(1, two)).scatter(1, last, at.gather(1, one))
        onward = torch.zeros_like(at).scatter(1, after, -rest.gather(1, one)).scatter(1, last, -rest.gather(1, two))
        onward = onward.scatter(1, opposite, -rest.gather(1, row))
        stopped = at.scatter(1, row, zero)
        weights = torch.where(hops[:, None], there, torch.where(outside[:, None], stopped, weights))
        step = torch.where(hops[:, None], onward, torch.where(outside[:, None], torch.zeros_like(step), step))
        face = torch.where(hops, beyond, face)
        crossed = crossed + hops
    ended = (weights + step).clamp_min(0)
    return face, ended / ended.sum(dim=1, keepdim=True), crossed


def phong_points(vertices: Tensor, normals: Tensor, faces: Tensor, face: Tensor, weights: Tensor, distance: Tensor) -> Tensor:
    """Return points [N, 3] `distance` [N] off a mesh along the normals blended over its triangles. Source: eq. 2."""
    index = faces.index_select(0, face).t().reshape(-1)
    blend = weights.t()
    point, normal = ((corners_of(table, index) * blend).sum(1) for table in (vertices, normals))
    return (point + distance * normalize(normal, 0)).t()


def settle(vertices: Tensor, faces: Tensor, neighbours: Neighbours, points: Tensor, face: Tensor, weights: Tensor,
           distance: Tensor, rounds: int = 4) -> tuple[Tensor, Tensor]:
    """Return the triangles [N] and weights [N, 3] over which `points` [N, 3] lie, starting from their parents' places.

    Each round solves P(w) + d n(w) = point for a step (u, v) of the weights and for d, to first order, and walks that step.
    The released trainer moves them by a hundred steps of Adam, with a walk in the middle and at the end: the same places where
    those suffice.

    Args:
        vertices: Of the canonical mesh, units, [V, 3].
        faces: [F, 3].
        neighbours: Of those.
        points: Units.
        face: Parents' triangles, int64 [N].
        weights: Their weights, [N, 3].
        distance: Their distances along the normal, units, [N].
        rounds: How often to solve and walk.
    """
    normals = vertex_normals(vertices, faces, NORMAL_FLOOR)
    for _ in range(rounds if len(face) else 0):
        index = faces.index_select(0, face).t().reshape(-1)
        corner, blend = corners_of(vertices, index), weights.t()
        around = corners_of(normals, index)
        mixed = (around * blend).sum(1)
        normal = normalize(mixed, 0)
        off = points.t() - (corner * blend).sum(1) - distance * normal
        length = (mixed * mixed).sum(0).sqrt().clamp_min(NORMAL_FLOOR)
        columns = []
        for j in (0, 1):
            turn = around[:, j] - around[:, 2]
            turn = (turn - normal * (normal * turn).sum(0)) / length
            columns.append(corner[:, j] - corner[:, 2] + distance * turn)
        inverse = inverse_and_determinant(torch.stack([*columns, normal], dim=2).transpose(0, 1))[0]
        u, v, d = (inverse @ off.t()[:, :, None])[:, :, 0].unbind(dim=1)
        # First order is true nearby; who is far off goes there in rounds.
        far = torch.maximum(u.abs(), v.abs()).clamp_min(FAR) / FAR
        distance = distance + d / far
        face, weights, _ = walk(neighbours, face, weights, shift_of(torch.stack([u, v], dim=1) / far[:, None]))
    return face, weights


def shift_of(uvd: Tensor) -> Tensor:
    """Return what (u, v) of [N, 2 or 3] adds to barycentric weights, [N, 3]: (u, v, -u - v)."""
    u, v = uvd[:, 0], uvd[:, 1]
    return torch.stack([u, v, -u - v], dim=1)
