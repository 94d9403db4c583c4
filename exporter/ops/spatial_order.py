"""Orders in which neighbours in a list are neighbours in space: what compresses well, and what caches like."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int32, Int64

from formats.avatar import Avatar, FaceBinding

BITS = 16
"""Bits of each coordinate: 5 micrometres in a head."""


def hilbert_order(points: Float[np.ndarray, "N 3"]) -> Int64[np.ndarray, " N"]:
    """Return the order of points along a Hilbert curve, which never jumps; equal places keep their order.

    Source: Skilling, "Programming the Hilbert curve", 2004: Gray code undone axis by axis, for all points at once.
    """
    p = points.astype(np.float64)
    low = p.min(axis=0, initial=np.inf)
    size = max(float(np.ptp(p, axis=0).max()), 1e-12) if len(p) else 1.0
    x = [column.copy() for column in np.round((p - low) / size * ((1 << BITS) - 1)).astype(np.uint32).T]
    for bit in range(BITS - 1, 0, -1):
        below = np.uint32((1 << bit) - 1)
        for axis in range(3):
            hit = x[axis] >> np.uint32(bit) & 1 != 0
            swap = np.where(hit, 0, (x[0] ^ x[axis]) & below).astype(np.uint32)
            x[0] = np.where(hit, x[0] ^ below, x[0] ^ swap)
            x[axis] ^= swap
    x[1] ^= x[0]
    x[2] ^= x[1]
    carry = np.zeros(len(p), np.uint32)
    for bit in range(BITS - 1, 0, -1):
        carry ^= np.where(x[2] >> np.uint32(bit) & 1 != 0, np.uint32((1 << bit) - 1), 0).astype(np.uint32)
    code = np.zeros(len(p), np.uint64)
    for bit in range(BITS - 1, -1, -1):
        for axis in range(3):
            code = code << np.uint64(1) | ((x[axis] ^ carry) >> np.uint32(bit) & np.uint32(1)).astype(np.uint64)
    return np.argsort(code, kind="stable")


def triangle_order(faces: Int32[np.ndarray, "F 3"], vertex_order: Int64[np.ndarray, " V"]) -> Int64[np.ndarray, " F"]:
    """Return the order in which `vertex_order` first names a corner of each triangle."""
    rank = np.empty(len(vertex_order), np.int64)
    rank[vertex_order] = np.arange(len(vertex_order))
    return np.lexsort(np.sort(rank[faces], axis=1).T[::-1])


def reorder_faces(avatar: Avatar, vertex_order: Int64[np.ndarray, " V"]) -> Avatar:
    """Return `avatar` with its triangles in the order in which `vertex_order` first names a corner of theirs.

    Corners keep their order; bindings follow.
    """
    head = avatar.head
    order = triangle_order(head.faces, vertex_order)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    layers = []
    for layer in avatar.layers:
        if isinstance(layer.binding, FaceBinding):
            moved = dataclasses.replace(layer.binding, face_index=place[layer.binding.face_index])
            layer = dataclasses.replace(layer, binding=moved)
        layers.append(layer)
    uv_faces = None if head.uv_faces is None else head.uv_faces[order]
    return dataclasses.replace(avatar, head=dataclasses.replace(head, faces=head.faces[order], uv_faces=uv_faces),
                               layers=tuple(layers))
