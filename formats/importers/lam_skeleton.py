"""The skinned mesh in a LAM avatar's `skin.glb`: vertices, ARKit targets, and joints in our convention.

glTF poses a vertex as `sum_j w_j M_j p` with M_j = (joint's world matrix) (inverse bind matrix), and ignores the mesh
node's own transform. We keep joints by their rest position only, with axes aligned to the world at rest (FLAME's way),
so everything is taken into the world once: with A = sum_j w_j M_j at rest, `v = A p` and directions turn by A's 3x3.
LAM's exports are bound where they rest, so A is the identity up to rounding, even though nodes have scales of 0.01.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int32

from formats.codecs.glb import GlbDocument
from formats.codecs.json_file import Fields
from formats.errors import FormatError, UnsupportedFeature
from formats.rotations import normalize, quat_to_matrix

LOG = logging.getLogger(__name__)
NODE_LIMIT = 1 << 14
JOINT_LIMIT = 1024
"""LAM's body skeleton has 262."""
TABLE_LIMIT = 1 << 27
"""Numbers in one dense table (vertices x joints, vertices x 3 x targets): half a gigabyte."""


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the glTF scene: its place in the tree and its rest transform relative to the parent."""

    name: str
    parent: int
    """-1 for a root."""
    translation: Float64[np.ndarray, " 3"]
    rotation: Float64[np.ndarray, " 4"]
    """wxyz, unit."""
    scale: Float64[np.ndarray, " 3"]


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints in the order of our tables, parents first, and the scene they hang in."""

    nodes: tuple[Node, ...]
    order: tuple[int, ...]
    """All nodes, parents first."""
    joint_nodes: tuple[int, ...]
    """Node of each joint."""
    parents: Int32[np.ndarray, " J"]
    """Nearest joint above, -1 for none."""
    rest: Float64[np.ndarray, "J 4 4"]
    """World matrices at rest, scale included."""

    @property
    def names(self) -> tuple[str, ...]:
        """One per joint."""
        return tuple(self.nodes[i].name for i in self.joint_nodes)


@dataclass(frozen=True, eq=False)
class SkinnedMesh:
    """What `skin.glb` shows at rest, in world metres."""

    positions: Float64[np.ndarray, "V 3"]
    """As stored."""
    vertices: Float64[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    targets: Float64[np.ndarray, "V 3 E"]
    target_names: tuple[str, ...]
    """Empty when the file names none."""
    to_world: Float64[np.ndarray, "V 4 4"]
    """A of the module's text, per vertex."""
    weights: Float64[np.ndarray, "V J"]
    skeleton: Skeleton


def transform(translation: np.ndarray, rotation: np.ndarray, scale: np.ndarray) -> Float64[np.ndarray, "... 4 4"]:
    """Return matrices of translations [..., 3], unit quaternions wxyz [..., 4] and scales [..., 3]."""
    matrix = np.zeros((*translation.shape[:-1], 4, 4))
    matrix[..., :3, :3] = quat_to_matrix(rotation) * scale[..., None, :]
    matrix[..., :3, 3] = translation
    matrix[..., 3, 3] = 1
    return matrix


def rotation_part(world: np.ndarray) -> Float64[np.ndarray, "... 3 3"]:
    """Return the rotations in matrices [..., 4, 4] that are a rotation times one scale."""
    columns = world[..., :3, :3]
    return columns / np.linalg.norm(columns, axis=-2, keepdims=True)


def read_nodes(document: GlbDocument) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """Return the scene's nodes and their order, parents first.

    Raises:
        FormatError: The nodes are no tree, or a transform is none.
        UnsupportedFeature: A node has a matrix in place of translation, rotation and scale.
    """
    count = len(Fields(document.json, document.where).items("nodes", []))
    if count > NODE_LIMIT:
        raise FormatError(f"{document.where}: {count} nodes, at most {NODE_LIMIT} are read")
    nodes = [_node(document.item("nodes", i), i) for i in range(count)]
    children: list[list[int]] = []
    for i in range(count):
        children.append(document.item("nodes", i).items("children", []))
        for child in children[i]:
            document.item("nodes", child)
            if nodes[child].parent >= 0:
                raise FormatError(f"{document.where}: nodes[{child}] has two parents")
            nodes[child] = replace(nodes[child], parent=i)
    order = [i for i in range(count) if nodes[i].parent < 0]
    for i in order:
        order.extend(children[i])
    if len(order) != count:
        raise FormatError(f"{document.where}: the nodes form a circle")
    return tuple(nodes), tuple(order)


def _node(fields: Fields, index: int) -> Node:
    if fields.has("matrix"):
        raise UnsupportedFeature(f"{fields.where}: has a matrix; export with translation, rotation and scale")
    given = {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1]}
    values = {}
    for name, default in given.items():
        value = fields.numbers(name) if fields.has(name) else np.array(default, float)
        if value.shape != (len(default),):
            raise FormatError(f"{fields.where}: '{name}': expected {len(default)} numbers, got {list(value.shape)}")
        values[name] = value
    if not 1e-6 < np.linalg.norm(values["rotation"]) < 1e6 or not (values["scale"] > 0).all():
        raise FormatError(f"{fields.where}: 'rotation' is zero or 'scale' is not positive")
    return Node(fields.text("name", f"node{index}"), -1, values["translation"],
                normalize(values["rotation"])[[3, 0, 1, 2]], values["scale"])


def world_matrices(nodes: tuple[Node, ...], order: tuple[int, ...]) -> Float64[np.ndarray, "N 4 4"]:
    """Return the world matrix of every node at rest."""
    world = np.zeros((len(nodes), 4, 4))
    for i in order:
        node = nodes[i]
        local = transform(node.translation, node.rotation, node.scale)
        world[i] = local if node.parent < 0 else world[node.parent] @ local
    return world


def read_skinned_mesh(document: GlbDocument) -> SkinnedMesh:
    """Return the one skinned mesh of a GLB at rest.

    Raises:
        FormatError: Tables do not fit each other.
        UnsupportedFeature: Not exactly one skinned mesh, joints with uneven scale, or extensions we do not read.
    """
    document.check_required()
    nodes, order = read_nodes(document)
    skinned = [i for i in range(len(nodes)) if document.item("nodes", i).has("skin")]
    if len(skinned) != 1:
        raise UnsupportedFeature(f"{document.where}: {len(skinned)} skinned meshes, expected one")
    node = document.item("nodes", skinned[0])
    positions, faces, targets, names, primitive = read_mesh(document, node.integer("mesh"))
    skin = document.item("skins", node.integer("skin"))
    skeleton, bind, rank = _skeleton(document, skin, nodes, order)
    weights = _weights(document, primitive, len(positions), rank)
    to_world = np.einsum("vj,jab->vab", weights, bind, optimize=True)
    vertices = apply(to_world, positions)
    moved = np.linalg.norm(vertices - positions, axis=1).max(initial=0)
    if moved > 1e-3:
        LOG.warning("%s: rests up to %.1f mm from where it was bound; Gaussians keep the orientation they had there",
                    document.where, moved * 1e3)
    turned = np.einsum("vab,vbe->vae", to_world[:, :3, :3], targets)
    return SkinnedMesh(positions, vertices, faces, turned, names, to_world, weights, skeleton)


def apply(matrices: np.ndarray, points: np.ndarray) -> Float64[np.ndarray, "V 3"]:
    """Return points [V, 3], each under its own matrix [V, 4, 4]."""
    return np.einsum("vab,vb->va", matrices[:, :3, :3], points) + matrices[:, :3, 3]


def read_mesh(document: GlbDocument, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...], Fields]:
    """Return a mesh as stored: positions [V, 3], faces [F, 3], targets [V, 3, E], their names, and the primitive."""
    mesh = document.item("meshes", index)
    primitives = mesh.items("primitives")
    if len(primitives) != 1:
        raise UnsupportedFeature(f"{mesh.where}: {len(primitives)} primitives, expected one (one material)")
    primitive = Fields(primitives[0], f"{mesh.where}.primitives[0]")
    if primitive.integer("mode", 4) != 4:
        raise UnsupportedFeature(f"{primitive.where}: 'mode' {primitive.integer('mode')}, expected triangles (4)")
    position = primitive.fields("attributes").integer("POSITION")
    count = document.item("accessors", position).integer("count", low=1)
    targets = primitive.items("targets", [])
    if count * 3 * max(len(targets), 1) > TABLE_LIMIT:
        raise FormatError(f"{primitive.where}: {count} vertices with {len(targets)} targets are more than this reads")
    positions = _table(document, position, count, 3)
    exprdirs = np.zeros((count, 3, len(targets)))
    for e, target in enumerate(targets):
        fields = Fields(target, f"{primitive.where}.targets[{e}]")
        if fields.has("POSITION"):
            exprdirs[:, :, e] = _table(document, fields.integer("POSITION"), count, 3)
    faces = np.arange(count)
    if primitive.has("indices"):
        faces = document.accessor(primitive.integer("indices"))
    if faces.ndim != 1 or faces.dtype.kind == "f" or len(faces) % 3 or int(faces.max()) >= count:
        raise FormatError(f"{primitive.where}: 'indices' do not name triangles of {count} vertices")
    names = mesh.fields("extras").texts("targetNames", ())
    if names and len(names) != len(targets):
        raise FormatError(f"{mesh.where}: {len(names)} targetNames for {len(targets)} targets")
    return positions, faces.reshape(-1, 3).astype(np.int32), exprdirs, names, primitive


def _table(document: GlbDocument, index: int, count: int, width: int) -> np.ndarray:
    fields = document.item("accessors", index)
    if fields.integer("count") != count:
        raise FormatError(f"{fields.where}: {fields.integer('count')} elements for {count} vertices")
    values = document.accessor(index)
    if values.shape != (count, width):
        raise FormatError(f"{fields.where}: expected {width} numbers per vertex, got shape {list(values.shape)}")
    return values.astype(np.float64)


def _skeleton(document: GlbDocument, skin: Fields, nodes: tuple[Node, ...],
              order: tuple[int, ...]) -> tuple[Skeleton, np.ndarray, np.ndarray]:
    """Return the skeleton, M_j at rest [J, 4, 4], and our number of each of the skin's joints."""
    joints = skin.items("joints")
    if not 1 <= len(joints) <= JOINT_LIMIT:
        raise FormatError(f"{skin.where}: {len(joints)} joints, expected 1 to {JOINT_LIMIT}")
    for joint in joints:
        document.item("nodes", joint)
    if len(set(joints)) != len(joints):
        raise FormatError(f"{skin.where}: a node is listed as a joint twice")
    place = {node: i for i, node in enumerate(order)}
    joint_nodes = sorted(joints, key=place.__getitem__)
    number = {node: j for j, node in enumerate(joint_nodes)}
    names = [nodes[i].name for i in joint_nodes]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"{skin.where}: two joints are named '{twice}'; rename one")
    parents = []
    for node in joint_nodes:
        above = nodes[node].parent
        while above >= 0 and above not in number:
            above = nodes[above].parent
        parents.append(number.get(above, -1))
    world = world_matrices(nodes, order)[joint_nodes]
    size = np.linalg.norm(world[:, :3, :3], axis=1)
    turn = rotation_part(world)
    uneven = (np.ptp(size, axis=1) > 1e-3 * size.max(axis=1)) | (
        np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2)) > 1e-3)
    if uneven.any():
        raise UnsupportedFeature(f"{skin.where}: joint '{names[int(np.argmax(uneven))]}' is scaled unevenly; apply the "
                                 "scale before exporting")
    bind = np.tile(np.eye(4), (len(joints), 1, 1))
    if skin.has("inverseBindMatrices"):
        inverse = document.accessor(skin.integer("inverseBindMatrices"))
        if inverse.shape != (len(joints), 4, 4):
            raise FormatError(f"{skin.where}: {len(inverse)} inverse bind matrices for {len(joints)} joints")
        bind = inverse.astype(np.float64)
    rank = np.array([number[node] for node in joints])
    skeleton = Skeleton(nodes, order, tuple(joint_nodes), np.array(parents, np.int32), world)
    return skeleton, world @ bind[np.argsort(rank)], rank


def _weights(document: GlbDocument, primitive: Fields, count: int, rank: np.ndarray) -> np.ndarray:
    """Return dense weights [V, J] in our joints' order, rows summing to 1."""
    attributes = primitive.fields("attributes")
    if count * len(rank) > TABLE_LIMIT:
        raise FormatError(f"{primitive.where}: {count} vertices and {len(rank)} joints are more than this reads")
    dense = np.zeros((count, len(rank)))
    sets = 0
    while attributes.has(f"JOINTS_{sets}"):
        joints = _table(document, attributes.integer(f"JOINTS_{sets}"), count, 4).astype(np.int64)
        weights = _table(document, attributes.integer(f"WEIGHTS_{sets}"), count, 4)
        if (weights < 0).any():
            raise FormatError(f"{primitive.where}: WEIGHTS_{sets}: a weight is negative")
        used = np.where(weights > 0, joints, 0)
        if used.size and int(used.max()) >= len(rank):
            raise FormatError(f"{primitive.where}: JOINTS_{sets}: names joint {int(used.max())} of {len(rank)}")
        for k in range(4):
            np.add.at(dense, (np.arange(count), rank[used[:, k]]), weights[:, k])
        sets += 1
    sums = dense.sum(axis=1, keepdims=True)
    if not sets or sums.min() < 1e-6:
        raise FormatError(f"{primitive.where}: {'no JOINTS_0' if not sets else 'a vertex has no weight'}; expected a "
                          "skinned mesh")
    return dense / sums
