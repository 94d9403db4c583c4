"""Building an avatar's ONNX networks without torch: a few lines of `onnx.helper`, so that importers read like formulas."""

from typing import Any

import numpy as np

from formats.avatar import Network
from formats.errors import MissingAsset

OPSET = 15
"""Old enough for Unity's and the browser's runtimes."""
IR_VERSION = 8
"""What ONNX 1.10 wrote for that opset."""


class OnnxGraph:
    """A graph in the making. Values are names; every method that adds a node returns the name of what it computes.

    Floats are float32 and integers int64, whatever is given. Use only plain operators (no control flow, no random numbers).
    """

    def __init__(self) -> None:
        try:
            import onnx.helper
            import onnx.numpy_helper  # noqa: F401
        except ImportError as error:
            raise MissingAsset("this avatar needs a network written; install onnx: pip install 'flameport[export]'") from error
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._inputs: dict[str, Any] = {}
        self._outputs: list[str] = []
        self._constants: dict[bytes, Any] = {}
        self._count = 0

    def input(self, name: str, *shape: int | str) -> str:
        """Add an input and return its name; a driver is [1, D]. An axis given by a name may have any size."""
        value = self._onnx.helper.make_tensor_value_info(name, self._onnx.TensorProto.FLOAT, list(shape))
        self._inputs[name] = value
        return name

    def constant(self, value: Any) -> str:
        """Return the name of a stored array; equal arrays are stored once."""
        array = np.asarray(value)
        array = np.ascontiguousarray(array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)).reshape(array.shape)
        key = f"{array.dtype}{array.shape}".encode() + array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._onnx.numpy_helper.from_array(array, f"c{len(self._constants)}")
        return self._constants[key].name

    def __call__(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node and return the name of its output, or a tuple of names where it has several.

        Args:
            operator: Of ONNX opset 15, such as `Add`.
            inputs: Names; anything that is no text becomes a constant. None leaves an optional input out.
            outputs: How many it has.
            attributes: As the operator's page lists them.
        """
        names = ["" if value is None else value if isinstance(value, str) else self.constant(value) for value in inputs]
        made = [f"v{self._count + i}" for i in range(outputs)]
        self._count += outputs
        self._nodes.append(self._onnx.helper.make_node(operator, names, made, **attributes))
        return made[0] if outputs == 1 else tuple(made)

    def linear(self, x: str, weight: np.ndarray, bias: np.ndarray | None = None) -> str:
        """Return x weight^T + bias for `weight` [out, in], as torch stores it."""
        product = self("MatMul", x, np.ascontiguousarray(np.asarray(weight).T))
        return product if bias is None else self("Add", product, np.asarray(bias))

    def softplus(self, x: str, beta: float = 1.0) -> str:
        """Return log(1 + exp(beta x)) / beta; ONNX's own operator, which does not overflow."""
        return self("Div", self("Softplus", self("Mul", x, np.float32(beta))), np.float32(beta))

    def columns(self, x: str, first: int, end: int) -> str:
        """Return columns first..end of the last axis."""
        return self("Slice", x, np.array([first]), np.array([end]), np.array([-1]))

    def rotvec(self, quat: str) -> str:
        """Return rotation vectors [N, 3], angle within 0..pi, of quaternions wxyz [N, 4] of any length but zero."""
        w, v = self.columns(quat, 0, 1), self.columns(quat, 1, 4)
        sign = self("Where", self("Less", w, np.float32(0)), np.float32(-1), np.float32(1))
        length = self("Sqrt", self("Add", self("ReduceSum", self("Mul", v, v), np.array([-1]), keepdims=1), np.float32(1e-24)))
        angle = self("Mul", self("Atan", self("Div", length, self("Max", self("Abs", w), np.float32(1e-12)))), np.float32(2))
        return self("Mul", self("Mul", v, sign), self("Div", angle, length))

    def output(self, name: str, value: str) -> None:
        """Give a value out under one of `Network.VOCABULARY`'s names."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(name)

    def network(self, space: str = "canonical") -> Network:
        """Return the network; onnx's checker has passed over it."""
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        outputs = [helper.make_tensor_value_info(name, kinds.FLOAT, [None] * (4 if name == "image" else 2))
                   for name in self._outputs]
        graph = helper.make_graph(self._nodes, "flameport", list(self._inputs.values()), outputs,
                                  list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="flameport")
        self._onnx.checker.check_model(model)
        return Network(model.SerializeToString(), tuple(self._inputs), tuple(self._outputs), space)
