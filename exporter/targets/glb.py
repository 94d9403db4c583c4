"""One binary glTF file: a textured, animated head for every viewer, and splats that our players move as trained."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np

from exporter import ktx2
from exporter.capabilities import Capabilities, Loss, require
from exporter.glb_clip import write_clip
from exporter.glb_head import GlbHead, write_head
from exporter.glb_losses import fallback_losses, farthest, limit_losses, map_losses, picture_losses, rounding_losses
from exporter.glb_mesh_layers import LayerMeshes, layers_skeleton, write_mesh_layer
from exporter.glb_networks import network_losses, stored_networks, write_networks
from exporter.glb_order import first_accessors
from exporter.glb_packing import Packing, pack_head
from exporter.glb_splats import write_layer
from exporter.glb_strands import write_strands
from exporter.ops.byte_maps import byte_maps
from exporter.ops.limit_head import choose_expressions, keep_expressions, keep_joints, weighted_joints
from exporter.ops.resample import resample
from exporter.ops.spatial_order import reorder_faces
from formats.avatar import Avatar, MeshLayer, StrandLayer
from formats.codecs import glb_avatar
from formats.codecs.glb import BASISU, MESHOPT, QUANTIZATION, WEBP, read_document
from formats.codecs.glb_layers import EXTENSION, SPLATS
from formats.codecs.glb_meshopt_writer import MeshoptGlbWriter
from formats.codecs.glb_writer import GlbWriter
from formats.codecs.meshopt import rounded
from formats.deform import deform_head, rest_sequence
from formats.errors import UnsupportedFeature
from formats.files import write_bytes

VERSION, LAYERED = "1.0", "1.1"
"""Of the extension; the second where there are layers or networks that readers of the first do not know."""
CAPABILITIES = Capabilities(layers=frozenset({"splats", "mesh", "strands"}),
                            dynamics=frozenset({"linear", "linear-network", "network"}), decoder=True)
SMALL_BOUND = 4.5e-5
"""Metres: a tenth below what grade `small` promises for posed vertices and means."""
TRIES = 4
_MADE: "WeakKeyDictionary[Avatar, tuple[Options, bytes]]" = WeakKeyDictionary()
"""Small files whose losses were just told: `write` usually comes next, and making one takes seconds."""


@dataclass(frozen=True)
class Options:
    """How the file is stored and what it opens with."""

    grade: Literal["plain", "full", "small"] = "plain"
    """How the avatar is stored: `plain` opens everywhere, `full` keeps every delta, `small` is for shipping."""
    shows: Literal["mesh", "splats"] = "mesh"
    """Which scene viewers open first: the textured head, or the splats."""
    fps: float | None = None
    """Keys per second of the animation; the clip's own rate when absent."""
    clip: bool = True
    """Store the clip; --no-clip leaves it out."""
    head_motion: Literal["head", "camera"] = "head"
    """Where relative motion goes when the clip moves the camera instead of the head; a GLB has no cameras."""
    expressions: tuple[str, ...] = ()
    """Keep only the expressions of these names. All of them when absent."""
    max_expressions: int | None = None
    """Keep at most so many expressions, those of the highest energy: what they move, times what the clip makes of them."""
    expression_energy: float | None = None
    """Keep as many expressions, the strongest first, as hold this share (0 to 1) of their energy."""
    keep_arkit: bool = False
    """Keep every expression that has a name of ARKit's, whatever the three options above say."""
    unweighted_joints: bool = True
    """Keep joints that move nothing; --no-unweighted-joints leaves them out."""
    layer_textures: Literal["png", "webp", "ktx2"] | None = None
    """Format of mesh layers' radiance bases: PNG without loss, WebP, or KTX2 (UASTC) for graphics cards, which needs Node. PNG,
    or WebP in grade `small`, when absent."""
    float16_networks: bool = False
    """Store networks' weights as float16; the export tells by how much that changes what they give."""

    @property
    def textures(self) -> Literal["png", "webp", "ktx2"]:
        """Return the format of radiance bases."""
        return self.layer_textures or ("webp" if self.grade == "small" else "png")


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the GLB `out` and return its path.

    Raises:
        UnsupportedFeature: The avatar holds what a GLB cannot carry, or an option names what it does not hold.
    """
    return [write_bytes(out, to_bytes(avatar, options))]


def limited(avatar: Avatar, options: Options) -> Avatar:
    """Return the part of `avatar` that the options ask for: expressions, joints, clip; maps of mesh layers as bytes."""
    sequence = avatar.sequence if options.clip else None
    if sequence is not None and options.fps is not None:
        sequence = resample(sequence, options.fps)
    # The clip says which expressions matter, also when it is not stored.
    names = choose_expressions(avatar, options.expressions, options.max_expressions, options.expression_energy,
                               options.keep_arkit)
    avatar = byte_maps(keep_expressions(dataclasses.replace(avatar, sequence=sequence), names))
    return avatar if options.unweighted_joints else keep_joints(avatar, weighted_joints(avatar))


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what the options leave out and what grade `small` rounds, measured by posing the file that would be written."""
    less = limited(avatar, options)
    found = limit_losses(avatar, less) + map_losses(avatar, less)
    found += fallback_losses(less, "webp" if options.grade == "small" else "png")
    found += network_losses(stored_networks(less, options.float16_networks))
    if options.grade == "small":
        made = _small(less, options)
        _MADE[avatar] = options, made.data
        found += rounding_losses(less, made.back, made.error)
    elif (options.float16_networks and less.networks) or (options.textures != "png" and _shaded(less)):
        back = glb_avatar.from_document(read_document(_assemble(GlbWriter(zeros_first=True), less, options)), ktx2.decode)
        found += picture_losses(less, back, "textures and networks are rounded")
    return found


def _shaded(avatar: Avatar) -> bool:
    """Tell whether a mesh layer has radiance bases, which `Options.layer_textures` is about."""
    return any(isinstance(layer, MeshLayer) and layer.shading is not None for layer in avatar.layers)


def to_bytes(avatar: Avatar, options: Options | None = None) -> bytes:
    """Return the GLB of `avatar`; the layout is specified in `exporter/GLB.md`."""
    options = options or Options()
    require(avatar, CAPABILITIES, "glb")
    told, data = _MADE.pop(avatar, (None, b""))
    if told == options:
        return data
    less = limited(avatar, options)
    return _small(less, options).data if options.grade == "small" else _assemble(GlbWriter(zeros_first=True), less, options)


@dataclass(frozen=True, eq=False)
class _Small:
    data: bytes
    back: Avatar
    """What a reader makes of `data`."""
    error: float
    """Metres that posed points are off."""


def _small(avatar: Avatar, options: Options) -> _Small:
    """Return the small file, stored as finely as its bound asks: read back, posed, and made finer until it holds."""
    result, finer = None, 1.0
    for _ in range(TRIES):
        packing = pack_head(avatar, finer)
        assert packing.vertex_order is not None
        data = _assemble(MeshoptGlbWriter(), reorder_faces(avatar, packing.vertex_order), options, packing)
        back = glb_avatar.from_document(read_document(data), ktx2.decode)
        result = _Small(data, back, farthest(avatar, back))
        if result.error <= SMALL_BOUND:
            break
        finer *= max(0.8 * SMALL_BOUND / result.error, 0.3)
    assert result is not None
    return result


def _assemble(glb: GlbWriter, avatar: Avatar, options: Options, packing: Packing | None = None) -> bytes:
    clouds = [layer for layer in avatar.layers if not isinstance(layer, MeshLayer)]
    if options.shows == "splats" and not clouds:
        raise UnsupportedFeature("glb: --shows splats, but the avatar has no splat layer; choose mesh")
    if avatar.meta.license_notices:
        glb.json["asset"]["copyright"] = " ".join(avatar.meta.license_notices)
    # Named first, so that the file says early what it is.
    glb.json["extensionsUsed"] = used = ["KHR_materials_unlit", *([SPLATS] if clouds else []), EXTENSION]
    glb.json["scene"] = 0
    exact = options.grade == "full"
    head = write_head(glb, avatar, exact, packing)
    seen = avatar.head if packing is None else dataclasses.replace(
        avatar.head, v_template=rounded(avatar.head.v_template * np.float32(packing.scale), packing.template)
        * np.float32(1 / packing.scale))
    rest = deform_head(seen, rest_sequence(seen))
    meshes, entries, points = LayerMeshes(), [], []
    if len(clouds) < len(avatar.layers):
        meshes.skeleton = layers_skeleton(glb, avatar, packing or Packing())
    for layer in avatar.layers:
        if isinstance(layer, MeshLayer):
            assert meshes.skeleton is not None
            entries.append(write_mesh_layer(glb, layer, avatar, meshes.skeleton, options.textures, exact, packing))
            meshes.nodes.append(entries[-1]["node"])
        else:
            node, entry = (write_strands(glb, layer, avatar, rest, packing) if isinstance(layer, StrandLayer)
                           else write_layer(glb, layer, avatar, rest, packing))
            points.append(node)
            entries.append(entry)
    glb.json["scenes"] = _scenes(head, meshes, points, options)

    layered = bool(avatar.networks) or any(entry["kind"] != "splats" for entry in entries)
    root: dict[str, object] = {"version": LAYERED if layered else VERSION, "grade": options.grade, "meta": _meta(avatar),
                               "head": head.extension, "layers": entries}
    stored = stored_networks(avatar, options.float16_networks)
    if stored:
        root["networks"] = write_networks(glb, stored)
    if avatar.decoder is not None:
        root |= {"decoder": avatar.decoder, "decoderScale": avatar.decoder_scale}
    if avatar.sequence is not None:
        root["clip"] = write_clip(glb, avatar, head, meshes)
    glb.json["extensions"] = {EXTENSION: root}
    # Images that only our shading names need no reader of theirs, but validators want the formats named.
    mimes = {image["mimeType"] for image in glb.json.get("images", [])}
    used += [name for name, mime in ((WEBP, "image/webp"), (BASISU, "image/ktx2")) if mime in mimes]
    small = isinstance(glb, MeshoptGlbWriter)
    required = [name for name, needed in ((MESHOPT, small and glb.compresses), (QUANTIZATION, small and glb.quantizes),
                                          (WEBP, any(WEBP in t.get("extensions", {}) for t in glb.json.get("textures", []))))
                if needed]
    if required:
        used += [name for name in required if name not in used]
        glb.json["extensionsRequired"] = required
    glb.put_first(first_accessors(glb.json))
    return glb.to_bytes()


def _scenes(head: GlbHead, meshes: LayerMeshes, points: list[int], options: Options) -> list[dict[str, object]]:
    """Return the scenes, the one that opens first: mesh layers or else the head, splats, and the head apart from layers."""
    bare: dict[str, object] = {"name": "mesh_scene", "nodes": [head.node, *head.roots]}
    scenes, last = [bare], []
    if meshes.skeleton is not None:
        scenes = [{"name": "mesh_scene", "nodes": [*meshes.nodes, *meshes.skeleton.roots]}]
        last = [bare | {"name": "head_scene"}]
    if points:
        scenes.append({"name": "splat_scene", "nodes": points})
    return (scenes if options.shows == "mesh" else scenes[::-1]) + last


def _meta(avatar: Avatar) -> dict[str, object]:
    meta = avatar.meta
    return {"name": meta.name, "system": meta.system, "source": meta.source, "paper": meta.paper,
            "licenseNotices": list(meta.license_notices), "tool": meta.tool}
