"""The layers of a GLB that flameport wrote, splats here. The layout is specified in `exporter/GLB.md` sections 1.2 and 1.3."""

import dataclasses
from typing import Any

import numpy as np

from formats import byte_tables
from formats.avatar import FaceBinding, Layer, LinearDynamics, SkinBinding, SplatLayer, StrandLayer
from formats.codecs.glb import TABLE_LIMIT, GlbDocument, check_size
from formats.codecs.glb_images import Decoder
from formats.codecs.glb_mesh_layers import EXTENSION, read_mesh_layer
from formats.codecs.json_file import Fields
from formats.coefficient_function import CoefficientFunction
from formats.conventions import sh_to_rgb, xyzw_to_wxyz
from formats.deform import PosedHead, bind_to_faces
from formats.errors import FormatError
from formats.gaussians import GaussianCloud
from formats.head_model import HeadModel
from formats.rotations import normalize, quat_multiply

SPLATS = "KHR_gaussian_splatting"


def read_layer(document: GlbDocument, entry: Fields, head: HeadModel, rest: PosedHead,
               decoder: Decoder | None = None) -> Layer:
    """Return a layer.

    Args:
        document: Where its mesh is.
        entry: Its entry in the root extension.
        head: What it rides.
        rest: That head at rest, which the stored attributes are on.
        decoder: For pictures in KTX2.
    """
    kind = entry.choice("kind", ("splats", "mesh", "strands"))
    if kind == "mesh":
        return read_mesh_layer(document, entry, head, decoder)
    return _read_splats(document, entry, head, rest) if kind == "splats" else _read_strands(document, entry, head)


def _read_splats(document: GlbDocument, entry: Fields, head: HeadModel, rest: PosedHead) -> SplatLayer:
    primitive = document.only_primitive(entry.integer("mesh"))
    splats = primitive.fields("extensions").fields(SPLATS)
    ours = splats.fields("extensions").fields(EXTENSION)
    attributes = primitive.fields("attributes")

    def attribute(name: str, *shape: int | None) -> np.ndarray:
        return document.table(attributes.integer(name), shape, attributes.where).astype(np.float32)

    means = attribute("POSITION", None, 3)
    n = len(means)
    bands = 1
    while attributes.has(f"{SPLATS}:SH_DEGREE_{bands}_COEF_0") and bands < 4:
        bands += 1
    sh = np.stack([attribute(f"{SPLATS}:SH_DEGREE_{degree}_COEF_{i}", n, 3)
                   for degree in range(bands) for i in range(2 * degree + 1)], axis=1)
    quats = xyzw_to_wxyz(attribute(f"{SPLATS}:ROTATION", n, 4))
    scales, opacities = attribute(f"{SPLATS}:SCALE", n, 3), attribute(f"{SPLATS}:OPACITY", n)
    if ours.has("order") and ours.fields("dynamics").has("network") and not ours.fields("dynamics").has("tables"):
        raise FormatError(f"{ours.where}: 'order': a layer that a network moves keeps the avatar's order")
    order = _read_order(document, ours, n)
    binding = _read_binding(document, ours.fields("binding"), head, n, order)
    quats = normalize(quats)  # eight bits a number are not of unit length
    if isinstance(binding, FaceBinding):
        fields = ours.fields("binding")
        means = (document.table(fields.integer("offset"), (n, 3), fields.where) if fields.has("offset")
                 else np.zeros((n, 3), np.float32))
        quats, scales = _unbind(binding, head, rest, quats, scales)
        if binding.frame == "corner":
            quats = xyzw_to_wxyz(document.table(fields.integer("localRotation"), (n, 4), fields.where))
    dynamics = _read_dynamics(document, ours.fields("dynamics"), n) if ours.has("dynamics") else None
    layer = SplatLayer(GaussianCloud(means, quats, scales, opacities, sh), binding, dynamics,
                       ours.choice("shFrame", ("world", "head")), entry.text("name", "splats"))
    return layer if order is None else take(layer, np.argsort(order))


def _read_order(document: GlbDocument, ours: Fields, n: int) -> np.ndarray | None:
    """Return which Gaussian each stored one is, or None when they are in order."""
    if not ours.has("order"):
        return None
    order = document.table(ours.integer("order"), (n,), f"{ours.where}: 'order'").astype(np.int64)
    if not np.array_equal(np.sort(order), np.arange(n)):
        raise FormatError(f"{ours.where}: 'order': expected each of {n} Gaussians once")
    return order


def take(layer: SplatLayer, order: np.ndarray) -> SplatLayer:
    """Return a layer whose Gaussian i is the given layer's Gaussian `order[i]`."""

    def rows(thing: Any, *names: str) -> Any:
        return dataclasses.replace(thing, **{n: getattr(thing, n)[order] for n in names if getattr(thing, n) is not None})

    dynamics = layer.dynamics
    if isinstance(dynamics, LinearDynamics):
        dynamics = dataclasses.replace(dynamics, tables={k: table[order] for k, table in dynamics.tables.items()})
    binding = (rows(layer.binding, "face_index", "barycentric") if isinstance(layer.binding, FaceBinding) else
               rows(layer.binding, "vertex_index", "exprdirs", "posedirs", "eyeliddirs", "lbs_weights"))
    return dataclasses.replace(layer, cloud=rows(layer.cloud, "means", "quats", "scales", "opacities", "sh"),
                               binding=binding, dynamics=dynamics)


def _read_binding(document: GlbDocument, entry: Fields, head: HeadModel, n: int,
                  order: np.ndarray | None) -> FaceBinding | SkinBinding:
    def table(name: str, *shape: int | None) -> np.ndarray:
        return document.table(entry.integer(name), shape, f"{entry.where}: '{name}'")

    if entry.choice("kind", ("face", "skin")) == "face":
        first = table("barycentric", n, 2)
        weights = np.concatenate([first, 1 - first.sum(axis=1, keepdims=True, dtype=np.float64)], axis=1)
        face = table("face", n)
        if face.max() >= len(head.faces):
            raise FormatError(f"{entry.where}: 'face': names face {face.max()}, the head has {len(head.faces)}")
        return FaceBinding(face, weights, entry.text("frame"), entry.text("offsetScale"), entry.text("splatScale"),
                           table("canonicalVertices", len(head.v_template), 3) if entry.has("canonicalVertices") else None,
                           entry.number("unit", 1.0))
    rotation = entry.text("rotation")
    if entry.flag("sharesVertices", False):
        return SkinBinding(np.arange(n) if order is None else order, rotation=rotation)
    if entry.has("vertex"):
        return SkinBinding(table("vertex", n), rotation=rotation)
    own = _read_tables(document, entry.fields("tables"), n) if entry.has("tables") else {}
    for name in ("exprdirs", "posedirs", "eyeliddirs"):
        if entry.has(name):
            flat = table(name, None, 3)
            if len(flat) % n:
                raise FormatError(f"{entry.where}: '{name}': {len(flat)} vectors are not a whole number for each of {n}")
            own[name] = flat.reshape(-1, n, 3).transpose(1, 2, 0)
    weights = table("lbsWeights", n * len(head.parents)).reshape(n, -1)
    return SkinBinding(lbs_weights=weights, rotation=rotation, **own)


def _read_tables(document: GlbDocument, entry: Fields, n: int) -> dict[str, np.ndarray]:
    """Return a binding's own directions [N, 3, K] by name, from coefficients times a basis."""
    names = [name for name in ("exprdirs", "posedirs", "eyeliddirs") if entry.has(name)]
    counts, rank = [entry.integer(name, low=1, high=4096) for name in names], entry.integer("rank", low=1, high=16384)
    total = sum(counts)
    check_size((n, 3, total), TABLE_LIMIT, f"{entry.where}: its directions")
    coefficients = document.table(entry.integer("coefficients"), (rank * n,), f"{entry.where}: 'coefficients'")
    basis = document.table(entry.integer("basis"), (rank * total, 3), f"{entry.where}: 'basis'")
    whole = coefficients.reshape(rank, n).T.astype(np.float32) @ basis.reshape(rank, total * 3).astype(np.float32)
    ends = np.cumsum(counts)
    return {name: whole.reshape(n, total, 3)[:, end - k:end].transpose(0, 2, 1)
            for name, k, end in zip(names, counts, ends, strict=True)}


def _unbind(binding: FaceBinding, head: HeadModel, rest: PosedHead, quats: np.ndarray,
            scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the local rotations and scales that `binding` turned into these at rest."""
    n = len(quats)
    still = np.tile([1.0, 0, 0, 0], (n, 1))
    # The binding turns every splat alike and scales it as 'k s' or 'u (s / u)^r': what it does to identity and to u e says which.
    unit = np.ones((n, 3)) if binding.splat_scale != "log_area_ratio" else np.full((n, 3), binding.unit * np.e)
    _, turn, grown = bind_to_faces(binding, head, rest, (np.zeros((n, 3)), still, unit))
    local = quat_multiply(turn * [1, -1, -1, -1], quats)
    scales = scales.astype(np.float64)
    if binding.splat_scale == "log_area_ratio":
        return local, binding.unit * np.exp(np.log(np.maximum(scales / binding.unit, 1e-30)) / np.log(grown / binding.unit))
    return local, np.where(grown > 0, scales / np.where(grown > 0, grown, 1), 0)


def _read_dynamics(document: GlbDocument, entry: Fields, n: int) -> LinearDynamics | str:
    network = entry.text("network") if entry.has("network") else None
    if network is not None and not entry.has("tables"):
        return network
    rank, tables = entry.integer("rank", low=1), entry.fields("tables")
    read_tables = {}
    for name in tables.values:
        flat = document.table(tables.integer(name), (None,), tables.where)
        if len(flat) % (n * rank):
            raise FormatError(f"{tables.where}: '{name}': {len(flat)} numbers do not divide into {n} x {rank}")
        table = flat.reshape(rank, n, -1).transpose(1, 0, 2) if entry.flag("rankMajor", False) else flat.reshape(n, rank, -1)
        if entry.has("scales"):
            if table.dtype != np.int8:
                raise FormatError(f"{tables.where}: '{name}': {table.dtype} with scales; expected signed bytes")
            scales = document.table(entry.fields("scales").integer(name), (n,), f"{entry.where}: 'scales'")
            table = byte_tables.from_bytes(table, scales)
        read_tables[name] = table
    mean = document.table(entry.integer("driverMean"), (None,), entry.where) if entry.has("driverMean") else None
    function = _read_function(document, entry.fields("function"), rank) if entry.has("function") else None
    return LinearDynamics(read_tables, entry.texts("driver"), mean, network, entry.choice("space", ("canonical", "posed")),
                          function)


def _read_function(document: GlbDocument, entry: Fields, rank: int) -> CoefficientFunction:
    """Return a coefficient function; its matrices are row after row."""
    low, high = (document.table(entry.integer(name), (None,), f"{entry.where}: '{name}'") for name in ("low", "high"))
    inner_bias = np.zeros(0, np.float32)
    if entry.has("innerBias"):
        inner_bias = document.table(entry.integer("innerBias"), (None,), f"{entry.where}: 'innerBias'")
    driving, hidden = len(low), len(inner_bias)

    def matrix(name: str, rows: int, columns: int) -> np.ndarray:
        if not rows * columns:
            return np.zeros((rows, columns), np.float32)
        return document.table(entry.integer(name), (rows * columns,), f"{entry.where}: '{name}'").reshape(rows, columns)

    bias = document.table(entry.integer("bias"), (rank,), f"{entry.where}: 'bias'")
    return CoefficientFunction(matrix("linear", rank, driving), bias, matrix("inner", hidden, driving), inner_bias,
                               matrix("outer", rank, hidden), low, high)


def _read_strands(document: GlbDocument, entry: Fields, head: HeadModel) -> StrandLayer:
    """Return a strand layer; of its primitive only what its tables do not say (section 1.5)."""
    primitive = document.only_primitive(entry.integer("mesh"))
    ours = primitive.fields("extensions").fields(SPLATS).fields("extensions").fields(EXTENSION)
    attributes = primitive.fields("attributes")
    count, points = ours.integer("strandCount", low=1, high=TABLE_LIMIT), ours.integer("strandPoints", low=2, high=TABLE_LIMIT)
    place = document.table(ours.integer("points"), (count * points, 3), f"{ours.where}: 'points'").reshape(count, points, 3)
    segments = count * (points - 1)

    def of_points(name: str, *shape: int) -> np.ndarray:
        values = document.table(attributes.integer(f"{SPLATS}:{name}"), (segments, *shape), attributes.where)
        values = values.astype(np.float32).reshape(count, points - 1, *shape)
        return np.concatenate([values, values[:, -1:]], axis=1)

    rgb = sh_to_rgb(of_points("SH_DEGREE_0_COEF_0", 3).astype(np.float64))
    order = _read_order(document, ours, count)
    binding = _read_binding(document, ours.fields("binding"), head, count, order)
    if not isinstance(binding, FaceBinding):
        raise FormatError(f"{ours.where}: 'binding': strands ride triangles; expected kind 'face'")
    layer = StrandLayer(place, of_points("SCALE", 3)[..., 1], rgb, of_points("OPACITY"), binding, entry.text("name", "strands"),
                        ours.number("segmentScale"))
    return layer if order is None else take_strands(layer, np.argsort(order))


def take_strands(layer: StrandLayer, order: np.ndarray) -> StrandLayer:
    """Return a layer whose strand i is the given layer's strand `order[i]`."""
    moved = dataclasses.replace(layer.binding, face_index=layer.binding.face_index[order],
                                barycentric=layer.binding.barycentric[order])
    return dataclasses.replace(layer, points=layer.points[order], widths=layer.widths[order], rgb=layer.rgb[order],
                               opacities=layer.opacities[order], binding=moved)
