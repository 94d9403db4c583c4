"""GLBs with mesh layers, strands and networks as the tests look into them: made, golden, and their JSON objects."""

from pathlib import Path
from typing import Any

from exporter.targets import glb
from formats.avatar import Avatar
from formats.codecs.glb import GlbDocument, read_document

GOLDEN = Path(__file__).parents[1] / "golden" / "layers"


def document_of(avatar: Avatar, **options: object) -> GlbDocument:
    return read_document(glb.to_bytes(avatar, glb.Options(**options)))  # type: ignore[arg-type]


def golden(name: str, grade: str = "plain") -> GlbDocument:
    return read_document(GOLDEN / f"{name}.{grade}.glb")


def layer_of(avatar: Avatar, kind: type, index: int = 0) -> Any:
    return [layer for layer in avatar.layers if isinstance(layer, kind)][index]


def primitives(document: GlbDocument, kind: str) -> list[dict]:
    root = document.json["extensions"]["FLAMEPORT_avatar"]
    return [document.json["meshes"][e["mesh"]]["primitives"][0] for e in root["layers"] if e["kind"] == kind]


def root_of(document: GlbDocument) -> dict:
    return document.json["extensions"]["FLAMEPORT_avatar"]


def shading_of(document: GlbDocument) -> dict:
    return primitives(document, "mesh")[1]["extensions"]["FLAMEPORT_avatar"]["shading"]


def strands_of(document: GlbDocument) -> dict:
    return primitives(document, "strands")[0]["extensions"]["KHR_gaussian_splatting"]["extensions"]["FLAMEPORT_avatar"]


def networks_of(document: GlbDocument) -> dict:
    return document.json["extensions"]["FLAMEPORT_avatar"]["networks"]
