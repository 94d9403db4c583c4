"""Mesh layers as skinned glTF meshes that any viewer animates, and the shading that our players do. Specified in GLB.md 1.4."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from exporter import glb_textures
from exporter.glb_head import Skeleton, write_skeleton
from exporter.glb_packing import Packing
from exporter.glb_surface import INFLUENCES, write_influences, write_surface, write_targets
from exporter.glb_targets import own_tables, target_names, target_tables
from exporter.glb_textures import Encoded, Kind
from exporter.ops.byte_maps import feature_bytes
from exporter.ops.spatial_order import hilbert_order, triangle_order
from formats.avatar import Avatar, BasisMix, MeshLayer, SkinBinding
from formats.codecs.glb import WEBP
from formats.codecs.glb_mesh_layers import EXTENSION
from formats.codecs.glb_writer import GlbWriter
from formats.codecs.meshopt import rounded
from formats.errors import UnsupportedFeature
from formats.rotations import normalize

NORMAL_EXPONENT = -10
MISSING = 1e-5
"""Share of a row's weights that stays put, below which it is rounding (`formats.deform.skin`)."""
SAME = 1e-7
"""Weights that are less off than this are the same: float32 rounds sums of four."""


@dataclass
class LayerMeshes:
    """What mesh layers have in common in the document."""

    skeleton: Skeleton | None = None
    nodes: list[int] = field(default_factory=list)
    """The layers', innermost first."""


def layers_skeleton(glb: GlbWriter, avatar: Avatar, packing: Packing) -> Skeleton:
    """Add the skeleton that all mesh layers share: the head's once more, and a still joint where a layer needs one."""
    still = any(_missing(own_tables(layer.binding, avatar.head)).any()
                for layer in avatar.layers if isinstance(layer, MeshLayer) and isinstance(layer.binding, SkinBinding))
    return write_skeleton(glb, avatar.head, packing, still)


def _missing(binding: SkinBinding) -> Float64[np.ndarray, " N"]:
    """Return what each row of weights lacks to 1, rounding left out."""
    assert binding.lbs_weights is not None
    lacks = 1 - binding.lbs_weights.sum(axis=1, dtype=np.float64)
    return np.where(lacks > MISSING, lacks, 0)


def write_mesh_layer(glb: GlbWriter, layer: MeshLayer, avatar: Avatar, skeleton: Skeleton, textures: Kind, exact: bool,
                     packing: Packing | None = None) -> dict[str, Any]:
    """Add a layer's mesh and node and return its entry in `FLAMEPORT_avatar.layers`.

    Args:
        glb: Extended in place.
        layer: What to store.
        avatar: Whose it is.
        skeleton: The layers' own.
        textures: Format of the radiance bases.
        exact: Store every delta.
        packing: Rounding and order of grade `small`.

    Raises:
        UnsupportedFeature: The layer has no triangles.
    """
    if not len(layer.faces):
        raise UnsupportedFeature(f"glb: mesh layer '{layer.name}' has no triangles; leave it out of the avatar")
    small, packing = packing is not None, packing or Packing()
    if small:
        each = None if packing.targets is None else np.full(len(layer.vertices), packing.layer_targets, np.int32)
        packing = dataclasses.replace(packing, vertex_order=hilbert_order(layer.vertices), targets=each)
        assert packing.vertex_order is not None
        listed = triangle_order(layer.faces, packing.vertex_order)
        layer = dataclasses.replace(layer, faces=layer.faces[listed], uv_faces=layer.uv_faces[listed])
    surface = write_surface(glb, layer.vertices, layer.faces, layer.uvs, layer.uv_faces, packing.vertex_order, packing)
    attributes = surface.attributes
    attributes["NORMAL"] = glb.accessor(unit_normals(layer, small)[surface.repeat], "vertex")
    binding = own_tables(layer.binding, avatar.head)
    assert binding.lbs_weights is not None
    held = binding.lbs_weights
    if len(glb.json["skins"][skeleton.skin]["joints"]) > len(skeleton.joints):
        held = np.concatenate([held, _missing(binding).astype(np.float32)[:, None]], axis=1)
    attributes |= write_influences(glb, held[surface.repeat], small and packing.targets is None)
    targets = write_targets(glb, target_tables(binding, avatar), surface, exact, packing)
    primitive: dict[str, Any] = {"attributes": attributes, "indices": surface.indices(glb),
                                 "material": glb.add("materials", _material(glb, layer, avatar, small))}
    mesh: dict[str, Any] = {"name": layer.name, "primitives": [primitive]}
    if targets:
        primitive["targets"] = targets
        mesh["extras"] = {"targetNames": target_names(avatar)}
    ours: dict[str, Any] = {"vertexCount": len(layer.vertices), "opaque": layer.opaque}
    ours |= surface.about(glb, small, small)
    if not _four_say_it(held, binding.lbs_weights):
        ours["lbsWeights"] = glb.floats(binding.lbs_weights[surface.order].reshape(-1), packing.weights,
                                        stride=binding.lbs_weights.shape[1])
    if layer.shading is not None:
        ours["shading"] = _shading(glb, layer.shading, layer, textures, small)
    primitive["extensions"] = {EXTENSION: ours}
    index = glb.add("meshes", mesh)
    node = glb.add("nodes", {"name": layer.name, "mesh": index, "skin": skeleton.skin})
    return {"kind": "mesh", "name": layer.name, "mesh": index, "node": node}


def unit_normals(layer: MeshLayer, small: bool) -> Float32[np.ndarray, "V 3"]:
    """Return the layer's normals of unit length, +z where they are zero, as glTF wants them."""
    normals = layer.normals.astype(np.float64)
    if small:
        normals = rounded(normalize(normals).astype(np.float32), NORMAL_EXPONENT).astype(np.float64)
    return np.where(np.linalg.norm(normals, axis=1, keepdims=True) > 0, normalize(normals), [0.0, 0, 1]).astype(np.float32)


def _four_say_it(held: np.ndarray, weights: np.ndarray) -> bool:
    """Tell whether the four strongest of `held`, made to sum to 1, give `weights` back."""
    if weights.min(initial=0) < 0 or np.sort(held, axis=1)[:, :-INFLUENCES].max(initial=0) >= 1e-8:
        return False
    return bool(np.abs(held.sum(axis=1, dtype=np.float64) - 1).max(initial=0) <= SAME)


def _material(glb: GlbWriter, layer: MeshLayer, avatar: Avatar, small: bool) -> dict[str, Any]:
    data, mime = glb_textures.fallback_image(layer, avatar, "webp" if small else "png")
    image = glb.image(data, mime, layer.name)
    texture: dict[str, Any] = {
        "sampler": glb.add("samplers", {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071})}
    if small:
        texture["extensions"] = {WEBP: {"source": image}}
    else:
        texture["source"] = image
    surface = {"baseColorTexture": {"index": glb.add("textures", texture)}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    return {"name": layer.name, "alphaMode": "OPAQUE" if layer.opaque else "BLEND", "pbrMetallicRoughness": surface,
            "extensions": {"KHR_materials_unlit": {}}}


def _shading(glb: GlbWriter, mix: BasisMix, layer: MeshLayer, textures: Kind, small: bool) -> dict[str, Any]:
    lossless: Kind = "webp" if small else "png"

    def image(encoded: Encoded, name: str) -> int:
        return glb.image(*encoded, f"{layer.name} {name}")

    features, channels = glb_textures.feature_images(mix, lossless)
    _, span = feature_bytes(mix)
    entry: dict[str, Any] = {
        "kind": "basis-mix", "network": mix.weights_from,
        "bases": [image(each, f"base {k}") for k, each in enumerate(glb_textures.base_images(mix, textures))],
        "features": [image(each, f"features {i}") for i, each in enumerate(features)], "featureChannels": channels,
        "featureCount": mix.position_features.shape[2], "hidden": mix.hidden, "temperature": float(mix.temperature),
        "space": mix.space}
    if span is not None:
        entry["featureRange"] = {"min": [float(x) for x in span[0]], "max": [float(x) for x in span[1]]}
    if not layer.opaque:
        entry["alpha"] = image(glb_textures.alpha_image(mix, lossless), "alpha")
    return entry
