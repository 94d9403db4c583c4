"""Networks from strangers: only what is inside the file counts."""

import numpy as np
import onnx
import pytest

from formats import networks
from formats.avatar import Network
from formats.errors import BindingError, FormatError
from tests.builders import tiny_head, tiny_network

SMALL = tiny_network(tiny_head(), ("jaw",), {"coefficients": (1, 4)})


def test_a_network_gives_its_outputs_by_name() -> None:
    out = networks.evaluate(SMALL, {"jaw": np.zeros((1, 3), np.float32)})
    assert out["coefficients"].shape == (1, 4)


def test_weights_in_other_files_are_refused() -> None:
    model = onnx.load_model_from_string(SMALL.onnx)
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    with pytest.raises(FormatError, match="outside the file"):
        networks.evaluate(Network(model.SerializeToString(), SMALL.inputs, SMALL.outputs), {})


@pytest.mark.parametrize("data", [b"", b"not a graph", SMALL.onnx[:40]])
def test_damaged_graphs_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="network"):
        networks.evaluate(Network(data, ("jaw",), ("coefficients",)), {"jaw": np.zeros((1, 3), np.float32)})


def test_an_input_of_the_wrong_width_is_named() -> None:
    with pytest.raises(BindingError, match="jaw"):
        networks.evaluate(SMALL, {"jaw": np.zeros((1, 5), np.float32)})
