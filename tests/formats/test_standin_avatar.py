"""The painted stand-in: what it holds, that it moves without falling apart, and that it looks like a face."""

import dataclasses

import numpy as np
import pytest

from formats.avatar import Avatar, FaceBinding, SplatLayer, check_driver
from formats.camera import Camera, look_at
from formats.deform import PosedSplats, deform, rest_sequence, triangle_frames
from formats.errors import MissingAsset, UnsupportedFeature
from formats.gaussians import GaussianCloud
from formats.render import RenderOptions, render, render_avatar, render_layers
from formats.sequence import Sequence
from formats.standin import assembly, noise, paint, sampling
from formats.standin.avatar import standin_avatar
from formats.standin.clip import arkit_sequence, standin_clip
from formats.standin.head import ORIGIN, standin_head

GAUSSIANS = 65_000


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return standin_avatar()


def layer_of(avatar: Avatar) -> SplatLayer:
    (layer,) = avatar.layers
    assert isinstance(layer, SplatLayer)
    return layer


def pose(avatar: Avatar, **weights: float) -> Sequence:
    named = {name: np.array([value]) for name, value in {"jawOpen": 0, **weights}.items()}
    return arkit_sequence(avatar.head, named, 25)


def camera_at(eye: tuple[float, float, float], target: tuple[float, float, float], degrees: float) -> Camera:
    """A camera by millimetres from the point midway between the eyes."""
    return look_at((np.array(eye) + ORIGIN) / 1000, (np.array(target) + ORIGIN) / 1000, np.radians(degrees), 160, 160)


def test_holds_what_was_asked_for(avatar: Avatar) -> None:
    layer = layer_of(avatar)
    assert len(layer.cloud) == GAUSSIANS
    assert avatar.meta.name == avatar.meta.system == "standin"
    assert "Apache-2.0" in avatar.meta.license_notices[0]
    assert avatar.vertex_rgb is None and avatar.head.shapedirs is None
    assert avatar.maps is not None and avatar.maps.mask is not None
    image = avatar.maps.images["albedo"]
    assert image.shape == (1024, 1024, 3) and image.min() >= 0 and image.max() <= 1
    assert avatar.maps.color_spaces["albedo"] == "srgb"
    assert avatar.maps.mask.mean() > 0.6


def test_binding_fits_the_head(avatar: Avatar) -> None:
    binding = layer_of(avatar).binding
    assert isinstance(binding, FaceBinding)
    assert (binding.frame, binding.offset_scale, binding.splat_scale) == ("face", "edge_height", "edge_height")
    assert binding.face_index.min() >= 0 and binding.face_index.max() < len(avatar.head.faces)
    # Float32 rounding of three numbers that sum to one.
    np.testing.assert_allclose(binding.barycentric.sum(axis=1), 1, atol=1e-6)
    assert binding.barycentric.min() >= -1e-6


@pytest.mark.parametrize("count", [1000, 5001])
def test_other_sizes_have_that_many_gaussians(count: int) -> None:
    assert len(layer_of(standin_avatar(count)).cloud) == count


def test_too_few_gaussians_are_refused() -> None:
    with pytest.raises(UnsupportedFeature, match="999 Gaussians cannot make a face"):
        standin_avatar(999)


def test_the_same_every_time_and_another_with_another_seed() -> None:
    first = layer_of(standin_avatar(2000, 3)).cloud
    standin_avatar.cache_clear()
    again, other = layer_of(standin_avatar(2000, 3)).cloud, layer_of(standin_avatar(2000, 4)).cloud
    for name in ("means", "quats", "scales", "opacities", "sh"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.means, other.means)


def test_clip_belongs_to_the_head_and_goes_round(avatar: Avatar) -> None:
    clip = avatar.sequence
    assert clip is not None
    check_driver(avatar.head, clip)
    assert clip.edition == avatar.head.content_hash and clip.expr_names == avatar.head.expr_names
    assert clip.fps == 25 and len(clip) == 250
    assert set(clip.ranges) == {"neutral", "talk", "blink", "look", "turn", "smile"}
    for name in ("expr", "rotation", "neck", "jaw", "eyes", "eyelids", "translation"):
        values = getattr(clip, name).astype(np.float64)
        inside = np.abs(np.diff(values, axis=0)).max()
        # From the last frame to the first it moves no faster than within the clip.
        assert np.abs(values[0] - values[-1]).max() <= inside + 1e-6, name


def test_clip_does_what_its_ranges_say(avatar: Avatar) -> None:
    clip = avatar.sequence
    assert clip is not None
    assert clip.jaw is not None and clip.eyelids is not None and clip.eyes is not None
    assert clip.neck is not None and clip.rotation is not None
    part = {name: slice(*span) for name, span in clip.ranges.items()}
    assert clip.jaw[part["talk"], 0].max() > 0.10 and clip.jaw[part["neutral"], 0].max() < 0.02
    assert clip.eyelids[part["blink"]].max() == 1 and clip.eyelids[part["blink"]].min() == 0
    assert np.ptp(clip.eyes[part["look"], 1]) > np.radians(30)
    yaw = clip.neck[part["turn"], 1] + clip.rotation[part["turn"], 1]
    assert yaw.max() > np.radians(25) and yaw.min() < np.radians(-25)
    smile = clip.expr_names.index("mouthSmileLeft")
    assert clip.expr[part["smile"], smile].max() > 0.7


def test_a_blink_lasts_as_long_as_blinks_do(avatar: Avatar) -> None:
    assert avatar.sequence is not None and avatar.sequence.eyelids is not None
    shut = avatar.sequence.eyelids[:, 0] > 0.5
    starts = np.flatnonzero(shut & ~np.roll(shut, 1))
    assert len(starts) == 8
    lengths = [int(np.argmin(np.roll(shut, -s))) for s in starts]
    # Above one half for 2 to 5 frames of 40 ms; the whole blink is about twice that.
    assert 2 <= min(lengths) and max(lengths) <= 5


def test_clip_needs_a_head_that_knows_arkit() -> None:
    with pytest.raises(MissingAsset, match="no landmarks"):
        arkit_sequence(dataclasses.replace(standin_head(), arkit_map=None, landmarks={}), {"jawOpen": np.ones(1)}, 25)


def test_clip_is_made_for_the_head_it_is_given() -> None:
    plain = standin_head()
    clip = standin_clip(plain)
    check_driver(plain, clip)
    assert clip.edition == plain.content_hash


def test_gaussians_stay_with_their_faces(avatar: Avatar) -> None:
    layer, clip = layer_of(avatar), avatar.sequence
    assert isinstance(layer.binding, FaceBinding) and clip is not None
    reach = np.linalg.norm(layer.cloud.means, axis=1)
    for t in (0, 40, 60, 114, 140, 175, 200, 225):
        posed = deform(avatar, clip, t)
        corners = posed.head.vertices[avatar.head.faces[layer.binding.face_index]]
        stand = np.einsum("nk,nkc->nc", layer.binding.barycentric.astype(np.float64), corners)
        size = triangle_frames(posed.head.vertices, avatar.head.faces)[1][layer.binding.face_index]
        splats = posed.layers[0]
        assert isinstance(splats, PosedSplats)
        away = np.linalg.norm(splats.cloud.means - stand, axis=1)
        # Rounding to float32 at a meter is 6e-8.
        np.testing.assert_allclose(away, reach * size, atol=1e-6)
        # Hair is at most 100 mm long and cloth 120 mm wide, at whatever size their faces have grown to.
        assert away.max() < 0.16


def test_shut_lids_hide_the_eyes(avatar: Avatar) -> None:
    camera = camera_at((0, 2, 400), (31.5, -2, 68), 6)
    looks = {name: render_avatar(avatar, pose(avatar, **weights), 0, camera, RenderOptions(near=0.05)).rgb
             for name, weights in (("open", {}), ("shut", {"eyeBlinkLeft": 1, "eyeBlinkRight": 1}))}
    blue = {name: (rgb[..., 2] - rgb[..., 0] > 0.06).sum() for name, rgb in looks.items()}
    white = {name: (rgb.min(axis=2) > 0.72).sum() for name, rgb in looks.items()}
    assert blue["open"] > 400 and blue["shut"] == 0
    assert white["open"] > 100 and white["shut"] <= white["open"] // 20


def test_skin_has_no_holes(avatar: Avatar) -> None:
    # Only what is in front of the ears, over green: a hole would show it, at rest and where skin stretches.
    binding = layer_of(avatar).binding
    assert isinstance(binding, FaceBinding)
    depth = avatar.head.v_template[avatar.head.faces[binding.face_index], 2].mean(axis=1) * 1000 - ORIGIN[2]
    front = depth > 20
    for weights in ({}, {"jawOpen": 0.8}, {"mouthSmileLeft": 1, "mouthSmileRight": 1}, {"browInnerUp": 1}):
        posed = deform(avatar, pose(avatar, **weights)).layers[0]
        assert isinstance(posed, PosedSplats)
        cloud = GaussianCloud(*(getattr(posed.cloud, name)[front]
                                for name in ("means", "quats", "scales", "opacities", "sh")))
        picture = render_layers([PosedSplats("front", cloud, np.eye(3))], camera_at((0, -20, 700), (0, -20, 60), 8),
                                RenderOptions(near=0.05))
        # A few pixels at the inner corners of the eyes see past the ball.
        assert (picture.alpha < 0.9).mean() < 0.001, weights
        assert picture.alpha.mean() > 0.994, weights


def test_open_mouth_shows_teeth_in_the_dark(avatar: Avatar) -> None:
    camera = camera_at((0, -75, 400), (0, -78, 80), 5)
    picture = render_avatar(avatar, pose(avatar, jawOpen=0.9), 0, camera, RenderOptions(near=0.05)).rgb
    brightness = picture.mean(axis=2)
    assert (brightness > 0.72).mean() > 0.01
    assert (brightness < 0.40).mean() > 0.15


def test_hair_and_shirt_frame_the_face(avatar: Avatar) -> None:
    posed = deform(avatar, rest_sequence(avatar.head))
    rgb = render(posed, camera_at((0, 20, 1000), (0, -20, 0), 19), RenderOptions(near=0.05)).rgb
    hair, face, shirt = (rgb[rows, 70:90].mean(axis=(0, 1)) for rows in (slice(18, 26), slice(88, 96), slice(148, 154)))
    assert hair.mean() < 0.55 < face.mean()
    assert face[0] > face[1] > face[2] and shirt[2] > shirt[0]


def test_texture_agrees_with_gaussians_on_skin(avatar: Avatar) -> None:
    mesh = assembly.assemble(False, True)
    faces = np.flatnonzero((mesh.part[mesh.faces] == assembly.SKIN).all(axis=1))[::37]
    points = sampling.points_at(mesh, faces, np.full((len(faces), 3), 1 / 3))
    assert avatar.maps is not None and avatar.head.uvs is not None and avatar.head.uv_faces is not None
    image = avatar.maps.images["albedo"]
    texel = (avatar.head.uvs[avatar.head.uv_faces[faces]].mean(axis=1) * 1024).astype(int)
    there = image[texel[:, 1], texel[:, 0]]
    here = paint.shown_color(mesh, paint.studio_light(), points)
    # The same paint half a texel apart; fine noise and hair strokes differ.
    assert np.median(np.abs(there - here)) < 0.02


def test_colors_run_past_islands() -> None:
    image = np.zeros((9, 9, 3), np.float32)
    known = np.zeros((9, 9), bool)
    known[4, 4], image[4, 4] = True, (1, 0.5, 0)
    image[0, 0], known[0, 0] = (0, 0, 1), True
    spread = paint.dilate(image, known, 2)
    np.testing.assert_array_equal(spread[4, 6], (1, 0.5, 0))
    np.testing.assert_array_equal(spread[1, 1], (0, 0, 1))
    # Beyond the gutter: the mean of what is known.
    np.testing.assert_allclose(spread[8, 0], (0.5, 0.25, 0.5))


def test_scatter_shares_by_weight_and_counts_exactly() -> None:
    mesh = assembly.assemble(False, True)
    weight = sampling.double_areas(mesh.points, mesh.faces)
    weight[100:] = 0
    face, places = sampling.scatter(mesh.points, mesh.faces, weight, 700, np.random.default_rng(0))
    assert len(face) == 700 and face.max() < 100
    np.testing.assert_allclose(places.sum(axis=1), 1, atol=1e-12)
    assert places.min() >= -1e-12
    held = np.bincount(face, minlength=100)
    # What a face's share leaves over goes to the next one: never off by more than one.
    assert np.abs(held - 700 * weight[:100] / weight.sum()).max() < 1 + 1e-9


def test_noise_is_smooth_and_of_unit_size() -> None:
    points = np.random.default_rng(1).uniform(-200, 200, (20_000, 3))
    values = noise.value_noise(points, 10, 1)
    assert abs(values.mean()) < 0.1 and 0.6 < values.std() < 1.4
    near = noise.value_noise(points + 0.01, 10, 1)
    # Steepest slope of the blend is 1.5 per cell, corners differ by up to some 8 spreads.
    assert np.abs(near - values).max() < 0.05
