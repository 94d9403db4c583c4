"""BakedAvatar's shading as its web demo takes it: a network of three layers as arrays, and maps as atlases of tiles.

The demo's pixel network is 14 inputs (8 features, normal, view direction), 16 hidden numbers, K bases, and a softmax at
temperature 10, all in its shader. Smaller ones are padded with zeros, and another temperature goes into the weights: both
are exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from formats.avatar import Avatar, BasisMix, MeshLayer
from formats.errors import MissingAsset, UnsupportedFeature
from formats.importers.baked_avatar import EXPRESSIONS, INPUTS

FEATURES, HIDDEN, TEMPERATURE = 8, 16, 10.0
BASES_LIMIT = 16
TILES = 4
"""Columns of the radiance atlas."""
TEXTURE_BASES = 4
"""How many equal bases a plain texture becomes where no layer has a mix: one row of tiles."""


@dataclass(frozen=True, eq=False)
class Perceptron:
    """A network from jaw, eyes and expression to the pixel network's weights."""

    arrays: dict[str, Float32[np.ndarray, "..."]]
    """By the names of the demo's files."""
    bases: int
    slopes_above_one: int
    """Of PReLUs; the demo takes max(x, a x), which is another function there."""


def perceptron_of(avatar: Avatar) -> Perceptron:
    """Return the one network that shades the avatar's mesh layers, in the demo's sizes.

    Raises:
        UnsupportedFeature: Layers differ in what shades them, or the network is not three layers with PReLUs between.
        MissingAsset: onnx is not installed.
    """
    mixes = [(layer.name, layer.shading) for layer in avatar.layers if isinstance(layer, MeshLayer) and layer.shading]
    if not mixes:
        return _nothing(TEXTURE_BASES)
    first, mix = mixes[0]
    kind = _kind(mix)
    for name, other in mixes[1:]:
        if _kind(other) != kind:
            raise UnsupportedFeature(f"baked-avatar-web: layers '{first}' and '{name}' differ in network, bases, features, "
                                     "hidden numbers or temperature; the demo has one of each for all layers")
    bases, depth, hidden = mix.bases.shape[0], mix.position_features.shape[2], mix.hidden
    for what, number, limit in (("bases", bases, BASES_LIMIT), ("features", depth, FEATURES), ("hidden numbers", hidden, HIDDEN)):
        if number > limit:
            raise UnsupportedFeature(f"baked-avatar-web: layer '{first}' has {number} {what}, the demo has room for {limit}")
    if mix.space != "view":
        raise UnsupportedFeature(f"baked-avatar-web: layer '{first}' is shaded in {mix.space} axes, the demo does it in "
                                 "the view's")
    arrays = _layers(avatar.networks[mix.weights_from].onnx, len(avatar.head.expr_names), mix.weights_from)
    rows = len(arrays["fc2_bias"])
    if rows != hidden * (depth + 6 + bases):
        raise UnsupportedFeature(f"baked-avatar-web: network '{mix.weights_from}' gives {rows} numbers, expected "
                                 f"{hidden * (depth + 6 + bases)}")
    arrays["fc2_weight"] = _padded(arrays["fc2_weight"], hidden, depth, bases, mix.temperature)
    arrays["fc2_bias"] = _padded(arrays["fc2_bias"], hidden, depth, bases, mix.temperature)
    steep = sum(int((arrays[name] > 1).sum()) for name in ("act0_weight", "act1_weight"))
    return Perceptron({name: value.astype(np.float32) for name, value in arrays.items()}, bases, steep)


def _kind(mix: BasisMix) -> tuple[object, ...]:
    return (mix.weights_from, mix.bases.shape[0], mix.position_features.shape[2], mix.hidden, mix.temperature, mix.space)


def _nothing(bases: int) -> Perceptron:
    """Return a network of zeros: it mixes all bases equally, and they are equal."""
    width = sum(INPUTS.values())
    shapes = {"fc0_weight": (64, width), "fc0_bias": (64,), "act0_weight": (64,), "fc1_weight": (64, 64), "fc1_bias": (64,),
              "act1_weight": (64,), "fc2_weight": (HIDDEN * (FEATURES + 6 + bases), 64)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return Perceptron(arrays | {"fc2_bias": np.zeros(len(arrays["fc2_weight"]), np.float32)}, bases, 0)


def _padded(rows: np.ndarray, hidden: int, depth: int, bases: int, temperature: float) -> np.ndarray:
    """Return the last layer's rows where the demo's sizes have them, with the temperature in those of the second matrix."""
    if (hidden, depth, temperature) == (HIDDEN, FEATURES, TEMPERATURE):
        return rows
    rest = rows.shape[1:]
    first = np.zeros((HIDDEN, FEATURES + 6, *rest), np.float64)
    second = np.zeros((bases, HIDDEN, *rest), np.float64)
    own = rows[:hidden * (depth + 6)].reshape(hidden, depth + 6, *rest)
    first[:hidden, :depth], first[:hidden, FEATURES:] = own[:, :depth], own[:, depth:]
    second[:, :hidden] = rows[hidden * (depth + 6):].reshape(bases, hidden, *rest) * (temperature / TEMPERATURE)
    return np.concatenate([first.reshape(-1, *rest), second.reshape(-1, *rest)])


# --- The network's graph ----------------------------------------------------------------------------------------------


def _layers(onnx: bytes, expressions: int, name: str) -> dict[str, np.ndarray]:
    """Return fc0 to fc2 and act0, act1 of an ONNX graph that is Concat, then three linear layers with (P)ReLUs between."""
    try:
        import onnx as package
        import onnx.numpy_helper as helper
    except ImportError as error:
        raise MissingAsset("this avatar's shading network has to be read; install onnx: pip install "
                           "'flameport[export]'") from error
    graph = package.load_model_from_string(onnx).graph
    known = {tensor.name: helper.to_array(tensor) for tensor in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    walk = _Walk(known, made, name)
    value, arrays = walk.through("shading_weights"), {}
    for i in (2, 1, 0):
        value, arrays[f"fc{i}_weight"], arrays[f"fc{i}_bias"] = walk.linear(value)
        if i:
            value, slope = walk.activation(value)
            arrays[f"act{i - 1}_weight"] = np.broadcast_to(slope.reshape(-1), (arrays[f"fc{i}_weight"].shape[1],)).copy()
    inputs = walk.inputs(value)
    widths = {**INPUTS, "expr": expressions}
    if set(inputs) - set(widths) or arrays["fc0_weight"].shape[1] != sum(widths.get(each, 0) for each in inputs):
        raise walk.refusal(f"reads {', '.join(inputs)}")
    columns, start = {}, 0
    for each in inputs:
        columns[each] = arrays["fc0_weight"][:, start:start + widths[each]]
        start += widths[each]
    filled = []
    for each, width in INPUTS.items():
        table = columns.get(each, np.zeros((len(arrays["fc0_weight"]), 0), np.float32))[:, :width]
        filled.append(np.pad(table, ((0, 0), (0, width - table.shape[1]))))
    lost = np.abs(columns["expr"][:, EXPRESSIONS:]).max(initial=0) if "expr" in columns else 0
    if lost > 0:
        raise walk.refusal(f"reads more than {EXPRESSIONS} expressions")
    arrays["fc0_weight"] = np.concatenate(filled, axis=1)
    return arrays


class _Walk:
    """Goes up a graph, from what it gives to what it takes."""

    def __init__(self, known: dict[str, np.ndarray], made: dict[str, Any], name: str) -> None:
        self._known, self._made, self._name = known, made, name

    def refusal(self, why: str) -> UnsupportedFeature:
        return UnsupportedFeature(f"baked-avatar-web: network '{self._name}' {why}; the demo has one form of network: jaw, eyes "
                                  "and up to 50 expressions through three linear layers with PReLUs between")

    def through(self, value: str) -> str:
        """Return what `value` is a copy of."""
        while value in self._made and self._made[value].op_type in ("Identity", "Reshape", "Flatten"):
            value = self._made[value].input[0]
        return value

    def linear(self, value: str) -> tuple[str, np.ndarray, np.ndarray]:
        node = self._made.get(self.through(value))
        if node is None:
            raise self.refusal("has too few layers")
        if node.op_type == "Gemm":
            settings = {a.name: a for a in node.attribute}
            plain = all(settings[key].f == 1 for key in ("alpha", "beta") if key in settings)
            weight = self._constant(node.input[1])
            turned = "transB" in settings and settings["transB"].i == 1
            if not plain or ("transA" in settings and settings["transA"].i):
                raise self.refusal("has an unusual Gemm")
            weight = weight if turned else weight.T
            bias = self._constant(node.input[2]) if len(node.input) > 2 else np.zeros(len(weight), np.float32)
            return node.input[0], weight, bias.reshape(-1)
        bias = None
        if node.op_type == "Add":
            bias = self._constant(node.input[1])
            node = self._made.get(node.input[0])
        if node is None or node.op_type != "MatMul":
            raise self.refusal(f"has a {'constant' if node is None else node.op_type} where a linear layer is expected")
        weight = self._constant(node.input[1])
        return node.input[0], weight.T, np.zeros(weight.shape[1], np.float32) if bias is None else bias.reshape(-1)

    def activation(self, value: str) -> tuple[str, np.ndarray]:
        node = self._made.get(self.through(value))
        if node is not None and node.op_type == "PRelu":
            return node.input[0], self._constant(node.input[1])
        if node is not None and node.op_type in ("Relu", "LeakyRelu"):
            alpha = next((a.f for a in node.attribute if a.name == "alpha"), 0.01)
            return node.input[0], np.array([alpha if node.op_type == "LeakyRelu" else 0.0], np.float32)
        raise self.refusal(f"has a {'constant' if node is None else node.op_type} where a PReLU is expected")

    def inputs(self, value: str) -> list[str]:
        value = self.through(value)
        node = self._made.get(value)
        if node is None:
            return [value]
        if node.op_type != "Concat":
            raise self.refusal(f"begins with a {node.op_type}")
        return list(node.input)

    def _constant(self, name: str) -> np.ndarray:
        if name not in self._known:
            raise self.refusal("has weights that are not constant")
        return self._known[name]


# --- Maps -------------------------------------------------------------------------------------------------------------


def atlases(layer: MeshLayer, bases: int) -> tuple[UInt8[np.ndarray, "H W 4"], UInt8[np.ndarray, "H W 4"], float]:
    """Return a layer's feature atlas (two tiles), its radiance atlas (four a row), and what rounding to bytes cost, of 1."""
    mix = layer.shading
    if mix is not None:
        colors, alpha, features = mix.bases, mix.alpha, mix.position_features
    else:
        assert layer.texture is not None
        colors = np.broadcast_to(layer.texture[None, ..., :3], (bases, *layer.texture.shape[:2], 3))
        alpha, features = layer.texture[..., 3], np.zeros((*layer.texture.shape[:2], FEATURES), np.uint8)
    (colors, one), (alpha, two), (features, three) = _bytes(colors), _bytes(alpha), _bytes(features)
    height, width, depth = features.shape
    wide = np.zeros((height, width, FEATURES), np.uint8)
    wide[..., :depth] = features
    rows, columns = -(-bases // TILES), min(bases, TILES)
    radiance = np.zeros((rows * height, columns * width, 4), np.uint8)
    for k in range(bases):
        tile = radiance[k // TILES * height:][:height, k % TILES * width:][:, :width]
        tile[..., :3], tile[..., 3] = colors[k], alpha
    return np.concatenate([wide[..., :4], wide[..., 4:]], axis=1), radiance, max(one, two, three)


def _bytes(values: np.ndarray) -> tuple[np.ndarray, float]:
    if values.dtype == np.uint8:
        return values, 0.0
    rounded = np.clip(np.round(values * 255), 0, 255)
    return rounded.astype(np.uint8), float(np.abs(rounded / 255 - values).max(initial=0))
