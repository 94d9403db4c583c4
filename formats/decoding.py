"""Pictures that an image decoder makes: the feature image's camera, the network's run, and what both refuse.

Gaussian Head Avatar (Xu et al., CVPR 2024, section 3.3) draws 32 channels at a quarter of the size and lets a convolutional
network make the picture. The whole definition is in `formats.render`.
"""

import dataclasses

import numpy as np
from jaxtyping import Float32, Float64

from formats import networks
from formats.avatar import Avatar, Network
from formats.camera import Camera
from formats.deform import PosedMesh, PosedSplats
from formats.errors import BindingError, UnsupportedFeature
from formats.mesh_shading import sample_bilinear

BACKGROUND = 1.0
"""What lies behind the Gaussians in every channel of a feature image (released arithmetic of Gaussian Head Avatar)."""


def decoder_of(avatar: Avatar) -> Network:
    """Return the avatar's decoder.

    Raises:
        UnsupportedFeature: The avatar has none, or it is no network from `features` to `image`.
    """
    if avatar.decoder is None:
        raise UnsupportedFeature("the avatar has no image decoder; draw it with render_avatar, which needs none")
    network = avatar.networks[avatar.decoder]
    if network.inputs != ("features",) or network.outputs != ("image",):
        raise UnsupportedFeature(f"image decoder '{avatar.decoder}': expected a network from 'features' to 'image', got "
                                 f"{', '.join(network.inputs)} to {', '.join(network.outputs)}")
    return network


def feature_camera(camera: Camera, scale: int) -> Camera:
    """Return the camera of the feature image: a pixel of it covers `scale` x `scale` pixels of the picture.

    Raises:
        UnsupportedFeature: The size does not divide.
    """
    if camera.width % scale or camera.height % scale:
        up = f"{-(-camera.width // scale) * scale} x {-(-camera.height // scale) * scale}"
        raise UnsupportedFeature(f"camera: {camera.width} x {camera.height} pixels do not divide by the decoder's scale of "
                                 f"{scale}; take a camera of {up}")
    k = camera.K.copy()
    k[:2] /= scale
    return dataclasses.replace(camera, K=k, width=camera.width // scale, height=camera.height // scale)


def check_size(avatar: Avatar, camera: Camera) -> None:
    """Raise unless the avatar's decoder takes the feature image of a picture this large.

    Args:
        avatar: With a decoder.
        camera: The feature image's (`feature_camera`).

    Raises:
        UnsupportedFeature: The network was made for another size.
    """
    wanted = networks.input_shapes(decoder_of(avatar))["features"]
    got = (1, None, camera.height, camera.width)
    if len(wanted) != 4:
        raise UnsupportedFeature(f"image decoder '{avatar.decoder}': its input has {len(wanted)} axes, expected [1, C, h, w]")
    if any(a is not None and b is not None and a != b for a, b in zip(wanted, got, strict=True)):
        scale = avatar.decoder_scale
        size = [n if n is not None else m for n, m in zip(wanted[:1:-1], (camera.width, camera.height), strict=True)]
        raise UnsupportedFeature(
            f"image decoder '{avatar.decoder}': takes feature images of {size[0]} x {size[1]}, so pictures of "
            f"{size[0] * scale} x {size[1] * scale} pixels; the camera's are {camera.width * scale} x {camera.height * scale}")


def features_of(avatar: Avatar, layers: list[PosedSplats | PosedMesh]) -> list[Float32[np.ndarray, "N C"]]:
    """Return what each layer's Gaussians show the decoder.

    Raises:
        UnsupportedFeature: A layer is a mesh, or has no features.
        BindingError: Features are of another number of channels than the decoder takes.
    """
    channels = networks.input_shapes(decoder_of(avatar))["features"][1]
    each = []
    for layer in layers:
        features = None if isinstance(layer, PosedMesh) else layer.features
        if features is None:
            raise UnsupportedFeature(f"layer '{layer.name}': has no features, and the avatar's picture comes from image "
                                     f"decoder '{avatar.decoder}'; leave the layer or the decoder out")
        channels = features.shape[1] if channels is None else channels
        if features.shape[1] != channels:
            raise BindingError(f"layer '{layer.name}': {features.shape[1]} features a Gaussian, image decoder "
                               f"'{avatar.decoder}' takes {channels}")
        each.append(features)
    return each


def decode(avatar: Avatar, features: Float64[np.ndarray, "h w C"]) -> Float32[np.ndarray, "H W 3"]:
    """Return the picture the avatar's decoder makes of a feature image, clipped to 0..1.

    Raises:
        BindingError: The network gives a picture of another size than `Avatar.decoder_scale` says.
    """
    feed = {"features": np.ascontiguousarray(features.transpose(2, 0, 1)[None], np.float32)}
    image = networks.evaluate(decoder_of(avatar), feed)["image"]
    height, width = (n * avatar.decoder_scale for n in features.shape[:2])
    if image.shape != (1, 3, height, width):
        raise BindingError(f"image decoder '{avatar.decoder}': made an image of {list(image.shape)}, expected "
                           f"[1, 3, {height}, {width}]; is decoder_scale {avatar.decoder_scale} right?")
    return np.clip(image[0].transpose(1, 2, 0), 0, 1).astype(np.float32)


def enlarge(image: Float64[np.ndarray, "h w"], scale: int) -> Float64[np.ndarray, "H W"]:
    """Return `image` at `scale` times its size, bilinear between pixel centres, held at the borders."""
    height, width = (n * scale for n in image.shape)
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    flat = sample_bilinear(image[..., None], np.stack([x.ravel(), y.ravel()], axis=1))
    return flat.reshape(height, width)
