"""Running an avatar's ONNX networks, with onnxruntime, only when one is used."""

import functools
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from formats.avatar import Network
from formats.errors import BindingError, FormatError, MissingAsset


def _load_errors() -> tuple[type[BaseException], ...]:
    # onnxruntime raises classes of its own, which share no base but Exception.
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NotImplemented", "RuntimeException")
    return (RuntimeError, ValueError, *(getattr(state, n) for n in names if hasattr(state, n)))


def _refuse_external_data(onnx: bytes) -> None:
    # Weights may be declared to lie in other files; a stranger's graph must not choose which of ours is read.
    import onnx as package
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import uses_external_data

    try:
        model = package.load_model_from_string(onnx)
    except DecodeError as error:
        raise FormatError("network: not an ONNX graph") from error
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        attributes = [a for node in graph.node for a in node.attribute]
        graphs += [g for a in attributes for g in (a.g, *a.graphs) if g.ByteSize()]
        tensors = [*graph.initializer, *(t for a in attributes for t in (a.t, *a.tensors))]
        if any(uses_external_data(t) for t in tensors):
            raise FormatError("network: keeps weights outside the file; save it again with its weights inside")


@functools.lru_cache(maxsize=8)
def _session(onnx: bytes) -> Any:
    try:
        import onnxruntime

        _refuse_external_data(onnx)
    except ImportError as error:
        raise MissingAsset("this avatar holds a network; install onnxruntime: pip install 'flameport[export]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except _load_errors() as error:
        raise FormatError(f"network: onnxruntime cannot load it: {str(error).splitlines()[0]}") from error


def evaluate(network: Network, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the network's outputs by name for inputs [1, D] by name.

    Raises:
        FormatError: The graph cannot be loaded, or has other inputs and outputs than the avatar says.
        BindingError: An input has the wrong width.
    """
    session = _session(network.onnx)
    declared = {i.name: i.shape for i in session.get_inputs()}
    if set(declared) != set(network.inputs):
        raise FormatError(f"network: expected inputs {', '.join(network.inputs)}; the graph has {', '.join(declared)}")
    for name, shape in declared.items():
        if isinstance(shape[-1], int) and shape[-1] != feed[name].shape[-1]:
            raise BindingError(f"network input '{name}': expected {shape[-1]} numbers, the frame has "
                               f"{feed[name].shape[-1]}")
    return dict(zip(network.outputs, session.run(list(network.outputs), dict(feed)), strict=True))


def input_shapes(network: Network) -> dict[str, tuple[int | None, ...]]:
    """Return the network's inputs by name with their shapes; None where any size will do.

    Raises:
        FormatError: The graph cannot be loaded.
    """
    return {i.name: tuple(n if isinstance(n, int) else None for n in i.shape) for i in _session(network.onnx).get_inputs()}


def output_shapes(network: Network) -> dict[str, tuple[int | None, ...]]:
    """Return the network's outputs by name with their shapes; None where the graph leaves a size open.

    Raises:
        FormatError: The graph cannot be loaded.
    """
    return {i.name: tuple(n if isinstance(n, int) else None for n in i.shape) for i in _session(network.onnx).get_outputs()}
