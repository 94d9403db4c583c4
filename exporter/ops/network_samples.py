"""What a layer's network says over a clip: the numbers that drive it, and what it moves, ready to be made linear."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from formats.avatar import CHANNELS, DRIVER_FIELDS, Avatar, FaceBinding, SkinBinding, SplatLayer
from formats.conventions import logit, rgb_to_sh, sigmoid
from formats.deform import (
    deform_head,
    deform_splats,
    deltas_of,
    driver_values,
    rest_sequence,
    space_of,
    triangle_frames,
)
from formats.errors import BindingError, FormatError, UnsupportedFeature
from formats.rotations import axis_angle_to_quat, normalize, quat_multiply, quat_to_axis_angle
from formats.sequence import Sequence

Progress = Callable[[str], None]
PIXEL = 5e-4
"""Metres: about what a pixel covers on a head in a picture of 512; the rasteriser adds as much to every Gaussian."""


@dataclass(frozen=True, eq=False)
class Samples:
    """A network's answers for T frames, against their average where the layer can hold that itself."""

    layer: SplatLayer
    """With what the network adds on average in its cloud."""
    driver: tuple[str, ...]
    parts: tuple[int, ...]
    """How many numbers each of these is."""
    driving: Float64[np.ndarray, "T D"]
    deltas: dict[str, Float32[np.ndarray, "T N C"]]
    """By channel."""
    weights: dict[str, Float64[np.ndarray, " N"]]
    """How much a unit of a channel shows in a picture, about; 1 is a change by a whole colour over a square metre."""


def mixed_frames(sequence: Sequence, count: int, seed: int = 5) -> Sequence:
    """Return `count` frames that mix those of `sequence`, so that a fit to them knows more than one performance.

    A short clip moves everything together, and nothing in it tells whether the lids or the jaw did something. Here each field is
    another frame's; expressions are one frame's plus 0 to 0.6 of the way to another.
    """
    rng = np.random.default_rng(seed)

    def some(value: np.ndarray) -> np.ndarray:
        return value[rng.integers(0, len(sequence), count)]

    base, share = some(sequence.expr), rng.uniform(0, 0.6, (count, 1))
    turned = sequence.take(rng.integers(0, len(sequence), count))
    fields = {name: some(getattr(sequence, name)) for name in ("jaw", "neck", "eyes", "eyelids")}
    drivers = {name: some(value) for name, value in sequence.drivers.items()}
    return dataclasses.replace(turned, expr=base + share * (some(sequence.expr) - base), cameras={}, drivers=drivers, **fields)


def driver_of(layer: SplatLayer, avatar: Avatar) -> tuple[str, ...]:
    """Return what drives a layer's network: its inputs; where it looks at posed means, whatever moves them as well."""
    assert isinstance(layer.dynamics, str)
    inputs = avatar.networks[layer.dynamics].inputs
    named = [name for name in inputs if name != "posed_means"]
    if "posed_means" in inputs:
        named += [name for name in DRIVER_FIELDS if name not in named]
    return tuple(named)


def driving_numbers(names: tuple[str, ...], avatar: Avatar, frame: Sequence) -> Float64[np.ndarray, " D"]:
    """Return a frame's numbers of a driver, end to end."""
    parts = driver_values(names, avatar.head, frame)
    return np.concatenate([parts[name][0] for name in names]).astype(np.float64)


def network_deltas(layer: SplatLayer, avatar: Avatar, frame: Sequence) -> dict[str, np.ndarray]:
    """Return what a layer's network adds at one frame, by channel.

    Raises:
        UnsupportedFeature: It also gives features for a decoder.
        FormatError: It gives NaN or infinity, or other shapes than its channels have.
    """
    assert isinstance(layer.dynamics, str)
    means = None
    if "posed_means" in avatar.networks[layer.dynamics].inputs:
        still = dataclasses.replace(layer, dynamics=None)
        means = deform_splats(still, avatar, deform_head(avatar.head, frame), frame).cloud.means
    found = dict(deltas_of(layer.dynamics, avatar, frame, means))
    if "features" in found:
        raise UnsupportedFeature(f"layer '{layer.name}': its network gives features for a decoder, which tables do not hold")
    for name, value in found.items():
        if value.shape != (len(layer.cloud), CHANNELS[name]):
            raise FormatError(f"layer '{layer.name}': network '{layer.dynamics}' gives {list(value.shape)} for '{name}', "
                              f"expected [{len(layer.cloud)}, {CHANNELS[name]}]")
        if not np.isfinite(value).all():
            raise FormatError(f"layer '{layer.name}': network '{layer.dynamics}' gives NaN or infinity for '{name}'; train it "
                              "again, or leave the frames out that do it")
    return found


def sample(layer: SplatLayer, avatar: Avatar, frames: Sequence, average: int, progress: Progress) -> Samples:
    """Return a network's answers for every frame.

    Args:
        layer: Moved by a network.
        avatar: Holds it.
        frames: What drives it.
        average: The first so many frames make the average.
        progress: Told what is going on.
    """
    names = driver_of(layer, avatar)
    driving, deltas = [], {}
    for t in range(len(frames)):
        frame = frames.take([t])
        if t % 16 == 0:
            progress(f"layer {layer.name}: asking its network, frame {t + 1} of {len(frames)}")
        driving.append(driving_numbers(names, avatar, frame))
        for name, value in network_deltas(layer, avatar, frame).items():
            deltas.setdefault(name, np.empty((len(frames), *value.shape), np.float32))[t] = value
    if not deltas:
        raise BindingError(f"layer '{layer.name}': network '{layer.dynamics}' moves nothing; leave it out")
    assert layer.dynamics is not None
    referred = _take_average(layer, space_of(layer.dynamics, avatar), deltas, average)
    widths = driver_values(names, avatar.head, frames.take([0]))
    parts = tuple(widths[name].shape[1] for name in names)
    return Samples(referred, names, parts, np.stack(driving), deltas, _weights(referred, avatar, deltas))


def _take_average(layer: SplatLayer, space: str, deltas: dict[str, np.ndarray], average: int) -> SplatLayer:
    """Take the average off `deltas`, in place, and return the layer with it.

    Deltas in world axes, of Gaussians that a binding turns, have no place in the cloud; they stay as they are.
    """
    cloud, binding = layer.cloud, layer.binding
    means, quats, scales = (v.astype(np.float64) for v in (cloud.means, cloud.quats, cloud.scales))
    opacities, sh = cloud.opacities, cloud.sh.astype(np.float64)
    turns_nothing = binding.rotation == "none" if isinstance(binding, SkinBinding) else binding.frame == "none"
    powers = isinstance(binding, FaceBinding) and binding.splat_scale == "log_area_ratio"
    for name, values in deltas.items():
        if space == "posed" and (name == "means" or name == "rotvecs" and not turns_nothing or name == "log_scales" and powers):
            continue
        if name == "rotvecs":
            quats = _take_mean_turn(values, quats, space, average)
            continue
        mean = values[:average].mean(axis=0, dtype=np.float64)
        values -= mean.astype(np.float32)
        if name == "means":
            means = means + mean
        elif name == "log_scales":
            scales = scales * np.exp(mean)
        elif name == "opacity_logits":
            opacities = sigmoid(logit(cloud.opacities) + mean[:, 0])
        else:
            sh[:, 0] += rgb_to_sh(mean) - rgb_to_sh(np.zeros(3))
    made = dataclasses.replace(cloud, means=means, quats=normalize(quats), scales=scales, opacities=opacities, sh=sh)
    return dataclasses.replace(layer, cloud=made)


def _take_mean_turn(values: np.ndarray, quats: np.ndarray, space: str, average: int) -> np.ndarray:
    """Turn rotation vectors [T, N, 3], in place, into those against their average, and return quats turned by it.

    The average of quaternions on one hemisphere, made unit. A turn is after the stored rotation (canonical) or before it (posed).
    """
    first = axis_angle_to_quat(values[0].astype(np.float64))
    total = np.zeros_like(first)
    for t in range(average):
        q = axis_angle_to_quat(values[t].astype(np.float64))
        total += q * np.where((q * first).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    mean = normalize(total)
    back = mean * [1, -1, -1, -1]
    for t in range(len(values)):
        q = axis_angle_to_quat(values[t].astype(np.float64))
        values[t] = quat_to_axis_angle(quat_multiply(back, q) if space == "canonical" else quat_multiply(q, back))
    return quat_multiply(quats, mean) if space == "canonical" else quat_multiply(mean, quats)


def _weights(layer: SplatLayer, avatar: Avatar, deltas: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return how much a unit of each channel shows: the square root of the energy that it puts into the picture, about.

    A Gaussian of radius s and opacity o that is d off, or log-scales by d, changes its picture by o d / s of itself or o d; the
    picture has about the area s^2. What a rotation does counts by how far from round it is.
    """
    frame = rest_sequence(avatar.head)
    still = dataclasses.replace(layer, dynamics=None)
    cloud = deform_splats(still, avatar, deform_head(avatar.head, frame), frame).cloud
    scales = np.sort(cloud.scales.astype(np.float64), axis=1)
    size = np.sqrt(scales[:, 2] * scales[:, 1] + PIXEL**2)
    opacity = np.clip(cloud.opacities.astype(np.float64), 0.02, 1)
    gain = np.ones(len(cloud))
    binding = layer.binding
    if isinstance(binding, FaceBinding):
        _, k, area = (values[binding.face_index] for values in triangle_frames(avatar.head.v_template, avatar.head.faces))
        gain = {"none": gain, "edge_height": k, "double_area": area}[binding.offset_scale]
    uneven = scales[:, 2] - scales[:, 0] + 0.05 * size
    each = {"means": opacity * gain, "rotvecs": opacity * uneven, "log_scales": opacity * size,
            "opacity_logits": np.maximum(opacity * (1 - opacity), 0.02) * size, "rgb": opacity * size}
    return {name: np.maximum(each[name], 1e-9) for name in deltas}
