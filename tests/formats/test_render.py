"""Pictures of Gaussians against a second, pixel-by-pixel implementation with numerical derivatives, and laws."""

import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from formats.avatar import Avatar, MeshLayer, SplatLayer
from formats.camera import Camera, look_at
from formats.conventions import SH_C0, rgb_to_sh
from formats.deform import PosedSplats, deform, rest_sequence
from formats.errors import CheckpointMismatch, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.rasterize import compiled_kernels
from formats.render import (
    Picture,
    RenderOptions,
    default_camera,
    project,
    psnr,
    render,
    render_avatar,
    render_layers,
)
from formats.rotations import axis_angle_to_matrix
from formats.spherical_harmonics import rotate_sh
from tests.builders import AVATAR_KINDS, tiny_avatar, tiny_camera, tiny_cloud, tiny_network, tiny_sequence

STORED = 1e-6  # pictures are stored in float32, whose step at 1 is 6e-8
BLACK = RenderOptions(background=(0.0, 0.0, 0.0))
AHEAD = Camera(np.array([[100.0, 0, 16], [0, 100.0, 12], [0, 0, 1]]), np.eye(4), 32, 24)
"""At the origin, looking along +z."""


def cloud_of(means, scales=0.02, opacities=0.8, rgb=(1.0, 1.0, 1.0), quats=(1, 0, 0, 0)):
    means = np.atleast_2d(np.asarray(means, float))
    n = len(means)
    return GaussianCloud(means, np.broadcast_to(quats, (n, 4)), np.broadcast_to(scales, (n, 3)),
                         np.broadcast_to(opacities, n), rgb_to_sh(np.broadcast_to(rgb, (n, 3)))[:, None])


def draw(*clouds, camera=AHEAD, options=BLACK, turn=None, accelerate=True):
    turn = np.eye(3) if turn is None else turn
    return render_layers([PosedSplats(f"layer{i}", c, turn) for i, c in enumerate(clouds)], camera, options, accelerate)


def over_by_hand(cloud, camera, background, near=0.2):
    """The definition once more: per pixel, from far to near, slopes by finite differences, degree 0 or 1 only."""
    w2c, k = camera.world_to_camera, camera.K

    def pixel(p):
        c = w2c[:3, :3] @ p + w2c[:3, 3]
        return np.array([k[0, 0] * c[0] / c[2] + k[0, 2], k[1, 1] * c[1] / c[2] + k[1, 2]])

    eye, splats = -w2c[:3, :3].T @ w2c[:3, 3], []
    for mean, quat, scale, opacity, sh in zip(*(np.asarray(a, float) for a in (
            cloud.means, cloud.quats, cloud.scales, cloud.opacities, cloud.sh)), strict=True):
        z = (w2c[:3, :3] @ mean + w2c[:3, 3])[2]
        if z <= near:
            continue
        slope = np.stack([(pixel(mean + h) - pixel(mean - h)) / 2e-5 for h in 1e-5 * np.eye(3)], axis=1)
        rotation = Rotation.from_quat(quat, scalar_first=True).as_matrix()
        covariance = slope @ rotation @ np.diag(scale**2) @ rotation.T @ slope.T + 0.3 * np.eye(2)
        d = (mean - eye) / np.linalg.norm(mean - eye)
        color = 0.5 + SH_C0 * sh[0]
        if len(sh) > 1:
            color = color + 0.4886025119029199 * (-d[1] * sh[1] + d[2] * sh[2] - d[0] * sh[3])
        splats.append((z, pixel(mean), np.linalg.inv(covariance), opacity, np.maximum(color, 0)))
    image = np.tile(np.asarray(background, float), (camera.height, camera.width, 1))
    for _, mean2d, inverse, opacity, color in sorted(splats, key=lambda s: -s[0]):
        for y in range(camera.height):
            for x in range(camera.width):
                d = np.array([x + 0.5, y + 0.5]) - mean2d
                alpha = min(0.99, opacity * np.exp(-0.5 * d @ inverse @ d))
                if alpha >= 1 / 255:
                    image[y, x] = alpha * color + (1 - alpha) * image[y, x]
    return np.clip(image, 0, 1)


def test_one_gaussian_has_the_profile_of_the_formula():
    picture = draw(cloud_of([0, 0, 2], scales=0.06, opacities=0.7, rgb=(0.2, 0.6, 1.0)))
    variance = (100 * 0.06 / 2) ** 2 + 0.3
    x, y = np.meshgrid(np.arange(32) + 0.5 - 16, np.arange(24) + 0.5 - 12)
    alpha = 0.7 * np.exp(-(x**2 + y**2) / (2 * variance))
    alpha[alpha < 1 / 255] = 0
    assert (alpha == 0).any() and picture.alpha[11, 15] > 0.6
    np.testing.assert_allclose(picture.alpha, alpha, atol=STORED)
    np.testing.assert_allclose(picture.rgb, alpha[..., None] * [0.2, 0.6, 1.0], atol=STORED)


@pytest.mark.parametrize("accelerate", [False, True])
@pytest.mark.parametrize("degree", [0, 1])
def test_a_cloud_matches_the_second_implementation(degree, accelerate):
    rng = np.random.default_rng(4)
    cloud = dataclasses.replace(tiny_cloud(25, degree, 0.03), scales=rng.uniform(0.002, 0.03, (25, 3)))
    camera = look_at((0.1, -0.05, 0.5), (0.01, 0, 0), 0.5, 30, 22)
    camera = dataclasses.replace(camera, K=camera.K + np.array([[5, 0, 2.3], [0, 0, -1.7], [0, 0, 0]]))
    expected = over_by_hand(cloud, camera, (0.3, 0.9, 0.1))
    picture = draw(cloud, camera=camera, options=RenderOptions((0.3, 0.9, 0.1)), accelerate=accelerate)
    # Central differences of step 1e-5 are good to about 1e-9 of the slope; nothing sits on the 1/255 edge by that much.
    np.testing.assert_allclose(picture.rgb, expected, atol=2e-6)
    assert picture.rgb.std() > 0.05


def test_nearer_ones_cover_farther_ones_whatever_their_order():
    red, green = cloud_of([0, 0, 2], opacities=1, rgb=(1, 0, 0)), cloud_of([0, 0, 3], 0.03, opacities=1, rgb=(0, 1, 0))
    one = draw(red, green)
    np.testing.assert_array_equal(one.rgb, draw(green, red).rgb)
    both = cloud_of([[0, 0, 3], [0, 0, 2]], [[0.03] * 3, [0.02] * 3], 1, [(0, 1, 0), (1, 0, 0)])
    np.testing.assert_array_equal(one.rgb, draw(both).rgb)
    alpha = 0.99  # the cap, at a pixel half a step from the middle where exp(-q/2) is still above it
    near = min(alpha, np.exp(-0.25 / (1 + 0.3)))
    np.testing.assert_allclose(one.rgb[11, 15], [near, (1 - near) * np.exp(-0.25 / 1.3), 0], atol=STORED)


def test_order_is_by_view_depth_not_by_distance():
    """Off to the side, less deep but farther from the camera."""
    deep, aside = [0, 0, 2.0], [0.3, 0, 1.995]
    assert np.linalg.norm(aside) > np.linalg.norm(deep)
    picture = draw(cloud_of([deep, aside], 0.3, 1, [(1, 0, 0), (0, 0, 1)]))
    assert picture.rgb[12, 24, 2] > 0.9


def test_of_equally_deep_ones_the_first_is_on_top():
    for accelerate in (False, True):
        red, green = (cloud_of([0, 0, 2], opacities=0.9, rgb=c) for c in ((1, 0, 0), (0, 1, 0)))
        picture = draw(red, green, accelerate=accelerate)
        assert picture.rgb[12, 16, 0] > picture.rgb[12, 16, 1] > 0


def test_the_near_plane_cuts_at_it_and_before_it():
    quarter = RenderOptions((0.0, 0.0, 0.0), near=0.25)  # float32 holds it exactly
    assert draw(cloud_of([[0, 0, 0.25], [0, 0, 0.1], [0, 0, -2]], 0.01), options=quarter).alpha.max() == 0
    assert draw(cloud_of([0, 0, 0.2500001], 0.01), options=quarter).alpha.max() > 0.5
    assert draw(cloud_of([0, 0, 0.19], 0.01)).alpha.max() == 0 < draw(cloud_of([0, 0, 0.21], 0.01)).alpha.max()
    close = draw(cloud_of([0, 0, 0.1], 0.01), options=RenderOptions((0.0, 0.0, 0.0), near=0.05))
    assert close.alpha.max() > 0.5


def test_background_shows_where_nothing_is_and_through_what_is():
    cloud = cloud_of([0, 0, 2], 0.06, 0.5, (0, 0, 0))
    on_white, on_black = draw(cloud, options=None), draw(cloud)
    assert (on_white.rgb[0, 0] == 1).all() and (on_black.rgb == 0).all()
    np.testing.assert_allclose(on_white.rgb[..., 1], 1 - on_white.alpha, atol=STORED)
    assert (draw(cloud_of(np.zeros((0, 3))), options=RenderOptions((0.1, 0.2, 0.3))).rgb
            == np.float32([0.1, 0.2, 0.3])).all()
    assert (render_layers([], AHEAD).alpha == 0).all()


def test_opacity_below_one_step_draws_nothing_and_alpha_never_reaches_one():
    assert draw(cloud_of([0, 0, 2], 0.1, 1 / 256)).alpha.max() == 0
    full = draw(cloud_of([0, 0, 2], 2.0, 1.0))
    np.testing.assert_allclose(full.alpha[12, 16], 0.99, atol=STORED)


def test_alpha_goes_down_to_one_step_and_not_to_three_sigma():
    alpha = draw(cloud_of([0, 0, 2], 0.06, 0.9)).alpha
    shown = alpha[alpha > 0]
    assert 1 / 255 <= shown.min() < 1.2 / 255 < 0.9 * np.exp(-4.5)  # 3 sigma would stop at 2.5 steps


def test_colors_above_one_blend_unclipped_and_are_clipped_at_the_end():
    bright = draw(cloud_of([0, 0, 2], 2.0, 0.5, (1.5, 3.0, 0.5)))
    alpha = bright.alpha[12, 16]
    np.testing.assert_allclose(bright.rgb[12, 16], [1.5 * alpha, 1.0, 0.5 * alpha], atol=STORED)
    negative = cloud_of([0, 0, 2], 2.0, 0.5, (-3.0, 0.5, 0.5))
    np.testing.assert_allclose(draw(negative, options=None).rgb[12, 16, 0], 1 - alpha, atol=STORED)


def test_far_outside_the_slope_stops_growing():
    """x / z = 1 where the limit is (32 - 16 + 0.3 * 16) / 100 = 0.208: the covariance is that of the limit."""
    found = project(cloud_of([2.0, 0, 2], 0.5), AHEAD)
    slope = np.array([[50, 0, -50 * 0.208], [0, 50, 0]])
    expected = slope @ np.diag([0.25] * 3) @ slope.T + 0.3 * np.eye(2)
    np.testing.assert_allclose(found.covariances[0], [expected[0, 0], expected[0, 1], expected[1, 1]], rtol=1e-9)
    np.testing.assert_allclose(found.means2d[0], [116, 12], rtol=1e-9)
    lopsided = dataclasses.replace(AHEAD, K=np.array([[100.0, 0, 4], [0, 100.0, 12], [0, 0, 1]]))
    left = project(cloud_of([-2.0, 0, 2], 0.5), lopsided)
    slope[0, 2] = 50 * (4 + 4.8) / 100
    np.testing.assert_allclose(left.covariances[0, 0], (slope @ slope.T * 0.25)[0, 0] + 0.3, rtol=1e-9)


def test_conics_invert_covariances_and_boxes_hold_every_pixel_drawn():
    cloud = tiny_cloud(40, 0, 0.03)
    camera = tiny_camera()
    found = project(cloud, camera)
    a, b, c = found.covariances.T
    p, q, r = found.conics.T
    np.testing.assert_allclose([a * p + b * q, a * q + b * r, b * q + c * r],
                               [np.ones(40), np.zeros(40), np.ones(40)], atol=1e-9)
    for i in np.flatnonzero(found.visible):
        x0, y0, x1, y1 = found.boxes[i]
        y, x = np.mgrid[:camera.height, :camera.width] + 0.5
        dx, dy = x - found.means2d[i, 0], y - found.means2d[i, 1]
        drawn = found.opacities[i] * np.exp(-0.5 * (p[i] * dx * dx + r[i] * dy * dy) - q[i] * dx * dy) >= 1 / 255
        inside = np.zeros_like(drawn)
        inside[y0:y1, x0:x1] = True
        assert not (drawn & ~inside).any()


def test_a_crop_is_the_same_picture():
    cloud = tiny_cloud(40, 2, 0.02)
    camera = tiny_camera()
    full = draw(cloud, camera=camera)
    shifted = camera.K.copy()
    shifted[:2, 2] -= [20, 15]
    part = draw(cloud, camera=Camera(shifted, camera.world_to_camera, 40, 30))
    assert full.alpha[15:45, 20:60].max() > 0.5
    np.testing.assert_allclose(part.rgb, full.rgb[15:45, 20:60], atol=STORED)


def test_moving_camera_and_cloud_together_changes_nothing():
    """The law that ties quaternions, camera axes and SH directions together."""
    cloud, camera = tiny_cloud(30, 3, 0.02), tiny_camera()
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = axis_angle_to_matrix(np.array([0.5, -1.1, 0.7])), [0.3, -0.2, 0.1]
    quats = (Rotation.from_matrix(motion[:3, :3]) * Rotation.from_quat(cloud.quats, scalar_first=True)).as_quat(
        scalar_first=True)
    moved = dataclasses.replace(cloud, means=cloud.means @ motion[:3, :3].T + motion[:3, 3], quats=quats)
    there = Camera(camera.K, camera.world_to_camera @ np.linalg.inv(motion), camera.width, camera.height)
    still = draw(cloud, camera=camera)
    # The moved means and quaternions are rounded to float32: 3e-8 of a metre is 1e-5 of a pixel here.
    np.testing.assert_allclose(draw(moved, camera=there, turn=motion[:3, :3]).rgb, still.rgb, atol=2e-4)
    baked = dataclasses.replace(moved, sh=rotate_sh(cloud.sh, motion[:3, :3]))
    np.testing.assert_allclose(draw(baked, camera=there).rgb, still.rgb, atol=2e-4)


def test_sh_in_the_heads_frame_turn_with_the_head():
    avatar = tiny_avatar("edge-height", degree=2)
    layer = dataclasses.replace(avatar.layers[0], sh_frame="head")
    avatar = dataclasses.replace(avatar, layers=(layer,))
    sequence = dataclasses.replace(tiny_sequence(avatar.head, 1), rotation=np.array([[0.2, 0.6, -0.1]]))
    posed = deform(avatar, sequence)
    splats = posed.layers[0]
    rotation = Rotation.from_rotvec([0.2, 0.6, -0.1]).as_matrix()
    baked = dataclasses.replace(splats.cloud, sh=rotate_sh(splats.cloud.sh, rotation))
    expected = draw(baked, camera=tiny_camera()).rgb
    np.testing.assert_allclose(render(posed, tiny_camera(), BLACK).rgb, expected, atol=STORED)


@pytest.mark.parametrize("kind", sorted(AVATAR_KINDS))
def test_compiled_loops_agree_with_numpy(kind):
    pytest.importorskip("numba")
    avatar = tiny_avatar(kind, degree=3)
    assert avatar.sequence is not None
    posed = deform(avatar, avatar.sequence, 1.5)
    fast, plain = (render(posed, tiny_camera(0.3), accelerate=a) for a in (True, False))
    np.testing.assert_allclose(fast.rgb, plain.rgb, atol=1e-6)
    np.testing.assert_allclose(fast.alpha, plain.alpha, atol=1e-6)
    assert fast.alpha.max() > 0.3


def test_without_numba_numpy_draws(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "formats.rasterize_numba", raising=False)
    monkeypatch.delattr("formats.rasterize_numba", raising=False)
    compiled_kernels.cache_clear()
    try:
        assert compiled_kernels() is None
        assert draw(cloud_of([0, 0, 2])).alpha.max() > 0.5
    finally:
        compiled_kernels.cache_clear()


def test_pictures_may_be_drawn_from_several_threads():
    clouds = [tiny_cloud(200, 1, 0.02, seed=i) for i in range(6)]
    alone = [draw(c, camera=tiny_camera()).rgb for c in clouds]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda c: draw(c, camera=tiny_camera()).rgb, clouds))
    np.testing.assert_array_equal(together, alone)


def test_stopping_late_changes_nothing():
    """Forty nearly opaque, very bright sheets: the compiled loop stops early, NumPy's does not."""
    pytest.importorskip("numba")
    means = np.stack([np.zeros(40), np.zeros(40), np.linspace(1, 3, 40)], axis=1)
    rgb = np.random.default_rng(0).uniform(0, 1, (40, 3)) * np.linspace(0.1, 9, 40)[:, None]
    cloud = cloud_of(means, 3.0, 1.0, rgb)
    np.testing.assert_allclose(draw(cloud).rgb, draw(cloud, accelerate=False).rgb, atol=1e-7)


def test_strands_are_gaussians_along_their_segments_in_one_order_with_the_rest():
    avatar = tiny_avatar("strands")
    assert avatar.sequence is not None
    posed = deform(avatar, avatar.sequence, 0)
    skin, hair = (layer.cloud for layer in posed.layers)
    merged = GaussianCloud(
        np.concatenate([skin.means, hair.means]), np.concatenate([skin.quats, hair.quats]),
        np.concatenate([skin.scales, hair.scales]), np.concatenate([skin.opacities, hair.opacities]),
        np.concatenate([skin.sh, np.pad(hair.sh, ((0, 0), (0, skin.sh.shape[1] - 1), (0, 0)))]))
    camera = tiny_camera(size=128)
    picture = render(posed, camera)
    np.testing.assert_allclose(picture.rgb, draw(merged, camera=camera, options=None).rgb, atol=STORED)
    assert np.abs(picture.rgb - draw(skin, camera=camera, options=None).rgb).max() > 0.1


def test_skew_zero_near_and_decoders_are_refused():
    skewed = dataclasses.replace(AHEAD, K=AHEAD.K + np.eye(3)[[1, 0, 2]] * [[1], [0], [0]])
    with pytest.raises(UnsupportedFeature, match="skew"):
        draw(cloud_of([0, 0, 2]), camera=skewed)
    with pytest.raises(UnsupportedFeature, match="near"):
        RenderOptions(near=0.0)
    avatar = tiny_avatar("edge-height")
    network = tiny_network(avatar.head, ("expr",), {"coefficients": (1, 2)})
    decoded = dataclasses.replace(avatar, networks={"decoder": network}, decoder="decoder")
    with pytest.raises(UnsupportedFeature, match="decoder"):
        render_avatar(decoded, tiny_sequence(avatar.head), 0, tiny_camera())


def test_render_avatar_is_deform_then_render():
    avatar = tiny_avatar("linear")
    sequence = tiny_sequence(avatar.head)
    picture = render_avatar(avatar, sequence, 1.25, tiny_camera(), BLACK)
    np.testing.assert_array_equal(picture.rgb, render(deform(avatar, sequence, 1.25), tiny_camera(), BLACK).rgb)


@pytest.mark.parametrize("size", [(512, 512), (640, 360), (300, 700)])
@pytest.mark.parametrize("kind", ["edge-height", "mesh-texture", "linear", "own-skin", "everything"])
def test_the_default_camera_stands_in_front_and_shows_all(kind, size):
    avatar = tiny_avatar(kind)
    camera = default_camera(avatar, *size)
    assert (camera.width, camera.height) == size
    np.testing.assert_allclose(camera.world_to_camera[:3, :3], np.diag([1.0, -1, -1]), atol=1e-12)
    still = dataclasses.replace(avatar, networks={}, layers=tuple(
        dataclasses.replace(layer, dynamics=None) if isinstance(layer, SplatLayer) else layer
        for layer in avatar.layers if not isinstance(layer, MeshLayer)))
    posed = deform(still, rest_sequence(avatar.head))
    points = np.concatenate([layer.cloud.means for layer in posed.layers]
                            + [layer.vertices for layer in avatar.layers if isinstance(layer, MeshLayer)])
    spot = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    u = (camera.K[0, 0] * spot[:, 0] / spot[:, 2] + camera.K[0, 2]) / size[0]
    v = (camera.K[1, 1] * spot[:, 1] / spot[:, 2] + camera.K[1, 2]) / size[1]
    assert spot[:, 2].min() > 0.2
    assert min(u.min(), v.min()) > 0 and max(u.max(), v.max()) < 1
    assert max(np.ptp(u), np.ptp(v)) > 0.6


def test_the_default_camera_ignores_strays_and_copes_with_no_layers():
    avatar = tiny_avatar("own-skin", n=400)
    layer = avatar.layers[0]
    means = layer.cloud.means.copy()
    means[:3] = [[5, 5, 5], [-9, 0, 0], [0, 20, 0]]
    stray = dataclasses.replace(avatar, layers=(dataclasses.replace(
        layer, cloud=dataclasses.replace(layer.cloud, means=means)),))
    a, b = default_camera(avatar), default_camera(stray)
    assert np.linalg.norm(a.position - b.position) < 0.1 * np.linalg.norm(a.position)
    bare = Avatar(avatar.head)
    assert default_camera(bare).position[2] > avatar.head.v_template[:, 2].max() + 0.2


def test_psnr_and_bytes():
    a = np.full((4, 5, 3), 0.5, np.float32)
    assert psnr(a, a) == np.inf
    assert psnr(a, a + np.float32(0.1)) == pytest.approx(20, abs=1e-5)
    assert psnr(np.full((2, 2), 255, np.uint8), np.ones((2, 2))) == np.inf
    with pytest.raises(CheckpointMismatch, match="same camera"):
        psnr(a, a[1:])
    levels = Picture(np.linspace(0, 1, 256 * 3, dtype=np.float32).reshape(1, 256, 3), np.ones((1, 256), np.float32))
    np.testing.assert_array_equal(levels.to_uint8(), np.round(levels.rgb.astype(float) * 255))
