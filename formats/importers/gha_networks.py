"""The networks of Gaussian Head Avatar: perceptrons with one skip, the head's field of Gaussians, the super-resolution.

Sources: Xu et al., "Gaussian Head Avatar: Ultra High-fidelity Head Avatar via Dynamic Gaussians", CVPR 2024, section 3, and
the released arithmetic. Each is written twice, in NumPy for what an import computes once and as ONNX for what moves.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from formats.avatar import Network
from formats.conventions import sigmoid
from formats.errors import CheckpointMismatch, FormatError
from formats.onnx_graph import OnnxGraph
from formats.rotations import normalize

LEAK = 0.01
"""Slope of the hidden layers' leaky ReLU below zero."""
EPSILON = 1e-5
"""Added to the variance by the super-resolution's instance normalisation."""
CHUNK = 1 << 14
"""Points evaluated at a time; bounds memory at 450 hidden numbers each to about 30 MB."""


def encode(x: np.ndarray, frequencies: int) -> np.ndarray:
    """Return [x, sin x, cos x, sin 2x, cos 2x, sin 4x, ...], block after block, over the last axis."""
    waves = [wave(2.0**k * x) for k in range(frequencies) for wave in (np.sin, np.cos)]
    return np.concatenate([x, *waves], axis=-1)


def encode_graph(g: OnnxGraph, x: str, frequencies: int) -> str:
    """Return what `encode` does, in a graph."""
    scaled = [x if k == 0 else g("Mul", x, np.float32(2.0**k)) for k in range(frequencies)]
    return g("Concat", x, *(g(wave, s) for s in scaled for wave in ("Sin", "Cos")), axis=1)


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Fully connected layers with leaky ReLU between; at layer `skip` the input joins in again, after the hidden values."""

    weights: tuple[Float32[np.ndarray, "O I"], ...]
    biases: tuple[Float32[np.ndarray, " O"], ...]
    skip: int
    """-1 for none."""
    last: str = ""
    """What comes out: as it is, or through `tanh` or `sigmoid`."""

    @property
    def inputs(self) -> int:
        """How many numbers go in."""
        return self.weights[0].shape[1]

    @property
    def outputs(self) -> int:
        """How many numbers come out."""
        return self.weights[-1].shape[0]

    def evaluate(self, *parts: Float[np.ndarray, "_ _"]) -> Float32[np.ndarray, "N O"]:
        """Return the outputs for an input given in parts [N, D] or [1, D], side by side."""
        count = min((len(part) for part in parts if len(part) != 1), default=1)
        parts = tuple(np.asarray(part, np.float32) for part in parts)
        chunks = [self._evaluate([p if len(p) == 1 else p[first:first + CHUNK] for p in parts])
                  for first in range(0, count, CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, self.outputs), np.float32)

    def _evaluate(self, parts: list[np.ndarray]) -> np.ndarray:
        hidden: np.ndarray | None = None
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            total = bias[None]
            fed = ([] if hidden is None else [hidden]) + (parts if i in (0, self.skip) else [])
            first = 0
            for part in fed:
                total = total + part @ weight[:, first:first + part.shape[1]].T
                first += part.shape[1]
            hidden = np.where(total > 0, total, np.float32(LEAK) * total) if i + 1 < len(self.weights) else total
        assert hidden is not None
        return {"": lambda v: v, "tanh": np.tanh, "sigmoid": sigmoid}[self.last](hidden).astype(np.float32)

    def graph(self, g: OnnxGraph, *parts: tuple[str, int]) -> str:
        """Return the outputs in a graph for parts (value, width); a part of one row is multiplied once, not per point."""
        hidden, width = "", 0
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            # The one-row parts first, with the bias: [1, O] sums stay small.
            fed = ([(hidden, width)] if i else []) + (list(parts) if i in (0, self.skip) else [])
            edges = np.cumsum([0, *(n for _, n in fed)])
            products = [g.linear(value, weight[:, a:b]) for (value, _), a, b in zip(fed, edges[:-1], edges[1:], strict=True)]
            total = g("Add", products[-1], bias)
            for product in products[-2::-1]:
                total = g("Add", product, total)
            hidden, width = (g("LeakyRelu", total, alpha=LEAK) if i + 1 < len(self.weights) else total), len(bias)
        return g(self.last.capitalize(), hidden) if self.last else hidden


def perceptron(state: Mapping[str, np.ndarray], name: str, where: str, last: str = "") -> Perceptron:
    """Return the network whose layers a state dict calls `<name>.conv0`, `.conv1`, ...

    Args:
        state: Arrays by key; weights [out, in, 1].
        name: Such as `exp_color_mlp`.
        where: The file, for messages.
        last: `tanh` or `sigmoid` on what comes out.

    Raises:
        FormatError: A layer is missing or does not fit the one before it.
    """
    weights: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    skip = -1
    while f"{name}.conv{len(weights)}.weight" in state:
        i = len(weights)
        key = f"{name}.conv{i}"
        weight = state[f"{key}.weight"]
        bias = state.get(f"{key}.bias")
        if weight.ndim not in (2, 3) or weight.ndim == 3 and weight.shape[2] != 1:
            raise FormatError(f"{where}: '{key}.weight': expected shape [out, in, 1], got {list(weight.shape)}")
        weight = weight.reshape(weight.shape[0], weight.shape[1])
        if bias is None or bias.shape != weight.shape[:1]:
            raise FormatError(f"{where}: '{key}.bias': expected {len(weight)} numbers, got "
                              f"{'none' if bias is None else list(bias.shape)}")
        if i and weight.shape[1] != len(weights[-1]):
            joined = len(weights[-1]) + weights[0].shape[1]
            if skip >= 0 or weight.shape[1] != joined:
                raise FormatError(f"{where}: '{key}.weight': takes {weight.shape[1]} numbers; expected {len(weights[-1])}, or "
                                  f"{joined} where the input joins in again")
            skip = i
        weights.append(np.ascontiguousarray(weight, np.float32))
        biases.append(np.asarray(bias, np.float32))
    if not weights:
        raise FormatError(f"{where}: '{name}.conv0.weight' is missing; is it a checkpoint of Gaussian Head Avatar?")
    return Perceptron(tuple(weights), tuple(biases), skip, last)


# --- Expression and pose ----------------------------------------------------------------------------------------------


def square_distances(points: Float[np.ndarray, "N 3"], landmarks: Float[np.ndarray, "L 3"]) -> Float64[np.ndarray, " N"]:
    """Return each point's squared distance to the nearest landmark."""
    landmarks = landmarks.astype(np.float64)
    nearest = [np.min(np.sum((points[a:a + 4096, None].astype(np.float64) - landmarks) ** 2, axis=2), axis=1)
               for a in range(0, len(points), 4096)]
    return np.concatenate(nearest) if nearest else np.zeros(0)


@dataclass(frozen=True)
class Scalars:
    """What checkpoints do not hold: they are in the training's yaml."""

    near: float = 0.1
    """Squared distance to a landmark up to which only the expression counts, square canonical units."""
    far: float = 0.25
    """Squared distance from which only the pose counts."""
    deform_scale: float = 0.3
    attributes_scale: float = 0.2

    def shares(self, points: np.ndarray, landmarks: np.ndarray) -> Float64[np.ndarray, "N 2"]:
        """Return how much expression and pose count for each point: clip((far - d) / (far - near), 0, 1), and the rest."""
        share = np.clip((self.far - square_distances(points, landmarks)) / (self.far - self.near), 0, 1)
        return np.stack([share, 1 - share], axis=1)


@dataclass(frozen=True, eq=False)
class Branch:
    """The three networks that expression, or pose, drives."""

    color: Perceptron
    deform: Perceptron
    attributes: Perceptron

    def check(self, where: str, name: str, feature: int, point: int, driver: int) -> None:
        """Raise unless the networks take what they are given."""
        for part, net, first in (("color", self.color, feature), ("deform", self.deform, point),
                                 ("attributes", self.attributes, feature)):
            if net.inputs != first + driver:
                raise FormatError(f"{where}: '{name}_{part}_mlp' takes {net.inputs} numbers, expected {first} + {driver}")
        if self.deform.outputs != 3 or self.attributes.outputs != 8 or self.color.outputs < 3:
            raise FormatError(f"{where}: '{name}' networks give {self.color.outputs} colour channels, {self.deform.outputs} "
                              f"offsets and {self.attributes.outputs} attributes; expected 3 or more, 3 and 8")


@dataclass(frozen=True, eq=False)
class HeadField:
    """N Gaussians in canonical space and the networks that move them; raw values, as a `gaussianhead` file holds them."""

    points: Float32[np.ndarray, "N 3"]
    feature: Float32[np.ndarray, "N F"]
    """Through tanh already."""
    log_scales: Float32[np.ndarray, "N 3"]
    quats: Float32[np.ndarray, "N 4"]
    """wxyz, not unit."""
    logits: Float32[np.ndarray, " N"]
    shares: Float64[np.ndarray, "N 2"]
    """How much expression and pose count."""
    branches: tuple[Branch, Branch]
    """For expression, for pose."""
    scalars: Scalars
    frequencies: int
    expressions: int

    def rows(self, side: int) -> Int64[np.ndarray, " n"]:
        """Return the Gaussians that expression (0) or pose (1) has a share in."""
        return np.flatnonzero(self.shares[:, side] > 0)

    def raw(self, expr: Float[np.ndarray, " E"], pose: Float[np.ndarray, " 6"]) -> Float32[np.ndarray, "N C"]:
        """Return what the networks give, weighted: colour channels, then 3 offsets (before their scale), then 8 attributes."""
        color = self.branches[0].color.outputs
        total = np.zeros((len(self.points), color + 11), np.float32)
        drivers = (np.asarray(expr)[None], encode(np.asarray(pose, np.float64)[None], self.frequencies))
        for side, (branch, driver) in enumerate(zip(self.branches, drivers, strict=True)):
            rows = self.rows(side)
            feature, point = self.feature[rows], encode(self.points[rows], self.frequencies)
            parts = (branch.color.evaluate(feature, driver), branch.deform.evaluate(point, driver),
                     branch.attributes.evaluate(feature, driver))
            total[rows] += np.concatenate(parts, axis=1) * self.shares[rows, side:side + 1].astype(np.float32)
        return total

    def network(self, scale: float, base: Float32[np.ndarray, "N C"], features: bool) -> Network:
        """Return the ONNX network of the deltas that `raw` makes of expression and pose, against those of `base`.

        Only Gaussians that a branch has a share in go through it.

        Args:
            scale: Metres in a canonical unit.
            base: `raw` at the state that the avatar's cloud holds.
            features: Give the colour channels out for a decoder, too.
        """
        g = OnnxGraph()
        expr, pose = g.input("expr", 1, self.expressions), g.input("absolute_pose", 1, 6)
        drivers = ((expr, self.expressions), (encode_graph(g, pose, self.frequencies), 6 * (1 + 2 * self.frequencies)))
        sides = [self._side(g, side, *driver) for side, driver in enumerate(drivers) if len(self.rows(side))]
        total = sides[0] if len(sides) == 1 else g("Add", *sides)
        c = self.branches[0].color.outputs
        change = g("Sub", total, base)
        gain = self.scalars.attributes_scale

        def given(name: str, first: int, end: int, factor: float) -> None:
            g.output(name, g("Mul", g.columns(change, first, end), np.float32(factor)))

        given("delta_means", c, c + 3, self.scalars.deform_scale * scale)
        given("delta_log_scales", c + 3, c + 6, gain)
        given("delta_opacity_logits", c + 10, c + 11, gain)
        given("delta_rgb", 0, 3, 1.0)
        turned = g("Add", self.quats, g("Mul", g.columns(total, c + 6, c + 10), np.float32(gain)))
        g.output("delta_rotvecs", g.rotvec(_relative(g, self.turned(base), turned)))
        if features:
            g.output("features", g.columns(total, 0, c))
        return g.network()

    def turned(self, raw: Float32[np.ndarray, "N C"]) -> Float64[np.ndarray, "N 4"]:
        """Return unit quaternions at what `raw` says."""
        c = self.branches[0].color.outputs
        return normalize(self.quats.astype(np.float64) + self.scalars.attributes_scale * raw[:, c + 6:c + 10])

    def _side(self, g: OnnxGraph, side: int, driver: str, width: int) -> str:
        rows, branch = self.rows(side), self.branches[side]
        whole = len(rows) == len(self.points)

        def chosen(table: np.ndarray) -> str:
            held = g.constant(table)
            return held if whole else g("Gather", held, rows, axis=0)

        feature, driven = (chosen(self.feature), self.feature.shape[1]), (driver, width)
        point = (encode_graph(g, chosen(self.points), self.frequencies), 3 * (1 + 2 * self.frequencies))
        parts = (branch.color.graph(g, feature, driven), branch.deform.graph(g, point, driven),
                 branch.attributes.graph(g, feature, driven))
        share = self.shares[rows, side:side + 1].astype(np.float32)
        given = g("Mul", g("Concat", *parts, axis=1), share)
        if whole:
            return given
        # One row of zeros at the end is what all others get.
        place = np.full(len(self.points), len(rows))
        place[rows] = np.arange(len(rows))
        nothing = np.zeros((1, branch.color.outputs + 11), np.float32)
        return g("Gather", g("Concat", given, nothing, axis=0), place, axis=0)


def _relative(g: OnnxGraph, base: Float64[np.ndarray, "N 4"], quat: str) -> str:
    """Return conj(base) quat: how far each has turned from the stored rotation, in the Gaussian's own axes."""
    w, x, y, z = base.T
    columns = (np.stack([w, -x, -y, -z], 1), np.stack([x, w, -z, y], 1),
               np.stack([y, z, w, -x], 1), np.stack([z, -y, x, w], 1))
    parts = [g("Mul", g.columns(quat, j, j + 1), column) for j, column in enumerate(columns)]
    return g("Add", g("Add", parts[0], parts[1]), g("Add", parts[2], parts[3]))


def head_field(state: Mapping[str, np.ndarray], where: str, scalars: Scalars) -> HeadField:
    """Return the field of a `gaussianhead` file.

    Raises:
        FormatError: A key is missing, misshapen or not finite.
        CheckpointMismatch: It is driven by another face model than BFM with 64 expressions.
    """
    for key, shape in (("xyz", (None, 3)), ("feature", (None, None)), ("scales", (None, 3)), ("rotation", (None, 4)),
                       ("opacity", (None, 1)), ("landmarks_3d_neutral", (None, 3))):
        value = state.get(key)
        if value is None or value.ndim != 2 or any(b is not None and a != b for a, b in zip(value.shape, shape, strict=True)):
            wanted = ", ".join("N" if n is None else str(n) for n in shape)
            raise FormatError(f"{where}: '{key}': expected shape [{wanted}], got "
                              f"{'none' if value is None else list(value.shape)}")
        if key != "landmarks_3d_neutral" and len(value) != len(state["xyz"]):
            raise FormatError(f"{where}: '{key}': {len(value)} rows, 'xyz' has {len(state['xyz'])}")
    if not len(state["xyz"]) or not len(state["landmarks_3d_neutral"]):
        raise FormatError(f"{where}: 'xyz' or 'landmarks_3d_neutral' is empty; training has failed")
    # The fork's file holds more, which its own versions read loosely and nothing is drawn with.
    used = ("xyz", "feature", "scales", "rotation", "opacity", "landmarks_3d_neutral")
    # A feature of the first stage that is exactly 1 is stored as infinity, whose tanh is 1 again.
    check_finite({key: value for key, value in state.items() if key in used or "_mlp." in key}, where, ("feature",))
    exp, pose = (Branch(perceptron(state, f"{name}_color_mlp", where), perceptron(state, f"{name}_deform_mlp", where, "tanh"),
                        perceptron(state, f"{name}_attributes_mlp", where)) for name in ("exp", "pose"))
    feature = state["feature"]
    expressions = exp.color.inputs - feature.shape[1]
    if expressions != 64:
        raise CheckpointMismatch(f"{where}: its networks take {expressions} expression coefficients, expected the 64 of BFM 2009 "
                                 "(`bfm09-64`); checkpoints tracked with another face model are not read")
    frequencies, rest = divmod((pose.color.inputs - feature.shape[1]) // 6 - 1, 2)
    if rest or frequencies < 0 or (pose.color.inputs - feature.shape[1]) % 6:
        raise FormatError(f"{where}: 'pose_color_mlp' takes {pose.color.inputs} numbers, which is no feature of "
                          f"{feature.shape[1]} with an encoded pose")
    point = 3 * (1 + 2 * frequencies)
    exp.check(where, "exp", feature.shape[1], point, expressions)
    pose.check(where, "pose", feature.shape[1], point, 2 * point)
    if exp.color.outputs != pose.color.outputs:
        raise FormatError(f"{where}: 'exp_color_mlp' gives {exp.color.outputs} channels, 'pose_color_mlp' {pose.color.outputs}")
    points = state["xyz"].astype(np.float32)
    return HeadField(points, np.tanh(feature.astype(np.float64)).astype(np.float32), state["scales"].astype(np.float32),
                     state["rotation"].astype(np.float32), state["opacity"][:, 0].astype(np.float32),
                     scalars.shares(points, state["landmarks_3d_neutral"]), (exp, pose), scalars, frequencies, expressions)


def check_finite(state: Mapping[str, np.ndarray], where: str, infinite: Iterable[str] = ()) -> None:
    """Raise `FormatError` naming the first key with NaN or infinity, but for keys that may be `infinite`."""
    for key, value in state.items():
        bad = ~np.isfinite(value) if key not in infinite else np.isnan(value)
        if value.dtype.kind == "f" and bad.any():
            raise FormatError(f"{where}: '{key}': {int(bad.sum())} of {value.size} values are not finite; training diverged, "
                              "take an earlier checkpoint")


# --- Super-resolution -------------------------------------------------------------------------------------------------

SUPRES = (("inc", 0), ("inc", 3), ("up1.conv", 0), ("up1.conv", 3), ("up2.conv", 0), ("up2.conv", 3))
"""The 3x3 convolutions in order: block, place in it."""


def super_resolution(state: Mapping[str, np.ndarray], where: str) -> tuple[Network, int]:
    """Return the decoder of a `supres` file, four times enlarging, for feature images of any size; and its input channels.

    Each block: 3x3 convolution without bias, normalisation of every channel over the whole image, ReLU, twice; before the
    second and third block the image is enlarged twice, bilinear with corners aligned; a 1x1 convolution and a sigmoid end it.

    Raises:
        FormatError: A layer is missing or does not fit the one before it.
    """
    prefix = "upsampler." if any(key.startswith("upsampler.") for key in state) else ""

    def held(key: str, fits: Callable[[tuple[int, ...]], bool], shape: str) -> np.ndarray:
        value = state.get(prefix + key)
        if value is None or not fits(value.shape):
            raise FormatError(f"{where}: '{prefix}{key}': expected shape {shape}, got "
                              f"{'none' if value is None else list(value.shape)}")
        return value.astype(np.float32)

    check_finite(state, where)
    g, x, channels, given = OnnxGraph(), "", 0, 0
    for block, place in SUPRES:
        before = channels
        weight = held(f"{block}.double_conv.{place}.weight",
                      lambda s, n=before: len(s) == 4 and s[2:] == (3, 3) and n in (0, s[1]), f"[out, {before or 'in'}, 3, 3]")
        if not x:
            given = weight.shape[1]
            x = g.input("features", 1, given, "h", "w")
        elif place == 0:
            x = g("Resize", x, None, np.array([1, 1, 2, 2], np.float32), mode="linear",
                  coordinate_transformation_mode="align_corners")
        channels = len(weight)
        x = g("Conv", x, weight, pads=[1, 1, 1, 1])
        x = g("Relu", g("InstanceNormalization", x, np.ones(channels, np.float32), np.zeros(channels, np.float32),
                        epsilon=EPSILON))
    weight = held("outc.conv.weight", lambda s: s == (3, channels, 1, 1), f"[3, {channels}, 1, 1]")
    bias = held("outc.conv.bias", lambda s: s == (3,), "[3]")
    g.output("image", g("Sigmoid", g("Conv", x, weight, bias)))
    known = {f"{prefix}{block}.double_conv.{place}.weight" for block, place in SUPRES} | {
        f"{prefix}outc.conv.weight", f"{prefix}outc.conv.bias"}
    strange = [key for key in state if key not in known and not re.search(r"num_batches_tracked$", key)]
    if strange:
        raise FormatError(f"{where}: '{strange[0]}' is no part of the super-resolution we know; was the network changed?")
    return g.network(), given
