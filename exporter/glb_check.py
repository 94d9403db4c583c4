"""What the Khronos validator cannot see in a GLB of ours: its newest version does not know KHR_gaussian_splatting."""

from typing import Any

import numpy as np

from formats import networks
from formats.codecs.glb import BASISU, QUANTIZATION, WEBP, GlbDocument
from formats.codecs.glb_layers import EXTENSION, SPLATS
from formats.codecs.glb_networks import read_networks
from formats.codecs.json_file import Fields
from formats.errors import AvatarError, FormatError, MissingAsset

UNIT_TOLERANCE = 1e-3
"""How far the length of a float quaternion may be from 1."""
PACKED_TOLERANCE = 0.02
"""The same for integer quaternions: four components of 8 bits, each off by up to 1/254."""

_FLOAT, _I8, _U8, _I16, _U16 = 5126, 5120, 5121, 5122, 5123
ATTRIBUTES: dict[str, tuple[str, set[tuple[int, bool]]]] = {
    "ROTATION": ("VEC4", {(_FLOAT, False), (_I8, True), (_I16, True)}),
    "SCALE": ("VEC3", {(_FLOAT, False), (_U8, False), (_U8, True), (_U16, False), (_U16, True)}),
    "OPACITY": ("SCALAR", {(_FLOAT, False), (_U8, True), (_U16, True)}),
    **{f"SH_DEGREE_{degree}_COEF_{i}": ("VEC3", {(_FLOAT, False)}) for degree in range(4) for i in range(2 * degree + 1)},
}
"""Name after the colon to accessor type and allowed (component type, normalised), from the extension's specification."""
REQUIRED = ("ROTATION", "SCALE", "OPACITY", "SH_DEGREE_0_COEF_0")


def problems(document: GlbDocument) -> list[str]:
    """Return what is wrong with a GLB's splats, networks, extension lists and scenes, a sentence each; empty when all is well."""
    found = [*_extension_problems(Fields(document.json, document.where)), *_scene_problems(document),
             *_network_problems(document)]
    for m in range(len(Fields(document.json, document.where).items("meshes", []))):
        mesh = document.item("meshes", m)
        for p, raw in enumerate(mesh.items("primitives")):
            primitive = Fields(raw, f"meshes[{m}].primitives[{p}]")
            if primitive.fields("extensions").has(SPLATS):
                try:
                    found += _splat_problems(document, primitive)
                except AvatarError as error:
                    found.append(str(error))
            elif any(name.startswith(f"{SPLATS}:") for name in primitive.fields("attributes").values):
                found.append(f"{primitive.where}: has attributes of {SPLATS}, but not the extension")
    return found


def _extension_problems(content: Fields) -> list[str]:
    used, listed = _extension_names(content.values), set(content.texts("extensionsUsed", ()))
    found = [f"extension {name} is used, but not in extensionsUsed" for name in sorted(used - listed)]
    # Quantisation has no object of its own: accessors of other types are what uses it. Nor have images that our shading names.
    images = {image.get("mimeType") for image in content.items("images", []) if isinstance(image, dict)}
    formats = {name for name, mime in ((WEBP, "image/webp"), (BASISU, "image/ktx2")) if mime in images}
    found += [f"extension {name} is in extensionsUsed, but nothing uses it"
              for name in sorted(listed - used - formats - {QUANTIZATION})]
    required = set(content.texts("extensionsRequired", ()))
    found += [f"extension {name} is in extensionsRequired, which keeps other viewers out"
              for name in sorted(required & {EXTENSION, SPLATS})]
    return found


def _extension_names(value: Any) -> set[str]:
    names: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "extensions" and isinstance(inner, dict):
                names |= set(inner)
            if key != "extras":
                names |= _extension_names(inner)
    elif isinstance(value, list):
        for inner in value:
            names |= _extension_names(inner)
    return names


def _scene_problems(document: GlbDocument) -> list[str]:
    root = document.extension(EXTENSION)
    if root is None:
        return []
    head = root.fields("head").integer("node")
    layer_meshes = [Fields(layer, root.where).integer("mesh") for layer in root.items("layers")]
    found = []
    node = document.item("nodes", head)
    for name in ("translation", "rotation", "scale", "matrix"):
        if node.has(name):
            found.append(f"nodes[{head}]: the head's node has a {name}, which a skinned mesh ignores")
    homes = 0
    for s in range(len(Fields(document.json, document.where).items("scenes", []))):
        nodes = document.item("scenes", s).items("nodes", [])
        homes += head in nodes
        if head in nodes and any(document.item("nodes", n).values.get("mesh") in layer_meshes for n in nodes):
            found.append(f"scenes[{s}]: shows the head and its layers at once")
    if homes != 1:
        found.append(f"the head's node is at the root of {homes} scenes, expected one")
    return found


def _network_problems(document: GlbDocument) -> list[str]:
    """Return what is wrong with stored graphs: whether they load, and take and give what the extension says."""
    root = document.extension(EXTENSION)
    if root is None or not root.has("networks"):
        return []
    entries, found = root.fields("networks"), []
    try:
        stored = read_networks(document, entries)
    except AvatarError as error:
        return [str(error)]
    for name, network in stored.items():
        try:
            taken, given = networks.input_shapes(network), networks.output_shapes(network)
        except MissingAsset:
            return []
        except AvatarError as error:
            found.append(f"network '{name}': {error}")
            continue
        entry = entries.fields(name)
        for key, shapes in (("inputs", taken), ("outputs", given)):
            said = {value["name"]: tuple(value["shape"]) for value in entry.items(key)}
            if said.keys() != shapes.keys() or not all(_alike(said[value], shapes[value]) for value in said):
                found.append(f"{entry.where}: '{key}': says {said}, the graph has {shapes}")
    return found


def _alike(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> bool:
    """Tell whether two shapes may be the same; a size that one leaves open, another runtime may have worked out."""
    return len(one) == len(other) and all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def _splat_problems(document: GlbDocument, primitive: Fields) -> list[str]:
    where, found = primitive.where, []
    extension = primitive.fields("extensions").fields(SPLATS)
    for key, allowed in (("kernel", ("ellipse",)), ("colorSpace", ("srgb_rec709_display", "lin_rec709_display"))):
        value = extension.values.get(key)
        if value not in allowed:
            found.append(f"{where}: {SPLATS}.{key}: expected {' or '.join(allowed)}, got {value!r}")
    if primitive.integer("mode", 4) != 0:
        found.append(f"{where}: splats must be POINTS (mode 0)")
    attributes = primitive.fields("attributes").values
    ours = {name.partition(":")[2]: index for name, index in attributes.items() if name.startswith(f"{SPLATS}:")}
    found += [f"{where}: attribute {SPLATS}:{name} is misspelt or unknown" for name in ours if name not in ATTRIBUTES]
    found += [f"{where}: attribute {SPLATS}:{name} is missing" for name in REQUIRED if name not in ours]
    for degree in range(1, 4):
        names = [f"SH_DEGREE_{degree}_COEF_{i}" for i in range(2 * degree + 1)]
        have = [name for name in names if name in ours]
        if have and len(have) != len(names):
            found.append(f"{where}: SH degree {degree} has {len(have)} of {len(names)} coefficients")
        if have and degree > 1 and f"SH_DEGREE_{degree - 1}_COEF_0" not in ours:
            found.append(f"{where}: SH degree {degree} without degree {degree - 1}")
    if "POSITION" not in attributes:
        return [*found, f"{where}: POSITION is missing"]
    count = document.item("accessors", attributes["POSITION"]).integer("count", low=1)
    for name, index in ours.items():
        if name in ATTRIBUTES:
            found += _attribute_problems(document, name, index, count, where)
    return found


def _attribute_problems(document: GlbDocument, name: str, index: int, count: int, where: str) -> list[str]:
    accessor, label = document.item("accessors", index), f"{where}: {SPLATS}:{name}"
    kind, allowed = ATTRIBUTES[name]
    stored = (accessor.integer("componentType"), accessor.flag("normalized", False))
    if accessor.text("type") != kind or stored not in allowed:
        return [f"{label}: {accessor.text('type')} of component type {stored[0]} is not allowed"]
    try:
        values = document.accessor(index)
    except FormatError as error:
        return [str(error)]
    if len(values) != count:
        return [f"{label}: {len(values)} values for {count} splats"]
    if name == "ROTATION" and np.abs(np.linalg.norm(values, axis=1) - 1).max() > (
            UNIT_TOLERANCE if stored[0] == _FLOAT else PACKED_TOLERANCE):
        return [f"{label}: quaternions are not unit length"]
    if name == "SCALE" and values.min() < 0:
        return [f"{label}: a scale is negative; log scales?"]
    if name == "OPACITY" and not (values.min() >= 0 and values.max() <= 1):
        return [f"{label}: opacities outside 0..1; logits?"]
    return []
