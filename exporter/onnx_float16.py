"""A network's float16 twin: half the bytes, the same float32 inputs and outputs."""

from typing import Any

import numpy as np

from exporter.onnx_plain import onnx_package, set_nodes

LARGEST = 65504.0
"""Of float16."""
SMALL_TENSOR = 16
"""Numbers; smaller tensors stay float32 where only weights are halved: a Cast costs more than they save."""


def fits(model: Any) -> bool:
    """Tell whether every float of `model` has a float16 near it."""
    onnx = onnx_package()
    arrays = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    return all(np.abs(array).max(initial=0) <= LARGEST for array in arrays)


def float16_arithmetic(model: Any) -> Any:
    """Return a copy of `model` whose weights and values are float16 between a Cast of each input and of each output.

    Only for models that `fits` approves of.
    """
    onnx, half = onnx_package(), _copy(model)
    graph, kinds = half.graph, onnx.TensorProto
    sizes = _resize_sizes(graph)
    for tensor in graph.initializer:
        if tensor.data_type == kinds.FLOAT and tensor.name not in sizes:
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    inner = {value.name: f"{value.name}_float16" for value in (*graph.input, *graph.output)
             if value.type.tensor_type.elem_type == kinds.FLOAT}
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = inner.get(name, name)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == kinds.FLOAT:
                attribute.i = kinds.FLOAT16
    cast = onnx.helper.make_node
    before = [cast("Cast", [v.name], [inner[v.name]], to=kinds.FLOAT16) for v in graph.input if v.name in inner]
    after = [cast("Cast", [inner[v.name]], [v.name], to=kinds.FLOAT) for v in graph.output if v.name in inner]
    _set_nodes(graph, [*before, *graph.node, *after])
    onnx.checker.check_model(half, full_check=True)
    return half


def float16_weights(model: Any) -> Any:
    """Return a copy of `model` that stores its weights as float16 and computes in float32.

    Weights beyond float16's range, and tensors of few numbers, stay as they are.
    """
    onnx, half = onnx_package(), _copy(model)
    graph, kinds, casts = half.graph, onnx.TensorProto, []
    sizes = _resize_sizes(graph)
    for tensor in graph.initializer:
        if tensor.data_type != kinds.FLOAT or tensor.name in sizes:
            continue
        array = onnx.numpy_helper.to_array(tensor)
        if array.size < SMALL_TENSOR or np.abs(array).max(initial=0) > LARGEST:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), f"{name}_float16"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_float16"], [name], to=kinds.FLOAT))
    _set_nodes(graph, [*casts, *graph.node])
    onnx.checker.check_model(half, full_check=True)
    return half


def _copy(model: Any) -> Any:
    twin = type(model)()
    twin.CopyFrom(model)
    return twin


def _resize_sizes(graph: Any) -> set[str]:
    # Resize takes its factors as float32, whatever it resizes.
    return {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}


def _set_nodes(graph: Any, nodes: list[Any]) -> None:
    set_nodes(graph, nodes)
    del graph.value_info[:]
