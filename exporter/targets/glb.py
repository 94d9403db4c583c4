"""One binary glTF file: a textured, animated head for every viewer, and splats that our players move as trained."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from exporter.capabilities import Capabilities, require
from exporter.glb_clip import write_clip
from exporter.glb_head import write_head
from exporter.glb_splats import write_layer
from exporter.ops.resample import resample
from formats.avatar import Avatar, SplatLayer
from formats.codecs.glb_layers import EXTENSION, SPLATS
from formats.codecs.glb_writer import GlbWriter
from formats.deform import deform_head, rest_sequence
from formats.errors import UnsupportedFeature
from formats.files import write_bytes

VERSION = "1.0"
CAPABILITIES = Capabilities()


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


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the GLB `out` and return its path.

    Raises:
        UnsupportedFeature: The grade is not there yet, or the avatar holds what a GLB cannot carry.
    """
    return [write_bytes(out, to_bytes(avatar, options))]


def to_bytes(avatar: Avatar, options: Options | None = None) -> bytes:
    """Return the GLB of `avatar`; the layout is specified in `exporter/GLB.md`."""
    options = options or Options()
    if options.grade == "small":
        raise UnsupportedFeature("glb: grade 'small' is not available yet; choose plain or full")
    require(avatar, CAPABILITIES, "glb")
    splats = [layer for layer in avatar.layers if isinstance(layer, SplatLayer)]
    if options.shows == "splats" and not splats:
        raise UnsupportedFeature("glb: --shows splats, but the avatar has no splat layer; choose mesh")
    sequence = avatar.sequence if options.clip else None
    if sequence is not None and options.fps is not None:
        sequence = resample(sequence, options.fps)
    avatar = dataclasses.replace(avatar, sequence=sequence)

    glb = GlbWriter()
    if avatar.meta.license_notices:
        glb.json["asset"]["copyright"] = " ".join(avatar.meta.license_notices)
    glb.json["extensionsUsed"] = ["KHR_materials_unlit", *([SPLATS] if splats else []), EXTENSION]
    glb.json["scene"] = 0
    head = write_head(glb, avatar, exact=options.grade == "full")
    rest = deform_head(avatar.head, rest_sequence(avatar.head))
    written = [write_layer(glb, layer, avatar, rest) for layer in splats]
    scenes = [{"name": "mesh_scene", "nodes": [head.node, *head.roots]}]
    if written:
        scenes.append({"name": "splat_scene", "nodes": [node for node, _ in written]})
    glb.json["scenes"] = scenes if options.shows == "mesh" else scenes[::-1]

    root = {"version": VERSION, "grade": options.grade, "meta": _meta(avatar), "head": head.extension,
            "layers": [entry for _, entry in written]}
    if sequence is not None:
        root["clip"] = write_clip(glb, avatar, head)
    glb.json["extensions"] = {EXTENSION: root}
    return glb.to_bytes()


def _meta(avatar: Avatar) -> dict[str, object]:
    meta = avatar.meta
    return {"name": meta.name, "system": meta.system, "source": meta.source, "paper": meta.paper,
            "licenseNotices": list(meta.license_notices), "tool": meta.tool}
