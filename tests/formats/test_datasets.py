"""The readers of tracked videos: what they make of whole folders, and what they say of damaged ones.

To add a layout: write its folder by hand in `tests/formats/tracked_folders.py`, and add a line to `WRITERS`.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from formats.datasets import DATASETS, check, read
from formats.datasets.frames import Frames
from formats.datasets.insta_flame import matrix_from_6d
from formats.datasets.segmentation import seen_eyes
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.rotations import axis_angle_to_matrix
from tests.formats import test_datasets_more
from tests.formats import tracked_folders as folders
from tests.formats.tracked_folders import CENTRE, FOCAL, FRAMES, SIZE

WRITERS = {"imavatar": folders.write_imavatar, "insta": folders.write_insta}
TRAIN = {"imavatar": "anna_train/flame_params.json", "insta": "transforms_train.json"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder per layout, not to be changed. "image" in the path must not matter."""
    return {name: write(tmp_path_factory.mktemp(f"image_{name}")) for name, write in WRITERS.items()}


@pytest.fixture
def own(whole: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Copy a layout's folder for a test that damages it."""
    def copy(name: str) -> Path:
        shutil.copytree(whole[name].parent, tmp_path / name)
        return tmp_path / name / whole[name].name
    return copy


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


# --- What is read -----------------------------------------------------------------------------------------------------


def test_imavatar_in_our_conventions(whole):
    frames = read("imavatar", whole["imavatar"])
    truth = folders.motion(50, 100, True)
    assert (frames.name, frames.split, len(frames)) == ("anna", "train", FRAMES)
    # The file's order is that of text: 1, 10, 2, ...
    assert frames.labels == tuple(str(i + 1) for i in range(FRAMES))
    assert [path.name for path in frames.images] == [f"{i + 1}.png" for i in range(FRAMES)]
    assert {path.parent.name for path in frames.images} == {"matted"} and frames.masks == ()
    sequence = frames.sequence
    assert (sequence.basis, sequence.fps) == ("standin", 25.0)
    for name in ("expr", "rotation", "neck", "jaw", "eyes", "shape"):
        np.testing.assert_allclose(getattr(sequence, name), getattr(truth, name), atol=1e-6, err_msg=name)
    k, view, size = (sequence.cameras[name] for name in ("K", "world_to_camera", "size"))
    np.testing.assert_allclose(k[3], [[FOCAL * SIZE, 0, CENTRE[0] * SIZE], [0, FOCAL * SIZE, CENTRE[1] * SIZE], [0, 0, 1]],
                               rtol=1e-6)
    np.testing.assert_allclose(view[3], [[1, 0, 0, 0.02], [0, -1, 0, 0.01], [0, 0, -1, 1], [0, 0, 0, 1]], atol=1e-6)
    assert size.tolist() == [[SIZE, SIZE]] * FRAMES
    # Seen points by the OpenCV formula, where the folder's writer used the OpenGL one.
    marks, irises = folders.posed(50, 100, True)
    points = np.concatenate([marks, irises], axis=1) @ view[0, :3, :3].T + view[0, :3, 3]
    pixels = points @ k[0].T
    pixels = pixels[..., :2] / pixels[..., 2:]
    np.testing.assert_allclose(frames.points2d["landmarks"], pixels[:, :68], atol=1e-3)
    np.testing.assert_allclose(frames.points2d["irises"], pixels[:, 68:], atol=1e-3)
    assert (frames.points2d["irises"][:, 0, 0] > frames.points2d["irises"][:, 1, 0]).all()  # the subject's left first
    assert frames.picture(4)[SIZE // 2, SIZE // 2].tolist() == [200, 80, 30, 255]
    assert frames.picture(4)[0, 0, 3] == 0
    assert read("imavatar", whole["imavatar"], "test").images[0].parts[-3] == "anna_test"


def test_insta_in_our_conventions(whole):
    train, test = (read("insta", whole["insta"], split) for split in ("train", "test"))
    truth = folders.motion(100, 300, False)
    assert train.labels == tuple(f"{i:05d}" for i in range(7)) and test.labels == ("00007", "00008", "00009")
    for frames, first in ((train, 0), (test, 7)):
        sequence = frames.sequence
        assert (frames.name, sequence.basis, sequence.fps) == ("bala", "standin", 25.0)
        part = slice(first, first + len(frames))
        for name in ("expr", "jaw", "eyes", "eyelids"):
            np.testing.assert_allclose(getattr(sequence, name), getattr(truth, name)[part], atol=1e-6, err_msg=name)
        np.testing.assert_allclose(sequence.shape, truth.shape, atol=1e-6)
        assert not sequence.rotation.any() and not sequence.neck.any() and not sequence.translation.any()
        for i in range(len(frames)):
            rotation, place = folders.orbit(first + i)
            camera = frames.camera(i)
            np.testing.assert_allclose(camera.world_to_camera[:3, :3], rotation, atol=1e-6)
            np.testing.assert_allclose(camera.position, place, atol=1e-6)
            np.testing.assert_allclose(camera.K, [[FOCAL * SIZE, 0, CENTRE[0] * SIZE], [0, FOCAL * SIZE, CENTRE[1] * SIZE],
                                                  [0, 0, 1]], rtol=1e-6)
        assert frames.picture(1)[SIZE // 2, SIZE // 2].tolist() == [200, 20 * (first + 1), 30, 255]
    marks, _ = folders.posed(100, 300, False)
    camera = train.camera(2)
    for side, lids in enumerate((slice(42, 48), slice(36, 42))):
        view = camera.world_to_camera[:3, :3] @ marks[2, lids].mean(axis=0) + camera.world_to_camera[:3, 3]
        np.testing.assert_allclose(train.points2d["eyes"][2, side], (camera.K @ view / view[2])[:2], atol=0.4)


@pytest.mark.parametrize("name", WRITERS)
def test_every_layout_reads_passes_the_check_and_is_found_one_folder_up(name, whole):
    for split in ("train", "test"):
        frames = read(name, whole[name], split)
        check.check(frames, folders.head())
        assert read(name, whole[name].parent, split).images == frames.images
        assert all(path.is_relative_to(whole[name].resolve()) for path in frames.images)


@pytest.mark.parametrize("name", WRITERS)
def test_the_edition_is_the_users_else_the_tags_else_2020(name, own):
    root = own(name)
    assert read(name, root, edition="flame2023").sequence.basis == "flame2023"
    assert read(name, root).sequence.basis == "standin"
    with pytest.raises(FormatError, match="--edition: unknown edition 'flame99'"):
        read(name, root, edition="flame99")
    tag = (root if name == "imavatar" else root.parent) / "capture.json"
    tag.write_text('{"edition": "arkit"}')
    with pytest.raises(FormatError, match=r"capture\.json: unknown edition 'arkit'"):
        read(name, root)
    tag.unlink()
    assert read(name, root).sequence.basis == "flame2020"


def test_imavatars_pictures_with_masks(tmp_path):
    root = folders.write_imavatar(tmp_path, masks=True, iris=False)
    frames = read("imavatar", root)
    assert {path.parent.name for path in frames.images} == {"image"}
    assert [path.parent.name + path.name for path in frames.masks] == [f"mask{i + 1}.png" for i in range(FRAMES)]
    assert frames.picture(4)[SIZE // 2, SIZE // 2].tolist() == [200, 80, 30, 255] and frames.picture(4)[0, 0, 3] == 0
    assert "irises" not in frames.points2d
    check.check(frames, folders.head())
    (root / "anna_train" / "mask" / "3.png").unlink()
    with pytest.raises(MissingAsset, match=r"frame \d+: its picture .*mask/3\.png is not there"):
        read("imavatar", root)


def test_imavatar_by_one_of_its_video_folders(whole):
    one = whole["imavatar"] / "anna_train"
    assert read("imavatar", one, "test").images[0].parts[-3] == "anna_test"
    assert read("imavatar", one).name == "anna"


def test_imavatars_own_layout_is_named_with_its_videos(own):
    root = own("imavatar")
    (root / "anna_train").rename(root / "MVI_1810")
    (root / "anna_test").rename(root / "MVI_1812")
    with pytest.raises(MissingAsset, match="found MVI_1810, MVI_1812: rename or link the one to learn from as anna_train"):
        read("imavatar", root)
    with pytest.raises(MissingAsset, match="as <subject>_train and <subject>_test"):
        read("imavatar", root / "MVI_1810")
    (root / "anna_train").symlink_to(root / "MVI_1810")
    assert len(read("imavatar", root)) == FRAMES  # what the message says to do


def test_what_the_detectors_saw(own):
    root = own("imavatar")
    video = root / "anna_train"
    edit(video / "flame_params.json", lambda v: [frame.pop("flame_keypoints") for frame in v["frames"]])
    lids = [[float(20 if 36 <= k < 42 else 60), 40.0] for k in range(68)]
    (video / "keypoint.json").write_text(json.dumps({f"{i + 1}.png": lids for i in range(FRAMES - 1)}))
    (video / "iris.json").write_text(json.dumps({"1.png": [61, 41, 22, 42], "2.png": None, "3.png": [],
                                                 "4.png": [22, 42, 61, 41]}))
    points = read("imavatar", root).points2d
    assert points["landmarks"][0].tolist() == lids and np.isnan(points["landmarks"][-1]).all()
    # Left first, whichever order the file has; what the detector missed stays unseen.
    assert points["irises"][0].tolist() == [[61, 41], [22, 42]] == points["irises"][3].tolist()
    assert np.isnan(points["irises"][[1, 2, 4]]).all()
    (video / "iris.json").write_text('{"1.png": [1, 2, 3]}')
    with pytest.raises(FormatError, match=r"iris\.json: '1\.png': expected 2 points, got 3 numbers"):
        read("imavatar", root)


def test_intrinsics_follow_the_pictures_that_are_read(own):
    root = own("imavatar")
    for path in (root / "anna_train" / "matted").iterdir():
        Image.open(path).resize((48, 48)).save(path)
    frames = read("imavatar", root)
    assert frames.sequence.cameras["size"][2].tolist() == [48, 48]
    assert frames.sequence.cameras["K"][2, 0].tolist() == pytest.approx([FOCAL * 48, 0, CENTRE[0] * 48])
    assert frames.points2d["landmarks"].max() < 48
    check.check(frames, folders.head())


def test_six_numbers_are_two_rows():
    rotation = axis_angle_to_matrix(np.array([[0.3, -0.5, 0.9], [2.0, 0.1, -0.4]]))
    np.testing.assert_allclose(matrix_from_6d(rotation[:, :2].reshape(2, 6)), rotation, atol=1e-12)
    stretched = np.concatenate([3 * rotation[0, 0], 0.5 * rotation[0, 1] + 7 * rotation[0, 0]])
    np.testing.assert_allclose(matrix_from_6d(stretched), rotation[0], atol=1e-12)


def test_insta_without_eyes_keeps_them_at_rest_and_without_shape_says_what_to_do(own, caplog):
    root = own("insta")
    for name in ("eyes", "eyelids"):
        shutil.rmtree(root / "flame" / name)
    frames = read("insta", root)
    assert not frames.sequence.eyes.any() and not frames.sequence.eyelids.any() and frames.sequence.jaw.any()
    assert "holds no eyes and no eyelids; they stay at rest" in caplog.text
    for name in ("jaw", "shape"):
        shutil.rmtree(root / "flame" / name)
    with pytest.raises(MissingAsset, match=r"holds no shape, jaw, eyes, eyelids; .* from the 'flame' block of metrical-tracker"):
        read("insta", root)


def test_eyes_in_segmentations(tmp_path):
    def write(i: int, left: int, right: int) -> Path:
        mask = np.zeros((20, 40, 3), np.uint8)
        mask[8:12, left - 2:left + 2, 0], mask[8:12, right - 2:right + 2, 0] = 210, 200
        Image.fromarray(mask).save(tmp_path / f"{i}.png")
        return tmp_path / f"{i}.png"

    paths = [write(i, 30 - i, 10) for i in range(4)] + [tmp_path / "none.png"]
    eyes = seen_eyes(paths, (210, 200))
    assert eyes is not None
    assert eyes[:4].tolist() == [[[30 - i, 10], [10, 10]] for i in range(4)] and np.isnan(eyes[4]).all()
    swapped = seen_eyes([write(9, 10, 30)] * 3, (210, 200))  # the picture's left was meant
    assert swapped is not None and swapped[0].tolist() == [[30, 10], [10, 10]]
    Image.fromarray(np.pad(np.full((1, 3), 210, np.uint8), 5)).save(tmp_path / "closed.png")
    assert seen_eyes([tmp_path / "closed.png"], (210, 200)) is None
    many = seen_eyes([paths[0]] * 500, (210, 200))
    assert many is not None and 50 < np.isfinite(many[:, 0, 0]).sum() <= 60 and np.isfinite(many[[0, 1, -1]]).all()


# --- What is refused --------------------------------------------------------------------------------------------------


def frame(index: int, **values: Any) -> Callable[[Path], None]:
    """Set fields of a frame in the layout's file."""
    return lambda path: edit(path, lambda v: v["frames"][index].update(values))


def drop(index: int, name: str) -> Callable[[Path], None]:
    """Remove a frame's field."""
    return lambda path: edit(path, lambda v: v["frames"][index].pop(name))


def top(**values: Any) -> Callable[[Path], None]:
    """Set fields of the file."""
    return lambda path: edit(path, lambda v: v.update(values))


def text(name: str, content: str) -> Callable[[Path], None]:
    """Write a parameter file of INSTA's."""
    return lambda path: (path.parent / "flame" / name).write_text(content) and None


def cut(path: Path) -> None:
    """Lose the second half of a file."""
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def link_out(path: Path) -> None:
    """Make a frame's picture a link that leads out of the folder."""
    Image.new("RGBA", (SIZE, SIZE)).save(path.parent.parent / "secret.png")
    (path.parent / "images" / "00002.png").unlink()
    (path.parent / "images" / "00002.png").symlink_to(path.parent.parent / "secret.png")


BAD: list[tuple[str, str, Callable[[Path], None], type[AvatarError], str]] = [
    ("cut", "imavatar", cut, FormatError, r"flame_params\.json: not JSON at line"),
    ("missing picture", "imavatar", lambda p: (p.parent / "matted" / "3.png").unlink(), MissingAsset,
     r"frame 3: its picture .*matted/3\.png is not there"),
    ("NaN", "imavatar", frame(2, pose=[float("nan")] * 15), FormatError, "holds NaN"),
    ("text", "imavatar", frame(2, pose=["a"] * 15), FormatError, r"frame 2: 'pose': expected numbers, found text"),
    ("huge", "imavatar", frame(2, pose=[1e300] * 15), FormatError, r"flame_params\.json: Sequence\.rotation: .* not finite"),
    ("49", "imavatar", frame(4, expression=[0.0] * 49), FormatError, "frame 4 has 49, frame 0 has 50"),
    ("14", "imavatar", frame(4, pose=[0.0] * 14), FormatError, "frame 4: 'pose': expected 15 numbers"),
    ("matrix", "imavatar", frame(1, world_mat=[[1, 2]]), FormatError, "frame 1: 'world_mat': expected 3 x 4"),
    ("escape", "imavatar", frame(1, file_path="../../../1"), FormatError, "frame 1: 'file_path': '../../../1' leads out of"),
    ("sibling", "imavatar", frame(1, file_path="../anna_test/image/1"), FormatError, "leads out of"),
    ("absolute", "imavatar", frame(1, file_path="/etc/1"), FormatError, "leads out of"),
    ("backslash", "imavatar", frame(1, file_path="image\\..\\..\\..\\1"), FormatError, "leads out of"),
    ("null byte", "imavatar", frame(1, file_path="image/1\0"), FormatError, "leads out of"),
    ("unnamed", "imavatar", drop(1, "file_path"), FormatError, "frame 1: 'file_path' is missing"),
    ("word", "imavatar", frame(1, file_path="image/one"), FormatError, "frame 1: 'one': expected a file called by its frame"),
    ("points", "imavatar", frame(1, flame_keypoints=[[0, 0]]), FormatError, "frame 1: 'flame_keypoints': expected 68 or 70"),
    ("no frames", "imavatar", top(frames=[]), FormatError, "'frames' is empty"),
    ("no split", "imavatar", lambda p: shutil.rmtree(p.parent), MissingAsset,
     "no video is called <subject>_train; found anna_test"),
    ("cut", "insta", cut, FormatError, r"transforms_train\.json: not JSON at line"),
    ("missing picture", "insta", lambda p: (p.parent / "images/00003.png").unlink(), MissingAsset,
     r"frame 4: its picture .*images/00003\.png is not there"),
    ("no split", "insta", lambda p: p.unlink(), MissingAsset,
     r"transforms_train\.json: no such file; found transforms_test\.json"),
    ("missing text", "insta", lambda p: (p.parent / "flame/jaw/00002.txt").unlink(), MissingAsset, "jaw/00002.txt: no such file"),
    ("NaN", "insta", text("exp/00004.txt", "0\n" * 99 + "nan"), FormatError, "exp/00004.txt: number 100 is not finite"),
    ("49", "insta", text("exp/00004.txt", "0\n" * 49), FormatError, r"exp/00004.txt: 49 numbers, expected 100 as in 00000.txt"),
    ("word", "insta", text("exp/00004.txt", "0\none"), FormatError, "exp/00004.txt: expected numbers, one a line"),
    ("empty", "insta", text("shape/00000.txt", "\n"), FormatError, "shape/00000.txt: holds no numbers"),
    ("axis-angle", "insta", text("jaw/00001.txt", "0 " * 3), FormatError, "jaw/00001.txt: 3 numbers, expected 6"),
    ("zeros", "insta", text("eyes/00001.txt", "0 " * 12), FormatError, "eyes/00001.txt: the numbers are no 6D rotation"),
    ("focal", "insta", top(fl_x=-100), FormatError, "'fl_x' and 'fl_y': expected positive pixels"),
    ("centre", "insta", top(cy=900.0), FormatError, "'cx' and 'cy': 49.92, 900 is outside the 96 x 96 picture"),
    ("no K", "insta", top(fl_y=None), FormatError, "'fl_y' is missing"),
    ("half pixels", "insta", top(w=95.5), FormatError, "expected whole pixels"),
    ("scale", "insta", frame(3, transform_matrix=(2 * np.eye(4)).tolist()), FormatError,
     "frame 3: 'transform_matrix': expected a rotation"),
    ("far", "insta", frame(3, transform_matrix=(1e200 * np.eye(4)).tolist()), FormatError, "frame 3: .*expected a rotation"),
    ("3 x 4", "insta", frame(3, transform_matrix=np.eye(4)[:3].tolist()), FormatError, "frame 3: .* expected 4 x 4"),
    ("escape", "insta", frame(1, file_path="../00000.png"), FormatError, "frame 1: 'file_path': '../00000.png' leads out of"),
    ("exp", "insta", frame(1, exp_path="../../00000.txt"), FormatError, "frame 1: 'exp_path': .* leads out of"),
    ("mask", "insta", frame(1, seg_mask_path="/etc/passwd"), FormatError, "frame 1: 'seg_mask_path': .* leads out of"),
    ("link", "insta", link_out, FormatError, "'images/00002.png' leads out of"),
    ("twice", "insta", frame(2, file_path="images/00000.png"), FormatError, "a second frame 00000"),
    ("only holes", "insta", top(frames=[None, None]), FormatError, "'frames' is empty"),
    ("no seg_mask", "insta", lambda p: (p.parent / "seg_mask/00001.png").write_bytes(b"no"), FormatError, "not a picture"),
]


@pytest.mark.parametrize("name, damage, error, message", [case[1:] for case in BAD], ids=[f"{c[1]}-{c[0]}" for c in BAD])
def test_damaged_folders_end_in_one_clear_line(name, damage, error, message, own):
    root = own(name)
    damage(root / TRAIN[name])
    with pytest.raises(error, match=message) as caught:
        read(name, root)
    assert "\n" not in str(caught.value) and caught.type is error


@pytest.mark.parametrize("name", WRITERS)
def test_folders_that_are_none(name, tmp_path, whole):
    with pytest.raises(MissingAsset, match="no such folder"):
        read(name, tmp_path / "nobody")
    with pytest.raises(MissingAsset, match="not a folder of this layout; expected .* found nothing"):
        read(name, tmp_path)
    with pytest.raises(MissingAsset, match="holds several subjects: one, two"):
        for copy in ("one", "two"):
            shutil.copytree(whole[name], tmp_path / copy)
        read(name, tmp_path)
    with pytest.raises(UnsupportedFeature, match="unknown split 'val'; this layout has train and test"):
        read(name, whole[name], "val")


def test_names_of_layouts(tmp_path):
    assert set(WRITERS) | set(test_datasets_more.WRITERS) == set(DATASETS)
    with pytest.raises(UnsupportedFeature, match="unknown data set layout 'nerf'; available are imavatar, insta"):
        read("nerf", tmp_path)


# --- What would spoil a training --------------------------------------------------------------------------------------


def changed(frames: Frames, **values: Any) -> Frames:
    """Return frames with fields of their sequence replaced."""
    return dataclasses.replace(frames, sequence=dataclasses.replace(frames.sequence, **values))


def save(path: Path, **options: Any) -> None:
    """Write the picture `path` again, changed."""
    image = folders.rgba(2, options.get("size", SIZE))
    image.convert(options.get("mode", "RGBA")).save(path)


@pytest.mark.parametrize("damage, error, message", [
    (lambda p: p.unlink(), MissingAsset, "no such picture"),
    (lambda p: save(p, size=64), FormatError, "is 64 x 64 pixels, its camera 96 x 96"),
    (lambda p: save(p, mode="RGB"), FormatError, "has no alpha channel and there is no mask"),
    (lambda p: p.write_bytes(p.read_bytes()[:-30]), FormatError, "is cut off"),
    (lambda p: p.write_text("no picture"), FormatError, "not a picture that can be read"),
])
def test_pictures_that_would_spoil_a_training(damage, error, message, own):
    frames = read("insta", own("insta"))
    damage(frames.images[4])
    with pytest.raises(error, match=f"'bala' train, frame 00004: .*{message}"):
        check.check(frames, folders.head())


@pytest.mark.parametrize("alpha, message", [(0, "nobody is in them"), (255, "the background is not cut out")])
def test_mattes_that_are_none(alpha, message, own):
    frames = read("insta", own("insta"))
    for path in frames.images:
        Image.new("RGBA", (SIZE, SIZE), (9, 9, 9, alpha)).save(path)
    with pytest.raises(FormatError, match=f"frames 00000, 00003, 00006 are {alpha} everywhere: {message}"):
        check.check(frames, folders.head())


def test_masks_of_another_size(tmp_path):
    frames = read("imavatar", folders.write_imavatar(tmp_path, masks=True))
    Image.new("L", (48, 48)).save(frames.masks[5])
    with pytest.raises(FormatError, match=r"frame 6: the mask .*6\.png is 48 x 48 pixels, its picture 96 x 96"):
        check.check(frames, folders.head())


def test_heads_that_do_not_fit(whole):
    head = folders.head()
    frames = read("insta", whole["insta"])
    with pytest.raises(CheckpointMismatch, match=r"'bala' train: the sequence is in 'flame2020'.*\(--edition\)"):
        check.check(changed(frames, basis="flame2020"), head)
    with pytest.raises(CheckpointMismatch, match="101 expressions, the head 100"):
        check.check(changed(frames, expr=np.zeros((len(frames), 101))), head)
    with pytest.raises(CheckpointMismatch, match="shape has 300 coefficients, the head 0 shapedirs"):
        check.check(frames, head.personalise())
    one = dataclasses.replace(frames, sequence=frames.sequence.take([0]), images=frames.images[:1], labels=(), points2d={})
    with pytest.raises(FormatError, match="holds 1 frame; a video has at least 2"):
        check.check(one, head)


def test_cameras_that_are_none(whole):
    frames = read("insta", whole["insta"])
    cameras = dict(frames.sequence.cameras)
    crooked = cameras["world_to_camera"].copy()
    crooked[3, 0] *= -1
    with pytest.raises(FormatError, match="frame 00003: the camera's upper 3x3 is no rotation"):
        check.check(changed(frames, cameras=cameras | {"world_to_camera": crooked}), folders.head())
    flat = cameras["K"].copy()
    flat[2, 1, 1] = 0
    with pytest.raises(FormatError, match="frame 00002: focal lengths must be positive"):
        check.check(changed(frames, cameras=cameras | {"K": flat}), folders.head())
