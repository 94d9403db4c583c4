"""What `Frames` promises whatever wrote the data: scaled cameras, straight colours, one clear error."""

import numpy as np
import pytest
from PIL import Image

from formats.datasets.frames import Frames
from formats.errors import FormatError, MissingAsset
from formats.rotations import axis_angle_to_matrix
from formats.sequence import Sequence


def sequence(count=3, width=40, height=20, **values):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axis_angle_to_matrix(np.array([0.2, -0.4, 0.1])), [0.01, 0.02, 0.9]
    cameras = {"K": np.tile([[80.0, 0, 21], [0, 82, 9], [0, 0, 1]], (count, 1, 1)),
               "world_to_camera": np.tile(matrix, (count, 1, 1)), "size": np.tile([width, height], (count, 1))}
    return Sequence("standin", 25.0, np.zeros((count, 2)), **({"cameras": cameras} | values))


def folder(tmp_path, *pictures, masks=()):
    paths = []
    for i, picture in enumerate((*pictures, *masks)):
        paths.append(tmp_path / f"{i}.png")
        picture.save(paths[-1])
    return Frames("anna", "train", sequence(len(pictures)), tuple(paths[:len(pictures)]), tuple(paths[len(pictures):]))


def half(left, right):
    """A 40 x 20 picture of two colours, split in column 19 so that halving it mixes them."""
    pixels = np.empty((20, 40, len(left)), np.uint8)
    pixels[:, :19], pixels[:, 19:] = left, right
    return Image.fromarray(pixels)


def test_cameras_scale_with_their_pictures(tmp_path):
    frames = folder(tmp_path, half((1, 2, 3, 255), (1, 2, 3, 255)))
    own, small, odd = frames.camera(0), frames.camera(0, 20), frames.camera(0, 30)
    assert (own.width, own.height, small.width, small.height, odd.width, odd.height) == (40, 20, 20, 10, 30, 15)
    np.testing.assert_array_equal(small.K, [[40, 0, 10.5], [0, 41, 4.5], [0, 0, 1]])
    np.testing.assert_allclose(odd.K, [[60, 0, 15.75], [0, 61.5, 6.75], [0, 0, 1]])
    np.testing.assert_array_equal(own.world_to_camera, small.world_to_camera)
    # Files round to float32; what comes out is a rotation exactly.
    np.testing.assert_allclose(own.world_to_camera[:3, :3] @ own.world_to_camera[:3, :3].T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(own.world_to_camera[:3, :3], axis_angle_to_matrix(np.array([0.2, -0.4, 0.1])), atol=1e-6)
    assert frames.camera(0, 40).K.tolist() == own.K.tolist()


@pytest.mark.parametrize("size", [20, 30, 80])
def test_resizing_keeps_straight_colours(size, tmp_path):
    frames = folder(tmp_path, half((200, 100, 50, 255), (0, 255, 0, 0)))
    picture = frames.picture(0, size)
    camera = frames.camera(0, size)
    assert picture.shape == (camera.height, camera.width, 4) and picture.dtype == np.uint8
    shown = picture[picture[..., 3] > 60]
    # The green under zero alpha must not bleed into the edge.
    assert np.abs(shown[:, :3].astype(int) - [200, 100, 50]).max() <= 4
    alpha = picture[0, :, 3].astype(float)
    assert alpha[0] == 255 and alpha[-1] == 0 and alpha.sum() / 255 == pytest.approx(19 * size / 40, abs=0.1)
    if size == 20:
        assert picture[0, 9, 3] in (127, 128)  # one column of two is covered


def test_own_size_is_untouched(tmp_path):
    frames = folder(tmp_path, half((200, 100, 50, 255), (1, 2, 3, 0)))
    for size in (None, 40):
        picture = frames.picture(0, size)
        assert picture[3, 5].tolist() == [200, 100, 50, 255] and picture[3, 30].tolist() == [1, 2, 3, 0]


def test_masks_take_the_place_of_alpha(tmp_path):
    opaque = half((200, 100, 50), (7, 8, 9))
    grey = Image.fromarray(np.repeat([[255] * 10 + [90] * 30], 20, axis=0).astype(np.uint8))
    frames = folder(tmp_path, opaque, masks=(grey,))
    picture = frames.picture(0)
    assert picture[0, 0].tolist() == [200, 100, 50, 255] and picture[0, 30].tolist() == [7, 8, 9, 90]
    # A mask also replaces the alpha a picture has.
    other = tmp_path / "b"
    other.mkdir()
    frames = folder(other, half((1, 1, 1, 0), (2, 2, 2, 255)), masks=(grey,))
    assert frames.picture(0)[0, [0, 30]].tolist() == [[1, 1, 1, 255], [2, 2, 2, 90]]


def test_pictures_with_palettes_and_grey_ones(tmp_path):
    both = half((70, 70, 70, 200), (70, 70, 70, 0))
    assert folder(tmp_path, both.convert("LA")).picture(0)[0, [0, 39]].tolist() == [[70, 70, 70, 200], [70, 70, 70, 0]]
    palette = half((9, 8, 7), (1, 2, 3)).quantize(2)
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((39, 0)))
    frames = Frames("anna", "train", sequence(1), (tmp_path / "p.png",))
    assert frames.picture(0)[0, [0, 39]].tolist() == [[9, 8, 7, 255], [1, 2, 3, 0]]


def test_pictures_that_do_not_serve(tmp_path):
    frames = folder(tmp_path, half((1, 2, 3), (1, 2, 3)), half((1, 2, 3, 4), (1, 2, 3, 4)), half((1, 2, 3, 4), (1, 2, 3, 4)))
    with pytest.raises(FormatError, match=r"0\.png: has no alpha channel and there is no mask for it; cut the person out"):
        frames.picture(0)
    Image.new("RGBA", (20, 20)).save(frames.images[1])
    with pytest.raises(FormatError, match=r"1\.png: is 20 x 20 pixels, its camera 40 x 20"):
        frames.picture(1)
    frames.images[2].unlink()
    with pytest.raises(MissingAsset, match=r"2\.png: no such picture"):
        frames.picture(2)
    frames.images[2].write_bytes(b"\x89PNG\r\n")
    with pytest.raises(FormatError, match=r"2\.png: not a picture that can be read"):
        frames.picture(2)
    other = tmp_path / "b"
    other.mkdir()
    frames = folder(other, half((1, 2, 3), (1, 2, 3)), masks=(Image.new("L", (39, 20)),))
    with pytest.raises(FormatError, match=r"1\.png: is 39 x 20 pixels, its picture 40 x 20"):
        frames.picture(0)


def test_counts_must_agree(tmp_path):
    paths = tuple(tmp_path / f"{i}.png" for i in range(3))
    good = Frames("anna", "test", sequence(), paths, points2d={"eyes": np.zeros((3, 2, 2))})
    assert len(good) == 3 and good.labels == ("0", "1", "2") and good.points2d["eyes"].dtype == np.float64
    for message, values in (("2 images for 3 frames", {"images": paths[:2]}), ("2 masks for 3", {"masks": paths[:2]}),
                            ("2 labels for 3", {"labels": ("a", "b")}), ("there are no pictures", {"images": ()}),
                            (r"points2d\[eyes\] is \(2, 2, 2\), expected \(3, L, 2\)",
                             {"points2d": {"eyes": np.zeros((2, 2, 2))}}),
                            ("holds no cameras", {"sequence": sequence(cameras={})})):
        fields = {"name": "anna", "split": "test", "sequence": sequence(), "images": paths} | values
        with pytest.raises(FormatError, match=f"Frames 'anna': .*{message}"):
            Frames(**fields)
