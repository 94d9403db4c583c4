"""Splat layers in grade `small`: their order, their steps, and skin tables as a product of two thin ones."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int8, Int64

from exporter.glb_packing import LENGTH, POSE_LENGTH, PROBES, Packing, exponent_for, probe_length
from exporter.ops.spatial_order import hilbert_order
from formats.avatar import Avatar, FaceBinding, LinearDynamics, SkinBinding, SplatLayer
from formats.codecs.glb_writer import GlbWriter
from formats.conventions import wxyz_to_xyzw
from formats.deform import PosedHead, coefficients_of, triangle_frames
from formats.errors import BindingError

MANTISSA_BITS = 4
"""Of scales: relative steps between 1/16 and 1/8, errors half of that."""
TABLE_BUDGET = 2.6e-5
"""Metres that rounding a skin binding's own tables may move a Gaussian by."""
SAMPLE = 16384
"""Gaussians that a skin binding's basis is made from."""
DYNAMICS_STEPS = {"means": 1.2e-5, "rotvecs": 2e-3, "log_scales": 4e-3, "opacity_logits": 3e-2, "rgb": 2e-3}
"""Of what a channel adds, for a coefficient vector as long as the clip's longest: metres, radians, natural logarithms."""


@dataclass(frozen=True, eq=False)
class LayerSteps:
    """Exponents of a layer's steps."""

    rest_means: int = -18
    sh_dc: int = -6
    """1/227 of the way from black to white."""
    sh: int = -5
    barycentric: int | np.ndarray = -16
    offsets: int | np.ndarray = -18
    local_quats: int = -11
    weights: int = -15
    table: float = 2.0**-17
    """Metres."""
    dynamics: Mapping[str, int | np.ndarray] = field(default_factory=dict)


def gaussian_order(layer: SplatLayer, packing: Packing) -> Int64[np.ndarray, " N"] | None:
    """Return in which order to store a layer's Gaussians: as their triangles or head vertices are, else by place. None: as
    they are, because a network's rows are them."""
    binding = layer.binding
    if isinstance(layer.dynamics, str):
        return None
    if isinstance(binding, FaceBinding):
        return np.argsort(binding.face_index, kind="stable")
    if binding.vertex_index is not None and packing.vertex_order is not None:
        rank = np.empty(len(packing.vertex_order), np.int64)
        rank[packing.vertex_order] = np.arange(len(rank))
        return np.argsort(rank[binding.vertex_index], kind="stable")
    return hilbert_order(layer.cloud.means)


def layer_steps(layer: SplatLayer, avatar: Avatar, rest: PosedHead, packing: Packing) -> LayerSteps:
    """Return how finely to store a layer, from the sizes of its triangles and the lengths of its coefficients."""
    binding, gain = layer.binding, np.ones(len(layer.cloud))
    steps = LayerSteps(rest_means=packing.rest_means, table=TABLE_BUDGET * packing.point / 1.2e-5, weights=packing.weights)
    if isinstance(binding, FaceBinding):
        barycentric, gain = face_exponents(binding, avatar, rest, packing)
        # Players of ours do not read where the Gaussian rests, others need no more than a sixth of a millimetre.
        steps = dataclasses.replace(steps, rest_means=-13, barycentric=barycentric, offsets=exponents(packing.point, gain))
    if isinstance(layer.dynamics, LinearDynamics):
        length = _driver_length(layer.dynamics, avatar)
        dynamics: dict[str, int | np.ndarray] = {}
        for name in layer.dynamics.tables:
            local = gain if name == "means" and layer.dynamics.space == "canonical" else np.ones(1)
            exponent = exponents(DYNAMICS_STEPS[name] / length, local)[:, 0]
            table = layer.dynamics.tables[name]
            dynamics[name] = int(exponent[0]) if len(exponent) == 1 else np.broadcast_to(
                exponent[None, :, None], (table.shape[1], len(exponent), table.shape[2])).reshape(-1)
        steps = dataclasses.replace(steps, dynamics=dynamics)
    return steps


def face_exponents(binding: FaceBinding, avatar: Avatar, rest: PosedHead,
                   packing: Packing) -> tuple[np.ndarray, np.ndarray]:
    """Return the exponents [N, 1] of places on triangles, and metres per unit of offset [N]."""
    corners = rest.vertices[avatar.head.faces[binding.face_index]]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    _, size, area = (values[binding.face_index] for values in triangle_frames(rest.vertices, avatar.head.faces))
    gain = {"none": np.ones(len(size)), "edge_height": size, "double_area": area}[binding.offset_scale]
    return exponents(packing.point, longest), gain


def exponents(step: float, gain: np.ndarray) -> np.ndarray:
    """Return exponents [N, 1] such that a step there, times the gain, is at most `step`."""
    return np.clip(exponent_for(step / np.maximum(gain, 1e-9)), -24, 12)[:, None]


def _driver_length(dynamics: LinearDynamics, avatar: Avatar) -> float:
    """Return the length of the longest coefficient vector of the clip; `probe_length` at least."""
    sequence, longest = avatar.sequence, probe_length(avatar.head)
    if sequence is not None:
        try:
            frames = np.unique(np.linspace(0, len(sequence) - 1, PROBES).round().astype(int))
            longest = max([longest, *(float(np.linalg.norm(coefficients_of(dynamics, avatar, sequence.take([int(i)]))))
                                      for i in frames)])
        except BindingError:
            pass  # the clip lacks a driver: it does not play this layer
    return longest


def packed_quats(quats: Float[np.ndarray, "N 4"]) -> Int8[np.ndarray, "N 4"]:
    """Return unit quaternions, given wxyz, as xyzw in 8 bits each; the real part is not negative."""
    q = wxyz_to_xyzw(np.where(quats[:, :1] < 0, -quats, quats))
    return np.round(q * 127).astype(np.int8)


def scale_exponents(scales: Float[np.ndarray, "N 3"]) -> np.ndarray:
    """Return each scale's own exponent, for `MANTISSA_BITS` of it."""
    return np.clip(np.frexp(np.maximum(scales, 1e-12))[1] - MANTISSA_BITS, -60, 60)


def write_tables(glb: GlbWriter, binding: SkinBinding, budget: float) -> dict[str, Any]:
    """Store a binding's own directions as coefficients [R, N] times a basis [R, K, 3] and return what says so; empty when
    it has none.

    The directions of N Gaussians are a matrix of N rows. Its right singular vectors, weighted by how far coefficients go,
    are the basis: in them the numbers are few and small (Karhunen-Loeve), and one step for all of them is the best choice.

    Args:
        glb: Extended in place.
        binding: With own tables.
        budget: Metres that rounding may move a Gaussian by, over random coefficients.
    """
    names = ("exprdirs", "posedirs", "eyeliddirs")
    tables = {n: getattr(binding, n) for n in names if getattr(binding, n) is not None and getattr(binding, n).shape[2]}
    if not tables:
        return {}
    counts = [table.shape[2] for table in tables.values()]
    count, total = len(binding), sum(counts)
    matrix = np.concatenate([t.transpose(0, 2, 1) for t in tables.values()], axis=1).reshape(count, total * 3)
    weight = np.repeat([POSE_LENGTH if name == "posedirs" else 1.0 for name in tables], [3 * k for k in counts])
    matrix *= weight.astype(np.float32)
    # Some thousands of rows say what the basis is, all of them take longer than the rest.
    seen = np.linspace(0, count - 1, min(count, SAMPLE)).astype(int)
    some = matrix[seen].astype(np.float64)
    values, basis = np.linalg.eigh(some.T @ some)
    basis = basis[:, np.argsort(-values)].T.astype(np.float32)
    coefficients = matrix @ basis.T
    rng = np.random.default_rng(7)
    parts = []
    for name, k in zip(tables, counts, strict=True):
        probe = rng.normal(size=(PROBES, k))
        length = {"exprdirs": LENGTH, "posedirs": 1.0, "eyeliddirs": 1.0}[name]
        parts.append(probe * (length / np.linalg.norm(probe, axis=1, keepdims=True)))
    moved = np.einsum("rkc,pk->rcp", basis.reshape(len(basis), total, 3), np.concatenate(parts, axis=1), optimize=True)
    moved = moved.reshape(len(basis), -1).astype(np.float32)
    seen = seen[::4] if count > SAMPLE else seen
    step = budget
    while True:
        error = (np.round(coefficients[seen] / step) * step - coefficients[seen]) @ moved
        largest = float(np.linalg.norm(error.reshape(len(seen), 3, PROBES), axis=1).max())
        if largest <= budget or step < 1e-9:
            break
        step *= max(0.97 * budget / largest, 0.3)
    step = max(step, float(np.abs(coefficients).max()) / 32767)
    whole = np.round(coefficients / step).astype("<i2")
    kept = np.flatnonzero(whole.any(axis=0))
    if not len(kept):
        kept = np.arange(1)
    whole, basis = np.ascontiguousarray(whole[:, kept].T), basis[kept] / weight * step
    return {"rank": len(kept), **{name: k for name, k in zip(tables, counts, strict=True)},
            "coefficients": glb.accessor(whole.reshape(-1)),
            "basis": glb.accessor(basis.reshape(-1, 3).astype(np.float32))}
