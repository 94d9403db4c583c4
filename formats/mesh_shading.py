"""The colour of a mesh layer where a pixel sees it: a texture, or BakedAvatar's radiance bases mixed per pixel."""

import numpy as np
from jaxtyping import Float, Float64, Int32, UInt8

from formats.avatar import BasisMix
from formats.camera import Camera
from formats.conventions import CV_FROM_GL
from formats.deform import PosedMesh
from formats.errors import BindingError
from formats.rotations import normalize

CHUNK = 1 << 15
"""Pixels shaded at a time; bounds memory at 16 bases to about 50 MB."""


def sample_bilinear(image: Float[np.ndarray, "H W C"] | UInt8[np.ndarray, "H W C"],
                    uvs: Float[np.ndarray, "P 2"]) -> Float64[np.ndarray, "P C"]:
    """Return `image` at `uvs`, bilinear between texel centres, held at the borders; bytes count as value / 255.

    (0, 0) is the top-left corner of the image; texel [i, j] has its centre at ((j + 0.5) / W, (i + 0.5) / H).
    """
    height, width = image.shape[:2]
    x, y = uvs[:, 0] * width - 0.5, uvs[:, 1] * height - 0.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    x0, x1 = (np.clip(left + i, 0, width - 1).astype(int) for i in (0, 1))
    y0, y1 = (np.clip(top + i, 0, height - 1).astype(int) for i in (0, 1))
    upper = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    lower = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    blended = upper * (1 - fy) + lower * fy
    return blended / 255 if image.dtype == np.uint8 else blended


def shade(mesh: PosedMesh, camera: Camera, face: Int32[np.ndarray, " P"],
          weights: Float64[np.ndarray, "P 3"]) -> tuple[Float64[np.ndarray, "P 3"], Float64[np.ndarray, " P"]]:
    """Return colour and straight alpha of P pixels that see triangle `face` at barycentric `weights`.

    Raises:
        BindingError: The network gave another number of shading weights than the layer's `BasisMix` takes.
    """
    layer = mesh.layer
    parts = []
    for start in range(0, len(face), CHUNK):
        f, w = face[start:start + CHUNK], weights[start:start + CHUNK]
        uvs = np.einsum("pi,pic->pc", w, layer.uvs[layer.uv_faces[f]])
        if layer.shading is None:
            assert layer.texture is not None
            parts.append(sample_bilinear(layer.texture, uvs))
            continue
        normals = normalize(np.einsum("pi,pic->pc", w, mesh.normals[layer.faces[f]]))
        points = np.einsum("pi,pic->pc", w, mesh.vertices[layer.faces[f]])
        assert mesh.shading_weights is not None
        rgb = mix_bases(layer.shading, mesh.shading_weights, uvs, normals, normalize(points - camera.position),
                        camera.world_to_camera[:3, :3], mesh.name)
        parts.append(np.concatenate([rgb, sample_bilinear(layer.shading.alpha[..., None], uvs)], axis=1))
    rgba = np.concatenate(parts) if parts else np.zeros((0, 4))
    return rgba[:, :3], np.ones(len(face)) if layer.opaque else np.clip(rgba[:, 3], 0, 1)


def mix_bases(mix: BasisMix, shading_weights: Float[np.ndarray, " S"], uvs: Float[np.ndarray, "P 2"],
              normals: Float[np.ndarray, "P 3"], directions: Float[np.ndarray, "P 3"],
              world_to_camera: Float[np.ndarray, "3 3"], name: str = "mesh") -> Float64[np.ndarray, "P 3"]:
    """Return sum_k softmax(temperature W2 relu(W1 x))_k bases_k with x = position feature, normal, view direction.

    Args:
        mix: Bases, features and sizes.
        shading_weights: W1 [H, D + 6] row-major, then W2 [K, H] row-major.
        uvs: Where the bases and features are sampled.
        normals: World space, unit (made so again after interpolation).
        directions: Camera to point, world space, unit.
        world_to_camera: Rotation into OpenCV camera axes. With `mix.space` `view`, normals and directions turn into
            view axes with x right, y up, z towards the viewer: OpenGL's, which the network was trained in.
        name: Of the layer, for the message.

    Source: Duan et al., "BakedAvatar", ACM TOG 2023, section 4.3.
    """
    share = mixing_shares(mix, shading_weights, sample_bilinear(mix.position_features, uvs), normals, directions,
                          world_to_camera, name)
    rgb = np.zeros((len(uvs), 3))
    for k in range(len(mix.bases)):
        rgb += share[:, k:k + 1] * sample_bilinear(mix.bases[k], uvs)
    return rgb


def mixing_shares(mix: BasisMix, shading_weights: Float[np.ndarray, " S"], features: Float[np.ndarray, "P D"],
                  normals: Float[np.ndarray, "P 3"], directions: Float[np.ndarray, "P 3"],
                  world_to_camera: Float[np.ndarray, "3 3"], name: str = "mesh") -> Float64[np.ndarray, "P K"]:
    """Return how much each base counts at P points; arguments as `mix_bases`, `features` already looked up."""
    depth, bases = mix.position_features.shape[2], len(mix.bases)
    split = mix.hidden * (depth + 6)
    if len(shading_weights) != split + bases * mix.hidden:
        raise BindingError(f"layer '{name}': expected {split + bases * mix.hidden} shading weights for {mix.hidden} "
                           f"hidden units, {depth} features and {bases} bases; the network gave {len(shading_weights)}")
    w1 = shading_weights[:split].astype(np.float64).reshape(mix.hidden, depth + 6)
    w2 = shading_weights[split:].astype(np.float64).reshape(bases, mix.hidden)
    if mix.space == "view":
        to_view = CV_FROM_GL[:3, :3].T @ world_to_camera
        normals, directions = normals @ to_view.T, directions @ to_view.T
    x = np.concatenate([features, normals, directions], axis=1)
    logits = mix.temperature * (np.maximum(x @ w1.T, 0) @ w2.T)
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)
