"""ONNX graphs made plain for engines: opset 15, every size fixed, constants folded, and only operators on a list.

The list (`OPERATORS`) is made of matrix products, elementwise operators, reductions and moves of data, which Unity's Sentis
and its successor list as theirs, as onnxruntime and its web build do.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.onnx_graph import IR_VERSION, OPSET

LAYOUT = ("Concat", "Expand", "Gather", "Identity", "Reshape", "Slice", "Split", "Tile", "Transpose")
PRODUCTS = ("Gemm", "MatMul")
ELEMENTWISE = ("Abs", "Acos", "Add", "And", "Asin", "Atan", "Cast", "Ceil", "Clip", "Cos", "Div", "Elu", "Equal", "Erf", "Exp",
               "Floor", "Greater", "GreaterOrEqual", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Min", "Mul", "Neg",
               "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus", "Sqrt",
               "Sub", "Tan", "Tanh", "Where")
REDUCTIONS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Softmax")
IMAGES = ("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool",
          "InstanceNormalization", "MaxPool", "Pad", "Resize")
"""What networks on pictures are made of. Other networks may not use them."""
OPERATORS = frozenset({*LAYOUT, *PRODUCTS, *ELEMENTWISE, *REDUCTIONS})
MOST_AXES = 8
"""Of a tensor in Unity's Sentis."""
FOLDED_LIMIT = 1 << 24
"""Numbers in a constant made by folding, at most."""
LEAN_LIMIT = 1 << 12
"""The same where the file's size matters, of `GROWING`."""
GROWING = frozenset({"Concat", "Expand", "Gather", "Tile", *PRODUCTS, *ELEMENTWISE, *REDUCTIONS} - {"Cast"})
"""Operators whose result is worth no more bytes than what it is made of."""
RESHAPED = ("Flatten", "Squeeze", "Unsqueeze")
"""Operators that are a Reshape once sizes are fixed, and are written as one: they changed between opsets."""


def onnx_package() -> Any:
    """Return the package onnx.

    Raises:
        MissingAsset: It is not installed.
    """
    try:
        import onnx
        import onnx.helper
        import onnx.numpy_helper
        import onnx.shape_inference
    except ImportError as error:
        raise MissingAsset("export onnx needs the package onnx: pip install 'flameport[export]'") from error
    return onnx


def plain(data: bytes, shapes: Mapping[str, tuple[int, ...]], where: str, pictures: bool = False, lean: bool = False) -> Any:
    """Return the graph of `data` as a model of opset 15 whose values all have a fixed shape.

    Args:
        data: An ONNX file.
        shapes: Every input's.
        where: Names the network in messages.
        pictures: Allow `IMAGES` as well.
        lean: Leave large results that plain operators make of constants to whoever loads the graph: a file with them may be
            several times as large.

    Raises:
        FormatError: It is no graph that can be read, or has other inputs than `shapes`.
        UnsupportedFeature: It needs operators that are not on the list, or sizes that depend on values.
    """
    onnx = onnx_package()
    model = _at_opset(onnx, data, where)
    graph = model.graph
    stored = {t.name for t in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if {value.name for value in inputs} != set(shapes):
        raise FormatError(f"{where}: the graph takes {', '.join(v.name for v in inputs)}; expected {', '.join(shapes)}")
    del graph.input[:]
    graph.input.extend(onnx.helper.make_tensor_value_info(v.name, onnx.TensorProto.FLOAT, shapes[v.name]) for v in inputs)
    outputs = [(value.name, value.type.tensor_type.elem_type) for value in graph.output]
    del graph.output[:]
    graph.output.extend(onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in outputs)
    _fold(onnx, model, where, lean)
    known = static_shapes(model, where)
    _reshape(onnx, graph, known)
    _lower_resize(onnx, graph, known)
    _drop_unused(graph)
    for value in graph.output:
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, known[value.name]))
    del graph.value_info[:]
    check_operators(model, where, pictures)
    _check(onnx, model, where)
    return model


def check_operators(model: Any, where: str, pictures: bool = False) -> None:
    """Raise `UnsupportedFeature` unless every operator of `model` is on the list."""
    allowed = OPERATORS | set(IMAGES) if pictures else OPERATORS
    strange = sorted({node.op_type if not node.domain else f"{node.domain}.{node.op_type}" for node in model.graph.node
                      if node.domain not in ("", "ai.onnx") or node.op_type not in allowed})
    if strange:
        raise UnsupportedFeature(f"{where}: uses {', '.join(strange)}, which not every engine runs; plain operators are "
                                 f"{', '.join(sorted(allowed))}")


def static_shapes(model: Any, where: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of every value in `model`.

    Raises:
        UnsupportedFeature: One depends on values, or has more than `MOST_AXES` axes.
    """
    graph = _inferred(onnx_package(), model, where).graph
    known = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            known[value.name] = tuple(d.dim_value for d in kind.shape.dim)
    for node in graph.node:
        for name in filter(None, node.output):
            if name not in known:
                raise UnsupportedFeature(f"{where}: the size of what {node.op_type} gives ('{name}') depends on values; "
                                         "engines need fixed sizes")
            if len(known[name]) > MOST_AXES:
                raise UnsupportedFeature(f"{where}: '{name}' has {len(known[name])} axes, Unity takes {MOST_AXES}")
    return known


def operators(model: Any) -> dict[str, int]:
    """Return how often each operator is used, sorted by name."""
    names = [node.op_type for node in model.graph.node]
    return {name: names.count(name) for name in sorted(set(names))}


def subtract(model: Any, means: Mapping[str, np.ndarray]) -> None:
    """Let `model` take each input in `means` with its mean [D] still in it, in place."""
    onnx, graph = onnx_package(), model.graph
    nodes = []
    for name, mean in means.items():
        for node in graph.node:
            for i, used in enumerate(node.input):
                if used == name:
                    node.input[i] = f"{name}_less_mean"
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(mean, np.float32)[None], f"{name}_mean"))
        nodes.append(onnx.helper.make_node("Sub", [name, f"{name}_mean"], [f"{name}_less_mean"]))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


# --- Steps ------------------------------------------------------------------------------------------------------------


def _at_opset(onnx: Any, data: bytes, where: str) -> Any:
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise FormatError(f"{where}: not an ONNX graph") from error
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if model.functions or set(versions) - {"ai.onnx"} and any(n.domain not in ("", "ai.onnx") for n in model.graph.node):
        raise UnsupportedFeature(f"{where}: uses operators of its own; save it with ONNX's, opset {OPSET}")
    if versions.get("ai.onnx") != OPSET:
        import onnx.version_converter as versions_of

        try:
            model = versions_of.convert_version(model, OPSET)
        except (RuntimeError, ValueError) as error:
            raise UnsupportedFeature(f"{where}: opset {versions.get('ai.onnx')} cannot be written as {OPSET}: "
                                     f"{str(error).splitlines()[0]}; save it with opset {OPSET}") from error
    del model.opset_import[:]
    model.opset_import.extend([onnx.helper.make_opsetid("", OPSET)])
    model.ir_version, model.producer_name, model.producer_version, model.doc_string = IR_VERSION, "flameport", "", ""
    del model.metadata_props[:]
    return model


def _inferred(onnx: Any, model: Any, where: str) -> Any:
    try:
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise UnsupportedFeature(f"{where}: sizes do not work out: {' '.join(str(error).split())[:200]}") from error


def _check(onnx: Any, model: Any, where: str) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise FormatError(f"{where}: onnx's checker refuses it: {' '.join(str(error).split())[:200]}") from error


def _fold(onnx: Any, model: Any, where: str, lean: bool) -> None:
    """Turn what does not depend on the inputs into constants, in place; `Shape` of a known size is one."""
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    before = -1
    while before != len(graph.node):  # one pass is enough where no Shape waits for another's fold
        before = len(graph.node)
        seen = _inferred(onnx, model, where).graph
        sizes = {v.name: v.type.tensor_type.shape.dim for v in (*seen.input, *seen.value_info)}
        kept = []
        for node in graph.node:
            given = [name for name in node.input if name]
            values: list[np.ndarray] | None = None
            if node.op_type == "Shape" and given[0] in sizes and all(d.HasField("dim_value") for d in sizes[given[0]]):
                whole = np.array([d.dim_value for d in sizes[given[0]]], np.int64)
                ends = {a.name: a.i for a in node.attribute}
                values = [whole[ends.get("start", 0):ends.get("end", len(whole))]]
            elif all(name in constants for name in given) and not _random(node) and not _large(
                    node, sizes, LEAN_LIMIT if lean and node.op_type in GROWING else FOLDED_LIMIT):
                made = ReferenceEvaluator(node, opsets={"": OPSET}).run(None, {name: constants[name] for name in given})
                values = [np.asarray(value) for value in made]
            if values is None:
                kept.append(node)
                continue
            for name, value in zip(node.output, values, strict=True):
                constants[name] = value
                graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        del graph.node[:]
        graph.node.extend(kept)
    _constant_outputs(onnx, graph, constants)


def _constant_outputs(onnx: Any, graph: Any, constants: Mapping[str, np.ndarray]) -> None:
    # An output that depends on nothing still needs a node that gives it.
    for value in graph.output:
        if value.name in constants:
            tensor = next(t for t in graph.initializer if t.name == value.name)
            tensor.name = f"{value.name}_constant"
            graph.node.append(onnx.helper.make_node("Identity", [tensor.name], [value.name]))


def _random(node: Any) -> bool:
    return node.op_type.startswith("Random") or node.op_type in ("Multinomial", "Bernoulli")


def _large(node: Any, sizes: Mapping[str, Any], limit: int) -> bool:
    if node.op_type == "Constant":
        return False
    found = [sizes.get(name) for name in node.output]
    return any(dims is None or np.prod([d.dim_value for d in dims], dtype=float) > limit for dims in found)


def _reshape(onnx: Any, graph: Any, known: Mapping[str, tuple[int, ...]]) -> None:
    for node in graph.node:
        if node.op_type in RESHAPED:
            size = f"{node.output[0]}_size"
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(known[node.output[0]], np.int64), size))
            node.CopyFrom(onnx.helper.make_node("Reshape", [node.input[0], size], list(node.output), name=node.name))


def _lower_resize(onnx: Any, graph: Any, known: Mapping[str, tuple[int, ...]]) -> None:
    """Write bilinear Resize as two gathered neighbours and their weights along each axis, in place.

    Which ways of placing texels an engine's Resize knows differs from engine to engine; this does not.
    """
    nodes = []
    for node in graph.node:
        said = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        mode = said.get("coordinate_transformation_mode", b"half_pixel").decode()
        if node.op_type != "Resize" or said.get("mode", b"nearest") != b"linear" or mode not in _PLACES:
            nodes.append(node)
            continue
        value, shape = node.input[0], list(known[node.input[0]])
        wanted = known[node.output[0]]
        axes = [axis for axis in range(len(shape)) if shape[axis] != wanted[axis]]
        for axis in axes:
            low, share = _neighbours(shape[axis], wanted[axis], mode)
            shape[axis] = wanted[axis]
            name = f"{node.output[0]}_{axis}"
            parts = []
            for side, index, weight in (("low", low, 1 - share), ("high", np.minimum(low + 1, known[value][axis] - 1), share)):
                held = {"index": index, "weight": weight.astype(np.float32).reshape([-1] + [1] * (len(shape) - axis - 1))}
                graph.initializer.extend(onnx.numpy_helper.from_array(v, f"{name}_{side}_{k}") for k, v in held.items())
                nodes.append(onnx.helper.make_node("Gather", [value, f"{name}_{side}_index"], [f"{name}_{side}"], axis=axis))
                nodes.append(onnx.helper.make_node("Mul", [f"{name}_{side}", f"{name}_{side}_weight"], [f"{name}_{side}_part"]))
                parts.append(f"{name}_{side}_part")
            made = node.output[0] if axis == axes[-1] else name
            nodes.append(onnx.helper.make_node("Add", parts, [made]))
            value, known = made, {**known, made: tuple(shape)}
        if not axes:
            nodes.append(onnx.helper.make_node("Identity", [value], [node.output[0]]))
    set_nodes(graph, nodes)


def set_nodes(graph: Any, nodes: list[Any]) -> None:
    """Make `nodes` the graph's; some may be its own, so they are copied before those are dropped."""
    copies = []
    for node in nodes:
        twin = type(node)()
        twin.CopyFrom(node)
        copies.append(twin)
    del graph.node[:]
    graph.node.extend(copies)


_PLACES = {
    "align_corners": lambda at, before, after: at * (before - 1) / max(after - 1, np.float32(1)),
    "asymmetric": lambda at, before, after: at * before / after,
    "half_pixel": lambda at, before, after: (at + 0.5) * before / after - 0.5,
    "pytorch_half_pixel": lambda at, before, after: (at + 0.5) * before / after - 0.5 if after > 1 else at * 0,
}
"""Where a texel of the new size lies on the old one, as ONNX's page on Resize defines it."""


def _neighbours(before: int, after: int, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower neighbour [after], int64, and the share of the other one, of each new texel along an axis."""
    # In single precision, as runtimes have it: on large pictures the difference would show at the sixth digit.
    old, new = np.float32(before), np.float32(after)
    at = np.clip(_PLACES[mode](np.arange(after, dtype=np.float32), old, new), np.float32(0), old - np.float32(1))
    low = np.floor(at).astype(np.int64)
    return low, at - low


def _drop_unused(graph: Any) -> None:
    wanted, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    tensors = [t for t in graph.initializer if t.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(tensors)


def products(data: bytes) -> int:
    """Return how many products a run of a plain graph takes in its matrix products, which is nearly all of its work."""
    onnx = onnx_package()
    graph = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data), data_prop=True).graph
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
              for value in (*graph.input, *graph.value_info, *graph.output)}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type in PRODUCTS:
            turned = any(each.name == "transA" and each.i for each in node.attribute)
            total += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if turned else -1]
    return total
