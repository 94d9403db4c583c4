"""A tracked video in memory."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from formats.datasets.frames import Frames  # noqa: E402
from formats.errors import FormatError, MissingAsset, UnsupportedFeature  # noqa: E402
from tests.builders import tiny_head, tiny_sequence  # noqa: E402
from trainers import frame_store  # noqa: E402
from trainers.frame_store import FrameStore, order  # noqa: E402

COUNT, WIDTH, HEIGHT = 5, 20, 16


def video(folder: Path, separate_masks: bool = False) -> Frames:
    """Write five random pictures; every value of alpha occurs, 0 and 255 in blocks."""
    rng = np.random.default_rng(2)
    clip = tiny_sequence(tiny_head(), COUNT, cameras=True)
    cameras = dict(clip.cameras) | {"size": np.tile([WIDTH, HEIGHT], (COUNT, 1))}
    images, masks = [], []
    for i in range(COUNT):
        rgba = rng.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
        rgba[:4, :, 3], rgba[4:8, :, 3] = 0, 255
        images.append(folder / f"{i}.png")
        if separate_masks:
            masks.append(folder / f"mask{i}.png")
            Image.fromarray(rgba[..., 3]).save(masks[-1])
            rgba = rgba[..., :3]
        Image.fromarray(rgba).save(images[-1])
    return Frames("tiny", "train", dataclasses.replace(clip, cameras=cameras), tuple(images), tuple(masks),
                  tuple(f"label{i}" for i in range(COUNT)))


@pytest.mark.parametrize("separate_masks", [False, True])
def test_a_batch_is_the_frame(tmp_path: Path, separate_masks: bool) -> None:
    frames = video(tmp_path, separate_masks)
    told: list[str] = []
    store = FrameStore(frames, background=(0.25, 0.5, 0.75), progress=told.append)
    assert (len(store), store.width, store.height, store.frames) == (COUNT, WIDTH, HEIGHT, frames)
    assert told[-1].startswith("tiny train: 5 of 5 pictures read, 20 x 16")
    for i in range(COUNT):
        batch, picture, camera = store.batch(i), frames.picture(i), frames.camera(i)
        np.testing.assert_array_equal(store.numpy_picture(i), picture)
        alpha = picture[..., 3:] / 255.0
        expected = picture[..., :3] / 255.0 * alpha + np.array([0.25, 0.5, 0.75]) * (1 - alpha)
        np.testing.assert_allclose(batch.rgb, expected, atol=1e-6)
        np.testing.assert_allclose(batch.mask, alpha[..., 0], atol=1e-7)
        assert batch.rgb.dtype == batch.mask.dtype == torch.float32 and batch.rgb.is_contiguous()
        assert (batch.index, batch.split, batch.view.width, batch.view.height) == (i, "train", WIDTH, HEIGHT)
        np.testing.assert_allclose(batch.view.viewmat, camera.world_to_camera, atol=1e-6)
        np.testing.assert_allclose(batch.view.K, camera.K, rtol=1e-6)
        for name in frame_store.FIELDS:
            np.testing.assert_array_equal(getattr(batch.motion, name), getattr(frames.sequence, name)[i])
            np.testing.assert_array_equal(getattr(store.motion, name), getattr(frames.sequence, name))


def test_opaque_and_clear_pixels_are_exact(tmp_path: Path) -> None:
    store = FrameStore(video(tmp_path))
    batch, picture = store.batch(1), store.numpy_picture(1)
    assert torch.equal(batch.rgb[:4], torch.ones(4, WIDTH, 3))
    np.testing.assert_array_equal(batch.rgb[4:8], picture[4:8, :, :3] / np.float32(255))


def test_a_batch_may_ask_for_another_background(tmp_path: Path) -> None:
    store = FrameStore(video(tmp_path))
    for ground in ((0.1, 0.2, 0.3), torch.tensor([0.1, 0.2, 0.3])):
        batch = store.batch(2, ground)
        assert torch.equal(batch.background, torch.tensor([0.1, 0.2, 0.3]))
        assert torch.equal(batch.rgb[0, 0], batch.background)
    assert torch.equal(store.batch(2).background, torch.ones(3))


def test_smaller_pictures_come_with_their_cameras(tmp_path: Path) -> None:
    frames = video(tmp_path)
    store = FrameStore(frames, size=10)
    assert (store.width, store.height) == (10, 8)
    np.testing.assert_array_equal(store.numpy_picture(3), frames.picture(3, 10))
    np.testing.assert_allclose(store.view(3).K, frames.camera(3, 10).K, rtol=1e-6)


def test_pictures_of_two_sizes_are_refused_by_name(tmp_path: Path) -> None:
    frames = video(tmp_path)
    sizes = np.tile([WIDTH, HEIGHT], (COUNT, 1))
    sizes[3] = HEIGHT, HEIGHT
    cameras = dict(frames.sequence.cameras) | {"size": sizes}
    mixed = dataclasses.replace(frames, sequence=dataclasses.replace(frames.sequence, cameras=cameras))
    with pytest.raises(FormatError, match=r"3\.png: frame 'label3' is 16 x 16 pixels, the first 20 x 16"):
        FrameStore(mixed)


def test_a_broken_or_missing_picture_is_named(tmp_path: Path) -> None:
    frames = video(tmp_path)
    frames.images[2].write_bytes(b"no picture")
    with pytest.raises(FormatError, match=r"2\.png"):
        FrameStore(frames)
    frames.images[2].unlink()
    with pytest.raises(MissingAsset, match=r"2\.png"):
        FrameStore(frames)


def test_too_many_pictures_are_refused_before_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_store, "_host_room", lambda: 5000)
    with pytest.raises(UnsupportedFeature, match="tiny train: 5 pictures need .* GB of memory"):
        FrameStore(video(tmp_path))


def test_order_depends_on_its_arguments_alone() -> None:
    assert sorted(order(50, 1, 2)) == list(range(50))
    np.testing.assert_array_equal(order(50, 1, 2), order(50, 1, 2))
    others = [order(50, *key) for key in ((1, 2), (1, 3), (2, 1), (2, 2), (0, 0))]
    assert len({tuple(o) for o in others}) == 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("limit", [None, 100])
def test_batches_on_a_gpu_are_those_of_the_host(tmp_path: Path, limit: int | None) -> None:
    """Within the limit pictures live on the GPU, above it in pinned memory."""
    frames = video(tmp_path)
    there, here = FrameStore(frames, device="cuda", limit=limit), FrameStore(frames)
    assert there.pictures.is_cuda == (limit is None) and (there.pictures.is_cuda or there.pictures.is_pinned())
    for i in range(COUNT):
        ours, theirs = there.batch(i), here.batch(i)
        assert ours.rgb.is_cuda and ours.motion.expr.is_cuda and ours.view.K.is_cuda
        np.testing.assert_allclose(ours.rgb.cpu(), theirs.rgb, atol=1e-6)
        np.testing.assert_array_equal(there.numpy_picture(i), here.numpy_picture(i))
