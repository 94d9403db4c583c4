"""Pictures of mesh layers: encoded once for all tries of an export, and the fallback that plain viewers show. See GLB.md 1.4."""

import dataclasses
import io
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from exporter import ktx2
from exporter.ops.byte_maps import color_bytes, feature_bytes
from exporter.ops.dilate import dilate
from formats import networks
from formats.avatar import Avatar, BasisMix, MeshLayer
from formats.conventions import CV_FROM_GL
from formats.deform import driver_values, rest_sequence
from formats.errors import BindingError
from formats.mesh_shading import mixing_shares
from formats.rotations import normalize
from formats.sequence import Sequence
from formats.texels import covered_texels

WEBP_QUALITIES = (90, 98)
LOSSY_DB = 41.0
"""Signal to noise that a lossy WebP of what our players show must keep: the first quality that does is taken, else it is
lossless. Mixing bases only lowers the noise."""
FALLBACK_SIDE = 1024
"""Texels along the longer side of a fallback, at most; of larger maps every second, third, ... texel is taken."""
GUTTER = 4
"""Texels that continue a fallback past the borders of its islands."""
CHUNK = 1 << 16
"""Texels mixed at a time."""

Kind = Literal["png", "webp", "ktx2"]
MIME = {"png": "image/png", "webp": "image/webp", "ktx2": "image/ktx2"}

Encoded = tuple[bytes, str]
"""An encoded picture and its MIME type."""
_MADE: "WeakKeyDictionary[BasisMix, dict[tuple[str, ...], list[Encoded]]]" = WeakKeyDictionary()
"""A small file is assembled several times, and encoding its pictures takes longer than all the rest."""


def encode(pixels: UInt8[np.ndarray, "H W *C"], kind: Kind, lossless: bool = True) -> Encoded:
    """Return a picture in display values; PNG is always lossless, KTX2 (UASTC) never, lossy WebP keeps `LOSSY_DB`."""
    if kind == "ktx2":
        return ktx2.encode(pixels, "uastc", mips=False), MIME[kind]
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if kind == "png":
        return _saved(flat, "PNG"), MIME[kind]
    for quality in () if lossless else WEBP_QUALITIES:
        data = _saved(flat, "WEBP", quality=quality, method=4, exact=True)
        if _noise(flat, data) <= 255**2 * 10 ** (-LOSSY_DB / 10):
            return data, MIME[kind]
    # Exact: what is transparent keeps its colour.
    return _saved(flat, "WEBP", lossless=True, quality=60, method=4, exact=True), MIME[kind]


def _saved(pixels: UInt8[np.ndarray, "H W *C"], form: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def _noise(pixels: UInt8[np.ndarray, "H W *C"], data: bytes) -> float:
    """Return the mean square difference, in levels, of a picture and its code."""
    with Image.open(io.BytesIO(data)) as image:
        found = np.asarray(image.convert("RGBA" if pixels.shape[2:] == (4,) else "RGB"), np.float32)
    return float(np.mean((found - pixels) ** 2))


def base_images(mix: BasisMix, kind: Kind) -> list[Encoded]:
    """Return the radiance bases as pictures of three channels, encoded when first asked for."""
    return _once(mix, ("bases", kind), lambda: [encode(color_bytes(base), kind, False) for base in mix.bases])


def feature_images(mix: BasisMix, kind: Kind) -> tuple[list[Encoded], int]:
    """Return the position features as lossless pictures, and how many channels of each count.

    PNG holds three features a picture. WebP's coder takes channels for colours of one thing, so there each has its own.
    """
    channels = 3 if kind == "png" else 1

    def make() -> list[Encoded]:
        levels, _ = feature_bytes(mix)
        images = []
        for first in range(0, levels.shape[2], channels):
            held = levels[..., first:first + channels]
            images.append(encode(np.pad(held, ((0, 0), (0, 0), (0, channels - held.shape[2]))), kind, True))
        return images

    return _once(mix, ("features", kind), make), channels


def alpha_image(mix: BasisMix, kind: Kind) -> Encoded:
    """Return the alpha as a lossless grey picture."""
    return _once(mix, ("alpha", kind), lambda: [encode(color_bytes(mix.alpha), kind, True)])[0]


def fallback_image(layer: MeshLayer, avatar: Avatar, kind: Kind) -> Encoded:
    """Return what plain viewers show of a layer: its texture, or `fallback` of its shading."""
    if layer.shading is None:
        assert layer.texture is not None
        return encode(_shown(color_bytes(layer.texture), layer.opaque), kind, False)

    def make() -> list[Encoded]:
        return [encode(_shown(fallback(layer, avatar), layer.opaque), kind, False)]

    return _once(layer.shading, ("fallback", kind, str(layer.opaque)), make)[0]


def _shown(rgba: UInt8[np.ndarray, "H W 4"], opaque: bool) -> UInt8[np.ndarray, "H W C"]:
    return np.ascontiguousarray(rgba[..., :3]) if opaque and (rgba[..., 3] == 255).all() else rgba


def _once(mix: BasisMix, key: tuple[str, ...], make) -> list[Encoded]:  # noqa: ANN001 - a function of nothing
    made = _MADE.setdefault(mix, {})
    if key not in made:
        made[key] = make()
    return made[key]


def fallback(layer: MeshLayer, avatar: Avatar) -> UInt8[np.ndarray, "H W 4"]:
    """Return a layer's shading worked out once per texel: the head at rest, each point seen along its normal from in front.

    Straight alpha (1 where the layer is opaque), display sRGB. Texels that no triangle covers continue their neighbours.
    """
    mix = layer.shading
    assert mix is not None
    stride = -(-max(mix.alpha.shape) // FALLBACK_SIDE)
    alpha = color_bytes(mix.alpha[::stride, ::stride])
    height, width = alpha.shape
    texel, face, corner = covered_texels(layer.uvs, layer.uv_faces, height, width)
    texel, first = np.unique(texel, return_index=True)
    face, corner = face[first], corner[first]
    weights = rest_shading_weights(layer, avatar)
    rgb = np.zeros((height * width, 3), np.float32)
    for start in range(0, len(texel), CHUNK):
        part = slice(start, start + CHUNK)
        rows, columns = np.divmod(texel[part], width)
        normals = normalize(np.einsum("pi,pic->pc", corner[part], layer.normals[layer.faces[face[part]]].astype(np.float64)))
        rgb[texel[part]] = _mixed(mix, weights, rows * stride, columns * stride, normals, layer.name)
    covered = np.zeros(height * width, bool)
    covered[texel] = True
    rgb[~covered] = rgb[covered].mean(axis=0) if covered.any() else 0.5
    filled = dilate(rgb.reshape(height, width, 3), covered.reshape(height, width), GUTTER)
    if layer.opaque:
        alpha = np.full_like(alpha, 255)
    return np.concatenate([color_bytes(filled), alpha[..., None]], axis=2)


def rest_shading_weights(layer: MeshLayer, avatar: Avatar) -> Float32[np.ndarray, " W"]:
    """Return what a layer's network gives on a neutral frame, drivers of the sequence's own at zero."""
    assert layer.shading is not None
    network = avatar.networks[layer.shading.weights_from]
    frame = with_drivers(rest_sequence(avatar.head), avatar, layer.shading.weights_from)
    return networks.evaluate(network, driver_values(network.inputs, avatar.head, frame))["shading_weights"].reshape(-1)


def with_drivers(frame: Sequence, avatar: Avatar, *names: str) -> Sequence:
    """Return a frame that also has the drivers, zero where it lacks them, that these networks of the avatar need."""
    missing = {}
    for name in names:
        for driver, shape in networks.input_shapes(avatar.networks[name]).items():
            try:
                if driver not in ("posed_means", "features"):
                    driver_values((driver,), avatar.head, frame)
            except BindingError:
                missing[driver] = np.zeros((len(frame), shape[-1] or 1), np.float32)
    return dataclasses.replace(frame, drivers={**frame.drivers, **missing}) if missing else frame


def _mixed(mix: BasisMix, weights: Float32[np.ndarray, " W"], rows: np.ndarray, columns: np.ndarray,
           normals: Float64[np.ndarray, "P 3"], name: str) -> Float64[np.ndarray, "P 3"]:
    """Return the colours of texels seen along their normals by a camera that looks along -z."""
    features = _unit(mix.position_features[rows, columns])
    share = mixing_shares(mix, weights, features, normals, -normals, CV_FROM_GL[:3, :3], name)
    rgb = np.zeros((len(rows), 3))
    for k in range(len(mix.bases)):
        rgb += share[:, k:k + 1] * _unit(mix.bases[k, rows, columns])
    return rgb


def _unit(values: np.ndarray) -> Float64[np.ndarray, "P C"]:
    return values.astype(np.float64) / (255 if values.dtype == np.uint8 else 1)
