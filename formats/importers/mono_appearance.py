"""MonoGaussianAvatar's third network as an ONNX graph, and the shape of Gaussians whose "rotation" is no rotation.

The released code divides each component of the quaternions by its length over all N POINTS, not by the quaternion's; the
rasteriser takes them as they are. So M = R(q) diag(s) with tiny q, R(q) = I + O(1 / N) and not orthonormal, and what is drawn
has the covariance M M^T. It is brought here to principal axes: exactly, by NumPy for the stored cloud, and by a few Jacobi
sweeps (Golub, Van Loan, "Matrix Computations", section 8.5) in the graph. It depends on N: a pruned cloud turns differently.

Chen et al., SIGGRAPH 2024, and its released arithmetic.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float64

from formats.avatar import Network
from formats.conventions import logit, sigmoid
from formats.importers.mono_networks import Layer, Statics, layer
from formats.onnx_graph import OnnxGraph
from formats.rotations import matrix_to_quat, quat_to_matrix

FACTOR = 4.0
"""How many times life size its heads are."""
SPAN = 0.025
"""Scales are SPAN sigmoid(.) + radius, in quarters of a metre."""
SWEEPS, SWEEPS_IF_TINY, TINY = 3, 2, 0.2
"""How often all three pairs are cleared. Largest relative error of covariances in float32: 1e-6 after 3, down to 8 points;
3e-6 after 2 where no component of q exceeds TINY. A sweep over 100 000 points takes 0.1 s on two cores."""
FLOOR = 1e-12
"""Of the lengths over the points."""


def point_scales(raw: Float[np.ndarray, "N 3"], radius: float) -> Float64[np.ndarray, "N 3"]:
    """Return scales in metres of the network's numbers."""
    return (SPAN * sigmoid(raw) + radius) / FACTOR


def covariances(raw_quats: Float[np.ndarray, "N 4"], scales: Float[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3 3"]:
    """Return what the rasteriser draws: M M^T with M = R(q) diag(scales), q divided by its length over the points."""
    q = raw_quats / np.maximum(np.linalg.norm(raw_quats, axis=0), FLOOR)
    m = quat_to_matrix(q) * scales[:, None]
    return m @ m.transpose(0, 2, 1)


def principal_axes(covariance: Float[np.ndarray, "N 3 3"]) -> tuple[Float64[np.ndarray, "N 4"], Float64[np.ndarray, "N 3"]]:
    """Return unit quaternions and scales with R diag(scales^2) R^T = `covariance`, each axis where it was before the turn."""
    values, vectors = np.linalg.eigh(covariance)
    # Of six orders the one whose axes lie nearest to x, y, z.
    orders = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
    along = np.abs(vectors[:, np.arange(3), orders]).sum(axis=2)
    order = orders[np.argmax(along, axis=1)]
    values = np.take_along_axis(values, order, axis=1)
    vectors = np.take_along_axis(vectors, order[:, None], axis=2)
    sign = np.sign(np.diagonal(vectors, axis1=1, axis2=2))
    vectors = vectors * np.where(sign == 0, 1, sign)[:, None]
    vectors[:, :, 2] *= np.where(np.linalg.det(vectors) < 0, -1, 1)[:, None]
    return matrix_to_quat(vectors), np.sqrt(np.maximum(values, 0))


def appearance_network(state: Mapping[str, np.ndarray], prefix: str, statics: Statics, anchors: Float[np.ndarray, "N 3"],
                       radius: float, where: str) -> Network:
    """Return the network: from where the frame puts the points, what it adds to their looks. Posed space.

    Inputs `posed_means` (metres) and `translation`, which is taken off: the original has none. Outputs `delta_rgb`,
    `delta_opacity_logits`, `delta_log_scales` and `delta_rotvecs` against the stored cloud.

    Args:
        state: Arrays by key.
        prefix: Of the network's keys.
        statics: What the points look like without it.
        anchors: The points before the pose, quarters of a metre.
        radius: Of the file.
        where: Names the file in messages.
    """
    trunk = []
    while f"{prefix}lin{len(trunk)}.bias" in state:
        trunk.append(layer(state, f"{prefix}lin{len(trunk)}", where))
    heads = {name: (layer(state, f"{prefix}{name}_layer.0", where), layer(state, f"{prefix}{name}_layer.2", where, rows=width))
             for name, width in (("scaling", 3), ("rotations", 4), ("opacity", 1), ("color", 3))}
    count = len(anchors)
    graph = OnnxGraph()
    means = graph.input("posed_means", count, 3)
    moved = graph("Sub", means, graph.input("translation", 1, 3))
    x = graph("Sub", graph("Mul", moved, np.float32(FACTOR)), anchors)
    for i, (weight, bias) in enumerate(trunk):
        x = graph.linear(x, weight, bias)
        x = graph("Relu", x) if i < len(trunk) - 1 else x
    added = {name: _head(graph, x, *pair) for name, pair in heads.items()}
    graph.output("delta_rgb", graph("Sub", graph("Sigmoid", graph("Add", added["color"], statics.rgb)), sigmoid(statics.rgb)))
    # The cloud's opacities are rounded to float32 and kept off 0 and 1: the difference goes in here.
    kept = logit(sigmoid(statics.opacities).astype(np.float32))
    graph.output("delta_opacity_logits", graph("Add", added["opacity"], (statics.opacities - kept)[:, None]))
    # Sizes in units of SPAN, so that squares keep away from float32's end.
    sizes = graph("Add", graph("Sigmoid", graph("Add", added["scaling"], statics.scales)), np.float32(radius / SPAN))
    quats = graph("Add", added["rotations"], statics.quats)
    share = np.abs(statics.quats).max() / max(float(np.linalg.norm(statics.quats, axis=0).min()), FLOOR)
    values, turn = _jacobi(graph, _covariance(graph, quats, sizes), SWEEPS_IF_TINY if share < TINY else SWEEPS)
    scales = point_scales(statics.scales, radius)
    static_quats, static_scales = principal_axes(covariances(statics.quats, scales))
    logs = graph("Mul", graph("Log", graph("Max", values, np.float32(1e-30))), np.float32(0.5))
    graph.output("delta_log_scales", graph("Sub", logs, np.log(np.maximum(static_scales * FACTOR / SPAN, 1e-15))))
    back = [graph.constant(column[:, None]) for column in (static_quats * [1, -1, -1, -1]).T]
    graph.output("delta_rotvecs", graph.rotvec(graph("Concat", *_product(graph, turn, back), axis=1)))
    return graph.network("posed")


def _head(graph: OnnxGraph, x: str, first: Layer, last: Layer) -> str:
    return graph.linear(graph("Relu", graph.linear(x, *first)), *last)


def _covariance(graph: OnnxGraph, quats: str, sizes: str) -> dict[tuple[int, int], str]:
    """Return the six different entries [N, 1] of M M^T, see `covariances`."""
    length = graph("Sqrt", graph("ReduceSum", graph("Mul", quats, quats), np.array([0]), keepdims=1))
    q = graph("Div", quats, graph("Max", length, np.float32(FLOOR)))
    w, x, y, z = (graph.columns(q, i, i + 1) for i in range(4))

    def twice(*terms: tuple[str, str]) -> str:
        total = graph("Mul", *terms[0])
        for a, b in terms[1:]:
            total = graph("Add", total, graph("Mul", a, b))
        return graph("Mul", total, np.float32(2))

    def less(a: str, b: str, c: str, d: str) -> str:
        return graph("Mul", graph("Sub", graph("Mul", a, b), graph("Mul", c, d)), np.float32(2))

    def from_one(a: str) -> str:
        return graph("Sub", np.float32(1), a)

    rows = ((from_one(twice((y, y), (z, z))), less(x, y, w, z), twice((x, z), (w, y))),
            (twice((x, y), (w, z)), from_one(twice((x, x), (z, z))), less(y, z, w, x)),
            (less(x, z, w, y), twice((y, z), (w, x)), from_one(twice((x, x), (y, y)))))
    m = [graph("Mul", graph("Concat", *row, axis=1), sizes) for row in rows]
    return {(i, j): graph("ReduceSum", graph("Mul", m[i], m[j]), np.array([-1]), keepdims=1)
            for i in range(3) for j in range(i, 3)}


def _jacobi(graph: OnnxGraph, entries: dict[tuple[int, int], str], sweeps: int) -> tuple[str, list[str]]:
    """Return eigenvalues [N, 3] and the quaternion's four columns [N, 1] of the eigenvectors.

    Each step turns by the smaller angle that clears entry (p, q), about the axis that is neither: with d = a_qq - a_pp,
    t = 2 a_pq sign(d) / (|d| + sqrt(d^2 + 4 a_pq^2)) is its tangent.
    """
    c = dict(entries)
    one, half, tiny = np.float32(1), np.float32(0.5), np.float32(1e-30)
    quat = [graph.constant(np.ones((1, 1))), *(graph.constant(np.zeros((1, 1))) for _ in range(3))]
    for _ in range(sweeps):
        for p, q in ((0, 1), (1, 2), (2, 0)):
            r = 3 - p - q
            off, pr, qr = ((min(a, b), max(a, b)) for a, b in ((p, q), (p, r), (q, r)))
            d = graph("Sub", c[q, q], c[p, p])
            twice = graph("Mul", c[off], np.float32(2))
            size = graph("Sqrt", graph("Add", graph("Mul", d, d), graph("Mul", twice, twice)))
            signed = graph("Where", graph("Less", d, np.float32(0)), graph("Neg", twice), twice)
            t = graph("Div", signed, graph("Max", graph("Add", graph("Abs", d), size), tiny))
            cos = graph("Div", one, graph("Sqrt", graph("Add", graph("Mul", t, t), one)))
            sin = graph("Mul", t, cos)
            step = graph("Mul", t, c[off])
            c[p, p], c[q, q] = graph("Sub", c[p, p], step), graph("Add", c[q, q], step)
            c[pr], c[qr] = (graph("Sub", graph("Mul", cos, c[pr]), graph("Mul", sin, c[qr])),
                            graph("Add", graph("Mul", sin, c[pr]), graph("Mul", cos, c[qr])))
            c[off] = graph.constant(np.zeros((1, 1)))
            half_cos = graph("Sqrt", graph("Mul", graph("Add", cos, one), half))
            half_sin = graph("Neg", graph("Div", graph("Mul", sin, half), half_cos))
            quat = _turned(graph, quat, r, half_cos, half_sin)
    return graph("Concat", *(c[i, i] for i in range(3)), axis=1), quat


def _turned(graph: OnnxGraph, quat: list[str], axis: int, cos: str, sin: str) -> list[str]:
    """Return quat (cos + sin e_axis), by columns."""
    own, after, before = 1 + axis, 1 + (axis + 1) % 3, 1 + (axis + 2) % 3
    result = list(quat)
    for to, sign, other in ((0, "Sub", own), (own, "Add", 0), (after, "Add", before), (before, "Sub", after)):
        result[to] = graph(sign, graph("Mul", cos, quat[to]), graph("Mul", sin, quat[other]))
    return result


def _product(graph: OnnxGraph, a: list[str], b: list[str]) -> list[str]:
    """Return the Hamilton product of quaternions given as columns."""
    terms = (((0, 0, 1), (1, 1, -1), (2, 2, -1), (3, 3, -1)), ((0, 1, 1), (1, 0, 1), (2, 3, 1), (3, 2, -1)),
             ((0, 2, 1), (1, 3, -1), (2, 0, 1), (3, 1, 1)), ((0, 3, 1), (1, 2, 1), (2, 1, -1), (3, 0, 1)))
    result = []
    for row in terms:
        total = graph("Mul", a[row[0][0]], b[row[0][1]])
        for i, j, sign in row[1:]:
            total = graph("Add" if sign > 0 else "Sub", total, graph("Mul", a[i], b[j]))
        result.append(total)
    return result
