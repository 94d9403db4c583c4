"""Pictures from an image decoder: the feature image against the colour path, the decoder's run, sizes and refusals."""

import dataclasses

import numpy as np
import pytest

from formats.avatar import Avatar, Network
from formats.conventions import rgb_to_sh
from formats.decoding import enlarge, feature_camera
from formats.deform import PosedSplats, deform
from formats.errors import BindingError, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.onnx_graph import OnnxGraph
from formats.render import RenderOptions, feature_image, render, render_avatar, render_layers
from tests.builders import tiny_avatar, tiny_camera, tiny_network, tiny_sequence

CHANNELS = 7
"""No multiple of three."""
STORED = 1e-6
"""Pictures are float32, whose step at 1 is 6e-8."""


def decoder(channels: int = CHANNELS, scale: int = 2, size: tuple[int | str, int | str] = ("h", "w")) -> Network:
    """Return a network that adds up channels three apart, halves them and repeats each pixel `scale` times."""
    g = OnnxGraph()
    weight = np.zeros((3, channels, 1, 1))
    for c in range(channels):
        weight[c % 3, c] = 0.5
    x = g("Conv", g.input("features", 1, channels, *size), weight)
    g.output("image", g("Resize", x, None, np.array([1, 1, scale, scale], np.float32), mode="nearest",
                        coordinate_transformation_mode="asymmetric", nearest_mode="floor"))
    return g.network()


def avatar_with(made: Network, channels: int = CHANNELS, scale: int = 2, kind: str = "edge-height") -> Avatar:
    """Return an avatar whose network gives its Gaussians features, about -1..1, that move with the expression."""
    avatar = tiny_avatar(kind)
    layers = list(avatar.layers)
    features = tiny_network(avatar.head, ("expr",), {"features": (len(layers[0].binding), channels)}, size=0.5)
    layers[0] = dataclasses.replace(layers[0], dynamics="features")
    return dataclasses.replace(avatar, layers=tuple(layers), networks=dict(avatar.networks) | {
        "features": features, "decoder": made}, decoder="decoder", decoder_scale=scale)


@pytest.mark.parametrize("accelerate", [True, False])
def test_the_feature_image_is_what_colours_would_be_over_white(accelerate: bool):
    avatar = avatar_with(decoder())
    assert avatar.sequence is not None
    posed = deform(avatar, avatar.sequence, 1)
    layer, camera = posed.layers[0], feature_camera(tiny_camera(size=64), 2)
    assert isinstance(layer, PosedSplats) and layer.features is not None
    image, through = feature_image(avatar, posed, camera, accelerate=accelerate)
    assert image.shape == (32, 40, CHANNELS) and layer.features.min() < -0.1 and through.min() < 0.5
    # Colours are never negative nor above 1, and blending is linear: draw f / 8 + 1 / 2, which is linear in f where 1 is
    # background. So F(f) = 8 (F(f / 8 + 1 / 2) - (1 - T) / 2 - T) + T.
    tame = np.pad(layer.features.astype(np.float64), ((0, 0), (0, 2))) / 8 + 0.5
    assert tame.min() >= 0 and tame.max() <= 1
    for first in (0, 3, 6):
        cloud = GaussianCloud(layer.cloud.means, layer.cloud.quats, layer.cloud.scales, layer.cloud.opacities,
                              rgb_to_sh(tame[:, None, first:first + 3]))
        picture = render_layers([PosedSplats("plain", cloud, np.eye(3))], camera, accelerate=accelerate)
        wanted = 8 * (picture.rgb - (1 - through[..., None]) / 2 - through[..., None]) + through[..., None]
        got = image[..., first:first + 3]
        np.testing.assert_allclose(got, wanted[..., :got.shape[2]], atol=1e-5)
        np.testing.assert_allclose(picture.alpha, 1 - through, atol=STORED)


def test_the_picture_is_the_decoders():
    avatar, camera = avatar_with(decoder()), tiny_camera(size=64)
    assert avatar.sequence is not None
    picture = render_avatar(avatar, avatar.sequence, 1, camera, RenderOptions(background=(0.0, 0.0, 0.0)))
    image, through = feature_image(avatar, deform(avatar, avatar.sequence, 1), feature_camera(camera, 2))
    summed = np.stack([image[..., c::3].sum(axis=-1) for c in range(3)], axis=-1) / 2
    assert summed.min() < 0 and summed.max() > 1  # so that clipping shows
    np.testing.assert_allclose(picture.rgb, np.clip(summed, 0, 1).repeat(2, axis=0).repeat(2, axis=1), atol=1e-5)
    assert picture.rgb[0, 0, 0] == 1  # the options' background is not used
    np.testing.assert_allclose(picture.alpha, enlarge(1 - through, 2), atol=STORED)
    assert np.abs(picture.rgb - render_avatar(avatar, avatar.sequence, 2, camera).rgb).max() > 0.05


def test_the_small_camera_sees_the_same_and_alpha_is_bilinear():
    camera = tiny_camera(size=64)
    small = feature_camera(camera, 4)
    point = np.array([0.1, -0.2, 3.0])
    np.testing.assert_allclose((camera.K @ point)[:2], 4 * (small.K @ point)[:2])
    assert (small.width, small.height) == (20, 16) and small.K[2, 2] == 1
    np.testing.assert_allclose(enlarge(np.array([[0.0, 1.0]]), 4)[0], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    plain = tiny_avatar("edge-height")
    assert plain.sequence is not None
    np.testing.assert_array_equal(render_avatar(plain, plain.sequence, 1, camera).rgb,
                                  render(deform(plain, plain.sequence, 1), camera).rgb)


def test_a_decoder_of_one_size_takes_that_size():
    avatar = avatar_with(decoder(size=(24, 40)))
    assert avatar.sequence is not None
    fits = dataclasses.replace(tiny_camera(size=64), height=48)
    assert render_avatar(avatar, avatar.sequence, 0, fits).rgb.shape == (48, 80, 3)
    with pytest.raises(UnsupportedFeature, match=r"40 x 24, so pictures of 80 x 48 pixels; the camera's are 80 x 64"):
        render_avatar(avatar, avatar.sequence, 0, tiny_camera(size=64))


def test_what_cannot_be_decoded_is_refused():
    sequence = tiny_sequence(tiny_avatar().head)
    with pytest.raises(UnsupportedFeature, match="78 x 63 pixels do not divide by the decoder's scale of 2; .* 78 x 64"):
        render_avatar(avatar_with(decoder()), sequence, 0, tiny_camera(size=63))
    with pytest.raises(BindingError, match=r"'splats': 7 features a Gaussian, image decoder 'decoder' takes 8"):
        render_avatar(avatar_with(decoder(8)), sequence, 0, tiny_camera())
    with pytest.raises(BindingError, match=r"made an image of \[1, 3, 64, 80\], expected \[1, 3, 128, 160\]"):
        render_avatar(avatar_with(decoder(), scale=4), sequence, 0, tiny_camera(size=128))
    bald = dataclasses.replace(avatar_with(decoder()), layers=tiny_avatar().layers)
    with pytest.raises(UnsupportedFeature, match="'splats': has no features"):
        render_avatar(bald, sequence, 0, tiny_camera())
    with pytest.raises(UnsupportedFeature, match="no layer to draw"):
        render_avatar(dataclasses.replace(bald, layers=()), sequence, 0, tiny_camera())
    haired = avatar_with(decoder(), kind="strands")
    with pytest.raises(UnsupportedFeature, match="layer 'hair': has no features|layer 'strands': has no features"):
        render_avatar(haired, sequence, 0, tiny_camera())
    wrong = tiny_network(bald.head, ("expr",), {"coefficients": (1, 2)})
    with pytest.raises(UnsupportedFeature, match="from 'features' to 'image', got expr to coefficients"):
        render_avatar(dataclasses.replace(bald, networks={"decoder": wrong}), sequence, 0, tiny_camera())
