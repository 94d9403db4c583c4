"""The avatar's networks as a GLB holds them: plain graphs of fixed sizes, for engines and browsers. Specified in GLB.md 1.6."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from exporter import onnx_float16, onnx_plain
from exporter.capabilities import Loss
from exporter.onnx_uses import Use, feeds_of, shapes_of, uses_of
from formats import networks
from formats.avatar import Avatar, Network
from formats.codecs.glb_writer import GlbWriter
from formats.errors import BindingError, FormatError, UnsupportedFeature

EXACT = 1e-5
"""Largest difference of a plain graph from the avatar's own, over the larger of 1 and the output's largest number."""
TRIALS = 3
"""Frames that a graph is tried with."""
TRIAL_SIDE = 16
"""Pixels each way of the feature images that a decoder of open sizes is tried with."""

Value = dict[str, Any]


@dataclass(frozen=True, eq=False)
class StoredNetwork:
    """A network on its way into a file."""

    onnx: bytes
    inputs: list[Value]
    """Of `name` and `shape`."""
    outputs: list[Value]
    space: str
    half: bool = False
    """Weights are float16."""
    note: str = ""
    """Why the graph is as the avatar has it, and not plain; empty where it is, or where open sizes are meant."""
    error: Mapping[str, tuple[float, float]] | None = None
    """Of float16 weights: output name to the largest difference, and that over the output's largest number. None where weights
    are not, or where the graph could not be tried."""

    def network(self) -> Network:
        """Return what a reader makes of it."""
        inputs, outputs = (tuple(value["name"] for value in each) for each in (self.inputs, self.outputs))
        return Network(self.onnx, inputs, outputs, self.space)


_MADE: "WeakKeyDictionary[Network, dict[tuple[Any, ...], StoredNetwork]]" = WeakKeyDictionary()


def stored_networks(avatar: Avatar, float16: bool = False) -> dict[str, StoredNetwork]:
    """Return every network of `avatar` that something uses, ready to be stored, checked against the avatar's own graph.

    Args:
        avatar: Holds them.
        float16: Store weights as float16.

    Raises:
        MissingAsset: onnx or onnxruntime is not installed.
        FormatError: A graph is damaged, or gives other numbers once it is plain.
    """
    found: dict[str, list[Use]] = {}
    for use in uses_of(avatar):
        if use.role != "unused":
            found.setdefault(use.network, []).append(use)
    return {name: _stored(avatar, name, uses, float16) for name, uses in found.items()}


def write_networks(glb: GlbWriter, stored: Mapping[str, StoredNetwork]) -> dict[str, Any]:
    """Store networks and return `FLAMEPORT_avatar.networks`."""
    return {name: {"bufferView": glb.blob(each.onnx), "inputs": each.inputs, "outputs": each.outputs, "space": each.space,
                   **({"weights": "float16"} if each.half else {})} for name, each in stored.items()}


def network_losses(stored: Mapping[str, StoredNetwork]) -> list[Loss]:
    """Return what float16 weights are off by, and which graphs other engines may not run."""
    found = []
    for name, each in stored.items():
        if each.note:
            found.append(Loss(f"network '{name}' stored as it is: {each.note}", f"{len(each.onnx) / 1e6:.2f} MB", False))
        if each.half and each.error is None:
            found.append(Loss(f"network '{name}' with float16 weights", "not measured: nothing tells what it is fed", False))
        for output, (largest, relative) in (each.error or {}).items():
            found.append(Loss(f"network '{name}' with float16 weights: {output}",
                              f"up to {largest:.3g} off, {relative:.2g} of its largest", False))
    return found


def _stored(avatar: Avatar, name: str, uses: list[Use], float16: bool) -> StoredNetwork:
    network, where = avatar.networks[name], f"network '{name}'"
    declared, decoder = networks.input_shapes(network), any(use.role == "decoder" for use in uses)
    shapes, note = None, ""
    if not (decoder and any(n is None for n in declared.get("features", ())[1:])):
        try:
            each = [shapes_of(avatar, use, 0, 0) for use in uses]
            shapes = each[0] if all(other == each[0] for other in each) else None
        except (BindingError, UnsupportedFeature) as error:
            note = str(error)
        note = note or ("" if shapes else "its uses differ in size")
    key = (tuple(sorted(shapes.items())) if shapes else None, decoder, float16)
    made = _MADE.setdefault(network, {})
    if key not in made:
        made[key] = _made(avatar, network, uses[0], shapes, note, float16, where)
    return made[key]


def _made(avatar: Avatar, network: Network, use: Use, shapes: dict[str, tuple[int, ...]] | None, note: str, float16: bool,
          where: str) -> StoredNetwork:
    onnx, model = onnx_plain.onnx_package(), None
    if shapes is not None:
        try:
            model = onnx_plain.plain(network.onnx, shapes, where, pictures=use.role == "decoder", lean=True)
        except UnsupportedFeature as error:
            note = " ".join(str(error).removeprefix(f"{where}: ").split())
    plain = model is not None
    if model is None:
        model = onnx.load_model_from_string(network.onnx)
        if not note:
            onnx_plain.check_operators(model, where, pictures=True)
    feeds = truth = None
    sizes = shapes or (_trial_shapes(avatar, use) if float16 else None)
    if sizes is not None and (plain or float16):
        feeds = feeds_of(avatar, use, sizes)[:TRIALS]
        truth = [networks.evaluate(network, feed) for feed in feeds]
    if plain and feeds is not None and truth is not None:
        for output, (gap, share) in _errors(_run(model, network, feeds), truth).items():
            if not gap <= EXACT * max(1.0, gap / share if share else 0.0):
                raise FormatError(f"{where}: made plain, '{output}' is off by {gap:.3g}; at most {EXACT:g} is allowed")
    error = None
    if float16:
        model = onnx_float16.float16_weights(model)
        if feeds is not None and truth is not None:
            error = _errors(_run(model, network, feeds), truth)
    data = network.onnx if not plain and not float16 else model.SerializeToString(deterministic=True)
    # What the runtime says, which also works out what a graph leaves unsaid.
    made = Network(data, network.inputs, network.outputs, network.space)
    known = networks.input_shapes(made) | networks.output_shapes(made)
    inputs, outputs = ([{"name": name, "shape": list(known[name])} for name in names]
                       for names in (network.inputs, network.outputs))
    return StoredNetwork(data, inputs, outputs, network.space, float16, note, error)


def _trial_shapes(avatar: Avatar, use: Use) -> dict[str, tuple[int, ...]] | None:
    """Return small sizes to try a graph of open sizes with; None where nothing tells them."""
    side = TRIAL_SIDE * avatar.decoder_scale
    try:
        return shapes_of(avatar, use, side, side)
    except (BindingError, UnsupportedFeature):
        return None


def _run(model: Any, network: Network, feeds: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    made = Network(model.SerializeToString(deterministic=True), network.inputs, network.outputs, network.space)
    return [networks.evaluate(made, feed) for feed in feeds]


def _errors(found: list[dict[str, np.ndarray]], truth: list[dict[str, np.ndarray]]) -> dict[str, tuple[float, float]]:
    """Return the largest difference of each output, and that over its largest number."""
    table = {}
    for name in truth[0]:
        gap = max(float(np.abs(a[name].astype(np.float64).reshape(b[name].shape) - b[name]).max(initial=0))
                  for a, b in zip(found, truth, strict=True))
        most = max(float(np.abs(each[name]).max(initial=0)) for each in truth)
        table[name] = (gap, gap / most if most else gap)
    return table
