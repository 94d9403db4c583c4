"""Maps of mesh layers as bytes: what pictures in a file can hold of them."""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32, UInt8

from formats.avatar import Avatar, BasisMix, MeshLayer
from formats.codecs.glb_mesh_layers import from_bytes

Range = tuple[Float32[np.ndarray, " D"], Float32[np.ndarray, " D"]]
"""What 0 and 255 mean in each channel."""


def byte_maps(avatar: Avatar) -> Avatar:
    """Return `avatar` with the maps of its mesh layers rounded to bytes; layers whose maps are bytes already stay as they are.

    Position features are rounded within each channel's own range, and stay floats where that is not 0..1.
    """
    layers = tuple(_rounded(layer) if isinstance(layer, MeshLayer) else layer for layer in avatar.layers)
    if all(a is b for a, b in zip(layers, avatar.layers, strict=True)):
        return avatar
    return dataclasses.replace(avatar, layers=layers)


def _rounded(layer: MeshLayer) -> MeshLayer:
    mix = layer.shading
    if mix is None:
        assert layer.texture is not None
        texture = color_bytes(layer.texture).astype(np.float32) / np.float32(255)
        return layer if np.array_equal(texture, layer.texture) else dataclasses.replace(layer, texture=texture)
    if all(map_.dtype == np.uint8 for map_ in (mix.bases, mix.alpha, mix.position_features)):
        return layer
    levels, span = feature_bytes(mix)
    features = levels if span is None else from_bytes(levels, *span)
    if (mix.bases.dtype == np.uint8 and mix.alpha.dtype == np.uint8 and span is not None
            and np.array_equal(features, mix.position_features)):
        return layer
    bases = np.stack([color_bytes(base) for base in mix.bases]) if len(mix.bases) else mix.bases
    return dataclasses.replace(layer, shading=dataclasses.replace(
        mix, bases=bases, alpha=color_bytes(mix.alpha), position_features=features))


def color_bytes(values: Float[np.ndarray, "*shape"] | UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Return values of 0..1 as the nearest of 256 levels; bytes as they are."""
    if values.dtype == np.uint8:
        return values
    return np.round(np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)


def feature_bytes(mix: BasisMix) -> tuple[UInt8[np.ndarray, "H W D"], Range | None]:
    """Return position features as bytes, and what 0 and 255 stand for; None where that is 0 and 1."""
    features = mix.position_features
    if features.dtype == np.uint8:
        return features, None
    levels = color_bytes(features)
    if np.array_equal(levels.astype(np.float32) / np.float32(255), features):
        return levels, None
    low, high = features.min(axis=(0, 1)), features.max(axis=(0, 1))
    step = np.where(high > low, high - low, np.float32(1))
    return np.round((features - low) / step * np.float32(255)).astype(np.uint8), (low, high)
