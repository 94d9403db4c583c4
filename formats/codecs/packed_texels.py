"""An avatar's tables as flat arrays of 16-byte texels, 2048 wide: the same bytes for WebGL2's texelFetch and Unity's buffers.

Three variants: `float` (exact), `half` (two texels a Gaussian) and `quantised` (one and a quarter). The layout, bit by bit, is
`exporter/TEXELS.md`; reading back is `formats.codecs.packed_texels_reader`.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int8, UInt32

from formats import byte_tables
from formats.avatar import CHANNELS, Avatar, FaceBinding, LinearDynamics, SkinBinding, SplatLayer
from formats.codecs import texel_numbers as bits
from formats.codecs.json_file import Fields, check_version, parse_json
from formats.coefficient_function import FIELDS
from formats.conventions import logit, sh_to_rgb
from formats.errors import FormatError, UnsupportedFeature
from formats.head_model import HeadModel

FAMILY, MAJOR = "flameport.texels", 1
VARIANTS = ("float", "half", "quantised")
WIDTH = 2048
"""Texels in a row of the texture; the last row of each table is filled with zeros."""
TEXEL_BYTES = 16
MOST_INFLUENCES = 8
"""Joints of a vertex that 16-bit weights hold, in two texels."""
NO_WEIGHT = 1e-7
"""Smaller weights are none."""
CONVENTIONS = {
    "units": "metres, radians", "axes": "right-handed, +Y up, face towards +Z", "quaternions": "w, x, y, z",
    "color": "display sRGB, 0.5 + 0.28209479177387814 x DC", "scales": "natural logarithm", "opacity": "logit",
    "frames": "formats/deform.py"}


@dataclass(frozen=True, eq=False)
class PackedTexels:
    """Tables and the JSON that says where and what they are."""

    descriptor: dict[str, Any]
    data: bytes
    """All tables after one another, each in whole rows."""

    def table(self, name: str) -> UInt32[np.ndarray, "T 4"]:
        """Return a table's texels without what fills its last row, as 32-bit words.

        Raises:
            FormatError: There is no such table, or it does not lie within the data.
        """
        for entry in self.descriptor["tables"]:
            if entry["name"] == name:
                start, size = entry["offset"], entry["count"] * TEXEL_BYTES
                if start % TEXEL_BYTES or not 0 <= start <= start + size <= len(self.data):
                    raise FormatError(f"packed texels: table '{name}': {size} bytes at {start}, of {len(self.data)} there are")
                return np.frombuffer(self.data, "<u4", entry["count"] * 4, start).reshape(-1, 4).astype(np.uint32)
        raise FormatError(f"packed texels: table '{name}' is missing")

    def facts(self, name: str) -> dict[str, Any]:
        """Return what the descriptor says about a table, empty when it is not there."""
        return next((entry for entry in self.descriptor["tables"] if entry["name"] == name), {})

    def to_bytes(self) -> bytes:
        """Return one file: the descriptor's length in 4 bytes, the descriptor filled with spaces to 16 bytes, the data."""
        text = json.dumps(self.descriptor, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-(len(text) + 4) % TEXEL_BYTES)
        return len(text).to_bytes(4, "little") + text + self.data


def from_bytes(data: bytes, where: str) -> PackedTexels:
    """Return what `PackedTexels.to_bytes` wrote; `where` names it in messages.

    Raises:
        FormatError: It is something else, or damaged.
    """
    length = int.from_bytes(data[:4], "little")
    if not 0 < length <= len(data) - 4:
        raise FormatError(f"{where}: no packed texels, or cut off: says {length} bytes of JSON, has {len(data)}")
    fields = Fields(parse_json(data[4:4 + length], where), where)
    check_version(fields, "format", FAMILY, MAJOR)
    for entry in fields.items("tables"):
        each = Fields(entry, f"{where}: tables")
        each.text("name")
        each.integer("offset", high=2**40)
        each.integer("count")
    return PackedTexels(fields.values, data[4 + length:])


@dataclass(eq=False)
class _Tables:
    """Tables in the making."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, kind: str, words: UInt32[np.ndarray, "T 4"], **facts: Any) -> None:
        """Add a table of texels; `kind` is `f32x4` or `u32x4`."""
        rows = -(-len(words) // WIDTH)
        self.entries.append({"name": name, "kind": kind, "count": len(words), "rows": rows, "offset": self.size, **facts})
        body = words.astype("<u4").tobytes()
        self.chunks.append(body + b"\0" * (rows * WIDTH * TEXEL_BYTES - len(body)))
        self.size += len(self.chunks[-1])

    def floats(self, name: str, values: Float[np.ndarray, "N C"], **facts: Any) -> None:
        """Add rows of up to four numbers, a texel each."""
        self.add(name, "f32x4", bits.rows_to_texels(bits.to_bits(values)), **facts)


def pack(avatar: Avatar, variant: str = "half") -> PackedTexels:
    """Return the tables of `avatar` that a player needs: the head's and those of its splat layers.

    Raises:
        UnsupportedFeature: There is no such variant, or a layer is no splats, or more joints than texels can name move it.
    """
    if variant not in VARIANTS:
        raise UnsupportedFeature(f"packed texels: unknown variant '{variant}'; choose {', '.join(VARIANTS)}")
    tables = _Tables()
    head = _head(tables, avatar.head, variant)
    layers = []
    for i, layer in enumerate(avatar.layers):
        if not isinstance(layer, SplatLayer):
            raise UnsupportedFeature(f"packed texels: layer '{layer.name}' is no splats; leave it out, or export glb")
        layers.append(_layer(tables, f"layer{i}.", layer, variant))
    descriptor = {"format": f"{FAMILY}/{MAJOR}", "variant": variant, "width": WIDTH, "byteOrder": "little",
                  "conventions": CONVENTIONS, "licenseNotices": list(avatar.meta.license_notices), "head": head,
                  "layers": layers, "tables": tables.entries}
    return PackedTexels(descriptor, b"".join(tables.chunks))


# --- Head -------------------------------------------------------------------------------------------------------------


def _head(tables: _Tables, head: HeadModel, variant: str) -> dict[str, Any]:
    tables.floats("head.rest", head.v_template)
    shapes = _deltas(tables, "head.", head.exprdirs, head.posedirs, head.eyeliddirs, variant)
    weights = head.lbs_weights.astype(np.float64)
    _skin(tables, "head.", weights / weights.sum(axis=1, keepdims=True), variant)
    tables.add("head.faces", "u32x4", bits.rows_to_texels(head.faces.astype(np.uint32)))
    rest, motion = head.rest_joints()
    tables.floats("head.jointRest", rest)
    if motion.any():
        tables.floats("head.jointDirs", motion.transpose(2, 0, 1).reshape(-1, 3))
    return {"edition": head.edition, "contentHash": head.content_hash, "vertices": len(head.v_template),
            "faces": len(head.faces), "shapes": shapes, "eyelidSpace": head.eyelid_space, "exprNames": list(head.expr_names),
            "jointNames": list(head.joint_names), "parents": head.parents.tolist(), "jointRoles": dict(head.joint_roles)}


def _deltas(tables: _Tables, prefix: str, expr: np.ndarray | None, pose: np.ndarray | None, lids: np.ndarray | None,
            variant: str) -> dict[str, int]:
    """Add displacements [V, 3, S] of expressions, pose correctives and eyelids; return how many of each there are."""
    groups = {"expr": expr, "pose": pose, "eyelids": lids}
    there = [v for v in groups.values() if v is not None and v.shape[2]]
    if there:
        table = np.concatenate(there, axis=2).transpose(2, 0, 1)
        shapes, count = table.shape[:2]
        if variant == "float":
            tables.floats(f"{prefix}deltas", table.reshape(-1, 3))
        elif variant == "half":
            padded = np.pad(table, ((0, 0), (0, count % 2), (0, 1)))
            h = bits.to_half(padded).reshape(-1, 4)
            words = np.stack([bits.two(h[:, 0], h[:, 1]), bits.two(h[:, 2], h[:, 3])], axis=1)
            tables.add(f"{prefix}deltas", "u32x4", bits.several(words, 2), perTexel=2)
        else:
            scales = np.abs(table).max(axis=1, initial=0).astype(np.float32)
            shares = np.pad(table / np.where(scales > 0, scales, 1).astype(np.float64)[:, None],
                            ((0, 0), (0, -count % 4), (0, 0)))
            tables.add(f"{prefix}deltas", "u32x4", bits.to_11_11_10(shares.reshape(-1, 3)).reshape(-1, 4), perTexel=4)
            tables.floats(f"{prefix}deltaScales", scales)
        assert shapes == sum(v.shape[2] for v in there)
    return {name: 0 if v is None else int(v.shape[2]) for name, v in groups.items()}


def _skin(tables: _Tables, prefix: str, weights: Float[np.ndarray, "N J"], variant: str) -> None:
    """Add joints and weights; what a row lacks to 1 stays with the identity, or is the fifth joint's where one is named."""
    weights = np.where(weights > NO_WEIGHT, weights, 0)
    palette = np.flatnonzero(weights.any(axis=0))
    if len(palette) > 255:
        raise UnsupportedFeature(f"packed texels: {len(palette)} joints move vertices, a byte names 255")
    local = weights[:, palette]
    most = max(int((local > 0).sum(axis=1).max(initial=1)), 1)
    order = np.argsort(-local, axis=1, kind="stable")[:, :most]
    w = np.take_along_axis(local, order, axis=1)
    whole = np.abs(w.sum(axis=1) - 1).max(initial=0) < 1e-5
    facts = {"palette": palette.tolist(), "sumsToOne": bool(whole)}
    if variant == "float":
        groups = -(-most // 4)
        wide = ((0, 0), (0, 4 * groups - most))
        tables.add(f"{prefix}skinJoints", "u32x4", np.pad(order, wide).astype(np.uint32).reshape(-1, 4), perItem=groups, **facts)
        tables.floats(f"{prefix}skinWeights", np.pad(w, wide).reshape(-1, 4), perItem=groups)
        return
    if most > MOST_INFLUENCES:
        raise UnsupportedFeature(f"packed texels: {most} joints move one vertex, {MOST_INFLUENCES} at most; limit them first")
    implied = most == 5 and whole
    groups = 1 if most <= 4 or implied else 2
    wide = ((0, 0), (0, 4 * groups - min(most, 4 * groups)))
    joints, w = np.pad(order[:, :4 * groups], wide), np.pad(w[:, :4 * groups], wide)
    q = np.floor(w * 65535 + 0.5).astype(np.int64)
    rows = np.arange(len(q))
    excess = q.sum(axis=1) - 65535
    # Rows that mean one say so exactly; the first weight is the largest and takes what rounding left over.
    q[rows, 0] -= np.where(np.full(len(q), whole and not implied), excess, np.maximum(excess, 0))
    fifth = order[:, 4] + 1 if implied else np.zeros(len(q), np.int64)
    fifth = np.where(np.take_along_axis(local, order[:, 4:5], axis=1)[:, 0] > 0, fifth, 0) if implied else fifth
    if implied:  # rows of four joints or fewer have nobody to give the rest to
        q[rows, 0] -= np.where(fifth == 0, q.sum(axis=1) - 65535, 0)
    q, joints = q.astype(np.uint32).reshape(-1, 4), joints.astype(np.uint32).reshape(-1, 4)
    words = np.stack([bits.two(q[:, 0], q[:, 1]), bits.two(q[:, 2], q[:, 3]), bits.four(joints),
                      np.repeat(fifth.astype(np.uint32), groups)], axis=1)
    tables.add(f"{prefix}skin", "u32x4", words, perItem=groups, **facts)


# --- Splats -----------------------------------------------------------------------------------------------------------


def _layer(tables: _Tables, prefix: str, layer: SplatLayer, variant: str) -> dict[str, Any]:
    cloud, binding = layer.cloud, layer.binding
    count = len(cloud)
    entry: dict[str, Any] = {"name": layer.name, "kind": "splats", "count": count, "shFrame": layer.sh_frame,
                             "shDegree": cloud.sh_degree}
    index = np.zeros(count, np.uint32)
    if isinstance(binding, FaceBinding):
        index = binding.face_index.astype(np.uint32)
        entry["binding"] = {"kind": "face", "frame": binding.frame, "offsetScale": binding.offset_scale,
                            "splatScale": binding.splat_scale, "unit": float(binding.unit)}
        _points(tables, prefix, binding.barycentric[:, :2], variant)
        if binding.canonical_vertices is not None:
            tables.floats(f"{prefix}canonical", binding.canonical_vertices)
    else:
        entry["binding"] = _skin_layer(tables, prefix, binding, variant)
        index = index if binding.vertex_index is None else binding.vertex_index.astype(np.uint32)
    # The Wasserstein variant adds its quaternions, so their sign counts, which the smallest three forget.
    signed = isinstance(binding, FaceBinding) and binding.frame == "corner"
    stored = "half" if variant == "quantised" and (signed or count and index.max() >= 1 << 24) else variant
    entry["splat"] = stored
    _SPLATS[stored](tables, prefix, layer, index)
    if cloud.sh_degree:
        _rows(tables, f"{prefix}sh", cloud.sh[:, 1:].reshape(count, -1), {"quantised": 8}.get(variant, 0), variant)
    if layer.dynamics is not None:
        entry["dynamics"] = _dynamics(tables, prefix, layer.dynamics, variant)
    return entry


def _points(tables: _Tables, prefix: str, barycentric: Float[np.ndarray, "N 2"], variant: str) -> None:
    if variant == "float":
        tables.add(f"{prefix}point", "f32x4", bits.several(bits.to_bits(barycentric), 2), perTexel=2)
        return
    low, high = bits.box_of(barycentric, (0.0, 1.0))
    q = bits.to_unorm(barycentric, low, high, 16)
    tables.add(f"{prefix}point", "u32x4", bits.several(bits.two(q[:, 0], q[:, 1])[:, None], 4), perTexel=4, **_box(low, high))


def _skin_layer(tables: _Tables, prefix: str, binding: SkinBinding, variant: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": "skin", "rotation": binding.rotation, "sharesVertices": binding.vertex_index is not None}
    if binding.lbs_weights is not None:
        entry["shapes"] = _deltas(tables, prefix, binding.exprdirs, binding.posedirs, binding.eyeliddirs, variant)
        _skin(tables, prefix, binding.lbs_weights.astype(np.float64), variant)
    return entry


def _box(low: np.ndarray, high: np.ndarray) -> dict[str, list[float]]:
    return {"low": [float(x) for x in low], "high": [float(x) for x in high]}


def _parts(layer: SplatLayer) -> tuple[np.ndarray, ...]:
    """Return means, quats, log-scales, logits [N] and base colours, float64."""
    cloud = layer.cloud
    scales = np.log(np.maximum(cloud.scales.astype(np.float64), 1e-30))
    return (cloud.means.astype(np.float64), cloud.quats.astype(np.float64), scales, logit(cloud.opacities),
            sh_to_rgb(cloud.sh[:, 0].astype(np.float64)))


def _float_splats(tables: _Tables, prefix: str, layer: SplatLayer, index: np.ndarray) -> None:
    means, quats, scales, logits, rgb = _parts(layer)
    tables.add(f"{prefix}splatA", "u32x4", np.column_stack([bits.to_bits(means), index]))
    tables.add(f"{prefix}splatB", "f32x4", bits.to_bits(quats))
    tables.add(f"{prefix}splatC", "f32x4", bits.to_bits(np.column_stack([scales, logits])))
    tables.floats(f"{prefix}splatD", rgb)


def _half_splats(tables: _Tables, prefix: str, layer: SplatLayer, index: np.ndarray) -> None:
    means, quats, scales, logits, rgb = _parts(layer)
    low, high = bits.box_of(means)
    p, r = bits.to_unorm(means, low, high, 16), bits.to_snorm(quats, 16)
    tables.add(f"{prefix}splatA", "u32x4", np.stack([
        bits.two(p[:, 0], p[:, 1]), p[:, 2], bits.two(r[:, 0], r[:, 1]), bits.two(r[:, 2], r[:, 3])], axis=1), **_box(low, high))
    h = bits.to_half(np.column_stack([scales, logits]))
    color, bounds = _bytes_of_color(layer, rgb)
    tables.add(f"{prefix}splatB", "u32x4", np.stack([
        bits.two(h[:, 0], h[:, 1]), bits.two(h[:, 2], h[:, 3]), color, index], axis=1), **bounds)


def _quantised_splats(tables: _Tables, prefix: str, layer: SplatLayer, index: np.ndarray) -> None:
    means, quats, scales, _, rgb = _parts(layer)
    low, high = bits.box_of(means)
    p = bits.to_unorm(means, low, high, 16)
    small, large = bits.box_of(scales)
    s = bits.to_unorm(scales, small, large, 8)
    color, bounds = _bytes_of_color(layer, rgb)
    tables.add(f"{prefix}splatA", "u32x4", np.stack([
        bits.two(p[:, 0], p[:, 1]), p[:, 2] | s[:, 0] << np.uint32(16) | s[:, 1] << np.uint32(24),
        bits.to_smallest_three(quats), color], axis=1), **_box(low, high), scaleLow=[float(x) for x in small],
        scaleHigh=[float(x) for x in large], **{f"color{k.capitalize()}": v for k, v in bounds.items()})
    tables.add(f"{prefix}splatB", "u32x4", bits.several((index | s[:, 2] << np.uint32(24))[:, None], 4), perTexel=4)


_SPLATS = {"float": _float_splats, "half": _half_splats, "quantised": _quantised_splats}


def _bytes_of_color(layer: SplatLayer, rgb: np.ndarray) -> tuple[UInt32[np.ndarray, " N"], dict[str, list[float]]]:
    """Return RGBA in four bytes, alpha the opacity, and the colours' box: 0..1, or wider where colours lie outside."""
    low, high = bits.box_of(rgb, (0.0, 1.0))
    q = np.column_stack([bits.to_unorm(rgb, low, high, 8),
                         bits.to_unorm(layer.cloud.opacities, np.zeros(1), np.ones(1), 8)])
    return bits.four(q), _box(low, high)


def _rows(tables: _Tables, name: str, values: Float[np.ndarray, "N M"], depth: int, variant: str) -> None:
    """Add a row of numbers per Gaussian: float32, float16, or snorms of `depth` bits times each column's scale."""
    if variant == "float":
        tables.add(name, "f32x4", bits.rows_to_texels(bits.to_bits(values)), numbers=values.shape[1])
        return
    if variant == "half":
        q, depth = bits.to_half(values), 16
    else:
        scales = np.abs(values).max(axis=0, initial=0).astype(np.float32)
        q = bits.to_snorm(values / np.where(scales > 0, scales, 1).astype(np.float64), depth)
        tables.add(f"{name}Scales", "f32x4", bits.rows_to_texels(bits.to_bits(scales[None])), numbers=values.shape[1])
    _whole_rows(tables, name, q, depth)


def _byte_rows(tables: _Tables, name: str, values: Int8[np.ndarray, "N M"]) -> None:
    """Add a row of signed bytes per Gaussian, as two's complement."""
    _whole_rows(tables, name, values.view(np.uint8), 8)


def _whole_rows(tables: _Tables, name: str, q: np.ndarray, depth: int) -> None:
    """Add a row of unsigned numbers [N, M] of `depth` bits per Gaussian."""
    numbers, per_word = q.shape[1], 32 // depth
    q = np.pad(q, ((0, 0), (0, -numbers % per_word))).reshape(len(q), -1, per_word).astype(np.uint32)
    words = np.zeros(q.shape[:2], np.uint32)
    for i in range(per_word):
        words |= q[:, :, i] << np.uint32(depth * i)
    tables.add(name, "u32x4", bits.rows_to_texels(words), numbers=numbers, bits=depth)


def _dynamics(tables: _Tables, prefix: str, dynamics: LinearDynamics | str, variant: str) -> dict[str, Any]:
    if isinstance(dynamics, str):
        return {"kind": "network", "network": dynamics}
    channels = [name for name in CHANNELS if name in dynamics.tables]
    rows = np.concatenate([dynamics.tables[name] for name in channels], axis=2)
    mean = dynamics.driver_mean
    named: dict[str, Any] = {} if dynamics.network is None else {"network": dynamics.network}
    bytes_ = None
    if dynamics.function is not None:
        bytes_ = [byte_tables.as_bytes(dynamics.tables[name]) for name in channels]
        named["function"] = {"driving": len(dynamics.function.low), "hidden": len(dynamics.function.inner_bias)}
        numbers = np.concatenate([getattr(dynamics.function, name).reshape(-1) for name in FIELDS])
        tables.add(f"{prefix}function", "f32x4", bits.rows_to_texels(bits.to_bits(numbers[None])), numbers=len(numbers))
    if bytes_ is not None and all(bytes_):
        whole = np.concatenate([found[0] for found in bytes_ if found is not None], axis=2)
        _byte_rows(tables, f"{prefix}dynamics", whole.reshape(len(whole), -1))
        scales = np.stack([found[1] for found in bytes_ if found is not None], axis=1)
        tables.add(f"{prefix}dynamicsSteps", "f32x4", bits.rows_to_texels(bits.to_bits(scales)), numbers=len(channels))
    else:
        _rows(tables, f"{prefix}dynamics", rows.reshape(len(rows), -1), 16, variant)
    return {"kind": "linear", "space": dynamics.space, "driver": list(dynamics.driver), "rank": rows.shape[1],
            "driverMean": None if mean is None else [float(x) for x in mean], "channels": channels, **named}
