"""Packed texels back into an avatar: what a player that reads them poses and draws."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64, Int8, Int32

from formats import byte_tables
from formats.avatar import CHANNELS, Avatar, FaceBinding, LinearDynamics, Meta, Network, SkinBinding, SplatLayer
from formats.codecs import texel_numbers as bits
from formats.codecs.packed_texels import PackedTexels
from formats.coefficient_function import FIELDS, CoefficientFunction
from formats.conventions import rgb_to_sh, sigmoid
from formats.errors import FormatError
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel

WEIGHT_LIMIT = 1 << 26
"""Skinning weights of one table once expanded (512 MiB)."""


def read(packed: PackedTexels, networks: Mapping[str, Network] | None = None) -> Avatar:
    """Return the avatar that `packed` holds: head and splat layers, without textures and clip.

    Args:
        packed: Of any variant.
        networks: The networks its dynamics name; dynamics whose network is not given are left out.

    Raises:
        FormatError: A table is missing, or not as long as it should be.
    """
    known = dict(networks or {})
    try:
        # What is out of range becomes infinite, which the nouns refuse by name.
        with np.errstate(over="ignore", invalid="ignore"):
            head = _head(packed)
            layers = tuple(_layer(packed, f"layer{i}.", entry, head, known)
                           for i, entry in enumerate(packed.descriptor["layers"]))
            return Avatar(head, layers, known, meta=Meta(license_notices=tuple(packed.descriptor["licenseNotices"])))
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise FormatError(f"packed texels: the descriptor does not fit its tables: {' '.join(str(error).split())}") from error


def _floats(packed: PackedTexels, name: str, columns: int) -> np.ndarray:
    return bits.from_bits(packed.table(name))[:, :columns]


def _head(packed: PackedTexels) -> HeadModel:
    said = packed.descriptor["head"]
    count, joints = said["vertices"], len(said["jointNames"])
    groups = _deltas(packed, "head.", said["shapes"], count)
    motion = None
    if packed.facts("head.jointDirs"):
        motion = _floats(packed, "head.jointDirs", 3).reshape(-1, joints, 3).transpose(1, 2, 0)
    return HeadModel(
        edition=said["edition"], v_template=_floats(packed, "head.rest", 3)[:count],
        faces=packed.table("head.faces")[:, :3].astype(np.int32),
        exprdirs=np.zeros((count, 3, 0)) if groups["expr"] is None else groups["expr"],
        lbs_weights=_weights(packed, "head.", joints, count), parents=np.array(said["parents"], np.int32),
        J_template=_floats(packed, "head.jointRest", 3), J_exprdirs=motion, posedirs=groups["pose"],
        eyeliddirs=groups["eyelids"], eyelid_space=said["eyelidSpace"], expr_names=tuple(said["exprNames"]),
        joint_names=tuple(said["jointNames"]), joint_roles=said["jointRoles"], content_hash=said["contentHash"])


def _deltas(packed: PackedTexels, prefix: str, shapes: Mapping[str, int], count: int) -> dict[str, np.ndarray | None]:
    """Return displacements [V, 3, S] by group; None where there are none."""
    total = sum(shapes.values())
    if not total:
        return dict.fromkeys(shapes)
    words, per_texel = packed.table(f"{prefix}deltas"), packed.facts(f"{prefix}deltas").get("perTexel", 1)
    if per_texel == 1:
        values = bits.from_bits(words)[:, :3].astype(np.float64)
    elif per_texel == 2:
        low, high = bits.halves(words.reshape(-1, 2))
        values = np.stack([bits.from_half(low[:, 0]), bits.from_half(high[:, 0]), bits.from_half(low[:, 1])], axis=1)
    else:
        values = bits.from_11_11_10(words.reshape(-1))
    table = values.reshape(total, -1, 3)[:, :count]
    if per_texel == 4:
        table = table * _floats(packed, f"{prefix}deltaScales", 3).astype(np.float64)[:, None]
    at, groups = 0, {}
    for name, number in shapes.items():
        groups[name] = np.ascontiguousarray(table[at:at + number].transpose(1, 2, 0)) if number else None
        at += number
    return groups


def _weights(packed: PackedTexels, prefix: str, joints: int, count: int) -> Float64[np.ndarray, "N J"]:
    """Return skinning weights; rows that mean one sum to it."""
    exact = bool(packed.facts(f"{prefix}skinJoints"))
    facts = packed.facts(f"{prefix}skinJoints" if exact else f"{prefix}skin")
    palette, groups = np.array(facts["palette"], int), facts["perItem"]
    fifth = None
    if exact:
        index = packed.table(f"{prefix}skinJoints").reshape(count, -1)
        values = bits.from_bits(packed.table(f"{prefix}skinWeights")).reshape(count, -1).astype(np.float64)
    else:
        words = packed.table(f"{prefix}skin")
        first, second = bits.halves(words[:, :2])
        values = (np.stack([first, second], axis=2).reshape(count, -1) / 65535.0)
        index = bits.bytes_of(words[:, 2]).reshape(count, -1)
        fifth = words[::groups, 3].astype(int)
    if count * joints > WEIGHT_LIMIT or index.size < count:
        raise FormatError(f"packed texels: '{prefix}': {index.size} influences for {count} items and {joints} joints; expected "
                          f"one for each at least, and at most {WEIGHT_LIMIT} weights")
    found = np.zeros((count, joints))
    np.add.at(found, (np.repeat(np.arange(count), index.shape[1]), palette[index.ravel()]), values.ravel())
    if fifth is not None:
        rows = np.flatnonzero(fifth)
        found[rows, palette[fifth[rows] - 1]] += np.maximum(1 - values[rows].sum(axis=1), 0)
    return found


def _layer(packed: PackedTexels, prefix: str, entry: Mapping[str, Any], head: HeadModel,
           networks: Mapping[str, Network]) -> SplatLayer:
    count, said = entry["count"], entry["binding"]
    cloud, index = _cloud(packed, prefix, entry)
    if said["kind"] == "face":
        point = _points(packed, prefix, count)
        barycentric = np.column_stack([point, 1 - point.sum(axis=1)])
        canonical = _floats(packed, f"{prefix}canonical", 3) if packed.facts(f"{prefix}canonical") else None
        binding = FaceBinding(index, barycentric, said["frame"], said["offsetScale"], said["splatScale"], canonical, said["unit"])
    elif said["sharesVertices"]:
        binding = SkinBinding(index, rotation=said["rotation"])
    else:
        groups = _deltas(packed, prefix, said["shapes"], count)
        binding = SkinBinding(None, groups["expr"], groups["pose"], groups["eyelids"],
                              _weights(packed, prefix, len(head.parents), count), said["rotation"])
    return SplatLayer(cloud, binding, _dynamics(packed, prefix, entry.get("dynamics"), count, networks), entry["shFrame"],
                      entry["name"])


def _points(packed: PackedTexels, prefix: str, count: int) -> Float64[np.ndarray, "N 2"]:
    facts, words = packed.facts(f"{prefix}point"), packed.table(f"{prefix}point")
    if facts["kind"] == "f32x4":
        return bits.from_bits(words).reshape(-1, 2)[:count].astype(np.float64)
    low, high = bits.halves(words.reshape(-1)[:count])
    return bits.from_unorm(np.stack([low, high], axis=1), *_box(facts), 16)


def _box(facts: Mapping[str, Any], low: str = "low", high: str = "high") -> tuple[np.ndarray, np.ndarray]:
    return np.array(facts[low], np.float32), np.array(facts[high], np.float32)


def _cloud(packed: PackedTexels, prefix: str, entry: Mapping[str, Any]) -> tuple[GaussianCloud, Int32[np.ndarray, " N"]]:
    a, facts, count = packed.table(f"{prefix}splatA"), packed.facts(f"{prefix}splatA"), entry["count"]
    if entry["splat"] == "float":
        means, index = bits.from_bits(a[:, :3]), a[:, 3]
        quats, c = bits.from_bits(packed.table(f"{prefix}splatB")), bits.from_bits(packed.table(f"{prefix}splatC"))
        rgb = bits.from_bits(packed.table(f"{prefix}splatD"))[:, :3].astype(np.float64)
        scales, opacities = np.exp(c[:, :3].astype(np.float64)), sigmoid(c[:, 3].astype(np.float64))
    else:
        low, high = bits.halves(a)
        means = bits.from_unorm(np.stack([low[:, 0], high[:, 0], low[:, 1]], axis=1), *_box(facts), 16)
        b = packed.table(f"{prefix}splatB")
        if entry["splat"] == "half":
            quats = bits.from_snorm(np.stack([low[:, 2], high[:, 2], low[:, 3], high[:, 3]], axis=1), 16)
            first, second = bits.halves(b)
            scales = np.exp(bits.from_half(np.stack([first[:, 0], second[:, 0], first[:, 1]], axis=1)))
            opacities, color, index = sigmoid(bits.from_half(second[:, 1])), bits.bytes_of(b[:, 2]), b[:, 3]
            rgb = bits.from_unorm(color[:, :3], *_box(packed.facts(f"{prefix}splatB")), 8)
        else:
            quats, color = bits.from_smallest_three(a[:, 2]), bits.bytes_of(a[:, 3])
            flat = b.reshape(-1)[:count]
            s = np.stack([high[:, 1] & 0xFF, high[:, 1] >> 8, flat >> 24], axis=1)
            scales = np.exp(bits.from_unorm(s, *_box(facts, "scaleLow", "scaleHigh"), 8))
            opacities, index = color[:, 3] / 255, flat & 0xFFFFFF
            rgb = bits.from_unorm(color[:, :3], *_box(facts, "colorLow", "colorHigh"), 8)
    sh = rgb_to_sh(rgb)[:, None]
    if entry["shDegree"]:
        rest = _rows(packed, f"{prefix}sh", count).reshape(count, -1, 3)
        sh = np.concatenate([sh, rest], axis=1)
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    return GaussianCloud(means, quats / np.maximum(length, 1e-20), scales, opacities, sh), index.astype(np.int32)


def _rows(packed: PackedTexels, name: str, count: int) -> Float64[np.ndarray, "N M"]:
    facts, words = packed.facts(name), packed.table(name).reshape(count, -1)
    if facts["kind"] == "f32x4":
        return bits.from_bits(words)[:, :facts["numbers"]].astype(np.float64)
    depth = facts["bits"]
    if depth not in (8, 16):
        raise FormatError(f"packed texels: '{name}': numbers of {depth} bits; expected 8 or 16")
    q = np.stack([words >> np.uint32(depth * i) & np.uint32((1 << depth) - 1) for i in range(32 // depth)], axis=2)
    q = q.reshape(count, -1)[:, :facts["numbers"]]
    if not packed.facts(f"{name}Scales"):
        return bits.from_half(q)
    return bits.from_snorm(q, depth) * bits.from_bits(packed.table(f"{name}Scales")).reshape(-1)[:facts["numbers"]]


def _dynamics(packed: PackedTexels, prefix: str, said: Mapping[str, Any] | None, count: int,
              networks: Mapping[str, Network]) -> LinearDynamics | str | None:
    if said is None or said.get("network") is not None and said["network"] not in networks:
        return None
    if said["kind"] == "network":
        return said["network"]
    steps = _rows(packed, f"{prefix}dynamicsSteps", count) if packed.facts(f"{prefix}dynamicsSteps") else None
    rows = (_rows(packed, f"{prefix}dynamics", count) if steps is None else _byte_rows(packed, f"{prefix}dynamics", count))
    rows = rows.reshape(count, said["rank"], -1)
    at, tables = 0, {}
    for i, name in enumerate(said["channels"]):
        table = np.ascontiguousarray(rows[:, :, at:at + CHANNELS[name]])
        tables[name] = table if steps is None else byte_tables.from_bytes(table, steps[:, i])
        at += CHANNELS[name]
    mean = None if said["driverMean"] is None else np.array(said["driverMean"], np.float32)
    function = _function(packed, f"{prefix}function", said["function"], said["rank"]) if said.get("function") else None
    return LinearDynamics(tables, tuple(said["driver"]), mean, said.get("network"), said["space"], function)


def _byte_rows(packed: PackedTexels, name: str, count: int) -> Int8[np.ndarray, "N M"]:
    facts, words = packed.facts(name), packed.table(name).reshape(count, -1)
    if facts["bits"] != 8 or facts["kind"] != "u32x4":
        raise FormatError(f"packed texels: '{name}': {facts['bits']} bits of {facts['kind']}, with steps; expected bytes")
    return np.ascontiguousarray(words).astype("<u4").view(np.int8)[:, :facts["numbers"]]


def _function(packed: PackedTexels, name: str, said: Mapping[str, Any], rank: int) -> CoefficientFunction:
    sizes = {"K": rank, "D": int(said["driving"]), "H": int(said["hidden"])}
    numbers, at, found = _rows(packed, name, 1)[0].astype(np.float32), 0, {}
    for field, axes in FIELDS.items():
        shape = tuple(sizes[axis] for axis in axes)
        end = at + int(np.prod(shape))
        if end > len(numbers) or min(shape) < 0:
            raise FormatError(f"packed texels: '{name}': {len(numbers)} numbers end within '{field}'")
        found[field], at = numbers[at:end].reshape(shape), end
    return CoefficientFunction(**found)
