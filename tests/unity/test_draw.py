"""Pictures that the Unity package's shaders draw on a CPU Vulkan driver, against `formats.render`."""

from pathlib import Path

import numpy as np
import pytest

from formats.avatar import Avatar
from formats.camera import Camera
from formats.codecs import bundle
from formats.codecs.packed_texels import pack
from formats.conventions import srgb_to_linear
from formats.deform import PosedSplats, deform
from formats.importers import lam
from formats.picture import psnr
from formats.render import RenderOptions, default_camera, project, render_avatar
from formats.sequence import Sequence
from formats.standin.avatar import standin_avatar
from formats.standin.clip import standin_clip
from tests.builders import tiny_avatar, tiny_camera
from tests.unity.lavapipe import needed
from unity_sample.ci import kernels
from unity_sample.ci.pictures import TEXTURE, Target, fallback_picture, picture_of
from unity_sample.ci.player import Player

BOUND = 60.0
"""dB (DESIGN.md, section 6), into a target of floats: arithmetic, tables and the 16-bit order."""
HALF_BOUND = 54.0
"""dB into a target of half floats: this driver cuts them off where cards round to the nearest, and loses twice as much."""
ORDER_BOUND = 85.0
"""dB into a target of floats with 32-bit keys: what is left is arithmetic."""


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    needed()


def shown(player: Player, sequence: Sequence, t: float, camera: Camera, bits: int = 16, depth: str = "half") -> np.ndarray:
    """Return the picture on white."""
    player.look(sequence.sample(t), camera, RenderOptions(), bits)
    player.pose()
    player.project()
    rgba = picture_of(player, player.order(bits), camera.width, camera.height, depth)
    return np.clip(rgba[..., :3] + 1 - rgba[..., 3:], 0, 1)


def worst(avatar: Avatar, sequence: Sequence, camera: Camera, moments: tuple[float, ...], variant: str, bits: int = 16,
          depth: str = "half") -> float:
    """Return the lowest PSNR of the driver's pictures of the packed avatar against the reference's of the same tables."""
    player = Player(pack(avatar, variant))
    found = []
    for t in moments:
        wanted = render_avatar(player.avatar, sequence, t, camera).rgb
        assert wanted.std() > 0.02, "the reference picture is empty"
        found.append(psnr(shown(player, sequence, t, camera, bits, depth), wanted))
    return min(found)


def test_ellipses_are_the_reference_ones() -> None:
    avatar = tiny_avatar("edge-height", n=500, degree=3)
    assert avatar.sequence is not None
    camera, options = tiny_camera(0.3, 96), RenderOptions()
    player = Player(pack(avatar, "float"))
    player.look(avatar.sequence.sample(1.5), camera, options)
    player.pose()
    player.project()
    layer = deform(avatar, avatar.sequence, 1.5).layers[0]
    assert isinstance(layer, PosedSplats)
    wanted = project(layer.cloud, camera, options, layer.sh_rotation)
    rows = kernels.download(player.buffers["_Ellipses"], np.float32)[:12 * len(layer.cloud)].reshape(-1, 3, 4)
    drawn = rows[:, 0, 2] > 0
    assert drawn[wanted.visible].all()
    place, axes, paint = (rows[wanted.visible, i].astype(np.float64) for i in range(3))
    np.testing.assert_allclose(place[:, :2], wanted.means2d[wanted.visible], atol=1e-3)
    np.testing.assert_allclose(place[:, 3], wanted.depths[wanted.visible], atol=1e-5)
    a, b = axes[:, :2] / place[:, 2:3], axes[:, 2:] / place[:, 2:3]
    covariances = np.stack([a[:, 0]**2 + b[:, 0]**2, a[:, 0] * a[:, 1] + b[:, 0] * b[:, 1], a[:, 1]**2 + b[:, 1]**2], axis=1)
    np.testing.assert_allclose(covariances, wanted.covariances[wanted.visible], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(paint[:, :3], wanted.rgb[wanted.visible], atol=2e-5)
    np.testing.assert_allclose(paint[:, 3], wanted.opacities[wanted.visible], atol=1e-5)
    keys = kernels.download(player.buffers["_Keys"], np.uint32)[:len(layer.cloud)][::-1]
    assert (keys[~drawn] == 0xFFFF).all() and (keys[drawn] < 0xFFFF).all()


def test_one_posing_serves_two_cameras() -> None:
    avatar = tiny_avatar("edge-height", n=300, degree=1)
    assert avatar.sequence is not None
    player, frame = Player(pack(avatar, "float")), avatar.sequence.sample(1)
    for posing, camera in ((True, tiny_camera(0.3, 96)), (False, tiny_camera(-0.5, 128))):
        player.look(frame, camera, RenderOptions())
        if posing:
            player.pose()
        player.project()
        rgba = picture_of(player, player.order(), camera.width, camera.height, "float")
        found = np.clip(rgba[..., :3] + 1 - rgba[..., 3:], 0, 1)
        assert psnr(found, render_avatar(avatar, avatar.sequence, 1, camera).rgb) > BOUND


def test_flipped_projections_linear_colours_and_depth() -> None:
    ellipse = np.array([[20, 12, 3, 1], [15, 0, 0, 10], [0.5, 0.2, 0.8, 0.9]], np.float32)
    given = {"_Order": kernels.upload(np.zeros(1, np.uint32)), "_EllipsesIn": kernels.upload(ellipse)}

    def drawn(flip: float, linear: float, depth: float = 0.5) -> np.ndarray:
        target = Target(64, 48, "float")
        constants = {"_Picture": [64.0, 48.0, flip, 0.0], "_Depth": [depth, 0.0, 0.0, 0.0], "_Linear": linear}
        target.draw("Avatar.shader", "Splats", 3, given, constants, clear=(0, 0, 0, 0))
        return target.read()

    plain = drawn(1, 0)
    assert plain[12, 20, 3] == pytest.approx(0.9, abs=0.02) and plain[40, 50, 3] == 0
    np.testing.assert_allclose(drawn(-1, 0)[::-1], plain, atol=1e-5)
    inside = plain[..., 3] > 0.1
    linear = drawn(1, 1)[inside]
    wanted = np.broadcast_to(srgb_to_linear(ellipse[2, :3]), (len(linear), 3))
    np.testing.assert_allclose(linear[:, :3] / linear[:, 3:], wanted, atol=1e-5)
    assert drawn(1, 0, depth=1.5).max() == 0  # beyond the depth buffer's 1


def test_ellipses_out_of_a_texture_make_the_same_picture() -> None:
    avatar = tiny_avatar("edge-height", n=1500, degree=1)
    assert avatar.sequence is not None
    player, camera = Player(pack(avatar, "float")), tiny_camera(0.3, 96)
    player.look(avatar.sequence.sample(1), camera, RenderOptions(), 32)
    player.pose()
    player.project()
    rows = kernels.download(player.buffers["_Ellipses"], np.float32)[:12 * player.records.total].reshape(-1, 3, 4)
    order = player.order(32)
    inside = rows[kernels.download(order, np.uint32)[:player.records.total]]
    wanted = picture_of(player, order, camera.width, camera.height, "float")
    assert wanted[..., 3].max() > 0.5
    for seen in (inside, inside[inside[:, 0, 2] > 0]):  # those that are not seen may be left out
        assert 3 * len(seen) > 2048  # more than one row of the texture
        found = fallback_picture(seen.reshape(-1, 4), camera.width, camera.height, "float")
        np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("linear", [0.0, 1.0])
def test_composite_puts_the_picture_onto_a_target_of_the_project_s_colours(linear: float) -> None:
    below, rgba = np.array([0.25, 0.5, 0.75]), np.array([0.3, 0.02, 0.5, 0.6])
    source, target = Target(8, 8), Target(8, 8, "float")
    nothing = {"_Order": kernels.upload(np.zeros(1, np.uint32)), "_EllipsesIn": kernels.upload(np.zeros((3, 4), np.float32))}
    constants = {"_Picture": [8.0, 8.0, 1.0, 0.0], "_Depth": [0.5, 0.0, 0.0, 0.0], "_Linear": linear}
    source.draw("Avatar.shader", "Splats", 3, nothing, constants, clear=tuple(rgba.tolist()))
    target.draw("Avatar.shader", "Splats", 3, nothing, constants, clear=(*below.tolist(), 1))
    picture = {"_AvatarPicture": (source.color.create_view(), TEXTURE)}
    target.draw("AvatarComposite.shader", "Composite", 3, picture, constants | {"_Front": 1.5})  # behind everything
    np.testing.assert_allclose(target.read()[..., :3], np.broadcast_to(below, (8, 8, 3)), atol=1e-6)
    target.draw("AvatarComposite.shader", "Composite", 3, picture, constants | {"_Front": 0.5})
    straight = rgba[:3] / rgba[3]
    if linear:
        straight = srgb_to_linear(straight)
    wanted = straight * rgba[3] + below * (1 - rgba[3])
    np.testing.assert_allclose(target.read()[..., :3], np.broadcast_to(wanted, (8, 8, 3)), atol=2e-3)


def test_the_standin_looks_as_the_reference() -> None:
    avatar = standin_avatar(15_000)
    assert avatar.sequence is not None
    camera = default_camera(avatar, 256, 256)
    for variant, bits, depth, bound in (("half", 16, "float", BOUND), ("half", 16, "half", HALF_BOUND),
                                        ("float", 32, "float", ORDER_BOUND)):
        assert worst(avatar, avatar.sequence, camera, (20.5, 118), variant, bits, depth) > bound, (variant, bits, depth)


def test_a_dense_cloud_with_view_dependent_colours_looks_as_the_reference() -> None:
    avatar = tiny_avatar("edge-height", n=2000, degree=3)
    assert avatar.sequence is not None
    for bits, bound in ((16, BOUND), (32, ORDER_BOUND)):
        assert worst(avatar, avatar.sequence, tiny_camera(0.3, 192), (0, 1.5, 3), "half", bits, "float") > bound


@pytest.mark.demo
def test_the_trained_demo_looks_as_the_reference(demo: Path) -> None:
    avatar = bundle.read(demo / "avatar.avatar")
    camera = default_camera(avatar, 256, 256)
    assert worst(avatar, standin_clip(avatar.head), camera, (20.5, 118), "half", 16, "float") > BOUND


@pytest.mark.lam
def test_lam_looks_as_the_reference(lam_zip: Path) -> None:
    avatar = lam.read(lam_zip)
    rng = np.random.default_rng(0)
    names = avatar.head.expr_names
    expr = np.clip(rng.normal(0, 0.4, (2, len(names))), 0, 1)
    sequence = Sequence(avatar.head.edition, 25, expr, rotation=rng.normal(0, 0.15, (2, 3)), expr_names=names)
    camera = default_camera(avatar, 256, 256)
    for depth, bound in (("float", BOUND), ("half", HALF_BOUND)):
        assert worst(avatar, sequence, camera, (0, 1), "half", 16, depth) > bound
