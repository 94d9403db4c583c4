"""Networks as ONNX for engines: a folder of graphs (opset 15, fixed sizes, plain operators) and networks.json about them."""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporter import onnx_float16, onnx_plain
from exporter.capabilities import Capabilities, Loss
from exporter.onnx_uses import INPUTS, OUTPUTS, Use, feeds_of, network_of, shapes_of, uses_of
from exporter.ops.function_networks import functions_to_networks
from formats import networks
from formats.avatar import Avatar, LinearDynamics, MeshLayer, Network, SplatLayer
from formats.codecs.json_file import dump_line, write_json
from formats.deform import linear_deltas
from formats.errors import FormatError, UnsupportedFeature
from formats.files import replacing_folder
from formats.onnx_graph import OPSET, OnnxGraph

CAPABILITIES = Capabilities(subject="networks", layers=frozenset({"splats", "mesh", "strands"}),
                            dynamics=frozenset({"linear", "linear-network", "network"}), decoder=True, foreign_players=False)
ABOUT, FAMILY, MAJOR = "networks.json", "flameport.networks", 1
EXACT = 1e-5
"""Largest difference from the avatar's own graph, over the larger of 1 and the output's largest number."""
COARSE = 0.02
"""Where float16 arithmetic is further off than this share of the output's largest number, only weights become float16."""
METADATA = "flameport."
"""What the names of our metadata properties begin with."""


@dataclass(frozen=True)
class Options:
    """Which variants, and the sizes that engines need fixed."""

    width: int = 512
    """Pixels of the picture that an image decoder makes, where it takes any size."""
    height: int = 512
    """The same, down."""
    float16: bool = False
    """Write a float16 variant beside each graph, with its measured error."""
    tables: bool = True
    """Also write the tables of linear dynamics, as graphs from coefficients to deltas."""


@dataclass(frozen=True, eq=False)
class Graph:
    """One file in the making."""

    name: str
    role: str
    layers: tuple[str, ...]
    space: str
    model: Any
    means: Mapping[str, np.ndarray]
    error: dict[str, float]
    """Output name to the largest difference from the avatar's own graph."""
    half: Any = None
    half_kind: str = ""
    """`float16` arithmetic, or only float16 `weights`."""
    half_error: Mapping[str, Mapping[str, float]] | None = None


def write(avatar: Avatar, out: Path, options: Options) -> list[Path]:
    """Write the folder `out` and return its files; the layout of networks.json is in `exporter/ONNX.md`.

    Raises:
        UnsupportedFeature: The avatar has no network, or one that plain operators of fixed size cannot say.
        MissingAsset: onnx or onnxruntime is not installed.
        FormatError: `out` holds something that is no exported folder; or a graph gives other numbers than the avatar's.
    """
    out = Path(out)
    if out.is_dir() and any(out.iterdir()) and not (out / ABOUT).is_file():
        raise FormatError(f"{out}: a folder with other things in it; choose a new --out, or empty it first")
    graphs = graphs_of(avatar, options)
    with replacing_folder(out) as folder:
        entries = {graph.name: _write_graph(avatar, graph, folder) for graph in graphs}
        write_json({
            "format": f"{FAMILY}/{MAJOR}", "opset": OPSET,
            "head": {"edition": avatar.head.edition, "content_hash": avatar.head.content_hash,
                     "expr_names": list(avatar.head.expr_names)},
            "system": avatar.meta.system, "paper": avatar.meta.paper, "license_notices": list(avatar.meta.license_notices),
            "networks": entries}, folder / ABOUT)
        names = sorted(p.name for p in folder.iterdir())
    return [out / name for name in names]


def losses(avatar: Avatar, options: Options) -> list[Loss]:
    """Return what the float16 variants are off by; the graphs beside them are exact."""
    if not options.float16:
        return []
    return [Loss(f"float16 variant of '{graph.name}' ({graph.half_kind}): {name}",
                 f"up to {error['largest']:.3g}{_unit(name)} off, {error['relative']:.2g} of its largest", False)
            for graph in graphs_of(avatar, options) for name, error in (graph.half_error or {}).items()]


def _unit(output: str) -> str:
    unit = OUTPUTS[output][0].split(",")[0]
    return "" if unit == "1" else f" {unit}"


@functools.lru_cache(maxsize=1)
def graphs_of(avatar: Avatar, options: Options) -> tuple[Graph, ...]:
    """Return every graph of `avatar`, made plain, checked against the avatar's own, with its float16 twin if asked for."""
    avatar = functions_to_networks(avatar)
    uses = uses_of(avatar)
    names = [use.network for use in uses]
    graphs: list[Graph] = []
    for use in uses:
        stem = use.network if names.count(use.network) == 1 else f"{use.network}.{'.'.join(use.layers) or use.role}"
        graphs.append(_graph(avatar, use, _file_stem(stem, graphs), options))
    if options.tables:
        for layer in avatar.layers:
            if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics):
                graphs.append(_tables(layer.name, layer.dynamics, _file_stem(f"{layer.name}.deltas", graphs), options))
    if not graphs:
        raise UnsupportedFeature("onnx: the avatar has no networks; export it as glb, which carries all of it")
    return tuple(graphs)


def _file_stem(name: str, graphs: list[Graph]) -> str:
    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".") or "network"
    taken, number = {graph.name for graph in graphs}, 2
    found = stem
    while found in taken:
        found, number = f"{stem}-{number}", number + 1
    return found


def _graph(avatar: Avatar, use: Use, name: str, options: Options) -> Graph:
    network, where = network_of(avatar, use), f"network '{use.network}'"
    shapes = shapes_of(avatar, use, options.width, options.height)
    model = onnx_plain.plain(network.onnx, shapes, where, pictures=use.role == "decoder")
    onnx_plain.subtract(model, use.mean)
    feeds = feeds_of(avatar, use, shapes)
    trial = feeds, truth_of(avatar, use, feeds)
    return _checked(Graph(name, use.role, use.layers, network.space, model, use.mean, {}), trial, options, where)


def _tables(layer: str, dynamics: LinearDynamics, name: str, options: Options) -> Graph:
    """Return the graph from coefficients [1, K] to the deltas of linear dynamics."""
    made, rank = OnnxGraph(), next(iter(dynamics.tables.values())).shape[1]
    c = made.input("coefficients", 1, rank)
    for channel, table in dynamics.tables.items():
        flat = np.ascontiguousarray(table.transpose(1, 0, 2)).reshape(rank, -1)
        made.output(f"delta_{channel}", made("Reshape", made("MatMul", c, flat), np.array([len(table), table.shape[2]])))
    where = f"linear dynamics of layer '{layer}'"
    model = onnx_plain.plain(made.network(dynamics.space).onnx, {"coefficients": (1, rank)}, where)
    return _checked(Graph(name, "tables", (layer,), dynamics.space, model, {}, {}), table_trial(dynamics), options, where)


# --- Checking ---------------------------------------------------------------------------------------------------------

Trial = tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]
"""Inputs by name, and what should come out of each."""


def truth_of(avatar: Avatar, use: Use, feeds: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """Return what the avatar's own graph makes of each feed, whose means are still in it."""
    return [networks.evaluate(network_of(avatar, use), {name: value - np.float32(use.mean.get(name, 0))
                                                        for name, value in feed.items()}) for feed in feeds]


def table_trial(dynamics: LinearDynamics, seed: int = 0) -> Trial:
    """Return made-up coefficients for the tables of linear dynamics, and the deltas in float64."""
    rng, rank = np.random.default_rng(seed), next(iter(dynamics.tables.values())).shape[1]
    feeds = [{"coefficients": rng.normal(size=(1, rank)).astype(np.float32)} for _ in range(2)]
    return feeds, [{f"delta_{name}": value for name, value in
                    linear_deltas(dynamics, feed["coefficients"][0].astype(np.float64)).items()} for feed in feeds]


def run(model: bytes, feeds: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """Return what onnxruntime makes of each feed."""
    outputs = tuple(value.name for value in onnx_plain.onnx_package().load_model_from_string(model).graph.output)
    network = Network(model, tuple(feeds[0]), outputs)
    return [networks.evaluate(network, feed) for feed in feeds]


def errors(found: list[dict[str, np.ndarray]], truth: list[dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Return the `largest` difference of each output, and `relative` to its largest number, `magnitude`."""
    table = {}
    for name in truth[0]:
        wanted = [np.asarray(each[name], np.float64) for each in truth]
        gap = max(float(np.abs(a[name].reshape(b.shape) - b).max(initial=0)) for a, b in zip(found, wanted, strict=True))
        most = max(float(np.abs(b).max(initial=0)) for b in wanted)
        table[name] = {"largest": gap, "relative": gap / most if most else gap, "magnitude": most}
    return table


def _checked(graph: Graph, trial: Trial, options: Options, where: str) -> Graph:
    feeds, truth = trial
    found = errors(run(graph.model.SerializeToString(deterministic=True), feeds), truth)
    for name, error in found.items():
        if not error["largest"] <= EXACT * max(1.0, error["magnitude"]):
            raise FormatError(f"{where}: made plain, '{name}' is off by {error['largest']:.3g} of {error['magnitude']:.3g}; at "
                              f"most {EXACT:g} is allowed")
    exact = {name: error["largest"] for name, error in found.items()}
    if not options.float16:
        return Graph(**{**vars(graph), "error": exact})
    half, kind, table = _half(graph.model, trial)
    return Graph(**{**vars(graph), "error": exact, "half": half, "half_kind": kind, "half_error": table})


def _half(model: Any, trial: Trial) -> tuple[Any, str, dict[str, dict[str, float]]]:
    """Return the float16 variant, of which kind it is, and its errors."""
    feeds, truth = trial
    if onnx_float16.fits(model):
        half = onnx_float16.float16_arithmetic(model)
        table = errors(run(half.SerializeToString(deterministic=True), feeds), truth)
        if all(np.isfinite(e["largest"]) and e["relative"] <= COARSE for e in table.values()):
            return half, "float16", table
    half = onnx_float16.float16_weights(model)
    return half, "weights", errors(run(half.SerializeToString(deterministic=True), feeds), truth)


# --- What is said about a graph ---------------------------------------------------------------------------------------


def _write_graph(avatar: Avatar, graph: Graph, folder: Path) -> dict[str, Any]:
    """Write a graph and its variant, and return its entry in networks.json; the files say the same in their metadata."""
    entry = about(avatar, graph)
    for model, key, suffix in ((graph.model, "file", ".onnx"), (graph.half, "float16_file", ".float16.onnx")):
        if model is not None:
            entry[key] = graph.name + suffix
            set_metadata(model, graph.name, entry, avatar)
            (folder / entry[key]).write_bytes(model.SerializeToString(deterministic=True))
    return entry


def about(avatar: Avatar, graph: Graph) -> dict[str, Any]:
    """Return what networks.json and the metadata say about a graph."""
    entry: dict[str, Any] = {
        "role": graph.role, "layers": list(graph.layers), "space": graph.space,
        "inputs": [_value(avatar, v, INPUTS, "the sequence's own driver of that name, as it stores it", graph.means)
                   for v in graph.model.graph.input],
        "outputs": [_value(avatar, v, OUTPUTS, "", None) for v in graph.model.graph.output],
        "operators": onnx_plain.operators(graph.model),
        "error": {"against": "the avatar's own graph, with onnxruntime", "float32": graph.error}}
    if graph.role == "shading":
        entry["shading"] = [_shading(layer) for layer in avatar.layers if layer.name in graph.layers]
    if graph.role == "decoder":
        entry["decoder_scale"] = avatar.decoder_scale
    if graph.half is not None:
        entry["float16"] = {"arithmetic": "float16" if graph.half_kind == "float16" else "float32, weights stored as float16",
                            "operators": onnx_plain.operators(graph.half)}
        entry["error"]["float16"] = {name: dict(error) for name, error in (graph.half_error or {}).items()}
    return entry


def _value(avatar: Avatar, value: Any, known: Mapping[str, tuple[str, str]], other: str,
           means: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    unit, meaning = known.get(value.name, ("as the sequence stores it", other))
    entry: dict[str, Any] = {"name": value.name, "shape": [d.dim_value for d in value.type.tensor_type.shape.dim],
                             "type": "float32", "unit": unit, "meaning": meaning}
    if value.name == "expr":
        entry["order"] = list(avatar.head.expr_names)
    if means is not None:
        mean = means.get(value.name)
        entry["normalisation"] = {"kind": "none"} if mean is None else {
            "kind": "subtract", "mean": [float(x) for x in mean], "by": "the graph itself; give the driver as it is"}
    return entry


def _shading(layer: Any) -> dict[str, Any]:
    assert isinstance(layer, MeshLayer) and layer.shading is not None
    mix = layer.shading
    return {"layer": layer.name, "hidden": mix.hidden, "bases": len(mix.bases), "features": mix.position_features.shape[2],
            "temperature": mix.temperature, "space": mix.space,
            "formula": "sum_k softmax(temperature W2 relu(W1 [features, normal, direction]))_k bases_k"}


def set_metadata(model: Any, name: str, entry: Mapping[str, Any], avatar: Avatar) -> None:
    """Put what networks.json says about a graph into its metadata properties, in place."""
    said = {"name": name, "edition": avatar.head.edition, "content_hash": avatar.head.content_hash,
            "license": " ".join(avatar.meta.license_notices), "system": avatar.meta.system,
            **{key: value if isinstance(value, str) else dump_line(value) for key, value in entry.items()
               if key in ("role", "layers", "space", "inputs", "outputs", "shading", "decoder_scale", "error", "float16")}}
    onnx_plain.onnx_package().helper.set_model_props(model, {METADATA + key: str(value) for key, value in said.items()})


def metadata(model: Any) -> dict[str, Any]:
    """Return our metadata properties of a model, parsed.

    Raises:
        FormatError: They are no text, or no JSON where they look like it.
    """
    found: dict[str, Any] = {}
    for entry in model.metadata_props:
        if not isinstance(entry.key, str) or not isinstance(entry.value, str):  # bytes that are no UTF-8
            raise FormatError("metadata: is no text; export the networks again")
        if entry.key.startswith(METADATA):
            found[entry.key.removeprefix(METADATA)] = entry.value
    for key, value in found.items():
        if value[:1] in "[{":
            try:
                found[key] = json.loads(value)
            except ValueError as error:
                raise FormatError(f"metadata '{METADATA}{key}' is not JSON") from error
    return found
