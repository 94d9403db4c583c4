"""The definition of a picture: posed layers and a camera in, display sRGB out. Every faster renderer must match.

1. The background colour fills the picture.
2. Mesh layers, in the avatar's order (innermost first), each with its own nearest-surface pass and back faces left
   out, go over it with straight alpha. Layers do not hide each other by depth: that is what inner to outer is for.
3. The Gaussians of all splat and strand layers, in one order by view-space depth, go over that, nearest on top.
   A mesh layer never hides a Gaussian (our choice): systems that use both put the mesh underneath.
4. The result is clipped to 0..1. Blending happens in display sRGB, as it was trained.

An avatar with an image decoder (`Avatar.decoder`) is drawn otherwise:

1. The camera is taken `Avatar.decoder_scale` times smaller (K's first two rows and the size divided by it).
2. The `features` [N, C] of all its layers are blended at that size in the one order of step 3 above, over 1.0 in every
   channel. They are not clipped, and view directions play no part.
3. The decoder makes the picture [1, 3, H, W] out of the feature image [1, C, h, w]; it is clipped to 0..1. The background
   is whatever the decoder paints where no Gaussian is: `RenderOptions.background` is not used.
4. Alpha is that of the Gaussians at the feature image's size, bilinear between pixel centres, held at the borders.

Gaussians: Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", ACM TOG 2023; projection by
Zwicker et al., "EWA volume splatting", 2001. Numbers are float64 inside.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int32

from formats.avatar import Avatar
from formats.camera import Camera
from formats.decoding import BACKGROUND, check_size, decode, decoder_of, enlarge, feature_camera, features_of
from formats.deform import Posed, PosedMesh, PosedSplats, deform
from formats.errors import UnsupportedFeature
from formats.framing import default_camera
from formats.gaussians import GaussianCloud
from formats.mesh_shading import shade
from formats.picture import Picture, psnr
from formats.rasterize import ALPHA_MIN, accumulate_splats, box_of, nearest_triangles
from formats.rotations import normalize, quat_to_matrix
from formats.sequence import Sequence
from formats.spherical_harmonics import evaluate_sh

__all__ = ["Picture", "ProjectedSplats", "RenderOptions", "default_camera", "feature_image", "project", "psnr", "render",
           "render_avatar", "render_decoded", "render_layers", "splat_pass"]

JACOBIAN_MARGIN = 0.3
"""How far outside the picture, in half picture sizes, the projection's slope is still followed (1.3 tan(fov / 2))."""


@dataclass(frozen=True)
class RenderOptions:
    """What a picture leaves open."""

    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Display sRGB."""
    near: float = 0.2
    """Metres of view depth; what lies at it or nearer is not drawn. A close head needs less."""
    low_pass: float = 0.3
    """Square pixels added to the diagonal of every 2D covariance; opacity is not compensated."""

    def __post_init__(self) -> None:
        if not self.near > 0 or not self.low_pass > 0:
            raise UnsupportedFeature(f"RenderOptions: near and low_pass must be positive, got {self.near} metres and "
                                     f"{self.low_pass} square pixels")


@dataclass(frozen=True, eq=False)
class ProjectedSplats:
    """N Gaussians as ellipses on the picture, in the cloud's order. Rows that are not `visible` hold no meaning."""

    means2d: Float64[np.ndarray, "N 2"]
    """Pixels."""
    depths: Float64[np.ndarray, " N"]
    """View-space z, metres."""
    covariances: Float64[np.ndarray, "N 3"]
    """(xx, xy, yy), square pixels, low pass included."""
    conics: Float64[np.ndarray, "N 3"]
    """(xx, xy, yy) of the inverse."""
    rgb: Float64[np.ndarray, "N 3"]
    """Display sRGB, not below 0, possibly above 1."""
    opacities: Float64[np.ndarray, " N"]
    boxes: Int32[np.ndarray, "N 4"]
    """x0, y0, x1, y1, end exclusive: the pixels inside sqrt(2 ln(255 o)) standard deviations."""
    visible: Bool[np.ndarray, " N"]
    """Beyond the near plane, at least 1/255 opaque and inside the picture."""


def intrinsics_of(camera: Camera) -> tuple[float, float, float, float]:
    """Return fx, fy, cx, cy in pixels.

    Raises:
        UnsupportedFeature: The camera has skew, which no renderer of ours draws.
    """
    k = camera.K
    if abs(k[0, 1]) > 1e-9 * k[0, 0] or k[1, 0] != 0:
        raise UnsupportedFeature(f"Camera.K: skew {k[0, 1]:.4g} cannot be drawn; undistort the frames to square axes")
    return float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])


def to_camera(points: np.ndarray, camera: Camera) -> Float64[np.ndarray, "N 3"]:
    """Return world points in camera space: x right, y down, z forward, metres."""
    return points.astype(np.float64) @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]


def project(cloud: GaussianCloud, camera: Camera, options: RenderOptions | None = None,
            sh_rotation: Float64[np.ndarray, "3 3"] | None = None) -> ProjectedSplats:
    """Return the ellipses that world-space Gaussians make on the picture.

    With t the mean in camera space and W the camera's rotation:
    covariance = J W R diag(s^2) R^T W^T J^T + low_pass I, where
    J = [[fx / z, 0, -fx x' / z^2], [0, fy / z, -fy y' / z^2]] (Zwicker et al. 2001, eq. 29), x' = z clip(x / z, -(cx +
    0.3 w / 2) / fx, (w - cx + 0.3 w / 2) / fx) and y' likewise, so that Gaussians far outside do not blow up.
    Colour: SH at the direction from the camera to the mean, turned by `sh_rotation`.

    Args:
        cloud: World space.
        camera: Without skew.
        options: Defaults when absent.
        sh_rotation: World directions times this are the directions that meet the SH (`PosedSplats.sh_rotation`).
    """
    options = options or RenderOptions()
    fx, fy, cx, cy = intrinsics_of(camera)
    x, y, z = to_camera(cloud.means, camera).T
    in_front = z > options.near
    depth = np.where(in_front, z, 1.0)
    means2d = np.stack([fx * x / depth + cx, fy * y / depth + cy], axis=1)

    margin_x, margin_y = JACOBIAN_MARGIN * camera.width / 2, JACOBIAN_MARGIN * camera.height / 2
    slope_x = np.clip(x / depth, -(cx + margin_x) / fx, (camera.width - cx + margin_x) / fx)
    slope_y = np.clip(y / depth, -(cy + margin_y) / fy, (camera.height - cy + margin_y) / fy)
    nothing = np.zeros_like(depth)
    jacobian = np.stack([np.stack([fx / depth, nothing, -fx * slope_x / depth], axis=1),
                         np.stack([nothing, fy / depth, -fy * slope_y / depth], axis=1)], axis=1)
    axes = quat_to_matrix(cloud.quats) * cloud.scales.astype(np.float64)[:, None, :]
    flat = jacobian @ camera.world_to_camera[:3, :3] @ axes
    xx = np.sum(flat[:, 0] ** 2, axis=1) + options.low_pass
    xy = np.sum(flat[:, 0] * flat[:, 1], axis=1)
    yy = np.sum(flat[:, 1] ** 2, axis=1) + options.low_pass
    area = xx * yy - xy * xy
    # Rounding can lose the area of a huge, needle-thin ellipse; such a one cannot be drawn.
    sound = area > 0
    conics = np.stack([yy, -xy, xx], axis=1) / np.where(sound, area, 1)[:, None]

    opacities = cloud.opacities.astype(np.float64)
    shown = in_front & sound & (opacities >= ALPHA_MIN)
    reach = 2 * np.log(np.where(shown, opacities, ALPHA_MIN) / ALPHA_MIN)
    half = np.sqrt(reach[:, None] * np.stack([xx, yy], axis=1))
    boxes = box_of(means2d - half, means2d + half, camera.width, camera.height)
    shown &= (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])

    directions = normalize(cloud.means.astype(np.float64) - camera.position)
    rgb = evaluate_sh(cloud.sh, directions if sh_rotation is None else directions @ sh_rotation)
    return ProjectedSplats(means2d, z, np.stack([xx, xy, yy], axis=1), conics, rgb, opacities, boxes, shown)


def render(posed: Posed, camera: Camera, options: RenderOptions | None = None, accelerate: bool = True) -> Picture:
    """Return the picture of a posed avatar that `camera` takes; arguments as `render_layers`."""
    return render_layers(posed.layers, camera, options, accelerate)


def render_layers(layers: Iterable[PosedSplats | PosedMesh], camera: Camera, options: RenderOptions | None = None,
                  accelerate: bool = True) -> Picture:
    """Return the picture of posed layers, from an avatar or read back from a file.

    Args:
        layers: World space; mesh layers innermost first.
        camera: Without skew.
        options: Defaults when absent.
        accelerate: Use the compiled loops when numba is there; they agree with NumPy's to 1e-6.
    """
    layers = tuple(layers)
    options = options or RenderOptions()
    meshes = [layer for layer in layers if isinstance(layer, PosedMesh)]
    splats = [layer for layer in layers if isinstance(layer, PosedSplats)]
    rgb = np.tile(np.asarray(options.background, np.float64), (camera.height, camera.width, 1))
    behind = np.ones((camera.height, camera.width))
    for mesh in meshes:
        _mesh_over(mesh, camera, options, rgb, behind, accelerate)
    added, through = splat_pass([project(s.cloud, camera, options, s.sh_rotation) for s in splats], camera, accelerate)
    rgb = added + through[..., None] * rgb
    return Picture(np.clip(rgb, 0, 1).astype(np.float32), (1 - through * behind).astype(np.float32))


def splat_pass(layers: list[ProjectedSplats], camera: Camera, accelerate: bool = True,
               values: list[Float[np.ndarray, "N C"]] | None = None) -> tuple[Float64[np.ndarray, "H W C"],
                                                                             Float64[np.ndarray, "H W"]]:
    """Return the colour that all Gaussians add, and how much of what lies behind them still shows.

    Their one order is by view-space depth; of equally deep ones the first, layer by layer, is nearer.

    Args:
        layers: As `project` made them.
        camera: The same.
        accelerate: Use the compiled loop when numba is there.
        values: What is blended in the place of colours, of any number of channels, per layer.
    """
    values = values if values is not None else [p.rgb for p in layers]
    if not layers:
        return np.zeros((camera.height, camera.width, 3)), np.ones((camera.height, camera.width))
    shown = np.concatenate([p.visible for p in layers])
    ids = np.flatnonzero(shown)
    order = ids[np.argsort(np.concatenate([p.depths for p in layers])[ids], kind="stable")]
    means2d, conics, opacities, boxes = (np.concatenate([getattr(p, name) for p in layers])[order]
                                         for name in ("means2d", "conics", "opacities", "boxes"))
    blended = np.concatenate(values)[order].astype(np.float64)
    # The loop takes three channels at a time; more are passes over the same ellipses, so there is one loop to trust.
    channels = blended.shape[1]
    padded = np.pad(blended, ((0, 0), (0, -channels % 3)))
    passes = [accumulate_splats(means2d, conics, np.ascontiguousarray(padded[:, c:c + 3]), opacities, boxes, camera.width,
                                camera.height, accelerate) for c in range(0, channels, 3)]
    added = passes[0][0] if channels == 3 else np.concatenate([color for color, _ in passes], axis=2)[..., :channels]
    return added, passes[0][1]


def _mesh_over(mesh: PosedMesh, camera: Camera, options: RenderOptions, rgb: Float64[np.ndarray, "H W 3"],
               behind: Float64[np.ndarray, "H W"], accelerate: bool) -> None:
    """Put a mesh layer over `rgb` and dim `behind`, in place."""
    face, weights = nearest_triangles(to_camera(mesh.vertices, camera), mesh.layer.faces, intrinsics_of(camera),
                                      options.near, camera.width, camera.height, accelerate)
    seen = face >= 0
    color, alpha = shade(mesh, camera, face[seen], weights[seen])
    rgb[seen] = alpha[:, None] * color + (1 - alpha)[:, None] * rgb[seen]
    behind[seen] *= 1 - alpha


def feature_image(avatar: Avatar, posed: Posed, camera: Camera, options: RenderOptions | None = None,
                  accelerate: bool = True) -> tuple[Float64[np.ndarray, "h w C"], Float64[np.ndarray, "h w"]]:
    """Return what the avatar's decoder is shown, and how much of its background shows.

    Args:
        avatar: With a decoder.
        posed: The same, posed.
        camera: The feature image's (`decoding.feature_camera`).
        options: Defaults when absent; the background is 1.0 in every channel whatever they say.
        accelerate: Use the compiled loop when numba is there.
    """
    features = features_of(avatar, list(posed.layers))
    if not features:
        raise UnsupportedFeature(f"image decoder '{avatar.decoder}': the avatar has no layer to draw")
    splats = [layer for layer in posed.layers if isinstance(layer, PosedSplats)]
    projected = [project(s.cloud, camera, options, s.sh_rotation) for s in splats]
    added, through = splat_pass(projected, camera, accelerate, features)
    return added + BACKGROUND * through[..., None], through


def render_decoded(avatar: Avatar, posed: Posed, camera: Camera, options: RenderOptions | None = None,
                   accelerate: bool = True) -> Picture:
    """Return the picture that the avatar's image decoder makes; arguments as `feature_image`, `camera` the picture's.

    Raises:
        UnsupportedFeature: The camera's size does not divide by `Avatar.decoder_scale` or is not one that the decoder
            takes, or a layer has no features.
    """
    decoder_of(avatar)
    small = feature_camera(camera, avatar.decoder_scale)
    check_size(avatar, small)
    features, through = feature_image(avatar, posed, small, options, accelerate)
    alpha = enlarge(1 - through, avatar.decoder_scale)
    return Picture(decode(avatar, features), alpha.astype(np.float32))


def render_avatar(avatar: Avatar, sequence: Sequence, t: float, camera: Camera, options: RenderOptions | None = None,
                  accelerate: bool = True) -> Picture:
    """Return the picture of `avatar` at the fractional frame index `t` of `sequence`, by its decoder if it has one.

    Raises:
        UnsupportedFeature: As `render_decoded`.
        AvatarError: As `formats.deform.deform`.
    """
    if avatar.decoder is None:
        return render(deform(avatar, sequence, t), camera, options, accelerate)
    decoder_of(avatar)
    return render_decoded(avatar, deform(avatar, sequence, t), camera, options, accelerate)
