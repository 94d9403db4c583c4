"""The head as a glTF skinned mesh: seams, texture or vertex colours, morph targets, skeleton. Specified in GLB.md."""

import io
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Int64
from PIL import Image

from exporter.glb_packing import Packing
from exporter.glb_surface import INFLUENCES, split_seams, write_influences, write_surface, write_targets
from exporter.glb_targets import eyelid_directions, target_names
from formats.avatar import Avatar
from formats.codecs.glb import WEBP
from formats.codecs.glb_writer import GlbWriter
from formats.conventions import srgb_to_linear
from formats.errors import UnsupportedFeature
from formats.head_model import HeadModel

WEBP_QUALITY = 90


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
    targets: int = 0
    """How many morph targets its mesh has."""


def texture_seams(head: HeadModel) -> tuple[Int64[np.ndarray, "F 3"], Int64[np.ndarray, " C"], Float32[np.ndarray, "N 2"]]:
    """Return `glb_surface.split_seams` of a head with UVs."""
    assert head.uvs is not None and head.uv_faces is not None
    return split_seams(head.faces, head.uvs, head.uv_faces, len(head.v_template))


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
    surface = write_surface(glb, head.v_template, head.faces, head.uvs, head.uv_faces, packing.vertex_order, packing)
    attributes, order, repeat = surface.attributes, surface.order, surface.repeat
    textured = albedo is not None and head.uvs is not None
    if not textured and avatar.vertex_rgb is not None:
        linear = srgb_to_linear(avatar.vertex_rgb[repeat].astype(np.float64))
        attributes["COLOR_0"] = glb.floats(np.clip(linear, 0, 1).astype(np.float32), packing.colors, "vertex")
    attributes |= write_influences(glb, head.lbs_weights[repeat], small and packing.targets is None)

    lids = eyelid_directions(avatar)
    tables = [table for table in (head.exprdirs, lids, head.posedirs) if table is not None and table.shape[2]]
    correctives = 0 if head.posedirs is None else head.posedirs.shape[2]
    targets = write_targets(glb, tables, surface, exact, packing)
    primitive = {"attributes": attributes, "indices": surface.indices(glb),
                 "material": glb.add("materials", _material(glb, albedo if textured else None, small))}
    mesh: dict[str, Any] = {"name": "head", "primitives": [primitive]}
    if targets:
        primitive["targets"] = targets
        mesh["extras"] = {"targetNames": target_names(avatar)}

    extension: dict[str, Any] = {
        "edition": head.edition, "contentHash": head.content_hash, "mesh": glb.add("meshes", mesh),
        "vertexCount": len(head.v_template),
        "expressions": len(head.expr_names), "eyelids": 0 if lids is None else 2, "correctives": correctives,
        "eyelidSpace": head.eyelid_space, "jointRoles": dict(head.joint_roles)}
    extension |= surface.about(glb, packing.vertex_order is not None, small)
    result = _skeleton(glb, head, extension, packing)
    if not _four_are_exact(head.lbs_weights):
        extension["lbsWeights"] = glb.floats(head.lbs_weights[order].reshape(-1), packing.weights,
                                             stride=head.lbs_weights.shape[1])
    if head.arkit_map is not None:
        extension["arkitMap"] = glb.floats(head.arkit_map.reshape(-1), packing.arkit, stride=1)
    return result


def _skeleton(glb: GlbWriter, head: HeadModel, extension: dict[str, Any], packing: Packing) -> GlbHead:
    """Add the mesh node, the joints' nodes and the skin; complete `extension`."""
    node = glb.add("nodes", {"name": "head", "mesh": extension["mesh"]})
    skeleton = write_skeleton(glb, head, packing)
    extension |= {"skin": skeleton.skin, "node": node}
    glb.json["nodes"][node]["skin"] = skeleton.skin
    _, motion = head.rest_joints()
    if motion.any() and motion.shape[2]:
        extension["jointExprdirs"] = glb.floats(motion.transpose(0, 2, 1).reshape(-1, 3).astype(np.float32), packing.joints)
    return GlbHead(node, skeleton.joints, skeleton.roots, extension, len(head.expr_names) + extension["eyelids"] +
                   extension["correctives"])


@dataclass(frozen=True)
class Skeleton:
    """Nodes and skin of a skeleton in the document."""

    skin: int
    joints: list[int]
    """One node per joint of the head, in order."""
    roots: list[int]
    """Nodes that the scene lists."""


def write_skeleton(glb: GlbWriter, head: HeadModel, packing: Packing, still: bool = False) -> Skeleton:
    """Add the nodes of the head's joints and a skin of them; with `still`, of one joint more that never moves."""
    rest = head.rest_joints()[0].astype(np.float32)
    joints = []
    for j, parent in enumerate(head.parents):
        step = rest[j] - (rest[parent] if parent >= 0 else np.float32(0))
        joints.append(glb.add("nodes", {"name": head.joint_names[j], "translation": step.tolist()}))
    for j, parent in enumerate(head.parents):
        if parent >= 0:
            glb.json["nodes"][joints[parent]].setdefault("children", []).append(joints[j])
    roots = [joints[j] for j, parent in enumerate(head.parents) if parent < 0]
    held = list(joints)
    if still:
        held.append(glb.add("nodes", {"name": "still"}))
        roots.append(held[-1])
        rest = np.concatenate([rest, np.zeros((1, 3), np.float32)])
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(held), 1, 1))
    # A skinned mesh's own transform is ignored, so this is where its unit is turned back into metres.
    inverse[:, :3, :3] /= np.float32(packing.scale)
    inverse[:, :3, 3] = -rest
    skin = {"name": "skeleton", "joints": held, "inverseBindMatrices": glb.accessor(inverse)}
    if len(roots) > 1:
        # glTF wants all joints of a skin under one node.
        roots = [glb.add("nodes", {"name": "skeleton", "children": roots})]
        skin["skeleton"] = roots[0]
    return Skeleton(glb.add("skins", skin), joints, roots)


def _four_are_exact(weights: np.ndarray) -> bool:
    """Tell whether JOINTS_0 and WEIGHTS_0 give the weights back to float32 rounding."""
    dropped = np.sort(weights, axis=1)[:, :-INFLUENCES]
    return weights.min() >= 0 and dropped.max(initial=0) < 1e-8


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
