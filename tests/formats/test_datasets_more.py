"""The readers of trackers' folders and of layouts with several cameras: what they make of whole folders, and of damaged ones.

To add a layout: write its folder by hand in `tests/formats/tracked_folders_more.py`, and add a line to `WRITERS`.
"""

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from formats.datasets import check, read, vhap
from formats.datasets.frames import Frames
from formats.datasets.reprojection import check_reprojection, reprojection
from formats.datasets.silhouette import check_silhouette
from formats.errors import AvatarError, CheckpointMismatch, FormatError, MissingAsset, UnsupportedFeature
from formats.rotations import axis_angle_to_matrix
from formats.teeth import add_teeth
from tests.formats import tracked_folders as folders
from tests.formats import tracked_folders_more as more
from tests.formats.tracked_folders import FRAMES, SIZE

WRITERS: dict[str, Callable[[Path], Path]] = {
    "point-avatar": more.write_point_avatar, "nersemble": more.write_nersemble,
    "metrical-tracker": more.write_metrical_tracker, "vhap": more.write_vhap, "nersemble-benchmark": more.write_benchmark,
    "gaussian-head-avatar": functools.partial(more.write_gha, flame=True)}
DEFAULTS = {"point-avatar": "flame2020", "nersemble": "flame2023",
            "metrical-tracker": "flame2020", "vhap": "flame2023", "nersemble-benchmark": "flame2023",
            "gaussian-head-avatar": "bfm09-64"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder per layout, not to be changed."""
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


@pytest.fixture
def own(whole: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Copy a layout's folder for a test that damages it."""
    def copy(name: str) -> Path:
        shutil.copytree(whole[name].parent, tmp_path / name)
        return tmp_path / name / whole[name].name
    return copy


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def seen(frames: Frames, points: np.ndarray) -> Frames:
    """Return the frames with `points` [T, 68, 2] as what a detector saw."""
    return dataclasses.replace(frames, points2d={"landmarks": points})


def lands(frames: Frames) -> float:
    """Return how far landmarks land from what was seen, pixels."""
    report = reprojection(frames, folders.head())
    assert report.fits, str(report)
    return max(error.mean for error in report.errors)


# --- All of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_every_layout_reads_passes_the_check_and_is_found_one_folder_up(name, whole):
    for split in ("train", "test"):
        frames = read(name, whole[name], split)
        check.check(frames, folders.head())
        assert read(name, whole[name].parent, split).images == frames.images
        assert all(path.is_relative_to(whole[name].resolve()) for path in frames.images)


@pytest.mark.parametrize("name", WRITERS)
def test_the_edition_is_the_users_else_the_tags_else_the_trackers(name, own):
    root = own(name)
    assert read(name, root, edition="flame2019").sequence.basis == "flame2019"
    assert read(name, root).sequence.basis == "standin"
    with pytest.raises(FormatError, match="--edition: unknown edition 'flame99'"):
        read(name, root, edition="flame99")
    for place in (root, root.parent):
        (place / "capture.json").unlink(missing_ok=True)
    assert read(name, root).sequence.basis == DEFAULTS[name]


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


# --- metrical-tracker -------------------------------------------------------------------------------------------------


def test_metrical_tracker_in_our_conventions(whole):
    train, test = (read("metrical-tracker", whole["metrical-tracker"], split) for split in ("train", "test"))
    truth = folders.motion(100, 300, False)
    # 15 % of ten frames are held out; frames count from 0, pictures from 1.
    assert train.labels == tuple(f"{i:05d}" for i in range(8)) and test.labels == ("00008", "00009")
    assert [path.name for path in test.images] == ["00009.png", "00010.png"]
    assert {path.parent.name for path in train.masks} == {"alpha"}
    for frames, first in ((train, 0), (test, 8)):
        part = slice(first, first + len(frames))
        for name in ("expr", "jaw", "eyes", "eyelids"):
            np.testing.assert_allclose(getattr(frames.sequence, name), getattr(truth, name)[part], atol=1e-6, err_msg=name)
        np.testing.assert_allclose(frames.sequence.shape, truth.shape, atol=1e-6)
        assert frames.name == "bala" and not frames.sequence.rotation.any()
        for i in range(len(frames)):
            rotation, place = folders.orbit(first + i)
            np.testing.assert_allclose(frames.camera(i).world_to_camera[:3, :3], rotation, atol=1e-6)
            np.testing.assert_allclose(frames.camera(i).position, place, atol=1e-6)
            np.testing.assert_allclose(frames.camera(i).K, more.k_matrix(), rtol=1e-6)
        assert frames.picture(1)[SIZE // 2, SIZE // 2].tolist() == [200, 20 * (first + 1), 30, 255]
        assert lands(frames) < 0.2 and set(frames.points2d) == {"landmarks", "irises"}


def test_metrical_tracker_by_any_of_its_folders_and_with_matted_pictures(tmp_path):
    root = more.write_metrical_tracker(tmp_path, "matted")
    frames = read("metrical-tracker", root)
    assert {path.parent.name for path in frames.images} == {"matted"} and not frames.masks
    assert frames.picture(0)[0, 0, 3] == 0
    assert read("metrical-tracker", root / "output" / "bala").images == frames.images
    shutil.rmtree(root / "input")
    with pytest.raises(MissingAsset, match="no pictures for these frames; expected .*input"):
        read("metrical-tracker", root)
    # The tracker's own copies count as the frames do.
    (root / "output/bala/input").mkdir()
    for i in range(FRAMES):
        folders.rgba(i).save(root / f"output/bala/input/{i:05d}.png")
    frames = read("metrical-tracker", root)
    assert frames.images[2].name == "00002.png" and frames.picture(2)[SIZE // 2, SIZE // 2, 1] == 40


def test_flashavatars_data_set_with_clothes_cut_off(tmp_path):
    root = more.write_flash(tmp_path)
    frames = read("metrical-tracker", root)
    assert frames.name == "obama" and [path.name for path in frames.images][:2] == ["00001.jpg", "00002.jpg"]
    matte = frames.picture(3)[..., 3]
    assert matte[SIZE // 2, SIZE // 2] == 255 and not matte[3 * SIZE // 4:].any() and matte[0, 0] < 3
    stamps = [path.stat().st_mtime_ns for path in frames.masks]
    again = read("metrical-tracker", root / "dataset" / "obama")
    assert again.masks == frames.masks and [path.stat().st_mtime_ns for path in again.masks] == stamps  # written once
    Image.new("L", (SIZE, SIZE), 0).save(root / "dataset/obama/alpha/00004.jpg")
    assert not read("metrical-tracker", root).picture(3)[..., 3].any()  # and again when a part changed
    check.check(again, folders.head())


def test_pictures_one_off_are_noticed(own):
    root = own("metrical-tracker")
    kpt = root / "input/bala/kpt"
    for i in range(FRAMES - 1):  # as if points were numbered like frames
        (kpt / f"{i + 2:05d}.npy").replace(kpt / f"{i + 1:05d}.npy")
    shutil.rmtree(root / "input/bala/kpt_dense")
    with pytest.raises(FormatError, match="paired one frame off"):
        check.check(read("metrical-tracker", root), folders.head())


@pytest.mark.parametrize("count, held", [(10, 2), (100, 15), (1000, 150), (1001, 500), (5000, 500), (2, 1)])
def test_what_the_tracker_holds_out(count, held):
    from formats.datasets.metrical_tracker import split_of

    assert list(split_of(count, "test")) == list(range(count - held, count))
    assert len(split_of(count, "train")) == count - held


# --- VHAP -------------------------------------------------------------------------------------------------------------


def test_vhap_in_our_conventions(whole):
    truth, marks = more.walking()
    moments = {"train": range(7), "test": range(7, 10)}
    for split, part in moments.items():
        frames = read("vhap", whole["vhap"], split)
        assert frames.labels == tuple(f"{i:05d}_{c:02d}" for i in part for c in range(more.RIG))
        rows = np.repeat(np.array(part), more.RIG)
        for name in ("expr", "rotation", "neck", "jaw", "eyes", "translation"):
            np.testing.assert_allclose(getattr(frames.sequence, name), getattr(truth, name)[rows], atol=1e-6, err_msg=name)
        np.testing.assert_allclose(frames.sequence.shape, truth.shape, atol=1e-6)
        for i in range(len(frames)):
            np.testing.assert_allclose(frames.camera(i).world_to_camera, more.view(i % more.RIG), atol=1e-6)
            np.testing.assert_allclose(frames.camera(i).K, more.k_matrix(), rtol=1e-6)
        points = np.stack([more.pixels(marks[row], more.view(i % more.RIG)) for i, row in enumerate(rows)])
        assert lands(seen(frames, points)) < 1e-3
        assert frames.picture(2)[SIZE // 2, SIZE // 2].tolist() == [200, 20 * rows[2], 30, 255]
        assert frames.picture(2)[0, 0, 3] == 0 and len(frames.masks) == len(frames)


@pytest.mark.parametrize("change, cause", [
    (lambda e: e.update(cy=SIZE - e["cy"]), "with cy counted from the other side"),
    (lambda e: e.update(transform_matrix=(np.array(e["transform_matrix"]) @ np.diag([1, -1, -1, 1])).tolist()),
     "mixes OpenGL's and OpenCV's cameras"),
    (lambda e: e.update(transform_matrix=np.linalg.inv(e["transform_matrix"]).tolist()), "camera-to-world and world-to-camera"),
])
def test_vhaps_typical_mistakes_are_named(change, cause, own):
    root = own("vhap")
    good = read("vhap", root)
    _, marks = more.walking()
    points = np.stack([more.pixels(marks[i // more.RIG], more.view(i % more.RIG)) for i in range(len(good))])
    edit(root / "transforms_train.json", lambda v: [change(entry) for entry in v["frames"]])
    with pytest.raises(FormatError, match=cause):
        check_reprojection(seen(read("vhap", root), points), folders.head())


@pytest.mark.parametrize("change, cause", [
    (lambda m: m @ np.diag([1, -1, -1, 1]), r"100 % would with the camera's y and z axes turned"),
    (lambda m: np.linalg.inv(m), "100 % would with the camera's matrix inverted in OpenGL's axes"),
    (lambda m: m + np.outer([0.4, 0.4, 0, 0], [0, 0, 0, 1]), "likely causes"),
])
def test_without_points_the_head_must_land_on_the_person(change, cause, own):
    root = own("vhap")
    assert check_silhouette(read("vhap", root), folders.head()) == 1
    edit(root / "transforms_train.json", lambda v: [
        entry.update(transform_matrix=change(np.array(entry["transform_matrix"])).tolist()) for entry in v["frames"]])
    with pytest.raises(FormatError, match=f"'074' train: only [0-9]+ % of the face's points land on the person.*{cause}"):
        check.check(read("vhap", root), folders.head())


def test_a_static_offset_is_the_persons(own, caplog):
    root = own("vhap")
    head = folders.head()
    assert read("vhap", root).offset is None
    path, moved = root / "flame_param/00000.npz", np.zeros((1, 5143, 3), np.float32)
    moved[0, :, 2] = 0.001 * np.arange(5143) / 5143
    np.savez(path, **dict(np.load(path)) | {"static_offset": moved})
    frames = read("vhap", root)
    assert frames.offset is not None
    plain = head.personalise(frames.sequence.shape)
    np.testing.assert_allclose(frames.personal(head).v_template - plain.v_template, moved[0, :5023], atol=1e-7)
    assert "static offset" not in caplog.text
    vhap.motion(root)
    assert "00000.npz: the person's static offset, up to 1.0 mm, is no part of what is read" in caplog.text
    toothed = add_teeth(head)
    bare = dataclasses.replace(frames, offset=moved[0, :5023])
    np.testing.assert_array_equal(bare.personal(toothed).v_template[5023:],
                                  toothed.personalise(frames.sequence.shape).v_template[5023:])
    with pytest.raises(CheckpointMismatch, match="has 9 rows, the head 5023"):
        dataclasses.replace(frames, offset=moved[0, :9]).personal(head)


def test_vhaps_union_sets_lead_into_their_siblings_and_no_further(tmp_path):
    union = more.write_union(tmp_path / "sets")
    frames = read("vhap", union)
    assert len(frames) == 2 * 7 * more.RIG and frames.name == "UNION2_074"
    assert {path.parts[-3] for path in frames.images} == {"074", "075"}
    check.check(frames, folders.head())
    edit(union / "transforms_train.json", lambda v: v["frames"][0].update(file_path="../../074/images/00000_00.png"))
    with pytest.raises(FormatError, match="'file_path': .* leads out of"):
        read("vhap", union)


def test_vhap_of_one_camera_has_its_angle_alone(own):
    root = own("vhap")

    def one(value: dict[str, Any]) -> None:
        value["frames"] = [entry for entry in value["frames"] if entry["camera_index"] == 0]
        for entry in value["frames"]:
            for name in ("fl_x", "fl_y", "fg_mask_path"):
                del entry[name]
        del value["fl_x"], value["fl_y"]

    edit(root / "transforms_train.json", one)
    frames = read("vhap", root)
    np.testing.assert_allclose(frames.camera(0).K, more.k_matrix(), rtol=1e-6)
    assert {path.parent.name for path in frames.masks} == {"fg_masks"}  # by their names
    shutil.rmtree(root / "fg_masks")
    frames = read("vhap", root)
    with pytest.raises(FormatError, match="has no alpha channel and there is no mask for it"):
        check.check(frames, folders.head())


# --- Heads placed by a similarity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("moving", [False, True], ids=["cameras move", "the head moves"])
def test_the_benchmarks_similarity_in_our_conventions(whole, moving):
    truth, angles, translation, points = more.similar()
    head = folders.head() if moving else None
    for split, camera in (("train", 0), ("test", 1)):
        frames = read("nersemble-benchmark", whole["nersemble-benchmark"], split, head=head)
        serial = more.BENCHMARK_CAMERAS[camera]
        assert frames.labels == tuple(f"EXP-2-eyes_{i:05d}_{serial}" for i in range(FRAMES)) and frames.name == "393"
        for name in ("expr", "neck", "jaw", "eyes"):
            np.testing.assert_allclose(getattr(frames.sequence, name), getattr(truth, name), atol=1e-6, err_msg=name)
        np.testing.assert_allclose(frames.sequence.shape, truth.shape, atol=1e-6)
        assert frames.sequence.rotation.any() == moving == frames.sequence.translation.any()
        marks = np.stack([more.pixels(more.in_world(points[i], i, more.SCALE, angles, more.SCALE * translation),
                                      more.scaled_view(camera, more.SCALE)) for i in range(FRAMES)])
        assert lands(seen(frames, marks)) < 1e-3
        assert np.abs(frames.picture(4)[SIZE // 2, SIZE // 2].astype(int) - [200, 80, 30, 255]).max() < 12
        assert frames.picture(4)[0, 0, 3] == 0
    assert (whole["nersemble-benchmark"] / ".flameport/EXP-2-eyes/images/cam_222200037/00003.png").is_file()


def test_the_benchmark_keeps_its_test_pictures(tmp_path):
    root = more.write_benchmark(tmp_path, test=False)
    stamps = [path.stat().st_mtime_ns for path in read("nersemble-benchmark", root).images]
    assert stamps == [path.stat().st_mtime_ns for path in read("nersemble-benchmark", root).images]  # unpacked once
    with pytest.raises(MissingAsset, match="the benchmark keeps those of its hold-out cameras and test sequences"):
        read("nersemble-benchmark", root, "test")
    old = root / "sequences/EXP-2-eyes/tracking/flame2023_tracking_v2.npz"
    old.rename(old.with_name("flame2023_tracking.npz"))
    assert len(read("nersemble-benchmark", root)) == FRAMES


def test_gaussian_head_avatars_flame_in_our_conventions(whole):
    for head in (None, folders.head()):
        train, test = (read("gaussian-head-avatar", whole["gaussian-head-avatar"], split, head=head)
                       for split in ("train", "test"))
        # The frontal camera is kept from training, the last 30 % of the moments are the test.
        assert train.labels == tuple(f"{3 * i:04d}_220700191" for i in range(7))
        assert test.labels == tuple(f"{3 * i:04d}_{serial}" for i in (7, 8, 9) for serial in more.GHA_SERIALS)
        for frames in (train, test):
            assert frames.sequence.expr.shape[1] == 50 and frames.sequence.shape.shape == (100,)
            assert np.isnan(frames.points2d["landmarks"][:, :3]).all() and lands(frames) < 1e-3
            assert frames.sequence.rotation.any() == (head is not None)
        assert train.picture(2)[SIZE // 2, SIZE // 2, 1] == pytest.approx(40, abs=4)


def test_gaussian_head_avatars_own_coefficients_and_scale(tmp_path):
    root = more.write_gha(tmp_path)
    truth, angles, translation, _ = more.similar()
    frames = read("gaussian-head-avatar", root, "test")
    sequence = frames.sequence
    rows = [7, 7, 8, 8, 9, 9]
    assert sequence.basis == "bfm09-64" and sequence.expr.shape == (6, 64)
    np.testing.assert_allclose(sequence.translation, translation[rows], atol=1e-6)
    np.testing.assert_allclose(axis_angle_to_matrix(sequence.rotation), [more.euler(angles[i]) for i in rows], atol=1e-6)
    np.testing.assert_allclose(sequence.drivers["absolute_pose"][:, 3:], more.BFM_SCALE * translation[rows], atol=1e-6)
    for i in range(6):
        np.testing.assert_allclose(frames.camera(i).world_to_camera, more.view(i % 2), atol=1e-6)
    # The three-dimensional landmarks, seen by the file's cameras, where the detector's are not there.
    there = frames.points2d["landmarks"]
    shutil.rmtree(root / "landmarks")
    shutil.rmtree(root / "FLAME_params")
    projected = read("gaussian-head-avatar", root, "test").points2d["landmarks"]
    assert np.isnan(projected[:, [48, 54]]).all()
    kept = np.setdiff1d(np.arange(3, 68), (48, 54))
    np.testing.assert_allclose(projected[:, kept], there[:, kept], atol=1e-3)
    with pytest.raises(MissingAsset, match="holds no FLAME_params_VHAP or FLAME_params, which would be in flame2023"):
        read("gaussian-head-avatar", root, edition="flame2023")


# --- NeRSemble's recordings -------------------------------------------------------------------------------------------


def test_nersemble_in_our_conventions(whole):
    truth, marks = more.walking()
    # The frontal camera is kept from training.
    for split, moments, cameras in (("train", range(7), (1, 2)), ("test", range(7, 10), (0, 1, 2))):
        frames = read("nersemble", whole["nersemble"], split)
        assert frames.labels == tuple(f"EXP-2-eyes_{i:05d}_{more.NERSEMBLE_SERIALS[c]}" for i in moments for c in cameras)
        rows = np.repeat(np.array(moments), len(cameras))
        for name in ("expr", "rotation", "neck", "jaw", "eyes", "translation"):
            np.testing.assert_allclose(getattr(frames.sequence, name), getattr(truth, name)[rows], atol=1e-6, err_msg=name)
        for i in range(len(frames)):
            np.testing.assert_allclose(frames.camera(i).world_to_camera, more.view(cameras[i % len(cameras)]), atol=1e-6)
            np.testing.assert_allclose(frames.camera(i).K, more.k_matrix(), rtol=1e-6)  # at the pictures' size
        assert lands(frames) < 1e-3 and np.isnan(frames.points2d["landmarks"][:, 4]).all()
        assert frames.picture(3)[SIZE // 2, SIZE // 2, 1] == pytest.approx(20 * rows[3], abs=8)
        assert frames.picture(3)[0, 0, 3] == 0 and frames.sequence.fps == 25
    assert (whole["nersemble"] / ".flameport/EXP-2-eyes/alpha_maps/cam_222200044/00009.png").is_file()


def test_nersembles_tracking_is_found_beside_and_several_sequences_are_split_by_name(tmp_path):
    root = more.write_nersemble(tmp_path, ("EMO-1-shout+laugh", "FREE", "SEN-01"), beside=True)
    train, test = (read("nersemble", root, split) for split in ("train", "test"))
    assert {label.split("_")[0] for label in train.labels} == {"EMO-1-shout+laugh", "SEN-01"}
    assert {label.split("_")[0] for label in test.labels} == {"FREE"}
    assert len(train) == 2 * FRAMES * 2 and len(test) == FRAMES * 3 and train.sequence.expr.any()
    alone = read("nersemble", root / "sequences" / "SEN-01", "test")
    assert {label.split("_")[0] for label in alone.labels} == {"SEN-01"} and len(alone) == 3 * 3
    shutil.rmtree(tmp_path / "017_SEN-01_tracked")
    assert len(read("nersemble", root)) == FRAMES * 2  # a sequence that nobody tracked is left out


def test_nersemble_without_tracking_says_what_to_run(own):
    root = own("nersemble")
    shutil.rmtree(root / "sequences/EXP-2-eyes/2024-01-01_00-00-00")
    with pytest.raises(MissingAsset, match="have no FLAME parameters. Track EXP-2-eyes by VHAP"):
        read("nersemble", root)


def test_nersembles_first_version_as_pictures(tmp_path):
    root = more.write_nersemble_pictures(tmp_path)
    frames = read("nersemble", root)
    assert frames.images[0].name == "cam_222200044_000000.jpg" and frames.images[2].name == "cam_222200044_000003.jpg"
    np.testing.assert_allclose(frames.camera(0).K, more.k_matrix(), rtol=1e-6)
    check.check(frames, folders.head())
    assert not (root / "017" / ".flameport").exists()


# --- PointAvatar's own layout -----------------------------------------------------------------------------------------


def test_point_avatar_holds_out_the_last_video_or_the_one_that_is_named(whole):
    root = whole["point-avatar"]
    train, test = (read("point-avatar", root, split) for split in ("train", "test"))
    assert {path.parts[-3] for path in train.images} == {"MVI_1810", "MVI_1812"} and len(train) == 2 * FRAMES
    assert {path.parts[-3] for path in test.images} == {"MVI_1814"} and test.name == "anna"
    assert train.labels[0] == "MVI_1810_1" and train.masks[0].parts[-2:] == ("mask", "1.png")
    train, test = (read("point-avatar", root / "MVI_1812", split) for split in ("train", "test"))
    assert {path.parts[-3] for path in train.images} == {"MVI_1810", "MVI_1814"}
    assert {path.parts[-3] for path in test.images} == {"MVI_1812"}
    assert read("point-avatar", root.parents[1]).images[0] == root.resolve() / "MVI_1810/image/1.png"


def test_point_avatar_of_one_video_holds_its_end_out(own):
    root = own("point-avatar")
    for name in ("MVI_1812", "MVI_1814"):
        shutil.rmtree(root / name)
    train, test = (read("point-avatar", root, split) for split in ("train", "test"))
    assert (len(train), test.labels) == (8, ("MVI_1810_9", "MVI_1810_10"))


def test_videos_that_were_tracked_differently_are_not_joined(own):
    root = own("point-avatar")
    edit(root / "MVI_1812" / "flame_params.json", lambda v: [frame.update(expression=[0.0] * 30) for frame in v["frames"]])
    with pytest.raises(FormatError, match="its videos differ in expressions: 50 and 30"):
        read("point-avatar", root)


# --- What is refused --------------------------------------------------------------------------------------------------


def entry(**values: Any) -> Callable[[Path], None]:
    """Set fields of a picture's entry in VHAP's file; None removes one."""
    def change(value: dict[str, Any]) -> None:
        for name, held in values.items():
            value["frames"][3].pop(name, None)
            value["frames"][3].update({} if held is None else {name: held})
    return lambda root: edit(root / "transforms_train.json", change)


CLIP = "sequences/EXP-2-eyes/images/cam_222200037.mp4"


def tracking(**values: Any) -> Callable[[Path], None]:
    """Set arrays of the benchmark's tracking; None removes one."""
    def change(root: Path) -> None:
        path = root / "sequences/EXP-2-eyes/tracking/flame2023_tracking_v2.npz"
        arrays = dict(np.load(path)) | values
        np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return change


def calibration(change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Change a recording's cameras."""
    return lambda root: edit(root / "calibration" / "camera_params.json", change)


BAD: list[tuple[str, str, Callable[[Path], object], type[AvatarError], str]] = [
    ("no split", "vhap", lambda r: (r / "transforms_train.json").unlink(), MissingAsset, "no such file; found transforms.json"),
    ("cut", "vhap", lambda r: (r / "transforms_train.json").write_text("{"), FormatError, "not JSON"),
    ("no picture", "vhap", lambda r: (r / "images/00001_01.png").unlink(), MissingAsset, "its picture .*00001_01.png is not"),
    ("no parameters", "vhap", lambda r: (r / "flame_param/00002.npz").unlink(), MissingAsset, "00002.npz: no such file"),
    ("mesh mode", "vhap", entry(flame_param_path=None, exp_path="a"), UnsupportedFeature, "missing; the export holds meshes"),
    ("escape", "vhap", entry(flame_param_path="/etc/x.npz"), FormatError, "leads out of"),
    ("scale", "vhap", entry(transform_matrix=(2 * np.eye(4)).tolist()), FormatError, "expected a rotation"),
    ("twice", "vhap", entry(timestep_index=0, camera_index=0), FormatError, "moment 0 of camera 0 comes twice"),
    ("focal", "vhap", entry(fl_x=-3.0), FormatError, "expected positive pixels"),
    ("size", "vhap", entry(w=0), FormatError, "expected whole pixels"),
    ("empty", "vhap", lambda r: edit(r / "transforms_train.json", lambda v: v.update(frames=[])), FormatError, "is empty"),
    ("no clip", "nersemble-benchmark", lambda r: (r / CLIP).unlink(), MissingAsset, "no pictures to learn from"),
    ("no video", "nersemble-benchmark", lambda r: (r / CLIP).write_bytes(b"words"), FormatError, "not a video that can be read"),
    ("short", "nersemble-benchmark", lambda r: more.write_clip([folders.rgba(0)] * 4, r / CLIP), FormatError,
     "4 frames for 10 tracked ones, numbered 0 to 9"),
    ("one matte", "nersemble-benchmark", lambda r: more.write_clip([folders.rgba(0)] * 4, r / CLIP), FormatError, "another clip"),
    ("scale", "nersemble-benchmark", tracking(scale=np.zeros((1, 1))), FormatError, "'scale': expected one positive number"),
    ("rows", "nersemble-benchmark", tracking(jaw=np.zeros((4, 3))), FormatError, r"'jaw': expected finite numbers \[10, 3\]"),
    ("NaN", "nersemble-benchmark", tracking(jaw=np.full((10, 3), np.nan)), FormatError, "'jaw': expected finite numbers"),
    ("flat", "nersemble-benchmark", tracking(expression=np.zeros(())), FormatError, r"'expression': expected numbers \[T, 100\]"),
    ("far", "nersemble", calibration(lambda v: v["world_2_cam"].update({"222200044": (1e300 * np.eye(4)).tolist()})),
     FormatError, "world_2_cam '222200044': expected a rotation"),
    ("no eyes", "nersemble-benchmark", tracking(eyes=None), FormatError, "'eyes' is missing"),
    ("camera", "nersemble-benchmark", calibration(lambda v: v["intrinsics"].pop("222200037")), FormatError,
     "camera_params.json.*'222200037' is missing"),
    ("mirror", "nersemble", calibration(lambda v: v["world_2_cam"].update({"222200044": np.diag([-1, 1, 1, 1.0]).tolist()})),
     FormatError, "world_2_cam '222200044': expected a rotation"),
    ("serial", "nersemble", calibration(lambda v: v["world_2_cam"].update({"../x": np.eye(4).tolist()})), FormatError,
     "'../x' is no camera's serial number"),
    ("moment", "nersemble", lambda r: more.write_tracks(more.walking()[0], r / "sequences/EXP-2-eyes/2025/"
     "tracked_flame_params_1.npz", ["../x"] * FRAMES), FormatError, "'../x' is no picture's number"),
    ("text", "nersemble-benchmark", tracking(frames=np.full(FRAMES, np.nan)), FormatError, "'frames': expected 10 numbers"),
    ("no camera", "nersemble", calibration(lambda v: v.update(world_2_cam={})), FormatError, "names no camera"),
    ("moments", "nersemble", lambda r: more.write_tracks(more.walking()[0], r / "sequences/EXP-2-eyes/2025/"
     "tracked_flame_params_1.npz", ["1"] * 3), FormatError, "'timestep_id': expected 10 texts"),
    ("points", "nersemble", lambda r: np.savez(r / "sequences/EXP-2-eyes/landmark2d/STAR/cam_222200044.npz",
     face_landmark_2d=np.zeros((2, 68, 3))), FormatError, r"expected \[10, 68, 3\] numbers, got \[2, 68, 3\]"),
    ("no camera", "gaussian-head-avatar", lambda r: (r / "cameras/0003/camera_220700191.npz").unlink(), MissingAsset, "no such"),
    ("no pictures", "gaussian-head-avatar", lambda r: shutil.rmtree(r / "images/0003"), MissingAsset,
     "images/0003: holds no image_<serial>.jpg"),
    ("a mask", "gaussian-head-avatar", lambda r: (r / "images/0003/mask_220700191.jpg").unlink(), MissingAsset, "no such mask"),
    ("pose", "gaussian-head-avatar", lambda r: np.savez(r / "FLAME_params/0006/params.npz", exp_coeff=np.zeros((1, 59)),
     pose=np.zeros((1, 3)), scale=np.ones(1), id_coeff=np.zeros((1, 100))), FormatError, "0006/params.npz: 'pose' has 3 numbers"),
    ("widths", "gaussian-head-avatar", lambda r: np.savez(r / "FLAME_params/0006/params.npz", exp_coeff=np.zeros((1, 50)),
     pose=np.zeros((1, 6)), scale=np.ones(1), id_coeff=np.zeros((1, 100))), FormatError, "'exp_coeff' has 50 numbers; exp"),
    ("matrix", "gaussian-head-avatar", lambda r: np.savez(r / "cameras/0003/camera_220700191.npz", intrinsic=np.eye(3)),
     FormatError, r"'extrinsic': expected \[3, 4\] numbers, which is missing"),
    ("no video", "point-avatar", lambda r: [shutil.rmtree(path) for path in r.iterdir()], MissingAsset, "not a folder of this"),
    ("cut", "point-avatar", lambda r: (r / "MVI_1810/flame_params.json").write_text("{"), FormatError, "not JSON"),
    ("no masks", "point-avatar", lambda r: shutil.rmtree(r / "MVI_1812/mask"), FormatError, "MVI_1812/image has none"),
    ("other frame", "metrical-tracker", lambda r: (r / "output/bala/checkpoint/00003.frame").write_bytes(b"PK\3\4"),
     FormatError, "00003.frame"),
    ("no matte", "metrical-tracker", lambda r: (r / "input/bala/alpha/00003.png").unlink(), MissingAsset,
     "picture numbers are the frames' plus one"),
    ("points", "metrical-tracker", lambda r: np.save(r / "input/bala/kpt/00003.npy", np.zeros((5, 2))), FormatError,
     r"expected pixels \[68, 2\]"),
]


@pytest.mark.parametrize("name, damage, error, message", [case[1:] for case in BAD], ids=[f"{c[1]}-{c[0]}" for c in BAD])
def test_damaged_folders_end_in_one_clear_line(name, damage, error, message, own):
    root = own(name)
    damage(root)
    with pytest.raises(error, match=message) as caught:
        read(name, root)
    assert "\n" not in str(caught.value)
