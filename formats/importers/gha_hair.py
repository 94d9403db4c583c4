"""Strands of Gaussian Head Avatar's hair fork: `gaussianhair` files to polylines or Gaussians, rigid with the root.

A strand is a root and 99 further points in the hair's canonical space, S metres to its unit. The fork moves strands by a
network of the poses before (an LSTM and others); a frame alone does not say those, so strands are imported without a past:
rigid, as the fork draws its first frame. No paper of the fork is known; facts from its released arithmetic.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from formats.avatar import FaceBinding, SkinBinding, SplatLayer, StrandLayer
from formats.conventions import sh_to_rgb, sigmoid
from formats.deform import quats_along
from formats.errors import FormatError, MissingAsset, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.importers.gha_files import Tracked
from formats.importers.gha_networks import check_finite
from formats.rotations import normalize, polar_rotation
from formats.spherical_harmonics import degree_of, sh_basis

LOG = logging.getLogger(__name__)
SCALE_RANGE = (0.01, 0.1)
"""Metres in a unit of the hair: the FLAME tracker's scale, held in this range (1, the fork's own, gives 0.1)."""
RESET = 10_000
"""Iteration at which the fork first stores strands; before it they are made by the Perm networks."""
LENGTH = 0.55
"""Standard deviation along a segment, in its lengths."""
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


@dataclass(frozen=True, eq=False)
class Hair:
    """M strands of S segments in the head's rest space, metres, activated values."""

    line: Float64[np.ndarray, "M S+1 3"]
    """Roots first."""
    widths: Float64[np.ndarray, " M"]
    """Standard deviation across the strand."""
    sh: Float32[np.ndarray, "M S K 3"]
    opacities: Float64[np.ndarray, "M S"]


def read_hair(state: Mapping[str, np.ndarray], where: str, place: Placement, iteration: int | None = None) -> Hair:
    """Return the strands of a `gaussianhair` file that its mask keeps; opacities are 1 where the logit is +infinity.

    Args:
        state: Arrays by key, without `strands_generator.*`.
        where: The file, for messages.
        place: Where it sits.
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
    if any(key.startswith(MOTION) for key in state):
        LOG.warning("%s: how strands swing after the head's past poses is left out; they are rigid with the head", where)
    line = np.concatenate([roots, points], axis=1)[keep].astype(np.float64) * place.scale
    sh = np.concatenate([dc, rest], axis=1).reshape(n, segments, -1, 3)[keep]
    return Hair(line @ place.rotation.T + place.translation, widths[keep, 0].astype(np.float64) * place.scale,
                sh.astype(np.float32), sigmoid(logits.reshape(n, segments)[keep].astype(np.float64)))


def as_strands(hair: Hair, face: int, where: str) -> StrandLayer:
    """Return hair as polylines that ride the carrier, triangle `face`. What that loses is logged.

    A strand's segment has one colour, the constant band clamped at 0.
    """
    count, segments = hair.opacities.shape
    rest = hair.sh[:, :, 1:]
    if rest.size and rest.any():
        basis = sh_basis(normalize(np.random.default_rng(0).normal(size=(32, 3))), degree_of(hair.sh))[:, 1:].astype(np.float32)
        largest = max(float(np.abs(np.tensordot(part, basis, (2, 1))).max()) for part in np.array_split(rest, 64) if len(part))
        LOG.warning("%s: strands keep one colour for all directions, seen from another they change by up to %.3f; hair_as=splats "
                    "keeps them", where, largest)
    binding = FaceBinding(np.full(count, face), np.tile([1.0, 0, 0], (count, 1)), frame="face", offset_scale="none",
                          splat_scale="none")
    rgb = np.maximum(sh_to_rgb(hair.sh[:, :, 0].astype(np.float64)), 0)
    return StrandLayer(hair.line, np.repeat(hair.widths[:, None], segments + 1, axis=1), _closed(rgb), _closed(hair.opacities),
                       binding, name="hair", segment_scale=LENGTH)


def as_splats(hair: Hair) -> SplatLayer:
    """Return hair as the Gaussians that the fork draws, skinned to the one joint: mean in a segment's middle, scales
    (0.55 length, width, width), the first axis along it, view-dependent colours in world axes."""
    step = np.diff(hair.line, axis=1).reshape(-1, 3)
    width = np.repeat(hair.widths, hair.opacities.shape[1])
    scales = np.stack([LENGTH * np.linalg.norm(step, axis=1), width, width], axis=1)
    cloud = GaussianCloud(hair.line[:, :-1].reshape(-1, 3) + step / 2, quats_along(step), scales, hair.opacities.ravel(),
                          hair.sh.reshape(len(step), -1, 3))
    return SplatLayer(cloud, SkinBinding(lbs_weights=np.ones((len(cloud), 1)), rotation="skin"), name="hair")


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


def need_frames(head: Tracked | None, hair: Tracked | None, where: str) -> None:
    """Raise `MissingAsset` unless the offset between head and hair can be fitted."""
    missing = [(name, data) for name, data, known in (("params", "params", head), ("flame_params", "FLAME_params", hair))
               if known is None]
    if missing:
        listed = " and ".join(f"--side {name}=" for name, _ in missing)
        folders = " and ".join(f"{data}/<frame>/params.npz" for _, data in missing)
        raise MissingAsset(f"{where}: hair follows the FLAME pose and the head the BFM pose; where it sits on the head needs "
                           f"{folders} of the training data: give {listed}, or leave the hair out with --set hair_as=none")
