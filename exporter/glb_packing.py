"""How grade `small` rounds and orders an avatar: steps fine enough that posed points stay within the grade's bound.

Rounding errors of many directions add like random numbers, so what counts is the length of the coefficient vector. The
steps are found by trying them on coefficients: the clip's, and random ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64

from exporter.glb_targets import target_tables
from exporter.ops.spatial_order import hilbert_order
from formats.avatar import Avatar, FaceBinding, MeshLayer, SplatLayer
from formats.deform import expression_of, triangle_frames
from formats.head_model import HeadModel
from formats.sequence import Sequence

BUDGET, FACE_BUDGET = 3.6e-5, 2.8e-5
"""Metres that rounding the deltas may move a vertex or a Gaussian by; the rest of the grade's bound is for everything else,
which is more where Gaussians have places on triangles and offsets from them."""
LENGTH = 3.0
"""Length of the random coefficient vectors, or the clip's longest where that is more: a lively frame of a FLAME tracker."""
ARKIT_LENGTH = 2.0
"""The same where coefficients are weights from 0 to 1: four blendshapes fully on, or sixteen half."""
POSE_LENGTH = 1.0
"""The same for the entries of R - I: a jaw open by 40 degrees."""
PROBES = 24
COARSEST, FINEST = 2e-5, 1e-7
"""Metres a step of the deltas."""
TEMPLATE_STEP = 4e-6
FAR_OUT = 4.0
"""How much farther than a vertex something must move with it for deltas to become floats where 16 bits do not reach."""


@dataclass(frozen=True, eq=False)
class Packing:
    """Exponents of the steps (metres, or the unit at hand), and the orders."""

    vertex_order: Int64[np.ndarray, " V"] | None = None
    """Stored vertex i is head vertex `vertex_order[i]`; None: as they are."""
    scale: float = 1.0
    """What POSITION and deltas are multiplied by: deltas are then whole multiples of 1 / 32767."""
    template: int = -18
    """Of POSITION, after scaling."""
    rest_means: int = -17
    joints: int = -21
    weights: int = -15
    uvs: int = -13
    """An eighth of a texel of a 1024 texture."""
    colors: int = -6
    arkit: int = -14
    point: float = 1.2e-5
    """Metres: coarsest step of places on triangles and of offsets from them."""
    targets: Int32[np.ndarray, " V"] | None = None
    """Deltas are floats of these steps, one for each vertex, and WEIGHTS_0 are floats: where 16 bits do not reach."""
    layer_targets: int = -18
    """The same for mesh layers."""


def pack_head(avatar: Avatar, finer: float = 1.0) -> Packing:
    """Return how to store the avatar's head; `finer` times every step of its deltas, places and offsets."""
    head, leverage = avatar.head, _leverage(avatar)
    most = max((float(np.abs(table).max(initial=0)) for tables in _all_tables(avatar) for table in tables), default=0)
    step, farthest = _target_step(avatar, leverage), float(leverage.max(initial=1))
    scale = 1 / (32767 * step * finer)
    rest_means, point = int(exponent_for(8e-6 * finer)), 1.2e-5 * finer
    if (scale * most > 0.999 or step <= FINEST) and farthest > FAR_OUT:
        step = _target_step(avatar, np.ones(len(leverage))) * finer
        return Packing(vertex_order=hilbert_order(head.v_template), rest_means=rest_means, point=point,
                       template=int(exponent_for(TEMPLATE_STEP * finer / farthest)), weights=int(exponent_for(2**-15 / farthest)),
                       targets=exponent_for(step / leverage), layer_targets=int(exponent_for(step)))
    scale = min(scale, 0.999 / max(most, 1e-9))
    # What rides far out shows errors of the template, too, and a template is cheap.
    template = TEMPLATE_STEP * finer / min(farthest, 64)
    return Packing(vertex_order=hilbert_order(head.v_template), scale=float(np.float32(scale)),
                   template=int(exponent_for(template * scale)), rest_means=rest_means, point=point)


def _tables(head: HeadModel) -> list[np.ndarray]:
    return [table for table in (head.exprdirs, head.eyeliddirs, head.posedirs) if table is not None and table.shape[2]]


def _all_tables(avatar: Avatar) -> list[list[np.ndarray]]:
    """Return the directions of the head, and those of each mesh layer as its morph targets divide them."""
    return [_tables(avatar.head), *(target_tables(layer.binding, avatar) for layer in avatar.layers
                                    if isinstance(layer, MeshLayer))]


def probe_length(head: HeadModel) -> float:
    """Return how long a coefficient vector of this head may be, when no clip says."""
    return ARKIT_LENGTH if head.edition.startswith("arkit") else LENGTH


def probe_coefficients(head: HeadModel, sequence: Sequence | None) -> Float64[np.ndarray, "P E"]:
    """Return expression vectors to try: frames of the clip, and random ones of `LENGTH` or the clip's longest."""
    rng = np.random.default_rng(5)
    count = len(head.expr_names)
    clip = np.zeros((0, count))
    if sequence is not None:
        frames = np.unique(np.linspace(0, len(sequence) - 1, PROBES).round().astype(int))
        clip = np.stack([expression_of(head, sequence.take([int(i)])) for i in frames])
    return np.concatenate([clip, _of_length(rng, PROBES, count, max(probe_length(head), _longest(clip)))])


def _target_step(avatar: Avatar, leverage: Float64[np.ndarray, " V"]) -> float:
    """Return the coarsest step of the deltas, metres, that moves nothing by more than the budget, whatever is tried.

    Rounding errors grow with the step, so few trials tell; `leverage` says what a vertex moves beside itself.
    """
    head = avatar.head
    rng = np.random.default_rng(6)
    expr = probe_coefficients(head, avatar.sequence)
    trials = len(expr)
    lids = rng.uniform(0, 1, (trials, 2)) if head.eyeliddirs is not None else None
    pose = _of_length(rng, trials, 36, POSE_LENGTH) if head.posedirs is not None and head.posedirs.shape[2] else None
    if lids is None:
        lids = rng.uniform(0, 1, (trials, 2))  # layers may have lids where the head has none
    surfaces = [([head.exprdirs, head.eyeliddirs, head.posedirs], leverage)]
    surfaces += [(target_tables(layer.binding, avatar), np.ones(len(layer.vertices))) for layer in avatar.layers
                 if isinstance(layer, MeshLayer)]
    budget = FACE_BUDGET if any(isinstance(layer.binding, FaceBinding) for layer in avatar.layers) else BUDGET
    step = COARSEST
    while True:
        largest = max(_largest_error(tables, (expr, lids, pose), each, step) for tables, each in surfaces)
        if largest <= budget or step <= FINEST:
            return step
        step *= max(0.97 * budget / largest, 0.3)


def _largest_error(tables: Iterable[np.ndarray | None], coefficients: Iterable[np.ndarray | None], leverage: np.ndarray,
                   step: float) -> float:
    """Return how far rounding tables [V, 3, K] to a step moves anything, over all trials of coefficients [P, K]."""
    moved = np.zeros((1, 1), np.float32)
    for table, c in zip(tables, coefficients, strict=True):
        if table is not None and c is not None and table.shape[2]:
            error = table / np.float32(step)
            error -= np.round(error)
            moved = moved + error.reshape(len(leverage) * 3, -1) @ (c.T * step).astype(np.float32)
    if moved.size == 1:
        return 0.0
    return float((np.linalg.norm(moved.reshape(len(leverage), 3, -1), axis=1) * leverage[:, None]).max(initial=0))


def _leverage(avatar: Avatar) -> Float64[np.ndarray, " V"]:
    """Return how much farther than a vertex a Gaussian on its triangles may move with it: those out on a lever do."""
    head, leverage = avatar.head, np.ones(len(avatar.head.v_template))
    frames = triangle_frames(head.v_template, head.faces)
    corners = head.v_template[head.faces].astype(np.float64)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    height = np.maximum(frames[2] / np.maximum(longest, 1e-12), 1e-5)
    for layer in avatar.layers:
        binding = layer.binding
        if not isinstance(binding, FaceBinding) or binding.frame != "face":
            continue
        assert not isinstance(layer, MeshLayer)
        offsets = layer.cloud.means if isinstance(layer, SplatLayer) else layer.points
        face = binding.face_index
        gain = {"none": np.ones(len(face)), "edge_height": frames[1][face], "double_area": frames[2][face]}
        arm = np.linalg.norm(offsets, axis=-1).reshape(len(face), -1).max(axis=1, initial=0) * gain[binding.offset_scale]
        for corner in range(3):
            np.maximum.at(leverage, head.faces[face, corner], 1 + arm / height[face])
    return leverage


def _of_length(rng: np.random.Generator, rows: int, columns: int, length: float) -> np.ndarray:
    values = rng.normal(size=(rows, columns))
    return values * (length / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def _longest(rows: np.ndarray) -> float:
    return float(np.linalg.norm(rows, axis=1).max(initial=0))


def exponent_for(step: float | np.ndarray) -> np.ndarray:
    """Return the exponent of the largest power of two that is at most `step`."""
    return np.floor(np.log2(np.maximum(step, 1e-30))).astype(np.int32)
