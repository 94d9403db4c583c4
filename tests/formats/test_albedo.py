"""The texture that an avatar's own pictures make: the stand-in's comes back, eyes and lips included."""

import dataclasses

import numpy as np
import pytest

from formats.albedo import albedo_of, cameras_around
from formats.avatar import Avatar
from formats.errors import UnsupportedFeature
from formats.framing import default_camera
from formats.standin.avatar import standin_avatar
from formats.texels import texels

SIZE = 128


@pytest.fixture(scope="module")
def person() -> Avatar:
    return standin_avatar(12_000)


@pytest.fixture(scope="module")
def texture(person: Avatar) -> np.ndarray:
    return albedo_of(person, SIZE, 256)


def painted(person: Avatar) -> np.ndarray:
    """Return what the stand-in is painted with, at the size of the test."""
    assert person.maps is not None
    full = person.maps.images["albedo"]
    step = len(full) // SIZE
    return full.reshape(SIZE, step, SIZE, step, 3).mean(axis=(1, 3))


def on(person: Avatar, region: str) -> np.ndarray:
    """Return the texels [S, S] whose triangle lies in a region of the head."""
    where, face, _ = texels(person.head, SIZE)
    inside = np.all(np.isin(person.head.faces, person.head.regions[region]), axis=1)
    mask = np.zeros(SIZE * SIZE, bool)
    mask[where[inside[face]]] = True
    return mask.reshape(SIZE, SIZE)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(one - other).mean()))


def test_it_is_a_picture_without_holes(texture: np.ndarray) -> None:
    assert texture.shape == (SIZE, SIZE, 3) and texture.dtype == np.float32
    assert texture.min() >= 0 and texture.max() <= 1 and np.isfinite(texture).all()


@pytest.mark.parametrize("region, least", [("face", 20), ("left_eyeball", 14), ("lips", 18)])
def test_what_was_painted_comes_back(person: Avatar, texture: np.ndarray, region: str, least: float) -> None:
    mask = on(person, region)
    assert mask.sum() > 50
    assert psnr(texture[mask], painted(person)[mask]) > least


def test_cameras_look_at_the_middle_from_all_sides(person: Avatar) -> None:
    middle = np.array([0.0, 0.1, -0.02])
    cameras = cameras_around(default_camera(person, 64, 64), middle)
    arms = np.stack([c.position - middle for c in cameras])
    assert np.allclose(np.linalg.norm(arms, axis=1), np.linalg.norm(arms[0]), atol=1e-5)
    for camera in cameras:
        assert np.allclose((camera.world_to_camera @ [*middle, 1])[:2], 0, atol=1e-5)
    assert arms[:, 2].min() < -0.9 * np.linalg.norm(arms[0]) and (arms[:, 0] > 0.1).any() and (arms[:, 0] < -0.1).any()


def test_a_head_without_texture_coordinates_is_refused(person: Avatar) -> None:
    bare = dataclasses.replace(person, head=dataclasses.replace(person.head, uvs=None, uv_faces=None), maps=None)
    with pytest.raises(UnsupportedFeature, match="texture coordinates"):
        albedo_of(bare, 32, 64)
