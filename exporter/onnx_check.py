"""Reading an exported folder of networks back: whole, plain, and giving the avatar's own numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from exporter import onnx_plain
from exporter.onnx_uses import feeds_of, shapes_of, uses_of
from exporter.ops.function_networks import functions_to_networks
from exporter.targets import onnx as target
from exporter.validation_report import Measure, ValidationReport
from formats.avatar import Avatar, LinearDynamics, SplatLayer
from formats.codecs.json_file import Fields, check_version, read_json
from formats.errors import CheckpointMismatch, FormatError, naming
from formats.files import read_bytes

SEED = 7
"""Of the inputs it is tried with: others than when it was written. Only a float16 variant gets the same, as its stated error
is about them."""
HALF_SLACK = 1.5
"""How many times its stated error a float16 variant may be off: other machines round elsewhere."""


def check(path: Path, avatar: Avatar, frames: int = 10, progress: Callable[[str], None] | None = None) -> ValidationReport:
    """Return how far the graphs in the folder `path` are from the networks of `avatar`.

    Args:
        path: What `export onnx` wrote.
        avatar: The bundle it was made from.
        frames: Not used: inputs are some frames of the clip and made-up ones.
        progress: Told what is going on.

    Raises:
        FormatError: A file is damaged, or not what networks.json says.
        CheckpointMismatch: It was made from another avatar.
    """
    tell = progress or (lambda _: None)
    where = path / target.ABOUT
    fields = Fields(read_json(where), str(where))
    check_version(fields, "format", target.FAMILY, target.MAJOR)
    if fields.fields("head").text("content_hash") != avatar.head.content_hash:
        raise CheckpointMismatch(f"{path}: made for another head; validate it against the bundle it was made from")
    avatar = functions_to_networks(avatar)
    entries = fields.fields("networks")
    measures, notes, left = [], [], set(entries.values)
    for use in uses_of(avatar):
        name = _entry_of(entries, use.network, use.layers, use.role, left)
        if name is None:
            raise CheckpointMismatch(f"{path}: holds no graph for network '{use.network}'; validate it against the bundle it "
                                     "was made from")
        tell(f"running {name}")
        entry = entries.fields(name)
        model = _read(path, entry, "file", use.role == "decoder")
        shapes = {value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim) for value in model.graph.input}
        declared = shapes_of(avatar, use, *_picture(avatar, shapes))
        if declared != shapes:
            raise CheckpointMismatch(f"{path}: '{name}' takes {shapes}, the bundle's network {declared}")
        trials = []
        for seed in (SEED, 0):
            feeds = feeds_of(avatar, use, shapes, seed)
            trials.append((feeds, target.truth_of(avatar, use, feeds)))
        measures += _measures(path, entry, name, model, trials, use.role == "decoder")
    for layer in avatar.layers:
        if isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics):
            name = _entry_of(entries, f"{layer.name}.deltas", (layer.name,), "tables", left)
            if name is None:
                notes.append(f"tables of layer '{layer.name}': not in the folder")
                continue
            model = _read(path, entries.fields(name), "file", False)
            trials = [target.table_trial(layer.dynamics, seed) for seed in (SEED, 0)]
            measures += _measures(path, entries.fields(name), name, model, trials, False)
    if left:
        raise CheckpointMismatch(f"{path}: holds '{min(left)}', which the bundle does not")
    return ValidationReport("onnx", tuple(measures), (), tuple(notes))


def _entry_of(entries: Fields, network: str, layers: tuple[str, ...], role: str, left: set[str]) -> str | None:
    """Return the name of the graph for a use, and take it off `left`: names are made of letters that files may have."""
    alike = [name for name in sorted(left) if (entry := entries.fields(name)).text("role") == role
             and entry.texts("layers") == layers]
    exact = [name for name in alike if name == network]
    found = (exact or alike or [None])[0]
    left.discard(found or "")
    return found


def _picture(avatar: Avatar, shapes: dict[str, tuple[int, ...]]) -> tuple[int, int]:
    shape = shapes.get("features", (1, 1, 1, 1))
    if len(shape) != 4:
        raise FormatError(f"a decoder's features have {len(shape)} axes, expected 4")
    return shape[3] * avatar.decoder_scale, shape[2] * avatar.decoder_scale


def _read(folder: Path, entry: Fields, key: str, pictures: bool) -> Any:
    """Return the model that an entry names, after checking that it is plain, whole and says what networks.json says."""
    onnx, name = onnx_plain.onnx_package(), entry.text(key)
    if Path(name).name != name or "\\" in name:
        raise FormatError(f"{entry.where}: names the file '{name}'; files lie beside it, without folders")
    path = folder / name
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(read_bytes(path))
        onnx.checker.check_model(model, full_check=True)
    except (DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise FormatError(f"{path}: not an ONNX graph that onnx's checker accepts; export it again") from error
    versions = {e.domain: e.version for e in model.opset_import}
    if versions != {"": onnx_plain.OPSET}:
        raise FormatError(f"{path}: opset {versions}; expected {onnx_plain.OPSET} of ONNX's own operators")
    onnx_plain.check_operators(model, str(path), pictures)
    onnx_plain.static_shapes(model, str(path))
    with naming(path):
        said = target.metadata(model)
    for field in ("role", "layers", "space", "inputs", "outputs"):
        if said.get(field) != entry.values.get(field):
            raise FormatError(f"{path}: its metadata says another '{field}' than {target.ABOUT}; export it again")
    return model


def _measures(folder: Path, entry: Fields, name: str, model: Any, trials: list[target.Trial], pictures: bool
              ) -> list[Measure]:
    measures = []
    feeds, truth = trials[0]
    for output, error in target.errors(target.run(model.SerializeToString(), feeds), truth).items():
        bound = target.EXACT * max(1.0, error["magnitude"])
        measures.append(Measure(f"{name}: {output}", error["largest"], "", bound))
    if entry.has("float16_file"):
        half = _read(folder, entry, "float16_file", pictures)
        stated = entry.fields("error").fields("float16")
        feeds, truth = trials[1]
        for output, error in target.errors(target.run(half.SerializeToString(), feeds), truth).items():
            bound = HALF_SLACK * stated.fields(output).number("largest") + target.EXACT
            measures.append(Measure(f"{name}, float16: {output}", error["largest"], "", bound))
    return measures
