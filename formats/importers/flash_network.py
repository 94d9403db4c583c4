"""FlashAvatar's offset network as an ONNX graph: what each Gaussian does for an expression.

Xiang et al., "FlashAvatar: High-fidelity Head Avatar with Efficient Gaussian Embedding", CVPR 2024, section 3.3, and its
released arithmetic: ten outputs through tanh, t; offset t0..t2 (metres); turn (exp t3, t4, t5, t6) wxyz on the right of the
stored one; t7..t9 whose exponentials multiply the LOGARITHMS of the stored scales.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64

from formats.avatar import Network
from formats.importers.flash_checkpoint import Layer
from formats.onnx_graph import OnnxGraph

FREQUENCIES = 8
"""Of the encoding, 2^0 .. 2^7, without pi."""
ENCODED = 3 + 3 * 2 * FREQUENCIES


def encode(points: Float[np.ndarray, "N 3"], frequencies: int = FREQUENCIES) -> Float64[np.ndarray, "N D"]:
    """Return x, sin x, cos x, sin 2x, cos 2x, ... of each point, [N, 3 + 6 frequencies]."""
    x = points.astype(np.float64)
    return np.concatenate([x, *(wave(2.0**level * x) for level in range(frequencies) for wave in (np.sin, np.cos))], axis=1)


def offset_network(layers: tuple[Layer, ...], encoding: Float[np.ndarray, "N 51"], inputs: Mapping[str, int],
                   log_scales: Float[np.ndarray, "N 3"], turns: Float[np.ndarray, " N"]) -> Network:
    """Return the network: `delta_means`, `delta_rotvecs` and `delta_log_scales` of N Gaussians, before the binding.

    Args:
        layers: Six hidden layers with ReLU, and the last.
        encoding: Of the Gaussians' places on the neutral head.
        inputs: Drivers and how many numbers each is, in the order they follow the encoding.
        log_scales: As stored.
        turns: 1, or 0 for a Gaussian that does not turn (its stored quaternion is zero).
    """
    graph = OnnxGraph()
    condition = graph("Concat", *[graph.input(name, 1, width) for name, width in inputs.items()], axis=1)
    weight, bias = layers[0]
    # What all Gaussians share is added once; the graph holds the encoding, not its product, which is five times larger.
    shared = graph.linear(condition, weight[:, ENCODED:], bias)
    x = graph("Relu", graph("Add", graph.linear(graph.constant(encoding), weight[:, :ENCODED]), shared))
    for weight, bias in layers[1:-1]:
        x = graph("Relu", graph.linear(x, weight, bias))
    t = graph("Tanh", graph.linear(x, *layers[-1]))
    graph.output("delta_means", graph.columns(t, 0, 3))
    quats = graph("Concat", graph("Exp", graph.columns(t, 3, 4)), graph.columns(t, 4, 7), axis=1)
    rotvecs = graph.rotvec(quats)
    graph.output("delta_rotvecs", rotvecs if turns.all() else graph("Mul", rotvecs, turns[:, None].astype(np.float32)))
    factor = graph("Sub", graph("Exp", graph.columns(t, 7, 10)), np.float32(1))
    graph.output("delta_log_scales", graph("Mul", factor, log_scales))
    return graph.network()
