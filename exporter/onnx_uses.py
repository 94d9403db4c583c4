"""What an avatar's networks are for: who uses each, what goes in and comes out with its unit, and inputs to try them with."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from exporter.capabilities import measured_frames
from formats import networks
from formats.avatar import Avatar, LinearDynamics, MeshLayer, Network, SplatLayer
from formats.decoding import feature_camera
from formats.deform import deform, deform_head, deform_splats, driver_spans, driver_values, rest_sequence
from formats.errors import MissingAsset, UnsupportedFeature
from formats.framing import default_camera
from formats.render import feature_image
from formats.sequence import Sequence

INPUTS = {
    "expr": ("1", "expression coefficients in the order of the head's expr_names"),
    "rotation": ("rad", "the root's rotation, axis-angle: x, y, z"),
    "neck": ("rad", "the neck's rotation, axis-angle: x, y, z"),
    "jaw": ("rad", "the jaw's rotation, axis-angle: x, y, z"),
    "eyes": ("rad", "rotations of the eyes, axis-angle: left x, y, z, then right"),
    "eyelids": ("1", "left, right: 0 open, 1 closed"),
    "translation": ("m", "added after skinning: x, y, z; +Y up, the face towards +Z"),
    "jaw_6d": ("1", "first two rows of the jaw's rotation matrix, row by row"),
    "eyes_6d": ("1", "first two rows of the rotation matrices of the left eye, then of the right"),
    "absolute_pose": ("rad, m", "the root's rotation, axis-angle x, y, z, then the translation x, y, z"),
    "posed_means": ("m", "where the binding puts the layer's Gaussians, world x, y, z, in the layer's order"),
    "features": ("1", "feature image, blended over 1.0: channels, rows from the top, columns"),
    "coefficients": ("1", "what the coefficient network gives, or the centred driver"),
}
"""Input to unit and meaning; other names are `drivers` of the sequence, as it stores them."""
OUTPUTS = {
    "delta_means": ("m, or units of the binding in canonical space", "added to the means: x, y, z"),
    "delta_rotvecs": ("rad", "rotation vectors; after the stored rotation in canonical space, before it in posed space"),
    "delta_log_scales": ("ln", "scales are multiplied by its exponential"),
    "delta_opacity_logits": ("logit", "added to the logit of the opacity"),
    "delta_rgb": ("1", "added to the colour, display sRGB"),
    "features": ("1", "channels that the image decoder's feature image is drawn with"),
    "coefficients": ("1", "c of delta[n] = sum_k T[n, k] c_k"),
    "shading_weights": ("1", "W1 [hidden, features + 6] row by row, then W2 [bases, hidden]"),
    "image": ("1", "display sRGB, red, green, blue, rows from the top; cut to 0..1"),
}
"""Output to unit and meaning."""
RANDOM_FRAMES = 4
"""Made-up frames that a graph is tried with, beside some of the clip."""
SPREAD = {"expr": 1.0, "rotation": 0.3, "neck": 0.2, "jaw": 0.2, "eyes": 0.3, "eyelids": 0.5, "translation": 0.05}
"""Standard deviations of made-up drivers."""


@dataclass(frozen=True, eq=False)
class Use:
    """One way in which an avatar uses a network."""

    network: str
    role: str
    """`deltas`, `coefficients`, `shading`, `decoder`, or `unused`."""
    layers: tuple[str, ...] = ()
    mean: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """Input name to what linear dynamics take off it first, [D]."""
    count: int = 0
    """Gaussians of the layer, where `posed_means` goes in."""


def uses_of(avatar: Avatar) -> list[Use]:
    """Return every use of every network; layers that use one alike are one use."""
    found: list[Use] = []
    for layer in avatar.layers:
        if isinstance(layer, MeshLayer) and layer.shading is not None:
            found.append(Use(layer.shading.weights_from, "shading", (layer.name,)))
        elif isinstance(layer, SplatLayer) and isinstance(layer.dynamics, str):
            takes_means = "posed_means" in avatar.networks[layer.dynamics].inputs
            found.append(Use(layer.dynamics, "deltas", (layer.name,), {}, len(layer.cloud) if takes_means else 0))
        elif isinstance(layer, SplatLayer) and isinstance(layer.dynamics, LinearDynamics) and layer.dynamics.network:
            found.append(Use(layer.dynamics.network, "coefficients", (layer.name,), _means(avatar, layer.dynamics)))
    if avatar.decoder is not None:
        found.append(Use(avatar.decoder, "decoder"))
    named = {use.network for use in found}
    found += [Use(name, "unused") for name in avatar.networks if name not in named]
    merged: list[Use] = []
    for use in found:
        same = next((i for i, m in enumerate(merged) if _alike(m, use)), None)
        if same is None:
            merged.append(use)
        else:
            merged[same] = dataclasses.replace(merged[same], layers=(*merged[same].layers, *use.layers))
    return merged


def _alike(a: Use, b: Use) -> bool:
    return (a.network, a.role, a.count) == (b.network, b.role, b.count) and a.mean.keys() == b.mean.keys() and all(
        np.array_equal(a.mean[name], b.mean[name]) for name in a.mean)


def _means(avatar: Avatar, dynamics: LinearDynamics) -> dict[str, np.ndarray]:
    """Return `driver_mean` cut into the network's inputs, as `deform.coefficients_of` cuts it."""
    mean = dynamics.driver_mean
    if mean is None or not mean.any():
        return {}
    assert dynamics.network is not None
    spans = driver_spans(dynamics, driver_values(dynamics.driver, avatar.head, frames_of(avatar)[0]))
    return {name: mean[spans[name]] for name in avatar.networks[dynamics.network].inputs}


def shapes_of(avatar: Avatar, use: Use, width: int, height: int) -> dict[str, tuple[int, ...]]:
    """Return the fixed shape of each input of a use.

    Args:
        avatar: Holds the network.
        use: Of it.
        width: Pixels of the picture, for a decoder that takes any size.
        height: The same.

    Raises:
        UnsupportedFeature: The picture's size does not divide by the decoder's scale, or an input's size is not known.
    """
    network, shapes = avatar.networks[use.network], {}
    for name, declared in networks.input_shapes(network).items():
        if name == "features":
            shape = (1, declared[1] or _channels(avatar), declared[2] or _share(height, avatar),
                     declared[3] or _share(width, avatar)) if len(declared) == 4 else declared
        elif name == "posed_means":
            shape = (declared[0] or use.count, 3)
        else:
            shape = (1, declared[-1] or _width(avatar, use, name))
        if not all(shape):
            raise UnsupportedFeature(f"onnx: network '{use.network}': the size of input '{name}' is open, and nothing uses "
                                     "the network to tell it; leave the network out of the avatar")
        shapes[name] = tuple(int(n or 0) for n in shape)
    return shapes


def _share(pixels: int, avatar: Avatar) -> int:
    if pixels < 1 or pixels % avatar.decoder_scale:
        raise UnsupportedFeature(f"onnx: pictures of {pixels} pixels do not divide by the decoder's scale of "
                                 f"{avatar.decoder_scale}; choose --width and --height that do")
    return pixels // avatar.decoder_scale


def _channels(avatar: Avatar) -> int:
    frame = frames_of(avatar)[0]
    for layer in deform(avatar, frame).layers:
        features = getattr(layer, "features", None)
        if features is not None:
            return features.shape[1]
    return 0


def _width(avatar: Avatar, use: Use, name: str) -> int:
    return driver_values((name,), avatar.head, frames_of(avatar)[0])[name].shape[1]


# --- Inputs to try a graph with ---------------------------------------------------------------------------------------


def frames_of(avatar: Avatar) -> list[Sequence]:
    """Return some single frames: of the clip, or else one that moves."""
    return list(measured_frames(avatar.head, avatar.sequence))


def feeds_of(avatar: Avatar, use: Use, shapes: Mapping[str, tuple[int, ...]], seed: int = 0
             ) -> list[dict[str, np.ndarray]]:
    """Return inputs by name, float32, for frames of the clip and for made-up ones; the mean is still in them."""
    rng = np.random.default_rng(seed)
    if use.role == "decoder":
        return _pictures(avatar, shapes["features"], rng)
    drivers = [name for name in shapes if name != "posed_means"]
    feeds = []
    for frame in [*frames_of(avatar), *(_random_frame(avatar, rng) for _ in range(RANDOM_FRAMES))]:
        extra = {n: rng.normal(size=(1, shapes[n][1])) for n in drivers if n not in INPUTS and n not in frame.drivers}
        frame = dataclasses.replace(frame, drivers={**frame.drivers, **extra})
        feed: dict[str, np.ndarray] = dict(driver_values(tuple(drivers), avatar.head, frame))
        if "posed_means" in shapes:
            feed["posed_means"] = _posed_means(avatar, use, frame, shapes["posed_means"], rng)
        feeds.append({name: np.ascontiguousarray(feed[name]) for name in shapes})
    return feeds


def _random_frame(avatar: Avatar, rng: np.random.Generator) -> Sequence:
    still = rest_sequence(avatar.head)
    moved: dict[str, Any] = {name: rng.normal(0, size, getattr(still, name).shape) for name, size in SPREAD.items()}
    moved["eyelids"] = np.clip(np.abs(moved["eyelids"]), 0, 1)
    clip = avatar.sequence
    if clip is not None:
        moved["drivers"] = {name: rng.normal(value.mean(axis=0), value.std(axis=0))[None]
                            for name, value in clip.drivers.items() if name not in INPUTS}
    return dataclasses.replace(still, **moved)


def _posed_means(avatar: Avatar, use: Use, frame: Sequence, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    layer = next((each for each in avatar.layers if each.name in use.layers), None)
    if not isinstance(layer, SplatLayer):
        return rng.normal(0, 0.1, shape).astype(np.float32)
    still = dataclasses.replace(layer, dynamics=None)
    return deform_splats(still, avatar, deform_head(avatar.head, frame), frame).cloud.means


def _pictures(avatar: Avatar, shape: tuple[int, ...], rng: np.random.Generator) -> list[dict[str, np.ndarray]]:
    """Return one random feature image, and one that the avatar draws where its layers give features."""
    feeds = [{"features": rng.normal(0.5, 0.5, shape).astype(np.float32)}]
    scale = avatar.decoder_scale
    camera = feature_camera(default_camera(avatar, shape[3] * scale, shape[2] * scale), scale)
    try:
        posed = deform(avatar, frames_of(avatar)[0])
        image = feature_image(avatar, posed, camera)[0]
    except (UnsupportedFeature, MissingAsset):
        return feeds  # layers without features: only the decoder is a network here
    feeds.append({"features": np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)})
    return feeds


def network_of(avatar: Avatar, use: Use) -> Network:
    """Return the network of a use."""
    return avatar.networks[use.network]
