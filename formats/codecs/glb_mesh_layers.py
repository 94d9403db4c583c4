"""The mesh layers of a GLB that flameport wrote. The layout is specified in `exporter/GLB.md` section 1.4."""

from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from formats.avatar import BasisMix, MeshLayer, SkinBinding
from formats.codecs.glb import GlbDocument
from formats.codecs.glb_images import LAYER_LIMIT, Decoder, base_color, picture, size_of
from formats.codecs.glb_skinned import read_skinned, read_weights
from formats.codecs.json_file import Fields
from formats.errors import FormatError
from formats.head_model import HeadModel

EXTENSION = "FLAMEPORT_avatar"
WIDEST = 4096
"""Bases, features or hidden numbers of a shading."""


def read_mesh_layer(document: GlbDocument, entry: Fields, head: HeadModel, decoder: Decoder | None = None) -> MeshLayer:
    """Return a mesh layer, its binding with tables of its own.

    Args:
        document: Where its mesh is.
        entry: Its entry in the root extension.
        head: What it rides.
        decoder: For pictures in KTX2.

    Raises:
        FormatError: Something of it is missing, or does not fit the rest or the head.
    """
    primitive = document.only_primitive(entry.integer("mesh"))
    ours = primitive.fields("extensions").fields(EXTENSION)
    attributes = primitive.fields("attributes")
    node = document.item("nodes", entry.integer("node"))
    if node.integer("mesh") != entry.integer("mesh"):
        raise FormatError(f"{entry.where}: 'node': shows mesh {node.integer('mesh')}, not {entry.integer('mesh')}")
    lids = 0 if head.eyeliddirs is None else 2
    correctives = 0 if head.posedirs is None else head.posedirs.shape[2]
    expressions, joints = len(head.expr_names), len(head.parents)
    shape = read_skinned(document, primitive, ours, document.item("skins", node.integer("skin")),
                         expressions + lids + correctives)
    still = len(shape.joints) - joints
    if still not in (0, 1):
        raise FormatError(f"{node.where}: its skin has {len(shape.joints)} joints, the head {joints}; expected as many, or one "
                          "more that never moves")
    weights = read_weights(document, ours, attributes, len(shape.vertices), joints, still)[shape.place]
    exprdirs, eyeliddirs, posedirs = (
        table if table.any() else None for table in np.split(shape.deltas, [expressions, expressions + lids], axis=2))
    binding = SkinBinding(exprdirs=exprdirs, posedirs=posedirs, eyeliddirs=eyeliddirs, lbs_weights=weights)
    normals = document.table(attributes.integer("NORMAL"), (shape.stored, 3), attributes.where)[shape.place]
    uvs = document.table(attributes.integer("TEXCOORD_0"), (shape.stored, 2), attributes.where)
    opaque, parts = ours.flag("opaque"), {}
    if ours.has("shading"):
        parts["shading"] = _read_shading(document, ours.fields("shading"), opaque, decoder)
    else:
        pixels = base_color(document, primitive)
        if pixels is None:
            raise FormatError(f"{primitive.where}: has neither a shading nor a base colour texture")
        parts["texture"] = np.concatenate([pixels, np.full((*pixels.shape[:2], 4 - pixels.shape[2]), 255, np.uint8)],
                                          axis=2).astype(np.float32) / 255
    return MeshLayer(vertices=shape.vertices, normals=normals.astype(np.float32), faces=shape.faces, uvs=uvs.astype(np.float32),
                     uv_faces=shape.corners, binding=binding, opaque=opaque, name=entry.text("name", "mesh"), **parts)


def _read_shading(document: GlbDocument, entry: Fields, opaque: bool, decoder: Decoder | None) -> BasisMix:
    entry.choice("kind", ("basis-mix",))
    bases, images = entry.items("bases"), entry.items("features")
    channels, depth = entry.integer("featureChannels", low=1, high=3), entry.integer("featureCount", high=WIDEST)
    if not 0 < len(bases) <= WIDEST or channels == 2 or len(images) != -(-depth // channels):
        raise FormatError(f"{entry.where}: {len(bases)} bases, and {len(images)} images for {depth} features, "
                          f"{channels} in each")
    height, width = size_of(document, bases[0], entry.where)
    each = 4 if entry.has("featureRange") else 1  # features within a range of their own are floats
    if height * width * (3 * len(bases) + each * depth + 1) > LAYER_LIMIT:
        raise FormatError(f"{entry.where}: its images would have more than {LAYER_LIMIT} bytes; at most that many are read")

    def image(index: Any, mode: str) -> UInt8[np.ndarray, "H W C"]:
        pixels = picture(document, index, "RGB" if mode == "RGB" else "L", entry.where, decoder)
        if pixels.shape[:2] != (height, width):
            raise FormatError(f"{entry.where}: images[{index}] is {pixels.shape[1]} x {pixels.shape[0]}, images[{bases[0]}] "
                              f"{width} x {height}; all of a layer have one size")
        return pixels

    colors = np.empty((len(bases), height, width, 3), np.uint8)
    for k, index in enumerate(bases):
        colors[k] = image(index, "RGB")
    features = np.empty((height, width, depth), np.uint8)
    for i, index in enumerate(images):
        held = features[..., i * channels:(i + 1) * channels]
        held[...] = image(index, "RGB" if channels == 3 else "L")[..., :held.shape[2]]
    if not opaque and not entry.has("alpha"):
        raise FormatError(f"{entry.where}: 'alpha' is missing; only opaque layers need none")
    alpha = image(entry.integer("alpha"), "L")[..., 0] if entry.has("alpha") else np.full((height, width), 255, np.uint8)
    return BasisMix(colors, alpha, _in_range(entry, features) if entry.has("featureRange") else features,
                    entry.text("network"), entry.integer("hidden", low=1, high=WIDEST), entry.number("temperature"),
                    entry.choice("space", ("view", "world")))


def _in_range(entry: Fields, features: UInt8[np.ndarray, "H W D"]) -> Float32[np.ndarray, "H W D"]:
    span = entry.fields("featureRange")
    low, high = span.numbers("min"), span.numbers("max")
    if low.shape != (features.shape[2],) or high.shape != low.shape:
        raise FormatError(f"{span.where}: expected {features.shape[2]} numbers each in 'min' and 'max'")
    return from_bytes(features, low.astype(np.float32), high.astype(np.float32))


def from_bytes(features: UInt8[np.ndarray, "H W D"], low: Float32[np.ndarray, " D"],
               high: Float32[np.ndarray, " D"]) -> Float32[np.ndarray, "H W D"]:
    """Return features low + (high - low) byte / 255 of each channel."""
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
    if not np.isfinite(width).all():
        raise FormatError("features: their range is not finite")
    # In place: a layer's features may be hundreds of megabytes.
    values = features.astype(np.float32)
    values /= np.float32(255)
    values *= width
    values += low
    return values
