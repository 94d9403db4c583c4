"""Which bytes of a GLB come first: those of the first picture, so that players show one while the rest arrives.

Specified in GLB.md section 0. What a first picture takes is the head with everything that poses it, and of Gaussians their
places, bindings, shapes and base colours. What makes it better, or is for other viewers, comes after.
"""

from collections.abc import Iterator
from typing import Any

from formats.codecs.glb_layers import EXTENSION, SPLATS

HEAD_ATTRIBUTES = ("POSITION", "JOINTS_", "WEIGHTS_")
HEAD_KEYS = ("seamSources", "vertexOrder", "jointExprdirs", "lbsWeights", "arkitMap")
LAYER_ATTRIBUTES = ("POSITION", *(f"{SPLATS}:{name}" for name in ("ROTATION", "SCALE", "OPACITY", "SH_DEGREE_0_COEF_0")))
BINDING_KEYS = ("face", "barycentric", "offset", "canonicalVertices", "localRotation", "vertex", "exprdirs", "posedirs",
                "eyeliddirs", "lbsWeights")
TABLE_KEYS = ("coefficients", "basis")


def first_accessors(content: dict[str, Any]) -> Iterator[int]:
    """Give the accessors of a first picture; `content` is the JSON of a document of ours. One may come more than once."""
    root = content["extensions"][EXTENSION]
    head = root["head"]
    primitive = content["meshes"][head["mesh"]]["primitives"][0]
    yield primitive["indices"]
    yield from (index for name, index in primitive["attributes"].items() if name.startswith(HEAD_ATTRIBUTES))
    yield from (target["POSITION"] for target in primitive.get("targets", []))
    yield content["skins"][head["skin"]]["inverseBindMatrices"]
    yield from _named(head, HEAD_KEYS)
    for entry in root["layers"]:
        primitive = content["meshes"][entry["mesh"]]["primitives"][0]
        extension = primitive.get("extensions", {}).get(SPLATS)
        if extension is None:
            continue
        yield from _named(primitive["attributes"], LAYER_ATTRIBUTES)
        ours = extension["extensions"][EXTENSION]
        yield from _named(ours, ("order",))
        yield from _named(ours["binding"], BINDING_KEYS)
        yield from _named(ours["binding"].get("tables", {}), TABLE_KEYS)


def _named(entry: dict[str, Any], names: tuple[str, ...]) -> Iterator[int]:
    return (entry[name] for name in names if name in entry)
