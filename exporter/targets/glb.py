"""One binary glTF file: a textured, animated head for every viewer, and splats that our players move as trained."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np

from exporter.capabilities import Capabilities, Loss, require
from exporter.glb_clip import write_clip
from exporter.glb_head import write_head
from exporter.glb_losses import farthest, limit_losses, rounding_losses
from exporter.glb_packing import Packing, pack_head
from exporter.glb_splats import write_layer
from exporter.ops.limit_head import choose_expressions, keep_expressions, keep_joints, weighted_joints
from exporter.ops.resample import resample
from exporter.ops.spatial_order import reorder_faces
from formats.avatar import Avatar, SplatLayer
from formats.codecs import glb_avatar
from formats.codecs.glb import MESHOPT, QUANTIZATION, WEBP, read_document
from formats.codecs.glb_layers import EXTENSION, SPLATS
from formats.codecs.glb_meshopt_writer import MeshoptGlbWriter
from formats.codecs.glb_writer import GlbWriter
from formats.codecs.meshopt import rounded
from formats.deform import deform_head, rest_sequence
from formats.errors import UnsupportedFeature
from formats.files import write_bytes

VERSION = "1.0"
CAPABILITIES = Capabilities()
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


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the GLB `out` and return its path.

    Raises:
        UnsupportedFeature: The avatar holds what a GLB cannot carry, or an option names what it does not hold.
    """
    return [write_bytes(out, to_bytes(avatar, options))]


def limited(avatar: Avatar, options: Options) -> Avatar:
    """Return the part of `avatar` that the options ask for: expressions, joints, clip."""
    sequence = avatar.sequence if options.clip else None
    if sequence is not None and options.fps is not None:
        sequence = resample(sequence, options.fps)
    # The clip says which expressions matter, also when it is not stored.
    names = choose_expressions(avatar, options.expressions, options.max_expressions, options.expression_energy,
                               options.keep_arkit)
    avatar = keep_expressions(dataclasses.replace(avatar, sequence=sequence), names)
    return avatar if options.unweighted_joints else keep_joints(avatar, weighted_joints(avatar))


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what the options leave out and what grade `small` rounds, measured by posing the file that would be written."""
    less = limited(avatar, options)
    found = limit_losses(avatar, less)
    if options.grade == "small":
        made = _small(less, options)
        _MADE[avatar] = options, made.data
        found += rounding_losses(less, made.back, made.error)
    return found


def to_bytes(avatar: Avatar, options: Options | None = None) -> bytes:
    """Return the GLB of `avatar`; the layout is specified in `exporter/GLB.md`."""
    options = options or Options()
    require(avatar, CAPABILITIES, "glb")
    told, data = _MADE.pop(avatar, (None, b""))
    if told == options:
        return data
    less = limited(avatar, options)
    return _small(less, options).data if options.grade == "small" else _assemble(GlbWriter(), less, options)


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
        back = glb_avatar.from_document(read_document(data))
        result = _Small(data, back, farthest(avatar, back))
        if result.error <= SMALL_BOUND:
            break
        finer *= max(0.8 * SMALL_BOUND / result.error, 0.3)
    assert result is not None
    return result


def _assemble(glb: GlbWriter, avatar: Avatar, options: Options, packing: Packing | None = None) -> bytes:
    splats = [layer for layer in avatar.layers if isinstance(layer, SplatLayer)]
    if options.shows == "splats" and not splats:
        raise UnsupportedFeature("glb: --shows splats, but the avatar has no splat layer; choose mesh")
    if avatar.meta.license_notices:
        glb.json["asset"]["copyright"] = " ".join(avatar.meta.license_notices)
    # Named first, so that the file says early what it is.
    glb.json["extensionsUsed"] = used = ["KHR_materials_unlit", *([SPLATS] if splats else []), EXTENSION]
    glb.json["scene"] = 0
    head = write_head(glb, avatar, options.grade == "full", packing)
    seen = avatar.head if packing is None else dataclasses.replace(
        avatar.head, v_template=rounded(avatar.head.v_template * np.float32(packing.scale), packing.template)
        * np.float32(1 / packing.scale))
    rest = deform_head(seen, rest_sequence(seen))
    written = [write_layer(glb, layer, avatar, rest, packing) for layer in splats]
    scenes = [{"name": "mesh_scene", "nodes": [head.node, *head.roots]}]
    if written:
        scenes.append({"name": "splat_scene", "nodes": [node for node, _ in written]})
    glb.json["scenes"] = scenes if options.shows == "mesh" else scenes[::-1]

    root = {"version": VERSION, "grade": options.grade, "meta": _meta(avatar), "head": head.extension,
            "layers": [entry for _, entry in written]}
    if avatar.sequence is not None:
        root["clip"] = write_clip(glb, avatar, head)
    glb.json["extensions"] = {EXTENSION: root}
    small = isinstance(glb, MeshoptGlbWriter)
    required = [name for name, needed in ((MESHOPT, small and glb.compresses), (QUANTIZATION, small and glb.quantizes),
                                          (WEBP, any(WEBP in t.get("extensions", {}) for t in glb.json.get("textures", []))))
                if needed]
    if required:
        used += required
        glb.json["extensionsRequired"] = required
    return glb.to_bytes()


def _meta(avatar: Avatar) -> dict[str, object]:
    meta = avatar.meta
    return {"name": meta.name, "system": meta.system, "source": meta.source, "paper": meta.paper,
            "licenseNotices": list(meta.license_notices), "tool": meta.tool}
