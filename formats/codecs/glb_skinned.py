"""A skinned, morphed mesh of a GLB that flameport wrote: the head's and mesh layers'. Specified in `exporter/GLB.md` 1.1, 1.4."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from formats.codecs.glb import TABLE_LIMIT, GlbDocument, check_size
from formats.codecs.json_file import Fields
from formats.errors import FormatError


@dataclass(frozen=True, eq=False)
class Skinned:
    """What such a mesh holds, V vertices in our order, of `stored` ones."""

    vertices: Float32[np.ndarray, "V 3"]
    """Rest space, metres."""
    faces: Int64[np.ndarray, "F 3"]
    corners: Int64[np.ndarray, "F 3"]
    """The same triangles over stored vertices, which texture coordinates are of."""
    deltas: Float32[np.ndarray, "V 3 T"]
    """Morph targets, metres."""
    place: Int64[np.ndarray, " V"]
    """Where each vertex is stored."""
    stored: int
    joints: list[int]
    """Nodes of its skin."""
    inverse: Float[np.ndarray, "J 4 4"]


def read_skinned(document: GlbDocument, primitive: Fields, entry: Fields, skin: Fields, targets: int) -> Skinned:
    """Return the mesh of a primitive.

    Args:
        document: Holds it.
        primitive: Of triangles.
        entry: Our object about it: `vertexCount`, `seamSources`, `vertexOrder`.
        skin: Its skin.
        targets: How many morph targets it must have.

    Raises:
        FormatError: Something of it is missing, or does not fit the rest.
    """
    attributes = primitive.fields("attributes")
    positions = document.table(attributes.integer("POSITION"), (None, 3), attributes.where)
    count = entry.integer("vertexCount", low=1, high=len(positions))
    sources = np.arange(len(positions))
    place = read_places(document, entry, count)
    sources[place] = np.arange(count)
    if entry.has("seamSources"):
        copies = document.table(entry.integer("seamSources"), (len(positions) - count,), entry.where)
        if copies.max() >= count:
            raise FormatError(f"{entry.where}: 'seamSources': names vertex {copies.max()} of {count}")
        sources[count:] = copies
    elif count != len(positions):
        raise FormatError(f"{entry.where}: {len(positions)} vertices, {count} of them not copies, and no 'seamSources'")
    corners = document.table(primitive.integer("indices"), (None,), primitive.where).astype(np.int64)
    if len(corners) % 3 or corners.max() >= len(positions):
        raise FormatError(f"{primitive.where}: 'indices': expected triangles over {len(positions)} vertices, got "
                          f"{len(corners)} indices up to {corners.max()}")
    corners = corners.reshape(-1, 3)

    stored_targets = primitive.items("targets", [])
    if len(stored_targets) != targets:
        raise FormatError(f"{primitive.where}: {len(stored_targets)} morph targets, expected {targets}")
    check_size((count, 3, targets), TABLE_LIMIT, f"{primitive.where}: its morph targets")
    joints = skin.items("joints")
    inverse = document.table(skin.integer("inverseBindMatrices"), (len(joints), 4, 4), skin.where)
    unit = inverse[0, 0, 0]
    if not (0 < unit < np.inf) or np.abs(inverse[:, :3, :3] - unit * np.eye(3)).max() > 1e-6 * unit:
        raise FormatError(f"{skin.where}: 'inverseBindMatrices': expected one positive scale and a translation for all joints")
    deltas = np.zeros((count, 3, targets), np.float32)
    for k, target in enumerate(stored_targets):
        where = f"{primitive.where}: targets[{k}]"
        values = document.table(Fields(target, where).integer("POSITION"), (len(positions), 3), where)
        deltas[:, :, k] = values[place] * unit
    return Skinned(positions[place] * unit, sources[corners], corners, deltas, place, len(positions), joints, inverse)


def read_places(document: GlbDocument, entry: Fields, count: int) -> Int64[np.ndarray, " V"]:
    """Return where each vertex is stored: as `vertexOrder` says, or in order."""
    if not entry.has("vertexOrder"):
        return np.arange(count)
    order = document.table(entry.integer("vertexOrder"), (count,), f"{entry.where}: 'vertexOrder'").astype(np.int64)
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise FormatError(f"{entry.where}: 'vertexOrder': expected each of {count} vertices once")
    return np.argsort(order)


def read_weights(document: GlbDocument, entry: Fields, attributes: Fields, count: int, joints: int,
                 still: int = 0) -> Float32[np.ndarray, "V J"]:
    """Return skinning weights as vertices are stored: exact ones where there are, else the four strongest.

    Args:
        document: Holds them.
        entry: Our object, which may have `lbsWeights`.
        attributes: JOINTS_0 and WEIGHTS_0.
        count: Vertices.
        joints: J.
        still: Joints after them that never move, and are left out.
    """
    if entry.has("lbsWeights"):
        return document.table(entry.integer("lbsWeights"), (count * joints,), entry.where).reshape(count, joints)
    where = attributes.where
    which = document.table(attributes.integer("JOINTS_0"), (None, 4), where)[:count].astype(np.int64)
    values = document.table(attributes.integer("WEIGHTS_0"), (None, 4), where)[:count]
    if len(which) != count or len(values) != count or which.max() >= joints + still:
        raise FormatError(f"{where}: JOINTS_0 and WEIGHTS_0 do not fit {count} vertices and {joints + still} joints")
    check_size((count, joints + still), TABLE_LIMIT, f"{where}: its weights")
    weights = np.zeros((count, joints + still), np.float32)
    np.add.at(weights, (np.arange(count)[:, None], which), values)
    return weights[:, :joints]
