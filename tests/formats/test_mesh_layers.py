"""Pictures of mesh layers: which way up a texture is, what hides what, and BakedAvatar's shading, all by hand."""

import dataclasses

import numpy as np
import pytest

from formats.avatar import BasisMix, MeshLayer, SkinBinding
from formats.camera import Camera
from formats.conventions import rgb_to_sh
from formats.deform import PosedMesh, PosedSplats, deform
from formats.errors import BindingError
from formats.gaussians import GaussianCloud
from formats.mesh_shading import mix_bases, sample_bilinear
from formats.rasterize import nearest_triangles
from formats.render import RenderOptions, render_layers
from formats.rotations import axis_angle_to_matrix, normalize
from tests.builders import tiny_avatar, tiny_camera

STORED = 1e-6  # pictures are float32
FACING = Camera(np.array([[40.0, 0, 16], [0, 40.0, 12], [0, 0, 1]]),
                np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2], [0, 0, 0, 1]]), 32, 24)
"""Two metres in front of the origin, looking at it along -z, +y up."""
BLACK = RenderOptions(background=(0.0, 0.0, 0.0))
LETTERS = np.array([[[1, 0, 0, 1], [0, 1, 0, 1]], [[0, 0, 1, 1], [1, 1, 0, 1]]], np.float32)
"""Red and green on top, blue and yellow below."""


def quad(texture=LETTERS, z=0.0, half=(0.8, 0.6), name="quad", flip=False, **fields):
    """A rectangle facing +z whose UVs put the image's top-left corner at its own (-x, +y)."""
    w, h = half
    vertices = np.array([[-w, h, z], [-w, -h, z], [w, -h, z], [w, h, z]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    faces = faces[:, ::-1] if flip else faces
    uvs = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32)
    layer = MeshLayer(vertices, np.tile([0, 0, 1.0], (4, 1)), faces, uvs, faces,
                      SkinBinding(lbs_weights=np.zeros((4, 1))), texture=texture, name=name, **fields)
    return PosedMesh(name, layer.vertices, layer.normals, layer, None)


def sheet(rgba):
    return np.broadcast_to(np.asarray(rgba, np.float32), (2, 2, 4))


@pytest.mark.parametrize("accelerate", [False, True])
def test_a_texture_is_the_right_way_up_and_pixel_exact(accelerate):
    """The rectangle fills the picture, one texel per pixel: the picture is the texture."""
    texture = np.random.default_rng(0).uniform(0, 1, (24, 32, 4)).astype(np.float32)
    texture[..., 3] = 1
    picture = render_layers([quad(texture)], FACING, accelerate=accelerate)
    np.testing.assert_allclose(picture.rgb, texture[..., :3], atol=STORED)
    np.testing.assert_allclose(picture.alpha, 1)


def test_a_small_texture_has_its_letters_in_their_corners():
    rgb = render_layers([quad()], FACING).rgb
    for (y, x), color in (((1, 1), (1, 0, 0)), ((1, -2), (0, 1, 0)), ((-2, 1), (0, 0, 1)), ((-2, -2), (1, 1, 0))):
        np.testing.assert_allclose(rgb[y, x], color, atol=STORED)
    np.testing.assert_allclose(rgb[11:13, 15:17].mean(axis=(0, 1)), [0.5, 0.5, 0.25], atol=STORED)


def test_bilinear_reads_between_texel_centers_and_holds_the_border():
    image = np.array([[[0.0], [1.0]], [[10.0], [11.0]]])
    uvs = np.array([[0.25, 0.25], [0.75, 0.25], [0.5, 0.25], [0.25, 0.5], [0, 0], [1, 1], [-3, 7], [0.4, 0.6]])
    np.testing.assert_allclose(sample_bilinear(image, uvs)[:, 0], [0, 1, 0.5, 5, 0, 11, 10, 0.3 + 7], atol=1e-12)
    one = np.full((1, 1, 2), 3.0)
    np.testing.assert_allclose(sample_bilinear(one, uvs), 3.0)


def test_back_faces_are_not_drawn():
    assert (render_layers([quad(flip=True)], FACING).alpha == 0).all()
    turned = dataclasses.replace(FACING, world_to_camera=np.array(
        [[-1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]]))
    assert (render_layers([quad()], turned).alpha == 0).all()
    assert (render_layers([quad(flip=True)], turned).alpha == 1).all()


def test_layers_go_over_each_other_in_order_whatever_their_depth():
    near, far = quad(sheet([1, 0, 0, 0.5]), z=0.5, name="near"), quad(sheet([0, 1, 0, 0.25]), z=0.0, name="far")
    picture = render_layers([near, far], FACING, RenderOptions((0.0, 0.0, 1.0)))
    np.testing.assert_allclose(picture.rgb[12, 16], [0.375, 0.25, 0.375], atol=STORED)
    np.testing.assert_allclose(picture.alpha[12, 16], 1 - 0.5 * 0.75, atol=STORED)


def test_opaque_layers_ignore_their_alpha():
    picture = render_layers([quad(sheet([0.2, 0.4, 0.6, 0.0]), opaque=True)], FACING)
    np.testing.assert_allclose(picture.rgb[3, 5], [0.2, 0.4, 0.6], atol=STORED)
    assert (render_layers([quad(sheet([0.2, 0.4, 0.6, 0.0]))], FACING, BLACK).rgb == 0).all()


def test_inside_a_layer_only_the_nearest_surface_shows():
    a, b = quad(z=0.3, half=(0.3, 0.3)), quad()
    for first, second in ((a, b), (b, a)):
        faces = np.concatenate([first.layer.faces, second.layer.faces + 4])
        layer = MeshLayer(np.concatenate([first.vertices, second.vertices]), np.tile([0, 0, 1.0], (8, 1)), faces,
                          np.concatenate([np.tile([0.1, 0.1], (4, 1)) if m is a else np.tile([0.9, 0.9], (4, 1))
                                          for m in (first, second)]), faces,
                          SkinBinding(lbs_weights=np.zeros((8, 1))), texture=LETTERS * [1, 1, 1, 0.5])
        rgb = render_layers([PosedMesh("m", layer.vertices, layer.normals, layer, None)], FACING, BLACK).rgb
        np.testing.assert_allclose(rgb[12, 16], [0.5, 0, 0], atol=STORED)
        np.testing.assert_allclose(rgb[1, 1], [0.5, 0.5, 0], atol=STORED)


def test_gaussians_always_go_over_meshes():
    behind = GaussianCloud([[0, 0, -0.5]], [[1, 0, 0, 0]], [[1.0] * 3], [0.6], rgb_to_sh(np.array([[[0.0, 0, 0]]])))
    splats = PosedSplats("behind", behind, np.eye(3))
    plain = render_layers([quad(sheet([1, 1, 1, 1]))], FACING, BLACK).rgb[12, 16, 0]
    for layers in ([splats, quad(sheet([1, 1, 1, 1]))], [quad(sheet([1, 1, 1, 1])), splats]):
        picture = render_layers(layers, FACING, BLACK)
        assert picture.rgb[12, 16, 0] == pytest.approx(plain * 0.4, abs=2e-3)
        np.testing.assert_allclose(picture.alpha, 1, atol=STORED)


def shoot(vertices, faces, intrinsics, near, width, height):
    """Ray casting after Moeller and Trumbore 1997, one ray and one triangle at a time."""
    fx, fy, cx, cy = intrinsics
    face, depth = np.full((height, width), -1), np.full((height, width), np.inf)
    weights = np.zeros((height, width, 3))
    for y in range(height):
        for x in range(width):
            ray = np.array([(x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy, 1])
            for i, (a, b, c) in enumerate(vertices[faces]):
                p = np.cross(ray, c - a)
                det = (b - a) @ p
                if det <= 1e-14:
                    continue
                u = -a @ p / det
                q = np.cross(-a, b - a)
                v, z = ray @ q / det, (c - a) @ q / det
                if min(u, v, 1 - u - v) >= 0 and near < z < depth[y, x]:
                    face[y, x], depth[y, x], weights[y, x] = i, z, [1 - u - v, u, v]
    return face, weights


@pytest.mark.parametrize("accelerate", [False, True])
def test_coverage_matches_ray_casting_even_around_the_camera(accelerate):
    """Random triangles in front of, behind and through the near plane and the camera's own plane."""
    rng = np.random.default_rng(4)
    vertices = rng.uniform(-1, 1, (60, 3)) * [1, 1, 1.5] + [0, 0, 0.6]
    faces = rng.integers(0, 60, (20, 3)).astype(np.int32)
    setup = (30.0, 28.0, 14.2, 9.7), 0.2, 30, 20
    face, weights = nearest_triangles(vertices, faces, *setup, accelerate)
    expected, expected_weights = shoot(vertices, faces, *setup)
    np.testing.assert_array_equal(face, expected)
    np.testing.assert_allclose(weights, expected_weights, atol=1e-9)
    assert 0.3 < (face >= 0).mean() < 1 and len(np.unique(face)) > 5


@pytest.mark.parametrize("accelerate", [False, True])
def test_neighbors_leave_no_pixel_between_them(accelerate):
    """A turned grid whose corners and edges run through pixel centres covers the whole picture."""
    rng = np.random.default_rng(5)
    n = 17
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    vertices = np.stack([0.5 * x, 0.5 * y, 4 + rng.integers(0, 3, (n, n)) / 4], axis=-1).reshape(-1, 3)
    a = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate([np.stack([a, a + n, a + 1], 1), np.stack([a + 1, a + n, a + n + 1], 1)]).astype(np.int32)
    faces = faces if np.linalg.det(vertices[faces[0]]) < 0 else faces[:, ::-1]
    face, weights = nearest_triangles(vertices, faces, (40.0, 40.0, 30.5, 30.5), 0.2, 61, 61, accelerate)
    assert (face >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-12)


def mix(space="view", hidden=5, depth=4, bases=3, temperature=10.0):
    rng = np.random.default_rng(7)
    layer = BasisMix(rng.uniform(0, 1, (bases, 6, 8, 3)), rng.uniform(0.2, 1, (6, 8)), rng.normal(0, 1, (6, 8, depth)),
                     "net", hidden, temperature, space)
    return layer, rng.normal(0, 0.5, hidden * (depth + 6) + bases * hidden).astype(np.float32)


@pytest.mark.parametrize("space", ["view", "world"])
def test_basis_mix_is_the_papers_formula(space):
    layer, numbers = mix(space)
    rng = np.random.default_rng(9)
    uvs = rng.uniform(0, 1, (20, 2))
    normals, directions = normalize(rng.normal(size=(20, 3))), normalize(rng.normal(size=(20, 3)))
    rotation = axis_angle_to_matrix(np.array([0.3, 2.0, -0.4]))
    found = mix_bases(layer, numbers, uvs, normals, directions, rotation)
    w1, w2 = numbers[:50].astype(float), numbers[50:].astype(float)
    for p in range(20):
        feature = sample_bilinear(layer.position_features, uvs[p:p + 1])[0]
        n, d = normals[p], directions[p]
        if space == "view":  # OpenGL's: x right, y up, z towards the viewer
            n, d = (np.array([v[0], -v[1], -v[2]]) for v in (rotation @ n, rotation @ d))
        x = [*feature, *n, *d]
        hidden = [max(0.0, sum(w1[10 * i + j] * x[j] for j in range(10))) for i in range(5)]
        share = np.exp([10.0 * sum(w2[5 * k + i] * hidden[i] for i in range(5)) for k in range(3)])
        color = sum(share[k] / share.sum() * sample_bilinear(layer.bases[k], uvs[p:p + 1])[0] for k in range(3))
        np.testing.assert_allclose(found[p], color, atol=1e-9)


def test_maps_of_bytes_are_the_floats_they_stand_for():
    rng = np.random.default_rng(11)
    maps = {"bases": (3, 6, 8, 3), "alpha": (6, 8), "position_features": (6, 8, 4)}
    levels = {name: rng.integers(0, 256, shape, np.uint8) for name, shape in maps.items()}
    small = BasisMix(**levels, weights_from="net", hidden=5)
    large = BasisMix(**{name: value / np.float32(255) for name, value in levels.items()}, weights_from="net", hidden=5)
    assert all(getattr(small, name).dtype == np.uint8 for name in maps)
    numbers, flat = mix()[1], quad(half=(0.7, 0.5))
    one, other = (render_layers([PosedMesh("m", flat.vertices, flat.normals, dataclasses.replace(
        flat.layer, texture=None, shading=m), numbers)], FACING, BLACK) for m in (small, large))
    np.testing.assert_allclose(one.rgb, other.rgb, atol=1e-6)
    np.testing.assert_allclose(one.alpha, other.alpha, atol=1e-6)
    assert one.alpha.max() > 0.5 and one.rgb.max() > 0.3


def test_basis_mix_survives_huge_logits_and_refuses_wrong_weights():
    layer, numbers = mix(temperature=1e6)
    point = np.array([[0.5, 0.5]]), np.array([[0, 0, 1.0]]), np.array([[0, 0, -1.0]]), np.eye(3)
    assert np.isfinite(mix_bases(layer, numbers, *point)).all()
    with pytest.raises(BindingError, match="expected 65 shading weights .* gave 64"):
        mix_bases(layer, numbers[:-1], *point)


def test_a_basis_layer_is_shaded_at_every_pixel():
    """On a flat rectangle, pixel by pixel: its uv, its unit normal, the unit ray from the camera to it."""
    layer, numbers = mix()
    flat = quad(half=(0.7, 0.5))
    mesh = dataclasses.replace(flat.layer, texture=None, shading=layer)
    picture = render_layers([PosedMesh("m", flat.vertices, flat.normals, mesh, numbers)], FACING, BLACK)
    for y, x in ((6, 9), (12, 16), (17, 25)):
        point = np.array([(x + 0.5 - 16) / 20, -(y + 0.5 - 12) / 20, 0])
        uv = np.array([[(point[0] + 0.7) / 1.4, (0.5 - point[1]) / 1.0]])
        ray = normalize(point - [0, 0, 2.0])[None]
        color = mix_bases(layer, numbers, uv, np.array([[0, 0, 1.0]]), ray, FACING.world_to_camera[:3, :3])[0]
        alpha = sample_bilinear(layer.alpha[..., None], uv)[0, 0]
        np.testing.assert_allclose(picture.rgb[y, x], alpha * color, atol=STORED)
        np.testing.assert_allclose(picture.alpha[y, x], alpha, atol=STORED)
    assert picture.alpha[0, 0] == 0


def test_shells_of_an_avatar_draw_inner_to_outer():
    avatar = tiny_avatar("mesh-basis")
    assert avatar.sequence is not None
    posed = deform(avatar, avatar.sequence, 0)
    inner, outer = posed.layers
    both, first = render_layers(posed.layers, tiny_camera()), render_layers([inner], tiny_camera())
    second = render_layers([outer], tiny_camera(), BLACK)
    lit = second.alpha > 0
    expected = second.rgb + (1 - second.alpha)[..., None] * first.rgb
    np.testing.assert_allclose(both.rgb[lit], np.clip(expected, 0, 1)[lit], atol=STORED)
    assert set(np.unique(first.alpha)) == {0.0, 1.0}
