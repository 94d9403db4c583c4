"""MonoGaussianAvatar's networks that depend on nothing but the point: evaluated once, in NumPy, float64.

Chen et al., "MonoGaussianAvatar: Monocular Gaussian Point-based Head Avatar", SIGGRAPH 2024, and its released arithmetic.
Lengths are quarters of a metre here, as in the files. Layers with old-style weight norm hold `weight_g` and `weight_v`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from formats.errors import FormatError
from formats.importers.flash_network import encode

Layer = tuple[np.ndarray, np.ndarray]
"""Weight [out, in] and bias [out]."""
BETA = 100.0
"""Of softplus."""
FREQUENCIES = 6
SKIP, LAYERS = 3, 7
"""The geometry network's encoded point comes in again at this layer."""
SHARPNESS = 20.0
"""Of the softmax over bones."""
BONES = 6
"""A ghost that never moves, then FLAME's five joints."""
CORRECTIVES = 36
CHUNK = 4096
"""Points evaluated together."""
POINT_LIMIT = 1 << 19


@dataclass(frozen=True, eq=False)
class Deformation:
    """What the deformer says of each point."""

    offsets: Float64[np.ndarray, "N 3"]
    exprdirs: Float32[np.ndarray, "N 3 E"]
    posedirs: Float32[np.ndarray, "N 3 36"]
    weights: Float64[np.ndarray, "N 6"]
    """The ghost first; rows sum to 1."""


@dataclass(frozen=True, eq=False)
class Statics:
    """What each point looks like before the frame has its say; not activated."""

    rgb: Float64[np.ndarray, "N 3"]
    scales: Float64[np.ndarray, "N 3"]
    quats: Float64[np.ndarray, "N 4"]
    opacities: Float64[np.ndarray, " N"]


def layer(state: Mapping[str, np.ndarray], name: str, where: str, *, rows: int | None = None, columns: int | None = None
          ) -> Layer:
    """Return weight and bias of a linear layer, its weight norm resolved: row k is g_k v_k / |v_k|.

    Raises:
        FormatError: A key is missing, of another shape, or not finite.
    """
    bias = array(state, f"{name}.bias", (rows,), where)
    if f"{name}.weight" in state:
        return array(state, f"{name}.weight", (len(bias), columns), where), bias
    v = array(state, f"{name}.weight_v", (len(bias), columns), where)
    g = array(state, f"{name}.weight_g", (len(bias), 1), where)
    length = np.linalg.norm(v, axis=1, keepdims=True)
    if not (length > 0).all():
        raise FormatError(f"{where}: '{name}.weight_v': a row is zero, and has no direction; the file is damaged")
    return g * v / length, bias


def array(state: Mapping[str, np.ndarray], key: str, shape: tuple[int | None, ...], where: str) -> Float64[np.ndarray, "..."]:
    """Return `state[key]` in float64 after checking its shape and values.

    Raises:
        FormatError: It is missing, of another shape, or not finite.
    """
    wanted = ", ".join("any" if n is None else str(n) for n in shape)
    if key not in state:
        raise FormatError(f"{where}: '{key}' is missing; expected numbers [{wanted}]: not a MonoGaussianAvatar model?")
    value = np.asarray(state[key])
    fits = value.ndim == len(shape) and all(w in (None, g) for w, g in zip(shape, value.shape, strict=True))
    if not fits or value.dtype.kind != "f":
        raise FormatError(f"{where}: '{key}': expected real numbers [{wanted}], got {value.dtype} {list(value.shape)}")
    if not np.isfinite(value).all():
        bad = int(value.size - np.isfinite(value).sum())
        raise FormatError(f"{where}: '{key}': {bad} of {value.size} values are not finite; training diverged or the file is "
                          "damaged")
    return value.astype(np.float64)


def deformation(state: Mapping[str, np.ndarray], points: Float64[np.ndarray, "N 3"], where: str) -> Deformation:
    """Return offsets, own blendshapes and skinning weights of canonical points.

    The network: four softplus layers of 128; one linear head of 36 x 3 correctives, 3 x E expressions and 3 offsets; another
    of one softplus layer and six bones.
    """
    trunk = [layer(state, f"deformer_network.lin{i}", where) for i in range(4)]
    blend = layer(state, "deformer_network.blendshapes", where)
    hidden = layer(state, "deformer_network.skinning_linear", where)
    bones = layer(state, "deformer_network.skinning", where, rows=BONES)
    expressions, rest = divmod(len(blend[1]) - 3 * CORRECTIVES - 3, 3)
    if rest or not 0 <= expressions <= 400:
        raise FormatError(f"{where}: 'deformer_network.blendshapes.bias' has {len(blend[1])} entries, expected 108 for the "
                          "correctives, 3 for each expression and 3 for the offset (261 for 50)")
    count, split = len(points), 3 * CORRECTIVES
    result = Deformation(np.zeros((count, 3)), np.zeros((count, 3, expressions), np.float32),
                         np.zeros((count, 3, CORRECTIVES), np.float32), np.zeros((count, BONES)))
    _check_chain([*trunk, blend], 3, "deformer_network", where)
    _check_chain([trunk[-1], hidden, bones], None, "deformer_network", where)
    for rows in _chunks(count):
        x = points[rows]
        for weight, bias in trunk:
            x = _softplus(x @ weight.T + bias)
        out = x @ blend[0].T + blend[1]
        result.posedirs[rows] = out[:, :split].reshape(-1, CORRECTIVES, 3).transpose(0, 2, 1)
        result.exprdirs[rows] = out[:, split:-3].reshape(-1, 3, expressions)
        result.offsets[rows] = out[:, -3:]
        logits = SHARPNESS * (_softplus(x @ hidden[0].T + hidden[1]) @ bones[0].T + bones[1])
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        result.weights[rows] = shares / shares.sum(axis=1, keepdims=True)
    return result


def statics(state: Mapping[str, np.ndarray], points: Float64[np.ndarray, "N 3"], where: str) -> Statics:
    """Return colours, scales, rotations and opacities of canonical points, in the slots where the released code reads them.

    It puts colour, rotation (4), scale (3), opacity in a row and takes out colour, scale (3), rotation (4), opacity: the
    scale is the rotation head's first three outputs, the rotation its last one and the scale head's.
    """
    trunk = [layer(state, f"geometry_network.lin{i}", where) for i in range(LAYERS)]
    heads = {name: [layer(state, f"geometry_network.{name}.{i}", where) for i in places]
             for name, places in (("out_layer", (0, 2, 3)), ("rotations_layer", (0, 2)), ("scaling_layer", (0, 2)),
                                  ("opacity_layer", (0, 2)))}
    encoded = 3 + 6 * FREQUENCIES
    _check_chain(trunk[:SKIP], encoded, "geometry_network", where)
    _check_chain(trunk[SKIP:], len(trunk[SKIP - 1][1]) + encoded, "geometry_network", where)
    for name, outputs in (("out_layer", 3), ("rotations_layer", 4), ("scaling_layer", 3), ("opacity_layer", 1)):
        _check_chain([trunk[-1], *heads[name]], None, f"geometry_network.{name}", where)
        if len(heads[name][-1][1]) != outputs:
            raise FormatError(f"{where}: 'geometry_network.{name}' gives {len(heads[name][-1][1])} numbers, expected {outputs}")
    row = np.zeros((len(points), 11))
    for rows in _chunks(len(points)):
        first = encode(points[rows], FREQUENCIES)
        x = first
        for i, (weight, bias) in enumerate(trunk):
            x = np.concatenate([x, first], axis=1) / np.sqrt(2) if i == SKIP else x
            x = _softplus(x @ weight.T + bias)
        parts = []
        for head in heads.values():
            y = _softplus(x @ head[0][0].T + head[0][1])
            for weight, bias in head[1:]:
                y = y @ weight.T + bias
            parts.append(y)
        row[rows] = np.concatenate(parts, axis=1)
    return Statics(row[:, :3], row[:, 3:6], row[:, 6:10], row[:, 10])


def _check_chain(layers: list[Layer], width: int | None, name: str, where: str) -> None:
    for weight, bias in layers:
        if width is not None and weight.shape[1] != width:
            raise FormatError(f"{where}: '{name}': a layer takes {weight.shape[1]} numbers and gets {width}; not the network "
                              "that MonoGaussianAvatar releases")
        width = len(bias)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, count, CHUNK))


def _softplus(x: np.ndarray) -> np.ndarray:
    # log(1 + e^bx) / b, without overflow.
    return np.maximum(x, 0) + np.log1p(np.exp(-BETA * np.abs(x))) / BETA
