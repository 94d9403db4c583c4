"""Pictures back onto a head's texture."""

import dataclasses

import numpy as np
import pytest

from formats.avatar import Avatar, MeshLayer, SkinBinding
from formats.camera import Camera, look_at
from formats.deform import deform_head, rest_sequence, vertex_normals
from formats.errors import CheckpointMismatch, UnsupportedFeature
from formats.head_model import HeadModel
from formats.picture import psnr
from formats.render import render_avatar
from formats.reproject import View, reproject
from formats.sequence import Sequence
from formats.standin.head import standin_head
from formats.standin.paint import albedo_map
from formats.surface_fill import push_pull
from formats.texels import texels
from tests.builders import tiny_head

SIZE = 128
GREEN, RED, BLUE = (0.1, 0.7, 0.2), (0.9, 0.1, 0.1), (0.1, 0.2, 0.9)


def textured(head: HeadModel, texture: np.ndarray) -> Avatar:
    """Return `head` as a mesh that shows `texture` [S, S, 3]."""
    assert head.uvs is not None and head.uv_faces is not None
    v = head.v_template
    rgba = np.concatenate([texture, np.ones((*texture.shape[:2], 1))], axis=2).astype(np.float32)
    layer = MeshLayer(v, vertex_normals(v, head.faces), head.faces, head.uvs, head.uv_faces,
                      SkinBinding(vertex_index=np.arange(len(v), dtype=np.int32)), texture=rgba)
    return Avatar(head, (layer,))


def shot(avatar: Avatar, sequence: Sequence, camera: Camera) -> View:
    """Return the view of one drawn picture."""
    picture = render_avatar(avatar, sequence, 0, camera)
    rgba = np.concatenate([picture.rgb, picture.alpha[..., None]], axis=2)
    return deform_head(avatar.head, sequence).vertices, camera, (rgba * 255 + 0.5).astype(np.uint8)


def around(head: HeadModel, turn: float, rise: float = 0, pixels: int = 192) -> Camera:
    """Return a camera a metre from the head's middle, `turn` degrees to its left and `rise` above."""
    a, b = np.radians(turn), np.radians(rise)
    middle = head.v_template.mean(axis=0)
    eye = middle + np.array([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    return look_at(eye, middle, 0.34, pixels, pixels)


@pytest.fixture(scope="module")
def person() -> Avatar:
    """The stand-in as a mesh with its own texture."""
    return textured(standin_head(teeth=True).personalise(), albedo_map(SIZE)[0])


def test_known_texture_comes_back_from_six_views(person: Avatar) -> None:
    head, still = person.head, rest_sequence(person.head)
    views = [shot(person, still, around(head, *at)) for at in ((0, 0), (-55, 10), (55, 10), (180, 0), (115, 0), (-115, 0))]
    image, seen = reproject(head, iter(views), SIZE)
    truth, covered = albedo_map(SIZE)
    assert image.dtype == np.float32 and image.shape == (SIZE, SIZE, 3) and seen.shape == (SIZE, SIZE)
    assert psnr(image[seen], truth[seen]) > 28
    assert not (seen & ~covered).any() and 0.6 < seen.sum() / covered.sum() < 0.97
    assert image[~covered].min() > 0.01  # nothing stays black beyond the islands
    assert psnr(image[covered & ~seen], truth[covered & ~seen]) > 10  # what is carried there is plausible

    # One head on its own UV layout, row 0 on top: flipped it would not fit.
    assert psnr(image[::-1][seen], truth[seen]) < 20


def test_closed_lids_do_not_paint_eyeballs(person: Avatar) -> None:
    head = person.head
    closed = dataclasses.replace(rest_sequence(head), eyelids=np.ones((1, 2), np.float32))
    _, seen = reproject(head, [shot(person, closed, around(head, turn)) for turn in (0, -30, 30)], SIZE)
    texel, face, _ = texels(head, SIZE)
    ball = np.isin(head.faces, np.concatenate([head.regions["left_iris"], head.regions["right_iris"]])).any(axis=1)[face]
    assert ball.sum() > 4 and not seen.ravel()[texel[ball]].any()
    _, seen = reproject(head, [shot(person, rest_sequence(head), around(head, 0))], SIZE)
    assert seen.ravel()[texel[ball]].mean() > 0.5


def cards() -> HeadModel:
    """Return a head of two squares that face +z: 20 cm wide at z = 0, and 6 cm wide 5 cm in front of it."""
    def grid(half: float, z: float, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, x = np.mgrid[:count, :count] / (count - 1)
        at = np.stack([half * (2 * x - 1), half * (1 - 2 * y), np.full_like(x, z)], axis=2).reshape(-1, 3)
        i = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
        faces = np.concatenate([np.stack([i, i + count, i + 1], 1), np.stack([i + 1, i + count, i + count + 1], 1)])
        return at, np.stack([x, y], axis=2).reshape(-1, 2), faces

    back, back_uv, back_faces = grid(0.1, 0.0, 11)
    front, front_uv, front_faces = grid(0.03, 0.05, 4)
    faces = np.concatenate([back_faces, front_faces + len(back)])
    v = np.concatenate([back, front])
    head = tiny_head()
    weights = np.tile(np.eye(len(head.parents))[:1], (len(v), 1))
    return HeadModel(
        "standin", v, faces, np.zeros((len(v), 3, 1)), weights, head.parents, J_template=np.zeros((5, 3)),
        uvs=np.concatenate([0.05 + 0.55 * back_uv, [0.7, 0.7] + 0.2 * front_uv]), uv_faces=faces)


def card_views(head: HeadModel, count: int = 3) -> tuple[np.ndarray, list[View]]:
    texture = np.tile(np.array(GREEN), (64, 64, 1))
    texture[40:, 40:] = RED
    avatar = textured(head, texture)
    cameras = [look_at((0.05 * i, 0.03 * i, 0.8), (0, 0, 0), 0.35, 160, 160) for i in range(count)]
    return texture, [shot(avatar, rest_sequence(head), camera) for camera in cameras]


def test_what_is_hidden_is_not_painted_by_what_hides_it() -> None:
    head = cards()
    texture, views = card_views(head)
    image, seen = reproject(head, views, 64)
    texel, face, _ = texels(head, 64)
    np.testing.assert_allclose(image.reshape(-1, 3)[texel], texture.reshape(-1, 3)[texel], atol=0.01)
    # The middle of the square behind is behind the other one in every view, and green all the same.
    assert not seen[20, 20] and seen[6, 6] and seen[50, 50]
    # Out of a view from behind nothing can be learned.
    behind = shot(textured(head, texture), rest_sequence(head), look_at((0, 0, -0.8), (0, 0, 0), 0.35, 160, 160))
    image, seen = reproject(head, [behind], 64)
    assert not seen.any() and (image == 0).all()


def test_one_wrong_picture_is_outvoted_and_transparent_pixels_do_not_count() -> None:
    head = cards()
    texture, views = card_views(head, 5)
    vertices, camera, picture = views[2]
    wrong = picture.copy()
    wrong[..., :3] = (np.array(BLUE) * 255).astype(np.uint8)
    image, seen = reproject(head, [*views[:2], (vertices, camera, wrong), *views[3:]], 64)
    often = np.sum([reproject(head, [view], 64)[1] for view in views], axis=0) >= 4
    assert often.sum() > 0.8 * seen.sum()
    assert np.abs(image[often] - texture[often]).max() < 0.03  # the mean is 0.14 and more away
    glass = wrong.copy()
    glass[..., 3] = 200
    clear, there = reproject(head, [views[0], (vertices, camera, glass)], 64)
    np.testing.assert_array_equal(clear, reproject(head, [views[0]], 64)[0])
    assert there.any()


def test_pictures_follow_the_posed_head() -> None:
    head = cards()
    texture, _ = card_views(head)
    avatar = textured(head, texture)
    moved = dataclasses.replace(rest_sequence(head), rotation=np.array([[0.2, 0.4, 0.1]], np.float32),
                                translation=np.array([[0.02, -0.01, 0.03]], np.float32))
    image, seen = reproject(head, [shot(avatar, moved, look_at((0, 0, 0.8), (0, 0, 0), 0.35, 160, 160))], 64)
    assert seen.sum() > 500
    np.testing.assert_allclose(image[seen], texture[seen], atol=0.01)


def test_colours_cross_the_seams_of_the_layout() -> None:
    head = tiny_head()
    ramp = np.zeros((64, 64, 3))
    texel, face, weights = texels(head, 64)
    ramp.reshape(-1, 3)[texel] = (0.5 + 4 * np.einsum("pk,pkc->pc", weights, head.v_template[head.faces[face]])).clip(0, 1)
    image, seen = reproject(head, [shot(textured(head, ramp), rest_sequence(head), around(head, t, pixels=96))
                                   for t in (0, 40, -40)], 64)
    unseen = np.setdiff1d(texel, np.flatnonzero(seen))
    left, right = head.v_template[head.faces[face]].mean(axis=1)[:, 0] > 0.03, head.v_template[head.faces[face]].mean(
        axis=1)[:, 0] < -0.03
    flat, lost = image.reshape(-1, 3), np.isin(texel, unseen)
    # Red rises from right to left around the back too, where no picture looks.
    assert lost.sum() > 100 and flat[texel[lost & left], 0].mean() > flat[texel[lost & right], 0].mean() + 0.1


@pytest.mark.parametrize("shape", [(8, 8), (7, 13), (1, 5), (16, 1)])
def test_push_pull_keeps_what_is_known_and_stays_within_it(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    image, known = rng.uniform(0.2, 0.8, (*shape, 3)), rng.uniform(size=shape) < 0.4
    known.ravel()[0] = True
    filled = push_pull(image, known)
    np.testing.assert_allclose(filled[known], image[known], atol=1e-12)
    assert filled.min() >= image[known].min() - 1e-9 and filled.max() <= image[known].max() + 1e-9
    np.testing.assert_allclose(push_pull(np.full((*shape, 3), 0.3), known), 0.3, atol=1e-9)


def test_what_does_not_fit_is_refused() -> None:
    head = cards()
    _, views = card_views(head, 1)
    vertices, camera, picture = views[0]
    with pytest.raises(UnsupportedFeature, match="no texture coordinates"):
        reproject(tiny_head(uvs=False), [], 16)
    with pytest.raises(CheckpointMismatch, match=r"uint8 \[80, 160, 4\], its camera's is uint8 \[160, 160, 4\]"):
        reproject(head, [(vertices, camera, picture[::2])], 16)
    with pytest.raises(CheckpointMismatch, match="posed vertices"):
        reproject(head, [(vertices[:5], camera, picture)], 16)
