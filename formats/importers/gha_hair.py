"""Strands of Gaussian Head Avatar's hair fork: `gaussianhair` files to a layer that rides one triangle, rigid with the root.

A strand is a root and 99 further points in the hair's canonical space, S metres to its unit. The fork moves strands by a
network of the poses before (an LSTM and others); a frame alone does not say those, so strands are imported without a past:
rigid, as the fork draws its first frame. No paper of the fork is known; facts from its released arithmetic.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from formats.avatar import FaceBinding, StrandLayer
from formats.conventions import sh_to_rgb, sigmoid
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.importers.gha_files import Tracked
from formats.importers.gha_networks import check_finite
from formats.rotations import normalize, polar_rotation
from formats.spherical_harmonics import degree_of, sh_basis

LOG = logging.getLogger(__name__)
SCALE_RANGE = (0.01, 0.1)
"""Metres in a unit of the hair: the FLAME tracker's scale, held in this range (1, the fork's own, gives 0.1)."""
RESET = 10_000
"""Iteration at which the fork first stores strands; before it they are made by the Perm networks."""
CARRIER = 0.005
"""Metres, the legs of the triangle that strands ride. Small enough to lie hidden in the head, large enough that float32
positions a metre away turn it by less than 1.2e-5 rad."""
MOTION = ("pose_point_mlp.", "pose_lstm", "pose_mlp.", "pose_query_mlp.", "pose_deform_attention")


@dataclass(frozen=True, eq=False)
class Placement:
    """Where hair sits in the head's rest space: x -> rotation x + translation, for x in metres."""

    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, " 3"]
    scale: float
    """Metres in a unit of the hair."""


def placement(head: Tracked | None, hair: Tracked | None) -> Placement:
    """Return where hair sits: it follows the FLAME pose, the head the BFM pose, and the offset between them is nearly fixed.

    Per frame R = R_head^T R_hair and t = R_head^T (t_hair - t_head); R's mean is the nearest rotation to the sum. What the
    frames leave over is logged. Without `head` the hair's own pose drives it.

    Raises:
        MissingAsset: The head's frames are known and the hair's are not.
        FormatError: The two name no common frame.
    """
    scale = float(np.clip(1.0 if hair is None else hair.scale, *SCALE_RANGE))
    if head is None or hair is None:
        return Placement(np.eye(3), np.zeros(3), scale)
    common = sorted(set(head.frames) & set(hair.frames))
    if not common:
        raise FormatError(f"{hair.where}: names none of the frames of {head.where}; give both of one sequence")
    a, b = ([t.frames.index(name) for name in common] for t in (head, hair))
    back = head.rotations[a].transpose(0, 2, 1)
    turns = back @ hair.rotations[b]
    shifts = np.einsum("tab,tb->ta", back, hair.translations[b] - head.translations[a])
    rotation, translation = polar_rotation(turns.sum(axis=0)), shifts.mean(axis=0)
    off = np.arccos(np.clip((np.einsum("tab,ab->t", turns, rotation) - 1) / 2, -1, 1))
    slip = np.linalg.norm(shifts - translation, axis=1)
    LOG.log(logging.WARNING if np.degrees(off.max()) > 1 or slip.max() > 2e-3 else logging.INFO,
            "hair: rides the head's pose at a fixed offset, fitted to %d frames; it is off by %.2f degrees and %.2f mm at most, "
            "%.2f degrees and %.2f mm on average", len(common), np.degrees(off.max()), 1e3 * slip.max(), np.degrees(off.mean()),
            1e3 * slip.mean())
    return Placement(rotation, translation, scale)


def carrier() -> tuple[Float64[np.ndarray, "3 3"], np.ndarray]:
    """Return the vertices (metres, rest space) and the one face of the triangle strands ride.

    Its first corner is the root joint and its axes (`deform.triangle_frames`) are the world's, so offsets are rest positions.
    """
    return np.array([[0.0, 0, 0], [CARRIER, 0, 0], [0, 0, -CARRIER]]), np.array([[0, 1, 2]])


def read_strands(state: Mapping[str, np.ndarray], where: str, place: Placement, face: int,
                 iteration: int | None = None) -> StrandLayer:
    """Return the strands of a `gaussianhair` file that its mask keeps.

    Colour is the constant band of the spherical harmonics, clamped at 0; opacity the sigmoid of the logit, 1 at +infinity;
    width the stored one times S.

    Args:
        state: Arrays by key, without `strands_generator.*`.
        where: The file, for messages.
        place: Where it sits.
        face: The carrier's index.
        iteration: When it was saved, where the file's name says so.

    Raises:
        FormatError: A key is missing, misshapen or not finite.
        UnsupportedFeature: It holds no strands of its own, or directions instead of points.
    """
    if iteration is not None and iteration < RESET:
        raise UnsupportedFeature(f"{where}: saved at iteration {iteration}, when strands still come out of the Perm networks; "
                                 f"take a checkpoint of iteration {RESET} or later")
    if "points_raw" not in state and "dir_raw" in state:
        raise UnsupportedFeature(f"{where}: holds directions ('dir_raw') instead of points; train with train_directions off")
    roots = _held(state, where, "origins_raw", (None, 1, 3))
    n = len(roots)
    points = _held(state, where, "points_raw", (n, None, 3))
    segments = points.shape[1]
    widths = _held(state, where, "width_raw", (n, 1))
    logits = _held(state, where, "opacity_raw", (n * segments, 1))
    dc = _held(state, where, "features_dc_raw", (n * segments, 1, 3))
    rest = _held(state, where, "features_rest_raw", (n * segments, None, 3))
    if rest.shape[1] not in (0, 3, 8, 15):
        raise FormatError(f"{where}: 'features_rest_raw': {rest.shape[1]} coefficients, expected 0, 3, 8 or 15")
    check_finite({key: state[key] for key in ("origins_raw", "points_raw", "width_raw", "opacity_raw", "features_dc_raw",
                                              "features_rest_raw")}, where, ("opacity_raw",))
    keep = np.ones(n, bool)
    if "opacity_mask" in state:
        keep = _held(state, where, "opacity_mask", (n,)).astype(bool)
    if not keep.any() or not segments:
        raise FormatError(f"{where}: 'opacity_mask' keeps none of its {n} strands; take an earlier checkpoint")
    if not keep.all():
        LOG.info("%s: %d of %d strands are masked out", where, n - int(keep.sum()), n)
    _tell_losses(state, where, dc.reshape(n, segments, 3)[keep], rest.reshape(n, segments, -1, 3)[keep])

    line = np.concatenate([roots, points], axis=1)[keep].astype(np.float64) * place.scale
    line = line @ place.rotation.T + place.translation
    rgb = np.maximum(sh_to_rgb(dc.reshape(n, segments, 3)[keep].astype(np.float64)), 0)
    opacities = sigmoid(logits.reshape(n, segments)[keep].astype(np.float64))
    count = int(keep.sum())
    binding = FaceBinding(np.full(count, face), np.tile([1.0, 0, 0], (count, 1)), frame="face", offset_scale="none",
                          splat_scale="none")
    return StrandLayer(line, np.repeat(widths[keep] * place.scale, segments + 1, axis=1), _closed(rgb), _closed(opacities),
                       binding, name="hair")


def _closed(values: np.ndarray) -> np.ndarray:
    """Give the last point what its segment has; a segment takes its first point's."""
    return np.concatenate([values, values[:, -1:]], axis=1)


def _held(state: Mapping[str, np.ndarray], where: str, key: str, shape: tuple[int | None, ...]) -> np.ndarray:
    value = state.get(key)
    if value is None or value.ndim != len(shape) or any(b is not None and a != b
                                                        for a, b in zip(value.shape, shape, strict=True)):
        raise FormatError(f"{where}: '{key}': expected shape [{', '.join('any' if b is None else str(b) for b in shape)}], got "
                          f"{'none' if value is None else list(value.shape)}")
    return value


def _tell_losses(state: Mapping[str, np.ndarray], where: str, dc: np.ndarray, rest: Float32[np.ndarray, "M S K 3"]) -> None:
    if any(key.startswith(MOTION) for key in state):
        LOG.warning("%s: how strands swing after the head's past poses is left out; they are rigid with the head", where)
    if rest.shape[2] and rest.any():
        around = normalize(np.random.default_rng(0).normal(size=(32, 3)))
        basis = sh_basis(around, degree_of(np.concatenate([dc[:1, :1, None], rest[:1, :1]], axis=2)))[:, 1:]
        largest = max(float(np.abs(np.einsum("dk,nkc->ndc", basis, part)).max()) for part in rest)
        LOG.warning("%s: strands keep one colour for all directions; seen from another they change by up to %.3f", where, largest)


def need_frames(head: Tracked | None, hair: Tracked | None, where: str) -> None:
    """Raise `MissingAsset` unless the offset between head and hair can be fitted."""
    missing = [(name, data) for name, data, known in (("params", "params", head), ("flame_params", "FLAME_params", hair))
               if known is None]
    if missing:
        listed = " and ".join(f"--side {name}=" for name, _ in missing)
        folders = " and ".join(f"{data}/<frame>/params.npz" for _, data in missing)
        raise MissingAsset(f"{where}: hair follows the FLAME pose and the head the BFM pose; where it sits on the head needs "
                           f"{folders} of the training data: give {listed}, or leave the hair out with --set with_hair=false")
