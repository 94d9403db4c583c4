"""A skinned, morphed surface as a glTF primitive, seams split: the head's, and those of mesh layers. See GLB.md 1.1 and 1.4."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt16

from exporter.glb_packing import Packing
from exporter.ops.limit_influences import strongest_influences
from formats.codecs.glb_writer import GlbWriter, smallest_unsigned

SPARSE_CUT = 1e-8
"""Metres. `plain` leaves out shorter deltas where sparse storage is smaller: float32 rounds a coordinate of a head more."""
INFLUENCES = 4
"""Joints per vertex; a second joint set is ignored by glTFast and Godot 3."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Vertices as they are stored: the V of the surface in some order, then copies made for texture seams."""

    attributes: dict[str, int]
    """POSITION and, where there are UVs, TEXCOORD_0."""
    faces: Int64[np.ndarray, "F 3"]
    """Over stored vertices."""
    repeat: Int64[np.ndarray, " S"]
    """Which vertex each stored one is."""
    order: Int64[np.ndarray, " V"]
    sources: Int64[np.ndarray, " C"]

    def indices(self, glb: GlbWriter) -> int:
        """Store the triangles and return their accessor."""
        # 65535 itself is kept free: it restarts a primitive.
        index_type = "<u2" if len(self.repeat) < 65535 else "<u4"
        return glb.accessor(self.faces.ravel().astype(index_type), "index")

    def about(self, glb: GlbWriter, ordered: bool, small: bool) -> dict[str, Any]:
        """Store what our readers need to undo order and seams, and return the extension's keys for it."""
        entry: dict[str, Any] = {}
        if ordered:
            entry["vertexOrder"] = glb.accessor(self.order.astype("<u4") if small else smallest_unsigned(self.order))
        if len(self.sources):
            entry["seamSources"] = glb.accessor(smallest_unsigned(self.sources))
        return entry


def split_seams(faces: Int32[np.ndarray, "F 3"], uvs: Float32[np.ndarray, "U 2"], uv_faces: Int32[np.ndarray, "F 3"], count: int
                ) -> tuple[Int64[np.ndarray, "F 3"], Int64[np.ndarray, " C"], Float32[np.ndarray, "N 2"]]:
    """Return faces over N = V + C vertices, the vertex of V = `count` each of the C copies repeats, and a UV per vertex.

    A vertex keeps the UV of the first corner that uses it; every other UV there makes one copy, in order of use.
    """
    places, place = np.unique(uvs, axis=0, return_inverse=True)
    corner_vertex, corner_place = faces.ravel().astype(np.int64), place.reshape(-1)[uv_faces.ravel()]
    pairs, first, pair_of_corner = np.unique(corner_vertex * len(places) + corner_place, return_index=True,
                                             return_inverse=True)
    by_use = np.argsort(first)
    vertex = pairs[by_use] // len(places)
    is_base = np.zeros(len(pairs), bool)
    is_base[np.unique(vertex, return_index=True)[1]] = True
    slot = np.where(is_base, vertex, count + np.cumsum(~is_base) - 1)
    slots = np.empty(len(pairs), np.int64)
    slots[by_use] = slot
    sources = vertex[~is_base]
    stored = np.zeros((count + len(sources), 2), np.float32)
    stored[slots] = places[pairs % len(places)]
    return slots[pair_of_corner.reshape(-1)].reshape(-1, 3), sources, stored


def write_surface(glb: GlbWriter, vertices: Float32[np.ndarray, "V 3"], faces: Int32[np.ndarray, "F 3"],
                  uvs: Float32[np.ndarray, "U 2"] | None, uv_faces: Int32[np.ndarray, "F 3"] | None,
                  order: Int64[np.ndarray, " V"] | None, packing: Packing) -> Surface:
    """Store vertices and texture coordinates and return the surface.

    Args:
        glb: Extended in place.
        vertices: Metres.
        faces: Triangles.
        uvs: Texture coordinates, (0, 0) at the top left.
        uv_faces: Their triangles.
        order: Stored vertex i is vertex `order[i]`; None: as they are.
        packing: Rounding of grade `small`.
    """
    count = len(vertices)
    order = np.arange(count) if order is None else order
    split, sources = faces.astype(np.int64), np.zeros(0, np.int64)
    attributes: dict[str, int] = {}
    if uvs is not None and uv_faces is not None:
        split, sources, corners = split_seams(faces, uvs, uv_faces, count)
        attributes["TEXCOORD_0"] = glb.floats(corners[np.concatenate([order, np.arange(count, len(corners))])], packing.uvs,
                                              "vertex")
    place = np.arange(count + len(sources))
    place[order] = np.arange(count)
    repeat = np.concatenate([order, sources])
    attributes["POSITION"] = glb.floats(vertices[repeat] * np.float32(packing.scale), packing.template, "vertex", bounds=True)
    return Surface(attributes, place[split], repeat, order, sources)


def write_influences(glb: GlbWriter, weights: np.ndarray, packed: bool) -> dict[str, int]:
    """Store the four strongest joints of each row [N, J] and return JOINTS_0 and WEIGHTS_0, the latter in 16 bits if `packed`."""
    joints, strongest = strongest_influences(weights, INFLUENCES)
    return {"JOINTS_0": glb.accessor(joints.astype("u1" if weights.shape[1] <= 256 else "<u2"), "vertex"),
            "WEIGHTS_0": (glb.accessor(sixteen_bits(strongest), "vertex", normalized=True) if packed
                          else glb.accessor(strongest.astype(np.float32), "vertex"))}


def sixteen_bits(weights: Float64[np.ndarray, "V 4"]) -> UInt16[np.ndarray, "V 4"]:
    """Return skinning weights as fractions of 65535 whose rows sum to exactly that; the strongest takes what is over."""
    stored = np.round(weights * 65535).astype(np.int64)
    stored[:, 0] += 65535 - stored.sum(axis=1)
    return stored.astype("<u2")


def write_targets(glb: GlbWriter, tables: list[np.ndarray], surface: Surface, exact: bool,
                  packing: Packing) -> list[dict[str, int]]:
    """Store directions [V, 3, K], one table after the other, and return the primitive's morph targets."""
    cut = 0.0 if exact else SPARSE_CUT

    def store(deltas: np.ndarray) -> int:
        if packing.targets is None or not deltas.any():
            return glb.target(deltas, cut) if packing.targets is None else glb.sparse_accessor(deltas)
        return glb.floats(deltas, packing.targets[surface.repeat][:, None], "vertex", bounds=True)

    return [{"POSITION": store(np.ascontiguousarray(table[:, :, k])[surface.repeat] * np.float32(packing.scale))}
            for table in tables for k in range(table.shape[2])]
