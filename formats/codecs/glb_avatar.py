"""A GLB that flameport wrote, back to an `Avatar`. The layout is specified in `exporter/GLB.md`."""

import io
import logging
import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64
from PIL import Image

from formats.avatar import Avatar, Meta
from formats.codecs import glb_layers
from formats.codecs.glb import MESHOPT, QUANTIZATION, TABLE_LIMIT, WEBP, GlbDocument, check_size, read_document
from formats.codecs.glb_layers import EXTENSION
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
PIXEL_LIMIT = 1 << 28
"""Pixels of an albedo image; 16384 x 16384."""


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


def from_document(document: GlbDocument) -> Avatar:
    """Return the avatar in a GLB document."""
    # Damaged numbers may overflow while they are checked; the checks are what refuses them.
    with naming(document.where), np.errstate(over="ignore", invalid="ignore"):
        return _avatar(document)


def sniff(head: bytes) -> bool:
    """Tell whether a GLB that starts with `head` says that it holds our extension."""
    return head[:4] == b"glTF" and EXTENSION.encode() in head


def _avatar(document: GlbDocument) -> Avatar:
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
    layers = tuple(glb_layers.read_layer(document, Fields(entry, f"{root.where}: layers[{i}]"), head.model, rest)
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
    return Avatar(head=head.model, layers=layers, maps=maps, vertex_rgb=colors, sequence=sequence,
                  meta=_read_meta(root.fields("meta")))


# --- Head -------------------------------------------------------------------------------------------------------------


def _read_head(document: GlbDocument, entry: Fields) -> _Head:
    mesh = document.item("meshes", entry.integer("mesh"))
    primitive = document.only_primitive(entry.integer("mesh"))
    attributes = primitive.fields("attributes")
    positions = document.table(attributes.integer("POSITION"), (None, 3), attributes.where)
    count = entry.integer("vertexCount", low=1, high=len(positions))
    sources = np.arange(len(positions))
    place = _places(document, entry, count)
    sources[place] = np.arange(count)
    if entry.has("seamSources"):
        copies = document.table(entry.integer("seamSources"), (len(positions) - count,), entry.where)
        if copies.max() >= count:
            raise FormatError(f"{entry.where}: 'seamSources': names vertex {copies.max()} of {count}")
        sources[count:] = copies
    elif count != len(positions):
        raise FormatError(f"{entry.where}: {len(positions)} vertices for a head of {count}, and no 'seamSources'")
    corners = document.table(primitive.integer("indices"), (None,), primitive.where).astype(np.int64)
    if len(corners) % 3 or corners.max() >= len(positions):
        raise FormatError(f"{primitive.where}: 'indices': expected triangles over {len(positions)} vertices, got "
                          f"{len(corners)} indices up to {corners.max()}")
    corners = corners.reshape(-1, 3)
    textured = attributes.has("TEXCOORD_0")

    expressions, lids = entry.integer("expressions"), entry.integer("eyelids")
    correctives = entry.integer("correctives")
    targets = primitive.items("targets", [])
    if lids not in (0, 2) or correctives not in (0, 36) or expressions + lids + correctives != len(targets):
        raise FormatError(f"{entry.where}: {expressions} expressions, {lids} eyelids and {correctives} correctives, but "
                          f"{len(targets)} morph targets")
    check_size((count, 3, len(targets)), TABLE_LIMIT, f"{primitive.where}: its morph targets")
    skin = document.item("skins", entry.integer("skin"))
    joints = skin.items("joints")
    inverse = document.table(skin.integer("inverseBindMatrices"), (len(joints), 4, 4), skin.where)
    unit = inverse[0, 0, 0]
    if not (0 < unit < np.inf) or np.abs(inverse[:, :3, :3] - unit * np.eye(3)).max() > 1e-6 * unit:
        raise FormatError(f"{skin.where}: 'inverseBindMatrices': expected one positive scale and a translation for all joints")
    deltas = np.zeros((count, 3, len(targets)), np.float32)
    for k, target in enumerate(targets):
        where = f"{primitive.where}: targets[{k}]"
        values = document.table(Fields(target, where).integer("POSITION"), (len(positions), 3), where)
        deltas[:, :, k] = values[place] * unit
    names = mesh.fields("extras").texts("targetNames", ())
    if targets and len(names) != len(targets):
        raise FormatError(f"{mesh.where}: {len(names)} targetNames for {len(targets)} morph targets")

    roles = entry.fields("jointRoles")
    regressed = None
    if entry.has("jointExprdirs"):
        flat = document.table(entry.integer("jointExprdirs"), (len(joints) * expressions, 3), entry.where)
        regressed = flat.reshape(len(joints), expressions, 3).transpose(0, 2, 1)
    model = HeadModel(
        edition=entry.text("edition"), content_hash=entry.text("contentHash"), v_template=positions[place] * unit,
        faces=sources[corners], exprdirs=deltas[:, :, :expressions],
        eyeliddirs=deltas[:, :, expressions:expressions + 2] if lids else None,
        posedirs=deltas[:, :, expressions + lids:] if correctives else None,
        eyelid_space=entry.choice("eyelidSpace", ("rest", "posed")), expr_names=names[:expressions],
        lbs_weights=_weights(document, entry, attributes, count, len(joints))[place], parents=_parents(document, joints),
        J_template=-inverse[:, :3, 3], J_exprdirs=regressed,
        joint_names=tuple(document.item("nodes", j).text("name", f"joint{i}") for i, j in enumerate(joints)),
        joint_roles={role: roles.integer(role) for role in roles.values},
        uvs=document.table(attributes.integer("TEXCOORD_0"), (len(positions), 2), attributes.where)
        if textured else None,
        uv_faces=corners if textured else None,
        arkit_map=document.table(entry.integer("arkitMap"), (52 * (expressions + 14),), entry.where).reshape(52, -1)
        if entry.has("arkitMap") else None)
    return _Head(model, primitive, textured, joints, entry.integer("node"), place)


def vertex_places(document: GlbDocument) -> Int64[np.ndarray, " V"]:
    """Return where each vertex of the head is stored among the vertices of its mesh."""
    root = document.extension(EXTENSION)
    if root is None:
        raise FormatError(f"{document.where}: holds no {EXTENSION} extension")
    head = root.fields("head")
    return _places(document, head, head.integer("vertexCount", low=1, high=TABLE_LIMIT))


def _places(document: GlbDocument, entry: Fields, count: int) -> np.ndarray:
    if not entry.has("vertexOrder"):
        return np.arange(count)
    order = document.table(entry.integer("vertexOrder"), (count,), f"{entry.where}: 'vertexOrder'").astype(np.int64)
    if not np.array_equal(np.sort(order), np.arange(count)):
        raise FormatError(f"{entry.where}: 'vertexOrder': expected each of {count} vertices once")
    return np.argsort(order)


def _weights(document: GlbDocument, entry: Fields, attributes: Fields, count: int, joints: int) -> np.ndarray:
    if entry.has("lbsWeights"):
        return document.table(entry.integer("lbsWeights"), (count * joints,), entry.where).reshape(count, joints)
    where = attributes.where
    which = document.table(attributes.integer("JOINTS_0"), (None, 4), where)[:count].astype(np.int64)
    values = document.table(attributes.integer("WEIGHTS_0"), (None, 4), where)[:count]
    if len(which) != count or len(values) != count or which.max() >= joints:
        raise FormatError(f"{where}: JOINTS_0 and WEIGHTS_0 do not fit {count} vertices and {joints} joints")
    check_size((count, joints), TABLE_LIMIT, f"{where}: its weights")
    weights = np.zeros((count, joints), np.float32)
    np.add.at(weights, (np.arange(count)[:, None], which), values)
    return weights


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
    if not primitive.has("material"):
        return None
    surface = document.item("materials", primitive.integer("material")).fields("pbrMetallicRoughness")
    if not surface.has("baseColorTexture"):
        return None
    texture = document.item("textures", surface.fields("baseColorTexture").integer("index"))
    webp = texture.fields("extensions").fields(WEBP)
    data, where = document.image_bytes((webp if webp.has("source") else texture).integer("source")), texture.where
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
                if image.width * image.height > PIXEL_LIMIT:
                    raise FormatError(f"{where}: an image of {image.width} x {image.height} pixels is too large")
                mode = "RGBA" if image.mode in ("RGBA", "LA", "PA") else "RGB"
                pixels = np.asarray(image.convert(mode), np.float32) / 255
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FormatError(f"{where}: the image cannot be read: {error}") from error
    return UVMaps({"albedo": pixels})


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
