"""A GLB that flameport wrote, back to an `Avatar`. The layout is specified in `exporter/GLB.md`."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from formats.avatar import Avatar, Meta
from formats.codecs import glb_layers
from formats.codecs.glb import MESHOPT, QUANTIZATION, TABLE_LIMIT, WEBP, GlbDocument, read_document
from formats.codecs.glb_images import Decoder, base_color
from formats.codecs.glb_layers import EXTENSION
from formats.codecs.glb_networks import read_networks
from formats.codecs.glb_skinned import read_places, read_skinned, read_weights
from formats.codecs.json_file import Fields
from formats.conventions import linear_to_srgb, xyzw_to_wxyz
from formats.deform import deform_head, rest_sequence
from formats.errors import FormatError, UnsupportedFeature, naming
from formats.head_model import HeadModel
from formats.rotations import axis_angle_to_matrix, quat_to_axis_angle
from formats.sequence import Sequence
from formats.uv_maps import UVMaps

LOG = logging.getLogger(__name__)
MAJOR = 1
KNOWN = (EXTENSION, glb_layers.SPLATS, "KHR_materials_unlit", MESHOPT, QUANTIZATION, WEBP)
"""Extensions a file may require and we read."""


@dataclass(frozen=True, eq=False)
class _Head:
    """The head and where the document keeps its parts."""

    model: HeadModel
    primitive: Fields
    textured: bool
    joints: list[int]
    """Nodes."""
    node: int
    place: np.ndarray
    """Where each of the head's vertices is stored."""


def read(path: str | os.PathLike[str]) -> Avatar:
    """Return the avatar in a GLB that flameport wrote.

    Raises:
        MissingAsset: There is no such file.
        FormatError: It is damaged, or holds no flameport avatar.
        UnsupportedFeature: A later major version wrote it, or it requires an extension we do not read.
    """
    return from_document(read_document(path))


def from_document(document: GlbDocument, decoder: Decoder | None = None) -> Avatar:
    """Return the avatar in a GLB document; `decoder` is for pictures in KTX2."""
    # Damaged numbers may overflow while they are checked; the checks are what refuses them.
    with naming(document.where), np.errstate(over="ignore", invalid="ignore"):
        return _avatar(document, decoder)


def sniff(head: bytes) -> bool:
    """Tell whether a GLB that starts with `head` says that it holds our extension."""
    return head[:4] == b"glTF" and EXTENSION.encode() in head


def _avatar(document: GlbDocument, decoder: Decoder | None) -> Avatar:
    root = document.extension(EXTENSION)
    if root is None:
        raise FormatError(f"{document.where}: holds no {EXTENSION} extension, so it is not an avatar of ours; "
                          "`flameport inspect` says what it is")
    version = root.text("version")
    if version.partition(".")[0] != str(MAJOR):
        raise UnsupportedFeature(f"{document.where}: {EXTENSION} {version}, this version reads {MAJOR}.x; update "
                                 "flameport, or export the avatar again with this version")
    root.choice("grade", ("plain", "full", "small"))
    document.check_required(KNOWN)
    head = _read_head(document, root.fields("head"))
    rest = deform_head(head.model, rest_sequence(head.model))
    layers = tuple(glb_layers.read_layer(document, Fields(entry, f"{root.where}: layers[{i}]"), head.model, rest, decoder)
                   for i, entry in enumerate(root.items("layers")))
    sequence = _read_clip(document, root.fields("clip"), head) if root.has("clip") else None
    attributes = head.primitive.fields("attributes")
    colors = None
    if attributes.has("COLOR_0"):
        linear = document.table(attributes.integer("COLOR_0"), (None, None), attributes.where)
        linear = linear[:len(head.model.v_template), :3]
        if len(linear) < len(head.place):
            raise FormatError(f"{attributes.where}: 'COLOR_0' has {len(linear)} rows for {len(head.place)} vertices")
        linear = linear[head.place]
        colors = linear_to_srgb(linear.astype(np.float64)).astype(np.float32)
    maps = _read_albedo(document, head.primitive) if head.textured else None
    return Avatar(head=head.model, layers=layers, networks=read_networks(document, root.fields("networks")), maps=maps,
                  vertex_rgb=colors, sequence=sequence, decoder=root.text("decoder") if root.has("decoder") else None,
                  decoder_scale=root.integer("decoderScale", 1, 1, 64), meta=_read_meta(root.fields("meta")))


# --- Head -------------------------------------------------------------------------------------------------------------


def _read_head(document: GlbDocument, entry: Fields) -> _Head:
    mesh = document.item("meshes", entry.integer("mesh"))
    primitive = document.only_primitive(entry.integer("mesh"))
    attributes = primitive.fields("attributes")
    expressions, lids = entry.integer("expressions"), entry.integer("eyelids")
    correctives = entry.integer("correctives")
    targets = len(primitive.items("targets", []))
    if lids not in (0, 2) or correctives not in (0, 36) or expressions + lids + correctives != targets:
        raise FormatError(f"{entry.where}: {expressions} expressions, {lids} eyelids and {correctives} correctives, but "
                          f"{targets} morph targets")
    shape = read_skinned(document, primitive, entry, document.item("skins", entry.integer("skin")), targets)
    names = mesh.fields("extras").texts("targetNames", ())
    if targets and len(names) != targets:
        raise FormatError(f"{mesh.where}: {len(names)} targetNames for {targets} morph targets")

    textured, joints, deltas = attributes.has("TEXCOORD_0"), shape.joints, shape.deltas
    roles = entry.fields("jointRoles")
    regressed = None
    if entry.has("jointExprdirs"):
        flat = document.table(entry.integer("jointExprdirs"), (len(joints) * expressions, 3), entry.where)
        regressed = flat.reshape(len(joints), expressions, 3).transpose(0, 2, 1)
    weights = read_weights(document, entry, attributes, len(shape.vertices), len(joints))
    model = HeadModel(
        edition=entry.text("edition"), content_hash=entry.text("contentHash"), v_template=shape.vertices,
        faces=shape.faces, exprdirs=deltas[:, :, :expressions],
        eyeliddirs=deltas[:, :, expressions:expressions + 2] if lids else None,
        posedirs=deltas[:, :, expressions + lids:] if correctives else None,
        eyelid_space=entry.choice("eyelidSpace", ("rest", "posed")), expr_names=names[:expressions],
        lbs_weights=weights[shape.place], parents=_parents(document, joints),
        J_template=-shape.inverse[:, :3, 3], J_exprdirs=regressed,
        joint_names=tuple(document.item("nodes", j).text("name", f"joint{i}") for i, j in enumerate(joints)),
        joint_roles={role: roles.integer(role) for role in roles.values},
        uvs=document.table(attributes.integer("TEXCOORD_0"), (shape.stored, 2), attributes.where)
        if textured else None,
        uv_faces=shape.corners if textured else None,
        arkit_map=document.table(entry.integer("arkitMap"), (52 * (expressions + 14),), entry.where).reshape(52, -1)
        if entry.has("arkitMap") else None)
    return _Head(model, primitive, textured, joints, entry.integer("node"), shape.place)


def vertex_places(document: GlbDocument) -> Int64[np.ndarray, " V"]:
    """Return where each vertex of the head is stored among the vertices of its mesh."""
    root = document.extension(EXTENSION)
    if root is None:
        raise FormatError(f"{document.where}: holds no {EXTENSION} extension")
    head = root.fields("head")
    return read_places(document, head, head.integer("vertexCount", low=1, high=TABLE_LIMIT))


def _parents(document: GlbDocument, joints: list[int]) -> np.ndarray:
    if len(joints) != len({str(node) for node in joints}):
        raise FormatError(f"{document.where}: the skin names a joint twice")
    children = [document.item("nodes", node).items("children", []) for node in joints]
    position = {node: j for j, node in enumerate(joints)}
    parents = [-1] * len(joints)
    for j, nodes in enumerate(children):
        for child in nodes:
            if type(child) is int and child in position:
                parents[position[child]] = j
    return np.array(parents)


def _read_albedo(document: GlbDocument, primitive: Fields) -> UVMaps | None:
    pixels = base_color(document, primitive)
    return None if pixels is None else UVMaps({"albedo": pixels.astype(np.float32) / 255})


def _read_meta(meta: Fields) -> Meta:
    return Meta(name=meta.text("name", "avatar"), system=meta.text("system", ""), source=meta.text("source", ""),
                paper=meta.text("paper", ""), license_notices=meta.texts("licenseNotices", ()),
                tool=meta.text("tool", ""))


# --- Clip -------------------------------------------------------------------------------------------------------------


def _read_clip(document: GlbDocument, entry: Fields, head: _Head) -> Sequence:
    """Return the motion: rotations of the joints' own, coefficients from the weights, translation of the top joint."""
    animation, frames = document.item("animations", entry.integer("animation")), entry.integer("frames", low=1)
    samplers, found = animation.items("samplers"), {}
    for i, raw in enumerate(animation.items("channels")):
        channel = Fields(raw, f"{animation.where}: channels[{i}]")
        target = channel.fields("target")
        found[target.integer("node"), target.text("path")] = channel.integer("sampler", high=len(samplers) - 1)

    def values(node: int, path: str, width: int) -> np.ndarray | None:
        if (node, path) not in found:
            return None
        sampler = Fields(samplers[found[node, path]], f"{animation.where}: samplers[{found[node, path]}]")
        sampler.choice("interpolation", ("LINEAR",), "LINEAR")
        shape = (frames * width,) if path == "weights" else (frames, width)
        return document.table(sampler.integer("output"), shape, sampler.where).reshape(frames, width)

    model = head.model
    counts = [len(model.expr_names), 0 if model.eyeliddirs is None else 2,
              0 if model.posedirs is None else model.posedirs.shape[2]]
    weights = values(head.node, "weights", sum(counts)) if sum(counts) else None
    if weights is None:
        weights = np.zeros((frames, sum(counts)), np.float32)
    expr = weights[:, :counts[0]]
    rotations = {}
    for j, node in enumerate(head.joints):
        quats = values(node, "rotation", 4)
        if quats is not None:
            lengths = np.linalg.norm(quats, axis=1, keepdims=True)
            if lengths.min() < 1e-6:
                raise FormatError(f"{animation.where}: a rotation of joint '{model.joint_names[j]}' is zero")
            rotations[j] = quat_to_axis_angle(xyzw_to_wxyz(quats / lengths))
    rest, motion = model.rest_joints()
    moved = expr.astype(np.float64) @ motion[0].T
    place = values(head.joints[0], "translation", 3)
    turned = axis_angle_to_matrix(rotations.get(0, np.zeros((frames, 3))))
    translation = np.zeros((frames, 3)) if place is None else (
        place - rest[0] - moved + np.einsum("tab,tb->ta", turned, moved))

    def role(name: str) -> np.ndarray:
        joint = model.joint_roles.get(name)
        return rotations.pop(joint) if joint in rotations else np.zeros((frames, 3))

    driven: dict[str, Any] = {"rotation": role("root"), "neck": role("neck"), "jaw": role("jaw"),
                              "eyes": np.concatenate([role("left_eye"), role("right_eye")], axis=1)}
    joints = {model.joint_names[j]: r for j, r in rotations.items() if r.any()}
    stored = entry.fields("drivers")
    drivers = {}
    for name in stored.values:
        flat = document.table(stored.integer(name), (None,), stored.where)
        if len(flat) % frames:
            raise FormatError(f"{stored.where}: '{name}': {len(flat)} numbers do not divide into {frames} frames")
        drivers[name] = flat.reshape(frames, -1)
        if name in driven and drivers[name].shape == driven[name].shape:
            driven[name] = drivers[name]  # a field whose joints the head lacks; other drivers are made from it
    spans = entry.fields("ranges")
    ranges = {}
    for name in spans.values:
        span = spans.numbers(name)
        if span.shape != (2,):
            raise FormatError(f"{spans.where}: '{name}': expected first frame and one past the last")
        ranges[name] = (int(span[0]), int(span[1]))
    return Sequence(basis=model.edition, fps=entry.number("fps"), expr=expr, expr_names=model.expr_names,
                    eyelids=weights[:, counts[0]:counts[0] + 2] if counts[1] else np.zeros((frames, 2)),
                    translation=translation,
                    joints=joints, drivers=drivers, ranges=ranges, edition=model.content_hash, **driven)
