"""The head as a glTF skinned mesh: seams, texture or vertex colours, morph targets, skeleton. Specified in GLB.md."""

import io
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt16
from PIL import Image

from exporter.glb_packing import Packing
from exporter.ops.limit_influences import strongest_influences
from formats.avatar import Avatar, LinearDynamics, SkinBinding, SplatLayer
from formats.codecs.glb import WEBP
from formats.codecs.glb_writer import GlbWriter, smallest_unsigned
from formats.conventions import srgb_to_linear
from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel

SPARSE_CUT = 1e-8
"""Metres. `plain` leaves out shorter deltas where sparse storage is smaller: float32 rounds a coordinate of a head more."""
INFLUENCES = 4
"""Joints per vertex; a second joint set is ignored by glTFast and Godot 3."""
WEBP_QUALITY = 90
LID_NAMES = ("eyelidLeft", "eyelidRight")
CORRECTIVE_NAMES = tuple(f"corrective_{role}_{i}{j}" for role in ("neck", "jaw", "left_eye", "right_eye")
                         for i in range(3) for j in range(3))


@dataclass
class GlbHead:
    """Where the head ended up in the document."""

    node: int
    joints: list[int]
    """One node per joint, in order."""
    roots: list[int]
    """Nodes that the scene lists, besides `node`."""
    extension: dict[str, Any] = field(default_factory=dict)
    """`FLAMEPORT_avatar.head`."""


def texture_seams(head: HeadModel) -> tuple[Int64[np.ndarray, "F 3"], Int64[np.ndarray, " C"], Float32[np.ndarray, "N 2"]]:
    """Return faces over N = V + C vertices, the head vertex each of the C copies repeats, and a UV per vertex.

    A vertex keeps the UV of the first corner that uses it; every other UV there makes one copy, in order of use.
    """
    assert head.uvs is not None and head.uv_faces is not None
    places, place = np.unique(head.uvs, axis=0, return_inverse=True)
    corner_vertex, corner_place = head.faces.ravel().astype(np.int64), place.reshape(-1)[head.uv_faces.ravel()]
    pairs, first, pair_of_corner = np.unique(corner_vertex * len(places) + corner_place, return_index=True,
                                             return_inverse=True)
    by_use = np.argsort(first)
    vertex = pairs[by_use] // len(places)
    is_base = np.zeros(len(pairs), bool)
    is_base[np.unique(vertex, return_index=True)[1]] = True
    slot = np.where(is_base, vertex, len(head.v_template) + np.cumsum(~is_base) - 1)
    slots = np.empty(len(pairs), np.int64)
    slots[by_use] = slot
    sources = vertex[~is_base]
    uvs = np.zeros((len(head.v_template) + len(sources), 2), np.float32)
    uvs[slots] = places[pairs % len(places)]
    return slots[pair_of_corner.reshape(-1)].reshape(-1, 3), sources, uvs


def eyelid_directions(avatar: Avatar) -> np.ndarray | None:
    """Return the head's eyelid directions; zeros when only a layer needs the lids, so that a clip can carry them."""
    head = avatar.head
    needed = any(
        (isinstance(layer.binding, SkinBinding) and layer.binding.eyeliddirs is not None)
        or (isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics)
            and "eyelids" in layer.dynamics.driver)
        for layer in avatar.layers)
    if head.eyeliddirs is None and needed:
        return np.zeros((len(head.v_template), 3, 2), np.float32)
    return head.eyeliddirs


def write_head(glb: GlbWriter, avatar: Avatar, exact: bool, packing: Packing | None = None) -> GlbHead:
    """Add the head's mesh, material, skin and nodes to `glb`.

    Args:
        glb: Extended in place.
        avatar: Its head, `albedo` map or vertex colours.
        exact: Store every delta; otherwise `SPARSE_CUT` applies.
        packing: Rounding and order of grade `small`.

    Raises:
        UnsupportedFeature: The head has no triangles.
    """
    if not len(avatar.head.faces):
        raise UnsupportedFeature("glb: the avatar's head has no triangles (its file holds none), and a GLB shows it as a mesh; "
                                 "import the avatar again with --head")
    head, albedo = avatar.head, None if avatar.maps is None else avatar.maps.images.get("albedo")
    small, packing = packing is not None, packing or Packing()
    count = len(head.v_template)
    order = np.arange(count) if packing.vertex_order is None else packing.vertex_order
    faces, sources = head.faces.astype(np.int64), np.zeros(0, np.int64)
    attributes: dict[str, int] = {}
    if head.uvs is not None:
        faces, sources, uvs = texture_seams(head)
        stored = np.concatenate([order, np.arange(count, len(uvs))])
        attributes["TEXCOORD_0"] = glb.floats(uvs[stored], packing.uvs, "vertex")
    place = np.arange(count + len(sources))
    place[order] = np.arange(count)
    faces = place[faces]
    repeat = np.concatenate([order, sources])
    attributes["POSITION"] = glb.floats(head.v_template[repeat] * np.float32(packing.scale), packing.template,
                                        "vertex", bounds=True)
    textured = albedo is not None and head.uvs is not None
    if not textured and avatar.vertex_rgb is not None:
        linear = srgb_to_linear(avatar.vertex_rgb[repeat].astype(np.float64))
        attributes["COLOR_0"] = glb.floats(np.clip(linear, 0, 1).astype(np.float32), packing.colors, "vertex")
    joints, weights = strongest_influences(head.lbs_weights[repeat], INFLUENCES)
    attributes["JOINTS_0"] = glb.accessor(joints.astype("u1" if len(head.parents) <= 256 else "<u2"), "vertex")
    attributes["WEIGHTS_0"] = (glb.accessor(sixteen_bits(weights), "vertex", normalized=True) if small
                               else glb.accessor(weights.astype(np.float32), "vertex"))

    lids = eyelid_directions(avatar)
    tables = [table for table in (head.exprdirs, lids, head.posedirs) if table is not None and table.shape[2]]
    correctives = 0 if head.posedirs is None else head.posedirs.shape[2]
    names = [*head.expr_names, *(LID_NAMES if lids is not None else ()), *CORRECTIVE_NAMES[:correctives]]
    cut = 0.0 if exact else SPARSE_CUT
    targets = [{"POSITION": glb.target(np.ascontiguousarray(table[:, :, k])[repeat] * np.float32(packing.scale), cut)}
               for table in tables for k in range(table.shape[2])]
    # 65535 itself is kept free: it restarts a primitive.
    index_type = "<u2" if len(repeat) < 65535 else "<u4"
    primitive = {"attributes": attributes, "indices": glb.accessor(faces.ravel().astype(index_type), "index"),
                 "material": glb.add("materials", _material(glb, albedo if textured else None, small))}
    mesh: dict[str, Any] = {"name": "head", "primitives": [primitive]}
    if targets:
        primitive["targets"] = targets
        mesh["extras"] = {"targetNames": names}

    extension: dict[str, Any] = {
        "edition": head.edition, "contentHash": head.content_hash, "mesh": glb.add("meshes", mesh), "vertexCount": count,
        "expressions": len(head.expr_names), "eyelids": 0 if lids is None else 2, "correctives": correctives,
        "eyelidSpace": head.eyelid_space, "jointRoles": dict(head.joint_roles)}
    if packing.vertex_order is not None:
        extension["vertexOrder"] = glb.accessor(order.astype("<u4") if small else smallest_unsigned(order))
    if len(sources):
        extension["seamSources"] = glb.accessor(smallest_unsigned(sources))
    result = _skeleton(glb, head, extension, packing)
    if not _four_are_exact(head.lbs_weights):
        extension["lbsWeights"] = glb.floats(head.lbs_weights[order].reshape(-1), packing.weights,
                                             stride=head.lbs_weights.shape[1])
    if head.arkit_map is not None:
        extension["arkitMap"] = glb.floats(head.arkit_map.reshape(-1), packing.arkit, stride=1)
    return result


def _skeleton(glb: GlbWriter, head: HeadModel, extension: dict[str, Any], packing: Packing) -> GlbHead:
    """Add the mesh node, the joints' nodes and the skin; complete `extension`."""
    rest, motion = head.rest_joints()
    rest = rest.astype(np.float32)
    node = glb.add("nodes", {"name": "head", "mesh": extension["mesh"]})
    joints = []
    for j, parent in enumerate(head.parents):
        step = rest[j] - (rest[parent] if parent >= 0 else np.float32(0))
        joints.append(glb.add("nodes", {"name": head.joint_names[j], "translation": step.tolist()}))
    for j, parent in enumerate(head.parents):
        if parent >= 0:
            glb.json["nodes"][joints[parent]].setdefault("children", []).append(joints[j])
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    # A skinned mesh's own transform is ignored, so this is where its unit is turned back into metres.
    inverse[:, :3, :3] /= np.float32(packing.scale)
    inverse[:, :3, 3] = -rest
    skin = {"name": "skeleton", "joints": joints, "inverseBindMatrices": glb.accessor(inverse)}
    roots = [joints[j] for j, parent in enumerate(head.parents) if parent < 0]
    if len(roots) > 1:
        # glTF wants all joints of a skin under one node.
        roots = [glb.add("nodes", {"name": "skeleton", "children": roots})]
        skin["skeleton"] = roots[0]
    extension |= {"skin": glb.add("skins", skin), "node": node}
    glb.json["nodes"][node]["skin"] = extension["skin"]
    if motion.any() and motion.shape[2]:
        extension["jointExprdirs"] = glb.floats(motion.transpose(0, 2, 1).reshape(-1, 3).astype(np.float32), packing.joints)
    return GlbHead(node, joints, roots, extension)


def _four_are_exact(weights: np.ndarray) -> bool:
    """Tell whether JOINTS_0 and WEIGHTS_0 give the weights back to float32 rounding."""
    dropped = np.sort(weights, axis=1)[:, :-INFLUENCES]
    return weights.min() >= 0 and dropped.max(initial=0) < 1e-8


def sixteen_bits(weights: Float64[np.ndarray, "V 4"]) -> UInt16[np.ndarray, "V 4"]:
    """Return skinning weights as fractions of 65535 whose rows sum to exactly that; the strongest takes what is over."""
    stored = np.round(weights * 65535).astype(np.int64)
    stored[:, 0] += 65535 - stored.sum(axis=1)
    return stored.astype("<u2")


def _material(glb: GlbWriter, albedo: np.ndarray | None, small: bool) -> dict[str, Any]:
    # Light is painted into the colours, so nothing may light them again. Both sides: a head is open at the neck.
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    if albedo is not None:
        texture: dict[str, Any] = {
            "sampler": glb.add("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071})}
        if small:
            source = glb.image(albedo_image(albedo, "WEBP"), "image/webp", "albedo")
            texture["extensions"] = {WEBP: {"source": source}}
        else:
            texture["source"] = glb.image(albedo_image(albedo, "PNG"), "image/png", "albedo")
        surface["baseColorTexture"] = {"index": glb.add("textures", texture)}
    return {"name": "head", "doubleSided": True, "pbrMetallicRoughness": surface,
            "extensions": {"KHR_materials_unlit": {}}}


def albedo_image(albedo: Float32[np.ndarray, "H W C"], kind: Literal["PNG", "WEBP"]) -> bytes:
    """Return the albedo as an 8-bit sRGB image; a WebP of quality `WEBP_QUALITY`."""
    if albedo.shape[2] not in (3, 4):
        raise UnsupportedFeature(f"glb: the albedo map has {albedo.shape[2]} channels; expected 3, or 4 with alpha")
    stream = io.BytesIO()
    image = Image.fromarray(np.round(np.clip(albedo, 0, 1) * 255).astype(np.uint8))
    image.save(stream, kind, **({"quality": WEBP_QUALITY, "method": 4} if kind == "WEBP" else {}))
    return stream.getvalue()
